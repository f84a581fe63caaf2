use std::collections::{BTreeMap, BTreeSet};

use graticule_plan::{JobId, TaskId, WorkerId};

/// Active tasks that are remembered; more are counted by nobody until they end.
const ACTIVE_COUNT_MAX: usize = 1 << 16;

/// A task that a worker has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Active {
    pub(super) worker: WorkerId,
    pub(super) attempt: u32,
    /// When it was first heard that the worker has it.
    pub(super) since_us: u64,
    /// When it began to compute, and on which slot, as far as that was told.
    pub(super) started: Option<(u64, Option<u32>)>,
}

/// The tasks that workers have now.
#[derive(Debug, Default)]
pub(super) struct ActiveTasks {
    tasks: BTreeMap<TaskId, Active>,
    by_worker: BTreeMap<WorkerId, BTreeSet<TaskId>>,
}

impl ActiveTasks {
    /// Takes in that a worker has a task; what is told twice, or of an attempt before the known one, changes
    /// nothing.
    pub(super) fn add(&mut self, task: TaskId, told: Active) {
        if let Some(known) = self.tasks.get_mut(&task) {
            if known.attempt == told.attempt {
                known.since_us = known.since_us.min(told.since_us);
                known.started = known.started.or(told.started);
                return;
            }
            if known.attempt > told.attempt {
                return;
            }
            self.remove(task);
        }
        if self.tasks.len() >= ACTIVE_COUNT_MAX {
            return;
        }
        self.tasks.insert(task, told);
        self.by_worker.entry(told.worker).or_default().insert(task);
    }

    pub(super) fn find(&self, task: TaskId) -> Option<&Active> {
        self.tasks.get(&task)
    }

    pub(super) fn remove(&mut self, task: TaskId) {
        let Some(known) = self.tasks.remove(&task) else {
            return;
        };
        if let Some(tasks) = self.by_worker.get_mut(&known.worker) {
            tasks.remove(&task);
            if tasks.is_empty() {
                self.by_worker.remove(&known.worker);
            }
        }
    }

    pub(super) fn remove_worker(&mut self, worker: WorkerId) {
        for task in self.by_worker.remove(&worker).unwrap_or_default() {
            self.tasks.remove(&task);
        }
    }

    pub(super) fn remove_job(&mut self, job: JobId) {
        let gone: Vec<TaskId> = self
            .tasks
            .keys()
            .filter(|task| task.job == job)
            .copied()
            .collect();
        gone.into_iter().for_each(|task| self.remove(task));
    }

    /// Since when the first of them is with its worker.
    pub(super) fn since_us(&self) -> Option<u64> {
        self.tasks.values().map(|active| active.since_us).min()
    }

    /// The active tasks of one worker.
    pub(super) fn of_worker(&self, worker: WorkerId) -> Vec<(TaskId, Active)> {
        let tasks = self.by_worker.get(&worker).into_iter().flatten();
        tasks.map(|task| (*task, self.tasks[task])).collect()
    }

    /// All active tasks, worker by worker.
    pub(super) fn by_worker(&self) -> impl Iterator<Item = (WorkerId, Vec<(TaskId, Active)>)> {
        self.by_worker.iter().map(|(worker, tasks)| {
            (
                *worker,
                tasks.iter().map(|task| (*task, self.tasks[task])).collect(),
            )
        })
    }
}

/// An active task that computes, as told or as concluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Computing {
    pub(super) task: TaskId,
    pub(super) attempt: u32,
    pub(super) slot: u32,
    pub(super) started_us: u64,
}

/// Which of a worker's active tasks compute, and on which slots.
///
/// Started tasks come first, on their own slots where those are known. Slots that are left go to the tasks that
/// the worker has had longest, the slot that has been free longest first; such a task began when both it and
/// the slot were there.
pub(super) fn computing(
    mut active: Vec<(TaskId, Active)>,
    slots: u32,
    lane_ends_us: &[u64],
) -> Vec<Computing> {
    active.sort_by_key(|(task, active)| (active.started.is_none(), active.since_us, *task));
    let mut free: BTreeSet<(u64, u32)> = (0..slots)
        .map(|slot| (lane_ends_us.get(slot as usize).copied().unwrap_or(0), slot))
        .collect();
    let mut computing = Vec::new();
    let (placed, others): (Vec<_>, Vec<_>) = active
        .into_iter()
        .partition(|(_, active)| matches!(active.started, Some((_, Some(_)))));
    for (task, active) in placed {
        if let Some((started_us, Some(slot))) = active.started {
            free.retain(|(_, other)| *other != slot);
            computing.push(Computing {
                task,
                attempt: active.attempt,
                slot,
                started_us,
            });
        }
    }
    for (task, active) in others {
        let Some((free_us, slot)) = free.pop_first() else {
            break;
        };
        let started_us = active
            .started
            .map_or(active.since_us.max(free_us), |(started_us, _)| started_us);
        computing.push(Computing {
            task,
            attempt: active.attempt,
            slot,
            started_us,
        });
    }
    computing
}

#[cfg(test)]
mod tests {
    use graticule_plan::LayerId;

    use super::*;

    fn task(block: u64) -> TaskId {
        TaskId {
            job: JobId(0),
            layer: LayerId(0),
            block,
        }
    }

    fn assigned(since_us: u64) -> Active {
        Active {
            worker: WorkerId(1),
            attempt: 0,
            since_us,
            started: None,
        }
    }

    #[test]
    fn the_tasks_that_a_worker_has_longest_take_the_slots_that_are_free_longest() {
        let active = vec![
            (task(0), assigned(30)),
            (task(1), assigned(10)),
            (task(2), assigned(20)),
        ];
        let seen: Vec<_> = computing(active, 2, &[25, 5])
            .into_iter()
            .map(|c| (c.task.block, c.slot, c.started_us))
            .collect();
        assert_eq!(seen, [(1, 1, 10), (2, 0, 25)]);
    }

    #[test]
    fn a_task_known_to_have_started_keeps_its_slot() {
        let started = Active {
            started: Some((50, Some(0))),
            ..assigned(40)
        };
        let active = vec![(task(0), assigned(1)), (task(1), assigned(2)), (task(9), started)];
        let seen: Vec<_> = computing(active, 2, &[])
            .into_iter()
            .map(|c| (c.task.block, c.slot))
            .collect();
        assert_eq!(seen, [(9, 0), (0, 1)]);
    }

    #[test]
    fn a_removed_worker_takes_its_tasks_along() {
        let mut tasks = ActiveTasks::default();
        tasks.add(task(0), assigned(1));
        tasks.add(
            task(1),
            Active {
                worker: WorkerId(2),
                ..assigned(1)
            },
        );
        tasks.remove_worker(WorkerId(1));
        assert!(tasks.find(task(0)).is_none() && tasks.find(task(1)).is_some());
        tasks.remove(task(1));
        assert_eq!(tasks.by_worker().count(), 0);
    }
}
