/// A defect built in on purpose, to show that the simulator would find it. Production code runs with `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sabotage {
    /// No defect.
    #[default]
    None,
    /// A lost chunk that tasks wait for is not made anew.
    ForgetLostChunks,
    /// A chunk is released while one task still needs it.
    ReleaseTooEarly,
    /// A worker puts the parts of a window together in order of arrival, not of position.
    CombineByArrival,
}

impl Sabotage {
    pub(super) fn recovers_lost_chunks(self) -> bool {
        self != Sabotage::ForgetLostChunks
    }

    /// The number of tasks that need a chunk at which it counts as needed by none.
    pub(super) fn needed_that_is_none(self) -> u64 {
        u64::from(self == Sabotage::ReleaseTooEarly)
    }
}
