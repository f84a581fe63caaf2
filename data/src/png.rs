//! Pictures: planes of floats stretched to 8 bits, and PNG files.
//!
//! A missing pixel (NaN) is transparent. The same planes and options give the same bytes.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::tiff::AsideFile;

/// The most pixels of a plane that percentiles are taken of; larger planes are sampled at even steps.
pub const PERCENTILE_SAMPLE_COUNT_MAX: usize = 4 * 1024 * 1024;

/// Why a picture was not made.
#[derive(Debug, Error)]
pub enum PngError {
    /// A picture has one plane (gray) or three (red, green, blue).
    #[error("a picture is made of 1 or 3 planes, {got} were given")]
    PlaneCount {
        /// Planes given.
        got: usize,
    },
    /// A plane's length is not rows times columns.
    #[error("plane {plane} has {got} values, {height} x {width} pixels need {want}")]
    PlaneLen {
        /// Index of the plane.
        plane: usize,
        /// Values given.
        got: usize,
        /// Values needed.
        want: usize,
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
    },
    /// The options fit no picture.
    #[error("cannot stretch: {reason}")]
    BadOption {
        /// What does not fit.
        reason: String,
    },
    /// Encoding failed; nothing is left at the target's name.
    #[error("encoding {path:?} failed: {source}")]
    Encode {
        /// The file that was to be written.
        path: PathBuf,
        /// The encoder's error.
        source: png::EncodingError,
    },
    /// Writing to disk failed; nothing is left at the target's name.
    #[error("writing {path:?} failed: {source}")]
    Io {
        /// The file that was to be written.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

/// One band of a picture, row by row.
#[derive(Debug, Clone, Copy)]
pub enum Plane<'a> {
    /// Singles.
    Float32(&'a [f32]),
    /// Doubles.
    Float64(&'a [f64]),
}

impl Plane<'_> {
    fn len(&self) -> usize {
        match self {
            Plane::Float32(values) => values.len(),
            Plane::Float64(values) => values.len(),
        }
    }

    fn value(&self, at: usize) -> f64 {
        match self {
            Plane::Float32(values) => f64::from(values[at]),
            Plane::Float64(values) => values[at],
        }
    }
}

/// Which values become black and which become full.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stretch {
    /// These percentiles of the plane's finite values, each from 0 to 100.
    Percentiles {
        /// What becomes 0.
        low: f64,
        /// What becomes 255.
        high: f64,
    },
    /// These values.
    Range {
        /// What becomes 0.
        min: f64,
        /// What becomes 255.
        max: f64,
    },
}

impl Default for Stretch {
    /// From the second to the 98th percentile.
    fn default() -> Self {
        Stretch::Percentiles { low: 2.0, high: 98.0 }
    }
}

/// How planes become a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct PictureOptions {
    /// One stretch for each plane, or a single one that each plane applies to itself.
    pub stretch: Vec<Stretch>,
    /// The exponent's inverse: above 1 lightens dark parts; 1 leaves values as they are.
    pub gamma: f64,
}

impl Default for PictureOptions {
    fn default() -> Self {
        PictureOptions {
            stretch: vec![Stretch::default()],
            gamma: 1.0,
        }
    }
}

/// Pixels of 8 bits: gray, gray and alpha, RGB or RGBA, side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes of a pixel, 1 to 4.
    pub channel_count: usize,
    /// `height * width * channel_count` bytes.
    pub bytes: Vec<u8>,
}

impl Picture {
    /// Stretches one plane to gray or three to RGB; with an alpha channel if any pixel is missing.
    ///
    /// A pixel that is NaN in any plane is transparent (and 0). Infinite values become 0 or 255. Memory: the picture,
    /// and a copy of one plane where percentiles are asked for, of at most [`PERCENTILE_SAMPLE_COUNT_MAX`] values.
    ///
    /// # Errors
    /// [`PngError::PlaneCount`], [`PngError::PlaneLen`] and [`PngError::BadOption`] if the arguments don't fit each
    /// other.
    pub fn stretched(
        width: u32,
        height: u32,
        planes: &[Plane<'_>],
        options: &PictureOptions,
    ) -> Result<Picture, PngError> {
        let pixel_count = check_planes(width, height, planes)?;
        check_options(planes.len(), options)?;
        let is_missing = |at: usize| planes.iter().any(|plane| plane.value(at).is_nan());
        let has_alpha = (0..pixel_count).any(is_missing);
        let channel_count = planes.len() + usize::from(has_alpha);
        let mut bytes = vec![0; pixel_count * channel_count];
        for (channel, plane) in planes.iter().enumerate() {
            let stretch = options.stretch[if options.stretch.len() == 1 { 0 } else { channel }];
            let (min, max) = ends(plane, stretch);
            for (at, pixel) in bytes.chunks_exact_mut(channel_count).enumerate() {
                pixel[channel] = level(plane.value(at), min, max, options.gamma);
            }
        }
        if has_alpha {
            for (at, pixel) in bytes.chunks_exact_mut(channel_count).enumerate() {
                if is_missing(at) {
                    pixel.fill(0);
                } else {
                    pixel[channel_count - 1] = 255;
                }
            }
        }
        Ok(Picture {
            width,
            height,
            channel_count,
            bytes,
        })
    }

    /// Writes the picture as a PNG: under another name in the target's directory, then renamed, so that the file is
    /// there whole or not at all.
    ///
    /// # Errors
    /// [`PngError::Io`] if the file can't be written, [`PngError::Encode`] if the picture is no PNG (no pixels, or a
    /// wrong number of bytes).
    pub fn write_png(&self, path: &Path) -> Result<(), PngError> {
        let io = |source| PngError::Io {
            path: path.to_owned(),
            source,
        };
        let mut aside = AsideFile::create(path).map_err(io)?;
        let mut buffered = BufWriter::new(aside.file());
        self.encode(&mut buffered).map_err(|source| PngError::Encode {
            path: path.to_owned(),
            source,
        })?;
        buffered.flush().map_err(io)?;
        drop(buffered);
        aside.finish().map_err(io)
    }

    /// Writes the picture as a PNG to `out`.
    ///
    /// # Errors
    /// Those of `out`, and the encoder's if the picture has no pixels or a wrong number of bytes.
    pub fn encode(&self, out: impl Write) -> Result<(), png::EncodingError> {
        let mut encoder = png::Encoder::new(out, self.width, self.height);
        encoder.set_color(match self.channel_count {
            1 => png::ColorType::Grayscale,
            2 => png::ColorType::GrayscaleAlpha,
            3 => png::ColorType::Rgb,
            _ => png::ColorType::Rgba,
        });
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.bytes)?;
        writer.finish()
    }
}

fn check_planes(width: u32, height: u32, planes: &[Plane<'_>]) -> Result<usize, PngError> {
    if !matches!(planes.len(), 1 | 3) {
        return Err(PngError::PlaneCount { got: planes.len() });
    }
    let want = width as usize * height as usize;
    match planes.iter().position(|plane| plane.len() != want) {
        None => Ok(want),
        Some(plane) => Err(PngError::PlaneLen {
            plane,
            got: planes[plane].len(),
            want,
            height,
            width,
        }),
    }
}

fn check_options(plane_count: usize, options: &PictureOptions) -> Result<(), PngError> {
    let bad = |reason: String| Err(PngError::BadOption { reason });
    if options.stretch.len() != 1 && options.stretch.len() != plane_count {
        return bad(format!(
            "{} stretches for {plane_count} planes",
            options.stretch.len()
        ));
    }
    if !(options.gamma.is_finite() && options.gamma > 0.0) {
        return bad(format!("gamma {} is not above 0", options.gamma));
    }
    for stretch in &options.stretch {
        let fits = match *stretch {
            Stretch::Percentiles { low, high } => (0.0..=100.0).contains(&low) && low < high && high <= 100.0,
            Stretch::Range { min, max } => min.is_finite() && max.is_finite() && min < max,
        };
        if !fits {
            return bad(format!("{stretch:?} does not rise"));
        }
    }
    Ok(())
}

/// The values that become 0 and 255; a plane without finite values has none that matter.
fn ends(plane: &Plane<'_>, stretch: Stretch) -> (f64, f64) {
    match stretch {
        Stretch::Range { min, max } => (min, max),
        Stretch::Percentiles { low, high } => {
            let step = plane.len().div_ceil(PERCENTILE_SAMPLE_COUNT_MAX).max(1);
            let values = (0..plane.len()).step_by(step).map(|at| plane.value(at));
            let mut finite: Vec<f64> = values.filter(|value| value.is_finite()).collect();
            if finite.is_empty() {
                return (0.0, 1.0);
            }
            (percentile(&mut finite, low), percentile(&mut finite, high))
        }
    }
}

/// NumPy's `percentile` with linear interpolation; reorders the values.
fn percentile(values: &mut [f64], percent: f64) -> f64 {
    let place = (values.len() - 1) as f64 * percent / 100.0;
    let (below, part) = (place.floor() as usize, place.fract());
    let (_, &mut low, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    let next = above.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
    low + (next - low) * part
}

fn level(value: f64, min: f64, max: f64, gamma: f64) -> u8 {
    // A flat plane has `min == max`: what lies above is full, the rest is black.
    let part = if max > min {
        (value - min) / (max - min)
    } else {
        f64::from(u8::from(value > max))
    };
    let part = part.clamp(0.0, 1.0);
    let part = if gamma == 1.0 {
        part
    } else {
        part.powf(1.0 / gamma)
    };
    // From 0 to 255; NaN becomes 0.
    (part * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linear(min: f64, max: f64) -> PictureOptions {
        PictureOptions {
            stretch: vec![Stretch::Range { min, max }],
            gamma: 1.0,
        }
    }

    #[test]
    fn values_are_stretched_rounded_and_clamped() {
        let plane = [-1.0, 0.0, 0.5, 1.0, 2.0, f64::INFINITY];
        let picture = Picture::stretched(6, 1, &[Plane::Float64(&plane)], &linear(0.0, 1.0)).unwrap();
        assert_eq!(
            (picture.channel_count, picture.bytes),
            (1, vec![0, 0, 128, 255, 255, 255])
        );
    }

    #[test]
    fn pixel_missing_in_any_plane_is_transparent() {
        let (red, green, blue) = ([1.0f32, f32::NAN], [1.0f32, 0.0], [0.0f32, 1.0]);
        let planes = [
            Plane::Float32(&red),
            Plane::Float32(&green),
            Plane::Float32(&blue),
        ];
        let picture = Picture::stretched(2, 1, &planes, &linear(0.0, 1.0)).unwrap();
        assert_eq!(picture.channel_count, 4);
        assert_eq!(picture.bytes, [255, 255, 0, 255, 0, 0, 0, 0]);
    }

    #[test]
    fn percentiles_interpolate_like_numpy_and_skip_missing_values() {
        let mut values: Vec<f64> = (0..=10).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut values, 25.0), 2.5);
        assert_eq!(percentile(&mut values, 100.0), 10.0);
        let plane: Vec<f64> = (0..=100)
            .map(f64::from)
            .chain([f64::NAN, f64::INFINITY])
            .collect();
        assert_eq!(ends(&Plane::Float64(&plane), Stretch::default()), (2.0, 98.0));
    }

    #[test]
    fn gamma_lightens_the_middle_only() {
        let plane = [0.0, 0.25, 1.0];
        let options = PictureOptions {
            gamma: 2.0,
            ..linear(0.0, 1.0)
        };
        let picture = Picture::stretched(3, 1, &[Plane::Float64(&plane)], &options).unwrap();
        assert_eq!(picture.bytes, [0, 128, 255]);
    }

    #[test]
    fn plane_without_values_is_all_transparent_and_flat_plane_is_black() {
        let missing = [f32::NAN; 4];
        let picture =
            Picture::stretched(2, 2, &[Plane::Float32(&missing)], &PictureOptions::default()).unwrap();
        assert_eq!((picture.channel_count, picture.bytes), (2, vec![0; 8]));
        let flat = [7.0f32; 4];
        let picture = Picture::stretched(2, 2, &[Plane::Float32(&flat)], &PictureOptions::default()).unwrap();
        assert_eq!((picture.channel_count, picture.bytes), (1, vec![0; 4]));
    }

    #[test]
    fn written_file_reads_back_and_is_the_same_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let plane: Vec<f32> = (0..600).map(|i| (i % 37) as f32).collect();
        let planes = [
            Plane::Float32(&plane),
            Plane::Float32(&plane),
            Plane::Float32(&plane),
        ];
        let picture = Picture::stretched(30, 20, &planes, &PictureOptions::default()).unwrap();
        let (first, second) = (folder.path().join("a.png"), folder.path().join("b.png"));
        picture.write_png(&first).unwrap();
        picture.write_png(&second).unwrap();
        let bytes = std::fs::read(&first).unwrap();
        assert_eq!(bytes, std::fs::read(&second).unwrap());
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes))
            .read_info()
            .unwrap();
        let mut back = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut back).unwrap();
        assert_eq!(
            (frame.width, frame.height, frame.color_type),
            (30, 20, png::ColorType::Rgb)
        );
        assert_eq!(back, picture.bytes);
    }

    #[test]
    fn failed_picture_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let broken = Picture {
            width: 3,
            height: 3,
            channel_count: 1,
            bytes: vec![0; 4],
        };
        let error = broken.write_png(&folder.path().join("a.png")).unwrap_err();
        assert!(matches!(error, PngError::Encode { .. }), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn arguments_that_do_not_fit_are_refused() {
        let plane = [0.0f32; 4];
        let two = [Plane::Float32(&plane); 2];
        let refused = |width, planes: &[Plane<'_>], options: &PictureOptions| {
            Picture::stretched(width, 2, planes, options).unwrap_err()
        };
        let plain = PictureOptions::default();
        assert!(matches!(
            refused(2, &two, &plain),
            PngError::PlaneCount { got: 2 }
        ));
        assert!(matches!(
            refused(3, &two[..1], &plain),
            PngError::PlaneLen { got: 4, want: 6, .. }
        ));
        assert!(matches!(
            refused(2, &two[..1], &linear(1.0, 1.0)),
            PngError::BadOption { .. }
        ));
        let dark = PictureOptions { gamma: 0.0, ..plain };
        assert!(matches!(refused(2, &two[..1], &dark), PngError::BadOption { .. }));
    }
}
