//! Polynomials fitted along an axis, values between places, and products with sparse weights, in random chunks.

use graticule_array::{Array, ArrayError, Chunks, Interpolation, SparseWeights};
use graticule_plan::DType;
use proptest::prelude::*;

use crate::{
    compare::Near,
    compose::{Case, config},
    inputs::{Random, Values, shape},
    operations::check_built,
};

/// An input with `len` elements along one of its axes, which is given too; the others have some.
fn line_case(random: &mut Random, dtype: DType, len: usize, values: Values) -> (Case, i64) {
    let mut shape: Vec<usize> = (0..random.below(3)).map(|_| 1 + random.below(4)).collect();
    let axis = random.below(shape.len() + 1);
    shape.insert(axis, len);
    let mut case = Case {
        inputs: Vec::new(),
        values: Vec::new(),
    };
    case.input(random, dtype, &shape, values);
    (case, axis as i64)
}

/// Rising places.
fn places(random: &mut Random, count: usize) -> Vec<f64> {
    let mut place = random.within(-20, 20) as f64;
    let places = (0..count).map(|_| {
        place += random.within(4, 12) as f64 / 8.0;
        place
    });
    places.collect()
}

/// A matrix in compressed rows: where rows start, columns, weights, and Python's dense one.
fn sparse(random: &mut Random, rows: usize, columns: usize) -> (SparseWeights, String) {
    let (mut starts, mut places, mut weights) = (vec![0], Vec::new(), Vec::new());
    let mut dense = vec![vec![0.0; columns]; rows];
    for row in &mut dense {
        for _ in 0..random.below(5).min(columns * 5) {
            let (column, weight) = (random.below(columns), random.within(1, 64) as f64 / 16.0);
            places.push(column as i64);
            weights.push(weight);
            row[column] += weight;
        }
        starts.push(places.len());
    }
    let matrix = SparseWeights::new(&starts, &places, &weights, columns as u64).unwrap();
    (matrix, format!("np.array({dense:?}).reshape({rows}, {columns})"))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn fitted_polynomials_are_near_numpys(seed in any::<u64>(), degree in 0..4usize, weighted in any::<bool>(),
            skipna in any::<bool>()) {
        let mut random = Random::new(seed);
        let len = degree + 1 + random.below(8);
        let dtype = if skipna { DType::Float32 } else { random.dtype() };
        let (case, axis) = line_case(&mut random, dtype, len, Values::Tame);
        let x = places(&mut random, len);
        let weights: Vec<f64> = match weighted {
            true => (0..len).map(|_| random.within(4, 16) as f64 / 8.0).collect(),
            false => vec![1.0; len],
        };
        let (array, python) = match skipna {
            true => {
                let array = &case.last().array;
                (array.where_valid(array.less(80).unwrap()).unwrap(), "np.where(a0 < 80, a0, np.float32(np.nan))")
            }
            false => (case.last().array.clone(), "a0"),
        };
        let given = weighted.then_some(&weights[..]);
        let built = array.polyfit(&x, degree, axis, given, skipna);
        let along = |enough: &str, lacking: &str| format!(
            "np.moveaxis(np.apply_along_axis(lambda v: (lambda x, w, m: {enough} if m.sum() > {degree} else np.full({}, {lacking}))\
             (np.array({x:?}), np.array({weights:?}), ~np.isnan(v)), {axis}, {python}.astype('float64')), {axis}, 0)",
            degree + 1
        );
        let fitted = along(&format!("np.polyfit(x[m], v[m], {degree}, w=w[m])"), "np.nan");
        let scale = along(
            &format!("np.abs(np.linalg.pinv(np.vander(x[m], {}) * w[m][:, None], rcond=1e-15)) @ np.abs(w[m] * v[m])", degree + 1),
            "1.0",
        );
        check_built(built, &fitted, &case.inputs, &Near::Part(1e-9, format!("({scale} + 1e-3)")))
            .map_err(TestCaseError::fail)?;
    }

    #[test]
    fn values_of_polynomials_are_numpys(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let mut case = Case { inputs: Vec::new(), values: Vec::new() };
        let (dtype, count, shape) = (random.dtype(), random.below(5), shape(&mut random));
        case.input(&mut random, dtype, &[count], Values::Tame);
        let dtype = random.dtype();
        case.input(&mut random, dtype, &shape, Values::Tame);
        let built = case.values[1].array.polyval(&case.values[0].array);
        let scale = "np.asarray(np.polyval(np.abs(a0.astype('float64')), np.abs(a1.astype('float64'))))";
        let near = match built.as_ref().map(Array::dtype) {
            Ok(DType::Float16) => Near::Part(1e-2, scale.into()),
            Ok(DType::Float32) => Near::Part(1e-6, scale.into()),
            Ok(DType::Float64) => Near::Part(1e-12, scale.into()),
            _ => Near::Same,
        };
        check_built(built, "np.asarray(np.polyval(a0, a1))", &case.inputs, &near).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn values_between_places_are_numpys(seed in any::<u64>(), is_linear in any::<bool>(), has_outside in any::<bool>()) {
        let mut random = Random::new(seed);
        let (len, dtype) = (1 + random.below(7), random.dtype());
        let (case, axis) = line_case(&mut random, dtype, len, Values::Wild);
        let x = places(&mut random, len);
        let at: Vec<f64> = (0..random.below(8))
            .map(|_| match random.below(3) {
                0 => *random.pick(&x),
                _ => x[0] + random.within(-16, 80) as f64 / 8.0,
            })
            .collect();
        let outside = has_outside.then_some(-99.5);
        let (array, text) = (&case.last().array, format!("np.array({at:?}, dtype='float64')"));
        if is_linear {
            let ends = if has_outside { ", left=-99.5, right=-99.5" } else { "" };
            let python = format!(
                "np.apply_along_axis(lambda v: np.interp({text}, {x:?}, v{ends}), {axis}, a0.astype('float64'))"
            );
            let built = array.interp(&x, &at, axis, Interpolation::Linear, outside);
            let near = Near::Part(1e-12, format!("np.abs({python}) + 3e3"));
            return check_built(built, &python, &case.inputs, &near).map_err(TestCaseError::fail);
        }
        let built = array.interp(&x, &at, axis, Interpolation::Nearest, None);
        let python = format!(
            "np.take(a0, np.abs({text}[:, None] - np.array({x:?})).argmin(1), axis={axis})"
        );
        check_built(built, &python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn products_with_sparse_weights_are_those_with_dense_ones(seed in any::<u64>(), axes in 1..3usize,
            skipna in any::<bool>()) {
        let mut random = Random::new(seed);
        let mut shape: Vec<usize> = (0..random.below(3)).map(|_| 1 + random.below(3)).collect();
        let last: Vec<usize> = (0..axes).map(|_| 1 + random.below(6)).collect();
        let (rows, columns) = (random.below(7), last.iter().product());
        shape.extend(&last);
        let mut case = Case { inputs: Vec::new(), values: Vec::new() };
        let dtype = if skipna { *random.pick(&[DType::Float32, DType::Float64]) } else { random.dtype() };
        case.input(&mut random, dtype, &shape, Values::Tame);
        let (matrix, dense) = sparse(&mut random, rows, columns);
        let array = &case.last().array;
        let flat = format!("a0.astype('float64').reshape(a0.shape[:-{axes}] + ({columns},))");
        let float = if dtype.is_float() { dtype.name() } else { "float64" };
        let (array, python) = match skipna {
            false => (array.clone(), format!("({flat} @ {dense}.T)")),
            true => {
                let masked = array.where_valid(array.less(60).unwrap()).unwrap();
                let python = format!(
                    "(lambda y, w: np.where((y < 60) @ w == 0, np.nan, (np.where(y < 60, y, 0) @ w) * (w.sum(0) / ((y < 60) @ w))))({flat}, {dense}.T)"
                );
                (masked, python)
            }
        };
        let python = format!("{python}.astype('{float}')");
        let near = Near::Part(1e-12, format!("np.abs({python}) + 1.0"));
        check_built(array.regrid(&matrix, axes, skipna), &python, &case.inputs, &near).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn what_does_not_fit_says_why() {
    let y = Array::zeros(&[3], &[Chunks::Whole], DType::Float32).unwrap();
    let fit = |x: &[f64], degree| y.polyfit(x, degree, 0, None, false);
    assert!(matches!(fit(&[0.0, 1.0], 1), Err(ArrayError::Fit { .. })));
    assert!(matches!(fit(&[0.0, 1.0, 1.0], 2), Err(ArrayError::Fit { .. })));
    assert!(matches!(
        fit(&[0.0, 1.0, f64::NAN], 1),
        Err(ArrayError::Fit { .. })
    ));
    let interp = |x: &[f64], at: &[f64]| y.interp(x, at, 0, Interpolation::Linear, None);
    assert!(matches!(
        interp(&[0.0, 1.0], &[]),
        Err(ArrayError::Interpolation { .. })
    ));
    assert!(matches!(
        interp(&[0.0, 1.0, 1.0], &[]),
        Err(ArrayError::Interpolation { .. })
    ));
    assert!(matches!(
        interp(&[0.0, 1.0, 2.0], &[f64::NAN]),
        Err(ArrayError::Interpolation { .. })
    ));
    assert!(SparseWeights::new(&[0, 2, 1], &[0], &[1.0], 3).is_err());
    assert!(SparseWeights::new(&[0, 1], &[3], &[1.0], 3).is_err());
    let matrix = SparseWeights::new(&[0, 1], &[1], &[1.0], 2).unwrap();
    assert!(matches!(
        y.regrid(&matrix, 1, false),
        Err(ArrayError::SparseWeights { .. })
    ));
    assert!(matches!(
        y.regrid(&matrix, 0, false),
        Err(ArrayError::AxisOutOfRange { .. } | ArrayError::SparseWeights { .. })
    ));
}
