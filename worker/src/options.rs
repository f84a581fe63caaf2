use std::path::PathBuf;

/// How a worker runs.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// A name for people.
    pub name: String,
    /// Tasks computed at a time.
    pub slots: u32,
    /// Bytes for chunks and running tasks together.
    pub budget_bytes: u64,
    /// The folder below which a folder for spilled chunks is made.
    pub spill_dir: PathBuf,
    /// Microseconds between two signs of life.
    pub heartbeat_us: u64,
}

impl Default for WorkerOptions {
    /// One slot for each CPU and six tenths of the machine's memory (4 GiB where that is not known).
    fn default() -> Self {
        let slots = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        Self {
            name: format!("worker-{}", std::process::id()),
            slots,
            budget_bytes: memory_bytes().map_or(4 << 30, |total| total / 10 * 6),
            spill_dir: std::env::temp_dir(),
            heartbeat_us: 500_000,
        }
    }
}

/// The machine's memory, as Linux tells it.
fn memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
