//! The nodes that compute nothing: sources, and what moves elements.

use std::ops::Range;

use graticule_ops::{BlockAxis, Node, NodeId, Read, Scalar, decode_table};
use graticule_plan::{DType, Digest};

use crate::{
    Chunk, KernelError, Tensor, TensorMut, elementwise,
    lazy::reshaped,
    movement::{each_part, stride_box, take, take_along, transpose},
    program::{Task, Values, single},
    shape,
    window::{concatenate, locate},
};

fn window_error(why: String) -> KernelError {
    KernelError::Window(why)
}

/// The value of an input, a read, a constant or a range.
pub(crate) fn source(task: &Task<'_>, node: usize, step: &Node) -> Result<Chunk, KernelError> {
    match step {
        Node::Input { input, parts } => input_chunk(task, *input, parts),
        Node::Read(read) => read_chunk(task, node, read),
        Node::Constant { value } => Ok(Tensor::scalar(*value).into()),
        Node::Arange {
            start,
            step,
            dtype,
            axis,
        } => arange(task, *start, *step, *dtype, axis),
        other => unreachable!("{other:?} is no source"),
    }
}

fn input_chunk(task: &Task<'_>, input: usize, parts: &[DType]) -> Result<Chunk, KernelError> {
    let count = task.inputs.len();
    let window = task
        .inputs
        .get(input)
        .ok_or(KernelError::NoSuchInput { input, count })?;
    let lens = window.shape();
    let shape: Result<Vec<usize>, _> = lens.iter().map(|&len| usize::try_from(len)).collect();
    let shape = shape.map_err(|_| window_error(format!("window of shape {lens:?}")))?;
    if window.chunk.parts().is_empty() && shape.contains(&0) {
        let parts = parts.iter().map(|&dtype| Tensor::zeros(dtype, &shape));
        return Chunk::new(parts.collect::<Result<_, _>>()?);
    }
    let (got, have) = (window.chunk.dtypes(), window.chunk.shape());
    if got != parts || have != shape {
        return Err(window_error(format!(
            "window has {got:?} of shape {have:?}, want {parts:?} of {shape:?}"
        )));
    }
    Ok(window.chunk.clone())
}

fn read_chunk(task: &Task<'_>, node: usize, read: &Read) -> Result<Chunk, KernelError> {
    let extents = shape::extents(&read.axes, task.block_index).map_err(window_error)?;
    let want = shape::shape_of(&extents).map_err(window_error)?;
    let id = NodeId(node as u32);
    let tensor = task
        .reader
        .read(id, read, &extents)
        .map_err(|error| KernelError::Read { node, error })?;
    if tensor.dtype() != read.dtype || tensor.shape() != want {
        let (dtype, shape) = (tensor.dtype(), tensor.shape());
        return Err(window_error(format!(
            "got {dtype} of shape {shape:?}, want {} of {want:?}",
            read.dtype
        )));
    }
    Ok(tensor.into())
}

fn arange(
    task: &Task<'_>,
    start: Scalar,
    step: Scalar,
    dtype: DType,
    axis: &BlockAxis,
) -> Result<Chunk, KernelError> {
    let Range { start: first, end } = shape::extent(axis, task.block_index).map_err(window_error)?;
    let shape = shape::shape_of(std::slice::from_ref(&(first..end))).map_err(window_error)?;
    let made = match (start, step) {
        (Scalar::Int64(start), Scalar::Int64(step)) => {
            let mut made = TensorMut::zeros(DType::Int64, &shape)?;
            let at = |k: u64| start.wrapping_add(step.wrapping_mul(k as i64));
            made.slice_mut()
                .iter_mut()
                .zip(first..)
                .for_each(|(place, k)| *place = at(k));
            made
        }
        (Scalar::Float64(start), Scalar::Float64(step)) => {
            let mut made = TensorMut::zeros(DType::Float64, &shape)?;
            made.slice_mut()
                .iter_mut()
                .zip(first..)
                .for_each(|(place, k)| *place = start + step * k as f64);
            made
        }
        (start, step) => {
            let (start, step) = (start.dtype(), step.dtype());
            return Err(window_error(format!(
                "start is {start} and step {step}; want both int64 or float64"
            )));
        }
    };
    let made = made.freeze();
    if made.dtype() == dtype {
        return Ok(made.into());
    }
    let mut out = TensorMut::for_overwrite(dtype, &shape)?;
    elementwise::cast(made.dtype(), dtype)(made.bytes(), out.trusted_bytes_mut());
    Ok(out.freeze().into())
}

/// `ExpandDims` or `Squeeze` of a value in memory.
pub(crate) fn reshape(step: &Node, x: &Chunk) -> Result<Chunk, KernelError> {
    let shape = reshaped(step, x.shape()).map_err(window_error)?;
    crate::program::check_ndim(shape.len()).map_err(window_error)?;
    each_part(x, |part| part.reshape(&shape))
}

/// A node that puts elements elsewhere; its operands are in memory.
pub(crate) fn movement(task: &Task<'_>, step: &Node, values: &Values) -> Result<Chunk, KernelError> {
    let operand = |x: &NodeId| values.ready(x.0 as usize).expect("operands were forced before");
    match step {
        Node::Stride { x, steps } => each_part(operand(x), |part| stride_box(part, steps)),
        Node::Transpose { x, order } => each_part(operand(x), |part| transpose(part, order)),
        Node::TakeAlong { x, positions, axis } => {
            let positions = single(operand(positions))?;
            each_part(operand(x), |part| take_along(part, positions, *axis))
        }
        Node::Reshape { x, axes } => {
            let extents = shape::extents(axes, task.block_index).map_err(window_error)?;
            let shape = shape::shape_of(&extents).map_err(window_error)?;
            crate::program::check_ndim(shape.len()).map_err(window_error)?;
            each_part(operand(x), |part| {
                let misfit = |_| window_error(format!("shape {:?} to {shape:?}", part.shape()));
                part.reshape(&shape).map_err(misfit)
            })
        }
        Node::Take {
            x,
            axis,
            positions,
            extent,
        } => {
            let wanted = wanted(task, *positions, extent)?;
            let places = match &task.program.nodes[x.0 as usize] {
                Node::Input { input, .. } => places(task, *input, *axis, &wanted)?,
                _ => places_in_block(operand(x), *axis, &wanted)?,
            };
            each_part(operand(x), |part| take(part, *axis, &places))
        }
        Node::Concatenate { xs, axis } => {
            let operands = xs.iter().map(|x| single(operand(x)));
            Ok(concatenate(&operands.collect::<Result<Vec<_>, _>>()?, *axis)?.into())
        }
        Node::Part { x, part } => {
            let parts = operand(x).parts();
            let missing = || window_error(format!("part {part} of {}", parts.len()));
            Ok(parts.get(*part).ok_or_else(missing)?.clone().into())
        }
        other => unreachable!("{other:?} moves nothing"),
    }
}

/// The positions that a block of the result takes.
fn wanted(task: &Task<'_>, positions: Digest, extent: &BlockAxis) -> Result<Vec<u64>, KernelError> {
    let all: Vec<u64> = table(task, positions)?;
    let Range { start, end } = shape::extent(extent, task.block_index).map_err(window_error)?;
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    let wanted = range.and_then(|(start, end)| all.get(start..end));
    let wanted = wanted
        .ok_or_else(|| window_error(format!("positions {start}..{end} of a table of {}", all.len())))?;
    Ok(wanted.to_vec())
}

/// Where in the window of an input positions stand.
fn places(task: &Task<'_>, input: usize, axis: usize, wanted: &[u64]) -> Result<Vec<usize>, KernelError> {
    let pieces = task.inputs.get(input).and_then(|window| window.axes.get(axis));
    let pieces = pieces.ok_or_else(|| window_error(format!("the window has no axis {axis}")))?;
    locate(pieces, wanted)
        .map_err(|element| window_error(format!("element {element} of axis {axis} is not in the window")))
}

/// Where positions stand in what this task made, which has the whole axis.
fn places_in_block(made: &Chunk, axis: usize, wanted: &[u64]) -> Result<Vec<usize>, KernelError> {
    let len = made.shape().get(axis).copied();
    let len = len.ok_or_else(|| window_error(format!("no axis {axis} in {} axes", made.shape().len())))?;
    let place = |&position: &u64| {
        let place = usize::try_from(position).ok().filter(|&place| place < len);
        place.ok_or_else(|| window_error(format!("element {position} of axis {axis} of {len}")))
    };
    wanted.iter().map(place).collect()
}

/// A side table's content.
pub(crate) fn table<T: serde::de::DeserializeOwned>(
    task: &Task<'_>,
    digest: Digest,
) -> Result<T, KernelError> {
    let bytes = task
        .tables
        .table(digest)
        .ok_or(KernelError::NoSuchTable(digest))?;
    Ok(decode_table(&bytes)?)
}
