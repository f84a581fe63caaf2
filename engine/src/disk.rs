//! Which of its chunks a worker has on disk, for people alone.

use graticule_plan::ChunkId;

use crate::{BlockRun, RUN_BLOCKS_MAX};

/// Runs of one list of a message that the scheduler looks at, and that a worker says.
pub const DISK_RUN_COUNT_MAX: usize = 512;

/// What a worker says of the chunks on its disk since it told the last time.
///
/// Of a chunk the latest word counts, so one that is told twice changes nothing. What is lost on the way is made good by
/// the checks, which come round to each part again and again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskReport {
    /// Chunks that went to disk, each run at most [`RUN_BLOCKS_MAX`] of them.
    pub to_disk: Vec<BlockRun>,
    /// Chunks that are not on disk any more: they are in memory, or not there at all.
    pub off_disk: Vec<BlockRun>,
    /// All that is on disk of a part of what it holds.
    pub check: Option<DiskCheck>,
    /// Chunks that went to disk, or left it, and had no room in this message: they are told later.
    pub waiting: u64,
}

/// What is on disk of all chunks from one to another, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskCheck {
    /// The first chunk that could be.
    pub from: ChunkId,
    /// The first chunk of which nothing is said; `None` if it is said of all that follow.
    pub until: Option<ChunkId>,
    /// Those that are, in order.
    pub on_disk: Vec<BlockRun>,
}

impl DiskReport {
    /// Leaves what is looked at. What is left out is told again when its turn to be checked comes.
    pub(crate) fn bound(&mut self) {
        for runs in [&mut self.to_disk, &mut self.off_disk] {
            let left_out = runs.drain(runs.len().min(DISK_RUN_COUNT_MAX)..);
            let chunks = left_out.map(|run| run.count).fold(0, u64::saturating_add);
            self.waiting = self.waiting.saturating_add(chunks);
        }
        if let Some(check) = &mut self.check
            && let Some(first) = check.on_disk.get(DISK_RUN_COUNT_MAX)
        {
            check.until = Some(first.head());
            check.on_disk.truncate(DISK_RUN_COUNT_MAX);
        }
    }
}

/// Adds a chunk past all others to runs of neighbours.
///
/// Returns whether there was room: a run takes at most [`RUN_BLOCKS_MAX`] blocks, and there may be `count_max` runs.
pub fn add_to_runs(runs: &mut Vec<BlockRun>, chunk: ChunkId, count_max: usize) -> bool {
    if let Some(last) = runs.last_mut()
        && (last.job, last.layer, last.end()) == (chunk.job, chunk.layer, chunk.block)
        && last.count < RUN_BLOCKS_MAX
    {
        last.count += 1;
        return true;
    }
    let has_room = runs.len() < count_max;
    if has_room {
        runs.push(chunk.into());
    }
    has_room
}

#[cfg(test)]
mod tests {
    use graticule_plan::{JobId, LayerId};

    use super::*;

    fn chunk(layer: u32, block: u64) -> ChunkId {
        ChunkId {
            job: JobId(1),
            layer: LayerId(layer),
            block,
        }
    }

    #[test]
    fn neighbours_are_one_run_as_long_as_a_run_may_be() {
        let mut runs = Vec::new();
        for block in 0..=RUN_BLOCKS_MAX {
            assert!(add_to_runs(&mut runs, chunk(0, block), 3));
        }
        assert!(add_to_runs(&mut runs, chunk(1, RUN_BLOCKS_MAX + 1), 3));
        let seen: Vec<_> = runs.iter().map(|run| (run.head(), run.count)).collect();
        let first_of_next = chunk(0, RUN_BLOCKS_MAX);
        assert_eq!(
            seen,
            [
                (chunk(0, 0), RUN_BLOCKS_MAX),
                (first_of_next, 1),
                (chunk(1, RUN_BLOCKS_MAX + 1), 1)
            ]
        );
        assert!(!add_to_runs(&mut runs, chunk(1, 900), 3), "there is no room");
        assert!(
            add_to_runs(&mut runs, chunk(1, RUN_BLOCKS_MAX + 2), 3),
            "a run goes on"
        );
    }

    #[test]
    fn what_is_too_much_is_counted_and_a_check_says_less() {
        let runs: Vec<BlockRun> = (0..DISK_RUN_COUNT_MAX as u64 + 3)
            .map(|at| chunk(0, at * 2).into())
            .collect();
        let mut report = DiskReport {
            to_disk: runs.clone(),
            off_disk: Vec::new(),
            check: Some(DiskCheck {
                from: chunk(0, 0),
                until: None,
                on_disk: runs,
            }),
            waiting: 4,
        };
        report.bound();
        assert_eq!((report.to_disk.len(), report.waiting), (DISK_RUN_COUNT_MAX, 7));
        let check = report.check.unwrap();
        assert_eq!(check.on_disk.len(), DISK_RUN_COUNT_MAX);
        assert_eq!(check.until, Some(chunk(0, DISK_RUN_COUNT_MAX as u64 * 2)));
    }
}
