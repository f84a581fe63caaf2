//! Arrays that are written as Zarr by the workers of an embedded cluster.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::{fs, path::Path, time::Duration};

use graticule_array::{Array, Chunks, Over};
use graticule_client::{Client, LocalOptions, Tensor, open_zarr, to_zarr, write_zarr_region};
use graticule_data::zarr::ZarrOptions;
use graticule_plan::DType;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

async fn in_time<T>(what: impl std::future::Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.unwrap()
}

async fn local() -> Client {
    let options = LocalOptions {
        worker_count: 2,
        ..LocalOptions::default()
    };
    Client::local_with(&options).await.unwrap()
}

/// 0, 1, 2, ... in two axes.
fn numbers(shape: [u64; 2], chunks: [u64; 2], dtype: DType) -> Array {
    let len = shape[0] * shape[1];
    let flat = Array::arange(0.0, len as f64, 1.0, dtype, Chunks::Size(len)).unwrap();
    let table = flat.reshape(&[shape[0] as i64, shape[1] as i64]).unwrap();
    table.rechunk(&chunks.map(Chunks::Size)).unwrap()
}

async fn stored(client: &Client, path: &str) -> Tensor {
    let array = open_zarr(path).await.unwrap();
    in_time(client.compute(&array)).await.unwrap()
}

async fn failure(client: &Client, written: &Array) -> String {
    in_time(client.compute(written)).await.unwrap_err().to_string()
}

fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match path.is_dir() {
            true => found.extend(files(&path).into_iter().map(|below| format!("{name}/{below}"))),
            false => found.push(name),
        }
    }
    found.sort();
    found
}

/// A folder for an array, and its path as text.
fn folder() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.zarr").display().to_string();
    (folder, path)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_what_is_read_whatever_the_cuts() {
    let client = local().await;
    for (chunks, stored_chunks) in [
        ([4, 5], [4, 5]),
        ([8, 10], [4, 5]),
        ([3, 7], [4, 5]),
        ([10, 13], [100, 100]),
    ] {
        for dtype in [
            DType::Float32,
            DType::Int64,
            DType::UInt8,
            DType::Complex64,
            DType::Float16,
        ] {
            let (_folder, path) = folder();
            let x = numbers([10, 13], chunks, dtype);
            let options = ZarrOptions {
                chunks: Some(stored_chunks.to_vec()),
                ..ZarrOptions::default()
            };
            let written = to_zarr(&x, &path, &options).await.unwrap();
            assert_eq!(
                files(Path::new(&path)),
                ["zarr.json"],
                "nothing is written before it is computed"
            );
            let bytes = in_time(client.compute(&written)).await.unwrap();
            let on_disk: u64 = files(Path::new(&path))
                .iter()
                .filter(|name| *name != "zarr.json")
                .map(|name| fs::metadata(Path::new(&path).join(name)).unwrap().len())
                .sum();
            assert_eq!(bytes.as_slice::<u64>().unwrap().iter().sum::<u64>(), on_disk);
            assert_eq!(
                stored(&client, &path).await,
                in_time(client.compute(&x)).await.unwrap(),
                "{chunks:?} {dtype}"
            );
            assert_eq!(open_zarr(&path).await.unwrap().dtype(), dtype);
        }
    }
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arrays_without_axes_and_arrays_of_times_are_written() {
    let client = local().await;
    let day: DType = "datetime64[D]".parse().unwrap();
    let one = numbers([2, 3], [2, 3], DType::Float64).sum(&Over::all()).unwrap();
    let times = numbers([4, 3], [2, 3], DType::Int64).astype(day).unwrap();
    for x in [one, times] {
        let (_folder, path) = folder();
        let written = to_zarr(&x, &path, &ZarrOptions::default()).await.unwrap();
        in_time(client.compute(&written)).await.unwrap();
        assert_eq!(
            stored(&client, &path).await,
            in_time(client.compute(&x)).await.unwrap()
        );
    }
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_are_written_whole_and_what_is_only_fill_is_left_out() {
    let client = local().await;
    let x = numbers([10, 13], [3, 7], DType::Float64);
    let (_folder, path) = folder();
    let options = ZarrOptions {
        chunks: Some(vec![4, 6]),
        codecs: Some(json!([{ "name": "sharding_indexed", "configuration": {
            "chunk_shape": [2, 3],
            "codecs": [{ "name": "bytes", "configuration": { "endian": "big" } }, { "name": "gzip", "configuration": { "level": 5 } }],
            "index_codecs": [{ "name": "bytes", "configuration": { "endian": "little" } }, { "name": "crc32c" }],
            "index_location": "end",
        } }])),
        ..ZarrOptions::default()
    };
    let written = to_zarr(&x, &path, &options).await.unwrap();
    in_time(client.compute(&written)).await.unwrap();
    assert_eq!(
        stored(&client, &path).await,
        in_time(client.compute(&x)).await.unwrap()
    );
    assert_eq!(files(Path::new(&path)).len(), 1 + 3 * 3);

    let (_folder, path) = folder();
    let nothing = ZarrOptions {
        chunks: Some(vec![4, 6]),
        fill_value: Some(json!("NaN")),
        ..ZarrOptions::default()
    };
    let late = x.where_valid(x.greater_equal(52.0).unwrap()).unwrap();
    let written = to_zarr(&late, &path, &nothing).await.unwrap();
    in_time(client.compute(&written)).await.unwrap();
    // The first four rows are less than 52.
    assert_eq!(
        files(Path::new(&path)),
        ["c/1/0", "c/1/1", "c/1/2", "c/2/0", "c/2/1", "c/2/2", "zarr.json"]
    );
    let (got, want) = (
        stored(&client, &path).await,
        in_time(client.compute(&late)).await.unwrap(),
    );
    assert_eq!(got.bytes(), want.bytes());
    // A chunk that is there and has become nothing but fill goes away.
    let blank = x.multiply(f64::NAN).unwrap();
    let written = write_zarr_region(&blank, &path, &[0, 0]).await.unwrap();
    let bytes = in_time(client.compute(&written)).await.unwrap();
    assert_eq!(bytes.as_slice::<u64>().unwrap().iter().sum::<u64>(), 0);
    let itself = open_zarr(&path).await.unwrap().add(1.0).unwrap();
    let told = write_zarr_region(&itself, &path, &[0, 0])
        .await
        .unwrap_err()
        .to_string();
    assert!(told.contains("cannot be computed from itself"), "{told}");
    assert_eq!(files(Path::new(&path)), ["zarr.json"]);
    client.close().await;
}

fn version_2(path: &str, changed: &[(&str, Value)]) {
    let mut document = json!({ "zarr_format": 2, "shape": [10, 13], "chunks": [4, 6], "dtype": ">f8", "order": "C",
        "compressor": { "id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0 },
        "fill_value": null, "filters": null });
    for (key, value) in changed {
        document[*key] = value.clone();
    }
    fs::create_dir_all(path).unwrap();
    fs::write(Path::new(path).join(".zarray"), document.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn regions_of_arrays_of_version_2_are_written() {
    let client = local().await;
    for changed in [
        vec![],
        vec![
            ("order", json!("F")),
            ("compressor", json!({ "id": "zlib", "level": 1 })),
        ],
        vec![
            ("dtype", json!("<f8")),
            ("compressor", Value::Null),
            ("dimension_separator", json!("/")),
        ],
    ] {
        let (_folder, path) = folder();
        version_2(&path, &changed);
        let (x, y) = (
            numbers([8, 13], [4, 13], DType::Float64),
            numbers([2, 7], [2, 7], DType::Float64),
        );
        for (part, start) in [(&x, [0, 0]), (&y, [8, 6])] {
            let written = write_zarr_region(part, &path, &start).await.unwrap();
            in_time(client.compute(&written)).await.unwrap();
        }
        let all = in_time(client.compute(&open_zarr(&path).await.unwrap()))
            .await
            .unwrap();
        let all = all.as_slice::<f64>().unwrap();
        let want = |row: usize, column: usize| match (row, column) {
            (0..8, _) => (row * 13 + column) as f64,
            (_, 6..) => ((row - 8) * 7 + column - 6) as f64,
            _ => 0.0,
        };
        for (at, got) in all.iter().enumerate() {
            assert_eq!(*got, want(at / 13, at % 13), "{changed:?} at {at}");
        }
        let told = write_zarr_region(&y, &path, &[8, 5])
            .await
            .unwrap_err()
            .to_string();
        assert!(told.contains("no whole chunks of 6"), "{told}");
    }
    let (_folder, path) = folder();
    version_2(&path, &[("filters", json!([{ "id": "delta", "dtype": ">f8" }]))]);
    let told = write_zarr_region(&numbers([8, 13], [4, 13], DType::Float64), &path, &[0, 0]).await;
    assert!(told.unwrap_err().to_string().contains("delta"));
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_array_that_is_there_is_left_alone_unless_it_is_to_be_overwritten() {
    let client = local().await;
    let (_folder, path) = folder();
    let x = numbers([10, 13], [4, 6], DType::Int32);
    let options = ZarrOptions::default();
    in_time(client.compute(&to_zarr(&x, &path, &options).await.unwrap()))
        .await
        .unwrap();
    let told = to_zarr(&x, &path, &options).await.unwrap_err().to_string();
    assert!(told.contains("overwritten"), "{told}");
    assert_eq!(
        stored(&client, &path).await,
        in_time(client.compute(&x)).await.unwrap()
    );
    let overwrite = ZarrOptions {
        overwrite: true,
        ..options.clone()
    };
    let small = numbers([2, 2], [2, 2], DType::Int32);
    in_time(client.compute(&to_zarr(&small, &path, &overwrite).await.unwrap()))
        .await
        .unwrap();
    assert_eq!(files(Path::new(&path)), ["c/0/0", "zarr.json"]);
    // What is no array is never removed.
    let other = Path::new(&path).parent().unwrap().join("notes");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("readme"), "mine").unwrap();
    let told = to_zarr(&x, &other.display().to_string(), &overwrite)
        .await
        .unwrap_err()
        .to_string();
    assert!(told.contains("other files"), "{told}");
    assert_eq!(files(&other), ["readme"]);
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_array_is_computed_from_is_not_overwritten_by_it() {
    let client = local().await;
    let (_folder, path) = folder();
    let x = numbers([10, 13], [4, 6], DType::Int32);
    let written = to_zarr(&x, &path, &ZarrOptions::default()).await.unwrap();
    in_time(client.compute(&written)).await.unwrap();
    let before = files(Path::new(&path));
    let more = open_zarr(&path).await.unwrap().add(1).unwrap();
    let overwrite = ZarrOptions {
        overwrite: true,
        ..ZarrOptions::default()
    };
    let told = to_zarr(&more, &path, &overwrite).await.unwrap_err().to_string();
    assert!(told.contains("write to another one"), "{told}");
    assert_eq!(files(Path::new(&path)), before);
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_writes_nowhere_but_into_the_array_that_was_described() {
    let client = local().await;
    let (_folder, path) = folder();
    let x = numbers([10, 13], [4, 6], DType::Int32);
    let written = to_zarr(&x, &path, &ZarrOptions::default()).await.unwrap();
    let document = fs::read_to_string(Path::new(&path).join("zarr.json")).unwrap();

    fs::remove_dir_all(&path).unwrap();
    let told = failure(&client, &written).await;
    assert!(
        told.contains("there is no Zarr array at") && told.contains(&path),
        "{told}"
    );
    assert!(
        told.contains("where this worker runs") && told.contains("by_workers=False"),
        "{told}"
    );
    assert!(!Path::new(&path).exists(), "the folder is not made anew");

    fs::create_dir(&path).unwrap();
    fs::write(
        Path::new(&path).join("zarr.json"),
        document.replace("int32", "int64"),
    )
    .unwrap();
    let told = failure(&client, &written).await;
    assert!(
        told.contains("its data_type is \"int64\", \"int32\" is expected"),
        "{told}"
    );
    assert_eq!(files(Path::new(&path)), ["zarr.json"]);

    // Attributes may change, and the array may grow.
    let grown = document
        .replace("\"attributes\":{}", "\"attributes\":{\"a\":1}")
        .replace("[10,13]", "[20,13]");
    assert_ne!(grown, document);
    fs::write(Path::new(&path).join("zarr.json"), grown).unwrap();
    in_time(client.compute(&written)).await.unwrap();
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_written_fails_the_job_by_name() {
    let client = local().await;
    let (_folder, path) = folder();
    let x = numbers([10, 13], [4, 6], DType::Int32);
    let written = to_zarr(&x, &path, &ZarrOptions::default()).await.unwrap();
    // A file where a folder is needed: also whoever may do everything is refused.
    fs::create_dir(Path::new(&path).join("c")).unwrap();
    fs::write(Path::new(&path).join("c/1"), "in the way").unwrap();
    let told = failure(&client, &written).await;
    for part in [
        "chunk [1, ",
        &path,
        "c/1/",
        "cannot be written on",
        "Not a directory",
    ] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
    assert!(
        !files(Path::new(&path))
            .iter()
            .any(|name| name.ends_with(".partial"))
    );
    client.close().await;
}
