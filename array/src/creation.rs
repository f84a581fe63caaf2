//! Arrays made of nothing, of given elements, of files, or of held results.

use std::sync::Arc;

use graticule_ops::{ArraySource, AxisSelection, BinaryOp, Complex, InlineArray, Scalar, encode_table};
use graticule_plan::{AxisChunks, ChunkGrid, DType, Digest, Key};

use crate::{
    Array, ArrayError, Chunks, Operand, binary,
    expression::{Op, SourceTable},
    infer::tidy_grid,
};

/// Raster files are mostly tiled by 256 or 512 pixels; a header that says so is read by the workers alone.
const RASTER_TILE: u64 = 512;

/// A Rust number that is an array element.
pub trait Element: Copy {
    /// The dtype of the same name.
    const DTYPE: DType;

    /// Appends the number's little-endian bytes.
    fn write(self, bytes: &mut Vec<u8>);

    /// The number as a typed scalar.
    fn scalar(self) -> Scalar;
}

macro_rules! elements {
    ($($number:ty => $name:ident),*) => {$(
        impl Element for $number {
            const DTYPE: DType = DType::$name;

            fn write(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }

            fn scalar(self) -> Scalar {
                Scalar::$name(self)
            }
        }
    )*};
}

elements!(i8 => Int8, i16 => Int16, i32 => Int32, i64 => Int64, u8 => UInt8, u16 => UInt16, u32 => UInt32,
    u64 => UInt64, f32 => Float32, f64 => Float64);

macro_rules! complex_elements {
    ($($real:ty => $name:ident),*) => {$(
        impl Element for Complex<$real> {
            const DTYPE: DType = DType::$name;

            fn write(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.re.to_le_bytes());
                bytes.extend_from_slice(&self.im.to_le_bytes());
            }

            fn scalar(self) -> Scalar {
                Scalar::$name(self)
            }
        }
    )*};
}

complex_elements!(f32 => Complex64, f64 => Complex128);

impl Element for bool {
    const DTYPE: DType = DType::Bool;

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(self));
    }

    fn scalar(self) -> Scalar {
        Scalar::Bool(self)
    }
}

impl Array {
    /// An array of the given elements, in C order, which travel with the plan.
    ///
    /// # Errors
    /// [`ArrayError::DataLength`] if there are not as many elements as `shape` asks for; as [`Array::rechunk`] for
    /// `chunks`.
    pub fn from_slice<T: Element>(shape: &[u64], chunks: &[Chunks], data: &[T]) -> Result<Array, ArrayError> {
        let mut bytes = Vec::with_capacity(std::mem::size_of_val(data));
        data.iter().for_each(|element| element.write(&mut bytes));
        Self::from_bytes(T::DTYPE, shape, chunks, bytes)
    }

    /// As [`Array::from_slice`], of little-endian bytes; a boolean is a byte 0 or 1.
    ///
    /// # Errors
    /// As [`Array::from_slice`].
    pub fn from_bytes(
        dtype: DType,
        shape: &[u64],
        chunks: &[Chunks],
        data: Vec<u8>,
    ) -> Result<Array, ArrayError> {
        let grid = grid_of_chunks(shape, chunks, dtype)?;
        let size = dtype.size_bytes();
        if grid.element_count().checked_mul(size) != Some(data.len() as u64) {
            return Err(ArrayError::DataLength {
                got: data.len() as u64 / size,
                shape: shape.to_vec(),
            });
        }
        Self::from_source(
            &ArraySource::Inline(InlineArray {
                dtype,
                shape: shape.to_vec(),
                data,
            }),
            dtype,
            &grid,
        )
    }

    /// An array that lies outside the cluster, read in the chunks of `grid`.
    ///
    /// `dtype` is that of the elements as they come out of the read.
    ///
    /// # Errors
    /// [`ArrayError::SourceShape`] if `grid` is not of the source's shape, [`ArrayError::SourceDType`] if a source that
    /// converts nothing holds another dtype.
    pub fn from_source(source: &ArraySource, dtype: DType, grid: &ChunkGrid) -> Result<Array, ArrayError> {
        let (want, stored) = match source {
            ArraySource::Inline(inline) => (inline.shape.clone(), Some(inline.dtype)),
            ArraySource::Zarr(zarr) => (zarr.shape.clone(), Some(zarr.dtype)),
            ArraySource::Raster(stack) => {
                let times = stack.slots.len() as u64 / stack.band_count.max(1);
                (
                    vec![times, stack.band_count, stack.grid.height, stack.grid.width],
                    None,
                )
            }
        };
        if let Some(got) = stored.filter(|stored| *stored != dtype) {
            return Err(ArrayError::SourceDType { got, want: dtype });
        }
        if grid.shape() != want {
            return Err(ArrayError::SourceShape {
                got: grid.shape(),
                want,
            });
        }
        let tile = match source {
            ArraySource::Inline(_) => vec![1; want.len()],
            ArraySource::Zarr(zarr) => zarr.chunks.iter().map(|&chunk| chunk.max(1)).collect(),
            ArraySource::Raster(_) => vec![1, 1, RASTER_TILE, RASTER_TILE],
        };
        let bytes: Arc<[u8]> = encode_table(source).into();
        let is_inline = matches!(source, ArraySource::Inline(_));
        let digest = Digest::of(&bytes);
        let table = SourceTable {
            digest,
            bytes,
            tile,
            item_bytes: dtype.size_bytes(),
            is_inline,
        };
        let selection = want.iter().map(|&len| AxisSelection::whole(len)).collect();
        Ok(Array::new(
            Op::Source {
                table: Arc::new(table),
                selection,
            },
            vec![],
            dtype,
            tidy_grid(grid),
        ))
    }

    /// A result that the cluster holds under `key`, in the chunks in which it is held.
    pub fn held(key: Key, grid: &ChunkGrid, dtype: DType) -> Array {
        Array::new(Op::Held(key), vec![], dtype, grid.clone()).with_grid(&tidy_grid(grid))
    }

    /// An array of one value.
    ///
    /// # Errors
    /// As [`Array::rechunk`] for `chunks`.
    pub fn full(shape: &[u64], chunks: &[Chunks], value: Scalar) -> Result<Array, ArrayError> {
        let grid = grid_of_chunks(shape, chunks, value.dtype())?;
        Ok(Self::full_grid(&grid, value))
    }

    /// An array of zeros.
    ///
    /// # Errors
    /// As [`Array::full`].
    pub fn zeros(shape: &[u64], chunks: &[Chunks], dtype: DType) -> Result<Array, ArrayError> {
        Self::full(shape, chunks, small(0, dtype))
    }

    /// An array of ones.
    ///
    /// # Errors
    /// As [`Array::full`].
    pub fn ones(shape: &[u64], chunks: &[Chunks], dtype: DType) -> Result<Array, ArrayError> {
        Self::full(shape, chunks, small(1, dtype))
    }

    /// One number, as a 0-dimensional array; not weak.
    pub fn scalar(value: Scalar) -> Array {
        let grid = ChunkGrid::new(vec![]).expect("no axes are few enough");
        Array::new(Op::Constant(value), vec![], value.dtype(), grid)
    }

    /// `start`, `start + step`, and so on before `stop`: as NumPy's `arange`, to the bit.
    ///
    /// `dtype` is an integer, a float, or complex with imaginary parts of 0.
    ///
    /// # Errors
    /// [`ArrayError::Arange`] for a step of 0 or numbers that are not finite; as [`Array::rechunk`] for `chunks`.
    pub fn arange(
        start: f64,
        stop: f64,
        step: f64,
        dtype: DType,
        chunks: Chunks,
    ) -> Result<Array, ArrayError> {
        if dtype.is_complex() {
            return Self::arange(start, stop, step, dtype.real(), chunks)?.astype(dtype);
        }
        let len = ((stop - start) / step).ceil();
        if !(start.is_finite() && step.is_finite() && len.is_finite()) || step == 0.0 || len > i64::MAX as f64
        {
            return Err(ArrayError::Arange { start, stop, step });
        }
        let grid = grid_of_chunks(&[len.max(0.0) as u64], &[chunks], dtype)?;
        if !dtype.is_float() {
            // NumPy fills integers by the difference of the first two values, both cut off first.
            let first = start as i64;
            let op = Op::Arange {
                start: first,
                step: (start + step) as i64 - first,
            };
            return Ok(Array::new(op, vec![], dtype, grid));
        }
        // Of float16 the first two are rounded, and the others follow from them in float32.
        let wide = if dtype == DType::Float16 {
            DType::Float32
        } else {
            dtype
        };
        let counter =
            Array::new(Op::Arange { start: 0, step: 1 }, vec![], DType::Int64, grid).astype(wide)?;
        let number = |value: f64, dtype| Scalar::from_float(value, dtype).expect("a float dtype");
        let [first, second] = [start, start + step].map(|value| number(value, dtype).as_f64());
        let difference = match wide {
            DType::Float32 => Scalar::Float32(second as f32 - first as f32),
            _ => Scalar::Float64(second - first),
        };
        let scaled = binary(BinaryOp::Multiply, &counter, Operand::Typed(difference))?;
        binary(BinaryOp::Add, Operand::Typed(number(first, wide)), &scaled)?.astype(dtype)
    }

    /// 0, 1, and so on along an axis that is cut so.
    pub(crate) fn counter(chunks: &AxisChunks) -> Array {
        let op = Op::Arange { start: 0, step: 1 };
        Array::new(
            op,
            vec![],
            DType::Int64,
            crate::infer::grid_of(vec![chunks.clone()]),
        )
    }

    pub(crate) fn full_grid(grid: &ChunkGrid, value: Scalar) -> Array {
        let op = if grid.ndim() == 0 {
            Op::Constant(value)
        } else {
            Op::Full(value)
        };
        Array::new(op, vec![], value.dtype(), grid.clone())
    }
}

/// 0 or 1, which every dtype holds.
pub(crate) fn small(value: i128, dtype: DType) -> Scalar {
    Scalar::from_int(value, dtype).expect("every dtype holds 0 and 1")
}

pub(crate) fn grid_of_chunks(
    shape: &[u64],
    chunks: &[Chunks],
    dtype: DType,
) -> Result<ChunkGrid, ArrayError> {
    let whole = ChunkGrid::new(shape.iter().map(|&len| AxisChunks::whole(len)).collect())?;
    let cut = Array::full_grid(&whole, small(0, dtype)).rechunk(chunks)?;
    Ok(cut.chunks().clone())
}
