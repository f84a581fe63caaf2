//! Scans: running sums, products and extremes along an axis, and gaps filled from one side.

use std::sync::Arc;

use graticule_ops::{NodeId, Scalar, Scan, ScanKind, ScanStep};
use graticule_plan::DType;

use crate::{
    Array, ArrayError, Operand, concatenate,
    creation::small,
    expression::Op,
    infer::{axis_index, grid_of, with_axis},
    where_,
};

/// What a running sum or product goes along, and how.
///
/// ```
/// use graticule_array::Along;
/// use graticule_plan::DType;
///
/// let running = Along::axis(0).skipna().dtype(DType::Float32);
/// assert_ne!(running, Along::axis(0));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Along {
    /// The axis; `None` for the only one.
    pub axis: Option<i64>,
    /// The dtype of the result, to which elements are converted first; `None` for what sums and products have.
    pub dtype: Option<DType>,
    /// Begin with the value of nothing, 0 or 1, so that the axis gets one element longer.
    pub include_initial: bool,
    /// Leave NaN out, as NumPy's `nancumsum` and `nancumprod`.
    pub skipna: bool,
}

impl Along {
    /// Along the only axis.
    pub fn only() -> Self {
        Self::default()
    }

    /// Along one axis; negative ones count from the end.
    pub fn axis(axis: i64) -> Self {
        Self {
            axis: Some(axis),
            ..Self::default()
        }
    }

    /// Gives the result a dtype.
    #[must_use]
    pub fn dtype(self, dtype: DType) -> Self {
        Self {
            dtype: Some(dtype),
            ..self
        }
    }

    /// Begins with the value of nothing.
    #[must_use]
    pub fn include_initial(self) -> Self {
        Self {
            include_initial: true,
            ..self
        }
    }

    /// Leaves NaN out.
    #[must_use]
    pub fn skipna(self) -> Self {
        Self { skipna: true, ..self }
    }
}

/// Blocks whose states are put together at once where an axis has several.
pub(crate) const SCAN_FAN_IN: u64 = 16;

/// What a node does of a scan. Where blocks are skipped, the result begins that many blocks of its operand later: they
/// count, but what the scan gives at their elements is not wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ScanPart {
    /// All of it. Lowering makes the others of it where the axis has several blocks.
    Whole { skip: u64 },
    /// Each block to the state after its elements.
    Total,
    /// The states of [`SCAN_FAN_IN`] neighbours to one.
    Group,
    /// For each block the state of all that stands before it, from the states before it in its group and, as the first
    /// operand, the state before the group, if there are several groups.
    Prefix { skip: u64 },
    /// As [`ScanPart::Prefix`], and then the elements, which are the first operand.
    Each { skip: u64 },
}

impl ScanPart {
    pub(crate) fn name(self, scan: &Scan) -> String {
        let step = match self {
            ScanPart::Whole { .. } | ScanPart::Each { .. } => return scan.name().into(),
            ScanPart::Total => "total",
            ScanPart::Group => "group",
            ScanPart::Prefix { .. } => "prefix",
        };
        format!("{}-{step}", scan.name())
    }

    /// Whether a block needs exactly one block of the operand.
    pub(crate) fn is_blockwise(self) -> bool {
        matches!(self, ScanPart::Whole { skip: 0 } | ScanPart::Total)
    }

    /// Blocks of the operand before the result's first one.
    pub(crate) fn skip(self) -> u64 {
        match self {
            ScanPart::Whole { skip } | ScanPart::Prefix { skip } | ScanPart::Each { skip } => skip,
            ScanPart::Total | ScanPart::Group => 0,
        }
    }

    /// Of each of `count` blocks the states along the axis that it needs of one of its operands; `None` for the operand
    /// that holds the block's own elements.
    pub(crate) fn intervals(
        self,
        position: usize,
        operand_count: usize,
        count: u64,
    ) -> Option<Arc<[(u64, u64)]>> {
        let is_last = position + 1 == operand_count;
        let has_elements = !matches!(self, ScanPart::Group | ScanPart::Prefix { .. });
        if has_elements && position == 0 {
            return None;
        }
        let skip = self.skip();
        let of_block = |block: u64| {
            let group = block / SCAN_FAN_IN;
            match self {
                ScanPart::Group => (block * SCAN_FAN_IN, (block + 1) * SCAN_FAN_IN),
                _ if is_last => (group * SCAN_FAN_IN, block),
                // The states of groups begin with the first that somebody needs.
                _ => (group - skip / SCAN_FAN_IN, group - skip / SCAN_FAN_IN + 1),
            }
        };
        Some((skip..skip + count).map(of_block).collect())
    }

    /// The step of a program, of the operands in their order.
    pub(crate) fn step(self, scan: Scan, mut operands: Vec<NodeId>) -> ScanStep {
        let has_elements = !matches!(self, ScanPart::Group | ScanPart::Prefix { .. });
        let x = has_elements.then(|| operands.remove(0));
        let to_state = !matches!(self, ScanPart::Whole { .. } | ScanPart::Each { .. });
        ScanStep {
            scan,
            states: operands,
            x,
            to_state,
        }
    }
}

impl Array {
    /// Adds up the elements along an axis, each with those before it; integers as 64-bit ones.
    ///
    /// float32 adds up in float64 and rounds each element once. Where the axis has several chunks, each is held from when
    /// its total is made until all before it are known.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`], [`ArrayError::AxisMissing`].
    pub fn cumulative_sum(&self, along: &Along) -> Result<Array, ArrayError> {
        self.running(ScanKind::Sum, along)
    }

    /// Multiplies the elements along an axis, each with those before it; integers as 64-bit ones.
    ///
    /// # Errors
    /// As [`Array::cumulative_sum`].
    pub fn cumulative_prod(&self, along: &Along) -> Result<Array, ArrayError> {
        self.running(ScanKind::Prod, along)
    }

    /// Takes the least of each element and those before it along an axis: NumPy's `minimum.accumulate`, or
    /// `fmin.accumulate` where NaN is left out.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`].
    pub fn cumulative_min(&self, axis: i64, skipna: bool) -> Result<Array, ArrayError> {
        self.scan(ScanKind::Min, axis, skipna)
    }

    /// Takes the greatest of each element and those before it along an axis: NumPy's `maximum.accumulate`, or
    /// `fmax.accumulate` where NaN is left out.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`].
    pub fn cumulative_max(&self, axis: i64, skipna: bool) -> Result<Array, ArrayError> {
        self.scan(ScanKind::Max, axis, skipna)
    }

    /// Puts in place of each NaN the last element before it along an axis that is none, at most `limit` of them after
    /// one another: xarray's `ffill`, Bottleneck's `push`.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`].
    pub fn ffill(&self, axis: i64, limit: Option<u64>) -> Result<Array, ArrayError> {
        let filled = self.scan(ScanKind::Last, axis, true)?;
        let (Some(limit), true) = (limit, self.dtype().holds_nan()) else {
            return Ok(filled);
        };
        let axis = axis_index(axis, self.ndim())?;
        let missing = self.isnan()?;
        let positions = self.positions(axis)?;
        let valid = where_(missing.logical_not()?, &positions, -1)?;
        let far = positions.subtract(valid.scan(ScanKind::Max, axis as i64, false)?)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let missing = Scalar::from_float(f64::NAN, self.dtype()).expect("the dtype holds NaN or NaT");
        where_(far.greater(limit)?, Operand::Typed(missing), filled)
    }

    /// As [`Array::ffill`], from the other end of the axis.
    ///
    /// # Errors
    /// As [`Array::ffill`].
    pub fn bfill(&self, axis: i64, limit: Option<u64>) -> Result<Array, ArrayError> {
        self.flip(axis)?.ffill(axis, limit)?.flip(axis)
    }

    /// The positions along an axis, as an array that broadcasts with this one and is cut alike.
    pub(crate) fn positions(&self, axis: usize) -> Result<Array, ArrayError> {
        let cuts = self.chunks().axes()[axis].clone();
        let op = Op::Arange { start: 0, step: 1 };
        let counter = Array::new(op, vec![], DType::Int64, grid_of(vec![cuts]));
        (axis + 1..self.ndim()).try_fold(counter, |counter, _| counter.expand_dims(-1))
    }

    fn running(&self, kind: ScanKind, along: &Along) -> Result<Array, ArrayError> {
        let x = match self.ndim() {
            0 => &self.expand_dims(0)?,
            _ => self,
        };
        let axis = match along.axis {
            Some(axis) => axis,
            None if x.ndim() == 1 => 0,
            None => return Err(ArrayError::AxisMissing { ndim: x.ndim() }),
        };
        let scanned = match along.dtype {
            // Of booleans a sum is true where any was, a product where all were.
            Some(DType::Bool) => {
                let kind = if kind == ScanKind::Sum {
                    ScanKind::Max
                } else {
                    ScanKind::Min
                };
                x.astype(DType::Bool)?.scan(kind, axis, false)?
            }
            Some(dtype) => x.astype(dtype)?.scan(kind, axis, along.skipna)?.astype(dtype)?,
            None => x.scan(kind, axis, along.skipna)?,
        };
        if !along.include_initial {
            return Ok(scanned);
        }
        let axis = axis_index(axis, scanned.ndim())?;
        let first = small(i128::from(kind == ScanKind::Prod), scanned.dtype());
        let one = graticule_plan::AxisChunks::whole(1);
        let initial = Array::full_grid(&with_axis(scanned.chunks(), axis, one)?, first);
        concatenate(&[initial, scanned], axis as i64)
    }

    fn scan(&self, kind: ScanKind, axis: i64, skipna: bool) -> Result<Array, ArrayError> {
        let axis = axis_index(axis, self.ndim())?;
        let skipna = skipna && self.dtype().holds_nan();
        if kind == ScanKind::Last && !skipna {
            return Ok(self.clone());
        }
        let scan = Scan {
            kind,
            skipna,
            dtype: self.dtype(),
            axis,
        };
        scan.check()?;
        let op = Op::Scan(scan, ScanPart::Whole { skip: 0 });
        let grid = self.chunks().clone();
        Ok(Array::new(op, vec![self.clone()], scan.result_dtype(), grid))
    }
}

impl Array {
    /// Sums up along an axis, or without one over all elements in C order.
    ///
    /// # Errors
    /// As [`Array::cumulative_sum`].
    pub fn cumsum(&self, axis: Option<i64>) -> Result<Array, ArrayError> {
        let (x, along) = self.scanned(axis)?;
        x.cumulative_sum(&along)
    }

    /// Multiplies up along an axis, or without one over all elements in C order.
    ///
    /// # Errors
    /// As [`Array::cumulative_prod`].
    pub fn cumprod(&self, axis: Option<i64>) -> Result<Array, ArrayError> {
        let (x, along) = self.scanned(axis)?;
        x.cumulative_prod(&along)
    }

    /// As [`Array::cumsum`], where NaN counts as 0.
    ///
    /// # Errors
    /// As [`Array::cumulative_sum`].
    pub fn nancumsum(&self, axis: Option<i64>) -> Result<Array, ArrayError> {
        let (x, along) = self.scanned(axis)?;
        x.cumulative_sum(&along.skipna())
    }

    /// As [`Array::cumprod`], where NaN counts as 1.
    ///
    /// # Errors
    /// As [`Array::cumulative_prod`].
    pub fn nancumprod(&self, axis: Option<i64>) -> Result<Array, ArrayError> {
        let (x, along) = self.scanned(axis)?;
        x.cumulative_prod(&along.skipna())
    }

    /// What NumPy's `cumsum` goes along.
    fn scanned(&self, axis: Option<i64>) -> Result<(Array, Along), ArrayError> {
        Ok(match axis {
            Some(axis) => (self.clone(), Along::axis(axis)),
            None => (self.ravel()?, Along::only()),
        })
    }
}
