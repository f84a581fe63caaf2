//! Medians, quantiles and modes: few rows by a selection network across pixels, many by selection in each column.

use graticule_ops::{ReduceKind, Reduction};
use graticule_plan::DType;

use super::{
    Layout,
    drive::Rows,
    key::{Key, Keyed},
    panes::{Panes, network_rows_max},
    reducible::Real,
    skips,
};
use crate::{
    Chunk, Element, KernelError, Tensor, TensorMut, Time,
    element::with_number,
    fused::{Group, Tiles},
};

/// Elements from which on each run is selected in by itself, where runs are neighbours.
pub(crate) const RUN_LEN_MIN: usize = 65;
/// Bytes of the columns that are fetched at once.
pub(super) const TILE_BYTES: usize = 1 << 17;

/// Calls `$body` with the type alias `$T` for the Rust type of a dtype of real numbers or times.
macro_rules! with_real {
    ($dtype:expr, $T:ident => $body:expr, $otherwise:expr) => {
        match $dtype {
            DType::DateTime64(_) | DType::TimeDelta64(_) => {
                type $T = Time;
                $body
            }
            dtype => with_number!(dtype, $T => $body, $otherwise),
        }
    };
}

/// Median, quantiles or mode of elements at stage `Whole`.
///
/// # Errors
/// [`KernelError::Empty`] for a quantile of nothing, and for a mode of no integers.
pub(crate) fn whole(
    reduction: &Reduction,
    group: &Group,
    layout: &Layout,
    shape: &[usize],
) -> Result<Chunk, KernelError> {
    let all = [Rows::All(layout.rows)];
    let tensor = selections(reduction, group, layout, &all)?;
    match &reduction.kind {
        ReduceKind::Quantile { qs } => {
            let mut shape = shape.to_vec();
            shape.insert(0, qs.len());
            crate::program::check_ndim(shape.len()).map_err(KernelError::Window)?;
            Ok(tensor.reshape(&shape)?.into())
        }
        _ => Ok(tensor.reshape(shape)?.into()),
    }
}

/// The results of several selections of rows, flat: by quantile, then by selection, then by column.
pub(crate) fn selections(
    reduction: &Reduction,
    group: &Group,
    layout: &Layout,
    selections: &[Rows<'_>],
) -> Result<Tensor, KernelError> {
    let columns = layout.columns;
    let median = ReduceKind::Median == reduction.kind;
    let qs: &[f64] = if let ReduceKind::Quantile { qs } = &reduction.kind {
        qs
    } else {
        &[0.5]
    };
    let is_empty = selections.iter().any(|rows| rows.len() == 0);
    if !median && !skips(reduction) && is_empty && columns > 0 && selections.len() == 1 {
        return Err(KernelError::Empty {
            name: reduction.name(),
        });
    }
    let len = [qs.len(), selections.len(), columns];
    if reduction.kind == ReduceKind::Mode {
        return modes(reduction, group, layout, selections);
    }
    with_real!(group.dtype(), T => {
        if median {
            let mut out = TensorMut::for_overwrite(<T as Real>::Median::DTYPE, &len)?;
            let place = Place { slice: out.slice_mut::<<T as Real>::Median>(), columns, stride: 0 };
            select_all::<T, _>(group, layout, selections, &Median { skip: skips(reduction) }, place)?;
            Ok(out.freeze())
        } else {
            let mut out = TensorMut::for_overwrite(DType::Float64, &len)?;
            let stride = columns * selections.len();
            let place = Place { slice: out.slice_mut::<f64>(), columns, stride };
            select_all::<T, _>(group, layout, selections, &Quantiles { qs, skip: skips(reduction) }, place)?;
            Ok(out.freeze())
        }
    }, unreachable!("booleans are cast before, and complex numbers refused"))
}

fn modes(
    reduction: &Reduction,
    group: &Group,
    layout: &Layout,
    selections: &[Rows<'_>],
) -> Result<Tensor, KernelError> {
    let columns = layout.columns;
    let is_empty = selections.iter().any(|rows| rows.len() == 0);
    if is_empty && columns > 0 && !reduction.dtype.holds_nan() {
        let name = reduction.name();
        return Err(KernelError::Empty { name });
    }
    let skip = skips(reduction);
    with_real!(group.dtype(), T => {
        let mut out = TensorMut::for_overwrite(T::DTYPE, &[selections.len(), columns])?;
        let place = Place { slice: out.slice_mut::<T>(), columns, stride: 0 };
        select_all::<T, _>(group, layout, selections, &Mode { skip }, place)?;
        let found = out.freeze();
        // Booleans come as bytes.
        match reduction.dtype {
            DType::Bool => Tensor::from_bytes(DType::Bool, found.shape(), found.bytes().to_vec().into()),
            _ => Ok(found),
        }
    }, unreachable!("booleans are cast before"))
}

/// Where results go: position `column` of each of the want's values, `stride` apart.
pub(super) struct Place<'a, U> {
    pub(super) slice: &'a mut [U],
    pub(super) columns: usize,
    pub(super) stride: usize,
}

/// Where among the sorted elements of a column a value lies: between two ranks, and how far from the first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub(super) low: usize,
    pub(super) high: usize,
    pub(super) t: f64,
}

/// What is wanted of the sorted elements of a column.
pub(super) trait Want<T: Real> {
    type Out: Element;
    /// Whether it is found at ranks; else all elements are looked at, sorted.
    const HAS_RANKS: bool = true;

    /// Whether NaN is left out.
    fn skips(&self) -> bool;
    /// Values for each column.
    fn count(&self) -> usize;
    /// Between which ranks of `n` elements (at least one) the `k`-th value lies.
    fn spot(&self, k: usize, n: usize) -> Spot;
    /// The value between the elements of a spot's ranks.
    fn value(low: T, high: T, t: f64) -> Self::Out;
    /// What a column with NaN, or without elements, gives.
    fn nan() -> Self::Out;
}

struct Median {
    skip: bool,
}

impl<T: Real> Want<T> for Median {
    type Out = T::Median;

    fn skips(&self) -> bool {
        self.skip
    }

    fn count(&self) -> usize {
        1
    }

    fn spot(&self, _: usize, n: usize) -> Spot {
        Spot {
            low: (n - 1) / 2,
            high: n / 2,
            t: 0.5,
        }
    }

    #[inline(always)]
    fn value(low: T, high: T, _: f64) -> T::Median {
        T::middle(low, high)
    }

    fn nan() -> T::Median {
        T::median_out(f64::NAN)
    }
}

/// The most frequent element.
struct Mode {
    skip: bool,
}

impl<T: Real> Want<T> for Mode {
    type Out = T;
    const HAS_RANKS: bool = false;

    fn skips(&self) -> bool {
        self.skip
    }

    fn count(&self) -> usize {
        1
    }

    fn spot(&self, _: usize, _: usize) -> Spot {
        unreachable!("a mode has no rank")
    }

    fn value(low: T, _: T, _: f64) -> T {
        low
    }

    /// Integers have no NaN, and are never asked for one.
    fn nan() -> T {
        T::nothing().unwrap_or_default()
    }
}

struct Quantiles<'a> {
    qs: &'a [f64],
    skip: bool,
}

impl<T: Real> Want<T> for Quantiles<'_> {
    type Out = f64;

    fn skips(&self) -> bool {
        self.skip
    }

    fn count(&self) -> usize {
        self.qs.len()
    }

    fn spot(&self, k: usize, n: usize) -> Spot {
        let last = n - 1;
        let at = last as f64 * self.qs[k];
        let low = (at.floor() as usize).min(last);
        Spot {
            low,
            high: (low + 1).min(last),
            t: at - low as f64,
        }
    }

    /// NumPy's `_lerp`: from the nearer of the two.
    #[inline(always)]
    fn value(low: T, high: T, t: f64) -> f64 {
        let distance = T::distance(low, high);
        if t >= 0.5 {
            high.float() - distance * (1.0 - t)
        } else {
            low.float() + distance * t
        }
    }

    fn nan() -> f64 {
        f64::NAN
    }
}

fn select_all<T: Panes, W: Want<T>>(
    group: &Group,
    layout: &Layout,
    selections: &[Rows<'_>],
    want: &W,
    place: Place<'_, W::Out>,
) -> Result<(), KernelError> {
    let Place {
        slice,
        columns,
        stride,
    } = place;
    for (s, rows) in selections.iter().enumerate() {
        if columns == 0 || want.count() == 0 {
            continue;
        }
        let slice = &mut slice[s * columns..];
        let mut place = Place {
            slice,
            columns,
            stride,
        };
        let item = size_of::<T>();
        if rows.len() == 0 {
            (0..want.count()).for_each(|k| place.slice[k * stride..][..columns].fill(W::nan()));
        } else if layout.is_runs {
            select_runs(group, layout, want, &mut place)?;
        } else if W::HAS_RANKS && rows.len() <= network_rows_max(item) {
            T::by_network(group, *rows, want, &mut place)?;
        } else {
            select_columns(group, *rows, want, &mut place)?;
        }
    }
    Ok(())
}

/// The keys of a column's elements, without those of NaN.
struct Column<K> {
    keys: Vec<K>,
    /// Elements, with NaN.
    len: usize,
}

impl<K: Key> Column<K> {
    fn new(capacity: usize) -> Self {
        Self {
            keys: Vec::with_capacity(capacity),
            len: 0,
        }
    }

    fn clear(&mut self) {
        self.keys.clear();
        self.len = 0;
    }

    fn extend<T: Keyed<Key = K>>(&mut self, values: &[T]) {
        self.keys
            .extend(values.iter().filter(|x| !x.is_nan()).map(|x| x.key()));
        self.len += values.len();
    }

    /// The most frequent of at least one key, the least of several.
    fn most_frequent<T: Keyed<Key = K>>(&mut self) -> T {
        self.keys.sort_unstable();
        let (mut most, mut count) = (self.keys[0], 0);
        // Zeros of either sign are equal.
        for run in self.keys.chunk_by(|&a, &b| T::of_key(a) == T::of_key(b)) {
            if run.len() > count {
                (most, count) = (run[0], run.len());
            }
        }
        T::of_key(most)
    }

    /// Hands out the wanted values, found by selection.
    fn select<T: Keyed<Key = K>, W: Want<T>>(&mut self, want: &W, mut set: impl FnMut(usize, W::Out)) {
        let n = self.keys.len();
        if n == 0 || (n < self.len && !want.skips()) {
            (0..want.count()).for_each(|k| set(k, W::nan()));
            return;
        }
        if !W::HAS_RANKS {
            let most = self.most_frequent::<T>();
            return set(0, W::value(most, most, 0.0));
        }
        let spots: Vec<Spot> = (0..want.count()).map(|k| want.spot(k, n)).collect();
        let mut ranks: Vec<usize> = spots.iter().flat_map(|spot| [spot.low, spot.high]).collect();
        ranks.sort_unstable();
        ranks.dedup();
        let mut from = 0;
        for rank in ranks {
            self.keys[from..].select_nth_unstable(rank - from);
            from = rank + 1;
        }
        let at = |rank: usize| T::of_key(self.keys[rank]);
        spots
            .iter()
            .enumerate()
            .for_each(|(k, spot)| set(k, W::value(at(spot.low), at(spot.high), spot.t)));
    }
}

/// Each result's elements are neighbours.
fn select_runs<T: Keyed, W: Want<T>>(
    group: &Group,
    layout: &Layout,
    want: &W,
    place: &mut Place<'_, W::Out>,
) -> Result<(), KernelError> {
    let len = layout.rows;
    let mut tiles = Tiles::new(group, len.min(crate::fused::TILE_LEN))?;
    let mut keys = Column::new(len);
    for column in 0..layout.columns {
        keys.clear();
        for start in (0..len).step_by(crate::fused::TILE_LEN) {
            let count = crate::fused::TILE_LEN.min(len - start);
            keys.extend(tiles.values::<T>(column * len + start, count)?);
        }
        keys.select::<T, W>(want, |k, value| place.slice[k * place.stride + column] = value);
    }
    Ok(())
}

/// Many rows: columns are gathered a few at a time.
fn select_columns<T: Keyed, W: Want<T>>(
    group: &Group,
    rows: Rows<'_>,
    want: &W,
    place: &mut Place<'_, W::Out>,
) -> Result<(), KernelError> {
    let columns = place.columns;
    // At least a cache line of each row, so that none is fetched twice.
    let width_max = (TILE_BYTES / (rows.len() * size_of::<T>()))
        .max(64 / size_of::<T>())
        .min(columns);
    let mut tiles = Tiles::new(group, width_max)?;
    let mut gathered: Vec<Column<T::Key>> = (0..width_max).map(|_| Column::new(rows.len())).collect();
    for first in (0..columns).step_by(width_max) {
        let width = width_max.min(columns - first);
        gathered.iter_mut().for_each(Column::clear);
        let mut at = 0;
        while at < rows.len() {
            let (row, _) = rows.run(at, 1);
            let values = tiles.values::<T>(row * columns + first, width)?;
            gathered
                .iter_mut()
                .zip(values)
                .for_each(|(column, value)| column.extend(std::slice::from_ref(value)));
            at += 1;
        }
        for (j, column) in gathered[..width].iter_mut().enumerate() {
            column.select::<T, W>(want, |k, value| place.slice[k * place.stride + first + j] = value);
        }
    }
    Ok(())
}
