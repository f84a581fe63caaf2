use std::{fmt, ops::Range, sync::Arc};

use bytes::Bytes;
use graticule_ops::Scalar;
use graticule_plan::DType;

use crate::{
    Element, KernelError, TENSOR_BYTES_MAX,
    buffer::Buffer,
    element::{are_bools, normalise_bools, with_element},
};

/// An array of one dtype in one piece of memory: C order, native endian, aligned, shared and never changed.
///
/// Cloning is cheap. Buffers made here begin at a multiple of [`ALIGN_BYTES`](crate::ALIGN_BYTES); one that wraps
/// foreign bytes is aligned for its elements at least. A boolean is a byte 0 or 1.
#[derive(Clone)]
pub struct Tensor {
    dtype: DType,
    shape: Arc<[usize]>,
    data: Bytes,
}

/// A tensor that is being written; [`freeze`](Self::freeze) makes it a [`Tensor`].
pub struct TensorMut {
    dtype: DType,
    shape: Arc<[usize]>,
    data: Buffer,
    /// Whether bytes were handed out for writing, so that booleans may be other than 0 and 1.
    is_raw: bool,
}

/// Elements and bytes of a tensor.
///
/// # Errors
/// [`KernelError::TooLarge`].
pub(crate) fn sizes(dtype: DType, shape: &[usize]) -> Result<(usize, usize), KernelError> {
    let count = shape.iter().try_fold(1usize, |all, &len| all.checked_mul(len));
    // A length of zero makes the tensor empty however long the other axes are.
    let count = if shape.contains(&0) { Some(0) } else { count };
    let bytes = count.and_then(|count| count.checked_mul(dtype.size_bytes() as usize));
    match (count, bytes) {
        (Some(count), Some(bytes)) if bytes as u64 <= TENSOR_BYTES_MAX => Ok((count, bytes)),
        _ => {
            let bytes = bytes.map_or(u64::MAX, |bytes| bytes as u64);
            Err(KernelError::TooLarge {
                bytes,
                limit: TENSOR_BYTES_MAX,
            })
        }
    }
}

struct VecOwner<T>(Vec<T>);

impl<T: Element> AsRef<[u8]> for VecOwner<T> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

impl Tensor {
    /// Takes over a vector, without a copy (of complex numbers: if it is aligned to whole ones).
    ///
    /// # Errors
    /// [`KernelError::Length`] if it has not as many elements as the shape.
    pub fn from_vec<T: Element>(shape: &[usize], values: Vec<T>) -> Result<Self, KernelError> {
        let (_, want) = sizes(T::DTYPE, shape)?;
        let got = size_of_val(values.as_slice());
        if want != got {
            return Err(length_error(T::DTYPE, shape, want, got));
        }
        let data = Bytes::from_owner(VecOwner(values));
        if T::DTYPE.is_complex() {
            // A vector of them is aligned to their parts alone.
            return Self::from_bytes(T::DTYPE, shape, data);
        }
        Ok(Self {
            dtype: T::DTYPE,
            shape: shape.into(),
            data,
        })
    }

    /// A 0-dimensional tensor.
    pub fn scalar(value: Scalar) -> Self {
        with_element!(value.dtype(), T => {
            let element = T::from_scalar(value).expect("of the scalar's own dtype");
            Self::from_vec(&[], vec![element]).expect("one element").labelled(value.dtype())
        })
    }

    /// Zeros.
    ///
    /// # Errors
    /// [`KernelError::TooLarge`].
    pub fn zeros(dtype: DType, shape: &[usize]) -> Result<Self, KernelError> {
        Ok(TensorMut::zeros(dtype, shape)?.freeze())
    }

    /// The same value everywhere.
    ///
    /// # Errors
    /// [`KernelError::TooLarge`].
    pub fn full(value: Scalar, shape: &[usize]) -> Result<Self, KernelError> {
        let mut made = TensorMut::zeros(value.dtype(), shape)?;
        with_element!(value.dtype(), T => {
            made.slice_mut::<T>().fill(T::from_scalar(value).expect("of the scalar's own dtype"));
        });
        Ok(made.freeze())
    }

    /// Bytes of a tensor of this dtype and shape.
    ///
    /// # Errors
    /// [`KernelError::TooLarge`].
    pub fn bytes_of(dtype: DType, shape: &[usize]) -> Result<usize, KernelError> {
        Ok(sizes(dtype, shape)?.1)
    }

    /// The same elements under another dtype of as many bytes, of whose elements they are.
    pub(crate) fn labelled(mut self, dtype: DType) -> Self {
        debug_assert_eq!(self.dtype.size_bytes(), dtype.size_bytes());
        self.dtype = dtype;
        self
    }

    /// Wraps native-endian bytes: without a copy if they are aligned, else with one.
    ///
    /// Booleans other than 0 and 1 become 1.
    ///
    /// # Errors
    /// [`KernelError::Length`] if their number does not fit; [`KernelError::TooLarge`].
    pub fn from_bytes(dtype: DType, shape: &[usize], data: Bytes) -> Result<Self, KernelError> {
        let (_, want) = sizes(dtype, shape)?;
        if want != data.len() {
            return Err(length_error(dtype, shape, want, data.len()));
        }
        let is_aligned = data.as_ptr().addr().is_multiple_of(dtype.size_bytes() as usize);
        if is_aligned && (dtype != DType::Bool || are_bools(&data)) {
            return Ok(Self {
                dtype,
                shape: shape.into(),
                data,
            });
        }
        let mut copy = TensorMut::for_overwrite(dtype, shape)?;
        copy.bytes_mut().copy_from_slice(&data);
        Ok(copy.freeze())
    }

    /// The dtype.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Elements along each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of axes.
    pub fn ndim(&self) -> usize {
        self.shape.len()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len() / self.dtype.size_bytes() as usize
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Bytes of the elements.
    pub fn nbytes(&self) -> u64 {
        self.data.len() as u64
    }

    /// The elements in C order, or `None` if they are of another dtype.
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        T::is_of(self.dtype).then(|| T::slice(&self.data))
    }

    /// The elements' bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.data
    }

    /// The elements' bytes as a shared handle, without a copy.
    pub fn to_bytes(&self) -> Bytes {
        self.data.clone()
    }

    /// A writable copy.
    ///
    /// # Errors
    /// [`KernelError::TooLarge`].
    pub fn to_mut(&self) -> Result<TensorMut, KernelError> {
        let mut copy = TensorMut::for_overwrite(self.dtype, &self.shape)?;
        copy.data.bytes_mut().copy_from_slice(&self.data);
        Ok(copy)
    }

    /// The same elements in another shape, without a copy.
    ///
    /// # Errors
    /// [`KernelError::Length`] if the shape has another number of elements.
    pub fn reshape(&self, shape: &[usize]) -> Result<Self, KernelError> {
        let (_, want) = sizes(self.dtype, shape)?;
        if want != self.data.len() {
            return Err(length_error(self.dtype, shape, want, self.data.len()));
        }
        Ok(Self {
            dtype: self.dtype,
            shape: shape.into(),
            data: self.data.clone(),
        })
    }

    /// The element at a flat position.
    ///
    /// # Panics
    /// If there is none.
    pub fn item(&self, position: usize) -> Scalar {
        with_element!(self.dtype, T => T::slice(&self.data)[position].to_scalar(self.dtype))
    }

    /// Elements of the shape that lie in one piece from the flat position `first` on, without a copy.
    ///
    /// # Panics
    /// If there are not as many.
    pub(crate) fn piece(&self, first: usize, shape: &[usize]) -> Self {
        let item = self.dtype.size_bytes() as usize;
        let count: usize = shape.iter().product();
        Self {
            dtype: self.dtype,
            shape: shape.into(),
            data: self.data.slice(first * item..(first + count) * item),
        }
    }

    /// The elements of a box: the tensor itself if it is the whole, a part of its buffer if they lie in one piece, a
    /// copy otherwise.
    ///
    /// # Errors
    /// [`KernelError::Window`] if the box is not within the tensor.
    pub fn region(&self, region: &[Range<u64>]) -> Result<Self, KernelError> {
        let fits = region.len() == self.ndim()
            && region
                .iter()
                .zip(&*self.shape)
                .all(|(r, &len)| r.start <= r.end && r.end <= len as u64);
        if !fits {
            return Err(KernelError::Window(format!(
                "region {region:?} of a chunk of shape {:?}",
                self.shape
            )));
        }
        let start: Vec<usize> = region.iter().map(|r| r.start as usize).collect();
        let shape: Vec<usize> = region.iter().map(|r| (r.end - r.start) as usize).collect();
        if shape[..] == self.shape[..] {
            return Ok(self.clone());
        }
        let mut out = TensorMut::for_overwrite(self.dtype, &shape)?;
        out.place(&vec![0; shape.len()], self, &start, &shape);
        Ok(out.freeze())
    }
}

fn length_error(dtype: DType, shape: &[usize], want: usize, got: usize) -> KernelError {
    KernelError::Length {
        dtype,
        shape: shape.to_vec(),
        want: want as u64,
        got: got as u64,
    }
}

impl TensorMut {
    /// Zeros to write over.
    ///
    /// # Errors
    /// [`KernelError::TooLarge`].
    pub fn zeros(dtype: DType, shape: &[usize]) -> Result<Self, KernelError> {
        let (_, bytes) = sizes(dtype, shape)?;
        Ok(Self {
            dtype,
            shape: shape.into(),
            data: Buffer::zeroed(bytes)?,
            is_raw: false,
        })
    }

    /// Elements of any value, for who writes all of them: quicker than zeros.
    ///
    /// # Errors
    /// [`KernelError::TooLarge`].
    pub fn for_overwrite(dtype: DType, shape: &[usize]) -> Result<Self, KernelError> {
        // Any byte is a number, but not a boolean.
        if dtype == DType::Bool {
            return Self::zeros(dtype, shape);
        }
        let (_, bytes) = sizes(dtype, shape)?;
        Ok(Self {
            dtype,
            shape: shape.into(),
            data: Buffer::for_overwrite(bytes)?,
            is_raw: false,
        })
    }

    /// The dtype.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Elements along each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements in C order, or `None` if they are of another dtype.
    pub fn as_mut_slice<T: Element>(&mut self) -> Option<&mut [T]> {
        T::is_of(self.dtype).then(|| self.slice_mut())
    }

    pub(crate) fn slice_mut<T: Element>(&mut self) -> &mut [T] {
        debug_assert!(T::is_of(self.dtype), "{} for {}", T::DTYPE, self.dtype);
        self.normalise();
        T::slice_mut(self.data.bytes_mut())
    }

    /// The elements' bytes, for writing. Booleans other than 0 and 1 become 1 later.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.is_raw = true;
        self.data.bytes_mut()
    }

    /// Bytes for writing by a caller of this crate, who keeps booleans 0 or 1.
    pub(crate) fn trusted_bytes_mut(&mut self) -> &mut [u8] {
        self.data.bytes_mut()
    }

    /// Copies the box of `source` that begins at `from` and has shape `shape` to the box that begins at `at`.
    ///
    /// # Errors
    /// [`KernelError::Window`] if dtypes differ or a box is not within its tensor.
    pub fn copy_box(
        &mut self,
        at: &[usize],
        source: &Tensor,
        from: &[usize],
        shape: &[usize],
    ) -> Result<(), KernelError> {
        let within = |start: &[usize], whole: &[usize]| {
            start.len() == whole.len()
                && shape.len() == whole.len()
                && start
                    .iter()
                    .zip(shape)
                    .zip(whole)
                    .all(|((s, n), w)| s.checked_add(*n).is_some_and(|e| e <= *w))
        };
        if self.dtype != source.dtype || !within(at, &self.shape) || !within(from, &source.shape) {
            let (have, want) = (&source.shape, &self.shape);
            return Err(KernelError::Window(format!(
                "box {shape:?} at {from:?} of {} {have:?} does not go to {at:?} of {} {want:?}",
                source.dtype, self.dtype
            )));
        }
        self.place(at, source, from, shape);
        Ok(())
    }

    /// [`copy_box`](Self::copy_box) of boxes known to fit.
    fn place(&mut self, at: &[usize], source: &Tensor, from: &[usize], shape: &[usize]) {
        if shape.contains(&0) {
            return;
        }
        let item = self.dtype.size_bytes() as usize;
        // Trailing axes that both boxes take whole are copied in one run.
        let mut run_axis = shape.len();
        let mut run = item;
        while run_axis > 0 {
            run_axis -= 1;
            run *= shape[run_axis];
            if shape[run_axis] != self.shape[run_axis] || shape[run_axis] != source.shape[run_axis] {
                break;
            }
        }
        let (to_strides, from_strides) = (strides(&self.shape), strides(&source.shape));
        let offset = |start: &[usize], strides: &[usize]| -> usize {
            start
                .iter()
                .zip(strides)
                .map(|(s, stride)| s * stride * item)
                .sum()
        };
        let (to_base, from_base) = (offset(at, &to_strides), offset(from, &from_strides));
        let target = self.data.bytes_mut();
        let mut index = vec![0; run_axis];
        loop {
            let to = to_base + offset(&index, &to_strides);
            let from = from_base + offset(&index, &from_strides);
            target[to..to + run].copy_from_slice(&source.data[from..from + run]);
            if !advance(&mut index, shape) {
                return;
            }
        }
    }

    /// Ends the writing, without a copy.
    pub fn freeze(mut self) -> Tensor {
        self.normalise();
        Tensor {
            dtype: self.dtype,
            shape: self.shape,
            data: Bytes::from_owner(self.data),
        }
    }

    fn normalise(&mut self) {
        if self.dtype == DType::Bool && std::mem::take(&mut self.is_raw) {
            normalise_bools(self.data.bytes_mut());
        }
    }
}

/// C order: elements from one to the next along each axis.
pub(crate) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
    }
    strides
}

/// Counts `index` up, last axis fastest; `false` after the last.
pub(crate) fn advance(index: &mut [usize], shape: &[usize]) -> bool {
    for (place, &len) in index.iter_mut().zip(shape).rev() {
        *place += 1;
        if *place < len {
            return true;
        }
        *place = 0;
    }
    false
}

impl PartialEq for Tensor {
    /// Same dtype, shape and bytes; so a NaN equals itself, and `-0.0` differs from `0.0`.
    fn eq(&self, other: &Self) -> bool {
        self.dtype == other.dtype && self.shape == other.shape && self.data == other.data
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_MAX: usize = 16;
        write!(f, "{} {:?} [", self.dtype, self.shape)?;
        for position in 0..self.len().min(SHOWN_MAX) {
            write!(
                f,
                "{}{}",
                if position > 0 { ", " } else { "" },
                self.item(position)
            )?;
        }
        write!(f, "{}]", if self.len() > SHOWN_MAX { ", …" } else { "" })
    }
}
