//! A worker binary of one's own: the usual worker, with functions that clients and arrays call by name.
//!
//! ```text
//! graticule scheduler &
//! cargo run -p graticule-client --example own_worker -- --scheduler grpc://127.0.0.1:8786
//! ```

use graticule_worker::{Registry, Tensor, Value, WorkerError};

fn main() -> Result<(), WorkerError> {
    let mut registry = Registry::new();
    registry.function("word_count", |inputs| {
        let text = inputs[0].text().ok_or("the first argument must be text")?;
        Ok(Value::from(text.split_whitespace().count() as u64))
    });
    registry.function("sum", |inputs| {
        let numbers = inputs.iter().filter_map(Value::number::<u64>);
        Ok(Value::from(numbers.sum::<u64>()))
    });
    registry.block_function("scale", |call| {
        let factor = f64::from_le_bytes(call.payload().try_into()?);
        let block = call.block(0);
        let scaled: Vec<f64> = block.elements::<f64>()?.iter().map(|x| factor * x).collect();
        Ok(Tensor::from_vec(block.shape(), scaled)?.into())
    });
    registry.function("process", |_| Ok(Value::from(u64::from(std::process::id()))));
    graticule_worker::run(registry)
}
