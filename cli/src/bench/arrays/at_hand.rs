//! Memory that the system has before a program is measured.

use std::fs;

use graticule_kernel::{SPARE_BYTES_MAX, TensorMut};
use graticule_plan::DType;

/// What is written once, and let go, in parts that are too large to be kept.
const BYTES: usize = 3 << 30;
const PART_BYTES: usize = SPARE_BYTES_MAX * 2;
/// The least write that has a page be there.
const PAGE_BYTES: usize = 4096;

/// Has the system hold free memory: the host of a virtual machine takes back what was free for a few seconds, and gives it
/// again at a millisecond a MiB, for which whoever ran first would pay. Where that would be half of what is free or more,
/// nothing is done.
///
/// # Errors
/// If there is less memory than the system said.
pub(super) fn have_memory() -> anyhow::Result<()> {
    if available_bytes().is_none_or(|available| available < 2 * BYTES as u64) {
        return Ok(());
    }
    #[cfg(target_os = "linux")]
    graticule_transfer::map_large_buffers();
    let mut held = Vec::new();
    for _ in 0..BYTES / PART_BYTES {
        let mut part = TensorMut::zeros(DType::UInt8, &[PART_BYTES])?;
        let pages = part.bytes_mut().iter_mut().step_by(PAGE_BYTES);
        pages.for_each(|byte| *byte = 1);
        held.push(part);
    }
    Ok(())
}

fn available_bytes() -> Option<u64> {
    let memory = fs::read_to_string("/proc/meminfo").ok()?;
    let line = memory.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
