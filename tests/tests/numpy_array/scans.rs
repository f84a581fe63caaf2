//! Scans along an axis, in random chunks.

use graticule_array::{Along, Array, Chunks};
use graticule_kernel::Tensor;
use graticule_plan::DType;
use proptest::prelude::*;

use crate::{
    compare::{Near, check},
    compose::{Case, config},
    inputs::{Random, Values, shape},
    operations::check_built,
};

/// What NaN becomes where it is filled by what stands before it.
pub(crate) fn filled(python: &str, axis: i64, limit: Option<u64>) -> String {
    let positions = format!(
        "np.moveaxis(np.broadcast_to(np.arange(np.shape({python})[{axis}]), np.moveaxis({python}, {axis}, -1).shape), -1, {axis})"
    );
    let valid = format!("np.maximum.accumulate(np.where(np.isnan({python}), 0, {positions}), axis={axis})");
    let taken = format!("np.take_along_axis({python}, {valid}, axis={axis})");
    match limit {
        None => taken,
        Some(limit) => {
            format!("np.where({positions} - {valid} > {limit}, np.nan, {taken}).astype({python}.dtype)")
        }
    }
}

/// One input of a random shape, and one of its axes.
fn case(seed: u64, dtype: DType) -> (Case, i64) {
    let mut random = Random::new(seed);
    let mut case = Case {
        inputs: Vec::new(),
        values: Vec::new(),
    };
    let mut shape = shape(&mut random);
    if shape.is_empty() {
        shape.push(random.len());
    }
    case.input(&mut random, dtype, &shape, Values::Wild);
    let ndim = shape.len() as i64;
    (case, random.within(-ndim, ndim - 1))
}

proptest! {
    #![proptest_config(config())]

    /// float32 accumulates in float64 and is rounded once, so NumPy's float64 result is the oracle.
    #[test]
    fn running_sums_and_products_of_floats_are_near_numpys(seed in any::<u64>(), wide in any::<bool>(),
            is_sum in any::<bool>(), skipna in any::<bool>()) {
        let dtype = if wide { DType::Float64 } else { DType::Float32 };
        let (case, axis) = case(seed, dtype);
        let mut along = Along::axis(axis);
        if skipna {
            along = along.skipna();
        }
        let x = &case.last().array;
        let (built, name) = match is_sum {
            true => (x.cumulative_sum(&along), "sum"),
            false => (x.cumulative_prod(&along), "prod"),
        };
        let nan = if skipna { "nan" } else { "" };
        let python = format!("np.{nan}cum{name}(a0.astype('float64'), axis={axis}).astype('{dtype}')");
        // What may be lost is a part of what went into the result.
        let scale = format!("np.nancum{name}(np.abs(a0.astype('float64')), axis={axis})");
        check_built(built, &python, &case.inputs, &Near::Part(1e-12, scale)).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn running_sums_and_products_of_integers_are_numpys(seed in any::<u64>(), dtype in 0..9usize,
            wanted in 0..12usize, is_sum in any::<bool>(), initial in any::<bool>()) {
        let (case, axis) = case(seed, DType::REAL[dtype]);
        let x = &case.last().array;
        let mut along = Along::axis(axis);
        let mut options = format!("axis={axis}");
        if let Some(wanted) = DType::REAL.get(wanted).filter(|wanted| !wanted.is_float()) {
            along = along.dtype(*wanted);
            options.push_str(&format!(", dtype='{wanted}'"));
        }
        if initial {
            along = along.include_initial();
            options.push_str(", include_initial=True");
        }
        let (built, name) = match is_sum {
            true => (x.cumulative_sum(&along), "sum"),
            false => (x.cumulative_prod(&along), "prod"),
        };
        let python = format!("np.cumulative_{name}(a0, {options})");
        check_built(built, &python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn running_extremes_are_numpys(seed in any::<u64>(), dtype in 0..DType::REAL.len(), is_max in any::<bool>(),
            skipna in any::<bool>()) {
        let (case, axis) = case(seed, DType::REAL[dtype]);
        let x = &case.last().array;
        let (built, name) = match (is_max, skipna) {
            (false, false) => (x.cumulative_min(axis, false), "minimum"),
            (false, true) => (x.cumulative_min(axis, true), "fmin"),
            (true, false) => (x.cumulative_max(axis, false), "maximum"),
            (true, true) => (x.cumulative_max(axis, true), "fmax"),
        };
        let python = format!("np.{name}.accumulate(a0, axis={axis})");
        check_built(built, &python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn gaps_are_filled_from_either_side(seed in any::<u64>(), wide in any::<bool>(), limit in 0..5u64,
            backwards in any::<bool>()) {
        let dtype = if wide { DType::Float64 } else { DType::Float32 };
        let (case, axis) = case(seed, dtype);
        let x = &case.last().array;
        let limit = (limit < 4).then_some(limit);
        let (built, python) = match backwards {
            false => (x.ffill(axis, limit), filled("a0", axis, limit)),
            true => {
                let flipped = filled(&format!("np.flip(a0, {axis})"), axis, limit);
                (x.bfill(axis, limit), format!("np.flip({flipped}, {axis})"))
            }
        };
        check_built(built, &python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn states_of_very_many_blocks_go_by_several_levels() {
    for len in [15, 16, 17, 31, 32, 33, 255, 256, 257, 258, 272, 273, 600, 4100] {
        let values: Vec<i32> = (0..2 * len).map(|i| (i * 37) % 101 - 50).collect();
        let tensor = Tensor::from_vec(&[len as usize, 2], values.clone()).unwrap();
        let chunks = [Chunks::Size(1), Chunks::Size(1)];
        let x = Array::from_slice(&[len as u64, 2], &chunks, &values).unwrap();
        let inputs = [("x".to_owned(), tensor)];
        let sum = x.cumulative_sum(&Along::axis(0)).unwrap();
        check(&sum, "np.cumsum(x, axis=0)", &inputs, &Near::Same).unwrap();
    }
}

#[test]
fn what_has_one_axis_needs_none_named() {
    let scalar = Array::scalar(graticule_ops::Scalar::Int16(3));
    let sum = scalar.cumulative_sum(&Along::only()).unwrap();
    check(&sum, "np.cumulative_sum(np.int16(3))", &[], &Near::Same).unwrap();
    let table = Array::zeros(&[2, 3], &[Chunks::Whole, Chunks::Whole], DType::Float64).unwrap();
    check_built(
        table.cumulative_sum(&Along::only()),
        "np.cumulative_sum(np.zeros((2, 3)))",
        &[],
        &Near::Same,
    )
    .unwrap();
    check_built(
        table.cumulative_prod(&Along::axis(2)),
        "np.cumulative_prod(np.zeros((2, 3)), axis=2)",
        &[],
        &Near::Same,
    )
    .unwrap();
}
