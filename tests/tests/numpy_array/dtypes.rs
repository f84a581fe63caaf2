//! What is known of dtypes, and functions of a float's parts, against NumPy.

use graticule_array::{Array, Casting, Chunks, DTypeSet, can_cast, finfo, iinfo, isdtype};
use graticule_kernel::Tensor;
use graticule_plan::DType;
use graticule_tests::numpy::Numpy;

use crate::{
    compare::{Near, check},
    inputs::{Random, Values, array, tensor},
    operations::check_built,
};

/// What Python says, as a float.
fn python(expression: &str) -> f64 {
    let value = Numpy::shared().eval(&format!("np.asarray({expression}).astype(float)"), &[]);
    value.unwrap().item(0).as_f64()
}

#[test]
fn conversions_are_allowed_as_numpys() {
    let rules = [
        (Casting::No, "no"),
        (Casting::Safe, "safe"),
        (Casting::SameKind, "same_kind"),
        (Casting::Unsafe, "unsafe"),
    ];
    for from in DType::ALL {
        for to in DType::ALL {
            for (casting, name) in rules {
                let want = python(&format!("np.can_cast('{from}', '{to}', '{name}')")) != 0.0;
                assert_eq!(can_cast(from, to, casting), want, "{from} to {to} under {name}");
            }
        }
    }
}

#[test]
fn sets_of_dtypes_are_the_standards() {
    let sets = [
        (DTypeSet::Bool, "'bool'"),
        (DTypeSet::SignedInteger, "'signed integer'"),
        (DTypeSet::UnsignedInteger, "'unsigned integer'"),
        (DTypeSet::Integral, "'integral'"),
        (DTypeSet::RealFloating, "'real floating'"),
        (DTypeSet::ComplexFloating, "'complex floating'"),
        (DTypeSet::Numeric, "'numeric'"),
        (DTypeSet::Is(DType::Int16), "np.int16"),
    ];
    for dtype in DType::ALL {
        for (set, name) in sets {
            let want = python(&format!("np.isdtype(np.dtype('{dtype}'), {name})")) != 0.0;
            assert_eq!(isdtype(dtype, &[set]), want, "{dtype} in {name}");
        }
        assert!(isdtype(dtype, &[DTypeSet::Is(DType::Bool), DTypeSet::Is(dtype)]));
    }
}

#[test]
fn limits_of_dtypes_are_numpys() {
    for dtype in DType::ALL {
        let of = |function: &str, what: &str| python(&format!("np.{function}('{dtype}').{what}"));
        assert_eq!(finfo(dtype).is_ok(), dtype.is_inexact());
        assert_eq!(iinfo(dtype).is_ok(), isdtype(dtype, &[DTypeSet::Integral]));
        if let Ok(info) = finfo(dtype) {
            let ours = [
                (f64::from(info.bits), "bits"),
                (info.eps, "eps"),
                (info.max, "max"),
                (info.min, "min"),
                (info.smallest_normal, "smallest_normal"),
                (info.smallest_subnormal, "smallest_subnormal"),
                (f64::from(info.precision), "precision"),
            ];
            for (ours, name) in ours {
                assert_eq!(ours, of("finfo", name), "{dtype}: {name}");
            }
        }
        if let Ok(info) = iinfo(dtype) {
            let ours = [
                (i128::from(info.bits), "bits"),
                (info.max, "max"),
                (info.min, "min"),
            ];
            for (ours, name) in ours {
                assert_eq!(ours as f64, of("iinfo", name), "{dtype}: {name}");
            }
        }
    }
}

/// A tensor of floats that bite, and its array.
fn floats(random: &mut Random, dtype: DType) -> (Tensor, Array) {
    let x = tensor(random, dtype, &[6, 5], Values::Wild);
    let lazy = array(random, &x);
    (x, lazy)
}

#[test]
fn sinc_of_zero_is_one_in_the_smallest_dtype_too() {
    for dtype in [DType::Float16, DType::Float32, DType::Float64] {
        let zeros = Array::from_slice(&[2], &[Chunks::Whole], &[0.0, -0.0]).unwrap();
        let x = zeros.astype(dtype).unwrap();
        check(
            &x.sinc().unwrap(),
            &format!("np.sinc(np.zeros(2, '{dtype}'))"),
            &[],
            &Near::Same,
        )
        .unwrap();
    }
}

#[test]
fn parts_of_floats_are_numpys() {
    let mut random = Random::new(5);
    for dtype in DType::NUMBERS {
        let (x, lazy) = floats(&mut random, dtype);
        let inputs = [("x".to_owned(), x)];
        let (fraction, power) = (lazy.frexp().map(|both| both.0), lazy.frexp().map(|both| both.1));
        check_built(fraction, "np.frexp(x)[0]", &inputs, &Near::Same).unwrap();
        check_built(power, "np.frexp(x)[1]", &inputs, &Near::Same).unwrap();
        let (fraction, whole) = (lazy.modf().map(|both| both.0), lazy.modf().map(|both| both.1));
        check_built(fraction, "np.modf(x)[0]", &inputs, &Near::Same).unwrap();
        check_built(whole, "np.modf(x)[1]", &inputs, &Near::Same).unwrap();
        if !dtype.is_complex() {
            let near = match dtype {
                DType::Float16 => Near::Relative(2e-3),
                DType::Float32 => Near::Relative(2e-6),
                _ => Near::Relative(1e-14),
            };
            // NumPy divides infinity by itself.
            let python = "np.where(np.isinf(x), np.inf, np.i0(x))";
            check_built(lazy.i0(), python, &inputs, &near).unwrap();
            let down = lazy.i0().unwrap().reciprocal();
            check_built(down, &format!("1 / {python}"), &inputs, &near).unwrap();
        }
    }
    assert!(
        Array::ones(&[2], &[Chunks::Whole], DType::Complex64)
            .unwrap()
            .i0()
            .is_err()
    );
}

#[test]
fn powers_of_two_multiply_as_numpys() {
    let mut random = Random::new(8);
    for dtype in DType::NUMBERS {
        for powers in DType::NUMBERS {
            let (x, lazy) = floats(&mut random, dtype);
            let y = tensor(&mut random, powers, &[5], Values::Wild);
            let built = lazy.ldexp(array(&mut random, &y));
            let inputs = [("x".to_owned(), x), ("y".to_owned(), y)];
            check_built(built, "np.ldexp(x, y)", &inputs, &Near::Same).unwrap();
        }
    }
    let tiny = Array::arange(1.0, 9.0, 1.0, DType::Float64, Chunks::Size(3)).unwrap();
    check(
        &tiny.ldexp(-1074).unwrap(),
        "np.ldexp(np.arange(1., 9.), -1074)",
        &[],
        &Near::Same,
    )
    .unwrap();
}

#[test]
fn steps_between_floats_are_numpys_at_the_ends() {
    let values = vec![
        0.0,
        -0.0,
        5e-324,
        -5e-324,
        f64::MAX,
        f64::MIN,
        f64::INFINITY,
        f64::NAN,
        1.0,
        -1.0,
    ];
    let x = Tensor::from_vec(&[10], values).unwrap();
    let lazy = array(&mut Random::new(3), &x);
    let inputs = [("x".to_owned(), x)];
    check(&lazy.spacing().unwrap(), "np.spacing(x)", &inputs, &Near::Same).unwrap();
    let pairs = lazy.nextafter(lazy.expand_dims(1).unwrap()).unwrap();
    check(&pairs, "np.nextafter(x, x[:, None])", &inputs, &Near::Same).unwrap();
}

#[test]
fn an_array_like_another_takes_any_number_in_its_dtype() {
    let numbers = Array::arange(0.0, 5.0, 1.0, DType::Int8, Chunks::Size(2)).unwrap();
    let filled = numbers.full_like(-2.5, None).unwrap();
    check(
        &filled,
        "np.full_like(np.arange(5, dtype='int8'), -2.5)",
        &[],
        &Near::Same,
    )
    .unwrap();
    let times = numbers
        .astype(DType::DateTime64(graticule_plan::TimeUnit::Day))
        .unwrap();
    let filled = times.full_like(3, None).unwrap();
    check(&filled, "np.full(5, 3).astype('M8[D]')", &[], &Near::Same).unwrap();
}
