//! Every elementwise operation on every dtype: the same result as NumPy, or an error where NumPy raises.

use graticule_array::{Array, ArrayError, Chunks, Operand, binary, where_};
use graticule_kernel::Tensor;
use graticule_ops::{BinaryOp, Scalar, UnaryOp};
use graticule_plan::DType;
use graticule_tests::numpy::Numpy;

use crate::{
    compare::{Near, check},
    inputs::{Random, Values, array, tensor},
};

const UNARY: [UnaryOp; 42] = {
    use UnaryOp::*;
    [
        Negative, Positive, Absolute, Sign, Square, Reciprocal, LogicalNot, Invert, IsNan, IsFinite, IsInf,
        Sqrt, Cbrt, Exp, Exp2, Expm1, Log, Log2, Log10, Log1p, Sin, Cos, Tan, Arcsin, Arccos, Arctan, Sinh,
        Cosh, Tanh, Arcsinh, Arccosh, Arctanh, Floor, Ceil, Trunc, Rint, Deg2rad, Rad2deg, Conjugate, Real,
        Imag, Spacing,
    ]
};

const BINARY: [BinaryOp; 30] = {
    use BinaryOp::*;
    [
        Add,
        Subtract,
        Multiply,
        Divide,
        FloorDivide,
        Remainder,
        Fmod,
        Power,
        Minimum,
        Maximum,
        Fmin,
        Fmax,
        Arctan2,
        Hypot,
        Copysign,
        LogicalAnd,
        LogicalOr,
        LogicalXor,
        BitwiseAnd,
        BitwiseOr,
        BitwiseXor,
        LeftShift,
        RightShift,
        Equal,
        NotEqual,
        Less,
        LessEqual,
        Greater,
        GreaterEqual,
        Nextafter,
    ]
};

/// Checks what was built, or that NumPy raises too.
pub(crate) fn check_built(
    built: Result<Array, ArrayError>,
    python: &str,
    inputs: &[(String, Tensor)],
    near: &Near,
) -> Result<(), String> {
    match built {
        Ok(array) => check(&array, python, inputs, near),
        Err(why) => {
            let names: Vec<(&str, &Tensor)> =
                inputs.iter().map(|(name, tensor)| (&name[..], tensor)).collect();
            match Numpy::shared().eval(python, &names) {
                Err(_) => Ok(()),
                Ok(want) => Err(format!("{python}: refused with {why:?}, NumPy gives {want:?}")),
            }
        }
    }
}

/// Functions that each library rounds in its own way in the last bits.
fn unary_nearness(op: UnaryOp) -> Near {
    use UnaryOp::*;
    match op {
        Negative | Positive | Absolute | Sign | Square | Reciprocal | LogicalNot | Invert | IsNan
        | IsFinite | IsInf | Sqrt | Floor | Ceil | Trunc | Rint | Conjugate | Real | Imag | Spacing => {
            Near::Same
        }
        _ => Near::Ulps(4),
    }
}

#[test]
fn unary_operations_on_every_dtype() {
    let mut random = Random::new(1);
    for op in UNARY {
        for dtype in DType::REAL {
            let x = tensor(&mut random, dtype, &[3, 5], Values::Wild);
            // Large arguments of the periodic functions are the kernels' business; here they are moderate.
            let tame = tensor(&mut random, dtype, &[3, 5], Values::Tame);
            let input = match op {
                // What 1 over the integer 0 gives depends on NumPy's build.
                UnaryOp::Reciprocal if !dtype.is_float() => Numpy::shared()
                    .eval("np.where(x == 0, 1, x).astype(x.dtype)", &[("x", &x)])
                    .unwrap(),
                _ if unary_nearness(op) == Near::Same => x,
                _ => tame,
            };
            let lazy = array(&mut random, &input);
            let inputs = [("x".to_owned(), input)];
            let python = format!("np.{}(x)", op.name());
            check_built(lazy.unary(op), &python, &inputs, &unary_nearness(op)).unwrap();
        }
    }
}

#[test]
fn binary_operations_on_every_pair_of_dtypes() {
    let mut random = Random::new(2);
    for op in BINARY {
        for a in DType::REAL {
            for b in DType::REAL {
                let is_power = matches!(op, BinaryOp::Power | BinaryOp::LeftShift | BinaryOp::RightShift);
                // Negative powers of integers and shifts beyond the width are tested by themselves.
                let values = if is_power { Values::Tame } else { Values::Wild };
                let (x, mut y) = (
                    tensor(&mut random, a, &[4, 3], values),
                    tensor(&mut random, b, &[3], values),
                );
                if is_power {
                    let small = Numpy::shared()
                        .eval("(y % 5 if y.dtype != bool else y).astype(y.dtype)", &[("y", &y)]);
                    y = small.unwrap();
                }
                let built = binary(op, array(&mut random, &x), array(&mut random, &y));
                let python = format!("np.{}(x, y)", op.name());
                let near = match op {
                    BinaryOp::Power | BinaryOp::Arctan2 | BinaryOp::Hypot => Near::Ulps(4),
                    _ => Near::Same,
                };
                check_built(built, &python, &[("x".to_owned(), x), ("y".to_owned(), y)], &near).unwrap();
            }
        }
    }
}

#[test]
fn numbers_take_the_dtype_of_the_array_they_meet() {
    let mut random = Random::new(3);
    let numbers: [(Operand, &str); 9] = [
        (300.into(), "300"),
        ((-1).into(), "-1"),
        (0.into(), "0"),
        (i64::MAX.into(), "2**63 - 1"),
        (0.0001.into(), "0.0001"),
        (f64::INFINITY.into(), "np.inf"),
        (true.into(), "True"),
        (Operand::typed(2.5_f64), "np.float64(2.5)"),
        (Operand::typed(-3_i8), "np.int8(-3)"),
    ];
    use BinaryOp::*;
    for dtype in DType::REAL {
        let x = tensor(&mut random, dtype, &[7], Values::Wild);
        let lazy = array(&mut random, &x);
        let inputs = [("x".to_owned(), x)];
        for (number, text) in &numbers {
            for op in [
                Add,
                Subtract,
                Multiply,
                Divide,
                Minimum,
                Less,
                LessEqual,
                Greater,
                GreaterEqual,
                Equal,
                NotEqual,
            ] {
                let right = binary(op, &lazy, number.clone());
                check_built(
                    right,
                    &format!("np.{}(x, {text})", op.name()),
                    &inputs,
                    &Near::Same,
                )
                .unwrap();
                let left = binary(op, number.clone(), &lazy);
                check_built(
                    left,
                    &format!("np.{}({text}, x)", op.name()),
                    &inputs,
                    &Near::Same,
                )
                .unwrap();
            }
        }
    }
}

/// NumPy takes other operations than the power for some of these numbers, the square root above all.
#[test]
fn powers_of_one_number_are_numpys_to_the_sign_of_zero() {
    let mut random = Random::new(6);
    let numbers: [(Operand, &str); 11] = [
        ((-1.0).into(), "-1.0"),
        (0.into(), "0"),
        (1.into(), "1"),
        (2.into(), "2"),
        (3.into(), "3"),
        ((-0.5).into(), "-0.5"),
        (0.0.into(), "0.0"),
        (0.5.into(), "0.5"),
        (true.into(), "True"),
        (Operand::typed(0.5_f64), "np.float64(0.5)"),
        (Array::scalar(Scalar::Float64(0.5)).into(), "np.asarray(0.5)"),
    ];
    let floats = "np.array([-np.inf, -2, -0.0, 0.0, 0.25, 2, 1e30, np.inf, np.nan])";
    for (dtype, values) in [
        (DType::Float32, floats),
        (DType::Float64, floats),
        (DType::Int16, "np.array([-2, 0, 1, 3])"),
    ] {
        let x = Numpy::shared().eval(&format!("{values}.astype('{dtype}')"), &[]);
        let x = x.unwrap();
        let lazy = array(&mut random, &x);
        let inputs = [("x".to_owned(), x)];
        for (number, text) in &numbers {
            let power = lazy.power(number.clone());
            check_built(
                power.clone(),
                &format!("np.power(x, {text})"),
                &inputs,
                &Near::Ulps(4),
            )
            .unwrap();
            // What is NaN has no sign that counts.
            let power = power.unwrap();
            let plain = where_(power.isnan().unwrap(), 1, power).unwrap();
            let python = format!("(lambda p: np.copysign(1.0, np.where(np.isnan(p), 1, p)))(x ** {text})");
            let sign = binary(BinaryOp::Copysign, 1.0, plain);
            check_built(sign, &python, &inputs, &Near::Same).unwrap();
        }
    }
}

#[test]
fn conversions_between_all_dtypes() {
    let mut random = Random::new(4);
    for from in DType::REAL {
        for to in DType::REAL {
            let values = if from.is_float() && !to.is_float() {
                Values::Tame
            } else {
                Values::Wild
            };
            let x = tensor(&mut random, from, &[9], values);
            let built = array(&mut random, &x).astype(to);
            check_built(
                built,
                &format!("x.astype('{to}')"),
                &[("x".to_owned(), x)],
                &Near::Same,
            )
            .unwrap();
        }
    }
}

#[test]
fn clip_takes_arrays_and_numbers() {
    let mut random = Random::new(5);
    for dtype in DType::REAL.into_iter().filter(|dtype| *dtype != DType::Bool) {
        let (x, y) = (
            tensor(&mut random, dtype, &[4, 3], Values::Wild),
            tensor(&mut random, dtype, &[3], Values::Wild),
        );
        let (lazy, low) = (array(&mut random, &x), array(&mut random, &y));
        let inputs = [("x".to_owned(), x), ("y".to_owned(), y)];
        let built = lazy.clip(Some(2.into()), Some(9.into()));
        check_built(built, "np.clip(x, 2, 9)", &inputs, &Near::Same).unwrap();
        check_built(
            lazy.clip(Some((&low).into()), None),
            "np.clip(x, y, None)",
            &inputs,
            &Near::Same,
        )
        .unwrap();
        check_built(
            lazy.clip(None, Some(300.into())),
            "np.clip(x, None, 300)",
            &inputs,
            &Near::Same,
        )
        .unwrap();
    }
}

#[test]
fn ranges_are_numpys_to_the_bit() {
    let cases = [
        (0.0, 10.0, 1.0, DType::Int64),
        (3.0, -8.0, -2.0, DType::Int32),
        (0.0, 1.0, 0.1, DType::Float64),
        (0.0, 1.0, 0.1, DType::Float32),
        (0.0, 1.0, 0.1, DType::Float16),
        (-3.0, 500.0, 0.7, DType::Float16),
        (-5.5, 5.5, 0.7, DType::Float64),
        (5.0, 0.0, 1.0, DType::Float64),
        (0.0, 200.0, 3.0, DType::UInt8),
    ];
    for (start, stop, step, dtype) in cases {
        for cut in [Chunks::Whole, Chunks::Size(3), Chunks::Size(1)] {
            let built = Array::arange(start, stop, step, dtype, cut).and_then(|x| x.slice(&[(..).into()]));
            let python = match dtype.is_float() {
                true => format!("np.arange({start}, {stop}, {step}, dtype='{dtype}')"),
                false => format!(
                    "np.arange({}, {}, {}, dtype='{dtype}')",
                    start as i64, stop as i64, step as i64
                ),
            };
            check_built(built, &python, &[], &Near::Same).unwrap();
        }
    }
}
