//! Axes made longer at both ends: NumPy's `pad`, in all its modes.

use graticule_ops::{BinaryOp, Scalar};
use graticule_plan::{AxisChunks, ChunkGrid, DType, Kind};

use crate::{Array, ArrayError, Operand, Over, binary, concatenate, creation::small, infer::with_axis};

/// What stands in the places that [`Array::pad`] adds.
///
/// Where NumPy takes a pair for each axis, a list of one pair goes for all axes.
#[derive(Debug, Clone, PartialEq)]
pub enum Pad {
    /// A number before and one after each axis, converted to the array's dtype.
    Constant(Vec<(Scalar, Scalar)>),
    /// The first and the last element.
    Edge,
    /// From the outermost element in even steps to a number.
    LinearRamp(Vec<(f64, f64)>),
    /// The greatest of so many of the outermost elements; of all, if there is no number.
    Maximum(Option<u64>),
    /// Their mean; integers are rounded.
    Mean(Option<u64>),
    /// Their median; integers are rounded.
    Median(Option<u64>),
    /// Their least.
    Minimum(Option<u64>),
    /// The elements mirrored at the outermost one, which is not repeated; `true` mirrors their differences from it too
    /// (`reflect_type="odd"`).
    Reflect(bool),
    /// The elements mirrored behind the outermost one, which is repeated; `true` as for `Reflect`.
    Symmetric(bool),
    /// The elements of the other end.
    Wrap,
    /// Nothing in particular: zeros, so that a plan gives the same bytes each time.
    Empty,
}

impl Array {
    /// Makes axes longer: by a pair of lengths, before and after, for each axis, or by one pair for all.
    ///
    /// Axes are padded one after another, so the corners are made of what was padded before, as in NumPy.
    ///
    /// # Errors
    /// [`ArrayError::PadPairs`] if there is neither one pair nor one for each axis, [`ArrayError::PadEmpty`] where an axis
    /// without elements gives none to pad with, [`ArrayError::EmptyReduction`] for a statistic of no elements,
    /// [`ArrayError::Plan`] if the result is too large to count.
    pub fn pad(&self, widths: &[(u64, u64)], mode: &Pad) -> Result<Array, ArrayError> {
        let widths = per_axis(widths, self.ndim(), "widths")?;
        self.check_pad(&widths, mode)?;
        if self.size() == 0 && !matches!(mode, Pad::Constant(_) | Pad::Empty) {
            let longer = self.shape().into_iter().zip(&widths);
            let axes = longer.map(|(len, (before, after))| AxisChunks::whole(len + before + after));
            return Ok(Array::full_grid(
                &ChunkGrid::new(axes.collect())?,
                small(0, self.dtype()),
            ));
        }
        let mut padded = self.clone();
        for (axis, &(before, after)) in widths.iter().enumerate() {
            if (before, after) != (0, 0) {
                padded = padded.pad_axis(axis, before, after, mode)?;
            }
        }
        Ok(padded)
    }

    fn check_pad(&self, widths: &[(u64, u64)], mode: &Pad) -> Result<(), ArrayError> {
        if let Pad::Maximum(Some(0)) | Pad::Minimum(Some(0)) = mode
            && self.size() > 0
            && self.ndim() > 0
        {
            return Err(ArrayError::EmptyReduction {
                operation: "pad with a statistic of no elements",
            });
        }
        match mode {
            Pad::Constant(values) => drop(per_axis(values, self.ndim(), "constants")?),
            Pad::LinearRamp(ends) => {
                self.check_real("pad with a linear ramp")?;
                drop(per_axis(ends, self.ndim(), "end values")?);
            }
            _ => {}
        }
        let needs_elements = !matches!(mode, Pad::Constant(_) | Pad::Empty);
        let shape = self.shape();
        let lacks = |axis: &usize| shape[*axis] == 0 && widths[*axis] != (0, 0);
        match (0..shape.len()).find(lacks) {
            Some(axis) if needs_elements => Err(ArrayError::PadEmpty { axis }),
            _ => Ok(()),
        }
    }

    fn pad_axis(&self, axis: usize, before: u64, after: u64, mode: &Pad) -> Result<Array, ArrayError> {
        let sides = match mode {
            Pad::Constant(values) => {
                let (low, high) = per_axis(values, self.ndim(), "constants")?[axis];
                [self.filled(axis, before, low)?, self.filled(axis, after, high)?]
            }
            Pad::Empty => [
                self.filled(axis, before, Scalar::Bool(false))?,
                self.filled(axis, after, Scalar::Bool(false))?,
            ],
            Pad::Edge => {
                let len = self.shape()[axis];
                let [first, last] = [self.part(axis, 0, 1), self.part(axis, len - 1, 1)];
                [first.spread(axis, before)?, last.spread(axis, after)?]
            }
            Pad::LinearRamp(ends) => {
                let (low, high) = per_axis(ends, self.ndim(), "end values")?[axis];
                let len = self.shape()[axis];
                let first = (before > 0).then(|| self.part(axis, 0, 1).ramp(axis, before, low));
                let last = (after > 0).then(|| {
                    self.part(axis, len - 1, 1)
                        .ramp(axis, after, high)?
                        .flip(axis as i64)
                });
                let none = || Ok(self.part(axis, 0, 0));
                [first.unwrap_or_else(none)?, last.unwrap_or_else(none)?]
            }
            Pad::Maximum(count) => self.statistic(axis, before, after, *count, |x, over| x.max(over))?,
            Pad::Minimum(count) => self.statistic(axis, before, after, *count, |x, over| x.min(over))?,
            Pad::Mean(count) => self.statistic(axis, before, after, *count, |x, over| x.mean(over))?,
            Pad::Median(count) => self.statistic(axis, before, after, *count, |x, over| x.median(over))?,
            Pad::Wrap => {
                let len = self.shape()[axis] as i64;
                let take = |from: i64, count: u64| {
                    let positions: Vec<i64> =
                        (from..from + count as i64).map(|k| k.rem_euclid(len)).collect();
                    self.take(&positions, axis as i64)
                };
                [take(-(before as i64), before)?, take(len, after)?]
            }
            Pad::Reflect(is_odd) => self.mirrored(axis, before, after, false, *is_odd)?,
            Pad::Symmetric(is_odd) => self.mirrored(axis, before, after, true, *is_odd)?,
        };
        let [first, last] = sides;
        concatenate(&[first, self.clone(), last], axis as i64)
    }

    /// So many places along an axis, all of one number.
    fn filled(&self, axis: usize, len: u64, value: Scalar) -> Result<Array, ArrayError> {
        let grid = with_axis(self.chunks(), axis, AxisChunks::whole(len))?;
        if value.dtype() == self.dtype() {
            return Ok(Array::full_grid(&grid, value));
        }
        let number = Array::scalar(value).astype(self.dtype())?;
        Ok(number.broadcast_to(&grid.shape())?.with_grid(&grid))
    }

    /// An axis of length 1 repeated.
    fn spread(&self, axis: usize, len: u64) -> Result<Array, ArrayError> {
        let mut shape = self.shape();
        shape[axis] = len;
        self.broadcast_to(&shape)
    }

    /// From `end` to just before this array, whose axis has length 1.
    fn ramp(&self, axis: usize, len: u64, end: f64) -> Result<Array, ArrayError> {
        self.check_number("pad with a ramp")?;
        let mut along = vec![1; self.ndim()];
        along[axis] = -1;
        let counter = Array::counter(&AxisChunks::whole(len))
            .astype(DType::Float64)?
            .reshape(&along)?;
        // NumPy's linspace from the number to the edge, its end left out, all in float64.
        let distance = self.astype(DType::Float64)?.subtract(end)?;
        let step = distance.divide(len as f64)?;
        let plain = counter.multiply(&step)?;
        let vanished = counter.divide(len as f64)?.multiply(&distance)?;
        let any_zero = step.equal(0)?.any(&Over::all())?;
        let ramp = crate::where_(any_zero, vanished, plain)?.add(end)?;
        let ramp = match self.dtype().kind() {
            Kind::Signed | Kind::Unsigned => ramp.floor()?,
            _ => ramp,
        };
        ramp.astype(self.dtype())
    }

    fn statistic(
        &self,
        axis: usize,
        before: u64,
        after: u64,
        count: Option<u64>,
        reduce: impl Fn(&Array, &Over) -> Result<Array, ArrayError>,
    ) -> Result<[Array; 2], ArrayError> {
        let len = self.shape()[axis];
        let count = count.unwrap_or(len).min(len);
        let over = Over::axis(axis as i64).keepdims();
        let side = |start: u64, wanted: u64| {
            let made = reduce(&self.part(axis, start, count), &over)?;
            let is_rounded =
                made.dtype().is_float() && matches!(self.dtype().kind(), Kind::Signed | Kind::Unsigned);
            let made = if is_rounded { made.rint()? } else { made };
            made.astype(self.dtype())?.spread(axis, wanted)
        };
        Ok([side(0, before)?, side(len - count, after)?])
    }

    /// What mirrors give before and after an axis; `repeats` the outermost elements, or not.
    fn mirrored(
        &self,
        axis: usize,
        before: u64,
        after: u64,
        repeats: bool,
        is_odd: bool,
    ) -> Result<[Array; 2], ArrayError> {
        let len = self.shape()[axis];
        if len == 1 {
            // NumPy repeats what has no neighbour.
            let first = self.part(axis, 0, 1);
            return Ok([first.spread(axis, before)?, first.spread(axis, after)?]);
        }
        let after = self.beyond(axis, after, repeats, is_odd)?;
        let flipped = self.flip(axis as i64)?;
        let before = flipped.beyond(axis, before, repeats, is_odd)?.flip(axis as i64)?;
        Ok([before, after])
    }

    /// The elements that mirrors at the last one, at the first one, and so on, give behind an axis.
    fn beyond(&self, axis: usize, wanted: u64, repeats: bool, is_odd: bool) -> Result<Array, ArrayError> {
        let len = self.shape()[axis];
        // From one mirror image to the next.
        let step = if repeats { len } else { len - 1 };
        let (first, last) = (self.part(axis, 0, 1), self.part(axis, len - 1, 1));
        let mut parts = Vec::new();
        let mut made = 0;
        let mut image = 1u64;
        while made < wanted {
            let count = step.min(wanted - made);
            // Odd images run backwards; each begins behind the outermost element unless that is repeated.
            let mut part = match image % 2 {
                1 => self
                    .part(axis, len - step - u64::from(!repeats), step)
                    .flip(axis as i64)?,
                _ => self.part(axis, u64::from(!repeats), step),
            };
            if is_odd {
                part = mirrored_value(&part, &first, &last, image)?;
            }
            parts.push(part.part(axis, 0, count));
            made += count;
            image += 1;
        }
        if parts.is_empty() {
            return Ok(self.part(axis, 0, 0));
        }
        concatenate(&parts, axis as i64)
    }
}

/// Values of the `image`-th mirror image where differences from the mirror are kept: each image goes on from the one
/// before it.
fn mirrored_value(part: &Array, first: &Array, last: &Array, image: u64) -> Result<Array, ArrayError> {
    let dtype = part.dtype();
    // Booleans as integers.
    let number = |x: &Array| {
        if dtype == DType::Bool {
            x.astype(DType::Int64)
        } else {
            Ok(x.clone())
        }
    };
    let times =
        |x: &Array, count: u64| binary(BinaryOp::Multiply, number(x)?, Operand::Int(i128::from(count)));
    let value = match image % 2 {
        1 => {
            // 2 * edge - x, where the edge has moved by the whole range once for each pair of images.
            let edge = times(last, image + 1)?;
            let edge = if image > 1 {
                edge.subtract(times(first, image - 1)?)?
            } else {
                edge
            };
            edge.subtract(number(part)?)?
        }
        _ => number(part)?.add(times(last, image)?.subtract(times(first, image)?)?)?,
    };
    value.astype(dtype)
}

/// One pair for each axis.
fn per_axis<T: Copy>(pairs: &[(T, T)], ndim: usize, what: &'static str) -> Result<Vec<(T, T)>, ArrayError> {
    match pairs {
        [pair] => Ok(vec![*pair; ndim]),
        _ if pairs.len() == ndim => Ok(pairs.to_vec()),
        _ => Err(ArrayError::PadPairs {
            what,
            got: pairs.len(),
            ndim,
        }),
    }
}
