//! How workers came and went, and why: for the pages of one worker and of scaling.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Serialize;

use super::{
    Aggregator,
    frame::{RowKey, WorkerState},
    roster::by_name,
    scaling::Start,
    workers::WorkerTable,
};
use crate::ScaleDecision;

/// Workers whose lives are told, those that are there first, then the latest.
pub const LIFE_COUNT_MAX: usize = 256;

/// Steps of the number of workers that are told.
pub const WORKER_STEP_COUNT_MAX: usize = 512;

/// A decision is the cause of what happens within this time after it.
const CAUSE_US_MAX: u64 = 5_000_000;

/// How a worker stands at the end of what is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LifeState {
    /// It is started and has not joined.
    Starting,
    /// It is there.
    Ready,
    /// It is about to leave.
    Retiring,
    /// It left in order.
    Retired,
    /// It was lost.
    Lost,
    /// It ended before it joined.
    Failed,
}

/// A worker from when it was wanted until it was gone. A time is absent if it has not come or was not told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkerLife {
    /// The key of its row; `None` if it never joined.
    pub k: Option<RowKey>,
    /// Its name for people.
    pub name: Arc<str>,
    /// How it stands.
    pub state: LifeState,
    /// When it was decided that it shall be there.
    pub wanted_us: Option<u64>,
    /// When it was started.
    pub starting_us: Option<u64>,
    /// When it joined.
    pub joined_us: Option<u64>,
    /// Since when it is, or was, about to leave.
    pub retiring_us: Option<u64>,
    /// When it was gone.
    pub ended_us: Option<u64>,
    /// What it waits for, or why it is gone.
    pub why: Option<Arc<str>>,
}

/// A decision on the number of workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DecisionRow {
    /// When.
    pub at_us: u64,
    /// What was decided.
    #[serde(flatten)]
    pub decision: ScaleDecision,
}

/// How the number of workers followed what was wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScalingStory {
    /// When it was so.
    pub now_us: u64,
    /// Decisions that did something or wanted another number, oldest first.
    pub decisions: Vec<DecisionRow>,
    /// The latest decision, whether it did something or not.
    pub latest: Option<DecisionRow>,
    /// In the order in which they began.
    pub lives: Vec<WorkerLife>,
    /// Workers that are known and not among the lives.
    pub left_out: u64,
    /// When the number of workers that are there changed, and what it was then.
    pub counts: Vec<(u64, u64)>,
}

/// What happened in a worker's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LifeEventKind {
    /// It was decided that a worker more shall be there.
    Wanted,
    /// It was started.
    Starting,
    /// It joined.
    Joined,
    /// It was decided that it leaves, and it waits for something.
    Retiring,
    /// It stays after all.
    Stays,
    /// It left in order.
    Retired,
    /// It was lost.
    Lost,
}

/// One event, and its reason if there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LifeEvent {
    /// When.
    pub at_us: u64,
    /// What.
    pub kind: LifeEventKind,
    /// What it waits for, or what was seen.
    pub text: Option<Arc<str>>,
    /// The reason of the decision that it follows from.
    pub reason: Option<Arc<str>>,
}

impl DecisionRow {
    fn of(at_us: u64, decision: &ScaleDecision) -> Self {
        let decision = decision.clone();
        Self { at_us, decision }
    }
}

impl Aggregator {
    /// How the number of workers followed what was wanted.
    pub fn scaling_story(&self, now_us: u64) -> ScalingStory {
        let mut lives: Vec<WorkerLife> = self.workers.values().map(|table| self.life(table)).collect();
        let names: BTreeSet<Arc<str>> = lives.iter().map(|life| life.name.clone()).collect();
        let unborn = self.scaling.starts().filter(|(name, _)| !names.contains(*name));
        lives.extend(unborn.map(|(name, start)| self.unborn(name, start)));
        let left_out = lives.len().saturating_sub(LIFE_COUNT_MAX) as u64;
        lives.sort_by_key(|life| (life.ended_us.map(std::cmp::Reverse), life.k));
        lives.truncate(LIFE_COUNT_MAX);
        lives.sort_by(|one, other| {
            let began = one.began_us().cmp(&other.began_us());
            began.then_with(|| by_name(&one.name, &other.name))
        });
        let decisions = self.scaling.decisions();
        ScalingStory {
            now_us,
            decisions: decisions.map(|(at_us, it)| DecisionRow::of(at_us, it)).collect(),
            latest: self
                .scaling
                .latest()
                .map(|(at_us, it)| DecisionRow::of(*at_us, it)),
            lives,
            left_out,
            counts: self.worker_counts(),
        }
    }

    fn life(&self, table: &WorkerTable) -> WorkerLife {
        let name = table.name();
        let starting_us = self.start_before(&name, table.joined_us());
        let (state, left_us, message) = table.standing();
        let waits_for = table.waits_for();
        let state = match state {
            WorkerState::Ready if waits_for.is_some() => LifeState::Retiring,
            WorkerState::Ready => LifeState::Ready,
            WorkerState::Retired => LifeState::Retired,
            WorkerState::Lost => LifeState::Lost,
        };
        WorkerLife {
            k: Some(table.key),
            state,
            wanted_us: starting_us
                .and_then(|at_us| self.cause(at_us, |it| it.start > 0))
                .map(|it| it.0),
            starting_us,
            joined_us: table.joined_us(),
            retiring_us: table.retiring_us(),
            ended_us: left_us,
            why: if left_us.is_some() { message } else { waits_for },
            name,
        }
    }

    /// A worker that was started and has not joined.
    fn unborn(&self, name: &Arc<str>, start: &Start) -> WorkerLife {
        let wanted = start.at_us.and_then(|at_us| self.cause(at_us, |it| it.start > 0));
        let (ended_us, why) = start.failed.clone().unzip();
        WorkerLife {
            k: None,
            name: name.clone(),
            state: if ended_us.is_some() {
                LifeState::Failed
            } else {
                LifeState::Starting
            },
            wanted_us: wanted.map(|it| it.0),
            starting_us: start.at_us,
            joined_us: None,
            retiring_us: None,
            ended_us,
            why,
        }
    }

    /// When a worker of this name was started, if that was before it joined.
    fn start_before(&self, name: &str, joined_us: Option<u64>) -> Option<u64> {
        let started_us = self.scaling.started_us(name)?;
        joined_us
            .is_none_or(|at_us| started_us <= at_us)
            .then_some(started_us)
    }

    /// The latest decision of its kind that `at_us` can follow from, and when it was.
    fn cause(&self, at_us: u64, is_of_kind: impl Fn(&ScaleDecision) -> bool) -> Option<(u64, Arc<str>)> {
        let before = self
            .scaling
            .decisions()
            .take_while(|(decided_us, _)| *decided_us <= at_us);
        let (decided_us, it) = before.filter(|(_, it)| is_of_kind(it)).last()?;
        (at_us - decided_us <= CAUSE_US_MAX).then(|| (decided_us, it.reason.clone()))
    }

    /// When the number of workers that are there changed, and what it was then.
    fn worker_counts(&self) -> Vec<(u64, u64)> {
        let mut changes: BTreeMap<u64, i64> = BTreeMap::new();
        for table in self.workers.values() {
            let Some(joined_us) = table.joined_us() else {
                continue;
            };
            *changes.entry(joined_us).or_default() += 1;
            if let Some(left_us) = table.left_us() {
                *changes.entry(left_us.max(joined_us)).or_default() -= 1;
            }
        }
        let steps = changes.into_iter().scan(0i64, |count, (at_us, change)| {
            *count += change;
            Some((at_us, count.unsigned_abs()))
        });
        let steps: Vec<_> = steps.collect();
        let stride = steps.len().div_ceil(WORKER_STEP_COUNT_MAX).max(1);
        // The last of each stride, so that the latest number is right.
        steps
            .rchunks(stride)
            .rev()
            .filter_map(|it| it.last().copied())
            .collect()
    }

    /// What happened to a worker, oldest first.
    pub(super) fn life_events(&self, table: &WorkerTable) -> Vec<LifeEvent> {
        let life = self.life(table);
        let event = |at_us, kind, text, reason| LifeEvent {
            at_us,
            kind,
            text,
            reason,
        };
        let mut events = Vec::new();
        let wanted = life
            .starting_us
            .and_then(|at_us| self.cause(at_us, |it| it.start > 0));
        if let Some((at_us, reason)) = wanted {
            events.push(event(at_us, LifeEventKind::Wanted, None, Some(reason)));
        }
        events.extend(
            life.starting_us
                .map(|at_us| event(at_us, LifeEventKind::Starting, None, None)),
        );
        events.extend(
            life.joined_us
                .map(|at_us| event(at_us, LifeEventKind::Joined, None, None)),
        );
        let mut was_retiring = false;
        for (at_us, waits_for) in table.retire_events() {
            let cause =
                |is_of_kind: &dyn Fn(&ScaleDecision) -> bool| self.cause(at_us, is_of_kind).map(|it| it.1);
            match waits_for {
                // Later ones of a row only say how far it is.
                Some(text) => {
                    let reason = if was_retiring {
                        None
                    } else {
                        cause(&|it| it.retire > 0)
                    };
                    events.push(event(at_us, LifeEventKind::Retiring, Some(text.clone()), reason));
                }
                None => events.push(event(at_us, LifeEventKind::Stays, None, cause(&|it| it.stay > 0))),
            }
            was_retiring = waits_for.is_some();
        }
        if let Some(at_us) = life.ended_us {
            let kind = match life.state {
                LifeState::Lost => LifeEventKind::Lost,
                _ => LifeEventKind::Retired,
            };
            events.push(event(at_us, kind, life.why, None));
        }
        events.sort_by_key(|event| event.at_us);
        events
    }
}

impl WorkerLife {
    /// The earliest that is told of it.
    fn began_us(&self) -> Option<u64> {
        self.wanted_us
            .or(self.starting_us)
            .or(self.joined_us)
            .or(self.ended_us)
    }
}
