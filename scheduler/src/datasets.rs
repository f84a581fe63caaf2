//! Results that have names for all clients. The scheduler holds on to them in the stead of the clients that made them: what
//! such a client lets go of waits until the name is gone, also if the client itself is.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use graticule_engine::scheduler::{ClientId, Event};
use graticule_plan::{JobId, Key};
use graticule_proto::{Dataset, DatasetAnswer, DatasetError, DatasetRequest, Record};
use tokio::sync::oneshot;
use tracing::info;

use crate::{actor::Actor, conversation::refusal, journal::Journal};

/// Bytes of what a name stands for: a description, not the data.
pub const DATASET_BYTES_MAX: usize = 8 << 20;
/// Bytes of a name.
pub const DATASET_NAME_BYTES_MAX: usize = 256;
/// Names that there may be.
pub const DATASET_COUNT_MAX: usize = 1_024;

type Answer = Result<DatasetAnswer, DatasetError>;

/// What a name, and nobody else, keeps.
#[derive(Debug, Default)]
pub(crate) struct Datasets {
    /// Results that their clients have let go of.
    held_back: BTreeSet<Key>,
    /// Jobs that their clients have cancelled, and which make results with names.
    cancelled: BTreeSet<JobId>,
    /// Clients that are gone, and have made some of them.
    gone: BTreeSet<ClientId>,
    /// Answers that wait for the records with these numbers.
    waiting: VecDeque<(u64, oneshot::Sender<Answer>, DatasetAnswer)>,
}

impl Actor {
    /// Answers a client about names, once what it changes is on the disk.
    pub(crate) fn take_dataset(
        &mut self,
        request: DatasetRequest,
        reply: oneshot::Sender<Answer>,
        events: &mut Vec<Event>,
    ) {
        let answer = match request {
            DatasetRequest::Publish { dataset, replaces } => self.publish(dataset, replaces, events),
            DatasetRequest::Unpublish { name } => self.unpublish(&name, events),
            DatasetRequest::Content { name } => self.known(&name).map(|dataset| DatasetAnswer {
                content: dataset.content.clone(),
                ..DatasetAnswer::default()
            }),
            DatasetRequest::Names => Ok(DatasetAnswer {
                names: self
                    .standing
                    .datasets()
                    .map(|dataset| dataset.name.clone())
                    .collect(),
                ..DatasetAnswer::default()
            }),
        };
        let (needs, durable) = self.needs();
        match answer {
            Ok(answer) if needs > durable => self.datasets.waiting.push_back((needs, reply, answer)),
            // Whoever asked may be gone.
            answer => drop(reply.send(answer)),
        }
    }

    fn known(&self, name: &Arc<str>) -> Result<&Dataset, DatasetError> {
        self.standing.dataset(name).ok_or_else(|| DatasetError::Unknown {
            name: name.clone(),
            known: self
                .standing
                .datasets()
                .map(|dataset| dataset.name.clone())
                .collect(),
        })
    }

    fn publish(&mut self, dataset: Dataset, replaces: bool, events: &mut Vec<Event>) -> Answer {
        let before = self
            .standing
            .dataset(&dataset.name)
            .map(|before| before.keys.clone());
        if before.is_some() && !replaces {
            return Err(DatasetError::Taken { name: dataset.name });
        }
        if let Some(why) = self.refuses(&dataset, before.is_some()) {
            return Err(DatasetError::Refused { why });
        }
        info!(name = %dataset.name, results = dataset.keys.len(), bytes = dataset.content.len(), "dataset published");
        self.note(Record::DatasetPublished(dataset));
        self.let_go_unnamed(&before.unwrap_or_default(), events);
        Ok(DatasetAnswer::default())
    }

    fn refuses(&self, dataset: &Dataset, is_there: bool) -> Option<String> {
        let Dataset { name, content, keys } = dataset;
        if let Some(why) = self.journal.as_ref().and_then(Journal::refuses) {
            return Some(refusal(&why).to_string());
        }
        if name.is_empty() || name.len() > DATASET_NAME_BYTES_MAX {
            let len = name.len();
            return Some(format!(
                "a dataset's name has 1 to {DATASET_NAME_BYTES_MAX} bytes, this one {len}"
            ));
        }
        if content.len() > DATASET_BYTES_MAX {
            let len = content.len();
            return Some(format!(
                "the dataset {name:?} is written down in {len} bytes, {DATASET_BYTES_MAX} are allowed; persist its \
                 arrays, so that it refers to them"
            ));
        }
        if !is_there && self.standing.datasets().count() >= DATASET_COUNT_MAX {
            return Some(format!(
                "there are {DATASET_COUNT_MAX} datasets already; unpublish some"
            ));
        }
        let unknown = keys.iter().find(|key| self.engine.keeper_of(**key).is_none())?;
        Some(format!(
            "the dataset {name:?} refers to the result {unknown}, which is not kept here: it was released, or another \
             cluster has it; persist it by a client of this one"
        ))
    }

    fn unpublish(&mut self, name: &Arc<str>, events: &mut Vec<Event>) -> Answer {
        let keys = self.known(name)?.keys.clone();
        info!(%name, "dataset unpublished");
        self.note(Record::DatasetForgotten { name: name.clone() });
        self.let_go_unnamed(&keys, events);
        Ok(DatasetAnswer::default())
    }

    /// Lets go of those results that no name stands for any more, if their clients have.
    fn let_go_unnamed(&mut self, keys: &[Key], events: &mut Vec<Event>) {
        for &key in keys {
            if !self.standing.is_published(key) && self.datasets.held_back.remove(&key) {
                self.note(Record::KeyReleased { key });
                events.push(Event::KeyReleased { key });
            }
        }
        for job in std::mem::take(&mut self.datasets.cancelled) {
            self.cancel_job(job, events);
        }
        let gone: Vec<ClientId> = self.datasets.gone.iter().copied().collect();
        for client in gone {
            if !self.has_named(client) {
                self.datasets.gone.remove(&client);
                self.note(Record::ClientLeft { client });
                events.push(Event::ClientLeft { client });
            }
        }
    }

    /// Whether some result of a client has a name.
    pub(crate) fn has_named(&self, client: ClientId) -> bool {
        let kept = self.engine.kept_of(client);
        kept.iter()
            .flat_map(|(_, keys)| keys)
            .any(|key| self.standing.is_published(*key))
    }

    /// A client has no use for what a job makes: it ends at once, or when nothing of it has a name any more.
    pub(crate) fn cancel_job(&mut self, job: JobId, events: &mut Vec<Event>) {
        if !self
            .engine
            .kept_by(job)
            .any(|key| self.standing.is_published(key))
        {
            events.push(Event::JobCancelled { job });
        } else if self.engine.is_running(job) {
            self.datasets.cancelled.insert(job);
        }
    }

    /// A client lets go of a result: at once, or when it has no name any more.
    pub(crate) fn release_key(&mut self, key: Key, events: &mut Vec<Event>) {
        if self.standing.is_published(key) {
            self.datasets.held_back.insert(key);
        } else {
            self.note(Record::KeyReleased { key });
            events.push(Event::KeyReleased { key });
        }
    }

    /// A client is gone, some results of which have names: all else of it ends.
    pub(crate) fn leave_named(&mut self, client: ClientId, events: &mut Vec<Event>) {
        info!(client = client.0, "client is gone, what it published stays");
        for (job, keys) in self.engine.kept_of(client) {
            self.cancel_job(job, events);
            keys.into_iter().for_each(|key| self.release_key(key, events));
        }
        self.datasets.gone.insert(client);
    }

    /// Answers what waited for the disk, or cannot be written there.
    pub(crate) fn answer_about_datasets(&mut self, durable: u64, failure: Option<&str>) {
        let waiting = &mut self.datasets.waiting;
        let is_due = |(needs, ..): &(u64, _, _)| *needs <= durable || failure.is_some();
        let due = waiting.iter().take_while(|waiting| is_due(waiting)).count();
        for (needs, reply, answer) in waiting.drain(..due) {
            let answer = match failure {
                Some(why) if needs > durable => Err(DatasetError::Refused {
                    why: refusal(why).to_string(),
                }),
                _ => Ok(answer),
            };
            drop(reply.send(answer));
        }
    }
}
