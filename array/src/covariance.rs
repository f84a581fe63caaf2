//! How variables vary together, and central moments.

use graticule_plan::{DType, Kind};

use crate::{Array, ArrayError, Index, Over, concatenate, infer::axis_indices, stack};

/// Which axis of a matrix has a line for each variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variables {
    /// Its rows, as NumPy takes them.
    Rows,
    /// Its columns.
    Columns,
}

impl Array {
    /// Takes the covariance of each two variables, float64; `other` has more variables of the same observations. A single
    /// variable gives its variance, without axes.
    ///
    /// The divisor is the number of observations less `ddof`; where it would be negative it is 0, as in NumPy, whose
    /// default `ddof` is 1.
    ///
    /// # Errors
    /// [`ArrayError::Dimension`] above two axes, [`ArrayError::ConcatenateShape`] for other observations.
    pub fn cov(&self, other: Option<&Array>, variables: Variables, ddof: u32) -> Result<Array, ArrayError> {
        let matrix = lines(self, variables)?;
        let matrix = match other {
            None => matrix,
            Some(other) => concatenate(&[matrix, lines(other, variables)?], 0)?,
        };
        let centred = matrix.subtract(matrix.mean(&Over::axis(1).keepdims())?)?;
        let divisor = (matrix.shape()[1] as f64 - f64::from(ddof)).max(0.0);
        let products = centred.matmul(&centred.transpose())?;
        products.multiply(1.0 / divisor)?.squeeze(None)
    }

    /// Takes the correlation of each two variables, within -1..=1; as [`Array::cov`]. A variable that does not vary gives
    /// NaN.
    ///
    /// # Errors
    /// As [`Array::cov`].
    pub fn corrcoef(&self, other: Option<&Array>, variables: Variables) -> Result<Array, ArrayError> {
        let covariance = self.cov(other, variables, 1)?;
        if covariance.ndim() == 0 {
            return covariance.divide(&covariance);
        }
        let deviation = covariance.diagonal(0, 0, 1)?.sqrt()?;
        let column = deviation.slice(&[Index::Full, Index::NewAxis])?;
        let ratio = covariance.divide(column)?.divide(&deviation)?;
        ratio.clip(Some((-1.0).into()), Some(1.0.into()))
    }

    /// Takes the central moment of an order: the mean of the distances from the mean to that power, with the number of
    /// elements less `ddof` as divisor. Dask's `moment`.
    ///
    /// # Errors
    /// As [`Array::reduce`].
    pub fn moment(&self, order: u32, ddof: u32, over: &Over) -> Result<Array, ArrayError> {
        self.check_number("cov")?;
        if self.dtype() == DType::Float16 {
            // Powers leave its range.
            return self
                .astype(DType::Float32)?
                .moment(order, ddof, over)?
                .astype(DType::Float16);
        }
        let float = match self.dtype().kind() {
            Kind::Float => self.clone(),
            _ => self.astype(DType::Float64)?,
        };
        let distance = float.subtract(float.mean(&over.clone().keepdims())?)?;
        let powers = distance.power(i64::from(order))?;
        let axes = match &over.axes {
            Some(axes) => axis_indices(axes, self.ndim())?,
            None => (0..self.ndim()).collect(),
        };
        let count: f64 = axes.iter().map(|&axis| self.shape()[axis] as f64).product();
        powers.sum(over)?.divide(count - f64::from(ddof))
    }

    /// Counts the points that fall into each cell of a grid, float64, or adds up their weights; with `density` each cell is
    /// divided by its size and by all that was counted. The array has a row for each point and a column for each axis of
    /// the grid.
    ///
    /// The last cell along an axis has its upper edge too. NaN, and what lies outside of the edges, is not counted.
    ///
    /// # Errors
    /// [`ArrayError::Dimension`] for other than two axes, [`ArrayError::AxisCount`] for more or fewer edges than columns,
    /// [`ArrayError::Edges`] for fewer than two edges or some that fall, [`ArrayError::Broadcast`] for other weights.
    pub fn histogramdd(
        &self,
        edges: &[&[f64]],
        weights: Option<&Array>,
        density: bool,
    ) -> Result<Array, ArrayError> {
        self.check_number("histogramdd")?;
        let (operation, ndim) = ("histogramdd", self.ndim());
        let shape = self.shape();
        let &[_, columns] = &shape[..] else {
            return Err(ArrayError::Dimension {
                operation,
                ndim,
                want: 2,
            });
        };
        if columns != edges.len() as u64 || edges.is_empty() {
            let (first, second) = (edges.len(), columns as usize);
            return Err(ArrayError::AxisCount { first, second });
        }
        let columns = (0..columns as i64).map(|column| self.slice(&[Index::Full, column.into()]));
        let columns: Vec<Array> = columns.collect::<Result<_, _>>()?;
        let cells: Vec<u64> = edges
            .iter()
            .map(|edges| edges.len().saturating_sub(1) as u64)
            .collect();
        let count: u64 = cells.iter().product();
        let code = cell_codes(&columns, edges, count)?;
        let lens: Vec<i64> = cells.iter().map(|&len| len as i64).collect();
        // The cell after the last has what is outside.
        let counted = code
            .bincount(count + 1, weights)?
            .slice(&[Index::range(0, count as i64)])?;
        let mut counted = counted.astype(DType::Float64)?.reshape(&lens)?;
        if !density {
            return Ok(counted);
        }
        let total = counted.sum(&Over::all())?;
        for (axis, edges) in edges.iter().enumerate() {
            let widths: Vec<f64> = edges.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let mut shape = vec![1; cells.len()];
            shape[axis] = cells[axis];
            let chunks = vec![crate::Chunks::Whole; shape.len()];
            counted = counted.divide(Array::from_slice(&shape, &chunks, &widths)?)?;
        }
        counted.divide(total)
    }

    /// As [`Array::histogramdd`] of points whose two coordinates are this array and `other`, each of one axis.
    ///
    /// # Errors
    /// As [`Array::histogramdd`]; [`ArrayError::StackShape`].
    pub fn histogram2d(
        &self,
        other: &Array,
        edges: [&[f64]; 2],
        weights: Option<&Array>,
        density: bool,
    ) -> Result<Array, ArrayError> {
        self.check_number("histogram2d")?;
        other.check_number("histogram2d")?;
        let columns = [self.astype(DType::Float64)?, other.astype(DType::Float64)?];
        stack(&columns, -1)?.histogramdd(&edges, weights, density)
    }
}

/// The flat number of the cell of each point, `count` for those outside.
fn cell_codes(columns: &[Array], edges: &[&[f64]], count: u64) -> Result<Array, ArrayError> {
    let mut code = Array::scalar(graticule_ops::Scalar::Int64(0));
    let mut is_inside = Array::scalar(graticule_ops::Scalar::Bool(true));
    for (column, edges) in columns.iter().zip(edges) {
        let &[first, .., last] = *edges else {
            return Err(ArrayError::Edges {
                why: "be two or more, and rise",
            });
        };
        if !edges.is_sorted() {
            return Err(ArrayError::Edges {
                why: "be two or more, and rise",
            });
        }
        let column = column.astype(DType::Float64)?;
        let is_last = column.equal(last)?.astype(DType::Int64)?;
        let cell = column.digitize(edges, false)?.subtract(is_last)?.subtract(1)?;
        let within = column
            .greater_equal(first)?
            .bitwise_and(column.less_equal(last)?)?;
        is_inside = within.bitwise_and(is_inside)?;
        code = cell.add(code.multiply(edges.len() as i64 - 1)?)?;
    }
    crate::where_(is_inside, code, count as i64)
}

/// A matrix of float64 with a row for each variable.
fn lines(array: &Array, variables: Variables) -> Result<Array, ArrayError> {
    let float = array.astype(DType::Float64)?;
    match (array.ndim(), variables) {
        (0, _) => float.expand_dims([0, 1]),
        (1, _) => float.expand_dims(0),
        (2, Variables::Rows) => Ok(float),
        (2, Variables::Columns) => Ok(float.transpose()),
        (ndim, _) => Err(ArrayError::Dimension {
            operation: "cov",
            ndim,
            want: 2,
        }),
    }
}
