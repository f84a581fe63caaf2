//! Decodes every TIFF of a folder and compares it with what another reader found.
//!
//! `GRATICULE_TIFF_DATA` names one or more folders (separated as in `PATH`), each with an `expected.json` that holds
//! for every file its size, CRS, transform, nodata, and the SHA-256 of bands, windows and overviews. Prints a line
//! per file and fails if anything differs, or if a file that can't be decoded gives another error than the typed one.
#![allow(clippy::print_stdout, reason = "the table is what this program is for")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use graticule_data::tiff::{Decoder, Image, RangeSource, ReadFuture, Tiff, TiffError, Window, WindowRead};
use serde_json::Value;
use sha2::{Digest, Sha256};

type Failure = Box<dyn Error>;

/// Bytes in memory that count the requests for them.
struct Counted {
    bytes: Bytes,
    request_count: AtomicU64,
}

impl RangeSource for Counted {
    fn read(&self, range: std::ops::Range<u64>) -> ReadFuture<'_> {
        self.request_count.fetch_add(1, Relaxed);
        self.bytes.read(range)
    }
}

fn main() -> Result<(), Failure> {
    let folders = std::env::var_os("GRATICULE_TIFF_DATA")
        .ok_or("set GRATICULE_TIFF_DATA to the folders that hold TIFFs and an expected.json")?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let (mut exact, mut refused, mut failed) = (0, 0, 0);
    for folder in std::env::split_paths(&folders) {
        let expected: Value = serde_json::from_slice(&std::fs::read(folder.join("expected.json"))?)?;
        for (name, want) in expected.as_object().ok_or("expected.json holds no object")? {
            let outcome = runtime.block_on(check(&folder.join(name), want));
            match &outcome {
                Ok(Outcome::Exact { .. }) => exact += 1,
                Ok(Outcome::Refused(_)) => refused += 1,
                Err(_) => failed += 1,
            }
            println!("{name:42} {}", describe(outcome));
        }
    }
    println!("{exact} decoded exactly, {refused} refused by name, {failed} failed");
    if failed > 0 || exact == 0 {
        Err("some files failed".into())
    } else {
        Ok(())
    }
}

enum Outcome {
    Exact {
        band_count: usize,
        overview_count: usize,
        request_count: u64,
    },
    Refused(String),
}

fn describe(outcome: Result<Outcome, Failure>) -> String {
    match outcome {
        Ok(Outcome::Exact {
            band_count,
            overview_count,
            request_count,
        }) => {
            format!(
                "exact: {band_count} bands, {overview_count} overviews, opened in {request_count} requests"
            )
        }
        Ok(Outcome::Refused(what)) => format!("refused: {what}"),
        Err(failure) => format!("FAILED: {failure}"),
    }
}

async fn check(path: &Path, want: &Value) -> Result<Outcome, Failure> {
    let source = Counted {
        bytes: Bytes::from(std::fs::read(path)?),
        request_count: AtomicU64::new(0),
    };
    let tiff = Tiff::open(&source).await?;
    let request_count = source.request_count.load(Relaxed);
    let main = tiff.main();
    let band_count = main.info().band_count;
    check_metadata(&tiff, want)?;
    let compression = want["compression"].as_str().unwrap_or("");
    if compression.contains("JPEG") {
        return match main.check_decodable() {
            Err(TiffError::Unsupported { what }) if what.to_uppercase().contains("JPEG") => {
                Ok(Outcome::Refused(what))
            }
            other => Err(format!("expected a refusal that names JPEG, got {other:?}").into()),
        };
    }
    let mut decoder = Decoder::new();
    for (index, band) in list(&want["bands"]).iter().enumerate() {
        let window = Window {
            row: 0,
            col: 0,
            height: main.info().height,
            width: main.info().width,
        };
        let read = main.window(window, &[index])?;
        compare(
            &format!("dtype of band {index}"),
            read.dtype().name(),
            &band["dtype"],
        )?;
        let sum = digest(&source, &read, &mut decoder).await?;
        compare(&format!("band {index}"), &sum, &band["sha256"])?;
    }
    let bands: Vec<usize> = (0..band_count).collect();
    for part in list(&want["windows"]) {
        let number = |key: &str| part[key].as_u64().unwrap_or(0) as u32;
        let window = Window {
            row: number("row"),
            col: number("col"),
            height: number("height"),
            width: number("width"),
        };
        let sum = digest(&source, &main.window(window, &bands)?, &mut decoder).await?;
        compare(&format!("{window:?}"), &sum, &part["sha256_bsq"])?;
    }
    let overviews: Vec<&Arc<Image>> = tiff.overviews().collect();
    for (index, part) in list(&want["overview_pixels"]).iter().enumerate() {
        // Large levels may be left out.
        let level = part["level"].as_u64().map_or(index, |level| level as usize);
        let overview = overviews
            .get(level)
            .ok_or(format!("there is no overview {level}"))?;
        let sum = digest(&source, &overview.whole()?, &mut decoder).await?;
        compare(&format!("overview {level}"), &sum, &part["sha256_bsq"])?;
    }
    Ok(Outcome::Exact {
        band_count,
        overview_count: overviews.len(),
        request_count,
    })
}

fn check_metadata(tiff: &Tiff, want: &Value) -> Result<(), Failure> {
    let info = tiff.main().info();
    let same = |what: &str, got: Value, want: &Value| -> Result<(), Failure> {
        if got == *want {
            Ok(())
        } else {
            Err(format!("{what} is {got}, expected {want}").into())
        }
    };
    same("width", info.width.into(), &want["width"])?;
    same("height", info.height.into(), &want["height"])?;
    same("band count", info.band_count.into(), &want["count"])?;
    if info.gcp_count == 0 {
        // With control points the code is theirs, which the other reader reports apart.
        same("EPSG code", info.epsg.into(), &want["epsg"])?;
    }
    if info.tiled {
        // The other reader cuts large uncompressed strips, and calls a tile as wide as the image none.
        same(
            "block",
            vec![info.block_height, info.block_width].into(),
            &want["block"],
        )?;
    }
    same(
        "number of overviews",
        tiff.overviews().len().into(),
        &list(&want["overviews"]).len().into(),
    )?;
    same("ground control points", info.gcp_count.into(), &want["gcps"])?;
    let scales: Vec<f64> = info.bands.iter().map(|band| band.scale).collect();
    let offsets: Vec<f64> = info.bands.iter().map(|band| band.offset).collect();
    let colors: Vec<&str> = info.bands.iter().map(|band| band.color.name()).collect();
    same("scales", scales.into(), &want["scales"])?;
    same("offsets", offsets.into(), &want["offsets"])?;
    same("colours", colors.into(), &want["colorinterp"])?;
    let has_mask = |kind: &str| want["mask_flags"].to_string().contains(kind);
    let mask = has_mask("per_dataset") && !has_mask("alpha");
    same("mask", tiff.mask().is_some().into(), &mask.into())?;
    check_transform(
        info.transform.unwrap_or([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
        &want["transform"],
    )?;
    check_nodata(info.nodata, &want["nodata"][0])
}

fn check_transform(got: [f64; 6], want: &Value) -> Result<(), Failure> {
    for (got, want) in got.iter().zip(list(want)) {
        let want = want.as_f64().ok_or("a transform's number is missing")?;
        if (got - want).abs() > 1e-12 * want.abs().max(1.0) {
            return Err(format!("transform has {got}, expected {want}").into());
        }
    }
    Ok(())
}

fn check_nodata(got: Option<f64>, want: &Value) -> Result<(), Failure> {
    let same = match (got, want) {
        (None, Value::Null) => true,
        (Some(got), Value::String(text)) => text == "NaN" && got.is_nan(),
        (Some(got), want) => want
            .as_f64()
            .is_some_and(|want| got == want || got as f32 == want as f32),
        (None, _) => false,
    };
    if same {
        Ok(())
    } else {
        Err(format!("nodata is {got:?}, expected {want}").into())
    }
}

async fn digest(source: &Counted, read: &WindowRead, decoder: &mut Decoder) -> Result<String, Failure> {
    let mut out = vec![0xa5; read.out_bytes()];
    read.read_into(source, decoder, &mut out).await?;
    if cfg!(target_endian = "big") {
        out.chunks_exact_mut(read.dtype().size_bytes() as usize)
            .for_each(|number| number.reverse());
    }
    Ok(Sha256::digest(&out)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

fn compare(what: &str, got: &str, want: &Value) -> Result<(), Failure> {
    if want == got {
        Ok(())
    } else {
        Err(format!("{what}: {got}, expected {want}").into())
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
