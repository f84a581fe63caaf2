//! Polynomials fitted along an axis, and their values.

use graticule_plan::DType;

use crate::{Array, ArrayError, Chunks, Index, infer::axis_index, stack, where_};

/// What a pivot of the normal equations may shrink to before there are too few elements for the degree.
const PIVOT_MIN: f64 = 1e-11;

impl Array {
    /// Fits a polynomial of `degree` in `x` along an axis by least squares, float64. The coefficients, the highest power
    /// first, lie along a leading axis in place of the axis: NumPy's `polyfit`. `weights` multiply the distances.
    ///
    /// The places are known as the expression is built, so that a fit is one product with a small matrix, the
    /// pseudo-inverse by orthogonal columns; chunks along the axis are not joined. With `skipna` NaN is left out of each
    /// line for itself, as xarray does, by normal equations in the orthogonal columns; lines with too few elements for the
    /// degree get NaN.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`], [`ArrayError::Fit`] for places or weights that do not fit the axis or the degree.
    pub fn polyfit(
        &self,
        x: &[f64],
        degree: usize,
        axis: i64,
        weights: Option<&[f64]>,
        skipna: bool,
    ) -> Result<Array, ArrayError> {
        self.check_number("polyfit")?;
        let axis = axis_index(axis, self.ndim())?;
        let len = self.shape()[axis];
        for (what, given) in [("places", Some(x)), ("weights", weights)] {
            if let Some(got) = given.map(<[f64]>::len).filter(|&got| got as u64 != len) {
                let why = format!("{got} {what} for an axis of {len} elements; give one for each");
                return Err(ArrayError::Fit { why });
            }
        }
        let basis = Basis::new(x, degree, weights)?;
        let y = self.astype(DType::Float64)?;
        if !skipna {
            return basis.inverse()?.tensordot(&y, &[1], &[axis as i64]);
        }
        let is_valid = y.notnull()?;
        let filled = where_(&is_valid, &y, 0.0)?;
        let counted = is_valid.astype(DType::Float64)?;
        let right = basis.weighted()?.tensordot(&filled, &[1], &[axis as i64])?;
        let left = basis.products()?.tensordot(&counted, &[1], &[axis as i64])?;
        let solved = solved(&left, &right, degree + 1)?;
        basis.back()?.tensordot(&solved, &[1], &[0])
    }

    /// Takes the value of a polynomial at each element: NumPy's `polyval`. Coefficients lie along the first axis of
    /// `coefficients`, the highest power first; its other axes broadcast with this array's.
    ///
    /// # Errors
    /// [`ArrayError::TooFewAxes`] for a coefficient without an axis, [`ArrayError::Broadcast`].
    pub fn polyval(&self, coefficients: &Array) -> Result<Array, ArrayError> {
        let ndim = coefficients.ndim();
        let Some(&count) = coefficients.shape().first() else {
            return Err(ArrayError::TooFewAxes {
                operation: "polyval",
                needed: 1,
                ndim,
            });
        };
        let mut value = self.zeros_like(None);
        for place in 0..count as i64 {
            let coefficient = coefficients.slice(&[Index::At(place)])?;
            value = value.multiply(self)?.add(coefficient)?;
        }
        Ok(value)
    }
}

/// Orthogonal columns that span the weighted powers of the places: `Q R` of their matrix, with columns scaled.
struct Basis {
    /// The columns, each as long as the axis.
    columns: Vec<Vec<f64>>,
    /// The inverse of `R` with the scales undone: from parts of the columns to coefficients, row by row.
    back: Vec<Vec<f64>>,
    weights: Vec<f64>,
}

impl Basis {
    /// By the modified Gram-Schmidt method, each column twice (Giraud, Langou, Rozloznik, 2005: twice is enough).
    fn new(x: &[f64], degree: usize, weights: Option<&[f64]>) -> Result<Self, ArrayError> {
        let weights = weights.map_or_else(|| vec![1.0; x.len()], <[f64]>::to_vec);
        let count = degree + 1;
        let (mut columns, mut scales) = (Vec::<Vec<f64>>::new(), Vec::new());
        let mut upper = vec![vec![0.0; count]; count];
        for power in (0..count as i32).rev() {
            let place = columns.len();
            let mut column: Vec<f64> = x.iter().zip(&weights).map(|(x, w)| x.powi(power) * w).collect();
            let scale = dot(&column, &column).sqrt();
            column.iter_mut().for_each(|value| *value /= scale);
            for _ in 0..2 {
                for (other, done) in columns.iter().enumerate() {
                    let part = dot(done, &column);
                    upper[other][place] += part;
                    column
                        .iter_mut()
                        .zip(done)
                        .for_each(|(value, own)| *value -= part * own);
                }
            }
            let norm = dot(&column, &column).sqrt();
            // As NumPy's `rcond`: below it the powers do not differ at these places.
            if norm.is_nan() || norm <= x.len() as f64 * f64::EPSILON {
                let why = format!(
                    "{} places do not determine a polynomial of degree {degree}: give more that differ, or a lower degree",
                    x.len()
                );
                return Err(ArrayError::Fit { why });
            }
            upper[place][place] = norm;
            column.iter_mut().for_each(|value| *value /= norm);
            columns.push(column);
            scales.push(scale);
        }
        let back = inverse_of_upper(&upper, &scales);
        Ok(Self {
            columns,
            back,
            weights,
        })
    }

    /// From values to coefficients.
    fn inverse(&self) -> Result<Array, ArrayError> {
        let len = self.weights.len();
        let row = |back: &Vec<f64>| {
            (0..len)
                .map(|place| {
                    let parts = back
                        .iter()
                        .zip(&self.columns)
                        .map(|(part, column)| part * column[place]);
                    parts.sum::<f64>() * self.weights[place]
                })
                .collect::<Vec<f64>>()
        };
        matrix(&self.back.iter().map(row).collect::<Vec<_>>())
    }

    /// From values to their parts along the columns.
    fn weighted(&self) -> Result<Array, ArrayError> {
        let weigh = |column: &Vec<f64>| {
            column
                .iter()
                .zip(&self.weights)
                .map(|(value, w)| value * w)
                .collect()
        };
        matrix(&self.columns.iter().map(weigh).collect::<Vec<_>>())
    }

    /// From which elements count to the matrix of the normal equations: its lower half, row by row.
    fn products(&self) -> Result<Array, ArrayError> {
        let pairs = (0..self.columns.len()).flat_map(|row| (0..=row).map(move |column| (row, column)));
        let product = |(a, b): (usize, usize)| {
            let pairs = self.columns[a].iter().zip(&self.columns[b]);
            pairs.map(|(a, b)| a * b).collect()
        };
        matrix(&pairs.map(product).collect::<Vec<_>>())
    }

    fn back(&self) -> Result<Array, ArrayError> {
        matrix(&self.back)
    }
}

/// Solves the normal equations of each line by Cholesky's method, without root; NaN where a pivot is as good as 0.
fn solved(left: &Array, right: &Array, count: usize) -> Result<Array, ArrayError> {
    let at = |array: &Array, place: usize| array.slice(&[Index::At(place as i64)]);
    let (mut lower, mut pivots) = (vec![Vec::<Array>::new(); count], Vec::<Array>::new());
    let mut parts = Vec::<Array>::new();
    for row in 0..count {
        let mut part = at(right, row)?;
        let mut pivot = at(left, row * (row + 1) / 2 + row)?;
        for column in 0..row {
            let mut value = at(left, row * (row + 1) / 2 + column)?;
            for before in 0..column {
                let product = lower[row][before].multiply(&lower[column][before])?;
                value = value.subtract(product.multiply(&pivots[before])?)?;
            }
            let value = value.divide(&pivots[column])?;
            pivot = pivot.subtract(value.square()?.multiply(&pivots[column])?)?;
            part = part.subtract(value.multiply(&parts[column])?)?;
            lower[row].push(value);
        }
        pivots.push(where_(pivot.greater(PIVOT_MIN)?, &pivot, f64::NAN)?);
        parts.push(part);
    }
    let mut solution = Vec::<Array>::new();
    for row in (0..count).rev() {
        let mut value = parts[row].divide(&pivots[row])?;
        for (done, other) in solution.iter().zip((row + 1..count).rev()) {
            value = value.subtract(lower[other][row].multiply(done)?)?;
        }
        solution.push(value);
    }
    solution.reverse();
    stack(&solution, 0)
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// The inverse of an upper triangle, with each row divided by its scale.
fn inverse_of_upper(upper: &[Vec<f64>], scales: &[f64]) -> Vec<Vec<f64>> {
    let count = upper.len();
    let mut inverse = vec![vec![0.0; count]; count];
    (0..count).for_each(|column| {
        for row in (0..=column).rev() {
            let unit = if row == column { 1.0 } else { 0.0 };
            let known: f64 = (row + 1..=column)
                .map(|place| upper[row][place] * inverse[place][column])
                .sum();
            inverse[row][column] = (unit - known) / upper[row][row];
        }
    });
    for (row, scale) in inverse.iter_mut().zip(scales) {
        row.iter_mut().for_each(|value| *value /= scale);
    }
    inverse
}

fn matrix(rows: &[Vec<f64>]) -> Result<Array, ArrayError> {
    let shape = [rows.len() as u64, rows.first().map_or(0, Vec::len) as u64];
    Array::from_slice(&shape, &[Chunks::Whole, Chunks::Whole], &rows.concat())
}
