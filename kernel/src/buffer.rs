use bytemuck::{Pod, Zeroable};

use crate::KernelError;

/// Where every buffer that this crate allocates begins: at a multiple of this many bytes.
pub const ALIGN_BYTES: usize = 64;

/// The most bytes of one tensor.
pub const TENSOR_BYTES_MAX: u64 = 1 << 36;

/// One cache line; its alignment is what it is for.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; ALIGN_BYTES]);

/// Zeroed bytes at an aligned address that can be written.
pub(crate) struct Buffer {
    lines: Box<[Line]>,
    len: usize,
}

impl Buffer {
    pub(crate) fn zeroed(len: usize) -> Result<Self, KernelError> {
        let too_large = || KernelError::TooLarge {
            bytes: len as u64,
            limit: TENSOR_BYTES_MAX,
        };
        if len as u64 > TENSOR_BYTES_MAX {
            return Err(too_large());
        }
        let lines = bytemuck::try_zeroed_slice_box(len.div_ceil(ALIGN_BYTES)).map_err(|()| too_large())?;
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

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}
