//! From descriptions of data to lazy arrays.

use graticule_array::Array;
use graticule_data::{
    DataError, Stack,
    store::{Address, Stores},
    zarr::{ZarrDescription, open_zarr_array},
};

use crate::ClientError;

/// The lazy array `(time, band, y, x)` of a stack; its labels stay with the [`Stack`]. The array of
/// [`Stack::validity`] is its validity mask, which is of use where integers are kept as they are stored.
///
/// # Errors
/// [`ClientError::Array`] if the description does not fit itself.
pub fn stack_array(stack: &Stack) -> Result<Array, ClientError> {
    Ok(Array::from_source(&stack.source, stack.dtype, &stack.grid)?)
}

/// The lazy array of a Zarr description, in the chunks in which it is stored; its labels stay with the description.
///
/// # Errors
/// [`ClientError::Array`] if the description does not fit itself.
pub fn zarr_array(zarr: &ZarrDescription) -> Result<Array, ClientError> {
    Ok(Array::from_source(&zarr.source, zarr.dtype, &zarr.grid)?)
}

/// The lazy array of the Zarr array at an address: its metadata is read, and nothing else.
///
/// # Errors
/// [`ClientError::Data`] if there is none, or one that is not supported.
pub async fn open_zarr(url: &str) -> Result<Array, ClientError> {
    let address = Address::parse(url).map_err(DataError::from)?;
    zarr_array(&open_zarr_array(&Stores::default(), &address).await?)
}
