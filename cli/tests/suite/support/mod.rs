//! What the tests of this crate share: the command, its processes, sample data.
#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The command, whatever the environment sets.
pub(crate) fn graticule(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_graticule"));
    let ours = std::env::vars_os().map(|(name, _)| name);
    for name in ours.filter(|name| name.to_string_lossy().starts_with("GRATICULE_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// A file of the repository's sample data.
pub(crate) fn sample(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/data")
        .join(path)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A process of a test; it ends with it.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and need not be.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Starts the command with its standard output in a pipe.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(&mut graticule(arguments))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::piped()).spawn().unwrap())
    }

    /// Starts a scheduler without a dashboard; gives where it listens too.
    pub(crate) fn scheduler() -> (Self, String) {
        let mut scheduler = Self::start(&["scheduler", "--listen", "127.0.0.1:0", "--no-dashboard"]);
        let url = scheduler.scheduler_url();
        (scheduler, url)
    }

    /// Where a scheduler says that it listens, with its first line.
    pub(crate) fn scheduler_url(&mut self) -> String {
        let line = self.first_line();
        line.strip_prefix("scheduler at ").unwrap().to_owned()
    }

    /// The first line of its standard output.
    pub(crate) fn first_line(&mut self) -> String {
        let mut line = String::new();
        let mut output = BufReader::new(self.0.stdout.as_mut().unwrap());
        output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Sends a signal by its name, such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let arguments = [format!("-{name}"), self.0.id().to_string()];
        assert!(Command::new("kill").args(arguments).status().unwrap().success());
    }

    /// The exit code, when the process has ended.
    pub(crate) fn code(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::yield_now();
        }
    }

    /// The processes that this one has started and that are there, as Linux tells them.
    pub(crate) fn children(&self) -> Vec<u32> {
        let entries = std::fs::read_dir("/proc").unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        let ids = names.filter_map(|name| name.to_str()?.parse().ok());
        ids.filter(|&id| parent(id) == Some(self.0.id())).collect()
    }
}

fn parent(id: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name before it stands in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(1)?.parse().ok()
}
