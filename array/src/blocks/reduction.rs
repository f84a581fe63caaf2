//! Reductions by users' functions, as trees.

use graticule_ops::WholeAxis;
use graticule_plan::{AxisChunks, ChunkGrid, DType};

use super::{Apply, ApplyOperand, BlockFunction, Reach, tuple};
use crate::{
    Array, ArrayError, Over,
    infer::{axis_indices, grid_of},
    lower::fans,
};

/// A reduction by functions of the user's: one that makes a partial of each block, one that makes one partial of several,
/// and one that makes the result of the last ones.
///
/// Each of them keeps the reduced axes with length 1. Partials may have several parts (a sum and a count): then the first
/// gives as many tensors, and the others are given a block for each part, with the partials side by side along the
/// reduced axes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockReduction {
    chunk: BlockFunction,
    combine: Option<BlockFunction>,
    aggregate: BlockFunction,
    partials: Vec<DType>,
    dtype: DType,
}

impl BlockReduction {
    /// A reduction to `dtype`, whose partials have that dtype too.
    pub fn new(chunk: BlockFunction, aggregate: BlockFunction, dtype: DType) -> Self {
        Self {
            chunk,
            combine: None,
            aggregate,
            partials: vec![dtype],
            dtype,
        }
    }

    /// Makes one partial of several by a function of its own; otherwise the one for the result does it.
    #[must_use]
    pub fn combine(self, function: BlockFunction) -> Self {
        let combine = Some(function);
        Self { combine, ..self }
    }

    /// Partials have a part of each of these dtypes.
    #[must_use]
    pub fn partials(self, dtypes: impl Into<Vec<DType>>) -> Self {
        let partials = dtypes.into();
        Self { partials, ..self }
    }
}

/// Reduces by functions of the user's, as a tree in which at most [`Over::split_every`] partials are combined at once.
/// As Dask's `reduction`.
///
/// # Errors
/// [`ArrayError::Function`] if the functions do not fit each other, [`ArrayError::AxisOutOfRange`],
/// [`ArrayError::RepeatedAxis`], [`ArrayError::SplitEvery`], [`ArrayError::Plan`].
pub fn reduction(array: &Array, functions: &BlockReduction, over: &Over) -> Result<Array, ArrayError> {
    let axes = match &over.axes {
        Some(axes) => axis_indices(axes, array.ndim())?,
        None => (0..array.ndim()).collect(),
    };
    let count = |&axis: &usize| array.chunks().axes()[axis].count();
    let counts: Vec<u64> = axes.iter().map(count).collect();
    let item_bytes: u64 = functions.partials.iter().map(|dtype| dtype.size_bytes()).sum();
    let split_every = over.fan_in(array.line_len_max(&axes).saturating_mul(item_bytes))?;
    functions.check(over, split_every, counts.iter().product())?;
    let last = functions.partials_of(array, &axes, counts, split_every);
    let mut reaches: Vec<Reach> = (0..array.ndim()).map(Reach::Block).collect();
    axes.iter().for_each(|&axis| reaches[axis] = Reach::Whole);
    let grid = partial_grid(array.chunks(), &axes, &vec![1; axes.len()]);
    let dtypes = [functions.dtype];
    let made = step(&functions.aggregate, &last, reaches, &dtypes, &grid, true);
    if over.keepdims {
        return Ok(made);
    }
    let gone: Vec<i64> = axes.iter().map(|&axis| axis as i64).collect();
    made.squeeze(Some(&gone))
}

impl BlockReduction {
    /// Looks whether the functions fit each other, for a reduction of so many blocks.
    fn check(&self, over: &Over, split_every: u64, block_count: u64) -> Result<(), ArrayError> {
        let misfit = |why: &str| Err(self.chunk.misfit("reduction", why));
        if over.skipna {
            return misfit("whether NaN are left out is what its functions do");
        }
        if self.partials.is_empty() {
            return misfit("partials have no part");
        }
        let combines = self.combine.is_some() || self.partials == [self.dtype];
        if block_count > split_every && !combines {
            return misfit(
                "partials are not of the result's dtype, so a function that combines them is needed",
            );
        }
        Ok(())
    }

    /// The partials of each block, combined level by level until the last function can take them at once.
    fn partials_of(&self, array: &Array, axes: &[usize], mut counts: Vec<u64>, split_every: u64) -> Array {
        let blocks: Vec<Reach> = (0..array.ndim()).map(Reach::Block).collect();
        let grid = partial_grid(array.chunks(), axes, &counts);
        let mut last = step(&self.chunk, array, blocks.clone(), &self.partials, &grid, false);
        let combine = self.combine.as_ref().unwrap_or(&self.aggregate);
        while counts.iter().product::<u64>() > split_every {
            let fans = fans(&counts, split_every);
            let mut reaches = blocks.clone();
            for (&axis, &fan_in) in axes.iter().zip(&fans) {
                reaches[axis] = Reach::Group { axis, fan_in };
            }
            let levels = counts.iter_mut().zip(&fans);
            levels.for_each(|(count, fan)| *count = count.div_ceil(*fan));
            let grid = partial_grid(array.chunks(), axes, &counts);
            last = step(combine, &last, reaches, &self.partials, &grid, true);
        }
        last
    }
}

/// One element for each block along the reduced axes.
fn partial_grid(grid: &ChunkGrid, axes: &[usize], counts: &[u64]) -> ChunkGrid {
    let mut cuts = grid.axes().to_vec();
    for (&axis, &count) in axes.iter().zip(counts) {
        cuts[axis] = match count {
            1 => AxisChunks::whole(1),
            len => AxisChunks::Regular { len, chunk: 1 },
        };
    }
    grid_of(cuts)
}

/// A level of the tree, or its leaves.
fn step(
    function: &BlockFunction,
    array: &Array,
    reaches: Vec<Reach>,
    dtypes: &[DType],
    grid: &ChunkGrid,
    gathers: bool,
) -> Array {
    let mut operand = ApplyOperand::new(array, reaches);
    for (whole, reach) in operand.axes.iter_mut().zip(&operand.reaches) {
        // What is gathered lies side by side, and is nobody's block.
        if !matches!(reach, Reach::Block(_)) {
            whole.block_count = 1;
        }
    }
    let apply = Apply {
        function: function.clone(),
        dtypes: dtypes.to_vec(),
        operands: vec![operand],
        axes: grid.axes().iter().map(WholeAxis::new).collect(),
        loops: None,
        gathers,
    };
    tuple(apply, vec![array.clone()], grid)
}
