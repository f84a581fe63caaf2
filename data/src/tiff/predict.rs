//! Undoes predictors, row by row.

use super::format::Storage;
use super::sum::{add, running_sum, running_sum_in_place};

/// Turns differences back into samples: each sample becomes the sum of itself and the one `samples` before it.
///
/// `row` is in the machine's byte order; `size` is a sample's bytes. Sums wrap, floats are summed as integers.
pub(crate) fn undo_horizontal(row: &mut [u8], size: usize, samples: usize) {
    match (size, samples) {
        (1, 1) => running_sum_in_place(row.as_chunks_mut::<1>().0),
        (2, 1) => running_sum_in_place(row.as_chunks_mut::<2>().0),
        (4, 1) => running_sum_in_place(row.as_chunks_mut::<4>().0),
        (8, 1) => running_sum_in_place(row.as_chunks_mut::<8>().0),
        (1, _) => sum_strided::<1>(row, samples),
        (2, _) => sum_strided::<2>(row, samples),
        (4, _) => sum_strided::<4>(row, samples),
        (8, _) => sum_strided::<8>(row, samples),
        _ => unreachable!("plain samples have 1, 2, 4 or 8 bytes"),
    }
}

fn sum_strided<const N: usize>(row: &mut [u8], samples: usize) {
    let row = row.as_chunks_mut::<N>().0;
    for at in samples..row.len() {
        row[at] = add(row[at], row[at - samples]);
    }
}

/// Undoes the float predictor of `row` into `out`, in the machine's byte order; both have the same length.
///
/// TIFF technical note 3: differences of bytes `samples` apart over a row that holds first the highest byte of every
/// sample, then the next, whatever the file's byte order.
pub(crate) fn undo_float(row: &mut [u8], size: usize, samples: usize, out: &mut [u8]) {
    match samples {
        1 => running_sum_in_place(row.as_chunks_mut::<1>().0),
        _ => sum_strided::<1>(row, samples),
    }
    match size {
        2 => gather_bytes::<2>(row, out),
        4 => gather_bytes::<4>(row, out),
        8 => gather_bytes::<8>(row, out),
        _ => unreachable!("floats have 2, 4 or 8 bytes"),
    }
}

fn gather_bytes<const N: usize>(row: &[u8], out: &mut [u8]) {
    let count = row.len() / N;
    let mut planes = [&row[..0]; N];
    for (plane, bytes) in planes.iter_mut().zip(row.chunks_exact(count.max(1))) {
        *plane = bytes;
    }
    if cfg!(target_endian = "little") {
        planes.reverse();
    }
    for (at, sample) in out.as_chunks_mut::<N>().0.iter_mut().enumerate().take(count) {
        *sample = planes.map(|plane| plane[at]);
    }
}

/// Turns each sample's bytes round.
pub(crate) fn swap_bytes(row: &mut [u8], size: usize) {
    match size {
        2 => row
            .as_chunks_mut::<2>()
            .0
            .iter_mut()
            .for_each(|sample| sample.reverse()),
        4 => row
            .as_chunks_mut::<4>()
            .0
            .iter_mut()
            .for_each(|sample| sample.reverse()),
        8 => row
            .as_chunks_mut::<8>()
            .0
            .iter_mut()
            .for_each(|sample| sample.reverse()),
        _ => {}
    }
}

/// Takes the samples of one band out of a row: those at `band`, `band + samples`, ... of the pixels `first..`, as
/// many as fit `out`. `swap` turns their bytes round, `size` is a stored sample's bytes.
///
/// Sums differences on the way, so that the row itself needs no pass of its own.
pub(crate) struct BandOfRow {
    pub(crate) storage: Storage,
    pub(crate) size: usize,
    pub(crate) bits: u16,
    pub(crate) samples: usize,
    pub(crate) band: usize,
    pub(crate) first: usize,
    pub(crate) swap: bool,
    /// Whether plain samples are differences to the pixel on their left, still to be summed.
    pub(crate) differences: bool,
}

impl BandOfRow {
    /// Copies from `row` (a whole row of a block) to `out` (elements of the dtype that samples decode to).
    pub(crate) fn copy(&self, row: &[u8], out: &mut [u8]) {
        match (self.storage, self.size) {
            (Storage::Plain, 1) => self.copy_plain::<1>(row, out),
            (Storage::Plain, 2) => self.copy_plain::<2>(row, out),
            (Storage::Plain, 4) => self.copy_plain::<4>(row, out),
            (Storage::Plain, 8) => self.copy_plain::<8>(row, out),
            (Storage::Plain, _) => unreachable!("plain samples have 1, 2, 4 or 8 bytes"),
            (Storage::Half, _) => self.widen_halves(row, out),
            (Storage::Packed, _) => self.unpack(row, out),
        }
    }

    fn copy_plain<const N: usize>(&self, row: &[u8], out: &mut [u8]) {
        if self.differences {
            return match (self.samples, self.swap) {
                (1, false) => self.sum_single::<N>(row, out),
                (3, false) => self.sum_picked::<N, 3>(row, out),
                (4, false) => self.sum_picked::<N, 4>(row, out),
                _ => self.sum_strided::<N>(row, out),
            };
        }
        let stored = &row.as_chunks::<N>().0[self.first * self.samples..];
        let out = out.as_chunks_mut::<N>().0;
        match (self.samples, self.swap) {
            (1, false) => out.copy_from_slice(&stored[..out.len()]),
            (1, true) => {
                for (to, from) in out.iter_mut().zip(stored) {
                    *to = *from;
                    to.reverse();
                }
            }
            (3, false) => pick::<N, 3>(stored, self.band, out),
            (4, false) => pick::<N, 4>(stored, self.band, out),
            (samples, swap) => {
                for (to, from) in out.iter_mut().zip(stored.chunks_exact(samples)) {
                    *to = from[self.band];
                    if swap {
                        to.reverse();
                    }
                }
            }
        }
    }

    /// Sums the differences of the only band.
    fn sum_single<const N: usize>(&self, row: &[u8], out: &mut [u8]) {
        let stored = row.as_chunks::<N>().0;
        let out = out.as_chunks_mut::<N>().0;
        let before = stored[..self.first]
            .iter()
            .fold([0; N], |sum, sample| add(sum, *sample));
        running_sum(before, &stored[self.first..self.first + out.len()], out);
    }

    /// Sums the differences of one of `S` bands.
    fn sum_picked<const N: usize, const S: usize>(&self, row: &[u8], out: &mut [u8]) {
        let pixels = row.as_chunks::<N>().0.as_chunks::<S>().0;
        let out = out.as_chunks_mut::<N>().0;
        let (before, pixels) = pixels.split_at(self.first);
        let mut sum = before
            .iter()
            .fold([0; N], |sum, pixel| add(sum, pixel[self.band]));
        let mut next = |to: &mut [u8; N], pixel: &[[u8; N]; S]| {
            sum = add(sum, pixel[self.band]);
            *to = sum;
        };
        let (groups, rest) = out.as_chunks_mut::<8>();
        let (pixel_groups, _) = pixels.as_chunks::<8>();
        for (to, pixels) in groups.iter_mut().zip(pixel_groups) {
            to.iter_mut().zip(pixels).for_each(|(to, pixel)| next(to, pixel));
        }
        rest.iter_mut()
            .zip(&pixels[groups.len() * 8..])
            .for_each(|(to, pixel)| next(to, pixel));
    }

    /// The general case: any number of bands, any byte order.
    fn sum_strided<const N: usize>(&self, row: &[u8], out: &mut [u8]) {
        let mut samples = row.as_chunks::<N>().0.chunks_exact(self.samples).map(|pixel| {
            let mut sample = pixel[self.band];
            if self.swap {
                sample.reverse();
            }
            sample
        });
        let mut sum = samples.by_ref().take(self.first).fold([0; N], add);
        for (to, sample) in out.as_chunks_mut::<N>().0.iter_mut().zip(samples) {
            sum = add(sum, sample);
            *to = sum;
        }
    }

    fn widen_halves(&self, row: &[u8], out: &mut [u8]) {
        let stored = &row.as_chunks::<2>().0[self.first * self.samples..];
        let out = out.as_chunks_mut::<4>().0;
        for (to, from) in out.iter_mut().zip(stored.chunks_exact(self.samples)) {
            let bits = u16::from_ne_bytes(from[self.band]);
            let bits = if self.swap { bits.swap_bytes() } else { bits };
            *to = half_to_single(bits).to_ne_bytes();
        }
    }

    fn unpack(&self, row: &[u8], out: &mut [u8]) {
        let bits = usize::from(self.bits);
        let sample =
            |at: usize| packed_sample(row, ((self.first + at) * self.samples + self.band) * bits, bits);
        match bits {
            0..=8 => out
                .iter_mut()
                .enumerate()
                .for_each(|(at, to)| *to = sample(at) as u8),
            9..=16 => {
                let out = out.as_chunks_mut::<2>().0.iter_mut();
                out.enumerate()
                    .for_each(|(at, to)| *to = (sample(at) as u16).to_ne_bytes());
            }
            _ => {
                let out = out.as_chunks_mut::<4>().0.iter_mut();
                out.enumerate()
                    .for_each(|(at, to)| *to = sample(at).to_ne_bytes());
            }
        }
    }
}

fn pick<const N: usize, const S: usize>(stored: &[[u8; N]], band: usize, out: &mut [[u8; N]]) {
    let pixels = &stored.as_chunks::<S>().0[..out.len()];
    let (groups, rest) = out.as_chunks_mut::<8>();
    let (pixel_groups, pixel_rest) = pixels.as_chunks::<8>();
    for (to, pixels) in groups.iter_mut().zip(pixel_groups) {
        to.iter_mut()
            .zip(pixels)
            .for_each(|(to, pixel)| *to = pixel[band]);
    }
    rest.iter_mut()
        .zip(pixel_rest)
        .for_each(|(to, pixel)| *to = pixel[band]);
}

/// `bits` bits (at most 32) from bit `start` on, the highest first; the row holds them.
fn packed_sample(row: &[u8], start: usize, bits: usize) -> u32 {
    let (first, end) = (start / 8, (start + bits).div_ceil(8));
    let word = row[first..end]
        .iter()
        .fold(0u64, |word, byte| (word << 8) | u64::from(*byte));
    let shift = end * 8 - (start + bits);
    ((word >> shift) & ((1 << bits) - 1)) as u32
}

/// IEEE 754 binary16 to binary32; exact, NaNs keep their payload.
fn half_to_single(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let magnitude = u32::from(half & 0x7fff);
    let bits = match magnitude >> 10 {
        // Subnormal: a multiple of 2^-24, which a single holds as a normal number.
        0 => (magnitude as f32 / 16_777_216.0).to_bits(),
        31 => (magnitude << 13) | 0x7f80_0000,
        _ => (magnitude << 13) + ((127 - 15) << 23),
    };
    f32::from_bits(sign | bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(row: &[u8]) -> Vec<u16> {
        row.as_chunks::<2>()
            .0
            .iter()
            .map(|w| u16::from_ne_bytes(*w))
            .collect()
    }

    #[test]
    fn horizontal_sums_wrap_and_keep_bands_apart() {
        let row: Vec<u16> = vec![1, 100, 2, 65535, 3, 1];
        let mut bytes: Vec<u8> = row.iter().flat_map(|w| w.to_ne_bytes()).collect();
        undo_horizontal(&mut bytes, 2, 2);
        assert_eq!(words(&bytes), [1, 100, 3, 99, 6, 100]);
    }

    #[test]
    fn sums_on_the_way_out_are_those_in_place() {
        let row: Vec<u8> = (0..240).map(|i| (i * 37 % 251) as u8).collect();
        for (size, samples) in [1, 2, 4, 8]
            .into_iter()
            .flat_map(|size| [1, 2, 3, 4, 5].map(|n| (size, n)))
        {
            for swap in [false, true] {
                let mut summed = row.clone();
                if swap {
                    swap_bytes(&mut summed, size);
                }
                let whole = row.len() / size / samples * samples * size;
                undo_horizontal(&mut summed[..whole], size, samples);
                let plain = BandOfRow {
                    storage: Storage::Plain,
                    size,
                    bits: size as u16 * 8,
                    samples,
                    band: samples - 1,
                    first: 2,
                    swap: false,
                    differences: false,
                };
                let count = 3;
                let (mut want, mut got) = (vec![0; count * size], vec![0; count * size]);
                plain.copy(&summed, &mut want);
                BandOfRow {
                    swap,
                    differences: true,
                    ..plain
                }
                .copy(&row, &mut got);
                assert_eq!(got, want, "size {size}, {samples} samples, swap {swap}");
            }
        }
    }

    #[test]
    fn float_predictor_is_undone() {
        let values = [1.0f32, 1.5, -3.25, f32::INFINITY, 1e-20];
        let mut planes = Vec::new();
        for byte in 0..4 {
            planes.extend(values.iter().map(|v| v.to_be_bytes()[byte]));
        }
        let mut row = planes.clone();
        for at in 1..row.len() {
            row[at] = planes[at].wrapping_sub(planes[at - 1]);
        }
        let mut out = vec![0; row.len()];
        undo_float(&mut row, 4, 1, &mut out);
        let got: Vec<f32> = out
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_ne_bytes(*b))
            .collect();
        assert_eq!(got, values);
    }

    #[test]
    fn halves_widen_exactly() {
        let cases = [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 2f32.powi(-24)),
            (0x03ff, 1023.0 * 2f32.powi(-24)),
            (0x0400, 2f32.powi(-14)),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (half, single) in cases {
            assert_eq!(half_to_single(half), single, "{half:#06x}");
        }
        assert_eq!(half_to_single(0x8000).to_bits(), (-0.0f32).to_bits());
        assert!(half_to_single(0x7e00).is_nan());
    }

    #[test]
    fn packed_samples_cross_bytes() {
        let row = [0xab, 0xcd, 0xef];
        assert_eq!(
            [packed_sample(&row, 0, 12), packed_sample(&row, 12, 12)],
            [0xabc, 0xdef]
        );
        assert_eq!([packed_sample(&row, 0, 1), packed_sample(&row, 1, 1)], [1, 0]);
        assert_eq!(packed_sample(&row, 0, 17), 0x1579b);
    }
}
