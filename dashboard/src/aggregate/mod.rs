//! Records in, tables out. Pure: no clock, no thread, no socket.
//!
//! Records may come in any order, twice, or not at all. What is known of a task is therefore a set that only
//! grows (see `tasks.rs`), and all counts are computed from such sets; so two aggregators that were told the
//! same records, however shuffled, show the same tables.

mod account;
mod active;
mod activity;
mod array;
mod block;
mod cells;
mod disks;
mod edges;
mod explained;
mod exposition;
mod filmed;
mod finding_rules;
mod findings;
mod forget;
mod frame;
mod held;
mod history;
mod jobs;
mod lines;
mod lives;
mod loads;
mod log;
mod memory;
mod meters;
mod outline;
mod publish;
mod rate;
mod reports;
mod roster;
mod scale;
mod scaling;
mod shares;
mod spread;
mod stream;
mod tasks;
mod tiles;
mod timeline;
mod traffic;
mod watch;
mod worker_story;
mod workers;

#[cfg(test)]
mod array_tests;
#[cfg(test)]
mod disk_tests;
#[cfg(test)]
mod finding_tests;
#[cfg(test)]
mod line_tests;
#[cfg(test)]
mod story_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod traffic_tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use graticule_plan::{JobId, LayerId, TaskId, WorkerId};

pub(crate) use self::{
    account::ACCOUNT_BUCKET_US,
    cells::{take_varint, varint},
    filmed::{BlockRuns, FilmLines},
    log::{unzigzag, zigzag},
    reports::Reports,
};
use self::{
    account::Account,
    active::{Active, ActiveTasks},
    forget::Forgotten,
    held::OperationHistory,
    jobs::{JobTable, rounded},
    lines::LineRing,
    log::TaskLog,
    meters::Meters,
    rate::EndCounts,
    scaling::Scaling,
    shares::Shares,
    stream::TaskStream,
    tasks::Mark,
    tiles::TileCache,
    traffic::Traffic,
    workers::WorkerTable,
};
pub use self::{
    account::{ACCOUNT_BUCKET_COUNT_MAX, Accounts, SlotUse, USE_NAMES},
    activity::Activity,
    array::{ArrayPublisher, CELL_COUNT_MAX},
    block::{BlockStory, LINK_BLOCK_COUNT_MAX, Link},
    cells::{CELL_AGAIN, CELL_BYTES, Cell, CellState, CellView, FLAG_FORGOTTEN},
    explained::EXPLANATION_LINE_COUNT_MAX,
    exposition::ServerFigures,
    findings::{FINDING_COUNT_MAX, Finding, FindingKind, Insights},
    frame::{
        Delta, FORMAT_VERSION, Failure, FrameError, FrameKind, Gone, Head, JobRow, JobState, LayerRow,
        RowKey, RunningTask, Snapshot, StreamTask, WorkerRow, WorkerState,
    },
    held::OPERATION_SERIES_COUNT_MAX,
    history::{HISTORY_BUCKET_COUNT, HISTORY_BUCKET_US},
    lines::{LINE_BYTES_MAX, LINE_COUNT_MAX, LINE_TEXT_BYTES_MAX, LINE_TOLD_MAX, LineQuery, LineRow, Lines},
    lives::{
        DecisionRow, LIFE_COUNT_MAX, LifeEvent, LifeEventKind, LifeState, ScalingStory,
        WORKER_STEP_COUNT_MAX, WorkerLife,
    },
    loads::LoadPoint,
    memory::{
        HOLDER_COUNT_MAX, Holder, HolderName, MEMORY_OPERATION_COUNT_MAX, MEMORY_WORKER_COUNT_MAX,
        MemoryStory, OperationMemory, WorkerMemory,
    },
    meters::METERED_OPERATION_COUNT_MAX,
    outline::{AxisOutline, InputOutline, LayerOutline, Outline},
    publish::{DELTA_BYTES_MAX, Publisher, SNAPSHOT_BYTES_MAX},
    rate::PULSE_SECONDS,
    roster::{Direction, ROSTER_ROW_COUNT_MAX, Roster, RosterOrder, WorkerSums},
    scaling::{DECISION_COUNT_MAX, START_COUNT_MAX},
    stream::{STREAM_SPAN_US, STREAM_TASK_COUNT_MAX},
    tiles::{TILE_BASE_US, TILE_BUCKET_COUNT, TILE_LEVEL_MAX},
    timeline::{TIMELINE_TASK_COUNT_MAX, TimelineHead, TimelineSums, TimelineTasks},
    traffic::{
        Communication, FLOW_COUNT_MAX, MOVE_SPAN_COUNT_MAX, MOVE_SPAN_TOLD_MAX, MoveClass, MoveSpan,
        MoveSums, MovedLayer, PAIR_COUNT_MAX, TimelineMoves,
    },
    worker_story::{HELD_OF_WORKER_MAX, HeldOfWorker, RUNNING_OF_WORKER_MAX, WorkerStory},
};
use crate::{LeaveReason, Record, disk::DiskMove};

/// Jobs that have rows; beyond that the ones that ended first are forgotten, and only then running ones.
pub const JOB_COUNT_MAX: usize = 32;

/// Layers of one job that have rows.
pub const LAYERS_OF_JOB_MAX: usize = 48;

/// Layers that have rows, of all jobs; those of the newest jobs come first.
pub const LAYER_COUNT_MAX: usize = 256;

/// Workers that are known; beyond that the ones that left first are forgotten.
pub const WORKER_COUNT_MAX: usize = 4_096;

/// Workers that have rows in what each page follows: those that are there, the earliest first, then those that left,
/// the latest first. The page of workers shows all, part by part.
pub const WORKER_ROW_COUNT_MAX: usize = 256;

/// Errors of tasks that are kept.
pub const FAILURE_COUNT_MAX: usize = 12;

/// Bytes of a name that are kept.
pub const NAME_BYTES_MAX: usize = 160;

/// Bytes of an error message that are kept.
pub const MESSAGE_BYTES_MAX: usize = 400;

/// The state of the cluster as the records tell it.
#[derive(Debug, Default)]
pub struct Aggregator {
    jobs: BTreeMap<JobId, JobTable>,
    workers: BTreeMap<WorkerId, WorkerTable>,
    active: ActiveTasks,
    failures: BTreeSet<FailureKey>,
    stream: TaskStream,
    /// Whether it is for a film: that has ended tasks on its timeline, not in the task stream, and knows of its jobs alone.
    is_film: bool,
    log: TaskLog,
    lines: LineRing,
    tiles: TileCache,
    ends: EndCounts,
    traffic: Traffic,
    account: Account,
    shares: Shares,
    scaling: Scaling,
    operations: OperationHistory,
    forgotten: Forgotten,
    meters: Meters,
    next_job_key: RowKey,
    next_layer_key: RowKey,
    next_worker_key: RowKey,
    record_count: u64,
    rejected_count: u64,
    /// What the latest report of a disk changed.
    disk_moves: Vec<DiskMove>,
}

/// Sorted by time, so that the oldest goes first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct FailureKey {
    at_us: u64,
    task: TaskId,
    attempt: u32,
    worker: WorkerId,
    message: Arc<str>,
}

impl Aggregator {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what happened at `at_us` microseconds after the cluster's start.
    pub fn apply(&mut self, at_us: u64, record: Record) {
        self.record_count += 1;
        let is_sound = match record {
            Record::JobStarted { job, name, layers } => {
                let is_known = self
                    .jobs
                    .get(&job)
                    .is_some_and(|table| table.started_us().is_some());
                let is_sound = self.with_job(job, |table, next_key| {
                    table.start(at_us, &name, &layers, next_key);
                });
                self.meters.jobs_started += u64::from(is_sound && !is_known);
                is_sound
            }
            Record::JobEnded {
                job,
                outcome,
                finished,
            } => {
                self.active.remove_job(job);
                self.job_ended(at_us, job, &outcome, finished)
            }
            Record::WorkerJoined {
                worker,
                name,
                address,
                slots,
                budget_bytes,
            } => {
                let mut is_new = false;
                let is_sound = self.with_worker(worker, |table| {
                    is_new = table.join(at_us, &name, &address, slots, budget_bytes);
                });
                self.meters.workers_joined += u64::from(is_new);
                is_sound
            }
            Record::WorkerLeft { worker, why } => {
                self.active.remove_worker(worker);
                let mut is_new = false;
                let is_sound = self.with_worker(worker, |table| is_new = table.leave(at_us, &why));
                self.disk_left(worker);
                let is_loss = matches!(why, LeaveReason::Lost { .. });
                self.meters.workers_lost += u64::from(is_new && is_loss);
                is_sound
            }
            Record::WorkerRetiring { worker, waits_for } => {
                self.with_worker(worker, |table| table.retires(at_us, Some(&waits_for)))
            }
            Record::WorkerStays { worker } => self.with_worker(worker, |table| table.retires(at_us, None)),
            Record::WorkerStarting { name } => {
                self.scaling.starting(at_us, &name);
                true
            }
            Record::WorkerStartFailed { name, why } => {
                self.scaling.start_failed(at_us, &name, &why);
                true
            }
            Record::ScaleDecided(decision) => {
                self.scaling.decide(at_us, decision);
                true
            }
            Record::TaskAssigned {
                task,
                worker,
                attempt,
            } => {
                let told = Active {
                    worker,
                    attempt,
                    since_us: at_us,
                    started: None,
                };
                self.task_active(task, told, Mark::Assigned)
            }
            Record::TaskStarted {
                task,
                worker,
                attempt,
                slot,
            } => {
                let told = Active {
                    worker,
                    attempt,
                    since_us: at_us,
                    started: Some((at_us, slot)),
                };
                self.task_active(task, told, Mark::Started)
            }
            Record::TaskFinished(finished) => self.task_finished(&finished),
            Record::TaskFailed {
                task,
                worker,
                attempt,
                message,
            } => self.task_failed(at_us, task, worker, attempt, &message),
            Record::TaskReset { task, attempt } => self.mark(task, Mark::Void, attempt).is_some(),
            Record::ChunksReleased {
                first,
                count,
                attempt,
            } => self.chunks_released(first, count, attempt),
            Record::WorkerStatus { worker, status } => {
                self.with_worker(worker, |table| table.report(at_us, status))
            }
            Record::Moved { worker, moves, lost } => self.moved(at_us, worker, &moves, lost),
            Record::Disk { worker, told } => self.disk_told(at_us, worker, &told),
            Record::Logged { source, lines, lost } => {
                self.lines.take(source, &lines, lost);
                true
            }
        };
        self.rejected_count += u64::from(!is_sound);
    }

    /// How many records were taken in.
    pub fn record_count(&self) -> u64 {
        self.record_count
    }

    fn with_job(&mut self, job: JobId, change: impl FnOnce(&mut JobTable, &mut RowKey)) -> bool {
        if self.forgotten.jobs.contains(&job) {
            return false;
        }
        if !self.jobs.contains_key(&job) {
            self.make_room_for_job();
        }
        let table = self.jobs.entry(job).or_insert_with(|| {
            self.next_job_key += 1;
            JobTable::new(job, self.next_job_key - 1)
        });
        change(table, &mut self.next_layer_key);
        true
    }

    fn with_worker(&mut self, worker: WorkerId, change: impl FnOnce(&mut WorkerTable)) -> bool {
        if self.forgotten.workers.contains(&worker) {
            return false;
        }
        if !self.workers.contains_key(&worker) {
            self.make_room_for_worker();
        }
        let table = self.workers.entry(worker).or_insert_with(|| {
            self.next_worker_key += 1;
            WorkerTable::new(worker, self.next_worker_key - 1)
        });
        change(table);
        true
    }

    /// The head of the page at `now_us`; `dropped` is the feed's count, `running` that of
    /// the tasks that compute.
    fn head(&self, now_us: u64, dropped: u64, running: u64) -> Head {
        let (mut total, mut done) = (self.forgotten.total, self.forgotten.done);
        let (mut failed, mut recomputed) = (0, self.forgotten.recomputed);
        for table in self.jobs.values() {
            let (job_total, job_done) = table.totals();
            total += job_total;
            done += job_done;
            for layer in table.layers.values() {
                failed += layer.words.tally().failed;
                recomputed += layer.words.tally().recomputed;
            }
        }
        Head {
            now_us,
            total,
            done,
            running,
            failed,
            recomputed,
            rate: rounded(self.ends.rate(now_us)),
            pulse: self.ends.pulse(now_us),
            records: self.record_count,
            dropped,
            rejected: self.rejected_count,
            sampled: self.stream.left_out_count(),
            unshown: self.unshown_workers(),
        }
    }

    /// The workers that have rows in what each page follows; see [`WORKER_ROW_COUNT_MAX`].
    fn shown_workers(&self) -> Vec<WorkerId> {
        if self.workers.len() <= WORKER_ROW_COUNT_MAX {
            return self.workers.keys().copied().collect();
        }
        let mut order: Vec<_> = self.workers.iter().collect();
        order.sort_by_key(|(_, table)| (table.left_us().map(std::cmp::Reverse), table.key));
        order.truncate(WORKER_ROW_COUNT_MAX);
        order.into_iter().map(|(id, _)| *id).collect()
    }

    /// Sums over the workers that are there and have no rows.
    fn unshown_workers(&self) -> Option<WorkerSums> {
        if self.workers.len() <= WORKER_ROW_COUNT_MAX {
            return None;
        }
        let shown: BTreeSet<WorkerId> = self.shown_workers().into_iter().collect();
        let mut sums = WorkerSums::default();
        self.workers
            .iter()
            .filter(|(id, _)| !shown.contains(id))
            .for_each(|(_, table)| table.add_to(&mut sums));
        (sums.workers > 0).then_some(sums)
    }

    /// The job and layer that have a row of this key.
    fn layer_of_key(&self, key: RowKey) -> Option<(JobId, LayerId)> {
        self.jobs.iter().find_map(|(job, table)| {
            let layer = table.layers.iter().find(|(_, layer)| layer.key == key)?;
            Some((*job, *layer.0))
        })
    }

    fn layer_key(&self, task: TaskId) -> Option<RowKey> {
        Some(self.jobs.get(&task.job)?.layers.get(&task.layer)?.key)
    }

    fn failure_rows(&self) -> Vec<Failure> {
        self.failures
            .iter()
            .filter_map(|failure| {
                Some(Failure {
                    layer: self.layer_key(failure.task)?,
                    block: failure.task.block,
                    worker: self.workers.get(&failure.worker)?.key,
                    attempt: failure.attempt,
                    at_us: failure.at_us,
                    message: failure.message.clone(),
                })
            })
            .collect()
    }
}

/// A name, cut to [`NAME_BYTES_MAX`], without control characters.
fn clip(text: &str) -> Arc<str> {
    text[..text.floor_char_boundary(NAME_BYTES_MAX)]
        .replace(char::is_control, " ")
        .into()
}

/// An error message, cut to [`MESSAGE_BYTES_MAX`], its lines kept.
fn clip_message(text: &str) -> Arc<str> {
    let clipped = &text[..text.floor_char_boundary(MESSAGE_BYTES_MAX)];
    clipped.replace(|c: char| c.is_control() && c != '\n', " ").into()
}
