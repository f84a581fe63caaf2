//! Evaluation with and without rewriting, and comparison with NumPy.

use std::collections::BTreeMap;

use graticule_array::{Array, LowerOptions, Wanted, lower, rewrite::Rewrites};
use graticule_kernel::{KernelError, Tensor};
use graticule_ops::{Scalar, half};
use graticule_plan::DType;
use graticule_tests::{
    evaluate::{evaluate_with_functions, unneeded_blocks},
    numpy::{Numpy, Raised},
};

use crate::blocks::functions;

/// How near a result must be to NumPy's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Near {
    /// The same numbers; any NaN is any other.
    Same,
    /// So many units in the last place.
    Ulps(u32),
    /// A part of what the Python expression gives: the sum of magnitudes that went into the result.
    Part(f64, String),
    /// A part of the result's own magnitude; what is infinite or NaN is so in the same part of it.
    Relative(f64),
}

/// Evaluates arrays under the given rewrites.
pub(crate) fn results(arrays: &[&Array], rewrites: Rewrites) -> Result<Vec<Tensor>, KernelError> {
    let wanted: Vec<_> = arrays.iter().map(|array| (*array, Wanted::Deliver)).collect();
    let is_all = rewrites == Rewrites::All;
    let lowered = lower(
        &wanted,
        &LowerOptions {
            rewrites,
            ..LowerOptions::default()
        },
    )
    .expect("it lowers");
    for (meta, array) in lowered.outputs.iter().zip(arrays) {
        assert_eq!(meta.dtype, array.dtype());
        assert_eq!(meta.grid, *array.chunks());
    }
    if is_all {
        let unneeded = unneeded_blocks(&lowered.plan);
        assert!(
            unneeded.is_empty(),
            "blocks that nobody needs: {unneeded:?}\n{}",
            lowered.explain()
        );
    }
    let made = evaluate_with_functions(&lowered.plan, &BTreeMap::new(), &functions())?;
    for (tensor, array) in made.iter().zip(arrays) {
        let shape: Vec<u64> = tensor.shape().iter().map(|&len| len as u64).collect();
        assert_eq!((tensor.dtype(), shape), (array.dtype(), array.shape()));
    }
    Ok(made)
}

pub(crate) fn result(array: &Array, rewrites: Rewrites) -> Result<Tensor, KernelError> {
    Ok(results(&[array], rewrites)?.remove(0))
}

/// Checks an array, rewritten and not, against what NumPy makes of `python`.
pub(crate) fn check(
    array: &Array,
    python: &str,
    inputs: &[(String, Tensor)],
    near: &Near,
) -> Result<(), String> {
    let names: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (&name[..], tensor)).collect();
    let want = Numpy::shared().eval(python, &names);
    let (plain, rewritten) = (result(array, Rewrites::None), result(array, Rewrites::All));
    let explained = || format!("{python}\n{}", array.explain().expect("it lowers"));
    match (&plain, &rewritten) {
        (Ok(plain), Ok(rewritten)) => same(plain, rewritten)
            .map_err(|why| format!("rewriting changed the result of {}: {why}", explained()))?,
        (Err(_), Err(_)) => {}
        (Err(why), Ok(_)) => return Err(format!("only the plain plan fails, with {why}: {}", explained())),
        (Ok(_), Err(why)) => {
            return Err(format!(
                "only the rewritten plan fails, with {why}: {}",
                explained()
            ));
        }
    }
    match (rewritten, want) {
        (Ok(got), Ok(want)) => {
            let scale = match near {
                Near::Part(_, scale) => Some(
                    Numpy::shared()
                        .eval(scale, &names)
                        .map_err(|e| format!("{e:?}"))?,
                ),
                _ => None,
            };
            near_enough(&got, &want, near, scale.as_ref()).map_err(|why| format!("{why}: {}", explained()))
        }
        (Err(KernelError::Empty { .. } | KernelError::AllNan { .. }), Err(Raised { .. })) => Ok(()),
        // Of what nobody needs nothing is computed, so nothing fails.
        (Ok(got), Err(raised))
            if got.shape().contains(&0) && raised.message.contains("All-NaN slice encountered") =>
        {
            Ok(())
        }
        // NumPy's medians and quantiles stumble over several axes of an array without elements.
        (Ok(_), Err(raised))
            if ["median(", "quantile("].iter().any(|name| python.contains(name))
                && raised.message.contains("cannot reshape array of size 0") =>
        {
            Ok(())
        }
        (Err(why), want) => Err(format!("fails with {why}, NumPy gives {want:?}: {}", explained())),
        (Ok(got), Err(raised)) => Err(format!("gives {got:?}, NumPy raises {raised:?}: {}", explained())),
    }
}

/// The same dtype, shape and bytes; any NaN is any other.
pub(crate) fn same(a: &Tensor, b: &Tensor) -> Result<(), String> {
    if a == b {
        return Ok(());
    }
    if (a.dtype(), a.shape()) != (b.dtype(), b.shape()) {
        return Err(format!("{a:?} and {b:?} differ in dtype or shape"));
    }
    let differs = |&i: &usize| a.item(i) != b.item(i) && !(a.item(i).is_nan() && b.item(i).is_nan());
    match (0..a.len()).find(differs) {
        Some(i) => Err(format!("element {i} is {} and {}", a.item(i), b.item(i))),
        None => Ok(()),
    }
}

fn near_enough(got: &Tensor, want: &Tensor, near: &Near, scale: Option<&Tensor>) -> Result<(), String> {
    if (got.dtype(), got.shape()) != (want.dtype(), want.shape()) {
        return Err(format!("{got:?} where NumPy has {want:?}"));
    }
    for i in 0..got.len() {
        let (a, b) = (got.item(i), want.item(i));
        let fits = match near {
            Near::Same => equal(a, b),
            Near::Ulps(ulps) => equal(a, b) || ulps_apart(a, b) <= u64::from(*ulps),
            Near::Relative(part) => equal(a, b) || relatively_near(a, b, *part),
            Near::Part(part, _) => {
                let scale = scale.expect("evaluated above").item(i).as_f64();
                // A result in float32 is rounded once more.
                let round = match a.dtype() {
                    DType::Float16 => b.as_f64().abs() * half::EPSILON + half::MIN_POSITIVE * half::EPSILON,
                    DType::Float32 | DType::Complex64 => b.as_complex().norm() * f64::from(f32::EPSILON),
                    _ => 0.0,
                };
                let distance = (a.as_complex() - b.as_complex()).norm();
                equal(a, b) || distance <= part * scale + round || scale.is_nan()
            }
        };
        if !fits {
            return Err(format!("element {i} is {a} where NumPy has {b} ({near:?})"));
        }
    }
    Ok(())
}

/// The same number, whatever the sign of zero, or both NaN.
fn equal(a: Scalar, b: Scalar) -> bool {
    match (a.as_int(), b.as_int()) {
        (Some(a), Some(b)) => a == b,
        _ if a.as_time().is_some() => a == b,
        _ if a.dtype().is_complex() || b.dtype().is_complex() => {
            let same = |x: f64, y: f64| x == y || (x.is_nan() && y.is_nan());
            let (a, b) = (a.as_complex(), b.as_complex());
            same(a.re, b.re) && same(a.im, b.im)
        }
        _ => a.as_f64() == b.as_f64() || (a.is_nan() && b.is_nan()),
    }
}

fn relatively_near(a: Scalar, b: Scalar, part: f64) -> bool {
    let (a, b) = (a.as_complex(), b.as_complex());
    let norm = if b.re.is_finite() && b.im.is_finite() {
        b.norm()
    } else {
        0.0
    };
    let near = |x: f64, y: f64| {
        x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= part * norm.max(y.abs()) && y.is_finite()
    };
    near(a.re, b.re) && near(a.im, b.im)
}

fn ulps_apart(a: Scalar, b: Scalar) -> u64 {
    let ordered = |scalar: Scalar| match scalar {
        Scalar::Float16(v) => {
            let bits = i64::from(v.cast_signed());
            if bits < 0 {
                i64::from(i16::MIN) - bits
            } else {
                bits
            }
        }
        Scalar::Float32(v) => {
            let bits = i64::from(v.to_bits() as i32);
            if bits < 0 {
                i64::from(i32::MIN) - bits
            } else {
                bits
            }
        }
        Scalar::Float64(v) => {
            let bits = v.to_bits() as i64;
            if bits < 0 { i64::MIN - bits } else { bits }
        }
        other => other.as_int().map_or(0, |int| int as i64),
    };
    if a.is_nan() || b.is_nan() {
        u64::MAX
    } else {
        ordered(a).abs_diff(ordered(b))
    }
}
