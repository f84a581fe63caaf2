//! Random plans: shapes with empty and single-element chunks, and every kind of dependency map.

use std::sync::Arc;

use graticule_plan::{
    AxisChunks, AxisWindow, Body, ChunkGrid, Input, InputMap, Key, Layer, LayerId, LayerKind, Output, Plan,
    PlanBuilder, Resource, Rows, Source,
};

use crate::{
    oracle::{Expected, expect},
    rng::{Rng, Stream},
};

/// The most bytes that a task of a generated plan has in memory at a time; every worker has room for one.
pub(crate) const TASK_BYTES_MAX: u64 = 16 << 10;
/// Of so many layers in a thousand the array takes about this much, so that a few of them fill a worker.
const HEAVY_PER_MILLE: u64 = 200;
const HEAVY_BYTES: u64 = TASK_BYTES_MAX * 3 / 8;
const ELEMENTS_MAX: u64 = 240;
const BLOCKS_MAX: u64 = 60;

/// A kept result that a new plan may build on.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    pub(crate) key: Key,
    pub(crate) grid: ChunkGrid,
    pub(crate) item_bytes: u64,
    pub(crate) expected: Arc<Expected>,
}

/// A plan and what each of its chunks must be.
#[derive(Debug)]
pub(crate) struct Generated {
    pub(crate) plan: Arc<Plan>,
    pub(crate) expected: Vec<Arc<Expected>>,
    /// The kept results that it builds on.
    pub(crate) bases: Vec<Key>,
}

/// How large a plan may be, where a story is made smaller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) layers: Option<u64>,
    pub(crate) blocks: Option<u64>,
}

/// The name of the workers that can run everything.
pub(crate) const ABLE: &str = "able";
/// What all workers can call.
pub(crate) const FUNCTION: &str = "simulate";
/// What some workers have, and some tasks need.
pub(crate) const RESOURCE: &str = "GPU";
/// The most of it that a task needs.
pub(crate) const RESOURCE_COUNT_MAX: u64 = 2;

/// Makes a plan, with names for kept results from `next_key` on.
///
/// With `wishes` some layers ask for more than any worker has. Of `calls` each block stands for itself, and each layer is
/// kept under one name.
pub(crate) fn generate(
    rng: &mut Rng,
    bases: &[Base],
    next_key: &mut u128,
    limits: Limits,
    wishes: Option<Rng>,
    calls: bool,
) -> Generated {
    let mut made = Maker {
        blocks_max: limits.blocks.unwrap_or(BLOCKS_MAX).min(BLOCKS_MAX),
        builder: PlanBuilder::new(),
        arrays: bases.to_vec(),
        base_count: bases.len(),
        used: vec![false; bases.len()],
        wishes,
        calls,
    };
    let layer_count = rng.within(3..9).min(limits.layers.unwrap_or(u64::MAX));
    let seed = rng.next();
    // Later layers like to build on the latest, so that plans are deep.
    for layer in 0..layer_count {
        made.layer(&mut Rng::of(seed, Stream::Plan, layer));
    }
    let mut outputs = Vec::new();
    let count = made.arrays.len() - made.base_count;
    for layer in 0..count {
        let sink = !made.used[made.base_count + layer];
        let id = LayerId(u32::try_from(layer).expect("few layers"));
        let mut keep = || {
            *next_key += 1;
            Some(Key(*next_key))
        };
        if sink || rng.chance(150) {
            match rng.below(6) {
                0..3 => outputs.push((id, None)),
                3 | 4 => outputs.push((id, keep())),
                _ => {
                    outputs.push((id, None));
                    outputs.push((id, keep()));
                    if rng.chance(300) {
                        outputs.push((id, keep()));
                    }
                }
            }
        }
    }
    rng.shuffle(&mut outputs);
    if calls {
        let layers = (0..count).map(|layer| LayerId(u32::try_from(layer).expect("few layers")));
        outputs = layers
            .map(|layer| {
                *next_key += 1;
                (layer, Some(Key(*next_key)))
            })
            .collect();
    }
    for (layer, keep) in outputs {
        made.builder
            .output(Output { layer, keep })
            .expect("the layer was just added");
    }
    let used = made.used.iter().take(made.base_count);
    let used = used.zip(bases).filter(|(used, _)| **used);
    Generated {
        bases: used.map(|(_, base)| base.key).collect(),
        expected: made
            .arrays
            .drain(made.base_count..)
            .map(|array| array.expected)
            .collect(),
        plan: Arc::new(hinted(made.builder.finish(), bases)),
    }
}

/// The plan, with what tells how much memory it needs.
pub(crate) fn hinted(plan: Plan, bases: &[Base]) -> Plan {
    let held = |key| {
        let base = bases.iter().find(|base| base.key == key)?;
        Some((&base.grid, base.item_bytes))
    };
    let bytes = plan.depth_first_bytes(held, u64::MAX);
    plan.with_depth_first_hint(bytes)
}

/// A plan that hands over kept results as they are.
pub(crate) fn read_back(base: &Base) -> Generated {
    let mut builder = PlanBuilder::new();
    let windows = (0..base.grid.ndim()).map(|out_axis| AxisWindow::Aligned { out_axis });
    let input = Input {
        source: Source::Held(base.key),
        map: InputMap::Product(windows.collect()),
    };
    let body = Body::new(7u64.to_le_bytes().to_vec());
    let layer = Layer::new("read back", base.grid.clone(), base.item_bytes, body, vec![input]);
    let expected = Arc::new(expect(&layer, &[(&base.grid, &base.expected)]));
    let layer = builder.layer(layer).expect("aligned with itself");
    builder.output(Output { layer, keep: None }).expect("just added");
    Generated {
        plan: Arc::new(builder.finish()),
        expected: vec![expected],
        bases: vec![base.key],
    }
}

struct Maker {
    blocks_max: u64,
    builder: PlanBuilder,
    /// The kept results, then the layers so far.
    arrays: Vec<Base>,
    base_count: usize,
    used: Vec<bool>,
    wishes: Option<Rng>,
    calls: bool,
}

impl Maker {
    fn layer(&mut self, rng: &mut Rng) {
        let input_count = match rng.below(10) {
            0 => 0,
            1..7 => 1,
            7..9 => 2,
            _ => 3,
        };
        let chosen: Vec<usize> = (0..input_count).filter_map(|_| self.choose(rng)).collect();
        let grid = random_grid(
            rng,
            self.blocks_max,
            chosen.first().map(|&at| &self.arrays[at].grid),
        );
        let item_bytes = if rng.chance(HEAVY_PER_MILLE) {
            (HEAVY_BYTES / grid.element_count().max(1)).max(1)
        } else {
            rng.within(1..9)
        };
        let mut inputs = Vec::new();
        let mut bytes = grid.element_count() * item_bytes;
        let mut sources = Vec::new();
        for at in chosen {
            let array = &self.arrays[at];
            let taken = array.grid.element_count() * array.item_bytes;
            if bytes + taken > TASK_BYTES_MAX / 2 {
                continue;
            }
            bytes += taken;
            let map = random_map(rng, &array.grid, &grid);
            let source = match at.checked_sub(self.base_count) {
                Some(layer) => Source::Layer(LayerId(u32::try_from(layer).expect("few layers"))),
                None => Source::Held(array.key),
            };
            inputs.push(Input { source, map });
            sources.push(at);
            self.used[at] = true;
        }
        let salt = rng.next();
        let body = Body::new(salt.to_le_bytes().to_vec());
        let mut layer = Layer::new("simulated", grid.clone(), item_bytes, body, inputs);
        layer.scratch_bytes = rng.below(TASK_BYTES_MAX / 8);
        layer.source_bytes = rng.below(TASK_BYTES_MAX / 8);
        layer.cost_ns = rng.within(1..1_000_000);
        layer.retries = u32::try_from(rng.within(1..4)).expect("small");
        layer.priority = i32::try_from(rng.below(3)).expect("small") - 1;
        if rng.chance(300) {
            layer
                .tables
                .push(self.builder.table((salt % 3).to_le_bytes().to_vec()));
        }
        if self.calls {
            let learns_size = salt.is_multiple_of(2);
            layer.kind = LayerKind::Calls {
                function: FUNCTION.into(),
                learns_size,
            };
            if learns_size {
                layer.body = Body::new([salt.to_le_bytes(), item_bytes.to_le_bytes()].concat());
                layer.item_bytes = 1;
            }
        }
        if let Some(wishes) = &mut self.wishes {
            if wishes.chance(350) {
                let count = u32::try_from(wishes.within(1..RESOURCE_COUNT_MAX + 1)).expect("few");
                let name = RESOURCE.into();
                layer.resources.push(Resource { name, count });
            }
            if wishes.chance(150) {
                layer.workers.push(ABLE.into());
            }
        }
        let read: Vec<_> = sources
            .iter()
            .map(|&at| (&self.arrays[at].grid, &*self.arrays[at].expected))
            .collect();
        let expected = Arc::new(expect(&layer, &read));
        self.builder.layer(layer).expect("maps were made for the grids");
        self.arrays.push(Base {
            key: Key(0),
            grid,
            item_bytes,
            expected,
        });
        self.used.push(false);
    }

    /// An array to read: mostly the latest, sometimes any.
    fn choose(&self, rng: &mut Rng) -> Option<usize> {
        let count = self.arrays.len();
        if count == 0 {
            return None;
        }
        Some(if rng.chance(500) {
            count - 1
        } else {
            rng.index(count)
        })
    }
}

fn random_grid(rng: &mut Rng, blocks_max: u64, like: Option<&ChunkGrid>) -> ChunkGrid {
    loop {
        let mut axes: Vec<AxisChunks> = Vec::new();
        match like {
            Some(like) if rng.chance(700) => {
                for axis in like.axes() {
                    match rng.below(6) {
                        0 => {}
                        1 => {
                            // A level of a tree: as many blocks as there are groups.
                            let count = axis.count().div_ceil(rng.within(2..5));
                            axes.push(random_axis(rng, Some(count)));
                        }
                        2 => axes.push(random_axis(rng, None)),
                        3 => axes.push(random_axis(rng, Some(axis.count()))),
                        _ => axes.push(axis.clone()),
                    }
                }
                rng.shuffle(&mut axes);
            }
            _ => {
                let ndim = *rng.pick(&[0, 1, 1, 2, 2, 2, 3]);
                axes.extend((0..ndim).map(|_| random_axis(rng, None)));
            }
        }
        let grid = ChunkGrid::new(axes).expect("small axes");
        if grid.block_count() <= blocks_max && grid.element_count() <= ELEMENTS_MAX {
            return grid;
        }
    }
}

fn random_axis(rng: &mut Rng, count: Option<u64>) -> AxisChunks {
    let count = count.unwrap_or_else(|| *rng.pick(&[1, 2, 3, 4, 5, 6, 8, 12, 20]));
    let regular = rng.chance(500);
    let chunk = rng.within(1..4);
    let lengths: Vec<u64> = (0..count)
        .map(|_| {
            if regular {
                chunk
            } else {
                *rng.pick(&[0, 1, 1, 1, 2, 3])
            }
        })
        .collect();
    AxisChunks::from_lengths(&lengths).expect("small lengths")
}

fn random_map(rng: &mut Rng, source: &ChunkGrid, out: &ChunkGrid) -> InputMap {
    if rng.chance(120) {
        let rows = (0..out.block_count()).map(|_| random_row(rng, source.block_count(), 6));
        return InputMap::Blocks(Rows::new(rows.collect::<Vec<_>>()));
    }
    let windows = source.axes().iter().map(|axis| random_window(rng, axis, out));
    InputMap::Product(windows.collect())
}

fn random_row(rng: &mut Rng, source_count: u64, len_max: u64) -> Vec<u64> {
    let mut all: Vec<u64> = (0..source_count).collect();
    rng.shuffle(&mut all);
    all.truncate(usize::try_from(rng.below(len_max)).expect("small"));
    all
}

fn random_window(rng: &mut Rng, source: &AxisChunks, out: &ChunkGrid) -> AxisWindow {
    let aligned: Vec<usize> = (0..out.ndim())
        .filter(|&axis| out.axes()[axis].count() == source.count())
        .collect();
    let mut grouped = Vec::new();
    for (out_axis, axis) in out.axes().iter().enumerate() {
        let fitting = (2..6).filter(|fan_in| source.count().div_ceil(*fan_in) == axis.count());
        grouped.extend(fitting.map(|fan_in| (out_axis, fan_in)));
    }
    if !aligned.is_empty() && rng.chance(450) {
        return AxisWindow::Aligned {
            out_axis: *rng.pick(&aligned),
        };
    }
    if !grouped.is_empty() && rng.chance(500) {
        let (out_axis, fan_in) = *rng.pick(&grouped);
        return AxisWindow::Group { out_axis, fan_in };
    }
    if out.ndim() == 0 || rng.chance(150) {
        return if rng.chance(500) {
            AxisWindow::All
        } else {
            AxisWindow::Block {
                block: rng.below(source.count()),
            }
        };
    }
    let out_axis = rng.index(out.ndim());
    let count = out.axes()[out_axis].count();
    match rng.below(3) {
        0 => AxisWindow::Affine {
            out_axis,
            start: rng.below(source.len() + 9) as i64 - 4,
            step: *rng.pick(&[1, 1, 1, 2, 3, -1, -2]),
        },
        1 => {
            let interval = |rng: &mut Rng| {
                let start = rng.below(source.len() + 1);
                (start, start + rng.below(source.len() - start + 1).min(5))
            };
            AxisWindow::Intervals {
                out_axis,
                intervals: (0..count).map(|_| interval(rng)).collect(),
            }
        }
        _ => {
            let rows = (0..count).map(|_| random_row(rng, source.count(), 5));
            AxisWindow::Rows {
                out_axis,
                rows: Rows::new(rows.collect::<Vec<_>>()),
            }
        }
    }
}
