//! Where Graticule's arrays come from and go to: STAC, GeoTIFF, Zarr, PNG.
//!
//! Two sides. A client describes arrays from metadata alone ([`stac`], [`stack()`], [`zarr`]) and opens no data file. A
//! worker, which is handed a description, reads: [`Sources::fetch`] gets the bytes, [`Fetched`] decodes them on a CPU
//! thread. Both reach files by [`store`], which knows local paths, http(s) and cloud stores, tries again where that can
//! help, and keeps secrets out of messages.
//!
//! This crate knows nothing of lazy arrays, of jobs or of clusters.
//!
//! ```no_run
//! use graticule_data::{StackOptions, stac::{Search, load_items}, stack, store::{Address, Stores}};
//!
//! # async fn example() -> Result<(), graticule_data::DataError> {
//! let set = load_items(&Stores::default(), &Address::parse("items.json")?).await?;
//! let items = Search { max_cloud: Some(40.0), ..Search::default() }.apply(&set)?;
//! let cube = stack(&items, &["red", "green", "blue"], &StackOptions::default())?;
//! println!("{:?} in chunks of {:?}", cube.grid.shape(), cube.grid.block_shape(0));
//! # Ok(())
//! # }
//! ```

mod error;
pub mod png;
mod redact;
pub mod sources;
pub mod stac;
mod stack;
pub mod store;
pub mod tiff;
mod time;
pub mod zarr;

pub use error::{DataError, Extent};
pub use redact::{has_secret, redact, redact_text};
pub use sources::{Fetched, ReadError, Sources};
pub use stack::{
    GroupBy, Stack, StackBand, StackDtype, StackOptions, StackReport, TILE_DEFAULT, from_lonlat, stack,
};
pub use time::Timestamp;
