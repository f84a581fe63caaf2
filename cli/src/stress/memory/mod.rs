//! Programs whose data does not fit the workers: they end, with the same bytes, and no worker takes more than it may.

mod bound;
mod programs;
mod watch;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Context;
use futures::StreamExt;
use graticule_array::Array;
use graticule_client::{Client, open_zarr};
use graticule_plan::Digest;
use graticule_worker::memory_bytes_for;
use serde_json::json;

use self::{
    programs::{Data, PROGRAMS, wave, write_zarr},
    watch::Watch,
};
use super::Verdict;
use crate::{
    processes::{Processes, SpillFolder},
    values::parse_bytes,
};

/// What the workers may hold together, as a part of the data: the first run is the one that the others must equal.
const PARTS: [f64; 3] = [2.0, 0.5, 0.05];

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// Bytes of the data of each program.
    #[arg(long, default_value = "1GiB", value_parser = parse_bytes, value_name = "BYTES")]
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

pub(super) async fn run(args: &Args) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict {
        lines: Vec::new(),
        figures: json!({}),
        broken: Vec::new(),
    };
    let side = ((args.data / 8) as f64).sqrt() as u64;
    let folder = SpillFolder::new()?;
    let files = folder.path().join("read.zarr");
    write_zarr(&files, side, args.chunk, 0.02)?;
    let read = open_zarr(&files.display().to_string()).await?;
    let mut expected: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for part in PARTS {
        let budget = (args.data as f64 * part) as u64 / u64::from(args.workers);
        let outcomes = round(args, side, budget, &read, &mut verdict).await?;
        for (name, digest) in outcomes {
            if *expected.entry(name).or_insert_with(|| digest.clone()) != digest {
                verdict
                    .broken
                    .push(format!("{name} with {part} of the data has other bytes"));
            }
        }
    }
    bound::check(args, side, &mut verdict).await?;
    Ok(verdict)
}

/// Runs all programs on workers of one budget; returns a digest of each result.
async fn round(
    args: &Args,
    side: u64,
    budget: u64,
    read: &Array,
    verdict: &mut Verdict,
) -> anyhow::Result<Vec<(&'static str, Vec<u8>)>> {
    let limit = memory_bytes_for(budget);
    let memory = format!("{limit}B");
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
        read: read.clone(),
        days: args.days,
        thickness: (args.chunk * args.chunk / side).max(1),
        columns: (args.chunk / 4).max(1),
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
    let peak = watch.stop();
    let let_go = client.info().await?.let_go_count;
    let times: Vec<String> = seconds
        .iter()
        .map(|(name, s)| format!("{name} {s:.1} s"))
        .collect();
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    verdict.lines.push(format!(
        "{:.1} MiB for chunks and tasks of each worker: {:.1} s in all ({}); a worker's resident memory at most {:.1} \
         of {:.1} MiB; {:.1} of its reserve of {:.1} MiB were taken; \
         {let_go} chunks were let go instead of spilled",
        mib(budget),
        started.elapsed().as_secs_f64(),
        times.join(", "),
        mib(peak),
        mib(limit),
        mib(peak.saturating_sub(budget)),
        mib(limit - budget),
    ));
    if peak > limit {
        verdict.broken.push(format!(
            "a worker of {:.1} MiB took {:.1} MiB",
            mib(limit),
            mib(peak)
        ));
    }
    verdict.figures[format!("budget_{budget}")] = json!({
        "seconds": seconds, "resident_bytes_max": peak, "memory_bytes": limit, "reserve_bytes": limit - budget,
        "let_go_count": let_go, "reserve_taken_bytes": peak.saturating_sub(budget),
    });
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
