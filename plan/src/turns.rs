//! The order in which a plan's outputs are made: one after the other, but those that are made of the same chunks in turn.

use std::ops::Range;

use crate::{LayerId, Plan, Source};

/// Bytes of an output's neighbouring blocks that are made before the next output of the turn is.
const STRIDE_BYTES: u64 = 16 << 20;
/// The most blocks of a stride.
const STRIDE_BLOCKS_MAX: u64 = 64;
/// Layers that are looked at for what outputs share, all outputs together; above it, none are made in turn.
const LOOKED_AT_MAX: usize = 1 << 22;

/// The order of a plan's outputs, as [`Plan::turns`] gives it.
///
/// Outputs that are largely made of the same chunks take turns, some blocks each, so that what they share can be dropped
/// when both have it. If the first were made as a whole, all of that would lie in memory until the second is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turns {
    turns: Vec<Turn>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Turn {
    /// Positions in the plan's outputs, and the blocks of each.
    outputs: Range<usize>,
    blocks: u64,
    /// Blocks of an output before the next has its turn.
    stride: u64,
}

/// A place in the order; later ones are greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    turn: usize,
    /// The first block of the stride.
    start: u64,
    output: usize,
    block: u64,
}

impl Turns {
    /// What comes at a place or next after it: the position of an output, a block of it, and how many neighbours from it
    /// on come before any other output's; `None` at the end.
    pub fn at(&self, place: &mut Place) -> Option<(usize, u64, u64)> {
        loop {
            let turn = self.turns.get(place.turn)?;
            place.output = place.output.max(turn.outputs.start);
            let end = place.start.saturating_add(turn.stride).min(turn.blocks);
            if place.block < end {
                return Some((place.output, place.block, end - place.block));
            }
            let next = place.output + 1;
            *place = if turn.outputs.contains(&next) {
                Place {
                    output: next,
                    block: place.start,
                    ..*place
                }
            } else if end < turn.blocks {
                Place {
                    start: end,
                    output: turn.outputs.start,
                    block: end,
                    ..*place
                }
            } else {
                Place {
                    turn: place.turn + 1,
                    ..Place::default()
                }
            };
        }
    }

    /// The place behind the next `count` blocks, no more than [`at`](Self::at) gave.
    pub fn pass(&self, place: &mut Place, count: u64) {
        place.block += count;
    }

    /// Where a block of the output at a position has its turn.
    pub fn place_of(&self, output: usize, block: u64) -> Place {
        let turn = self.turns.partition_point(|turn| turn.outputs.end <= output);
        let stride = self.turns.get(turn).map_or(1, |turn| turn.stride);
        Place {
            turn,
            start: block / stride * stride,
            output,
            block,
        }
    }
}

impl Plan {
    /// The order in which outputs are made.
    pub fn turns(&self) -> Turns {
        let outputs = self.outputs();
        let is_looked_at = outputs.len().saturating_mul(self.layers().len()) <= LOOKED_AT_MAX;
        let mut turns: Vec<Turn> = Vec::new();
        // By layer, whether the output before is made of it, where that was asked.
        let mut before: Option<Vec<bool>> = None;
        for (at, output) in outputs.iter().enumerate() {
            let blocks = self.layer(output.layer).grid.block_count();
            let may_join = is_looked_at && blocks > 1;
            let one = match turns.last() {
                Some(turn) if may_join && turn.blocks == blocks => before
                    .take()
                    .or_else(|| Some(self.needed_by(outputs[at - 1].layer))),
                _ => None,
            };
            let other = one.as_ref().map(|_| self.needed_by(output.layer));
            let shared = one
                .zip(other.as_ref())
                .filter(|(one, other)| self.are_of_the_same(one, other));
            match (shared, turns.last_mut()) {
                (Some((one, other)), Some(turn)) => {
                    turn.stride = turn.stride.min(self.stride(&one)).min(self.stride(other));
                    turn.outputs.end = at + 1;
                }
                _ => turns.push(Turn {
                    outputs: at..at + 1,
                    blocks,
                    stride: blocks.max(1),
                }),
            }
            before = other;
        }
        Turns { turns }
    }

    /// How many blocks of an output are made before the next has its turn: fewer where chunks of what it is made of are
    /// large.
    fn stride(&self, needed: &[bool]) -> u64 {
        let layers = self
            .layers()
            .iter()
            .zip(needed)
            .filter(|(_, is_needed)| **is_needed);
        let most = layers
            .map(|(layer, _)| layer.output_bytes_max())
            .max()
            .unwrap_or(0);
        (STRIDE_BYTES / most.max(1)).clamp(1, STRIDE_BLOCKS_MAX)
    }

    /// By layer, whether an output is made of it.
    fn needed_by(&self, output: LayerId) -> Vec<bool> {
        let mut needed = vec![false; self.layers().len()];
        needed[output.0 as usize] = true;
        for at in (0..=output.0 as usize).rev() {
            if !needed[at] {
                continue;
            }
            for input in &self.layers()[at].inputs {
                if let Source::Layer(source) = input.source {
                    needed[source.0 as usize] = true;
                }
            }
        }
        needed
    }

    /// Whether what two outputs share takes at least as many bytes as what either of them has for itself.
    fn are_of_the_same(&self, one: &[bool], other: &[bool]) -> bool {
        let bytes = |is_counted: &dyn Fn(usize) -> bool| {
            let counted = self.layers().iter().enumerate().filter(|(at, _)| is_counted(*at));
            let all = counted.map(|(_, layer)| layer.grid.element_count().saturating_mul(layer.item_bytes));
            all.fold(0, u64::saturating_add)
        };
        let shared = bytes(&|at| one[at] && other[at]);
        shared > 0 && shared >= bytes(&|at| one[at] && !other[at]).max(bytes(&|at| other[at] && !one[at]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AxisChunks, AxisWindow, Body, ChunkGrid, Input, InputMap, Layer, Output, PlanBuilder};

    /// Chunks of a Mi elements.
    fn layer(blocks: u64, sources: &[LayerId], item_bytes: u64) -> Layer {
        let grid = ChunkGrid::new(vec![AxisChunks::regular(blocks << 20, 1 << 20).unwrap()]).unwrap();
        let input = |&source: &LayerId| Input {
            source: Source::Layer(source),
            map: InputMap::Product(vec![AxisWindow::Aligned { out_axis: 0 }]),
        };
        Layer::new(
            "any",
            grid,
            item_bytes,
            Body::new(Vec::new()),
            sources.iter().map(input).collect(),
        )
    }

    fn order(plan: &Plan) -> Vec<(usize, u64)> {
        let (turns, mut place, mut order) = (plan.turns(), Place::default(), Vec::new());
        while let Some((output, block, count)) = turns.at(&mut place) {
            assert_eq!(turns.place_of(output, block), place);
            order.extend((0..count).map(|k| (output, block + k)));
            turns.pass(&mut place, count);
        }
        order
    }

    fn plan(item_bytes: u64, own: bool) -> Plan {
        let mut plan = PlanBuilder::new();
        let shared = plan.layer(layer(3, &[], 2 * item_bytes)).unwrap();
        let other = plan.layer(layer(3, &[], 8 * item_bytes)).unwrap();
        for sources in [vec![shared], if own { vec![shared, other] } else { vec![shared] }] {
            let made = plan.layer(layer(3, &sources, item_bytes)).unwrap();
            plan.output(Output {
                layer: made,
                keep: None,
            })
            .unwrap();
        }
        plan.finish()
    }

    #[test]
    fn outputs_of_the_same_chunks_take_turns() {
        let want = [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)];
        assert_eq!(order(&plan(32, false)), want);
    }

    #[test]
    fn small_neighbours_stay_together() {
        let want = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (1, 2)];
        assert_eq!(order(&plan(4, false)), want);
    }

    #[test]
    fn outputs_that_have_more_of_their_own_are_made_one_after_the_other() {
        let want = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)];
        assert_eq!(order(&plan(32, true)), want);
    }

    #[test]
    fn places_rise_along_the_order() {
        let plan = plan(4, false);
        let turns = plan.turns();
        let places: Vec<Place> = order(&plan)
            .iter()
            .map(|&(output, block)| turns.place_of(output, block))
            .collect();
        assert!(places.is_sorted());
    }
}
