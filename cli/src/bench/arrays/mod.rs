//! Array programs, beside Dask, dask-array and Frisky, and the least that this host needs for them.

mod at_hand;
mod child;
mod floor;
mod npy;
mod programs;

use std::{
    fs,
    path::PathBuf,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use graticule_array::{Array, LowerOptions};
use graticule_client::{Client, LocalOptions};
use serde_json::{Value, json};

use self::programs::{PROGRAMS, Program};
use super::{Report, percentile};
use crate::terminal;

/// The peers, as a script for Python; it makes the inputs too.
const PEERS: &str = include_str!("../../../../benches/array_peers.py");
/// What it takes from the tasks' peers: how Frisky is started.
const TASK_PEERS: &str = include_str!("../../../../benches/task_peers.py");
/// How the script ends where a peer is not installed, and where it does not have a program.
const NOT_INSTALLED: i32 = 3;
const NOT_THERE: i32 = 4;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Where the inputs are, or will be made (about 5 GB); by default a folder for temporary files.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The programs to run; by default all.
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    only: Vec<String>,
    /// The peers to measure; `python` is Graticule's own package, where it is installed, `none` Graticule alone.
    #[arg(
        long,
        value_delimiter = ',',
        default_values = ["threads", "distributed", "dask-array", "frisky"],
        value_parser = ["threads", "distributed", "dask-array", "frisky", "python", "none"],
        value_name = "NAME,..."
    )]
    peers: Vec<String>,
    /// How often each is measured, in turn.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..), value_name = "COUNT")]
    rounds: u32,
    /// Threads, or worker processes of one thread, for each.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..), value_name = "COUNT")]
    threads: u32,
    /// How many seconds a peer has for one program; one that takes longer, or fails, is told and left out of its other rounds.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..), value_name = "SECONDS")]
    limit: u64,
    /// A Python with dask, distributed, rasterio and zarr.
    #[arg(
        long,
        env = "GRATICULE_PYTHON",
        default_value = "python3",
        value_name = "PROGRAM"
    )]
    python: PathBuf,
}

/// One program in a process of its own, for `peers`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ProgramArgs {
    program: String,
    folder: PathBuf,
    threads: u32,
    /// How the names of the results' files begin.
    out: PathBuf,
    /// Tell how it will be computed, and end.
    #[arg(long)]
    explain: bool,
}

/// What one system took for a program in all rounds.
#[derive(Debug, Default)]
struct Took {
    seconds: Vec<f64>,
    peak_bytes: Vec<f64>,
}

/// What is known of one system and a program.
#[derive(Debug)]
enum Outcome {
    Took(Took),
    /// It is not installed, or does not have the program.
    NotThere,
    /// It failed, or took too long: a sentence or a traceback's end.
    Failed(String),
}

/// How a program went once: its seconds and the most bytes that it had, if it went.
enum Once {
    Took(f64, u64),
    NotThere,
    Failed(String),
}

/// Long enough for what is no peer's.
const OWN_LIMIT: Duration = Duration::from_secs(3600);

pub(super) async fn run(args: &Args) -> anyhow::Result<Report> {
    let bench = Bench::prepare(args)?;
    let programs: Vec<&Program> = if args.only.is_empty() {
        PROGRAMS.iter().collect()
    } else {
        args.only
            .iter()
            .map(|name| programs::find(name))
            .collect::<anyhow::Result<_>>()?
    };
    let mut report = Report {
        lines: vec![format!(
            "{} threads, or worker processes of one thread; {} rounds in turn, middle values; seconds from opening the \
             inputs to having the results, and the memory of all processes together",
            args.threads, args.rounds
        )],
        figures: json!({"threads": args.threads, "rounds": args.rounds, "programs": {}}),
    };
    for program in programs {
        let measured = bench.measure(program)?;
        let before = report.lines.len();
        tell(program, measured, &mut report);
        // All of it takes long.
        terminal::note(&report.lines[before..].join("\n"));
    }
    Ok(report)
}

/// Runs one program, writes its results, and prints the seconds that it took.
pub(super) async fn run_program(args: &ProgramArgs) -> anyhow::Result<ExitCode> {
    let program = programs::find(&args.program)?;
    let client = Client::local_with(&LocalOptions {
        slots: Some(args.threads),
        ..LocalOptions::default()
    })
    .await?;
    if args.explain {
        let arrays = program.open(&client, &args.folder).await?;
        let arrays: Vec<&Array> = arrays.iter().collect();
        terminal::say(
            &client
                .explain_on_cluster(&arrays, &LowerOptions::default(), false)
                .await?
                .to_string(),
        )?;
        client.close().await;
        return Ok(ExitCode::SUCCESS);
    }
    let started = Instant::now();
    let arrays = program.open(&client, &args.folder).await?;
    let arrays: Vec<&Array> = arrays.iter().collect();
    let results = client.compute_many(&arrays).await?;
    let seconds = started.elapsed().as_secs_f64();
    client.close().await;
    for (place, result) in results.iter().enumerate() {
        npy::save(
            &PathBuf::from(format!("{}-{place}.npy", args.out.display())),
            result,
        )?;
    }
    terminal::say(&json!({"seconds": seconds}).to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// The inputs, and the script beside them.
struct Bench<'a> {
    args: &'a Args,
    folder: PathBuf,
    script: PathBuf,
}

impl<'a> Bench<'a> {
    /// Writes the script, and makes the inputs that are not there.
    fn prepare(args: &'a Args) -> anyhow::Result<Self> {
        let folder = match &args.folder {
            Some(folder) => folder.clone(),
            None => std::env::temp_dir().join("graticule-bench-arrays"),
        };
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for (name, content) in [("array_peers.py", PEERS), ("task_peers.py", TASK_PEERS)] {
            let path = folder.join(name);
            fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let script = folder.join("array_peers.py");
        let bench = Self { args, folder, script };
        terminal::note(&format!("the inputs are in {}", bench.folder.display()));
        let made = child::run(bench.python().arg("make"), OWN_LIMIT)?;
        if !made.status.success() {
            bail!(
                "{} needs dask, distributed, rasterio and zarr (`cargo xtask bench peers` installs them): {}",
                args.python.display(),
                made.complained.trim()
            );
        }
        Ok(bench)
    }

    fn python(&self) -> Command {
        let mut command = Command::new(&self.args.python);
        command.arg(&self.script).arg(&self.folder);
        command
    }

    /// What the host, Graticule and each peer take for a program, by name.
    fn measure(&self, program: &Program) -> anyhow::Result<Vec<(String, Outcome)>> {
        let peers = self.args.peers.iter().filter(|peer| *peer != "none");
        let names = ["floor", "graticule"]
            .into_iter()
            .map(str::to_owned)
            .chain(peers.cloned());
        let mut measured: Vec<_> = names.map(|name| (name, Outcome::Took(Took::default()))).collect();
        // The first pass over the files only brings them into memory.
        floor::seconds(program, &self.folder, self.args.threads)?;
        for _ in 0..self.args.rounds {
            for (name, outcome) in &mut measured {
                let Outcome::Took(took) = outcome else { continue };
                match self.once(name, program)? {
                    Once::Took(seconds, peak_bytes) => {
                        took.seconds.push(seconds);
                        took.peak_bytes.push(peak_bytes as f64);
                    }
                    Once::NotThere => *outcome = Outcome::NotThere,
                    Once::Failed(why) => *outcome = Outcome::Failed(why),
                }
            }
        }
        Ok(measured)
    }

    /// Runs a program once.
    ///
    /// # Errors
    /// If Graticule fails, or a peer's results are others.
    fn once(&self, name: &str, program: &Program) -> anyhow::Result<Once> {
        at_hand::have_memory()?;
        let threads = self.args.threads.to_string();
        let (ours, theirs) = (self.folder.join("ours"), self.folder.join("theirs"));
        let done = match name {
            "floor" => {
                let seconds = floor::seconds(program, &self.folder, self.args.threads)?;
                return Ok(seconds.map_or(Once::NotThere, |seconds| Once::Took(seconds, 0)));
            }
            "graticule" => {
                let own = std::env::current_exe().context("cannot find this program's file")?;
                let mut command = Command::new(own);
                command.args(["bench", "peers-program", program.name]);
                child::run(command.arg(&self.folder).arg(&threads).arg(&ours), OWN_LIMIT)?
            }
            peer => {
                let mut command = self.python();
                command.args(["run", peer, program.name, &threads]).arg(&theirs);
                child::run(&mut command, Duration::from_secs(self.args.limit))?
            }
        };
        if matches!(done.status.code(), Some(NOT_INSTALLED | NOT_THERE)) {
            return Ok(Once::NotThere);
        }
        let said = match said(name, program, &done) {
            Err(error) if name != "graticule" => return Ok(Once::Failed(format!("{error:#}"))),
            said => said?,
        };
        let seconds = said["seconds"].as_f64().context("no seconds were named")?;
        if let Some(count) = said["results"].as_u64() {
            let mut comparing = self.python();
            comparing
                .arg("compare")
                .arg(&ours)
                .arg(&theirs)
                .arg(count.to_string());
            self::said(name, program, &child::run(&mut comparing, OWN_LIMIT)?)?;
        }
        Ok(Once::Took(seconds, done.peak_bytes))
    }
}

/// The last line that a process printed, if it ended well.
fn said(name: &str, program: &Program, done: &child::Done) -> anyhow::Result<Value> {
    if !done.status.success() {
        let why = last_lines(&done.complained);
        bail!("{name} failed at {}: {why}", program.name);
    }
    serde_json::from_str(done.printed.lines().last().unwrap_or_default())
        .with_context(|| format!("{name} printed {:?}", done.printed))
}

/// The end of what a process complained of: a traceback's last lines say it.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(6)..].join("\n")
}

fn tell(program: &Program, mut measured: Vec<(String, Outcome)>, report: &mut Report) {
    report.lines.push(format!("{}: {}", program.name, program.about));
    let middle = |took: &mut Took| {
        (
            percentile(&mut took.seconds, 50.0),
            percentile(&mut took.peak_bytes, 50.0),
        )
    };
    let ours = measured.iter_mut().find_map(|(name, outcome)| match outcome {
        Outcome::Took(took) if name == "graticule" => Some(middle(took)),
        _ => None,
    });
    let Some((own_seconds, own_bytes)) = ours else {
        return;
    };
    for (name, outcome) in &mut measured {
        let figures = &mut report.figures["programs"][program.name][&*name];
        let (seconds, bytes) = match outcome {
            Outcome::Took(took) => middle(took),
            Outcome::NotThere => {
                report.lines.push(format!("{name:>14}: not there"));
                *figures = Value::Null;
                continue;
            }
            Outcome::Failed(why) => {
                report.lines.push(format!("{name:>14}: {why}"));
                *figures = json!({ "failed": why });
                continue;
            }
        };
        let (times, memory) = (seconds / own_seconds, bytes / own_bytes);
        let mib = bytes / f64::from(1 << 20);
        report.lines.push(match name.as_str() {
            "floor" => format!("{name:>14}: {seconds:7.3} s; Graticule takes {:.2} times as long", 1.0 / times),
            "graticule" => format!("{name:>14}: {seconds:7.3} s, {mib:5.0} MiB"),
            _ => format!("{name:>14}: {seconds:7.3} s, {mib:5.0} MiB; {times:.2} times the time, {memory:.1} times the memory"),
        });
        *figures = json!({"p50_s": seconds, "peak_bytes": bytes, "over_graticule": times});
    }
}
