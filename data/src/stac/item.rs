use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{error::DataError, store::Address, time::Timestamp};

use super::projection::Projection;

/// A STAC item: what was observed when and where, and the files that hold it.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The item's id.
    pub id: String,
    /// The collection's id, if the item names one.
    pub collection: Option<String>,
    /// `datetime`, or `start_datetime` where that is null.
    pub datetime: Timestamp,
    /// West, south, east and north in degrees. East is less than west where the item crosses the date line.
    pub bbox: Option<[f64; 4]>,
    /// The item's properties.
    pub properties: Map<String, Value>,
    /// Files by key.
    pub assets: BTreeMap<String, Asset>,
}

/// A file of an item.
#[derive(Debug, Clone, PartialEq)]
pub struct Asset {
    /// Where it lies.
    pub address: Address,
    /// Its title.
    pub title: Option<String>,
    /// Its media type.
    pub media_type: Option<String>,
    /// Its roles.
    pub roles: Vec<String>,
    /// Its grid; fields that the asset lacks are the item's.
    pub projection: Projection,
    /// Its bands; one without properties where nothing is said of them.
    pub bands: Vec<Band>,
}

/// A band of a file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Band {
    /// Its name.
    pub name: Option<String>,
    /// Its common name, such as `red`.
    pub common_name: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// The stored elements' type as STAC names it, such as `uint16`.
    pub data_type: Option<String>,
    /// The value that marks missing pixels.
    pub nodata: Option<f64>,
    /// Factor from stored to real values.
    pub scale: Option<f64>,
    /// What is added after the factor.
    pub offset: Option<f64>,
}

impl Item {
    /// Takes an item of STAC 1.0 or 1.1 out of the document at `base`, against which relative links resolve.
    ///
    /// # Errors
    /// [`DataError::Document`] if it is no item, [`DataError::BadField`] if a field is not as STAC wants it.
    pub fn parse(value: &Value, base: &Address) -> Result<Self, DataError> {
        let document = |why: &str| DataError::Document {
            address: base.to_string(),
            why: why.to_owned(),
        };
        let object = value
            .as_object()
            .ok_or_else(|| document("an item must be a JSON object"))?;
        let id = match object.get("id") {
            Some(Value::String(id)) => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => return Err(document("an item has no id")),
        };
        let bad = |field: &str, why: &str| DataError::BadField {
            item: id.clone(),
            field: field.to_owned(),
            why: why.to_owned(),
        };
        let no_properties = Map::new();
        let properties = match object.get("properties") {
            Some(Value::Object(properties)) => properties,
            None | Some(Value::Null) => &no_properties,
            Some(_) => return Err(bad("properties", "must be an object")),
        };
        let datetime = datetime(properties).map_err(|(field, why)| bad(field, why))?;
        let mut assets = BTreeMap::new();
        if let Some(Value::Object(found)) = object.get("assets") {
            for (key, asset) in found {
                // Assets that are not to be read may be odd; so a bad address is an error only for the one stacked.
                if let Some(asset) = Asset::parse(asset, properties, base, &id)? {
                    assets.insert(key.clone(), asset);
                }
            }
        }
        Ok(Self {
            collection: object
                .get("collection")
                .and_then(Value::as_str)
                .map(str::to_owned),
            datetime,
            bbox: bbox(object),
            properties: properties.clone(),
            assets,
            id,
        })
    }

    /// The item's cloud cover in percent, if it states one.
    pub fn cloud_cover(&self) -> Option<f64> {
        self.properties.get("eo:cloud_cover").and_then(Value::as_f64)
    }
}

fn datetime(properties: &Map<String, Value>) -> Result<Timestamp, (&'static str, &'static str)> {
    for field in ["datetime", "start_datetime"] {
        match properties.get(field) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => {
                return Timestamp::parse(text).ok_or((field, "is not an instant as RFC 3339 writes it"));
            }
            Some(_) => return Err((field, "must be text")),
        }
    }
    Err(("datetime", "is null, and there is no start_datetime"))
}

/// The item's box in two dimensions, or that of its geometry.
fn bbox(object: &Map<String, Value>) -> Option<[f64; 4]> {
    let numbers: Option<Vec<f64>> = object
        .get("bbox")
        .and_then(Value::as_array)
        .and_then(|all| all.iter().map(Value::as_f64).collect());
    match numbers.as_deref() {
        Some(&[west, south, east, north]) | Some(&[west, south, _, east, north, _]) => {
            Some([west, south, east, north])
        }
        _ => {
            let mut covered: Option<[f64; 4]> = None;
            cover(object.get("geometry")?.get("coordinates")?, &mut covered);
            covered
        }
    }
}

/// Widens `covered` by every position in nested arrays of coordinates.
fn cover(coordinates: &Value, covered: &mut Option<[f64; 4]>) {
    let Some(array) = coordinates.as_array() else {
        return;
    };
    match (
        array.first().and_then(Value::as_f64),
        array.get(1).and_then(Value::as_f64),
    ) {
        (Some(x), Some(y)) => {
            let [west, south, east, north] = covered.unwrap_or([x, y, x, y]);
            *covered = Some([west.min(x), south.min(y), east.max(x), north.max(y)]);
        }
        _ => array.iter().for_each(|inner| cover(inner, covered)),
    }
}

impl Asset {
    /// `None` if there is no link.
    fn parse(
        value: &Value,
        properties: &Map<String, Value>,
        base: &Address,
        item: &str,
    ) -> Result<Option<Self>, DataError> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let (Some(href), Some(object)) = (text("href"), value.as_object()) else {
            return Ok(None);
        };
        let Ok(address) = base.resolve(&href) else {
            return Ok(None);
        };
        let roles = value.get("roles").and_then(Value::as_array);
        let roles = roles
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        Ok(Some(Self {
            address,
            title: text("title"),
            media_type: text("type"),
            roles,
            projection: Projection::parse(object, properties, item)?,
            bands: bands(object),
        }))
    }
}

/// Puts together what `bands` (1.1), `raster:bands` and `eo:bands` (1.0) say; what stands on the asset itself holds for
/// each band that does not say otherwise.
fn bands(asset: &Map<String, Value>) -> Vec<Band> {
    let empty = Vec::new();
    let of = |key: &str| asset.get(key).and_then(Value::as_array).unwrap_or(&empty);
    let (bands, raster, eo) = (of("bands"), of("raster:bands"), of("eo:bands"));
    let count = bands.len().max(raster.len()).max(eo.len()).max(1);
    let on_asset = Value::Object(asset.clone());
    (0..count)
        .map(|index| {
            let places: Vec<&Value> = [bands.get(index), raster.get(index), eo.get(index)]
                .into_iter()
                .flatten()
                .collect();
            let own = |keys: &[&str]| places.iter().find_map(|place| find(place, keys));
            let any = |keys: &[&str]| own(keys).or_else(|| find(&on_asset, keys));
            let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
            Band {
                name: text(own(&["name"])),
                common_name: text(own(&["eo:common_name", "common_name"])),
                description: text(own(&["description"])),
                data_type: text(any(&["data_type"])),
                nodata: any(&["nodata"]).and_then(number),
                scale: any(&["raster:scale", "scale"]).and_then(number),
                offset: any(&["raster:offset", "offset"]).and_then(number),
            }
        })
        .collect()
}

fn find<'a>(place: &'a Value, keys: &[&str]) -> Option<&'a Value> {
    keys.iter()
        .find_map(|key| place.get(key))
        .filter(|value| !value.is_null())
}

/// A number, or the names that JSON lacks.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "nan" => Some(f64::NAN),
            "inf" | "+inf" | "infinity" => Some(f64::INFINITY),
            "-inf" | "-infinity" => Some(f64::NEG_INFINITY),
            other => other.parse().ok(),
        },
        _ => None,
    }
}
