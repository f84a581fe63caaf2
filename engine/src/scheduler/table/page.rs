//! A page of a table: up to 64 neighbouring blocks, which share values or have one each.

#[derive(Debug)]
pub(super) enum Page<T> {
    Shared(Box<Shared<T>>),
    Single(Box<Single<T>>),
}

/// The most different values of a page whose blocks share them.
pub(super) const SHARED_MAX: usize = 8;

#[derive(Debug)]
pub(super) struct Shared<T> {
    /// For each value one bit for each block that has it; 0 for a value that is free.
    pub(super) masks: [u64; SHARED_MAX],
    pub(super) values: [T; SHARED_MAX],
}

#[derive(Debug)]
pub(super) struct Single<T> {
    /// One bit for each item that is there.
    pub(super) used: u64,
    pub(super) items: [T; 64],
}

/// The bits of neighbours within their page.
#[inline]
pub(super) fn mask_of(first: u64, count: u64) -> u64 {
    debug_assert!(count >= 1 && first % 64 + count <= 64, "neighbours of one page");
    (u64::MAX >> (64 - count)) << (first % 64)
}

impl<T: Clone + Default + PartialEq> Page<T> {
    pub(super) fn used(&self) -> u64 {
        match self {
            Page::Shared(shared) => shared.masks.iter().fold(0, |all, mask| all | mask),
            Page::Single(single) => single.used,
        }
    }

    #[inline]
    pub(super) fn get(&self, at: u64) -> Option<&T> {
        match self {
            Page::Shared(shared) => Some(&shared.values[shared.value_of(at)?]),
            Page::Single(single) => (single.used >> at & 1 == 1).then(|| &single.items[at as usize]),
        }
    }

    /// The value of a block that shares it with no other.
    #[inline]
    pub(super) fn get_own(&mut self, at: u64) -> Option<&mut T> {
        match self {
            Page::Shared(shared) => Some(&mut shared.values[shared.value_of(at)?]),
            Page::Single(single) => (single.used >> at & 1 == 1).then(|| &mut single.items[at as usize]),
        }
    }

    #[inline]
    pub(super) fn run_at(&self, at: u64) -> (u64, Option<&T>) {
        match self {
            Page::Single(single) if single.used >> at & 1 == 1 => (1, Some(&single.items[at as usize])),
            Page::Shared(shared) if let Some(of_value) = shared.value_of(at) => {
                let mask = shared.masks[of_value] >> at;
                (u64::from(mask.trailing_ones()), Some(&shared.values[of_value]))
            }
            _ => (u64::from((self.used() >> at).trailing_zeros()), None),
        }
    }

    /// Gives each block a value of its own.
    #[cold]
    pub(super) fn expand(&mut self, spare: Option<Box<Single<T>>>) {
        let Page::Shared(shared) = self else { return };
        let mut single = spare.unwrap_or_else(Single::new);
        for (mask, value) in shared.masks.iter().zip(&shared.values) {
            single.used |= mask;
            (0..64_usize)
                .filter(|at| mask >> at & 1 == 1)
                .for_each(|at| single.items[at] = value.clone());
        }
        *self = Page::Single(single);
    }
}

impl<T: Default> Single<T> {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self {
            used: 0,
            items: std::array::from_fn(|_| T::default()),
        })
    }
}

impl<T: Clone + Default + PartialEq> Shared<T> {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self {
            masks: [0; SHARED_MAX],
            values: std::array::from_fn(|_| T::default()),
        })
    }

    /// Which value a block has.
    #[inline]
    pub(super) fn value_of(&self, at: u64) -> Option<usize> {
        self.masks.iter().position(|mask| mask >> at & 1 == 1)
    }

    /// Where a value is, or can be.
    pub(super) fn place_for(&self, value: &T) -> Option<usize> {
        let is_there = |&of_value: &usize| self.masks[of_value] != 0 && self.values[of_value] == *value;
        (0..SHARED_MAX)
            .find(is_there)
            .or_else(|| self.masks.iter().position(|&mask| mask == 0))
    }

    /// Gives some of the blocks that share a value their own copy of it, if there is room for one more.
    pub(super) fn split(&mut self, of_value: usize, mask: u64) -> Option<usize> {
        let own = self.masks.iter().position(|&mask| mask == 0)?;
        self.masks[of_value] &= !mask;
        self.masks[own] = mask;
        self.values[own] = self.values[of_value].clone();
        Some(own)
    }

    /// Has those that have another copy of the same value share it.
    pub(super) fn join(&mut self, own: usize) {
        let same = |&of_value: &usize| {
            of_value != own && self.masks[of_value] != 0 && self.values[of_value] == self.values[own]
        };
        if let Some(other) = (0..SHARED_MAX).find(same) {
            self.masks[other] |= self.masks[own];
            self.masks[own] = 0;
        }
    }
}
