//! What the actor does for its clients: they open, speak, come back, and leave.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use graticule_engine::scheduler::{ClientId, Event, JobEvent};
use graticule_plan::{ChunkId, JobId, Layer, Plan};
use graticule_proto::{ClientToken, FromCluster, JobEnd, Record, Resume, ResumedJob, ToCluster};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use crate::{actor::Actor, clients::Connection, handle::ClientOpened, journal::Journal};

/// What a client hears of a job's end.
fn told(end: &JobEnd) -> JobEvent {
    match end {
        JobEnd::Finished => JobEvent::Finished,
        JobEnd::Failed { message } => JobEvent::Failed {
            message: message.clone(),
        },
        JobEnd::Cancelled => JobEvent::Cancelled,
    }
}

impl Actor {
    pub(crate) fn open_client(
        &mut self,
        token: Option<ClientToken>,
        returns: bool,
        outbox: mpsc::Sender<FromCluster>,
    ) -> ClientOpened {
        let known = token.and_then(|token| self.standing.client(token));
        let client = known.unwrap_or_else(|| {
            let client = ClientId(self.next_client);
            self.next_client += 1;
            if let Some(token) = token.filter(|_| !returns) {
                self.note(Record::ClientOpened { client, token });
            }
            client
        });
        let clients = &mut self.clients;
        clients.away.remove(&client);
        // What waited for an earlier connection is told anew.
        clients.forget_waiting(client);
        clients.next_connection += 1;
        let number = clients.next_connection;
        clients.connected.insert(
            client,
            Connection {
                number,
                outbox,
                waiting_count: 0,
            },
        );
        self.tell(client, self.functions());
        ClientOpened {
            client,
            connection: number,
            is_known: known.is_some(),
        }
    }

    fn functions(&self) -> FromCluster {
        let names = self.engine.function_names();
        FromCluster::Functions {
            names: names.into_iter().map(Into::into).collect(),
            workers: u32::try_from(self.engine.worker_count()).unwrap_or(u32::MAX),
        }
    }

    /// Tells all clients what functions workers can call, if that has changed.
    pub(crate) fn tell_functions(&mut self) {
        let functions = self.functions();
        if self.functions_told.as_ref() == Some(&functions) {
            return;
        }
        for client in self.clients.connected.keys().copied().collect::<Vec<_>>() {
            self.tell(client, functions.clone());
        }
        self.functions_told = Some(functions);
    }

    /// A connection is over. A client that may come back keeps its jobs for a while.
    pub(crate) fn close_client(&mut self, client: ClientId, connection: u64, events: &mut Vec<Event>) {
        let of_newer = self
            .clients
            .connected
            .get(&client)
            .is_some_and(|c| c.number != connection);
        if of_newer || self.clients.away.contains_key(&client) {
            return;
        }
        self.clients.connected.remove(&client);
        self.clients.forget_waiting(client);
        if self.standing.knows(client) {
            info!(client = client.0, "client is away");
            self.clients
                .away
                .insert(client, Instant::now() + self.client_grace);
        } else if !self.left.remove(&client) {
            self.client_left(client, events);
        }
    }

    fn client_left(&mut self, client: ClientId, events: &mut Vec<Event>) {
        self.clients.away.remove(&client);
        self.jobs.retain(|_, (owner, _)| *owner != client);
        if self.standing.datasets().next().is_some() {
            // What it said before must have had its effect.
            self.handle(std::mem::take(events));
            if self.has_named(client) {
                return self.leave_named(client, events);
            }
        }
        self.note(Record::ClientLeft { client });
        events.push(Event::ClientLeft { client });
    }

    /// Has clients of an earlier run come back within the usual time.
    pub(crate) fn await_clients(&mut self) {
        let until = Instant::now() + self.client_grace;
        let away = self.standing.clients().map(|client| (client, until));
        self.clients.away = away.collect();
    }

    /// Gives up clients that were away for too long.
    pub(crate) fn give_up_clients(&mut self, events: &mut Vec<Event>) {
        let now = Instant::now();
        let away = self.clients.away.iter().filter(|(_, until)| **until <= now);
        for client in away.map(|(&client, _)| client).collect::<Vec<_>>() {
            warn!(
                client = client.0,
                "client did not come back: its jobs and kept results end"
            );
            self.client_left(client, events);
        }
    }

    /// Takes in what a client says on one of its connections.
    pub(crate) fn take_from_client(
        &mut self,
        client: ClientId,
        connection: u64,
        message: ToCluster,
        events: &mut Vec<Event>,
    ) {
        let current = self.clients.connected.get(&client).map(|c| c.number);
        // Late, from an older connection, or from one that was given up.
        if current != Some(connection) {
            return;
        }
        match message {
            ToCluster::Submit {
                submission,
                name,
                plan,
            } => match self.standing.job_of(client, submission) {
                Some(job) => self.submitted_before(client, submission, job, events),
                None => self.submit(client, submission, name, plan, events),
            },
            ToCluster::Cancel { job } => self.cancel_job(job, events),
            ToCluster::Delivered { chunks } => {
                events.extend(chunks.into_iter().map(|chunk| Event::ChunkDelivered { chunk }));
            }
            ToCluster::DeliveryFailed { chunk, worker } => {
                events.push(Event::DeliveryFailed { chunk, worker });
            }
            ToCluster::ReleaseKey { key } => self.release_key(key, events),
            ToCluster::ReleaseBlocks { key, blocks } => {
                self.note(Record::BlocksReleased {
                    key,
                    blocks: blocks.clone(),
                });
                events.push(Event::BlocksReleased { key, blocks });
            }
            ToCluster::CancelBlocks { key, blocks } => events.push(Event::BlocksCancelled { key, blocks }),
            ToCluster::Resume(resume) => self.resume(client, resume, events),
            ToCluster::Leave => {
                // Its connection's end has nothing to add.
                self.left.insert(client);
                self.client_left(client, events);
            }
        }
    }

    fn submit(
        &mut self,
        client: ClientId,
        submission: u64,
        name: Arc<str>,
        plan: Arc<Plan>,
        events: &mut Vec<Event>,
    ) {
        if let Some(why) = self.journal.as_ref().and_then(Journal::refuses) {
            let job = Err(refusal(&why));
            self.clients
                .tell(client, FromCluster::Submitted { submission, job }, 0, u64::MAX);
            return;
        }
        let job = JobId(self.next_job);
        self.next_job += 1;
        // Of calls the client hears one by one.
        if !plan.layers().iter().any(Layer::is_apart) {
            self.jobs.insert(job, (client, Vec::new()));
        }
        if self.standing.knows(client) {
            self.note(Record::JobSubmitted {
                job,
                client,
                submission,
                name: name.clone(),
                plan: plan.clone(),
            });
        }
        let answer = FromCluster::Submitted {
            submission,
            job: Ok(job),
        };
        let (needs, durable) = self.needs();
        self.clients.tell_of(client, answer, needs, durable, Some(job));
        debug!(%job, %name, tasks = plan.task_count(), "job submitted");
        events.push(Event::JobSubmitted {
            job,
            client,
            name,
            plan,
        });
    }

    /// A submission was said again because its answer was lost: it is the same job.
    fn submitted_before(&mut self, client: ClientId, submission: u64, job: JobId, events: &mut Vec<Event>) {
        self.tell_durably(
            client,
            FromCluster::Submitted {
                submission,
                job: Ok(job),
            },
        );
        if !self.tell_end(client, job) {
            self.jobs.entry(job).or_insert((client, Vec::new()));
            // What was offered meanwhile went to nobody.
            events.push(Event::ClientReturned { client });
        }
    }

    /// A client is back, and says what it has and wants. What it does not name it has no use for.
    fn resume(&mut self, client: ClientId, resume: Resume, events: &mut Vec<Event>) {
        info!(client = client.0, jobs = resume.jobs.len(), "client is back");
        let wanted: BTreeSet<JobId> = resume.jobs.iter().map(|job| job.job).collect();
        let pending: BTreeSet<u64> = resume.submissions.into_iter().collect();
        let keys: BTreeSet<_> = resume.keys.into_iter().collect();
        let (mut released, mut unwanted) = (Vec::new(), Vec::new());
        for (submission, job) in self.standing.jobs_of(client) {
            if pending.contains(&submission) {
                continue;
            }
            let (kept, dropped): (Vec<_>, Vec<_>) =
                self.standing.keys_of(job).partition(|key| keys.contains(key));
            released.extend(dropped);
            if !wanted.contains(&job) && kept.is_empty() {
                unwanted.push(job);
            }
        }
        unwanted.into_iter().for_each(|job| self.cancel_job(job, events));
        released.into_iter().for_each(|key| self.release_key(key, events));
        for (key, blocks) in resume.released {
            self.note(Record::BlocksReleased {
                key,
                blocks: blocks.clone(),
            });
            events.push(Event::BlocksReleased { key, blocks });
        }
        for job in resume.jobs {
            self.resume_job(client, job, events);
        }
        events.push(Event::ClientReturned { client });
    }

    fn resume_job(&mut self, client: ClientId, resumed: ResumedJob, events: &mut Vec<Event>) {
        let job = resumed.job;
        if self.tell_end(client, job) {
            return;
        }
        if !self.engine.is_running(job) || self.standing.submission_of(job).is_none() {
            let message =
                "the scheduler does not know this job any more: its journal was lost or cut; submit it again";
            let event = JobEvent::Failed {
                message: message.into(),
            };
            self.clients
                .tell(client, FromCluster::Job { job, event }, 0, u64::MAX);
            return;
        }
        self.jobs.entry(job).or_insert((client, Vec::new()));
        for (layer, ranges) in resumed.delivered {
            let of_layer = self.engine.progress(job);
            let of_layer = of_layer.get(layer.0 as usize);
            let count = of_layer.map_or(0, |layer| layer.task_count);
            let blocks = ranges
                .into_iter()
                .flat_map(|range| range.start..range.end.min(count));
            let chunks = blocks.map(|block| ChunkId { job, layer, block });
            events.extend(chunks.map(|chunk| Event::ChunkDelivered { chunk }));
        }
    }

    /// Tells a client again how its job ended; `false` if it has not.
    fn tell_end(&mut self, client: ClientId, job: JobId) -> bool {
        let Some(event) = self.standing.end_of(job).map(told) else {
            return false;
        };
        self.tell_durably(client, FromCluster::Job { job, event });
        true
    }

    /// Takes down a fact that outlives the process, if there is a journal, and the connection in any case.
    pub(crate) fn note(&mut self, record: Record) {
        if let Some(journal) = &mut self.journal {
            journal.append(&record);
        }
        self.standing.take(record);
        if let Some(journal) = &mut self.journal {
            journal.rewrite_if_large(&self.standing);
        }
    }

    /// Tells a client something that may be known only when all that was noted so far is on the disk.
    pub(crate) fn tell_durably(&mut self, client: ClientId, event: FromCluster) {
        let (needs, durable) = self.needs();
        self.clients.tell(client, event, needs, durable);
    }

    /// The last record that was noted, and the last one that is on the disk.
    pub(crate) fn needs(&self) -> (u64, u64) {
        let journal = self.journal.as_ref();
        journal.map_or((0, 0), |journal| (journal.appended(), journal.progress().durable))
    }

    /// Tells a client something, behind what it is still to be told.
    pub(crate) fn tell(&mut self, client: ClientId, event: FromCluster) {
        self.clients.tell(client, event, 0, 0);
    }

    /// Tells what waited for the disk. While the disk fails nothing waits: new jobs are taken back, and what was told of
    /// older ones without a record is found out again after a restart.
    pub(crate) fn disk_moved(&mut self, events: &mut Vec<Event>) {
        let Some(progress) = self.journal.as_ref().map(Journal::progress) else {
            return;
        };
        let fails = progress.failure.is_some();
        self.answer_about_datasets(progress.durable, progress.failure.as_deref());
        while let Some(due) = self.clients.next_due(progress.durable, fails) {
            let event = match (&progress.failure, due.new_job, due.event) {
                (Some(why), Some(job), FromCluster::Submitted { submission, .. })
                    if due.needs > progress.durable =>
                {
                    events.push(Event::JobCancelled { job });
                    let job = Err(refusal(why));
                    FromCluster::Submitted { submission, job }
                }
                (_, _, event) => event,
            };
            self.clients.send(due.client, event);
        }
    }
}

pub(crate) fn refusal(why: &str) -> Arc<str> {
    format!("the scheduler takes no new jobs because its journal cannot be written ({why}); make room on its disk and try again")
        .into()
}
