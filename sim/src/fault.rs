//! Faults that strike now and then, and the end of them.

use graticule_engine::{
    scheduler::Event,
    worker::{self, Config},
};

use graticule_plan::Resource;

use crate::{
    generate::{ABLE, FUNCTION, RESOURCE, RESOURCE_COUNT_MAX, TASK_BYTES_MAX},
    job::Status,
    network::Cut,
    node::Node,
    phase::Phase,
    profile::{Fault, Strike},
    rng::{Rng, Stream, mix_all},
    world::{HEARTBEAT_US, Happening, Story, TIMEOUT_US, World},
};

/// What workers may believe of their disks, bytes a second: too slow for anything, as quick as tasks, no cost at all.
const DISKS: [u64; 3] = [1, 1 << 22, u64::MAX];
/// How long a worker may take to leave, microseconds.
const DEADLINES_US: [u64; 4] = [1_000, 20_000, 200_000, 5_000_000];
/// How far a clock jumps, microseconds: seconds, minutes, hours.
const JUMPS_US: [u64; 4] = [50_000, 3_000_000, 600_000_000, 7_200_000_000];
/// How often workers come and go again in one fault.
const FLAPS: u32 = 4;
/// How often a fault waits for its moment.
const TRIES_MAX: u32 = 30;

pub(crate) const WORKERS_MIN: u64 = 3;
pub(crate) const WORKERS_MAX: u64 = 8;
/// The origins of the workers that are started when all heals begin here.
const HEALING_ORIGIN: u64 = 1 << 40;

impl World {
    /// Starts a worker process, perhaps at the address of one that is gone.
    pub(crate) fn start_worker(&mut self, origin: u64) -> usize {
        let mut rng = Rng::of(self.case.seed, Stream::Wish, mix_all(&[origin, 1]));
        let (is_able, count) = (rng.chance(500), u32::try_from(rng.within(0..3)).expect("few"));
        self.start_worker_with(origin, is_able, count)
    }

    /// Starts a worker process that runs everything, or has so many of the resource.
    fn start_worker_with(&mut self, origin: u64, is_able: bool, count: u32) -> usize {
        let at = self.nodes.len();
        let mut rng = Rng::of(self.case.seed, Stream::Node, origin);
        let slots = u32::try_from(rng.within(1..4)).expect("few slots");
        let budget = TASK_BYTES_MAX * self.profile.budget_factor + rng.below(TASK_BYTES_MAX);
        let slowness = *rng.pick(&[1, 1, 1, 2, 10]);
        let taken = |n: &usize| self.nodes[self.addresses[&self.nodes[*n].address]].alive;
        let gone: Vec<usize> = (0..at).filter(|n| !taken(n)).collect();
        let address = if rng.chance(500) && !gone.is_empty() {
            self.nodes[*rng.pick(&gone)].address.clone()
        } else {
            format!("host-{at}").into()
        };
        let is_able = is_able && self.is_choosy;
        let name = if is_able {
            ABLE.into()
        } else {
            format!("worker-{at}")
        };
        let mut config = Config::new(&name, &address, slots, budget);
        config.functions = vec![FUNCTION.into()];
        if self.is_choosy {
            let most = u32::try_from(RESOURCE_COUNT_MAX).expect("few");
            let count = if is_able { count.max(most) } else { count };
            let name = RESOURCE.into();
            config.resources.push(Resource { name, count });
        }
        config.heartbeat_us = HEARTBEAT_US;
        config.disk_bytes_per_s = *Rng::of(self.case.seed, Stream::Disk, origin).pick(&DISKS);
        config.scheduler_timeout_us = TIMEOUT_US;
        config.sabotage = self.case.sabotage;
        self.addresses.insert(address, at);
        self.nodes.push(Node::new(config, origin, rng, slowness));
        self.tell(|| format!("process {at} starts"));
        self.connect_later(at);
        at
    }

    /// A fault's moment has come; `tries` tells how often it was put off.
    pub(crate) fn strike(&mut self, fault: Fault, tries: u32) {
        if self.phase != Phase::Chaos {
            return;
        }
        let (number, strike) = (fault.number, fault.strike);
        let mut rng = Rng::of(self.case.seed, Stream::Fault, origin_of(number, 0));
        let alive: Vec<usize> = (0..self.nodes.len()).filter(|&n| self.nodes[n].alive).collect();
        let salt = rng.next();
        // Whoever else is there, the same process is chosen.
        let victim = alive
            .iter()
            .copied()
            .min_by_key(|&node| mix_all(&[salt, self.nodes[node].origin]));
        if strike == Strike::LateJoin && !self.is_shuffling() && tries < TRIES_MAX {
            let tries = tries + 1;
            self.schedule(1_000, Happening::Strike { fault, tries });
            return;
        }
        self.tell(|| format!("fault {number}: {strike:?} strikes, perhaps process {victim:?}"));
        self.counts.strike(strike);
        match (strike.scope(), victim) {
            (Scope::Process, Some(node)) => self.strike_process(&mut rng, number, strike, node),
            (Scope::Process, None) => {}
            (Scope::Cluster, _) => self.strike_cluster(&mut rng, number, strike, &alive),
            (Scope::Client, _) => self.strike_client(&mut rng, strike),
        }
    }

    fn strike_process(&mut self, rng: &mut Rng, number: u32, strike: Strike, node: usize) {
        let alone = self.nodes.iter().filter(|node| node.alive).count() < 2;
        match strike {
            Strike::Crash => {
                let loses_reports = rng.chance(500);
                self.end_process(node, loses_reports);
                if rng.chance(900) {
                    self.start_worker(origin_of(number, 1));
                }
            }
            Strike::PowerLoss => {
                self.lose_power(node);
                self.start_worker(origin_of(number, 1));
            }
            Strike::Cut => {
                if let Some(link) = self.nodes[node].link {
                    let late = rng.within(100..TIMEOUT_US / 2);
                    let loses_reports = rng.chance(800);
                    self.cut(link, loses_reports, late);
                }
            }
            Strike::Flicker => self.flicker(number, node, *rng.pick(&[2, 4, 8])),
            Strike::Hang => self.hang(node, rng.within(1_000..TIMEOUT_US)),
            Strike::Freeze => self.hang(node, rng.within(TIMEOUT_US..TIMEOUT_US * 5)),
            Strike::ClockJump => {
                let jump_us = *rng.pick(&JUMPS_US) + rng.below(1_000);
                if rng.chance(300) {
                    self.tell(|| format!("the scheduler's clock jumps by {jump_us} us"));
                    self.scheduler_ahead_us += jump_us;
                    self.tell_scheduler(Event::Tick);
                } else {
                    self.nodes[node].ahead_us += jump_us;
                    let event = worker::Event::Tick;
                    self.schedule(1, Happening::Tell { node, event });
                }
            }
            Strike::Dismiss if !self.nodes[node].retiring && !alone => self.dismiss(rng, node),
            Strike::Damage => {
                let count = self.nodes[node].store.len();
                if count > 0 {
                    let nth = rng.index(count);
                    let mut chunks = self.nodes[node].store.values_mut();
                    let chunk = chunks.nth(nth).expect("below the count");
                    (chunk.on_disk, chunk.damaged) = (true, true);
                    self.store_changes(node);
                }
            }
            Strike::Squeeze if self.clock >= self.nodes[node].disk.full_until => {
                self.nodes[node].spill(rng.below(TASK_BYTES_MAX));
                self.store_changes(node);
            }
            Strike::SlowDisk => self.nodes[node].disk.slow_until = self.clock + rng.within(5_000..200_000),
            Strike::FullDisk => self.nodes[node].disk.full_until = self.clock + rng.within(5_000..200_000),
            // Not now, or not a fault of one process.
            _ => {}
        }
    }

    fn strike_cluster(&mut self, rng: &mut Rng, number: u32, strike: Strike, alive: &[usize]) {
        match strike {
            Strike::Join if (alive.len() as u64) < WORKERS_MAX => {
                self.start_worker(origin_of(number, 1));
            }
            Strike::LateJoin => {
                for nth in 0..rng.within(1..3) {
                    self.start_worker(origin_of(number, 1 + nth));
                }
            }
            Strike::Flap => self.flap_up(number, 0),
            Strike::CrashInHandover => {
                let handing_over = |n: &&usize| self.nodes[**n].hands_over();
                let victims: Vec<usize> = alive.iter().filter(handing_over).copied().collect();
                if !victims.is_empty() {
                    let node = *rng.pick(&victims);
                    self.tell(|| format!("process {node} ends while chunks are handed over"));
                    self.end_process(node, true);
                    self.start_worker(origin_of(number, 1));
                }
            }
            Strike::Retire => self.retire_some(rng, alive),
            Strike::Partition => self.partition(rng, alive),
            Strike::PeerCut => self.cut_peers(rng, alive),
            _ => {}
        }
    }

    fn strike_client(&mut self, rng: &mut Rng, strike: Strike) {
        let here = self.clients.iter().filter(|(_, client)| !client.left);
        let here: Vec<_> = here.map(|(&id, _)| id).collect();
        match strike {
            Strike::Cancel => {
                let running = self.jobs.iter().filter(|(_, job)| job.status == Status::Accepted);
                let running: Vec<_> = running.map(|(&id, _)| id).collect();
                if !running.is_empty() {
                    self.cancel(*rng.pick(&running));
                }
            }
            Strike::Release => {
                let kept = self.kept.iter().filter(|(_, kept)| !kept.released);
                let kept: Vec<_> = kept.map(|(&key, _)| key).collect();
                if !kept.is_empty() {
                    self.release(*rng.pick(&kept));
                }
            }
            Strike::Leave if here.len() > 1 => self.client_leaves(*rng.pick(&here)),
            Strike::Vanish if here.len() > 1 => {
                let client = *rng.pick(&here);
                self.tell(|| format!("{client:?} is gone"));
                self.client_vanishes(client, rng.within(5_000..150_000));
            }
            _ => {}
        }
    }

    /// Whether some layer whose tasks read many chunks is half done.
    fn is_shuffling(&self) -> bool {
        let accepted = self.jobs.iter().filter(|(_, job)| job.status == Status::Accepted);
        let mut layers = accepted.flat_map(|(&id, job)| {
            let progress = self.scheduler.progress(id);
            progress.into_iter().map(move |layer| (job, layer))
        });
        layers.any(|(job, layer)| {
            let begun = layer.finished_count > 0 && layer.finished_count < layer.task_count;
            let plan = &job.generated.plan;
            begun && !plan.layer(layer.layer).inputs.is_empty()
        })
    }

    /// Some workers and the scheduler hear each other no more, or one side does not hear the other.
    fn partition(&mut self, rng: &mut Rng, alive: &[usize]) {
        let until = self.clock + rng.within(2_000..TIMEOUT_US * 3);
        let (up, down) = *rng.pick(&[(true, true), (true, false), (false, true)]);
        let loses = rng.chance(500);
        let salt = rng.next();
        let share = rng.within(100..700);
        for &node in alive {
            if mix_all(&[salt, self.nodes[node].origin]) % 1000 < share {
                self.tell(|| format!("process {node} is cut off: up {up}, down {down}, lossy {loses}"));
                self.nodes[node].cut = Cut {
                    up_until: if up { until } else { 0 },
                    down_until: if down { until } else { 0 },
                    loses,
                };
            }
        }
    }

    fn cut_peers(&mut self, rng: &mut Rng, alive: &[usize]) {
        let until = self.clock + rng.within(2_000..TIMEOUT_US * 2);
        let salt = rng.next();
        let side = |world: &Self, node: usize| mix_all(&[salt, world.nodes[node].origin]) % 2;
        for (at, &a) in alive.iter().enumerate() {
            for &b in &alive[at + 1..] {
                if side(self, a) != side(self, b) {
                    self.peer_cuts.insert((a, b), until);
                }
            }
        }
    }

    fn hang(&mut self, node: usize, us: u64) {
        if !self.nodes[node].hung {
            self.nodes[node].hung = true;
            self.schedule(us, Happening::Revive { node });
        }
    }

    /// A worker's connection breaks, as it will again soon.
    pub(crate) fn flicker(&mut self, fault: u32, node: usize, left: u32) {
        if self.phase != Phase::Chaos || !self.nodes[node].alive {
            return;
        }
        let mut rng = Rng::of(
            self.case.seed,
            Stream::Fault,
            origin_of(fault, 300 + u64::from(left)),
        );
        if let Some(link) = self.nodes[node].link {
            let loses_reports = rng.chance(300);
            self.cut(link, loses_reports, 0);
        }
        if left > 0 {
            let left = left - 1;
            self.schedule(rng.within(300..8_000), Happening::Flicker { fault, node, left });
        }
    }

    /// Workers come.
    pub(crate) fn flap_up(&mut self, fault: u32, round: u32) {
        if self.phase != Phase::Chaos {
            return;
        }
        let mut rng = Rng::of(
            self.case.seed,
            Stream::Fault,
            origin_of(fault, 100 + u64::from(round)),
        );
        let origins = (0..rng.within(1..4)).map(|nth| origin_of(fault, 100 * u64::from(round + 1) + nth));
        let nodes: Vec<usize> = origins.map(|origin| self.start_worker(origin)).collect();
        let stay_us = rng.within(2_000..25_000);
        self.schedule(stay_us, Happening::FlapDown { fault, round, nodes });
    }

    /// And they are to leave again.
    pub(crate) fn flap_down(&mut self, fault: u32, round: u32, nodes: &[usize]) {
        if self.phase != Phase::Chaos {
            return;
        }
        let mut rng = Rng::of(
            self.case.seed,
            Stream::Fault,
            origin_of(fault, 200 + u64::from(round)),
        );
        for &node in nodes {
            if self.nodes[node].alive && !self.nodes[node].retiring {
                self.retire(node, *rng.pick(&DEADLINES_US), true, 1);
            }
        }
        if round + 1 < FLAPS {
            let round = round + 1;
            self.schedule(rng.within(1_000..10_000), Happening::FlapUp { fault, round });
        }
    }

    /// One or more are asked to leave at the same time or one after the other, but never all.
    fn retire_some(&mut self, rng: &mut Rng, alive: &[usize]) {
        let mut staying: Vec<usize> = alive.to_vec();
        staying.retain(|&node| !self.nodes[node].retiring);
        let pace_us = *rng.pick(&[1, 1_000, 5_000]);
        for nth in 0..*rng.pick(&[1, 2, 3, 4]) {
            if staying.len() > 1 {
                let at = rng.index(staying.len());
                // Those that have what another has that is about to leave are the interesting ones.
                let sharing = staying.iter().position(|&node| self.shares_with_retiring(node));
                let at = sharing.filter(|_| rng.chance(700)).unwrap_or(at);
                let node = staying.swap_remove(at);
                let hands_over = rng.chance(800);
                let after_us = 1 + nth * rng.below(pace_us);
                self.retire(node, *rng.pick(&DEADLINES_US), hands_over, after_us);
            }
        }
    }

    fn shares_with_retiring(&self, node: usize) -> bool {
        let retiring = |other: &&Node| other.alive && other.retiring;
        let mut others = self.nodes.iter().filter(retiring);
        let has = |chunk| self.nodes[node].store.contains_key(chunk);
        others.any(|other| other.store.keys().any(has))
    }

    /// A worker's own process wants it to leave.
    fn retire(&mut self, node: usize, deadline_us: u64, hands_over: bool, after_us: u64) {
        self.nodes[node].retiring = true;
        let event = if hands_over {
            worker::Event::Retire { deadline_us }
        } else {
            worker::Event::Stop { deadline_us }
        };
        self.schedule(after_us, Happening::Tell { node, event });
    }

    /// Somebody tells the scheduler that a worker shall leave, and perhaps that it shall stay after all.
    fn dismiss(&mut self, rng: &mut Rng, node: usize) {
        let Some(worker) = self.nodes[node].engine.id() else {
            return;
        };
        self.nodes[node].retiring = true;
        let deadline_us = *rng.pick(&DEADLINES_US);
        let event = Event::RetireWorker { worker, deadline_us };
        self.schedule(1, Happening::ToSchedulerOnly { event });
        if rng.chance(400) {
            let delay = rng.within(2..20_000);
            let event = Event::RetireCancelled { worker };
            self.schedule(delay, Happening::ToSchedulerOnly { event });
        }
    }

    /// The engine says that the process may end.
    pub(crate) fn leave(&mut self, node: usize) {
        self.tell(|| format!("process {node} leaves"));
        self.end_process(node, false);
    }

    /// Ends a worker process: what it held is gone.
    pub(crate) fn end_process(&mut self, node: usize, loses_reports: bool) {
        self.lose_store(node);
        if let Some(link) = self.nodes[node].link.take() {
            self.cut(link, loses_reports, 0);
        }
    }

    /// Ends a worker process, and the network does not say so.
    fn lose_power(&mut self, node: usize) {
        self.lose_store(node);
        if let Some(link) = self.nodes[node].link.take() {
            self.links[link].broken = true;
        }
    }

    fn lose_store(&mut self, node: usize) {
        self.destroyed.extend(self.nodes[node].store.keys());
        self.nodes[node].alive = false;
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
        self.tell(|| "healing".into());
        self.phase = Phase::Recovery;
        self.profile.heal();
        self.peer_cuts.clear();
        for node in 0..self.nodes.len() {
            let record = &mut self.nodes[node];
            // What is held up arrives now or never; damage that nobody has met stays until the chunk is read.
            record.cut.up_until = record.cut.up_until.min(self.clock);
            record.cut.down_until = record.cut.down_until.min(self.clock);
            (record.disk.slow_until, record.disk.full_until) = (0, 0);
            self.revive(node);
        }
        let staying = |world: &Self| world.nodes.iter().filter(|n| n.alive && !n.retiring).count() as u64;
        let enough = self.case.workers.map_or(WORKERS_MIN, |n| n.clamp(1, WORKERS_MIN));
        for nth in 0.. {
            if staying(self) >= enough {
                break;
            }
            self.start_worker(HEALING_ORIGIN + nth);
        }
        self.have_one_able();
    }

    /// Sees to it that some worker that stays can run everything.
    pub(crate) fn have_one_able(&mut self) {
        let mut staying = self.nodes.iter().filter(|node| node.alive && !node.retiring);
        if self.is_choosy && !staying.any(|node| *node.name == *ABLE) {
            let origin = HEALING_ORIGIN + 1_000 + self.nodes.len() as u64;
            self.start_worker_with(origin, true, 0);
        }
    }
}

/// What a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Process,
    Cluster,
    Client,
}

impl Strike {
    fn scope(self) -> Scope {
        use Strike::*;
        match self {
            Crash | PowerLoss | Cut | Flicker | Hang | Freeze | ClockJump | Dismiss | Damage | Squeeze
            | SlowDisk | FullDisk => Scope::Process,
            Join | LateJoin | Flap | Retire | CrashInHandover | Partition | PeerCut => Scope::Cluster,
            Cancel | Release | Leave | Vanish => Scope::Client,
        }
    }
}

/// The number of something that a fault brings about.
fn origin_of(fault: u32, nth: u64) -> u64 {
    (u64::from(fault) + 1) << 16 | nth
}
