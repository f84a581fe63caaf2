//! The planted defects: each is found by the seed that is recorded here, and by fresh ones.
//!
//! `cargo xtask sim --planted` looks for every one of them in fresh seeds.

use graticule_sim::{Case, Sabotage, simulate};

/// Fresh seeds within which a planted defect must be found.
const SEEDS_MAX: u64 = 500;
/// The first of them, away from the recorded ones.
const FRESH_FIRST: u64 = 9_000;

/// A test for each defect, with the seed that found it.
macro_rules! found_by {
    ($($test:ident: $defect:ident = $seed:literal,)+) => {
        $(
            #[test]
            fn $test() {
                is_found_by(Sabotage::$defect, $seed);
            }
        )+

        #[test]
        fn every_planted_defect_has_a_recorded_seed() {
            let recorded = [$(Sabotage::$defect),+];
            assert_eq!(recorded, Sabotage::PLANTED);
        }
    };
}

found_by! {
    forget_lost_chunks: ForgetLostChunks = 3,
    release_too_early: ReleaseTooEarly = 1,
    combine_by_arrival: CombineByArrival = 2,
    leave_before_copied: LeaveBeforeCopied = 6,
    count_copy_early: CountCopyEarly = 5,
    ignore_damage: IgnoreDamage = 3,
    differ_each_time: DifferEachTime = 1,
    accept_older_attempts: AcceptOlderAttempts = 3,
    hear_dead_sessions: HearDeadSessions = 3,
    release_when_leased: ReleaseWhenLeased = 1,
    keep_inventory: KeepInventory = 8,
    adopt_unneeded: AdoptUnneeded = 5,
    lease_what_is_held: LeaseWhatIsHeld = 6,
    late_joiner_without_tables: LateJoinerWithoutTables = 1,
    count_failures_twice: CountFailuresTwice = 1,
    forget_failures: ForgetFailures = 1,
    count_hand_backs: CountHandBacks = 26,
    trust_retiring: TrustRetiring = 663,
    count_refused_copies: CountRefusedCopies = 7,
    keep_missing_replicas: KeepMissingReplicas = 165,
    blame_together: BlameTogether = 1,
    forget_quietly: ForgetQuietly = 2,
    forget_kept_results: ForgetKeptResults = 2,
    keep_names_of_the_gone: KeepNamesOfTheGone = 1,
    release_twice: ReleaseTwice = 1,
    keep_finished_bits: KeepFinishedBits = 1,
    keep_failed_bytes: KeepFailedBytes = 1,
    count_needs_short: CountNeedsShort = 1,
    keep_inputs_of_dropped: KeepInputsOfDropped = 2043,
    forget_requeued: ForgetRequeued = 1,
    count_lost_outputs: CountLostOutputs = 1,
    count_failed_deliveries: CountFailedDeliveries = 2,
    wait_forever: WaitForever = 2,
    keep_retiring: KeepRetiring = 45,
    answer_nothing: AnswerNothing = 72,
    repeat_reports: RepeatReports = 72,
    keep_earlier_results: KeepEarlierResults = 61,
    keep_failed_reservations: KeepFailedReservations = 2,
    begin_while_spilling: BeginWhileSpilling = 25,
    keep_revoked_slots: KeepRevokedSlots = 3,
    accept_before_durable: AcceptBeforeDurable = 23,
    forget_delivered: ForgetDelivered = 78,
    give_numbers_again: GiveNumbersAgain = 78,
    await_nobody: AwaitNobody = 162,
    blame_all: BlameAll = 1,
    keep_failed_resources: KeepFailedResources = 2,
    keep_tables: KeepTables = 1,
    trust_dropped_tables: TrustDroppedTables = 3,
    join_attempts: JoinAttempts = 9,
    answer_by_first: AnswerByFirst = 1,
    forget_rest_of_report: ForgetRestOfReport = 2,
    count_group_once: CountGroupOnce = 22,
    lose_neighbours: LoseNeighbours = 4,
    release_blocks_at_once: ReleaseBlocksAtOnce = 1,
    spare_dependents: SpareDependents = 1,
    tell_blocks_once: TellBlocksOnce = 136,
    forget_failed_blocks: ForgetFailedBlocks = 76,
    forget_let_go: ForgetLetGo = 136,
    let_go_awaited: LetGoAwaited = 2,
    forget_what_was_let_go: ForgetWhatWasLetGo = 15,
}

#[test]
fn planted_defects_are_found_by_fresh_seeds() {
    for sabotage in [
        Sabotage::AcceptOlderAttempts,
        Sabotage::CombineByArrival,
        Sabotage::CountCopyEarly,
    ] {
        let seeds = FRESH_FIRST..FRESH_FIRST + SEEDS_MAX;
        let mut cases = seeds.map(|seed| Case::new(seed).with_sabotage(sabotage));
        let found = cases.find(|case| simulate(case).is_err());
        let mut case = found.unwrap_or_else(|| panic!("{sabotage:?} was not found within {SEEDS_MAX} seeds"));
        case.sabotage = Sabotage::None;
        simulate(&case).unwrap_or_else(|failed| panic!("without the defect: {failed}"));
    }
}

/// The recorded seed finds the defect, or, where the engine decides otherwise than it did when that was recorded, one of
/// those behind it.
fn is_found_by(sabotage: Sabotage, recorded: u64) {
    let seeds = recorded..recorded + SEEDS_MAX;
    let found = seeds.into_iter().find_map(|seed| {
        let case = Case::new(seed).with_sabotage(sabotage);
        Some((seed, simulate(&case).err()?))
    });
    let (seed, failed) = found
        .unwrap_or_else(|| panic!("{sabotage:?} was not found within {SEEDS_MAX} seeds from {recorded} on"));
    let replay = format!("--seed {seed} --sabotage {sabotage:?}");
    assert!(failed.to_string().contains(&replay), "{failed}");
    simulate(&Case::new(seed)).unwrap_or_else(|failed| panic!("without the defect: {failed}"));
}
