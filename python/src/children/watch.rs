//! Memory of child processes: if they take, with their worker, a quarter more than it was given, the largest of them ends.

use std::{
    process::ExitStatus,
    sync::{
        Arc, Mutex, MutexGuard, Once, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use graticule_worker::process_bytes;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(50);
/// Functions may take so much more than the worker was given, as a part of it: they say nothing of what they need beside their
/// inputs and their result, and most of them are over before it hurts.
const EXCESS_PART: u64 = 4;

/// What a worker and its children may take.
#[derive(Debug)]
pub(super) struct Watch {
    memory_bytes: u64,
    /// What of it the worker may fill with chunks.
    ledger_bytes: u64,
    children: Mutex<Vec<Weak<Watched>>>,
    begun: Once,
}

/// A child whose memory is looked at.
#[derive(Debug)]
pub(super) struct Watched {
    pid: u32,
    /// Once it has ended and was waited for, its number may be another process's.
    is_running: Mutex<bool>,
    /// Bytes of what the worker has, and the child maps.
    workers_bytes: AtomicU64,
    verdict: Mutex<Option<String>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    pub(super) fn new(memory_bytes: u64, ledger_bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            memory_bytes,
            ledger_bytes,
            children: Mutex::default(),
            begun: Once::new(),
        })
    }

    pub(super) fn add(self: &Arc<Self>, pid: u32) -> Arc<Watched> {
        let watched = Arc::new(Watched {
            pid,
            is_running: Mutex::new(true),
            workers_bytes: AtomicU64::new(0),
            verdict: Mutex::default(),
        });
        let mut children = locked(&self.children);
        children.retain(|child| child.strong_count() > 0);
        children.push(Arc::downgrade(&watched));
        drop(children);
        self.begun.call_once(|| {
            let watch = Arc::downgrade(self);
            let builder = std::thread::Builder::new().name("graticule-memory".into());
            // Without the thread the system's own limit is the only one.
            let _ = builder.spawn(move || {
                while let Some(watch) = watch.upgrade() {
                    watch.look();
                    drop(watch);
                    std::thread::sleep(INTERVAL);
                }
            });
        });
        watched
    }

    fn look(&self) {
        let children: Vec<Arc<Watched>> = locked(&self.children).iter().filter_map(Weak::upgrade).collect();
        let own: Vec<u64> = children
            .iter()
            .map(|child| own_bytes(child).unwrap_or(0))
            .collect();
        let of_children: u64 = own.iter().sum();
        let all = of_children + process_bytes("self", "VmRSS:").unwrap_or(0);
        let share = self.memory_bytes.saturating_sub(self.ledger_bytes);
        if all <= self.memory_bytes + self.memory_bytes / EXCESS_PART || of_children <= share {
            return;
        }
        let largest = children.iter().zip(&own).max_by_key(|(_, bytes)| **bytes);
        if let Some((child, &bytes)) = largest {
            let mib = |bytes: u64| bytes >> 20;
            child.end(format!(
                "the process that ran the function was ended since it took {} MiB: with it the worker and its processes took {} MiB, \
                 and they were given {} MiB; use smaller chunks, or workers with more memory",
                mib(bytes),
                mib(all),
                mib(self.memory_bytes),
            ));
        }
    }
}

impl Watched {
    /// How it ended, if it has; or waits until it does.
    pub(super) fn wait(&self, process: &mut std::process::Child, is_ending: bool) -> Option<ExitStatus> {
        let mut is_running = locked(&self.is_running);
        let status = if is_ending {
            process.wait().ok()
        } else {
            process.try_wait().ok().flatten()
        };
        if status.is_some() {
            *is_running = false;
        }
        status
    }

    /// So many bytes of what the child maps are its worker's.
    pub(super) fn maps(&self, bytes: usize) {
        self.workers_bytes.store(bytes as u64, Ordering::Relaxed);
    }

    /// Why it was ended, if it was.
    pub(super) fn verdict(&self) -> Option<String> {
        locked(&self.verdict).clone()
    }

    fn end(&self, why: String) {
        let is_running = locked(&self.is_running);
        let pid = i32::try_from(self.pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let (true, Some(pid)) = (*is_running, pid) {
            locked(&self.verdict).get_or_insert(why);
            // It may have ended just now.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

/// What it has for itself. Memory that it shares with its worker is its worker's.
fn own_bytes(child: &Watched) -> Option<u64> {
    let pid = child.pid.to_string();
    let (private, shared) = (
        process_bytes(&pid, "RssAnon:")?,
        process_bytes(&pid, "RssShmem:")?,
    );
    Some(private + shared.saturating_sub(child.workers_bytes.load(Ordering::Relaxed)))
}
