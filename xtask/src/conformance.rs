//! `cargo xtask conformance`: suites of others that the product is held against, in checkouts beside this one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::Task;
use crate::project::Project;
use crate::python_env;
use crate::test::counts;

/// What the suite needs beside the tests' environment, in a folder of its own.
const REQUIREMENTS: &str = "tests/python/array-api.txt";
const PACKAGES: &str = "conformance-packages";
/// The suite takes the standard itself from here.
const STANDARD: &str = "array-api/src/array_api_stubs";
/// Elements of a chunk along each axis in turn.
const CHUNKS: &str = "2,3";
const EXAMPLES_DEFAULT: &str = "100";
const LIMIT: Duration = Duration::from_secs(2 * 60 * 60);

/// `cargo xtask conformance SUITE PATH [--max-examples N] [ARGS...]`: false if a case failed.
pub(crate) fn command(project: &Project, suite: &str, arguments: &[String]) -> Result<bool> {
    match (suite, arguments) {
        ("array-api", [path, rest @ ..]) => array_api(project, Path::new(path), rest),
        _ => bail!(
            "`cargo xtask conformance array-api PATH` is what there is; PATH is a checkout of array-api-tests"
        ),
    }
}

/// Every case of data-apis/array-api-tests on `graticule.array_api`, whose arrays are cut into chunks of two and three
/// elements. Nothing is left out.
fn array_api(project: &Project, path: &Path, arguments: &[String]) -> Result<bool> {
    if !path.join("array_api_tests").is_dir() || !path.join(STANDARD).is_dir() {
        bail!(
            "{} is no checkout of github.com/data-apis/array-api-tests with its submodule array-api: clone it with \
             `git clone --recurse-submodules`",
            path.display()
        );
    }
    let (python, packages) = environment(project)?;
    let limit = match arguments
        .iter()
        .any(|argument| argument.starts_with("--max-examples"))
    {
        true => String::new(),
        false => format!("--max-examples={EXAMPLES_DEFAULT}"),
    };
    let task = Task::new(&python)
        .words("-m pytest --quiet --tb=short -rf -p no:cacheprovider --disable-deadline --numprocesses=2")
        .words(&limit)
        .words("--skips-file=/dev/null --xfails-file=/dev/null");
    let finished = arguments
        .iter()
        .fold(task, Task::arg)
        .arg("array_api_tests")
        .dir(path)
        .env("PYTHONPATH", &packages)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env(
            "HYPOTHESIS_STORAGE_DIRECTORY",
            packages.join("hypothesis-examples"),
        )
        .env("ARRAY_API_TESTS_MODULE", "graticule.array_api")
        .env("GRATICULE_ARRAY_API_CHUNKS", CHUNKS)
        .limit(LIMIT)
        .run()?;
    let Some(counts) = counts::pytest(&finished.output) else {
        bail!("the suite did not say how many cases it ran: {}", finished.ending);
    };
    println!("array-api: {} passed, {} failed", counts.passed, counts.failed);
    Ok(finished.success)
}

/// The interpreter, and the folder of what the suite needs. An interpreter that the environment names is taken with the
/// `graticule` that it has; else the package is built and installed.
fn environment(project: &Project) -> Result<(PathBuf, PathBuf)> {
    let python = if let Some(given) = std::env::var_os(python_env::VARIABLE) {
        given.into()
    } else {
        let python = python_env::ensure(project)?;
        python_env::install_package(project)?;
        python
    };
    let packages = python_env::packages_beside(project, &python, REQUIREMENTS, PACKAGES)
        .context("what the suite needs could not be installed")?;
    Ok((python, packages))
}
