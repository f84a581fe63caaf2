//! Whole results, put together from their blocks.

use std::sync::Arc;

use graticule_array::OutputMeta;
use graticule_kernel::{KernelError, Tensor, TensorMut};

use crate::{Block, ClientError, Job, memory};

/// Copies above this size are not made on the runtime's threads.
const INLINE_COPY_BYTES_MAX: u64 = 1 << 20;

/// Results with what was noticed on the way.
#[derive(Debug, Clone)]
pub struct Results {
    /// One for each array that was asked for, in their order.
    pub tensors: Vec<Tensor>,
    /// What reads left out (`on_error` other than `raise`), a sentence each.
    pub problems: Vec<Arc<str>>,
}

/// Checks that results of so many bytes may be gathered here.
///
/// # Errors
/// [`ClientError::ResultTooLarge`].
pub(crate) fn check_size(bytes: u64, free_bytes: Option<u64>) -> Result<(), ClientError> {
    match free_bytes {
        Some(free_bytes) if bytes > free_bytes / 2 => Err(ClientError::ResultTooLarge { bytes, free_bytes }),
        _ => Ok(()),
    }
}

/// [`check_size`] with what is free now; small results are not worth the question.
///
/// # Errors
/// [`ClientError::ResultTooLarge`].
pub(crate) fn check_free(bytes: u64) -> Result<(), ClientError> {
    if bytes <= 64 * INLINE_COPY_BYTES_MAX {
        return Ok(());
    }
    check_size(bytes, memory::free_bytes())
}

impl Job {
    /// Waits for all blocks and puts them together.
    ///
    /// # Errors
    /// [`ClientError`], if the job cannot be finished.
    pub async fn gather(mut self) -> Result<Results, ClientError> {
        let mut parts: Vec<Part> = self.outputs().iter().map(|_| Part::Absent).collect();
        let outputs: Vec<OutputMeta> = self.outputs().to_vec();
        while let Some(block) = self.next_block().await? {
            let output = block.output;
            let part = std::mem::replace(&mut parts[output], Part::Absent);
            parts[output] = place(part, block, &outputs[output]).await?;
        }
        let problems = self.problems();
        let whole = |part| match part {
            Part::Whole(tensor) => tensor,
            Part::Open(tensor) => tensor.freeze(),
            Part::Absent => unreachable!("every array has a block, and all blocks are here"),
        };
        Ok(Results {
            tensors: parts.into_iter().map(whole).collect(),
            problems,
        })
    }
}

enum Part {
    Absent,
    /// A result of one block is that block, without a copy.
    Whole(Tensor),
    Open(TensorMut),
}

async fn place(part: Part, block: Block, meta: &OutputMeta) -> Result<Part, ClientError> {
    let mut open = match part {
        Part::Open(open) => open,
        Part::Whole(_) => unreachable!("a result of one block has no second one"),
        Part::Absent if meta.grid.block_count() == 1 => return Ok(Part::Whole(block.tensor)),
        Part::Absent => TensorMut::for_overwrite(meta.dtype, &whole_shape(meta)?)?,
    };
    let at: Vec<usize> = block.extents.iter().map(|extent| extent.start as usize).collect();
    let copy = move || -> Result<TensorMut, KernelError> {
        let from = vec![0; at.len()];
        open.copy_box(&at, &block.tensor, &from, block.tensor.shape())?;
        Ok(open)
    };
    let small = meta.grid.block_len_max().saturating_mul(meta.dtype.size_bytes()) <= INLINE_COPY_BYTES_MAX;
    let open = if small {
        copy()?
    } else {
        tokio::task::spawn_blocking(copy)
            .await
            .expect("a copy does not panic")?
    };
    Ok(Part::Open(open))
}

fn whole_shape(meta: &OutputMeta) -> Result<Vec<usize>, ClientError> {
    let too_large = |_| {
        let bytes = meta.grid.element_count().saturating_mul(meta.dtype.size_bytes());
        ClientError::ResultTooLarge { bytes, free_bytes: 0 }
    };
    let lens = meta
        .grid
        .shape()
        .into_iter()
        .map(|len| usize::try_from(len).map_err(too_large));
    lens.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_above_half_of_the_free_memory_is_refused_with_ways_out() {
        assert!(check_size(50, Some(100)).is_ok());
        let message = check_size(51 << 30, Some(100 << 30)).unwrap_err().to_string();
        for part in ["51.0 GiB", "100.0 GiB", "stream", "allow_large"] {
            assert!(message.contains(part), "{message}");
        }
        assert!(check_size(u64::MAX, None).is_ok());
    }
}
