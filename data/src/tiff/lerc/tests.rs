//! Blobs sound and damaged; that sound ones decode exactly is seen in whole files, in `tests/suite/tiff.rs`.
#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use std::path::PathBuf;

use proptest::prelude::*;

use super::bits::{Cursor, unstuff};
use super::header::fletcher32;
use super::*;

/// Where a blob's header has its size, for versions with a number of values per pixel and without.
fn size_at(blob: &[u8]) -> usize {
    if blob[6] >= 4 { 34 } else { 30 }
}

fn number(blob: &[u8], at: usize) -> usize {
    i32::from_le_bytes(blob[at..at + 4].try_into().unwrap()) as usize
}

/// The first blob of a TIFF whose blobs have no other compression on top.
fn blob(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiff");
    let file = std::fs::read(path.join(name)).unwrap();
    let start = file.windows(6).position(|bytes| bytes == b"Lerc2 ").unwrap();
    let size = number(&file[start..], size_at(&file[start..]));
    file[start..start + size].to_vec()
}

/// The layout that the blob's own header gives.
fn layout(blob: &[u8]) -> Layout {
    let at = size_at(blob);
    Layout {
        rows: number(blob, 14),
        cols: number(blob, 18),
        samples: if blob[6] >= 4 { number(blob, 22) } else { 1 },
        kind: SampleKind::from_code(number(blob, at + 4) as i32).unwrap(),
        mask_is_alpha: false,
    }
}

/// Makes the checksum right, and the size that the header gives.
fn seal(blob: &mut [u8]) {
    let (at, size) = (size_at(blob), blob.len() as i32);
    if let Some(place) = blob.get_mut(at..at + 4) {
        place.copy_from_slice(&size.to_le_bytes());
    }
    if blob.len() > 14 {
        let sum = fletcher32(&blob[14..]);
        blob[10..14].copy_from_slice(&sum.to_le_bytes());
    }
}

fn decoded(blob: &[u8], layout: &Layout) -> Result<Vec<u8>, LercFault> {
    let mut out = vec![0; layout.block_bytes()];
    decode(blob, layout, &mut out).map(|()| out)
}

/// One blob of every way to store values.
const BLOBS: [&str; 14] = [
    "lerc_u8.tif",
    "lerc_u8_rough.tif",
    "lerc_u8_long_codes.tif",
    "lerc_u8_five_bands.tif",
    "lerc_i8.tif",
    "lerc_u16.tif",
    "lerc_i16_few_values.tif",
    "lerc_f32_nan.tif",
    "lerc_f32_within_half.tif",
    "lerc_f64_within_tenth.tif",
    "lerc_constant.tif",
    "lerc_version_3_u8.tif",
    "lerc_version_5_differences.tif",
    "lerc_version_5_f32.tif",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_blob_with_a_right_checksum_never_panics(
        pick in 0..BLOBS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 0..5),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut blob = blob(BLOBS[pick]);
        let layout = layout(&blob);
        if let Some(cut) = cut {
            blob.truncate(cut.index(blob.len()));
        }
        for (place, byte, in_head) in changes {
            if !blob.is_empty() {
                let end = if in_head { blob.len().min(200) } else { blob.len() };
                blob[place.index(end)] = byte;
            }
        }
        if blob.len() > 6 {
            seal(&mut blob);
        }
        let _ = decoded(&blob, &layout);
    }

    #[test]
    fn blob_with_any_byte_changed_is_an_error(pick in 0..BLOBS.len(), place in any::<prop::sample::Index>(), by in 1u8..) {
        let mut blob = blob(BLOBS[pick]);
        let layout = layout(&blob);
        let sound = decoded(&blob, &layout).unwrap();
        let place = place.index(blob.len());
        blob[place] ^= by;
        // No checksum is over the version, by which version 4 becomes 5; what is constant they store alike.
        let is_version = place == 6;
        if let Ok(values) = decoded(&blob, &layout) {
            prop_assert!(is_version && values == sound);
        }
    }

    #[test]
    fn blob_cut_off_anywhere_is_an_error(pick in 0..BLOBS.len(), len in any::<prop::sample::Index>()) {
        let blob = blob(BLOBS[pick]);
        let layout = layout(&blob);
        prop_assert!(decoded(&blob[..len.index(blob.len())], &layout).is_err());
    }
}

#[test]
fn a_version_that_is_not_the_blobs_own_gives_no_other_values() {
    for name in BLOBS {
        let own = blob(name);
        let layout = layout(&own);
        let sound = decoded(&own, &layout).unwrap();
        for version in 3..=5 {
            let mut other = own.clone();
            other[6] = version;
            if let Ok(values) = decoded(&other, &layout) {
                assert_eq!(values, sound, "{name} as version {version}");
            }
        }
    }
}

#[test]
fn other_versions_are_refused_by_name() {
    let blob = blob("lerc_u16.tif");
    let layout = layout(&blob);
    for version in [0u8, 2, 6, 7] {
        let mut other = blob.clone();
        other[6] = version;
        let Err(LercFault::Unsupported(what)) = decoded(&other, &layout) else {
            panic!("version {version} was not refused");
        };
        assert!(what.contains(&format!("version {version}")), "{what}");
    }
    let first = decoded(b"CntZImage and so on", &layout);
    assert!(matches!(first, Err(LercFault::Unsupported(_))), "{first:?}");
}

#[test]
fn blob_of_another_shape_or_type_is_an_error() {
    let blob = blob("lerc_u16.tif");
    let right = layout(&blob);
    let others = [
        Layout { rows: 33, ..right },
        Layout { cols: 31, ..right },
        Layout { samples: 2, ..right },
        Layout {
            kind: SampleKind::Int16,
            ..right
        },
    ];
    for other in others {
        let result = decoded(&blob, &other);
        assert!(
            matches!(result, Err(LercFault::Damaged(_))),
            "{other:?}: {result:?}"
        );
    }
}

#[test]
fn giant_sizes_in_a_header_take_no_memory() {
    let blob = blob("lerc_version_5_differences.tif");
    let layout = layout(&blob);
    for at in (14..42).step_by(4) {
        for value in [i32::MAX, i32::MIN, -1, 0] {
            let mut other = blob.clone();
            other[at..at + 4].copy_from_slice(&value.to_le_bytes());
            let sum = fletcher32(&other[14..]);
            other[10..14].copy_from_slice(&sum.to_le_bytes());
            assert!(decoded(&other, &layout).is_err(), "{value} at {at}");
        }
    }
}

#[test]
fn mask_beside_integers_is_refused() {
    let mut blob = blob("lerc_constant.tif");
    let layout = layout(&blob);
    // No pixel is valid.
    blob[26..30].fill(0);
    seal(&mut blob);
    let result = decoded(&blob, &layout);
    assert!(
        matches!(&result, Err(LercFault::Unsupported(what)) if what.contains("mask")),
        "{result:?}"
    );
}

#[test]
fn bit_stuffed_numbers_are_read_from_the_lowest_bit_on() {
    // Numbers of 3 bits, their count in one byte: 1, 2, 3, 4, 5.
    let bytes = [0x83, 5, 0b1101_0001, 0b0101_1000];
    let mut numbers = vec![7; 9];
    unstuff(&mut Cursor::new(&bytes), 5, &mut numbers).unwrap();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    assert!(unstuff(&mut Cursor::new(&bytes), 4, &mut numbers).is_err());
    assert!(unstuff(&mut Cursor::new(&bytes[..3]), 5, &mut numbers).is_err());
}

#[test]
fn bit_stuffed_indices_look_up_a_table_that_begins_with_zero() {
    // A table of 0, 9 and 30 (5 bits each), then the indices 2, 0, 1, 2.
    let bytes = [0xa5, 4, 3, 0b1100_1001, 0b11, 0b1001_0010];
    let mut numbers = Vec::new();
    unstuff(&mut Cursor::new(&bytes), 4, &mut numbers).unwrap();
    assert_eq!(numbers, [30, 0, 9, 30]);
    let outside = [0xa5, 4, 3, 0b1100_1001, 0b11, 0b1101_0010];
    assert!(unstuff(&mut Cursor::new(&outside), 4, &mut numbers).is_err());
}

#[test]
fn checksum_is_fletchers() {
    assert_eq!(fletcher32(b""), 0xffff_ffff);
    // "abcde" as words of high byte first, the last one padded.
    let (mut low, mut high) = (0u32, 0u32);
    for word in [0x6162, 0x6364, 0x6500] {
        low = (low + word) % 0xffff;
        high = (high + low) % 0xffff;
    }
    assert_eq!(fletcher32(b"abcde"), (high << 16) | low);
}
