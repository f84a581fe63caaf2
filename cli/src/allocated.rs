//! What each thread has allocated: the benchmarks tell from it what a structure takes. And what the system's allocator
//! does with memory that is freed: it gives it back.
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

// SAFETY: every call is passed on to the system's allocator as it is; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller keeps to the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller keeps to the contract.
        unsafe { System.alloc_zeroed(layout) }
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
