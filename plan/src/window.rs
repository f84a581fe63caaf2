use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Inverse, Key, LayerId};

/// What one block of a layer needs of another array.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Input {
    /// The array.
    pub source: Source,
    /// The part of it that each block needs.
    pub map: InputMap,
}

/// Where an input comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Source {
    /// A layer of the same plan that stands before the layer with the input, or that layer itself: then its blocks
    /// are a graph, and each needs only blocks before it.
    Layer(LayerId),
    /// A result that the cluster holds already.
    Held(Key),
}

/// The dependency map of an input: which part of the source each block of the layer needs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum InputMap {
    /// A box: for each axis of the *source* a window that depends on at most one axis of the layer's grid.
    Product(Vec<AxisWindow>),
    /// No product: block `i` of the layer needs the whole source blocks of row `i`.
    Blocks(Rows),
}

impl InputMap {
    /// Checks the map of a layer that reads itself: a block may need only blocks before it.
    pub(crate) fn check_own(&self) -> Result<(), String> {
        let InputMap::Blocks(rows) = self else {
            return Err("a layer reads itself only block by block".into());
        };
        let ahead =
            (0..rows.len() as u64).find(|&block| rows.row(block).iter().any(|&source| source >= block));
        match ahead {
            None => Ok(()),
            Some(block) => Err(format!("block {block} needs itself or a block after it")),
        }
    }
}

/// The part of one source axis that a block needs, in elements.
///
/// `out_axis` is the axis of the layer's own grid whose block index decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AxisWindow {
    /// Block `i` needs source block `i`; both axes are cut into equally many blocks.
    Aligned {
        /// The deciding axis.
        out_axis: usize,
    },
    /// Every block needs the whole axis.
    All,
    /// Every block needs the same source block.
    Block {
        /// The source block.
        block: u64,
    },
    /// Element `k` of the layer's axis needs element `start + step * k` of the source, where there is one.
    ///
    /// The window runs from the lowest to the highest of them: a rechunk (`start` 0, `step` 1), a slice, the part of
    /// a concatenation (negative `start`).
    Affine {
        /// The deciding axis.
        out_axis: usize,
        /// The source element of the layer's element 0.
        start: i64,
        /// Source elements from one of the layer's elements to the next; not 0.
        step: i64,
    },
    /// Block `i` needs source blocks `i * fan_in` up to `(i + 1) * fan_in`: a level of a tree reduction.
    Group {
        /// The deciding axis.
        out_axis: usize,
        /// Source blocks per block, at least 1.
        fan_in: u64,
    },
    /// Block `i` needs elements `intervals[i].0..intervals[i].1`, which may be none.
    Intervals {
        /// The deciding axis.
        out_axis: usize,
        /// One interval for each block.
        intervals: Arc<[(u64, u64)]>,
    },
    /// Block `i` needs the whole source blocks of row `i`, one after the other: lists of integers, group labels, and
    /// (as two runs) a periodic overlap.
    Rows {
        /// The deciding axis.
        out_axis: usize,
        /// Source blocks by block.
        rows: Rows,
    },
}

impl AxisWindow {
    /// The axis of the layer's grid that decides, if one does.
    pub(crate) fn out_axis(&self) -> Option<usize> {
        match self {
            AxisWindow::All | AxisWindow::Block { .. } => None,
            AxisWindow::Aligned { out_axis }
            | AxisWindow::Affine { out_axis, .. }
            | AxisWindow::Group { out_axis, .. }
            | AxisWindow::Intervals { out_axis, .. }
            | AxisWindow::Rows { out_axis, .. } => Some(*out_axis),
        }
    }
}

/// Lists of block indices, one for each block: compressed sparse rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rows {
    offsets: Arc<[u64]>,
    blocks: Arc<[u64]>,
}

impl Rows {
    /// Makes rows from lists. A list may name no block, but none twice.
    pub fn new<R: AsRef<[u64]>>(lists: impl IntoIterator<Item = R>) -> Self {
        let (mut offsets, mut blocks) = (vec![0], Vec::new());
        for list in lists {
            blocks.extend_from_slice(list.as_ref());
            offsets.push(blocks.len() as u64);
        }
        Self {
            offsets: offsets.into(),
            blocks: blocks.into(),
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The blocks of row `row`.
    pub fn row(&self, row: u64) -> &[u64] {
        let row = row as usize;
        &self.blocks[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    /// The length of the longest row.
    pub fn longest(&self) -> u64 {
        let lens = self.offsets.windows(2).map(|pair| pair[1] - pair[0]);
        lens.max().unwrap_or(0)
    }

    /// All blocks of all rows.
    pub fn blocks(&self) -> &[u64] {
        &self.blocks
    }

    /// The rows' starts in [`blocks`](Self::blocks), and its end.
    pub fn offsets(&self) -> &[u64] {
        &self.offsets
    }

    /// Puts rows together again from their two arrays.
    ///
    /// Returns `None` if the offsets do not fit the blocks.
    pub fn from_parts(offsets: Vec<u64>, blocks: Vec<u64>) -> Option<Self> {
        let rising = offsets.windows(2).all(|w| w[0] <= w[1]);
        let fits = offsets.first() == Some(&0) && offsets.last() == Some(&(blocks.len() as u64));
        (rising && fits).then(|| Self {
            offsets: offsets.into(),
            blocks: blocks.into(),
        })
    }

    /// For each of `source_count` blocks, of which none of the rows names a later one, the rows that name it.
    pub fn inverse(&self, source_count: u64) -> Inverse {
        Inverse::new(self, source_count)
    }

    /// Why these rows do not fit `row_count` blocks that read from `source_count` ones, if they do not.
    pub(crate) fn misfit(&self, row_count: u64, source_count: u64) -> Option<String> {
        if self.len() as u64 != row_count {
            return Some(format!("{} rows for {row_count} blocks", self.len()));
        }
        let mut sorted = Vec::new();
        for row in 0..row_count {
            sorted.clear();
            sorted.extend_from_slice(self.row(row));
            sorted.sort_unstable();
            if let Some(block) = sorted.last().filter(|&&block| block >= source_count) {
                return Some(format!("row {row} names block {block} of {source_count}"));
            }
            if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                return Some(format!("row {row} names block {} twice", twice[0]));
            }
        }
        None
    }
}
