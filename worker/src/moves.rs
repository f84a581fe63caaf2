//! What the worker moves, summed up until the scheduler is told.
//!
//! Fetches, the disk and calls take note from many threads. None of them waits for another: the table is cut into stripes,
//! each is only tried, and what finds none free, or no room, is counted as lost. Nothing is allocated after the start.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use graticule_engine::{LayerName, Move, MoveKind, MoveName, Moved};
use graticule_plan::ChunkId;

/// Stripes, each under a lock of its own.
const STRIPE_COUNT: usize = 4;
/// Rows of a stripe; a power of two.
const ROW_COUNT: usize = 64;
/// Rows that are looked at before a movement has no room.
const PROBE_COUNT_MAX: usize = 8;

/// The table.
#[derive(Debug)]
pub(crate) struct Moves {
    stripes: [Mutex<Stripe>; STRIPE_COUNT],
    lost: AtomicU64,
    started: Instant,
}

#[derive(Debug)]
struct Stripe {
    rows: Box<[Option<Row>; ROW_COUNT]>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    name: MoveName,
    count: u64,
    bytes: u64,
    busy_us: u64,
    cpu_us: u64,
    began_us: u64,
    ended_us: u64,
}

impl Default for Moves {
    fn default() -> Self {
        let stripe = || {
            Mutex::new(Stripe {
                rows: Box::new([None; ROW_COUNT]),
            })
        };
        Self {
            stripes: std::array::from_fn(|_| stripe()),
            lost: AtomicU64::new(0),
            started: Instant::now(),
        }
    }
}

/// The layer that a chunk is of.
pub(crate) fn layer_of(chunk: ChunkId) -> Option<LayerName> {
    Some((chunk.job, chunk.layer))
}

impl Moves {
    /// Takes note of a movement that began at `began` and has just ended. Never waits.
    pub(crate) fn note(&self, name: MoveName, bytes: u64, began: Instant) {
        self.add(name, bytes, began, Instant::now(), Duration::ZERO);
    }

    /// Takes note of a call of a user's function, and of what it took of a CPU.
    pub(crate) fn note_call(&self, by: LayerName, began: Instant, cpu: Duration) {
        let name = MoveName {
            kind: MoveKind::Call,
            of: None,
            by: Some(by),
        };
        self.add(name, 0, began, Instant::now(), cpu);
    }

    fn add(&self, name: MoveName, bytes: u64, began: Instant, ended: Instant, cpu: Duration) {
        let (began_us, ended_us) = (self.us(began), self.us(ended));
        let row = Row {
            name,
            count: 1,
            bytes,
            busy_us: ended_us - began_us,
            cpu_us: cpu.as_micros() as u64,
            began_us,
            ended_us,
        };
        let mark = mark(&name);
        let first = mark as usize % STRIPE_COUNT;
        let is_kept = (0..STRIPE_COUNT).any(|step| {
            let stripe = &self.stripes[(first + step) % STRIPE_COUNT];
            stripe.try_lock().is_ok_and(|mut stripe| stripe.add(mark, row))
        });
        if !is_kept {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes all that was noted; `None` if that is nothing. What another thread notes just now stays for the next time.
    pub(crate) fn take(&self) -> Option<Moved> {
        let now_us = self.us(Instant::now());
        let mut moves: Vec<Move> = Vec::new();
        for stripe in &self.stripes {
            let Ok(mut stripe) = stripe.try_lock() else {
                continue;
            };
            let rows = stripe.rows.iter_mut().filter_map(Option::take);
            moves.extend(rows.map(|row| Move {
                what: row.name,
                count: row.count,
                bytes: row.bytes,
                busy_us: row.busy_us,
                cpu_us: row.cpu_us,
                began_ago_us: now_us.saturating_sub(row.began_us),
                ended_ago_us: now_us.saturating_sub(row.ended_us),
            }));
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        (lost > 0 || !moves.is_empty()).then_some(Moved { moves, lost })
    }

    fn us(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.started);
        // Not `as_micros`, whose division of 128 bits takes as long as all else here.
        since.as_secs() * 1_000_000 + u64::from(since.subsec_micros())
    }
}

impl Stripe {
    /// Whether there was room.
    fn add(&mut self, mark: u64, added: Row) -> bool {
        for step in 0..PROBE_COUNT_MAX {
            let at = ((mark >> 8) as usize + step) % ROW_COUNT;
            match &mut self.rows[at] {
                Some(row) if row.name == added.name => {
                    row.count += 1;
                    row.bytes = row.bytes.saturating_add(added.bytes);
                    row.busy_us = row.busy_us.saturating_add(added.busy_us);
                    row.cpu_us = row.cpu_us.saturating_add(added.cpu_us);
                    row.began_us = row.began_us.min(added.began_us);
                    row.ended_us = row.ended_us.max(added.ended_us);
                    return true;
                }
                Some(_) => {}
                empty @ None => {
                    *empty = Some(added);
                    return true;
                }
            }
        }
        false
    }
}

/// A number for a name, by which its place is found.
fn mark(name: &MoveName) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let kind = match name.kind {
        MoveKind::Peer(worker) => worker.0 + 4,
        MoveKind::Source => 0,
        MoveKind::Spill => 1,
        MoveKind::ReadBack => 2,
        MoveKind::Call => 3,
    };
    let layer = |of: Option<LayerName>| of.map_or(u64::MAX, |(job, layer)| job.0 << 20 ^ u64::from(layer.0));
    let mut mark = kind;
    for part in [layer(name.of), layer(name.by)] {
        mark = (mark.rotate_left(23) ^ part).wrapping_mul(ODD);
    }
    mark ^ mark >> 32
}

#[cfg(test)]
mod tests {
    use graticule_plan::{JobId, LayerId, WorkerId};

    use super::*;

    fn name(peer: u64) -> MoveName {
        MoveName {
            kind: MoveKind::Peer(WorkerId(peer)),
            of: Some((JobId(1), LayerId(0))),
            by: Some((JobId(1), LayerId(1))),
        }
    }

    #[test]
    fn what_was_moved_is_summed_up_and_told_once() {
        let moves = Moves::default();
        let began = Instant::now();
        (0..10).for_each(|at| moves.note(name(at % 2), 100, began));
        moves.note_call((JobId(1), LayerId(1)), began, Duration::from_millis(3));
        let mut told = moves.take().expect("something was moved");
        told.moves.sort_by_key(|row| row.what);
        let rows: Vec<_> = told
            .moves
            .iter()
            .map(|row| (row.count, row.bytes, row.cpu_us))
            .collect();
        assert_eq!(rows, [(5, 500, 0), (5, 500, 0), (1, 0, 3_000)]);
        assert_eq!(told.moves[0].what, name(0));
        assert!(told.moves.iter().all(|row| row.began_ago_us >= row.ended_ago_us));
        assert_eq!((told.lost, moves.take()), (0, None));
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let moves = Moves::default();
        (0..2_000).for_each(|peer| moves.note(name(peer), 1, Instant::now()));
        let told = moves.take().expect("something was moved");
        assert!(told.moves.len() <= STRIPE_COUNT * ROW_COUNT);
        assert!(
            told.moves.len() > STRIPE_COUNT * ROW_COUNT / 2,
            "{} rows",
            told.moves.len()
        );
        assert_eq!(told.moves.len() as u64 + told.lost, 2_000);
    }

    #[test]
    fn many_threads_lose_nothing_without_counting_it() {
        let moves = Moves::default();
        std::thread::scope(|scope| {
            for peer in 0..8 {
                let moves = &moves;
                scope.spawn(move || (0..1_000).for_each(|_| moves.note(name(peer), 1, Instant::now())));
            }
        });
        let told = moves.take().expect("something was moved");
        let kept: u64 = told.moves.iter().map(|row| row.count).sum();
        assert_eq!(kept + told.lost, 8_000);
    }
}
