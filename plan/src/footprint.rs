//! What tasks have in memory at a time, as upper bounds over all blocks of a layer.

use std::collections::BTreeMap;

use crate::{AxisChunks, AxisWindow, ChunkGrid, InputMap, Layer};

impl InputMap {
    /// The most elements of one block's window on a source, over all blocks of a layer with grid `out`.
    ///
    /// For a map that is no product these are whole chunks, each counted as large as the largest.
    pub fn window_elements_max(&self, source: &ChunkGrid, out: &ChunkGrid) -> u64 {
        match self {
            InputMap::Product(windows) => {
                let axes = windows.iter().zip(source.axes());
                axes.map(|(window, chunks)| axis_elements_max(window, chunks, out))
                    .fold(1, u64::saturating_mul)
            }
            InputMap::Blocks(rows) => rows.longest().saturating_mul(source.block_len_max()),
        }
    }
}

impl Layer {
    /// The most bytes that one task has in memory at a time: the windows on its inputs, what it reads, scratch and
    /// result. `source` gives grid and bytes of an element for each input, in order.
    pub fn task_bytes_max<'a>(&self, sources: impl Iterator<Item = (&'a ChunkGrid, u64)>) -> u64 {
        let mut joined: BTreeMap<usize, Vec<Part>> = BTreeMap::new();
        let mut bytes = [self.output_bytes_max(), self.scratch_bytes, self.source_bytes]
            .into_iter()
            .fold(0, u64::saturating_add);
        for (input, (grid, item_bytes)) in self.inputs.iter().zip(sources) {
            let elements = input.map.window_elements_max(grid, &self.grid);
            let window_bytes = elements.saturating_mul(item_bytes);
            match self.part_of_axis(&input.map, grid) {
                Some((out_axis, axis, start)) => {
                    let chunks = &grid.axes()[axis];
                    let along = axis_elements_max(&AxisWindow::All, chunks, &self.grid);
                    let row_bytes = window_bytes / self.chunk_max(out_axis).min(along).max(1);
                    let end = start.saturating_add(i128::from(chunks.len()));
                    joined.entry(out_axis).or_default().push(Part {
                        start,
                        end,
                        row_bytes,
                        window_bytes,
                    });
                }
                None => bytes = bytes.saturating_add(window_bytes),
            }
        }
        let parts = joined
            .into_iter()
            .map(|(out_axis, parts)| parts_bytes_max(parts, self.chunk_max(out_axis)));
        parts.fold(bytes, u64::saturating_add)
    }

    fn chunk_max(&self, out_axis: usize) -> u64 {
        self.grid.axes()[out_axis].chunk_max().max(1)
    }

    /// If a source is one of those that are joined along an axis of the result: that axis, the source's, and where in the
    /// result the source begins.
    fn part_of_axis(&self, map: &InputMap, source: &ChunkGrid) -> Option<(usize, usize, i128)> {
        let InputMap::Product(windows) = map else {
            return None;
        };
        let mut affine = windows
            .iter()
            .enumerate()
            .filter_map(|(axis, window)| match window {
                AxisWindow::Affine {
                    out_axis,
                    start,
                    step: 1,
                } if !source.axes()[axis].is_empty() => Some((*out_axis, axis, -i128::from(*start))),
                _ => None,
            });
        let first = affine.next()?;
        affine.next().is_none().then_some(first)
    }
}

/// A source that is a part of the result's axis.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// Where it begins and ends in the result.
    start: i128,
    end: i128,
    /// Of the elements at one place along the axis.
    row_bytes: u64,
    /// Of its window alone.
    window_bytes: u64,
}

/// The most bytes of the windows of one task on parts of an axis: those that lie behind each other share the block.
fn parts_bytes_max(mut parts: Vec<Part>, chunk_max: u64) -> u64 {
    let together = parts
        .iter()
        .map(|part| part.window_bytes)
        .fold(0, u64::saturating_add);
    parts.sort_unstable_by_key(|part| (part.start, part.end));
    if parts.windows(2).any(|pair| pair[1].start < pair[0].end) {
        return together;
    }
    let widest = parts.iter().map(|part| part.row_bytes).max().unwrap_or(0);
    together.min(widest.saturating_mul(chunk_max))
}

fn axis_elements_max(window: &AxisWindow, source: &AxisChunks, out: &ChunkGrid) -> u64 {
    match window {
        AxisWindow::All => source.len(),
        AxisWindow::Aligned { .. } => source.chunk_max(),
        AxisWindow::Block { block } => {
            let extent = source.extent(*block);
            extent.end - extent.start
        }
        AxisWindow::Affine { out_axis, step, .. } => {
            let chunk = out.axes()[*out_axis].chunk_max().max(1);
            (chunk - 1)
                .saturating_mul(step.unsigned_abs())
                .saturating_add(1)
                .min(source.len())
        }
        AxisWindow::Group { fan_in, .. } => fan_in.saturating_mul(source.chunk_max()).min(source.len()),
        AxisWindow::Intervals { intervals, .. } => intervals
            .iter()
            .map(|(start, end)| end - start)
            .max()
            .unwrap_or(0),
        AxisWindow::Rows { rows, .. } => rows
            .longest()
            .saturating_mul(source.chunk_max())
            .min(source.len()),
    }
}
