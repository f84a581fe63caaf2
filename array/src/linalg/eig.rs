use graticule_ops::LinalgKind;

use super::linalg;
use crate::{Array, ArrayError};

impl Array {
    /// Finds the eigenvalues, in no order, and a column of length 1 for each.
    ///
    /// Both are complex whatever the matrices are, as in the Array API; NumPy gives real ones where none has an imaginary
    /// part, which is not known before they are there. NaN and infinities fail their task, as in NumPy.
    ///
    /// # Errors
    /// [`ArrayError::TooFewAxes`], [`ArrayError::NotSquare`].
    pub fn eig(&self) -> Result<(Array, Array), ArrayError> {
        let x = self.matrices(LinalgKind::Eig)?.with_whole_matrices();
        let (rows, columns) = x.matrix_shape();
        let made = linalg(LinalgKind::Eig, vec![x]);
        Ok((made.row_of(0, columns), made.rows_of(1, rows, columns)))
    }

    /// Finds the eigenvalues, in no order, complex as those of [`Array::eig`].
    ///
    /// # Errors
    /// As [`Array::eig`].
    pub fn eigvals(&self) -> Result<Array, ArrayError> {
        let x = self.matrices(LinalgKind::Eigvals)?.with_whole_matrices();
        let (_, columns) = x.matrix_shape();
        Ok(linalg(LinalgKind::Eigvals, vec![x]).row_of(0, columns))
    }
}
