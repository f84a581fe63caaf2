//! A scheduler with a journal that is killed again and again while one job runs, and started again each time.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use futures::StreamExt;
use graticule_array::Array;
use graticule_client::{Client, ConnectOptions, Job, RunOptions, Subject};
use serde_json::json;

use super::{Verdict, program::program};
use crate::{terminal, values::parse_bytes};

/// How long workers may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
/// A run that takes so many times as long as the clean one, and a minute more, hangs.
const HANGS_AFTER: u32 = 10;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Tasks of the job, at least.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000), value_name = "COUNT")]
    tasks: u64,
    /// Worker processes.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256), value_name = "COUNT")]
    workers: u32,
    /// How often the scheduler is killed in one run, each time a like part of the job later.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000), value_name = "COUNT")]
    kills: u32,
    /// Elements along each side of a chunk; a multiple of 4.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(4..=4096), value_name = "COUNT")]
    chunk: u64,
    /// Memory of each worker.
    #[arg(long, default_value = "512MiB", value_parser = parse_bytes, value_name = "BYTES")]
    memory: u64,
    /// How many times as many tasks as the job has may be run.
    #[arg(long, default_value_t = 1.05, value_name = "RATIO")]
    ran_max: f64,
}

/// What was seen of one run.
#[derive(Debug)]
struct Run {
    seconds: f64,
    bytes: Vec<u8>,
    /// Tasks that workers finished.
    ran_count: u64,
    /// Seconds from each kill until the client heard of progress again.
    outages_s: Vec<f64>,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<Verdict> {
    let (array, task_count) = program(args.tasks, args.chunk / 4 * 4)?;
    let mut cluster = Cluster::start(args).await?;
    terminal::note(&format!("{task_count} tasks on {} workers", args.workers));
    // The first run warms everything up.
    let want = cluster.run(&array, 0).await.context("in the first run")?.bytes;
    let clean = cluster.run(&array, 0).await.context("in the clean run")?;
    cluster.limit = Duration::from_secs_f64(clean.seconds) * HANGS_AFTER + Duration::from_secs(60);
    let killed = cluster.run(&array, args.kills).await;
    let killed = killed.context("in the run with kills")?;
    Ok(judge(args, task_count, &want, &clean, &killed))
}

fn judge(args: &Args, task_count: u64, want: &[u8], clean: &Run, killed: &Run) -> Verdict {
    let mut outages = killed.outages_s.clone();
    outages.sort_by(f64::total_cmp);
    let (median, longest) = (outages[outages.len() / 2], outages[outages.len() - 1]);
    let ran_ratio = killed.ran_count as f64 / task_count as f64;
    let different = [clean, killed].iter().filter(|run| run.bytes != want).count();
    let mut broken = Vec::new();
    if different > 0 {
        broken.push(format!("{different} of 2 runs gave other bytes"));
    }
    if ran_ratio > args.ran_max {
        broken.push(format!(
            "{ran_ratio:.3} times the job's tasks were run, {} at most",
            args.ran_max
        ));
    }
    let lines = vec![
        format!("{task_count} tasks, {} workers", args.workers),
        format!("clean: {:.2} s", clean.seconds),
        format!(
            "killed: {:.2} s, the scheduler {} times, 0 errors at the client",
            killed.seconds,
            killed.outages_s.len()
        ),
        format!(
            "tasks run: {} ({ran_ratio:.3} times the job's, {} at most)",
            killed.ran_count, args.ran_max
        ),
        format!("from a kill to the next progress: {median:.2} s (longest {longest:.2} s)"),
        format!("runs with other bytes: {different}"),
    ];
    let figures = json!({
        "task_count": task_count,
        "worker_count": args.workers,
        "kill_count": killed.outages_s.len(),
        "clean_s": clean.seconds,
        "killed_s": killed.seconds,
        "clean_ran_count": clean.ran_count,
        "ran_count": killed.ran_count,
        "ran_ratio": ran_ratio,
        "outages_s": killed.outages_s,
        "different_count": different,
        "held": broken.is_empty(),
    });
    Verdict {
        lines,
        figures,
        broken,
    }
}

/// The processes with a client, and a folder for the journal and what is spilled.
struct Cluster {
    client: Client,
    url: String,
    scheduler: Process,
    workers: Vec<Process>,
    folder: Folder,
    limit: Duration,
}

impl Cluster {
    async fn start(args: &Args) -> anyhow::Result<Self> {
        let folder = Folder::new()?;
        let (scheduler, url) = scheduler("127.0.0.1:0", &folder.0)?;
        let memory = args.memory.to_string();
        let spill = folder.text()?.to_owned();
        let worker = ["worker", "--scheduler", &url, "--slots", "1", "--memory", &memory];
        let worker = worker.into_iter().chain(["--spill-dir", &spill]);
        let worker: Vec<&str> = worker.collect();
        let workers = (0..args.workers).map(|_| Process::start(worker.iter().copied(), Stdio::null()));
        let workers = workers.collect::<Result<_, _>>()?;
        let cluster = Self {
            client: Client::connect(&url).await?,
            workers,
            url: url.clone(),
            scheduler,
            folder,
            limit: Duration::from_secs(3600),
        };
        let begun = Instant::now();
        while cluster.client.info().await?.workers.len() < args.workers as usize {
            if begun.elapsed() > CONNECT_TIMEOUT {
                bail!("not all workers connected within {} s", CONNECT_TIMEOUT.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(cluster)
    }

    /// Runs the job once, and kills the scheduler so many times on the way.
    async fn run(&mut self, array: &Array, kills: u32) -> anyhow::Result<Run> {
        let begun = Instant::now();
        let before = self.finished_count().await?;
        let job = self.client.start(&[array], &RunOptions::default()).await?;
        let (id, task_count) = (job.id(), job.task_count());
        let mut progress = job.progress();
        let gathered = tokio::spawn(gather(job));
        let limit = self.limit;
        let (mut ran_count, mut outages_s) = (0, Vec::new());
        let mut killed: Option<(Instant, u64)> = None;
        let watching = async {
            while let Some(now) = progress.next().await {
                let finished = now.finished_count();
                if let Some((at, _)) = killed.take_if(|(_, then)| finished > *then) {
                    outages_s.push(at.elapsed().as_secs_f64());
                }
                let made = outages_s.len() as u64 + 1;
                if killed.is_none()
                    && made <= u64::from(kills)
                    && finished >= task_count * made / (u64::from(kills) + 1)
                {
                    ran_count += self.finished_count().await?;
                    killed = Some((Instant::now(), finished));
                    self.restart()?;
                }
            }
            anyhow::Ok(())
        };
        match tokio::time::timeout(limit, watching).await {
            Ok(watched) => watched?,
            Err(_) => {
                let answer = self.client.why(Subject::Job(id)).await;
                let why = answer.map_or_else(|error| error.to_string(), |answer| answer.to_string());
                bail!("no result after {} s\n{why}", limit.as_secs());
            }
        }
        let bytes = gathered.await?.context("an error at the client")?;
        let seconds = begun.elapsed().as_secs_f64();
        if outages_s.len() < kills as usize {
            bail!("the job ended after {} kills of {kills}", outages_s.len());
        }
        ran_count += self.finished_count().await?;
        for worker in &mut self.workers {
            if let Some(status) = worker.0.try_wait()? {
                bail!("a worker process ended by itself: {status}");
            }
        }
        Ok(Run {
            seconds,
            bytes,
            ran_count: ran_count - before,
            outages_s,
        })
    }

    fn restart(&mut self) -> anyhow::Result<()> {
        self.scheduler.0.kill()?;
        self.scheduler.0.wait()?;
        let address = self.url.trim_start_matches("grpc://");
        (self.scheduler, _) = scheduler(address, &self.folder.0)?;
        Ok(())
    }

    /// Tasks that workers have finished since this run of the scheduler began.
    async fn finished_count(&self) -> anyhow::Result<u64> {
        let info = Client::info_of(&self.url, &ConnectOptions::default()).await?;
        Ok(info.finished_count)
    }
}

/// The result's bytes.
async fn gather(mut job: Job) -> anyhow::Result<Vec<u8>> {
    let [output] = job.outputs() else {
        bail!("one array has one output");
    };
    let mut blocks = vec![Vec::new(); usize::try_from(output.grid.block_count())?];
    while let Some(block) = job.next_block().await? {
        blocks[usize::try_from(block.block)?] = block.tensor.bytes().to_vec();
    }
    Ok(blocks.concat())
}

/// Starts a scheduler; the second value is where it is.
fn scheduler(listen: &str, folder: &Path) -> anyhow::Result<(Process, String)> {
    let journal = folder.join("journal");
    let journal = journal.to_str().context("the folder has no name in UTF-8")?;
    let words = [
        "scheduler",
        "--listen",
        listen,
        "--no-dashboard",
        "--journal",
        journal,
    ];
    let mut process = Process::start(words, Stdio::piped())?;
    let output = process.0.stdout.take().context("standard output is piped")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let url = line.trim().strip_prefix("scheduler at ");
    let url = url.context("the scheduler did not say where it is")?.to_owned();
    Ok((process, url))
}

/// One process of this very program; killed when dropped.
#[derive(Debug)]
struct Process(Child);

impl Process {
    fn start<'a>(words: impl IntoIterator<Item = &'a str>, output: Stdio) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program has no path")?;
        let mut command = Command::new(program);
        // What is measured must not depend on settings that happen to be in the environment.
        let is_setting = |name: &OsStr| name.to_str().is_some_and(|name| name.starts_with("GRATICULE_"));
        let ours = std::env::vars_os().map(|(name, _)| name);
        for name in ours.filter(|name| is_setting(name)) {
            command.env_remove(name);
        }
        command.args(words).args(["--log", "off"]);
        command.stdin(Stdio::null()).stdout(output);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Ok(Self(command.spawn()?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder that goes with this value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("graticule-restart-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    fn text(&self) -> anyhow::Result<&str> {
        self.0
            .to_str()
            .context("the folder for temporary files has no name in UTF-8")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left lies in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
