//! Links between workers and scheduler that are cut for a while, one after the other, while a job runs.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Context;
use graticule_array::Array;
use graticule_client::{Client, RunOptions};
use serde_json::json;

use super::{Verdict, kill::gather, link::Link, program::program};
use crate::{
    processes::Processes,
    terminal,
    values::{parse_bytes, parse_duration},
};

/// Every so many cuts the connection ends instead of being silent.
const SEVERED_EVERY: u32 = 3;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Tasks of the job, at least.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000), value_name = "COUNT")]
    tasks: u64,
    /// Worker processes.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=256), value_name = "COUNT")]
    workers: u32,
    /// Cuts; the job is run again until there were so many.
    #[arg(long, default_value_t = 12, value_name = "COUNT")]
    cuts: u32,
    /// How long a link is silent.
    #[arg(long = "for", default_value = "10s", value_parser = parse_duration, value_name = "TIME")]
    silence: Duration,
    /// Time from one cut to the next.
    #[arg(long, default_value = "4s", value_parser = parse_duration, value_name = "TIME")]
    every: Duration,
    /// Elements along each side of a chunk; a multiple of 4.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(4..=4096), value_name = "COUNT")]
    chunk: u64,
    /// Memory of each worker.
    #[arg(long, default_value = "512MiB", value_parser = parse_bytes, value_name = "BYTES")]
    memory: u64,
    /// How long one run may take.
    #[arg(long, default_value = "10m", value_parser = parse_duration, value_name = "TIME")]
    deadline: Duration,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<Verdict> {
    let (array, task_count) = program(args.tasks, args.chunk / 4 * 4)?;
    let memory = args.memory.to_string();
    let arguments = ["--slots", "1", "--memory", &memory];
    let mut processes = Processes::start(0, &arguments).await?;
    let target: SocketAddr = processes.url.trim_start_matches("grpc://").parse()?;
    let mut links = Vec::new();
    for _ in 0..args.workers {
        let link = Link::to(target).await?;
        processes.add_worker_at(&format!("grpc://{}", link.address))?;
        links.push(link);
    }
    processes.wait_for_workers().await?;
    let client = Client::connect(&processes.url).await?;
    let compute = |array: Array| {
        let client = client.clone();
        async move {
            let begun = Instant::now();
            let job = client.submit(&[&array], &RunOptions::default()).await?;
            let (bytes, progress) = gather(job).await?;
            anyhow::Ok((begun.elapsed().as_secs_f64(), bytes, progress.reset_count()))
        }
    };
    compute(array.clone()).await.context("in the first run")?;
    let (clean_s, want, _) = compute(array.clone()).await.context("in the clean run")?;
    let (mut cut_count, mut reset_count, mut different, mut cut_s) = (0, 0, 0, Vec::new());
    while cut_count < args.cuts {
        let computing = tokio::time::timeout(args.deadline, compute(array.clone()));
        tokio::pin!(computing);
        let done = loop {
            tokio::select! {
                done = &mut computing => break done,
                () = strike(&links, cut_count, args) => cut_count += 1,
            }
        };
        links.iter().for_each(Link::mend);
        let (seconds, bytes, again) = done
            .with_context(|| format!("no result within {} s", args.deadline.as_secs()))?
            .with_context(|| format!("after {cut_count} cuts"))?;
        terminal::note(&format!(
            "{seconds:.2} s, {cut_count} cuts so far, {again} tasks again"
        ));
        different += u32::from(bytes != want);
        reset_count += again;
        cut_s.push(seconds);
    }
    let mut broken = Vec::new();
    if different > 0 {
        broken.push(format!("{different} of {} runs gave other bytes", cut_s.len()));
    }
    broken.extend(processes.ended()?);
    let mean_s = cut_s.iter().sum::<f64>() / cut_s.len().max(1) as f64;
    let lines = vec![
        format!(
            "{task_count} tasks on {} workers, a link silent for {:.1} s every {:.1} s, every third time ended",
            args.workers,
            args.silence.as_secs_f64(),
            args.every.as_secs_f64()
        ),
        format!("clean: {clean_s:.2} s"),
        format!(
            "cut: {mean_s:.2} s (mean of {}), {cut_count} cuts, {reset_count} tasks again",
            cut_s.len()
        ),
        format!("runs with other bytes: {different}; errors: 0"),
    ];
    let figures = json!({
        "task_count": task_count, "clean_s": clean_s, "cut_s": cut_s, "cut_count": cut_count,
        "reset_count": reset_count, "different_count": different, "held": broken.is_empty(),
    });
    Ok(Verdict {
        lines,
        figures,
        broken,
    })
}

/// Waits until the next cut and makes it; the link is mended by itself, in time.
async fn strike(links: &[Link], number: u32, args: &Args) {
    tokio::time::sleep(args.every).await;
    let at = number as usize % links.len();
    links[at].strike(number % SEVERED_EVERY == SEVERED_EVERY - 1, args.silence);
}
