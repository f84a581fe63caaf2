//! Discrete Fourier transforms: NumPy's `fft`, and the Array API's extension of that name.
//!
//! Each line is transformed by one task: the axis is rechunked to one chunk, into the read where that is possible, with the
//! other axes cut so that a task works on [`WORKING_SET_BYTES`](crate::WORKING_SET_BYTES) at most. float32 and complex64
//! are transformed in that precision, all others in float64.

use graticule_ops::{FourierKind, FourierNorm, Transform};
use graticule_plan::{AxisChunks, DType};

use crate::{
    Array, ArrayError, Axes, Chunks,
    creation::grid_of_chunks,
    expression::Op,
    infer::{axis_index, with_axis},
    where_,
};

impl Array {
    /// Transforms lines along an axis to complex numbers of as many frequencies, by `exp(-2 pi i j k / n)`.
    ///
    /// `n` is the length of the transform, else the axis': lines are cut off or end in zeros.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`], [`ArrayError::FourierLength`] for a length of 0.
    pub fn fft(&self, n: Option<u64>, axis: i64, norm: FourierNorm) -> Result<Array, ArrayError> {
        self.transformed(FourierKind::Forward, n, axis, norm)
    }

    /// Undoes [`Array::fft`].
    ///
    /// # Errors
    /// As [`Array::fft`].
    pub fn ifft(&self, n: Option<u64>, axis: i64, norm: FourierNorm) -> Result<Array, ArrayError> {
        self.transformed(FourierKind::Inverse, n, axis, norm)
    }

    /// Transforms lines of real numbers along an axis: the `n / 2 + 1` frequencies of which the others are conjugates.
    ///
    /// # Errors
    /// As [`Array::fft`]; [`ArrayError::Ops`] of complex numbers.
    pub fn rfft(&self, n: Option<u64>, axis: i64, norm: FourierNorm) -> Result<Array, ArrayError> {
        self.check_real("rfft")?;
        self.transformed(FourierKind::RealForward, n, axis, norm)
    }

    /// Undoes [`Array::rfft`]. `n` is the length of the result, else twice the axis' length less two.
    ///
    /// # Errors
    /// As [`Array::fft`].
    pub fn irfft(&self, n: Option<u64>, axis: i64, norm: FourierNorm) -> Result<Array, ArrayError> {
        let n = match n {
            Some(n) => n,
            None => self.doubled(axis)?,
        };
        self.transformed(FourierKind::RealInverse, Some(n), axis, norm)
    }

    /// Transforms lines that are the first half of ones that mirror their conjugates, and so have real frequencies.
    ///
    /// # Errors
    /// As [`Array::fft`].
    pub fn hfft(&self, n: Option<u64>, axis: i64, norm: FourierNorm) -> Result<Array, ArrayError> {
        self.conjugated()?.irfft(n, axis, norm.swapped())
    }

    /// Undoes [`Array::hfft`].
    ///
    /// # Errors
    /// As [`Array::rfft`].
    pub fn ihfft(&self, n: Option<u64>, axis: i64, norm: FourierNorm) -> Result<Array, ArrayError> {
        self.check_real("ihfft")?;
        self.rfft(n, axis, norm.swapped())?.conjugated()
    }

    /// Transforms along several axes, the last one first.
    ///
    /// `s` has a length for each axis, -1 for the axis' own; with `s` and all axes meant, those are the last ones. An axis
    /// that is named twice is transformed twice, as in NumPy.
    ///
    /// # Errors
    /// As [`Array::fft`]; [`ArrayError::FourierLengths`] for other lengths than axes.
    pub fn fftn(
        &self,
        s: Option<&[i64]>,
        axes: impl Into<Axes>,
        norm: FourierNorm,
    ) -> Result<Array, ArrayError> {
        self.each_transformed(FourierKind::Forward, s, axes.into(), norm)
    }

    /// Undoes [`Array::fftn`].
    ///
    /// # Errors
    /// As [`Array::fftn`].
    pub fn ifftn(
        &self,
        s: Option<&[i64]>,
        axes: impl Into<Axes>,
        norm: FourierNorm,
    ) -> Result<Array, ArrayError> {
        self.each_transformed(FourierKind::Inverse, s, axes.into(), norm)
    }

    /// Transforms real numbers along several axes: the last one as [`Array::rfft`], then the others.
    ///
    /// # Errors
    /// As [`Array::fftn`]; [`ArrayError::NoAxes`] where there is none, [`ArrayError::Ops`] of complex numbers.
    pub fn rfftn(
        &self,
        s: Option<&[i64]>,
        axes: impl Into<Axes>,
        norm: FourierNorm,
    ) -> Result<Array, ArrayError> {
        self.check_real("rfftn")?;
        let mut planned = self.lengths(s, axes.into())?;
        let operation = "rfftn";
        let (axis, n) = planned.pop().ok_or(ArrayError::NoAxes { operation })?;
        let made = self.rfft(Some(n), axis, norm)?;
        planned
            .iter()
            .rev()
            .try_fold(made, |made, &(axis, n)| made.fft(Some(n), axis, norm))
    }

    /// Undoes [`Array::rfftn`]. Without `s` the last axis becomes twice as long less two.
    ///
    /// # Errors
    /// As [`Array::fftn`]; [`ArrayError::NoAxes`] where there is none.
    pub fn irfftn(
        &self,
        s: Option<&[i64]>,
        axes: impl Into<Axes>,
        norm: FourierNorm,
    ) -> Result<Array, ArrayError> {
        let mut planned = self.lengths(s, axes.into())?;
        let operation = "irfftn";
        let (axis, n) = planned.pop().ok_or(ArrayError::NoAxes { operation })?;
        let n = match s {
            Some(_) => n,
            None => self.doubled(axis)?,
        };
        let made = planned
            .iter()
            .try_fold(self.clone(), |made, &(axis, n)| made.ifft(Some(n), axis, norm))?;
        made.irfft(Some(n), axis, norm)
    }

    /// [`Array::fftn`] of planes: NumPy's default are the last two axes.
    ///
    /// # Errors
    /// As [`Array::fftn`].
    pub fn fft2(&self, s: Option<&[i64]>, axes: [i64; 2], norm: FourierNorm) -> Result<Array, ArrayError> {
        self.fftn(s, axes, norm)
    }

    /// [`Array::ifftn`] of planes.
    ///
    /// # Errors
    /// As [`Array::fftn`].
    pub fn ifft2(&self, s: Option<&[i64]>, axes: [i64; 2], norm: FourierNorm) -> Result<Array, ArrayError> {
        self.ifftn(s, axes, norm)
    }

    /// [`Array::rfftn`] of planes.
    ///
    /// # Errors
    /// As [`Array::rfftn`].
    pub fn rfft2(&self, s: Option<&[i64]>, axes: [i64; 2], norm: FourierNorm) -> Result<Array, ArrayError> {
        self.rfftn(s, axes, norm)
    }

    /// [`Array::irfftn`] of planes.
    ///
    /// # Errors
    /// As [`Array::irfftn`].
    pub fn irfft2(&self, s: Option<&[i64]>, axes: [i64; 2], norm: FourierNorm) -> Result<Array, ArrayError> {
        self.irfftn(s, axes, norm)
    }

    /// Rolls axes by half, so that the frequency 0 stands in their middle.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`].
    pub fn fftshift(&self, axes: impl Into<Axes>) -> Result<Array, ArrayError> {
        self.shifted(axes.into(), |len| (len / 2) as i64)
    }

    /// Undoes [`Array::fftshift`].
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`].
    pub fn ifftshift(&self, axes: impl Into<Axes>) -> Result<Array, ArrayError> {
        self.shifted(axes.into(), |len| -((len / 2) as i64))
    }

    fn shifted(&self, axes: Axes, shift: impl Fn(u64) -> i64) -> Result<Array, ArrayError> {
        let axes = axes.in_order(self.ndim())?;
        if axes.is_empty() {
            return Ok(self.clone());
        }
        let shifts: Vec<i64> = axes.iter().map(|&axis| shift(self.shape()[axis])).collect();
        let axes: Vec<i64> = axes.iter().map(|&axis| axis as i64).collect();
        self.roll(&shifts, Some(&axes))
    }

    /// The length of the real lines whose half the axis has.
    fn doubled(&self, axis: i64) -> Result<u64, ArrayError> {
        let len = self.shape()[axis_index(axis, self.ndim())?];
        match len {
            0 | 1 => Err(ArrayError::FourierLength {
                len: (len as i64 - 1) * 2,
            }),
            _ => Ok((len - 1).saturating_mul(2)),
        }
    }

    fn each_transformed(
        &self,
        kind: FourierKind,
        s: Option<&[i64]>,
        axes: Axes,
        norm: FourierNorm,
    ) -> Result<Array, ArrayError> {
        let planned = self.lengths(s, axes)?;
        let start = self.to_transformable(kind)?;
        let start = if planned.is_empty() {
            start.astype(complex_of(start.dtype()))?
        } else {
            start
        };
        planned.iter().rev().try_fold(start, |made, &(axis, n)| {
            made.transformed(kind, Some(n), axis, norm)
        })
    }

    /// The axes that shall be transformed, each with its length.
    fn lengths(&self, s: Option<&[i64]>, axes: Axes) -> Result<Vec<(i64, u64)>, ArrayError> {
        let ndim = self.ndim();
        let axes = match (axes.count(), s) {
            (None, Some(s)) => (0..s.len())
                .map(|back| axis_index(back as i64 - s.len() as i64, ndim))
                .collect::<Result<Vec<_>, _>>()?,
            _ => axes.in_order(ndim)?,
        };
        let (lengths, count) = (s.map_or(axes.len(), <[i64]>::len), axes.len());
        if lengths != count {
            return Err(ArrayError::FourierLengths { lengths, axes: count });
        }
        let length = |place: usize| match s.map(|s| s[place]) {
            None | Some(-1) => Ok(self.shape()[axes[place]]),
            Some(len) => u64::try_from(len).map_err(|_| ArrayError::FourierLength { len }),
        };
        (0..count)
            .map(|place| Ok((axes[place] as i64, length(place)?)))
            .collect()
    }

    fn to_transformable(&self, kind: FourierKind) -> Result<Array, ArrayError> {
        match (self.dtype(), kind) {
            (DType::Float16 | DType::Float32 | DType::Complex64, FourierKind::RealInverse) => {
                self.astype(DType::Complex64)
            }
            (_, FourierKind::RealInverse) => self.astype(DType::Complex128),
            (DType::Float32 | DType::Complex64 | DType::Complex128, _) => Ok(self.clone()),
            (DType::Float16, _) => self.astype(DType::Float32),
            _ => self.astype(DType::Float64),
        }
    }

    fn transformed(
        &self,
        kind: FourierKind,
        n: Option<u64>,
        axis: i64,
        norm: FourierNorm,
    ) -> Result<Array, ArrayError> {
        let axis = axis_index(axis, self.ndim())?;
        let have = self.shape()[axis];
        let len = n.unwrap_or(have);
        if len == 0 {
            return Err(ArrayError::FourierLength { len: 0 });
        }
        let transform = Transform {
            axis,
            len,
            kind,
            norm,
        };
        let x = self.to_transformable(kind)?;
        let x = match transform.read_len() {
            read if read < have => x.part(axis, 0, read),
            _ => x,
        };
        let x = x.with_whole_axis(axis);
        let grid = with_axis(x.chunks(), axis, AxisChunks::whole(transform.made_len()))?;
        let dtype = transform.dtype(x.dtype()).expect("just converted");
        Ok(Array::new(Op::Fourier(transform), vec![x], dtype, grid))
    }
}

fn complex_of(dtype: DType) -> DType {
    match dtype {
        DType::Float16 | DType::Float32 | DType::Complex64 => DType::Complex64,
        _ => DType::Complex128,
    }
}

/// The frequencies of [`Array::fft`] for `n` samples that are `d` apart: those from 0 on, then the negative ones, rising.
///
/// # Errors
/// [`ArrayError::FourierLength`] for no samples, [`ArrayError::SampleSpacing`]; as [`Array::rechunk`] for `chunks`.
pub fn fftfreq(n: u64, d: f64, dtype: DType, chunks: Chunks) -> Result<Array, ArrayError> {
    let counter = counter_of(n, n, d, chunks)?;
    let number = counter.astype(DType::Float64)?;
    let is_positive = counter.less(n.div_ceil(2) as i64)?;
    let turned = where_(is_positive, number.clone(), number.subtract(n as f64)?)?;
    turned.multiply(1.0 / (n as f64 * d))?.astype(dtype)
}

/// The frequencies of [`Array::rfft`] for `n` samples that are `d` apart.
///
/// # Errors
/// As [`fftfreq`].
pub fn rfftfreq(n: u64, d: f64, dtype: DType, chunks: Chunks) -> Result<Array, ArrayError> {
    let counter = counter_of(n, n / 2 + 1, d, chunks)?;
    let number = counter.astype(DType::Float64)?;
    number.multiply(1.0 / (n as f64 * d))?.astype(dtype)
}

fn counter_of(n: u64, count: u64, d: f64, chunks: Chunks) -> Result<Array, ArrayError> {
    if n == 0 {
        return Err(ArrayError::FourierLength { len: 0 });
    }
    if d == 0.0 {
        return Err(ArrayError::SampleSpacing { spacing: d });
    }
    let grid = grid_of_chunks(&[count], &[chunks], DType::Float64)?;
    Ok(Array::counter(&grid.axes()[0]))
}
