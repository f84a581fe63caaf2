use std::sync::Arc;

use graticule_plan::{JobId, LayerId, TaskId, WorkerId};

use super::{
    Aggregator, LINE_BYTES_MAX, LINE_COUNT_MAX, LINE_TEXT_BYTES_MAX, LINE_TOLD_MAX, LineQuery, Lines,
};
use crate::{LayerInfo, LogLevel, LogLine, LogSource, Record};

fn line(level: LogLevel, text: &str) -> LogLine {
    LogLine {
        level,
        target: "graticule_worker::spill".into(),
        text: text.into(),
        job: None,
        task: None,
        worker: None,
        count: 1,
        first_us: 10,
        last_us: 10,
    }
}

fn task(layer: u32, block: u64) -> TaskId {
    TaskId {
        job: JobId(1),
        layer: LayerId(layer),
        block,
    }
}

fn tell(aggregator: &mut Aggregator, source: LogSource, lines: Vec<LogLine>, lost: u64) {
    let lines: Arc<[LogLine]> = lines.into();
    aggregator.apply(10, Record::Logged { source, lines, lost });
}

/// Two workers, a job of two layers, and a line of each kind.
fn cluster() -> Aggregator {
    let mut aggregator = Aggregator::new();
    for id in [5, 6] {
        let name = format!("worker-{id}").into();
        let joined = Record::WorkerJoined {
            worker: WorkerId(id),
            name,
            address: "here".into(),
            slots: 2,
            budget_bytes: 1 << 20,
        };
        aggregator.apply(0, joined);
    }
    let layer = |name: &str| LayerInfo {
        name: name.into(),
        task_count: 4,
        chunk_bytes: 8,
        origin: None,
        plan: None,
    };
    let layers = Arc::new([layer("read"), layer("mean")]);
    let job = JobId(1);
    let name = "mosaic".into();
    aggregator.apply(0, Record::JobStarted { job, name, layers });
    let of_task = |at| LogLine {
        task: Some(at),
        ..line(LogLevel::Warn, "slow read")
    };
    tell(
        &mut aggregator,
        LogSource::Worker(WorkerId(5)),
        vec![
            of_task(task(0, 2)),
            of_task(task(1, 2)),
            line(LogLevel::Info, "Listens"),
        ],
        0,
    );
    tell(
        &mut aggregator,
        LogSource::Worker(WorkerId(6)),
        vec![line(LogLevel::Error, "disk is full")],
        3,
    );
    let about = LogLine {
        worker: Some(WorkerId(6)),
        job: Some(job),
        ..line(LogLevel::Warn, "worker lost")
    };
    tell(&mut aggregator, LogSource::Scheduler, vec![about], 0);
    aggregator
}

fn seqs(lines: &Lines) -> Vec<u64> {
    lines.lines.iter().map(|row| row.seq).collect()
}

fn ask(aggregator: &Aggregator, query: &LineQuery) -> Vec<u64> {
    seqs(&aggregator.lines(20, query).expect("what is asked about is known"))
}

#[test]
fn lines_are_linked_to_workers_jobs_and_tasks() {
    let aggregator = cluster();
    let told = aggregator.lines(20, &LineQuery::default()).expect("known");
    assert_eq!(
        (told.kept, told.lost, told.forgotten, told.next),
        ([1, 3, 1], 3, 0, 5)
    );
    let first = &told.lines[0];
    assert_eq!(
        (&*first.from, first.source, first.job, first.block),
        ("worker-5", Some(0), Some(0), Some(2))
    );
    assert!(first.layer.is_some() && first.layer != told.lines[1].layer);
    let last = &told.lines[4];
    assert_eq!(
        (&*last.from, last.source, last.about, last.job),
        ("scheduler", None, Some(1), Some(0))
    );
}

#[test]
fn each_filter_leaves_what_it_names() {
    let aggregator = cluster();
    let query = LineQuery::default;
    let level = |level| LineQuery { level, ..query() };
    assert_eq!(ask(&aggregator, &level(LogLevel::Warn)), [0, 1, 3, 4]);
    assert_eq!(ask(&aggregator, &level(LogLevel::Error)), [3]);
    let from = |from: &str| LineQuery {
        from: Some(from.into()),
        ..query()
    };
    assert_eq!(ask(&aggregator, &from("scheduler")), [4]);
    assert_eq!(
        ask(&aggregator, &from("1")),
        [3, 4],
        "its own, and the scheduler's about it"
    );
    let text = |text: &str| LineQuery {
        text: Some(text.into()),
        ..query()
    };
    assert_eq!(ask(&aggregator, &text(" DISK ")), [3]);
    assert_eq!(ask(&aggregator, &text("listens")), [2]);
    assert_eq!(ask(&aggregator, &text("worker-6")), [3]);
    let job = LineQuery {
        job: Some(0),
        ..query()
    };
    assert_eq!(ask(&aggregator, &job), [0, 1, 4]);
    let layer = aggregator.lines(20, &query()).expect("known").lines[1].layer;
    let of_layer = LineQuery {
        layer,
        block: Some(2),
        ..query()
    };
    assert_eq!(ask(&aggregator, &of_layer), [1]);
    assert!(
        ask(
            &aggregator,
            &LineQuery {
                block: Some(3),
                ..of_layer
            }
        )
        .is_empty()
    );
    for unknown in [
        from("77"),
        from("nobody"),
        LineQuery {
            job: Some(9),
            ..query()
        },
    ] {
        assert_eq!(aggregator.lines(20, &unknown), None);
    }
}

#[test]
fn who_follows_hears_each_line_once() {
    let mut aggregator = Aggregator::new();
    let mut next = 0;
    let mut heard = Vec::new();
    for round in 0..5 {
        let lines = (0..300).map(|at| line(LogLevel::Info, &format!("{round} {at}")));
        tell(&mut aggregator, LogSource::Scheduler, lines.collect(), 0);
        if round % 2 == 0 {
            continue;
        }
        let query = LineQuery {
            after: Some(next),
            ..LineQuery::default()
        };
        let told = aggregator.lines(20, &query).expect("known");
        assert!(told.lines.len() <= LINE_TOLD_MAX);
        next = told.next;
        heard.extend(seqs(&told));
    }
    let query = LineQuery {
        after: Some(next),
        ..LineQuery::default()
    };
    heard.extend(seqs(&aggregator.lines(20, &query).expect("known")));
    assert_eq!(heard, (0..1_500).collect::<Vec<_>>());
}

#[test]
fn older_lines_are_asked_for_part_by_part() {
    let mut aggregator = Aggregator::new();
    let lines = (0..1_200).map(|at| line(LogLevel::Info, &format!("{at}")));
    tell(&mut aggregator, LogSource::Scheduler, lines.collect(), 0);
    let mut told = aggregator.lines(20, &LineQuery::default()).expect("known");
    let mut seen = seqs(&told);
    while let Some(before) = told.before {
        let query = LineQuery {
            before: Some(before),
            ..LineQuery::default()
        };
        told = aggregator.lines(20, &query).expect("known");
        seen.splice(0..0, seqs(&told));
    }
    assert_eq!(seen, (0..1_200).collect::<Vec<_>>());
}

#[test]
fn the_oldest_lines_are_forgotten_by_count_and_by_bytes() {
    let mut aggregator = Aggregator::new();
    let short = line(LogLevel::Info, "x");
    tell(
        &mut aggregator,
        LogSource::Scheduler,
        vec![short; LINE_COUNT_MAX + 7],
        0,
    );
    let told = aggregator.lines(20, &LineQuery::default()).expect("known");
    assert_eq!((told.forgotten, told.kept), (7, [LINE_COUNT_MAX as u64, 0, 0]));
    let query = LineQuery {
        after: Some(0),
        ..LineQuery::default()
    };
    assert_eq!(ask(&aggregator, &query)[0], 7);
    let long = line(LogLevel::Error, &"ä".repeat(LINE_TEXT_BYTES_MAX));
    tell(
        &mut aggregator,
        LogSource::Scheduler,
        vec![long; LINE_COUNT_MAX],
        0,
    );
    let told = aggregator.lines(20, &LineQuery::default()).expect("known");
    assert!(told.kept[2] as usize * LINE_TEXT_BYTES_MAX < LINE_BYTES_MAX && told.kept[2] > 1_000);
    assert_eq!(told.kept[0], 0);
    assert_eq!(told.forgotten + told.kept[2], 2 * LINE_COUNT_MAX as u64 + 7);
    assert!(told.lines.iter().all(|row| row.text.len() <= LINE_TEXT_BYTES_MAX));
}
