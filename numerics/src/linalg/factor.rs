//! Triangles, orthogonal factors, singular values and eigenvalues.

use std::cmp::Ordering;

use faer::{
    Mat, MatRef, Side,
    linalg::solvers::{Llt, Qr, SelfAdjointEigen, Svd},
    traits::math_utils::{imag, real},
};
use num_complex::Complex;

use super::{
    Matrices, MatrixProblem,
    field::{Field, Scaled, put},
};

// The methods are for this crate alone.
#[allow(private_bounds)]
impl<T: Field> Matrices<'_, T> {
    fn at(&self, row: usize, column: usize) -> T {
        self.x[row * self.columns + column]
    }

    fn scaled(&self) -> Scaled<T> {
        Scaled::new(self.rows, self.columns, |row, column| self.at(row, column))
    }

    fn is_finite(&self) -> bool {
        self.x.iter().all(|x| x.is_finite())
    }

    /// Whether all that stands on the diagonal and below it is a finite number.
    fn is_lower_finite(&self) -> bool {
        let rows = self.x.chunks_exact(self.columns).enumerate();
        rows.into_iter()
            .all(|(row, elements)| elements[..=row].iter().all(|x| x.is_finite()))
    }

    /// The factor; of numbers that are not finite come some that are not, as LAPACK's kernels do it.
    pub(super) fn cholesky(&self, out: &mut [T]) -> Result<(), MatrixProblem> {
        let x = MatRef::from_row_major_slice(self.x, self.rows, self.columns);
        match Llt::new(x, Side::Lower) {
            Ok(made) => put(made.L(), self.width, out),
            Err(_) if self.is_lower_finite() => return Err(MatrixProblem::NotPositiveDefinite),
            Err(_) => {
                let rows = out.chunks_exact_mut(self.width).enumerate();
                rows.for_each(|(row, places)| places[..=row].fill(T::NAN));
            }
        }
        Ok(())
    }

    pub(super) fn qr(&self, complete: bool, out: &mut [T]) {
        let (inner, below) = match complete {
            true => (self.rows, self.rows * self.width),
            false => (self.rows.min(self.columns), self.rows * self.width),
        };
        if !self.is_finite() {
            let rows = out[..below].chunks_exact_mut(self.width);
            rows.for_each(|places| places[..inner].fill(T::NAN));
            let rows = out[below..].chunks_exact_mut(self.width).enumerate();
            rows.for_each(|(row, places)| places[row.min(self.columns)..self.columns].fill(T::NAN));
            return;
        }
        if inner == 0 {
            return;
        }
        let scaled = self.scaled();
        let made = Qr::new(scaled.matrix.as_ref());
        let q = if complete {
            made.compute_Q()
        } else {
            made.compute_thin_Q()
        };
        put(q.as_ref(), self.width, out);
        let r = made.thin_R();
        let rows = out[below..].chunks_exact_mut(self.width).enumerate();
        for (row, places) in rows.take(r.nrows()) {
            for (column, place) in places.iter_mut().enumerate().take(self.columns).skip(row) {
                *place = scaled.unscaled(r[(row, column)]);
            }
        }
    }

    /// Whether there is something to iterate over; else `out` holds what NumPy's routines leave of such numbers.
    fn may_iterate(&self, out: &mut [T]) -> Result<bool, MatrixProblem> {
        if self.x.iter().any(|x| x.is_nan()) {
            return Err(MatrixProblem::NotConverged);
        }
        let is_finite = self.is_finite();
        if !is_finite {
            out.fill(T::NAN);
        }
        Ok(is_finite)
    }

    pub(super) fn svd(&self, full_matrices: bool, out: &mut [T]) -> Result<(), MatrixProblem> {
        if !self.may_iterate(out)? {
            return Ok(());
        }
        let scaled = self.scaled();
        let x = scaled.matrix.as_ref();
        let made = match full_matrices {
            true => Svd::new(x),
            false => Svd::new_thin(x),
        };
        let made = made.map_err(|_| MatrixProblem::NotConverged)?;
        put(made.U(), self.width, out);
        let (values, right) = out[self.rows * self.width..].split_at_mut(self.width);
        let singular = made.S().column_vector().iter();
        (values.iter_mut().zip(singular)).for_each(|(place, &value)| *place = scaled.unscaled(value));
        for (row, places) in right.chunks_exact_mut(self.width).enumerate() {
            for (column, place) in places.iter_mut().enumerate().take(self.columns) {
                *place = made.V()[(column, row)].conjugate();
            }
        }
        Ok(())
    }

    pub(super) fn singular_values(&self, out: &mut [T]) -> Result<(), MatrixProblem> {
        if !self.may_iterate(out)? {
            return Ok(());
        }
        let scaled = self.scaled();
        let made = scaled.matrix.singular_values();
        let made = made.map_err(|_| MatrixProblem::NotConverged)?;
        (out.iter_mut().zip(made)).for_each(|(place, value)| *place = scaled.real(value));
        Ok(())
    }

    pub(super) fn eigh(&self, with_vectors: bool, out: &mut [T]) -> Result<(), MatrixProblem> {
        if !self.is_lower_finite() {
            out.fill(T::NAN);
            return Ok(());
        }
        let lower = |row: usize, column: usize| match row.cmp(&column) {
            Ordering::Less => self.at(column, row).conjugate(),
            Ordering::Equal => self.at(row, row).real_part(),
            Ordering::Greater => self.at(row, column),
        };
        let scaled = Scaled::new(self.rows, self.columns, lower);
        let (values, vectors) = out.split_at_mut(self.width);
        if with_vectors {
            let made = SelfAdjointEigen::new(scaled.matrix.as_ref(), Side::Lower)
                .map_err(|_| MatrixProblem::NotConverged)?;
            let eigen = made.S().column_vector().iter();
            (values.iter_mut().zip(eigen)).for_each(|(place, &value)| *place = scaled.unscaled(value));
            put(made.U(), self.width, vectors);
        } else {
            let made = scaled.matrix.self_adjoint_eigenvalues(Side::Lower);
            let made = made.map_err(|_| MatrixProblem::NotConverged)?;
            (values.iter_mut().zip(made)).for_each(|(place, value)| *place = scaled.real(value));
        }
        Ok(())
    }

    /// Eigenvalues and, below them, a column of length 1 for each, if they are asked for.
    pub(super) fn eig(&self, with_vectors: bool, out: &mut [Complex<T::Real>]) -> Result<(), MatrixProblem>
    where
        Complex<T::Real>: Field,
    {
        if !self.is_finite() {
            return Err(MatrixProblem::NotFinite);
        }
        let scaled = self.scaled();
        let x = scaled.matrix.as_ref();
        let (values, vectors) = out.split_at_mut(self.width);
        if !with_vectors {
            let made = x.eigenvalues().map_err(|_| MatrixProblem::NotConverged)?;
            (values.iter_mut().zip(made)).for_each(|(place, value)| *place = scaled.unscaled(value));
            return Ok(());
        }
        let made = x.eigen().map_err(|_| MatrixProblem::NotConverged)?;
        let eigen = made.S().column_vector().iter();
        (values.iter_mut().zip(eigen)).for_each(|(place, &value)| *place = scaled.unscaled(value));
        let columns = made.U();
        for column in 0..self.columns {
            let elements = || (0..self.rows).map(|row| columns[(row, column)]);
            let greatest = elements().fold(0.0f64, |most, x| most.max(x.magnitude()));
            let scale = 1.0 / if greatest > 0.0 { greatest } else { 1.0 };
            let squares = elements().map(|x| {
                let x = x.times(scale);
                x.re.into() * x.re.into() + x.im.into() * x.im.into()
            });
            let length = squares.sum::<f64>().sqrt();
            let value = made.S().column_vector()[column];
            let mut vector: Vec<_> = elements().map(|x| x.times(scale).times(1.0 / length)).collect();
            if length.is_nan() || length == 0.0 || !is_eigenvector(x, value, &vector) {
                // Of eigenvalues that are there several times, or nearly, a vector may fail.
                vector = least_stretched(x, value)?;
            }
            let places = vectors.chunks_exact_mut(self.width).zip(vector);
            places.for_each(|(row, x)| row[column] = x);
        }
        Ok(())
    }
}

/// Whether `x` makes of a vector of length 1 a value times it, but for rounding: to a hundred times what one operation on the
/// whole of `x` rounds.
fn is_eigenvector<T: Field>(x: MatRef<'_, T>, value: Complex<T::Real>, vector: &[Complex<T::Real>]) -> bool
where
    Complex<T::Real>: Field,
{
    let wide = |x: Complex<T::Real>| Complex::<f64>::new(x.re.into(), x.im.into());
    let digit = match size_of::<T::Real>() {
        4 => f64::from(f32::EPSILON),
        _ => f64::EPSILON,
    };
    let (mut error, mut norm) = (0.0, 0.0);
    for (row, own) in vector.iter().enumerate() {
        let mut product = -wide(value) * wide(*own);
        for (column, factor) in vector.iter().enumerate() {
            let element = &x[(row, column)];
            let element = wide(Complex::new(real(element), imag(element)));
            product += element * wide(*factor);
            norm += element.norm_sqr();
        }
        error += product.norm_sqr();
    }
    error <= norm * (100.0 * digit).powi(2)
}

/// The vector of length 1 that `x`, less an eigenvalue on its diagonal, makes shortest.
fn least_stretched<T: Field>(
    x: MatRef<'_, T>,
    value: Complex<T::Real>,
) -> Result<Vec<Complex<T::Real>>, MatrixProblem>
where
    Complex<T::Real>: Field,
{
    let len = x.nrows();
    let less = Mat::from_fn(len, len, |row, column| {
        let element = &x[(row, column)];
        let element = Complex::new(real(element), imag(element));
        if row == column { element - value } else { element }
    });
    let made = Svd::new(less.as_ref()).map_err(|_| MatrixProblem::NotConverged)?;
    Ok((0..len).map(|row| made.V()[(row, len - 1)]).collect())
}
