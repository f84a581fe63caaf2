//! From descriptions of data to lazy arrays.

use graticule_array::Array;
use graticule_data::{
    DataError, Stack,
    store::{Address, Stores},
    zarr::{ZarrDescription, ZarrOptions, create_zarr_array, open_zarr_array, open_zarr_target},
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

/// Makes a Zarr array at a path or `file://` address, and gives what writes `array` into it when it is computed: the bytes
/// that are stored, a number for each block. Workers must reach the path as the client does.
///
/// Each stored chunk is written whole by one task, on its worker, aside and renamed; so after any failure and any second
/// attempt a chunk is there whole or not at all. The metadata are there at once, before anything is computed.
///
/// ```
/// use graticule_array::{Array, Chunks};
/// use graticule_client::{Client, open_zarr, to_zarr};
/// use graticule_data::zarr::ZarrOptions;
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("squares.zarr").display().to_string();
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let client = Client::local().await?;
/// let x = Array::arange(0.0, 1000.0, 1.0, graticule_plan::DType::Float64, Chunks::Size(100))?;
/// let written = to_zarr(&x.multiply(&x)?, &path, &ZarrOptions::default()).await?;
/// client.compute(&written).await?;
/// assert_eq!(client.compute(&open_zarr(&path).await?).await?.as_slice::<f64>().unwrap()[30], 900.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ClientError::Data`] as [`create_zarr_array`] says, [`ClientError::Array`] as [`Array::write_zarr`] does. Nothing is removed
/// if the array is computed from the one that is to be overwritten.
pub async fn to_zarr(array: &Array, url: &str, options: &ZarrOptions) -> Result<Array, ClientError> {
    let address = Address::parse(url).map_err(DataError::from)?;
    // Before what is there is removed.
    array.check_no_source_of(&address.href().map_err(DataError::from)?)?;
    let (dtype, grid, start) = (array.dtype(), array.chunks().clone(), vec![0; array.ndim()]);
    let options = options.clone();
    let target = blocking(move || {
        create_zarr_array(&address, dtype, &grid, &options)?;
        open_zarr_target(&address, &start, options.stores_empty)
    });
    Ok(array.write_zarr(&target.await?)?)
}

/// As [`to_zarr`], into a Zarr array that is there: the array's first element goes to `start`, and what it does not cover
/// is left alone. It must cover whole stored chunks.
///
/// # Errors
/// [`ClientError::Data`] as [`open_zarr_target`] says, [`ClientError::Array`] as [`Array::write_zarr`] does.
pub async fn write_zarr_region(array: &Array, url: &str, start: &[u64]) -> Result<Array, ClientError> {
    let (address, start) = (Address::parse(url).map_err(DataError::from)?, start.to_vec());
    let target = blocking(move || open_zarr_target(&address, &start, false)).await?;
    Ok(array.write_zarr(&target)?)
}

/// Does something with files on a thread that may wait.
async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> Result<T, DataError> + Send + 'static,
) -> Result<T, DataError> {
    let run = tokio::task::spawn_blocking(run);
    run.await
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
