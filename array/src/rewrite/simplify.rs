//! Rewrites that leave fewer operations.

use graticule_plan::{DType, Kind};

use crate::{
    creation::small,
    expression::Op,
    graph::{Graph, NodeIx},
    infer::same_cuts,
    selection::is_whole,
};

/// An array without elements is one of zeros.
pub(super) fn empty_array(graph: &mut Graph, ix: NodeIx) -> bool {
    let node = graph.node(ix);
    if matches!(node.op, Op::Full(_)) || node.grid.element_count() > 0 {
        return false;
    }
    let zero = small(0, node.dtype);
    graph.set(ix, Op::Full(zero), vec![]);
    true
}

/// Rechunks to the same chunks.
pub(super) fn drop_same_chunks(graph: &mut Graph, ix: NodeIx) -> bool {
    let node = graph.node(ix);
    let (Op::Rechunk | Op::Compact(_), Some(&x)) = (&node.op, node.operands.first()) else {
        return false;
    };
    let mut cuts = node.grid.axes().iter().zip(graph.grid(x).axes());
    let is_same = cuts.all(|(a, b)| same_cuts(a, b));
    if is_same {
        graph.replace(ix, x);
    }
    is_same
}

/// Slices of everything, broadcasts to the same shape, transposes that keep the order, joins of one array.
pub(super) fn drop_whole_views(graph: &mut Graph, ix: NodeIx) -> bool {
    let node = graph.node(ix);
    let Some(&x) = node.operands.first() else {
        return false;
    };
    let shape = graph.grid(x).shape();
    match &node.op {
        Op::Slice(selections) if is_whole(selections, &shape) => graph.set(ix, Op::Rechunk, vec![x]),
        Op::BroadcastTo if node.grid.shape() == shape => graph.set(ix, Op::Rechunk, vec![x]),
        Op::Transpose(order) if order.is_sorted() => graph.replace(ix, x),
        Op::Concatenate(_) if node.operands.len() == 1 => graph.set(ix, Op::Rechunk, vec![x]),
        _ => return false,
    }
    true
}

/// Conversions to the same dtype, and those after exact ones.
pub(super) fn merge_casts(graph: &mut Graph, ix: NodeIx) -> bool {
    let node = graph.node(ix);
    let (Op::Cast, Some(&x)) = (&node.op, node.operands.first()) else {
        return false;
    };
    let operand = graph.node(x);
    if node.dtype == operand.dtype {
        graph.replace(ix, x);
        return true;
    }
    match (&operand.op, operand.operands.first()) {
        (Op::Cast, Some(&inner)) if holds_all(graph.node(inner).dtype, operand.dtype) => {
            graph.set(ix, Op::Cast, vec![inner]);
            true
        }
        _ => false,
    }
}

/// Whether every value of `from` is a value of `to`, so that a conversion by way of `to` is a direct one.
fn holds_all(from: DType, to: DType) -> bool {
    let bits = |dtype: DType| 8 * dtype.size_bytes();
    match (from.kind(), to.kind()) {
        // What a number of units is in others is not what the number is.
        (Kind::TimeDelta | Kind::DateTime, _) | (_, Kind::TimeDelta | Kind::DateTime) => false,
        (Kind::Bool, _) => true,
        (_, Kind::Bool) => false,
        (Kind::Unsigned, Kind::Unsigned)
        | (Kind::Signed, Kind::Signed)
        | (Kind::Float, Kind::Float)
        | (Kind::Complex, Kind::Complex) => bits(from) <= bits(to),
        (Kind::Unsigned, Kind::Signed) => bits(from) < bits(to),
        (Kind::Signed | Kind::Float, Kind::Unsigned) | (Kind::Float, Kind::Signed) => false,
        // What an imaginary part is worth is lost on the way to a real dtype, and makes the same true or false.
        (Kind::Complex, _) => false,
        (_, Kind::Complex) => holds_all(from, to.real()),
        // A float of n bits has a mantissa of more than n / 2.
        (Kind::Unsigned | Kind::Signed, Kind::Float) => 2 * bits(from) <= bits(to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn float32_holds_16_bit_integers_but_not_wider_ones() {
        assert!(holds_all(DType::UInt16, DType::Float32));
        assert!(!holds_all(DType::Int32, DType::Float32));
        assert!(holds_all(DType::Int32, DType::Float64));
        assert!(!holds_all(DType::Int8, DType::UInt64));
        assert!(!holds_all(DType::Float32, DType::Int64));
    }
}
