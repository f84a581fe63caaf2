//! One raster of the result: its GeoTIFF, and what a picture of it needs.

use std::path::{Path, PathBuf};

use graticule_data::{
    png::Plane,
    tiff::{BandLabel, GeoTiffOptions, GeoTiffWriter, TiffError},
};
use graticule_plan::DType;

/// What rasters of one mosaic have in common.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) dtype: DType,
    pub(crate) bands: Vec<String>,
    pub(crate) transform: [f64; 6],
    pub(crate) epsg: Option<u32>,
}

impl Profile {
    /// # Errors
    /// [`TiffError`] if it makes no GeoTIFF, before anything is written.
    pub(crate) fn options(&self) -> Result<GeoTiffOptions, TiffError> {
        let side = |len: usize| {
            u32::try_from(len).map_err(|_| TiffError::LimitExceeded {
                what: "rows or columns",
                got: len as u64,
                limit: u64::from(u32::MAX),
            })
        };
        let (width, height) = (side(self.width)?, side(self.height)?);
        let mut options = GeoTiffOptions::new(width, height, self.bands.len(), self.dtype);
        options.epsg = self.epsg;
        options.transform = Some(self.transform);
        options.nodata = Some(f64::NAN);
        let label = |name: &String| BandLabel {
            description: Some(name.clone()),
            ..BandLabel::default()
        };
        options.bands = self.bands.iter().map(label).collect();
        Ok(options)
    }
}

/// A raster that is being written.
#[derive(Debug)]
pub(crate) struct Raster {
    path: PathBuf,
    writer: GeoTiffWriter,
    bands: usize,
    /// Rows of a row of tiles, of all bands: `(band, y, x)`.
    tiles: Vec<u8>,
    pub(crate) preview: Preview,
}

impl Raster {
    /// Begins a file beside `path`.
    ///
    /// # Errors
    /// [`TiffError`].
    pub(crate) fn create(path: &Path, profile: &Profile, preview: Preview) -> Result<Self, TiffError> {
        let writer = GeoTiffWriter::create(path, profile.options()?)?;
        Ok(Self {
            path: path.to_owned(),
            writer,
            bands: profile.bands.len(),
            tiles: Vec::new(),
            preview,
        })
    }

    /// Writes rows that follow those written before: all bands, `(band, y, x)`.
    ///
    /// # Errors
    /// [`TiffError`].
    pub(crate) fn write(&mut self, rows: std::ops::Range<usize>, pixels: &[u8]) -> Result<(), TiffError> {
        let options = self.writer.options();
        let (height, tile) = (options.height as usize, options.tile_size as usize);
        let row_bytes = options.width as usize * options.dtype.size_bytes() as usize;
        self.preview.take(&rows, pixels, options.dtype);
        for row in rows.clone() {
            let first = row / tile * tile;
            let tile_rows = tile.min(height - first);
            self.tiles.resize(self.bands * tile_rows * row_bytes, 0);
            for band in 0..self.bands {
                let from = (band * rows.len() + row - rows.start) * row_bytes;
                let to = (band * tile_rows + row - first) * row_bytes;
                self.tiles[to..to + row_bytes].copy_from_slice(&pixels[from..from + row_bytes]);
            }
            if row + 1 == first + tile_rows {
                self.writer.write_tile_row(&self.tiles)?;
            }
        }
        Ok(())
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// [`TiffError`].
    pub(crate) fn finish(self) -> Result<(PathBuf, Preview), TiffError> {
        self.writer.finish()?;
        Ok((self.path, self.preview))
    }
}

/// A raster's pixels at even steps: all of them, unless there are too many for a picture.
#[derive(Debug, Clone)]
pub(crate) struct Preview {
    step: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
    full_width: usize,
    /// One plane for gray or three for colour.
    planes: Vec<Vec<f32>>,
}

impl Preview {
    /// A preview of at most `side_max` pixels a side. Three bands are a colour picture, else it shows the first one.
    pub(crate) fn new(profile: &Profile, side_max: usize) -> Self {
        let step = profile.width.max(profile.height).div_ceil(side_max).max(1);
        let (width, height) = (profile.width.div_ceil(step), profile.height.div_ceil(step));
        let plane_count = if profile.bands.len() == 3 { 3 } else { 1 };
        Self {
            step,
            width,
            height,
            full_width: profile.width,
            planes: vec![vec![f32::NAN; width * height]; plane_count],
        }
    }

    fn take(&mut self, rows: &std::ops::Range<usize>, pixels: &[u8], dtype: DType) {
        let item = dtype.size_bytes() as usize;
        let value = |at: usize| {
            let bytes = &pixels[at * item..(at + 1) * item];
            match dtype {
                DType::Float64 => f64::from_ne_bytes(bytes.try_into().expect("eight bytes")) as f32,
                _ => f32::from_ne_bytes(bytes.try_into().expect("four bytes")),
            }
        };
        for (band, plane) in self.planes.iter_mut().enumerate() {
            let first = rows.start.next_multiple_of(self.step);
            for row in (first..rows.end).step_by(self.step) {
                let line = (band * rows.len() + row - rows.start) * self.full_width;
                let to = &mut plane[row / self.step * self.width..][..self.width];
                for (col, pixel) in to.iter_mut().enumerate() {
                    *pixel = value(line + col * self.step);
                }
            }
        }
    }

    /// The planes of the picture.
    pub(crate) fn planes(&self) -> Vec<Plane<'_>> {
        self.planes.iter().map(|plane| Plane::Float32(plane)).collect()
    }

    /// One plane's pixels.
    pub(crate) fn plane(&self, index: usize) -> &[f32] {
        &self.planes[index]
    }

    /// Number of planes, 1 or 3.
    pub(crate) fn plane_count(&self) -> usize {
        self.planes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(width: usize, height: usize, bands: usize) -> Profile {
        Profile {
            width,
            height,
            dtype: DType::Float32,
            bands: (0..bands).map(|band| format!("b{band}")).collect(),
            transform: [10.0, 0.0, 0.0, 0.0, -10.0, 0.0],
            epsg: Some(32633),
        }
    }

    #[test]
    fn stripes_of_any_height_give_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let profile = profile(40, 700, 2);
        let value = |band: usize, row: usize, col: usize| (band * 1_000_000 + row * 1000 + col) as f32;
        let mut files = Vec::new();
        for (name, stripe) in [("a.tif", 700), ("b.tif", 256), ("c.tif", 33), ("d.tif", 1)] {
            let path = folder.path().join(name);
            let mut raster = Raster::create(&path, &profile, Preview::new(&profile, 10_000)).unwrap();
            for start in (0..700).step_by(stripe) {
                let rows = start..(start + stripe).min(700);
                let pixels = (0..2).flat_map(|band| {
                    let rows = rows.clone();
                    rows.flat_map(move |row| (0..40).flat_map(move |col| value(band, row, col).to_ne_bytes()))
                });
                raster.write(rows.clone(), &pixels.collect::<Vec<u8>>()).unwrap();
            }
            let (path, preview) = raster.finish().unwrap();
            assert_eq!(preview.plane(0)[699 * 40 + 39], value(0, 699, 39));
            files.push(std::fs::read(path).unwrap());
        }
        assert!(files.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn a_large_raster_is_shown_at_even_steps() {
        let profile = profile(1000, 501, 3);
        let mut preview = Preview::new(&profile, 100);
        assert_eq!(
            (preview.step, preview.width, preview.height, preview.plane_count()),
            (10, 100, 51, 3)
        );
        for start in (0..501).step_by(7) {
            let rows = start..(start + 7).min(501);
            let pixels = (0..3).flat_map(|band: usize| {
                let rows = rows.clone();
                rows.flat_map(move |row| {
                    (0..1000).flat_map(move |col| ((band + row * 1000 + col) as f32).to_ne_bytes())
                })
            });
            preview.take(&rows, &pixels.collect::<Vec<u8>>(), DType::Float32);
        }
        assert_eq!(preview.plane(2)[50 * 100 + 99], (2 + 500 * 1000 + 990) as f32);
        assert!(preview.planes.iter().flatten().all(|value| !value.is_nan()));
    }
}
