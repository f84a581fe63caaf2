//! GeoTIFFs as the writer makes them, read back.
#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use std::path::Path;

use bytes::Bytes;
use graticule_data::tiff::{
    BandLabel, Decoder, GeoTiffOptions, GeoTiffWriter, Interleave, Predictor, Tiff, TiffError, WriteColors,
    WriteCompression,
};
use graticule_ops::half;
use graticule_plan::DType;
use proptest::prelude::*;

/// Pixels that neither repeat nor compress away.
fn pixels(options: &GeoTiffOptions) -> Vec<u8> {
    let size = options.dtype.size_bytes() as usize;
    let len = options.width as usize * options.height as usize * options.band_count * size;
    let mut state = 12345u32;
    let noise = std::iter::from_fn(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some((state >> 28) as u8)
    });
    noise
        .enumerate()
        .map(|(at, noise)| noise ^ (at / 97) as u8)
        .take(len)
        .collect()
}

/// Writes row of tiles by row of tiles.
fn write(path: &Path, options: &GeoTiffOptions, pixels: &[u8]) {
    let mut writer = GeoTiffWriter::create(path, options.clone()).unwrap();
    let (height, band_count) = (options.height as usize, options.band_count);
    let row_bytes = options.width as usize * options.dtype.size_bytes() as usize;
    for start in (0..height).step_by(options.tile_size as usize) {
        let end = (start + options.tile_size as usize).min(height);
        let mut rows = Vec::new();
        for band in 0..band_count {
            rows.extend(&pixels[(band * height + start) * row_bytes..(band * height + end) * row_bytes]);
        }
        writer.write_tile_row(&rows).unwrap();
    }
    writer.finish().unwrap();
}

fn open(path: &Path) -> (Bytes, Tiff) {
    let source = Bytes::from(std::fs::read(path).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let tiff = runtime.block_on(Tiff::open(&source)).unwrap();
    (source, tiff)
}

fn read(source: &Bytes, tiff: &Tiff) -> Vec<u8> {
    let read = tiff.main().whole().unwrap();
    let mut out = vec![0; read.out_bytes()];
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime
        .block_on(read.read_into(source, &mut Decoder::new(), &mut out))
        .unwrap();
    out
}

/// Whether pixels came back: halves as float32, as GDAL reads them too, all else bit by bit.
fn is_what_was_written(options: &GeoTiffOptions, got: &[u8], pixels: &[u8]) -> bool {
    if options.dtype != DType::Float16 {
        return got == pixels;
    }
    let (got, _) = got.as_chunks::<4>();
    let (halves, _) = pixels.as_chunks::<2>();
    let same = |(got, half): (&[u8; 4], &[u8; 2])| {
        let (got, want) = (f32::from_ne_bytes(*got), half::to_f32(u16::from_ne_bytes(*half)));
        got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan())
    };
    got.len() == halves.len() && got.iter().zip(halves).all(same)
}

fn names_in(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap();
    names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn options() -> impl Strategy<Value = GeoTiffOptions> {
    let compression = prop_oneof![
        Just(WriteCompression::None),
        (1..=12).prop_map(|level| WriteCompression::Deflate { level }),
        (1..=6).prop_map(|level| WriteCompression::Zstd { level }),
    ];
    let shape = (
        1u32..90,
        1u32..90,
        1usize..6,
        prop::sample::select(DType::REAL.to_vec()),
    );
    let flags = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(vec![16, 32, 64]),
    );
    (shape, compression, flags).prop_map(|((width, height, band_count, dtype), compression, flags)| {
        let (predictor, big, apart, tile_size) = flags;
        let interleave = if apart {
            Interleave::Band
        } else {
            Interleave::Pixel
        };
        let plain = GeoTiffOptions::new(width, height, band_count, dtype);
        GeoTiffOptions {
            tile_size,
            compression,
            predictor,
            interleave,
            big,
            ..plain
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn pixels_come_back_from_any_layout(options in options()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tif");
        let pixels = pixels(&options);
        write(&path, &options, &pixels);
        let (source, tiff) = open(&path);
        prop_assert_eq!(tiff.is_big(), options.big);
        prop_assert_eq!(tiff.main().info().band_count, options.band_count);
        prop_assert!(is_what_was_written(&options, &read(&source, &tiff), &pixels));
        // The same again gives the same bytes.
        let again = folder.path().join("b.tif");
        write(&again, &options, &pixels);
        prop_assert!(std::fs::read(&again).unwrap() == source);
    }
}

#[test]
fn metadata_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tif");
    let label = |name: &str| BandLabel {
        description: Some(name.to_owned()),
        ..BandLabel::default()
    };
    let scaled = BandLabel {
        scale: Some(0.0001),
        offset: Some(-0.1),
        unit: Some("1".to_owned()),
        ..label("near <infrared> & \"more\"")
    };
    let options = GeoTiffOptions {
        epsg: Some(32633),
        transform: Some([10.0, 0.0, 600_000.0, 0.0, -10.0, 5_100_000.0]),
        nodata: Some(-32768.0),
        bands: vec![label("red"), label("green"), label("blue"), scaled.clone()],
        colors: WriteColors::Rgb,
        ..GeoTiffOptions::new(300, 20, 4, DType::Int16)
    };
    write(&path, &options, &pixels(&options));
    let (_, tiff) = open(&path);
    let info = tiff.main().info();
    assert_eq!(
        (info.epsg, info.transform, info.nodata),
        (options.epsg, options.transform, options.nodata)
    );
    assert_eq!(info.dtype, Some(DType::Int16));
    assert_eq!(info.predictor, Predictor::Horizontal);
    assert_eq!((info.block_height, info.block_width), (256, 256));
    let colors: Vec<&str> = info.bands.iter().map(|band| band.color.name()).collect();
    assert_eq!(colors, ["red", "green", "blue", "undefined"]);
    assert_eq!(info.bands[0].description.as_deref(), Some("red"));
    assert_eq!(info.bands[3].description, scaled.description);
    assert_eq!((info.bands[3].scale, info.bands[3].offset), (0.0001, -0.1));
    assert_eq!(info.bands[3].unit, scaled.unit);
}

#[test]
fn every_transform_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let north_up = [30.0, 0.0, 1000.5, 0.0, -20.0, 2000.25];
    let south_up = [30.0, 0.0, 1000.5, 0.0, 20.0, 2000.25];
    let rotated = [17.3, 5.0, 100.0, 10.0, -8.66, 200.0];
    for (at, transform) in [north_up, south_up, rotated].into_iter().enumerate() {
        let path = folder.path().join(format!("{at}.tif"));
        let options = GeoTiffOptions {
            transform: Some(transform),
            ..GeoTiffOptions::new(5, 4, 1, DType::UInt8)
        };
        write(&path, &options, &pixels(&options));
        assert_eq!(open(&path).1.main().info().transform, Some(transform));
    }
}

#[test]
fn geographic_and_projected_codes_come_back() {
    let folder = tempfile::tempdir().unwrap();
    for code in [4326, 4258, 3857, 32633, 3035, 2193] {
        let path = folder.path().join(format!("{code}.tif"));
        let options = GeoTiffOptions {
            epsg: Some(code),
            ..GeoTiffOptions::new(5, 4, 1, DType::UInt8)
        };
        write(&path, &options, &pixels(&options));
        assert_eq!(open(&path).1.main().info().epsg, Some(code));
    }
}

#[test]
fn nodata_of_every_sort_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    for (at, nodata) in [f64::NAN, -9999.0, 0.1, -3.4028234663852886e38, 1e20]
        .into_iter()
        .enumerate()
    {
        let path = folder.path().join(format!("{at}.tif"));
        let options = GeoTiffOptions {
            nodata: Some(nodata),
            ..GeoTiffOptions::new(5, 4, 1, DType::Float64)
        };
        write(&path, &options, &pixels(&options));
        let back = open(&path).1.main().info().nodata.unwrap();
        assert!(
            back == nodata || (back.is_nan() && nodata.is_nan()),
            "{back} {nodata}"
        );
    }
}

#[test]
fn file_that_may_pass_4_gib_is_a_bigtiff() {
    let folder = tempfile::tempdir().unwrap();
    let is_big = |width: u32| {
        let path = folder.path().join("a.tif");
        let options = GeoTiffOptions::new(width, 20_000, 1, DType::Float64);
        let writer = GeoTiffWriter::create(&path, options).unwrap();
        let head = names_in(folder.path());
        let bytes = std::fs::read(folder.path().join(&head[0])).unwrap();
        drop(writer);
        bytes[2] == 43
    };
    assert!(!is_big(20_000));
    assert!(is_big(30_000));
}

#[test]
fn blocks_encoded_elsewhere_give_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let options = GeoTiffOptions {
        tile_size: 16,
        ..GeoTiffOptions::new(40, 20, 2, DType::Float32)
    };
    let all = pixels(&options);
    write(&folder.path().join("a.tif"), &options, &all);
    let mut writer = GeoTiffWriter::create(&folder.path().join("b.tif"), options).unwrap();
    let encoder = writer.encoder();
    while let Some(place) = writer.next_block() {
        let (window, band) = (place.window, place.band.unwrap());
        let mut block = Vec::new();
        for row in window.row..window.row + window.height {
            let start = (band * 20 + row as usize) * 40 + window.col as usize;
            block.extend(&all[start * 4..(start + window.width as usize) * 4]);
        }
        let encoded = std::thread::scope(|scope| {
            scope
                .spawn(|| encoder.encode(place.turn, &block))
                .join()
                .unwrap()
                .unwrap()
        });
        writer.write_encoded(place.turn, &encoded).unwrap();
    }
    writer.finish().unwrap();
    let read = |name| std::fs::read(folder.path().join(name)).unwrap();
    assert!(read("a.tif") == read("b.tif"));
}

#[test]
fn unfinished_file_leaves_nothing_and_keeps_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tif");
    std::fs::write(&path, "before").unwrap();
    let options = GeoTiffOptions {
        tile_size: 16,
        ..GeoTiffOptions::new(20, 20, 1, DType::UInt8)
    };
    let mut writer = GeoTiffWriter::create(&path, options.clone()).unwrap();
    writer.write_block(0, &[1; 256]).unwrap();
    drop(writer);
    assert_eq!(names_in(folder.path()), ["a.tif"]);
    let early = GeoTiffWriter::create(&path, options).unwrap();
    let error = early.finish().unwrap_err();
    assert!(
        matches!(
            error,
            TiffError::BlockOrder {
                want: 0,
                block_count: 4,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(names_in(folder.path()), ["a.tif"]);
    assert_eq!(std::fs::read(&path).unwrap(), b"before");
}

#[test]
fn finished_file_replaces_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tif");
    std::fs::write(&path, "before").unwrap();
    let options = GeoTiffOptions::new(20, 20, 1, DType::UInt8);
    write(&path, &options, &pixels(&options));
    assert_eq!(names_in(folder.path()), ["a.tif"]);
    assert_eq!(open(&path).1.main().info().width, 20);
}

#[test]
fn block_out_of_turn_and_wrong_size_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let options = GeoTiffOptions {
        tile_size: 16,
        ..GeoTiffOptions::new(20, 20, 1, DType::UInt8)
    };
    let mut writer = GeoTiffWriter::create(&folder.path().join("a.tif"), options).unwrap();
    let error = writer.write_block(1, &[0; 64]).unwrap_err();
    assert!(
        matches!(error, TiffError::BlockOrder { got: 1, want: 0, .. }),
        "{error}"
    );
    let error = writer.write_block(0, &[0; 255]).unwrap_err();
    assert!(
        matches!(error, TiffError::BufferSize { got: 255, want: 256 }),
        "{error}"
    );
    writer.write_block(0, &[0; 256]).unwrap();
    assert!(matches!(
        writer.write_tile_row(&[0; 320]),
        Err(TiffError::BlockOrder { .. })
    ));
    writer.write_block(1, &[0; 64]).unwrap();
    writer.write_tile_row(&[0; 80]).unwrap();
    assert!(writer.next_block().is_none());
    assert!(matches!(
        writer.write_block(4, &[]),
        Err(TiffError::BlockOrder { .. })
    ));
}

#[test]
fn options_that_make_no_file_are_refused_before_it_is_created() {
    let folder = tempfile::tempdir().unwrap();
    let good = GeoTiffOptions::new(20, 20, 2, DType::UInt8);
    let bad = [
        GeoTiffOptions {
            width: 0,
            ..good.clone()
        },
        GeoTiffOptions {
            band_count: 0,
            ..good.clone()
        },
        GeoTiffOptions {
            tile_size: 100,
            ..good.clone()
        },
        GeoTiffOptions {
            epsg: Some(900_913),
            ..good.clone()
        },
        GeoTiffOptions {
            transform: Some([0.0; 6]),
            ..good.clone()
        },
        GeoTiffOptions {
            compression: WriteCompression::Zstd { level: 99 },
            ..good.clone()
        },
        GeoTiffOptions {
            colors: WriteColors::Rgb,
            ..good.clone()
        },
        GeoTiffOptions {
            bands: vec![BandLabel::default()],
            ..good.clone()
        },
        GeoTiffOptions {
            width: 1 << 30,
            height: 1 << 30,
            tile_size: 16,
            ..good
        },
    ];
    for options in bad {
        let error = GeoTiffWriter::create(&folder.path().join("a.tif"), options.clone()).unwrap_err();
        assert!(
            matches!(
                error,
                TiffError::BadOption { .. } | TiffError::LimitExceeded { .. }
            ),
            "{options:?}: {error}"
        );
    }
    assert!(names_in(folder.path()).is_empty());
}

#[test]
fn directory_that_is_not_there_is_an_error_with_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no/such/a.tif");
    let error = GeoTiffWriter::create(&path, GeoTiffOptions::new(2, 2, 1, DType::UInt8)).unwrap_err();
    assert!(matches!(error, TiffError::Io { .. }), "{error}");
    assert!(error.to_string().contains("no/such/a.tif"), "{error}");
}
