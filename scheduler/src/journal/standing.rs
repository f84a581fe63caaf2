//! What stands of all that was ever recorded: the records that still matter, in their order. Pure.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use graticule_engine::{
    Incarnation,
    scheduler::{ClientId, Fact},
};
use graticule_plan::{JobId, Key, LayerId, TaskId, WorkerId};
use graticule_proto::{ClientToken, Dataset, JobEnd, Record};

/// Ended jobs of one client of which the end is remembered, should it not have heard.
const ENDS_COUNT_MAX: usize = 1024;
/// Runs begin to count at multiples of this: what an earlier run gave and could not record is never given again.
const RUN_NUMBERS: u64 = 1_000_000;

/// Where a run begins to count if all numbers given before are below this one.
pub(super) fn next_run(next_number: u64) -> u64 {
    match next_number {
        0 => 1,
        given => given.next_multiple_of(RUN_NUMBERS) + 1,
    }
}

/// Clients, jobs and workers, as records tell of them.
///
/// Each record is kept for as long as it matters to a restart, and under the number of its arrival, so that replaying
/// those that are left gives what replaying all would.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    incarnation: Option<Incarnation>,
    /// All numbers given so far are below.
    next_number: u64,
    records: BTreeMap<u64, Record>,
    record_count: u64,
    jobs: BTreeMap<JobId, Job>,
    clients: BTreeMap<ClientId, Client>,
    tokens: BTreeMap<ClientToken, ClientId>,
    keys: BTreeMap<Key, JobId>,
    /// Jobs that are over and not forgotten.
    lineages: BTreeSet<JobId>,
    workers: BTreeSet<WorkerId>,
    /// The record of each name.
    datasets: BTreeMap<Arc<str>, u64>,
    /// How many names stand for each result.
    named: BTreeMap<Key, u32>,
}

#[derive(Debug)]
struct Job {
    client: ClientId,
    submission: u64,
    /// The plan and what was released of it; empty when the job is forgotten.
    lineage: Vec<u64>,
    end: Option<u64>,
    keys: Vec<Key>,
    /// Blocks that cannot be made, as was taken down.
    failed: BTreeSet<(LayerId, u64)>,
}

#[derive(Debug)]
struct Client {
    token: ClientToken,
    record: u64,
    jobs: BTreeMap<u64, JobId>,
    /// Forgotten jobs, the oldest first.
    ended: VecDeque<JobId>,
}

impl Standing {
    /// Takes a record in.
    pub(crate) fn take(&mut self, record: Record) {
        match &record {
            &Record::Opened {
                incarnation,
                first_number,
            } => {
                self.incarnation = Some(incarnation);
                self.next_number = self.next_number.max(first_number);
            }
            &Record::ClientOpened { client, token } => {
                self.count(client.0);
                let record = self.keep(record);
                self.tokens.insert(token, client);
                let (jobs, ended) = Default::default();
                self.clients.insert(
                    client,
                    Client {
                        token,
                        record,
                        jobs,
                        ended,
                    },
                );
            }
            Record::JobSubmitted { .. } => self.submitted(record),
            &Record::JobEnded {
                job,
                client,
                submission,
                ..
            } => {
                self.count(job.0);
                let at = self.keep(record);
                let ended = self
                    .jobs
                    .entry(job)
                    .or_insert_with(|| Job::new(client, submission));
                let before = ended.end.replace(at);
                // Without its plan there is nothing to forget later.
                let is_forgotten = ended.lineage.is_empty();
                if let Some(client) = self.clients.get_mut(&client) {
                    client.jobs.insert(submission, job);
                }
                match before {
                    Some(before) => drop(self.records.remove(&before)),
                    None if is_forgotten => self.forget(job),
                    None => drop(self.lineages.insert(job)),
                }
            }
            Record::KeyReleased { key } => {
                if let Some(job) = self.keys.remove(key) {
                    let at = self.keep(record);
                    let job = self
                        .jobs
                        .get_mut(&job)
                        .expect("keys are those of jobs that stand");
                    job.lineage.push(at);
                }
            }
            Record::BlocksReleased { key, .. } => {
                if let Some(&job) = self.keys.get(key) {
                    let at = self.keep(record);
                    let job = self.jobs.get_mut(&job).expect("as above");
                    job.lineage.push(at);
                }
            }
            &Record::BlockFailed { task, .. } => {
                if self.knows_lineage(task.job) && !self.has_failed(task) {
                    let at = self.keep(record);
                    let job = self.jobs.get_mut(&task.job).expect("looked up above");
                    job.lineage.push(at);
                    job.failed.insert((task.layer, task.block));
                }
            }
            Record::DatasetPublished(dataset) => {
                self.forget_dataset(&dataset.name.clone());
                self.named(&dataset.keys.clone(), 1);
                let name = dataset.name.clone();
                let at = self.keep(record);
                self.datasets.insert(name, at);
            }
            Record::DatasetForgotten { name } => self.forget_dataset(name),
            &Record::JobForgotten { job } => {
                if self.jobs.get(&job).is_some_and(|job| !job.lineage.is_empty()) {
                    self.forget(job);
                }
            }
            &Record::ClientLeft { client } => self.left(client),
            &Record::WorkerJoined { worker } => {
                self.count(worker.0);
                self.workers.insert(worker);
            }
            Record::WorkerLeft { worker } => {
                self.workers.remove(worker);
            }
        }
    }

    /// Whether a job's plan is there.
    pub(crate) fn knows_lineage(&self, job: JobId) -> bool {
        self.jobs.get(&job).is_some_and(|job| !job.lineage.is_empty())
    }

    /// Whether it was taken down that a block cannot be made.
    pub(crate) fn has_failed(&self, task: TaskId) -> bool {
        let job = self.jobs.get(&task.job);
        job.is_some_and(|job| job.failed.contains(&(task.layer, task.block)))
    }

    fn forget_dataset(&mut self, name: &Arc<str>) {
        let at = self.datasets.remove(name);
        if let Some(Record::DatasetPublished(dataset)) = at.and_then(|at| self.records.remove(&at)) {
            self.named(&dataset.keys, -1);
        }
    }

    fn named(&mut self, keys: &[Key], change: i32) {
        for &key in keys {
            let count = self.named.entry(key).or_default();
            *count = count.saturating_add_signed(change);
            if *count == 0 {
                self.named.remove(&key);
            }
        }
    }

    fn count(&mut self, number: u64) {
        self.next_number = self.next_number.max(number.saturating_add(1));
    }

    fn keep(&mut self, record: Record) -> u64 {
        self.record_count += 1;
        self.records.insert(self.record_count, record);
        self.record_count
    }

    fn submitted(&mut self, record: Record) {
        let Record::JobSubmitted {
            job,
            client,
            submission,
            plan,
            ..
        } = &record
        else {
            unreachable!("the caller looked")
        };
        let (job, client, submission) = (*job, *client, *submission);
        let mut entry = Job::new(client, submission);
        // A name that is taken makes the plan invalid; it stays the other job's.
        let keys = plan.outputs().iter().filter_map(|output| output.keep);
        entry.keys = keys.filter(|key| !self.keys.contains_key(key)).collect();
        self.keys.extend(entry.keys.iter().map(|&key| (key, job)));
        self.count(job.0);
        entry.lineage.push(self.keep(record));
        self.jobs.insert(job, entry);
        if let Some(client) = self.clients.get_mut(&client) {
            client.jobs.insert(submission, job);
        }
    }

    /// Drops a job's lineage. Its end stays for a client that may not have heard of it.
    fn forget(&mut self, job: JobId) {
        let Some(entry) = self.jobs.get_mut(&job) else {
            return;
        };
        self.lineages.remove(&job);
        for at in std::mem::take(&mut entry.lineage) {
            self.records.remove(&at);
        }
        for key in std::mem::take(&mut entry.keys) {
            if self.keys.get(&key) == Some(&job) {
                self.keys.remove(&key);
            }
        }
        let (of, is_told) = (entry.client, entry.end.is_some());
        match self.clients.get_mut(&of) {
            Some(client) if is_told => {
                client.ended.push_back(job);
                let oldest = (client.ended.len() > ENDS_COUNT_MAX).then(|| client.ended.pop_front());
                if let Some(oldest) = oldest.flatten() {
                    self.drop_job(oldest);
                }
            }
            Some(_) | None => self.drop_job(job),
        }
    }

    fn drop_job(&mut self, job: JobId) {
        let Some(entry) = self.jobs.remove(&job) else {
            return;
        };
        if let Some(end) = entry.end {
            self.records.remove(&end);
        }
        if let Some(client) = self.clients.get_mut(&entry.client)
            && client.jobs.get(&entry.submission) == Some(&job)
        {
            client.jobs.remove(&entry.submission);
        }
    }

    fn left(&mut self, client: ClientId) {
        let Some(left) = self.clients.remove(&client) else {
            return;
        };
        self.tokens.remove(&left.token);
        self.records.remove(&left.record);
        // Those with a lineage end, and are forgotten, by records to come.
        left.ended.into_iter().for_each(|job| self.drop_job(job));
    }

    /// What a journal that begins anew must say: all that stands.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record> {
        let opened = self.incarnation.map(|incarnation| Record::Opened {
            incarnation,
            first_number: self.next_number,
        });
        let workers = self.workers.iter().map(|&worker| Record::WorkerJoined { worker });
        opened
            .into_iter()
            .chain(self.records.values().cloned())
            .chain(workers)
    }

    /// What the engine must know of it.
    pub(crate) fn facts(&self) -> Vec<Fact> {
        let has_plan = |job: &JobId| self.knows_lineage(*job);
        let fact = |record: &Record| match record {
            Record::JobSubmitted {
                job,
                client,
                name,
                plan,
                ..
            } => Some(Fact::JobSubmitted {
                job: *job,
                client: *client,
                name: name.clone(),
                plan: plan.clone(),
            }),
            Record::JobEnded { job, end, .. } if has_plan(job) => Some(match end {
                JobEnd::Finished => Fact::JobFinished { job: *job },
                JobEnd::Failed { .. } => Fact::JobAbandoned {
                    job: *job,
                    outcome: "failed",
                },
                JobEnd::Cancelled => Fact::JobAbandoned {
                    job: *job,
                    outcome: "cancelled",
                },
            }),
            Record::KeyReleased { key } => Some(Fact::KeyReleased { key: *key }),
            Record::BlocksReleased { key, blocks } => Some(Fact::BlocksReleased {
                key: *key,
                blocks: blocks.clone(),
            }),
            Record::BlockFailed { task, message } => Some(Fact::BlockFailed {
                task: *task,
                message: message.clone(),
            }),
            Record::JobEnded { .. }
            | Record::Opened { .. }
            | Record::ClientOpened { .. }
            | Record::DatasetPublished(_)
            | Record::DatasetForgotten { .. }
            | Record::JobForgotten { .. }
            | Record::ClientLeft { .. }
            | Record::WorkerJoined { .. }
            | Record::WorkerLeft { .. } => None,
        };
        self.records.values().filter_map(fact).collect()
    }

    /// What has names, by these.
    pub(crate) fn datasets(&self) -> impl Iterator<Item = &Dataset> {
        self.datasets.values().filter_map(|at| self.dataset_at(*at))
    }

    /// What a name stands for.
    pub(crate) fn dataset(&self, name: &str) -> Option<&Dataset> {
        self.dataset_at(*self.datasets.get(name)?)
    }

    fn dataset_at(&self, at: u64) -> Option<&Dataset> {
        match self.records.get(&at) {
            Some(Record::DatasetPublished(dataset)) => Some(dataset),
            _ => None,
        }
    }

    /// Whether a name stands for a result.
    pub(crate) fn is_published(&self, key: Key) -> bool {
        self.named.contains_key(&key)
    }

    /// The lineage that all runs on this journal belong to.
    pub(crate) fn incarnation(&self) -> Option<Incarnation> {
        self.incarnation
    }

    /// Where a run that has just been opened begins to count.
    pub(crate) fn first_number(&self) -> u64 {
        self.next_number.max(1)
    }

    /// Where the next run begins to count.
    pub(crate) fn next_run(&self) -> u64 {
        next_run(self.next_number)
    }

    /// Workers that are connected, or were when the last run ended.
    pub(crate) fn workers(&self) -> &BTreeSet<WorkerId> {
        &self.workers
    }

    /// The client with a token.
    pub(crate) fn client(&self, token: ClientToken) -> Option<ClientId> {
        self.tokens.get(&token).copied()
    }

    /// Whether a client may come back.
    pub(crate) fn knows(&self, client: ClientId) -> bool {
        self.clients.contains_key(&client)
    }

    /// All clients that may come back.
    pub(crate) fn clients(&self) -> impl Iterator<Item = ClientId> {
        self.clients.keys().copied()
    }

    /// Clients that left, and whose jobs were not all ended.
    pub(crate) fn orphaning_clients(&self) -> BTreeSet<ClientId> {
        let owners = self.jobs.values().map(|job| job.client);
        owners
            .filter(|client| !self.clients.contains_key(client))
            .collect()
    }

    /// The job that a submission of a client became, if it was taken in before.
    pub(crate) fn job_of(&self, client: ClientId, submission: u64) -> Option<JobId> {
        self.clients.get(&client)?.jobs.get(&submission).copied()
    }

    /// The client's own number for a job.
    pub(crate) fn submission_of(&self, job: JobId) -> Option<u64> {
        self.jobs.get(&job).map(|job| job.submission)
    }

    /// A client's jobs, with its own numbers for them.
    pub(crate) fn jobs_of(&self, client: ClientId) -> impl Iterator<Item = (u64, JobId)> {
        let jobs = self.clients.get(&client).map(|client| &client.jobs);
        jobs.into_iter()
            .flatten()
            .map(|(&submission, &job)| (submission, job))
    }

    /// The kept results of a job that are not released.
    pub(crate) fn keys_of(&self, job: JobId) -> impl Iterator<Item = Key> {
        let keys = self.jobs.get(&job).map(|job| &job.keys);
        keys.into_iter()
            .flatten()
            .copied()
            .filter(move |key| self.keys.get(key) == Some(&job))
    }

    /// How a job ended, if it did and a client may still ask.
    pub(crate) fn end_of(&self, job: JobId) -> Option<&JobEnd> {
        match self.records.get(&self.jobs.get(&job)?.end?)? {
            Record::JobEnded { end, .. } => Some(end),
            _ => None,
        }
    }

    /// Whether a job is over and its plan still there.
    pub(crate) fn is_lineage(&self, job: JobId) -> bool {
        self.lineages.contains(&job)
    }
}

impl Job {
    fn new(client: ClientId, submission: u64) -> Self {
        Self {
            client,
            submission,
            lineage: Vec::new(),
            end: None,
            keys: Vec::new(),
            failed: BTreeSet::new(),
        }
    }
}
