//! Operations that are composed of others: values, dtypes and errors are NumPy's.

use graticule_array::{
    Array, ArrayError, Axes, Chunks, Over, Spacing, allclose, broadcast_arrays, broadcast_shapes, isclose,
    result_type, select,
};
use graticule_plan::DType;
use proptest::prelude::*;

use crate::{
    compare::Near,
    compose::{Case, Made, Value, config, over, some_axis, value},
    inputs::{Random, Values, chunks},
    moves::pair,
    operations::check_built,
};

type Built = (Result<Array, ArrayError>, String);

/// A step of a composition: what rounds nothing, or as NumPy does.
pub(crate) fn composed(random: &mut Random, x: &Value, y: &Value) -> Made {
    let (built, python) = exact(random, x, y);
    value(built?, python)
}

fn exact(random: &mut Random, x: &Value, y: &Value) -> Built {
    let Value { array, python } = x;
    match random.below(8) {
        0 => diff(random, x, y),
        1 => {
            let (positive, negative) = (random.one_in(2).then_some(7.5), random.one_in(2).then_some(-3.0));
            let show = |number: Option<f64>| number.map_or("None".into(), |number| format!("{number:?}"));
            let text = format!(
                "np.nan_to_num({python}, nan=2.0, posinf={}, neginf={})",
                show(positive),
                show(negative)
            );
            (array.nan_to_num(2.0, positive, negative), text)
        }
        2 => {
            let equal_nan = random.one_in(2);
            let flag = if equal_nan { "True" } else { "False" };
            let (relative, absolute) = (*random.pick(&[1e-5, 0.25]), *random.pick(&[1e-8, 2.0]));
            let arguments = format!(
                "{python}, {}, rtol={relative:?}, atol={absolute:?}, equal_nan={flag}",
                y.python
            );
            if random.one_in(3) {
                let built = allclose(array, &y.array, relative, absolute, equal_nan);
                return (built, format!("np.asarray(np.allclose({arguments}))"));
            }
            let built = isclose(array, &y.array, relative, absolute, equal_nan);
            (built, format!("np.isclose({arguments})"))
        }
        3 => {
            let (over, text) = over(random, x, false);
            let text = format!("np.count_nonzero({python}, {text})");
            // Without axes NumPy gives a number of Python's.
            (
                array.count_nonzero(&over),
                format!("np.asarray({text}, dtype='int64')"),
            )
        }
        4 => {
            let (over, text) = over(random, x, false);
            (array.ptp(&over), format!("np.ptp({python}, {text})"))
        }
        5 => match random.below(3) {
            0 => (array.isposinf(), format!("np.isposinf({python})")),
            1 => (array.isneginf(), format!("np.isneginf({python})")),
            _ => (
                array
                    .signbit()
                    .map(|sign| sign.logical_and(array.equal(array)?))
                    .and_then(|made| made),
                format!("np.signbit({python}) & ({python} == {python})"),
            ),
        },
        6 => {
            let (like, text) = match random.below(3) {
                0 => (Ok(array.zeros_like(None)), format!("np.zeros_like({python})")),
                1 => (
                    Ok(array.ones_like(Some(DType::Int16))),
                    format!("np.ones_like({python}, dtype='int16')"),
                ),
                _ => (array.full_like(3, None), format!("np.full_like({python}, 3)")),
            };
            (like, text)
        }
        _ => {
            let (before, after) = (random.one_in(2), random.one_in(2));
            let some = |is_there: bool| is_there.then_some(&y.array);
            let show = |is_there: bool| if is_there { &y.python[..] } else { "None" };
            let python = format!(
                "np.ediff1d({python}, to_begin={}, to_end={})",
                show(before),
                show(after)
            );
            (array.ediff1d(some(before), some(after)), python)
        }
    }
}

fn diff(random: &mut Random, x: &Value, y: &Value) -> Built {
    let ndim = x.array.ndim() as i64;
    let axis = random.within(-ndim, ndim);
    let order = random.within(-1, 3);
    let (before, after) = (random.one_in(4), random.one_in(4));
    let mut arguments = format!("{}, n={order}, axis={axis}", x.python);
    if before {
        arguments.push_str(&format!(", prepend={}", y.python));
    }
    if after {
        arguments.push_str(&format!(", append={}", y.python));
    }
    let some = |is_there: bool| is_there.then_some(&y.array);
    let built = x.array.diff(order, axis, some(before), some(after));
    (built, format!("np.diff({arguments})"))
}

fn gradient(random: &mut Random, x: &Value) -> Option<Built> {
    let Value { array, python } = x;
    let (axis, len) = some_axis(random, x)?;
    let edge_order = 1 + random.below(2) as u32;
    let (spacing, text) = match random.below(4) {
        0 => (vec![], String::new()),
        1 => (vec![Spacing::Step(0.5)], "0.5, ".into()),
        even => {
            let wrong = i64::from(random.one_in(9));
            let at: Vec<f64> = (0..len + wrong)
                .map(|k| match even {
                    2 => 2.0 * k as f64,
                    _ => k as f64 * (k + 3) as f64 / 4.0,
                })
                .collect();
            let text = format!("np.array({at:?}), ");
            (vec![Spacing::At(at)], text)
        }
    };
    let python = format!("np.gradient({python}, {text}axis={axis}, edge_order={edge_order})");
    let built = array.gradient(&spacing, axis, edge_order);
    Some((built.map(|mut all| all.remove(0)), python))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn composed_operations_are_numpys(seed in any::<u64>()) {
        let (mut random, case) = pair(seed, Values::Wild);
        let (built, python) = exact(&mut random, &case.values[0], &case.values[1]);
        check_built(built, &python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn gradients_are_numpys(seed in any::<u64>()) {
        let (mut random, case) = pair(seed, Values::Tame);
        let Some((built, python)) = gradient(&mut random, &case.values[0]) else { return Ok(()) };
        check_built(built, &python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn averages_weigh_as_numpys_do(seed in any::<u64>()) {
        let (mut random, mut case) = pair(seed, Values::Tame);
        let x = case.values[0].clone();
        let (over, text) = over(&mut random, &x, false);
        let shape = x.array.shape();
        let given = over.axes.clone().filter(|_| random.one_in(2));
        let place = |axis: &i64| axis.rem_euclid(shape.len() as i64) as usize;
        let weights: Vec<usize> = match given {
            Some(axes) => axes.iter().map(|axis| shape[place(axis)] as usize).collect(),
            None => shape.iter().map(|&len| len as usize).collect(),
        };
        let dtype = random.dtype();
        case.input(&mut random, dtype, &weights, Values::Tame);
        let w = case.last().clone();
        // No sum of weights is 0 where each is at least 1.
        let positive = w.array.maximum(1).and_then(|w| w.astype(DType::Float32)).unwrap();
        let python = format!(
            "np.average({}, weights=np.maximum({}, 1).astype('float32'), {text})",
            x.python, w.python
        );
        if x.array.size() == 0 {
            return Ok(());
        }
        let near = Near::Part(1e-6, "np.float64(100)".into());
        let near = match x.array.average(Some(&positive), &over) {
            Ok(made) => Near::Part(1e-6, format!("np.full({:?}, 100.0)", made.shape())),
            Err(_) => near,
        };
        let built = x.array.average(Some(&positive), &over);
        check_built(built, &python, &case.inputs, &near).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn decimals_are_rounded_as_numpy_rounds(seed in any::<u64>(), decimals in -2..4i32) {
        let (_, case) = pair(seed, Values::Tame);
        let x = &case.values[0];
        if x.array.dtype() == DType::Bool {
            return Ok(());
        }
        let scaled = x.array.multiply(0.37).unwrap();
        let python = format!("np.round({} * 0.37, {decimals})", x.python);
        check_built(scaled.round(decimals), &python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
        let python = format!("np.round({}, {decimals})", x.python);
        check_built(x.array.round(decimals), &python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
        let other = scaled.subtract(20.0).unwrap();
        let python = format!("np.logaddexp({0} * 0.37, {0} * 0.37 - 20.0)", x.python);
        check_built(scaled.logaddexp(&other), &python, &case.inputs, &Near::Ulps(4)).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn made_arrays_are_numpys(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let (rows, columns) = (random.below(9) as u64, random.below(9) as u64);
        let offset = random.within(-9, 9);
        let dtype = random.dtype();
        let cuts = [chunks(&mut random, rows), chunks(&mut random, columns)];
        let near = Near::Same;
        let eye = Array::eye(rows, columns, offset, &cuts, dtype);
        check_built(eye, &format!("np.eye({rows}, {columns}, {offset}, dtype='{dtype}')"), &[], &near)
            .map_err(TestCaseError::fail)?;
        let tri = Array::tri(rows, columns, offset, &cuts, dtype);
        check_built(tri, &format!("np.tri({rows}, {columns}, {offset}, dtype='{dtype}')"), &[], &near)
            .map_err(TestCaseError::fail)?;
        let (start, stop) = (random.within(-20, 20) as f64 / 4.0, random.within(0, 90) as f64 / 7.0);
        let dtype = if dtype.is_float() { dtype } else { DType::Int32 };
        let (flag, has_end) = if random.one_in(2) { ("True", true) } else { ("False", false) };
        let line = Array::linspace(start, stop, rows, has_end, dtype, cuts[0].clone());
        let python = format!("np.linspace({start:?}, {stop:?}, {rows}, endpoint={flag}, dtype='{dtype}')");
        check_built(line.clone(), &python, &[], &near).map_err(TestCaseError::fail)?;
        let offset = offset % 4;
        check_built(line.and_then(|line| line.diag(offset)), &format!("np.diag({python}, {offset})"), &[], &near)
            .map_err(TestCaseError::fail)?;
    }
}

#[test]
fn gradients_of_all_axes_come_in_their_order() {
    let mut random = Random::new(11);
    let mut case = Case::start(&mut random, Values::Tame);
    case.input(&mut random, DType::Float32, &[5, 4], Values::Tame);
    let x = case.last().clone();
    let made = x
        .array
        .gradient(&[Spacing::Step(2.0), Spacing::Step(0.5)], Axes::all(), 1)
        .unwrap();
    for (k, part) in made.into_iter().enumerate() {
        let python = format!("np.gradient({}, 2.0, 0.5)[{k}]", x.python);
        check_built(Ok(part), &python, &case.inputs, &Near::Same).unwrap();
    }
    let spacing = [Spacing::Step(1.0), Spacing::Step(1.0), Spacing::Step(1.0)];
    assert!(matches!(
        x.array.gradient(&spacing, Axes::all(), 1),
        Err(ArrayError::Spacing { axes: 2 })
    ));
    assert!(matches!(
        x.array.gradient(&[], 0, 3),
        Err(ArrayError::EdgeOrder { order: 3 })
    ));
}

#[test]
fn reductions_by_numpys_names_leave_nan_out() {
    let x = Array::from_slice(&[4], &[Chunks::Size(3)], &[2.0, f64::NAN, 1.0, 4.0]).unwrap();
    let over = Over::all();
    for (built, name) in [
        (x.nansum(&over), "nansum"),
        (x.nanprod(&over), "nanprod"),
        (x.nanmean(&over), "nanmean"),
        (x.nanmin(&over), "nanmin"),
        (x.nanmax(&over), "nanmax"),
        (x.nanmedian(&over), "nanmedian"),
        (x.nanargmin(&over), "nanargmin"),
        (x.nanargmax(&over), "nanargmax"),
        (x.nanvar(0, &over), "nanvar"),
        (x.nanstd(0, &over), "nanstd"),
    ] {
        let python = format!("np.{name}(np.array([2.0, np.nan, 1.0, 4.0]))");
        check_built(built, &python, &[], &Near::Ulps(2)).unwrap();
    }
    let percentiles = x.nanpercentile(&[25.0, 60.0], &over);
    let plain = x.percentile(&[30.0], &Over::all().skipna());
    check_built(
        plain,
        "np.nanpercentile(np.array([2.0, np.nan, 1.0, 4.0]), [30])",
        &[],
        &Near::Same,
    )
    .unwrap();
    let python = "np.nanpercentile(np.array([2.0, np.nan, 1.0, 4.0]), [25, 60])";
    check_built(percentiles, python, &[], &Near::Same).unwrap();
    let quantiles = x.nanquantile(&[0.25], &over);
    check_built(
        quantiles,
        "np.nanquantile(np.array([2.0, np.nan, 1.0, 4.0]), [0.25])",
        &[],
        &Near::Same,
    )
    .unwrap();
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn elementwise_compositions_are_numpys(seed in any::<u64>()) {
        let (mut random, case) = pair(seed, Values::Tame);
        let (x, y) = (&case.values[0], &case.values[1]);
        let (a, p, q) = (&x.array, &x.python, &y.python);
        let (built, python, near) = match random.below(8) {
            0 => (a.fabs(), format!("np.fabs({p})"), Near::Same),
            1 => (a.float_power(&y.array), format!("np.float_power({p}, {q})"), Near::Ulps(4)),
            2 => (a.sinc(), format!("np.sinc({p})"), Near::Part(1e-6, format!("np.abs({p}) * 0 + 1.0"))),
            3 => (a.notnull(), format!("~np.isnan({p})"), Near::Same),
            4 => (a.divmod(&y.array).map(|both| both.0), format!("np.divmod({p}, {q})[0]"), Near::Same),
            5 => (a.divmod(&y.array).map(|both| both.1), format!("np.divmod({p}, {q})[1]"), Near::Same),
            6 => (a.fix(), format!("np.trunc({p})"), Near::Same),
            _ => (a.logaddexp2(&y.array), format!("np.logaddexp2({p}, {q})"), Near::Ulps(8)),
        };
        check_built(built, &python, &case.inputs, &near).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn selections_take_the_first_that_is_true(seed in any::<u64>()) {
        let (mut random, case) = pair(seed, Values::Wild);
        let (x, y) = (&case.values[0], &case.values[1]);
        let number = random.within(0, 100);
        let built = x.array.greater(0).and_then(|first| {
            let second = y.array.greater(3)?;
            select(&[first, second], &[x.array.clone(), y.array.clone()], number)
        });
        let python = format!("np.select([{0} > 0, {1} > 3], [{0}, {1}], {number})", x.python, y.python);
        check_built(built, &python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
        let all = broadcast_arrays(&[x.array.clone(), y.array.clone()]).map(|mut all| all.swap_remove(1));
        let python = format!("np.broadcast_arrays({}, {})[1]", x.python, y.python);
        if let Ok(shape) = broadcast_shapes(&[x.array.shape(), y.array.shape()]) {
            prop_assert_eq!(shape, all.as_ref().unwrap().shape());
        }
        check_built(all, &python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn what_is_not_valid_is_nan() {
    let mut random = Random::new(5);
    for dtype in DType::REAL {
        let x = crate::inputs::tensor(&mut random, dtype, &[6], Values::Tame);
        let lazy = crate::inputs::array(&mut random, &x);
        let built = lazy.greater(20).and_then(|mask| lazy.where_valid(mask));
        let float = match dtype {
            dtype if dtype.is_float() => dtype.name(),
            _ if dtype.size_bytes() <= 2 => "float32",
            _ => "float64",
        };
        let python = format!("np.where(x > 20, x.astype('{float}'), np.{float}(np.nan))");
        check_built(built, &python, &[("x".to_owned(), x)], &Near::Same).unwrap();
    }
}

#[test]
fn arrays_like_others_have_their_shape_and_chunks() {
    let x = Array::zeros(&[5, 3], &[Chunks::Size(2), Chunks::Whole], DType::Float32).unwrap();
    let like = x.empty_like(Some(DType::Int8));
    assert_eq!((like.chunks(), like.dtype()), (x.chunks(), DType::Int8));
    let empty = Array::empty(&[5, 3], &[Chunks::Whole, Chunks::Whole], DType::Bool).unwrap();
    assert_eq!((empty.shape(), empty.dtype()), (vec![5, 3], DType::Bool));
    assert_eq!(result_type(&[like, empty, x.clone()]).unwrap(), DType::Float32);
    assert!(select(&[], &[], 0).is_err());
    assert!(select(&[x.isnan().unwrap()], &[], 0).is_err());
}
