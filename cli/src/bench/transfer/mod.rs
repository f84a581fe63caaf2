//! How fast do chunks go from one process to another on this machine, beside raw TCP and a copy in memory?

mod store;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::Stdio,
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use graticule_kernel::{Chunk, Tensor, TensorMut};
use graticule_plan::DType;
use graticule_transfer::{Fetch, StorePool};
use serde_json::json;

use super::{Report, peers, percentile};
use crate::processes::{Process, spawn};

pub(super) use store::{StoreArgs, serve};
use store::{chunk, chunk_id};

/// The part of raw TCP's rate that gRPC is aimed to have, and of memcpy's that shared memory is.
const TCP_TARGET: f64 = 0.6;
const MEMCPY_TARGET: f64 = 0.5;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Bytes of a chunk, several sizes with commas between; by default 1, 16 and 64 MiB. Smaller ones are not mapped.
    #[arg(long, value_delimiter = ',', default_values_t = [1 << 20, 16 << 20, 64 << 20],
          value_parser = clap::value_parser!(u64).range(1 << 20..=1 << 30), value_name = "BYTES")]
    bytes: Vec<u64>,
    /// Bytes that each way carries in a round.
    #[arg(long, default_value_t = 256 << 20, value_parser = clap::value_parser!(u64).range(1..), value_name = "BYTES")]
    total: u64,
    /// Chunks that are asked for before the first has come.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64), value_name = "COUNT")]
    at_once: u16,
    /// How often each way is measured, in turn.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..), value_name = "COUNT")]
    rounds: u32,
    #[command(flatten)]
    peers: peers::Args,
}

/// The ways, in the order of a round.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// Plain blocking sockets, one connection, into buffers that are there.
    RawTcp,
    /// As a worker fetches from another host.
    Grpc,
    /// As a worker fetches from this host, and then a copy of every byte into a buffer that is there.
    Shared,
    /// The same, without that copy: the chunk is mapped and ready to be read.
    Mapped,
    /// The same copies in one process: as many chunks, to the same buffers.
    Memcpy,
}

const WAYS: [Way; 5] = [Way::RawTcp, Way::Grpc, Way::Shared, Way::Mapped, Way::Memcpy];

pub(super) async fn run(args: &Args) -> anyhow::Result<Report> {
    let mut report = Report {
        lines: Vec::new(),
        figures: json!({"at_once": args.at_once, "rounds": args.rounds}),
    };
    let store = Store::start(args)?;
    for (place, &bytes) in args.bytes.iter().enumerate() {
        let mut rates: [Vec<f64>; WAYS.len()] = Default::default();
        let mut trial = Trial::new(args, &store, place, bytes)?;
        trial.check().await?;
        // The first round warms up.
        for round in 0..=args.rounds {
            for (way, rates) in WAYS.into_iter().zip(&mut rates) {
                let rate = trial.run(way).await?;
                if round > 0 {
                    rates.push(rate);
                }
            }
        }
        tell(bytes, &mut rates, &mut report);
        measure_peers(args, bytes, &mut report)?;
    }
    Ok(report)
}

/// The peers' chunks are NumPy arrays; they are whole MiB, and go from one worker to another that needs all of them.
fn measure_peers(args: &Args, bytes: u64, report: &mut Report) -> anyhow::Result<()> {
    let mib = (bytes >> 20).to_string();
    let words = ["transfer", &mib, &(args.total >> 20).max(1).to_string()];
    peers::measure(&args.peers, &words, report, |name, said| {
        let rate = said["bytes_per_second"].as_f64()? / 1e9;
        Some(format!("chunks of {mib} MiB, {name}: {rate:.2} GB/s"))
    })
}

fn tell(bytes: u64, rates: &mut [Vec<f64>], report: &mut Report) {
    let medians: Vec<f64> = rates.iter_mut().map(|rates| percentile(rates, 50.0)).collect();
    let [tcp, grpc, shared, mapped, memcpy] = medians[..] else {
        unreachable!("a median for each way")
    };
    let size = format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20));
    report.lines.push(format!(
        "chunks of {size}: raw TCP {tcp:.2} GB/s, gRPC {grpc:.2} GB/s: {:.2} of it ({TCP_TARGET} aimed at); memcpy \
         {memcpy:.2} GB/s, shared memory and a copy out of it {shared:.2} GB/s: {:.2} of it ({MEMCPY_TARGET} aimed at); \
         mapped, not copied: {:.0} us a chunk",
        grpc / tcp,
        shared / memcpy,
        bytes as f64 / mapped / 1e3,
    ));
    report.figures[bytes.to_string()] = json!({
        "tcp_gb_per_s": tcp, "grpc_gb_per_s": grpc, "grpc_over_tcp": grpc / tcp,
        "memcpy_gb_per_s": memcpy, "shared_gb_per_s": shared, "shared_over_memcpy": shared / memcpy,
        "mapped_us": bytes as f64 / mapped / 1e3,
    });
}

/// The other process.
struct Store {
    _process: Process,
    grpc: Arc<str>,
    tcp: String,
}

impl Store {
    fn start(args: &Args) -> anyhow::Result<Self> {
        let sizes: Vec<String> = args.bytes.iter().map(u64::to_string).collect();
        let (sizes, count) = (sizes.join(","), args.at_once.to_string());
        let words = ["bench", "transfer-store", "--bytes", &sizes, "--count", &count];
        let mut process = spawn(words, Stdio::piped())?;
        let output = process.0.stdout.take().context("standard output is piped")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let mut words = line.split_whitespace();
        let (Some(grpc), Some(tcp)) = (words.next(), words.next()) else {
            anyhow::bail!("the store did not say where it is: {line:?}");
        };
        Ok(Self {
            grpc: grpc.into(),
            tcp: tcp.to_owned(),
            _process: process,
        })
    }
}

/// The ways for chunks of one size.
struct Trial<'a> {
    args: &'a Args,
    store: &'a Store,
    place: usize,
    bytes: u64,
    remote: StorePool,
    shared: StorePool,
    tcp: TcpStream,
    /// Where raw TCP and memcpy write to.
    targets: Vec<TensorMut>,
    sources: Vec<Tensor>,
}

impl<'a> Trial<'a> {
    fn new(args: &'a Args, store: &'a Store, place: usize, bytes: u64) -> anyhow::Result<Self> {
        let target = || TensorMut::zeros(DType::UInt8, &[bytes as usize]);
        let tcp = TcpStream::connect(&store.tcp)?;
        tcp.set_nodelay(true)?;
        Ok(Self {
            args,
            store,
            place,
            bytes,
            remote: StorePool::new().without_sharing(),
            shared: StorePool::new(),
            tcp,
            targets: (0..args.at_once).map(|_| target()).collect::<Result<_, _>>()?,
            sources: (0..args.at_once.into())
                .map(|block| chunk(bytes, block))
                .collect::<Result<_, _>>()?,
        })
    }

    fn count(&self) -> u64 {
        self.args.total.div_ceil(self.bytes)
    }

    /// All ways bring the same bytes.
    async fn check(&mut self) -> anyhow::Result<()> {
        for pool in [&self.remote, &self.shared] {
            let fetched = self.fetch(pool, 0).await?;
            ensure!(
                fetched.single() == self.sources.first(),
                "other bytes came than were sent"
            );
        }
        ensure!(
            self.shared.mapped_count() == 1 || cfg!(not(target_os = "linux")),
            "the chunk was not mapped: are both processes allowed to share memory?"
        );
        self.ask(0)?;
        self.receive(0)?;
        let received = self.targets[0].as_mut_slice::<u8>();
        ensure!(
            received.as_deref() == self.sources[0].as_slice(),
            "TCP brought other bytes"
        );
        Ok(())
    }

    /// Gigabytes a second of one way.
    async fn run(&mut self, way: Way) -> anyhow::Result<f64> {
        let count = self.count();
        let started = Instant::now();
        match way {
            Way::RawTcp => tokio::task::block_in_place(|| self.raw_tcp(count))?,
            Way::Grpc => self.fetch_all(&self.remote, count).await?,
            Way::Shared => self.shared(count).await?,
            Way::Mapped => self.fetch_all(&self.shared, count).await?,
            Way::Memcpy => {
                let sources = self.sources.clone();
                let numbered = (0..count).zip(sources.iter().cycle());
                tokio::task::block_in_place(|| {
                    numbered.for_each(|(number, source)| self.copy(number, source))
                });
            }
        }
        Ok((count * self.bytes) as f64 / started.elapsed().as_secs_f64() / 1e9)
    }

    fn raw_tcp(&mut self, count: u64) -> anyhow::Result<()> {
        let at_once = u64::from(self.args.at_once);
        (0..at_once.min(count)).try_for_each(|number| self.ask(number))?;
        for number in 0..count {
            self.receive(number)?;
            if number + at_once < count {
                self.ask(number + at_once)?;
            }
        }
        Ok(())
    }

    fn ask(&mut self, number: u64) -> anyhow::Result<()> {
        let block = number % u64::from(self.args.at_once);
        let mut request = [0; 16];
        request[..8].copy_from_slice(&(self.place as u64).to_le_bytes());
        request[8..].copy_from_slice(&block.to_le_bytes());
        Ok(self.tcp.write_all(&request)?)
    }

    fn receive(&mut self, number: u64) -> anyhow::Result<()> {
        let place = number as usize % self.targets.len();
        Ok(self.tcp.read_exact(self.targets[place].bytes_mut())?)
    }

    async fn fetch_all(&self, pool: &StorePool, count: u64) -> anyhow::Result<()> {
        let fetches = stream::iter(0..count).map(|number| self.fetch(pool, number));
        let fetches = fetches.buffer_unordered(self.args.at_once.into());
        fetches
            .try_for_each(|chunk| async move {
                ensure!(chunk.nbytes() == self.bytes, "{} bytes came", chunk.nbytes());
                Ok(())
            })
            .await
    }

    async fn fetch(&self, pool: &StorePool, number: u64) -> anyhow::Result<Chunk> {
        let fetch = Fetch {
            address: &self.store.grpc,
            chunk: chunk_id(self.place, number % u64::from(self.args.at_once)),
            region: None,
            bytes: Some(self.bytes),
        };
        Ok(pool.fetch(fetch).await?)
    }

    async fn shared(&mut self, count: u64) -> anyhow::Result<()> {
        for number in 0..count {
            let chunk = self.fetch(&self.shared, number).await?;
            let tensor = chunk.single().context("a chunk of one tensor was sent")?;
            tokio::task::block_in_place(|| self.copy(number, tensor));
        }
        Ok(())
    }

    fn copy(&mut self, number: u64, source: &Tensor) {
        let place = number as usize % self.targets.len();
        self.targets[place].bytes_mut().copy_from_slice(source.bytes());
        std::hint::black_box(&mut self.targets[place]);
    }
}
