//! What a replay knows of workers, of what they held, of decisions on their number, and of attempts that failed.

use graticule_plan::{JobId, LayerId, TaskId, WorkerId};
use serde_json::Value;

use super::{
    archive::SCALING_RECORD_COUNT_MAX,
    tests::{archive_of, mishap, reports, story, unpacked},
    topic_tests::{value, watched},
    *,
};
use crate::{Record, ScaleDecision, TaskFinished};

pub(super) fn decided(wanted: u32, start: u32) -> Record {
    Record::ScaleDecided(ScaleDecision {
        wanted,
        min: 1,
        max: 8,
        start,
        stay: 0,
        retire: 0,
        reason: format!("work for {wanted}").into(),
    })
}

/// A run in which a worker is wanted, starts, another one does not come, and a third is to leave.
fn scaled() -> Vec<(u64, Record)> {
    let mut records = story(1, 120, 0, "mosaic");
    let end_us = records.last().expect("there are records").0;
    records.extend(mishap(end_us * 2 / 3));
    records.extend(reports(end_us));
    let name: std::sync::Arc<str> = "worker-9".into();
    let waits_for = "a task".into();
    records.extend([
        (10_000, decided(3, 0)),
        (20_000, decided(3, 0)),
        (end_us / 3, decided(4, 1)),
        (end_us / 3 + 10, Record::WorkerStarting { name: name.clone() }),
        (
            end_us / 2,
            Record::WorkerStartFailed {
                name,
                why: "exit code 1".into(),
            },
        ),
        (
            end_us * 3 / 4,
            Record::WorkerRetiring {
                worker: WorkerId(3),
                waits_for,
            },
        ),
    ]);
    records.sort_by_key(|(at_us, _)| *at_us);
    records
}

/// The answers of a topic, each with its step.
fn moments(head: &Value, blobs: &[u8], name: &str) -> Vec<(u64, Value)> {
    let places = head["topics"][name].as_array().expect("of moments");
    let read = |place: &Value| {
        let number = |at: usize| usize::try_from(place[at].as_u64().expect("a number")).expect("small");
        let told = &blobs[number(1)..number(1) + number(2)];
        (
            number(0) as u64,
            serde_json::from_slice(told).expect("it is JSON"),
        )
    };
    places.iter().map(read).collect()
}

#[test]
fn a_run_that_was_written_and_read_tells_of_workers_as_the_cluster_does() {
    let records = scaled();
    let end_us = records.last().expect("there are records").0;
    let (aggregator, recorder) = watched(&records);
    let archive = recorder.archive(1, end_us).expect("it is kept");
    let archive = Archive::decode(&archive.encode()).expect("it was just written");
    let (head, blobs) = unpacked(&archive.film());

    let scaling = moments(&head, &blobs, "scaling");
    let (_, last) = scaling.last().expect("at least one");
    let mut live = value(&aggregator.film_scaling());
    // Of decisions that want what is there, the first is kept.
    live["story"]["latest"] = last["story"]["latest"].clone();
    assert_eq!(*last, live);
    let wanted = |told: &Value| told["story"]["decisions"].as_array().expect("of decisions").len();
    let counts: Vec<usize> = scaling.iter().map(|(_, told)| wanted(told)).collect();
    assert!(
        counts[0] < 2 && counts.is_sorted() && counts.last() == Some(&2),
        "{counts:?}"
    );
    assert!(last.to_string().contains("exit code 1"));

    let held = moments(&head, &blobs, "held");
    let (_, last) = held.last().expect("at least one");
    assert_eq!(*last, value(&aggregator.film_held()));
    let bytes = |told: &Value| -> u64 {
        let rows = told.as_array().expect("of rows").iter();
        rows.map(|row| row[3].as_u64().expect("a number")).sum()
    };
    assert!(held.iter().any(|(_, told)| bytes(told) > 1_000));
}

#[test]
fn an_attempt_that_failed_has_a_bar_as_it_had() {
    let task = TaskId {
        job: JobId(1),
        layer: LayerId(0),
        block: 2,
    };
    let mut records = story(1, 24, 0, "mosaic");
    records.retain(|(_, record)| !matches!(record, Record::TaskFinished(it) if it.task == task));
    let began = Record::TaskStarted {
        task,
        worker: WorkerId(1),
        attempt: 0,
        slot: Some(1),
    };
    let failed = Record::TaskFailed {
        task,
        worker: WorkerId(1),
        attempt: 0,
        message: "HTTP 503".into(),
    };
    // By its worker's clock the next one fetched before this one failed.
    let next = TaskFinished {
        task,
        worker: WorkerId(1),
        attempt: 1,
        slot: 0,
        started_us: 12_000,
        duration_us: 8_000,
        fetch_us: 5_000,
        bytes: 64,
        spilled: false,
    };
    records.extend([
        (4_000, began),
        (9_000, failed),
        (20_000, Record::TaskFinished(next)),
    ]);
    records.sort_by_key(|(at_us, _)| *at_us);
    let end_us = records.last().expect("there are records").0;
    let (aggregator, recorder) = watched(&records);
    let archive = recorder.archive(1, end_us).expect("it is kept");
    let archive = Archive::decode(&archive.encode()).expect("it was just written");
    let (head, _) = unpacked(&archive.film());
    let bars = aggregator.ended_tasks();
    assert!(
        bars.iter()
            .any(|bar| (bar.started_us, bar.duration_us, bar.slot) == (4_000, 5_000, 1))
    );
    assert_eq!(head["tasks"], bars.len() as u64);
    assert_eq!(bars.len(), 31);
}

#[test]
fn a_worker_is_there_from_its_joining_though_by_its_clock_it_fetched_before() {
    let mut records = story(1, 24, 0, "mosaic");
    let worker = WorkerId(9);
    let joined = Record::WorkerJoined {
        worker,
        name: "late".into(),
        address: "127.0.0.1:9".into(),
        slots: 2,
        budget_bytes: 1 << 20,
    };
    let place = records.iter().position(|(at_us, record)| {
        matches!(record, Record::TaskFinished(it) if it.task.layer == LayerId(0)) && *at_us > 40_000
    });
    let (at_us, record) = &mut records[place.expect("tasks are that long")];
    let Record::TaskFinished(finished) = record else {
        unreachable!("it was just looked for")
    };
    let joined_us = *at_us - 8_000;
    (finished.worker, finished.slot) = (worker, 0);
    (finished.started_us, finished.duration_us) = (joined_us + 1_000, 6_000);
    finished.fetch_us = 6_000;
    records.push((joined_us, joined));
    records.sort_by_key(|(at_us, _)| *at_us);
    let (head, _) = unpacked(&archive_of(&records).film());
    let frames = head["frames"].to_string();
    assert!(frames.contains(r#""name":"late""#));
    assert!(!frames.contains(r#""address":"""#), "a worker that is nowhere");
}

#[test]
fn a_file_of_all_that_there_is_that_was_cut_or_flipped_anywhere_is_refused() {
    let (_, recorder) = watched(&scaled());
    let bytes = recorder.archive(1, u64::MAX >> 16).expect("it is kept").encode();
    assert_eq!(bytes[8], 4);
    for at in 0..bytes.len() {
        assert!(Archive::decode(&bytes[..at]).is_err(), "cut at {at}");
        let mut other = bytes.clone();
        other[at] ^= 1 << (at % 8);
        assert!(Archive::decode(&other).is_err(), "byte {at}");
    }
}

#[test]
fn an_archive_of_the_format_before_is_read_and_has_no_decisions() {
    let mut archive = archive_of(&story(1, 24, 0, "mosaic"));
    archive.scaling = None;
    let bytes = archive.encode();
    assert_eq!(bytes[8], 2);
    let back = Archive::decode(&bytes).expect("formats of before are read");
    assert_eq!(back.encode(), bytes);
    let (head, _) = unpacked(&back.film());
    assert!(head["topics"]["scaling"].is_null() && head["topics"]["held"].is_array());
    // A head that says more than its version does is no file of ours.
    archive.scaling = Some(Vec::new());
    let mut bytes = archive.encode();
    bytes[8] = 2;
    assert!(matches!(
        Archive::decode(&bytes),
        Err(ArchiveError::Damaged { .. })
    ));
}

#[test]
fn decisions_are_bounded_and_those_that_change_nothing_are_not_kept() {
    let mut records = story(1, 24, 0, "mosaic");
    records.extend((0..9_000).map(|at| (at, decided(3, 0))));
    records.sort_by_key(|(at_us, _)| *at_us);
    assert_eq!(archive_of(&records).scaling.expect("they are kept").len(), 1);
    records.extend((0..9_000).map(|at| (at, decided(3 + (at % 2) as u32, 1))));
    records.sort_by_key(|(at_us, _)| *at_us);
    let archive = archive_of(&records);
    assert_eq!(
        archive.scaling.as_ref().expect("they are kept").len(),
        SCALING_RECORD_COUNT_MAX
    );
    Archive::decode(&archive.encode()).expect("it was just written");
}
