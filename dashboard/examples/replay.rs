//! A dashboard that shows a made-up cluster, to look at the page and to test it without a real one.
//!
//! Three workers compute mosaics one after the other: scenes are read and masked, their median is taken, by
//! month and over all, and the result is written. Some time into the first one a worker is lost; what it held is
//! computed anew, and another worker takes its place.
//!
//! ```text
//! cargo run -p graticule-dashboard --example replay -- [--port 8788] [--speed 1.0] [--idle] [--once] [--tasks 900] [--scaling] [--name N]
//! ```
//!
//! With `--scaling` it tells of decisions on the number of workers too. It prints the page's address on its first line and runs until it is interrupted or its input ends.

#[path = "replay/cluster.rs"]
mod cluster;

use std::{io::Read, net::Ipv4Addr, time::Instant};

use graticule_dashboard::{Dashboard, DashboardOptions, Feed};
use tokio::net::TcpListener;

/// What the command line says.
struct Arguments {
    port: u16,
    speed: f64,
    tasks: u64,
    is_idle: bool,
    is_once: bool,
    is_scaling: bool,
    name: Option<String>,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self {
            port: 0,
            speed: 1.0,
            tasks: 640,
            is_idle: false,
            is_once: false,
            is_scaling: false,
            name: None,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            let wrong = |value: &str| format!("{word}: {value:?} is not a number that makes sense here");
            match word.as_str() {
                "--port" => arguments.port = value().and_then(|v| v.parse().map_err(|_| wrong(&v)))?,
                "--speed" => arguments.speed = value().and_then(|v| v.parse().map_err(|_| wrong(&v)))?,
                "--tasks" => arguments.tasks = value().and_then(|v| v.parse().map_err(|_| wrong(&v)))?,
                "--name" => arguments.name = Some(value()?),
                "--idle" => arguments.is_idle = true,
                "--scaling" => arguments.is_scaling = true,
                "--once" => arguments.is_once = true,
                _ => return Err(format!("unknown option {word}")),
            }
        }
        if arguments.speed.is_nan() || arguments.speed <= 0.0 || arguments.tasks == 0 {
            return Err("--speed and --tasks must be above zero".to_owned());
        }
        Ok(arguments)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let (feed, receiver) = Feed::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).await?;
    let started = Instant::now();
    let options = DashboardOptions {
        cluster: "replay".into(),
        started,
        ..Default::default()
    };
    let dashboard = Dashboard::start(listener, receiver, options)?;
    announce(&dashboard.url())?;

    let play = play(feed, &arguments, started);
    tokio::select! {
        () = play => {}
        _ = tokio::signal::ctrl_c() => {}
        () = input_ended() => {}
    }
    dashboard.shutdown().await;
    Ok(())
}

async fn play(feed: Feed, arguments: &Arguments, started: Instant) {
    let mut cluster = cluster::Cluster::new(feed, started, arguments.speed, arguments.name.clone());
    if arguments.is_idle {
        return std::future::pending().await;
    }
    if arguments.is_scaling {
        cluster.assemble_by_decision().await;
    } else {
        cluster.assemble();
    }
    let mut round = 0;
    loop {
        cluster.run_mosaic(round, arguments.tasks).await;
        if arguments.is_scaling && round == 0 {
            cluster.scale_down().await;
        }
        round += 1;
        if arguments.is_once {
            cluster.stay().await;
        }
        cluster.rest(4.0).await;
    }
}

/// So that the process ends with the test that started it.
async fn input_ended() {
    let read = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
    if !matches!(read, Ok(Ok(_))) {
        std::future::pending().await
    }
}

fn announce(url: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{url}")?;
    out.flush()
}
