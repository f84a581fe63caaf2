//! What the scheduler knows of jobs, layers, tasks, chunks and workers.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque, binary_heap::PeekMut},
    sync::Arc,
};

use graticule_plan::{BlockMap, JobId, Key, LayerId, Plan, TaskId, Turns, WorkerId};

use super::{
    ClientId,
    apart::Apart,
    demand::Cursor,
    ledger::Ledger,
    rank::Rank,
    table::{BlockSet, BlockTable},
};
use crate::{
    BlockRun, LayerSpec, Peer, RUN_BLOCKS_MAX, SessionId, Time, WorkerStatus,
    edges::{NOTHING, SCHEDULER_TASK},
    table_uses::TableUses,
};

/// A job, from submission until nothing of it is kept or needed any more.
#[derive(Debug)]
pub(super) struct JobRecord {
    pub(super) client: ClientId,
    pub(super) name: Arc<str>,
    pub(super) plan: Arc<Plan>,
    pub(super) layers: Vec<LayerRecord>,
    pub(super) state: JobState,
    /// The job is of an earlier run, and its client has not said yet what it has: nothing is demanded.
    pub(super) client_is_away: bool,
    pub(super) cursor: Cursor,
    /// The order in which its outputs are demanded.
    pub(super) turns: Turns,
    /// Output chunks that are not yet kept or delivered.
    pub(super) outputs_left: u64,
    /// Jobs of higher priority have their turn first.
    pub(super) priority: i32,
    pub(super) problems: BTreeSet<Arc<str>>,
    /// How often the client could not fetch a chunk, for those where it happened.
    pub(super) delivery_failures: BTreeMap<(LayerId, u64), u32>,
    /// Ready tasks, the next one on top; some may be so no more (see [`TaskState::Ready`]).
    pub(super) ready: ReadyQueue,
    pub(super) ledger: Ledger,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobState {
    /// Outputs are missing.
    Running,
    /// All outputs were there once. The plan stays as the lineage of what is kept.
    Finished,
    /// Nobody wants its outputs. The plan stays as the lineage of what other jobs take from it.
    Abandoned,
}

/// Neighbouring tasks, demanded together, in the order in which a job runs those that are ready: priority, then demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReadyRun {
    pub(super) priority: Reverse<i32>,
    pub(super) order: u64,
    pub(super) layer: LayerId,
    /// The first block, and how many there are.
    pub(super) block: u64,
    pub(super) count: u64,
}

impl ReadyRun {
    /// Leaves the first tasks out.
    fn shorten(&mut self, count: u64) {
        self.block += count;
        self.count -= count;
    }
}

/// Ready tasks, the best first. What comes in order, as most does, waits in line; the rest in a heap.
#[derive(Debug, Default)]
pub(super) struct ReadyQueue {
    line: VecDeque<ReadyRun>,
    heap: BinaryHeap<Reverse<ReadyRun>>,
}

impl ReadyQueue {
    pub(super) fn push(&mut self, task: ReadyRun) {
        if self.line.back().is_none_or(|last| *last <= task) {
            self.line.push_back(task);
        } else {
            self.heap.push(Reverse(task));
        }
    }

    pub(super) fn peek(&self) -> Option<ReadyRun> {
        let first = self.line.front().copied();
        let best = self.heap.peek().map(|Reverse(task)| *task);
        first.into_iter().chain(best).min()
    }

    /// Takes the first tasks off the best run.
    pub(super) fn take(&mut self, count: u64) {
        let from_heap = match (self.line.front(), self.heap.peek()) {
            (Some(first), Some(Reverse(best))) => best < first,
            (first, _) => first.is_none(),
        };
        if from_heap {
            let Some(mut best) = self.heap.peek_mut() else {
                return;
            };
            if best.0.count > count {
                best.0.shorten(count);
            } else {
                PeekMut::pop(best);
            }
        } else if let Some(first) = self.line.front_mut() {
            if first.count > count {
                first.shorten(count);
            } else {
                self.line.pop_front();
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.line.is_empty() && self.heap.is_empty()
    }

    /// Takes the tasks of a layer out.
    pub(super) fn forget_layer(&mut self, layer: LayerId) {
        self.line.retain(|task| task.layer != layer);
        self.heap.retain(|Reverse(task)| task.layer != layer);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = ReadyRun> {
        let heap = self.heap.iter().map(|Reverse(task)| *task);
        self.line.iter().copied().chain(heap)
    }
}

#[derive(Debug)]
pub(super) struct LayerRecord {
    pub(super) spec: Arc<LayerSpec>,
    /// The most bytes that one of its tasks has in hand.
    pub(super) task_bytes_max: u64,
    /// Bytes of every result, if they are equal.
    pub(super) uniform_bytes: Option<u64>,
    pub(super) inputs: Vec<InputRecord>,
    pub(super) consumers: Vec<Consumer>,
    pub(super) tasks: BlockTable<TaskRecord>,
    /// Its ready tasks, if not every worker may run them; else they stand in their job's queue.
    pub(super) choosy_ready: ReadyQueue,
    pub(super) chunks: BlockTable<ChunkRecord>,
    /// Tasks that need their inputs no more. In a job that is over these are all but the live ones.
    pub(super) finished: BlockSet,
    /// Chunks that were let go although tasks wait with them: those ask for them when they have all else.
    pub(super) let_go: BlockSet,
    /// The names under which clients keep the layer's chunks.
    pub(super) pins: BTreeSet<Key>,
    /// Of a layer whose blocks stand for themselves what has become of them.
    pub(super) apart: Option<Box<Apart>>,
    /// Not every worker can call its function.
    pub(super) is_rare: bool,
    /// Nobody knows how large its results are: see `sizes`.
    pub(super) is_untried: bool,
    /// The blocks that the client has; `None` if it wants none.
    pub(super) delivered: Option<BlockSet>,
    /// The latest attempt of tasks that had more than one, or must run again, or were taken back from a worker: its
    /// report of that attempt may still come.
    pub(super) attempts: BlockTable<u32>,
    pub(super) measured: Measured,
    /// Tasks that workers have.
    pub(super) leased_count: u64,
    pub(super) failed_count: u64,
    pub(super) reset_count: u64,
}

impl Consumer {
    /// The tasks that need neighbouring chunks, with how many of these each needs.
    pub(super) fn dependents_of(
        &self,
        chunks: BlockRun,
        fan_in: u64,
    ) -> impl Iterator<Item = (BlockRun, u64)> + use<> {
        let (job, layer) = (self.job, self.layer);
        let (mut at, end) = (chunks.first, chunks.end());
        std::iter::from_fn(move || {
            let first = at / fan_in;
            let whole = if at.is_multiple_of(fan_in) {
                (end - at) / fan_in
            } else {
                0
            };
            let (count, times) = match whole.min(RUN_BLOCKS_MAX - first % RUN_BLOCKS_MAX) {
                _ if at == end => return None,
                0 => (1, (end - at).min(fan_in - at % fan_in)),
                whole => (whole, fan_in),
            };
            at += count * times;
            let tasks = BlockRun {
                job,
                layer,
                first,
                count,
            };
            Some((tasks, times))
        })
    }
}

#[derive(Debug, Clone)]
pub(super) struct InputRecord {
    pub(super) job: JobId,
    pub(super) layer: LayerId,
    pub(super) map: Arc<BlockMap>,
}

impl InputRecord {
    /// The chunks that neighbouring tasks need, if the input has a fan-in: neighbours too, page by page.
    pub(super) fn sources_of(&self, tasks: BlockRun) -> impl Iterator<Item = BlockRun> + use<> {
        let fan_in = self.map.fan_in().expect("tasks that go together");
        let end = (tasks.end() * fan_in).min(self.map.source_grid().block_count());
        let (job, layer) = (self.job, self.layer);
        pages(tasks.first * fan_in, end).map(move |(first, count)| BlockRun {
            job,
            layer,
            first,
            count,
        })
    }
}

/// The parts of a range of blocks by the pages in which they lie: first blocks and counts.
pub(super) fn pages(first: u64, end: u64) -> impl Iterator<Item = (u64, u64)> {
    let mut at = first;
    std::iter::from_fn(move || {
        let count = end.saturating_sub(at).min(RUN_BLOCKS_MAX - at % RUN_BLOCKS_MAX);
        let part = (count > 0).then_some((at, count));
        at += count;
        part
    })
}

/// A layer that reads this one, through one of its inputs.
#[derive(Debug, Clone)]
pub(super) struct Consumer {
    pub(super) job: JobId,
    pub(super) layer: LayerId,
    pub(super) map: Arc<BlockMap>,
}

/// A task that is demanded and not finished.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TaskRecord {
    pub(super) state: TaskState,
    pub(super) order: u64,
    /// Leases so far.
    pub(super) attempt: u32,
    /// Failures that count against the layer's retries.
    pub(super) failures: u32,
    /// Workers that vanished while they had it, and did not come back.
    pub(super) losses: u16,
    /// Times that its inputs were not where they were thought to be.
    pub(super) misses: u16,
    /// What its lease added to its worker's load.
    pub(super) load_us: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum TaskState {
    /// So many of its inputs are not there.
    Waiting { missing: u64 },
    /// Could run, and stands in its job's queue with its order.
    #[default]
    Ready,
    /// A worker has it.
    Leased { worker: WorkerId },
}

/// A chunk that some worker holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ChunkRecord {
    pub(super) holders: Holders,
    pub(super) bytes: u64,
    /// Unfinished tasks that need it, once for each input.
    pub(super) needed: u64,
}

/// The workers that hold a chunk: nearly always one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Holders {
    first: Option<WorkerNumber>,
    /// Boxed twice, since it is there so seldom and every chunk pays for its size.
    #[allow(clippy::box_collection)]
    others: Option<Box<Vec<WorkerId>>>,
}

/// A worker's id, which is never 0.
type WorkerNumber = std::num::NonZeroU64;

impl Holders {
    pub(super) fn one(worker: WorkerId) -> Self {
        let mut holders = Self::default();
        holders.push(worker);
        holders
    }

    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = WorkerId> {
        let first = self.first.map(|number| WorkerId(number.get()));
        let others = self.others.iter().flat_map(|others| others.iter().copied());
        first.into_iter().chain(others)
    }

    #[inline]
    pub(super) fn contains(&self, worker: WorkerId) -> bool {
        self.iter().any(|holder| holder == worker)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether nobody but this worker holds the chunk.
    pub(super) fn are_only(&self, worker: WorkerId) -> bool {
        self.others.is_none() && self.contains(worker)
    }

    /// Adds a worker that is not among them.
    pub(super) fn push(&mut self, worker: WorkerId) {
        if self.first.is_none() {
            self.first = WorkerNumber::new(worker.0);
            debug_assert!(self.first.is_some(), "workers are numbered from 1");
        } else {
            self.others.get_or_insert_default().push(worker);
        }
    }

    /// Returns whether the worker was among them.
    pub(super) fn remove(&mut self, worker: WorkerId) -> bool {
        let mut left: Vec<WorkerId> = self.iter().collect();
        let Some(at) = left.iter().position(|&holder| holder == worker) else {
            return false;
        };
        left.remove(at);
        *self = Self::default();
        left.into_iter().for_each(|worker| self.push(worker));
        true
    }
}

#[derive(Debug)]
pub(super) struct WorkerRecord {
    pub(super) session: SessionId,
    pub(super) peer: Peer,
    pub(super) name: Arc<str>,
    pub(super) slots: u32,
    /// Countable things: how many it has, and how many of them are free.
    pub(super) resources: BTreeMap<Arc<str>, (u32, u32)>,
    /// The functions that it can call.
    pub(super) functions: BTreeSet<Arc<str>>,
    pub(super) budget_bytes: u64,
    pub(super) last_seen: Time,
    pub(super) joined: Time,
    pub(super) status: WorkerStatus,
    /// Tasks that it has.
    pub(super) leased_count: u64,
    /// What those are thought to take, added up.
    pub(super) load_us: u64,
    /// Chunks that it holds.
    pub(super) held_count: u64,
    /// Tasks that it said it computes.
    pub(super) computing: Vec<TaskId>,
    /// How its process ended, if whoever started it has said so.
    pub(super) how: Option<Arc<str>>,
    pub(super) layers: BTreeSet<(JobId, LayerId)>,
    pub(super) tables: TableUses,
    /// Where it stands among those that take tasks.
    pub(super) rank: Option<Rank>,
    /// It is listed among those that must be ranked anew.
    pub(super) rank_changed: bool,
    pub(super) retiring: bool,
    /// It has one task that is to run alone and gets nothing beside it, or gets nothing more until it is empty for one.
    pub(super) isolated: bool,
}

/// Mean durations of a layer's tasks; before any is measured, the plan's guess.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Measured {
    count: u64,
    total_us: u64,
}

impl Measured {
    /// What a task is counted as that no other of its layer was measured before: so few of them are at hand that a
    /// wrong guess does little harm.
    const UNKNOWN_US: u64 = 800;

    /// Adds what so many tasks took together.
    pub(super) fn add(&mut self, count: u64, us: u64) {
        self.count += count;
        self.total_us = self.total_us.saturating_add(us);
    }

    /// Whether any task was measured.
    pub(super) fn is_known(&self) -> bool {
        self.count > 0
    }

    pub(super) fn mean_us(&self, guess_ns: u64) -> u64 {
        self.total_us
            .checked_div(self.count)
            .unwrap_or(guess_ns / 1000)
            .max(1)
    }

    /// What a task adds to its worker's load.
    pub(super) fn load_us(&self, guess_ns: u64) -> u64 {
        let least = if self.count == 0 { Self::UNKNOWN_US } else { 0 };
        self.mean_us(guess_ns).max(least)
    }
}

impl TaskState {
    fn name(&self) -> &'static str {
        match self {
            TaskState::Waiting { .. } => "Waiting",
            TaskState::Ready => "Ready",
            TaskState::Leased { .. } => "Leased",
        }
    }
}

impl TaskRecord {
    /// A task that is demanded, and waits for `missing` inputs.
    pub(super) fn demanded(missing: u64, order: u64, attempt: u32) -> Self {
        let state = TaskState::Waiting { missing };
        SCHEDULER_TASK.pass(NOTHING, state.name());
        Self {
            state,
            order,
            attempt,
            ..Self::default()
        }
    }

    /// Goes on to another state.
    pub(super) fn pass_to(&mut self, state: TaskState) {
        SCHEDULER_TASK.pass(self.state.name(), state.name());
        self.state = state;
    }

    /// Is finished, or not needed any more.
    pub(super) fn ends(self) {
        SCHEDULER_TASK.pass(self.state.name(), NOTHING);
    }
}

impl LayerRecord {
    /// The latest attempt of a task that was leased at least once.
    pub(super) fn latest_attempt(&self, block: u64) -> u32 {
        self.attempts.get(block).copied().unwrap_or(1)
    }

    /// Whether neighbouring tasks of the layer may be demanded and leased together: each needs its own neighbours of
    /// one other layer at most, and any worker may run them.
    pub(super) fn goes_in_runs(&self) -> bool {
        let is_simple = match self.inputs.as_slice() {
            [] => true,
            [input] => input.map.fan_in().is_some(),
            _ => false,
        };
        is_simple && !self.is_choosy() && self.apart.is_none()
    }

    /// How many neighbours from `block` on, at most `max`, a client keeps or awaits, or all not; and which.
    pub(super) fn wanted_run_at(&self, block: u64, max: u64) -> (u64, bool) {
        if self.apart.is_some() {
            return (1, self.is_wanted_output(block));
        }
        match &self.delivered {
            _ if !self.pins.is_empty() => (max.min(64 - block % 64), true),
            None => (max.min(64 - block % 64), false),
            Some(delivered) => {
                let (count, is_delivered) = delivered.run_at(block, max);
                (count, !is_delivered)
            }
        }
    }

    pub(super) fn tasks_in_all(&self) -> u64 {
        self.spec.layer.grid.block_count()
    }

    /// Whether a client keeps or awaits block `block`, whatever tasks need it.
    pub(super) fn is_wanted_output(&self, block: u64) -> bool {
        self.pin_count(block) > 0 || self.awaits_delivery(block)
    }

    /// Whether a client is told when block `block` is there.
    pub(super) fn is_told(&self, block: u64) -> bool {
        self.awaits_delivery(block) || (self.apart.is_some() && self.pin_count(block) > 0)
    }

    /// Bytes of the chunks that some of its tasks make, together.
    pub(super) fn output_bytes(&self, tasks: BlockRun) -> u128 {
        let exact = |task: TaskId| u128::from(self.spec.layer.output_bytes(task.block));
        match self.uniform_bytes {
            Some(bytes) => u128::from(bytes) * u128::from(tasks.count),
            None => tasks.each().map(exact).sum(),
        }
    }

    /// How many of neighbours a client is still to fetch.
    pub(super) fn awaited_count(&self, chunks: BlockRun) -> u64 {
        let Some(delivered) = &self.delivered else {
            return 0;
        };
        chunks
            .each()
            .filter(|chunk| !delivered.contains(chunk.block))
            .count() as u64
    }

    /// Whether a client is still to fetch block `block`.
    pub(super) fn awaits_delivery(&self, block: u64) -> bool {
        self.delivered.as_ref().is_some_and(|d| !d.contains(block))
    }

    /// Whether a client keeps or awaits anything of the layer.
    pub(super) fn is_output(&self) -> bool {
        !self.pins.is_empty() || self.delivered.is_some()
    }
}
