//! The graphs that the scheduler is measured with.

use graticule_plan::{
    AxisWindow, Body, ChunkGrid, Input, InputMap, Layer, LayerId, Output, Plan, PlanBuilder, Rows, Source,
};

/// A graph's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::bench) enum Shape {
    /// Tasks without inputs, and one that needs all of them.
    Merge,
    /// A binary tree.
    Tree,
    /// A square of cells in steps: each needs its three neighbours of the step before.
    Stencil,
    /// Each task needs up to four of the thousand before it.
    Random,
    /// A read, three operations in layers of their own, and a tree of sums, all symbolic.
    ElementwiseReduce,
}

/// Bytes of each chunk.
const CHUNK_BYTES: u64 = 1024;
/// Sources of a sum in the tree of the symbolic graph.
const FAN_IN: u64 = 8;

impl Shape {
    /// A plan of about so many tasks.
    pub(in crate::bench) fn plan(self, tasks: u64) -> anyhow::Result<Plan> {
        match self {
            Shape::ElementwiseReduce => elementwise_reduce(tasks),
            _ => explicit(&self.rows(tasks.max(2))),
        }
    }

    /// What each task needs; a task's place is its block.
    pub(super) fn rows(self, tasks: u64) -> Rows {
        let none = Vec::new();
        match self {
            Shape::Merge => {
                let sources = (0..tasks - 1).map(|_| none.clone());
                Rows::new(sources.chain([(0..tasks - 1).collect()]))
            }
            // Leaves first; then each pair.
            Shape::Tree => {
                let leaves = tasks.div_ceil(2);
                let pair = |k: u64| vec![2 * k, 2 * k + 1];
                Rows::new((0..leaves).map(|_| none.clone()).chain((0..leaves - 1).map(pair)))
            }
            Shape::Stencil => {
                let width = tasks.isqrt();
                let cell = |task: u64| {
                    let (step, x) = (task / width, task % width);
                    let before = |x: u64| (step - 1) * width + x;
                    match step {
                        0 => Vec::new(),
                        _ => (x.saturating_sub(1)..(x + 2).min(width)).map(before).collect(),
                    }
                };
                Rows::new((0..tasks).map(cell))
            }
            Shape::Random | Shape::ElementwiseReduce => {
                let mut state = 7_u64;
                let mut random = move |below: u64| {
                    // An xorshift generator: the same graph each time.
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state % below
                };
                let row = |task: u64| {
                    let window = task.min(1000);
                    let count = if window == 0 { 0 } else { random(5) };
                    let mut sources: Vec<u64> = (0..count).map(|_| task - 1 - random(window)).collect();
                    sources.sort_unstable();
                    sources.dedup();
                    sources
                };
                Rows::new((0..tasks).map(row))
            }
        }
    }
}

/// The graph, and one task that needs all whose results nobody else needs.
fn explicit(rows: &Rows) -> anyhow::Result<Plan> {
    let count = rows.len() as u64;
    let mut builder = PlanBuilder::new();
    let own = Input {
        source: Source::Layer(LayerId(0)),
        map: InputMap::Blocks(rows.clone()),
    };
    let graph = builder.layer(layer("graph", ChunkGrid::regular(&[count], &[1])?, vec![own]))?;
    let mut needed = vec![false; rows.len()];
    rows.blocks()
        .iter()
        .for_each(|&block| needed[block as usize] = true);
    let ends: Vec<u64> = (0..count).filter(|&block| !needed[block as usize]).collect();
    let end = Input {
        source: Source::Layer(graph),
        map: InputMap::Blocks(Rows::new([ends])),
    };
    let layer = builder.layer(layer("end", ChunkGrid::regular(&[1], &[1])?, vec![end]))?;
    builder.output(Output { layer, keep: None })?;
    Ok(builder.finish())
}

fn elementwise_reduce(tasks: u64) -> anyhow::Result<Plan> {
    // Four layers of equal size; the tree adds a seventh of one.
    let blocks = (tasks * 7 / 29).max(1);
    let mut builder = PlanBuilder::new();
    let mut below = builder.layer(layer("read", ChunkGrid::regular(&[blocks], &[1])?, vec![]))?;
    let along = |layer, window| Input {
        source: Source::Layer(layer),
        map: InputMap::Product(vec![window]),
    };
    for name in ["scale", "mask", "sum"] {
        let input = along(below, AxisWindow::Aligned { out_axis: 0 });
        below = builder.layer(layer(name, ChunkGrid::regular(&[blocks], &[1])?, vec![input]))?;
    }
    let mut count = blocks;
    while count > 1 {
        count = count.div_ceil(FAN_IN);
        let window = AxisWindow::Group {
            out_axis: 0,
            fan_in: FAN_IN,
        };
        below = builder.layer(layer(
            "combine",
            ChunkGrid::regular(&[count], &[1])?,
            vec![along(below, window)],
        ))?;
    }
    builder.output(Output {
        layer: below,
        keep: None,
    })?;
    Ok(builder.finish())
}

fn layer(name: &str, grid: ChunkGrid, inputs: Vec<Input>) -> Layer {
    Layer::new(
        name,
        grid,
        CHUNK_BYTES,
        Body::new(name.as_bytes().to_vec()),
        inputs,
    )
}

/// Nanoseconds a task that a loop over ready tasks takes which does nothing but follow the edges.
pub(super) fn bare_loop_ns(rows: &Rows, now_ns: impl Fn() -> u64) -> f64 {
    let inverse = rows.inverse(rows.len() as u64);
    let begin = now_ns();
    let count = rows.len() as u64;
    let mut missing: Vec<u32> = (0..count).map(|task| rows.row(task).len() as u32).collect();
    let mut ready: Vec<u64> = (0..count).filter(|&task| missing[task as usize] == 0).collect();
    let mut done = 0;
    while let Some(task) = ready.pop() {
        done += 1;
        for &dependent in inverse.row(task) {
            missing[dependent as usize] -= 1;
            if missing[dependent as usize] == 0 {
                ready.push(dependent);
            }
        }
    }
    assert_eq!(done, count, "the graph has no cycle");
    (now_ns() - begin) as f64 / count as f64
}
