//! The file's form: a head, then frames one behind the other. Pure.
//!
//! A frame is all that one write brought to the disk, and the next is written only when it is there. So only the last
//! one can be torn by a crash; one that does not fit its checksum and has a whole one behind it is damage.

use std::ops::Range;

/// What a file begins with; the last byte is the version of the form.
pub(super) const MAGIC: [u8; 8] = *b"GRATJRN\x01";
/// Bytes of a frame before its content: length, number, checksum of these two and the content; little endian.
pub(super) const FRAME_HEAD_BYTES: usize = 4 + 8 + 4;

/// Why a file is no journal, or is one no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damage {
    /// Where in the file.
    pub(super) offset: usize,
    pub(super) why: &'static str,
}

/// The whole frames of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frames {
    /// Where the content of each stands.
    pub(super) contents: Vec<Range<usize>>,
    /// Bytes behind the last whole frame: what a crash left of one more.
    pub(super) torn_bytes: usize,
}

/// Appends a frame. Frames are numbered from 0 in each file.
///
/// The content must be shorter than 4 GiB.
pub(super) fn append(number: u64, content: &[u8], bytes: &mut Vec<u8>) {
    let len = u32::try_from(content.len()).expect("the caller keeps frames far below 4 GiB");
    let (len, number) = (len.to_le_bytes(), number.to_le_bytes());
    bytes.extend(len);
    bytes.extend(number);
    bytes.extend(checksum(len, number, content).to_le_bytes());
    bytes.extend(content);
}

fn checksum(len: [u8; 4], number: [u8; 8], content: &[u8]) -> u32 {
    let head = crc32c::crc32c_append(crc32c::crc32c(&len), &number);
    crc32c::crc32c_append(head, content)
}

/// Finds the frames of a file.
///
/// # Errors
/// [`Damage`] if bytes that were on the disk once are not what they were.
pub(super) fn read(bytes: &[u8]) -> Result<Frames, Damage> {
    let head = &bytes[..bytes.len().min(MAGIC.len())];
    if head != &MAGIC[..head.len()] {
        let why = "it does not begin as a journal of this version does";
        return Err(Damage { offset: 0, why });
    }
    let (mut at, mut contents) = (head.len(), Vec::new());
    while let Some(content) = frame_at(bytes, at, contents.len() as u64) {
        at = content.end;
        contents.push(content);
    }
    if is_followed(bytes, at, contents.len() as u64) {
        let why = "its bytes do not fit their checksum";
        return Err(Damage { offset: at, why });
    }
    Ok(Frames {
        contents,
        torn_bytes: bytes.len() - at,
    })
}

/// The content of the whole frame with that number at that place, if there is one.
fn frame_at(bytes: &[u8], at: usize, number: u64) -> Option<Range<usize>> {
    let (len, found, sum) = head_at(bytes, at)?;
    let start = at + FRAME_HEAD_BYTES;
    let end = start.checked_add(usize::try_from(u32::from_le_bytes(len)).ok()?)?;
    let content = bytes.get(start..end)?;
    let fits = u64::from_le_bytes(found) == number && checksum(len, found, content) == sum;
    fits.then_some(start..end)
}

fn head_at(bytes: &[u8], at: usize) -> Option<([u8; 4], [u8; 8], u32)> {
    let head = bytes.get(at..)?.first_chunk::<FRAME_HEAD_BYTES>()?;
    let (len, rest) = head.split_first_chunk::<4>()?;
    let (number, sum) = rest.split_first_chunk::<8>()?;
    Some((*len, *number, u32::from_le_bytes(sum.try_into().ok()?)))
}

/// Whether a whole frame stands anywhere from a place on, where the one with that number does not.
fn is_followed(bytes: &[u8], at: usize, number: u64) -> bool {
    let most = number + (bytes.len() - at) as u64 / FRAME_HEAD_BYTES as u64;
    (at..bytes.len()).any(|place| {
        let found = head_at(bytes, place).map(|(_, found, _)| u64::from_le_bytes(found));
        // Few places look like a frame's head, so nearly all are passed over without a checksum.
        found.is_some_and(|found| found <= most && frame_at(bytes, place, found).is_some())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(contents: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends) = (MAGIC.to_vec(), vec![MAGIC.len()]);
        for (number, content) in (0..).zip(contents) {
            append(number, content, &mut bytes);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn contents(bytes: &[u8], frames: &Frames) -> Vec<Vec<u8>> {
        frames
            .contents
            .iter()
            .map(|at| bytes[at.clone()].to_vec())
            .collect()
    }

    fn some_contents() -> impl Strategy<Value = Vec<Vec<u8>>> {
        // Many zeros and small numbers, so that contents look like heads now and then.
        let byte = prop_oneof![Just(0_u8), 0..4_u8, any::<u8>()];
        prop::collection::vec(prop::collection::vec(byte, 0..60), 0..6)
    }

    proptest! {
        #[test]
        fn a_file_cut_at_any_byte_gives_the_frames_that_are_whole(contents_before in some_contents()) {
            let (bytes, ends) = file(&contents_before);
            for cut in 0..=bytes.len() {
                let frames = read(&bytes[..cut]).unwrap();
                let whole = ends.iter().filter(|&&end| end <= cut).count().saturating_sub(1);
                prop_assert_eq!(contents(&bytes[..cut], &frames), &contents_before[..whole]);
                let rest = if cut < MAGIC.len() { 0 } else { cut - ends[whole] };
                prop_assert_eq!(frames.torn_bytes, rest);
            }
        }

        #[test]
        fn every_flipped_bit_is_found_and_its_frame_named(contents_before in some_contents()) {
            let (bytes, ends) = file(&contents_before);
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let frame = ends.iter().filter(|&&end| end <= bit / 8).count();
                let found = read(&flipped);
                if frame == 0 {
                    prop_assert_eq!(found.unwrap_err().offset, 0);
                } else if frame < contents_before.len() {
                    prop_assert_eq!(found.unwrap_err().offset, ends[frame - 1], "bit {}", bit);
                } else {
                    // The last one looks torn.
                    let frames = found.unwrap();
                    prop_assert_eq!(contents(&flipped, &frames), &contents_before[..frame - 1]);
                    prop_assert_eq!(frames.torn_bytes, bytes.len() - ends[frame - 1]);
                }
            }
        }
    }

    #[test]
    fn frames_that_changed_places_are_no_journal() {
        let mut bytes = MAGIC.to_vec();
        append(1, b"second", &mut bytes);
        append(0, b"first", &mut bytes);
        assert_eq!(read(&bytes).unwrap_err().offset, MAGIC.len());
    }
}
