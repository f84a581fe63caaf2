//! The end of the scheduler's process, and the next one, which goes on from the journal.

use std::collections::BTreeSet;

use graticule_engine::{
    Time,
    scheduler::{ClientId, Event, Fact, JobEvent, Restore, Sabotage},
};
use graticule_plan::{ChunkId, JobId, Key, TaskId};

use crate::{
    job::Status,
    journal::Record,
    ledger::Ledger,
    phase::{Phase, SETTLING_US},
    profile::{CrashMoment, Temper},
    rng::{Rng, Stream},
    world::{Happening, Story, World, new_scheduler},
};

/// For how long a new process waits for the workers of the one before.
const WORKERS_WAIT_US: u64 = 60_000;
/// For how long it waits for clients.
const CLIENTS_WAIT_US: u64 = 80_000;
/// After this time at most a client connects again.
const CLIENT_DELAY_US_MAX: u64 = 40_000;
/// A run's numbers begin at multiples of this.
const RUN_NUMBERS: u64 = 1 << 32;

/// What a client says when it is back: what it has and wants.
#[derive(Debug, Clone)]
pub(crate) struct Resume {
    /// The jobs of which it heard no end, with the chunks that it has.
    jobs: Vec<(JobId, Vec<ChunkId>)>,
    /// Those of which it heard nothing; it submits them again.
    pending: BTreeSet<JobId>,
    /// The kept results that it has not released.
    keys: BTreeSet<Key>,
    /// What of those it has let go.
    let_go: Vec<(Key, Vec<u64>)>,
}

/// The runs of the scheduler's process.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// The process is not there.
    pub(crate) is_down: bool,
    /// How many ended before.
    pub(crate) run: u64,
    /// What is replayed is said to nobody.
    pub(crate) is_replaying: bool,
    /// Ends the process at the next write.
    armed: Option<CrashMoment>,
    /// The wait for workers was not over when this was last looked at.
    is_restoring: bool,
    /// Chunks that are with the workers of the run before or with their clients, as those have said.
    pub(crate) there: BTreeSet<ChunkId>,
    /// All workers that may have something are awaited.
    all_awaited: bool,
    /// Some process ended before it had taken down all workers: what those had may have been begun again.
    pub(crate) some_unknown: bool,
    /// A process began anew with a job that had been given up half done, and that others still need: what it lacks is
    /// wanted only when those go on, and what it had for that may be gone by then.
    pub(crate) some_half_done: bool,
    /// A client that had scattered values did not come back: what still needed them failed, whatever of it ran.
    pub(crate) some_failed: bool,
}

impl World {
    /// Takes something down that must outlive the process.
    pub(crate) fn note(&mut self, record: Record) {
        self.journal.append(record);
        self.write_on();
    }

    fn write_on(&mut self) {
        if let Some(us) = self.journal.begin_write() {
            let run = self.runs.run;
            self.schedule(us, Happening::Written { run });
        }
    }

    /// A write to the journal has come to its end.
    pub(crate) fn on_written(&mut self, run: u64) {
        if run != self.runs.run || self.runs.is_down {
            return;
        }
        let armed = self.runs.armed.take();
        if armed == Some(CrashMoment::BeforeWrite) {
            return self.crash_scheduler();
        }
        self.journal.end_write();
        if armed == Some(CrashMoment::AfterWrite) {
            return self.crash_scheduler();
        }
        while let Some(due) = self.journal.next_due() {
            self.send_to_client(due.client, due.job, due.event);
        }
        self.write_on();
    }

    /// A crash of the scheduler is due.
    pub(crate) fn crash_due(&mut self, number: u32, moment: CrashMoment) {
        if self.phase != Phase::Chaos || self.runs.is_down {
            return;
        }
        self.tell(|| format!("fault {number}: the scheduler ends, {moment:?}"));
        match moment {
            CrashMoment::AnyTime => self.crash_scheduler(),
            CrashMoment::BeforeWrite | CrashMoment::AfterWrite => self.runs.armed = Some(moment),
        }
    }

    fn crash_scheduler(&mut self) {
        self.tell(|| "the scheduler's process ends".into());
        self.counts.restarts += 1;
        self.runs.is_down = true;
        self.runs.run += 1;
        self.runs.there.clear();
        self.scheduler = new_scheduler(&self.case, self.temper);
        self.scheduler_tick_at = None;
        self.ledger = Ledger::default();
        for link in 0..self.links.len() {
            self.cut(link, true, 0);
            self.links[link].loses_reports = true;
        }
        self.journal.crash();
        self.failed = self.journal.failed().collect();
        for client in self.clients.values_mut() {
            client.connection += 1;
            client.is_connected = false;
        }
        self.check_what_was_said();
        let workers = &self.journal.standing.workers;
        let awaited = |id| workers.contains(&id);
        let mut alive = self.nodes.iter().filter(|node| node.alive);
        self.runs.all_awaited = alive.all(|node| node.engine.id().is_none_or(awaited));
        self.runs.some_unknown |= !self.runs.all_awaited;
        let pause = self.run_rng(1).within(500..40_000);
        self.schedule(pause, Happening::SchedulerStarts);
    }

    fn run_rng(&self, nth: u64) -> Rng {
        Rng::of(self.case.seed, Stream::Restart, self.runs.run * 1000 + nth)
    }

    /// A job that was to be refused, for what it builds on went with a client that left, may be taken in after all: that the client
    /// left is told only when all jobs are taken in again.
    fn look_at_hopeless_again(&mut self) {
        let standing = &self.journal.standing;
        let is_there = |key: &Key| {
            let Some(job) = self.kept.get(key).map(|kept| kept.job) else {
                return false;
            };
            let is_over_in_vain = !matches!(standing.end_of(job), None | Some(JobEvent::Finished));
            !is_over_in_vain && standing.keys_of(job).contains(key) && !standing.is_let_go(*key)
        };
        for job in self.jobs.values_mut().filter(|job| job.is_hopeless) {
            job.is_hopeless = !job.generated.bases.iter().all(is_there);
        }
    }

    /// Of what clients have heard nothing may be lost; all else is as the journal has it.
    fn check_what_was_said(&mut self) {
        self.look_at_hopeless_again();
        let mut broken = Vec::new();
        for (&id, job) in &mut self.jobs {
            if job.status == Status::Lost {
                continue;
            }
            let standing = &self.journal.standing;
            job.acknowledged.clear();
            job.status = match standing.end_of(id) {
                Some(end) => Status::of_end(end),
                None if !standing.knows(id) => Status::Submitted,
                None if job.is_hopeless => Status::Hopeless,
                None => Status::Accepted,
            };
            if (job.told != Status::Submitted && !standing.knows(id))
                || (job.told.is_over() && !job.status.is_over())
            {
                broken.push(format!(
                    "a client was told that job {id} is {:?}, but to the journal it is {:?}",
                    job.told, job.status
                ));
            }
        }
        broken.into_iter().for_each(|why| self.fail(why));
    }

    /// The next process begins.
    pub(crate) fn start_scheduler(&mut self) {
        let restore = Restore {
            facts: self.journal.facts(),
            first_worker: self.runs.run * RUN_NUMBERS + 1,
            awaited: self.journal.standing.workers.clone(),
            wait_us: WORKERS_WAIT_US,
        };
        self.tell(|| {
            let (facts, awaited) = (restore.facts.len(), &restore.awaited);
            format!("the scheduler begins with {facts} facts and awaits {awaited:?}")
        });
        let standing = &self.journal.standing;
        let is_half_done = |job: &JobId| !matches!(standing.end_of(*job), Some(JobEvent::Finished));
        let half_done = standing.lineages().iter().any(is_half_done);
        // Those of clients that left are given up at once.
        self.runs.some_half_done |= half_done || !standing.orphaning().is_empty();
        self.runs.is_down = false;
        self.runs.is_restoring = true;
        self.settle_longer();
        let mut commands = Vec::new();
        let now = Time(self.clock + self.scheduler_ahead_us);
        self.runs.is_replaying = true;
        self.scheduler.restore(now, restore, &mut commands);
        self.do_all_for_scheduler(commands);
        self.runs.is_replaying = false;
        for client in self.journal.standing.orphaning() {
            self.tell_scheduler(Event::ClientLeft { client });
        }
        let run = self.runs.run;
        for client in self.clients.keys().copied().collect::<Vec<_>>() {
            let mut rng = self.run_rng(10 + client.0);
            if !self.clients[&client].left && rng.chance(60) && self.phase == Phase::Chaos {
                self.tell(|| format!("{client:?} does not come back"));
                self.runs.some_failed |= self.has_values(client);
                self.forget_client(client);
            }
            let delay = rng.within(50..CLIENT_DELAY_US_MAX);
            self.schedule(delay, Happening::ClientReturns { client, run });
        }
        self.tell_scheduler(Event::Tick);
    }

    /// A process that begins when all was released waits for clients and workers that are gone before it is clean.
    fn settle_longer(&mut self) {
        if let Phase::Settling { until } = &mut self.phase {
            *until = self.clock + CLIENT_DELAY_US_MAX + CLIENTS_WAIT_US + SETTLING_US;
        }
    }

    /// A client connects again; one that is gone does not.
    pub(crate) fn client_returns(&mut self, client: ClientId, run: u64) {
        if run != self.runs.run || self.runs.is_down {
            return;
        }
        if self.clients[&client].left {
            self.schedule(CLIENTS_WAIT_US, Happening::ClientGivenUp { client, run });
            return;
        }
        self.tell(|| format!("{client:?} is back"));
        self.clients
            .get_mut(&client)
            .expect("a known client")
            .is_connected = true;
        let of_client = self.jobs.iter().filter(|(_, job)| job.client == client);
        let of_client = of_client.filter(|(_, job)| job.status != Status::Lost);
        let (mut jobs, mut again, mut cancelled) = (Vec::new(), Vec::new(), Vec::new());
        for (&id, job) in of_client {
            match job.told {
                Status::Submitted => again.push(id),
                Status::Accepted => {
                    let chunk = |&(layer, block)| ChunkId {
                        job: id,
                        layer,
                        block,
                    };
                    // What stands for itself is not delivered, but kept.
                    let delivered = job.arrived.iter().filter(|(layer, _)| !job.is_apart(*layer));
                    jobs.push((id, delivered.map(chunk).collect()));
                    if job.is_cancelled {
                        cancelled.push(id);
                    }
                }
                _ => {}
            }
        }
        let of_client = |job: &JobId| self.jobs[job].client == client;
        let kept = self.kept.iter().filter(|(_, kept)| of_client(&kept.job));
        let (gone, keys): (Vec<_>, Vec<_>) = kept.partition(|(_, kept)| kept.released);
        let gone = gone.into_iter().filter(|(_, kept)| again.contains(&kept.job));
        let gone: Vec<Key> = gone.map(|(&key, _)| key).collect();
        let some = keys.iter().filter(|(_, kept)| !kept.let_go.is_empty());
        let let_go = some.map(|(key, kept)| (**key, kept.let_go.iter().copied().collect()));
        let resume = Resume {
            let_go: let_go.collect(),
            jobs,
            pending: again.iter().copied().collect(),
            keys: keys.into_iter().map(|(&key, _)| key).collect(),
        };
        self.send_resume(client, resume);
        for job in again {
            self.send_submission(job);
        }
        for key in gone {
            self.send_from_client(client, Event::KeyReleased { key });
        }
        for job in cancelled {
            self.send_from_client(client, Event::JobCancelled { job });
        }
    }

    /// The scheduler waits no longer for a client.
    pub(crate) fn client_given_up(&mut self, client: ClientId, run: u64) {
        if run == self.runs.run && !self.runs.is_down && !self.journal.standing.has_left(client) {
            self.note(Record::ClientLeft { client });
            self.tell_scheduler(Event::ClientLeft { client });
        }
    }

    /// A client's first words on a new connection.
    pub(crate) fn on_resume(&mut self, client: ClientId, resume: Resume) {
        self.tell(|| format!("{client:?} says what it has: {resume:?}"));
        let mut events = Vec::new();
        let wanted: BTreeSet<JobId> = resume.jobs.iter().map(|(job, _)| *job).collect();
        for job in self.journal.standing.jobs_of(client) {
            if resume.pending.contains(&job) {
                continue;
            }
            let keys = self.journal.standing.keys_of(job).into_iter();
            let (kept, dropped): (Vec<_>, Vec<_>) = keys.partition(|key| resume.keys.contains(key));
            for key in dropped {
                self.note(Record::Fact(Fact::KeyReleased { key }));
                events.push(Event::KeyReleased { key });
            }
            if !wanted.contains(&job) && kept.is_empty() && self.scheduler.is_running(job) {
                events.push(Event::JobCancelled { job });
            }
        }
        let is_deaf = self.is_sabotaged(Sabotage::ForgetLetGo);
        for (key, blocks) in resume.let_go.into_iter().filter(|_| !is_deaf) {
            let blocks: Vec<_> = blocks.into_iter().map(|block| block..block + 1).collect();
            self.note(Record::Fact(Fact::BlocksReleased {
                key,
                blocks: blocks.clone(),
            }));
            events.push(Event::BlocksReleased { key, blocks });
        }
        for (job, chunks) in resume.jobs {
            if self.tell_end(client, job) {
                continue;
            }
            if !self.scheduler.is_running(job) {
                self.fail(format!(
                    "{client:?} is back, but the scheduler does not know job {job}"
                ));
                return;
            }
            self.runs.there.extend(&chunks);
            for chunk in chunks {
                let record = self.jobs.get_mut(&job).expect("submitted");
                record.acknowledged.insert((chunk.layer, chunk.block));
                events.push(Event::ChunkDelivered { chunk });
            }
        }
        events.push(Event::ClientReturned { client });
        self.tell_scheduler_all(events);
    }

    /// Tells a client again how its job ended; `false` if it has not.
    fn tell_end(&mut self, client: ClientId, job: JobId) -> bool {
        let end = self.journal.standing.end_of(job).cloned();
        end.map(|event| self.say_to_client(client, job, event, true))
            .is_some()
    }

    /// A job is submitted: the number under which the shell knows it, unless it is known already.
    pub(crate) fn take_submission(&mut self, job: JobId) -> Option<JobId> {
        let client = self.jobs[&job].client;
        if self.journal.standing.knows(job) {
            self.tell(|| format!("job {job} is known already"));
            self.say_to_client(client, job, JobEvent::Accepted, true);
            if !self.tell_end(client, job) {
                self.tell_scheduler(Event::ClientReturned { client });
            }
            return None;
        }
        let job = if self.given.insert(job) {
            job
        } else {
            self.give_anew(job)
        };
        let record = &self.jobs[&job];
        let plan = record.generated.plan.clone();
        self.note(Record::Fact(Fact::JobSubmitted {
            job,
            client,
            name: format!("job {job}").into(),
            plan,
        }));
        Some(job)
    }

    /// A submission of which nothing is left gets another number: workers may have chunks of the one before.
    fn give_anew(&mut self, before: JobId) -> JobId {
        let job = JobId(before.0 % RUN_NUMBERS + self.runs.run * RUN_NUMBERS);
        self.tell(|| format!("job {before} was lost, and is job {job} now"));
        let again = self.jobs[&before].again();
        self.jobs.get_mut(&before).expect("submitted").status = Status::Lost;
        self.jobs.insert(job, again);
        self.given.insert(job);
        for kept in self.kept.values_mut().filter(|kept| kept.job == before) {
            kept.job = job;
        }
        for user in self.jobs.values_mut() {
            for base in user.builds_on.iter_mut().filter(|base| **base == before) {
                *base = job;
            }
        }
        job
    }

    /// Takes down what the engine's state says after each event.
    pub(crate) fn note_state(&mut self) {
        if !self.journal.is_written() {
            return;
        }
        // In the engine's order, since the process may end between two of them: a job is forgotten before what it reads.
        let lineages = self.journal.standing.lineages();
        let forgotten = self.scheduler.take_forgotten().into_iter();
        for job in forgotten.filter(|job| lineages.contains(job)) {
            self.note(Record::Forgotten { job });
        }
        if self.runs.is_restoring && !self.scheduler.is_restoring() {
            self.runs.is_restoring = false;
            let here = self.scheduler.worker_names();
            let missing = self.journal.standing.workers.iter().copied();
            let missing = missing.filter(|worker| !here.iter().any(|(id, _)| id == worker));
            for worker in missing.collect::<Vec<_>>() {
                self.note(Record::WorkerLeft { worker });
            }
        }
    }

    /// A worker says what it has.
    pub(crate) fn is_brought(&mut self, chunks: impl Iterator<Item = ChunkId>) {
        if self.runs.run > 0 {
            self.runs.there.extend(chunks);
        }
    }

    /// If nothing else goes wrong, what was made before the scheduler's end is not made again after it. What a job that
    /// is over left half done, and others still need, may be: nobody waits for it until those go on.
    pub(crate) fn check_not_there(&mut self, task: TaskId) {
        let is_over = self.jobs[&task.job].status.is_over();
        let is_calm = self.temper == Temper::Calm && self.runs.all_awaited;
        if is_calm && !is_over && self.runs.there.contains(&task) {
            self.fail(format!(
                "{task} is leased, which was there when the scheduler began anew"
            ));
        }
    }

    /// Whether an acceptance need not wait for the disk: the planted defect.
    pub(crate) fn is_hasty(&self, event: &JobEvent) -> bool {
        self.is_sabotaged(Sabotage::AcceptBeforeDurable) && *event == JobEvent::Accepted
    }
}
