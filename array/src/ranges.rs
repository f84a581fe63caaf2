//! Arrays made of nothing but numbers that follow a rule.

use graticule_ops::Scalar;
use graticule_plan::{ChunkGrid, DType, Kind};

use crate::{
    Array, ArrayError, Chunks, Index, Operand,
    creation::{grid_of_chunks, small},
    where_,
};

impl Array {
    /// `count` numbers from `start` to `stop`, which is the last one if `has_end`: NumPy's `linspace`, to the bit.
    ///
    /// They are computed as float64 and converted; for an integer dtype they are rounded down first.
    ///
    /// # Errors
    /// As [`Array::rechunk`] for `chunks`.
    pub fn linspace(
        start: f64,
        stop: f64,
        count: u64,
        has_end: bool,
        dtype: DType,
        chunks: Chunks,
    ) -> Result<Array, ArrayError> {
        let grid = grid_of_chunks(&[count], &[chunks], DType::Float64)?;
        let counter = Array::counter(&grid.axes()[0]);
        let steps = if has_end { count.saturating_sub(1) } else { count };
        let (distance, float) = (stop - start, counter.astype(DType::Float64)?);
        let step = distance / steps as f64;
        let scaled = match steps {
            0 => float.multiply(distance)?,
            // A step that is too small for a float is applied in two.
            _ if step == 0.0 => float.divide(steps as f64)?.multiply(distance)?,
            _ => float.multiply(step)?,
        };
        let mut made = scaled.add(start)?;
        if has_end && count > 1 {
            made = where_(counter.equal(Operand::typed(steps as i64))?, stop, made)?;
        }
        if matches!(dtype.kind(), Kind::Signed | Kind::Unsigned) {
            made = made.floor()?;
        }
        made.astype(dtype)
    }

    /// A matrix with ones on the `offset`-th diagonal, positive ones above the main one, and zeros elsewhere.
    ///
    /// # Errors
    /// As [`Array::rechunk`] for `chunks`.
    pub fn eye(
        rows: u64,
        columns: u64,
        offset: i64,
        chunks: &[Chunks],
        dtype: DType,
    ) -> Result<Array, ArrayError> {
        let (row, column) = Self::counters(rows, columns, offset, chunks, dtype)?;
        row.equal(column)?.astype(dtype)
    }

    /// The identity matrix.
    ///
    /// # Errors
    /// As [`Array::eye`].
    pub fn identity(len: u64, chunks: &[Chunks], dtype: DType) -> Result<Array, ArrayError> {
        Self::eye(len, len, 0, chunks, dtype)
    }

    /// A matrix with ones on and below the `offset`-th diagonal and zeros above.
    ///
    /// # Errors
    /// As [`Array::rechunk`] for `chunks`.
    pub fn tri(
        rows: u64,
        columns: u64,
        offset: i64,
        chunks: &[Chunks],
        dtype: DType,
    ) -> Result<Array, ArrayError> {
        let (row, column) = Self::counters(rows, columns, offset, chunks, dtype)?;
        row.greater_equal(column)?.astype(dtype)
    }

    /// The numbers of the rows plus `offset`, as a column, and those of the columns.
    fn counters(
        rows: u64,
        columns: u64,
        offset: i64,
        chunks: &[Chunks],
        dtype: DType,
    ) -> Result<(Array, Array), ArrayError> {
        let grid = grid_of_chunks(&[rows, columns], chunks, dtype)?;
        let row = Self::counter(&grid.axes()[0]).add(Operand::typed(offset))?;
        let row = row.slice(&[Index::Full, Index::NewAxis])?;
        Ok((row, Self::counter(&grid.axes()[1])))
    }

    /// A square matrix with this array's elements on the `offset`-th diagonal and zeros elsewhere.
    ///
    /// # Errors
    /// [`ArrayError::TooFewAxes`] if the array has not exactly one axis, [`ArrayError::Plan`] if the result is too large
    /// to count.
    pub fn diag(&self, offset: i64) -> Result<Array, ArrayError> {
        let [len] = self.shape()[..] else {
            return Err(ArrayError::TooFewAxes {
                operation: "diag of a line",
                needed: 1,
                ndim: self.ndim(),
            });
        };
        let outside = offset.unsigned_abs();
        let (above, left) = if offset < 0 { (outside, 0) } else { (0, outside) };
        // Each row has its element at the diagonal, and zeros elsewhere.
        let column = self.slice(&[Index::Full, Index::NewAxis])?;
        let row = Self::counter(&self.chunks().axes()[0]).slice(&[Index::Full, Index::NewAxis])?;
        let zero = Self::scalar(small(0, self.dtype()));
        let square = where_(row.equal(Self::counter(&self.chunks().axes()[0]))?, column, &zero)?;
        let zeros = |rows: u64, columns: u64| {
            let axes = [rows, columns].map(graticule_plan::AxisChunks::whole);
            Ok::<_, ArrayError>(Self::full_grid(
                &ChunkGrid::new(axes.to_vec())?,
                small(0, self.dtype()),
            ))
        };
        let wide = crate::concatenate(&[zeros(len, left)?, square, zeros(len, above)?], 1)?;
        crate::concatenate(
            &[zeros(above, len + outside)?, wide, zeros(left, len + outside)?],
            0,
        )
    }

    /// An array of one value with this one's shape and chunks; of its dtype, if none is given.
    ///
    /// # Errors
    /// [`ArrayError::Ops`] for a weak integer that the dtype cannot hold.
    pub fn full_like(&self, value: impl Into<Operand>, dtype: Option<DType>) -> Result<Array, ArrayError> {
        let dtype = dtype.unwrap_or(self.dtype());
        let value = value.into();
        let number = match &value {
            Operand::Int(value) if dtype == DType::Bool => small(i128::from(*value != 0), dtype),
            Operand::Int(value) => crate::operand::weak_int(*value, dtype)?,
            Operand::Bool(value) => small(i128::from(*value), dtype),
            Operand::Float(value) if dtype.is_inexact() => {
                Scalar::from_float(*value, dtype).expect("every float and complex dtype holds a float")
            }
            _ => {
                // A weak number that the dtype does not hold is converted, as NumPy does here.
                let own = crate::operand::common_dtype([&value])?;
                let value = value.into_array(own)?.astype(dtype)?;
                return Ok(value.broadcast_to(&self.shape())?.with_grid(self.chunks()));
            }
        };
        Ok(Array::full_grid(self.chunks(), number))
    }

    /// An array of zeros with this one's shape and chunks; of its dtype, if none is given.
    pub fn zeros_like(&self, dtype: Option<DType>) -> Array {
        Array::full_grid(self.chunks(), small(0, dtype.unwrap_or(self.dtype())))
    }

    /// An array of ones with this one's shape and chunks; of its dtype, if none is given.
    pub fn ones_like(&self, dtype: Option<DType>) -> Array {
        Array::full_grid(self.chunks(), small(1, dtype.unwrap_or(self.dtype())))
    }

    /// An array whose values do not matter. They are zeros, so that a plan gives the same bytes each time.
    ///
    /// # Errors
    /// As [`Array::full`].
    pub fn empty(shape: &[u64], chunks: &[Chunks], dtype: DType) -> Result<Array, ArrayError> {
        Self::zeros(shape, chunks, dtype)
    }

    /// As [`Array::empty`], with this one's shape and chunks.
    pub fn empty_like(&self, dtype: Option<DType>) -> Array {
        self.zeros_like(dtype)
    }
}
