//! A scheduler's journal: what its records say, and their bytes.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use graticule_engine::{Incarnation, scheduler::ClientId};
use graticule_plan::{Digest, JobId, Key, LayerId, Output, Plan, PlanBuilder, TaskId, WorkerId};
use prost::Message as _;

use crate::{
    ClientToken, Dataset, ProtoError,
    plan::{digest, from_kept_blocks, kept_blocks, key, key_bytes, table},
    v1,
    worker::checked_table,
};

use ProtoError::Malformed;

/// One fact that outlives the scheduler's process.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A run of the scheduler began.
    Opened {
        /// The same for all runs on one journal: workers keep what they hold.
        incarnation: Incarnation,
        /// The first number that this run gives to jobs, clients, workers and sessions.
        first_number: u64,
    },
    /// A client came for the first time.
    ClientOpened {
        /// Its number.
        client: ClientId,
        /// What it proves itself with when it comes back.
        token: ClientToken,
    },
    /// A plan was taken in.
    JobSubmitted {
        /// The job.
        job: JobId,
        /// Whose it is.
        client: ClientId,
        /// The client's own number for it.
        submission: u64,
        /// A name for people.
        name: Arc<str>,
        /// The plan.
        plan: Arc<Plan>,
    },
    /// A job is over.
    JobEnded {
        /// The job.
        job: JobId,
        /// Whose it is.
        client: ClientId,
        /// The client's own number for it.
        submission: u64,
        /// How it ended.
        end: JobEnd,
    },
    /// A client no longer needs a kept result.
    KeyReleased {
        /// Its name.
        key: Key,
    },
    /// A client no longer needs blocks of a kept result that stand for themselves.
    BlocksReleased {
        /// The result's name.
        key: Key,
        /// The blocks.
        blocks: Vec<Range<u64>>,
    },
    /// A block that stands for itself could not be made.
    BlockFailed {
        /// The block.
        task: TaskId,
        /// What its client was told.
        message: Arc<str>,
    },
    /// Results were published under a name.
    DatasetPublished(Dataset),
    /// A name stands for nothing any more.
    DatasetForgotten {
        /// The name.
        name: Arc<str>,
    },
    /// Nothing of a job is kept or needed any more.
    JobForgotten {
        /// The job.
        job: JobId,
    },
    /// A client is gone for good.
    ClientLeft {
        /// The client.
        client: ClientId,
    },
    /// A worker connected.
    WorkerJoined {
        /// The worker.
        worker: WorkerId,
    },
    /// A worker's connection is over.
    WorkerLeft {
        /// The worker.
        worker: WorkerId,
    },
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    /// All outputs were kept or delivered.
    Finished,
    /// It could not be finished.
    Failed {
        /// For a person: the cause, and where it happened.
        message: Arc<str>,
    },
    /// It was cancelled.
    Cancelled,
}

/// Turns records into the bytes of batches. A side table is written once, before the first job that needs it.
#[derive(Debug, Default)]
pub struct RecordEncoder {
    tables: BTreeSet<Digest>,
}

impl RecordEncoder {
    /// Appends a batch's bytes for one more record. The bytes of several, one after the other, are a batch too.
    pub fn encode(&mut self, record: &Record, bytes: &mut Vec<u8>) {
        use v1::journal_record::Record as Said;
        let mut records = Vec::new();
        if let Record::JobSubmitted { plan, .. } = record {
            let new = plan
                .tables()
                .iter()
                .filter(|(digest, _)| self.tables.insert(**digest));
            records.extend(new.map(|(digest, content)| Said::Table(table(*digest, content))));
        }
        records.push(said(record));
        let records = records
            .into_iter()
            .map(|record| v1::JournalRecord { record: Some(record) });
        let batch = v1::JournalBatch {
            records: records.collect(),
        };
        batch.encode(bytes).expect("a vector takes all bytes");
    }
}

/// Turns the bytes of a file's batches into records, in their order.
#[derive(Debug, Default)]
pub struct RecordDecoder {
    tables: BTreeMap<Digest, Arc<[u8]>>,
}

impl RecordDecoder {
    /// The records of one batch.
    ///
    /// # Errors
    /// [`ProtoError`] if these are no records that this build understands.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Vec<Record>, ProtoError> {
        let batch = v1::JournalBatch::decode(bytes).map_err(|_| Malformed("no batch of a journal"))?;
        let mut records = Vec::with_capacity(batch.records.len());
        for record in batch.records {
            let record = record
                .record
                .ok_or(Malformed("a record of a kind that is not known"))?;
            records.extend(self.take(record)?);
        }
        Ok(records)
    }

    fn take(&mut self, record: v1::journal_record::Record) -> Result<Option<Record>, ProtoError> {
        use v1::journal_record::Record as Said;
        Ok(Some(match record {
            Said::Opened(opened) => Record::Opened {
                incarnation: Incarnation(opened.incarnation),
                first_number: opened.first_number,
            },
            Said::ClientOpened(client) => Record::ClientOpened {
                client: ClientId(client.client),
                token: ClientToken::try_from(&client.token[..])?,
            },
            Said::Table(table) => {
                let (digest, content) = checked_table(table)?;
                self.tables.insert(digest, content);
                return Ok(None);
            }
            Said::JobSubmitted(job) => Record::JobSubmitted {
                job: JobId(job.job),
                client: ClientId(job.client),
                submission: job.submission,
                plan: Arc::new(self.plan(&job.tables, job.layers, job.outputs)?),
                name: job.name.into(),
            },
            Said::JobEnded(ended) => Record::JobEnded {
                job: JobId(ended.job),
                client: ClientId(ended.client),
                submission: ended.submission,
                end: end(&ended)?,
            },
            Said::KeyReleased(bytes) => Record::KeyReleased { key: key(&bytes)? },
            Said::BlocksReleased(kept) => {
                let (key, blocks) = from_kept_blocks(kept)?;
                Record::BlocksReleased { key, blocks }
            }
            Said::BlockFailed(failed) => Record::BlockFailed {
                task: TaskId {
                    job: JobId(failed.job),
                    layer: LayerId(failed.layer),
                    block: failed.block,
                },
                message: failed.message.into(),
            },
            Said::DatasetPublished(dataset) => Record::DatasetPublished(Dataset {
                name: dataset.name.into(),
                content: dataset.content,
                keys: crate::dataset::keys(&dataset.keys)?,
            }),
            Said::DatasetForgotten(name) => Record::DatasetForgotten { name: name.into() },
            Said::JobForgotten(job) => Record::JobForgotten { job: JobId(job) },
            Said::ClientLeft(client) => Record::ClientLeft {
                client: ClientId(client),
            },
            Said::WorkerJoined(worker) => Record::WorkerJoined {
                worker: WorkerId(worker),
            },
            Said::WorkerLeft(worker) => Record::WorkerLeft {
                worker: WorkerId(worker),
            },
        }))
    }

    fn plan(
        &self,
        tables: &[bytes::Bytes],
        layers: Vec<v1::Layer>,
        outputs: Vec<v1::Output>,
    ) -> Result<Plan, ProtoError> {
        let mut plan = PlanBuilder::new();
        for name in tables {
            let content = self.tables.get(&digest(name)?);
            let content = content.ok_or(Malformed("a job without one of its side tables"))?;
            plan.table(content.clone());
        }
        for layer in layers {
            plan.layer(layer.try_into()?)?;
        }
        for output in outputs {
            plan.output(Output::try_from(output)?)?;
        }
        Ok(plan.finish())
    }
}

fn said(record: &Record) -> v1::journal_record::Record {
    use v1::journal_record::Record as Said;
    match record {
        Record::Opened {
            incarnation,
            first_number,
        } => Said::Opened(v1::JournalOpened {
            incarnation: incarnation.0,
            first_number: *first_number,
        }),
        Record::ClientOpened { client, token } => Said::ClientOpened(v1::JournalClient {
            client: client.0,
            token: token.bytes(),
        }),
        Record::JobSubmitted {
            job,
            client,
            submission,
            name,
            plan,
        } => Said::JobSubmitted(v1::JournalJob {
            job: job.0,
            client: client.0,
            submission: *submission,
            name: name.to_string(),
            tables: plan
                .tables()
                .keys()
                .map(|digest| bytes::Bytes::copy_from_slice(&digest.0))
                .collect(),
            layers: plan.layers().iter().map(Into::into).collect(),
            outputs: plan.outputs().iter().map(Into::into).collect(),
        }),
        Record::JobEnded {
            job,
            client,
            submission,
            end,
        } => {
            use v1::journal_end::Outcome;
            let (outcome, message) = match end {
                JobEnd::Finished => (Outcome::Finished, String::new()),
                JobEnd::Failed { message } => (Outcome::Failed, message.to_string()),
                JobEnd::Cancelled => (Outcome::Cancelled, String::new()),
            };
            Said::JobEnded(v1::JournalEnd {
                job: job.0,
                client: client.0,
                submission: *submission,
                outcome: outcome.into(),
                message,
            })
        }
        Record::KeyReleased { key } => Said::KeyReleased(key_bytes(*key)),
        Record::BlocksReleased { key, blocks } => Said::BlocksReleased(kept_blocks(*key, blocks)),
        Record::BlockFailed { task, message } => Said::BlockFailed(v1::JournalBlockFailed {
            job: task.job.0,
            layer: task.layer.0,
            block: task.block,
            message: message.to_string(),
        }),
        Record::DatasetPublished(dataset) => Said::DatasetPublished(v1::JournalDataset {
            name: dataset.name.to_string(),
            content: dataset.content.clone(),
            keys: dataset.keys.iter().copied().map(key_bytes).collect(),
        }),
        Record::DatasetForgotten { name } => Said::DatasetForgotten(name.to_string()),
        Record::JobForgotten { job } => Said::JobForgotten(job.0),
        Record::ClientLeft { client } => Said::ClientLeft(client.0),
        Record::WorkerJoined { worker } => Said::WorkerJoined(worker.0),
        Record::WorkerLeft { worker } => Said::WorkerLeft(worker.0),
    }
}

fn end(ended: &v1::JournalEnd) -> Result<JobEnd, ProtoError> {
    use v1::journal_end::Outcome;
    let outcome = Outcome::try_from(ended.outcome);
    Ok(
        match outcome.map_err(|_| Malformed("an end of a kind that is not known"))? {
            Outcome::Finished => JobEnd::Finished,
            Outcome::Failed => JobEnd::Failed {
                message: ended.message.as_str().into(),
            },
            Outcome::Cancelled => JobEnd::Cancelled,
        },
    )
}
