//! Random arrays.

use graticule_kernel::{Element, Tensor};
use graticule_plan::DType;
use proptest::{prelude::*, sample::select};

/// How wild the floats are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Floats {
    /// Anything, NaN, infinities and extremes among them.
    Any,
    /// Up to a thousand, with NaN and infinities here and there.
    Tame,
}

pub(crate) fn dtypes() -> impl Strategy<Value = DType> {
    select(DType::REAL.to_vec())
}

/// Those that kernels compute in: programs convert float16 first.
pub(crate) fn computed() -> impl Strategy<Value = DType> {
    dtypes().prop_filter("computed in", |dtype| *dtype != DType::Float16)
}

/// Shapes of up to four axes, at times with none or one element along one.
pub(crate) fn shapes() -> impl Strategy<Value = Vec<usize>> {
    let len = prop_oneof![1 => Just(0usize), 2 => Just(1), 6 => 2usize..7, 2 => 7usize..20];
    prop_oneof![
        6 => proptest::collection::vec(len, 0..=4),
        1 => (1usize..300, 1usize..12).prop_map(|(n, m)| vec![n, m]),
        1 => (1usize..12, 1usize..300).prop_map(|(n, m)| vec![n, m]),
        1 => (1usize..5000).prop_map(|n| vec![n]),
    ]
}

fn integers<T: Element + Copy>(all: impl Strategy<Value = T> + 'static, special: Vec<T>) -> BoxedStrategy<T> {
    prop_oneof![3 => select(special), 4 => all].boxed()
}

macro_rules! vector {
    ($type:ty, $n:expr, $shape:expr) => {{
        let shape = $shape.clone();
        let small = (0u8..12).prop_map(|x| x as $type);
        let special = vec![
            0 as $type,
            1,
            2,
            3,
            <$type>::MAX,
            <$type>::MIN,
            <$type>::MAX - 1,
            (0 as $type).wrapping_sub(1),
        ];
        proptest::collection::vec(prop_oneof![integers(any::<$type>(), special), small], $n)
            .prop_map(move |values| Tensor::from_vec(&shape, values).unwrap())
            .boxed()
    }};
}

macro_rules! float_vector {
    ($type:ident, $n:expr, $shape:expr, $floats:expr) => {{
        let shape = $shape.clone();
        let tame = prop_oneof![-1000.0f32..1000.0, (-20i8..20).prop_map(f32::from)].prop_map(|x| x as $type);
        let special = [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 2.0, $type::NAN, $type::INFINITY, $type::NEG_INFINITY];
        let extreme = [$type::MAX, $type::MIN, $type::MIN_POSITIVE, 1e-40, 1e20, -1e20, $type::EPSILON];
        let value = match $floats {
            Floats::Any => prop_oneof![
                3 => select(special.to_vec()), 1 => select(extreme.to_vec()), 3 => tame, 2 => any::<$type>()
            ].boxed(),
            Floats::Tame => prop_oneof![1 => Just($type::NAN), 30 => tame].boxed(),
        };
        // Few arrays should be all NaN, and some have none.
        (proptest::collection::vec(value, $n), 0u8..8)
            .prop_map(move |(mut values, kind)| {
                match kind {
                    0 => values.fill($type::NAN),
                    1 | 2 => values.iter_mut().filter(|x| x.is_nan()).for_each(|x| *x = 3.25),
                    _ => {}
                }
                Tensor::from_vec(&shape, values).unwrap()
            })
            .boxed()
    }};
}

/// An array of a dtype and shape.
pub(crate) fn tensors(dtype: DType, shape: Vec<usize>, floats: Floats) -> BoxedStrategy<Tensor> {
    let n: usize = shape.iter().product();
    match dtype {
        DType::Bool => proptest::collection::vec(any::<bool>(), n)
            .prop_map(move |values| Tensor::from_vec(&shape, values).unwrap())
            .boxed(),
        DType::Int8 => vector!(i8, n, shape),
        DType::Int16 => vector!(i16, n, shape),
        DType::Int32 => vector!(i32, n, shape),
        DType::Int64 => vector!(i64, n, shape),
        DType::UInt8 => vector!(u8, n, shape),
        DType::UInt16 => vector!(u16, n, shape),
        DType::UInt32 => vector!(u32, n, shape),
        DType::UInt64 => vector!(u64, n, shape),
        DType::Float16 => proptest::collection::vec(any::<u16>(), n)
            .prop_map(move |bits| {
                let bytes: Vec<u8> = bits.iter().flat_map(|bits| bits.to_ne_bytes()).collect();
                Tensor::from_bytes(DType::Float16, &shape, bytes.into()).unwrap()
            })
            .boxed(),
        DType::Float32 => float_vector!(f32, n, shape, floats),
        DType::Float64 => float_vector!(f64, n, shape, floats),
        DType::Complex64 | DType::Complex128 | DType::DateTime64(_) | DType::TimeDelta64(_) => {
            unreachable!("complex numbers and times have tests of their own")
        }
    }
}

/// An array of any dtype and shape.
pub(crate) fn any_tensor(floats: Floats) -> impl Strategy<Value = Tensor> {
    (dtypes(), shapes()).prop_flat_map(move |(dtype, shape)| tensors(dtype, shape, floats))
}

/// An array of any dtype that kernels compute in.
pub(crate) fn any_computed(floats: Floats) -> impl Strategy<Value = Tensor> {
    (computed(), shapes()).prop_flat_map(move |(dtype, shape)| tensors(dtype, shape, floats))
}

/// A shape that broadcasts with `shape`: axes of length 1 here and there, leading ones missing.
pub(crate) fn broadcastable(shape: Vec<usize>) -> impl Strategy<Value = Vec<usize>> {
    let n = shape.len();
    (proptest::collection::vec(any::<bool>(), n), 0..=n).prop_map(move |(ones, missing)| {
        let shape = shape
            .iter()
            .zip(&ones)
            .map(|(&len, &one)| if one { 1 } else { len });
        shape.skip(missing / 2).collect()
    })
}

/// Some axes of a shape, rising.
pub(crate) fn some_axes(ndim: usize) -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(any::<bool>(), ndim).prop_map(|picks| {
        let mut axes: Vec<usize> = (0..picks.len()).filter(|&axis| picks[axis]).collect();
        if axes.is_empty() && !picks.is_empty() {
            axes.push(0);
        }
        axes
    })
}

/// Cases to try; failures are not written down, but shrunk and shown.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 400,
        ..ProptestConfig::default()
    }
}
