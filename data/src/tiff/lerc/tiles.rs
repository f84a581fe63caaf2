//! The values of valid pixels: constant, raw, Huffman coded, or in tiles.

use std::ops::Range;

use super::bits::{Cursor, unstuff};
use super::header::Header;
use super::mask::Mask;
use super::sample::{Sample, SampleKind};
use super::{Grid, LercFault, huffman};

/// The error bound of integers that are stored as they are.
const LOSSLESS: f64 = 0.5;

/// Reads all values after the mask into `grid`; pixels outside the mask stay as they are.
pub(super) fn read_values<T: Sample>(
    cursor: &mut Cursor<'_>,
    header: &Header,
    mask: &Mask,
    grid: &mut Grid<'_>,
) -> Result<(), LercFault> {
    if header.valid_count == 0 {
        return Ok(());
    }
    if header.z_min == header.z_max {
        grid.fill_constant(mask, &vec![T::from_f64(header.z_min); header.depth]);
        return Ok(());
    }
    let mut z_max = vec![header.z_max];
    if header.version >= 4 {
        let (mins, maxs) = (read_range::<T>(cursor, header)?, read_range::<T>(cursor, header)?);
        let numbers = |values: &[T]| -> Vec<f64> { values.iter().map(|value| value.to_f64()).collect() };
        let maxs = numbers(&maxs);
        let same = |(low, high): (f64, &f64)| low.to_bits() == high.to_bits();
        if numbers(&mins).into_iter().zip(&maxs).all(same) {
            grid.fill_constant(mask, &mins);
            return Ok(());
        }
        if header.depth > 1 {
            z_max = maxs;
        }
    }
    if cursor.u8()? != 0 {
        return read_raw::<T>(cursor, header, mask, grid);
    }
    if matches!(T::KIND, SampleKind::Int8 | SampleKind::UInt8) && header.max_z_error == LOSSLESS {
        match cursor.u8()? {
            0 => {}
            1 => return huffman::read(cursor, header, T::KIND, true, mask, grid),
            2 if header.version >= 4 => return huffman::read(cursor, header, T::KIND, false, mask, grid),
            mode => {
                return Err(LercFault::damaged(format!(
                    "its LERC blob has the unknown mode {mode}"
                )));
            }
        }
    }
    let mut tiles = Tiles {
        header,
        mask,
        z_max,
        numbers: Vec::new(),
    };
    tiles.read::<T>(cursor, grid)
}

/// Reads a number for each value of a pixel: the smallest or the largest.
fn read_range<T: Sample>(cursor: &mut Cursor<'_>, header: &Header) -> Result<Vec<T>, LercFault> {
    let size = T::KIND.size();
    let bytes = cursor.take(header.depth.saturating_mul(size))?;
    Ok(bytes.chunks_exact(size).map(T::from_le).collect())
}

/// Reads the values of all valid pixels as they are, pixel by pixel.
fn read_raw<T: Sample>(
    cursor: &mut Cursor<'_>,
    header: &Header,
    mask: &Mask,
    grid: &mut Grid<'_>,
) -> Result<(), LercFault> {
    let size = T::KIND.size();
    let bytes = cursor.take(header.valid_count.saturating_mul(header.depth * size))?;
    let mut values = bytes.chunks_exact(size).map(T::from_le);
    for pixel in (0..mask.len()).filter(|pixel| mask.is_valid(*pixel)) {
        for (value, sample) in (0..header.depth).zip(&mut values) {
            grid.set(pixel, value, sample);
        }
    }
    Ok(())
}

/// What all tiles of a blob share.
struct Tiles<'a> {
    header: &'a Header,
    mask: &'a Mask,
    /// The largest value, or that of each value of a pixel.
    z_max: Vec<f64>,
    numbers: Vec<u32>,
}

/// One tile, of one value of its pixels.
struct Tile {
    rows: Range<usize>,
    cols: Range<usize>,
    value: usize,
    /// Whether what is stored is the difference to the value before.
    difference: bool,
}

impl Tiles<'_> {
    fn read<T: Sample>(&mut self, cursor: &mut Cursor<'_>, grid: &mut Grid<'_>) -> Result<(), LercFault> {
        let (side, cols) = (self.header.tile_side, grid.cols);
        let rows = self.mask.len() / cols;
        for row in (0..rows).step_by(side) {
            for col in (0..cols).step_by(side) {
                for value in 0..self.header.depth {
                    let tile = Tile {
                        rows: row..rows.min(row + side),
                        cols: col..cols.min(col + side),
                        value,
                        difference: false,
                    };
                    self.read_tile::<T>(tile, cursor, grid)?;
                }
            }
        }
        Ok(())
    }

    fn read_tile<T: Sample>(
        &mut self,
        mut tile: Tile,
        cursor: &mut Cursor<'_>,
        grid: &mut Grid<'_>,
    ) -> Result<(), LercFault> {
        let flag = cursor.u8()?;
        // Version 5 took one of the four bits that repeat the tile's column.
        let repeated = if self.header.version >= 5 { 14 } else { 15 };
        if usize::from(flag >> 2) & repeated != (tile.cols.start >> 3) & repeated {
            return Err(LercFault::damaged(
                "its LERC blob has a tile that is not where it belongs",
            ));
        }
        tile.difference = self.header.version >= 5 && flag & 4 != 0;
        if tile.difference && tile.value == 0 {
            return Err(LercFault::damaged("its LERC blob has a difference to no value"));
        }
        match flag & 3 {
            0 if tile.difference => Err(LercFault::damaged("its LERC blob has raw differences")),
            0 => self.read_tile_raw::<T>(&tile, cursor, grid),
            2 => {
                self.fill::<T>(&tile, 0.0, f64::INFINITY, grid);
                Ok(())
            }
            mode => {
                let offset = read_offset::<T>(flag >> 6, tile.difference, cursor)?;
                let z_max = self.z_max.get(tile.value).or(self.z_max.first());
                let z_max = z_max.copied().unwrap_or(self.header.z_max);
                if mode == 1 {
                    return self.read_tile_stuffed::<T>(&tile, offset, z_max, cursor, grid);
                }
                // The constant of a tile is never above the largest value, a difference may be.
                let z_max = if tile.difference { z_max } else { f64::INFINITY };
                self.fill::<T>(&tile, offset, z_max, grid);
                Ok(())
            }
        }
    }

    fn read_tile_raw<T: Sample>(
        &self,
        tile: &Tile,
        cursor: &mut Cursor<'_>,
        grid: &mut Grid<'_>,
    ) -> Result<(), LercFault> {
        let size = T::KIND.size();
        for pixel in tile.pixels(grid.cols).filter(|pixel| self.mask.is_valid(*pixel)) {
            grid.set(pixel, tile.value, T::from_le(cursor.take(size)?));
        }
        Ok(())
    }

    fn read_tile_stuffed<T: Sample>(
        &mut self,
        tile: &Tile,
        offset: f64,
        z_max: f64,
        cursor: &mut Cursor<'_>,
        grid: &mut Grid<'_>,
    ) -> Result<(), LercFault> {
        let mask = self.mask;
        let pixels = tile.pixels(grid.cols).filter(|pixel| mask.is_valid(*pixel));
        unstuff(cursor, pixels.clone().count(), &mut self.numbers)?;
        let step = 2.0 * self.header.max_z_error;
        for (pixel, number) in pixels.zip(&self.numbers) {
            tile.set::<T>(pixel, offset + f64::from(*number) * step, z_max, grid);
        }
        Ok(())
    }

    fn fill<T: Sample>(&self, tile: &Tile, z: f64, z_max: f64, grid: &mut Grid<'_>) {
        for pixel in tile.pixels(grid.cols).filter(|pixel| self.mask.is_valid(*pixel)) {
            tile.set::<T>(pixel, z, z_max, grid);
        }
    }
}

impl Tile {
    /// The tile's pixels by their index in the block.
    fn pixels(&self, cols: usize) -> impl Iterator<Item = usize> + Clone + use<> {
        let (rows, tile_cols) = (self.rows.clone(), self.cols.clone());
        rows.flat_map(move |row| tile_cols.clone().map(move |col| row * cols + col))
    }

    fn set<T: Sample>(&self, pixel: usize, z: f64, z_max: f64, grid: &mut Grid<'_>) {
        let z = if self.difference {
            z + grid.get::<T>(pixel, self.value - 1).to_f64()
        } else {
            z
        };
        // Not `min`, which would lose a NaN.
        let z = if z_max < z { z_max } else { z };
        grid.set(pixel, self.value, T::from_f64(z));
    }
}

/// Reads a tile's smallest value, stored in the smallest type that holds it.
fn read_offset<T: Sample>(code: u8, difference: bool, cursor: &mut Cursor<'_>) -> Result<f64, LercFault> {
    let kind = if difference && !T::KIND.is_float() {
        SampleKind::Int32
    } else {
        T::KIND
    };
    let kind = kind
        .reduced(code)
        .ok_or_else(|| LercFault::damaged("its LERC blob has an offset of an unknown type"))?;
    let bytes = cursor.take(kind.size())?;
    Ok(kind.read_f64(bytes).expect("as many bytes were taken"))
}
