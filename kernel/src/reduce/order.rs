//! Medians and quantiles: few rows by a selection network across pixels, many by selection in each column.

use graticule_ops::{ReduceKind, Reduction};

use super::{
    Layout,
    drive::Rows,
    panes::{Panes, network_rows_max},
    reducible::Reducible,
    skips,
};
use crate::{
    Chunk, Element, KernelError, Tensor, TensorMut,
    elementwise::with_number,
    fused::{Group, Tiles},
};

/// Elements from which on each run is selected in by itself, where runs are neighbours.
pub(crate) const RUN_LEN_MIN: usize = 65;
/// Bytes of the columns that are fetched at once.
pub(super) const TILE_BYTES: usize = 1 << 17;

/// Median or quantiles of elements at stage `Whole`.
///
/// # Errors
/// [`KernelError::Empty`] for a quantile of nothing.
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
    with_number!(group.dtype(), T => {
        if median {
            let mut out = TensorMut::zeros(<T as Reducible>::Mean::DTYPE, &len)?;
            let place = Place { slice: out.slice_mut::<<T as Reducible>::Mean>(), columns, stride: 0 };
            select_all::<T, _>(group, layout, selections, &Median { skip: skips(reduction) }, place)?;
            Ok(out.freeze())
        } else {
            let mut out = TensorMut::zeros(graticule_plan::DType::Float64, &len)?;
            let stride = columns * selections.len();
            let place = Place { slice: out.slice_mut::<f64>(), columns, stride };
            select_all::<T, _>(group, layout, selections, &Quantiles { qs, skip: skips(reduction) }, place)?;
            Ok(out.freeze())
        }
    }, unreachable!("booleans are cast before"))
}

/// Where results go: position `column` of each of the want's values, `stride` apart.
pub(super) struct Place<'a, U> {
    pub(super) slice: &'a mut [U],
    pub(super) columns: usize,
    pub(super) stride: usize,
}

/// What is wanted of the sorted elements of a column.
pub(super) trait Want<T: Reducible> {
    type Out: Element;

    /// Whether NaN is left out.
    fn skips(&self) -> bool;
    /// Values for each column.
    fn count(&self) -> usize;
    /// The ranks needed of `n` elements.
    fn ranks(&self, n: usize) -> Vec<usize>;
    /// The `k`-th value, given the element of each needed rank.
    fn value(&self, k: usize, n: usize, at: impl Fn(usize) -> T) -> Self::Out;
    /// What a column with NaN, or without elements, gives.
    fn nan() -> Self::Out;
}

struct Median {
    skip: bool,
}

impl<T: Reducible> Want<T> for Median {
    type Out = T::Mean;

    fn skips(&self) -> bool {
        self.skip
    }

    fn count(&self) -> usize {
        1
    }

    fn ranks(&self, n: usize) -> Vec<usize> {
        if n == 0 { vec![] } else { vec![(n - 1) / 2, n / 2] }
    }

    #[inline(always)]
    fn value(&self, _: usize, n: usize, at: impl Fn(usize) -> T) -> T::Mean {
        T::middle(at((n - 1) / 2), at(n / 2))
    }

    fn nan() -> T::Mean {
        T::mean_out(f64::NAN)
    }
}

struct Quantiles<'a> {
    qs: &'a [f64],
    skip: bool,
}

impl Quantiles<'_> {
    /// The rank below the `k`-th quantile of `n` elements, the rank above it, and how far between them it lies.
    fn place(&self, k: usize, n: usize) -> (usize, usize, f64) {
        let last = n - 1;
        let at = last as f64 * self.qs[k];
        let low = (at.floor() as usize).min(last);
        (low, (low + 1).min(last), at - low as f64)
    }
}

impl<T: Reducible> Want<T> for Quantiles<'_> {
    type Out = f64;

    fn skips(&self) -> bool {
        self.skip
    }

    fn count(&self) -> usize {
        self.qs.len()
    }

    fn ranks(&self, n: usize) -> Vec<usize> {
        if n == 0 {
            return vec![];
        }
        (0..self.qs.len())
            .map(|k| self.place(k, n))
            .flat_map(|(low, high, _)| [low, high])
            .collect()
    }

    /// NumPy's `_lerp`: from the nearer of the two.
    fn value(&self, k: usize, n: usize, at: impl Fn(usize) -> T) -> f64 {
        let (low, high, t) = self.place(k, n);
        let (a, b) = (at(low), at(high));
        let distance = T::distance(a, b);
        if t >= 0.5 {
            b.float() - distance * (1.0 - t)
        } else {
            a.float() + distance * t
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
        } else if rows.len() <= network_rows_max(item) {
            T::by_network(group, *rows, want, &mut place)?;
        } else {
            select_columns(group, *rows, want, &mut place)?;
        }
    }
    Ok(())
}

/// A value of one column by selection; reorders `values`.
fn select<T: Reducible, W: Want<T>>(values: &mut Vec<T>, want: &W, mut set: impl FnMut(usize, W::Out)) {
    let before = values.len();
    if T::IS_FLOAT {
        values.retain(|x| !x.is_nan());
    }
    let n = values.len();
    if n == 0 || (n < before && !want.skips()) {
        (0..want.count()).for_each(|k| set(k, W::nan()));
        return;
    }
    let mut ranks = want.ranks(n);
    ranks.sort_unstable();
    ranks.dedup();
    let mut from = 0;
    for rank in ranks {
        let order = |x: &T, y: &T| x.partial_cmp(y).expect("NaN is gone");
        values[from..].select_nth_unstable_by(rank - from, order);
        from = rank + 1;
        if from == n {
            break;
        }
    }
    (0..want.count()).for_each(|k| set(k, want.value(k, n, |rank| values[rank])));
}

/// Each result's elements are neighbours.
fn select_runs<T: Reducible, W: Want<T>>(
    group: &Group,
    layout: &Layout,
    want: &W,
    place: &mut Place<'_, W::Out>,
) -> Result<(), KernelError> {
    let len = layout.rows;
    let mut tiles = Tiles::new(group, len.min(crate::fused::TILE_LEN))?;
    let mut values = Vec::with_capacity(len);
    for column in 0..layout.columns {
        values.clear();
        for start in (0..len).step_by(crate::fused::TILE_LEN) {
            let count = crate::fused::TILE_LEN.min(len - start);
            values.extend_from_slice(tiles.values::<T>(column * len + start, count)?);
        }
        select(&mut values, want, |k, value| {
            place.slice[k * place.stride + column] = value
        });
    }
    Ok(())
}

/// Many rows: columns are gathered a few at a time.
fn select_columns<T: Reducible, W: Want<T>>(
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
    let mut gathered: Vec<Vec<T>> = vec![Vec::with_capacity(rows.len()); width_max];
    for first in (0..columns).step_by(width_max) {
        let width = width_max.min(columns - first);
        gathered.iter_mut().for_each(Vec::clear);
        let mut at = 0;
        while at < rows.len() {
            let (row, _) = rows.run(at, 1);
            let values = tiles.values::<T>(row * columns + first, width)?;
            gathered
                .iter_mut()
                .zip(values)
                .for_each(|(column, &value)| column.push(value));
            at += 1;
        }
        for (j, values) in gathered[..width].iter_mut().enumerate() {
            select(values, want, |k, value| {
                place.slice[k * place.stride + first + j] = value
            });
        }
    }
    Ok(())
}
