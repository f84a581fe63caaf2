use std::{collections::BTreeMap, io, sync::Arc};

use serde::Serialize;

use super::{
    Aggregator, LAYER_COUNT_MAX,
    activity::Activity,
    frame::{
        Delta, FORMAT_VERSION, FrameKind, Gone, Head, JobRow, LayerRow, RowKey, RunningTask, Snapshot,
        StreamTask, WorkerRow,
    },
};

/// The most a delta takes as JSON: at ten a second, 256 KiB/s to a viewer.
pub const DELTA_BYTES_MAX: usize = 256 * 1024 / 10;

/// What a snapshot's task stream is cut to, so that the whole takes at most this as JSON.
pub const SNAPSHOT_BYTES_MAX: usize = 384 * 1024;

/// Running tasks that are shown.
const RUNNING_SHOWN_MAX: usize = 192;

/// What of a delta is left for the task stream when rows could fill it.
const STREAM_BYTES_KEPT: usize = 6 * 1024;

/// The most a head takes as JSON, with the frame around it.
const HEAD_BYTES_MAX: usize = 1_536;

/// What viewers have seen so far, and so what a delta has to tell.
///
/// A snapshot is of what was *published*: it and the deltas that follow it give, frame by frame, the snapshot of
/// that frame. What does not fit in a delta goes with one of the next.
#[derive(Debug)]
pub struct Publisher {
    cluster: Arc<str>,
    seq: u64,
    head: Head,
    jobs: BTreeMap<RowKey, JobRow>,
    layers: BTreeMap<RowKey, LayerRow>,
    workers: BTreeMap<RowKey, WorkerRow>,
    running: Vec<RunningTask>,
    failures: Vec<super::Failure>,
    /// The number of the task of the stream that comes next.
    stream_cursor: u64,
    /// Where among the changed rows the next delta begins, so that none waits for ever.
    turn: usize,
    /// Whether the latest delta left something for the next.
    has_more: bool,
}

/// The rows as they are now.
struct Rows {
    jobs: BTreeMap<RowKey, JobRow>,
    layers: BTreeMap<RowKey, LayerRow>,
    workers: BTreeMap<RowKey, WorkerRow>,
}

impl Rows {
    fn of(aggregator: &Aggregator, now_us: u64, activity: &Activity) -> Self {
        Self {
            jobs: aggregator
                .jobs
                .values()
                .map(|table| (table.key, table.row()))
                .collect(),
            layers: aggregator
                .jobs
                .values()
                .rev()
                .flat_map(|table| table.layer_rows(now_us, activity))
                .take(LAYER_COUNT_MAX)
                .map(|row| (row.k, row))
                .collect(),
            workers: aggregator
                .shown_workers()
                .into_iter()
                .filter_map(|id| {
                    let table = aggregator.workers.get(&id)?;
                    Some((table.key, table.row(activity.of_worker(id))))
                })
                .collect(),
        }
    }
}

/// A row that viewers do not have yet.
enum Changed {
    Job(JobRow),
    Layer(LayerRow),
    Worker(WorkerRow),
}

impl Publisher {
    /// Has published nothing.
    pub fn new(cluster: impl Into<Arc<str>>) -> Self {
        Self {
            cluster: cluster.into(),
            seq: 0,
            head: Head::default(),
            jobs: BTreeMap::new(),
            layers: BTreeMap::new(),
            workers: BTreeMap::new(),
            running: Vec::new(),
            failures: Vec::new(),
            stream_cursor: 0,
            turn: 0,
            has_more: false,
        }
    }

    /// The number of the latest frame.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Whether the latest frame had no room for all there was to tell.
    pub fn has_more(&self) -> bool {
        self.has_more
    }

    /// When the latest frame was, in microseconds since the cluster's start.
    pub fn published_us(&self) -> u64 {
        self.head.now_us
    }

    /// Publishes all there is without telling anybody: only right while nobody follows.
    pub fn catch_up(&mut self, aggregator: &mut Aggregator, now_us: u64, dropped: u64) {
        aggregator.stream.expire(now_us);
        let mut activity = Activity::of(aggregator);
        let rows = Rows::of(aggregator, now_us, &activity);
        self.seq += 1;
        self.head = aggregator.head(now_us, dropped, activity.running.len() as u64);
        activity.running.truncate(RUNNING_SHOWN_MAX);
        (self.jobs, self.layers, self.workers) = (rows.jobs, rows.layers, rows.workers);
        self.running = activity.running;
        self.failures = aggregator.failure_rows();
        self.stream_cursor = aggregator.stream.end();
        self.has_more = false;
    }

    /// Publishes what changed, as much of it as fits in [`DELTA_BYTES_MAX`].
    pub fn delta(&mut self, aggregator: &mut Aggregator, now_us: u64, dropped: u64) -> Delta {
        aggregator.stream.expire(now_us);
        let mut activity = Activity::of(aggregator);
        let rows = Rows::of(aggregator, now_us, &activity);
        self.seq += 1;
        self.head = aggregator.head(now_us, dropped, activity.running.len() as u64);
        activity.running.truncate(RUNNING_SHOWN_MAX);
        let mut delta = Delta {
            v: FORMAT_VERSION,
            kind: FrameKind::Delta,
            seq: self.seq,
            head: self.head.clone(),
            jobs: Vec::new(),
            layers: Vec::new(),
            workers: Vec::new(),
            gone: self.forget_gone(&rows),
            running: None,
            failures: None,
            stream: Vec::new(),
        };
        self.has_more = false;
        let mut room = DELTA_BYTES_MAX - HEAD_BYTES_MAX;
        room = room.saturating_sub(json_bytes(&delta.gone));
        let running = activity.running;
        if running != self.running {
            room = room.saturating_sub(json_bytes(&running));
            self.running.clone_from(&running);
            delta.running = Some(running);
        }
        let failures = aggregator.failure_rows();
        if failures != self.failures {
            room = room.saturating_sub(json_bytes(&failures));
            self.failures.clone_from(&failures);
            delta.failures = Some(failures);
        }
        let rows_left = self.publish_rows(rows, room.saturating_sub(STREAM_BYTES_KEPT), &mut delta);
        self.publish_stream(aggregator, rows_left + STREAM_BYTES_KEPT.min(room), &mut delta);
        delta
    }

    fn forget_gone(&mut self, rows: &Rows) -> Gone {
        fn take<R>(published: &mut BTreeMap<RowKey, R>, rows: &BTreeMap<RowKey, R>) -> Vec<RowKey> {
            let gone: Vec<_> = published
                .keys()
                .filter(|key| !rows.contains_key(key))
                .copied()
                .collect();
            published.retain(|key, _| rows.contains_key(key));
            gone
        }
        Gone {
            jobs: take(&mut self.jobs, &rows.jobs),
            layers: take(&mut self.layers, &rows.layers),
            workers: take(&mut self.workers, &rows.workers),
        }
    }

    /// Publishes changed rows, in turn, while they fit in `room`. Returns what of it is left.
    fn publish_rows(&mut self, rows: Rows, mut room: usize, delta: &mut Delta) -> usize {
        let jobs = changed(rows.jobs, &self.jobs).map(Changed::Job);
        let workers = changed(rows.workers, &self.workers).map(Changed::Worker);
        let layers = changed(rows.layers, &self.layers).map(Changed::Layer);
        let mut rows: Vec<Changed> = jobs.chain(workers).chain(layers).collect();
        let count = rows.len();
        rows.rotate_left(if count == 0 { 0 } else { self.turn % count });
        for (published, row) in rows.into_iter().enumerate() {
            let bytes = 1 + match &row {
                Changed::Job(row) => json_bytes(row),
                Changed::Layer(row) => json_bytes(row),
                Changed::Worker(row) => json_bytes(row),
            };
            if bytes > room {
                self.turn = self.turn.wrapping_add(published);
                self.has_more = true;
                break;
            }
            room -= bytes;
            self.publish_row(row, delta);
        }
        delta.jobs.sort_by_key(|row| row.k);
        delta.layers.sort_by_key(|row| row.k);
        delta.workers.sort_by_key(|row| row.k);
        room
    }

    fn publish_row(&mut self, row: Changed, delta: &mut Delta) {
        match row {
            Changed::Job(row) => {
                self.jobs.insert(row.k, row.clone());
                delta.jobs.push(row);
            }
            Changed::Layer(row) => {
                self.layers.insert(row.k, row.clone());
                delta.layers.push(row);
            }
            Changed::Worker(row) => {
                self.workers.insert(row.k, row.clone());
                delta.workers.push(row);
            }
        }
    }

    fn publish_stream(&mut self, aggregator: &Aggregator, mut room: usize, delta: &mut Delta) {
        for (number, task) in aggregator.stream.since(self.stream_cursor) {
            let bytes = json_bytes(task) + 1;
            if bytes > room {
                self.stream_cursor = *number;
                self.has_more = true;
                return;
            }
            room -= bytes;
            delta.stream.push(*task);
        }
        self.stream_cursor = aggregator.stream.end();
    }

    /// What a viewer needs to begin with the delta that follows.
    pub fn snapshot(&self, aggregator: &Aggregator) -> Snapshot {
        let mut snapshot = Snapshot {
            v: FORMAT_VERSION,
            kind: FrameKind::Snapshot,
            seq: self.seq,
            cluster: self.cluster.clone(),
            head: self.head.clone(),
            jobs: self.jobs.values().cloned().collect(),
            layers: self.layers.values().cloned().collect(),
            workers: self.workers.values().cloned().collect(),
            running: self.running.clone(),
            failures: self.failures.clone(),
            stream: Vec::new(),
        };
        let mut room = SNAPSHOT_BYTES_MAX.saturating_sub(json_bytes(&snapshot));
        let mut latest: Vec<StreamTask> = Vec::new();
        for task in aggregator.stream.before(self.stream_cursor).rev() {
            let bytes = json_bytes(task) + 1;
            if bytes > room {
                break;
            }
            room -= bytes;
            latest.push(*task);
        }
        latest.reverse();
        snapshot.stream = latest;
        snapshot
    }
}

fn changed<'a, R: PartialEq + 'a>(
    rows: BTreeMap<RowKey, R>,
    published: &'a BTreeMap<RowKey, R>,
) -> impl Iterator<Item = R> {
    rows.into_iter()
        .filter(|(key, row)| published.get(key) != Some(row))
        .map(|(_, row)| row)
}

/// How many bytes `value` takes as JSON.
pub(super) fn json_bytes(value: &impl Serialize) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Rows hold no map with keys that are not text, and counting never fails.
    serde_json::to_writer(&mut count, value).expect("rows are plain JSON");
    count.0
}
