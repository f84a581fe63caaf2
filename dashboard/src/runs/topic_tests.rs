//! What a replay knows of communication, insights and log lines is what the cluster knew.

use graticule_plan::{JobId, LayerId, WorkerId};
use serde_json::Value;

use super::{
    tests::{Chance, SLOT_COUNT, WORKER_COUNT, archive_of, joined, mishap, reports, story, unpacked},
    *,
};
use crate::{
    LogLevel, LogLine, LogSource, Moved, MovedKind, Record,
    aggregate::{Aggregator, LineQuery},
};

/// Puts in when tasks were given, and what was moved for them: told by each worker ten times a second.
fn with_topics(records: Vec<(u64, Record)>, job: u64) -> Vec<(u64, Record)> {
    let mut chance = Chance(job + 77);
    let mut told = Vec::new();
    let end_us = records.last().expect("there are records").0;
    let job = JobId(job);
    for (at_us, record) in records {
        if let Record::TaskFinished(finished) = &record {
            let given_us = finished
                .started_us
                .saturating_sub(finished.fetch_us + chance.below(40_000));
            let given = Record::TaskAssigned {
                task: finished.task,
                worker: finished.worker,
                attempt: finished.attempt,
            };
            told.push((given_us, given));
        }
        told.push((at_us, record));
    }
    for at_us in (50_000..end_us).step_by(100_000) {
        for worker in 1..=WORKER_COUNT {
            let mut row = |kind, of: Option<u32>, by: Option<u32>| Moved {
                kind,
                of: of.map(|layer| (job, LayerId(layer))),
                by: by.map(|layer| (job, LayerId(layer))),
                count: 1 + chance.below(9),
                bytes: 800 + chance.below(90_000),
                busy_us: 500 + chance.below(60_000),
                cpu_us: 0,
                began_us: at_us - 40_000 + chance.below(20_000),
                ended_us: at_us - chance.below(20_000),
            };
            let moves = [
                row(MovedKind::Source, None, Some(0)),
                row(
                    MovedKind::Peer(WorkerId(1 + worker % WORKER_COUNT)),
                    Some(0),
                    Some(1),
                ),
                row(MovedKind::Spill, Some(0), None),
                row(MovedKind::ReadBack, Some(0), Some(1)),
                row(MovedKind::Call, None, Some(1)),
            ];
            let worker = WorkerId(worker);
            let moved = Record::Moved {
                worker,
                moves: moves.into(),
                lost: 0,
            };
            told.push((at_us, moved));
        }
    }
    told.sort_by_key(|(at_us, _)| *at_us);
    told
}

fn logged(at_us: u64, source: LogSource, text: &str, job: Option<u64>) -> (u64, Record) {
    let line = LogLine {
        level: LogLevel::Warn,
        target: "test".into(),
        text: text.into(),
        job: job.map(JobId),
        task: None,
        worker: None,
        count: 2,
        first_us: at_us,
        last_us: at_us + 9,
    };
    let lines = [line].into();
    (
        at_us,
        Record::Logged {
            source,
            lines,
            lost: 1,
        },
    )
}

/// The tables of a cluster that was told, and what is kept of it, each fed as the watching thread does.
pub(super) fn watched(records: &[(u64, Record)]) -> (Aggregator, Recorder) {
    let (mut aggregator, mut recorder) = (Aggregator::new(), Recorder::new("test", 0, 1));
    for (at_us, record) in joined().iter().chain(records) {
        recorder.take_with(&mut aggregator, *at_us, record.clone());
    }
    recorder.settle();
    recorder.close(u64::MAX);
    (aggregator, recorder)
}

/// The last answers of a film: communication, insights, lines, movements.
fn answers(archive: &Archive) -> [Value; 4] {
    let (head, blobs) = unpacked(&archive.film());
    let read = |place: &Value, first: usize| {
        let number =
            |at: usize| usize::try_from(place[first + at].as_u64().expect("a number")).expect("small");
        let (at, len) = (number(0), number(1));
        serde_json::from_slice(&blobs[at..at + len]).expect("it is JSON")
    };
    let topics = &head["topics"];
    let last = |name: &str| {
        let places = topics[name].as_array().expect("of moments");
        read(places.last().expect("at least one"), 1)
    };
    let once = |name: &str| read(&topics[name], 0);
    [
        last("communication"),
        last("insights"),
        once("lines"),
        once("moves"),
    ]
}

pub(super) fn value(of: &impl serde::Serialize) -> Value {
    serde_json::to_value(of).expect("plain JSON")
}

#[test]
fn a_run_that_was_written_and_read_answers_as_the_cluster_does_at_rest() {
    let mut records = with_topics(story(1, 120, 0, "mosaic"), 1);
    let end_us = records.last().expect("there are records").0;
    records.extend(mishap(end_us * 2 / 3));
    records.extend(reports(end_us));
    let hostile = "<img src=x onerror=alert(1)>";
    records.push(logged(10_000, LogSource::Worker(WorkerId(2)), hostile, Some(1)));
    records.push(logged(20_000, LogSource::Scheduler, "worker listens", None));
    records.sort_by_key(|(at_us, _)| *at_us);
    let (mut aggregator, recorder) = watched(&records);
    let archive = recorder.archive(1, end_us).expect("it is kept");
    let archive = Archive::decode(&archive.encode()).expect("it was just written");

    let [communication, insights, lines, moves] = answers(&archive);
    assert_eq!(moves, value(&aggregator.timeline_moves(0, end_us + 1)));
    assert_eq!(communication, value(&aggregator.communication()));
    let live = value(&aggregator.insights(end_us));
    assert_eq!(insights, live);
    let sums = live["accounts"]["buckets"].as_array().expect("of buckets");
    let column = |at: usize| {
        sums.iter()
            .map(|bucket| bucket[at].as_u64().expect("a number"))
            .sum::<u64>()
    };
    assert!(
        (0..5).all(|at| column(at) > 0),
        "each column has something: {live}"
    );
    assert_eq!(live["findings"][0]["kind"], "retries");
    let live = aggregator.lines(end_us, &LineQuery::default()).expect("of all");
    assert_eq!(lines["lines"], value(&live.lines));
    assert_eq!((&lines["lost"], &lines["forgotten"]), (&2.into(), &0.into()));
    assert_eq!(lines["lines"][0]["text"], hostile);
}

#[test]
fn what_is_told_after_the_end_is_kept_until_all_workers_have_told_of_themselves() {
    let records = story(1, 24, 0, "mosaic");
    let end_us = records.last().expect("there are records").0;
    let (_, mut recorder) = (0, Recorder::new("test", 0, 1));
    for (at_us, record) in joined().iter().chain(&records) {
        recorder.take(*at_us, record);
    }
    recorder.settle();
    assert!(recorder.close(end_us + 1_000).is_empty() && recorder.is_awaited(0, end_us + 1_000));
    let late = with_topics(story(1, 24, 0, "mosaic"), 1);
    let late = late
        .iter()
        .find(|(_, record)| matches!(record, Record::Moved { .. }));
    let (_, late) = late.expect("something was moved");
    // Twice, as after a connection that was lost.
    recorder.take(end_us + 2_000, late);
    recorder.take(end_us + 2_000, late);
    for worker in 1..=WORKER_COUNT {
        let worker = WorkerId(worker);
        let status = Default::default();
        recorder.take(end_us + 3_000, &Record::WorkerStatus { worker, status });
    }
    assert!(
        recorder.is_awaited(0, end_us + 4_000),
        "the scheduler's lines are on their way"
    );
    assert!(!recorder.is_awaited(0, end_us + 700_000));
    assert_eq!(recorder.close(end_us + 700_000), [1]);
    recorder.take(end_us + 800_000, late);
    let [communication, ..] = answers(&recorder.archive(1, end_us).expect("it is kept"));
    assert_eq!(communication["pairs"].as_array().map(Vec::len), Some(1));
    let Record::Moved { moves, .. } = late else {
        unreachable!()
    };
    assert_eq!(communication["pairs"][0][2]["bytes"], moves[1].bytes);
}

#[test]
fn what_belongs_to_another_run_has_no_job_of_its_own() {
    let mut records = story(1, 8, 0, "before");
    let begin_us = records.last().expect("there are records").0 + 5_000;
    records.extend(story(2, 8, begin_us, "within"));
    let moved = Moved {
        kind: MovedKind::Peer(WorkerId(1)),
        of: Some((JobId(1), LayerId(1))),
        by: Some((JobId(2), LayerId(0))),
        count: 1,
        bytes: 70,
        busy_us: 5,
        cpu_us: 0,
        began_us: begin_us + 1,
        ended_us: begin_us + 9,
    };
    let moves = [moved].into();
    let worker = WorkerId(2);
    records.push((
        begin_us + 10,
        Record::Moved {
            worker,
            moves,
            lost: 3,
        },
    ));
    records.sort_by_key(|(at_us, _)| *at_us);
    let (_, recorder) = watched(&records);
    let archive = recorder.archive(2, u64::MAX).expect("it is kept");
    let [communication, ..] = answers(&archive);
    assert_eq!(communication["flows"][0][0], u32::MAX);
    assert_eq!(communication["lost"], 3);
    let (head, _) = unpacked(&archive.film());
    assert_eq!(head["plans"].as_array().map(Vec::len), Some(1));
    // Both are in what ran since the beginning.
    let [communication, ..] = answers(&recorder.since(0, begin_us * 3));
    assert_eq!(communication["flows"][0][0], 1);
    let [of_first, ..] = answers(&recorder.archive(1, u64::MAX).expect("it is kept"));
    assert_eq!(of_first["flows"], Value::Array(Vec::new()));
}

#[test]
fn an_archive_of_before_is_read_and_has_no_topics() {
    let mut archive = archive_of(&story(1, 24, 0, "mosaic"));
    archive.lines = None;
    let bytes = archive.encode();
    assert_eq!(bytes[8], 1);
    let back = Archive::decode(&bytes).expect("formats of before are read");
    assert_eq!(back.encode(), bytes);
    assert_eq!(back.task_count(), 30);
    let (head, _) = unpacked(&back.film());
    assert!(head["topics"].is_null() && head["tasks"] == 30);
    assert!(!archive_of(&story(1, 24, 0, "mosaic")).film().is_empty());
}

#[test]
fn a_task_takes_at_most_eight_bytes_with_what_was_moved_and_logged() {
    for reads in [8_000, 80_000] {
        let mut records = with_topics(story(1, reads, 0, "mosaic"), 1);
        let text = "HTTP 429 Too Many Requests from https://example.org/tiles, again in 1.5 s, attempt";
        for at in 0..5_000u64 {
            let text = format!("{text} {at} of block {}", at * 7_919 % reads);
            records.push(logged(
                at * 1_000,
                LogSource::Worker(WorkerId(1 + at % 3)),
                &text,
                Some(1),
            ));
        }
        for at in 0..3_000u64 {
            let decision = super::scaling_tests::decided(3 + (at % 5) as u32, (at % 3) as u32);
            records.push((at * 1_700, decision));
        }
        records.sort_by_key(|(at_us, _)| *at_us);
        let (_, recorder) = watched(&records);
        let archive = recorder.archive(1, u64::MAX).expect("it is kept");
        let bytes = archive.encode().len();
        let moved: usize = archive.jobs.iter().map(|tape| tape.moves.bytes()).sum();
        let each = bytes as f64 / archive.task_count() as f64;
        println!(
            "{each:.2} bytes a task of {} on {} slots, {moved} bytes of what was moved",
            archive.task_count(),
            WORKER_COUNT * u64::from(SLOT_COUNT)
        );
        let lines = archive.lines.as_ref().expect("it has lines");
        println!("{} lines of {} bytes", lines.lines.len(), lines.held_bytes());
        assert!(reads < 80_000 || each <= 8.0, "{each:.2} bytes a task");
    }
}
