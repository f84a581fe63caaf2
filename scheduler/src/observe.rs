//! What the engine lets watchers see, for the log and for the dashboard.

use std::sync::Arc;

use graticule_dashboard::{
    ChunkRun, DiskChecked, DiskTold, JobOutcome, LayerInfo, LayerPlan, LeaveReason, LogSource, Moved,
    MovedKind, Record, TaskFinished, WorkerStatus,
};
use graticule_engine::{
    BlockRun, DiskReport, Move, MoveKind,
    scheduler::{LayerProgress, Observation},
};
use graticule_plan::{JobId, LayerId, Plan};
use tracing::{debug, info, warn};

use crate::lines::logged;

pub(crate) fn observe(observation: &Observation) {
    match observation {
        Observation::WorkerLeft { worker, why: None } => info!(%worker, "worker retired"),
        Observation::WorkerLeft {
            worker,
            why: Some(why),
        } => warn!(%worker, why, "worker lost"),
        Observation::WorkerRetiring(progress) => info!(
            worker = %progress.worker,
            tasks = progress.tasks_left,
            chunks = progress.chunks_left,
            "worker retires, and waits for {}",
            progress.waits_for
        ),
        Observation::WorkerReleased {
            worker,
            chunks_lost: 0,
        } => info!(%worker, "worker may leave: others hold what it held"),
        Observation::WorkerReleased { worker, chunks_lost } => {
            warn!(%worker, chunks_lost, "worker leaves with chunks that nobody else holds: its time is over");
        }
        Observation::WorkerStays { worker } => info!(%worker, "worker stays"),
        Observation::JobStarted { job, name, plan } => {
            info!(%job, %name, layers = plan.layers().len(), tasks = plan.task_count(), "job started");
        }
        Observation::JobEnded { job, outcome } => info!(%job, outcome, "job ended"),
        Observation::TaskFailed {
            task,
            worker,
            message,
            ..
        } => warn!(%task, %worker, %message, "task failed"),
        Observation::TaskReset {
            task, was_finished, ..
        } => debug!(%task, was_finished, "task must run again"),
        Observation::ChunkLetGo { task, .. } => debug!(%task, "chunk let go, to be made again when needed"),
        Observation::WorkerJoined { .. }
        | Observation::WorkerStatus { .. }
        | Observation::Moved { .. }
        | Observation::Disk { .. }
        | Observation::Logged { .. }
        | Observation::TasksLeased { .. }
        | Observation::TasksFinished { .. }
        | Observation::ChunksReleased { .. } => {}
    }
}

/// What the dashboard draws of a layer: neither its body nor its tables.
fn layer_plan(plan: &Plan, id: LayerId) -> LayerPlan {
    let layer = plan.layer(id);
    let outputs = || plan.outputs().iter().filter(|output| output.layer == id);
    LayerPlan {
        grid: layer.grid.clone(),
        item_bytes: layer.item_bytes,
        inputs: layer.inputs.clone(),
        keys: outputs().filter_map(|output| output.keep).collect(),
        is_output: outputs().next().is_some(),
    }
}

fn moved_row(now_us: u64, row: &Move) -> Moved {
    let kind = match row.what.kind {
        MoveKind::Peer(worker) => MovedKind::Peer(worker),
        MoveKind::Source => MovedKind::Source,
        MoveKind::Spill => MovedKind::Spill,
        MoveKind::ReadBack => MovedKind::ReadBack,
        MoveKind::Call => MovedKind::Call,
    };
    Moved {
        kind,
        of: row.what.of,
        by: row.what.by,
        count: row.count,
        bytes: row.bytes,
        busy_us: row.busy_us,
        cpu_us: row.cpu_us,
        began_us: now_us.saturating_sub(row.began_ago_us),
        ended_us: now_us.saturating_sub(row.ended_ago_us),
    }
}

fn disk_told(report: DiskReport) -> DiskTold {
    let run = |run: BlockRun| ChunkRun {
        first: run.head(),
        count: run.count,
    };
    let runs = |runs: Vec<BlockRun>| runs.into_iter().map(run).collect();
    DiskTold {
        to_disk: runs(report.to_disk),
        off_disk: runs(report.off_disk),
        check: report.check.map(|check| DiskChecked {
            from: check.from,
            until: check.until,
            on_disk: runs(check.on_disk),
        }),
        waiting: report.waiting,
    }
}

/// The dashboard's record of an observation of one task or of something else: see [`Observation::each`].
pub(crate) fn record(
    now_us: u64,
    observation: Observation,
    progress: impl Fn(JobId) -> Vec<LayerProgress>,
) -> Option<Record> {
    Some(match observation {
        Observation::WorkerReleased { .. } => return None,
        Observation::WorkerRetiring(progress) => Record::WorkerRetiring {
            worker: progress.worker,
            waits_for: progress.to_string().into(),
        },
        Observation::WorkerStays { worker } => Record::WorkerStays { worker },
        Observation::WorkerJoined {
            worker,
            name,
            address,
            slots,
            budget_bytes,
        } => Record::WorkerJoined {
            worker,
            name,
            address,
            slots,
            budget_bytes,
        },
        Observation::WorkerLeft { worker, why } => Record::WorkerLeft {
            worker,
            why: match why {
                None => LeaveReason::Retired,
                Some(why) => LeaveReason::Lost { message: why.into() },
            },
        },
        Observation::WorkerStatus { worker, status } => {
            let status = WorkerStatus {
                memory_bytes: status.memory_bytes,
                spilled_bytes: status.spilled_bytes,
                transit_bytes: status.reserved_bytes,
                running: status.running,
                queued: status.queued,
                fetched_bytes_total: status.fetched_bytes,
                cpu_percent: 0.0,
                resident_bytes: status.resident_bytes,
            };
            Record::WorkerStatus { worker, status }
        }
        Observation::Moved { worker, moved } => Record::Moved {
            worker,
            moves: moved.moves.iter().map(|row| moved_row(now_us, row)).collect(),
            lost: moved.lost,
        },
        Observation::Disk { worker, report } => Record::Disk {
            worker,
            told: Arc::new(disk_told(report)),
        },
        Observation::Logged { worker, report } => logged(now_us, LogSource::Worker(worker), report),
        Observation::JobStarted { job, name, plan } => {
            let layers = plan.iter().map(|(id, layer)| LayerInfo {
                name: layer.name.clone(),
                task_count: layer.grid.block_count(),
                chunk_bytes: layer.output_bytes_max(),
                origin: layer.origin.clone(),
                plan: Some(Arc::new(layer_plan(&plan, id))),
            });
            Record::JobStarted {
                job,
                name,
                layers: layers.collect::<Vec<_>>().into(),
            }
        }
        Observation::JobEnded { job, outcome } => {
            let counts: Arc<[u64]> = progress(job).iter().map(|layer| layer.finished_count).collect();
            let outcome = match outcome {
                "finished" => JobOutcome::Succeeded,
                "cancelled" => JobOutcome::Cancelled,
                other => JobOutcome::Failed {
                    message: other.into(),
                },
            };
            Record::JobEnded {
                job,
                outcome,
                finished: (!counts.is_empty()).then_some(counts),
            }
        }
        Observation::TasksLeased {
            tasks,
            worker,
            attempt,
        } => Record::TaskAssigned {
            task: tasks.head(),
            worker,
            attempt,
        },
        Observation::TasksFinished {
            tasks,
            worker,
            attempt,
            bytes,
            times,
            others: _,
        } => Record::TaskFinished(TaskFinished {
            task: tasks.head(),
            worker,
            attempt,
            slot: times.slot,
            started_us: now_us.saturating_sub(times.compute_us),
            duration_us: times.compute_us,
            fetch_us: times.fetch_us,
            bytes,
            spilled: false,
        }),
        Observation::TaskFailed {
            task,
            worker,
            attempt,
            message,
        } => Record::TaskFailed {
            task,
            worker,
            attempt,
            message,
        },
        Observation::TaskReset { task, attempt, .. } | Observation::ChunkLetGo { task, attempt } => {
            Record::TaskReset { task, attempt }
        }
        Observation::ChunksReleased { chunks, attempt } => Record::ChunksReleased {
            first: chunks.head(),
            count: chunks.count,
            attempt,
        },
    })
}
