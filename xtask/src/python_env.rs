//! The Python that tests and benchmarks compare with: a virtual environment of pinned packages below `target/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::Task;
use crate::project::Project;
use crate::tools;

/// The environment variable that tells tests where the interpreter is.
pub(crate) const VARIABLE: &str = "GRATICULE_PYTHON";

/// The package of this checkout.
const PACKAGE: &str = "python/Cargo.toml";
const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);
const REQUIREMENTS: &str = "tests/python/requirements.txt";
/// Another release of Dask than the requirements have, in a folder of its own.
const OLDER_DASK: &str = "tests/python/older-dask.txt";
/// The environment variable that tells tests where it is.
pub(crate) const OLDER_DASK_VARIABLE: &str = "GRATICULE_OLDER_DASK";
/// Peers that not every platform has.
const PEERS: &str = "benches/requirements.txt";
const PEERS_STAMP: &str = "installed-peers.txt";
/// A copy of the requirements inside the environment, written last: it says that the installation is complete.
const STAMP: &str = "installed-requirements.txt";

/// Where the interpreter is, or will be.
pub(crate) fn interpreter(project: &Project) -> PathBuf {
    env_dir(project).join("bin/python")
}

/// Makes the environment if it is missing or its requirements have changed; returns its interpreter.
pub(crate) fn ensure(project: &Project) -> Result<PathBuf> {
    let source = project.root.join(REQUIREMENTS);
    let wanted = fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
    let dir = env_dir(project);
    let python = interpreter(project);
    let stamp = dir.join(STAMP);
    let works = || {
        Task::new(&python)
            .words("-c pass")
            .quiet()
            .run()
            .is_ok_and(|finished| finished.success)
    };
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && works() {
        return Ok(python);
    }
    create(&dir)?;
    Task::new(&python)
        .words("-m pip install --quiet --disable-pip-version-check --no-input --requirement")
        .arg(&source)
        .run_ok()
        .context("the Python packages of the tests could not be installed")?;
    fs::write(&stamp, wanted)?;
    Ok(python)
}

/// Where an older Dask is; installs it if need be.
pub(crate) fn older_dask(project: &Project) -> Result<PathBuf> {
    packages_beside(project, &interpreter(project), OLDER_DASK, "older-dask")
        .context("the older Dask could not be installed")
}

/// A folder below `target/` with packages that the environment itself does not have; installs them if need be.
pub(crate) fn packages_beside(
    project: &Project,
    python: &Path,
    requirements: &str,
    folder: &str,
) -> Result<PathBuf> {
    let source = project.root.join(requirements);
    let wanted = fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
    let dir = project.target_dir.join(folder);
    let stamp = dir.join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(dir);
    }
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    Task::new(python)
        .words("-m pip install --quiet --disable-pip-version-check --no-input --no-deps --target")
        .arg(&dir)
        .arg("--requirement")
        .arg(&source)
        .run_ok()?;
    fs::write(&stamp, wanted)?;
    Ok(dir)
}

/// Adds the peers of the benchmarks that are not on every platform. One that cannot be installed is said to be missing.
pub(crate) fn add_peers(project: &Project) -> Result<()> {
    let source = project.root.join(PEERS);
    let wanted = fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
    let stamp = env_dir(project).join(PEERS_STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let installed = Task::new(interpreter(project))
        .words("-m pip install --quiet --disable-pip-version-check --no-input --no-deps --requirement")
        .arg(&source)
        .run_ok();
    match installed {
        Ok(_) => fs::write(&stamp, wanted)?,
        Err(why) => println!("the peers in {PEERS} are not measured: {why:#}"),
    }
    Ok(())
}

/// Builds the package of this checkout, in the profile of the other tests, and installs it.
pub(crate) fn install_package(project: &Project) -> Result<()> {
    let python = interpreter(project);
    let wheels = project.target_dir.join("python-wheels");
    if wheels.exists() {
        fs::remove_dir_all(&wheels).with_context(|| format!("cannot remove {}", wheels.display()))?;
    }
    Task::new(&python)
        .words("-m maturin build --quiet --profile dev --manifest-path")
        .arg(project.root.join(PACKAGE))
        .arg("--interpreter")
        .arg(&python)
        .arg("--out")
        .arg(&wheels)
        .dir(&project.root)
        .limit(BUILD_LIMIT)
        .run_ok()
        .context("the Python package could not be built")?;
    let mut install = Task::new(&python)
        .words("-m pip install --quiet --disable-pip-version-check --no-input --no-deps --force-reinstall");
    for wheel in fs::read_dir(&wheels)? {
        install = install.arg(wheel?.path());
    }
    install
        .run_ok()
        .context("the Python package could not be installed")?;
    Ok(())
}

fn env_dir(project: &Project) -> PathBuf {
    project.target_dir.join("python-env")
}

/// Makes an empty environment. Debian's Python comes without `venv`, so it is installed if need be.
fn create(dir: &Path) -> Result<()> {
    let make = || -> Result<()> {
        if dir.exists() {
            fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        }
        Task::new("python3")
            .words("-m venv")
            .arg(dir)
            .run_ok()
            .map(|_| ())
    };
    let Err(first) = make() else { return Ok(()) };
    println!("python3 cannot make an environment yet: {first:#}");
    tools::apt_install(&["python3", "python3-venv"])
        .context("tests need Python 3.11 or newer with its module `venv`")?;
    make()
}
