//! Arrays that lie in this process's memory: for a cluster in this process nothing is copied until a block is asked for, to the
//! workers of another they are sent.
//!
//! The expression names the array by a number and keeps it alive. What the plan carries is that number alone, where an array that
//! travels with its plan would be decoded by each of its tasks.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use graticule_array::{BlockFunction, BlockLen, MapBlocks, map_blocks};
use graticule_client::{BlockCall, Chunk, FunctionError, ScatterOptions};
use graticule_kernel::{Tensor, TensorMut};
use pyo3::{buffer::PyBuffer, prelude::*};

use crate::{
    cluster::Cluster,
    convert::{Lengths, Named},
    error::Failure,
    expression::Made,
    wait::wait,
};

/// The name under which workers of this process know it.
pub(crate) const NAME: &str = "graticule.memory";

static ARRAYS: Mutex<Arrays> = Mutex::new(Arrays {
    next: 0,
    tensors: BTreeMap::new(),
});

struct Arrays {
    next: u64,
    tensors: BTreeMap<u64, Weak<Held>>,
}

/// An array that expressions keep.
struct Held {
    number: u64,
    tensor: Tensor,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut arrays = ARRAYS.lock().unwrap_or_else(PoisonError::into_inner);
        arrays.tensors.remove(&self.number);
    }
}

/// The bytes of a buffer of Python's.
struct Lent(PyBuffer<u8>);

impl AsRef<[u8]> for Lent {
    #[allow(unsafe_code)]
    fn as_ref(&self) -> &[u8] {
        let len = self.0.len_bytes();
        if len == 0 {
            return &[];
        }
        // SAFETY: whoever exports a buffer keeps its memory where it is until the buffer is released, which this owner does when it
        // is dropped. The buffer is contiguous (checked as it is taken) and of bytes, of which every value is one. That its owner
        // writes into it while a block is copied gives a mixture of old and new bytes, as with any view of NumPy's.
        unsafe { std::slice::from_raw_parts(self.0.buf_ptr().cast::<u8>(), len) }
    }
}

/// A lazy array of the bytes of a contiguous buffer, which are read when it is computed, in this process alone.
#[pyfunction]
pub(crate) fn from_memory(dtype: Named, shape: Vec<usize>, chunks: Lengths, data: &Bound<'_, PyAny>) -> Made {
    let buffer = PyBuffer::<u8>::get(data)?;
    if !buffer.is_c_contiguous() {
        return Err(Failure::value("the elements do not lie in one piece"));
    }
    let tensor = Tensor::from_bytes(dtype.0, &shape, bytes_of(buffer))?;
    let mut arrays = ARRAYS.lock().unwrap_or_else(PoisonError::into_inner);
    let number = arrays.next;
    arrays.next += 1;
    let held = Arc::new(Held { number, tensor });
    arrays.tensors.insert(number, Arc::downgrade(&held));
    drop(arrays);
    let function = BlockFunction::new(NAME)
        .payload(number.to_le_bytes())
        .scratch_bytes(0);
    let lengths: Vec<BlockLen> = chunks.into_iter().map(BlockLen::Lengths).collect();
    let array = map_blocks(&function, &[], &MapBlocks::new(dtype.0).chunks(lengths))?;
    Ok(array.keeping(held).into())
}

/// An array of the bytes of a contiguous buffer, which have gone into the memory of a cluster's workers when this returns.
#[pyfunction]
pub(crate) fn scatter_array(
    py: Python<'_>,
    cluster: &Cluster,
    dtype: Named,
    shape: Vec<usize>,
    chunk_len: usize,
    copies: u32,
    data: &Bound<'_, PyAny>,
) -> Made {
    let buffer = PyBuffer::<u8>::get(data)?;
    if !buffer.is_c_contiguous() {
        return Err(Failure::value("the elements do not lie in one piece"));
    }
    let tensor = Tensor::from_bytes(dtype.0, &shape, bytes_of(buffer))?;
    let client = cluster.client()?;
    let options = ScatterOptions::new().replicas(copies);
    let array = wait(py, async move {
        client.scatter_array(&tensor, chunk_len, &options).await
    })?;
    Ok(array.into())
}

fn bytes_of(buffer: PyBuffer<u8>) -> bytes::Bytes {
    bytes::Bytes::from_owner(Lent(buffer))
}

/// Copies a block.
pub(crate) fn call(call: &BlockCall<'_>) -> Result<Chunk, FunctionError> {
    let number = <[u8; 8]>::try_from(call.payload()).map(u64::from_le_bytes)?;
    let arrays = ARRAYS.lock().unwrap_or_else(PoisonError::into_inner);
    let held = arrays.tensors.get(&number).and_then(Weak::upgrade);
    drop(arrays);
    let held = held.ok_or("the array is not in this process any more")?;
    let elements = call.place().axes().iter().map(|axis| axis.elements.start);
    let from = elements.map(usize::try_from).collect::<Result<Vec<_>, _>>()?;
    let shape = call.shape();
    let mut made = TensorMut::for_overwrite(held.tensor.dtype(), shape)?;
    made.copy_box(&vec![0; shape.len()], &held.tensor, &from, shape)?;
    Ok(made.freeze().into())
}
