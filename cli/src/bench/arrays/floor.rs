//! The least that a program takes on this host: each chunk that it reads decoded once, and passed over once.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::programs::Program;

/// The chunks of an input.
struct Chunks {
    files: Vec<PathBuf>,
    is_compressed: bool,
    /// Bytes of a decoded chunk.
    chunk_bytes: usize,
}

/// Seconds for a program's inputs. `None` where its inputs are not Zarr arrays.
///
/// # Errors
/// If they are not there, or are not what `benches/array_peers.py` makes.
pub(super) fn seconds(program: &Program, folder: &Path, threads: u32) -> anyhow::Result<Option<f64>> {
    if program.inputs.iter().any(|(name, _)| name.contains('.')) {
        return Ok(None);
    }
    let inputs = program
        .inputs
        .iter()
        .map(|&(name, count)| chunks_of(&folder.join(format!("{name}.zarr")), count))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let all: Vec<(&Chunks, &PathBuf)> = inputs
        .iter()
        .flat_map(|input| input.files.iter().map(move |file| (input, file)))
        .collect();
    let started = Instant::now();
    let next = AtomicUsize::new(0);
    let sums: Vec<anyhow::Result<u64>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| decode_and_sum(&all, &next)))
            .collect();
        let joined = workers.into_iter().map(thread::ScopedJoinHandle::join);
        joined
            .map(|joined| joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    for sum in sums {
        std::hint::black_box(sum?);
    }
    Ok(Some(started.elapsed().as_secs_f64()))
}

fn decode_and_sum(all: &[(&Chunks, &PathBuf)], next: &AtomicUsize) -> anyhow::Result<u64> {
    let mut decompressor = zstd::bulk::Decompressor::new()?;
    let mut buffer = vec![0; all.iter().map(|(input, _)| input.chunk_bytes).max().unwrap_or(0)];
    let mut sum = 0_u64;
    while let Some((input, file)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
        let stored = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let decoded = if input.is_compressed {
            let length = decompressor
                .decompress_to_buffer(&stored, &mut buffer)
                .with_context(|| format!("{} is not a chunk of its array", file.display()))?;
            &buffer[..length]
        } else {
            &stored
        };
        let (words, _) = decoded.as_chunks::<8>();
        sum = words
            .iter()
            .fold(sum, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)));
    }
    Ok(sum)
}

/// The files of a Zarr array's chunks: all, or so many of them; they have all the same size.
fn chunks_of(folder: &Path, count: Option<usize>) -> anyhow::Result<Chunks> {
    let path = folder.join("zarr.json");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let about: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
    let item_bytes = match about["data_type"].as_str() {
        Some("uint16") => 2,
        Some("float32" | "int32") => 4,
        Some("float64") => 8,
        other => anyhow::bail!("{} has data of {other:?}", path.display()),
    };
    let shape = about["chunk_grid"]["configuration"]["chunk_shape"].as_array();
    let shape = shape.with_context(|| format!("{} names no chunks", path.display()))?;
    let elements: u64 = shape.iter().filter_map(Value::as_u64).product();
    let codecs = about["codecs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut files = Vec::new();
    list(&folder.join("c"), &mut files)?;
    files.sort();
    if let Some(count) = count {
        files.truncate(count);
    }
    ensure!(!files.is_empty(), "{} has no chunks", folder.display());
    Ok(Chunks {
        files,
        is_compressed: codecs.iter().any(|codec| codec["name"] == "zstd"),
        chunk_bytes: elements as usize * item_bytes,
    })
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
