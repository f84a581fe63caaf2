//! One function, compiled for more than one instruction set and chosen when it runs.

/// A computation that the compiler should vectorise.
///
/// `run` must be `#[inline(always)]`, and so must what it calls in its loops: only inlined code is compiled for the wider
/// instruction set. No variant may give other bytes: nothing here enables fused multiply-add.
pub(crate) trait Kernel {
    type Output;

    fn run(self) -> Self::Output;
}

/// Runs a kernel with the widest instruction set of this host that it is compiled for.
#[inline]
pub(crate) fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(test)]
    if tests::IS_PLAIN.get() {
        return kernel.run();
    }
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the host has the feature that the function is compiled for.
        #[allow(unsafe_code)]
        return unsafe { run_avx2(kernel) };
    }
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, collections::BTreeMap};

    use graticule_ops::{BinaryOp, Node, NodeId, Program, ReduceKind, Reduction, Stage, UnaryOp};
    use graticule_plan::DType;

    use crate::{Chunk, InlineReader, Tensor, Window};

    thread_local! {
        /// Whether this thread does without the wider instruction sets.
        pub(super) static IS_PLAIN: Cell<bool> = const { Cell::new(false) };
    }

    fn values(shape: &[usize]) -> Tensor {
        let mut state = 7u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let value = (state >> 11) as f64 / 1e12 - 4000.0;
            if state.is_multiple_of(29) { f64::NAN } else { value }
        };
        let n: usize = shape.iter().product();
        Tensor::from_vec(shape, (0..n).map(|_| next()).collect()).expect("as many as the shape says")
    }

    fn program(dtype: DType, kind: ReduceKind, axis: usize, skipna: bool) -> Program {
        let reduction = Reduction { kind, skipna, dtype };
        let (axes, stage) = (vec![axis], Stage::Whole);
        let whole = graticule_ops::BlockAxis::Whole {
            len: [37, 1001][axis],
        };
        let positions = if reduction.kind == ReduceKind::ArgMax {
            vec![whole]
        } else {
            vec![]
        };
        Program::new(vec![
            Node::Input {
                input: 0,
                parts: vec![DType::Float64],
            },
            Node::Unary {
                op: UnaryOp::Square,
                x: NodeId(0),
            },
            Node::Binary {
                op: BinaryOp::Subtract,
                x: NodeId(1),
                y: NodeId(0),
            },
            Node::Cast { x: NodeId(2), dtype },
            Node::Reduce {
                x: NodeId(3),
                reduction,
                axes,
                keepdims: false,
                stage,
                positions,
            },
        ])
    }

    #[test]
    fn instruction_sets_give_the_same_bytes() {
        let x = values(&[37, 1001]);
        let evaluate = |program: &Program, is_plain: bool| {
            IS_PLAIN.set(is_plain);
            let tables = BTreeMap::new();
            let windows = [Window::whole(Chunk::from(x.clone()))];
            let made = crate::run(program, &[], &windows, &InlineReader::new(&tables), &tables);
            IS_PLAIN.set(false);
            made.expect("a valid program")
        };
        let kinds = [
            ReduceKind::Sum,
            ReduceKind::Prod,
            ReduceKind::Mean,
            ReduceKind::Std { ddof: 0 },
            ReduceKind::Min,
            ReduceKind::Count,
            ReduceKind::ArgMax,
            ReduceKind::Median,
            ReduceKind::Quantile { qs: vec![0.1, 0.77] },
        ];
        for kind in kinds {
            for dtype in [DType::Float64, DType::Float32, DType::UInt16, DType::Int64] {
                for (axis, skipna) in [(0, false), (1, false), (0, true), (1, true)] {
                    let program = program(dtype, kind.clone(), axis, skipna);
                    let (wide, plain) = (evaluate(&program, false), evaluate(&program, true));
                    assert_eq!(wide, plain, "{kind:?} of {dtype} over axis {axis}");
                }
            }
        }
    }
}
