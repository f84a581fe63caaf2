//! Seeds that must pass, and what a seed's story must be.

use graticule_sim::{Case, EVENTS_MIN, Sabotage, TASKS_MIN, shrink, simulate, simulate_with_story};

#[test]
fn seeds_pass_and_are_long_enough() {
    for seed in 1..=12 {
        let counts = simulate(&Case::new(seed)).unwrap_or_else(|failed| panic!("{failed}"));
        assert!(
            counts.tasks >= TASKS_MIN && counts.events >= EVENTS_MIN,
            "seed {seed}: {counts:?}"
        );
    }
}

#[test]
fn a_seed_happens_the_same_way_again() {
    let case = Case::new(3);
    let (first, second) = (simulate_with_story(&case), simulate_with_story(&case));
    assert_eq!(first.0, second.0);
    assert!(first.1 == second.1, "the stories differ");
    assert!(first.1.len() > 1000);
}

#[test]
fn what_happens_before_a_fault_stays_as_it_was_when_the_fault_is_left_out() {
    let whole = Case::new(4);
    let (_, told) = simulate_with_story(&whole);
    let (at, line) = told
        .iter()
        .enumerate()
        .find(|(_, line)| line.contains("fault 9:"))
        .expect("the seed has ten faults");
    let mut without = whole.clone();
    without.leave_out("9").unwrap();
    let (_, told_without) = simulate_with_story(&without);
    assert!(told[..at] == told_without[..at], "the stories part before {line}");
    assert!(!told_without.contains(line));
}

#[test]
fn a_failing_seed_is_made_smaller_and_fails_in_the_same_way() {
    let sabotage = Sabotage::CombineByArrival;
    // The first seed of all fails in its first job, so that none can be left out.
    let found = (2..=500).find_map(|seed| simulate(&Case::new(seed).with_sabotage(sabotage)).err());
    let failed = found.expect("the defect is found");
    let small = shrink(&failed.case).expect("the case fails");
    let again = simulate(&small.case).expect_err("the smaller case fails");
    assert!(again.why.contains("other values") && failed.why.contains("other values"));
    assert!(small.story.iter().any(|line| line.contains("FAILED")));
    assert!(small.fault_counts.0 < small.fault_counts.1 && small.job_counts.0 < small.job_counts.1);
    assert!(
        again
            .to_string()
            .contains(&format!("cargo xtask sim {}", small.case))
    );
    let mut sound = small.case;
    sound.sabotage = Sabotage::None;
    simulate(&sound).unwrap_or_else(|failed| panic!("without the defect: {failed}"));
}

/// A lost chunk of a job that was over had no longer anybody who waited for it when its turn came, only a task that
/// nobody had demanded yet: its own inputs were held for ever, since it was neither made nor given up.
#[test]
fn a_lost_chunk_of_a_job_that_is_over_holds_its_inputs_only_while_it_is_waited_for() {
    simulate(&Case::new(173)).unwrap_or_else(|failed| panic!("{failed}"));
}

/// A worker was told to leave on a connection that it had just given up for another one: it never heard of it, stayed, and
/// what others handed over to it is not lost.
#[test]
fn a_worker_that_is_let_go_while_it_connects_again_stays() {
    simulate(&Case::new(20_000_116)).unwrap_or_else(|failed| panic!("{failed}"));
}

/// The scheduler's process ended before it had written down that a worker is there; the next one could not wait for it,
/// and began a task again that the worker had made.
#[test]
fn a_worker_that_was_not_written_down_is_not_waited_for() {
    simulate(&Case::new(20_000_452)).unwrap_or_else(|failed| panic!("{failed}"));
}

/// A result was let go, its job was over, and with it went the walk on which tasks of another job stood: what those still
/// needed was never demanded.
#[test]
fn a_job_that_is_over_hands_on_what_stands_on_its_walk() {
    simulate(&Case::new(60_000_751)).unwrap_or_else(|failed| panic!("{failed}"));
}

/// A block was cancelled while its chunk was held for others. The chunk was lost, and could not be made again: its inputs were
/// held for ever.
#[test]
fn a_lost_chunk_of_a_block_that_was_cancelled_needs_no_inputs() {
    simulate(&Case::new(51_791)).unwrap_or_else(|failed| panic!("{failed}"));
}

/// A client left, and another one's job that builds on its results was refused; the scheduler's process ended before that was
/// written down, and the next one took the job in: that is no mistake.
#[test]
fn a_job_that_was_to_be_refused_may_be_taken_in_after_a_restart() {
    simulate(&Case::new(9_000_013_411)).unwrap_or_else(|failed| panic!("{failed}"));
}

/// Tasks of several layers that need countable things became ready together and ran layer by layer instead of depth first: the
/// job had more in memory than its bound.
#[test]
fn tasks_that_need_things_run_depth_first_across_their_layers() {
    simulate(&Case::new(1_795_776_529_001_582)).unwrap_or_else(|failed| panic!("{failed}"));
}

/// What clients that are gone had kept is released when nobody waits for them any longer: a scheduler that begins when all was
/// released needs that time.
#[test]
fn a_restart_after_all_was_released_takes_its_time() {
    simulate(&Case::new(500_005_706)).unwrap_or_else(|failed| panic!("{failed}"));
}

/// A job was cancelled, and one that builds on it refused, before the scheduler's process ended: the next one refuses it again,
/// whether or not the names of the first were taken back.
#[test]
fn a_job_that_builds_on_a_cancelled_one_is_refused_after_a_restart_too() {
    simulate(&Case::new(500_024_582)).unwrap_or_else(|failed| panic!("{failed}"));
    simulate(&Case::new(900_004_886)).unwrap_or_else(|failed| panic!("{failed}"));
}

/// Many tasks waited for one chunk and had a higher priority than those that consume what they leave: with all of them done
/// there was no room for the others within the job's bound.
#[test]
fn tasks_of_high_priority_leave_room_for_those_that_free_memory() {
    simulate(&Case::new(600_005_911)).unwrap_or_else(|failed| panic!("{failed}"));
}

/// A client could not fetch a chunk from a worker that was to leave, and the scheduler gave that replica up; the other one was on
/// a worker whose time to leave was over. The first left without loss by the books.
#[test]
fn a_replica_that_no_client_could_fetch_is_no_loss_of_a_worker_that_leaves() {
    simulate(&Case::new(700_003_561)).unwrap_or_else(|failed| panic!("{failed}"));
}

/// A client had all values of a job and let them go; the scheduler's process ended before it had written down that the job was
/// over. The next one learns that nobody wants anything of it.
#[test]
fn a_job_of_which_all_was_let_go_may_be_cancelled_after_a_restart() {
    simulate(&Case::new(800_031_015)).unwrap_or_else(|failed| panic!("{failed}"));
}

/// A task read sixty chunks of one peer, whose connections broke so often that one of the sixty was missing each time, a hundred
/// times over. Workers try again, and so do those of the simulator by now.
#[test]
fn a_task_of_many_reads_outlives_connections_that_break() {
    simulate(&Case::new(800_025_373)).unwrap_or_else(|failed| panic!("{failed}"));
}

/// A client let go of a call's only block, and named it in a new job, before the scheduler's process ended: the next one refuses
/// that job too.
#[test]
fn a_job_that_builds_on_blocks_that_were_let_go_is_refused_after_a_restart_too() {
    let mut case = Case::new(2_000_059_185);
    case.only_jobs = Some((1..=8).collect());
    (case.layers_max, case.blocks_max) = (Some(3), Some(8));
    simulate(&case).unwrap_or_else(|failed| panic!("{failed}"));
}

/// A worker was to copy a chunk and then to leave, and the copy arrived after it had been told that it may: the worker that the
/// chunk came from left without loss by the books.
#[test]
fn what_a_worker_that_is_to_leave_was_to_copy_goes_elsewhere() {
    let mut case = Case::new(2_000_201_575);
    case.only_jobs = Some((1..=8).collect());
    (case.layers_max, case.blocks_max) = (Some(3), Some(8));
    simulate(&case).unwrap_or_else(|failed| panic!("{failed}"));
}

/// A client that came back had let go of all that a job keeps, and workers had it all: the job finished. The scheduler's process
/// ended, and the next one took the job for cancelled, since it heard of what was let go before it heard of the end.
#[test]
fn a_job_that_finished_after_all_was_let_go_stays_finished_after_a_restart() {
    let mut case = Case::new(3_000_202_932);
    case.only_jobs = Some((1..=8).collect());
    (case.layers_max, case.blocks_max) = (Some(3), Some(8));
    simulate(&case).unwrap_or_else(|failed| panic!("{failed}"));
}

/// A copy of a chunk failed after the chunk's job had been cancelled: the worker that it was of still waited to try again.
#[test]
fn a_worker_that_retires_waits_for_no_copy_of_what_is_gone() {
    let mut case = Case::new(4_000_310_933);
    case.only_jobs = Some((1..=8).collect());
    (case.layers_max, case.blocks_max) = (Some(3), Some(8));
    simulate(&case).unwrap_or_else(|failed| panic!("{failed}"));
}

#[test]
fn a_copy_that_a_worker_drops_is_not_counted_on_when_it_is_ordered_anew() {
    // A client could not fetch a scattered value from one of its two holders, which was told to drop it and, before
    // that, to copy it again.
    simulate(&Case::new(20_817)).unwrap_or_else(|failed| panic!("{failed}"));
}

#[test]
fn a_copy_is_not_counted_on_that_a_lease_since_then_has_dropped() {
    // A value's second holder answered that it has the copy when it was already to make the value itself.
    let case = Case {
        layers_max: Some(3),
        blocks_max: Some(8),
        only_jobs: Some((1..=8).collect()),
        ..Case::new(10_086_716)
    };
    simulate(&case).unwrap_or_else(|failed| panic!("{failed}"));
}

#[test]
fn a_late_report_does_not_drop_a_copy_that_was_ordered_meanwhile() {
    // A worker made a value after its lease was taken back, and was told to have a second copy of it before that was known.
    let case = Case {
        layers_max: Some(3),
        blocks_max: Some(8),
        ..Case::new(40_087_158)
    };
    simulate(&case).unwrap_or_else(|failed| panic!("{failed}"));
}

#[test]
fn a_copy_for_one_that_retires_is_kept_though_another_of_the_same_value_came_too_late() {
    // A worker was told twice to copy a value: as its second holder, and for a holder that retired. All holders were gone
    // when it answered; it was told to drop the first copy and counted on for the second.
    let case = Case {
        layers_max: Some(3),
        blocks_max: Some(8),
        ..Case::new(50_020_335)
    };
    simulate(&case).unwrap_or_else(|failed| panic!("{failed}"));
}

#[test]
fn what_workers_bring_along_after_a_restart_is_beside_the_bound_of_a_jobs_memory() {
    // Two of three workers came back, and what they held was more than a run in order would have at a time.
    let case = Case::new(1_795_870_472_000_269);
    simulate(&case).unwrap_or_else(|failed| panic!("{failed}"));
}

#[test]
fn what_needs_the_values_of_a_client_that_did_not_come_back_fails_with_what_runs_of_it() {
    // The scheduler was restarted twice and nothing else went wrong, but a client never came back; tasks of others that were
    // called back for it reported all the same.
    let case = Case::new(1_795_884_206_000_271);
    simulate(&case).unwrap_or_else(|failed| panic!("{failed}"));
}

#[test]
fn a_job_is_taken_down_as_forgotten_before_what_it_reads() {
    // The scheduler ended when it had taken down the one and not the other; the next one could not take the job in.
    let case = Case::new(1_795_893_521_005_492);
    simulate(&case).unwrap_or_else(|failed| panic!("{failed}"));
}

#[test]
fn tasks_that_wait_for_a_worker_that_can_run_them_keep_their_turn_in_a_jobs_memory() {
    // The workers with two of a thing were gone, and the tasks that need two were ready: those that come after them were run
    // one by one all the same, and left behind more than the job's bound.
    let case = Case {
        layers_max: Some(3),
        blocks_max: Some(8),
        only_jobs: Some((1..=8).collect()),
        ..Case::new(5_000_697_406)
    };
    simulate(&case).unwrap_or_else(|failed| panic!("{failed}"));
}

#[test]
fn a_value_is_handed_over_to_the_attempt_that_waits_for_it_and_to_no_earlier_one() {
    // A worker that was cut off was called back and leased a value again before it heard of either. Its client, told of the
    // second lease, gave the value to the first one, with which it was dropped, and was never asked again.
    let case = Case {
        layers_max: Some(3),
        blocks_max: Some(8),
        only_jobs: Some((1..=8).collect()),
        ..Case::new(5_000_175_881)
    };
    simulate(&case).unwrap_or_else(|failed| panic!("{failed}"));
}
