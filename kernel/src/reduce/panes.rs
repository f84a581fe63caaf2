//! Order statistics of few rows: a selection network over many columns at once.

use super::{
    drive::Rows,
    network::Network,
    order::{Place, TILE_BYTES, Want},
    reducible::Reducible,
};
use crate::{
    KernelError,
    fused::{Group, TILE_LEN, Tiles},
    simd::{Kernel, dispatch},
};

/// Rows above which a network costs more than selection, by the element's bytes.
pub(super) const fn network_rows_max(item: usize) -> usize {
    if item <= 4 { 128 } else { 64 }
}

/// Bytes of one row in a network: a few vector registers.
const ROW_BYTES: usize = 128;

/// A type with networks over as many columns as [`ROW_BYTES`] hold.
pub(super) trait Panes: Reducible {
    /// Selects in few rows what is wanted.
    fn by_network<W: Want<Self>>(
        group: &Group,
        rows: Rows<'_>,
        want: &W,
        place: &mut Place<'_, W::Out>,
    ) -> Result<(), KernelError>;
}

macro_rules! panes {
    ($($type:ty),*) => {$(
        impl Panes for $type {
            fn by_network<W: Want<Self>>(
                group: &Group,
                rows: Rows<'_>,
                want: &W,
                place: &mut Place<'_, W::Out>,
            ) -> Result<(), KernelError> {
                by_network::<Self, W, { ROW_BYTES / size_of::<$type>() }>(group, rows, want, place)
            }
        }
    )*};
}

panes!(i8, i16, i32, i64, u8, u16, u32, u64, f32, f64);

/// Few rows: a network over `LANES` columns at once.
fn by_network<T: Reducible, W: Want<T>, const LANES: usize>(
    group: &Group,
    rows: Rows<'_>,
    want: &W,
    place: &mut Place<'_, W::Out>,
) -> Result<(), KernelError> {
    let (columns, n) = (place.columns, rows.len());
    let ranks = want.ranks(n);
    let network = Network::new(n, |rank| ranks.contains(&rank));
    // Columns with NaN left out have other ranks, each at most the highest of all.
    let highest = ranks.iter().max().copied().unwrap_or(0);
    let sorting = (T::IS_FLOAT && want.skips()).then(|| Network::new(n, |rank| rank <= highest));
    let panes_max = (TILE_BYTES / (n * ROW_BYTES))
        .clamp(1, 32)
        .min(columns.div_ceil(LANES));
    let width_max = (panes_max * LANES).min(columns);
    let batch = if width_max == columns {
        (TILE_LEN / columns).max(1)
    } else {
        1
    };
    let mut tiles = Tiles::new(group, width_max * batch)?;
    // Pane after pane, and in each row after row.
    let mut panes = vec![[T::HIGHEST; LANES]; panes_max * n];
    let mut counts = vec![[0u32; LANES]; panes_max];
    for first in (0..columns).step_by(width_max) {
        let width = width_max.min(columns - first);
        counts.fill([0; LANES]);
        let mut at = 0;
        while at < n {
            let (row, count) = rows.run(at, batch.min(n - at));
            let values = tiles.values::<T>(row * columns + first, count * width)?;
            for (k, values) in values.chunks_exact(width).enumerate() {
                dispatch(Fill {
                    panes: &mut panes,
                    counts: &mut counts,
                    row: at + k,
                    n,
                    values,
                });
            }
            at += count;
        }
        for (pane, counts) in counts.iter().enumerate().take(width.div_ceil(LANES)) {
            let rows = &mut panes[pane * n..(pane + 1) * n];
            let lanes = LANES.min(width - pane * LANES);
            let is_full = counts[..lanes].iter().all(|&count| count as usize == n);
            let network = if is_full {
                &network
            } else {
                sorting.as_ref().unwrap_or(&network)
            };
            network.run(rows);
            let at = first + pane * LANES;
            finish(rows, counts, n, want, |k, lane, value| {
                if lane < lanes {
                    place.slice[k * place.stride + at + lane] = value;
                }
            });
        }
    }
    Ok(())
}

/// Spreads a row's elements over the panes; NaN becomes the highest value and is not counted.
struct Fill<'a, T, const LANES: usize> {
    panes: &'a mut [[T; LANES]],
    counts: &'a mut [[u32; LANES]],
    row: usize,
    n: usize,
    values: &'a [T],
}

impl<T: Reducible, const LANES: usize> Kernel for Fill<'_, T, LANES> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let parts = self.values.chunks(LANES).zip(self.counts.iter_mut()).enumerate();
        for (pane, (values, counts)) in parts {
            let place = &mut self.panes[pane * self.n + self.row];
            let pairs = place.iter_mut().zip(values).zip(counts.iter_mut());
            if T::IS_FLOAT {
                pairs.for_each(|((place, &x), count)| {
                    let is_nan = x.is_nan();
                    *place = if is_nan { T::HIGHEST } else { x };
                    *count += u32::from(!is_nan);
                });
            } else {
                place[..values.len()].copy_from_slice(values);
                *counts = [(self.row + 1) as u32; LANES];
            }
        }
    }
}

fn finish<T: Reducible, W: Want<T>, const LANES: usize>(
    rows: &[[T; LANES]],
    counts: &[u32; LANES],
    n: usize,
    want: &W,
    mut set: impl FnMut(usize, usize, W::Out),
) {
    for k in 0..want.count() {
        for (lane, &count) in counts.iter().enumerate() {
            let count = count as usize;
            let value = if count == n || (count > 0 && want.skips()) {
                want.value(k, count, |rank| rows[rank][lane])
            } else {
                W::nan()
            };
            set(k, lane, value);
        }
    }
}
