//! The header and the directory of a written file.
//!
//! They stand at the file's start, before the blocks, so that a reader gets them with its first request. Their size
//! is known before the blocks are; their bytes only after the last one.

use graticule_plan::Kind;

use super::epsg::is_geographic;
use super::format::{Interleave, Predictor};
use super::geo::{GEODETIC_CRS, MODEL_TYPE, PROJECTED_CRS, RASTER_TYPE};
use super::metadata::escape_value;
use super::options::{Blocks, GeoTiffOptions, WriteColors, WriteCompression};
use super::tag::Tag;

/// One field of the directory.
struct Field {
    tag: Tag,
    kind: u16,
    count: u64,
    bytes: Vec<u8>,
}

const ASCII: u16 = 2;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const DOUBLE: u16 = 12;
const LONG8: u16 = 16;

impl Field {
    fn shorts(tag: Tag, values: &[u16]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Field {
            tag,
            kind: SHORT,
            count: values.len() as u64,
            bytes,
        }
    }

    fn long(tag: Tag, value: u32) -> Self {
        Field {
            tag,
            kind: LONG,
            count: 1,
            bytes: value.to_le_bytes().to_vec(),
        }
    }

    /// File positions or sizes: 64 bits in a BigTIFF, else 32, which the writer made sure they fit.
    fn positions(tag: Tag, values: &[u64], big: bool) -> Self {
        let bytes = values
            .iter()
            .flat_map(|v| v.to_le_bytes().into_iter().take(if big { 8 } else { 4 }));
        Field {
            tag,
            kind: if big { LONG8 } else { LONG },
            count: values.len() as u64,
            bytes: bytes.collect(),
        }
    }

    fn doubles(tag: Tag, values: &[f64]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Field {
            tag,
            kind: DOUBLE,
            count: values.len() as u64,
            bytes,
        }
    }

    fn text(tag: Tag, text: &str) -> Self {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        Field {
            tag,
            kind: ASCII,
            count: bytes.len() as u64,
            bytes,
        }
    }
}

/// Whether a file with these options might not fit 32-bit offsets, however its blocks compress.
pub(crate) fn needs_big(options: &GeoTiffOptions) -> bool {
    let blocks = Blocks::of(options);
    // Compressed bytes may exceed the plain ones a little; the directory comes on top.
    let block = blocks.block_bytes() + blocks.block_bytes() / 128 + 1024;
    let total = block
        .saturating_mul(blocks.count() as u64)
        .saturating_add(1 << 20);
    options.big || total > u64::from(u32::MAX)
}

/// The file's bytes up to the first block, for blocks at `offsets` with `lens` bytes.
pub(crate) fn head_bytes(options: &GeoTiffOptions, big: bool, offsets: &[u64], lens: &[u64]) -> Vec<u8> {
    let mut fields = fields(options);
    fields.push(Field::positions(Tag::TILE_OFFSETS, offsets, big));
    fields.push(Field::positions(Tag::TILE_BYTE_COUNTS, lens, big));
    fields.sort_by_key(|field| field.tag.0);
    lay_out(&fields, big)
}

fn lay_out(fields: &[Field], big: bool) -> Vec<u8> {
    let (header_len, count_len, entry_len, slot_len) = if big { (16, 8, 20, 8) } else { (8, 2, 12, 4) };
    let number = |bytes: &mut Vec<u8>, value: u64, len: usize| {
        bytes.extend(value.to_le_bytes().into_iter().take(len));
    };
    let mut head = Vec::new();
    if big {
        head.extend([b'I', b'I', 43, 0, 8, 0, 0, 0]);
    } else {
        head.extend([b'I', b'I', 42, 0]);
    }
    number(&mut head, header_len as u64, slot_len);
    number(&mut head, fields.len() as u64, count_len);
    let mut values = Vec::new();
    let values_start = header_len + count_len + fields.len() * entry_len + slot_len;
    for field in fields {
        number(&mut head, u64::from(field.tag.0), 2);
        number(&mut head, u64::from(field.kind), 2);
        number(&mut head, field.count, slot_len);
        if field.bytes.len() <= slot_len {
            head.extend(&field.bytes);
            head.extend(std::iter::repeat_n(0, slot_len - field.bytes.len()));
        } else {
            number(&mut head, (values_start + values.len()) as u64, slot_len);
            values.extend(&field.bytes);
            // Values begin at multiples of eight from the first one on.
            values.resize(values.len().next_multiple_of(8), 0);
        }
    }
    number(&mut head, 0, slot_len);
    head.extend(values);
    head.resize(head.len().next_multiple_of(16), 0);
    head
}

fn fields(options: &GeoTiffOptions) -> Vec<Field> {
    let GeoTiffOptions {
        width,
        height,
        tile_size,
        ..
    } = *options;
    let band_count = options.band_count as u16;
    let bits = options.dtype.size_bytes() as u16 * 8;
    let format = match options.dtype.kind() {
        Kind::Bool | Kind::Unsigned => 1,
        // Times are refused before, and are integers.
        Kind::Signed | Kind::TimeDelta | Kind::DateTime => 2,
        Kind::Float => 3,
        Kind::Complex => 6,
    };
    let compression = match options.compression {
        WriteCompression::None => 1,
        WriteCompression::Deflate { .. } => 8,
        WriteCompression::Zstd { .. } => 50000,
    };
    let (photometric, extra) = match options.colors {
        WriteColors::Gray => (1, vec![0; options.band_count - 1]),
        WriteColors::Rgb => (2, vec![0; options.band_count - 3]),
        WriteColors::Rgba => (2, [vec![2], vec![0; options.band_count - 4]].concat()),
    };
    let planar = if options.interleave == Interleave::Band && options.band_count > 1 {
        2
    } else {
        1
    };
    let mut fields = vec![
        Field::long(Tag::IMAGE_WIDTH, width),
        Field::long(Tag::IMAGE_LENGTH, height),
        Field::shorts(Tag::BITS_PER_SAMPLE, &vec![bits; options.band_count]),
        Field::shorts(Tag::COMPRESSION, &[compression]),
        Field::shorts(Tag::PHOTOMETRIC, &[photometric]),
        Field::shorts(Tag::SAMPLES_PER_PIXEL, &[band_count]),
        Field::shorts(Tag::PLANAR_CONFIGURATION, &[planar]),
        Field::long(Tag::TILE_WIDTH, tile_size),
        Field::long(Tag::TILE_LENGTH, tile_size),
        Field::shorts(Tag::SAMPLE_FORMAT, &vec![format; options.band_count]),
    ];
    if !extra.is_empty() {
        fields.push(Field::shorts(Tag::EXTRA_SAMPLES, &extra));
    }
    match options.used_predictor() {
        Predictor::Horizontal => fields.push(Field::shorts(Tag::PREDICTOR, &[2])),
        Predictor::Float => fields.push(Field::shorts(Tag::PREDICTOR, &[3])),
        Predictor::None | Predictor::Other(_) => {}
    }
    fields.extend(geo_fields(options));
    fields.extend(gdal_metadata(options).map(|xml| Field::text(Tag::GDAL_METADATA, &xml)));
    fields.extend(
        options
            .nodata
            .map(|value| Field::text(Tag::GDAL_NODATA, &number_text(value))),
    );
    fields
}

fn geo_fields(options: &GeoTiffOptions) -> Vec<Field> {
    let mut fields = Vec::new();
    if let Some([a, b, c, d, e, f]) = options.transform {
        if b == 0.0 && d == 0.0 && a > 0.0 && e < 0.0 {
            fields.push(Field::doubles(Tag::MODEL_PIXEL_SCALE, &[a, -e, 0.0]));
            fields.push(Field::doubles(Tag::MODEL_TIEPOINT, &[0.0, 0.0, 0.0, c, f, 0.0]));
        } else {
            let matrix = [a, b, 0.0, c, d, e, 0.0, f, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];
            fields.push(Field::doubles(Tag::MODEL_TRANSFORMATION, &matrix));
        }
    }
    if let Some(code) = options.epsg {
        let (model, key) = if is_geographic(code) {
            (2, GEODETIC_CRS)
        } else {
            (1, PROJECTED_CRS)
        };
        // Version 1, revision 1.0, three keys with their values in place.
        let code = code as u16;
        let keys = [
            [1, 1, 0, 3],
            [MODEL_TYPE, 0, 1, model],
            [RASTER_TYPE, 0, 1, 1],
            [key, 0, 1, code],
        ]
        .concat();
        fields.push(Field::shorts(Tag::GEO_KEY_DIRECTORY, &keys));
    }
    fields
}

fn gdal_metadata(options: &GeoTiffOptions) -> Option<String> {
    let mut items = String::new();
    for (band, label) in options.bands.iter().enumerate() {
        let entries = [
            ("OFFSET", "offset", label.offset.map(number_text)),
            ("SCALE", "scale", label.scale.map(number_text)),
            ("UNITTYPE", "unittype", label.unit.as_deref().map(escape_value)),
            (
                "DESCRIPTION",
                "description",
                label.description.as_deref().map(escape_value),
            ),
        ];
        for (name, role, value) in entries {
            if let Some(value) = value {
                items.push_str(&format!(
                    "  <Item name=\"{name}\" sample=\"{band}\" role=\"{role}\">{value}</Item>\n"
                ));
            }
        }
    }
    (!items.is_empty()).then(|| format!("<GDALMetadata>\n{items}</GDALMetadata>\n"))
}

/// The shortest text that gives the same number back, as C reads it.
fn number_text(value: f64) -> String {
    if value.is_nan() {
        "nan".to_owned()
    } else if value != 0.0 && value.is_finite() && !(1e-5..1e17).contains(&value.abs()) {
        format!("{value:e}")
    } else {
        format!("{value}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_short_and_exact() {
        let texts = [
            (-9999.0, "-9999"),
            (0.0001, "0.0001"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
            (1e20, "1e20"),
            (-3.4028234663852886e38, "-3.4028234663852886e38"),
        ];
        for (value, text) in texts {
            assert_eq!(number_text(value), text);
        }
    }
}
