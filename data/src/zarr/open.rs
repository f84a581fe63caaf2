use std::collections::BTreeMap;

use graticule_ops::{ArraySource, OnError, ZarrArray};
use graticule_plan::{ChunkGrid, DType};
use serde_json::{Map, Value};

use crate::{
    error::DataError,
    store::{Address, StoreError, Stores},
};

use super::{Layout, LayoutError};

/// A lazy Zarr array and its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct ZarrDescription {
    /// What to read.
    pub source: ArraySource,
    /// The stored elements' dtype.
    pub dtype: DType,
    /// Shape and chunks as they are stored; of a sharded array the inner chunks.
    pub grid: ChunkGrid,
    /// The shards' shape, if the array is sharded.
    pub shards: Option<Vec<u64>>,
    /// Names of the axes: of version 3 its `dimension_names`, of version 2 xarray's `_ARRAY_DIMENSIONS`.
    pub dimension_names: Option<Vec<Option<String>>>,
    /// The array's attributes.
    pub attributes: Map<String, Value>,
    /// What absent chunks hold, as the metadata writes it.
    pub fill_value: Value,
}

/// What the climate and forecast conventions say of an array: how stored values become real ones.
///
/// Data only: nothing here decodes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CfDecoding {
    /// `_FillValue`: the stored value that marks missing elements.
    pub fill_value: Option<f64>,
    /// `missing_value`: more of them.
    pub missing_values: Vec<f64>,
    /// `scale_factor`, multiplied first.
    pub scale_factor: Option<f64>,
    /// `add_offset`, added after.
    pub add_offset: Option<f64>,
    /// `_Unsigned`: whether the bits are to be read as unsigned or signed whatever the dtype says.
    pub is_unsigned: Option<bool>,
    /// `units`, such as `days since 1860-06-01`.
    pub units: Option<String>,
    /// `calendar`.
    pub calendar: Option<String>,
}

impl ZarrDescription {
    /// What the attributes say about decoding.
    pub fn cf_decoding(&self) -> CfDecoding {
        let text = |key: &str| {
            self.attributes
                .get(key)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let number = |key: &str| {
            self.attributes
                .get(key)
                .and_then(numbers)
                .and_then(|all| all.first().copied())
        };
        CfDecoding {
            fill_value: number("_FillValue"),
            missing_values: self
                .attributes
                .get("missing_value")
                .and_then(numbers)
                .unwrap_or_default(),
            scale_factor: number("scale_factor"),
            add_offset: number("add_offset"),
            is_unsigned: text("_Unsigned").and_then(|text| text.to_ascii_lowercase().parse().ok()),
            units: text("units"),
            calendar: text("calendar"),
        }
    }
}

/// A number or a list of them. xarray writes the fill value of version 3 as base64 of its bytes.
fn numbers(value: &Value) -> Option<Vec<f64>> {
    match value {
        Value::Number(number) => Some(vec![number.as_f64()?]),
        Value::Array(all) => all.iter().map(Value::as_f64).collect(),
        Value::String(text) if text.eq_ignore_ascii_case("nan") => Some(vec![f64::NAN]),
        Value::String(text) => {
            let bytes: [u8; 8] = base64(text)?.try_into().ok()?;
            Some(vec![f64::from_le_bytes(bytes)])
        }
        _ => None,
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<u32> = text
        .trim_end_matches('=')
        .bytes()
        .map(|byte| {
            ALPHABET
                .iter()
                .position(|known| *known == byte)
                .map(|digit| digit as u32)
        })
        .collect::<Option<_>>()?;
    let group = |digits: &[u32]| {
        let bits = digits.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - digits.len()));
        bits.to_be_bytes()[1..]
            .iter()
            .take(digits.len() * 6 / 8)
            .copied()
            .collect::<Vec<_>>()
    };
    Some(digits.chunks(4).flat_map(group).collect())
}

/// Describes the Zarr array at an address (of its folder), of whichever version.
///
/// # Errors
/// [`DataError::Store`] if it cannot be had, [`DataError::Document`] if there is no array there (of a group the message
/// names the arrays in it), [`DataError::Unsupported`] for a data type, codec or chunk grid that is not read.
pub async fn open_zarr_array(stores: &Stores, address: &Address) -> Result<ZarrDescription, DataError> {
    if let Some(text) = document(stores, &address.child("zarr.json")).await? {
        match parse(&text, address)?.get("node_type").and_then(Value::as_str) {
            Some("array") => return describe(address, &text, None),
            Some("group") => {}
            _ => {
                let why = "its zarr.json describes neither an array nor a group".to_owned();
                return Err(DataError::Document {
                    address: address.to_string(),
                    why,
                });
            }
        }
    } else if let Some(text) = document(stores, &address.child(".zarray")).await? {
        let attributes = match document(stores, &address.child(".zattrs")).await? {
            Some(text) => Some(parse(&text, address)?),
            None => None,
        };
        return describe(address, &text, attributes.as_ref());
    }
    let why = match open_zarr_group(stores, address).await {
        Ok(group) => format!(
            "it is a Zarr group, not an array; it has the arrays {}",
            group.names().join(", ")
        ),
        Err(DataError::Document { .. }) => {
            "there is no Zarr array: neither zarr.json nor .zarray exists".to_owned()
        }
        Err(error) => return Err(error),
    };
    Err(DataError::Document {
        address: address.to_string(),
        why,
    })
}

/// A group's arrays, as its consolidated metadata lists them.
#[derive(Debug, Clone, PartialEq)]
pub struct ZarrGroup {
    address: Address,
    /// The group's attributes.
    pub attributes: Map<String, Value>,
    /// By path below the group: the metadata document, and for version 2 the attributes.
    arrays: BTreeMap<String, (String, Option<Value>)>,
}

impl ZarrGroup {
    /// Paths of the arrays, below the group.
    pub fn names(&self) -> Vec<String> {
        self.arrays.keys().cloned().collect()
    }

    /// Describes an array of the group, without reading anything more.
    ///
    /// # Errors
    /// [`DataError::Document`] if there is none of this name, [`DataError::Unsupported`].
    pub fn array(&self, name: &str) -> Result<ZarrDescription, DataError> {
        let (metadata, attributes) = self.arrays.get(name).ok_or_else(|| DataError::Document {
            address: self.address.to_string(),
            why: format!("it has no array {name:?}; it has {}", self.names().join(", ")),
        })?;
        describe(&self.address.child(name), metadata, attributes.as_ref())
    }
}

/// Reads a group's consolidated metadata: `.zmetadata`, or what `zarr.json` holds of it. A local group without any is
/// searched for arrays.
///
/// # Errors
/// [`DataError::Store`] if it cannot be had, [`DataError::Document`] if there is no group, or one over the network
/// without consolidated metadata.
pub async fn open_zarr_group(stores: &Stores, address: &Address) -> Result<ZarrGroup, DataError> {
    let bad = |why: &str| DataError::Document {
        address: address.to_string(),
        why: why.to_owned(),
    };
    let mut group = ZarrGroup {
        address: address.clone(),
        attributes: Map::new(),
        arrays: BTreeMap::new(),
    };
    let v3 = document(stores, &address.child("zarr.json")).await?;
    let is_found = if let Some(text) = v3 {
        let root = parse(&text, address)?;
        if root.get("node_type").and_then(Value::as_str) != Some("group") {
            return Err(bad("it is a Zarr array, not a group"));
        }
        group.attributes = object(root.get("attributes"));
        let members = root.get("consolidated_metadata").and_then(|m| m.get("metadata"));
        group.take_v3(members)
    } else if let Some(text) = document(stores, &address.child(".zmetadata")).await? {
        let root = parse(&text, address)?;
        let members = object(root.get("metadata"));
        group.attributes = object(members.get(".zattrs"));
        group.take_v2(&members);
        true
    } else if let Some(_group) = document(stores, &address.child(".zgroup")).await? {
        let attributes = document(stores, &address.child(".zattrs")).await?;
        group.attributes = match attributes {
            Some(text) => object(Some(&parse(&text, address)?)),
            None => Map::new(),
        };
        false
    } else {
        return Err(bad(
            "there is no Zarr group: neither zarr.json nor .zmetadata nor .zgroup exists",
        ));
    };
    if !is_found {
        group.search(stores).await?;
    }
    Ok(group)
}

impl ZarrGroup {
    /// Whether there was anything to take.
    fn take_v3(&mut self, members: Option<&Value>) -> bool {
        let Some(members) = members.and_then(Value::as_object) else {
            return false;
        };
        let arrays = members
            .iter()
            .filter(|(_, m)| m.get("node_type").and_then(Value::as_str) == Some("array"));
        self.arrays
            .extend(arrays.map(|(name, metadata)| (name.clone(), (metadata.to_string(), None))));
        true
    }

    fn take_v2(&mut self, members: &Map<String, Value>) {
        for (path, metadata) in members {
            if let Some(name) = path.strip_suffix("/.zarray") {
                let attributes = members.get(&format!("{name}/.zattrs")).cloned();
                self.arrays
                    .insert(name.to_owned(), (metadata.to_string(), attributes));
            }
        }
    }

    /// Looks for arrays in the folders of a local group.
    async fn search(&mut self, stores: &Stores) -> Result<(), DataError> {
        let failed = |why: String| DataError::Document {
            address: self.address.to_string(),
            why,
        };
        let Address::Local(folder) = &self.address else {
            return Err(failed(
                "the group has no consolidated metadata; name an array in it".to_owned(),
            ));
        };
        let mut entries = tokio::fs::read_dir(folder)
            .await
            .map_err(|e| failed(e.to_string()))?;
        let mut found = BTreeMap::new();
        while let Some(entry) = entries.next_entry().await.map_err(|e| failed(e.to_string()))? {
            // A link to a folder is one too; the group's own metadata are files.
            let is_folder = tokio::fs::metadata(entry.path())
                .await
                .is_ok_and(|of| of.is_dir());
            if !is_folder {
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            let address = self.address.child(&name);
            if let Some(text) = document(stores, &address.child("zarr.json")).await? {
                if parse(&text, &address)?.get("node_type").and_then(Value::as_str) == Some("array") {
                    found.insert(name, (text, None));
                }
            } else if let Some(text) = document(stores, &address.child(".zarray")).await? {
                let attributes = document(stores, &address.child(".zattrs")).await?;
                let attributes = attributes.map(|text| parse(&text, &address)).transpose()?;
                found.insert(name, (text, attributes));
            }
        }
        self.arrays.extend(found);
        Ok(())
    }
}

/// The text at an address, or `None` if there is nothing.
async fn document(stores: &Stores, address: &Address) -> Result<Option<String>, DataError> {
    match stores.object(address)?.whole().await {
        Ok(bytes) => {
            let text = String::from_utf8(bytes.to_vec());
            let why = "it is not UTF-8".to_owned();
            text.map(Some).map_err(|_| DataError::Document {
                address: address.to_string(),
                why,
            })
        }
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn parse(text: &str, address: &Address) -> Result<Value, DataError> {
    serde_json::from_str(text).map_err(|e| DataError::Document {
        address: address.to_string(),
        why: format!("its metadata is not JSON: {e}"),
    })
}

fn object(value: Option<&Value>) -> Map<String, Value> {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Describes an array from its metadata; `attributes` are those of version 2, which stand in a file of their own.
fn describe(
    address: &Address,
    metadata: &str,
    attributes: Option<&Value>,
) -> Result<ZarrDescription, DataError> {
    let document = parse(metadata, address)?;
    let is_v2 = document.get("zarr_format").and_then(Value::as_u64) == Some(2);
    let layout = Layout::parse(metadata, is_v2).map_err(|error| match error {
        LayoutError::Bad(why) => DataError::Document {
            address: address.to_string(),
            why,
        },
        LayoutError::Unsupported(what) => DataError::Unsupported {
            address: address.to_string(),
            what,
        },
    })?;
    if address.has_secret() {
        return Err(DataError::SignedAddress {
            item: String::new(),
            asset: String::new(),
            address: address.to_string(),
        });
    }
    let attributes = match attributes {
        Some(attributes) => object(Some(attributes)),
        None => object(document.get("attributes")),
    };
    let dimension_names = if is_v2 {
        attributes.get("_ARRAY_DIMENSIONS")
    } else {
        document.get("dimension_names")
    };
    let names = |value: &Value| {
        let names = value
            .as_array()?
            .iter()
            .map(|name| name.as_str().map(str::to_owned));
        Some(names.collect::<Vec<_>>()).filter(|names| names.len() == layout.shape.len())
    };
    let source = ZarrArray {
        url: address.href()?,
        metadata: bare(document.clone()),
        is_v2,
        dtype: layout.dtype,
        shape: layout.shape.clone(),
        chunks: layout.chunks.clone(),
        on_error: OnError::Raise,
    };
    Ok(ZarrDescription {
        dtype: layout.dtype,
        grid: ChunkGrid::regular(&layout.shape, &layout.chunks)?,
        shards: layout.shards.is_some().then(|| layout.outer.clone()),
        dimension_names: dimension_names.and_then(names),
        attributes,
        fill_value: document.get("fill_value").cloned().unwrap_or(Value::Null),
        source: ArraySource::Zarr(source),
    })
}

/// A metadata document without what no read needs.
fn bare(mut document: Value) -> String {
    if let Some(fields) = document.as_object_mut() {
        fields.remove("attributes");
        fields.remove("consolidated_metadata");
    }
    document.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fill_values_are_understood_however_they_are_written() {
        let value = |text: &str| numbers(&serde_json::from_str::<Value>(text).unwrap()).map(|all| all[0]);
        assert_eq!(value("-32767"), Some(-32767.0));
        assert_eq!(value("[1.5]"), Some(1.5));
        assert!(value("\"NaN\"").unwrap().is_nan());
        assert!(value("\"AAAAAAAA+H8=\"").unwrap().is_nan());
        assert_eq!(value("\"AAAAAAAA8D8=\""), Some(1.0));
        assert_eq!(value("\"?\""), None);
    }
}
