//! The scheduler's process: the real engine, with a model of the shell around it.

use graticule_engine::{
    FailureKind, SessionId, Time, ToScheduler,
    scheduler::{Command, Event, Observation},
};

use graticule_plan::{TaskId, WorkerId};

use crate::{
    journal::Record,
    network::link_of,
    world::{Happening, Story, World},
};

/// Workers that vanished with a task, after which it must run alone.
const LOSSES_SUSPICIOUS: u32 = 2;

impl World {
    pub(crate) fn tell_scheduler(&mut self, event: Event) {
        self.tell_scheduler_all(vec![event]);
    }

    /// Hands events to the scheduler's engine at once, and does what it commands.
    pub(crate) fn tell_scheduler_all(&mut self, events: Vec<Event>) {
        if self.runs.is_down {
            return;
        }
        let mut commands = Vec::new();
        let now = Time(self.clock + self.scheduler_ahead_us);
        let is_sign_of_life = matches!(
            events.as_slice(),
            [Event::WorkerMessage {
                message: ToScheduler::Status(_),
                ..
            }]
        );
        self.scheduler.handle_all(now, events, &mut commands);
        self.do_all_for_scheduler(commands);
        self.check_blame();
        self.note_state();
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

    pub(crate) fn do_all_for_scheduler(&mut self, commands: Vec<Command>) {
        for command in commands {
            self.do_for_scheduler(command);
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

    /// Only tasks that a worker may have computed when it vanished count as what may have ended it.
    fn check_blame(&mut self) {
        for suspects in std::mem::take(&mut self.suspects) {
            for task in suspects.said {
                *self.blame.entry(task).or_default() += 1;
            }
            let is_blamed = |task: &TaskId| {
                let most = self.blame.get(task).copied().unwrap_or(0);
                self.scheduler.losses(*task) > most
            };
            let blamed: Vec<TaskId> = suspects.others.into_iter().filter(is_blamed).collect();
            if blamed.len() > suspects.most_others {
                self.fail(format!(
                    "{blamed:?} are held to have ended a worker, but only {} of them may have",
                    suspects.most_others
                ));
            }
            for task in blamed {
                *self.blame.entry(task).or_default() += 1;
            }
        }
    }

    /// A task that may have ended some workers already runs with nothing beside it.
    fn check_alone(&mut self, task: TaskId, worker: WorkerId) {
        if self.blame.is_empty() {
            return;
        }
        let is_suspicious = |task: &TaskId| self.scheduler.losses(*task) >= LOSSES_SUSPICIOUS;
        let is_alone = is_suspicious(&task);
        let beside = self.ledger.leased_to(worker);
        let mut beside = beside.filter(|other| *other != task && (is_alone || is_suspicious(other)));
        let found = beside.next();
        drop(beside);
        if let Some(other) = found {
            self.fail(format!(
                "{task} is leased to {worker} beside {other}, and one of them may have ended other workers"
            ));
        }
    }

    fn observe(&mut self, observation: Observation) {
        if !matches!(observation, Observation::WorkerStatus { .. }) {
            self.tell(|| format!("scheduler: {observation:?}"));
        }
        if let Observation::WorkerLeft { worker, .. } = &observation {
            self.suspects.push(self.ledger.suspects(*worker));
        }
        if let Err(why) = self.ledger.observe(&observation) {
            self.fail(format!("scheduler: {why}"));
        }
        match observation {
            Observation::TasksLeased { tasks, worker, .. } => {
                for task in tasks.each() {
                    self.check_not_there(task);
                    self.check_alone(task, worker);
                }
            }
            Observation::WorkerJoined { worker, .. } => {
                self.is_here_again(worker);
                self.note(Record::WorkerJoined { worker });
            }
            Observation::WorkerLeft { worker, .. } => self.note(Record::WorkerLeft { worker }),
            Observation::TasksFinished { tasks, .. } => self.counts.tasks += tasks.count,
            Observation::TaskReset {
                was_finished: true, ..
            } => self.counts.remade += 1,
            Observation::ChunkLetGo { task, .. } => {
                self.counts.let_go += 1;
                self.runs.there.remove(&task);
            }
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
        let failures = reports.iter().filter_map(|report| report.outcome.as_ref().err());
        for failure in failures {
            if let FailureKind::MissingInputs(missing) = &failure.kind {
                // The scheduler counts on none of these any more, whoever has them.
                self.destroyed.extend(missing.iter().map(|&(chunk, _)| chunk));
            }
        }
        self.counts.late += self.ledger.hear(session, reports);
        if let ToScheduler::Computing { tasks } = &message {
            self.ledger.hear_computing(session, tasks);
        }
        match message {
            ToScheduler::Announce(announce) if first => {
                self.is_brought(announce.inventory.iter().map(|held| held.chunk));
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
