//! The course of a seed: faults, healing, a look at what is kept, and the clean end.

use graticule_engine::scheduler::{ClientId, Sabotage};
use graticule_plan::{ChunkId, Key};

use crate::{
    client::{Client, Status},
    fault::{WORKERS_MAX, WORKERS_MIN},
    world::{Counts, HEARTBEAT_US, Happening, Story, TIMEOUT_US, World},
};

/// The fewest tasks that a seed runs.
pub const TASKS_MIN: u64 = 200;
/// The fewest events of a seed.
pub const EVENTS_MIN: u64 = 2_000;
/// Tasks of the plans that are submitted while faults strike. Some will be cancelled, and some run more than once.
const PLANNED_TASKS: u64 = 400;
/// More than that after healing, and something is stuck.
const HEALED_EVENTS_MAX: u64 = 400_000;
/// Longer than that after healing, and something is stuck.
const HEALED_US_MAX: u64 = 600_000_000;
/// Time for what is kept to be made anew.
const REMAKING_US_MAX: u64 = 20 * TIMEOUT_US;
/// Time for the last messages.
const SETTLING_US: u64 = 20 * HEARTBEAT_US;

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

/// Why a seed failed, and its story so far.
#[derive(Debug, Clone)]
pub(crate) struct Fall {
    pub(crate) why: String,
    pub(crate) story: Vec<String>,
}

pub(crate) fn run(seed: u64, sabotage: Sabotage, trace: bool) -> Result<(Counts, Vec<String>), Fall> {
    let mut world = World::new(seed, sabotage, trace);
    world.begin();
    let mut healed_at = None;
    while world.phase != Phase::Over && world.failure.is_none() {
        if !world.step() {
            world.fail("nothing is left to happen".into());
        }
        world.next_phase();
        if world.phase != Phase::Chaos {
            let (events, at) = *healed_at.get_or_insert((world.counts.events, world.clock));
            if world.counts.events - events > HEALED_EVENTS_MAX || world.clock - at > HEALED_US_MAX {
                world.stuck();
            }
        }
    }
    world.counts.virtual_us = world.clock;
    match world.failure {
        None => Ok((world.counts, world.story)),
        Some(why) => Err(Fall {
            why,
            story: world.story,
        }),
    }
}

impl World {
    fn begin(&mut self) {
        let profile = self.profile;
        self.tell(|| format!("{profile:?}"));
        for id in 1..=self.rng.within(1..4) {
            self.clients.insert(ClientId(id), Client::default());
        }
        for _ in 0..self.rng.within(WORKERS_MIN..WORKERS_MAX + 1) {
            self.start_worker();
        }
        self.schedule(1, Happening::Submit);
        self.schedule(profile.chaos_us, Happening::Heal);
        self.strike_later();
    }

    /// Submits a plan and comes back for more, until enough tasks are planned.
    pub(crate) fn submit_in_chaos(&mut self) {
        if self.phase == Phase::Chaos && self.planned_tasks < PLANNED_TASKS {
            self.submit();
            let delay = self.rng.within(1..self.profile.chaos_us / 8);
            self.schedule(delay, Happening::Submit);
        }
    }

    fn next_phase(&mut self) {
        match self.phase {
            Phase::Chaos | Phase::Over => {}
            Phase::Recovery if self.all_over() => self.more_or_read_back(),
            Phase::ReadingBack if self.all_over() => {
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
        self.jobs
            .values()
            .all(|job| job.status.is_over() || self.clients[&job.client].left)
    }

    fn more_or_read_back(&mut self) {
        if self.counts.tasks < TASKS_MIN || self.counts.events < EVENTS_MIN {
            self.submit();
            return;
        }
        for key in self.keys_to_be_there() {
            self.submit_read_back(key);
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
            let mut chunks = (0..kept.base.grid.block_count()).map(|block| ChunkId { job, layer, block });
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
            if self.rng.chance(500) {
                self.release(key);
            }
        }
        let here = self.clients.iter().filter(|(_, client)| !client.left);
        for client in here.map(|(&id, _)| id).collect::<Vec<_>>() {
            self.client_leaves(client);
        }
    }

    fn check_clean(&mut self) {
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
            let (held, stored, runs) = (node.engine.inventory().len(), node.store.len(), node.runs.len());
            let runs = runs + node.copies.len();
            if node.engine.is_retiring() {
                self.fail(format!("all was released, but worker process {at} still retires"));
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
            .filter(|(_, job)| !job.status.is_over())
            .map(|(id, job)| format!("job {id} is {:?}", job.status))
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
        self.fail(format!("stuck: {}; {}", open.join(", "), progress.join("; ")));
    }
}
