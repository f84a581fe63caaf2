//! What is made of elements whose number is known only when they are seen: those under a mask, and distinct ones.

use graticule_ops::{Compress, Distinct, DistinctPart};

use crate::{
    Chunk, KernelError, Tensor, TensorMut,
    element::with_element,
    order::{Keyed, forced},
    program::{Task, Values, single},
    shape,
};

/// The value of a `Compress` node.
pub(crate) fn compress(
    task: &Task<'_>,
    node: usize,
    step: &Compress,
    values: &mut Values,
) -> Result<Chunk, KernelError> {
    let mask = single(forced(task, values, step.mask)?)?.clone();
    let x = single(forced(task, values, step.x)?)?;
    let misfit = |why: String| task.misfit(node, why);
    let len = x.shape().get(step.axis);
    let Some(flags) = mask.as_slice::<bool>().filter(|flags| len == Some(&flags.len())) else {
        let (dtype, shape) = (mask.dtype(), mask.shape());
        return Err(misfit(format!(
            "mask {dtype} of shape {shape:?} along axis {} of shape {:?}",
            step.axis,
            x.shape()
        )));
    };
    let runs = runs(flags);
    let got: usize = runs.iter().map(|(_, len)| len).sum();
    let extent = shape::extent(&step.extent, task.block_index).map_err(misfit)?;
    check_count(got, extent.end - extent.start).map_err(misfit)?;
    let mut shape = x.shape().to_vec();
    shape[step.axis] = got;
    let mut out = TensorMut::zeros(x.dtype(), &shape)?;
    let inner: usize = shape[step.axis + 1..].iter().product();
    let step_bytes = inner * x.dtype().size_bytes() as usize;
    let row_bytes = flags.len() * step_bytes;
    if !shape.contains(&0) {
        let mut target = out.trusted_bytes_mut();
        for row in x.bytes().chunks_exact(row_bytes) {
            for &(start, len) in &runs {
                let (run, rest) = target.split_at_mut(len * step_bytes);
                run.copy_from_slice(&row[start * step_bytes..][..len * step_bytes]);
                target = rest;
            }
        }
    }
    Ok(out.freeze().into())
}

/// Starts and lengths of what is true.
fn runs(flags: &[bool]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (place, _) in flags.iter().enumerate().filter(|(_, is_true)| **is_true) {
        match runs.last_mut() {
            Some((start, len)) if *start + *len == place => *len += 1,
            _ => runs.push((place, 1)),
        }
    }
    runs
}

/// What was counted is what is there: else the plan's chunks have other lengths than these.
fn check_count(got: usize, want: u64) -> Result<(), String> {
    if got as u64 == want {
        return Ok(());
    }
    Err(format!(
        "{got} elements where {want} were counted before: what is computed twice must be the same each time, or be kept"
    ))
}

/// The value of a `Distinct` node.
pub(crate) fn distinct(
    task: &Task<'_>,
    node: usize,
    step: &Distinct,
    values: &mut Values,
) -> Result<Chunk, KernelError> {
    let mut operand = |x| Ok::<_, KernelError>(single(forced(task, values, x)?)?.clone());
    let x = operand(step.x)?;
    let positions = step.positions.map(&mut operand).transpose()?;
    let counts = step.counts.map(&mut operand).transpose()?;
    let misfit = |why: String| task.misfit(node, why);
    if x.ndim() != 1 {
        return Err(misfit(format!("shape {:?}, want one axis", x.shape())));
    }
    let numbers = |tensor: &Option<Tensor>| match tensor {
        None => Ok(None),
        Some(tensor) => match tensor.as_slice::<i64>() {
            Some(numbers) if numbers.len() == x.len() => Ok(Some(numbers.to_vec())),
            _ => Err(misfit(format!("{tensor:?} beside {} elements", x.len()))),
        },
    };
    let start = shape::extent(&step.source, task.block_index)
        .map_err(misfit)?
        .start;
    let beside = Beside {
        start: start as i64,
        positions: numbers(&positions)?,
        counts: numbers(&counts)?,
    };
    let made = with_element!(x.dtype(), T => found::<T>(&x, &beside, step.part, step.equal_nan))?;
    if step.part != DistinctPart::Len {
        let extent = shape::extent(&step.made, task.block_index).map_err(misfit)?;
        check_count(made.len(), extent.end - extent.start).map_err(misfit)?;
    }
    Ok(made.into())
}

/// What is known of the elements beside their values.
struct Beside {
    /// The first element's position.
    start: i64,
    positions: Option<Vec<i64>>,
    counts: Option<Vec<i64>>,
}

fn found<T: Keyed>(
    x: &Tensor,
    beside: &Beside,
    part: DistinctPart,
    equal_nan: bool,
) -> Result<Tensor, KernelError> {
    let elements = T::slice(x.bytes());
    let mut places: Vec<(T::Key, usize)> = elements.iter().copied().map(T::equal_key).zip(0..).collect();
    // A tie goes to the first, as in a stable sort.
    places.sort_unstable();
    let same = |a: &(T::Key, usize), b: &(T::Key, usize)| match elements[a.1].is_nan() {
        true => equal_nan && elements[b.1].is_nan(),
        false => a.0 == b.0,
    };
    let groups = || places.chunk_by(same);
    let numbers = |numbers: Vec<i64>| Tensor::from_vec(&[numbers.len()], numbers);
    match part {
        DistinctPart::Len => numbers(vec![groups().count() as i64]),
        DistinctPart::Values => {
            let values: Vec<T> = groups().map(|group| elements[group[0].1]).collect();
            Tensor::from_vec(&[values.len()], values)
        }
        DistinctPart::Positions => {
            let place = |&(_, k): &(T::Key, usize)| match &beside.positions {
                Some(positions) => positions[k],
                None => beside.start.wrapping_add(k as i64),
            };
            // NaN of several forms is in the order of the forms.
            let first = |group: &[(T::Key, usize)]| group.iter().map(place).min().unwrap_or_default();
            numbers(groups().map(first).collect())
        }
        DistinctPart::Counts => {
            let count = |&(_, k): &(T::Key, usize)| beside.counts.as_ref().map_or(1, |counts| counts[k]);
            numbers(groups().map(|group| group.iter().map(count).sum()).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_that_are_true_are_one_run() {
        assert_eq!(runs(&[true, true, false, true, false]), [(0, 2), (3, 1)]);
        assert_eq!(runs(&[false; 3]), []);
    }

    #[test]
    fn what_was_kept_of_blocks_counts_on() {
        let x = Tensor::from_vec(&[5], vec![2.0, f64::NAN, -0.0, f64::NAN, 2.0]).unwrap();
        let beside = Beside {
            start: 0,
            positions: Some(vec![9, 4, 7, 3, 1]),
            counts: Some(vec![2, 1, 1, 5, 3]),
        };
        let of = |part, equal_nan| found::<f64>(&x, &beside, part, equal_nan).unwrap();
        assert_eq!(
            of(DistinctPart::Counts, true).as_slice::<i64>().unwrap(),
            [1, 5, 6]
        );
        assert_eq!(
            of(DistinctPart::Positions, true).as_slice::<i64>().unwrap(),
            [7, 1, 3]
        );
        assert_eq!(of(DistinctPart::Len, false).as_slice::<i64>().unwrap(), [4]);
    }
}
