//! Covariance, correlation, central moments, histograms of points, and scans over all elements, in random chunks.

use graticule_array::{Array, Chunks, Over, Variables};
use graticule_plan::DType;
use proptest::prelude::*;

use crate::{
    compare::{Near, check},
    compose::{Case, config},
    inputs::{Random, Values, shape},
    operations::check_built,
};

fn case(random: &mut Random, dtype: DType, shape: &[usize], values: Values) -> Case {
    let mut case = Case {
        inputs: Vec::new(),
        values: Vec::new(),
    };
    case.input(random, dtype, shape, values);
    case
}

/// Edges of bins, at times of no width.
fn edges(random: &mut Random) -> Vec<f64> {
    let mut edge = random.within(-5, 30) as f64;
    let edges = (0..2 + random.below(4)).map(|_| {
        edge += random.below(40) as f64;
        edge
    });
    edges.collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn covariances_are_near_numpys(seed in any::<u64>(), ddof in 0..3u32, has_other in any::<bool>(),
            in_columns in any::<bool>(), correlates in any::<bool>()) {
        let mut random = Random::new(seed);
        let dtype = random.dtype();
        let shape: Vec<usize> = match random.below(4) {
            0 => vec![2 + random.below(6)],
            _ => vec![2 + random.below(4), 2 + random.below(5)],
        };
        let mut case = case(&mut random, dtype, &shape, Values::Tame);
        case.input(&mut random, DType::Float64, &shape, Values::Tame);
        let (x, other) = (&case.values[0].array, has_other.then_some(&case.values[1].array));
        let variables = if in_columns { Variables::Columns } else { Variables::Rows };
        let (more, rowvar) = (if has_other { "a1" } else { "None" }, if in_columns { "False" } else { "True" });
        if correlates {
            let python = format!("np.asarray(np.corrcoef(a0, {more}, rowvar={rowvar}))");
            // Of variables that do not vary, or by roundings alone, nothing can be said.
            let scale = format!(
                "(lambda c: np.where(np.minimum.outer(np.diag(np.atleast_2d(c)), np.diag(np.atleast_2d(c))) > 1e-9, 1.0, np.nan).reshape(c.shape))(np.asarray(np.cov(a0, {more}, rowvar={rowvar})))"
            );
            return check_built(x.corrcoef(other, variables), &python, &case.inputs, &Near::Part(1e-10, scale))
                .map_err(TestCaseError::fail);
        }
        let python = format!("np.asarray(np.cov(a0, {more}, rowvar={rowvar}, ddof={ddof}))");
        let scale = format!("{python} * 0 + 1e4");
        check_built(x.cov(other, variables, ddof), &python, &case.inputs, &Near::Part(1e-12, scale))
            .map_err(TestCaseError::fail)?;
    }

    #[test]
    fn central_moments_are_near_numpys(seed in any::<u64>(), order in 0..5u32, ddof in 0..2u32) {
        let mut random = Random::new(seed);
        let (dtype, shape) = (random.dtype(), [2 + random.below(5), 2 + random.below(5)]);
        let case = case(&mut random, dtype, &shape, Values::Tame);
        let (over, axis, count) = match random.below(3) {
            0 => (Over::axis(0), "0", shape[0]),
            1 => (Over::axis(-1), "-1", shape[1]),
            _ => (Over::all(), "(0, 1)", shape[0] * shape[1]),
        };
        let (float, part) = match dtype {
            DType::Float16 => ("float16", 1e-2),
            DType::Float32 => ("float32", 1e-4),
            _ => ("float64", 1e-12),
        };
        let exact = "a0.astype('float64')";
        let distance = format!("({exact} - np.mean({exact}, axis={axis}, keepdims=True))");
        let divisor = count as u32 - ddof;
        let python = format!("np.asarray((np.sum({distance} ** {order}, axis={axis}) / {divisor}).astype('{float}'))");
        let scale = format!("np.asarray(np.sum((np.abs({distance}) + 1) ** {order}, axis={axis}))");
        check_built(case.last().array.moment(order, ddof, &over), &python, &case.inputs, &Near::Part(part, scale))
            .map_err(TestCaseError::fail)?;
    }

    #[test]
    fn points_are_counted_in_cells(seed in any::<u64>(), weighted in any::<bool>(), density in any::<bool>()) {
        let mut random = Random::new(seed);
        let (axes, count) = (1 + random.below(3), 1 + random.below(30));
        let mut case = case(&mut random, DType::Float64, &[count, axes], Values::Tame);
        case.input(&mut random, DType::Float64, &[count], Values::Tame);
        let cells: Vec<Vec<f64>> = (0..axes).map(|_| edges(&mut random)).collect();
        let borrowed: Vec<&[f64]> = cells.iter().map(|edges| &edges[..]).collect();
        let weights = weighted.then_some(&case.values[1].array);
        let (given, flag) = (if weighted { "a1" } else { "None" }, if density { "True" } else { "False" });
        let python = format!("np.histogramdd(a0, bins={cells:?}, weights={given}, density={flag})[0]");
        let scale = format!("np.abs({python}) + 1e-300");
        let x = &case.values[0].array;
        check_built(x.histogramdd(&borrowed, weights, density), &python, &case.inputs, &Near::Part(1e-12, scale))
            .map_err(TestCaseError::fail)?;
    }

    #[test]
    fn points_of_two_coordinates_are_counted(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let count = 1 + random.below(30);
        let mut case = case(&mut random, DType::Int32, &[count], Values::Tame);
        case.input(&mut random, DType::Float32, &[count], Values::Tame);
        let (first, second) = (edges(&mut random), edges(&mut random));
        let built = case.values[0].array.histogram2d(&case.values[1].array, [&first, &second], None, false);
        let python = format!("np.histogram2d(a0, a1, bins=[{first:?}, {second:?}])[0]");
        check_built(built, &python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn scans_without_an_axis_go_over_all(seed in any::<u64>(), which in 0..4usize) {
        let mut random = Random::new(seed);
        let dtype = *random.pick(&[DType::Int16, DType::UInt8, DType::Float64]);
        let shape = shape(&mut random);
        let case = case(&mut random, dtype, &shape, Values::Wild);
        let x = &case.last().array;
        let axis = (!shape.is_empty() && random.one_in(2)).then(|| random.below(shape.len()) as i64);
        let (name, plain, built) = match which {
            0 => ("cumsum", "nancumsum", x.cumsum(axis)),
            1 => ("cumprod", "nancumprod", x.cumprod(axis)),
            2 => ("nancumsum", "nancumsum", x.nancumsum(axis)),
            _ => ("nancumprod", "nancumprod", x.nancumprod(axis)),
        };
        let axis = axis.map_or("None".to_owned(), |axis| axis.to_string());
        let python = format!("np.{name}(a0, axis={axis})");
        let near = match dtype.is_float() {
            true => Near::Part(1e-12, format!("np.{plain}(np.abs(a0), axis={axis})")),
            false => Near::Same,
        };
        check_built(built, &python, &case.inputs, &near).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn what_is_outside_or_nan_is_in_no_cell() {
    let x = [0.0, f64::NAN, 1.0, 2.0, 3.0, f64::INFINITY, -1.0];
    let x = Array::from_slice(&[7, 1], &[Chunks::Size(2), Chunks::Whole], &x).unwrap();
    let counted = x.histogramdd(&[&[0.0, 1.0, 2.0]], None, false).unwrap();
    check(&counted, "np.array([1.0, 2.0])", &[], &Near::Same).unwrap();
    assert!(x.histogramdd(&[&[0.0, 1.0], &[0.0, 1.0]], None, false).is_err());
    assert!(x.histogramdd(&[&[1.0, 0.0]], None, false).is_err());
}
