use graticule_plan::BlockMap;

use crate::LayerSpec;

/// The most bytes that the task of block `block` has in memory at a time: windows, sources, scratch and result.
///
/// `maps` are those of the layer's inputs. The scheduler refuses by this number, and a worker reserves by it.
pub(crate) fn task_bytes<'a>(spec: &LayerSpec, maps: impl Iterator<Item = &'a BlockMap>, block: u64) -> u64 {
    let layer = &spec.layer;
    let windows = maps.zip(&spec.sources).map(|(map, source)| {
        let elements = match map.window(block) {
            Some(axes) => {
                let lens = axes
                    .iter()
                    .map(|pieces| pieces.iter().map(|p| p.len).sum::<u64>());
                lens.fold(1, u64::saturating_mul)
            }
            None => {
                let lens = map.sources(block).into_iter().map(|s| source.grid.block_len(s));
                lens.fold(0, u64::saturating_add)
            }
        };
        elements.saturating_mul(source.item_bytes)
    });
    let fixed = [layer.output_bytes(block), layer.scratch_bytes, layer.source_bytes];
    windows.chain(fixed).fold(0, u64::saturating_add)
}
