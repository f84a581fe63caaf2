//! From blocks in any order to rows of pixels in order, with a bound on what waits.

use std::{collections::BTreeMap, ops::Range};

use graticule_client::Block;
use graticule_plan::ChunkGrid;

/// Stripes that may be under way at once: the one that is next, and those that its cluster computes meanwhile.
const OPEN_COUNT_MAX: u64 = 2;

/// The blocks of one array `(band, y, x)` or `(group, band, y, x)` that lie side by side make up a stripe.
#[derive(Debug, Clone)]
pub(crate) struct StripeGrid {
    grid: ChunkGrid,
    y: usize,
}

impl StripeGrid {
    /// # Panics
    /// If the grid has not three or four axes.
    pub(crate) fn new(grid: &ChunkGrid) -> Self {
        assert!(
            (3..=4).contains(&grid.ndim()),
            "a mosaic has three axes, or four with groups"
        );
        let y = grid.ndim() - 2;
        let grid = grid.clone();
        Self { grid, y }
    }

    pub(crate) fn group_count(&self) -> usize {
        if self.y == 2 { self.len(0) } else { 1 }
    }

    pub(crate) fn band_count(&self) -> usize {
        self.len(self.y - 1)
    }

    pub(crate) fn height(&self) -> usize {
        self.len(self.y)
    }

    pub(crate) fn width(&self) -> usize {
        self.len(self.y + 1)
    }

    fn len(&self, axis: usize) -> usize {
        usize::try_from(self.grid.axes()[axis].len())
            .expect("a mosaic fits its files, which are checked before")
    }

    /// The stripe of a block.
    pub(crate) fn stripe_of(&self, block: u64) -> u64 {
        self.grid.unravel(block)[self.y]
    }

    fn rows(&self, stripe: u64) -> Range<usize> {
        let rows = self.grid.axes()[self.y].extent(stripe);
        rows.start as usize..rows.end as usize
    }

    fn blocks_each(&self) -> u64 {
        self.grid.block_count() / self.grid.axes()[self.y].count()
    }
}

/// Which blocks may come, so that few stripes are open at a time.
#[derive(Debug)]
pub(crate) struct Window {
    grid: StripeGrid,
    next: u64,
    received: BTreeMap<u64, u64>,
}

impl Window {
    pub(crate) fn new(grid: StripeGrid) -> Self {
        Self {
            grid,
            next: 0,
            received: BTreeMap::new(),
        }
    }

    pub(crate) fn wants(&self, block: u64) -> bool {
        self.grid.stripe_of(block) < self.next + OPEN_COUNT_MAX
    }

    pub(crate) fn received(&mut self, block: u64) {
        *self.received.entry(self.grid.stripe_of(block)).or_default() += 1;
        while self.received.get(&self.next) == Some(&self.grid.blocks_each()) {
            self.received.remove(&self.next);
            self.next += 1;
        }
    }
}

/// Stripes that are being put together.
#[derive(Debug)]
pub(crate) struct Stripes {
    grid: StripeGrid,
    item_bytes: usize,
    next: u64,
    open: BTreeMap<u64, Stripe>,
}

/// Rows of all bands, for each group: `(band, y, x)` in C order.
#[derive(Debug)]
pub(crate) struct Stripe {
    pub(crate) rows: Range<usize>,
    pub(crate) groups: Vec<Vec<u8>>,
    received: u64,
}

impl Stripes {
    pub(crate) fn new(grid: StripeGrid, item_bytes: usize) -> Self {
        Self {
            grid,
            item_bytes,
            next: 0,
            open: BTreeMap::new(),
        }
    }

    /// Puts a block into its stripe; gives the stripes that are complete, in order.
    pub(crate) fn add(&mut self, block: &Block) -> Vec<Stripe> {
        let number = self.grid.stripe_of(block.block);
        let (grid, item) = (&self.grid, self.item_bytes);
        let stripe = self.open.entry(number).or_insert_with(|| {
            let rows = grid.rows(number);
            let bytes = grid.band_count() * rows.len() * grid.width() * item;
            Stripe {
                groups: vec![vec![0; bytes]; grid.group_count()],
                rows,
                received: 0,
            }
        });
        stripe.copy(grid, block, item);
        stripe.received += 1;
        let mut complete = Vec::new();
        while let Some(entry) = self.open.first_entry()
            && *entry.key() == self.next
            && entry.get().received == self.grid.blocks_each()
        {
            complete.push(entry.remove());
            self.next += 1;
        }
        complete
    }

    /// Whether every stripe has been given out.
    pub(crate) fn are_complete(&self) -> bool {
        self.next == self.grid.grid.axes()[self.grid.y].count()
    }
}

impl Stripe {
    fn copy(&mut self, grid: &StripeGrid, block: &Block, item: usize) {
        let range = |axis: usize| block.extents[axis].start as usize..block.extents[axis].end as usize;
        let (bands, rows, cols) = (range(grid.y - 1), range(grid.y), range(grid.y + 1));
        let groups = if grid.y == 2 { range(0) } else { 0..1 };
        let run = cols.len() * item;
        let mut from = block.tensor.bytes().chunks_exact(run.max(1));
        for group in groups {
            for band in bands.clone() {
                for row in rows.clone() {
                    let line = band * self.rows.len() + (row - self.rows.start);
                    let to = (line * grid.width() + cols.start) * item;
                    let run_of_pixels = from.next().expect("a block has the pixels of its extents");
                    self.groups[group][to..to + run].copy_from_slice(run_of_pixels);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use graticule_kernel::Tensor;

    use super::*;

    fn block(grid: &ChunkGrid, block: u64, value: impl Fn(&[u64]) -> f32) -> Block {
        let extents = grid.extents(block);
        let shape: Vec<usize> = extents.iter().map(|e| (e.end - e.start) as usize).collect();
        let count: usize = shape.iter().product();
        let values = (0..count).map(|mut at| {
            let mut index = vec![0; shape.len()];
            for axis in (0..shape.len()).rev() {
                index[axis] = extents[axis].start + (at % shape[axis]) as u64;
                at /= shape[axis];
            }
            value(&index)
        });
        let tensor = Tensor::from_vec(&shape, values.collect()).unwrap();
        Block {
            output: 0,
            block,
            index: grid.unravel(block),
            extents,
            tensor,
        }
    }

    #[test]
    fn blocks_in_any_order_become_rows_in_order() {
        let grid = ChunkGrid::regular(&[2, 3, 5, 7], &[2, 1, 2, 3]).unwrap();
        let value = |index: &[u64]| index.iter().fold(0.0, |all, &i| all * 10.0 + i as f32);
        let mut stripes = Stripes::new(StripeGrid::new(&grid), 4);
        // A permutation: 7 and the number of blocks have no common factor.
        let order = (0..grid.block_count()).map(|i| (i * 7 + 3) % grid.block_count());
        let mut rows_seen = 0;
        for number in order {
            for stripe in stripes.add(&block(&grid, number, value)) {
                assert_eq!(stripe.rows.start, rows_seen);
                rows_seen = stripe.rows.end;
                for (group, bytes) in stripe.groups.iter().enumerate() {
                    let got: Vec<f32> = bytes
                        .chunks_exact(4)
                        .map(|b| f32::from_ne_bytes(b.try_into().unwrap()))
                        .collect();
                    let want = (0..3).flat_map(|band| {
                        let rows = stripe.rows.clone();
                        rows.flat_map(move |row| (0..7).map(move |col| [group as u64, band, row as u64, col]))
                    });
                    assert_eq!(got, want.map(|index| value(&index)).collect::<Vec<_>>());
                }
            }
        }
        assert_eq!(rows_seen, 5);
        assert!(stripes.are_complete());
    }

    #[test]
    fn the_window_always_wants_the_next_stripe_and_never_far_ahead() {
        let grid = ChunkGrid::regular(&[3, 100, 10], &[1, 10, 5]).unwrap();
        let mut window = Window::new(StripeGrid::new(&grid));
        let mut left: Vec<u64> = (0..grid.block_count()).collect();
        while !left.is_empty() {
            let wanted: Vec<u64> = left.iter().copied().filter(|&b| window.wants(b)).collect();
            let stripes: Vec<u64> = wanted.iter().map(|&b| window.grid.stripe_of(b)).collect();
            assert!(stripes.contains(&window.next), "the next stripe is wanted");
            assert!(
                stripes
                    .iter()
                    .all(|&stripe| stripe < window.next + OPEN_COUNT_MAX)
            );
            let last = *wanted.last().unwrap();
            window.received(last);
            left.retain(|&b| b != last);
        }
        assert_eq!(window.next, 10);
        assert!(window.received.is_empty());
    }
}
