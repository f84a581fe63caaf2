//! Chunks on disk: one file each, with a checksum behind the bytes.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use graticule_kernel::Chunk;
use graticule_plan::Digest;

const CHECKSUM_BYTES: usize = 32;

/// A folder of this process for spilled chunks. It appears with the first one and goes with this value.
#[derive(Debug)]
pub(crate) struct SpillFolder {
    path: PathBuf,
    next: AtomicU64,
}

/// A chunk's file. It is removed with this value.
#[derive(Debug)]
pub(crate) struct SpillFile {
    path: PathBuf,
}

impl SpillFolder {
    pub(crate) fn new(parent: &Path, name: &str) -> Self {
        Self {
            path: parent.join(name),
            next: AtomicU64::new(0),
        }
    }

    /// Writes a chunk to a file of its own.
    pub(crate) fn write(&self, chunk: &Chunk) -> io::Result<SpillFile> {
        fs::create_dir_all(&self.path)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let file = SpillFile {
            path: self.path.join(format!("{number}.chunk")),
        };
        let encoded = chunk.encode();
        let mut content = Vec::with_capacity(encoded.len() + CHECKSUM_BYTES);
        content.extend_from_slice(&encoded);
        content.extend_from_slice(&Digest::of(&encoded).0);
        // On failure the half-written file is removed with `file`.
        fs::write(&file.path, content)?;
        Ok(file)
    }
}

impl Drop for SpillFolder {
    fn drop(&mut self) {
        // Its files are gone with their owners; what cannot be removed is left to the system's own cleaning.
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl SpillFile {
    /// Reads the chunk back.
    ///
    /// # Errors
    /// `InvalidData` if the bytes are not those that were written.
    pub(crate) fn read(&self) -> io::Result<Chunk> {
        let damaged = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        let mut content = fs::read(&self.path)?;
        let split = content.len().checked_sub(CHECKSUM_BYTES);
        let split = split.ok_or_else(|| damaged("shorter than its checksum".into()))?;
        let checksum = content.split_off(split);
        if Digest::of(&content).0 != checksum[..] {
            return Err(damaged("the checksum does not match".into()));
        }
        Chunk::decode(&Bytes::from(content)).map_err(|error| damaged(error.to_string()))
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
