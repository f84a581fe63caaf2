//! Workers as processes of this one, as many as the work asks for.

use std::{
    ops::RangeInclusive,
    os::unix::process::ExitStatusExt,
    process::{Command, ExitCode, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use graticule_scheduler::{AdaptOptions, Decision, Ended, Rules, Served, WorkerSize, WorkerSource, adapt};
use graticule_worker::{ledger_bytes, memory_bytes_for};
use tokio::sync::oneshot;

use super::Config;
use crate::{processes::Process, signals::Interrupt, terminal};

/// What the start of a worker process is thought to take.
const START: Duration = Duration::from_millis(500);
/// One that has not connected for so long is ended.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Time between two decisions, at most.
const INTERVAL: Duration = Duration::from_secs(1);
/// The signal that no process survives.
const SIGKILL: i32 = 9;
/// Time between two looks whether a process has ended.
const END_POLL: Duration = Duration::from_millis(10);

/// Serves until it is told to end; then ends all workers.
pub(super) async fn run(
    config: &Config,
    range: RangeInclusive<u32>,
    served: Served,
    interrupt: Interrupt,
) -> anyhow::Result<ExitCode> {
    let workers = Processes::new(config, *range.end(), format!("grpc://{}", served.address))?;
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let idle_us = micros(config.adapt_idle);
    let options = AdaptOptions {
        interval: INTERVAL.min(config.adapt_idle / 4),
        rules: Rules {
            finish_us: micros(config.adapt_within),
            idle_us: idle_us / 2,
            surplus_us: idle_us,
            after_start_us: idle_us,
            ..Rules::default()
        },
        start: START,
        start_timeout: START_TIMEOUT,
        ..AdaptOptions::new(range)
    };
    let (stop, stopped) = oneshot::channel();
    let adapting = tokio::spawn(adapt(served.scheduler.clone(), workers, options, stopped));
    interrupt.wait().await;
    terminal::note("shutting down; Ctrl-C again ends at once");
    // A loop that has ended by itself hears nothing.
    let _ = stop.send(());
    adapting.await?.end(config.patience).await;
    served.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

/// How a process ended, if not in good order.
fn how_ended(status: ExitStatus) -> Option<String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("ended with exit code {code}")),
        (None, Some(SIGKILL)) => Some(format!(
            "was killed by signal {SIGKILL}, as the system does when memory runs out"
        )),
        (None, Some(signal)) => Some(format!("was killed by signal {signal}")),
        (None, None) => Some("ended, nobody knows how".into()),
    }
}

/// Worker processes. They end with this one, even if it is killed: their standard input ends then.
struct Processes {
    program: std::path::PathBuf,
    arguments: Vec<String>,
    size: WorkerSize,
    children: Vec<(String, Process)>,
}

impl Processes {
    fn new(config: &Config, most: u32, scheduler: String) -> anyhow::Result<Self> {
        let usual = config.resources.options();
        let share = |whole: u64| whole / u64::from(most.max(1));
        let slots = u32::try_from(share(u64::from(usual.slots)).max(1)).unwrap_or(1);
        let size = WorkerSize {
            slots: config.resources.slots.unwrap_or(slots),
            budget_bytes: config
                .resources
                .memory
                .map_or(share(usual.budget_bytes), ledger_bytes),
        };
        let memory = memory_bytes_for(size.budget_bytes);
        let (slots, memory) = (size.slots.to_string(), memory.to_string());
        let spill_dir = usual.spill_dir.display().to_string();
        let arguments = [
            "worker",
            "--ends-with-stdin",
            "--scheduler",
            &scheduler,
            "--listen",
            "127.0.0.1:0",
            "--slots",
            &slots,
            "--memory",
            &memory,
            "--spill-dir",
            &spill_dir,
        ];
        Ok(Self {
            program: std::env::current_exe()?,
            arguments: arguments.map(str::to_owned).into(),
            size,
            children: Vec::new(),
        })
    }

    /// Ends all processes; those that take longer than `patience` are killed.
    async fn end(mut self, patience: Duration) {
        for (_, process) in &mut self.children {
            drop(process.0.stdin.take());
        }
        let begun = Instant::now();
        while !self.children.is_empty() && begun.elapsed() < patience {
            self.ended();
            tokio::time::sleep(END_POLL).await;
        }
    }
}

impl WorkerSource for Processes {
    fn size(&self) -> WorkerSize {
        self.size
    }

    fn start(&mut self, name: &str) -> Result<(), String> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(["--name", name]);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let process = Process::spawn(&mut command).map_err(|error| error.to_string())?;
        self.children.push((name.into(), process));
        Ok(())
    }

    fn give_up(&mut self, name: &str) {
        self.children.retain(|(of, _)| of != name);
    }

    fn ended(&mut self) -> Vec<Ended> {
        let mut ended = Vec::new();
        self.children.retain_mut(|(name, process)| {
            let how = match process.0.try_wait() {
                Ok(None) => return true,
                Ok(Some(status)) => how_ended(status),
                Err(error) => Some(format!("cannot be waited for: {error}")),
            };
            let name = std::mem::take(name);
            ended.push(Ended { name, how });
            false
        });
        ended
    }

    fn decided(&mut self, decision: &Decision) {
        terminal::note(&format!("{} workers: {}", decision.wanted, decision.reason));
    }
}
