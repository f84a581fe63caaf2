//! What clients and scheduler say to each other: domain types, and their way to and from the wire.

use std::{ops::Range, sync::Arc};

use graticule_engine::scheduler::{JobEvent, LayerProgress, WorkerInfo};
use graticule_plan::{ChunkId, JobId, Key, LayerId, Output, Plan, PlanBuilder, WorkerId};

use crate::{
    ProtoError, ReadyChunk, Resume,
    plan::{from_kept_blocks, kept_blocks, key, key_bytes, table, task},
    ready, v1,
    worker::checked_table,
};

use ProtoError::Malformed;

/// What a client says, once it has said hello.
#[derive(Debug, Clone, PartialEq)]
pub enum ToCluster {
    /// Run a plan.
    Submit {
        /// The client's own number for it.
        submission: u64,
        /// A name for people.
        name: Arc<str>,
        /// The plan.
        plan: Arc<Plan>,
    },
    /// Stop a job.
    Cancel {
        /// The job.
        job: JobId,
    },
    /// Chunks have arrived.
    Delivered {
        /// The chunks.
        chunks: Vec<ChunkId>,
    },
    /// A chunk could not be fetched where it should have been.
    DeliveryFailed {
        /// The chunk.
        chunk: ChunkId,
        /// The worker that did not give it.
        worker: WorkerId,
    },
    /// A kept result is not needed any more.
    ReleaseKey {
        /// Its name.
        key: Key,
    },
    /// Blocks of a kept result that stand for themselves are not needed any more.
    ReleaseBlocks {
        /// The result's name.
        key: Key,
        /// The blocks.
        blocks: Vec<Range<u64>>,
    },
    /// Blocks of a kept result that stand for themselves shall not be made.
    CancelBlocks {
        /// The result's name.
        key: Key,
        /// The blocks.
        blocks: Vec<Range<u64>>,
    },
    /// The client is back: what it has and wants.
    Resume(Resume),
    /// The client will not come back: its jobs and kept results end.
    Leave,
}

/// What a client hears.
#[derive(Debug, Clone, PartialEq)]
pub enum FromCluster {
    /// A plan was taken in, or refused.
    Submitted {
        /// The client's own number for it.
        submission: u64,
        /// The job, or what is wrong with the plan.
        job: Result<JobId, Arc<str>>,
    },
    /// Chunks of a result can be had.
    Chunks {
        /// The job.
        job: JobId,
        /// The layer whose chunks they are.
        layer: LayerId,
        /// The chunks.
        chunks: Vec<ReadyChunk>,
    },
    /// Something else happened to a job.
    Job {
        /// The job.
        job: JobId,
        /// What.
        event: JobEvent,
    },
    /// The functions that workers can call; said first, and again when that changes.
    Functions {
        /// Their names.
        names: Vec<Arc<str>>,
        /// Workers connected.
        workers: u32,
    },
    /// How far a job is.
    Progress {
        /// The job.
        job: JobId,
        /// Layer by layer.
        layers: Vec<LayerProgress>,
        /// Workers connected.
        workers: u32,
    },
}

/// A submission as the messages that carry it, tables first.
pub fn submission(submission: u64, name: &str, plan: &Plan) -> Vec<v1::ClientMessage> {
    use v1::client_message::Message;
    let mut messages = vec![Message::Begin(v1::Begin {
        submission,
        name: name.into(),
    })];
    messages.extend(
        plan.tables()
            .iter()
            .map(|(digest, content)| Message::Table(table(*digest, content))),
    );
    messages.extend(plan.layers().iter().map(|layer| Message::Layer(layer.into())));
    messages.extend(plan.outputs().iter().map(|output| Message::Output(output.into())));
    messages.push(Message::Run(v1::Run {
        depth_first_bytes: plan.depth_first_hint(),
    }));
    messages
        .into_iter()
        .map(|message| v1::ClientMessage {
            message: Some(message),
        })
        .collect()
}

/// Bytes of the messages that carry a submission: without side tables, and those of the tables.
pub fn submission_bytes(plan: &Plan) -> (usize, usize) {
    let (mut bytes, mut table_bytes) = (0, 0);
    for message in submission(0, "", plan) {
        let encoded = prost::Message::encoded_len(&message);
        match message.message {
            Some(v1::client_message::Message::Table(_)) => table_bytes += encoded,
            _ => bytes += encoded,
        }
    }
    (bytes, table_bytes)
}

impl ToCluster {
    /// The messages that carry this.
    pub fn into_messages(self) -> Vec<v1::ClientMessage> {
        use v1::client_message::Message;
        let message = match self {
            ToCluster::Submit {
                submission: number,
                name,
                plan,
            } => return submission(number, &name, &plan),
            ToCluster::Cancel { job } => Message::Cancel(v1::Cancel { job: job.0 }),
            ToCluster::Delivered { chunks } => {
                let messages = ready::delivered(&chunks).into_iter().map(Message::Delivered);
                let messages = messages.map(|message| v1::ClientMessage {
                    message: Some(message),
                });
                return messages.collect();
            }
            ToCluster::DeliveryFailed { chunk, worker } => Message::DeliveryFailed(v1::MissingInput {
                chunk: Some(chunk.into()),
                worker: worker.0,
            }),
            ToCluster::ReleaseKey { key } => Message::ReleaseKey(key_bytes(key)),
            ToCluster::ReleaseBlocks { key, blocks } => Message::ReleaseBlocks(kept_blocks(key, &blocks)),
            ToCluster::CancelBlocks { key, blocks } => Message::CancelBlocks(kept_blocks(key, &blocks)),
            ToCluster::Resume(resume) => Message::Resume(resume.into()),
            ToCluster::Leave => Message::Leave(v1::Leave {}),
        };
        vec![v1::ClientMessage {
            message: Some(message),
        }]
    }
}

/// Puts a client's messages together again: a submission comes in many.
#[derive(Debug, Default)]
pub struct PlanAssembler {
    open: Option<(u64, Arc<str>, PlanBuilder)>,
    /// What was wrong with the open submission; the rest of it is skipped.
    failed: Option<ProtoError>,
}

/// What a client's message amounts to.
pub type Assembled = Option<Result<ToCluster, (u64, ProtoError)>>;

impl PlanAssembler {
    /// Takes one message in. `Some` when it completes something: a command, or a submission that is not valid (by its
    /// number).
    ///
    /// # Errors
    /// [`ProtoError`] for what breaks the protocol; the session cannot go on.
    pub fn take(&mut self, message: v1::ClientMessage) -> Result<Assembled, ProtoError> {
        use v1::client_message::Message;
        let command = match message.message.ok_or(Malformed("an empty message"))? {
            Message::Hello(_) => return Err(Malformed("a second hello")),
            Message::Begin(begin) => {
                self.open = Some((begin.submission, begin.name.into(), PlanBuilder::new()));
                self.failed = None;
                return Ok(None);
            }
            Message::Table(table) => {
                return self.build(|plan| {
                    let (_, content) = checked_table(table)?;
                    plan.table(content);
                    Ok(())
                });
            }
            Message::Layer(layer) => {
                return self.build(|plan| Ok(plan.layer(layer.try_into()?).map(drop)?));
            }
            Message::Output(output) => {
                return self.build(|plan| Ok(plan.output(Output::try_from(output)?)?));
            }
            Message::Run(run) => return self.finish(run.depth_first_bytes).map(Some),
            Message::Cancel(cancel) => ToCluster::Cancel {
                job: JobId(cancel.job),
            },
            Message::Delivered(delivered) => ToCluster::Delivered {
                chunks: ready::delivered_chunks(&delivered),
            },
            Message::DeliveryFailed(missing) => ToCluster::DeliveryFailed {
                chunk: task(missing.chunk)?,
                worker: WorkerId(missing.worker),
            },
            Message::ReleaseKey(bytes) => ToCluster::ReleaseKey { key: key(&bytes)? },
            Message::ReleaseBlocks(kept) => {
                let (key, blocks) = from_kept_blocks(kept)?;
                ToCluster::ReleaseBlocks { key, blocks }
            }
            Message::CancelBlocks(kept) => {
                let (key, blocks) = from_kept_blocks(kept)?;
                ToCluster::CancelBlocks { key, blocks }
            }
            Message::Resume(resume) => ToCluster::Resume(resume.try_into()?),
            Message::Leave(_) => ToCluster::Leave,
        };
        Ok(Some(Ok(command)))
    }

    fn build(
        &mut self,
        add: impl FnOnce(&mut PlanBuilder) -> Result<(), ProtoError>,
    ) -> Result<Assembled, ProtoError> {
        let (_, _, plan) = self
            .open
            .as_mut()
            .ok_or(Malformed("a part of a plan before its begin"))?;
        if self.failed.is_none() {
            self.failed = add(plan).err();
        }
        Ok(None)
    }

    fn finish(
        &mut self,
        depth_first_bytes: Option<u64>,
    ) -> Result<Result<ToCluster, (u64, ProtoError)>, ProtoError> {
        let (submission, name, plan) = self.open.take().ok_or(Malformed("a run before its begin"))?;
        Ok(match self.failed.take() {
            Some(error) => Err((submission, error)),
            None => Ok(ToCluster::Submit {
                submission,
                name,
                plan: Arc::new(plan.finish().with_depth_first_hint(depth_first_bytes)),
            }),
        })
    }
}

impl From<WorkerInfo> for v1::WorkerInfo {
    fn from(worker: WorkerInfo) -> Self {
        Self {
            worker: worker.id.0,
            name: worker.name.to_string(),
            retiring: worker.retiring.map(|wait| wait.to_string()).unwrap_or_default(),
            slots: worker.slots,
            budget_bytes: worker.budget_bytes,
            status: Some(worker.status.into()),
        }
    }
}

impl From<v1::WorkerInfo> for WorkerInfo {
    fn from(worker: v1::WorkerInfo) -> Self {
        Self {
            id: WorkerId(worker.worker),
            name: worker.name.into(),
            slots: worker.slots,
            budget_bytes: worker.budget_bytes,
            status: worker.status.map(Into::into).unwrap_or_default(),
            retiring: Some(worker.retiring.into()).filter(|wait: &Arc<str>| !wait.is_empty()),
        }
    }
}

impl From<FromCluster> for v1::ClientEvent {
    fn from(event: FromCluster) -> Self {
        use v1::client_event::Event;
        let event = match event {
            FromCluster::Submitted { submission, job } => {
                let (job, error) = match job {
                    Ok(job) => (job.0, String::new()),
                    Err(error) => (0, error.to_string()),
                };
                Event::Submitted(v1::Submitted {
                    submission,
                    job,
                    error,
                })
            }
            FromCluster::Chunks { job, layer, chunks } => {
                Event::ChunksReady(ready::chunks_ready(job, layer, &chunks))
            }
            FromCluster::Job { job, event } => job_event(job, event),
            FromCluster::Functions { names, workers } => Event::Functions(v1::Functions {
                names: names.iter().map(|name| name.to_string()).collect(),
                workers,
            }),
            FromCluster::Progress { job, layers, workers } => Event::Progress(v1::Progress {
                job: job.0,
                layers: layers.into_iter().map(Into::into).collect(),
                workers,
            }),
        };
        Self { event: Some(event) }
    }
}

fn job_event(job: JobId, event: JobEvent) -> v1::client_event::Event {
    use v1::job_event::Event;
    let event = match event {
        JobEvent::Accepted => Event::Accepted(v1::JobAccepted {}),
        JobEvent::ChunkReady {
            layer,
            block,
            bytes,
            peers,
            inline,
        } => {
            let chunk = ReadyChunk {
                block,
                bytes,
                peers: peers.into(),
                inline,
            };
            return v1::client_event::Event::ChunksReady(ready::chunks_ready(job, layer, &[chunk]));
        }
        JobEvent::BlockFailed {
            layer,
            block,
            message,
        } => Event::BlockFailed(v1::BlockFailed {
            layer: layer.0,
            block,
            message: message.to_string(),
        }),
        JobEvent::ValueAwaited {
            layer,
            block,
            peer,
            attempt,
        } => Event::ValueAwaited(v1::ValueAwaited {
            layer: layer.0,
            block,
            peer: Some((&peer).into()),
            attempt,
        }),
        JobEvent::Problems(problems) => Event::Problems(v1::Problems {
            problems: problems.iter().map(|p| p.to_string()).collect(),
        }),
        JobEvent::NoWorkers => Event::NoWorkers(v1::NoWorkers {}),
        JobEvent::Finished => Event::Finished(v1::JobFinished {}),
        JobEvent::Failed { message } => Event::Failed(v1::JobFailed {
            message: message.to_string(),
        }),
        JobEvent::Cancelled => Event::Cancelled(v1::JobCancelled {}),
    };
    v1::client_event::Event::Job(v1::JobEvent {
        job: job.0,
        event: Some(event),
    })
}

impl From<LayerProgress> for v1::LayerProgress {
    fn from(progress: LayerProgress) -> Self {
        Self {
            layer: progress.layer.0,
            name: progress.name.to_string(),
            task_count: progress.task_count,
            finished_count: progress.finished_count,
            leased_count: progress.leased_count,
            failed_count: progress.failed_count,
            reset_count: progress.reset_count,
        }
    }
}

impl From<v1::LayerProgress> for LayerProgress {
    fn from(progress: v1::LayerProgress) -> Self {
        Self {
            layer: LayerId(progress.layer),
            name: progress.name.into(),
            task_count: progress.task_count,
            finished_count: progress.finished_count,
            leased_count: progress.leased_count,
            failed_count: progress.failed_count,
            reset_count: progress.reset_count,
        }
    }
}

impl TryFrom<v1::ClientEvent> for FromCluster {
    type Error = ProtoError;

    fn try_from(event: v1::ClientEvent) -> Result<Self, ProtoError> {
        use v1::client_event::Event;
        Ok(match event.event.ok_or(Malformed("an empty event"))? {
            Event::Welcome(_) => return Err(Malformed("a second welcome")),
            Event::Submitted(submitted) => FromCluster::Submitted {
                submission: submitted.submission,
                job: if submitted.error.is_empty() {
                    Ok(JobId(submitted.job))
                } else {
                    Err(submitted.error.into())
                },
            },
            Event::ChunksReady(ready) => FromCluster::Chunks {
                job: JobId(ready.job),
                layer: LayerId(ready.layer),
                chunks: ready::ready_chunks(ready)?,
            },
            Event::Job(job) => {
                let event = job.event.ok_or(Malformed("an empty job event"))?;
                FromCluster::Job {
                    job: JobId(job.job),
                    event: from_job_event(event)?,
                }
            }
            Event::Functions(functions) => FromCluster::Functions {
                names: functions.names.into_iter().map(Into::into).collect(),
                workers: functions.workers,
            },
            Event::Progress(progress) => FromCluster::Progress {
                job: JobId(progress.job),
                layers: progress.layers.into_iter().map(Into::into).collect(),
                workers: progress.workers,
            },
        })
    }
}

fn from_job_event(event: v1::job_event::Event) -> Result<JobEvent, ProtoError> {
    use v1::job_event::Event;
    Ok(match event {
        Event::ValueAwaited(awaited) => JobEvent::ValueAwaited {
            layer: LayerId(awaited.layer),
            block: awaited.block,
            peer: awaited
                .peer
                .ok_or(Malformed("a value is awaited by nobody"))?
                .into(),
            attempt: awaited.attempt,
        },
        Event::Accepted(_) => JobEvent::Accepted,
        Event::BlockFailed(failed) => JobEvent::BlockFailed {
            layer: LayerId(failed.layer),
            block: failed.block,
            message: failed.message.into(),
        },
        Event::Problems(problems) => {
            JobEvent::Problems(problems.problems.into_iter().map(Into::into).collect())
        }
        Event::NoWorkers(_) => JobEvent::NoWorkers,
        Event::Finished(_) => JobEvent::Finished,
        Event::Failed(failed) => JobEvent::Failed {
            message: failed.message.into(),
        },
        Event::Cancelled(_) => JobEvent::Cancelled,
    })
}
