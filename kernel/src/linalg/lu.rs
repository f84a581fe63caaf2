//! Triangles by elimination, and what they solve.

use faer::{
    Mat, MatMut, MatRef, Par,
    dyn_stack::{MemBuffer, MemStack},
    linalg::{
        lu::partial_pivoting::factor::{lu_in_place, lu_in_place_scratch},
        triangular_solve::{
            solve_lower_triangular_in_place, solve_unit_lower_triangular_in_place,
            solve_unit_upper_triangular_in_place, solve_upper_triangular_in_place,
        },
    },
};

use super::{Matrices, field::Field};
use crate::MatrixProblem;

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
        let is_sound = |pivot: T| pivot.is_finite() && (T::one() / pivot).is_finite();
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
            let magnitude = |row: usize| x[(row, k)].to_f64().abs();
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
            if pivot == T::zero() {
                continue;
            }
            for row in k + 1..rows {
                let factor = x[(row, k)] / pivot;
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
        if self.pivots().any(|pivot| pivot == T::zero()) {
            return Err(MatrixProblem::Singular);
        }
        let triangles = self.triangles.as_ref();
        solve_unit_lower_triangular_in_place(triangles, right.as_mut(), Par::Seq);
        solve_upper_triangular_in_place(triangles, right, Par::Seq);
        Ok(())
    }
}

impl<T: Field> Matrices<'_, T> {
    fn matrix(&self) -> MatRef<'_, T> {
        MatRef::from_row_major_slice(self.x, self.rows, self.columns)
    }

    pub(super) fn lu(&self, out: &mut [T]) {
        let made = Lu::new(self.matrix());
        let (rows, columns, width) = (self.rows, self.columns, self.width);
        let short = rows.min(columns);
        let (order, rest) = out.split_at_mut(width);
        (order.iter_mut().zip(&made.order)).for_each(|(place, &row)| *place = T::of_f64(row as f64));
        let (lower, upper) = rest.split_at_mut(rows * width);
        for (row, places) in lower.chunks_exact_mut(width).enumerate() {
            (0..short.min(row)).for_each(|column| places[column] = made.triangles[(row, column)]);
            if row < short {
                places[row] = T::one();
            }
        }
        for (row, places) in upper.chunks_exact_mut(width).enumerate() {
            (row..columns).for_each(|column| places[column] = made.triangles[(row, column)]);
        }
    }

    pub(super) fn slogdet(&self, out: &mut [T]) {
        let made = Lu::new(self.matrix());
        let (mut is_negative, mut logarithm) = (made.is_odd, 0.0f64);
        for pivot in made.pivots() {
            if pivot == T::zero() {
                (out[0], out[1]) = (T::zero(), T::of_f64(f64::NEG_INFINITY));
                return;
            }
            is_negative ^= pivot < T::zero();
            logarithm += libm::log(pivot.to_f64().abs());
        }
        out[0] = if is_negative { -T::one() } else { T::one() };
        out[1] = T::of_f64(logarithm);
    }

    pub(super) fn inverse(&self, out: &mut [T]) -> Result<(), MatrixProblem> {
        let made = Lu::new(self.matrix());
        for (place, &row) in out.chunks_exact_mut(self.width).zip(&made.order) {
            place[row] = T::one();
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
        if !unit_diagonal && (0..self.rows).any(|k| x[(k, k)] == T::zero()) {
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
