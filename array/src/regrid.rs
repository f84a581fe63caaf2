//! Resampling by weights: the product of a sparse matrix with what lies along one axis or two.

use graticule_ops::ReduceKind;
use graticule_plan::DType;

use crate::{Array, ArrayError, Chunks, Grouping, infer::axis_index, where_};

/// A sparse matrix of weights in compressed rows: a row for each element that is made, a column for each there is.
#[derive(Debug, Clone, PartialEq)]
pub struct SparseWeights {
    rows: Vec<i32>,
    row_count: u64,
    columns: Vec<i64>,
    column_count: u64,
    weights: Vec<f64>,
}

impl SparseWeights {
    /// Of row `i` the columns and the weights are those at `starts[i]..starts[i + 1]`; SciPy's `csr_array`.
    ///
    /// # Errors
    /// [`ArrayError::SparseWeights`] for starts that fall or do not cover the weights, and for a column that is not there.
    pub fn new(
        starts: &[usize],
        columns: &[i64],
        weights: &[f64],
        column_count: u64,
    ) -> Result<Self, ArrayError> {
        let misfit = |why: String| Err(ArrayError::SparseWeights { why });
        if columns.len() != weights.len() {
            return misfit(format!(
                "{} columns for {} weights; give one for each",
                columns.len(),
                weights.len()
            ));
        }
        let covers = starts.first() == Some(&0) && starts.last() == Some(&weights.len());
        if !covers || !starts.is_sorted() {
            return misfit(format!(
                "starts of rows must rise from 0 to {}, the number of weights",
                weights.len()
            ));
        }
        if let Some(column) = columns
            .iter()
            .find(|&&column| u64::try_from(column).map_or(true, |c| c >= column_count))
        {
            return misfit(format!(
                "column {column} is not below the column count {column_count}"
            ));
        }
        let row_count = starts.len() - 1;
        if i32::try_from(row_count).is_err() {
            return misfit(format!(
                "{row_count} rows are more than 2^31 - 1; split the result"
            ));
        }
        let rows = starts.windows(2).enumerate();
        let rows = rows.flat_map(|(row, pair)| std::iter::repeat_n(row as i32, pair[1] - pair[0]));
        Ok(Self {
            rows: rows.collect(),
            row_count: row_count as u64,
            columns: columns.to_vec(),
            column_count,
            weights: weights.to_vec(),
        })
    }
}

impl Array {
    /// Multiplies a sparse matrix with what lies along the last `axes` axes, taken as one in C order; they become one axis
    /// with an element for each row. It sums in float64; the result is float32 of float32, else float64.
    ///
    /// With `skipna` NaN is left out and each sum is scaled by the part of its row's weights that is valid; NaN where none
    /// is.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`] for no axes or more than there are, [`ArrayError::SparseWeights`] if the matrix has
    /// other columns than they have elements.
    pub fn regrid(&self, matrix: &SparseWeights, axes: usize, skipna: bool) -> Result<Array, ArrayError> {
        self.check_number("regrid")?;
        let first = axis_index(-(axes as i64), self.ndim())?;
        let shape = self.shape();
        let len: u64 = shape[first..].iter().product();
        if axes == 0 || len != matrix.column_count {
            let why = format!(
                "the matrix has {} columns, but {axes} axes have {len} elements",
                matrix.column_count
            );
            return Err(ArrayError::SparseWeights { why });
        }
        let mut flat: Vec<i64> = shape[..first].iter().map(|&len| len as i64).collect();
        flat.push(len as i64);
        let taken = self
            .astype(DType::Float64)?
            .reshape(&flat)?
            .take(&matrix.columns, -1)?;
        let table = |values: &[f64]| Array::from_slice(&[values.len() as u64], &[Chunks::Whole], values);
        let weights = table(&matrix.weights)?;
        let grouping = Grouping::new([-1], matrix.rows.clone(), matrix.row_count);
        let sum = |products: Array| products.group_reduce(&grouping, ReduceKind::Sum);
        let result = if skipna {
            let is_valid = taken.notnull()?;
            let filled = where_(&is_valid, &taken, 0.0)?;
            let valid = sum(where_(&is_valid, &weights, 0.0)?)?;
            let mut totals = vec![0.0; matrix.row_count as usize];
            for (&row, weight) in matrix.rows.iter().zip(&matrix.weights) {
                totals[row as usize] += weight;
            }
            let scale = table(&totals)?.divide(&valid)?;
            let sums = sum(filled.multiply(&weights)?)?.multiply(scale)?;
            where_(valid.equal(0.0)?, f64::NAN, sums)?
        } else {
            sum(taken.multiply(&weights)?)?
        };
        match self.dtype() {
            dtype @ (DType::Float16 | DType::Float32) => result.astype(dtype),
            _ => Ok(result),
        }
    }
}
