//! What happened in one job, as it is kept: rare records as they are, ended tasks and dropped chunks in columns.

use std::{collections::BTreeMap, sync::Arc};

use graticule_plan::{JobId, LayerId, TaskId, WorkerId};

use super::{columns, disks::Disks, moves::Moves};
use crate::{
    Record, TaskFinished,
    aggregate::{take_varint, unzigzag, varint, zigzag},
    disk::DiskMove,
};

/// Rows that are encoded together.
const SEGMENT_ROW_COUNT: usize = 1 << 14;

/// Bytes that one job's tape may take, some 2.7 million tasks; what comes after is left out and counted. To make a film of
/// that takes about 600 MB for four seconds.
pub(super) const TAPE_BYTES_MAX: usize = 16 << 20;

/// Errors and resets of one job that are kept.
const RARE_COUNT_MAX: usize = 1 << 14;

/// A task that ended, and when that was told.
pub(super) type Ended = (u64, TaskFinished);

/// Chunks of neighbouring blocks that were dropped, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) at_ms: u64,
    pub(super) first: TaskId,
    pub(super) count: u64,
    pub(super) attempt: u32,
}

/// The records of one job. Clones share what is encoded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tape {
    pub(super) job: JobId,
    /// Its start and end, errors and resets.
    pub(super) rare: Vec<(u64, Record)>,
    pub(super) tasks: Vec<Arc<[u8]>>,
    pub(super) drops: Vec<Arc<[u8]>>,
    /// Which of its chunks went to disks, and left them.
    pub(super) disks: Disks,
    open_tasks: Vec<Ended>,
    open_drops: Vec<Dropped>,
    pub(super) task_count: u64,
    pub(super) left_out: u64,
    /// Bytes of the segments.
    segment_bytes: usize,
    /// What was moved for it.
    pub(super) moves: Moves,
    /// Bytes of the rare records, about.
    rare_bytes: usize,
}

impl Tape {
    /// A tape of a job that begins at `zero_us`.
    pub(super) fn new(job: JobId, zero_us: u64) -> Self {
        Self {
            job,
            rare: Vec::new(),
            tasks: Vec::new(),
            drops: Vec::new(),
            disks: Disks::default(),
            open_tasks: Vec::new(),
            open_drops: Vec::new(),
            task_count: 0,
            left_out: 0,
            segment_bytes: 0,
            moves: Moves::new(zero_us),
            rare_bytes: 0,
        }
    }

    /// A tape of segments that were read.
    pub(super) fn of_segments(
        job: JobId,
        rare: Vec<(u64, Record)>,
        tasks: Vec<Arc<[u8]>>,
        drops: Vec<Arc<[u8]>>,
        disks: Disks,
        moves: Moves,
        (task_count, left_out): (u64, u64),
    ) -> Self {
        let segments = tasks.iter().chain(&drops).chain(&disks.segments);
        let segment_bytes = segments.map(|segment| segment.len()).sum();
        Self {
            rare,
            tasks,
            drops,
            disks,
            task_count,
            left_out,
            segment_bytes,
            moves,
            ..Self::new(job, 0)
        }
    }

    pub(super) fn task(&mut self, at_us: u64, task: TaskFinished) {
        if self.segment_bytes >= TAPE_BYTES_MAX {
            self.left_out += 1;
            return;
        }
        self.task_count += 1;
        self.open_tasks.push((at_us, task));
        if self.open_tasks.len() >= SEGMENT_ROW_COUNT {
            self.close_tasks();
        }
    }

    pub(super) fn dropped(&mut self, at_us: u64, first: TaskId, count: u64, attempt: u32) {
        let at_ms = at_us.div_ceil(1_000);
        if let Some(last) = self.open_drops.last_mut() {
            let goes_on =
                last.first.layer == first.layer && last.first.block.wrapping_add(last.count) == first.block;
            if goes_on && (last.at_ms, last.attempt) == (at_ms, attempt) {
                last.count = last.count.saturating_add(count);
                return;
            }
        }
        if self.segment_bytes >= TAPE_BYTES_MAX {
            self.left_out += 1;
            return;
        }
        self.open_drops.push(Dropped {
            at_ms,
            first,
            count,
            attempt,
        });
        if self.open_drops.len() >= SEGMENT_ROW_COUNT {
            self.close_drops();
        }
    }

    pub(super) fn moved_on_disk(&mut self, at_us: u64, worker: WorkerId, moved: &DiskMove) {
        if self.disks.join(at_us, worker, moved) {
            return;
        }
        if self.segment_bytes >= TAPE_BYTES_MAX {
            self.left_out += 1;
            return;
        }
        self.segment_bytes += self.disks.push(at_us, worker, moved);
    }

    pub(super) fn rare(&mut self, at_us: u64, record: Record) {
        if self.rare.len() >= RARE_COUNT_MAX && !record.is_structural() {
            self.left_out += 1;
        } else {
            self.rare_bytes += size_of::<(u64, Record)>() + heap_bytes(&record);
            self.rare.push((at_us, record));
        }
    }

    /// Bytes of memory that it takes, about.
    pub(super) fn held_bytes(&self) -> usize {
        let open = size_of_val(&self.open_tasks[..]) + size_of_val(&self.open_drops[..]);
        self.segment_bytes + self.rare_bytes + open + self.disks.open_bytes() + self.moves.held_bytes()
    }

    /// Bytes of what is packed.
    pub(super) fn bytes(&self) -> usize {
        self.segment_bytes + self.moves.bytes()
    }

    /// Whether all its tasks are done, and its end was not told.
    pub(super) fn is_ending(&self) -> bool {
        let mut total = u64::MAX;
        for (_, record) in &self.rare {
            match record {
                Record::JobStarted { layers, .. } => {
                    let counts = layers.iter().map(|layer| layer.task_count);
                    total = counts.fold(0, u64::saturating_add);
                }
                Record::JobEnded { .. } => return false,
                _ => {}
            }
        }
        self.task_count + self.left_out >= total
    }

    /// Encodes what is still open.
    pub(super) fn close(&mut self) {
        self.close_tasks();
        self.close_drops();
        self.segment_bytes += self.disks.close();
    }

    fn close_tasks(&mut self) {
        if !self.open_tasks.is_empty() {
            let segment = encode_tasks(std::mem::take(&mut self.open_tasks));
            self.segment_bytes += segment.len();
            self.tasks.push(segment.into());
        }
    }

    fn close_drops(&mut self) {
        if !self.open_drops.is_empty() {
            let segment = encode_drops(std::mem::take(&mut self.open_drops));
            self.segment_bytes += segment.len();
            self.drops.push(segment.into());
        }
    }

    /// Each ended task; `None` if a segment is damaged.
    pub(super) fn read_tasks(&self) -> Option<Vec<Ended>> {
        let mut tasks = Vec::new();
        for segment in &self.tasks {
            decode_tasks(segment, self.job, &mut tasks)?;
        }
        tasks.extend(&self.open_tasks);
        Some(tasks)
    }

    /// All chunks that were dropped; `None` if a segment is damaged.
    pub(super) fn read_drops(&self) -> Option<Vec<Dropped>> {
        let mut drops = Vec::new();
        for segment in &self.drops {
            decode_drops(segment, self.job, &mut drops)?;
        }
        drops.extend(&self.open_drops);
        Some(drops)
    }
}

/// What a record holds beside itself, about: texts, and how layers are cut and hang together, as long as they are written.
fn heap_bytes(record: &Record) -> usize {
    let mut written = Written(0);
    match record {
        Record::TaskFailed { message, .. } => message.len(),
        Record::JobStarted { layers, .. } => {
            serde_json::to_writer(&mut written, &**layers).expect("layers are plain JSON");
            written.0
        }
        _ => 0,
    }
}

/// Counts bytes.
struct Written(usize);

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a row is told against: the row before, the end of its lane, the bytes of its layer.
#[derive(Default)]
struct Before {
    worker: u64,
    slot: u64,
    ended_us: u64,
    layer: u64,
    block: BTreeMap<u64, u64>,
    bytes: BTreeMap<u64, u64>,
    attempt: u64,
}

const TASK_COLUMN_COUNT: usize = 11;

fn encode_tasks(mut rows: Vec<Ended>) -> Vec<u8> {
    rows.sort_by_key(|(_, task)| (task.worker, task.slot, task.started_us, task.task));
    let mut columns: [Vec<u64>; TASK_COLUMN_COUNT] = std::array::from_fn(|_| Vec::with_capacity(rows.len()));
    let mut before = Before::default();
    for (at_us, task) in &rows {
        let (worker, slot) = (task.worker.0, u64::from(task.slot));
        let (layer, attempt) = (u64::from(task.task.layer.0), u64::from(task.attempt));
        let ended_us = task.started_us.wrapping_add(task.duration_us);
        let block = before.block.entry(layer).or_default();
        let bytes = before.bytes.entry(layer).or_default();
        let row = [
            zigzag(worker, before.worker),
            zigzag(slot, before.slot),
            zigzag(task.started_us, before.ended_us),
            task.duration_us,
            task.fetch_us,
            zigzag(layer, before.layer),
            zigzag(task.task.block, *block),
            zigzag(task.bytes, *bytes),
            zigzag(attempt, before.attempt),
            u64::from(task.spilled),
            zigzag(*at_us, ended_us),
        ];
        (*block, *bytes) = (task.task.block, task.bytes);
        (before.worker, before.slot, before.ended_us) = (worker, slot, ended_us);
        (before.layer, before.attempt) = (layer, attempt);
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    let mut out = Vec::new();
    varint(&mut out, rows.len() as u64);
    columns.iter().for_each(|column| columns::write(&mut out, column));
    out
}

fn row_count(bytes: &mut &[u8]) -> Option<usize> {
    let count = usize::try_from(take_varint(bytes)?).ok()?;
    (count <= SEGMENT_ROW_COUNT).then_some(count)
}

fn decode_tasks(mut bytes: &[u8], job: JobId, rows: &mut Vec<Ended>) -> Option<()> {
    let bytes = &mut bytes;
    let count = row_count(bytes)?;
    let mut before = Before::default();
    for cells in columns::read_rows::<TASK_COLUMN_COUNT>(bytes, count)? {
        let cell = |column: usize| cells[column];
        before.worker = unzigzag(cell(0), before.worker);
        before.slot = unzigzag(cell(1), before.slot);
        let started_us = unzigzag(cell(2), before.ended_us);
        let ended_us = started_us.wrapping_add(cell(3));
        before.ended_us = ended_us;
        before.layer = unzigzag(cell(5), before.layer);
        before.attempt = unzigzag(cell(8), before.attempt);
        let block = before.block.entry(before.layer).or_default();
        *block = unzigzag(cell(6), *block);
        let held = before.bytes.entry(before.layer).or_default();
        *held = unzigzag(cell(7), *held);
        let task = TaskFinished {
            task: TaskId {
                job,
                layer: LayerId(u32::try_from(before.layer).ok()?),
                block: *block,
            },
            worker: WorkerId(before.worker),
            attempt: u32::try_from(before.attempt).ok()?,
            slot: u32::try_from(before.slot).ok()?,
            started_us,
            duration_us: cell(3),
            fetch_us: cell(4),
            bytes: *held,
            spilled: cell(9) != 0,
        };
        rows.push((unzigzag(cell(10), ended_us), task));
    }
    bytes.is_empty().then_some(())
}

const DROP_COLUMN_COUNT: usize = 5;

fn encode_drops(mut rows: Vec<Dropped>) -> Vec<u8> {
    // Within a millisecond in an order in which they hardly differ.
    rows.sort_by_key(|row| (row.at_ms, row.first, row.attempt, row.count));
    let mut columns: [Vec<u64>; DROP_COLUMN_COUNT] = std::array::from_fn(|_| Vec::with_capacity(rows.len()));
    let (mut at_ms, mut layer_before, mut attempt_before) = (0, 0, 0);
    let mut ends: BTreeMap<u64, u64> = BTreeMap::new();
    for row in &rows {
        let (layer, attempt) = (u64::from(row.first.layer.0), u64::from(row.attempt));
        let end = ends.entry(layer).or_default();
        let cells = [
            row.at_ms - at_ms,
            zigzag(layer, layer_before),
            zigzag(row.first.block, *end),
            row.count,
            zigzag(attempt, attempt_before),
        ];
        *end = row.first.block.wrapping_add(row.count);
        (at_ms, layer_before, attempt_before) = (row.at_ms, layer, attempt);
        for (column, value) in columns.iter_mut().zip(cells) {
            column.push(value);
        }
    }
    let mut out = Vec::new();
    varint(&mut out, rows.len() as u64);
    columns.iter().for_each(|column| columns::write(&mut out, column));
    out
}

fn decode_drops(mut bytes: &[u8], job: JobId, rows: &mut Vec<Dropped>) -> Option<()> {
    let bytes = &mut bytes;
    let count = row_count(bytes)?;
    let (mut at_ms, mut layer, mut attempt) = (0u64, 0, 0);
    let mut ends: BTreeMap<u64, u64> = BTreeMap::new();
    for cells in columns::read_rows::<DROP_COLUMN_COUNT>(bytes, count)? {
        let cell = |column: usize| cells[column];
        at_ms = at_ms.checked_add(cell(0))?;
        layer = unzigzag(cell(1), layer);
        attempt = unzigzag(cell(4), attempt);
        let end = ends.entry(layer).or_default();
        let block = unzigzag(cell(2), *end);
        *end = block.wrapping_add(cell(3));
        rows.push(Dropped {
            at_ms,
            first: TaskId {
                job,
                layer: LayerId(u32::try_from(layer).ok()?),
                block,
            },
            count: cell(3),
            attempt: u32::try_from(attempt).ok()?,
        });
    }
    bytes.is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_task() -> impl Strategy<Value = Ended> {
        let number = || prop_oneof![0..9u64, any::<u64>()];
        let small = || prop_oneof![0..9u32, any::<u32>()];
        let ids = (number(), small(), small(), small(), number());
        (
            ids,
            number(),
            number(),
            number(),
            number(),
            number(),
            any::<bool>(),
        )
            .prop_map(
                |(
                    (worker, slot, layer, attempt, block),
                    at,
                    started_us,
                    duration_us,
                    fetch_us,
                    bytes,
                    spilled,
                )| {
                    let task = TaskId {
                        job: JobId(7),
                        layer: LayerId(layer),
                        block,
                    };
                    let finished = TaskFinished {
                        task,
                        worker: WorkerId(worker),
                        attempt,
                        slot,
                        started_us,
                        duration_us,
                        fetch_us,
                        bytes,
                        spilled,
                    };
                    (at, finished)
                },
            )
    }

    proptest! {
        #[test]
        fn tasks_come_back_as_they_were_but_in_order(rows in proptest::collection::vec(any_task(), 0..200)) {
            let mut seen = Vec::new();
            decode_tasks(&encode_tasks(rows.clone()), JobId(7), &mut seen).expect("it was just written");
            let mut rows = rows;
            let order = |(at, task): &Ended| (task.worker, task.slot, task.started_us, task.task, *at, task.attempt, task.bytes, task.duration_us, task.fetch_us);
            rows.sort_by_key(order);
            seen.sort_by_key(order);
            prop_assert_eq!(seen, rows);
        }

        #[test]
        fn drops_come_back_as_they_were(rows in proptest::collection::vec(
            (0..1u64 << 50, any::<u32>(), any::<u64>(), any::<u64>(), any::<u32>()), 0..200)) {
            let mut rows: Vec<Dropped> = rows.into_iter().map(|(at_ms, layer, block, count, attempt)| Dropped {
                at_ms,
                first: TaskId { job: JobId(7), layer: LayerId(layer), block },
                count,
                attempt,
            }).collect();
            let mut seen = Vec::new();
            decode_drops(&encode_drops(rows.clone()), JobId(7), &mut seen).expect("it was just written");
            rows.sort_by_key(|row| (row.at_ms, row.first, row.attempt, row.count));
            prop_assert_eq!(seen, rows);
        }

        #[test]
        fn bytes_of_anything_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = decode_tasks(&bytes, JobId(7), &mut Vec::new());
            let _ = decode_drops(&bytes, JobId(7), &mut Vec::new());
        }
    }
}
