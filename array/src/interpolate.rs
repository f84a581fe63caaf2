//! Values between given places along an axis.

use graticule_plan::DType;

use crate::{Array, ArrayError, Chunks, infer::axis_index, where_};

/// How a value between two places is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolation {
    /// On the line between both, as NumPy's `interp`, in float64.
    Linear,
    /// The value of the nearer place, of the lower one in the middle; in the array's dtype.
    Nearest,
}

/// A place that is asked for, between two given ones.
struct Between {
    lower: usize,
    upper: usize,
    /// Distances from both, and of both from each other; zeros at a given place and beyond the ends.
    from_lower: f64,
    from_upper: f64,
    run: f64,
    is_outside: bool,
}

impl Array {
    /// Takes the values at other places along an axis, whose elements lie at `x`. Beyond the ends it has the value of the
    /// first or the last element, or `outside`.
    ///
    /// The places are known as the expression is built, so that blocks read only what lies next to theirs.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`], [`ArrayError::Interpolation`] for an axis without elements, and for places that do not
    /// rise, are NaN, or are not one for each element.
    pub fn interp(
        &self,
        x: &[f64],
        at: &[f64],
        axis: i64,
        method: Interpolation,
        outside: Option<f64>,
    ) -> Result<Array, ArrayError> {
        self.check_number("interp")?;
        let axis = axis_index(axis, self.ndim())?;
        check_places(x, at, self.shape()[axis])?;
        let between: Vec<Between> = at.iter().map(|&at| between(x, at)).collect();
        let y = self.moveaxis(axis as i64, -1)?;
        let made = match method {
            Interpolation::Linear => linear(&y, &between)?,
            Interpolation::Nearest => {
                let nearest =
                    |&at: &f64| x.windows(2).filter(|pair| (pair[0] + pair[1]) / 2.0 < at).count() as i64;
                y.take(&at.iter().map(nearest).collect::<Vec<_>>(), -1)?
            }
        };
        let made = match outside {
            Some(value) if between.iter().any(|place| place.is_outside) => {
                let is_outside = table(&between, |place| f64::from(u8::from(place.is_outside)))?;
                where_(is_outside.astype(DType::Bool)?, value, made)?
            }
            _ => made,
        };
        made.moveaxis(-1, axis as i64)
    }
}

fn check_places(x: &[f64], at: &[f64], len: u64) -> Result<(), ArrayError> {
    let misfit = |why: String| Err(ArrayError::Interpolation { why });
    if x.len() as u64 != len || len == 0 {
        let got = x.len();
        return misfit(format!(
            "{got} places for an axis of {len} elements; give one for each of one or more"
        ));
    }
    if let Some(pair) = x
        .windows(2)
        .find(|pair| pair[0].partial_cmp(&pair[1]) != Some(std::cmp::Ordering::Less))
    {
        return misfit(format!(
            "places must rise, but {} follows {}; sort them with the elements",
            pair[1], pair[0]
        ));
    }
    if x.iter().any(|x| !x.is_finite()) || at.iter().any(|at| at.is_nan()) {
        return misfit("places must be numbers, not NaN, and those of the elements finite".into());
    }
    Ok(())
}

/// Where `at` lies among rising places.
fn between(x: &[f64], at: f64) -> Between {
    let after = x.partition_point(|&x| x <= at);
    let lower = after.saturating_sub(1);
    let is_outside = after == 0 || at > x[x.len() - 1];
    let is_exact = is_outside || after == x.len() || x[lower] == at;
    let upper = if is_exact { lower } else { after };
    let distance = |from: usize| if is_exact { 0.0 } else { at - x[from] };
    Between {
        lower,
        upper,
        from_lower: distance(lower),
        from_upper: distance(upper),
        run: if is_exact { 1.0 } else { x[upper] - x[lower] },
        is_outside,
    }
}

/// Along the last axis. NumPy begins at the upper place where the lower one gives no number.
fn linear(y: &Array, between: &[Between]) -> Result<Array, ArrayError> {
    let y = y.astype(DType::Float64)?;
    let take = |of: fn(&Between) -> usize| {
        let places: Vec<i64> = between.iter().map(|place| of(place) as i64).collect();
        y.take(&places, -1)
    };
    let (lower, upper) = (take(|place| place.lower)?, take(|place| place.upper)?);
    let slope = upper
        .subtract(&lower)?
        .divide(table(between, |place| place.run)?)?;
    let line = slope
        .multiply(table(between, |place| place.from_lower)?)?
        .add(&lower)?;
    let other = slope
        .multiply(table(between, |place| place.from_upper)?)?
        .add(&upper)?;
    let other = where_(other.isnan()?.bitwise_and(lower.equal(&upper)?)?, &lower, other)?;
    let line = where_(line.isnan()?, other, line)?;
    let is_exact = table(between, |place| f64::from(u8::from(place.lower == place.upper)))?;
    where_(is_exact.astype(DType::Bool)?, lower, line)
}

fn table(between: &[Between], of: impl Fn(&Between) -> f64) -> Result<Array, ArrayError> {
    let values: Vec<f64> = between.iter().map(of).collect();
    Array::from_slice(&[values.len() as u64], &[Chunks::Whole], &values)
}
