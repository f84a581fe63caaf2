//! The program of a layer.

mod apply;

use std::{collections::BTreeSet, sync::Arc};

use crate::table::Table;

use graticule_ops::{
    self as ops, AxisSelection, BlockAxis, NodeId, Program, Read, Reduction, Scalar, Stage, encode_codes,
    encode_table,
};
use graticule_plan::{AxisWindow, BlockMap, DType, Digest, Input, InputMap, LayerId, PlanBuilder, Source};

use super::{
    edges::{Placement, element_windows, operand_placement, windows},
    place::{Place, own_placement, seat},
    shared::{Part, SharedReads},
};
use crate::{
    expression::{GroupReduce, Op, Reduce, Reducer},
    graph::{Graph, NodeIx},
    infer::from_lengths,
};

/// A layer being put together.
pub(super) struct Emitter<'a> {
    graph: &'a Graph,
    places: &'a Table<NodeIx, Place>,
    layers: &'a Table<NodeIx, LayerId>,
    builder: &'a mut PlanBuilder,
    root: NodeIx,
    nodes: Vec<ops::Node>,
    /// Of each node the most bytes that it makes for a block.
    bytes: Vec<u64>,
    /// Nodes of this layer that are done.
    done: Table<NodeIx, NodeId>,
    /// Leaves that are made anew for each way in which they are used.
    leaves: Table<(NodeIx, Placement), NodeId>,
    shared: SharedReads,
    /// What the shared reads have become, as far as they are there.
    hulls: Table<usize, NodeId>,
    inputs: Vec<(Input, NodeId)>,
    tables: BTreeSet<Digest>,
    functions: BTreeSet<Arc<str>>,
    names: Vec<String>,
}

/// What a layer's tasks do and need.
pub(super) struct Body {
    pub(super) program: Program,
    pub(super) inputs: Vec<Input>,
    pub(super) tables: Vec<Digest>,
    /// The users' functions that the program calls.
    pub(super) functions: Vec<Arc<str>>,
    pub(super) name: String,
    /// Of each node the most bytes that it makes for a block.
    pub(super) bytes: Vec<u64>,
    /// Reads that are cut out of others.
    pub(super) shared_count: u64,
}

/// The most operations that a layer's name lists.
const NAMES_MAX: usize = 8;

impl<'a> Emitter<'a> {
    pub(super) fn new(
        graph: &'a Graph,
        places: &'a Table<NodeIx, Place>,
        layers: &'a Table<NodeIx, LayerId>,
        builder: &'a mut PlanBuilder,
        root: NodeIx,
    ) -> Self {
        Self {
            graph,
            places,
            layers,
            builder,
            root,
            nodes: Vec::new(),
            bytes: Vec::new(),
            done: Table::default(),
            leaves: Table::default(),
            shared: SharedReads::default(),
            hulls: Table::default(),
            inputs: Vec::new(),
            tables: BTreeSet::new(),
            functions: BTreeSet::new(),
            names: Vec::new(),
        }
    }

    /// Emits the layer's nodes, which stand in an order in which operands come first.
    pub(super) fn body(mut self, members: &[NodeIx], shares_reads: bool) -> Body {
        if shares_reads {
            let parts = members.iter().filter_map(|&ix| self.part(ix));
            self.shared = SharedReads::of(parts.collect());
        }
        for &ix in members {
            let placement = self.placement(ix);
            let id = self.node(ix, &placement);
            self.done.insert(ix, id);
        }
        self.finish()
    }

    /// A layer that hands on another array's blocks as they are.
    pub(super) fn copy(mut self) -> Body {
        let grid = self.graph.grid(self.root).axes();
        let map = (0..grid.len())
            .map(|out_axis| AxisWindow::Aligned { out_axis })
            .collect();
        self.names.push("copy".into());
        self.input(self.root, map);
        self.finish()
    }

    fn finish(self) -> Body {
        let mut names = self.names;
        if names.len() > NAMES_MAX {
            let last = names.pop().unwrap_or_default();
            names.truncate(NAMES_MAX - 1);
            names.extend(["…".into(), last]);
        }
        Body {
            program: Program::new(self.nodes),
            inputs: self.inputs.into_iter().map(|(input, _)| input).collect(),
            tables: self.tables.into_iter().collect(),
            functions: self.functions.into_iter().collect(),
            name: names.join("+"),
            bytes: self.bytes,
            shared_count: self.shared.cuts.len() as u64,
        }
    }

    /// A read, as one that may be shared.
    fn part(&self, ix: NodeIx) -> Option<Part> {
        let node = self.graph.node(ix);
        let Op::Source { table, selection } = &node.op else {
            return None;
        };
        Some(Part {
            ix,
            source: table.digest,
            dtype: node.dtype,
            selection: selection.clone(),
            axes: self.axes(ix, &self.placement(ix)),
        })
    }

    /// What is cut out of a shared read, which is emitted if it is not there yet.
    fn cut(
        &mut self,
        source: Digest,
        dtype: DType,
        hull: usize,
        selection: Vec<Option<AxisSelection>>,
    ) -> ops::Node {
        let x = match self.hulls.get(&hull) {
            Some(&known) => known,
            None => {
                let shared = self.shared.hulls[hull].clone();
                let elements = shared.axes.iter().map(BlockAxis::extent_max);
                let bytes = elements.fold(dtype.size_bytes(), u64::saturating_mul);
                let read = ops::Node::Read(Read {
                    source,
                    dtype,
                    selection: shared.selection,
                    axes: shared.axes,
                });
                let id = self.push(read, bytes);
                self.hulls.insert(hull, id);
                id
            }
        };
        ops::Node::Slice { x, selection }
    }

    fn placement(&self, ix: NodeIx) -> Placement {
        if ix == self.root {
            return own_placement(self.graph, ix);
        }
        let seat = seat(self.graph, ix, &self.places[&ix]);
        seat.expect("a member of the layer has a seat").1
    }

    fn push(&mut self, node: ops::Node, bytes: u64) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).expect("programs are short"));
        self.nodes.push(node);
        self.bytes.push(bytes);
        id
    }

    fn table(&mut self, bytes: impl Into<Arc<[u8]>>) -> Digest {
        let digest = self.builder.table(bytes);
        self.tables.insert(digest);
        digest
    }

    /// The operand as this layer's program has it: computed here, made anew, or taken in.
    fn operand(&mut self, ix: NodeIx, position: usize, placement: &Placement) -> NodeId {
        let x = self.graph.operand(ix, position);
        if let Some(&id) = self.done.get(&x) {
            return id;
        }
        if self.places[&x] == Place::Inline {
            let inner = operand_placement(self.graph, ix, position, placement);
            if let Some(&id) = self.leaves.get(&(x, inner.clone())) {
                return id;
            }
            let id = self.node(x, &inner);
            self.leaves.insert((x, inner), id);
            return id;
        }
        let map =
            windows(self.graph, ix, position, placement, self.root).expect("fusion asks for windows first");
        self.input(x, map)
    }

    /// Whether a slice is cut out of a block that the task has, rather than come as a window.
    fn is_cut_here(&self, ix: NodeIx, placement: &Placement) -> bool {
        let x = self.graph.operand(ix, 0);
        let has_block = self.done.contains_key(&x) || self.places[&x] == Place::Inline;
        has_block || element_windows(self.graph, ix, 0, placement, self.root).is_none()
    }

    /// Where an operand begins in the array that its elements are counted in.
    ///
    /// Of a cut that is but a window on another array elements are counted there, not from its own first one.
    fn window_start(&self, x: NodeIx, emitted: NodeId, axis: usize) -> u64 {
        let ops::Node::Input { input, .. } = self.nodes[emitted.0 as usize] else {
            return 0;
        };
        if !self.done.contains_key(&x) {
            return 0;
        }
        let source = self.graph.grid(self.graph.operand(x, 0));
        let map = BlockMap::new(&self.inputs[input].0.map, self.graph.grid(self.root), source);
        // Only along axes of one block are elements asked for: all blocks of the layer have the same window there.
        let window = map.expect("windows fit their grids").window(0);
        let pieces = window.and_then(|axes| axes.into_iter().nth(axis));
        pieces
            .and_then(|pieces| Some(pieces.first()?.element))
            .unwrap_or(0)
    }

    /// The window on another layer or a held result; equal ones are one input.
    fn input(&mut self, x: NodeIx, map: Vec<AxisWindow>) -> NodeId {
        let source = match self.graph.op(x) {
            Op::Held(key) => Source::Held(*key),
            _ => Source::Layer(self.layers[&x]),
        };
        let input = Input {
            source,
            map: InputMap::Product(map),
        };
        if let Some((_, id)) = self.inputs.iter().find(|(known, _)| *known == input) {
            return *id;
        }
        let node = self.graph.node(x);
        let elements = input
            .map
            .window_elements_max(&node.grid, self.graph.grid(self.root));
        let made = ops::Node::Input {
            input: self.inputs.len(),
            parts: parts(&node.op, node.dtype),
        };
        let id = self.push(made, elements.saturating_mul(item_bytes(&node.op, node.dtype)));
        self.inputs.push((input, id));
        id
    }

    /// The extents of a node's blocks.
    fn axes(&self, ix: NodeIx, placement: &Placement) -> Vec<BlockAxis> {
        let axes = self.graph.grid(ix).axes().iter().zip(placement);
        axes.map(|(chunks, place)| match place {
            Some(out_axis) if chunks.count() > 1 => BlockAxis::Cut {
                out_axis: *out_axis,
                chunks: chunks.clone(),
            },
            _ => BlockAxis::Whole { len: chunks.len() },
        })
        .collect()
    }

    fn node(&mut self, ix: NodeIx, placement: &Placement) -> NodeId {
        let graph = self.graph;
        let node = graph.node(ix);
        let is_cut_here = matches!(node.op, Op::Slice(_)) && self.is_cut_here(ix, placement);
        let operands = (0..node.operands.len()).map(|position| self.operand(ix, position, placement));
        let xs: Vec<NodeId> = operands.collect();
        if !matches!(node.op, Op::Constant(_)) {
            self.names.push(node.op.name());
        }
        let made = match &node.op {
            Op::Source { table, selection } => {
                let source = self.table(table.bytes.clone());
                if let Some((hull, cut)) = self.shared.cuts.get(&ix).cloned() {
                    let made = self.cut(source, node.dtype, hull, cut);
                    return self.push(made, self.bytes_of(ix, placement));
                }
                let (selection, axes) = (selection.clone(), self.axes(ix, placement));
                ops::Node::Read(Read {
                    source,
                    dtype: node.dtype,
                    selection,
                    axes,
                })
            }
            Op::Held(_) => unreachable!("held results are inputs"),
            Op::Constant(value) => ops::Node::Constant { value: *value },
            Op::Full(value) => ops::Node::Full {
                value: *value,
                axes: self.axes(ix, placement),
            },
            Op::Arange { start, step } => ops::Node::Arange {
                start: Scalar::Int64(*start),
                step: Scalar::Int64(*step),
                dtype: node.dtype,
                axis: self.axes(ix, placement).remove(0),
            },
            Op::Random(randoms) => ops::Node::Random(ops::Random {
                seed: randoms.seed,
                stream: randoms.stream,
                distribution: randoms.distribution,
                dtype: node.dtype,
                shape: randoms.shape.to_vec(),
                selection: randoms.selection.clone(),
                axes: self.axes(ix, placement),
            }),
            Op::Cast => ops::Node::Cast {
                x: xs[0],
                dtype: node.dtype,
            },
            Op::Unary(op) => ops::Node::Unary { op: *op, x: xs[0] },
            Op::Binary(op) => ops::Node::Binary {
                op: *op,
                x: xs[0],
                y: xs[1],
            },
            Op::Where => ops::Node::Where {
                condition: xs[0],
                x: xs[1],
                y: xs[2],
            },
            Op::Slice(selections) if is_cut_here => {
                let own = graph.grid(node.operands[0]).shape();
                let selection = selections.iter().zip(own);
                ops::Node::Slice {
                    x: xs[0],
                    selection: selection
                        .map(|(s, len)| (*s != AxisSelection::whole(len)).then_some(*s))
                        .collect(),
                }
            }
            Op::Slice(selections) => {
                let steps: Vec<i64> = selections.iter().map(|s| s.step).collect();
                if steps.iter().all(|&step| step == 1) {
                    return xs[0];
                }
                ops::Node::Stride { x: xs[0], steps }
            }
            Op::Take { axis, positions } => {
                let start = self.window_start(node.operands[0], xs[0], *axis);
                let positions: Vec<u64> = positions.iter().map(|position| start + position).collect();
                ops::Node::Take {
                    x: xs[0],
                    axis: *axis,
                    positions: self.table(encode_table(&positions)),
                    extent: self.axes(ix, placement).remove(*axis),
                }
            }
            Op::Transpose(order) => ops::Node::Transpose {
                x: xs[0],
                order: order.clone(),
            },
            Op::ExpandDims(axis) => ops::Node::ExpandDims {
                x: xs[0],
                axis: *axis,
            },
            Op::Squeeze(axis) => ops::Node::Squeeze {
                x: xs[0],
                axis: *axis,
            },
            Op::BroadcastTo => ops::Node::BroadcastTo {
                x: xs[0],
                axes: self.axes(ix, placement),
            },
            Op::Reshape(_) => ops::Node::Reshape {
                x: xs[0],
                axes: self.axes(ix, placement),
            },
            Op::TakeAlong(axis) => ops::Node::TakeAlong {
                x: xs[0],
                positions: xs[1],
                axis: *axis,
            },
            Op::Windows(_) | Op::Compact(_) => return xs[0],
            Op::CountTrue => ops::Node::Reduce {
                x: xs[0],
                reduction: Reduction {
                    kind: ops::ReduceKind::Sum,
                    skipna: false,
                    dtype: DType::Bool,
                },
                axes: vec![0],
                keepdims: true,
                stage: Stage::Whole,
                positions: vec![],
            },
            Op::Compress(axis) => ops::Node::Compress(ops::Compress {
                x: xs[0],
                mask: xs[1],
                axis: *axis,
                extent: self.axes(ix, placement).remove(*axis),
            }),
            Op::Distinct(distinct) => {
                let inner = operand_placement(graph, ix, 0, placement);
                let mut others = xs[1..].iter().copied();
                ops::Node::Distinct(ops::Distinct {
                    x: xs[0],
                    positions: others.next().filter(|_| distinct.has_positions),
                    counts: xs.last().copied().filter(|_| distinct.has_counts),
                    part: distinct.part,
                    equal_nan: distinct.equal_nan,
                    source: self.axes(graph.operand(ix, 0), &inner).remove(0),
                    made: self.axes(ix, placement).remove(0),
                })
            }
            Op::Sliding { axis, len, start } => ops::Node::Sliding(ops::Sliding {
                x: xs[0],
                axis: *axis,
                len: *len,
                start: *start,
                extent: self.axes(ix, placement).remove(*axis),
            }),
            Op::Concatenate(axis) => ops::Node::Concatenate { xs, axis: *axis },
            Op::Rechunk => return xs[0],
            Op::Reduce(reduce) => {
                let inner = operand_placement(graph, ix, 0, placement);
                self.reduce(reduce, graph.operand(ix, 0), &inner, xs[0], Stage::Whole)
            }
            Op::GroupReduce(group) => {
                let inner = operand_placement(graph, ix, 0, placement);
                self.reduce_groups(group, graph.operand(ix, 0), &inner, xs[0], Stage::Whole)
            }
            Op::Sort(sorting) => ops::Node::Sort(ops::Sort {
                x: xs[0],
                sorting: *sorting,
                len_max: graph.grid(node.operands[0]).axes()[sorting.axis].chunk_max(),
            }),
            Op::Search(kind) => ops::Node::Search(ops::Search {
                sorted: xs[0],
                x: xs[1],
                kind: *kind,
            }),
            Op::Count(binning) => ops::Node::Count(ops::Count {
                x: xs[0],
                weights: xs.get(1).copied(),
                binning: *binning,
            }),
            Op::Contract { contraction, .. } => {
                let ndim = |position: usize| graph.grid(node.operands[position]).ndim();
                ops::Node::Contract(ops::Contract {
                    x: xs[0],
                    y: xs[1],
                    ndims: (ndim(0), ndim(1)),
                    contraction: contraction.clone(),
                })
            }
            Op::Linalg(kind) => {
                let made = self.axes(ix, placement);
                let operand = graph.grid(node.operands[0]).axes();
                let matrix = |lens: [u64; 2]| lens[0].saturating_mul(lens[1]);
                let lens = |from: usize| [made[from].extent_max(), made[from + 1].extent_max()];
                let own = operand[operand.len() - 2..].iter().map(|axis| axis.chunk_max());
                let own = own.fold(1, u64::saturating_mul);
                ops::Node::Linalg(ops::Linalg {
                    xs,
                    kind: *kind,
                    matrix_elements: own.saturating_add(matrix(lens(made.len() - 2))),
                })
            }
            Op::Fourier(transform) => ops::Node::Fourier(ops::Fourier {
                x: xs[0],
                transform: *transform,
            }),
            Op::Scan(scan, part) => ops::Node::Scan(part.step(*scan, xs)),
            Op::Apply(apply) => self.apply(ix, apply, &xs, placement),
            Op::Part(part) => ops::Node::Part {
                x: xs[0],
                part: *part,
            },
            Op::Partial(reducer) => {
                self.step(reducer, graph.operand(ix, 0), placement, xs[0], Stage::Partial)
            }
            Op::Combine(reducer, _) => {
                self.step(reducer, graph.operand(ix, 0), placement, xs[0], Stage::Combine)
            }
            Op::Finish(reducer) => {
                let x = graph.operand(ix, 0);
                let combined = self.step(reducer, x, placement, xs[0], Stage::Combine);
                let combined = self.push(combined, self.bytes[xs[0].0 as usize]);
                self.step(reducer, x, placement, combined, Stage::Final)
            }
        };
        self.push(made, self.bytes_of(ix, placement))
    }

    /// The most bytes of a node's blocks.
    fn bytes_of(&self, ix: NodeIx, placement: &Placement) -> u64 {
        let node = self.graph.node(ix);
        let axes = self.axes(ix, placement);
        let elements = axes.iter().map(BlockAxis::extent_max);
        elements.fold(item_bytes(&node.op, node.dtype), u64::saturating_mul)
    }

    fn step(
        &mut self,
        reducer: &Reducer,
        x: NodeIx,
        placement: &Placement,
        id: NodeId,
        stage: Stage,
    ) -> ops::Node {
        match reducer {
            Reducer::Axes(reduce) => self.reduce(reduce, x, placement, id, stage),
            Reducer::Groups(group) => self.reduce_groups(group, x, placement, id, stage),
        }
    }

    /// `placement` is that of the operand `x`, where the stage sees elements.
    fn reduce(
        &mut self,
        reduce: &Reduce,
        x: NodeIx,
        placement: &Placement,
        id: NodeId,
        stage: Stage,
    ) -> ops::Node {
        let reduction = reduce.reduction.0.clone();
        let positions = if sees_elements(stage) && keeps_positions(&reduction) {
            let extents = self.axes(x, placement);
            reduce.axes.iter().map(|&axis| extents[axis].clone()).collect()
        } else {
            Vec::new()
        };
        let (axes, keepdims) = (reduce.axes.clone(), reduce.keepdims);
        ops::Node::Reduce {
            x: id,
            reduction,
            axes,
            keepdims,
            stage,
            positions,
        }
    }

    fn reduce_groups(
        &mut self,
        group: &GroupReduce,
        x: NodeIx,
        placement: &Placement,
        id: NodeId,
        stage: Stage,
    ) -> ops::Node {
        let bytes = encode_codes(&group.codes);
        let (extents, codes) = if sees_elements(stage) {
            let all = self.axes(x, placement);
            let extents = group.axes.iter().map(|&axis| all[axis].clone());
            (extents.collect(), self.table(bytes))
        } else {
            (Vec::new(), Digest::of(&bytes))
        };
        let first = group.axes[0];
        let chunks = match (group.partial_lengths(), stage) {
            (Some(lengths), Stage::Partial) => from_lengths(&lengths),
            _ => group.groups.clone(),
        };
        let groups = match placement[first] {
            Some(out_axis) if group.cohorts.is_some() => BlockAxis::Cut { out_axis, chunks },
            _ => BlockAxis::Whole { len: chunks.len() },
        };
        ops::Node::GroupReduce {
            x: id,
            reduction: group.reduction.0.clone(),
            axes: group.axes.clone(),
            codes,
            groups,
            extents,
            stage,
        }
    }
}

fn sees_elements(stage: Stage) -> bool {
    matches!(stage, Stage::Whole | Stage::Partial)
}

fn keeps_positions(reduction: &Reduction) -> bool {
    use ops::ReduceKind::{ArgMax, ArgMin, First, Last};
    matches!(reduction.kind, ArgMin | ArgMax | First | Last)
}

/// Bytes of one element of a node's chunks, of all their parts.
pub(super) fn item_bytes(op: &Op, dtype: DType) -> u64 {
    parts(op, dtype).into_iter().map(DType::size_bytes).sum()
}

/// The dtypes of the parts of a node's chunks.
fn parts(op: &Op, dtype: DType) -> Vec<DType> {
    match op {
        Op::Partial(reducer) | Op::Combine(reducer, _) => {
            let parts = reducer
                .reduction()
                .partial()
                .expect("only reductions with partials make them");
            parts.into_iter().map(|(_, dtype)| dtype).collect()
        }
        Op::Apply(apply) => apply.dtypes.clone(),
        _ => vec![dtype],
    }
}

/// The nodes of each layer, operands first.
pub(super) fn members(order: &[NodeIx], places: &Table<NodeIx, Place>) -> Vec<(NodeIx, Vec<NodeIx>)> {
    let mut members: Table<NodeIx, Vec<NodeIx>> = Table::default();
    let mut roots = Vec::new();
    for &ix in order {
        match &places[&ix] {
            Place::Layer => {
                members.entry(ix).or_default().push(ix);
                roots.push(ix);
            }
            Place::Fused { root, .. } => members.entry(*root).or_default().push(ix),
            Place::Inline | Place::Held => {}
        }
    }
    roots
        .into_iter()
        .map(|root| (root, members.remove(&root).unwrap_or_default()))
        .collect()
}
