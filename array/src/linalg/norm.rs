use std::fmt;

use crate::{Array, ArrayError, Axes, Over};

/// The order of a norm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NormOrder {
    /// The root of the sum of all squares of a matrix.
    Frobenius,
    /// The sum of the singular values of a matrix.
    Nuclear,
    /// By a number, which may be infinite.
    Number(f64),
}

impl From<f64> for NormOrder {
    fn from(order: f64) -> Self {
        NormOrder::Number(order)
    }
}

impl fmt::Display for NormOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NormOrder::Frobenius => f.write_str("'fro'"),
            NormOrder::Nuclear => f.write_str("'nuc'"),
            NormOrder::Number(order) => write!(f, "{order}"),
        }
    }
}

impl Array {
    /// The square of each element's distance from 0.
    pub(super) fn squared_magnitude(&self) -> Result<Array, ArrayError> {
        if !self.dtype().is_complex() {
            return self.square();
        }
        self.real()?.square()?.add(&self.imag()?.square()?)
    }

    /// Takes the norm of vectors along axes, of which several count as one: the root of the sum of squares for order 2, the
    /// greatest or least magnitude for an infinite one, the number of elements that are not 0 for 0, else
    /// `sum(abs(x)**order)**(1/order)`.
    ///
    /// Axes of several chunks are reduced in a tree. Of `over` the axes, `keepdims` and `split_every` count.
    ///
    /// # Errors
    /// As [`Array::reduce`].
    pub fn vector_norm(&self, order: f64, over: &Over) -> Result<Array, ArrayError> {
        let x = self.to_float()?;
        let over = &Over {
            skipna: false,
            ..over.clone()
        };
        let is_empty = x.size() == 0;
        if order == f64::INFINITY {
            // Of nothing it is 0.
            let magnitudes = x.absolute()?;
            return if is_empty {
                magnitudes.sum(over)
            } else {
                magnitudes.max(over)
            };
        }
        if order == f64::NEG_INFINITY {
            return x.absolute()?.min(over);
        }
        if order == 0.0 {
            return x.not_equal(0.0)?.astype(x.dtype().real())?.sum(over);
        }
        if order == 1.0 {
            return x.absolute()?.sum(over);
        }
        if order == 2.0 {
            return x.squared_magnitude()?.sum(over)?.sqrt();
        }
        x.absolute()?.power(order)?.sum(over)?.power(1.0 / order)
    }

    /// Takes the norm of matrices: 1 and -1 are the greatest and least sum of magnitudes of a column, the infinite ones
    /// those of a row, 2 and -2 the greatest and least singular value.
    ///
    /// # Errors
    /// [`ArrayError::TooFewAxes`], [`ArrayError::NormOrder`], [`ArrayError::EmptyReduction`].
    pub fn matrix_norm(&self, order: impl Into<NormOrder>, keepdims: bool) -> Result<Array, ArrayError> {
        self.check_ndim("matrix_norm", 2)?;
        let x = self.to_float()?;
        let (order, planes) = (order.into(), Over::axes([-2, -1]));
        let made = match order {
            NormOrder::Frobenius => x.vector_norm(2.0, &planes)?,
            NormOrder::Nuclear => x.svdvals()?.sum(&Over::axis(-1))?,
            NormOrder::Number(number) => {
                let is_greatest = number > 0.0;
                let sums = |axis: i64| x.absolute()?.sum(&Over::axis(axis));
                let lines = if number.abs() == 1.0 {
                    sums(-2)?
                } else if number.abs() == f64::INFINITY {
                    sums(-1)?
                } else if number.abs() == 2.0 {
                    x.svdvals()?
                } else {
                    return Err(ArrayError::NormOrder {
                        order: order.to_string(),
                        what: "matrices",
                    });
                };
                let (over, is_empty) = (Over::axis(-1), lines.shape().last() == Some(&0));
                match (is_greatest, is_empty) {
                    // Of nothing it is 0.
                    (true, true) => lines.sum(&over)?,
                    (true, false) => lines.max(&over)?,
                    (false, _) => lines.min(&over)?,
                }
            }
        };
        if keepdims {
            made.expand_dims([-2, -1])
        } else {
            Ok(made)
        }
    }

    /// Takes a norm as NumPy's `norm`: of vectors along one axis, of matrices in two, or of all elements; without an order
    /// the root of the sum of all squares.
    ///
    /// # Errors
    /// [`ArrayError::NormOrder`], [`ArrayError::Dimension`] for an order of more or fewer axes than one or two, and what
    /// [`Array::vector_norm`] and [`Array::matrix_norm`] give.
    pub fn norm(
        &self,
        order: Option<NormOrder>,
        axes: impl Into<Axes>,
        keepdims: bool,
    ) -> Result<Array, ArrayError> {
        let axes = axes.into();
        let indices = axes.indices(self.ndim())?;
        let over = Over {
            keepdims,
            ..Over::axes(indices.iter().map(|&axis| axis as i64).collect::<Vec<_>>())
        };
        let is_all = axes.count().is_none();
        match (order, &indices[..]) {
            (None, _) if is_all => self.vector_norm(2.0, &over),
            (None, [_]) => self.vector_norm(2.0, &over),
            (Some(NormOrder::Number(order)), [_]) => self.vector_norm(order, &over),
            (Some(order), [_]) => Err(ArrayError::NormOrder {
                order: order.to_string(),
                what: "vectors",
            }),
            (order, &[rows, columns]) => {
                let planes = self.moveaxis([rows as i64, columns as i64], [-2, -1])?;
                let made = planes.matrix_norm(order.unwrap_or(NormOrder::Frobenius), false)?;
                if !keepdims {
                    return Ok(made);
                }
                let mut kept = [rows as i64, columns as i64];
                kept.sort_unstable();
                made.expand_dims(kept)
            }
            _ => Err(ArrayError::Dimension {
                operation: "norm",
                ndim: indices.len(),
                want: 2,
            }),
        }
    }

    /// Tells how much an error of a right side may grow when the matrix is solved for it: the product of the norms of the
    /// matrix and of its inverse. Order 2 takes the quotient of the greatest and the least singular value, -2 the other way
    /// round; for the others a singular matrix fails its task.
    ///
    /// # Errors
    /// [`ArrayError::EmptyCondition`], [`ArrayError::NotSquare`] for other orders than 2 and -2, and what
    /// [`Array::matrix_norm`] gives.
    pub fn cond(&self, order: impl Into<NormOrder>) -> Result<Array, ArrayError> {
        self.check_ndim("cond", 2)?;
        let (rows, columns) = self.matrix_shape();
        if self.size() == 0 && rows.min(columns) == 0 {
            return Err(ArrayError::EmptyCondition);
        }
        let order = order.into();
        match order {
            NormOrder::Number(number) if number.abs() == 2.0 => {
                let values = self.svdvals()?;
                let (greatest, least) = (values.max(&Over::axis(-1))?, values.min(&Over::axis(-1))?);
                match number > 0.0 {
                    true => greatest.divide(&least),
                    false => least.divide(&greatest),
                }
            }
            _ => {
                self.check_square("cond")?;
                let inverse = self.inv()?.matrix_norm(order, false)?;
                self.matrix_norm(order, false)?.multiply(&inverse)
            }
        }
    }
}
