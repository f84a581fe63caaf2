//! Where an array is written to.

use graticule_plan::DType;
use serde::{Deserialize, Serialize};

/// The function that writes a block into a Zarr array. Every worker knows it; its payload is a [`ZarrTarget`], as
/// [`encode_table`](crate::encode_table) writes it, and what it makes is one number: the bytes that were stored.
pub const ZARR_WRITER: &str = "graticule.zarr";

/// A Zarr array that is there, its chunks perhaps not, and the region of it that an array is written into.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ZarrTarget {
    /// The array's own address (of the folder with its metadata), without secrets.
    pub url: String,
    /// The array's metadata document (`zarr.json`, or `.zarray`). Workers write only where they find the same.
    pub metadata: String,
    /// Whether `metadata` is of Zarr version 2.
    pub is_v2: bool,
    /// The dtype of its elements.
    pub dtype: DType,
    /// The array's shape.
    pub shape: Vec<u64>,
    /// Elements, along each axis, that are stored as one: of a sharded array the shard's.
    pub chunks: Vec<u64>,
    /// The element where the region begins, along each axis.
    pub start: Vec<u64>,
    /// Whether chunks that hold nothing but the fill value are stored; else they are left out, and removed if they are there.
    pub stores_empty: bool,
}
