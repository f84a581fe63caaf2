use crate::LayerId;

/// Why a grid, a map or a plan is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A chunk length of zero was asked for on an axis that has elements.
    #[error("chunk length must be at least 1 on an axis of {len} elements")]
    ChunkLength {
        /// Elements along the axis.
        len: u64,
    },
    /// Explicit chunk lengths do not add up to the axis.
    #[error("chunks add up to {got} along axis {axis}, but its length is {want}")]
    ChunksDoNotAddUp {
        /// The axis.
        axis: usize,
        /// The sum of the chunk lengths.
        got: u64,
        /// The length of the axis.
        want: u64,
    },
    /// Offsets of irregular chunks do not start at 0 or fall.
    #[error("chunk offsets must start at 0 and never fall")]
    Offsets,
    /// The array has more axes, elements or blocks than can be counted.
    #[error("{what} is {got}, the limit is {limit}")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// The number (saturated).
        got: u64,
        /// The most that is allowed.
        limit: u64,
    },
    /// An input's map does not fit its source or its layer.
    #[error("layer {layer}, input {input}: {why}")]
    Map {
        /// The layer with the bad input.
        layer: LayerId,
        /// Position of the input.
        input: usize,
        /// What does not fit.
        why: String,
    },
    /// An input names a layer that does not stand before its own.
    #[error("layer {layer} takes input from layer {source_layer}, which does not stand before it")]
    Order {
        /// The layer.
        layer: LayerId,
        /// The layer it names.
        source_layer: LayerId,
    },
    /// An output names a layer that the plan lacks.
    #[error("output names layer {0}, which the plan lacks")]
    NoSuchLayer(LayerId),
    /// A layer refers to a side table that did not come with the plan.
    #[error("layer {layer} needs side table {table}, which did not come with the plan")]
    NoSuchTable {
        /// The layer.
        layer: LayerId,
        /// The table's digest.
        table: crate::Digest,
    },
    /// A side table or a body is not what its digest says.
    #[error("content does not match its digest {0}")]
    Digest(crate::Digest),
}
