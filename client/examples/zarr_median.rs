//! Takes the median over the first axis of a Zarr array on the embedded cluster, and prints the seconds it took.
//!
//! `cargo run --release -p graticule-client --example zarr_median -- STACK.zarr [RUNS]`

#![allow(clippy::print_stdout)]

use std::time::Instant;

use graticule_array::Over;
use graticule_client::{Client, open_zarr};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("which Zarr array?")?;
    let runs: u32 = arguments.next().map_or(Ok(3), |text| text.parse())?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let client = Client::local().await?;
        for _ in 0..runs {
            let begin = Instant::now();
            let array = open_zarr(&address).await?;
            let median = client.compute(&array.median(&Over::axis(0))?).await?;
            println!(
                "{:.3} s: {} of {:?}",
                begin.elapsed().as_secs_f64(),
                median.dtype(),
                median.shape()
            );
        }
        client.close().await;
        Ok(())
    })
}
