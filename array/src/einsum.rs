//! Sums of products as subscripts say them.

use std::collections::BTreeMap;

use graticule_plan::DType;

use crate::{
    Array, ArrayError,
    contraction_order::{Terms, Together},
    operand::promote_all,
    products::{check_summed, contract, sum},
    where_,
};

/// Names an axis in a product: axes of one label run along together. Those of an ellipsis stand above all letters.
pub(crate) type Label = u32;

/// The label of an ellipsis' last axis.
pub(crate) const ELLIPSIS: Label = 1 << 21;
/// An array whose axes have labels, each another one.
#[derive(Clone)]
pub(crate) struct Labelled {
    pub(crate) array: Array,
    pub(crate) labels: Vec<Label>,
}

/// Sums products of any number of arrays as NumPy's `einsum` does: each letter of a term names an axis of its array, and
/// axes that the result does not name are summed over.
///
/// Terms may have an ellipsis, and a letter twice for a diagonal. Arrays are taken together two at a time, in the order with the fewest
/// products of elements, and from left to right where that is as good; so sums of floats may differ in their last bits from those
/// of another order.
///
/// ```
/// use graticule_array::{Array, Chunks, einsum};
/// use graticule_plan::DType;
///
/// let weights = Array::ones(&[3, 4], &[Chunks::Whole, Chunks::Size(2)], DType::Float32)?;
/// let stack = Array::ones(&[4, 50, 60], &[Chunks::Size(2), Chunks::Size(10), Chunks::Whole], DType::Float32)?;
/// assert_eq!(einsum("kt,tyx->kyx", &[weights, stack])?.shape(), [3, 50, 60]);
/// # Ok::<(), graticule_array::ArrayError>(())
/// ```
///
/// # Errors
/// [`ArrayError::Einsum`] for subscripts that do not fit the arrays, [`ArrayError::Summed`] for lengths that differ.
pub fn einsum(subscripts: &str, arrays: &[Array]) -> Result<Array, ArrayError> {
    let failed = |why: String| ArrayError::Einsum {
        subscripts: subscripts.into(),
        why,
    };
    if promote_all(arrays.iter().map(Array::dtype).collect())? == Some(DType::Float16) {
        // Rounded once: a sum on the way may be larger than any float16, though the result is not.
        let wide: Result<Vec<Array>, ArrayError> = arrays.iter().map(|x| x.astype(DType::Float32)).collect();
        return einsum(subscripts, &wide?)?.astype(DType::Float16);
    }
    let text: String = subscripts.chars().filter(|c| !c.is_whitespace()).collect();
    let (terms, result) = match text.split_once("->") {
        Some((terms, result)) => (terms, Some(result)),
        None => (&text[..], None),
    };
    let terms: Vec<&str> = terms.split(',').collect();
    if terms.len() != arrays.len() {
        return Err(failed(format!(
            "{} terms for {} arrays",
            terms.len(),
            arrays.len()
        )));
    }
    let mut operands = Vec::new();
    for (term, array) in terms.iter().zip(arrays) {
        let dots = |letters, has_dots| match array.ndim().checked_sub(letters) {
            Some(rest) if has_dots || rest == 0 => Ok(rest),
            _ => Err(format!(
                "{term:?} does not name the {} axes of its array",
                array.ndim()
            )),
        };
        let labels = labels(term, dots).map_err(failed)?;
        operands.push((array.clone(), labels));
    }
    let every: Vec<Label> = operands
        .iter()
        .flat_map(|(_, labels)| labels.iter().copied())
        .collect();
    let dots = every
        .iter()
        .filter(|&&label| label >= ELLIPSIS)
        .map(|label| (label - ELLIPSIS) as usize + 1);
    let dots = dots.max().unwrap_or(0);
    let wanted = match result {
        Some(term) => labels(term, |_, has_dots| Ok(if has_dots { dots } else { 0 })).map_err(failed)?,
        None => implicit(&every, dots),
    };
    if let Some(unknown) = wanted.iter().find(|label| !every.contains(label)) {
        return Err(failed(format!("{} is in no term", shown(*unknown))));
    }
    if (1..wanted.len()).any(|place| wanted[..place].contains(&wanted[place])) {
        return Err(failed("the result names an axis twice".into()));
    }
    if dots > 0 && !wanted.contains(&ELLIPSIS) {
        return Err(failed("the result leaves out the axes of the ellipsis".into()));
    }
    let diagonals = operands
        .into_iter()
        .map(|(array, labels)| diagonal(array, labels));
    combine("einsum", diagonals.collect::<Result<_, _>>()?, &wanted)
}

fn shown(label: Label) -> String {
    char::from_u32(label)
        .filter(|_| label < ELLIPSIS)
        .map_or("...".into(), String::from)
}

/// The labels of a term; an ellipsis stands for as many axes as `dots` says beside so many letters.
fn labels(term: &str, dots: impl FnOnce(usize, bool) -> Result<usize, String>) -> Result<Vec<Label>, String> {
    let (before, after, has_dots) = match term.split_once("...") {
        Some((before, after)) => (before, after, true),
        None => (term, "", false),
    };
    if let Some(other) = before
        .chars()
        .chain(after.chars())
        .find(|c| !c.is_ascii_alphabetic())
    {
        return Err(format!("{other:?} is no letter"));
    }
    let axes = dots(before.len() + after.len(), has_dots)?;
    let letters = |part: &str| part.chars().map(Label::from).collect::<Vec<_>>();
    let dots = (0..axes as Label).rev().map(|place| ELLIPSIS + place);
    Ok([letters(before), dots.collect(), letters(after)].concat())
}

/// The result's labels where nobody says them: those of the ellipsis, then the letters that occur once, sorted.
fn implicit(every: &[Label], dots: usize) -> Vec<Label> {
    let mut letters: Vec<Label> = every.iter().copied().filter(|&label| label < ELLIPSIS).collect();
    letters.sort_unstable();
    let single = |label: &Label| letters.iter().filter(|other| *other == label).count() == 1;
    let single: Vec<Label> = letters.iter().copied().filter(single).collect();
    let dots = (0..dots as Label).rev().map(|place| ELLIPSIS + place);
    dots.chain(single).collect()
}

/// Takes the elements where axes of one label have the same position.
fn diagonal(mut array: Array, mut labels: Vec<Label>) -> Result<Labelled, ArrayError> {
    while let Some(second) = (1..labels.len()).find(|&axis| labels[..axis].contains(&labels[axis])) {
        let first = labels
            .iter()
            .position(|label| *label == labels[second])
            .expect("just found");
        check_summed("einsum", array.shape()[first], array.shape()[second])?;
        let is_same = array.positions(first)?.equal(array.positions(second)?)?;
        // All others are 0, so that the sum is the one element.
        array = sum(&where_(is_same, &array, false)?, &[second])?;
        labels.remove(second);
    }
    Ok(Labelled { array, labels })
}

/// The sum of the products of all operands over the axes that are not wanted, with the wanted ones in their order.
pub(crate) fn combine(
    operation: &'static str,
    mut operands: Vec<Labelled>,
    wanted: &[Label],
) -> Result<Array, ArrayError> {
    for x in &operands {
        x.array.check_number(operation)?;
    }
    let dtypes = operands.iter().map(|x| x.array.dtype()).collect();
    let dtype = promote_all(dtypes)?.ok_or(ArrayError::NoArrays { operation })?;
    drop_repeated(operation, &mut operands)?;
    for x in &mut operands {
        x.array = x.array.astype(dtype)?;
    }
    let labels: Vec<Vec<Label>> = operands.iter().map(|x| x.labels.clone()).collect();
    let shapes = operands
        .iter()
        .map(|x| x.labels.iter().copied().zip(x.array.shape()));
    let terms = Terms {
        labels: labels.iter().map(Vec::as_slice).collect(),
        lens: &shapes.flatten().collect(),
        wanted,
    };
    let product = product(&terms.order(), &operands, wanted)?;
    let product = sum_but(product, |label| wanted.contains(label))?;
    let order = wanted
        .iter()
        .map(|label| product.labels.iter().position(|other| other == label));
    let order: Option<Vec<i64>> = order.map(|place| place.map(|place| place as i64)).collect();
    product
        .array
        .permute_dims(&order.expect("each wanted axis has an operand"))
}

/// The product of some operands, summed over the labels that neither the others nor the result have.
fn product(order: &Together, operands: &[Labelled], wanted: &[Label]) -> Result<Labelled, ArrayError> {
    let (first, second) = match order {
        Together::One(array) => return Ok(operands[*array].clone()),
        Together::Two(first, second) => (first, second),
    };
    let members = order.members();
    let others = operands.iter().enumerate();
    let others = others.filter(|(array, _)| !members.contains(array));
    let others = others.flat_map(|(_, x)| x.labels.iter());
    let needed: Vec<Label> = wanted.iter().chain(others).copied().collect();
    pair(
        product(first, operands, wanted)?,
        product(second, operands, wanted)?,
        &needed,
    )
}

/// Drops axes of length 1 that are longer elsewhere, and checks that the others agree.
fn drop_repeated(operation: &'static str, operands: &mut [Labelled]) -> Result<(), ArrayError> {
    let mut lens: BTreeMap<Label, u64> = BTreeMap::new();
    for x in operands.iter() {
        for (label, len) in x.labels.iter().zip(x.array.shape()) {
            let known = lens.entry(*label).or_insert(len);
            match (*known, len) {
                (a, b) if a == b || b == 1 => {}
                (1, longer) => *known = longer,
                (first, second) => {
                    return Err(ArrayError::Summed {
                        operation,
                        first,
                        second,
                    });
                }
            }
        }
    }
    for x in operands {
        let shape = x.array.shape();
        let is_repeated = |axis: &usize| shape[*axis] == 1 && lens[&x.labels[*axis]] != 1;
        let repeated: Vec<usize> = (0..shape.len()).filter(is_repeated).collect();
        for axis in repeated.into_iter().rev() {
            x.array = x.array.squeeze_axis(axis);
            x.labels.remove(axis);
        }
    }
    Ok(())
}

/// The product of two, summed over the labels that are not needed.
fn pair(x: Labelled, y: Labelled, needed: &[Label]) -> Result<Labelled, ArrayError> {
    let (in_x, in_y) = (x.labels.clone(), y.labels.clone());
    let x = sum_but(x, |label| needed.contains(label) || in_y.contains(label))?;
    let y = sum_but(y, |label| needed.contains(label) || in_x.contains(label))?;
    let shared = x.labels.iter().enumerate().filter_map(|(axis, label)| {
        let other = y.labels.iter().position(|other| other == label)?;
        Some((axis, other))
    });
    let (batch, summed): (Vec<_>, Vec<_>) = shared.partition(|&(axis, _)| needed.contains(&x.labels[axis]));
    let free = |own: &Labelled, other: &Labelled| {
        own.labels
            .iter()
            .copied()
            .filter(|label| !other.labels.contains(label))
            .collect::<Vec<_>>()
    };
    let together = batch.iter().map(|&(axis, _)| x.labels[axis]).collect();
    let labels = [together, free(&x, &y), free(&y, &x)].concat();
    let array = contract(&x.array, &y.array, batch, summed)?;
    Ok(Labelled { array, labels })
}

/// Sums over the axes whose label is not kept.
fn sum_but(x: Labelled, is_kept: impl Fn(&Label) -> bool) -> Result<Labelled, ArrayError> {
    let (kept, summed): (Vec<usize>, Vec<usize>) =
        (0..x.labels.len()).partition(|&axis| is_kept(&x.labels[axis]));
    Ok(Labelled {
        array: sum(&x.array, &summed)?,
        labels: kept.into_iter().map(|axis| x.labels[axis]).collect(),
    })
}
