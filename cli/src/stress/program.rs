//! The array that a stress test computes: nothing is random, and every layer of it moves chunks between workers.

use graticule_array::{Array, ArrayError, Chunks, Index, LowerOptions, Over, Wanted, lower};
use graticule_plan::DType;

/// Chunks along each side of one matrix.
const SIDE_CHUNKS: u64 = 8;

/// A stack of matrices, each cut into chunks of `chunk` x `chunk` elements: waves of an arithmetic series, cut anew
/// twice, added to their own transpose, and summed in a tree down to a row for each matrix.
///
/// A matrix is a unit of work of its own, so what the cluster holds at a time is a few of them.
fn waves(matrix_count: u64, chunk: u64) -> Result<Array, ArrayError> {
    let side = SIDE_CHUNKS * chunk;
    let axis = |len: u64, step: f64, size: u64| {
        Array::arange(0.0, len as f64 * step, step, DType::Float64, Chunks::Size(size))
    };
    let (one, all) = (Index::NewAxis, Index::Full);
    let matrices = axis(matrix_count, 1.0, 1)?.slice(&[all, one, one])?;
    // Pancakes first, pencils then, squares at last: each cut takes parts of several chunks.
    let rows = axis(side, 0.25, chunk / 2)?.slice(&[one, all, one])?;
    let columns = axis(side, 0.125, chunk * 2)?.slice(&[one, one, all])?;
    let pancakes = matrices.multiply(0.01)?.add(rows)?.multiply(columns)?.sin()?;
    let squares = pancakes.rechunk(&[Chunks::Keep, Chunks::Size(chunk), Chunks::Size(chunk)])?;
    let pencils = pancakes.rechunk(&[Chunks::Keep, Chunks::Size(chunk * 2), Chunks::Size(chunk / 2)])?;
    let folded = squares.add(squares.swapaxes(1, 2)?)?;
    let sums = folded.sum(&Over::axis(1).split_every(4))?;
    sums.add(
        pencils
            .max(&Over::axis(1).split_every(4))?
            .rechunk(&[Chunks::Keep, Chunks::Size(chunk)])?,
    )
}

/// An array that takes at least `task_count` tasks, or barely less, and how many it takes.
///
/// # Errors
/// [`ArrayError`] for sizes beyond what indices can count.
pub(super) fn program(task_count: u64, chunk: u64) -> Result<(Array, u64), ArrayError> {
    let (of_two, of_three) = (tasks(&waves(2, chunk)?)?, tasks(&waves(3, chunk)?)?);
    let each = (of_three - of_two).max(1);
    let more = task_count.saturating_sub(of_two).div_ceil(each);
    let array = waves(2 + more, chunk)?;
    let count = tasks(&array)?;
    Ok((array, count))
}

fn tasks(array: &Array) -> Result<u64, ArrayError> {
    let lowered = lower(&[(array, Wanted::Deliver)], &LowerOptions::default())?;
    Ok(lowered.plan.task_count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_has_the_tasks_that_were_asked_for_in_several_layers() {
        let (array, count) = program(10_000, 16).unwrap();
        assert!((10_000..11_000).contains(&count), "{count}");
        assert!(array.explain().unwrap().contains("rechunk"));
    }
}
