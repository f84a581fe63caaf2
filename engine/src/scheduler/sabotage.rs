/// Defines the defects and the list of them, so that none can be left out of it.
macro_rules! defects {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// A defect built in on purpose, to show that the simulator would find it. Production code runs with `None`.
        ///
        /// Each stands for a kind of failure that users of other schedulers have met.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub enum Sabotage {
            /// No defect.
            #[default]
            None,
            $($(#[$doc])+ $name,)+
        }

        impl Sabotage {
            /// All defects.
            pub const PLANTED: &[Sabotage] = &[$(Sabotage::$name),+];
        }
    };
}

defects! {
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
    /// A task that runs again makes other bytes than the first time.
    DifferEachTime,
    /// The report of an earlier lease of the same task by the same worker counts, whichever connection it came on.
    AcceptOlderAttempts,
    /// What comes on a connection that is over counts.
    HearDeadSessions,
    /// A task's inputs are released when it is leased, not when it has finished.
    ReleaseWhenLeased,
    /// A worker that comes back keeps what nobody needs any more.
    KeepInventory,
    /// What a worker brings along goes into the books whether anybody needs it or not.
    AdoptUnneeded,
    /// A task stays leased although another worker has brought its chunk along.
    LeaseWhatIsHeld,
    /// A worker that joins a layer half done does not get the layer's tables.
    LateJoinerWithoutTables,
    /// A task's failure counts twice.
    CountFailuresTwice,
    /// A task's failures do not count.
    ForgetFailures,
    /// A task that a retiring worker hands back counts as failed.
    CountHandBacks,
    /// Of two workers that retire, each counts on the chunks of the other.
    TrustRetiring,
    /// A worker that refused a copy counts as its holder.
    CountRefusedCopies,
    /// A chunk that was not found where it was said to be stays in the books.
    KeepMissingReplicas,
    /// A task that may have ended workers is not run alone, so that others are blamed with it.
    BlameTogether,
    /// Workers are not told that a job is over.
    ForgetQuietly,
    /// Workers drop all of a job that is over, though a client keeps some of it.
    ForgetKeptResults,
    /// The names of a client that is gone stay.
    KeepNamesOfTheGone,
    /// A task that ran again releases its inputs twice.
    ReleaseTwice,
    /// A finished task whose chunk is lost still counts as finished.
    KeepFinishedBits,
    /// The bytes of a failed task stay committed.
    KeepFailedBytes,
    /// Who needs a chunk is counted one too low when it is counted anew.
    CountNeedsShort,
    /// The inputs of a task that was dropped in a job that is over stay needed.
    KeepInputsOfDropped,
    /// A task that is ready again does not go into the queue.
    ForgetRequeued,
    /// A kept chunk that is lost still counts among those that are there.
    CountLostOutputs,
    /// A delivery that failed counts as made.
    CountFailedDeliveries,
    /// A worker that is silent is waited for without end.
    WaitForever,
    /// A worker that is to stay after all gets no more work.
    KeepRetiring,
    /// The scheduler does not answer signs of life.
    AnswerNothing,
    /// A worker says the last report of each message again in the next.
    RepeatReports,
    /// A worker keeps the result of an earlier lease while it makes it anew.
    KeepEarlierResults,
    /// The bytes of a failed fetch stay reserved.
    KeepFailedReservations,
    /// A worker begins a task that does not fit while chunks are on their way to disk.
    BeginWhileSpilling,
    /// The slot of a computation that nobody wants any more stays taken.
    KeepRevokedSlots,
    /// A client is told that its job is taken before that is on the scheduler's disk.
    AcceptBeforeDurable,
    /// A job that was taken over from an earlier run forgets what its client says it has.
    ForgetDelivered,
    /// Workers get numbers that an earlier run of the scheduler has given.
    GiveNumbersAgain,
    /// After a restart workers are not waited for.
    AwaitNobody,
    /// All tasks of a worker that vanished are held to be the cause, not only those that it may have computed.
    BlameAll,
    /// What a task takes of a resource is not given back when it fails.
    KeepFailedResources,
    /// A worker keeps side tables that no layer refers to any more.
    KeepTables,
    /// The scheduler takes side tables to be on a worker that has dropped them.
    TrustDroppedTables,
    /// A worker reports neighbours together that are of different attempts.
    JoinAttempts,
    /// All tasks of a report count if its first one does.
    AnswerByFirst,
    /// Of a report of neighbours only those at its beginning count that fared alike.
    ForgetRestOfReport,
    /// A task that needs a group of neighbours takes note of one of those that appear together.
    CountGroupOnce,
    /// With a lost chunk its neighbours that share a record count as lost.
    LoseNeighbours,
    /// A block that its client lets go is dropped although tasks need it.
    ReleaseBlocksAtOnce,
    /// What needs a block that failed is left waiting for it.
    SpareDependents,
    /// A client that comes back is not told again of blocks that stand for themselves.
    TellBlocksOnce,
    /// Blocks that failed before a restart of the scheduler are made after it.
    ForgetFailedBlocks,
    /// What a client that comes back says of blocks that it has let go is not heard.
    ForgetLetGo,
    /// Tasks that wait with a chunk are not told that it is let go.
    LetGoAwaited,
    /// A task that has all but what was let go does not ask for it.
    ForgetWhatWasLetGo,
}
