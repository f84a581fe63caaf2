//! The array programs, as `benches/array_peers.py` has them too.

use std::path::Path;

use anyhow::Context;
use graticule_array::{Array, ArrayError, Chunks, Grouping, Over, Pad, Rolling};
use graticule_client::{Client, open_zarr, stack_array};
use graticule_data::{
    StackOptions,
    stac::load_items,
    stack,
    store::{Address, Stores},
};
use graticule_ops::ReduceKind;

/// Days of the cube, of four years from 2021 on.
const DAYS: usize = 1460;

/// A program: its name, what it reads, and what it computes.
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Arrays below the inputs' folder, and how many chunks of each are read if not all are.
    pub(super) inputs: &'static [(&'static str, Option<usize>)],
    build: fn(&Given) -> Result<Vec<Array>, ArrayError>,
}

/// What a program computes with.
struct Given {
    /// Its inputs.
    arrays: Vec<Array>,
    /// The elements of an input of labels, which must be known when the program is written down.
    labels: Vec<i32>,
}

impl std::ops::Index<usize> for Given {
    type Output = Array;

    fn index(&self, place: usize) -> &Array {
        &self.arrays[place]
    }
}

/// The input whose elements are labels, and how many there are.
const LABELS: &str = "zones";
const ZONES: u64 = 64;

pub(super) const PROGRAMS: &[Program] = &[
    Program {
        name: "median",
        about: "median over 24 dates of 4 bands of 2048 x 2048 uint16, zstd",
        inputs: &[("stack", None)],
        build: |given| Ok(vec![given[0].median(&Over::axis(0))?]),
    },
    Program {
        name: "mean-std",
        about: "mean and standard deviation of the same stack, in one pass",
        inputs: &[("stack", None)],
        build: |given| {
            let over = Over::axis(0);
            Ok(vec![given[0].mean(&over)?, given[0].std(0, &over)?])
        },
    },
    Program {
        name: "expression",
        about: "((a * 2 + b) / (c + 1)).mean(0) of three arrays of 64 x 1024 x 1024 float32, zstd",
        inputs: &[("a", None), ("b", None), ("c", None)],
        build: |given| {
            let quotient = given[0].multiply(2)?.add(&given[1])?.divide(given[2].add(1)?)?;
            Ok(vec![quotient.mean(&Over::axis(0))?])
        },
    },
    Program {
        name: "rechunk-sum",
        about: "2 GiB of float32 from slabs of 16 x 1024 x 1024 to columns of 512 x 64 x 256, then a sum",
        inputs: &[("slabs", None)],
        build: |given| Ok(vec![columns(&given[0])?.sum(&Over::axis(0))?]),
    },
    Program {
        name: "rechunk-median",
        about: "the same columns, then a median",
        inputs: &[("slabs", None)],
        build: |given| Ok(vec![columns(&given[0])?.median(&Over::axis(0))?]),
    },
    Program {
        name: "anomaly",
        about: "anomaly by month of 1460 x 180 x 360 float32, and its standard deviation",
        inputs: &[("cube", None)],
        build: |given| {
            let months = months();
            let codes: Vec<i64> = months.iter().map(|&month| month.into()).collect();
            let means = given[0].reduce_groups(0, &months, 12, ReduceKind::Mean, false)?;
            let anomaly = given[0].subtract(means.take(&codes, 0)?)?;
            Ok(vec![anomaly.std(0, &Over::axis(0))?])
        },
    },
    Program {
        name: "climatology",
        about: "mean by day of the year of the same cube",
        inputs: &[("cube", None)],
        build: |given| {
            let days: Vec<i32> = (0..DAYS as i32).map(|day| day % 365).collect();
            Ok(vec![given[0].reduce_groups(
                0,
                &days,
                365,
                ReduceKind::Mean,
                false,
            )?])
        },
    },
    Program {
        name: "rolling-mean",
        about: "mean of seven days at each place of the same cube, then of all places",
        inputs: &[("cube", None)],
        build: |given| {
            let rolled = given[0].rolling(ReduceKind::Mean, 0, &Rolling::new(7))?;
            let complete = rolled.slice(&[(6..).into()])?;
            Ok(vec![complete.mean(&Over::axes([1, 2]))?])
        },
    },
    Program {
        name: "add-transpose",
        about: "x + x.T of 8192 x 8192 float64",
        inputs: &[("square", None)],
        build: |given| Ok(vec![given[0].add(given[0].transpose())?]),
    },
    Program {
        name: "tensordot",
        about: "product of 3072 x 4096 and 4096 x 3072 float64",
        inputs: &[("square", Some(15))],
        build: |given| {
            let first = given[0].slice(&[(..3072).into(), (..4096).into()])?;
            let second = given[0].slice(&[(..4096).into(), (..3072).into()])?;
            Ok(vec![first.tensordot(&second, &[1], &[0])?])
        },
    },
    Program {
        name: "vorticity",
        about: "dv/dx - du/dy of two cubes of 240 x 361 x 720 float32, zstd, and its mean over time",
        inputs: &[("u", None), ("v", None)],
        build: |given| {
            let of_v = given[1].gradient(&[], [2], 1)?;
            let of_u = given[0].gradient(&[], [1], 1)?;
            Ok(vec![of_v[0].subtract(&of_u[0])?.mean(&Over::axis(0))?])
        },
    },
    Program {
        name: "quantile",
        about: "quantile 0.9 over the dates of the stack",
        inputs: &[("stack", None)],
        build: |given| {
            let quantile = given[0].quantile(&[0.9], &Over::axis(0))?;
            Ok(vec![quantile.slice(&[0.into()])?])
        },
    },
    Program {
        name: "histogram",
        about: "histogram in 100 bins of 8192 x 8192 float64",
        inputs: &[("square", None)],
        build: |given| {
            let edges: Vec<f64> = (0..=100).map(|edge| f64::from(edge) * 2.0 / 100.0).collect();
            Ok(vec![given[0].histogram(&edges, None, false)?])
        },
    },
    Program {
        name: "focal",
        about: "mean of 5 x 5 neighbours of 4096 x 4096 float64, mirrored at the border, then of the rows",
        inputs: &[("square", Some(16))],
        build: |given| {
            let part = given[0].slice(&[(..4096).into(), (..4096).into()])?;
            let mut around = part.pad(&[(2, 2)], &Pad::Symmetric(false))?;
            for axis in [0, 1] {
                around = around.rolling(ReduceKind::Mean, axis, &Rolling::new(5))?;
            }
            let whole = around.slice(&[(4..).into(), (4..).into()])?;
            Ok(vec![whole.mean(&Over::axis(0))?])
        },
    },
    Program {
        name: "zonal",
        about: "mean of each date and band of the stack in 64 zones, by a map of labels",
        inputs: &[("stack", None), (LABELS, None)],
        build: |given| {
            let zones = Grouping::new([2, 3], &given.labels[..], ZONES);
            Ok(vec![given[0].group_reduce(&zones, ReduceKind::Mean)?])
        },
    },
    Program {
        name: "ndvi",
        about: "median over time of the vegetation index of 24 dates of GeoTIFFs of 2048 x 2048 uint16, deflated",
        inputs: &[("scenes.json", None)],
        build: |given| {
            let band = |place: i64| given[0].slice(&[(..).into(), place.into()]);
            let (red, nir) = (band(0)?, band(1)?);
            let index = nir.subtract(&red)?.divide(nir.add(&red)?)?;
            Ok(vec![index.median(&Over::axis(0).skipna())?])
        },
    },
];

/// The program of a name.
pub(super) fn find(name: &str) -> anyhow::Result<&'static Program> {
    let found = PROGRAMS.iter().find(|program| program.name == name);
    found.with_context(|| {
        let names: Vec<&str> = PROGRAMS.iter().map(|program| program.name).collect();
        format!("there is no program {name:?}; there are {}", names.join(", "))
    })
}

impl Program {
    /// Opens what it reads, and builds what it computes.
    pub(super) async fn open(&self, client: &Client, folder: &Path) -> anyhow::Result<Vec<Array>> {
        let (mut arrays, mut labels) = (Vec::new(), Vec::new());
        for (name, _) in self.inputs {
            let array = if name.ends_with(".json") {
                scenes(&folder.join(name)).await?
            } else {
                open_zarr(&folder.join(format!("{name}.zarr")).to_string_lossy()).await?
            };
            if *name == LABELS {
                let elements = client.compute(&array).await?;
                labels = elements.as_slice::<i32>().context("labels are int32")?.to_vec();
            }
            arrays.push(array);
        }
        Ok((self.build)(&Given { arrays, labels })?)
    }
}

/// The bands of the scenes, NaN where they have no data.
async fn scenes(items: &Path) -> anyhow::Result<Array> {
    let address = Address::parse(&items.to_string_lossy())?;
    let items = load_items(&Stores::default(), &address).await?.items;
    Ok(stack_array(&stack(
        &items,
        &["red", "nir"],
        &StackOptions::default(),
    )?)?)
}

fn columns(slabs: &Array) -> Result<Array, ArrayError> {
    slabs.rechunk(&[Chunks::Whole, Chunks::Size(64), Chunks::Size(256)])
}

/// For each day of the cube its month, from 0 on.
fn months() -> Vec<i32> {
    let lengths = |year: i32| {
        [
            31,
            if year % 4 == 0 { 29 } else { 28 },
            31,
            30,
            31,
            30,
            31,
            31,
            30,
            31,
            30,
            31,
        ]
    };
    let years = (2021..2025).flat_map(|year| lengths(year).into_iter().zip(0..));
    let days = years.flat_map(|(length, month)| std::iter::repeat_n(month, length));
    days.take(DAYS).collect()
}
