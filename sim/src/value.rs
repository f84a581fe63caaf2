//! What chunks hold in the simulation: a number per element, which depends on every element that went into it and on
//! their order.

use std::{ops::Range, sync::Arc};

use graticule_plan::BlockMap;

use crate::rng::mix;

/// The elements of a chunk, or of a part of one, in C order.
pub(crate) type Values = Arc<Vec<u64>>;

/// A part of a source chunk that a task fetched.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// The source block.
    pub(crate) block: u64,
    /// The elements of [`BlockMap::region`].
    pub(crate) values: Vec<u64>,
    /// It came from another worker.
    pub(crate) from_peer: bool,
}

/// What a task makes of its windows. The result depends on the order of the elements in each.
pub(crate) fn compute(salt: u64, block: u64, len: u64, windows: &[Vec<u64>]) -> Vec<u64> {
    let mut state = mix(salt ^ mix(block));
    for window in windows {
        state = mix(state ^ window.len() as u64);
        for &element in window {
            state = (state.rotate_left(7) ^ element).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
    }
    (0..len).map(|i| mix(state ^ mix(i))).collect()
}

/// The elements of a chunk of `shape` within `region`, in C order.
pub(crate) fn cut(values: &[u64], shape: &[u64], region: &[Range<u64>]) -> Vec<u64> {
    let mut found = Vec::new();
    each_index(region, |index| found.push(values[offset(index, shape)]));
    found
}

/// Puts the parts of a window together, each at its position; `by_arrival` is the planted defect.
pub(crate) fn assemble(map: &BlockMap, block: u64, parts: &[Part], by_arrival: bool) -> Vec<u64> {
    let by_arrival = by_arrival && parts.iter().all(|part| part.from_peer);
    let Some(axes) = map.window(block) else {
        let order: Vec<u64> = if by_arrival {
            parts.iter().map(|p| p.block).collect()
        } else {
            map.sources(block)
        };
        let of_block = |b: &u64| {
            &parts
                .iter()
                .find(|p| p.block == *b)
                .expect("all parts are there")
                .values
        };
        return order.iter().flat_map(of_block).copied().collect();
    };
    let one_cut = axes.first().is_some_and(|pieces| pieces.len() > 1)
        && axes.iter().skip(1).all(|pieces| pieces.len() == 1);
    if by_arrival && one_cut {
        return parts.iter().flat_map(|p| &p.values).copied().collect();
    }
    let shape: Vec<u64> = axes
        .iter()
        .map(|pieces| pieces.iter().map(|p| p.len).sum())
        .collect();
    let len: u64 = shape.iter().product();
    let mut window = vec![None; usize::try_from(len).expect("small arrays")];
    for part in parts {
        let index = map.source_grid().unravel(part.block);
        let places: Vec<Range<u64>> = axes
            .iter()
            .zip(&index)
            .map(|(pieces, i)| {
                let piece = pieces
                    .iter()
                    .find(|p| p.block == *i)
                    .expect("a source of the block");
                piece.at..piece.at + piece.len
            })
            .collect();
        let mut values = part.values.iter();
        each_index(&places, |index| {
            window[offset(index, &shape)] = values.next().copied()
        });
    }
    window
        .into_iter()
        .map(|element| element.expect("the parts cover the window"))
        .collect()
}

/// Calls `visit` with every index of a box, in C order.
pub(crate) fn each_index(region: &[Range<u64>], mut visit: impl FnMut(&[u64])) {
    if region.iter().any(|r| r.is_empty()) {
        return;
    }
    let mut index: Vec<u64> = region.iter().map(|r| r.start).collect();
    loop {
        visit(&index);
        let mut axis = region.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            index[axis] += 1;
            if index[axis] < region[axis].end {
                break;
            }
            index[axis] = region[axis].start;
        }
    }
}

pub(crate) fn offset(index: &[u64], shape: &[u64]) -> usize {
    let at = index.iter().zip(shape).fold(0, |acc, (i, len)| acc * len + i);
    usize::try_from(at).expect("small arrays")
}
