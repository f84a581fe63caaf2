//! The network: connections that break, directions that are cut, peers that cannot reach each other.

use graticule_engine::{SessionId, ToScheduler, ToWorker, worker};

use crate::{
    rng::{Rng, Stream, mix_all},
    world::{Happening, Story, World},
};

/// How long a worker tries to reach a peer that it cannot reach.
const CONNECT_TIMEOUT_US: u64 = 3_000;

/// One connection between a worker process and the scheduler.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) node: usize,
    pub(crate) worker_session: SessionId,
    pub(crate) scheduler_session: SessionId,
    pub(crate) up: Way,
    pub(crate) down: Way,
    pub(crate) announced: bool,
    /// Nothing new goes in, and what is under way to the worker is lost.
    pub(crate) broken: bool,
    /// What is under way to the scheduler is lost too.
    pub(crate) loses_reports: bool,
}

/// One direction of a connection. Messages arrive in their order.
#[derive(Debug)]
pub(crate) struct Way {
    rng: Rng,
    /// When the latest message arrives.
    latest_at: u64,
    /// A message was lost, and so is all that comes after it.
    lost: bool,
}

/// What is cut between a worker process and the scheduler.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cut {
    /// Until when nothing reaches the scheduler.
    pub(crate) up_until: u64,
    /// Until when nothing from the scheduler arrives.
    pub(crate) down_until: u64,
    /// What is said meanwhile is lost; else it is held up.
    pub(crate) loses: bool,
}

impl Way {
    fn new(rng: Rng, now: u64) -> Self {
        Self {
            rng,
            latest_at: now,
            lost: false,
        }
    }
}

impl World {
    /// When a message that is sent now arrives, if it does.
    fn arrival(&mut self, link: usize, is_up: bool) -> Option<u64> {
        let cut = self.nodes[self.links[link].node].cut;
        let until = if is_up { cut.up_until } else { cut.down_until };
        let record = &mut self.links[link];
        let way = if is_up { &mut record.up } else { &mut record.down };
        let (delay, is_slow) = self.profile.delay(&mut way.rng);
        self.counts.slow_messages(is_slow);
        way.lost |= self.clock < until && cut.loses;
        if record.broken || way.lost {
            return None;
        }
        let way = if is_up { &mut record.up } else { &mut record.down };
        way.latest_at = way.latest_at.max(self.clock.max(until) + delay);
        Some(way.latest_at)
    }

    pub(crate) fn send_to_worker(&mut self, session: SessionId, message: ToWorker) {
        let link = link_of(session);
        if let Some(at) = self.arrival(link, false) {
            self.schedule_at(at, Happening::ToWorker { link, message });
        }
    }

    pub(crate) fn send_to_scheduler(&mut self, node: usize, session: SessionId, message: ToScheduler) {
        let Some(link) = self.nodes[node].link else { return };
        if self.links[link].worker_session != session {
            self.fail(format!(
                "worker process {node} speaks on {session:?}, which is over"
            ));
            return;
        }
        if let Some(at) = self.arrival(link, true) {
            self.schedule_at(at, Happening::ToScheduler { link, message });
        }
    }

    pub(crate) fn arrive_at_worker(&mut self, link: usize, message: ToWorker) {
        if self.links[link].broken {
            return;
        }
        let (node, session) = (self.links[link].node, self.links[link].worker_session);
        match &message {
            ToWorker::Ping => {}
            ToWorker::Layer(spec) => {
                self.tell(|| format!("process {node} hears of layer {}/{}", spec.job, spec.id));
            }
            message => self.tell(|| format!("process {node} hears: {message:?}")),
        }
        self.tell_worker(node, worker::Event::Message { session, message });
    }

    /// The scheduler ends a connection.
    pub(crate) fn close(&mut self, session: SessionId, why: &'static str) {
        self.tell(|| format!("scheduler closes {session:?}: {why}"));
        self.counts.closed += 1;
        let link = link_of(session);
        // The worker learns of it as of any other word, if that arrives.
        let at = self.arrival(link, false);
        self.links[link].broken = true;
        if let Some(at) = at {
            self.schedule_at(at, Happening::WorkerNotices { link });
        }
    }

    /// Breaks a connection; both ends notice in their own time, unless they are cut off.
    pub(crate) fn cut(&mut self, link: usize, loses_reports: bool, noticed_after_us: u64) {
        if self.links[link].broken {
            return;
        }
        let (up, down) = (self.arrival(link, true), self.arrival(link, false));
        self.links[link].broken = true;
        self.links[link].loses_reports = loses_reports;
        if let Some(at) = up {
            let at = at.max(self.clock + noticed_after_us);
            self.schedule_at(at, Happening::SchedulerNotices { link });
        }
        if let Some(at) = down {
            self.schedule_at(at, Happening::WorkerNotices { link });
        }
    }

    pub(crate) fn worker_notices(&mut self, link: usize) {
        let (node, session) = (self.links[link].node, self.links[link].worker_session);
        if self.nodes[node].link == Some(link) {
            self.links[link].broken = true;
            self.nodes[node].link = None;
            self.tell_worker(node, worker::Event::Disconnected { session });
            self.connect_later(node);
        }
    }

    /// The worker's engine has given the scheduler up.
    pub(crate) fn reconnect(&mut self, node: usize, session: SessionId) {
        let Some(link) = self.nodes[node].link else { return };
        if self.links[link].worker_session == session {
            self.tell(|| format!("process {node} gives the scheduler up"));
            self.cut(link, true, 0);
            self.nodes[node].link = None;
            self.connect_later(node);
        }
    }

    pub(crate) fn connect_later(&mut self, node: usize) {
        let delay = self.nodes[node].rng.within(100..5_000);
        self.schedule(delay, Happening::Connect { node });
    }

    pub(crate) fn connect(&mut self, node: usize) {
        if self.nodes[node].link.is_some() {
            return;
        }
        let cut = self.nodes[node].cut;
        if self.runs.is_down || self.clock < cut.up_until.max(cut.down_until) {
            self.connect_later(node);
            return;
        }
        let worker_session = SessionId(self.nodes[node].next_session);
        self.nodes[node].next_session += 1;
        let link = self.links.len();
        let origin = mix_all(&[self.nodes[node].origin, worker_session.0]);
        self.links.push(Link {
            node,
            worker_session,
            scheduler_session: SessionId(link as u64 + 1),
            up: Way::new(Rng::of(self.case.seed, Stream::ToScheduler, origin), self.clock),
            down: Way::new(Rng::of(self.case.seed, Stream::ToWorker, origin), self.clock),
            announced: false,
            broken: false,
            loses_reports: false,
        });
        self.nodes[node].link = Some(link);
        // What it was told in an earlier session may not have arrived.
        self.nodes[node].released = false;
        self.tell(|| format!("process {node} connects by link {link}"));
        self.tell_worker(
            node,
            worker::Event::Connected {
                session: worker_session,
            },
        );
    }

    /// Whether one process cannot reach another, and how long it takes it to learn that.
    pub(crate) fn unreachable(&self, from: usize, to: usize) -> Option<u64> {
        let until = self.peer_cuts.get(&(from.min(to), from.max(to)));
        until
            .filter(|&&until| self.clock < until)
            .map(|_| CONNECT_TIMEOUT_US)
    }
}

pub(crate) fn link_of(session: SessionId) -> usize {
    usize::try_from(session.0 - 1).expect("sessions are numbered by links")
}
