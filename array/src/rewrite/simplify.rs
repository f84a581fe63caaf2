//! Rewrites that leave fewer operations.

use graticule_ops::{BinaryOp, Scalar};
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

/// Rechunks to the same chunks, slices of everything, conversions to the same dtype.
pub(super) fn drop_no_ops(graph: &mut Graph, ix: NodeIx) -> bool {
    let node = graph.node(ix);
    let Some(&x) = node.operands.first() else {
        return false;
    };
    let operand = graph.node(x);
    let same_grid = || {
        let mut cuts = node.grid.axes().iter().zip(operand.grid.axes());
        cuts.all(|(a, b)| same_cuts(a, b))
    };
    match &node.op {
        Op::Rechunk if same_grid() => graph.replace(ix, x),
        Op::Cast if node.dtype == operand.dtype => graph.replace(ix, x),
        Op::Slice(selections) if is_whole(selections, &operand.grid.shape()) => {
            graph.set(ix, Op::Rechunk, vec![x]);
        }
        Op::BroadcastTo if node.grid.shape() == operand.grid.shape() => graph.set(ix, Op::Rechunk, vec![x]),
        Op::Transpose(order) if order.is_sorted() => graph.replace(ix, x),
        Op::Concatenate(_) if node.operands.len() == 1 => graph.set(ix, Op::Rechunk, vec![x]),
        _ => return false,
    }
    true
}

/// Transposes of transposes, squeezes of added axes, conversions after exact ones.
pub(super) fn merge_views(graph: &mut Graph, ix: NodeIx) -> bool {
    let node = graph.node(ix);
    let Some(&x) = node.operands.first() else {
        return false;
    };
    let operand = graph.node(x);
    let Some(&inner) = operand.operands.first() else {
        return match (&node.op, &operand.op) {
            (Op::Cast, Op::Constant(value)) => match cast_exactly(*value, node.dtype) {
                Some(value) => {
                    graph.set(ix, Op::Constant(value), vec![]);
                    true
                }
                None => false,
            },
            (Op::Cast, Op::Full(value)) => match cast_exactly(*value, node.dtype) {
                Some(value) => {
                    graph.set(ix, Op::Full(value), vec![]);
                    true
                }
                None => false,
            },
            _ => false,
        };
    };
    match (&node.op, &operand.op) {
        (Op::Transpose(outer), Op::Transpose(order)) => {
            let order = outer.iter().map(|&axis| order[axis]).collect();
            graph.set(ix, Op::Transpose(order), vec![inner]);
        }
        (Op::Squeeze(gone), Op::ExpandDims(new)) if gone == new => graph.replace(ix, inner),
        (Op::Cast, Op::Cast) if holds_all(graph.node(inner).dtype, operand.dtype) => {
            graph.set(ix, Op::Cast, vec![inner]);
        }
        _ => return false,
    }
    true
}

/// The number in another dtype where that loses nothing.
fn cast_exactly(value: Scalar, dtype: DType) -> Option<Scalar> {
    match value.as_int() {
        Some(int) if dtype.kind() == Kind::Bool => Scalar::from_int(i128::from(int != 0), dtype),
        // Float mantissas hold every integer of this size.
        Some(int) if dtype.is_inexact() && int.unsigned_abs() > 1 << 24 => None,
        Some(_) if dtype.is_time() => None,
        Some(int) => Scalar::from_int(int, dtype),
        // Of complex numbers the imaginary part would have to be looked at.
        None if dtype == DType::Float64 && value.dtype().is_float() && !value.is_nan() => {
            Scalar::from_float(value.as_f64(), dtype)
        }
        None => None,
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

/// `(x + a) + b` and `(x * a) * b` of integers, `x + 0`, `x * 1`.
pub(super) fn fold_constants(graph: &mut Graph, ix: NodeIx) -> bool {
    let Some((op, x, outer)) = with_constant(graph, ix) else {
        return false;
    };
    let Some(b) = outer.as_int() else {
        // Of floats only the factor 1 changes nothing: adding 0 turns -0 into 0.
        // A complex factor makes NaN of an infinite part.
        let is_one = op == BinaryOp::Multiply && outer.dtype().is_float() && outer.as_f64() == 1.0;
        return is_one && keep_operand(graph, ix, x);
    };
    let neutral = if op == BinaryOp::Add { 0 } else { 1 };
    if b == neutral && outer.dtype() != DType::Bool {
        return keep_operand(graph, ix, x);
    }
    let Some((inner_op, innermost, inner)) = with_constant(graph, x) else {
        return false;
    };
    let (Some(a), true, true) = (inner.as_int(), inner_op == op, outer.dtype() != DType::Bool) else {
        return false;
    };
    let together = if op == BinaryOp::Add {
        a + b
    } else {
        a.wrapping_mul(b)
    };
    let constant = wrap(together, outer.dtype());
    let number = {
        let scalar = crate::Array::scalar(constant);
        graph.add(
            Op::Constant(constant),
            vec![],
            constant.dtype(),
            scalar.chunks().clone(),
        )
    };
    graph.set(ix, Op::Binary(op), vec![innermost, number]);
    true
}

fn keep_operand(graph: &mut Graph, ix: NodeIx, x: NodeIx) -> bool {
    if graph.grid(ix) != graph.grid(x) {
        return false;
    }
    graph.replace(ix, x);
    true
}

/// The parts of a sum or a product of something with a number.
fn with_constant(graph: &Graph, ix: NodeIx) -> Option<(BinaryOp, NodeIx, Scalar)> {
    let node = graph.node(ix);
    let Op::Binary(op @ (BinaryOp::Add | BinaryOp::Multiply)) = node.op else {
        return None;
    };
    let [x, y] = node.operands[..] else { return None };
    match (graph.op(x), graph.op(y)) {
        (_, &Op::Constant(value)) => Some((op, x, value)),
        (&Op::Constant(value), _) => Some((op, y, value)),
        _ => None,
    }
}

/// The integer that `value` wraps to.
fn wrap(value: i128, dtype: DType) -> Scalar {
    let bits = 8 * dtype.size_bytes();
    let low = value.rem_euclid(1 << bits);
    let signed = dtype.kind() == Kind::Signed && low >= 1 << (bits - 1);
    Scalar::from_int(if signed { low - (1 << bits) } else { low }, dtype).expect("wrapped into range")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_wrap_into_their_dtype() {
        assert_eq!(wrap(300, DType::UInt8), Scalar::UInt8(44));
        assert_eq!(wrap(200, DType::Int8), Scalar::Int8(-56));
        assert_eq!(wrap(-1, DType::UInt64), Scalar::UInt64(u64::MAX));
        assert_eq!(
            wrap(i128::from(i64::MAX) + 1, DType::Int64),
            Scalar::Int64(i64::MIN)
        );
    }

    #[test]
    fn float32_holds_16_bit_integers_but_not_wider_ones() {
        assert!(holds_all(DType::UInt16, DType::Float32));
        assert!(!holds_all(DType::Int32, DType::Float32));
        assert!(holds_all(DType::Int32, DType::Float64));
        assert!(!holds_all(DType::Int8, DType::UInt64));
        assert!(!holds_all(DType::Float32, DType::Int64));
    }
}
