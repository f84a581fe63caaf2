//! A leased task's way through its phases: queued, fetching, fetched, computing, reported.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use graticule_plan::{ChunkId, JobId, LayerId, TaskId};

use super::{Command, Link, RunId, RunState, TaskSlot, Worker};
use crate::{
    BlockRun, ChunkHolders, Failure, FailureKind, Finished, Lease, Peer, Report, TaskTimes, ToScheduler,
    edges::{NOTHING, WORKER_RUN},
    scheduler::Sabotage,
};

/// Microseconds that a report may wait for others while the worker has more to do.
const REPORT_DELAY_US: u64 = 1000;
/// Reports that are sent together at the latest.
const REPORTS_MAX: usize = 512;

impl Worker {
    pub(super) fn on_lease(&mut self, mut lease: Lease) {
        let holders: BTreeMap<ChunkId, Vec<Peer>> = std::mem::take(&mut lease.holders)
            .into_iter()
            .map(|ChunkHolders { chunk, peers }| (chunk, peers))
            .collect();
        let holders = Arc::new(holders);
        let layer = self.layers.get(&(lease.job, lease.layer)).cloned();
        for (task, attempt) in lease.each() {
            let Some(layer) = layer.clone() else {
                let failure = Failure {
                    kind: FailureKind::Permanent,
                    message: format!("layer {} does not fit its inputs", lease.layer).into(),
                };
                self.report(task, attempt, Err(failure), TaskTimes::default());
                continue;
            };
            if let Some(&older) = self.tasks.get(&task) {
                self.abandon(older);
            }
            // The scheduler counts on no result of an earlier lease, and would not release it.
            let keeps = self.config.sabotage == Sabotage::KeepEarlierResults;
            if !keeps && self.held.remove(&task).is_some() {
                self.reports.retain(|report| report.task != task);
                self.out.push(Command::Drop { chunks: vec![task] });
            }
            self.drop_copy(task);
            if self.retiring.is_some() {
                self.hand_back(task, attempt);
                continue;
            }
            let run = RunId(self.next_run);
            self.next_run += 1;
            let slot = TaskSlot {
                task,
                attempt,
                layer,
                holders: holders.clone(),
                arrived: self.now,
                reserved_bytes: 0,
                times: TaskTimes::default(),
                state: RunState::Queued,
            };
            WORKER_RUN.pass(NOTHING, slot.state.name());
            self.runs.insert(run, slot);
            self.tasks.insert(task, run);
            self.queue.insert(run);
        }
    }

    pub(super) fn on_forget(&mut self, job: JobId) {
        let first = TaskId {
            job,
            layer: LayerId(0),
            block: 0,
        };
        let last = TaskId {
            job,
            layer: LayerId(u32::MAX),
            block: u64::MAX,
        };
        let layers = self.layers.range((job, LayerId(0))..=(job, LayerId(u32::MAX)));
        for layer in layers.map(|(&id, _)| id).collect::<Vec<_>>() {
            self.layers.remove(&layer);
        }
        let tables = self.tables.forget(job);
        let runs = self.tasks.range(first..=last);
        for run in runs.map(|(_, &run)| run).collect::<Vec<_>>() {
            self.abandon(run);
        }
        let held = self.held.range(first..=last);
        let chunks: Vec<ChunkId> = held.map(|(&chunk, _)| chunk).collect();
        for chunk in &chunks {
            self.held.remove(chunk);
        }
        self.reports.retain(|report| report.task.job != job);
        if !chunks.is_empty() {
            self.out.push(Command::Drop { chunks });
        }
        self.drop_copies_of(job);
        self.drop_tables(tables);
    }

    /// Gives a run up, wherever it stands.
    pub(super) fn abandon(&mut self, run: RunId) {
        let Some(slot) = self.runs.get_mut(&run) else {
            return;
        };
        if self.tasks.get(&slot.task) == Some(&run) {
            self.tasks.remove(&slot.task);
        }
        match slot.state {
            RunState::Queued => {
                self.queue.remove(&run);
            }
            RunState::Fetching { .. } => {
                self.fetching_count -= 1;
                self.out.push(Command::Discard { run });
            }
            RunState::Fetched => {
                self.fetched.remove(&run);
                self.out.push(Command::Discard { run });
            }
            // A kernel cannot be stopped; what it makes is dropped when it is done.
            RunState::Computing { slot: cpu, .. } => {
                slot.pass_to(RunState::Unwanted { slot: cpu });
                return;
            }
            RunState::Unwanted { .. } => return,
        }
        self.remove_run(run);
    }

    pub(super) fn remove_run(&mut self, run: RunId) -> TaskSlot {
        let slot = self.runs.remove(&run).expect("the caller looked the run up");
        WORKER_RUN.pass(slot.state.name(), NOTHING);
        self.reserved_bytes -= slot.reserved_bytes;
        if self.tasks.get(&slot.task) == Some(&run) {
            self.tasks.remove(&slot.task);
        }
        slot
    }

    /// Starts the first phase of as many queued tasks as memory and the prefetch limit admit.
    pub(super) fn start_fetches(&mut self) {
        while let Some(&run) = self.queue.first() {
            let waiting = self.fetching_count + self.fetched.len();
            if waiting >= self.config.prefetch_count_max.max(1) {
                return;
            }
            let slot = &self.runs[&run];
            let needed = slot.layer.task_bytes(slot.task.block);
            let active = self.runs.len() > self.queue.len();
            let in_use = self.memory_bytes.saturating_add(self.reserved_bytes);
            if in_use.saturating_add(needed) > self.config.budget_bytes {
                self.make_room(needed);
                if active || self.waits_for_room() {
                    return;
                }
                self.overdrawn_until = self.no_spill_until;
            }
            self.queue.pop_first();
            self.queued_to_fetching(run, needed);
        }
    }

    /// Whether a task that does not fit waits though nothing runs: until chunks have gone to disk; where the disk takes
    /// none, until it is tried again, if one task was begun since the last time. What cannot be had otherwise is begun.
    fn waits_for_room(&self) -> bool {
        if self.memory_bytes == 0 || self.config.sabotage == Sabotage::BeginWhileSpilling {
            return false;
        }
        self.spilling_to.is_some() || self.awaits_relief() || self.now < self.overdrawn_until
    }

    /// Moves to disk what is too much: results may be larger than anybody knew.
    pub(super) fn spill_overflow(&mut self) {
        let in_use = self.memory_bytes.saturating_add(self.reserved_bytes);
        if in_use > self.config.budget_bytes {
            self.make_room(0);
        }
    }

    /// Makes room for a task, unless so much is being made already: by what may be let go, then by the disk.
    fn make_room(&mut self, needed: u64) {
        let rest = self.config.budget_bytes.saturating_sub(self.reserved_bytes);
        let target_bytes = rest.saturating_sub(needed);
        if self.memory_bytes <= target_bytes || self.ask_for_relief(target_bytes) {
            return;
        }
        self.order_spill(target_bytes);
    }

    /// Has chunks moved to disk until those in memory take so many bytes at most.
    pub(super) fn order_spill(&mut self, target_bytes: u64) {
        let may_ask = self.memory_bytes > target_bytes && self.now >= self.no_spill_until;
        if may_ask && self.spilling_to.is_none_or(|asked| asked > target_bytes) {
            self.spilling_to = Some(target_bytes);
            self.out.push(Command::Spill { target_bytes });
        }
    }

    fn queued_to_fetching(&mut self, run: RunId, needed: u64) {
        self.reserved_bytes = self.reserved_bytes.saturating_add(needed);
        self.fetching_count += 1;
        let slot = self.runs.get_mut(&run).expect("queued runs have a slot");
        slot.reserved_bytes = needed;
        slot.times.queue_us = self.now.since_us(slot.arrived);
        slot.pass_to(RunState::Fetching { since: self.now });
        let inputs = slot.layer.inputs(slot.task.block);
        let mut wanted: BTreeSet<ChunkId> = inputs.into_iter().flatten().collect();
        wanted.retain(|chunk| !self.held.contains_key(chunk));
        let holders = wanted.into_iter().map(|chunk| {
            let peers = slot.holders.get(&chunk).cloned().unwrap_or_default();
            ChunkHolders { chunk, peers }
        });
        let holders = holders.collect();
        let (task, attempt, layer) = (slot.task, slot.attempt, slot.layer.clone());
        self.out.push(Command::Fetch {
            run,
            task,
            attempt,
            layer,
            holders,
        });
    }

    pub(super) fn fetching_to_fetched(&mut self, run: RunId, fetched_bytes: u64) {
        // An abandoned run's fetch may end all the same.
        let Some(slot) = self.runs.get_mut(&run) else {
            return;
        };
        let RunState::Fetching { since } = slot.state else {
            return;
        };
        slot.times.fetch_us = self.now.since_us(since);
        slot.times.fetched_bytes = fetched_bytes;
        slot.pass_to(RunState::Fetched);
        self.fetching_count -= 1;
        self.fetched.insert(run);
        self.fetched_bytes = self.fetched_bytes.saturating_add(fetched_bytes);
    }

    pub(super) fn fetching_to_failed(&mut self, run: RunId, failure: Failure) {
        let fetching = |slot: &TaskSlot| matches!(slot.state, RunState::Fetching { .. });
        if self.runs.get(&run).is_some_and(fetching) {
            self.fetching_count -= 1;
            let slot = self.remove_run(run);
            if self.config.sabotage == Sabotage::KeepFailedReservations {
                self.reserved_bytes += slot.reserved_bytes;
            }
            self.out.push(Command::Discard { run });
            self.report(slot.task, slot.attempt, Err(failure), slot.times);
        }
    }

    /// Puts fetched tasks on free slots, first come first served.
    pub(super) fn start_computations(&mut self) {
        while !self.free_slots.is_empty()
            && let Some(run) = self.fetched.pop_first()
        {
            let cpu = self.free_slots.pop_first().expect("asked above");
            let slot = self.runs.get_mut(&run).expect("fetched runs have a slot");
            slot.times.slot = cpu;
            slot.pass_to(RunState::Computing {
                since: self.now,
                slot: cpu,
            });
            let task = slot.task;
            self.begins_computing(task);
            self.out.push(Command::Compute { run, slot: cpu });
        }
    }

    pub(super) fn on_computed(&mut self, run: RunId, outcome: Result<Finished, Failure>) {
        let Some(slot) = self.runs.get(&run) else { return };
        let (task, state) = (slot.task, slot.state);
        self.ends_computing(task);
        match state {
            RunState::Computing { since, slot: cpu } => {
                self.free_slots.insert(cpu);
                let mut slot = self.remove_run(run);
                slot.times.compute_us = self.now.since_us(since);
                self.computing_to_reported(run, slot, outcome);
            }
            RunState::Unwanted { slot: cpu } => {
                if self.config.sabotage != Sabotage::KeepRevokedSlots {
                    self.free_slots.insert(cpu);
                }
                self.remove_run(run);
                self.out.push(Command::Discard { run });
            }
            RunState::Queued | RunState::Fetching { .. } | RunState::Fetched => {
                unreachable!("{run:?} was computed without having been started")
            }
        }
    }

    fn computing_to_reported(&mut self, run: RunId, slot: TaskSlot, outcome: Result<Finished, Failure>) {
        let outcome = outcome.map(|finished| {
            let inline = finished.inline.filter(|_| slot.layer.spec.deliver);
            Finished { inline, ..finished }
        });
        match &outcome {
            Ok(finished) => {
                self.held.insert(slot.task, finished.bytes);
                self.memory_bytes = self.memory_bytes.saturating_add(finished.bytes);
                self.out.push(Command::Store {
                    run,
                    chunk: slot.task,
                });
            }
            Err(_) => self.out.push(Command::Discard { run }),
        }
        self.report(slot.task, slot.attempt, outcome, slot.times);
    }

    pub(super) fn report(
        &mut self,
        task: TaskId,
        attempt: u32,
        outcome: Result<Finished, Failure>,
        times: TaskTimes,
    ) {
        if let Link::Up { .. } = self.link {
            self.reports.push(Report {
                task,
                attempt,
                outcome,
                times,
                others: Vec::new(),
            });
        }
    }

    /// Sends the reports that are due: those of many small tasks together, of the last one at once.
    pub(super) fn flush_due_reports(&mut self) {
        if self.reports.is_empty() {
            self.reports_due = None;
            return;
        }
        let due = *self.reports_due.get_or_insert(self.now + REPORT_DELAY_US);
        let is_idle = self.retiring.is_some()
            || (self.fetching_count == 0 && self.fetched.is_empty() && self.computes_nothing());
        if is_idle || self.reports.len() >= REPORTS_MAX || self.now >= due {
            self.flush_reports();
        }
    }

    /// Sends all reports: before anything else is said, so that the scheduler hears of things in their order.
    pub(super) fn flush_reports(&mut self) {
        self.reports_due = None;
        let reports = join(std::mem::take(&mut self.reports), self.config.sabotage);
        if self.config.sabotage == Sabotage::RepeatReports && reports.len() > 1 {
            self.reports.extend(reports.last().cloned());
        }
        if let (Link::Up { session, .. }, false) = (self.link, reports.is_empty()) {
            self.out.push(Command::Send {
                session,
                message: ToScheduler::Reports(reports),
            });
        }
    }

    fn computes_nothing(&self) -> bool {
        self.free_slots.len() >= self.config.slots.max(1) as usize
    }
}

/// Puts reports of neighbours that went well alike together, as a worker does before it sends them.
pub fn join_alike(reports: Vec<Report>) -> Vec<Report> {
    join(reports, Sabotage::None)
}

fn join(mut reports: Vec<Report>, sabotage: Sabotage) -> Vec<Report> {
    // Stable: what is said of one task twice stays in order.
    reports.sort_by_key(|report| report.task);
    let mut joined: Vec<Report> = Vec::with_capacity(reports.len());
    for report in reports {
        match joined.last_mut() {
            Some(last) if goes_on(last, &report, sabotage) => last.others.push(report.times),
            _ => joined.push(report),
        }
    }
    joined
}

/// Whether a report is about the block behind those of another one, and says the same.
fn goes_on(report: &Report, next: &Report, sabotage: Sabotage) -> bool {
    let (Ok(finished), Ok(of_next)) = (&report.outcome, &next.outcome) else {
        return false;
    };
    let says_little = |finished: &Finished| finished.inline.is_none() && finished.problems.is_empty();
    let behind = BlockRun::from(next.task);
    let of_one_attempt = report.attempt == next.attempt || sabotage == Sabotage::JoinAttempts;
    let tasks = report.tasks();
    tasks.part(tasks.end(), 1) == behind
        && of_one_attempt
        && finished.bytes == of_next.bytes
        && says_little(finished)
        && says_little(of_next)
}
