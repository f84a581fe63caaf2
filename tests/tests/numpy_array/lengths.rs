//! Arrays whose lengths depend on what is in them. Lengths are found here as a client finds them: a number for each block,
//! computed first.

use graticule_array::{
    Array, ArrayError, Chunks, Found, Over, Selected, Wishes, joined_elements, rewrite::Rewrites,
};
use graticule_kernel::{KernelError, Tensor};
use graticule_plan::DType;
use graticule_tests::numpy::Numpy;
use proptest::prelude::*;

use crate::{
    compare::{Near, check, result, results, same},
    compose::{Case, Made, Value, config, some_axis, value},
    inputs::{Random, Values, array, shape, tensor},
    operations::check_built,
};

fn lengths(counts: &Array) -> Result<Vec<u64>, KernelError> {
    let counts = result(counts, Rewrites::All)?;
    let counts = counts.as_slice::<i64>().unwrap();
    Ok(counts.iter().map(|&count| count as u64).collect())
}

/// What `Client::sized` does.
fn sized(selected: &Selected) -> Result<Array, ArrayError> {
    let counts = lengths(&selected.counts()).expect("masks of these tests can be computed");
    let array = selected.with_counts(&counts)?;
    assert!(
        array.size() == 0 || array.chunks().axes().iter().all(|axis| !axis.has_empty_block()),
        "{array:?} has empty chunks"
    );
    Ok(array)
}

/// A mask that is no part of the expression, so that what is selected by it can be a step of a composition.
fn literal(random: &mut Random, shape: &[usize]) -> (Array, String) {
    let count: usize = shape.iter().product();
    // At times long runs of nothing, so that whole blocks are empty.
    let (mut flags, chance) = (Vec::new(), 1 + random.below(6));
    while flags.len() < count {
        let run = 1 + random.below(4);
        let flag = random.one_in(chance);
        flags.extend(std::iter::repeat_n(flag, run));
    }
    flags.truncate(count);
    let texts: Vec<&str> = flags
        .iter()
        .map(|&flag| if flag { "True" } else { "False" })
        .collect();
    let python = format!("np.array([{}], dtype=bool).reshape({shape:?})", texts.join(", "));
    let mask = Tensor::from_vec(shape, flags).unwrap();
    (array(random, &mask), python)
}

/// A step of a composition: elements under a mask of the array's first axes, or along one axis.
pub(crate) fn selected(random: &mut Random, x: &Value) -> Made {
    let Value { array, python } = x;
    let own: Vec<usize> = array.shape().iter().map(|&len| len as usize).collect();
    let (selected, text) = if random.one_in(2) || own.is_empty() {
        let (mask, text) = {
            let ndim = own.len() - random.below(own.len() + 1);
            literal(random, &own[..ndim])
        };
        (array.take_mask(&mask)?, format!("({python})[{text}]"))
    } else {
        let (axis, len) = some_axis(random, x).expect("it has axes");
        let len = random.below(len as usize + 1);
        let (mask, text) = literal(random, &[len]);
        (
            array.compress_by(&mask, axis)?,
            format!("np.compress({text}, {python}, axis={axis})"),
        )
    };
    value(sized(&selected)?, text)
}

fn one(random: &mut Random, dtype: DType, shape: &[usize]) -> Case {
    let mut case = Case {
        inputs: Vec::new(),
        values: Vec::new(),
    };
    let values = *random.pick(&[Values::Tame, Values::Wild]);
    case.input(random, dtype, shape, values);
    case
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn masks_select_as_numpy_does(seed in any::<u64>(), dtype in 0..DType::REAL.len()) {
        let mut random = Random::new(seed);
        let shape = shape(&mut random);
        let case = one(&mut random, DType::REAL[dtype], &shape);
        let x = &case.last().array;
        let mask = x.greater(3).unwrap();
        let check = |built: Result<Selected, ArrayError>, python: &str| {
            check_built(built.and_then(|built| sized(&built)), python, &case.inputs, &Near::Same)
                .map_err(TestCaseError::fail)
        };
        check(x.take_mask(&mask), "a0[np.asarray(np.greater(a0, 3))]")?;
        check(x.extract(&x.remainder(2).unwrap()), "np.extract(np.remainder(a0, 2), a0)")?;
        check(x.flatnonzero(), "np.flatnonzero(a0)")?;
        let raised = Numpy::shared().eval("np.nonzero(np.array(3))[0]", &[]);
        prop_assert!(raised.is_err());
        if shape.is_empty() {
            prop_assert!(x.nonzero().is_err() && x.argwhere().is_err());
            return Ok(());
        }
        check(x.argwhere(), "np.argwhere(a0)")?;
        for (axis, found) in x.nonzero().unwrap().into_iter().enumerate() {
            check(Ok(found), &format!("np.nonzero(a0)[{axis}]"))?;
        }
        let (line, text) = literal(&mut random, &[shape[0]]);
        check(x.compress_by(&line, 0), &format!("np.compress({text}, a0, axis=0)"))?;
    }

    /// Slices, reductions and elementwise work of what was selected, with and without rewriting, and so that no block is made
    /// for nobody.
    #[test]
    fn what_was_selected_is_an_array_like_any_other(
        seed in any::<u64>(),
        before in prop::collection::vec(any::<u64>(), 0..3),
        after in prop::collection::vec(any::<u64>(), 0..5),
    ) {
        let mut random = Random::new(seed);
        let mut case = Case::start(&mut random, Values::Wild);
        before.into_iter().for_each(|step| case.step(&mut Random::new(step)));
        if let Ok(Some(chosen)) = selected(&mut random, &case.last().clone()) {
            case.values.push(chosen);
        }
        after.into_iter().for_each(|step| case.step(&mut Random::new(step)));
        let Value { array, python } = case.last();
        check(array, python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn what_needs_no_lengths_needs_none(seed in any::<u64>(), dtype in 0..DType::NUMBERS.len(), which in 0..6usize) {
        let mut random = Random::new(seed);
        let mut shape = shape(&mut random);
        shape.push(random.len());
        let dtype = DType::ALL[dtype];
        let mut case = Case { inputs: Vec::new(), values: Vec::new() };
        case.input(&mut random, dtype, &shape, Values::Tame);
        let axis = random.below(shape.len());
        let (mask, text) = literal(&mut random, &[shape[axis]]);
        let selected = case.last().array.compress_by(&mask, axis as i64).unwrap();
        let python = format!("np.compress({text}, a0, axis={axis})");
        // Float16 is taken as float64, since NumPy rounds its sums at each step.
        let is_half = dtype == DType::Float16 && matches!(which, 0 | 4 | 5);
        let (wide, narrow, near) = if is_half { (".astype('float64')", ".astype('float16')", 1e-3) } else { ("", "", 1e-6) };
        let all = |name: &str| format!("np.asarray(np.{name}({python}{wide}, axis={axis})){narrow}");
        let (built, want) = match which {
            0 => (selected.sum(), all("sum")),
            1 => (selected.any(), all("any")),
            2 => (selected.all(), all("all")),
            3 => (selected.count(), format!("np.asarray(np.sum({text}))")),
            4 => (selected.map(|x| x.multiply(x)).and_then(|x: Selected| x.sum()), all("sum").replace("a0", "(a0 * a0)")),
            _ => (selected.mean(), format!("(np.errstate(all='ignore').__enter__(), {})[1]", all("mean"))),
        };
        check_built(built, &want, &case.inputs, &Near::Relative(near)).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn distinct_elements_are_numpys(seed in any::<u64>(), dtype in 0..DType::NUMBERS.len(), equal_nan in any::<bool>()) {
        let mut random = Random::new(seed);
        let mut shape = shape(&mut random);
        if random.one_in(2) {
            shape.insert(0, 1 + random.below(40));
        }
        let (dtype, values) = (DType::ALL[dtype], *random.pick(&[Values::Tame, Values::Wild]));
        let x = tensor(&mut random, dtype, &shape, values);
        let lazy = array(&mut random, &x);
        let wishes = Wishes { positions: true, counts: true, equal_nan };
        let found = unique(&lazy, wishes);
        let flag = if equal_nan { "True" } else { "False" };
        let call = format!("np.unique(x, return_index=True, return_counts=True, equal_nan={flag})");
        let numpys = |k: usize| Numpy::shared().eval(&format!("{call}[{k}]"), &[("x", &x)]).unwrap();
        let got = results(&found.arrays(), Rewrites::All).unwrap();
        for (k, got) in got.iter().enumerate() {
            // Of NaN of several forms NumPy sorts otherwise those that it does not take for one.
            if dtype.is_complex() && values == Values::Wild {
                continue;
            }
            let want = numpys(k);
            same(got, &want).map_err(|why| TestCaseError::fail(format!("{k}: {why}; {got:?} for {want:?} of {lazy:?}")))?;
        }
        // Each element is the one of the distinct elements that it is said to be.
        let inverse = lazy.inverse_of(&found.values, equal_nan).unwrap();
        let inverse = result(&inverse, Rewrites::All).unwrap();
        let put_back = Numpy::shared().eval("v[i]", &[("v", &got[0]), ("i", &inverse)]).unwrap();
        if !(dtype.is_complex() && values == Values::Wild) {
            same(&put_back, &x).map_err(TestCaseError::fail)?;
            let counted = Numpy::shared().eval("np.bincount(i.ravel(), minlength=len(v))", &[("v", &got[0]), ("i", &inverse)]);
            same(&counted.unwrap(), &got[2]).map_err(TestCaseError::fail)?;
        }
    }

    #[test]
    fn unions_are_numpys(seed in any::<u64>(), first in 0..DType::REAL.len(), second in 0..DType::REAL.len()) {
        let mut random = Random::new(seed);
        let shapes = [shape(&mut random), shape(&mut random)];
        let (a, b) = (
            tensor(&mut random, DType::REAL[first], &shapes[0], Values::Wild),
            tensor(&mut random, DType::REAL[second], &shapes[1], Values::Wild),
        );
        let joined = joined_elements(&array(&mut random, &a), &array(&mut random, &b)).unwrap();
        let found = unique(&joined, Wishes { equal_nan: true, ..Wishes::default() });
        let want = Numpy::shared().eval("np.union1d(a, b)", &[("a", &a), ("b", &b)]).unwrap();
        same(&result(&found.values, Rewrites::All).unwrap(), &want).map_err(TestCaseError::fail)?;
    }
}

/// What `Client::unique` does.
fn unique(x: &Array, wishes: Wishes) -> Found {
    let mut step = x.distinct_blocks(wishes).unwrap();
    loop {
        let found = step.found(&lengths(&step.lengths()).unwrap()).unwrap();
        if step.is_last() {
            return found;
        }
        let kept = results(&found.arrays(), Rewrites::All).unwrap();
        let kept = kept.iter().zip(found.arrays()).map(|(tensor, array)| {
            let cuts = vec![Chunks::Lengths(array.chunks().axes()[0].lengths())];
            Array::from_bytes(tensor.dtype(), &array.shape(), &cuts, tensor.bytes().to_vec()).unwrap()
        });
        step = step.next(found.replaced(kept));
    }
}

#[test]
fn selections_that_do_not_belong_together_are_refused() {
    let x = Array::from_slice(&[6], &[Chunks::Size(2)], &[1_i64, -2, 3, -4, 5, -6]).unwrap();
    let (positive, negative) = (x.greater(0).unwrap(), x.less(0).unwrap());
    let of = |mask: &Array| x.take_mask(mask).unwrap();
    let both = of(&positive)
        .zip(&of(&x.greater(0).unwrap()), |a, b| a.add(b))
        .unwrap();
    assert_eq!(
        result(&sized(&both).unwrap(), Rewrites::All)
            .unwrap()
            .as_slice::<i64>()
            .unwrap(),
        [2, 6, 10]
    );
    let other = of(&positive).zip(&of(&negative), |a, b| a.add(b));
    assert_eq!(other.unwrap_err(), ArrayError::OtherMask);
    assert!(matches!(
        of(&positive).map(|x| x.sum(&Over::all())),
        Err::<Selected, _>(ArrayError::MaskShape { .. })
    ));
    let why = [x.take_mask(&x).unwrap_err(), x.put_mask(&x, 0).unwrap_err()];
    assert!(
        why.iter()
            .all(|why| why.to_string().contains("convert it to bool")),
        "a mask is boolean: {why:?}"
    );
    for counts in [&[1, 1][..], &[1, 1, 1, 1], &[3, 1, 1]] {
        let why = of(&positive).with_counts(counts).unwrap_err();
        assert!(matches!(why, ArrayError::BlockLengths { .. }), "{why}");
    }
    // What is there is counted again, so that a chunk never has another length than the plan says.
    let wrong = of(&positive).with_counts(&[1, 2, 1]).unwrap();
    let why = result(&wrong, Rewrites::All).unwrap_err();
    assert!(why.to_string().contains("counted before"), "{why}");
}
