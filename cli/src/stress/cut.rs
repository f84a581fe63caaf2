//! Links between processes that are cut for a while, one after the other, while a job runs.

use std::{
    cell::Cell,
    net::SocketAddr,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use graticule_array::Array;
use graticule_client::{Client, RunOptions};
use serde_json::json;

use super::{
    Verdict,
    kill::gather,
    link::Link,
    namespaces::{Cables, Namespaces},
    program::program,
};
use crate::{
    processes::Processes,
    terminal,
    values::{parse_bytes, parse_duration},
};

/// Every so many cuts something else is cut: of relays the connections end; of cables, all workers from each other.
const OTHERWISE_EVERY: u32 = 3;

/// What the processes are linked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LinkKind {
    /// Network namespaces where they can be made, else relays; says which.
    Auto,
    /// Network namespaces with cables between them: whatever goes to or from a worker is cut. Needs root.
    Namespaces,
    /// A relay in front of each worker's way to the scheduler: only that is cut.
    Relays,
}

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
    /// What the processes are linked by.
    #[arg(long, value_enum, default_value = "auto")]
    links: LinkKind,
    /// The namespaces, in the hub of which this runs.
    #[arg(long, hide = true, value_name = "PREFIX")]
    within: Option<String>,
    /// How long one run may take.
    #[arg(long, default_value = "10m", value_parser = parse_duration, value_name = "TIME")]
    deadline: Duration,
}

/// Runs the command anew between network namespaces, if it shall and can; its exit code then.
pub(super) async fn run_in_namespaces(args: &Args) -> anyhow::Result<Option<ExitCode>> {
    if args.within.is_some() || args.links == LinkKind::Relays {
        return Ok(None);
    }
    let namespaces = match Namespaces::make(args.workers) {
        Ok(namespaces) => namespaces,
        Err(why) if args.links == LinkKind::Auto => {
            terminal::note(&format!("no network namespaces, relays instead: {why:#}"));
            return Ok(None);
        }
        Err(why) => return Err(why),
    };
    let code = namespaces.run_in_hub().await?;
    let code = code.and_then(|code| u8::try_from(code).ok());
    Ok(Some(code.map_or(ExitCode::FAILURE, ExitCode::from)))
}

/// The links to the workers.
enum Links {
    Relays(Vec<Link>),
    Cables(Cables),
}

impl Links {
    /// Starts the cluster with its links.
    async fn start(args: &Args) -> anyhow::Result<(Processes, Self)> {
        let memory = args.memory.to_string();
        let arguments = ["--slots", "1", "--memory", &memory];
        if let Some(prefix) = &args.within {
            let cables = Cables::new(prefix, args.workers);
            let mut processes = Processes::start_at(Cables::hub_address(), 0, &arguments).await?;
            for place in 0..args.workers {
                processes.add_worker_in(&cables.of_worker(place), Cables::address(place))?;
            }
            processes.wait_for_workers().await?;
            return Ok((processes, Links::Cables(cables)));
        }
        let mut processes = Processes::start(0, &arguments).await?;
        let target: SocketAddr = processes.url.trim_start_matches("grpc://").parse()?;
        let mut links = Vec::new();
        for _ in 0..args.workers {
            let link = Link::to(target).await?;
            processes.add_worker_at(&format!("grpc://{}", link.address))?;
            links.push(link);
        }
        processes.wait_for_workers().await?;
        Ok((processes, Links::Relays(links)))
    }

    /// Cuts for the `number`th time.
    fn strike(&self, number: u32, args: &Args) -> anyhow::Result<()> {
        let is_other = number % OTHERWISE_EVERY == OTHERWISE_EVERY - 1;
        match self {
            Links::Relays(links) => {
                links[number as usize % links.len()].strike(is_other, args.silence);
                Ok(())
            }
            Links::Cables(cables) if is_other => cables.part_workers(),
            Links::Cables(cables) => cables.pull(number % args.workers),
        }
    }

    fn mend(&self) -> anyhow::Result<()> {
        match self {
            Links::Relays(links) => {
                links.iter().for_each(Link::mend);
                Ok(())
            }
            Links::Cables(cables) => cables.mend(),
        }
    }

    fn describe(&self, args: &Args) -> String {
        let (silence, every) = (args.silence.as_secs_f64(), args.every.as_secs_f64());
        match self {
            Links::Relays(_) => format!(
                "relays between workers and scheduler: one silent for {silence:.1} s every {every:.1} s, every third time \
                 ended"
            ),
            Links::Cables(_) => format!(
                "network namespaces: {every:.1} s after a cut, one worker's cable pulled for {silence:.1} s, every third time \
                 all workers parted from each other"
            ),
        }
    }
}

pub(super) async fn run(args: &Args) -> anyhow::Result<Verdict> {
    let (array, task_count) = program(args.tasks, args.chunk / 4 * 4)?;
    let (mut processes, links) = Links::start(args).await?;
    let client = Client::connect(&processes.url).await?;
    let compute = |array: Array| {
        let client = client.clone();
        async move {
            let begun = Instant::now();
            let job = client.start(&[&array], &RunOptions::default()).await?;
            let (bytes, progress) = gather(job).await?;
            anyhow::Ok((begun.elapsed().as_secs_f64(), bytes, progress.reset_count()))
        }
    };
    compute(array.clone()).await.context("in the first run")?;
    let (clean_s, want, _) = compute(array.clone()).await.context("in the clean run")?;
    let (cut_count, mut reset_count, mut different, mut cut_s) = (Cell::new(0), 0, 0, Vec::new());
    while cut_count.get() < args.cuts {
        let computing = tokio::time::timeout(args.deadline, compute(array.clone()));
        tokio::pin!(computing);
        let done = loop {
            tokio::select! {
                done = &mut computing => break done,
                struck = strike(&links, &cut_count, args) => struck?,
            }
        };
        links.mend()?;
        let (seconds, bytes, again) = done
            .with_context(|| format!("no result within {} s", args.deadline.as_secs()))?
            .with_context(|| format!("after {} cuts", cut_count.get()))?;
        terminal::note(&format!(
            "{seconds:.2} s, {} cuts so far, {again} tasks again",
            cut_count.get()
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
    let cut_count = cut_count.get();
    let mean_s = cut_s.iter().sum::<f64>() / cut_s.len().max(1) as f64;
    let lines = vec![
        format!(
            "{task_count} tasks on {} workers; {}",
            args.workers,
            links.describe(args)
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
        "namespaces": matches!(links, Links::Cables(_)),
    });
    Ok(Verdict {
        lines,
        figures,
        broken,
    })
}

/// Waits until the next cut and makes it. Relays mend themselves, so that several may be silent at a time; a cable is
/// put back before the next is pulled.
async fn strike(links: &Links, count: &Cell<u32>, args: &Args) -> anyhow::Result<()> {
    tokio::time::sleep(args.every).await;
    links.strike(count.replace(count.get() + 1), args)?;
    if let Links::Cables(cables) = links {
        tokio::time::sleep(args.silence).await;
        cables.mend()?;
    }
    Ok(())
}
