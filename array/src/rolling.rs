//! Moving windows, and reductions over them.

use graticule_ops::{ReduceKind, Scalar};
use graticule_plan::DType;

use crate::{
    Array, ArrayError, Axes, Over, Pad,
    chunking::{AUTO_CHUNK_BYTES, shrink},
    infer::{axis_index, from_lengths, grid_of, slice_axis},
    where_,
};

/// A window that moves along an axis.
///
/// ```
/// use graticule_array::Rolling;
///
/// let week = Rolling::new(7).centered().min_periods(4);
/// assert_ne!(week, Rolling::new(7));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rolling {
    /// Elements of a window.
    pub window: u64,
    /// Elements that are not NaN that a window needs to have a value; all, if there is no number.
    pub min_periods: Option<u64>,
    /// Whether a window lies around its element, rather than ending there.
    pub is_centered: bool,
}

impl Rolling {
    /// Windows of so many elements, each ending at its element and complete.
    pub fn new(window: u64) -> Self {
        Self {
            window,
            min_periods: None,
            is_centered: false,
        }
    }

    /// Takes windows with so many elements that are there and not NaN.
    #[must_use]
    pub fn min_periods(self, min_periods: u64) -> Self {
        Self {
            min_periods: Some(min_periods),
            ..self
        }
    }

    /// Puts each window around its element: half of the others before it, one more if their number is odd.
    #[must_use]
    pub fn centered(self) -> Self {
        Self {
            is_centered: true,
            ..self
        }
    }
}

impl Array {
    /// Windows of so many neighbours along axes, each along a new last axis: NumPy's function.
    ///
    /// The windows are made chunk by chunk, in chunks of at most [`AUTO_CHUNK_BYTES`](crate::AUTO_CHUNK_BYTES) where cutting
    /// allows. To reduce them there is [`Array::rolling`], which never has them in memory.
    ///
    /// # Errors
    /// [`ArrayError::Window`], [`ArrayError::WindowCount`], [`ArrayError::AxisOutOfRange`], [`ArrayError::Plan`] above the
    /// largest number of axes.
    pub fn sliding_window_view(&self, windows: &[u64], axes: impl Into<Axes>) -> Result<Array, ArrayError> {
        let axes = axes.into().in_order(self.ndim())?;
        if axes.len() != windows.len() {
            return Err(ArrayError::WindowCount {
                windows: windows.len(),
                axes: axes.len(),
            });
        }
        let mut view = self.clone();
        for (axis, &window) in axes.into_iter().zip(windows) {
            view = view.windows_along(axis, window)?;
        }
        Ok(view)
    }

    fn windows_along(&self, axis: usize, window: u64) -> Result<Array, ArrayError> {
        let len = self.shape()[axis];
        if window == 0 || window > len {
            return Err(ArrayError::Window { axis, window, len });
        }
        let kept = graticule_ops::AxisSelection {
            start: 0,
            step: 1,
            len: len - window + 1,
        };
        let mut cuts = self.chunks().axes().to_vec();
        cuts[axis] = slice_axis(&cuts[axis], kept);
        // Each element stands in the result as often as a window is long.
        let (tile, free) = (&self.0.origin.tile, (0..self.ndim()).collect::<Vec<_>>());
        let item_bytes = self.dtype().size_bytes().saturating_mul(window);
        shrink(&mut cuts, &free, tile, item_bytes, AUTO_CHUNK_BYTES);
        let along = cuts[axis].clone();
        cuts[axis] = self.chunks().axes()[axis].clone();
        let windows = self.with_grid(&grid_of(cuts)).sliding(axis, window, &along)?;
        windows.moveaxis(axis as i64 + 1, -1)
    }

    /// Reduces windows that move along an axis; the result has this array's shape and chunks.
    ///
    /// Integers become float64, since windows without enough elements give NaN. NaN is left out of the others.
    ///
    /// From ten elements on the time does not depend on the window's length (medians apart). A sum is one of at most two
    /// parts of the window, which meet at a multiple of its length along the axis: the same bits in any chunks, with the
    /// error of a plain sum, but not to the bit the same for equal elements elsewhere.
    ///
    /// # Errors
    /// [`ArrayError::Window`], [`ArrayError::MinPeriods`], [`ArrayError::AxisOutOfRange`], [`ArrayError::NotRolling`] for
    /// another reduction than a count, a sum, a product, a mean, a variance, a median or an extreme.
    pub fn rolling(&self, kind: ReduceKind, axis: i64, rolling: &Rolling) -> Result<Array, ArrayError> {
        use ReduceKind::{Count, Max, Mean, Median, Min, Prod, Std, Sum, Var};
        let axis = axis_index(axis, self.ndim())?;
        let (window, len) = (rolling.window, self.shape()[axis]);
        if !matches!(
            kind,
            Count | Sum | Prod | Mean | Var { .. } | Std { .. } | Median | Min | Max
        ) {
            return Err(ArrayError::NotRolling {
                operation: kind.name(),
            });
        }
        if window == 0 {
            return Err(ArrayError::Window { axis, window, len });
        }
        let needed = rolling.min_periods.unwrap_or(window);
        if !(1..=window).contains(&needed) {
            return Err(ArrayError::MinPeriods {
                min_periods: needed,
                window,
            });
        }
        let before = if rolling.is_centered {
            window / 2
        } else {
            window - 1
        };
        let mut widths = vec![(0, 0); self.ndim()];
        widths[axis] = (before, window - 1 - before);
        self.check_number("rolling")?;
        let float = if self.dtype().is_inexact() {
            self.clone()
        } else {
            self.astype(DType::Float64)?
        };
        if self.size() == 0 {
            return Ok(float);
        }
        let nan = Scalar::from_float(f64::NAN, float.dtype()).expect("a float dtype");
        let padded = float.pad(&widths, &Pad::Constant(vec![(nan, nan)]))?;
        // Cut where the array is, with what was added in the outermost chunks.
        let mut lengths = self.chunks().axes()[axis].lengths();
        lengths[0] += before;
        *lengths.last_mut().expect("an axis has a chunk") += window - 1 - before;
        let mut cuts = self.chunks().axes().to_vec();
        cuts[axis] = from_lengths(&lengths);
        let padded = padded.with_grid(&grid_of(cuts));
        let windows = padded.sliding(axis, window, &self.chunks().axes()[axis])?;
        let over = Over::axis(axis as i64 + 1);
        if needed == window && kind != Count {
            // Whatever is missing is NaN, and makes the result NaN.
            return Ok(windows.reduce(kind, &over)?.with_grid(self.chunks()));
        }
        let over = over.skipna();
        let made = windows.reduce(kind, &over)?;
        let is_enough = windows.count(&over)?.greater_equal(needed as i64)?;
        Ok(where_(is_enough, made, f64::NAN)?.with_grid(self.chunks()))
    }
}
