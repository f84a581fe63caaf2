//! Large buffers that are a process's alone: mappings of their own, which go back to the system as a whole.
//!
//! Memory that is fresh from the system costs a fault for each page of 4 KiB when it is first written, and that is more
//! than most kernels take for what they write there. Linux has pages of 2 MiB for who asks, for a tenth of it.

use std::sync::atomic::{AtomicUsize, Ordering};

use graticule_kernel::{LargeMemory, set_large_memory};
use memmap2::{Advice, MmapMut, MmapOptions};

/// Bytes of the large pages of x86-64 and of aarch64 with pages of 4 KiB.
const HUGE_BYTES: usize = 2 << 20;
/// The most mappings, half of what Linux allows a process; buffers beyond lie on the heap.
const COUNT_MAX: usize = 1 << 15;

static COUNT: AtomicUsize = AtomicUsize::new(0);

struct Private {
    map: MmapMut,
    len: usize,
}

/// From now on this process's buffers of some MiB are mappings, of large pages where the system has them.
pub fn map_large_buffers() {
    set_large_memory(|len| if len < HUGE_BYTES { None } else { mapping(len) });
}

/// So many bytes of zeros.
pub(crate) fn mapping(len: usize) -> Option<Box<dyn LargeMemory>> {
    if COUNT.load(Ordering::Relaxed) >= COUNT_MAX {
        return None;
    }
    let map = if len < HUGE_BYTES {
        MmapOptions::new().len(len).populate().map_anon().ok()?
    } else {
        with_large_pages(len)?
    };
    COUNT.fetch_add(1, Ordering::Relaxed);
    Some(Box::new(Private { map, len }))
}

fn with_large_pages(len: usize) -> Option<MmapMut> {
    // Linux aligns mappings for large pages that are multiples of them.
    let map = MmapMut::map_anon(len.next_multiple_of(HUGE_BYTES)).ok()?;
    let whole = len - len % HUGE_BYTES;
    // Where it has none, small ones do.
    let _ = map.advise_range(Advice::HugePage, 0, whole);
    if whole < len {
        // The last page would be large as well, where all are, and take more than the buffer is said to.
        let _ = map.advise_range(Advice::NoHugePage, whole, map.len() - whole);
    }
    Some(map)
}

impl LargeMemory for Private {
    fn bytes(&self) -> &[u8] {
        &self.map[..self.len]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.map[..self.len]
    }

    fn is_reusable(&self) -> bool {
        true
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{HUGE_BYTES, mapping};

    #[test]
    fn a_mapping_is_as_long_as_asked_of_zeros_and_can_be_written() {
        for len in [
            64,
            HUGE_BYTES - 64,
            HUGE_BYTES,
            HUGE_BYTES + 64,
            5 * HUGE_BYTES - 64,
        ] {
            let mut memory = mapping(len).expect("there is memory");
            assert_eq!(memory.bytes().len(), len);
            assert!(memory.bytes().as_ptr().addr().is_multiple_of(64));
            assert!(memory.bytes().iter().all(|&byte| byte == 0));
            memory.bytes_mut().fill(7);
            assert!(memory.bytes().iter().all(|&byte| byte == 7));
            assert!(memory.is_reusable());
        }
    }
}
