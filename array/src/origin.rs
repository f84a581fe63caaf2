use graticule_plan::{ChunkGrid, DType};

use crate::{Array, expression::Op, reshape::gcd};

/// Where an array's elements come from, as far as planning a reduction over whole axes needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// Bytes that one element takes while it is made from reads: of the read elements it depends on.
    pub(crate) element_bytes: u64,
    /// Along each axis the length of the stored tiles beneath; 1 where any cut is as good.
    pub(crate) tile: Vec<u64>,
    /// Whether a rechunk can move into the reads: there is nothing but elementwise work and views in between.
    pub(crate) is_read: bool,
}

/// Shared subexpressions are counted each time they are used, so the sum is capped.
const ELEMENT_BYTES_MAX: u64 = 64;
/// Tiles that agree on no common multiple below this are not aligned to.
const TILE_MAX: u64 = 1 << 20;

impl Origin {
    pub(crate) fn infer(op: &Op, operands: &[Array], dtype: DType, grid: &ChunkGrid) -> Self {
        let ndim = grid.ndim();
        let free = || vec![1; ndim];
        let pass = |tile: Vec<u64>| {
            let Origin {
                element_bytes,
                is_read,
                ..
            } = operands[0].0.origin;
            Self {
                element_bytes,
                tile,
                is_read,
            }
        };
        let inner = || &operands[0].0.origin.tile;
        match op {
            Op::Source { table, selection } => {
                let tile = table.tile.iter().zip(selection);
                let tile = tile
                    .map(|(tile, s)| (tile / s.step.unsigned_abs()).max(1))
                    .collect();
                Self {
                    element_bytes: table.item_bytes,
                    tile,
                    is_read: true,
                }
            }
            Op::Constant(_) | Op::Full(_) | Op::Arange { .. } => Self {
                element_bytes: 0,
                tile: free(),
                is_read: true,
            },
            Op::Random(_) => Self {
                element_bytes: dtype.size_bytes(),
                tile: free(),
                is_read: true,
            },
            Op::Cast | Op::Unary(_) | Op::Binary(_) | Op::Where => Self::elementwise(operands, ndim),
            Op::Slice(selection) => {
                let tile = inner().iter().zip(selection);
                pass(
                    tile.map(|(tile, s)| (tile / s.step.unsigned_abs()).max(1))
                        .collect(),
                )
            }
            Op::Rechunk => pass(inner().clone()),
            Op::Transpose(order) => pass(order.iter().map(|&axis| inner()[axis]).collect()),
            Op::ExpandDims(axis) => {
                let mut tile = inner().clone();
                tile.insert(*axis, 1);
                pass(tile)
            }
            Op::Squeeze(axis) => {
                let mut tile = inner().clone();
                tile.remove(*axis);
                pass(tile)
            }
            Op::BroadcastTo => {
                let mut tile = free();
                tile[ndim - inner().len()..].copy_from_slice(inner());
                pass(tile)
            }
            Op::Held(_)
            | Op::Take { .. }
            | Op::Reshape(_)
            | Op::TakeAlong(_)
            | Op::CountTrue
            | Op::Compress(_)
            | Op::Compact(_)
            | Op::Distinct(_)
            | Op::Windows(_)
            | Op::Sliding { .. }
            | Op::Concatenate(_)
            | Op::Reduce(_)
            | Op::GroupReduce(_)
            | Op::Scan(..)
            | Op::Sort(_)
            | Op::Search(_)
            | Op::Count(_)
            | Op::Contract { .. }
            | Op::Apply(_)
            | Op::Part(_)
            | Op::Linalg(_)
            | Op::Fourier(_)
            | Op::Partial(_)
            | Op::Combine(..)
            | Op::Finish(_) => Self {
                element_bytes: dtype.size_bytes(),
                tile: free(),
                is_read: false,
            },
        }
    }

    fn elementwise(operands: &[Array], ndim: usize) -> Self {
        let mut all = Self {
            element_bytes: 0,
            tile: vec![1; ndim],
            is_read: true,
        };
        for Array(operand) in operands {
            let origin = &operand.origin;
            all.element_bytes = (all.element_bytes + origin.element_bytes).min(ELEMENT_BYTES_MAX);
            all.is_read &= origin.is_read;
            let lead = ndim - origin.tile.len();
            for (tile, &other) in all.tile[lead..].iter_mut().zip(&origin.tile) {
                let common = *tile / gcd(*tile, other) * other;
                *tile = if common <= TILE_MAX {
                    common
                } else {
                    (*tile).max(other)
                };
            }
        }
        all
    }
}
