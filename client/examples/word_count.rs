//! Counts words with functions of one's own on an embedded cluster:
//!
//! ```text
//! cargo run -p graticule-client --example word_count -- README.md ARCHITECTURE.md
//! ```
#![allow(clippy::print_stdout)] // What it counts is for the reader.

use std::error::Error;

use graticule_client::{Client, Future, LocalOptions, Registry, Value};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut functions = Registry::new();
    functions.function("read", |inputs| {
        let path = inputs[0].text().ok_or("a path is expected")?;
        Ok(Value::from(std::fs::read_to_string(path)?))
    });
    functions.function("count", |inputs| {
        let text = inputs[0].text().ok_or("text is expected")?;
        Ok(Value::from(text.split_whitespace().count() as u64))
    });
    functions.function("sum", |inputs| {
        let numbers = inputs.iter().filter_map(Value::number::<u64>);
        Ok(Value::from(numbers.sum::<u64>()))
    });
    let options = LocalOptions {
        functions,
        ..LocalOptions::default()
    };
    let client = Client::local_with(&options).await?;

    let paths: Vec<String> = std::env::args().skip(1).collect();
    let texts = client.map("read", paths.iter().map(String::as_str))?;
    let counts: Vec<Future> = client.map("count", &texts)?;
    let sum = client.submit("sum", &counts)?;
    for (path, count) in paths.iter().zip(client.gather(&counts).await?) {
        println!("{path}: {}", count.number::<u64>().unwrap_or_default());
    }
    println!(
        "in all: {}",
        sum.result().await?.number::<u64>().unwrap_or_default()
    );
    Ok(())
}
