//! What stands at the start of a blob.

use super::bits::Cursor;
use super::sample::SampleKind;
use super::{Layout, LercFault};

/// Bytes before the part that the checksum is over: the key, the version and the checksum itself.
const UNCHECKED_BYTES: usize = 14;
/// As many words as the checksum's sums have room for.
const WORDS_AT_ONCE: usize = 359;
/// The largest tiles that any encoder makes.
const TILE_SIDE_MAX: i32 = 32;

/// A blob's header. What it says of sizes is not to be trusted before [`check`](Header::check).
#[derive(Debug)]
pub(super) struct Header {
    pub(super) version: i32,
    checksum: u32,
    rows: i32,
    cols: i32,
    /// Values per pixel.
    pub(super) depth: usize,
    pub(super) valid_count: usize,
    /// Rows and columns of a tile.
    pub(super) tile_side: usize,
    pub(super) blob_bytes: usize,
    kind: SampleKind,
    pub(super) max_z_error: f64,
    pub(super) z_min: f64,
    pub(super) z_max: f64,
    len: usize,
}

impl Header {
    pub(super) fn parse(blob: &[u8]) -> Result<Header, LercFault> {
        let mut cursor = Cursor::new(blob);
        let key = cursor.take(6)?;
        if key == b"CntZIm" {
            return Err(LercFault::Unsupported(
                "LERC of version 1 (versions 3 to 5 are)".to_owned(),
            ));
        }
        if key != b"Lerc2 " {
            return Err(LercFault::damaged("it is no LERC blob"));
        }
        let version = cursor.i32()?;
        if !(3..=5).contains(&version) {
            return Err(LercFault::Unsupported(format!(
                "LERC of version {version} (versions 3 to 5 are)"
            )));
        }
        let checksum = cursor.u32()?;
        let (rows, cols) = (cursor.i32()?, cursor.i32()?);
        let depth = if version >= 4 { cursor.i32()? } else { 1 };
        let (valid_count, tile_side, blob_bytes) = (cursor.i32()?, cursor.i32()?, cursor.i32()?);
        let kind_code = cursor.i32()?;
        let kind = SampleKind::from_code(kind_code).ok_or_else(|| {
            LercFault::damaged(format!("its LERC blob has values of unknown type {kind_code}"))
        })?;
        let positive = |what: &str, value: i32| match usize::try_from(value) {
            Ok(value) if value > 0 => Ok(value),
            _ => Err(LercFault::damaged(format!(
                "its LERC blob gives {value} as {what}"
            ))),
        };
        if tile_side > TILE_SIDE_MAX || valid_count < 0 {
            return Err(LercFault::damaged(format!(
                "its LERC blob has tiles of {tile_side} and {valid_count} valid pixels"
            )));
        }
        Ok(Header {
            version,
            checksum,
            rows,
            cols,
            depth: positive("the number of values per pixel", depth)?,
            valid_count: valid_count as usize,
            tile_side: positive("the size of its tiles", tile_side)?,
            blob_bytes: positive("its size", blob_bytes)?,
            kind,
            max_z_error: cursor.f64()?,
            z_min: cursor.f64()?,
            z_max: cursor.f64()?,
            len: blob.len() - cursor.rest().len(),
        })
    }

    /// Checks that the blob holds what the TIFF's directory says.
    pub(super) fn check(&self, layout: &Layout, depth: usize) -> Result<(), LercFault> {
        let shape = (usize::try_from(self.rows), usize::try_from(self.cols));
        if shape != (Ok(layout.rows), Ok(layout.cols)) {
            return Err(LercFault::damaged(format!(
                "its LERC blob has {} x {} pixels, the block has {} x {}",
                self.rows, self.cols, layout.rows, layout.cols
            )));
        }
        if self.kind != layout.kind || self.depth != depth {
            return Err(LercFault::damaged(format!(
                "its LERC blob has {} values per pixel of type {:?}, {depth} of type {:?} were expected",
                self.depth, self.kind, layout.kind
            )));
        }
        if self.valid_count > layout.rows * layout.cols {
            return Err(LercFault::damaged(format!(
                "its LERC blob has {} valid pixels of {}",
                self.valid_count,
                layout.rows * layout.cols
            )));
        }
        Ok(())
    }

    /// What comes after the header, once the checksum over the blob is found right.
    pub(super) fn body<'a>(&self, blob: &'a [u8]) -> Result<Cursor<'a>, LercFault> {
        let checked = blob.get(UNCHECKED_BYTES..).unwrap_or_default();
        let got = fletcher32(checked);
        if got != self.checksum {
            return Err(LercFault::damaged(format!(
                "its LERC blob has the checksum {got:08x}, its header says {:08x}",
                self.checksum
            )));
        }
        blob.get(self.len..)
            .map(Cursor::new)
            .ok_or_else(|| LercFault::damaged("its LERC blob is smaller than its header"))
    }
}

/// Fletcher's checksum over 16-bit words, high byte first, an odd byte padded with zero.
///
/// Sums are reduced when the encoder does so: a sum has two forms of the same remainder.
pub(super) fn fletcher32(bytes: &[u8]) -> u32 {
    let fold = |sum: u32| (sum & 0xffff) + (sum >> 16);
    let (words, odd) = bytes.as_chunks::<2>();
    let mut sums = (0xffffu32, 0xffffu32);
    let add = |word: u32, sums: &mut (u32, u32)| {
        sums.0 = sums.0.wrapping_add(word);
        sums.1 = sums.1.wrapping_add(sums.0);
    };
    for part in words.chunks(WORDS_AT_ONCE) {
        for word in part {
            add(u32::from(u16::from_be_bytes(*word)), &mut sums);
        }
        sums = (fold(sums.0), fold(sums.1));
    }
    if let [last] = odd {
        add(u32::from(*last) << 8, &mut sums);
    }
    (fold(sums.1) << 16) | fold(sums.0)
}
