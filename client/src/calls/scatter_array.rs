//! Arrays of the client's memory that go into that of workers, for expressions.

use std::sync::Arc;

use graticule_array::{Array, concatenate};
use graticule_kernel::{Chunk, KernelError, Tensor};
use graticule_plan::{AxisChunks, ChunkGrid, DType};

use super::{Future, ScatterOptions, scatter::Handed};
use crate::{Client, ClientError};

/// Bytes of a piece: workers are to share a large array, and an operation reads each piece on its own.
const PIECE_BYTES: usize = 32 << 20;

impl Client {
    /// Puts an array into the memory of the workers, in pieces of up to 32 MiB, and returns when they are there. Its elements
    /// are looked at where they lie, and not needed any more from then on.
    ///
    /// Pieces end where chunks of `chunk_len` along the first axis longer than 1 do, as far as these fit. The workers hold
    /// them as long as the array, or what is made of it, lives. One that is lost with all workers that hold it cannot be
    /// made again: what needs it fails.
    ///
    /// # Errors
    /// As [`Client::scatter_with`].
    pub async fn scatter_array(
        &self,
        tensor: &Tensor,
        chunk_len: usize,
        options: &ScatterOptions,
    ) -> Result<Array, ClientError> {
        let mut pieces = Vec::new();
        let whole = Piece::of(tensor, 0, chunk_len.max(1), &mut pieces)?;
        let handed: Result<Vec<Handed>, ClientError> = pieces.into_iter().map(handed).collect();
        let futures: Arc<[Future]> = self.hand_over(handed?, options).await?.into();
        let array = whole.array(tensor.dtype(), &futures)?;
        Ok(array.keeping(Arc::new(futures)))
    }
}

/// How an array is put together from pieces.
enum Piece {
    /// The number of a piece, and its shape.
    One(usize, Vec<u64>),
    /// One behind the other along an axis.
    Along(usize, Vec<Piece>),
}

impl Piece {
    /// Cuts along an axis and those behind it; all axes before it have one element.
    fn of(
        tensor: &Tensor,
        axis: usize,
        chunk_len: usize,
        pieces: &mut Vec<Tensor>,
    ) -> Result<Self, ClientError> {
        let shape = tensor.shape();
        if tensor.bytes().len() <= PIECE_BYTES || axis == shape.len() {
            pieces.push(tensor.clone());
            let lens = shape.iter().map(|&len| len as u64).collect();
            return Ok(Self::One(pieces.len() - 1, lens));
        }
        if shape[axis] == 1 {
            return Self::of(tensor, axis + 1, chunk_len, pieces);
        }
        let row_bytes = tensor.bytes().len() / shape[axis];
        let fit = (PIECE_BYTES / row_bytes).max(1);
        let step = if fit >= chunk_len {
            fit / chunk_len * chunk_len
        } else {
            fit
        };
        let mut parts = Vec::new();
        for start in (0..shape[axis]).step_by(step) {
            let len = step.min(shape[axis] - start);
            let part = rows(tensor, axis, start, len)?;
            // What is cut further is one row, so its chunks are those of another axis.
            parts.push(Self::of(&part, axis + usize::from(len == 1), 1, pieces)?);
        }
        Ok(Self::Along(axis, parts))
    }

    fn array(&self, dtype: DType, futures: &[Future]) -> Result<Array, ClientError> {
        match self {
            Self::One(number, lens) => {
                let key = futures[*number].key().expect("what workers have has a key");
                Ok(Array::held(key, &grid(lens)?, dtype))
            }
            Self::Along(axis, parts) => {
                let parts: Result<Vec<Array>, ClientError> =
                    parts.iter().map(|part| part.array(dtype, futures)).collect();
                Ok(concatenate(&parts?, *axis as i64)?)
            }
        }
    }
}

/// Neighbours along an axis before which all have one element, where they lie.
fn rows(tensor: &Tensor, axis: usize, start: usize, len: usize) -> Result<Tensor, KernelError> {
    let mut shape = tensor.shape().to_vec();
    let row_bytes = tensor.bytes().len() / shape[axis];
    shape[axis] = len;
    let bytes = tensor
        .to_bytes()
        .slice(start * row_bytes..(start + len) * row_bytes);
    Tensor::from_bytes(tensor.dtype(), &shape, bytes)
}

fn grid(lens: &[u64]) -> Result<ChunkGrid, ClientError> {
    let axes = lens.iter().map(|&len| AxisChunks::regular(len, len.max(1)));
    let axes: Vec<AxisChunks> = axes
        .collect::<Result<_, _>>()
        .map_err(graticule_array::ArrayError::from)?;
    Ok(ChunkGrid::new(axes).map_err(graticule_array::ArrayError::from)?)
}

fn handed(piece: Tensor) -> Result<Handed, ClientError> {
    let lens: Vec<u64> = piece.shape().iter().map(|&len| len as u64).collect();
    Ok(Handed {
        grid: grid(&lens)?,
        item_bytes: piece.dtype().size_bytes(),
        chunk: Chunk::from(piece),
    })
}
