//! Others of this kind, measured in the same run: Dask, and Frisky where it is installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};
use serde_json::Value;

use super::Report;

/// The peers' side, as a script for Python.
const SCRIPT: &str = include_str!("../../../benches/task_peers.py");
/// How the script ends where a peer is not installed.
const NOT_INSTALLED: i32 = 3;

/// The peers' names, as the script and a person know them.
pub(super) const NAMES: [(&str, &str); 2] = [("dask", "Dask"), ("frisky", "Frisky")];

/// Who is measured beside Graticule.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// A Python with dask and distributed (and frisky, if it shall be measured); without it no peer is measured.
    #[arg(long, env = "GRATICULE_PYTHON", value_name = "PROGRAM")]
    python: Option<PathBuf>,
}

/// Has each peer do something, and tells what each says of it.
///
/// # Errors
/// If a peer that is installed fails.
pub(super) fn measure(
    args: &Args,
    words: &[&str],
    report: &mut Report,
    line: impl Fn(&str, &Value) -> Option<String>,
) -> anyhow::Result<()> {
    let Some(python) = &args.python else {
        let hint = "no peers: name a Python with --python, or use `cargo xtask bench`, which makes one";
        report.lines.push(hint.to_owned());
        return Ok(());
    };
    let script = Script::write()?;
    for (peer, name) in NAMES {
        let Some(said) = script.run(python, peer, words)? else {
            report.lines.push(format!("{name}: not installed"));
            continue;
        };
        let told = line(name, &said).with_context(|| format!("the peer said {said}"))?;
        report.lines.push(told);
        // What a peer did is its key: the same bench may have it do several things.
        report.figures["peers"][peer][words.join(" ")] = said;
    }
    Ok(())
}

/// The script in a file of its own; gone when this is dropped.
struct Script(PathBuf);

impl Script {
    fn write() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("graticule-task-peers-{}.py", std::process::id()));
        fs::write(&path, SCRIPT).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self(path))
    }

    /// What a peer says; `None` if it is not installed.
    fn run(&self, python: &Path, peer: &str, words: &[&str]) -> anyhow::Result<Option<Value>> {
        let output = Command::new(python).arg(&self.0).arg(peer).args(words).output();
        let output = output.with_context(|| format!("cannot run {}", python.display()))?;
        if output.status.code() == Some(NOT_INSTALLED) {
            return Ok(None);
        }
        let printed = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            bail!("{peer} failed at {}: {}", words.join(" "), why.trim());
        }
        let last = printed.lines().last().unwrap_or_default();
        serde_json::from_str(last)
            .map(Some)
            .with_context(|| format!("{peer} printed {printed:?}"))
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // What is left over is in the folder for temporary files.
        let _ = fs::remove_file(&self.0);
    }
}
