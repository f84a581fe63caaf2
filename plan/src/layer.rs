use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{BlockMap, ChunkGrid, Digest, Input, Key, LayerId, PlanError, Source};

/// One operation over a whole array: what each of its tasks does, needs and makes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// A name for people: the operations fused into it, as in `read+where+nanmedian`.
    pub name: Arc<str>,
    /// How the result is cut into chunks; one task makes one chunk.
    pub grid: ChunkGrid,
    /// Bytes of one element of the result (of all parts, where a chunk is a tuple).
    pub item_bytes: u64,
    /// What a task does: opaque here, known to the kernels.
    pub body: Body,
    /// What a task needs of other layers.
    pub inputs: Vec<Input>,
    /// The most bytes a task uses beside its inputs and its result.
    pub scratch_bytes: u64,
    /// The most bytes a task fetches from outside the cluster.
    pub source_bytes: u64,
    /// What a task is thought to take on one slot, before any has been measured.
    pub cost_ns: u64,
    /// How often a task may fail before its job does; a lost worker does not count.
    pub retries: u32,
    /// Tasks of higher priority run first within a job.
    pub priority: i32,
    /// Countable things a worker must have free, by name.
    pub resources: Vec<Resource>,
    /// The names of the workers that may run its tasks; empty: all may.
    pub workers: Vec<Arc<str>>,
    /// Side tables that the body refers to.
    pub tables: Vec<Digest>,
    /// The users' functions on blocks that the body calls, by the names by which workers know them.
    pub functions: Vec<Arc<str>>,
    /// The user's file and line that made the operation, if known.
    pub origin: Option<Arc<str>>,
    /// What its blocks are to each other.
    pub kind: LayerKind,
}

/// What the blocks of a layer are to each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LayerKind {
    /// Parts of one array: if one of them cannot be made, its job fails.
    #[default]
    Array,
    /// Calls of a function, each for itself: one that fails does so alone with those that need its result, and a client
    /// that keeps the layer lets go of each block when it likes.
    Calls {
        /// The name by which workers know the function; only those that do run it.
        function: Arc<str>,
        /// Whoever calls it does not know how large results are: the bytes of an element are a guess, and the
        /// scheduler learns better.
        learns_size: bool,
    },
    /// Values that their client hands to a worker, each for itself: nothing else can make them, so one that is lost with
    /// all that hold it fails, with those that need it.
    Values {
        /// Workers that shall hold each.
        replicas: u32,
    },
}

/// A named, countable thing that a task occupies while it runs, such as `GPU`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Its name.
    pub name: Arc<str>,
    /// How many of it.
    pub count: u32,
}

/// The encoded operation of a layer, named by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// Names the bytes.
    pub digest: Digest,
    /// The encoded operation.
    pub bytes: Arc<[u8]>,
}

impl Body {
    /// Wraps encoded bytes.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        Self {
            digest: Digest::of(&bytes),
            bytes,
        }
    }
}

impl Layer {
    /// A layer with neutral hints: no scratch, no retries, no tables.
    pub fn new(name: &str, grid: ChunkGrid, item_bytes: u64, body: Body, inputs: Vec<Input>) -> Self {
        Self {
            name: name.into(),
            grid,
            item_bytes,
            body,
            inputs,
            scratch_bytes: 0,
            source_bytes: 0,
            cost_ns: 0,
            retries: 0,
            priority: 0,
            resources: Vec::new(),
            workers: Vec::new(),
            tables: Vec::new(),
            functions: Vec::new(),
            origin: None,
            kind: LayerKind::Array,
        }
    }

    /// Whether each of its blocks stands for itself: fails alone, and is let go alone.
    pub fn is_apart(&self) -> bool {
        self.kind != LayerKind::Array
    }

    /// The function that its tasks are calls of, if they are.
    pub fn function(&self) -> Option<&Arc<str>> {
        match &self.kind {
            LayerKind::Calls { function, .. } => Some(function),
            LayerKind::Array | LayerKind::Values { .. } => None,
        }
    }

    /// All functions that a worker must know to run its tasks.
    pub fn functions(&self) -> impl Iterator<Item = &Arc<str>> {
        self.function().into_iter().chain(&self.functions)
    }

    /// The function that its tasks call, if the size of their results is learnt.
    pub fn learns_size(&self) -> Option<&Arc<str>> {
        match &self.kind {
            LayerKind::Calls {
                function,
                learns_size: true,
            } => Some(function),
            LayerKind::Calls {
                learns_size: false, ..
            }
            | LayerKind::Array
            | LayerKind::Values { .. } => None,
        }
    }

    /// How many workers shall hold each block, if these are values that a client hands over.
    pub fn replicas(&self) -> Option<u32> {
        match self.kind {
            LayerKind::Values { replicas } => Some(replicas),
            LayerKind::Calls { .. } | LayerKind::Array => None,
        }
    }

    /// Bytes of the chunk that block `block` makes.
    pub fn output_bytes(&self, block: u64) -> u64 {
        self.grid.block_len(block).saturating_mul(self.item_bytes)
    }

    /// Bytes of the largest chunk.
    pub fn output_bytes_max(&self) -> u64 {
        self.grid.block_len_max().saturating_mul(self.item_bytes)
    }
}

/// A result that somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The layer whose chunks are the result.
    pub layer: LayerId,
    /// `Some`: the cluster keeps the chunks under this name until it is released. `None`: each chunk is handed to the
    /// client as it appears and dropped once the client has it.
    pub keep: Option<Key>,
}

/// A symbolic task graph: layers in an order in which each stands after its inputs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    layers: Vec<Layer>,
    outputs: Vec<Output>,
    tables: BTreeMap<Digest, Arc<[u8]>>,
    depth_first_bytes: Option<u64>,
}

impl Plan {
    /// The layers; [`LayerId`] is the position.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// One layer.
    ///
    /// # Panics
    /// If the plan lacks it.
    pub fn layer(&self, id: LayerId) -> &Layer {
        &self.layers[id.0 as usize]
    }

    /// The layers with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (LayerId, &Layer)> {
        (0..).map(LayerId).zip(&self.layers)
    }

    /// What is wanted of the plan.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Content that bodies refer to by digest: item lists, labels, index lists, constants.
    pub fn tables(&self) -> &BTreeMap<Digest, Arc<[u8]>> {
        &self.tables
    }

    /// What [`depth_first_bytes`](Self::depth_first_bytes) told whoever made the plan, if it was asked: the scheduler
    /// keeps the plan's memory within that and what runs at a time.
    pub fn depth_first_hint(&self) -> Option<u64> {
        self.depth_first_bytes
    }

    /// The plan with what [`depth_first_bytes`](Self::depth_first_bytes) said of it.
    #[must_use]
    pub fn with_depth_first_hint(mut self, bytes: Option<u64>) -> Self {
        self.depth_first_bytes = bytes;
        self
    }

    /// Tasks in all.
    pub fn task_count(&self) -> u64 {
        self.layers.iter().map(|layer| layer.grid.block_count()).sum()
    }

    /// Bytes that all chunks of all layers would take.
    pub fn output_bytes(&self) -> u64 {
        let bytes = |layer: &Layer| layer.grid.element_count().saturating_mul(layer.item_bytes);
        self.layers.iter().map(bytes).fold(0, u64::saturating_add)
    }
}

/// Puts a [`Plan`] together and checks each step.
#[derive(Debug, Default)]
pub struct PlanBuilder {
    plan: Plan,
}

impl PlanBuilder {
    /// Starts with nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds side content and returns its name.
    pub fn table(&mut self, content: impl Into<Arc<[u8]>>) -> Digest {
        let content = content.into();
        let digest = Digest::of(&content);
        self.plan.tables.insert(digest, content);
        digest
    }

    /// Adds a layer.
    ///
    /// # Errors
    /// [`PlanError::Order`], [`PlanError::Map`], [`PlanError::NoSuchTable`] or [`PlanError::Digest`].
    pub fn layer(&mut self, layer: Layer) -> Result<LayerId, PlanError> {
        let count = u32::try_from(self.plan.layers.len()).expect("below 2^32 layers");
        let id = LayerId(count);
        if Digest::of(&layer.body.bytes) != layer.body.digest {
            return Err(PlanError::Digest(layer.body.digest));
        }
        if let Some(&table) = layer.tables.iter().find(|t| !self.plan.tables.contains_key(t)) {
            return Err(PlanError::NoSuchTable { layer: id, table });
        }
        for (input, Input { source, map }) in layer.inputs.iter().enumerate() {
            if let Source::Layer(source_layer) = *source {
                let wrong = |why| PlanError::Map {
                    layer: id,
                    input,
                    why,
                };
                let own = source_layer == id;
                let known = self.plan.layers.get(source_layer.0 as usize);
                let source = known.or(own.then_some(&layer)).ok_or(PlanError::Order {
                    layer: id,
                    source_layer,
                })?;
                BlockMap::new(map, &layer.grid, &source.grid).map_err(wrong)?;
                if own {
                    map.check_own().map_err(wrong)?;
                }
            }
        }
        self.plan.layers.push(layer);
        Ok(id)
    }

    /// Asks for a layer's chunks.
    ///
    /// # Errors
    /// [`PlanError::NoSuchLayer`].
    pub fn output(&mut self, output: Output) -> Result<(), PlanError> {
        if output.layer.0 as usize >= self.plan.layers.len() {
            return Err(PlanError::NoSuchLayer(output.layer));
        }
        self.plan.outputs.push(output);
        Ok(())
    }

    /// The finished plan.
    pub fn finish(self) -> Plan {
        self.plan
    }
}
