//! Generalised functions: some axes belong to one call, over the others it is looped.

use std::collections::BTreeMap;

use graticule_plan::{AxisChunks, ChunkGrid, DType};

use super::{
    ApplyOperand, BlockFunction, Reach, align, applied, brought_together, reach, signature::Signature,
};
use crate::{
    Array, ArrayError,
    infer::{axis_index, axis_indices},
};

/// What [`apply_gufunc`] makes, and which axes its function takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gufunc {
    dtypes: Vec<DType>,
    axes: Option<Vec<Vec<i64>>>,
    axis: Option<i64>,
    keepdims: bool,
    sizes: Vec<(String, u64)>,
    vectorize: bool,
    allow_rechunk: bool,
}

impl Gufunc {
    /// Results of these dtypes, one for each list on the right of the signature.
    pub fn new(dtypes: impl Into<Vec<DType>>) -> Self {
        Self {
            dtypes: dtypes.into(),
            axes: None,
            axis: None,
            keepdims: false,
            sizes: Vec::new(),
            vectorize: false,
            allow_rechunk: false,
        }
    }

    /// The axes of each array that go into one call, and, if they are said for those too, of each result; otherwise they
    /// are the last ones.
    #[must_use]
    pub fn axes(self, axes: impl Into<Vec<Vec<i64>>>) -> Self {
        let axes = Some(axes.into());
        Self { axes, ..self }
    }

    /// The axis of each array that goes into one call, where that is a single one that all share.
    #[must_use]
    pub fn axis(self, axis: i64) -> Self {
        let axis = Some(axis);
        Self { axis, ..self }
    }

    /// Keeps the axes that a call takes with length 1, where results have none of their own.
    #[must_use]
    pub fn keepdims(self) -> Self {
        Self {
            keepdims: true,
            ..self
        }
    }

    /// The length of an axis that only results have.
    #[must_use]
    pub fn size(mut self, name: &str, len: u64) -> Self {
        self.sizes.push((name.into(), len));
        self
    }

    /// The function takes the axes of one call alone: it is called in a loop over the others, in each task.
    #[must_use]
    pub fn vectorize(self) -> Self {
        Self {
            vectorize: true,
            ..self
        }
    }

    /// Brings axes that go into one call to one chunk, where they have several. Where that takes more than 32 MiB, loops are
    /// cut finer.
    #[must_use]
    pub fn allow_rechunk(self) -> Self {
        Self {
            allow_rechunk: true,
            ..self
        }
    }
}

/// Calls a generalised function, whose signature says which axes go into one call: `"(i,j),(j)->(i)"`. All other axes are
/// loops, which broadcast and are chunked; a block of all of them goes into one call of the function, unless
/// [`Gufunc::vectorize`] says that it takes one at a time. As Dask's `apply_gufunc`.
///
/// Several results come from the same calls; they must have the same axes of their own.
///
/// # Errors
/// [`ArrayError::Function`] for a signature, axes or lengths that do not fit, [`ArrayError::AxisOutOfRange`],
/// [`ArrayError::RepeatedAxis`], [`ArrayError::Plan`].
pub fn apply_gufunc(
    function: &BlockFunction,
    signature: &str,
    arrays: &[&Array],
    options: &Gufunc,
) -> Result<Vec<Array>, ArrayError> {
    let misfit = |why: String| function.misfit("apply_gufunc", why);
    let signature = Signature::parse(signature).map_err(misfit)?;
    check_counts(&signature, arrays, options).map_err(misfit)?;
    let taken = taken_axes(&signature, arrays, options).map_err(misfit)?;
    let with_axes = arrays.iter().zip(&taken).zip(&signature.inputs);
    let moved = with_axes.map(|((array, own), names)| {
        axis_indices(own, array.ndim())?;
        moved_last(array, own, names, options.allow_rechunk, misfit)
    });
    let moved = moved.collect::<Result<Vec<_>, ArrayError>>()?;
    let call = Call::new(&signature, moved, options).map_err(misfit)?;
    let made = call
        .make(function, misfit, options)?
        .into_iter()
        .zip(&signature.outputs);
    let results = made.enumerate().map(|(result, (array, names))| {
        let said = options
            .axes
            .as_ref()
            .and_then(|axes| axes.get(arrays.len() + result));
        moved_back(array, names.len(), said, &taken, options, misfit)
    });
    results.collect()
}

/// The last `count` axes, counted from the end.
fn last_axes(count: usize) -> Vec<i64> {
    (1..=count as i64).rev().map(|axis| -axis).collect()
}

/// The array with the axes of one call last, in one chunk, and how many stand before them.
fn moved_last(
    array: &Array,
    own: &[i64],
    names: &[String],
    may_rechunk: bool,
    misfit: impl Fn(String) -> ArrayError,
) -> Result<(Array, usize), ArrayError> {
    let array = array.moveaxis(own.to_vec(), last_axes(own.len()))?;
    let outer = array.ndim() - own.len();
    let core: Vec<usize> = (outer..array.ndim()).collect();
    let count = |axis: usize| array.chunks().axes()[axis].count();
    let several = core.iter().zip(names).find(|(axis, _)| count(**axis) > 1);
    if let Some((&axis, name)) = several.filter(|_| !may_rechunk) {
        let count = count(axis);
        return Err(misfit(format!(
            "the axis {name:?} goes into one call but has {count} chunks: rechunk it to one, or allow_rechunk"
        )));
    }
    Ok((brought_together(&array, &core), outer))
}

/// A result with its own axes where they were said to be, or those of a call kept with length 1.
fn moved_back(
    mut array: Array,
    own_count: usize,
    said: Option<&Vec<i64>>,
    taken: &[Vec<i64>],
    options: &Gufunc,
    misfit: impl Fn(String) -> ArrayError,
) -> Result<Array, ArrayError> {
    let kept = options
        .keepdims
        .then(|| taken.first().cloned().unwrap_or_default());
    let count = kept.as_ref().map_or(own_count, Vec::len);
    for _ in kept.iter().flatten() {
        array = array.expand_dims(-1)?;
    }
    let own = match (said, options.axis, kept) {
        (Some(said), ..) => said.clone(),
        (None, Some(axis), _) if count == 1 => vec![axis],
        (None, _, Some(kept)) => kept,
        (None, ..) => last_axes(count),
    };
    if own.len() != count {
        let given = own.len();
        return Err(misfit(format!("{given} axes said of a result that has {count}")));
    }
    array.moveaxis(last_axes(count), own)
}

fn check_counts(signature: &Signature, arrays: &[&Array], options: &Gufunc) -> Result<(), String> {
    let (inputs, outputs) = (signature.inputs.len(), signature.outputs.len());
    if inputs != arrays.len() {
        return Err(format!("{} arrays for a signature of {inputs}", arrays.len()));
    }
    if outputs != options.dtypes.len() {
        return Err(format!(
            "{} dtypes for a signature of {outputs} results",
            options.dtypes.len()
        ));
    }
    if let Some((array, names)) = arrays
        .iter()
        .zip(&signature.inputs)
        .find(|(array, names)| array.ndim() < names.len())
    {
        return Err(format!(
            "an array of {} axes for the axes {names:?}",
            array.ndim()
        ));
    }
    if signature.outputs.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err("several results must have the same axes of their own: call it for each of them".into());
    }
    let has_same = |names: &Vec<String>| names.len() == signature.inputs.first().map_or(0, Vec::len);
    if options.keepdims
        && !(signature.inputs.iter().all(has_same) && signature.outputs.iter().all(Vec::is_empty))
    {
        return Err(
            "keepdims needs arrays with as many axes in one call, and results with none of their own".into(),
        );
    }
    Ok(())
}

/// The axes of each array that go into one call.
fn taken_axes(signature: &Signature, arrays: &[&Array], options: &Gufunc) -> Result<Vec<Vec<i64>>, String> {
    if options.axis.is_some() && options.axes.is_some() {
        return Err("axis and axes are both said".into());
    }
    let count = arrays.len();
    if let Some(axes) = &options.axes
        && axes.len() != count
        && axes.len() != count + signature.outputs.len()
    {
        return Err(format!("axes said of {} arrays and results", axes.len()));
    }
    let of_array = |(position, names): (usize, &Vec<String>)| {
        let said = match (&options.axes, options.axis) {
            (Some(axes), _) => axes[position].clone(),
            (None, Some(axis)) if names.len() == 1 => vec![axis],
            (None, Some(_)) if !names.is_empty() => {
                return Err(format!("axis is said, but the axes {names:?} go into one call"));
            }
            (None, _) => (0..names.len())
                .map(|axis| axis as i64 - names.len() as i64)
                .collect(),
        };
        if said.len() != names.len() {
            return Err(format!("axes {said:?} for {names:?}"));
        }
        Ok(said)
    };
    signature.inputs.iter().enumerate().map(of_array).collect()
}

/// Arrays whose axes of one call are the last ones, in one chunk.
struct Call {
    /// With the number of loops before the axes of one call.
    arrays: Vec<(Array, usize)>,
    loops: usize,
    /// Lengths of the results' own axes.
    own: Vec<u64>,
}

impl Call {
    fn new(signature: &Signature, arrays: Vec<(Array, usize)>, options: &Gufunc) -> Result<Self, String> {
        let mut lens: BTreeMap<&str, u64> = BTreeMap::new();
        for ((array, outer), names) in arrays.iter().zip(&signature.inputs) {
            for (name, len) in names.iter().zip(array.shape().split_off(*outer)) {
                let known = *lens.entry(name).or_insert(len);
                if known != len {
                    return Err(format!("the axis {name:?} has lengths {known} and {len}"));
                }
            }
        }
        for (name, len) in &options.sizes {
            let known = *lens.entry(name).or_insert(*len);
            if known != *len {
                return Err(format!("the axis {name:?} has length {known}, not {len}"));
            }
        }
        let names = signature.outputs.first().expect("a signature has results");
        let len = |name: &String| {
            let len = lens.get(&name[..]).copied();
            len.ok_or_else(|| format!("the axis {name:?} is in no array: say its size"))
        };
        let own = names.iter().map(len).collect::<Result<_, _>>()?;
        let loops = arrays.iter().map(|(_, outer)| *outer).max().unwrap_or(0);
        Ok(Self { arrays, loops, own })
    }

    fn make(
        self,
        function: &BlockFunction,
        misfit: impl Fn(String) -> ArrayError,
        options: &Gufunc,
    ) -> Result<Vec<Array>, ArrayError> {
        let Self { arrays, loops, own } = self;
        let outers: Vec<usize> = arrays.iter().map(|(_, outer)| *outer).collect();
        // Loops are labelled by their place in the result; each axis of one call stands for itself.
        let mut next = loops;
        let labelled = arrays.into_iter().map(|(array, outer)| {
            let core = array.ndim() - outer;
            let labels = (loops - outer..loops).chain(next..next + core).collect();
            next += core;
            (array, labels)
        });
        let (arrays, common) = align(misfit, labelled.collect())?;
        let loop_axes = (0..loops).map(|axis| common[&axis].clone());
        let axes = loop_axes.chain(own.iter().map(|&len| AxisChunks::whole(len)));
        let grid = ChunkGrid::new(axes.collect())?;
        let operands = arrays.into_iter().zip(outers).map(|(array, outer)| {
            let of_axis = |(axis, chunks): (usize, &AxisChunks)| match axis < outer {
                true => {
                    let place = loops - outer + axis;
                    reach(chunks, &common[&place], place)
                }
                false => Reach::Whole,
            };
            let reaches = array.chunks().axes().iter().enumerate().map(of_axis).collect();
            let operand = ApplyOperand {
                core_ndim: array.ndim() - outer,
                ..ApplyOperand::new(&array, reaches)
            };
            (array, operand)
        });
        let vectorized = options.vectorize.then_some(loops);
        Ok(applied(
            function,
            operands.collect(),
            &options.dtypes,
            &grid,
            vectorized,
        ))
    }
}

impl Array {
    /// Calls a function with each line along an axis; its result, of this shape and dtype, takes the line's place.
    ///
    /// The axis is brought to one chunk; where that takes more than 32 MiB, the others are
    /// cut finer. As NumPy's `apply_along_axis`.
    ///
    /// # Errors
    /// [`ArrayError::AxisOutOfRange`], [`ArrayError::Plan`].
    pub fn apply_along_axis(
        &self,
        function: &BlockFunction,
        axis: i64,
        shape: &[u64],
        dtype: DType,
    ) -> Result<Array, ArrayError> {
        let axis = axis_index(axis, self.ndim())?;
        let misfit = |why: String| function.misfit("apply_along_axis", why);
        let array = brought_together(self, &[axis]).moveaxis(axis as i64, -1)?;
        let loops = array.ndim() - 1;
        let call = Call {
            arrays: vec![(array, loops)],
            loops,
            own: shape.to_vec(),
        };
        let made = call
            .make(function, misfit, &Gufunc::new([dtype]).vectorize())?
            .remove(0);
        let count = shape.len() as i64;
        let places: Vec<i64> = (0..count).map(|place| loops as i64 + place).collect();
        let wanted: Vec<i64> = (0..count).map(|place| axis as i64 + place).collect();
        made.moveaxis(places, wanted)
    }
}

#[cfg(test)]
mod tests {
    use graticule_plan::DType;

    use super::{Gufunc, apply_gufunc};
    use crate::{Array, BlockFunction, Chunks, blocks::TOGETHER_BYTES};

    /// Lengths of the first chunks along each axis.
    fn chunks(array: &Array) -> Vec<u64> {
        let axes = array.chunks().axes().iter();
        axes.map(|axis| axis.chunk_max()).collect()
    }

    /// 3.8 GB.
    fn zeros(chunks: [u64; 3]) -> Array {
        Array::zeros(&[3650, 361, 720], &chunks.map(Chunks::Size), DType::Float32).unwrap()
    }

    #[test]
    fn an_axis_in_many_chunks_does_not_make_one_chunk_of_the_whole_array() {
        let function = BlockFunction::new("filled");
        // Maps of one day.
        let cube = zeros([1, 361, 720]);
        let options = Gufunc::new([DType::Float32]).axis(0).allow_rechunk();
        let filled = apply_gufunc(&function, "(t)->(t)", &[&cube], &options)
            .unwrap()
            .remove(0);
        assert_eq!(chunks(&filled)[0], 3650);
        assert!(chunks(&filled).iter().product::<u64>() * 4 <= TOGETHER_BYTES);
        let along = cube.apply_along_axis(&function, 0, &[], DType::Float32).unwrap();
        assert!(chunks(&along).iter().product::<u64>() * 3650 * 4 <= TOGETHER_BYTES);
        // What has its axis in one chunk stays as it is, however large.
        let pencils = zeros([3650, 361, 36]);
        let filled = apply_gufunc(&function, "(t)->(t)", &[&pencils], &options)
            .unwrap()
            .remove(0);
        assert_eq!(chunks(&filled), [3650, 361, 36]);
    }
}
