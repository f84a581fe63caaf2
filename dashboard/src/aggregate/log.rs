//! Each task that ended, lane by lane, in about ten bytes: what the timeline is drawn from.

use std::collections::{BTreeMap, VecDeque};

use super::{
    cells::{take_varint, varint},
    frame::{RowKey, StreamTask},
};

/// Tasks of one segment.
const SEGMENT_TASK_COUNT: usize = 512;

/// Bytes that segments may take, some thirteen million tasks; then the oldest are forgotten, and counted.
const LOG_BYTES_MAX: usize = 128 << 20;

/// A slot of a worker.
pub(super) type Lane = (RowKey, u32);

/// The tasks that ended, by lane.
#[derive(Debug, Default)]
pub(super) struct TaskLog {
    lanes: BTreeMap<Lane, LaneLog>,
    bytes: usize,
    task_count: u64,
    forgotten_count: u64,
}

#[derive(Debug, Default)]
struct LaneLog {
    segments: VecDeque<Segment>,
    /// The latest ones, in order of telling.
    open: Vec<StreamTask>,
}

/// Tasks by their beginnings, encoded.
#[derive(Debug)]
struct Segment {
    first_us: u64,
    end_us: u64,
    count: u64,
    bytes: Box<[u8]>,
}

impl TaskLog {
    pub(super) fn push(&mut self, task: StreamTask) {
        self.task_count += 1;
        let lane = self.lanes.entry((task.worker, task.slot)).or_default();
        lane.open.push(task);
        if lane.open.len() >= SEGMENT_TASK_COUNT {
            let segment = Segment::of(std::mem::take(&mut lane.open));
            self.bytes += segment.bytes.len();
            lane.segments.push_back(segment);
            while self.bytes > LOG_BYTES_MAX && self.forget_oldest() {}
        }
    }

    fn forget_oldest(&mut self) -> bool {
        let fronts = self.lanes.values_mut().filter(|lane| !lane.segments.is_empty());
        let oldest = fronts.min_by_key(|lane| lane.segments.front().map(|segment| segment.first_us));
        let Some(segment) = oldest.and_then(|lane| lane.segments.pop_front()) else {
            return false;
        };
        self.bytes -= segment.bytes.len();
        self.forgotten_count += segment.count;
        true
    }

    /// How many tasks were taken in, and how many of them are forgotten.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.task_count, self.forgotten_count)
    }

    /// When the first task that is kept began, and the last one ended.
    pub(super) fn span_us(&self) -> Option<(u64, u64)> {
        let lanes = self.lanes.values();
        let spans = lanes.flat_map(|lane| {
            let closed = lane
                .segments
                .iter()
                .map(|segment| (segment.first_us, segment.end_us));
            closed.chain(lane.open.iter().map(|task| (task.started_us, task.ended_us())))
        });
        spans.reduce(|(first, end), (from, to)| (first.min(from), end.max(to)))
    }

    /// How many tasks there can be in a span of time at most.
    pub(super) fn count_max(&self, from_us: u64, to_us: u64) -> u64 {
        let lanes = self.lanes.values();
        lanes
            .map(|lane| {
                let segments = lane
                    .segments
                    .iter()
                    .filter(|it| it.first_us < to_us && it.end_us > from_us);
                segments.map(|segment| segment.count).sum::<u64>() + lane.open.len() as u64
            })
            .sum()
    }

    /// Shows each task that overlaps a span of time, on the lanes from `lanes.0` to `lanes.1`.
    pub(super) fn each(
        &self,
        (from_us, to_us): (u64, u64),
        lanes: (Lane, Lane),
        mut see: impl FnMut(Lane, &StreamTask),
    ) {
        if lanes.0 > lanes.1 {
            return;
        }
        for (&lane, log) in self.lanes.range(lanes.0..=lanes.1) {
            let mut show = |task: &StreamTask| {
                if task.started_us < to_us && task.ended_us() > from_us {
                    see(lane, task);
                }
            };
            let segments = log.segments.iter();
            segments
                .filter(|segment| segment.first_us < to_us && segment.end_us > from_us)
                .for_each(|segment| segment.each(lane, &mut show));
            log.open.iter().for_each(show);
        }
    }
}

impl Segment {
    fn of(mut tasks: Vec<StreamTask>) -> Self {
        tasks.sort_by_key(|task| task.started_us);
        let mut bytes = Vec::with_capacity(tasks.len() * 10);
        let (first_us, mut end_us) = (tasks[0].started_us, 0);
        let mut before = StreamTask {
            started_us: first_us,
            ..nothing((0, 0))
        };
        for task in &tasks {
            varint(&mut bytes, task.started_us - before.started_us);
            varint(&mut bytes, task.duration_us);
            varint(&mut bytes, zigzag(u64::from(task.layer), u64::from(before.layer)));
            varint(&mut bytes, zigzag(task.block, before.block));
            varint(&mut bytes, task.fetch_us);
            bytes.push(task.marks);
            end_us = end_us.max(task.ended_us());
            before = *task;
        }
        Self {
            first_us,
            end_us,
            count: tasks.len() as u64,
            bytes: bytes.into(),
        }
    }

    fn each(&self, lane: Lane, see: &mut impl FnMut(&StreamTask)) {
        let mut bytes = &self.bytes[..];
        let mut task = StreamTask {
            started_us: self.first_us,
            ..nothing(lane)
        };
        // They are as they were written.
        let mut next = || take_varint(&mut bytes).unwrap_or_default();
        for _ in 0..self.count {
            task.started_us += next();
            task.duration_us = next();
            // Layers' keys are 32 bits: what was one is one again.
            task.layer = unzigzag(next(), u64::from(task.layer)) as RowKey;
            task.block = unzigzag(next(), task.block);
            task.fetch_us = next();
            task.marks = next() as u8;
            see(&task);
        }
    }
}

fn nothing((worker, slot): Lane) -> StreamTask {
    StreamTask {
        layer: 0,
        block: 0,
        worker,
        slot,
        started_us: 0,
        duration_us: 0,
        fetch_us: 0,
        bytes: 0,
        marks: 0,
    }
}

pub(crate) fn zigzag(value: u64, before: u64) -> u64 {
    let step = value.wrapping_sub(before) as i64;
    ((step << 1) ^ (step >> 63)) as u64
}

pub(crate) fn unzigzag(coded: u64, before: u64) -> u64 {
    before.wrapping_add((coded >> 1) ^ (coded & 1).wrapping_neg())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: (Lane, Lane) = ((0, 0), (RowKey::MAX, u32::MAX));

    fn task(at: u64) -> StreamTask {
        StreamTask {
            layer: (at % 5) as RowKey,
            block: at.wrapping_mul(0x9e37) % 100_000,
            worker: (at % 3) as RowKey,
            slot: (at % 2) as u32,
            // Now and then one is told late.
            started_us: at * 1_000 - if at.is_multiple_of(7) { at.min(900) } else { 0 },
            duration_us: 400 + at % 700,
            fetch_us: at % 90,
            bytes: 0,
            marks: (at % 8) as u8,
        }
    }

    #[test]
    fn each_task_comes_back_as_it_was() {
        let mut log = TaskLog::default();
        (1..20_000).for_each(|at| log.push(task(at)));
        let mut seen = Vec::new();
        log.each((0, u64::MAX), ALL, |_, task| seen.push(*task));
        let mut told: Vec<StreamTask> = (1..20_000).map(task).collect();
        let order = |task: &StreamTask| (task.started_us, task.worker, task.slot, task.block);
        seen.sort_by_key(order);
        told.sort_by_key(order);
        assert_eq!(seen, told);
        assert!(log.bytes < 20_000 * 11, "{} bytes", log.bytes);
        assert_eq!(log.span_us().map(|it| it.0), Some(1_000));
    }

    #[test]
    fn a_span_and_lanes_show_what_overlaps_them() {
        let mut log = TaskLog::default();
        (1..5_000).for_each(|at| log.push(task(at)));
        let (from, to) = (1_000_000, 1_500_000);
        let lanes = ((1, 0), (1, 1));
        let mut seen = 0;
        log.each((from, to), lanes, |lane, task| {
            assert!(lane.0 == 1 && task.worker == 1 && task.started_us < to && task.ended_us() > from);
            seen += 1;
        });
        let told = (1..5_000).map(task);
        let expected = told.filter(|it| it.worker == 1 && it.started_us < to && it.ended_us() > from);
        assert_eq!(seen, expected.count());
        assert!(log.count_max(from, to) >= seen as u64);
    }

    #[test]
    fn what_has_no_room_is_forgotten_and_counted() {
        let mut log = TaskLog::default();
        (1..3_000).for_each(|at| log.push(task(at)));
        while log.forget_oldest() {}
        let mut kept = 0;
        log.each((0, u64::MAX), ALL, |_, _| kept += 1);
        assert_eq!(log.counts(), (2_999, 2_999 - kept));
        assert_eq!(log.bytes, 0);
    }
}
