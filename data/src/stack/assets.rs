//! Which band of which file of which item makes up each band of a stack.

use std::collections::BTreeSet;

use graticule_ops::{RasterAsset, promote};
use graticule_plan::DType;

use crate::{
    error::DataError,
    stac::{Asset, Band, Crs, Item},
};

use super::{StackBand, StackDtype};

/// The files of a stack.
pub(super) struct Picks<'a> {
    pub(super) bands: Vec<PickedBand<'a>>,
    /// Items without one of the assets.
    pub(super) missing: Vec<(String, String)>,
}

/// One band of the stack.
pub(super) struct PickedBand<'a> {
    pub(super) name: String,
    /// By item.
    pub(super) files: Vec<Option<Picked<'a>>>,
}

/// One band of one file.
#[derive(Clone, Copy)]
pub(super) struct Picked<'a> {
    pub(super) item: &'a Item,
    pub(super) key: &'a str,
    pub(super) asset: &'a Asset,
    pub(super) index: usize,
}

impl Picked<'_> {
    pub(super) fn band(&self) -> &Band {
        // A file may have more bands than its metadata tells of.
        const NOTHING: Band = Band {
            name: None,
            common_name: None,
            description: None,
            data_type: None,
            nodata: None,
            scale: None,
            offset: None,
        };
        self.asset.bands.get(self.index).unwrap_or(&NOTHING)
    }

    pub(super) fn missing(&self, field: &'static str, hint: &'static str) -> DataError {
        DataError::MissingField {
            item: self.item.id.clone(),
            asset: self.key.to_owned(),
            field,
            hint,
        }
    }

    /// The file's grid as the item states it.
    ///
    /// # Errors
    /// [`DataError::MissingField`].
    pub(super) fn grid(&self) -> Result<graticule_ops::Grid, DataError> {
        const HINT: &str = "stacking opens no file, so items must have the projection extension's fields";
        let projection = &self.asset.projection;
        let [height, width] = projection.shape.ok_or_else(|| self.missing("proj:shape", HINT))?;
        let transform = projection
            .transform
            .ok_or_else(|| self.missing("proj:transform", HINT))?;
        let crs = self.crs()?;
        let epsg = if let Crs::Epsg(code) = crs {
            Some(*code)
        } else {
            None
        };
        Ok(graticule_ops::Grid {
            transform,
            height,
            width,
            epsg,
        })
    }

    pub(super) fn crs(&self) -> Result<&Crs, DataError> {
        const HINT: &str =
            "stacking needs the coordinate reference system from proj:epsg, proj:wkt2 or proj:projjson";
        self.asset
            .projection
            .crs
            .as_ref()
            .ok_or_else(|| self.missing("proj:code", HINT))
    }

    pub(super) fn raster_asset(&self, is_scaled: bool) -> Result<RasterAsset, DataError> {
        let address = &self.asset.address;
        if address.has_secret() {
            return Err(DataError::SignedAddress {
                item: self.item.id.clone(),
                asset: self.key.to_owned(),
                address: address.to_string(),
            });
        }
        let band = self.band();
        let (scale, offset) = if is_scaled {
            (band.scale, band.offset)
        } else {
            (None, None)
        };
        Ok(RasterAsset {
            href: address.href()?,
            item: self.item.id.clone(),
            asset: self.key.to_owned(),
            band: u32::try_from(self.index).expect("band numbers are parsed as u32"),
            grid: self.grid()?,
            nodata: band.nodata,
            scale: scale.unwrap_or(1.0),
            offset: offset.unwrap_or(0.0),
        })
    }

    fn stored(&self) -> Option<Result<DType, DataError>> {
        let name = self.band().data_type.as_deref()?;
        let dtype = match name {
            "float16" => Ok(DType::Float32),
            _ => name.parse().map_err(|why| DataError::BadField {
                item: self.item.id.clone(),
                field: format!("data_type of asset {:?}", self.key),
                why,
            }),
        };
        Some(dtype)
    }
}

/// Finds the files of the named assets.
///
/// # Errors
/// [`DataError::NoAssets`], [`DataError::UnknownAsset`].
pub(super) fn pick<'a>(items: &'a [Item], names: &[&str]) -> Result<Picks<'a>, DataError> {
    let known: BTreeSet<&String> = items.iter().flat_map(|item| item.assets.keys()).collect();
    let known = || known.iter().map(|key| (*key).clone()).collect();
    if names.is_empty() {
        return Err(DataError::NoAssets { known: known() });
    }
    let mut picks = Picks {
        bands: Vec::new(),
        missing: Vec::new(),
    };
    for &name in names {
        let unknown = || DataError::UnknownAsset {
            asset: name.to_owned(),
            item_count: items.len(),
            known: known(),
        };
        let (key, number) = split_name(items, name).ok_or_else(unknown)?;
        let with: Vec<_> = items.iter().map(|item| item.assets.get_key_value(key)).collect();
        let lacking = items.iter().zip(&with).filter(|(_, found)| found.is_none());
        picks
            .missing
            .extend(lacking.map(|(item, _)| (item.id.clone(), key.to_owned())));
        let count = with
            .iter()
            .flatten()
            .map(|(_, asset)| asset.bands.len())
            .max()
            .unwrap_or(1);
        let indices = number.map_or(0..count, |number| number..number + 1);
        for index in indices {
            let files = items.iter().zip(&with).map(|(item, found)| {
                found.map(|(key, asset)| Picked {
                    item,
                    key: key.as_str(),
                    asset,
                    index,
                })
            });
            let files: Vec<_> = files.collect();
            let own = files.iter().flatten().find_map(|file| file.band().name.clone());
            let name = match number {
                None if count > 1 => format!("{name}.{}", own.unwrap_or((index + 1).to_string())),
                _ => name.to_owned(),
            };
            picks.bands.push(PickedBand { name, files });
        }
    }
    Ok(picks)
}

/// An asset's key, and the band's index if the name ends with a dot and the band's number or name.
fn split_name<'a>(items: &[Item], name: &'a str) -> Option<(&'a str, Option<usize>)> {
    let exists = |key: &str| items.iter().any(|item| item.assets.contains_key(key));
    if exists(name) {
        return Some((name, None));
    }
    let (key, band) = name.rsplit_once('.').filter(|(key, _)| exists(key))?;
    if let Ok(number) = band.parse::<u32>() {
        return number.checked_sub(1).map(|index| (key, Some(index as usize)));
    }
    let assets = items.iter().filter_map(|item| item.assets.get(key));
    let mut named =
        assets.filter_map(|asset| asset.bands.iter().position(|b| b.name.as_deref() == Some(band)));
    named.next().map(|index| (key, Some(index)))
}

/// The stack's dtype.
///
/// # Errors
/// For [`StackDtype::Source`] [`DataError::MissingField`] or [`DataError::BadField`].
pub(super) fn dtype(picks: &Picks<'_>, asked: StackDtype) -> Result<DType, DataError> {
    match asked {
        StackDtype::Float32 => return Ok(DType::Float32),
        StackDtype::Float64 => return Ok(DType::Float64),
        StackDtype::Source => {}
    }
    const HINT: &str = "give a dtype, or use items whose bands state data_type";
    let mut common: Option<DType> = None;
    for file in picks.bands.iter().flat_map(|band| &band.files).flatten() {
        let stored = file.stored().ok_or_else(|| file.missing("data_type", HINT))??;
        common = match common {
            Some(common) => Some(promote(common, stored).map_err(|_| file.missing("data_type", HINT))?),
            None => Some(stored),
        };
    }
    // Every name was found in some item, so there is a file.
    common.ok_or(DataError::NoItems)
}

/// The bands' labels.
pub(super) fn bands(picks: &Picks<'_>, dtype: DType, asked: StackDtype) -> Result<Vec<StackBand>, DataError> {
    let label = |band: &PickedBand<'_>| {
        let files = || band.files.iter().flatten();
        let nodata = files().find_map(|file| file.band().nodata);
        let is_source = asked == StackDtype::Source;
        let fill = match nodata {
            Some(nodata) if is_source && fits(nodata, dtype) => nodata,
            _ if dtype.is_float() => f64::NAN,
            _ => 0.0,
        };
        let stored = files().find_map(|file| file.stored());
        StackBand {
            name: band.name.clone(),
            common_name: files().find_map(|file| file.band().common_name.clone()),
            title: files().find_map(|file| file.asset.title.clone()),
            stored: stored.and_then(Result::ok),
            nodata,
            fill,
        }
    };
    Ok(picks.bands.iter().map(label).collect())
}

/// Whether a value can be an element of the dtype.
fn fits(value: f64, dtype: DType) -> bool {
    dtype.is_float() || graticule_ops::Scalar::from_float(value, dtype).is_some()
}
