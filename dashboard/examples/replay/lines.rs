//! What a real cluster would log of what happens.

use graticule_dashboard::{JobOutcome, LeaveReason, LogLevel, LogLine, LogSource, Record};
use graticule_plan::{TaskId, WorkerId};

fn line(now_us: u64, level: LogLevel, target: &str, text: String) -> LogLine {
    LogLine {
        level,
        target: target.into(),
        text: text.into(),
        job: None,
        task: None,
        worker: None,
        count: 1,
        first_us: now_us,
        last_us: now_us,
    }
}

fn told(source: LogSource, line: LogLine) -> Record {
    Record::Logged {
        source,
        lines: [line].into(),
        lost: 0,
    }
}

/// The records of what is logged along with another.
pub(super) fn of(now_us: u64, record: &Record) -> Vec<Record> {
    let scheduler = |level, text| line(now_us, level, "graticule_scheduler::observe", text);
    match record {
        Record::WorkerJoined {
            worker,
            name,
            address,
            slots,
            ..
        } => {
            let text = format!("worker listens address={address} slots={slots}");
            let own = line(now_us, LogLevel::Info, "graticule_worker::server", text);
            let text = format!("worker connected worker={name} address={address}");
            let heard = LogLine {
                worker: Some(*worker),
                ..line(now_us, LogLevel::Info, "graticule_scheduler::actor", text)
            };
            vec![
                told(LogSource::Worker(*worker), own),
                told(LogSource::Scheduler, heard),
            ]
        }
        Record::WorkerLeft { worker, why } => {
            let line = match why {
                LeaveReason::Retired => scheduler(LogLevel::Info, format!("worker retired worker={worker}")),
                LeaveReason::Lost { message } => scheduler(
                    LogLevel::Warn,
                    format!("worker lost worker={worker} why={message}"),
                ),
            };
            let line = LogLine {
                worker: Some(*worker),
                ..line
            };
            vec![told(LogSource::Scheduler, line)]
        }
        Record::JobStarted { job, name, layers } => {
            let tasks: u64 = layers.iter().map(|layer| layer.task_count).sum();
            let text = format!(
                "job started job={job} name={name} layers={} tasks={tasks}",
                layers.len()
            );
            let line = LogLine {
                job: Some(*job),
                ..scheduler(LogLevel::Info, text)
            };
            vec![told(LogSource::Scheduler, line)]
        }
        Record::JobEnded { job, outcome, .. } => {
            let outcome = match outcome {
                JobOutcome::Succeeded => "finished",
                JobOutcome::Failed { .. } => "failed",
                JobOutcome::Cancelled => "cancelled",
            };
            let line = LogLine {
                job: Some(*job),
                ..scheduler(LogLevel::Info, format!("job ended job={job} outcome={outcome:?}"))
            };
            vec![told(LogSource::Scheduler, line)]
        }
        Record::TaskFailed {
            task,
            worker,
            message,
            ..
        } => {
            let text = format!("task failed task={task} worker={worker} message={message}");
            let line = LogLine {
                worker: Some(*worker),
                task: Some(*task),
                ..scheduler(LogLevel::Warn, text)
            };
            vec![told(LogSource::Scheduler, line)]
        }
        Record::TaskFinished(finished) => of_worker(now_us, finished.worker, finished.task),
        _ => Vec::new(),
    }
}

/// Now and then a worker has something to say of a task.
fn of_worker(now_us: u64, worker: WorkerId, task: TaskId) -> Vec<Record> {
    let (level, target, text, count) = match task.block % 97 {
        13 => (
            LogLevel::Warn,
            "graticule_data::http",
            "HTTP 429, asked again host=tiles.example.org retry_ms=400",
            14,
        ),
        41 => (
            LogLevel::Info,
            "graticule_worker::spill",
            "chunks can be spilled again folder=/var/tmp/graticule",
            1,
        ),
        67 => (
            LogLevel::Error,
            "python.mosaic",
            "cannot parse the acquisition date\n  scene S2B_33TWM_20230714\n  kept as it is",
            1,
        ),
        _ => return Vec::new(),
    };
    let line = LogLine {
        task: Some(task),
        count,
        first_us: now_us.saturating_sub(900_000 * u64::from(count > 1)),
        ..line(now_us, level, target, text.to_owned())
    };
    vec![told(LogSource::Worker(worker), line)]
}
