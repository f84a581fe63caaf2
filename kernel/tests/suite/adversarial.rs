//! Programs from anywhere: what does not fit is an error, never a panic.
#![allow(clippy::unwrap_used)] // A test's helpers fail as the test does.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use graticule_kernel::{
    BoxError, Chunk, InlineReader, KernelError, Reader, Tensor, Window, run, run_unfused,
};
use graticule_ops::{
    ArraySource, AxisSelection, BinaryOp, BlockAxis, InlineArray, Node, NodeId, Program, Read, ReduceKind,
    Reduction, Scalar, Sliding, Stage, UnaryOp, encode_codes, encode_table,
};
use graticule_plan::{AxisChunks, DType, Digest};
use proptest::{prelude::*, sample::select};

type TableMap = BTreeMap<Digest, Arc<[u8]>>;

fn evaluate(nodes: Vec<Node>, inputs: &[Tensor]) -> Result<Chunk, KernelError> {
    let windows: Vec<Window> = inputs
        .iter()
        .map(|x| Window::whole(Chunk::from(x.clone())))
        .collect();
    let tables = TableMap::new();
    run(
        &Program::new(nodes),
        &[0],
        &windows,
        &InlineReader::new(&tables),
        &tables,
    )
}

fn input(dtype: DType) -> Node {
    Node::Input {
        input: 0,
        parts: vec![dtype],
    }
}

fn floats(shape: &[usize]) -> Tensor {
    Tensor::full(Scalar::Float64(1.5), shape).unwrap()
}

fn sum(x: u32, dtype: DType, axes: Vec<usize>, stage: Stage) -> Node {
    let reduction = Reduction {
        kind: ReduceKind::Sum,
        skipna: false,
        dtype,
    };
    Node::Reduce {
        x: NodeId(x),
        reduction,
        axes,
        keepdims: false,
        stage,
        positions: vec![],
    }
}

#[test]
fn nodes_that_do_not_fit_their_operands_name_themselves() {
    let x = floats(&[2, 3]);
    let one = Scalar::Int64(1);
    let cases: Vec<(&str, Vec<Node>)> = vec![
        (
            "axis beyond",
            vec![
                input(DType::Float64),
                sum(0, DType::Float64, vec![2], Stage::Whole),
            ],
        ),
        (
            "axis twice",
            vec![
                input(DType::Float64),
                sum(0, DType::Float64, vec![1, 1], Stage::Whole),
            ],
        ),
        (
            "wrong dtype",
            vec![input(DType::Float64), sum(0, DType::Int8, vec![0], Stage::Whole)],
        ),
        (
            "no partial",
            vec![input(DType::Float64), sum(0, DType::Int64, vec![0], Stage::Final)],
        ),
        (
            "bits of floats",
            vec![
                input(DType::Float64),
                Node::Unary {
                    op: UnaryOp::Invert,
                    x: NodeId(0),
                },
            ],
        ),
        (
            "mixed dtypes",
            vec![
                input(DType::Float64),
                Node::Constant { value: one },
                Node::Binary {
                    op: BinaryOp::Add,
                    x: NodeId(0),
                    y: NodeId(1),
                },
            ],
        ),
        (
            "condition",
            vec![
                input(DType::Float64),
                Node::Where {
                    condition: NodeId(0),
                    x: NodeId(0),
                    y: NodeId(0),
                },
            ],
        ),
        (
            "steps",
            vec![
                input(DType::Float64),
                Node::Stride {
                    x: NodeId(0),
                    steps: vec![1, 0],
                },
            ],
        ),
        (
            "order",
            vec![
                input(DType::Float64),
                Node::Transpose {
                    x: NodeId(0),
                    order: vec![0, 0],
                },
            ],
        ),
        (
            "squeeze",
            vec![
                input(DType::Float64),
                Node::Squeeze {
                    x: NodeId(0),
                    axis: 1,
                },
            ],
        ),
        (
            "new axis",
            vec![
                input(DType::Float64),
                Node::ExpandDims {
                    x: NodeId(0),
                    axis: 3,
                },
            ],
        ),
        (
            "broadcast",
            vec![
                input(DType::Float64),
                Node::BroadcastTo {
                    x: NodeId(0),
                    axes: vec![BlockAxis::Whole { len: 3 }],
                },
            ],
        ),
        (
            "reshape",
            vec![
                input(DType::Float64),
                Node::Reshape {
                    x: NodeId(0),
                    axes: vec![BlockAxis::Whole { len: 5 }],
                },
            ],
        ),
        (
            "take along",
            vec![
                input(DType::Float64),
                Node::TakeAlong {
                    x: NodeId(0),
                    positions: NodeId(0),
                    axis: 0,
                },
            ],
        ),
        (
            "sliding",
            vec![
                input(DType::Float64),
                Node::Sliding(Sliding {
                    x: NodeId(0),
                    axis: 0,
                    len: u64::MAX,
                    start: 0,
                    extent: BlockAxis::Whole { len: 1 },
                }),
            ],
        ),
        (
            "fewer windows than the block has",
            vec![
                input(DType::Float64),
                Node::Sliding(Sliding {
                    x: NodeId(0),
                    axis: 0,
                    len: 1,
                    start: u64::MAX,
                    extent: BlockAxis::Whole { len: 1 << 40 },
                }),
            ],
        ),
        (
            "concatenate",
            vec![input(DType::Float64), Node::Concatenate { xs: vec![], axis: 0 }],
        ),
        (
            "no cut",
            vec![Node::Full {
                value: one,
                axes: vec![BlockAxis::Cut {
                    out_axis: 7,
                    chunks: AxisChunks::whole(3),
                }],
            }],
        ),
        (
            "bad cut",
            vec![Node::Full {
                value: one,
                axes: vec![BlockAxis::Cut {
                    out_axis: 0,
                    chunks: AxisChunks::Regular { len: 3, chunk: 0 },
                }],
            }],
        ),
        (
            "empty cut",
            vec![Node::Full {
                value: one,
                axes: vec![BlockAxis::Cut {
                    out_axis: 0,
                    chunks: AxisChunks::Irregular {
                        offsets: vec![].into(),
                    },
                }],
            }],
        ),
    ];
    for (what, nodes) in cases {
        let error = evaluate(nodes, std::slice::from_ref(&x)).unwrap_err();
        assert!(matches!(error, KernelError::Node { .. }), "{what}: {error}");
    }
}

#[test]
fn missing_inputs_tables_and_nodes_are_errors() {
    assert!(matches!(evaluate(vec![], &[]), Err(KernelError::Program(_))));
    assert!(matches!(
        evaluate(vec![input(DType::Int8)], &[]),
        Err(KernelError::NoSuchInput { .. })
    ));
    let forward = Node::Cast {
        x: NodeId(0),
        dtype: DType::Int8,
    };
    assert!(matches!(
        evaluate(vec![forward], &[]),
        Err(KernelError::Program(_))
    ));
    let digest = Digest::of(b"nothing");
    let extent = BlockAxis::Whole { len: 1 };
    let take = Node::Take {
        x: NodeId(0),
        axis: 0,
        positions: digest,
        extent,
    };
    let error = evaluate(vec![input(DType::Float64), take], &[floats(&[2])]).unwrap_err();
    assert!(matches!(error, KernelError::NoSuchTable(found) if found == digest));
}

#[test]
fn huge_results_are_refused_before_they_are_made() {
    let axes = vec![BlockAxis::Whole { len: 1 << 50 }];
    let full = Node::Full {
        value: Scalar::Int8(1),
        axes: axes.clone(),
    };
    assert!(matches!(
        evaluate(vec![full], &[]),
        Err(KernelError::TooLarge { .. })
    ));
    let nodes = vec![
        Node::Constant {
            value: Scalar::Int8(1),
        },
        Node::BroadcastTo { x: NodeId(0), axes },
    ];
    assert!(matches!(evaluate(nodes, &[]), Err(KernelError::TooLarge { .. })));
}

#[test]
fn extremes_of_nothing_are_an_error_and_sums_of_nothing_zero() {
    let x = floats(&[0, 2]);
    let reduce = |kind| {
        let reduction = Reduction {
            kind,
            skipna: false,
            dtype: DType::Float64,
        };
        let (axes, stage) = (vec![0], Stage::Whole);
        let node = Node::Reduce {
            x: NodeId(0),
            reduction,
            axes,
            keepdims: false,
            stage,
            positions: vec![],
        };
        evaluate(vec![input(DType::Float64), node], std::slice::from_ref(&x))
    };
    assert!(matches!(reduce(ReduceKind::Min), Err(KernelError::Empty { name }) if name == "min"));
    let zeros = reduce(ReduceKind::Sum).unwrap();
    assert_eq!(zeros.single().unwrap().as_slice(), Some(&[0.0f64, 0.0][..]));
}

#[test]
fn an_empty_window_has_the_dtype_that_the_program_names() {
    let window = Window {
        chunk: Chunk::default(),
        axes: vec![vec![]],
    };
    let program = Program::new(vec![input(DType::UInt16)]);
    let tables = TableMap::new();
    let made = run(&program, &[0], &[window], &InlineReader::new(&tables), &tables).unwrap();
    assert_eq!(
        made.single().unwrap(),
        &Tensor::zeros(DType::UInt16, &[0]).unwrap()
    );
}

#[test]
fn inline_arrays_are_read_through_their_selection() {
    let data: Vec<u8> = (0..12i16).flat_map(i16::to_le_bytes).collect();
    let array = ArraySource::Inline(InlineArray {
        dtype: DType::Int16,
        shape: vec![3, 4],
        data,
    });
    let table = encode_table(&array);
    let source = Digest::of(&table);
    let tables: TableMap = [(source, table.into())].into();
    let read = Read {
        source,
        dtype: DType::Int16,
        selection: vec![
            AxisSelection {
                start: 2,
                step: -1,
                len: 3,
            },
            AxisSelection {
                start: 1,
                step: 2,
                len: 2,
            },
        ],
        axes: vec![
            BlockAxis::Cut {
                out_axis: 0,
                chunks: AxisChunks::regular(3, 2).unwrap(),
            },
            BlockAxis::Whole { len: 2 },
        ],
    };
    let program = Program::new(vec![Node::Read(read)]);
    let made = |block: u64| run(&program, &[block], &[], &InlineReader::new(&tables), &tables).unwrap();
    assert_eq!(
        made(0).single().unwrap(),
        &Tensor::from_vec(&[2, 2], vec![9i16, 11, 5, 7]).unwrap()
    );
    assert_eq!(
        made(1).single().unwrap(),
        &Tensor::from_vec(&[1, 2], vec![1i16, 3]).unwrap()
    );
}

/// Gives what no reader should.
struct Liar;

impl Reader for Liar {
    fn read(&self, _: NodeId, _: &Read, _: &[Range<u64>]) -> Result<Tensor, BoxError> {
        Ok(floats(&[1]))
    }
}

#[test]
fn a_read_of_another_shape_than_asked_is_an_error() {
    let selection = vec![AxisSelection::whole(2)];
    let axes = vec![BlockAxis::Whole { len: 2 }];
    let read = Read {
        source: Digest::of(b""),
        dtype: DType::Float64,
        selection,
        axes,
    };
    let error = run(
        &Program::new(vec![Node::Read(read)]),
        &[],
        &[],
        &Liar,
        &TableMap::new(),
    )
    .unwrap_err();
    assert!(matches!(error, KernelError::Node { node: 0, .. }), "{error}");
}

fn node() -> impl Strategy<Value = Node> {
    let id = || (0u32..6).prop_map(NodeId);
    let dtype = || select(DType::REAL.to_vec());
    let axis = || 0usize..4;
    let block_axis = || {
        prop_oneof![
            (0u64..5).prop_map(|len| BlockAxis::Whole { len }),
            (0usize..3, 0u64..6, 0u64..4).prop_map(|(out_axis, len, chunk)| {
                BlockAxis::Cut {
                    out_axis,
                    chunks: AxisChunks::Regular { len, chunk },
                }
            }),
            (0usize..2, proptest::collection::vec(0u64..5, 0..4)).prop_map(|(out_axis, offsets)| {
                BlockAxis::Cut {
                    out_axis,
                    chunks: AxisChunks::Irregular {
                        offsets: offsets.into(),
                    },
                }
            }),
        ]
    };
    let axes = move || proptest::collection::vec(block_axis(), 0..3);
    let scalar = select(vec![
        Scalar::Int64(2),
        Scalar::Float64(0.5),
        Scalar::Bool(true),
        Scalar::UInt8(3),
    ]);
    let kind = select(vec![
        ReduceKind::Sum,
        ReduceKind::Mean,
        ReduceKind::Min,
        ReduceKind::Median,
        ReduceKind::Mode,
        ReduceKind::ArgMax,
        ReduceKind::Var { ddof: u32::MAX },
        ReduceKind::Quantile {
            qs: vec![0.5, f64::NAN],
        },
        ReduceKind::Quantile { qs: vec![] },
    ]);
    let stage = select(vec![Stage::Whole, Stage::Partial, Stage::Combine, Stage::Final]);
    let reduction =
        (kind, any::<bool>(), dtype()).prop_map(|(kind, skipna, dtype)| Reduction { kind, skipna, dtype });
    prop_oneof![
        (0usize..3, dtype()).prop_map(|(input, dtype)| Node::Input {
            input,
            parts: vec![dtype]
        }),
        scalar.clone().prop_map(|value| Node::Constant { value }),
        (scalar.clone(), axes()).prop_map(|(value, axes)| Node::Full { value, axes }),
        (scalar.clone(), scalar, dtype(), block_axis()).prop_map(|(start, step, dtype, axis)| Node::Arange {
            start,
            step,
            dtype,
            axis
        }),
        (id(), dtype()).prop_map(|(x, dtype)| Node::Cast { x, dtype }),
        (
            id(),
            select(vec![UnaryOp::Negative, UnaryOp::Exp, UnaryOp::Invert])
        )
            .prop_map(|(x, op)| Node::Unary { op, x }),
        (
            id(),
            id(),
            select(vec![BinaryOp::Power, BinaryOp::Add, BinaryOp::LeftShift])
        )
            .prop_map(|(x, y, op)| Node::Binary { op, x, y }),
        (id(), id(), id()).prop_map(|(condition, x, y)| Node::Where { condition, x, y }),
        (
            id(),
            proptest::collection::vec(select(vec![1, -1, 2, 0, i64::MIN, i64::MAX]), 0..3)
        )
            .prop_map(|(x, steps)| Node::Stride { x, steps }),
        (
            id(),
            proptest::collection::vec(
                (0..3_u64, select(vec![1, -1, 0, i64::MIN, i64::MAX]), 0..4_u64),
                0..3
            )
        )
            .prop_map(|(x, axes)| {
                let selection = |(start, step, len)| {
                    Some(AxisSelection { start, step, len }).filter(|_| start < 2 || len > 0)
                };
                let selection = axes.into_iter().map(selection).collect();
                Node::Slice { x, selection }
            }),
        (id(), axis(), block_axis()).prop_map(|(x, axis, extent)| Node::Take {
            x,
            axis,
            positions: Digest::of(b"p"),
            extent
        }),
        (id(), proptest::collection::vec(axis(), 0..4)).prop_map(|(x, order)| Node::Transpose { x, order }),
        (id(), axis()).prop_map(|(x, axis)| Node::ExpandDims { x, axis }),
        (id(), axis(), 0..6u64, any::<u64>(), block_axis()).prop_map(|(x, axis, len, start, extent)| {
            match len {
                0 | 1 => Node::Squeeze { x, axis },
                _ => Node::Sliding(Sliding {
                    x,
                    axis,
                    len,
                    start,
                    extent,
                }),
            }
        }),
        (id(), axes(), any::<bool>()).prop_map(|(x, axes, repeats)| {
            if repeats {
                Node::BroadcastTo { x, axes }
            } else {
                Node::Reshape { x, axes }
            }
        }),
        (proptest::collection::vec(id(), 0..4), axis()).prop_map(|(xs, axis)| Node::Concatenate { xs, axis }),
        (
            id(),
            reduction.clone(),
            proptest::collection::vec(axis(), 0..3),
            any::<bool>(),
            stage.clone(),
            axes()
        )
            .prop_map(|(x, reduction, axes, keepdims, stage, positions)| {
                Node::Reduce {
                    x,
                    reduction,
                    axes,
                    keepdims,
                    stage,
                    positions,
                }
            }),
        (
            id(),
            reduction,
            proptest::collection::vec(axis(), 0..3),
            prop_oneof![
                select(vec![0, 1, 3, u64::MAX]).prop_map(|len| BlockAxis::Whole { len }),
                block_axis()
            ],
            axes(),
            stage
        )
            .prop_map(|(x, reduction, axes, groups, extents, stage)| {
                Node::GroupReduce {
                    x,
                    reduction,
                    axes,
                    codes: Digest::of(b"c"),
                    groups,
                    extents,
                    stage,
                }
            }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_programs_give_a_chunk_or_an_error(
        nodes in proptest::collection::vec(node(), 1..7),
        shapes in proptest::collection::vec(proptest::collection::vec(0usize..4, 0..3), 3),
        dtypes in proptest::collection::vec(select(DType::REAL.to_vec()), 3),
        index in proptest::collection::vec(0u64..4, 0..3),
    ) {
        // Operands that stand before their users, most of the time.
        let nodes = nodes.into_iter().enumerate().map(|(k, mut node)| {
            node.rename(|id| if k == 0 { id } else { NodeId(id.0 % k as u32) });
            node
        });
        let program = Program::new(nodes.collect());
        let inputs = shapes.iter().zip(&dtypes).map(|(shape, &dtype)| {
            Window::whole(Tensor::zeros(dtype, shape).unwrap().into())
        });
        let inputs: Vec<Window> = inputs.collect();
        let positions = encode_table(&vec![0u64, 2, 1, u64::MAX]);
        let codes = encode_codes(&[0, -1, 2, -7]);
        let tables: TableMap =
            [(Digest::of(b"p"), positions.into()), (Digest::of(b"c"), codes.into())].into();
        let reader = InlineReader::new(&tables);
        let fused = run(&program, &index, &inputs, &reader, &tables);
        let unfused = run_unfused(&program, &index, &inputs, &reader, &tables);
        prop_assert_eq!(fused.ok(), unfused.ok());
    }
}
