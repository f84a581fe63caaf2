use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use graticule_ops::{
    AxisSelection, BinaryOp, Binning, Contraction, DistinctPart, Distribution, LinalgKind, ReduceKind,
    Reduction, Scalar, Scan, SearchKind, Sorting, Transform, UnaryOp,
};
use graticule_plan::{Annotations, AxisChunks, ChunkGrid, DType, Digest, Key, Rows};

use crate::{annotate, blocks::Apply, error::shape_text, half, origin::Origin, scan::ScanPart};

/// A lazy chunked array: an expression that knows its shape, dtype and chunks, and computes nothing.
///
/// Cloning is cheap, and arrays share the expressions they are made of. All methods that make a new array check
/// their arguments at once, so an expression that exists can be lowered.
#[derive(Clone)]
pub struct Array(pub(crate) Arc<Expression>);

/// One node of the expression that an [`Array`] stands for.
pub(crate) struct Expression {
    pub(crate) op: Op,
    pub(crate) operands: Vec<Array>,
    pub(crate) dtype: DType,
    pub(crate) grid: ChunkGrid,
    pub(crate) origin: Origin,
    pub(crate) annotations: Option<Arc<Annotations>>,
    /// What must live as long as the expression does.
    #[expect(dead_code, reason = "held, never looked at")]
    pub(crate) keeps: Option<Keeps>,
}

/// Something that an expression keeps alive, whatever it is.
#[derive(Clone)]
pub(crate) struct Keeps(
    #[expect(dead_code, reason = "held, never looked at")] Arc<dyn std::any::Any + Send + Sync>,
);

/// What a node makes of its operands. Shape, chunks and dtype stand beside it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    /// A window on an array outside the cluster.
    Source {
        table: Arc<SourceTable>,
        selection: Vec<AxisSelection>,
    },
    /// A result that the cluster holds.
    Held(Key),
    /// One number.
    Constant(Scalar),
    /// An array of one value.
    Full(Scalar),
    /// `start + step * k`, exact integers.
    Arange { start: i64, step: i64 },
    /// Random numbers.
    Random(Randoms),
    /// Conversion to the node's dtype.
    Cast,
    /// An operation on each element.
    Unary(UnaryOp),
    /// An operation on pairs of elements, operands of one dtype.
    Binary(BinaryOp),
    /// Operands: condition, where true, where false.
    Where,
    /// One selection for each axis.
    Slice(Vec<AxisSelection>),
    /// A list of positions along one axis.
    Take { axis: usize, positions: Arc<[u64]> },
    /// Axis `i` of the result is axis `order[i]` of the operand.
    Transpose(Vec<usize>),
    /// A new axis of length 1.
    ExpandDims(usize),
    /// Drops an axis of length 1.
    Squeeze(usize),
    /// Repeats axes of length 1 up to the node's shape.
    BroadcastTo,
    /// The same elements in C order. For each axis of the operand the axis of the result whose blocks are made of its
    /// blocks, one of one; `None` for an axis of one block.
    Reshape(Vec<Option<usize>>),
    /// Along each axis that has intervals block `i` is made of elements `intervals[i].0..intervals[i].1` of the operand,
    /// which may overlap with those of other blocks or leave some out between them; along the others cut as the operand.
    Windows(Vec<Option<Intervals>>),
    /// Windows of so many neighbours along an axis, along a new one behind it. Blocks are made of one block each. `start`
    /// windows of a longer array stand before the first one.
    Sliding { axis: usize, len: u64, start: u64 },
    /// Operands: an array of which the axis is one chunk, and positions along it, of the result's shape and chunks.
    TakeAlong(usize),
    /// Operands one after another along an axis.
    Concatenate(usize),
    /// The same array in the node's chunks.
    Rechunk,
    /// A reduction: in one step where the reduced axes are one block, else by a tree.
    Reduce(Reduce),
    /// A reduction by groups along an axis, likewise.
    GroupReduce(GroupReduce),
    /// Lines along an axis sorted, each within one block.
    Sort(Sorting),
    /// Operands: a sorted array of one block, and what is looked up in it.
    Search(SearchKind),
    /// Each block to counts: an element for it along each axis, and an axis of the bins. Operands: numbers, and maybe
    /// weights.
    Count(Binning),
    /// Each block of booleans to how many are true, along its one axis.
    CountTrue,
    /// Operands: an array, and booleans along one axis of it, cut as it is. What is left of each block, in blocks of lengths
    /// that were counted before, of which some may be empty.
    Compress(usize),
    /// The same elements without the empty blocks along an axis.
    Compact(usize),
    /// The distinct elements of each block of an array of one axis, as many as were counted before. Operands: the array, and
    /// maybe, in this order, where its elements stand in another one and how often.
    Distinct(Distinct),
    /// Sums of products. Of each summed pair of axes that `split` names, the result has an axis at its end with an
    /// element for each block, and the sums go over one block.
    Contract {
        contraction: Contraction,
        split: Vec<usize>,
    },
    /// What is made of the matrices in the last two axes, each within one block; or of the matrix in each block, where those
    /// axes have several. Blocks are made of one block each.
    Linalg(LinalgKind),
    /// Fourier transforms of lines along an axis, each within one block.
    Fourier(Transform),
    /// A scan along an axis: in one step where the axis is one block, else in parts.
    Scan(Scan, ScanPart),
    /// A user's function of blocks. One of several dtypes makes a tuple, which parts of it and other functions take.
    Apply(Arc<Apply>),
    /// One array of a tuple.
    Part(usize),
    /// Each block to a partial. Made by lowering only, as are the two below.
    Partial(Reducer),
    /// Neighbouring partials to one, so many along each of the reducer's axes.
    Combine(Reducer, Vec<u64>),
    /// All partials to the result.
    Finish(Reducer),
}

/// One interval of elements for each block.
pub(crate) type Intervals = Arc<[(u64, u64)]>;

/// Which random numbers an array has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Randoms {
    pub(crate) seed: u64,
    pub(crate) stream: u32,
    pub(crate) distribution: Distribution,
    /// The shape in which a number's place counts, and the elements of it that the array has.
    pub(crate) shape: Arc<[u64]>,
    pub(crate) selection: Vec<AxisSelection>,
}

/// A reduction over axes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Reduce {
    pub(crate) reduction: Reducing,
    /// Rising.
    pub(crate) axes: Vec<usize>,
    pub(crate) keepdims: bool,
    pub(crate) split_every: u64,
}

/// A reduction of the elements of each group along axes, of which the first one gets an element for each group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct GroupReduce {
    pub(crate) reduction: Reducing,
    /// Rising.
    pub(crate) axes: Vec<usize>,
    /// Of each element over the axes, in C order, its group's place in its part of `groups`; -1 for none.
    pub(crate) codes: Arc<[i32]>,
    /// The groups: in one part, or in as many as there are cohorts.
    pub(crate) groups: AxisChunks,
    /// Of each block along the first axis its cohort, where there are several: the part of the groups that it has elements of.
    pub(crate) cohorts: Option<Arc<[u64]>>,
    pub(crate) split_every: u64,
}

impl GroupReduce {
    /// Whether each block has groups of its own, so that nothing is left to combine.
    pub(crate) fn is_blockwise(&self) -> bool {
        let cohorts = self.cohorts.as_deref().unwrap_or_default();
        !cohorts.is_empty() && cohorts.iter().zip(0..).all(|(&cohort, block)| cohort == block)
    }

    /// Groups that partials of each block along the first axis have.
    pub(crate) fn partial_lengths(&self) -> Option<Vec<u64>> {
        let lengths = self.groups.lengths();
        let of_block = |cohort: &u64| lengths[*cohort as usize];
        Some(self.cohorts.as_ref()?.iter().map(of_block).collect())
    }

    /// The blocks that have elements of each cohort.
    pub(crate) fn cohort_blocks(&self) -> Option<Rows> {
        let mut rows = vec![Vec::new(); self.groups.count() as usize];
        for (&cohort, block) in self.cohorts.as_ref()?.iter().zip(0..) {
            rows[cohort as usize].push(block);
        }
        Some(Rows::new(rows))
    }

    fn name(&self) -> String {
        let strategy = match &self.cohorts {
            None => "",
            Some(_) if self.is_blockwise() => "-blockwise",
            Some(_) => "-cohorts",
        };
        format!("groupby-{}{strategy}", self.reduction.0.name())
    }

    /// Axes that the result has before those of its operand: one for quantiles.
    pub(crate) fn lead(&self) -> usize {
        usize::from(matches!(self.reduction.0.kind, ReduceKind::Quantile { .. }))
    }
}

/// Either sort of reduction, as the steps of a tree carry it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Reducer {
    Axes(Reduce),
    Groups(GroupReduce),
}

impl Reducer {
    pub(crate) fn axes(&self) -> &[usize] {
        match self {
            Reducer::Axes(reduce) => &reduce.axes,
            Reducer::Groups(group) => &group.axes,
        }
    }

    pub(crate) fn reduction(&self) -> &Reduction {
        match self {
            Reducer::Axes(reduce) => &reduce.reduction.0,
            Reducer::Groups(group) => &group.reduction.0,
        }
    }

    pub(crate) fn split_every(&self) -> u64 {
        match self {
            Reducer::Axes(reduce) => reduce.split_every,
            Reducer::Groups(group) => group.split_every,
        }
    }

    /// Elements of one partial along the reduced axis at `position`.
    pub(crate) fn partial_len(&self, position: usize) -> u64 {
        match self {
            Reducer::Groups(group) if position == 0 => group.groups.len(),
            Reducer::Axes(_) | Reducer::Groups(_) => 1,
        }
    }
}

/// What is told of the distinct elements of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Distinct {
    pub(crate) part: DistinctPart,
    /// Whether all that is NaN is one element.
    pub(crate) equal_nan: bool,
    /// Whether an operand says where the elements stand, and one how often.
    pub(crate) has_positions: bool,
    pub(crate) has_counts: bool,
}

/// A [`Reduction`] that can be compared and hashed: quantiles go by their bits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reducing(pub(crate) Reduction);

impl Eq for Reducing {}

impl Hash for Reducing {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Reduction { kind, skipna, dtype } = &self.0;
        (kind.name(), skipna, dtype).hash(state);
        match kind {
            ReduceKind::Var { ddof } | ReduceKind::Std { ddof } => ddof.hash(state),
            ReduceKind::Quantile { qs } => qs.iter().for_each(|q| q.to_bits().hash(state)),
            _ => {}
        }
    }
}

/// An encoded array source with what planning needs to know of it.
#[derive(Debug)]
pub(crate) struct SourceTable {
    pub(crate) digest: Digest,
    pub(crate) bytes: Arc<[u8]>,
    /// Shape of a stored tile; 1 along axes where any cut is as good.
    pub(crate) tile: Vec<u64>,
    /// Bytes of one stored element.
    pub(crate) item_bytes: u64,
    pub(crate) is_inline: bool,
}

impl PartialEq for SourceTable {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for SourceTable {}

impl Hash for SourceTable {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl Op {
    /// The name that layers made of this operation carry.
    pub(crate) fn name(&self) -> String {
        let text = match self {
            Op::Source { table, .. } if table.is_inline => "inline",
            Op::Source { .. } => "read",
            Op::Held(_) => "held",
            Op::Constant(_) => "constant",
            Op::Full(_) => "full",
            Op::Arange { .. } => "arange",
            Op::Random(randoms) => randoms.distribution.name(),
            Op::Cast => "astype",
            Op::Unary(op) => op.name(),
            Op::Binary(op) => op.name(),
            Op::Where => "where",
            Op::Slice(_) => "slice",
            Op::Take { .. } => "take",
            Op::Transpose(_) => "transpose",
            Op::ExpandDims(_) => "expand_dims",
            Op::Squeeze(_) => "squeeze",
            Op::BroadcastTo => "broadcast_to",
            Op::Reshape(_) => "reshape",
            Op::TakeAlong(_) => "take_along_axis",
            Op::CountTrue => "count-true",
            Op::Compress(_) => "compress",
            Op::Compact(_) => "compact",
            Op::Distinct(_) => "unique",
            Op::Windows(_) => "windows",
            Op::Sliding { .. } => "sliding",
            Op::Concatenate(_) => "concatenate",
            Op::Rechunk => "rechunk",
            Op::Reduce(reduce) => return reduce.reduction.0.name(),
            Op::GroupReduce(group) => return group.name(),
            Op::Sort(Sorting { count: Some(_), .. }) => "topk",
            Op::Sort(Sorting { positions: true, .. }) => "argsort",
            Op::Sort(_) => "sort",
            Op::Search(kind) => kind.name(),
            Op::Count(_) => "bincount",
            Op::Contract { .. } => "contract",
            Op::Linalg(kind) => kind.name(),
            Op::Fourier(transform) => transform.name(),
            Op::Scan(scan, part) => return part.name(scan),
            Op::Apply(apply) => return apply.function.name().to_string(),
            Op::Part(_) => "part",
            Op::Partial(reducer) => return format!("{}-partial", reducer.name()),
            Op::Combine(reducer, _) => return format!("{}-combine", reducer.name()),
            Op::Finish(reducer) => return reducer.name(),
        };
        text.into()
    }

    /// Whether each element of the result depends on the elements at its place alone.
    pub(crate) fn is_elementwise(&self) -> bool {
        matches!(self, Op::Cast | Op::Unary(_) | Op::Binary(_) | Op::Where)
    }
}

impl Reducer {
    fn name(&self) -> String {
        match self {
            Reducer::Axes(reduce) => reduce.reduction.0.name(),
            Reducer::Groups(group) => group.name(),
        }
    }
}

impl Array {
    pub(crate) fn new(op: Op, operands: Vec<Array>, dtype: DType, grid: ChunkGrid) -> Self {
        if let Some(array) = half::widened(&op, &operands, dtype, &grid) {
            return array;
        }
        let origin = Origin::infer(&op, &operands, dtype, &grid);
        Self(Arc::new(Expression {
            op,
            operands,
            dtype,
            grid,
            origin,
            annotations: annotate::current(),
            keeps: None,
        }))
    }

    /// The same array, which keeps `what` alive as long as itself and everything that is made of it: the handle of a result
    /// that the cluster holds, say.
    #[must_use]
    pub fn keeping(&self, what: Arc<dyn std::any::Any + Send + Sync>) -> Self {
        let Expression {
            op,
            operands,
            dtype,
            grid,
            origin,
            annotations,
            keeps: _,
        } = &*self.0;
        Self(Arc::new(Expression {
            op: op.clone(),
            operands: operands.clone(),
            dtype: *dtype,
            grid: grid.clone(),
            origin: origin.clone(),
            annotations: annotations.clone(),
            keeps: Some(Keeps(what)),
        }))
    }

    /// The dtype of the elements.
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// Elements along each axis.
    pub fn shape(&self) -> Vec<u64> {
        self.0.grid.shape()
    }

    /// Number of axes.
    pub fn ndim(&self) -> usize {
        self.0.grid.ndim()
    }

    /// How the array is cut into chunks.
    ///
    /// No chunk is empty, except the one that an axis without elements has.
    pub fn chunks(&self) -> &ChunkGrid {
        &self.0.grid
    }

    /// Elements in all.
    pub fn size(&self) -> u64 {
        self.0.grid.element_count()
    }

    /// Bytes of all elements.
    pub fn nbytes(&self) -> u64 {
        self.size().saturating_mul(self.dtype().size_bytes())
    }
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chunks: Vec<u64> = self.chunks().axes().iter().map(|axis| axis.chunk_max()).collect();
        let (name, dtype) = (self.0.op.name(), self.dtype());
        write!(
            f,
            "Array<{name}, shape={}, dtype={dtype}, chunks={}>",
            shape_text(&self.shape()),
            shape_text(&chunks)
        )
    }
}

impl Drop for Expression {
    /// Drops long chains one by one: the default would recurse once for each operation.
    fn drop(&mut self) {
        let mut left = std::mem::take(&mut self.operands);
        while let Some(Array(node)) = left.pop() {
            if let Some(mut last) = Arc::into_inner(node) {
                left.append(&mut last.operands);
            }
        }
    }
}
