//! Sorting along an axis.

use std::cmp::Ordering;

use graticule_ops::{NodeId, Sort, Sorting};
use graticule_plan::DType;
use num_complex::Complex;

use crate::{
    Chunk, KernelError, Tensor, TensorMut, Time,
    element::with_element,
    lazy,
    program::{Task, Values, single},
    reduce::Reducible,
};

pub(crate) fn forced<'v>(
    task: &Task<'_>,
    values: &'v mut Values,
    x: NodeId,
) -> Result<&'v Chunk, KernelError> {
    lazy::force(task, values, x.0 as usize)?;
    Ok(values.ready(x.0 as usize).expect("just forced"))
}

/// The value of a `Sort` node.
pub(crate) fn sort(
    task: &Task<'_>,
    node: usize,
    step: &Sort,
    values: &mut Values,
) -> Result<Chunk, KernelError> {
    let x = single(forced(task, values, step.x)?)?;
    if step.sorting.axis >= x.ndim() {
        return Err(task.misfit(
            node,
            format!("axis {} of shape {:?}", step.sorting.axis, x.shape()),
        ));
    }
    Ok(with_element!(x.dtype(), T => sorted::<T>(x, step.sorting))?.into())
}

/// A type whose elements sort as keys, which compare in one step: NaN is the greatest.
pub(crate) trait Keyed: Reducible {
    type Key: Ord + Copy;

    fn key(self) -> Self::Key;
    /// The element of a key; any NaN for that of NaN.
    fn of_key(key: Self::Key) -> Self;
    /// The same for elements that are equal.
    fn equal_key(self) -> Self::Key;
}

macro_rules! keyed {
    ($($type:ty),*) => {$(
        impl Keyed for $type {
            type Key = Self;

            fn key(self) -> Self {
                self
            }

            fn of_key(key: Self) -> Self {
                key
            }

            fn equal_key(self) -> Self {
                self
            }
        }
    )*};
}

keyed!(bool, i8, i16, i32, i64, u8, u16, u32, u64);

impl Keyed for Time {
    type Key = u64;

    fn key(self) -> u64 {
        self.rank()
    }

    fn of_key(key: u64) -> Self {
        Self::of_rank(key)
    }

    fn equal_key(self) -> u64 {
        self.rank()
    }
}

macro_rules! keyed_floats {
    ($($type:ty, $int:ty, $unsigned:ty);*) => {$(
        impl Keyed for $type {
            type Key = $int;

            fn key(self) -> $int {
                if self.is_nan() {
                    return <$int>::MAX;
                }
                let bits = self.to_bits() as $int;
                // Of negative numbers the greater magnitude is the lesser.
                bits ^ ((bits >> (<$int>::BITS - 1)) as $unsigned >> 1) as $int
            }

            fn of_key(key: $int) -> Self {
                let bits = key ^ ((key >> (<$int>::BITS - 1)) as $unsigned >> 1) as $int;
                Self::from_bits(bits as $unsigned)
            }

            /// Adding 0 drops the sign of zero.
            fn equal_key(self) -> $int {
                (self + 0.0).key()
            }
        }
    )*};
}

keyed_floats!(f32, i32, u32; f64, i64, u64);

/// A complex number's place: behind all that have fewer parts that are NaN, then by the parts, -0.0 as 0.0. The parts
/// themselves come last, so that they are not lost.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ComplexKey<K> {
    nans: (bool, bool),
    parts: (K, K),
    own: (K, K),
}

macro_rules! keyed_complex {
    ($($real:ty),*) => {$(
        impl Keyed for Complex<$real> {
            type Key = ComplexKey<<$real as Keyed>::Key>;

            fn key(self) -> Self::Key {
                let own = (self.re.key(), self.im.key());
                ComplexKey { own, ..self.equal_key() }
            }

            fn of_key(key: Self::Key) -> Self {
                Complex::new(<$real>::of_key(key.own.0), <$real>::of_key(key.own.1))
            }

            fn equal_key(self) -> Self::Key {
                let parts = (self.re.equal_key(), self.im.equal_key());
                let nans = (self.re.is_nan(), self.im.is_nan());
                ComplexKey { nans, parts, own: parts }
            }
        }
    )*};
}

keyed_complex!(f32, f64);

fn sorted<T: Keyed>(x: &Tensor, sorting: Sorting) -> Result<Tensor, KernelError> {
    let Sorting {
        axis,
        descending,
        positions,
        ..
    } = sorting;
    let len = x.shape()[axis];
    let kept = sorting.kept(len as u64) as usize;
    let mut shape = x.shape().to_vec();
    shape[axis] = kept;
    let inner: usize = shape[axis + 1..].iter().product();
    let dtype = if positions { DType::Int64 } else { x.dtype() };
    let mut out = TensorMut::for_overwrite(dtype, &shape)?;
    if shape.contains(&0) {
        return Ok(out.freeze());
    }
    let outer: usize = shape[..axis].iter().product();
    let elements = T::slice(x.bytes());
    let mut keys: Vec<T::Key> = Vec::new();
    let mut places: Vec<(T::Key, usize)> = Vec::new();
    for number in 0..outer * inner {
        let (block, column) = (number / inner, number % inner);
        let line = (0..len).map(|k| elements[(block * len + k) * inner + column]);
        let at = |k: usize| (block * kept + k) * inner + column;
        if positions {
            places.clear();
            places.extend(line.map(T::equal_key).zip(0..));
            // A tie goes to the first, so that no two are equal and the quicker sort is as good as a stable one.
            match descending {
                true => keep_first(&mut places, kept, |a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1))),
                false => keep_first(&mut places, kept, Ord::cmp),
            }
            let out = out.slice_mut::<i64>();
            let first = places.iter().take(kept).enumerate();
            first.for_each(|(k, &(_, place))| out[at(k)] = place as i64);
        } else {
            keys.clear();
            keys.extend(line.map(T::key));
            match descending {
                true => keep_first(&mut keys, kept, |a, b| b.cmp(a)),
                false => keep_first(&mut keys, kept, Ord::cmp),
            }
            let out = out.slice_mut::<T>();
            let first = keys.iter().take(kept).enumerate();
            first.for_each(|(k, &key)| out[at(k)] = T::of_key(key));
        }
    }
    Ok(out.freeze())
}

/// Brings the first `kept` elements to the front, sorted.
fn keep_first<T>(line: &mut [T], kept: usize, compare: impl Fn(&T, &T) -> Ordering) {
    let mut first = line;
    if kept < first.len() {
        first.select_nth_unstable_by(kept, &compare);
        first = &mut first[..kept];
    }
    first.sort_unstable_by(&compare);
}
