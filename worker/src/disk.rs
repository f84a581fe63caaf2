//! Which chunks lie on the worker's disk, and which of them the scheduler was told of.
//!
//! What changed waits chunk by chunk until there is room to tell it, and of each chunk the latest word is told: one that
//! went to disk and left it before anybody was told is not mentioned at all. Every few seconds a part of all is told anew,
//! so whoever watches is right again however much was lost on the way. While nothing is spilled, there is nothing to do.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError, TryLockError},
    time::{Duration, Instant},
};

use graticule_engine::{DISK_RUN_COUNT_MAX, DiskCheck, DiskReport, add_to_runs};
use graticule_plan::{ChunkId, JobId, LayerId};

/// Chunks of one message. More would keep the actor from its tasks.
const TOLD_CHUNK_COUNT_MAX: usize = 2_048;
/// Between two checks.
const CHECK_PAUSE: Duration = Duration::from_secs(2);
/// Runs of one check,
const CHECK_RUN_COUNT_MAX: usize = 64;
/// and chunks of one.
const CHECK_CHUNK_COUNT_MAX: usize = 1_024;
/// How often it is told that nothing is on disk any more.
const EMPTY_CHECK_COUNT: u32 = 3;

/// The name before all others.
const FIRST: ChunkId = ChunkId {
    job: JobId(0),
    layer: LayerId(0),
    block: 0,
};

/// The books.
#[derive(Debug, Default)]
pub(crate) struct DiskLedger {
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    on_disk: BTreeSet<ChunkId>,
    /// Those that the scheduler takes to be on disk.
    told: BTreeSet<ChunkId>,
    /// Chunks that are in one of the two alone.
    changed: BTreeSet<ChunkId>,
    /// Where the next check goes on; at the beginning, if there is none.
    checked_to: Option<ChunkId>,
    checked: Option<Instant>,
    /// How often it is still to be told that nothing is on disk.
    empty_checks_left: u32,
}

impl DiskLedger {
    /// Takes down that a chunk went to disk, or left it.
    pub(crate) fn enter(&self, chunk: ChunkId, is_on_disk: bool) {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        if is_on_disk {
            books.on_disk.insert(chunk);
        } else {
            books.on_disk.remove(&chunk);
        }
        if books.told.contains(&chunk) == is_on_disk {
            books.changed.remove(&chunk);
        } else {
            books.changed.insert(chunk);
        }
    }

    /// Nobody was told of anything: the next reports go to one who knows nothing.
    pub(crate) fn renew(&self) {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let on_disk = books.on_disk.clone();
        *books = Books {
            changed: on_disk.clone(),
            on_disk,
            ..Books::default()
        };
    }

    /// What is to be told; `None` if that is nothing, or somebody has the books in hand just now. With `checks` also what is
    /// on disk of a part of all, if that is due at `now`.
    pub(crate) fn take(&self, now: Instant, checks: bool) -> Option<DiskReport> {
        let mut books = match self.books.try_lock() {
            Ok(books) => books,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let mut report = books.take_changes();
        if checks {
            report.check = books.take_check(now);
        }
        report.waiting = books.changed.len() as u64;
        (report != DiskReport::default()).then_some(report)
    }
}

impl Books {
    fn take_changes(&mut self) -> DiskReport {
        let mut report = DiskReport::default();
        for _ in 0..TOLD_CHUNK_COUNT_MAX {
            let Some(&chunk) = self.changed.first() else { break };
            let is_on_disk = self.on_disk.contains(&chunk);
            let runs = if is_on_disk {
                &mut report.to_disk
            } else {
                &mut report.off_disk
            };
            if !add_to_runs(runs, chunk, DISK_RUN_COUNT_MAX) {
                break;
            }
            self.changed.pop_first();
            if is_on_disk {
                self.told.insert(chunk);
            } else {
                self.told.remove(&chunk);
            }
        }
        report
    }

    fn take_check(&mut self, now: Instant) -> Option<DiskCheck> {
        let is_due = |checked: Instant| now.saturating_duration_since(checked) >= CHECK_PAUSE;
        if !self.checked.is_none_or(is_due) {
            return None;
        }
        if self.on_disk.is_empty() {
            self.empty_checks_left = self.empty_checks_left.checked_sub(1)?;
        } else {
            self.empty_checks_left = EMPTY_CHECK_COUNT;
        }
        self.checked = Some(now);
        let from = self.checked_to.take().unwrap_or(FIRST);
        let mut on_disk = Vec::new();
        for (count, &chunk) in self.on_disk.range(from..).enumerate() {
            if count == CHECK_CHUNK_COUNT_MAX || !add_to_runs(&mut on_disk, chunk, CHECK_RUN_COUNT_MAX) {
                self.checked_to = Some(chunk);
                break;
            }
            self.told.insert(chunk);
            self.changed.remove(&chunk);
        }
        Some(DiskCheck {
            from,
            until: self.checked_to,
            on_disk,
        })
    }
}

#[cfg(test)]
mod tests {
    use graticule_engine::BlockRun;
    use proptest::prelude::*;

    use super::*;

    fn chunk(block: u64) -> ChunkId {
        ChunkId { block, ..FIRST }
    }

    /// Who listens to the reports.
    #[derive(Default)]
    struct Listener {
        on_disk: BTreeSet<ChunkId>,
    }

    impl Listener {
        fn hear(&mut self, report: &DiskReport) {
            let each = |runs: &[BlockRun]| runs.iter().flat_map(BlockRun::each).collect::<Vec<_>>();
            self.on_disk.extend(each(&report.to_disk));
            for chunk in each(&report.off_disk) {
                self.on_disk.remove(&chunk);
            }
            if let Some(check) = &report.check {
                let is_said = |it: &ChunkId| *it >= check.from && check.until.is_none_or(|end| *it < end);
                self.on_disk.retain(|it| !is_said(it));
                self.on_disk.extend(each(&check.on_disk));
            }
        }
    }

    fn truth(ledger: &DiskLedger) -> BTreeSet<ChunkId> {
        ledger.books.lock().unwrap().on_disk.clone()
    }

    #[test]
    fn nothing_is_told_while_nothing_is_spilled() {
        let ledger = DiskLedger::default();
        let now = Instant::now();
        assert_eq!(ledger.take(now, true), None);
        ledger.enter(chunk(1), true);
        ledger.enter(chunk(1), false);
        assert_eq!(ledger.take(now, false), None, "it came back before it was told");
    }

    #[test]
    fn neighbours_are_told_together_and_once() {
        let ledger = DiskLedger::default();
        let now = Instant::now();
        (0..60).for_each(|block| ledger.enter(chunk(block), true));
        let report = ledger.take(now, false).expect("chunks went to disk");
        let run = BlockRun {
            count: 60,
            ..chunk(0).into()
        };
        assert_eq!(
            (report.to_disk, report.off_disk.len(), report.waiting),
            (vec![run], 0, 0)
        );
        assert_eq!(ledger.take(now, false), None);
        ledger.enter(chunk(7), false);
        let report = ledger.take(now, false).expect("one left the disk");
        assert_eq!(
            (report.to_disk.len(), report.off_disk),
            (0, vec![chunk(7).into()])
        );
    }

    #[test]
    fn what_has_no_room_is_counted_and_told_later() {
        let ledger = DiskLedger::default();
        let count = DISK_RUN_COUNT_MAX as u64 * 3;
        // No two of them are neighbours.
        (0..count).for_each(|at| ledger.enter(chunk(at * 2), true));
        let mut listener = Listener::default();
        let mut waiting = Vec::new();
        while let Some(report) = ledger.take(Instant::now(), false) {
            assert!(report.to_disk.len() <= DISK_RUN_COUNT_MAX);
            waiting.push(report.waiting);
            listener.hear(&report);
        }
        let run_count = DISK_RUN_COUNT_MAX as u64;
        assert_eq!(waiting, [run_count * 2, run_count, 0]);
        assert_eq!(listener.on_disk, truth(&ledger));
    }

    #[test]
    fn a_new_session_is_told_all_that_is_on_disk_and_nothing_else() {
        let ledger = DiskLedger::default();
        for block in [1, 2, 5] {
            ledger.enter(chunk(block), true);
        }
        ledger.take(Instant::now(), true);
        ledger.enter(chunk(2), false);
        ledger.renew();
        let mut listener = Listener::default();
        listener.hear(&ledger.take(Instant::now(), false).expect("some are there"));
        assert_eq!(listener.on_disk, BTreeSet::from([chunk(1), chunk(5)]));
    }

    #[test]
    fn who_heard_nothing_learns_that_the_disk_is_empty() {
        let ledger = DiskLedger::default();
        let mut now = Instant::now();
        let mut listener = Listener::default();
        ledger.enter(chunk(3), true);
        listener.hear(&ledger.take(now, true).expect("one went to disk"));
        ledger.enter(chunk(3), false);
        assert!(ledger.take(now, true).is_some(), "this one is lost");
        now += CHECK_PAUSE;
        listener.hear(&ledger.take(now, true).expect("the disk is empty"));
        assert!(listener.on_disk.is_empty());
        for _ in 0..EMPTY_CHECK_COUNT {
            now += CHECK_PAUSE;
            ledger.take(now, true);
        }
        now += CHECK_PAUSE;
        assert_eq!(ledger.take(now, true), None, "it was said often enough");
    }

    proptest! {
        #[test]
        fn whatever_is_lost_on_the_way_who_listens_is_right_in_the_end(
            steps in prop::collection::vec((0..400u64, any::<bool>(), 0..6u8), 0..600),
        ) {
            let ledger = DiskLedger::default();
            let mut listener = Listener::default();
            let mut now = Instant::now();
            for (block, is_on_disk, then) in steps {
                ledger.enter(chunk(block), is_on_disk);
                if then < 3
                    && let Some(report) = ledger.take(now, then > 0)
                {
                    // Some are lost, some come twice.
                    (0..then).for_each(|_| listener.hear(&report));
                }
                now += CHECK_PAUSE / 4;
            }
            // A round of checks, of which each has at least one chunk.
            for _ in 0..=400 {
                now += CHECK_PAUSE;
                if let Some(report) = ledger.take(now, true) {
                    listener.hear(&report);
                }
            }
            prop_assert_eq!(listener.on_disk, truth(&ledger));
        }
    }
}
