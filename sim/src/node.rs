//! A worker process: the real engine, with a model of the shell around it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use graticule_engine::{
    ChunkHolders, Failure, FailureKind, Peer, Time,
    scheduler::Sabotage,
    worker::{Command, Config, Event, LayerEntry, RunId, Worker},
};
use graticule_plan::{ChunkId, Digest, Resource, TaskId, WorkerId};

use crate::{
    disk::{Disk, Reading, Stored},
    network::Cut,
    oracle::salt_of,
    rng::Rng,
    value::{Part, Values, assemble, compute, cut},
    world::{Happening, Story, World},
};

/// One process of a worker. A restarted worker is another one.
#[derive(Debug)]
pub(crate) struct Node {
    /// What started it: the same in a story from which something was left out.
    pub(crate) origin: u64,
    /// Decides the pace of what it does.
    pub(crate) rng: Rng,
    pub(crate) address: Arc<str>,
    pub(crate) name: Arc<str>,
    /// Countable things that it has.
    resources: Vec<Resource>,
    pub(crate) engine: Worker,
    pub(crate) alive: bool,
    pub(crate) hung: bool,
    /// What happened to it while it hung.
    pub(crate) backlog: VecDeque<Happening>,
    pub(crate) link: Option<usize>,
    pub(crate) next_session: u64,
    pub(crate) store: BTreeMap<ChunkId, Stored>,
    pub(crate) runs: BTreeMap<RunId, Run>,
    /// Copies under way, with their values when those are there.
    pub(crate) copies: BTreeMap<RunId, Option<(Values, u64)>>,
    /// How far its clock is ahead.
    pub(crate) ahead_us: u64,
    /// What is cut between it and the scheduler.
    pub(crate) cut: Cut,
    pub(crate) disk: Disk,
    /// Bytes that its engine may use.
    pub(crate) budget_bytes: u64,
    pub(crate) tables: BTreeSet<Digest>,
    busy: BTreeSet<u32>,
    slots: u32,
    /// Its computations take so many times as long.
    pub(crate) slowness: u64,
    pub(crate) tick_at: Option<u64>,
    pub(crate) retiring: bool,
    /// The scheduler has told it to leave: what it has is on its way out.
    pub(crate) released: bool,
}

/// What the shell knows of a run.
#[derive(Debug)]
pub(crate) struct Run {
    task: TaskId,
    layer: Arc<LayerEntry>,
    /// The attempt for which a client is to hand over what it makes.
    awaits_value: Option<u32>,
    /// Parts still under way.
    outstanding: usize,
    /// How many there were.
    read_count: usize,
    fetched_bytes: u64,
    missing: Vec<(ChunkId, WorkerId)>,
    /// The parts that came, input by input, in order of arrival.
    parts: Vec<Vec<Part>>,
    slot: Option<u32>,
    /// Which execution of the task it is, counted from 0.
    execution: u32,
    result: Option<(Values, u64)>,
}

/// A part of a chunk on its way to a run.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    run: RunId,
    input: usize,
    chunk: ChunkId,
    /// The holders to ask, last first; `None`: it is here.
    peers: Option<Vec<Peer>>,
    asked: Vec<WorkerId>,
    /// It was waited for already.
    was_delayed: bool,
}

impl Node {
    pub(crate) fn new(config: Config, origin: u64, rng: Rng, slowness: u64) -> Self {
        Self {
            origin,
            rng,
            ahead_us: 0,
            cut: Cut::default(),
            disk: Disk::default(),
            budget_bytes: config.budget_bytes,
            address: config.address.clone(),
            name: config.name.clone(),
            resources: config.resources.clone(),
            slots: config.slots,
            engine: Worker::new(config),
            alive: true,
            hung: false,
            backlog: VecDeque::new(),
            link: None,
            next_session: 1000,
            store: BTreeMap::new(),
            runs: BTreeMap::new(),
            copies: BTreeMap::new(),
            tables: BTreeSet::new(),
            busy: BTreeSet::new(),
            slowness,
            tick_at: None,
            retiring: false,
            released: false,
        }
    }

    /// Whether the process retires, or copies from one that does.
    pub(crate) fn hands_over(&self) -> bool {
        self.engine.is_retiring() || !self.copies.is_empty()
    }
}

impl World {
    /// Hands an event to a worker's engine and does what it commands.
    pub(crate) fn tell_worker(&mut self, at: usize, event: Event) {
        let mut commands = Vec::new();
        let now = Time(self.clock + self.nodes[at].ahead_us);
        self.nodes[at].engine.handle(now, event, &mut commands);
        for command in commands {
            self.do_for_worker(at, command);
        }
        if self.nodes[at].alive {
            if let Err(why) = self.nodes[at].engine.check_invariants() {
                self.fail(format!("worker process {at}: {why}"));
            }
            self.arm_worker(at);
        }
    }

    fn arm_worker(&mut self, node: usize) {
        let record = &mut self.nodes[node];
        let Some(next) = record.engine.next_timeout() else {
            return;
        };
        let at = next.0.saturating_sub(record.ahead_us).max(self.clock);
        if record.tick_at.is_none_or(|earlier| earlier > at) {
            record.tick_at = Some(at);
            self.schedule_at(at, Happening::WorkerTick { node, at });
        }
    }

    fn do_for_worker(&mut self, at: usize, command: Command) {
        match command {
            Command::Send { session, message } => self.send_to_scheduler(at, session, message),
            Command::Reconnect { session } => self.reconnect(at, session),
            Command::KeepTable { digest, content } => {
                if Digest::of(&content) != digest {
                    self.fail(format!("table {digest} came with other content"));
                }
                self.nodes[at].tables.insert(digest);
            }
            Command::DropTables { digests } => {
                for digest in digests {
                    if !self.nodes[at].tables.remove(&digest) {
                        self.fail(format!(
                            "worker process {at} drops table {digest}, which is not there"
                        ));
                    }
                }
            }
            Command::Fetch {
                run,
                task,
                attempt,
                layer,
                holders,
            } => self.start_fetch(at, run, (task, attempt), layer, holders),
            Command::Compute { run, slot } => self.start_compute(at, run, slot),
            Command::Store { run, chunk } => self.store(at, run, chunk),
            Command::FetchCopy { run, chunk, peers } => self.start_copy(at, run, chunk, peers),
            Command::Discard { run } => {
                let node = &mut self.nodes[at];
                if node.runs.remove(&run).is_none() && node.copies.remove(&run).is_none() {
                    self.fail(format!(
                        "worker process {at} discards {run:?}, which is not there"
                    ));
                }
            }
            Command::Drop { chunks } => {
                for chunk in chunks {
                    self.nodes[at].store.remove(&chunk);
                }
                self.store_changes(at);
            }
            Command::Spill { target_bytes } => self.start_spill(at, target_bytes),
            Command::Leave => self.leave(at),
        }
    }

    fn start_fetch(
        &mut self,
        at: usize,
        run: RunId,
        (task, attempt): (TaskId, u32),
        layer: Arc<LayerEntry>,
        holders: Vec<ChunkHolders>,
    ) {
        if let Some(table) = layer
            .spec
            .layer
            .tables
            .iter()
            .find(|t| !self.nodes[at].tables.contains(t))
        {
            self.fail(format!("worker process {at} runs {task} without table {table}"));
        }
        let mut reads = Vec::new();
        for (input, chunks) in layer.inputs(task.block).into_iter().enumerate() {
            for chunk in chunks {
                let elsewhere = holders.iter().find(|h| h.chunk == chunk);
                let mut peers = elsewhere.map(|h| h.peers.clone());
                if let Some(peers) = &mut peers {
                    self.nodes[at].rng.shuffle(peers);
                }
                reads.push(Wanted {
                    run,
                    input,
                    chunk,
                    peers,
                    asked: Vec::new(),
                    was_delayed: false,
                });
            }
        }
        let is_handed_over = layer.spec.layer.replicas().is_some();
        let state = Run {
            task,
            awaits_value: is_handed_over.then_some(attempt),
            outstanding: reads.len(),
            read_count: reads.len(),
            fetched_bytes: 0,
            missing: Vec::new(),
            parts: vec![Vec::new(); layer.maps.len()],
            layer,
            slot: None,
            execution: 0,
            result: None,
        };
        self.check_room(at, task);
        if self.nodes[at].runs.insert(run, state).is_some() {
            self.fail(format!("worker process {at} fetches twice for {run:?}"));
        }
        if is_handed_over {
            self.tell(|| format!("process {at} waits for {task}"));
        } else if reads.is_empty() {
            let delay = self.nodes[at].rng.within(1..200);
            self.schedule(delay, Happening::FetchEnds { node: at, run });
        }
        for wanted in reads {
            let delay = if wanted.peers.is_some() {
                self.delay_at(at)
            } else {
                self.nodes[at].rng.within(1..50)
            };
            self.schedule(delay, Happening::Read { node: at, wanted });
        }
    }

    /// Gives a value to the attempt that waits for it; `false` if it does not.
    pub(crate) fn give_value(&mut self, at: usize, chunk: ChunkId, attempt: u32) -> bool {
        let node = &mut self.nodes[at];
        let waiting = node
            .runs
            .iter_mut()
            .find(|(_, run)| run.awaits_value == Some(attempt) && run.task == chunk);
        let Some((&run, state)) = waiting else {
            return false;
        };
        state.awaits_value = None;
        self.schedule(1, Happening::FetchEnds { node: at, run });
        true
    }

    /// A part of a chunk arrives, or does not.
    pub(crate) fn on_read(&mut self, at: usize, mut wanted: Wanted) {
        let Some(run) = self.nodes[at].runs.get(&wanted.run) else {
            return;
        };
        let read_count = run.read_count;
        let own = self.nodes[at].engine.id();
        let was_delayed = wanted.was_delayed;
        let (holder, reading) = match wanted.peers.as_ref().map(|peers| peers.last()) {
            None => (own, self.read_chunk(at, wanted.chunk, was_delayed)),
            Some(Some(peer)) => {
                let peer = peer.clone();
                (
                    Some(peer.worker),
                    self.read_from_peer(at, (&peer, read_count), wanted.chunk, was_delayed),
                )
            }
            Some(None) => (None, Reading::Failed),
        };
        match reading {
            Reading::Got(values, _) => self.part_done(at, &wanted, Some(values)),
            Reading::Later(us) => {
                wanted.was_delayed = true;
                self.schedule(us, Happening::Read { node: at, wanted });
            }
            Reading::Failed => {
                wanted.asked.extend(holder);
                wanted.was_delayed = false;
                let asked = wanted.peers.as_mut().and_then(Vec::pop);
                if asked.is_some() && wanted.peers.as_ref().is_some_and(|peers| !peers.is_empty()) {
                    let delay = self.delay_at(at);
                    self.schedule(delay, Happening::Read { node: at, wanted });
                } else {
                    self.part_done(at, &wanted, None);
                }
            }
        }
    }

    /// How long a message of a process takes that is on no connection to the scheduler.
    pub(crate) fn delay_at(&mut self, node: usize) -> u64 {
        let (delay, is_slow) = self.profile.delay(&mut self.nodes[node].rng);
        self.counts.slow_messages(is_slow);
        delay
    }

    fn part_done(&mut self, at: usize, wanted: &Wanted, values: Option<Values>) {
        let run = self.nodes[at]
            .runs
            .get_mut(&wanted.run)
            .expect("looked up before");
        run.outstanding -= 1;
        match values {
            Some(values) => {
                let map = &run.layer.maps[wanted.input];
                let region = map.region(run.task.block, wanted.chunk.block);
                let shape = map.source_grid().block_shape(wanted.chunk.block);
                let values = cut(&values, &shape, &region);
                if wanted.peers.is_some() {
                    run.fetched_bytes += values.len() as u64;
                }
                run.parts[wanted.input].push(Part {
                    block: wanted.chunk.block,
                    values,
                    from_peer: wanted.peers.is_some(),
                });
            }
            None => run
                .missing
                .extend(wanted.asked.iter().map(|&w| (wanted.chunk, w))),
        }
        if run.outstanding == 0 {
            self.schedule(
                1,
                Happening::FetchEnds {
                    node: at,
                    run: wanted.run,
                },
            );
        }
    }

    pub(crate) fn on_fetch_ends(&mut self, at: usize, run: RunId) {
        let Some(state) = self.nodes[at].runs.get(&run) else {
            return;
        };
        let complete = state.layer.inputs(state.task.block);
        let complete = complete
            .iter()
            .zip(&state.parts)
            .all(|(want, got)| want.len() == got.len());
        let event = if complete {
            Event::Fetched {
                run,
                fetched_bytes: state.fetched_bytes,
            }
        } else {
            let failure = Failure {
                kind: FailureKind::MissingInputs(state.missing.clone()),
                message: "inputs are missing".into(),
            };
            Event::FetchFailed { run, failure }
        };
        self.tell_worker(at, event);
    }

    fn start_compute(&mut self, at: usize, run: RunId, slot: u32) {
        let node = &mut self.nodes[at];
        if slot >= node.slots || !node.busy.insert(slot) {
            self.fail(format!("worker process {at} computes twice on slot {slot}"));
            return;
        }
        let Some(state) = node.runs.get_mut(&run) else {
            self.fail(format!(
                "worker process {at} computes {run:?}, which was not fetched"
            ));
            return;
        };
        state.slot = Some(slot);
        let (task, cost_ns) = (state.task, state.layer.spec.layer.cost_ns);
        let execution = self.executions.entry(task).or_default();
        let number = *execution;
        *execution += 1;
        state.execution = number;
        self.check_wishes(at, run);
        self.begin_execution(at, run, task, number, cost_ns);
    }

    /// A worker runs only what it is allowed to, and no more at a time than it has resources for. Tasks that were taken
    /// back from it may still run beside.
    fn check_wishes(&mut self, at: usize, run: RunId) {
        let node = &self.nodes[at];
        let id = node.engine.id();
        let begun = &node.runs[&run];
        if !self.ledger.is_leased_to(begun.task, id) {
            return;
        }
        let layer = &begun.layer.spec.layer;
        if !layer.workers.is_empty() && !layer.workers.contains(&node.name) {
            let why = format!(
                "{} runs on {}, which its layer does not name",
                begun.task, node.name
            );
            return self.fail(why);
        }
        let in_force = |run: &&Run| run.slot.is_some() && self.ledger.is_leased_to(run.task, id);
        let running: BTreeMap<TaskId, &Run> = node
            .runs
            .values()
            .filter(in_force)
            .map(|run| (run.task, run))
            .collect();
        for need in &layer.resources {
            let of = |resources: &[Resource]| {
                let found = resources.iter().find(|resource| resource.name == need.name);
                found.map_or(0, |resource| resource.count)
            };
            let taken: u32 = running
                .values()
                .map(|run| of(&run.layer.spec.layer.resources))
                .sum();
            let there = of(&node.resources);
            if taken > there {
                let why = format!(
                    "worker process {at} has {there} of {}, and runs tasks that take {taken}",
                    need.name
                );
                return self.fail(why);
            }
        }
    }

    pub(crate) fn on_compute_ends(&mut self, at: usize, run: RunId) {
        let Some(state) = self.nodes[at].runs.get(&run) else {
            self.fail(format!("worker process {at} lost {run:?} while it was computed"));
            return;
        };
        let (task, execution, layer) = (state.task, state.execution, state.layer.clone());
        let slot = state.slot.expect("set when it began");
        if self.ends_its_worker(at, task) {
            return;
        }
        let outcome = match self.injected_failure(task, execution, layer.spec.layer.retries) {
            Some(failure) => Err(failure),
            None => {
                let values = self.computed_values(at, run, &layer);
                let finished = self.finished(task, execution, &layer.spec, &values);
                let state = self.nodes[at].runs.get_mut(&run).expect("looked up above");
                state.result = Some((values, finished.bytes));
                Ok(finished)
            }
        };
        self.nodes[at].busy.remove(&slot);
        self.tell_worker(at, Event::Computed { run, outcome });
    }

    fn computed_values(&self, at: usize, run: RunId, layer: &LayerEntry) -> Values {
        let state = &self.nodes[at].runs[&run];
        let by_arrival = self.is_sabotaged(Sabotage::CombineByArrival);
        let block = state.task.block;
        let parts = layer.maps.iter().zip(&state.parts);
        let windows: Vec<Vec<u64>> = parts
            .map(|(map, parts)| assemble(map, block, parts, by_arrival))
            .collect();
        let layer = &layer.spec.layer;
        let again = self.is_sabotaged(Sabotage::DifferEachTime) && state.execution > 0;
        let salt = salt_of(layer) ^ u64::from(again);
        compute(salt, block, layer.grid.block_len(block), &windows).into()
    }

    fn store(&mut self, at: usize, run: RunId, chunk: ChunkId) {
        let computed = self.nodes[at].runs.remove(&run).and_then(|state| state.result);
        let copied = self.nodes[at].copies.remove(&run).flatten();
        self.counts.copies += u64::from(copied.is_some());
        let Some((values, bytes)) = computed.or(copied) else {
            self.fail(format!("worker process {at} stores {run:?}, which is not there"));
            return;
        };
        if *values != **self.expected(chunk) {
            self.fail(format!(
                "worker process {at} made other values for {chunk} than the oracle"
            ));
        }
        let stored = Stored {
            values,
            bytes,
            on_disk: false,
            damaged: false,
        };
        self.nodes[at].store.insert(chunk, stored);
        self.store_changes(at);
    }
}
