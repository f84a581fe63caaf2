//! What it costs to cut an array anew, beside its bytes.

use graticule_plan::ChunkGrid;

/// What a piece of a chunk costs beside its bytes, in bytes that could be moved meanwhile: to ask for it, find it and
/// answer.
pub(crate) const PIECE_BYTES: u128 = 64 << 10;

/// Pieces into which the chunks of one grid are cut by those of the other, or a few more.
pub(crate) fn pieces(a: &ChunkGrid, b: &ChunkGrid) -> u128 {
    let axes = a.axes().iter().zip(b.axes());
    let along = axes.map(|(a, b)| {
        let (few, many) = if a.count() < b.count() { (a, b) } else { (b, a) };
        let is_nested = few.chunk_max() % many.chunk_max().max(1) == 0 || few.count() <= 1;
        let cut = if is_nested { 0 } else { few.count() - 1 };
        u128::from(many.count()) + u128::from(cut)
    });
    along.fold(1, u128::saturating_mul)
}
