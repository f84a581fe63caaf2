//! Questions about all tasks of the run: the tiles of a timeline, single tasks, and sums over a part of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Aggregator,
    frame::{RowKey, StreamTask},
    log::Lane,
    tiles::ALL_LANES,
    traffic::MoveClass,
};

/// Tasks of a span of time that are told one by one.
pub const TIMELINE_TASK_COUNT_MAX: u64 = 6_000;

/// A worker's report may come so late.
const LATE_US: u64 = 5_000_000;

/// What there is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineHead {
    /// When the first task that is kept began; `None` if there is none.
    pub first_us: Option<u64>,
    /// When the last one ended.
    pub end_us: Option<u64>,
    /// Tasks that ended.
    pub tasks: u64,
    /// Of them, the oldest ones that are no longer kept.
    pub forgotten: u64,
}

/// Tasks of a span of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineTasks {
    /// The tasks, lane by lane; `None` if there may be more than [`TIMELINE_TASK_COUNT_MAX`].
    pub tasks: Option<Vec<StreamTask>>,
}

/// What tasks of some lanes did in a span of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TimelineSums {
    /// Tasks that were running at some time of the span.
    pub tasks: u64,
    /// Lanes on which there were any.
    pub lanes: u64,
    /// Their time within the span.
    pub busy_us: u64,
    /// By the key of the layer: tasks, and their time within the span; the longest first.
    pub layers: Vec<(RowKey, u64, u64)>,
    /// Bytes that the workers of these lanes moved meanwhile, by kind.
    pub moved: Vec<(MoveClass, u64)>,
}

impl Aggregator {
    /// What there is on the timeline.
    pub fn timeline(&self) -> TimelineHead {
        let span = self.log.span_us();
        let (tasks, forgotten) = self.log.counts();
        TimelineHead {
            first_us: span.map(|it| it.0),
            end_us: span.map(|it| it.1),
            tasks,
            forgotten,
        }
    }

    /// A tile, in the form that [`tiles`](super) describes; `None` if there is none of that name.
    pub fn tile(&mut self, level: u32, index: u64, now_us: u64) -> Option<Vec<u8>> {
        let running = self.active.since_us().unwrap_or(u64::MAX);
        let settled_us = now_us.saturating_sub(LATE_US).min(running);
        self.tiles.encoded(&self.log, level, index, settled_us)
    }

    /// The single tasks of a span of time.
    pub fn timeline_tasks(&self, from_us: u64, to_us: u64) -> TimelineTasks {
        // What may be there counts whole segments, so a few times as many are looked through at most.
        if self.log.count_max(from_us, to_us) > TIMELINE_TASK_COUNT_MAX * 20 {
            return TimelineTasks { tasks: None };
        }
        let mut tasks = Vec::new();
        self.log.each((from_us, to_us), ALL_LANES, |_, task| {
            if tasks.len() as u64 <= TIMELINE_TASK_COUNT_MAX {
                tasks.push(*task);
            }
        });
        let fits = tasks.len() as u64 <= TIMELINE_TASK_COUNT_MAX;
        TimelineTasks {
            tasks: fits.then_some(tasks),
        }
    }

    /// Sums over a box: a span of time, and the lanes from the first to the last.
    pub fn timeline_sums(&self, from_us: u64, to_us: u64, lanes: (Lane, Lane)) -> TimelineSums {
        let mut sums = TimelineSums::default();
        let mut layers: BTreeMap<RowKey, (u64, u64)> = BTreeMap::new();
        let mut last = None;
        self.log.each((from_us, to_us), lanes, |lane, task| {
            let us = task.ended_us().min(to_us) - task.started_us.max(from_us);
            sums.tasks += 1;
            sums.busy_us += us;
            sums.lanes += u64::from(last.replace(lane) != Some(lane));
            let of_layer = layers.entry(task.layer).or_default();
            *of_layer = (of_layer.0 + 1, of_layer.1 + us);
        });
        sums.layers = layers
            .into_iter()
            .map(|(layer, (n, us))| (layer, n, us))
            .collect();
        sums.moved = self.moved_within((from_us, to_us), (lanes.0.0, lanes.1.0));
        sums.layers.sort_by_key(|(_, _, us)| std::cmp::Reverse(*us));
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::tests::{assigned, finished, job_started, joined, task, told};

    #[test]
    fn the_timeline_has_each_task_that_ended_and_sums_of_a_box() {
        let mut records = vec![
            (0, joined(1)),
            (0, joined(2)),
            (0, job_started(1, &[("read", 90), ("mean", 9)])),
        ];
        for block in 0..90 {
            records.push((
                block * 1_000 + 800,
                finished(task(1, 0, block), 1 + block % 2, 0, block * 1_000),
            ));
        }
        records.push((91_000, finished(task(1, 1, 0), 1, 0, 90_000)));
        let mut aggregator = told(&records);
        assert_eq!(
            aggregator.timeline(),
            TimelineHead {
                first_us: Some(0),
                end_us: Some(90_700),
                tasks: 91,
                forgotten: 0
            }
        );
        let tasks = aggregator.timeline_tasks(10_000, 20_000).tasks.expect("few");
        assert_eq!(tasks.len(), 10);
        let sums = aggregator.timeline_sums(0, 90_350, ((0, 0), (0, 9)));
        assert_eq!((sums.tasks, sums.lanes, sums.busy_us), (46, 1, 45 * 700 + 350));
        assert_eq!(sums.layers, [(0, 45, 45 * 700), (1, 1, 350)]);
        assert_eq!(aggregator.timeline_sums(0, 90_350, ((1, 5), (1, 0))).tasks, 0);
        let tile = aggregator.tile(0, 0, 100_000_000).expect("a tile");
        assert_eq!(tile[1..3], [1, 2], "settled, with two lanes");
        aggregator.apply(95_000, assigned(task(1, 1, 1), 1, 0));
        assert_eq!(
            aggregator.tile(3, 0, 100_000_000).expect("a tile")[1],
            0,
            "a task runs that began in it"
        );
    }
}
