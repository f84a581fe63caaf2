//! A cluster whose tasks wait, each for another reason, to look at what the dashboard's page *Task* says of them:
//!
//! ```text
//! cargo run -p graticule-client --example waiting
//! ```
//!
//! It prints the page's address on its first line, and ends with its input. A call asks for a GPU, which no worker has, and another
//! one for its result. Chunks of an array wait for memory, since nobody fetches those that were made.
#![allow(clippy::print_stdout)] // The address is for the reader.

use std::{
    error::Error,
    io::Read,
    sync::{Arc, Condvar, Mutex, PoisonError},
};

use graticule_array::{Array, BlockFunction, Chunks, MapBlocks};
use graticule_client::{CallOptions, Client, LocalOptions, Registry, RunOptions, Tensor};
use graticule_plan::DType;

/// A name that would be a picture if it were taken for markup.
const NAME: &str = "<img src=x onerror=alert(1)>";

/// Chunks that come through the gate while it is shut: as many as fit the worker's memory.
const THROUGH_COUNT: u64 = 14;

/// Lets a few chunks through, and the others when it is opened.
#[derive(Default)]
struct Gate {
    through: Mutex<u64>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut through = self.through.lock().unwrap_or_else(PoisonError::into_inner);
        *through = through.saturating_add(1);
        while (THROUGH_COUNT + 1..u64::MAX).contains(&*through) {
            let woken = self.opened.wait(through);
            through = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn open(&self) {
        *self.through.lock().unwrap_or_else(PoisonError::into_inner) = u64::MAX;
        self.opened.notify_all();
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let gate = Arc::new(Gate::default());
    let mut functions = Registry::new();
    functions.function(NAME, |inputs| Ok(inputs[0].clone()));
    let inside = gate.clone();
    functions.block_function("gate", move |call| {
        inside.pass();
        let elements = call.block(0).elements::<f64>()?.to_vec();
        Ok(Tensor::from_vec(call.shape(), elements)?.into())
    });
    let options = LocalOptions {
        slots: Some(1),
        budget_bytes: Some(16 << 20),
        functions,
        dashboard: Some(([127, 0, 0, 1], 0).into()),
        ..LocalOptions::default()
    };
    let client = Client::local_with(&options).await?;

    let wants = CallOptions::new().resource("GPU", 1);
    let call = client.submit_with(NAME, [1_i64], &wants)?;
    let behind = client.submit(NAME, [&call])?;
    let ones = Array::ones(&[64 << 17], &[Chunks::Size(1 << 17)], DType::Float64)?;
    let gated = ones.map_blocks(&BlockFunction::new("gate"), &MapBlocks::new(DType::Float64))?;
    let job = client.start(&[&gated], &RunOptions::default()).await?;
    println!("{}", client.dashboard_url().ok_or("it has a dashboard")?);

    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    gate.open();
    job.cancel().await;
    drop((call, behind));
    client.close().await;
    Ok(())
}
