//! Passes elements of a group through a fold's states, tile by tile.
//!
//! Elements are taken in blocks of [`BLOCK_ROWS`] for each state; the blocks' states are then combined pairwise, so the
//! error of a sum grows with the logarithm of the number of blocks. Blocks depend on nothing but the operand's shape.

use super::{
    fold::{Fold, Part},
    reducible::Reducible,
};
use crate::{
    KernelError,
    fused::{Group, TILE_LEN, Tiles},
    simd::{Kernel, dispatch},
};

/// Elements that one state takes before it is combined with others.
pub(crate) const BLOCK_ROWS: usize = 128;
/// Elements of a block that is passed over twice, which shall stay in a core's second cache.
const KEPT_LEN: usize = BLOCK_ROWS * TILE_LEN / 8;
/// States side by side in a reduction of neighbouring elements.
pub(crate) const LANES: usize = 16;

/// States of several results: an array for each part.
pub(crate) struct States<A, B, C> {
    pub(crate) a: Vec<A>,
    pub(crate) b: Vec<B>,
    pub(crate) c: Vec<C>,
}

pub(crate) type StatesOf<T, F> = States<<F as Fold<T>>::A, <F as Fold<T>>::B, <F as Fold<T>>::C>;
/// The parts of some states, lent.
pub(crate) type SlicesOf<'a, T, F> = (
    &'a [<F as Fold<T>>::A],
    &'a [<F as Fold<T>>::B],
    &'a [<F as Fold<T>>::C],
);
type State<T, F> = (<F as Fold<T>>::A, <F as Fold<T>>::B, <F as Fold<T>>::C);

impl<A: Part, B: Part, C: Part> States<A, B, C> {
    pub(crate) fn new(state: (A, B, C), len: usize) -> Self {
        Self {
            a: vec![state.0; len],
            b: vec![state.1; len],
            c: vec![state.2; len],
        }
    }

    pub(crate) fn fill(&mut self, state: (A, B, C)) {
        self.a.fill(state.0);
        self.b.fill(state.1);
        self.c.fill(state.2);
    }

    fn truncate(&mut self, len: usize) {
        self.a.truncate(len);
        self.b.truncate(len);
        self.c.truncate(len);
    }

    /// Takes over as many states.
    pub(crate) fn copy_from(&mut self, a: &[A], b: &[B], c: &[C]) {
        self.a.copy_from_slice(a);
        self.b.copy_from_slice(b);
        self.c.copy_from_slice(c);
    }

    pub(crate) fn get(&self, at: usize) -> (A, B, C) {
        (self.a[at], self.b[at], self.c[at])
    }

    pub(crate) fn set(&mut self, at: usize, state: (A, B, C)) {
        (self.a[at], self.b[at], self.c[at]) = state;
    }

    /// Combines each state with the one at the same place of `other`, whose elements come after.
    fn combine<T: Reducible, F: Fold<T, A = A, B = B, C = C>>(&mut self, fold: F, other: &Self) {
        self.combine_with::<T, F>(fold, &other.a, &other.b, &other.c);
    }

    /// [`combine`](Self::combine) with states that lie elsewhere.
    pub(crate) fn combine_with<T: Reducible, F: Fold<T, A = A, B = B, C = C>>(
        &mut self,
        fold: F,
        a: &[A],
        b: &[B],
        c: &[C],
    ) {
        let others = a.iter().zip(b).zip(c);
        let own = self.a.iter_mut().zip(&mut self.b).zip(&mut self.c);
        own.zip(others)
            .for_each(|(((a, b), c), ((&x, &y), &z))| fold.combine((a, b, c), (x, y, z)));
    }
}

/// The rows of a matrix that a reduction takes, rising.
#[derive(Clone, Copy)]
pub(crate) enum Rows<'a> {
    /// The first so many: all.
    All(usize),
    /// Some.
    List(&'a [usize]),
}

impl Rows<'_> {
    pub(crate) fn len(self) -> usize {
        match self {
            Rows::All(count) => count,
            Rows::List(list) => list.len(),
        }
    }

    /// From the `at`-th row on as many neighbouring rows as there are, up to `count_max`: the first and their number.
    pub(crate) fn run(self, at: usize, count_max: usize) -> (usize, usize) {
        match self {
            Rows::All(count) => (at, count_max.min(count - at)),
            Rows::List(list) => {
                let rest = &list[at..list.len().min(at + count_max)];
                let count = rest
                    .iter()
                    .zip(rest[0]..)
                    .take_while(|(row, want)| *row == want)
                    .count();
                (rest[0], count)
            }
        }
    }
}

/// How many pairs of blocks have been combined at each level; as carrying in binary counting.
pub(crate) struct Cascade<S> {
    levels: Vec<Option<S>>,
}

impl<S> Cascade<S> {
    pub(crate) fn new() -> Self {
        Self { levels: Vec::new() }
    }

    pub(crate) fn push(&mut self, mut block: S, merge: impl Fn(&mut S, S)) {
        for level in &mut self.levels {
            match level.take() {
                None => {
                    *level = Some(block);
                    return;
                }
                Some(mut earlier) => {
                    merge(&mut earlier, block);
                    block = earlier;
                }
            }
        }
        self.levels.push(Some(block));
    }

    /// What all blocks make together; after that there are none.
    pub(crate) fn finish(&mut self, merge: impl Fn(&mut S, S)) -> Option<S> {
        let mut later: Option<S> = None;
        for earlier in self.levels.drain(..).flatten() {
            later = Some(match later {
                None => earlier,
                Some(later) => {
                    let mut both = earlier;
                    merge(&mut both, later);
                    both
                }
            });
        }
        later
    }
}

/// Steps through rows of `width` elements, each element to its column's state.
struct StepRows<'a, T: Reducible, F: Fold<T>> {
    fold: F,
    states: &'a mut StatesOf<T, F>,
    rows: &'a [T],
    width: usize,
    /// The position of the first element; of the next row's first; of the next column's.
    position: (i64, i64, i64),
    is_second: bool,
}

impl<T: Reducible, F: Fold<T>> Kernel for StepRows<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let width = self.width;
        let (a, b, c) = (
            &mut self.states.a[..width],
            &mut self.states.b[..width],
            &mut self.states.c[..width],
        );
        let (mut position, row_step, column_step) = self.position;
        for row in self.rows.chunks_exact(width) {
            for j in 0..width {
                if F::TWO_PASSES && self.is_second {
                    self.fold.step_again(&mut a[j], &mut b[j], &mut c[j], row[j]);
                } else {
                    let position = position + column_step * j as i64;
                    self.fold.step(&mut a[j], &mut b[j], &mut c[j], row[j], position);
                }
            }
            position += row_step;
        }
    }
}

/// Reduces the rows of a matrix of `columns` columns that is the group's index space, and hands on the columns' states, some
/// at a time.
pub(crate) fn columns<T: Reducible, F: Fold<T>>(
    group: &Group,
    fold: F,
    rows: Rows<'_>,
    columns: usize,
    take: &mut impl FnMut(&mut StatesOf<T, F>) -> Result<(), KernelError>,
) -> Result<(), KernelError> {
    if columns == 0 {
        return Ok(());
    }
    let width_max = if F::TWO_PASSES {
        // Of few rows more columns: rows lie far from each other, and short pieces of them keep memory waiting.
        (KEPT_LEN / rows.len().clamp(1, BLOCK_ROWS)).min(TILE_LEN / 2)
    } else {
        TILE_LEN / 2
    };
    let width_max = width_max.min(columns);
    // Where a tile is as wide as the matrix, several rows are one range of positions.
    let batch = if width_max == columns {
        TILE_LEN.div_ceil(columns)
    } else {
        1
    };
    let mut tiles = Tiles::new(group, width_max * batch)?;
    let mut block = Vec::new();
    for first in (0..columns).step_by(width_max) {
        let width = width_max.min(columns - first);
        let mut cascade = Cascade::new();
        let mut at = 0;
        while at < rows.len() {
            let count = BLOCK_ROWS.min(rows.len() - at);
            let part = Block {
                rows,
                at,
                count,
                first,
                width,
                columns,
                batch,
            };
            let mut states = States::new(fold.start(), width);
            if F::TWO_PASSES {
                two_passes(&mut tiles, fold, part, &mut states, &mut block)?;
            } else {
                part.each(|row, start, len| {
                    let rows = tiles.values::<T>(start, len)?;
                    step::<T, F>(fold, &mut states, rows, width, (row as i64, 1, 0), false);
                    Ok(())
                })?;
                settle(fold, &mut states, |_| count as i64);
            }
            cascade.push(states, |earlier, later| earlier.combine(fold, &later));
            at += count;
        }
        let states = cascade.finish(|earlier, later| earlier.combine(fold, &later));
        take(&mut states.unwrap_or_else(|| States::new(fold.start(), width)))?;
    }
    Ok(())
}

/// A block of rows within a tile of columns.
#[derive(Clone, Copy)]
struct Block<'a> {
    rows: Rows<'a>,
    at: usize,
    count: usize,
    first: usize,
    width: usize,
    columns: usize,
    batch: usize,
}

impl Block<'_> {
    /// Calls `visit` for each run of neighbouring rows with the first row, its flat position and the elements.
    fn each(
        self,
        mut visit: impl FnMut(usize, usize, usize) -> Result<(), KernelError>,
    ) -> Result<(), KernelError> {
        let mut at = self.at;
        let end = self.at + self.count;
        while at < end {
            let (row, count) = self.rows.run(at, self.batch.min(end - at));
            visit(row, row * self.columns + self.first, count * self.width)?;
            at += count;
        }
        Ok(())
    }
}

fn two_passes<T: Reducible, F: Fold<T>>(
    tiles: &mut Tiles<'_>,
    fold: F,
    part: Block<'_>,
    states: &mut StatesOf<T, F>,
    block: &mut Vec<T>,
) -> Result<(), KernelError> {
    block.clear();
    part.each(|_, start, len| {
        block.extend_from_slice(tiles.values::<T>(start, len)?);
        Ok(())
    })?;
    step::<T, F>(fold, states, block, part.width, (0, 1, 0), false);
    settle(fold, states, |_| part.count as i64);
    step::<T, F>(fold, states, block, part.width, (0, 1, 0), true);
    Ok(())
}

fn step<T: Reducible, F: Fold<T>>(
    fold: F,
    states: &mut StatesOf<T, F>,
    rows: &[T],
    width: usize,
    position: (i64, i64, i64),
    is_second: bool,
) {
    if width > 0 {
        dispatch(StepRows::<T, F> {
            fold,
            states,
            rows,
            width,
            position,
            is_second,
        });
    }
}

fn settle<T: Reducible, F: Fold<T>>(fold: F, states: &mut StatesOf<T, F>, count: impl Fn(usize) -> i64) {
    let parts = states.a.iter_mut().zip(&mut states.b).enumerate();
    parts.for_each(|(j, (a, b))| fold.settle(a, b, count(j)));
}

/// Reduces each of `count` runs of `len` neighbouring elements, which are the group's index space, and hands on the runs'
/// states, some at a time.
pub(crate) fn runs<T: Reducible, F: Fold<T>>(
    group: &Group,
    fold: F,
    count: usize,
    len: usize,
    take: &mut impl FnMut(&mut StatesOf<T, F>) -> Result<(), KernelError>,
) -> Result<(), KernelError> {
    const BLOCK_LEN: usize = BLOCK_ROWS * LANES;
    let is_long = len > BLOCK_LEN;
    let batch = if is_long {
        1
    } else {
        (TILE_LEN / len.max(1)).max(1)
    };
    let tile_len = if is_long { BLOCK_LEN } else { batch * len };
    let mut tiles = (len > 0).then(|| Tiles::new(group, tile_len)).transpose()?;
    let mut lanes = States::new(fold.start(), LANES);
    let mut some = States::new(fold.start(), batch.min(count));
    for first in (0..count).step_by(batch) {
        some.truncate(count - first);
        let mut set = |at: usize, state: State<T, F>| (some.a[at], some.b[at], some.c[at]) = state;
        match &mut tiles {
            // Nothing changes the states of runs without elements.
            None => {}
            Some(tiles) if !is_long => {
                let values = tiles.values::<T>(first * len, batch.min(count - first) * len)?;
                for (k, run) in values.chunks_exact(len).enumerate() {
                    set(k, block_of(fold, &mut lanes, run, 0));
                }
            }
            Some(tiles) => set(
                0,
                long_run(tiles, fold, &mut lanes, first * len..(first + 1) * len, BLOCK_LEN)?,
            ),
        }
        take(&mut some)?;
    }
    Ok(())
}

/// The state of one run that is longer than a block.
fn long_run<T: Reducible, F: Fold<T>>(
    tiles: &mut Tiles<'_>,
    fold: F,
    lanes: &mut StatesOf<T, F>,
    run: std::ops::Range<usize>,
    block_len: usize,
) -> Result<State<T, F>, KernelError> {
    let mut cascade = Cascade::new();
    let merge = |earlier: &mut State<T, F>, later| {
        fold.combine((&mut earlier.0, &mut earlier.1, &mut earlier.2), later)
    };
    for start in run.clone().step_by(block_len) {
        let values = tiles.values::<T>(start, block_len.min(run.end - start))?;
        cascade.push(block_of(fold, lanes, values, (start - run.start) as i64), merge);
    }
    Ok(cascade.finish(merge).expect("a run has a block"))
}

/// The state of one block of neighbouring elements: lanes take every [`LANES`]-th element, then combine pairwise.
fn block_of<T: Reducible, F: Fold<T>>(
    fold: F,
    lanes: &mut StatesOf<T, F>,
    block: &[T],
    position: i64,
) -> State<T, F> {
    lanes.fill(fold.start());
    let (rows, tail) = block.split_at(block.len() / LANES * LANES);
    let row_count = (rows.len() / LANES) as i64;
    let after = position + rows.len() as i64;
    step::<T, F>(fold, lanes, rows, LANES, (position, LANES as i64, 1), false);
    step::<T, F>(fold, lanes, tail, tail.len(), (after, 0, 1), false);
    settle(fold, lanes, |lane| row_count + i64::from(lane < tail.len()));
    if F::TWO_PASSES {
        step::<T, F>(fold, lanes, rows, LANES, (0, 0, 0), true);
        step::<T, F>(fold, lanes, tail, tail.len(), (0, 0, 0), true);
    }
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            let later = lanes.get(lane + half);
            fold.combine(
                (&mut lanes.a[lane], &mut lanes.b[lane], &mut lanes.c[lane]),
                later,
            );
        }
        half /= 2;
    }
    lanes.get(0)
}
