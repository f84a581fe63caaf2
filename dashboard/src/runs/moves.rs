//! What was moved for a job, and how long its tasks waited to be fetched for, as it is kept: a row for each worker, kind and
//! pair of layers, and each report of it.
//!
//! Of more rows than there may be, those of one worker, kind and pair become one wherever they lie within a bucket of time,
//! and the buckets double in width until they fit. So sums stay what they were, and only when it was gets coarser.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use graticule_plan::{JobId, LayerId, WorkerId};

use super::{archive::is_sound, columns};
use crate::{
    Moved, MovedKind,
    aggregate::{ACCOUNT_BUCKET_US, take_varint, unzigzag, varint, zigzag},
};

/// Rows that a run may have whatever the number of its tasks,
const ROW_COUNT_MIN: usize = 512;
/// as many for each name, so that something is left of when it was,
const ROWS_PER_NAME: usize = 4;
/// up to so many in all,
const NAMED_ROW_COUNT_MAX: usize = 1 << 13;
/// one for so many of its tasks if that is more, so that rows take a byte of each,
const TASKS_PER_ROW: u64 = 16;
/// and the most of all. Rows whose names differ cannot be put together: what has no room then is left out and counted.
const ROW_COUNT_MAX: usize = 1 << 15;

/// The widest bucket: half a year.
const WIDTH_US_MAX: u64 = 1 << 44;

type LayerName = Option<(JobId, LayerId)>;

/// What rows are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    worker: WorkerId,
    kind: Kind,
    of: LayerName,
    by: LayerName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Peer(WorkerId),
    Source,
    Spill,
    ReadBack,
    Call,
    /// Nothing was moved: tasks were with the worker, and it had not begun to fetch for them.
    Queue,
}

impl From<MovedKind> for Kind {
    fn from(kind: MovedKind) -> Self {
        match kind {
            MovedKind::Peer(worker) => Self::Peer(worker),
            MovedKind::Source => Self::Source,
            MovedKind::Spill => Self::Spill,
            MovedKind::ReadBack => Self::ReadBack,
            MovedKind::Call => Self::Call,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sums {
    at_us: u64,
    count: u64,
    bytes: u64,
    busy_us: u64,
    cpu_us: u64,
    began_us: u64,
    ended_us: u64,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.at_us = self.at_us.max(other.at_us);
        self.count = self.count.saturating_add(other.count);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.busy_us = self.busy_us.saturating_add(other.busy_us);
        self.cpu_us = self.cpu_us.saturating_add(other.cpu_us);
        self.began_us = self.began_us.min(other.began_us);
        self.ended_us = self.ended_us.max(other.ended_us);
    }
}

/// What is told of a row when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// What the worker moved.
    Moved(Moved),
    /// Its tasks waited so long, added up, within a span of time.
    Queued { span_us: (u64, u64), waited_us: u64 },
}

/// When something was told, and by whom.
pub(super) type TellingOf = (u64, WorkerId, Told);

/// The rows of one job.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moves {
    /// Where buckets begin.
    zero_us: u64,
    width_us: u64,
    rows: BTreeMap<(u64, Name), Sums>,
    /// Rows that there may be for their names.
    named_count_max: usize,
    /// The rows, once no more come.
    packed: Option<Arc<[u8]>>,
    /// Movements that workers could not keep, or that had no room here.
    pub(super) lost: u64,
}

impl Moves {
    pub(super) fn new(zero_us: u64) -> Self {
        Self {
            zero_us,
            width_us: 1,
            rows: BTreeMap::new(),
            named_count_max: ROW_COUNT_MIN,
            packed: None,
            lost: 0,
        }
    }

    /// Rows that were read.
    pub(super) fn of_packed(packed: Arc<[u8]>, lost: u64) -> Self {
        Self {
            packed: Some(packed),
            lost,
            ..Self::new(0)
        }
    }

    /// Takes in what a worker told of at `at_us`; the job has had `task_count` tasks so far.
    pub(super) fn moved(&mut self, at_us: u64, worker: WorkerId, moved: &Moved, task_count: u64) {
        let name = Name {
            worker,
            kind: moved.kind.into(),
            of: moved.of,
            by: moved.by,
        };
        let sums = Sums {
            at_us,
            count: moved.count,
            bytes: moved.bytes,
            busy_us: moved.busy_us,
            cpu_us: moved.cpu_us,
            began_us: moved.began_us,
            ended_us: moved.ended_us,
        };
        self.add(name, sums);
        self.fit(task_count);
    }

    /// Takes in that a task was with `worker` from when to when before that fetched for it.
    pub(super) fn queued(&mut self, worker: WorkerId, (from_us, to_us): (u64, u64), task_count: u64) {
        let name = Name {
            worker,
            kind: Kind::Queue,
            of: None,
            by: None,
        };
        // In parts that each lie in one bucket of those that slots' time is counted in.
        let mut began_us = from_us;
        while began_us < to_us {
            let since_us = began_us.saturating_sub(self.zero_us);
            let next_us = self.zero_us + (since_us / ACCOUNT_BUCKET_US + 1).saturating_mul(ACCOUNT_BUCKET_US);
            // Of a long wait the rest is one part.
            let is_long = to_us - began_us > 64 * ACCOUNT_BUCKET_US;
            let ended_us = if is_long { to_us } else { next_us.min(to_us) };
            let sums = Sums {
                at_us: ended_us,
                count: 1,
                bytes: 0,
                busy_us: ended_us - began_us,
                cpu_us: 0,
                began_us,
                ended_us,
            };
            self.add(name, sums);
            began_us = ended_us;
        }
        self.fit(task_count);
    }

    fn bucket(&self, name: &Name, sums: &Sums) -> u64 {
        let (at_us, width_us) = match name.kind {
            Kind::Queue => (sums.began_us, self.width_us.max(ACCOUNT_BUCKET_US)),
            _ => (sums.at_us, self.width_us),
        };
        at_us.saturating_sub(self.zero_us) / width_us
    }

    fn add(&mut self, name: Name, sums: Sums) {
        let key = (self.bucket(&name, &sums), name);
        let is_full = self.width_us >= WIDTH_US_MAX && self.rows.len() >= ROW_COUNT_MAX;
        match self.rows.entry(key) {
            Entry::Occupied(mut row) => row.get_mut().add(&sums),
            Entry::Vacant(_) if is_full => self.lost = self.lost.saturating_add(sums.count),
            Entry::Vacant(place) => {
                place.insert(sums);
            }
        }
    }

    fn fit(&mut self, task_count: u64) {
        let by_tasks = usize::try_from(task_count / TASKS_PER_ROW).unwrap_or(usize::MAX);
        let count_max = by_tasks.min(ROW_COUNT_MAX).max(self.named_count_max);
        if self.rows.len() <= count_max || self.width_us >= WIDTH_US_MAX {
            return;
        }
        let names: BTreeSet<&Name> = self.rows.keys().map(|(_, name)| name).collect();
        let for_names = (names.len() * ROWS_PER_NAME).min(NAMED_ROW_COUNT_MAX);
        self.named_count_max = self.named_count_max.max(for_names);
        let count_max = count_max.max(self.named_count_max);
        while self.rows.len() > count_max && self.width_us < WIDTH_US_MAX {
            self.width_us = self.width_us.max(ACCOUNT_BUCKET_US / 2) * 2;
            let rows = std::mem::take(&mut self.rows);
            for ((_, name), sums) in rows {
                self.add(name, sums);
            }
        }
    }

    /// Bytes of memory that it takes, about.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes() + self.rows.len() * size_of::<((u64, Name), Sums)>()
    }

    /// Bytes of the rows that are packed.
    pub(super) fn bytes(&self) -> usize {
        self.packed.as_ref().map_or(0, |packed| packed.len())
    }

    /// Packs the rows; no more may come.
    pub(super) fn close(&mut self) {
        if self.packed.is_none() {
            self.packed = Some(encode(&self.rows).into());
            self.rows = BTreeMap::new();
        }
    }

    /// The rows as the bytes of a file, once they are packed.
    pub(super) fn packed(&self) -> &[u8] {
        self.packed.as_deref().unwrap_or_default()
    }

    /// What was told, by time; `None` if the rows are damaged.
    pub(super) fn read(&self) -> Option<Vec<TellingOf>> {
        let rows = match &self.packed {
            Some(packed) => decode(packed)?,
            None => self.rows.iter().map(|((_, name), sums)| (*name, *sums)).collect(),
        };
        Some(rows.into_iter().map(telling).collect())
    }
}

fn telling((name, sums): (Name, Sums)) -> TellingOf {
    let kind = match name.kind {
        Kind::Peer(worker) => MovedKind::Peer(worker),
        Kind::Source => MovedKind::Source,
        Kind::Spill => MovedKind::Spill,
        Kind::ReadBack => MovedKind::ReadBack,
        Kind::Call => MovedKind::Call,
        Kind::Queue => {
            let told = Told::Queued {
                span_us: (sums.began_us, sums.ended_us),
                waited_us: sums.busy_us,
            };
            return (sums.at_us, name.worker, told);
        }
    };
    let moved = Moved {
        kind,
        of: name.of,
        by: name.by,
        count: sums.count,
        bytes: sums.bytes,
        busy_us: sums.busy_us,
        cpu_us: sums.cpu_us,
        began_us: sums.began_us,
        ended_us: sums.ended_us,
    };
    (sums.at_us, name.worker, Told::Moved(moved))
}

const COLUMN_COUNT: usize = 14;

/// A layer's job, and the layer plus one; 0 is none.
fn layer_cells(layer: LayerName) -> [u64; 2] {
    layer.map_or([0, 0], |(job, layer)| [job.0, u64::from(layer.0) + 1])
}

fn layer_name([job, layer]: [u64; 2]) -> Option<LayerName> {
    let Some(layer) = layer.checked_sub(1) else {
        return Some(None);
    };
    Some(Some((JobId(job), LayerId(u32::try_from(layer).ok()?))))
}

fn cells(name: &Name, sums: &Sums, before_us: u64) -> [u64; COLUMN_COUNT] {
    let (kind, peer) = match name.kind {
        Kind::Peer(worker) => (0, worker.0),
        Kind::Source => (1, 0),
        Kind::Spill => (2, 0),
        Kind::ReadBack => (3, 0),
        Kind::Call => (4, 0),
        Kind::Queue => (5, 0),
    };
    let (of, by) = (layer_cells(name.of), layer_cells(name.by));
    [
        name.worker.0,
        kind,
        peer,
        of[0],
        of[1],
        by[0],
        by[1],
        zigzag(sums.at_us, before_us),
        sums.count,
        sums.bytes,
        sums.busy_us,
        sums.cpu_us,
        zigzag(sums.began_us, sums.at_us),
        zigzag(sums.ended_us, sums.at_us),
    ]
}

/// Sorted by name, since rows of one name resemble each other.
fn encode(rows: &BTreeMap<(u64, Name), Sums>) -> Vec<u8> {
    let mut rows: Vec<(&Name, &Sums)> = rows.iter().map(|((_, name), sums)| (name, sums)).collect();
    rows.sort_by_key(|(name, sums)| (*name, sums.at_us, sums.began_us));
    let mut columns: [Vec<u64>; COLUMN_COUNT] = std::array::from_fn(|_| Vec::with_capacity(rows.len()));
    let mut before_us = 0;
    for (name, sums) in &rows {
        for (column, cell) in columns.iter_mut().zip(cells(name, sums, before_us)) {
            column.push(cell);
        }
        before_us = sums.at_us;
    }
    let mut out = Vec::new();
    varint(&mut out, rows.len() as u64);
    if !rows.is_empty() {
        columns.iter().for_each(|column| columns::write(&mut out, column));
    }
    out
}

fn decode(mut bytes: &[u8]) -> Option<Vec<(Name, Sums)>> {
    let bytes = &mut bytes;
    let count = usize::try_from(take_varint(bytes)?).ok()?;
    if count > ROW_COUNT_MAX {
        return None;
    }
    let mut rows = Vec::with_capacity(count);
    if count > 0 {
        let mut before_us = 0;
        for cells in columns::read_rows::<COLUMN_COUNT>(bytes, count)? {
            rows.push(row(&cells, &mut before_us)?);
        }
    }
    bytes.is_empty().then_some(rows)
}

fn row(cells: &[u64; COLUMN_COUNT], before_us: &mut u64) -> Option<(Name, Sums)> {
    let kind = match cells[1] {
        0 => Kind::Peer(WorkerId(cells[2])),
        1 => Kind::Source,
        2 => Kind::Spill,
        3 => Kind::ReadBack,
        4 => Kind::Call,
        5 => Kind::Queue,
        _ => return None,
    };
    let name = Name {
        worker: WorkerId(cells[0]),
        kind,
        of: layer_name([cells[3], cells[4]])?,
        by: layer_name([cells[5], cells[6]])?,
    };
    let at_us = unzigzag(cells[7], *before_us);
    *before_us = at_us;
    let sums = Sums {
        at_us,
        count: cells[8],
        bytes: cells[9],
        busy_us: cells[10],
        cpu_us: cells[11],
        began_us: unzigzag(cells[12], at_us),
        ended_us: unzigzag(cells[13], at_us),
    };
    let times = [at_us, sums.began_us, sums.ended_us];
    let told = [sums.count, sums.bytes, sums.busy_us, sums.cpu_us];
    times
        .into_iter()
        .chain(told)
        .all(is_sound)
        .then_some((name, sums))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(kind: MovedKind, by: u32, at_us: u64) -> Moved {
        Moved {
            kind,
            of: Some((JobId(1), LayerId(0))),
            by: Some((JobId(1), LayerId(by))),
            count: 3,
            bytes: 1_000 + at_us % 77,
            busy_us: 400,
            cpu_us: 0,
            began_us: at_us - 90,
            ended_us: at_us,
        }
    }

    fn bytes_of(moves: &Moves) -> u64 {
        let told = moves.read().expect("it is sound");
        told.iter()
            .map(|(_, _, told)| match told {
                Told::Moved(moved) => moved.bytes,
                Told::Queued { .. } => 0,
            })
            .sum()
    }

    #[test]
    fn rows_come_back_as_they_were() {
        let mut moves = Moves::new(1_000);
        for at in 1..40 {
            let at_us = 1_000 + at * 100_003;
            let kind = match at % 4 {
                0 => MovedKind::Source,
                1 => MovedKind::Call,
                _ => MovedKind::Peer(WorkerId(at % 3)),
            };
            moves.moved(at_us, WorkerId(at % 3), &moved(kind, at as u32 % 2, at_us), at);
        }
        moves.queued(WorkerId(1), (5_000, 900_000), 40);
        let mut told = moves.read().expect("it is there");
        moves.close();
        let mut back = moves.read().expect("it was just written");
        let order = |it: &TellingOf| format!("{it:?}");
        told.sort_by_key(order);
        back.sort_by_key(order);
        assert_eq!(told, back);
        let waited = told.iter().map(|(_, _, told)| match told {
            Told::Queued { waited_us, .. } => *waited_us,
            Told::Moved(_) => 0,
        });
        assert_eq!(waited.sum::<u64>(), 895_000);
    }

    #[test]
    fn of_too_many_rows_the_sums_stay_and_the_times_get_coarser() {
        let mut moves = Moves::new(0);
        let mut bytes = 0;
        for at in 1..20_000u64 {
            let row = moved(MovedKind::Peer(WorkerId(at % 4)), 1, at * 10_000);
            bytes += row.bytes;
            moves.moved(at * 10_000, WorkerId(9), &row, 0);
        }
        assert!(moves.rows.len() <= ROW_COUNT_MIN, "{}", moves.rows.len());
        assert_eq!((bytes_of(&moves), moves.lost), (bytes, 0));
        moves.close();
        assert_eq!(bytes_of(&moves), bytes);
        assert!(moves.bytes() < ROW_COUNT_MIN * 24, "{}", moves.bytes());
    }

    #[test]
    fn of_many_workers_something_is_left_of_when_it_was() {
        let mut moves = Moves::new(0);
        for at in 1..400u64 {
            for worker in 0..20 {
                for peer in 0..20 {
                    let row = moved(MovedKind::Peer(WorkerId(peer)), 1, at * 100_000);
                    moves.moved(at * 100_000, WorkerId(worker), &row, at);
                }
            }
        }
        let times: BTreeSet<u64> = moves.rows.values().map(|sums| sums.at_us).collect();
        assert!(
            times.len() >= 2 && moves.rows.len() <= 400 * ROWS_PER_NAME,
            "{times:?}"
        );
    }

    #[test]
    fn names_that_have_no_room_are_counted() {
        let mut moves = Moves::new(0);
        for at in 0..ROW_COUNT_MAX as u64 + 7 {
            let row = moved(MovedKind::Peer(WorkerId(at)), 1, 1_000);
            moves.moved(1_000, WorkerId(9), &row, 0);
        }
        assert_eq!((moves.rows.len(), moves.lost), (ROW_COUNT_MAX, 21));
    }
}
