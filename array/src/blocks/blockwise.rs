//! A function on blocks that belong together by labels of their axes.

use std::collections::BTreeMap;

use graticule_plan::{AxisChunks, ChunkGrid, DType};

use super::{ApplyOperand, BlockFunction, BlockLen, Reach, align, applied, map::cuts, reach, whole_along};
use crate::{Array, ArrayError};

/// What [`blockwise`] makes, and how its function is given blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blockwise {
    dtype: DType,
    new_axes: Vec<(char, BlockLen)>,
    adjust: Vec<(char, BlockLen)>,
    pieces: bool,
}

impl Blockwise {
    /// Blocks of this dtype.
    pub fn new(dtype: DType) -> Self {
        Self {
            dtype,
            new_axes: Vec::new(),
            adjust: Vec::new(),
            pieces: false,
        }
    }

    /// The result's axis of this label is in none of the arrays: so many elements in one block, or in several.
    #[must_use]
    pub fn new_axis(mut self, label: char, len: BlockLen) -> Self {
        self.new_axes.push((label, len));
        self
    }

    /// The function's blocks have other lengths along the axis of this label.
    #[must_use]
    pub fn adjust(mut self, label: char, len: BlockLen) -> Self {
        self.adjust.push((label, len));
        self
    }

    /// Along axes that the result lacks the function may ask for the arrays' own blocks (`Block::pieces`), as Dask's does
    /// with `concatenate=None`. It is given their elements in one block all the same.
    #[must_use]
    pub fn pieces(self) -> Self {
        Self { pieces: true, ..self }
    }
}

/// Calls a function for each block of the result with the blocks of arrays that belong to it: each axis has a label, and
/// blocks go together whose axes of one label have the same number. Of axes that the result lacks the function is given
/// all elements.
///
/// `"ik", [(a, "ij"), (b, "jk")]` calls it with a row of blocks of `a` and a column of blocks of `b`. As Dask's
/// `blockwise`.
///
/// # Errors
/// [`ArrayError::Function`] for labels, lengths or chunks that do not fit, [`ArrayError::Plan`].
pub fn blockwise(
    function: &BlockFunction,
    result: &str,
    arrays: &[(&Array, &str)],
    options: &Blockwise,
) -> Result<Array, ArrayError> {
    let misfit = |why: String| function.misfit("blockwise", why);
    let labels: Vec<char> = result.chars().collect();
    check_distinct(&labels).map_err(misfit)?;
    let mut labelled = Vec::with_capacity(arrays.len());
    for (array, text) in arrays {
        let own: Vec<char> = text.chars().collect();
        check_distinct(&own).map_err(misfit)?;
        if own.len() != array.ndim() {
            return Err(misfit(format!(
                "labels {text:?} for an array of {} axes",
                array.ndim()
            )));
        }
        labelled.push((
            (*array).clone(),
            own.iter().map(|label| *label as usize).collect(),
        ));
    }
    let texts: Vec<Vec<usize>> = labelled
        .iter()
        .map(|(_, labels): &(Array, Vec<usize>)| labels.clone())
        .collect();
    let (arrays, common) = align(misfit, labelled)?;
    let grid = result_grid(&labels, &common, options).map_err(misfit)?;
    let place = |label: usize| labels.iter().position(|own| *own as usize == label);
    let operands = arrays.into_iter().zip(texts).map(|(array, own)| {
        let summed: Vec<usize> = (0..own.len())
            .filter(|&axis| place(own[axis]).is_none())
            .collect();
        let several = |axis: &&usize| array.chunks().axes()[**axis].count() > 1;
        let pieces = match options.pieces {
            true => summed
                .iter()
                .filter(several)
                .map(|&axis| (axis, array.chunks().axes()[axis].clone()))
                .collect(),
            false => Vec::new(),
        };
        let array = whole_along(&array, &summed);
        let of_axis = |(chunks, label): (&AxisChunks, &usize)| {
            place(*label).map_or(Reach::Whole, |axis| reach(chunks, &common[label], axis))
        };
        let reaches = array.chunks().axes().iter().zip(&own).map(of_axis).collect();
        let operand = ApplyOperand {
            pieces,
            ..ApplyOperand::new(&array, reaches)
        };
        (array, operand)
    });
    let grid = ChunkGrid::new(grid)?;
    let mut made = applied(function, operands.collect(), &[options.dtype], &grid, None);
    Ok(made.remove(0))
}

/// Cuts arrays alike along axes of one label, as the largest of them is cut: Dask's function. Axes of one element stay as
/// they are.
///
/// ```
/// use graticule_array::{Array, Chunks, unify_chunks};
/// use graticule_plan::DType;
///
/// let big = Array::zeros(&[6, 8], &[Chunks::Size(3), Chunks::Whole], DType::Float64)?;
/// let small = Array::zeros(&[6], &[Chunks::Size(2)], DType::Float64)?;
/// let (chunks, arrays) = unify_chunks(&[(&big, "ij"), (&small, "i")])?;
/// assert_eq!(chunks[&'i'].lengths(), [3, 3]);
/// assert_eq!(arrays[1].chunks().axes()[0].lengths(), [3, 3]);
/// # Ok::<(), graticule_array::ArrayError>(())
/// ```
///
/// # Errors
/// [`ArrayError::Labels`] for labels that do not fit the axes, or axes of one label that have other lengths.
pub fn unify_chunks(
    arrays: &[(&Array, &str)],
) -> Result<(BTreeMap<char, AxisChunks>, Vec<Array>), ArrayError> {
    let misfit = |why: String| ArrayError::Labels { why };
    let mut labelled = Vec::with_capacity(arrays.len());
    for (array, text) in arrays {
        let own: Vec<char> = text.chars().collect();
        check_distinct(&own).map_err(misfit)?;
        if own.len() != array.ndim() {
            let ndim = array.ndim();
            return Err(misfit(format!("labels {text:?} for an array of {ndim} axes")));
        }
        let own = own.into_iter().map(|label| label as usize);
        labelled.push(((*array).clone(), own.collect()));
    }
    let (arrays, common) = align(misfit, labelled)?;
    let of_label = |(label, chunks): (usize, AxisChunks)| {
        let label = u32::try_from(label).ok().and_then(char::from_u32);
        (label.expect("it was a character"), chunks)
    };
    Ok((common.into_iter().map(of_label).collect(), arrays))
}

fn check_distinct(labels: &[char]) -> Result<(), String> {
    let twice = (1..labels.len()).find(|&axis| labels[..axis].contains(&labels[axis]));
    match twice {
        Some(axis) => Err(format!("the label {:?} stands twice for one array", labels[axis])),
        None => Ok(()),
    }
}

fn result_grid(
    labels: &[char],
    common: &BTreeMap<usize, AxisChunks>,
    options: &Blockwise,
) -> Result<Vec<AxisChunks>, String> {
    let said = |list: &[(char, BlockLen)], label: char| {
        let found = list.iter().find(|(own, _)| *own == label);
        found.map(|(_, len)| len.clone())
    };
    for (label, _) in options.new_axes.iter().chain(&options.adjust) {
        if !labels.contains(label) {
            return Err(format!("the result has no axis {label:?}"));
        }
    }
    let axis = |&label: &char| {
        let own = common.get(&(label as usize));
        let new = said(&options.new_axes, label);
        let len = match (own, new) {
            (Some(_), Some(_)) => return Err(format!("the new axis {label:?} is an array's too")),
            (None, None) => {
                return Err(format!(
                    "the axis {label:?} is in no array: say its length by new_axis"
                ));
            }
            (None, Some(len)) => len,
            (Some(_), None) => said(&options.adjust, label).unwrap_or(BlockLen::Same),
        };
        cuts(&len, own).map_err(|why| format!("{why} along axis {label:?}"))
    };
    labels.iter().map(axis).collect()
}
