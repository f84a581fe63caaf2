//! A replay draws chunks on disk, and in memory again, as the cluster did.

use graticule_plan::{JobId, LayerId, TaskId, WorkerId};

use super::{
    tests::{archive_of, story, unpacked},
    topic_tests::watched,
    *,
};
use crate::{
    ChunkRun, DiskChecked, DiskTold, Record,
    aggregate::{ArrayPublisher, CellState, CellView},
};

fn run(layer: u32, block: u64, count: u64) -> ChunkRun {
    let first = TaskId {
        job: JobId(1),
        layer: LayerId(layer),
        block,
    };
    ChunkRun { first, count }
}

/// A report of each worker: of a run of blocks each takes down what is its own alone.
fn reports(at_us: u64, told: &DiskTold) -> impl Iterator<Item = (u64, Record)> {
    (1..=super::tests::WORKER_COUNT).map(move |worker| {
        let told = told.clone().into();
        let worker = WorkerId(worker);
        (at_us, Record::Disk { worker, told })
    })
}

/// A job whose second layer goes to disk at a third of its time, and comes back at two thirds in part.
fn spilled() -> (Vec<(u64, Record)>, u64) {
    let mut records = story(1, 120, 0, "mosaic");
    let end_us = records.last().expect("there are records").0;
    let to_disk = DiskTold {
        to_disk: vec![run(0, 0, 120), run(1, 0, 30)],
        ..DiskTold::default()
    };
    let check = DiskTold {
        check: Some(DiskChecked {
            from: run(1, 10, 1).first,
            until: None,
            on_disk: vec![run(1, 12, 3)],
        }),
        ..DiskTold::default()
    };
    records.extend(reports(end_us / 3, &to_disk));
    records.extend(reports(end_us * 2 / 3, &check));
    records.sort_by_key(|(at_us, _)| *at_us);
    (records, end_us)
}

/// The cells of the job's arrays as a film shows them at each step.
fn shown(film: &[u8]) -> Vec<CellView> {
    let (head, blobs) = unpacked(film);
    let steps = head["steps_us"].as_array().expect("it has steps").len();
    let frames = head["arrays"][0]["frames"]
        .as_array()
        .expect("the job has arrays");
    let mut view = CellView::default();
    let mut seen = Vec::new();
    let mut next = frames.iter().peekable();
    for step in 0..steps as u64 {
        let number = |frame: &serde_json::Value, at: usize| frame[at].as_u64().expect("a number");
        while let Some(frame) = next.next_if(|frame| number(frame, 0) == step) {
            let at = number(frame, 1) as usize;
            let bytes = &blobs[at..at + number(frame, 2) as usize];
            view.apply(bytes).expect("a frame that follows");
        }
        seen.push(view.clone());
    }
    seen
}

fn on_disk(view: &CellView) -> usize {
    let cells = view.arrays.values().flat_map(|(_, cells)| cells);
    cells
        .filter(|cell| cell[0] & 0x0f == CellState::Spilled as u8)
        .count()
}

#[test]
fn a_replay_of_what_was_written_and_read_draws_the_same_chunks_on_disk() {
    let (records, end_us) = spilled();
    let (mut aggregator, recorder) = watched(&records);
    let archive = recorder.archive(1, end_us).expect("it is kept");
    let archive = Archive::decode(&archive.encode()).expect("it was just written");
    let seen = shown(&archive.film());
    let publisher = ArrayPublisher::new(&mut aggregator, 0).expect("the job is known");
    let mut live = CellView::default();
    live.apply(&publisher.snapshot()).expect("a snapshot");
    assert_eq!(seen.last().expect("it has steps").arrays, live.arrays);
    assert!(on_disk(&live) > 0, "some are on disk in the end");
    let most = seen.iter().map(on_disk).max().expect("it has steps");
    assert!(most > on_disk(&live), "{most} chunks were on disk at most");
    let first = seen.iter().position(|view| on_disk(view) > 0);
    assert!(
        first.is_some_and(|step| (53..=55).contains(&step)),
        "a third of 160 steps: {first:?}"
    );
}

#[test]
fn a_file_of_the_format_before_has_nothing_of_disks() {
    let mut bytes = archive_of(&story(1, 24, 0, "mosaic")).encode();
    bytes[8] = 3;
    assert!(Archive::decode(&bytes).is_ok());
    let (records, end_us) = spilled();
    let (_, recorder) = watched(&records);
    let mut bytes = recorder.archive(1, end_us).expect("it is kept").encode();
    assert!(Archive::decode(&bytes).is_ok());
    bytes[8] = 3;
    assert!(matches!(
        Archive::decode(&bytes),
        Err(ArchiveError::Damaged { .. })
    ));
}

#[test]
fn a_file_with_disks_that_was_cut_or_flipped_anywhere_is_refused() {
    let (records, end_us) = spilled();
    let (_, recorder) = watched(&records);
    let bytes = recorder.archive(1, end_us).expect("it is kept").encode();
    for at in 0..bytes.len() {
        assert!(Archive::decode(&bytes[..at]).is_err(), "cut at {at}");
        let mut other = bytes.clone();
        other[at] ^= 1 << (at % 8);
        assert!(Archive::decode(&other).is_err(), "byte {at}");
    }
}
