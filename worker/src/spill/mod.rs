//! Chunks on disk: written one behind the other into a few large files, read back as the regions that are asked for.
//!
//! A chunk's bytes are cut into pages. Each has a checksum, which stays in memory, so that a region is checked without
//! reading the rest, and is compressed where a sample says that it pays. A dropped chunk's place is given back to the
//! file system; a file whose chunks are all gone is removed.

mod layout;
mod pace;
mod segment;

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use graticule_kernel::{Chunk, Tensor, TensorMut};
use graticule_plan::DType;
use tracing::{info, warn};

use self::{
    layout::{Page, PageReader, each_run},
    pace::Pace,
    segment::Segment,
};

/// Bytes after which the next file is begun.
const SEGMENT_BYTES: u64 = 256 << 20;
/// How long a disk that took nothing is left in peace, doubled each time up to the second.
const RESTS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A folder of this process for spilled chunks. It appears with the first one and goes with this value.
#[derive(Debug)]
pub(crate) struct SpillLog {
    path: PathBuf,
    writer: Mutex<Writer>,
}

#[derive(Debug, Default)]
struct Writer {
    segment: Option<Arc<Segment>>,
    next_segment: u64,
    /// How quickly it took chunks of late, however small they became.
    chunks: Pace,
    /// How quickly the disk took what was left of them.
    disk: Pace,
    /// Set while the disk takes nothing: until when it is left in peace, and how long that was.
    resting: Option<(Instant, Duration)>,
}

/// A chunk on disk. Its place is given back with this value.
#[derive(Debug)]
pub(crate) struct SpilledChunk {
    segment: Arc<Segment>,
    place: Range<u64>,
    shape: Vec<usize>,
    parts: Vec<SpilledPart>,
}

#[derive(Debug)]
struct SpilledPart {
    dtype: DType,
    bytes: usize,
    pages: Vec<Page>,
}

impl SpillLog {
    /// A log below `parent`; nothing is made before the first chunk is written.
    pub(crate) fn new(parent: &Path, name: &str) -> Self {
        Self {
            path: parent.join(name),
            writer: Mutex::default(),
        }
    }

    /// Bytes of chunks that go to disk in a second, if enough were written to tell.
    pub(crate) fn bytes_per_s(&self) -> Option<u64> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.chunks.bytes_per_s().map(|rate| rate as u64)
    }

    /// Writes a chunk. One writes at a time.
    ///
    /// # Errors
    /// The disk's. For a while after one the disk is not tried again.
    pub(crate) fn write(&self, chunk: &Chunk) -> io::Result<SpilledChunk> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((until, _)) = writer.resting
            && Instant::now() < until
        {
            return Err(io::Error::new(
                io::ErrorKind::WouldBlock,
                "the disk took nothing a moment ago",
            ));
        }
        let begun = Instant::now();
        let written = writer.append(&self.path, chunk);
        if written.is_ok() {
            writer.chunks.note(chunk.nbytes(), begun.elapsed());
        }
        match (&written, writer.resting) {
            (Ok(_), Some(_)) => {
                info!(folder = %self.path.display(), "chunks can be spilled again");
                writer.resting = None;
            }
            (Ok(_), None) => {}
            (Err(error), before) => {
                let rest = before.map_or(RESTS.0, |(_, rest)| (rest * 2).min(RESTS.1));
                writer.resting = Some((Instant::now() + rest, rest));
                // What was begun there may be of no use any more.
                writer.segment = None;
                let folder = self.path.display();
                warn!(%folder, %error, "chunks cannot be spilled and stay in memory; free space there, or choose another folder with --spill-dir");
            }
        }
        written
    }
}

impl Writer {
    fn append(&mut self, folder: &Path, chunk: &Chunk) -> io::Result<SpilledChunk> {
        let segment = match &self.segment {
            Some(segment) if segment.len() < SEGMENT_BYTES => segment.clone(),
            _ => {
                std::fs::create_dir_all(folder)?;
                let path = folder.join(format!("{}.spill", self.next_segment));
                self.next_segment += 1;
                let segment = Arc::new(Segment::create(path)?);
                self.segment = Some(segment.clone());
                segment
            }
        };
        let start = segment.len();
        let mut at = start;
        let mut parts = Vec::with_capacity(chunk.parts().len());
        for part in chunk.parts() {
            let (pages, end) = layout::write_pages(&segment, at, part.bytes(), &mut self.disk)?;
            parts.push(SpilledPart {
                dtype: part.dtype(),
                bytes: part.bytes().len(),
                pages,
            });
            at = end;
        }
        Ok(SpilledChunk {
            place: start..segment.end_at(at),
            segment,
            shape: chunk.shape().to_vec(),
            parts,
        })
    }
}

impl Drop for SpillLog {
    fn drop(&mut self) {
        // Its files are gone with their owners; what cannot be removed is left to the system's own cleaning.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

impl SpilledChunk {
    /// Reads the chunk back, or a region of it, with no more than a page in memory beside the result.
    ///
    /// # Errors
    /// `InvalidData` if the bytes are not those that were written, `InvalidInput` if the region is not within the chunk.
    pub(crate) fn read(&self, region: Option<&[Range<u64>]>) -> io::Result<Chunk> {
        let region = self.region(region)?;
        let parts = self.parts.iter().map(|part| self.read_part(part, &region));
        Chunk::new(parts.collect::<io::Result<_>>()?).map_err(io::Error::other)
    }

    /// Elements along each axis.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Bytes of one element of all parts.
    pub(crate) fn item_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.dtype.size_bytes()).sum()
    }

    fn region(&self, region: Option<&[Range<u64>]>) -> io::Result<Vec<Range<usize>>> {
        let Some(region) = region else {
            return Ok(self.shape.iter().map(|&len| 0..len).collect());
        };
        let is_within =
            |(range, &len): (&Range<u64>, &usize)| range.start <= range.end && range.end <= len as u64;
        if region.len() != self.shape.len() || !region.iter().zip(&self.shape).all(is_within) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "region {region:?} is not within a chunk of shape {:?}",
                    self.shape
                ),
            ));
        }
        Ok(region
            .iter()
            .map(|range| range.start as usize..range.end as usize)
            .collect())
    }

    fn read_part(&self, part: &SpilledPart, region: &[Range<usize>]) -> io::Result<Tensor> {
        let shape: Vec<usize> = region.iter().map(Range::len).collect();
        let mut tensor = TensorMut::for_overwrite(part.dtype, &shape).map_err(io::Error::other)?;
        let target = tensor.bytes_mut();
        let mut reader = PageReader::new(&self.segment, &part.pages, part.bytes);
        let mut filled = 0;
        each_run(&self.shape, region, part.dtype.size_bytes() as usize, |run| {
            let len = run.len();
            reader.read(run, &mut target[filled..filled + len])?;
            filled += len;
            Ok(())
        })?;
        Ok(tensor.freeze())
    }
}

impl Drop for SpilledChunk {
    fn drop(&mut self) {
        self.segment.give_back(self.place.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(shape: &[usize]) -> Tensor {
        let count = shape.iter().product::<usize>();
        // Two bytes of each are noise, so that nothing is compressed.
        let values = (0..count as u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) as i32);
        Tensor::from_vec(shape, values.collect()).unwrap()
    }

    fn log() -> (tempfile::TempDir, SpillLog) {
        let folder = tempfile::tempdir().unwrap();
        let log = SpillLog::new(folder.path(), "log");
        (folder, log)
    }

    #[test]
    fn regions_of_noise_and_of_what_compresses_come_back_as_they_were() {
        let (_folder, log) = log();
        let flags = Tensor::from_vec(&[70, 33, 41], vec![true; 70 * 33 * 41]).unwrap();
        let chunk = Chunk::new(vec![numbers(&[70, 33, 41]), flags]).unwrap();
        let spilled = log.write(&chunk).unwrap();
        let stored: u64 = spilled.parts[1].pages.iter().map(Page::stored_bytes).sum();
        assert!(stored < 10_000, "flags are compressed: {stored}");
        assert_eq!(spilled.read(None).unwrap(), chunk);
        for region in [
            [0..70, 0..33, 0..41],
            [3..4, 0..33, 0..41],
            [0..70, 32..33, 40..41],
            [69..70, 5..9, 7..20],
            [5..5, 0..33, 0..41],
        ] {
            let want = chunk.region(&region).unwrap();
            assert_eq!(spilled.read(Some(&region)).unwrap(), want, "{region:?}");
        }
        let outside = spilled.read(Some(&[0..71, 0..33, 0..41]));
        assert_eq!(outside.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_chunk_of_no_elements_and_a_number_alone_are_chunks_too() {
        let (_folder, log) = log();
        for shape in [&[0, 5][..], &[]] {
            let chunk = Chunk::from(numbers(shape));
            assert_eq!(log.write(&chunk).unwrap().read(None).unwrap(), chunk);
        }
    }

    #[test]
    fn a_flipped_bit_is_found_where_it_is_read_and_nowhere_else() {
        let (folder, log) = log();
        let chunk = Chunk::from(numbers(&[1000, 100]));
        let spilled = log.write(&chunk).unwrap();
        let path = folder.path().join("log").join("0.spill");
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let first = spilled.read(Some(&[0..10, 0..100])).unwrap();
        assert_eq!(first, chunk.region(&[0..10, 0..100]).unwrap());
        let damaged = spilled.read(None).unwrap_err();
        assert_eq!(damaged.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn dropped_chunks_take_no_room_on_the_disk() {
        use std::os::unix::fs::MetadataExt;
        let (folder, log) = log();
        let chunk = Chunk::from(numbers(&[1 << 18]));
        let mut spilled: Vec<_> = (0..8).map(|_| log.write(&chunk).unwrap()).collect();
        let path = folder.path().join("log").join("0.spill");
        let blocks = || std::fs::metadata(&path).unwrap().blocks();
        let before = blocks();
        spilled.truncate(1);
        assert!(blocks() < before / 4, "{} of {before} blocks are left", blocks());
        assert_eq!(spilled[0].read(None).unwrap(), chunk);
    }

    #[test]
    fn a_disk_that_takes_nothing_is_left_in_peace_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        // A file stands where the folder should be made.
        std::fs::write(folder.path().join("log"), b"").unwrap();
        let log = SpillLog::new(folder.path(), "log");
        let chunk = Chunk::from(numbers(&[10]));
        assert_ne!(log.write(&chunk).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(log.write(&chunk).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
