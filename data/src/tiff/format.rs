//! The coded properties of an image: compression, predictor, sample format, colours.

use std::fmt;

use graticule_plan::DType;

use super::lerc::SampleKind;

/// The code of LERC, whatever is on top of it.
pub(crate) const LERC: u16 = 34887;

/// How blocks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// Lempel-Ziv-Welch.
    Lzw,
    /// Deflate in a zlib frame (codes 8 and 32946).
    Deflate,
    /// Run lengths of bytes.
    PackBits,
    /// Zstandard.
    Zstd,
    /// An xz stream.
    Lzma,
    /// Limited error raster compression: lossless, or within a bound that the writer chose.
    Lerc,
    /// LERC in a zlib frame.
    LercDeflate,
    /// LERC in a Zstandard frame.
    LercZstd,
    /// WebP, lossless or not.
    WebP,
    /// A scheme that this reader can't undo, by its code.
    Other(u16),
}

impl Compression {
    /// By its code and, for LERC, the code of the compression on top of it.
    pub(crate) fn from_codes(code: u16, second: u64) -> Self {
        match (code, second) {
            (LERC, 0) => Compression::Lerc,
            (LERC, 1) => Compression::LercDeflate,
            (LERC, 2) => Compression::LercZstd,
            _ => Self::from_code(code),
        }
    }

    fn from_code(code: u16) -> Self {
        match code {
            1 => Compression::None,
            5 => Compression::Lzw,
            8 | 32946 => Compression::Deflate,
            32773 => Compression::PackBits,
            50000 => Compression::Zstd,
            34925 => Compression::Lzma,
            50001 => Compression::WebP,
            other => Compression::Other(other),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Compression::None => "none",
            Compression::Lzw => "LZW",
            Compression::Deflate => "deflate",
            Compression::PackBits => "PackBits",
            Compression::Zstd => "ZSTD",
            Compression::Lzma => "LZMA",
            Compression::Lerc => "LERC",
            Compression::LercDeflate => "LERC and deflate",
            Compression::LercZstd => "LERC and ZSTD",
            Compression::WebP => "WebP",
            Compression::Other(code) => {
                let name = match *code {
                    2 => "CCITT RLE",
                    3 => "CCITT fax 3",
                    4 => "CCITT fax 4",
                    6 => "old JPEG",
                    7 => "JPEG",
                    34712 => "JPEG 2000",
                    LERC => "LERC and unknown",
                    50002 => "JPEG XL",
                    _ => "unknown",
                };
                return write!(f, "{name} compression (code {code})");
            }
        };
        write!(f, "{name} compression")
    }
}

/// What was done to the samples before they were compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Predictor {
    /// Nothing.
    None,
    /// Each sample is stored as the difference to the one on its left (code 2).
    Horizontal,
    /// The same over the bytes of floats, highest bytes of a row first (code 3; TIFF technical note 3).
    Float,
    /// A code that the specification doesn't have.
    Other(u16),
}

impl Predictor {
    pub(crate) fn from_code(code: u16) -> Self {
        match code {
            1 => Predictor::None,
            2 => Predictor::Horizontal,
            3 => Predictor::Float,
            other => Predictor::Other(other),
        }
    }
}

/// What the bits of a sample mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SampleFormat {
    /// Unsigned integers.
    Unsigned,
    /// Integers in two's complement.
    Signed,
    /// IEEE floats.
    Float,
    /// Anything else (complex numbers among them), by its code.
    Other(u16),
}

impl SampleFormat {
    pub(crate) fn from_code(code: u16) -> Self {
        match code {
            // Code 4 is "undefined", which GDAL reads as unsigned.
            1 | 4 => SampleFormat::Unsigned,
            2 => SampleFormat::Signed,
            3 => SampleFormat::Float,
            other => SampleFormat::Other(other),
        }
    }
}

impl fmt::Display for SampleFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SampleFormat::Unsigned => f.write_str("unsigned integer"),
            SampleFormat::Signed => f.write_str("signed integer"),
            SampleFormat::Float => f.write_str("float"),
            SampleFormat::Other(5) => f.write_str("complex integer (format 5)"),
            SampleFormat::Other(6) => f.write_str("complex float (format 6)"),
            SampleFormat::Other(code) => write!(f, "format {code}"),
        }
    }
}

/// How a stored sample becomes an element of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    /// As it is: 1, 2, 4 or 8 bytes.
    Plain,
    /// IEEE half floats become `float32`.
    Half,
    /// Unsigned integers of fewer bits than their dtype, packed from the highest bit on, rows padded to bytes.
    Packed,
}

/// The dtype that samples decode to and the way there; `None` if this reader has none.
pub(crate) fn decoded(format: SampleFormat, bits: u16) -> Option<(DType, Storage)> {
    use SampleFormat::{Float, Signed, Unsigned};
    let found = match (format, bits) {
        (Unsigned, 8) => (DType::UInt8, Storage::Plain),
        (Unsigned, 16) => (DType::UInt16, Storage::Plain),
        (Unsigned, 32) => (DType::UInt32, Storage::Plain),
        (Unsigned, 64) => (DType::UInt64, Storage::Plain),
        (Signed, 8) => (DType::Int8, Storage::Plain),
        (Signed, 16) => (DType::Int16, Storage::Plain),
        (Signed, 32) => (DType::Int32, Storage::Plain),
        (Signed, 64) => (DType::Int64, Storage::Plain),
        (Float, 16) => (DType::Float32, Storage::Half),
        (Float, 32) => (DType::Float32, Storage::Plain),
        (Float, 64) => (DType::Float64, Storage::Plain),
        (Unsigned, 1..=7) => (DType::UInt8, Storage::Packed),
        (Unsigned, 9..=15) => (DType::UInt16, Storage::Packed),
        (Unsigned, 17..=31) => (DType::UInt32, Storage::Packed),
        _ => return None,
    };
    Some(found)
}

/// The type of a LERC blob's values for samples that LERC can hold.
pub(crate) fn lerc_kind(format: SampleFormat, bits: u16) -> Option<SampleKind> {
    use SampleFormat::{Float, Signed, Unsigned};
    match (format, bits) {
        (Signed, 8) => Some(SampleKind::Int8),
        (Unsigned, 8) => Some(SampleKind::UInt8),
        (Signed, 16) => Some(SampleKind::Int16),
        (Unsigned, 16) => Some(SampleKind::UInt16),
        (Signed, 32) => Some(SampleKind::Int32),
        (Unsigned, 32) => Some(SampleKind::UInt32),
        (Float, 32) => Some(SampleKind::Float32),
        (Float, 64) => Some(SampleKind::Float64),
        _ => None,
    }
}

/// How the samples of a pixel lie to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interleave {
    /// The samples of a pixel side by side (planar configuration 1).
    Pixel,
    /// Each band in blocks of its own (planar configuration 2).
    Band,
}

/// What a band shows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ColorInterpretation {
    /// Brightness.
    Gray,
    /// An index into a colour map.
    Palette,
    /// Red.
    Red,
    /// Green.
    Green,
    /// Blue.
    Blue,
    /// Opacity.
    Alpha,
    /// Not stated.
    Undefined,
    /// Another of GDAL's names, in lower case.
    Other(String),
}

impl ColorInterpretation {
    pub(crate) fn from_name(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "gray" => ColorInterpretation::Gray,
            "palette" => ColorInterpretation::Palette,
            "red" => ColorInterpretation::Red,
            "green" => ColorInterpretation::Green,
            "blue" => ColorInterpretation::Blue,
            "alpha" => ColorInterpretation::Alpha,
            "undefined" => ColorInterpretation::Undefined,
            other => ColorInterpretation::Other(other.to_owned()),
        }
    }

    /// GDAL's name in lower case, such as `gray`.
    pub fn name(&self) -> &str {
        match self {
            ColorInterpretation::Gray => "gray",
            ColorInterpretation::Palette => "palette",
            ColorInterpretation::Red => "red",
            ColorInterpretation::Green => "green",
            ColorInterpretation::Blue => "blue",
            ColorInterpretation::Alpha => "alpha",
            ColorInterpretation::Undefined => "undefined",
            ColorInterpretation::Other(name) => name,
        }
    }
}

/// The interpretation of band `band` by the photometric code and the extra samples.
pub(crate) fn band_color(
    photometric: u16,
    band: usize,
    band_count: usize,
    extra: &[u64],
) -> ColorInterpretation {
    let color_count = band_count.saturating_sub(extra.len());
    if band >= color_count && band_count > 1 {
        // 1 is alpha multiplied into the colours, 2 is alpha beside them.
        return match extra.get(band - color_count) {
            Some(1 | 2) => ColorInterpretation::Alpha,
            _ => ColorInterpretation::Undefined,
        };
    }
    match (photometric, band) {
        (0 | 1 | 4, 0) => ColorInterpretation::Gray,
        (3, 0) => ColorInterpretation::Palette,
        (2 | 6, 0) => ColorInterpretation::Red,
        (2 | 6, 1) => ColorInterpretation::Green,
        (2 | 6, 2) => ColorInterpretation::Blue,
        _ => ColorInterpretation::Undefined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_compression_is_named_with_its_code() {
        assert_eq!(
            Compression::from_codes(34712, 0).to_string(),
            "JPEG 2000 compression (code 34712)"
        );
        assert_eq!(
            Compression::from_codes(12345, 0).to_string(),
            "unknown compression (code 12345)"
        );
        assert_eq!(
            Compression::from_codes(LERC, 3).to_string(),
            "LERC and unknown compression (code 34887)"
        );
    }

    #[test]
    fn odd_bit_counts_decode_to_the_next_larger_dtype() {
        assert_eq!(
            decoded(SampleFormat::Unsigned, 12),
            Some((DType::UInt16, Storage::Packed))
        );
        assert_eq!(
            decoded(SampleFormat::Float, 16),
            Some((DType::Float32, Storage::Half))
        );
        assert_eq!(decoded(SampleFormat::Signed, 12), None);
        assert_eq!(decoded(SampleFormat::Other(6), 64), None);
    }

    #[test]
    fn extra_samples_after_the_colours_are_alpha_or_undefined() {
        let names = |photometric, count: usize, extra: &[u64]| -> Vec<String> {
            (0..count)
                .map(|b| band_color(photometric, b, count, extra).name().to_owned())
                .collect()
        };
        assert_eq!(names(2, 4, &[2]), ["red", "green", "blue", "alpha"]);
        assert_eq!(names(1, 3, &[0, 0]), ["gray", "undefined", "undefined"]);
    }
}
