use std::ops::Range;

use graticule_plan::Piece;

use crate::{Chunk, KernelError, Tensor, TensorMut, buffer::with_scratch, tensor::sizes};

/// What a task sees of one input: the regions of source chunks that it needs, put together.
#[derive(Debug, Clone)]
pub struct Window {
    /// The elements. A chunk without parts if the window is empty and no source had to be fetched.
    pub chunk: Chunk,
    /// Along each axis the parts of source blocks that make up the window, in order.
    pub axes: Vec<Vec<Piece>>,
}

impl Window {
    /// A window that is one whole array, as if it were a single source block.
    pub fn whole(chunk: Chunk) -> Self {
        let piece = |&len: &usize| {
            vec![Piece {
                block: 0,
                start: 0,
                len: len as u64,
                at: 0,
                element: 0,
            }]
        };
        let axes = chunk.shape().iter().map(piece).collect();
        Self { chunk, axes }
    }

    /// Puts regions together.
    ///
    /// `axes` is what [`BlockMap::window`](graticule_plan::BlockMap::window) gives for the block; `regions` are the
    /// [regions](graticule_plan::BlockMap::region) of [`BlockMap::sources`](graticule_plan::BlockMap::sources), in
    /// that order. A window of one region is that region, without a copy.
    ///
    /// # Errors
    /// [`KernelError::Window`] if the regions are not what the pieces ask for; [`KernelError::TooLarge`].
    pub fn assemble(axes: Vec<Vec<Piece>>, regions: Vec<Chunk>) -> Result<Self, KernelError> {
        let mut builder = WindowBuilder::new(axes)?;
        if regions.len() != builder.region_count() {
            let (got, want) = (regions.len(), builder.region_count());
            return Err(KernelError::Window(format!("{got} regions for {want} pieces")));
        }
        for (position, region) in regions.into_iter().enumerate() {
            builder.place(position, region)?;
        }
        builder.finish()
    }

    /// Elements along each axis.
    pub fn shape(&self) -> Vec<u64> {
        self.axes
            .iter()
            .map(|pieces| pieces.iter().map(|piece| piece.len).sum())
            .collect()
    }
}

/// Puts a [`Window`] together from regions as they arrive, in any order.
pub struct WindowBuilder {
    axes: Vec<Vec<Piece>>,
    shape: Vec<usize>,
    counts: Vec<usize>,
    is_placed: Vec<bool>,
    parts: Parts,
    is_scratch: bool,
}

enum Parts {
    Nothing,
    /// The only region.
    Whole(Chunk),
    Several(Vec<TensorMut>),
}

impl WindowBuilder {
    /// Begins a window of the given pieces.
    ///
    /// # Errors
    /// [`KernelError::Window`] if the pieces do not stand one after the other; [`KernelError::TooLarge`].
    pub fn new(axes: Vec<Vec<Piece>>) -> Result<Self, KernelError> {
        let mut shape = Vec::with_capacity(axes.len());
        for pieces in &axes {
            let mut end = 0u64;
            for piece in pieces {
                let next = end.checked_add(piece.len).filter(|_| piece.at == end);
                end = next
                    .ok_or_else(|| KernelError::Window(format!("piece {piece:?} does not begin at {end}")))?;
            }
            let len = usize::try_from(end);
            shape.push(len.map_err(|_| KernelError::Window(format!("axis of {end} elements")))?);
        }
        let counts: Vec<usize> = axes.iter().map(Vec::len).collect();
        // A flag for each region; the limit of bytes bounds their number too.
        let (region_count, _) = sizes(graticule_plan::DType::Bool, &counts)?;
        Ok(Self {
            axes,
            shape,
            counts,
            is_placed: vec![false; region_count],
            parts: Parts::Nothing,
            is_scratch: false,
        })
    }

    /// The window is for its task alone, which [does not let it leave](crate::inputs_that_leave).
    #[must_use]
    pub fn as_scratch(self) -> Self {
        Self {
            is_scratch: true,
            ..self
        }
    }

    /// How many regions the window has.
    pub fn region_count(&self) -> usize {
        self.is_placed.len()
    }

    /// Puts in the region at `position` of the window's sources (C order of the pieces).
    ///
    /// # Errors
    /// [`KernelError::Window`] if it does not fit there, or in dtypes or number of parts with those before it.
    pub fn place(&mut self, position: usize, region: Chunk) -> Result<(), KernelError> {
        let pieces = self.pieces_at(position)?;
        let shape: Vec<usize> = pieces.iter().map(|piece| piece.len as usize).collect();
        if region.parts().is_empty() || region.shape() != shape {
            let got = region.shape();
            return Err(KernelError::Window(format!(
                "region {position} has shape {got:?}, want {shape:?}"
            )));
        }
        if self.is_placed.len() == 1 {
            self.parts = Parts::Whole(region);
        } else {
            let at: Vec<usize> = pieces.iter().map(|piece| piece.at as usize).collect();
            self.copy(&region, &at, &vec![0; at.len()], &shape)?;
        }
        self.is_placed[position] = true;
        Ok(())
    }

    /// As [`place`](Self::place), with the region still within its chunk: it is copied from there to where it belongs.
    ///
    /// # Errors
    /// As [`place`](Self::place), and if the box is not within the chunk.
    pub fn place_from(
        &mut self,
        position: usize,
        chunk: &Chunk,
        region: &[Range<u64>],
    ) -> Result<(), KernelError> {
        if self.is_placed.len() == 1 {
            return self.place(position, chunk.region(region)?);
        }
        let pieces = self.pieces_at(position)?;
        let fits = region.len() == pieces.len()
            && chunk.shape().len() == pieces.len()
            && region
                .iter()
                .zip(&pieces)
                .zip(chunk.shape())
                .all(|((range, piece), &len)| {
                    range.end.checked_sub(range.start) == Some(piece.len) && range.end <= len as u64
                });
        if !fits {
            let shape = chunk.shape();
            return Err(KernelError::Window(format!(
                "region {region:?} of a chunk of shape {shape:?} is not {pieces:?}"
            )));
        }
        let at: Vec<usize> = pieces.iter().map(|piece| piece.at as usize).collect();
        let from: Vec<usize> = region.iter().map(|range| range.start as usize).collect();
        let shape: Vec<usize> = pieces.iter().map(|piece| piece.len as usize).collect();
        self.copy(chunk, &at, &from, &shape)?;
        self.is_placed[position] = true;
        Ok(())
    }

    /// The finished window.
    ///
    /// # Errors
    /// [`KernelError::Window`] if a region is missing.
    pub fn finish(self) -> Result<Window, KernelError> {
        if let Some(missing) = self.is_placed.iter().position(|placed| !placed) {
            return Err(KernelError::Window(format!("region {missing} is missing")));
        }
        let chunk = match self.parts {
            Parts::Nothing => Chunk::default(),
            Parts::Whole(chunk) => chunk,
            Parts::Several(parts) => Chunk::new(parts.into_iter().map(TensorMut::freeze).collect())?,
        };
        Ok(Window {
            chunk,
            axes: self.axes,
        })
    }

    fn pieces_at(&self, position: usize) -> Result<Vec<Piece>, KernelError> {
        if self.is_placed.get(position) != Some(&false) {
            let count = self.is_placed.len();
            return Err(KernelError::Window(format!(
                "region {position} of {count} is not awaited"
            )));
        }
        let mut rest = position;
        let mut pieces = Vec::with_capacity(self.axes.len());
        for (axis, &count) in self.axes.iter().zip(&self.counts).rev() {
            pieces.push(axis[rest % count]);
            rest /= count;
        }
        pieces.reverse();
        Ok(pieces)
    }

    /// Copies a box of a chunk to its place.
    fn copy(
        &mut self,
        region: &Chunk,
        at: &[usize],
        from: &[usize],
        shape: &[usize],
    ) -> Result<(), KernelError> {
        if matches!(self.parts, Parts::Nothing) {
            let parts = region
                .parts()
                .iter()
                .map(|part| TensorMut::for_overwrite(part.dtype(), &self.shape));
            let parts = with_scratch(self.is_scratch, || parts.collect::<Result<_, _>>());
            self.parts = Parts::Several(parts?);
        }
        let Parts::Several(parts) = &mut self.parts else {
            unreachable!("a single region is not copied")
        };
        if parts.len() != region.parts().len() {
            let (got, want) = (region.parts().len(), parts.len());
            return Err(KernelError::Window(format!(
                "region of {got} parts among regions of {want}"
            )));
        }
        for (part, source) in parts.iter_mut().zip(region.parts()) {
            part.copy_box(at, source, from, shape)?;
        }
        Ok(())
    }
}

/// Puts tensors one after another along an axis.
///
/// # Errors
/// [`KernelError::Window`] if their dtypes or other axes differ, or if there are none.
pub(crate) fn concatenate(tensors: &[&Tensor], axis: usize) -> Result<Tensor, KernelError> {
    let first = tensors
        .first()
        .ok_or_else(|| KernelError::Window("nothing to concatenate".into()))?;
    let mut shape = first.shape().to_vec();
    if axis >= shape.len() {
        return Err(KernelError::Window(format!(
            "axis {axis} of {} axes",
            shape.len()
        )));
    }
    shape[axis] = tensors
        .iter()
        .map(|t| t.shape().get(axis).copied().unwrap_or(0))
        .sum();
    for tensor in tensors {
        let mut want = shape.clone();
        want[axis] = tensor.shape().get(axis).copied().unwrap_or(0);
        if tensor.shape() != want {
            let got = tensor.shape();
            return Err(KernelError::Window(format!(
                "operand of shape {got:?} among those of {want:?}"
            )));
        }
    }
    // What is put at the ends of an array is nothing in all blocks but the outermost.
    if let Some(only) = tensors.iter().find(|tensor| tensor.shape()[axis] == shape[axis]) {
        return Ok((*only).clone());
    }
    let mut out = TensorMut::for_overwrite(first.dtype(), &shape)?;
    let mut at = vec![0; shape.len()];
    for tensor in tensors {
        out.copy_box(&at, tensor, &vec![0; shape.len()], tensor.shape())?;
        at[axis] += tensor.shape()[axis];
    }
    Ok(out.freeze())
}

/// The positions of a window along one axis that hold the given elements of the whole axis.
pub(crate) fn locate(pieces: &[Piece], elements: &[u64]) -> Result<Vec<usize>, u64> {
    let mut sorted: Vec<&Piece> = pieces.iter().filter(|piece| piece.len > 0).collect();
    sorted.sort_by_key(|piece| piece.element);
    let find = |&element: &u64| {
        let after = sorted.partition_point(|piece| piece.element <= element);
        let piece = sorted[..after]
            .last()
            .filter(|piece| element - piece.element < piece.len);
        piece
            .map(|piece| (piece.at + (element - piece.element)) as usize)
            .ok_or(element)
    };
    elements.iter().map(find).collect()
}
