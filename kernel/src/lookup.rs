//! Looking values up in a sorted list: bins between edges, positions along an axis, membership.
//!
//! A list that much is looked up in is cut into even parts of its range, and each part notes how many elements stand
//! before it. A value's part is a multiplication; of the elements only those in the same part are compared with it. Which
//! part is the same for an element and for a value that equals it, and never less for a greater one: so the answer is that
//! of comparing with all of them, whatever rounding does. Edges of even steps have one in a part.

use graticule_ops::SearchKind;
use graticule_plan::DType;

use crate::{
    Tensor,
    element::with_element,
    reduce::Reducible,
    simd::{Kernel, dispatch},
};

/// Writes what is found of some elements: positions, int64, or whether they are there, bool.
pub(crate) type LookupFn = Box<dyn Fn(&[u8], &mut [u8]) + Send + Sync>;

/// What looks elements up in `sorted`, of which there will be about `count`.
pub(crate) fn lookup(sorted: &Tensor, kind: SearchKind, count: usize) -> LookupFn {
    with_element!(sorted.dtype(), T => lookup_of::<T>(sorted.clone(), kind, count))
}

/// The dtype of what is found.
pub(crate) fn found_dtype(kind: SearchKind) -> DType {
    match kind {
        SearchKind::Left | SearchKind::Right => DType::Int64,
        SearchKind::Contains => DType::Bool,
    }
}

fn lookup_of<T: Reducible>(sorted: Tensor, kind: SearchKind, count: usize) -> LookupFn {
    let parts = Parts::new(T::slice(sorted.bytes()), kind, count);
    Box::new(move |x, out| {
        let (sorted, x) = (T::slice(sorted.bytes()), T::slice(x));
        let list = List {
            sorted,
            parts: parts.as_ref(),
        };
        match kind {
            SearchKind::Left => {
                let has = (stands_before, T::is_less);
                list.places(x, has, |place, at, _| *place = at as i64, out);
            }
            SearchKind::Right => {
                let has = (is_not_after, is_not_greater);
                list.places(x, has, |place, at, _| *place = at as i64, out);
            }
            SearchKind::Contains => {
                let is_there = |place: &mut bool, at: usize, x: T| *place = sorted.get(at) == Some(&x);
                list.places(x, (stands_before, T::is_less), is_there, out);
            }
        }
    })
}

/// Whether `a` stands before `b`, NaN being behind all others.
#[inline(always)]
fn stands_before<T: Reducible>(a: T, b: T) -> bool {
    if T::DTYPE.is_complex() {
        return a.order(b).is_lt();
    }
    a.is_less(b) | (b.is_nan() & !a.is_nan())
}

#[inline(always)]
fn is_not_after<T: Reducible>(a: T, b: T) -> bool {
    !stands_before(b, a)
}

/// [`is_not_after`] of numbers; NaN is neither.
#[inline(always)]
fn is_not_greater<T: Reducible>(a: T, b: T) -> bool {
    a.is_less(b) | (a == b)
}

struct List<'a, T> {
    sorted: &'a [T],
    parts: Option<&'a Parts<T>>,
}

impl<T: Reducible> List<'_, T> {
    /// Has `put` write, for each value, the number of elements that have a property towards it, which are the first ones;
    /// the property is given for all, and for where neither is NaN.
    #[inline(always)]
    fn places<U: crate::Element>(
        &self,
        x: &[T],
        (has, has_number): (impl Fn(T, T) -> bool, impl Fn(T, T) -> bool),
        put: impl Fn(&mut U, usize, T),
        out: &mut [u8],
    ) {
        let out = U::slice_mut(out);
        match self.parts {
            Some(parts) if parts.depth <= 1 => {
                let near = |part: usize, x| {
                    let (first, start) = parts.firsts[part];
                    start as usize + usize::from(has_number(first, x))
                };
                parts.places(x, near, put, out);
            }
            Some(parts) if parts.depth <= DEPTH_MAX => {
                let near = |part: usize, x| {
                    let start = parts.firsts[part].1 as usize;
                    let near: &[T; DEPTH_MAX] = parts.padded[start..].first_chunk().expect("it is padded");
                    near.iter()
                        .fold(start, |at, &other| at + usize::from(has_number(other, x)))
                };
                parts.places(x, near, put, out);
            }
            Some(parts) => {
                let near = |part: usize, x| {
                    let start = parts.firsts[part].1 as usize;
                    let end = parts
                        .firsts
                        .get(part + 1)
                        .map_or(parts.len, |next| next.1 as usize);
                    let of_part = &parts.padded[start..end];
                    start + of_part.partition_point(|&other| has_number(other, x))
                };
                parts.places(x, near, put, out);
            }
            None => out
                .iter_mut()
                .zip(x)
                .for_each(|(out, &x)| put(out, self.sorted.partition_point(|&other| has(other, x)), x)),
        }
    }
}

/// Elements of a part above which they are rather halved again and again than all compared.
const DEPTH_MAX: usize = 4;
/// Values looked up for each element of the list, from which on parts are worth making.
const PARTED_FROM: usize = 4;
/// Values whose parts are calculated at once.
const BATCH_LEN: usize = 256;
/// The most elements of a list that is cut into parts: so that what is noted of them stays in a cache.
const PARTED_LEN_MAX: usize = 1 << 16;

/// Even parts of a list's range.
struct Parts<T> {
    scale: Scale,
    /// Of each part the first element that does not stand before it, and how many do; behind the parts the place of NaN.
    firsts: Vec<(T, u32)>,
    /// The most elements of a part.
    depth: usize,
    /// The list, and behind it its last element once more for each that may be looked at beyond the end.
    padded: Vec<T>,
    len: usize,
}

/// From a value to its part.
#[derive(Clone, Copy)]
struct Scale {
    low: f64,
    factor: f64,
    last: f64,
}

impl Scale {
    /// The part of a value, never less for a greater one; that of NaN is behind the last.
    #[inline(always)]
    fn part(self, value: f64) -> u32 {
        /// Added to a lesser number it leaves that number, rounded, in the last bits.
        const ROUNDING: f64 = (1u64 << 52) as f64;
        let place = (value - self.low) * self.factor;
        let place = if place > self.last { self.last } else { place };
        let place = if place < 0.0 { 0.0 } else { place };
        let place = if place.is_nan() { self.last + 1.0 } else { place };
        (place + ROUNDING).to_bits() as u32
    }
}

/// Calculates the parts of some values.
struct PartsOf<'a, T> {
    scale: Scale,
    x: &'a [T],
    parts: &'a mut [u32; BATCH_LEN],
}

impl<T: Reducible> Kernel for PartsOf<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let scale = self.scale;
        self.parts
            .iter_mut()
            .zip(self.x)
            .for_each(|(part, x)| *part = scale.part(x.float()));
    }
}

impl<T: Reducible> Parts<T> {
    /// The parts of a list, if they are worth making for `count` values.
    fn new(sorted: &[T], kind: SearchKind, count: usize) -> Option<Self> {
        // Complex numbers with NaN are not in the order of their real parts.
        let is_parted = !T::DTYPE.is_complex()
            && (2..=PARTED_LEN_MAX).contains(&sorted.len())
            && count / PARTED_FROM >= sorted.len();
        if !is_parted {
            return None;
        }
        let finite = || sorted.iter().map(|x| x.float()).filter(|x| x.is_finite());
        let (low, high) = (finite().next()?, finite().next_back()?);
        let parts = 2 * sorted.len();
        let factor = parts as f64 / (high - low);
        if !(factor > 0.0 && factor.is_finite()) {
            return None;
        }
        let last = parts as f64;
        let scale = Scale { low, factor, last };
        let mut counts = vec![0u32; parts + 2];
        sorted
            .iter()
            .for_each(|x| counts[scale.part(x.float()) as usize] += 1);
        let depth = counts[..=parts].iter().max().map_or(0, |&most| most as usize);
        let mut padded = sorted.to_vec();
        padded.resize(sorted.len() + DEPTH_MAX, sorted[sorted.len() - 1]);
        let mut before = 0;
        let firsts = counts.iter().map(|count| {
            let start = before;
            before += count;
            (padded[start as usize], start)
        });
        let mut firsts: Vec<(T, u32)> = firsts.collect();
        if kind == SearchKind::Right {
            // NaN is not behind NaN.
            firsts[parts + 1].1 = sorted.len() as u32;
        }
        Some(Self {
            scale,
            firsts,
            depth,
            padded,
            len: sorted.len(),
        })
    }

    /// As [`List::places`], given the place for a part and a value.
    #[inline(always)]
    fn places<U>(
        &self,
        x: &[T],
        near: impl Fn(usize, T) -> usize,
        put: impl Fn(&mut U, usize, T),
        out: &mut [U],
    ) {
        let mut parts = [0; BATCH_LEN];
        for (x, out) in x.chunks(BATCH_LEN).zip(out.chunks_mut(BATCH_LEN)) {
            dispatch(PartsOf {
                scale: self.scale,
                x,
                parts: &mut parts,
            });
            for ((out, &x), &part) in out.iter_mut().zip(x).zip(&parts) {
                put(out, near(part as usize, x).min(self.len), x);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::{Element, Time};

    /// What is found is what comparing with every element finds, whether there are parts or not.
    fn check<T: Reducible>(mut sorted: Vec<T>, x: &[T]) {
        sorted.sort_by(|a, b| a.order(*b));
        let list = Tensor::from_vec(&[sorted.len()], sorted.clone()).unwrap();
        for kind in [SearchKind::Left, SearchKind::Right, SearchKind::Contains] {
            let before = |x: T| match kind {
                SearchKind::Right => sorted.iter().filter(|other| other.order(x).is_le()).count(),
                _ => sorted.iter().filter(|other| other.order(x).is_lt()).count(),
            };
            for count in [0, 1 << 20] {
                let of = Tensor::from_vec(&[x.len()], x.to_vec()).unwrap();
                let mut out = crate::TensorMut::zeros(found_dtype(kind), &[x.len()]).unwrap();
                lookup(&list, kind, count)(of.bytes(), out.trusted_bytes_mut());
                let out = out.freeze();
                for (k, &x) in x.iter().enumerate() {
                    let is_same = match kind {
                        SearchKind::Contains => bool::slice(out.bytes())[k] == sorted.contains(&x),
                        _ => i64::slice(out.bytes())[k] == before(x) as i64,
                    };
                    assert!(is_same, "{kind:?} of {x:?} in {sorted:?} for {count}");
                }
            }
        }
    }

    #[test]
    fn parts_never_change_where_a_value_stands() {
        let even: Vec<f64> = (0..=100).map(|edge| f64::from(edge) * 0.02).collect();
        let clustered = vec![0.0, 1e-9, 2e-9, 2e-9, 2e-9, 2e-9, 2e-9, 3e-9, 1.0, f64::MAX];
        let with_ends = vec![f64::NEG_INFINITY, -1.0, 0.0, 1.0, f64::INFINITY, f64::NAN];
        let tiny = vec![0.0, 5e-324, 1e-323];
        let wide = vec![f64::MIN, 0.0, f64::MAX];
        let nothing = vec![f64::NAN, f64::NAN];
        for sorted in [
            even,
            clustered,
            with_ends,
            tiny,
            wide,
            nothing,
            vec![5.0; 9],
            vec![],
        ] {
            let near = sorted
                .iter()
                .flat_map(|&x: &f64| [x, x.next_up(), x.next_down(), x * 0.7]);
            let ends = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0];
            let x: Vec<f64> = near.chain(ends).collect();
            check(sorted, &x);
        }
    }

    #[test]
    fn even_edges_have_parts_of_their_own() {
        for (len, low, step) in [(101, 0.0, 0.02), (3, -1e9, 7.7), (4097, 1e-7, 1e-13)] {
            let edges: Vec<f64> = (0..len).map(|k| low + f64::from(k) * step).collect();
            let parts = Parts::new(&edges, SearchKind::Left, 1 << 20).expect("they are worth it");
            assert_eq!(parts.depth, 1, "{len} from {low} by {step}");
        }
    }

    fn float() -> impl Strategy<Value = f64> {
        prop_oneof![
            6 => -4.0..4.0f64,
            3 => (-8..8i32).prop_map(|x| f64::from(x) / 2.0),
            1 => any::<f64>(),
            1 => select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MAX, 5e-324]),
        ]
    }

    proptest! {
        #[test]
        fn floats_are_found_where_they_stand(sorted in vec(float(), 0..40), x in vec(float(), 0..600)) {
            check(sorted.clone(), &x);
            let single = |x: &f64| *x as f32;
            check(sorted.iter().map(single).collect(), &x.iter().map(single).collect::<Vec<_>>());
        }

        #[test]
        fn even_edges_find_what_stands_on_them(
            low in -1e3..1e3f64, step in 1e-6..1e3f64, len in 2..200u32, at in vec((0..200u32, -1..2i8), 0..300),
        ) {
            let edges: Vec<f64> = (0..len).map(|k| low + f64::from(k) * step).collect();
            let x: Vec<f64> = at.into_iter().map(|(k, side)| {
                let edge = low + f64::from(k) * step;
                match side { -1 => edge.next_down(), 0 => edge, _ => edge.next_up() }
            }).collect();
            check(edges, &x);
        }

        #[test]
        fn numbers_and_times_are_found_where_they_stand(
            sorted in vec(prop_oneof![any::<i64>(), -9..9i64], 0..40),
            x in vec(prop_oneof![any::<i64>(), -9..9i64], 0..300),
        ) {
            check(sorted.clone(), &x);
            let of = |x: &[i64]| x.iter().map(|&x| x as u8).collect::<Vec<_>>();
            check(of(&sorted), &of(&x));
            let of = |x: &[i64]| x.iter().map(|&x| Time(x)).collect::<Vec<_>>();
            check(of(&sorted), &of(&x));
        }

        #[test]
        fn complex_numbers_are_found_where_they_stand(
            sorted in vec((float(), float()), 0..20), x in vec((float(), float()), 0..100),
        ) {
            let of = |x: Vec<(f64, f64)>| {
                x.into_iter().map(|(re, im)| num_complex::Complex::new(re, im)).collect::<Vec<_>>()
            };
            check(of(sorted), &of(x));
        }
    }
}
