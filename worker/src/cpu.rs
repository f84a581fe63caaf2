//! Threads for computations: one for each slot, apart from the runtime.

use std::{sync::mpsc, thread, time::Duration};

use crate::WorkerError;

/// What the calling thread has taken of a CPU; 0 where the system does not tell.
pub(crate) fn cpu_time() -> Duration {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
    }
    #[cfg(not(unix))]
    Duration::ZERO
}

type Job = Box<dyn FnOnce() + Send>;

/// One thread a slot. They end when this is dropped, after what they run.
#[derive(Debug)]
pub(crate) struct CpuPool {
    slots: Vec<mpsc::Sender<Job>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl CpuPool {
    pub(crate) fn new(name: &str, slots: u32) -> Result<Self, WorkerError> {
        let mut pool = Self {
            slots: Vec::new(),
            threads: Vec::new(),
        };
        for slot in 0..slots {
            let (sender, jobs) = mpsc::channel::<Job>();
            let work = move || jobs.into_iter().for_each(|job| job());
            let builder = thread::Builder::new().name(format!("{name}-cpu-{slot}"));
            let thread = builder.spawn(work);
            let thread = thread.map_err(|why| WorkerError::System {
                what: "start a CPU thread",
                why,
            })?;
            pool.slots.push(sender);
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Runs a job on a slot's thread; the engine gives a slot one job at a time.
    pub(crate) fn run(&self, slot: u32, job: impl FnOnce() + Send + 'static) {
        let sent = self.slots[slot as usize].send(Box::new(job));
        debug_assert!(sent.is_ok(), "a slot's thread outlives the pool");
    }
}

impl Drop for CpuPool {
    fn drop(&mut self) {
        self.slots.clear();
        for thread in self.threads.drain(..) {
            // A computation that panicked has reported itself.
            let _ = thread.join();
        }
    }
}
