//! How much effort zstd makes where the metadata leaves it to the writer: level 0, which is what `zarr` writes unless told.
//!
//! Level 3, zstd's own choice, takes several times as long as level 2 for noisy numbers, and makes them hardly shorter. So a
//! sample of each chunk is compressed at rising levels, and the least that does as well will do. Who reads sees no
//! difference: a frame does not say its level.

use std::cell::RefCell;

use zstd::bulk::Compressor;

/// zstd's own choice, to which the others are compared.
const USUAL_LEVEL: i32 = 3;
const QUICKER_LEVELS: [i32; 2] = [1, 2];
/// A sample is so many parts, spread over the chunk, and one byte of so many of it, but no longer than is needed to tell.
/// Short chunks are compressed before it would be known how.
const SAMPLE_PART_COUNT: usize = 4;
const SAMPLED_PART: usize = 16;
const SAMPLE_BYTES_MAX: usize = 256 << 10;
const SAMPLED_BYTES_MIN: usize = 1 << 20;
/// By how much a sample may be longer than at the usual level: one part in so many.
const LONGER_PART: usize = 100;

thread_local! {
    /// One thread's compressor, which is costly to make.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

/// Compresses a chunk.
///
/// # Errors
/// What zstd says.
pub(super) fn compress(bytes: &[u8]) -> Result<Vec<u8>, String> {
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some(compressor) => compressor,
            none => none.insert(Compressor::new(USUAL_LEVEL).map_err(|error| error.to_string())?),
        };
        let mut at_level = |level: i32, bytes: &[u8]| {
            let set = compressor.set_compression_level(level);
            set.and_then(|()| compressor.compress(bytes))
                .map_err(|error| format!("zstd: {error}"))
        };
        let level = match sample(bytes) {
            Some(sample) => enough(&sample, |level, bytes| Ok(at_level(level, bytes)?.len()))?,
            None => USUAL_LEVEL,
        };
        at_level(level, bytes)
    })
}

/// The least level at which the sample is as short as at the usual one, or nearly.
fn enough(sample: &[u8], mut len_at: impl FnMut(i32, &[u8]) -> Result<usize, String>) -> Result<i32, String> {
    let usual = len_at(USUAL_LEVEL, sample)?;
    for level in QUICKER_LEVELS {
        if len_at(level, sample)? <= usual + usual / LONGER_PART {
            return Ok(level);
        }
    }
    Ok(USUAL_LEVEL)
}

fn sample(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() < SAMPLED_BYTES_MIN {
        return None;
    }
    let len = (bytes.len() / SAMPLED_PART).min(SAMPLE_BYTES_MAX) / SAMPLE_PART_COUNT;
    let stride = (bytes.len() - len) / (SAMPLE_PART_COUNT - 1);
    let parts = (0..SAMPLE_PART_COUNT).map(|part| &bytes[part * stride..part * stride + len]);
    Some(parts.collect::<Vec<_>>().concat())
}

#[cfg(test)]
mod tests {
    use super::{SAMPLE_BYTES_MAX, SAMPLED_BYTES_MIN, compress, enough, sample};

    /// Bytes that look like noise, the same each time.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn what_comes_back_is_what_went_in() {
        let mut mixed = noise(3 << 20);
        mixed.extend(vec![7; 1 << 20]);
        for bytes in [
            Vec::new(),
            vec![1, 2, 3],
            vec![0; 5 << 20],
            noise(SAMPLED_BYTES_MIN),
            mixed,
        ] {
            let encoded = compress(&bytes).unwrap();
            assert!(zstd::bulk::decompress(&encoded, bytes.len()).unwrap() == bytes);
        }
    }

    #[test]
    fn noise_is_not_searched_twice_and_what_more_effort_shortens_gets_it() {
        let level = |lens: [usize; 3]| enough(&[], |level, _| Ok(lens[level as usize - 1])).unwrap();
        assert_eq!(level([1000, 1000, 1000]), 1);
        assert_eq!(level([1009, 1000, 1000]), 1);
        assert_eq!(level([1011, 1009, 1000]), 2);
        assert_eq!(level([1200, 1100, 1000]), 3);
    }

    #[test]
    fn samples_are_of_the_whole_chunk_and_not_of_short_ones() {
        assert!(sample(&vec![0; SAMPLED_BYTES_MIN - 1]).is_none());
        for (len, sampled) in [
            (SAMPLED_BYTES_MIN, 64 << 10),
            (SAMPLED_BYTES_MIN * 8 + 5, SAMPLE_BYTES_MAX),
        ] {
            let bytes: Vec<u8> = (0..len).map(|at| (at * 251 / len) as u8).collect();
            let sample = sample(&bytes).unwrap();
            assert_eq!(sample.len(), sampled);
            assert_eq!((sample[0], sample[sampled - 1]), (0, bytes[len - 1]));
        }
    }
}
