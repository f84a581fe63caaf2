//! Triangles by elimination, and what they solve.

use faer::{
    Accum, Mat, MatMut, MatRef, Par,
    dyn_stack::{MemBuffer, MemStack},
    linalg::{
        lu::partial_pivoting::factor::{lu_in_place, lu_in_place_scratch},
        matmul::matmul,
        triangular_solve::{
            solve_lower_triangular_in_place, solve_unit_lower_triangular_in_place,
            solve_unit_upper_triangular_in_place, solve_upper_triangular_in_place,
        },
    },
};

use super::{Matrices, MatrixProblem, field::Field};

/// Both triangles in one matrix; the ones on the diagonal of the lower one are left out.
struct Lu<T> {
    triangles: Mat<T>,
    /// For each row of the triangles the one of the matrix.
    order: Vec<usize>,
    /// Whether the order comes of an odd number of swaps.
    is_odd: bool,
}

impl<T: Field> Lu<T> {
    fn new(x: MatRef<'_, T>) -> Self {
        let (rows, columns) = x.shape();
        let mut triangles = x.to_owned();
        let (mut order, mut inverse) = (vec![0usize; rows], vec![0; rows]);
        let scratch = lu_in_place_scratch::<usize, T>(rows, columns, Par::Seq, Default::default());
        let mut memory = MemBuffer::new(scratch);
        let stack = MemStack::new(&mut memory);
        let (info, _) = lu_in_place(
            triangles.as_mut(),
            &mut order,
            &mut inverse,
            Par::Seq,
            stack,
            Default::default(),
        );
        let is_odd = info.transposition_count % 2 == 1;
        let made = Self {
            triangles,
            order,
            is_odd,
        };
        // It divides by a pivot through the pivot's inverse, even by 0; then what follows is worth nothing.
        let is_sound = |pivot: T| Field::is_finite(pivot) && Field::is_finite(T::one_impl() / pivot);
        if made.pivots().all(is_sound) {
            made
        } else {
            Self::step_by_step(x.to_owned())
        }
    }

    /// Elimination that passes over columns without a pivot, as LAPACK's does.
    fn step_by_step(mut x: Mat<T>) -> Self {
        let (rows, columns) = x.shape();
        let (mut order, mut is_odd): (Vec<usize>, bool) = ((0..rows).collect(), false);
        for k in 0..rows.min(columns) {
            // As LAPACK compares complex numbers.
            let magnitude = |row: usize| x[(row, k)].sum_of_parts();
            let greatest = (k + 1..rows).fold(k, |best, row| {
                if magnitude(row) > magnitude(best) {
                    row
                } else {
                    best
                }
            });
            if greatest != k {
                for column in 0..columns {
                    let (a, b) = (x[(k, column)], x[(greatest, column)]);
                    (x[(k, column)], x[(greatest, column)]) = (b, a);
                }
                order.swap(k, greatest);
                is_odd = !is_odd;
            }
            let pivot = x[(k, k)];
            if pivot == T::zero_impl() {
                continue;
            }
            for row in k + 1..rows {
                let factor = x[(row, k)].divided(pivot);
                x[(row, k)] = factor;
                for column in k + 1..columns {
                    let above = x[(k, column)];
                    x[(row, column)] -= factor * above;
                }
            }
        }
        Self {
            triangles: x,
            order,
            is_odd,
        }
    }

    fn pivots(&self) -> impl Iterator<Item = T> {
        let (rows, columns) = self.triangles.shape();
        (0..rows.min(columns)).map(|k| self.triangles[(k, k)])
    }

    /// Solves for a right side whose rows stand in the order of the triangles.
    fn solve(&self, mut right: MatMut<'_, T>) -> Result<(), MatrixProblem> {
        if self.pivots().any(|pivot| pivot == T::zero_impl()) {
            return Err(MatrixProblem::Singular);
        }
        let triangles = self.triangles.as_ref();
        solve_unit_lower_triangular_in_place(triangles, right.as_mut(), Par::Seq);
        solve_upper_triangular_in_place(triangles, right, Par::Seq);
        Ok(())
    }
}

// The methods are for this crate alone.
#[allow(private_bounds)]
impl<T: Field> Matrices<'_, T> {
    fn matrix(&self) -> MatRef<'_, T> {
        MatRef::from_row_major_slice(self.x, self.rows, self.columns)
    }

    pub(super) fn lu(&self, out: &mut [T]) {
        let made = Lu::new(self.matrix());
        let rows = out.chunks_exact_mut(self.width).zip(&made.order).enumerate();
        for (row, (places, &from)) in rows {
            places[0] = T::of_f64(from as f64);
            let places = places[1..].iter_mut().enumerate();
            places.for_each(|(column, place)| *place = made.triangles[(row, column)]);
        }
    }

    /// Does to the columns at the right what was done to those that [`Matrices::lu`] made `x` of.
    pub(super) fn eliminate(&self, out: &mut [T]) -> Result<(), MatrixProblem> {
        let (rows, width) = (self.rows, self.width);
        for (place, from) in out.chunks_exact_mut(width).zip(self.x.chunks_exact(self.columns)) {
            // Only a hand-made program names other rows.
            let from = from[0].real_f64() as usize;
            let from = self.right.get(from.saturating_mul(width)..).unwrap_or_default();
            let from = from.get(..width).ok_or(MatrixProblem::Singular)?;
            place.copy_from_slice(from);
        }
        let inner = self.columns - 1;
        let triangles = MatRef::from_row_major_slice(self.x, rows, self.columns).get(.., 1..);
        let short = inner.min(rows);
        let made = MatMut::from_row_major_slice_mut(out, rows, width);
        let (mut above, below) = made.split_at_row_mut(short);
        let unit = triangles.get(..short, ..short);
        solve_unit_lower_triangular_in_place(unit, above.as_mut(), Par::Seq);
        let lower = triangles.get(short.., ..short);
        let minus = -T::one_impl();
        matmul(below, Accum::Add, lower, above.as_ref(), minus, Par::Seq);
        Ok(())
    }

    /// The matrix times what stands at its right.
    pub(super) fn times(&self, out: &mut [T]) {
        let made = MatMut::from_row_major_slice_mut(out, self.rows, self.width);
        let right = MatRef::from_row_major_slice(self.right, self.columns, self.width);
        let one = T::one_impl();
        matmul(made, Accum::Replace, self.matrix(), right, one, Par::Seq);
    }

    pub(super) fn slogdet(&self, out: &mut [T]) {
        let made = Lu::new(self.matrix());
        let (mut sign, mut logarithm) = (T::of_f64(if made.is_odd { -1.0 } else { 1.0 }), 0.0f64);
        for pivot in made.pivots() {
            if pivot == T::zero_impl() {
                (out[0], out[1]) = (T::zero_impl(), T::of_f64(f64::NEG_INFINITY));
                return;
            }
            // By the greatest part first, so that no square overflows or vanishes.
            let most = pivot.magnitude();
            let turned = pivot.times(1.0 / most);
            let length = turned.abs_f64();
            sign *= turned.times(1.0 / length);
            logarithm += libm::log(most) + libm::log(length);
        }
        out[0] = sign;
        out[1] = T::of_f64(logarithm);
    }

    pub(super) fn inverse(&self, out: &mut [T]) -> Result<(), MatrixProblem> {
        let made = Lu::new(self.matrix());
        for (place, &row) in out.chunks_exact_mut(self.width).zip(&made.order) {
            place[row] = T::one_impl();
        }
        made.solve(MatMut::from_row_major_slice_mut(out, self.rows, self.width))
    }

    pub(super) fn solve(&self, out: &mut [T]) -> Result<(), MatrixProblem> {
        let made = Lu::new(self.matrix());
        for (place, &row) in out.chunks_exact_mut(self.width).zip(&made.order) {
            place.copy_from_slice(&self.right[row * self.width..][..self.width]);
        }
        made.solve(MatMut::from_row_major_slice_mut(out, self.rows, self.width))
    }

    pub(super) fn solve_triangular(
        &self,
        lower: bool,
        unit_diagonal: bool,
        out: &mut [T],
    ) -> Result<(), MatrixProblem> {
        let x = self.matrix();
        if !unit_diagonal && (0..self.rows).any(|k| x[(k, k)] == T::zero_impl()) {
            return Err(MatrixProblem::Singular);
        }
        out.copy_from_slice(self.right);
        let right = MatMut::from_row_major_slice_mut(out, self.rows, self.width);
        match (lower, unit_diagonal) {
            (true, false) => solve_lower_triangular_in_place(x, right, Par::Seq),
            (true, true) => solve_unit_lower_triangular_in_place(x, right, Par::Seq),
            (false, false) => solve_upper_triangular_in_place(x, right, Par::Seq),
            (false, true) => solve_unit_upper_triangular_in_place(x, right, Par::Seq),
        }
        Ok(())
    }
}
