//! Values of 8 bits as Huffman codes.

use super::bits::{Cursor, WordBits, unstuff};
use super::header::Header;
use super::mask::Mask;
use super::sample::SampleKind;
use super::{Grid, LercFault};

/// The most codes: one for each value of a byte.
const CODE_COUNT_MAX: i32 = 256;
/// Codes of up to this many bits are found by one look at a table.
const SHORT_BITS: u32 = 12;

/// Which symbol each code stands for.
struct Codes {
    /// By the next [`SHORT_BITS`] bits: the code's length (0 if it is longer or none) and its symbol.
    short: Vec<(u8, u8)>,
    /// Longer codes, from the highest bit on, with length and symbol; sorted.
    long: Vec<(u32, u8, u8)>,
}

/// Reads the Huffman coded values of all valid pixels, or (`delta`) their differences to a neighbour.
pub(super) fn read(
    cursor: &mut Cursor<'_>,
    header: &Header,
    kind: SampleKind,
    delta: bool,
    mask: &Mask,
    grid: &mut Grid<'_>,
) -> Result<(), LercFault> {
    let codes = Codes::read(cursor)?;
    let mut bits = WordBits::new(cursor.rest());
    // Both types are bytes that wrap around; symbols of signed values are shifted to begin at 0.
    let shift = if kind == SampleKind::Int8 { 128 } else { 0 };
    let mut next = || codes.next(&mut bits).map(|symbol| symbol.wrapping_sub(shift));
    if !delta {
        for pixel in (0..mask.len()).filter(|pixel| mask.is_valid(*pixel)) {
            for value in 0..header.depth {
                grid.set(pixel, value, next()?);
            }
        }
        return Ok(());
    }
    for value in 0..header.depth {
        let mut last = 0u8;
        for pixel in (0..mask.len()).filter(|pixel| mask.is_valid(*pixel)) {
            let has_left = pixel % grid.cols > 0 && mask.is_valid(pixel - 1);
            let base = match pixel.checked_sub(grid.cols) {
                Some(above) if !has_left && mask.is_valid(above) => grid.get::<u8>(above, value),
                _ => last,
            };
            last = base.wrapping_add(next()?);
            grid.set(pixel, value, last);
        }
    }
    Ok(())
}

impl Codes {
    /// Reads the table of codes: lengths bit-stuffed for a range of symbols that may wrap around, then the codes.
    fn read(cursor: &mut Cursor<'_>) -> Result<Codes, LercFault> {
        let damaged = || LercFault::damaged("its LERC blob has a table of Huffman codes that is not valid");
        let (version, count) = (cursor.i32()?, cursor.i32()?);
        let (first, end) = (cursor.i32()?, cursor.i32()?);
        let sound = version >= 2
            && (1..=CODE_COUNT_MAX).contains(&count)
            && (0..2 * count).contains(&first)
            && end > first
            && end <= 2 * count
            && end - first <= count;
        if !sound {
            return Err(damaged());
        }
        let mut lens = Vec::new();
        unstuff(cursor, (end - first) as usize, &mut lens)?;
        let mut codes = Codes {
            short: vec![(0, 0); 1 << SHORT_BITS],
            long: Vec::new(),
        };
        let mut bits = WordBits::new(cursor.rest());
        for (symbol, len) in (first..end).zip(lens) {
            if len > 32 {
                return Err(damaged());
            }
            if len > 0 {
                let code = bits.peek() & (u32::MAX << (32 - len));
                bits.skip(len as usize)?;
                codes.insert(code, len, (symbol % count) as u8);
            }
        }
        codes.long.sort_unstable();
        let used = bits.used_bytes();
        cursor.take(used)?;
        Ok(codes)
    }

    /// Takes up a code of `len` bits, which are the highest of `code`.
    fn insert(&mut self, code: u32, len: u32, symbol: u8) {
        if len <= SHORT_BITS {
            let start = (code >> (32 - SHORT_BITS)) as usize;
            self.short[start..start + (1 << (SHORT_BITS - len))].fill((len as u8, symbol));
        } else {
            self.long.push((code, len as u8, symbol));
        }
    }

    fn next(&self, bits: &mut WordBits<'_>) -> Result<u8, LercFault> {
        let coming = bits.peek();
        let (len, symbol) = match self.short[(coming >> (32 - SHORT_BITS)) as usize] {
            (0, _) => self.next_long(coming)?,
            found => found,
        };
        bits.skip(usize::from(len))?;
        Ok(symbol)
    }

    /// No code is the start of another, so it can only be the last that is not above the bits to come.
    fn next_long(&self, coming: u32) -> Result<(u8, u8), LercFault> {
        let after = self.long.partition_point(|(code, _, _)| *code <= coming);
        match after.checked_sub(1).map(|index| self.long[index]) {
            Some((code, len, symbol)) if (code ^ coming) >> (32 - u32::from(len)) == 0 => Ok((len, symbol)),
            _ => Err(LercFault::damaged(
                "its LERC blob has bits that are no Huffman code",
            )),
        }
    }
}
