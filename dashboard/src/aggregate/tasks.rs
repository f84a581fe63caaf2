use std::collections::BTreeMap;

/// Attempts at one task that are told apart; later ones count as the last.
pub(super) const ATTEMPTS_TRACKED: u32 = 16;

/// Tasks in one page of words.
const PAGE_TASK_COUNT: u64 = 1024;

/// Pages of all layers together: 16,384 pages of 8 KiB are 128 MiB and 16.8 million tasks.
pub(super) const PAGE_COUNT_MAX: usize = 1 << 14;

/// What can happen to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Started,
    Failed,
    Finished,
    Lost,
}

/// How a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Waiting,
    Running,
    Failed,
    Done,
}

/// What is known of one task: four sets of attempts (started, failed, finished, lost), 16 bits each.
///
/// Sets only grow, so the word is the same in whatever order, and however often, the records come; all that is
/// shown is computed from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Word(u64);

impl Word {
    fn bit(mark: Mark, attempt: u32) -> u64 {
        let attempt = attempt.min(ATTEMPTS_TRACKED - 1);
        1 << (mark as u32 * ATTEMPTS_TRACKED + attempt)
    }

    pub(super) fn with(self, mark: Mark, attempt: u32) -> Self {
        Self(self.0 | Self::bit(mark, attempt))
    }

    fn set(self, mark: Mark) -> u16 {
        (self.0 >> (mark as u32 * ATTEMPTS_TRACKED)) as u16
    }

    fn has(self, mark: Mark, attempt: u32) -> bool {
        self.0 & Self::bit(mark, attempt) != 0
    }

    /// The highest attempt that anything is known of.
    fn latest(self) -> Option<u32> {
        let any = self.set(Mark::Started)
            | self.set(Mark::Failed)
            | self.set(Mark::Finished)
            | self.set(Mark::Lost);
        any.checked_ilog2()
    }

    /// How the task stands: by its latest attempt, of which being lost outweighs having finished, and an end
    /// outweighs the start.
    pub(super) fn standing(self) -> Standing {
        let Some(attempt) = self.latest() else {
            return Standing::Waiting;
        };
        if self.has(Mark::Lost, attempt) {
            Standing::Waiting
        } else if self.has(Mark::Finished, attempt) {
            Standing::Done
        } else if self.has(Mark::Failed, attempt) {
            Standing::Failed
        } else {
            Standing::Running
        }
    }

    /// Whether `attempt` is what the task's standing speaks of.
    pub(super) fn is_latest(self, attempt: u32) -> bool {
        self.latest() == Some(attempt.min(ATTEMPTS_TRACKED - 1))
    }

    /// Whether an attempt before `attempt` was lost or failed.
    pub(super) fn is_again(self, attempt: u32) -> bool {
        let before = (1u16 << attempt.min(ATTEMPTS_TRACKED - 1)) - 1;
        (self.set(Mark::Lost) | self.set(Mark::Failed)) & before != 0
    }

    fn recomputed(self) -> u32 {
        (self.set(Mark::Lost) & self.set(Mark::Finished)).count_ones()
    }

    fn restarted(self) -> u32 {
        (self.set(Mark::Lost) & self.set(Mark::Started) & !self.set(Mark::Finished)).count_ones()
    }
}

/// What the words of a layer add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) recomputed: u64,
    pub(super) restarted: u64,
}

impl Tally {
    fn of(word: Word) -> Self {
        let standing = word.standing();
        Self {
            done: u64::from(standing == Standing::Done),
            failed: u64::from(standing == Standing::Failed),
            recomputed: u64::from(word.recomputed()),
            restarted: u64::from(word.restarted()),
        }
    }

    fn add(&mut self, other: Self) {
        self.done += other.done;
        self.failed += other.failed;
        self.recomputed += other.recomputed;
        self.restarted += other.restarted;
    }

    fn subtract(&mut self, other: Self) {
        self.done -= other.done;
        self.failed -= other.failed;
        self.recomputed -= other.recomputed;
        self.restarted -= other.restarted;
    }
}

/// The words of a layer's tasks, in pages that exist once one of their tasks was heard of.
#[derive(Debug, Default)]
pub(super) struct TaskWords {
    pages: BTreeMap<u64, Box<[Word; PAGE_TASK_COUNT as usize]>>,
    tally: Tally,
}

/// What a mark did to a task's word.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marked {
    /// The word with the mark.
    pub(super) word: Word,
    /// Whether the mark is new.
    pub(super) is_new: bool,
}

impl TaskWords {
    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    pub(super) fn page_count(&self) -> usize {
        self.pages.len()
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
        let before = *word;
        *word = before.with(mark, attempt);
        let is_new = *word != before;
        if is_new {
            self.tally.subtract(Tally::of(before));
            self.tally.add(Tally::of(*word));
        }
        Some(Marked { word: *word, is_new })
    }

    /// Forgets blocks at and past `task_count`: what was heard before the layer's size was known.
    pub(super) fn truncate(&mut self, task_count: u64) {
        let first = task_count / PAGE_TASK_COUNT;
        let beyond = self.pages.split_off(&first);
        for (index, mut page) in beyond {
            let kept = task_count
                .saturating_sub(index * PAGE_TASK_COUNT)
                .min(PAGE_TASK_COUNT) as usize;
            for word in &mut page[kept..] {
                self.tally.subtract(Tally::of(*word));
                *word = Word::default();
            }
            if kept > 0 {
                self.pages.insert(index, page);
            }
        }
    }

    /// Forgets each task and keeps what they add up to.
    pub(super) fn forget(&mut self) {
        self.pages.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_attempt_decides_how_a_task_stands() {
        let word = Word::default();
        assert_eq!(word.standing(), Standing::Waiting);
        let started = word.with(Mark::Started, 1);
        assert_eq!(started.standing(), Standing::Running);
        let finished = started.with(Mark::Finished, 1);
        assert_eq!(finished.standing(), Standing::Done);
        let lost = finished.with(Mark::Lost, 1);
        assert_eq!(lost.standing(), Standing::Waiting);
        assert_eq!(lost.with(Mark::Started, 2).standing(), Standing::Running);
        assert_eq!(lost.with(Mark::Finished, 2).standing(), Standing::Done);
        assert_eq!(lost.with(Mark::Failed, 2).standing(), Standing::Failed);
    }

    #[test]
    fn a_late_start_does_not_undo_an_end() {
        let word = Word::default().with(Mark::Finished, 1).with(Mark::Started, 1);
        assert_eq!(word.standing(), Standing::Done);
    }

    #[test]
    fn truncating_forgets_the_blocks_past_the_end_and_their_counts() {
        let mut words = TaskWords::default();
        for block in [0, 5, 1023, 1024, 5000] {
            words.mark(block, Mark::Finished, 1, true);
        }
        assert_eq!(words.tally().done, 5);
        words.truncate(1024);
        assert_eq!((words.tally().done, words.page_count()), (3, 1));
        words.truncate(5);
        assert_eq!(words.tally().done, 1);
        words.truncate(0);
        assert_eq!((words.tally(), words.page_count()), (Tally::default(), 0));
    }
}
