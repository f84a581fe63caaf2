use super::*;

const JOB: JobId = JobId(7);

fn layer(name: &str, origin: Option<&str>) -> LayerInfo {
    LayerInfo {
        name: name.into(),
        task_count: 1_000,
        chunk_bytes: 8,
        origin: origin.map(Into::into),
        plan: None,
    }
}

fn started() -> Record {
    Record::JobStarted {
        job: JOB,
        name: "mosaic".into(),
        layers: [layer("read", Some("notes.py:12")), layer("mean", None)].into(),
    }
}

fn task(layer: u32, block: u64) -> TaskId {
    TaskId {
        job: JOB,
        layer: LayerId(layer),
        block,
    }
}

fn finished(task: TaskId, started_us: u64) -> Record {
    Record::TaskFinished(TaskFinished {
        task,
        worker: WorkerId(1),
        attempt: 0,
        slot: 2,
        started_us,
        duration_us: 100,
        fetch_us: 30,
        bytes: 64,
        spilled: false,
    })
}

fn ended(outcome: JobOutcome) -> Record {
    Record::JobEnded {
        job: JOB,
        outcome,
        finished: None,
    }
}

/// The spans of these records, once the job's grace is over.
fn spans(task_count: u32, records: impl IntoIterator<Item = (u64, Record)>) -> Vec<Span> {
    let mut spans = Spans::new(Duration::from_secs(100), task_count);
    let mut made = Vec::new();
    let mut last_us = 0;
    for (at_us, record) in records {
        spans.take(at_us, &record, &mut made);
        last_us = at_us;
    }
    spans.settle(last_us + ENDING_GRACE_US, &mut made);
    made
}

fn value(span: &Span, key: &str) -> Option<Value> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.clone()?.value
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found = spans.iter().find(|span| span.name == name);
    found.unwrap_or_else(|| {
        panic!(
            "no {name:?} among {:?}",
            spans.iter().map(|span| &span.name).collect::<Vec<_>>()
        )
    })
}

#[test]
fn a_job_is_a_trace_of_operations_and_tasks() {
    let joined = Record::WorkerJoined {
        worker: WorkerId(1),
        name: "rack-3".into(),
        address: "127.0.0.1:1".into(),
        slots: 4,
        budget_bytes: 1 << 30,
    };
    let spans = spans(
        64,
        [
            (5, joined),
            (10, started()),
            (1_200, finished(task(0, 3), 1_000)),
            (2_200, finished(task(1, 0), 2_000)),
            (2_300, ended(JobOutcome::Succeeded)),
        ],
    );
    assert_eq!(spans.len(), 5);
    let (job, read, of_read) = (
        named(&spans, "job mosaic"),
        named(&spans, "operation read"),
        named(&spans, "task read"),
    );
    assert!(
        spans
            .iter()
            .all(|span| span.trace_id == job.trace_id && span.trace_id.len() == 16)
    );
    assert!(job.parent_span_id.is_empty());
    assert_eq!(
        (&read.parent_span_id, &of_read.parent_span_id),
        (&job.span_id, &read.span_id)
    );
    let at = |us: u64| 100_000_000_000 + us * 1_000;
    assert_eq!(
        (job.start_time_unix_nano, job.end_time_unix_nano),
        (at(10), at(2_300))
    );
    assert_eq!(
        (read.start_time_unix_nano, read.end_time_unix_nano),
        (at(970), at(1_100))
    );
    assert_eq!(
        (of_read.start_time_unix_nano, of_read.end_time_unix_nano),
        (at(970), at(1_100))
    );
    assert_eq!(of_read.events[0].time_unix_nano, at(1_000));
    assert_eq!(
        value(of_read, "graticule.worker"),
        Some(Value::StringValue("rack-3".into()))
    );
    assert_eq!(value(of_read, "graticule.block"), Some(Value::IntValue(3)));
    assert_eq!(
        value(read, "code.file.path"),
        Some(Value::StringValue("notes.py".into()))
    );
    assert_eq!(value(read, "code.line.number"), Some(Value::IntValue(12)));
    assert_eq!(job.status.as_ref().map(Status::code), Some(StatusCode::Ok));
    let mut ids: Vec<_> = spans.iter().map(|span| &span.span_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5, "each span has a number of its own");
}

#[test]
fn a_failed_job_tells_which_tasks_failed_and_why() {
    let failure = |attempt| Record::TaskFailed {
        task: task(0, 9),
        worker: WorkerId(4),
        attempt,
        message: "no such file".into(),
    };
    let outcome = JobOutcome::Failed {
        message: "block 9 of read: no such file".into(),
    };
    let spans = spans(
        64,
        [
            (1, started()),
            (20, failure(0)),
            (30, failure(1)),
            (40, ended(outcome)),
        ],
    );
    let (job, read) = (named(&spans, "job mosaic"), named(&spans, "operation read"));
    let status = job.status.clone().expect("a status");
    assert_eq!(
        (status.code(), &*status.message),
        (StatusCode::Error, "block 9 of read: no such file")
    );
    assert_eq!(read.status.as_ref().map(Status::code), Some(StatusCode::Error));
    assert_eq!(read.events.len(), 2);
    assert_eq!(read.events[0].name, "exception");
    assert_eq!(value(read, "graticule.tasks.failed"), Some(Value::IntValue(2)));
}

#[test]
fn a_failure_that_was_made_good_is_no_error_of_the_operation() {
    let failure = Record::TaskFailed {
        task: task(0, 9),
        worker: WorkerId(4),
        attempt: 0,
        message: "reset by peer".into(),
    };
    let spans = spans(
        64,
        [(1, started()), (20, failure), (40, ended(JobOutcome::Succeeded))],
    );
    let read = named(&spans, "operation read");
    assert_eq!((read.status.clone(), read.events.len()), (None, 1));
}

#[test]
fn of_many_tasks_there_are_few_spans_over_the_whole_time() {
    const COUNT: u64 = 100_000;
    let tasks = (0..COUNT).map(|block| (block * 10, finished(task(0, block), block * 10)));
    let records = [(0, started())].into_iter().chain(tasks);
    let spans = spans(64, records.chain([(COUNT * 10, ended(JobOutcome::Succeeded))]));
    let blocks: Vec<i64> = spans
        .iter()
        .filter(|span| span.name == "task read")
        .map(|span| match value(span, "graticule.block") {
            Some(Value::IntValue(block)) => block,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!((500..900).contains(&blocks.len()), "{}", blocks.len());
    assert_eq!(blocks[..64], (0..64).collect::<Vec<i64>>()[..]);
    assert!(*blocks.last().expect("some") > 90_000);
    let read = named(&spans, "operation read");
    assert_eq!(
        value(read, "graticule.tasks.finished"),
        Some(Value::IntValue(COUNT as i64))
    );
}

#[test]
fn with_no_tasks_wanted_there_are_jobs_and_operations_alone() {
    let spans = spans(
        0,
        [
            (1, started()),
            (50, finished(task(0, 0), 10)),
            (60, ended(JobOutcome::Cancelled)),
        ],
    );
    let names: Vec<&str> = spans.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["operation read", "job mosaic"]);
}

#[test]
fn tasks_that_are_told_after_their_jobs_end_count() {
    let spans = spans(
        64,
        [
            (1, started()),
            (60, ended(JobOutcome::Succeeded)),
            (70, finished(task(0, 0), 10)),
        ],
    );
    assert_eq!(spans.len(), 3);
}

#[test]
fn jobs_that_run_when_all_ends_are_told_as_unfinished() {
    let mut spans = Spans::new(Duration::ZERO, 64);
    let mut made = Vec::new();
    spans.take(1, &started(), &mut made);
    spans.take(50, &finished(task(0, 0), 10), &mut made);
    spans.finish(&mut made);
    let job = named(&made, "job mosaic");
    assert_eq!(
        value(job, "graticule.outcome"),
        Some(Value::StringValue("unfinished".into()))
    );
    assert_eq!(job.end_time_unix_nano, 50_000);
}

#[test]
fn what_is_kept_of_jobs_is_bounded() {
    let mut spans = Spans::new(Duration::ZERO, 64);
    let mut made = Vec::new();
    for job in 0..JOB_COUNT_MAX as u64 + 10 {
        let started = Record::JobStarted {
            job: JobId(job),
            name: "many".into(),
            layers: [].into(),
        };
        spans.take(job, &started, &mut made);
    }
    spans.finish(&mut made);
    assert_eq!(made.len(), JOB_COUNT_MAX);
}
