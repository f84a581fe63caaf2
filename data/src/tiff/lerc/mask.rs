//! Which pixels of a blob are valid.

use super::LercFault;
use super::bits::Cursor;

/// The run count that ends a mask.
const END: i16 = i16::MIN;

/// The valid pixels of a block. Stays from blob to blob: one that stores no mask has that of the blob before.
pub(super) struct Mask {
    len: usize,
    valid: Valid,
}

enum Valid {
    Unknown,
    All,
    None,
    /// A bit per pixel, the highest of a byte first.
    Some(Vec<u8>),
}

impl Mask {
    pub(super) fn new(pixel_count: usize) -> Self {
        Mask {
            len: pixel_count,
            valid: Valid::Unknown,
        }
    }

    /// Number of pixels, valid or not.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_full(&self) -> bool {
        matches!(self.valid, Valid::All)
    }

    pub(super) fn is_valid(&self, pixel: usize) -> bool {
        match &self.valid {
            Valid::All => true,
            Valid::Some(bits) => bits[pixel / 8] & (0x80 >> (pixel % 8)) != 0,
            Valid::None | Valid::Unknown => false,
        }
    }

    /// Reads what a blob with `valid_count` valid pixels says about them.
    pub(super) fn read(&mut self, cursor: &mut Cursor<'_>, valid_count: usize) -> Result<(), LercFault> {
        let stored = cursor.i32()?;
        let stored = usize::try_from(stored)
            .map_err(|_| LercFault::damaged(format!("its LERC blob has a mask of {stored} bytes")))?;
        let runs = cursor.take(stored)?;
        if valid_count == 0 || valid_count == self.len {
            if stored != 0 {
                return Err(LercFault::damaged("its LERC blob has a mask that says nothing"));
            }
            self.valid = if valid_count == 0 { Valid::None } else { Valid::All };
            return Ok(());
        }
        if stored > 0 {
            self.valid = Valid::Some(expand(runs, self.len.div_ceil(8))?);
        }
        let found = (0..self.len).filter(|pixel| self.is_valid(*pixel)).count();
        if found != valid_count {
            return Err(LercFault::damaged(format!(
                "its LERC blob has a mask of {found} valid pixels, its header says {valid_count}"
            )));
        }
        Ok(())
    }
}

/// Undoes the mask's run lengths: a count above zero is of bytes as they are, one below of a byte to repeat.
fn expand(runs: &[u8], len: usize) -> Result<Vec<u8>, LercFault> {
    let mut cursor = Cursor::new(runs);
    let mut bits = Vec::with_capacity(len);
    loop {
        let count = cursor.i16()?;
        if count == END {
            break;
        }
        let run = usize::from(count.unsigned_abs());
        if run > len - bits.len() {
            return Err(LercFault::damaged("its LERC blob has a mask of too many pixels"));
        }
        if count > 0 {
            bits.extend_from_slice(cursor.take(run)?);
        } else {
            let byte = cursor.u8()?;
            bits.resize(bits.len() + run, byte);
        }
    }
    if bits.len() != len {
        return Err(LercFault::damaged("its LERC blob has a mask of too few pixels"));
    }
    Ok(bits)
}
