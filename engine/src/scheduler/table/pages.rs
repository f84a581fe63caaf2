//! Pages by number: by position in layers of usual size, by hash in very large ones.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// Blocks up to which a layer's pages are found by position; beyond, by hash.
pub(super) const DENSE_BLOCKS_MAX: u64 = 1 << 24;

/// Pages by number.
#[derive(Debug)]
pub(super) enum Pages<P> {
    Dense(Vec<Option<P>>),
    /// Never iterated without sorting.
    Sparse(HashMap<u64, P, BuildHasherDefault<PageHasher>>),
}

impl<P> Pages<P> {
    pub(super) fn new(block_count: u64) -> Self {
        if block_count <= DENSE_BLOCKS_MAX {
            Pages::Dense(Vec::new())
        } else {
            Pages::Sparse(HashMap::default())
        }
    }

    #[inline]
    pub(super) fn get(&self, number: u64) -> Option<&P> {
        match self {
            Pages::Dense(pages) => pages.get(number as usize)?.as_ref(),
            Pages::Sparse(pages) => pages.get(&number),
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut P> {
        match self {
            Pages::Dense(pages) => pages.get_mut(number as usize)?.as_mut(),
            Pages::Sparse(pages) => pages.get_mut(&number),
        }
    }

    #[inline]
    pub(super) fn get_or_insert_with(&mut self, number: u64, make: impl FnOnce() -> P) -> &mut P {
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

    pub(super) fn remove(&mut self, number: u64) -> Option<P> {
        match self {
            Pages::Dense(pages) => pages.get_mut(number as usize)?.take(),
            Pages::Sparse(pages) => pages.remove(&number),
        }
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &P)> {
        let (dense, sparse) = match self {
            Pages::Dense(pages) => (pages.as_slice(), Vec::new()),
            Pages::Sparse(pages) => {
                let mut pages: Vec<(u64, &P)> = pages.iter().map(|(&number, page)| (number, page)).collect();
                pages.sort_unstable_by_key(|&(number, _)| number);
                (&[][..], pages)
            }
        };
        let dense = dense
            .iter()
            .enumerate()
            .filter_map(|(number, page)| Some((number as u64, page.as_ref()?)));
        dense.chain(sparse)
    }
}

/// Fibonacci hashing of one integer, the same in every run.
#[derive(Debug, Default)]
pub(super) struct PageHasher(u64);

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
