//! TIFFs as another writer made them, compared with what another reader found in them.
#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;

use bytes::Bytes;
use graticule_data::tiff::{
    ByteOrder, Compression, Decoder, Image, ImageRole, Interleave, RangeSource, ReadFuture, Tiff, TiffError,
    Window, WindowRead,
};
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiff")
}

fn fixture(name: &str) -> Bytes {
    Bytes::from(std::fs::read(folder().join(name)).unwrap())
}

fn expected() -> serde_json::Map<String, Value> {
    let text = std::fs::read(folder().join("expected.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// The names of the fixtures that can be decoded.
fn decodable() -> Vec<String> {
    expected()
        .into_iter()
        .filter(|(_, want)| want["refused"].is_null())
        .map(|(name, _)| name)
        .collect()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn open(source: &Bytes) -> Tiff {
    block_on(Tiff::open(source)).unwrap()
}

fn decode(source: &Bytes, read: &WindowRead) -> Result<Vec<u8>, TiffError> {
    let mut out = vec![0xa5; read.out_bytes()];
    block_on(read.read_into(source, &mut Decoder::new(), &mut out))?;
    Ok(out)
}

fn sha256(read: &WindowRead, mut pixels: Vec<u8>) -> String {
    if cfg!(target_endian = "big") {
        pixels
            .chunks_exact_mut(read.dtype().size_bytes() as usize)
            .for_each(|number| number.reverse());
    }
    Sha256::digest(&pixels)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn digest(source: &Bytes, read: &WindowRead) -> String {
    sha256(read, decode(source, read).unwrap())
}

fn whole_window(image: &Image) -> Window {
    Window {
        row: 0,
        col: 0,
        height: image.info().height,
        width: image.info().width,
    }
}

#[test]
fn metadata_is_what_the_other_reader_found() {
    for (name, want) in expected() {
        let tiff = open(&fixture(&name));
        let info = tiff.main().info();
        assert_eq!(want["width"], info.width, "{name}");
        assert_eq!(want["height"], info.height, "{name}");
        assert_eq!(want["count"], info.band_count, "{name}");
        assert_eq!(want["epsg"], Value::from(info.epsg), "{name}");
        assert_eq!(want["overview_count"], tiff.overviews().len(), "{name}");
        if let Some(dtype) = info.dtype {
            assert_eq!(want["dtype"], dtype.name(), "{name}");
        }
        if !want["block"].is_null() {
            assert_eq!(
                want["block"],
                Value::from(vec![info.block_height, info.block_width]),
                "{name}"
            );
        }
        let transform = info.transform.unwrap_or([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        for (got, want) in transform.iter().zip(want["transform"].as_array().unwrap()) {
            assert!(
                (got - want.as_f64().unwrap()).abs() < 1e-9,
                "{name}: {transform:?}"
            );
        }
        let nodata = info.nodata.map(|value| format!("{value:?}").to_lowercase());
        assert_eq!(want["nodata"], Value::from(nodata), "{name}");
    }
}

#[test]
fn bands_are_described_as_the_other_reader_found() {
    for (name, want) in expected() {
        let tiff = open(&fixture(&name));
        let bands = &tiff.main().info().bands;
        let all = |value: fn(&graticule_data::tiff::BandInfo) -> Value| {
            Value::Array(bands.iter().map(value).collect())
        };
        assert_eq!(want["scales"], all(|band| band.scale.into()), "{name}");
        assert_eq!(want["offsets"], all(|band| band.offset.into()), "{name}");
        assert_eq!(
            want["descriptions"],
            all(|band| band.description.clone().into()),
            "{name}"
        );
        assert_eq!(want["units"], all(|band| band.unit.clone().into()), "{name}");
        // The other reader gives an image of one bit a palette of its own.
        let colors = if name == "u1_none.tif" {
            Value::from(vec!["gray"])
        } else {
            want["colors"].clone()
        };
        assert_eq!(colors, all(|band| band.color.name().into()), "{name}");
    }
}

#[test]
fn every_band_and_window_decodes_exactly() {
    for (name, want) in expected() {
        if !want["refused"].is_null() {
            continue;
        }
        let source = fixture(&name);
        let tiff = open(&source);
        let main = tiff.main();
        for (band, want) in want["bands"].as_array().unwrap().iter().enumerate() {
            let read = main.window(whole_window(main), &[band]).unwrap();
            assert_eq!(*want, digest(&source, &read), "{name}, band {band}");
        }
        let bands: Vec<usize> = (0..main.info().band_count).collect();
        for want in want["windows"].as_array().unwrap() {
            let number = |at: usize| want[at].as_u64().unwrap() as u32;
            let window = Window {
                row: number(0),
                col: number(1),
                height: number(2),
                width: number(3),
            };
            let read = main.window(window, &bands).unwrap();
            assert_eq!(want[4], digest(&source, &read), "{name}, {window:?}");
        }
        for (level, overview) in tiff.overviews().enumerate() {
            let read = overview.whole().unwrap();
            assert_eq!(
                want["overviews"][level],
                digest(&source, &read),
                "{name}, overview {level}"
            );
        }
    }
}

#[test]
fn mask_beside_the_pixels_is_found_and_decodes() {
    let source = fixture("rgb_mask.tif");
    let tiff = open(&source);
    let mask = tiff.mask().unwrap();
    assert_eq!(mask.info().role, ImageRole::Mask);
    assert_eq!(
        expected()["rgb_mask.tif"]["mask"],
        digest(&source, &mask.whole().unwrap())
    );
    assert!(open(&fixture("rgba_alpha.tif")).mask().is_none());
}

#[test]
fn what_cannot_be_decoded_is_refused_by_name() {
    for (name, want) in expected() {
        let Some(refused) = want["refused"].as_str() else {
            continue;
        };
        let tiff = open(&fixture(&name));
        let error = tiff.main().window(whole_window(tiff.main()), &[0]).unwrap_err();
        let TiffError::Unsupported { what } = error else {
            panic!("{name}: {error}")
        };
        assert!(what.to_uppercase().contains(refused), "{name}: {what}");
    }
}

#[test]
fn compression_on_top_of_lerc_is_told_and_refused_by_name_if_unknown() {
    let compression = |name: &str| open(&fixture(name)).main().info().compression;
    assert_eq!(compression("lerc_u16.tif"), Compression::Lerc);
    assert_eq!(compression("lerc_i16_deflate.tif"), Compression::LercDeflate);
    assert_eq!(compression("lerc_f32_zstd.tif"), Compression::LercZstd);
    assert_eq!(compression("webp_rgb.tif"), Compression::WebP);

    let mut bytes = fixture("lerc_u16.tif").to_vec();
    // LercParameters: two LONGs elsewhere, a version and the compression on top.
    let entry = [0xf2, 0xc5, 4, 0, 2, 0, 0, 0];
    let at = bytes.windows(8).position(|window| window == entry).unwrap() + 8;
    let place = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    bytes[place + 4] = 9;
    let tiff = open(&Bytes::from(bytes));
    let error = tiff.main().check_decodable().unwrap_err();
    assert!(error.to_string().contains("LERC and unknown"), "{error}");
}

#[test]
fn structure_of_each_kind_is_exposed() {
    let big = open(&fixture("u16_bigtiff_big_endian.tif"));
    assert!(big.is_big());
    assert_eq!(big.byte_order(), ByteOrder::Big);
    let apart = open(&fixture("u16_band_interleave.tif"));
    assert!(!apart.is_big());
    assert_eq!(apart.main().info().interleave, Interleave::Band);
    assert_eq!(apart.main().block_count(), 3 * 3 * 2);
    let point = open(&fixture("point.tif"));
    assert!(point.main().info().geo_keys.is_pixel_point());
    let strips = open(&fixture("u16_none_strips.tif"));
    assert!(!strips.main().info().tiled);
    assert_eq!(strips.main().info().block_height, 11);
}

#[test]
fn overview_has_the_main_images_place_and_nodata() {
    let tiff = open(&fixture("cog_u16_deflate.tif"));
    let main = tiff.main().info().transform.unwrap();
    for overview in tiff.overviews() {
        let info = overview.info();
        let transform = info.transform.unwrap();
        let edge = |t: [f64; 6], width: u32| t[2] + t[0] * f64::from(width);
        assert!((edge(transform, info.width) - edge(main, tiff.main().info().width)).abs() < 1e-6);
        assert_eq!(info.nodata, Some(0.0));
        assert_eq!(info.epsg, Some(3857));
    }
}

#[test]
fn sparse_block_has_no_range_and_reads_as_nodata() {
    let source = fixture("u16_sparse.tif");
    let tiff = open(&source);
    let read = tiff.main().whole().unwrap();
    let sparse = read.blocks().iter().filter(|block| block.range.is_none()).count();
    assert_eq!((read.blocks().len(), sparse), (6, 5));
    let pixels = decode(&source, &read).unwrap();
    assert_eq!(pixels[pixels.len() - 2..], 65535u16.to_ne_bytes());
}

#[test]
fn window_of_an_uncompressed_image_fetches_only_its_rows() {
    let tiff = open(&fixture("u16_none_strips.tif"));
    let read = tiff
        .main()
        .window(
            Window {
                row: 2,
                col: 0,
                height: 3,
                width: 70,
            },
            &[0],
        )
        .unwrap();
    assert_eq!(read.fetch_bytes(), 3 * 70 * 2);
    let read = tiff
        .main()
        .window(
            Window {
                row: 10,
                col: 5,
                height: 2,
                width: 1,
            },
            &[0],
        )
        .unwrap();
    assert_eq!(read.blocks().len(), 2);
    assert_eq!(read.fetch_bytes(), 2 * 70 * 2);
}

#[test]
fn bands_come_in_the_order_asked_for_even_twice() {
    for name in ["u16_pixel_interleave.tif", "u16_band_interleave.tif"] {
        let source = fixture(name);
        let tiff = open(&source);
        let main = tiff.main();
        let window = Window {
            row: 5,
            col: 9,
            height: 30,
            width: 40,
        };
        let one = |band: usize| decode(&source, &main.window(window, &[band]).unwrap()).unwrap();
        let several = decode(&source, &main.window(window, &[2, 0, 2]).unwrap()).unwrap();
        assert_eq!(several, [one(2), one(0), one(2)].concat(), "{name}");
    }
}

#[test]
fn blocks_decode_in_any_order() {
    let source = fixture("u16_band_interleave.tif");
    let tiff = open(&source);
    let read = tiff.main().whole().unwrap();
    let mut out = vec![0; read.out_bytes()];
    let mut decoder = Decoder::new();
    for (index, block) in read.blocks().iter().enumerate().rev() {
        let range = block.range.clone().unwrap();
        let encoded = source.slice(range.start as usize..range.end as usize);
        read.decode_block(&mut decoder, index, &encoded, &mut out)
            .unwrap();
    }
    assert_eq!(out, decode(&source, &read).unwrap());
}

#[test]
fn window_outside_the_image_and_unknown_band_are_errors() {
    let tiff = open(&fixture("u16_deflate.tif"));
    let outside = Window {
        row: 50,
        col: 0,
        height: 5,
        width: 1,
    };
    assert!(matches!(
        tiff.main().window(outside, &[0]),
        Err(TiffError::WindowOutside { row: 50, .. })
    ));
    let far = Window {
        row: u32::MAX,
        col: 0,
        height: u32::MAX,
        width: 1,
    };
    assert!(matches!(
        tiff.main().window(far, &[0]),
        Err(TiffError::WindowOutside { .. })
    ));
    let inside = Window {
        row: 0,
        col: 0,
        height: 1,
        width: 1,
    };
    let error = tiff.main().window(inside, &[0, 1]).unwrap_err();
    assert!(matches!(
        error,
        TiffError::BandOutside {
            band: 1,
            band_count: 1
        }
    ));
    let read = tiff.main().window(inside, &[0]).unwrap();
    let error = read
        .decode_block(&mut Decoder::new(), 0, &[], &mut [0; 3])
        .unwrap_err();
    assert!(matches!(error, TiffError::BufferSize { got: 3, want: 2 }));
}

#[test]
fn empty_window_needs_no_blocks() {
    let source = fixture("u16_deflate.tif");
    let tiff = open(&source);
    let read = tiff
        .main()
        .window(
            Window {
                row: 54,
                col: 0,
                height: 0,
                width: 70,
            },
            &[0],
        )
        .unwrap();
    assert!(read.blocks().is_empty());
    assert!(decode(&source, &read).unwrap().is_empty());
}

/// A source that notes what was asked of it.
struct Noted {
    bytes: Bytes,
    ranges: Mutex<Vec<Range<u64>>>,
}

impl RangeSource for Noted {
    fn read(&self, range: Range<u64>) -> ReadFuture<'_> {
        self.ranges.lock().unwrap().push(range.clone());
        self.bytes.read(range)
    }
}

#[test]
fn cog_opens_with_one_request() {
    let source = Noted {
        bytes: fixture("cog_u16_deflate.tif"),
        ranges: Mutex::default(),
    };
    block_on(Tiff::open(&source)).unwrap();
    let ranges = source.ranges.lock().unwrap();
    assert_eq!((ranges.len(), ranges[0].clone()), (1, 0..32 * 1024));
}

#[test]
fn header_read_in_small_pieces_is_the_same() {
    for name in decodable() {
        let bytes = fixture(&name);
        let at_once = open(&bytes);
        let source = Noted {
            bytes,
            ranges: Mutex::default(),
        };
        let in_pieces = block_on(Tiff::open_with(&source, 1)).unwrap();
        // Compared as text, because NaN is not equal to itself.
        let text =
            |tiff: &Tiff| -> Vec<String> { tiff.images().iter().map(|image| format!("{image:?}")).collect() };
        assert_eq!(text(&at_once), text(&in_pieces), "{name}");
    }
}

#[test]
fn failure_of_the_source_is_passed_on() {
    struct Failing;
    impl RangeSource for Failing {
        fn read(&self, _: Range<u64>) -> ReadFuture<'_> {
            Box::pin(std::future::ready(Err("connection reset".into())))
        }
    }
    let error = block_on(Tiff::open(&Failing)).unwrap_err();
    assert!(error.is_source());
    assert!(error.to_string().contains("connection reset"), "{error}");
}

/// Where tag `tag` stands in the first directory of a little-endian classic TIFF.
fn entry_of(bytes: &[u8], tag: u16) -> usize {
    let first = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
    let count = usize::from(u16::from_le_bytes(bytes[first..first + 2].try_into().unwrap()));
    let entries = (0..count).map(|index| first + 2 + index * 12);
    entries
        .into_iter()
        .find(|at| bytes[*at..*at + 2] == tag.to_le_bytes())
        .unwrap()
}

#[test]
fn older_deflate_code_is_the_same_compression() {
    let source = fixture("u16_deflate.tif");
    let mut older = source.to_vec();
    let at = entry_of(&older, 259);
    older[at + 8..at + 10].copy_from_slice(&32946u16.to_le_bytes());
    let older = Bytes::from(older);
    let pixels = |source: &Bytes| decode(source, &open(source).main().whole().unwrap()).unwrap();
    assert_eq!(pixels(&older), pixels(&source));
}

#[test]
fn reversed_bits_are_turned_round() {
    for name in ["u16_none.tif", "u16_lzw.tif", "u16_packbits.tif"] {
        let source = fixture(name);
        let tiff = open(&source);
        let read = tiff.main().whole().unwrap();
        let mut reversed = source.to_vec();
        for block in read.blocks() {
            let range = block.range.clone().unwrap();
            for byte in &mut reversed[range.start as usize..range.end as usize] {
                *byte = byte.reverse_bits();
            }
        }
        // The sample format's entry, which says what is the default, makes room for the fill order.
        let at = entry_of(&reversed, 339);
        reversed[at..at + 2].copy_from_slice(&266u16.to_le_bytes());
        reversed[at + 8..at + 10].copy_from_slice(&2u16.to_le_bytes());
        let reversed = Bytes::from(reversed);
        let again = open(&reversed);
        let pixels = decode(&reversed, &again.main().whole().unwrap()).unwrap();
        assert_eq!(pixels, decode(&source, &read).unwrap(), "{name}");
    }
}

/// A fixture's image with all of its pixels, bands in order.
struct Decoded {
    source: Bytes,
    image: Arc<Image>,
    pixels: Vec<u8>,
    size: usize,
}

fn decoded(name: &str) -> Decoded {
    let source = fixture(name);
    let image = Arc::clone(open(&source).main());
    let read = image.whole().unwrap();
    let pixels = decode(&source, &read).unwrap();
    Decoded {
        source,
        size: read.dtype().size_bytes() as usize,
        image,
        pixels,
    }
}

impl Decoded {
    fn part(&self, window: Window, bands: &[usize]) -> Vec<u8> {
        let (height, width) = (
            self.image.info().height as usize,
            self.image.info().width as usize,
        );
        let mut part = Vec::new();
        for band in bands {
            for row in window.row..window.row + window.height {
                let start = (band * height + row as usize) * width + window.col as usize;
                let bytes = start * self.size..(start + window.width as usize) * self.size;
                part.extend_from_slice(&self.pixels[bytes]);
            }
        }
        part
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_window_is_that_part_of_the_whole(
        pick in any::<prop::sample::Index>(),
        corners in prop::array::uniform4(any::<prop::sample::Index>()),
        bands in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let names = decodable();
        let all = decoded(&names[pick.index(names.len())]);
        let info = all.image.info();
        let span = |size: u32, a: prop::sample::Index, b: prop::sample::Index| {
            let (a, b) = (a.index(size as usize + 1) as u32, b.index(size as usize + 1) as u32);
            (a.min(b), a.abs_diff(b))
        };
        let (row, height) = span(info.height, corners[0], corners[1]);
        let (col, width) = span(info.width, corners[2], corners[3]);
        let window = Window { row, col, height, width };
        let bands: Vec<usize> = bands.iter().map(|band| band.index(info.band_count)).collect();
        let read = all.image.window(window, &bands).unwrap();
        prop_assert_eq!(decode(&all.source, &read).unwrap(), all.part(window, &bands));
    }
}
