//! Keeps the number of workers at what the policy asks for: the loop between `engine::autoscale` and whoever starts
//! workers.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use graticule_dashboard::{Record, ScaleDecision};
use graticule_engine::{
    Time,
    autoscale::{Cluster, Decision, Memory, Rules, Starts, Supply, decide},
};
use graticule_plan::WorkerId;
use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::{SchedulerGone, SchedulerHandle};

/// How the number of workers follows the work.
#[derive(Debug, Clone)]
pub struct AdaptOptions {
    /// The fewest and the most workers.
    pub workers: RangeInclusive<u32>,
    /// Time between two decisions.
    pub interval: Duration,
    /// The policy's durations and shares.
    pub rules: Rules,
    /// What the start of a worker is thought to take until some were measured.
    pub start: Duration,
    /// A worker that has not connected for so long after its start is ended.
    pub start_timeout: Duration,
    /// How long a worker may take to leave.
    pub patience: Duration,
}

impl AdaptOptions {
    /// So many workers, decided every second by the usual rules.
    pub fn new(workers: RangeInclusive<u32>) -> Self {
        Self {
            workers,
            interval: Duration::from_secs(1),
            rules: Rules::default(),
            start: Duration::from_secs(2),
            start_timeout: Duration::from_secs(300),
            patience: Duration::from_secs(30),
        }
    }
}

/// What a worker that is started has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerSize {
    /// Tasks that it computes at a time.
    pub slots: u32,
    /// Bytes for its chunks and running tasks.
    pub budget_bytes: u64,
}

/// The end of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its name.
    pub name: String,
    /// How it ended, if not in good order: its exit code or the signal that killed it, for people.
    pub how: Option<String>,
}

/// Whoever starts workers, and sees them end.
pub trait WorkerSource: Send + 'static {
    /// The size of the next worker.
    fn size(&self) -> WorkerSize;

    /// The fewest and the most workers from now on, in place of those of the options.
    fn bounds(&self) -> Option<RangeInclusive<u32>> {
        None
    }

    /// What the names of workers begin with.
    fn prefix(&self) -> &str {
        "adapt"
    }

    /// Starts a worker that connects under this name.
    ///
    /// # Errors
    /// Why it cannot be started, for a person.
    fn start(&mut self, name: &str) -> Result<(), String>;

    /// Ends a worker that was started long ago and never connected.
    fn give_up(&mut self, name: &str);

    /// The workers that have ended since this was asked last, by themselves or because they were told to.
    fn ended(&mut self) -> Vec<Ended>;

    /// Hears of each decision that does something.
    fn decided(&mut self, decision: &Decision);
}

/// The cluster as the policy sees it, and the workers' names.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// What the policy looks at.
    pub cluster: Cluster,
    /// The names of the connected workers.
    pub names: Vec<(WorkerId, Arc<str>)>,
}

struct Adapter<S> {
    scheduler: SchedulerHandle,
    source: S,
    options: AdaptOptions,
    memory: Memory,
    starts: Starts,
    next_name: u64,
    last_reason: String,
    last_wanted: Option<u32>,
}

/// Starts and retires workers as the policy says, until `stop` has something or is dropped, or the scheduler ends.
/// Returns the source, whose workers are still there.
pub async fn adapt<S: WorkerSource>(
    scheduler: SchedulerHandle,
    source: S,
    options: AdaptOptions,
    mut stop: oneshot::Receiver<()>,
) -> S {
    let mut clock = tokio::time::interval(options.interval.max(Duration::from_millis(1)));
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut adapter = Adapter {
        scheduler,
        source,
        memory: Memory::default(),
        starts: Starts::new(micros(options.start), micros(options.start_timeout)),
        options,
        next_name: 0,
        last_reason: String::new(),
        last_wanted: None,
    };
    loop {
        tokio::select! {
            // A word or a dropped sender, either ends it.
            _ = &mut stop => break,
            _ = clock.tick() => {}
        }
        if adapter.look().await.is_err() {
            break;
        }
    }
    adapter.source
}

impl<S: WorkerSource> Adapter<S> {
    async fn look(&mut self) -> Result<(), SchedulerGone> {
        let Snapshot { cluster, names } = self.scheduler.snapshot().await?;
        // Both list the connected workers by rising id.
        for ((_, name), worker) in names.iter().zip(&cluster.workers) {
            self.starts.joined(worker.joined, name);
        }
        for Ended { name, how } in self.source.ended() {
            if let Some(how) = &how {
                warn!(%name, %how, "a worker has ended");
                self.scheduler.worker_ended(&name, how).await?;
            }
            if self.starts.ended(cluster.now, &name) {
                warn!(%name, "a worker ended before it had connected");
                let how = how.as_deref().unwrap_or("ended in good order");
                self.start_failed(&name, &format!("{how}, before it had connected"))
                    .await?;
            }
        }
        for name in self.starts.give_up(cluster.now) {
            let seconds = self.options.start_timeout.as_secs();
            warn!(%name, "a worker has not connected within {seconds} s and is ended");
            self.source.give_up(&name);
            self.start_failed(&name, &format!("has not connected within {seconds} s"))
                .await?;
        }
        let decision = self.decide(&cluster);
        self.show(&decision).await?;
        if decision.reason != self.last_reason {
            info!(wanted = decision.wanted, "{}", decision.reason);
            self.last_reason.clone_from(&decision.reason);
        }
        if !decision.is_nothing() {
            self.source.decided(&decision);
        }
        self.act(cluster.now, decision).await
    }

    fn decide(&mut self, cluster: &Cluster) -> Decision {
        let size = self.source.size();
        let bounds = self.bounds();
        let supply = Supply {
            min: *bounds.start(),
            max: *bounds.end(),
            pending: self.starts.pending(),
            start_us: self.starts.start_us(),
            not_before: self.starts.not_before(),
            slots: size.slots,
            budget_bytes: size.budget_bytes,
        };
        decide(cluster, &supply, &self.options.rules, &mut self.memory)
    }

    /// Lets those who watch see a decision that does something, or differs from the one before.
    async fn show(&mut self, decision: &Decision) -> Result<(), SchedulerGone> {
        let is_old = self.last_wanted == Some(decision.wanted) && decision.reason == self.last_reason;
        if decision.is_nothing() && is_old {
            return Ok(());
        }
        self.last_wanted = Some(decision.wanted);
        let (min, max) = self.bounds().into_inner();
        let count = |workers: &[WorkerId]| u32::try_from(workers.len()).unwrap_or(u32::MAX);
        let shown = ScaleDecision {
            wanted: decision.wanted,
            min,
            max,
            start: decision.start,
            stay: count(&decision.stay),
            retire: count(&decision.victims),
            reason: decision.reason.as_str().into(),
        };
        self.scheduler.watchers_see(Record::ScaleDecided(shown)).await
    }

    async fn start_failed(&self, name: &str, why: &str) -> Result<(), SchedulerGone> {
        let (name, why) = (name.into(), why.into());
        self.scheduler
            .watchers_see(Record::WorkerStartFailed { name, why })
            .await
    }

    fn bounds(&self) -> RangeInclusive<u32> {
        self.source
            .bounds()
            .unwrap_or_else(|| self.options.workers.clone())
    }

    async fn act(&mut self, now: Time, decision: Decision) -> Result<(), SchedulerGone> {
        for worker in decision.stay {
            self.scheduler.stay(worker).await?;
        }
        for worker in decision.victims {
            self.scheduler.retire(worker, self.options.patience).await?;
        }
        for _ in 0..decision.start {
            let name = format!("{}-{}", self.source.prefix(), self.next_name);
            self.next_name += 1;
            self.starts.begin(now, &name);
            let starting = Record::WorkerStarting {
                name: name.as_str().into(),
            };
            self.scheduler.watchers_see(starting).await?;
            if let Err(why) = self.source.start(&name) {
                warn!(%why, "a worker cannot be started");
                self.starts.ended(now, &name);
                self.start_failed(&name, &format!("cannot be started: {why}"))
                    .await?;
            }
        }
        Ok(())
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
