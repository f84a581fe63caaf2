//! Fusion changes no byte: random programs, evaluated tile by tile and node by node.

#![allow(clippy::unwrap_used)] // A test's helpers fail as the test does.

use std::collections::BTreeMap;

use graticule_kernel::{Chunk, InlineReader, Tensor, Window, run, run_unfused};
use graticule_ops::{
    AxisSelection, BinaryOp, BlockAxis, Node, NodeId, Program, ReduceKind, Reduction, Scalar, Search,
    SearchKind, Sliding, Stage, UnaryOp, encode_codes,
};
use graticule_plan::{DType, Digest, Kind};
use proptest::{prelude::*, sample::select};

/// Puts a random program together, and knows each node's dtype and shape.
struct Builder {
    nodes: Vec<Node>,
    metas: Vec<(DType, Vec<usize>)>,
    shape: Vec<usize>,
}

impl Builder {
    fn push(&mut self, node: Node, dtype: DType, shape: Vec<usize>) -> NodeId {
        self.nodes.push(node);
        self.metas.push((dtype, shape));
        NodeId(self.nodes.len() as u32 - 1)
    }

    fn cast(&mut self, x: NodeId, dtype: DType) -> NodeId {
        let shape = self.metas[x.0 as usize].1.clone();
        self.push(Node::Cast { x, dtype }, dtype, shape)
    }

    fn computed(&mut self, x: NodeId) -> NodeId {
        match self.metas[x.0 as usize].0 {
            DType::Float16 => self.cast(x, DType::Float32),
            _ => x,
        }
    }

    /// Adds the step that a few random numbers stand for.
    fn step(&mut self, choice: u8, a: usize, b: usize, c: usize) {
        let pick = |k: usize| NodeId((k % self.nodes.len()) as u32);
        let (x, y, z) = (pick(a), pick(b), pick(c));
        // Nothing is computed of float16 itself, but it is converted to and from.
        let [x, y, z] = [x, y, z].map(|x| if choice == 0 { x } else { self.computed(x) });
        let (dtype, shape) = self.metas[x.0 as usize].clone();
        match choice {
            0 => {
                self.cast(x, DType::REAL[b % DType::REAL.len()]);
            }
            1 => self.unary(
                x,
                [
                    UnaryOp::Negative,
                    UnaryOp::IsNan,
                    UnaryOp::Sqrt,
                    UnaryOp::Absolute,
                ][b % 4],
            ),
            2..=4 => {
                let ops = [
                    BinaryOp::Add,
                    BinaryOp::Multiply,
                    BinaryOp::Less,
                    BinaryOp::Maximum,
                    BinaryOp::Remainder,
                    BinaryOp::BitwiseXor,
                ];
                self.binary(x, y, ops[c % ops.len()]);
            }
            5 => {
                let condition = self.cast(z, DType::Bool);
                let y = self.cast(y, dtype);
                self.broadcast(
                    &[condition, x, y],
                    |of| Node::Where {
                        condition: of[0],
                        x: of[1],
                        y: of[2],
                    },
                    dtype,
                );
            }
            6 => {
                let shape = self.shape.clone();
                let axes = shape
                    .iter()
                    .map(|&len| BlockAxis::Whole { len: len as u64 })
                    .collect();
                self.push(Node::BroadcastTo { x, axes }, dtype, shape);
            }
            7 => {
                let shape = self.shape.clone();
                let axes = shape
                    .iter()
                    .map(|&len| BlockAxis::Whole { len: len as u64 })
                    .collect();
                let value = Scalar::from_int((b % 2) as i128, dtype).unwrap();
                self.push(Node::Full { value, axes }, dtype, shape);
            }
            8 if shape.len() < 5 => {
                let axis = b % (shape.len() + 1);
                let mut longer = shape.clone();
                longer.insert(axis, 1);
                let up = self.push(Node::ExpandDims { x, axis }, dtype, longer);
                let down = self.push(Node::Squeeze { x: up, axis }, dtype, shape);
                self.binary(down, x, BinaryOp::Equal);
            }
            9 if !shape.is_empty() && !c.is_multiple_of(3) => {
                // Backwards, or one row that repeats: looked at where they lie.
                let axis = b % shape.len();
                let len = shape[axis] as u64;
                if len == 0 {
                    return;
                }
                let (start, step, kept) = if c.is_multiple_of(2) {
                    (len - 1, -1, len)
                } else {
                    (c as u64 % len, 1, 1)
                };
                let mut selection = vec![None; shape.len()];
                selection[axis] = Some(AxisSelection {
                    start,
                    step,
                    len: kept,
                });
                let mut part = shape.clone();
                part[axis] = kept as usize;
                let part = self.push(Node::Slice { x, selection }, dtype, part);
                self.binary(part, x, BinaryOp::Equal);
            }
            9 => {
                let keep: Vec<i64> = shape.iter().map(|_| 1).collect();
                self.push(Node::Stride { x, steps: keep }, dtype, shape);
            }
            10 if !shape.is_empty() && shape.len() < 5 => {
                // Windows of one element, or one window of all: the same elements once the other axis is gone.
                let axis = b % shape.len();
                let len = shape[axis];
                let (window, gone) = if c.is_multiple_of(2) {
                    (1, axis + 1)
                } else {
                    (len, axis)
                };
                if window > len || window == 0 {
                    return;
                }
                let mut windows = shape.clone();
                windows[axis] = len - (window - 1);
                windows.insert(axis + 1, window);
                let node = Node::Sliding(Sliding {
                    x,
                    axis,
                    len: window as u64,
                    start: c as u64,
                    extent: BlockAxis::Whole {
                        len: windows[axis] as u64,
                    },
                });
                let view = self.push(node, dtype, windows);
                let same = self.push(Node::Squeeze { x: view, axis: gone }, dtype, shape);
                self.binary(same, x, BinaryOp::Equal);
            }
            12 => {
                // What is looked up in a list that is no list in order is the same, too.
                let list = self.cast(y, dtype);
                let list = match self.metas[list.0 as usize].1.len() {
                    1 => list,
                    _ => {
                        let value = Scalar::from_int((b % 2) as i128, dtype).unwrap();
                        let x = self.push(Node::Constant { value }, dtype, vec![]);
                        self.push(Node::ExpandDims { x, axis: 0 }, dtype, vec![1])
                    }
                };
                let kinds = [SearchKind::Left, SearchKind::Right, SearchKind::Contains];
                let (sorted, kind) = (list, kinds[c % 3]);
                let found = if c % 3 == 2 { DType::Bool } else { DType::Int64 };
                self.push(Node::Search(Search { sorted, x, kind }), found, shape);
            }
            _ => {
                let value = Scalar::from_int((b % 2) as i128, dtype).unwrap();
                self.push(Node::Constant { value }, dtype, vec![]);
            }
        }
    }

    fn unary(&mut self, x: NodeId, op: UnaryOp) {
        let (dtype, shape) = self.metas[x.0 as usize].clone();
        if let Ok((operand, result)) = op.dtypes(dtype) {
            let x = self.cast(x, operand);
            self.push(Node::Unary { op, x }, result, shape);
        }
    }

    fn binary(&mut self, x: NodeId, y: NodeId, op: BinaryOp) {
        let common = graticule_ops::promote(self.metas[x.0 as usize].0, self.metas[y.0 as usize].0).unwrap();
        if let Ok((operand, result)) = op.dtypes(common) {
            let (x, y) = (self.cast(x, operand), self.cast(y, operand));
            self.broadcast(
                &[x, y],
                |of| Node::Binary {
                    op,
                    x: of[0],
                    y: of[1],
                },
                result,
            );
        }
    }

    /// Every shape here is `self.shape` with some axes of length 1 or missing, so they all broadcast.
    fn broadcast(&mut self, of: &[NodeId], node: impl Fn(&[NodeId]) -> Node, dtype: DType) {
        let shapes: Vec<&Vec<usize>> = of.iter().map(|x| &self.metas[x.0 as usize].1).collect();
        let ndim = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
        let len = |axis: usize| {
            let lens = shapes
                .iter()
                .filter_map(|shape| (axis + shape.len()).checked_sub(ndim).map(|at| shape[at]));
            let lens: Vec<usize> = lens.filter(|&len| len != 1).collect();
            lens.first().copied().unwrap_or(1)
        };
        let shape: Vec<usize> = (0..ndim).map(len).collect();
        if shape.len() <= self.shape.len() {
            self.push(node(of), dtype, shape);
        }
    }
}

fn input(dtype: DType, shape: &[usize], seed: u64) -> Tensor {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as i64 % 256 - 100
    };
    let n: usize = shape.iter().product();
    let values: Vec<f64> = (0..n)
        .map(|_| next())
        .map(|x| if x == 3 { f64::NAN } else { x as f64 / 4.0 })
        .collect();
    let tensor = Tensor::from_vec(shape, values).unwrap();
    let nodes = vec![
        Node::Input {
            input: 0,
            parts: vec![DType::Float64],
        },
        Node::Cast { x: NodeId(0), dtype },
    ];
    let tables = BTreeMap::new();
    let made = run(
        &Program::new(nodes),
        &[],
        &[Window::whole(tensor.into())],
        &InlineReader::new(&tables),
        &tables,
    );
    made.unwrap().single().unwrap().clone()
}

fn kinds() -> Vec<ReduceKind> {
    vec![
        ReduceKind::Sum,
        ReduceKind::Mean,
        ReduceKind::Var { ddof: 1 },
        ReduceKind::Max,
        ReduceKind::ArgMin,
        ReduceKind::Count,
        ReduceKind::Any,
        ReduceKind::Median,
        ReduceKind::Mode,
        ReduceKind::Quantile { qs: vec![0.3, 0.9] },
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fused_programs_give_the_bytes_of_unfused_ones(
        shape in prop_oneof![
            proptest::collection::vec(prop_oneof![Just(0usize), 1usize..9, 1usize..9, 1usize..9], 0..4),
            (1usize..80, 1usize..90).prop_map(|(n, m)| vec![n, m]),
            (1usize..10, 1usize..3000).prop_map(|(n, m)| vec![n, m]),
        ],
        dtypes in [select(DType::REAL.to_vec()), select(DType::REAL.to_vec())],
        thin in any::<u8>(),
        steps in proptest::collection::vec((0u8..13, any::<[u16; 3]>()), 1..10),
        kind in proptest::option::of(select(kinds())),
        axes in any::<u8>(),
        grouped in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let mut builder = Builder { nodes: vec![], metas: vec![], shape: shape.clone() };
        let thinned: Vec<usize> =
            shape.iter().enumerate().map(|(axis, &len)| if thin >> axis & 1 == 1 { 1 } else { len }).collect();
        let inputs = [input(dtypes[0], &shape, seed), input(dtypes[1], &thinned, seed ^ 1)];
        for (k, tensor) in inputs.iter().enumerate() {
            let dtype = tensor.dtype();
            builder.push(Node::Input { input: k, parts: vec![dtype] }, dtype, tensor.shape().to_vec());
        }
        for (choice, [a, b, c]) in steps {
            builder.step(choice, a.into(), b.into(), c.into());
        }
        builder.computed(NodeId(builder.nodes.len() as u32 - 1));
        let (dtype, last) = builder.metas.last().unwrap().clone();
        let codes: Vec<i32> = (0..last.first().copied().unwrap_or(0)).map(|k| (k % 4) as i32 - 1).collect();
        let table = encode_codes(&codes);
        let digest = Digest::of(&table);
        let tables: BTreeMap<Digest, std::sync::Arc<[u8]>> = [(digest, table.into())].into();
        if let Some(kind) = kind {
            let x = NodeId(builder.nodes.len() as u32 - 1);
            let reduction = Reduction { kind, skipna: seed % 2 == 0 && dtype.kind() == Kind::Float, dtype };
            let axes: Vec<usize> = (0..last.len()).filter(|axis| axes >> axis & 1 == 1).collect();
            let whole = |axis: usize| BlockAxis::Whole { len: last[axis] as u64 };
            if grouped && !last.is_empty() {
                let (extents, stage) = (vec![whole(0)], Stage::Whole);
                let groups = BlockAxis::Whole { len: 3 };
                builder.nodes.push(Node::GroupReduce {
                    x, reduction, axes: vec![0], codes: digest, groups, extents, stage,
                });
            } else {
                let positions = match reduction.kind {
                    ReduceKind::ArgMin => axes.iter().map(|&axis| whole(axis)).collect(),
                    _ => vec![],
                };
                let (keepdims, stage) = (false, Stage::Whole);
                builder.nodes.push(Node::Reduce { x, reduction, axes, keepdims, stage, positions });
            }
        }
        let program = Program::new(builder.nodes);
        let windows = inputs.map(|tensor| Window::whole(Chunk::from(tensor)));
        let reader = InlineReader::new(&tables);
        let fused = run(&program, &[], &windows, &reader, &tables);
        let unfused = run_unfused(&program, &[], &windows, &reader, &tables);
        match (fused, unfused) {
            (Ok(fused), Ok(unfused)) => prop_assert_eq!(fused, unfused),
            (Err(fused), Err(unfused)) => prop_assert_eq!(fused.to_string(), unfused.to_string()),
            (fused, unfused) => prop_assert!(false, "fused {fused:?}, unfused {unfused:?}"),
        }
    }
}
