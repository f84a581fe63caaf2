//! `graticule mosaic`: from STAC items to a cloud-free mosaic.

mod args;
mod mask;
mod raster;
mod recipe;
mod sheet;
mod stripes;
mod write;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use futures::FutureExt;
use graticule_array::explain;
use graticule_client::{Bars, Client, Job, LocalOptions, RunOptions};
use graticule_data::{
    stac::load_items,
    store::{Address, Stores},
};
use tokio::sync::mpsc;

use crate::{
    signals::{self, Interrupt},
    terminal,
};

pub(crate) use args::{Args, By, Dtype, OnErrorArg, Reduce, What};
pub(crate) use recipe::Recipe;
use write::Files;
pub(crate) use write::check_folder;

/// Blocks that may wait for the files' thread.
const BLOCK_COUNT_MAX: usize = 4;
/// How long a cancelled job may take to end.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);
/// Things left out that are named one by one.
const LEFT_OUT_COUNT_MAX: usize = 20;

/// What was done.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) scene_count: usize,
    pub(crate) time_count: usize,
    pub(crate) chunk_count: u64,
    pub(crate) task_count: u64,
    pub(crate) stack_bytes: u64,
    pub(crate) elapsed: Duration,
    pub(crate) left_out: Vec<String>,
    pub(crate) paths: Vec<PathBuf>,
}

/// Makes the mosaic, on a cluster or in this process.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    if !args.explain {
        check_folder(&args.out)?;
    }
    let recipe = recipe(&args.items, &args.what).await?;
    let options = RunOptions {
        name: Some(format!("mosaic {}", recipe.names[0][0]).into()),
        no_worker_timeout: args.no_worker_timeout,
        ..RunOptions::default()
    };
    if args.explain {
        let arrays: Vec<_> = recipe.arrays.iter().collect();
        terminal::say(explain(&arrays, &options.lower)?.trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    let client = client(&args).await?;
    if let (Some(url), None) = (client.dashboard_url(), &args.cluster) {
        terminal::note(&format!("dashboard at {url}"));
    }
    let made = make(&client, &recipe, &args.out, &options, args.quiet).await;
    client.close().await;
    let Some((task_count, left_out, paths)) = made? else {
        terminal::note("interrupted: the job is cancelled, nothing is written");
        return Ok(signals::exit_code());
    };
    let summary = Summary::new(&recipe, task_count, left_out, paths, started.elapsed());
    summary.report();
    terminal::say(&summary.line())?;
    Ok(ExitCode::SUCCESS)
}

async fn client(args: &Args) -> anyhow::Result<Client> {
    Ok(match &args.cluster {
        Some(url) => Client::connect(url).await?,
        None => {
            let options = LocalOptions {
                budget_bytes: args.memory,
                dashboard: args.dashboard,
                ..LocalOptions::default()
            };
            Client::local_with(&options).await?
        }
    })
}

/// Reads the items and works out what is to be done; opens no raster file.
pub(crate) async fn recipe(items: &str, what: &What) -> anyhow::Result<Recipe> {
    let address = Address::parse(items)?;
    let set = load_items(&Stores::default(), &address).await?;
    let found = what.search().apply(&set)?;
    let mut recipe = Recipe::new(&found, what)?;
    let duplicates = set
        .duplicates
        .iter()
        .map(|id| format!("item {id} came again and was dropped"));
    recipe.left_out.splice(0..0, duplicates);
    Ok(recipe)
}

/// Tasks, what reads left out, and the files.
type Made = (u64, Vec<Arc<str>>, Vec<PathBuf>);

/// Computes a recipe and writes its files. `None` if somebody interrupted it; the job is cancelled then.
pub(crate) async fn make(
    client: &Client,
    recipe: &Recipe,
    folder: &Path,
    options: &RunOptions,
    quiet: bool,
) -> anyhow::Result<Option<Made>> {
    let files = Files::create(folder, recipe)?;
    let arrays: Vec<_> = recipe.arrays.iter().collect();
    let interrupted = Interrupt::watch()?.wait().fuse();
    tokio::pin!(interrupted);
    let submitted = tokio::select! {
        job = client.start(&arrays, options) => job?,
        () = &mut interrupted => return Ok(None),
    };
    let mut job = submitted;
    let task_count = job.task_count();
    let bars = (!quiet).then(|| tokio::spawn(Bars::new().follow(job.progress())));
    let (blocks, inbox) = mpsc::channel(BLOCK_COUNT_MAX);
    let writing = tokio::task::spawn_blocking(move || files.write_all(inbox));
    let delivered = tokio::select! {
        delivered = deliver(&mut job, recipe, &blocks) => Some(delivered),
        () = &mut interrupted => None,
    };
    // The files' thread ends when nobody can send any more; unless all blocks have come it removes what it wrote.
    drop(blocks);
    let problems = job.problems();
    let written = writing.await.context("the files' thread failed")?;
    if let Some(bars) = bars {
        // The last word on progress comes with the job's end.
        let _ = tokio::time::timeout(Duration::from_millis(500), bars).await;
    }
    match delivered {
        None => {
            let _ = tokio::time::timeout(CANCEL_TIMEOUT, job.cancel()).await;
            Ok(None)
        }
        Some(Err(error)) => Err(error),
        Some(Ok(())) => Ok(Some((task_count, problems, written?))),
    }
}

/// Hands blocks to the files' thread, stripe by stripe.
async fn deliver(
    job: &mut Job,
    recipe: &Recipe,
    blocks: &mpsc::Sender<graticule_client::Block>,
) -> anyhow::Result<()> {
    let grids = recipe
        .arrays
        .iter()
        .map(|array| stripes::StripeGrid::new(array.chunks()));
    let mut windows: Vec<_> = grids.map(stripes::Window::new).collect();
    while let Some(block) = job
        .next_block_where(|output, block| windows[output].wants(block))
        .await?
    {
        windows[block.output].received(block.block);
        if blocks.send(block).await.is_err() {
            // The files' thread says why it ended.
            return Ok(());
        }
    }
    Ok(())
}

impl Summary {
    pub(crate) fn new(
        recipe: &Recipe,
        task_count: u64,
        problems: Vec<Arc<str>>,
        paths: Vec<PathBuf>,
        elapsed: Duration,
    ) -> Self {
        let problems = problems.iter().map(|problem| problem.to_string());
        Self {
            scene_count: recipe.scene_count,
            time_count: recipe.time_count,
            chunk_count: recipe.chunk_count,
            task_count,
            stack_bytes: recipe.stack_bytes,
            elapsed,
            left_out: recipe.left_out.iter().cloned().chain(problems).collect(),
            paths,
        }
    }

    /// Says what was left out.
    pub(crate) fn report(&self) {
        if self.left_out.is_empty() {
            return;
        }
        terminal::note(&format!(
            "left out: {}",
            terminal::count(self.left_out.len() as u64, "thing", "things")
        ));
        for line in self.left_out.iter().take(LEFT_OUT_COUNT_MAX) {
            terminal::note(&format!("  {line}"));
        }
        if self.left_out.len() > LEFT_OUT_COUNT_MAX {
            terminal::note(&format!(
                "  and {} more",
                self.left_out.len() - LEFT_OUT_COUNT_MAX
            ));
        }
    }

    /// What was done, in one line.
    pub(crate) fn line(&self) -> String {
        let shown = self
            .paths
            .iter()
            .filter(|path| path.extension().is_some_and(|e| e == "png"));
        let shown: Vec<String> = shown.map(|path| path.display().to_string()).collect();
        format!(
            "{} at {}, {}, {}, {} of pixels, {:.2} s: {} and {}",
            terminal::count(self.scene_count as u64, "scene", "scenes"),
            terminal::count(self.time_count as u64, "time", "times"),
            terminal::count(self.chunk_count, "chunk", "chunks"),
            terminal::count(self.task_count, "task", "tasks"),
            terminal::bytes(self.stack_bytes),
            self.elapsed.as_secs_f64(),
            terminal::count((self.paths.len() - shown.len()) as u64, "GeoTIFF", "GeoTIFFs"),
            shown.join(", "),
        )
    }
}
