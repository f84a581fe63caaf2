//! Sorting, looking up in what is sorted, and counting.

use graticule_ops::{BinaryOp, Binning, SearchKind, Sorting, promote};
use graticule_plan::{AxisChunks, ChunkGrid, DType};

use crate::{
    Array, ArrayError, Chunks, Over, WORKING_SET_BYTES, binary,
    chunking::shrink,
    expression::Op,
    infer::{axis_index, from_lengths, grid_of, unify, with_axis},
    where_,
};

impl Array {
    /// Sorts along an axis; NaN counts as greater than all numbers.
    ///
    /// Each line is sorted by one task: the axis is rechunked to one chunk, into the read where that is possible, with the
    /// other axes cut so that a task works on [`WORKING_SET_BYTES`] at most.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`].
    pub fn sort(&self, axis: i64, descending: bool) -> Result<Array, ArrayError> {
        self.sorted(axis, descending, false, None)
    }

    /// Finds the positions along an axis that would sort it, int64; equal elements keep their order.
    ///
    /// # Errors
    /// As [`Array::sort`].
    pub fn argsort(&self, axis: i64, descending: bool) -> Result<Array, ArrayError> {
        self.sorted(axis, descending, true, None)
    }

    /// Takes the `count` greatest elements along an axis, the greatest first; of a negative count the least ones, the
    /// least first. As Dask's `topk`; NaN counts as greater than all numbers.
    ///
    /// Where the axis has several chunks, only the first elements of each go to the task that sorts them.
    ///
    /// # Errors
    /// As [`Array::sort`].
    pub fn topk(&self, count: i64, axis: i64) -> Result<Array, ArrayError> {
        let (kept, descending) = (Some(count.unsigned_abs()), count >= 0);
        let axis = axis_index(axis, self.ndim())?;
        let sorting = Sorting {
            axis,
            descending,
            positions: false,
            count: kept,
        };
        let cuts = &self.chunks().axes()[axis];
        let is_worth_it = cuts.count() > 1 && (1..cuts.chunk_max()).contains(&count.unsigned_abs());
        let x = match is_worth_it {
            true => {
                let lengths: Vec<u64> = cuts.lengths().into_iter().map(|len| sorting.kept(len)).collect();
                let grid = with_axis(self.chunks(), axis, from_lengths(&lengths))?;
                &Array::new(Op::Sort(sorting), vec![self.clone()], self.dtype(), grid)
            }
            false => self,
        };
        x.sorted(axis as i64, descending, false, kept)
    }

    /// Finds the positions of what [`Array::topk`] takes, int64; of equal elements the first ones.
    ///
    /// # Errors
    /// As [`Array::sort`].
    pub fn argtopk(&self, count: i64, axis: i64) -> Result<Array, ArrayError> {
        self.sorted(axis, count >= 0, true, Some(count.unsigned_abs()))
    }

    /// Finds where each element of `values` would stand in this sorted array of one axis, before equal elements or, if
    /// `right`, after them; int64.
    ///
    /// # Errors
    /// [`ArrayError::Dimension`] if this array has more or fewer axes.
    pub fn searchsorted(&self, values: &Array, right: bool) -> Result<Array, ArrayError> {
        let kind = if right {
            SearchKind::Right
        } else {
            SearchKind::Left
        };
        self.search(values, "searchsorted", kind)
    }

    /// Tells of each element whether it is one of `test_elements`, which has one axis; NaN never is.
    ///
    /// # Errors
    /// [`ArrayError::Dimension`] for test elements of more or fewer axes.
    pub fn isin(&self, test_elements: &Array, invert: bool) -> Result<Array, ArrayError> {
        let dtype = promote(self.dtype(), test_elements.dtype())?;
        let (operation, ndim) = ("isin", test_elements.ndim());
        if ndim != 1 {
            return Err(ArrayError::Dimension {
                operation,
                ndim,
                want: 1,
            });
        }
        let sorted = test_elements.astype(dtype)?.sort(0, false)?;
        let found = sorted.search(self, operation, SearchKind::Contains)?;
        if invert { found.logical_not() } else { Ok(found) }
    }

    /// Finds of each element the bin that it falls into, int64: bin `i` begins at edge `i - 1`, or ends there, if `right`.
    /// Edges rise or fall, as NumPy's `digitize` takes them.
    ///
    /// # Errors
    /// [`ArrayError::Edges`] if they do neither, [`ArrayError::Ops`] of complex numbers.
    pub fn digitize(&self, edges: &[f64], right: bool) -> Result<Array, ArrayError> {
        self.check_real("digitize")?;
        let x = self.astype(DType::Float64)?;
        if edges.is_sorted() {
            return edge_array(edges)?.searchsorted(&x, !right);
        }
        let rising: Vec<f64> = edges.iter().rev().copied().collect();
        if !rising.is_sorted() {
            return Err(ArrayError::Edges { why: "rise or fall" });
        }
        let place = edge_array(&rising)?.searchsorted(&x, !right)?;
        let count = Array::scalar(graticule_ops::Scalar::Int64(edges.len() as i64));
        binary(BinaryOp::Subtract, &count, &place)
    }

    /// Counts how often each of the integers below `length` stands in the array, or adds up the weights of its elements.
    ///
    /// NumPy's `bincount` with `minlength`, but the length does not follow the elements: a task fails that meets another
    /// number. Integers count as int64, weights as float64.
    ///
    /// # Errors
    /// [`ArrayError::Dimension`] for an array of more or fewer axes, [`ArrayError::Integers`] for one of no integers,
    /// [`ArrayError::Broadcast`] for weights of another shape.
    pub fn bincount(&self, length: u64, weights: Option<&Array>) -> Result<Array, ArrayError> {
        let (operation, ndim, dtype) = ("bincount", self.ndim(), self.dtype());
        if ndim != 1 {
            return Err(ArrayError::Dimension {
                operation,
                ndim,
                want: 1,
            });
        }
        if dtype.holds_nan() {
            return Err(ArrayError::Integers { operation, dtype });
        }
        let binning = Binning {
            count: length,
            drop_others: false,
        };
        self.astype(DType::Int64)?.counted(binning, weights)
    }

    /// Counts the elements between each two neighbouring edges, which rise; the last bin takes in its end. Elements outside
    /// and NaN are left out.
    ///
    /// int64, or the dtype of the weights, which add up in float64. With `density` each bin is divided by its width and
    /// by all that was counted, float64.
    ///
    /// # Errors
    /// [`ArrayError::Edges`] for fewer than two edges or some that fall, [`ArrayError::Broadcast`] for weights of another
    /// shape.
    pub fn histogram(
        &self,
        edges: &[f64],
        weights: Option<&Array>,
        density: bool,
    ) -> Result<Array, ArrayError> {
        self.check_real("histogram")?;
        if let Some(weights) = weights {
            weights.check_real("histogram")?;
        }
        let last = match edges {
            [_, .., last] if edges.is_sorted() => *last,
            _ => {
                return Err(ArrayError::Edges {
                    why: "be two or more, and rise",
                });
            }
        };
        let count = edges.len() as u64 - 1;
        let x = self.astype(DType::Float64)?;
        let place = edge_array(edges)?.searchsorted(&x, true)?.subtract(1)?;
        let place = where_(x.equal(last)?, count as i64 - 1, place)?;
        let binning = Binning {
            count,
            drop_others: true,
        };
        let counted = place.counted(binning, weights)?;
        if density {
            let widths: Vec<f64> = edges.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let widths = Array::from_slice(&[count], &[Chunks::Whole], &widths)?;
            let all = counted.sum(&Over::all())?;
            return counted.divide(&widths)?.divide(&all);
        }
        counted.astype(weights.map_or(DType::Int64, Array::dtype))
    }

    fn sorted(
        &self,
        axis: i64,
        descending: bool,
        positions: bool,
        count: Option<u64>,
    ) -> Result<Array, ArrayError> {
        let axis = axis_index(axis, self.ndim())?;
        let x = self.with_whole_axis(axis);
        let sorting = Sorting {
            axis,
            descending,
            positions,
            count,
        };
        let kept = AxisChunks::whole(sorting.kept(self.shape()[axis]));
        let grid = with_axis(x.chunks(), axis, kept)?;
        let dtype = if positions { DType::Int64 } else { self.dtype() };
        Ok(Array::new(Op::Sort(sorting), vec![x], dtype, grid))
    }

    /// The array with one chunk along an axis, and so many along the others that a task's working set is not too large.
    pub(crate) fn with_whole_axis(&self, axis: usize) -> Array {
        let mut axes = self.chunks().axes().to_vec();
        if axes[axis].count() == 1 {
            return self.clone();
        }
        axes[axis] = AxisChunks::whole(axes[axis].len());
        let others: Vec<usize> = (0..axes.len()).filter(|&other| other != axis).collect();
        let origin = &self.0.origin;
        let item_bytes = origin.element_bytes.max(self.dtype().size_bytes());
        shrink(&mut axes, &others, &origin.tile, item_bytes, WORKING_SET_BYTES);
        self.with_grid(&grid_of(axes))
    }

    fn search(&self, values: &Array, operation: &'static str, kind: SearchKind) -> Result<Array, ArrayError> {
        let ndim = self.ndim();
        if ndim != 1 {
            return Err(ArrayError::Dimension {
                operation,
                ndim,
                want: 1,
            });
        }
        let dtype = promote(self.dtype(), values.dtype())?;
        let sorted = self.astype(dtype)?.rechunk(&[Chunks::Whole])?;
        let result = match kind {
            SearchKind::Left | SearchKind::Right => DType::Int64,
            SearchKind::Contains => DType::Bool,
        };
        let (x, grid) = (values.astype(dtype)?, values.chunks().clone());
        Ok(Array::new(Op::Search(kind), vec![sorted, x], result, grid))
    }

    /// Counts in each block, and adds the counts up.
    fn counted(&self, binning: Binning, weights: Option<&Array>) -> Result<Array, ArrayError> {
        let mut operands = vec![self.clone()];
        if let Some(weights) = weights {
            weights.check_real("bincount")?;
            if weights.shape() != self.shape() {
                let shapes = vec![self.shape(), weights.shape()];
                return Err(ArrayError::Broadcast { shapes });
            }
            operands = unify(vec![self.clone(), weights.astype(DType::Float64)?])?.0;
        }
        let blocks = operands[0]
            .chunks()
            .axes()
            .iter()
            .map(|axis| AxisChunks::regular(axis.count(), 1));
        let mut axes = blocks.collect::<Result<Vec<_>, _>>()?;
        axes.push(AxisChunks::whole(binning.count));
        let dtype = if weights.is_some() {
            DType::Float64
        } else {
            DType::Int64
        };
        let grid = ChunkGrid::new(axes)?;
        let counts = Array::new(Op::Count(binning), operands, dtype, grid);
        let blocks: Vec<i64> = (0..self.ndim() as i64).collect();
        if blocks.is_empty() {
            return Ok(counts);
        }
        counts.sum(&Over::axes(blocks))
    }
}

fn edge_array(edges: &[f64]) -> Result<Array, ArrayError> {
    Array::from_slice(&[edges.len() as u64], &[Chunks::Whole], edges)
}
