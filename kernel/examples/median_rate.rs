//! How fast is a median over time on one core, beside passing over the same bytes once?
//!
//! `cargo run --release -p graticule-kernel --example median_rate [only lines with this text]`

use std::{
    collections::BTreeMap,
    hint::black_box,
    time::{Duration, Instant},
};

use graticule_kernel::{Chunk, Element, InlineReader, Tensor, Window, run};
use graticule_ops::{BinaryOp, Node, NodeId, Program, ReduceKind, Reduction, Scalar, Stage};
use graticule_plan::DType;

/// Rounds are short and many, so that on a busy machine one of them runs undisturbed.
const ROUNDS: usize = 30;

fn reduce(x: u32, kind: ReduceKind, skipna: bool, dtype: DType) -> Node {
    let reduction = Reduction { kind, skipna, dtype };
    Node::Reduce {
        x: NodeId(x),
        reduction,
        axes: vec![0],
        keepdims: false,
        stage: Stage::Whole,
        positions: vec![],
    }
}

/// The shortest of several runs.
fn fastest(mut f: impl FnMut()) -> Duration {
    f();
    let time = |_| {
        let start = Instant::now();
        f();
        start.elapsed()
    };
    (0..ROUNDS).map(time).min().expect("at least one round")
}

#[allow(clippy::print_stdout)]
fn report(what: &str, elements: usize, bytes: usize, time: Duration) {
    let (mega, giga) = (1e6 * time.as_secs_f64(), 1e9 * time.as_secs_f64());
    println!(
        "{what:<44} {:8.0} M elements/s  {:6.2} GB/s",
        elements as f64 / mega,
        bytes as f64 / giga
    );
}

fn measure(what: &str, nodes: Vec<Node>, x: &Tensor) {
    if std::env::args().nth(1).is_some_and(|only| !what.contains(&only)) {
        return;
    }
    let program = Program::new(nodes);
    let tables = BTreeMap::new();
    let inputs = [Window::whole(Chunk::from(x.clone()))];
    let time = fastest(|| {
        let reader = InlineReader::new(&tables);
        black_box(run(&program, &[], &inputs, &reader, &tables).expect("a valid program"));
    });
    report(what, x.len(), x.nbytes() as usize, time);
}

/// Values that look like reflectances: different at each date, in no order.
fn stack<T: Element>(dates: usize, side: usize, value: impl Fn(u64) -> T) -> Tensor {
    let mut state = 1u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        value(state >> 33)
    };
    let values = (0..dates * side * side).map(|_| next()).collect();
    Tensor::from_vec(&[dates, side, side], values).expect("as many values as the shape says")
}

fn main() {
    let input = |dtype| Node::Input {
        input: 0,
        parts: vec![dtype],
    };
    let dates = 24;
    let ints = stack(dates, 512, |x| (x % 10_000) as u16);
    let time = fastest(|| {
        let words = ints
            .bytes()
            .chunks_exact(8)
            .map(|b| u64::from_ne_bytes(b.try_into().expect("eight bytes")));
        black_box(words.fold(0u64, u64::wrapping_add));
    });
    report(
        "pass over the bytes once, uint16",
        ints.len(),
        ints.nbytes() as usize,
        time,
    );
    measure(
        "median of 24 dates, uint16",
        vec![
            input(DType::UInt16),
            reduce(0, ReduceKind::Median, false, DType::UInt16),
        ],
        &ints,
    );
    measure(
        "mean of 24 dates, uint16",
        vec![
            input(DType::UInt16),
            reduce(0, ReduceKind::Mean, false, DType::UInt16),
        ],
        &ints,
    );
    measure(
        "max of 24 dates, uint16",
        vec![
            input(DType::UInt16),
            reduce(0, ReduceKind::Max, false, DType::UInt16),
        ],
        &ints,
    );
    let qs = vec![0.1, 0.5, 0.9];
    let quantiles = reduce(0, ReduceKind::Quantile { qs }, false, DType::UInt16);
    measure(
        "3 quantiles of 24 dates, uint16",
        vec![input(DType::UInt16), quantiles],
        &ints,
    );
    // What a cloud mask does: nodata to NaN, scale and offset, and the median of what is left.
    let chain = vec![
        input(DType::UInt16),
        Node::Constant {
            value: Scalar::UInt16(7),
        },
        Node::Binary {
            op: BinaryOp::BitwiseAnd,
            x: NodeId(0),
            y: NodeId(1),
        },
        Node::Constant {
            value: Scalar::UInt16(0),
        },
        Node::Binary {
            op: BinaryOp::Equal,
            x: NodeId(2),
            y: NodeId(3),
        },
        Node::Cast {
            x: NodeId(0),
            dtype: DType::Float32,
        },
        Node::Constant {
            value: Scalar::Float32(0.0001),
        },
        Node::Binary {
            op: BinaryOp::Multiply,
            x: NodeId(5),
            y: NodeId(6),
        },
        Node::Constant {
            value: Scalar::Float32(f32::NAN),
        },
        Node::Where {
            condition: NodeId(4),
            x: NodeId(8),
            y: NodeId(7),
        },
        reduce(9, ReduceKind::Median, true, DType::Float32),
    ];
    measure("mask, scale, nanmedian of 24 dates, uint16", chain, &ints);

    for (what, dates) in [("8", 8), ("24", 24), ("64", 64), ("128", 128), ("365", 365)] {
        let side = if dates > 100 { 128 } else { 256 };
        let bytes = stack(dates, side, |x| x as u8);
        let singles = stack(dates, side, |x| x as f32 / 1000.0);
        let doubles = stack(dates, side, |x| x as f64 / 1000.0);
        let median = |skipna, dtype| vec![input(dtype), reduce(0, ReduceKind::Median, skipna, dtype)];
        measure(
            &format!("median of {what} dates, uint8"),
            median(false, DType::UInt8),
            &bytes,
        );
        measure(
            &format!("median of {what} dates, float32"),
            median(false, DType::Float32),
            &singles,
        );
        measure(
            &format!("nanmedian of {what} dates, float32"),
            median(true, DType::Float32),
            &singles,
        );
        measure(
            &format!("median of {what} dates, float64"),
            median(false, DType::Float64),
            &doubles,
        );
    }
    let singles = stack(dates, 512, |x| x as f32 / 1000.0);
    for (what, kind) in [
        ("mean", ReduceKind::Mean),
        ("std", ReduceKind::Std { ddof: 0 }),
        ("min", ReduceKind::Min),
    ] {
        measure(
            &format!("{what} of 24 dates, float32"),
            vec![
                input(DType::Float32),
                reduce(0, kind.clone(), false, DType::Float32),
            ],
            &singles,
        );
        measure(
            &format!("nan{what} of 24 dates, float32"),
            vec![input(DType::Float32), reduce(0, kind, true, DType::Float32)],
            &singles,
        );
    }
}
