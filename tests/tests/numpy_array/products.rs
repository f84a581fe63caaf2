//! Products of matrices and sums of products, in random chunks.

use graticule_array::{Array, ArrayError, Chunks, einsum};
use graticule_kernel::Tensor;
use graticule_plan::DType;
use graticule_tests::numpy::Numpy;
use proptest::prelude::*;

use crate::{
    compare::{Near, check},
    compose::{Case, Value, config},
    inputs::{Random, Values, array, tensor},
    operations::check_built,
};

/// Inputs of the given shapes and one dtype, of two dtypes at times, and finite: what BLAS makes of zeros times infinity
/// depends on the build.
fn case(random: &mut Random, shapes: &[Vec<usize>]) -> (Case, Values) {
    let values = *random.pick(&[Values::Tame, Values::Wild]);
    let mut case = Case {
        inputs: Vec::new(),
        values: Vec::new(),
    };
    let first = random.dtype();
    for shape in shapes {
        let dtype = if random.one_in(4) { random.dtype() } else { first };
        let wild = tensor(random, dtype, shape, values);
        // Also as float16: 0 times infinity is what BLAS makes of it.
        let finite = "np.nan_to_num(x, nan=0.5, posinf=3e4, neginf=-7)";
        let finite = Numpy::shared().eval(finite, &[("x", &wild)]).unwrap();
        let python = format!("a{}", case.inputs.len());
        case.values.push(Value {
            array: array(random, &finite),
            python: python.clone(),
        });
        case.inputs.push((python, finite));
    }
    (case, values)
}

/// Checks a product; of numbers that are not whole, what may be lost is a part of the products' magnitudes.
fn checked(
    case: &Case,
    values: Values,
    built: Result<Array, ArrayError>,
    python: impl Fn(&dyn Fn(usize) -> String) -> String,
) -> Result<(), TestCaseError> {
    // NumPy rounds some sums of float16 at each step.
    let is_half = built.as_ref().is_ok_and(|array| array.dtype() == DType::Float16);
    let exact = match is_half {
        true => format!(
            "np.asarray({}).astype('float16')",
            python(&|input| format!("a{input}.astype('float64')"))
        ),
        false => python(&|input| format!("a{input}")),
    };
    let scale = python(&|input| format!("np.abs(a{input}.astype('float64'))"));
    let part = match built.as_ref().map(Array::dtype) {
        Ok(DType::Float16 | DType::Float32) => 1e-6,
        _ => 1e-12,
    };
    let near = match values {
        Values::Tame if !is_half => Near::Same,
        Values::Tame | Values::Wild => Near::Part(part, scale),
    };
    let is_float = built.as_ref().is_ok_and(|array| array.dtype().is_float());
    let near = if is_float { near } else { Near::Same };
    check_built(built, &exact, &case.inputs, &near).map_err(TestCaseError::fail)
}

/// A shape that broadcasts with another: some axes of length 1, some leading ones missing.
fn broadcasting(random: &mut Random, shape: &[usize]) -> Vec<usize> {
    let kept = &shape[random.below(shape.len() + 1)..];
    kept.iter()
        .map(|&len| if random.one_in(3) { 1 } else { len })
        .collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn matrices_are_multiplied_as_numpy_does(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let batch: Vec<usize> = (0..random.below(3)).map(|_| random.len()).collect();
        let [m, k, n] = [random.len(), random.len() * 2, random.len()];
        let (mut left, mut right) = (broadcasting(&mut random, &batch), broadcasting(&mut random, &batch));
        match random.below(4) {
            0 => (left, right) = (vec![k], [right, vec![k, n]].concat()),
            1 => (left, right) = ([left, vec![m, k]].concat(), vec![k]),
            2 if random.one_in(2) => (left, right) = (vec![k], vec![k]),
            _ => {
                left.extend([m, k]);
                right.extend([k, n]);
            }
        }
        if random.one_in(20) {
            right = vec![k + 1, n];
        }
        let (case, values) = case(&mut random, &[left, right]);
        let built = case.values[0].array.matmul(&case.values[1].array);
        checked(&case, values, built, |x| format!("np.matmul({}, {})", x(0), x(1)))?;
    }

    #[test]
    fn axes_that_arrays_share_are_summed_over(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let shared: Vec<usize> = (0..random.below(3)).map(|_| random.len()).collect();
        let mut shapes = [(); 2].map(|()| {
            let mut axes: Vec<Option<usize>> = (0..shared.len()).map(Some).collect();
            (0..random.below(3)).for_each(|_| axes.insert(random.below(axes.len() + 1), None));
            // The shared ones stand in any order.
            (0..axes.len()).for_each(|place| { let other = random.below(axes.len()); axes.swap(place, other) });
            axes
        });
        let named = |axes: &[Option<usize>]| -> Vec<i64> {
            let place = |which| axes.iter().position(|axis| *axis == Some(which)).unwrap() as i64;
            (0..shared.len()).map(place).collect()
        };
        let (mut left, right) = (named(&shapes[0]), named(&shapes[1]));
        let ndim = shapes[0].len() as i64;
        left.iter_mut().filter(|_| random.one_in(3)).for_each(|axis| *axis -= ndim);
        let shapes = shapes.each_mut().map(|axes| {
            axes.iter().map(|axis| axis.map_or_else(|| random.len(), |which| shared[which])).collect::<Vec<usize>>()
        });
        let (case, values) = case(&mut random, &shapes);
        let built = case.values[0].array.tensordot(&case.values[1].array, &left, &right);
        checked(&case, values, built, |x| format!("np.tensordot({}, {}, axes=({left:?}, {right:?}))", x(0), x(1)))?;
    }

    #[test]
    fn vectors_are_multiplied_as_numpy_does(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let batch: Vec<usize> = (0..random.below(3)).map(|_| random.len()).collect();
        let k = random.len() * 3;
        let shapes = [(); 2].map(|()| [broadcasting(&mut random, &batch), vec![k]].concat());
        let (case, values) = case(&mut random, &shapes);
        let built = case.values[0].array.vecdot(&case.values[1].array, -1);
        checked(&case, values, built, |x| format!("np.vecdot({}, {})", x(0), x(1)))?;
        let built = case.values[0].array.dot(&case.values[1].array);
        let is_dot = shapes[1].len() == 1 || shapes[1][shapes[1].len() - 2] == k;
        if is_dot {
            checked(&case, values, built, |x| format!("np.dot({}, {})", x(0), x(1)))?;
        }
    }

    #[test]
    fn subscripts_mean_what_they_mean_in_numpy(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let lens = [(); 4].map(|()| random.len());
        let letters = ['i', 'B', 'k', 'l'];
        let dots: Vec<usize> = (0..random.below(3)).map(|_| random.len()).collect();
        let (mut terms, mut shapes) = (Vec::new(), Vec::new());
        for _ in 0..1 + random.below(3) {
            let axes: Vec<usize> = (0..random.below(4)).map(|_| random.below(4)).collect();
            let mut term: String = axes.iter().map(|&axis| letters[axis]).collect();
            let is_repeated = (1..axes.len()).any(|place| axes[..place].contains(&axes[place]));
            let len = |axis: &usize| lens[*axis];
            let mut shape: Vec<usize> = axes.iter().map(len).collect();
            if !is_repeated {
                shape.iter_mut().filter(|_| random.one_in(6)).for_each(|len| *len = 1);
            }
            if !dots.is_empty() && random.one_in(2) {
                let at = random.below(term.len() + 1);
                term.insert_str(at, "...");
                shape.splice(at..at, broadcasting(&mut random, &dots));
            }
            terms.push(term);
            shapes.push(shape);
        }
        let mut subscripts = terms.join(",");
        if random.one_in(2) {
            let used = |letter: &&char| terms.iter().any(|term| term.contains(**letter));
            let mut result: String = letters.iter().filter(used).filter(|_| random.one_in(2)).collect();
            if random.one_in(2) {
                result = result.chars().rev().collect();
            }
            if subscripts.contains("...") {
                result.insert_str(random.below(result.len() + 1), "...");
            }
            subscripts = format!("{subscripts}->{result}");
        }
        // NumPy takes an order of its own where it adds up first; so numbers are whole.
        let (case, _) = {
            let mut case = Case { inputs: Vec::new(), values: Vec::new() };
            let dtype = random.dtype();
            shapes.iter().for_each(|shape| case.input(&mut random, dtype, shape, Values::Tame));
            (case, dtype)
        };
        let arrays: Vec<Array> = case.values.iter().map(|value| value.array.clone()).collect();
        let built = einsum(&subscripts, &arrays);
        let names: Vec<String> = (0..arrays.len()).map(|input| format!("a{input}")).collect();
        let python = format!("np.asarray(np.einsum('{subscripts}', {}))", names.join(", "));
        let near = match built.as_ref().map(Array::dtype) {
            Ok(DType::Float16) => Near::Part(1e-2, python.clone()),
            Ok(DType::Float32) => Near::Part(1e-5, python.clone()),
            Ok(DType::Float64) => Near::Part(1e-12, python.clone()),
            _ => Near::Same,
        };
        check_built(built, &python, &case.inputs, &near).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn matrices_of_many_tiles_are_multiplied() {
    let mut random = Random::new(5);
    for dtype in [DType::Float64, DType::Float32, DType::Int16] {
        for shapes in [[vec![67, 300], vec![300, 41]], [vec![130, 9], vec![9, 130]]] {
            let mut case = Case {
                inputs: Vec::new(),
                values: Vec::new(),
            };
            shapes
                .iter()
                .for_each(|shape| case.input(&mut random, dtype, shape, Values::Tame));
            let cut = |value: usize, rows, columns| {
                let chunks = [Chunks::Size(rows), Chunks::Size(columns)];
                case.values[value].array.rechunk(&chunks).unwrap()
            };
            let (x, y) = (cut(0, 40, 70), cut(1, 64, 17));
            check(
                &x.matmul(&y).unwrap(),
                "np.matmul(a0, a1)",
                &case.inputs,
                &Near::Same,
            )
            .unwrap();
            let transposed = y.transpose().matmul(&x.transpose()).unwrap();
            check(&transposed, "np.matmul(a1.T, a0.T)", &case.inputs, &Near::Same).unwrap();
        }
    }
}

#[test]
fn infinity_and_nan_are_multiplied_as_any_number() {
    let values = [
        f64::NAN,
        0.0,
        f64::INFINITY,
        -1.0,
        0.0,
        2.0,
        f64::NEG_INFINITY,
        3.0,
        0.5,
    ];
    let x = Array::from_slice(&[3, 3], &[Chunks::Size(2), Chunks::Size(2)], &values).unwrap();
    let inputs = [(
        "x".to_owned(),
        Tensor::from_vec(&[3, 3], values.to_vec()).unwrap(),
    )];
    let python = "(x[:, :, None] * x[None, :, :]).sum(1)";
    check(&x.matmul(&x).unwrap(), python, &inputs, &Near::Same).unwrap();
    check(
        &einsum("ij,jk", &[x.clone(), x]).unwrap(),
        python,
        &inputs,
        &Near::Same,
    )
    .unwrap();
}

#[test]
fn what_cannot_be_multiplied_is_refused() {
    let zeros =
        |shape: &[u64]| Array::zeros(shape, &vec![Chunks::Whole; shape.len()], DType::Float64).unwrap();
    let (x, y) = (zeros(&[2, 3]), zeros(&[3, 4]));
    for (built, python) in [
        (y.matmul(&x), "np.matmul(np.zeros((3, 4)), np.zeros((2, 3)))"),
        (x.matmul(&zeros(&[])), "np.matmul(np.zeros((2, 3)), 1.0)"),
        (
            zeros(&[2, 1, 3]).matmul(&zeros(&[3, 3, 1])),
            "np.matmul(np.zeros((2, 1, 3)), np.zeros((3, 3, 1)))",
        ),
        (
            x.tensordot(&y, &[0], &[0]),
            "np.tensordot(np.zeros((2, 3)), np.zeros((3, 4)), axes=([0], [0]))",
        ),
        (
            x.tensordot(&y, &[1], &[]),
            "np.tensordot(np.zeros((2, 3)), np.zeros((3, 4)), axes=([1], []))",
        ),
        (x.dot(&x), "np.dot(np.zeros((2, 3)), np.zeros((2, 3)))"),
        (x.vecdot(&y, -1), "np.vecdot(np.zeros((2, 3)), np.zeros((3, 4)))"),
        (x.outer(&y), "np.linalg.outer(np.zeros((2, 3)), np.zeros((3, 4)))"),
        (
            einsum("ij,jk", &[y.clone(), x.clone()]),
            "np.einsum('ij,jk', np.zeros((3, 4)), np.zeros((2, 3)))",
        ),
        (
            einsum("ij,jk", std::slice::from_ref(&x)),
            "np.einsum('ij,jk', np.zeros((2, 3)))",
        ),
        (
            einsum("ij->ik", std::slice::from_ref(&x)),
            "np.einsum('ij->ik', np.zeros((2, 3)))",
        ),
        (
            einsum("ij->ii", std::slice::from_ref(&x)),
            "np.einsum('ij->ii', np.zeros((2, 3)))",
        ),
        (
            einsum("i", std::slice::from_ref(&x)),
            "np.einsum('i', np.zeros((2, 3)))",
        ),
        (
            einsum("ijk", std::slice::from_ref(&x)),
            "np.einsum('ijk', np.zeros((2, 3)))",
        ),
        (
            einsum("i1", std::slice::from_ref(&x)),
            "np.einsum('i1', np.zeros((2, 3)))",
        ),
        (
            einsum("...j->j", std::slice::from_ref(&x)),
            "np.einsum('...j->j', np.zeros((2, 3)))",
        ),
        (einsum("", &[]), "np.einsum('')"),
    ] {
        let why = built.expect_err(python);
        assert!(!why.to_string().is_empty());
        assert!(
            Numpy::shared().eval(python, &[]).is_err(),
            "NumPy allows {python}"
        );
    }
}
