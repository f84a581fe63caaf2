//! A worker process: the real engine, with a model of the shell around it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use graticule_engine::{
    ChunkHolders, Failure, FailureKind, Finished, INLINE_BYTES_MAX, Peer,
    worker::{Command, Config, Event, LayerEntry, RunId, Worker},
};
use graticule_plan::{ChunkId, Digest, TaskId, WorkerId};

use crate::{
    oracle::salt_of,
    value::{Part, Values, assemble, compute, cut},
    world::{Happening, Story, World},
};

/// One process of a worker. A restarted worker is another one.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) address: Arc<str>,
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
    tables: BTreeSet<Digest>,
    busy: BTreeSet<u32>,
    slots: u32,
    /// Its computations take so many times as long.
    pub(crate) slowness: u64,
    pub(crate) tick_at: Option<u64>,
    pub(crate) retiring: bool,
}

/// A chunk in a worker's store.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) values: Values,
    pub(crate) bytes: u64,
    pub(crate) on_disk: bool,
    pub(crate) damaged: bool,
}

/// What the shell knows of a run.
#[derive(Debug)]
pub(crate) struct Run {
    task: TaskId,
    layer: Arc<LayerEntry>,
    /// Parts still under way.
    outstanding: usize,
    fetched_bytes: u64,
    missing: Vec<(ChunkId, WorkerId)>,
    /// The parts that came, input by input, in order of arrival.
    parts: Vec<Vec<Part>>,
    slot: Option<u32>,
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
}

impl Node {
    pub(crate) fn new(config: Config, slowness: u64) -> Self {
        Self {
            address: config.address.clone(),
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
        }
    }

    /// Whether the process retires, or copies from one that does.
    pub(crate) fn hands_over(&self) -> bool {
        self.engine.is_retiring() || !self.copies.is_empty()
    }

    fn sizes(&self) -> (u64, u64) {
        let sum = |on_disk| {
            let chunks = self.store.values().filter(|c| c.on_disk == on_disk);
            chunks.map(|c| c.bytes).sum()
        };
        (sum(false), sum(true))
    }

    /// Moves chunks to disk until those in memory take at most `target_bytes`.
    pub(crate) fn spill(&mut self, target_bytes: u64) {
        let mut memory = self.sizes().0;
        for chunk in self.store.values_mut().filter(|c| !c.on_disk) {
            if memory <= target_bytes {
                break;
            }
            chunk.on_disk = true;
            memory -= chunk.bytes;
        }
    }
}

impl World {
    /// Hands an event to a worker's engine and does what it commands.
    pub(crate) fn tell_worker(&mut self, at: usize, event: Event) {
        let mut commands = Vec::new();
        let now = self.now();
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
            Command::Fetch {
                run,
                task,
                layer,
                holders,
            } => self.start_fetch(at, run, task, layer, holders),
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
            Command::Spill { target_bytes } => {
                self.nodes[at].spill(target_bytes);
                self.store_changes(at);
            }
            Command::Leave => self.leave(at),
        }
    }

    fn start_fetch(
        &mut self,
        at: usize,
        run: RunId,
        task: TaskId,
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
                    self.rng.shuffle(peers);
                }
                reads.push(Wanted {
                    run,
                    input,
                    chunk,
                    peers,
                    asked: Vec::new(),
                });
            }
        }
        let state = Run {
            task,
            outstanding: reads.len(),
            fetched_bytes: 0,
            missing: Vec::new(),
            parts: vec![Vec::new(); layer.maps.len()],
            layer,
            slot: None,
            result: None,
        };
        if self.nodes[at].runs.insert(run, state).is_some() {
            self.fail(format!("worker process {at} fetches twice for {run:?}"));
        }
        if reads.is_empty() {
            let delay = self.rng.within(1..200);
            self.schedule(delay, Happening::FetchEnds { node: at, run });
        }
        for wanted in reads {
            let delay = if wanted.peers.is_some() {
                self.delay()
            } else {
                self.rng.within(1..50)
            };
            self.schedule(delay, Happening::Read { node: at, wanted });
        }
    }

    /// A part of a chunk arrives, or does not.
    pub(crate) fn on_read(&mut self, at: usize, mut wanted: Wanted) {
        if !self.nodes[at].runs.contains_key(&wanted.run) {
            return;
        }
        let own = self.nodes[at].engine.id();
        let (holder, values) = match &mut wanted.peers {
            None => (own, self.read_chunk(at, wanted.chunk)),
            Some(peers) => {
                let Some(peer) = peers.pop() else {
                    self.part_done(at, &wanted, None);
                    return;
                };
                (Some(peer.worker), self.read_from_peer(&peer, wanted.chunk))
            }
        };
        let Some(values) = values else {
            wanted.asked.extend(holder);
            let again = wanted.peers.as_ref().is_some_and(|peers| !peers.is_empty());
            if again {
                let delay = self.delay();
                self.schedule(delay, Happening::Read { node: at, wanted });
            } else {
                self.part_done(at, &wanted, None);
            }
            return;
        };
        self.part_done(at, &wanted, Some(values));
    }

    pub(crate) fn read_from_peer(&mut self, peer: &Peer, chunk: ChunkId) -> Option<Values> {
        let failed = self.rng.chance(self.profile.peer_failures);
        let &holder = self.addresses.get(&peer.address)?;
        let there = self.nodes[holder].alive && !self.nodes[holder].hung;
        self.counts.faults += u64::from(failed);
        if failed || !there {
            return None;
        }
        self.read_chunk(holder, chunk)
    }

    /// Reads a chunk from a worker's own store; one that is damaged is lost in the attempt.
    pub(crate) fn read_chunk(&mut self, at: usize, chunk: ChunkId) -> Option<Values> {
        let stored = self.nodes[at].store.get(&chunk)?;
        if !stored.damaged {
            return Some(stored.values.clone());
        }
        self.nodes[at].store.remove(&chunk);
        self.destroyed.insert(chunk);
        self.tell(|| format!("worker process {at} finds {chunk} damaged"));
        self.schedule(
            1,
            Happening::Tell {
                node: at,
                event: Event::ChunksLost { chunks: vec![chunk] },
            },
        );
        self.store_changes(at);
        None
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
        let cost_us = state.layer.spec.layer.cost_ns / 1000 + 20;
        let delay = self.rng.within(cost_us / 2..cost_us * 2) * node.slowness;
        self.schedule(delay, Happening::ComputeEnds { node: at, run });
    }

    pub(crate) fn on_compute_ends(&mut self, at: usize, run: RunId) {
        let by_arrival = self.combines_by_arrival();
        let Some(state) = self.nodes[at].runs.get_mut(&run) else {
            self.fail(format!("worker process {at} lost {run:?} while it was computed"));
            return;
        };
        let (task, spec) = (state.task, state.layer.spec.clone());
        let windows: Vec<Vec<u64>> = state
            .layer
            .maps
            .iter()
            .zip(&state.parts)
            .map(|(map, parts)| assemble(map, task.block, parts, by_arrival))
            .collect();
        let grid = &spec.layer.grid;
        let values = compute(
            salt_of(&spec.layer),
            task.block,
            grid.block_len(task.block),
            &windows,
        );
        let bytes = spec.layer.output_bytes(task.block);
        state.result = Some((values.into(), bytes));
        let slot = state.slot.expect("set when it began");
        let outcome = match self.injected_failure(task, spec.layer.retries) {
            Some(failure) => Err(failure),
            None => Ok(self.finished(at, run, bytes, spec.deliver)),
        };
        self.nodes[at].busy.remove(&slot);
        self.tell_worker(at, Event::Computed { run, outcome });
    }

    fn finished(&mut self, at: usize, run: RunId, bytes: u64, deliver: bool) -> Finished {
        let inline = (deliver && self.rng.chance(400)).then(|| {
            let (values, _) = self.nodes[at].runs[&run].result.as_ref().expect("just set");
            values
                .iter()
                .flat_map(|v| v.to_le_bytes())
                .collect::<bytes::Bytes>()
        });
        Finished {
            bytes,
            inline: inline.filter(|b| b.len() <= INLINE_BYTES_MAX),
            problems: Vec::new(),
        }
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

    /// The shell tells the engine its store's sizes a little later.
    pub(crate) fn store_changes(&mut self, at: usize) {
        let delay = self.rng.within(1..100);
        self.schedule(delay, Happening::StoreChanged { node: at });
    }

    pub(crate) fn on_store_changed(&mut self, at: usize) {
        let (memory_bytes, spilled_bytes) = self.nodes[at].sizes();
        self.tell_worker(
            at,
            Event::StoreChanged {
                memory_bytes,
                spilled_bytes,
            },
        );
    }
}
