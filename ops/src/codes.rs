//! Codes of groups as a side table.

use std::ops::Range;

use crate::OpsError;

/// Writes codes of groups as a side table: one byte that says how wide they are, then each in as many bytes, little-endian.
/// As wide as the widest needs; so a task finds those of its block where they are, and reads no others.
///
/// ```
/// use graticule_ops::{GroupCodes, encode_codes};
///
/// let table = encode_codes(&[0, -1, 2, 0]);
/// assert_eq!(table.len(), 5);
/// let mut some = Vec::new();
/// GroupCodes::new(&table)?.read(1..3, &mut some);
/// assert_eq!(some, [-1, 2]);
/// # Ok::<(), graticule_ops::OpsError>(())
/// ```
pub fn encode_codes(codes: &[i32]) -> Vec<u8> {
    let (least, greatest) = codes.iter().fold((0, 0), |(least, greatest), &code| {
        (code.min(least), code.max(greatest))
    });
    let fits = |low: i32, high: i32| low <= least && greatest <= high;
    if fits(i8::MIN.into(), i8::MAX.into()) {
        encode(1, codes, |code| (code as i8).to_le_bytes())
    } else if fits(i16::MIN.into(), i16::MAX.into()) {
        encode(2, codes, |code| (code as i16).to_le_bytes())
    } else {
        encode(4, codes, i32::to_le_bytes)
    }
}

fn encode<const N: usize>(width: u8, codes: &[i32], bytes: impl Fn(i32) -> [u8; N]) -> Vec<u8> {
    let mut table = Vec::with_capacity(1 + N * codes.len());
    table.push(width);
    table.extend(codes.iter().flat_map(|&code| bytes(code)));
    table
}

/// Codes of groups as they lie in a side table; see [`encode_codes`].
#[derive(Debug, Clone, Copy)]
pub struct GroupCodes<'a> {
    width: usize,
    bytes: &'a [u8],
}

impl<'a> GroupCodes<'a> {
    /// The codes of a table.
    ///
    /// # Errors
    /// [`OpsError::Decode`].
    pub fn new(table: &'a [u8]) -> Result<Self, OpsError> {
        let failed = |why| OpsError::Decode {
            what: "side table of codes",
            why,
        };
        let (&width, bytes) = table.split_first().ok_or_else(|| failed("it is empty".into()))?;
        let width = usize::from(width);
        if !matches!(width, 1 | 2 | 4) || !bytes.len().is_multiple_of(width) {
            let len = bytes.len();
            return Err(failed(format!("{len} bytes of codes of {width} bytes")));
        }
        Ok(Self { width, bytes })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.width
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds some of them to a list.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn read(&self, range: Range<usize>, codes: &mut Vec<i32>) {
        let bytes = &self.bytes[range.start * self.width..range.end * self.width];
        match self.width {
            1 => codes.extend(bytes.iter().map(|&byte| i32::from(byte as i8))),
            2 => codes.extend(
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|&code| i32::from(i16::from_le_bytes(code))),
            ),
            _ => codes.extend(bytes.as_chunks().0.iter().map(|&code| i32::from_le_bytes(code))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_as_wide_as_the_widest_and_any_part_is_read() {
        for (codes, width) in [
            (vec![], 1),
            (vec![0, -1, 127, -128], 1),
            (vec![3, 128], 2),
            (vec![-129, 32767, -32768], 2),
            (vec![32768], 4),
            (vec![i32::MIN, i32::MAX, -1, 0], 4),
        ] {
            let table = encode_codes(&codes);
            assert_eq!(table.len(), 1 + width * codes.len(), "{codes:?}");
            let read = GroupCodes::new(&table).expect("it was just written");
            assert_eq!((read.len(), read.is_empty()), (codes.len(), codes.is_empty()));
            for start in 0..=codes.len() {
                let mut rest = vec![7];
                read.read(start..codes.len(), &mut rest);
                assert_eq!(rest[1..], codes[start..]);
            }
        }
    }

    #[test]
    fn what_are_no_codes_is_refused() {
        for table in [&[][..], &[3, 0, 0, 0], &[2, 1], &[4, 1, 2, 3], &[0]] {
            assert!(GroupCodes::new(table).is_err(), "{table:?}");
        }
    }
}
