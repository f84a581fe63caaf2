use graticule_array::ArrayError;
use graticule_data::DataError;
use graticule_kernel::KernelError;
use graticule_plan::ChunkId;

/// Why something asked of a cluster did not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// The scheduler's address is not one.
    #[error("{url:?} is not a scheduler's address: {why}; write grpc://host:port")]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody answers at the scheduler's address.
    #[error(
        "no scheduler answers at {url}: {why}; start one with `graticule scheduler` or check the address"
    )]
    Unreachable {
        /// The address.
        url: String,
        /// What went wrong.
        why: String,
    },
    /// The scheduler speaks another version.
    #[error("the scheduler at {url} does not fit: {why}")]
    Version {
        /// The address.
        url: String,
        /// Both ends' versions.
        why: String,
    },
    /// The connection broke. The jobs and kept results of this client are gone with it.
    #[error(
        "the connection to the scheduler is lost: {why}; its jobs and kept results are gone, connect again"
    )]
    ConnectionLost {
        /// What went wrong.
        why: String,
    },
    /// What is asked about does not exist.
    #[error("{why}")]
    Unknown {
        /// What there is instead.
        why: String,
    },
    /// A dataset cannot be published under a name that another one has.
    #[error("{why}")]
    NameTaken {
        /// Which, and what to do.
        why: String,
    },
    /// The embedded cluster could not start.
    #[error("the embedded cluster cannot start: {why}")]
    Start {
        /// What went wrong.
        why: String,
    },
    /// The scheduler refused a plan, or a dataset.
    #[error("the scheduler refused it: {why}")]
    Refused {
        /// What is wrong with it.
        why: String,
    },
    /// A part of the plan does not fit a message.
    #[error(
        "the plan carries {got_bytes} bytes in one side table, a message takes {limit_bytes}; \
         put the data into a file that the workers can read instead of into the expression"
    )]
    TableTooLarge {
        /// Bytes of the largest side table.
        got_bytes: u64,
        /// The most that a message takes.
        limit_bytes: u64,
    },
    /// No worker has a function of this name.
    #[error(
        "no worker knows the function {name:?}; they know {}. Functions are registered in the worker's binary",
        if .known.is_empty() { "none".to_owned() } else { .known.join(", ") }
    )]
    UnknownFunction {
        /// The name.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The values that a call carries along are too large for it.
    #[error(
        "a call carries {bytes} bytes of values, the limit is {limit}; scatter them and give the call the futures"
    )]
    ValueTooLarge {
        /// Bytes of the values.
        bytes: u64,
        /// The most that is allowed.
        limit: u64,
    },
    /// More calls wait to be sent than may.
    #[error("{limit} calls wait to be sent; await some of their results before more are submitted")]
    TooManyCalls {
        /// The most that may wait.
        limit: u64,
    },
    /// A task failed, and with it the job.
    #[error("{message}")]
    Failed {
        /// Where, and why.
        message: String,
    },
    /// What is to be computed is made of what another client keeps.
    #[error(
        "an array that the client of {there} keeps cannot be computed by the client of {here}: compute it by the client that \
         persisted it, or make an array of its elements for this one"
    )]
    OtherClient {
        /// The address of the client that was asked.
        here: String,
        /// The address of the client that keeps it.
        there: String,
    },
    /// The job was cancelled.
    #[error("the job was cancelled")]
    Cancelled,
    /// No worker has been connected for as long as the caller was ready to wait.
    #[error(
        "no worker was connected for {waited_s} s and the job cannot run; start one with `graticule worker \
         --scheduler {url}`, or wait for longer"
    )]
    NoWorkers {
        /// Seconds waited.
        waited_s: u64,
        /// The scheduler's address.
        url: String,
    },
    /// The result would take more than half of the memory that is free.
    #[error(
        "the result takes {size}, more than half of the {free} of memory that are free here; select a part, reduce \
         it, read it chunk by chunk with `stream`, or set `allow_large`",
        size = crate::memory::text(*.bytes), free = crate::memory::text(*.free_bytes)
    )]
    ResultTooLarge {
        /// Bytes of the result.
        bytes: u64,
        /// Bytes free.
        free_bytes: u64,
    },
    /// No worker gave a chunk of the result.
    #[error(
        "chunk {chunk} of the result could not be fetched in {attempts} attempts; the last failed with: {why}"
    )]
    ChunkUnreachable {
        /// The chunk.
        chunk: ChunkId,
        /// Attempts made.
        attempts: u32,
        /// Why the last one failed.
        why: String,
    },
    /// A chunk is not what the plan says.
    #[error("chunk {chunk} of the result is {got}, expected {want}")]
    ChunkMismatch {
        /// The chunk.
        chunk: ChunkId,
        /// Its dtype and shape.
        got: String,
        /// The dtype and shape that it should have.
        want: String,
    },
    /// The expression is not valid.
    #[error(transparent)]
    Array(#[from] ArrayError),
    /// The source of an array cannot be described.
    #[error("{0}")]
    Data(std::sync::Arc<DataError>),
    /// A result does not fit a tensor.
    #[error("{0}")]
    Kernel(std::sync::Arc<KernelError>),
}

impl From<KernelError> for ClientError {
    fn from(error: KernelError) -> Self {
        ClientError::Kernel(std::sync::Arc::new(error))
    }
}

impl From<DataError> for ClientError {
    fn from(error: DataError) -> Self {
        ClientError::Data(std::sync::Arc::new(error))
    }
}
