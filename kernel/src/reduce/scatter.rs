//! Groups along neighbouring elements: each goes to the state of its group as it comes by.
//!
//! A group's elements are taken in blocks, and those combined, as [`columns`](super::drive::columns) does with its rows.

use graticule_ops::{ReduceKind, Reduction, Stage};
use graticule_plan::Kind;

use super::{
    Layout, Positions,
    drive::{BLOCK_ROWS, Cascade, LANES, States, StatesOf},
    fold::Fold,
    reducible::Reducible,
    sink::Sink,
    stage::{Empty, located},
    visit::Visitor,
};
use crate::{
    Chunk, KernelError,
    fused::{Group, TILE_LEN, Tiles},
    simd::{Kernel, dispatch},
};

/// The most groups of which the elements of a block are kept, for reductions that pass over them twice.
const KEPT_GROUPS_MAX: usize = 1 << 13;

/// Whether elements are sent to their groups one by one: where rows of neighbours, which could be taken group by group,
/// are too short.
pub(super) fn is_scattered(reduction: &Reduction, layout: &Layout, group_count: usize) -> bool {
    let is_kept = matches!(reduction.kind, ReduceKind::Var { .. } | ReduceKind::Std { .. });
    layout.is_runs && (!is_kept || group_count <= KEPT_GROUPS_MAX)
}

/// Of each row its group, or -1.
pub(super) enum Labels {
    /// One by one.
    Each(Vec<i32>),
    /// As runs, each a label and how many rows have it.
    Runs(Vec<(i32, usize)>),
}

/// Elements to partials or results: for each column one for each group.
pub(super) struct Scattered<'a> {
    pub(super) reduction: &'a Reduction,
    /// The elements, column after column.
    pub(super) group: &'a Group,
    pub(super) columns: usize,
    pub(super) rows: usize,
    pub(super) labels: &'a Labels,
    pub(super) group_count: usize,
    pub(super) stage: Stage,
    pub(super) shape: &'a [usize],
    pub(super) positions: &'a Positions,
}

impl Visitor for Scattered<'_> {
    type Output = Chunk;

    fn visit<T: Reducible, F: Fold<T>>(self, fold: F) -> Result<Chunk, KernelError> {
        let mut sink = Sink::new::<T>(self.reduction, fold, self.stage, self.shape, Empty::IsNan)?;
        let rows = self.rows;
        let mut tiles = match rows * self.columns {
            0 => None,
            _ => Some(Tiles::new(self.group, TILE_LEN.min(rows))?),
        };
        let mut groups = Groups::<T, F>::new(fold, self.group_count, adds_exactly(self.reduction));
        for column in 0..self.columns {
            let mut runs = match self.labels {
                Labels::Each(_) => Runs::new(&[]),
                Labels::Runs(runs) => Runs::new(runs),
            };
            for first in (0..rows).step_by(TILE_LEN) {
                let len = TILE_LEN.min(rows - first);
                let tiles = tiles.as_mut().expect("there are elements");
                let elements = tiles.values::<T>(column * rows + first, len)?;
                match self.labels {
                    Labels::Each(codes) => groups.take_each(&codes[first..], elements, first),
                    Labels::Runs(_) => dispatch(TakeRuns {
                        groups: &mut groups,
                        runs: &mut runs,
                        elements,
                        first,
                    }),
                }
            }
            let states = groups.finish();
            located::<T, F>(states, Some(self.positions));
            sink.take::<T>(states)?;
            groups.restart();
        }
        sink.finish()
    }
}

/// What a fold knows of some elements.
type State<T, F> = (<F as Fold<T>>::A, <F as Fold<T>>::B, <F as Fold<T>>::C);

/// The groups of one column.
struct Groups<T: Reducible, F: Fold<T>> {
    fold: F,
    /// Whether elements may be added up in any order.
    is_exact: bool,
    /// Of each group the state of the block that it is at.
    states: StatesOf<T, F>,
    /// How many elements that block has.
    counts: Vec<usize>,
    /// Those elements, if they are passed over twice: [`BLOCK_ROWS`] places for each group.
    kept: Vec<T>,
    /// The blocks before.
    blocks: Vec<Cascade<State<T, F>>>,
}

impl<T: Reducible, F: Fold<T>> Groups<T, F> {
    fn new(fold: F, count: usize, is_exact: bool) -> Self {
        let kept_len = if F::TWO_PASSES { count * BLOCK_ROWS } else { 0 };
        Self {
            fold,
            is_exact,
            states: States::new(fold.start(), count),
            counts: vec![0; count],
            kept: vec![T::default(); kept_len],
            blocks: (0..count).map(|_| Cascade::new()).collect(),
        }
    }

    /// Takes some elements, the first of which is of row `first`, each with its label.
    fn take_each(&mut self, codes: &[i32], elements: &[T], first: usize) {
        for ((&code, &x), row) in codes.iter().zip(elements).zip(first as i64..) {
            let Ok(group) = usize::try_from(code) else {
                continue;
            };
            let States { a, b, c } = &mut self.states;
            self.fold
                .step(&mut a[group], &mut b[group], &mut c[group], x, row);
            let count = &mut self.counts[group];
            if F::TWO_PASSES {
                self.kept[group * BLOCK_ROWS + *count] = x;
            }
            *count += 1;
            if *count == BLOCK_ROWS {
                self.push_block(group);
            }
        }
    }

    /// Takes more elements into the block that a group is at, which has place for them.
    #[inline(always)]
    fn extend(&mut self, group: usize, elements: &[T], row: usize) {
        let (mut a, mut b, mut c) = self.states.get(group);
        if F::ADDS && self.is_exact {
            let (lanes, rest) = elements.as_chunks::<LANES>();
            let mut sums = [self.fold.start(); LANES];
            for elements in lanes {
                for (sum, &x) in sums.iter_mut().zip(elements) {
                    self.fold.step(&mut sum.0, &mut sum.1, &mut sum.2, x, 0);
                }
            }
            for sum in sums {
                self.fold.combine((&mut a, &mut b, &mut c), sum);
            }
            rest.iter()
                .for_each(|&x| self.fold.step(&mut a, &mut b, &mut c, x, 0));
        } else {
            for (&x, position) in elements.iter().zip(row as i64..) {
                self.fold.step(&mut a, &mut b, &mut c, x, position);
            }
        }
        self.states.set(group, (a, b, c));
        let count = self.counts[group];
        if F::TWO_PASSES {
            let place = group * BLOCK_ROWS + count;
            self.kept[place..place + elements.len()].copy_from_slice(elements);
        }
        self.counts[group] = count + elements.len();
        if self.counts[group] == BLOCK_ROWS {
            self.push_block(group);
        }
    }

    /// Ends the block that a group is at, and keeps it with those before.
    #[inline(never)]
    fn push_block(&mut self, group: usize) {
        let block = self.end_block(group);
        let fold = self.fold;
        self.blocks[group].push(block, |earlier, later| merge::<T, F>(fold, earlier, later));
    }

    /// Ends the block that a group is at, and begins another one.
    fn end_block(&mut self, group: usize) -> State<T, F> {
        let (mut a, mut b, mut c) = self.states.get(group);
        let count = std::mem::take(&mut self.counts[group]);
        self.fold.settle(&mut a, &mut b, count as i64);
        if F::TWO_PASSES {
            let kept = &self.kept[group * BLOCK_ROWS..][..count];
            kept.iter()
                .for_each(|&x| self.fold.step_again(&mut a, &mut b, &mut c, x));
        }
        self.states.set(group, self.fold.start());
        (a, b, c)
    }

    /// The groups' states.
    fn finish(&mut self) -> &mut StatesOf<T, F> {
        let fold = self.fold;
        let merge = |earlier: &mut _, later| merge::<T, F>(fold, earlier, later);
        for group in 0..self.counts.len() {
            if self.counts[group] > 0 {
                let block = self.end_block(group);
                self.blocks[group].push(block, merge);
            }
            if let Some(state) = self.blocks[group].finish(merge) {
                self.states.set(group, state);
            }
        }
        &mut self.states
    }

    /// Forgets the states.
    fn restart(&mut self) {
        self.states.fill(self.fold.start());
    }
}

/// Whether sums of the elements of a block are the same in any order: those of integers that float64 has all sums of.
fn adds_exactly(reduction: &Reduction) -> bool {
    matches!(reduction.dtype.kind(), Kind::Bool | Kind::Signed | Kind::Unsigned)
        && reduction.dtype.size_bytes() <= 4
}

/// A walk along runs of labels, some rows at a time.
struct Runs<'a> {
    rest: &'a [(i32, usize)],
    /// Rows of the first of them that were walked.
    walked: usize,
}

impl<'a> Runs<'a> {
    fn new(rest: &'a [(i32, usize)]) -> Self {
        Self { rest, walked: 0 }
    }

    /// The label of the next rows, and how many of them have it, at most `count_max`.
    fn next(&mut self, count_max: usize) -> (i32, usize) {
        let (&(code, len), rest) = self.rest.split_first().expect("each row has a label");
        let count = (len - self.walked).min(count_max);
        self.walked += count;
        if self.walked == len {
            (self.rest, self.walked) = (rest, 0);
        }
        (code, count)
    }
}

/// Sends some elements, the first of which is of row `first`, to the groups of their runs.
struct TakeRuns<'a, 'r, T: Reducible, F: Fold<T>> {
    groups: &'a mut Groups<T, F>,
    runs: &'a mut Runs<'r>,
    elements: &'a [T],
    first: usize,
}

impl<T: Reducible, F: Fold<T>> Kernel for TakeRuns<'_, '_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let mut at = 0;
        while at < self.elements.len() {
            let (code, count) = self.runs.next(self.elements.len() - at);
            let end = at + count;
            let Ok(group) = usize::try_from(code) else {
                at = end;
                continue;
            };
            while at < end {
                let count = (BLOCK_ROWS - self.groups.counts[group]).min(end - at);
                let elements = &self.elements[at..at + count];
                self.groups.extend(group, elements, self.first + at);
                at += count;
            }
        }
    }
}

fn merge<T: Reducible, F: Fold<T>>(fold: F, earlier: &mut (F::A, F::B, F::C), later: (F::A, F::B, F::C)) {
    fold.combine((&mut earlier.0, &mut earlier.1, &mut earlier.2), later);
}
