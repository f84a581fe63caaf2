use graticule_ops::{BinaryOp, Node, NodeId, Program, UnaryOp};
use graticule_plan::{DType, NDIM_MAX};

use crate::{
    BlockFunctions, Chunk, KernelError, NoFunctions, Reader, Tables, Tensor, Window, apply,
    buffer::with_scratch,
    contract, count, fourier,
    lazy::{self, Meta},
    leaving::nodes_that_leave,
    linalg, nodes, order, random, reduce, scan, selected,
};

/// The most nodes of a program.
pub const NODE_COUNT_MAX: usize = 1 << 14;

/// Runs a task: what `program` makes of `inputs` for the block at `block_index` of its layer's grid.
///
/// Chains of elementwise nodes run tile by tile, together with the reduction after them. A program may come from
/// anywhere: what does not fit is an error, never a panic.
///
/// # Errors
/// [`KernelError`]: a node that does not fit its operands, a missing table or input, a read that fails, a result
/// without a value (the minimum of nothing).
pub fn run(
    program: &Program,
    block_index: &[u64],
    inputs: &[Window],
    reader: &dyn Reader,
    tables: &dyn Tables,
) -> Result<Chunk, KernelError> {
    run_with_functions(program, block_index, inputs, reader, tables, &NoFunctions)
}

/// [`run`] of a program that may call users' functions.
///
/// # Errors
/// As [`run`], and those of a function.
pub fn run_with_functions(
    program: &Program,
    block_index: &[u64],
    inputs: &[Window],
    reader: &dyn Reader,
    tables: &dyn Tables,
    functions: &dyn BlockFunctions,
) -> Result<Chunk, KernelError> {
    Task {
        program,
        block_index,
        inputs,
        reader,
        tables,
        functions,
    }
    .run(true)
}

/// [`run`] with every node's value made in memory before the next: the meaning that fusion must not change.
///
/// # Errors
/// As [`run`].
pub fn run_unfused(
    program: &Program,
    block_index: &[u64],
    inputs: &[Window],
    reader: &dyn Reader,
    tables: &dyn Tables,
) -> Result<Chunk, KernelError> {
    Task {
        program,
        block_index,
        inputs,
        reader,
        tables,
        functions: &NoFunctions,
    }
    .run(false)
}

/// What stays the same while a program runs.
pub(crate) struct Task<'a> {
    pub(crate) program: &'a Program,
    pub(crate) block_index: &'a [u64],
    pub(crate) inputs: &'a [Window],
    pub(crate) reader: &'a dyn Reader,
    pub(crate) tables: &'a dyn Tables,
    pub(crate) functions: &'a dyn BlockFunctions,
}

/// What is known of a node's value.
pub(crate) enum Value {
    /// In memory.
    Ready(Chunk),
    /// Elementwise, and evaluated together with whoever needs it.
    Lazy(Meta),
    /// No longer needed.
    Gone,
}

/// The values of a running program.
pub(crate) struct Values {
    pub(crate) values: Vec<Value>,
    /// For each node the nodes that take it.
    pub(crate) users: Vec<Vec<usize>>,
    /// For each node how many of its users have not yet taken it.
    waiting: Vec<usize>,
    /// For each node whether others may see its memory when the task is over.
    leaves: Vec<bool>,
}

impl Values {
    fn new(program: &Program) -> Self {
        let mut users = vec![Vec::new(); program.nodes.len()];
        for (node, step) in program.nodes.iter().enumerate() {
            let mut operands: Vec<usize> = step.operands().iter().map(|o| o.0 as usize).collect();
            operands.sort_unstable();
            operands.dedup();
            operands.into_iter().for_each(|operand| users[operand].push(node));
        }
        let waiting = users.iter().map(Vec::len).collect();
        Self {
            values: Vec::new(),
            users,
            waiting,
            leaves: nodes_that_leave(program),
        }
    }

    /// The dtypes and the shape of a value that exists.
    pub(crate) fn meta(&self, node: NodeId) -> Meta {
        match &self.values[node.0 as usize] {
            Value::Ready(chunk) => Meta {
                dtype: chunk.single().map(Tensor::dtype),
                shape: chunk.shape().to_vec(),
            },
            Value::Lazy(meta) => meta.clone(),
            Value::Gone => unreachable!("a value is kept until its last user has taken it"),
        }
    }

    /// Whether nobody sees a node's memory when the task is over.
    pub(crate) fn is_scratch(&self, node: usize) -> bool {
        !self.leaves[node]
    }

    /// A value in memory.
    pub(crate) fn ready(&self, node: usize) -> Option<&Chunk> {
        if let Value::Ready(chunk) = &self.values[node] {
            Some(chunk)
        } else {
            None
        }
    }

    /// Notes that `node` has taken its operands; those that nobody waits for are dropped.
    pub(crate) fn taken(&mut self, program: &Program, node: usize) {
        let mut operands: Vec<usize> = program.nodes[node]
            .operands()
            .iter()
            .map(|o| o.0 as usize)
            .collect();
        operands.sort_unstable();
        operands.dedup();
        for operand in operands {
            self.waiting[operand] -= 1;
            if self.waiting[operand] == 0 {
                // A slice that was only ever looked at through has its operand until now.
                let has_operand = matches!(self.values[operand], Value::Lazy(_))
                    && matches!(program.nodes[operand], Node::Slice { .. });
                self.values[operand] = Value::Gone;
                if has_operand {
                    self.taken(program, operand);
                }
            }
        }
    }
}

impl Task<'_> {
    fn run(&self, fuse: bool) -> Result<Chunk, KernelError> {
        self.check_order()?;
        let mut values = Values::new(self.program);
        for (node, step) in self.program.nodes.iter().enumerate() {
            let value = with_scratch(values.is_scratch(node), || self.value(node, step, &mut values))?;
            let is_lazy = matches!(value, Value::Lazy(_));
            values.values.push(value);
            if !is_lazy {
                values.taken(self.program, node);
            } else if !fuse && !matches!(step, Node::Sliding(_)) {
                // Windows are but a view of what they lie in.
                lazy::force(self, &mut values, node)?;
            }
        }
        let result = self.program.nodes.len() - 1;
        lazy::force(self, &mut values, result)?;
        match values.values.pop() {
            Some(Value::Ready(chunk)) => Ok(chunk),
            _ => unreachable!("the result has just been forced, and nobody takes it"),
        }
    }

    fn check_order(&self) -> Result<(), KernelError> {
        let failed = |why: String| Err(KernelError::Program(why));
        let nodes = &self.program.nodes;
        if nodes.is_empty() || nodes.len() > NODE_COUNT_MAX {
            return failed(format!(
                "it has {} nodes; 1 to {NODE_COUNT_MAX} are allowed",
                nodes.len()
            ));
        }
        for (node, step) in nodes.iter().enumerate() {
            if let Some(operand) = step.operands().into_iter().find(|o| o.0 as usize >= node) {
                return failed(format!(
                    "node {node} takes node {}, which does not stand before it",
                    operand.0
                ));
            }
        }
        Ok(())
    }

    /// A node's value: made now, or described.
    fn value(&self, node: usize, step: &Node, values: &mut Values) -> Result<Value, KernelError> {
        let ready =
            |chunk: Result<Chunk, KernelError>| Ok(Value::Ready(chunk.map_err(|e| self.name_node(node, e))?));
        self.check_half(node, step, values)?;
        match step {
            Node::Input { .. } | Node::Read(_) | Node::Constant { .. } | Node::Arange { .. } => {
                ready(nodes::source(self, node, step))
            }
            Node::Full { .. }
            | Node::Cast { .. }
            | Node::Unary { .. }
            | Node::Binary { .. }
            | Node::Where { .. }
            | Node::BroadcastTo { .. }
            | Node::Slice { .. }
            | Node::Sliding(_) => Ok(Value::Lazy(lazy::describe(self, node, step, values)?)),
            Node::Search(search) => {
                lazy::force(self, values, search.sorted.0 as usize)?;
                Ok(Value::Lazy(lazy::describe(self, node, step, values)?))
            }
            Node::ExpandDims { x, .. } | Node::Squeeze { x, .. } => match values.ready(x.0 as usize) {
                Some(chunk) => ready(nodes::reshape(step, chunk)),
                None => Ok(Value::Lazy(lazy::describe(self, node, step, values)?)),
            },
            Node::Stride { .. }
            | Node::Take { .. }
            | Node::Transpose { .. }
            | Node::Concatenate { .. }
            | Node::Reshape { .. }
            | Node::TakeAlong { .. }
            | Node::Part { .. } => {
                for operand in step.operands() {
                    lazy::force(self, values, operand.0 as usize)?;
                }
                ready(nodes::movement(self, step, values))
            }
            Node::Reduce { .. } | Node::GroupReduce { .. } => ready(reduce::node(self, node, step, values)),
            Node::Sort(step) => ready(order::sort(self, node, step, values)),
            Node::Count(step) => ready(count::node(self, node, step, values)),
            Node::Compress(step) => ready(selected::compress(self, node, step, values)),
            Node::Distinct(step) => ready(selected::distinct(self, node, step, values)),
            Node::Random(step) => ready(random::node(self, node, step)),
            Node::Contract(step) => ready(contract::node(self, node, step, values)),
            Node::Linalg(step) => ready(linalg::node(self, node, step, values)),
            Node::Fourier(step) => ready(fourier::node(self, node, step, values)),
            Node::Scan(step) => ready(scan::node(self, node, step, values)),
            Node::Apply(step) => ready(apply::node(self, node, step, values)),
        }
    }

    /// Float16 is computed in float32: whoever writes a program says where it is converted.
    fn check_half(&self, node: usize, step: &Node, values: &Values) -> Result<(), KernelError> {
        let named = match step {
            Node::Reduce { reduction, .. } | Node::GroupReduce { reduction, .. } => Some(reduction.dtype),
            Node::Scan(step) => Some(step.scan.dtype),
            Node::Unary {
                op: UnaryOp::Spacing, ..
            }
            | Node::Binary {
                op: BinaryOp::Nextafter,
                ..
            } => return Ok(()),
            Node::Unary { .. }
            | Node::Binary { .. }
            | Node::Sort(_)
            | Node::Search(_)
            | Node::Distinct(_)
            | Node::Contract(_) => None,
            _ => return Ok(()),
        };
        let operands = step.operands().into_iter().map(|x| values.meta(x).dtype);
        if operands
            .chain([named])
            .flatten()
            .any(|dtype| dtype == DType::Float16)
        {
            return Err(self.misfit(node, "operands of float16; convert them to float32 first"));
        }
        Ok(())
    }

    /// An error of this node.
    pub(crate) fn misfit(&self, node: usize, why: impl Into<String>) -> KernelError {
        KernelError::Node {
            node,
            what: name(&self.program.nodes[node]),
            why: why.into(),
        }
    }

    /// Says which node a window's error came from.
    fn name_node(&self, node: usize, error: KernelError) -> KernelError {
        match error {
            KernelError::Window(why) => self.misfit(node, why),
            other => other,
        }
    }
}

/// Checks that a chunk is no tuple.
pub(crate) fn single(chunk: &Chunk) -> Result<&Tensor, KernelError> {
    chunk
        .single()
        .ok_or_else(|| KernelError::Window(format!("operand has {} parts, want 1", chunk.parts().len())))
}

/// A node's name for messages.
fn name(node: &Node) -> String {
    match node {
        Node::Input { input, .. } => format!("input {input}"),
        Node::Read(_) => "read".into(),
        Node::Constant { .. } => "constant".into(),
        Node::Full { .. } => "full".into(),
        Node::Arange { .. } => "arange".into(),
        Node::Cast { dtype, .. } => format!("cast to {dtype}"),
        Node::Unary { op, .. } => op.name().into(),
        Node::Binary { op, .. } => op.name().into(),
        Node::Where { .. } => "where".into(),
        Node::Stride { .. } => "stride".into(),
        Node::Slice { .. } => "slice".into(),
        Node::Take { .. } => "take".into(),
        Node::Transpose { .. } => "transpose".into(),
        Node::ExpandDims { .. } => "expand_dims".into(),
        Node::Squeeze { .. } => "squeeze".into(),
        Node::BroadcastTo { .. } => "broadcast_to".into(),
        Node::Concatenate { .. } => "concatenate".into(),
        Node::Reshape { .. } => "reshape".into(),
        Node::Sliding(_) => "sliding".into(),
        Node::TakeAlong { .. } => "take_along_axis".into(),
        Node::Reduce { reduction, stage, .. } => format!("{} {stage:?}", reduction.name()),
        Node::GroupReduce { reduction, stage, .. } => format!("group {} {stage:?}", reduction.name()),
        Node::Scan(step) => step.scan.name().into(),
        Node::Random(step) => step.distribution.name().into(),
        Node::Sort(_) => "sort".into(),
        Node::Search(step) => step.kind.name().into(),
        Node::Count(_) => "bincount".into(),
        Node::Compress(_) => "compress".into(),
        Node::Distinct(_) => "unique".into(),
        Node::Contract(_) => "contract".into(),
        Node::Apply(apply) => format!("function {:?}", apply.function),
        Node::Part { part, .. } => format!("part {part}"),
        Node::Linalg(step) => step.kind.name().into(),
        Node::Fourier(step) => step.transform.name().into(),
    }
}

/// Limits an array's axes.
pub(crate) fn check_ndim(ndim: usize) -> Result<(), String> {
    if ndim > NDIM_MAX {
        Err(format!("{ndim} axes, the limit is {NDIM_MAX}"))
    } else {
        Ok(())
    }
}
