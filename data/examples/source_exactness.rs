//! Checks reads of real data against known results: `GRATICULE_DATA_DIR=... cargo run --example source_exactness`.
//!
//! The folder has STAC item collections of Landsat 8, Sentinel-2 and OLCI scenes and Zarr cubes, each with the values that
//! odc-stac, NumPy and zarr-python found. Prints a line for each check and fails if one does.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "../tests/suite/support/mod.rs"]
mod support;

use std::path::PathBuf;

use graticule_data::{
    DataError, GroupBy, Sources, StackDtype, StackOptions,
    stac::load_items,
    stack,
    store::Stores,
    zarr::{ZarrDescription, open_zarr_array, open_zarr_group},
};
use graticule_plan::{ChunkGrid, DType};
use support::{address, json, nanmedian, read_all, read_stack, sha256};

struct Checks {
    data: PathBuf,
    failed: usize,
}

#[tokio::main]
async fn main() {
    let data =
        std::env::var_os("GRATICULE_DATA_DIR").expect("GRATICULE_DATA_DIR names the folder with the data");
    let mut checks = Checks {
        data: data.into(),
        failed: 0,
    };
    checks.landsat().await;
    checks.sentinel().await;
    checks.olci().await;
    checks.codecs().await;
    checks.cubes().await;
    println!("{} checks failed", checks.failed);
    std::process::exit(i32::from(checks.failed > 0));
}

impl Checks {
    fn check(&mut self, what: &str, holds: bool) {
        println!("{} {what}", if holds { "ok    " } else { "FAILED" });
        self.failed += usize::from(!holds);
    }

    async fn items(&self, collection: &str) -> Vec<graticule_data::stac::Item> {
        let path = self.data.join(collection).join("items.json");
        load_items(&Stores::default(), &address(path))
            .await
            .unwrap()
            .items
    }

    /// Nearest resampling is odc-stac's to the bit.
    async fn landsat(&mut self) {
        let items = self.items("landsat8-ny").await;
        let expected = json(self.data.join("landsat8-ny/expected/odc.json"));
        for (groupby, name) in [
            (GroupBy::SolarDay, "solar_day"),
            (GroupBy::Time, "time"),
            (GroupBy::Id, "id"),
        ] {
            for band in ["blue", "red", "nir08", "qa"] {
                let options = StackOptions {
                    resolution: Some([3000.0; 2]),
                    groupby,
                    dtype: StackDtype::Source,
                    ..StackOptions::default()
                };
                let pixels: Vec<u16> = read_stack(&stack(&items, &[band], &options).unwrap()).await;
                let want = &expected[format!("utm3000_nearest_{name}")][band]["sha256"];
                self.check(
                    &format!("landsat8-ny by {name}: {band}"),
                    sha256(&pixels) == want.as_str().unwrap(),
                );
            }
        }
    }

    async fn sentinel(&mut self) {
        let items = self.items("s2-slovenia").await;
        let expected = json(self.data.join("s2-slovenia/expected/expected.json"));
        let ndvi: Vec<f32> = read_stack(&stack(&items, &["ndvi"], &StackOptions::default()).unwrap()).await;
        let median = nanmedian(&planes(&ndvi, 101 * 100));
        self.check(
            "s2-slovenia raw median",
            sha256(&median) == expected["raw_median"]["sha256"].as_str().unwrap(),
        );
    }

    async fn olci(&mut self) {
        let items = self.items("olci-northsea").await;
        let expected = json(self.data.join("olci-northsea/expected/expected.json"));
        let source = StackOptions {
            dtype: StackDtype::Source,
            ..StackOptions::default()
        };
        let flags: Vec<u32> = read_stack(&stack(&items, &["c2rcc_flags"], &source).unwrap()).await;
        for asset in ["conc_chl", "conc_tsm", "kd489"] {
            let pixels: Vec<f32> =
                read_stack(&stack(&items, &[asset], &StackOptions::default()).unwrap()).await;
            let median = nanmedian(&planes(&pixels, 500 * 2000));
            let want = expected[asset]["median"]["sha256"].as_str().unwrap();
            self.check(
                &format!("olci-northsea median of {asset}"),
                sha256(&median) == want,
            );
            if asset == "conc_chl" {
                let clear = pixels
                    .iter()
                    .zip(&flags)
                    .map(|(v, flags)| if flags & 8 != 0 { f32::NAN } else { *v });
                let median = nanmedian(&planes(&clear.collect::<Vec<_>>(), 500 * 2000));
                let want = expected[asset]["median_without_cloud_risk"]["sha256"]
                    .as_str()
                    .unwrap();
                self.check("olci-northsea median without cloud risk", sha256(&median) == want);
            }
        }
    }

    /// One array in many encodings.
    async fn codecs(&mut self) {
        let folder = self.data.join("zarr/codec-zoo");
        let expected = json(folder.join("expected.json"));
        let (mut exact, mut refused) = (0, 0);
        for (name, want) in expected.as_object().unwrap() {
            let want = want["sha256"].as_str().unwrap();
            match open_zarr_array(&Stores::default(), &address(folder.join(name))).await {
                Ok(array) => {
                    let is_exact = as_stored(&array).await == want && in_odd_blocks(&array).await == want;
                    self.check(&format!("codec-zoo {name}"), is_exact);
                    exact += usize::from(is_exact);
                }
                Err(error @ DataError::Unsupported { .. }) => {
                    println!("       codec-zoo {name}: {error}");
                    refused += 1;
                }
                Err(error) => self.check(&format!("codec-zoo {name}: {error}"), false),
            }
        }
        self.check(
            &format!("codec-zoo: {exact} exact, {refused} not supported"),
            exact >= 29 && exact + refused == 32,
        );
    }

    async fn cubes(&mut self) {
        let expected = json(self.data.join("zarr/expected/expected.json"));
        let cubes = [
            ("air-e1", "air_temperature", f64::NAN),
            ("ostia-sst-monthly", "surface_temperature", 1e20),
            ("era5-t2m-uk", "t2m", f64::NAN),
        ];
        for (cube, name, missing) in cubes {
            for form in ["v2", "v3-sharded"] {
                let folder = address(self.data.join(format!("zarr/{cube}.{form}.zarr")));
                let array = open_zarr_group(&Stores::default(), &folder)
                    .await
                    .unwrap()
                    .array(name)
                    .unwrap();
                let direct = open_zarr_array(&Stores::default(), &folder.child(name))
                    .await
                    .unwrap();
                let is_same = direct.grid == array.grid && direct.dimension_names == array.dimension_names;
                self.check(
                    &format!("{cube}.{form}: the group and the array say the same"),
                    is_same,
                );
                let values = read_f64(&array).await;
                let missing = missing as f32;
                let decoded: Vec<f64> = values
                    .iter()
                    .map(|&v| if v == f64::from(missing) { f64::NAN } else { v })
                    .collect();
                let want = expected[cube]["decoded"]["sha256"].as_str().unwrap();
                self.check(&format!("{cube}.{form}: {name}"), sha256(&decoded) == want);
            }
        }
        for form in ["v2", "v3-sharded"] {
            let folder = address(
                self.data
                    .join(format!("zarr/landsat-p013r030-row.{form}.zarr/sr")),
            );
            let array = open_zarr_array(&Stores::default(), &folder).await.unwrap();
            let want = expected["landsat-p013r030-row"]["decoded"]["sha256"]
                .as_str()
                .unwrap();
            self.check(
                &format!("landsat-p013r030-row.{form}"),
                as_stored(&array).await == want,
            );
        }
        let mut packed = Vec::new();
        for form in ["v2", "v3-sharded"] {
            let folder = address(self.data.join(format!("zarr/eraint-uvz-packed.{form}.zarr/u")));
            let array = open_zarr_array(&Stores::default(), &folder).await.unwrap();
            let cf = array.cf_decoding();
            let is_packed =
                array.dtype == DType::Int16 && cf.scale_factor.is_some() && cf.add_offset.is_some();
            self.check(&format!("eraint-uvz-packed.{form} is packed"), is_packed);
            packed.push((as_stored(&array).await, cf.scale_factor));
        }
        self.check(
            "eraint-uvz-packed: both forms hold the same",
            packed[0] == packed[1],
        );
        let folder = address(self.data.join("zarr/olci-northsea.v2.zarr/conc_chl"));
        let array = open_zarr_array(&Stores::default(), &folder).await.unwrap();
        let values: Vec<f64> = read_all(&Sources::default(), &array.source, array.dtype, &array.grid, None)
            .await
            .unwrap();
        let mean: Vec<f64> = (0..500 * 2000)
            .map(|at| {
                let seen: Vec<f64> = values
                    .iter()
                    .skip(at)
                    .step_by(500 * 2000)
                    .copied()
                    .filter(|v| !v.is_nan())
                    .collect();
                if seen.is_empty() {
                    f64::NAN
                } else {
                    seen.iter().sum::<f64>() / seen.len() as f64
                }
            })
            .collect();
        let sum: f64 = mean.iter().filter(|v| !v.is_nan()).sum();
        let want = expected["olci-northsea"]["conc_chl"]["mean"]["sum"]
            .as_f64()
            .unwrap();
        self.check(
            "olci-northsea.v2: mean over time",
            ((sum - want) / want).abs() < 1e-9,
        );
    }
}

fn planes(pixels: &[f32], len: usize) -> Vec<Vec<f64>> {
    pixels
        .chunks(len)
        .map(|plane| plane.iter().map(|&v| v.into()).collect())
        .collect()
}

async fn hash_of(array: &ZarrDescription, grid: &ChunkGrid) -> String {
    let sources = Sources::default();
    match array.dtype {
        DType::Int16 => sha256::<i16>(
            &read_all(&sources, &array.source, array.dtype, grid, None)
                .await
                .unwrap(),
        ),
        DType::Float32 => sha256::<f32>(
            &read_all(&sources, &array.source, array.dtype, grid, None)
                .await
                .unwrap(),
        ),
        other => panic!("{other}"),
    }
}

async fn as_stored(array: &ZarrDescription) -> String {
    hash_of(array, &array.grid).await
}

/// In blocks that cut through the stored chunks.
async fn in_odd_blocks(array: &ZarrDescription) -> String {
    let shape = array.grid.shape();
    let blocks: Vec<u64> = shape.iter().map(|len| (len * 3 / 5).max(1)).collect();
    hash_of(array, &ChunkGrid::regular(&shape, &blocks).unwrap()).await
}

async fn read_f64(array: &ZarrDescription) -> Vec<f64> {
    let sources = Sources::default();
    let values: Vec<f32> = read_all(&sources, &array.source, array.dtype, &array.grid, None)
        .await
        .unwrap();
    values.into_iter().map(f64::from).collect()
}
