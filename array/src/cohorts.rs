//! How a reduction by groups is done: by a tree of partials, in each block, or by cohorts of groups that share blocks.

use std::sync::Arc;

use graticule_ops::{ReduceKind, Reduction};
use graticule_plan::AxisChunks;

use crate::{
    Array, ArrayError,
    infer::{from_lengths, grid_of, with_axis},
};

/// Ways to reduce by groups; they give the same values but for the last bits of sums of floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// Whichever moves the fewest bytes in the fewest tasks; where partials of all groups for each block would be much larger
    /// than the elements, these in blocks of the whole axes.
    #[default]
    Cheapest,
    /// A partial of all groups for each block, combined in a tree; medians and quantiles take the axes in one block.
    MapReduce,
    /// Each block has all elements of its groups, so that nothing is combined.
    Blockwise,
    /// Groups that share no block with others are reduced apart: partials have an element only for the groups of their
    /// cohort. For medians and quantiles, and where partials would be larger, the elements of a cohort are brought together,
    /// and so are those of bands of neighbouring groups where all groups share blocks.
    Cohorts,
}

/// What a task costs beside the bytes that it moves.
const TASK_BYTES: u64 = 64 << 10;
/// How many times as large as the elements the partials of a tree must be for the elements to be brought together instead:
/// a tree holds fewer of them at a time.
const TOGETHER_GAIN_MIN: u64 = 2;
/// The most partials that the step combines that ends a cohort.
const COHORT_BLOCKS_MAX: usize = 64;

/// Numbered labels over axes.
pub(crate) struct Numbered<'a> {
    pub(crate) codes: &'a [i32],
    pub(crate) count: u64,
}

impl<'a> Numbered<'a> {
    pub(crate) fn new(codes: &'a [i32], count: u64) -> Self {
        Self { codes, count }
    }
}

/// Sets of groups of which no two share a block along the first axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cohorts {
    /// Of each element the place of its group in its cohort, or -1.
    pub(crate) codes: Arc<[i32]>,
    /// How many groups each cohort has.
    pub(crate) groups: AxisChunks,
    /// Of each block its cohort.
    pub(crate) of_block: Arc<[u64]>,
}

/// An array as a reduction by cohorts takes it.
pub(crate) struct Laid {
    pub(crate) x: Array,
    pub(crate) cohorts: Cohorts,
    /// Of each group its place in the result.
    pub(crate) places: Vec<i64>,
    /// Whether the result stays cut by cohort.
    pub(crate) is_blockwise: bool,
}

impl Array {
    /// Finds the array to reduce by blocks or by cohorts; `None` where a tree is asked for, or costs least.
    pub(crate) fn lay(
        &self,
        axes: &[usize],
        groups: &Numbered<'_>,
        reduction: &Reduction,
        strategy: Strategy,
    ) -> Result<Option<Laid>, ArrayError> {
        if is_positional(reduction) {
            return Ok(None);
        }
        let first = axes[0];
        let blocks = &self.chunks().axes()[first];
        let is_forced = matches!(strategy, Strategy::Blockwise | Strategy::Cohorts);
        if strategy == Strategy::MapReduce || (blocks.count() == 1 && !is_forced) {
            return Ok(None);
        }
        let is_cut = |&axis: &usize| self.chunks().axes()[axis].count() > 1;
        let others_are_cut = axes[1..].iter().any(is_cut);
        let found = (!others_are_cut && groups.count > 0)
            .then(|| components(blocks, groups))
            .filter(|found| found.groups.len() > 1);
        let Some(found) = found else {
            return match strategy {
                Strategy::Blockwise if others_are_cut || blocks.count() > 1 => {
                    Err(ArrayError::Blockwise { axis: first })
                }
                _ => Ok(None),
            };
        };
        let is_blockwise = found.groups.len() as u64 == blocks.count();
        match strategy {
            Strategy::Blockwise if !is_blockwise => return Err(ArrayError::Blockwise { axis: first }),
            Strategy::Cheapest if !self.is_cheaper(axes, groups, reduction, &found) => return Ok(None),
            _ => {}
        }
        let mut laid = match is_blockwise {
            false if self.is_together(axes, groups, reduction, &found) => {
                self.brought_together(axes, groups, &found)?
            }
            _ => found.laid(self, axes, groups),
        };
        laid.is_blockwise = is_blockwise;
        Ok(Some(laid))
    }

    /// Whether cohorts move fewer bytes in fewer tasks than a tree of partials; for what has none, whether they are more
    /// tasks at once than there are lines of blocks.
    fn is_cheaper(
        &self,
        axes: &[usize],
        groups: &Numbered<'_>,
        reduction: &Reduction,
        found: &Components,
    ) -> bool {
        let blocks = self.chunks().axes()[axes[0]].count();
        let cohort_count = found.groups.len() as u64;
        // The chunks of the result must not depend on where the array comes from, so this asks for nothing else.
        if cohort_count == blocks {
            return true;
        }
        let is_taken_whole = || self.for_reduction(reduction, axes).chunks().axes()[axes[0]].count() == 1;
        if reduction.partial().is_some() && is_taken_whole() {
            return false;
        }
        let Some(item_bytes) = reduction.partial_item_bytes() else {
            // A read brings whole axes at no cost, else all elements move either way.
            return !self.0.origin.is_read && cohort_count > self.across(axes).1;
        };
        let longest = (0..found.groups.len())
            .map(|cohort| found.blocks_of(cohort))
            .max();
        if longest.is_some_and(|longest| longest > COHORT_BLOCKS_MAX) {
            return false;
        }
        let (columns, lines) = self.across(axes);
        let cost = |bytes: u64, tasks: u64| bytes.saturating_add(tasks.saturating_mul(TASK_BYTES));
        let moved = self.cohort_bytes(axes, groups, item_bytes, found);
        let all = blocks.saturating_mul(groups.count);
        let all = all.saturating_mul(columns).saturating_mul(item_bytes);
        let tree = blocks.div_ceil(crate::SPLIT_EVERY - 1) * lines;
        cost(moved.partials.min(moved.elements), cohort_count * lines) < cost(all, tree)
    }

    /// Elements beside those that are reduced, and in how many blocks they are.
    pub(crate) fn across(&self, axes: &[usize]) -> (u64, u64) {
        let chunks = self.chunks().axes().iter().enumerate();
        let free = chunks.filter(|(axis, _)| !axes.contains(axis));
        free.fold((1, 1), |(columns, lines), (_, chunks)| {
            (
                columns.saturating_mul(chunks.len()),
                lines.saturating_mul(chunks.count()),
            )
        })
    }

    /// What goes to the tasks that end cohorts, if partials of so many bytes do or the elements themselves.
    fn cohort_bytes(
        &self,
        axes: &[usize],
        groups: &Numbered<'_>,
        item_bytes: u64,
        found: &Components,
    ) -> CohortBytes {
        let (columns, _) = self.across(axes);
        let of_block = |&cohort: &u64| found.groups[cohort as usize].len() as u64;
        let partials: u64 = found.of_block.iter().map(of_block).sum();
        let bytes = |rows: u64, item_bytes: u64| rows.saturating_mul(columns).saturating_mul(item_bytes);
        CohortBytes {
            partials: bytes(partials, item_bytes),
            elements: bytes(groups.codes.len() as u64, self.dtype().size_bytes()),
        }
    }

    /// Whether the elements of a cohort are brought together: for what has no partials, and where those are larger. The
    /// task that ends a cohort holds all of either.
    fn is_together(
        &self,
        axes: &[usize],
        groups: &Numbered<'_>,
        reduction: &Reduction,
        found: &Components,
    ) -> bool {
        reduction.partial_item_bytes().is_none_or(|item_bytes| {
            let moved = self.cohort_bytes(axes, groups, item_bytes, found);
            moved.elements < moved.partials
        })
    }

    /// This array with the reduced axes in one chunk and others cut, where each block has elements of few of many groups:
    /// the partials of a tree have all of them.
    pub(crate) fn with_axes_together(
        &self,
        axes: &[usize],
        groups: &Numbered<'_>,
        reduction: &Reduction,
    ) -> Option<Array> {
        let partial_bytes = reduction.partial_item_bytes()?;
        let count = |axis: &usize| self.chunks().axes()[*axis].count();
        let blocks = axes.iter().map(count).fold(1, u64::saturating_mul);
        let (columns, lines) = self.across(axes);
        let bytes = |rows: u64, item_bytes: u64| rows.saturating_mul(columns).saturating_mul(item_bytes);
        let partials = bytes(blocks.saturating_mul(groups.count), partial_bytes);
        let elements = bytes(groups.codes.len() as u64, self.dtype().size_bytes());
        if blocks == 1 || partials / TOGETHER_GAIN_MIN <= elements {
            return None;
        }
        let whole = self.with_whole_axes(axes);
        let pieces = whole.across(axes).1.max(lines).saturating_mul(blocks);
        let moved = elements.saturating_add(pieces.saturating_mul(TASK_BYTES));
        (partials / TOGETHER_GAIN_MIN > moved).then_some(whole)
    }

    /// The elements of each cohort in one block along the axis, in their order.
    fn brought_together(
        &self,
        axes: &[usize],
        groups: &Numbered<'_>,
        found: &Components,
    ) -> Result<Laid, ArrayError> {
        let blocks = &self.chunks().axes()[axes[0]];
        let of_cohort = |cohort: u64| {
            let own = (0..blocks.count()).filter(|&block| found.of_block[block as usize] == cohort);
            own.flat_map(|block| blocks.extent(block)).collect()
        };
        let positions: Vec<Vec<u64>> = (0..found.groups.len() as u64).map(of_cohort).collect();
        self.taken_by_cohort(axes, groups, &found.groups, &positions)
    }

    /// The elements at the positions of each cohort in one block along the axis.
    pub(crate) fn taken_by_cohort(
        &self,
        axes: &[usize],
        groups: &Numbered<'_>,
        of_cohort: &[Vec<usize>],
        positions: &[Vec<u64>],
    ) -> Result<Laid, ArrayError> {
        let axis = axes[0];
        let lengths: Vec<u64> = positions.iter().map(|own| own.len() as u64).collect();
        let row = groups.codes.len() / usize::try_from(self.shape()[axis].max(1)).unwrap_or(usize::MAX);
        let positions = positions.concat();
        let codes = positions
            .iter()
            .flat_map(|&at| &groups.codes[at as usize * row..][..row]);
        let codes: Vec<i32> = codes.copied().collect();
        let positions: Vec<i64> = positions.iter().map(|&at| at as i64).collect();
        let grid = with_axis(self.chunks(), axis, from_lengths(&lengths))?;
        let x = self
            .take(&positions, axis as i64)?
            .with_grid(&grid_of(grid.axes().to_vec()));
        let cohorts = Components {
            of_block: (0..of_cohort.len() as u64).collect(),
            groups: of_cohort.to_vec(),
        };
        Ok(cohorts.laid(&x, axes, &Numbered::new(&codes, groups.count)))
    }
}

/// Whether results are positions: these count along the whole axis, which a part of its blocks does not tell.
pub(crate) fn is_positional(reduction: &Reduction) -> bool {
    matches!(reduction.kind, ReduceKind::ArgMin | ReduceKind::ArgMax)
}

/// Bytes of all partials of cohorts, and of the elements that they are made of.
struct CohortBytes {
    partials: u64,
    elements: u64,
}

/// Which groups share blocks.
struct Components {
    /// The groups of each, rising; in the order of the first blocks.
    groups: Vec<Vec<usize>>,
    /// Of each block the component.
    of_block: Vec<u64>,
}

impl Components {
    fn blocks_of(&self, component: usize) -> usize {
        self.of_block
            .iter()
            .filter(|&&other| other == component as u64)
            .count()
    }

    fn laid(&self, x: &Array, axes: &[usize], groups: &Numbered<'_>) -> Laid {
        debug_assert_eq!(self.of_block.len() as u64, x.chunks().axes()[axes[0]].count());
        let mut places = vec![0; groups.count as usize];
        let mut within = vec![0; groups.count as usize];
        let mut place = 0;
        for component in &self.groups {
            for (&group, number) in component.iter().zip(0..) {
                (places[group], within[group]) = (place, number);
                place += 1;
            }
        }
        let number = |&code: &i32| usize::try_from(code).map_or(-1, |code| within[code]);
        let lengths: Vec<u64> = self.groups.iter().map(|groups| groups.len() as u64).collect();
        Laid {
            x: x.clone(),
            cohorts: Cohorts {
                codes: groups.codes.iter().map(number).collect(),
                groups: from_lengths(&lengths),
                of_block: self.of_block.clone().into(),
            },
            places,
            is_blockwise: false,
        }
    }
}

/// Puts groups together that have elements in the same block. Groups without elements go with those before them, and
/// blocks without labels with the blocks before them.
fn components(blocks: &AxisChunks, groups: &Numbered<'_>) -> Components {
    let count = usize::try_from(groups.count).unwrap_or(usize::MAX);
    let mut sets = Sets((0..count).collect());
    let mut occurs = vec![false; count];
    let row = groups.codes.len() / usize::try_from(blocks.len().max(1)).unwrap_or(usize::MAX);
    let mut known: Vec<Option<usize>> = Vec::new();
    for block in 0..blocks.count() {
        let extent = blocks.extent(block);
        let codes = &groups.codes[extent.start as usize * row..extent.end as usize * row];
        let mut one = None;
        for code in codes.iter().filter_map(|&code| usize::try_from(code).ok()) {
            occurs[code] = true;
            sets.join(*one.get_or_insert(code), code);
        }
        known.push(one);
    }
    let some = occurs.iter().position(|&occurs| occurs).unwrap_or(0);
    let mut before = some;
    for (group, &occurs) in occurs.iter().enumerate() {
        if occurs {
            before = group;
        } else {
            sets.join(before, group);
        }
    }
    let mut number = vec![None; count];
    let mut last = known.iter().flatten().next().copied().unwrap_or(some);
    let (mut of_block, mut found) = (Vec::with_capacity(known.len()), 0);
    for known in known {
        last = known.unwrap_or(last);
        let component = *number[sets.root(last)].get_or_insert(found);
        found = found.max(component + 1);
        of_block.push(component as u64);
    }
    let mut lists = vec![Vec::new(); found];
    for group in 0..count {
        let component: usize = number[sets.root(group)].expect("its block has one");
        lists[component].push(group);
    }
    Components {
        of_block,
        groups: lists,
    }
}

/// Disjoint sets, each named by its lowest member.
struct Sets(Vec<usize>);

impl Sets {
    fn root(&mut self, mut member: usize) -> usize {
        while self.0[member] != member {
            self.0[member] = self.0[self.0[member]];
            member = self.0[member];
        }
        member
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_share_blocks_are_one_cohort() {
        let blocks = AxisChunks::regular(8, 2).expect("it fits");
        let found = components(&blocks, &Numbered::new(&[3, -1, 0, 1, -1, -1, 1, 4], 5));
        assert_eq!(found.groups, [vec![3], vec![0, 1, 2, 4]]);
        assert_eq!(found.of_block, [0, 1, 1, 1]);
    }
}
