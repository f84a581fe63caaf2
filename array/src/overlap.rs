//! Chunks that share elements with their neighbours.

use graticule_ops::Scalar;
use graticule_plan::{AxisChunks, ChunkGrid};

use crate::{
    Array, ArrayError, Pad,
    expression::{Intervals, Op},
    infer::{from_lengths, grid_of, with_axis},
};

/// What lies beyond the ends of an axis whose chunks overlap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Boundary {
    /// Nothing: the outermost chunks have no neighbour there.
    None,
    /// The elements of the other end.
    Periodic,
    /// The elements mirrored, the outermost one repeated.
    Reflect,
    /// The outermost element.
    Nearest,
    /// A number.
    Constant(Scalar),
}

impl Boundary {
    fn pad(self) -> Option<Pad> {
        match self {
            Boundary::None => None,
            Boundary::Periodic => Some(Pad::Wrap),
            Boundary::Reflect => Some(Pad::Symmetric(false)),
            Boundary::Nearest => Some(Pad::Edge),
            Boundary::Constant(value) => Some(Pad::Constant(vec![(value, value)])),
        }
    }
}

impl Array {
    /// Gives each chunk the elements around it: `depth` of them before and after it along each axis.
    ///
    /// The result's chunks are those of this array, each longer by what it shares; elements stand there as often as chunks
    /// have them. A depth may reach over several chunks. Where there is no boundary and an outermost chunk is shorter than
    /// the depth, it is joined with its neighbours, as Dask does, so that [`Array::trim_overlap`] takes away as much
    /// everywhere.
    ///
    /// # Errors
    /// [`ArrayError::OverlapCount`], [`ArrayError::PadEmpty`] for a boundary made of the elements of an empty axis,
    /// [`ArrayError::Plan`] if the result is too large to count.
    pub fn overlap(&self, depth: &[(u64, u64)], boundary: &[Boundary]) -> Result<Array, ArrayError> {
        self.check_overlap(depth, boundary)?;
        let mut x = self.clone();
        for (axis, (&(before, after), boundary)) in depth.iter().zip(boundary).enumerate() {
            if *boundary == Boundary::None {
                let cuts = long_ends(&x.chunks().axes()[axis], before, after);
                x = x.with_grid(&with_axis(x.chunks(), axis, cuts)?);
            }
        }
        let cuts = x.chunks().axes().to_vec();
        let mut intervals = Vec::with_capacity(cuts.len());
        for (axis, (&(before, after), boundary)) in depth.iter().zip(boundary).enumerate() {
            if (before, after) == (0, 0) {
                intervals.push(None);
                continue;
            }
            let chunks = &cuts[axis];
            let extents = (0..chunks.count()).map(|block| chunks.extent(block));
            let along: Intervals = match boundary.pad() {
                Some(mode) => {
                    let mut widths = vec![(0, 0); cuts.len()];
                    widths[axis] = (before, after);
                    x = x.pad(&widths, &mode)?;
                    extents
                        .map(|extent| (extent.start, extent.end + before + after))
                        .collect()
                }
                None => extents
                    .map(|extent| {
                        let end = extent.end.saturating_add(after).min(chunks.len());
                        (extent.start.saturating_sub(before), end)
                    })
                    .collect(),
            };
            intervals.push(Some(along));
        }
        x.windows(intervals)
    }

    /// Takes away what [`Array::overlap`] added, of an array with its chunks: by the same depth and boundary.
    ///
    /// # Errors
    /// [`ArrayError::OverlapCount`], [`ArrayError::OverlapTooDeep`] if a chunk has nothing else.
    pub fn trim_overlap(&self, depth: &[(u64, u64)], boundary: &[Boundary]) -> Result<Array, ArrayError> {
        self.check_overlap(depth, boundary)?;
        let mut intervals = Vec::with_capacity(depth.len());
        for (axis, (&(before, after), boundary)) in depth.iter().zip(boundary).enumerate() {
            if (before, after) == (0, 0) {
                intervals.push(None);
                continue;
            }
            let chunks = &self.chunks().axes()[axis];
            let has_ends = *boundary != Boundary::None;
            let kept = |block: u64| {
                let extent = chunks.extent(block);
                let low = if block > 0 || has_ends { before } else { 0 };
                let high = if block + 1 < chunks.count() || has_ends {
                    after
                } else {
                    0
                };
                let (depth, len) = (low.saturating_add(high), extent.end - extent.start);
                if depth >= len && len > 0 {
                    return Err(ArrayError::OverlapTooDeep {
                        axis,
                        block,
                        len,
                        depth,
                    });
                }
                Ok((extent.start + low, (extent.end - high).max(extent.start + low)))
            };
            let along: Vec<(u64, u64)> = (0..chunks.count()).map(kept).collect::<Result<_, _>>()?;
            intervals.push(Some(along.into()));
        }
        self.windows(intervals)
    }

    fn check_overlap(&self, depth: &[(u64, u64)], boundary: &[Boundary]) -> Result<(), ArrayError> {
        let ndim = self.ndim();
        if depth.len() == ndim && boundary.len() == ndim {
            return Ok(());
        }
        Err(ArrayError::OverlapCount {
            depths: depth.len(),
            boundaries: boundary.len(),
            ndim,
        })
    }

    /// Blocks made of intervals of elements along the axes that have them.
    pub(crate) fn windows(&self, intervals: Vec<Option<Intervals>>) -> Result<Array, ArrayError> {
        if intervals.iter().all(Option::is_none) {
            return Ok(self.clone());
        }
        let own = self.chunks().axes().iter().zip(&intervals);
        let axes = own.map(|(chunks, intervals)| match intervals {
            Some(intervals) => {
                let lengths: Vec<u64> = intervals.iter().map(|(start, end)| end - start).collect();
                Ok(AxisChunks::from_lengths(&lengths)?)
            }
            None => Ok(chunks.clone()),
        });
        let grid = ChunkGrid::new(axes.collect::<Result<_, ArrayError>>()?)?;
        Ok(Array::new(
            Op::Windows(intervals),
            vec![self.clone()],
            self.dtype(),
            grid,
        ))
    }

    /// Windows of so many neighbours along `axis`, along a new axis behind it; the axis is then cut as `cuts` says.
    ///
    /// The window fits the axis, and `cuts` are of the length that remains.
    pub(crate) fn sliding(&self, axis: usize, window: u64, cuts: &AxisChunks) -> Result<Array, ArrayError> {
        let wide = if cuts.count() == 1 {
            let whole = AxisChunks::whole(self.shape()[axis]);
            self.with_grid(&with_axis(self.chunks(), axis, whole)?)
        } else {
            let mut intervals = vec![None; self.ndim()];
            let wide = |block: u64| {
                let extent = cuts.extent(block);
                (extent.start, extent.end + window - 1)
            };
            intervals[axis] = Some((0..cuts.count()).map(wide).collect());
            self.windows(intervals)?
        };
        let mut axes = wide.chunks().axes().to_vec();
        axes[axis] = cuts.clone();
        axes.insert(axis + 1, AxisChunks::whole(window));
        let op = Op::Sliding {
            axis,
            len: window,
            start: 0,
        };
        Ok(Array::new(op, vec![wide], self.dtype(), ChunkGrid::new(axes)?))
    }
}

/// The same axis with first and last chunks of at least so many elements, if it has them.
fn long_ends(chunks: &AxisChunks, first: u64, last: u64) -> AxisChunks {
    let count = chunks.count();
    if count == 1 || (chunks.extent(0).end >= first && chunks.len() - chunks.extent(count - 1).start >= last)
    {
        return chunks.clone();
    }
    let mut lengths = chunks.lengths();
    while lengths.len() > 1 && lengths[0] < first {
        let next = lengths.remove(0);
        lengths[0] += next;
    }
    while let [.., before, end] = &mut lengths[..]
        && *end < last
    {
        *before += *end;
        lengths.pop();
    }
    grid_of(vec![from_lengths(&lengths)]).axes()[0].clone()
}
