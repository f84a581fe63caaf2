//! From expressions to a plan: rewriting, fusion, and a layer for each group of fused operations.

mod edges;
mod emit;
mod estimate;
mod place;
mod recut;
mod scan;
mod shared;
mod tree;

use std::{collections::BTreeMap, sync::Arc};

use crate::table::Table;

pub(crate) use tree::fans;

use graticule_plan::{
    Annotations, Body, ChunkGrid, DType, Digest, Key, Layer, LayerId, Output, Plan, PlanBuilder,
};

use self::{
    emit::{Emitter, item_bytes},
    estimate::Estimate,
    place::Place,
};
use crate::{
    Array, ArrayError, annotate,
    expression::{Op, SourceTable},
    graph::{Graph, NodeIx},
    rewrite::{self, COMMON_PARTS, Rewrites, SHARE_READS},
};

/// What becomes of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Each chunk goes to the client as it appears.
    Deliver,
    /// The cluster keeps the chunks under this name.
    Keep(Key),
}

/// How expressions are lowered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LowerOptions {
    /// Which rewrites are done.
    pub rewrites: Rewrites,
    /// How often a task may fail before its job does.
    pub retries: u32,
    /// How all tasks shall run, beside what is said of single operations by [`annotate`](crate::annotate).
    pub annotations: Annotations,
}

/// A result's place in its plan.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputMeta {
    /// The layer whose chunks are the result.
    pub layer: LayerId,
    /// The dtype of the elements.
    pub dtype: DType,
    /// The chunks: those of the array that was asked for.
    pub grid: ChunkGrid,
}

/// What a plan takes a held result to be.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldMeta {
    /// The dtype of the elements.
    pub dtype: DType,
    /// The chunks in which it is held.
    pub grid: ChunkGrid,
}

/// A plan and what it gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Lowered {
    /// The symbolic task graph.
    pub plan: Plan,
    /// One for each array that was asked for, in their order.
    pub outputs: Vec<OutputMeta>,
    /// The held results that the plan takes in, and how they are cut.
    pub held: BTreeMap<Key, HeldMeta>,
    /// How often each rewrite of the expression was done, by name.
    pub rewritten: BTreeMap<&'static str, u64>,
}

/// Rewrites expressions and lowers them to one plan. Common parts are computed once.
///
/// Takes time and space by the number of operations (and of irregular cuts, positions and labels that the user gave),
/// never by the number of chunks.
///
/// # Errors
/// [`ArrayError::Plan`] if a layer would have too many blocks.
pub fn lower(wanted: &[(&Array, Wanted)], options: &LowerOptions) -> Result<Lowered, ArrayError> {
    let arrays: Vec<&Array> = wanted.iter().map(|(array, _)| *array).collect();
    let mut graph = Graph::new(&arrays, options.rewrites.has(COMMON_PARTS));
    let mut rewritten = rewrite::run(&mut graph, &options.rewrites);
    tree::expand(&mut graph)?;
    scan::expand(&mut graph)?;
    recut::expand(&mut graph, &options.rewrites, &mut rewritten)?;
    graph.sweep();
    let order = graph.topological();
    let places = place::places(&graph, &order, &options.rewrites, &mut rewritten);
    let mut lowering = Lowering::new(&graph, &places, options);
    for (root, members) in emit::members(&order, &places) {
        lowering.layer(root, &members)?;
    }
    if lowering.shared_count > 0 {
        rewritten.insert(SHARE_READS, lowering.shared_count);
    }
    let kinds: Vec<Wanted> = wanted.iter().map(|(_, kind)| *kind).collect();
    let outputs = lowering.outputs(&kinds)?;
    let held = order.iter().filter_map(|&ix| match graph.op(ix) {
        Op::Held(key) => Some((
            *key,
            HeldMeta {
                dtype: graph.node(ix).dtype,
                grid: graph.grid(ix).clone(),
            },
        )),
        _ => None,
    });
    Ok(Lowered {
        plan: lowering.builder.finish(),
        outputs,
        held: held.collect(),
        rewritten,
    })
}

struct Lowering<'a> {
    graph: &'a Graph,
    places: &'a Table<NodeIx, Place>,
    options: &'a LowerOptions,
    sources: Table<Digest, &'a SourceTable>,
    layers: Table<NodeIx, LayerId>,
    /// Reads that are cut out of others.
    shared_count: u64,
    builder: PlanBuilder,
}

impl<'a> Lowering<'a> {
    fn new(graph: &'a Graph, places: &'a Table<NodeIx, Place>, options: &'a LowerOptions) -> Self {
        let tables = places.keys().filter_map(|&ix| match graph.op(ix) {
            Op::Source { table, .. } => Some((table.digest, &**table)),
            _ => None,
        });
        let sources = tables.collect();
        Self {
            graph,
            places,
            options,
            sources,
            layers: Table::default(),
            shared_count: 0,
            builder: PlanBuilder::new(),
        }
    }

    fn layer(&mut self, root: NodeIx, members: &[NodeIx]) -> Result<(), ArrayError> {
        let emitter = Emitter::new(self.graph, self.places, &self.layers, &mut self.builder, root);
        let body = emitter.body(members, self.options.rewrites.has(SHARE_READS));
        self.shared_count += body.shared_count;
        let annotations = self.annotations(root, members);
        let id = self.add(root, body, annotations)?;
        self.layers.insert(root, id);
        Ok(())
    }

    /// What is said of the operations of one layer, the last one's word first, and of the whole plan.
    fn annotations(&self, root: NodeIx, members: &[NodeIx]) -> Option<Arc<Annotations>> {
        let others = members.iter().copied().filter(|&member| member != root);
        let said = std::iter::once(root)
            .chain(others)
            .filter_map(|ix| self.graph.annotations(ix));
        let of_plan = Some(&self.options.annotations).filter(|all| !all.is_empty());
        let of_plan = of_plan.map(|all| Arc::new(all.clone()));
        said.chain(of_plan.as_ref())
            .fold(None, |joined, more| annotate::joined(joined, Some(more)))
    }

    fn add(
        &mut self,
        root: NodeIx,
        body: emit::Body,
        annotations: Option<Arc<Annotations>>,
    ) -> Result<LayerId, ArrayError> {
        let estimate = Estimate::of(&body, |digest| self.sources.get(digest).copied());
        let node = self.graph.node(root);
        let encoded = Body::new(body.program.encode());
        let item_bytes = item_bytes(&node.op, node.dtype);
        let mut layer = Layer::new(&body.name, node.grid.clone(), item_bytes, encoded, body.inputs);
        layer.tables = body.tables;
        layer.functions = body.functions;
        layer.scratch_bytes = estimate.scratch_bytes;
        layer.source_bytes = estimate.source_bytes;
        layer.cost_ns = estimate.cost_ns;
        layer.retries = self.options.retries;
        if let Some(annotations) = annotations {
            annotations.apply(&mut layer);
        }
        Ok(self.builder.layer(layer)?)
    }

    /// Names the results. One that is asked for twice, or that the cluster holds already, is copied.
    fn outputs(&mut self, wanted: &[Wanted]) -> Result<Vec<OutputMeta>, ArrayError> {
        let mut outputs: Vec<OutputMeta> = Vec::with_capacity(wanted.len());
        for (&ix, kind) in self.graph.outputs().iter().zip(wanted) {
            let known = self.layers.get(&ix).copied();
            let layer = match known.filter(|known| outputs.iter().all(|other| other.layer != *known)) {
                Some(layer) => layer,
                None => {
                    let emitter = Emitter::new(self.graph, self.places, &self.layers, &mut self.builder, ix);
                    let body = emitter.copy();
                    let annotations = self.annotations(ix, &[]);
                    self.add(ix, body, annotations)?
                }
            };
            let keep = match kind {
                Wanted::Deliver => None,
                Wanted::Keep(key) => Some(*key),
            };
            self.builder.output(Output { layer, keep })?;
            let node = self.graph.node(ix);
            outputs.push(OutputMeta {
                layer,
                dtype: node.dtype,
                grid: node.grid.clone(),
            });
        }
        Ok(outputs)
    }
}
