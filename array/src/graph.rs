//! The expression as a graph that rewrites change.

use std::{collections::BTreeSet, sync::Arc};

use graticule_plan::{Annotations, ChunkGrid, DType};

use crate::{
    Array, annotate,
    expression::{Expression, Op},
    table::Table,
};

/// A node's position in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeIx(u32);

/// One operation. Equal nodes are one node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) op: Op,
    pub(crate) operands: Vec<NodeIx>,
    pub(crate) dtype: DType,
    pub(crate) grid: ChunkGrid,
}

/// Expressions with shared nodes, and who uses each.
///
/// Common subexpressions are found as nodes are added and changed: two nodes with the same operation, operands, dtype
/// and chunks never live side by side. What no output needs any more is dropped at once.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    nodes: Vec<Slot>,
    index: Table<Node, NodeIx>,
    outputs: Vec<NodeIx>,
    changed: BTreeSet<NodeIx>,
    merges: bool,
    /// Expressions that were equal to others when they were taken in.
    merged: u64,
    /// What was said of nodes that were dropped since somebody last took it over.
    orphaned: Option<Arc<Annotations>>,
}

#[derive(Debug)]
struct Slot {
    node: Node,
    /// Who uses the node, once for each operand that it is.
    users: Vec<NodeIx>,
    /// Outputs that are this node.
    output_count: u32,
    is_alive: bool,
    annotations: Option<Arc<Annotations>>,
}

impl Graph {
    /// The graph of several arrays.
    ///
    /// Equal parts become one where `merges` says so; until then only what is one expression is one node.
    pub(crate) fn new(arrays: &[&Array], merges: bool) -> Self {
        let mut graph = Self {
            merges,
            ..Self::default()
        };
        let mut known: Table<*const Expression, NodeIx> = Table::default();
        for array in arrays {
            let output = graph.add_array(array, &mut known);
            graph.nodes[output.index()].output_count += 1;
            graph.outputs.push(output);
        }
        graph.sweep();
        graph
    }

    /// Adds operands before their users, without recursion: expressions may be long chains.
    fn add_array(&mut self, array: &Array, known: &mut Table<*const Expression, NodeIx>) -> NodeIx {
        let mut left = vec![&array.0];
        while let Some(&expression) = left.last() {
            let address = Arc::as_ptr(expression);
            if known.contains_key(&address) {
                left.pop();
                continue;
            }
            let before = left.len();
            let unknown = expression
                .operands
                .iter()
                .filter(|x| !known.contains_key(&Arc::as_ptr(&x.0)));
            left.extend(unknown.map(|x| &x.0));
            if left.len() == before {
                left.pop();
                let operands = expression
                    .operands
                    .iter()
                    .map(|x| known[&Arc::as_ptr(&x.0)])
                    .collect();
                let Expression { op, dtype, grid, .. } = &**expression;
                let node = Node {
                    op: op.clone(),
                    operands,
                    dtype: *dtype,
                    grid: grid.clone(),
                };
                let (before, is_number) = (self.nodes.len(), matches!(op, Op::Constant(_)));
                let ix = self.add_node(node);
                self.merged += u64::from(self.nodes.len() == before && !is_number);
                self.annotate(ix, expression.annotations.as_ref());
                known.insert(address, ix);
            }
        }
        known[&Arc::as_ptr(&array.0)]
    }

    /// How many parts of the expressions were found to be equal to others.
    pub(crate) fn merged(&self) -> u64 {
        self.merged
    }

    /// The outputs, in the order in which they were asked for.
    pub(crate) fn outputs(&self) -> &[NodeIx] {
        &self.outputs
    }

    pub(crate) fn node(&self, ix: NodeIx) -> &Node {
        &self.nodes[ix.index()].node
    }

    pub(crate) fn op(&self, ix: NodeIx) -> &Op {
        &self.node(ix).op
    }

    pub(crate) fn grid(&self, ix: NodeIx) -> &ChunkGrid {
        &self.node(ix).grid
    }

    /// Operand `position` of a node.
    pub(crate) fn operand(&self, ix: NodeIx, position: usize) -> NodeIx {
        self.node(ix).operands[position]
    }

    /// The nodes that use this one, each once.
    pub(crate) fn users(&self, ix: NodeIx) -> BTreeSet<NodeIx> {
        self.nodes[ix.index()].users.iter().copied().collect()
    }

    /// The users of a node, in no order, each as often as it uses it.
    pub(crate) fn each_user(&self, ix: NodeIx) -> impl Iterator<Item = NodeIx> + '_ {
        self.nodes[ix.index()].users.iter().copied()
    }

    pub(crate) fn is_output(&self, ix: NodeIx) -> bool {
        self.nodes[ix.index()].output_count > 0
    }

    pub(crate) fn is_alive(&self, ix: NodeIx) -> bool {
        self.nodes[ix.index()].is_alive
    }

    /// Whether `user` alone uses the node.
    pub(crate) fn is_only_user(&self, ix: NodeIx, user: NodeIx) -> bool {
        let slot = &self.nodes[ix.index()];
        slot.output_count == 0 && slot.users.iter().all(|&other| other == user)
    }

    /// The node for an operation: an equal one if there is one.
    pub(crate) fn add(&mut self, op: Op, operands: Vec<NodeIx>, dtype: DType, grid: ChunkGrid) -> NodeIx {
        self.add_node(Node {
            op,
            operands,
            dtype,
            grid,
        })
    }

    fn add_node(&mut self, node: Node) -> NodeIx {
        if self.merges
            && let Some(&ix) = self.index.get(&node)
        {
            return ix;
        }
        let ix = NodeIx(u32::try_from(self.nodes.len()).expect("below 2^32 operations"));
        node.operands
            .iter()
            .for_each(|operand| self.nodes[operand.index()].users.push(ix));
        self.changed.extend(node.operands.iter().copied().chain([ix]));
        self.index.insert(node.clone(), ix);
        self.nodes.push(Slot {
            node,
            users: Vec::new(),
            output_count: 0,
            is_alive: true,
            annotations: None,
        });
        ix
    }

    /// How a node's tasks shall run.
    pub(crate) fn annotations(&self, ix: NodeIx) -> Option<&Arc<Annotations>> {
        self.nodes[ix.index()].annotations.as_ref()
    }

    /// Nodes so far, dropped ones among them.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Has the nodes that were added since there were `count` run as those shall have that were dropped for them.
    pub(crate) fn inherit_annotations(&mut self, count: usize) {
        let said = self.orphaned.take();
        if said.is_some() {
            for ix in count..self.nodes.len() {
                self.annotate(NodeIx(ix as u32), said.as_ref());
            }
        }
    }

    /// Has the nodes that were added since there were `count` run as `like` shall.
    pub(crate) fn annotate_since(&mut self, count: usize, like: NodeIx) {
        let said = self.nodes[like.index()].annotations.clone();
        for ix in count..self.nodes.len() {
            self.annotate(NodeIx(ix as u32), said.as_ref());
        }
    }

    /// Adds to what is said of a node.
    fn annotate(&mut self, ix: NodeIx, annotations: Option<&Arc<Annotations>>) {
        let slot = &mut self.nodes[ix.index()];
        slot.annotations = annotate::joined(slot.annotations.take(), annotations);
    }

    /// Makes the node another operation with the same shape, dtype and chunks.
    pub(crate) fn set(&mut self, ix: NodeIx, op: Op, operands: Vec<NodeIx>) {
        let Node { dtype, grid, .. } = self.node(ix).clone();
        let by = self.add(op, operands, dtype, grid);
        self.replace(ix, by);
    }

    /// Lets `by` take the place of `ix` everywhere.
    pub(crate) fn replace(&mut self, ix: NodeIx, by: NodeIx) {
        if ix == by {
            return;
        }
        debug_assert_eq!(self.node(ix).grid.shape(), self.node(by).grid.shape());
        debug_assert_eq!(self.node(ix).dtype, self.node(by).dtype);
        // Changing a user's operand may make it equal to another node, which then takes the user's place, and so on.
        let (mut left, mut replaced) = (vec![(ix, by)], Vec::new());
        while let Some((old, new)) = left.pop() {
            let said = self.nodes[old.index()].annotations.take();
            self.annotate(new, said.as_ref());
            let users = std::mem::take(&mut self.nodes[old.index()].users);
            let distinct: BTreeSet<NodeIx> = users.into_iter().collect();
            for user in distinct {
                self.index.remove(&self.nodes[user.index()].node);
                let operands = &mut self.nodes[user.index()].node.operands;
                let count = operands
                    .iter_mut()
                    .filter(|x| **x == old)
                    .map(|x| *x = new)
                    .count();
                self.nodes[new.index()]
                    .users
                    .extend(std::iter::repeat_n(user, count));
                self.changed.insert(user);
                match self.index.get(self.node(user)) {
                    Some(&equal) if equal != user && self.merges => left.push((user, equal)),
                    _ => {
                        self.index.insert(self.node(user).clone(), user);
                    }
                }
            }
            self.outputs
                .iter_mut()
                .filter(|x| **x == old)
                .for_each(|x| *x = new);
            let output_count = std::mem::take(&mut self.nodes[old.index()].output_count);
            self.nodes[new.index()].output_count += output_count;
            self.changed.insert(new);
            // What is to be replaced by the replaced one is to be replaced by its successor.
            left.iter_mut()
                .filter(|(_, by)| *by == old)
                .for_each(|(_, by)| *by = new);
            replaced.push(old);
        }
        // Not before: a node that is still to take another's place may hang on one that has been replaced.
        replaced.into_iter().for_each(|old| self.drop_unused(old));
    }

    /// Drops a node that nobody uses, and what only it used.
    pub(crate) fn drop_unused(&mut self, ix: NodeIx) {
        let mut left = vec![ix];
        while let Some(ix) = left.pop() {
            let slot = &self.nodes[ix.index()];
            if !slot.is_alive || !slot.users.is_empty() || slot.output_count > 0 {
                continue;
            }
            if self.index.get(&slot.node) == Some(&ix) {
                self.index.remove(&self.nodes[ix.index()].node);
            }
            self.nodes[ix.index()].is_alive = false;
            let said = self.nodes[ix.index()].annotations.take();
            self.orphaned = annotate::joined(self.orphaned.take(), said.as_ref());
            for operand in self.nodes[ix.index()].node.operands.clone() {
                self.nodes[operand.index()].users.retain(|&user| user != ix);
                self.changed.insert(operand);
                left.push(operand);
            }
        }
    }

    /// Drops all that no output needs.
    pub(crate) fn sweep(&mut self) {
        (0..self.nodes.len())
            .rev()
            .for_each(|ix| self.drop_unused(NodeIx(ix as u32)));
    }

    /// Takes the nodes that were added or changed, or whose users changed, since the last call.
    pub(crate) fn take_changed(&mut self) -> BTreeSet<NodeIx> {
        std::mem::take(&mut self.changed)
    }

    /// The living nodes, operands before their users.
    pub(crate) fn topological(&self) -> Vec<NodeIx> {
        let mut order = Vec::new();
        let mut is_done = vec![false; self.nodes.len()];
        for &output in &self.outputs {
            let mut left = vec![output];
            while let Some(&ix) = left.last() {
                if is_done[ix.index()] {
                    left.pop();
                    continue;
                }
                let before = left.len();
                // The first operand is done first, so that programs read as the expression does.
                left.extend(
                    self.node(ix)
                        .operands
                        .iter()
                        .rev()
                        .filter(|x| !is_done[x.index()]),
                );
                if left.len() == before {
                    left.pop();
                    is_done[ix.index()] = true;
                    order.push(ix);
                }
            }
        }
        order
    }
}

impl NodeIx {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}
