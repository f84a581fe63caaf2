//! Seeds that must pass, and defects that seeds must find.

use graticule_sim::{EVENTS_MIN, Sabotage, TASKS_MIN, simulate, simulate_with_story};

/// Seeds within which a planted defect must be found.
const SEEDS_MAX: u64 = 500;

#[test]
fn seeds_pass_and_are_long_enough() {
    for seed in 1..=12 {
        let counts = simulate(seed, Sabotage::None).unwrap_or_else(|failed| panic!("{failed}"));
        assert!(
            counts.tasks >= TASKS_MIN && counts.events >= EVENTS_MIN,
            "seed {seed}: {counts:?}"
        );
    }
}

#[test]
fn a_seed_happens_the_same_way_again() {
    let (first, second) = (
        simulate_with_story(3, Sabotage::None),
        simulate_with_story(3, Sabotage::None),
    );
    assert_eq!(first.0, second.0);
    assert!(first.1 == second.1, "the stories differ");
    assert!(first.1.len() > 1000);
}

/// A task that had failed for good was dropped in a job that was over; its inputs stayed needed for ever.
#[test]
fn inputs_of_tasks_dropped_in_a_job_that_is_over_are_released() {
    simulate(246, Sabotage::None).unwrap_or_else(|failed| panic!("{failed}"));
}

#[test]
fn forgotten_chunks_are_found() {
    is_found(Sabotage::ForgetLostChunks);
}

#[test]
fn a_release_too_early_is_found() {
    is_found(Sabotage::ReleaseTooEarly);
}

#[test]
fn combining_by_arrival_is_found() {
    is_found(Sabotage::CombineByArrival);
}

#[test]
fn leaving_before_the_copies_arrive_is_found() {
    is_found(Sabotage::LeaveBeforeCopied);
}

#[test]
fn counting_copies_before_they_arrive_is_found() {
    is_found(Sabotage::CountCopyEarly);
}

fn is_found(sabotage: Sabotage) {
    for seed in 1..=SEEDS_MAX {
        if let Err(failed) = simulate(seed, sabotage) {
            assert!(failed.to_string().contains(&format!("--seed {seed} --trace")));
            let sound = simulate(seed, Sabotage::None);
            sound.unwrap_or_else(|failed| panic!("without the defect: {failed}"));
            return;
        }
        simulate(seed, Sabotage::None).unwrap_or_else(|failed| panic!("{failed}"));
    }
    panic!("{sabotage:?} was not found within {SEEDS_MAX} seeds");
}
