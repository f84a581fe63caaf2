//! Chunks that go to disk and come back, as workers tell it.

use std::collections::BTreeSet;

use graticule_plan::{JobId, LayerId, TaskId, WorkerId};
use proptest::{prelude::*, sample::Index};

use super::{
    held::HeldSum,
    tests::{finished, job_started, joined, left, task, told},
    *,
};
use crate::{ChunkRun, DiskChecked, DiskTold, LeaveReason};

/// Blocks of each of the two layers.
const BLOCK_COUNT: u64 = 150;

fn run(layer: u32, block: u64, count: u64) -> ChunkRun {
    ChunkRun {
        first: task(1, layer, block),
        count,
    }
}

fn disk(worker: u64, told: DiskTold) -> Record {
    Record::Disk {
        worker: WorkerId(worker),
        told: told.into(),
    }
}

fn to_disk(worker: u64, runs: &[ChunkRun]) -> Record {
    let to_disk = runs.to_vec();
    disk(
        worker,
        DiskTold {
            to_disk,
            ..DiskTold::default()
        },
    )
}

fn off_disk(worker: u64, runs: &[ChunkRun]) -> Record {
    let off_disk = runs.to_vec();
    disk(
        worker,
        DiskTold {
            off_disk,
            ..DiskTold::default()
        },
    )
}

fn check(worker: u64, from: TaskId, until: Option<TaskId>, runs: &[ChunkRun]) -> Record {
    let check = Some(DiskChecked {
        from,
        until,
        on_disk: runs.to_vec(),
    });
    disk(
        worker,
        DiskTold {
            check,
            ..DiskTold::default()
        },
    )
}

fn retired(worker: u64) -> Record {
    Record::WorkerLeft {
        worker: WorkerId(worker),
        why: LeaveReason::Retired,
    }
}

/// Two workers made a layer each.
fn made() -> Vec<(u64, Record)> {
    let mut records = vec![
        (0, joined(1)),
        (0, joined(2)),
        (0, job_started(1, &[("read", BLOCK_COUNT), ("mean", BLOCK_COUNT)])),
    ];
    for layer in 0..2 {
        let of_layer =
            (0..BLOCK_COUNT).map(|block| finished(task(1, layer, block), 1 + u64::from(layer), 0, 5));
        records.extend(of_layer.map(|record| (900, record)));
    }
    records
}

/// Blocks whose cells are drawn as on disk.
fn drawn(aggregator: &mut Aggregator, layer: RowKey) -> BTreeSet<u64> {
    let publisher = ArrayPublisher::new(aggregator, 0).expect("the job is known");
    let mut view = CellView::default();
    view.apply(&publisher.snapshot()).expect("a snapshot");
    publisher.close(aggregator);
    let cells = (0..).zip(&view.arrays[&layer].1);
    cells
        .filter(|(_, cell)| cell[0] & 0x0f == CellState::Spilled as u8)
        .map(|(block, _)| block)
        .collect()
}

fn held(aggregator: &Aggregator, layer: u32) -> HeldSum {
    aggregator.jobs[&JobId(1)].layers[&LayerId(layer)].held()
}

#[test]
fn a_chunk_that_is_spilled_later_is_drawn_on_disk_and_in_memory_again_when_it_is_back() {
    let mut aggregator = told(&made());
    assert_eq!(drawn(&mut aggregator, 0), BTreeSet::new());
    aggregator.apply(1_000, to_disk(1, &[run(0, 3, 2), run(0, 9, 1)]));
    assert_eq!(drawn(&mut aggregator, 0), BTreeSet::from([3, 4, 9]));
    assert_eq!(
        (held(&aggregator, 0).spilled, held(&aggregator, 0).chunks),
        (3, BLOCK_COUNT)
    );
    let holder = aggregator.memory_story(1_000, 0).holders;
    assert_eq!(holder.iter().map(|it| it.spilled).sum::<u64>(), 3);
    assert_eq!(aggregator.block(0, 9).expect("known").state, CellState::Spilled);
    aggregator.apply(1_100, off_disk(1, &[run(0, 4, 1)]));
    assert_eq!(drawn(&mut aggregator, 0), BTreeSet::from([3, 9]));
    assert_eq!(held(&aggregator, 0).spilled, 2);
    // What is made again, lost or released is no longer on disk, whatever is still said of it.
    aggregator.apply(1_200, finished(task(1, 0, 3), 2, 1, 1_000));
    let released = Record::ChunksReleased {
        first: task(1, 0, 9),
        count: 1,
        attempt: 0,
    };
    aggregator.apply(1_300, released);
    assert_eq!(drawn(&mut aggregator, 0), BTreeSet::new());
    assert_eq!(held(&aggregator, 0).spilled, 0);
}

#[test]
fn a_report_may_come_before_its_task_is_told_to_have_ended() {
    let mut records = made();
    let end = records.pop().expect("the last task");
    let mut aggregator = told(&records);
    aggregator.apply(950, to_disk(2, &[run(1, BLOCK_COUNT - 1, 1)]));
    assert_eq!(drawn(&mut aggregator, 1), BTreeSet::new());
    aggregator.apply(end.0, end.1);
    assert_eq!(drawn(&mut aggregator, 1), BTreeSet::from([BLOCK_COUNT - 1]));
}

#[test]
fn late_and_repeated_reports_change_nothing() {
    let mut aggregator = told(&made());
    let first = to_disk(1, &[run(0, 0, 5)]);
    aggregator.apply(1_000, first.clone());
    aggregator.apply(1_100, off_disk(1, &[run(0, 0, 5)]));
    aggregator.apply(1_000, first);
    assert_eq!(drawn(&mut aggregator, 0), BTreeSet::new());
    // Reports of one worker are not compared with those of another.
    aggregator.apply(1_050, to_disk(2, &[run(1, 0, 1)]));
    aggregator.apply(1_050, to_disk(2, &[run(1, 0, 1)]));
    assert_eq!(
        (drawn(&mut aggregator, 1).len(), held(&aggregator, 1).spilled),
        (1, 1)
    );
}

#[test]
fn a_check_makes_good_what_was_lost_within_its_part() {
    let mut aggregator = told(&made());
    aggregator.apply(1_000, to_disk(1, &[run(0, 0, 100), run(1, 7, 1)]));
    aggregator.apply(
        1_100,
        check(1, task(1, 0, 10), Some(task(1, 0, 90)), &[run(0, 20, 30)]),
    );
    let want: BTreeSet<u64> = (0..10).chain(20..50).chain(90..100).collect();
    assert_eq!(drawn(&mut aggregator, 0), want);
    let moves: Vec<_> = aggregator
        .disk_moves()
        .iter()
        .map(|it| (it.chunks.first.block, it.chunks.count, it.is_on_disk))
        .collect();
    assert_eq!(moves, [(10, 10, false), (50, 40, false)]);
    aggregator.apply(1_200, check(1, task(0, 0, 0), None, &[]));
    assert_eq!(drawn(&mut aggregator, 0), BTreeSet::new());
    assert!(
        aggregator.jobs[&JobId(1)].layers[&LayerId(1)]
            .words
            .disks()
            .all()
            .is_empty()
    );
}

#[test]
fn with_several_holders_the_one_that_made_it_counts_until_it_leaves() {
    let mut aggregator = told(&made());
    // The second worker has copies of chunks that the first made.
    aggregator.apply(1_000, to_disk(2, &[run(0, 5, 2)]));
    assert_eq!(drawn(&mut aggregator, 0), BTreeSet::new());
    aggregator.apply(1_100, to_disk(1, &[run(0, 6, 3)]));
    assert_eq!(drawn(&mut aggregator, 0), BTreeSet::from([6, 7, 8]));
    aggregator.apply(1_200, retired(1));
    assert_eq!(drawn(&mut aggregator, 0), BTreeSet::from([5, 6]));
    assert_eq!(held(&aggregator, 0).spilled, 2);
    aggregator.apply(1_300, off_disk(2, &[run(0, 0, 20)]));
    assert_eq!(
        (drawn(&mut aggregator, 0).len(), held(&aggregator, 0).spilled),
        (0, 0)
    );
}

#[test]
fn a_lost_worker_has_nothing_on_disk_and_what_it_said_before_comes_too_late() {
    let mut aggregator = told(&made());
    aggregator.apply(1_000, to_disk(1, &[run(0, 0, 9)]));
    aggregator.apply(1_200, left(1));
    assert_eq!(drawn(&mut aggregator, 0), BTreeSet::new());
    aggregator.apply(1_100, to_disk(1, &[run(0, 0, 9)]));
    assert_eq!(drawn(&mut aggregator, 0), BTreeSet::new());
    // It is back, and tells all that it has.
    aggregator.apply(2_000, joined(1));
    aggregator.apply(2_100, to_disk(1, &[run(0, 2, 1)]));
    assert_eq!(
        (drawn(&mut aggregator, 0), held(&aggregator, 0).spilled),
        (BTreeSet::from([2]), 1)
    );
}

#[test]
fn what_no_plan_has_is_left_alone() {
    let mut aggregator = told(&made());
    let far = ChunkRun {
        first: task(1, 0, BLOCK_COUNT - 1),
        count: u64::MAX,
    };
    let unknown = ChunkRun {
        first: task(77, 0, 0),
        count: u64::MAX,
    };
    let no_layer = run(9, 0, 5);
    aggregator.apply(1_000, to_disk(1, &[unknown, no_layer, far]));
    // Of so many blocks the last ones are not looked at any more.
    aggregator.apply(1_100, to_disk(1, &[far]));
    assert_eq!(drawn(&mut aggregator, 0), BTreeSet::from([BLOCK_COUNT - 1]));
    assert_eq!(
        (aggregator.jobs.len(), aggregator.jobs[&JobId(1)].layers.len()),
        (1, 2)
    );
}

#[test]
fn what_a_worker_has_no_room_to_tell_is_shown_with_it() {
    let mut aggregator = told(&made());
    let told = DiskTold {
        waiting: 7,
        ..DiskTold::default()
    };
    aggregator.apply(1_000, disk(1, told));
    assert_eq!(
        aggregator.worker_story(1_000, 0, 0).expect("known").disk_waiting,
        7
    );
    aggregator.apply(1_100, to_disk(1, &[]));
    assert_eq!(
        aggregator.worker_story(1_000, 0, 0).expect("known").disk_waiting,
        0
    );
}

/// What a worker has on disk, and what it says of it.
#[derive(Default)]
struct Model {
    on_disk: BTreeSet<TaskId>,
}

impl Model {
    fn runs(&self) -> Vec<ChunkRun> {
        let each = self.on_disk.iter();
        each.map(|chunk| ChunkRun {
            first: *chunk,
            count: 1,
        })
        .collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Reports are lost, come late, and come twice; when each worker was checked once more, all is as it is. Meanwhile a
    /// viewer that follows the deltas sees what one sees who begins then, and the sums are those of the cells.
    #[test]
    fn any_sequence_of_reports_ends_as_the_truth(
        steps in prop::collection::vec((1..3u64, 0..2u32, any::<Index>(), 1..40u64, any::<bool>(), 0..4u8), 0..60),
        leaves in any::<Option<Index>>(),
    ) {
        let mut aggregator = told(&made());
        let mut models = [Model::default(), Model::default()];
        let mut publisher = ArrayPublisher::new(&mut aggregator, 0).expect("the job is known");
        let mut viewer = CellView::default();
        viewer.apply(&publisher.snapshot()).expect("a snapshot");
        let leaves = leaves.map(|at| at.index(steps.len() + 1));
        let mut late: Vec<(u64, Record)> = Vec::new();
        for (at, (worker, layer, first, count, is_on_disk, fate)) in steps.iter().enumerate() {
            let at_us = 1_000 + at as u64 * 10;
            if leaves == Some(at) {
                aggregator.apply(at_us, retired(2));
                models[1].on_disk.clear();
            }
            if leaves.is_some_and(|left| left <= at) && *worker == 2 {
                continue;
            }
            let first = first.index(BLOCK_COUNT as usize) as u64;
            let end = (first + count).min(BLOCK_COUNT);
            let of_model = &mut models[*worker as usize - 1].on_disk;
            for block in first..end {
                if *is_on_disk {
                    of_model.insert(task(1, *layer, block));
                } else {
                    of_model.remove(&task(1, *layer, block));
                }
            }
            let runs = [run(*layer, first, end - first)];
            let record = if *is_on_disk { to_disk(*worker, &runs) } else { off_disk(*worker, &runs) };
            match fate {
                // Lost.
                0 => {}
                1 => late.push((at_us, record)),
                2 => {
                    aggregator.apply(at_us, record.clone());
                    aggregator.apply(at_us, record);
                }
                _ => {
                    aggregator.apply(at_us, record);
                    late.drain(..).for_each(|(at_us, record)| aggregator.apply(at_us, record));
                }
            }
            let activity = Activity::of(&aggregator);
            if let Some(delta) = publisher.delta(&mut aggregator, &activity) {
                viewer.apply(&delta).expect("the next frame");
            }
        }
        for (worker, model) in (1..).zip(&models) {
            if worker == 1 || leaves.is_none_or(|left| left >= steps.len()) {
                aggregator.apply(90_000, check(worker, task(0, 0, 0), None, &model.runs()));
            }
        }
        let activity = Activity::of(&aggregator);
        while let Some(delta) = publisher.delta(&mut aggregator, &activity) {
            viewer.apply(&delta).expect("the next frame");
        }
        publisher.close(&mut aggregator);
        let has_left = leaves.is_some_and(|left| left < steps.len());
        for layer in 0..2u32 {
            // The second layer's maker may have left: then copies count.
            let maker = if layer == 1 && !has_left { 1 } else { 0 };
            let want: BTreeSet<u64> = models[maker].on_disk.iter()
                .filter(|chunk| chunk.layer == LayerId(layer))
                .map(|chunk| chunk.block)
                .collect();
            prop_assert_eq!(drawn(&mut aggregator, layer), want.clone());
            prop_assert_eq!(held(&aggregator, layer).spilled, want.len() as u64);
            prop_assert_eq!(held(&aggregator, layer).chunks, BLOCK_COUNT);
        }
        let publisher = ArrayPublisher::new(&mut aggregator, 0).expect("the job is known");
        let mut seen = CellView::default();
        seen.apply(&publisher.snapshot()).expect("a snapshot");
        prop_assert_eq!(viewer.arrays, seen.arrays);
    }
}
