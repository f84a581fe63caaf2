use std::{ops::Range, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::PlanError;

/// The most axes an array may have (NumPy 2 allows 64, no array in the field has more than 16).
pub const NDIM_MAX: usize = 16;
/// The most blocks one layer may have.
pub const BLOCK_COUNT_MAX: u64 = 1 << 40;

/// How one axis is cut into chunks.
///
/// An axis always has at least one block; a block may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AxisChunks {
    /// Chunks of `chunk` elements, the last one shorter where `len` asks for it.
    Regular {
        /// Elements along the axis.
        len: u64,
        /// Elements of a full chunk, at least 1.
        chunk: u64,
    },
    /// Chunks between neighbouring offsets; the first is 0 and the last the axis' length.
    Irregular {
        /// `count + 1` offsets that never fall.
        offsets: Arc<[u64]>,
    },
}

impl AxisChunks {
    /// Cuts `len` elements into chunks of `chunk`.
    ///
    /// # Errors
    /// [`PlanError::ChunkLength`] if `chunk` is 0 and `len` is not.
    pub fn regular(len: u64, chunk: u64) -> Result<Self, PlanError> {
        if chunk == 0 && len > 0 {
            return Err(PlanError::ChunkLength { len });
        }
        Ok(AxisChunks::Regular {
            len,
            chunk: chunk.max(1),
        })
    }

    /// One chunk that holds the whole axis.
    pub fn whole(len: u64) -> Self {
        AxisChunks::Regular {
            len,
            chunk: len.max(1),
        }
    }

    /// Chunks of the given lengths, in order; regular ones are recognised. No lengths mean one empty chunk.
    ///
    /// # Errors
    /// [`PlanError::TooLarge`] if the lengths overflow.
    pub fn from_lengths(lengths: &[u64]) -> Result<Self, PlanError> {
        let mut offsets = Vec::with_capacity(lengths.len() + 1);
        let mut end = 0u64;
        offsets.push(end);
        for &len in lengths {
            end = end.checked_add(len).ok_or(PlanError::TooLarge {
                what: "axis length",
                got: u64::MAX,
                limit: i64::MAX as u64,
            })?;
            offsets.push(end);
        }
        if let [first, rest @ .., last] = lengths
            && *first > 0
            && rest.iter().all(|len| len == first)
            && (1..=*first).contains(last)
        {
            return Ok(AxisChunks::Regular {
                len: end,
                chunk: *first,
            });
        }
        match lengths {
            [] => Ok(AxisChunks::whole(0)),
            [only] => Ok(AxisChunks::whole(*only)),
            _ => Ok(AxisChunks::Irregular {
                offsets: offsets.into(),
            }),
        }
    }

    /// Elements along the axis.
    pub fn len(&self) -> u64 {
        match self {
            AxisChunks::Regular { len, .. } => *len,
            AxisChunks::Irregular { offsets } => offsets[offsets.len() - 1],
        }
    }

    /// Whether the axis has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of blocks, at least 1.
    pub fn count(&self) -> u64 {
        match self {
            AxisChunks::Regular { len, chunk } => len.div_ceil(*chunk).max(1),
            AxisChunks::Irregular { offsets } => offsets.len() as u64 - 1,
        }
    }

    /// The elements of block `block`.
    ///
    /// # Panics
    /// If `block` is not below [`count`](Self::count).
    pub fn extent(&self, block: u64) -> Range<u64> {
        assert!(block < self.count(), "block {block} of {}", self.count());
        match self {
            AxisChunks::Regular { len, chunk } => (block * chunk).min(*len)..((block + 1) * chunk).min(*len),
            AxisChunks::Irregular { offsets } => {
                let block = usize::try_from(block).expect("blocks of irregular axes are indexed in memory");
                offsets[block]..offsets[block + 1]
            }
        }
    }

    /// The longest chunk's elements.
    pub fn chunk_max(&self) -> u64 {
        match self {
            AxisChunks::Regular { len, chunk } => (*chunk).min(*len),
            AxisChunks::Irregular { offsets } => offsets.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0),
        }
    }

    /// The lengths of all chunks.
    pub fn lengths(&self) -> Vec<u64> {
        (0..self.count())
            .map(|block| self.extent(block))
            .map(|r| r.end - r.start)
            .collect()
    }

    /// The block that holds element `element`; of several candidates (empty blocks) the one that is not empty.
    pub fn block_of(&self, element: u64) -> u64 {
        debug_assert!(element < self.len());
        match self {
            AxisChunks::Regular { chunk, .. } => element / chunk,
            AxisChunks::Irregular { offsets } => offsets.partition_point(|&o| o <= element) as u64 - 1,
        }
    }

    /// Whether any block is empty.
    pub fn has_empty_block(&self) -> bool {
        match self {
            AxisChunks::Regular { len, .. } => *len == 0,
            AxisChunks::Irregular { offsets } => offsets.windows(2).any(|w| w[0] == w[1]),
        }
    }

    /// Whether both cut the axis at the same elements, however that is written down.
    pub fn same_cuts(&self, other: &Self) -> bool {
        self == other
            || (self.len() == other.len()
                && self.count() == other.count()
                && (0..self.count()).all(|block| self.extent(block) == other.extent(block)))
    }

    pub(crate) fn validate(&self) -> Result<(), PlanError> {
        match self {
            AxisChunks::Regular { len, chunk: 0 } => Err(PlanError::ChunkLength { len: *len }),
            AxisChunks::Regular { .. } => Ok(()),
            AxisChunks::Irregular { offsets } => {
                let rising = offsets.windows(2).all(|w| w[0] <= w[1]);
                if offsets.len() >= 2 && offsets[0] == 0 && rising {
                    Ok(())
                } else {
                    Err(PlanError::Offsets)
                }
            }
        }
    }
}

/// How an array is cut into chunks: the product of its axes' cuts.
///
/// Blocks are numbered in C order, the last axis fastest. A 0-dimensional array has one block.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChunkGrid {
    axes: Vec<AxisChunks>,
}

impl ChunkGrid {
    /// Makes a grid from its axes.
    ///
    /// # Errors
    /// [`PlanError::TooLarge`] above [`NDIM_MAX`] axes, [`BLOCK_COUNT_MAX`] blocks or `i64::MAX` elements.
    pub fn new(axes: Vec<AxisChunks>) -> Result<Self, PlanError> {
        let too_large = |what, got, limit| Err(PlanError::TooLarge { what, got, limit });
        if axes.len() > NDIM_MAX {
            return too_large("number of axes", axes.len() as u64, NDIM_MAX as u64);
        }
        let (mut blocks, mut elements) = (1u64, 1u64);
        for axis in &axes {
            axis.validate()?;
            blocks = blocks.saturating_mul(axis.count());
            elements = elements.saturating_mul(axis.len().max(1));
        }
        if blocks > BLOCK_COUNT_MAX {
            return too_large("number of chunks", blocks, BLOCK_COUNT_MAX);
        }
        if elements > i64::MAX as u64 {
            return too_large("number of elements", elements, i64::MAX as u64);
        }
        Ok(Self { axes })
    }

    /// One chunk that holds an array of `shape`.
    ///
    /// # Errors
    /// As [`ChunkGrid::new`].
    pub fn whole(shape: &[u64]) -> Result<Self, PlanError> {
        Self::new(shape.iter().map(|&len| AxisChunks::whole(len)).collect())
    }

    /// Equal chunks of `chunks` over `shape`.
    ///
    /// # Errors
    /// As [`ChunkGrid::new`] and [`AxisChunks::regular`].
    pub fn regular(shape: &[u64], chunks: &[u64]) -> Result<Self, PlanError> {
        assert_eq!(shape.len(), chunks.len(), "one chunk length per axis");
        let axes = shape
            .iter()
            .zip(chunks)
            .map(|(&len, &chunk)| AxisChunks::regular(len, chunk));
        Self::new(axes.collect::<Result<_, _>>()?)
    }

    /// The cuts of each axis.
    pub fn axes(&self) -> &[AxisChunks] {
        &self.axes
    }

    /// Number of axes.
    pub fn ndim(&self) -> usize {
        self.axes.len()
    }

    /// The array's shape.
    pub fn shape(&self) -> Vec<u64> {
        self.axes.iter().map(AxisChunks::len).collect()
    }

    /// Elements of the whole array.
    pub fn element_count(&self) -> u64 {
        self.axes.iter().map(AxisChunks::len).product()
    }

    /// Blocks along each axis.
    pub fn block_counts(&self) -> Vec<u64> {
        self.axes.iter().map(AxisChunks::count).collect()
    }

    /// Blocks in all.
    pub fn block_count(&self) -> u64 {
        self.axes.iter().map(AxisChunks::count).product()
    }

    /// The index along each axis of the block at position `block`.
    pub fn unravel(&self, mut block: u64) -> Vec<u64> {
        let mut index = vec![0; self.axes.len()];
        for (place, axis) in index.iter_mut().zip(&self.axes).rev() {
            *place = block % axis.count();
            block /= axis.count();
        }
        debug_assert_eq!(block, 0, "block out of the grid");
        index
    }

    /// The position of the block at `index`.
    pub fn ravel(&self, index: &[u64]) -> u64 {
        debug_assert_eq!(index.len(), self.axes.len());
        index
            .iter()
            .zip(&self.axes)
            .fold(0, |acc, (&i, axis)| acc * axis.count() + i)
    }

    /// The elements of block `block` along each axis.
    pub fn extents(&self, block: u64) -> Vec<Range<u64>> {
        self.unravel(block)
            .into_iter()
            .zip(&self.axes)
            .map(|(i, axis)| axis.extent(i))
            .collect()
    }

    /// The shape of block `block`.
    pub fn block_shape(&self, block: u64) -> Vec<u64> {
        self.extents(block).into_iter().map(|r| r.end - r.start).collect()
    }

    /// Elements of block `block`.
    pub fn block_len(&self, mut block: u64) -> u64 {
        let mut len = 1;
        for axis in self.axes.iter().rev() {
            let extent = axis.extent(block % axis.count());
            len *= extent.end - extent.start;
            block /= axis.count();
        }
        len
    }

    /// Elements of the largest block.
    pub fn block_len_max(&self) -> u64 {
        self.axes.iter().map(AxisChunks::chunk_max).product()
    }
}
