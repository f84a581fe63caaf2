//! Groups along neighbouring elements: each goes to the state of its group as it comes by.
//!
//! A group's elements are taken in blocks, and those combined, as [`columns`](super::drive::columns) does with its rows.

use graticule_ops::{ReduceKind, Reduction, Stage};

use super::{
    Layout, Positions,
    drive::{BLOCK_ROWS, Cascade, States, StatesOf},
    fold::Fold,
    reducible::Reducible,
    sink::Sink,
    stage::{Empty, located},
    visit::Visitor,
};
use crate::{
    Chunk, KernelError,
    fused::{Group, TILE_LEN, Tiles},
};

/// The most groups of which the elements of a block are kept, for reductions that pass over them twice.
const KEPT_GROUPS_MAX: usize = 1 << 13;

/// Whether elements are sent to their groups one by one: where rows of neighbours, which could be taken group by group,
/// are too short.
pub(super) fn is_scattered(reduction: &Reduction, layout: &Layout, group_count: usize) -> bool {
    let is_kept = matches!(reduction.kind, ReduceKind::Var { .. } | ReduceKind::Std { .. });
    layout.is_runs && (!is_kept || group_count <= KEPT_GROUPS_MAX)
}

/// Elements to partials or results: for each column one for each group.
pub(super) struct Scattered<'a> {
    pub(super) reduction: &'a Reduction,
    /// The elements, column after column.
    pub(super) group: &'a Group,
    pub(super) columns: usize,
    /// Of each row its group, or -1.
    pub(super) codes: &'a [i32],
    pub(super) group_count: usize,
    pub(super) stage: Stage,
    pub(super) shape: &'a [usize],
    pub(super) positions: &'a Positions,
}

impl Visitor for Scattered<'_> {
    type Output = Chunk;

    fn visit<T: Reducible, F: Fold<T>>(self, fold: F) -> Result<Chunk, KernelError> {
        let mut sink = Sink::new::<T>(self.reduction, fold, self.stage, self.shape, Empty::IsNan)?;
        let rows = self.codes.len();
        let mut tiles = match rows * self.columns {
            0 => None,
            _ => Some(Tiles::new(self.group, TILE_LEN.min(rows))?),
        };
        let mut groups = Groups::<T, F>::new(fold, self.group_count);
        for column in 0..self.columns {
            for (tile, codes) in self.codes.chunks(TILE_LEN).enumerate() {
                let first = tile * TILE_LEN;
                let tiles = tiles.as_mut().expect("there are elements");
                let elements = tiles.values::<T>(column * rows + first, codes.len())?;
                groups.take(codes, elements, first);
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
    fn new(fold: F, count: usize) -> Self {
        let kept_len = if F::TWO_PASSES { count * BLOCK_ROWS } else { 0 };
        Self {
            fold,
            states: States::new(fold.start(), count),
            counts: vec![0; count],
            kept: vec![T::default(); kept_len],
            blocks: (0..count).map(|_| Cascade::new()).collect(),
        }
    }

    /// Takes some elements, the first of which is of row `first`.
    fn take(&mut self, codes: &[i32], elements: &[T], first: usize) {
        let mut at = 0;
        for run in codes.chunk_by(|a, b| a == b) {
            let end = at + run.len();
            if let Ok(group) = usize::try_from(run[0]) {
                while at < end {
                    let count = (BLOCK_ROWS - self.counts[group]).min(end - at);
                    self.extend(group, &elements[at..at + count], first + at);
                    at += count;
                }
            }
            at = end;
        }
    }

    /// Takes more elements into the block that a group is at, which has place for them.
    fn extend(&mut self, group: usize, elements: &[T], row: usize) {
        let (mut a, mut b, mut c) = self.states.get(group);
        for (&x, position) in elements.iter().zip(row as i64..) {
            self.fold.step(&mut a, &mut b, &mut c, x, position);
        }
        self.states.set(group, (a, b, c));
        let count = self.counts[group];
        if F::TWO_PASSES {
            let place = group * BLOCK_ROWS + count;
            self.kept[place..place + elements.len()].copy_from_slice(elements);
        }
        self.counts[group] = count + elements.len();
        if self.counts[group] == BLOCK_ROWS {
            let block = self.end_block(group);
            let fold = self.fold;
            self.blocks[group].push(block, |earlier, later| merge::<T, F>(fold, earlier, later));
        }
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

fn merge<T: Reducible, F: Fold<T>>(fold: F, earlier: &mut (F::A, F::B, F::C), later: (F::A, F::B, F::C)) {
    fold.combine((&mut earlier.0, &mut earlier.1, &mut earlier.2), later);
}
