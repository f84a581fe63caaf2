//! Damaged TIFFs: a typed error or pixels, never a panic, and no memory that the file merely claims to need.
#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use std::path::PathBuf;

use bytes::Bytes;
use graticule_data::tiff::{Decoder, Tiff, TiffError};
use proptest::prelude::*;

/// Larger outputs, which only the caller can allow, are left alone.
const OUT_BYTES_MAX: usize = 32 << 20;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/tiff")
            .join(name),
    )
    .unwrap()
}

fn fixtures() -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiff");
    let names = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".tif")).collect();
    names.sort();
    names
}

/// Opens the file and decodes all images; gives the first error.
fn read_all(bytes: Vec<u8>) -> Result<(), TiffError> {
    let source = Bytes::from(bytes);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let tiff = Tiff::open(&source).await?;
        let mut decoder = Decoder::new();
        for image in tiff.images() {
            let read = image.whole()?;
            if read.out_bytes() <= OUT_BYTES_MAX {
                let mut out = vec![0; read.out_bytes()];
                read.read_into(&source, &mut decoder, &mut out).await?;
            }
        }
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn flipped_bits_never_panic(
        pick in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8, any::<bool>()), 1..6),
    ) {
        let names = fixtures();
        let mut bytes = fixture(&names[pick.index(names.len())]);
        for (place, bit, in_head) in flips {
            let end = if in_head { bytes.len().min(600) } else { bytes.len() };
            bytes[place.index(end)] ^= 1 << bit;
        }
        let _ = read_all(bytes);
    }

    #[test]
    fn random_numbers_in_the_directory_never_panic(
        pick in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        number in prop_oneof![any::<u32>(), Just(0), Just(1), Just(u32::MAX), Just(0x7fff_ffff), 0u32..70_000],
    ) {
        let names = fixtures();
        let mut bytes = fixture(&names[pick.index(names.len())]);
        let at = place.index(bytes.len().min(500) - 4) & !1;
        bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        let _ = read_all(bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn file_cut_off_anywhere_never_panics(
        pick in any::<prop::sample::Index>(),
        len in any::<prop::sample::Index>(),
    ) {
        let names = fixtures();
        let mut bytes = fixture(&names[pick.index(names.len())]);
        bytes.truncate(len.index(bytes.len()));
        let _ = read_all(bytes);
    }
}

#[test]
fn file_without_its_last_bytes_names_the_block() {
    // A COG's last bytes are those of its main image's last block.
    let mut bytes = fixture("cog_u8_lzw.tif");
    bytes.truncate(bytes.len() - 100);
    let error = read_all(bytes).unwrap_err();
    let TiffError::TruncatedBlock { block, want, got, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(block, 5);
    assert!(got < want);
}

#[test]
fn damaged_block_is_named_with_its_offset() {
    for name in [
        "u16_deflate.tif",
        "u16_zstd.tif",
        "u16_lzw.tif",
        "u16_lzma.tif",
        "lerc_u16.tif",
        "lerc_i16_deflate.tif",
        "lerc_f32_zstd.tif",
        "webp_rgb.tif",
    ] {
        let mut bytes = fixture(name);
        let source = Bytes::from(bytes.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let tiff = runtime.block_on(Tiff::open(&source)).unwrap();
        let read = tiff.main().whole().unwrap();
        let range = read.blocks()[3].range.clone().unwrap();
        bytes[range.start as usize..range.end as usize].fill(0xff);
        let error = read_all(bytes).unwrap_err();
        let TiffError::CorruptBlock { block, offset, .. } = &error else {
            panic!("{name}: {error}")
        };
        assert_eq!((*block, *offset), (3, range.start), "{name}");
    }
}

#[test]
fn other_files_are_no_tiffs() {
    for bytes in [
        &b""[..],
        b"II",
        b"PK\x03\x04 and more bytes",
        b"II\x2a",
        b"II\x2b\0\x04\0\0\0\0\0\0\0",
    ] {
        let error = read_all(bytes.to_vec()).unwrap_err();
        assert!(
            matches!(error, TiffError::NotTiff { .. } | TiffError::Truncated { .. }),
            "{error}"
        );
    }
    let error = read_all(b"<html>no such file</html>".to_vec()).unwrap_err();
    assert!(error.to_string().contains("not a TIFF"), "{error}");
}

#[test]
fn file_without_images_is_an_error() {
    let error = read_all(b"II\x2a\0\0\0\0\0".to_vec()).unwrap_err();
    assert!(matches!(error, TiffError::NoImage), "{error}");
}

#[test]
fn directory_that_links_to_itself_is_an_error() {
    let mut bytes = b"II\x2a\0\x08\0\0\0".to_vec();
    bytes.extend([0, 0, 8, 0, 0, 0]);
    let error = read_all(bytes).unwrap_err();
    assert!(matches!(error, TiffError::DirectoryLoop { offset: 8 }), "{error}");
}

/// A little-endian TIFF of one directory with 32-bit fields.
fn tiff_of(fields: &[(u16, u32)]) -> Vec<u8> {
    let mut bytes = b"II\x2a\0\x08\0\0\0".to_vec();
    bytes.extend((fields.len() as u16).to_le_bytes());
    for (tag, value) in fields {
        bytes.extend(tag.to_le_bytes());
        bytes.extend([4, 0, 1, 0, 0, 0]);
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 4]);
    bytes
}

#[test]
fn giant_claims_are_refused_before_memory_is_taken() {
    let size = 1 << 30;
    let tiles = |tile: u32| {
        vec![
            (256, size),
            (257, size),
            (258, 8),
            (259, 5),
            (322, tile),
            (323, tile),
            (324, 8),
            (325, 8),
        ]
    };
    let error = read_all(tiff_of(&tiles(16))).unwrap_err();
    assert!(
        matches!(
            error,
            TiffError::LimitExceeded {
                what: "the number of blocks",
                ..
            }
        ),
        "{error}"
    );
    let error = read_all(tiff_of(&tiles(1 << 29))).unwrap_err();
    assert!(
        matches!(
            error,
            TiffError::LimitExceeded {
                what: "the size of a block in bytes",
                ..
            }
        ),
        "{error}"
    );
    // One uncompressed strip of 2^60 bytes: only what the window needs would be fetched.
    let strip = [
        (256, 1 << 20),
        (257, size),
        (258, 8),
        (259, 1),
        (273, 8),
        (279, u32::MAX),
    ];
    read_all(tiff_of(&strip)).unwrap();
}

#[test]
fn missing_size_and_bad_tags_are_named() {
    let error = read_all(tiff_of(&[(256, 10)])).unwrap_err();
    assert!(error.to_string().contains("ImageLength"), "{error}");
    let strip = [
        (256, 10),
        (257, 10),
        (258, 8),
        (259, 5),
        (273, 8),
        (278, 3),
        (279, 8),
    ];
    let error = read_all(tiff_of(&strip)).unwrap_err();
    assert!(
        error.to_string().contains("StripOffsets") && error.to_string().contains("4 blocks"),
        "{error}"
    );
    let error = read_all(tiff_of(&[(256, 10), (257, 10), (284, 7)])).unwrap_err();
    assert!(error.to_string().contains("PlanarConfiguration"), "{error}");
}
