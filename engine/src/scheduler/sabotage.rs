/// A defect built in on purpose, to show that the simulator would find it. Production code runs with `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sabotage {
    /// No defect.
    #[default]
    None,
    /// A lost chunk for which only tasks of other jobs wait is not made anew.
    ForgetLostChunks,
    /// A chunk that had to be made again is released while one task still needs it.
    ReleaseTooEarly,
    /// A worker puts the parts of a window together in order of arrival, not of position, if all came from peers.
    CombineByArrival,
    /// A worker that retires is told to leave when the last copy was ordered, not when it has arrived.
    LeaveBeforeCopied,
    /// A copy counts as held from when it was ordered.
    CountCopyEarly,
    /// A worker gives chunks out that its disk has damaged.
    IgnoreDamage,
}

impl Sabotage {
    /// All defects.
    pub const PLANTED: [Sabotage; 6] = [
        Sabotage::ForgetLostChunks,
        Sabotage::ReleaseTooEarly,
        Sabotage::CombineByArrival,
        Sabotage::LeaveBeforeCopied,
        Sabotage::CountCopyEarly,
        Sabotage::IgnoreDamage,
    ];
}
