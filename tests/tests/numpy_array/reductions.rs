//! Reductions whose results are rounded, and those that look at positions.

use graticule_array::rewrite::Rewrites;
use graticule_array::{Array, Chunks, Over};
use graticule_kernel::Tensor;
use graticule_ops::ReduceKind;
use graticule_plan::DType;
use proptest::prelude::*;

use crate::{
    compare::{Near, check, result},
    compose::{Case, config, over},
    inputs::{Random, Values, shape},
    operations::check_built,
};

/// A single input of the given dtype.
fn case(seed: u64, dtype: DType) -> (Case, Random) {
    let mut random = Random::new(seed);
    let mut case = Case {
        inputs: Vec::new(),
        values: Vec::new(),
    };
    let shape = shape(&mut random);
    case.input(&mut random, dtype, &shape, Values::Wild);
    (case, random)
}

proptest! {
    #![proptest_config(config())]

    /// float32 accumulates in float64 and is rounded once, so NumPy's float64 result is the oracle.
    #[test]
    fn sums_and_means_are_near_the_exact_ones(seed in any::<u64>(), kind in 0..4usize, skipna in any::<bool>(),
            wide in any::<bool>()) {
        use ReduceKind::*;
        let dtype = if wide { DType::Float64 } else { DType::Float32 };
        let (case, mut random) = case(seed, dtype);
        let kind = [Sum, Mean, Var { ddof: 0 }, Std { ddof: 1 }][kind].clone();
        let (mut over, text) = over(&mut random, case.last(), false);
        if skipna {
            over = over.skipna();
        }
        let nan = if skipna { "nan" } else { "" };
        let ddof = if matches!(kind, Std { .. }) { ", ddof=1" } else { "" };
        let name = kind.name();
        let python = format!("np.asarray(np.{nan}{name}(a0.astype('float64'), {text}{ddof})).astype('{dtype}')");
        // What may be lost is a part of what was added up; deviations are of the size of the elements, squared.
        let power = if matches!(kind, Var { .. }) { 2 } else { 1 };
        let scale = format!("np.nansum(np.abs(a0.astype('float64')) ** {power}, {text})");
        let built = case.last().array.reduce(kind, &over);
        // A deviation of nearly equal numbers loses half of the digits when its root is taken.
        let part = if matches!(name, "std") { 1e-11 } else { 1e-12 };
        check_built(built, &python, &case.inputs, &Near::Part(part, scale)).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn products_are_near_the_exact_ones(seed in any::<u64>(), skipna in any::<bool>()) {
        let (case, mut random) = case(seed, DType::Float64);
        let (mut over, text) = over(&mut random, case.last(), false);
        if skipna {
            over = over.skipna();
        }
        let nan = if skipna { "nan" } else { "" };
        let python = format!("np.{nan}prod(a0, {text})");
        let near = Near::Part(1e-12, format!("np.abs({python})"));
        check_built(case.last().array.prod(&over), &python, &case.inputs, &near).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn reductions_of_integers_are_numpys(seed in any::<u64>(), dtype in 0..9usize, kind in 0..8usize) {
        use ReduceKind::*;
        let (case, mut random) = case(seed, DType::REAL[dtype]);
        let kind = [Sum, Prod, Mean, Var { ddof: 0 }, Min, Max, Median, Any][kind].clone();
        let (over, text) = over(&mut random, case.last(), false);
        let python = format!("np.{}(a0, {text})", kind.name());
        let near = match kind {
            Mean => Near::Part(1e-12, format!("np.sum(np.abs(a0.astype('float64')), {text})")),
            Var { .. } => Near::Part(1e-12, format!("np.sum(a0.astype('float64') ** 2, {text})")),
            _ => Near::Same,
        };
        check_built(case.last().array.reduce(kind, &over), &python, &case.inputs, &near).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn quantiles_are_numpys(seed in any::<u64>(), dtype in 1..11usize, skipna in any::<bool>()) {
        let dtype = DType::REAL[dtype];
        let (case, mut random) = case(seed, dtype);
        let (mut over, text) = over(&mut random, case.last(), false);
        let skipna = skipna && dtype.is_float();
        if skipna {
            over = over.skipna();
        }
        // NumPy forgets the shape of quantiles of nothing where it leaves NaN out.
        prop_assume!(!skipna || case.last().array.size() > 0);
        let nan = if skipna { "nan" } else { "" };
        let qs = [0.0, 0.1, 0.5, 0.77, 1.0];
        // NumPy takes differences of integers in their own dtype, where they wrap.
        let python = format!("np.{nan}quantile(a0.astype('float64'), {qs:?}, {text})");
        // NumPy interpolates from the nearer side, with one rounding more or less; between integers of opposite
        // sign it rounds them first, and what is left may be far smaller than what was rounded.
        let near = if dtype.is_float() {
            Near::Ulps(4)
        } else {
            let largest = format!("np.max(np.abs(a0.astype('float64')), {text}, initial=0.0)");
            Near::Part(4.0 * f64::EPSILON, format!("np.stack([{largest}] * {})", qs.len()))
        };
        check_built(case.last().array.quantile(&qs, &over), &python, &case.inputs, &near)
            .map_err(TestCaseError::fail)?;
    }

    #[test]
    fn quantiles_by_group_are_numpys(seed in any::<u64>(), dtype in 1..11usize, step in 1..3i64) {
        let (case, mut random) = case(seed, DType::REAL[dtype]);
        let x = &case.last().array;
        // Between numbers of 64 bits and opposite sign the interpolation loses more than the last bits.
        if x.ndim() == 0 || x.size() == 0 || matches!(x.dtype(), DType::Int64 | DType::UInt64) {
            return Ok(());
        }
        let axis = random.below(x.ndim());
        let labels: Vec<Option<usize>> = (0..x.shape()[axis])
            .map(|_| (!random.one_in(5)).then(|| random.below(3)))
            .collect();
        if labels.iter().all(Option::is_none) {
            return Ok(());
        }
        let qs = vec![0.1, 0.5, 1.0];
        let (quantiles, groups) = x
            .groupby_reduce(axis as i64, &labels, ReduceKind::Quantile { qs: qs.clone() }, false)
            .unwrap();
        let of_group = |group: &usize| {
            let positions: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == Some(*group)).collect();
            format!(
                "np.quantile(np.take(a0.astype('float64'), {positions:?}, axis={axis}), {qs:?}, axis={axis}, keepdims=True)"
            )
        };
        let parts: Vec<String> = groups.iter().map(of_group).collect();
        let python = format!("np.concatenate([{}], axis={})", parts.join(", "), axis + 1);
        check(&quantiles, &python, &case.inputs, &Near::Ulps(4)).map_err(TestCaseError::fail)?;
        // A slice of the quantiles, of the groups and of another axis.
        let slice = graticule_array::Index::Slice { start: None, stop: None, step };
        let index = [slice, graticule_array::Index::Ellipsis, slice];
        check(&quantiles.slice(&index).unwrap(), &format!("({python})[::{step}, ..., ::{step}]"), &case.inputs, &Near::Ulps(4))
            .map_err(TestCaseError::fail)?;
    }

    #[test]
    fn positions_by_group_are_those_along_the_whole_axis(seed in any::<u64>()) {
        let (case, mut random) = case(seed, DType::Int32);
        let x = &case.last().array;
        if x.ndim() == 0 || x.size() == 0 {
            return Ok(());
        }
        let axis = random.below(x.ndim());
        let labels: Vec<Option<usize>> = (0..x.shape()[axis]).map(|_| Some(random.below(2))).collect();
        for (kind, name) in [(ReduceKind::ArgMin, "argmin"), (ReduceKind::ArgMax, "argmax")] {
            let (found, groups) = x.groupby_reduce(axis as i64, &labels, kind, false).unwrap();
            let of_group = |group: &usize| {
                let positions: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == Some(*group)).collect();
                format!(
                    "np.array({positions:?})[np.{name}(np.take(a0, {positions:?}, axis={axis}), axis={axis}, keepdims=True)]"
                )
            };
            let parts: Vec<String> = groups.iter().map(of_group).collect();
            let python = format!("np.concatenate([{}], axis={axis})", parts.join(", "));
            check(&found, &python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
        }
    }

    #[test]
    fn slices_of_reductions_keep_their_bits(seed in any::<u64>(), start in 0..4i64, step in 1..4i64) {
        let (case, mut random) = case(seed, DType::Float64);
        let x = &case.last().array;
        let Some(axis) = (x.ndim() > 1).then(|| random.below(x.ndim())) else { return Ok(()) };
        let mean = x.sum(&Over::axis(axis as i64)).unwrap();
        let slice = graticule_array::Index::Slice { start: Some(start), stop: None, step };
        let index = [graticule_array::Index::Ellipsis, slice];
        let python = format!("np.sum(a0, axis={axis})[..., {start}::{step}]");
        let scale = format!("np.nansum(np.abs(a0), axis={axis})[..., {start}::{step}]");
        check(&mean.slice(&index).unwrap(), &python, &case.inputs, &Near::Part(1e-12, scale))
            .map_err(TestCaseError::fail)?;
    }
}

#[test]
fn first_and_last_look_at_positions() {
    let mut random = Random::new(6);
    let mut case = Case {
        inputs: Vec::new(),
        values: Vec::new(),
    };
    case.input(&mut random, DType::Float64, &[6, 4], Values::Wild);
    let x = &case.last().array;
    for (built, python) in [
        (x.first(&Over::axis(0)), "a0[0]"),
        (x.last(&Over::axis(0)), "a0[-1]"),
        (
            x.first(&Over::axis(0).skipna()),
            "np.where(np.isnan(a0).all(0), np.nan, a0[np.isnan(a0).argmin(0), range(4)])",
        ),
        (
            x.last(&Over::axis(0).skipna()),
            "np.where(np.isnan(a0).all(0), np.nan, a0[5 - np.isnan(a0[::-1]).argmin(0), range(4)])",
        ),
    ] {
        check_built(built, python, &case.inputs, &Near::Same).unwrap();
    }
}

/// 6 x 4 numbers in 3 x 2 chunks, with what NumPy knows of them.
fn table() -> (Array, Vec<(String, Tensor)>) {
    let values: Vec<f64> = (0..24).map(f64::from).collect();
    let x = Array::from_slice(&[6, 4], &[Chunks::Size(2), Chunks::Size(3)], &values).unwrap();
    let tensor = result(&x, Rewrites::All).unwrap();
    (x, vec![("x".to_owned(), tensor)])
}

#[test]
fn without_labels_there_are_no_groups_and_the_result_is_empty() {
    use ReduceKind::*;
    let (x, inputs) = table();
    let median_and_more = Quantile { qs: vec![0.1, 0.5] };
    for kind in [
        Sum,
        Mean,
        Std { ddof: 1 },
        Count,
        Any,
        Min,
        ArgMax,
        First,
        Median,
        median_and_more,
    ] {
        let (empty, groups) = x
            .groupby_reduce(0, &[None::<u8>; 6], kind.clone(), false)
            .unwrap();
        assert!(groups.is_empty());
        let shape = if matches!(kind, Quantile { .. }) {
            "(2, 0, 4)"
        } else {
            "(0, 4)"
        };
        let python = format!("np.zeros({shape}, dtype='{}')", empty.dtype());
        check(&empty, &python, &inputs, &Near::Same).unwrap();
        let total = empty
            .astype(DType::Float64)
            .unwrap()
            .add(1.0)
            .unwrap()
            .sum(&Over::all());
        check_built(total, "np.float64(0)", &inputs, &Near::Same).unwrap();
    }
}

#[test]
fn groups_of_an_axis_without_elements_get_what_nothing_reduces_to() {
    let x = Array::zeros(&[0, 3], &[Chunks::Whole, Chunks::Size(2)], DType::Float64).unwrap();
    let reduced = |kind, count| x.reduce_groups(0, &[], count, kind, false);
    check_built(reduced(ReduceKind::Sum, 2), "np.zeros((2, 3))", &[], &Near::Same).unwrap();
    check_built(
        reduced(ReduceKind::Mean, 2),
        "np.full((2, 3), np.nan)",
        &[],
        &Near::Same,
    )
    .unwrap();
    check_built(
        reduced(ReduceKind::Median, 2),
        "np.full((2, 3), np.nan)",
        &[],
        &Near::Same,
    )
    .unwrap();
    check_built(
        reduced(ReduceKind::Median, 0),
        "np.zeros((0, 3))",
        &[],
        &Near::Same,
    )
    .unwrap();
}

#[test]
fn no_quantiles_are_an_empty_leading_axis_as_in_numpy() {
    let (x, inputs) = table();
    for (over, python) in [
        (Over::axis(0), "np.quantile(x, [], axis=0)"),
        (Over::axis(1).skipna(), "np.nanquantile(x, [], axis=1)"),
        (Over::all(), "np.quantile(x, [])"),
        (
            Over::axis(0).keepdims(),
            "np.quantile(x, [], axis=0, keepdims=True)",
        ),
    ] {
        check_built(x.quantile(&[], &over), python, &inputs, &Near::Same).unwrap();
    }
    let none = ReduceKind::Quantile { qs: Vec::new() };
    let (by_group, _) = x
        .groupby_reduce(0, &[0, 1, 0, 1, 0, 1].map(Some), none, false)
        .unwrap();
    check(&by_group, "np.zeros((0, 2, 4))", &inputs, &Near::Same).unwrap();
}
