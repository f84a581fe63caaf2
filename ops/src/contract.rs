use serde::{Deserialize, Serialize};

use crate::NodeId;

/// A sum of products of two arrays of one dtype over axes that they share.
///
/// The result has the batch axes first, then the other axes of the first operand, those of the second, and `parts` axes
/// of length 1. Integers wrap; of booleans it is whether any pair is true.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Contraction {
    /// Axes of the first and of the second operand that run along together.
    pub batch: Vec<(usize, usize)>,
    /// Axes of the first and of the second operand that are summed over.
    pub summed: Vec<(usize, usize)>,
    /// Axes of length 1 at the end, along which the products of other blocks of summed axes stand.
    pub parts: usize,
}

/// Which operand of a contraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The first.
    Left,
    /// The second.
    Right,
}

impl Contraction {
    fn of(side: Side, pairs: &[(usize, usize)]) -> Vec<usize> {
        pairs
            .iter()
            .map(|&(x, y)| if side == Side::Left { x } else { y })
            .collect()
    }

    /// The batch axes of an operand.
    pub fn batch_of(&self, side: Side) -> Vec<usize> {
        Self::of(side, &self.batch)
    }

    /// The summed axes of an operand.
    pub fn summed_of(&self, side: Side) -> Vec<usize> {
        Self::of(side, &self.summed)
    }

    /// The axes of an operand of `ndim` axes that it alone has, rising.
    pub fn free_of(&self, side: Side, ndim: usize) -> Vec<usize> {
        let (batch, summed) = (self.batch_of(side), self.summed_of(side));
        (0..ndim)
            .filter(|axis| !batch.contains(axis) && !summed.contains(axis))
            .collect()
    }

    /// Whether an operand of `ndim` axes must be brought into another order before it is a stack of matrices: its free
    /// axes, or its summed ones, are no run of neighbours.
    pub fn must_transpose(&self, side: Side, ndim: usize) -> bool {
        let is_run = |axes: &[usize]| axes.windows(2).all(|pair| pair[1] == pair[0] + 1);
        !is_run(&self.free_of(side, ndim)) || !is_run(&self.summed_of(side))
    }
}

/// A contraction of two operands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contract {
    /// First operand.
    pub x: NodeId,
    /// Second operand.
    pub y: NodeId,
    /// Number of axes of each.
    pub ndims: (usize, usize),
    /// Which axes are summed over.
    pub contraction: Contraction,
}
