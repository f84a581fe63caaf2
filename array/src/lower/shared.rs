//! Reads of one array that overlap within a task are one read, out of which each is cut.
//!
//! Differences of neighbours read an array once for each side. What is stored is then fetched and decoded once for all of
//! them, and they look at it where it lies.

use graticule_ops::{AxisSelection, BlockAxis};
use graticule_plan::{DType, Digest};

use crate::{graph::NodeIx, table::Table};

/// A read of a layer.
pub(super) struct Part {
    pub(super) ix: NodeIx,
    pub(super) source: Digest,
    pub(super) dtype: DType,
    pub(super) selection: Vec<AxisSelection>,
    pub(super) axes: Vec<BlockAxis>,
}

/// A read that several others are cut out of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hull {
    pub(super) selection: Vec<AxisSelection>,
    pub(super) axes: Vec<BlockAxis>,
}

/// Which reads of a layer are cut out of which others.
#[derive(Default)]
pub(super) struct SharedReads {
    pub(super) hulls: Vec<Hull>,
    /// Of each such read its hull, and what is cut out of that.
    pub(super) cuts: Table<NodeIx, (usize, Vec<Option<AxisSelection>>)>,
}

impl SharedReads {
    /// Finds reads that together have more elements than what they all lie in.
    pub(super) fn of(mut parts: Vec<Part>) -> Self {
        // The largest first; among equals the order of the program.
        parts.sort_by_key(|part| std::cmp::Reverse(elements(&part.axes)));
        let mut groups: Vec<(Hull, Vec<Part>)> = Vec::new();
        for part in parts {
            let own = Hull {
                selection: part.selection.clone(),
                axes: part.axes.clone(),
            };
            let with = groups.iter_mut().find_map(|(hull, members)| {
                let first = &members[0];
                let is_same = first.source == part.source && first.dtype == part.dtype;
                let joined = is_same.then(|| joined(hull, &own)).flatten()?;
                let growth = elements(&joined.axes).saturating_sub(elements(&hull.axes));
                (growth < elements(&part.axes)).then_some((hull, members, joined))
            });
            match with {
                Some((hull, members, joined)) => {
                    *hull = joined;
                    members.push(part);
                }
                None => groups.push((own, vec![part])),
            }
        }
        let mut shared = Self::default();
        for (hull, members) in groups.into_iter().filter(|(_, members)| members.len() > 1) {
            for part in members {
                let cut = cut(&part, &hull);
                shared.cuts.insert(part.ix, (shared.hulls.len(), cut));
            }
            shared.hulls.push(hull);
        }
        shared
    }
}

/// Elements of the largest block.
fn elements(axes: &[BlockAxis]) -> u64 {
    axes.iter()
        .map(BlockAxis::extent_max)
        .fold(1, u64::saturating_mul)
}

/// What both lie in, if they differ along axes of one block alone, and take neighbouring elements there.
fn joined(a: &Hull, b: &Hull) -> Option<Hull> {
    let axes = a.axes.iter().zip(&b.axes);
    let selections = a.selection.iter().zip(&b.selection);
    let both = axes.zip(selections).map(|((axis, other), (s, t))| {
        if axis == other && s == t {
            return Some((axis.clone(), *s));
        }
        let (BlockAxis::Whole { .. }, BlockAxis::Whole { .. }) = (axis, other) else {
            return None;
        };
        if s.step != 1 || t.step != 1 || s.len == 0 || t.len == 0 {
            return None;
        }
        let start = s.start.min(t.start);
        let len = s.start.checked_add(s.len)?.max(t.start.checked_add(t.len)?) - start;
        let selection = AxisSelection { start, step: 1, len };
        Some((BlockAxis::Whole { len }, selection))
    });
    let both: Vec<_> = both.collect::<Option<_>>()?;
    let (axes, selection) = both.into_iter().unzip();
    Some(Hull { selection, axes })
}

/// Where a part lies in its hull; nothing along axes that it has whole.
fn cut(part: &Part, hull: &Hull) -> Vec<Option<AxisSelection>> {
    let selections = part.selection.iter().zip(&hull.selection);
    selections
        .map(|(own, whole)| {
            (own != whole).then(|| AxisSelection {
                start: own.start - whole.start,
                step: 1,
                len: own.len,
            })
        })
        .collect()
}
