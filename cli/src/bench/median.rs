//! A median over time of a Zarr stack: Graticule, Dask, and what this host needs for one decode and one pass.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use anyhow::{Context, bail, ensure};
use graticule_array::Over;
use graticule_client::{Client, LocalOptions, open_zarr};
use serde_json::{Value, json};

use super::{Report, percentile};

/// The peers, as a script for Python; it makes the stack too.
const PEERS: &str = include_str!("../../../benches/median_peers.py");
/// How many times as fast as each peer it is aimed to be.
const RATIO_TARGET: f64 = 4.0;
/// Bytes of the decoded stack's chunks: 1024 x 1024 uint16.
const CHUNK_BYTES: usize = 1024 * 1024 * 2;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Where the stack is, or will be made (about 700 MB); by default a folder for temporary files.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// How often each is measured, in turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..), value_name = "COUNT")]
    rounds: u32,
    /// Threads, or worker processes of one thread, for each.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..), value_name = "COUNT")]
    threads: u32,
    /// A Python with dask, distributed and zarr.
    #[arg(
        long,
        env = "GRATICULE_PYTHON",
        default_value = "python3",
        value_name = "PROGRAM"
    )]
    python: PathBuf,
}

/// What is measured, in the order of a round.
const NAMES: [&str; 4] = ["floor", "graticule", "dask threads", "dask.distributed"];

pub(super) async fn run(args: &Args) -> anyhow::Result<Report> {
    let peers = Peers::prepare(args)?;
    let stack = peers.folder.join("stack.zarr");
    let files = chunk_files(&stack)?;
    // The first pass over the files only brings them into memory.
    floor(&files, args.threads)?;
    let mut seconds: [Vec<f64>; 4] = Default::default();
    for _ in 0..args.rounds {
        seconds[0].push(floor(&files, args.threads)?);
        let (ours, took) = graticule(&stack, args.threads).await?;
        seconds[1].push(took);
        for (slot, action) in [(2, "threads"), (3, "distributed")] {
            let (theirs, took) = peers.run(action)?;
            ensure!(
                ours == theirs,
                "{} and Graticule differ: one of them is wrong",
                NAMES[slot]
            );
            seconds[slot].push(took);
        }
    }
    Ok(report(args, &files, &mut seconds))
}

fn report(args: &Args, files: &[PathBuf], seconds: &mut [Vec<f64>; 4]) -> Report {
    let medians: Vec<f64> = seconds
        .iter_mut()
        .map(|samples| percentile(samples, 50.0))
        .collect();
    let mut lines = vec![format!(
        "median over 24 dates of {} chunks of 1024 x 1024 uint16, zstd; {} threads; {} rounds, middle values; equal \
         results to the bit",
        files.len(),
        args.threads,
        args.rounds
    )];
    let mut figures = json!({"chunk_count": files.len(), "threads": args.threads, "rounds": args.rounds});
    for (place, name) in NAMES.iter().enumerate() {
        let ratio = medians[place] / medians[1];
        let said = match place {
            0 => format!(
                "each byte decoded once, and summed once; Graticule takes {:.2} times as long",
                1.0 / ratio
            ),
            1 => "from opening the array to its median in memory".into(),
            _ => format!("{ratio:.1} times Graticule's; at least {RATIO_TARGET} aimed at"),
        };
        lines.push(format!(
            "{name:>16}: {:6.3} s ({:.3} to {:.3}); {said}",
            medians[place],
            seconds[place][0],
            seconds[place][seconds[place].len() - 1],
        ));
        figures[name.replace(['.', ' '], "_")] = json!({"p50_s": medians[place], "over_graticule": ratio});
    }
    Report { lines, figures }
}

/// Seconds to decompress every chunk once and pass over its elements once.
fn floor(files: &[PathBuf], threads: u32) -> anyhow::Result<f64> {
    let started = Instant::now();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| decode_and_sum(files, &next)))
            .collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(sum) => sum.map(|sum| {
                std::hint::black_box(sum);
            }),
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    Ok(started.elapsed().as_secs_f64())
}

fn decode_and_sum(files: &[PathBuf], next: &AtomicUsize) -> anyhow::Result<u64> {
    let mut decompressor = zstd::bulk::Decompressor::new()?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut sum = 0;
    while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
        let length = decompressor
            .decompress_to_buffer(&fs::read(file)?, &mut chunk)
            .with_context(|| format!("{} is not a chunk of the stack", file.display()))?;
        let (elements, _) = chunk[..length].as_chunks::<2>();
        sum += elements
            .iter()
            .map(|bytes| u64::from(u16::from_le_bytes(*bytes)))
            .sum::<u64>();
    }
    Ok(sum)
}

/// The files below a Zarr array's folder that hold chunks.
fn chunk_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.join("c")];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The median's bytes, and the seconds from opening the array to having them; the start of the cluster is not counted,
/// as it is not for the peers.
async fn graticule(stack: &Path, threads: u32) -> anyhow::Result<(Vec<u8>, f64)> {
    let client = Client::local_with(&LocalOptions {
        slots: Some(threads),
        ..LocalOptions::default()
    })
    .await?;
    let started = Instant::now();
    let array = open_zarr(&stack.display().to_string()).await?;
    let median = client.compute(&array.median(&Over::axis(0))?).await?;
    let took = started.elapsed().as_secs_f64();
    client.close().await;
    Ok((median.bytes().to_vec(), took))
}

/// The script, written beside the stack.
struct Peers<'a> {
    args: &'a Args,
    folder: PathBuf,
    script: PathBuf,
}

impl<'a> Peers<'a> {
    /// Writes the script, and makes the stack where there is none.
    fn prepare(args: &'a Args) -> anyhow::Result<Self> {
        let folder = match &args.folder {
            Some(folder) => folder.clone(),
            None => std::env::temp_dir().join("graticule-bench"),
        };
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let script = folder.join("median_peers.py");
        fs::write(&script, PEERS).with_context(|| format!("cannot write {}", script.display()))?;
        let peers = Self { args, folder, script };
        if !peers.folder.join("stack.zarr/zarr.json").exists() {
            peers.python(&["make"])?;
        }
        Ok(peers)
    }

    /// The result's bytes and the seconds that a peer took.
    fn run(&self, action: &str) -> anyhow::Result<(Vec<u8>, f64)> {
        let out = self.folder.join("peer.npy");
        let threads = self.args.threads.to_string();
        let printed = self.python(&[action, &threads, &out.display().to_string()])?;
        let said: Value = serde_json::from_str(printed.lines().last().unwrap_or_default())
            .with_context(|| format!("the peer printed {printed:?}"))?;
        let took = said["seconds"].as_f64().context("the peer names no seconds")?;
        Ok((npy_data(fs::read(out)?)?, took))
    }

    fn python(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let python = &self.args.python;
        let output = Command::new(python)
            .arg(&self.script)
            .arg(&self.folder)
            .args(arguments)
            .output()
            .with_context(|| {
                format!(
                    "cannot run {}: name a Python with --python, or use `cargo xtask bench median`, which makes one",
                    python.display()
                )
            })?;
        if !output.status.success() {
            bail!(
                "{} needs dask, distributed and zarr (`cargo xtask bench median` installs them): {}",
                python.display(),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The elements of a .npy file's float64 array in C order, as bytes.
fn npy_data(mut file: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let length = file
        .get(8..10)
        .map(|length| usize::from(u16::from_le_bytes([length[0], length[1]])))
        .filter(|length| file.starts_with(b"\x93NUMPY\x01") && file.len() >= 10 + length)
        .context("the peer's result is not a .npy file")?;
    let header = String::from_utf8_lossy(&file[10..10 + length]).into_owned();
    ensure!(
        header.contains("'<f8'") && header.contains("'fortran_order': False"),
        "the peer's result is not float64 in C order: {header}"
    );
    Ok(file.split_off(10 + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_elements_of_an_npy_file() {
        let header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n";
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header);
        file.extend(2.5f64.to_le_bytes());
        assert_eq!(npy_data(file.clone()).ok(), Some(2.5f64.to_le_bytes().to_vec()));
        assert!(npy_data(file[..12].to_vec()).is_err());
        assert!(npy_data(b"P6".to_vec()).is_err());
    }
}
