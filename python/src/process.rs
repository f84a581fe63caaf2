//! Schedulers and workers as processes of Python.

use std::{
    collections::BTreeMap,
    io::{BufRead, Write},
    net::SocketAddr,
    ops::RangeInclusive,
    os::{fd::AsFd, unix::process::ExitStatusExt},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use graticule_plan::Resource;
use graticule_scheduler::{
    AdaptOptions, Decision, Ended, Rules, ServeOptions, WorkerSize, WorkerSource, adapt, serve,
};
use graticule_traces::TraceOptions;
use graticule_worker::{WorkerOptions, ledger_bytes, memory_bytes_for};
use pyo3::prelude::*;
use tokio::sync::{mpsc, oneshot};

use crate::{
    calls::Place,
    children::{self, CHILD_BYTES, Children},
    error::Failure,
    functions,
    wait::wait,
};

/// How long a worker's tasks may take to end when the worker is to go.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long they may take when nobody wants their results any more.
const STOP_PATIENCE: Duration = Duration::from_secs(1);
/// Time between two looks at the workers.
const INTERVAL: Duration = Duration::from_millis(200);
/// What the start of a worker process is thought to take.
const START: Duration = Duration::from_secs(1);
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// A worker without work for so long may go.
const IDLE: Duration = Duration::from_secs(3);
/// The line that has all workers begin anew.
const RESTART: &str = "restart";
/// The exit code of a worker one of whose functions did not stop in its time.
const TIMED_OUT: i32 = 124;
/// The signal that no process survives.
const SIGKILL: i32 = 9;
/// Time between two looks whether a process has ended.
const END_POLL: Duration = Duration::from_millis(10);

fn cluster_error(error: impl std::fmt::Display) -> Failure {
    Failure::new("ClusterError", error.to_string())
}

fn parsed(address: &str) -> Result<SocketAddr, Failure> {
    let parsed = address.parse();
    parsed.map_err(|error| Failure::value(format!("{address:?} is no address: {error}; write 127.0.0.1:0")))
}

/// Host names by which dashboards may be asked for, as an environment says that goes by a proxy of another name.
pub(crate) fn dashboard_hosts() -> Vec<String> {
    let named = std::env::var("GRATICULE_DASHBOARD_HOSTS").unwrap_or_default();
    let names = named.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// Where spans of jobs go, as the environment says; nowhere without a dashboard, which is told what they are made of.
pub(crate) fn traces(has_dashboard: bool) -> Result<Option<TraceOptions>, Failure> {
    let wanted = has_dashboard.then(TraceOptions::from_environment).transpose();
    wanted.map(Option::flatten).map_err(cluster_error)
}

/// Works for a scheduler until it is told to end.
#[pyfunction]
#[pyo3(signature = (scheduler, listen, name, slots, memory, resources, spill_dir, ends_with_stdin, children = None, version = None))]
#[allow(clippy::too_many_arguments)] // Python gives them in this order, in one place.
fn serve_worker(
    py: Python<'_>,
    scheduler: String,
    listen: &str,
    name: String,
    slots: Option<u32>,
    memory: Option<u64>,
    resources: BTreeMap<String, u32>,
    spill_dir: Option<PathBuf>,
    ends_with_stdin: bool,
    children: Option<Vec<String>>,
    version: Option<&str>,
) -> Result<(), Failure> {
    let usual = WorkerOptions::default();
    let slots = slots.unwrap_or(usual.slots).max(1);
    let memory = memory.unwrap_or_else(|| memory_bytes_for(usual.budget_bytes));
    let of_children = children.as_ref().map_or(0, |_| u64::from(slots) * CHILD_BYTES);
    let budget_bytes = ledger_bytes(memory.saturating_sub(of_children));
    let children = children.and_then(|program| Children::new(program, name.clone(), memory, budget_bytes));
    let place = children.map_or(Place::Here, |children| Place::Children(Arc::new(children)));
    let resources = resources.into_iter().map(|(name, count)| Resource {
        name: name.into(),
        count,
    });
    let options = graticule_worker::ServeOptions {
        scheduler,
        listen: parsed(listen)?,
        worker: WorkerOptions {
            name,
            slots,
            budget_bytes,
            resources: resources.collect(),
            functions: functions::registry(py, place, version),
            spill_dir: spill_dir.unwrap_or(usual.spill_dir.clone()),
            ..usual
        },
    };
    wait(py, async move {
        let mut served = graticule_worker::serve(options).await.map_err(cluster_error)?;
        let stdin = lines(ends_with_stdin);
        tokio::select! {
            ended = served.ended() => {
                ended.map_err(cluster_error)?;
                served.stop(Duration::ZERO).await;
            }
            () = no_more(stdin) => served.stop(STOP_PATIENCE).await,
        }
        Ok::<(), Failure>(())
    })
}

/// Serves as a scheduler until it is told to end, with as many worker processes as wanted.
#[pyfunction]
#[pyo3(signature = (listen, dashboard, workers, slots, memory, prefix, program, ends_with_stdin))]
#[allow(clippy::too_many_arguments)] // Python gives them in this order, in one place.
fn serve_scheduler(
    py: Python<'_>,
    listen: &str,
    dashboard: Option<&str>,
    workers: &str,
    slots: u32,
    memory: Option<u64>,
    prefix: String,
    program: Vec<String>,
    ends_with_stdin: bool,
) -> Result<(), Failure> {
    let options = ServeOptions {
        listen: parsed(listen)?,
        dashboard: dashboard.map(parsed).transpose()?,
        dashboard_hosts: dashboard_hosts(),
        traces: traces(dashboard.is_some())?,
        worker_return_us: 0,
        ..ServeOptions::default()
    };
    let wanted = Arc::new(Mutex::new(Wanted {
        bounds: range(workers)?,
        restarts: false,
    }));
    let memory = memory.map_or(WorkerOptions::default().budget_bytes, ledger_bytes);
    let size = WorkerSize {
        slots: slots.max(1),
        budget_bytes: memory,
    };
    wait(py, async move {
        let served = serve(options).await.map_err(cluster_error)?;
        let url = format!("grpc://{}", served.address);
        let dashboard = served.dashboard_url.clone().unwrap_or_else(|| "-".into());
        say(&format!("{url} {dashboard}"))?;
        let source = Processes {
            program,
            url,
            prefix,
            size,
            wanted: wanted.clone(),
            children: Vec::new(),
        };
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let options = AdaptOptions {
            interval: INTERVAL,
            rules: Rules {
                finish_us: micros(START),
                idle_us: micros(IDLE) / 2,
                surplus_us: micros(IDLE),
                after_start_us: micros(IDLE),
                ..Rules::default()
            },
            start: START,
            start_timeout: START_TIMEOUT,
            patience: PATIENCE,
            ..AdaptOptions::new(0..=0)
        };
        let (stop, stopped) = oneshot::channel();
        let adapting = tokio::spawn(adapt(served.scheduler.clone(), source, options, stopped));
        let mut said = lines(ends_with_stdin);
        while let Some(line) = said.recv().await {
            let mut wanted = wanted.lock().unwrap_or_else(PoisonError::into_inner);
            match range(&line) {
                Ok(bounds) => wanted.bounds = bounds,
                Err(_) => wanted.restarts |= line == RESTART,
            }
        }
        // A loop that has ended by itself hears nothing.
        let _ = stop.send(());
        let mut source = adapting.await.map_err(cluster_error)?;
        source.end().await;
        served.shutdown().await;
        Ok::<(), Failure>(())
    })
}

/// `3`, or `1..4`.
fn range(text: &str) -> Result<RangeInclusive<u32>, Failure> {
    let wrong = || Failure::value(format!("{text:?} is no number of workers; write 3, or 1..4"));
    let number = |text: &str| text.trim().parse::<u32>().map_err(|_| wrong());
    match text.split_once("..") {
        None => number(text).map(|count| count..=count),
        Some((fewest, most)) => Ok(number(fewest)?..=number(most)?),
    }
}

fn say(line: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(cluster_error)
}

/// The lines of the standard input until it ends; none, and no end, if nobody minds it.
fn lines(minds: bool) -> mpsc::UnboundedReceiver<String> {
    let (sender, lines) = mpsc::unbounded_channel();
    // A thread of its own, since a read of standard input cannot be given up.
    std::thread::spawn(move || {
        if !minds {
            loop {
                std::thread::park();
            }
        }
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

async fn no_more(mut lines: mpsc::UnboundedReceiver<String>) {
    while lines.recv().await.is_some() {}
}

/// How a process ended, if not in good order.
pub(crate) fn how_ended(status: ExitStatus) -> Option<String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(TIMED_OUT), _) => Some("was ended since a function did not stop in its time".into()),
        (Some(code), _) => Some(format!("ended with exit code {code}")),
        (None, Some(SIGKILL)) => Some(format!(
            "was killed by signal {SIGKILL}, as the system does when memory runs out"
        )),
        (None, Some(signal)) => Some(format!("was killed by signal {signal}{}", name_of(signal))),
        (None, None) => Some("ended, nobody knows how".into()),
    }
}

/// Where workers' standard output goes: this process' own has a reader that minds nothing else.
fn stderr() -> Stdio {
    let own = std::io::stderr().as_fd().try_clone_to_owned();
    own.map_or_else(|_| Stdio::null(), Stdio::from)
}

fn name_of(signal: i32) -> &'static str {
    match signal {
        6 => " (abort)",
        7 => " (bus error)",
        8 => " (arithmetic error)",
        11 => " (segmentation fault)",
        _ => "",
    }
}

/// What whoever started this process wants of it.
struct Wanted {
    /// The fewest and the most workers.
    bounds: RangeInclusive<u32>,
    /// All workers are to begin anew.
    restarts: bool,
}

/// Worker processes. They end with this one, even if it is killed: their standard input ends then.
struct Processes {
    program: Vec<String>,
    url: String,
    prefix: String,
    size: WorkerSize,
    wanted: Arc<Mutex<Wanted>>,
    children: Vec<(String, Child)>,
}

impl Processes {
    /// Ends all processes; those that take longer are killed.
    async fn end(&mut self) {
        for (_, process) in &mut self.children {
            drop(process.stdin.take());
        }
        let begun = Instant::now();
        while !self.children.is_empty() && begun.elapsed() < STOP_PATIENCE * 2 {
            self.ended();
            tokio::time::sleep(END_POLL).await;
        }
        for (_, process) in &mut self.children {
            // One that has ended meanwhile cannot be killed, and need not be.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl WorkerSource for Processes {
    fn size(&self) -> WorkerSize {
        self.size
    }

    fn bounds(&self) -> Option<RangeInclusive<u32>> {
        Some(
            self.wanted
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .bounds
                .clone(),
        )
    }

    fn prefix(&self) -> &str {
        &self.prefix
    }

    fn start(&mut self, name: &str) -> Result<(), String> {
        let [program, arguments @ ..] = &self.program[..] else {
            return Err("no program is named".into());
        };
        let memory = memory_bytes_for(self.size.budget_bytes).to_string();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .args(["--ends-with-stdin", "--name", name])
            .args([
                "--nthreads",
                &self.size.slots.to_string(),
                "--memory-limit",
                &memory,
            ])
            .arg(&self.url)
            .stdin(Stdio::piped())
            .stdout(stderr());
        let process = command.spawn().map_err(|error| error.to_string())?;
        self.children.push((name.into(), process));
        Ok(())
    }

    fn give_up(&mut self, name: &str) {
        for (_, process) in self.children.iter_mut().filter(|(of, _)| of == name) {
            // As above.
            let _ = process.kill();
            let _ = process.wait();
        }
        self.children.retain(|(of, _)| of != name);
    }

    fn ended(&mut self) -> Vec<Ended> {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut wanted.restarts) {
            // One that has ended by itself cannot be killed, and need not be.
            self.children
                .iter_mut()
                .for_each(|(_, process)| drop(process.kill()));
        }
        drop(wanted);
        let mut ended = Vec::new();
        self.children.retain_mut(|(name, process)| {
            let how = match process.try_wait() {
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

    fn decided(&mut self, _: &Decision) {}
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(children::serve_child, module)?)?;
    module.add_function(wrap_pyfunction!(serve_worker, module)?)?;
    module.add_function(wrap_pyfunction!(serve_scheduler, module)?)
}
