//! What every chunk must be: computed from whole arrays and the windows' definitions, without engines and without the
//! dependency maps that they use.

use std::ops::Range;

use graticule_plan::{AxisChunks, AxisWindow, ChunkGrid, InputMap, Layer};

use crate::value::{Values, compute, each_index, offset};

/// A whole array: its elements in C order, and cut into chunks.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    shape: Vec<u64>,
    elements: Vec<u64>,
    pub(crate) chunks: Vec<Values>,
}

/// Computes a layer from the arrays that its inputs read.
pub(crate) fn expect(layer: &Layer, sources: &[(&ChunkGrid, &Expected)]) -> Expected {
    let salt = salt_of(layer);
    let grid = &layer.grid;
    let shape = grid.shape();
    let mut elements = vec![0; usize::try_from(grid.element_count()).expect("small arrays")];
    let mut chunks = Vec::new();
    for block in 0..grid.block_count() {
        let index = grid.unravel(block);
        let inputs = layer.inputs.iter().zip(sources);
        let windows: Vec<Vec<u64>> = inputs
            .map(|(input, (source_grid, source))| {
                window(&input.map, grid, block, &index, source_grid, source)
            })
            .collect();
        let values = compute(salt, block, grid.block_len(block), &windows);
        let mut next = values.iter();
        each_index(&grid.extents(block), |at| {
            elements[offset(at, &shape)] = *next.next().expect("as many values as elements");
        });
        chunks.push(values.into());
    }
    Expected {
        shape,
        elements,
        chunks,
    }
}

/// Bytes of an element of a layer, which may keep them secret from the scheduler.
pub(crate) fn real_item_bytes(layer: &Layer) -> u64 {
    match layer.learns_size() {
        Some(_) => secret_item_bytes(layer),
        None => layer.item_bytes,
    }
}

/// Bytes of an element of a layer that keeps them secret from the scheduler.
pub(crate) fn secret_item_bytes(layer: &Layer) -> u64 {
    let bytes: [u8; 8] = layer.body.bytes[8..]
        .try_into()
        .expect("its body tells them behind the salt");
    u64::from_le_bytes(bytes)
}

/// The number that tells one simulated operation from another; it is the layer's body.
pub(crate) fn salt_of(layer: &Layer) -> u64 {
    let bytes: [u8; 8] = layer.body.bytes[..8].try_into().expect("bodies hold eight bytes");
    u64::from_le_bytes(bytes)
}

fn window(
    map: &InputMap,
    out: &ChunkGrid,
    block: u64,
    index: &[u64],
    source_grid: &ChunkGrid,
    source: &Expected,
) -> Vec<u64> {
    match map {
        InputMap::Blocks(rows) => {
            let whole = |b: &u64| {
                source.chunks[usize::try_from(*b).expect("small arrays")]
                    .iter()
                    .copied()
            };
            rows.row(block).iter().flat_map(whole).collect()
        }
        InputMap::Product(windows) => {
            let axes: Vec<Vec<u64>> = windows
                .iter()
                .zip(source_grid.axes())
                .map(|(window, axis)| along(window, axis, out, index))
                .collect();
            let places: Vec<Range<u64>> = axes.iter().map(|axis| 0..axis.len() as u64).collect();
            let mut found = Vec::new();
            each_index(&places, |at| {
                let element = at.iter().zip(&axes).map(|(&i, axis)| axis[i as usize]);
                found.push(source.elements[offset(&element.collect::<Vec<_>>(), &source.shape)]);
            });
            found
        }
    }
}

/// The source elements along one axis, in order.
fn along(window: &AxisWindow, source: &AxisChunks, out: &ChunkGrid, index: &[u64]) -> Vec<u64> {
    let blocks = |blocks: Range<u64>| blocks.flat_map(|b| source.extent(b)).collect();
    match window {
        AxisWindow::All => (0..source.len()).collect(),
        AxisWindow::Block { block } => source.extent(*block).collect(),
        AxisWindow::Aligned { out_axis } => source.extent(index[*out_axis]).collect(),
        AxisWindow::Group { out_axis, fan_in } => {
            let first = index[*out_axis] * fan_in;
            blocks(first..(first + fan_in).min(source.count()))
        }
        AxisWindow::Intervals { out_axis, intervals } => {
            let (start, end) = intervals[index[*out_axis] as usize];
            (start..end).collect()
        }
        AxisWindow::Rows { out_axis, rows } => {
            let row = rows.row(index[*out_axis]);
            row.iter().flat_map(|&b| source.extent(b)).collect()
        }
        AxisWindow::Affine {
            out_axis,
            start,
            step,
        } => {
            let extent = out.axes()[*out_axis].extent(index[*out_axis]);
            let elements = extent.map(|k| start + step * k as i64);
            let there: Vec<i64> = elements
                .filter(|e| (0..source.len() as i64).contains(e))
                .collect();
            match (there.iter().min(), there.iter().max()) {
                (Some(&low), Some(&high)) => (low as u64..high as u64 + 1).collect(),
                _ => Vec::new(),
            }
        }
    }
}
