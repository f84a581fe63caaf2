//! Sets of blocks.

use super::{page::mask_of, pages::Pages};

/// A set of block indices: one bit each, and nothing for stretches that are empty or full.
#[derive(Debug)]
pub(in crate::scheduler) struct BlockSet {
    pages: Pages<Bits>,
    len: u64,
    /// What an untouched page holds: no block, or all of them.
    filled: bool,
    block_count: u64,
}

#[derive(Debug)]
enum Bits {
    None,
    All,
    Some(Box<BitPage>),
}

#[derive(Debug)]
struct BitPage {
    count: u64,
    words: [u64; BlockSet::WORDS],
}

impl BlockSet {
    const WORDS: usize = 64;
    const PAGE_BLOCKS: u64 = 64 * Self::WORDS as u64;

    /// An empty set for a layer of so many blocks.
    pub(in crate::scheduler) fn new(block_count: u64) -> Self {
        Self {
            pages: Pages::new(block_count),
            len: 0,
            filled: false,
            block_count,
        }
    }

    pub(in crate::scheduler) fn len(&self) -> u64 {
        self.len
    }

    #[inline]
    pub(in crate::scheduler) fn contains(&self, block: u64) -> bool {
        match self.pages.get(block / Self::PAGE_BLOCKS) {
            None => self.filled,
            Some(Bits::None) => false,
            Some(Bits::All) => true,
            Some(Bits::Some(page)) => {
                let (word, bit) = Self::place(block);
                page.words[word] & bit != 0
            }
        }
    }

    /// How many blocks from `block` on, at most `max` and of one page of a table, are all there or all not; and which.
    #[inline]
    pub(in crate::scheduler) fn run_at(&self, block: u64, max: u64) -> (u64, bool) {
        let max = max.min(64 - block % 64);
        let word = match self.pages.get(block / Self::PAGE_BLOCKS) {
            None => return (max, self.filled),
            Some(Bits::None) => return (max, false),
            Some(Bits::All) => return (max, true),
            Some(Bits::Some(page)) => page.words[Self::place(block).0] >> (block % 64),
        };
        let len = if word & 1 == 1 {
            word.trailing_ones()
        } else {
            word.trailing_zeros()
        };
        (u64::from(len).min(max), word & 1 == 1)
    }

    /// Returns whether the block was new.
    pub(in crate::scheduler) fn insert(&mut self, block: u64) -> bool {
        self.set(block, 1, true) == 1
    }

    /// Puts neighbours of one page of a table in.
    pub(in crate::scheduler) fn insert_run(&mut self, first: u64, count: u64) {
        self.set(first, count, true);
    }

    /// Returns whether the block was there.
    pub(in crate::scheduler) fn remove(&mut self, block: u64) -> bool {
        self.set(block, 1, false) == 1
    }

    /// Puts all blocks in.
    pub(in crate::scheduler) fn fill(&mut self) {
        self.pages = Pages::new(self.block_count);
        self.filled = true;
        self.len = self.block_count;
    }

    /// Returns how many blocks that changed.
    fn set(&mut self, first: u64, count: u64, there: bool) -> u64 {
        let filled = self.filled;
        let bits = self.pages.get_or_insert_with(first / Self::PAGE_BLOCKS, || {
            if filled { Bits::All } else { Bits::None }
        });
        let page = match (&mut *bits, there) {
            (Bits::None, false) | (Bits::All, true) => return 0,
            (Bits::Some(page), _) => page,
            (whole, _) => {
                let (count, word) = match whole {
                    Bits::All => (Self::PAGE_BLOCKS, u64::MAX),
                    _ => (0, 0),
                };
                *whole = Bits::Some(Box::new(BitPage {
                    count,
                    words: [word; Self::WORDS],
                }));
                let Bits::Some(page) = whole else {
                    unreachable!("just put there")
                };
                page
            }
        };
        let word = &mut page.words[Self::place(first).0];
        let mask = mask_of(first, count);
        let changed = if there { !*word & mask } else { *word & mask };
        *word ^= changed;
        let changed = u64::from(changed.count_ones());
        if there {
            page.count += changed;
            self.len += changed;
        } else {
            page.count -= changed;
            self.len -= changed;
        }
        match page.count {
            0 => *bits = Bits::None,
            Self::PAGE_BLOCKS => *bits = Bits::All,
            _ => {}
        }
        changed
    }

    fn place(block: u64) -> (usize, u64) {
        let within = block % Self::PAGE_BLOCKS;
        ((within / 64) as usize, 1 << (within % 64))
    }
}
