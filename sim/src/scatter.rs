//! Values that clients hand to workers: scattered data. A client puts each where the scheduler says that a worker waits for
//! it, and has them no more as soon as all have been there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use graticule_engine::{
    Peer,
    scheduler::{ClientId, Event},
};
use graticule_plan::{
    AxisChunks, Body, ChunkGrid, ChunkId, JobId, Key, Layer, LayerId, LayerKind, Output, PlanBuilder,
};

use crate::{
    generate::{Generated, TASK_BYTES_MAX, hinted},
    job::Kept,
    oracle::expect,
    profile::Temper,
    rng::{Rng, Stream},
    world::{Happening, Story, World},
};

/// Pauses between attempts to put a value, and how many there are before it is given up: longer than a worker may be silent.
const PUT_PAUSE_US: u64 = 3_000;
const PUT_COUNT_MAX: u32 = 100;

/// What the client of values has done about them.
#[derive(Debug, Default)]
pub(crate) struct Hands {
    /// How often it was asked for each.
    asked: BTreeMap<LayerId, u32>,
    /// How often it heard of each that it is there.
    there: BTreeMap<LayerId, u32>,
    /// Those that were there once.
    done: BTreeSet<LayerId>,
}

/// A value on its way to the worker that waits for it.
#[derive(Debug)]
pub(crate) struct Put {
    client: ClientId,
    chunk: ChunkId,
    peer: Peer,
    attempt: u32,
    /// How often its client had been asked for it, and had heard that it is there.
    asked: u32,
    there: u32,
    tries: u32,
}

/// Makes a plan of a few values, a layer and a name for each.
pub(crate) fn generate_values(rng: &mut Rng, next_key: &mut u128) -> Generated {
    let mut builder = PlanBuilder::new();
    let mut expected = Vec::new();
    for _ in 0..rng.within(1..4) {
        let axis = AxisChunks::regular(1, 1).expect("small");
        let grid = ChunkGrid::new(vec![axis]).expect("one axis");
        let bytes = rng.within(1..TASK_BYTES_MAX / 4);
        let body = Body::new(rng.next().to_le_bytes().to_vec());
        let mut layer = Layer::new("scatter", grid, bytes, body, Vec::new());
        layer.kind = LayerKind::Values {
            replicas: u32::try_from(rng.within(1..4)).expect("small"),
        };
        expected.push(Arc::new(expect(&layer, &[])));
        let layer = builder.layer(layer).expect("it reads nothing");
        *next_key += 1;
        let keep = Some(Key(*next_key));
        builder
            .output(Output { layer, keep })
            .expect("the layer was just added");
    }
    Generated {
        plan: Arc::new(hinted(builder.finish(), &[])),
        expected,
        bases: Vec::new(),
    }
}

impl World {
    /// Whether the job of a number is of values.
    pub(crate) fn is_of_values(&self, number: u64) -> bool {
        let chance = |number, per_mille| Rng::of(self.case.seed, Stream::Scatter, number).chance(per_mille);
        chance(0, 150) && chance(number + 1, 400)
    }

    /// A client hears that a worker waits for a value.
    pub(crate) fn value_awaited(&mut self, client: ClientId, chunk: ChunkId, peer: Peer, attempt: u32) {
        let job = self.jobs.get_mut(&chunk.job).expect("submitted");
        if job.generated.plan.layer(chunk.layer).replicas().is_none() {
            return self.fail(format!("{client:?} is asked for {chunk}, which it never had"));
        }
        let hands = &mut job.hands;
        let asked = hands.asked.entry(chunk.layer).or_default();
        *asked += 1;
        let asked = *asked;
        let there = hands.there.get(&chunk.layer).copied().unwrap_or(0);
        if hands.done.len() == job.generated.expected.len() {
            if self.temper == Temper::Calm {
                self.fail(format!("{chunk} is awaited again, and nothing went wrong"));
            }
            return self.give_up_value(client, chunk);
        }
        let delay = self.client_delay(client);
        let put = Put {
            client,
            chunk,
            peer,
            attempt,
            asked,
            there,
            tries: 0,
        };
        self.schedule(delay, Happening::Put(put));
    }

    /// A client hears that a value is there.
    pub(crate) fn value_is_there(&mut self, job: JobId, layer: LayerId) {
        let hands = &mut self.jobs.get_mut(&job).expect("submitted").hands;
        *hands.there.entry(layer).or_default() += 1;
        hands.done.insert(layer);
    }

    /// Whether a client handed over values, or was to.
    pub(crate) fn has_values(&self, client: ClientId) -> bool {
        let mut of_client = self.jobs.values().filter(|job| job.client == client);
        of_client.any(|job| {
            let mut layers = job.generated.plan.layers().iter();
            layers.any(|layer| layer.replicas().is_some())
        })
    }

    /// A client lets go of values: those that are lost now, nobody hands over again.
    pub(crate) fn values_may_be_lost(&mut self, job: JobId) {
        let mut layers = self.jobs[&job].generated.plan.layers().iter();
        if layers.any(|layer| layer.replicas().is_some()) {
            self.may_fail(job);
        }
    }

    /// Its client has a value no more.
    fn give_up_value(&mut self, client: ClientId, chunk: ChunkId) {
        self.tell(|| format!("{client:?} has {chunk} no more"));
        self.may_fail(chunk.job);
        let of_chunk = |kept: &Kept| kept.job == chunk.job && kept.layer == chunk.layer;
        let named = self
            .kept
            .iter()
            .find(|(_, kept)| of_chunk(kept) && !kept.released);
        if let Some((&key, _)) = named {
            let blocks = std::iter::once(0..1).collect();
            self.send_from_client(client, Event::BlocksCancelled { key, blocks });
        }
    }

    pub(crate) fn on_put(&mut self, put: Put) {
        let Put { client, chunk, .. } = put;
        let hands = &self.jobs[&chunk.job].hands;
        let there = hands.there.get(&chunk.layer).copied().unwrap_or(0);
        if self.clients[&client].left || hands.asked[&chunk.layer] != put.asked || there != put.there {
            return;
        }
        let node = self.addresses.get(&put.peer.address).copied();
        let node = node.filter(|&node| self.nodes[node].alive && !self.nodes[node].hung);
        if node.is_some_and(|node| self.give_value(node, chunk, put.attempt)) {
            return;
        }
        if put.tries == PUT_COUNT_MAX {
            return self.give_up_value(client, chunk);
        }
        let tries = put.tries + 1;
        self.schedule(PUT_PAUSE_US, Happening::Put(Put { tries, ..put }));
    }
}
