//! A scheduler and workers of this very program, each a process of its own.

use std::{
    ffi::OsStr,
    io::{self, BufRead, BufReader},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use graticule_client::{Client, ConnectOptions};

/// How long workers may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
/// Time between two looks whether they are.
const CONNECT_POLL: Duration = Duration::from_millis(10);

/// A process that does not outlive this value: it is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// Starts it. A Ctrl-C at the terminal does not reach it: that is this process's alone, which ends the others.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        command.spawn().map(Self)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and need not be.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A scheduler process and the workers that connect to it. They are killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Processes {
    /// Where the scheduler listens.
    pub(crate) url: String,
    scheduler: Process,
    workers: Vec<Process>,
    /// What each worker is started with, beside the scheduler's address and where it spills.
    worker_arguments: Vec<String>,
    /// Goes last: nobody writes to it then.
    spill: SpillFolder,
}

impl Processes {
    /// Starts a scheduler on a free port, without a dashboard, and so many workers; waits until they are connected.
    ///
    /// # Errors
    /// If a process does not start, ends, or takes too long.
    pub(crate) async fn start(worker_count: usize, worker_arguments: &[&str]) -> anyhow::Result<Self> {
        Self::start_at(Ipv4Addr::LOCALHOST, worker_count, worker_arguments).await
    }

    /// As [`Processes::start`], with the scheduler at this address.
    ///
    /// # Errors
    /// As [`Processes::start`].
    pub(crate) async fn start_at(
        host: Ipv4Addr,
        worker_count: usize,
        worker_arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let listen = format!("{host}:0");
        let words = ["scheduler", "--listen", &listen, "--no-dashboard"];
        let mut scheduler = spawn(words, Stdio::piped())?;
        let output = scheduler.0.stdout.take().context("standard output is piped")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let url = line.trim().strip_prefix("scheduler at ");
        let url = url.context("the scheduler did not say where it is")?.to_owned();
        let mut processes = Self {
            url,
            scheduler,
            workers: Vec::new(),
            worker_arguments: worker_arguments.iter().map(|&word| word.to_owned()).collect(),
            spill: SpillFolder::new()?,
        };
        for _ in 0..worker_count {
            processes.add_worker()?;
        }
        processes.wait_for_workers().await?;
        Ok(processes)
    }

    /// Starts one more worker. It connects when it is ready.
    ///
    /// # Errors
    /// If the process does not start.
    pub(crate) fn add_worker(&mut self) -> anyhow::Result<()> {
        let url = self.url.clone();
        self.add_worker_at(&url)
    }

    /// Starts one more worker that finds the scheduler at another address, which leads to it.
    ///
    /// # Errors
    /// If the process does not start.
    pub(crate) fn add_worker_at(&mut self, url: &str) -> anyhow::Result<()> {
        let mut command = own_command()?;
        command.args(["worker", "--scheduler", url]);
        self.spawn_worker(command)
    }

    /// Starts one more worker in a network namespace, where it has this address.
    ///
    /// # Errors
    /// If the process does not start.
    pub(crate) fn add_worker_in(&mut self, namespace: &str, host: Ipv4Addr) -> anyhow::Result<()> {
        let own = own_command()?;
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(own.get_program());
        without_settings(&mut command);
        command.args([
            "worker",
            "--scheduler",
            &self.url,
            "--listen",
            &format!("{host}:0"),
        ]);
        self.spawn_worker(command)
    }

    fn spawn_worker(&mut self, mut command: Command) -> anyhow::Result<()> {
        command
            .arg("--spill-dir")
            .arg(&self.spill.0)
            .args(&self.worker_arguments);
        self.workers.push(spawn_quietly(command, Stdio::null())?);
        Ok(())
    }

    /// Waits until as many workers are connected as were started.
    ///
    /// # Errors
    /// If one ends, or they take too long.
    pub(crate) async fn wait_for_workers(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let options = ConnectOptions::default();
        while Client::info_of(&self.url, &options).await?.workers.len() < self.workers.len() {
            if let Some(what) = self.ended()? {
                bail!(what);
            }
            if begun.elapsed() > CONNECT_TIMEOUT {
                bail!("not all workers connected within {} s", CONNECT_TIMEOUT.as_secs());
            }
            tokio::time::sleep(CONNECT_POLL).await;
        }
        Ok(())
    }

    /// The worker processes' ids.
    pub(crate) fn worker_pids(&self) -> Vec<u32> {
        self.workers.iter().map(|worker| worker.0.id()).collect()
    }

    /// The scheduler process's id.
    pub(crate) fn scheduler_pid(&self) -> u32 {
        self.scheduler.0.id()
    }

    /// Kills (SIGKILL) the worker that has lived longest but for `place` others.
    pub(crate) fn kill_worker(&mut self, place: usize) {
        if !self.workers.is_empty() {
            drop(self.workers.remove(place % self.workers.len()));
        }
    }

    /// What has ended though nobody wanted it to, with its exit status, if anything has.
    ///
    /// # Errors
    /// If the system does not tell.
    pub(crate) fn ended(&mut self) -> io::Result<Option<String>> {
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

/// The processor time that a process has had so far, to the hundredth of a second.
///
/// # Errors
/// If the system does not tell, as systems other than Linux do not.
pub(crate) fn processor_time(pid: u32) -> anyhow::Result<Duration> {
    let line = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    let line = line.with_context(|| format!("process {pid} does not say what it takes"))?;
    // The name before the parenthesis may hold anything; user and system time are the 12th and 13th word after it.
    let words = line.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: Vec<u64> = words
        .skip(11)
        .take(2)
        .filter_map(|word| word.parse().ok())
        .collect();
    ensure!(ticks.len() == 2, "/proc/{pid}/stat reads {line:?}");
    Ok(Duration::from_millis(10 * ticks.iter().sum::<u64>()))
}

/// Starts this program with other arguments.
pub(crate) fn spawn<'a>(words: impl IntoIterator<Item = &'a str>, output: Stdio) -> anyhow::Result<Process> {
    let mut command = own_command()?;
    command.args(words);
    spawn_quietly(command, output)
}

fn spawn_quietly(mut command: Command, output: Stdio) -> anyhow::Result<Process> {
    command
        .args(["--log", "error"])
        .stdin(Stdio::null())
        .stdout(output);
    Ok(Process::spawn(&mut command)?)
}

/// This program, without arguments and settings.
fn own_command() -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("this program has no path")?);
    without_settings(&mut command);
    Ok(command)
}

fn without_settings(command: &mut Command) {
    let ours = std::env::vars_os().map(|(name, _)| name);
    for name in ours.filter(|name| is_setting(name)) {
        command.env_remove(name);
    }
}

/// What is measured must not depend on settings that happen to be in the environment.
fn is_setting(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("GRATICULE_"))
}

/// The folder below which the workers spill; gone when this is dropped, for killed workers leave theirs behind.
#[derive(Debug)]
pub(crate) struct SpillFolder(PathBuf);

impl SpillFolder {
    /// Makes it among the system's temporary ones.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn new() -> anyhow::Result<Self> {
        // More than one cluster may be there at a time.
        static MADE_COUNT: AtomicU64 = AtomicU64::new(0);
        let number = MADE_COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("graticule-workers-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SpillFolder {
    fn drop(&mut self) {
        // What is left over is in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
