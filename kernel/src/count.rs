//! Counting how often each number stands in an array.

use graticule_ops::{Binning, Count};
use graticule_plan::DType;

use crate::{
    Chunk, KernelError, Tensor, TensorMut,
    fused::{TILE_LEN, Tiles},
    lazy::{self, Meta},
    program::{Task, Values, check_ndim, single},
};

/// The value of a `Count` node.
pub(crate) fn node(
    task: &Task<'_>,
    node: usize,
    step: &Count,
    values: &mut Values,
) -> Result<Chunk, KernelError> {
    if let Some(weights) = step.weights {
        lazy::force(task, values, weights.0 as usize)?;
    }
    let tensor = |x: graticule_ops::NodeId| single(values.ready(x.0 as usize).expect("just forced"));
    let weights = step.weights.map(tensor).transpose()?.cloned();
    let x = values.meta(step.x);
    check(&x, weights.as_ref()).map_err(|why| task.misfit(node, why))?;
    let Binning { count, drop_others } = step.binning;
    let bins = usize::try_from(count).map_err(|_| task.misfit(node, format!("{count} bins")))?;
    let mut shape = vec![1; x.shape.len()];
    shape.push(bins);
    let place = |&number: &i64| match usize::try_from(number) {
        Ok(place) if place < bins => Ok(Some(place)),
        _ if drop_others => Ok(None),
        _ => Err(KernelError::NoSuchBin { number, count }),
    };
    let dtype = if weights.is_some() {
        DType::Float64
    } else {
        DType::Int64
    };
    let mut out = TensorMut::zeros(dtype, &shape)?;
    // Numbers are mostly calculated, and counted as they are: never in memory all together.
    let order: Vec<usize> = (0..x.shape.len()).collect();
    let group = lazy::group(task, values, step.x.0 as usize, &order)?;
    let len = group.len();
    let mut tiles = Tiles::new(&group, TILE_LEN.min(len.max(1)))?;
    for first in (0..len).step_by(TILE_LEN) {
        let numbers = tiles.values::<i64>(first, TILE_LEN.min(len - first))?;
        match weights.as_ref().and_then(Tensor::as_slice::<f64>) {
            Some(weights) => {
                let sums = out.slice_mut::<f64>();
                for (number, weight) in numbers.iter().zip(&weights[first..]) {
                    if let Some(place) = place(number)? {
                        sums[place] += weight;
                    }
                }
            }
            None => {
                let counts = out.slice_mut::<i64>();
                for number in numbers {
                    if let Some(place) = place(number)? {
                        counts[place] += 1;
                    }
                }
            }
        }
    }
    Ok(out.freeze().into())
}

/// Checks operands; a sentence if they do not fit.
fn check(x: &Meta, weights: Option<&Tensor>) -> Result<(), String> {
    check_ndim(x.shape.len() + 1)?;
    if x.dtype != Some(DType::Int64) {
        return Err(format!("operand is {:?}, want int64", x.dtype));
    }
    match weights {
        Some(weights) if weights.dtype() != DType::Float64 || weights.shape() != x.shape => {
            let (dtype, shape) = (weights.dtype(), weights.shape());
            Err(format!(
                "weights are {dtype} of shape {shape:?}, want float64 of {:?}",
                x.shape
            ))
        }
        _ => Ok(()),
    }
}
