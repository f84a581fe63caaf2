//! `graticule report`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use graticule_dashboard::{ARCHIVE_BYTES_MAX, Archive};

use crate::terminal;

/// Which run becomes a report.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// The run: a file of the folder that a scheduler was given by --runs, or one that the dashboard gave.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Where the report goes, by default beside the run. It opens in a browser, without a server.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Writes the report, whole or not at all, and prints where it is.
pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let out = args.out.unwrap_or_else(|| args.run.with_extension("html"));
    let archive = read(&args.run)?;
    let partial = out.with_extension("html.partial");
    let written = fs::write(&partial, archive.report()).and_then(|()| fs::rename(&partial, &out));
    if let Err(error) = written {
        // It may not even have been made.
        let _ = fs::remove_file(&partial);
        return Err(error).with_context(|| format!("cannot write {}", out.display()));
    }
    terminal::say(&out.display().to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> Result<Archive> {
    let cannot = || format!("cannot read {}", path.display());
    let len = fs::metadata(path).with_context(cannot)?.len();
    anyhow::ensure!(
        len <= ARCHIVE_BYTES_MAX as u64,
        "{} has {len} bytes, and a run has {ARCHIVE_BYTES_MAX} at most",
        path.display()
    );
    let bytes = fs::read(path).with_context(cannot)?;
    Archive::decode(&bytes).with_context(cannot)
}
