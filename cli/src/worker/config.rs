use std::{net::SocketAddr, path::PathBuf, time::Duration};

use graticule_worker::{ServeOptions, WorkerOptions, ledger_bytes};

use graticule_plan::Resource;

use crate::values::{parse_bytes, parse_duration, parse_resource};

/// How a worker runs. Flags go before the environment, and that before what stands here.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(crate) struct Config {
    /// The scheduler.
    #[arg(
        long,
        env = "GRATICULE_SCHEDULER",
        default_value = "grpc://127.0.0.1:8786",
        value_name = "URL"
    )]
    pub(crate) scheduler: String,
    /// Address for peers and clients; port 0 takes a free one. Loopback only, until there are TLS and tokens.
    #[arg(
        long,
        env = "GRATICULE_WORKER_LISTEN",
        default_value = "127.0.0.1:0",
        value_name = "ADDRESS"
    )]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) resources: Resources,
    /// How long the worker may take to leave when it is told to: to end its tasks, and to have others copy what only it
    /// holds.
    #[arg(long, env = "GRATICULE_PATIENCE", default_value = "30s", value_parser = parse_duration, value_name = "TIME")]
    pub(crate) patience: Duration,
    /// End when standard input does: whoever started this worker is gone then, or wants it to go.
    #[arg(long, hide = true)]
    pub(crate) ends_with_stdin: bool,
    /// Know the function that `graticule bench functions` calls.
    #[arg(long, hide = true)]
    pub(crate) bench_functions: bool,
}

/// What a worker may use.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Resources {
    /// A name for people.
    #[arg(long, env = "GRATICULE_WORKER_NAME")]
    pub(crate) name: Option<String>,
    /// Tasks computed at a time; by default one for each CPU.
    #[arg(long, env = "GRATICULE_SLOTS", value_parser = clap::value_parser!(u32).range(1..=4096), value_name = "COUNT")]
    pub(crate) slots: Option<u32>,
    /// Memory of the process, such as 4GiB: 64 MiB and a sixteenth of it are kept for the process itself, the rest is for
    /// chunks and running tasks. By default these get six tenths of the machine's memory.
    #[arg(long, env = "GRATICULE_MEMORY", value_parser = parse_bytes, value_name = "BYTES")]
    pub(crate) memory: Option<u64>,
    /// Countable things that tasks may need, such as GPU=2; more than one is separated by commas.
    #[arg(long, env = "GRATICULE_RESOURCES", value_parser = parse_resource, value_delimiter = ',', value_name = "NAME=COUNT")]
    pub(crate) resource: Vec<Resource>,
    /// The folder below which chunks that do not fit memory are written.
    #[arg(long, env = "GRATICULE_SPILL_DIR", value_name = "DIR")]
    pub(crate) spill_dir: Option<PathBuf>,
}

impl Resources {
    /// The library's options.
    pub(crate) fn options(&self) -> WorkerOptions {
        let usual = WorkerOptions::default();
        WorkerOptions {
            name: self.name.clone().unwrap_or(usual.name),
            slots: self.slots.unwrap_or(usual.slots),
            budget_bytes: self.memory.map_or(usual.budget_bytes, ledger_bytes),
            spill_dir: self.spill_dir.clone().unwrap_or(usual.spill_dir),
            resources: self.resource.clone(),
            functions: usual.functions,
            heartbeat_us: usual.heartbeat_us,
        }
    }
}

/// Slots for which one thread moves messages and chunks: more threads would wake each other for every message, and take
/// the CPUs that the slots' own threads compute on.
const SLOTS_PER_RUNTIME_THREAD: u32 = 4;

impl Config {
    /// Threads beside those of the slots.
    pub(crate) fn runtime_threads(&self) -> usize {
        let slots = self.resources.options().slots;
        slots.div_ceil(SLOTS_PER_RUNTIME_THREAD).max(1) as usize
    }

    /// The library's options.
    pub(crate) fn options(&self) -> ServeOptions {
        let mut worker = self.resources.options();
        if self.bench_functions {
            worker.functions = crate::bench::functions::registry();
        }
        ServeOptions {
            scheduler: self.scheduler.clone(),
            listen: self.listen,
            worker,
        }
    }
}
