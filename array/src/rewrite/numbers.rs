//! Rewrites of arithmetic that change no bit: with numbers, and with itself.
//!
//! Floats are neither reordered nor taken apart: -0, infinities and NaN stay what they are.

use graticule_ops::{BinaryOp, Scalar, UnaryOp};
use graticule_plan::{DType, Kind};

use crate::{
    creation::small,
    expression::Op,
    graph::{Graph, NodeIx},
};

/// The most operations that are looked through for one that may fail.
const LOOKED_THROUGH_MAX: usize = 64;

/// The value of an array of one.
fn number(graph: &Graph, ix: NodeIx) -> Option<Scalar> {
    match graph.op(ix) {
        Op::Constant(value) | Op::Full(value) => Some(*value),
        _ => None,
    }
}

/// Makes the node an array of one value.
fn set_number(graph: &mut Graph, ix: NodeIx, value: Scalar) {
    let op = match graph.grid(ix).ndim() {
        0 => Op::Constant(value),
        _ => Op::Full(value),
    };
    graph.set(ix, op, vec![]);
}

/// Puts `x`, which has the node's dtype and broadcasts to its shape, in its place.
fn set_operand(graph: &mut Graph, ix: NodeIx, x: NodeIx) {
    match number(graph, x) {
        Some(value) => set_number(graph, ix, value),
        None if graph.grid(ix) == graph.grid(x) => graph.replace(ix, x),
        None => graph.set(ix, Op::BroadcastTo, vec![x]),
    }
}

/// Whether something before `x` may fail, so that leaving it out would hide an error.
fn may_fail(graph: &Graph, x: NodeIx) -> bool {
    let (mut left, mut seen) = (vec![x], Vec::new());
    while let Some(ix) = left.pop() {
        if seen.contains(&ix) {
            continue;
        }
        seen.push(ix);
        let is_sure = match graph.op(ix) {
            // A file that need not be read need not be there.
            Op::Source { .. } => true,
            Op::Constant(_) | Op::Full(_) | Op::Arange { .. } | Op::Random(_) | Op::Held(_) => true,
            Op::Slice(_) | Op::Rechunk | Op::Concatenate(_) | Op::Take { .. } | Op::Windows(_) => true,
            Op::Transpose(_) | Op::ExpandDims(_) | Op::Squeeze(_) | Op::BroadcastTo | Op::Reshape(_) => true,
            op => op.is_elementwise(),
        };
        if !is_sure || seen.len() > LOOKED_THROUGH_MAX {
            return true;
        }
        left.extend(&graph.node(ix).operands);
    }
    false
}

/// Times have NaT and units, and are left as they are written.
fn has_times(graph: &Graph, ix: NodeIx) -> bool {
    let node = graph.node(ix);
    node.dtype.is_time() || node.operands.iter().any(|&x| graph.node(x).dtype.is_time())
}

fn unary(graph: &Graph, ix: NodeIx) -> Option<(UnaryOp, NodeIx)> {
    match graph.op(ix) {
        Op::Unary(op) if !has_times(graph, ix) => Some((*op, graph.operand(ix, 0))),
        _ => None,
    }
}

fn binary(graph: &Graph, ix: NodeIx) -> Option<(BinaryOp, NodeIx, NodeIx)> {
    match graph.op(ix) {
        Op::Binary(op) if !has_times(graph, ix) => Some((*op, graph.operand(ix, 0), graph.operand(ix, 1))),
        _ => None,
    }
}

/// `-(-x)`, `~~x`, `not (a == b)`, `+x`.
pub(super) fn double_negation(graph: &mut Graph, ix: NodeIx) -> bool {
    use UnaryOp::{Conjugate, Invert, LogicalNot, Negative, Positive};
    let Some((op, x)) = unary(graph, ix) else {
        return false;
    };
    let is_not =
        |op: UnaryOp, x: NodeIx| matches!(op, LogicalNot | Invert) && graph.node(x).dtype == DType::Bool;
    if op == Positive {
        graph.replace(ix, x);
        return true;
    }
    if let Some((before, inner)) = unary(graph, x) {
        let cancels = op == before && matches!(op, Negative | Invert | Conjugate);
        if cancels || (is_not(op, x) && is_not(before, inner)) {
            graph.replace(ix, inner);
            return true;
        }
    }
    let opposite = binary(graph, x)
        .filter(|_| is_not(op, x))
        .and_then(|(comparison, a, _)| opposite(comparison, graph.node(a).dtype));
    let Some(opposite) = opposite else { return false };
    let operands = graph.node(x).operands.clone();
    graph.set(ix, Op::Binary(opposite), operands);
    true
}

/// The comparison that is true where this one is false. Of floats neither `<` nor `>=` is true of NaN.
fn opposite(comparison: BinaryOp, dtype: DType) -> Option<BinaryOp> {
    use BinaryOp::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
    match comparison {
        Equal => Some(NotEqual),
        NotEqual => Some(Equal),
        _ if dtype.is_inexact() => None,
        Less => Some(GreaterEqual),
        GreaterEqual => Some(Less),
        Greater => Some(LessEqual),
        LessEqual => Some(Greater),
        _ => None,
    }
}

/// Rounding of what is round, magnitudes of magnitudes, signs of signs, the real part of real numbers.
pub(super) fn repeated_function(graph: &mut Graph, ix: NodeIx) -> bool {
    use UnaryOp::{Absolute, Ceil, Conjugate, Floor, Real, Rint, Sign, Trunc};
    let Some((op, x)) = unary(graph, ix) else {
        return false;
    };
    let dtype = graph.node(x).dtype;
    if dtype.is_complex() || dtype != graph.node(ix).dtype {
        return false;
    }
    let rounds = |op: UnaryOp| matches!(op, Floor | Ceil | Trunc | Rint);
    let before = unary(graph, x).map(|(before, _)| before);
    let changes_nothing = match op {
        Real | Conjugate => true,
        op if rounds(op) => !dtype.is_inexact() || before.is_some_and(rounds),
        Absolute => before == Some(Absolute) || matches!(dtype.kind(), Kind::Unsigned | Kind::Bool),
        Sign => before == Some(Sign),
        _ => false,
    };
    if changes_nothing {
        graph.replace(ix, x);
    }
    changes_nothing
}

/// `minimum(x, x)`, `x & x`, `x - x` and `x == x` of integers, `where(c, x, x)`.
pub(super) fn same_operands(graph: &mut Graph, ix: NodeIx) -> bool {
    use BinaryOp as B;
    if matches!(graph.op(ix), Op::Where) {
        let (condition, x, y) = (graph.operand(ix, 0), graph.operand(ix, 1), graph.operand(ix, 2));
        let is_same = x == y && !may_fail(graph, condition);
        if is_same {
            set_operand(graph, ix, x);
        }
        return is_same;
    }
    let Some((op, x, y)) = binary(graph, ix) else {
        return false;
    };
    let dtype = graph.node(x).dtype;
    if x != y || dtype.is_complex() {
        return false;
    }
    let is_bool = dtype == DType::Bool;
    let value = match op {
        B::Minimum | B::Maximum | B::Fmin | B::Fmax | B::BitwiseAnd | B::BitwiseOr => None,
        B::LogicalAnd | B::LogicalOr if is_bool => None,
        _ if dtype.is_inexact() => return false,
        B::Subtract | B::BitwiseXor => Some(small(0, dtype)),
        B::Equal | B::LessEqual | B::GreaterEqual => Some(Scalar::Bool(true)),
        B::NotEqual | B::Less | B::Greater | B::LogicalXor => Some(Scalar::Bool(false)),
        _ => return false,
    };
    match value {
        None => graph.replace(ix, x),
        Some(_) if may_fail(graph, x) => return false,
        Some(value) => set_number(graph, ix, value),
    }
    true
}

/// An operation on an array and a number; whether the number stands first.
fn with_number(graph: &Graph, ix: NodeIx) -> Option<(BinaryOp, NodeIx, Scalar, bool)> {
    let (op, x, y) = binary(graph, ix)?;
    match (number(graph, x), number(graph, y)) {
        (None, Some(value)) => Some((op, x, value, false)),
        (Some(value), None) => Some((op, y, value, true)),
        _ => None,
    }
}

/// All bits of an integer set, or true.
fn is_all_ones(value: Scalar) -> bool {
    match value.dtype().kind() {
        Kind::Unsigned => value.as_int() == Some((1 << (8 * value.dtype().size_bytes())) - 1),
        Kind::Signed => value.as_int() == Some(-1),
        Kind::Bool => value.as_int() == Some(1),
        Kind::Float | Kind::Complex | Kind::TimeDelta | Kind::DateTime => false,
    }
}

/// `x + 0`, `x * 1`, `x | 0`, `x and True` and so on. Of floats 0 is no neutral summand, but -0 is: 0 turns -0 into 0.
pub(super) fn neutral_number(graph: &mut Graph, ix: NodeIx) -> bool {
    use BinaryOp as B;
    let Some((op, x, value, is_first)) = with_number(graph, ix) else {
        return false;
    };
    if graph.grid(ix) != graph.grid(x) || graph.node(ix).dtype != graph.node(x).dtype {
        return false;
    }
    let is_int = |int: i128| value.as_int() == Some(int);
    let is_float = |float: f64| value.dtype().is_float() && value.as_f64().to_bits() == float.to_bits();
    let is_neutral = match op {
        B::Add => is_int(0) || is_float(-0.0),
        B::Multiply => is_int(1) || is_float(1.0),
        B::BitwiseOr | B::BitwiseXor | B::LogicalOr | B::LogicalXor => is_int(0),
        B::BitwiseAnd => is_all_ones(value),
        B::LogicalAnd => is_int(1),
        B::Subtract if !is_first => is_int(0) || is_float(0.0),
        B::Divide if !is_first => is_float(1.0),
        B::FloorDivide | B::Power if !is_first => is_int(1),
        B::LeftShift | B::RightShift if !is_first => is_int(0),
        _ => false,
    };
    if is_neutral {
        graph.replace(ix, x);
    }
    is_neutral
}

/// `x * 0` of integers, `x & 0`, `x and False`, `x or True`, an unsigned `x < 0`.
pub(super) fn absorbing_number(graph: &mut Graph, ix: NodeIx) -> bool {
    use BinaryOp as B;
    let Some((op, x, value, is_first)) = with_number(graph, ix) else {
        return false;
    };
    let dtype = graph.node(ix).dtype;
    let is_zero = value.as_int() == Some(0);
    let is_natural = graph.node(x).dtype.kind() == Kind::Unsigned;
    let result = match op {
        B::Multiply | B::BitwiseAnd if is_zero => Some(small(0, dtype)),
        B::BitwiseOr if is_all_ones(value) => Some(value),
        B::LogicalAnd if is_zero => Some(Scalar::Bool(false)),
        B::LogicalOr if value.as_int().is_some_and(|int| int != 0) => Some(Scalar::Bool(true)),
        B::Less if is_natural && is_zero && !is_first => Some(Scalar::Bool(false)),
        B::GreaterEqual if is_natural && is_zero && !is_first => Some(Scalar::Bool(true)),
        _ => None,
    };
    let Some(result) = result.filter(|_| !may_fail(graph, x)) else {
        return false;
    };
    set_number(graph, ix, result);
    true
}

/// `(x + a) + b` and `(x * a) * b` of integers.
pub(super) fn merge_numbers(graph: &mut Graph, ix: NodeIx) -> bool {
    let sum_or_product =
        |ix| with_number(graph, ix).filter(|(op, ..)| matches!(op, BinaryOp::Add | BinaryOp::Multiply));
    let Some((op, x, outer, _)) = sum_or_product(ix) else {
        return false;
    };
    let Some((inner_op, innermost, inner, _)) = sum_or_product(x) else {
        return false;
    };
    let (Some(a), Some(b)) = (inner.as_int(), outer.as_int()) else {
        return false;
    };
    if inner_op != op || outer.dtype() == DType::Bool || graph.grid(innermost) != graph.grid(ix) {
        return false;
    }
    let together = match op {
        BinaryOp::Add => a + b,
        _ => a.wrapping_mul(b),
    };
    let constant = wrap(together, outer.dtype());
    let number = {
        let scalar = crate::Array::scalar(constant);
        let grid = scalar.chunks().clone();
        graph.add(Op::Constant(constant), vec![], constant.dtype(), grid)
    };
    graph.set(ix, Op::Binary(op), vec![innermost, number]);
    true
}

/// What is made of numbers alone, where that is one number whatever computes it.
pub(super) fn fold_numbers(graph: &mut Graph, ix: NodeIx) -> bool {
    if has_times(graph, ix) {
        return false;
    }
    let node = graph.node(ix);
    let values: Option<Vec<Scalar>> = node.operands.iter().map(|&x| number(graph, x)).collect();
    let folded = match (&node.op, values.as_deref()) {
        (Op::Cast, Some(&[x])) => cast_exactly(x, node.dtype),
        (Op::Unary(op), Some(&[x])) => of_one(*op, x),
        (Op::Binary(op), Some(&[x, y])) => of_two(*op, x, y),
        _ => None,
    };
    let Some(value) = folded.filter(|value| value.dtype() == node.dtype) else {
        return false;
    };
    set_number(graph, ix, value);
    true
}

fn of_one(op: UnaryOp, x: Scalar) -> Option<Scalar> {
    let dtype = x.dtype();
    if dtype.is_complex() {
        return None;
    }
    match (op, x.as_int()) {
        (UnaryOp::LogicalNot, _) => Some(Scalar::Bool(x.as_f64() == 0.0)),
        (UnaryOp::IsNan, _) => Some(Scalar::Bool(x.is_nan())),
        (_, _) if dtype == DType::Bool => None,
        (UnaryOp::Negative, Some(int)) => Some(wrap(-int, dtype)),
        (UnaryOp::Negative, None) => Scalar::from_float(-x.as_f64(), dtype),
        (UnaryOp::Absolute, Some(int)) => Some(wrap(int.abs(), dtype)),
        (UnaryOp::Absolute, None) => Scalar::from_float(x.as_f64().abs(), dtype),
        _ => None,
    }
}

fn of_two(op: BinaryOp, x: Scalar, y: Scalar) -> Option<Scalar> {
    let dtype = x.dtype();
    if dtype.is_complex() || y.dtype() != dtype {
        return None;
    }
    match (x.as_int(), y.as_int()) {
        (Some(x), Some(y)) => of_integers(op, x, y, dtype),
        _ => of_floats(op, x.as_f64(), y.as_f64(), dtype),
    }
}

fn of_integers(op: BinaryOp, x: i128, y: i128, dtype: DType) -> Option<Scalar> {
    use BinaryOp as B;
    let truth = match op {
        B::LogicalAnd => Some(x != 0 && y != 0),
        B::LogicalOr => Some(x != 0 || y != 0),
        _ => compared(op, &x, &y),
    };
    if let Some(truth) = truth {
        return Some(Scalar::Bool(truth));
    }
    if dtype == DType::Bool {
        return None;
    }
    let value = match op {
        B::Add => x + y,
        B::Subtract => x - y,
        B::Multiply => x.wrapping_mul(y),
        B::Minimum => x.min(y),
        B::Maximum => x.max(y),
        B::BitwiseAnd => x & y,
        B::BitwiseOr => x | y,
        B::BitwiseXor => x ^ y,
        _ => return None,
    };
    Some(wrap(value, dtype))
}

/// The four operations that are exact up to one rounding, in the operands' own dtype.
fn of_floats(op: BinaryOp, x: f64, y: f64, dtype: DType) -> Option<Scalar> {
    use BinaryOp as B;
    if let Some(truth) = compared(op, &x, &y) {
        return Some(Scalar::Bool(truth));
    }
    let wide: fn(f64, f64) -> f64 = match op {
        B::Add => |x, y| x + y,
        B::Subtract => |x, y| x - y,
        B::Multiply => |x, y| x * y,
        B::Divide => |x, y| x / y,
        _ => return None,
    };
    // Of two float32 the float64 result of these, rounded once more, is the float32 one.
    Scalar::from_float(wide(x, y), dtype)
}

fn compared<T: PartialOrd>(op: BinaryOp, x: &T, y: &T) -> Option<bool> {
    match op {
        BinaryOp::Equal => Some(x == y),
        BinaryOp::NotEqual => Some(x != y),
        BinaryOp::Less => Some(x < y),
        BinaryOp::LessEqual => Some(x <= y),
        BinaryOp::Greater => Some(x > y),
        BinaryOp::GreaterEqual => Some(x >= y),
        _ => None,
    }
}

/// `where(True, x, y)`.
pub(super) fn known_condition(graph: &mut Graph, ix: NodeIx) -> bool {
    if !matches!(graph.op(ix), Op::Where) {
        return false;
    }
    let Some(Scalar::Bool(is_true)) = number(graph, graph.operand(ix, 0)) else {
        return false;
    };
    let (chosen, other) = if is_true { (1, 2) } else { (2, 1) };
    if may_fail(graph, graph.operand(ix, other)) {
        return false;
    }
    let chosen = graph.operand(ix, chosen);
    set_operand(graph, ix, chosen);
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
}
