//! Arrays whose lengths are only known when they are computed.

use graticule_array::{Array, Wishes};
use pyo3::prelude::*;

use crate::{cluster::Cluster, error::Failure, expression::Expression, wait::wait};

/// What a mask leaves of an array. It becomes an array when its elements are counted.
#[pyclass(frozen, module = "graticule._graticule")]
pub(crate) struct Selected {
    pub(crate) selected: graticule_array::Selected,
}

impl From<graticule_array::Selected> for Selected {
    fn from(selected: graticule_array::Selected) -> Self {
        Self { selected }
    }
}

#[pymethods]
impl Selected {
    /// `x[mask]`.
    #[staticmethod]
    fn masked(x: &Expression, mask: &Expression) -> Result<Self, Failure> {
        Ok(x.array.take_mask(&mask.array)?.into())
    }

    /// `compress` along an axis.
    #[staticmethod]
    fn compressed(x: &Expression, condition: &Expression, axis: i64) -> Result<Self, Failure> {
        Ok(x.array.compress_by(&condition.array, axis)?.into())
    }

    #[staticmethod]
    fn nonzero(x: &Expression) -> Result<Vec<Self>, Failure> {
        Ok(x.array.nonzero()?.into_iter().map(Self::from).collect())
    }

    #[staticmethod]
    fn argwhere(x: &Expression) -> Result<Self, Failure> {
        Ok(x.array.argwhere()?.into())
    }

    #[staticmethod]
    fn flatnonzero(x: &Expression) -> Result<Self, Failure> {
        Ok(x.array.flatnonzero()?.into())
    }
}

/// Counts the elements of selections, and gives arrays of these lengths.
pub(crate) fn sized(
    py: Python<'_>,
    cluster: &Cluster,
    selections: &[PyRef<'_, Selected>],
) -> Result<Vec<Expression>, Failure> {
    let client = cluster.client()?;
    let selections: Vec<graticule_array::Selected> =
        selections.iter().map(|one| one.selected.clone()).collect();
    let arrays = wait(py, async move {
        let selections: Vec<&graticule_array::Selected> = selections.iter().collect();
        client.sized(&selections).await
    })?;
    Ok(arrays.into_iter().map(Expression::from).collect())
}

/// The distinct elements, where each stands first, how often it occurs, and of each element its place among them.
pub(crate) fn unique(
    py: Python<'_>,
    cluster: &Cluster,
    x: &Expression,
    wishes: Wishes,
) -> Result<[Option<Expression>; 4], Failure> {
    let (client, array) = (cluster.client()?, x.array.clone());
    let found = wait(py, async move { client.unique(&array, wishes).await })?;
    let inverse = found.inverse()?;
    let kept: std::sync::Arc<dyn std::any::Any + Send + Sync> = std::sync::Arc::new(found.clone());
    let keep = |array: &Array| array.keeping(kept.clone());
    let found = [
        Some(keep(found.values())),
        found.positions().map(keep),
        found.counts().map(keep),
        Some(keep(&inverse)),
    ];
    Ok(found.map(|array| array.map(Expression::from)))
}
