//! Reductions over windows that move along an axis, in a time that does not depend on how long the windows are.
//!
//! The axis is cut into blocks as long as a window, so a window is the end of one block and the beginning of the next.
//! Ends and beginnings are made by one pass backwards and one forwards: van Herk, A fast algorithm for local minimum and
//! maximum filters (1992); Gil and Werman, Computing 2-D min, median, and max filters (1993). They need an operation that
//! is associative and nothing else, so NaN and infinity end with their window, and a sum is as exact as one of its window.
//!
//! Blocks begin at multiples of the window's length, counted along the whole axis. So a sum of floats, which depends on
//! where they begin, does not depend on how an array is cut and what of the windows is taken.

mod block;

use graticule_ops::{Node, NodeId, ReduceKind, Reduction, Stage};
use graticule_plan::DType;

use block::Block;
use num_complex::Complex;

use super::{
    Layout, Request, carried, carrier,
    extreme::Extreme,
    fold::{Count, Fold, Mean, MeanOf, Prod, Sum, Truth, Var},
    reducible::{Moments, Reducible},
    sink::Sink,
    skips,
    stage::Empty,
};
use crate::{
    Chunk, KernelError,
    fused::{Group, Tiles},
    lazy, movement,
    program::{Value, Values},
    shape,
};

/// Elements of a window from which on its length shall not matter; shorter ones are as well reduced one by one.
const PICK_LEN_MIN: usize = 4;
/// The same of sums, means and variances, which add several elements at once where they lie in the order of the sum.
const SUM_LEN_MIN: usize = 10;
/// Bytes of the states of a block, which shall stay in a core's second cache. Fewer would leave few columns to long windows.
const STATES_BYTES: usize = 768 << 10;
/// Neighbouring elements of a row below which columns are put together from all axes.
const INNER_LEN_MIN: usize = 32;
/// Columns that are worked on together, if there are as many.
const WIDTH: std::ops::RangeInclusive<usize> = 16..=2048;

/// The windows of a reduction over them.
struct Windows {
    /// What they lie in.
    base: NodeId,
    axis: usize,
    len: usize,
    /// The row of its block that the first window begins with.
    offset: usize,
}

/// The result, if this is a reduction over windows that is made so.
pub(super) fn reduced(
    request: &Request<'_>,
    x: NodeId,
    stage: Stage,
    values: &mut Values,
) -> Result<Option<Chunk>, KernelError> {
    let Some(windows) = windows(request, x, stage, values)? else {
        return Ok(None);
    };
    let base = values.meta(windows.base).shape;
    let made = values.meta(x).shape;
    let layout = Layout::new(&made, request.axes, usize::MAX);
    let inner: usize = base[windows.axis + 1..].iter().product();
    // Where rows are short, all other axes together are the columns, and the result is turned back.
    let is_turned = inner < INNER_LEN_MIN && windows.axis > 0;
    let mut order: Vec<usize> = (0..base.len()).collect();
    if is_turned {
        order[..=windows.axis].rotate_right(1);
    }
    let is_only_user = values.users[x.0 as usize].len() == 1;
    if !is_only_user {
        // Who else looks at the windows needs what they lie in, too.
        lazy::force(request.task, values, windows.base.0 as usize)?;
    }
    let group = lazy::group(request.task, values, windows.base.0 as usize, &order)?;
    if is_only_user {
        values.taken(request.task.program, x.0 as usize);
    }
    let group = carried(group, request.reduction);
    let axis = if is_turned { 0 } else { windows.axis };
    let moving = Moving {
        request,
        group: &group,
        outer: group.shape[..axis].iter().product(),
        rows: group.shape[axis],
        inner: group.shape[axis + 1..].iter().product(),
        window: windows.len,
        offset: windows.offset,
        shape: {
            let mut shape = group.shape.clone();
            shape[axis] -= windows.len - 1;
            shape
        },
    };
    let chunk = moving.run()?;
    let tensor = crate::program::single(&chunk)?;
    let tensor = if is_turned {
        let mut back: Vec<usize> = (0..base.len()).collect();
        back[..=windows.axis].rotate_left(1);
        movement::transpose(tensor, &back)?
    } else {
        tensor.clone()
    };
    let shape = layout.result_shape(request.keepdims);
    Ok(Some(tensor.reshape(&shape)?.into()))
}

fn windows(
    request: &Request<'_>,
    x: NodeId,
    stage: Stage,
    values: &Values,
) -> Result<Option<Windows>, KernelError> {
    let step = &request.task.program.nodes[x.0 as usize];
    let (Node::Sliding(sliding), Value::Lazy(_)) = (step, &values.values[x.0 as usize]) else {
        return Ok(None);
    };
    let Ok(len) = usize::try_from(sliding.len) else {
        return Ok(None);
    };
    let is_some = values.meta(x).shape.iter().all(|&len| len > 0);
    let is_long = len_min(request.reduction).is_some_and(|len_min| len >= len_min);
    if stage != Stage::Whole || !is_some || !is_long || request.axes != [sliding.axis + 1] {
        return Ok(None);
    }
    let misfit = |why| request.task.misfit(x.0 as usize, why);
    let extent = shape::extent(&sliding.extent, request.task.block_index).map_err(misfit)?;
    let offset = sliding.start.wrapping_add(extent.start) % sliding.len;
    Ok(Some(Windows {
        base: sliding.x,
        axis: sliding.axis,
        len,
        offset: usize::try_from(offset).expect("it is less than the window's length"),
    }))
}

/// Elements of a window from which on a reduction is made so; `None` if it never is.
///
/// It depends on the reduction alone, so that the same windows give the same bits in every block.
fn len_min(reduction: &Reduction) -> Option<usize> {
    let dtype = carrier(reduction);
    let is_float = matches!(dtype, DType::Float32 | DType::Float64);
    match reduction.kind {
        ReduceKind::Count | ReduceKind::Min | ReduceKind::Max => is_float.then_some(PICK_LEN_MIN),
        ReduceKind::Sum | ReduceKind::Prod | ReduceKind::Mean => {
            let is_integer = matches!(dtype, DType::Int64 | DType::UInt64);
            (is_float || is_integer || dtype.is_complex()).then_some(SUM_LEN_MIN)
        }
        ReduceKind::Var { .. } | ReduceKind::Std { .. } => {
            (is_float || dtype.is_complex()).then_some(SUM_LEN_MIN)
        }
        ReduceKind::Any | ReduceKind::All => (dtype == DType::Bool).then_some(PICK_LEN_MIN),
        _ => None,
    }
}

/// A reduction over windows along the middle one of three axes.
struct Moving<'a> {
    request: &'a Request<'a>,
    group: &'a Group,
    outer: usize,
    rows: usize,
    inner: usize,
    window: usize,
    /// See [`Windows`].
    offset: usize,
    /// The result's shape in the order of the group.
    shape: Vec<usize>,
}

impl Moving<'_> {
    /// With the fold of the reduction: those for which [`len_min`] has a number.
    fn run(&self) -> Result<Chunk, KernelError> {
        let skip = skips(self.request.reduction);
        match (self.group.dtype(), skip) {
            (DType::Float32, false) => self.real::<f32, false>(),
            (DType::Float32, true) => self.real::<f32, true>(),
            (DType::Float64, false) => self.real::<f64, false>(),
            (DType::Float64, true) => self.real::<f64, true>(),
            (DType::Complex64, false) => self.moments::<Complex<f32>, false>(),
            (DType::Complex64, true) => self.moments::<Complex<f32>, true>(),
            (DType::Complex128, false) => self.moments::<Complex<f64>, false>(),
            (DType::Complex128, true) => self.moments::<Complex<f64>, true>(),
            (DType::Int64, _) => self.totals::<i64, false>(),
            (DType::UInt64, _) => self.totals::<u64, false>(),
            (DType::Bool, _) if self.request.reduction.kind == ReduceKind::All => {
                self.fold::<bool, _>(Truth::<true, false>)
            }
            (DType::Bool, _) => self.fold::<bool, _>(Truth::<false, false>),
            (other, _) => unreachable!("no reduction of {other} is made so"),
        }
    }

    fn real<T: Moments, const SKIP: bool>(&self) -> Result<Chunk, KernelError> {
        match self.request.reduction.kind {
            ReduceKind::Count => self.fold::<T, _>(Count),
            ReduceKind::Min => self.fold::<T, _>(Extreme::<false, SKIP>),
            ReduceKind::Max => self.fold::<T, _>(Extreme::<true, SKIP>),
            _ => self.moments::<T, SKIP>(),
        }
    }

    fn moments<T: Moments, const SKIP: bool>(&self) -> Result<Chunk, KernelError> {
        match self.request.reduction.kind {
            ReduceKind::Mean if SKIP => self.fold::<T, _>(Mean::<true>),
            ReduceKind::Mean => self.fold::<T, _>(MeanOf {
                count: self.window as f64,
            }),
            ReduceKind::Var { ddof } => self.fold::<T, _>(Var::<SKIP> { ddof, is_std: false }),
            ReduceKind::Std { ddof } => self.fold::<T, _>(Var::<SKIP> { ddof, is_std: true }),
            _ => self.totals::<T, SKIP>(),
        }
    }

    fn totals<T: Reducible, const SKIP: bool>(&self) -> Result<Chunk, KernelError> {
        match self.request.reduction.kind {
            ReduceKind::Sum => self.fold::<T, _>(Sum::<SKIP>),
            ReduceKind::Prod => self.fold::<T, _>(Prod::<SKIP>),
            _ => unreachable!("no other reduction is made so"),
        }
    }

    fn fold<T: Reducible, F: Fold<T>>(&self, fold: F) -> Result<Chunk, KernelError> {
        let reduction = self.request.reduction;
        let mut sink = Sink::new::<T>(reduction, fold, Stage::Whole, &self.shape, Empty::Raises)?;
        let item = size_of::<T>() + size_of::<F::A>() + size_of::<F::B>() + size_of::<F::C>();
        let width = (STATES_BYTES / (item * self.window)).clamp(*WIDTH.start(), *WIDTH.end());
        // Whole registers and lines of the cache, as many as there are.
        let width = (width / WIDTH.start() * WIDTH.start()).min(self.inner);
        let mut block = Block::<T, F>::new(fold, self.window, width);
        let mut tiles = Tiles::new(self.group, width)?;
        for outer in 0..self.outer {
            for first in (0..self.inner).step_by(width) {
                block.width = width.min(self.inner - first);
                self.columns(&mut block, &mut tiles, &mut sink, (outer, first))?;
            }
        }
        sink.finish()
    }

    /// All windows of some columns.
    fn columns<T: Reducible, F: Fold<T>>(
        &self,
        block: &mut Block<T, F>,
        tiles: &mut Tiles<'_>,
        sink: &mut Sink<'_, F>,
        (outer, first): (usize, usize),
    ) -> Result<(), KernelError> {
        let (window, count) = (self.window, self.rows - (self.window - 1));
        let row_at = |row: usize| (outer * self.rows + row) * self.inner + first;
        let result_at = |row: usize| (outer * count + row) * self.inner + first;
        // The window that is next, and the row of its block that it begins with.
        let (mut start, mut from) = (0, self.offset);
        for row in from..window {
            block.put(row, tiles.values::<T>(row_at(row - from), block.width)?);
        }
        while start < count {
            block.ends(from);
            block.begin();
            let next = start + window - from;
            let until = window.min(from + count - start);
            for k in 0..until {
                if k > 0 {
                    block.put(k - 1, tiles.values::<T>(row_at(next + k - 1), block.width)?);
                    block.extend(k - 1);
                }
                if k >= from {
                    sink.put::<T>(result_at(start + k - from), block.window(k))?;
                }
            }
            (start, from) = (start + until - from, 0);
            if start < count {
                // The last row of the next block, of which no window ends in this one.
                let last = window - 1;
                block.put(last, tiles.values::<T>(row_at(next + last), block.width)?);
            }
        }
        Ok(())
    }
}
