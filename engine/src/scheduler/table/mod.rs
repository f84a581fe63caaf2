//! What is known block by block: tables and sets in pages that appear when they are touched and go when they are
//! empty, so that a layer of any size costs what is live of it.

mod page;
mod pages;
mod set;

use self::{
    page::{Page, SHARED_MAX, Shared, Single, mask_of},
    pages::Pages,
};

pub(super) use self::set::BlockSet;

/// Values by block index.
///
/// In a table whose blocks go together, those of one page with the same value share it, so that neighbours which fare
/// alike cost little more than one; a page with many different values has one for each block, like all in other tables.
#[derive(Debug)]
pub(super) struct BlockTable<T> {
    pages: Pages<Page<T>>,
    len: u64,
    /// The blocks go together.
    is_shared: bool,
    /// The pages of either form that were emptied last, kept for the next ones that are needed.
    spare_shared: Option<Box<Shared<T>>>,
    spare_single: Option<Box<Single<T>>>,
}

impl<T: Clone + Default + PartialEq> BlockTable<T> {
    /// An empty table for a layer of so many blocks.
    pub(super) fn new(block_count: u64) -> Self {
        Self {
            pages: Pages::new(block_count),
            len: 0,
            is_shared: false,
            spare_shared: None,
            spare_single: None,
        }
    }

    /// The same for blocks that go together, or not.
    #[must_use]
    pub(super) fn shared(mut self, is_shared: bool) -> Self {
        self.is_shared = is_shared;
        self
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(super) fn get(&self, block: u64) -> Option<&T> {
        self.pages.get(block / 64)?.get(block % 64)
    }

    #[inline]
    pub(super) fn contains(&self, block: u64) -> bool {
        self.get(block).is_some()
    }

    /// The value of one block, which it shares with no other from now on.
    #[inline]
    pub(super) fn get_mut(&mut self, block: u64) -> Option<&mut T> {
        let at = block % 64;
        let page = self.pages.get_mut(block / 64)?;
        if let Page::Shared(shared) = page {
            let of_value = shared.value_of(at)?;
            let bit = 1 << at;
            if shared.masks[of_value] != bit && shared.split(of_value, bit).is_none() {
                page.expand(self.spare_single.take());
            }
        }
        page.get_own(at)
    }

    /// How many blocks from `block` on, at most `max` and of one page, share a value or have none; and that value.
    #[inline]
    pub(super) fn run_at(&self, block: u64, max: u64) -> (u64, Option<&T>) {
        let at = block % 64;
        let max = max.min(64 - at);
        let (len, value) = match self.pages.get(block / 64) {
            None => (max, None),
            Some(page) => page.run_at(at),
        };
        (len.min(max), value)
    }

    /// Changes the value of neighbours of one page that share it.
    pub(super) fn update(&mut self, first: u64, count: u64, mut change: impl FnMut(&mut T)) {
        let (at, mask) = (first % 64, mask_of(first, count));
        let page = self.pages.get_mut(first / 64).expect("the blocks have a value");
        if let Page::Shared(shared) = page {
            let of_value = shared.value_of(at).expect("the blocks have a value");
            debug_assert_eq!(shared.masks[of_value] & mask, mask, "the blocks share it");
            let own = if shared.masks[of_value] == mask {
                Some(of_value)
            } else {
                shared.split(of_value, mask)
            };
            if let Some(own) = own {
                change(&mut shared.values[own]);
                return shared.join(own);
            }
            page.expand(self.spare_single.take());
        }
        for at in at..at + count {
            change(page.get_own(at).expect("the blocks have a value"));
        }
    }

    /// Gives neighbours of one page that have no value the same one.
    pub(super) fn insert_run(&mut self, first: u64, count: u64, value: T) {
        let mask = mask_of(first, count);
        let (is_shared, spare_shared, spare_single) =
            (self.is_shared, &mut self.spare_shared, &mut self.spare_single);
        let page = self.pages.get_or_insert_with(first / 64, || {
            if is_shared {
                Page::Shared(spare_shared.take().unwrap_or_else(Shared::new))
            } else {
                Page::Single(spare_single.take().unwrap_or_else(Single::new))
            }
        });
        assert_eq!(page.used() & mask, 0, "the blocks have no value");
        self.len += count;
        if let Page::Shared(shared) = page {
            if let Some(of_value) = shared.place_for(&value) {
                shared.masks[of_value] |= mask;
                shared.values[of_value] = value;
                return;
            }
            page.expand(self.spare_single.take());
        }
        let Page::Single(single) = page else {
            unreachable!("just expanded")
        };
        single.used |= mask;
        let at = (first % 64) as usize;
        let last = at + count as usize - 1;
        for item in &mut single.items[at..last] {
            *item = value.clone();
        }
        single.items[last] = value;
    }

    /// Returns the value that was there.
    pub(super) fn insert(&mut self, block: u64, value: T) -> Option<T> {
        if let Some(there) = self.get_mut(block) {
            return Some(std::mem::replace(there, value));
        }
        self.insert_run(block, 1, value);
        None
    }

    /// Takes the value of neighbours of one page that share it.
    pub(super) fn remove_run(&mut self, first: u64, count: u64) -> T {
        let (at, mask) = (first % 64, mask_of(first, count));
        let page = self.pages.get_mut(first / 64).expect("the blocks have a value");
        let (value, is_empty) = match page {
            Page::Shared(shared) => {
                let of_value = shared.value_of(at).expect("the blocks have a value");
                debug_assert_eq!(shared.masks[of_value] & mask, mask, "the blocks share it");
                shared.masks[of_value] &= !mask;
                let value = if shared.masks[of_value] == 0 {
                    std::mem::take(&mut shared.values[of_value])
                } else {
                    shared.values[of_value].clone()
                };
                (value, shared.masks == [0; SHARED_MAX])
            }
            Page::Single(single) => {
                single.used &= !mask;
                let mut value = T::default();
                for at in at..at + count {
                    value = std::mem::take(&mut single.items[at as usize]);
                }
                (value, single.used == 0)
            }
        };
        self.len -= count;
        if is_empty {
            match self.pages.remove(first / 64) {
                Some(Page::Shared(shared)) => self.spare_shared = Some(shared),
                Some(Page::Single(single)) => self.spare_single = Some(single),
                None => unreachable!("looked at above"),
            }
        }
        value
    }

    /// Returns the value that was there.
    pub(super) fn remove(&mut self, block: u64) -> Option<T> {
        self.contains(block).then(|| self.remove_run(block, 1))
    }

    /// All values, by rising block.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &T)> {
        self.pages
            .iter()
            .flat_map(|(number, page)| (0..64).filter_map(move |at| Some((number * 64 + at, page.get(at)?))))
    }

    /// The blocks that are there, rising.
    pub(super) fn blocks(&self) -> Vec<u64> {
        self.iter().map(|(block, _)| block).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{BlockSet, BlockTable, pages::DENSE_BLOCKS_MAX};

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

    /// A generator of numbers, the same in every run.
    fn numbers() -> impl FnMut(u64) -> u64 {
        let mut state = 1_u64;
        move |below| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        }
    }

    /// `count` blocks from one on, as far as its page goes.
    fn within_page(first: u64, count: u64) -> u64 {
        count.min(64 - first % 64)
    }

    #[test]
    fn a_table_is_an_ordered_map() {
        for (block_count, is_shared) in [(1 << 20, false), (DENSE_BLOCKS_MAX + 1, false), (1 << 20, true)] {
            let table = BlockTable::new(block_count).shared(is_shared);
            let (mut table, mut map) = (table, BTreeMap::new());
            let mut random = numbers();
            for step in 0..20_000_u64 {
                let block = random(700) * 37 % block_count;
                if random(2) == 0 {
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

    #[test]
    fn neighbours_that_share_a_value_keep_it_when_others_change_theirs() {
        let (mut table, mut map) = (BlockTable::new(1000).shared(true), BTreeMap::new());
        let mut random = numbers();
        for _ in 0..50_000 {
            let (first, value) = (random(256), random(5));
            let count = within_page(first, 1 + random(64));
            let (len, shared) = table.run_at(first, count);
            assert_eq!(shared, map.get(&first), "of {first}");
            assert!((1..=count).contains(&len));
            let blocks = first..first + len;
            assert!(
                blocks.clone().all(|block| map.get(&block) == shared),
                "{blocks:?}"
            );
            match (shared.copied(), random(4)) {
                (None, _) => {
                    table.insert_run(first, len, value);
                    map.extend(blocks.map(|block| (block, value)));
                }
                (Some(_), 0) => {
                    table.update(first, len, |shared| *shared += value);
                    blocks.for_each(|block| *map.get_mut(&block).unwrap() += value);
                }
                (Some(_), 1) => {
                    *table.get_mut(first).unwrap() = value;
                    map.insert(first, value);
                }
                (Some(there), _) => {
                    assert_eq!(table.remove_run(first, len), there);
                    map.retain(|block, _| !blocks.contains(block));
                }
            }
            assert_eq!(table.len(), map.len() as u64);
        }
        assert!(table.iter().eq(map.iter().map(|(&block, value)| (block, value))));
    }

    #[test]
    fn neighbours_that_share_a_value_take_the_room_of_one() {
        let mut table = BlockTable::new(64).shared(true);
        table.insert_run(0, 64, 7);
        assert!(matches!(table.pages.get(0), Some(super::Page::Shared(_))));
        assert_eq!(table.run_at(3, 1000), (61, Some(&7)));
        table.update(8, 8, |value| *value = 9);
        assert_eq!(table.run_at(0, 64), (8, Some(&7)));
        table.update(8, 8, |value| *value = 7);
        assert_eq!(table.run_at(0, 64), (64, Some(&7)), "they are alike again");
    }

    #[test]
    fn a_run_of_a_set_ends_where_the_blocks_differ() {
        let (mut set, mut model) = (BlockSet::new(10_000), std::collections::BTreeSet::new());
        let mut random = numbers();
        for _ in 0..5_000 {
            let first = random(10_000 - 64);
            let count = within_page(first, 1 + random(64));
            let (len, there) = set.run_at(first, count);
            assert!((1..=count).contains(&len));
            assert!((first..first + len).all(|block| model.contains(&block) == there));
            assert!(len == count || model.contains(&(first + len)) != there);
            set.insert_run(first, count);
            model.extend(first..first + count);
            let gone = random(10_000);
            assert_eq!(set.remove(gone), model.remove(&gone));
            assert_eq!(set.len(), model.len() as u64);
        }
    }
}
