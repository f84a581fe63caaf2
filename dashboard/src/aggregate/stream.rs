use std::collections::VecDeque;

use super::frame::StreamTask;

/// Ended tasks that the task stream holds.
pub const STREAM_TASK_COUNT_MAX: usize = 5_000;

/// Microseconds that the task stream looks back.
pub const STREAM_SPAN_US: u64 = 60_000_000;

/// Tasks that are left when too many ended: a quarter of the room is free again.
const THINNED_COUNT: usize = STREAM_TASK_COUNT_MAX / 4 * 3;

/// The tasks that ended lately, thinned by priority sampling when there are too many.
///
/// Each task has the priority `duration / u` with `u` in (0, 1] drawn from a hash of the task; those below a
/// threshold are left out (Duffield, Lund and Thorup, "Priority sampling for estimation of arbitrary subset
/// sums", section 2). So the picture keeps its area: the long tasks stay, and of the short ones a fair share.
#[derive(Debug, Default)]
pub(super) struct TaskStream {
    /// With the number of each in the order of telling, which has gaps where tasks were thinned out.
    tasks: VecDeque<(u64, StreamTask)>,
    told_count: u64,
    threshold: f64,
    newest_us: u64,
    /// Ends and priorities of what was left out within the span, by second.
    left_out: VecDeque<(u64, u64)>,
}

impl TaskStream {
    pub(super) fn push(&mut self, task: StreamTask) {
        self.newest_us = self.newest_us.max(task.ended_us());
        self.expire(self.newest_us);
        if self.newest_us - task.ended_us() > STREAM_SPAN_US {
            return;
        }
        if priority(&task) < self.threshold {
            self.leave_out(&task);
            return;
        }
        self.tasks.push_back((self.told_count, task));
        self.told_count += 1;
        if self.tasks.len() > STREAM_TASK_COUNT_MAX {
            self.thin();
        }
    }

    /// Forgets what ended before the span that ends at `now_us`.
    pub(super) fn expire(&mut self, now_us: u64) {
        let oldest_us = now_us.saturating_sub(STREAM_SPAN_US);
        while self
            .tasks
            .front()
            .is_some_and(|(_, task)| task.ended_us() < oldest_us)
        {
            self.tasks.pop_front();
        }
        while self
            .left_out
            .front()
            .is_some_and(|(second, _)| (second + 1) * 1_000_000 < oldest_us)
        {
            self.left_out.pop_front();
        }
        if self.threshold > 0.0 && self.tasks.len() < STREAM_TASK_COUNT_MAX / 2 {
            self.threshold = if self.left_out.is_empty() {
                0.0
            } else {
                self.threshold / 2.0
            };
        }
    }

    fn thin(&mut self) {
        let mut priorities: Vec<f64> = self.tasks.iter().map(|(_, task)| priority(task)).collect();
        let excess = priorities.len() - THINNED_COUNT;
        let (_, threshold, _) = priorities.select_nth_unstable_by(excess, f64::total_cmp);
        self.threshold = self.threshold.max(*threshold);
        // Of those right at the threshold only some may go, else many equal ones would never thin out.
        let mut spare = excess;
        for (number, task) in std::mem::take(&mut self.tasks) {
            if spare > 0 && priority(&task) <= self.threshold {
                spare -= 1;
                self.leave_out(&task);
            } else {
                self.tasks.push_back((number, task));
            }
        }
    }

    fn leave_out(&mut self, task: &StreamTask) {
        let second = task.ended_us() / 1_000_000;
        match self.left_out.binary_search_by_key(&second, |(at, _)| *at) {
            Ok(at) => self.left_out[at].1 += 1,
            Err(at) => self.left_out.insert(at, (second, 1)),
        }
    }

    /// Tasks of the span that are left out.
    pub(super) fn left_out_count(&self) -> u64 {
        self.left_out.iter().map(|(_, count)| count).sum()
    }

    /// How many tasks were taken in so far: the cursor past the newest.
    pub(super) fn end(&self) -> u64 {
        self.told_count
    }

    /// The tasks from number `cursor` on, oldest first, each with its number.
    pub(super) fn since(&self, cursor: u64) -> impl DoubleEndedIterator<Item = &(u64, StreamTask)> {
        let from = self.tasks.partition_point(|(number, _)| *number < cursor);
        self.tasks.range(from..)
    }

    /// The tasks before number `cursor`, oldest first.
    pub(super) fn before(&self, cursor: u64) -> impl DoubleEndedIterator<Item = &StreamTask> {
        let to = self.tasks.partition_point(|(number, _)| *number < cursor);
        self.tasks.range(..to).map(|(_, task)| task)
    }
}

/// Drawn from the task alone, so that the same task is kept or left out whenever it is asked.
fn priority(task: &StreamTask) -> f64 {
    let mut hash = 0u64;
    for part in [
        task.block,
        u64::from(task.layer),
        u64::from(task.worker),
        task.started_us,
    ] {
        hash = (hash ^ part ^ (part >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 32;
    }
    let uniform = ((hash >> 11) + 1) as f64 / (1u64 << 53) as f64;
    let weight = if task.marks & (StreamTask::FAILED | StreamTask::AGAIN) == 0 {
        1.0
    } else {
        16.0
    };
    task.duration_us.max(1) as f64 * weight / uniform
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(block: u64, started_us: u64, duration_us: u64) -> StreamTask {
        StreamTask {
            layer: 0,
            block,
            worker: 0,
            slot: 0,
            started_us,
            duration_us,
            fetch_us: 0,
            bytes: 0,
            marks: 0,
        }
    }

    #[test]
    fn a_slow_run_is_kept_whole_for_the_span() {
        let mut stream = TaskStream::default();
        for i in 0..4_000 {
            stream.push(task(i, i * 10_000, 9_000));
        }
        assert_eq!(stream.since(0).count(), 4_000);
        assert_eq!(stream.left_out_count(), 0);
        for i in 4_000..10_000 {
            stream.push(task(i, i * 10_000, 9_000));
        }
        assert!(stream.since(0).count() <= STREAM_TASK_COUNT_MAX);
        let oldest = stream.since(0).next().expect("tasks remain").1;
        assert!(oldest.ended_us() >= 10_000 * 10_000 - STREAM_SPAN_US - 20_000);
    }

    #[test]
    fn a_flood_is_thinned_counted_and_keeps_the_long_tasks() {
        let mut stream = TaskStream::default();
        for i in 0..100_000 {
            let duration = if i % 1_000 == 0 { 50_000 } else { 50 };
            stream.push(task(i, i * 100, duration));
        }
        let kept: Vec<_> = stream.since(0).map(|(_, task)| *task).collect();
        assert!(kept.len() <= STREAM_TASK_COUNT_MAX && kept.len() > STREAM_TASK_COUNT_MAX / 4);
        assert_eq!(kept.len() as u64 + stream.left_out_count(), 100_000);
        assert_eq!(kept.iter().filter(|task| task.duration_us == 50_000).count(), 100);
        stream.expire(200_000_000);
        assert_eq!((stream.since(0).count(), stream.left_out_count()), (0, 0));
        stream.push(task(1, 200_000_000, 1));
        assert_eq!(stream.since(0).count(), 1);
    }

    #[test]
    fn a_flood_of_equal_tasks_is_thinned_as_well() {
        let mut stream = TaskStream::default();
        for _ in 0..50_000 {
            stream.push(task(1, 1, 1));
        }
        assert!(stream.since(0).count() <= STREAM_TASK_COUNT_MAX);
        assert_eq!(stream.since(0).count() as u64 + stream.left_out_count(), 50_000);
    }

    #[test]
    fn a_cursor_sees_each_task_that_was_kept_once() {
        let mut stream = TaskStream::default();
        let (mut cursor, mut seen) = (0, 0);
        for i in 0..3_000 {
            stream.push(task(i, i * 100, 50));
            if i % 7 == 0 {
                seen += stream.since(cursor).count();
                cursor = stream.end();
            }
        }
        assert_eq!(seen + stream.since(cursor).count(), 3_000);
        assert_eq!(stream.before(cursor).count(), seen);
    }
}
