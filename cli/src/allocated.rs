//! What each thread has allocated: the benchmarks tell from it what a structure takes. And what the system's allocator
//! does with memory: much of it lies in huge pages, and what is freed is given back.
#![allow(unsafe_code)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

thread_local! {
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The system's allocator, which counts bytes for the thread that asks.
struct Counting;

/// Allocations from this size on are mappings of their own, which go back to the system when they are freed.
#[cfg(target_env = "gnu")]
const MAPPED_BYTES_MIN: i32 = 1 << 20;
/// Allocations from this size on shall lie in huge pages. They are mappings of their own, which no smaller one is in.
#[cfg(target_os = "linux")]
const HUGE_BYTES_MIN: usize = 4 << 20;
/// Whole pages of the usual size, whatever it is.
#[cfg(target_os = "linux")]
const PAGE_BYTES: usize = 64 << 10;
/// Places from which threads take memory; each keeps some that is free.
#[cfg(target_env = "gnu")]
const ARENAS_MAX: i32 = 4;

/// Has freed chunks go back to the system. Left alone, glibc keeps ever larger ones, once some were freed, for each of up
/// to eight arenas a CPU, and a worker would take far more than its memory. To be called before threads are started.
pub(crate) fn give_freed_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: these set three numbers of the allocator, and no other thread is there yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES_MIN);
        libc::mallopt(libc::M_TRIM_THRESHOLD, MAPPED_BYTES_MIN);
        libc::mallopt(libc::M_ARENA_MAX, ARENAS_MAX);
    }
}

/// Bytes that this thread has allocated and not freed; less than 0 if it freed what others allocated.
pub(crate) fn bytes() -> i64 {
    BYTES.with(Cell::get)
}

fn count(bytes: i64) {
    // A thread that ends may free memory after its counter is gone.
    let _ = BYTES.try_with(|counter| counter.set(counter.get() + bytes));
}

/// Asks the system to put large memory in huge pages: fresh memory costs a fault for each page, and a chunk has thousands of
/// the usual size.
fn in_huge_pages(memory: *mut u8, len: usize) {
    #[cfg(target_os = "linux")]
    if len >= HUGE_BYTES_MIN && !memory.is_null() {
        let start = memory.addr().next_multiple_of(PAGE_BYTES);
        let end = (memory.addr() + len) / PAGE_BYTES * PAGE_BYTES;
        // Without huge pages all goes on as before.
        // SAFETY: these are pages of the allocation, whose bytes stay as they are.
        let _ = unsafe { libc::madvise(memory.with_addr(start).cast(), end - start, libc::MADV_HUGEPAGE) };
    }
}

// SAFETY: every call is passed on to the system's allocator as it is; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller keeps to the contract.
        let memory = unsafe { System.alloc(layout) };
        in_huge_pages(memory, layout.size());
        memory
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller keeps to the contract.
        let memory = unsafe { System.alloc_zeroed(layout) };
        in_huge_pages(memory, layout.size());
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: the caller keeps to the contract.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64);
        // SAFETY: the caller keeps to the contract.
        unsafe { System.realloc(memory, layout, size) }
    }
}
