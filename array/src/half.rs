//! Float16, which is stored and moved as it is and computed in float32.

use graticule_ops::{BinaryOp, Scalar, UnaryOp};
use graticule_plan::{ChunkGrid, DType};

use crate::{
    Array,
    expression::{GroupReduce, Op, Reduce, Reducing},
};

/// The operation on float32 where an operand is float16, its result rounded to float16 where `dtype` is that; `None` if none
/// is, or nothing is computed.
///
/// So each operation rounds once, as NumPy's loops do, and kernels have none of their own. Conversions are fused with what is
/// before and after them: in a task float16 is what it reads and what it leaves.
pub(crate) fn widened(op: &Op, operands: &[Array], dtype: DType, grid: &ChunkGrid) -> Option<Array> {
    if !operands.iter().any(|x| x.dtype() == DType::Float16) || is_moved(op) {
        return None;
    }
    let operands = operands.iter().map(wide).collect();
    let made = if dtype == DType::Float16 {
        DType::Float32
    } else {
        dtype
    };
    let result = Array::new(wide_op(op), operands, made, grid.clone());
    Some(result.astype(dtype).expect("every dtype converts to every other"))
}

fn wide(x: &Array) -> Array {
    match (&x.0.op, x.dtype()) {
        (Op::Constant(value), DType::Float16) => Array::scalar(Scalar::Float32(value.as_f64() as f32)),
        (_, DType::Float16) => x
            .astype(DType::Float32)
            .expect("every dtype converts to every other"),
        _ => x.clone(),
    }
}

/// Whether elements come through as they are, or the kernel has the operation for float16: those two that depend on how far
/// apart its values lie.
fn is_moved(op: &Op) -> bool {
    match op {
        Op::Unary(UnaryOp::Spacing) | Op::Binary(BinaryOp::Nextafter) => true,
        Op::Source { .. }
        | Op::Held(_)
        | Op::Constant(_)
        | Op::Full(_)
        | Op::Arange { .. }
        | Op::Random(_)
        | Op::Cast
        | Op::Where
        | Op::Slice(_)
        | Op::Take { .. }
        | Op::Transpose(_)
        | Op::ExpandDims(_)
        | Op::Squeeze(_)
        | Op::BroadcastTo
        | Op::Reshape(_)
        | Op::Windows(_)
        | Op::Sliding { .. }
        | Op::TakeAlong(_)
        | Op::Concatenate(_)
        | Op::Rechunk
        | Op::CountTrue
        | Op::Compress(_)
        | Op::Compact(_)
        | Op::Apply(_)
        | Op::Part(_) => true,
        Op::Unary(_)
        | Op::Binary(_)
        | Op::Reduce(_)
        | Op::GroupReduce(_)
        | Op::Sort(_)
        | Op::Search(_)
        | Op::Count(_)
        | Op::Distinct(_)
        | Op::Contract { .. }
        | Op::Linalg(_)
        | Op::Fourier(_)
        | Op::Scan(..)
        | Op::Partial(_)
        | Op::Combine(..)
        | Op::Finish(_) => false,
    }
}

/// The operation where it names the dtype of its elements.
fn wide_op(op: &Op) -> Op {
    let wide = |reducing: &Reducing| {
        let mut reduction = reducing.0.clone();
        reduction.dtype = DType::Float32;
        Reducing(reduction)
    };
    match op {
        Op::Reduce(reduce) => Op::Reduce(Reduce {
            reduction: wide(&reduce.reduction),
            ..reduce.clone()
        }),
        Op::GroupReduce(group) => Op::GroupReduce(GroupReduce {
            reduction: wide(&group.reduction),
            ..group.clone()
        }),
        Op::Scan(scan, part) => {
            let mut scan = *scan;
            scan.dtype = DType::Float32;
            Op::Scan(scan, *part)
        }
        other => other.clone(),
    }
}
