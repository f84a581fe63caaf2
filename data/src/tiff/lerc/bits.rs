//! Bytes read one after the other, and numbers of few bits.

use super::LercFault;

fn cut_off() -> LercFault {
    LercFault::damaged("its LERC blob ends early")
}

/// What is left of a blob.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Cursor { rest }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], LercFault> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], LercFault> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, LercFault> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, LercFault> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn i16(&mut self) -> Result<i16, LercFault> {
        self.array().map(i16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, LercFault> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, LercFault> {
        self.array().map(i32::from_le_bytes)
    }

    pub(super) fn f64(&mut self) -> Result<f64, LercFault> {
        self.array().map(f64::from_le_bytes)
    }
}

/// Reads `count` bit-stuffed numbers into `numbers`, replacing what it held.
///
/// A byte says how many bits a number has, how the count is stored, and whether the numbers are indices into a table
/// that comes before them (its first entry, 0, left out).
pub(super) fn unstuff(
    cursor: &mut Cursor<'_>,
    count: usize,
    numbers: &mut Vec<u32>,
) -> Result<(), LercFault> {
    let head = cursor.u8()?;
    let stored = match head >> 6 {
        0 => cursor.u32()?,
        1 => u32::from(cursor.u16()?),
        2 => u32::from(cursor.u8()?),
        _ => return Err(LercFault::damaged("its LERC blob has a count of an unknown size")),
    };
    if usize::try_from(stored) != Ok(count) {
        return Err(LercFault::damaged(format!(
            "its LERC blob has {stored} bit-stuffed numbers in place of {count}"
        )));
    }
    let bit_count = u32::from(head & 31);
    if head & 32 == 0 {
        return unpack(cursor, bit_count, count, numbers);
    }
    let len = usize::from(cursor.u8()?);
    if len < 2 || bit_count == 0 {
        return Err(LercFault::damaged("its LERC blob has an empty table"));
    }
    let mut table = Vec::new();
    unpack(cursor, bit_count, len - 1, &mut table)?;
    table.insert(0, 0);
    unpack(cursor, (len - 1).ilog2() + 1, count, numbers)?;
    for number in numbers {
        *number = *table
            .get(*number as usize)
            .ok_or_else(|| LercFault::damaged("its LERC blob has an index outside its table"))?;
    }
    Ok(())
}

/// Reads `count` numbers of `bit_count` (at most 31) bits each, lowest bits first, padded to whole bytes.
fn unpack(
    cursor: &mut Cursor<'_>,
    bit_count: u32,
    count: usize,
    numbers: &mut Vec<u32>,
) -> Result<(), LercFault> {
    numbers.clear();
    let len = (count as u64 * u64::from(bit_count)).div_ceil(8);
    let mut bytes = cursor.take(usize::try_from(len).map_err(|_| cut_off())?)?.iter();
    let mask = (1u64 << bit_count) - 1;
    let (mut held, mut held_bits) = (0u64, 0);
    numbers.reserve(count);
    for _ in 0..count {
        while held_bits < bit_count {
            held |= u64::from(*bytes.next().ok_or_else(cut_off)?) << held_bits;
            held_bits += 8;
        }
        numbers.push((held & mask) as u32);
        held >>= bit_count;
        held_bits -= bit_count;
    }
    Ok(())
}

/// Bits of little-endian 32-bit words, the highest bit of a word first.
pub(super) struct WordBits<'a> {
    bytes: &'a [u8],
    bit: usize,
}

impl<'a> WordBits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        WordBits { bytes, bit: 0 }
    }

    fn word(&self, index: usize) -> u64 {
        let word = self.bytes.get(index * 4..).and_then(|rest| rest.first_chunk());
        word.map_or(0, |word| u64::from(u32::from_le_bytes(*word)))
    }

    /// The next 32 bits, zeros after the end.
    pub(super) fn peek(&self) -> u32 {
        let index = self.bit / 32;
        let both = (self.word(index) << 32) | self.word(index + 1);
        ((both << (self.bit % 32)) >> 32) as u32
    }

    pub(super) fn skip(&mut self, bit_count: usize) -> Result<(), LercFault> {
        self.bit += bit_count;
        if self.bit > self.bytes.len() / 4 * 32 {
            return Err(cut_off());
        }
        Ok(())
    }

    /// Bytes of the words begun so far.
    pub(super) fn used_bytes(&self) -> usize {
        self.bit.div_ceil(32) * 4
    }
}
