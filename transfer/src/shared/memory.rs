//! The buffers of this process that others may map.

use std::{
    collections::BTreeMap,
    io,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use graticule_kernel::{LargeMemory, set_large_memory, set_result_memory};
use memmap2::{Mmap, MmapMut};

use super::sys;
use crate::private;

/// Buffers below this have no file descriptor: they would be too many.
const SEGMENT_BYTES_MIN: usize = 1 << 20;
/// The most buffers that have a file descriptor; those beyond are private.
const SEGMENT_COUNT_MAX: usize = 4096;

/// Buffers with a descriptor, by where they begin.
static SEGMENTS: Mutex<BTreeMap<usize, Arc<Shareable>>> = Mutex::new(BTreeMap::new());
/// How many there may be.
static COUNT_MAX: AtomicUsize = AtomicUsize::new(0);

/// What others need of a buffer.
#[derive(Debug)]
pub(super) struct Shareable {
    pub(super) file: OwnedFd,
    /// Where in the file the buffer begins.
    begin: u64,
    len: usize,
    /// How often other processes were given it, and have not given it back.
    shared_count: AtomicUsize,
}

/// A buffer that others may map.
struct Segment {
    map: MmapMut,
    shareable: Arc<Shareable>,
}

/// A buffer that another process made, and this one may hand on.
struct Adopted {
    map: Mmap,
    shareable: Arc<Shareable>,
    is_known: bool,
    lender: Option<Lender>,
}

/// Who is told when a buffer is not used any more that was lent under a number.
#[derive(Debug)]
pub(super) struct Lender {
    pub(super) number: u64,
    pub(super) returns: Arc<Returns>,
}

/// Buffers that came from one process.
#[derive(Debug, Default)]
pub(super) struct Returns {
    /// Numbers of buffers that are not used here any more, and whether they were handed on.
    returned: Mutex<Vec<(u64, bool)>>,
    /// Bytes of buffers that are used here.
    pub(super) bytes: AtomicUsize,
}

impl Returns {
    pub(super) fn take(&self) -> Vec<(u64, bool)> {
        std::mem::take(&mut self.returned.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// From now on this process's large buffers are mappings, and results of a MiB and more can be mapped by others, as far as
/// its descriptors go. What ends with its task is memory of this process's own, which costs a tenth of that.
pub fn share_large_buffers() {
    let open_files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let half = open_files.map_or(usize::MAX, |max| usize::try_from(max / 2).unwrap_or(usize::MAX));
    COUNT_MAX.store(half.min(SEGMENT_COUNT_MAX), Ordering::Relaxed);
    set_result_memory(|len| {
        let segment = segment(len).map(|segment| Box::new(segment) as Box<dyn LargeMemory>);
        segment.or_else(|| private::mapping(len))
    });
    set_large_memory(private::mapping);
}

fn lock() -> std::sync::MutexGuard<'static, BTreeMap<usize, Arc<Shareable>>> {
    SEGMENTS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn segment(len: usize) -> Option<Segment> {
    if len < SEGMENT_BYTES_MIN || lock().len() >= COUNT_MAX.load(Ordering::Relaxed) {
        return None;
    }
    let (map, file) = sys::create(len)
        .inspect_err(|error| tracing::debug!(%error, "no shared memory; private memory takes its place"))
        .ok()?;
    let shareable = Arc::new(Shareable {
        file,
        begin: 0,
        len,
        shared_count: AtomicUsize::new(0),
    });
    lock().insert(map.as_ptr().addr(), shareable.clone());
    Some(Segment { map, shareable })
}

/// The descriptor behind bytes and where in it they begin, if they have one. From then on the memory is not used again
/// for anything else.
pub(super) fn share(bytes: &[u8]) -> Option<(Arc<Shareable>, u64)> {
    let at = bytes.as_ptr().addr();
    let segments = lock();
    let (start, found) = segments.range(..=at).next_back()?;
    let offset = at - start;
    if offset.checked_add(bytes.len())? > found.len {
        return None;
    }
    found.shared_count.fetch_add(1, Ordering::Relaxed);
    Some((found.clone(), found.begin + offset as u64))
}

/// Whether such bytes can be [shared](share).
pub(super) fn is_shareable(bytes: &[u8]) -> bool {
    let at = bytes.as_ptr().addr();
    let segments = lock();
    let found = segments.range(..=at).next_back();
    found.is_some_and(|(start, found)| at - start + bytes.len() <= found.len)
}

/// A buffer that was lent has come back, once; when nobody else has it, it may be used again.
pub(super) fn unshare(bytes: &[u8]) {
    if let Some((_, found)) = lock().range(..=bytes.as_ptr().addr()).next_back() {
        found.shared_count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Maps a part of a buffer of another process, which this process may hand on as if it were its own.
///
/// # Errors
/// As [`sys::open`].
pub(super) fn adopt(file: OwnedFd, offset: u64, len: usize, lender: Option<Lender>) -> io::Result<Bytes> {
    let map = sys::open(file.try_clone()?, offset, len)?;
    let shareable = Arc::new(Shareable {
        file,
        begin: offset,
        len,
        shared_count: AtomicUsize::new(0),
    });
    let mut segments = lock();
    let is_known = segments.len() < COUNT_MAX.load(Ordering::Relaxed);
    if is_known {
        segments.insert(map.as_ptr().addr(), shareable.clone());
    }
    drop(segments);
    if let Some(lender) = &lender {
        lender.returns.bytes.fetch_add(len, Ordering::Relaxed);
    }
    Ok(Bytes::from_owner(Adopted {
        map,
        shareable,
        is_known,
        lender,
    }))
}

impl AsRef<[u8]> for Adopted {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

impl Drop for Adopted {
    fn drop(&mut self) {
        if self.is_known {
            // Before anybody can map it anew, so that none is handed on that is said to be returned.
            lock().remove(&self.map.as_ptr().addr());
        }
        if let Some(Lender { number, returns }) = &self.lender {
            returns.bytes.fetch_sub(self.map.len(), Ordering::Relaxed);
            let is_handed_on = self.shareable.shared_count.load(Ordering::Relaxed) > 0;
            let mut returned = returns.returned.lock().unwrap_or_else(PoisonError::into_inner);
            returned.push((*number, is_handed_on));
        }
    }
}

impl LargeMemory for Segment {
    fn bytes(&self) -> &[u8] {
        &self.map
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.map
    }

    fn is_reusable(&self) -> bool {
        self.shareable.shared_count.load(Ordering::Relaxed) == 0
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        lock().remove(&self.map.as_ptr().addr());
    }
}
