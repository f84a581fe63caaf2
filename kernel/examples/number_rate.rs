//! How fast are scans, matrix products, random numbers and sorting on one core?
//!
//! `cargo run --release -p graticule-kernel --example number_rate`

use std::{
    collections::BTreeMap,
    hint::black_box,
    time::{Duration, Instant},
};

use graticule_kernel::{InlineReader, Tensor, Window, run};
use graticule_ops::{
    AxisSelection, BlockAxis, Contract, Contraction, Distribution, Node, NodeId, Program, Random, Scan,
    ScanKind, ScanStep, Sort, Sorting,
};
use graticule_plan::DType;

const ROUNDS: usize = 5;
const SIDE: usize = 1024;

/// The shortest of several runs of a program whose first node takes in a square of float64.
fn fastest(node: Node, x: &Tensor) -> Duration {
    let input = Node::Input {
        input: 0,
        parts: vec![x.dtype()],
    };
    let program = Program::new(vec![input, node]);
    let (tables, inputs) = (BTreeMap::new(), [Window::whole(x.clone().into())]);
    let round = |_| {
        let start = Instant::now();
        let reader = InlineReader::new(&tables);
        black_box(run(&program, &[], &inputs, &reader, &tables).expect("a valid program"));
        start.elapsed()
    };
    (0..ROUNDS).map(round).min().expect("at least one round")
}

#[allow(clippy::print_stdout)]
fn main() {
    let wild = |i: usize| ((i * 7919) % 104_729) as f64 - 5e4;
    let x = Tensor::from_vec(&[SIDE, SIDE], (0..SIDE * SIDE).map(wild).collect())
        .expect("as many as the shape says");
    let per_element = |what: &str, node: Node| {
        let time = fastest(node, &x);
        println!(
            "{what:<28} {:6.2} ns an element",
            time.as_secs_f64() * 1e9 / (SIDE * SIDE) as f64
        );
    };
    for axis in [0, 1] {
        let scan = Scan {
            kind: ScanKind::Sum,
            skipna: false,
            dtype: DType::Float64,
            axis,
        };
        let step = ScanStep {
            scan,
            states: vec![],
            x: Some(NodeId(0)),
            to_state: false,
        };
        per_element(&format!("cumsum along axis {axis}"), Node::Scan(step));
    }
    for axis in [0, 1] {
        let sorting = Sorting {
            axis,
            descending: false,
            positions: false,
            count: None,
        };
        let sort = Sort {
            x: NodeId(0),
            sorting,
            len_max: SIDE as u64,
        };
        per_element(&format!("sort along axis {axis}"), Node::Sort(sort));
    }
    let len = SIDE as u64;
    for distribution in [
        Distribution::Unit,
        Distribution::Normal,
        Distribution::Exponential,
        Distribution::Integers { low: 0, count: 1000 },
    ] {
        let dtype = if distribution.gives(DType::Float64) {
            DType::Float64
        } else {
            DType::Int64
        };
        let random = Random {
            seed: 1,
            stream: 0,
            distribution,
            dtype,
            shape: vec![len; 2],
            selection: vec![AxisSelection::whole(len); 2],
            axes: vec![BlockAxis::Whole { len }; 2],
        };
        per_element(distribution.name(), Node::Random(random));
    }
    for (what, pair) in [("x @ x", (1, 0)), ("x @ x.T", (1, 1)), ("x.T @ x", (0, 0))] {
        let contraction = Contraction {
            batch: vec![],
            summed: vec![pair],
            parts: 0,
        };
        let contract = Contract {
            x: NodeId(0),
            y: NodeId(0),
            ndims: (2, 2),
            contraction,
        };
        let time = fastest(Node::Contract(contract), &x);
        println!(
            "{what:<28} {:6.2} GFLOP/s",
            2.0 * (SIDE as f64).powi(3) / time.as_secs_f64() / 1e9
        );
    }
}
