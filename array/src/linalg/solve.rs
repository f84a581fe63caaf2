use graticule_ops::LinalgKind;
use graticule_plan::DType;

use super::linalg;
use crate::{
    Array, ArrayError, Chunks, Over,
    infer::{broadcast_shape, grid_of},
    products::check_summed,
    where_,
};

/// What [`Array::lstsq`] finds.
#[derive(Debug, Clone)]
pub struct LeastSquares {
    /// The solution, of the least norm if there are several.
    pub solution: Array,
    /// For each right side the sum of the squares of what is left of it.
    pub residuals: Array,
    /// How many of the singular values count, int64.
    pub rank: Array,
    /// The singular values, falling.
    pub singular_values: Array,
}

impl Array {
    /// Finds `x` with `self @ x` the right side `b`: a vector if `b` has one axis, else a matrix of as many columns; the
    /// axes before those broadcast.
    ///
    /// A singular matrix fails its task.
    ///
    /// # Errors
    /// [`ArrayError::TooFewAxes`], [`ArrayError::NotSquare`], [`ArrayError::Summed`] if the right side has not as many
    /// rows, [`ArrayError::Broadcast`].
    pub fn solve(&self, b: &Array) -> Result<Array, ArrayError> {
        self.solved(LinalgKind::Solve, b)
    }

    /// Solves as [`Array::solve`] for a matrix of which one triangle alone is read, the lower one or the upper one.
    ///
    /// A 0 on the diagonal fails its task.
    ///
    /// # Errors
    /// As [`Array::solve`].
    pub fn solve_triangular(&self, b: &Array, lower: bool) -> Result<Array, ArrayError> {
        let unit_diagonal = false;
        self.solved(LinalgKind::SolveTriangular { lower, unit_diagonal }, b)
    }

    fn solved(&self, kind: LinalgKind, b: &Array) -> Result<Array, ArrayError> {
        let operation = kind.name();
        let x = self.matrices(kind)?;
        if b.ndim() == 0 {
            return Err(ArrayError::NoAxes { operation });
        }
        let dtype = match (x.dtype(), b.to_float()?.dtype()) {
            (DType::Float32, DType::Float32) => DType::Float32,
            _ => DType::Float64,
        };
        let is_vector = b.ndim() == 1;
        let (x, b) = (x.astype(dtype)?, b.astype(dtype)?);
        let b = if is_vector { b.expand_dims(-1)? } else { b };
        check_summed(operation, x.matrix_shape().1, b.matrix_shape().0)?;
        let made = linalg(kind, side_by_side(&x, &b)?);
        let axis = made.ndim() - 1;
        Ok(if is_vector { made.squeeze_axis(axis) } else { made })
    }

    /// Finds the inverse.
    ///
    /// A singular matrix fails its task.
    ///
    /// # Errors
    /// [`ArrayError::TooFewAxes`], [`ArrayError::NotSquare`].
    pub fn inv(&self) -> Result<Array, ArrayError> {
        let x = self.matrices(LinalgKind::Inverse)?.with_whole_matrices();
        Ok(linalg(LinalgKind::Inverse, vec![x]))
    }

    /// Finds the matrix that undoes this one as far as that can be, through its singular values; those that are not above
    /// `rtol` times the greatest count as 0. `None` stands for the longer axis times the dtype's precision.
    ///
    /// # Errors
    /// As [`Array::svd`].
    pub fn pinv(&self, rtol: Option<f64>) -> Result<Array, ArrayError> {
        self.check_ndim("pinv", 2)?;
        let x = self.to_float()?;
        let (u, values, vh) = x.svd(false)?;
        let inverse = x.inverse_values(&values, rtol)?.expand_dims(-2)?;
        vh.matrix_transpose()?
            .multiply(&inverse)?
            .matmul(&u.matrix_transpose()?)
    }

    /// One over each singular value that counts, 0 for the others.
    fn inverse_values(&self, values: &Array, rtol: Option<f64>) -> Result<Array, ArrayError> {
        let counts = self.significant(values, rtol)?;
        where_(counts.clone(), where_(counts, values, 1.0)?.reciprocal()?, 0.0)
    }

    /// Finds the `x` for which `self @ x` is nearest to the right side `b`, of one or two axes, by the sum of squares.
    ///
    /// Singular values that are not above `rcond` times the greatest count as 0; `None` stands for the longer axis times
    /// the dtype's precision. NumPy gives no residuals where the rank is not full; here they are always there, as in Dask.
    ///
    /// # Errors
    /// [`ArrayError::Dimension`], [`ArrayError::Summed`] if the right side has not as many rows.
    pub fn lstsq(&self, b: &Array, rcond: Option<f64>) -> Result<LeastSquares, ArrayError> {
        let operation = "lstsq";
        let dimension = |array: &Array, want| ArrayError::Dimension {
            operation,
            ndim: array.ndim(),
            want,
        };
        if self.ndim() != 2 {
            return Err(dimension(self, 2));
        }
        if !(1..=2).contains(&b.ndim()) {
            return Err(dimension(b, 2));
        }
        let x = self.to_float()?;
        check_summed(operation, x.shape()[0], b.shape()[0])?;
        let (u, singular_values, vh) = x.svd(false)?;
        let inverse = x.inverse_values(&singular_values, rcond)?;
        let inverse = if b.ndim() == 2 {
            inverse.expand_dims(-1)?
        } else {
            inverse
        };
        let b = b.to_float()?;
        let seen = u.matrix_transpose()?.matmul(&b)?;
        let solution = vh.matrix_transpose()?.matmul(&inverse.multiply(&seen)?)?;
        let left = b.subtract(&x.matmul(&solution)?)?;
        let over = Over::axis(0);
        let over = if b.ndim() == 1 { over.keepdims() } else { over };
        Ok(LeastSquares {
            residuals: left.square()?.sum(&over)?,
            rank: x
                .significant(&singular_values, rcond)?
                .count_nonzero(&Over::axis(-1))?,
            solution,
            singular_values,
        })
    }

    /// Multiplies matrices with themselves, `power` times; with a negative power their inverses, with 0 it gives the
    /// identity.
    ///
    /// # Errors
    /// [`ArrayError::TooFewAxes`], [`ArrayError::NotSquare`].
    pub fn matrix_power(&self, power: i64) -> Result<Array, ArrayError> {
        self.check_square("matrix_power")?;
        if power == 0 {
            let (rows, _) = self.matrix_shape();
            let axes = &self.chunks().axes()[self.ndim() - 2..];
            let chunks: Vec<Chunks> = axes.iter().map(|axis| Chunks::Lengths(axis.lengths())).collect();
            let identity = Array::identity(rows, &chunks, self.dtype())?;
            return Ok(identity.broadcast_to(&self.shape())?.with_grid(self.chunks()));
        }
        let mut square = if power < 0 { self.inv()? } else { self.clone() };
        let (mut left, mut made) = (power.unsigned_abs(), None);
        loop {
            if left & 1 == 1 {
                made = Some(match made {
                    None => square.clone(),
                    Some(made) => square.matmul(&made)?,
                });
            }
            left >>= 1;
            if left == 0 {
                return Ok(made.expect("the highest bit of a power is 1"));
            }
            square = square.matmul(&square)?;
        }
    }
}

/// Matrices and right sides with axes before the last two that are of one shape and cut alike, each in one chunk.
fn side_by_side(x: &Array, b: &Array) -> Result<Vec<Array>, ArrayError> {
    let batch_of = |array: &Array| array.shape()[..array.ndim() - 2].to_vec();
    let batch = broadcast_shape(&[batch_of(x), batch_of(b)])?;
    let spread = |array: &Array| {
        let (rows, columns) = array.matrix_shape();
        array.broadcast_to(&[&batch[..], &[rows, columns]].concat())
    };
    let (x, b) = (spread(x)?.with_whole_matrices(), spread(b)?);
    let mut axes = x.chunks().axes().to_vec();
    let last = axes.len() - 1;
    axes[last] = graticule_plan::AxisChunks::whole(b.shape()[last]);
    let b = b.with_grid(&grid_of(axes));
    Ok(vec![x, b])
}
