//! What Python and the native code log, on its way to the dashboard.

use std::{
    io::{self, Write},
    sync::OnceLock,
};

use graticule_logs::{LOG_BUFFER_LINE_COUNT_MAX, LogLevel, LogLine, note, rest};
use pyo3::prelude::*;
use serde::{Deserialize, Serialize};
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, layer::SubscriberExt, registry, reload};

use crate::{calls::raised, children, error::Failure};

/// The numbers of Python's levels from which on a line is an error, and a warning.
const ERROR: i32 = 40;
const WARNING: i32 = 30;

/// What of the native code's lines goes to standard error: nothing, unless a process of a cluster says so.
static SHOWN: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Collects what this process logs, for the dashboards of the clusters in it.
pub(crate) fn collect() {
    let (filter, shown) = reload::Layer::new(EnvFilter::new("off"));
    // As the command `graticule` writes them.
    let text = fmt::layer().with_writer(|| Readable).with_target(false);
    let lines = registry()
        .with(text.with_filter(filter))
        .with(graticule_logs::layer());
    // An error means that it is done already.
    if tracing::subscriber::set_global_default(lines).is_ok() {
        let _ = SHOWN.set(shown);
    }
}

/// Standard error, without what is written down of exceptions, which is for no person.
struct Readable;

impl Write for Readable {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        io::stderr().write_all(raised::without_written(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Sends what the native code logs to standard error, and what a person should see to the dashboard, whatever the filter.
///
/// # Errors
/// If the filter cannot be understood, or the process' lines go elsewhere already.
#[pyfunction]
fn show_log(filter: &str) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Failure::value(format!(
            "--log {filter:?} is no filter: {error}; write error, warn, info, debug, trace, off, or a filter such as graticule_worker=debug"
        ))
    })?;
    let shown = SHOWN
        .get()
        .ok_or_else(|| Failure::value("what this process logs goes elsewhere"))?;
    shown
        .reload(filter)
        .map_err(|error| Failure::value(format!("--log: {error}")))
}

/// Keeps a record of Python's `logging`: of the task whose function runs on this thread, if one does. Says whether somebody tells
/// it: nobody does in a process that a function has forked.
#[pyfunction]
fn note_record(level: i32, name: &str, text: &str) -> bool {
    if children::is_forked() {
        return false;
    }
    let level = match level {
        ERROR.. => LogLevel::Error,
        WARNING.. => LogLevel::Warn,
        _ => LogLevel::Info,
    };
    let line = LogLine::new(level, name, text);
    if let Err(told) = children::tell(line.into()) {
        told.keep();
    }
    true
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(show_log, module)?)?;
    module.add_function(wrap_pyfunction!(note_record, module)?)
}

/// A line as a child process tells it to its worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    level: u8,
    target: String,
    text: String,
    count: u64,
}

/// What this process has logged since it told the last time.
pub(crate) fn told() -> Vec<Told> {
    let report = rest().take(LOG_BUFFER_LINE_COUNT_MAX).unwrap_or_default();
    let lines = report.lines.into_iter().map(Told::from);
    let lost = (report.lost > 0).then(|| Told {
        level: LogLevel::Warn as u8,
        target: module_path!().into(),
        text: "lines of a function had no room".into(),
        count: report.lost,
    });
    lines.chain(lost).collect()
}

impl From<LogLine> for Told {
    fn from(line: LogLine) -> Self {
        Self {
            level: line.level as u8,
            target: line.target.as_ref().into(),
            text: line.text.as_ref().into(),
            count: line.count,
        }
    }
}

impl Told {
    /// Keeps it as a line of the task for which the child works.
    pub(crate) fn keep(self) {
        let level = match self.level {
            0 => LogLevel::Info,
            1 => LogLevel::Warn,
            _ => LogLevel::Error,
        };
        let mut line = LogLine::new(level, &self.target, &self.text);
        line.count = self.count.max(1);
        note(line);
    }
}
