//! Mosaics of the sample data against results that NumPy made.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::path::Path;

use crate::support::{graticule, sample};
use bytes::Bytes;
use graticule_data::tiff::{Decoder, Tiff, Window};
use graticule_plan::DType;

/// Runs `graticule mosaic` in this folder; gives its last line.
fn mosaic(name: &str, out: &Path, more: &[&str]) -> String {
    let mut command = graticule(&[]);
    command.args([
        "mosaic",
        sample(name).join("items.json").to_str().unwrap(),
        "--out",
    ]);
    command.arg(out).args(more);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The first band of a GeoTIFF of doubles.
fn pixels(path: &Path) -> Vec<f64> {
    let source = Bytes::from(std::fs::read(path).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let tiff = runtime.block_on(Tiff::open(&source)).unwrap();
    let info = tiff.main().info().clone();
    assert_eq!(info.dtype, Some(DType::Float64));
    let window = Window {
        row: 0,
        col: 0,
        height: info.height,
        width: info.width,
    };
    let read = tiff.main().window(window, &[0]).unwrap();
    let (mut decoder, mut out) = (Decoder::new(), vec![0; read.out_bytes()]);
    for (index, block) in read.blocks().iter().enumerate() {
        let range = block
            .range
            .clone()
            .map_or(0..0, |r| r.start as usize..r.end as usize);
        read.decode_block(&mut decoder, index, &source.slice(range), &mut out)
            .unwrap();
    }
    out.chunks_exact(8)
        .map(|b| f64::from_ne_bytes(b.try_into().unwrap()))
        .collect()
}

/// The numbers of a NumPy file.
fn expected(name: &str, file: &str) -> Vec<f64> {
    let bytes = std::fs::read(sample(name).join("expected").join(file)).unwrap();
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]])) + 10;
    let text = String::from_utf8_lossy(&bytes[10..header]).into_owned();
    assert!(text.contains("'fortran_order': False"), "{text}");
    let are_integers = text.contains("'<i8'");
    assert!(are_integers || text.contains("'<f8'"), "{text}");
    let numbers = bytes[header..].chunks_exact(8).map(|b| b.try_into().unwrap());
    numbers
        .map(|b| {
            if are_integers {
                i64::from_le_bytes(b) as f64
            } else {
                f64::from_le_bytes(b)
            }
        })
        .collect()
}

fn assert_same(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    let differs = |(a, b): (&f64, &f64)| a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan());
    assert_eq!(got.iter().zip(want).filter(|&pair| differs(pair)).count(), 0);
}

#[test]
fn medians_of_clear_pixels_are_numpys_to_the_bit_however_the_work_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let mut files: Vec<Vec<u8>> = Vec::new();
    for tile in ["1024", "32"] {
        let out = folder.path().join(tile);
        let more = [
            "--assets",
            "ndvi",
            "--mask",
            "cloud_mask:values=1",
            "--dtype",
            "float64",
            "--by",
            "month",
        ];
        let line = mosaic("s2-slovenia", &out, &[&more[..], &["--tile", tile]].concat());
        assert!(line.starts_with("32 scenes"), "{line}");
        assert_same(
            &pixels(&out.join("median.tif")),
            &expected("s2-slovenia", "masked_median.npy"),
        );
        let months = ["01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "12"];
        let of_month = |month: &&str| pixels(&out.join(format!("month-{month}.tif")));
        let all: Vec<f64> = months.iter().flat_map(of_month).collect();
        assert_same(&all, &expected("s2-slovenia", "calendar_month_median.npy"));
        let mut names: Vec<_> = std::fs::read_dir(&out)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names.len(), 2 + months.len() + 1, "{names:?}");
        files.push(
            names
                .iter()
                .flat_map(|name| std::fs::read(out.join(name)).unwrap())
                .collect(),
        );
    }
    assert!(
        files[0] == files[1],
        "the files are the same however the work is cut"
    );
}

#[test]
fn months_of_each_year_and_other_reductions_are_numpys() {
    let folder = tempfile::tempdir().unwrap();
    let clear = [
        "--assets",
        "ndvi",
        "--mask",
        "cloud_mask:values=1",
        "--dtype",
        "float64",
    ];
    mosaic(
        "s2-slovenia",
        folder.path(),
        &[&clear[..], &["--by", "year-month"]].concat(),
    );
    let mut months: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    months.retain(|path| path.to_str().unwrap().contains("month-") && path.extension().unwrap() == "tif");
    months.sort();
    assert!(months[0].ends_with("month-2015-07.tif"), "{months:?}");
    let all: Vec<f64> = months.iter().flat_map(|path| pixels(path)).collect();
    assert_same(&all, &expected("s2-slovenia", "year_month_median.npy"));
    mosaic(
        "s2-slovenia",
        folder.path(),
        &[&clear[..], &["--reduce", "count"]].concat(),
    );
    assert_same(
        &pixels(&folder.path().join("count.tif")),
        &expected("s2-slovenia", "masked_count.npy"),
    );
    mosaic(
        "s2-slovenia",
        folder.path(),
        &[&clear[..], &["--reduce", "mean"]].concat(),
    );
    let (mean, want) = (
        pixels(&folder.path().join("mean.tif")),
        expected("s2-slovenia", "masked_mean.npy"),
    );
    assert!(
        mean.iter()
            .zip(&want)
            .all(|(a, b)| (a - b).abs() <= 1e-9 * b.abs())
    );
}

#[test]
fn a_damaged_file_fails_by_name_or_is_left_out_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("data");
    copy_folder(&sample("s2-slovenia"), &copy);
    let scene = "S2_L1C_33TVM_20150731T100009";
    let file = copy.join(scene).join("ndvi.tif");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let run = |out: &Path, on_error: &str| {
        let mut command = graticule(&[]);
        command
            .arg("mosaic")
            .arg(copy.join("items.json"))
            .arg("--out")
            .arg(out);
        command.args(["--assets", "ndvi", "--on-error", on_error]);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let out = folder.path().join("raise");
    let (code, said) = run(&out, "raise");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(scene) && said.contains("ndvi"), "{said}");
    assert_eq!(
        std::fs::read_dir(&out).unwrap().count(),
        0,
        "nothing is left half-written"
    );
    for on_error in ["nodata", "skip-item"] {
        let out = folder.path().join(on_error);
        let (code, said) = run(&out, on_error);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("left out") && said.contains(scene), "{said}");
        assert!(out.join("median.tif").is_file());
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
