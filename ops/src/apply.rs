use std::sync::Arc;

use graticule_plan::{AxisChunks, DType, Digest};
use serde::{Deserialize, Serialize};

use crate::{BlockAxis, NodeId};

/// A call of a user's function with the blocks of arrays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Apply {
    /// The name by which workers know the function.
    pub function: Arc<str>,
    /// A table of bytes that the function is given with each call; without one there are none.
    pub payload: Option<Digest>,
    /// What it is given blocks of. An operand that is a tuple gives a block for each of its parts.
    pub operands: Vec<ApplyOperand>,
    /// Where the result's block lies, whose shape it must have.
    pub axes: Vec<ApplyAxis>,
    /// The dtypes of the result: one, or those of a tuple's parts.
    pub dtypes: Vec<DType>,
    /// So many leading axes of the result are loops: the function is called for each index of them, with the operands'
    /// last axes alone. Without, it is called once for the whole block.
    pub loops: Option<usize>,
    /// The most bytes that a call takes beside blocks and result, if the user said; planning alone asks for it.
    pub scratch_bytes: Option<u64>,
}

/// An array that a function is given blocks of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApplyOperand {
    /// The block.
    pub x: NodeId,
    /// Where it lies.
    pub axes: Vec<ApplyAxis>,
    /// Axes along which the block is made of several, which the function may want one by one.
    pub pieces: Vec<(usize, AxisChunks)>,
    /// Axes, the last ones, that no loop goes over; of use with [`Apply::loops`] alone.
    pub core_ndim: usize,
}

/// Where a block lies along an axis of an array of which the plan may make a part only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApplyAxis {
    /// The elements that the block covers of what the plan makes.
    pub extent: BlockAxis,
    /// Of the array as it was written down.
    pub whole: WholeAxis,
}

/// An axis of an array as it was written down, and where the part begins that a plan makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WholeAxis {
    /// Elements along it.
    pub len: u64,
    /// Blocks along it.
    pub block_count: u64,
    /// Blocks that are left out before the first that is made.
    pub blocks_before: u64,
    /// Their elements.
    pub elements_before: u64,
}

impl WholeAxis {
    /// An axis of which nothing is left out.
    pub fn new(chunks: &AxisChunks) -> Self {
        Self {
            len: chunks.len(),
            block_count: chunks.count(),
            blocks_before: 0,
            elements_before: 0,
        }
    }

    /// Leaves out so many more blocks, with so many elements, before the first.
    #[must_use]
    pub fn skip(mut self, blocks: u64, elements: u64) -> Self {
        self.blocks_before += blocks;
        self.elements_before += elements;
        self
    }
}
