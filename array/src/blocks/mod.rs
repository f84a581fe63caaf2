//! Users' functions on the blocks of arrays.

mod along;
mod blockwise;
mod gufunc;
mod map;
mod reduction;
mod signature;

use std::{collections::BTreeMap, sync::Arc};

use graticule_ops::WholeAxis;
use graticule_plan::{AxisChunks, ChunkGrid, DType};

use crate::{AUTO_CHUNK_BYTES, Array, ArrayError, chunking::shrink, expression::Op, infer::grid_of};

pub use along::{apply_over_axes, fromfunction};
pub use blockwise::{Blockwise, blockwise, unify_chunks};
pub use gufunc::{Gufunc, apply_gufunc};
pub use map::{BlockLen, MapBlocks, map_blocks, map_overlap};
pub use reduction::{BlockReduction, reduction};

/// A user's function on blocks, as an operation names it: workers know the function itself.
///
/// The payload goes to the function with each call. So one function of a worker can stand for many: one that runs what the
/// payload spells out, for instance. The function must make the same of the same blocks; equal operations are one.
///
/// ```
/// use graticule_array::BlockFunction;
///
/// let scale = BlockFunction::new("scale").payload(2.5_f64.to_le_bytes()).scratch_bytes(1 << 20);
/// assert_eq!(&**scale.name(), "scale");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BlockFunction {
    name: Arc<str>,
    payload: Arc<[u8]>,
    scratch_bytes: Option<u64>,
}

impl BlockFunction {
    /// The function that workers know by this name.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            payload: Arc::new([]),
            scratch_bytes: None,
        }
    }

    /// Gives these bytes to each of its calls. They travel once to each worker, whatever the number of blocks.
    #[must_use]
    pub fn payload(self, bytes: impl Into<Vec<u8>>) -> Self {
        let payload = bytes.into().into();
        Self { payload, ..self }
    }

    /// The most bytes that a call takes beside its blocks and its result; unless it is said, as much as these together.
    #[must_use]
    pub fn scratch_bytes(self, bytes: u64) -> Self {
        let scratch_bytes = Some(bytes);
        Self {
            scratch_bytes,
            ..self
        }
    }

    /// The name by which workers know it.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn bytes(&self) -> &Arc<[u8]> {
        &self.payload
    }

    pub(crate) fn scratch(&self) -> Option<u64> {
        self.scratch_bytes
    }

    /// An error of an operation by this function.
    fn misfit(&self, operation: &'static str, why: impl Into<String>) -> ArrayError {
        ArrayError::Function {
            operation,
            function: self.name.to_string(),
            why: why.into(),
        }
    }
}

/// A call of a user's function for each block.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Apply {
    pub(crate) function: BlockFunction,
    /// The dtypes of the result: several make it a tuple.
    pub(crate) dtypes: Vec<DType>,
    pub(crate) operands: Vec<ApplyOperand>,
    /// The result as it was written down, of which rewriting may leave some blocks.
    pub(crate) axes: Vec<WholeAxis>,
    /// Leading axes of the result that the function is called for each index of.
    pub(crate) loops: Option<usize>,
    /// Whether a block is made of several blocks of an operand.
    pub(crate) gathers: bool,
}

/// How an array goes into an [`Apply`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ApplyOperand {
    /// For each axis which of its blocks a block of the result needs.
    pub(crate) reaches: Vec<Reach>,
    /// The array as it was written down.
    pub(crate) axes: Vec<WholeAxis>,
    /// Axes along which the function may ask for the array's own blocks.
    pub(crate) pieces: Vec<(usize, AxisChunks)>,
    /// Axes, the last ones, that no loop goes over.
    pub(crate) core_ndim: usize,
}

/// The blocks along an operand's axis that a block of the result needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reach {
    /// The one with the same number along this axis of the result.
    Block(usize),
    /// All of them.
    Whole,
    /// So many neighbours for one along this axis of the result.
    Group {
        /// The result's axis.
        axis: usize,
        /// Blocks for each.
        fan_in: u64,
    },
}

impl Reach {
    /// The axis of the result whose block decides.
    pub(crate) fn axis(self) -> Option<usize> {
        match self {
            Reach::Block(axis) | Reach::Group { axis, .. } => Some(axis),
            Reach::Whole => None,
        }
    }
}

impl ApplyOperand {
    /// An array whose axes reach so, with nothing said beside it.
    fn new(array: &Array, reaches: Vec<Reach>) -> Self {
        Self {
            reaches,
            axes: array.chunks().axes().iter().map(WholeAxis::new).collect(),
            pieces: Vec::new(),
            core_ndim: 0,
        }
    }
}

/// The results of a function, one array for each dtype.
fn applied(
    function: &BlockFunction,
    operands: Vec<(Array, ApplyOperand)>,
    dtypes: &[DType],
    grid: &ChunkGrid,
    loops: Option<usize>,
) -> Vec<Array> {
    let (arrays, operands) = operands.into_iter().unzip();
    let apply = Apply {
        function: function.clone(),
        dtypes: dtypes.to_vec(),
        operands,
        axes: grid.axes().iter().map(WholeAxis::new).collect(),
        loops,
        gathers: false,
    };
    parts(tuple(apply, arrays, grid))
}

/// The array or tuple of arrays that a function makes. A tuple is for [`parts`] and other functions alone.
fn tuple(apply: Apply, arrays: Vec<Array>, grid: &ChunkGrid) -> Array {
    let dtype = apply.dtypes[0];
    Array::new(Op::Apply(Arc::new(apply)), arrays, dtype, grid.clone())
}

/// The arrays that a tuple holds.
fn parts(made: Array) -> Vec<Array> {
    let Op::Apply(apply) = &made.0.op else {
        unreachable!("only functions make tuples")
    };
    if apply.dtypes.len() == 1 {
        return vec![made];
    }
    let part = |(part, &dtype): (usize, &DType)| {
        Array::new(Op::Part(part), vec![made.clone()], dtype, made.chunks().clone())
    };
    apply.dtypes.iter().enumerate().map(part).collect()
}

/// Arrays whose axes have labels, brought to the same chunks along axes of the same label, and those chunks.
///
/// The cuts of the array with the most bytes win. An axis of one element goes with any length.
fn align(
    misfit: impl Fn(String) -> ArrayError,
    arrays: Vec<(Array, Vec<usize>)>,
) -> Result<(Vec<Array>, BTreeMap<usize, AxisChunks>), ArrayError> {
    let mut by_size: Vec<&(Array, Vec<usize>)> = arrays.iter().collect();
    by_size.sort_by_key(|(array, _)| {
        let blocks = array.chunks().block_count();
        (std::cmp::Reverse(array.nbytes()), std::cmp::Reverse(blocks))
    });
    let mut cuts: BTreeMap<usize, AxisChunks> = BTreeMap::new();
    for (array, labels) in by_size {
        for (chunks, label) in array.chunks().axes().iter().zip(labels) {
            match cuts.get(label) {
                Some(known) if known.len() == chunks.len() || chunks.len() == 1 => {}
                Some(known) if known.len() != 1 => {
                    let (a, b) = (known.len(), chunks.len());
                    return Err(misfit(format!("axes that go together have lengths {a} and {b}")));
                }
                _ => {
                    cuts.insert(*label, chunks.clone());
                }
            }
        }
    }
    let aligned = arrays.into_iter().map(|(array, labels)| {
        let own = array.chunks().axes().iter().zip(&labels);
        let axes = own.map(|(own, label)| match &cuts[label] {
            common if common.len() == own.len() => common.clone(),
            _ => own.clone(),
        });
        let grid = grid_of(axes.collect());
        array.with_grid(&grid)
    });
    Ok((aligned.collect(), cuts))
}

/// How the blocks of an aligned array's axis go into a result whose axis `axis` is cut as `chunks`.
fn reach(own: &AxisChunks, chunks: &AxisChunks, axis: usize) -> Reach {
    if own.count() == chunks.count() {
        Reach::Block(axis)
    } else {
        Reach::Whole
    }
}

/// Bytes of a chunk that is brought together for a function: a task of it takes about four times as many, and should fit any worker.
const TOGETHER_BYTES: u64 = AUTO_CHUNK_BYTES / 4;

/// The array with one chunk along these axes. Where they had several and would take more than [`TOGETHER_BYTES`] now, the
/// others are cut finer: chunks of one step of a long axis must not become the whole array.
fn brought_together(array: &Array, axes: &[usize]) -> Array {
    let own = array.chunks().axes();
    if axes.iter().all(|&axis| own[axis].count() == 1) {
        return array.clone();
    }
    let mut whole = own.to_vec();
    axes.iter()
        .for_each(|&axis| whole[axis] = AxisChunks::whole(own[axis].len()));
    let others: Vec<usize> = (0..array.ndim()).filter(|axis| !axes.contains(axis)).collect();
    let item_bytes = array.dtype().size_bytes().max(1);
    shrink(
        &mut whole,
        &others,
        &array.0.origin.tile,
        item_bytes,
        TOGETHER_BYTES,
    );
    array.with_grid(&grid_of(whole))
}

/// The array with one chunk along these axes.
fn whole_along(array: &Array, axes: &[usize]) -> Array {
    let own = array.chunks().axes().iter().enumerate();
    let cuts = own.map(|(axis, chunks)| match axes.contains(&axis) {
        true => AxisChunks::whole(chunks.len()),
        false => chunks.clone(),
    });
    let grid = grid_of(cuts.collect());
    array.with_grid(&grid)
}
