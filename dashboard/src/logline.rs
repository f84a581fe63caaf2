use std::sync::Arc;

use graticule_plan::{JobId, TaskId, WorkerId};
use serde::{Deserialize, Serialize};

/// Who logged something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogSource {
    /// The process of the scheduler; of an embedded cluster, whatever no worker logged.
    Scheduler,
    /// A worker.
    Worker(WorkerId),
}

/// How grave a line is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// The life of a process.
    #[default]
    Info,
    /// Something is degraded.
    Warn,
    /// A person must act.
    Error,
}

/// A line that was logged, once or several times in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// How grave.
    pub level: LogLevel,
    /// Which part of the program logged it.
    pub target: Arc<str>,
    /// What it says.
    pub text: Arc<str>,
    /// The job that it concerns.
    pub job: Option<JobId>,
    /// The task that it concerns.
    pub task: Option<TaskId>,
    /// The worker that it concerns, beside the one that logged it.
    pub worker: Option<WorkerId>,
    /// How often it was logged.
    pub count: u64,
    /// When first, in microseconds since the cluster's start.
    pub first_us: u64,
    /// When last.
    pub last_us: u64,
}
