//! Arrays whose lengths depend on what is in them: what is to be known is computed first, a number for each block.

use graticule_array::{Array, DistinctBlocks, Found, Selected, Wishes, joined_elements};
use graticule_kernel::Tensor;

use crate::{Client, ClientError, Persisted, RunOptions};

/// The distinct elements of an array, which the cluster keeps. Clones share them; the last one that is dropped releases
/// them.
///
/// Each array is one chunk.
#[derive(Debug, Clone)]
pub struct Unique {
    found: Found,
    source: Array,
    wishes: Wishes,
    /// What the arrays are made of lives as long as these.
    _kept: Vec<Persisted>,
}

impl Client {
    /// Counts how many elements each block of a selection has, and gives arrays of these lengths: as Dask's
    /// `compute_chunk_sizes`, for several at once.
    ///
    /// A number for each block comes here, and nothing else; what the masks are made of is computed again when the arrays
    /// are, unless it is persisted.
    ///
    /// # Errors
    /// As [`Client::compute`].
    pub async fn sized(&self, selections: &[&Selected]) -> Result<Vec<Array>, ClientError> {
        let counts: Vec<Array> = selections.iter().map(|selected| selected.counts()).collect();
        let counts = self.compute_many(&counts.iter().collect::<Vec<_>>()).await?;
        let pairs = selections.iter().zip(&counts);
        let sized = pairs.map(|(selected, counts)| Ok(selected.with_counts(&lengths(counts))?));
        sized.collect()
    }

    /// Finds the distinct elements of an array, sorted: NumPy's `unique`, and the Array API standard's functions of that name
    /// with [`Wishes::equal_nan`] false.
    ///
    /// Each block is made to its distinct elements, and neighbours are joined until one block is left. A task has one block
    /// in hand, or the distinct elements of those that it joins, of which it is known how many there are before it runs; so
    /// what must fit a worker are the distinct elements, not the array. The array is computed twice, once to count, unless it
    /// is persisted. Returns when the last step is done.
    ///
    /// # Errors
    /// As [`Client::compute`].
    pub async fn unique(&self, array: &Array, wishes: Wishes) -> Result<Unique, ClientError> {
        let mut step = array.distinct_blocks(wishes)?;
        let mut kept: Vec<Persisted> = Vec::new();
        loop {
            let found = self.found(&step).await?;
            let made = self.persist_many(&found.arrays(), &RunOptions::default()).await?;
            for part in &made {
                part.wait().await?;
            }
            let is_last = step.is_last();
            let found = found.replaced(made.iter().map(|part| part.array().clone()));
            // What the step before kept is needed no more.
            drop(std::mem::replace(&mut kept, made));
            if is_last {
                let source = array.clone();
                return Ok(Unique {
                    found,
                    source,
                    wishes,
                    _kept: kept,
                });
            }
            step = step.next(found);
        }
    }

    /// Finds the elements that occur in either of two arrays, sorted, each once: NumPy's `union1d`.
    ///
    /// # Errors
    /// As [`Client::unique`].
    pub async fn union1d(&self, first: &Array, second: &Array) -> Result<Unique, ClientError> {
        let wishes = Wishes {
            equal_nan: true,
            ..Wishes::default()
        };
        self.unique(&joined_elements(first, second)?, wishes).await
    }

    async fn found(&self, step: &DistinctBlocks) -> Result<Found, ClientError> {
        let counts = self.compute(&step.lengths()).await?;
        Ok(step.found(&lengths(&counts))?)
    }
}

impl Unique {
    /// The elements, rising; NaN behind all others. Of equal ones (0.0 and -0.0) the first.
    pub fn values(&self) -> &Array {
        &self.found.values
    }

    /// Where each stands first in the array as one axis, int64, if that was wished for.
    pub fn positions(&self) -> Option<&Array> {
        self.found.positions.as_ref()
    }

    /// How often each occurs, int64, if that was wished for.
    pub fn counts(&self) -> Option<&Array> {
        self.found.counts.as_ref()
    }

    /// Of each element of the array its place among the distinct ones, int64, in the array's shape and chunks: NumPy's
    /// `inverse`. Lazy: the array is computed once more, and each task looks up in all distinct elements.
    ///
    /// # Errors
    /// As [`Array::searchsorted`].
    pub fn inverse(&self) -> Result<Array, ClientError> {
        Ok(self.source.inverse_of(self.values(), self.wishes.equal_nan)?)
    }
}

/// Numbers of elements, as they were computed.
fn lengths(counts: &Tensor) -> Vec<u64> {
    let counts = counts.as_slice::<i64>().unwrap_or_default();
    counts.iter().map(|count| count.unsigned_abs()).collect()
}
