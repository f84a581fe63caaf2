//! Real files and damaged ones: search, stacks, readers and writers.

mod bad_input;
mod http;
mod raster_reads;
#[cfg(feature = "http")]
#[path = "support/server.rs"]
mod server;
mod stac;
mod stack_exactness;
mod support;
mod tiff;
mod tiff_damage;
mod tiff_writer;
mod zarr_reads;
