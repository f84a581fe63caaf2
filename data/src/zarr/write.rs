//! Writes blocks into Zarr arrays on a file system, chunk by chunk. A chunk's file is there whole or not at all.

use std::{
    borrow::Cow,
    fs::{self, File},
    io::{self, Write},
    ops::Range,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use graticule_kernel::{BlockCall, Chunk, KernelError, Tensor, TensorMut};
use graticule_ops::{OpsError, Scalar, ZarrTarget, decode_table};
use serde_json::Value;

use crate::store::{Address, StoreError};

use super::{Layout, LayoutError, target::document};

/// Names that are tried for the file that becomes a chunk's: two attempts at one chunk may write it at a time.
const ASIDE_COUNT_MAX: u32 = 1000;

/// Why a block is not written.
#[derive(Debug, thiserror::Error)]
pub enum ZarrWriteError {
    /// The worker finds no array where it is to write.
    #[error(
        "there is no Zarr array at {address} on {host}, where this worker runs ({why}); put it on storage that all workers \
         reach at the same path, or let the client write it (`by_workers=False`)"
    )]
    Missing {
        /// The array's address.
        address: String,
        /// The worker's host.
        host: String,
        /// What the file system says.
        why: io::Error,
    },
    /// The worker finds another array than the client described.
    #[error(
        "the Zarr array at {address} on {host}, where this worker runs, is not the one that is to be written: {why}; put it on \
         storage that all workers reach at the same path, and leave it as it is until it is written"
    )]
    Other {
        /// The array's address.
        address: String,
        /// The worker's host.
        host: String,
        /// How they differ.
        why: String,
    },
    /// The chunk's codecs fail.
    #[error("chunk {chunk:?} of {address} cannot be encoded: {why}")]
    Encode {
        /// The chunk's index.
        chunk: Vec<u64>,
        /// The array's address.
        address: String,
        /// What they say.
        why: String,
    },
    /// The file system fails.
    #[error("chunk {chunk:?} of {address}: {file} cannot be written on {host}: {why}")]
    File {
        /// The chunk's index.
        chunk: Vec<u64>,
        /// The array's address.
        address: String,
        /// The chunk's file, below the array.
        file: String,
        /// The worker's host.
        host: String,
        /// What it says.
        why: io::Error,
    },
    /// The task does not fit the array it names.
    #[error("{address}: {why}")]
    Misfit {
        /// The array's address.
        address: String,
        /// How.
        why: String,
    },
    /// The target cannot be understood.
    #[error(transparent)]
    Ops(#[from] OpsError),
    /// Its address is none.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A chunk's memory cannot be had, or a block is not what it should be.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// Writes the block of a call into the [`ZarrTarget`] that is its payload, and gives the bytes that were stored.
///
/// It blocks its thread. Writing again writes the same; who reads meanwhile sees a chunk as it was or as it is, whole.
/// Files aside, named `.<chunk>.<number>.partial`, may stay where a process was killed, and hurt nothing.
///
/// # Errors
/// [`ZarrWriteError`]. Chunks before the one that failed are written.
pub fn write_zarr_block(call: &BlockCall<'_>) -> Result<Chunk, ZarrWriteError> {
    let target: ZarrTarget = decode_table(call.payload())?;
    let address = Address::parse(&target.url)?;
    let misfit = |why: String| ZarrWriteError::Misfit {
        address: address.to_string(),
        why,
    };
    let Address::Local(folder) = &address else {
        return Err(misfit("workers write to file systems alone".into()));
    };
    let [block] = call.blocks() else {
        return Err(misfit("a block is written at a time".into()));
    };
    check_same(&target, folder, &address)?;
    let layout = Layout::parse(&target.metadata, target.is_v2).map_err(|error| match error {
        LayoutError::Bad(why) | LayoutError::Unsupported(why) => misfit(why),
    })?;
    let starts = target.start.iter().zip(block.place().axes());
    let region: Vec<Range<u64>> = starts
        .map(|(start, axis)| start + axis.elements.start..start + axis.elements.end)
        .collect();
    if block.dtype() != layout.dtype || region.len() != layout.shape.len() {
        return Err(misfit(format!(
            "a block of {} of {} axes for an array of {} of shape {:?}",
            block.dtype(),
            region.len(),
            layout.dtype,
            layout.shape
        )));
    }
    let writer = Writer {
        target: &target,
        layout,
        folder,
        address: &address,
    };
    let stored_bytes = writer.write(block.tensor(), &region)?;
    Ok(Tensor::full(Scalar::UInt64(stored_bytes), call.shape())?.into())
}

struct Writer<'a> {
    target: &'a ZarrTarget,
    layout: Layout,
    folder: &'a Path,
    address: &'a Address,
}

impl Writer<'_> {
    /// Writes the stored chunks of a region, one after another.
    fn write(&self, tensor: &Tensor, region: &[Range<u64>]) -> Result<u64, ZarrWriteError> {
        if tensor.is_empty() {
            return Ok(0);
        }
        let chunks = &self.layout.outer;
        let first: Vec<u64> = region
            .iter()
            .zip(chunks)
            .map(|(axis, chunk)| axis.start / chunk)
            .collect();
        let ends: Vec<u64> = region
            .iter()
            .zip(chunks)
            .map(|(axis, chunk)| axis.end.div_ceil(*chunk))
            .collect();
        let mut index = first.clone();
        let mut stored_bytes = 0;
        loop {
            stored_bytes += self.write_chunk(tensor, region, &index)?;
            let next = (0..index.len()).rev().find(|&axis| {
                index[axis] += 1;
                let is_within = index[axis] < ends[axis];
                if !is_within {
                    index[axis] = first[axis];
                }
                is_within
            });
            if next.is_none() {
                return Ok(stored_bytes);
            }
        }
    }

    fn write_chunk(
        &self,
        tensor: &Tensor,
        region: &[Range<u64>],
        index: &[u64],
    ) -> Result<u64, ZarrWriteError> {
        let chunk = self.elements(tensor, region, index)?;
        let key = self.layout.key(index);
        let at_file = |why: io::Error| ZarrWriteError::File {
            chunk: index.to_vec(),
            address: self.address.to_string(),
            file: key.clone(),
            host: host(),
            why,
        };
        let path = self.folder.join(&key);
        let item = self.layout.fill.len();
        if !self.target.stores_empty
            && chunk
                .bytes()
                .chunks_exact(item)
                .all(|one| one == self.layout.fill)
        {
            return match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at_file(error)),
                _ => Ok(0),
            };
        }
        let encoded = self.layout.encode(chunk.bytes(), self.target.stores_empty);
        let encoded: Cow<'_, [u8]> = encoded.map_err(|why| ZarrWriteError::Encode {
            chunk: index.to_vec(),
            address: self.address.to_string(),
            why,
        })?;
        replace(self.folder, &path, &encoded).map_err(at_file)?;
        Ok(encoded.len() as u64)
    }

    /// A stored chunk's elements: what the block has of them, and the fill value beyond the array's end.
    fn elements(
        &self,
        tensor: &Tensor,
        region: &[Range<u64>],
        index: &[u64],
    ) -> Result<Tensor, ZarrWriteError> {
        let (mut from, mut shape, mut whole) = (Vec::new(), Vec::new(), Vec::new());
        for ((axis, &len), &at) in region.iter().zip(&self.layout.outer).zip(index) {
            let start = at * len;
            let end = (start + len).min(axis.end);
            let is_within =
                start >= axis.start && (end == start + len || Some(&end) == self.end_of(from.len()));
            if !is_within {
                return Err(ZarrWriteError::Misfit {
                    address: self.address.to_string(),
                    why: format!(
                        "the region {region:?} is no whole chunks of {:?}",
                        self.layout.outer
                    ),
                });
            }
            from.push(as_len(start - axis.start));
            shape.push(as_len(end - start));
            whole.push(as_len(len));
        }
        if tensor.shape() == whole {
            return Ok(tensor.clone());
        }
        let mut chunk = TensorMut::for_overwrite(tensor.dtype(), &whole)?;
        if shape != whole {
            let fill = &self.layout.fill;
            chunk
                .bytes_mut()
                .chunks_exact_mut(fill.len())
                .for_each(|one| one.copy_from_slice(fill));
        }
        chunk.copy_box(&vec![0; whole.len()], tensor, &from, &shape)?;
        Ok(chunk.freeze())
    }

    fn end_of(&self, axis: usize) -> Option<&u64> {
        self.layout.shape.get(axis)
    }
}

/// Lengths within a block, which is in memory.
fn as_len(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

/// Checks that the array is there that the client described; its attributes may be others, and it may have grown.
fn check_same(target: &ZarrTarget, folder: &Path, address: &Address) -> Result<(), ZarrWriteError> {
    let other = |why: String| ZarrWriteError::Other {
        address: address.to_string(),
        host: host(),
        why,
    };
    let (found, is_v2) = document(folder).map_err(|why| ZarrWriteError::Missing {
        address: address.to_string(),
        host: host(),
        why,
    })?;
    if is_v2 != target.is_v2 {
        return Err(other("it is of another version of Zarr".into()));
    }
    if found == target.metadata {
        return Ok(());
    }
    let parse = |text: &str| -> Result<Value, ZarrWriteError> {
        serde_json::from_str(text).map_err(|error| other(format!("its metadata is not JSON: {error}")))
    };
    let (found, want) = (parse(&found)?, parse(&target.metadata)?);
    let lengths = |document: &Value| -> Vec<u64> {
        let lengths = document["shape"].as_array().into_iter().flatten();
        lengths.filter_map(Value::as_u64).collect()
    };
    let (own, wanted) = (lengths(&found), lengths(&want));
    if own.len() != wanted.len() || own.iter().zip(&wanted).any(|(own, wanted)| own < wanted) {
        return Err(other(format!("its shape is {own:?}, {wanted:?} is expected")));
    }
    let fields = if is_v2 {
        &[
            "chunks",
            "dtype",
            "compressor",
            "fill_value",
            "order",
            "filters",
            "dimension_separator",
        ][..]
    } else {
        &[
            "data_type",
            "chunk_grid",
            "chunk_key_encoding",
            "fill_value",
            "codecs",
        ][..]
    };
    match fields.iter().find(|field| found[**field] != want[**field]) {
        None => Ok(()),
        Some(field) => Err(other(format!(
            "its {field} is {}, {} is expected",
            found[*field], want[*field]
        ))),
    }
}

/// Writes a file aside, in the folder where it belongs, and then gives it its name.
pub(super) fn replace(array: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (mut file, aside) = create_aside(array, path)?;
    let written = file.write_all(bytes);
    drop(file);
    let renamed = written.and_then(|()| fs::rename(&aside, path));
    if renamed.is_err() {
        // The first error is the one that counts.
        let _ = fs::remove_file(&aside);
    }
    renamed
}

/// A new file beside `path` that nobody else writes. Folders below the array's are made as they are needed; its own is not.
fn create_aside(array: &Path, path: &Path) -> io::Result<(File, PathBuf)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path.parent().unwrap_or(array);
    let mut are_folders_made = false;
    for _ in 0..ASIDE_COUNT_MAX {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let aside = folder.join(format!(".{name}.{}-{number}.partial", std::process::id()));
        match File::create_new(&aside) {
            Ok(file) => return Ok((file, aside)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && !are_folders_made => {
                make_folders(array, folder)?;
                are_folders_made = true;
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        "files aside of older attempts are in the way",
    ))
}

fn make_folders(array: &Path, folder: &Path) -> io::Result<()> {
    let mut made = array.to_owned();
    for part in folder.strip_prefix(array).unwrap_or(Path::new("")) {
        made.push(part);
        match fs::create_dir(&made) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// This machine's name, as its kernel knows it.
fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "this host".to_owned(),
        name => name.to_owned(),
    }
}
