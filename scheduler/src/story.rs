//! What was observed lately, for whoever asks why: a ring with limits.

use std::collections::{HashMap, HashSet, VecDeque};

use graticule_engine::{
    Time,
    scheduler::{Observation, Placement, Scheduler, Standing, Unknown, Why},
};
use graticule_plan::{ChunkId, TaskId, WorkerId};
use graticule_proto::{About, Answer, Happening, Subject, worker_number};

/// The most entries that are kept: about 12 MiB.
const ENTRY_COUNT_MAX: usize = 1 << 17;
/// The most bytes of texts (failures, names) in them.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// The most entries that one answer tells, the latest ones.
const TOLD_COUNT_MAX: usize = 200;
/// The most inputs of a finished task that are looked for to say why it ran where it ran.
const INPUT_COUNT_MAX: usize = 4096;

/// What was observed lately.
#[derive(Debug, Default)]
pub(crate) struct Story {
    entries: VecDeque<(Time, Happening)>,
    text_bytes: usize,
    was_cut: bool,
}

impl Story {
    /// Keeps what belongs to a task's or a worker's story.
    pub(crate) fn take(&mut self, now: Time, observation: &Observation) {
        let Some(happening) = Happening::of(observation) else {
            return;
        };
        self.text_bytes += happening.text_bytes();
        self.entries.push_back((now, happening));
        while self.entries.len() > ENTRY_COUNT_MAX || self.text_bytes > TEXT_BYTES_MAX {
            let Some((_, oldest)) = self.entries.pop_front() else {
                return;
            };
            self.text_bytes -= oldest.text_bytes();
            self.was_cut = true;
        }
    }

    /// What is known of a subject: from the engine how it is, from here what was.
    ///
    /// # Errors
    /// [`Unknown`], if neither knows anything of it.
    pub(crate) fn answer(&self, engine: &Scheduler, now: Time, subject: &Subject) -> Result<Answer, Unknown> {
        match subject {
            Subject::Task(task) => self.of_task(engine, now, *task),
            Subject::Job(job) => self.of_task(engine, now, engine.first_missing(*job)?),
            Subject::Worker(worker) => self.of_worker(engine, now, *worker),
            Subject::WorkerNamed(name) => match (engine.worker_named(name), worker_number(name)) {
                (Ok(worker), _) => self.of_worker(engine, now, worker),
                (Err(_), Some(worker)) => self.of_worker(engine, now, worker),
                (Err(error), None) => match self.former(name) {
                    Some(worker) => self.of_worker(engine, now, worker),
                    None => Err(error),
                },
            },
        }
    }

    fn of_task(&self, engine: &Scheduler, now: Time, task: TaskId) -> Result<Answer, Unknown> {
        let story = self.tell(|happening| happening.task() == Some(task));
        let why = match engine.why(task) {
            Ok(why) => why,
            Err(Unknown::Job { .. }) if !story.0.is_empty() => forgotten(task),
            Err(error) => return Err(error),
        };
        let is_done = matches!(
            why.standing,
            Standing::Held { .. } | Standing::Released | Standing::NotNeeded
        );
        let ran = if is_done { self.ran(engine, task) } else { None };
        let answer = self.told(About::Task(Box::new(why)), now, story);
        Ok(Answer { ran, ..answer })
    }

    /// Where a task was done, and why there: as its inputs lay when they were made, so far as that is remembered.
    fn ran(&self, engine: &Scheduler, task: TaskId) -> Option<(WorkerId, Placement)> {
        let finished = |of: &dyn Fn(TaskId) -> bool| {
            let mut found = HashMap::new();
            for (_, happening) in &self.entries {
                if let Happening::Finished {
                    task, worker, bytes, ..
                } = happening
                    && of(*task)
                {
                    found.insert(*task, (*worker, *bytes));
                }
            }
            found
        };
        let (ran_on, _) = *finished(&|other| other == task).get(&task)?;
        if engine.only_fit(task) == Some(ran_on) {
            return Some((ran_on, Placement::OnlyFit));
        }
        let inputs: HashSet<ChunkId> = engine.first_inputs(task, INPUT_COUNT_MAX).into_iter().collect();
        let mut by_worker: HashMap<WorkerId, u64> = HashMap::new();
        for (worker, bytes) in finished(&|other| inputs.contains(&other)).into_values() {
            *by_worker.entry(worker).or_default() += bytes;
        }
        let of_bytes = by_worker.values().sum();
        let held_bytes = by_worker.get(&ran_on).copied().unwrap_or(0);
        let placement = match by_worker.values().max() {
            None => Placement::Idlest,
            Some(&most) if most == held_bytes => Placement::MostInputs { held_bytes, of_bytes },
            Some(_) => Placement::NextBest { held_bytes, of_bytes },
        };
        Some((ran_on, placement))
    }

    fn of_worker(&self, engine: &Scheduler, now: Time, worker: WorkerId) -> Result<Answer, Unknown> {
        let story = self.tell(|happening| happening.worker() == Some(worker));
        let about = match engine.why_worker(now, worker) {
            Ok(why) => About::Worker(Box::new(why)),
            Err(_) if !story.0.is_empty() => About::FormerWorker(worker),
            Err(error) => return Err(error),
        };
        Ok(self.told(about, now, story))
    }

    /// The latest entries that `belongs` lets through, oldest first, and whether there were more.
    fn tell(&self, belongs: impl Fn(&Happening) -> bool) -> (Vec<(Time, Happening)>, bool) {
        let mut all = self
            .entries
            .iter()
            .rev()
            .filter(|(_, happening)| belongs(happening));
        let mut told: Vec<_> = all.by_ref().take(TOLD_COUNT_MAX).cloned().collect();
        told.reverse();
        (told, all.next().is_some())
    }

    fn told(&self, about: About, now: Time, (story, is_cut): (Vec<(Time, Happening)>, bool)) -> Answer {
        Answer {
            about,
            ran: None,
            story,
            is_cut: is_cut || self.was_cut,
            now,
        }
    }

    /// A worker that is not connected any more, by the name that it had.
    fn former(&self, name: &str) -> Option<WorkerId> {
        self.entries
            .iter()
            .rev()
            .find_map(|(_, happening)| match happening {
                Happening::Joined {
                    worker, name: had, ..
                } if &**had == name => Some(*worker),
                _ => None,
            })
    }
}

/// What is left of a task whose job the engine has forgotten.
fn forgotten(task: TaskId) -> Why {
    Why {
        task,
        layer: "".into(),
        is_wanted: false,
        attempts: 0,
        failures: 0,
        losses: 0,
        misses: 0,
        standing: Standing::Forgotten,
    }
}

#[cfg(test)]
mod tests {
    use graticule_engine::TaskTimes;
    use graticule_plan::{JobId, LayerId};

    use super::*;

    fn task(block: u64) -> TaskId {
        let (job, layer) = (JobId(1), LayerId(0));
        TaskId { job, layer, block }
    }

    fn failed(block: u64, message: &str) -> Observation {
        Observation::TaskFailed {
            task: task(block),
            worker: WorkerId(1),
            attempt: 0,
            message: message.into(),
        }
    }

    #[test]
    fn the_oldest_entries_go_first_and_the_answer_says_so() {
        let mut story = Story::default();
        let engine = Scheduler::new(graticule_engine::scheduler::Config::default());
        let finished = |block| Observation::TasksFinished {
            tasks: task(block).into(),
            worker: WorkerId(1),
            attempt: 0,
            bytes: 1,
            times: TaskTimes::default(),
            others: Vec::new(),
        };
        story.take(Time(1), &finished(0));
        let ask = |story: &Story, block| story.answer(&engine, Time(9), &Subject::Task(task(block)));
        let answer = ask(&story, 0).unwrap();
        assert_eq!((answer.story.len(), answer.is_cut), (1, false));
        assert!(matches!(&answer.about, About::Task(why) if why.standing == Standing::Forgotten));
        for block in 1..=ENTRY_COUNT_MAX as u64 {
            story.take(Time(2), &finished(block));
        }
        assert!(ask(&story, 0).is_err(), "nothing is left of it");
        assert!(ask(&story, 1).unwrap().is_cut);
        assert_eq!(story.entries.len(), ENTRY_COUNT_MAX);
    }

    #[test]
    fn long_texts_count_and_are_dropped_with_their_entries() {
        let mut story = Story::default();
        for block in 0..5 {
            story.take(Time(block), &failed(block, &"x".repeat(TEXT_BYTES_MAX / 2)));
        }
        assert_eq!(story.entries.len(), 2);
        story.take(Time(9), &failed(9, &"x".repeat(TEXT_BYTES_MAX + 1)));
        assert!(story.entries.is_empty() && story.text_bytes == 0);
    }

    #[test]
    fn a_worker_that_left_is_found_by_its_number_and_its_name() {
        let mut story = Story::default();
        let engine = Scheduler::new(graticule_engine::scheduler::Config::default());
        let joined = Observation::WorkerJoined {
            worker: WorkerId(3),
            name: "alice".into(),
            address: "here".into(),
            slots: 1,
            budget_bytes: 1,
        };
        story.take(Time(1), &joined);
        let (worker, why) = (WorkerId(3), Some("connection ended"));
        story.take(Time(2), &Observation::WorkerLeft { worker, why });
        for text in ["worker-3", "alice"] {
            let answer = story.answer(&engine, Time(9), &text.parse().unwrap()).unwrap();
            assert_eq!(
                (answer.about, answer.story.len()),
                (About::FormerWorker(worker), 2)
            );
        }
        let unknown = story
            .answer(&engine, Time(9), &"bob".parse().unwrap())
            .unwrap_err();
        assert!(unknown.to_string().contains("bob"));
    }
}
