use std::ops::Range;

use graticule_plan::{AxisChunks, DType, Digest};
use serde::{Deserialize, Serialize};

use crate::{
    Apply, ApplyOperand, AxisSelection, BinaryOp, Compress, Contract, Count, Distinct, Fourier, Linalg,
    OpsError, Random, Read, Reduction, Scalar, ScanStep, Search, Sliding, Sort, Stage, UnaryOp,
};

/// A node's position in its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u32);

/// The elements that a block covers along one axis of some array.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BlockAxis {
    /// The whole axis, whatever the block.
    Whole {
        /// Elements along the axis.
        len: u64,
    },
    /// The chunk at the block's index along `out_axis` of the layer's grid.
    Cut {
        /// The axis of the layer's grid.
        out_axis: usize,
        /// The cuts of this array's axis; as many blocks as the layer's axis has.
        chunks: AxisChunks,
    },
}

impl BlockAxis {
    /// The elements for the block at `index`.
    pub fn extent(&self, index: &[u64]) -> Range<u64> {
        match self {
            BlockAxis::Whole { len } => 0..*len,
            BlockAxis::Cut { out_axis, chunks } => chunks.extent(index[*out_axis]),
        }
    }

    /// Elements of the whole axis.
    pub fn len(&self) -> u64 {
        match self {
            BlockAxis::Whole { len } => *len,
            BlockAxis::Cut { chunks, .. } => chunks.len(),
        }
    }

    /// Whether the axis has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Elements of the longest extent.
    pub fn extent_max(&self) -> u64 {
        match self {
            BlockAxis::Whole { len } => *len,
            BlockAxis::Cut { chunks, .. } => chunks.chunk_max(),
        }
    }
}

/// One step of a program. Operands are nodes that stand before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Node {
    /// The window on the layer's input `input`: its parts put together, C order. Partials come as tuples.
    Input {
        /// Position of the input in its layer.
        input: usize,
        /// The dtypes of its parts: one, or a partial's several. An empty window comes without a chunk to tell them.
        parts: Vec<DType>,
    },
    /// A window on an array outside the cluster.
    Read(Read),
    /// A 0-dimensional array.
    Constant {
        /// Its value.
        value: Scalar,
    },
    /// An array of one value, with the shape that the axes have for the block.
    Full {
        /// The value.
        value: Scalar,
        /// The block's extents.
        axes: Vec<BlockAxis>,
    },
    /// A 1-dimensional array: `start + step * k` at element `k`, computed in float64 or int64 and cast to `dtype`.
    Arange {
        /// Value of element 0: int64 for integer dtypes, float64 for floats.
        start: Scalar,
        /// Difference of neighbours, same dtype as `start`.
        step: Scalar,
        /// The result's dtype.
        dtype: DType,
        /// The block's extent.
        axis: BlockAxis,
    },
    /// Each element converted to `dtype` as NumPy's `astype`; floats outside an integer's range saturate, NaN gives 0.
    Cast {
        /// Operand.
        x: NodeId,
        /// The result's dtype.
        dtype: DType,
    },
    /// An operation on each element.
    Unary {
        /// The operation.
        op: UnaryOp,
        /// Operand, of a dtype that [`UnaryOp::dtypes`] asks for.
        x: NodeId,
    },
    /// An operation on pairs of elements; shapes broadcast.
    Binary {
        /// The operation.
        op: BinaryOp,
        /// First operand.
        x: NodeId,
        /// Second operand, of the same dtype.
        y: NodeId,
    },
    /// `x` where `condition` is true, else `y`; shapes broadcast.
    Where {
        /// A boolean array.
        condition: NodeId,
        /// Taken where true.
        x: NodeId,
        /// Taken where false; same dtype as `x`.
        y: NodeId,
    },
    /// Every `step`-th element along each axis, from the window's first element, or from its last one backwards where
    /// the step is negative.
    Stride {
        /// Operand.
        x: NodeId,
        /// One step for each axis; not 0.
        steps: Vec<i64>,
    },
    /// Of each axis that has a selection the selected elements. Such an axis is whole in each block.
    Slice {
        /// Operand.
        x: NodeId,
        /// One for each axis.
        selection: Vec<Option<AxisSelection>>,
    },
    /// The elements at positions of a list along one axis.
    ///
    /// Of an input, which is a window of whole source blocks, a position is looked up in the blocks that the window has; of
    /// what the program makes itself, which has the whole axis, it counts from its start.
    Take {
        /// A [`Node::Input`] whose window along `axis` is [`Rows`](graticule_plan::AxisWindow::Rows) or the whole axis, or
        /// any other node that makes the whole axis.
        x: NodeId,
        /// The axis.
        axis: usize,
        /// A table of positions (`Vec<u64>` by [`encode_table`](crate::encode_table)) along the whole result's axis.
        positions: Digest,
        /// Which of the positions the block makes.
        extent: BlockAxis,
    },
    /// Axes in another order: axis `i` of the result is axis `order[i]` of the operand.
    Transpose {
        /// Operand.
        x: NodeId,
        /// A permutation.
        order: Vec<usize>,
    },
    /// A new axis of length 1 at position `axis` of the result.
    ExpandDims {
        /// Operand.
        x: NodeId,
        /// Its position.
        axis: usize,
    },
    /// Drops an axis of length 1.
    Squeeze {
        /// Operand.
        x: NodeId,
        /// Its position.
        axis: usize,
    },
    /// Repeats axes of length 1 (and adds leading ones) up to the block's extents.
    BroadcastTo {
        /// Operand.
        x: NodeId,
        /// The block's extents.
        axes: Vec<BlockAxis>,
    },
    /// Operands one after another along an axis; empty ones may be among them.
    Concatenate {
        /// Operands of one dtype.
        xs: Vec<NodeId>,
        /// The axis.
        axis: usize,
    },
    /// A reduction over axes.
    Reduce {
        /// Operand.
        x: NodeId,
        /// What is made of the elements.
        reduction: Reduction,
        /// The reduced axes, rising. Partials keep them with length 1; so they name the same axes at every stage.
        axes: Vec<usize>,
        /// Keep reduced axes with length 1 in the result (stages `Whole` and `Final`).
        keepdims: bool,
        /// Which step.
        stage: Stage,
        /// For the position-keeping reductions at stages `Whole` and `Partial`: the operand's extent along each
        /// reduced axis, so that positions count along the whole array. Empty for the others.
        positions: Vec<BlockAxis>,
    },
    /// A reduction of the elements with the same label along one or several axes. The first of them gets one element for
    /// each group; the others are dropped, or, in partials, keep one element.
    ///
    /// At the stages `Combine` and `Final` the operand holds partials of as many elements along the first axis as the
    /// block has groups, one set after the other.
    GroupReduce {
        /// Operand.
        x: NodeId,
        /// What is made of each group. A group without elements gives what the reduction gives for nothing: NaN, 0 for
        /// a sum or a count.
        reduction: Reduction,
        /// The axes, rising.
        axes: Vec<usize>,
        /// A table of codes (by [`encode_codes`](crate::encode_codes)) over the whole axes, in C order: the index of the group among those of the block,
        /// or -1 for an element of none.
        codes: Digest,
        /// The groups that the block has.
        groups: BlockAxis,
        /// The operand's extents along the axes (stages `Whole` and `Partial`; else empty).
        extents: Vec<BlockAxis>,
        /// Which step.
        stage: Stage,
    },
    /// Random numbers.
    Random(Random),
    /// A step of a scan along an axis.
    Scan(ScanStep),
    /// Lines sorted.
    Sort(Sort),
    /// Elements looked up in a sorted array.
    Search(Search),
    /// How often each number occurs.
    Count(Count),
    /// A sum of products over axes that two arrays share.
    Contract(Contract),
    /// What is made of each matrix of a stack.
    Linalg(Linalg),
    /// Fourier transforms of lines.
    Fourier(Fourier),
    /// The same elements, in C order, in the shape that the axes have for the block.
    Reshape {
        /// Operand.
        x: NodeId,
        /// The block's extents.
        axes: Vec<BlockAxis>,
    },
    /// The windows of so many neighbours along an axis.
    Sliding(Sliding),
    /// The elements at positions along an axis, other ones for each row.
    TakeAlong {
        /// Operand, with all elements of the axis.
        x: NodeId,
        /// Positions, int64, of the result's shape; negative ones count from the end.
        positions: NodeId,
        /// The axis.
        axis: usize,
    },
    /// The places along an axis where a mask is true.
    Compress(Compress),
    /// The distinct elements of an array of one axis.
    Distinct(Distinct),
    /// A user's function.
    Apply(Apply),
    /// One part of a tuple.
    Part {
        /// Operand.
        x: NodeId,
        /// Which of its parts.
        part: usize,
    },
}

impl Node {
    /// The nodes that this one takes.
    pub fn operands(&self) -> Vec<NodeId> {
        match self {
            Node::Input { .. }
            | Node::Read(_)
            | Node::Constant { .. }
            | Node::Full { .. }
            | Node::Arange { .. }
            | Node::Random(_) => vec![],
            Node::Cast { x, .. }
            | Node::Unary { x, .. }
            | Node::Stride { x, .. }
            | Node::Slice { x, .. }
            | Node::Take { x, .. }
            | Node::Transpose { x, .. }
            | Node::ExpandDims { x, .. }
            | Node::Squeeze { x, .. }
            | Node::BroadcastTo { x, .. }
            | Node::Reduce { x, .. }
            | Node::Sort(Sort { x, .. })
            | Node::Fourier(Fourier { x, .. })
            | Node::GroupReduce { x, .. }
            | Node::Reshape { x, .. }
            | Node::Sliding(Sliding { x, .. })
            | Node::Part { x, .. } => vec![*x],
            Node::Search(search) => vec![search.sorted, search.x],
            Node::Count(count) => [Some(count.x), count.weights].into_iter().flatten().collect(),
            Node::Binary { x, y, .. } | Node::Contract(Contract { x, y, .. }) => vec![*x, *y],
            Node::TakeAlong { x, positions, .. } => vec![*x, *positions],
            Node::Compress(step) => vec![step.x, step.mask],
            Node::Distinct(step) => {
                let others = [step.positions, step.counts].into_iter().flatten();
                std::iter::once(step.x).chain(others).collect()
            }
            Node::Where { condition, x, y } => vec![*condition, *x, *y],
            Node::Concatenate { xs, .. } | Node::Linalg(Linalg { xs, .. }) => xs.clone(),
            Node::Scan(step) => step.operands(),
            Node::Apply(apply) => apply.operands.iter().map(|operand| operand.x).collect(),
        }
    }

    /// Replaces each operand by what `rename` says.
    pub fn rename(&mut self, mut rename: impl FnMut(NodeId) -> NodeId) {
        match self {
            Node::Input { .. }
            | Node::Read(_)
            | Node::Constant { .. }
            | Node::Full { .. }
            | Node::Arange { .. }
            | Node::Random(_) => {}
            Node::Cast { x, .. }
            | Node::Unary { x, .. }
            | Node::Stride { x, .. }
            | Node::Slice { x, .. }
            | Node::Take { x, .. }
            | Node::Transpose { x, .. }
            | Node::ExpandDims { x, .. }
            | Node::Squeeze { x, .. }
            | Node::BroadcastTo { x, .. }
            | Node::Reduce { x, .. }
            | Node::Sort(Sort { x, .. })
            | Node::Fourier(Fourier { x, .. })
            | Node::GroupReduce { x, .. }
            | Node::Reshape { x, .. }
            | Node::Sliding(Sliding { x, .. })
            | Node::Part { x, .. } => *x = rename(*x),
            Node::Search(search) => {
                search.sorted = rename(search.sorted);
                search.x = rename(search.x);
            }
            Node::Count(count) => {
                count.x = rename(count.x);
                count.weights = count.weights.map(rename);
            }
            Node::Binary { x, y, .. } | Node::Contract(Contract { x, y, .. }) => {
                *x = rename(*x);
                *y = rename(*y);
            }
            Node::TakeAlong { x, positions, .. } => {
                *x = rename(*x);
                *positions = rename(*positions);
            }
            Node::Compress(step) => {
                step.x = rename(step.x);
                step.mask = rename(step.mask);
            }
            Node::Distinct(step) => {
                step.x = rename(step.x);
                step.positions = step.positions.map(&mut rename);
                step.counts = step.counts.map(rename);
            }
            Node::Where { condition, x, y } => {
                *condition = rename(*condition);
                *x = rename(*x);
                *y = rename(*y);
            }
            Node::Concatenate { xs, .. } | Node::Linalg(Linalg { xs, .. }) => {
                xs.iter_mut().for_each(|x| *x = rename(*x));
            }
            Node::Scan(step) => step.operands_mut().for_each(|x| *x = rename(*x)),
            Node::Apply(apply) => {
                let operands = apply.operands.iter_mut();
                operands.for_each(|ApplyOperand { x, .. }| *x = rename(*x));
            }
        }
    }

    /// Every axis description in the node, for a rewrite that moves it to another layer.
    pub fn block_axes_mut(&mut self) -> Vec<&mut BlockAxis> {
        match self {
            Node::Read(read) => read.axes.iter_mut().collect(),
            Node::Full { axes, .. } | Node::BroadcastTo { axes, .. } | Node::Reshape { axes, .. } => {
                axes.iter_mut().collect()
            }
            Node::Arange { axis, .. } => vec![axis],
            Node::Compress(step) => vec![&mut step.extent],
            Node::Sliding(step) => vec![&mut step.extent],
            Node::Distinct(step) => vec![&mut step.source, &mut step.made],
            Node::Random(random) => random.axes.iter_mut().collect(),
            Node::Take { extent, .. } => vec![extent],
            Node::GroupReduce { groups, extents, .. } => {
                std::iter::once(groups).chain(extents.iter_mut()).collect()
            }
            Node::Reduce { positions, .. } => positions.iter_mut().collect(),
            Node::Apply(Apply { operands, axes, .. }) => {
                let of_operands = operands.iter_mut().flat_map(|operand| &mut operand.axes);
                of_operands.chain(axes).map(|axis| &mut axis.extent).collect()
            }
            _ => vec![],
        }
    }

    /// Names of side tables that the node needs.
    pub fn tables(&self) -> Option<Digest> {
        match self {
            Node::Read(read) => Some(read.source),
            Node::Take { positions, .. } => Some(*positions),
            Node::Apply(Apply { payload, .. }) => *payload,
            Node::GroupReduce {
                codes,
                stage: Stage::Whole | Stage::Partial,
                ..
            } => Some(*codes),
            _ => None,
        }
    }
}

/// What one task does: nodes in an order in which each stands after its operands. The last one is the result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// The nodes; [`NodeId`] is the position.
    pub nodes: Vec<Node>,
}

impl Program {
    /// Wraps nodes.
    pub fn new(nodes: Vec<Node>) -> Self {
        Self { nodes }
    }

    /// One node.
    ///
    /// # Panics
    /// If the program lacks it.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// The node whose value is the task's result.
    pub fn result(&self) -> NodeId {
        NodeId(u32::try_from(self.nodes.len()).expect("programs are short") - 1)
    }

    /// The body of a layer. Equal programs have equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("programs encode into memory")
    }

    /// Reads a layer's body and checks that operands stand before their users.
    ///
    /// # Errors
    /// [`OpsError::Decode`], [`OpsError::Order`].
    pub fn decode(bytes: &[u8]) -> Result<Self, OpsError> {
        let failed = |why: String| OpsError::Decode { what: "program", why };
        let (program, rest) = postcard::take_from_bytes::<Self>(bytes).map_err(|e| failed(e.to_string()))?;
        if !rest.is_empty() || program.nodes.is_empty() {
            return Err(failed(format!(
                "{} nodes and {} bytes left over",
                program.nodes.len(),
                rest.len()
            )));
        }
        for (node, step) in program.nodes.iter().enumerate() {
            if let Some(operand) = step.operands().into_iter().find(|o| o.0 as usize >= node) {
                return Err(OpsError::Order {
                    node,
                    operand: operand.0 as usize,
                });
            }
        }
        Ok(program)
    }
}
