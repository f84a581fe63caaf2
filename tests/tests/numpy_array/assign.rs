//! Elements taken by arrays of positions, and elements replaced.

use graticule_array::{Array, ArrayError, Chunks, Index, LowerOptions, Wanted, lower, where_};
use graticule_kernel::KernelError;
use graticule_plan::DType;
use graticule_tests::evaluate::evaluate;
use proptest::prelude::*;

use crate::{
    compare::Near,
    compose::{Made, Value, config, random_index, some_axis, value},
    inputs::{Random, Values},
    moves::pair,
    operations::check_built,
};

type Built = (Result<Array, ArrayError>, String);

/// A step of a composition.
pub(crate) fn assigned(random: &mut Random, x: &Value, y: &Value) -> Made {
    let (built, python) = match random.below(4) {
        0 => put_slice(random, x, y),
        1 => put_mask(random, x, y),
        2 => diagonal(random, x),
        _ => along(random, x, y),
    };
    value(built?, python)
}

/// An expression that gives a copy of `x` after an assignment; NumPy checks and casts as it does there.
fn after(x: &str, assignment: &str) -> String {
    format!("(lambda z, i, v: (z.__setitem__(i, v), z)[1])(np.array({x}), {assignment})")
}

fn put_slice(random: &mut Random, x: &Value, y: &Value) -> Built {
    let (index, text) = random_index(random, &x.array);
    let index_text = if text.is_empty() {
        "...".into()
    } else {
        format!("np.index_exp[{}]", text.join(", "))
    };
    let index = if text.is_empty() {
        vec![Index::Ellipsis]
    } else {
        index
    };
    // What floats outside an integer's range become is not defined in NumPy.
    let is_safe = !y.array.dtype().is_float() || x.array.dtype().is_float();
    // For a single element NumPy asks an array of one for its value, which each dtype answers otherwise.
    let is_element = index.iter().all(|part| matches!(part, Index::At(_)));
    if random.one_in(2) && is_safe && !(is_element && y.array.ndim() > 0) {
        let built = x.array.put_slice(&index, &y.array);
        return (built, after(&x.python, &format!("{index_text}, {}", y.python)));
    }
    let number = random.within(-2, 300);
    (
        x.array.put_slice(&index, number),
        after(&x.python, &format!("{index_text}, {number}")),
    )
}

fn put_mask(random: &mut Random, x: &Value, y: &Value) -> Built {
    // NumPy takes masks without elements that do not fit.
    if y.array.size() == 0 {
        return (x.array.positive(), format!("np.positive({})", x.python));
    }
    let mask = y.array.greater(0);
    let mask_text = format!("np.greater({}, 0)", y.python);
    let number = random.within(-2, 9);
    let built = mask.and_then(|mask| x.array.put_mask(&mask, number));
    (built, after(&x.python, &format!("{mask_text}, {number}")))
}

fn diagonal(random: &mut Random, x: &Value) -> Built {
    let ndim = x.array.ndim() as i64;
    let (offset, rows, columns) = (
        random.within(-5, 5),
        random.within(-ndim, ndim),
        random.within(-ndim, ndim),
    );
    let arguments = format!("{}, {offset}, {rows}, {columns}", x.python);
    if random.one_in(3) && !x.array.dtype().is_float() {
        return (
            x.array.trace(offset, rows, columns),
            format!("np.trace({arguments})"),
        );
    }
    (
        x.array.diagonal(offset, rows, columns),
        format!("np.diagonal({arguments})"),
    )
}

/// Positions made of the array's own values, so that they depend on data.
fn along(random: &mut Random, x: &Value, y: &Value) -> Built {
    let Some((axis, len)) = some_axis(random, x).filter(|(_, len)| *len > 0) else {
        return (x.array.positive(), format!("np.positive({})", x.python));
    };
    let positions = y.array.astype(DType::Bool).and_then(|truth| {
        let all = where_(&truth, len - 1, -len)?;
        x.array.take_along_axis(&all, axis)
    });
    let python = format!(
        "np.take_along_axis({}, np.where({}.astype(bool), {}, {}), axis={axis})",
        x.python,
        y.python,
        len - 1,
        -len
    );
    (positions, python)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn assignments_are_numpys(seed in any::<u64>()) {
        let (mut random, case) = pair(seed, Values::Wild);
        let (x, y) = (&case.values[0], &case.values[1]);
        let (built, python) = match random.below(4) {
            0 => put_mask(&mut random, x, y),
            1 => diagonal(&mut random, x),
            _ => put_slice(&mut random, x, y),
        };
        check_built(built, &python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn positions_along_an_axis_are_taken_as_numpy_takes_them(seed in any::<u64>()) {
        let (mut random, mut case) = pair(seed, Values::Wild);
        let x = case.values[0].clone();
        let Some((axis, len)) = some_axis(&mut random, &x) else { return Ok(()) };
        let mut shape: Vec<usize> = x.array.shape().iter().map(|&len| len as usize).collect();
        let at = axis.rem_euclid(shape.len() as i64) as usize;
        shape[at] = random.below(6);
        if random.one_in(3) {
            let other = random.below(shape.len());
            shape[other] = 1;
        }
        case.input(&mut random, DType::UInt8, &shape, Values::Tame);
        let y = case.last().clone();
        let positions = y.array.astype(DType::Int16).and_then(|y| y.remainder(len.max(1)))
            .and_then(|y| y.subtract(len / 2)).unwrap();
        let taken = format!("(({}).astype('int16') % {} - {})", y.python, len.max(1), len / 2);
        if len == 0 && positions.size() > 0 {
            return Ok(());
        }
        let python = format!("np.take_along_axis({}, {taken}, axis={axis})", x.python);
        check_built(x.array.take_along_axis(&positions, axis), &python, &case.inputs, &Near::Same)
            .map_err(TestCaseError::fail)?;
        let truth: Vec<bool> = (0..random.below(len as usize + 1)).map(|_| random.one_in(2)).collect();
        let listed: Vec<&str> = truth.iter().map(|&t| if t { "True" } else { "False" }).collect();
        let python = format!(
            "np.compress(np.array([{}], dtype=bool), {}, axis={axis})",
            listed.join(", "),
            x.python
        );
        check_built(x.array.compress(&truth, axis), &python, &case.inputs, &Near::Same)
            .map_err(TestCaseError::fail)?;
    }
}

#[test]
fn a_position_out_of_bounds_fails_its_task_by_name() {
    let x = Array::from_slice(&[2, 3], &[Chunks::Size(1), Chunks::Whole], &[1, 2, 3, 4, 5, 6]).unwrap();
    let positions = Array::from_slice(&[2, 1], &[Chunks::Whole, Chunks::Whole], &[0, 3]).unwrap();
    let taken = x.take_along_axis(&positions, 1).unwrap();
    let lowered = lower(&[(&taken, Wanted::Deliver)], &LowerOptions::default()).unwrap();
    let failed = evaluate(&lowered.plan, &std::collections::BTreeMap::new()).unwrap_err();
    assert!(
        matches!(
            failed,
            KernelError::IndexOutOfRange {
                index: 3,
                axis: 1,
                len: 3
            }
        ),
        "{failed}"
    );
    let float = x.astype(DType::Float32).unwrap();
    let message = |built: Result<Array, ArrayError>| built.unwrap_err().to_string();
    assert_eq!(
        message(x.take_along_axis(&float, 0)),
        "positions must be integers, not float32"
    );
    assert_eq!(
        message(x.take_along_axis(&positions.ravel().unwrap(), 0)),
        "positions have 1 axes, the array has 2"
    );
    assert_eq!(
        message(x.put_mask(&positions.equal(0).unwrap(), 1)),
        "a mask of shape (2,1) does not fit an array of shape (2,3)"
    );
}
