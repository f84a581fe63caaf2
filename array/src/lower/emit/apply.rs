//! The node of a user's function.

use graticule_ops::{self as ops, ApplyAxis, BlockAxis, NodeId, WholeAxis};

use super::{Emitter, Placement};
use crate::{
    blocks::{Apply, ApplyOperand, Reach},
    graph::NodeIx,
    lower::edges::operand_placement,
};

impl Emitter<'_> {
    pub(super) fn apply(
        &mut self,
        ix: NodeIx,
        apply: &Apply,
        xs: &[NodeId],
        placement: &Placement,
    ) -> ops::Node {
        let function = apply.function.name().clone();
        self.functions.insert(function.clone());
        let payload = apply.function.bytes();
        let payload = (!payload.is_empty()).then(|| self.table(payload.clone()));
        let operands = apply.operands.iter().zip(xs).enumerate();
        let operands = operands.map(|(position, (operand, &x))| ops::ApplyOperand {
            x,
            axes: self.operand_axes(ix, position, operand, placement),
            pieces: operand.pieces.clone(),
            core_ndim: operand.core_ndim,
        });
        ops::Node::Apply(ops::Apply {
            function,
            payload,
            operands: operands.collect(),
            axes: places(self.axes(ix, placement), &apply.axes),
            dtypes: apply.dtypes.clone(),
            loops: apply.loops,
            scratch_bytes: apply.function.scratch(),
        })
    }

    fn operand_axes(
        &self,
        ix: NodeIx,
        position: usize,
        operand: &ApplyOperand,
        placement: &Placement,
    ) -> Vec<ApplyAxis> {
        let x = self.graph.operand(ix, position);
        let mut inner = operand_placement(self.graph, ix, position, placement);
        for (place, reach) in inner.iter_mut().zip(&operand.reaches) {
            // Several blocks side by side are not one of the operand's.
            if matches!(reach, Reach::Group { .. }) {
                *place = None;
            }
        }
        places(self.axes(x, &inner), &operand.axes)
    }
}

fn places(extents: Vec<BlockAxis>, wholes: &[WholeAxis]) -> Vec<ApplyAxis> {
    let axes = extents.into_iter().zip(wholes);
    axes.map(|(extent, &whole)| ApplyAxis { extent, whole }).collect()
}
