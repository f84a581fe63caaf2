//! Writes tiled GeoTIFFs block by block.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use super::aside::AsideFile;
use super::encode::BlockEncoder;
use super::error::TiffError;
use super::head::{head_bytes, needs_big};
use super::options::{BlockPlace, Blocks, GeoTiffOptions};

/// Writes one tiled GeoTIFF, its blocks in turn, in bounded memory.
///
/// Blocks come row of tiles by row of tiles, within one band by band (where bands are apart), within that from left
/// to right. The file is written under another name in the target's directory and renamed by
/// [`finish`](GeoTiffWriter::finish): it is there whole or not at all. Dropped before, the writer removes what it
/// wrote. The same options and pixels give the same bytes.
#[derive(Debug)]
pub struct GeoTiffWriter {
    file: AsideFile,
    options: GeoTiffOptions,
    blocks: Blocks,
    encoder: BlockEncoder,
    big: bool,
    turn: usize,
    position: u64,
    offsets: Vec<u64>,
    lens: Vec<u64>,
}

impl GeoTiffWriter {
    /// Creates the file beside `path`, whose directory must exist. A file at `path` stays until the new one is whole.
    ///
    /// # Errors
    /// [`TiffError::BadOption`] or [`TiffError::LimitExceeded`] if the options make no file, [`TiffError::Io`] if the
    /// file can't be created.
    pub fn create(path: &Path, options: GeoTiffOptions) -> Result<Self, TiffError> {
        options.check()?;
        let blocks = Blocks::of(&options);
        let big = needs_big(&options);
        let (offsets, lens) = (vec![0; blocks.count()], vec![0; blocks.count()]);
        let head = head_bytes(&options, big, &offsets, &lens);
        let file = AsideFile::create(path).map_err(|source| TiffError::Io {
            path: path.to_owned(),
            source,
        })?;
        let encoder = BlockEncoder::new(&options);
        let mut writer = GeoTiffWriter {
            file,
            options,
            blocks,
            encoder,
            big,
            turn: 0,
            position: 0,
            offsets,
            lens,
        };
        writer.append(&head)?;
        Ok(writer)
    }

    /// The options.
    pub fn options(&self) -> &GeoTiffOptions {
        &self.options
    }

    /// An encoder for this file's blocks, to be used on other threads; its results go to
    /// [`write_encoded`](GeoTiffWriter::write_encoded).
    pub fn encoder(&self) -> BlockEncoder {
        self.encoder.clone()
    }

    /// Number of blocks.
    pub fn block_count(&self) -> usize {
        self.blocks.count()
    }

    /// The block that comes next; `None` after the last.
    pub fn next_block(&self) -> Option<BlockPlace> {
        (self.turn < self.block_count()).then(|| self.blocks.place(self.turn).0)
    }

    /// Writes block number `turn`, which must be the next: the pixels of its window in (band, y, x) order and the
    /// machine's byte order.
    ///
    /// # Errors
    /// [`TiffError::BlockOrder`] if another block is next, [`TiffError::BufferSize`] if there are more or fewer
    /// pixels than its window has, [`TiffError::Io`] if writing fails.
    pub fn write_block(&mut self, turn: usize, pixels: &[u8]) -> Result<(), TiffError> {
        self.check_turn(turn)?;
        let encoded = self.encoder.encode(turn, pixels)?;
        self.write_encoded(turn, &encoded)
    }

    /// Writes the next row of tiles: all bands and columns of its rows, in (band, y, x) order and the machine's byte
    /// order. The last row of tiles may have fewer rows.
    ///
    /// Memory: two blocks beside the pixels.
    ///
    /// # Errors
    /// [`TiffError::BufferSize`] if there are more or fewer pixels than those rows have, else as
    /// [`write_block`](GeoTiffWriter::write_block).
    pub fn write_tile_row(&mut self, pixels: &[u8]) -> Result<(), TiffError> {
        let per_row = self.blocks.across as usize * self.blocks.planes;
        self.check_turn(self.turn.next_multiple_of(per_row))?;
        let (first, _) = self.blocks.place(self.turn);
        let height = first.window.height as usize;
        let row_bytes = self.options.width as usize * self.blocks.size;
        let want = self.options.band_count * height * row_bytes;
        if pixels.len() != want {
            return Err(TiffError::BufferSize {
                got: pixels.len(),
                want,
            });
        }
        let mut block = Vec::new();
        for turn in self.turn..self.turn + per_row {
            let (place, _) = self.blocks.place(turn);
            let bands = place
                .band
                .map_or(0..self.options.band_count, |band| band..band + 1);
            let (start, len) = (
                place.window.col as usize * self.blocks.size,
                place.window.width as usize * self.blocks.size,
            );
            block.clear();
            for row in bands.start * height..bands.end * height {
                block.extend_from_slice(&pixels[row * row_bytes + start..][..len]);
            }
            self.write_block(turn, &block)?;
        }
        Ok(())
    }

    /// Writes block number `turn`, which must be the next, as [`encoder`](GeoTiffWriter::encoder) encoded it.
    ///
    /// # Errors
    /// [`TiffError::BlockOrder`] if another block is next, [`TiffError::Io`] if writing fails.
    pub fn write_encoded(&mut self, turn: usize, encoded: &[u8]) -> Result<(), TiffError> {
        self.check_turn(turn)?;
        let (_, index) = self.blocks.place(turn);
        self.offsets[index] = self.position;
        self.lens[index] = encoded.len() as u64;
        self.append(encoded)?;
        self.turn += 1;
        Ok(())
    }

    /// Completes the file and gives it its name, replacing a file that has it.
    ///
    /// # Errors
    /// [`TiffError::BlockOrder`] if blocks are missing, [`TiffError::Io`] if writing fails; nothing is then left.
    pub fn finish(mut self) -> Result<(), TiffError> {
        let block_count = self.block_count();
        if self.turn != block_count {
            return Err(TiffError::BlockOrder {
                got: block_count,
                want: self.turn,
                block_count,
            });
        }
        if !self.big && self.position > u64::from(u32::MAX) {
            return Err(TiffError::LimitExceeded {
                what: "the size of a file with 32-bit offsets",
                got: self.position,
                limit: u64::from(u32::MAX),
            });
        }
        let head = head_bytes(&self.options, self.big, &self.offsets, &self.lens);
        let path = self.file.target().to_owned();
        let file = self.file.file();
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.write_all(&head))
            .and_then(|()| self.file.finish())
            .map_err(|source| TiffError::Io { path, source })
    }

    fn check_turn(&self, turn: usize) -> Result<(), TiffError> {
        let block_count = self.block_count();
        if turn != self.turn || turn >= block_count {
            return Err(TiffError::BlockOrder {
                got: turn,
                want: self.turn,
                block_count,
            });
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), TiffError> {
        let path = self.file.target().to_owned();
        self.file
            .file()
            .write_all(bytes)
            .map_err(|source| TiffError::Io { path, source })?;
        self.position += bytes.len() as u64;
        Ok(())
    }
}
