use std::collections::BTreeMap;

use super::{
    disks::Disks,
    frame::RowKey,
    held::{HeldChunks, Holding},
    watch::Watch,
};

/// Tasks in one page of words.
const PAGE_TASK_COUNT: u64 = 1024;

/// Attempts before the latest that take the room of a page.
const PAST_PER_PAGE: usize = 128;

/// Pages of all layers together: 16,384 pages of 12 KiB are 192 MiB and 16.8 million tasks.
pub(super) const PAGE_COUNT_MAX: usize = 1 << 14;

/// What can happen to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Assigned,
    Started,
    Failed,
    Finished,
    Void,
    Released,
}

/// How a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody works on it.
    Waiting,
    /// A worker has it.
    Active,
    /// Its latest attempt failed.
    Failed,
    /// Its chunk is, or was, there.
    Done,
}

/// What happened to an attempt, as a set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Marks(u8);

impl Marks {
    fn of(mark: Mark) -> Self {
        Self(1 << mark as u8)
    }

    fn with(self, mark: Mark) -> Self {
        Self(self.0 | Self::of(mark).0)
    }

    fn has(self, mark: Mark) -> bool {
        self.0 & Self::of(mark).0 != 0
    }

    /// Being void outweighs having finished, and an end outweighs a beginning.
    fn standing(self) -> Standing {
        if self.0 == 0 || self.has(Mark::Void) {
            Standing::Waiting
        } else if self.has(Mark::Finished) || self.has(Mark::Released) {
            Standing::Done
        } else if self.has(Mark::Failed) {
            Standing::Failed
        } else {
            Standing::Active
        }
    }
}

/// What is known of one task: its latest attempt and what happened to that.
///
/// Attempts before it are kept apart, because few tasks have any. Sets of marks only grow and the latest attempt
/// only rises, so all of it is the same in whatever order, and however often, the records come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Word {
    attempt: u32,
    /// The worker's key plus one; 0 if none was told.
    worker: u32,
    marks: Marks,
    has_past: bool,
    /// Bytes and time of the finished attempt, on the scale of `scale.rs`.
    bytes: u8,
    time: u8,
}

impl Word {
    /// Who made it.
    fn maker(&self) -> Option<RowKey> {
        self.worker.checked_sub(1)
    }

    /// Whose chunk it is, if it is there.
    fn holding(&self, block: u64, disks: &Disks) -> Option<Holding> {
        let is_there = self.marks.standing() == Standing::Done && !self.marks.has(Mark::Released);
        is_there.then(|| Holding {
            worker: self.maker(),
            bytes_step: self.bytes,
            is_spilled: disks.is_on_disk(self.maker(), block),
        })
    }
}

/// What is told of an attempt beside its mark.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) worker: RowKey,
    /// On the scale of `scale.rs`; 0 if it is not known yet.
    pub(super) bytes: u8,
    /// Likewise.
    pub(super) time: u8,
}

/// What is known of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TaskFacts {
    pub(super) standing: Standing,
    /// The latest attempt heard of; `None` if there was none.
    pub(super) attempt: Option<u32>,
    /// Whether its chunk was dropped because nobody needs it.
    pub(super) is_released: bool,
    /// Whether its chunk is on disk: on that of its worker, if it is there.
    pub(super) is_spilled: bool,
    /// Whether the latest attempt is void.
    pub(super) is_void: bool,
    /// Whether there was an attempt before the latest.
    pub(super) is_again: bool,
    pub(super) worker: Option<RowKey>,
    pub(super) bytes: u8,
    pub(super) time: u8,
}

/// What the tasks of a layer add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Tasks that are done.
    pub(super) done: u64,
    /// Tasks whose latest attempt failed.
    pub(super) failed: u64,
    /// Attempts that failed.
    pub(super) errors: u64,
    /// Attempts that had finished before they became void.
    pub(super) recomputed: u64,
    /// Attempts that became void before they ended.
    pub(super) restarted: u64,
    /// Tasks whose chunks were made and are dropped, since nobody needs them any more.
    pub(super) released: u64,
}

impl Tally {
    fn of(marks: Marks, is_latest: bool) -> Self {
        let standing = if is_latest {
            marks.standing()
        } else {
            Standing::Waiting
        };
        let (void, finished, failed) = (
            marks.has(Mark::Void),
            marks.has(Mark::Finished),
            marks.has(Mark::Failed),
        );
        Self {
            done: u64::from(standing == Standing::Done),
            failed: u64::from(standing == Standing::Failed),
            errors: u64::from(failed),
            recomputed: u64::from(void && finished),
            restarted: u64::from(void && !finished && !failed),
            released: u64::from(standing == Standing::Done && marks.has(Mark::Released)),
        }
    }

    fn add(&mut self, other: Self) {
        self.done += other.done;
        self.failed += other.failed;
        self.errors += other.errors;
        self.recomputed += other.recomputed;
        self.restarted += other.restarted;
        self.released += other.released;
    }

    fn subtract(&mut self, other: Self) {
        self.done -= other.done;
        self.failed -= other.failed;
        self.errors -= other.errors;
        self.recomputed -= other.recomputed;
        self.restarted -= other.restarted;
        self.released -= other.released;
    }
}

/// The words of a layer's tasks, in pages that exist once one of their tasks was heard of.
#[derive(Debug, Default)]
pub(super) struct TaskWords {
    pages: BTreeMap<u64, Box<[Word; PAGE_TASK_COUNT as usize]>>,
    /// Attempts before the latest, by block and attempt.
    past: BTreeMap<(u64, u32), Marks>,
    tally: Tally,
    /// Chunks that are there, by who made them and their size.
    held: HeldChunks,
    /// Which of them lie on disks.
    disks: Disks,
    /// Whether single tasks were forgotten to make room.
    is_forgotten: bool,
    /// Blocks that changed, while somebody looks at each of them.
    pub(super) watch: Option<Watch>,
}

/// What a mark did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marked {
    /// How the task stands now.
    pub(super) standing: Standing,
    /// Whether the mark was not known before.
    pub(super) is_new: bool,
    /// Whether the attempt is the latest one heard of.
    pub(super) is_latest: bool,
    /// Whether an attempt before this one was heard of.
    pub(super) is_again: bool,
}

impl TaskWords {
    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    /// The room that is taken, in pages.
    pub(super) fn page_count(&self) -> usize {
        self.pages.len() + self.past.len().div_ceil(PAST_PER_PAGE) + self.disks.page_count()
    }

    /// Marks an attempt at `block`. `None` if that needs a page and `may_grow` is false.
    pub(super) fn mark(&mut self, block: u64, mark: Mark, attempt: u32, may_grow: bool) -> Option<Marked> {
        let page_index = block / PAGE_TASK_COUNT;
        if !may_grow && !self.pages.contains_key(&page_index) {
            return None;
        }
        let page = self
            .pages
            .entry(page_index)
            .or_insert_with(|| Box::new([Word::default(); PAGE_TASK_COUNT as usize]));
        let word = &mut page[(block % PAGE_TASK_COUNT) as usize];
        self.held.remove(word.holding(block, &self.disks));
        let is_first = word.marks.0 == 0;
        if is_first || attempt > word.attempt {
            if !is_first {
                self.past.insert((block, word.attempt), word.marks);
                self.tally.subtract(Tally::of(word.marks, true));
                self.tally.add(Tally::of(word.marks, false));
            }
            *word = Word {
                attempt,
                has_past: !is_first,
                ..Word::default()
            };
        }
        let is_latest = attempt == word.attempt;
        let marks = if is_latest {
            &mut word.marks
        } else {
            word.has_past = true;
            self.past.entry((block, attempt)).or_default()
        };
        let is_new = !marks.has(mark);
        self.tally.subtract(Tally::of(*marks, is_latest));
        *marks = marks.with(mark);
        self.tally.add(Tally::of(*marks, is_latest));
        self.held.add(word.holding(block, &self.disks));
        if let Some(watch) = &mut self.watch {
            watch.changed(block);
        }
        let is_again = word.has_past && self.past.range((block, 0)..(block, attempt)).next().is_some();
        Some(Marked {
            standing: word.marks.standing(),
            is_new,
            is_latest,
            is_again,
        })
    }

    /// Keeps what is told of an attempt, if it is the latest.
    pub(super) fn tell(&mut self, block: u64, attempt: u32, told: Told) {
        let page = self.pages.get_mut(&(block / PAGE_TASK_COUNT));
        let Some(word) = page.map(|page| &mut page[(block % PAGE_TASK_COUNT) as usize]) else {
            return;
        };
        if word.attempt != attempt || word.marks.0 == 0 {
            return;
        }
        self.held.remove(word.holding(block, &self.disks));
        word.worker = told.worker.saturating_add(1);
        word.bytes = word.bytes.max(told.bytes);
        word.time = word.time.max(told.time);
        self.held.add(word.holding(block, &self.disks));
    }

    /// Chunks that are there, by who made them and their size.
    pub(super) fn held(&self) -> &HeldChunks {
        &self.held
    }

    /// Which blocks lie on disks.
    pub(super) fn disks(&self) -> &Disks {
        &self.disks
    }

    /// Takes in that a worker has a chunk on disk, or has it there no more. Whether that was not known.
    pub(super) fn put_on_disk(&mut self, block: u64, worker: RowKey, is_on_disk: bool) -> bool {
        if self.disks.has(worker, block) == is_on_disk {
            return false;
        }
        let word = self.word(block);
        self.held.remove(word.holding(block, &self.disks));
        self.disks.put(worker, block, is_on_disk);
        self.held.add(word.holding(block, &self.disks));
        if let Some(watch) = &mut self.watch {
            watch.changed(block);
        }
        true
    }

    /// A worker has left, with what was on its disk.
    pub(super) fn worker_left(&mut self, worker: RowKey) {
        // Of chunks that it made, copies on other disks count from here on.
        let blocks = self.disks.all();
        for block in &blocks {
            self.held.remove(self.word(*block).holding(*block, &self.disks));
        }
        self.disks.leave(worker);
        for block in blocks {
            self.held.add(self.word(block).holding(block, &self.disks));
            if let Some(watch) = &mut self.watch {
                watch.changed(block);
            }
        }
    }

    fn word(&self, block: u64) -> Word {
        let page = self.pages.get(&(block / PAGE_TASK_COUNT));
        page.map_or(Word::default(), |page| page[(block % PAGE_TASK_COUNT) as usize])
    }

    /// What is known of the task at `block`.
    pub(super) fn facts(&self, block: u64) -> TaskFacts {
        let word = self.word(block);
        TaskFacts {
            standing: word.marks.standing(),
            attempt: (word.marks.0 != 0).then_some(word.attempt),
            is_released: word.marks.has(Mark::Released),
            is_spilled: self.disks.is_on_disk(word.maker(), block),
            is_void: word.marks.has(Mark::Void),
            is_again: word.has_past,
            worker: word.maker(),
            bytes: word.bytes,
            time: word.time,
        }
    }

    /// Whether single tasks were forgotten to make room.
    pub(super) fn is_forgotten(&self) -> bool {
        self.is_forgotten
    }

    /// Forgets blocks at and past `task_count`: what was heard before the layer's size was known.
    pub(super) fn truncate(&mut self, task_count: u64) {
        for marks in self.past.split_off(&(task_count, 0)).into_values() {
            self.tally.subtract(Tally::of(marks, false));
        }
        let first = task_count / PAGE_TASK_COUNT;
        for (index, mut page) in self.pages.split_off(&first) {
            let kept = task_count
                .saturating_sub(index * PAGE_TASK_COUNT)
                .min(PAGE_TASK_COUNT) as usize;
            for (at, word) in page.iter_mut().enumerate().skip(kept) {
                let block = index * PAGE_TASK_COUNT + at as u64;
                self.tally.subtract(Tally::of(word.marks, true));
                self.held.remove(word.holding(block, &self.disks));
                *word = Word::default();
            }
            if kept > 0 {
                self.pages.insert(index, page);
            }
        }
        self.disks.truncate(task_count);
        if let Some(watch) = &mut self.watch {
            watch.all_changed();
        }
    }

    /// Forgets each task and keeps what they add up to.
    pub(super) fn forget(&mut self) {
        self.is_forgotten |= !self.pages.is_empty();
        self.pages.clear();
        self.past.clear();
        self.held = HeldChunks::default();
        self.disks.clear();
        if let Some(watch) = &mut self.watch {
            watch.all_changed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing_after(marks: &[(Mark, u32)]) -> Standing {
        let mut words = TaskWords::default();
        marks.iter().fold(Standing::Waiting, |_, (mark, attempt)| {
            words
                .mark(7, *mark, *attempt, true)
                .expect("it may grow")
                .standing
        })
    }

    #[test]
    fn the_latest_attempt_decides_how_a_task_stands() {
        use Mark::{Assigned, Failed, Finished, Started, Void};
        let story = [
            (Assigned, 0),
            (Started, 0),
            (Finished, 0),
            (Void, 0),
            (Started, 300),
            (Failed, 300),
        ];
        let standings: Vec<_> = (1..=story.len()).map(|n| standing_after(&story[..n])).collect();
        use Standing::{Active, Done, Failed as F, Waiting};
        assert_eq!(standings, [Active, Active, Done, Waiting, Active, F]);
        assert_eq!(
            standing_after(&[(Finished, 5), (Started, 5)]),
            Done,
            "a late start undoes no end"
        );
        assert_eq!(
            standing_after(&[(Finished, 5), (Void, 2)]),
            Done,
            "a late loss undoes no later attempt"
        );
    }

    #[test]
    fn what_became_void_is_counted_by_what_it_had_been() {
        let mut words = TaskWords::default();
        for (mark, attempt) in [
            (Mark::Void, 3),
            (Mark::Finished, 3),
            (Mark::Finished, 3),
            (Mark::Assigned, 4),
            (Mark::Void, 4),
            (Mark::Failed, 5),
            (Mark::Void, 5),
            (Mark::Finished, 9),
        ] {
            words.mark(0, mark, attempt, true);
        }
        let expected = Tally {
            done: 1,
            failed: 0,
            errors: 1,
            recomputed: 1,
            restarted: 1,
            released: 0,
        };
        assert_eq!(words.tally(), expected);
    }

    #[test]
    fn truncating_forgets_the_blocks_past_the_end_and_their_counts() {
        let mut words = TaskWords::default();
        for block in [0, 5, 1023, 1024, 5000] {
            words.mark(block, Mark::Finished, 1, true);
            words.mark(block, Mark::Void, 0, true);
        }
        assert_eq!((words.tally().done, words.tally().restarted), (5, 5));
        words.truncate(1024);
        assert_eq!((words.tally().done, words.tally().restarted), (3, 3));
        words.truncate(5);
        assert_eq!(words.tally().done, 1);
        words.truncate(0);
        assert_eq!((words.tally(), words.page_count()), (Tally::default(), 0));
    }

    #[test]
    fn without_room_nothing_is_marked() {
        let mut words = TaskWords::default();
        assert_eq!(words.mark(0, Mark::Finished, 0, false), None);
        words.mark(0, Mark::Finished, 0, true);
        assert!(words.mark(1, Mark::Finished, 0, false).is_some());
    }
}
