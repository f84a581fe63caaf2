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
    /// A place in a stored array that an array cannot be written into.
    #[error("{url}: {why}")]
    Target {
        /// The stored array's address.
        url: String,
        /// What does not fit.
        why: String,
    },
    /// Subscripts of `einsum` that do not fit its arrays.
    #[error("einsum {subscripts:?}: {why}")]
    Einsum {
        /// As given.
        subscripts: String,
        /// What does not fit.
        why: String,
    },
    /// An operation by a user's function that does not fit its arrays.
    #[error("{operation} by {function:?}: {why}")]
    Function {
        /// Dask's or NumPy's name of the operation.
        operation: &'static str,
        /// The function's name.
        function: String,
        /// What does not fit.
        why: String,
    },
    /// Labels of axes that do not fit arrays.
    #[error("labels of axes: {why}")]
    Labels {
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
    /// A polynomial that cannot be fitted.
    #[error("polyfit: {why}")]
    Fit {
        /// What does not fit, and what would.
        why: String,
    },
    /// Places that values cannot be interpolated between.
    #[error("interp: {why}")]
    Interpolation {
        /// What does not fit, and what would.
        why: String,
    },
    /// A sparse matrix that is none, or does not fit the array.
    #[error("sparse weights: {why}")]
    SparseWeights {
        /// What does not fit, and what would.
        why: String,
    },
    /// Lists of arrays that are not nested alike.
    #[error(
        "nested lists must have their arrays at one depth, but some are at depth {first} and some at {other}"
    )]
    NestedDepth {
        /// Lists around the first array, counted from where they differ.
        first: usize,
        /// Lists around another one.
        other: usize,
    },
    /// A shape that does not hold an array's elements.
    #[error("cannot reshape array of size {size} into shape {}", signed_shape_text(.shape))]
    Reshape {
        /// The array's elements.
        size: u64,
        /// The shape as given.
        shape: Vec<i64>,
    },
    /// More than one length of a shape left open, or one that is less than that.
    #[error("can only specify one unknown dimension as -1, not shape {}", signed_shape_text(.shape))]
    UnknownLength {
        /// The shape as given.
        shape: Vec<i64>,
    },
    /// Neither as many shifts as axes nor one of either.
    #[error("{shifts} shifts for {axes} axes: give as many, or one of either")]
    ShiftCount {
        /// Shifts given.
        shifts: usize,
        /// Axes given.
        axes: usize,
    },
    /// Not as many places as axes that are to be moved.
    #[error("{source_count} source axes but {destination_count} destination axes")]
    AxisPairs {
        /// Axes to be moved.
        source_count: usize,
        /// Places given.
        destination_count: usize,
    },
    /// An array with fewer axes than an operation needs.
    #[error("{operation} needs at least {needed} axes, the array has {ndim}")]
    TooFewAxes {
        /// The operation.
        operation: &'static str,
        /// Axes needed.
        needed: usize,
        /// The array's number of axes.
        ndim: usize,
    },
    /// A size that is negative or beyond all arrays.
    #[error("{what} must not be negative, but is {got}")]
    Negative {
        /// What it is.
        what: &'static str,
        /// As given.
        got: i64,
    },
    /// An axis that is too short for an operation.
    #[error("{operation} needs at least {needed} elements along axis {axis}, which has {len}")]
    TooShort {
        /// The operation.
        operation: &'static str,
        /// The axis.
        axis: usize,
        /// Elements needed.
        needed: u64,
        /// The axis' length.
        len: u64,
    },
    /// Neither one spacing, nor one for each axis, nor one coordinate for each element.
    #[error(
        "gradient takes one spacing for all {axes} axes or one for each, with a coordinate for each element"
    )]
    Spacing {
        /// Axes of the gradient.
        axes: usize,
    },
    /// An order of the differences at the ends that is not there.
    #[error("edge_order must be 1 or 2, not {order}")]
    EdgeOrder {
        /// As given.
        order: u32,
    },
    /// Elements that a dtype would not hold as they are.
    #[error("cannot put {from} elements into an array of {to}: convert them first")]
    UnsafeCast {
        /// The elements' dtype.
        from: DType,
        /// The array's.
        to: DType,
    },
    /// Weights that do not fit what is averaged.
    #[error("weights of shape {} for an array of shape {}: give one for each element, or one along each averaged axis", shape_text(.weights), shape_text(.shape))]
    WeightShape {
        /// The weights' shape.
        weights: Vec<u64>,
        /// The array's shape.
        shape: Vec<u64>,
    },
    /// Neither one pair nor one for each axis.
    #[error("{got} pairs of {what} for an array of dimension {ndim}: give one for each axis, or one for all")]
    PadPairs {
        /// What is given in pairs.
        what: &'static str,
        /// Pairs given.
        got: usize,
        /// The array's number of axes.
        ndim: usize,
    },
    /// An axis without elements that is to be padded with some of them.
    #[error("can't extend empty axis {axis} by its elements: pad it with a constant")]
    PadEmpty {
        /// The axis.
        axis: usize,
    },
    /// Not one depth and one boundary for each axis.
    #[error(
        "{depths} depths and {boundaries} boundaries for an array of dimension {ndim}: give one of each for each axis"
    )]
    OverlapCount {
        /// Depths given.
        depths: usize,
        /// Boundaries given.
        boundaries: usize,
        /// The array's number of axes.
        ndim: usize,
    },
    /// A chunk that an overlap would take away whole.
    #[error("chunk {block} of axis {axis} has {len} elements, of which {depth} are said to overlap")]
    OverlapTooDeep {
        /// The axis.
        axis: usize,
        /// The chunk's number along it.
        block: u64,
        /// Its elements along the axis.
        len: u64,
        /// Elements that would be taken away.
        depth: u64,
    },
    /// Windows that an axis is too short for, or that are empty.
    #[error("windows of {window} elements along axis {axis}, whose length is {len}")]
    Window {
        /// The axis.
        axis: usize,
        /// Elements of a window.
        window: u64,
        /// The axis' length.
        len: u64,
    },
    /// Not one length of windows for each axis.
    #[error("{windows} lengths of windows for {axes} axes")]
    WindowCount {
        /// Lengths given.
        windows: usize,
        /// Axes given.
        axes: usize,
    },
    /// A reduction that has no meaning over a moving window.
    #[error("{operation} is not there over moving windows")]
    NotRolling {
        /// The reduction.
        operation: &'static str,
    },
    /// More elements asked for than a window has, or none.
    #[error("min_periods must be within 1..={window}, not {min_periods}")]
    MinPeriods {
        /// As given.
        min_periods: u64,
        /// Elements of a window.
        window: u64,
    },
    /// An axis that is no multiple of what shall become one element.
    #[error("axis {axis} has {len} elements, no multiple of {factor}: leave the rest out with trim_excess")]
    CoarsenLength {
        /// The axis.
        axis: usize,
        /// The axis' length.
        len: u64,
        /// Elements that become one.
        factor: u64,
    },
    /// Positions that are no integers.
    #[error("positions must be integers, not {dtype}")]
    PositionDType {
        /// Their dtype.
        dtype: DType,
    },
    /// Positions with other axes than what they are taken from.
    #[error("positions have {positions} axes, the array has {ndim}")]
    PositionAxes {
        /// Axes of the positions.
        positions: usize,
        /// Axes of the array.
        ndim: usize,
    },
    /// A mask that does not lie on the array's first axes.
    #[error("a mask of shape {} does not fit an array of shape {}", shape_text(.mask), shape_text(.shape))]
    MaskShape {
        /// The mask's shape.
        mask: Vec<u64>,
        /// The array's shape.
        shape: Vec<u64>,
    },
    /// Numbers of elements that are left of blocks, which cannot be.
    #[error("{why}: give what `counts` or `lengths` of the same array gave")]
    BlockLengths {
        /// What does not fit.
        why: String,
    },
    /// Elements of two arrays that were not selected by one mask.
    #[error(
        "elements were selected by different masks, so they do not belong together; compute their lengths first"
    )]
    OtherMask,
    /// Not one array for each condition.
    #[error("{conditions} conditions for {choices} arrays to select from")]
    SelectCount {
        /// Conditions given.
        conditions: usize,
        /// Arrays given.
        choices: usize,
    },
    /// Not one count for each element that is to be repeated.
    #[error("{got} counts for {want} elements: give one for each, or one for all")]
    RepeatCount {
        /// Counts given.
        got: usize,
        /// Elements along the axis.
        want: u64,
    },
    /// Parts of equal length that an axis does not have.
    #[error("an axis of length {len} has no {count} equal parts")]
    Sections {
        /// The axis' length.
        len: u64,
        /// Parts asked for.
        count: u64,
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
    /// Groups whose elements lie in several chunks, where each chunk should be reduced for itself.
    #[error(
        "groups along axis {axis} have elements in several chunks; rechunk, or let the strategy be chosen"
    )]
    Blockwise {
        /// The first axis of the labels.
        axis: usize,
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
    /// Matrices that are not square.
    #[error("{operation}: the last 2 axes must be square, the array has shape {}", shape_text(.shape))]
    NotSquare {
        /// NumPy's name of the operation.
        operation: &'static str,
        /// The array's shape.
        shape: Vec<u64>,
    },
    /// An order of norms that is not there.
    #[error(
        "norms of order {order} are not there for {what}: matrices have 1, -1, 2, -2, inf, -inf, 'fro' and 'nuc', vectors any number"
    )]
    NormOrder {
        /// As given.
        order: String,
        /// Vectors or matrices.
        what: &'static str,
    },
    /// A condition number of nothing.
    #[error("cond is not defined on empty arrays")]
    EmptyCondition,
    /// A Fourier transform of nothing.
    #[error("a Fourier transform needs at least 1 element, not {len}")]
    FourierLength {
        /// Elements asked for, or what the axis has.
        len: i64,
    },
    /// Not one length for each axis that is transformed.
    #[error("{lengths} lengths for {axes} axes to transform")]
    FourierLengths {
        /// Lengths given.
        lengths: usize,
        /// Axes given.
        axes: usize,
    },
    /// Frequencies of samples that are no time apart.
    #[error("samples must lie apart, not {spacing}")]
    SampleSpacing {
        /// As given.
        spacing: f64,
    },
    /// Vectors of another length than 3.
    #[error("cross products need 3 elements along axis {axis}, not {first} and {second}")]
    CrossLength {
        /// The axis as given.
        axis: i64,
        /// The first array's length.
        first: u64,
        /// The second one's.
        second: u64,
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

/// [`shape_text`] of lengths as they were given.
fn signed_shape_text(shape: &[i64]) -> String {
    match shape {
        [only] => format!("({only},)"),
        _ => format!(
            "({})",
            shape.iter().map(i64::to_string).collect::<Vec<_>>().join(",")
        ),
    }
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
