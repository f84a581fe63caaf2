use std::ops::Range;

use graticule_ops::BlockAxis;
use graticule_plan::ChunkGrid;

/// The shape that two shapes broadcast to, or `None` if they do not.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let ndim = a.len().max(b.len());
    let len = |shape: &[usize], axis: usize| {
        (axis + shape.len())
            .checked_sub(ndim)
            .map_or(1, |axis| shape[axis])
    };
    let axis = |axis| match (len(a, axis), len(b, axis)) {
        (x, y) if x == y => Some(x),
        (1, y) => Some(y),
        (x, 1) => Some(x),
        _ => None,
    };
    (0..ndim).map(axis).collect()
}

/// The elements of each axis for the block at `index`; a sentence if an axis is not valid or not cut that way.
pub(crate) fn extents(axes: &[BlockAxis], index: &[u64]) -> Result<Vec<Range<u64>>, String> {
    axes.iter().map(|axis| extent(axis, index)).collect()
}

/// The elements of one axis for the block at `index`.
pub(crate) fn extent(axis: &BlockAxis, index: &[u64]) -> Result<Range<u64>, String> {
    if let BlockAxis::Cut { out_axis, chunks } = axis {
        // Programs come from outside, so their cuts may be such as no grid accepts.
        ChunkGrid::new(vec![chunks.clone()]).map_err(|e| e.to_string())?;
        let block = index.get(*out_axis);
        let block =
            block.ok_or_else(|| format!("axis {out_axis} of a block index of {} axes", index.len()))?;
        if *block >= chunks.count() {
            return Err(format!("block {block} of an axis of {} blocks", chunks.count()));
        }
    }
    Ok(axis.extent(index))
}

/// The shape of extents.
pub(crate) fn shape_of(extents: &[Range<u64>]) -> Result<Vec<usize>, String> {
    let len =
        |r: &Range<u64>| usize::try_from(r.end - r.start).map_err(|_| format!("extent {r:?} is too long"));
    extents.iter().map(len).collect()
}
