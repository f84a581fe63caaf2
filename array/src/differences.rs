//! Differences of neighbours.

use graticule_ops::promote;
use graticule_plan::{DType, Kind};

use crate::{Array, ArrayError, Axes, Chunks, Operand, concatenate, infer::axis_index};

/// How far apart the elements along an axis are.
#[derive(Debug, Clone, PartialEq)]
pub enum Spacing {
    /// All equally far.
    Step(f64),
    /// At these coordinates, one for each element.
    At(Vec<f64>),
}

impl Array {
    /// Takes the differences of neighbours along an axis, `order` times; of booleans, whether they differ.
    ///
    /// `before` and `after` are joined to the array first: arrays of its dimension, or numbers.
    ///
    /// # Errors
    /// [`ArrayError::Negative`], [`ArrayError::AxisOutOfRange`]; as [`concatenate`] for what is joined.
    pub fn diff(
        &self,
        order: i64,
        axis: i64,
        before: Option<&Array>,
        after: Option<&Array>,
    ) -> Result<Array, ArrayError> {
        let order = u64::try_from(order).map_err(|_| ArrayError::Negative {
            what: "order of differences",
            got: order,
        })?;
        if order == 0 {
            return Ok(self.clone());
        }
        let axis = axis_index(axis, self.ndim())?;
        let mut shape = self.shape();
        shape[axis] = 1;
        let joined = |part: &Array| match part.ndim() {
            0 => part.broadcast_to(&shape),
            _ => Ok(part.clone()),
        };
        let mut parts = Vec::with_capacity(3);
        parts.extend(before.map(joined).transpose()?);
        parts.push(self.clone());
        parts.extend(after.map(joined).transpose()?);
        let mut all = concatenate(&parts, axis as i64)?;
        for _ in 0..order {
            let len = all.shape()[axis].saturating_sub(1);
            let (later, earlier) = (all.part(axis, 1, len), all.part(axis, 0, len));
            all = match all.dtype() {
                DType::Bool => later.not_equal(&earlier)?,
                _ => later.subtract(&earlier)?,
            };
        }
        Ok(all)
    }

    /// Takes the differences of neighbours in C order, with what is put before and after them.
    ///
    /// # Errors
    /// [`ArrayError::UnsafeCast`] if what is put there is of a kind that the array's dtype does not hold,
    /// [`ArrayError::Ops`] of booleans.
    pub fn ediff1d(&self, before: Option<&Array>, after: Option<&Array>) -> Result<Array, ArrayError> {
        let flat = self.ravel()?;
        let len = flat.size().saturating_sub(1);
        let later = flat.part(0, flat.size() - len, len);
        let differences = later.subtract(flat.part(0, 0, len))?;
        let dtype = differences.dtype();
        let fitting = |part: &Array| {
            let is_other_unit = part.dtype().is_time() && promote(part.dtype(), dtype) != Ok(dtype);
            if is_other_unit || kind_rank(part.dtype()) > kind_rank(dtype) {
                let from = part.dtype();
                return Err(ArrayError::UnsafeCast { from, to: dtype });
            }
            part.ravel()?.astype(dtype)
        };
        let mut parts = Vec::with_capacity(3);
        parts.extend(before.map(fitting).transpose()?);
        parts.push(differences);
        parts.extend(after.map(fitting).transpose()?);
        concatenate(&parts, 0)
    }

    /// Takes the gradient along axes: central differences inside, one-sided ones of order `edge_order` at the ends.
    ///
    /// Gives an array for each axis. `spacing` is empty (all steps are 1), one step for all axes, or one entry for each.
    /// Integers become float64, float32 stays.
    ///
    /// # Errors
    /// [`ArrayError::Spacing`], [`ArrayError::EdgeOrder`], [`ArrayError::TooShort`], [`ArrayError::AxisOutOfRange`],
    /// [`ArrayError::RepeatedAxis`], [`ArrayError::Ops`] of booleans.
    pub fn gradient(
        &self,
        spacing: &[Spacing],
        axes: impl Into<Axes>,
        edge_order: u32,
    ) -> Result<Vec<Array>, ArrayError> {
        let axes = axes.into().indices(self.ndim())?;
        let count = axes.len();
        let spaced: Vec<Spacing> = match spacing {
            [] => vec![Spacing::Step(1.0); count],
            [Spacing::Step(step)] => vec![Spacing::Step(*step); count],
            _ if spacing.len() == count => spacing.to_vec(),
            _ => return Err(ArrayError::Spacing { axes: count }),
        };
        if !(1..=2).contains(&edge_order) {
            return Err(ArrayError::EdgeOrder { order: edge_order });
        }
        self.check_number("gradient")?;
        let float = match self.dtype().kind() {
            Kind::Signed | Kind::Unsigned => self.astype(DType::Float64)?,
            _ => self.clone(),
        };
        let along = |(&axis, spacing): (&usize, &Spacing)| float.slope(axis, spacing, edge_order);
        axes.iter().zip(&spaced).map(along).collect()
    }

    fn slope(&self, axis: usize, spacing: &Spacing, edge_order: u32) -> Result<Array, ArrayError> {
        let len = self.shape()[axis];
        let needed = u64::from(edge_order) + 1;
        if len < needed {
            return Err(ArrayError::TooShort {
                operation: "gradient",
                axis,
                needed,
                len,
            });
        }
        let steps = match spacing {
            Spacing::Step(step) => Steps::Equal((*step).into()),
            Spacing::At(at) if at.len() as u64 != len => {
                return Err(ArrayError::Spacing { axes: self.ndim() });
            }
            Spacing::At(at) => Steps::between(at),
        };
        let inner = steps.inside(self, axis)?;
        let at_end = |is_last: bool| steps.at_end(self, axis, edge_order, is_last);
        let parts = [at_end(false)?, inner, at_end(true)?];
        let dtype = if self.dtype().is_inexact() {
            self.dtype()
        } else {
            DType::Float64
        };
        let parts: Result<Vec<Array>, _> = parts.iter().map(|part| part.astype(dtype)).collect();
        Ok(concatenate(&parts?, axis as i64)?.with_grid(self.chunks()))
    }
}

/// Booleans, unsigned, signed, floats and complex numbers: each holds the kinds before it, but for the sign.
fn kind_rank(dtype: DType) -> u32 {
    match dtype.kind() {
        Kind::Bool => 0,
        Kind::Unsigned => 1,
        Kind::Signed => 2,
        Kind::Float => 3,
        Kind::Complex => 4,
        Kind::TimeDelta => 5,
        Kind::DateTime => 6,
    }
}

/// Distances of neighbours.
enum Steps {
    /// All the same.
    Equal(Operand),
    /// One for each pair.
    Each(Vec<f64>),
}

impl Steps {
    fn between(at: &[f64]) -> Self {
        let steps: Vec<f64> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
        if steps.iter().all(|step| *step == steps[0]) {
            // Coordinates are float64, so these are no weak numbers.
            Steps::Equal(Operand::typed(steps[0]))
        } else {
            Steps::Each(steps)
        }
    }

    fn inside(&self, x: &Array, axis: usize) -> Result<Array, ArrayError> {
        let len = x.shape()[axis] - 2;
        let (before, here, after) = (x.part(axis, 0, len), x.part(axis, 1, len), x.part(axis, 2, len));
        match self {
            Steps::Equal(step) => {
                let twice = scaled(step, |step| 2.0 * step);
                after.subtract(&before)?.divide(twice)
            }
            Steps::Each(steps) => {
                let factor = |f: fn(f64, f64) -> f64| {
                    let all: Vec<f64> = steps.windows(2).map(|pair| f(pair[0], pair[1])).collect();
                    let mut shape = vec![1; x.ndim()];
                    shape[axis] = -1;
                    Array::from_slice(&[len], &[Chunks::Whole], &all)?.reshape(&shape)
                };
                let (a, b, c) = (
                    factor(|a, b| -b / (a * (a + b)))?,
                    factor(|a, b| (b - a) / (a * b))?,
                    factor(|a, b| a / (b * (a + b)))?,
                );
                let left = a.multiply(&before)?.add(b.multiply(&here)?)?;
                left.add(c.multiply(&after)?)
            }
        }
    }

    fn at_end(&self, x: &Array, axis: usize, edge_order: u32, is_last: bool) -> Result<Array, ArrayError> {
        let len = x.shape()[axis];
        let at = |k: u64| x.part(axis, if is_last { len - 1 - k } else { k }, 1);
        if edge_order == 1 {
            let difference = if is_last {
                at(0).subtract(at(1))
            } else {
                at(1).subtract(at(0))
            };
            return difference?.divide(match self {
                Steps::Equal(step) => step.clone(),
                Steps::Each(steps) => Operand::typed(if is_last { steps[steps.len() - 1] } else { steps[0] }),
            });
        }
        let sign = if is_last { -1.0 } else { 1.0 };
        let factors: [Operand; 3] = match self {
            Steps::Equal(step) => {
                [-1.5, 2.0, -0.5].map(|factor| scaled(step, move |step| sign * factor / step))
            }
            Steps::Each(steps) => {
                let (a, b) = match is_last {
                    // From the end inwards.
                    true => (steps[steps.len() - 1], steps[steps.len() - 2]),
                    false => (steps[0], steps[1]),
                };
                let factors = [
                    -(2.0 * a + b) / (a * (a + b)),
                    (a + b) / (a * b),
                    -a / (b * (a + b)),
                ];
                factors.map(|factor| Operand::typed(sign * factor))
            }
        };
        let [first, second, third] = factors;
        let terms = [
            at(0).multiply(first)?,
            at(1).multiply(second)?,
            at(2).multiply(third)?,
        ];
        let [a, b, c] = terms;
        // From the lowest position up, as NumPy adds them.
        if is_last {
            c.add(b)?.add(a)
        } else {
            a.add(b)?.add(c)
        }
    }
}

/// A number changed, as weak as it was.
fn scaled(step: &Operand, f: impl Fn(f64) -> f64) -> Operand {
    match step {
        Operand::Float(step) => Operand::Float(f(*step)),
        Operand::Typed(step) => Operand::typed(f(step.as_f64())),
        other => other.clone(),
    }
}
