//! What does a Zarr read cost over the floor? `cargo run --release --example read_floor -- ARRAY.zarr`.
//!
//! The floor decompresses every chunk of a zstd-compressed array once, from files already in memory; the read fetches and
//! decodes every chunk as a worker does. Prints both and their ratio.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "../tests/suite/support/mod.rs"]
mod support;

use std::{path::PathBuf, time::Instant};

use graticule_data::{Sources, store::Stores, zarr::open_zarr_array};
use support::{address, decode, program};

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).expect("the array's folder"));
    let array = open_zarr_array(&Stores::default(), &address(&folder))
        .await
        .unwrap();
    let files = chunk_files(&folder);
    let chunk_bytes = array.grid.block_len(0) as usize * array.dtype.size_bytes() as usize;
    let mut best = [f64::INFINITY; 2];
    for _ in 0..5 {
        let start = Instant::now();
        let mut out = vec![0; chunk_bytes];
        let mut decompressor = zstd::bulk::Decompressor::new().unwrap();
        for file in &files {
            decompressor
                .decompress_to_buffer(&std::fs::read(file).unwrap(), &mut out)
                .unwrap();
        }
        best[0] = best[0].min(start.elapsed().as_secs_f64());

        let start = Instant::now();
        let sources = Sources::default();
        let (program, tables) = program(&array.source, array.dtype, &array.grid, None);
        for block in 0..array.grid.block_count() {
            let fetched = sources
                .fetch(&program, &array.grid.unravel(block), &tables)
                .await
                .unwrap();
            decode(&fetched, &program, &array.grid.extents(block)).unwrap();
        }
        best[1] = best[1].min(start.elapsed().as_secs_f64());
    }
    let [floor, read] = best;
    println!("{} chunks of {chunk_bytes} bytes", files.len());
    println!(
        "floor {:.1} ms, read {:.1} ms, ratio {:.2}",
        floor * 1e3,
        read * 1e3,
        read / floor
    );
}

fn chunk_files(folder: &PathBuf) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(chunk_files(&path));
        } else if path
            .file_name()
            .is_some_and(|name| name != "zarr.json" && name != ".zarray" && name != ".zattrs")
        {
            files.push(path);
        }
    }
    files
}
