//! What does it cost to say what is to be done, for few chunks and for many?

use std::time::Instant;

use graticule_array::{Array, LowerOptions, Over, Wanted, lower, where_};
use graticule_ops::{ArraySource, OnError, ZarrArray};
use graticule_plan::{ChunkGrid, DType};
use graticule_proto::submission_bytes;
use serde_json::json;

use super::{Report, against, percentile};

/// Milliseconds and bytes aimed at.
const TIME_TARGET_MS: f64 = 5.0;
const BYTES_TARGET: f64 = 65536.0;
/// Chunks of the expression's source.
const CHUNK_COUNTS: [u64; 2] = [1_000, 100_000_000];

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// How often each is done.
    #[arg(long, default_value_t = 101, value_parser = clap::value_parser!(u32).range(1..), value_name = "COUNT")]
    repeats: u32,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Report> {
    let mut report = Report {
        lines: Vec::new(),
        figures: json!({}),
    };
    for chunks in CHUNK_COUNTS {
        let mut samples = Vec::new();
        let (mut bytes, mut table_bytes, mut tasks, mut layers) = (0, 0, 0, 0);
        for _ in 0..args.repeats {
            let started = Instant::now();
            let result = expression(chunks)?;
            let plan = lower(&[(&result, Wanted::Deliver)], &LowerOptions::default())?.plan;
            (bytes, table_bytes) = submission_bytes(&plan);
            samples.push(started.elapsed().as_secs_f64() * 1e3);
            (tasks, layers) = (plan.task_count(), plan.layers().len());
        }
        let (p50, p99) = (percentile(&mut samples, 50.0), percentile(&mut samples, 99.0));
        report.lines.push(format!(
            "{chunks} chunks, 20 operations: {p50:.3} ms ({}), p99 {p99:.3} ms; {bytes} bytes ({}) and {table_bytes} \
             of side tables; {layers} layers, {tasks} tasks",
            against(p50, TIME_TARGET_MS),
            against(bytes as f64, BYTES_TARGET),
        ));
        report.figures[format!("chunks_{chunks}")] = json!({
            "p50_ms": p50,
            "p99_ms": p99,
            "bytes": bytes,
            "table_bytes": table_bytes,
            "layer_count": layers,
            "task_count": tasks,
        });
    }
    Ok(report)
}

/// Twenty operations on a Zarr array `(time, band, y, x)` of so many chunks, which nobody reads.
fn expression(chunks: u64) -> anyhow::Result<Array> {
    let side = ((chunks / 10) as f64).sqrt().ceil() as u64;
    let (shape, chunk) = (
        [10, 2, side * 1024, chunks / 10 / side * 1024],
        [1, 2, 1024, 1024],
    );
    let source = ArraySource::Zarr(ZarrArray {
        url: "file:///nowhere/stack.zarr".into(),
        metadata: "{}".into(),
        is_v2: false,
        dtype: DType::UInt16,
        shape: shape.to_vec(),
        chunks: chunk.to_vec(),
        on_error: OnError::Raise,
    });
    let stack = Array::from_source(&source, DType::UInt16, &ChunkGrid::regular(&shape, &chunk)?)?;
    let band = |index: i64| stack.slice(&[(..).into(), index.into()]);
    // 1 to 6: both bands, scaled.
    let red = band(0)?.astype(DType::Float32)?.multiply(1e-4)?;
    let near = band(1)?.astype(DType::Float32)?.multiply(1e-4)?;
    // 7 to 9: the normalised difference.
    let index = near.subtract(&red)?.divide(near.add(&red)?)?;
    // 10 to 13: what is plausible.
    let plausible = index.greater(-1.0)?.logical_and(index.less(1.0)?)?;
    let index = where_(plausible, index, f64::NAN)?;
    // 14 to 16: in other units.
    let index = index.add(1.0)?.multiply(100.0)?.sqrt()?;
    // 17 to 20: the anomaly's spread over time, stretched.
    let anomaly = index.subtract(index.mean(&Over::axis(0).skipna())?)?;
    Ok(anomaly.median(&Over::axis(0).skipna())?.absolute()?)
}
