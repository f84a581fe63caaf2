//! Programs whose data does not fit the workers: they end, with the same bytes, and no worker takes more than it may.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use futures::StreamExt;
use graticule_array::{Array, ArrayError, Chunks, Index, Over};
use graticule_client::Client;
use graticule_ops::ReduceKind;
use graticule_plan::{DType, Digest};
use graticule_worker::{RESERVE_BYTES, SPARE_PART};
use serde_json::json;

use super::Verdict;
use crate::{processes::Processes, values::parse_bytes};

/// What the workers may hold together, as a part of the data: the first run is the one that the others must equal.
const PARTS: [f64; 3] = [2.0, 0.5, 0.05];
/// Between two looks at the workers' memory.
const SAMPLE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// Bytes of the data of each program.
    #[arg(long, default_value = "512MiB", value_parser = parse_bytes, value_name = "BYTES")]
    data: u64,
    /// Elements along each side of a chunk.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u64).range(8..), value_name = "COUNT")]
    chunk: u64,
    /// Groups of the climatology: what is combined of it has one row for each, so that few of them fit little memory.
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..), value_name = "COUNT")]
    days: u64,
    /// Worker processes of one slot.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..), value_name = "COUNT")]
    workers: u16,
    /// How long one program may take.
    #[arg(long, default_value = "10m", value_parser = crate::values::parse_duration, value_name = "TIME")]
    deadline: Duration,
}

/// What a program is made of: the data, which the cluster keeps, and what is computed of it.
type Program = fn(&Data) -> Result<Array, ArrayError>;

/// Two square matrices that the cluster keeps.
struct Data {
    u: Array,
    v: Array,
    /// Rows after which the seasons begin again.
    days: u64,
    /// Of a pancake or a pencil of as many elements as a square chunk has.
    thickness: u64,
}

const PROGRAMS: [(&str, Program); 7] = [
    ("mean", |d| d.u.mean(&Over::all())),
    ("anomaly", |d| d.u.subtract(d.u.mean(&Over::axis(0))?)),
    ("vorticity", |d| {
        let dy = difference(&d.v, 0)?.slice(&[Index::Full, Index::range(1, i64::MAX)])?;
        let dx = difference(&d.u, 1)?.slice(&[Index::range(1, i64::MAX), Index::Full])?;
        let inner = [Index::range(1, i64::MAX), Index::range(1, i64::MAX)];
        let (u, v) = (d.u.slice(&inner)?, d.v.slice(&inner)?);
        u.multiply(dy)?.subtract(v.multiply(dx)?)
    }),
    ("x + x.T", |d| d.u.add(d.u.transpose())),
    ("double difference", |d| difference(&difference(&d.u, 0)?, 0)),
    ("climatology", |d| {
        let days: Vec<Option<u64>> = (0..d.u.shape()[0]).map(|day| Some(day % d.days)).collect();
        let (means, _) = d.u.groupby_reduce(0, &days, ReduceKind::Mean, true)?;
        Ok(means)
    }),
    ("rechunk", |d| {
        let pancakes = [Chunks::Size(d.thickness), Chunks::Whole];
        let pencils = [Chunks::Whole, Chunks::Size(d.thickness)];
        d.u.rechunk(&pancakes)?.add(&d.v)?.rechunk(&pencils)
    }),
];

/// Each element less the one before it along an axis.
fn difference(x: &Array, axis: usize) -> Result<Array, ArrayError> {
    let along = |range| {
        let mut index = vec![Index::Full; x.ndim()];
        index[axis] = range;
        x.slice(&index)
    };
    along(Index::range(1, i64::MAX))?.subtract(along(Index::range(0, -1))?)
}

/// Waves along both axes, cut into squares.
fn wave(side: u64, chunk: u64, step: f64) -> Result<Array, ArrayError> {
    let axis = |step: f64| Array::arange(0.0, side as f64 * step, step, DType::Float64, Chunks::Size(chunk));
    let rows = axis(step)?.slice(&[Index::Full, Index::NewAxis])?;
    let columns = axis(step / 2.0)?.slice(&[Index::NewAxis, Index::Full])?;
    rows.sin()?.multiply(columns.cos()?)
}

pub(super) async fn run(args: &Args) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict {
        lines: Vec::new(),
        figures: json!({}),
        broken: Vec::new(),
    };
    let side = ((args.data / 8) as f64).sqrt() as u64;
    let mut expected: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for part in PARTS {
        let budget = (args.data as f64 * part) as u64 / u64::from(args.workers);
        let outcomes = round(args, side, budget, &mut verdict).await?;
        for (name, digest) in outcomes {
            if *expected.entry(name).or_insert_with(|| digest.clone()) != digest {
                verdict
                    .broken
                    .push(format!("{name} with {part} of the data has other bytes"));
            }
        }
    }
    Ok(verdict)
}

/// Runs all programs on workers of one budget; returns a digest of each result.
async fn round(
    args: &Args,
    side: u64,
    budget: u64,
    verdict: &mut Verdict,
) -> anyhow::Result<Vec<(&'static str, Vec<u8>)>> {
    let memory = format!("{budget}B");
    let arguments = ["--slots", "1", "--memory", &memory];
    let mut processes = Processes::start(args.workers.into(), &arguments).await?;
    let client = Client::connect(&processes.url).await?;
    let watch = Watch::start(processes.worker_pids());
    let started = Instant::now();
    let (u, v) = (wave(side, args.chunk, 0.01)?, wave(side, args.chunk, 0.03)?);
    let kept = client.persist(&u).await?;
    kept.wait().await?;
    let kept_v = client.persist(&v).await?;
    kept_v.wait().await?;
    let data = Data {
        u: kept.array().clone(),
        v: kept_v.array().clone(),
        days: args.days,
        thickness: (args.chunk * args.chunk / side).max(1),
    };
    let mut digests = Vec::new();
    let mut seconds = BTreeMap::new();
    for (name, program) in PROGRAMS {
        let begin = Instant::now();
        let result = program(&data)?;
        let digest = tokio::time::timeout(args.deadline, digest(&client, &result)).await;
        let digest = digest.with_context(|| format!("{name} with {budget} bytes a worker took too long"))?;
        digests.push((
            name,
            digest.with_context(|| format!("{name} with {budget} bytes a worker"))?,
        ));
        seconds.insert(name, begin.elapsed().as_secs_f64());
        if let Some(ended) = processes.ended()? {
            verdict
                .broken
                .push(format!("{name} with {budget} bytes a worker: {ended}"));
        }
    }
    let (peak, reserve) = (watch.stop(), RESERVE_BYTES + budget / SPARE_PART);
    let times: Vec<String> = seconds
        .iter()
        .map(|(name, s)| format!("{name} {s:.1} s"))
        .collect();
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    verdict.lines.push(format!(
        "{:.1} MiB a worker: {:.1} s in all ({}); a worker's resident memory at most {:.1} MiB, which is {:.1} MiB \
         beside its budget ({:.1} MiB allowed)",
        mib(budget),
        started.elapsed().as_secs_f64(),
        times.join(", "),
        mib(peak),
        mib(peak.saturating_sub(budget)),
        mib(reserve),
    ));
    if peak > budget + reserve {
        verdict.broken.push(format!(
            "a worker of {:.1} MiB took {:.1} MiB, which is more than {:.1} MiB beside its budget",
            mib(budget),
            mib(peak),
            mib(reserve)
        ));
    }
    verdict.figures[format!("budget_{budget}")] = json!({"seconds": seconds, "resident_bytes_max": peak});
    Ok(digests)
}

/// A digest of a result, whatever the order in which its chunks come.
async fn digest(client: &Client, array: &Array) -> anyhow::Result<Vec<u8>> {
    let mut blocks = client.stream(array).await?;
    let mut digests = BTreeMap::new();
    while let Some(block) = blocks.next().await {
        let block = block?;
        let place: Vec<u64> = block.extents.iter().map(|extent| extent.start).collect();
        digests.insert(place, Digest::of(block.tensor.bytes()).to_string());
    }
    let all: String = digests.into_values().collect();
    Ok(Digest::of(all.as_bytes()).to_string().into_bytes())
}

/// Looks at processes' resident memory until it is stopped.
struct Watch {
    stop: Arc<AtomicBool>,
    peak: Arc<Mutex<u64>>,
    thread: std::thread::JoinHandle<()>,
}

impl Watch {
    fn start(pids: Vec<u32>) -> Self {
        let (stop, peak) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(0)));
        let (ends, sees) = (stop.clone(), peak.clone());
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let most = pids
                    .iter()
                    .filter_map(|&pid| resident_bytes(pid))
                    .max()
                    .unwrap_or(0);
                let mut peak = sees.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                *peak = most.max(*peak);
                drop(peak);
                std::thread::sleep(SAMPLE);
            }
        });
        Self { stop, peak, thread }
    }

    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        // The thread only looks and sleeps.
        let _ = self.thread.join();
        *self
            .peak
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A process's resident memory, as Linux tells it.
fn resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
