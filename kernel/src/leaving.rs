//! Which values of a program others may see when its task is over.

use graticule_ops::{Node, Program, ZARR_WRITER};

/// For each node whether its memory may become that of the result, or goes to a user's function, which may run in another
/// process. All else ends with the task.
pub(crate) fn nodes_that_leave(program: &Program) -> Vec<bool> {
    let nodes = &program.nodes;
    let mut leaves = vec![false; nodes.len()];
    if let Some(result) = leaves.last_mut() {
        *result = true;
    }
    // Operands stand before who takes them.
    for (node, step) in nodes.iter().enumerate().rev() {
        if hands_out(step) || (leaves[node] && may_be_a_view(step)) {
            for operand in step.operands() {
                // What stands elsewhere is refused when the program runs.
                if let Some(leaves) = leaves.get_mut(operand.0 as usize) {
                    *leaves = true;
                }
            }
        }
    }
    leaves
}

/// For each of `count` inputs whether its memory may leave the task, as that of its result or to a user's function.
pub fn inputs_that_leave(program: &Program, count: usize) -> Vec<bool> {
    let mut leave = vec![false; count];
    let nodes = program.nodes.iter().zip(nodes_that_leave(program));
    for (node, leaves) in nodes.filter(|(_, leaves)| *leaves) {
        if let Node::Input { input, .. } = node
            && let Some(leave) = leave.get_mut(*input)
        {
            *leave = leaves;
        }
    }
    leave
}

/// Whether a node's operands go to a user's function. The writer of Zarr is ours: it runs where the task does and hands none on.
fn hands_out(step: &Node) -> bool {
    matches!(step, Node::Apply(apply) if *apply.function != *ZARR_WRITER)
}

/// Whether a node's value may lie in its operand's memory.
fn may_be_a_view(step: &Node) -> bool {
    match step {
        Node::ExpandDims { .. }
        | Node::Squeeze { .. }
        | Node::Reshape { .. }
        | Node::Slice { .. }
        | Node::Stride { .. }
        | Node::Transpose { .. }
        | Node::BroadcastTo { .. }
        | Node::Sliding(_)
        | Node::Cast { .. }
        | Node::Part { .. } => true,
        Node::Concatenate { .. } => step.operands().len() == 1,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use graticule_ops::{
        Apply, ApplyOperand, Node, NodeId, Program, ReduceKind, Reduction, Stage, UnaryOp, ZARR_WRITER,
    };
    use graticule_plan::DType;

    use super::{inputs_that_leave, nodes_that_leave};

    fn input(input: usize) -> Node {
        let parts = vec![DType::Float32];
        Node::Input { input, parts }
    }

    #[test]
    fn a_view_of_an_input_has_its_memory_and_a_sum_has_not() {
        let x = NodeId(0);
        let view = Program::new(vec![input(0), Node::ExpandDims { x, axis: 0 }]);
        assert_eq!(nodes_that_leave(&view), [true, true]);
        assert_eq!(inputs_that_leave(&view, 1), [true]);
        let op = UnaryOp::Negative;
        let made = Program::new(vec![input(0), Node::Unary { op, x }]);
        assert_eq!(nodes_that_leave(&made), [false, true]);
        assert_eq!(inputs_that_leave(&made, 1), [false]);
        let reduction = Reduction {
            kind: ReduceKind::Sum,
            skipna: false,
            dtype: DType::Float32,
        };
        let (axes, positions) = (vec![0], vec![]);
        let sum = Node::Reduce {
            x: NodeId(1),
            reduction,
            axes,
            keepdims: false,
            stage: Stage::Whole,
            positions,
        };
        let fused = Program::new(vec![input(0), Node::ExpandDims { x, axis: 0 }, sum]);
        assert_eq!(nodes_that_leave(&fused), [false, false, true]);
    }

    #[test]
    fn operands_of_a_users_function_leave_and_those_of_the_writer_do_not() {
        let applied = |function: &str| {
            let operand = ApplyOperand {
                x: NodeId(0),
                axes: vec![],
                pieces: vec![],
                core_ndim: 0,
            };
            let apply = Apply {
                function: function.into(),
                payload: None,
                operands: vec![operand],
                axes: vec![],
                dtypes: vec![DType::UInt64],
                loops: None,
                scratch_bytes: None,
            };
            Program::new(vec![input(0), Node::Apply(apply)])
        };
        assert_eq!(inputs_that_leave(&applied("mine"), 1), [true]);
        assert_eq!(inputs_that_leave(&applied(ZARR_WRITER), 1), [false]);
    }
}
