//! Mappings of other processes' memory that were used lately, for when the same chunk is fetched again: another task of
//! this worker needs another region of it. Its pages are there then, and nothing need be asked of the system.

use std::{
    collections::VecDeque,
    fs::File,
    io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use memmap2::Mmap;

use super::sys;

/// Bytes of mappings that nobody may be using any more. Their memory is held although its maker may have dropped it.
const KEPT_BYTES_MAX: usize = 4 << 20;
/// Larger mappings are not kept: their own faults are little beside reading them.
const KEPT_MAPPING_BYTES_MAX: usize = 2 << 20;

/// A part of a file, by the file's identity. As long as a mapping of it is there, no other file has that identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    device: u64,
    inode: u64,
    offset: u64,
    len: usize,
}

/// The mappings, those that were used last at the back.
#[derive(Debug, Default)]
pub(super) struct KeptMappings {
    mappings: Mutex<VecDeque<(Part, Arc<Mmap>)>>,
}

/// A mapping as the owner of bytes.
struct Shared(Arc<Mmap>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl KeptMappings {
    /// Maps a part of another process's memory, or finds it mapped. What is found is what it was: memory that was handed
    /// out is never written again.
    ///
    /// # Errors
    /// As [`sys::open`].
    pub(super) fn open(&self, file: OwnedFd, offset: u64, len: usize) -> io::Result<Bytes> {
        let file = File::from(file);
        let about = file.metadata()?;
        let part = Part {
            device: about.dev(),
            inode: about.ino(),
            offset,
            len,
        };
        let found = self.take(part);
        let mapping = match found {
            Some(mapping) => mapping,
            None => Arc::new(sys::open(file.into(), offset, len)?),
        };
        if len <= KEPT_MAPPING_BYTES_MAX {
            self.keep(part, mapping.clone());
        }
        Ok(Bytes::from_owner(Shared(mapping)))
    }

    fn take(&self, part: Part) -> Option<Arc<Mmap>> {
        let mut mappings = self.lock();
        let at = mappings.iter().position(|(kept, _)| *kept == part)?;
        mappings.remove(at).map(|(_, mapping)| mapping)
    }

    fn keep(&self, part: Part, mapping: Arc<Mmap>) {
        let mut mappings = self.lock();
        mappings.push_back((part, mapping));
        let mut bytes: usize = mappings.iter().map(|(kept, _)| kept.len).sum();
        while bytes > KEPT_BYTES_MAX
            && let Some((oldest, _)) = mappings.pop_front()
        {
            bytes -= oldest.len;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(Part, Arc<Mmap>)>> {
        self.mappings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    const LEN: usize = 1 << 20;

    fn memory(byte: u8, len: usize) -> OwnedFd {
        let (mut map, file) = sys::create(len).unwrap();
        map.fill(byte);
        file
    }

    fn open(kept: &KeptMappings, file: &OwnedFd, offset: u64, len: usize) -> Bytes {
        kept.open(file.as_fd().try_clone_to_owned().unwrap(), offset, len)
            .unwrap()
    }

    #[test]
    fn the_same_part_is_found_mapped_and_another_is_not() {
        let kept = KeptMappings::default();
        let (one, other) = (memory(1, LEN), memory(2, LEN));
        let first = open(&kept, &one, 0, LEN);
        assert_eq!(open(&kept, &one, 0, LEN).as_ptr(), first.as_ptr());
        assert_ne!(open(&kept, &other, 0, LEN).as_ptr(), first.as_ptr());
        assert_eq!(open(&kept, &other, 0, LEN)[LEN - 1], 2);
        assert_eq!(open(&kept, &one, 4096, 10).len(), 10);
        drop(first);
        assert!(open(&kept, &one, 0, LEN).iter().all(|&byte| byte == 1));
    }

    #[test]
    fn what_is_kept_has_a_limit_and_goes_by_its_last_use() {
        let kept = KeptMappings::default();
        let files: Vec<OwnedFd> = (0..=4).map(|byte| memory(byte, LEN)).collect();
        for file in &files[..4] {
            open(&kept, file, 0, LEN);
        }
        open(&kept, &files[0], 0, LEN);
        open(&kept, &files[4], 0, LEN);
        let bytes: Vec<u8> = kept.lock().iter().map(|(_, mapping)| mapping[0]).collect();
        assert_eq!(bytes, [2, 3, 0, 4]);
        let large = memory(9, KEPT_MAPPING_BYTES_MAX + 1);
        assert_eq!(open(&kept, &large, 0, KEPT_MAPPING_BYTES_MAX + 1)[0], 9);
        assert_eq!(kept.lock().len(), 4);
    }
}
