//! Reductions over axes.

use graticule_ops::{ReduceKind, Reduction};
use graticule_plan::{AxisChunks, Kind};

use crate::{
    Array, ArrayError,
    chunking::shrink,
    expression::{Op, Reduce, Reducing},
    infer::{axis_indices, grid_of},
    times::mean_of_points,
};

/// The most bytes of decoded elements that a task should work on at once.
pub const WORKING_SET_BYTES: u64 = 256 << 20;
/// Partials of middling size that are combined at once, over all axes together, unless a reduction says otherwise.
pub const SPLIT_EVERY: u64 = 8;
/// As many of such as go along with messages.
const SMALL_SPLIT_EVERY: u64 = 32;
const SMALL_PARTIAL_BYTES: u64 = 2 << 10;
/// As many of large ones.
const LARGE_SPLIT_EVERY: u64 = 4;
const LARGE_PARTIAL_BYTES: u64 = 256 << 10;
/// The most bytes that a task reads of whole axes where a tree would do: beyond, memory costs more than partials.
const WHOLE_AXES_BYTES: u64 = WORKING_SET_BYTES / 4;
/// Blocks of the result from which on a reduction in one step keeps the slots busy.
pub(crate) const PARALLEL_BLOCKS: u64 = 4;

/// What a reduction goes over, and how.
///
/// ```
/// use graticule_array::Over;
///
/// let over_time = Over::axis(0).skipna();
/// let over_image = Over::axes([-2, -1]).keepdims();
/// assert_ne!(over_time, over_image);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Over {
    /// The axes; `None` for all.
    pub axes: Option<Vec<i64>>,
    /// Keep the reduced axes with length 1.
    pub keepdims: bool,
    /// Leave NaN and NaT out, as NumPy's `nansum` and so on.
    pub skipna: bool,
    /// Partials that are combined at once, at least 2; `None` for as many as their size suggests.
    pub split_every: Option<u64>,
}

impl Over {
    /// Over all axes.
    pub fn all() -> Self {
        Self {
            axes: None,
            keepdims: false,
            skipna: false,
            split_every: None,
        }
    }

    /// Over one axis; negative ones count from the end.
    pub fn axis(axis: i64) -> Self {
        Self::axes([axis])
    }

    /// Over several axes.
    pub fn axes(axes: impl Into<Vec<i64>>) -> Self {
        Self {
            axes: Some(axes.into()),
            ..Self::all()
        }
    }

    /// Keeps the reduced axes with length 1.
    #[must_use]
    pub fn keepdims(self) -> Self {
        Self {
            keepdims: true,
            ..self
        }
    }

    /// Leaves NaN out.
    #[must_use]
    pub fn skipna(self) -> Self {
        Self { skipna: true, ..self }
    }

    /// Combines so many partials at once.
    #[must_use]
    pub fn split_every(self, split_every: u64) -> Self {
        Self {
            split_every: Some(split_every),
            ..self
        }
    }

    /// How many partials of so many bytes are combined at once.
    ///
    /// # Errors
    /// [`ArrayError::SplitEvery`] below 2.
    pub(crate) fn fan_in(&self, partial_bytes: u64) -> Result<u64, ArrayError> {
        match self.split_every {
            Some(split_every @ ..2) => Err(ArrayError::SplitEvery { split_every }),
            Some(split_every) => Ok(split_every),
            None => Ok(fan_in(partial_bytes)),
        }
    }
}

/// How many partials of so many bytes are combined at once: of large ones few, since a task holds all of them; of such as go
/// along with messages many, since each level of a tree costs a task's time.
pub(crate) fn fan_in(partial_bytes: u64) -> u64 {
    match partial_bytes {
        ..=SMALL_PARTIAL_BYTES => SMALL_SPLIT_EVERY,
        LARGE_PARTIAL_BYTES.. => LARGE_SPLIT_EVERY,
        _ => SPLIT_EVERY,
    }
}

/// An order of axes, if the one at `place` is no more.
fn without(order: &[usize], place: usize) -> Vec<usize> {
    let gone = order[place];
    let left = order.iter().filter(|&&axis| axis != gone);
    left.map(|&axis| axis - usize::from(axis > gone)).collect()
}

impl Array {
    /// Reduces over axes.
    ///
    /// Where the reduced axes are cut into several chunks, a median or a quantile rechunks them to one (into the read,
    /// where that is possible, with the other axes cut so that a task works on [`WORKING_SET_BYTES`] at most); the
    /// others make a partial of each chunk and combine them in a tree, unless reading whole axes is cheaper.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`], [`ArrayError::RepeatedAxis`], [`ArrayError::EmptyReduction`],
    /// [`ArrayError::SplitEvery`], [`ArrayError::Quantile`], [`ArrayError::Ops`] for a dtype that NumPy refuses too.
    pub fn reduce(&self, kind: ReduceKind, over: &Over) -> Result<Array, ArrayError> {
        if self.dtype().kind() == Kind::DateTime && kind == ReduceKind::Mean {
            return mean_of_points(self, over);
        }
        let Over { keepdims, skipna, .. } = *over;
        let axes = match &over.axes {
            Some(axes) => axis_indices(axes, self.ndim())?,
            None => (0..self.ndim()).collect(),
        };
        if let Some((windows, axis, order)) = self.moved_windows(&axes)
            && !matches!(kind, ReduceKind::Quantile { .. })
        {
            let reduced = windows.reduce(
                kind,
                &Over {
                    axes: Some(vec![axis as i64]),
                    ..over.clone()
                },
            )?;
            let order = if keepdims { order } else { without(&order, axes[0]) };
            return Ok(reduced.permuted(order));
        }
        let reduction = self.reduction(kind, skipna)?;
        self.check_not_empty(&reduction, &axes)?;
        let dtype = reduction.result_dtype()?;
        let x = self.for_reduction(&reduction, &axes);
        let item_bytes = reduction.partial_item_bytes().unwrap_or_default();
        let split_every = over.fan_in(x.line_len_max(&axes).saturating_mul(item_bytes))?;
        let grid = grid_of(result_axes(&reduction.kind, x.chunks().axes(), &axes, keepdims));
        let op = Op::Reduce(Reduce {
            reduction: Reducing(reduction),
            axes,
            keepdims,
            split_every,
        });
        Ok(Array::new(op, vec![x], dtype, grid))
    }

    /// If this is windows whose axis was moved elsewhere, as NumPy's are, and that axis is reduced: the windows, the axis,
    /// and the order that the others were put in.
    ///
    /// Reduced where they lie they need not be laid out. The decision stands in the expression, since sums of windows that
    /// move have other bits.
    fn moved_windows(&self, axes: &[usize]) -> Option<(Array, usize, Vec<usize>)> {
        let (Op::Transpose(order), [reduced]) = (&self.0.op, axes) else {
            return None;
        };
        let windows = self.0.operands.first()?;
        match windows.0.op {
            Op::Sliding { axis, .. } if order[*reduced] == axis + 1 => {
                Some((windows.clone(), axis + 1, order.clone()))
            }
            _ => None,
        }
    }

    /// The most elements that a block has at one place of some axes.
    pub(crate) fn line_len_max(&self, axes: &[usize]) -> u64 {
        let chunks = self.chunks().axes().iter().enumerate();
        let free = chunks.filter(|(axis, _)| !axes.contains(axis));
        free.map(|(_, chunks)| chunks.chunk_max())
            .fold(1, u64::saturating_mul)
    }

    /// Checks what can be checked of a reduction without its axes.
    pub(crate) fn reduction(&self, kind: ReduceKind, skipna: bool) -> Result<Reduction, ArrayError> {
        if let ReduceKind::Quantile { qs } = &kind
            && let Some(&q) = qs.iter().find(|q| !(0.0..=1.0).contains(*q))
        {
            return Err(ArrayError::Quantile { q });
        }
        // These have one meaning, whatever is asked for.
        let looks_at_nan = !matches!(kind, ReduceKind::Any | ReduceKind::All | ReduceKind::Count);
        let skipna = skipna && looks_at_nan && self.dtype().holds_nan();
        let reduction = Reduction {
            kind,
            skipna,
            dtype: self.dtype(),
        };
        reduction.result_dtype()?;
        Ok(reduction)
    }

    fn check_not_empty(&self, reduction: &Reduction, axes: &[usize]) -> Result<(), ArrayError> {
        let shape = self.shape();
        let reduced: u64 = axes.iter().map(|&axis| shape[axis]).product();
        let needs_elements = match reduction.kind {
            ReduceKind::Min | ReduceKind::Max | ReduceKind::ArgMin | ReduceKind::ArgMax => true,
            ReduceKind::First | ReduceKind::Last | ReduceKind::Mode => true,
            ReduceKind::Quantile { .. } => !reduction.skipna,
            _ => false,
        };
        if needs_elements && reduced == 0 {
            return Err(ArrayError::EmptyReduction {
                operation: reduction.kind.name(),
            });
        }
        Ok(())
    }

    /// This array with the reduced axes in one chunk where the reduction asks for it or gains by it.
    ///
    /// The decision stands in the expression, because sums over a tree and in one go differ in the last bits.
    pub(crate) fn for_reduction(&self, reduction: &Reduction, axes: &[usize]) -> Array {
        let grid = self.chunks();
        if axes.iter().all(|&axis| grid.axes()[axis].count() == 1) {
            return self.clone();
        }
        let whole = self.whole_along(axes);
        let origin = &self.0.origin;
        // What is read, or taken in, is in memory at once; what is made of it, a tile at a time.
        let item_bytes = origin.element_bytes.max(1);
        match reduction.partial_item_bytes() {
            Some(partial) if !self.gains_by_whole_axes(&whole, axes, partial, item_bytes) => self.clone(),
            _ => self.with_whole_axes(axes),
        }
    }

    /// This array with the reduced axes in one chunk, and the others cut so that a task works on [`WORKING_SET_BYTES`] at
    /// most.
    pub(crate) fn with_whole_axes(&self, axes: &[usize]) -> Array {
        let origin = &self.0.origin;
        let mut whole = self.whole_along(axes);
        let free: Vec<usize> = (0..self.ndim()).filter(|axis| !axes.contains(axis)).collect();
        shrink(
            &mut whole,
            &free,
            &origin.tile,
            origin.element_bytes.max(1),
            WORKING_SET_BYTES,
        );
        self.with_grid(&grid_of(whole))
    }

    fn whole_along(&self, axes: &[usize]) -> Vec<AxisChunks> {
        let mut whole = self.chunks().axes().to_vec();
        axes.iter()
            .for_each(|&axis| whole[axis] = AxisChunks::whole(whole[axis].len()));
        whole
    }

    /// Whether reading whole axes in one task beats a tree: nothing lies between reads and reduction, it fits, the
    /// slots stay busy, and partials would not be much smaller than the chunks they are made of.
    fn gains_by_whole_axes(
        &self,
        whole: &[AxisChunks],
        axes: &[usize],
        partial: u64,
        item_bytes: u64,
    ) -> bool {
        let elements = whole
            .iter()
            .map(AxisChunks::chunk_max)
            .fold(1, u64::saturating_mul);
        let blocks: u64 = whole.iter().map(AxisChunks::count).product();
        let reduced: u64 = axes
            .iter()
            .map(|&axis| self.chunks().axes()[axis].chunk_max())
            .product();
        self.0.origin.is_read
            && elements.saturating_mul(item_bytes) <= WHOLE_AXES_BYTES
            && blocks >= PARALLEL_BLOCKS
            && reduced.saturating_mul(self.dtype().size_bytes()) < 8 * partial
    }

    /// Takes the quantiles `qs`, each within 0..=1, by linear interpolation; the result has a leading axis for them.
    ///
    /// # Errors
    /// As [`Array::reduce`].
    pub fn quantile(&self, qs: &[f64], over: &Over) -> Result<Array, ArrayError> {
        self.reduce(ReduceKind::Quantile { qs: qs.to_vec() }, over)
    }

    /// Takes the mean of squared deviations from the mean, with `ddof` taken off the count.
    ///
    /// # Errors
    /// As [`Array::reduce`].
    pub fn var(&self, ddof: u32, over: &Over) -> Result<Array, ArrayError> {
        self.reduce(ReduceKind::Var { ddof }, over)
    }

    /// Takes the square root of [`Array::var`].
    ///
    /// # Errors
    /// As [`Array::reduce`].
    pub fn std(&self, ddof: u32, over: &Over) -> Result<Array, ArrayError> {
        self.reduce(ReduceKind::Std { ddof }, over)
    }
}

/// The leading axis that quantiles have.
pub(crate) fn quantile_axis(kind: &ReduceKind) -> Option<AxisChunks> {
    match kind {
        ReduceKind::Quantile { qs } => Some(AxisChunks::whole(qs.len() as u64)),
        _ => None,
    }
}

/// The axes of a reduction's result.
pub(crate) fn result_axes(
    kind: &ReduceKind,
    operand: &[AxisChunks],
    axes: &[usize],
    keepdims: bool,
) -> Vec<AxisChunks> {
    let lead = quantile_axis(kind);
    let kept = operand
        .iter()
        .enumerate()
        .filter_map(|(axis, chunks)| match axes.contains(&axis) {
            false => Some(chunks.clone()),
            true => keepdims.then(|| AxisChunks::whole(1)),
        });
    lead.into_iter().chain(kept).collect()
}

macro_rules! reductions {
    ($($(#[$doc:meta])* $name:ident => $kind:ident),* $(,)?) => {
        impl Array {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// As [`Array::reduce`].
            pub fn $name(&self, over: &Over) -> Result<Array, ArrayError> {
                self.reduce(ReduceKind::$kind, over)
            }
        )*}
    };
}

reductions! {
    /// Sums; integers as 64-bit ones. Of nothing 0.
    sum => Sum,
    /// Multiplies; integers as 64-bit ones. Of nothing 1.
    prod => Prod,
    /// Takes the mean; integers as float64. Of nothing NaN.
    mean => Mean,
    /// Takes the least element; NaN wins unless it is left out.
    min => Min,
    /// Takes the greatest element; NaN wins unless it is left out.
    max => Max,
    /// Counts the elements that are not NaN.
    count => Count,
    /// Tells whether any element is true.
    any => Any,
    /// Tells whether all elements are true.
    all => All,
    /// Takes the median: the mean of the two middle elements where their number is even.
    median => Median,
    /// Takes the most frequent element, the least of several; NaN wins unless it is left out. SciPy's `mode`.
    mode => Mode,
    /// Finds the first position of the least element, along the flattened reduced axes.
    argmin => ArgMin,
    /// Finds the first position of the greatest element, along the flattened reduced axes.
    argmax => ArgMax,
    /// Takes the first element, the first that is not NaN where NaN is left out.
    first => First,
    /// Takes the last element, the last that is not NaN where NaN is left out.
    last => Last,
}
