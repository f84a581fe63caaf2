//! Factors, eigenvalues and solutions: LAPACK's answers where numbers are not finite, very large or small, or a matrix is
//! singular.

mod factor;
mod field;
mod lu;

use graticule_ops::LinalgKind;
use num_complex::Complex;

use self::field::Field;

/// What is wrong with a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MatrixProblem {
    /// Its rows depend on each other to the last digit.
    #[error("singular matrix: lstsq or pinv give the nearest solution")]
    Singular,
    /// A pivot is not above zero.
    #[error("matrix is not positive definite: check that it is symmetric, and that its rows are independent")]
    NotPositiveDefinite,
    /// It has NaN or infinities, which an eigenvalue is not made of.
    #[error("the matrix must not contain infs or NaNs")]
    NotFinite,
    /// It has NaN, or the iteration came to no end.
    #[error("did not converge: check the matrix for NaN")]
    NotConverged,
}

/// One matrix, and what stands at its right.
#[derive(Debug, Clone, Copy)]
pub struct Matrices<'a, T> {
    /// The elements, row after row.
    pub x: &'a [T],
    /// Rows of the matrix.
    pub rows: usize,
    /// Columns of the matrix.
    pub columns: usize,
    /// The elements of what stands at the right, row after row; none where the operation takes one matrix.
    pub right: &'a [T],
    /// Columns of what is made.
    pub width: usize,
}

/// The type of a matrix' elements: a float or a complex number of 32 or 64 bits a part.
pub trait Item: Copy + sealed::Sealed {
    /// The type of eigenvalues.
    type Complex;

    /// Makes what an operation makes of the matrix, packed as [`LinalgKind::packed`] says, in `out`, which holds zeros.
    ///
    /// # Errors
    /// [`MatrixProblem`] if there is no such thing for this matrix.
    ///
    /// # Panics
    /// For eigenvalues, which are complex: see [`Item::eig`]. If slices are shorter than rows and columns say.
    fn make(matrices: &Matrices<'_, Self>, kind: LinalgKind, out: &mut [Self]) -> Result<(), MatrixProblem>;

    /// Makes eigenvalues and, below them, a column of length 1 for each, if they are asked for.
    ///
    /// # Errors
    /// [`MatrixProblem`] if there are none.
    ///
    /// # Panics
    /// If slices are shorter than rows and columns say.
    fn eig(
        matrices: &Matrices<'_, Self>,
        with_vectors: bool,
        out: &mut [Self::Complex],
    ) -> Result<(), MatrixProblem>;
}

mod sealed {
    pub trait Sealed {}
}

/// Functions of no type parameters, so that the algorithms are compiled here and not wherever they are used.
macro_rules! items {
    ($($type:ty => $complex:ty),*) => {$(
        impl sealed::Sealed for $type {}

        impl Item for $type {
            type Complex = $complex;

            fn make(
                matrices: &Matrices<'_, Self>,
                kind: LinalgKind,
                out: &mut [Self],
            ) -> Result<(), MatrixProblem> {
                matrices.make(kind, out)
            }

            fn eig(
                matrices: &Matrices<'_, Self>,
                with_vectors: bool,
                out: &mut [$complex],
            ) -> Result<(), MatrixProblem> {
                matrices.eig(with_vectors, out)
            }
        }
    )*};
}

items!(
    f32 => Complex<f32>, f64 => Complex<f64>, Complex<f32> => Complex<f32>, Complex<f64> => Complex<f64>
);

// The methods are for this crate alone.
#[allow(private_bounds)]
impl<T: Field> Matrices<'_, T> {
    fn make(&self, kind: LinalgKind, out: &mut [T]) -> Result<(), MatrixProblem> {
        match kind {
            LinalgKind::Cholesky => self.cholesky(out),
            LinalgKind::Qr { complete } => {
                self.qr(complete, out);
                Ok(())
            }
            LinalgKind::Svd { full_matrices } => self.svd(full_matrices, out),
            LinalgKind::SingularValues => self.singular_values(out),
            LinalgKind::Eigh => self.eigh(true, out),
            LinalgKind::Eigvalsh => self.eigh(false, out),
            LinalgKind::Lu => {
                self.lu(out);
                Ok(())
            }
            LinalgKind::Slogdet => {
                self.slogdet(out);
                Ok(())
            }
            LinalgKind::Inverse => self.inverse(out),
            LinalgKind::Solve => self.solve(out),
            LinalgKind::SolveTriangular { lower, unit_diagonal } => {
                self.solve_triangular(lower, unit_diagonal, out)
            }
            LinalgKind::Eliminate => self.eliminate(out),
            LinalgKind::Times => {
                self.times(out);
                Ok(())
            }
            LinalgKind::Eig | LinalgKind::Eigvals => unreachable!("their results are complex"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small numbers that occur again and again: many eigenvalues are there several times, some without a vector of their own.
    fn coarse_matrix(state: &mut u64, len: usize) -> Vec<f32> {
        let next = || {
            *state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((*state >> 33) % 3) as f32 - 1.0
        };
        std::iter::repeat_with(next).take(len * len).collect()
    }

    #[test]
    fn eigenvectors_of_crowded_eigenvalues_are_some_all_the_same() {
        // The matrix of round 22,605 from 1: of four eigenvalues two are nearly the same, and one vector was none.
        let mut state = 1;
        for round in 0..30_000 {
            let len = 2 + round % 7;
            let x = coarse_matrix(&mut state, len);
            let matrices = Matrices {
                x: &x,
                rows: len,
                columns: len,
                right: &[],
                width: len,
            };
            let mut out = vec![Complex::new(0.0f32, 0.0); len * (len + 1)];
            Item::eig(&matrices, true, &mut out).expect("finite");
            let (values, vectors) = out.split_at(len);
            let norm = x.iter().map(|x| x * x).sum::<f32>().sqrt();
            for column in 0..len {
                let at = |row: usize| vectors[row * len + column];
                for row in 0..len {
                    let product: Complex<f32> = (0..len).map(|k| at(k) * x[row * len + k]).sum();
                    let error = (product - at(row) * values[column]).norm() / (1.0 + norm);
                    assert!(error < 1e-5, "{error} of column {column} of {x:?}");
                }
            }
        }
    }
}
