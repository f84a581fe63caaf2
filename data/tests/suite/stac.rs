//! STAC of both versions, catalogs, searches and what a stack makes of their metadata.
#![allow(clippy::unwrap_used)] // Helpers of tests count as code outside of tests.

use crate::support::{address, items};
use graticule_data::{
    DataError, GroupBy, StackDtype, StackOptions, Timestamp,
    stac::{Condition, Crs, Interval, Item, Search, load_items, parse_bbox, parse_items},
    stack,
    store::{Address, Stores},
};
use graticule_ops::{ArraySource, RasterStack};
use graticule_plan::DType;
use serde_json::{Value, json};

fn base() -> Address {
    Address::parse("/data/cat/items.json").unwrap()
}

fn collection(features: Value) -> graticule_data::stac::ItemSet {
    parse_items(
        &json!({"type": "FeatureCollection", "features": features}),
        &base(),
    )
    .unwrap()
}

fn raster(source: &ArraySource) -> &RasterStack {
    match source {
        ArraySource::Raster(stack) => stack,
        other => panic!("{other:?}"),
    }
}

/// An item of STAC 1.1: fields on the asset hold for its bands.
fn new_item(id: &str, datetime: &str) -> Value {
    json!({
        "type": "Feature", "stac_version": "1.1.0", "id": id, "links": [],
        "geometry": {"type": "Polygon", "coordinates": [[[14, 45], [15, 45], [15, 46], [14, 46], [14, 45]]]},
        "properties": {
            "datetime": null, "start_datetime": datetime, "end_datetime": datetime, "eo:cloud_cover": 12,
            "proj:wkt2": "PROJCRS[\"WGS 84 / UTM zone 33N\",BASEGEOGCRS[\"WGS 84\"],ID[\"EPSG\",32633]]",
            "proj:shape": [50, 40], "proj:transform": [10, 0, 500000, 0, -10, 5000000, 0, 0, 1],
            "view": {"off_nadir": 3.5}
        },
        "assets": {
            "visual": {
                "href": "../scenes/v.tif", "title": "True colour", "data_type": "uint16", "nodata": 0,
                "raster:scale": 0.0001, "raster:offset": -0.1,
                "bands": [{"name": "B04", "eo:common_name": "red"}, {"name": "B03", "eo:common_name": "green"},
                          {"name": "mask", "data_type": "uint8", "nodata": 255, "raster:scale": 1, "raster:offset": 0}]
            }
        }
    })
}

#[test]
fn stac_1_1_bands_inherit_from_their_asset() {
    let set = collection(json!([new_item("a", "2020-01-01T00:00:00Z")]));
    let item = &set.items[0];
    assert_eq!(item.datetime, Timestamp::parse("2020-01-01").unwrap());
    assert_eq!(item.bbox, Some([14.0, 45.0, 15.0, 46.0]));
    let asset = &item.assets["visual"];
    assert_eq!(asset.address, Address::parse("/data/scenes/v.tif").unwrap());
    assert_eq!(asset.projection.crs, Some(Crs::Epsg(32633)));
    assert_eq!(asset.projection.shape, Some([50, 40]));

    let cube = stack(&set.items, &["visual"], &StackOptions::default()).unwrap();
    let names: Vec<_> = cube
        .bands
        .iter()
        .map(|band| (&*band.name, band.common_name.as_deref()))
        .collect();
    let want = [
        ("visual.B04", Some("red")),
        ("visual.B03", Some("green")),
        ("visual.mask", None),
    ];
    assert_eq!(names, want);
    assert_eq!(cube.bands[0].title.as_deref(), Some("True colour"));
    assert_eq!(
        (cube.dtype, cube.bands[0].stored),
        (DType::Float32, Some(DType::UInt16))
    );
    let slots = &raster(&cube.source).slots;
    assert_eq!(
        (slots[0][0].scale, slots[0][0].offset, slots[0][0].nodata),
        (0.0001, -0.1, Some(0.0))
    );
    assert_eq!(
        (slots[2][0].scale, slots[2][0].band, slots[2][0].nodata),
        (1.0, 2, Some(255.0))
    );
    assert!(cube.bands.iter().all(|band| band.fill.is_nan()));
}

#[test]
fn a_band_can_be_named_by_number_or_name() {
    let set = collection(json!([new_item("a", "2020-01-01T00:00:00Z")]));
    let source = StackOptions {
        dtype: StackDtype::Source,
        ..StackOptions::default()
    };
    for name in ["visual.3", "visual.mask"] {
        let cube = stack(&set.items, &[name], &source).unwrap();
        assert_eq!((cube.dtype, cube.bands[0].fill), (DType::UInt8, 255.0));
        assert_eq!(raster(&cube.source).slots[0][0].band, 2);
    }
    // Kept as stored, a stack has one dtype that holds them all, and no scale is applied.
    let cube = stack(&set.items, &["visual"], &source).unwrap();
    assert_eq!(
        (cube.dtype, raster(&cube.source).slots[0][0].scale),
        (DType::UInt16, 1.0)
    );
    assert!(matches!(
        stack(&set.items, &["visual.B99"], &source),
        Err(DataError::UnknownAsset { .. })
    ));
    assert!(matches!(
        stack(&set.items, &["visual.0"], &source),
        Err(DataError::UnknownAsset { .. })
    ));
}

#[test]
fn duplicate_ids_are_dropped_and_reported() {
    let set = collection(json!([
        new_item("b", "2020-01-02T00:00:00Z"),
        new_item("a", "2020-01-03T00:00:00Z"),
        new_item("b", "2021-01-02T00:00:00Z"),
    ]));
    assert_eq!(
        set.items.iter().map(|item| &*item.id).collect::<Vec<_>>(),
        ["b", "a"]
    );
    assert_eq!(set.duplicates, ["b"]);
    assert_eq!(set.assets()["visual"], 2);
}

#[test]
fn items_share_a_time_by_id_instant_or_day_of_the_sun() {
    // 22:00 UTC at 14.99 degrees east: an hour ahead is not yet midnight; at 15 degrees 23:30 is past it.
    let times = [
        "2020-01-01T22:00:00Z",
        "2020-01-01T23:30:00Z",
        "2020-01-01T23:30:00Z",
        "2020-01-02T05:00:00Z",
    ];
    let features: Vec<Value> = times
        .iter()
        .enumerate()
        .map(|(i, time)| new_item(&format!("i{i}"), time))
        .collect();
    let mut items = collection(Value::Array(features)).items;
    let groups = |items: &[Item], groupby: GroupBy| {
        let options = StackOptions {
            groupby,
            ..StackOptions::default()
        };
        let cube = stack(items, &["visual.1"], &options).unwrap();
        assert_eq!(cube.times.len() as u64, cube.grid.shape()[0]);
        cube.report
            .items
            .iter()
            .map(|ids| ids.join("+"))
            .collect::<Vec<_>>()
    };
    assert_eq!(groups(&items, GroupBy::Id), ["i0", "i1", "i2", "i3"]);
    assert_eq!(groups(&items, GroupBy::Time), ["i0", "i1+i2", "i3"]);
    // The grid's centre is at 15 degrees east and 200 m.
    assert_eq!(groups(&items, GroupBy::SolarDay), ["i0", "i1+i2+i3"]);
    for asset in items.iter_mut().flat_map(|item| item.assets.values_mut()) {
        asset.projection.transform = Some([10.0, 0.0, 400000.0, 0.0, -10.0, 5000000.0]);
    }
    assert_eq!(groups(&items, GroupBy::SolarDay), ["i0+i1+i2", "i3"]);
}

#[test]
fn items_without_the_asset_are_reported_and_leave_a_gap() {
    let mut set = collection(json!([
        new_item("a", "2020-01-01T00:00:00Z"),
        new_item("b", "2020-01-02T00:00:00Z")
    ]));
    set.items[1].assets.clear();
    let cube = stack(&set.items, &["visual.1"], &StackOptions::default()).unwrap();
    assert_eq!(cube.report.missing, [("b".to_owned(), "visual".to_owned())]);
    assert_eq!((cube.grid.shape()[0], cube.report.asset_count), (2, 1));
}

#[tokio::test]
async fn searches_filter_by_box_date_cloud_and_property() {
    let set = items("landsat8-ny").await;
    let count = |search: Search| search.apply(&set).map_or(0, |items| items.len());
    let query = |text: &str| Search {
        query: vec![Condition::parse(text).unwrap()],
        ..Search::default()
    };
    let datetime = |text: &str| Search {
        datetime: Some(Interval::parse(text).unwrap()),
        ..Search::default()
    };
    assert_eq!(count(Search::default()), 19);
    assert_eq!(count(datetime("2018-04-28/2018-04-28")), 2);
    assert_eq!(count(datetime("2018-04-28")), 2);
    assert_eq!(count(datetime("2018-11/..")), 4);
    assert_eq!(count(datetime("/2018-02")), 2);
    assert_eq!(count(query("landsat:wrs_path=014")), 11);
    assert_eq!(count(query("landsat:wrs_path!=014")), 8);
    assert_eq!(count(query("id=LC08_L1TP_014031_20180106_20180119_01_T1")), 1);
    let cloud = |max: f64| {
        set.items
            .iter()
            .filter(|item| item.cloud_cover().unwrap() <= max)
            .count()
    };
    assert!(cloud(20.0) > 0 && cloud(20.0) < 19);
    assert_eq!(
        count(Search {
            max_cloud: Some(20.0),
            ..Search::default()
        }),
        cloud(20.0)
    );
    assert_eq!(count(query("eo:cloud_cover<=20")), cloud(20.0));
    assert_eq!(
        count(Search {
            bbox: Some([-73.9, 39.0, -73.8, 39.1]),
            ..Search::default()
        }),
        0
    );
    assert_eq!(
        count(Search {
            bbox: Some([-75.0, 41.0, -74.9, 41.1]),
            ..Search::default()
        }),
        11
    );
    // Over the date line.
    assert_eq!(
        count(Search {
            bbox: Some([170.0, 41.0, -74.9, 41.1]),
            ..Search::default()
        }),
        11
    );
    let nested = collection(json!([new_item("a", "2020-01-01T00:00:00Z")]));
    assert_eq!(query("view.off_nadir<4").apply(&nested).unwrap().len(), 1);
}

#[test]
fn options_that_cannot_be_understood_say_what_is_expected() {
    let text = |error: DataError| error.to_string();
    assert!(text(Condition::parse("cloudy").unwrap_err()).contains("eo:cloud_cover<40"));
    assert!(text(Condition::parse("<40").unwrap_err()).contains("expected a property"));
    assert!(text(Interval::parse("2020/2019").unwrap_err()).contains("ends before it begins"));
    assert!(text(Interval::parse("../..").unwrap_err()).contains("at least one end"));
    assert!(text(Interval::parse("spring/2020").unwrap_err()).contains("\"spring\""));
    assert!(text(parse_bbox("1,2,3").unwrap_err()).contains("W,S,E,N"));
    assert!(text(parse_bbox("1,9,3,2").unwrap_err()).contains("south"));
    assert!(text(parse_bbox("500000,9,3,2").unwrap_err()).contains("-180"));
    assert!(text("week".parse::<GroupBy>().unwrap_err()).contains("solar_day"));
}

#[tokio::test]
async fn static_catalogs_are_followed_once() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, document: Value| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, document.to_string()).unwrap();
    };
    let link = |rel: &str, href: &str| json!({"rel": rel, "href": href});
    write(
        "catalog.json",
        json!({"type": "Catalog", "id": "root", "stac_version": "1.0.0", "links": [
            link("self", "https://elsewhere/catalog.json"), link("child", "./north/collection.json"),
            link("child", "./south/collection.json"), link("item", "./single.json"),
        ]}),
    );
    // Links back up must not be walked for ever.
    write(
        "north/collection.json",
        json!({"type": "Collection", "id": "n", "links": [
            link("root", "../catalog.json"), link("parent", "../catalog.json"), link("child", "../catalog.json"),
            link("item", "items/a.json"),
        ]}),
    );
    write(
        "south/collection.json",
        json!({"type": "Collection", "id": "s", "links": [link("item", "items/b.json")]}),
    );
    write("north/items/a.json", new_item("a", "2020-01-03T00:00:00Z"));
    write("south/items/b.json", new_item("b", "2020-01-02T00:00:00Z"));
    write("single.json", new_item("c", "2020-01-01T00:00:00Z"));
    let root = address(folder.path().join("catalog.json"));
    let set = load_items(&Stores::default(), &root).await.unwrap();
    assert_eq!(
        set.items.iter().map(|item| &*item.id).collect::<Vec<_>>(),
        ["c", "b", "a"]
    );
    let north = &set.items[2].assets["visual"].address;
    assert_eq!(*north, address(folder.path().join("north/scenes/v.tif")));

    std::fs::remove_file(folder.path().join("south/items/b.json")).unwrap();
    let error = load_items(&Stores::default(), &root).await.unwrap_err();
    assert!(
        error.to_string().contains("south/items/b.json does not exist"),
        "{error}"
    );
}
