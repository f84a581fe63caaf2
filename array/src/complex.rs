//! What is there of complex numbers beside the operations that all dtypes share.

use graticule_ops::{BinaryOp, OpsError};

use crate::{Array, ArrayError, binary};

impl Array {
    /// Gives the angle of each number from the real axis, counterclockwise, in radians within -pi..=pi or in degrees.
    ///
    /// Of a real array it is 0 or pi by the sign.
    ///
    /// # Errors
    /// None today.
    pub fn angle(&self, in_degrees: bool) -> Result<Array, ArrayError> {
        self.check_number("angle")?;
        let angle = if self.dtype().is_complex() {
            self.imag()?.arctan2(self.real()?)?
        } else {
            binary(BinaryOp::Arctan2, 0, self)?
        };
        if in_degrees {
            return angle.multiply(180.0 / std::f64::consts::PI);
        }
        Ok(angle)
    }

    /// Tells of each element whether its imaginary part is not 0.
    ///
    /// # Errors
    /// None today.
    pub fn iscomplex(&self) -> Result<Array, ArrayError> {
        self.check_number("iscomplex")?;
        self.imag()?.not_equal(0)
    }

    /// Tells of each element whether its imaginary part is 0.
    ///
    /// # Errors
    /// None today.
    pub fn isreal(&self) -> Result<Array, ArrayError> {
        self.check_number("isreal")?;
        self.imag()?.equal(0)
    }

    /// Sums the products of all elements of two arrays of as many, those of this one conjugated.
    ///
    /// # Errors
    /// [`ArrayError::Broadcast`] for arrays of other numbers of elements.
    pub fn vdot(&self, other: &Array) -> Result<Array, ArrayError> {
        if self.size() != other.size() {
            let shapes = vec![self.shape(), other.shape()];
            return Err(ArrayError::Broadcast { shapes });
        }
        self.conjugated()?.ravel()?.dot(&other.ravel()?)
    }

    /// The array with each imaginary part's sign changed; one of another dtype as it is.
    pub(crate) fn conjugated(&self) -> Result<Array, ArrayError> {
        if self.dtype().is_complex() {
            self.conjugate()
        } else {
            Ok(self.clone())
        }
    }

    /// Refuses times where an operation is of numbers.
    pub(crate) fn check_number(&self, operation: &'static str) -> Result<(), ArrayError> {
        if !self.dtype().is_time() {
            return Ok(());
        }
        let (dtype, hint) = (self.dtype(), ": convert to a number of units first");
        Err(OpsError::DType {
            operation,
            dtype,
            hint,
        }
        .into())
    }

    /// Refuses complex arrays, and times, where an operation has no meaning for them.
    pub(crate) fn check_real(&self, operation: &'static str) -> Result<(), ArrayError> {
        self.check_number(operation)?;
        if !self.dtype().is_complex() {
            return Ok(());
        }
        let (dtype, hint) = (self.dtype(), ": take the real and the imaginary part apart");
        Err(OpsError::DType {
            operation,
            dtype,
            hint,
        }
        .into())
    }
}
