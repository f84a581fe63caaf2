//! Users' functions on blocks.

use std::{collections::BTreeMap, fmt, ops::Range, sync::Arc};

use graticule_ops::{Apply, ApplyAxis, ApplyOperand, BlockAxis};
use graticule_plan::{AxisChunks, DType};

use crate::{
    BoxError, Chunk, Element, KernelError, Tensor, TensorMut, lazy,
    program::{Task, Values, check_ndim},
    shape,
    tensor::advance,
};

/// A user's function that makes a block of blocks.
pub type BlockFunction = dyn Fn(&BlockCall<'_>) -> Result<Chunk, BoxError> + Send + Sync;

/// The users' functions that tasks may call, by name.
pub trait BlockFunctions {
    /// Calls a function; `None` if there is none of that name.
    fn call(&self, function: &str, call: &BlockCall<'_>) -> Option<Result<Chunk, BoxError>>;
}

impl BlockFunctions for BTreeMap<Arc<str>, Arc<BlockFunction>> {
    fn call(&self, function: &str, call: &BlockCall<'_>) -> Option<Result<Chunk, BoxError>> {
        Some(self.get(function)?(call))
    }
}

/// No functions at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFunctions;

impl BlockFunctions for NoFunctions {
    fn call(&self, _: &str, _: &BlockCall<'_>) -> Option<Result<Chunk, BoxError>> {
        None
    }
}

/// What a user's function is given: blocks to look at, constant bytes, and what it is to make.
#[derive(Debug)]
pub struct BlockCall<'a> {
    blocks: Vec<Block>,
    payload: &'a [u8],
    place: BlockPlace,
    shape: Vec<usize>,
    dtypes: &'a [DType],
}

/// A block of one of the arrays that a function works on. Its elements are shared, not copied.
#[derive(Debug, Clone)]
pub struct Block {
    tensor: Tensor,
    place: BlockPlace,
    pieces: Vec<(usize, AxisChunks)>,
}

/// Where a block lies in its array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockPlace {
    axes: Vec<AxisPlace>,
}

/// Where a block lies along one axis of its array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AxisPlace {
    /// Its number along the axis.
    pub block: u64,
    /// How many blocks the axis has.
    pub block_count: u64,
    /// The elements that it covers.
    pub elements: Range<u64>,
    /// How many elements the axis has.
    pub len: u64,
}

impl BlockCall<'_> {
    /// The blocks, in the order of the operation's arrays.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// One of the blocks.
    ///
    /// # Panics
    /// If the operation has fewer arrays.
    pub fn block(&self, position: usize) -> &Block {
        &self.blocks[position]
    }

    /// The bytes that the operation carries along for the function.
    pub fn payload(&self) -> &[u8] {
        self.payload
    }

    /// The shape of the block that is to be made.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The dtype of the block that is to be made; the first one, where it has several parts.
    pub fn dtype(&self) -> DType {
        self.dtypes[0]
    }

    /// The dtypes of all its parts.
    pub fn dtypes(&self) -> &[DType] {
        self.dtypes
    }

    /// Where the block that is to be made lies in the result.
    pub fn place(&self) -> &BlockPlace {
        &self.place
    }
}

impl Block {
    /// Elements along each axis.
    pub fn shape(&self) -> &[usize] {
        self.tensor.shape()
    }

    /// The elements' dtype.
    pub fn dtype(&self) -> DType {
        self.tensor.dtype()
    }

    /// The elements in C order, or an error that names both dtypes.
    ///
    /// # Errors
    /// [`KernelError::BlockDType`].
    pub fn elements<T: Element>(&self) -> Result<&[T], KernelError> {
        self.tensor.as_slice().ok_or(KernelError::BlockDType {
            got: self.tensor.dtype(),
            want: T::DTYPE,
        })
    }

    /// The block as a tensor, which may be handed back as it is.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Where it lies in its array.
    pub fn place(&self) -> &BlockPlace {
        &self.place
    }

    /// The array's own blocks that make up this one, in C order, where the operation asked for them one by one; else the
    /// block itself.
    ///
    /// # Errors
    /// [`KernelError::Window`] if the block is not cut so, [`KernelError::TooLarge`].
    pub fn pieces(&self) -> Result<Vec<Tensor>, KernelError> {
        let mut regions: Vec<Vec<Range<u64>>> = vec![self.shape().iter().map(|&len| 0..len as u64).collect()];
        for (axis, chunks) in &self.pieces {
            let cut = |region: Vec<Range<u64>>| {
                (0..chunks.count()).map(move |block| {
                    let mut part = region.clone();
                    part[*axis] = chunks.extent(block);
                    part
                })
            };
            regions = regions.into_iter().flat_map(cut).collect();
        }
        regions.iter().map(|region| self.tensor.region(region)).collect()
    }

    /// How many pieces there are along each axis that has several.
    pub fn piece_counts(&self) -> Vec<(usize, u64)> {
        let counts = self.pieces.iter();
        counts.map(|(axis, chunks)| (*axis, chunks.count())).collect()
    }
}

impl BlockPlace {
    /// One place for each axis.
    pub fn axes(&self) -> &[AxisPlace] {
        &self.axes
    }

    /// The block's number along each axis.
    pub fn index(&self) -> Vec<u64> {
        self.axes.iter().map(|axis| axis.block).collect()
    }

    fn of(axes: &[ApplyAxis], block_index: &[u64]) -> Result<Self, String> {
        let axis = |ApplyAxis { extent, whole }: &ApplyAxis| {
            let Range { start, end } = shape::extent(extent, block_index)?;
            let made = match extent {
                BlockAxis::Whole { .. } => 0,
                BlockAxis::Cut { out_axis, .. } => block_index[*out_axis],
            };
            let moved = |element: u64| element.saturating_add(whole.elements_before);
            Ok(AxisPlace {
                block: made.saturating_add(whole.blocks_before),
                block_count: whole.block_count,
                elements: moved(start)..moved(end),
                len: whole.len,
            })
        };
        let axes = axes.iter().map(axis).collect::<Result<_, String>>()?;
        Ok(Self { axes })
    }

    fn shape(&self) -> Result<Vec<usize>, String> {
        let extents: Vec<_> = self.axes.iter().map(|axis| axis.elements.clone()).collect();
        shape::shape_of(&extents)
    }

    /// The place of one element along each of the first axes, counted from the block's first; all of an axis of one.
    fn within(&self, index: &[usize]) -> Self {
        let mut axes = self.axes.clone();
        for (axis, &at) in axes.iter_mut().zip(index) {
            let first = axis.elements.start.saturating_add(at as u64);
            axis.elements = first..first.saturating_add(1);
        }
        Self { axes }
    }
}

impl fmt::Display for BlockPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elements: Vec<_> = self.axes.iter().map(|axis| &axis.elements).collect();
        write!(f, "block {:?} (elements {elements:?})", self.index())
    }
}

/// Calls the function of a node, once or in a loop.
pub(crate) fn node(
    task: &Task<'_>,
    node: usize,
    apply: &Apply,
    values: &mut Values,
) -> Result<Chunk, KernelError> {
    for operand in &apply.operands {
        lazy::force(task, values, operand.x.0 as usize)?;
    }
    let misfit = |why: String| task.misfit(node, why);
    let place = BlockPlace::of(&apply.axes, task.block_index).map_err(misfit)?;
    let shape = place.shape().map_err(misfit)?;
    check_ndim(shape.len()).map_err(misfit)?;
    let mut blocks = Vec::with_capacity(apply.operands.len());
    for operand in &apply.operands {
        let chunk = values.ready(operand.x.0 as usize).expect("just forced");
        let of_operand = operand_blocks(operand, chunk, task.block_index).map_err(misfit)?;
        blocks.extend(of_operand.into_iter().map(|block| (block, operand.core_ndim)));
    }
    if apply.dtypes.is_empty() {
        return Err(misfit("it makes nothing".into()));
    }
    let payload = match apply.payload {
        None => Vec::new().into(),
        Some(digest) => task
            .tables
            .table(digest)
            .ok_or(KernelError::NoSuchTable(digest))?,
    };
    let call = BlockCall {
        blocks: Vec::new(),
        payload: &payload,
        place,
        shape,
        dtypes: &apply.dtypes,
    };
    match apply.loops {
        None => {
            let blocks = blocks.into_iter().map(|(block, _)| block).collect();
            one(task, apply, &BlockCall { blocks, ..call })
        }
        Some(loops) if loops <= call.shape.len() => {
            each(task, apply, &call, &blocks, loops).map_err(|error| match error {
                KernelError::Window(why) => misfit(why),
                other => other,
            })
        }
        Some(loops) => Err(misfit(format!("{loops} loops over shape {:?}", call.shape))),
    }
}

fn operand_blocks(operand: &ApplyOperand, chunk: &Chunk, index: &[u64]) -> Result<Vec<Block>, String> {
    let place = BlockPlace::of(&operand.axes, index)?;
    let shape = chunk.shape();
    let fits = |(axis, chunks): &(usize, AxisChunks)| {
        shape.get(*axis).is_some_and(|&len| len as u64 == chunks.len())
    };
    if let Some((axis, chunks)) = operand.pieces.iter().find(|piece| !fits(piece)) {
        return Err(format!(
            "pieces of {} elements along axis {axis} of shape {shape:?}",
            chunks.len()
        ));
    }
    let block = |tensor: &Tensor| Block {
        tensor: tensor.clone(),
        place: place.clone(),
        pieces: operand.pieces.clone(),
    };
    Ok(chunk.parts().iter().map(block).collect())
}

/// Calls the function and looks at what it made.
fn one(task: &Task<'_>, apply: &Apply, call: &BlockCall<'_>) -> Result<Chunk, KernelError> {
    let function = || apply.function.clone();
    let made = task.functions.call(&apply.function, call);
    let made = made.ok_or_else(|| KernelError::NoSuchFunction { function: function() })?;
    let made = made.map_err(|error| KernelError::Function {
        function: function(),
        place: call.place.clone(),
        error,
    })?;
    if made.dtypes() == call.dtypes && made.shape() == call.shape {
        return Ok(made);
    }
    let text = |dtypes: &[DType], shape: &[usize]| {
        let names: Vec<&str> = dtypes.iter().map(|dtype| dtype.name()).collect();
        format!("{} of shape {shape:?}", names.join(" and "))
    };
    Err(KernelError::FunctionResult {
        function: function(),
        place: call.place.clone(),
        got: text(&made.dtypes(), made.shape()),
        want: text(call.dtypes, &call.shape),
    })
}

/// Calls the function for each index of the result's first `loops` axes.
fn each(
    task: &Task<'_>,
    apply: &Apply,
    whole: &BlockCall<'_>,
    blocks: &[(Block, usize)],
    loops: usize,
) -> Result<Chunk, KernelError> {
    let (outer, core) = whole.shape.split_at(loops);
    let made = whole
        .dtypes
        .iter()
        .map(|&dtype| TensorMut::zeros(dtype, &whole.shape));
    let mut made: Vec<TensorMut> = made.collect::<Result<_, _>>()?;
    let mut index = vec![0; loops];
    let mut count = 0;
    if outer.contains(&0) {
        return Chunk::new(made.into_iter().map(TensorMut::freeze).collect());
    }
    loop {
        let of_index = blocks
            .iter()
            .map(|(block, core_ndim)| at_index(block, *core_ndim, &index));
        let call = BlockCall {
            blocks: of_index.collect::<Result<_, _>>()?,
            payload: whole.payload,
            place: whole.place.within(&index),
            shape: core.to_vec(),
            dtypes: whole.dtypes,
        };
        let parts = one(task, apply, &call)?.into_parts();
        for (out, part) in made.iter_mut().zip(parts) {
            let len = part.bytes().len();
            out.trusted_bytes_mut()[count * len..(count + 1) * len].copy_from_slice(part.bytes());
        }
        count += 1;
        if !advance(&mut index, outer) {
            return Chunk::new(made.into_iter().map(TensorMut::freeze).collect());
        }
    }
}

/// The part of an operand's block that goes with an index of the loops, which broadcast.
fn at_index(block: &Block, core_ndim: usize, index: &[usize]) -> Result<Block, KernelError> {
    let shape = block.tensor.shape();
    let outer = shape
        .len()
        .checked_sub(core_ndim)
        .filter(|outer| *outer <= index.len());
    let misfit = || {
        KernelError::Window(format!(
            "an operand of shape {shape:?} with {core_ndim} axes of its own in {} loops",
            index.len()
        ))
    };
    let outer = outer.ok_or_else(misfit)?;
    let core: usize = shape[outer..].iter().product();
    let mut own = Vec::with_capacity(outer);
    let mut first = 0;
    for (&len, &at) in shape[..outer].iter().zip(&index[index.len() - outer..]) {
        let at = if len == 1 { 0 } else { at };
        if at >= len {
            return Err(misfit());
        }
        own.push(at);
        first = first * len + at;
    }
    Ok(Block {
        tensor: block.tensor.piece(first * core, &shape[outer..]),
        place: block.place.within(&own),
        pieces: Vec::new(),
    })
}
