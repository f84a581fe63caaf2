use graticule_ops::{BinaryOp, LinalgKind};

use super::linalg;
use crate::{Array, ArrayError, Over, binary};

impl Array {
    /// Finds the lower triangle `L` with `L` times its adjoint the matrix, or the upper one, which is that adjoint.
    ///
    /// The lower triangle of the matrix alone is read, as NumPy does. A matrix in several chunks goes by blocks. One that is
    /// not positive definite fails its task.
    ///
    /// # Errors
    /// [`ArrayError::TooFewAxes`], [`ArrayError::NotSquare`].
    pub fn cholesky(&self, upper: bool) -> Result<Array, ArrayError> {
        let x = self.matrices(LinalgKind::Cholesky)?;
        let lower = match x.square_blocks() {
            Some(lengths) => x.cholesky_by_blocks(&lengths)?,
            None => linalg(LinalgKind::Cholesky, vec![x.with_whole_matrices()]),
        };
        if upper { lower.adjoint() } else { Ok(lower) }
    }

    /// Finds `q`, whose columns are orthonormal, and the upper triangle `r`, with `q @ r` the matrix: of as many columns
    /// and rows as its shorter axis has, or, if `complete`, of as many as it has rows.
    ///
    /// Matrices that are cut along their longer axis alone go by blocks, as [`Array::tsqr`] or [`Array::sfqr`], unless
    /// `complete`; others are rechunked to one chunk.
    ///
    /// # Errors
    /// [`ArrayError::TooFewAxes`].
    pub fn qr(&self, complete: bool) -> Result<(Array, Array), ArrayError> {
        let x = self.matrices(LinalgKind::Qr { complete })?;
        if complete {
            return x.whole_qr(complete);
        }
        if let Some(blocks) = x.tall_blocks() {
            return x.tall_qr(blocks);
        }
        match x.flat_start() {
            Some(first) => x.flat_qr(first),
            None => x.whole_qr(complete),
        }
    }

    /// Finds `u`, the singular values `s`, falling, and `vh`, with `(u * s) @ vh` the matrix; `full_matrices` makes `u`
    /// and `vh` square.
    ///
    /// Matrices that are cut along their longer axis alone go by blocks, by the triangle of [`Array::tsqr`], unless `u` and
    /// `vh` shall be square; others are rechunked to one chunk. NaN fails its task, as in NumPy.
    ///
    /// # Errors
    /// [`ArrayError::TooFewAxes`].
    pub fn svd(&self, full_matrices: bool) -> Result<(Array, Array, Array), ArrayError> {
        let x = self.matrices(LinalgKind::Svd { full_matrices })?;
        if !full_matrices && let Some(made) = x.long_svd()? {
            return Ok(made);
        }
        x.whole_svd(full_matrices)
    }

    /// [`Array::svd`] of matrices in one chunk each.
    pub(super) fn whole_svd(&self, full_matrices: bool) -> Result<(Array, Array, Array), ArrayError> {
        let x = self.with_whole_matrices();
        let (rows, columns) = x.matrix_shape();
        let short = rows.min(columns);
        let (left, right) = if full_matrices {
            (rows, columns)
        } else {
            (short, short)
        };
        let made = linalg(LinalgKind::Svd { full_matrices }, vec![x]);
        Ok((
            made.rows_of(0, rows, left),
            made.row_of(rows, short).real_part()?,
            made.rows_of(rows + 1, right, columns),
        ))
    }

    /// Finds the singular values, falling; by blocks where [`Array::svd`] does.
    ///
    /// # Errors
    /// As [`Array::svd`].
    pub fn svdvals(&self) -> Result<Array, ArrayError> {
        let kind = LinalgKind::SingularValues;
        let x = self.matrices(kind)?;
        if let Some((_, values, _)) = x.long_svd()? {
            return Ok(values);
        }
        let x = x.with_whole_matrices();
        let (rows, columns) = x.matrix_shape();
        linalg(kind, vec![x]).row_of(0, rows.min(columns)).real_part()
    }

    /// Finds the eigenvalues of symmetric or Hermitian matrices, rising, and a column of a matrix for each.
    ///
    /// The lower triangle alone is read, as NumPy does unless it is told otherwise.
    ///
    /// # Errors
    /// [`ArrayError::TooFewAxes`], [`ArrayError::NotSquare`].
    pub fn eigh(&self) -> Result<(Array, Array), ArrayError> {
        let x = self.matrices(LinalgKind::Eigh)?.with_whole_matrices();
        let (rows, columns) = x.matrix_shape();
        let made = linalg(LinalgKind::Eigh, vec![x]);
        Ok((
            made.row_of(0, columns).real_part()?,
            made.rows_of(1, rows, columns),
        ))
    }

    /// Finds the eigenvalues of symmetric or Hermitian matrices, rising.
    ///
    /// # Errors
    /// As [`Array::eigh`].
    pub fn eigvalsh(&self) -> Result<Array, ArrayError> {
        let x = self.matrices(LinalgKind::Eigvalsh)?.with_whole_matrices();
        let (_, columns) = x.matrix_shape();
        linalg(LinalgKind::Eigvalsh, vec![x])
            .row_of(0, columns)
            .real_part()
    }

    /// Finds the sign of the determinant and the logarithm of its magnitude, which does not overflow.
    ///
    /// # Errors
    /// [`ArrayError::TooFewAxes`], [`ArrayError::NotSquare`].
    pub fn slogdet(&self) -> Result<(Array, Array), ArrayError> {
        let x = self.matrices(LinalgKind::Slogdet)?.with_whole_matrices();
        let made = linalg(LinalgKind::Slogdet, vec![x]);
        let part = |row: u64| made.row_of(row, 1).squeeze_axis(made.ndim() - 2);
        Ok((part(0), part(1).real_part()?))
    }

    /// Finds the determinant, as NumPy does by way of its logarithm.
    ///
    /// # Errors
    /// As [`Array::slogdet`].
    pub fn det(&self) -> Result<Array, ArrayError> {
        self.check_square("det")?;
        let (sign, logarithm) = self.slogdet()?;
        sign.multiply(&logarithm.exp()?)
    }

    /// Counts the singular values that are above `rtol` times the greatest one, int64; `None` stands for the longer axis
    /// times the dtype's precision. Of an array of one axis or none: whether any element is not 0.
    ///
    /// # Errors
    /// As [`Array::svd`].
    pub fn matrix_rank(&self, rtol: Option<f64>) -> Result<Array, ArrayError> {
        if self.ndim() < 2 {
            return self.any(&Over::all())?.astype(graticule_plan::DType::Int64);
        }
        let values = self.svdvals()?;
        self.to_float()?
            .significant(&values, rtol)?
            .count_nonzero(&Over::axis(-1))
    }

    /// Which of the matrices' singular values count: those that are above `rtol` times the greatest.
    pub(super) fn significant(&self, values: &Array, rtol: Option<f64>) -> Result<Array, ArrayError> {
        let (rows, columns) = self.matrix_shape();
        if rows.min(columns) == 0 {
            return values.greater(0.0);
        }
        let precision = match self.dtype() {
            graticule_plan::DType::Float32 | graticule_plan::DType::Complex64 => f64::from(f32::EPSILON),
            _ => f64::EPSILON,
        };
        let rtol = rtol.unwrap_or(rows.max(columns) as f64 * precision);
        let least = values.max(&Over::axis(-1).keepdims())?.multiply(rtol)?;
        binary(BinaryOp::Greater, values, &least)
    }
}
