//! Linear algebra: factors of matrices and what is made of them, on stacks of matrices.
//!
//! The last two axes are rows and columns. A task makes all results of a factorization at once, one below the other
//! ([`LinalgKind::packed`]); each result is a slice of that.

mod factor;
mod norm;
mod products;
mod solve;

pub use norm::NormOrder;
pub use solve::LeastSquares;

use graticule_ops::LinalgKind;
use graticule_plan::{AxisChunks, DType};

use crate::{Array, ArrayError, WORKING_SET_BYTES, chunking::shrink, expression::Op, infer::grid_of};

/// Applies an operation to matrices, and to what stands at their right, whose other axes are cut alike.
fn linalg(kind: LinalgKind, operands: Vec<Array>) -> Array {
    let x = &operands[0];
    let mut axes = x.chunks().axes().to_vec();
    let at = axes.len() - 2;
    let right = operands.get(1).map_or(0, |right| right.shape()[at + 1]);
    let (rows, columns) = kind.packed(x.shape()[at], x.shape()[at + 1], right);
    (axes[at], axes[at + 1]) = (AxisChunks::whole(rows), AxisChunks::whole(columns));
    let dtype = x.dtype();
    Array::new(Op::Linalg(kind), operands, dtype, grid_of(axes))
}

impl Array {
    /// The array in the dtype in which NumPy factorizes it, after a check of its axes.
    fn matrices(&self, kind: LinalgKind) -> Result<Array, ArrayError> {
        self.check_number(kind.name())?;
        let operation = kind.name();
        self.check_ndim(operation, 2)?;
        if kind.needs_square() {
            self.check_square(operation)?;
        }
        self.to_float()
    }

    fn check_square(&self, operation: &'static str) -> Result<(), ArrayError> {
        self.check_ndim(operation, 2)?;
        match self.shape()[..] {
            [.., rows, columns] if rows == columns => Ok(()),
            _ => Err(ArrayError::NotSquare {
                operation,
                shape: self.shape(),
            }),
        }
    }

    /// The array in float32 if it is, else in float64.
    fn to_float(&self) -> Result<Array, ArrayError> {
        match self.dtype() {
            DType::Float32 => Ok(self.clone()),
            _ => self.astype(DType::Float64),
        }
    }

    /// The array with each matrix in one chunk, and so many of them that a task's working set is not too large.
    fn with_whole_matrices(&self) -> Array {
        let mut axes = self.chunks().axes().to_vec();
        let at = axes.len() - 2;
        if axes[at..].iter().all(|axis| axis.count() == 1) {
            return self.clone();
        }
        (axes[at..].iter_mut()).for_each(|axis| *axis = AxisChunks::whole(axis.len()));
        let others: Vec<usize> = (0..at).collect();
        let origin = &self.0.origin;
        let item_bytes = origin.element_bytes.max(self.dtype().size_bytes());
        shrink(&mut axes, &others, &origin.tile, item_bytes, WORKING_SET_BYTES);
        self.with_grid(&grid_of(axes))
    }

    /// Rows and columns of each matrix.
    fn matrix_shape(&self) -> (u64, u64) {
        let shape = self.shape();
        (shape[shape.len() - 2], shape[shape.len() - 1])
    }

    /// Some rows and the first columns of each matrix.
    fn rows_of(&self, start: u64, rows: u64, columns: u64) -> Array {
        let at = self.ndim() - 2;
        self.part(at, start, rows).part(at + 1, 0, columns)
    }

    /// The first elements of a row of each matrix, without the axis of rows.
    fn row_of(&self, row: u64, columns: u64) -> Array {
        self.rows_of(row, 1, columns).squeeze_axis(self.ndim() - 2)
    }
}
