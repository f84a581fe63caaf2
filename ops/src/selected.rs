use serde::{Deserialize, Serialize};

use crate::{BlockAxis, NodeId};

/// Keeps the places along an axis where a mask is true, which somebody has counted before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compress {
    /// Operand.
    pub x: NodeId,
    /// Booleans of one axis, as long as the operand's.
    pub mask: NodeId,
    /// The axis.
    pub axis: usize,
    /// How many are true, block by block; a block with another number is an error.
    pub extent: BlockAxis,
}

/// Finds the distinct elements of an array of one axis, sorted.
///
/// NaN counts as greater than all numbers. Of equal elements the first one stands for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distinct {
    /// Operand.
    pub x: NodeId,
    /// Where each element stands in the whole array, int64, rising among equal ones; unless given, where it stands in this one.
    pub positions: Option<NodeId>,
    /// How often each occurs in the whole array, int64; unless given, once.
    pub counts: Option<NodeId>,
    /// What is told of them.
    pub part: DistinctPart,
    /// Whether all that is NaN is one element, or each of them one of its own.
    pub equal_nan: bool,
    /// The operand's extent, from which positions count.
    pub source: BlockAxis,
    /// The distinct elements, block by block, which somebody has counted before; a block with another number is an error.
    /// For [`DistinctPart::Len`] one for each block.
    pub made: BlockAxis,
}

/// What is told of distinct elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DistinctPart {
    /// The elements, rising.
    Values,
    /// Where each stands first, int64.
    Positions,
    /// How often each occurs, int64.
    Counts,
    /// How many there are, int64: one element.
    Len,
}
