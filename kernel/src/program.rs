use graticule_ops::{Node, Program, Scalar};
use graticule_plan::DType;

use crate::{
    Chunk, KernelError, Reader, Tables, Tensor, TensorMut, Window, movement, shape,
    window::{concatenate, locate},
};

/// Runs a task: what `program` makes of `inputs` for the block at `block_index` of its layer's grid.
///
/// A program may come from anywhere: what does not fit is an error, never a panic.
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
    let task = Task {
        program,
        block_index,
        inputs,
        reader,
        tables,
    };
    task.run()
}

/// What stays the same while a program runs.
pub(crate) struct Task<'a> {
    pub(crate) program: &'a Program,
    pub(crate) block_index: &'a [u64],
    pub(crate) inputs: &'a [Window],
    pub(crate) reader: &'a dyn Reader,
    pub(crate) tables: &'a dyn Tables,
}

impl Task<'_> {
    fn run(&self) -> Result<Chunk, KernelError> {
        let mut values: Vec<Chunk> = Vec::new();
        for node in 0..self.program.nodes.len() {
            let value = self.node(node, &values)?;
            values.push(value);
        }
        values
            .pop()
            .ok_or_else(|| KernelError::Program("it has no nodes".into()))
    }

    fn node(&self, node: usize, values: &[Chunk]) -> Result<Chunk, KernelError> {
        let _ = (node, values);
        Err(KernelError::Program("under construction".into()))
    }
}
