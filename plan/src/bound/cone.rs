//! Which blocks of each layer a block of an output needs.

use std::ops::Range;

use super::{LOOKED_AT_MAX, NEEDED_MAX};
use crate::{BlockMap, ChunkGrid, LayerId, Plan};

/// An input that is a layer of the plan.
pub(super) struct Reader {
    pub(super) consumer: usize,
    pub(super) source: usize,
    pub(super) map: BlockMap,
    /// The most chunks that one block of the consumer needs.
    pub(super) sources_max: u64,
}

/// For each axis of a layer the blocks that a block of the output may need, as one run.
#[derive(Debug, Clone)]
pub(super) struct Cone {
    pub(super) spans: Vec<Span>,
}

#[derive(Debug, Clone)]
pub(super) enum Span {
    /// The same for all blocks of the output.
    Fixed(Range<u64>),
    /// By the block's index along one of the output's axes.
    Along { axis: usize, runs: Vec<Range<u64>> },
}

impl Reader {
    /// Whether each chunk is read by one block of the consumer at most.
    pub(super) fn is_one_to_one(&self) -> bool {
        let Some(deciders) = self.map.deciders() else {
            return false;
        };
        let axes = self.map.out_grid().axes().iter().enumerate();
        axes.filter(|(_, chunks)| chunks.count() > 1)
            .all(|(axis, chunks)| {
                let tells_apart = |source_axis: usize| {
                    let count = chunks.count();
                    if count > LOOKED_AT_MAX {
                        return self.map.is_disjoint(source_axis);
                    }
                    let runs: Vec<_> = (0..count).map(|i| self.map.reach(source_axis, i).0).collect();
                    let runs = runs.iter().filter(|run| !run.is_empty());
                    let pairs = || runs.clone().zip(runs.clone().skip(1));
                    pairs().all(|(a, b)| a.end <= b.start) || pairs().all(|(a, b)| b.end <= a.start)
                };
                let mut decided =
                    (0..deciders.len()).filter(|&source_axis| deciders[source_axis] == Some(axis));
                decided.any(tells_apart)
            })
    }
}

impl Cone {
    /// The most blocks of the layer that one block of the output needs.
    pub(super) fn len_max(&self) -> u64 {
        let lens = self.spans.iter().map(|span| match span {
            Span::Fixed(run) => len(run),
            Span::Along { runs, .. } => runs.iter().map(len).max().unwrap_or(0),
        });
        lens.fold(1, u64::saturating_mul)
    }

    /// With what another way to the layer needs of it.
    fn joined(self, other: Cone) -> Cone {
        let spans = self.spans.into_iter().zip(other.spans);
        Cone {
            spans: spans.map(|(a, b)| a.joined(b)).collect(),
        }
    }
}

impl Span {
    fn joined(self, other: Span) -> Span {
        match (self, other) {
            (
                Span::Along { axis, runs },
                Span::Along {
                    axis: same,
                    runs: more,
                },
            ) if axis == same => {
                let runs = runs.into_iter().zip(more);
                Span::Along {
                    axis,
                    runs: runs.map(|(a, b)| hull(a, b)).collect(),
                }
            }
            (a, b) => Span::Fixed(hull(a.whole(), b.whole())),
        }
    }

    fn whole(self) -> Range<u64> {
        match self {
            Span::Fixed(run) => run,
            Span::Along { runs, .. } => runs.into_iter().fold(0..0, hull),
        }
    }
}

pub(super) fn len(run: &Range<u64>) -> u64 {
    run.end - run.start
}

fn hull(a: Range<u64>, b: Range<u64>) -> Range<u64> {
    match (a.is_empty(), b.is_empty()) {
        (true, _) => b,
        (_, true) => a,
        (false, false) => a.start.min(b.start)..a.end.max(b.end),
    }
}

/// The cone of an output's blocks in each layer, `None` in those that it does not need; `None` at all if the output has
/// too many blocks along an axis.
pub(super) fn cones(
    plan: &Plan,
    readers: &[Reader],
    output: LayerId,
    grid: &ChunkGrid,
) -> Option<Vec<Option<Cone>>> {
    if grid.axes().iter().any(|chunks| chunks.count() > LOOKED_AT_MAX) {
        return None;
    }
    let mut cones: Vec<Option<Cone>> = vec![None; plan.layers().len()];
    let spans = grid
        .axes()
        .iter()
        .enumerate()
        .map(|(axis, chunks)| match chunks.count() {
            0 | 1 => Span::Fixed(0..chunks.count()),
            count => Span::Along {
                axis,
                runs: (0..count).map(|i| i..i + 1).collect(),
            },
        });
    cones[output.0 as usize] = Some(Cone {
        spans: spans.collect(),
    });
    // Consumers stand behind what they read.
    for reader in readers.iter().rev() {
        let Some(consumer) = &cones[reader.consumer] else {
            continue;
        };
        let seen = through(&reader.map, consumer);
        let before = cones[reader.source].take();
        cones[reader.source] = Some(match before {
            None => seen,
            Some(before) => before.joined(seen),
        });
    }
    Some(cones)
}

/// What a consumer's cone needs of a source.
fn through(map: &BlockMap, consumer: &Cone) -> Cone {
    let axes = map.source_grid().axes();
    let all = |axis: usize| 0..axes[axis].count();
    let Some(deciders) = map.deciders() else {
        let spans = (0..axes.len()).map(|axis| Span::Fixed(all(axis)));
        return Cone {
            spans: spans.collect(),
        };
    };
    let reach = |axis: usize, run: &Range<u64>| {
        if len(run) > LOOKED_AT_MAX {
            return all(axis);
        }
        let runs = run.clone().map(|i| map.reach(axis, i).0);
        runs.fold(0..0, hull)
    };
    let spans = deciders.iter().enumerate().map(|(axis, decider)| match decider {
        None => Span::Fixed(map.reach(axis, 0).0),
        Some(decider) => match &consumer.spans[*decider] {
            Span::Fixed(run) => Span::Fixed(reach(axis, run)),
            Span::Along { axis: along, runs } if runs.iter().map(len).sum::<u64>() <= NEEDED_MAX => {
                Span::Along {
                    axis: *along,
                    runs: runs.iter().map(|run| reach(axis, run)).collect(),
                }
            }
            Span::Along { .. } => Span::Fixed(all(axis)),
        },
    });
    Cone {
        spans: spans.collect(),
    }
}
