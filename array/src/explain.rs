//! What a plan will do, as text for people.

use std::fmt::Write;

use graticule_plan::{AxisChunks, ChunkGrid, Layer, Plan, Source};

use crate::{
    Array, ArrayError, LowerOptions, Lowered, WORKING_SET_BYTES, Wanted,
    error::shape_text,
    lower::lower,
    rewrite::{REWRITES, Rewrites},
};

/// Below this a chunk costs more to handle than to compute.
const SMALL_CHUNK_BYTES: u64 = 1 << 20;

/// Describes the plan for arrays before and after rewriting: for each layer its name, chunks, tasks, bytes and what a
/// task takes at its peak; then totals, and warnings about chunks that are too small or tasks that are too large.
///
/// # Errors
/// As [`lower`].
pub fn explain(arrays: &[&Array], options: &LowerOptions) -> Result<String, ArrayError> {
    let wanted: Vec<_> = arrays.iter().map(|array| (*array, Wanted::Deliver)).collect();
    let plain = LowerOptions {
        rewrites: Rewrites::None,
        ..options.clone()
    };
    let mut text = String::new();
    describe(&mut text, "As written", &lower(&wanted, &plain)?);
    text.push('\n');
    describe(&mut text, "As run", &lower(&wanted, options)?);
    Ok(text)
}

impl Array {
    /// Describes the plan for this array; see [`explain`].
    ///
    /// # Errors
    /// As [`lower`].
    pub fn explain(&self) -> Result<String, ArrayError> {
        explain(&[self], &LowerOptions::default())
    }
}

impl Lowered {
    /// The most bytes that a task of one of the plan's layers has in memory at a time: its inputs' windows, what it
    /// reads, its result and what it uses in between.
    pub fn task_bytes_max(&self, layer: &Layer) -> u64 {
        let sources = layer.inputs.iter().map(|input| match &input.source {
            Source::Layer(source) => {
                let source = self.plan.layer(*source);
                (&source.grid, source.item_bytes)
            }
            Source::Held(key) => {
                let held = &self.held[key];
                (&held.grid, held.dtype.size_bytes())
            }
        });
        layer.task_bytes_max(sources)
    }

    /// The most bytes in memory when the plan's tasks run one by one, depth first: see [`Plan::depth_first_bytes`].
    pub fn depth_first_bytes(&self, tasks_max: u64) -> Option<u64> {
        let held = |key| {
            let held = self.held.get(&key)?;
            Some((&held.grid, held.dtype.size_bytes()))
        };
        self.plan.depth_first_bytes(held, tasks_max)
    }

    /// An upper bound of it for plans of any size: see [`Plan::depth_first_bytes_max`].
    pub fn depth_first_bytes_max(&self) -> Option<u64> {
        let held = |key| {
            let held = self.held.get(&key)?;
            Some((&held.grid, held.dtype.size_bytes()))
        };
        self.plan.depth_first_bytes_max(held)
    }

    /// Describes the plan; see [`explain`].
    pub fn explain(&self) -> String {
        let mut text = String::new();
        describe(&mut text, "Plan", self);
        text
    }
}

fn describe(text: &mut String, title: &str, lowered: &Lowered) {
    let plan = &lowered.plan;
    let mut line = |args: std::fmt::Arguments<'_>| {
        text.write_fmt(args).expect("a string takes all text");
        text.push('\n');
    };
    let (layers, tasks) = (plan.layers().len(), plan.task_count());
    line(format_args!(
        "{title}: {} in {}",
        count(tasks, "task"),
        count(layers as u64, "layer")
    ));
    let mut peak = 0;
    for (id, layer) in plan.iter() {
        let task_peak = lowered.task_bytes_max(layer);
        peak = peak.max(task_peak);
        line(format_args!("  {id} {}", layer.name));
        line(format_args!("      {}", grid_text(&layer.grid)));
        let (out, source) = (layer.grid.element_count() * layer.item_bytes, layer.source_bytes);
        let from: Vec<String> = layer
            .inputs
            .iter()
            .map(|input| source_text(&input.source))
            .collect();
        let from = if from.is_empty() {
            String::new()
        } else {
            format!(", from {}", from.join(" and "))
        };
        let blocks = layer.grid.block_count();
        let read = if source > 0 {
            format!(", reads up to {} a task", bytes(source))
        } else {
            String::new()
        };
        line(format_args!(
            "      {}, {} out{read}, peak {} a task{from}",
            count(blocks, "task"),
            bytes(out),
            bytes(task_peak)
        ));
    }
    let kept: u64 = kept_bytes(plan);
    let source = |layer: &Layer| layer.grid.block_count().saturating_mul(layer.source_bytes);
    let read = plan.layers().iter().map(source).fold(0, u64::saturating_add);
    line(format_args!(
        "  reads up to {}, makes {}; a cluster needs at least {} of memory",
        bytes(read),
        bytes(plan.output_bytes()),
        bytes(kept.saturating_add(peak))
    ));
    if !lowered.rewritten.is_empty() {
        let done = REWRITES.iter().filter_map(|rewrite| {
            let times = lowered.rewritten.get(rewrite.name)?;
            Some(format!("{} ({times})", rewrite.name))
        });
        line(format_args!(
            "  rewritten by {}",
            done.collect::<Vec<_>>().join(", ")
        ));
    }
    for warning in warnings(lowered) {
        line(format_args!("  warning: {warning}"));
    }
}

fn kept_bytes(plan: &Plan) -> u64 {
    let kept = plan.outputs().iter().filter(|output| output.keep.is_some());
    let size = |layer: &Layer| layer.grid.element_count().saturating_mul(layer.item_bytes);
    kept.map(|output| size(plan.layer(output.layer)))
        .fold(0, u64::saturating_add)
}

fn warnings(lowered: &Lowered) -> Vec<String> {
    let mut warnings = Vec::new();
    for (id, layer) in lowered.plan.iter() {
        let peak = lowered.task_bytes_max(layer);
        // Later layers have their chunks from the first ones, or are steps of a tree, which are small by nature.
        let is_first = !layer
            .inputs
            .iter()
            .any(|input| matches!(input.source, Source::Layer(_)));
        if is_first && layer.grid.block_count() > 1 && peak < SMALL_CHUNK_BYTES {
            let size = bytes(peak);
            warnings.push(format!(
                "a task of layer {id} takes {size}: below 1 MiB handling costs more than work"
            ));
        }
        if peak > WORKING_SET_BYTES {
            let (peak, limit) = (bytes(peak), bytes(WORKING_SET_BYTES));
            warnings.push(format!(
                "a task of layer {id} takes {peak}, more than {limit}: smaller chunks would help"
            ));
        }
    }
    warnings
}

fn source_text(source: &Source) -> String {
    match source {
        Source::Layer(id) => format!("layer {id}"),
        Source::Held(key) => format!("held {key}"),
    }
}

fn grid_text(grid: &ChunkGrid) -> String {
    let axis = |chunks: &AxisChunks| match chunks.count() {
        1 => chunks.len().to_string(),
        count => format!("{count}x{}", chunks.chunk_max()),
    };
    let chunks: Vec<String> = grid.axes().iter().map(axis).collect();
    format!(
        "shape {}, chunks ({})",
        shape_text(&grid.shape()),
        chunks.join(", ")
    )
}

fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut size = bytes as f64;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{size:.1} {}", UNITS[unit])
    }
}
