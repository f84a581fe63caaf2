//! Zarr arrays of version 2 and 3, described from their metadata, made, and written into.

mod codec;
mod create;
mod effort;
mod layout;
mod open;
mod target;
mod write;

pub(crate) use codec::checked;
pub use create::{ZarrOptions, create_zarr_array};
pub(crate) use layout::{Layout, LayoutError, ShardIndex};
pub use open::{CfDecoding, ZarrDescription, ZarrGroup, open_zarr_array, open_zarr_group};
pub use target::open_zarr_target;
pub use write::{ZarrWriteError, write_zarr_block};
