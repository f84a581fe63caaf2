use std::sync::Arc;

use graticule_numerics::linalg::MatrixProblem;
use graticule_ops::OpsError;
use graticule_plan::{DType, Digest};

use crate::BlockPlace;

/// What a reader of sources or of user data fails with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a task's program cannot be run, or a chunk not be put together.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A tensor would be larger than this crate allocates.
    #[error("a tensor of {bytes} bytes is too large, the limit is {limit}")]
    TooLarge {
        /// Bytes of the tensor (saturated).
        bytes: u64,
        /// The most that is allowed.
        limit: u64,
    },
    /// Bytes do not have the length that dtype and shape ask for.
    #[error("{dtype} of shape {shape:?} takes {want} bytes, got {got}")]
    Length {
        /// The dtype.
        dtype: DType,
        /// The shape.
        shape: Vec<usize>,
        /// Bytes needed.
        want: u64,
        /// Bytes given.
        got: u64,
    },
    /// Bytes are not an encoded chunk.
    #[error("not a valid encoded chunk: {0}")]
    Decode(String),
    /// Chunks or regions do not make up the window that is asked for.
    #[error("window cannot be assembled: {0}")]
    Window(String),
    /// A node is not valid for its operands.
    #[error("node {node} ({what}): {why}")]
    Node {
        /// The node's position in its program.
        node: usize,
        /// Its operation.
        what: String,
        /// What does not fit.
        why: String,
    },
    /// The program has no nodes, or one names an operand that does not stand before it.
    #[error("program is not valid: {0}")]
    Program(String),
    /// The task has not the inputs that its program names.
    #[error("program takes input {input}, but the task has {count}")]
    NoSuchInput {
        /// The input.
        input: usize,
        /// Inputs of the task.
        count: usize,
    },
    /// A side table did not come with the task.
    #[error("side table {0} did not come with the task")]
    NoSuchTable(Digest),
    /// A user's function that is not there.
    #[error(
        "no function on blocks is called {function:?} here; functions are registered in the worker's binary"
    )]
    NoSuchFunction {
        /// The name.
        function: Arc<str>,
    },
    /// A user's function failed.
    #[error("function {function:?} failed on {place}: {error}")]
    Function {
        /// Its name.
        function: Arc<str>,
        /// The block of the result that it was to make.
        place: BlockPlace,
        /// Why.
        #[source]
        error: BoxError,
    },
    /// A user's function made something else than the operation says.
    #[error("function {function:?} made {got} for {place}; the operation says {want}")]
    FunctionResult {
        /// Its name.
        function: Arc<str>,
        /// The block of the result that it was to make.
        place: BlockPlace,
        /// Dtype and shape of what it made.
        got: String,
        /// Dtype and shape of what it was to make.
        want: String,
    },
    /// A block of other elements than a user's function wants.
    #[error("the block holds {got}, not {want}: convert the array before, or look at its dtype")]
    BlockDType {
        /// The block's dtype.
        got: DType,
        /// The dtype asked for.
        want: DType,
    },
    /// A side table cannot be decoded or an operation does not exist for its dtype.
    #[error(transparent)]
    Ops(#[from] OpsError),
    /// A source outside the cluster cannot be read.
    #[error("read of node {node} failed: {error}")]
    Read {
        /// The read's position in its program.
        node: usize,
        /// Why.
        #[source]
        error: BoxError,
    },
    /// A reduction has no value for no elements; NumPy raises `ValueError`.
    #[error("{name} of no elements has no value")]
    Empty {
        /// NumPy's name of the reduction.
        name: String,
    },
    /// A position-keeping reduction that skips NaN met nothing else; NumPy raises `ValueError`.
    #[error("{name}: a slice has only NaN")]
    AllNan {
        /// NumPy's name of the reduction.
        name: String,
    },
    /// A position that an axis lacks; NumPy raises `IndexError`.
    #[error("index {index} is out of bounds for axis {axis} with size {len}")]
    IndexOutOfRange {
        /// The index as given.
        index: i64,
        /// The axis.
        axis: usize,
        /// The axis' length.
        len: usize,
    },
    /// A number that was to be counted has no bin; NumPy makes the result longer, or raises `ValueError` below 0.
    #[error(
        "{number} is not within 0..{count}: say a greater length, or leave out or clip what lies outside"
    )]
    NoSuchBin {
        /// The number.
        number: i64,
        /// Number of bins.
        count: u64,
    },
    /// A matrix that an operation has no result for; NumPy raises `LinAlgError`.
    #[error("{operation}: {problem} (matrix {matrix} of block {block:?})")]
    Matrix {
        /// NumPy's name of the operation.
        operation: &'static str,
        /// What is wrong with it.
        problem: MatrixProblem,
        /// The matrix' place in the stack that the block holds.
        matrix: usize,
        /// The block's index in its layer's grid.
        block: Vec<u64>,
    },
    /// An integer was to be raised to a negative power; NumPy raises `ValueError`.
    #[error("integers to negative integer powers are not allowed; cast to a float first")]
    NegativePower,
}
