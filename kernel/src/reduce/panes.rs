//! Order statistics of few rows: a selection network over many columns at once.

use super::{
    drive::Rows,
    key::Keyed,
    network::Network,
    order::{Place, Spot, TILE_BYTES, Want},
};
use crate::{
    KernelError, Time,
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
pub(super) trait Panes: Keyed {
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

panes!(i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, Time);

/// Few rows: a network over `LANES` columns at once.
fn by_network<T: Keyed, W: Want<T>, const LANES: usize>(
    group: &Group,
    rows: Rows<'_>,
    want: &W,
    place: &mut Place<'_, W::Out>,
) -> Result<(), KernelError> {
    let (columns, n) = (place.columns, rows.len());
    let selection = Selection::<LANES>::new(want, n, T::IS_FLOAT && want.skips());
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
    let mut panes = vec![[T::HIGHEST_KEY; LANES]; panes_max * n];
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
            let lanes = LANES.min(width - pane * LANES);
            let at = first + pane * LANES;
            selection.finish::<T, W>(&mut panes[pane * n..(pane + 1) * n], &counts[..lanes], at, place);
        }
    }
    Ok(())
}

/// The networks and spots for columns of `n` rows.
struct Selection<const LANES: usize> {
    n: usize,
    /// The wanted values' spots where every row counts.
    spots: Vec<Spot>,
    network: Network,
    /// Where NaN is left out: a network for every rank that any count needs, and for each count the spots.
    skipping: Option<(Network, Vec<Vec<Spot>>)>,
}

impl<const LANES: usize> Selection<LANES> {
    fn new<T: Keyed, W: Want<T>>(want: &W, n: usize, skips: bool) -> Self {
        let spots_of = |n: usize| -> Vec<Spot> { (0..want.count()).map(|k| want.spot(k, n)).collect() };
        let spots = spots_of(n);
        let network = Network::new(n, |rank| {
            spots.iter().any(|spot| rank == spot.low || rank == spot.high)
        });
        // Fewer elements have no higher spots.
        let highest = spots.iter().map(|spot| spot.high).max().unwrap_or(0);
        let skipping = skips.then(|| {
            (
                Network::new(n, |rank| rank <= highest),
                (1..=n).map(spots_of).collect(),
            )
        });
        Self {
            n,
            spots,
            network,
            skipping,
        }
    }

    /// Sorts a pane and hands out its columns' values, from column `at` on.
    fn finish<T: Keyed, W: Want<T>>(
        &self,
        rows: &mut [[T::Key; LANES]],
        counts: &[u32],
        at: usize,
        place: &mut Place<'_, W::Out>,
    ) {
        let is_full = |&count: &u32| count as usize == self.n;
        let has_nan = T::IS_FLOAT && !counts.iter().all(is_full);
        let targets =
            |place: &Place<'_, W::Out>, k: usize| k * place.stride + at..k * place.stride + at + counts.len();
        if let (true, Some((network, spots))) = (has_nan, &self.skipping) {
            network.run(rows);
            let value_count = self.spots.len();
            (0..value_count).for_each(|k| {
                let range = targets(place, k);
                for (lane, (target, &count)) in place.slice[range].iter_mut().zip(counts).enumerate() {
                    *target = match (count as usize).checked_sub(1) {
                        Some(below) => {
                            let Spot { low, high, t } = spots[below][k];
                            W::value(T::of_key(rows[low][lane]), T::of_key(rows[high][lane]), t)
                        }
                        None => W::nan(),
                    };
                }
            });
            return;
        }
        self.network.run(rows);
        for (k, spot) in self.spots.iter().enumerate() {
            let range = targets(place, k);
            let out = &mut place.slice[range];
            dispatch(Between::<T, W, LANES> {
                low: &rows[spot.low],
                high: &rows[spot.high],
                t: spot.t,
                out,
            });
            if has_nan {
                out.iter_mut()
                    .zip(counts)
                    .filter(|(_, count)| !is_full(count))
                    .for_each(|(out, _)| *out = W::nan());
            }
        }
    }
}

/// The values between two sorted rows.
struct Between<'a, T: Keyed, W: Want<T>, const LANES: usize> {
    low: &'a [T::Key; LANES],
    high: &'a [T::Key; LANES],
    t: f64,
    out: &'a mut [W::Out],
}

impl<T: Keyed, W: Want<T>, const LANES: usize> Kernel for Between<'_, T, W, LANES> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let pairs = self.low.iter().zip(self.high);
        let value = |(&low, &high)| W::value(T::of_key(low), T::of_key(high), self.t);
        self.out
            .iter_mut()
            .zip(pairs)
            .for_each(|(out, pair)| *out = value(pair));
    }
}

/// Spreads a row's elements over the panes; NaN gets the highest key and is not counted.
struct Fill<'a, T: Keyed, const LANES: usize> {
    panes: &'a mut [[T::Key; LANES]],
    counts: &'a mut [[u32; LANES]],
    row: usize,
    n: usize,
    values: &'a [T],
}

impl<T: Keyed, const LANES: usize> Kernel for Fill<'_, T, LANES> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (full, tail) = self.values.as_chunks::<LANES>();
        let mut rows = self
            .panes
            .iter_mut()
            .skip(self.row)
            .step_by(self.n)
            .zip(self.counts.iter_mut());
        for (values, (row, counts)) in full.iter().zip(&mut rows) {
            for lane in 0..LANES {
                spread(values[lane], &mut row[lane], &mut counts[lane]);
            }
        }
        if let (false, Some((row, counts))) = (tail.is_empty(), rows.next()) {
            for (lane, &value) in tail.iter().enumerate() {
                spread(value, &mut row[lane], &mut counts[lane]);
            }
        }
    }
}

#[inline(always)]
fn spread<T: Keyed>(value: T, key: &mut T::Key, count: &mut u32) {
    if T::IS_FLOAT {
        let is_nan = value.is_nan();
        *key = if is_nan { T::HIGHEST_KEY } else { value.key() };
        *count += u32::from(!is_nan);
    } else {
        *key = value.key();
    }
}
