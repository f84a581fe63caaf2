//! Reductions by groups in bands of neighbouring groups, each of which brings its own elements together.
//!
//! A day of the year has few elements in each chunk of a long series, and the chunks of one year share their days with
//! those of all others. So a partial for all days is much larger than the chunk, and no two sets of days are apart. Brought
//! together along the whole axis, every task needs a piece of every chunk, and all of them lie somewhere until the last task
//! has run. A band needs the few chunks that have its days.

use graticule_ops::Reduction;

use crate::{
    Array, ArrayError,
    cohorts::{Laid, Numbered, is_positional},
    reduce::{PARALLEL_BLOCKS, WORKING_SET_BYTES},
};

/// The most bytes of elements that are brought together for a band of several groups: several tasks at a time have one each.
const BAND_BYTES: u64 = WORKING_SET_BYTES / 4;

/// Groups next to each other, and where their elements lie.
struct Bands {
    groups: Vec<Vec<usize>>,
    positions: Vec<Vec<u64>>,
}

impl Array {
    /// Finds bands where they are fewer pieces than whole axes in one chunk are; or where those would be few tasks and large
    /// ones, and bands are not many more pieces, as those of neighbours in time.
    pub(crate) fn in_cheaper_bands(
        &self,
        axes: &[usize],
        groups: &Numbered<'_>,
        reduction: &Reduction,
    ) -> Result<Option<Laid>, ArrayError> {
        let &[axis] = axes else { return Ok(None) };
        let lines = self.across(axes).1;
        let whole_lines = self.with_whole_axes(axes).across(axes).1;
        let needs_elements = reduction.partial_item_bytes().is_none();
        let are_few = needs_elements && whole_lines < PARALLEL_BLOCKS;
        // Whole axes of uncut lines need nothing of other tasks' chunks.
        if is_positional(reduction) || (whole_lines <= lines && !are_few) {
            return Ok(None);
        }
        let Some(bands) = bands(groups, self.row_bytes(axis), BAND_BYTES) else {
            return Ok(None);
        };
        let chunks = &self.chunks().axes()[axis];
        let touched = |positions: &Vec<u64>| {
            let mut blocks: Vec<u64> = positions.iter().map(|&at| chunks.block_of(at)).collect();
            blocks.dedup();
            blocks.len() as u64
        };
        // Pieces that are moved, and tasks, which cost about as much.
        let own = bands.positions.iter().map(|positions| touched(positions) + 1);
        let own = own.sum::<u64>().saturating_mul(lines);
        let whole = (chunks.count() + 1).saturating_mul(whole_lines);
        (own <= if are_few { 2 * whole } else { whole })
            .then(|| self.banded(axis, groups, &bands))
            .transpose()
    }

    /// Bands of about as many elements as a chunk has; `None` where that is all of them.
    pub(crate) fn in_bands(&self, axes: &[usize], groups: &Numbered<'_>) -> Result<Option<Laid>, ArrayError> {
        let &[axis] = axes else { return Ok(None) };
        let row_bytes = self.row_bytes(axis);
        let bytes = self.chunks().axes()[axis].chunk_max().saturating_mul(row_bytes);
        let bands = bands(groups, row_bytes, bytes.min(BAND_BYTES));
        bands.map(|bands| self.banded(axis, groups, &bands)).transpose()
    }

    /// The most bytes that the chunks have at one place of an axis.
    fn row_bytes(&self, axis: usize) -> u64 {
        let others = self.chunks().axes().iter().enumerate();
        let lengths = others
            .filter(|(other, _)| *other != axis)
            .map(|(_, chunks)| chunks.chunk_max());
        lengths.fold(self.dtype().size_bytes(), u64::saturating_mul)
    }

    fn banded(&self, axis: usize, groups: &Numbered<'_>, bands: &Bands) -> Result<Laid, ArrayError> {
        let mut laid = self.taken_by_cohort(&[axis], groups, &bands.groups, &bands.positions)?;
        // All groups of a line in one chunk might be more than a task can hold.
        laid.is_blockwise = true;
        Ok(laid)
    }
}

/// Neighbouring groups, as many as have up to `band_bytes` of elements together; `None` if one group alone is too large for
/// a task, or one band has all.
fn bands(groups: &Numbered<'_>, row_bytes: u64, band_bytes: u64) -> Option<Bands> {
    let mut of_group = vec![Vec::new(); usize::try_from(groups.count).ok()?];
    for (&code, at) in groups.codes.iter().zip(0u64..) {
        if let Ok(group) = usize::try_from(code) {
            of_group[group].push(at);
        }
    }
    let mut bands = Bands {
        groups: Vec::new(),
        positions: Vec::new(),
    };
    let (mut own, mut positions) = (Vec::new(), Vec::new());
    for (group, rows) in of_group.iter().enumerate() {
        let bytes = |rows: usize| (rows as u64).saturating_mul(row_bytes);
        if bytes(rows.len()) > WORKING_SET_BYTES {
            return None;
        }
        // A group without elements goes with those before it, so that no band is empty.
        if !rows.is_empty() && !positions.is_empty() && bytes(positions.len() + rows.len()) > band_bytes {
            bands.groups.push(std::mem::take(&mut own));
            bands.positions.push(std::mem::take(&mut positions));
        }
        own.push(group);
        positions.extend(rows);
    }
    if positions.is_empty() {
        return None;
    }
    bands.groups.push(own);
    bands.positions.push(positions);
    bands
        .positions
        .iter_mut()
        .for_each(|positions| positions.sort_unstable());
    (bands.groups.len() > 1).then_some(bands)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_are_neighbours_with_all_their_rows_and_none_is_empty() {
        let codes = [0, 1, 2, -1, 4, 0, 1, 2, 4, 4];
        let found = bands(&Numbered::new(&codes, 6), 1, 4).expect("they fit");
        assert_eq!(found.groups, [vec![0, 1], vec![2, 3], vec![4, 5]]);
        assert_eq!(found.positions, [vec![0, 1, 5, 6], vec![2, 7], vec![4, 8, 9]]);
    }

    #[test]
    fn one_band_and_groups_that_fit_no_task_are_none() {
        assert!(bands(&Numbered::new(&[0, 1, 1], 2), 1, 4).is_none());
        assert!(bands(&Numbered::new(&[-1, -1], 2), 1, 4).is_none());
        assert!(bands(&Numbered::new(&[0, 1], 2), WORKING_SET_BYTES + 1, 4).is_none());
    }
}
