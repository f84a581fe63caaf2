//! Square matrices in several chunks, by halves: what is done to one half is taken off the other as a product.

use graticule_ops::LinalgKind;
use graticule_plan::AxisChunks;

use super::{BLOCK_LEN_MIN, linalg, merged};
use crate::{
    Array, ArrayError, concatenate,
    creation::small,
    infer::{from_lengths, grid_of, tidy},
};

/// Which triangle of a matrix is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Triangle {
    pub(super) lower: bool,
    pub(super) unit_diagonal: bool,
}

impl Array {
    /// Lengths of the blocks along both axes of square matrices that are in several chunks; `None` if they are in one, or
    /// small enough for it.
    pub(super) fn square_blocks(&self) -> Option<Vec<u64>> {
        let (rows, columns) = self.block_axes();
        let cuts = if columns.count() > 1 { columns } else { rows };
        let lengths = merged(cuts, BLOCK_LEN_MIN);
        (lengths.len() > 1).then_some(lengths)
    }

    /// Solves for right sides whose other axes are cut as this array's are, by blocks of these lengths.
    pub(super) fn solve_by_blocks(
        &self,
        triangle: Triangle,
        b: &Array,
        lengths: &[u64],
    ) -> Result<Array, ArrayError> {
        let axis = tidy(&from_lengths(lengths));
        let x = self.with_blocks(axis.clone(), axis.clone());
        let b = b.with_blocks(axis, b.block_axes().1.clone());
        x.solve_halves(triangle, &b, lengths)
    }

    fn solve_halves(&self, triangle: Triangle, b: &Array, lengths: &[u64]) -> Result<Array, ArrayError> {
        if lengths.len() == 1 {
            let Triangle { lower, unit_diagonal } = triangle;
            let kind = LinalgKind::SolveTriangular { lower, unit_diagonal };
            return Ok(linalg(kind, vec![self.clone(), b.clone()]));
        }
        let (upper, below) = halves(lengths);
        let (first, second) = (sum(upper), sum(below));
        let columns = (0, b.matrix_shape().1);
        let above = |x: &Array| x.box_of((0, first), columns);
        let beneath = |x: &Array| x.box_of((first, second), columns);
        let (head, tail) = ((0, first), (first, second));
        let (own, other) = (self.box_of(head, head), self.box_of(tail, tail));
        let (made_above, made_below) = if triangle.lower {
            let made = own.solve_halves(triangle, &above(b), upper)?;
            let left = beneath(b).subtract(&self.box_of(tail, head).matmul(&made)?)?;
            let rest = other.solve_halves(triangle, &left, below)?;
            (made, rest)
        } else {
            let made = other.solve_halves(triangle, &beneath(b), below)?;
            let left = above(b).subtract(&self.box_of(head, tail).matmul(&made)?)?;
            (own.solve_halves(triangle, &left, upper)?, made)
        };
        concatenate(&[made_above, made_below], -2)
    }

    /// The lower triangle whose product with its adjoint the matrix is, by blocks of these lengths.
    pub(super) fn cholesky_by_blocks(&self, lengths: &[u64]) -> Result<Array, ArrayError> {
        let axis = tidy(&from_lengths(lengths));
        self.with_blocks(axis.clone(), axis).cholesky_halves(lengths)
    }

    fn cholesky_halves(&self, lengths: &[u64]) -> Result<Array, ArrayError> {
        if lengths.len() == 1 {
            return Ok(linalg(LinalgKind::Cholesky, vec![self.clone()]));
        }
        let (upper, below) = halves(lengths);
        let (head, tail) = ((0, sum(upper)), (sum(upper), sum(below)));
        let first = self.box_of(head, head).cholesky_halves(upper)?;
        let triangle = Triangle {
            lower: true,
            unit_diagonal: false,
        };
        let beside = self.box_of(tail, head).adjoint()?;
        let turned = first.solve_halves(triangle, &beside, upper)?;
        let under = turned.adjoint()?;
        let left = self.box_of(tail, tail).subtract(&under.matmul(&turned)?)?;
        let second = left.cholesky_halves(below)?;
        let (rows, columns) = (first.block_axes().0.clone(), second.block_axes().1.clone());
        let nothing = self.zeros_beside(rows, columns);
        let above = concatenate(&[first, nothing], -1)?;
        concatenate(&[above, concatenate(&[under, second], -1)?], -2)
    }

    /// Zeros with this array's other axes, of rows and columns that are cut so.
    pub(super) fn zeros_beside(&self, rows: AxisChunks, columns: AxisChunks) -> Array {
        let mut axes = self.chunks().axes().to_vec();
        let at = axes.len() - 2;
        (axes[at], axes[at + 1]) = (rows, columns);
        Array::full_grid(&grid_of(axes), small(0, self.dtype()))
    }

    /// Identities of as many rows, with this array's other axes, of columns that are cut so and rows in one chunk.
    pub(super) fn identity_beside(&self, columns: AxisChunks) -> Result<Array, ArrayError> {
        let rows = Array::counter(&AxisChunks::whole(columns.len())).expand_dims(1)?;
        let one = rows.equal(Array::counter(&columns))?.astype(self.dtype())?;
        let shape = self.shape();
        let batch = &shape[..shape.len() - 2];
        let spread = one.broadcast_to(&[batch, &one.shape()[..]].concat())?;
        let mut axes = self.chunks().axes()[..batch.len()].to_vec();
        axes.extend(one.chunks().axes().iter().cloned());
        Ok(spread.with_grid(&grid_of(axes)))
    }
}

fn halves(lengths: &[u64]) -> (&[u64], &[u64]) {
    lengths.split_at(lengths.len() / 2)
}

pub(super) fn sum(lengths: &[u64]) -> u64 {
    lengths.iter().sum()
}

/// Cuts lengths into pieces of which none is longer than `most`.
pub(super) fn at_most(lengths: &[u64], most: u64) -> Vec<u64> {
    let pieces = lengths.iter().flat_map(|&len| {
        let count = len.div_ceil(most.max(1)).max(1);
        (0..count).map(move |piece| len * (piece + 1) / count - len * piece / count)
    });
    pieces.filter(|&len| len > 0).collect()
}
