//! Arrays that are written where they are computed.

use std::{collections::BTreeSet, sync::Arc};

use graticule_ops::{ArraySource, ZARR_WRITER, ZarrTarget, decode_table, encode_table};
use graticule_plan::{AxisChunks, DType};

use crate::{
    Array, ArrayError, BlockFunction, BlockLen, MapBlocks,
    expression::Op,
    infer::{from_lengths, grid_of},
};

/// Blocks that have to be cut anew are of several stored chunks, where these are smaller than this.
const BLOCK_BYTES: u64 = 1 << 20;
/// What a call takes for each byte of a stored chunk: a copy that is filled up to the chunk's shape, what the codecs make
/// of it, and within a shard its inner chunks before they are put together.
const SCRATCH_PER_CHUNK: u64 = 3;
/// What compressors keep for themselves.
const CODEC_BYTES: u64 = 2 << 20;

impl Array {
    /// Writes the array into a region of a Zarr array, each block by the task that makes it. What it gives has an element
    /// of dtype `uint64` for each block, the bytes stored, and the array is written when that is computed: do so once, and
    /// for a sum of the bytes add these numbers up, since a block whose number is with the client is not written again
    /// when a worker is lost, and one of a sum would be.
    ///
    /// Blocks that hold whole stored chunks are written as they are; else the array is cut anew along the axes where they
    /// do not. Beside the block a task takes four times the bytes of one stored chunk.
    ///
    /// # Errors
    /// [`ArrayError::Target`] if dtype or shape do not fit, or the region begins or ends within a stored chunk (it may end
    /// where the stored array does); also if the array is computed from the one that it is to be written into, since a task
    /// that runs a second time would read what it has written.
    pub fn write_zarr(&self, target: &ZarrTarget) -> Result<Array, ArrayError> {
        let misfit = |why: String| ArrayError::Target {
            url: target.url.clone(),
            why,
        };
        if target.dtype != self.dtype() {
            let (own, stored) = (self.dtype(), target.dtype);
            return Err(misfit(format!(
                "an array of {own} for one of {stored}; convert it first"
            )));
        }
        let ndim = self.ndim();
        if [&target.shape, &target.chunks, &target.start]
            .iter()
            .any(|all| all.len() != ndim)
        {
            let stored = target.shape.len();
            return Err(misfit(format!("an array of {ndim} axes for one of {stored}")));
        }
        self.check_no_source_of(&target.url)?;
        for (axis, own) in self.chunks().axes().iter().enumerate() {
            check_axis(target, axis, own.len()).map_err(misfit)?;
        }
        let stored_bytes = target
            .chunks
            .iter()
            .fold(target.dtype.size_bytes(), |bytes, &len| bytes.saturating_mul(len));
        let block = block_shape(&target.chunks, stored_bytes, &self.shape());
        let axes = self.chunks().axes().iter().enumerate();
        let cuts = axes.map(|(axis, own)| whole_chunks(own, target.chunks[axis], block[axis]));
        let whole = self.with_grid(&grid_of(cuts.collect()));
        let scratch_bytes = stored_bytes
            .saturating_mul(SCRATCH_PER_CHUNK)
            .saturating_add(CODEC_BYTES);
        let writer = BlockFunction::new(ZARR_WRITER)
            .payload(encode_table(target))
            .scratch_bytes(scratch_bytes);
        let each = MapBlocks::new(DType::UInt64).chunks(vec![BlockLen::Each(1); ndim]);
        whole.map_blocks(&writer, &each)
    }

    /// Checks that the array is not computed from the Zarr array at an address, which it may then be written into.
    ///
    /// # Errors
    /// [`ArrayError::Target`] if it is.
    pub fn check_no_source_of(&self, url: &str) -> Result<(), ArrayError> {
        match self.zarr_sources().contains(url) {
            false => Ok(()),
            true => Err(ArrayError::Target {
                url: url.to_owned(),
                why: "it cannot be computed from itself; write to another one".into(),
            }),
        }
    }

    /// The addresses of the Zarr arrays that the array is computed from, as far as it is read by the core.
    pub fn zarr_sources(&self) -> BTreeSet<String> {
        let (mut urls, mut seen, mut open) = (BTreeSet::new(), BTreeSet::new(), vec![self]);
        while let Some(array) = open.pop() {
            if !seen.insert(Arc::as_ptr(&array.0)) {
                continue;
            }
            if let Op::Source { table, .. } = &array.0.op
                && !table.is_inline
                && let Ok(ArraySource::Zarr(zarr)) = decode_table(&table.bytes)
            {
                urls.insert(zarr.url);
            }
            open.extend(&array.0.operands);
        }
        urls
    }
}

/// Whether so many elements from the region's start on are whole chunks of the stored array.
fn check_axis(target: &ZarrTarget, axis: usize, len: u64) -> Result<(), String> {
    let (start, chunk, all) = (target.start[axis], target.chunks[axis], target.shape[axis]);
    let end = start.checked_add(len).filter(|end| *end <= all);
    let end =
        end.ok_or_else(|| format!("{len} elements from {start} on leave axis {axis}, which has {all}"))?;
    if chunk == 0 {
        return Err(format!("chunks of no elements along axis {axis}"));
    }
    if start % chunk != 0 || (end % chunk != 0 && end != all) {
        return Err(format!(
            "elements {start}..{end} of axis {axis} are no whole chunks of {chunk}"
        ));
    }
    Ok(())
}

/// Elements along each axis of a block that is cut anew: one stored chunk, or more, the last axes first, where it is small.
fn block_shape(chunks: &[u64], stored_bytes: u64, shape: &[u64]) -> Vec<u64> {
    let mut left = BLOCK_BYTES / stored_bytes.max(1);
    let mut block = chunks.to_vec();
    for (len, &all) in block.iter_mut().zip(shape).rev() {
        let times = left.min(all.div_ceil(*len)).max(1);
        *len *= times;
        left /= times;
    }
    block
}

/// An axis' own cuts if they lie between stored chunks, else cuts after every `block` elements.
fn whole_chunks(own: &AxisChunks, chunk: u64, block: u64) -> AxisChunks {
    let is_whole = match own {
        AxisChunks::Regular {
            chunk: own_chunk,
            len,
        } => own_chunk % chunk == 0 || own_chunk >= len,
        _ => {
            let lengths = own.lengths();
            lengths[..lengths.len().saturating_sub(1)]
                .iter()
                .all(|len| len % chunk == 0)
        }
    };
    if is_whole {
        return own.clone();
    }
    let len = own.len();
    AxisChunks::regular(len, block).unwrap_or_else(|_| from_lengths(&[len]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Chunks;

    fn target(shape: &[u64], chunks: &[u64], start: &[u64]) -> ZarrTarget {
        ZarrTarget {
            url: "file:///a.zarr".into(),
            metadata: String::new(),
            is_v2: false,
            dtype: DType::Float32,
            shape: shape.to_vec(),
            chunks: chunks.to_vec(),
            start: start.to_vec(),
            stores_empty: false,
        }
    }

    fn zeros(shape: &[u64], chunk: u64) -> Array {
        Array::zeros(shape, &vec![Chunks::Size(chunk); shape.len()], DType::Float32).unwrap()
    }

    #[test]
    fn regions_of_whole_chunks_are_written_and_others_refused() {
        let x = zeros(&[10], 3);
        let written = x.write_zarr(&target(&[10], &[4], &[0])).unwrap();
        // Blocks of several stored chunks.
        assert_eq!((written.dtype(), written.shape()), (DType::UInt64, vec![1]));
        x.write_zarr(&target(&[24], &[5], &[5])).unwrap();
        for (other, why) in [
            (target(&[24], &[5], &[4]), "no whole chunks of 5"),
            (target(&[24], &[4], &[8]), "no whole chunks of 4"),
            (target(&[12], &[4], &[4]), "leave axis 0"),
            (target(&[10, 1], &[4, 1], &[0, 0]), "of 1 axes for one of 2"),
        ] {
            let told = x.write_zarr(&other).unwrap_err().to_string();
            assert!(told.contains(why), "{told}");
        }
        let other = ZarrTarget {
            dtype: DType::Int8,
            ..target(&[10], &[4], &[0])
        };
        let told = x.write_zarr(&other).unwrap_err().to_string();
        assert!(told.contains("float32 for one of int8"), "{told}");
    }

    #[test]
    fn blocks_keep_their_cuts_where_these_lie_between_stored_chunks() {
        let own = AxisChunks::regular(100, 20).unwrap();
        assert_eq!(whole_chunks(&own, 10, 40), own);
        assert_eq!(whole_chunks(&own, 8, 16), AxisChunks::regular(100, 16).unwrap());
        assert_eq!(whole_chunks(&AxisChunks::whole(7), 8, 16), AxisChunks::whole(7));
        let uneven = from_lengths(&[16, 8, 9]);
        assert_eq!(whole_chunks(&uneven, 8, 16), uneven);
    }

    #[test]
    fn small_chunks_are_written_several_by_one_task() {
        // Chunks of 400 bytes: 2,621 of them are below a MiB.
        assert_eq!(block_shape(&[10, 10], 400, &[1000, 1000]), [260, 1000]);
        assert_eq!(
            block_shape(&[1000, 19, 24], 1_824_000, &[1000, 361, 720]),
            [1000, 19, 24]
        );
        assert_eq!(block_shape(&[10], 40, &[0]), [10]);
    }

    #[test]
    fn what_encoding_takes_is_foreseen() {
        let x = zeros(&[4096, 4096], 1024);
        let written = x
            .write_zarr(&target(&[4096, 4096], &[1024, 1024], &[0, 0]))
            .unwrap();
        let lowered = crate::lower(
            &[(&written, crate::Wanted::Deliver)],
            &crate::LowerOptions::default(),
        );
        let plan = lowered.unwrap().plan;
        let scratch = plan.layers().iter().map(|layer| layer.scratch_bytes).max();
        assert!(scratch >= Some(3 * (4 << 20) + CODEC_BYTES), "{scratch:?}");
    }

    #[test]
    fn an_array_is_not_written_into_what_it_is_computed_from() {
        let source = ArraySource::Zarr(graticule_ops::ZarrArray {
            url: "file:///a.zarr".into(),
            metadata: String::new(),
            is_v2: false,
            dtype: DType::Float32,
            shape: vec![10],
            chunks: vec![4],
            on_error: graticule_ops::OnError::Raise,
        });
        let grid = graticule_plan::ChunkGrid::regular(&[10], &[4]).unwrap();
        let read = Array::from_source(&source, DType::Float32, &grid).unwrap();
        let more = read.add(read.negative().unwrap()).unwrap();
        assert_eq!(more.zarr_sources(), ["file:///a.zarr".to_owned()].into());
        let told = more
            .write_zarr(&target(&[10], &[4], &[0]))
            .unwrap_err()
            .to_string();
        assert!(told.contains("computed from itself"), "{told}");
        assert!(zeros(&[10], 4).zarr_sources().is_empty());
    }
}
