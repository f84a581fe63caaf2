//! The journal of the scheduler's shell: what it takes down, how far the disk is, and what waits for it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use graticule_engine::scheduler::{ClientId, Fact, JobEvent};
use graticule_plan::{JobId, Key, TaskId, WorkerId};

use crate::rng::Rng;

/// Something that outlives the scheduler's process.
#[derive(Debug, Clone)]
pub(crate) enum Record {
    /// What the engine replays.
    Fact(Fact),
    /// How a job ended.
    Ended {
        job: JobId,
        event: JobEvent,
    },
    /// Nobody needs a job any more.
    Forgotten {
        job: JobId,
    },
    ClientLeft {
        client: ClientId,
    },
    WorkerJoined {
        worker: WorkerId,
    },
    WorkerLeft {
        worker: WorkerId,
    },
}

/// Something that a client is told when the disk is that far.
#[derive(Debug)]
pub(crate) struct Waiting {
    needs: usize,
    pub(crate) client: ClientId,
    pub(crate) job: JobId,
    pub(crate) event: JobEvent,
}

/// The records of all runs, and those of them that are on the disk.
#[derive(Debug)]
pub(crate) struct Journal {
    /// How long a write takes at most; `None`: nothing is written, since nothing will be read.
    write_us_max: Option<u64>,
    rng: Rng,
    records: Vec<Record>,
    durable: usize,
    writing: Option<usize>,
    waiting: VecDeque<Waiting>,
    pub(crate) standing: Standing,
}

/// What the records say.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    jobs: BTreeMap<JobId, (ClientId, Vec<Key>)>,
    ends: BTreeMap<JobId, JobEvent>,
    forgotten: BTreeSet<JobId>,
    released: BTreeSet<Key>,
    /// Of kept results that are let go block by block, the blocks that were not.
    blocks_left: BTreeMap<Key, BTreeSet<u64>>,
    left: BTreeSet<ClientId>,
    pub(crate) workers: BTreeSet<WorkerId>,
}

impl Journal {
    pub(crate) fn new(write_us_max: Option<u64>, rng: Rng) -> Self {
        Self {
            write_us_max,
            rng,
            records: Vec::new(),
            durable: 0,
            writing: None,
            waiting: VecDeque::new(),
            standing: Standing::default(),
        }
    }

    pub(crate) fn is_written(&self) -> bool {
        self.write_us_max.is_some()
    }

    /// Takes a record down; nobody may be told of it yet.
    pub(crate) fn append(&mut self, record: Record) {
        if self.is_written() {
            self.standing.take(&record);
            self.records.push(record);
        }
    }

    /// Begins to write what has come together, if no write is under way; returns how long that takes.
    pub(crate) fn begin_write(&mut self) -> Option<u64> {
        let us_max = self.write_us_max?;
        if self.writing.is_some() || self.durable == self.records.len() {
            return None;
        }
        self.writing = Some(self.records.len());
        Some(self.rng.within(30..us_max))
    }

    /// What was being written is on the disk.
    pub(crate) fn end_write(&mut self) {
        self.durable = self.writing.take().expect("a write was under way");
    }

    /// Keeps something back until all that was taken down so far is on the disk, or gives it back to be said at once.
    ///
    /// What does not need the disk itself waits behind what its client is to be told before.
    pub(crate) fn hold_back(
        &mut self,
        client: ClientId,
        job: JobId,
        event: JobEvent,
        is_durable: bool,
    ) -> Option<JobEvent> {
        let needs = if is_durable { self.records.len() } else { 0 };
        if needs <= self.durable && !self.waiting.iter().any(|waiting| waiting.client == client) {
            return Some(event);
        }
        let after = self.waiting.back().map_or(0, |last| last.needs);
        self.waiting.push_back(Waiting {
            needs: needs.max(after),
            client,
            job,
            event,
        });
        None
    }

    /// The next thing that may be said now.
    pub(crate) fn next_due(&mut self) -> Option<Waiting> {
        let is_due = self
            .waiting
            .front()
            .is_some_and(|first| first.needs <= self.durable);
        if is_due { self.waiting.pop_front() } else { None }
    }

    /// The process has ended: what is not on the disk is gone.
    pub(crate) fn crash(&mut self) {
        self.records.truncate(self.durable);
        (self.writing, self.standing) = (None, Standing::default());
        self.waiting.clear();
        for record in &self.records {
            self.standing.take(record);
        }
    }

    /// The calls that have failed.
    pub(crate) fn failed(&self) -> impl Iterator<Item = TaskId> {
        self.records.iter().filter_map(|record| match record {
            Record::Fact(Fact::BlockFailed { task, .. }) => Some(*task),
            _ => None,
        })
    }

    /// What the next run replays.
    pub(crate) fn facts(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        for (at, record) in self.records.iter().enumerate() {
            match record {
                Record::Fact(Fact::JobSubmitted { job, .. }) if self.standing.forgotten.contains(job) => {}
                Record::Fact(fact) => facts.push(fact.clone()),
                Record::Ended { job, event } => {
                    let again = |later: &Record| matches!(later, Record::Ended { job: of, .. } if of == job);
                    let is_last = !self.records[at + 1..].iter().any(again);
                    if is_last && !self.standing.forgotten.contains(job) {
                        facts.push(fact_of(*job, event));
                    }
                }
                Record::Forgotten { .. }
                | Record::ClientLeft { .. }
                | Record::WorkerJoined { .. }
                | Record::WorkerLeft { .. } => {}
            }
        }
        facts
    }
}

fn fact_of(job: JobId, end: &JobEvent) -> Fact {
    let abandoned = |outcome| Fact::JobAbandoned { job, outcome };
    match end {
        JobEvent::Finished => Fact::JobFinished { job },
        JobEvent::Failed { .. } => abandoned("failed"),
        _ => abandoned("cancelled"),
    }
}

impl Standing {
    fn take(&mut self, record: &Record) {
        match record {
            Record::Fact(Fact::JobSubmitted {
                job, client, plan, ..
            }) => {
                let keys = plan.outputs().iter().filter_map(|output| output.keep);
                let keys: Vec<Key> = keys.collect();
                for key in &keys {
                    self.released.remove(key);
                }
                for output in plan.outputs() {
                    let layer = plan.layer(output.layer);
                    if let (Some(key), true) = (output.keep, layer.is_apart()) {
                        self.blocks_left
                            .insert(key, (0..layer.grid.block_count()).collect());
                    }
                }
                self.jobs.insert(*job, (*client, keys));
            }
            Record::Fact(Fact::KeyReleased { key }) => drop(self.released.insert(*key)),
            Record::Fact(Fact::BlocksReleased { key, blocks }) => {
                if let Some(left) = self.blocks_left.get_mut(key) {
                    left.retain(|block| !blocks.iter().any(|range| range.contains(block)));
                }
            }
            Record::Fact(Fact::JobFinished { .. } | Fact::JobAbandoned { .. } | Fact::BlockFailed { .. }) => {
            }
            Record::Ended { job, event } => drop(self.ends.insert(*job, event.clone())),
            Record::Forgotten { job } => drop(self.forgotten.insert(*job)),
            Record::ClientLeft { client } => drop(self.left.insert(*client)),
            Record::WorkerJoined { worker } => drop(self.workers.insert(*worker)),
            Record::WorkerLeft { worker } => drop(self.workers.remove(worker)),
        }
    }

    pub(crate) fn knows(&self, job: JobId) -> bool {
        self.jobs.contains_key(&job)
    }

    pub(crate) fn end_of(&self, job: JobId) -> Option<&JobEvent> {
        self.ends.get(&job)
    }

    /// Whether a client's leave was taken down.
    pub(crate) fn has_left(&self, client: ClientId) -> bool {
        self.left.contains(&client)
    }

    /// Clients that left, and of which some jobs may not have ended.
    pub(crate) fn orphaning(&self) -> Vec<ClientId> {
        let has_open = |client: &ClientId| {
            let mut open = self.jobs.iter().filter(|(job, _)| !self.forgotten.contains(job));
            open.any(|(_, (of, _))| of == client)
        };
        self.left.iter().copied().filter(has_open).collect()
    }

    pub(crate) fn jobs_of(&self, client: ClientId) -> Vec<JobId> {
        let of_client = self.jobs.iter().filter(|(_, (of, _))| *of == client);
        of_client.map(|(&job, _)| job).collect()
    }

    /// The kept results of a job that are not released.
    pub(crate) fn keys_of(&self, job: JobId) -> Vec<Key> {
        if self.forgotten.contains(&job) {
            return Vec::new();
        }
        let keys = self.jobs.get(&job).map(|(_, keys)| keys.as_slice());
        let keys = keys.unwrap_or_default().iter().copied();
        keys.filter(|key| !self.released.contains(key)).collect()
    }

    /// Whether of a kept result block after block was let go, until none was left.
    pub(crate) fn is_let_go(&self, key: Key) -> bool {
        self.blocks_left.get(&key).is_some_and(BTreeSet::is_empty)
    }

    /// Jobs that are over and not forgotten.
    pub(crate) fn lineages(&self) -> Vec<JobId> {
        let over = self.ends.keys().copied();
        over.filter(|job| !self.forgotten.contains(job)).collect()
    }
}
