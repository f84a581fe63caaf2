//! What the plans of large geospatial programs are: tasks, bytes, memory, and the time to plan.
//!
//! They are those of Coiled's public benchmarks at their large sizes (`tests/geospatial` of `coiled/benchmarks`), on
//! sources that nobody reads. Sources are opened in chunks of at most 128 MiB that are multiples of the stored ones.
//!
//! `cargo run --release -p graticule-array --example shapes [-- NAME]`: all, or the whole plan of one.
#![allow(dead_code, clippy::print_stdout)] // The tests take it in too.

use std::time::Instant;

use graticule_array::{
    AUTO_CHUNK_BYTES, Array, ArrayError, Chunks, Grouping, Index, Interpolation, LowerOptions, Lowered, Over,
    Pad, Wanted, concatenate, lower, stack, where_,
};
use graticule_ops::{ArraySource, Grid, OnError, RasterStack, ReduceKind, Resampling, ZarrArray};
use graticule_plan::{ChunkGrid, DType};

const GIB: u64 = 1 << 30;
/// Hours of ERA5 from 1959 on, and its grid of a quarter degree.
const HOURS: u64 = 561_264;
const LATITUDES: u64 = 721;
const LONGITUDES: u64 = 1_440;
const LEVELS: u64 = 37;

/// A program, and the cluster that its benchmark runs on.
pub(crate) struct Shape {
    /// Its name.
    pub(crate) name: &'static str,
    /// Workers, each with 16 GiB and four slots.
    pub(crate) workers: u64,
    /// Tasks of the same program in Dask, by `benches/shapes_peers.py`.
    pub(crate) dask_tasks: u64,
    /// Builds it.
    pub(crate) build: fn() -> Result<Vec<Array>, ArrayError>,
}

/// What a plan comes to.
pub(crate) struct Planned {
    /// The plan.
    pub(crate) lowered: Lowered,
    /// Bytes that all tasks read.
    pub(crate) read_bytes: u64,
    /// The most that a task takes.
    pub(crate) task_bytes: u64,
    /// Seconds to build the expression and lower it.
    pub(crate) seconds: f64,
}

/// Those that can be planned: a label for each of 283 million places (the zonal average over counties) is a table of a
/// GiB, which takes longer than a second to look through alone.
#[rustfmt::skip] // A line each.
pub(crate) const SHAPES: &[Shape] = &[
    Shape { name: "rechunking", workers: 100, dask_tasks: 1_253_154, build: rechunking },
    Shape { name: "climatology", workers: 100, dask_tasks: 1_293_404, build: climatology },
    Shape { name: "circulation", workers: 100, dask_tasks: 14_920_268, build: circulation },
    Shape { name: "regridding", workers: 10, dask_tasks: 17_544, build: regridding },
    Shape { name: "satellite", workers: 100, dask_tasks: 3_283_008, build: satellite },
    Shape { name: "cloud-optimize", workers: 200, dask_tasks: 155_349, build: cloud_optimize },
];

impl Shape {
    /// Plans it.
    ///
    /// # Errors
    /// Those of building and lowering.
    pub(crate) fn plan(&self) -> Result<Planned, ArrayError> {
        let started = Instant::now();
        let arrays = (self.build)()?;
        let wanted: Vec<_> = arrays.iter().map(|array| (array, Wanted::Deliver)).collect();
        let lowered = lower(&wanted, &LowerOptions::default())?;
        let seconds = started.elapsed().as_secs_f64();
        let layers = lowered.plan.layers();
        let read = layers
            .iter()
            .map(|layer| layer.grid.block_count().saturating_mul(layer.source_bytes));
        let read_bytes = read.fold(0, u64::saturating_add);
        let task_bytes = layers
            .iter()
            .map(|layer| lowered.task_bytes_max(layer))
            .max()
            .unwrap_or(0);
        Ok(Planned {
            lowered,
            read_bytes,
            task_bytes,
            seconds,
        })
    }

    /// Memory of its cluster.
    pub(crate) fn cluster_bytes(&self) -> u64 {
        self.workers * 16 * GIB
    }
}

/// An array that is stored in such chunks, opened in ones that are longer along its first axis.
fn stored(name: &str, dtype: DType, shape: &[u64], chunk: &[u64]) -> Result<Array, ArrayError> {
    let source = ArraySource::Zarr(ZarrArray {
        url: format!("gs://nowhere/{name}.zarr"),
        metadata: "{}".into(),
        is_v2: false,
        dtype,
        shape: shape.to_vec(),
        chunks: chunk.to_vec(),
        on_error: OnError::Raise,
    });
    let bytes = chunk.iter().product::<u64>() * dtype.size_bytes();
    let mut opened = chunk.to_vec();
    opened[0] *= (AUTO_CHUNK_BYTES / bytes).max(1);
    Array::from_source(&source, dtype, &ChunkGrid::regular(shape, &opened)?)
}

/// A variable of ERA5 at the surface.
fn surface(name: &str) -> Result<Array, ArrayError> {
    let shape = [HOURS, LATITUDES, LONGITUDES];
    stored(name, DType::Float32, &shape, &[1, LATITUDES, LONGITUDES])
}

/// Two variables of 2.1 TiB each from pancakes to pencils.
fn rechunking() -> Result<Vec<Array>, ArrayError> {
    let pencils = |name| surface(name)?.rechunk(&[Chunks::Whole, Chunks::Size(7), Chunks::Size(8)]);
    Ok(vec![pencils("sea_surface_temperature")?, pencils("snow_depth")?])
}

/// Means by hour of the day, every sixth, and day of the year of the same, smoothed over 61 days.
fn climatology() -> Result<Vec<Array>, ArrayError> {
    let codes: Vec<i32> = (0..HOURS as i32 / 6).map(|step| step % (366 * 4)).collect();
    let weights: Vec<f64> = (0..61)
        .map(|day: i32| f64::from(31 - (day - 30).abs()) / 961.0)
        .collect();
    let of = |name| {
        let every_sixth = Index::Slice {
            start: None,
            stop: None,
            step: 6,
        };
        let hours = surface(name)?.slice(&[every_sixth])?;
        let pencils = hours.rechunk(&[Chunks::Whole, Chunks::Auto, Chunks::Auto])?;
        let grouping = Grouping::new([0], codes.clone(), 366 * 4).skipna();
        let means = pencils.group_reduce(&grouping, ReduceKind::Mean)?;
        let days = means.reshape(&[366, 4, LATITUDES as i64, LONGITUDES as i64])?;
        let days = days.rechunk(&[Chunks::Whole, Chunks::Whole, Chunks::Size(91), Chunks::Size(90)])?;
        let around = days.pad(&[(30, 30), (0, 0), (0, 0), (0, 0)], &Pad::Wrap)?;
        let around = around.rechunk(&[Chunks::Whole, Chunks::Keep, Chunks::Keep, Chunks::Keep])?;
        let windows = around.sliding_window_view(&[61], [0])?;
        let weights = Array::from_slice(&[61], &[Chunks::Whole], &weights)?;
        let smooth = windows.multiply(weights)?.sum(&Over::axis(-1))?;
        let pancakes = [Chunks::Size(1), Chunks::Size(1), Chunks::Whole, Chunks::Whole];
        smooth.astype(DType::Float32)?.rechunk(&pancakes)
    };
    Ok(vec![of("sea_surface_temperature")?, of("snow_depth")?])
}

/// The transformed Eulerian mean: zonal means of winds and temperature, and of the products of their anomalies, by day.
fn circulation() -> Result<Vec<Array>, ArrayError> {
    let shape = [HOURS, LEVELS, LATITUDES, LONGITUDES];
    let chunk = [1, LEVELS, LATITUDES, LONGITUDES];
    let of = |name| stored(name, DType::Float32, &shape, &chunk);
    let (u, v, t, w) = (of("u")?, of("v")?, of("t")?, of("w")?);
    let along = Over::axis(3).keepdims();
    let anomaly = |x: &Array| x.subtract(x.mean(&along)?);
    let flux = |x: &Array, y: &Array| anomaly(x)?.multiply(anomaly(y)?)?.mean(&Over::axis(3));
    let mean = |x: &Array| x.mean(&Over::axis(3));
    let means = [mean(&u)?, mean(&v)?, mean(&t)?, mean(&w)?];
    let fluxes = [flux(&u, &v)?, flux(&v, &t)?, flux(&u, &w)?];
    let fields = stack(&[&means[..], &fluxes].concat(), 1)?;
    let days = [Chunks::Keep, Chunks::Whole, Chunks::Keep, Chunks::Keep];
    let fields = fields.rechunk(&days)?;
    Ok(vec![fields.coarsen(ReduceKind::Mean, &[(0, 24)], false)?])
}

/// Two years of a surface variable from a quarter to a twentieth of a degree, bilinear.
fn regridding() -> Result<Vec<Array>, ArrayError> {
    let shape = [17_544, LATITUDES, LONGITUDES];
    let sst = stored(
        "sea_surface_temperature",
        DType::Float32,
        &shape,
        &[1, LATITUDES, LONGITUDES],
    )?;
    let sst = sst.rechunk(&[Chunks::Size(8), Chunks::Keep, Chunks::Keep])?;
    let line = |count: u64, step: f64| (0..count).map(|k| k as f64 * step).collect::<Vec<f64>>();
    let rows = sst.interp(
        &line(LATITUDES, 0.25),
        &line(3_601, 0.05),
        1,
        Interpolation::Linear,
        None,
    )?;
    // Around the globe: the first column stands again after the last.
    let around = rows.pad(&[(0, 0), (0, 0), (0, 1)], &Pad::Wrap)?;
    let (from, to) = (line(LONGITUDES + 1, 0.25), line(7_200, 0.05));
    let columns = around.interp(&from, &to, 2, Interpolation::Linear, None)?;
    Ok(vec![columns.astype(DType::Float32)?])
}

/// A humidity index of nine years of Sentinel-2 over Germany, its mean by month.
fn satellite() -> Result<Vec<Array>, ArrayError> {
    let (days, height, width) = (3_200_u64, 32_768, 24_576);
    let grid = Grid {
        transform: [40.0, 0.0, 0.0, 0.0, -40.0, 0.0],
        height,
        width,
        epsg: Some(3857),
    };
    let source = ArraySource::Raster(RasterStack {
        grid,
        band_count: 2,
        slots: vec![vec![]; days as usize * 2],
        fill: vec![0.0; 2],
        resampling: Resampling::Nearest,
        on_error: OnError::Raise,
    });
    let chunks = ChunkGrid::regular(&[days, 2, height, width], &[32, 2, 1_024, 1_024])?;
    let scenes = Array::from_source(&source, DType::UInt16, &chunks)?;
    // From the newer processing baseline on there is an offset.
    let is_new: Vec<bool> = (0..days).map(|day| day >= 2_400).collect();
    let is_new = Array::from_slice(&[days], &[Chunks::Whole], &is_new)?.reshape(&[-1, 1, 1, 1])?;
    let moved = scenes.clip(Some(1000.into()), None)?.subtract(1000)?;
    let bands = where_(is_new, moved, &scenes)?.astype(DType::Float32)?;
    let band = |place: i64| bands.slice(&[(..).into(), place.into()]);
    let humidity = band(0)?.subtract(band(1)?)?.divide(band(0)?.add(band(1)?)?)?;
    let months: Vec<i32> = (0..days as i32).map(|day| day % 365 * 12 / 365).collect();
    let months = Grouping::new([0], months, 12).skipna();
    Ok(vec![humidity.group_reduce(&months, ReduceKind::Mean)?])
}

/// Daily fields of 22 climate models and 9 variables in a file for each year, from pancakes to pencils.
fn cloud_optimize() -> Result<Vec<Array>, ArrayError> {
    let mut arrays = Vec::new();
    for variable in 0..9 {
        let mut years = Vec::new();
        for file in 0..22 * 65 {
            let name = format!("{variable}-{file}");
            years.push(stored(
                &name,
                DType::Float32,
                &[365, 600, 1_440],
                &[1, 600, 1_440],
            )?);
        }
        let series = concatenate(&years, 0)?;
        arrays.push(series.rechunk(&[Chunks::Whole, Chunks::Auto, Chunks::Auto])?);
    }
    Ok(arrays)
}

/// A table of all, or the plan of one.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1);
    let chosen = |shape: &&Shape| name.as_deref().is_none_or(|name| name == shape.name);
    for shape in SHAPES.iter().filter(chosen) {
        let planned = shape.plan()?;
        let plan = &planned.lowered.plan;
        let (tasks, layers) = (plan.task_count(), plan.layers().len());
        let gib = |bytes: u64| bytes as f64 / GIB as f64;
        let bound = planned.lowered.depth_first_bytes_max();
        let bound = bound.map_or("-".into(), |bytes| format!("{:.1}", gib(bytes)));
        println!(
            "| {} | {:.2} | {tasks} | {} | {:.1} | {layers} | {:.2} | {bound} of {} | {:.2} |",
            shape.name,
            gib(planned.read_bytes) / 1024.0,
            shape.dask_tasks,
            shape.dask_tasks as f64 / tasks as f64,
            gib(planned.task_bytes),
            shape.cluster_bytes() / GIB,
            planned.seconds,
        );
        if name.is_some() {
            println!("{}", planned.lowered.explain());
        }
    }
    Ok(())
}
