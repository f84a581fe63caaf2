//! The dashboard's page: its packages and its npm scripts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::Task;
use crate::project::Project;
use crate::tools;

/// A copy of the lock file inside `node_modules`, written last: it says that the installation is complete.
const STAMP: &str = ".installed-lock.json";

/// The folder of the page's sources, if the checkout has one.
pub(crate) fn dir(project: &Project) -> Option<PathBuf> {
    let dir = project.root.join("dashboard/web");
    dir.join("package.json").is_file().then_some(dir)
}

/// Installs the packages of the lock file, unless they are there already.
pub(crate) fn ensure_packages(dir: &Path) -> Result<()> {
    tools::node()?;
    let lock = dir.join("package-lock.json");
    let wanted = fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let stamp = dir.join("node_modules").join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    npm(dir, "ci --no-audit --no-fund")
        .run_ok()
        .context("the page's packages could not be installed")?;
    fs::write(&stamp, wanted)?;
    Ok(())
}

/// A call of npm in `dir`.
pub(crate) fn npm(dir: &Path, words: &str) -> Task {
    // Browsers come from the distribution: no package may fetch one of its own.
    Task::new("npm")
        .words(words)
        .dir(dir)
        .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
        .env("PUPPETEER_SKIP_DOWNLOAD", "1")
}

/// Builds the page found in `dir` into `dir/dist`.
pub(crate) fn build(dir: &Path) -> Result<()> {
    npm(dir, "run build")
        .run_ok()
        .context("the page does not build")?;
    Ok(())
}
