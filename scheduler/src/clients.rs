//! Clients' connections, which may break and come back, and what each client must hear in which order.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Instant,
};

use graticule_engine::scheduler::ClientId;
use graticule_plan::JobId;
use graticule_proto::FromCluster;
use tokio::sync::mpsc::{self, error::TrySendError};
use tracing::warn;

/// Who is connected, who may come back, and what waits for the disk.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    pub(crate) connected: HashMap<ClientId, Connection>,
    /// Clients whose connection broke, and when they are given up.
    pub(crate) away: BTreeMap<ClientId, Instant>,
    pub(crate) next_connection: u64,
    /// What may be told only when a record is on the disk, with all that is told to the same client after it.
    waiting: VecDeque<Waiting>,
}

/// Something that a client may be told only when a record is on the disk.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) needs: u64,
    pub(crate) client: ClientId,
    pub(crate) event: FromCluster,
    /// The job that is taken back if the record gets nowhere.
    pub(crate) new_job: Option<JobId>,
}

#[derive(Debug)]
pub(crate) struct Connection {
    /// Tells a client's connections apart.
    pub(crate) number: u64,
    pub(crate) outbox: mpsc::Sender<FromCluster>,
    /// Messages to it that wait.
    pub(crate) waiting_count: usize,
}

impl Clients {
    /// Tells a client something at once, or when the record with number `needs` is on the disk.
    pub(crate) fn tell(&mut self, client: ClientId, event: FromCluster, needs: u64, durable: u64) {
        self.tell_of(client, event, needs, durable, None);
    }

    pub(crate) fn tell_of(
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

    pub(crate) fn send(&mut self, client: ClientId, event: FromCluster) {
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
    pub(crate) fn next_due(&mut self, durable: u64, force: bool) -> Option<Waiting> {
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

    pub(crate) fn forget_waiting(&mut self, client: ClientId) {
        self.waiting.retain(|waiting| waiting.client != client);
    }
}

#[cfg(test)]
mod tests {
    use graticule_engine::scheduler::JobEvent;

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
