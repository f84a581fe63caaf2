//! Raster stacks read in parts, with steps, scaled, and from files that overlap.
#![allow(clippy::unwrap_used)] // Helpers of tests count as code outside of tests.

use std::{ops::Range, path::Path};

use crate::support::{decode, items, program, read_all};
use graticule_data::tiff::{GeoTiffOptions, GeoTiffWriter};
use graticule_data::{Sources, Stack, StackOptions, stac::Item, stack};
use graticule_ops::ArraySource;
use graticule_ops::{AxisSelection, Grid, OnError, RasterAsset, RasterStack, Resampling};
use graticule_plan::{ChunkGrid, DType};
use proptest::prelude::*;

async fn sentinel() -> (Stack, Vec<Item>) {
    let items: Vec<Item> = items("s2-slovenia").await.items.into_iter().take(3).collect();
    (
        stack(&items, &["ndvi", "cloud_mask"], &StackOptions::default()).unwrap(),
        items,
    )
}

fn selection(len: u64) -> impl Strategy<Value = AxisSelection> {
    (0..len, prop::sample::select(vec![-7i64, -2, -1, 1, 2, 5]), 0..len).prop_map(
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
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_selection_in_any_blocks_is_numpys(
        selections in (selection(3), selection(2), selection(101), selection(100)),
        blocks in (1u64..4, 1u64..3, 1u64..120, 1u64..120),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (cube, _) = sentinel().await;
            let sources = Sources::default();
            let whole = ChunkGrid::whole(&cube.grid.shape()).unwrap();
            let all: Vec<f32> = read_all(&sources, &cube.source, cube.dtype, &whole, None).await.unwrap();
            let (t, b, y, x) = selections;
            let grid = ChunkGrid::regular(&[t.len, b.len, y.len, x.len], &[blocks.0, blocks.1, blocks.2, blocks.3]);
            let picked = Some(vec![t, b, y, x]);
            let got: Vec<f32> = read_all(&sources, &cube.source, cube.dtype, &grid.unwrap(), picked).await.unwrap();
            let mut want = Vec::new();
            for i in 0..t.len {
                for j in 0..b.len {
                    for k in 0..y.len {
                        let row = ((t.element(i) * 2 + b.element(j)) * 101 + y.element(k)) * 100;
                        want.extend((0..x.len).map(|l| all[(row + x.element(l)) as usize].to_bits()));
                    }
                }
            }
            prop_assert_eq!(got.into_iter().map(f32::to_bits).collect::<Vec<_>>(), want);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_part_of_what_was_fetched_can_be_decoded_and_nothing_beyond() {
    let (cube, _) = sentinel().await;
    let grid = ChunkGrid::regular(&cube.grid.shape(), &[3, 2, 60, 100]).unwrap();
    let (program, tables) = program(&cube.source, cube.dtype, &grid, None);
    let fetched = Sources::default()
        .fetch(&program, &[0, 0, 1, 0], &tables)
        .await
        .unwrap();
    assert!(fetched.nbytes() > 0);
    let whole = decode(&fetched, &program, &[0..3, 0..2, 60..101, 0..100]).unwrap();
    let part = decode(&fetched, &program, &[2..3, 1..2, 70..80, 5..9]).unwrap();
    assert_eq!(part, whole.region(&[2..3, 1..2, 10..20, 5..9]).unwrap());
    let error = decode(&fetched, &program, &[0..3, 0..2, 59..101, 0..100]).unwrap_err();
    assert!(error.to_string().contains("does not lie in"), "{error}");
}

/// Writes a file of 4 x 4 pixels of one unit each with its upper left corner at (west, 4).
fn write(path: &Path, west: f64, pixels: &[i16; 16], nodata: Option<f64>) {
    let mut options = GeoTiffOptions::new(4, 4, 1, DType::Int16);
    options.transform = Some([1.0, 0.0, west, 0.0, -1.0, 4.0]);
    options.nodata = nodata;
    let mut writer = GeoTiffWriter::create(path, options).unwrap();
    let bytes: Vec<u8> = pixels.iter().flat_map(|v| v.to_ne_bytes()).collect();
    writer.write_tile_row(&bytes).unwrap();
    writer.finish().unwrap();
}

fn asset(path: &Path, west: f64) -> RasterAsset {
    RasterAsset {
        href: format!("file://{}", path.display()),
        item: path.file_stem().unwrap().to_string_lossy().into_owned(),
        asset: "a".to_owned(),
        band: 0,
        grid: Grid {
            transform: [1.0, 0.0, west, 0.0, -1.0, 4.0],
            height: 4,
            width: 4,
            epsg: None,
        },
        nodata: None,
        scale: 1.0,
        offset: 0.0,
    }
}

fn slot(assets: Vec<RasterAsset>, west: f64, width: u64, fill: f64) -> ArraySource {
    let grid = Grid {
        transform: [1.0, 0.0, west, 0.0, -1.0, 4.0],
        height: 4,
        width,
        epsg: None,
    };
    ArraySource::Raster(RasterStack {
        grid,
        band_count: 1,
        slots: vec![assets],
        fill: vec![fill],
        resampling: Resampling::Nearest,
        on_error: OnError::Raise,
    })
}

async fn row<T: graticule_kernel::Element + Copy>(
    source: &ArraySource,
    dtype: DType,
    width: u64,
    cols: Range<usize>,
) -> Vec<T> {
    let grid = ChunkGrid::regular(&[1, 1, 4, width], &[1, 1, 4, 5]).unwrap();
    let all: Vec<T> = read_all(&Sources::default(), source, dtype, &grid, None)
        .await
        .unwrap();
    all[cols].to_vec()
}

#[tokio::test]
async fn the_first_valid_pixel_wins_and_the_rest_is_filled() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one.tif"), folder.path().join("two.tif"));
    write(
        &one,
        0.0,
        &std::array::from_fn(|i| if i == 3 { -1 } else { i as i16 }),
        Some(-1.0),
    );
    write(
        &two,
        2.0,
        &std::array::from_fn(|i| if i == 2 { -1 } else { 100 + i as i16 }),
        Some(-1.0),
    );
    let (first, second) = (asset(&one, 0.0), asset(&two, 2.0));
    let both = slot(vec![first.clone(), second.clone()], -1.0, 8, -9.0);
    // Columns -1 to 6: nothing, 0 1 2 of one, its nodata from two, 102 is two's nodata, 103, nothing.
    assert_eq!(
        row::<i16>(&both, DType::Int16, 8, 0..8).await,
        [-9, 0, 1, 2, 101, -9, 103, -9]
    );
    let turned = slot(vec![second, first], -1.0, 8, -9.0);
    assert_eq!(
        row::<i16>(&turned, DType::Int16, 8, 0..8).await,
        [-9, 0, 1, 100, 101, -9, 103, -9]
    );
}

#[tokio::test]
async fn read_as_bool_a_raster_tells_which_pixels_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one.tif"), folder.path().join("two.tif"));
    let pixels = std::array::from_fn(|i| if i == 3 { -1 } else { i as i16 });
    write(&one, 0.0, &pixels, Some(-1.0));
    write(
        &two,
        2.0,
        &std::array::from_fn(|i| if i == 2 { -1 } else { 100 + i as i16 }),
        Some(-1.0),
    );
    let (first, second) = (asset(&one, 0.0), asset(&two, 2.0));
    // A valid pixel of the fill's value, 0, stays valid.
    let alone = slot(vec![first.clone()], 0.0, 4, 0.0);
    assert_eq!(
        row::<bool>(&alone, DType::Bool, 4, 0..4).await,
        [true, true, true, false]
    );
    let scaled = RasterAsset {
        scale: 0.5,
        ..first.clone()
    };
    let scaled = slot(vec![scaled], 0.0, 4, 0.0);
    assert_eq!(
        row::<bool>(&scaled, DType::Bool, 4, 0..4).await,
        [true, true, true, false]
    );
    let both = slot(vec![first, second], -1.0, 8, -1.0);
    assert_eq!(
        row::<bool>(&both, DType::Bool, 8, 0..8).await,
        [false, true, true, true, true, false, true, false]
    );
}

#[tokio::test]
async fn scale_and_offset_are_applied_before_pixels_are_fused_and_nodata_is_nan() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one.tif"), folder.path().join("two.tif"));
    write(&one, 0.0, &std::array::from_fn(|i| i as i16), Some(2.0));
    write(&two, 0.0, &std::array::from_fn(|i| i as i16), None);
    let scaled = RasterAsset {
        scale: 0.5,
        offset: -1.0,
        ..asset(&one, 0.0)
    };
    let fused = slot(vec![scaled.clone(), asset(&two, 0.0)], 0.0, 4, f64::NAN);
    assert_eq!(
        row::<f32>(&fused, DType::Float32, 4, 0..4).await,
        [-1.0, -0.5, 2.0, 0.5]
    );
    let alone = slot(vec![scaled.clone()], 0.0, 4, f64::NAN);
    let pixels = row::<f64>(&alone, DType::Float64, 4, 0..4).await;
    assert!(pixels[2].is_nan() && pixels[3] == 0.5);
    // What the item says goes before what the file says.
    let other = RasterAsset {
        nodata: Some(3.0),
        ..scaled
    };
    let pixels = row::<f64>(&slot(vec![other], 0.0, 4, f64::NAN), DType::Float64, 4, 0..4).await;
    assert!(pixels[3].is_nan() && pixels[2] == 0.0);
}

#[tokio::test]
async fn files_beside_the_block_are_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("one.tif");
    write(&one, 0.0, &std::array::from_fn(|i| i as i16), None);
    let away = asset(&folder.path().join("none.tif"), 500.0);
    let both = slot(vec![away, asset(&one, 0.0)], 0.0, 4, -9.0);
    assert_eq!(row::<i16>(&both, DType::Int16, 4, 0..4).await, [0, 1, 2, 3]);
}

#[tokio::test]
async fn bands_of_one_file_are_fetched_once_and_overlapping_files_keep_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bands.tif");
    let mut options = GeoTiffOptions::new(4, 4, 3, DType::Int16);
    options.transform = Some([1.0, 0.0, 0.0, 0.0, -1.0, 4.0]);
    options.interleave = graticule_data::tiff::Interleave::Pixel;
    let mut writer = GeoTiffWriter::create(&path, options).unwrap();
    let bytes: Vec<u8> = (0..48i16).flat_map(|v| v.to_ne_bytes()).collect();
    writer.write_tile_row(&bytes).unwrap();
    writer.finish().unwrap();
    let file_bytes = std::fs::metadata(&path).unwrap().len();

    let front = folder.path().join("front.tif");
    write(&front, 2.0, &[-5; 16], None);
    let band = |band: u32| RasterAsset {
        band,
        ..asset(&path, 0.0)
    };
    let ArraySource::Raster(mut stack) = slot(vec![], 0.0, 4, -9.0) else {
        unreachable!()
    };
    // The first band lies behind another file, the last two do not.
    stack.slots = vec![vec![asset(&front, 2.0), band(0)], vec![band(2)], vec![band(1)]];
    (stack.band_count, stack.fill) = (3, vec![-9.0; 3]);
    let grid = ChunkGrid::whole(&[1, 3, 4, 4]).unwrap();
    let (program, tables) = program(&ArraySource::Raster(stack), DType::Int16, &grid, None);
    let fetched = Sources::default()
        .fetch(&program, &[0; 4], &tables)
        .await
        .unwrap();
    assert!(
        fetched.nbytes() < 2 * file_bytes,
        "{} of {file_bytes}",
        fetched.nbytes()
    );
    let tensor = decode(&fetched, &program, &grid.extents(0)).unwrap();
    let planes: Vec<&[i16]> = tensor.as_slice::<i16>().unwrap().chunks(16).collect();
    assert_eq!(planes[0][..8], [0, 1, -5, -5, 4, 5, -5, -5]);
    assert_eq!((planes[1][0], planes[1][15]), (32, 47));
    assert_eq!((planes[2][0], planes[2][15]), (16, 31));
}
