//! Zarr arrays of version 2 and 3, described from their metadata.

mod codec;
mod layout;
mod open;

pub(crate) use codec::checked;
pub(crate) use layout::{Layout, LayoutError, ShardIndex};
pub use open::{CfDecoding, ZarrDescription, ZarrGroup, open_zarr_array, open_zarr_group};
