//! What tasks have in memory at a time, as upper bounds over all blocks of a layer.

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
        let windows = self
            .inputs
            .iter()
            .zip(sources)
            .map(|(input, (grid, item_bytes))| {
                let elements = input.map.window_elements_max(grid, &self.grid);
                elements.saturating_mul(item_bytes)
            });
        let fixed = [self.output_bytes_max(), self.scratch_bytes, self.source_bytes];
        windows.chain(fixed).fold(0, u64::saturating_add)
    }
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
