//! The native half of the Python package `graticule`: expressions, clients, and calls of Python functions on blocks.
//!
//! It is a thin skin: each method here is one call of [`graticule_array`], [`graticule_client`] or [`graticule_data`], and
//! what is spelled as NumPy spells it (defaults, keywords, operators) lies in the package's Python files. Waiting releases the
//! interpreter's lock and looks for signals meanwhile; elements go over as buffers.
//!
//! It knows nothing of NumPy or xarray as modules, of how operations are computed, or of how tasks are placed.

// What serves child processes is for systems that have them.
#![cfg_attr(not(target_os = "linux"), allow(dead_code, unused_imports))]

mod buffer;
mod calls;
#[cfg_attr(not(target_os = "linux"), path = "children/absent.rs")]
mod children;
mod cluster;
mod convert;
mod creation;
mod datasets;
mod elementwise;
mod error;
mod expression;
mod functions;
mod linalg;
mod logged;
mod memory;
mod positions;
mod printed;
mod process;
mod reduce;
mod selected;
mod sources;
mod wait;

use pyo3::prelude::*;

/// The native module; import `graticule` instead.
#[pymodule]
fn _graticule(module: &Bound<'_, PyModule>) -> PyResult<()> {
    logged::collect();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<buffer::Buffer>()?;
    module.add_class::<cluster::Cluster>()?;
    module.add_class::<cluster::Kept>()?;
    module.add_class::<cluster::Blocks>()?;
    module.add_class::<expression::Expression>()?;
    module.add_class::<functions::Function>()?;
    module.add_class::<creation::Generator>()?;
    module.add_class::<selected::Selected>()?;
    calls::register(module)?;
    process::register(module)?;
    creation::register(module)?;
    datasets::register(module)?;
    elementwise::register(module)?;
    functions::register(module)?;
    reduce::register(module)?;
    linalg::register(module)?;
    logged::register(module)?;
    positions::register(module)?;
    printed::register(module)?;
    sources::register(module)
}
