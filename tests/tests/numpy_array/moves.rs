//! Operations that move elements, alone, with arguments that may be wrong, and as steps of compositions.

use graticule_array::{Array, ArrayError, Axes, dstack, hstack, meshgrid, open_grid, vstack};
use proptest::prelude::*;

use crate::{
    compare::Near,
    compose::{Case, Made, Value, config, some_axis, value},
    inputs::{Random, Values, tensor},
    operations::check_built,
};

/// An operation that may be refused, and the Python expression that means the same.
type Built = (Result<Array, ArrayError>, String);

/// A step of a composition.
pub(crate) fn rearrange(random: &mut Random, x: &Value, y: &Value) -> Made {
    let (built, python) = match random.below(3) {
        0 => reshape(random, x),
        1 => moved(random, x),
        _ => joined(random, x, y),
    };
    value(built?, python)
}

/// A random shape of as many elements, or at times of others.
fn other_shape(random: &mut Random, size: u64) -> Vec<i64> {
    let (mut left, mut shape) = (size, Vec::new());
    while left > 1 {
        let divisors: Vec<u64> = (2..=left).filter(|d| left.is_multiple_of(*d)).collect();
        let factor = *random.pick(&divisors);
        shape.push(factor as i64);
        left /= factor;
    }
    if size == 0 {
        shape.push(0);
    }
    for _ in 0..random.below(3) {
        let at = random.below(shape.len() + 1);
        shape.insert(at, 1);
    }
    if !shape.is_empty() && random.one_in(4) {
        let at = random.below(shape.len());
        shape[at] = -1;
    }
    if !shape.is_empty() && random.one_in(20) {
        let at = random.below(shape.len());
        shape[at] = *random.pick(&[-1, 2, 0]);
    }
    shape
}

fn reshape(random: &mut Random, x: &Value) -> Built {
    let shape = other_shape(random, x.array.size());
    let python = format!("np.reshape({}, {shape:?})", x.python);
    (x.array.reshape(&shape), python)
}

/// A few numbers, as many as there are axes or not.
fn numbers(random: &mut Random, low: i64, high: i64) -> Vec<i64> {
    let count = 1 + random.below(3);
    (0..count).map(|_| random.within(low, high)).collect()
}

fn moved(random: &mut Random, x: &Value) -> Built {
    let Value { array, python } = x;
    let ndim = array.ndim() as i64;
    let some = |random: &mut Random| random.within(-ndim, ndim);
    match random.below(10) {
        0 => {
            let shifts = numbers(random, -9, 9);
            if random.one_in(3) {
                let built = array.roll(&shifts, None);
                return (built, format!("np.roll({python}, {shifts:?})"));
            }
            let axes: Vec<i64> = (0..1 + random.below(3)).map(|_| some(random)).collect();
            let built = array.roll(&shifts, Some(&axes));
            (built, format!("np.roll({python}, {shifts:?}, axis={axes:?})"))
        }
        1 => {
            let (k, axes) = (random.within(-3, 5), [some(random), some(random)]);
            (array.rot90(k, axes), format!("np.rot90({python}, {k}, {axes:?})"))
        }
        2 => {
            let count = 1 + random.below(2);
            let axes = |random: &mut Random| (0..count).map(|_| some(random)).collect::<Vec<_>>();
            let (from, to) = (axes(random), axes(random));
            let text = format!("np.moveaxis({python}, {from:?}, {to:?})");
            (array.moveaxis(from, to), text)
        }
        3 => {
            let axes: Vec<i64> = (0..random.below(3)).map(|_| some(random)).collect();
            let text = format!("np.expand_dims({python}, tuple({axes:?}))");
            (array.expand_dims(axes), text)
        }
        4 if random.one_in(2) => (array.flip(Axes::all()), format!("np.flip({python})")),
        4 => (array.matrix_transpose(), format!("np.matrix_transpose({python})")),
        5 => {
            let counts: Vec<u64> = numbers(random, 0, 3).iter().map(|&count| count as u64).collect();
            (array.tile(&counts), format!("np.tile({python}, {counts:?})"))
        }
        6 => repeat(random, x),
        7 => {
            let rank = 1 + random.below(3);
            let built = match rank {
                1 => array.atleast_1d(),
                2 => array.atleast_2d(),
                _ => array.atleast_3d(),
            };
            (built, format!("np.atleast_{rank}d({python})"))
        }
        8 => {
            let offset = random.within(-4, 4);
            if random.one_in(2) {
                return (array.tril(offset), format!("np.tril({python}, {offset})"));
            }
            (array.triu(offset), format!("np.triu({python}, {offset})"))
        }
        _ => parted(random, x),
    }
}

fn repeat(random: &mut Random, x: &Value) -> Built {
    let Value { array, python } = x;
    let (axis, len) = match some_axis(random, x).filter(|_| !random.one_in(3)) {
        Some((axis, len)) => (Some(axis), len),
        None => (None, array.size() as i64),
    };
    let len = if random.one_in(9) { len + 1 } else { len };
    let count = if random.one_in(2) { 1 } else { len.min(60) };
    let counts: Vec<u64> = (0..count).map(|_| random.below(4) as u64).collect();
    let text = axis.map_or("None".into(), |axis| axis.to_string());
    let python = format!("np.repeat({python}, np.array({counts:?}, dtype=int), axis={text})");
    (array.repeat(&counts, axis), python)
}

/// One of the parts into which an array falls.
fn parted(random: &mut Random, x: &Value) -> Built {
    let Value { array, python } = x;
    let ndim = array.ndim() as i64;
    let axis = random.within(-ndim, ndim);
    let count = random.below(5) as u64;
    let which = random.below(3);
    let (parts, call) = match which {
        0 => (array.unstack(axis), format!("np.unstack({python}, axis={axis})")),
        1 => (
            array.array_split(count, axis),
            format!("np.array_split({python}, {count}, axis={axis})"),
        ),
        _ => (
            array.split_evenly(count, axis),
            format!("np.split({python}, {count}, axis={axis})"),
        ),
    };
    let at = random.below(parts.as_ref().map_or(1, Vec::len));
    let part = parts.map(|mut parts| {
        if parts.is_empty() {
            array.clone()
        } else {
            parts.swap_remove(at)
        }
    });
    (part, format!("(({call}) or [{python}])[{at}]"))
}

fn joined(random: &mut Random, x: &Value, y: &Value) -> Built {
    let both = [x.array.clone(), y.array.clone()];
    let texts = format!("{}, {}", x.python, y.python);
    match random.below(7) {
        0 => (vstack(&both), format!("np.vstack([{texts}])")),
        1 => (hstack(&both), format!("np.hstack([{texts}])")),
        2 => (dstack(&both), format!("np.dstack([{texts}])")),
        3 => {
            let axis = random.within(-1, 1);
            let built = x.array.append(&y.array, Some(axis));
            (built, format!("np.append({texts}, axis={axis})"))
        }
        4 => (x.array.append(&y.array, None), format!("np.append({texts})")),
        5 => {
            let (axis, positions) = (random.within(-2, 2), numbers(random, -4, 4));
            let built = x.array.delete(&positions, axis);
            let python = format!("np.delete({}, {positions:?}, axis={axis})", x.python);
            (built, python)
        }
        _ => {
            let (is_cartesian, is_open) = (random.one_in(2), random.one_in(2));
            let at = random.below(2);
            let made = if is_open {
                open_grid(&both, is_cartesian)
            } else {
                meshgrid(&both, is_cartesian)
            };
            let (indexing, sparse) = (
                if is_cartesian { "xy" } else { "ij" },
                if is_open { "True" } else { "False" },
            );
            let python = format!("np.meshgrid({texts}, indexing='{indexing}', sparse={sparse})[{at}]");
            (made.map(|mut made| made.swap_remove(at)), python)
        }
    }
}

/// Two random arrays, of which the second broadcasts with the first.
pub(crate) fn pair(seed: u64, values: Values) -> (Random, Case) {
    let mut random = Random::new(seed);
    let case = Case::start(&mut random, values);
    (random, case)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn shuffled_groups_are_taken_and_not_cut(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let case = Case::start(&mut random, Values::Wild);
        let x = &case.values[0];
        let Some((axis, len)) = some_axis(&mut random, x) else { return Ok(()) };
        // Of no positions none can be taken, though NumPy lets who takes them from an array without elements.
        let taken_max = if len == 0 { 1 } else { 4 };
        let groups: Vec<Vec<i64>> = (0..random.below(5))
            .map(|_| (0..random.below(taken_max)).map(|_| random.below(len.max(1) as usize) as i64).collect())
            .collect();
        let positions: Vec<i64> = groups.iter().flatten().copied().collect();
        let python = format!("np.take({}, np.array({positions:?}, 'int64'), axis={axis})", x.python);
        let shuffled = x.array.shuffle(&groups, axis);
        if let Ok(shuffled) = &shuffled {
            let at = axis.rem_euclid(x.array.ndim() as i64) as usize;
            let mut ends = vec![0];
            for len in shuffled.chunks().axes()[at].lengths() {
                ends.push(ends.last().unwrap() + len as usize);
            }
            let mut start = 0;
            for group in &groups {
                let end = start + group.len();
                prop_assert!(ends.iter().all(|&cut| cut <= start || cut >= end), "{groups:?} in {ends:?}");
                start = end;
            }
        }
        check_built(shuffled, &python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn moves_give_what_numpy_gives_or_are_refused_as_there(seed in any::<u64>()) {
        let (mut random, case) = pair(seed, Values::Wild);
        let (x, y) = (&case.values[0], &case.values[1]);
        let (built, python) = match random.below(3) {
            0 => reshape(&mut random, x),
            1 => moved(&mut random, x),
            _ => joined(&mut random, x, y),
        };
        check_built(built, &python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn values_are_put_in_where_numpy_puts_them(seed in any::<u64>()) {
        let (mut random, mut case) = pair(seed, Values::Tame);
        let x = case.values[0].clone();
        let mut shape: Vec<usize> = x.array.shape().iter().map(|&len| len as usize).collect();
        let Some((axis, len)) = some_axis(&mut random, &x) else { return Ok(()) };
        shape.remove(axis.rem_euclid(shape.len() as i64) as usize);
        let dtype = x.array.dtype();
        case.input(&mut random, dtype, &shape, Values::Tame);
        let y = case.last().clone();
        let at = random.within(-len - 1, len + 1);
        let built = x.array.insert(at, &y.array, axis);
        let python = format!("np.insert({}, {at}, {}, axis={axis})", x.python, y.python);
        check_built(built, &python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
    }
}

/// A slice of an array whose rows are too large for one chunk: it is put together from parts.
#[test]
fn rows_beyond_a_chunk_are_regrouped_in_parts() {
    use graticule_array::{AUTO_CHUNK_BYTES, Chunks, Index, rewrite::Rewrites};
    use graticule_plan::DType;

    let row = AUTO_CHUNK_BYTES + 3;
    let stop = (2 * row) as f64;
    let flat = Array::arange(0.0, stop, 1.0, DType::UInt8, Chunks::Size(1 << 20)).unwrap();
    let step = (row / 5) as i64;
    let thin = Index::Slice {
        start: None,
        stop: None,
        step,
    };
    let rows = flat.reshape(&[2, row as i64]).unwrap();
    assert!(rows.chunks().axes()[1].chunk_max() <= 1 << 20);
    let again = rows.reshape(&[-1]).unwrap();
    assert!(again.chunks().axes()[0].chunk_max() <= 1 << 20);
    let bytes = |x: &Array| crate::compare::result(x, Rewrites::All).unwrap().bytes().to_vec();
    let two = bytes(&rows.slice(&[Index::Full, thin]).unwrap());
    let want = |position: u64| position as u8;
    let positions = (0..2).flat_map(|k| (0..6).map(move |j| k * row + j * step as u64));
    assert_eq!(two, positions.map(want).collect::<Vec<_>>());
    assert_eq!(
        bytes(&again.slice(&[thin]).unwrap()),
        (0..11).map(|j| want(j * step as u64)).collect::<Vec<_>>()
    );
}

/// Axes that stay are cut finer rather than that chunks grow without bound.
#[test]
fn regrouping_keeps_chunks_within_what_they_take_by_themselves() {
    use graticule_array::{AUTO_CHUNK_BYTES, Chunks};
    use graticule_plan::DType;

    let cuts = [
        Chunks::Size(1),
        Chunks::Size(1),
        Chunks::Size(4096),
        Chunks::Size(4096),
    ];
    let stack = Array::zeros(&[500, 12, 10_980, 10_980], &cuts, DType::Float32).unwrap();
    let merged = stack.reshape(&[6000, 10_980, 10_980]).unwrap();
    let chunk: u64 = merged
        .chunks()
        .axes()
        .iter()
        .map(|axis| axis.chunk_max())
        .product();
    assert!(chunk * 4 <= AUTO_CHUNK_BYTES, "{merged:?}");
    assert_eq!(merged.chunks().axes()[0].chunk_max(), 12);
}

#[test]
fn regrouping_moves_nothing_between_chunks_where_rows_end_together() {
    use graticule_array::{Chunks, LowerOptions, Wanted, lower};
    use graticule_plan::DType;

    let mut random = Random::new(7);
    let x = tensor(&mut random, DType::Int16, &[12, 4, 6], Values::Wild);
    let cuts = [Chunks::Size(3), Chunks::Whole, Chunks::Whole];
    let x = Array::from_bytes(DType::Int16, &[12, 4, 6], &cuts, x.bytes().to_vec()).unwrap();
    let lowered = |x: &Array| lower(&[(x, Wanted::Deliver)], &LowerOptions::default()).unwrap();
    for shape in [&[48, 6][..], &[4, 3, 24], &[12, 24], &[-1], &[8, 6, 6]] {
        let y = x.reshape(shape).unwrap();
        assert_eq!(y.chunks().block_count(), 4, "{shape:?}");
        // Read and regrouped by one task for each chunk.
        assert_eq!(lowered(&y).plan.task_count(), 4, "{shape:?}");
    }
}
