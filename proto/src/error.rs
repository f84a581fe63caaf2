/// Why a message is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ProtoError {
    /// A field that the message cannot do without is not set, or is not what it should be.
    #[error("malformed message: {0}")]
    Malformed(&'static str),
    /// The plan in the message is not valid.
    #[error(transparent)]
    Plan(#[from] graticule_plan::PlanError),
    /// The other end speaks another version.
    #[error(
        "this end is graticule {ours} (protocol {our_numbers}), the other {theirs} (protocol {their_numbers}); \
         install the same release at both ends"
    )]
    Version {
        /// Our release.
        ours: String,
        /// Our protocol, plan-format and operation-set numbers.
        our_numbers: String,
        /// Their release.
        theirs: String,
        /// Their numbers.
        their_numbers: String,
    },
}
