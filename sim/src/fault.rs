//! Faults that strike now and then, and the end of them.

use graticule_engine::{
    scheduler::Event,
    worker::{self, Config},
};

use crate::{
    client::Status,
    generate::TASK_BYTES_MAX,
    node::Node,
    phase::Phase,
    profile::Strike,
    world::{HEARTBEAT_US, Happening, Story, TIMEOUT_US, World},
};

/// How long a worker may take to leave, microseconds.
const DEADLINES_US: [u64; 4] = [1_000, 20_000, 200_000, 5_000_000];

pub(crate) const WORKERS_MIN: u64 = 3;
pub(crate) const WORKERS_MAX: u64 = 8;

impl World {
    /// Starts a worker process, perhaps at the address of one that is gone.
    pub(crate) fn start_worker(&mut self) {
        let at = self.nodes.len();
        let taken = |n: &usize| self.nodes[self.addresses[&self.nodes[*n].address]].alive;
        let gone: Vec<usize> = (0..at).filter(|n| !taken(n)).collect();
        let address = if !gone.is_empty() && self.rng.chance(500) {
            self.nodes[*self.rng.pick(&gone)].address.clone()
        } else {
            format!("host-{at}").into()
        };
        let slots = u32::try_from(self.rng.within(1..4)).expect("few slots");
        let budget = TASK_BYTES_MAX * self.profile.budget_factor + self.rng.below(TASK_BYTES_MAX);
        let mut config = Config::new(&format!("worker-{at}"), &address, slots, budget);
        config.heartbeat_us = HEARTBEAT_US;
        config.scheduler_timeout_us = TIMEOUT_US;
        let slowness = *self.rng.pick(&[1, 1, 1, 2, 10]);
        self.addresses.insert(address, at);
        self.nodes.push(Node::new(config, slowness));
        self.tell(|| format!("process {at} starts"));
        self.connect_later(at);
    }

    pub(crate) fn strike_later(&mut self) {
        let gap = self.profile.fault_gap_us;
        let delay = self.rng.within(gap / 4..gap * 2);
        self.schedule(delay, Happening::Strike);
    }

    pub(crate) fn strike(&mut self) {
        if self.phase != Phase::Chaos {
            return;
        }
        if let Some(strike) = self.profile.strike(&mut self.rng) {
            self.counts.faults += 1;
            self.apply(strike);
        }
        self.strike_later();
    }

    fn apply(&mut self, strike: Strike) {
        let alive: Vec<usize> = (0..self.nodes.len()).filter(|&n| self.nodes[n].alive).collect();
        let victim = (!alive.is_empty()).then(|| *self.rng.pick(&alive));
        self.tell(|| format!("{strike:?} strikes, perhaps process {victim:?}"));
        match (strike, victim) {
            (Strike::Crash, Some(node)) => {
                let loses_reports = self.rng.chance(500);
                self.end_process(node, loses_reports);
                if self.rng.chance(900) {
                    self.start_worker();
                }
            }
            (Strike::Cut, Some(node)) => {
                if let Some(link) = self.nodes[node].link {
                    let late = self.rng.within(100..TIMEOUT_US / 2);
                    let loses_reports = self.rng.chance(800);
                    self.cut(link, loses_reports, late);
                }
            }
            (Strike::Hang, Some(node)) if !self.nodes[node].hung => {
                self.nodes[node].hung = true;
                let delay = self.rng.within(1_000..TIMEOUT_US * 3);
                self.schedule(delay, Happening::Revive { node });
            }
            (Strike::Join, _) if (alive.len() as u64) < WORKERS_MAX => self.start_worker(),
            (Strike::Retire, Some(node)) if !self.nodes[node].retiring && alive.len() > 1 => {
                self.retire(node);
            }
            (Strike::Dismiss, Some(node)) if !self.nodes[node].retiring && alive.len() > 1 => {
                self.dismiss(node);
            }
            (Strike::CrashInHandover, _) => {
                let handing_over = |n: &&usize| self.nodes[**n].hands_over();
                let victims: Vec<usize> = alive.iter().filter(handing_over).copied().collect();
                if !victims.is_empty() {
                    let node = *self.rng.pick(&victims);
                    self.tell(|| format!("process {node} ends while chunks are handed over"));
                    self.end_process(node, true);
                    self.start_worker();
                }
            }
            (Strike::Damage, Some(node)) => {
                let count = self.nodes[node].store.len();
                if count > 0 {
                    let nth = self.rng.index(count);
                    let chunk = self.nodes[node]
                        .store
                        .values_mut()
                        .nth(nth)
                        .expect("below the count");
                    chunk.on_disk = true;
                    chunk.damaged = true;
                    self.store_changes(node);
                }
            }
            (Strike::Squeeze, Some(node)) => {
                let target = self.rng.below(TASK_BYTES_MAX);
                self.nodes[node].spill(target);
                self.store_changes(node);
            }
            (Strike::Cancel, _) => {
                let running = self.jobs.iter().filter(|(_, job)| job.status == Status::Accepted);
                let running: Vec<_> = running.map(|(&id, _)| id).collect();
                if !running.is_empty() {
                    let job = *self.rng.pick(&running);
                    self.cancel(job);
                }
            }
            (Strike::Release, _) => {
                let kept = self.kept.iter().filter(|(_, kept)| !kept.released);
                let kept: Vec<_> = kept.map(|(&key, _)| key).collect();
                if !kept.is_empty() {
                    let key = *self.rng.pick(&kept);
                    self.release(key);
                }
            }
            (Strike::Leave, _) => {
                let here = self.clients.iter().filter(|(_, client)| !client.left);
                let here: Vec<_> = here.map(|(&id, _)| id).collect();
                if here.len() > 1 {
                    let client = *self.rng.pick(&here);
                    self.client_leaves(client);
                }
            }
            _ => {}
        }
    }

    /// A worker's own process wants it to leave.
    fn retire(&mut self, node: usize) {
        self.nodes[node].retiring = true;
        let deadline_us = *self.rng.pick(&DEADLINES_US);
        let event = if self.rng.chance(800) {
            worker::Event::Retire { deadline_us }
        } else {
            worker::Event::Stop { deadline_us }
        };
        self.schedule(1, Happening::Tell { node, event });
    }

    /// Somebody tells the scheduler that a worker shall leave, and perhaps that it shall stay after all.
    fn dismiss(&mut self, node: usize) {
        let Some(worker) = self.nodes[node].engine.id() else {
            return;
        };
        self.nodes[node].retiring = true;
        let deadline_us = *self.rng.pick(&DEADLINES_US);
        let event = Event::RetireWorker { worker, deadline_us };
        self.schedule(1, Happening::ToSchedulerOnly { event });
        if self.rng.chance(400) {
            let delay = self.rng.within(2..20_000);
            let event = Event::RetireCancelled { worker };
            self.schedule(delay, Happening::ToSchedulerOnly { event });
        }
    }

    /// A worker that hung goes on where it stood.
    pub(crate) fn revive(&mut self, node: usize) {
        self.nodes[node].hung = false;
        while self.nodes[node].alive
            && let Some(happening) = self.nodes[node].backlog.pop_front()
        {
            self.happen(happening);
        }
    }

    /// From now on nothing goes wrong any more, and there are workers.
    pub(crate) fn heal(&mut self) {
        if self.phase != Phase::Chaos {
            return;
        }
        self.tell(|| "healing".into());
        self.phase = Phase::Recovery;
        self.profile.heal();
        for node in 0..self.nodes.len() {
            for chunk in self.nodes[node].store.values_mut() {
                // Damage that nobody has met stays: it is found when the chunk is read.
                chunk.on_disk |= chunk.damaged;
            }
            self.revive(node);
        }
        let staying = |world: &Self| world.nodes.iter().filter(|n| n.alive && !n.retiring).count() as u64;
        while staying(self) < WORKERS_MIN {
            self.start_worker();
        }
    }
}
