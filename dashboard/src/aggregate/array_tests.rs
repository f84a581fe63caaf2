//! Arrays, cell by cell, and what is told of single chunks.

use graticule_plan::{AxisWindow, ChunkGrid, Input, InputMap, JobId, Key, LayerId, Source};
use proptest::{prelude::*, sample::Index};

use super::{
    cells::CellView,
    tests::{assigned, failed, finished, job_started, joined, steps, story, task, told},
    *,
};
use crate::{JobOutcome, LayerInfo, LayerPlan};

/// Two layers: (2, 3, 4) chunks, and their reduction over the first axis, which the cluster keeps.
fn planned_job(job: u64, key: u128) -> Record {
    let shape = [20u64, 30, 40];
    let read = LayerPlan {
        grid: ChunkGrid::regular(&shape, &[10, 10, 10]).expect("a grid"),
        item_bytes: 8,
        inputs: Vec::new(),
        keys: Vec::new(),
        is_output: false,
    };
    let over_first = vec![
        AxisWindow::All,
        AxisWindow::Aligned { out_axis: 0 },
        AxisWindow::Aligned { out_axis: 1 },
    ];
    let reduced = LayerPlan {
        grid: ChunkGrid::regular(&shape[1..], &[10, 10]).expect("a grid"),
        item_bytes: 4,
        inputs: vec![Input {
            source: Source::Layer(LayerId(0)),
            map: InputMap::Product(over_first),
        }],
        keys: vec![Key(key)],
        is_output: true,
    };
    started(job, [("read", read), ("mean", reduced)])
}

/// A job that reads what another one keeps.
fn reading_job(job: u64, key: u128) -> Record {
    let aligned = [0, 1].map(|out_axis| AxisWindow::Aligned { out_axis }).to_vec();
    let plan = LayerPlan {
        grid: ChunkGrid::regular(&[30, 40], &[10, 10]).expect("a grid"),
        item_bytes: 4,
        inputs: vec![Input {
            source: Source::Held(Key(key)),
            map: InputMap::Product(aligned),
        }],
        keys: Vec::new(),
        is_output: true,
    };
    started(job, [("write", plan)])
}

fn started<const N: usize>(job: u64, layers: [(&str, LayerPlan); N]) -> Record {
    let layers = layers.map(|(name, plan)| LayerInfo {
        name: name.into(),
        task_count: plan.grid.block_count(),
        chunk_bytes: 1,
        origin: None,
        plan: Some(Arc::new(plan)),
    });
    Record::JobStarted {
        job: JobId(job),
        name: "study".into(),
        layers: Arc::new(layers),
    }
}

fn released(job: u64, layer: u32, block: u64, count: u64) -> Record {
    Record::ChunksReleased {
        first: task(job, layer, block),
        count,
        attempt: 0,
    }
}

fn states(view: &CellView, layer: RowKey) -> Vec<u8> {
    view.arrays[&layer].1.iter().map(|cell| cell[0] & 0x0f).collect()
}

fn seen(aggregator: &mut Aggregator) -> CellView {
    let publisher = ArrayPublisher::new(aggregator, 0).expect("the job is known");
    let mut view = CellView::default();
    view.apply(&publisher.snapshot()).expect("a snapshot");
    view
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_snapshot_of_cells_and_its_deltas_are_the_later_snapshot(
        steps in steps(),
        cuts in prop::collection::vec(any::<Index>(), 1..10),
        ends in any::<bool>(),
    ) {
        let mut records = story(&steps);
        if ends {
            let ended = Record::JobEnded { job: JobId(1), outcome: JobOutcome::Cancelled, finished: None };
            records.push((900_000, ended));
        }
        let first = records.iter().position(|(_, it)| matches!(it, Record::JobStarted { .. })).unwrap_or(0) + 1;
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| first + cut.index(records.len() - first + 1)).collect();
        cuts.sort_unstable();
        let mut aggregator = told(&records[..first]);
        let mut publisher = ArrayPublisher::new(&mut aggregator, 0).expect("the job is known");
        let mut viewer = CellView::default();
        viewer.apply(&publisher.snapshot()).expect("a snapshot");
        let mut from = first;
        for to in cuts.into_iter().chain([records.len()]) {
            records[from..to].iter().for_each(|(at_us, record)| aggregator.apply(*at_us, record.clone()));
            from = to;
            let activity = Activity::of(&aggregator);
            if let Some(delta) = publisher.delta(&mut aggregator, &activity) {
                prop_assert!(delta.len() <= DELTA_BYTES_MAX);
                viewer.apply(&delta).expect("the next frame");
            }
            let mut late = CellView::default();
            late.apply(&publisher.snapshot()).expect("a snapshot");
            prop_assert_eq!(&viewer, &late);
        }
        let activity = Activity::of(&aggregator);
        while let Some(delta) = publisher.delta(&mut aggregator, &activity) {
            viewer.apply(&delta).expect("the next frame");
        }
        publisher.close(&mut aggregator);
        prop_assert_eq!(viewer.arrays, seen(&mut aggregator).arrays);
    }
}

#[test]
fn a_chunk_is_waiting_given_running_held_and_released() {
    let mut aggregator = told(&[(0, joined(1)), (0, planned_job(1, 9))]);
    let mut publisher = ArrayPublisher::new(&mut aggregator, 0).expect("known");
    let mut view = CellView::default();
    view.apply(&publisher.snapshot()).expect("a snapshot");
    let mut state_after = |at_us, record| {
        aggregator.apply(at_us, record);
        let activity = Activity::of(&aggregator);
        if let Some(delta) = publisher.delta(&mut aggregator, &activity) {
            view.apply(&delta).expect("the next frame");
        }
        view.arrays[&0].1[5]
    };
    // The worker has two slots: of three tasks one waits.
    state_after(1, assigned(task(1, 0, 0), 1, 0));
    state_after(2, assigned(task(1, 0, 1), 1, 0));
    let it = task(1, 0, 5);
    assert_eq!(state_after(3, assigned(it, 1, 0))[0], CellState::Given as u8);
    let began = state_after(9, finished(task(1, 0, 0), 1, 0, 2));
    assert_eq!(began[0], CellState::Running as u8);
    let held = state_after(1_000, finished(it, 1, 0, 9));
    assert_eq!((held[0], held[1], held[2]), (CellState::Held as u8, 1, 0));
    assert!(held[3] > 0 && held[4] > 0, "bytes and time are told");
    let dropped = state_after(1_100, released(1, 0, 4, 3));
    assert_eq!(dropped[0], CellState::Released as u8);
    let lost = state_after(1_200, Record::TaskReset { task: it, attempt: 0 });
    assert_eq!(lost[0], CellState::Waiting as u8 | CELL_AGAIN);
    let made = state_after(3_000, finished(it, 1, 1, 2_000));
    assert_eq!(made[0], CellState::Held as u8 | CELL_AGAIN);
    let again = state_after(3_100, failed(task(1, 0, 5), 1, 2));
    assert_eq!(again[0], CellState::Failed as u8 | CELL_AGAIN);
}

#[test]
fn an_ended_job_leaves_nothing_running() {
    let mut aggregator = told(&[
        (0, joined(1)),
        (0, planned_job(1, 9)),
        (1, assigned(task(1, 0, 3), 1, 0)),
    ]);
    assert_eq!(states(&seen(&mut aggregator), 0)[3], CellState::Running as u8);
    let outcome = JobOutcome::Cancelled;
    aggregator.apply(
        9,
        Record::JobEnded {
            job: JobId(1),
            outcome,
            finished: None,
        },
    );
    assert!(states(&seen(&mut aggregator), 0).iter().all(|state| *state == 0));
}

#[test]
fn a_job_that_is_too_large_shows_the_arrays_that_fit() {
    let sizes = [("a", CELL_COUNT_MAX - 5), ("b", 6), ("c", 5), ("d", 1)];
    let mut aggregator = told(&[(0, job_started(1, &sizes))]);
    let view = seen(&mut aggregator);
    assert_eq!(view.arrays.keys().copied().collect::<Vec<_>>(), [0, 2]);
    assert!(ArrayPublisher::new(&mut aggregator, 77).is_none());
}

#[test]
fn a_release_past_the_end_is_rejected_and_the_rest_counts() {
    let mut aggregator = told(&[(0, joined(1)), (0, planned_job(1, 9))]);
    aggregator.apply(1, finished(task(1, 1, 11), 1, 0, 0));
    aggregator.apply(2, released(1, 1, 11, 1 << 40));
    assert_eq!(states(&seen(&mut aggregator), 1)[11], CellState::Released as u8);
    aggregator.apply(3, released(5, 1, 0, 1 << 60));
    assert_eq!(aggregator.head(9, 0, 0).rejected, 2);
}

#[test]
fn a_chunk_names_what_it_reads_and_who_reads_it() {
    let mut aggregator = told(&[
        (0, joined(1)),
        (0, planned_job(1, 9)),
        (0, reading_job(2, 9)),
        (1, finished(task(1, 0, 5), 1, 0, 0)),
    ]);
    let mean = aggregator.block(1, 5).expect("known");
    assert_eq!(mean.state, CellState::Waiting);
    assert_eq!(mean.extents, [(10, 20), (10, 20)]);
    assert_eq!(mean.planned_bytes, 400);
    assert_eq!(mean.inputs.len(), 1);
    let input = &mean.inputs[0];
    assert_eq!((input.layer, input.count, input.done), (0, 2, 1));
    assert_eq!(input.runs, [(5, 1), (17, 1)]);
    let reader = &mean.consumers[0];
    assert_eq!((reader.layer, reader.count), (2, 1));
    let read = aggregator.block(0, 17).expect("known");
    assert_eq!(read.consumers[0].runs, [(5, 1)]);
    let write = aggregator.block(2, 5).expect("known");
    assert_eq!((write.inputs[0].layer, write.inputs[0].count), (1, 1));
    assert!(aggregator.block(2, 12).is_none() && aggregator.block(40, 0).is_none());
}

#[test]
fn an_outline_has_axes_and_edges_also_between_jobs() {
    let mut aggregator = told(&[(0, planned_job(1, 9)), (0, reading_job(2, 9))]);
    let outline = aggregator.outline(0).expect("known");
    let axes = outline.layers[0].axes.as_ref().expect("told");
    assert_eq!(
        axes.iter()
            .map(|axis| (axis.len, axis.count, axis.chunk))
            .collect::<Vec<_>>(),
        [(20, 2, Some(10)), (30, 3, Some(10)), (40, 4, Some(10))]
    );
    assert_eq!(outline.layers[1].inputs[0].layer, Some(0));
    assert!(outline.layers[1].kept && outline.layers[1].output && !outline.layers[0].output);
    let reading = aggregator.outline(1).expect("known");
    assert_eq!(
        (
            reading.layers[0].inputs[0].layer,
            reading.layers[0].inputs[0].held
        ),
        (Some(1), true)
    );
    aggregator.apply(1, job_started(3, &[("unplanned", 4)]));
    assert_eq!(aggregator.outline(2).expect("known").layers[0].axes, None);
}
