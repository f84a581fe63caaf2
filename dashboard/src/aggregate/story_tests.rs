//! What the pages of workers, of one worker, of memory and of scaling are told.

use graticule_plan::WorkerId;

use super::{
    tests::{assigned, failed, finished, job_started, joined, left, task, told},
    *,
};
use crate::{ScaleDecision, TaskFinished, WorkerStatus};

const S: u64 = 1_000_000;

fn status(worker: u64, memory_bytes: u64, spilled_bytes: u64) -> Record {
    Record::WorkerStatus {
        worker: WorkerId(worker),
        status: WorkerStatus {
            memory_bytes,
            spilled_bytes,
            transit_bytes: 1 << 20,
            resident_bytes: memory_bytes + (3 << 20),
            ..WorkerStatus::default()
        },
    }
}

fn made(block: u64, worker: u64, bytes: u64, spilled: bool) -> Record {
    Record::TaskFinished(TaskFinished {
        task: task(1, 0, block),
        worker: WorkerId(worker),
        attempt: 0,
        slot: 0,
        started_us: 10,
        duration_us: 700,
        fetch_us: 0,
        bytes,
        spilled,
    })
}

fn decided(wanted: u32, start: u32, retire: u32, reason: &str) -> Record {
    Record::ScaleDecided(ScaleDecision {
        wanted,
        min: 1,
        max: 9,
        start,
        stay: 0,
        retire,
        reason: reason.into(),
    })
}

fn names(roster: &Roster) -> Vec<&str> {
    roster.rows.iter().map(|row| &*row.name).collect()
}

#[test]
fn workers_are_sorted_part_by_part_and_those_that_are_gone_come_last() {
    let mut records: Vec<_> = (1..=300).map(|n| (n, joined(n))).collect();
    records.push((400, left(7)));
    records.push((500, status(9, 900 << 20, 5)));
    records.push((500, status(10, 100 << 20, 50)));
    let waits_for = "2 chunks".into();
    records.push((
        600,
        Record::WorkerRetiring {
            worker: WorkerId(3),
            waits_for,
        },
    ));
    let aggregator = told(&records);
    let by = |order, direction, from| aggregator.roster(S, order, direction, from);

    let all = by(RosterOrder::Name, Direction::Up, 0);
    assert_eq!((all.total, all.ready, all.retiring, all.lost), (300, 298, 1, 1));
    assert_eq!(all.rows.len(), ROSTER_ROW_COUNT_MAX);
    assert_eq!(all.sums.memory, 1_000 << 20);
    assert_eq!(names(&all)[..3], ["worker-1", "worker-2", "worker-3"]);
    assert_eq!(names(&all)[7..9], ["worker-9", "worker-10"], "7 is gone");
    let rest = by(RosterOrder::Name, Direction::Up, 200);
    assert_eq!((rest.from, rest.rows.len()), (200, 100));
    assert_eq!(names(&rest)[99], "worker-7");
    assert_eq!(by(RosterOrder::Name, Direction::Up, u64::MAX).rows, []);

    assert_eq!(
        names(&by(RosterOrder::Managed, Direction::Down, 0))[..2],
        ["worker-9", "worker-10"]
    );
    assert_eq!(
        names(&by(RosterOrder::Spilled, Direction::Down, 0))[..2],
        ["worker-10", "worker-9"]
    );
    assert_eq!(names(&by(RosterOrder::Other, Direction::Down, 0))[0], "worker-9");
    assert_eq!(
        names(&by(RosterOrder::State, Direction::Down, 0))[0],
        "worker-3",
        "about to leave"
    );
}

#[test]
fn a_worker_tells_its_memory_what_it_runs_what_it_made_and_what_failed() {
    let mut aggregator = told(&[
        (0, joined(1)),
        (1, joined(2)),
        (2, job_started(1, &[("read", 40), ("median", 4)])),
        (3 * S, status(1, 8 << 20, 2 << 20)),
        (6 * S, status(1, 16 << 20, 0)),
        (6 * S, made(0, 1, 1 << 20, false)),
        (6 * S, made(1, 1, 1 << 20, true)),
        (6 * S, made(2, 2, 1 << 20, false)),
        (7 * S, assigned(task(1, 1, 0), 1, 0)),
        (7 * S, assigned(task(1, 1, 1), 2, 0)),
        (8 * S, failed(task(1, 0, 9), 1, 0)),
    ]);
    let story = aggregator.worker_story(9 * S, 0, 0).expect("it is known");
    let seconds = |loads: &[LoadPoint]| loads.iter().map(|it| it.at_us / S).collect::<Vec<_>>();
    assert_eq!(
        seconds(&story.loads),
        [3, 4, 5, 6, 7, 8, 9],
        "each second, as it was last told"
    );
    let third = story.loads[2];
    assert_eq!((third.managed, third.spilled), (8 << 20, 2 << 20));
    assert_eq!((third.other, third.transit), (2 << 20, 1 << 20));
    assert_eq!(story.running.len(), 1);
    assert_eq!(story.running[0].worker, 0);
    let held = &story.held[0];
    assert_eq!(
        (&*held.of.name, held.chunks, held.bytes, held.spilled),
        ("read", 2, 2 << 20, 1)
    );
    assert_eq!((story.errors, &*story.failures[0].message), (1, "no such file"));
    assert_eq!(aggregator.worker_story(9 * S, 77, 0), None);

    aggregator.apply(10 * S, left(1));
    let story = aggregator.worker_story(20 * S, 0, 0).expect("it is known");
    assert_eq!(seconds(&story.loads).last(), Some(&10), "nothing after it left");
    assert!(story.running.is_empty());
    let coarse = aggregator.worker_story(20 * S, 0, 9).expect("it is known");
    assert_eq!(coarse.bucket_us, HISTORY_BUCKET_US[2]);
}

#[test]
fn memory_is_told_by_worker_by_operation_and_by_who_holds_what() {
    let mut aggregator = told(&[
        (0, joined(1)),
        (1, joined(2)),
        (2, job_started(1, &[("read", 40), ("median", 4)])),
        (S, made(0, 1, 1 << 20, false)),
        (S, made(1, 1, 1 << 20, true)),
        (S, made(2, 2, 1 << 20, false)),
        (S, finished(task(1, 1, 0), 2, 0, 20)),
        (2 * S, status(1, 2 << 20, 1 << 20)),
        (2 * S, status(2, 4 << 20, 0)),
    ]);
    aggregator.sample(2 * S);
    let told = aggregator.memory_story(3 * S, 0);
    let last = told.loads.last().expect("there is one");
    assert_eq!(
        (last.managed, last.spilled, last.transit),
        (6 << 20, 1 << 20, 2 << 20)
    );
    assert_eq!(
        told.workers.iter().map(|it| it.k).collect::<Vec<_>>(),
        [1, 0],
        "the most first"
    );
    assert_eq!(told.budget, 2 << 30);
    assert_eq!(told.limits, [2 << 30, 2 << 30], "of both, in each bucket");
    let read = &told.holders[0];
    assert_eq!(
        (&*read.of.name, read.chunks, read.total, read.spilled),
        ("read", 3, 40, 1)
    );
    assert_eq!(read.workers, [(Some(0), 2, 2 << 20), (Some(1), 1, 1 << 20)]);
    assert_eq!(told.held, told.holders.iter().map(|it| it.bytes).sum::<u64>());
    assert_eq!(told.copies, (7 << 20) - told.held);
    assert_eq!(told.operations[0].points, [(2 * S, 3 << 20)]);

    let first = task(1, 0, 0);
    aggregator.apply(
        4 * S,
        Record::ChunksReleased {
            first,
            count: 3,
            attempt: 0,
        },
    );
    let told = aggregator.memory_story(4 * S, 0);
    assert_eq!(told.holders.len(), 1);
    assert_eq!(&*told.holders[0].of.name, "median");
}

#[test]
fn lives_have_their_times_and_the_reasons_of_decisions() {
    let starting = |name: &str| Record::WorkerStarting { name: name.into() };
    let aggregator = told(&[
        (S, decided(2, 2, 0, "forty tasks wait")),
        (S, starting("worker-1")),
        (S + 1, starting("worker-2")),
        (3 * S, joined(1)),
        (
            4 * S,
            Record::WorkerStartFailed {
                name: "worker-2".into(),
                why: "exit code 1".into(),
            },
        ),
        (7 * S, starting("worker-5")),
        (8 * S, joined(3)),
        (30 * S, decided(1, 0, 1, "no task waits")),
        (
            30 * S,
            Record::WorkerRetiring {
                worker: WorkerId(1),
                waits_for: "3 chunks".into(),
            },
        ),
        (
            32 * S,
            Record::WorkerLeft {
                worker: WorkerId(1),
                why: LeaveReason::Retired,
            },
        ),
    ]);
    let story = aggregator.scaling_story(40 * S);
    let states: Vec<_> = story.lives.iter().map(|it| (&*it.name, it.state)).collect();
    use LifeState::{Failed, Ready, Retired, Starting};
    assert_eq!(
        states,
        [
            ("worker-1", Retired),
            ("worker-2", Failed),
            ("worker-5", Starting),
            ("worker-3", Ready)
        ]
    );
    let first = &story.lives[0];
    assert_eq!(
        (
            first.wanted_us,
            first.starting_us,
            first.joined_us,
            first.retiring_us,
            first.ended_us
        ),
        (Some(S), Some(S), Some(3 * S), Some(30 * S), Some(32 * S))
    );
    assert_eq!(story.lives[1].why.as_deref(), Some("exit code 1"));
    assert_eq!(story.counts, [(3 * S, 1), (8 * S, 2), (32 * S, 1)]);
    assert_eq!(story.decisions.len(), 2);
    assert_eq!(story.latest.expect("told").decision.wanted, 1);

    let life = aggregator.worker_story(40 * S, 0, 0).expect("it is known").life;
    let told: Vec<_> = life
        .iter()
        .map(|it| (it.kind, it.text.as_deref(), it.reason.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            (LifeEventKind::Wanted, None, Some("forty tasks wait")),
            (LifeEventKind::Starting, None, None),
            (LifeEventKind::Joined, None, None),
            (LifeEventKind::Retiring, Some("3 chunks"), Some("no task waits")),
            (LifeEventKind::Retired, None, None),
        ]
    );
}

#[test]
fn of_many_workers_the_numbers_over_time_are_thinned_and_end_right() {
    let mut records: Vec<_> = (1..=2_000).map(|n| (n * S, joined(n))).collect();
    records.push((3_000 * S, left(1)));
    let story = told(&records).scaling_story(4_000 * S);
    assert_eq!(story.lives.len(), LIFE_COUNT_MAX);
    assert_eq!(story.left_out, 2_000 - LIFE_COUNT_MAX as u64);
    assert!(
        story.counts.len() <= WORKER_STEP_COUNT_MAX,
        "{}",
        story.counts.len()
    );
    assert_eq!(story.counts.last(), Some(&(3_000 * S, 1_999)));
}
