//! Chunks that went to disks and left them during a run, in columns.

use std::{collections::BTreeMap, sync::Arc};

use graticule_plan::{JobId, LayerId, TaskId, WorkerId};

use super::columns;
use crate::{
    ChunkRun, DiskTold, Record,
    aggregate::{take_varint, unzigzag, varint, zigzag},
    disk::DiskMove,
};

/// Rows that are encoded together.
const SEGMENT_ROW_COUNT: usize = 1 << 14;

const COLUMN_COUNT: usize = 6;

/// Chunks of neighbouring blocks that went to a worker's disk, or left it, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DiskRow {
    pub(super) at_ms: u64,
    pub(super) worker: WorkerId,
    pub(super) chunks: ChunkRun,
    pub(super) is_on_disk: bool,
}

impl DiskRow {
    /// The same as it was told, and when.
    pub(super) fn record(&self) -> (u64, Record) {
        let (told, chunks) = (DiskTold::default(), vec![self.chunks]);
        let told = if self.is_on_disk {
            DiskTold {
                to_disk: chunks,
                ..told
            }
        } else {
            DiskTold {
                off_disk: chunks,
                ..told
            }
        };
        let record = Record::Disk {
            worker: self.worker,
            told: Arc::new(told),
        };
        (self.at_ms.saturating_mul(1_000), record)
    }
}

/// The rows of one job, in the order in which they were told. Clones share what is encoded.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Disks {
    pub(super) segments: Vec<Arc<[u8]>>,
    open: Vec<DiskRow>,
}

impl Disks {
    pub(super) fn of_segments(segments: Vec<Arc<[u8]>>) -> Self {
        Self {
            segments,
            open: Vec::new(),
        }
    }

    /// Adds a row to the one before if it goes on there. Whether it did.
    pub(super) fn join(&mut self, at_us: u64, worker: WorkerId, moved: &DiskMove) -> bool {
        let Some(last) = self.open.last_mut() else {
            return false;
        };
        let (before, first) = (last.chunks.first, moved.chunks.first);
        let goes_on = (last.at_ms, last.worker, last.is_on_disk)
            == (at_us.div_ceil(1_000), worker, moved.is_on_disk)
            && (before.layer, before.block.wrapping_add(last.chunks.count)) == (first.layer, first.block);
        if goes_on {
            last.chunks.count = last.chunks.count.saturating_add(moved.chunks.count);
        }
        goes_on
    }

    /// Adds a row. Returns the bytes that were encoded for it.
    pub(super) fn push(&mut self, at_us: u64, worker: WorkerId, moved: &DiskMove) -> usize {
        self.open.push(DiskRow {
            at_ms: at_us.div_ceil(1_000),
            worker,
            chunks: moved.chunks,
            is_on_disk: moved.is_on_disk,
        });
        if self.open.len() < SEGMENT_ROW_COUNT {
            return 0;
        }
        self.close()
    }

    /// Encodes what is still open. Returns how many bytes that took.
    pub(super) fn close(&mut self) -> usize {
        if self.open.is_empty() {
            return 0;
        }
        let segment = encode(&std::mem::take(&mut self.open));
        let len = segment.len();
        self.segments.push(segment.into());
        len
    }

    /// Bytes of what is not encoded yet.
    pub(super) fn open_bytes(&self) -> usize {
        size_of_val(&self.open[..])
    }

    /// All rows; `None` if a segment is damaged.
    pub(super) fn read(&self, job: JobId) -> Option<Vec<DiskRow>> {
        let mut rows = Vec::new();
        for segment in &self.segments {
            decode(segment, job, &mut rows)?;
        }
        rows.extend(&self.open);
        Some(rows)
    }
}

/// The order is kept: of a chunk that moves twice in a millisecond the latter counts.
fn encode(rows: &[DiskRow]) -> Vec<u8> {
    let mut columns: [Vec<u64>; COLUMN_COUNT] = std::array::from_fn(|_| Vec::with_capacity(rows.len()));
    let (mut at_ms, mut worker, mut layer_before) = (0, 0, 0);
    let mut ends: BTreeMap<u64, u64> = BTreeMap::new();
    for row in rows {
        let first = row.chunks.first;
        let layer = u64::from(first.layer.0);
        let end = ends.entry(layer).or_default();
        let cells = [
            zigzag(row.at_ms, at_ms),
            zigzag(row.worker.0, worker),
            zigzag(layer, layer_before),
            zigzag(first.block, *end),
            row.chunks.count,
            u64::from(row.is_on_disk),
        ];
        *end = first.block.wrapping_add(row.chunks.count);
        (at_ms, worker, layer_before) = (row.at_ms, row.worker.0, layer);
        for (column, value) in columns.iter_mut().zip(cells) {
            column.push(value);
        }
    }
    let mut out = Vec::new();
    varint(&mut out, rows.len() as u64);
    columns.iter().for_each(|column| columns::write(&mut out, column));
    out
}

fn decode(mut bytes: &[u8], job: JobId, rows: &mut Vec<DiskRow>) -> Option<()> {
    let bytes = &mut bytes;
    let count = usize::try_from(take_varint(bytes)?).ok()?;
    if count > SEGMENT_ROW_COUNT {
        return None;
    }
    let (mut at_ms, mut worker, mut layer) = (0, 0, 0);
    let mut ends: BTreeMap<u64, u64> = BTreeMap::new();
    for cells in columns::read_rows::<COLUMN_COUNT>(bytes, count)? {
        let cell = |column: usize| cells[column];
        at_ms = unzigzag(cell(0), at_ms);
        worker = unzigzag(cell(1), worker);
        layer = unzigzag(cell(2), layer);
        let end = ends.entry(layer).or_default();
        let block = unzigzag(cell(3), *end);
        *end = block.wrapping_add(cell(4));
        let first = TaskId {
            job,
            layer: LayerId(u32::try_from(layer).ok()?),
            block,
        };
        rows.push(DiskRow {
            at_ms,
            worker: WorkerId(worker),
            chunks: ChunkRun {
                first,
                count: cell(4),
            },
            is_on_disk: cell(5) != 0,
        });
    }
    bytes.is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_row() -> impl Strategy<Value = DiskRow> {
        let number = || prop_oneof![0..9u64, any::<u64>()];
        let layer = prop_oneof![0..9u32, any::<u32>()];
        (number(), number(), layer, number(), number(), any::<bool>()).prop_map(
            |(at_ms, worker, layer, block, count, is_on_disk)| {
                let first = TaskId {
                    job: JobId(7),
                    layer: LayerId(layer),
                    block,
                };
                DiskRow {
                    at_ms,
                    worker: WorkerId(worker),
                    chunks: ChunkRun { first, count },
                    is_on_disk,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn rows_come_back_as_they_were_and_in_their_order(rows in prop::collection::vec(any_row(), 0..200)) {
            let mut seen = Vec::new();
            decode(&encode(&rows), JobId(7), &mut seen).expect("it was just written");
            prop_assert_eq!(seen, rows);
        }

        #[test]
        fn bytes_that_are_no_rows_are_refused_or_read_but_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode(&bytes, JobId(7), &mut Vec::new());
        }
    }

    #[test]
    fn neighbours_that_move_together_are_one_row() {
        let mut disks = Disks::default();
        let mut moved = |at_us, block, is_on_disk| {
            let first = TaskId {
                job: JobId(7),
                layer: LayerId(1),
                block,
            };
            let chunks = ChunkRun { first, count: 2 };
            let moved = DiskMove { chunks, is_on_disk };
            let joined = disks.join(at_us, WorkerId(3), &moved);
            if !joined {
                disks.push(at_us, WorkerId(3), &moved);
            }
            joined
        };
        let told = [(10, 0, true), (11, 2, true), (12, 4, false), (9_000, 6, false)];
        let joined = told.map(|(at_us, block, is_on_disk)| moved(at_us, block, is_on_disk));
        assert_eq!(joined, [false, true, false, false]);
        let rows = disks.read(JobId(7)).expect("they are sound");
        assert_eq!(
            rows.iter().map(|row| row.chunks.count).collect::<Vec<_>>(),
            [4, 2, 2]
        );
        disks.close();
        assert_eq!(disks.read(JobId(7)), Some(rows));
    }
}
