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

    /// Adds some of them to a list of runs, each a code and how often it stands there; the list's last run goes on if they
    /// begin with its code.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn read_runs(&self, range: Range<usize>, runs: &mut Vec<(i32, usize)>) {
        let bytes = &self.bytes[range.start * self.width..range.end * self.width];
        match self.width {
            1 => add_runs(bytes.as_chunks().0, |[byte]| i32::from(byte as i8), runs),
            2 => add_runs(
                bytes.as_chunks().0,
                |code| i32::from(i16::from_le_bytes(code)),
                runs,
            ),
            _ => add_runs(bytes.as_chunks().0, i32::from_le_bytes, runs),
        }
    }
}

fn add_runs<const N: usize>(codes: &[[u8; N]], value: impl Fn([u8; N]) -> i32, runs: &mut Vec<(i32, usize)>) {
    let mut rest = codes;
    while let Some(&first) = rest.first() {
        let (code, len) = (value(first), run_len(rest, first));
        match runs.last_mut() {
            Some((last, count)) if *last == code => *count += len,
            _ => runs.push((code, len)),
        }
        rest = &rest[len..];
    }
}

/// How many codes in front are this one.
fn run_len<const N: usize>(codes: &[[u8; N]], code: [u8; N]) -> usize {
    /// Codes looked at one by one before many are compared at once.
    const NEAR: usize = 8;
    let count = |codes: &[[u8; N]]| codes.iter().take_while(|other| **other == code).count();
    let near = count(&codes[..codes.len().min(NEAR)]);
    if near < NEAR {
        return near;
    }
    let (blocks, _) = codes.as_chunks::<32>();
    let is_all = |block: &&[[u8; N]; 32]| block.iter().fold(true, |all, other| all & (*other == code));
    let whole = 32 * blocks.iter().take_while(is_all).count();
    whole + count(&codes[whole..])
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
    fn runs_are_those_of_the_codes_read_one_by_one() {
        let lens = [1, 7, 8, 9, 31, 32, 33, 1, 1, 64, 100, 2];
        for scale in [1, 300, 100_000] {
            let codes = lens.iter().zip(0..);
            let codes: Vec<i32> = codes
                .flat_map(|(&len, k)| std::iter::repeat_n((k % 5 - 1) * scale, len))
                .collect();
            let table = encode_codes(&codes);
            let read = GroupCodes::new(&table).expect("it was just written");
            for start in 0..codes.len() {
                let middle = start + (codes.len() - start) / 2;
                let mut runs = vec![];
                read.read_runs(start..middle, &mut runs);
                read.read_runs(middle..codes.len(), &mut runs);
                let want: Vec<(i32, usize)> = codes[start..]
                    .chunk_by(|a, b| a == b)
                    .map(|run| (run[0], run.len()))
                    .collect();
                assert_eq!(runs, want, "from {start} on");
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
