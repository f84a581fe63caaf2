use graticule_ops::BinaryOp;

use crate::{Array, ArrayError, binary, infer::axis_index};

impl Array {
    /// Multiplies vectors of 3 elements along an axis crosswise; the other axes broadcast.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`], [`ArrayError::CrossLength`], [`ArrayError::Broadcast`].
    pub fn cross(&self, other: &Array, axis: i64) -> Result<Array, ArrayError> {
        let (own, others) = (axis_index(axis, self.ndim())?, axis_index(axis, other.ndim())?);
        let (first, second) = (self.shape()[own], other.shape()[others]);
        if (first, second) != (3, 3) {
            return Err(ArrayError::CrossLength { axis, first, second });
        }
        let turned = |by: [i64; 3], more: [i64; 3]| {
            binary(
                BinaryOp::Multiply,
                &self.take(&by, axis)?,
                &other.take(&more, axis)?,
            )
        };
        let (ahead, behind) = ([1, 2, 0], [2, 0, 1]);
        turned(ahead, behind)?.subtract(&turned(behind, ahead)?)
    }
}
