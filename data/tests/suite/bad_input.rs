//! Input that is missing, damaged or not what it says: a clear error, or a report where the rest may go on.
#![allow(clippy::unwrap_used)] // Helpers of tests count as code outside of tests.

use std::path::{Path, PathBuf};

use crate::support::{address, decode, program, read_all, sample};
use graticule_data::{
    DataError, ReadError, Sources, Stack, StackDtype, StackOptions,
    sources::ReadCause,
    stac::{Item, Search, load_items, parse_items},
    stack,
    store::{Address, Stores},
};
use graticule_ops::OnError;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A copy of three Sentinel-2 items that a test may damage.
struct Damaged {
    folder: TempDir,
    items: Vec<Item>,
}

const DATES: usize = 3;

impl Damaged {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut document: Value =
            serde_json::from_slice(&std::fs::read(sample("s2-slovenia/items.json")).unwrap()).unwrap();
        let features = document["features"].as_array_mut().unwrap();
        features.truncate(DATES);
        for item in features {
            let id = item["id"].as_str().unwrap();
            std::fs::create_dir(folder.path().join(id)).unwrap();
            for asset in ["ndvi", "cloud_mask"] {
                let file = Path::new(id).join(format!("{asset}.tif"));
                std::fs::copy(sample("s2-slovenia").join(&file), folder.path().join(&file)).unwrap();
            }
        }
        std::fs::write(folder.path().join("items.json"), document.to_string()).unwrap();
        let set = load_items(&Stores::default(), &address(folder.path().join("items.json")))
            .await
            .unwrap();
        Self {
            folder,
            items: set.items,
        }
    }

    fn file(&self, item: usize, asset: &str) -> PathBuf {
        self.folder
            .path()
            .join(&self.items[item].id)
            .join(format!("{asset}.tif"))
    }

    fn stack(&self, on_error: OnError) -> Stack {
        let options = StackOptions {
            dtype: StackDtype::Float32,
            on_error,
            chunks: Some([9, 9, 200, 200]),
            ..StackOptions::default()
        };
        stack(&self.items, &["ndvi", "cloud_mask"], &options).unwrap()
    }

    /// How many pixels there are, if all can be read.
    async fn read(&self) -> Result<usize, ReadError> {
        let cube = self.stack(OnError::Raise);
        let pixels = read_all::<f32>(&Sources::default(), &cube.source, cube.dtype, &cube.grid, None).await;
        pixels.map(|pixels| pixels.len())
    }

    /// Which planes (time, band) hold nothing but NaN, and what the report says.
    async fn empty_planes(
        &self,
        on_error: OnError,
    ) -> (Vec<(usize, usize)>, Vec<graticule_data::sources::Problem>) {
        let cube = self.stack(on_error);
        let (program, tables) = program(&cube.source, cube.dtype, &cube.grid, None);
        let fetched = Sources::default()
            .fetch(&program, &[0; 4], &tables)
            .await
            .unwrap();
        let tensor = decode(&fetched, &program, &cube.grid.extents(0)).unwrap();
        let planes = tensor.as_slice::<f32>().unwrap().chunks(101 * 100).enumerate();
        let empty = planes.filter(|(_, plane)| plane.iter().all(|v| v.is_nan()));
        (
            empty.map(|(plane, _)| (plane / 2, plane % 2)).collect(),
            fetched.problems(),
        )
    }

    fn check(&self, error: &ReadError, item: usize, asset: &str) {
        assert_eq!(error.place.item, self.items[item].id);
        assert_eq!(error.place.asset, asset);
        let text = error.to_string();
        assert!(text.contains(&format!("{asset}.tif")), "{text}");
    }
}

#[tokio::test]
async fn a_missing_file_is_named_with_what_to_do() {
    let copy = Damaged::new().await;
    std::fs::remove_file(copy.file(1, "ndvi")).unwrap();
    let error = copy.read().await.unwrap_err();
    copy.check(&error, 1, "ndvi");
    assert!(
        error
            .to_string()
            .contains("put it on storage that all workers reach"),
        "{error}"
    );
    assert!(matches!(&error.cause, ReadCause::Store(cause) if cause.is_not_found()));
}

#[tokio::test]
async fn on_error_lets_the_rest_go_on_and_reports() {
    let copy = Damaged::new().await;
    std::fs::remove_file(copy.file(1, "ndvi")).unwrap();
    let (empty, problems) = copy.empty_planes(OnError::Nodata).await;
    assert_eq!(empty, [(1, 0)]);
    assert_eq!(problems.len(), 1);
    assert_eq!(
        (&problems[0].place.item, &*problems[0].place.asset),
        (&copy.items[1].id, "ndvi")
    );
    assert!(!problems[0].is_item_skipped);
    let (empty, problems) = copy.empty_planes(OnError::SkipItem).await;
    assert_eq!(empty, [(1, 0), (1, 1)]);
    assert!(problems.len() == 1 && problems[0].is_item_skipped);
}

#[tokio::test]
async fn a_truncated_file_is_named() {
    let copy = Damaged::new().await;
    let file = copy.file(2, "cloud_mask");
    let bytes = std::fs::read(&file).unwrap();
    for len in [0, 4, 100, bytes.len() / 2, bytes.len() - 40] {
        std::fs::write(&file, &bytes[..len]).unwrap();
        let error = copy.read().await.unwrap_err();
        copy.check(&error, 2, "cloud_mask");
        let (empty, problems) = copy.empty_planes(OnError::Nodata).await;
        assert_eq!((empty, problems.len()), (vec![(2, 1)], 1), "{len} bytes");
    }
}

#[tokio::test]
async fn damaged_tile_bytes_name_the_window() {
    let copy = Damaged::new().await;
    let file = copy.file(0, "ndvi");
    let mut bytes = std::fs::read(&file).unwrap();
    // The last bytes of these files are those of the last tile.
    let len = bytes.len();
    bytes[len - 400..len - 4].fill(0xff);
    std::fs::write(&file, bytes).unwrap();
    let error = copy.read().await.unwrap_err();
    copy.check(&error, 0, "ndvi");
    assert!(matches!(error.cause, ReadCause::Tiff(_)), "{error}");
    assert!(
        error.to_string().contains("rows 0..101, columns 0..100"),
        "{error}"
    );
    // Found only while decoding; the report has it all the same, and skips the item's other band.
    let (empty, problems) = copy.empty_planes(OnError::SkipItem).await;
    assert_eq!((empty, problems.len()), (vec![(0, 0), (0, 1)], 1));
    let (empty, problems) = copy.empty_planes(OnError::Nodata).await;
    assert_eq!((empty, problems.len()), (vec![(0, 0)], 1));
}

#[tokio::test]
async fn a_file_in_another_system_than_its_item_says_is_refused() {
    let copy = Damaged::new().await;
    let mut items = copy.items.clone();
    for asset in items.iter_mut().flat_map(|item| item.assets.values_mut()) {
        asset.projection.crs = Some(graticule_data::stac::Crs::Epsg(32634));
    }
    let cube = stack(&items, &["ndvi"], &StackOptions::default()).unwrap();
    let read = read_all::<f32>(&Sources::default(), &cube.source, cube.dtype, &cube.grid, None).await;
    let error = read.unwrap_err();
    assert!(
        matches!(error.cause, ReadCause::Mismatch(_)) && error.to_string().contains("EPSG:32633"),
        "{error}"
    );
}

#[tokio::test]
async fn text_that_is_no_tiff_is_refused() {
    let copy = Damaged::new().await;
    std::fs::write(copy.file(0, "ndvi"), "<html>sign in first</html>").unwrap();
    let error = copy.read().await.unwrap_err();
    copy.check(&error, 0, "ndvi");
    assert!(error.to_string().contains("not a TIFF"), "{error}");
}

fn item(id: &str, fields: Value) -> Value {
    let mut asset = json!({
        "href": format!("./{id}.tif"), "proj:shape": [10, 10],
        "proj:transform": [10.0, 0.0, 500000.0, 0.0, -10.0, 5000000.0],
        "raster:bands": [{"data_type": "uint8", "nodata": 0}],
    });
    let mut properties =
        json!({"datetime": "2020-05-01T10:00:00Z", "proj:code": "EPSG:32633", "eo:cloud_cover": 30});
    for (key, value) in fields.as_object().unwrap() {
        let target = if key.starts_with("asset:") {
            &mut asset
        } else {
            &mut properties
        };
        target[key.trim_start_matches("asset:")] = value.clone();
    }
    json!({"type": "Feature", "stac_version": "1.0.0", "id": id, "bbox": [14.0, 45.0, 14.1, 45.1],
           "properties": properties, "assets": {"a": asset, "b": {"href": "b.tif"}}, "links": []})
}

fn collection(items: &[Value]) -> Vec<Item> {
    let document = json!({"type": "FeatureCollection", "features": items});
    parse_items(&document, &Address::parse("/data/items.json").unwrap())
        .unwrap()
        .items
}

fn stack_error(items: &[Value], asset: &str, options: StackOptions) -> DataError {
    stack(&collection(items), &[asset], &options).unwrap_err()
}

#[test]
fn an_unknown_asset_says_which_exist() {
    let error = stack_error(&[item("x", json!({}))], "red", StackOptions::default());
    assert_eq!(
        error.to_string(),
        r#"asset "red" does not exist in any of the 1 items; they have a, b"#
    );
    let none: [&str; 0] = [];
    let error = stack(
        &collection(&[item("x", json!({}))]),
        &none,
        &StackOptions::default(),
    )
    .unwrap_err();
    assert_eq!(
        error,
        DataError::NoAssets {
            known: vec!["a".into(), "b".into()]
        }
    );
    assert_eq!(
        stack(&[], &["a"], &StackOptions::default()).unwrap_err(),
        DataError::NoItems
    );
}

#[test]
fn missing_projection_fields_are_named() {
    let field = |fields: Value| match stack_error(&[item("x", fields)], "a", StackOptions::default()) {
        DataError::MissingField { item, field, .. } => (item, field),
        other => panic!("{other}"),
    };
    assert_eq!(
        field(json!({"asset:proj:shape": null})),
        ("x".into(), "proj:shape")
    );
    assert_eq!(
        field(json!({"asset:proj:transform": null})),
        ("x".into(), "proj:transform")
    );
    assert_eq!(field(json!({"proj:code": null})), ("x".into(), "proj:code"));
    let source = StackOptions {
        dtype: StackDtype::Source,
        ..StackOptions::default()
    };
    let error = stack_error(&[item("x", json!({"asset:raster:bands": []}))], "a", source);
    assert!(
        matches!(
            error,
            DataError::MissingField {
                field: "data_type",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn several_systems_are_counted() {
    let items = [
        item("x", json!({})),
        item("y", json!({"proj:code": "EPSG:32634"})),
        item("z", json!({"proj:code": "EPSG:32634"})),
    ];
    let error = stack_error(&items, "a", StackOptions::default());
    assert!(
        error
            .to_string()
            .contains("EPSG:32634 (2 items), EPSG:32633 (1 item)"),
        "{error}"
    );
    let other = StackOptions {
        crs: Some(3857),
        ..StackOptions::default()
    };
    let error = stack_error(&items[..1], "a", other);
    assert_eq!(
        error,
        DataError::OtherCrs {
            have: "EPSG:32633".into(),
            want: "EPSG:3857".into()
        }
    );
}

#[test]
fn an_empty_search_says_which_filter_left_nothing() {
    let document =
        json!({"type": "FeatureCollection", "features": [item("x", json!({})), item("y", json!({}))]});
    let set = parse_items(&document, &Address::parse("/data/items.json").unwrap()).unwrap();
    let search = Search {
        bbox: Some([13.0, 44.0, 15.0, 46.0]),
        max_cloud: Some(20.0),
        ..Search::default()
    };
    let error = search.apply(&set).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no item is left of 2: 2 after bbox [13.0, 44.0, 15.0, 46.0], 0 after max-cloud 20"
    );
}

#[test]
fn signed_addresses_do_not_get_into_a_plan() {
    let fields = json!({"asset:href": "https://host/a.tif?se=2030&sig=SECRET"});
    let error = stack_error(&[item("x", fields)], "a", StackOptions::default());
    assert!(
        matches!(error, DataError::SignedAddress { .. }) && !error.to_string().contains("SECRET"),
        "{error}"
    );
}

#[test]
fn senseless_grids_are_refused() {
    let error = |options| stack_error(&[item("x", json!({}))], "a", options);
    let default = StackOptions::default;
    for options in [
        StackOptions {
            resolution: Some([0.0, 1.0]),
            ..default()
        },
        StackOptions {
            resolution: Some([f64::NAN, 1.0]),
            ..default()
        },
        StackOptions {
            bounds: Some([5.0, 0.0, 1.0, 9.0]),
            ..default()
        },
        StackOptions {
            bounds: Some([0.0, 0.0, 1.0, 9.0]),
            bbox: Some([0.0, 0.0, 1.0, 9.0]),
            ..default()
        },
        StackOptions {
            bbox: Some([170.0, 0.0, -170.0, 9.0]),
            ..default()
        },
    ] {
        assert!(
            matches!(error(options.clone()), DataError::Grid(_)),
            "{options:?}"
        );
    }
    assert!(matches!(
        error(StackOptions {
            chunks: Some([1, 1, 0, 5]),
            ..default()
        }),
        DataError::Plan(_)
    ));
    let turned = json!({"asset:proj:transform": [8.0, 6.0, 0.0, 6.0, -8.0, 0.0]});
    let options = StackOptions {
        resolution: Some([5.0; 2]),
        ..default()
    };
    assert!(matches!(
        stack_error(&[item("x", turned)], "a", options),
        DataError::Rotated { .. }
    ));
}

#[tokio::test]
async fn documents_that_are_no_stac_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let load = async |text: &str| {
        let path = folder.path().join("items.json");
        std::fs::write(&path, text).unwrap();
        load_items(&Stores::default(), &address(&path))
            .await
            .unwrap_err()
            .to_string()
    };
    assert!(load("not json").await.contains("it is not JSON"));
    assert!(load("[]").await.contains("its type is missing"));
    assert!(load(r#"{"type": "Topology"}"#).await.contains("Topology"));
    assert!(
        load(r#"{"type": "FeatureCollection"}"#)
            .await
            .contains("must have features")
    );
    let undated = item("x", json!({"datetime": null}));
    let undated = json!({"type": "FeatureCollection", "features": [undated]}).to_string();
    assert!(load(&undated).await.contains("there is no start_datetime"));
}
