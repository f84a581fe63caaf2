//! Reductions by groups: the same bytes wherever the labelled axes stand, and for any part of a table of labels.
#![allow(clippy::unwrap_used)] // A test's helpers fail as the test does.

use std::{collections::BTreeMap, sync::Arc};

use graticule_kernel::{Chunk, InlineReader, KernelError, Tensor, Window, run};
use graticule_ops::{
    BlockAxis, Node, NodeId, Program, ReduceKind, Reduction, Stage, encode_codes, encode_table,
};
use graticule_plan::{AxisChunks, DType, Digest};

type TableMap = BTreeMap<Digest, Arc<[u8]>>;

const GROUP_COUNT: u64 = 5;

/// One node on one array, as block `block` of two.
fn evaluate(node: Node, x: Chunk, block: u64, table: &[u8]) -> Result<Chunk, KernelError> {
    let tables: TableMap = [(Digest::of(b"codes"), table.into())].into();
    let parts = x.dtypes();
    let program = Program::new(vec![Node::Input { input: 0, parts }, node]);
    let inputs = [Window::whole(x)];
    run(&program, &[block], &inputs, &InlineReader::new(&tables), &tables)
}

fn grouped(reduction: &Reduction, axes: &[usize], extents: Vec<BlockAxis>, stage: Stage) -> Node {
    Node::GroupReduce {
        x: NodeId(0),
        reduction: reduction.clone(),
        axes: axes.to_vec(),
        codes: Digest::of(b"codes"),
        groups: BlockAxis::Whole { len: GROUP_COUNT },
        extents,
        stage,
    }
}

fn transposed(chunk: &Chunk, order: &[usize]) -> Chunk {
    let order = order.to_vec();
    evaluate(Node::Transpose { x: NodeId(0), order }, chunk.clone(), 0, &[]).unwrap()
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Numbers of which sums are rounded, with NaN where there can be.
fn values(random: &mut Random, dtype: DType, shape: &[usize]) -> Tensor {
    let len = shape.iter().product();
    let value = |_| match random.below(19) {
        0 if dtype.is_float() => f64::NAN,
        _ => random.below(1000) as f64 / 7.0 - 30.0,
    };
    let floats = Tensor::from_vec(shape, (0..len).map(value).collect::<Vec<f64>>()).unwrap();
    let node = Node::Cast { x: NodeId(0), dtype };
    let made = evaluate(node, floats.into(), 0, &[]).unwrap();
    made.parts()[0].clone()
}

/// Labels in runs of up to 400 and one by one, some of none; the last group has no element.
fn codes(random: &mut Random, len: usize) -> Vec<i32> {
    codes_of_runs(random, len, 400)
}

fn codes_of_runs(random: &mut Random, len: usize, run_len_max: u64) -> Vec<i32> {
    let mut codes = Vec::new();
    while codes.len() < len {
        let code = random.below(GROUP_COUNT) as i32 - 1;
        let count = if random.below(3) == 0 {
            random.below(run_len_max) as usize
        } else {
            1
        };
        codes.resize(codes.len() + count, code);
    }
    codes.truncate(len);
    codes
}

fn kinds() -> Vec<ReduceKind> {
    use ReduceKind::*;
    vec![
        Sum,
        Prod,
        Mean,
        Var { ddof: 0 },
        Std { ddof: 1 },
        Min,
        Max,
        Count,
        Any,
        All,
        Median,
        Quantile { qs: vec![0.1, 0.5] },
        ArgMin,
        ArgMax,
        First,
        Last,
    ]
}

/// The same reduction, with the labelled axes behind the others and before them.
fn same_behind_and_before(rows: &[usize], columns: usize, dtype: DType, skipna: bool) {
    // Labels that are kept as runs, and one by one.
    for run_len_max in [400, 3] {
        same_of_runs(rows, columns, dtype, skipna, run_len_max);
    }
}

fn same_of_runs(rows: &[usize], columns: usize, dtype: DType, skipna: bool, run_len_max: u64) {
    let mut random = Random(rows.len() as u64 + columns as u64);
    let codes = encode_codes(&codes_of_runs(&mut random, rows.iter().product(), run_len_max));
    let behind = [&[columns], rows].concat();
    let x: Chunk = values(&mut random, dtype, &behind).into();
    let mut order: Vec<usize> = (1..behind.len()).collect();
    order.push(0);
    let turned = transposed(&x, &order);
    let extents: Vec<BlockAxis> = rows
        .iter()
        .map(|&len| BlockAxis::Whole { len: len as u64 })
        .collect();
    for kind in kinds() {
        let is_ordered = matches!(kind, ReduceKind::Median | ReduceKind::Quantile { .. });
        let lead = usize::from(matches!(kind, ReduceKind::Quantile { .. }));
        let reduction = Reduction { kind, skipna, dtype };
        for stage in [Stage::Whole, Stage::Partial] {
            if is_ordered && stage == Stage::Partial {
                continue;
            }
            let of = |x: &Chunk, first: usize| {
                let axes: Vec<usize> = (first..first + rows.len()).collect();
                evaluate(
                    grouped(&reduction, &axes, extents.clone(), stage),
                    x.clone(),
                    0,
                    &codes,
                )
            };
            let (behind, before) = (of(&x, 1), of(&turned, 0));
            let what = format!(
                "{} of {dtype} {rows:?}, {columns} columns, {stage:?}",
                reduction.name()
            );
            match (behind, before) {
                (Ok(behind), Ok(before)) => {
                    let count = before.shape().len() - lead;
                    let mut order: Vec<usize> = (0..lead).collect();
                    order.push(lead + count - 1);
                    order.extend(lead..lead + count - 1);
                    let before = transposed(&before, &order);
                    assert_eq!(bits(&behind), bits(&before), "{what}");
                }
                (Err(behind), Err(before)) => assert_eq!(behind.to_string(), before.to_string(), "{what}"),
                (behind, before) => panic!("{what}: {behind:?}, {before:?}"),
            }
        }
    }
}

fn bits(chunk: &Chunk) -> Vec<(Vec<usize>, Vec<u8>)> {
    let parts = chunk.parts().iter();
    parts
        .map(|part| (part.shape().to_vec(), part.bytes().to_vec()))
        .collect()
}

#[test]
fn labels_behind_other_axes_give_the_same_bytes_as_labels_before_them() {
    for dtype in [
        DType::Float64,
        DType::Float32,
        DType::UInt16,
        DType::Int64,
        DType::Bool,
    ] {
        for skipna in [false, true] {
            // Several blocks of a group, several tiles, and groups of few elements.
            same_behind_and_before(&[9000], 9, dtype, skipna);
            same_behind_and_before(&[50, 7], 20, dtype, skipna);
            same_behind_and_before(&[33], 12, dtype, skipna);
        }
    }
}

#[test]
fn partials_of_blocks_of_a_map_combine_to_the_whole() {
    let mut random = Random(5);
    let (rows, columns) = (90u64, 130u64);
    let codes = codes(&mut random, (rows * columns) as usize);
    let whole = values(&mut random, DType::Int32, &[3, rows as usize, columns as usize]);
    let chunks = AxisChunks::from_lengths(&[50, 80]).unwrap();
    for kind in [ReduceKind::Sum, ReduceKind::Count, ReduceKind::Any] {
        let reduction = Reduction {
            kind,
            skipna: false,
            dtype: DType::Int32,
        };
        let own = [
            BlockAxis::Whole { len: rows },
            BlockAxis::Cut {
                out_axis: 0,
                chunks: chunks.clone(),
            },
        ];
        let table = encode_codes(&codes);
        let partials: Vec<Chunk> = (0..2)
            .map(|block| {
                let part = whole.region(&[0..3, 0..rows, chunks.extent(block)]).unwrap();
                let node = grouped(&reduction, &[1, 2], own.to_vec(), Stage::Partial);
                evaluate(node, part.into(), block, &table).unwrap()
            })
            .collect();
        let all = [BlockAxis::Whole { len: rows }, BlockAxis::Whole { len: columns }];
        let node = grouped(&reduction, &[1, 2], all.to_vec(), Stage::Whole);
        let wanted = evaluate(node, whole.clone().into(), 0, &table).unwrap();
        let parts = (0..partials[0].parts().len()).map(|part| {
            let tensors: Vec<Chunk> = partials
                .iter()
                .map(|partial| partial.parts()[part].clone().into())
                .collect();
            let program = Program::new(vec![
                Node::Input {
                    input: 0,
                    parts: tensors[0].dtypes(),
                },
                Node::Input {
                    input: 1,
                    parts: tensors[0].dtypes(),
                },
                Node::Concatenate {
                    xs: vec![NodeId(0), NodeId(1)],
                    axis: 2,
                },
            ]);
            let tables = TableMap::new();
            let inputs: Vec<Window> = tensors.into_iter().map(Window::whole).collect();
            let made = run(&program, &[0], &inputs, &InlineReader::new(&tables), &tables).unwrap();
            made.parts()[0].clone()
        });
        let both = Chunk::new(parts.collect()).unwrap();
        let node = grouped(&reduction, &[1, 2], vec![], Stage::Final);
        let made = evaluate(node, both, 0, &table).unwrap();
        assert_eq!(bits(&made), bits(&wanted), "{}", reduction.name());
    }
}

#[test]
fn labels_that_are_none_are_told() {
    let x: Chunk = values(&mut Random(1), DType::Float64, &[2, 40]).into();
    let reduction = Reduction {
        kind: ReduceKind::Mean,
        skipna: false,
        dtype: DType::Float64,
    };
    let extents = || vec![BlockAxis::Whole { len: 40 }];
    let of = |table: &[u8]| {
        let node = grouped(&reduction, &[1], extents(), Stage::Whole);
        evaluate(node, x.clone(), 0, table).unwrap_err().to_string()
    };
    let mut codes = vec![0; 40];
    codes[7] = 5;
    assert!(of(&encode_codes(&codes)).contains("code 5 of 5 groups"));
    codes[7] = -2;
    assert!(of(&encode_codes(&codes)).contains("code -2 of 5 groups"));
    assert!(of(&encode_codes(&codes[1..])).contains("39 codes for axes"));
    assert!(of(&encode_table(&codes)).contains("side table of codes"));
}
