//! Pages: how a part's bytes lie in a file, and how runs of them are read back.

use std::{io, ops::Range, time::Instant};

use super::{pace::Pace, segment::Segment};

/// Bytes of a page before compression.
const PAGE_BYTES: usize = 64 << 10;
/// Compressed to at most this part of their size, bytes are worth the time.
const WORTHWHILE: f64 = 0.75;

/// A page in its file.
#[derive(Debug)]
pub(super) struct Page {
    at: u64,
    stored_bytes: u32,
    checksum: u32,
    is_compressed: bool,
}

impl Page {
    #[cfg(test)]
    pub(super) fn stored_bytes(&self) -> u64 {
        u64::from(self.stored_bytes)
    }
}

/// What it takes to read compressed bytes back, for what it took to compress them.
const READ_BACK: f64 = 0.5;

/// Writes bytes as pages from `at` on; returns the pages and their end.
pub(super) fn write_pages(
    segment: &Segment,
    mut at: u64,
    bytes: &[u8],
    disk: &mut Pace,
) -> io::Result<(Vec<Page>, u64)> {
    let (start, rate) = (at, disk.bytes_per_s());
    let page = |at, stored: &[u8], is_compressed| Page {
        at,
        stored_bytes: u32::try_from(stored.len()).expect("a page is small"),
        checksum: crc32c::crc32c(stored),
        is_compressed,
    };
    let mut pages = Vec::with_capacity(bytes.len().div_ceil(PAGE_BYTES));
    let mut write = |bytes: &[u8]| {
        let begun = Instant::now();
        segment.write(bytes, start)?;
        disk.note(bytes.len() as u64, begun.elapsed());
        io::Result::Ok(())
    };
    if !pays(bytes, rate) {
        for raw in bytes.chunks(PAGE_BYTES) {
            pages.push(page(at, raw, false));
            at += raw.len() as u64;
        }
        write(bytes)?;
        return Ok((pages, at));
    }
    let mut stored = Vec::new();
    for raw in bytes.chunks(PAGE_BYTES) {
        let compressed = lz4_flex::block::compress(raw);
        let smaller = compressed.len() < raw.len();
        let kept = if smaller { &compressed[..] } else { raw };
        pages.push(page(at, kept, smaller));
        at += kept.len() as u64;
        stored.extend_from_slice(kept);
    }
    write(&stored)?;
    Ok((pages, at))
}

/// Whether compression is worth its time, by a page from the middle: whether to write and read what it saves would take
/// longer, on a disk that takes so many bytes a second, if that is known.
fn pays(bytes: &[u8], disk_bytes_per_s: Option<f64>) -> bool {
    let middle = bytes.len() / 2;
    let start = middle - (middle % PAGE_BYTES).min(middle);
    let sample = &bytes[start..(start + PAGE_BYTES).min(bytes.len())];
    let begun = Instant::now();
    let compressed = lz4_flex::block::compress(sample);
    let took = begun.elapsed().as_secs_f64() * (1.0 + READ_BACK);
    let saved = sample.len() as f64 - compressed.len() as f64;
    let is_worthwhile = saved > (1.0 - WORTHWHILE) * sample.len() as f64;
    is_worthwhile && disk_bytes_per_s.is_none_or(|rate| 2.0 * saved / rate > took)
}

/// Reads runs of a part's bytes, in rising order at best: one page is kept for the next run.
pub(super) struct PageReader<'a> {
    segment: &'a Segment,
    pages: &'a [Page],
    bytes: usize,
    /// The page in `raw`.
    loaded: Option<usize>,
    raw: Vec<u8>,
    stored: Vec<u8>,
}

impl<'a> PageReader<'a> {
    pub(super) fn new(segment: &'a Segment, pages: &'a [Page], bytes: usize) -> Self {
        Self {
            segment,
            pages,
            bytes,
            loaded: None,
            raw: Vec::new(),
            stored: Vec::new(),
        }
    }

    /// Copies the bytes of `run` into `target`.
    pub(super) fn read(&mut self, run: Range<usize>, target: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < target.len() {
            let (number, within) = ((run.start + done) / PAGE_BYTES, (run.start + done) % PAGE_BYTES);
            let page_bytes = PAGE_BYTES.min(self.bytes - number * PAGE_BYTES);
            let len = (page_bytes - within).min(target.len() - done);
            let into = &mut target[done..done + len];
            let page = &self.pages[number];
            if self.loaded == Some(number) {
                into.copy_from_slice(&self.raw[within..within + len]);
            } else if len == page_bytes && !page.is_compressed {
                // The whole page goes where it belongs.
                self.segment.read(into, page.at)?;
                check(page, into)?;
            } else {
                self.load(number, page_bytes)?;
                into.copy_from_slice(&self.raw[within..within + len]);
            }
            done += len;
        }
        Ok(())
    }

    fn load(&mut self, number: usize, page_bytes: usize) -> io::Result<()> {
        self.loaded = None;
        let page = &self.pages[number];
        self.raw.resize(page_bytes, 0);
        if page.is_compressed {
            self.stored.resize(page.stored_bytes as usize, 0);
            self.segment.read(&mut self.stored, page.at)?;
            check(page, &self.stored)?;
            let len = lz4_flex::block::decompress_into(&self.stored, &mut self.raw);
            if len.ok() != Some(page_bytes) {
                return Err(damaged());
            }
        } else {
            self.segment.read(&mut self.raw, page.at)?;
            check(page, &self.raw)?;
        }
        self.loaded = Some(number);
        Ok(())
    }
}

fn check(page: &Page, stored: &[u8]) -> io::Result<()> {
    if crc32c::crc32c(stored) == page.checksum {
        Ok(())
    } else {
        Err(damaged())
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a checksum does not match")
}

/// Calls `see` with the runs of bytes, rising, that a box of an array in C order consists of.
pub(super) fn each_run(
    shape: &[usize],
    region: &[Range<usize>],
    item_bytes: usize,
    mut see: impl FnMut(Range<usize>) -> io::Result<()>,
) -> io::Result<()> {
    if region.iter().any(Range::is_empty) {
        return Ok(());
    }
    // Trailing axes that are taken whole belong to one run, and so does a part of the axis before them.
    let mut outer = shape.len();
    let mut run_bytes = item_bytes;
    while outer > 0 {
        outer -= 1;
        run_bytes *= region[outer].len();
        if region[outer].len() != shape[outer] {
            break;
        }
    }
    let mut strides = vec![item_bytes; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    let mut index: Vec<usize> = region.iter().map(|range| range.start).collect();
    loop {
        let start = index
            .iter()
            .zip(&strides)
            .map(|(at, stride)| at * stride)
            .sum::<usize>();
        see(start..start + run_bytes)?;
        let mut axis = outer;
        loop {
            if axis == 0 {
                return Ok(());
            }
            axis -= 1;
            index[axis] += 1;
            if index[axis] < region[axis].end {
                break;
            }
            index[axis] = region[axis].start;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_disk_is_given_more_bytes_rather_than_time_for_fewer() {
        // A third of the bytes is noise.
        let noise = |n: usize| {
            let mixed = (n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            (mixed ^ (mixed >> 31))
                .wrapping_mul(0xBF58_476D_1CE4_E5B9)
                .to_le_bytes()[7]
        };
        let bytes: Vec<u8> = (0..PAGE_BYTES)
            .map(|n| if n % 3 == 0 { noise(n) } else { 0 })
            .collect();
        assert!(pays(&bytes, None));
        assert!(pays(&bytes, Some(1e6)));
        assert!(!pays(&bytes, Some(1e15)));
        assert!(!pays(&[], None));
        let noise: Vec<u8> = (0..PAGE_BYTES).map(noise).collect();
        assert!(!pays(&noise, Some(1e6)));
    }
}
