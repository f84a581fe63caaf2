//! The buffers of this process that others may map.

use std::{
    collections::BTreeMap,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use graticule_kernel::{LargeMemory, set_large_memory};
use memmap2::MmapMut;

use super::sys;

/// The most buffers that have a file descriptor; those beyond lie on the heap.
const SEGMENT_COUNT_MAX: usize = 4096;

/// Buffers with a descriptor, by where they begin.
static SEGMENTS: Mutex<BTreeMap<usize, Arc<Shareable>>> = Mutex::new(BTreeMap::new());
/// How many there may be.
static COUNT_MAX: AtomicUsize = AtomicUsize::new(0);

/// What others need of a buffer.
#[derive(Debug)]
pub(super) struct Shareable {
    pub(super) file: OwnedFd,
    len: usize,
    /// Whether another process may have it.
    is_shared: AtomicBool,
}

/// A buffer that others may map.
struct Segment {
    map: MmapMut,
    shareable: Arc<Shareable>,
}

/// From now on this process's large buffers can be mapped by others, as far as its descriptors go.
pub fn share_large_buffers() {
    let open_files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let half = open_files.map_or(usize::MAX, |max| usize::try_from(max / 2).unwrap_or(usize::MAX));
    COUNT_MAX.store(half.min(SEGMENT_COUNT_MAX), Ordering::Relaxed);
    set_large_memory(|len| segment(len).map(|segment| Box::new(segment) as Box<dyn LargeMemory>));
}

fn lock() -> std::sync::MutexGuard<'static, BTreeMap<usize, Arc<Shareable>>> {
    SEGMENTS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn segment(len: usize) -> Option<Segment> {
    if lock().len() >= COUNT_MAX.load(Ordering::Relaxed) {
        return None;
    }
    let (map, file) = sys::create(len)
        .inspect_err(|error| tracing::debug!(%error, "no shared memory; the heap takes its place"))
        .ok()?;
    let shareable = Arc::new(Shareable {
        file,
        len,
        is_shared: AtomicBool::new(false),
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
    found.is_shared.store(true, Ordering::Relaxed);
    Some((found.clone(), offset as u64))
}

impl LargeMemory for Segment {
    fn bytes(&self) -> &[u8] {
        &self.map
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.map
    }

    fn is_reusable(&self) -> bool {
        !self.shareable.is_shared.load(Ordering::Relaxed)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        lock().remove(&self.map.as_ptr().addr());
    }
}
