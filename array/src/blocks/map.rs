//! A function on each block, or on each block with its surroundings.

use graticule_plan::{AxisChunks, ChunkGrid, DType};

use super::{ApplyOperand, BlockFunction, Reach, applied, reach, whole_along};
use crate::{
    Array, ArrayError, Boundary,
    infer::{axis_indices, from_lengths, unify},
};

/// What [`map_blocks`] makes.
///
/// ```
/// use graticule_array::{BlockLen, MapBlocks};
/// use graticule_plan::DType;
///
/// // Of each block of two axes the function makes three numbers for each row.
/// let rows = MapBlocks::new(DType::Float64).chunks([BlockLen::Same, BlockLen::Each(3)]);
/// assert_ne!(rows, MapBlocks::new(DType::Float64));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapBlocks {
    dtype: DType,
    drop_axis: Vec<i64>,
    new_axis: Vec<i64>,
    chunks: Option<Vec<BlockLen>>,
}

/// Elements of the blocks that a function makes, along one axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockLen {
    /// As many as the blocks have that it is given.
    Same,
    /// So many each.
    Each(u64),
    /// One number for each block.
    Lengths(Vec<u64>),
}

impl MapBlocks {
    /// Blocks of this dtype, of the same shape as those that the function is given.
    pub fn new(dtype: DType) -> Self {
        Self {
            dtype,
            drop_axis: Vec::new(),
            new_axis: Vec::new(),
            chunks: None,
        }
    }

    /// The function's blocks lack these axes; it is given all elements along them.
    #[must_use]
    pub fn drop_axis(self, axes: impl Into<Vec<i64>>) -> Self {
        let drop_axis = axes.into();
        Self { drop_axis, ..self }
    }

    /// The function's blocks have more axes at these places of the result, of one element unless [`MapBlocks::chunks`]
    /// says otherwise.
    #[must_use]
    pub fn new_axis(self, axes: impl Into<Vec<i64>>) -> Self {
        let new_axis = axes.into();
        Self { new_axis, ..self }
    }

    /// The function's blocks have other lengths; one for each axis of the result.
    #[must_use]
    pub fn chunks(self, lengths: impl Into<Vec<BlockLen>>) -> Self {
        let chunks = Some(lengths.into());
        Self { chunks, ..self }
    }
}

/// Where an axis of a result comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// From this axis of the arrays.
    Axis(usize),
    /// From the function.
    New,
}

/// Calls a function for each block of arrays, which broadcast and get the same chunks; its result is a block of an array.
///
/// Without arrays the function is called for each block of [`MapBlocks::chunks`], and makes it of what it is told of its
/// place. As Dask's `map_blocks`.
///
/// # Errors
/// [`ArrayError::Function`] for chunks that do not fit, [`ArrayError::Broadcast`], [`ArrayError::AxisOutOfRange`],
/// [`ArrayError::RepeatedAxis`], [`ArrayError::Plan`].
pub fn map_blocks(
    function: &BlockFunction,
    arrays: &[&Array],
    options: &MapBlocks,
) -> Result<Array, ArrayError> {
    let (mut arrays, mut grid) = match arrays {
        [] => (vec![], ChunkGrid::new(vec![])?),
        some => unify(some.iter().map(|&array| array.clone()).collect())?,
    };
    let dropped = axis_indices(&options.drop_axis, grid.ndim())?;
    if !dropped.is_empty() {
        let ndim = grid.ndim();
        let own = |array: &Array| -> Vec<usize> {
            let lead = ndim - array.ndim();
            dropped
                .iter()
                .filter_map(|&axis| axis.checked_sub(lead))
                .collect()
        };
        arrays = arrays
            .iter()
            .map(|array| whole_along(array, &own(array)))
            .collect();
        (arrays, grid) = unify(arrays)?;
    }
    let origins = origins(function, options, &grid, &dropped, arrays.is_empty())?;
    let result = result_grid(function, options, &grid, &origins)?;
    let operands = arrays.into_iter().map(|array| {
        let lead = grid.ndim() - array.ndim();
        let of_axis = |(axis, own): (usize, &AxisChunks)| {
            let place = origins.iter().position(|&from| from == From::Axis(axis + lead));
            place.map_or(Reach::Whole, |place| reach(own, &grid.axes()[axis + lead], place))
        };
        let reaches = array.chunks().axes().iter().enumerate().map(of_axis).collect();
        let operand = ApplyOperand::new(&array, reaches);
        (array, operand)
    });
    let mut made = applied(function, operands.collect(), &[options.dtype], &result, None);
    Ok(made.remove(0))
}

/// Where the axes of the result come from.
fn origins(
    function: &BlockFunction,
    options: &MapBlocks,
    grid: &ChunkGrid,
    dropped: &[usize],
    is_made_of_nothing: bool,
) -> Result<Vec<From>, ArrayError> {
    if is_made_of_nothing {
        let is_plain = options.drop_axis.is_empty() && options.new_axis.is_empty();
        let chunks = options.chunks.as_ref().filter(|_| is_plain);
        let chunks = chunks.ok_or_else(|| {
            function.misfit(
                "map_blocks",
                "without arrays it needs the chunks of the result, and no other axes",
            )
        })?;
        return Ok(vec![From::New; chunks.len()]);
    }
    let ndim = grid.ndim() - dropped.len() + options.new_axis.len();
    let new = axis_indices(&options.new_axis, ndim)?;
    let mut kept = (0..grid.ndim()).filter(|axis| !dropped.contains(axis));
    let origin = |axis: usize| match new.contains(&axis) {
        true => From::New,
        false => From::Axis(kept.next().expect("as many as are not new")),
    };
    Ok((0..ndim).map(origin).collect())
}

fn result_grid(
    function: &BlockFunction,
    options: &MapBlocks,
    grid: &ChunkGrid,
    origins: &[From],
) -> Result<ChunkGrid, ArrayError> {
    let misfit = |why: String| function.misfit("map_blocks", why);
    let lengths = match &options.chunks {
        None => vec![BlockLen::Same; origins.len()],
        Some(chunks) if chunks.len() == origins.len() => chunks.clone(),
        Some(chunks) => {
            let (given, ndim) = (chunks.len(), origins.len());
            return Err(misfit(format!("{given} chunk sizes for a result of {ndim} axes")));
        }
    };
    let axes = lengths.iter().zip(origins).enumerate();
    let axes = axes.map(|(axis, (len, from))| {
        let own = match from {
            From::Axis(own) => Some(&grid.axes()[*own]),
            From::New => None,
        };
        cuts(len, own).map_err(|why| misfit(format!("{why} along axis {axis} of the result")))
    });
    Ok(ChunkGrid::new(axes.collect::<Result<_, _>>()?)?)
}

/// Cuts of an axis of a result: of blocks that are made of those of `own`, if it is there.
pub(super) fn cuts(len: &BlockLen, own: Option<&AxisChunks>) -> Result<AxisChunks, String> {
    let count = own.map_or(1, AxisChunks::count);
    match (len, own) {
        (BlockLen::Same, Some(own)) => Ok(own.clone()),
        (BlockLen::Same, None) => Ok(AxisChunks::whole(1)),
        (BlockLen::Each(len), _) => {
            let all = len.checked_mul(count).filter(|_| *len > 0 || count == 1);
            let all = all.ok_or_else(|| format!("{count} blocks of {len} elements each"))?;
            if count == 1 {
                return Ok(AxisChunks::whole(all));
            }
            AxisChunks::regular(all, *len).map_err(|error| error.to_string())
        }
        (BlockLen::Lengths(lengths), own) => {
            let given = lengths.len() as u64;
            if given == 0 || own.is_some_and(|own| own.count() != given) {
                return Err(format!("{given} lengths for {count} blocks"));
            }
            if given > 1 && lengths.contains(&0) {
                return Err("a block without elements between others".into());
            }
            let all = lengths.iter().try_fold(0u64, |sum, len| sum.checked_add(*len));
            all.ok_or_else(|| "more elements than can be counted".to_owned())?;
            Ok(from_lengths(lengths))
        }
    }
}

/// Calls a function for each block of arrays of one shape, together with the elements around it: `depth` of them before
/// and after it along each axis, and what `boundary` says beyond the ends (see [`Array::overlap`]).
///
/// With `trim` what was added is taken away from the function's blocks, which then must have it. As Dask's `map_overlap`.
///
/// # Errors
/// As [`map_blocks`], [`Array::overlap`] and [`Array::trim_overlap`].
pub fn map_overlap(
    function: &BlockFunction,
    arrays: &[&Array],
    depth: &[(u64, u64)],
    boundary: &[Boundary],
    trim: bool,
    options: &MapBlocks,
) -> Result<Array, ArrayError> {
    let misfit = |why: String| function.misfit("map_overlap", why);
    let Some(first) = arrays.first() else {
        return Err(ArrayError::NoArrays {
            operation: "map_overlap",
        });
    };
    if let Some(other) = arrays.iter().find(|array| array.shape() != first.shape()) {
        let (a, b) = (first.shape(), other.shape());
        return Err(misfit(format!(
            "arrays of shapes {a:?} and {b:?} have other neighbours: broadcast them first"
        )));
    }
    let (arrays, _) = unify(arrays.iter().map(|&array| array.clone()).collect())?;
    let wide = arrays.iter().map(|array| array.overlap(depth, boundary));
    let wide: Vec<Array> = wide.collect::<Result<_, _>>()?;
    let made = map_blocks(function, &wide.iter().collect::<Vec<_>>(), options)?;
    if !trim {
        return Ok(made);
    }
    let grid = wide[0].chunks();
    let dropped = axis_indices(&options.drop_axis, grid.ndim())?;
    let origins = origins(function, options, grid, &dropped, false)?;
    let (depth, boundary): (Vec<_>, Vec<_>) = origins
        .iter()
        .map(|from| match from {
            From::Axis(axis) => (depth[*axis], boundary[*axis]),
            From::New => ((0, 0), Boundary::None),
        })
        .unzip();
    made.trim_overlap(&depth, &boundary)
}

impl Array {
    /// Calls a function for each block: [`map_blocks`] of this array alone.
    ///
    /// # Errors
    /// As [`map_blocks`].
    pub fn map_blocks(&self, function: &BlockFunction, options: &MapBlocks) -> Result<Array, ArrayError> {
        map_blocks(function, &[self], options)
    }
}
