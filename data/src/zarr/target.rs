//! Arrays that can be written into, from their metadata.

use std::{fs, io, path::Path};

use graticule_ops::ZarrTarget;
use serde_json::Value;

use crate::{
    DataError,
    store::{Address, LOCAL_HINT, StoreError},
};

use super::{Layout, LayoutError};

/// Codecs that are known to write what Zarr's other implementations read. Further ones may be read.
const CODECS: [&str; 9] = [
    "blosc",
    "bytes",
    "bz2",
    "crc32c",
    "gzip",
    "sharding_indexed",
    "transpose",
    "zlib",
    "zstd",
];

/// Describes the Zarr array in a folder as a place to write to, from the element `start` on.
///
/// # Errors
/// [`DataError::Store`] if its metadata cannot be had, [`DataError::Document`] if there is no array,
/// [`DataError::Unsupported`] for one that is not on a file system, or stored in a way that is not written.
pub fn open_zarr_target(
    address: &Address,
    start: &[u64],
    stores_empty: bool,
) -> Result<ZarrTarget, DataError> {
    let unsupported = |what: String| DataError::Unsupported {
        address: address.to_string(),
        what,
    };
    let Address::Local(folder) = address else {
        return Err(unsupported("writing by workers to what is no file system".into()));
    };
    let (metadata, is_v2) = document(folder).map_err(|error| failed(address, &error))?;
    let layout = Layout::parse(&metadata, is_v2).map_err(|error| match error {
        LayoutError::Bad(why) => DataError::Document {
            address: address.to_string(),
            why,
        },
        LayoutError::Unsupported(what) => unsupported(what),
    })?;
    let parsed: Value = serde_json::from_str(&metadata).map_err(|error| DataError::Document {
        address: address.to_string(),
        why: error.to_string(),
    })?;
    if let Some(codec) = unknown_codec(&parsed, is_v2) {
        return Err(unsupported(format!("writing with the codec {codec:?}")));
    }
    // Without a fill value nothing says what a chunk holds that is left out.
    let stores_empty = stores_empty || parsed["fill_value"].is_null();
    Ok(ZarrTarget {
        url: address.href()?,
        is_v2,
        dtype: layout.dtype,
        shape: layout.shape,
        chunks: layout.outer,
        start: start.to_vec(),
        stores_empty,
        metadata,
    })
}

/// The metadata document in an array's folder, and whether it is of version 2.
pub(super) fn document(folder: &Path) -> io::Result<(String, bool)> {
    match fs::read_to_string(folder.join("zarr.json")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::read_to_string(folder.join(".zarray")).map(|text| (text, true))
        }
        other => other.map(|text| (text, false)),
    }
}

pub(super) fn failed(address: &Address, error: &io::Error) -> DataError {
    let (address, why) = (address.to_string(), error.to_string());
    let error = match error.kind() {
        io::ErrorKind::NotFound => StoreError::NotFound {
            address,
            hint: LOCAL_HINT,
        },
        io::ErrorKind::PermissionDenied => StoreError::Denied { address, why },
        _ => StoreError::Failed { address, why },
    };
    error.into()
}

/// The first codec of a metadata document, or of its shards, that is not written.
fn unknown_codec(document: &Value, is_v2: bool) -> Option<String> {
    if is_v2 {
        let filters = document["filters"].as_array().into_iter().flatten();
        let compressor = Some(&document["compressor"]).filter(|codec| !codec.is_null());
        let ids = filters
            .chain(compressor)
            .map(|codec| codec["id"].as_str().unwrap_or_default());
        // Filters are of many kinds, and few programs write them alike.
        let mut ids = ids.map(|id| (id, ["blosc", "bz2", "gzip", "zlib", "zstd"].contains(&id)));
        return ids.find_map(|(id, is_known)| (!is_known).then(|| id.to_owned()));
    }
    unknown_of(&document["codecs"])
}

fn unknown_of(codecs: &Value) -> Option<String> {
    codecs.as_array()?.iter().find_map(|codec| {
        let name = codec["name"].as_str().unwrap_or_default();
        if !CODECS.contains(&name) {
            return Some(name.to_owned());
        }
        let configuration = &codec["configuration"];
        unknown_of(&configuration["codecs"]).or_else(|| unknown_of(&configuration["index_codecs"]))
    })
}
