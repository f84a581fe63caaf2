//! Operations that give a rewrite something to do, which random ones seldom do.

use graticule_array::{Array, Chunks, Index, Over, concatenate, where_};
use graticule_ops::{ReduceKind, Scalar, UnaryOp};
use graticule_plan::DType;

use crate::{
    compose::{Made, Value, some_axis, value},
    inputs::{Random, chunks},
};

/// An operation, chosen by `random`, that a rewrite is meant for.
pub(crate) fn provoked(random: &mut Random, x: &Value, y: &Value) -> Made {
    match random.below(14) {
        0 => twice(random, x),
        1 => with_itself(x, random),
        2 => with_neutral_number(random, x),
        3 => absorbed(random, x),
        4 => chosen_by_a_number(random, x, y),
        5 => views_of_one_value(random),
        6 => reshaped_twice(random, x),
        7 => listed_twice(random, x),
        8 => listed_far_apart(random),
        9 => neighbours_joined(random, x),
        10 => greatest_of_greatest(random, x),
        11 => cut_anew_and_reduced(random, x),
        12 => differences(random, x),
        _ => weighted(random, x),
    }
}

/// Something done twice that leaves what there was, or that need not be done twice.
fn twice(random: &mut Random, x: &Value) -> Made {
    let Value { array, python } = x;
    let is_bool = array.dtype() == DType::Bool;
    match random.below(7) {
        0 if !is_bool => value(array.negative()?.negative()?, format!("-(-({python}))")),
        1 if !array.dtype().is_float() => value(
            array.unary(UnaryOp::Invert)?.unary(UnaryOp::Invert)?,
            format!("~(~({python}))"),
        ),
        2 => value(
            array.greater(1)?.unary(UnaryOp::LogicalNot)?,
            format!("np.logical_not(np.greater({python}, 1))"),
        ),
        3 if !is_bool => value(array.floor()?.trunc()?, format!("np.trunc(np.floor({python}))")),
        4 => value(array.transpose().transpose(), python.clone()),
        5 => value(array.expand_dims(0)?.squeeze(Some(&[0]))?, python.clone()),
        _ => {
            let shape: Vec<u64> = [2].into_iter().chain(array.shape()).collect();
            let again: Vec<u64> = [3].into_iter().chain(shape.iter().copied()).collect();
            value(
                array.broadcast_to(&shape)?.broadcast_to(&again)?,
                format!("np.broadcast_to({python}, {again:?})"),
            )
        }
    }
}

fn with_itself(x: &Value, random: &mut Random) -> Made {
    let Value { array, python } = x;
    match random.below(4) {
        0 => value(array.minimum(array)?, format!("np.minimum({python}, {python})")),
        1 if array.dtype() != DType::Bool && !array.dtype().is_float() => {
            value(array.subtract(array)?, format!("np.subtract({python}, {python})"))
        }
        2 => value(
            array.less_equal(array)?,
            format!("np.less_equal({python}, {python})"),
        ),
        _ => value(
            where_(array.greater(1)?, array, array)?,
            format!("np.where(np.greater({python}, 1), {python}, {python})"),
        ),
    }
}

fn with_neutral_number(random: &mut Random, x: &Value) -> Made {
    let Value { array, python } = x;
    match random.below(4) {
        0 => value(array.add(0)?, format!("np.add({python}, 0)")),
        1 => value(array.multiply(1)?, format!("np.multiply({python}, 1)")),
        2 if array.dtype() != DType::Bool => value(array.subtract(0)?, format!("np.subtract({python}, 0)")),
        _ => value(array.add(3)?.add(4)?, format!("np.add(np.add({python}, 3), 4)")),
    }
}

fn absorbed(random: &mut Random, x: &Value) -> Made {
    let Value { array, python } = x;
    match random.below(2) {
        0 => value(array.multiply(0)?, format!("np.multiply({python}, 0)")),
        _ => value(
            array.logical_and(false)?,
            format!("np.logical_and({python}, False)"),
        ),
    }
}

fn chosen_by_a_number(random: &mut Random, x: &Value, y: &Value) -> Made {
    let truth = random.one_in(2);
    let (number, text) = match truth {
        true => (Array::scalar(Scalar::Bool(true)), "True"),
        false => (Array::scalar(Scalar::Bool(false)), "False"),
    };
    value(
        where_(number, &x.array, &y.array)?,
        format!("np.where({text}, {}, {})", x.python, y.python),
    )
}

/// An array of one value, looked at and calculated with.
fn views_of_one_value(random: &mut Random) -> Made {
    let shape = [1 + random.below(4) as u64, 1 + random.below(5) as u64];
    let cuts = shape.map(|len| chunks(random, len));
    let (number, text) = match random.below(3) {
        0 => (Scalar::Int16(300), "np.int16(300)"),
        1 => (Scalar::UInt8(7), "np.uint8(7)"),
        _ => (Scalar::Float32(0.1), "np.float32(0.1)"),
    };
    let one = Array::full(&shape, &cuts, number)?;
    let other = Array::full(&shape, &cuts, number)?;
    let python = format!("np.full({shape:?}, {text})");
    let (array, python) = match random.below(4) {
        0 => (one.add(&other)?, format!("({python} + {python})")),
        1 => (one.multiply(&other)?, format!("({python} * {python})")),
        2 => (one.less(&other)?, format!("({python} < {python})")),
        _ => (one.negative()?, format!("(-{python})")),
    };
    value(
        array.transpose().expand_dims(1)?,
        format!("np.expand_dims(np.transpose({python}), 1)"),
    )
}

fn reshaped_twice(random: &mut Random, x: &Value) -> Made {
    let shape = x.array.shape();
    let mut between: Vec<i64> = vec![-1];
    if random.one_in(2) && shape.len() > 2 {
        between.push(shape[shape.len() - 1] as i64);
    }
    if x.array.size() == 0 {
        return Ok(None);
    }
    let after: Vec<i64> = shape.iter().map(|&len| len as i64).collect();
    value(
        x.array.reshape(&between)?.reshape(&after)?,
        format!("np.reshape(np.reshape({}, {between:?}), {after:?})", x.python),
    )
}

fn listed_twice(random: &mut Random, x: &Value) -> Made {
    let Some((axis, len)) = some_axis(random, x) else {
        return Ok(None);
    };
    if len == 0 {
        return Ok(None);
    }
    let list = |random: &mut Random, count: usize, len: i64| -> Vec<i64> {
        (0..count).map(|_| random.within(0, len - 1)).collect()
    };
    let first = list(random, 40, len);
    let second = list(random, 36, 40);
    value(
        x.array.take(&first, axis)?.take(&second, axis)?,
        format!(
            "np.take(np.take({}, {first:?}, axis={axis}), {second:?}, axis={axis})",
            x.python
        ),
    )
}

/// Positions of a long array, after a conversion, of which slices are taken.
fn listed_far_apart(random: &mut Random) -> Made {
    let size = 1 + random.below(7) as u64;
    let array = Array::arange(0.0, 900.0, 1.0, DType::Int64, Chunks::Size(size))?.negative()?;
    let mut listed: Vec<i64> = (0..60).map(|_| random.within(0, 80)).collect();
    listed
        .iter_mut()
        .filter(|_| random.one_in(2))
        .for_each(|place| *place += 800);
    if random.one_in(2) {
        listed.sort_unstable();
    }
    let taken = array.take(&listed, 0)?;
    let python = format!("np.take(-np.arange(900), {listed:?})");
    match random.below(2) {
        0 => value(taken, python),
        _ => value(taken.slice(&[Index::range(3, 50)])?, format!("({python})[3:50]")),
    }
}

fn neighbours_joined(random: &mut Random, x: &Value) -> Made {
    let Some((axis, len)) = some_axis(random, x) else {
        return Ok(None);
    };
    let place = if axis < 0 {
        axis + x.array.ndim() as i64
    } else {
        axis
    };
    let at = random.within(0, len);
    let part = |start: i64, stop: i64| {
        let mut index = vec![Index::Full; place as usize];
        index.push(Index::range(start, stop));
        x.array.slice(&index)
    };
    let inner = concatenate(&[part(0, at)?, part(at, len)?], axis)?;
    let joined = concatenate(&[inner, x.array.clone()], axis)?;
    value(
        joined,
        format!("np.concatenate([{0}, {0}], axis={axis})", x.python),
    )
}

fn exact(random: &mut Random, x: &Value) -> Option<(ReduceKind, &'static str)> {
    let kinds = [
        (ReduceKind::Max, "max"),
        (ReduceKind::Any, "any"),
        (ReduceKind::Sum, "sum"),
    ];
    let (kind, name) = random.pick(&kinds).clone();
    let is_exact = !x.array.dtype().is_float() || kind == ReduceKind::Max;
    (is_exact && x.array.size() > 0).then_some((kind, name))
}

fn greatest_of_greatest(random: &mut Random, x: &Value) -> Made {
    let (Some((kind, name)), true) = (exact(random, x), x.array.ndim() > 1) else {
        return Ok(None);
    };
    let over = |random: &mut Random| {
        let over = Over::axis(0);
        over.split_every(2 + random.below(3) as u64)
    };
    let (first, second) = (over(random), over(random));
    value(
        x.array.reduce(kind.clone(), &first)?.reduce(kind, &second)?,
        format!("np.{name}(np.{name}({}, axis=0), axis=0)", x.python),
    )
}

fn cut_anew_and_reduced(random: &mut Random, x: &Value) -> Made {
    let (Some((axis, len)), Some((kind, name))) = (some_axis(random, x), exact(random, x)) else {
        return Ok(None);
    };
    if len == 0 || x.array.dtype() == DType::Bool {
        return Ok(None);
    }
    let axis = if axis < 0 {
        axis + x.array.ndim() as i64
    } else {
        axis
    };
    let made = x.array.sort(axis, false)?;
    let cuts: Vec<Chunks> = (0..x.array.ndim() as i64)
        .map(|other| match other == axis {
            true => chunks(random, len as u64),
            false => Chunks::Keep,
        })
        .collect();
    value(
        made.rechunk(&cuts)?.reduce(kind, &Over::axis(axis))?,
        format!("np.{name}(np.sort({}, axis={axis}), axis={axis})", x.python),
    )
}

/// Of neighbours along an axis of one block.
fn differences(random: &mut Random, x: &Value) -> Made {
    let Some((axis, len)) = some_axis(random, x) else {
        return Ok(None);
    };
    let place = (if axis < 0 {
        axis + x.array.ndim() as i64
    } else {
        axis
    }) as usize;
    let mut cuts = vec![Chunks::Keep; x.array.ndim()];
    if !random.one_in(3) {
        cuts[place] = Chunks::Whole;
    }
    let whole = x.array.rechunk(&cuts)?;
    if random.one_in(2) && len > 1 && x.array.dtype() == DType::Float64 {
        let gradient = whole.gradient(&[], [axis], 1)?.remove(0);
        return value(gradient, format!("np.gradient({}, axis={axis})", x.python));
    }
    if x.array.dtype() == DType::Bool || len < 2 {
        return Ok(None);
    }
    value(
        whole.diff(1, axis, None, None)?,
        format!("np.diff({}, axis={axis})", x.python),
    )
}

/// Numbers for one axis, which repeat along the others.
fn weighted(random: &mut Random, x: &Value) -> Made {
    let shape = x.array.shape();
    let Some(&len) = shape.last().filter(|_| !x.array.dtype().is_float()) else {
        return Ok(None);
    };
    let weights: Vec<i64> = (0..len).map(|_| random.within(-3, 3)).collect();
    let row = Array::from_slice(&[len], &[chunks(random, len)], &weights)?;
    if x.array.dtype() == DType::UInt64 {
        return Ok(None);
    }
    value(
        x.array.multiply(row.negative()?)?,
        format!(
            "np.multiply({}, -np.array({weights:?}, dtype=np.int64))",
            x.python
        ),
    )
}
