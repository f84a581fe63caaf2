//! Complex arrays against NumPy, in random chunks.

use graticule_array::{
    Along, Array, ArrayError, Chunks, Complex, Index, Operand, Over, allclose, binary, concatenate, einsum,
    isclose, result_type, select, where_,
};
use graticule_kernel::Tensor;
use graticule_ops::{BinaryOp, ReduceKind, UnaryOp};
use graticule_plan::DType;
use graticule_tests::numpy::Numpy;
use proptest::prelude::*;

use crate::{
    compare::{Near, check},
    compose::{Case, config, over},
    inputs::{Random, Values, array, shape, tensor},
    operations::check_built,
};

const COMPLEX: [DType; 2] = [DType::Complex64, DType::Complex128];

/// What each function of floats may lose: in complex64 NumPy's own functions round several times.
fn part(dtype: DType) -> f64 {
    match dtype {
        DType::Complex64 | DType::Float32 => 2e-6,
        _ => 1e-13,
    }
}

/// The functions that have complex results of their own.
const FUNCTIONS: [UnaryOp; 20] = {
    use UnaryOp::*;
    [
        Sqrt, Exp, Exp2, Expm1, Log, Log2, Log10, Log1p, Sin, Cos, Tan, Arcsin, Arccos, Arctan, Sinh, Cosh,
        Tanh, Arcsinh, Arccosh, Arctanh,
    ]
};

const EXACT: [UnaryOp; 11] = {
    use UnaryOp::*;
    [
        Negative, Positive, Conjugate, Real, Imag, Rint, LogicalNot, IsNan, IsFinite, IsInf, Square,
    ]
};

fn inputs(named: Vec<(&str, Tensor)>) -> Vec<(String, Tensor)> {
    named
        .into_iter()
        .map(|(name, tensor)| (name.to_owned(), tensor))
        .collect()
}

fn single(seed: u64, dtype: DType, values: Values) -> (Case, Random) {
    let mut random = Random::new(seed);
    let mut case = Case {
        inputs: Vec::new(),
        values: Vec::new(),
    };
    let shape = shape(&mut random);
    case.input(&mut random, dtype, &shape, values);
    (case, random)
}

/// Numbers whose parts are up to `size`, of all magnitudes below.
fn moderate(random: &mut Random, dtype: DType, count: usize, size: f64) -> Tensor {
    let mut draw = || {
        let sign = if random.one_in(2) { -1.0 } else { 1.0 };
        let unit = (random.next() >> 11) as f64 / (1u64 << 53) as f64;
        let scale = if random.one_in(4) {
            10f64.powi(-(random.below(8) as i32))
        } else {
            1.0
        };
        sign * unit * size * scale
    };
    let mut numbers = || Complex::new(draw(), draw());
    let values: Vec<Complex<f64>> = (0..count).map(|_| numbers()).collect();
    match dtype {
        DType::Complex64 => {
            let narrow = values
                .iter()
                .map(|z| Complex::new(z.re as f32, z.im as f32))
                .collect();
            Tensor::from_vec(&[count], narrow).unwrap()
        }
        _ => Tensor::from_vec(&[count], values).unwrap(),
    }
}

/// Every pair of parts that bite.
fn special() -> Tensor {
    let parts = [
        f64::NEG_INFINITY,
        -2.5,
        -1.0,
        -0.25,
        -0.0,
        0.0,
        0.25,
        1.0,
        2.5,
        f64::INFINITY,
        f64::NAN,
    ];
    let pairs = parts
        .iter()
        .flat_map(|&re| parts.iter().map(move |&im| Complex::new(re, im)));
    let pairs: Vec<Complex<f64>> = pairs.collect();
    Tensor::from_vec(&[pairs.len()], pairs).unwrap()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn functions_are_numpys(seed in any::<u64>(), op in 0..FUNCTIONS.len(), wide in any::<bool>(), size in 0..4usize) {
        let (op, dtype) = (FUNCTIONS[op], COMPLEX[usize::from(wide)]);
        let mut random = Random::new(seed);
        let x = moderate(&mut random, dtype, 24, [0.5, 2.0, 12.0, 80.0][size]);
        let lazy = array(&mut random, &x);
        // NumPy's own differ from the exact value by more where they cancel; what they are then is told by longdouble.
        let python = format!("np.{}(x.astype('clongdouble')).astype('{dtype}')", op.name());
        let near = match op {
            // NumPy takes the logarithm of a number near 1, which even so has only the digits of that.
            UnaryOp::Log1p => Near::Part(part(dtype), "np.abs(np.log1p(x)) + 1e-5".into()),
            _ => Near::Relative(part(dtype)),
        };
        check_built(lazy.unary(op), &python, &inputs(vec![("x", x)]), &near).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn plain_operations_are_numpys(seed in any::<u64>(), op in 0..EXACT.len(), wide in any::<bool>()) {
        let (case, _) = single(seed, COMPLEX[usize::from(wide)], Values::Wild);
        let op = EXACT[op];
        let near = if op == UnaryOp::Square { Near::Relative(part(case.last().array.dtype())) } else { Near::Same };
        let python = format!("np.{}(a0)", op.name());
        check_built(case.last().array.unary(op), &python, &case.inputs, &near).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn magnitudes_signs_and_angles_are_numpys(seed in any::<u64>(), dtype in 0..DType::NUMBERS.len()) {
        let (case, _) = single(seed, DType::NUMBERS[dtype], Values::Wild);
        let x = &case.last().array;
        let near = Near::Relative(part(x.dtype()));
        if x.dtype().is_complex() {
            for (built, name) in [
                (x.absolute(), "abs"),
                (x.sign(), "sign"),
                (x.reciprocal(), "reciprocal"),
                (x.sinc(), "sinc"),
            ] {
                // What a sine of a large number is depends on its last bits, and so does a small reciprocal's infinity.
                let python = match name {
                    "sinc" => "np.where(np.abs(a0) < 20, np.sinc(np.where(np.abs(a0) < 20, a0, 0)), 0)".to_owned(),
                    _ => format!("np.{name}(a0)"),
                };
                let built = match name {
                    "sinc" => built.and_then(|made| where_(x.absolute()?.less(20)?, made, 0)),
                    _ => built,
                };
                let near = if name == "sinc" { Near::Relative(1e-5) } else { near.clone() };
                let (built, python) = (built?, format!("({python}).astype('{}')", built_dtype(x, name)));
                check(&built, &python, &case.inputs, &near).map_err(TestCaseError::fail)?;
            }
        }
        if x.dtype().size_bytes() > 1 {
            check_built(x.angle(false), "np.angle(a0)", &case.inputs, &near).map_err(TestCaseError::fail)?;
            check_built(x.angle(true), "np.angle(a0, deg=True)", &case.inputs, &near).map_err(TestCaseError::fail)?;
        }
        check_built(x.iscomplex(), "np.iscomplex(a0)", &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
        check_built(x.isreal(), "np.isreal(a0)", &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
        for (built, name) in [(x.conjugate(), "conj"), (x.real(), "real"), (x.imag(), "imag")] {
            let python = format!("np.{name}(a0)");
            check_built(built, &python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
        }
    }

    #[test]
    fn pairs_are_numpys(seed in any::<u64>(), op in 0..15usize, a in 0..DType::NUMBERS.len(), wide in any::<bool>(),
            is_left in any::<bool>()) {
        use BinaryOp::*;
        let op = [Add, Subtract, Multiply, Divide, Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual, Minimum,
            Maximum, LogicalAnd, LogicalOr, LogicalXor][op];
        let mut dtypes = [DType::NUMBERS[a], COMPLEX[usize::from(wide)]];
        if is_left {
            dtypes.reverse();
        }
        let mut random = Random::new(seed);
        let values = *random.pick(&[Values::Wild, Values::Tame]);
        let (x, y) = (tensor(&mut random, dtypes[0], &[4, 3], values), tensor(&mut random, dtypes[1], &[3], values));
        let built = binary(op, array(&mut random, &x), array(&mut random, &y));
        let python = format!("np.{}(x, y)", op.name());
        let near = match op {
            Multiply | Divide => {
                let dtype = built.as_ref().map_or(DType::Complex128, Array::dtype);
                Near::Relative(part(dtype))
            }
            _ => Near::Same,
        };
        check_built(built, &python, &inputs(vec![("x", x), ("y", y)]), &near).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn powers_are_numpys(seed in any::<u64>(), wide in any::<bool>(), kind in 0..4usize) {
        let dtype = COMPLEX[usize::from(wide)];
        let mut random = Random::new(seed);
        let x = moderate(&mut random, dtype, 12, 3.0);
        let y = match kind {
            0 => tensor(&mut random, DType::Int8, &[12], Values::Tame),
            _ => moderate(&mut random, dtype, 12, 3.0),
        };
        let y = Numpy::shared().eval("y % 7 - 3 if y.dtype == 'int8' else y", &[("y", &y)]).unwrap();
        let built = array(&mut random, &x).power(array(&mut random, &y));
        let near = Near::Relative(10.0 * part(dtype));
        check_built(built, "x ** y", &inputs(vec![("x", x), ("y", y)]), &near).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn weak_numbers_take_the_arrays_dtype(seed in any::<u64>(), dtype in 0..DType::NUMBERS.len(), number in 0..5usize,
            op in 0..4usize) {
        let (case, _) = single(seed, DType::NUMBERS[dtype], Values::Tame);
        let x = &case.last().array;
        let numbers: [(Operand, &str); 5] = [
            (Complex::new(1.5, -2.0).into(), "(1.5-2j)"),
            (2.into(), "2"),
            (0.5.into(), "0.5"),
            (Operand::typed(Complex::new(1.0_f32, 2.0)), "np.complex64(1+2j)"),
            (true.into(), "True"),
        ];
        let (number, text) = numbers[number].clone();
        let (built, sign) = match op {
            0 => (x.add(number), "+"),
            1 => (x.multiply(number), "*"),
            2 => (x.divide(number), "/"),
            _ => (x.equal(number), "=="),
        };
        let near = built.as_ref().map_or(Near::Same, |array| Near::Relative(part(array.dtype())));
        check_built(built, &format!("a0 {sign} {text}"), &case.inputs, &near).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn reductions_are_numpys(seed in any::<u64>(), wide in any::<bool>(), kind in 0..7usize, skipna in any::<bool>()) {
        use ReduceKind::*;
        let dtype = COMPLEX[usize::from(wide)];
        let (case, mut random) = single(seed, dtype, Values::Wild);
        let kind = [Sum, Prod, Mean, Var { ddof: 0 }, Std { ddof: 1 }, Min, Max][kind].clone();
        let (mut over, text) = over(&mut random, case.last(), false);
        if skipna {
            over = over.skipna();
        }
        let nan = if skipna { "nan" } else { "" };
        let ddof = if matches!(kind, Std { .. }) { ", ddof=1" } else { "" };
        let built = case.last().array.reduce(kind.clone(), &over);
        let result = built.as_ref().map_or(dtype, Array::dtype);
        // What has NaN in either part is greatest, and which of them is not said.
        let python = match kind {
            Min | Max => format!("np.{nan}{}(a0, {text})", kind.name()),
            _ => format!("np.asarray(np.{nan}{}(a0.astype('complex128'), {text}{ddof})).astype('{result}')", kind.name()),
        };
        let power = if matches!(kind, Var { .. }) { 2 } else { 1 };
        let near = match kind {
            Prod => Near::Part(1e-12, format!("np.{nan}prod(np.abs(a0.astype('complex128')), {text})")),
            _ => Near::Part(1e-11, format!("np.nansum(np.abs(a0.astype('complex128')) ** {power}, {text})")),
        };
        // Of numbers with infinite or missing parts the others are not all that counts.
        let finite = "np.isfinite(a0).all()";
        let is_finite = Numpy::shared().eval(finite, &[("a0", &case.inputs[0].1)]).unwrap();
        if is_finite.item(0).as_int() == Some(0) && matches!(kind, Prod | Var { .. } | Std { .. } | Min | Max) {
            return Ok(());
        }
        check_built(built, &python, &case.inputs, &near).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn positions_and_truths_are_numpys(seed in any::<u64>(), wide in any::<bool>(), kind in 0..4usize) {
        use ReduceKind::*;
        let (case, mut random) = single(seed, COMPLEX[usize::from(wide)], Values::Wild);
        let kind = [ArgMin, ArgMax, Any, All][kind].clone();
        let single = matches!(kind, ArgMin | ArgMax);
        let (over, text) = over(&mut random, case.last(), single);
        let built = case.last().array.reduce(kind.clone(), &over);
        let python = format!("np.{}(a0, {text})", kind.name());
        check_built(built, &python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn running_totals_are_numpys(seed in any::<u64>(), wide in any::<bool>(), is_sum in any::<bool>(),
            skipna in any::<bool>()) {
        let mut random = Random::new(seed);
        let dtype = COMPLEX[usize::from(wide)];
        let x = moderate(&mut random, dtype, 12, 3.0);
        let mut along = Along::axis(0);
        if skipna {
            along = along.skipna();
        }
        let lazy = array(&mut random, &x);
        let (built, name) = match is_sum {
            true => (lazy.cumulative_sum(&along), "sum"),
            false => (lazy.cumulative_prod(&along), "prod"),
        };
        let nan = if skipna { "nan" } else { "" };
        let python = format!("np.{nan}cum{name}(x.astype('complex128')).astype('{dtype}')");
        let near = Near::Part(1e-12, format!("np.cum{name}(np.abs(x.astype('complex128')))"));
        check_built(built, &python, &inputs(vec![("x", x)]), &near).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn lines_are_sorted_by_both_parts(seed in any::<u64>(), wide in any::<bool>()) {
        let mut random = Random::new(seed);
        let dtype = COMPLEX[usize::from(wide)];
        let len = random.len() * 3;
        let values = *random.pick(&[Values::Wild, Values::Tame]);
        let x = tensor(&mut random, dtype, &[2, len], values);
        let y = tensor(&mut random, dtype, &[5], values);
        let (lazy, other) = (array(&mut random, &x), array(&mut random, &y));
        let given = inputs(vec![("x", x), ("y", y)]);
        let same = |built, python: &str| check_built(built, python, &given, &Near::Same).map_err(TestCaseError::fail);
        same(lazy.sort(1, false), "np.sort(x, axis=1)")?;
        same(lazy.argsort(1, false), "np.argsort(x, axis=1, stable=True)")?;
        same(lazy.topk(2, 1), "np.flip(np.sort(x, axis=1), 1)[:, :2]")?;
        same(other.sort(0, false)?.searchsorted(&lazy, false), "np.searchsorted(np.sort(y), x)")?;
        same(other.sort(0, false)?.searchsorted(&lazy, true), "np.searchsorted(np.sort(y), x, 'right')")?;
        same(lazy.isin(&other, false), "np.isin(x, y)")?;
    }

    #[test]
    fn products_are_numpys(seed in any::<u64>(), first in 0..DType::NUMBERS.len(), wide in any::<bool>(), kind in 0..6usize) {
        let mut random = Random::new(seed);
        let [m, k, n] = [random.len(), random.len() * 2, random.len()];
        let dtypes = [DType::NUMBERS[first], COMPLEX[usize::from(wide)]];
        let (left, right) = match kind {
            0 | 1 => (vec![m, k], vec![k, n]),
            2 | 3 => (vec![m, k], vec![m, k]),
            _ => (vec![k], vec![k]),
        };
        let (x, y) = (tensor(&mut random, dtypes[0], &left, Values::Tame), tensor(&mut random, dtypes[1], &right, Values::Tame));
        let (a, b) = (array(&mut random, &x), array(&mut random, &y));
        let (built, python) = match kind {
            0 => (a.matmul(&b), "x @ y"),
            1 => (a.tensordot(&b, &[1], &[0]), "np.tensordot(x, y, axes=1)"),
            2 => (einsum("ij,ij->i", &[&a, &b].map(Array::clone)), "np.einsum('ij,ij->i', x, y)"),
            3 => (b.vecdot(&a, -1), "np.vecdot(y, x)"),
            4 => (b.vdot(&a), "np.vdot(y, x)"),
            _ => (a.outer(&b), "np.outer(x, y)"),
        };
        // Whole numbers of this size are exact in float32.
        check_built(built, python, &inputs(vec![("x", x), ("y", y)]), &Near::Same).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn elements_move_whole(seed in any::<u64>(), wide in any::<bool>()) {
        let mut random = Random::new(seed);
        let dtype = COMPLEX[usize::from(wide)];
        let x = tensor(&mut random, dtype, &[3, 5], Values::Wild);
        let lazy = array(&mut random, &x);
        let given = inputs(vec![("x", x)]);
        let same = |built, python: &str| check_built(built, python, &given, &Near::Same).map_err(TestCaseError::fail);
        let every_other = Index::Slice { start: Some(4), stop: None, step: -2 };
        same(lazy.slice(&[Index::Ellipsis, every_other]), "x[..., 4::-2]")?;
        same(lazy.take(&[2, 0, 2], 0), "np.take(x, [2, 0, 2], axis=0)")?;
        same(lazy.permute_dims(&[1, 0]), "x.T")?;
        same(lazy.rechunk(&[Chunks::Size(2), Chunks::Size(2)]), "x")?;
        same(concatenate(&[lazy.clone(), lazy.real()?], 0), "np.concatenate([x, x.real])")?;
        same(where_(lazy.imag()?.greater(0)?, &lazy, 1), "np.where(x.imag > 0, x, 1)")?;
        same(select(&[lazy.isnan()?], std::slice::from_ref(&lazy), 2.5), "np.select([np.isnan(x)], [x], 2.5)")?;
        same(lazy.roll(&[2], Some(&[1])), "np.roll(x, 2, axis=1)")?;
        same(lazy.reshape(&[5, 3]), "x.reshape(5, 3)")?;
        same(lazy.put_mask(&lazy.isnan()?, Complex::new(0.5, -1.0)), "np.where(np.isnan(x), np.complex64(0.5-1j), x)")?;
        let positions = lazy.argsort(1, false)?;
        same(lazy.take_along_axis(&positions, 1), "np.take_along_axis(x, np.argsort(x, axis=1, stable=True), 1)")?;
    }

    #[test]
    fn conversions_are_numpys(seed in any::<u64>(), wide in any::<bool>(), to in 0..DType::NUMBERS.len(),
            is_back in any::<bool>()) {
        let mut dtypes = [COMPLEX[usize::from(wide)], DType::NUMBERS[to]];
        if is_back {
            dtypes.reverse();
        }
        let (case, _) = single(seed, dtypes[0], Values::Tame);
        let python = format!("a0.astype('{}')", dtypes[1]);
        check_built(case.last().array.astype(dtypes[1]), &python, &case.inputs, &Near::Same)
            .map_err(TestCaseError::fail)?;
    }
}

fn built_dtype(x: &Array, name: &str) -> DType {
    if name == "abs" {
        x.dtype().real()
    } else {
        x.dtype()
    }
}

#[test]
fn special_values_are_numpys() {
    let x = special();
    let mut random = Random::new(1);
    let lazy = array(&mut random, &x);
    let given = inputs(vec![("x", x)]);
    for op in FUNCTIONS {
        // NumPy computes these from functions of the parts, and gives NaN where the parts do.
        if matches!(op, UnaryOp::Log1p | UnaryOp::Expm1 | UnaryOp::Exp2) {
            continue;
        }
        let python = format!("np.{}(x)", op.name());
        check_built(lazy.unary(op), &python, &given, &Near::Relative(1e-13)).unwrap();
    }
}

#[test]
fn dtypes_promote_as_numpys() {
    for a in DType::NUMBERS {
        for b in DType::NUMBERS {
            let python = format!("np.zeros(0, np.result_type('{a}', '{b}'))");
            let want = Numpy::shared().eval(&python, &[]).unwrap().dtype();
            let of = |dtype| Array::zeros(&[0], &[Chunks::Whole], dtype).unwrap();
            assert_eq!(result_type(&[of(a), of(b)]).unwrap(), want, "{a} and {b}");
        }
    }
}

#[test]
fn what_has_no_meaning_is_refused_by_name() {
    let x = Array::ones(&[4], &[Chunks::Size(2)], DType::Complex128).unwrap();
    let refused: Vec<(&str, Result<Array, ArrayError>)> = vec![
        ("floor", x.floor()),
        ("ceil", x.ceil()),
        ("trunc", x.trunc()),
        ("cbrt", x.cbrt()),
        ("deg2rad", x.deg2rad()),
        ("invert", x.invert()),
        ("floor_divide", x.floor_divide(2)),
        ("remainder", x.remainder(2)),
        ("fmod", x.fmod(2)),
        ("arctan2", x.arctan2(&x)),
        ("hypot", x.hypot(&x)),
        ("copysign", x.copysign(&x)),
        ("bitwise_and", x.bitwise_and(&x)),
        ("left_shift", x.left_shift(&x)),
        ("median", x.median(&Over::all())),
        ("quantile", x.quantile(&[0.5], &Over::all())),
        ("signbit", x.signbit()),
        ("fabs", x.fabs()),
        ("isposinf", x.isposinf()),
        ("isneginf", x.isneginf()),
        ("nan_to_num", x.nan_to_num(0.0, None, None)),
        ("logaddexp", x.logaddexp(&x)),
        ("digitize", x.digitize(&[0.0, 1.0], false)),
        ("histogram", x.histogram(&[0.0, 1.0], None, false)),
        ("bincount", x.bincount(2, None)),
    ];
    for (name, built) in refused {
        let message = built.expect_err(name).to_string();
        assert!(
            message.contains(name) && message.contains("complex128"),
            "{name}: {message}"
        );
    }
}

#[test]
fn numbers_in_a_row_and_near_ones_are_numpys() {
    for dtype in COMPLEX {
        let row = Array::arange(1.0, 7.0, 0.5, dtype, Chunks::Size(5)).unwrap();
        check(
            &row,
            &format!("np.arange(1, 7, 0.5).astype('{dtype}')"),
            &[],
            &Near::Same,
        )
        .unwrap();
        let far = row.multiply(Complex::new(1.0, 1e-9)).unwrap();
        let near = isclose(&row, &far, 1e-8, 0.0, false).unwrap();
        check(&near, "np.ones(12, bool)", &[], &Near::Same).unwrap();
        let all = allclose(&row, &far.add(1.0).unwrap(), 1e-8, 0.0, false).unwrap();
        check(&all, "np.asarray(False)", &[], &Near::Same).unwrap();
    }
}
