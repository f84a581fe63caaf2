//! A cluster of processes, for benchmarks.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use graticule_client::{Client, ConnectOptions};

/// How long the processes may take to find each other.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A scheduler and workers in processes of their own; killed when dropped.
pub(super) struct Processes {
    pub(super) url: String,
    children: Vec<Child>,
}

impl Processes {
    /// Starts them, and waits until all workers are connected. `options` are the workers'.
    pub(super) async fn start(workers: usize, options: &[&str]) -> anyhow::Result<Self> {
        let mut processes = Self {
            url: String::new(),
            children: Vec::new(),
        };
        let line = processes.spawn(&["scheduler", "--listen", "127.0.0.1:0", "--no-dashboard"])?;
        let url = line
            .strip_prefix("scheduler at ")
            .context("the scheduler did not say where it is")?;
        processes.url = url.to_owned();
        let url = processes.url.clone();
        for _ in 0..workers {
            processes.spawn(&[&["worker", "--scheduler", &url], options].concat())?;
        }
        let waited = Instant::now();
        let count = async || -> anyhow::Result<usize> {
            let info = Client::info_of(&url, &ConnectOptions::default()).await?;
            Ok(info.workers.len())
        };
        while count().await? < workers {
            if waited.elapsed() > START_TIMEOUT {
                bail!("the worker processes did not connect");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(processes)
    }

    /// Starts this program with other arguments, and gives its first line.
    fn spawn(&mut self, arguments: &[&str]) -> anyhow::Result<String> {
        let program = std::env::current_exe().context("this program has no path")?;
        let mut child = Command::new(program)
            .args(arguments)
            .args(["--log", "error"])
            .env_remove("GRATICULE_DASHBOARD")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().context("standard output is piped")?;
        self.children.push(child);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
