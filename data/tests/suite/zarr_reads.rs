//! Zarr arrays in many encodings, read whole, in parts, backwards, and damaged.
#![allow(clippy::unwrap_used)] // Helpers of tests count as code outside of tests.

use std::path::PathBuf;

use crate::support::{address, decode, program, read_all};
use graticule_data::{
    DataError, ReadError, Sources,
    sources::ReadCause,
    store::Stores,
    zarr::{ZarrDescription, open_zarr_array, open_zarr_group},
};
use graticule_kernel::{Element, Time};
use graticule_ops::{ArraySource, AxisSelection, OnError};
use graticule_plan::{ChunkGrid, DType, TimeUnit};
use proptest::prelude::*;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/zarr")
        .join(name)
}

async fn open(path: PathBuf) -> Result<ZarrDescription, DataError> {
    open_zarr_array(&Stores::default(), &address(path)).await
}

async fn read<T: Element + Copy>(array: &ZarrDescription) -> Result<Vec<T>, ReadError> {
    read_all(&Sources::default(), &array.source, array.dtype, &array.grid, None).await
}

const SHAPE: [u64; 3] = [4, 5, 6];

/// The number that each fixture holds at (t, y, x).
fn value(t: u64, y: u64, x: u64) -> f32 {
    (100 * t + 10 * y + x) as f32 + 0.5
}

fn values() -> Vec<f32> {
    let index = (0..4).flat_map(|t| (0..5).flat_map(move |y| (0..6).map(move |x| (t, y, x))));
    index.map(|(t, y, x)| value(t, y, x)).collect()
}

const FLOATS: [&str; 20] = [
    "v2-none",
    "v2-zlib",
    "v2-gzip",
    "v2-zstd",
    "v2-blosc",
    "v2-bz2",
    "v2-order-F",
    "v2-big-endian",
    "v2-shuffle",
    "v3-none",
    "v3-zstd",
    "v3-gzip",
    "v3-blosc",
    "v3-crc32c",
    "v3-big-endian",
    "v3-transpose",
    "v3-shard-start",
    "v3-shard-end",
    "v3-shard-plain-index",
    "v3-shard-transposed",
];

#[tokio::test]
async fn every_encoding_decodes_to_the_same_numbers() {
    for name in FLOATS {
        let array = open(fixture(name))
            .await
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(
            (array.dtype, array.grid.shape()),
            (DType::Float32, SHAPE.to_vec()),
            "{name}"
        );
        assert_eq!(read::<f32>(&array).await.unwrap(), values(), "{name}");
    }
}

#[tokio::test]
async fn inner_chunks_are_the_grid_of_a_sharded_array() {
    let array = open(fixture("v3-shard-end")).await.unwrap();
    assert_eq!(
        (array.grid.block_shape(0), array.shards),
        (vec![3, 3, 2], Some(vec![3, 6, 4]))
    );
    // Where the shard's elements are in another order, the shard is the unit.
    let array = open(fixture("v3-shard-transposed")).await.unwrap();
    assert_eq!((array.grid.block_shape(0), array.shards), (vec![3, 5, 6], None));
}

#[tokio::test]
async fn other_dtypes_and_no_axes_at_all() {
    let flags = open(fixture("v2-bool")).await.unwrap();
    let want: Vec<bool> = values().iter().enumerate().map(|(i, _)| i % 6 % 2 == 0).collect();
    assert_eq!(read::<bool>(&flags).await.unwrap(), want);
    let whole = open(fixture("v3-int16")).await.unwrap();
    let want: Vec<i16> = values().iter().map(|v| *v as i16).collect();
    assert_eq!(read::<i16>(&whole).await.unwrap(), want);
    let scalar = open(fixture("v3-scalar")).await.unwrap();
    assert_eq!(read::<f64>(&scalar).await.unwrap(), [7.5]);
}

/// Numbers of units.
async fn counts(array: &ZarrDescription) -> Vec<i64> {
    read::<Time>(array)
        .await
        .unwrap()
        .iter()
        .map(|time| time.0)
        .collect()
}

#[tokio::test]
async fn times_are_read_in_their_unit() {
    let array = open(fixture("v2-time")).await.unwrap();
    assert_eq!(array.dtype, DType::DateTime64(TimeUnit::Second));
    let want: Vec<i64> = values().iter().map(|v| *v as i64).collect();
    assert_eq!(counts(&array).await, want);
}

/// Writes a Zarr array of version 3 of two elements in chunks of one, of which the second is absent.
fn write_v3(folder: &std::path::Path, data_type: serde_json::Value, fill: serde_json::Value, first: i64) {
    let document = serde_json::json!({
        "zarr_format": 3, "node_type": "array", "shape": [2], "data_type": data_type, "fill_value": fill,
        "chunk_grid": { "name": "regular", "configuration": { "chunk_shape": [1] } },
        "chunk_key_encoding": { "name": "default", "configuration": { "separator": "/" } },
        "codecs": [{ "name": "bytes", "configuration": { "endian": "big" } }],
        "attributes": {},
    });
    std::fs::create_dir_all(folder.join("c")).unwrap();
    std::fs::write(folder.join("zarr.json"), document.to_string()).unwrap();
    std::fs::write(folder.join("c/0"), first.to_be_bytes()).unwrap();
}

#[tokio::test]
async fn float16_is_read_from_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    // 1.5, -2, the least and NaN; then the fill value.
    let bits = [0x3e00_u16, 0xc000, 0x0001, 0x7e00];
    let bytes: Vec<u8> = bits.iter().flat_map(|bits| bits.to_le_bytes()).collect();
    let old = folder.path().join("old");
    std::fs::create_dir_all(&old).unwrap();
    let document = serde_json::json!({
        "zarr_format": 2, "shape": [8], "chunks": [4], "dtype": "<f2", "fill_value": 0.5, "order": "C",
        "compressor": null, "filters": null,
    });
    std::fs::write(old.join(".zarray"), document.to_string()).unwrap();
    std::fs::write(old.join("0"), &bytes).unwrap();
    let new = folder.path().join("new");
    std::fs::create_dir_all(new.join("c")).unwrap();
    let document = serde_json::json!({
        "zarr_format": 3, "node_type": "array", "shape": [8], "data_type": "float16", "fill_value": 0.5,
        "chunk_grid": { "name": "regular", "configuration": { "chunk_shape": [4] } },
        "chunk_key_encoding": { "name": "default", "configuration": { "separator": "/" } },
        "codecs": [{ "name": "bytes", "configuration": { "endian": "little" } }],
        "attributes": {},
    });
    std::fs::write(new.join("zarr.json"), document.to_string()).unwrap();
    std::fs::write(new.join("c/0"), &bytes).unwrap();
    for path in [old, new] {
        let array = open(path).await.unwrap();
        assert_eq!(array.dtype, DType::Float16);
        let want = [&bits[..], &[0x3800; 4]].concat();
        assert_eq!(read::<u16>(&array).await.unwrap(), want);
    }
}

#[tokio::test]
async fn times_of_version_3_have_a_unit_and_no_other_factor() {
    let folder = tempfile::tempdir().unwrap();
    let times = |name: &str, unit: &str, factor: u64| serde_json::json!({ "name": name, "configuration": { "unit": unit, "scale_factor": factor } });
    let path = folder.path().join("points");
    write_v3(&path, times("numpy.datetime64", "ns", 1), "NaT".into(), 1 << 60);
    let array = open(path).await.unwrap();
    assert_eq!(array.dtype, DType::DateTime64(TimeUnit::Nanosecond));
    assert_eq!(counts(&array).await, [1 << 60, i64::MIN]);
    let path = folder.path().join("lengths");
    write_v3(&path, times("numpy.timedelta64", "D", 1), 7.into(), -3);
    let array = open(path).await.unwrap();
    assert_eq!(array.dtype, DType::TimeDelta64(TimeUnit::Day));
    assert_eq!(counts(&array).await, [-3, 7]);
    for (number, data_type) in [
        times("numpy.datetime64", "s", 25),
        times("numpy.datetime64", "as", 1),
        times("numpy.datetime64", "generic", 1),
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(number.to_string());
        write_v3(&path, data_type, 0.into(), 0);
        let error = open(path).await.unwrap_err();
        assert!(
            matches!(&error, DataError::Unsupported { what, .. } if what.contains("numpy.datetime64")),
            "{error}"
        );
    }
    let path = folder.path().join("fill");
    write_v3(&path, times("numpy.datetime64", "s", 1), "soon".into(), 0);
    assert!(matches!(
        open(path).await.unwrap_err(),
        DataError::Document { .. }
    ));
}

#[tokio::test]
async fn what_is_not_read_is_refused_by_name() {
    let refused = async |name: &str| match open(fixture(name)).await.unwrap_err() {
        DataError::Unsupported { address, what } => {
            assert!(address.ends_with(name), "{address}");
            what
        }
        other => panic!("{other}"),
    };
    assert_eq!(refused("v2-lz4").await, "codec lz4");
}

/// A group's own documents lie beside the folders of its arrays.
#[tokio::test]
async fn local_groups_without_consolidated_metadata_are_searched() {
    for (name, consolidated) in [("v2-group", ".zmetadata"), ("v3-group", "zarr.json")] {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (fixture(name), folder.path().join("group"));
        let mut left = vec![PathBuf::new()];
        while let Some(part) = left.pop() {
            std::fs::create_dir_all(to.join(&part)).unwrap();
            for entry in std::fs::read_dir(from.join(&part)).unwrap() {
                let entry = entry.unwrap();
                let below = part.join(entry.file_name());
                if entry.file_type().unwrap().is_dir() {
                    left.push(below);
                } else {
                    std::fs::copy(entry.path(), to.join(below)).unwrap();
                }
            }
        }
        let root = to.join(consolidated);
        if name == "v2-group" {
            std::fs::remove_file(root).unwrap();
        } else {
            let text = std::fs::read_to_string(&root).unwrap();
            let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
            let removed = document.as_object_mut().unwrap().remove("consolidated_metadata");
            assert!(removed.is_some());
            std::fs::write(root, document.to_string()).unwrap();
        }
        let group = open_zarr_group(&Stores::default(), &address(to)).await.unwrap();
        assert!(group.names().contains(&"packed".to_owned()), "{name}");
        let array = group.array("packed").unwrap();
        assert_eq!(read::<i16>(&array).await.unwrap(), [1, 2, 3]);
    }
}

#[tokio::test]
async fn groups_describe_their_arrays_from_consolidated_metadata() {
    for name in ["v2-group", "v3-group"] {
        let group = open_zarr_group(&Stores::default(), &address(fixture(name)))
            .await
            .unwrap();
        assert_eq!(group.attributes["title"], "two arrays");
        let array = group.array("packed").unwrap();
        assert_eq!(read::<i16>(&array).await.unwrap(), [1, 2, 3]);
        assert_eq!(
            array.dimension_names,
            Some(vec![Some("time".to_owned())]),
            "{name}"
        );
        let cf = array.cf_decoding();
        assert_eq!((cf.scale_factor, cf.add_offset), (Some(0.01), Some(273.15)));
        assert_eq!(array, open(fixture(name).join("packed")).await.unwrap(), "{name}");
        let error = group.array("none").unwrap_err().to_string();
        assert!(error.contains("it has packed"), "{error}");
        let error = open(fixture(name)).await.unwrap_err().to_string();
        assert!(
            error.contains("it is a Zarr group, not an array; it has the arrays packed"),
            "{error}"
        );
    }
    let error = open(fixture("no-such-array")).await.unwrap_err().to_string();
    assert!(error.contains("there is no Zarr array"), "{error}");
}

/// A copy of a fixture that a test may damage.
struct Damaged {
    folder: tempfile::TempDir,
}

impl Damaged {
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&fixture(name), folder.path());
        Self { folder }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn an_absent_chunk_holds_the_fill_value() {
    for (name, file) in [
        ("v2-zlib", "0.1.1"),
        ("v3-zstd", "c/0/1/1"),
        ("v3-shard-end", "c/0/0/1"),
    ] {
        let array = Damaged::new(name);
        std::fs::remove_file(array.path(file)).unwrap();
        let metadata = if name.starts_with("v2") {
            ".zarray"
        } else {
            "zarr.json"
        };
        let text = std::fs::read_to_string(array.path(metadata)).unwrap();
        std::fs::write(
            array.path(metadata),
            text.replace("\"fill_value\": 0", "\"fill_value\": -9"),
        )
        .unwrap();
        let got: Vec<f32> = read(&open(array.folder.path().to_owned()).await.unwrap())
            .await
            .unwrap();
        for (position, got) in got.into_iter().enumerate() {
            let (t, y, x) = (position as u64 / 30, position as u64 / 6 % 5, position as u64 % 6);
            let is_absent = t < 3 && x >= 4 && (y >= 3 || name.contains("shard"));
            assert_eq!(
                got,
                if is_absent { -9.0 } else { value(t, y, x) },
                "{name} {t} {y} {x}"
            );
        }
    }
}

#[tokio::test]
async fn a_damaged_chunk_is_named() {
    type Damage = (&'static str, &'static str, fn(&mut Vec<u8>));
    let damage: [Damage; 7] = [
        ("v2-none", "0.1.0", |bytes| bytes.truncate(20)),
        ("v2-zlib", "0.1.0", |bytes| bytes[5] ^= 0xff),
        ("v2-blosc", "0.1.0", |bytes| bytes.truncate(12)),
        ("v3-zstd", "c/0/1/0", |bytes| bytes.clear()),
        ("v3-crc32c", "c/0/1/0", |bytes| *bytes.last_mut().unwrap() ^= 1),
        ("v3-gzip", "c/0/1/0", |bytes| bytes.truncate(bytes.len() / 2)),
        ("v3-blosc", "c/0/1/0", |bytes| bytes.fill(7)),
    ];
    for (name, file, damage) in damage {
        let array = Damaged::new(name);
        let mut bytes = std::fs::read(array.path(file)).unwrap();
        damage(&mut bytes);
        std::fs::write(array.path(file), bytes).unwrap();
        let mut description = open(array.folder.path().to_owned()).await.unwrap();
        let error = read::<f32>(&description).await.unwrap_err();
        assert!(matches!(error.cause, ReadCause::Chunk(_)), "{name}: {error}");
        let text = error.to_string();
        assert!(
            text.contains(file) && text.contains("chunk [0, 1, 0]"),
            "{name}: {text}"
        );

        let ArraySource::Zarr(source) = &mut description.source else {
            unreachable!()
        };
        source.on_error = OnError::Nodata;
        let whole = ChunkGrid::whole(&SHAPE).unwrap();
        let (program, tables) = program(&description.source, DType::Float32, &whole, None);
        let fetched = Sources::default()
            .fetch(&program, &[0; 3], &tables)
            .await
            .unwrap();
        let tensor = decode(&fetched, &program, &whole.extents(0)).unwrap();
        let got = tensor.as_slice::<f32>().unwrap();
        let lost = got.iter().filter(|v| **v == 0.0).count();
        assert_eq!((lost, fetched.problems().len()), (3 * 2 * 4, 1), "{name}");
    }
}

#[tokio::test]
async fn a_damaged_shard_index_is_named() {
    for (name, at_end) in [("v3-shard-end", true), ("v3-shard-start", false)] {
        for blocks in [[3, 3, 2], [4, 5, 6]] {
            let array = Damaged::new(name);
            let mut bytes = std::fs::read(array.path("c/0/0/0")).unwrap();
            let place = if at_end { bytes.len() - 10 } else { 10 };
            bytes[place] ^= 0xff;
            std::fs::write(array.path("c/0/0/0"), bytes).unwrap();
            let description = open(array.folder.path().to_owned()).await.unwrap();
            let grid = ChunkGrid::regular(&SHAPE, &blocks).unwrap();
            let read = read_all::<f32>(
                &Sources::default(),
                &description.source,
                DType::Float32,
                &grid,
                None,
            )
            .await;
            let text = read.unwrap_err().to_string();
            assert!(
                text.contains("c/0/0/0") && text.contains("the shard's index is damaged"),
                "{name}: {text}"
            );
        }
    }
}

#[tokio::test]
async fn metadata_that_makes_no_sense_is_refused() {
    let error = async |from: &str, to: &str| {
        let array = Damaged::new("v3-zstd");
        let text = std::fs::read_to_string(array.path("zarr.json")).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(array.path("zarr.json"), text.replace(from, to)).unwrap();
        open(array.folder.path().to_owned())
            .await
            .unwrap_err()
            .to_string()
    };
    assert!(
        error("\"float32\"", "\"string\"")
            .await
            .contains("string\" is not supported")
    );
    assert!(
        error("\"regular\"", "\"rectilinear\"")
            .await
            .contains("the chunk grid \"rectilinear\" is not supported")
    );
    assert!(
        error("\"node_type\": \"array\"", "\"node_type\": 7")
            .await
            .contains("neither an array nor a group")
    );
    assert!(error("\"zstd\"", "\"brotli\"").await.contains("brotli"));
    assert!(error("{", "[").await.contains("not JSON"));
}

fn selection(len: u64) -> impl Strategy<Value = AxisSelection> {
    (0..len, prop::sample::select(vec![-3i64, -2, -1, 1, 2, 3]), 0..len).prop_map(
        move |(start, step, most)| {
            let room = if step > 0 {
                (len - 1 - start) / step.unsigned_abs()
            } else {
                start / step.unsigned_abs()
            };
            AxisSelection {
                start,
                step,
                len: most.min(room + 1),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_selection_in_any_blocks_is_numpys(
        name in prop::sample::select(vec!["v2-zlib", "v2-order-F", "v3-zstd", "v3-shard-end", "v3-none"]),
        selections in (selection(4), selection(5), selection(6)),
        blocks in (1u64..5, 1u64..6, 1u64..7),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (t, y, x) = selections;
            let shape = [t.len, y.len, x.len];
            let grid = ChunkGrid::regular(&shape, &[blocks.0, blocks.1, blocks.2]).unwrap();
            let array = open(fixture(name)).await.unwrap();
            let picked = Some(vec![t, y, x]);
            let got = read_all::<f32>(&Sources::default(), &array.source, DType::Float32, &grid, picked).await.unwrap();
            let mut want = Vec::new();
            for i in 0..t.len {
                for j in 0..y.len {
                    want.extend((0..x.len).map(|k| value(t.element(i), y.element(j), x.element(k))));
                }
            }
            prop_assert_eq!(got, want);
            Ok(())
        })?;
    }
}
