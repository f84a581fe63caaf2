//! Columns of numbers in few bytes: each byte of the numbers is a plane of its own, and each plane is deflated.
//!
//! The high bytes of durations and steps hardly differ, so their planes shrink to a few bits a number; the low bytes of
//! times are noise, and cost what they are worth.

use std::io::{Read, Write};

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};

use crate::aggregate::{take_varint, varint};

/// Deflates `bytes`.
pub(super) fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(7));
    encoder
        .write_all(bytes)
        .expect("memory takes all that is written");
    encoder.finish().expect("memory takes all that is written")
}

/// Inflates `bytes`; `None` if they are no deflated bytes, or give more than `len_max`.
pub(super) fn inflated(bytes: &[u8], len_max: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let limit = u64::try_from(len_max).unwrap_or(u64::MAX);
    DeflateDecoder::new(bytes)
        .take(limit.saturating_add(1))
        .read_to_end(&mut out)
        .ok()?;
    (out.len() <= len_max).then_some(out)
}

/// Writes a column: how many bytes its numbers have, and as many planes.
pub(super) fn write(out: &mut Vec<u8>, values: &[u64]) {
    let most = values.iter().fold(0, |most, value| most | value);
    let width = (64 - most.leading_zeros()).div_ceil(8);
    // At most 8.
    out.push(width as u8);
    for plane in 0..width {
        let raw: Vec<u8> = values.iter().map(|value| (value >> (plane * 8)) as u8).collect();
        let packed = deflated(&raw);
        // As long as the plane itself: it is stored as it is.
        let stored = if packed.len() < raw.len() { &packed } else { &raw };
        varint(out, stored.len() as u64);
        out.extend_from_slice(stored);
    }
}

/// Reads a column of `count` numbers; `None` if it is not one.
pub(super) fn read(bytes: &mut &[u8], count: usize) -> Option<Vec<u64>> {
    let width = *bytes.split_off_first()?;
    if width > 8 {
        return None;
    }
    let mut values = vec![0; count];
    for plane in 0..width {
        let stored = take(bytes)?;
        let raw = if stored.len() == count {
            stored.to_vec()
        } else {
            inflated(stored, count)?
        };
        if raw.len() != count {
            return None;
        }
        for (value, byte) in values.iter_mut().zip(raw) {
            *value |= u64::from(byte) << (plane * 8);
        }
    }
    Some(values)
}

/// Reads `N` columns of `count` numbers each, row by row; `None` if they are not.
pub(super) fn read_rows<const N: usize>(bytes: &mut &[u8], count: usize) -> Option<Vec<[u64; N]>> {
    let mut rows = vec![[0; N]; count];
    for column in 0..N {
        for (row, value) in rows.iter_mut().zip(read(bytes, count)?) {
            row[column] = value;
        }
    }
    Some(rows)
}

/// Writes bytes with their length before them.
pub(super) fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what [`put`] wrote.
pub(super) fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take_varint(bytes)?).ok()?;
    bytes.split_off(..len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_column_comes_back_as_it_was(values in proptest::collection::vec(
            prop_oneof![Just(0), 0..300u64, any::<u64>()], 0..400)) {
            let mut out = Vec::new();
            write(&mut out, &values);
            let mut rest = &out[..];
            prop_assert_eq!(read(&mut rest, values.len()), Some(values));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn what_is_no_column_is_refused_or_read_but_never_panics(
            bytes in proptest::collection::vec(any::<u8>(), 0..80), count in 0..100usize) {
            if let Some(values) = read(&mut &bytes[..], count) {
                prop_assert_eq!(values.len(), count);
            }
        }
    }
}
