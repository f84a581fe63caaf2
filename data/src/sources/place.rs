//! Which elements of a source a read wants, and where they go.

use std::ops::Range;

use graticule_ops::{AxisSelection, Read};

use super::ReadCause;

/// The elements of one axis of a source that a block wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AxisPart {
    /// Source element of the first.
    pub(crate) start: u64,
    /// From one to the next.
    pub(crate) step: i64,
    /// How many.
    pub(crate) len: usize,
}

impl AxisPart {
    /// The source element of the block's element `k`.
    pub(crate) fn element(&self, k: usize) -> u64 {
        // Checked when the part was made: every element lies within the axis.
        (self.start as i64 + self.step * k as i64) as u64
    }

    /// From the lowest element to behind the highest.
    pub(crate) fn span(&self) -> Range<u64> {
        match self.len {
            0 => 0..0,
            len => {
                let (a, b) = (self.start, self.element(len - 1));
                a.min(b)..a.max(b) + 1
            }
        }
    }

    /// The block's elements that lie in a range of the source, as a range of the block's own.
    pub(crate) fn within(&self, range: &Range<u64>) -> Range<usize> {
        if self.len == 0 || range.is_empty() {
            return 0..0;
        }
        let step = i128::from(self.step.unsigned_abs());
        let at = |target: u64| {
            // How many of the elements lie before `target` when they are walked upward.
            let lowest = i128::from(self.span().start);
            let before = (i128::from(target) - lowest + step - 1).div_euclid(step);
            before.clamp(0, self.len as i128) as usize
        };
        let (low, high) = (at(range.start), at(range.end));
        if self.step > 0 {
            low..high
        } else {
            self.len - high..self.len - low
        }
    }
}

/// The box of a source's elements that a block wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selected {
    pub(crate) axes: Vec<AxisPart>,
    /// The extents it was made for, counted within the read's selection.
    pub(crate) extents: Vec<Range<u64>>,
}

impl Selected {
    /// The elements of `extents` within the read's selection of a source of `shape`.
    pub(crate) fn new(read: &Read, extents: &[Range<u64>], shape: &[u64]) -> Result<Self, ReadCause> {
        if read.selection.len() != shape.len() || extents.len() != shape.len() {
            return Err(ReadCause::Description(format!(
                "{} selections and {} extents for a source of {} axes",
                read.selection.len(),
                extents.len(),
                shape.len()
            )));
        }
        let axes = read.selection.iter().zip(extents).zip(shape);
        let axes = axes.map(|((selection, extent), &len)| axis_part(selection, extent, len));
        Ok(Self {
            axes: axes.collect::<Result<_, _>>()?,
            extents: extents.to_vec(),
        })
    }

    /// The shape of what comes out.
    pub(crate) fn shape(&self) -> Vec<usize> {
        self.axes.iter().map(|axis| axis.len).collect()
    }
}

fn axis_part(selection: &AxisSelection, extent: &Range<u64>, len: u64) -> Result<AxisPart, ReadCause> {
    let misfit = || {
        ReadCause::Description(format!(
            "extent {extent:?} of selection {selection:?} of an axis of {len} elements"
        ))
    };
    if extent.start > extent.end || extent.end > selection.len || selection.step == 0 || len > i64::MAX as u64
    {
        return Err(misfit());
    }
    let count = usize::try_from(extent.end - extent.start).map_err(|_| misfit())?;
    if count == 0 {
        return Ok(AxisPart {
            start: 0,
            step: 1,
            len: 0,
        });
    }
    let element = |k: u64| i128::from(selection.start) + i128::from(selection.step) * i128::from(k);
    let (first, last) = (element(extent.start), element(extent.end - 1));
    if first.min(last) < 0 || first.max(last) >= i128::from(len) {
        return Err(misfit());
    }
    // The step of a single element does not matter, and may be too large to count with.
    let step = if count == 1 { 1 } else { selection.step };
    Ok(AxisPart {
        start: first as u64,
        step,
        len: count,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn selections_that_leave_the_axis_are_refused() {
        let selection = AxisSelection {
            start: 5,
            step: -2,
            len: 4,
        };
        assert!(axis_part(&selection, &(0..3), 10).is_ok());
        assert!(axis_part(&selection, &(0..4), 10).is_err());
        assert!(
            axis_part(
                &AxisSelection {
                    start: 0,
                    step: 0,
                    len: 4
                },
                &(0..2),
                10
            )
            .is_err()
        );
        assert!(axis_part(&AxisSelection::whole(4), &(0..5), 10).is_err());
    }

    proptest! {
        #[test]
        fn within_names_exactly_the_elements_in_range(
            start in 0u64..50, step in prop::sample::select(vec![-7i64, -2, -1, 1, 3, 5]), len in 0usize..8,
            low in 0u64..100, size in 0u64..40,
        ) {
            let part = AxisPart { start: start + 50, step, len };
            let range = low..low + size;
            let found = part.within(&range);
            for k in 0..len {
                prop_assert_eq!(found.contains(&k), range.contains(&part.element(k)), "{} of {:?}", k, part);
            }
        }
    }
}
