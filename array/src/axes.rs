//! One or several axes, as arguments.

use crate::{
    ArrayError,
    infer::{axis_index, axis_indices},
};

/// One axis, several, or all of them; negative ones count from the end.
///
/// ```
/// use graticule_array::Axes;
///
/// assert_eq!(Axes::from(-1), Axes::from([-1]));
/// assert_ne!(Axes::from([0, 1]), Axes::all());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axes(Option<Vec<i64>>);

impl Axes {
    /// All axes of the array.
    pub fn all() -> Self {
        Self(None)
    }

    /// The axes among `ndim`, in the order in which they were given.
    pub(crate) fn indices(&self, ndim: usize) -> Result<Vec<usize>, ArrayError> {
        match &self.0 {
            None => Ok((0..ndim).collect()),
            Some(axes) => {
                axis_indices(axes, ndim)?;
                axes.iter().map(|&axis| axis_index(axis, ndim)).collect()
            }
        }
    }

    /// As [`Axes::indices`], where the same axis may stand several times.
    pub(crate) fn in_order(&self, ndim: usize) -> Result<Vec<usize>, ArrayError> {
        match &self.0 {
            None => Ok((0..ndim).collect()),
            Some(axes) => axes.iter().map(|&axis| axis_index(axis, ndim)).collect(),
        }
    }

    /// Number of axes that were given; `None` for all.
    pub(crate) fn count(&self) -> Option<usize> {
        self.0.as_ref().map(Vec::len)
    }
}

impl From<i64> for Axes {
    fn from(axis: i64) -> Self {
        Self(Some(vec![axis]))
    }
}

impl From<i32> for Axes {
    fn from(axis: i32) -> Self {
        Self::from(i64::from(axis))
    }
}

impl From<Vec<i64>> for Axes {
    fn from(axes: Vec<i64>) -> Self {
        Self(Some(axes))
    }
}

impl From<&[i64]> for Axes {
    fn from(axes: &[i64]) -> Self {
        Self(Some(axes.to_vec()))
    }
}

impl<const N: usize> From<[i64; N]> for Axes {
    fn from(axes: [i64; N]) -> Self {
        Self(Some(axes.to_vec()))
    }
}

impl<const N: usize> From<&[i64; N]> for Axes {
    fn from(axes: &[i64; N]) -> Self {
        Self(Some(axes.to_vec()))
    }
}
