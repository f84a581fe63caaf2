use std::{
    cell::Cell,
    sync::{Mutex, OnceLock, PoisonError},
};

use bytemuck::{Pod, Zeroable};

use crate::KernelError;

/// Where every buffer that this crate allocates begins: at a multiple of this many bytes.
pub const ALIGN_BYTES: usize = 64;

/// The most bytes of one tensor.
pub const TENSOR_BYTES_MAX: u64 = 1 << 36;

/// The most bytes of freed buffers that are kept for reuse, in the whole process; see [`limit_spare_bytes`].
pub const SPARE_BYTES_MAX: usize = 256 << 20;

/// Buffers smaller than this are left to the allocator, which keeps them itself. Larger ones are kept apart from it: among
/// what lives longer they would leave gaps behind that nothing else fits.
pub const LARGE_BYTES_MIN: usize = 64 << 10;

/// So many lengths, to the base of 2, of large buffers for a task alone lie between a power of two and the next.
const LENGTHS_LOG2: u32 = 3;

/// The most freed buffers that are kept, so that a search among them is short.
const SPARE_COUNT_MAX: usize = 256;

/// One cache line; its alignment is what it is for.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; ALIGN_BYTES]);

/// Memory from elsewhere for a large buffer, at a multiple of [`ALIGN_BYTES`].
pub trait LargeMemory: Send + Sync {
    /// Its bytes.
    fn bytes(&self) -> &[u8];
    /// Its bytes, to be written.
    fn bytes_mut(&mut self) -> &mut [u8];
    /// Whether nobody else may still see it, so that it may become another buffer when this one is freed.
    fn is_reusable(&self) -> bool;
}

/// Where memory for large buffers comes from: so many bytes of zeros, or `None` for memory of the heap.
type LargeSource = fn(usize) -> Option<Box<dyn LargeMemory>>;

/// For all large buffers, and for those alone that may leave their task.
static LARGE_SOURCE: OnceLock<LargeSource> = OnceLock::new();
static RESULT_SOURCE: OnceLock<LargeSource> = OnceLock::new();

thread_local! {
    /// Whether what this thread makes ends with the task that it runs.
    static IS_SCRATCH: Cell<bool> = const { Cell::new(false) };
}

/// From now on this process's buffers of [`LARGE_BYTES_MIN`] and more have their memory from `source`. The first call
/// counts.
pub fn set_large_memory(source: fn(usize) -> Option<Box<dyn LargeMemory>>) {
    // A second source would be one too many.
    let _ = LARGE_SOURCE.set(source);
}

/// As [`set_large_memory`], for buffers that others may see when their task is over: results, not what is [only between
/// its steps](as_scratch).
pub fn set_result_memory(source: fn(usize) -> Option<Box<dyn LargeMemory>>) {
    // As above.
    let _ = RESULT_SOURCE.set(source);
}

/// Makes something of buffers that nobody but the task at hand will see: they need no [memory for
/// results](set_result_memory).
pub fn as_scratch<T>(make: impl FnOnce() -> T) -> T {
    with_scratch(true, make)
}

/// As [`as_scratch`] if `is_scratch`, and for results otherwise.
pub(crate) fn with_scratch<T>(is_scratch: bool, make: impl FnOnce() -> T) -> T {
    /// Puts back what was, also when `make` panics.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            IS_SCRATCH.set(self.0);
        }
    }
    let _before = Before(IS_SCRATCH.replace(is_scratch));
    make()
}

/// The source of memory for a buffer that is made now, and whether it is that for results.
fn source() -> (Option<&'static LargeSource>, bool) {
    match RESULT_SOURCE.get() {
        Some(source) if !IS_SCRATCH.get() => (Some(source), true),
        _ => (LARGE_SOURCE.get(), false),
    }
}

/// What a buffer's bytes lie in.
enum Memory {
    Heap(Box<[Line]>),
    Large(Box<dyn LargeMemory>),
    /// Of the source for results.
    Result(Box<dyn LargeMemory>),
}

impl Memory {
    fn len(&self) -> usize {
        self.bytes().len()
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Memory::Heap(lines) => bytemuck::cast_slice(lines),
            Memory::Large(memory) | Memory::Result(memory) => memory.bytes(),
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Memory::Heap(lines) => bytemuck::cast_slice_mut(lines),
            Memory::Large(memory) | Memory::Result(memory) => memory.bytes_mut(),
        }
    }

    fn is_reusable(&self) -> bool {
        match self {
            Memory::Heap(_) => true,
            Memory::Large(memory) | Memory::Result(memory) => memory.is_reusable(),
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Memory::Heap(Box::default())
    }
}

/// Bytes at an aligned address that can be written.
///
/// Chunks of an array are of one size, and come and go many times a second; memory fresh from the system costs a page
/// fault for each 4 KiB. So large buffers are kept when they are freed, for the next one of the same size.
pub(crate) struct Buffer {
    memory: Memory,
    len: usize,
}

/// Freed buffers, the latest last.
static SPARE: Mutex<Spare> = Mutex::new(Spare {
    buffers: Vec::new(),
    bytes: 0,
    bytes_max: SPARE_BYTES_MAX,
});

/// Lets the process keep at most so many bytes of freed buffers for reuse: a part of what it may use at all. It never
/// keeps more than [`SPARE_BYTES_MAX`].
pub fn limit_spare_bytes(bytes_max: usize) {
    let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
    spare.bytes_max = bytes_max.min(SPARE_BYTES_MAX);
    let freed = spare.shrink();
    drop(spare);
    drop(freed);
}

struct Spare {
    buffers: Vec<Memory>,
    bytes: usize,
    bytes_max: usize,
}

impl Spare {
    fn take(&mut self, bytes: usize, is_result: bool) -> Option<Memory> {
        let fits =
            |buffer: &Memory| buffer.len() == bytes && matches!(buffer, Memory::Result(_)) == is_result;
        let at = self.buffers.iter().rposition(fits)?;
        self.bytes -= bytes;
        Some(self.buffers.remove(at))
    }

    /// Keeps a buffer, and gives up the oldest ones for it; returns those, to be freed without the lock.
    fn keep(&mut self, buffer: Memory) -> Vec<Memory> {
        self.bytes += buffer.len();
        self.buffers.push(buffer);
        self.shrink()
    }

    fn shrink(&mut self) -> Vec<Memory> {
        let mut freed = Vec::new();
        while self.bytes > self.bytes_max || self.buffers.len() > SPARE_COUNT_MAX {
            let oldest = self.buffers.remove(0);
            self.bytes -= oldest.len();
            freed.push(oldest);
        }
        freed
    }
}

fn is_kept(bytes: usize) -> bool {
    (LARGE_BYTES_MIN..=SPARE_BYTES_MAX).contains(&bytes)
}

fn spare(bytes: usize) -> Option<Memory> {
    // Small ones, which are many, never wait for the lock.
    if !is_kept(bytes) {
        return None;
    }
    SPARE
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take(bytes, source().1)
}

impl Buffer {
    pub(crate) fn zeroed(len: usize) -> Result<Self, KernelError> {
        let bytes = memory_len(len)?;
        if let Some(mut memory) = spare(bytes) {
            memory.bytes_mut()[..len].fill(0);
            return Ok(Self { memory, len });
        }
        Self::fresh(len)
    }

    /// Bytes of any value, for who writes all of them.
    pub(crate) fn for_overwrite(len: usize) -> Result<Self, KernelError> {
        let mut made = match spare(memory_len(len)?) {
            Some(memory) => Self { memory, len },
            None => Self::fresh(len)?,
        };
        if cfg!(debug_assertions) {
            // Who forgets some finds out.
            made.memory.bytes_mut().fill(0xA5);
        }
        Ok(made)
    }

    fn fresh(len: usize) -> Result<Self, KernelError> {
        let bytes = memory_len(len)?;
        let (large, is_result) = source();
        let large = large.filter(|_| bytes >= LARGE_BYTES_MIN);
        if let Some(memory) = large.and_then(|source| source(bytes)) {
            let memory = if is_result {
                Memory::Result(memory)
            } else {
                Memory::Large(memory)
            };
            return Ok(Self { memory, len });
        }
        let lines = bytemuck::try_zeroed_slice_box(bytes / ALIGN_BYTES).map_err(|()| too_large(len))?;
        let memory = Memory::Heap(lines);
        Ok(Self { memory, len })
    }

    /// A buffer of no bytes, which takes no memory.
    pub(crate) fn empty() -> Self {
        Self {
            memory: Memory::default(),
            len: 0,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.memory.bytes()[..self.len]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory.bytes_mut()[..self.len]
    }
}

/// Bytes of the memory that a buffer of so many takes: whole lines. Large ones that end with their task are of few lengths,
/// so that the next, which is as long or nearly, can have it: compressed chunks differ in length. What is never written of
/// it takes none.
fn memory_len(len: usize) -> Result<usize, KernelError> {
    if len as u64 > TENSOR_BYTES_MAX {
        return Err(too_large(len));
    }
    if len < LARGE_BYTES_MIN || !IS_SCRATCH.get() {
        return Ok(len.next_multiple_of(ALIGN_BYTES));
    }
    Ok(len.next_multiple_of(1 << (len.ilog2() - LENGTHS_LOG2)))
}

fn too_large(len: usize) -> KernelError {
    KernelError::TooLarge {
        bytes: len as u64,
        limit: TENSOR_BYTES_MAX,
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if is_kept(self.memory.len()) && self.memory.is_reusable() {
            let memory = std::mem::take(&mut self.memory);
            let freed = SPARE.lock().unwrap_or_else(PoisonError::into_inner).keep(memory);
            drop(freed);
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        ALIGN_BYTES, Buffer, IS_SCRATCH, LargeMemory, Memory, SPARE_BYTES_MAX, SPARE_COUNT_MAX, Spare,
        as_scratch, with_scratch,
    };

    #[test]
    fn zeroed_memory_is_zero_also_when_it_was_used_before() {
        for _ in 0..3 {
            let mut buffer = Buffer::zeroed(3 << 20).unwrap();
            assert!(buffer.bytes().iter().all(|&byte| byte == 0));
            buffer.bytes_mut().fill(7);
        }
    }

    #[test]
    fn results_and_what_is_between_have_memory_of_their_own() {
        struct Shown(Vec<u8>);
        impl LargeMemory for Shown {
            fn bytes(&self) -> &[u8] {
                &self.0
            }
            fn bytes_mut(&mut self) -> &mut [u8] {
                &mut self.0
            }
            fn is_reusable(&self) -> bool {
                true
            }
        }
        let bytes = 5 * ALIGN_BYTES;
        let mut spare = Spare {
            buffers: Vec::new(),
            bytes: 0,
            bytes_max: SPARE_BYTES_MAX,
        };
        spare.keep(Memory::Result(Box::new(Shown(vec![0; bytes]))));
        assert!(spare.take(bytes, false).is_none(), "scratch needs none of it");
        spare.keep(Memory::Large(Box::new(Shown(vec![0; bytes]))));
        assert!(matches!(spare.take(bytes, false), Some(Memory::Large(_))));
        assert!(spare.take(bytes, false).is_none());
        assert!(matches!(spare.take(bytes, true), Some(Memory::Result(_))));
        assert_eq!(spare.bytes, 0);
    }

    #[test]
    fn large_scratch_is_of_few_lengths_and_results_are_as_long_as_they_are() {
        use super::{LARGE_BYTES_MIN, memory_len};
        assert_eq!(memory_len(1_601_536).unwrap(), 1_601_536);
        as_scratch(|| {
            assert_eq!(memory_len(1_601_536).unwrap(), 13 << 17);
            assert_eq!(memory_len(1_622_016).unwrap(), 13 << 17);
            assert_eq!(memory_len(8 << 20).unwrap(), 8 << 20);
            assert_eq!(memory_len(LARGE_BYTES_MIN - 1).unwrap(), LARGE_BYTES_MIN);
            for len in [LARGE_BYTES_MIN, LARGE_BYTES_MIN + 1, 1_000_001, (1 << 30) - 1] {
                let bytes = memory_len(len).unwrap();
                assert!(
                    bytes >= len && bytes - len <= len / 8 && bytes.is_multiple_of(ALIGN_BYTES),
                    "{len}: {bytes}"
                );
            }
        });
    }

    #[test]
    fn scratch_ends_with_what_is_made_also_by_a_panic() {
        as_scratch(|| {
            assert!(IS_SCRATCH.get());
            with_scratch(false, || assert!(!IS_SCRATCH.get()));
            assert!(IS_SCRATCH.get());
        });
        assert!(!IS_SCRATCH.get());
        let _panicked = std::panic::catch_unwind(|| as_scratch(|| panic!("on purpose")));
        assert!(!IS_SCRATCH.get());
    }

    #[test]
    fn what_is_kept_is_bounded_in_bytes_and_number() {
        let memory = |bytes: usize| std::mem::take(&mut Buffer::fresh(bytes).unwrap().memory);
        let mut spare = Spare {
            buffers: Vec::new(),
            bytes: 0,
            bytes_max: SPARE_BYTES_MAX,
        };
        let mut freed = 0;
        for _ in 0..SPARE_COUNT_MAX + 5 {
            freed += spare.keep(memory(ALIGN_BYTES)).len();
        }
        assert_eq!(freed, 5);
        assert_eq!(spare.bytes, SPARE_COUNT_MAX * ALIGN_BYTES);
        spare.keep(memory(SPARE_BYTES_MAX));
        assert!(spare.bytes <= SPARE_BYTES_MAX);
        assert!(spare.take(1, false).is_none());
        assert!(spare.take(SPARE_BYTES_MAX, false).is_some());
        assert_eq!(spare.bytes, 0);
    }
}
