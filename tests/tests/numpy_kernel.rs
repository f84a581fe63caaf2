//! Kernels against NumPy on random shapes, dtypes and values.

#![allow(clippy::unwrap_used)] // A test's helpers fail as the test does.

#[path = "numpy_kernel/elementwise.rs"]
mod elementwise;
#[path = "numpy_kernel/movement.rs"]
mod movement;
#[path = "numpy_kernel/random.rs"]
mod random;
#[path = "numpy_kernel/reduce.rs"]
mod reduce;

use std::collections::BTreeMap;

use graticule_kernel::{Chunk, InlineReader, KernelError, Tensor, Window, run};
use graticule_ops::{Node, Program};
use graticule_plan::Digest;
use graticule_tests::numpy::{Numpy, Raised};

type TableMap = BTreeMap<Digest, std::sync::Arc<[u8]>>;

/// Runs nodes on whole arrays as inputs; `input(k)` must stand first for each.
fn evaluate(nodes: Vec<Node>, inputs: &[Chunk], tables: &TableMap) -> Result<Chunk, KernelError> {
    let windows: Vec<Window> = inputs.iter().cloned().map(Window::whole).collect();
    run(
        &Program::new(nodes),
        &[],
        &windows,
        &InlineReader::new(tables),
        tables,
    )
}

/// [`evaluate`] for one array without tables.
fn evaluate_one(nodes: Vec<Node>, inputs: &[&Tensor]) -> Result<Tensor, KernelError> {
    let inputs: Vec<Chunk> = inputs.iter().map(|&tensor| tensor.clone().into()).collect();
    evaluate(nodes, &inputs, &TableMap::new()).map(|chunk| chunk.single().expect("one part").clone())
}

fn input(input: usize, tensor: &Tensor) -> Node {
    Node::Input {
        input,
        parts: vec![tensor.dtype()],
    }
}

/// How far floats may differ.
#[derive(Clone, Copy)]
enum Tolerance {
    Exact,
    /// Units in the last place of the result's dtype.
    Ulps(u64),
    /// Relative, beside an absolute error.
    Relative(f64, f64),
}

fn floats(tensor: &Tensor) -> Option<Vec<f64>> {
    match (tensor.as_slice::<f32>(), tensor.as_slice::<f64>()) {
        (Some(values), _) => Some(values.iter().map(|&x| f64::from(x)).collect()),
        (_, Some(values)) => Some(values.to_vec()),
        _ if tensor.dtype() == graticule_plan::DType::Float16 => {
            Some((0..tensor.len()).map(|i| tensor.item(i).as_f64()).collect())
        }
        _ => None,
    }
}

fn is_close(x: f64, y: f64, is_single: bool, tolerance: Tolerance) -> bool {
    if x == y || (x.is_nan() && y.is_nan()) {
        return true;
    }
    match tolerance {
        Tolerance::Exact => false,
        Tolerance::Ulps(ulps) if is_single => {
            let ordered = |x: f64| {
                let bits = i64::from((x as f32).to_bits() as i32);
                if bits < 0 {
                    i64::from(i32::MIN) - bits
                } else {
                    bits
                }
            };
            ordered(x).abs_diff(ordered(y)) <= ulps && !x.is_nan() && !y.is_nan()
        }
        Tolerance::Ulps(ulps) => {
            let ordered = |x: f64| {
                let bits = x.to_bits() as i64;
                i128::from(if bits < 0 {
                    i64::MIN.wrapping_sub(bits)
                } else {
                    bits
                })
            };
            ordered(x).abs_diff(ordered(y)) <= u128::from(ulps) && !x.is_nan() && !y.is_nan()
        }
        Tolerance::Relative(relative, absolute) => {
            (x - y).abs() <= relative * x.abs().max(y.abs()) + absolute
        }
    }
}

/// Why two arrays are not the same, if they are not.
fn difference(ours: &Tensor, theirs: &Tensor, tolerance: Tolerance) -> Option<String> {
    if ours.dtype() != theirs.dtype() || ours.shape() != theirs.shape() {
        return Some(format!("ours is {ours:?}, NumPy's {theirs:?}"));
    }
    let (Some(x), Some(y)) = (floats(ours), floats(theirs)) else {
        return (ours != theirs).then(|| format!("ours is {ours:?}, NumPy's {theirs:?}"));
    };
    let is_single = ours.as_slice::<f32>().is_some();
    let at = x
        .iter()
        .zip(&y)
        .position(|(&x, &y)| !is_close(x, y, is_single, tolerance))?;
    Some(format!(
        "at {at} ours is {:?}, NumPy's {:?}; {ours:?}, {theirs:?}",
        x[at], y[at]
    ))
}

/// Both values are the same, or both sides refuse.
fn compare(
    ours: Result<Tensor, KernelError>,
    expression: &str,
    arrays: &[(&str, &Tensor)],
    tolerance: Tolerance,
) {
    let theirs = Numpy::shared().eval(expression, arrays);
    let why = match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) => difference(ours, theirs, tolerance),
        (Err(_), Err(Raised { kind, .. })) if kind == "ValueError" || kind == "IndexError" => None,
        _ => Some(format!("ours is {ours:?}, NumPy's {theirs:?}")),
    };
    if let Some(why) = why {
        panic!("{expression}: {why}\nof {arrays:?}");
    }
}

#[test]
fn oracle_answers_with_arrays_and_exceptions() {
    let x = Tensor::from_vec(&[2, 2], vec![1u16, 2, 3, 4]).unwrap();
    let y = Tensor::from_vec(&[], vec![true]).unwrap();
    let sum = Numpy::shared()
        .eval("(x + y).sum(axis=0)", &[("x", &x), ("y", &y)])
        .unwrap();
    assert_eq!(sum, Tensor::from_vec(&[2], vec![6u64, 8]).unwrap());
    let raised = Numpy::shared().eval("np.min(x[:0])", &[("x", &x)]).unwrap_err();
    assert_eq!(raised.kind, "ValueError");
    let raised = Numpy::shared()
        .eval("y.astype(np.longdouble)", &[("y", &y)])
        .unwrap_err();
    assert_eq!(raised.kind, "DType");
}
