//! Matrices that are cut along their longer axis alone: factors of the blocks, put together in a tree.
//!
//! Demmel, Grigori, Hoemmen, Langou: Communication-optimal parallel and sequential QR and LU factorizations (2012),
//! section 4; Benson, Gleich, Demmel: Direct QR factorizations for tall-and-skinny matrices in MapReduce architectures
//! (2013).

use std::sync::Arc;

use graticule_ops::LinalgKind;
use graticule_plan::AxisChunks;

use super::{linalg, merged};
use crate::{
    Array, ArrayError, concatenate,
    infer::{from_lengths, tidy},
};

/// Triangles that are factorised together.
const FAN_IN: u64 = 8;

const QR: LinalgKind = LinalgKind::Qr { complete: false };

impl Array {
    /// Finds `q` and `r` as [`Array::qr`] does of tall matrices, each block of rows for itself and then their triangles in
    /// a tree: no task has more than a block, or a few triangles. The columns are rechunked to one chunk. Blocks of fewer
    /// rows than columns are put together with their neighbours.
    ///
    /// # Errors
    /// [`ArrayError::TooFewAxes`].
    pub fn tsqr(&self) -> Result<(Array, Array), ArrayError> {
        let x = self.matrices(QR)?;
        let (rows, columns) = x.block_axes();
        let columns = AxisChunks::whole(columns.len());
        let x = x.with_blocks(rows.clone(), columns);
        match x.tall_blocks() {
            Some(blocks) => x.tall_qr(blocks),
            None => x.whole_qr(false),
        }
    }

    /// Finds `q` and `r` as [`Array::qr`] does of flat matrices: `q` of the first columns, and `r` of all by its help. The
    /// rows are rechunked to one chunk.
    ///
    /// # Errors
    /// [`ArrayError::TooFewAxes`].
    pub fn sfqr(&self) -> Result<(Array, Array), ArrayError> {
        let x = self.matrices(QR)?;
        let (rows, columns) = x.block_axes();
        let rows = AxisChunks::whole(rows.len());
        let x = x.with_blocks(rows, columns.clone());
        match x.flat_start() {
            Some(first) => x.flat_qr(first),
            None => x.whole_qr(false),
        }
    }

    /// [`Array::qr`] of matrices in one chunk each.
    pub(super) fn whole_qr(&self, complete: bool) -> Result<(Array, Array), ArrayError> {
        let x = self.with_whole_matrices();
        let (rows, columns) = x.matrix_shape();
        let inner = if complete { rows } else { rows.min(columns) };
        let made = linalg(LinalgKind::Qr { complete }, vec![x]);
        Ok((made.rows_of(0, rows, inner), made.rows_of(rows, inner, columns)))
    }

    /// The blocks of rows to factorise one by one, if there are several that have no fewer rows than columns, which are
    /// one chunk.
    pub(super) fn tall_blocks(&self) -> Option<Vec<u64>> {
        let (rows, columns) = self.block_axes();
        if rows.count() == 1 || columns.count() > 1 || columns.is_empty() {
            return None;
        }
        let blocks = merged(rows, columns.len());
        (blocks.len() > 1).then_some(blocks)
    }

    /// The first columns, at least as many as rows, which are one chunk, if others are left.
    pub(super) fn flat_start(&self) -> Option<u64> {
        let (rows, columns) = self.block_axes();
        if columns.count() == 1 || rows.count() > 1 || rows.is_empty() || rows.len() >= columns.len() {
            return None;
        }
        let end = columns.extent(columns.block_of(rows.len() - 1)).end;
        (end < columns.len()).then_some(end)
    }

    /// Factors of tall matrices by blocks of rows, each with no fewer rows than there are columns.
    pub(super) fn tall_qr(&self, blocks: Vec<u64>) -> Result<(Array, Array), ArrayError> {
        let (at, columns) = (self.ndim() - 2, self.matrix_shape().1);
        let whole = AxisChunks::whole(columns);
        let x = self.with_blocks(tidy(&from_lengths(&blocks)), whole.clone());
        let made = linalg(QR, vec![x]);
        let rows = made.block_axes().0;
        let ranges = (0..rows.count()).map(|block| rows.extent(block)).zip(&blocks);
        let (of_q, of_r): (Vec<_>, Vec<_>) = ranges
            .map(|(range, own)| ((range.start, range.start + own), (range.start + own, range.end)))
            .unzip();
        let parts = |ranges: Vec<(u64, u64)>| {
            let mut intervals = vec![None; made.ndim()];
            intervals[at] = Some(Arc::from(ranges));
            made.windows(intervals)
        };
        let (own, triangles) = (parts(of_q)?, parts(of_r)?);
        let count = blocks.len() as u64;
        let groups = AxisChunks::regular(count * columns, FAN_IN.min(count) * columns)?;
        let stacked = triangles.with_blocks(tidy(&groups), whole.clone());
        let (turns, r) = match groups.count() {
            1 => stacked.whole_qr(false)?,
            _ => stacked.tall_qr(groups.lengths())?,
        };
        let each = AxisChunks::regular(count * columns, columns)?;
        let turns = turns.with_blocks(tidy(&each), whole);
        Ok((linalg(LinalgKind::Times, vec![own, turns]), r))
    }

    /// Factors of flat matrices, of which the first columns give `q`.
    pub(super) fn flat_qr(&self, first: u64) -> Result<(Array, Array), ArrayError> {
        let (rows, columns) = self.matrix_shape();
        let (q, r) = self.box_of((0, rows), (0, first)).whole_qr(false)?;
        let others = self.box_of((0, rows), (first, columns - first));
        let turned = q.adjoint()?.matmul(&others)?;
        Ok((q, concatenate(&[r, turned], -1)?))
    }

    /// Singular values and vectors of tall or flat matrices by their triangle, if they are cut along the longer axis alone.
    pub(super) fn long_svd(&self) -> Result<Option<(Array, Array, Array)>, ArrayError> {
        if let Some(blocks) = self.tall_blocks() {
            let (q, r) = self.tall_qr(blocks)?;
            let (u, values, vh) = r.whole_svd(false)?;
            return Ok(Some((q.matmul(&u)?, values, vh)));
        }
        let (rows, columns) = self.block_axes();
        if rows.count() > 1 || columns.count() == 1 {
            return Ok(None);
        }
        let turned = self.adjoint()?;
        let Some(blocks) = turned.tall_blocks() else {
            return Ok(None);
        };
        let (q, r) = turned.tall_qr(blocks)?;
        let (u, values, vh) = r.whole_svd(false)?;
        Ok(Some((vh.adjoint()?, values, q.matmul(&u)?.adjoint()?)))
    }
}
