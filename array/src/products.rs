//! Products of matrices, and sums of products over axes that arrays share.

use graticule_ops::{BinaryOp, Contraction, Side, promote};
use graticule_plan::{AxisChunks, ChunkGrid, DType};

use crate::{
    Array, ArrayError, Over, binary,
    einsum::{ELLIPSIS, Label, Labelled, combine},
    expression::Op,
    infer::{axis_index, broadcast_shape, same_cuts, with_axis},
};

/// Labels of the summed axis and the two others of matrices.
const SUMMED: Label = 0;
const ROW: Label = 1;
const COLUMN: Label = 2;

impl Array {
    /// Multiplies matrices: the last axis of this array with the last but one of `other`, or its only one; axes before
    /// those broadcast.
    ///
    /// Where the summed axis has several chunks, each pair of chunks makes a partial product, and these are added up in a
    /// tree. float32 is multiplied and added in float32. Integers wrap in their dtype, as in NumPy.
    ///
    /// # Errors
    /// [`ArrayError::NoAxes`] for a single number, [`ArrayError::Summed`], [`ArrayError::Broadcast`].
    pub fn matmul(&self, other: &Array) -> Result<Array, ArrayError> {
        let operation = "matmul";
        let (mut left, mut right) = (vec![SUMMED], vec![SUMMED]);
        if self.ndim() > 1 {
            left.insert(0, ROW);
        }
        if other.ndim() > 1 {
            right.push(COLUMN);
        }
        let core = |labels: &[Label], wanted: Label| labels.iter().copied().find(|&label| label == wanted);
        let kept = [core(&left, ROW), core(&right, COLUMN)];
        stacked(
            operation,
            (self, left),
            (other, right),
            kept.into_iter().flatten().collect(),
        )
    }

    /// Multiplies as NumPy's `dot`: the last axis of this array with the last but one of `other`, or its only one; the
    /// others do not broadcast but stand after one another.
    ///
    /// # Errors
    /// [`ArrayError::Summed`], [`ArrayError::Plan`] for too many axes.
    pub fn dot(&self, other: &Array) -> Result<Array, ArrayError> {
        if self.ndim() == 0 || other.ndim() == 0 {
            return binary(BinaryOp::Multiply, self, other);
        }
        self.tensordot(other, &[-1], &[if other.ndim() == 1 { -1 } else { -2 }])
    }

    /// Sums the products of two arrays over pairs of axes: `axes` of this array, each with the one at the same place of
    /// `other_axes`. The result has the other axes of this array, then those of `other`.
    ///
    /// # Errors
    /// [`ArrayError::AxisCount`], [`ArrayError::AxisOutOfRange`], [`ArrayError::RepeatedAxis`], [`ArrayError::Summed`],
    /// [`ArrayError::Plan`] for too many axes.
    pub fn tensordot(&self, other: &Array, axes: &[i64], other_axes: &[i64]) -> Result<Array, ArrayError> {
        if axes.len() != other_axes.len() {
            let (first, second) = (axes.len(), other_axes.len());
            return Err(ArrayError::AxisCount { first, second });
        }
        let summed = axes.iter().zip(other_axes).map(|(&x, &y)| {
            let (x, y) = (axis_index(x, self.ndim())?, axis_index(y, other.ndim())?);
            let (first, second) = (self.shape()[x], other.shape()[y]);
            check_summed("tensordot", first, second)?;
            Ok((x, y))
        });
        let summed = summed.collect::<Result<Vec<_>, ArrayError>>()?;
        for (place, &(x, y)) in summed.iter().enumerate() {
            let before = &summed[..place];
            if before.iter().any(|pair| pair.0 == x) {
                return Err(ArrayError::RepeatedAxis { axis: x });
            }
            if before.iter().any(|pair| pair.1 == y) {
                return Err(ArrayError::RepeatedAxis { axis: y });
            }
        }
        contract(self, other, Vec::new(), summed)
    }

    /// Sums the products of elements along one axis of both arrays, those of this one conjugated; the others broadcast.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`], [`ArrayError::Summed`], [`ArrayError::Broadcast`].
    pub fn vecdot(&self, other: &Array, axis: i64) -> Result<Array, ArrayError> {
        let (x, y) = (self.conjugated()?.moveaxis(axis, -1)?, other.moveaxis(axis, -1)?);
        stacked("vecdot", (&x, vec![SUMMED]), (&y, vec![SUMMED]), vec![])
    }

    /// Multiplies each element of one array of one axis with each of another.
    ///
    /// # Errors
    /// [`ArrayError::Dimension`] for arrays of more or fewer axes.
    pub fn outer(&self, other: &Array) -> Result<Array, ArrayError> {
        for array in [self, other] {
            if array.ndim() != 1 {
                let (operation, ndim) = ("outer", array.ndim());
                return Err(ArrayError::Dimension {
                    operation,
                    ndim,
                    want: 1,
                });
            }
        }
        binary(BinaryOp::Multiply, &self.expand_dims(1)?, &other.expand_dims(0)?)
    }
}

/// The product of stacks of vectors or matrices, whose last axes have the given labels.
fn stacked(
    operation: &'static str,
    (x, left): (&Array, Vec<Label>),
    (y, right): (&Array, Vec<Label>),
    kept: Vec<Label>,
) -> Result<Array, ArrayError> {
    if x.ndim() == 0 || y.ndim() == 0 {
        return Err(ArrayError::NoAxes { operation });
    }
    let (batch_x, batch_y) = (x.ndim() - left.len(), y.ndim() - right.len());
    let of_summed = |array: &Array, batch: usize, labels: &[Label]| {
        let place = labels
            .iter()
            .position(|&label| label == SUMMED)
            .expect("both have it");
        array.shape()[batch + place]
    };
    check_summed(
        operation,
        of_summed(x, batch_x, &left),
        of_summed(y, batch_y, &right),
    )?;
    broadcast_shape(&[x.shape()[..batch_x].to_vec(), y.shape()[..batch_y].to_vec()])?;
    let batch = |count: usize| {
        (0..count as Label)
            .rev()
            .map(|place| ELLIPSIS + place)
            .collect::<Vec<_>>()
    };
    let labelled = |array: &Array, count: usize, labels: Vec<Label>| Labelled {
        array: array.clone(),
        labels: [batch(count), labels].concat(),
    };
    let operands = vec![labelled(x, batch_x, left), labelled(y, batch_y, right)];
    combine(operation, operands, &[batch(batch_x.max(batch_y)), kept].concat())
}

/// The sum over axes, in the array's own dtype.
pub(crate) fn sum(x: &Array, axes: &[usize]) -> Result<Array, ArrayError> {
    if axes.is_empty() {
        return Ok(x.clone());
    }
    let over = Over::axes(axes.iter().map(|&axis| axis as i64).collect::<Vec<_>>());
    match x.dtype() {
        DType::Bool => x.any(&over),
        dtype => x.sum(&over)?.astype(dtype),
    }
}

pub(crate) fn check_summed(operation: &'static str, first: u64, second: u64) -> Result<(), ArrayError> {
    if first == second {
        Ok(())
    } else {
        Err(ArrayError::Summed {
            operation,
            first,
            second,
        })
    }
}

/// The sum of products over pairs of axes of one length, with pairs that run along together before the others.
pub(crate) fn contract(
    x: &Array,
    y: &Array,
    batch: Vec<(usize, usize)>,
    summed: Vec<(usize, usize)>,
) -> Result<Array, ArrayError> {
    x.check_number("a sum of products")?;
    y.check_number("a sum of products")?;
    let dtype = promote(x.dtype(), y.dtype())?;
    if dtype == DType::Float16 {
        // Rounded once, not also where blocks are added up.
        let [x, y] = [x, y].map(|side| side.astype(DType::Float32));
        return contract(&x?, &y?, batch, summed)?.astype(dtype);
    }
    let (mut x, mut y) = (x.astype(dtype)?, y.astype(dtype)?);
    // The larger one keeps its chunks.
    let left_leads = x.nbytes() >= y.nbytes();
    for &(a, b) in batch.iter().chain(&summed) {
        let (own, other) = (&x.chunks().axes()[a], &y.chunks().axes()[b]);
        if same_cuts(own, other) {
            continue;
        }
        let (own, other) = (own.clone(), other.clone());
        if left_leads {
            y = y.with_grid(&with_axis(y.chunks(), b, own)?);
        } else {
            x = x.with_grid(&with_axis(x.chunks(), a, other)?);
        }
    }
    let cuts = |x: &Array, axis: usize| x.chunks().axes()[axis].clone();
    let is_cut = |&pair: &usize| x.chunks().axes()[summed[pair].0].count() > 1;
    let split: Vec<usize> = (0..summed.len()).filter(is_cut).collect();
    let contraction = Contraction {
        batch,
        summed,
        parts: split.len(),
    };
    let mut axes: Vec<AxisChunks> = contraction
        .batch_of(Side::Left)
        .into_iter()
        .map(|axis| cuts(&x, axis))
        .collect();
    axes.extend(
        contraction
            .free_of(Side::Left, x.ndim())
            .into_iter()
            .map(|axis| cuts(&x, axis)),
    );
    axes.extend(
        contraction
            .free_of(Side::Right, y.ndim())
            .into_iter()
            .map(|axis| cuts(&y, axis)),
    );
    let ndim = axes.len();
    for &pair in &split {
        let count = cuts(&x, contraction.summed[pair].0).count();
        axes.push(AxisChunks::regular(count, 1)?);
    }
    let grid = ChunkGrid::new(axes)?;
    let op = Op::Contract { contraction, split };
    let products = Array::new(op, vec![x, y], dtype, grid);
    let partial: Vec<usize> = (ndim..products.ndim()).collect();
    sum(&products, &partial)
}

/// Where the axes of an operand of a contraction are found in its result; [`Op::Contract`] says what `split` is.
pub(crate) fn contracted_axes(
    contraction: &Contraction,
    split: &[usize],
    side: Side,
    ndims: (usize, usize),
) -> Vec<Option<usize>> {
    let ndim = if side == Side::Left { ndims.0 } else { ndims.1 };
    let free = [
        contraction.free_of(Side::Left, ndims.0),
        contraction.free_of(Side::Right, ndims.1),
    ];
    let (batch, summed) = (contraction.batch_of(side), contraction.summed_of(side));
    let (own, before) = match side {
        Side::Left => (&free[0], batch.len()),
        Side::Right => (&free[1], batch.len() + free[0].len()),
    };
    let parts = batch.len() + free[0].len() + free[1].len();
    let place = |axis: usize| {
        if let Some(place) = batch.iter().position(|&other| other == axis) {
            return Some(place);
        }
        if let Some(place) = own.iter().position(|&other| other == axis) {
            return Some(before + place);
        }
        let pair = summed.iter().position(|&other| other == axis)?;
        split
            .iter()
            .position(|&other| other == pair)
            .map(|place| parts + place)
    };
    (0..ndim).map(place).collect()
}
