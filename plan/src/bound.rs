//! An upper bound of what a plan has in memory, from its layers alone, whatever the number of their blocks.
//!
//! Outputs are made block by block, each with all that it needs and nobody has made yet (its *cone*). A chunk is then in
//! memory for one of three reasons. Its only reader has not run yet: such chunks lie beside the path from the output's
//! block down to what is being made, and are counted as for a tree. Several tasks of the cone read it: then all of its
//! layer that is in the cone is counted. Or cones of other output blocks need it too, before this one and after: how
//! many do is told axis by axis, as outputs are made in C order.

mod carry;
mod cone;

use crate::{BlockMap, ChunkGrid, InputMap, Key, Layer, LayerId, Plan, Source};
use cone::{Cone, Reader};

/// Blocks of one axis that are looked at one by one; beyond that the whole axis counts.
const LOOKED_AT_MAX: u64 = 1 << 16;
/// Blocks in the runs that all blocks of an axis need, each looked at as often as it is needed.
const NEEDED_MAX: u64 = 1 << 19;

impl Plan {
    /// At least what [`depth_first_bytes`](Self::depth_first_bytes) gives, without a walk: takes time by the layers and
    /// the blocks along each axis, not by the number of tasks. Never more than all chunks together and the way to one.
    ///
    /// That holds for plans as lowering makes them: each block of each layer is needed by an output. `None` where an output has too many blocks along one axis, or layers are graphs of their own blocks.
    pub fn depth_first_bytes_max<'a>(
        &self,
        held: impl Fn(Key) -> Option<(&'a ChunkGrid, u64)>,
    ) -> Option<u64> {
        let readers = readers(self)?;
        let alone = alone_bytes(self, &readers, held);
        let outputs = self.outputs();
        let along = outputs.iter().map(|output| {
            let grid = &self.layer(output.layer).grid;
            cone::cones(self, &readers, output.layer, grid)
        });
        let cones: Vec<Vec<Option<Cone>>> = along.collect::<Option<_>>()?;
        let mut beside = 0_u64;
        for (id, layer) in self.iter() {
            let at = id.0 as usize;
            let is_kept = outputs.iter().any(|o| o.layer == id && o.keep.is_some());
            if is_kept || readers.iter().all(|reader| reader.source != at) {
                continue;
            }
            let mut of_layer = cones.iter().zip(outputs).filter_map(|(cones, output)| {
                let cone = cones[at].as_ref()?;
                Some((cone, &self.layer(output.layer).grid, cones))
            });
            let first = of_layer.next();
            let count = match (first, of_layer.next()) {
                (None, _) => 0,
                (Some((cone, grid, cones)), None) => {
                    let carried = carry::carried(cone, grid);
                    let shared = if is_shared(at, &readers, cones) {
                        carried.cone
                    } else {
                        0
                    };
                    carried.across.saturating_add(shared).min(carried.all)
                }
                // What one output leaves for another may be all of it.
                (Some(_), Some(_)) => layer.grid.block_count(),
            };
            beside = beside.saturating_add(count.saturating_mul(layer.output_bytes_max()));
        }
        let most = outputs.iter().map(|output| alone[output.layer.0 as usize]).max();
        Some(beside.saturating_add(most.unwrap_or(0)))
    }
}

/// The inputs of all layers that are layers of the plan, consumers rising; `None` if one reads itself.
fn readers(plan: &Plan) -> Option<Vec<Reader>> {
    let mut readers = Vec::new();
    for (id, layer) in plan.iter() {
        for input in &layer.inputs {
            let Source::Layer(source) = input.source else {
                continue;
            };
            if source == id {
                return None;
            }
            let map = BlockMap::new(&input.map, &layer.grid, &plan.layer(source).grid);
            readers.push(Reader {
                consumer: id.0 as usize,
                source: source.0 as usize,
                map: map.expect("checked when the plan was built"),
                sources_max: sources_max(&input.map, layer, &plan.layer(source).grid),
            });
        }
    }
    Some(readers)
}

/// The most chunks of a source that one block needs.
fn sources_max(map: &InputMap, layer: &Layer, source: &ChunkGrid) -> u64 {
    match map {
        InputMap::Blocks(rows) => rows.longest(),
        InputMap::Product(_) => {
            let map = BlockMap::new(map, &layer.grid, source).expect("checked when the plan was built");
            let deciders = map.deciders().expect("it is a product");
            let along = deciders.iter().enumerate().map(|(axis, decider)| match decider {
                None => map.reach(axis, 0).1,
                Some(decider) => {
                    let count = layer.grid.axes()[*decider].count();
                    if count > LOOKED_AT_MAX {
                        // Only regular ones are alike everywhere, and the first is as long as any.
                        return match map.is_disjoint(axis) {
                            true => map.reach(axis, 0).1,
                            false => source.axes()[axis].count(),
                        };
                    }
                    (0..count).map(|i| map.reach(axis, i).1).max().unwrap_or(0)
                }
            });
            along.fold(1, u64::saturating_mul)
        }
    }
}

/// What a block of each layer takes if it is made from nothing and each chunk has one reader.
fn alone_bytes<'a>(
    plan: &Plan,
    readers: &[Reader],
    held: impl Fn(Key) -> Option<(&'a ChunkGrid, u64)>,
) -> Vec<u64> {
    let nothing = ChunkGrid::new(Vec::new()).expect("no axes are few");
    let mut alone: Vec<u64> = Vec::with_capacity(plan.layers().len());
    for (id, layer) in plan.iter() {
        let sources = layer.inputs.iter().map(|input| match input.source {
            Source::Layer(source) => (&plan.layer(source).grid, plan.layer(source).item_bytes),
            Source::Held(key) => held(key).unwrap_or((&nothing, 0)),
        });
        let task_bytes = layer.task_bytes_max(sources);
        let (mut before, mut most) = (0_u64, 0_u64);
        for reader in readers.iter().filter(|reader| reader.consumer == id.0 as usize) {
            let source = LayerId(reader.source as u32);
            let bytes = plan.layer(source).output_bytes_max();
            if let Some(others) = reader.sources_max.checked_sub(1) {
                let beside = before.saturating_add(others.saturating_mul(bytes));
                most = most.max(beside.saturating_add(alone[reader.source]));
                before = beside.saturating_add(bytes);
            }
        }
        alone.push(most.max(before.saturating_add(task_bytes)));
    }
    alone
}

/// Whether several tasks of one cone may read a chunk of a layer.
fn is_shared(layer: usize, readers: &[Reader], cones: &[Option<Cone>]) -> bool {
    let mut of_layer = readers
        .iter()
        .filter(|reader| reader.source == layer && cones[reader.consumer].is_some());
    let Some(first) = of_layer.next() else {
        return false;
    };
    let mut is_read_once = true;
    for other in of_layer {
        if other.consumer != first.consumer {
            return true;
        }
        is_read_once = false;
    }
    let consumer = cones[first.consumer].as_ref();
    consumer.is_some_and(|cone| cone.len_max() > 1) && !(is_read_once && first.is_one_to_one())
}
