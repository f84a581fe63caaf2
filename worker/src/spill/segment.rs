//! One file of spilled chunks.

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

/// What file systems give back as a whole.
const BLOCK_BYTES: u64 = 4096;

/// A file that grows at its end. It is removed with this value.
#[derive(Debug)]
pub(super) struct Segment {
    file: File,
    path: PathBuf,
    len: AtomicU64,
}

impl Segment {
    pub(super) fn create(path: PathBuf) -> io::Result<Self> {
        let mut options = File::options();
        let file = options.read(true).write(true).create_new(true).open(&path)?;
        Ok(Self {
            file,
            path,
            len: AtomicU64::new(0),
        })
    }

    /// Where the next chunk begins.
    pub(super) fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    /// Takes note that a chunk ends at `at`; returns where the next one begins.
    pub(super) fn end_at(&self, at: u64) -> u64 {
        let end = at.next_multiple_of(BLOCK_BYTES);
        self.len.store(end, Ordering::Relaxed);
        end
    }

    pub(super) fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, at)
    }

    pub(super) fn read(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, at)
    }

    /// Gives the blocks of a dropped chunk back to the file system; where that cannot be, they go with the file.
    pub(super) fn give_back(&self, place: Range<u64>) {
        use rustix::fs::{FallocateFlags, fallocate};
        if place.is_empty() {
            return;
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        // Not all file systems can.
        let _ = fallocate(&self.file, flags, place.start, place.end - place.start);
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
