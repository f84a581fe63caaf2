//! Processes that run one program, and the memory that they and their children take meanwhile.

use std::{
    fs,
    io::Read,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;

use crate::processes::Process;

/// Between two looks at the memory.
const SAMPLE: Duration = Duration::from_millis(25);

/// What a process said and took.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) status: ExitStatus,
    pub(super) printed: String,
    pub(super) complained: String,
    /// The most memory that it and its children had together.
    pub(super) peak_bytes: u64,
}

/// Runs a command to its end, or ends it after `limit`.
///
/// # Errors
/// If it does not start.
pub(super) fn run(command: &mut Command, limit: Duration) -> anyhow::Result<Done> {
    let name = command.get_program().to_string_lossy().into_owned();
    let command = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut process = Process::spawn(command).with_context(|| format!("cannot run {name}"))?;
    let (stdout, stderr) = (process.0.stdout.take(), process.0.stderr.take());
    let (printed, complained) = (read_all(stdout), read_all(stderr));
    let (mut peak_bytes, mut is_late) = (0, false);
    let begun = Instant::now();
    let status = loop {
        peak_bytes = peak_bytes.max(bytes_of_tree(process.0.id()));
        if let Some(status) = process
            .0
            .try_wait()
            .with_context(|| format!("cannot wait for {name}"))?
        {
            break status;
        }
        if !is_late && begun.elapsed() > limit {
            is_late = true;
            // It may have ended meanwhile.
            let _ = process.0.kill();
        }
        thread::sleep(SAMPLE);
    };
    if is_late {
        // Its children may hold the pipes' other ends.
        return Ok(Done {
            status,
            printed: String::new(),
            complained: format!("it took more than {} s and was ended", limit.as_secs()),
            peak_bytes,
        });
    }
    let text = |reader: thread::JoinHandle<String>| reader.join().unwrap_or_default();
    Ok(Done {
        status,
        printed: text(printed),
        complained: text(complained),
        peak_bytes,
    })
}

fn read_all(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before an error is all there is to say.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Memory of a process and its descendants; what several share counts once.
fn bytes_of_tree(pid: u32) -> u64 {
    own_bytes(pid).unwrap_or(0) + children(pid).into_iter().map(bytes_of_tree).sum::<u64>()
}

/// The processes that a process started, in whichever of its threads: the system lists them by thread.
fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    let mut of_all = Vec::new();
    for thread in threads.flatten() {
        let listed = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        of_all.extend(
            listed
                .split_whitespace()
                .filter_map(|child| child.parse::<u32>().ok()),
        );
    }
    of_all
}

/// A process's proportional set size: what it shares with others is divided among them.
fn own_bytes(pid: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find(|line| line.starts_with("Pss:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_says_what_it_says_and_its_children_count() {
        let script = "sh -c 'sleep 0.3; echo said; echo complained >&2; exit 3'; exit $?";
        let done =
            run(Command::new("sh").args(["-c", script]), Duration::from_secs(60)).expect("there is a shell");
        assert_eq!(done.status.code(), Some(3));
        assert_eq!(
            (done.printed.as_str(), done.complained.as_str()),
            ("said\n", "complained\n")
        );
        assert!(done.peak_bytes > 100_000, "{} bytes", done.peak_bytes);
    }

    #[test]
    fn what_another_thread_started_is_a_child() {
        let found = thread::spawn(|| {
            let mut sleeping = Command::new("sleep")
                .arg("60")
                .spawn()
                .expect("there is such a program");
            let is_found = children(std::process::id()).contains(&sleeping.id());
            sleeping.kill().expect("it runs");
            sleeping.wait().expect("it was ended");
            is_found
        });
        assert!(found.join().expect("it does not panic"));
    }

    #[test]
    fn a_process_that_takes_too_long_is_ended() {
        let mut sleeping = Command::new("sleep");
        let done = run(sleeping.arg("600"), Duration::from_millis(50)).expect("there is such a program");
        assert!(!done.status.success());
        assert!(done.complained.contains("was ended"), "{}", done.complained);
    }
}
