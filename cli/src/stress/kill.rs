//! Worker processes that are killed while a job runs, one after the other, and replaced.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use graticule_array::Array;
use graticule_client::{Client, Job, Progress, RunOptions, Subject};
use serde_json::json;

use super::{Verdict, program::program};
use crate::{processes::Processes, terminal, values::parse_bytes};

/// A run that takes so many times as long as the first clean one, and a minute more, hangs.
const HANGS_AFTER: u32 = 10;
/// How often it is looked whether all is as it should be.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);
/// Runs without a kill: half of them before the others and half after, since machines change their pace.
const CLEAN_RUNS: u32 = 4;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Tasks of the job, at least.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000), value_name = "COUNT")]
    tasks: u64,
    /// Worker processes.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256), value_name = "COUNT")]
    workers: u32,
    /// Kills; the job is run again until there were so many.
    #[arg(long, default_value_t = 200, value_name = "COUNT")]
    kills: u32,
    /// Milliseconds from one kill to the next.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..), value_name = "MS")]
    every_ms: u64,
    /// Elements along each side of a chunk; a multiple of 4.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(4..=4096), value_name = "COUNT")]
    chunk: u64,
    /// Memory of each worker.
    #[arg(long, default_value = "512MiB", value_parser = parse_bytes, value_name = "BYTES")]
    memory: u64,
    /// How many times as long as without kills a run may take on average.
    #[arg(long, default_value_t = 2.0, value_name = "RATIO")]
    ratio_max: f64,
}

/// What was seen of one run.
#[derive(Debug)]
struct Run {
    seconds: f64,
    bytes: Vec<u8>,
    progress: Progress,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<Verdict> {
    let (array, task_count) = program(args.tasks, args.chunk / 4 * 4)?;
    let mut cluster = Cluster::start(args).await?;
    let mut clean = vec![
        cluster
            .run(&array, None)
            .await
            .context("in the first clean run")?,
    ];
    let limit = Duration::from_secs_f64(clean[0].seconds) * HANGS_AFTER + Duration::from_secs(60);
    cluster.limit = limit;
    // The first run has warmed everything up and counts for its bytes alone.
    let want = clean.remove(0).bytes;
    terminal::note(&format!(
        "{task_count} tasks on {} workers, {} bytes of result",
        args.workers,
        want.len()
    ));
    for _ in 0..CLEAN_RUNS / 2 {
        clean.push(cluster.run(&array, None).await.context("in a clean run")?);
    }
    let mut killed = Vec::new();
    cluster.next_kill = tokio::time::Instant::now() + Duration::from_millis(args.every_ms);
    while cluster.kill_count < args.kills {
        let before = cluster.kill_count;
        let every = Duration::from_millis(args.every_ms);
        let run = cluster.run(&array, Some(every)).await;
        let run = run.with_context(|| format!("after {} kills", cluster.kill_count))?;
        terminal::note(&format!(
            "{:.2} s with {} kills, {} tasks again",
            run.seconds,
            cluster.kill_count - before,
            run.progress.reset_count()
        ));
        killed.push(run);
    }
    for _ in 0..CLEAN_RUNS - CLEAN_RUNS / 2 {
        clean.push(cluster.run(&array, None).await.context("in a clean run")?);
    }
    Ok(judge(
        args,
        task_count,
        &want,
        &clean,
        &killed,
        cluster.kill_count,
    ))
}

fn judge(
    args: &Args,
    task_count: u64,
    want: &[u8],
    clean: &[Run],
    killed: &[Run],
    kill_count: u32,
) -> Verdict {
    let mean = |runs: &[Run]| runs.iter().map(|run| run.seconds).sum::<f64>() / runs.len().max(1) as f64;
    let (clean_s, killed_s) = (mean(clean), mean(killed));
    let ratio = if killed.is_empty() {
        1.0
    } else {
        killed_s / clean_s
    };
    let sum = |of: &dyn Fn(&Run) -> u64| killed.iter().map(of).sum::<u64>();
    let failed = |run: &Run| run.progress.layers.iter().map(|layer| layer.failed_count).sum();
    let (reset_count, failed_count) = (sum(&|run| run.progress.reset_count()), sum(&failed));
    let different = clean.iter().chain(killed).filter(|run| run.bytes != want).count();
    let mut broken = Vec::new();
    if different > 0 {
        broken.push(format!(
            "{different} of {} runs gave other bytes",
            clean.len() + killed.len()
        ));
    }
    if ratio > args.ratio_max {
        broken.push(format!(
            "{ratio:.2} times the clean time, {} at most",
            args.ratio_max
        ));
    }
    let lines = vec![
        format!(
            "{task_count} tasks, {} workers, a kill every {} ms",
            args.workers, args.every_ms
        ),
        format!("clean: {clean_s:.2} s (mean of {})", clean.len()),
        format!(
            "killed: {killed_s:.2} s (mean of {}), {kill_count} kills, {reset_count} tasks again, {failed_count} failed attempts",
            killed.len()
        ),
        format!("ratio: {ratio:.2} ({} at most)", args.ratio_max),
        format!("runs with other bytes: {different}"),
    ];
    let figures = json!({
        "task_count": task_count,
        "worker_count": args.workers,
        "every_ms": args.every_ms,
        "clean_s": clean.iter().map(|run| run.seconds).collect::<Vec<_>>(),
        "killed_s": killed.iter().map(|run| run.seconds).collect::<Vec<_>>(),
        "kill_count": kill_count,
        "reset_count": reset_count,
        "failed_count": failed_count,
        "different_count": different,
        "ratio": ratio,
        "held": broken.is_empty(),
    });
    Verdict {
        lines,
        figures,
        broken,
    }
}

/// The processes with a client.
struct Cluster {
    client: Client,
    processes: Processes,
    limit: Duration,
    next_kill: tokio::time::Instant,
    kill_count: u32,
}

impl Cluster {
    async fn start(args: &Args) -> anyhow::Result<Self> {
        let memory = args.memory.to_string();
        let arguments = ["--slots", "1", "--memory", &memory];
        let processes = Processes::start(args.workers as usize, &arguments).await?;
        let client = Client::connect(&processes.url).await?;
        Ok(Self {
            client,
            processes,
            limit: Duration::from_secs(3600),
            next_kill: tokio::time::Instant::now(),
            kill_count: 0,
        })
    }

    /// Runs the job once, and kills and replaces a worker every now and then if it is said how often.
    async fn run(&mut self, array: &Array, every: Option<Duration>) -> anyhow::Result<Run> {
        let begun = Instant::now();
        let job = self.client.start(&[array], &RunOptions::default()).await?;
        let id = job.id();
        let gathered = gather(job);
        tokio::pin!(gathered);
        let mut watch = tokio::time::interval(WATCH_INTERVAL);
        loop {
            tokio::select! {
                run = &mut gathered => {
                    let (bytes, progress) = run?;
                    let seconds = begun.elapsed().as_secs_f64();
                    return Ok(Run { seconds, bytes, progress });
                }
                _ = watch.tick() => {
                    if let Some(what) = self.processes.ended()? {
                        bail!(what);
                    }
                    if begun.elapsed() > self.limit {
                        let answer = self.client.why(Subject::Job(id)).await;
                        let why = answer.map_or_else(|error| error.to_string(), |answer| answer.to_string());
                        bail!("no result after {} s\n{why}", self.limit.as_secs());
                    }
                }
                () = tokio::time::sleep_until(self.next_kill), if every.is_some() => {
                    // From one run to the next the clock goes on: short runs are hit too.
                    self.next_kill = tokio::time::Instant::now() + every.unwrap_or_default();
                    self.kill()?;
                }
            }
        }
    }

    fn kill(&mut self) -> anyhow::Result<()> {
        // Any order will do that is the same each time and reaches old and young ones.
        self.processes.kill_worker(self.kill_count as usize * 5);
        self.kill_count += 1;
        self.processes.add_worker()?;
        Ok(())
    }
}

/// The result's bytes, and the last that was heard of the job's progress.
pub(super) async fn gather(mut job: Job) -> anyhow::Result<(Vec<u8>, Progress)> {
    let [output] = job.outputs() else {
        bail!("one array has one output");
    };
    let mut blocks = vec![Vec::new(); usize::try_from(output.grid.block_count())?];
    while let Some(block) = job.next_block().await? {
        blocks[usize::try_from(block.block)?] = block.tensor.bytes().to_vec();
    }
    Ok((blocks.concat(), job.latest_progress()))
}
