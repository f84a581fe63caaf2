//! A function of one's own on each chunk of an array, and on each with its neighbours' edges:
//!
//! ```text
//! cargo run -p graticule-client --example map_blocks
//! ```
//!
//! On a cluster of processes the functions stand in the worker's binary (see the example `own_worker`); the arrays are
//! written down in the same way.
#![allow(clippy::print_stdout)] // What it makes is for the reader.

use std::error::Error;

use graticule_array::{Array, BlockFunction, Boundary, Chunks, MapBlocks, Over, map_overlap};
use graticule_client::{BlockCall, Chunk, Client, FunctionError, LocalOptions, Registry, Tensor};
use graticule_plan::DType;

/// Counts how many numbers of each line are above a threshold, which comes with the operation.
fn count_above(call: &BlockCall<'_>) -> Result<Chunk, FunctionError> {
    let threshold = f64::from_le_bytes(call.payload().try_into()?);
    let block = call.block(0);
    let lines = block.elements::<f64>()?.chunks(block.shape()[1]);
    let counts: Vec<i64> = lines
        .map(|line| line.iter().filter(|x| **x > threshold).count() as i64)
        .collect();
    Ok(Tensor::from_vec(call.shape(), counts)?.into())
}

/// Takes the middle one of each element and its two neighbours.
fn middle(call: &BlockCall<'_>) -> Result<Chunk, FunctionError> {
    let x = call.block(0).elements::<f64>()?;
    let of_three = |k: usize| {
        let mut three = [x[k.saturating_sub(1)], x[k], x[(k + 1).min(x.len() - 1)]];
        three.sort_by(f64::total_cmp);
        three[1]
    };
    Ok(Tensor::from_vec(call.shape(), (0..x.len()).map(of_three).collect())?.into())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut functions = Registry::new();
    functions.block_function("count_above", count_above);
    functions.block_function("middle", middle);
    let options = LocalOptions {
        functions,
        ..LocalOptions::default()
    };
    let client = Client::local_with(&options).await?;

    let mut random = graticule_array::Generator::new(1);
    let field = random.normal(0.0, 1.0, &[6, 1000], &[Chunks::Size(2), Chunks::Size(250)])?;
    let above = BlockFunction::new("count_above").payload(1.0_f64.to_le_bytes());
    // The function gets whole lines, and gives a number for each.
    let counts = field.map_blocks(&above, &MapBlocks::new(DType::Int64).drop_axis([1]))?;
    println!("above 1, of 1000: {:?}", client.compute(&counts).await?);

    let spike = Array::from_slice(
        &[8],
        &[Chunks::Size(2)],
        &[1.0, 1.0, 9.0, 1.0, 2.0, 2.0, 2.0, 2.0],
    )?;
    let smooth = map_overlap(
        &BlockFunction::new("middle"),
        &[&spike],
        &[(1, 1)],
        &[Boundary::Nearest],
        true,
        &MapBlocks::new(DType::Float64),
    )?;
    println!("without the spike: {:?}", client.compute(&smooth).await?);
    println!("its sum: {:?}", client.compute(&smooth.sum(&Over::all())?).await?);
    client.close().await;
    Ok(())
}
