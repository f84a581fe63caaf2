//! Tools that the checks need and a fresh machine may lack.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{Task, installed};
use crate::project::Project;

/// Names under which distributions ship the browser.
const CHROMIUM_NAMES: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// The version of cargo-deny that is built where none is installed.
const CARGO_DENY_VERSION: &str = "0.20.2";
const CARGO_DENY_LIMIT: Duration = Duration::from_secs(20 * 60);

/// The path of cargo-deny: the machine's own, or one built once into `target/tools`.
pub(crate) fn cargo_deny(project: &Project) -> Result<PathBuf> {
    if installed("cargo-deny") {
        return Ok("cargo-deny".into());
    }
    let root = project.target_dir.join("tools");
    let program = root.join("bin/cargo-deny");
    if !program.is_file() {
        // Not optimised: that takes a quarter of the time to build, and it runs for a second.
        project
            .cargo("install --quiet --locked --debug --no-default-features cargo-deny --version")
            .arg(CARGO_DENY_VERSION)
            .arg("--root")
            .arg(&root)
            .env("CARGO_TARGET_DIR", root.join("build"))
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            .limit(CARGO_DENY_LIMIT)
            .run_ok()
            .context("cargo-deny could not be built; `cargo install --locked cargo-deny` installs it")?;
    }
    Ok(program)
}

/// The path of a Chromium, which is installed if there is none.
pub(crate) fn chromium() -> Result<PathBuf> {
    // Who drives the browser wants its whole path.
    let find = || {
        let path = std::env::var_os("PATH")?;
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        let places = CHROMIUM_NAMES
            .iter()
            .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        places.into_iter().find(|program| program.is_file())
    };
    if let Some(program) = find() {
        return Ok(program);
    }
    apt_install(&["chromium"]).context("the browser tests need Chromium")?;
    find().context("the package chromium is installed, but there is no program of that name in PATH")
}

/// Fails with what to install, unless Node.js and npm are there.
pub(crate) fn node() -> Result<()> {
    if installed("node") && installed("npm") {
        return Ok(());
    }
    bail!("Node.js 20 or newer with npm is needed to check and build the dashboard's page: install it")
}

/// Installs packages of the distribution; as root and with apt only.
pub(crate) fn apt_install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    let user = Task::new("id").arg("-u").quiet().run()?;
    if user.output.trim() != "0" || !installed("apt-get") {
        bail!("not installed, and only root can install it here: run `apt-get install {names}`");
    }
    let apt = || Task::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive");
    apt().words("update --quiet").quiet().run_ok()?;
    apt()
        .words("install --quiet --yes --no-install-recommends")
        .words(&names)
        .quiet()
        .run_ok()?;
    Ok(())
}
