use std::sync::{Mutex, PoisonError};

use bytemuck::{Pod, Zeroable};

use crate::KernelError;

/// Where every buffer that this crate allocates begins: at a multiple of this many bytes.
pub const ALIGN_BYTES: usize = 64;

/// The most bytes of one tensor.
pub const TENSOR_BYTES_MAX: u64 = 1 << 36;

/// The most bytes of freed buffers that are kept for reuse, in the whole process; see [`limit_spare_bytes`].
pub const SPARE_BYTES_MAX: usize = 256 << 20;

/// Buffers smaller than this are left to the allocator, which keeps them itself.
const SPARE_BYTES_MIN: usize = 1 << 20;

/// The most freed buffers that are kept, so that a search among them is short.
const SPARE_COUNT_MAX: usize = 64;

/// One cache line; its alignment is what it is for.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; ALIGN_BYTES]);

/// Bytes at an aligned address that can be written.
///
/// Chunks of an array are of one size, and come and go many times a second; memory fresh from the system costs a page
/// fault for each 4 KiB. So large buffers are kept when they are freed, for the next one of the same size.
pub(crate) struct Buffer {
    lines: Box<[Line]>,
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
    buffers: Vec<Box<[Line]>>,
    bytes: usize,
    bytes_max: usize,
}

impl Spare {
    fn take(&mut self, lines: usize) -> Option<Box<[Line]>> {
        let at = self.buffers.iter().rposition(|buffer| buffer.len() == lines)?;
        self.bytes -= lines * ALIGN_BYTES;
        Some(self.buffers.remove(at))
    }

    /// Keeps a buffer, and gives up the oldest ones for it; returns those, to be freed without the lock.
    fn keep(&mut self, buffer: Box<[Line]>) -> Vec<Box<[Line]>> {
        self.bytes += size_of_val(&*buffer);
        self.buffers.push(buffer);
        self.shrink()
    }

    fn shrink(&mut self) -> Vec<Box<[Line]>> {
        let mut freed = Vec::new();
        while self.bytes > self.bytes_max || self.buffers.len() > SPARE_COUNT_MAX {
            let oldest = self.buffers.remove(0);
            self.bytes -= size_of_val(&*oldest);
            freed.push(oldest);
        }
        freed
    }
}

fn is_kept(lines: usize) -> bool {
    (SPARE_BYTES_MIN..=SPARE_BYTES_MAX).contains(&(lines * ALIGN_BYTES))
}

fn spare(lines: usize) -> Option<Box<[Line]>> {
    // Small ones, which are many, never wait for the lock.
    if !is_kept(lines) {
        return None;
    }
    SPARE.lock().unwrap_or_else(PoisonError::into_inner).take(lines)
}

impl Buffer {
    pub(crate) fn zeroed(len: usize) -> Result<Self, KernelError> {
        let lines = line_count(len)?;
        if let Some(mut lines) = spare(lines) {
            lines.fill(Line::zeroed());
            return Ok(Self { lines, len });
        }
        Self::fresh(lines, len)
    }

    /// Bytes of any value, for who writes all of them.
    pub(crate) fn for_overwrite(len: usize) -> Result<Self, KernelError> {
        let lines = line_count(len)?;
        let mut made = match spare(lines) {
            Some(lines) => Self { lines, len },
            None => Self::fresh(lines, len)?,
        };
        if cfg!(debug_assertions) {
            // Who forgets some finds out.
            made.lines.fill(Line([0xA5; ALIGN_BYTES]));
        }
        Ok(made)
    }

    fn fresh(lines: usize, len: usize) -> Result<Self, KernelError> {
        let lines = bytemuck::try_zeroed_slice_box(lines).map_err(|()| too_large(len))?;
        Ok(Self { lines, len })
    }

    /// A buffer of no bytes, which takes no memory.
    pub(crate) fn empty() -> Self {
        Self {
            lines: Box::default(),
            len: 0,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

fn line_count(len: usize) -> Result<usize, KernelError> {
    if len as u64 > TENSOR_BYTES_MAX {
        return Err(too_large(len));
    }
    Ok(len.div_ceil(ALIGN_BYTES))
}

fn too_large(len: usize) -> KernelError {
    KernelError::TooLarge {
        bytes: len as u64,
        limit: TENSOR_BYTES_MAX,
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if is_kept(self.lines.len()) {
            let lines = std::mem::take(&mut self.lines);
            let freed = SPARE.lock().unwrap_or_else(PoisonError::into_inner).keep(lines);
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
    use super::{ALIGN_BYTES, Buffer, SPARE_BYTES_MAX, SPARE_COUNT_MAX, Spare, line_count};

    #[test]
    fn zeroed_memory_is_zero_also_when_it_was_used_before() {
        for _ in 0..3 {
            let mut buffer = Buffer::zeroed(3 << 20).unwrap();
            assert!(buffer.bytes().iter().all(|&byte| byte == 0));
            buffer.bytes_mut().fill(7);
        }
    }

    #[test]
    fn what_is_kept_is_bounded_in_bytes_and_number() {
        let lines = |bytes: usize| Buffer::fresh(line_count(bytes).unwrap(), bytes).unwrap();
        let mut spare = Spare {
            buffers: Vec::new(),
            bytes: 0,
            bytes_max: SPARE_BYTES_MAX,
        };
        let mut freed = 0;
        for _ in 0..SPARE_COUNT_MAX + 5 {
            freed += spare.keep(std::mem::take(&mut lines(ALIGN_BYTES).lines)).len();
        }
        assert_eq!(freed, 5);
        assert_eq!(spare.bytes, SPARE_COUNT_MAX * ALIGN_BYTES);
        spare.keep(std::mem::take(&mut lines(SPARE_BYTES_MAX).lines));
        assert!(spare.bytes <= SPARE_BYTES_MAX);
        assert!(spare.take(1).is_none());
        assert!(spare.take(SPARE_BYTES_MAX / ALIGN_BYTES).is_some());
        assert_eq!(spare.bytes, 0);
    }
}
