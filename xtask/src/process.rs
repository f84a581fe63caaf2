//! Running other programs: with a time limit, with their output shown as it comes and kept for reading.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The time a command gets unless [`Task::limit`] says otherwise.
const LIMIT_DEFAULT: Duration = Duration::from_secs(30 * 60);
/// How long output is still awaited after the program itself has ended: a child it left behind may hold the pipe.
const DRAIN_MAX: Duration = Duration::from_secs(2);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// One program to run, without standard input.
pub(crate) struct Task {
    command: Command,
    shown: String,
    limit: Duration,
    quiet: bool,
}

/// How a program ended, and everything it wrote to standard output and standard error, in order of arrival.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) success: bool,
    pub(crate) ending: String,
    pub(crate) output: String,
}

/// What the reader of a pipe adds to.
type Shared = Arc<Mutex<Vec<u8>>>;

impl Task {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program.as_ref());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        forget_own_package(&mut command);
        let shown = Path::new(program.as_ref())
            .file_name()
            .unwrap_or(program.as_ref());
        Self {
            shown: shown.to_string_lossy().into_owned(),
            command,
            limit: LIMIT_DEFAULT,
            quiet: false,
        }
    }

    /// The Cargo that runs this command, of the pinned toolchain.
    pub(crate) fn cargo() -> Self {
        Self::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.shown.push(' ');
        self.shown.push_str(&argument.as_ref().to_string_lossy());
        self.command.arg(argument);
        self
    }

    /// Adds the words of `line`, split at white space.
    pub(crate) fn words(self, line: &str) -> Self {
        line.split_whitespace().fold(self, Self::arg)
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Keeps the output without showing it.
    pub(crate) fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Runs to the end, or to the time limit, at which the program and all its descendants are killed.
    ///
    /// # Errors
    /// Only if the program cannot be started; a failing one is a [`Finished`].
    pub(crate) fn run(mut self) -> Result<Finished> {
        if !self.quiet {
            println!("$ {}", self.shown);
        }
        let mut child = self
            .command
            .spawn()
            .with_context(|| format!("cannot start `{}`", self.shown))?;
        let output = Arc::new(Mutex::new(Vec::new()));
        let (done, drained) = mpsc::channel::<()>();
        let stdout = child.stdout.take().expect("standard output is piped");
        let stderr = child.stderr.take().expect("standard error is piped");
        copy_lines(stdout, Arc::clone(&output), !self.quiet, done.clone());
        copy_lines(stderr, Arc::clone(&output), !self.quiet, done);

        let (success, ending) = wait(&mut child, self.limit)?;
        // The senders drop when both pipes are at their end, which wakes this up with an error.
        let _both_ended = drained.recv_timeout(DRAIN_MAX);
        let output = output.lock().expect("a reader of a pipe never panics").clone();
        Ok(Finished {
            success,
            ending,
            output: String::from_utf8_lossy(&output).into_owned(),
        })
    }

    /// Runs, and makes a failing program an error that ends with what it wrote.
    pub(crate) fn run_ok(self) -> Result<Finished> {
        let (shown, quiet) = (self.shown.clone(), self.quiet);
        let finished = self.run()?;
        if !finished.success {
            let written = if quiet {
                format!(":\n{}", finished.output.trim_end())
            } else {
                String::new()
            };
            bail!("`{shown}` {}{written}", finished.ending);
        }
        Ok(finished)
    }

    /// Runs quietly, and returns standard output alone; a failing program is an error with what it wrote.
    pub(crate) fn run_ok_stdout(mut self) -> Result<String> {
        let output = self
            .command
            .output()
            .with_context(|| format!("cannot start `{}`", self.shown))?;
        if !output.status.success() {
            let written = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
            bail!("`{}` ended with {}:\n{written}", self.shown, output.status);
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Gives the terminal to the program until it ends, for commands that a person watches; true if it succeeded.
    pub(crate) fn run_attached(mut self) -> Result<bool> {
        self.command
            .stdin(Stdio::inherit())
            .stdout(Stdio::inherit())
            .stderr(Stdio::inherit());
        let status = self
            .command
            .status()
            .with_context(|| format!("cannot start `{}`", self.shown))?;
        Ok(status.success())
    }
}

impl Finished {
    /// The last line that is not empty.
    pub(crate) fn last_line(&self) -> &str {
        self.output
            .lines()
            .rev()
            .map(str::trim)
            .find(|line| !line.is_empty())
            .unwrap_or("")
    }
}

/// True if `program` can be found in `PATH`.
pub(crate) fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// Removes what `cargo run` says about this package: a nested Cargo would take it for a change and build again.
fn forget_own_package(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
}

fn copy_lines(pipe: impl Read + Send + 'static, output: Shared, show: bool, done: mpsc::Sender<()>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|size| size > 0) {
            if show {
                // Nobody listening is no reason to stop the program.
                let _ignored = std::io::stdout().write_all(&line);
            }
            output
                .lock()
                .expect("a reader of a pipe never panics")
                .extend_from_slice(&line);
            line.clear();
        }
        drop(done);
    });
}

fn wait(child: &mut Child, limit: Duration) -> Result<(bool, String)> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status.success(), format!("ended with {status}")));
        }
        if start.elapsed() > limit {
            kill_with_descendants(child)?;
            return Ok((
                false,
                format!("was killed after its limit of {} s", limit.as_secs()),
            ));
        }
        thread::sleep(POLL_INTERVAL);
    }
}

fn kill_with_descendants(child: &mut Child) -> Result<()> {
    let descendants = descendants(child.id());
    child.kill()?;
    child.wait()?;
    for id in descendants {
        // It may have ended by itself since.
        let _ignored = Command::new("kill")
            .arg("-KILL")
            .arg(id.to_string())
            .stderr(Stdio::null())
            .status();
    }
    Ok(())
}

/// All processes below `root`, found through `/proc`; none on a system without it.
fn descendants(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(|id| {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            // The name in parentheses may hold anything; state and parent follow its end.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((id, parent))
        })
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(id, _)| *id));
        next += 1;
    }
    found.split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_of_both_streams_is_kept_and_failure_is_reported() {
        let finished = Task::new("sh")
            .quiet()
            .arg("-c")
            .arg("echo out; echo err >&2; exit 3")
            .run()
            .unwrap();
        assert!(!finished.success);
        assert!(finished.output.contains("out\n") && finished.output.contains("err\n"));
        assert!(finished.ending.contains('3'), "{}", finished.ending);
    }

    #[test]
    fn a_program_over_its_limit_is_killed_with_its_children() {
        let script = "sleep 1000 & echo $!; wait";
        let start = Instant::now();
        let finished = Task::new("sh")
            .quiet()
            .arg("-c")
            .arg(script)
            .limit(Duration::from_millis(300))
            .run()
            .unwrap();
        assert!(!finished.success && finished.ending.contains("limit"));
        assert!(start.elapsed() < Duration::from_secs(60));
        let stat = format!("/proc/{}/stat", finished.last_line());
        // Gone, or a zombie that nobody has collected yet; a killed process takes a moment to go.
        let alive = || fs::read_to_string(&stat).is_ok_and(|state| !state.contains(") Z"));
        while alive() {
            assert!(start.elapsed() < Duration::from_secs(60), "the child still runs");
            thread::yield_now();
        }
    }

    #[test]
    fn a_child_left_behind_with_the_pipe_open_does_not_hang_the_run() {
        let start = Instant::now();
        let finished = Task::new("sh")
            .quiet()
            .arg("-c")
            .arg("sleep 20 & echo ready")
            .run()
            .unwrap();
        assert!(finished.success && finished.output.contains("ready"));
        assert!(start.elapsed() < Duration::from_secs(15));
    }

    #[test]
    fn a_missing_program_is_an_error_that_names_it() {
        let error = Task::new("no-such-program-here").quiet().run().unwrap_err();
        assert!(error.to_string().contains("no-such-program-here"));
    }
}
