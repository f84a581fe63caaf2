//! Where an image lies on the ground: GeoKeys, affine transform, EPSG code.
//!
//! OGC GeoTIFF 1.1 (OGC 19-008r4), read as GDAL reads it where files disagree with the standard.

use std::collections::BTreeMap;

use super::directory::Directory;
use super::error::TiffError;
use super::tag::Tag;

/// An affine transform `[a, b, c, d, e, f]` from pixels to the ground, in the order of STAC's `proj:transform`.
///
/// The corner of pixel (row, col) lies at `x = a * col + b * row + c`, `y = d * col + e * row + f`; its centre half a
/// pixel further both ways.
pub type Transform = [f64; 6];

/// GTModelTypeGeoKey: which sort of coordinates the file has.
pub(crate) const MODEL_TYPE: u16 = 1024;
/// GTRasterTypeGeoKey: whether a coordinate means a pixel's corner or its centre.
pub(crate) const RASTER_TYPE: u16 = 1025;
/// GeodeticCRSGeoKey.
pub(crate) const GEODETIC_CRS: u16 = 2048;
/// ProjectedCRSGeoKey.
pub(crate) const PROJECTED_CRS: u16 = 3072;

/// The code that means "defined by further keys".
const USER_DEFINED: u16 = 32767;

/// The value of one GeoKey.
#[derive(Debug, Clone, PartialEq)]
pub enum GeoKeyValue {
    /// One or more 16-bit codes.
    Short(Vec<u16>),
    /// One or more floats.
    Double(Vec<f64>),
    /// A text, without the bar at its end.
    Text(String),
}

/// The GeoKeys of an image, by number.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GeoKeys(BTreeMap<u16, GeoKeyValue>);

impl GeoKeys {
    /// Every key with its value, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &GeoKeyValue)> {
        self.0.iter().map(|(key, value)| (*key, value))
    }

    /// The value of key `key`, if the file has it.
    pub fn value(&self, key: u16) -> Option<&GeoKeyValue> {
        self.0.get(&key)
    }

    /// The code of a key that holds exactly one.
    pub fn short(&self, key: u16) -> Option<u16> {
        match self.0.get(&key)? {
            GeoKeyValue::Short(codes) if codes.len() == 1 => codes.first().copied(),
            GeoKeyValue::Short(_) | GeoKeyValue::Double(_) | GeoKeyValue::Text(_) => None,
        }
    }

    /// The EPSG code of the coordinate reference system, if the file names one.
    ///
    /// `None` where there are no keys and where the system is defined by its parameters.
    pub fn epsg(&self) -> Option<u32> {
        let code = |key| self.short(key).filter(|code| *code != 0 && *code != USER_DEFINED);
        let projected = self.0.contains_key(&PROJECTED_CRS) || self.short(MODEL_TYPE) == Some(1);
        let found = if projected {
            code(PROJECTED_CRS)
        } else {
            code(GEODETIC_CRS)
        };
        found.map(u32::from)
    }

    /// Whether coordinates mean pixel centres (`RasterPixelIsPoint`).
    pub fn is_pixel_point(&self) -> bool {
        self.short(RASTER_TYPE) == Some(2)
    }

    pub(crate) fn parse(directory: &Directory) -> Result<GeoKeys, TiffError> {
        let Some(words) = directory.integers(Tag::GEO_KEY_DIRECTORY)? else {
            return Ok(GeoKeys::default());
        };
        let doubles = directory.doubles(Tag::GEO_DOUBLE_PARAMS).unwrap_or_default();
        let text = directory.text(Tag::GEO_ASCII_PARAMS).unwrap_or_default();
        let count = words.get(3).copied().unwrap_or(0);
        let mut keys = BTreeMap::new();
        for entry in words
            .get(4..)
            .unwrap_or_default()
            .chunks_exact(4)
            .take(count as usize)
        {
            let [key, place, len, value] = [entry[0], entry[1], entry[2], entry[3]];
            let range = value as usize..value.saturating_add(len) as usize;
            let parsed = match place {
                0 => Some(GeoKeyValue::Short(vec![value as u16])),
                34735 => words
                    .get(range)
                    .map(|w| GeoKeyValue::Short(w.iter().map(|v| *v as u16).collect())),
                34736 => doubles.get(range).map(|d| GeoKeyValue::Double(d.to_vec())),
                34737 => text_part(&text, range).map(GeoKeyValue::Text),
                _ => None,
            };
            // A key that points nowhere is left out: pixels can still be read, and its absence shows.
            if let Some(parsed) = parsed {
                keys.insert(key as u16, parsed);
            }
        }
        Ok(GeoKeys(keys))
    }
}

/// The part of the text parameters; a range may reach over the end by the zero byte that was cut away.
fn text_part(text: &str, range: std::ops::Range<usize>) -> Option<String> {
    let part = text.as_bytes().get(range.start..range.end.min(text.len()))?;
    let part = String::from_utf8_lossy(part);
    Some(part.trim_end_matches('\0').trim_end_matches('|').to_owned())
}

/// The transform and the number of ground control points.
pub(crate) fn parse_transform(directory: &Directory, pixel_is_point: bool) -> (Option<Transform>, usize) {
    let finite = |values: &Vec<f64>| values.iter().all(|v| v.is_finite());
    let matrix = directory
        .doubles(Tag::MODEL_TRANSFORMATION)
        .filter(|m| m.len() >= 16 && finite(m));
    let scale = directory
        .doubles(Tag::MODEL_PIXEL_SCALE)
        .filter(|s| s.len() >= 2 && finite(s));
    let tiepoints = directory
        .doubles(Tag::MODEL_TIEPOINT)
        .filter(|t| t.len() >= 6 && finite(t));

    let corner = match (scale, &tiepoints, matrix) {
        (Some(scale), Some(tie), _) if scale[0] != 0.0 && scale[1] != 0.0 => {
            // Like GDAL: rows go south, whatever the scale's sign.
            let (a, e) = (scale[0], -scale[1].abs());
            Some([a, 0.0, tie[3] - tie[0] * a, 0.0, e, tie[4] - tie[1] * e])
        }
        (_, _, Some(m)) => Some([m[0], m[1], m[3], m[4], m[5], m[7]]),
        _ => None,
    };
    let gcp_count = match (&corner, &tiepoints) {
        (None, Some(tie)) => tie.len() / 6,
        _ => 0,
    };
    let shifted = corner.map(|[a, b, c, d, e, f]| {
        if pixel_is_point {
            [a, b, c - (a + b) / 2.0, d, e, f - (d + e) / 2.0]
        } else {
            [a, b, c, d, e, f]
        }
    });
    (shifted, gcp_count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(pairs: &[(u16, u16)]) -> GeoKeys {
        GeoKeys(
            pairs
                .iter()
                .map(|(key, code)| (*key, GeoKeyValue::Short(vec![*code])))
                .collect(),
        )
    }

    #[test]
    fn epsg_is_the_projected_code_where_there_is_one() {
        assert_eq!(
            keys(&[(1024, 1), (2048, 4326), (3072, 32632)]).epsg(),
            Some(32632)
        );
        assert_eq!(keys(&[(1024, 2), (2048, 4326)]).epsg(), Some(4326));
    }

    #[test]
    fn user_defined_system_has_no_epsg_code() {
        assert_eq!(keys(&[(1024, 1), (2048, 4326), (3072, 32767)]).epsg(), None);
        assert_eq!(keys(&[(1024, 1), (2048, 4326)]).epsg(), None);
        assert_eq!(GeoKeys::default().epsg(), None);
    }

    #[test]
    fn text_parameter_loses_its_bar_and_survives_a_range_over_the_end() {
        assert_eq!(text_part("WGS 84|UTM|", 0..7).as_deref(), Some("WGS 84"));
        assert_eq!(text_part("UTM|", 0..9).as_deref(), Some("UTM"));
        assert_eq!(text_part("UTM|", 7..9), None);
    }
}
