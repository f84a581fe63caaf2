//! `graticule demo`: the main job on the sample data.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use graticule_client::{Client, ClientError, LocalOptions, RunOptions};
use graticule_data::GroupBy;

use crate::{
    mosaic::{self, By, Dtype, OnErrorArg, Reduce, Summary, What},
    signals::{self, Interrupt},
    terminal,
    values::parse_duration,
};

/// Pixels a side of a task: the samples are small, and a demonstration shall have something to show.
const TILE: u64 = 48;

/// Where the sample data is and what becomes of it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// The folder for the results.
    #[arg(long, default_value = "out/demo", value_name = "DIR")]
    out: PathBuf,
    /// The folder with the sample data; by default `examples/data` of the checkout.
    #[arg(long, env = "GRATICULE_EXAMPLES", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address of the dashboard on this machine; if it is taken, a free port is.
    #[arg(long, default_value = "127.0.0.1:8787", value_name = "ADDRESS")]
    dashboard: SocketAddr,
    /// Open no port.
    #[arg(long)]
    no_dashboard: bool,
    /// Stay for so long afterwards, so that the dashboard can be looked at.
    #[arg(long, default_value = "0s", value_parser = parse_duration, value_name = "TIME")]
    linger: Duration,
    /// No progress bars.
    #[arg(long, short)]
    quiet: bool,
}

/// Makes the mosaics.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let data = match &args.data {
        Some(folder) => folder.clone(),
        None => find_data()?,
    };
    let client = embedded(&args).await?;
    if let Some(url) = client.dashboard_url() {
        terminal::note(&format!("dashboard at {url}"));
    }
    let made = mosaics(&client, &data, &args).await;
    let interrupted = match made {
        Ok(Some(line)) => {
            terminal::say(&line)?;
            linger(&args, &client).await?
        }
        Ok(None) => true,
        Err(error) => {
            client.close().await;
            return Err(error);
        }
    };
    client.close().await;
    Ok(if interrupted {
        signals::exit_code()
    } else {
        ExitCode::SUCCESS
    })
}

async fn linger(args: &Args, client: &Client) -> anyhow::Result<bool> {
    if args.linger.is_zero() {
        return Ok(false);
    }
    let interrupt = Interrupt::watch()?;
    if let Some(url) = client.dashboard_url() {
        let seconds = args.linger.as_secs_f32();
        terminal::note(&format!(
            "the dashboard stays at {url} for {seconds} s; Ctrl-C ends it"
        ));
    }
    Ok(tokio::select! {
        () = tokio::time::sleep(args.linger) => false,
        () = interrupt.wait() => true,
    })
}

async fn embedded(args: &Args) -> anyhow::Result<Client> {
    let with = |dashboard| LocalOptions {
        dashboard,
        ..LocalOptions::default()
    };
    if args.no_dashboard {
        return Ok(Client::local_with(&with(None)).await?);
    }
    let wanted = Client::local_with(&with(Some(args.dashboard))).await;
    match wanted {
        Err(ClientError::Start { .. }) if args.dashboard.ip().is_loopback() => {
            let free = SocketAddr::new(args.dashboard.ip(), 0);
            Ok(Client::local_with(&with(Some(free))).await?)
        }
        wanted => Ok(wanted?),
    }
}

/// Makes both mosaics; the line says what was done. `None` if somebody interrupted it.
async fn mosaics(client: &Client, data: &Path, args: &Args) -> anyhow::Result<Option<String>> {
    let started = Instant::now();
    let mut all: Vec<Summary> = Vec::new();
    for (name, what) in [("landsat8-ny", landsat()?), ("s2-slovenia", slovenia()?)] {
        let items = data.join(name).join("items.json");
        let folder = args.out.join(name);
        mosaic::check_folder(&folder)?;
        let recipe = mosaic::recipe(&items.to_string_lossy(), &what).await?;
        let options = RunOptions {
            name: Some(name.into()),
            ..RunOptions::default()
        };
        let begun = Instant::now();
        let made = mosaic::make(client, &recipe, &folder, &options, args.quiet).await?;
        let Some((task_count, problems, paths)) = made else {
            return Ok(None);
        };
        let summary = Summary::new(&recipe, task_count, problems, paths, begun.elapsed());
        summary.report();
        all.push(summary);
    }
    Ok(Some(line(&all, started.elapsed())))
}

fn line(all: &[Summary], elapsed: Duration) -> String {
    let sum = |of: fn(&Summary) -> u64| all.iter().map(of).sum();
    let pictures = all.iter().flat_map(|summary| &summary.paths);
    let pictures = pictures.filter(|path| path.extension().is_some_and(|e| e == "png"));
    let pictures: Vec<String> = pictures.map(|path| path.display().to_string()).collect();
    format!(
        "{}, {}, {}, {} of pixels in {:.2} s: look at {}",
        terminal::count(sum(|s| s.scene_count as u64), "scene", "scenes"),
        terminal::count(sum(|s| s.chunk_count), "chunk", "chunks"),
        terminal::count(sum(|s| s.task_count), "task", "tasks"),
        terminal::bytes(sum(|s| s.stack_bytes)),
        elapsed.as_secs_f64(),
        pictures.join(", "),
    )
}

fn what(assets: &[&str], mask: &str) -> anyhow::Result<What> {
    Ok(What {
        assets: assets.iter().map(|&asset| asset.to_owned()).collect(),
        mask: vec![mask.parse().map_err(anyhow::Error::msg)?],
        bbox: None,
        datetime: None,
        max_cloud: None,
        query: Vec::new(),
        resolution: None,
        groupby: GroupBy::Time,
        on_error: OnErrorArg::Raise,
        reduce: Reduce::Median,
        by: Some(By::Month),
        dtype: Dtype::Float32,
        tile: Some(TILE),
    })
}

/// True colour of 19 Landsat scenes around New York, their clouds hidden.
fn landsat() -> anyhow::Result<What> {
    Ok(What {
        resolution: Some(3000.0),
        groupby: GroupBy::SolarDay,
        ..what(&["red", "green", "blue"], "qa:bits=0,4")?
    })
}

/// The vegetation index of a Sentinel-2 patch in Slovenia over two summers.
fn slovenia() -> anyhow::Result<What> {
    what(&["ndvi"], "cloud_mask:values=1")
}

/// The checkout's sample data: from here upwards, or from the program upwards.
fn find_data() -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir().context("the current folder is gone")?;
    let program = std::env::current_exe().unwrap_or_default();
    let above = here.ancestors().chain(program.ancestors());
    let mut candidates = above.map(|folder| folder.join("examples/data"));
    match candidates.find(|folder| folder.join("landsat8-ny/items.json").is_file()) {
        Some(folder) => Ok(folder),
        None => bail!(
            "the sample data (examples/data of a checkout) is not found from {} upwards; run this in a checkout, or \
             name the folder by --data",
            here.display()
        ),
    }
}
