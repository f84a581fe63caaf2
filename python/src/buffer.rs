//! Elements that NumPy looks at without a copy.

use std::{ffi::c_int, ptr};

use graticule_kernel::{Tensor, TensorMut};
use pyo3::{exceptions::PyBufferError, ffi, prelude::*};

/// The elements of an array, as bytes in C order.
///
/// Results of `compute` may be written, since nobody else has them; blocks that a function is lent may not.
#[pyclass(frozen, module = "graticule._graticule")]
pub(crate) struct Buffer {
    elements: Elements,
    dtype: &'static str,
    shape: Vec<usize>,
    /// Where the first byte lies, and how many there are.
    address: usize,
    len: usize,
}

enum Elements {
    /// Shared; never written.
    Lent { _tensor: Tensor },
    /// Of this buffer alone.
    Own { _tensor: TensorMut },
}

impl Buffer {
    pub(crate) fn lent(tensor: &Tensor) -> Self {
        let bytes = tensor.bytes();
        Self {
            dtype: tensor.dtype().name(),
            shape: tensor.shape().to_vec(),
            address: bytes.as_ptr().expose_provenance(),
            len: bytes.len(),
            elements: Elements::Lent {
                _tensor: tensor.clone(),
            },
        }
    }

    pub(crate) fn own(mut tensor: TensorMut) -> Self {
        let bytes = tensor.bytes_mut();
        let (address, len) = (bytes.as_mut_ptr().expose_provenance(), bytes.len());
        Self {
            dtype: tensor.dtype().name(),
            shape: tensor.shape().to_vec(),
            address,
            len,
            elements: Elements::Own { _tensor: tensor },
        }
    }
}

#[pymethods]
impl Buffer {
    /// The elements' dtype, by NumPy's name.
    #[getter]
    fn dtype(&self) -> &'static str {
        self.dtype
    }

    /// Elements along each axis.
    #[getter]
    fn shape(&self) -> Vec<usize> {
        self.shape.clone()
    }

    fn __len__(&self) -> usize {
        self.len
    }

    // SAFETY: what is called from Python gives a view to fill; see `PyBuffer_FillInfo`.
    #[allow(unsafe_code)]
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let this = slf.get();
        let readonly = c_int::from(matches!(this.elements, Elements::Lent { .. }));
        let (len, address) = (this.len as ffi::Py_ssize_t, this.address);
        // SAFETY: the interpreter gives a view that may be written, and the object that it will refer to; the bytes live as long as
        // that object, at one place, since tensors do not move their elements. Those of a lent tensor are given as read-only; those of
        // an own one are seen by nobody but the views of this object, as with any buffer of Python's.
        let filled = unsafe {
            ffi::PyBuffer_FillInfo(
                view,
                slf.as_ptr(),
                ptr::with_exposed_provenance_mut(address),
                len,
                readonly,
                flags,
            )
        };
        if filled == 0 {
            return Ok(());
        }
        let error = PyErr::take(slf.py());
        Err(error.unwrap_or_else(|| PyBufferError::new_err("these elements are read-only")))
    }
}
