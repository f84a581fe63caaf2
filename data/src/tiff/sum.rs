//! Running sums of samples, the inner loop of predictor 2.
//!
//! Each sum waits for the one before it. On x86-64 the samples of sixteen bytes are summed among themselves first, so
//! that only the last sum of each sixteen bytes has to be waited for.

/// Sums `from`, samples of `N` bytes in the machine's byte order, onto `sum`, and writes the running sums to `to`.
///
/// Sums wrap. Both slices have the same length.
pub(crate) fn running_sum<const N: usize>(sum: [u8; N], from: &[[u8; N]], to: &mut [[u8; N]]) {
    let (sum, done) = sum_sixteens(sum, from, to);
    let mut sum = sum;
    for (to, from) in to[done..].iter_mut().zip(&from[done..]) {
        sum = add(sum, *from);
        *to = sum;
    }
}

/// The same in place.
pub(crate) fn running_sum_in_place<const N: usize>(row: &mut [[u8; N]]) {
    let mut sum = [0; N];
    // Pieces that stay in the nearest cache between the copy and the sums.
    let mut piece = [[0; N]; 64];
    for part in row.chunks_mut(64) {
        let piece = &mut piece[..part.len()];
        piece.copy_from_slice(part);
        running_sum(sum, piece, part);
        sum = part.last().copied().unwrap_or(sum);
    }
}

/// The sum of two integers of `N` bytes in the machine's byte order.
#[inline]
pub(crate) fn add<const N: usize>(a: [u8; N], b: [u8; N]) -> [u8; N] {
    let widen = |bytes: [u8; N]| {
        let mut wide = [0; 8];
        if cfg!(target_endian = "big") {
            wide[8 - N..].copy_from_slice(&bytes);
        } else {
            wide[..N].copy_from_slice(&bytes);
        }
        u64::from_ne_bytes(wide)
    };
    let sum = widen(a).wrapping_add(widen(b)).to_ne_bytes();
    let mut narrow = [0; N];
    if cfg!(target_endian = "big") {
        narrow.copy_from_slice(&sum[8 - N..]);
    } else {
        narrow.copy_from_slice(&sum[..N]);
    }
    narrow
}

/// Does whole runs of sixteen bytes; gives the last sum and how many samples are done.
#[cfg(target_arch = "x86_64")]
fn sum_sixteens<const N: usize>(sum: [u8; N], from: &[[u8; N]], to: &mut [[u8; N]]) -> ([u8; N], usize) {
    if !matches!(N, 1 | 2 | 4) {
        return (sum, 0);
    }
    let source = from.as_flattened().as_chunks::<16>().0;
    let target = to.as_flattened_mut().as_chunks_mut::<16>().0;
    // SAFETY: the function needs nothing but SSE2, which is part of every x86-64.
    #[allow(unsafe_code)]
    unsafe {
        x86::running_sum(sum, source, target);
    }
    let done = source.len() * 16 / N;
    (if done == 0 { sum } else { to[done - 1] }, done)
}

/// Elsewhere the plain loop does it all.
#[cfg(not(target_arch = "x86_64"))]
fn sum_sixteens<const N: usize>(sum: [u8; N], _: &[[u8; N]], _: &mut [[u8; N]]) -> ([u8; N], usize) {
    (sum, 0)
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi8, _mm_add_epi16, _mm_add_epi32, _mm_cvtsi128_si64, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8, _mm_set1_epi16, _mm_set1_epi32, _mm_shuffle_epi32, _mm_shufflehi_epi16,
        _mm_slli_epi16, _mm_slli_si128, _mm_srli_epi16, _mm_unpackhi_epi64,
    };

    #[target_feature(enable = "sse2")]
    pub(super) fn running_sum<const N: usize>(sum: [u8; N], from: &[[u8; 16]], to: &mut [[u8; 16]]) {
        let mut carry = broadcast(sum);
        for (to, from) in to.iter_mut().zip(from) {
            let sums = add::<N>(prefix::<N>(load(from)), carry);
            *to = store(sums);
            carry = broadcast_last::<N>(sums);
        }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn load(bytes: &[u8; 16]) -> __m128i {
        let (low, high) = bytes.split_at(8);
        let word = |half: &[u8]| i64::from_le_bytes(half.try_into().expect("half of sixteen bytes"));
        _mm_set_epi64x(word(high), word(low))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn store(vector: __m128i) -> [u8; 16] {
        let low = _mm_cvtsi128_si64(vector).to_le_bytes();
        let high = _mm_cvtsi128_si64(_mm_unpackhi_epi64(vector, vector)).to_le_bytes();
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&low);
        bytes[8..].copy_from_slice(&high);
        bytes
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn add<const N: usize>(a: __m128i, b: __m128i) -> __m128i {
        match N {
            1 => _mm_add_epi8(a, b),
            2 => _mm_add_epi16(a, b),
            _ => _mm_add_epi32(a, b),
        }
    }

    /// Each lane becomes the sum of itself and all lanes below it.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn prefix<const N: usize>(mut lanes: __m128i) -> __m128i {
        if N == 1 {
            lanes = add::<N>(lanes, _mm_slli_si128::<1>(lanes));
        }
        if N <= 2 {
            lanes = add::<N>(lanes, _mm_slli_si128::<2>(lanes));
        }
        lanes = add::<N>(lanes, _mm_slli_si128::<4>(lanes));
        add::<N>(lanes, _mm_slli_si128::<8>(lanes))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn broadcast<const N: usize>(sample: [u8; N]) -> __m128i {
        let mut wide = [0; 4];
        wide[..N].copy_from_slice(&sample);
        let number = i32::from_le_bytes(wide);
        match N {
            1 => _mm_set1_epi8(number as i8),
            2 => _mm_set1_epi16(number as i16),
            _ => _mm_set1_epi32(number),
        }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn broadcast_last<const N: usize>(lanes: __m128i) -> __m128i {
        // The highest byte twice side by side, then as for two bytes.
        let pairs = if N == 1 {
            let high = _mm_srli_epi16::<8>(lanes);
            _mm_or_si128(high, _mm_slli_epi16::<8>(high))
        } else {
            lanes
        };
        let quads = if N <= 2 {
            _mm_shufflehi_epi16::<0xff>(pairs)
        } else {
            pairs
        };
        _mm_shuffle_epi32::<0xff>(quads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<const N: usize>(len: usize) {
        let from: Vec<[u8; N]> = (0..len)
            .map(|at| std::array::from_fn(|byte| (at * 89 + byte * 57 + at / 7) as u8))
            .collect();
        let first = [251; N];
        let (mut got, mut want) = (vec![[0; N]; len], vec![[0; N]; len]);
        running_sum(first, &from, &mut got);
        let mut sum = first;
        for (to, from) in want.iter_mut().zip(&from) {
            sum = add(sum, *from);
            *to = sum;
        }
        assert_eq!(got, want, "{len} samples of {N} bytes");
        let (mut in_place, mut out) = (from.clone(), vec![[0; N]; len]);
        running_sum_in_place(&mut in_place);
        running_sum([0; N], &from, &mut out);
        assert_eq!(in_place, out, "{len} samples of {N} bytes in place");
    }

    #[test]
    fn vector_sums_are_the_plain_ones() {
        for len in [0, 1, 3, 7, 8, 15, 16, 17, 63, 64, 65, 200] {
            check::<1>(len);
            check::<2>(len);
            check::<4>(len);
            check::<8>(len);
        }
    }

    #[test]
    fn addition_wraps() {
        assert_eq!(add(200u8.to_ne_bytes(), 100u8.to_ne_bytes()), 44u8.to_ne_bytes());
        assert_eq!(
            add(u16::MAX.to_ne_bytes(), 3u16.to_ne_bytes()),
            2u16.to_ne_bytes()
        );
        assert_eq!(
            add(u64::MAX.to_ne_bytes(), 3u64.to_ne_bytes()),
            2u64.to_ne_bytes()
        );
    }
}
