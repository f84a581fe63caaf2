use std::fmt;

use graticule_ops::OpsError;
use graticule_plan::Digest;

use crate::{error::Extent, store::StoreError, tiff::TiffError};

/// Why a task's read failed: which item, asset, address (without secrets) and window, and the cause.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{place}: {cause}")]
pub struct ReadError {
    /// Where.
    pub place: Box<Place>,
    /// Why.
    #[source]
    pub cause: ReadCause,
}

/// Where a read failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The STAC item's id; empty where there is none.
    pub item: String,
    /// The asset's key; empty where there is none.
    pub asset: String,
    /// The address without secrets.
    pub address: String,
    /// The part of the file.
    pub window: Extent,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.item.is_empty() {
            write!(f, "item {:?}, asset {:?}, ", self.item, self.asset)?;
        }
        f.write_str(&self.address)?;
        match &self.window {
            Extent::File => Ok(()),
            window => write!(f, ", {window}"),
        }
    }
}

/// Why a read failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadCause {
    /// Bytes cannot be had.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A GeoTIFF is damaged, or uses something that is not read.
    #[error("{0}")]
    Tiff(std::sync::Arc<TiffError>),
    /// A file is not as its item says.
    #[error("{0}")]
    Mismatch(String),
    /// A Zarr chunk is damaged.
    #[error("the chunk is damaged: {0}")]
    Chunk(String),
    /// A description is not one, or asks for what is not supported.
    #[error("{0}")]
    Description(String),
    /// A side table did not come with the task.
    #[error("side table {0} did not come with the task")]
    NoTable(Digest),
    /// A side table cannot be decoded.
    #[error(transparent)]
    Table(#[from] OpsError),
}

impl From<TiffError> for ReadCause {
    fn from(error: TiffError) -> Self {
        if let TiffError::Source { source, .. } = &error {
            // The store's error says where and why better than the reader can.
            if let Some(store) = source.downcast_ref::<StoreError>() {
                return ReadCause::Store(store.clone());
            }
        }
        ReadCause::Tiff(std::sync::Arc::new(error))
    }
}

impl ReadError {
    pub(crate) fn new(place: Place, cause: impl Into<ReadCause>) -> Self {
        Self {
            place: Box::new(place),
            cause: cause.into(),
        }
    }

    /// An error that belongs to no file.
    pub(crate) fn of_task(cause: impl Into<ReadCause>) -> Self {
        let place = Place {
            item: String::new(),
            asset: String::new(),
            address: "the task's read".to_owned(),
            window: Extent::File,
        };
        Self::new(place, cause)
    }

    /// Whether the same read may succeed later or on another worker.
    pub fn is_transient(&self) -> bool {
        matches!(&self.cause, ReadCause::Store(error) if error.is_transient())
    }
}
