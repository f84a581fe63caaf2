//! Linear algebra: factors of matrices and what is made of them, on stacks of matrices.
//!
//! The last two axes are rows and columns. A matrix in one chunk is factorised by one task, which makes all results at once,
//! one below the other ([`LinalgKind::packed`]); each result is a slice of that. A matrix in several chunks goes by blocks
//! where there is a way ([`tall`], [`blocks`], [`lu`]), else it is rechunked to one.

mod blocks;
mod compressed;
mod eig;
mod factor;
mod lu;
mod norm;
mod products;
mod solve;
mod tall;

pub use compressed::Compression;
pub use norm::NormOrder;
pub use solve::LeastSquares;

use graticule_ops::{LinalgKind, OpsError};
use graticule_plan::{AxisChunks, DType};

use crate::{
    Array, ArrayError, WORKING_SET_BYTES,
    chunking::shrink,
    expression::Op,
    infer::{from_lengths, grid_of, tidy},
};

/// Blocks of a chunked matrix that have fewer rows or columns are put together with their neighbours: the tasks of a
/// factorization grow with the third power of their number.
const BLOCK_LEN_MIN: u64 = 64;

/// Applies an operation to the matrix in each block, and to what stands at its right, whose other axes are cut alike; the
/// matrices have their columns in one chunk.
fn linalg(kind: LinalgKind, operands: Vec<Array>) -> Array {
    let x = &operands[0];
    let mut axes = x.chunks().axes().to_vec();
    let at = axes.len() - 2;
    let columns = x.shape()[at + 1];
    let right = operands.get(1).map(|right| right.chunks().axes()[at + 1].clone());
    let packed = |rows: u64, right: u64| kind.packed(rows, columns, right);
    let (first, beside) = (axes[at].extent(0).end, right.as_ref().map_or(0, AxisChunks::len));
    let rows = axes[at].lengths().into_iter().map(|rows| packed(rows, beside).0);
    axes[at] = tidy(&from_lengths(&rows.collect::<Vec<_>>()));
    axes[at + 1] = match right {
        Some(right) => right,
        None => AxisChunks::whole(packed(first, beside).1),
    };
    let dtype = kind.dtype(x.dtype());
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
        self.check_precision(operation)?;
        self.to_float()
    }

    /// Refuses float16, as NumPy does.
    fn check_precision(&self, operation: &'static str) -> Result<(), ArrayError> {
        match self.dtype() {
            DType::Float16 => Err(OpsError::DType {
                operation,
                dtype: self.dtype(),
                hint: ": it is too coarse for linear algebra; convert it to float32 first",
            }
            .into()),
            _ => Ok(()),
        }
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

    /// The array as it is if it is of floats or complex numbers, else in float64.
    fn to_float(&self) -> Result<Array, ArrayError> {
        if self.dtype().is_inexact() {
            return Ok(self.clone());
        }
        self.astype(DType::Float64)
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

    /// The same matrices, their rows and columns cut so.
    fn with_blocks(&self, rows: AxisChunks, columns: AxisChunks) -> Array {
        let mut axes = self.chunks().axes().to_vec();
        let at = axes.len() - 2;
        (axes[at], axes[at + 1]) = (rows, columns);
        self.with_grid(&grid_of(axes))
    }

    /// How rows and columns of each matrix are cut.
    fn block_axes(&self) -> (&AxisChunks, &AxisChunks) {
        let axes = self.chunks().axes();
        (&axes[axes.len() - 2], &axes[axes.len() - 1])
    }

    /// Rows and columns of each matrix.
    fn matrix_shape(&self) -> (u64, u64) {
        let shape = self.shape();
        (shape[shape.len() - 2], shape[shape.len() - 1])
    }

    /// Some rows and the first columns of each matrix.
    fn rows_of(&self, start: u64, rows: u64, columns: u64) -> Array {
        self.box_of((start, rows), (0, columns))
    }

    /// Some rows and columns of each matrix, by the first and the number of them.
    fn box_of(&self, rows: (u64, u64), columns: (u64, u64)) -> Array {
        let at = self.ndim() - 2;
        self.part(at, rows.0, rows.1).part(at + 1, columns.0, columns.1)
    }

    /// The first elements of a row of each matrix, without the axis of rows.
    fn row_of(&self, row: u64, columns: u64) -> Array {
        self.rows_of(row, 1, columns).squeeze_axis(self.ndim() - 2)
    }

    /// The real part; of real numbers they themselves.
    fn real_part(&self) -> Result<Array, ArrayError> {
        if self.dtype().is_complex() {
            self.real()
        } else {
            Ok(self.clone())
        }
    }

    /// Each matrix transposed and conjugated.
    fn adjoint(&self) -> Result<Array, ArrayError> {
        self.conjugated()?.matrix_transpose()
    }
}

/// Checks the number of axes.
fn linalg_dimension(operation: &'static str, array: &Array, want: usize) -> Result<(), ArrayError> {
    let ndim = array.ndim();
    if ndim == want {
        return Ok(());
    }
    Err(ArrayError::Dimension {
        operation,
        ndim,
        want,
    })
}

/// The lengths of an axis' chunks, neighbours put together until each has at least so many elements.
fn merged(axis: &AxisChunks, least: u64) -> Vec<u64> {
    let mut lengths: Vec<u64> = Vec::new();
    let mut open = 0;
    for len in axis.lengths() {
        open += len;
        if open >= least {
            lengths.push(open);
            open = 0;
        }
    }
    match lengths.last_mut() {
        Some(last) => *last += open,
        None => lengths.push(open),
    }
    lengths
}
