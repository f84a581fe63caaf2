//! Memory with a file descriptor. What is unsafe of shared memory is here.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
};

use memmap2::{Mmap, MmapMut, MmapOptions};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};

/// What keeps a mapping whole: the file can never be shorter than it is.
const NEVER_SHORTER: SealFlags = SealFlags::SHRINK;

/// New memory of so many zeros, for this process to write and for others to read.
///
/// # Errors
/// If the system gives none.
pub(super) fn create(len: usize) -> io::Result<(MmapMut, OwnedFd)> {
    let file = File::from(memfd_create(
        "graticule-chunk",
        MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
    )?);
    file.set_len(len as u64)?;
    // SAFETY: the file is new and nobody else has it. Others get it read-only, by the seals below: only this mapping is
    // ever written through, and its owner lends it out as Rust's rules ask.
    #[allow(unsafe_code)]
    let map = unsafe { MmapOptions::new().len(len).populate().map_mut(&file)? };
    let seals = NEVER_SHORTER | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL;
    fcntl_add_seals(&file, seals)?;
    Ok((map, file.into()))
}

/// Maps a part of another process's memory, for reading.
///
/// # Errors
/// If it could become shorter, or is too short as it is, or the system refuses.
pub(super) fn open(file: OwnedFd, offset: u64, len: usize) -> io::Result<Mmap> {
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    if !fcntl_get_seals(file.as_fd())?.contains(NEVER_SHORTER | SealFlags::FUTURE_WRITE) {
        return Err(invalid("the memory is not sealed"));
    }
    let file = File::from(file);
    let end = offset.checked_add(len as u64);
    if end.is_none_or(|end| end > file.metadata().map_or(0, |data| data.len())) {
        return Err(invalid("the memory is too short"));
    }
    let mut options = MmapOptions::new();
    // Pages come sixteen at a time as they are touched; to populate the mapping walks them one by one.
    options.offset(offset).len(len);
    // SAFETY: the seals say that the file stays as long as it is, so no access is beyond its end, and that nobody can
    // begin to write it. The one process that could before, its maker, freezes a buffer before it hands it out, and
    // never writes one again that it has handed out (`memory::Segment::is_reusable`).
    #[allow(unsafe_code)]
    let map = unsafe { options.map(&file)? };
    Ok(map)
}
