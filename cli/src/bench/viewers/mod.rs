//! What do those who watch cost those who work?

mod cluster;
mod watch;

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::Stdio,
    time::Duration,
};

use anyhow::Context;
use serde_json::json;

use self::cluster::{Load, Measured, Watchable};
use super::{Report, percentile};
use crate::processes::{Process, processor_time, spawn};

pub(super) use watch::{WatchArgs, watch};

/// The part of the rate without viewers that shall be left with each number of them.
const KEPT_TARGET: f64 = 0.95;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Tasks of one job: a tree, written out edge by edge.
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(2..), value_name = "COUNT")]
    tasks: u64,
    /// Workers, which do nothing but report.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..), value_name = "COUNT")]
    workers: u64,
    /// Slots of each.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024), value_name = "COUNT")]
    slots: u32,
    /// Viewers that follow, several numbers with commas between. Of each, all but the tenth part reads what comes.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 1000], value_parser = clap::value_parser!(u64).range(1..=1024), value_name = "COUNT")]
    viewers: Vec<u64>,
    /// How often each is measured, in turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..), value_name = "COUNT")]
    rounds: u32,
}

/// Who watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watching {
    /// Nothing is recorded.
    Off,
    /// So many follow, of whom the tenth part never reads.
    Viewers(u64),
}

impl Watching {
    fn text(self) -> String {
        match self {
            Self::Off => "nothing recorded".to_owned(),
            Self::Viewers(0) => "recorded, no viewer".to_owned(),
            Self::Viewers(1) => "1 viewer".to_owned(),
            Self::Viewers(count) => format!("{count} viewers, of whom {} never read", silent_of(count)),
        }
    }

    fn key(self) -> String {
        match self {
            Self::Off => "off".to_owned(),
            Self::Viewers(count) => format!("viewers_{count}"),
        }
    }
}

fn silent_of(viewers: u64) -> u64 {
    viewers / 10
}

/// What each round gave.
#[derive(Debug, Default)]
struct Rounds {
    rates: Vec<f64>,
    single_us: Vec<f64>,
    task_us: Vec<f64>,
    viewers_us: Vec<f64>,
    dropped: Vec<f64>,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<Report> {
    let counts = args.viewers.iter().copied().map(Watching::Viewers);
    let kinds: Vec<Watching> = [Watching::Off, Watching::Viewers(0)]
        .into_iter()
        .chain(counts)
        .collect();
    let mut rounds: Vec<Rounds> = kinds.iter().map(|_| Rounds::default()).collect();
    for _ in 0..args.rounds {
        for (&watching, told) in kinds.iter().zip(&mut rounds) {
            measure(args, watching, told).await?;
        }
    }
    Ok(report(args, &kinds, &mut rounds))
}

/// Runs the job once while so many watch.
async fn measure(args: &Args, watching: Watching, told: &mut Rounds) -> anyhow::Result<()> {
    let load = Load {
        tasks: args.tasks,
        workers: args.workers,
        slots: args.slots,
    };
    let cluster = Watchable::start(load, watching != Watching::Off).await?;
    let viewers = match (watching, cluster.address()) {
        (Watching::Viewers(count @ 1..), Some(address)) => Some(Viewers::start(address, count)?),
        _ => None,
    };
    let before = (processor_time(std::process::id())?, spent(viewers.as_ref())?);
    let measured = cluster.run().await?;
    let after = (processor_time(std::process::id())?, spent(viewers.as_ref())?);
    cluster.end().await;
    told.take(args, measured, after.0 - before.0, after.1 - before.1);
    Ok(())
}

impl Rounds {
    fn take(&mut self, args: &Args, measured: Measured, own: Duration, viewers: Duration) {
        self.rates.push(args.tasks as f64 / measured.seconds);
        self.single_us.extend(measured.single_us);
        self.task_us.push(own.as_secs_f64() * 1e6 / args.tasks as f64);
        self.viewers_us
            .push(viewers.as_secs_f64() * 1e6 / args.tasks as f64);
        self.dropped.push(measured.dropped as f64);
    }
}

fn report(args: &Args, kinds: &[Watching], rounds: &mut [Rounds]) -> Report {
    let mut report = Report {
        lines: vec![format!(
            "{} tasks, {} workers of {} slots that do nothing but report; rates against that of a dashboard without viewers, \
             medians of {} rounds",
            args.tasks, args.workers, args.slots, args.rounds
        )],
        figures: json!({"task_count": args.tasks, "rounds": args.rounds}),
    };
    let alone = kinds.iter().position(|kind| *kind == Watching::Viewers(0));
    let alone = alone.map_or(f64::NAN, |at| percentile(&mut rounds[at].rates, 50.0));
    for (kind, told) in kinds.iter().zip(rounds) {
        let rate = percentile(&mut told.rates, 50.0);
        let (p50, p99) = (
            percentile(&mut told.single_us, 50.0),
            percentile(&mut told.single_us, 99.0),
        );
        let [task_us, viewers_us, dropped] =
            [&mut told.task_us, &mut told.viewers_us, &mut told.dropped].map(|of| percentile(of, 50.0));
        report.lines.push(format!(
            "{}: {rate:.0} tasks a second, {:.2} times ({KEPT_TARGET} aimed at); a job of two tasks meanwhile: p50 {p50:.0} us, \
             p99 {p99:.0} us; processor time of a task {task_us:.2} us, of the viewers' process {viewers_us:.2} us; \
             {dropped:.0} records dropped",
            kind.text(),
            rate / alone,
        ));
        report.figures[kind.key()] = json!({
            "tasks_per_second": rate, "single_p50_us": p50, "single_p99_us": p99,
            "task_us": task_us, "viewers_task_us": viewers_us, "dropped": dropped,
        });
    }
    report
}

/// The process of those who watch. It ends when this is dropped.
#[derive(Debug)]
struct Viewers(Process);

impl Viewers {
    /// Returns once all follow.
    fn start(address: SocketAddr, count: u64) -> anyhow::Result<Self> {
        let [address, count, silent] = [
            address.to_string(),
            count.to_string(),
            silent_of(count).to_string(),
        ];
        let words = [
            "bench",
            "viewers-watch",
            "--dashboard",
            &address,
            "--viewers",
            &count,
            "--silent",
            &silent,
        ];
        let mut process = spawn(words, Stdio::piped())?;
        let output = process.0.stdout.take().context("standard output is piped")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        anyhow::ensure!(
            line.trim() == watch::FOLLOWING,
            "the viewers cannot follow: {line:?}"
        );
        Ok(Self(process))
    }
}

fn spent(viewers: Option<&Viewers>) -> anyhow::Result<Duration> {
    viewers.map_or(Ok(Duration::ZERO), |viewers| processor_time(viewers.0.0.id()))
}
