//! An account of leases, kept beside the scheduler's own from what it lets be observed.

use std::collections::BTreeMap;

use graticule_engine::{Report, SessionId, scheduler::Observation};
use graticule_plan::{TaskId, WorkerId};

/// Which leases are in force, and what is being heard of them.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    sessions: BTreeMap<WorkerId, SessionId>,
    leases: BTreeMap<TaskId, InForce>,
    /// The session that is being heard, and the reports in its message with the attempts that they answer.
    hearing: Option<(SessionId, Vec<(TaskId, u32)>)>,
    /// What each session said last of the tasks that it computes.
    computing: BTreeMap<SessionId, Vec<TaskId>>,
    slots: BTreeMap<WorkerId, u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct InForce {
    worker: WorkerId,
    attempt: u32,
    session: SessionId,
}

/// Tasks of a worker that vanished.
#[derive(Debug)]
pub(crate) struct Suspects {
    /// It said that it computes them.
    pub(crate) said: Vec<TaskId>,
    pub(crate) others: Vec<TaskId>,
    /// How many of the others may be held to be the cause.
    pub(crate) most_others: usize,
}

impl Ledger {
    /// The scheduler is about to hear a session. Returns how many of the reports answer no lease in force.
    pub(crate) fn hear(&mut self, session: SessionId, reports: &[Report]) -> u64 {
        let of_report = |r: &Report| {
            let attempt = r.attempt;
            r.tasks().each().map(move |task| (task, attempt))
        };
        let answers: Vec<(TaskId, u32)> = reports.iter().flat_map(of_report).collect();
        let is_late = |(task, attempt): &&(TaskId, u32)| {
            let in_force = |lease: &InForce| lease.session == session && lease.attempt == *attempt;
            !self.leases.get(task).is_some_and(in_force)
        };
        let late = answers.iter().filter(is_late).count() as u64;
        self.hearing = Some((session, answers));
        late
    }

    pub(crate) fn heard(&mut self) {
        self.hearing = None;
    }

    pub(crate) fn is_leased_to(&self, task: TaskId, worker: Option<WorkerId>) -> bool {
        self.leases
            .get(&task)
            .is_some_and(|lease| Some(lease.worker) == worker)
    }

    /// A session says which tasks it computes.
    pub(crate) fn hear_computing(&mut self, session: SessionId, tasks: &[TaskId]) {
        self.computing.insert(session, tasks.to_vec());
    }

    /// Who may be the cause if a worker vanishes now: the tasks that it has and said it computes; if there are none, as
    /// many of those that it has as it has slots.
    pub(crate) fn suspects(&self, worker: WorkerId) -> Suspects {
        let leased: Vec<TaskId> = self.leased_to(worker).collect();
        let session = self.sessions.get(&worker);
        let said = session.and_then(|session| self.computing.get(session));
        let is_said = |task: &TaskId| said.is_some_and(|said| said.contains(task));
        let (said, others): (Vec<_>, Vec<_>) = leased.into_iter().partition(is_said);
        let slots = self.slots.get(&worker).copied().unwrap_or(1) as usize;
        Suspects {
            most_others: if said.is_empty() { slots } else { 0 },
            said,
            others,
        }
    }

    pub(crate) fn leased_to(&self, worker: WorkerId) -> impl Iterator<Item = TaskId> {
        let of_worker = self
            .leases
            .iter()
            .filter(move |(_, lease)| lease.worker == worker);
        of_worker.map(|(&task, _)| task)
    }

    pub(crate) fn lease_count(&self) -> usize {
        self.leases.len()
    }

    /// Enters what the scheduler did.
    ///
    /// # Errors
    /// What it must not have done, in a sentence.
    pub(crate) fn observe(&mut self, observation: &Observation) -> Result<(), String> {
        match *observation {
            Observation::WorkerJoined { worker, slots, .. } => {
                self.slots.insert(worker, slots);
                let (session, _) = self.hearing.as_ref().ok_or("a worker joins unheard")?;
                self.sessions.insert(worker, *session);
            }
            Observation::WorkerLeft { worker, .. } => {
                self.sessions.remove(&worker);
            }
            Observation::WorkerStatus { worker, .. }
            | Observation::Moved { worker, .. }
            | Observation::Disk { worker, .. }
            | Observation::Logged { worker, .. } => {
                self.is_alive(worker)?;
            }
            Observation::TasksLeased {
                tasks,
                worker,
                attempt,
            } => {
                for task in tasks.each() {
                    self.leased(task, worker, attempt + 1)?;
                }
            }
            Observation::TaskReset {
                task,
                was_finished: false,
                ..
            } => self.taken_back(task)?,
            Observation::TasksFinished {
                tasks,
                worker,
                attempt,
                ..
            } => {
                for task in tasks.each() {
                    self.finished(task, worker, attempt + 1)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Only its latest connection is a sign of a worker's life.
    fn is_alive(&self, worker: WorkerId) -> Result<(), String> {
        let latest = self.sessions.get(&worker).copied();
        let heard = self.hearing.as_ref().map(|(session, _)| *session);
        if latest.is_some() && latest == heard {
            return Ok(());
        }
        Err(format!(
            "worker {worker} counts as alive on {heard:?}, but its connection is {latest:?}"
        ))
    }

    fn leased(&mut self, task: TaskId, worker: WorkerId, attempt: u32) -> Result<(), String> {
        let session = *self
            .sessions
            .get(&worker)
            .ok_or_else(|| format!("{task} is leased to {worker}, which is not connected"))?;
        let lease = InForce {
            worker,
            attempt,
            session,
        };
        match self.leases.insert(task, lease) {
            None => Ok(()),
            Some(before) => Err(format!(
                "{task} is leased to {worker} while {} has it",
                before.worker
            )),
        }
    }

    fn taken_back(&mut self, task: TaskId) -> Result<(), String> {
        let lease = self.leases.remove(&task);
        let nobody_had_it = || format!("{task} is taken back, which nobody had");
        lease.map(drop).ok_or_else(nobody_had_it)
    }

    /// A result counts once, and only as the answer to the lease in force.
    fn finished(&mut self, task: TaskId, worker: WorkerId, attempt: u32) -> Result<(), String> {
        let Some(lease) = self.leases.remove(&task) else {
            return Err(format!(
                "{task} counts as finished by {worker}, but nobody had it"
            ));
        };
        if (lease.worker, lease.attempt) != (worker, attempt) {
            return Err(format!(
                "{task} counts as finished by {worker} in attempt {attempt}, but {} has it in attempt {}",
                lease.worker, lease.attempt
            ));
        }
        let answer = (task, attempt);
        let heard = |(session, answers): &(SessionId, Vec<(TaskId, u32)>)| {
            *session == lease.session && answers.contains(&answer)
        };
        if self.hearing.as_ref().is_some_and(heard) {
            return Ok(());
        }
        Err(format!(
            "{task} counts as finished in attempt {attempt}, of which {:?} said nothing",
            lease.session
        ))
    }
}
