//! What was observed of a task or a worker, and answers that tell it, on their way to and from the wire.

use std::sync::Arc;

use graticule_engine::{
    TaskTimes, Time,
    scheduler::{Observation, Placement, Why, WorkerWhy},
};
use graticule_plan::{TaskId, WorkerId};

use crate::{
    ProtoError,
    plan::task,
    v1,
    why::{leased, placement},
};

use ProtoError::Malformed;

/// What is known of what was asked about.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// How it is now.
    pub about: About,
    /// Of a task that is done: the worker that did it last, and why that one, so far as it is remembered.
    pub ran: Option<(WorkerId, Placement)>,
    /// What was observed of it, oldest first.
    pub story: Vec<(Time, Happening)>,
    /// Whether the story may lack its beginning, because older observations were dropped.
    pub is_cut: bool,
    /// When this was, on the story's clock.
    pub now: Time,
}

/// How what was asked about is now.
#[derive(Debug, Clone, PartialEq)]
pub enum About {
    /// Why a task is where it is.
    Task(Box<Why>),
    /// How a worker is.
    Worker(Box<WorkerWhy>),
    /// A worker is not connected any more.
    FormerWorker(WorkerId),
}

/// One thing that was observed of a task or a worker. Attempts are counted from 0.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// A task went to a worker.
    Leased {
        /// The task.
        task: TaskId,
        /// The worker.
        worker: WorkerId,
        /// The attempt.
        attempt: u32,
    },
    /// A task was done.
    Finished {
        /// The task.
        task: TaskId,
        /// The worker.
        worker: WorkerId,
        /// The attempt.
        attempt: u32,
        /// Bytes of its chunk.
        bytes: u64,
        /// How long it took.
        times: TaskTimes,
    },
    /// A task failed.
    Failed {
        /// The task.
        task: TaskId,
        /// The worker.
        worker: WorkerId,
        /// The attempt.
        attempt: u32,
        /// Why.
        message: Arc<str>,
    },
    /// An attempt became void: the task was to run again, or nobody wanted it any more.
    Reset {
        /// The task.
        task: TaskId,
        /// The attempt.
        attempt: u32,
        /// Whether it had been finished, and its chunk was lost.
        was_finished: bool,
    },
    /// The chunk of a finished task was dropped, since its worker was short of memory and it costs less to make again than to
    /// spill.
    LetGo {
        /// The task.
        task: TaskId,
    },
    /// A worker connected.
    Joined {
        /// The worker.
        worker: WorkerId,
        /// Its name.
        name: Arc<str>,
        /// Its address for peers.
        address: Arc<str>,
    },
    /// A worker was gone.
    Left {
        /// The worker.
        worker: WorkerId,
        /// Why; `None` if it had said that it would leave.
        why: Option<Arc<str>>,
    },
}

impl Happening {
    /// What belongs to the story of a task or a worker; the rest of what is observed does not. Of several tasks the
    /// first counts: see [`Observation::each`].
    pub fn of(observation: &Observation) -> Option<Self> {
        Some(match observation {
            &Observation::TasksLeased {
                tasks,
                worker,
                attempt,
            } => Self::Leased {
                task: tasks.head(),
                worker,
                attempt,
            },
            &Observation::TasksFinished {
                tasks,
                worker,
                attempt,
                bytes,
                times,
                ..
            } => Self::Finished {
                task: tasks.head(),
                worker,
                attempt,
                bytes,
                times,
            },
            Observation::TaskFailed {
                task,
                worker,
                attempt,
                message,
            } => Self::Failed {
                task: *task,
                worker: *worker,
                attempt: *attempt,
                message: message.clone(),
            },
            &Observation::TaskReset {
                task,
                attempt,
                was_finished,
            } => Self::Reset {
                task,
                attempt,
                was_finished,
            },
            &Observation::ChunkLetGo { task, .. } => Self::LetGo { task },
            Observation::WorkerJoined {
                worker,
                name,
                address,
                ..
            } => Self::Joined {
                worker: *worker,
                name: name.clone(),
                address: address.clone(),
            },
            Observation::WorkerLeft { worker, why } => Self::Left {
                worker: *worker,
                why: why.map(Into::into),
            },
            _ => return None,
        })
    }

    /// The task of which it was observed.
    pub fn task(&self) -> Option<TaskId> {
        match self {
            Self::Leased { task, .. }
            | Self::Finished { task, .. }
            | Self::Failed { task, .. }
            | Self::LetGo { task }
            | Self::Reset { task, .. } => Some(*task),
            Self::Joined { .. } | Self::Left { .. } => None,
        }
    }

    /// The worker of which it was observed.
    pub fn worker(&self) -> Option<WorkerId> {
        match self {
            Self::Leased { worker, .. }
            | Self::Finished { worker, .. }
            | Self::Failed { worker, .. }
            | Self::Joined { worker, .. }
            | Self::Left { worker, .. } => Some(*worker),
            Self::Reset { .. } | Self::LetGo { .. } => None,
        }
    }

    /// Bytes of the texts in it.
    pub fn text_bytes(&self) -> usize {
        match self {
            Self::Failed { message, .. } => message.len(),
            Self::Joined { name, address, .. } => name.len() + address.len(),
            Self::Left { why, .. } => why.as_ref().map_or(0, |why| why.len()),
            Self::Leased { .. } | Self::Finished { .. } | Self::Reset { .. } | Self::LetGo { .. } => 0,
        }
    }
}

impl From<Happening> for v1::story_entry::Event {
    fn from(happening: Happening) -> Self {
        let event = |task: TaskId, worker: WorkerId, attempt| v1::TaskEvent {
            task: Some(task.into()),
            worker: worker.0,
            attempt,
        };
        match happening {
            Happening::Leased {
                task,
                worker,
                attempt,
            } => Self::Leased(event(task, worker, attempt)),
            Happening::Finished {
                task,
                worker,
                attempt,
                bytes,
                times,
            } => Self::Finished(v1::TaskFinished {
                of: Some(event(task, worker, attempt)),
                bytes,
                slot: times.slot,
                queue_us: times.queue_us,
                fetch_us: times.fetch_us,
                compute_us: times.compute_us,
                fetched_bytes: times.fetched_bytes,
            }),
            Happening::Failed {
                task,
                worker,
                attempt,
                message,
            } => Self::Failed(v1::TaskFailed {
                of: Some(event(task, worker, attempt)),
                message: message.to_string(),
            }),
            Happening::Reset {
                task,
                attempt,
                was_finished,
            } => Self::Reset(v1::TaskReset {
                task: Some(task.into()),
                attempt,
                was_finished,
            }),
            Happening::LetGo { task } => Self::LetGo(task.into()),
            Happening::Joined {
                worker,
                name,
                address,
            } => Self::Joined(v1::WorkerJoined {
                worker: worker.0,
                name: name.to_string(),
                address: address.to_string(),
            }),
            Happening::Left { worker, why } => Self::Left(v1::WorkerLeft {
                worker: worker.0,
                why: why.map(|why| why.to_string()),
            }),
        }
    }
}

impl TryFrom<v1::story_entry::Event> for Happening {
    type Error = ProtoError;

    fn try_from(event: v1::story_entry::Event) -> Result<Self, ProtoError> {
        use v1::story_entry::Event;
        let of = |event: v1::TaskEvent| -> Result<_, ProtoError> {
            Ok((task(event.task)?, WorkerId(event.worker), event.attempt))
        };
        let given = |event: Option<v1::TaskEvent>| of(event.ok_or(Malformed("an event of no task"))?);
        Ok(match event {
            Event::Leased(leased) => {
                let (task, worker, attempt) = of(leased)?;
                Self::Leased {
                    task,
                    worker,
                    attempt,
                }
            }
            Event::Finished(finished) => {
                let (task, worker, attempt) = given(finished.of)?;
                let times = TaskTimes {
                    slot: finished.slot,
                    queue_us: finished.queue_us,
                    fetch_us: finished.fetch_us,
                    compute_us: finished.compute_us,
                    fetched_bytes: finished.fetched_bytes,
                };
                let bytes = finished.bytes;
                Self::Finished {
                    task,
                    worker,
                    attempt,
                    bytes,
                    times,
                }
            }
            Event::Failed(failed) => {
                let (task, worker, attempt) = given(failed.of)?;
                let message = failed.message.into();
                Self::Failed {
                    task,
                    worker,
                    attempt,
                    message,
                }
            }
            Event::Reset(reset) => Self::Reset {
                task: task(reset.task)?,
                attempt: reset.attempt,
                was_finished: reset.was_finished,
            },
            Event::LetGo(of) => Self::LetGo { task: of.into() },
            Event::Joined(joined) => Self::Joined {
                worker: WorkerId(joined.worker),
                name: joined.name.into(),
                address: joined.address.into(),
            },
            Event::Left(left) => Self::Left {
                worker: WorkerId(left.worker),
                why: left.why.map(Into::into),
            },
        })
    }
}

impl From<Answer> for v1::WhyReply {
    fn from(answer: Answer) -> Self {
        use v1::why_reply::Answer as To;
        let about = match answer.about {
            About::Task(why) => To::Task((*why).into()),
            About::Worker(why) => To::Worker((*why).into()),
            About::FormerWorker(worker) => To::FormerWorker(worker.0),
        };
        let story = answer.story.into_iter().map(|(at, happening)| v1::StoryEntry {
            at_us: at.0,
            event: Some(happening.into()),
        });
        Self {
            answer: Some(about),
            ran: answer
                .ran
                .map(|(worker, placement)| leased(worker, "", placement)),
            story: story.collect(),
            is_cut: answer.is_cut,
            now_us: answer.now.0,
        }
    }
}

impl TryFrom<v1::WhyReply> for Answer {
    type Error = ProtoError;

    fn try_from(reply: v1::WhyReply) -> Result<Self, ProtoError> {
        use v1::why_reply::Answer as From;
        let about = match reply.answer.ok_or(Malformed("an answer about nothing"))? {
            From::Task(why) => About::Task(Box::new(why.try_into()?)),
            From::Worker(why) => About::Worker(Box::new(why.try_into()?)),
            From::FormerWorker(worker) => About::FormerWorker(WorkerId(worker)),
        };
        let entry = |entry: v1::StoryEntry| {
            let event = entry.event.ok_or(Malformed("an empty entry of a story"))?;
            Ok((Time(entry.at_us), event.try_into()?))
        };
        Ok(Self {
            about,
            ran: reply.ran.map(|ran| (WorkerId(ran.worker), placement(&ran))),
            story: reply
                .story
                .into_iter()
                .map(entry)
                .collect::<Result<_, ProtoError>>()?,
            is_cut: reply.is_cut,
            now: Time(reply.now_us),
        })
    }
}
