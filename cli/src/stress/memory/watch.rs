//! The memory of processes, looked at from outside.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Between two looks.
const SAMPLE: Duration = Duration::from_millis(100);

/// Looks at processes' resident memory until it is stopped.
pub(super) struct Watch {
    stop: Arc<AtomicBool>,
    peak: Arc<Mutex<u64>>,
    thread: std::thread::JoinHandle<()>,
}

impl Watch {
    pub(super) fn start(pids: Vec<u32>) -> Self {
        let (stop, peak) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(0)));
        let (ends, sees) = (stop.clone(), peak.clone());
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let most = pids
                    .iter()
                    .filter_map(|&pid| resident_bytes(pid))
                    .max()
                    .unwrap_or(0);
                let mut peak = sees.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                *peak = most.max(*peak);
                drop(peak);
                std::thread::sleep(SAMPLE);
            }
        });
        Self { stop, peak, thread }
    }

    pub(super) fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        // The thread only looks and sleeps.
        let _ = self.thread.join();
        *self
            .peak
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A process's resident memory, as Linux tells it.
fn resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
