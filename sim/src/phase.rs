//! The course of a seed: faults, healing, a look at what is kept, and the clean end.

use std::panic::{AssertUnwindSafe, catch_unwind};

use graticule_engine::scheduler::ClientId;
use graticule_plan::{ChunkId, JobId, Key};

use crate::{
    case::Case,
    client::{Client, READ_BACK_FIRST},
    counts::Counts,
    fault::{WORKERS_MAX, WORKERS_MIN},
    job::{Job, Status},
    profile::{Profile, Temper},
    rng::{Rng, Stream},
    world::{HEARTBEAT_US, Happening, Story, TIMEOUT_US, World},
};

/// The fewest tasks that a seed runs.
pub const TASKS_MIN: u64 = 200;
/// The fewest events of a seed.
pub const EVENTS_MIN: u64 = 2_000;
/// Tasks of the plans that are submitted while faults strike. Some will be cancelled, and some run more than once.
const PLANNED_TASKS: u64 = 400;
/// More than that while faults strike, and the clock may not move at all.
const CHAOS_EVENTS_MAX: u64 = 2_000_000;
/// More than that after healing, and something is stuck.
const HEALED_EVENTS_MAX: u64 = 400_000;
/// Longer than that after healing, and something is stuck.
const HEALED_US_MAX: u64 = 600_000_000;
/// Time for what is kept to be made anew.
const REMAKING_US_MAX: u64 = 20 * TIMEOUT_US;
/// Time for the last messages.
pub(crate) const SETTLING_US: u64 = 20 * HEARTBEAT_US;

/// Where a seed's course stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Faults strike.
    Chaos,
    /// They have stopped, and all jobs must come to their ends.
    Recovery,
    /// What is kept is read back.
    ReadingBack,
    /// All is released, and until this time the last messages may arrive.
    Settling { until: u64 },
    /// All was checked.
    Over,
}

/// What became of a case.
#[derive(Debug)]
pub(crate) struct Ending {
    /// What did not hold.
    pub(crate) failure: Option<String>,
    pub(crate) counts: Counts,
    pub(crate) story: Vec<String>,
    /// The faults of the story and the jobs that were submitted, by number.
    pub(crate) faults: Vec<u32>,
    pub(crate) jobs: Vec<u64>,
    /// Worker processes at the beginning.
    pub(crate) workers: u64,
}

/// Runs a case to its end; an engine's panic is a failure like others.
pub(crate) fn run(case: &Case, trace: bool) -> Ending {
    let mut world = World::new(case, trace);
    let panic = catch_unwind(AssertUnwindSafe(|| world.run())).err();
    if let Some(panic) = panic {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        world.fail(format!("panic: {}", text.unwrap_or_default()));
    }
    world.counts.virtual_us = world.clock;
    let faults = world.profile_at_first.faults(case.seed);
    Ending {
        failure: world.failure,
        counts: world.counts,
        story: world.story,
        faults: faults
            .iter()
            .map(|fault| fault.number)
            .chain(world.profile_at_first.crashes.iter().map(|crash| crash.number))
            .collect(),
        jobs: world
            .jobs
            .keys()
            .map(|job| job.0)
            .filter(|&job| job < READ_BACK_FIRST)
            .collect(),
        workers: workers_of(case),
    }
}

fn workers_of(case: &Case) -> u64 {
    let counts = match Profile::draw(case).temper {
        // The fewer there are, the more tasks end with each.
        Temper::Blaming => 2..4,
        Temper::Wild | Temper::Calm => WORKERS_MIN..WORKERS_MAX + 1,
    };
    let drawn = Rng::of(case.seed, Stream::Profile, 2).within(counts);
    case.workers.map_or(drawn, |limit| drawn.min(limit.max(1)))
}

impl World {
    fn run(&mut self) {
        self.begin();
        let mut healed_at = None;
        while self.phase != Phase::Over && self.failure.is_none() {
            if !self.step() {
                self.fail("nothing is left to happen".into());
            }
            self.next_phase();
            if self.phase == Phase::Chaos {
                if self.counts.events > CHAOS_EVENTS_MAX {
                    self.stuck();
                }
            } else {
                let (events, at) = *healed_at.get_or_insert((self.counts.events, self.clock));
                if self.counts.events - events > HEALED_EVENTS_MAX || self.clock - at > HEALED_US_MAX {
                    self.stuck();
                }
            }
        }
    }

    fn begin(&mut self) {
        let profile = self.profile.clone();
        let temper = profile.temper;
        self.tell(|| format!("a {temper:?} story of {} us, then all heals", profile.chaos_us));
        let seed = self.case.seed;
        for id in 1..=Rng::of(seed, Stream::Profile, 1).within(1..4) {
            let id = ClientId(id);
            self.clients.insert(id, Client::new(seed, id));
        }
        for origin in 0..workers_of(&self.case) {
            self.start_worker(origin);
        }
        for fault in profile.faults(seed) {
            if !self.case.without.contains(&fault.number) {
                self.schedule_at(fault.at, Happening::Strike { fault, tries: 0 });
            }
        }
        for crash in &profile.crashes {
            if !self.case.without.contains(&crash.number) {
                let (fault, moment) = (crash.number, crash.moment);
                self.schedule_at(crash.at, Happening::SchedulerEnds { fault, moment });
            }
        }
        self.schedule(1, Happening::Submit { job: 1 });
        self.schedule(profile.chaos_us, Happening::Heal);
    }

    /// Submits a job and comes back for the next, until enough tasks are planned.
    pub(crate) fn submit_in_chaos(&mut self, job: u64) {
        if self.phase != Phase::Chaos || self.planned_tasks >= PLANNED_TASKS {
            return;
        }
        if self
            .case
            .only_jobs
            .as_ref()
            .is_none_or(|jobs| jobs.contains(&job))
        {
            self.submit(job);
        }
        let mut rng = Rng::of(self.case.seed, Stream::Submission, job);
        let delay = rng.within(1..self.profile.chaos_us / 8);
        self.schedule(delay, Happening::Submit { job: job + 1 });
    }

    fn next_phase(&mut self) {
        match self.phase {
            Phase::Chaos | Phase::Over => {}
            Phase::Recovery if self.all_over() => self.more_or_read_back(),
            Phase::ReadingBack if self.all_over() && self.all_heard() => {
                if self.kept_is_there() {
                    self.release_all();
                    self.phase = Phase::Settling {
                        until: self.clock + SETTLING_US,
                    };
                }
            }
            Phase::Recovery | Phase::ReadingBack => {}
            Phase::Settling { until } if self.clock >= until => {
                self.check_clean();
                self.phase = Phase::Over;
            }
            Phase::Settling { .. } => {}
        }
    }

    fn all_over(&self) -> bool {
        let mut clients = self.clients.values();
        let are_here = clients.all(|client| client.left || client.is_connected);
        are_here
            && !self.runs.is_down
            && self
                .jobs
                .values()
                .all(|job| job.status.is_over() || self.clients[&job.client].left)
    }

    fn more_or_read_back(&mut self) {
        let is_short = self.counts.tasks < TASKS_MIN || self.counts.events < EVENTS_MIN;
        let more = match &self.case.only_jobs {
            None => Some(self.next_job).filter(|_| is_short),
            Some(jobs) => jobs.range(self.next_job..).next().copied(),
        };
        if let Some(job) = more {
            self.submit(job);
            return;
        }
        for key in self.keys_to_be_there() {
            // What was let go would be made again.
            if self.kept[&key].let_go.is_empty() {
                self.submit_read_back(key);
            }
        }
        self.phase = Phase::ReadingBack;
    }

    /// Names of results that the cluster must still hold.
    fn keys_to_be_there(&self) -> Vec<Key> {
        let there = self
            .kept
            .iter()
            .filter(|(_, kept)| !kept.released && self.jobs[&kept.job].status == Status::Finished);
        there.map(|(&key, _)| key).collect()
    }

    /// Whether all that is kept is there. A worker whose time to leave was over may just have taken some along: then the
    /// scheduler must have it made anew.
    fn kept_is_there(&mut self) -> bool {
        let Some(missing) = self.missing_of_kept() else {
            return true;
        };
        let since = *self.missing_since.get_or_insert(self.clock);
        if self.clock - since > REMAKING_US_MAX {
            self.fail(missing);
        }
        false
    }

    fn missing_of_kept(&self) -> Option<String> {
        let missing = |key: Key| {
            let kept = &self.kept[&key];
            let (job, layer) = (kept.job, kept.layer);
            if self.scheduler.kept(key).is_none() {
                return Some(format!(
                    "result {key} of job {job} is gone, and nobody released it"
                ));
            }
            if let Some(block) = kept
                .let_go
                .iter()
                .find(|&&block| self.scheduler.keeps(key, block))
            {
                return Some(format!(
                    "block {block} of result {key} of job {job} was let go, and is kept"
                ));
            }
            let blocks = (0..kept.base.grid.block_count()).filter(|block| !kept.let_go.contains(block));
            let mut chunks = blocks
                .map(|block| ChunkId { job, layer, block })
                .filter(|chunk| !self.failed.contains(chunk));
            let there = |chunk: &ChunkId| {
                let mut alive = self.nodes.iter().filter(|n| n.alive);
                alive.any(|n| n.store.contains_key(chunk))
            };
            let lost = chunks.find(|chunk| !there(chunk))?;
            Some(format!("kept chunk {lost} is on no worker"))
        };
        self.keys_to_be_there().into_iter().find_map(missing)
    }

    fn release_all(&mut self) {
        for key in self.keys_to_be_there() {
            if Rng::of(self.case.seed, Stream::Client, key.0 as u64).chance(500) {
                self.release(key);
            }
        }
        let here = self.clients.iter().filter(|(_, client)| !client.left);
        for client in here.map(|(&id, _)| id).collect::<Vec<_>>() {
            self.client_leaves(client);
        }
    }

    /// Whether all clients that are here have heard of the ends of their jobs.
    fn all_heard(&self) -> bool {
        let heard = |(&id, job): (&JobId, &Job)| {
            job.status == Status::Lost
                || (job.told.is_over() && (job.told != Status::Finished || self.knows_calls(id)))
        };
        self.jobs
            .iter()
            .all(|job| heard(job) || self.clients[&job.1.client].left)
    }

    fn check_clean(&mut self) {
        let leases = self.ledger.lease_count();
        if leases > 0 {
            self.fail(format!("all is over, but {leases} leases are in force"));
        }
        let Counts {
            remade, late, closed, ..
        } = self.counts;
        let runs = &self.runs;
        let remade_twice = u64::from(!runs.some_unknown && !runs.some_half_done) * remade;
        let late_reports = u64::from(!runs.some_unknown && !runs.some_failed) * late;
        let again = remade_twice + late_reports;
        if self.temper == Temper::Calm && again + closed > 0 {
            self.fail(format!(
                "nothing went wrong, but {remade} tasks ran again, {late} reports were late and {closed} connections \
                 were ended"
            ));
        }
        let counted = self.scheduler.late_count();
        if self.temper == Temper::Calm && self.counts.restarts == 0 && counted != late {
            self.fail(format!(
                "{late} reports were late, and the scheduler counted {counted}"
            ));
        }
        if !self.scheduler.is_clean() {
            let names = self
                .kept
                .keys()
                .filter(|&&key| self.scheduler.kept(key).is_some());
            let names: Vec<String> = names
                .map(|key| format!("{key} of job {}", self.kept[key].job))
                .collect();
            let running: Vec<String> = self
                .scheduler
                .running_jobs()
                .map(|(job, _)| job.to_string())
                .collect();
            self.fail(format!(
                "all was released, but the scheduler still has jobs {running:?} and results {names:?}, or more"
            ));
        }
        for at in 0..self.nodes.len() {
            let node = &self.nodes[at];
            if !node.alive {
                continue;
            }
            if let Err(why) = node.engine.check_clean() {
                self.fail(format!("all was released, but worker process {at} {why}"));
                return;
            }
            let (held, stored, runs) = (node.engine.inventory().len(), node.store.len(), node.runs.len());
            let runs = runs + node.copies.len();
            if node.engine.is_retiring() {
                self.fail(format!("all was released, but worker process {at} still retires"));
                return;
            }
            if !node.tables.is_empty() {
                let count = node.tables.len();
                self.fail(format!(
                    "all was released, but worker process {at} has {count} side tables"
                ));
                return;
            }
            if held + stored + runs > 0 {
                self.fail(format!(
                    "all was released, but worker process {at} holds {held} chunks, stores {stored} and has {runs} runs"
                ));
            }
        }
    }

    fn stuck(&mut self) {
        let open: Vec<String> = self
            .jobs
            .iter()
            .filter(|(_, job)| !(job.status.is_over() && job.told.is_over()))
            .map(|(id, job)| format!("job {id} is {:?}, as its client heard {:?}", job.status, job.told))
            .collect();
        let progress: Vec<String> = self
            .jobs
            .keys()
            .flat_map(|&id| {
                self.scheduler
                    .progress(id)
                    .into_iter()
                    .map(move |layer| (id, layer))
            })
            .map(|(id, layer)| {
                format!(
                    "{id}/{}: {} of {} finished, {} leased",
                    layer.layer, layer.finished_count, layer.task_count, layer.leased_count
                )
            })
            .collect();
        let missing = self.jobs.iter().filter(|(_, job)| !job.status.is_over());
        let why = missing
            .filter_map(|(&id, _)| self.scheduler.first_missing(id).ok())
            .filter_map(|task| self.scheduler.why(task).ok());
        let why: Vec<String> = why.map(|why| why.to_string()).collect();
        let (open, progress, why) = (open.join(", "), progress.join("; "), why.join("; "));
        self.fail(format!("stuck: {open}; {progress}; {why}"));
    }
}
