//! Python functions as calls: what goes with a call, where it runs, and its result.
//!
//! A call has two values: its function, pickled, with a digest before it; and its arguments, pickled together, in which the
//! results of other calls stand as numbered places. Those results follow as values of their own, so the cluster sees what
//! depends on what, and none of them comes by way of the client.

mod entry;
pub(crate) mod nested;
pub(crate) mod raised;
mod run;
mod session;
mod settings;
pub(crate) mod value;
mod watch;

use pyo3::prelude::*;

pub(crate) use run::{
    Place, name as function_name, name_of as function_of, register as register_function, serve, stay,
};

/// Adds the classes to the native module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<entry::Call>()?;
    module.add_class::<session::Calls>()?;
    module.add_class::<settings::CallFunction>()?;
    module.add_class::<settings::CallSettings>()?;
    module.add_class::<watch::Completions>()?;
    module.add_function(pyo3::wrap_pyfunction!(run::running_worker, module)?)
}
