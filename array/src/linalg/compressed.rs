use super::linalg_dimension;
use crate::{Array, ArrayError, Chunks, Generator};

/// What [`Array::svd_compressed`] looks for, and how thoroughly.
///
/// ```
/// use graticule_array::Compression;
///
/// let compression = Compression { power_iterations: 2, ..Compression::of_rank(5) };
/// assert_eq!((compression.oversamples, compression.seed), (10, 0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    /// Singular values that are wanted.
    pub rank: u64,
    /// How many more directions are looked at: Dask's `n_oversamples`.
    pub oversamples: u64,
    /// How often the matrix is applied to what was found, where values fall slowly: Dask's `n_power_iter`.
    pub power_iterations: u32,
    /// Which random directions: the same seed gives the same result whatever the chunks.
    pub seed: u64,
}

impl Compression {
    /// Dask's defaults.
    pub fn of_rank(rank: u64) -> Self {
        Self {
            rank,
            oversamples: 10,
            power_iterations: 0,
            seed: 0,
        }
    }
}

impl Array {
    /// Finds the greatest singular values of a matrix and their vectors nearly, from its products with random directions.
    ///
    /// Halko, Martinsson, Tropp: Finding structure with randomness (2011), algorithms 4.4 and 5.1. The matrix may be cut
    /// along both axes; what is factorised has as many columns as directions are looked at.
    ///
    /// # Errors
    /// [`ArrayError::Dimension`] of more or fewer axes than two.
    pub fn svd_compressed(&self, compression: Compression) -> Result<(Array, Array, Array), ArrayError> {
        linalg_dimension("svd_compressed", self, 2)?;
        let x = self.to_float()?;
        let (rows, columns) = x.matrix_shape();
        let most = rows.min(columns);
        let Compression {
            rank, oversamples, ..
        } = compression;
        let (rank, directions) = (rank.min(most), rank.saturating_add(oversamples).min(most));
        let cuts = Chunks::Lengths(x.block_axes().1.lengths());
        let random = Generator::new(compression.seed).standard_normal(
            &[columns, directions],
            &[cuts, Chunks::Whole],
            x.dtype().real(),
        )?;
        let turned = x.adjoint()?;
        let mut basis = x.matmul(&random)?.qr(false)?.0;
        for _ in 0..compression.power_iterations {
            let back = turned.matmul(&basis)?.qr(false)?.0;
            basis = x.matmul(&back)?.qr(false)?.0;
        }
        let (u, values, vh) = basis.adjoint()?.matmul(&x)?.svd(false)?;
        let u = basis.matmul(&u.box_of((0, directions), (0, rank)))?;
        Ok((u, values.part(0, 0, rank), vh.box_of((0, rank), (0, columns))))
    }
}
