//! Sorting, looking up and counting, in random chunks.

use graticule_array::{Array, ArrayError, Chunks, rewrite::Rewrites};
use graticule_kernel::KernelError;
use graticule_plan::DType;
use graticule_tests::numpy::Numpy;
use proptest::prelude::*;

use crate::{
    compare::{Near, check, result},
    compose::{Case, Value, config},
    inputs::{Random, Values, shape},
    operations::check_built,
};

/// Inputs of the given shapes and dtypes.
fn case(random: &mut Random, inputs: &[(DType, Vec<usize>, Values)]) -> Case {
    let mut case = Case {
        inputs: Vec::new(),
        values: Vec::new(),
    };
    inputs
        .iter()
        .for_each(|(dtype, shape, values)| case.input(random, *dtype, shape, *values));
    case
}

/// A shape of at least one axis, and one of its axes.
fn shape_and_axis(random: &mut Random) -> (Vec<usize>, i64) {
    let mut shape = shape(random);
    if shape.is_empty() {
        shape.push(random.len());
    }
    let ndim = shape.len() as i64;
    (shape, random.within(-ndim, ndim - 1))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn lines_are_sorted_as_numpy_does(seed in any::<u64>(), dtype in 0..DType::REAL.len(), descending in any::<bool>()) {
        let mut random = Random::new(seed);
        let (shape, axis) = shape_and_axis(&mut random);
        let values = *random.pick(&[Values::Tame, Values::Wild]);
        let case = case(&mut random, &[(DType::REAL[dtype], shape, values)]);
        let x = &case.last().array;
        let flip = |python: String| if descending { format!("np.flip({python}, {axis})") } else { python };
        let sorted = flip(format!("np.sort(a0, axis={axis})"));
        check_built(x.sort(axis, descending), &sorted, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
        // From the far end, so that equal elements keep their order when all is turned round.
        let positions = match descending {
            false => format!("np.argsort(a0, axis={axis}, stable=True)"),
            true => format!("a0.shape[{axis}] - 1 - np.flip(np.argsort(np.flip(a0, {axis}), axis={axis}, stable=True), {axis})"),
        };
        check_built(x.argsort(axis, descending), &positions, &case.inputs, &Near::Same)
            .map_err(TestCaseError::fail)?;
    }

    #[test]
    fn the_greatest_and_the_least_are_found(seed in any::<u64>(), dtype in 0..DType::REAL.len(), count in -5..6i64) {
        let mut random = Random::new(seed);
        let (shape, axis) = shape_and_axis(&mut random);
        let values = *random.pick(&[Values::Tame, Values::Wild]);
        let case = case(&mut random, &[(DType::REAL[dtype], shape, values)]);
        let x = &case.last().array;
        let kept = format!("range(min({}, a0.shape[{axis}]))", count.abs());
        let (sorted, positions) = match count {
            0.. => (
                format!("np.flip(np.sort(a0, axis={axis}), {axis})"),
                format!("a0.shape[{axis}] - 1 - np.flip(np.argsort(np.flip(a0, {axis}), axis={axis}, stable=True), {axis})"),
            ),
            _ => (format!("np.sort(a0, axis={axis})"), format!("np.argsort(a0, axis={axis}, stable=True)")),
        };
        let taken = |python: String| format!("np.take({python}, np.array({kept}, dtype=int), axis={axis})");
        check_built(x.topk(count, axis), &taken(sorted), &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
        check_built(x.argtopk(count, axis), &taken(positions), &case.inputs, &Near::Same)
            .map_err(TestCaseError::fail)?;
    }

    #[test]
    fn elements_are_looked_up_as_numpy_does(seed in any::<u64>(), right in any::<bool>(), invert in any::<bool>()) {
        let mut random = Random::new(seed);
        let (first, second) = (random.dtype(), random.dtype());
        let values = *random.pick(&[Values::Tame, Values::Wild]);
        let (len, shape) = (random.len() * 3, shape(&mut random));
        let case = case(&mut random, &[(first, vec![len], values), (second, shape, values)]);
        let (sorted, x) = (case.values[0].array.sort(0, false).unwrap(), &case.values[1].array);
        let side = if right { "right" } else { "left" };
        let python = format!("np.asarray(np.searchsorted(np.sort(a0), a1, side='{side}'))");
        check_built(sorted.searchsorted(x, right), &python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
        // NumPy compares integers that have no common integer dtype by ways of its own.
        if first == second {
            let python = format!("np.asarray(np.isin(a1, a0, invert={}))", if invert { "True" } else { "False" });
            check_built(x.isin(&case.values[0].array, invert), &python, &case.inputs, &Near::Same)
                .map_err(TestCaseError::fail)?;
        }
    }

    #[test]
    fn elements_fall_into_the_bins_that_numpy_says(seed in any::<u64>(), right in any::<bool>(), falls in any::<bool>()) {
        let mut random = Random::new(seed);
        let dtype = random.dtype();
        let values = *random.pick(&[Values::Tame, Values::Wild]);
        let shape = shape(&mut random);
        let case = case(&mut random, &[(dtype, shape, values)]);
        let count = random.below(6);
        let mut edges: Vec<f64> = (0..count).map(|_| random.within(-20, 120) as f64 / 2.0).collect();
        edges.sort_by(f64::total_cmp);
        let x = &case.last().array;
        if edges.len() > 1 {
            let python = format!("np.histogram(a0, np.array({edges:?}))[0]");
            check_built(x.histogram(&edges, None, false), &python, &case.inputs, &Near::Same)
                .map_err(TestCaseError::fail)?;
        }
        if falls {
            edges.reverse();
        }
        let right_text = if right { "True" } else { "False" };
        let python = format!("np.asarray(np.digitize(a0, np.array({edges:?}, dtype=float), right={right_text}))");
        check_built(x.digitize(&edges, right), &python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn numbers_are_counted_as_numpy_does(seed in any::<u64>(), dtype in 0..9usize, is_weighted in any::<bool>()) {
        let mut random = Random::new(seed);
        let dtype = DType::REAL[dtype];
        let len = random.len() * 3;
        // Of nothing NumPy counts integers, whatever the weights.
        let is_weighted = is_weighted && len > 0;
        let weights = *random.pick(&[DType::Float64, DType::Float32, DType::Int16]);
        let case = case(&mut random, &[(dtype, vec![len], Values::Tame), (weights, vec![len], Values::Tame)]);
        let [Value { array: x, .. }, Value { array: weights, .. }] = &case.values[..] else { unreachable!() };
        let (python, weights) = match is_weighted {
            true => ("np.bincount(a0, a1, minlength=100)[:110]", Some(weights)),
            false => ("np.bincount(a0, minlength=100)", None),
        };
        let x = if dtype == DType::Bool { &x.astype(DType::Int8).unwrap() } else { x };
        check_built(x.bincount(100, weights), python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn histograms_weigh_as_numpy_does(seed in any::<u64>(), density in any::<bool>()) {
        let mut random = Random::new(seed);
        let (shape, dtype) = (shape(&mut random), *random.pick(&[DType::Float64, DType::Float32]));
        let weights = *random.pick(&[DType::Float64, DType::Int64]);
        let case = case(&mut random, &[(dtype, shape.clone(), Values::Tame), (weights, shape, Values::Tame)]);
        let edges = [0.0, 10.0, 15.0, 40.0, 99.0];
        let text = if density { "True" } else { "False" };
        let built = case.values[0].array.histogram(&edges, Some(&case.values[1].array), density);
        let python = format!("np.histogram(a0, np.array({edges:?}), weights=a1, density={text})[0]");
        check_built(built, &python, &case.inputs, &Near::Ulps(4)).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn numbers_beyond_the_last_bin_fail_and_say_which() {
    let x = Array::from_slice(&[4], &[Chunks::Size(2)], &[0_i64, 2, 7, 1]).unwrap();
    let why = result(&x.bincount(3, None).unwrap(), Rewrites::All).unwrap_err();
    assert!(
        matches!(why, KernelError::NoSuchBin { number: 7, count: 3 }),
        "{why}"
    );
    let x = x.subtract(1).unwrap();
    assert!(result(&x.bincount(9, None).unwrap(), Rewrites::All).is_err());
    check(
        &x.add(1).unwrap().bincount(8, None).unwrap(),
        "np.bincount([0, 2, 7, 1])",
        &[],
        &Near::Same,
    )
    .unwrap();
}

#[test]
fn what_has_no_order_is_refused() {
    let x = Array::zeros(&[2, 3], &[Chunks::Whole, Chunks::Size(2)], DType::Float64).unwrap();
    let line = Array::zeros(&[3], &[Chunks::Whole], DType::Float64).unwrap();
    for (built, python) in [
        (x.sort(2, false), "np.sort(np.zeros((2, 3)), axis=2)"),
        (
            x.searchsorted(&line, false),
            "np.searchsorted(np.zeros((2, 3)), np.zeros(3))",
        ),
        (
            x.digitize(&[1.0, 3.0, 2.0], false),
            "np.digitize(np.zeros((2, 3)), [1., 3., 2.])",
        ),
        (
            x.histogram(&[1.0, 0.0], None, false),
            "np.histogram(np.zeros((2, 3)), [1., 0.])",
        ),
        (
            x.histogram(&[0.0, 1.0], Some(&line), false),
            "np.histogram(np.zeros((2, 3)), [0., 1.], weights=np.zeros(3))",
        ),
        (
            x.astype(DType::Int8).unwrap().bincount(3, None),
            "np.bincount(np.zeros((2, 3), dtype='i1'))",
        ),
        (line.bincount(3, None), "np.bincount(np.zeros(3))"),
    ] {
        let why: ArrayError = built.expect_err(python);
        assert!(!why.to_string().is_empty());
        assert!(
            Numpy::shared().eval(python, &[]).is_err(),
            "NumPy allows {python}"
        );
    }
}
