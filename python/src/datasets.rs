//! Results with names, for the clients of a cluster.

use graticule_plan::{AxisChunks, ChunkGrid, Key, PlanError};
use pyo3::{prelude::*, types::PyBytes};

use crate::{
    cluster::{Cluster, Kept},
    convert::Named,
    error::Failure,
    expression::Expression,
    wait::wait,
};

/// Adds the functions to the native module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(publish, module)?)?;
    module.add_function(wrap_pyfunction!(unpublish, module)?)?;
    module.add_function(wrap_pyfunction!(dataset, module)?)?;
    module.add_function(wrap_pyfunction!(datasets, module)?)?;
    module.add_function(wrap_pyfunction!(published_array, module)?)
}

/// Gives kept arrays a name, and what tells other clients what it stands for.
#[pyfunction]
fn publish(
    py: Python<'_>,
    cluster: &Cluster,
    name: String,
    content: Vec<u8>,
    kept: Vec<PyRef<'_, Kept>>,
    replaces: bool,
) -> Result<(), Failure> {
    let client = cluster.client()?;
    let kept: Vec<_> = kept.iter().map(|kept| kept.persisted.clone()).collect();
    wait(py, async move {
        let kept: Vec<_> = kept.iter().collect();
        client.publish(&name, content.into(), &kept, replaces).await
    })
}

/// Takes a name back.
#[pyfunction]
fn unpublish(py: Python<'_>, cluster: &Cluster, name: String) -> Result<(), Failure> {
    let client = cluster.client()?;
    wait(py, async move { client.unpublish(&name).await })
}

/// What a name stands for.
#[pyfunction]
fn dataset<'py>(py: Python<'py>, cluster: &Cluster, name: String) -> Result<Bound<'py, PyBytes>, Failure> {
    let client = cluster.client()?;
    let content = wait(py, async move { client.dataset(&name).await })?;
    Ok(PyBytes::new(py, &content))
}

/// All names.
#[pyfunction]
fn datasets(py: Python<'_>, cluster: &Cluster) -> Result<Vec<String>, Failure> {
    let client = cluster.client()?;
    let names = wait(py, async move { client.datasets().await })?;
    Ok(names.iter().map(ToString::to_string).collect())
}

/// An array that another client keeps under a key and has published.
#[pyfunction]
fn published_array(
    cluster: &Cluster,
    key: u128,
    chunks: Vec<Vec<u64>>,
    dtype: Named,
) -> Result<Expression, Failure> {
    let grid = |chunks: Vec<Vec<u64>>| {
        let axes = chunks.iter().map(|lengths| AxisChunks::from_lengths(lengths));
        ChunkGrid::new(axes.collect::<Result<_, PlanError>>()?)
    };
    let grid = grid(chunks).map_err(|error| Failure::value(error.to_string()))?;
    Ok(cluster.client()?.published_array(Key(key), &grid, dtype.0).into())
}
