//! Running the product itself, in an optimised build: the demonstration and the benchmarks.

use anyhow::Result;

use crate::project::Project;
use crate::python_env;

/// `cargo xtask demo`: the main job on the sample data.
pub(crate) fn demo(project: &Project, arguments: &[String]) -> Result<bool> {
    let task = project.cargo("run --release --package graticule-cli -- demo");
    arguments
        .iter()
        .fold(task, |task, argument| task.arg(argument))
        .run_attached()
}

/// `cargo xtask bench NAME`: a benchmark against a peer. The peers are Python's, from the tests' environment.
pub(crate) fn bench(project: &Project, name: &str, arguments: &[String]) -> Result<bool> {
    let python = python_env::ensure(project)?;
    let task = project
        .cargo("run --release --package graticule-cli -- bench")
        .arg(name);
    let task = task.env(python_env::VARIABLE, python);
    arguments
        .iter()
        .fold(task, |task, argument| task.arg(argument))
        .run_attached()
}
