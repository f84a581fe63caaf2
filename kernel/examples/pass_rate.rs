//! What does an element cost where a pass over a block does more than add up: bins, labels, transposes, windows?
//!
//! `cargo run --release -p graticule-kernel --example pass_rate`

use std::{
    collections::BTreeMap,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use graticule_kernel::{InlineReader, Tensor, Window, run};
use graticule_ops::{
    BinaryOp, Binning, BlockAxis, Count, Node, NodeId, Program, ReduceKind, Reduction, Scalar, Search,
    SearchKind, Sliding, Stage, encode_codes,
};
use graticule_plan::{DType, Digest};

const ROUNDS: usize = 7;
/// A block of a map.
const EDGE: usize = 1024;
const BINS: usize = 100;
const ZONES: u64 = 64;

type TableMap = BTreeMap<Digest, Arc<[u8]>>;

/// A program on a block, and beside it maybe a list.
struct Pass {
    name: &'static str,
    nodes: Vec<Node>,
    inputs: Vec<Tensor>,
    tables: TableMap,
}

impl Pass {
    fn new(name: &'static str, x: Tensor, nodes: Vec<Node>) -> Self {
        let parts = vec![x.dtype()];
        let input = Node::Input { input: 0, parts };
        Self {
            name,
            nodes: [vec![input], nodes].concat(),
            inputs: vec![x],
            tables: TableMap::new(),
        }
    }

    fn time(&self) -> Duration {
        let program = Program::new(self.nodes.clone());
        let windows: Vec<Window> = self
            .inputs
            .iter()
            .map(|x| Window::whole(x.clone().into()))
            .collect();
        let start = Instant::now();
        let reader = InlineReader::new(&self.tables);
        black_box(run(&program, &[0, 0, 0], &windows, &reader, &self.tables).expect("a valid program"));
        start.elapsed()
    }
}

fn reduction(kind: ReduceKind, dtype: DType, skipna: bool) -> Reduction {
    Reduction { kind, skipna, dtype }
}

fn reduce(x: u32, dtype: DType, axes: Vec<usize>) -> Node {
    Node::Reduce {
        x: NodeId(x),
        reduction: reduction(ReduceKind::Mean, dtype, false),
        axes,
        keepdims: false,
        stage: Stage::Whole,
        positions: vec![],
    }
}

/// Counts elements between edges, as `Array::histogram` does.
fn histogram(name: &'static str, x: Tensor, edges: Vec<f64>) -> Pass {
    let last = edges[edges.len() - 1];
    let count = edges.len() - 1;
    let full = |value| Node::Full { value, axes: vec![] };
    let binary = |op, x, y| Node::Binary {
        op,
        x: NodeId(x),
        y: NodeId(y),
    };
    let nodes = vec![
        Node::Input {
            input: 1,
            parts: vec![DType::Float64],
        },
        Node::Search(Search {
            sorted: NodeId(1),
            x: NodeId(0),
            kind: SearchKind::Right,
        }),
        full(Scalar::Int64(1)),
        binary(BinaryOp::Subtract, 2, 3),
        full(Scalar::Float64(last)),
        binary(BinaryOp::Equal, 0, 5),
        full(Scalar::Int64(count as i64 - 1)),
        Node::Where {
            condition: NodeId(6),
            x: NodeId(7),
            y: NodeId(4),
        },
        Node::Count(Count {
            x: NodeId(8),
            weights: None,
            binning: Binning {
                count: count as u64,
                drop_others: true,
            },
        }),
    ];
    let mut pass = Pass::new(name, x, nodes);
    let edges = Tensor::from_vec(&[edges.len()], edges).expect("as many as the shape says");
    pass.inputs.push(edges);
    pass
}

/// Means over zones of a map.
fn zonal(name: &'static str, x: Tensor, skipna: bool, zone: impl Fn(usize, usize) -> i32) -> Pass {
    let codes: Vec<i32> = (0..EDGE * EDGE).map(|i| zone(i / EDGE, i % EDGE)).collect();
    let axis = || BlockAxis::Whole { len: EDGE as u64 };
    let node = Node::GroupReduce {
        x: NodeId(0),
        reduction: reduction(ReduceKind::Mean, x.dtype(), skipna),
        axes: vec![0, 1],
        codes: Digest::of(b"codes"),
        groups: BlockAxis::Whole { len: ZONES },
        extents: vec![axis(), axis()],
        stage: Stage::Partial,
    };
    let mut pass = Pass::new(name, x, vec![node]);
    pass.tables
        .insert(Digest::of(b"codes"), encode_codes(&codes).into());
    pass
}

/// Means of moving windows along each of some axes, one after the other.
fn windows(name: &'static str, x: Tensor, axes: &[usize], len: usize) -> Pass {
    let mut nodes = Vec::new();
    let (dtype, mut at) = (x.dtype(), 0);
    for &axis in axes {
        nodes.push(Node::Sliding(Sliding {
            x: NodeId(at),
            axis,
            len: len as u64,
            start: 0,
            extent: BlockAxis::Whole {
                len: (EDGE - len + 1) as u64,
            },
        }));
        nodes.push(reduce(at + 1, dtype, vec![axis + 1]));
        at += 2;
    }
    Pass::new(name, x, nodes)
}

fn sum_with_transpose(x: Tensor) -> Pass {
    let nodes = vec![
        Node::Transpose {
            x: NodeId(0),
            order: vec![1, 0],
        },
        Node::Binary {
            op: BinaryOp::Add,
            x: NodeId(0),
            y: NodeId(1),
        },
    ];
    Pass::new("x + x.T, float64", x, nodes)
}

fn passes() -> Vec<Pass> {
    let shape = [EDGE, EDGE];
    let (row, column) = (|i: usize| (i / EDGE) as f64, |i: usize| (i % EDGE) as f64);
    let wild = |i: usize| (((i * 7919) % 104_729) as f64) / 52_364.5;
    let smooth = |i: usize| 1.0 + (row(i) / 97.0).sin() * (column(i) / 61.0).cos() * 0.9;
    let floats = |value: &dyn Fn(usize) -> f64| -> Tensor {
        Tensor::from_vec(&shape, (0..EDGE * EDGE).map(value).collect()).expect("as many as the shape says")
    };
    let singles: Vec<f32> = (0..EDGE * EDGE).map(|i| smooth(i) as f32).collect();
    let singles = Tensor::from_vec(&shape, singles).expect("as many as the shape says");
    let counts: Vec<u16> = (0..EDGE * EDGE).map(|i| (wild(i) * 5000.0) as u16).collect();
    let counts = Tensor::from_vec(&shape, counts).expect("as many as the shape says");
    let even: Vec<f64> = (0..=BINS).map(|k| k as f64 * 2.0 / BINS as f64).collect();
    let uneven: Vec<f64> = even.iter().map(|edge| edge * edge * edge / 4.0).collect();
    let squares = |y: usize, x: usize| (y / 256 * 8 + x / 256) as i32;
    let scattered = |y: usize, x: usize| ((y * 31 + x * 17) % 64) as i32;
    let doubles = floats(&smooth);
    vec![
        Pass::new(
            "mean, float64",
            doubles.clone(),
            vec![reduce(0, DType::Float64, vec![0, 1])],
        ),
        histogram("100 even bins, smooth float64", doubles.clone(), even.clone()),
        histogram("100 even bins, wild float64", floats(&wild), even),
        histogram("100 uneven bins, wild float64", floats(&wild), uneven),
        zonal(
            "mean in zones of 256 columns, uint16",
            counts.clone(),
            false,
            squares,
        ),
        zonal(
            "mean in zones of 256 columns, float32",
            singles.clone(),
            false,
            squares,
        ),
        zonal(
            "mean in zones of 256 columns, float32, NaN left out",
            singles.clone(),
            true,
            squares,
        ),
        zonal(
            "mean by labels that change at each element, uint16",
            counts,
            false,
            scattered,
        ),
        zonal(
            "mean by labels that change at each element, float32",
            singles.clone(),
            false,
            scattered,
        ),
        sum_with_transpose(doubles.clone()),
        windows("mean of 5 x 5, float64", doubles, &[0, 1], 5),
        windows("mean of 7 rows, float32", singles, &[0], 7),
    ]
}

#[allow(clippy::print_stdout)]
fn main() {
    println!("ns an element, one thread, the middle of {ROUNDS} rounds");
    for pass in passes() {
        let mut times: Vec<Duration> = (0..ROUNDS).map(|_| pass.time()).collect();
        times.sort_unstable();
        let per = times[ROUNDS / 2].as_secs_f64() * 1e9 / (EDGE * EDGE) as f64;
        println!("{:<55} {per:6.2}", pass.name);
    }
}
