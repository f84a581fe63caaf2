use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use graticule_plan::{TaskId, WorkerId};

use super::{
    activity::Counts,
    clip, clip_message,
    frame::{RowKey, WorkerRow, WorkerState},
    history::History,
    jobs::rounded,
    roster::WorkerSums,
};
use crate::{LeaveReason, WorkerStatus};

/// Slots of one worker that have lanes of their own.
const SLOT_COUNT_MAX: u32 = 1_024;

/// Errors of tasks on one worker that are kept.
pub(super) const FAILURE_OF_WORKER_COUNT_MAX: usize = 12;

/// Times at which a worker said that it leaves or stays that are kept.
const RETIRE_COUNT_MAX: usize = 16;

/// How loaded a worker was: bytes in KiB, so that thousands of histories stay small.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub(super) struct Load {
    pub(super) managed_kib: u32,
    pub(super) resident_kib: u32,
    pub(super) spilled_kib: u32,
    pub(super) transit_kib: u32,
    pub(super) cpu_percent: f32,
    pub(super) fetched_bytes: u64,
}

impl Load {
    fn of(status: &WorkerStatus) -> Self {
        let kib = |bytes: u64| u32::try_from(bytes >> 10).unwrap_or(u32::MAX);
        Self {
            managed_kib: kib(status.memory_bytes),
            resident_kib: kib(status.resident_bytes),
            spilled_kib: kib(status.spilled_bytes),
            transit_kib: kib(status.transit_bytes),
            cpu_percent: if status.cpu_percent.is_finite() {
                status.cpu_percent.round()
            } else {
                0.0
            },
            fetched_bytes: status.fetched_bytes_total,
        }
    }

    /// What of the process's memory are neither chunks nor what is set aside for them.
    pub(super) fn other_kib(self) -> u32 {
        self.resident_kib
            .saturating_sub(self.managed_kib.saturating_add(self.transit_kib))
    }
}

/// An error of a task on a worker. Sorted by time, so that the oldest goes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WorkerFailure {
    pub(super) at_us: u64,
    pub(super) task: TaskId,
    pub(super) attempt: u32,
    pub(super) message: Arc<str>,
}

/// A worker as far as it was heard of.
#[derive(Debug)]
pub(super) struct WorkerTable {
    pub(super) key: RowKey,
    id: Arc<str>,
    joined: Option<Joined>,
    left: Option<Left>,
    /// The latest report, and the one before it.
    reports: [Option<(u64, WorkerStatus)>; 2],
    pub(super) done: u64,
    pub(super) history: History<Load>,
    /// Attempts that failed on it.
    pub(super) errors: u64,
    /// The latest of them.
    pub(super) failures: BTreeSet<WorkerFailure>,
    /// When it said that it leaves, and what it waits for, or that it stays.
    retires: BTreeMap<u64, Option<Arc<str>>>,
    /// When the last task of each slot ended, as far as that was told.
    lane_ends_us: Vec<u64>,
    /// When it last told of its disk, and how many chunks it had no room to tell of.
    disk_told: (u64, u64),
    /// Whether its tasks are told one by one, which is fresher than its reports.
    pub(super) is_told_of_tasks: bool,
}

#[derive(Debug)]
struct Joined {
    at_us: u64,
    name: Arc<str>,
    address: Arc<str>,
    slots: u32,
    budget_bytes: u64,
}

#[derive(Debug)]
struct Left {
    at_us: u64,
    state: WorkerState,
    message: Option<Arc<str>>,
}

impl WorkerTable {
    pub(super) fn new(worker: WorkerId, key: RowKey) -> Self {
        Self {
            key,
            id: worker.to_string().into(),
            joined: None,
            left: None,
            reports: [None, None],
            done: 0,
            history: History::default(),
            errors: 0,
            failures: BTreeSet::new(),
            retires: BTreeMap::new(),
            lane_ends_us: Vec::new(),
            disk_told: (0, 0),
            is_told_of_tasks: false,
        }
    }

    /// Whether that was not known before.
    pub(super) fn join(
        &mut self,
        at_us: u64,
        name: &str,
        address: &str,
        slots: u32,
        budget_bytes: u64,
    ) -> bool {
        let is_new = self.joined.is_none();
        if is_new {
            self.joined = Some(Joined {
                at_us,
                name: clip(name),
                address: clip(address),
                slots,
                budget_bytes,
            });
        }
        is_new
    }

    /// Whether that was not known before.
    pub(super) fn leave(&mut self, at_us: u64, why: &LeaveReason) -> bool {
        if self.left.is_some() {
            return false;
        }
        let (state, message) = match why {
            LeaveReason::Retired => (WorkerState::Retired, None),
            LeaveReason::Lost { message } => (WorkerState::Lost, Some(clip_message(message))),
        };
        self.left = Some(Left {
            at_us,
            state,
            message,
        });
        true
    }

    /// Takes in that it tells of its disk. Whether that is newer than what it told before, and than its leaving.
    pub(super) fn tells_of_disk(&mut self, at_us: u64, waiting: u64) -> bool {
        let is_gone = self.left_us().is_some_and(|left_us| at_us <= left_us);
        if is_gone || at_us < self.disk_told.0 {
            return false;
        }
        self.disk_told = (at_us, waiting);
        true
    }

    /// Chunks that went to its disk, or left it, of which it has had no room to tell.
    pub(super) fn disk_waiting(&self) -> u64 {
        self.disk_told.1
    }

    /// Its name for people.
    pub(super) fn name(&self) -> Arc<str> {
        let joined = self.joined.as_ref();
        joined.map_or_else(|| format!("worker {}", self.id).into(), |it| it.name.clone())
    }

    pub(super) fn budget_bytes(&self) -> u64 {
        self.joined.as_ref().map_or(0, |joined| joined.budget_bytes)
    }

    /// From its joining until it left, or now; `None` before its joining is told, or if that is later.
    pub(super) fn span_us(&self, now_us: u64) -> Option<(u64, u64)> {
        let from = self.joined.as_ref()?.at_us;
        let to = self.left_us().unwrap_or(now_us).min(now_us);
        (from < to).then_some((from, to))
    }

    pub(super) fn retires(&mut self, at_us: u64, waits_for: Option<&str>) {
        self.retires.insert(at_us, waits_for.map(clip));
        if self.retires.len() > RETIRE_COUNT_MAX {
            self.retires.pop_first();
        }
    }

    /// Since when it is about to leave.
    pub(super) fn retiring_us(&self) -> Option<u64> {
        let retires = self.retires.iter().rev();
        let in_a_row = retires.take_while(|(_, waits_for)| waits_for.is_some());
        in_a_row.last().map(|(at_us, _)| *at_us)
    }

    /// Each time that it said that it leaves, with what it waits for, or that it stays. Oldest first.
    pub(super) fn retire_events(&self) -> impl Iterator<Item = (u64, &Option<Arc<str>>)> {
        self.retires.iter().map(|(at_us, waits_for)| (*at_us, waits_for))
    }

    /// How it stands, when it left, and what was seen then.
    pub(super) fn standing(&self) -> (WorkerState, Option<u64>, Option<Arc<str>>) {
        self.left
            .as_ref()
            .map_or((WorkerState::Ready, None, None), |left| {
                (left.state, Some(left.at_us), left.message.clone())
            })
    }

    /// What it waits for, if it is about to leave.
    pub(super) fn waits_for(&self) -> Option<Arc<str>> {
        self.retires.last_key_value()?.1.clone()
    }

    pub(super) fn failed(&mut self, failure: WorkerFailure) {
        self.errors += 1;
        self.failures.insert(failure);
        if self.failures.len() > FAILURE_OF_WORKER_COUNT_MAX {
            self.failures.pop_first();
        }
    }

    pub(super) fn joined_us(&self) -> Option<u64> {
        self.joined.as_ref().map(|joined| joined.at_us)
    }

    /// Adds it to `sums`, if it is there.
    pub(super) fn add_to(&self, sums: &mut WorkerSums) {
        if self.left.is_some() {
            return;
        }
        let status = self.reports[0].map(|(_, status)| status).unwrap_or_default();
        let joined = self.joined.as_ref();
        sums.workers += 1;
        sums.slots += joined.map_or(0, |it| u64::from(it.slots));
        sums.budget = sums.budget.saturating_add(joined.map_or(0, |it| it.budget_bytes));
        sums.memory = sums.memory.saturating_add(status.memory_bytes);
        sums.spilled = sums.spilled.saturating_add(status.spilled_bytes);
        sums.transit = sums.transit.saturating_add(status.transit_bytes);
        sums.fetch_rate = rounded(sums.fetch_rate + self.fetch_rate());
    }

    pub(super) fn left_us(&self) -> Option<u64> {
        self.left.as_ref().map(|left| left.at_us)
    }

    /// Keeps the two latest reports, in whatever order they come.
    pub(super) fn report(&mut self, at_us: u64, status: WorkerStatus) {
        self.history.take(at_us, Load::of(&status));
        let [latest, before] = &mut self.reports;
        match latest {
            Some((latest_us, known)) if *latest_us == at_us => {
                if status.partial_cmp(known) == Some(std::cmp::Ordering::Greater) {
                    *known = status;
                }
            }
            Some((latest_us, _)) if *latest_us > at_us => {
                if before.is_none_or(|(before_us, _)| before_us < at_us) {
                    *before = Some((at_us, status));
                }
            }
            _ => {
                *before = latest.take();
                *latest = Some((at_us, status));
            }
        }
    }

    fn fetch_rate(&self) -> f64 {
        match self.reports {
            [Some((to_us, to)), Some((from_us, from))] if self.left.is_none() => {
                let bytes = to.fetched_bytes_total.saturating_sub(from.fetched_bytes_total);
                rounded(bytes as f64 * 1e6 / (to_us - from_us) as f64)
            }
            _ => 0.0,
        }
    }

    pub(super) fn slots(&self) -> u32 {
        self.joined
            .as_ref()
            .map_or(0, |joined| joined.slots.min(SLOT_COUNT_MAX))
    }

    pub(super) fn lane_ends_us(&self) -> &[u64] {
        &self.lane_ends_us
    }

    /// Takes in that a task ended on `slot`.
    pub(super) fn task_ended(&mut self, slot: u32, ended_us: u64) {
        let lane = slot.min(SLOT_COUNT_MAX - 1) as usize;
        if lane >= self.lane_ends_us.len() {
            self.lane_ends_us.resize(lane + 1, 0);
        }
        self.lane_ends_us[lane] = self.lane_ends_us[lane].max(ended_us);
    }

    pub(super) fn row(&self, activity: Counts) -> WorkerRow {
        let joined = self.joined.as_ref();
        let report = self.reports[0].filter(|_| self.left.is_none());
        let status = report.map(|(_, status)| status).unwrap_or_default();
        let (running, queued) = if self.is_told_of_tasks {
            (saturated(activity.running), saturated(activity.queued))
        } else {
            (status.running, status.queued)
        };
        WorkerRow {
            k: self.key,
            id: self.id.clone(),
            name: self.name(),
            address: joined.map_or_else(|| "".into(), |joined| joined.address.clone()),
            state: self.left.as_ref().map_or(WorkerState::Ready, |left| left.state),
            message: self.left.as_ref().and_then(|left| left.message.clone()),
            joined_us: joined.map(|joined| joined.at_us),
            left_us: self.left_us(),
            retiring: self.waits_for().filter(|_| self.left.is_none()),
            slots: joined.map_or(0, |joined| joined.slots),
            budget: joined.map_or(0, |joined| joined.budget_bytes),
            memory: status.memory_bytes,
            spilled: status.spilled_bytes,
            transit: status.transit_bytes,
            resident: status.resident_bytes,
            running,
            queued,
            fetched: self.reports[0].map_or(0, |(_, status)| status.fetched_bytes_total),
            fetch_rate: self.fetch_rate(),
            cpu: if status.cpu_percent.is_finite() {
                status.cpu_percent.round()
            } else {
                0.0
            },
            status_us: self.reports[0].map(|(at_us, _)| at_us),
            done: self.done,
        }
    }
}

fn saturated(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
