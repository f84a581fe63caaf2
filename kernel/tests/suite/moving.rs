//! Reductions over windows, beside each window reduced for itself.

#![allow(clippy::unwrap_used)] // A test's helpers fail as the test does.

use std::collections::BTreeMap;

use graticule_kernel::{Chunk, InlineReader, Tensor, Window, run, run_unfused};
use graticule_ops::{
    BinaryOp, BlockAxis, Complex, Node, NodeId, Program, ReduceKind, Reduction, Sliding, Stage,
};
use graticule_plan::{AxisChunks, DType};

/// Elements of which some are NaN.
fn values(len: usize) -> Vec<f64> {
    let mut state = 11u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        if state.is_multiple_of(41) {
            f64::NAN
        } else {
            (state >> 40) as f64 / 1e6 - 8.0
        }
    };
    (0..len).map(|_| next()).collect()
}

fn kinds() -> Vec<ReduceKind> {
    use ReduceKind::{Count, Max, Mean, Min, Prod, Std, Sum, Var};
    vec![Sum, Prod, Mean, Min, Max, Count, Var { ddof: 0 }, Std { ddof: 1 }]
}

/// Windows of so many elements along an axis.
#[derive(Clone)]
struct Along {
    axis: usize,
    len: usize,
    start: u64,
    extent: BlockAxis,
}

impl Along {
    fn whole(shape: &[usize], axis: usize, len: usize) -> Self {
        let count = (shape[axis] - (len - 1)) as u64;
        let (start, extent) = (0, BlockAxis::Whole { len: count });
        Self {
            axis,
            len,
            start,
            extent,
        }
    }
}

/// `(x + x)` in windows along an axis, reduced.
fn program(dtype: DType, along: Along, kind: &ReduceKind, skipna: bool) -> Program {
    let Along {
        axis,
        len,
        start,
        extent,
    } = along;
    let (x, y) = (NodeId(0), NodeId(0));
    let reduction = Reduction {
        kind: kind.clone(),
        skipna,
        dtype,
    };
    Program::new(vec![
        Node::Input {
            input: 0,
            parts: vec![dtype],
        },
        Node::Binary {
            op: BinaryOp::Add,
            x,
            y,
        },
        Node::Sliding(Sliding {
            x: NodeId(1),
            axis,
            len: len as u64,
            start,
            extent,
        }),
        Node::Reduce {
            x: NodeId(2),
            reduction,
            axes: vec![axis + 1],
            keepdims: false,
            stage: Stage::Whole,
            positions: vec![],
        },
    ])
}

fn evaluate(program: &Program, x: &Tensor) -> Result<Tensor, String> {
    evaluate_block(program, &[], x)
}

fn evaluate_block(program: &Program, index: &[u64], x: &Tensor) -> Result<Tensor, String> {
    let tables = BTreeMap::new();
    let windows = [Window::whole(Chunk::from(x.clone()))];
    let reader = InlineReader::new(&tables);
    let made = run(program, index, &windows, &reader, &tables).map_err(|e| e.to_string());
    let unfused = run_unfused(program, index, &windows, &reader, &tables).map_err(|e| e.to_string());
    assert_eq!(made, unfused, "fusion changes no byte");
    made.map(|chunk| chunk.single().unwrap().clone())
}

/// What one window gives; `None` where there is no such value.
fn of_window(elements: &[f64], kind: &ReduceKind, skipna: bool) -> Option<f64> {
    let has_nan = elements.iter().any(|x| x.is_nan());
    let there: Vec<f64> = elements.iter().copied().filter(|x| !x.is_nan()).collect();
    let n = there.len() as f64;
    if has_nan && !skipna && *kind != ReduceKind::Count {
        return Some(f64::NAN);
    }
    let mean = there.iter().sum::<f64>() / n;
    let squares: f64 = there.iter().map(|x| (x - mean).powi(2)).sum();
    let spread = |ddof: u32| squares / (n - f64::from(ddof));
    Some(match kind {
        ReduceKind::Sum => there.iter().sum(),
        ReduceKind::Prod => there.iter().product(),
        ReduceKind::Count => n,
        ReduceKind::Mean => mean,
        ReduceKind::Var { ddof } => spread(*ddof),
        ReduceKind::Std { ddof } => spread(*ddof).sqrt(),
        ReduceKind::Min if n > 0.0 => there.iter().copied().fold(f64::INFINITY, f64::min),
        ReduceKind::Max if n > 0.0 => there.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        _ => return None,
    })
}

#[test]
fn windows_are_reduced_as_if_each_were_alone() {
    // Rows, short rows that are turned, one axis, and more columns than fit a tile.
    let shapes: [(&[usize], usize, &[usize]); 4] = [
        (&[3, 40, 50], 1, &[4, 7, 16, 33, 40]),
        (&[5, 7, 33], 2, &[4, 16, 17]),
        (&[70], 0, &[5, 16, 69]),
        (&[33, 2500], 0, &[5, 17]),
    ];
    for (shape, axis, windows) in shapes {
        let elements = values(shape.iter().product());
        for dtype in [DType::Float64, DType::Float32] {
            // Rounded first, so that both sides begin with the same numbers.
            let elements: Vec<f64> = match dtype {
                DType::Float32 => elements.iter().map(|&x| f64::from(x as f32)).collect(),
                _ => elements.clone(),
            };
            let x = match dtype {
                DType::Float32 => {
                    Tensor::from_vec(shape, elements.iter().map(|&x| x as f32).collect()).unwrap()
                }
                _ => Tensor::from_vec(shape, elements.clone()).unwrap(),
            };
            for (&window, kind) in windows
                .iter()
                .flat_map(|w| kinds().into_iter().map(move |k| (w, k)))
            {
                for skipna in [false, true] {
                    let made = evaluate(
                        &program(dtype, Along::whole(shape, axis, window), &kind, skipna),
                        &x,
                    )
                    .unwrap();
                    let what = format!("{kind:?} of {window} along {axis} of {shape:?} {dtype}, {skipna}");
                    compare(
                        &made,
                        &elements,
                        (shape, axis, window),
                        &|w| of_window(w, &kind, skipna),
                        &what,
                    );
                }
            }
        }
    }
}

fn compare(
    made: &Tensor,
    elements: &[f64],
    (shape, axis, window): (&[usize], usize, usize),
    reference: &dyn Fn(&[f64]) -> Option<f64>,
    what: &str,
) {
    let mut wanted = shape.to_vec();
    wanted[axis] -= window - 1;
    assert_eq!(made.shape(), wanted, "{what}");
    let made: Vec<f64> = match made.dtype() {
        DType::Float64 => made.as_slice::<f64>().unwrap().to_vec(),
        DType::Int64 => made
            .as_slice::<i64>()
            .unwrap()
            .iter()
            .map(|&x| x as f64)
            .collect(),
        _ => made
            .as_slice::<f32>()
            .unwrap()
            .iter()
            .map(|&x| f64::from(x))
            .collect(),
    };
    let tolerance = if what.contains("float32") { 2e-6 } else { 1e-11 };
    let inner: usize = shape[axis + 1..].iter().product();
    for (at, &got) in made.iter().enumerate() {
        let (outer, row, column) = (at / (wanted[axis] * inner), at / inner % wanted[axis], at % inner);
        let element = |k: usize| 2.0 * elements[(outer * shape[axis] + row + k) * inner + column];
        let elements: Vec<f64> = (0..window).map(element).collect();
        let Some(want) = reference(&elements) else {
            continue;
        };
        let want = if what.contains("float32") {
            f64::from(want as f32)
        } else {
            want
        };
        let scale = 1.0
            + elements
                .iter()
                .filter(|x| !x.is_nan())
                .map(|x| x.abs())
                .sum::<f64>();
        let near = match what.starts_with("Prod") {
            true => (got - want).abs() <= tolerance * want.abs().max(1e-30) || got == want,
            false => (got - want).abs() <= tolerance * scale * scale,
        };
        assert!(
            near || (got.is_nan() && want.is_nan()),
            "{what}: {got} for {want} at {at}"
        );
    }
}

/// The rows of a block and those that its windows reach into.
fn rows(x: &Tensor, from: usize, to: usize) -> Tensor {
    let width: usize = x.shape()[1..].iter().product();
    let mut shape = x.shape().to_vec();
    shape[0] = to - from;
    let range = from * width..to * width;
    match x.dtype() {
        DType::Float32 => Tensor::from_vec(&shape, x.as_slice::<f32>().unwrap()[range].to_vec()),
        DType::Float64 => Tensor::from_vec(&shape, x.as_slice::<f64>().unwrap()[range].to_vec()),
        DType::Int64 => Tensor::from_vec(&shape, x.as_slice::<i64>().unwrap()[range].to_vec()),
        _ => Tensor::from_vec(&shape, x.as_slice::<Complex<f64>>().unwrap()[range].to_vec()),
    }
    .unwrap()
}

/// Where blocks begin is told by their extents: without these, sums would differ in their last bits.
#[test]
fn windows_give_the_same_bits_in_any_blocks() {
    let (len, width) = (61usize, 40usize);
    let elements = values(len * width);
    let shape = [len, width];
    let narrow: Vec<f32> = elements.iter().map(|&x| x as f32).collect();
    let complex = elements.iter().map(|&x| Complex::new(x, x.sin())).collect();
    let arrays = [
        Tensor::from_vec(&shape, elements.clone()).unwrap(),
        Tensor::from_vec(&shape, narrow).unwrap(),
        Tensor::from_vec(&shape, elements.iter().map(|&x| (x * 1e3) as i64).collect()).unwrap(),
        Tensor::from_vec(&shape, complex).unwrap(),
    ];
    for window in [1usize, 3, 5, 16, 30, 61] {
        let count = len - (window - 1);
        let mut cuts = vec![vec![count as u64], vec![1; count]];
        if count > 20 {
            cuts.extend([vec![7, count as u64 - 7], vec![2, 17, count as u64 - 19]]);
        }
        for (x, kind) in arrays
            .iter()
            .flat_map(|x| kinds().into_iter().map(move |kind| (x, kind)))
        {
            let ends = matches!(kind, ReduceKind::Min | ReduceKind::Max);
            let skips = [false, true];
            // An integer has no NaN, and a window of nothing but NaN has no extreme.
            for skipna in skips.into_iter().filter(|skipna| !(ends && *skipna)) {
                let mut along = Along::whole(&shape, 0, window);
                along.start = 3;
                let whole = evaluate(&program(x.dtype(), along.clone(), &kind, skipna), x).unwrap();
                for cuts in &cuts {
                    along.extent = BlockAxis::Cut {
                        out_axis: 0,
                        chunks: AxisChunks::from_lengths(cuts).unwrap(),
                    };
                    let program = program(x.dtype(), along.clone(), &kind, skipna);
                    let mut first = 0;
                    let mut bytes = Vec::new();
                    for (block, &block_len) in cuts.iter().enumerate() {
                        let part = rows(x, first, first + block_len as usize + window - 1);
                        let made = evaluate_block(&program, &[block as u64], &part).unwrap();
                        bytes.extend_from_slice(&made.to_bytes());
                        first += block_len as usize;
                    }
                    assert!(
                        bytes == whole.to_bytes().to_vec(),
                        "{kind:?} of {} in windows of {window}, cut {cuts:?}",
                        x.dtype()
                    );
                }
            }
        }
    }
}

/// Elements of a short window are added one to the other; in sums of differences, huge ones would spoil those after them.
#[test]
fn what_is_huge_ends_with_its_window() {
    let mut elements: Vec<f64> = (0..64).map(|k| 1.0 + f64::from(k) / 64.0).collect();
    elements[20] = 1e300;
    let x = Tensor::from_vec(&[64], elements.clone()).unwrap();
    for (kind, want) in [
        (
            ReduceKind::Sum,
            &(|w: &[f64]| w.iter().sum()) as &dyn Fn(&[f64]) -> f64,
        ),
        (ReduceKind::Mean, &|w: &[f64]| {
            w.iter().sum::<f64>() / w.len() as f64
        }),
    ] {
        let along = Along::whole(&[64], 0, 12);
        let made = evaluate(&program(DType::Float64, along, &kind, true), &x).unwrap();
        for (at, &got) in made.as_slice::<f64>().unwrap().iter().enumerate() {
            let want = 2.0 * want(&elements[at..at + 12]);
            assert!(
                (got - want).abs() <= 1e-14 * want,
                "{kind:?} at {at}: {got} for {want}"
            );
        }
    }
}

#[test]
fn infinity_ends_with_its_window() {
    let mut elements = vec![1.0; 20];
    elements[6] = f64::INFINITY;
    let x = Tensor::from_vec(&[20], elements).unwrap();
    let made = evaluate(
        &program(DType::Float64, Along::whole(&[20], 0, 5), &ReduceKind::Sum, false),
        &x,
    )
    .unwrap();
    let made = made.as_slice::<f64>().unwrap();
    for (at, &sum) in made.iter().enumerate() {
        let want = if (2..=6).contains(&at) {
            f64::INFINITY
        } else {
            10.0
        };
        assert_eq!(sum, want, "window {at}");
    }
}
