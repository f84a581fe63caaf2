use serde::{Deserialize, Serialize};

use crate::NodeId;

/// Sorts each line along an axis, and keeps the first elements or their positions.
///
/// NaN counts as greater than all numbers; equal elements keep their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sort {
    /// Operand.
    pub x: NodeId,
    /// How.
    pub sorting: Sorting,
    /// The most elements that a line has.
    pub len_max: u64,
}

/// How lines are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sorting {
    /// The axis.
    pub axis: usize,
    /// The greatest first.
    pub descending: bool,
    /// Give positions along the line, int64, instead of elements.
    pub positions: bool,
    /// The most elements that are kept of a line.
    pub count: Option<u64>,
}

impl Sorting {
    /// Elements that are kept of a line of `len`.
    pub fn kept(&self, len: u64) -> u64 {
        self.count.map_or(len, |count| count.min(len))
    }
}

/// What is looked for in a sorted array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SearchKind {
    /// The first position whose element is not less, int64.
    Left,
    /// The first position whose element is greater, int64.
    Right,
    /// Whether there is an equal one. NaN equals none.
    Contains,
}

impl SearchKind {
    /// A name for layers and messages.
    pub const fn name(self) -> &'static str {
        match self {
            SearchKind::Left | SearchKind::Right => "searchsorted",
            SearchKind::Contains => "isin",
        }
    }
}

/// Looks each element up in a sorted array of one axis and the same dtype.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Search {
    /// The array, sorted as [`Sort`] does.
    pub sorted: NodeId,
    /// The elements.
    pub x: NodeId,
    /// What is looked for.
    pub kind: SearchKind,
}

/// Counts how often each number from 0 on stands in an array of int64.
///
/// The result has an axis of length 1 for each axis of the operand, and then one of the bins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Operand.
    pub x: NodeId,
    /// What each element counts for, float64 of the operand's shape, as then is the result; else it is int64.
    pub weights: Option<NodeId>,
    /// How.
    pub binning: Binning,
}

/// Which numbers are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Binning {
    /// Numbers below this are counted.
    pub count: u64,
    /// Leave other numbers out, which else are an error.
    pub drop_others: bool,
}
