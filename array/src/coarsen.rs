//! Neighbouring elements made one.

use graticule_ops::ReduceKind;

use crate::{Array, ArrayError, Over, infer::axis_index};

impl Array {
    /// Reduces each so many neighbours along axes to one element: Dask's `coarsen`.
    ///
    /// `factors` has pairs of an axis and the number of elements that become one. With `trim_excess` those that are left
    /// over at an axis' end are left out.
    ///
    /// # Errors
    /// [`ArrayError::CoarsenLength`] if elements are left over otherwise, or for a factor of 0;
    /// [`ArrayError::AxisOutOfRange`], [`ArrayError::RepeatedAxis`]; as [`Array::reduce`].
    pub fn coarsen(
        &self,
        kind: ReduceKind,
        factors: &[(i64, u64)],
        trim_excess: bool,
    ) -> Result<Array, ArrayError> {
        let named: Vec<i64> = factors.iter().map(|(axis, _)| *axis).collect();
        crate::infer::axis_indices(&named, self.ndim())?;
        let mut each = vec![1; self.ndim()];
        let mut trimmed = self.clone();
        for &(axis, factor) in factors {
            let axis = axis_index(axis, self.ndim())?;
            let len = self.shape()[axis];
            match len.checked_rem(factor) {
                Some(0) => {}
                Some(rest) if trim_excess => trimmed = trimmed.part(axis, 0, len - rest),
                _ => return Err(ArrayError::CoarsenLength { axis, len, factor }),
            }
            each[axis] = factor;
        }
        let (mut shape, mut reduced) = (Vec::new(), Vec::new());
        for (len, factor) in trimmed.shape().into_iter().zip(each) {
            shape.push((len / factor) as i64);
            if factor > 1 {
                reduced.push(shape.len() as i64);
                shape.push(factor as i64);
            }
        }
        trimmed.reshape(&shape)?.reduce(kind, &Over::axes(reduced))
    }
}
