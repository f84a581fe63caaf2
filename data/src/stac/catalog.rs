use std::collections::{BTreeMap, HashSet, VecDeque};

use futures::{StreamExt, stream::FuturesUnordered};
use serde_json::Value;

use crate::{
    error::DataError,
    store::{Address, Stores},
};

use super::Item;

/// The most documents that a catalog's links are followed to.
pub const DOCUMENT_COUNT_MAX: usize = 100_000;
/// How deep a catalog's links are followed.
pub const CATALOG_DEPTH_MAX: usize = 16;
/// Documents read at once.
const READS_AT_ONCE: usize = 16;

/// Items, and what was noticed while they were read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ItemSet {
    /// The items, each id of a collection once, by date and then by id.
    pub items: Vec<Item>,
    /// Ids of items that came again, and were dropped.
    pub duplicates: Vec<String>,
}

impl ItemSet {
    /// Sorts by date and id, and keeps the first item of each id in a collection.
    pub fn new(items: impl IntoIterator<Item = Item>) -> Self {
        let mut seen = HashSet::new();
        let mut set = Self::default();
        for item in items {
            if seen.insert((item.collection.clone(), item.id.clone())) {
                set.items.push(item);
            } else {
                set.duplicates.push(item.id);
            }
        }
        set.items
            .sort_by(|a, b| (a.datetime, &a.id).cmp(&(b.datetime, &b.id)));
        set
    }

    /// Keys of all assets, and how many items have them.
    pub fn assets(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for key in self.items.iter().flat_map(|item| item.assets.keys()) {
            *counts.entry(key.clone()).or_insert(0) += 1;
        }
        counts
    }
}

/// Reads the items at an address: an item collection, an item, or a static catalog with all that it links to.
///
/// Links of the relations `child` and `item` are followed; relative ones resolve against their own document.
///
/// # Errors
/// [`DataError::Store`] if a document cannot be had, [`DataError::Document`] and [`DataError::BadField`] if it is not
/// STAC, [`DataError::CatalogTooLarge`].
pub async fn load_items(stores: &Stores, address: &Address) -> Result<ItemSet, DataError> {
    let mut seen = HashSet::from([address.clone()]);
    let mut waiting = VecDeque::from([(address.clone(), 0)]);
    let mut running = FuturesUnordered::new();
    // By position in the order of the links, whatever order the documents arrive in.
    let mut found: BTreeMap<usize, Vec<Item>> = BTreeMap::new();
    let mut position = 0;
    loop {
        while running.len() < READS_AT_ONCE {
            let Some((address, depth)) = waiting.pop_front() else {
                break;
            };
            let this = position;
            position += 1;
            running.push(async move { (this, depth, read_document(stores, &address).await, address) });
        }
        let Some((this, depth, document, address)) = running.next().await else {
            break;
        };
        let Content { items, links } = document?;
        found.insert(this, items);
        for link in links {
            if depth + 1 > CATALOG_DEPTH_MAX {
                return Err(too_large(&address, "the depth of the catalog", CATALOG_DEPTH_MAX));
            }
            if seen.insert(link.clone()) {
                waiting.push_back((link, depth + 1));
            }
            if seen.len() > DOCUMENT_COUNT_MAX {
                return Err(too_large(&address, "the number of documents", DOCUMENT_COUNT_MAX));
            }
        }
    }
    Ok(ItemSet::new(found.into_values().flatten()))
}

fn too_large(address: &Address, what: &'static str, limit: usize) -> DataError {
    DataError::CatalogTooLarge {
        address: address.to_string(),
        what,
        limit,
    }
}

#[derive(Default)]
struct Content {
    items: Vec<Item>,
    links: Vec<Address>,
}

async fn read_document(stores: &Stores, address: &Address) -> Result<Content, DataError> {
    let bytes = stores.object(address)?.whole().await?;
    let document = serde_json::from_slice(&bytes).map_err(|e| DataError::Document {
        address: address.to_string(),
        why: format!("it is not JSON: {e}"),
    })?;
    read_content(&document, address)
}

/// Parses a document that is at hand, as [`load_items`] does, without following links.
///
/// # Errors
/// [`DataError::Document`], [`DataError::BadField`].
pub fn parse_items(document: &Value, address: &Address) -> Result<ItemSet, DataError> {
    Ok(ItemSet::new(read_content(document, address)?.items))
}

fn read_content(document: &Value, address: &Address) -> Result<Content, DataError> {
    let bad = |why: String| DataError::Document {
        address: address.to_string(),
        why,
    };
    match document.get("type").and_then(Value::as_str) {
        Some("FeatureCollection") => {
            let features = document
                .get("features")
                .and_then(Value::as_array)
                .ok_or_else(|| bad("an item collection must have features".to_owned()))?;
            let items = features
                .iter()
                .map(|item| Item::parse(item, address))
                .collect::<Result<_, _>>()?;
            Ok(Content {
                items,
                links: Vec::new(),
            })
        }
        Some("Feature") => Ok(Content {
            items: vec![Item::parse(document, address)?],
            links: Vec::new(),
        }),
        Some("Catalog" | "Collection") => Ok(Content {
            items: Vec::new(),
            links: links(document, address)?,
        }),
        // Catalogs before STAC 1.0 have no type.
        None if document.get("stac_version").is_some() && document.get("links").is_some() => Ok(Content {
            items: Vec::new(),
            links: links(document, address)?,
        }),
        other => {
            let other = other.map_or("missing".to_owned(), |name| format!("{name:?}"));
            Err(bad(format!(
                "its type is {other}; expected a STAC FeatureCollection, Feature, Catalog or Collection"
            )))
        }
    }
}

fn links(document: &Value, address: &Address) -> Result<Vec<Address>, DataError> {
    let mut found = Vec::new();
    for link in document
        .get("links")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let text = |key: &str| link.get(key).and_then(Value::as_str);
        if let (Some("child" | "item" | "items"), Some(href)) = (text("rel"), text("href")) {
            found.push(address.resolve(href)?);
        }
    }
    Ok(found)
}
