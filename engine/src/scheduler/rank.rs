//! Workers by how much they have at hand, so that the idlest is found without looking at all of them.

use graticule_plan::WorkerId;

use super::{
    Scheduler,
    record::{LayerRecord, WorkerRecord},
};
use crate::RUN_BLOCKS_MAX;

/// Work that a worker has at hand beyond what it runs, so that it never waits for the next lease.
const QUEUE_US: u64 = 50_000;
/// Tasks longer than this are leased one by one as slots fall free, so that a worker that joins gets some.
const LONG_TASK_US: u64 = 500_000;
/// The most tasks a worker has at hand for each of its slots: enough of the smallest that it works on while its reports
/// and the next lease are under way.
const QUEUE_TASKS_PER_SLOT_MAX: u64 = 512;

/// Work for each of a worker's slots up to which neighbours go to it together though others have less at hand: so
/// little that nobody waits for it.
const TOGETHER_US: u64 = 2_000;

/// Workers that take tasks, by level: the tasks at hand for each slot, rounded down.
#[derive(Debug, Default)]
pub(super) struct Ranks {
    levels: Vec<Vec<WorkerId>>,
    /// No level below this one has a worker.
    lowest: usize,
}

/// Where a worker stands in its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rank {
    pub(super) level: usize,
    place: usize,
}

impl Scheduler {
    /// Puts a worker where it belongs, after what it has at hand has changed.
    pub(super) fn rank(&mut self, worker: WorkerId) {
        let Some(record) = self.workers.get(&worker) else {
            return;
        };
        let level = record.level();
        if level != record.rank.map(|rank| rank.level) {
            self.unrank(worker);
            if let Some(level) = level {
                let levels = &mut self.ranks.levels;
                if levels.len() <= level {
                    levels.resize_with(level + 1, Vec::new);
                }
                let place = levels[level].len();
                levels[level].push(worker);
                self.ranks.lowest = self.ranks.lowest.min(level);
                self.worker_mut(worker).rank = Some(Rank { level, place });
            }
        }
    }

    /// Ranks the workers that have less at hand than before. Their reports come in batches, so it waits until somebody
    /// asks.
    pub(super) fn rank_changed(&mut self) {
        while let Some(worker) = self.changed.pop() {
            if let Some(record) = self.workers.get_mut(&worker) {
                record.rank_changed = false;
            }
            self.rank(worker);
        }
    }

    /// Takes a worker out of the ranks.
    pub(super) fn unrank(&mut self, worker: WorkerId) {
        let Some(rank) = self.worker_mut(worker).rank.take() else {
            return;
        };
        let level = &mut self.ranks.levels[rank.level];
        level.swap_remove(rank.place);
        if let Some(&moved) = level.get(rank.place) {
            self.worker_mut(moved).rank = Some(rank);
        }
        let Ranks { levels, lowest } = &mut self.ranks;
        while levels.get(*lowest).is_some_and(Vec::is_empty) {
            *lowest += 1;
        }
    }

    /// The worker with the fewest tasks at hand that has room for one of about `task_us`; of equals the one that got
    /// the previous task, so that neighbours stay together.
    pub(super) fn idlest(&self, task_us: u64) -> Option<WorkerId> {
        let level = self.ranks.lowest;
        let takes_it = level == 0 || task_us <= LONG_TASK_US;
        if !takes_it || level >= self.ranks.levels.len() {
            return None;
        }
        let previous = self.last_placed.filter(|previous| {
            let rank = self.workers.get(previous).and_then(|worker| worker.rank);
            rank.is_some_and(|rank| rank.level == level)
        });
        previous.or_else(|| self.ranks.levels[level].first().copied())
    }

    fn worker_mut(&mut self, worker: WorkerId) -> &mut WorkerRecord {
        self.workers
            .get_mut(&worker)
            .expect("ranked workers are connected")
    }
}

impl LayerRecord {
    /// How many neighbouring tasks are little work for so many slots, at least one: one before any is measured.
    pub(super) fn goes_together(&self, slots: u64) -> u64 {
        if !self.measured.is_known() {
            return 1;
        }
        let each_us = self.measured.load_us(self.spec.layer.cost_ns);
        (TOGETHER_US * slots / each_us).clamp(1, RUN_BLOCKS_MAX)
    }
}

impl WorkerRecord {
    /// Whether a task of about `task_us` may be added to what the worker has at hand.
    pub(super) fn has_room(&self, task_us: u64) -> bool {
        self.level()
            .is_some_and(|level| task_us <= LONG_TASK_US || level == 0)
    }

    /// How many tasks of a layer may be added one by one, if one may.
    pub(super) fn room_for(&self, layer: &LayerRecord) -> u64 {
        let (slots, at_hand) = (u64::from(self.slots), self.leased_count);
        let guess_ns = layer.spec.layer.cost_ns;
        if layer.measured.mean_us(guess_ns) > LONG_TASK_US {
            return 1;
        }
        let by_level = (2 * slots).saturating_sub(at_hand);
        let by_load = (slots * QUEUE_US).saturating_sub(self.load_us);
        let by_load = by_load.div_ceil(layer.measured.load_us(guess_ns));
        let most = (slots * QUEUE_TASKS_PER_SLOT_MAX).saturating_sub(at_hand);
        by_level.max(by_load).min(most)
    }

    /// How many neighbours of a layer are little work for the worker's slots.
    pub(super) fn goes_together(&self, layer: &LayerRecord) -> u64 {
        layer.goes_together(u64::from(self.slots))
    }

    /// Tasks at hand for each slot, rounded down; `None` if it takes no more.
    fn level(&self) -> Option<usize> {
        let (slots, at_hand) = (u64::from(self.slots), self.leased_count);
        let level = at_hand / slots;
        let is_full = level >= QUEUE_TASKS_PER_SLOT_MAX || (level >= 2 && self.load_us >= slots * QUEUE_US);
        let takes_none = self.retiring || self.isolated || is_full;
        (!takes_none).then_some(level as usize)
    }
}
