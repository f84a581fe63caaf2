//! What is computed of data that may not fit the workers.

use std::path::Path;

use anyhow::Context;
use graticule_array::{Array, ArrayError, Chunks, Index, Over};
use graticule_ops::ReduceKind;
use graticule_plan::DType;
use serde_json::json;

/// What is computed of the data.
pub(super) type Program = fn(&Data) -> Result<Array, ArrayError>;

/// Two square matrices.
pub(super) struct Data {
    pub(super) u: Array,
    pub(super) v: Array,
    /// Another one, in files.
    pub(super) read: Array,
    /// Rows after which the seasons begin again.
    pub(super) days: u64,
    /// Of a pancake or a pencil of as many elements as a square chunk has.
    pub(super) thickness: u64,
    /// Columns of the matrix that another is multiplied by.
    pub(super) columns: u64,
}

pub(super) const PROGRAMS: [(&str, Program); 9] = [
    ("mean", |d| d.u.mean(&Over::all())),
    ("anomaly", |d| d.u.subtract(d.u.mean(&Over::axis(0))?)),
    // It is needed twice, and nobody keeps it: it is held, spilled, or let go and read again.
    ("anomaly of files", |d| {
        d.read.subtract(d.read.mean(&Over::axis(0))?)
    }),
    ("vorticity", |d| {
        let dy = difference(&d.v, 0)?.slice(&[Index::Full, Index::range(1, i64::MAX)])?;
        let dx = difference(&d.u, 1)?.slice(&[Index::range(1, i64::MAX), Index::Full])?;
        let inner = [Index::range(1, i64::MAX), Index::range(1, i64::MAX)];
        let (u, v) = (d.u.slice(&inner)?, d.v.slice(&inner)?);
        u.multiply(dy)?.subtract(v.multiply(dx)?)
    }),
    ("x + x.T", |d| d.u.add(d.u.transpose())),
    ("double difference", |d| difference(&difference(&d.u, 0)?, 0)),
    ("climatology", |d| {
        let days: Vec<Option<u64>> = (0..d.u.shape()[0]).map(|day| Some(day % d.days)).collect();
        let (means, _) = d.u.groupby_reduce(0, &days, ReduceKind::Mean, true)?;
        Ok(means)
    }),
    ("rechunk", |d| {
        let pancakes = [Chunks::Size(d.thickness), Chunks::Whole];
        let pencils = [Chunks::Whole, Chunks::Size(d.thickness)];
        d.u.rechunk(&pancakes)?.add(&d.v)?.rechunk(&pencils)
    }),
    ("tensordot", |d| {
        let columns = i64::try_from(d.columns).unwrap_or(i64::MAX);
        let some = d.v.slice(&[Index::Full, Index::range(0, columns)])?;
        dot(&d.u, &some)
    }),
];

/// The product of two matrices: their elements' products, of three axes and never in memory as a whole, summed along the
/// axis that both share.
fn dot(a: &Array, b: &Array) -> Result<Array, ArrayError> {
    let rows = a.slice(&[Index::Full, Index::Full, Index::NewAxis])?;
    let columns = b.slice(&[Index::NewAxis, Index::Full, Index::Full])?;
    rows.multiply(columns)?.sum(&Over::axis(1))
}

/// Each element less the one before it along an axis.
fn difference(x: &Array, axis: usize) -> Result<Array, ArrayError> {
    let along = |range| {
        let mut index = vec![Index::Full; x.ndim()];
        index[axis] = range;
        x.slice(&index)
    };
    along(Index::range(1, i64::MAX))?.subtract(along(Index::range(0, -1))?)
}

/// Writes a square matrix of waves as Zarr 2 without compression.
pub(super) fn write_zarr(folder: &Path, side: u64, chunk: u64, step: f64) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let metadata = json!({
        "zarr_format": 2, "shape": [side, side], "chunks": [chunk, chunk], "dtype": "<f8", "order": "C",
        "compressor": null, "filters": null, "fill_value": 0.0,
    });
    std::fs::write(folder.join(".zarray"), metadata.to_string())?;
    let count = side.div_ceil(chunk);
    for row in 0..count {
        for column in 0..count {
            let values = (0..chunk).flat_map(|y| {
                let y = ((row * chunk + y) as f64 * step).sin();
                (0..chunk).map(move |x| y * ((column * chunk + x) as f64 * step / 2.0).cos())
            });
            let bytes: Vec<u8> = values.flat_map(f64::to_le_bytes).collect();
            std::fs::write(folder.join(format!("{row}.{column}")), bytes)?;
        }
    }
    Ok(())
}

/// Waves along both axes, cut into squares.
pub(super) fn wave(side: u64, chunk: u64, step: f64) -> Result<Array, ArrayError> {
    let axis = |step: f64| Array::arange(0.0, side as f64 * step, step, DType::Float64, Chunks::Size(chunk));
    let rows = axis(step)?.slice(&[Index::Full, Index::NewAxis])?;
    let columns = axis(step / 2.0)?.slice(&[Index::NewAxis, Index::Full])?;
    rows.sin()?.multiply(columns.cos()?)
}
