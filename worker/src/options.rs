use std::path::PathBuf;

use graticule_plan::Resource;

use crate::Registry;
use crate::limit::{group_limit_bytes, ledger_bytes};

/// How a worker runs.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// A name for people.
    pub name: String,
    /// Tasks computed at a time.
    pub slots: u32,
    /// Bytes for chunks and running tasks together. A limit of the process's control group lowers it, so that there is
    /// room beside it for the process itself.
    pub budget_bytes: u64,
    /// Countable things of the machine that tasks may need, by name, such as `GPU`.
    pub resources: Vec<Resource>,
    /// The functions that clients can have called.
    pub functions: Registry,
    /// The folder below which a folder for spilled chunks is made.
    pub spill_dir: PathBuf,
    /// Microseconds between two signs of life.
    pub heartbeat_us: u64,
}

impl Default for WorkerOptions {
    /// One slot for each CPU and six tenths of the memory that the machine has or the control group allows, whichever
    /// is less (4 GiB where neither is known).
    fn default() -> Self {
        let slots = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        Self {
            name: format!("worker-{}", std::process::id()),
            slots,
            budget_bytes: memory_bytes()
                .into_iter()
                .chain(group_limit_bytes())
                .min()
                .map_or(4 << 30, |total| total / 10 * 6),
            resources: Vec::new(),
            functions: Registry::new(),
            spill_dir: std::env::temp_dir(),
            heartbeat_us: 500_000,
        }
    }
}

impl WorkerOptions {
    /// The budget under the control group's limit.
    pub(crate) fn bounded_budget_bytes(&self) -> u64 {
        let ceiling = group_limit_bytes().map_or(u64::MAX, ledger_bytes);
        if ceiling < self.budget_bytes {
            tracing::warn!(
                asked = self.budget_bytes,
                budget = ceiling,
                "the control group's memory limit lowers the budget"
            );
        }
        self.budget_bytes.min(ceiling)
    }
}

/// The machine's memory, as Linux tells it.
fn memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
