//! Grids of indices, flat and split positions, choices by number, nested lists, in random chunks.

use graticule_array::{
    Array, ArrayError, Bounds, Chunks, Nested, Operand, block, ravel_multi_index, rewrite::Rewrites,
    tril_indices, triu_indices,
};
use graticule_plan::DType;
use proptest::prelude::*;

use crate::{
    compare::{Near, result},
    compose::{Case, config},
    inputs::{Random, Values, chunks, shape},
    operations::check_built,
};

fn empty() -> Case {
    Case {
        inputs: Vec::new(),
        values: Vec::new(),
    }
}

fn tuple(shape: &[u64]) -> String {
    shape
        .iter()
        .fold("(".to_owned(), |text, len| format!("{text}{len},"))
        + ")"
}

/// A grid of one to three axes.
fn grid(random: &mut Random) -> Vec<u64> {
    (0..1 + random.below(3))
        .map(|_| 1 + random.below(5) as u64)
        .collect()
}

/// An integer dtype, the positions of an array, and Python's for them: within `0..count`, as they are if that is `None`.
fn positions(random: &mut Random, case: &mut Case, count: Option<u64>) -> (Array, String) {
    let dtype = *random.pick(&[DType::Int8, DType::Int32, DType::Int64, DType::UInt8]);
    let shape = shape(random);
    case.input(random, dtype, &shape, Values::Tame);
    let value = case.last();
    let (array, python) = (&value.array, &value.python);
    match count {
        None => {
            let array = array.astype(DType::Int64).unwrap().subtract(50).unwrap();
            (array, format!("({python}.astype('int64') - 50)"))
        }
        Some(count) => {
            let array = array.remainder(count as i64).unwrap();
            (array, format!("({python} % {count})"))
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn grids_of_indices_are_numpys(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let shape: Vec<u64> = shape(&mut random).into_iter().map(|len| len as u64).collect();
        let cuts: Vec<Chunks> = shape.iter().map(|&len| chunks(&mut random, len)).collect();
        let python = format!("np.indices({})", if shape.is_empty() { "()".into() } else { tuple(&shape) });
        check_built(Array::indices(&shape, &cuts), &python, &[], &Near::Same).map_err(TestCaseError::fail)?;
        let (rows, columns, offset) = (random.below(7) as u64, random.below(7) as u64, random.within(-8, 8));
        let which = random.below(2);
        for lower in [true, false] {
            let cut = Chunks::Size(1 + random.below(5) as u64);
            let (name, made) = match lower {
                true => ("tril", tril_indices(rows, columns, offset, cut)),
                false => ("triu", triu_indices(rows, columns, offset, cut)),
            };
            let python = format!("np.{name}_indices({rows}, {offset}, {columns})[{which}]");
            check_built(made.map(|both| both[which].clone()), &python, &[], &Near::Same)
                .map_err(TestCaseError::fail)?;
        }
    }

    #[test]
    fn flat_positions_are_split_and_joined(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let (mut case, shape) = (empty(), grid(&mut random));
        let (flat, python) = positions(&mut random, &mut case, Some(shape.iter().product()));
        let axis = random.below(shape.len());
        let python = format!("np.asarray(np.unravel_index({python}, {})[{axis}])", tuple(&shape));
        let split = flat.unravel_index(&shape);
        check_built(split.map(|mut all| all.swap_remove(axis)), &python, &case.inputs, &Near::Same)
            .map_err(TestCaseError::fail)?;

        let mut case = empty();
        let bounds = *random.pick(&[Bounds::Raise, Bounds::Wrap, Bounds::Clip]);
        let (mut each, mut texts) = (Vec::new(), Vec::new());
        for &len in &shape {
            let (array, text) = positions(&mut random, &mut case, (bounds == Bounds::Raise).then_some(len));
            each.push(array);
            texts.push(text);
        }
        let mode = format!("{bounds:?}").to_lowercase();
        let python = format!("np.asarray(np.ravel_multi_index(({},), {}, mode='{mode}'))", texts.join(", "), tuple(&shape));
        check_built(ravel_multi_index(&each, &shape, bounds), &python, &case.inputs, &Near::Same)
            .map_err(TestCaseError::fail)?;
    }

    #[test]
    fn choices_by_number_are_numpys(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let (mut case, count) = (empty(), 1 + random.below(4) as u64);
        let bounds = *random.pick(&[Bounds::Raise, Bounds::Wrap, Bounds::Clip]);
        let (number, text) = positions(&mut random, &mut case, (bounds == Bounds::Raise).then_some(count));
        let (mut choices, mut texts) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (dtype, shape) = (random.dtype(), shape(&mut random));
            case.input(&mut random, dtype, &shape, Values::Wild);
            choices.push(case.last().array.clone());
            texts.push(case.last().python.clone());
        }
        let mode = format!("{bounds:?}").to_lowercase();
        let python = format!("np.asarray(np.choose({text}, [{}], mode='{mode}'))", texts.join(", "));
        check_built(number.choose(&choices, bounds), &python, &case.inputs, &Near::Same)
            .map_err(TestCaseError::fail)?;
    }

    #[test]
    fn the_last_condition_that_holds_gives_the_value(seed in any::<u64>(), has_default in any::<bool>()) {
        let mut random = Random::new(seed);
        let (mut case, shape) = (empty(), shape(&mut random));
        let dtype = *random.pick(&[DType::Int32, DType::Int64, DType::Float32, DType::Float64]);
        case.input(&mut random, dtype, &shape, Values::Wild);
        let x = case.last().array.clone();
        let conditions = [x.greater(-3).unwrap(), x.less(2).unwrap()];
        let mut values = vec![Operand::from(7), Operand::from(x.add(1).unwrap())];
        let mut text = "7, lambda v: v + 1".to_owned();
        if has_default {
            values.push(Operand::from(-9));
            text.push_str(", -9");
        }
        let python = format!("np.piecewise(a0, [a0 > -3, a0 < 2], [{text}])");
        check_built(x.piecewise(&conditions, &values), &python, &case.inputs, &Near::Same)
            .map_err(TestCaseError::fail)?;
    }

    #[test]
    fn nested_lists_are_joined_from_the_inside(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let mut case = empty();
        let (left, right) = (1 + random.below(3), 1 + random.below(3));
        let rows = [random.below(4), random.below(4)];
        let shapes = [vec![rows[0], left], vec![rows[0], right], vec![rows[1], left + right], vec![left + right]];
        for shape in &shapes {
            let dtype = random.dtype();
            case.input(&mut random, dtype, shape, Values::Wild);
        }
        let part = |input: usize| Nested::Array(case.values[input].array.clone());
        let (nested, python) = match random.below(4) {
            0 => (part(3), "a3"),
            1 => (Nested::List(vec![part(0), part(1)]), "[a0, a1]"),
            2 => (
                Nested::List(vec![
                    Nested::List(vec![part(0), part(1)]),
                    Nested::List(vec![part(2)]),
                    Nested::List(vec![part(3)]),
                ]),
                "[[a0, a1], [a2], [a3]]",
            ),
            _ => (Nested::List(vec![part(2), Nested::List(vec![part(3)])]), "[a2, [a3]]"),
        };
        check_built(block(&nested), &format!("np.block({python})"), &case.inputs, &Near::Same)
            .map_err(TestCaseError::fail)?;
    }
}

#[test]
fn positions_out_of_bounds_fail_their_task() {
    for positions in [[0_i64, 6], [-1, 3]] {
        let x = Array::from_slice(&[2], &[Chunks::Size(1)], &positions).unwrap();
        let first = x.unravel_index(&[2, 3]).unwrap().remove(0);
        let joined = ravel_multi_index(std::slice::from_ref(&x), &[6], Bounds::Raise).unwrap();
        let chosen = x
            .choose(&[Array::scalar(graticule_ops::Scalar::Int8(1))], Bounds::Raise)
            .unwrap();
        for made in [first, joined, chosen] {
            for rewrites in [Rewrites::None, Rewrites::All] {
                assert!(result(&made, rewrites).is_err(), "{positions:?}");
            }
        }
    }
    let x = Array::zeros(&[2], &[Chunks::Whole], DType::Float64).unwrap();
    assert!(matches!(
        x.unravel_index(&[2]),
        Err(ArrayError::PositionDType {
            dtype: DType::Float64
        })
    ));
    assert!(matches!(
        block(&Nested::List(vec![])),
        Err(ArrayError::NoArrays { .. })
    ));
}
