//! Elimination by panels: columns in one chunk each, with pivots from all rows of a panel, as LAPACK's blocked `getrf`.
//!
//! A step factorises the first panel, and does the same to each of the others. So pivots are those that NumPy's routines
//! take, and no task has more than two panels.

use graticule_ops::LinalgKind;
use graticule_plan::{AxisChunks, DType};

use super::{
    blocks::{Triangle, at_most, sum},
    linalg, merged,
};
use crate::{
    Array, ArrayError, WORKING_SET_BYTES, concatenate,
    infer::{from_lengths, tidy},
};

/// The most bytes of a panel, where the columns' chunks do not ask for less.
const PANEL_BYTES: u64 = WORKING_SET_BYTES / 8;

/// What one step makes.
struct Step {
    /// [`LinalgKind::Lu`] of the panel.
    factors: Array,
    /// The columns behind it, their rows put in order and eliminated.
    rest: Option<Array>,
    /// Columns of the panel.
    width: u64,
    /// Rows that are done.
    done: u64,
}

impl Step {
    /// Both triangles of the panel.
    fn panel(&self) -> Array {
        let rows = self.factors.matrix_shape().0;
        self.factors.box_of((0, rows), (1, self.width))
    }

    /// The numbers of the panel's rows in their order, a column.
    fn order(&self) -> Result<Array, ArrayError> {
        let rows = self.factors.matrix_shape().0;
        let column = self.factors.box_of((0, rows), (0, 1));
        column.real_part()?.astype(DType::Int64)
    }

    /// The panel's rows of the upper triangle and those of the columns behind it.
    fn upper(&self, columns: u64) -> Result<Array, ArrayError> {
        let own = self.panel().box_of((0, self.done), (0, self.width));
        match &self.rest {
            Some(rest) if columns > self.width => {
                let behind = rest.box_of((0, self.done), (0, columns - self.width));
                concatenate(&[own, behind], -1)
            }
            _ => Ok(own),
        }
    }
}

impl Array {
    /// Finds `p`, which puts rows in another order, `l`, below whose diagonal of ones numbers stand, and the upper triangle
    /// `u`, with `p @ l @ u` the matrix.
    ///
    /// Each column's pivot is the greatest of all rows, as in SciPy, whatever the chunks; Dask looks within a chunk. The
    /// columns are brought into panels of whole columns, and each task has two of them at most: of a matrix with few
    /// columns one is all of it.
    ///
    /// # Errors
    /// [`ArrayError::TooFewAxes`].
    pub fn lu(&self) -> Result<(Array, Array, Array), ArrayError> {
        let x = self.matrices(LinalgKind::Lu)?.in_panels();
        let (rows, columns) = x.matrix_shape();
        let (own_rows, own_columns) = self.block_axes();
        let short = rows.min(columns);
        if short == 0 {
            let nothing = |rows, columns| x.zeros_beside(AxisChunks::whole(rows), AxisChunks::whole(columns));
            let p = nothing(rows, 0).identity_beside(own_rows.clone())?;
            let p = p.astype(x.dtype().real())?;
            return Ok((p, nothing(rows, 0), nothing(0, columns)));
        }
        let steps = x.eliminated(columns)?;
        let dones: Vec<u64> = steps.iter().map(|step| step.done).collect();
        let (mut order, mut lower): (Option<Array>, Vec<Array>) = (None, Vec::new());
        for (place, step) in steps.iter().enumerate().rev() {
            let (height, done) = (step.factors.matrix_shape().0, step.done);
            let ones = step.panel().box_of((0, done), (0, done)).unit_lower()?;
            let below = step.panel().box_of((done, height - done), (0, done));
            let below = match &order {
                Some(order) => below.take_along_axis(order, -2)?,
                None => below,
            };
            let above = &dones[..place];
            let above = x.zeros_beside(tidy(&from_lengths(above)), AxisChunks::whole(done));
            let column = concatenate(&[above, ones, below], -2)?;
            lower.push(column.with_blocks(own_rows.clone(), AxisChunks::whole(done)));
            order = Some(after(step, order)?);
        }
        lower.reverse();
        let (mut upper, mut before) = (Vec::new(), Vec::new());
        for step in &steps {
            let left = columns - sum(&before);
            let own = step.upper(left)?.triu(0)?;
            let zeros = x.zeros_beside(AxisChunks::whole(step.done), tidy(&from_lengths(&before)));
            upper.push(concatenate(&[zeros, own], -1)?);
            before.push(step.width);
        }
        let order = order.expect("there is a step for each panel");
        let l = concatenate(&lower, -1)?;
        let u = concatenate(&upper, -2)?;
        let u = u.with_blocks(u.block_axes().0.clone(), own_columns.clone());
        Ok((order.permutation(own_rows, x.dtype())?, l, u))
    }

    /// Solves for right sides whose other axes are cut as this array's are, by panels, then by blocks of these lengths.
    pub(super) fn solve_by_panels(&self, b: &Array, lengths: &[u64]) -> Result<Array, ArrayError> {
        let (columns, beside) = (self.matrix_shape().1, b.matrix_shape().1);
        let left = self.panels(lengths.to_vec());
        let right = b.panels(merged(b.block_axes().1, 1));
        let own = left.block_axes().1.lengths();
        let steps = concatenate(&[left, right], -1)?.eliminated(columns)?;
        let (mut upper, mut turned, mut before) = (Vec::new(), Vec::new(), Vec::new());
        for step in &steps {
            let behind = columns - sum(&before);
            let rest = step.rest.as_ref().expect("the right sides are there to the end");
            turned.push(rest.box_of((0, step.done), (behind - step.width, beside)));
            let zeros = self.zeros_beside(AxisChunks::whole(step.done), tidy(&from_lengths(&before)));
            upper.push(concatenate(&[zeros, step.upper(behind)?], -1)?);
            before.push(step.width);
        }
        let triangle = Triangle {
            lower: false,
            unit_diagonal: false,
        };
        concatenate(&upper, -2)?.solve_by_blocks(triangle, &concatenate(&turned, -2)?, &own)
    }

    /// The matrices in panels of whole columns: one if each is in one chunk.
    fn in_panels(&self) -> Array {
        let (rows, columns) = self.block_axes();
        if (rows.count(), columns.count()) == (1, 1) {
            return self.clone();
        }
        self.panels(merged(columns, super::BLOCK_LEN_MIN))
    }

    /// The matrices in panels of these columns, or of fewer where rows are long.
    fn panels(&self, lengths: Vec<u64>) -> Array {
        let rows = self.matrix_shape().0;
        let column_bytes = self.dtype().size_bytes().saturating_mul(rows.max(1));
        let lengths = at_most(&lengths, PANEL_BYTES / column_bytes);
        self.with_blocks(AxisChunks::whole(rows), tidy(&from_lengths(&lengths)))
    }

    /// Eliminates the first columns, which end with a panel.
    fn eliminated(&self, columns: u64) -> Result<Vec<Step>, ArrayError> {
        let (mut steps, mut left, mut behind) = (Vec::new(), Some(self.clone()), columns);
        while let Some(x) = left.take().filter(|x| behind > 0 && x.matrix_shape().0 > 0) {
            let (rows, all) = x.matrix_shape();
            let width = x.block_axes().1.extent(0).end;
            let factors = linalg(LinalgKind::Lu, vec![x.box_of((0, rows), (0, width))]);
            let others = || x.box_of((0, rows), (width, all - width));
            let rest = (all > width).then(|| linalg(LinalgKind::Eliminate, vec![factors.clone(), others()]));
            let done = rows.min(width);
            left = rest
                .as_ref()
                .map(|rest| rest.box_of((done, rows - done), (0, all - width)));
            steps.push(Step {
                factors,
                rest,
                width,
                done,
            });
            behind -= width;
        }
        Ok(steps)
    }

    /// The numbers below the diagonal, and ones on it.
    fn unit_lower(&self) -> Result<Array, ArrayError> {
        let ones = self.identity_beside(self.block_axes().1.clone())?;
        self.tril(-1)?.add(&ones)
    }

    /// The matrices that put rows, whose numbers this column gives, back to where they were.
    fn permutation(&self, rows: &AxisChunks, dtype: DType) -> Result<Array, ArrayError> {
        let order = self.with_blocks(rows.clone(), AxisChunks::whole(1));
        let numbers = Array::counter(rows).expand_dims(1)?;
        numbers.equal(&order.matrix_transpose()?)?.astype(dtype.real())
    }
}

/// The numbers of a step's rows in the order in which they stand in the end, if those that it left stand in `later`.
fn after(step: &Step, later: Option<Array>) -> Result<Array, ArrayError> {
    let order = step.order()?;
    let Some(later) = later else { return Ok(order) };
    let first = order.box_of((0, step.done), (0, 1));
    let left = order.box_of((step.done, order.matrix_shape().0 - step.done), (0, 1));
    concatenate(&[first, left.take_along_axis(&later, -2)?], -2)
}
