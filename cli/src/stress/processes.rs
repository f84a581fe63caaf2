//! A scheduler and workers of this very program, each a process of its own.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use anyhow::Context;

/// A scheduler process and the workers that connect to it. They are killed when this is dropped.
#[derive(Debug)]
pub(super) struct Processes {
    /// Where the scheduler listens.
    pub(super) url: String,
    scheduler: Process,
    workers: Vec<Process>,
    /// What each worker is started with, beside the scheduler's address.
    worker_arguments: Vec<String>,
}

/// One process; killed when dropped.
#[derive(Debug)]
struct Process(Child);

impl Processes {
    /// Starts a scheduler on a free port, without a dashboard and without workers.
    ///
    /// # Errors
    /// If the process does not start or does not say where it listens.
    pub(super) fn start(worker_arguments: &[&str]) -> anyhow::Result<Self> {
        let mut scheduler = spawn(
            ["scheduler", "--listen", "127.0.0.1:0", "--no-dashboard"],
            Stdio::piped(),
        )?;
        let output = scheduler.0.stdout.take().context("standard output is piped")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let url = line.trim().strip_prefix("scheduler at ");
        let url = url.context("the scheduler did not say where it is")?.to_owned();
        Ok(Self {
            url,
            scheduler,
            workers: Vec::new(),
            worker_arguments: worker_arguments.iter().map(|&word| word.to_owned()).collect(),
        })
    }

    /// Starts one more worker. It connects when it is ready.
    ///
    /// # Errors
    /// If the process does not start.
    pub(super) fn add_worker(&mut self) -> anyhow::Result<()> {
        let fixed = ["worker", "--scheduler", &self.url];
        let words = fixed
            .into_iter()
            .chain(self.worker_arguments.iter().map(String::as_str));
        self.workers.push(spawn(words, Stdio::null())?);
        Ok(())
    }

    /// The worker processes' ids.
    pub(super) fn worker_pids(&self) -> Vec<u32> {
        self.workers.iter().map(|worker| worker.0.id()).collect()
    }

    /// Kills (SIGKILL) the worker that has lived longest but for `place` others.
    pub(super) fn kill_worker(&mut self, place: usize) {
        if !self.workers.is_empty() {
            drop(self.workers.remove(place % self.workers.len()));
        }
    }

    /// What has ended though nobody wanted it to, with its exit status, if anything has.
    ///
    /// # Errors
    /// If the system does not tell.
    pub(super) fn ended(&mut self) -> std::io::Result<Option<String>> {
        if let Some(status) = self.scheduler.0.try_wait()? {
            return Ok(Some(format!("the scheduler ended: {status}")));
        }
        for worker in &mut self.workers {
            if let Some(status) = worker.0.try_wait()? {
                return Ok(Some(format!(
                    "worker process {} ended by itself: {status}",
                    worker.0.id()
                )));
            }
        }
        Ok(None)
    }
}

/// Starts this program with other arguments. A Ctrl-C at the terminal reaches this process alone, which ends the others.
fn spawn<'a>(words: impl IntoIterator<Item = &'a str>, output: Stdio) -> anyhow::Result<Process> {
    let program = std::env::current_exe().context("this program has no path")?;
    let mut command = Command::new(program);
    let ours = std::env::vars_os().map(|(name, _)| name);
    for name in ours.filter(|name| is_setting(name)) {
        command.env_remove(name);
    }
    command.args(words).args(["--log", "error"]);
    command.stdin(Stdio::null()).stdout(output);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    Ok(Process(command.spawn()?))
}

/// What is measured must not depend on settings that happen to be in the environment.
fn is_setting(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("GRATICULE_"))
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
