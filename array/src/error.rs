use graticule_ops::OpsError;
use graticule_plan::{DType, PlanError};

/// Why an array expression cannot be built or lowered. All of these are found before anything runs.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ArrayError {
    /// Shapes that do not broadcast.
    #[error("operands could not be broadcast together with shapes {}", shape_list(.shapes))]
    Broadcast {
        /// The shapes, in the order of the operands.
        shapes: Vec<Vec<u64>>,
    },
    /// A shape that an array cannot be repeated to.
    #[error("cannot broadcast an array of shape {} to shape {}", shape_text(.from), shape_text(.to))]
    BroadcastTo {
        /// The array's shape.
        from: Vec<u64>,
        /// The shape asked for.
        to: Vec<u64>,
    },
    /// An axis that the array lacks.
    #[error("axis {axis} is out of bounds for array of dimension {ndim}")]
    AxisOutOfRange {
        /// The axis as given.
        axis: i64,
        /// The array's number of axes.
        ndim: usize,
    },
    /// No axis was named where there are several.
    #[error("an axis must be given for an array of dimension {ndim}")]
    AxisMissing {
        /// The array's number of axes.
        ndim: usize,
    },
    /// Axes to be summed over that are not of one length.
    #[error("{operation} sums over axes of lengths {first} and {second}, which must be the same")]
    Summed {
        /// NumPy's name of the operation.
        operation: &'static str,
        /// The length in one array.
        first: u64,
        /// The length in the other.
        second: u64,
    },
    /// Not as many axes of one array as of the other.
    #[error("{first} axes of one array go with {second} of the other; as many are needed")]
    AxisCount {
        /// Axes of one array.
        first: usize,
        /// Axes of the other.
        second: usize,
    },
    /// A single number where an axis is needed.
    #[error("{operation} needs arrays of at least one axis; multiply by a number instead")]
    NoAxes {
        /// NumPy's name of the operation.
        operation: &'static str,
    },
    /// An array of more or fewer axes than the operation takes.
    #[error("{operation} takes arrays of dimension {want}, not {ndim}")]
    Dimension {
        /// NumPy's name of the operation.
        operation: &'static str,
        /// The array's number of axes.
        ndim: usize,
        /// The number that is needed.
        want: usize,
    },
    /// Subscripts of `einsum` that do not fit its arrays.
    #[error("einsum {subscripts:?}: {why}")]
    Einsum {
        /// As given.
        subscripts: String,
        /// What does not fit.
        why: String,
    },
    /// Random numbers that cannot be.
    #[error("{distribution}: {why}")]
    Random {
        /// NumPy's name of the distribution.
        distribution: &'static str,
        /// What does not fit, and what would.
        why: String,
    },
    /// Edges of bins that are not in order.
    #[error("edges of bins must {why}")]
    Edges {
        /// What they must do.
        why: &'static str,
    },
    /// Numbers that are no integers where only integers will do.
    #[error("{operation} takes integers, not {dtype}; cast them first")]
    Integers {
        /// NumPy's name of the operation.
        operation: &'static str,
        /// The array's dtype.
        dtype: DType,
    },
    /// The same axis twice.
    #[error("axis {axis} is named twice")]
    RepeatedAxis {
        /// The axis.
        axis: usize,
    },
    /// Axes that are no permutation.
    #[error("axes {axes:?} don't match an array of dimension {ndim}")]
    Permutation {
        /// The axes as given.
        axes: Vec<i64>,
        /// The array's number of axes.
        ndim: usize,
    },
    /// An axis that is to be dropped but has more or fewer than one element.
    #[error("cannot squeeze axis {axis}, which has size {len} and not 1")]
    Squeeze {
        /// The axis.
        axis: usize,
        /// Its length.
        len: u64,
    },
    /// An element that the axis lacks.
    #[error("index {index} is out of bounds for axis {axis} with size {len}")]
    IndexOutOfRange {
        /// The index as given.
        index: i64,
        /// The axis.
        axis: usize,
        /// The axis' length.
        len: u64,
    },
    /// More indices than axes.
    #[error("too many indices: the array has {ndim} axes, but {given} were indexed")]
    TooManyIndices {
        /// Indices that take an axis.
        given: usize,
        /// The array's number of axes.
        ndim: usize,
    },
    /// More than one `...` in an index.
    #[error("an index can only have a single ellipsis")]
    SeveralEllipses,
    /// A slice with step 0.
    #[error("slice step cannot be zero")]
    ZeroStep,
    /// Explicit chunk lengths that do not add up to their axis.
    #[error("chunks add up to {got} along axis {axis}, but its length is {want}")]
    ChunksDoNotAddUp {
        /// The axis.
        axis: usize,
        /// The sum of the chunk lengths.
        got: u64,
        /// The axis' length.
        want: u64,
    },
    /// Not one chunking for each axis.
    #[error("{given} chunk sizes for an array of dimension {ndim}")]
    ChunkCount {
        /// Chunkings given.
        given: usize,
        /// The array's number of axes.
        ndim: usize,
    },
    /// Arrays that cannot be joined.
    #[error(
        "all the input array dimensions except for the concatenation axis must match exactly, but along axis {axis} \
         the array at index 0 has size {first} and the array at index {index} has size {len}"
    )]
    ConcatenateShape {
        /// The axis that differs.
        axis: usize,
        /// The first array's length.
        first: u64,
        /// Position of the array that differs.
        index: usize,
        /// Its length.
        len: u64,
    },
    /// Arrays of different dimension that were to be joined.
    #[error(
        "all the input arrays must have the same number of dimensions, but the array at index 0 has {first} and the \
         array at index {index} has {ndim}"
    )]
    ConcatenateDimension {
        /// The first array's number of axes.
        first: usize,
        /// Position of the array that differs.
        index: usize,
        /// Its number of axes.
        ndim: usize,
    },
    /// Arrays to stack that are not of one shape.
    #[error("all input arrays must have the same shape, but {} and {} differ", shape_text(.first), shape_text(.other))]
    StackShape {
        /// The first array's shape.
        first: Vec<u64>,
        /// The shape that differs.
        other: Vec<u64>,
    },
    /// No array was given where at least one is needed.
    #[error("need at least one array to {operation}")]
    NoArrays {
        /// What was to be done.
        operation: &'static str,
    },
    /// A reduction of nothing that has no neutral element.
    #[error("zero-size array to reduction operation {operation} which has no identity")]
    EmptyReduction {
        /// The reduction.
        operation: &'static str,
    },
    /// A quantile outside 0..=1.
    #[error("quantiles must be in the range [0, 1], not {q}")]
    Quantile {
        /// The offender.
        q: f64,
    },
    /// A reduction tree that would not get narrower.
    #[error("split_every must be at least 2, not {split_every}")]
    SplitEvery {
        /// As given.
        split_every: u64,
    },
    /// Not one label for each element along the axis.
    #[error("{got} labels for axis {axis}, whose length is {want}")]
    LabelCount {
        /// The axis.
        axis: usize,
        /// Labels given.
        got: usize,
        /// The axis' length.
        want: u64,
    },
    /// A group code that is no group's.
    #[error("label code {code} at position {position} is not below the group count {group_count}")]
    GroupCode {
        /// The code.
        code: i32,
        /// Its position along the axis.
        position: usize,
        /// Number of groups.
        group_count: u64,
    },
    /// More groups than can be numbered.
    #[error("{count} groups, the limit is {limit}")]
    TooManyGroups {
        /// Groups found.
        count: u64,
        /// The most that is allowed.
        limit: u64,
    },
    /// Data of another length than the shape asks for.
    #[error("{got} elements cannot fill an array of shape {}", shape_text(.shape))]
    DataLength {
        /// Elements given.
        got: u64,
        /// The shape.
        shape: Vec<u64>,
    },
    /// A grid whose shape is not the source's.
    #[error("the chunk grid has shape {}, but the source has {}", shape_text(.got), shape_text(.want))]
    SourceShape {
        /// The grid's shape.
        got: Vec<u64>,
        /// The source's shape.
        want: Vec<u64>,
    },
    /// A source of another dtype than the array shall have.
    #[error("the source holds {got}, not {want}")]
    SourceDType {
        /// The source's dtype.
        got: DType,
        /// The dtype asked for.
        want: DType,
    },
    /// A range that has no end.
    #[error(
        "arange needs finite numbers and a step that is not 0, not start {start}, stop {stop}, step {step}"
    )]
    Arange {
        /// First value.
        start: f64,
        /// The value before which it ends.
        stop: f64,
        /// Difference of neighbours.
        step: f64,
    },
    /// An integer raised to a negative power.
    #[error("integers to negative integer powers are not allowed")]
    NegativePower,
    /// An operation that has no meaning for a dtype, or a number that its dtype cannot hold.
    #[error(transparent)]
    Ops(#[from] OpsError),
    /// A grid that cannot be.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// A shape as NumPy prints it.
pub(crate) fn shape_text(shape: &[u64]) -> String {
    match shape {
        [only] => format!("({only},)"),
        _ => format!(
            "({})",
            shape.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
        ),
    }
}

fn shape_list(all: &[Vec<u64>]) -> String {
    all.iter().map(|s| shape_text(s)).collect::<Vec<_>>().join(" ")
}
