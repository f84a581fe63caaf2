//! How many blocks of a layer are needed by blocks of an output on both sides of one, in C order.

use std::ops::Range;

use super::{
    NEEDED_MAX,
    cone::{Cone, Span, len},
};
use crate::ChunkGrid;

/// Blocks of a layer, as one output's blocks need them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Carried {
    /// The most that two blocks of the output need of which one is not before a certain one, and the other not after it.
    pub(super) across: u64,
    /// The most that one block needs.
    pub(super) cone: u64,
    /// Those that any block needs.
    pub(super) all: u64,
}

/// Blocks along one axis, told apart by the indices of the output that need them: some index, ones before it, after it.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// Before and after, whether by the index itself or not.
    through: u64,
    /// Before and by the index, not after.
    until: u64,
    /// By the index and after, not before.
    since: u64,
    /// By the index alone.
    only: u64,
}

/// Counts for one layer.
pub(super) fn carried(cone: &Cone, grid: &ChunkGrid) -> Carried {
    let fixed = cone.spans.iter().filter_map(|span| match span {
        Span::Fixed(run) => Some(len(run)),
        Span::Along { .. } => None,
    });
    let fixed = fixed.fold(1, u64::saturating_mul);
    let mut rest = Carried {
        across: 0,
        cone: 1,
        all: 1,
    };
    // Of the output's axes the last changes first.
    for (axis, chunks) in grid.axes().iter().enumerate().rev() {
        let along = cone.spans.iter().filter_map(|span| match span {
            Span::Along { axis: of, runs } if *of == axis => Some(runs),
            _ => None,
        });
        let along: Vec<_> = along.collect();
        rest = match along[..] {
            [] => with_axis(&seen(&vec![0..1; chunks.count() as usize]), 1, rest),
            [runs] if runs.iter().map(len).sum::<u64>().max(spread(runs)) <= NEEDED_MAX => {
                let widest = runs.iter().map(len).max().unwrap_or(0);
                with_axis(&seen(runs), widest, rest)
            }
            // A diagonal, or too many to look at: everything may be needed on both sides.
            _ => {
                let all = along
                    .iter()
                    .map(|runs| spread(runs))
                    .fold(rest.all, u64::saturating_mul);
                Carried {
                    across: all,
                    cone: all,
                    all,
                }
            }
        };
    }
    Carried {
        across: rest.across.saturating_mul(fixed),
        cone: rest.cone.saturating_mul(fixed),
        all: rest.all.saturating_mul(fixed),
    }
}

/// From the first to the last block that any of them needs.
fn spread(runs: &[Range<u64>]) -> u64 {
    let some = runs.iter().filter(|run| !run.is_empty());
    let start = some.clone().map(|run| run.start).min().unwrap_or(0);
    some.map(|run| run.end).max().unwrap_or(start) - start
}

/// For each index what is needed by it and those around it, and how many blocks are needed at all.
fn seen(runs: &[Range<u64>]) -> (Vec<Seen>, u64) {
    let start = runs
        .iter()
        .filter(|run| !run.is_empty())
        .map(|run| run.start)
        .min();
    let start = start.unwrap_or(0);
    let mut needed: Vec<Option<(usize, usize)>> = vec![None; spread(runs) as usize];
    for (index, run) in runs.iter().enumerate() {
        for block in run.clone() {
            let (first, _) = needed[(block - start) as usize].unwrap_or((index, index));
            needed[(block - start) as usize] = Some((first, index));
        }
    }
    let mut found = vec![Seen::default(); runs.len()];
    let mut through = vec![0_i64; runs.len() + 1];
    for (first, last) in needed.iter().flatten().copied() {
        if first == last {
            found[first].only += 1;
        } else {
            found[first].since += 1;
            found[last].until += 1;
            through[first + 1] += 1;
            through[last] -= 1;
        }
    }
    let mut open = 0;
    for (seen, change) in found.iter_mut().zip(through) {
        open += change;
        seen.through = u64::try_from(open).expect("what begins ends later");
    }
    (found, needed.iter().flatten().count() as u64)
}

/// One more of the output's axes, before those in `rest`.
///
/// What is needed through counts with all that the later axes have. What was needed until this index is still needed by
/// what comes at this index or later along them, and what is needed since it was needed by what came earlier: both
/// together are all, and what both need. What the index alone needs is told by the later axes.
fn with_axis((seen, all): &(Vec<Seen>, u64), widest: u64, rest: Carried) -> Carried {
    let both = rest.all.saturating_add(rest.cone).saturating_add(rest.across);
    let across = seen.iter().map(|seen| {
        let apart = (seen.until + seen.since).saturating_mul(rest.all);
        let paired = seen.until.max(seen.since).saturating_mul(both);
        (seen.through.saturating_mul(rest.all))
            .saturating_add(apart.min(paired))
            .saturating_add(seen.only.saturating_mul(rest.across))
    });
    let all = all.saturating_mul(rest.all);
    Carried {
        across: across.max().unwrap_or(0).min(all),
        cone: widest.saturating_mul(rest.cone),
        all,
    }
}
