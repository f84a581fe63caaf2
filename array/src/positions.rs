//! Arrays of positions, and what is taken by number: grids of indices, flat and split positions, choices.

use graticule_plan::{DType, Kind};

use crate::{
    Array, ArrayError, Axes, Chunks, Index, Operand, broadcast_arrays, concatenate, creation::grid_of_chunks,
    operand::common_dtype, stack, where_,
};

/// What becomes of a position that is out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bounds {
    /// Its task fails.
    Raise,
    /// It counts on from the other end, any number of times.
    Wrap,
    /// It becomes the first or the last one.
    Clip,
}

/// Nested lists of arrays, as [`block`] takes them.
#[derive(Debug, Clone)]
pub enum Nested {
    /// One array.
    Array(Array),
    /// Arrays or lists side by side.
    List(Vec<Nested>),
}

impl Array {
    /// The position along each axis of each element of a grid, int64: NumPy's `indices`, with a leading axis for them.
    ///
    /// # Errors
    /// As [`Array::rechunk`] for `chunks`.
    pub fn indices(shape: &[u64], chunks: &[Chunks]) -> Result<Array, ArrayError> {
        let grid = grid_of_chunks(shape, chunks, DType::Int64)?;
        if shape.is_empty() {
            return Array::zeros(&[0], &[Chunks::Whole], DType::Int64);
        }
        let ndim = shape.len();
        let counters = grid.axes().iter().enumerate().map(|(axis, cuts)| {
            let others: Vec<i64> = (0..ndim as i64).filter(|&other| other != axis as i64).collect();
            let counter = Self::counter(cuts).astype(DType::Int64)?.expand_dims(others)?;
            Ok(counter.broadcast_to(shape)?.with_grid(&grid))
        });
        stack(&counters.collect::<Result<Vec<_>, ArrayError>>()?, 0)
    }

    /// Splits positions in a flat array into one along each axis of `shape`, in C order, int64.
    ///
    /// # Errors
    /// [`ArrayError::PositionDType`]. A position that is out of bounds fails its task.
    pub fn unravel_index(&self, shape: &[u64]) -> Result<Vec<Array>, ArrayError> {
        let size = shape.iter().product();
        let mut rest = self.bounded(size, Bounds::Raise)?;
        let mut positions = Vec::new();
        for &len in shape.iter().rev() {
            let len = Operand::typed(len.max(1) as i64);
            positions.push(rest.remainder(len.clone())?);
            rest = rest.floor_divide(len)?;
        }
        positions.reverse();
        Ok(positions)
    }

    /// Takes for each element the one of the arrays that it numbers; all broadcast.
    ///
    /// # Errors
    /// [`ArrayError::NoArrays`], [`ArrayError::PositionDType`], [`ArrayError::Broadcast`]. With [`Bounds::Raise`] a number
    /// that is no array's fails its task.
    pub fn choose(&self, choices: &[Array], bounds: Bounds) -> Result<Array, ArrayError> {
        let (Some(first), count) = (choices.first(), choices.len()) else {
            return Err(ArrayError::NoArrays {
                operation: "choose among",
            });
        };
        let operands: Vec<Operand> = choices.iter().map(Operand::from).collect();
        let dtype = common_dtype(&operands)?;
        let number = self.bounded(count as u64, bounds)?;
        // What is chosen has the shape of all, whichever is taken.
        let all: Vec<Array> = [number, first.clone()]
            .into_iter()
            .chain(choices[1..].iter().cloned())
            .collect();
        let all = broadcast_arrays(&all)?;
        let mut chosen = all[1].astype(dtype)?;
        for (place, choice) in all[2..].iter().enumerate() {
            let is_it = all[0].equal(Operand::typed(place as i64 + 1))?;
            chosen = where_(is_it, choice.astype(dtype)?, chosen)?;
        }
        if count == 1 {
            // Nothing else looks at the numbers, which may be out of bounds.
            let place = all[0].expand_dims(0)?;
            return chosen
                .expand_dims(0)?
                .take_along_axis(&place, 0)?
                .squeeze(Some(&[0]));
        }
        Ok(chosen)
    }

    /// Gives each element the value of the last condition that is true there, in this array's dtype; 0 where none is, or
    /// one value more than there are conditions. NumPy's `piecewise`, with arrays in place of functions.
    ///
    /// # Errors
    /// [`ArrayError::SelectCount`], [`ArrayError::BroadcastTo`], [`ArrayError::Ops`] for a weak integer out of bounds.
    pub fn piecewise(&self, conditions: &[Array], values: &[Operand]) -> Result<Array, ArrayError> {
        let is_default_given = values.len() == conditions.len() + 1;
        if values.len() != conditions.len() && !is_default_given {
            return Err(ArrayError::SelectCount {
                conditions: conditions.len(),
                choices: values.len(),
            });
        }
        let value = |value: &Operand| self.full_like(value.clone(), None);
        let mut made = match values.last() {
            Some(default) if is_default_given => value(default)?,
            _ => self.zeros_like(None),
        };
        for (condition, given) in conditions.iter().zip(values) {
            made = where_(condition.broadcast_to(&self.shape())?, value(given)?, made)?;
        }
        Ok(made)
    }

    /// Positions as int64 within `0..count`.
    fn bounded(&self, count: u64, bounds: Bounds) -> Result<Array, ArrayError> {
        let dtype = self.dtype();
        if dtype.kind() == Kind::Float || dtype == DType::UInt64 {
            return Err(ArrayError::PositionDType { dtype });
        }
        let (positions, count) = (self.astype(DType::Int64)?, count as i64);
        match bounds {
            Bounds::Wrap => positions.remainder(Operand::typed(count)),
            Bounds::Clip => positions
                .maximum(Operand::typed(0_i64))?
                .minimum(Operand::typed(count - 1)),
            Bounds::Raise => {
                let is_low = positions.less(Operand::typed(0_i64))?;
                let is_outside = is_low.bitwise_or(positions.greater_equal(Operand::typed(count))?)?;
                // Of one zero those that are outside ask for a second.
                let asked = is_outside.astype(DType::Int64)?.expand_dims(0)?;
                let axes = asked.ndim();
                let zero = Array::from_slice(&vec![1; axes], &vec![Chunks::Whole; axes], &[0_i64])?;
                let zeros = zero.take_along_axis(&asked, 0)?.squeeze(Some(&[0]))?;
                positions.add(zeros)
            }
        }
    }
}

/// Joins positions along each axis of `shape` to positions in the flat array, in C order, int64.
///
/// # Errors
/// [`ArrayError::AxisCount`] for more or fewer positions than axes, [`ArrayError::NoArrays`] without any,
/// [`ArrayError::PositionDType`], [`ArrayError::Broadcast`]. With [`Bounds::Raise`] one out of bounds fails its task.
pub fn ravel_multi_index(positions: &[Array], shape: &[u64], bounds: Bounds) -> Result<Array, ArrayError> {
    if positions.len() != shape.len() {
        let (first, second) = (positions.len(), shape.len());
        return Err(ArrayError::AxisCount { first, second });
    }
    let mut flat: Option<Array> = None;
    for (position, &len) in positions.iter().zip(shape) {
        let bounded = position.bounded(len, bounds)?;
        flat = Some(match flat {
            None => bounded,
            Some(before) => before.multiply(Operand::typed(len as i64))?.add(bounded)?,
        });
    }
    flat.ok_or(ArrayError::NoArrays {
        operation: "ravel positions of",
    })
}

/// Joins nested lists of arrays: the innermost along the last axis, those around them along the one before, and so on.
///
/// Each list is promoted for itself, as NumPy does with small arrays; with large ones it promotes all at once.
///
/// # Errors
/// [`ArrayError::NoArrays`] for an empty list, [`ArrayError::NestedDepth`] for arrays at different depths; as
/// [`concatenate`].
pub fn block(nested: &Nested) -> Result<Array, ArrayError> {
    let (depth, ndim) = depths(nested)?;
    joined(nested, depth, depth.max(ndim))
}

/// The depth of the lists, and the most axes of an array in them.
fn depths(nested: &Nested) -> Result<(usize, usize), ArrayError> {
    let parts = match nested {
        Nested::Array(array) => return Ok((0, array.ndim())),
        Nested::List(parts) => parts,
    };
    let mut found: Option<(usize, usize)> = None;
    for part in parts {
        let (depth, ndim) = depths(part)?;
        found = match found {
            Some((first, _)) if first != depth => {
                return Err(ArrayError::NestedDepth { first, other: depth });
            }
            Some((_, most)) => Some((depth, most.max(ndim))),
            None => Some((depth, ndim)),
        };
    }
    let (depth, ndim) = found.ok_or(ArrayError::NoArrays { operation: "block" })?;
    Ok((depth + 1, ndim))
}

fn joined(nested: &Nested, depth: usize, ndim: usize) -> Result<Array, ArrayError> {
    match nested {
        Nested::Array(array) => {
            let leading: Vec<i64> = (0..ndim.saturating_sub(array.ndim()) as i64).collect();
            array.expand_dims(Axes::from(leading))
        }
        Nested::List(parts) => {
            let parts = parts.iter().map(|part| joined(part, depth - 1, ndim));
            concatenate(&parts.collect::<Result<Vec<_>, _>>()?, -(depth as i64))
        }
    }
}

/// The rows and columns of the elements on and below the `offset`-th diagonal of a matrix, int64.
///
/// # Errors
/// As [`Array::rechunk`] for `chunks`.
pub fn tril_indices(rows: u64, columns: u64, offset: i64, chunks: Chunks) -> Result<[Array; 2], ArrayError> {
    let ends = (0..rows as i64).map(|row| (0, (row + offset + 1).clamp(0, columns as i64)));
    row_ranges(&ends.collect::<Vec<_>>(), chunks)
}

/// The rows and columns of the elements on and above the `offset`-th diagonal of a matrix, int64.
///
/// # Errors
/// As [`Array::rechunk`] for `chunks`.
pub fn triu_indices(rows: u64, columns: u64, offset: i64, chunks: Chunks) -> Result<[Array; 2], ArrayError> {
    let columns = columns as i64;
    let starts = (0..rows as i64).map(|row| ((row + offset).clamp(0, columns), columns));
    row_ranges(&starts.collect::<Vec<_>>(), chunks)
}

/// Rows and columns of a range of columns for each row. The table is as long as the matrix is high, not as its elements.
fn row_ranges(ranges: &[(i64, i64)], chunks: Chunks) -> Result<[Array; 2], ArrayError> {
    let (mut ends, mut shifts, mut end) = (Vec::new(), Vec::new(), 0_i64);
    for (first, last) in ranges {
        shifts.push(first - end);
        end += last - first;
        ends.push(end);
    }
    let total = end as u64;
    let grid = grid_of_chunks(&[total], &[chunks], DType::Int64)?;
    let counter = Array::counter(&grid.axes()[0]).astype(DType::Int64)?;
    if total == 0 {
        return Ok([counter.clone(), counter]);
    }
    let table = |numbers: &[i64]| Array::from_slice(&[numbers.len() as u64], &[Chunks::Whole], numbers);
    let row = table(&ends)?.searchsorted(&counter, true)?;
    let column = table(&shifts)?.take_along_axis(&row, 0)?.add(&counter)?;
    let whole = |array: Array| array.slice(&[Index::Full]);
    Ok([whole(row)?, whole(column)?])
}
