//! Clients: they submit plans, fetch and check results, and change their minds.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use graticule_engine::{
    Peer,
    scheduler::{ClientId, Event, Fact, JobEvent},
};
use graticule_plan::{ChunkId, JobId, Key, Source};

use crate::{
    disk::Reading,
    generate::{Base, Generated, Limits, generate, read_back},
    job::{Job, Kept, Status},
    journal::Record,
    oracle::real_item_bytes,
    phase::Phase,
    profile::{Nuisance, Temper},
    restart::Resume,
    rng::{Rng, Stream, mix_all},
    scatter::{Hands, generate_values},
    twice::generate_twice,
    value::Values,
    world::{Happening, Story, World},
};

/// The number of the first job that only reads back what is kept.
pub(crate) const READ_BACK_FIRST: u64 = 1_000_000;

/// A client's connection; it breaks when the scheduler's process ends, and the client may leave.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) left: bool,
    /// Counts its connections.
    pub(crate) connection: u64,
    pub(crate) is_connected: bool,
    rng: Rng,
    to_scheduler_at: u64,
    from_scheduler_at: u64,
}

impl Client {
    pub(crate) fn new(seed: u64, id: ClientId) -> Self {
        Self {
            left: false,
            connection: 0,
            is_connected: true,
            rng: Rng::of(seed, Stream::Client, id.0),
            to_scheduler_at: 0,
            from_scheduler_at: 0,
        }
    }
}

impl World {
    /// Submits the job of a number.
    pub(crate) fn submit(&mut self, number: u64) {
        let seed = self.case.seed;
        let mut bases = Vec::new();
        for (&key, kept) in &self.kept {
            let status = self.jobs[&kept.job].status;
            let alive =
                !kept.released && matches!(status, Status::Submitted | Status::Accepted | Status::Finished);
            let about_both = mix_all(&[number, key.0 as u64 + 1]);
            let mut rng = Rng::of(seed, Stream::Submission, about_both);
            if rng.chance(if alive { 400 } else { 5 }) && bases.len() < 3 {
                bases.push(kept.base.clone());
            }
        }
        let limits = Limits {
            layers: self.case.layers_max,
            blocks: self.case.blocks_max,
        };
        let mut next_key = u128::from(number) << 32;
        let mut rng = Rng::of(seed, Stream::Plan, number);
        let wishes = self.is_choosy.then(|| Rng::of(seed, Stream::Wish, number));
        let about_job = mix_all(&[number, 77]);
        let calls = self.grows && Rng::of(seed, Stream::Wish, about_job).chance(600);
        let generated = if self.needs_arrays_twice(number) {
            generate_twice(&mut rng, limits.blocks.unwrap_or(u64::MAX))
        } else if self.is_of_values(number) {
            generate_values(&mut rng, &mut next_key)
        } else {
            generate(&mut rng, &bases, &mut next_key, limits, wishes, calls)
        };
        let client = self.somebody(number);
        self.next_job = self.next_job.max(number + 1);
        self.submit_generated(JobId(number), client, generated);
    }

    /// Whether the job of a number needs an array twice that is larger than memory.
    fn needs_arrays_twice(&self, number: u64) -> bool {
        let chance = |number, per_mille| Rng::of(self.case.seed, Stream::Twice, number).chance(per_mille);
        chance(0, 200) && chance(number + 1, 300)
    }

    /// A client that is here; a new one if none is left.
    fn somebody(&mut self, number: u64) -> ClientId {
        let here = self.clients.iter().filter(|(_, client)| !client.left);
        let chosen = here.map(|(&id, _)| id).min_by_key(|id| mix_all(&[number, id.0]));
        chosen.unwrap_or_else(|| {
            let id = ClientId(self.clients.len() as u64 + 1);
            self.clients.insert(id, Client::new(self.case.seed, id));
            id
        })
    }

    /// Fetches a kept result by a plan that does nothing else.
    pub(crate) fn submit_read_back(&mut self, key: Key) {
        let number = READ_BACK_FIRST + self.counts.jobs;
        let client = self.somebody(number);
        let generated = read_back(&self.kept[&key].base);
        self.submit_generated(JobId(number), client, generated);
    }

    fn submit_generated(&mut self, id: JobId, client: ClientId, generated: Generated) {
        self.counts.jobs += 1;
        self.planned_tasks += generated.plan.task_count();
        let builds_on: Vec<JobId> = generated.bases.iter().map(|key| self.kept[key].job).collect();
        let may_fail = builds_on.iter().any(|job| self.jobs[job].may_fail);
        let plan = generated.plan.clone();
        for output in plan.outputs() {
            if let Some(key) = output.keep {
                let layer = plan.layer(output.layer);
                let base = Base {
                    key,
                    grid: layer.grid.clone(),
                    item_bytes: real_item_bytes(layer),
                    expected: generated.expected[output.layer.0 as usize].clone(),
                };
                let kept = Kept {
                    job: id,
                    layer: output.layer,
                    base,
                    released: false,
                    let_go: BTreeSet::new(),
                };
                self.kept.insert(key, kept);
            }
        }
        self.tell(|| {
            let outputs = plan.outputs();
            format!(
                "{client:?} submits job {id}: {} tasks, outputs {outputs:?}",
                plan.task_count()
            )
        });
        let job = Job {
            client,
            generated: Arc::new(generated),
            status: Status::Submitted,
            told: Status::Submitted,
            is_hopeless: false,
            builds_on,
            acknowledged: BTreeSet::new(),
            arrived: BTreeSet::new(),
            hands: Hands::default(),
            told_failed: BTreeSet::new(),
            is_cancelled: false,
            may_fail,
            may_be_cancelled: false,
        };
        self.jobs.insert(id, job);
        self.send_submission(id);
    }

    pub(crate) fn send_submission(&mut self, id: JobId) {
        let job = &self.jobs[&id];
        let (client, plan) = (job.client, job.generated.plan.clone());
        let name = format!("job {id}").into();
        self.send_from_client(
            client,
            Event::JobSubmitted {
                job: id,
                client,
                name,
                plan,
            },
        );
    }

    pub(crate) fn send_resume(&mut self, client: ClientId, resume: Resume) {
        let at = self.arrival_from(client);
        let connection = self.clients[&client].connection;
        self.schedule_at(
            at,
            Happening::FromReturned {
                client,
                connection,
                resume,
            },
        );
    }

    /// Whether a client's words come on its present connection.
    pub(crate) fn is_current(&self, client: ClientId, connection: u64) -> bool {
        !self.runs.is_down && self.clients[&client].connection == connection
    }

    pub(crate) fn send_from_client(&mut self, client: ClientId, event: Event) {
        let record = &self.clients[&client];
        if !record.is_connected {
            // It says what matters when it is back.
            return;
        }
        let connection = record.connection;
        let at = self.arrival_from(client);
        self.schedule_at(
            at,
            Happening::FromClient {
                client,
                connection,
                event,
            },
        );
    }

    fn arrival_from(&mut self, client: ClientId) -> u64 {
        let delay = self.client_delay(client);
        let record = self.clients.get_mut(&client).expect("a known client");
        record.to_scheduler_at = record.to_scheduler_at.max(self.clock + delay);
        record.to_scheduler_at
    }

    pub(crate) fn client_delay(&mut self, client: ClientId) -> u64 {
        let record = self.clients.get_mut(&client).expect("a known client");
        let (delay, is_slow) = self.profile.delay(&mut record.rng);
        self.counts.slow_messages(is_slow);
        delay
    }

    fn client_chance(&mut self, client: ClientId, nuisance: Nuisance) -> bool {
        let rate = self.profile.rate(nuisance);
        let record = self.clients.get_mut(&client).expect("a known client");
        let happens = record.rng.chance(rate);
        if happens {
            self.counts.nuisance(nuisance);
        }
        happens
    }

    pub(crate) fn arrive_from_client(&mut self, mut event: Event) {
        self.tell(|| match &event {
            Event::JobSubmitted { job, .. } => format!("job {job} arrives"),
            event => format!("from a client: {event:?}"),
        });
        if let Event::JobSubmitted { job, name, .. } = &mut event {
            let Some(given) = self.take_submission(*job) else {
                return;
            };
            if given != *job {
                (*job, *name) = (given, format!("job {given}").into());
            }
        }
        match &event {
            Event::JobSubmitted { job, plan, .. } => {
                let inputs = plan.layers().iter().flat_map(|layer| &layer.inputs);
                let missing = inputs
                    .filter_map(|input| match input.source {
                        Source::Held(key) => Some(key),
                        Source::Layer(_) => None,
                    })
                    .any(|key| self.scheduler.kept(key).is_none());
                if missing {
                    let record = self.jobs.get_mut(job).expect("submitted");
                    (record.status, record.is_hopeless) = (Status::Hopeless, true);
                }
            }
            Event::ChunkDelivered { chunk } => {
                let job = self.jobs.get_mut(&chunk.job).expect("submitted");
                job.acknowledged.insert((chunk.layer, chunk.block));
            }
            Event::KeyReleased { key } => self.note(Record::Fact(Fact::KeyReleased { key: *key })),
            Event::BlocksReleased { key, blocks } => self.note(Record::Fact(Fact::BlocksReleased {
                key: *key,
                blocks: blocks.clone(),
            })),
            Event::ClientLeft { client } => self.note(Record::ClientLeft { client: *client }),
            _ => {}
        }
        self.tell_scheduler(event);
    }

    /// The scheduler has something to say of a job.
    pub(crate) fn notify(&mut self, client: ClientId, job: JobId, event: JobEvent) {
        self.tell(|| format!("{client:?} is told of job {job}: {event:?}"));
        if self.jobs[&job].client != client {
            self.fail(format!("{client:?} is told of job {job}, which is another's"));
        }
        let is_over = matches!(
            event,
            JobEvent::Finished | JobEvent::Failed { .. } | JobEvent::Cancelled
        );
        let is_known_end = is_over && self.journal.standing.end_of(job) == Some(&event);
        if self.runs.is_replaying && (is_known_end || !is_over) {
            return;
        }
        self.check_outcome(job, &event);
        if is_over && !is_known_end {
            let event = event.clone();
            self.note(Record::Ended { job, event });
        }
        let has_failed = self.note_failed(job, &event);
        let is_durable = is_over || has_failed || event == JobEvent::Accepted;
        self.say_to_client(client, job, event, is_durable);
    }

    /// Tells a client something now, or when the disk is that far.
    pub(crate) fn say_to_client(&mut self, client: ClientId, job: JobId, event: JobEvent, is_durable: bool) {
        if !self.clients[&client].is_connected {
            return;
        }
        if self.is_hasty(&event) {
            return self.send_to_client(client, job, event);
        }
        if let Some(event) = self.journal.hold_back(client, job, event, is_durable) {
            self.send_to_client(client, job, event);
        }
    }

    pub(crate) fn send_to_client(&mut self, client: ClientId, job: JobId, event: JobEvent) {
        let delay = self.client_delay(client);
        let record = self.clients.get_mut(&client).expect("a known client");
        let at = (self.clock + delay).max(record.from_scheduler_at);
        record.from_scheduler_at = at;
        let connection = record.connection;
        self.schedule_at(
            at,
            Happening::ToClient {
                client,
                connection,
                job,
                event,
            },
        );
    }

    fn check_outcome(&mut self, id: JobId, event: &JobEvent) {
        let job = self.jobs.get_mut(&id).expect("submitted");
        let before = job.status;
        let (after, allowed) = match event {
            // Blocks that stand for themselves are told of again when they were lost.
            JobEvent::ChunkReady { layer, .. } if job.is_apart(*layer) => {
                (before, matches!(before, Status::Accepted | Status::Finished))
            }
            JobEvent::BlockFailed { layer, .. } => {
                let is_known = matches!(before, Status::Accepted | Status::Finished);
                (before, is_known && job.may_fail && job.is_apart(*layer))
            }
            // Also of a value that was lost.
            JobEvent::ValueAwaited { .. } => (before, matches!(before, Status::Accepted | Status::Finished)),
            JobEvent::ChunkReady { .. } | JobEvent::Problems(_) | JobEvent::NoWorkers => {
                (before, before == Status::Accepted)
            }
            JobEvent::Accepted => (Status::Accepted, before == Status::Submitted),
            JobEvent::Finished => {
                let complete = job.generated.plan.outputs().iter().all(|output| {
                    let blocks = job.generated.plan.layer(output.layer).grid.block_count();
                    output.keep.is_some()
                        || (0..blocks).all(|block| job.acknowledged.contains(&(output.layer, block)))
                });
                (Status::Finished, before == Status::Accepted && complete)
            }
            // A kept result of a finished job may turn out to be lost for good.
            JobEvent::Failed { .. } => {
                let accepted = matches!(before, Status::Accepted | Status::Finished);
                (
                    Status::Failed,
                    before == Status::Hopeless || (accepted && job.may_fail),
                )
            }
            JobEvent::Cancelled => (
                Status::Cancelled,
                before == Status::Accepted && job.may_be_cancelled,
            ),
        };
        job.status = after;
        if !allowed {
            self.fail(format!("job {id} was {before:?} and is told {event:?}"));
        }
    }

    /// Something went wrong that may fail a job: then also all that build on it.
    pub(crate) fn may_fail(&mut self, job: JobId) {
        let mut failing = vec![job];
        while let Some(id) = failing.pop() {
            let record = self.jobs.get_mut(&id).expect("submitted");
            if !std::mem::replace(&mut record.may_fail, true) {
                let users = self.jobs.iter().filter(|(_, user)| user.builds_on.contains(&id));
                failing.extend(users.map(|(&user, _)| user));
            }
        }
    }

    pub(crate) fn arrive_at_client(
        &mut self,
        client: ClientId,
        connection: u64,
        job: JobId,
        event: JobEvent,
    ) {
        let record = &self.clients[&client];
        if record.left || record.connection != connection {
            return;
        }
        if let JobEvent::BlockFailed { layer, block, .. } = &event {
            let record = self.jobs.get_mut(&job).expect("submitted");
            record.told_failed.insert((*layer, *block));
        }
        if let JobEvent::ValueAwaited {
            layer,
            block,
            peer,
            attempt,
        } = &event
        {
            let (layer, block) = (*layer, *block);
            self.value_awaited(client, ChunkId { job, layer, block }, peer.clone(), *attempt);
        }
        let told = match &event {
            JobEvent::Accepted => Some(Status::Accepted),
            JobEvent::ChunkReady { .. }
            | JobEvent::BlockFailed { .. }
            | JobEvent::ValueAwaited { .. }
            | JobEvent::Problems(_)
            | JobEvent::NoWorkers => None,
            end => Some(Status::of_end(end)),
        };
        if let Some(told) = told {
            self.jobs.get_mut(&job).expect("submitted").told = told;
        }
        if let JobEvent::ChunkReady { layer, block, .. } = &event {
            if self.jobs[&job].told_failed.contains(&(*layer, *block)) {
                self.fail(format!(
                    "{client:?} is told that block {block} of layer {layer} of job {job} is there, which failed"
                ));
            }
            self.value_is_there(job, *layer);
            let delay = self.client_delay(client);
            self.schedule(delay, Happening::ClientFetches { job, event });
        }
    }

    pub(crate) fn client_fetches(&mut self, job: JobId, event: JobEvent) {
        let JobEvent::ChunkReady {
            layer,
            block,
            peers,
            inline,
            ..
        } = event
        else {
            return;
        };
        let client = self.jobs[&job].client;
        if self.clients[&client].left {
            return;
        }
        let chunk = ChunkId { job, layer, block };
        let answer = match (inline, peers.is_empty()) {
            (Some(bytes), _) => Ok(decode(&bytes)),
            (None, true) => return,
            (None, false) => {
                let record = self.clients.get_mut(&client).expect("a known client");
                let peer = record.rng.pick(&peers).clone();
                self.deliver(client, &peer, chunk).ok_or(peer.worker)
            }
        };
        match answer {
            Ok(values) => {
                if *values != **self.expected(chunk) {
                    self.fail(format!(
                        "{client:?} got other values for {chunk} than the oracle's"
                    ));
                }
                self.acknowledge(client, chunk);
            }
            Err(worker) => {
                // The scheduler gives that replica up, which may be the last one on a worker that stays.
                self.not_fetched.insert((worker, chunk));
                self.send_from_client(client, Event::DeliveryFailed { chunk, worker });
            }
        }
    }

    fn deliver(&mut self, client: ClientId, peer: &Peer, chunk: ChunkId) -> Option<Values> {
        if self.client_chance(client, Nuisance::DeliveryFailures) {
            return None;
        }
        let &node = self.addresses.get(&peer.address)?;
        if !self.nodes[node].alive || self.nodes[node].hung {
            return None;
        }
        match self.read_chunk(node, chunk, true) {
            Reading::Got(values, _) => Some(values),
            Reading::Failed | Reading::Later(_) => None,
        }
    }

    fn acknowledge(&mut self, client: ClientId, chunk: ChunkId) {
        let job = self.jobs.get_mut(&chunk.job).expect("submitted");
        job.arrived.insert((chunk.layer, chunk.block));
        if job.is_apart(chunk.layer) {
            return self.has_call(client, chunk);
        }
        if self.client_chance(client, Nuisance::LateAcknowledgements) {
            let record = self.clients.get_mut(&client).expect("a known client");
            let delay = record.rng.within(5_000..50_000);
            // A slow client answers out of turn.
            let event = Event::ChunkDelivered { chunk };
            let connection = record.connection;
            self.schedule(
                delay,
                Happening::FromClient {
                    client,
                    connection,
                    event,
                },
            );
        } else {
            self.send_from_client(client, Event::ChunkDelivered { chunk });
        }
    }

    /// A client has the result of a call: it may let go of it, or lose interest in another one.
    fn has_call(&mut self, client: ClientId, chunk: ChunkId) {
        if self.temper == Temper::Calm || self.phase != Phase::Chaos {
            return;
        }
        let rng = &mut self.clients.get_mut(&client).expect("a known client").rng;
        let (lets_go, cancels) = (rng.chance(400), rng.chance(15));
        let of_chunk = |kept: &Kept| kept.job == chunk.job && kept.layer == chunk.layer;
        let found = self.kept.iter_mut().find(|(_, kept)| of_chunk(kept));
        let Some((&key, kept)) = found.filter(|(_, kept)| !kept.released) else {
            return;
        };
        let count = kept.base.grid.block_count();
        if lets_go && kept.let_go.insert(chunk.block) {
            kept.released = kept.let_go.len() as u64 == count;
            if kept.released {
                // A scheduler that begins again may hear of that before it knows that all was made.
                let job = self.jobs.get_mut(&chunk.job).expect("submitted");
                job.may_be_cancelled = true;
            }
            self.values_may_be_lost(chunk.job);
            let blocks = std::iter::once(chunk.block..chunk.block + 1).collect();
            self.send_from_client(client, Event::BlocksReleased { key, blocks });
        }
        if cancels {
            let other = (chunk.block + 1) % count;
            self.may_fail(chunk.job);
            let blocks = std::iter::once(other..other + 1).collect();
            self.send_from_client(client, Event::BlocksCancelled { key, blocks });
        }
    }

    /// Takes down that a block has failed; `false` if it is no such news.
    fn note_failed(&mut self, job: JobId, event: &JobEvent) -> bool {
        let JobEvent::BlockFailed {
            layer,
            block,
            message,
        } = event
        else {
            return false;
        };
        let task = ChunkId {
            job,
            layer: *layer,
            block: *block,
        };
        if self.failed.insert(task) {
            let message = message.clone();
            self.note(Record::Fact(Fact::BlockFailed { task, message }));
        }
        true
    }

    /// Whether a client knows of all calls of a job that it has not let go what has become of them.
    pub(crate) fn knows_calls(&self, id: JobId) -> bool {
        let job = &self.jobs[&id];
        let open = self.kept.values().filter(|kept| kept.job == id && !kept.released);
        open.filter(|kept| job.is_apart(kept.layer)).all(|kept| {
            let blocks = (0..kept.base.grid.block_count()).filter(|block| !kept.let_go.contains(block));
            blocks
                .map(|block| (kept.layer, block))
                .all(|block| job.arrived.contains(&block) || job.told_failed.contains(&block))
        })
    }

    /// A client no longer needs a kept result.
    pub(crate) fn release(&mut self, key: Key) {
        let kept = self.kept.get_mut(&key).expect("a known key");
        kept.released = true;
        let job = kept.job;
        let record = self.jobs.get_mut(&job).expect("submitted");
        record.may_be_cancelled = true;
        let client = record.client;
        self.values_may_be_lost(job);
        self.send_from_client(client, Event::KeyReleased { key });
    }

    pub(crate) fn cancel(&mut self, job: JobId) {
        let record = self.jobs.get_mut(&job).expect("submitted");
        (record.may_be_cancelled, record.is_cancelled) = (true, true);
        let client = record.client;
        self.values_may_be_lost(job);
        self.send_from_client(client, Event::JobCancelled { job });
    }

    pub(crate) fn client_leaves(&mut self, client: ClientId) {
        self.forget_client(client);
        self.send_from_client(client, Event::ClientLeft { client });
    }

    /// A client is gone without a word; the scheduler's shell learns it when the connection is found dead.
    pub(crate) fn client_vanishes(&mut self, client: ClientId, noticed_after_us: u64) {
        self.forget_client(client);
        let event = Event::ClientLeft { client };
        // What it said before comes before.
        let at = (self.clock + noticed_after_us).max(self.clients[&client].to_scheduler_at);
        let connection = self.clients[&client].connection;
        self.schedule_at(
            at,
            Happening::FromClient {
                client,
                connection,
                event,
            },
        );
    }

    pub(crate) fn forget_client(&mut self, client: ClientId) {
        let own = self.jobs.iter().filter(|(_, job)| job.client == client);
        let own: Vec<JobId> = own.map(|(&id, _)| id).collect();
        own.into_iter().for_each(|job| self.values_may_be_lost(job));
        self.clients.get_mut(&client).expect("a known client").left = true;
        for (id, job) in &mut self.jobs {
            if job.client == client {
                job.may_be_cancelled = true;
                for kept in self.kept.values_mut().filter(|kept| kept.job == *id) {
                    kept.released = true;
                }
            }
        }
    }
}

fn decode(bytes: &Bytes) -> Values {
    let numbers = bytes.chunks_exact(8).map(|b| {
        let b: [u8; 8] = b.try_into().expect("eight bytes");
        u64::from_le_bytes(b)
    });
    Arc::new(numbers.collect())
}
