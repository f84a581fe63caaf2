//! The scheduler's process: the real engine, with a model of the shell around it.

use graticule_engine::{
    SessionId, Time, ToScheduler,
    scheduler::{Command, Event, Observation},
};

use crate::{
    network::link_of,
    world::{Happening, Story, World},
};

impl World {
    pub(crate) fn tell_scheduler(&mut self, event: Event) {
        let mut commands = Vec::new();
        let now = Time(self.clock + self.scheduler_ahead_us);
        let is_sign_of_life = matches!(
            &event,
            Event::WorkerMessage {
                message: ToScheduler::Status(_),
                ..
            }
        );
        self.scheduler.handle(now, event, &mut commands);
        for command in commands {
            self.do_for_scheduler(command);
        }
        self.ledger.heard();
        self.counts.heard += u64::from(!is_sign_of_life);
        let is_due = self.counts.heard.is_multiple_of(self.profile.check_every);
        if !is_sign_of_life
            && is_due
            && let Err(why) = self.scheduler.check_invariants()
        {
            self.fail(format!("scheduler: {why}"));
        }
        if let Some(next) = self.scheduler.next_timeout() {
            let at = next.0.saturating_sub(self.scheduler_ahead_us).max(self.clock);
            if self.scheduler_tick_at.is_none_or(|earlier| earlier > at) {
                self.scheduler_tick_at = Some(at);
                self.schedule_at(at, Happening::SchedulerTick { at });
            }
        }
    }

    fn do_for_scheduler(&mut self, command: Command) {
        match command {
            Command::Send { session, message } => self.send_to_worker(session, message),
            Command::Close { session, why } => self.close(session, why),
            Command::Notify { client, job, event } => self.notify(client, job, event),
            Command::Observe(observation) => self.observe(observation),
        }
    }

    fn observe(&mut self, observation: Observation) {
        if !matches!(observation, Observation::WorkerStatus { .. }) {
            self.tell(|| format!("scheduler: {observation:?}"));
        }
        if let Err(why) = self.ledger.observe(&observation) {
            self.fail(format!("scheduler: {why}"));
        }
        match observation {
            Observation::TaskFinished { .. } => self.counts.tasks += 1,
            Observation::TaskReset {
                was_finished: true, ..
            } => self.counts.remade += 1,
            Observation::WorkerReleased { worker, chunks_lost } => {
                self.check_released(worker, chunks_lost);
            }
            _ => {}
        }
    }

    pub(crate) fn arrive_at_scheduler(&mut self, at: usize, message: ToScheduler) {
        let link = &mut self.links[at];
        if link.loses_reports {
            return;
        }
        let session = link.scheduler_session;
        let first = !std::mem::replace(&mut link.announced, true);
        if !matches!(message, ToScheduler::Status(_)) {
            self.tell(|| format!("scheduler hears on {session:?}: {message:?}"));
        }
        let reports = match &message {
            ToScheduler::Reports(reports) => reports.as_slice(),
            _ => &[],
        };
        self.counts.late += self.ledger.hear(session, reports);
        match message {
            ToScheduler::Announce(announce) if first => {
                self.tell_scheduler(Event::WorkerConnected { session, announce });
            }
            message => self.tell_scheduler(Event::WorkerMessage { session, message }),
        }
    }

    pub(crate) fn scheduler_notices(&mut self, link: usize) {
        let session: SessionId = self.links[link].scheduler_session;
        debug_assert_eq!(link_of(session), link);
        self.tell_scheduler(Event::WorkerDisconnected { session });
    }
}
