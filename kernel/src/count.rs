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
    let no_such_bin = |numbers: &[i64]| {
        let is_wrong = |number: &&i64| !usize::try_from(**number).is_ok_and(|bin| bin < bins);
        let number = *numbers.iter().find(is_wrong).expect("one was left out");
        KernelError::NoSuchBin { number, count }
    };
    // Numbers are mostly calculated, and counted as they are: never in memory all together.
    let order: Vec<usize> = (0..x.shape.len()).collect();
    let group = lazy::group(task, values, step.x.0 as usize, &order)?;
    let len = group.len();
    let mut tiles = Tiles::new(&group, TILE_LEN.min(len.max(1)))?;
    let mut each = |take: &mut dyn FnMut(usize, &[i64]) -> bool| {
        for first in (0..len).step_by(TILE_LEN) {
            let numbers = tiles.values::<i64>(first, TILE_LEN.min(len - first))?;
            if !take(first, numbers) && !drop_others {
                return Err(no_such_bin(numbers));
            }
        }
        Ok(())
    };
    match weights.as_ref().and_then(Tensor::as_slice::<f64>) {
        Some(weights) => {
            let mut out = TensorMut::zeros(DType::Float64, &shape)?;
            let sums = out.slice_mut::<f64>();
            each(&mut |first, numbers| add_weights(numbers, &weights[first..], sums))?;
            Ok(out.freeze().into())
        }
        None => {
            let mut out = TensorMut::zeros(DType::Int64, &shape)?;
            if bins <= SPREAD_BINS_MAX {
                let mut tables = vec![[0; TABLES]; bins + 1];
                each(&mut |_, numbers| count_spread(numbers, &mut tables))?;
                let counts = out.slice_mut::<i64>().iter_mut().zip(&tables);
                counts.for_each(|(count, tables)| *count = tables.iter().sum());
            } else {
                let counts = out.slice_mut::<i64>();
                each(&mut |_, numbers| count_each(numbers, counts))?;
            }
            Ok(out.freeze().into())
        }
    }
}

/// Tables in which neighbours are counted apart: a count that was just written would be waited for.
const TABLES: usize = 4;
/// The most bins that have several tables, which so stay in a core's first cache.
const SPREAD_BINS_MAX: usize = 512;

/// Counts numbers; whether all have a bin. The last place of the tables is for those that have none.
fn count_spread(numbers: &[i64], tables: &mut [[i64; TABLES]]) -> bool {
    let others = tables.len() - 1;
    let before = tables[others].iter().sum::<i64>();
    // What is negative is greater than all bins.
    let bin = |number: i64| (number as u64).min(others as u64) as usize;
    let (fours, rest) = numbers.as_chunks::<TABLES>();
    for four in fours {
        for (table, &number) in four.iter().enumerate() {
            tables[bin(number)][table] += 1;
        }
    }
    rest.iter().for_each(|&number| tables[bin(number)][0] += 1);
    tables[others].iter().sum::<i64>() == before
}

/// Counts numbers; whether all have a bin.
fn count_each(numbers: &[i64], counts: &mut [i64]) -> bool {
    let mut all = true;
    for &number in numbers {
        match usize::try_from(number).ok().and_then(|bin| counts.get_mut(bin)) {
            Some(count) => *count += 1,
            None => all = false,
        }
    }
    all
}

/// Adds up the weights of numbers, one after the other as NumPy does; whether all have a bin.
fn add_weights(numbers: &[i64], weights: &[f64], sums: &mut [f64]) -> bool {
    let mut all = true;
    for (&number, weight) in numbers.iter().zip(weights) {
        match usize::try_from(number).ok().and_then(|bin| sums.get_mut(bin)) {
            Some(sum) => *sum += weight,
            None => all = false,
        }
    }
    all
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

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn several_tables_count_what_one_does(
            numbers in vec(prop_oneof![-2..9i64, any::<i64>(), Just(i64::MIN)], 0..200), bins in 0..7usize,
        ) {
            let mut want = vec![0; bins];
            let is_inside = |number: &i64| (0..bins as i64).contains(number);
            numbers.iter().filter(|number| is_inside(number)).for_each(|&number| want[number as usize] += 1);
            let all = numbers.iter().all(is_inside);

            let mut tables = vec![[0; TABLES]; bins + 1];
            prop_assert_eq!(count_spread(&numbers, &mut tables), all);
            let spread: Vec<i64> = tables[..bins].iter().map(|tables| tables.iter().sum()).collect();
            prop_assert_eq!(&spread, &want);

            let mut counts = vec![0; bins];
            prop_assert_eq!(count_each(&numbers, &mut counts), all);
            prop_assert_eq!(&counts, &want);

            let mut sums = vec![0.0; bins];
            let weights: Vec<f64> = (0..numbers.len()).map(|k| k as f64 / 7.0).collect();
            let mut wanted = vec![0.0; bins];
            for (number, weight) in numbers.iter().zip(&weights).filter(|(number, _)| is_inside(number)) {
                wanted[*number as usize] += weight;
            }
            prop_assert_eq!(add_weights(&numbers, &weights, &mut sums), all);
            prop_assert_eq!(&sums, &wanted);
        }
    }
}
