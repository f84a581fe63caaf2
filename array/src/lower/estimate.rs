//! What a task takes, as far as the plan can tell: upper bounds of bytes, a guess of time.

use graticule_ops::{Contract, Fourier, Node, Program, Side, Stage};

use super::emit::Body;
use crate::expression::SourceTable;

/// What one task of a layer is thought to take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Estimate {
    pub(super) scratch_bytes: u64,
    pub(super) source_bytes: u64,
    pub(super) cost_ns: u64,
}

/// Picoseconds to decode a byte, to pass over a byte in cache, to do a hard function, to select among elements, to sort them, to
/// transform them.
const DECODE_PS: u64 = 1_500;
const PASS_PS: u64 = 100;
const FUNCTION_PS: u64 = 1_500;
const SELECT_PS: u64 = 1_000;
const SORT_PS: u64 = 4_000;
const FOURIER_PS: u64 = 500;
/// To multiply two numbers and add the product.
const PRODUCT_PS: f64 = 100.0;
/// For each element of a factorization and each of a line of it.
const LINALG_PS: f64 = 1_000.0;
/// Bytes of the elements of a product, where it does not matter much.
const ITEM_BYTES: f64 = 8.0;
/// What a task costs that does nothing.
const TASK_NS: u64 = 5_000;

impl Estimate {
    /// Of a layer's program; `sources` finds what the reads read.
    pub(super) fn of<'a>(
        body: &Body,
        source: impl Fn(&graticule_plan::Digest) -> Option<&'a SourceTable>,
    ) -> Self {
        let (mut source_bytes, mut work_ps) = (0u64, 0u64);
        for (node, &bytes) in body.program.nodes.iter().zip(&body.bytes) {
            let read = match node {
                Node::Read(read) => {
                    let table = source(&read.source);
                    let stored = table.map_or(0, |table| stored_bytes(read, table));
                    source_bytes = source_bytes.saturating_add(stored);
                    stored
                }
                _ => 0,
            };
            let operands = node.operands().into_iter().map(|x| body.bytes[x.0 as usize]);
            if let Node::Contract(contract) = node {
                work_ps = work_ps.saturating_add(product_ps(contract, bytes, &body.bytes));
            }
            if let Node::Linalg(step) = node {
                let elements = bytes as f64 / ITEM_BYTES;
                let line = (step.matrix_elements as f64).sqrt();
                work_ps = work_ps.saturating_add((elements * line * LINALG_PS) as u64);
            }
            let passed = operands.fold(bytes, u64::saturating_add);
            let work = read
                .saturating_mul(DECODE_PS)
                .saturating_add(passed.saturating_mul(node_ps(node)));
            work_ps = work_ps.saturating_add(work);
        }
        let scratch_bytes = scratch_bytes(&body.program, &body.bytes);
        Self {
            scratch_bytes,
            source_bytes,
            cost_ns: TASK_NS + work_ps / 1_000,
        }
    }
}

/// Picoseconds for each byte that goes in or comes out.
fn node_ps(node: &Node) -> u64 {
    use graticule_ops::{BinaryOp as B, ReduceKind as R, UnaryOp as U};
    match node {
        Node::Unary { op, .. } => match op {
            U::Negative | U::Positive | U::Absolute | U::Sign | U::Square | U::LogicalNot | U::Invert => {
                PASS_PS
            }
            U::IsNan | U::IsFinite | U::IsInf | U::Floor | U::Ceil | U::Trunc | U::Rint => PASS_PS,
            _ => FUNCTION_PS,
        },
        Node::Binary {
            op: B::Power | B::Arctan2 | B::Hypot,
            ..
        } => FUNCTION_PS,
        Node::Reduce { reduction, .. } | Node::GroupReduce { reduction, .. } => match reduction.kind {
            R::Median | R::Quantile { .. } | R::Mode => SELECT_PS,
            _ => 2 * PASS_PS,
        },
        Node::Sort(_) | Node::Distinct(_) => SORT_PS,
        Node::Fourier(_) => FOURIER_PS,
        Node::Search(_) | Node::Apply(_) => FUNCTION_PS,
        Node::Random(_) => FUNCTION_PS,
        Node::Scan(_) => 2 * PASS_PS,
        _ => PASS_PS,
    }
}

/// Picoseconds for all products of a contraction: as many for each element of the result as there are summed ones.
fn product_ps(Contract { x, y, .. }: &Contract, made: u64, bytes: &[u64]) -> u64 {
    let [x, y] = [x, y].map(|x| bytes[x.0 as usize] as f64);
    let summed = (x * y / (made.max(1) as f64) / ITEM_BYTES).sqrt();
    (made as f64 / ITEM_BYTES * summed * PRODUCT_PS) as u64
}

/// The most stored bytes that a block of a read touches: whole tiles, and what lies between the elements of a step.
fn stored_bytes(read: &graticule_ops::Read, table: &SourceTable) -> u64 {
    let axes = read.axes.iter().zip(&read.selection).zip(&table.tile);
    let along = axes.map(|((axis, selection), &tile)| {
        let extent = axis.extent_max();
        if extent == 0 {
            return 0;
        }
        let spanned = (extent - 1).saturating_mul(selection.step.unsigned_abs()) + 1;
        let is_aligned = selection.start % tile == 0 && spanned % tile == 0;
        if is_aligned || tile == 1 {
            spanned
        } else {
            ((spanned - 1).div_ceil(tile) + 1).saturating_mul(tile)
        }
    });
    along.fold(table.item_bytes, u64::saturating_mul)
}

/// The most bytes that values between inputs and result take at once.
///
/// Elementwise values are computed tile by tile by whoever needs them, so they take nothing and their operands stay
/// until then; the others are dropped after their last use.
fn scratch_bytes(program: &Program, bytes: &[u64]) -> u64 {
    let nodes = &program.nodes;
    let count = nodes.len();
    let is_stored = stored(nodes);
    let mut last_use: Vec<usize> = (0..count).collect();
    for (user, node) in nodes.iter().enumerate().rev() {
        // A value that is never stored needs its operands as long as it is needed itself.
        let until = if is_stored[user] { user } else { last_use[user] };
        node.operands().into_iter().for_each(|x| {
            let last = &mut last_use[x.0 as usize];
            *last = until.max(*last);
        });
    }
    let is_scratch =
        |node: usize| node + 1 != count && is_stored[node] && !matches!(nodes[node], Node::Input { .. });
    let mut dropped_after: Vec<u64> = vec![0; count];
    (0..count)
        .filter(|&node| is_scratch(node))
        .for_each(|node| dropped_after[last_use[node]] += bytes[node]);
    let (mut live, mut peak) = (0u64, 0u64);
    for node in 0..count {
        if is_scratch(node) {
            live = live.saturating_add(bytes[node]);
        }
        peak = peak.max(live.saturating_add(own_scratch(node, nodes, bytes)));
        live = live.saturating_sub(dropped_after[node]);
    }
    peak
}

/// Which values are made in memory: all but elementwise ones that one user computes on the way.
fn stored(nodes: &[Node]) -> Vec<bool> {
    let is_lazy = |node: &Node| {
        matches!(
            node,
            Node::Full { .. }
                | Node::Cast { .. }
                | Node::Unary { .. }
                | Node::Binary { .. }
                | Node::Where { .. }
                | Node::BroadcastTo { .. }
                | Node::ExpandDims { .. }
                | Node::Squeeze { .. }
                | Node::Sliding(_)
                | Node::Slice { .. }
        )
    };
    let mut stored: Vec<bool> = nodes.iter().map(|node| !is_lazy(node)).collect();
    let mut users = vec![0u32; nodes.len()];
    for node in nodes {
        node.operands().into_iter().for_each(|x| users[x.0 as usize] += 1);
    }
    for node in nodes.iter().filter(|node| !is_lazy(node)) {
        let moves = !matches!(node, Node::Reduce { .. } | Node::GroupReduce { .. });
        for x in node.operands().into_iter().map(|x| x.0 as usize) {
            let is_view = matches!(nodes[x], Node::Sliding(_) | Node::Slice { .. });
            stored[x] |= moves || (users[x] > 1 && !is_view);
        }
    }
    for node in nodes {
        // What is cut out of a value is looked at where it lies.
        if let Node::Slice { x, .. } = node {
            stored[x.0 as usize] = true;
        }
    }
    stored
}

/// A tile of elements, which order statistics select in.
const TILE_BYTES: u64 = 1 << 20;

/// The most that a matrix product keeps of its operands in an order of its own.
const PACKED_BYTES: u64 = 4 << 20;

/// What factors and scratch of a transform take, in lines of it, where its length is a prime number.
const FOURIER_LINES: u64 = 12;
const COMPLEX_BYTES: u64 = 16;

/// What a node needs beside operands and result.
fn own_scratch(node: usize, nodes: &[Node], bytes: &[u64]) -> u64 {
    match &nodes[node] {
        Node::Reduce {
            x,
            reduction,
            stage: Stage::Whole,
            ..
        }
        | Node::GroupReduce {
            x,
            reduction,
            stage: Stage::Whole,
            ..
        } if reduction.partial().is_none() => {
            let (elements, results) = (bytes[x.0 as usize], bytes[node].div_ceil(8).max(1));
            let column = elements.div_ceil(results).saturating_mul(2);
            elements.min(column.saturating_add(TILE_BYTES))
        }
        // Unless the user said: a copy of all.
        Node::Apply(apply) => apply.scratch_bytes.unwrap_or_else(|| {
            let operands = apply.operands.iter().map(|operand| bytes[operand.x.0 as usize]);
            operands.fold(bytes[node], u64::saturating_add)
        }),
        // One matrix after the other: it, its factors, and what they are made in.
        Node::Linalg(step) => step.matrix_elements.saturating_mul(3 * ITEM_BYTES as u64),
        // Where runs of the mask begin and end.
        Node::Compress(step) => bytes[step.mask.0 as usize].saturating_mul(8),
        // Keys with positions, the numbers beside them, and what is made.
        Node::Distinct(step) => {
            let keys = step.source.extent_max().saturating_mul(48);
            keys.saturating_add(bytes[step.x.0 as usize].saturating_mul(3))
        }
        // Lines side by side as they come and as they go, and one line's factors and scratch.
        Node::Fourier(Fourier { transform, .. }) => {
            let lines = transform.lines().saturating_mul(2).saturating_add(FOURIER_LINES);
            transform.len.saturating_mul(lines).saturating_mul(COMPLEX_BYTES)
        }
        // A line, and positions in it.
        Node::Sort(sort) => sort.len_max.saturating_mul(16),
        Node::Contract(Contract {
            x,
            y,
            ndims,
            contraction,
        }) => {
            let (left, right) = (bytes[x.0 as usize], bytes[y.0 as usize]);
            let copied = |side, ndim, bytes| {
                if contraction.must_transpose(side, ndim) {
                    bytes
                } else {
                    0
                }
            };
            copied(Side::Left, ndims.0, left)
                .saturating_add(copied(Side::Right, ndims.1, right))
                .saturating_add(left.saturating_add(right).saturating_mul(2).min(PACKED_BYTES))
        }
        _ => 0,
    }
}
