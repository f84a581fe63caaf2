//! What fresh memory costs: `cargo run --release -p graticule-transfer --example page_rate`.
//!
//! Buffers of 32 MiB are made, written once and let go: on the heap, in large pages, and in memory that other processes may
//! map. Middle values of twenty.

use std::{error::Error, time::Instant};

use graticule_kernel::{TensorMut, as_scratch, limit_spare_bytes};
use graticule_plan::DType;

const MIB: usize = 32;
const ROUNDS: usize = 20;

/// Milliseconds for a MiB.
fn measure() -> Result<f64, Box<dyn Error>> {
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let mut buffer = TensorMut::for_overwrite(DType::UInt8, &[MIB << 20])?;
        buffer.bytes_mut().fill(1);
        drop(std::hint::black_box(buffer));
        took.push(began.elapsed().as_secs_f64() * 1e3 / MIB as f64);
    }
    took.sort_by(f64::total_cmp);
    Ok(took[ROUNDS / 2])
}

#[allow(clippy::print_stdout)]
fn main() -> Result<(), Box<dyn Error>> {
    // Each buffer is new.
    limit_spare_bytes(0);
    println!("on the heap:               {:.2} ms a MiB", measure()?);
    #[cfg(target_os = "linux")]
    graticule_transfer::map_large_buffers();
    println!("in large pages:            {:.2} ms a MiB", as_scratch(measure)?);
    #[cfg(target_os = "linux")]
    graticule_transfer::share_large_buffers();
    println!("for others to map as well: {:.2} ms a MiB", measure()?);
    Ok(())
}
