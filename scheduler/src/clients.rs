//! The actor's clients: their connections, which may break and come back, and what each must hear in which order.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::Instant,
};

use graticule_engine::scheduler::{ClientId, Event, JobEvent};
use graticule_plan::JobId;
use graticule_proto::{ClientToken, FromCluster, JobEnd, Record, Resume, ResumedJob, ToCluster};
use tokio::sync::mpsc::{self, error::TrySendError};
use tracing::{debug, info, warn};

use crate::{actor::Actor, handle::ClientOpened, journal::Journal};

/// Who is connected, who may come back, and what waits for the disk.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    connected: HashMap<ClientId, Connection>,
    /// Clients whose connection broke, and when they are given up.
    away: BTreeMap<ClientId, Instant>,
    next_connection: u64,
    /// What may be told only when a record is on the disk, with all that is told to the same client after it.
    waiting: VecDeque<Waiting>,
}

/// Something that a client may be told only when a record is on the disk.
#[derive(Debug)]
struct Waiting {
    needs: u64,
    client: ClientId,
    event: FromCluster,
    /// The job that is taken back if the record gets nowhere.
    new_job: Option<JobId>,
}

#[derive(Debug)]
struct Connection {
    number: u64,
    outbox: mpsc::Sender<FromCluster>,
    /// Messages to it that wait.
    waiting_count: usize,
}

impl Clients {
    /// Tells a client something at once, or when the record with number `needs` is on the disk.
    fn tell(&mut self, client: ClientId, event: FromCluster, needs: u64, durable: u64) {
        self.tell_of(client, event, needs, durable, None);
    }

    fn tell_of(
        &mut self,
        client: ClientId,
        event: FromCluster,
        needs: u64,
        durable: u64,
        new_job: Option<JobId>,
    ) {
        let Some(connection) = self.connected.get_mut(&client) else {
            return;
        };
        if needs <= durable && connection.waiting_count == 0 {
            self.send(client, event);
        } else if connection.waiting_count >= crate::OUTBOX_COUNT_MAX {
            warn!(client = client.0, "too much waits for the disk; disconnected");
            self.connected.remove(&client);
        } else {
            connection.waiting_count += 1;
            // In the order of their records, so that looking at the first is enough.
            let after = self.waiting.back().map_or(0, |last| last.needs);
            self.waiting.push_back(Waiting {
                needs: needs.max(after),
                client,
                event,
                new_job,
            });
        }
    }

    fn send(&mut self, client: ClientId, event: FromCluster) {
        let Some(connection) = self.connected.get(&client) else {
            return;
        };
        if let Err(TrySendError::Full(_)) = connection.outbox.try_send(event) {
            warn!(
                client = client.0,
                "client does not take its messages; disconnected"
            );
            self.connected.remove(&client);
        }
    }

    /// The first message that waits, if the disk is that far; `force` takes it anyway.
    fn next_due(&mut self, durable: u64, force: bool) -> Option<Waiting> {
        let is_due = self
            .waiting
            .front()
            .is_some_and(|first| force || first.needs <= durable);
        let due = if is_due { self.waiting.pop_front() } else { None }?;
        if let Some(connection) = self.connected.get_mut(&due.client) {
            connection.waiting_count = connection.waiting_count.saturating_sub(1);
        }
        Some(due)
    }

    /// A client's outbox, if more than half of it is free and nothing waits for the disk.
    pub(crate) fn idle_outbox(&self, client: ClientId) -> Option<&mpsc::Sender<FromCluster>> {
        let connection = self.connected.get(&client).filter(|c| c.waiting_count == 0)?;
        let outbox = &connection.outbox;
        (outbox.capacity() > outbox.max_capacity() / 2).then_some(outbox)
    }

    /// When the next client that is away is given up.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.away.values().min().copied()
    }

    fn forget_waiting(&mut self, client: ClientId) {
        self.waiting.retain(|waiting| waiting.client != client);
    }
}

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
        ClientOpened {
            client,
            connection: number,
            is_known: known.is_some(),
        }
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
            ToCluster::Cancel { job } => events.push(Event::JobCancelled { job }),
            ToCluster::Delivered { chunk } => events.push(Event::ChunkDelivered { chunk }),
            ToCluster::DeliveryFailed { chunk, worker } => {
                events.push(Event::DeliveryFailed { chunk, worker });
            }
            ToCluster::ReleaseKey { key } => {
                self.note(Record::KeyReleased { key });
                events.push(Event::KeyReleased { key });
            }
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
        name: std::sync::Arc<str>,
        plan: std::sync::Arc<graticule_plan::Plan>,
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
        self.jobs.insert(job, (client, Vec::new()));
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
        let mut released = Vec::new();
        for (submission, job) in self.standing.jobs_of(client) {
            if pending.contains(&submission) {
                continue;
            }
            let (kept, dropped): (Vec<_>, Vec<_>) =
                self.standing.keys_of(job).partition(|key| keys.contains(key));
            released.extend(dropped);
            if !wanted.contains(&job) && kept.is_empty() && self.engine.is_running(job) {
                events.push(Event::JobCancelled { job });
            }
        }
        for key in released {
            self.note(Record::KeyReleased { key });
            events.push(Event::KeyReleased { key });
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
            let chunks = blocks.map(|block| graticule_plan::ChunkId { job, layer, block });
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
    fn needs(&self) -> (u64, u64) {
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

fn refusal(why: &str) -> std::sync::Arc<str> {
    format!("the scheduler takes no new jobs because its journal cannot be written ({why}); make room on its disk and try again")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(clients: &mut Clients, client: ClientId) -> mpsc::Receiver<FromCluster> {
        let (outbox, events) = mpsc::channel(16);
        clients.connected.insert(
            client,
            Connection {
                number: 1,
                outbox,
                waiting_count: 0,
            },
        );
        events
    }

    fn event(job: u64) -> FromCluster {
        let (job, event) = (JobId(job), JobEvent::Accepted);
        FromCluster::Job { job, event }
    }

    fn heard(events: &mut mpsc::Receiver<FromCluster>) -> Vec<FromCluster> {
        std::iter::from_fn(|| events.try_recv().ok()).collect()
    }

    #[test]
    fn what_waits_for_the_disk_holds_up_its_own_client_alone_and_in_order() {
        let mut clients = Clients::default();
        let (one, other) = (ClientId(1), ClientId(2));
        let (mut to_one, mut to_other) = (connect(&mut clients, one), connect(&mut clients, other));
        clients.tell(one, event(1), 5, 4);
        clients.tell(one, event(2), 0, 4);
        clients.tell(other, event(3), 0, 4);
        assert!(heard(&mut to_one).is_empty());
        assert_eq!(heard(&mut to_other), [event(3)]);
        assert!(clients.idle_outbox(one).is_none() && clients.idle_outbox(other).is_some());
        assert!(clients.next_due(4, false).is_none());
        while let Some(due) = clients.next_due(5, false) {
            clients.send(due.client, due.event);
        }
        assert_eq!(heard(&mut to_one), [event(1), event(2)]);
        clients.tell(one, event(4), 0, 5);
        assert_eq!(heard(&mut to_one), [event(4)]);
    }

    #[test]
    fn a_message_goes_no_earlier_than_those_that_came_before_it() {
        let mut clients = Clients::default();
        let mut events = connect(&mut clients, ClientId(1));
        clients.tell(ClientId(1), event(1), 9, 0);
        clients.tell(ClientId(1), event(2), 3, 0);
        assert!(clients.next_due(3, false).is_none());
        assert_eq!(clients.next_due(9, false).map(|due| due.needs), Some(9));
        assert_eq!(clients.next_due(9, false).map(|due| due.needs), Some(9));
        assert!(heard(&mut events).is_empty());
    }
}
