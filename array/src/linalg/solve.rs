use graticule_ops::{LinalgKind, promote};
use graticule_plan::AxisChunks;

use super::{blocks::Triangle, linalg, linalg_dimension};
use crate::{
    Array, ArrayError, Chunks, Over,
    infer::{broadcast_shape, from_lengths, grid_of, tidy},
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
    /// A matrix in several chunks is eliminated as [`Array::lu`] does it. A singular one fails its task.
    ///
    /// # Errors
    /// [`ArrayError::TooFewAxes`], [`ArrayError::NotSquare`], [`ArrayError::Summed`] if the right side has not as many
    /// rows, [`ArrayError::Broadcast`].
    pub fn solve(&self, b: &Array) -> Result<Array, ArrayError> {
        self.solved(LinalgKind::Solve, b)
    }

    /// Solves as [`Array::solve`] for a matrix of which one triangle alone is read, the lower one or the upper one.
    ///
    /// A matrix in several chunks goes by blocks. A 0 on the diagonal fails its task.
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
        b.check_precision(operation)?;
        let dtype = promote(x.dtype(), b.to_float()?.dtype())?;
        let is_vector = b.ndim() == 1;
        let (x, b) = (x.astype(dtype)?, b.astype(dtype)?);
        let b = if is_vector { b.expand_dims(-1)? } else { b };
        check_summed(operation, x.matrix_shape().1, b.matrix_shape().0)?;
        let made = match (x.square_blocks(), kind) {
            (Some(lengths), LinalgKind::SolveTriangular { lower, unit_diagonal }) => {
                let (x, b) = spread(&x, &b)?;
                let triangle = Triangle { lower, unit_diagonal };
                x.solve_by_blocks(triangle, &b, &lengths)?
            }
            (Some(lengths), _) => {
                let (x, b) = spread(&x, &b)?;
                x.solve_by_panels(&b, &lengths)?
            }
            (None, _) => linalg(kind, side_by_side(&x, &b)?),
        };
        let axis = made.ndim() - 1;
        Ok(if is_vector { made.squeeze_axis(axis) } else { made })
    }

    /// Finds the inverse.
    ///
    /// A matrix in several chunks is solved for the columns of the identity, as [`Array::solve`] does it. A singular one
    /// fails its task.
    ///
    /// # Errors
    /// [`ArrayError::TooFewAxes`], [`ArrayError::NotSquare`].
    pub fn inv(&self) -> Result<Array, ArrayError> {
        let x = self.matrices(LinalgKind::Inverse)?;
        let Some(lengths) = x.square_blocks() else {
            return Ok(linalg(LinalgKind::Inverse, vec![x.with_whole_matrices()]));
        };
        let identity = x.identity_beside(tidy(&from_lengths(&lengths)))?;
        x.solve_by_panels(&identity, &lengths)
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
        vh.adjoint()?.multiply(&inverse)?.matmul(&u.adjoint()?)
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
        linalg_dimension(operation, self, 2)?;
        if b.ndim() != 1 {
            linalg_dimension(operation, b, 2)?;
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
        b.check_precision(operation)?;
        let b = b.to_float()?;
        let seen = u.adjoint()?.matmul(&b)?;
        let solution = vh.adjoint()?.matmul(&inverse.multiply(&seen)?)?;
        let left = b.subtract(&x.matmul(&solution)?)?;
        let over = Over::axis(0);
        let over = if b.ndim() == 1 { over.keepdims() } else { over };
        Ok(LeastSquares {
            residuals: left.squared_magnitude()?.sum(&over)?,
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
    let (x, b) = broadcast(x, b)?;
    let x = x.with_whole_matrices();
    let columns = AxisChunks::whole(b.matrix_shape().1);
    let b = beside(&x, &b, (x.block_axes().0.clone(), columns));
    Ok(vec![x, b])
}

/// Matrices and right sides with axes before the last two that are of one shape and cut alike.
fn spread(x: &Array, b: &Array) -> Result<(Array, Array), ArrayError> {
    let (x, b) = broadcast(x, b)?;
    let own = b.block_axes();
    let b = beside(&x, &b, (own.0.clone(), own.1.clone()));
    Ok((x, b))
}

fn broadcast(x: &Array, b: &Array) -> Result<(Array, Array), ArrayError> {
    let batch_of = |array: &Array| array.shape()[..array.ndim() - 2].to_vec();
    let batch = broadcast_shape(&[batch_of(x), batch_of(b)])?;
    let spread = |array: &Array| {
        let (rows, columns) = array.matrix_shape();
        array.broadcast_to(&[&batch[..], &[rows, columns]].concat())
    };
    Ok((spread(x)?, spread(b)?))
}

/// The right sides cut as the matrices are along the axes before the last two, and as is said along those.
fn beside(x: &Array, b: &Array, (rows, columns): (AxisChunks, AxisChunks)) -> Array {
    let mut axes = x.chunks().axes()[..x.ndim() - 2].to_vec();
    axes.extend([rows, columns]);
    b.with_grid(&grid_of(axes))
}
