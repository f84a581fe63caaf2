//! Axes, shapes and chunks of results.

use graticule_ops::AxisSelection;
use graticule_plan::{AxisChunks, ChunkGrid};

use crate::{Array, ArrayError, expression::Op};

/// The most cuts that a slice across the source's cuts keeps; beyond it the slice is cut regularly, so that a plan's
/// size does not follow the number of chunks.
const CUTS_MAX: u64 = 512;

/// The axis that `axis` means, counted from the end where it is negative.
pub(crate) fn axis_index(axis: i64, ndim: usize) -> Result<usize, ArrayError> {
    let count = i64::try_from(ndim).expect("few axes");
    let index = if axis < 0 { axis + count } else { axis };
    if (0..count).contains(&index) {
        Ok(index as usize)
    } else {
        Err(ArrayError::AxisOutOfRange { axis, ndim })
    }
}

/// As [`axis_index`] for several axes, rising; the same one twice is an error.
pub(crate) fn axis_indices(axes: &[i64], ndim: usize) -> Result<Vec<usize>, ArrayError> {
    let mut indices = axes
        .iter()
        .map(|&a| axis_index(a, ndim))
        .collect::<Result<Vec<_>, _>>()?;
    indices.sort_unstable();
    match indices.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(ArrayError::RepeatedAxis { axis: pair[0] }),
        None => Ok(indices),
    }
}

/// The shape that all `shapes` broadcast to.
pub(crate) fn broadcast_shape(shapes: &[Vec<u64>]) -> Result<Vec<u64>, ArrayError> {
    let ndim = shapes.iter().map(Vec::len).max().unwrap_or(0);
    let mut out = vec![1; ndim];
    for shape in shapes {
        for (place, &len) in out[ndim - shape.len()..].iter_mut().zip(shape) {
            match (*place, len) {
                (have, len) if have == len || len == 1 => {}
                (1, len) => *place = len,
                _ => {
                    return Err(ArrayError::Broadcast {
                        shapes: shapes.to_vec(),
                    });
                }
            }
        }
    }
    Ok(out)
}

/// Brings operands that broadcast to common chunks and returns them with the result's grid.
///
/// Those chunks win for which the fewest bytes are cut anew; of several such, those of the operand with the most bytes, whose
/// chunks somebody chose with memory in mind.
pub(crate) fn unify(operands: Vec<Array>) -> Result<(Vec<Array>, ChunkGrid), ArrayError> {
    let shapes: Vec<_> = operands.iter().map(Array::shape).collect();
    let shape = broadcast_shape(&shapes)?;
    let mut by_size: Vec<&Array> = operands.iter().collect();
    by_size.sort_by_key(|x| {
        (
            std::cmp::Reverse(x.nbytes()),
            // Elements looked up by a list can be looked up in any chunks.
            matches!(x.0.op, Op::Take { .. }),
            std::cmp::Reverse(x.chunks().block_count()),
        )
    });
    let mut best: Option<(u64, ChunkGrid)> = None;
    for first in 0..by_size.len() {
        let mut order = by_size.clone();
        order[..=first].rotate_right(1);
        let grid = cuts_of(&order, &shape)?;
        let moved = |x: &&Array| operand_grid(x.chunks(), &grid) != *x.chunks();
        let bytes = operands.iter().filter(moved).map(Array::nbytes).sum();
        if best.as_ref().is_none_or(|(least, _)| bytes < *least) {
            best = Some((bytes, grid));
        }
    }
    let (_, grid) = best.expect("there are operands");
    let operands = operands
        .iter()
        .map(|x| x.with_grid(&operand_grid(x.chunks(), &grid)));
    Ok((operands.collect(), grid))
}

/// The chunks of a shape to which operands broadcast: along each axis those of the first that spans it.
fn cuts_of(operands: &[&Array], shape: &[u64]) -> Result<ChunkGrid, ArrayError> {
    let cuts = |(axis, &len): (usize, &u64)| {
        let mut spanning = operands.iter().filter_map(|x| {
            let own = (axis + x.ndim()).checked_sub(shape.len())?;
            x.chunks().axes().get(own).filter(|chunks| chunks.len() == len)
        });
        spanning
            .next()
            .expect("some operand has the broadcast length")
            .clone()
    };
    Ok(ChunkGrid::new(shape.iter().enumerate().map(cuts).collect())?)
}

/// The chunks that an operand with the shape of `own` must have to broadcast blockwise to `result`.
pub(crate) fn operand_grid(own: &ChunkGrid, result: &ChunkGrid) -> ChunkGrid {
    let lead = result.ndim() - own.ndim();
    let axes = own.axes().iter().zip(&result.axes()[lead..]);
    let axes = axes.map(|(own, result)| {
        if own.len() == result.len() {
            result.clone()
        } else {
            own.clone()
        }
    });
    grid_of(axes.collect())
}

/// A grid of axes that another valid grid bounds.
pub(crate) fn grid_of(axes: Vec<AxisChunks>) -> ChunkGrid {
    ChunkGrid::new(axes).expect("no more axes, blocks or elements than the grid it is made from")
}

/// `grid` with another cut along one axis.
pub(crate) fn with_axis(grid: &ChunkGrid, axis: usize, chunks: AxisChunks) -> Result<ChunkGrid, ArrayError> {
    let mut axes = grid.axes().to_vec();
    axes[axis] = chunks;
    Ok(ChunkGrid::new(axes)?)
}

/// The same cuts without empty chunks, regular ones recognised.
pub(crate) fn tidy(chunks: &AxisChunks) -> AxisChunks {
    match chunks {
        AxisChunks::Regular { len, chunk } if chunk < len => chunks.clone(),
        AxisChunks::Regular { len, .. } => AxisChunks::whole(*len),
        AxisChunks::Irregular { offsets } => {
            let lengths = offsets
                .windows(2)
                .map(|pair| pair[1] - pair[0])
                .filter(|len| *len > 0);
            from_lengths(&lengths.collect::<Vec<_>>())
        }
    }
}

/// As [`tidy`] for a whole grid.
pub(crate) fn tidy_grid(grid: &ChunkGrid) -> ChunkGrid {
    grid_of(grid.axes().iter().map(tidy).collect())
}

/// Cuts of the given lengths, which are known to add up to an axis.
pub(crate) fn from_lengths(lengths: &[u64]) -> AxisChunks {
    AxisChunks::from_lengths(lengths).expect("lengths of parts of an axis do not overflow")
}

/// How a selection of an axis is cut: at the images of the axis' own cuts, if they are few or regular.
pub(crate) fn slice_axis(chunks: &AxisChunks, selection: AxisSelection) -> AxisChunks {
    let AxisSelection { start, step, len } = selection;
    let size = step.unsigned_abs();
    if len == 0 || chunks.count() == 1 {
        return AxisChunks::whole(len);
    }
    if let AxisChunks::Regular { chunk, .. } = chunks {
        // The first chunk is cut off where the selection begins within it.
        let first = if step > 0 {
            chunk - start % chunk
        } else {
            start % chunk + 1
        };
        if chunk % size == 0 && first == *chunk {
            return tidy(&AxisChunks::Regular {
                len,
                chunk: chunk / size,
            });
        }
        if (len - 1).saturating_mul(size) / chunk >= CUTS_MAX && len > CUTS_MAX {
            return AxisChunks::Regular {
                len,
                chunk: (chunk / size).max(1),
            };
        }
    }
    let mut lengths = Vec::new();
    let mut k = 0;
    while k < len {
        let element = selection.element(k);
        let extent = chunks.extent(chunks.block_of(element));
        // Elements of the block from here on, in the direction of the step.
        let left = if step > 0 {
            extent.end - element
        } else {
            element - extent.start + 1
        };
        let taken = left.div_ceil(size).min(len - k);
        lengths.push(taken);
        k += taken;
    }
    from_lengths(&lengths)
}

/// As [`slice_axis`], but where there are empty blocks between those that a run of elements lies in, they stay.
pub(crate) fn part_axis(chunks: &AxisChunks, selection: AxisSelection) -> AxisChunks {
    let AxisSelection { start, step, len } = selection;
    if step != 1 || len == 0 || !chunks.has_empty_block() {
        return slice_axis(chunks, selection);
    }
    let (first, last) = (chunks.block_of(start), chunks.block_of(start + len - 1));
    let parts = (first..=last).map(|block| {
        let extent = chunks.extent(block);
        extent.end.min(start + len) - extent.start.max(start)
    });
    from_lengths(&parts.collect::<Vec<_>>())
}

/// A selection of each axis.
pub(crate) fn slice_grid(grid: &ChunkGrid, selection: &[AxisSelection]) -> ChunkGrid {
    grid_of(
        grid.axes()
            .iter()
            .zip(selection)
            .map(|(chunks, s)| slice_axis(chunks, *s))
            .collect(),
    )
}

/// Cuts of arrays one after another.
pub(crate) fn concatenate_axis(parts: &[&AxisChunks]) -> Result<AxisChunks, ArrayError> {
    let full: Vec<&&AxisChunks> = parts.iter().filter(|part| !part.is_empty()).collect();
    let Some(first) = full.first() else {
        return Ok(AxisChunks::whole(0));
    };
    let chunk = first.chunk_max();
    let len = full
        .iter()
        .try_fold(0u64, |sum, part| sum.checked_add(part.len()));
    let len = len.ok_or(graticule_plan::PlanError::TooLarge {
        what: "axis length",
        got: u64::MAX,
        limit: i64::MAX as u64,
    })?;
    let (last, before) = full.split_last().expect("there is a first");
    let is_regular = |part: &AxisChunks| matches!(part, AxisChunks::Regular { chunk: c, .. } if *c == chunk);
    let fills = before
        .iter()
        .all(|part| is_regular(part) && part.len() % chunk == 0);
    let ends = is_regular(last) || (last.count() == 1 && last.len() <= chunk);
    let count: u64 = full.iter().map(|part| part.count()).sum();
    if (fills && ends) || count > CUTS_MAX.max(4 * parts.len() as u64) {
        return Ok(tidy(&AxisChunks::Regular { len, chunk }));
    }
    Ok(from_lengths(
        &full.iter().flat_map(|part| part.lengths()).collect::<Vec<_>>(),
    ))
}

/// Elements of the shortest chunk that lies between others, at least; those without elements apart.
pub(crate) fn shortest(chunks: &AxisChunks) -> u64 {
    match chunks {
        AxisChunks::Regular { chunk, .. } => *chunk,
        AxisChunks::Irregular { offsets } => offsets
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .filter(|len| *len > 0)
            .min()
            .unwrap_or(0),
    }
}

/// Whether two axes are cut at the same elements.
pub(crate) fn same_cuts(a: &AxisChunks, b: &AxisChunks) -> bool {
    match (a, b) {
        (AxisChunks::Regular { .. }, AxisChunks::Regular { .. }) => {
            a == b || (a.len() == b.len() && a.count() == 1 && b.count() == 1)
        }
        _ => a.same_cuts(b),
    }
}

#[cfg(test)]
mod tests {
    use graticule_plan::DType;

    use super::*;
    use crate::Chunks;

    #[test]
    fn the_chunks_win_for_which_the_fewest_bytes_move() {
        let of = |chunk: u64, dtype| Array::ones(&[24], &[Chunks::Size(chunk)], dtype).expect("it fits");
        let won = |operands: &[Array]| unify(operands.to_vec()).expect("they fit").1.axes()[0].chunk_max();
        let (large, small) = (of(4, DType::Float64), of(6, DType::Float32));
        assert_eq!(won(&[small.clone(), large.clone()]), 4);
        // Together they are as large as the large one, which wins, and with a third they are larger.
        assert_eq!(won(&[small.clone(), large.clone(), small.clone()]), 4);
        assert_eq!(won(&[small.clone(), large, small.clone(), small]), 6);
    }

    fn selection(start: u64, step: i64, len: u64) -> AxisSelection {
        AxisSelection { start, step, len }
    }

    #[test]
    fn slices_keep_the_cuts_they_cross() {
        let chunks = AxisChunks::regular(10, 4).unwrap();
        assert_eq!(slice_axis(&chunks, selection(2, 1, 8)).lengths(), [2, 4, 2]);
        assert_eq!(slice_axis(&chunks, selection(4, 2, 3)).lengths(), [2, 1]);
        assert_eq!(slice_axis(&chunks, selection(9, -1, 10)).lengths(), [2, 4, 4]);
        assert_eq!(slice_axis(&chunks, selection(9, -3, 4)).lengths(), [1, 1, 2]);
        assert_eq!(slice_axis(&chunks, selection(0, 9, 2)).lengths(), [1, 1]);
    }

    #[test]
    fn slices_of_very_many_chunks_stay_small() {
        let chunks = AxisChunks::regular(1_000_000_000, 10).unwrap();
        let cut = slice_axis(&chunks, selection(5, 1, 999_999_990));
        assert_eq!(
            cut,
            AxisChunks::Regular {
                len: 999_999_990,
                chunk: 10
            }
        );
        let reversed = slice_axis(&chunks, selection(999_999_999, -1, 1_000_000_000));
        assert_eq!(
            reversed,
            AxisChunks::Regular {
                len: 1_000_000_000,
                chunk: 10
            }
        );
    }

    #[test]
    fn regular_chunks_stay_regular_when_joined() {
        let (a, b) = (
            AxisChunks::regular(8, 4).unwrap(),
            AxisChunks::regular(6, 4).unwrap(),
        );
        assert_eq!(
            concatenate_axis(&[&a, &b]).unwrap(),
            AxisChunks::Regular { len: 14, chunk: 4 }
        );
        assert_eq!(concatenate_axis(&[&b, &a]).unwrap().lengths(), [4, 2, 4, 4]);
    }
}
