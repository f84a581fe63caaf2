//! Stacks of real items against what odc-stac and NumPy make of them.
#![allow(clippy::unwrap_used)] // Helpers of tests count as code outside of tests.

use crate::support::{items, json, nanmedian, npy, read_stack, sample, sha256};
use graticule_data::{
    DataError, GroupBy, StackDtype, StackOptions,
    stac::{Interval, Search},
    stack,
};
use graticule_plan::DType;

fn utm3000(groupby: GroupBy) -> StackOptions {
    StackOptions {
        resolution: Some([3000.0; 2]),
        groupby,
        dtype: StackDtype::Source,
        ..StackOptions::default()
    }
}

fn share_equal<T: PartialEq>(a: &[T], b: &[T]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / a.len() as f64
}

#[tokio::test]
async fn landsat_by_solar_day_is_what_odc_stac_loads() {
    let set = items("landsat8-ny").await;
    let cube = stack(&set.items, &["red", "qa"], &utm3000(GroupBy::SolarDay)).unwrap();
    assert_eq!(cube.grid.shape(), [17, 2, 133, 123]);
    assert_eq!(cube.transform, [3000.0, 0.0, 390000.0, 0.0, -3000.0, 4743000.0]);
    assert_eq!((cube.dtype, cube.epsg), (DType::UInt16, Some(32618)));
    assert_eq!(cube.bands.iter().map(|b| b.fill).collect::<Vec<_>>(), [0.0, 1.0]);
    let expected = json(sample("landsat8-ny/expected/expected.json"));
    let times: Vec<String> = cube.times.iter().map(|t| t.to_string()).collect();
    let want = expected["solar_day"]["grid"]["times"].as_array().unwrap();
    let want: Vec<String> = want
        .iter()
        .map(|t| t.as_str().unwrap().replace(".000000", "Z"))
        .collect();
    assert_eq!(times, want);

    let pixels: Vec<u16> = read_stack(&cube).await;
    for (band, name) in ["red", "qa"].into_iter().enumerate() {
        let (shape, want) = npy::<u16>(sample(&format!("landsat8-ny/expected/solar_day_{name}.npy")));
        assert_eq!(shape, [17, 133, 123]);
        let plane = 133 * 123;
        let got: Vec<u16> = (0..17)
            .flat_map(|t| pixels[(t * 2 + band) * plane..][..plane].to_vec())
            .collect();
        let share = share_equal(&got, &want);
        println!("{name}: {:.4} % equal", share * 100.0);
        assert!(
            share >= 0.9999,
            "{name}: only {:.3} % of the pixels are equal",
            share * 100.0
        );
    }
}

#[tokio::test]
async fn landsat_by_time_and_by_id_is_what_odc_stac_loads() {
    let set = items("landsat8-ny").await;
    let expected = json(sample("landsat8-ny/expected/expected.json"));
    for (groupby, name) in [
        (GroupBy::Time, "time"),
        (GroupBy::Id, "id"),
        (GroupBy::SolarDay, "solar_day"),
    ] {
        for band in ["red", "blue", "qa"] {
            let cube = stack(&set.items, &[band], &utm3000(groupby)).unwrap();
            let pixels: Vec<u16> = read_stack(&cube).await;
            let want = &expected[name][band];
            assert_eq!(cube.grid.shape()[0], want["shape"][0].as_u64().unwrap());
            let sum: f64 = pixels.iter().map(|&v| f64::from(v)).sum();
            println!("{name} {band}: sum {sum} of {}", want["sum"]);
            assert_eq!(sha256(&pixels), want["sha256"].as_str().unwrap(), "{name} {band}");
        }
    }
}

#[tokio::test]
async fn the_cloud_free_median_of_landsat_is_odc_stacs() {
    let set = items("landsat8-ny").await;
    let cube = stack(&set.items, &["red", "qa"], &utm3000(GroupBy::SolarDay)).unwrap();
    let pixels: Vec<u16> = read_stack(&cube).await;
    let plane = 133 * 123;
    let clear = |t: usize| {
        let (red, qa) = (
            &pixels[t * 2 * plane..][..plane],
            &pixels[(t * 2 + 1) * plane..][..plane],
        );
        let clear = |(&red, &qa): (&u16, &u16)| {
            if red == 0 || qa & 0b1_0001 != 0 {
                f64::NAN
            } else {
                f64::from(red)
            }
        };
        red.iter().zip(qa).map(clear).collect::<Vec<f64>>()
    };
    let median = nanmedian(&(0..17).map(clear).collect::<Vec<_>>());
    let (_, want) = npy::<f64>(sample("landsat8-ny/expected/solar_day_median_red.npy"));
    let bits = |values: &[f64]| {
        values
            .iter()
            .map(|v| if v.is_nan() { None } else { Some(v.to_bits()) })
            .collect::<Vec<_>>()
    };
    assert_eq!(bits(&median), bits(&want));
}

#[tokio::test]
async fn one_grid_is_read_to_the_pixel() {
    let set = items("s2-slovenia").await;
    let cube = stack(&set.items, &["ndvi"], &StackOptions::default()).unwrap();
    assert!(cube.report.is_one_grid);
    assert_eq!(cube.grid.shape(), [32, 1, 101, 100]);
    assert_eq!(cube.dtype, DType::Float32);
    let ndvi: Vec<f32> = read_stack(&cube).await;
    let planes: Vec<Vec<f64>> = ndvi
        .chunks(101 * 100)
        .map(|p| p.iter().map(|&v| v.into()).collect())
        .collect();
    let expected = json(sample("s2-slovenia/expected/expected.json"));
    assert_eq!(
        sha256(&nanmedian(&planes)),
        expected["raw_median"]["sha256"].as_str().unwrap()
    );

    let masks = stack(
        &set.items,
        &["cloud_mask"],
        &StackOptions {
            dtype: StackDtype::Source,
            ..Default::default()
        },
    );
    let masks = masks.unwrap();
    assert_eq!(masks.dtype, DType::UInt8);
    let mask: Vec<u8> = read_stack(&masks).await;
    let clear = |t: usize| {
        let pixels = planes[t].iter().zip(&mask[t * 10100..]);
        pixels
            .map(|(&v, &m)| if m == 1 { f64::NAN } else { v })
            .collect::<Vec<f64>>()
    };
    let median = nanmedian(&(0..32).map(clear).collect::<Vec<_>>());
    assert_eq!(
        sha256(&median),
        expected["masked_median"]["sha256"].as_str().unwrap()
    );
}

#[tokio::test]
async fn a_box_of_one_grid_is_a_part_of_it_and_tiles_do_not_matter() {
    let set = items("s2-slovenia").await;
    let search = Search {
        datetime: Some(Interval::parse("2015-07/2015-08").unwrap()),
        ..Search::default()
    };
    let some = search.apply(&set).unwrap();
    let whole = stack(&some, &["ndvi"], &StackOptions::default()).unwrap();
    let all: Vec<f32> = read_stack(&whole).await;
    let [a, _, c, _, e, f] = whole.transform;
    let bounds = [c + 10.2 * a, f + 60.0 * e, c + 40.0 * a, f + 20.7 * e];
    let options = StackOptions {
        bounds: Some(bounds),
        chunks: Some([2, 1, 7, 11]),
        ..StackOptions::default()
    };
    let cut = stack(&some, &["ndvi"], &options).unwrap();
    assert_eq!(cut.grid.shape(), [4, 1, 40, 30]);
    let part: Vec<f32> = read_stack(&cut).await;
    for (position, value) in part.iter().enumerate() {
        let (t, row, col) = (position / 1200, position / 30 % 40 + 20, position % 30 + 10);
        assert_eq!(
            value.to_bits(),
            all[(t * 101 + row) * 100 + col].to_bits(),
            "{t} {row} {col}"
        );
    }
}

#[tokio::test]
async fn lonlat_boxes_are_brought_to_the_items_system() {
    let set = items("landsat8-ny").await;
    let options = StackOptions {
        bbox: Some([-74.5, 40.4, -73.5, 41.1]),
        ..utm3000(GroupBy::SolarDay)
    };
    let cube = stack(&set.items, &["red"], &options).unwrap();
    // As odc.stac.load lays it out for the same arguments.
    assert_eq!(cube.transform, [3000.0, 0.0, 540000.0, 0.0, -3000.0, 4551000.0]);
    assert_eq!(cube.grid.shape()[2..], [27, 30]);
    let elsewhere = StackOptions {
        bbox: Some([10.0, 40.0, 11.0, 41.0]),
        ..utm3000(GroupBy::SolarDay)
    };
    assert!(matches!(
        stack(&set.items, &["red"], &elsewhere),
        Err(DataError::Disjoint { .. })
    ));
}

#[tokio::test]
async fn without_a_resolution_the_most_common_one_is_taken() {
    let set = items("landsat8-ny").await;
    let cube = stack(&set.items, &["red"], &StackOptions::default()).unwrap();
    // As odc.stac.load lays it out for the same items.
    assert_eq!(cube.grid.shape()[2..], [131, 122]);
    let want = [
        3024.0789473684213,
        0.0,
        390106.18421052635,
        0.0,
        -3031.5584415584412,
        4741357.402597402,
    ];
    assert!(
        cube.transform.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6),
        "{:?}",
        cube.transform
    );
}

#[tokio::test]
async fn other_resolutions_read_the_overviews_that_odc_stac_reads() {
    let set = items("landsat8-ny").await;
    let expected = json(sample("landsat8-ny/expected/expected.json"));
    for (resolution, want) in expected["resolutions"]["of"].as_object().unwrap() {
        let size: f64 = resolution.parse().unwrap();
        let options = StackOptions {
            resolution: Some([size; 2]),
            ..utm3000(GroupBy::SolarDay)
        };
        for band in ["red", "qa"] {
            let cube = stack(&set.items, &[band], &options).unwrap();
            let transform: Vec<f64> = cube.transform.to_vec();
            assert_eq!(serde_json::json!(transform), want["transform"], "{resolution}");
            let pixels: Vec<u16> = read_stack(&cube).await;
            assert_eq!(
                sha256(&pixels),
                want[band].as_str().unwrap(),
                "{band} at {resolution} m"
            );
        }
    }
}
