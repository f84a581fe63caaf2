//! STAC items: item collections and static catalogs, read from files or over http, and searched.

mod catalog;
mod item;
mod projection;
mod search;

pub use catalog::{CATALOG_DEPTH_MAX, DOCUMENT_COUNT_MAX, ItemSet, load_items, parse_items};
pub use item::{Asset, Band, Item};
pub use projection::{Crs, Projection};
pub use search::{Comparison, Condition, Interval, Search, parse_bbox};
