//! A dashboard that is told of very many tasks as they end, to measure what that takes and how soon it is seen.
//!
//! ```text
//! cargo run --release -p graticule-dashboard --example flood -- [--rate 10000] [--tasks 1000000] [--port 0]
//! ```
//!
//! 32 workers of four slots, each busy all the time, end so many tasks a second, evenly. It prints the page's address, then
//! when the cluster began in milliseconds of Unix time, and at the end what it took: the process' memory (on Linux) and how
//! many records found no room. Then it stays until its input ends.

use std::{
    io::{Read, Write},
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use graticule_dashboard::{Dashboard, DashboardOptions, Feed, LayerInfo, Record, TaskFinished};
use graticule_plan::{JobId, LayerId, TaskId, WorkerId};
use tokio::net::TcpListener;

const WORKER_COUNT: u64 = 32;
const SLOT_COUNT: u64 = 4;
const LAYER_COUNT: u64 = 4;
/// Between two moments at which tasks end.
const STEP: Duration = Duration::from_millis(1);
const JOB: JobId = JobId(1);

struct Arguments {
    rate: u64,
    tasks: u64,
    port: u16,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self {
            rate: 10_000,
            tasks: 1_000_000,
            port: 0,
        };
        while let Some(word) = words.next() {
            let value = words.next().ok_or(format!("{word} needs a value"))?;
            let wrong = |_| format!("{word}: {value:?} is not a number that makes sense here");
            match word.as_str() {
                "--rate" => arguments.rate = value.parse().map_err(wrong)?,
                "--tasks" => arguments.tasks = value.parse().map_err(wrong)?,
                "--port" => arguments.port = value.parse().map_err(wrong)?,
                _ => return Err(format!("unknown option {word}")),
            }
        }
        if arguments.rate == 0 || arguments.tasks < LAYER_COUNT {
            return Err("--rate must be above zero, and --tasks above three".to_owned());
        }
        Ok(arguments)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let (feed, receiver) = Feed::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).await?;
    let (started, began) = (
        Instant::now(),
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?,
    );
    let options = DashboardOptions {
        cluster: "flood".into(),
        started,
        ..Default::default()
    };
    let dashboard = Dashboard::start(listener, receiver, options)?;
    say(&dashboard.url())?;
    say(&format!("{:.3}", began.as_secs_f64() * 1e3))?;
    let before = resident_bytes();
    let telling = std::thread::spawn(move || {
        let mut flood = Flood::begin(feed, started, &arguments);
        while flood.step() {
            std::thread::sleep(STEP);
        }
        flood
    });
    let flood = tokio::task::spawn_blocking(|| telling.join()).await?;
    let flood = flood.map_err(|_| "the thread that tells has ended")?;
    // Two ticks of the aggregator: then it has taken all in.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let grown = resident_bytes().saturating_sub(before);
    say(&format!(
        "told of {} tasks in {:.1} s; {} records had no room; {:.0} MiB more memory, {:.1} bytes a task",
        flood.ended,
        started.elapsed().as_secs_f64(),
        flood.feed.dropped_count(),
        grown as f64 / f64::from(1 << 20),
        grown as f64 / flood.ended as f64,
    ))?;
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    dashboard.shutdown().await;
    Ok(())
}

/// Tasks that end in turn on all lanes.
struct Flood {
    feed: Feed,
    started: Instant,
    rate: u64,
    tasks: u64,
    ended: u64,
    /// When each lane's task began.
    begun_us: Vec<u64>,
}

impl Flood {
    fn begin(feed: Feed, started: Instant, arguments: &Arguments) -> Self {
        for worker in 1..=WORKER_COUNT {
            let joined = Record::WorkerJoined {
                worker: WorkerId(worker),
                name: format!("worker-{worker}").into(),
                address: format!("10.0.0.{worker}:4000").into(),
                slots: SLOT_COUNT as u32,
                budget_bytes: 8 << 30,
            };
            feed.record(0, joined);
        }
        let layers = (0..LAYER_COUNT).map(|layer| LayerInfo {
            name: ["read", "where", "nanmedian", "write"][layer as usize].into(),
            task_count: (arguments.tasks + LAYER_COUNT - 1 - layer) / LAYER_COUNT,
            chunk_bytes: 1 << 20,
            origin: None,
            plan: None,
        });
        let started_job = Record::JobStarted {
            job: JOB,
            name: "flood".into(),
            layers: Arc::from_iter(layers),
        };
        feed.record(0, started_job);
        let lanes = (WORKER_COUNT * SLOT_COUNT) as usize;
        Self {
            begun_us: vec![now_us(started); lanes],
            feed,
            started,
            rate: arguments.rate,
            tasks: arguments.tasks,
            ended: 0,
        }
    }

    /// Ends the tasks that are due; `false` after the last one.
    fn step(&mut self) -> bool {
        let now_us = now_us(self.started);
        let due = (u128::from(now_us) * u128::from(self.rate) / 1_000_000) as u64;
        while self.ended < due.min(self.tasks) {
            // Each ended when it was due, not when this thread was woken.
            let at_us = (self.ended + 1) * 1_000_000 / self.rate;
            self.end_task(at_us);
        }
        self.ended < self.tasks
    }

    fn end_task(&mut self, at_us: u64) {
        let lane = self.ended % (WORKER_COUNT * SLOT_COUNT);
        let task = TaskId {
            job: JOB,
            layer: LayerId((self.ended % LAYER_COUNT) as u32),
            block: self.ended / LAYER_COUNT,
        };
        let worker = WorkerId(1 + lane % WORKER_COUNT);
        let begun_us = std::mem::replace(&mut self.begun_us[lane as usize], at_us).min(at_us);
        let finished = TaskFinished {
            task,
            worker,
            attempt: 0,
            slot: (lane / WORKER_COUNT) as u32,
            started_us: begun_us,
            duration_us: at_us - begun_us,
            fetch_us: 0,
            bytes: 1 << 20,
            spilled: false,
        };
        let assigned = Record::TaskAssigned {
            task,
            worker,
            attempt: 0,
        };
        self.feed.record(begun_us, assigned);
        self.feed.record(at_us, Record::TaskFinished(finished));
        self.ended += 1;
    }
}

fn now_us(since: Instant) -> u64 {
    since.elapsed().as_micros() as u64
}

/// Memory of this process, where the system says it.
fn resident_bytes() -> u64 {
    let told = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = told
        .split_whitespace()
        .nth(1)
        .and_then(|word| word.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
