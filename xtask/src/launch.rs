//! Running the product itself, in an optimised build: the demonstration, the benchmarks, the simulator and the stress
//! tests.

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

/// The benchmarks whose peers are Python's; they run in the tests' environment.
const WITH_PEERS: [&str; 7] = [
    "cluster",
    "functions",
    "latency",
    "median",
    "peers",
    "scheduler",
    "transfer",
];

/// `cargo xtask bench NAME`: a benchmark, against a peer where there is one.
pub(crate) fn bench(project: &Project, name: &str, arguments: &[String]) -> Result<bool> {
    let mut task = project
        .cargo("run --release --package graticule-cli -- bench")
        .arg(name);
    if WITH_PEERS.contains(&name) {
        task = task.env(python_env::VARIABLE, python_env::ensure(project)?);
        python_env::add_peers(project)?;
    }
    arguments
        .iter()
        .fold(task, |task, argument| task.arg(argument))
        .run_attached()
}

/// `cargo xtask stress NAME`: a cluster of real processes that is broken on purpose; false if it did not hold.
pub(crate) fn stress(project: &Project, name: &str, arguments: &[String]) -> Result<bool> {
    let task = project
        .cargo("run --release --package graticule-cli -- stress")
        .arg(name);
    arguments
        .iter()
        .fold(task, |task, argument| task.arg(argument))
        .run_attached()
}

/// `cargo xtask sim`: seeds in the simulator, or one case again; false if something did not hold.
pub(crate) fn sim(project: &Project, arguments: &[String]) -> Result<bool> {
    let task = project.cargo("run --quiet --profile sim --package graticule-sim --bin simulate --");
    arguments
        .iter()
        .fold(task, |task, argument| task.arg(argument))
        .run_attached()
}
