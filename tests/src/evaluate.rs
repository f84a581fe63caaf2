//! Evaluates a plan in this process, one task after another: what a cluster must agree with.

use std::collections::BTreeMap;

use graticule_kernel::{
    BlockFunctions, Chunk, InlineReader, KernelError, NoFunctions, Tensor, TensorMut, Window,
    run_with_functions,
};
use graticule_ops::Program;
use graticule_plan::{BlockMap, ChunkGrid, Input, Key, Layer, LayerId, Plan, Source};

/// A held result that a plan takes in.
#[derive(Debug, Clone)]
pub struct HeldArray {
    /// How it is cut.
    pub grid: ChunkGrid,
    /// Its chunks, by the block's position.
    pub chunks: Vec<Chunk>,
}

impl HeldArray {
    /// Cuts a whole array.
    ///
    /// # Panics
    /// If the grid has another shape.
    pub fn cut(array: &Tensor, grid: &ChunkGrid) -> Self {
        let block = |block| {
            array
                .region(&grid.extents(block))
                .expect("the grid is the array's")
                .into()
        };
        Self {
            grid: grid.clone(),
            chunks: (0..grid.block_count()).map(block).collect(),
        }
    }
}

/// Evaluates `plan` whose sources are inline, and returns the whole array of each output, in their order.
///
/// Layers run in their order, and each block of them, whether an output needs it or not.
///
/// # Errors
/// Those of the first task that fails.
///
/// # Panics
/// If the plan takes in a held result that is not among `held`.
pub fn evaluate(plan: &Plan, held: &BTreeMap<Key, HeldArray>) -> Result<Vec<Tensor>, KernelError> {
    evaluate_with_functions(plan, held, &NoFunctions)
}

/// [`evaluate`] of a plan that calls users' functions.
///
/// # Errors
/// As [`evaluate`], and those of the functions.
///
/// # Panics
/// As [`evaluate`].
pub fn evaluate_with_functions(
    plan: &Plan,
    held: &BTreeMap<Key, HeldArray>,
    functions: &dyn BlockFunctions,
) -> Result<Vec<Tensor>, KernelError> {
    let mut made: Vec<HeldArray> = Vec::new();
    for layer in plan.layers() {
        let body = Program::decode(&layer.body.bytes).map_err(KernelError::from)?;
        let sources: Vec<(&HeldArray, BlockMap)> = layer
            .inputs
            .iter()
            .map(|input| source(input, layer, &made, held))
            .collect();
        let mut chunks = Vec::new();
        for block in 0..layer.grid.block_count() {
            let inputs = sources
                .iter()
                .map(|(array, map)| window(array, map, block))
                .collect::<Result<Vec<_>, _>>()?;
            let index = layer.grid.unravel(block);
            let chunk = run_with_functions(
                &body,
                &index,
                &inputs,
                &InlineReader::new(plan.tables()),
                plan.tables(),
                functions,
            )?;
            check(layer, block, &chunk);
            chunks.push(chunk);
        }
        made.push(HeldArray {
            grid: layer.grid.clone(),
            chunks,
        });
    }
    plan.outputs()
        .iter()
        .map(|output| whole(&made[output.layer.0 as usize]))
        .collect()
}

/// The blocks of each layer that no block of a later layer and no output needs: a culled plan has none.
///
/// # Panics
/// If a map of the plan does not fit its grids, which a plan's builder rules out.
pub fn unneeded_blocks(plan: &Plan) -> Vec<(LayerId, u64)> {
    let mut needed: Vec<Vec<bool>> = plan
        .layers()
        .iter()
        .map(|layer| vec![false; layer.grid.block_count() as usize])
        .collect();
    plan.outputs()
        .iter()
        .for_each(|output| needed[output.layer.0 as usize].fill(true));
    for layer in plan.layers().iter().rev() {
        for Input { source, map } in &layer.inputs {
            let Source::Layer(id) = *source else { continue };
            let map = BlockMap::new(map, &layer.grid, &plan.layer(id).grid).expect("a plan's maps fit");
            for block in 0..layer.grid.block_count() {
                map.sources(block)
                    .into_iter()
                    .for_each(|source| needed[id.0 as usize][source as usize] = true);
            }
        }
    }
    let of_layer = |(id, blocks): (LayerId, Vec<bool>)| {
        (0..)
            .zip(blocks)
            .filter(|(_, needed)| !needed)
            .map(move |(block, _)| (id, block))
            .collect::<Vec<_>>()
    };
    (0..).map(LayerId).zip(needed).flat_map(of_layer).collect()
}

fn source<'a>(
    Input { source, map }: &Input,
    layer: &Layer,
    made: &'a [HeldArray],
    held: &'a BTreeMap<Key, HeldArray>,
) -> (&'a HeldArray, BlockMap) {
    let array = match source {
        Source::Layer(id) => &made[id.0 as usize],
        Source::Held(key) => held
            .get(key)
            .unwrap_or_else(|| panic!("the plan takes in {key}, which nobody holds")),
    };
    (
        array,
        BlockMap::new(map, &layer.grid, &array.grid).expect("a plan's maps fit"),
    )
}

fn window(array: &HeldArray, map: &BlockMap, block: u64) -> Result<Window, KernelError> {
    let regions = map
        .sources(block)
        .into_iter()
        .map(|source| array.chunks[source as usize].region(&map.region(block, source)));
    let regions = regions.collect::<Result<Vec<_>, _>>()?;
    let axes = map.window(block).expect("arrays lower to products of windows");
    Window::assemble(axes, regions)
}

/// A chunk has the shape that its grid says, and takes the bytes that its layer says.
fn check(layer: &Layer, block: u64, chunk: &Chunk) {
    let shape: Vec<u64> = chunk.shape().iter().map(|&len| len as u64).collect();
    assert_eq!(
        shape,
        layer.grid.block_shape(block),
        "block {block} of {}",
        layer.name
    );
    assert_eq!(
        chunk.nbytes(),
        layer.output_bytes(block),
        "block {block} of {}",
        layer.name
    );
}

fn whole(array: &HeldArray) -> Result<Tensor, KernelError> {
    let part = |chunk: &Chunk| chunk.single().expect("an output is no tuple").clone();
    let shape: Vec<usize> = array.grid.shape().iter().map(|&len| len as usize).collect();
    let mut whole = TensorMut::zeros(part(&array.chunks[0]).dtype(), &shape)?;
    for (block, chunk) in (0..).zip(&array.chunks) {
        let at: Vec<usize> = array
            .grid
            .extents(block)
            .iter()
            .map(|extent| extent.start as usize)
            .collect();
        let part = part(chunk);
        whole.copy_box(&at, &part, &vec![0; at.len()], part.shape())?;
    }
    Ok(whole.freeze())
}
