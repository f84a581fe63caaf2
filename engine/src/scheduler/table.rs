//! What is known block by block: tables and sets in pages that appear when they are touched and go when they are
//! empty, so that a layer of any size costs what is live of it.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// Blocks up to which a layer's pages are found by position; beyond, by hash.
const DENSE_BLOCKS_MAX: u64 = 1 << 24;

/// Values by block index.
#[derive(Debug)]
pub(super) struct BlockTable<T> {
    pages: Pages<Box<Page<T>>>,
    len: u64,
    /// The page that was emptied last, kept for the next one that is needed.
    spare: Option<Box<Page<T>>>,
}

#[derive(Debug)]
struct Page<T> {
    /// One bit for each item that is there.
    used: u64,
    items: [T; 64],
}

impl<T: Default> BlockTable<T> {
    /// An empty table for a layer of so many blocks.
    pub(super) fn new(block_count: u64) -> Self {
        Self {
            pages: Pages::new(block_count),
            len: 0,
            spare: None,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(super) fn get(&self, block: u64) -> Option<&T> {
        let page = self.pages.get(block / 64)?;
        let at = (block % 64) as usize;
        (page.used >> at & 1 == 1).then(|| &page.items[at])
    }

    #[inline]
    pub(super) fn get_mut(&mut self, block: u64) -> Option<&mut T> {
        let page = self.pages.get_mut(block / 64)?;
        let at = (block % 64) as usize;
        (page.used >> at & 1 == 1).then(|| &mut page.items[at])
    }

    #[inline]
    pub(super) fn contains(&self, block: u64) -> bool {
        self.get(block).is_some()
    }

    /// Returns the value that was there.
    pub(super) fn insert(&mut self, block: u64, value: T) -> Option<T> {
        let spare = &mut self.spare;
        let page = self.pages.get_or_insert_with(block / 64, || {
            spare.take().unwrap_or_else(|| {
                Box::new(Page {
                    used: 0,
                    items: std::array::from_fn(|_| T::default()),
                })
            })
        });
        let at = (block % 64) as usize;
        let before = std::mem::replace(&mut page.items[at], value);
        let there = page.used >> at & 1 == 1;
        page.used |= 1 << at;
        self.len += u64::from(!there);
        there.then_some(before)
    }

    /// Returns the value that was there.
    pub(super) fn remove(&mut self, block: u64) -> Option<T> {
        let page = self.pages.get_mut(block / 64)?;
        let at = (block % 64) as usize;
        if page.used >> at & 1 == 0 {
            return None;
        }
        page.used &= !(1 << at);
        let value = std::mem::take(&mut page.items[at]);
        self.len -= 1;
        if page.used == 0 {
            self.spare = self.pages.remove(block / 64);
        }
        Some(value)
    }

    /// All values, by rising block.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.pages.iter().flat_map(|(number, page)| {
            let there = move |at: &usize| page.used >> at & 1 == 1;
            (0..64)
                .filter(there)
                .map(move |at| (number * 64 + at as u64, &page.items[at]))
        })
    }

    /// The blocks that are there, rising.
    pub(super) fn blocks(&self) -> Vec<u64> {
        self.iter().map(|(block, _)| block).collect()
    }
}

/// A set of block indices: one bit each, and nothing for stretches that are empty or full.
#[derive(Debug)]
pub(super) struct BlockSet {
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
    pub(super) fn new(block_count: u64) -> Self {
        Self {
            pages: Pages::new(block_count),
            len: 0,
            filled: false,
            block_count,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    #[inline]
    pub(super) fn contains(&self, block: u64) -> bool {
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

    /// Returns whether the block was new.
    pub(super) fn insert(&mut self, block: u64) -> bool {
        self.set(block, true)
    }

    /// Returns whether the block was there.
    pub(super) fn remove(&mut self, block: u64) -> bool {
        self.set(block, false)
    }

    /// Puts all blocks in.
    pub(super) fn fill(&mut self) {
        self.pages = Pages::new(self.block_count);
        self.filled = true;
        self.len = self.block_count;
    }

    /// Returns whether that changed anything.
    fn set(&mut self, block: u64, there: bool) -> bool {
        let filled = self.filled;
        let bits = self.pages.get_or_insert_with(block / Self::PAGE_BLOCKS, || {
            if filled { Bits::All } else { Bits::None }
        });
        let page = match (&mut *bits, there) {
            (Bits::None, false) | (Bits::All, true) => return false,
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
        let (word, bit) = Self::place(block);
        if (page.words[word] & bit != 0) == there {
            return false;
        }
        page.words[word] ^= bit;
        if there {
            page.count += 1;
            self.len += 1;
        } else {
            page.count -= 1;
            self.len -= 1;
        }
        match page.count {
            0 => *bits = Bits::None,
            Self::PAGE_BLOCKS => *bits = Bits::All,
            _ => {}
        }
        true
    }

    fn place(block: u64) -> (usize, u64) {
        let within = block % Self::PAGE_BLOCKS;
        ((within / 64) as usize, 1 << (within % 64))
    }
}

/// Pages by number.
#[derive(Debug)]
enum Pages<P> {
    Dense(Vec<Option<P>>),
    /// Never iterated without sorting.
    Sparse(HashMap<u64, P, BuildHasherDefault<PageHasher>>),
}

impl<P> Pages<P> {
    fn new(block_count: u64) -> Self {
        if block_count <= DENSE_BLOCKS_MAX {
            Pages::Dense(Vec::new())
        } else {
            Pages::Sparse(HashMap::default())
        }
    }

    #[inline]
    fn get(&self, number: u64) -> Option<&P> {
        match self {
            Pages::Dense(pages) => pages.get(number as usize)?.as_ref(),
            Pages::Sparse(pages) => pages.get(&number),
        }
    }

    #[inline]
    fn get_mut(&mut self, number: u64) -> Option<&mut P> {
        match self {
            Pages::Dense(pages) => pages.get_mut(number as usize)?.as_mut(),
            Pages::Sparse(pages) => pages.get_mut(&number),
        }
    }

    #[inline]
    fn get_or_insert_with(&mut self, number: u64, make: impl FnOnce() -> P) -> &mut P {
        match self {
            Pages::Dense(pages) => {
                let at = number as usize;
                if pages.len() <= at {
                    pages.resize_with(at + 1, || None);
                }
                pages[at].get_or_insert_with(make)
            }
            Pages::Sparse(pages) => pages.entry(number).or_insert_with(make),
        }
    }

    fn remove(&mut self, number: u64) -> Option<P> {
        match self {
            Pages::Dense(pages) => pages.get_mut(number as usize)?.take(),
            Pages::Sparse(pages) => pages.remove(&number),
        }
    }

    fn iter(&self) -> impl Iterator<Item = (u64, &P)> {
        let (dense, sparse) = match self {
            Pages::Dense(pages) => (pages.as_slice(), Vec::new()),
            Pages::Sparse(pages) => {
                let mut pages: Vec<(u64, &P)> = pages.iter().map(|(&number, page)| (number, page)).collect();
                pages.sort_unstable_by_key(|&(number, _)| number);
                (&[][..], pages)
            }
        };
        let dense = (0..)
            .zip(dense)
            .filter_map(|(number, page)| Some((number, page.as_ref()?)));
        dense.chain(sparse)
    }
}

/// Fibonacci hashing of one integer, the same in every run.
#[derive(Debug, Default)]
struct PageHasher(u64);

impl Hasher for PageHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&b| self.write_u64(self.0 ^ u64::from(b)));
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = value.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{BlockSet, BlockTable, DENSE_BLOCKS_MAX};

    #[test]
    fn a_filled_set_has_all_blocks_but_those_removed() {
        let mut set = BlockSet::new(10_000);
        assert!(set.insert(3) && !set.insert(3) && !set.remove(5000));
        set.fill();
        assert_eq!(set.len(), 10_000);
        assert!(set.contains(9_999) && set.remove(9_999) && !set.contains(9_999));
        assert!(set.contains(9_998) && !set.insert(9_998));
        assert_eq!(set.len(), 9_999);
    }

    #[test]
    fn a_set_is_a_set_also_where_pages_fill_and_empty() {
        let mut set = BlockSet::new(DENSE_BLOCKS_MAX * 4);
        for block in 0..9000 {
            assert!(set.insert(block));
        }
        assert!((0..9000).all(|block| set.contains(block)) && !set.contains(9000));
        for block in (0..9000).rev() {
            assert!(set.remove(block));
        }
        assert_eq!(set.len(), 0);
        assert!(!set.contains(0));
    }

    #[test]
    fn a_table_is_an_ordered_map() {
        for block_count in [1 << 20, DENSE_BLOCKS_MAX + 1] {
            let (mut table, mut map) = (BlockTable::new(block_count), BTreeMap::new());
            let mut state = 1_u64;
            for step in 0..20_000_u64 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let block = (state >> 33) % 700 * 37 % block_count;
                if state >> 60 < 8 {
                    assert_eq!(table.insert(block, step), map.insert(block, step));
                } else {
                    assert_eq!(table.remove(block), map.remove(&block));
                }
                assert_eq!(table.get(block), map.get(&block));
            }
            assert_eq!(table.len(), map.len() as u64);
            assert!(table.iter().eq(map.iter().map(|(&block, value)| (block, value))));
        }
    }
}
