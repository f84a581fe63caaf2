//! Chunks that arrive in pieces.

use graticule_plan::DType;

use crate::{
    ALIGN_BYTES, Chunk, KernelError, Tensor, TensorMut,
    chunk::{HEADER_BYTES_MAX, decode_header, header_len},
};

/// Puts a chunk together from pieces of its [encoded form](Chunk::frames), cut anywhere: each byte of the elements is
/// copied once, to where it stays.
///
/// ```
/// use graticule_kernel::{Chunk, ChunkArrival, Tensor};
///
/// let sent = Chunk::from(Tensor::from_vec(&[2], vec![1.5f32, 2.5])?);
/// let mut arrival = ChunkArrival::new();
/// for frame in sent.frames() {
///     arrival.write(&frame)?;
/// }
/// assert_eq!(arrival.finish()?, sent);
/// # Ok::<(), graticule_kernel::KernelError>(())
/// ```
#[derive(Default)]
pub struct ChunkArrival {
    /// The header's bytes until it is whole.
    head: Vec<u8>,
    parts: Option<Parts>,
}

struct Parts {
    whole: Vec<Tensor>,
    open: Option<Open>,
    /// Those that nothing came of yet, the last first.
    ahead: Vec<(DType, Vec<usize>)>,
}

/// The part that bytes come for.
struct Open {
    tensor: TensorMut,
    len: usize,
    filled: usize,
    padding: usize,
}

impl ChunkArrival {
    /// Nothing has come yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// [`KernelError::Decode`] if this is no encoded chunk; [`KernelError::TooLarge`].
    pub fn write(&mut self, mut piece: &[u8]) -> Result<(), KernelError> {
        let parts = match &mut self.parts {
            Some(parts) => parts,
            None => {
                let Some(parts) = take_head(&mut self.head, &mut piece)? else {
                    return Ok(());
                };
                self.parts.insert(parts)
            }
        };
        parts.write(piece)
    }

    /// The chunk, when all of it has come.
    ///
    /// # Errors
    /// [`KernelError::Decode`] if something is missing.
    pub fn finish(self) -> Result<Chunk, KernelError> {
        match self.parts {
            Some(Parts {
                whole,
                open: None,
                ahead,
            }) if ahead.is_empty() => {
                Chunk::new(whole).map_err(|error| KernelError::Decode(error.to_string()))
            }
            _ => Err(KernelError::Decode("it ends too soon".into())),
        }
    }
}

/// Moves bytes from `piece` to `head` until the header is whole.
fn take_head(head: &mut Vec<u8>, piece: &mut &[u8]) -> Result<Option<Parts>, KernelError> {
    loop {
        let want = match header_len(head)? {
            Some(len) if len <= head.len() => break,
            Some(len) => len,
            None => ALIGN_BYTES,
        };
        if want > HEADER_BYTES_MAX {
            return Err(KernelError::Decode(format!("a header of {want} bytes")));
        }
        let (taken, rest) = piece.split_at(piece.len().min(want - head.len()));
        head.extend_from_slice(taken);
        *piece = rest;
        if head.len() < want {
            return Ok(None);
        }
    }
    let (mut ahead, _) = decode_header(head)?;
    ahead.reverse();
    let mut parts = Parts {
        whole: Vec::with_capacity(ahead.len()),
        open: None,
        ahead,
    };
    parts.open_next()?;
    Ok(Some(parts))
}

impl Parts {
    fn write(&mut self, mut piece: &[u8]) -> Result<(), KernelError> {
        while !piece.is_empty() {
            let Some(open) = &mut self.open else {
                return Err(KernelError::Decode(format!("{} bytes left over", piece.len())));
            };
            let count = piece.len().min(open.len - open.filled);
            let place = open.filled..open.filled + count;
            open.tensor.bytes_mut()[place].copy_from_slice(&piece[..count]);
            open.filled += count;
            piece = &piece[count..];
            if open.filled == open.len {
                let padding = piece.len().min(open.padding);
                open.padding -= padding;
                piece = &piece[padding..];
            }
            self.open_next()?;
        }
        Ok(())
    }

    /// Closes the part that is full, and opens the next one that is to have bytes.
    fn open_next(&mut self) -> Result<(), KernelError> {
        loop {
            if let Some(open) = self.open.take() {
                if open.filled < open.len || open.padding > 0 {
                    self.open = Some(open);
                    return Ok(());
                }
                self.whole.push(open.tensor.freeze());
            }
            let Some((dtype, shape)) = self.ahead.pop() else {
                return Ok(());
            };
            let mut tensor = TensorMut::for_overwrite(dtype, &shape)?;
            let len = tensor.bytes_mut().len();
            self.open = Some(Open {
                padding: len.next_multiple_of(ALIGN_BYTES) - len,
                tensor,
                len,
                filled: 0,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunk(len: usize, parts: usize) -> Chunk {
        let tensors = (0..parts).map(|part| match part % 3 {
            0 => Tensor::from_vec(&[len], (0..len).map(|i| i as f64).collect()),
            1 => Tensor::from_vec(&[len], (0..len).map(|i| i % 3 == 0).collect()),
            _ => Tensor::from_vec(&[len], (0..len).map(|i| i as u16).collect()),
        });
        Chunk::new(tensors.collect::<Result<_, _>>().unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn pieces_cut_anywhere_give_the_chunk_back(len in 0usize..300, parts in 0usize..5, cut in 1usize..500) {
            let sent = chunk(len, parts);
            let mut arrival = ChunkArrival::new();
            for piece in sent.encode().chunks(cut) {
                arrival.write(piece).unwrap();
            }
            prop_assert_eq!(arrival.finish().unwrap(), sent);
        }

        #[test]
        fn what_is_cut_short_or_too_long_is_no_chunk(len in 1usize..50, parts in 1usize..4, lost in 1usize..200) {
            let encoded = chunk(len, parts).encode();
            let mut short = ChunkArrival::new();
            let kept = encoded.len().saturating_sub(lost);
            short.write(&encoded[..kept]).unwrap();
            prop_assert!(short.finish().is_err());
            let mut long = ChunkArrival::new();
            long.write(&encoded).unwrap();
            prop_assert!(long.write(&[0]).is_err());
        }
    }

    #[test]
    fn foreign_bytes_are_refused_and_foreign_booleans_become_booleans() {
        assert!(ChunkArrival::new().write(&[7; 64]).is_err());
        let mut encoded = Chunk::from(Tensor::from_vec(&[2], vec![true, false]).unwrap())
            .encode()
            .to_vec();
        encoded[64] = 9;
        let mut arrival = ChunkArrival::new();
        arrival.write(&encoded).unwrap();
        let chunk = arrival.finish().unwrap();
        assert_eq!(chunk.single().unwrap().as_slice::<bool>().unwrap(), [true, false]);
    }
}
