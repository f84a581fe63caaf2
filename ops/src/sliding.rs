//! Windows of neighbours along an axis.

use serde::{Deserialize, Serialize};

use crate::{BlockAxis, NodeId};

/// Shows the windows of so many neighbours along an axis, which becomes shorter by all but one of them; they lie along a
/// new axis behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sliding {
    /// Operand.
    pub x: NodeId,
    /// The axis.
    pub axis: usize,
    /// Elements of a window, at least 1.
    pub len: u64,
    /// Windows before the first one of the array, if it is a part of a longer one.
    pub start: u64,
    /// Which of the array's windows the block has. Sums of windows are put together from sums of blocks that begin at
    /// multiples of `len`, counted with those before: so they do not depend on how the axis is cut.
    pub extent: BlockAxis,
}
