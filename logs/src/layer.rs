use std::fmt::{self, Write};

use graticule_engine::{LOG_TEXT_BYTES_MAX, LogLevel, LogLine};
use graticule_plan::{JobId, LayerId, TaskId, WorkerId};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use crate::{LogScope, rest};

/// Copies events of level INFO and above into the buffer of the scope in which they happen.
pub fn layer<S>() -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    Lines.with_filter(LevelFilter::INFO)
}

/// Keeps a line as if an event had told it: in the buffer of the scope that the thread is in, of its task.
pub fn note(mut line: LogLine) {
    LogScope::current(|scope| {
        line.task = line.task.or_else(|| scope.and_then(LogScope::task));
        line.job = line.job.or(line.task.map(|task| task.job));
        scope.map_or(rest(), LogScope::buffer).push(line);
    });
}

struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut told = Told::default();
        event.record(&mut told);
        let metadata = event.metadata();
        let level = match *metadata.level() {
            Level::ERROR => LogLevel::Error,
            Level::WARN => LogLevel::Warn,
            _ => LogLevel::Info,
        };
        let (job, task, worker) = (told.job, told.task, told.worker);
        let mut line = LogLine::new(level, metadata.target(), &told.text());
        (line.job, line.task, line.worker) = (job, task, worker);
        note(line);
    }
}

/// What an event says: its message, then its fields, no more than is kept.
#[derive(Default)]
struct Told {
    message: Option<Bounded>,
    fields: Bounded,
    job: Option<JobId>,
    task: Option<TaskId>,
    worker: Option<WorkerId>,
}

impl Told {
    fn text(self) -> String {
        let message = self.message.unwrap_or_default().0;
        let fields = self.fields.0;
        if message.is_empty() {
            fields.trim_start().to_owned()
        } else {
            message + &fields
        }
    }

    fn add(&mut self, name: &str, value: fmt::Arguments<'_>) {
        // A text that is too long is cut; that is no error.
        if name == "message" && self.message.is_none() {
            let mut message = Bounded::default();
            let _ = message.write_fmt(value);
            self.message = Some(message);
        } else if !name.starts_with("log.") {
            let _ = self.fields.write_fmt(format_args!(" {name}={value}"));
        }
    }

    fn find(&mut self, name: &str, value: &str) {
        match name {
            "job" => self.job = value.parse().ok().map(JobId),
            "task" => self.task = parse_task(value),
            "worker" => self.worker = value.parse().ok().map(WorkerId),
            _ => {}
        }
    }
}

/// A task as it is written: the numbers of job, layer and block.
fn parse_task(text: &str) -> Option<TaskId> {
    let mut parts = text.split('/');
    let task = TaskId {
        job: JobId(parts.next()?.parse().ok()?),
        layer: LayerId(parts.next()?.parse().ok()?),
        block: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(task)
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if matches!(field.name(), "job" | "task" | "worker") {
            let mut text = Bounded::default();
            let _ = write!(text, "{value:?}");
            self.find(field.name(), &text.0);
        }
        self.add(field.name(), format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.find(field.name(), &value.to_string());
        self.add(field.name(), format_args!("{value}"));
    }
}

/// A text that takes no more than is kept of a line.
#[derive(Default)]
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // A character more, by which it is seen that it was cut.
        let room = (LOG_TEXT_BYTES_MAX + 4).saturating_sub(self.0.len());
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        if text.len() <= room {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use graticule_engine::LogReport;
    use tracing_subscriber::{layer::SubscriberExt, registry};

    use super::*;
    use crate::LogBuffer;

    const TASK: TaskId = TaskId {
        job: JobId(4),
        layer: LayerId(2),
        block: 17,
    };

    fn logged(work: impl FnOnce(&LogScope)) -> LogReport {
        let scope = LogScope::new(Arc::new(LogBuffer::default()));
        tracing::subscriber::with_default(registry().with(layer()), || scope.run(|| work(&scope)));
        scope.buffer().take(100).unwrap_or_default()
    }

    #[test]
    fn an_event_is_a_line_with_its_fields_and_the_names_among_them() {
        let report = logged(|_| {
            tracing::warn!(task = %TASK, worker = %WorkerId(3), message = "boom", "task failed");
            tracing::info!(bytes = 12, name = "a", "read");
            tracing::debug!("not told");
        });
        assert_eq!(report.lines.len(), 2);
        let failed = &report.lines[0];
        assert_eq!(
            (failed.level, failed.task, failed.worker),
            (LogLevel::Warn, Some(TASK), Some(WorkerId(3)))
        );
        assert_eq!(failed.job, Some(JobId(4)));
        assert!(
            failed.text.contains("task failed") && failed.text.contains("message=boom"),
            "{}",
            failed.text
        );
        assert_eq!(&*report.lines[1].text, "read bytes=12 name=a");
    }

    #[test]
    fn lines_within_a_task_are_of_it_also_across_threads_and_after_a_panic() {
        let report = logged(|scope| {
            let of_task = scope.of_task(TASK);
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                of_task.run(|| panic!("on purpose"));
            }));
            assert!(panicked.is_err());
            tracing::info!("outside");
            let mut work = Box::pin(of_task.future(async { tracing::info!("inside") }));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(work.as_mut().poll(&mut context).is_ready());
        });
        let tasks: Vec<_> = report.lines.iter().map(|line| line.task).collect();
        assert_eq!(tasks, [None, Some(TASK)]);
    }

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        let report = logged(|_| tracing::info!("{}", "ä".repeat(10_000)));
        let text = &report.lines[0].text;
        assert!(
            text.len() <= LOG_TEXT_BYTES_MAX && text.ends_with('…'),
            "{}",
            text.len()
        );
    }
}
