//! Decodes fetched Zarr chunks, straight into the result where a chunk lies in it in one piece. Pure computation.

use std::ops::Range;

use graticule_kernel::{Tensor, TensorMut};
use graticule_ops::{OnError, Read};

use super::{
    ReadCause, ReadError,
    fetched::Problem,
    place::Selected,
    zarr::{Chunk, ZarrPart, array},
};

impl ZarrPart {
    /// The elements of `extents`, which must lie within those fetched, and what was left out.
    pub(super) fn decode(
        &self,
        read: &Read,
        extents: &[Range<u64>],
    ) -> Result<(Tensor, Vec<Problem>), ReadError> {
        let description = |why: String| ReadError::of_task(ReadCause::Description(why));
        let is_within = extents.len() == self.selected.extents.len()
            && extents
                .iter()
                .zip(&self.selected.extents)
                .all(|(want, have)| want.is_empty() || (have.start <= want.start && want.end <= have.end));
        if !is_within {
            let have = &self.selected.extents;
            return Err(description(format!(
                "{extents:?} does not lie in {have:?}, for which bytes were fetched"
            )));
        }
        if read.dtype != self.layout.dtype {
            return Err(description(format!(
                "the array is {}, the read wants {}",
                self.layout.dtype, read.dtype
            )));
        }
        let selected = Selected::new(read, extents, &self.layout.shape).map_err(ReadError::of_task)?;
        let made = TensorMut::for_overwrite(self.layout.dtype, &selected.shape());
        let mut out = made.map_err(|e| description(e.to_string()))?;
        let mut problems = Vec::new();
        self.fill(out.bytes_mut(), &selected);
        let mut scratch = Vec::new();
        for chunk in &self.chunks {
            let Some(target) = Target::new(self, &selected, chunk) else {
                continue;
            };
            if let Err(why) = target.decode(self, chunk, out.bytes_mut(), &mut scratch) {
                let error = ReadError::new(self.place_of(&chunk.index), ReadCause::Chunk(why));
                if array(&self.source).on_error == OnError::Raise {
                    return Err(error);
                }
                problems.push(Problem::new(&error, false));
                target.fill(self, out.bytes_mut());
            }
        }
        Ok((out.freeze(), problems))
    }

    /// Writes the fill value, unless every element gets another.
    fn fill(&self, out: &mut [u8], selected: &Selected) {
        let covered: usize = self
            .chunks
            .iter()
            .filter_map(|chunk| Target::new(self, selected, chunk))
            .map(|target| target.out.iter().map(Range::len).product::<usize>())
            .sum();
        if covered < out.len() / self.layout.fill.len() {
            out.chunks_exact_mut(self.layout.fill.len())
                .for_each(|element| element.copy_from_slice(&self.layout.fill));
        }
    }
}

/// Where a chunk's elements go.
struct Target {
    /// The result's elements along each axis that are this chunk's.
    out: Vec<Range<usize>>,
    /// For each axis the chunk's element of the first, and from one to the next.
    from: Vec<(usize, isize)>,
    shape: Vec<usize>,
    /// The chunk's place in the result, in bytes, if it lies there in one piece.
    whole: Option<Range<usize>>,
}

impl Target {
    /// `None` if the box has no element of the chunk.
    fn new(part: &ZarrPart, selected: &Selected, chunk: &Chunk) -> Option<Self> {
        let layout = &part.layout;
        let (mut out, mut from) = (Vec::new(), Vec::new());
        for ((axis, &index), &len) in selected.axes.iter().zip(&chunk.index).zip(&layout.chunks) {
            let start = index * len;
            let within = axis.within(&(start..start.saturating_add(len)));
            if within.is_empty() {
                return None;
            }
            // Within a chunk, whose bytes fit memory.
            from.push(((axis.element(within.start) - start) as usize, axis.step as isize));
            out.push(within);
        }
        let shape = selected.shape();
        let mut target = Self {
            out,
            from,
            shape,
            whole: None,
        };
        target.whole = target.in_one_piece(&layout.chunks, layout.dtype.size_bytes() as usize);
        Some(target)
    }

    fn in_one_piece(&self, chunks: &[u64], item: usize) -> Option<Range<usize>> {
        let is_whole = |axis: usize| {
            let len = chunks[axis] as usize;
            self.out[axis].len() == len && (len == 1 || self.from[axis] == (0, 1))
        };
        if !(0..chunks.len()).all(is_whole) {
            return None;
        }
        // Behind the first axis along which the chunk is longer than one, it must be as long as the result.
        let first = chunks.iter().position(|len| *len > 1).unwrap_or(chunks.len());
        if (first + 1..chunks.len()).any(|axis| self.out[axis].len() != self.shape[axis]) {
            return None;
        }
        let start = self.offset(&self.out.iter().map(|range| range.start).collect::<Vec<_>>()) * item;
        let len = chunks.iter().product::<u64>() as usize * item;
        Some(start..start + len)
    }

    /// An element's place in the result.
    fn offset(&self, index: &[usize]) -> usize {
        index
            .iter()
            .zip(&self.shape)
            .fold(0, |offset, (i, len)| offset * len + i)
    }

    fn decode(
        &self,
        part: &ZarrPart,
        chunk: &Chunk,
        out: &mut [u8],
        scratch: &mut Vec<u8>,
    ) -> Result<(), String> {
        if let Some(whole) = &self.whole {
            return part.layout.decode(&chunk.bytes, &mut out[whole.clone()]);
        }
        scratch.resize(part.layout.chunk_bytes(), 0);
        part.layout.decode(&chunk.bytes, scratch)?;
        self.copy(part, scratch, out);
        Ok(())
    }

    /// Copies a decoded chunk's elements to their places, row by row.
    fn copy(&self, part: &ZarrPart, chunk: &[u8], out: &mut [u8]) {
        let item = part.layout.dtype.size_bytes() as usize;
        let Some((last, step)) = self.from.last().map(|&(_, step)| (self.from.len() - 1, step)) else {
            out.copy_from_slice(chunk);
            return;
        };
        let chunks: Vec<usize> = part.layout.chunks.iter().map(|&len| len as usize).collect();
        let count = self.out[last].len();
        self.each_row(|row| {
            let source = (0..self.from.len()).fold(0, |offset, axis| {
                let (first, step) = self.from[axis];
                let k = if axis == last { 0 } else { row[axis] };
                offset * chunks[axis] + first.wrapping_add_signed(step * k as isize)
            });
            let at: Vec<usize> = row
                .iter()
                .zip(&self.out)
                .map(|(k, range)| range.start + k)
                .collect();
            let target = &mut out[self.offset(&at) * item..][..count * item];
            if step == 1 {
                target.copy_from_slice(&chunk[source * item..][..count * item]);
                return;
            }
            for (k, element) in target.chunks_exact_mut(item).enumerate() {
                let source = source.wrapping_add_signed(step * k as isize) * item;
                element.copy_from_slice(&chunk[source..source + item]);
            }
        });
    }

    fn fill(&self, part: &ZarrPart, out: &mut [u8]) {
        let fill = &part.layout.fill;
        let count = self.out.last().map_or(1, Range::len);
        self.each_row(|row| {
            let at: Vec<usize> = row
                .iter()
                .zip(&self.out)
                .map(|(k, range)| range.start + k)
                .collect();
            let row = &mut out[self.offset(&at) * fill.len()..][..count * fill.len()];
            row.chunks_exact_mut(fill.len())
                .for_each(|element| element.copy_from_slice(fill));
        });
    }

    /// Calls with the index, within the chunk's part of the result, of the first element of each of its rows.
    fn each_row(&self, mut visit: impl FnMut(&[usize])) {
        let mut row = vec![0; self.out.len()];
        loop {
            visit(&row);
            let mut axis = self.out.len().saturating_sub(1);
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                row[axis] += 1;
                if row[axis] < self.out[axis].len() {
                    break;
                }
                row[axis] = 0;
            }
        }
    }
}
