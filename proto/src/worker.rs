//! What scheduler and worker say to each other, to and from the wire.

use std::sync::Arc;

use graticule_engine::{
    Announce, BlockRun, ChunkHeld, ChunkHolders, ChunkToCopy, CopyFailure, CopyId, CopyReport, Failure,
    FailureKind, Finished, Incarnation, InputSource, LayerSpec, Lease, Peer, RUN_BLOCKS_MAX, Report,
    SessionId, TaskRun, TaskTimes, ToScheduler, ToWorker, WorkerStatus,
};
use graticule_plan::{ChunkId, Digest, JobId, LayerId, WorkerId};

use crate::{
    ProtoError, check_version,
    plan::{digest, grid, table, task},
    reports, v1, version,
};

use ProtoError::Malformed;

fn texts(list: &[Arc<str>]) -> Vec<String> {
    list.iter().map(|text| text.to_string()).collect()
}

impl From<&Peer> for v1::Peer {
    fn from(peer: &Peer) -> Self {
        Self {
            worker: peer.worker.0,
            address: peer.address.to_string(),
        }
    }
}

impl From<v1::Peer> for Peer {
    fn from(peer: v1::Peer) -> Self {
        Self {
            worker: WorkerId(peer.worker),
            address: peer.address.into(),
        }
    }
}

fn chunk_list(chunks: Vec<ChunkId>) -> v1::ChunkList {
    v1::ChunkList {
        chunks: chunks.into_iter().map(Into::into).collect(),
    }
}

fn chunks(list: v1::ChunkList) -> Vec<ChunkId> {
    list.chunks.into_iter().map(Into::into).collect()
}

fn run_list(runs: Vec<BlockRun>) -> v1::BlockRunList {
    v1::BlockRunList {
        runs: run_frames(runs),
    }
}

fn runs(list: v1::BlockRunList) -> Result<Vec<BlockRun>, ProtoError> {
    read_runs(list.runs)
}

pub(crate) fn run_frames(runs: Vec<BlockRun>) -> Vec<v1::BlockRun> {
    let run = |run: BlockRun| v1::BlockRun {
        head: Some(run.head().into()),
        count: run.count,
    };
    runs.into_iter().map(run).collect()
}

pub(crate) fn read_runs(frames: Vec<v1::BlockRun>) -> Result<Vec<BlockRun>, ProtoError> {
    let run = |run: v1::BlockRun| {
        let head = task(run.head)?;
        check_run(head.block, run.count)?;
        Ok(BlockRun {
            count: run.count,
            ..head.into()
        })
    };
    frames.into_iter().map(run).collect()
}

/// Neighbouring blocks are few, and are blocks.
fn check_run(first: u64, count: u64) -> Result<(), ProtoError> {
    let is_run = (1..=RUN_BLOCKS_MAX).contains(&count) && first.checked_add(count).is_some();
    is_run
        .then_some(())
        .ok_or(Malformed("a run of neighbouring blocks that is none"))
}

impl From<ToScheduler> for v1::WorkerMessage {
    fn from(message: ToScheduler) -> Self {
        use v1::worker_message::Message;
        let message = match message {
            ToScheduler::Announce(announce) => Message::Announce(announce.into()),
            ToScheduler::Reports(reports) => Message::Reports(reports::pack(reports)),
            ToScheduler::Computing { tasks } => Message::Computing(chunk_list(tasks)),
            ToScheduler::ChunksLost { chunks } => Message::ChunksLost(chunk_list(chunks)),
            ToScheduler::ShortOfMemory {
                short_bytes,
                disk_bytes_per_s,
            } => Message::ShortOfMemory(v1::ShortOfMemory {
                short_bytes,
                disk_bytes_per_s,
            }),
            ToScheduler::Status(status) => Message::Status(status.into()),
            ToScheduler::Retire { deadline_us } => Message::Retire(v1::Retire { deadline_us }),
            ToScheduler::Copied(reports) => Message::Copied(v1::Copied {
                reports: reports.into_iter().map(Into::into).collect(),
            }),
            ToScheduler::Moved(moved) => Message::Moved(moved.into()),
            ToScheduler::Logs(report) => Message::Logs(report.into()),
            ToScheduler::Disk(report) => Message::Disk(report.into()),
        };
        Self {
            message: Some(message),
        }
    }
}

impl TryFrom<v1::WorkerMessage> for ToScheduler {
    type Error = ProtoError;

    fn try_from(message: v1::WorkerMessage) -> Result<Self, ProtoError> {
        use v1::worker_message::Message;
        Ok(match message.message.ok_or(Malformed("an empty message"))? {
            Message::Announce(announce) => ToScheduler::Announce(announce.try_into()?),
            Message::Reports(packed) => ToScheduler::Reports(reports::unpack(packed)?),
            Message::Computing(list) => ToScheduler::Computing { tasks: chunks(list) },
            Message::ChunksLost(list) => ToScheduler::ChunksLost { chunks: chunks(list) },
            Message::ShortOfMemory(short) => ToScheduler::ShortOfMemory {
                short_bytes: short.short_bytes,
                disk_bytes_per_s: short.disk_bytes_per_s,
            },
            Message::Status(status) => ToScheduler::Status(status.into()),
            Message::Retire(retire) => ToScheduler::Retire {
                deadline_us: retire.deadline_us,
            },
            Message::Copied(copied) => {
                let reports = copied.reports.into_iter().map(CopyReport::try_from);
                ToScheduler::Copied(reports.collect::<Result<_, _>>()?)
            }
            Message::Moved(moved) => ToScheduler::Moved(moved.try_into()?),
            Message::Logs(report) => ToScheduler::Logs(report.try_into()?),
            Message::Disk(report) => ToScheduler::Disk(report.try_into()?),
        })
    }
}

impl From<Announce> for v1::Announce {
    fn from(announce: Announce) -> Self {
        let held = |h: ChunkHeld| v1::ChunkHeld {
            chunk: Some(h.chunk.into()),
            bytes: h.bytes,
        };
        Self {
            version: Some(version()),
            name: announce.name.to_string(),
            address: announce.address.to_string(),
            slots: announce.slots,
            budget_bytes: announce.budget_bytes,
            worker: announce.worker.map(|w| w.0),
            incarnation: announce.incarnation.map(|i| i.0),
            inventory: announce.inventory.into_iter().map(held).collect(),
            resources: announce.resources.iter().map(Into::into).collect(),
            functions: announce.functions.iter().map(|name| name.to_string()).collect(),
        }
    }
}

impl TryFrom<v1::Announce> for Announce {
    type Error = ProtoError;

    fn try_from(announce: v1::Announce) -> Result<Self, ProtoError> {
        check_version(announce.version)?;
        let held = |h: v1::ChunkHeld| {
            Ok(ChunkHeld {
                chunk: task(h.chunk)?,
                bytes: h.bytes,
            })
        };
        Ok(Self {
            name: announce.name.into(),
            address: announce.address.into(),
            resources: announce.resources.into_iter().map(Into::into).collect(),
            functions: announce.functions.into_iter().map(Into::into).collect(),
            slots: announce.slots,
            budget_bytes: announce.budget_bytes,
            worker: announce.worker.map(WorkerId),
            incarnation: announce.incarnation.map(Incarnation),
            inventory: announce
                .inventory
                .into_iter()
                .map(held)
                .collect::<Result<_, ProtoError>>()?,
        })
    }
}

impl From<Report> for v1::Report {
    fn from(report: Report) -> Self {
        use v1::report::Outcome;
        let outcome = match report.outcome {
            Ok(finished) => Outcome::Finished(v1::Finished {
                bytes: finished.bytes,
                inline: finished.inline,
                problems: texts(&finished.problems),
            }),
            Err(failure) => Outcome::Failure(failure.into()),
        };
        Self {
            task: Some(report.task.into()),
            attempt: report.attempt,
            outcome: Some(outcome),
            slot: report.times.slot,
            queue_us: report.times.queue_us,
            fetch_us: report.times.fetch_us,
            compute_us: report.times.compute_us,
            fetched_bytes: report.times.fetched_bytes,
            others: report.others.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::Report> for Report {
    type Error = ProtoError;

    fn try_from(report: v1::Report) -> Result<Self, ProtoError> {
        use v1::report::Outcome;
        let outcome = match report.outcome.ok_or(Malformed("a report without an outcome"))? {
            Outcome::Finished(finished) => Ok(Finished {
                bytes: finished.bytes,
                inline: finished.inline,
                problems: finished.problems.into_iter().map(Into::into).collect(),
            }),
            Outcome::Failure(failure) => Err(failure.try_into()?),
        };
        let times = TaskTimes {
            slot: report.slot,
            queue_us: report.queue_us,
            fetch_us: report.fetch_us,
            compute_us: report.compute_us,
            fetched_bytes: report.fetched_bytes,
        };
        let task = task(report.task)?;
        let others: Vec<TaskTimes> = report.others.into_iter().map(Into::into).collect();
        if task.block.checked_add(1 + others.len() as u64).is_none() {
            return Err(Malformed("a report on more blocks than there can be"));
        }
        if outcome.is_err() && !others.is_empty() {
            return Err(Malformed("a failure of several tasks in one"));
        }
        Ok(Self {
            task,
            attempt: report.attempt,
            outcome,
            times,
            others,
        })
    }
}

impl From<TaskTimes> for v1::TaskTimes {
    fn from(times: TaskTimes) -> Self {
        Self {
            slot: times.slot,
            queue_us: times.queue_us,
            fetch_us: times.fetch_us,
            compute_us: times.compute_us,
            fetched_bytes: times.fetched_bytes,
        }
    }
}

impl From<v1::TaskTimes> for TaskTimes {
    fn from(times: v1::TaskTimes) -> Self {
        Self {
            slot: times.slot,
            queue_us: times.queue_us,
            fetch_us: times.fetch_us,
            compute_us: times.compute_us,
            fetched_bytes: times.fetched_bytes,
        }
    }
}

impl From<Failure> for v1::Failure {
    fn from(failure: Failure) -> Self {
        use v1::failure::Kind;
        let (kind, missing) = match failure.kind {
            FailureKind::Permanent => (Kind::Permanent, Vec::new()),
            FailureKind::Transient => (Kind::Transient, Vec::new()),
            FailureKind::MissingInputs(missing) => (Kind::MissingInputs, missing),
            FailureKind::HandedBack => (Kind::HandedBack, Vec::new()),
        };
        let missing = missing.into_iter().map(|(chunk, worker)| v1::MissingInput {
            chunk: Some(chunk.into()),
            worker: worker.0,
        });
        Self {
            kind: kind.into(),
            message: failure.message.to_string(),
            missing: missing.collect(),
        }
    }
}

impl TryFrom<v1::Failure> for Failure {
    type Error = ProtoError;

    fn try_from(failure: v1::Failure) -> Result<Self, ProtoError> {
        use v1::failure::Kind;
        let kind = match failure.kind() {
            Kind::Permanent => FailureKind::Permanent,
            Kind::Transient => FailureKind::Transient,
            Kind::HandedBack => FailureKind::HandedBack,
            Kind::MissingInputs => {
                let missing = failure.missing.into_iter();
                let pairs = missing.map(|m| Ok((task(m.chunk)?, WorkerId(m.worker))));
                FailureKind::MissingInputs(pairs.collect::<Result<_, ProtoError>>()?)
            }
        };
        Ok(Self {
            kind,
            message: failure.message.into(),
        })
    }
}

impl From<WorkerStatus> for v1::WorkerStatus {
    fn from(status: WorkerStatus) -> Self {
        Self {
            memory_bytes: status.memory_bytes,
            spilled_bytes: status.spilled_bytes,
            reserved_bytes: status.reserved_bytes,
            running: status.running,
            queued: status.queued,
            fetched_bytes: status.fetched_bytes,
            peak_bytes: status.peak_bytes,
            resident_bytes: status.resident_bytes,
        }
    }
}

impl From<v1::WorkerStatus> for WorkerStatus {
    fn from(status: v1::WorkerStatus) -> Self {
        Self {
            memory_bytes: status.memory_bytes,
            spilled_bytes: status.spilled_bytes,
            reserved_bytes: status.reserved_bytes,
            running: status.running,
            queued: status.queued,
            fetched_bytes: status.fetched_bytes,
            peak_bytes: status.peak_bytes,
            resident_bytes: status.resident_bytes,
        }
    }
}

impl From<ToWorker> for v1::SchedulerMessage {
    fn from(message: ToWorker) -> Self {
        use v1::scheduler_message::Message;
        let message = match message {
            ToWorker::Welcome {
                worker,
                session,
                incarnation,
            } => Message::Welcome(v1::Welcome {
                worker: worker.0,
                session: session.0,
                incarnation: incarnation.0,
            }),
            ToWorker::Table { digest, content } => Message::Table(table(digest, &content)),
            ToWorker::Layer(spec) => Message::Layer((&*spec).into()),
            ToWorker::Lease(lease) => Message::Lease(lease.into()),
            ToWorker::Revoke { tasks } => Message::Revoke(chunk_list(tasks)),
            ToWorker::Release { chunks } => Message::Release(run_list(chunks)),
            ToWorker::Relief { chunks } => Message::Relief(run_list(chunks)),
            ToWorker::Forget { job } => Message::Forget(v1::Forget { job: job.0 }),
            ToWorker::Retire { deadline_us } => Message::Retire(v1::Retire { deadline_us }),
            ToWorker::Stay => Message::Stay(v1::Stay {}),
            ToWorker::Leave => Message::Leave(v1::Leave {}),
            ToWorker::Copy { chunks } => Message::Copy(v1::Copy {
                chunks: chunks.into_iter().map(Into::into).collect(),
            }),
            ToWorker::Ping => Message::Ping(v1::Ping {}),
        };
        Self {
            message: Some(message),
        }
    }
}

impl TryFrom<v1::SchedulerMessage> for ToWorker {
    type Error = ProtoError;

    fn try_from(message: v1::SchedulerMessage) -> Result<Self, ProtoError> {
        use v1::scheduler_message::Message;
        Ok(match message.message.ok_or(Malformed("an empty message"))? {
            Message::Welcome(welcome) => ToWorker::Welcome {
                worker: WorkerId(welcome.worker),
                session: SessionId(welcome.session),
                incarnation: Incarnation(welcome.incarnation),
            },
            Message::Table(table) => {
                let (digest, content) = checked_table(table)?;
                ToWorker::Table { digest, content }
            }
            Message::Layer(spec) => ToWorker::Layer(Arc::new(spec.try_into()?)),
            Message::Lease(lease) => ToWorker::Lease(lease.try_into()?),
            Message::Revoke(list) => ToWorker::Revoke { tasks: chunks(list) },
            Message::Release(list) => ToWorker::Release { chunks: runs(list)? },
            Message::Relief(list) => ToWorker::Relief { chunks: runs(list)? },
            Message::Forget(forget) => ToWorker::Forget {
                job: JobId(forget.job),
            },
            Message::Retire(retire) => ToWorker::Retire {
                deadline_us: retire.deadline_us,
            },
            Message::Stay(_) => ToWorker::Stay,
            Message::Leave(_) => ToWorker::Leave,
            Message::Copy(copy) => {
                let chunks = copy.chunks.into_iter().map(ChunkToCopy::try_from);
                ToWorker::Copy {
                    chunks: chunks.collect::<Result<_, _>>()?,
                }
            }
            Message::Ping(_) => ToWorker::Ping,
        })
    }
}

impl From<ChunkToCopy> for v1::ChunkToCopy {
    fn from(wanted: ChunkToCopy) -> Self {
        Self {
            copy: wanted.copy.0,
            chunk: Some(wanted.chunk.into()),
            bytes: wanted.bytes,
            peers: wanted.peers.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::ChunkToCopy> for ChunkToCopy {
    type Error = ProtoError;

    fn try_from(wanted: v1::ChunkToCopy) -> Result<Self, ProtoError> {
        Ok(Self {
            copy: CopyId(wanted.copy),
            chunk: task(wanted.chunk)?,
            bytes: wanted.bytes,
            peers: wanted.peers.into_iter().map(Into::into).collect(),
        })
    }
}

impl From<CopyReport> for v1::CopyReport {
    fn from(report: CopyReport) -> Self {
        use v1::copy_report::{Failure, Outcome};
        let outcome = match report.outcome {
            Ok(bytes) => Outcome::Bytes(bytes),
            Err(CopyFailure::NotFetched) => Outcome::Failure(Failure::NotFetched.into()),
            Err(CopyFailure::NoRoom) => Outcome::Failure(Failure::NoRoom.into()),
        };
        Self {
            copy: report.copy.0,
            chunk: Some(report.chunk.into()),
            outcome: Some(outcome),
        }
    }
}

impl TryFrom<v1::CopyReport> for CopyReport {
    type Error = ProtoError;

    fn try_from(report: v1::CopyReport) -> Result<Self, ProtoError> {
        use v1::copy_report::{Failure, Outcome};
        let outcome = match report.outcome.ok_or(Malformed("a copy without an outcome"))? {
            Outcome::Bytes(bytes) => Ok(bytes),
            Outcome::Failure(failure) => Err(match Failure::try_from(failure) {
                Ok(Failure::NoRoom) => CopyFailure::NoRoom,
                Ok(Failure::NotFetched) | Err(_) => CopyFailure::NotFetched,
            }),
        };
        Ok(Self {
            copy: CopyId(report.copy),
            chunk: task(report.chunk)?,
            outcome,
        })
    }
}

/// A side table whose content is what its digest says.
pub(crate) fn checked_table(table: v1::Table) -> Result<(Digest, Arc<[u8]>), ProtoError> {
    let digest = digest(&table.digest)?;
    if Digest::of(&table.content) != digest {
        return Err(graticule_plan::PlanError::Digest(digest).into());
    }
    Ok((digest, Arc::from(&table.content[..])))
}

impl From<&LayerSpec> for v1::LayerSpec {
    fn from(spec: &LayerSpec) -> Self {
        let source = |s: &InputSource| v1::InputSource {
            job: s.job.0,
            layer: s.layer.0,
            grid: Some((&s.grid).into()),
            item_bytes: s.item_bytes,
        };
        Self {
            job: spec.job.0,
            id: spec.id.0,
            layer: Some((&spec.layer).into()),
            sources: spec.sources.iter().map(source).collect(),
            deliver: spec.deliver,
        }
    }
}

impl TryFrom<v1::LayerSpec> for LayerSpec {
    type Error = ProtoError;

    fn try_from(spec: v1::LayerSpec) -> Result<Self, ProtoError> {
        let source = |s: v1::InputSource| {
            let (job, layer, item_bytes) = (JobId(s.job), LayerId(s.layer), s.item_bytes);
            Ok(InputSource {
                job,
                layer,
                grid: grid(s.grid)?,
                item_bytes,
            })
        };
        let sources = spec
            .sources
            .into_iter()
            .map(source)
            .collect::<Result<Vec<_>, ProtoError>>()?;
        let layer: graticule_plan::Layer = spec.layer.ok_or(Malformed("no layer"))?.try_into()?;
        if sources.len() != layer.inputs.len() {
            return Err(Malformed("a layer with more or fewer sources than inputs"));
        }
        Ok(Self {
            job: JobId(spec.job),
            id: LayerId(spec.id),
            layer,
            sources,
            deliver: spec.deliver,
        })
    }
}

impl From<Lease> for v1::Lease {
    fn from(lease: Lease) -> Self {
        let holders = |h: ChunkHolders| v1::ChunkHolders {
            chunk: Some(h.chunk.into()),
            peers: h.peers.iter().map(Into::into).collect(),
        };
        let of_runs = || lease.tasks.iter();
        Self {
            job: lease.job.0,
            layer: lease.layer.0,
            firsts: of_runs().map(|run| run.first).collect(),
            counts: of_runs().map(|run| run.count).collect(),
            attempts: of_runs().map(|run| run.attempt).collect(),
            holders: lease.holders.into_iter().map(holders).collect(),
        }
    }
}

impl TryFrom<v1::Lease> for Lease {
    type Error = ProtoError;

    fn try_from(lease: v1::Lease) -> Result<Self, ProtoError> {
        let lens = [lease.firsts.len(), lease.counts.len(), lease.attempts.len()];
        if lens.iter().any(|&len| len != lens[0]) {
            return Err(Malformed("a lease with blocks without attempts"));
        }
        let runs = lease.firsts.iter().zip(&lease.counts).zip(&lease.attempts);
        let run = |((&first, &count), &attempt): ((&u64, &u64), &u32)| {
            check_run(first, count)?;
            Ok(TaskRun {
                first,
                count,
                attempt,
            })
        };
        let tasks = runs.map(run).collect::<Result<_, ProtoError>>()?;
        let holders = |h: v1::ChunkHolders| {
            let peers = h.peers.into_iter().map(Into::into).collect();
            Ok(ChunkHolders {
                chunk: task(h.chunk)?,
                peers,
            })
        };
        Ok(Self {
            job: JobId(lease.job),
            layer: LayerId(lease.layer),
            tasks,
            holders: lease
                .holders
                .into_iter()
                .map(holders)
                .collect::<Result<_, ProtoError>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use graticule_plan::TaskId;

    use super::*;

    fn task(block: u64) -> TaskId {
        TaskId {
            job: JobId(1),
            layer: LayerId(2),
            block,
        }
    }

    fn run(first: u64, count: u64) -> BlockRun {
        BlockRun {
            count,
            ..task(first).into()
        }
    }

    fn lease(first: u64, count: u64) -> ToWorker {
        let attempt = 3;
        ToWorker::Lease(Lease {
            job: JobId(1),
            layer: LayerId(2),
            tasks: vec![TaskRun {
                first,
                count,
                attempt,
            }],
            holders: Vec::new(),
        })
    }

    fn told(message: ToWorker) -> Result<ToWorker, ProtoError> {
        v1::SchedulerMessage::from(message).try_into()
    }

    #[test]
    fn runs_of_neighbours_come_out_as_they_went_in() {
        let release = ToWorker::Release {
            chunks: vec![run(5, 1), run(64, RUN_BLOCKS_MAX)],
        };
        assert_eq!(told(release.clone()).unwrap(), release);
        let relief = ToWorker::Relief {
            chunks: vec![run(7, 1)],
        };
        assert_eq!(told(relief.clone()).unwrap(), relief);
        assert_eq!(told(lease(7, 9)).unwrap(), lease(7, 9));
        let times = |us| TaskTimes {
            compute_us: us,
            ..TaskTimes::default()
        };
        let reports = ToScheduler::Reports(vec![Report {
            task: task(7),
            attempt: 3,
            outcome: Ok(Finished {
                bytes: 8,
                inline: None,
                problems: Vec::new(),
            }),
            times: times(1),
            others: vec![times(2), times(3)],
        }]);
        let back: ToScheduler = v1::WorkerMessage::from(reports.clone()).try_into().unwrap();
        assert_eq!(back, reports);
    }

    #[test]
    fn runs_that_are_none_are_refused() {
        for (first, count) in [(0, 0), (0, RUN_BLOCKS_MAX + 1), (u64::MAX, 2)] {
            assert!(told(lease(first, count)).is_err(), "{count} from {first} on");
            let release = ToWorker::Release {
                chunks: vec![run(first, count)],
            };
            assert!(told(release).is_err(), "{count} from {first} on");
        }
        let failure = Failure {
            kind: graticule_engine::FailureKind::Transient,
            message: "it broke".into(),
        };
        let report = Report {
            task: task(0),
            attempt: 1,
            outcome: Err(failure),
            times: TaskTimes::default(),
            others: vec![TaskTimes::default()],
        };
        let message = v1::WorkerMessage::from(ToScheduler::Reports(vec![report]));
        assert!(ToScheduler::try_from(message).is_err());
    }
}
