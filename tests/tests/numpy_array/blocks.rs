//! Users' functions on blocks.

use std::{collections::BTreeMap, sync::Arc};

use graticule_array::{
    Array, ArrayError, BlockFunction, BlockLen, BlockReduction, Blockwise, Boundary, Gufunc, MapBlocks, Over,
    apply_gufunc, apply_over_axes, blockwise, fromfunction, map_blocks, map_overlap, reduction,
    rewrite::Rewrites, unify_chunks,
};
use graticule_kernel::{BlockCall, Chunk, KernelError, Tensor};
use graticule_ops::Scalar;
use graticule_plan::DType;
use proptest::prelude::*;

use crate::{
    compare::{Near, check, result},
    compose::{Case, Made, Value, config, value},
    inputs::{Random, Values, array, chunks, shape, tensor},
    operations::check_built,
};

type Failed = Box<dyn std::error::Error + Send + Sync>;
type Function = dyn Fn(&BlockCall<'_>) -> Result<Chunk, Failed> + Send + Sync;

/// The functions that tests call, by name.
pub(crate) fn functions() -> BTreeMap<Arc<str>, Arc<Function>> {
    let list: [(&str, Arc<Function>); 15] = [
        ("copy", Arc::new(|call| Ok(call.block(0).tensor().clone().into()))),
        (
            "copies",
            Arc::new(|call| {
                let block = call.block(0).tensor();
                Ok(Chunk::new(vec![block.clone(), block.clone()])?)
            }),
        ),
        ("add", Arc::new(add)),
        ("places", Arc::new(places)),
        (
            "reshaped",
            Arc::new(|call| Ok(call.block(0).tensor().reshape(call.shape())?.into())),
        ),
        (
            "sum_axis",
            Arc::new(|call| along_axis(call, |line| vec![line.iter().sum()])),
        ),
        (
            "ends",
            Arc::new(|call| along_axis(call, |line| vec![line[0], line[line.len() - 1]])),
        ),
        (
            "line",
            Arc::new(|call| {
                let line = call.block(0).elements::<i64>()?;
                let made: Vec<i64> = line
                    .iter()
                    .scan(0, |sum, x| {
                        *sum += x;
                        Some(*sum)
                    })
                    .collect();
                Ok(Tensor::from_vec(call.shape(), made)?.into())
            }),
        ),
        (
            "ends_of_line",
            Arc::new(|call| {
                let line = call.block(0).elements::<i64>()?;
                Ok(Tensor::from_vec(call.shape(), vec![line[0], line[line.len() - 1]])?.into())
            }),
        ),
        (
            "shifted",
            Arc::new(|call| {
                let x = call.block(0).elements::<i64>()?;
                let at = |k: usize| x.get(k).copied().unwrap_or(0);
                let made = (0..x.len())
                    .map(|k| at(k.wrapping_sub(1)) * 3 + at(k + 1))
                    .collect();
                Ok(Tensor::from_vec(call.shape(), made)?.into())
            }),
        ),
        ("product", Arc::new(product)),
        (
            "outer",
            Arc::new(|call| {
                let (x, y) = (call.block(0).elements::<i64>()?, call.block(1).elements::<i64>()?);
                let made = x.iter().flat_map(|a| y.iter().map(move |b| a * b)).collect();
                Ok(Tensor::from_vec(call.shape(), made)?.into())
            }),
        ),
        (
            "extremes",
            Arc::new(|call| {
                let line = |x: &[i64]| (*x.iter().min().unwrap(), *x.iter().max().unwrap());
                let x = call.block(0);
                let len = x.shape()[x.shape().len() - 1];
                let (low, high) = x.elements::<i64>()?.chunks(len.max(1)).map(line).unzip();
                let part = |values| Tensor::from_vec(call.shape(), values);
                Ok(Chunk::new(vec![part(low)?, part(high)?])?)
            }),
        ),
        ("sums", Arc::new(|call| sums(call, None))),
        ("mean", Arc::new(|call| sums(call, Some(())))),
    ];
    list.into_iter()
        .map(|(name, function)| (name.into(), function))
        .collect()
}

/// The sum of two blocks, which broadcast.
fn add(call: &BlockCall<'_>) -> Result<Chunk, Failed> {
    let at = |block: usize, index: &[usize]| -> Result<i64, Failed> {
        let block = call.block(block);
        let lead = index.len() - block.shape().len();
        let place = block.shape().iter().zip(&index[lead..]);
        let flat = place.fold(0, |flat, (&len, &at)| flat * len + if len == 1 { 0 } else { at });
        Ok(block.elements::<i64>()?[flat])
    };
    let made = indices(call.shape()).map(|index| Ok(at(0, &index)?.wrapping_add(at(1, &index)?)));
    Ok(Tensor::from_vec(call.shape(), made.collect::<Result<Vec<i64>, Failed>>()?)?.into())
}

fn indices(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let count = shape.iter().product::<usize>();
    let shape = shape.to_vec();
    (0..count).map(move |mut flat| {
        let mut index = vec![0; shape.len()];
        for (at, &len) in index.iter_mut().zip(&shape).rev() {
            *at = flat % len;
            flat /= len;
        }
        index
    })
}

/// What each element's place is said to be: its positions in base 100, and the lengths of the axes.
fn places(call: &BlockCall<'_>) -> Result<Chunk, Failed> {
    let axes = call.place().axes();
    for axis in axes {
        assert!(axis.block < axis.block_count && axis.elements.end <= axis.len);
    }
    if let Some(block) = call.blocks().first() {
        assert_eq!(block.place(), call.place());
    }
    let lens: u64 = axes.iter().map(|axis| axis.len).sum();
    let of_index = |index: Vec<usize>| {
        let along = axes.iter().zip(index);
        along.fold(0, |sum, (axis, at)| sum * 100 + axis.elements.start + at as u64) + 1_000_000 * lens
    };
    let made: Vec<i64> = indices(call.shape())
        .map(|index| of_index(index) as i64)
        .collect();
    Ok(Tensor::from_vec(call.shape(), made)?.into())
}

/// Makes something of each line along the axis that the payload names.
fn along_axis(call: &BlockCall<'_>, make: impl Fn(&[i64]) -> Vec<i64>) -> Result<Chunk, Failed> {
    let axis = usize::from(call.payload()[0]);
    let block = call.block(0);
    let (shape, x) = (block.shape(), block.elements::<i64>()?);
    let (outer, inner): (usize, usize) = (shape[..axis].iter().product(), shape[axis + 1..].iter().product());
    let mut made = vec![0; call.shape().iter().product()];
    let len = made.len() / (outer * inner).max(1);
    for (o, i) in (0..outer).flat_map(|o| (0..inner).map(move |i| (o, i))) {
        let line: Vec<i64> = (0..shape[axis])
            .map(|k| x[(o * shape[axis] + k) * inner + i])
            .collect();
        let results = make(&line);
        (0..len).for_each(|k| made[(o * len + k) * inner + i] = results[k]);
    }
    Ok(Tensor::from_vec(call.shape(), made)?.into())
}

/// A product of matrices, piece by piece.
fn product(call: &BlockCall<'_>) -> Result<Chunk, Failed> {
    let (a, b) = (call.block(0), call.block(1));
    assert_eq!(a.piece_counts().len(), b.piece_counts().len());
    let (rows, columns) = (call.shape()[0], call.shape()[1]);
    let mut made = vec![0_i64; rows * columns];
    for (a, b) in a.pieces()?.iter().zip(b.pieces()?) {
        let (x, y) = (a.as_slice::<i64>().unwrap(), b.as_slice::<i64>().unwrap());
        let inner = a.shape()[1];
        for (row, column, k) in
            (0..rows).flat_map(|r| (0..columns).flat_map(move |c| (0..inner).map(move |k| (r, c, k))))
        {
            made[row * columns + column] += x[row * inner + k] * y[k * columns + column];
        }
    }
    Ok(Tensor::from_vec(call.shape(), made)?.into())
}

/// Sums and counts of all blocks over axes of which one element is left, or the means that they make.
fn sums(call: &BlockCall<'_>, mean: Option<()>) -> Result<Chunk, Failed> {
    let x = call.block(0);
    let mut made = [vec![0_i64; call.shape().iter().product()], vec![]];
    made[1] = made[0].clone();
    for (flat, index) in indices(x.shape()).enumerate() {
        let place = index.iter().zip(call.shape());
        let to = place.fold(0, |to, (&at, &len)| to * len + if len == 1 { 0 } else { at });
        made[0][to] += x.elements::<i64>()?[flat];
        made[1][to] += match call.blocks().get(1) {
            Some(counts) => counts.elements::<i64>()?[flat],
            None => 1,
        };
    }
    let [sums, counts] = made;
    if mean.is_some() {
        let means = sums
            .iter()
            .zip(&counts)
            .map(|(sum, count)| *sum as f64 / *count as f64);
        return Ok(Tensor::from_vec(call.shape(), means.collect::<Vec<f64>>())?.into());
    }
    let part = |values| Tensor::from_vec(call.shape(), values);
    Ok(Chunk::new(vec![part(sums)?, part(counts)?])?)
}

fn function(name: &str) -> BlockFunction {
    BlockFunction::new(name)
}

/// A step of a composition: what a function makes of an array that it leaves as it is.
pub(crate) fn called(random: &mut Random, x: &Value) -> Made {
    let (dtype, python) = (x.array.dtype(), x.python.clone());
    let array = match random.below(3) {
        0 => x.array.map_blocks(&function("copy"), &MapBlocks::new(dtype))?,
        1 => map_overlap(
            &function("copy"),
            &[&x.array],
            &vec![(1, 2); x.array.ndim()],
            &vec![Boundary::Periodic; x.array.ndim()],
            true,
            &MapBlocks::new(dtype),
        )?,
        _ => {
            let both = apply_gufunc(
                &function("copies"),
                "()->(),()",
                &[&x.array],
                &Gufunc::new([dtype; 2]),
            )?;
            both[random.below(2)].clone()
        }
    };
    value(array, python)
}

/// Integers of up to three axes, of which none is empty unless it may be.
fn integers(random: &mut Random, shapes: &[&[usize]]) -> Case {
    let mut case = Case {
        inputs: Vec::new(),
        values: Vec::new(),
    };
    for shape in shapes {
        case.input(random, DType::Int64, shape, Values::Tame);
    }
    case
}

fn some_shape(random: &mut Random, ndim: usize) -> Vec<usize> {
    (0..ndim).map(|_| 1 + random.below(6)).collect()
}

fn checked(built: Result<Array, ArrayError>, python: &str, case: &Case) -> Result<(), TestCaseError> {
    check_built(built, python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)
}

/// A slice of a result, by which only some blocks are made.
fn sliced(
    random: &mut Random,
    built: Result<Array, ArrayError>,
    python: String,
) -> (Result<Array, ArrayError>, String) {
    let Ok(array) = &built else { return (built, python) };
    if array.ndim() == 0 || random.one_in(2) {
        return (built, python);
    }
    let (index, text) = crate::compose::random_index(random, array);
    (array.slice(&index), format!("({python})[{}]", text.join(", ")))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn arrays_of_common_labels_are_cut_alike(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let shape: Vec<usize> = shape(&mut random);
        let names: String = "abcdefgh"[..shape.len()].to_owned();
        let first = tensor(&mut random, DType::Int16, &shape, Values::Tame);
        // The same axes behind one, some of them of one element.
        let fewer: Vec<usize> = shape.iter().skip(1).map(|&len| if random.one_in(4) { 1 } else { len }).collect();
        let second = tensor(&mut random, DType::Float32, &fewer, Values::Tame);
        let (x, y) = (array(&mut random, &first), array(&mut random, &second));
        let (chunks, cut) = unify_chunks(&[(&x, &names), (&y, names.get(1..).unwrap_or_default())]).unwrap();
        for (array, names) in cut.iter().zip([&names[..], names.get(1..).unwrap_or_default()]) {
            for (own, name) in array.chunks().axes().iter().zip(names.chars()) {
                prop_assert!(own.len() == 1 || own.lengths() == chunks[&name].lengths());
            }
        }
        let inputs = [("x".to_owned(), first), ("y".to_owned(), second)];
        check(&cut[0], "x", &inputs, &Near::Same).map_err(TestCaseError::fail)?;
        check(&cut[1], "y", &inputs, &Near::Same).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn map_blocks_broadcasts_its_arrays(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let ndim = random.below(4);
        let shape = some_shape(&mut random, ndim);
        let mut other = shape.clone();
        other.iter_mut().filter(|_| random.one_in(3)).for_each(|len| *len = 1);
        other.drain(..if ndim > 0 && random.one_in(3) { 1 } else { 0 });
        let case = integers(&mut random, &[&shape, &other]);
        let (x, y) = (&case.values[0], &case.values[1]);
        let built = map_blocks(&function("add"), &[&x.array, &y.array], &MapBlocks::new(DType::Int64));
        let python = format!("{} + {}", x.python, y.python);
        let (built, python) = sliced(&mut random, built, python);
        checked(built, &python, &case)?;
    }

    #[test]
    fn functions_know_where_their_blocks_lie(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let ndim = 1 + random.below(3);
        let shape = some_shape(&mut random, ndim);
        let case = integers(&mut random, &[&shape]);
        let x = &case.values[0].array;
        let options = MapBlocks::new(DType::Int64);
        let built = match random.below(2) {
            0 => map_blocks(&function("places"), &[x], &options),
            _ => {
                let lengths = x.chunks().axes().iter().map(|axis| BlockLen::Lengths(axis.lengths()));
                map_blocks(&function("places"), &[], &options.chunks(lengths.collect::<Vec<_>>()))
            }
        };
        let sum: usize = shape.iter().sum();
        let python = (0..ndim).fold("0".to_owned(), |text, axis| {
            format!("({text}) * 100 + np.indices({shape:?})[{axis}]")
        });
        let python = format!("({python}) + {sum} * 1000000");
        let (built, python) = sliced(&mut random, built, python);
        checked(built, &python, &case)?;
    }

    #[test]
    fn map_blocks_drops_adds_and_resizes_axes(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let ndim = 1 + random.below(3);
        let shape = some_shape(&mut random, ndim);
        let case = integers(&mut random, &[&shape]);
        let x = &case.values[0];
        let axis = random.below(ndim);
        let named = |name: &str| function(name).payload([axis as u8]);
        let options = MapBlocks::new(DType::Int64);
        let signed = if random.one_in(2) { axis as i64 } else { axis as i64 - ndim as i64 };
        let (built, python) = match random.below(3) {
            0 => {
                let built = x.array.map_blocks(&named("sum_axis"), &options.drop_axis([signed]));
                (built, format!("np.sum({}, axis={axis})", x.python))
            }
            1 => {
                let place = random.below(ndim + 1);
                let built = x.array.map_blocks(&function("reshaped"), &options.new_axis([place as i64]));
                (built, format!("np.expand_dims({}, {place})", x.python))
            }
            _ => {
                let mut lengths = vec![BlockLen::Same; ndim];
                lengths[axis] = BlockLen::Each(2);
                let built = x.array.map_blocks(&named("ends"), &options.chunks(lengths));
                let cuts = x.array.chunks().axes()[axis].clone();
                let places: Vec<u64> = (0..cuts.count())
                    .flat_map(|block| [cuts.extent(block).start, cuts.extent(block).end - 1])
                    .collect();
                (built, format!("np.take({}, {places:?}, axis={axis})", x.python))
            }
        };
        let (built, python) = sliced(&mut random, built, python);
        checked(built, &python, &case)?;
    }

    #[test]
    fn map_overlap_sees_neighbours(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let len = 1 + random.below(12);
        let case = integers(&mut random, &[&[len]]);
        let x = &case.values[0];
        let (boundary, mode) = *random.pick(&[
            (Boundary::Periodic, "mode='wrap'"),
            (Boundary::Reflect, "mode='symmetric'"),
            (Boundary::Nearest, "mode='edge'"),
            (Boundary::Constant(Scalar::Int64(7)), "constant_values=7"),
        ]);
        let built = map_overlap(
            &function("shifted"), &[&x.array], &[(1, 1)], &[boundary], true, &MapBlocks::new(DType::Int64),
        );
        let padded = format!("np.pad({}, 1, {mode})", x.python);
        let python = format!("{padded}[:-2] * 3 + {padded}[2:]");
        let (built, python) = sliced(&mut random, built, python);
        checked(built, &python, &case)?;
    }

    #[test]
    fn blockwise_contracts_pieces(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let [i, j, k] = [(); 3].map(|()| 1 + random.below(6));
        let case = integers(&mut random, &[&[i, j], &[j, k]]);
        let (a, b) = (&case.values[0], &case.values[1]);
        let mut options = Blockwise::new(DType::Int64);
        if random.one_in(2) {
            options = options.pieces();
        }
        let built = blockwise(&function("product"), "ik", &[(&a.array, "ij"), (&b.array, "jk")], &options);
        let python = format!("{} @ {}", a.python, b.python);
        let (built, python) = sliced(&mut random, built, python);
        checked(built, &python, &case)?;
    }

    #[test]
    fn gufuncs_loop_over_the_other_axes(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let ndim = 1 + random.below(3);
        let shape = some_shape(&mut random, ndim);
        let case = integers(&mut random, &[&shape]);
        let x = &case.values[0];
        let axis = random.below(ndim) as i64;
        let mut options = Gufunc::new([DType::Int64; 2]).allow_rechunk().axis(axis);
        if random.one_in(2) {
            options = options.vectorize();
        }
        let keepdims = random.one_in(2);
        if keepdims {
            options = options.keepdims();
        }
        let made = apply_gufunc(&function("extremes"), "(i)->(),()", &[&x.array], &options).unwrap();
        let keep = if keepdims { ", keepdims=True" } else { "" };
        for (array, name) in made.into_iter().zip(["min", "max"]) {
            let python = format!("np.{name}({}, axis={axis}{keep})", x.python);
            let (built, python) = sliced(&mut random, Ok(array), python);
            checked(built, &python, &case)?;
        }
    }

    #[test]
    fn gufuncs_broadcast_their_loops(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let loops = some_shape(&mut random, 2);
        let (m, n) = (1 + random.below(4), 1 + random.below(4));
        let first = [loops[0], loops[1], m];
        let second: Vec<usize> = match random.below(3) {
            0 => vec![n],
            1 => vec![loops[1], n],
            _ => vec![loops[0], 1, n],
        };
        let case = integers(&mut random, &[&first, &second]);
        let (x, y) = (&case.values[0], &case.values[1]);
        let options = Gufunc::new([DType::Int64]).allow_rechunk().vectorize();
        let made = apply_gufunc(&function("outer"), "(i),(j)->(i,j)", &[&x.array, &y.array], &options);
        let python = format!("{}[..., :, None] * {}[..., None, :]", x.python, y.python);
        let (built, python) = sliced(&mut random, made.map(|mut made| made.remove(0)), python);
        checked(built, &python, &case)?;
    }

    #[test]
    fn reductions_by_functions_are_trees(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let ndim = random.below(4);
        let shape = some_shape(&mut random, ndim);
        let case = integers(&mut random, &[&shape]);
        let x = &case.values[0];
        let (mut over, text) = crate::compose::over(&mut random, x, false);
        over.split_every = Some(2 + random.below(4) as u64);
        over.skipna = false;
        let functions = BlockReduction::new(function("sums"), function("mean"), DType::Float64)
            .combine(function("sums"))
            .partials([DType::Int64, DType::Int64]);
        let built = reduction(&x.array, &functions, &over);
        let python = format!("np.mean({}, {text})", x.python);
        let (built, python) = sliced(&mut random, built, python);
        checked(built, &python, &case)?;
    }

    #[test]
    fn lines_along_an_axis_are_given_one_by_one(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let ndim = 1 + random.below(3);
        let shape = some_shape(&mut random, ndim);
        let case = integers(&mut random, &[&shape]);
        let x = &case.values[0];
        let axis = random.below(ndim);
        let signed = if random.one_in(2) { axis as i64 } else { axis as i64 - ndim as i64 };
        let (name, len, python) = match random.below(3) {
            0 => ("line", vec![shape[axis] as u64], "np.cumsum"),
            1 => ("ends_of_line", vec![2], "lambda line: line[[0, -1]]"),
            _ => ("ends_of_line", vec![1, 2], "lambda line: line[None, [0, -1]]"),
        };
        let built = x.array.apply_along_axis(&function(name), signed, &len, DType::Int64);
        let python = format!("np.apply_along_axis({python}, {axis}, {})", x.python);
        let (built, python) = sliced(&mut random, built, python);
        checked(built, &python, &case)?;
    }

    #[test]
    fn functions_over_axes_go_one_after_another(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let ndim = 1 + random.below(3);
        let shape = some_shape(&mut random, ndim);
        let case = integers(&mut random, &[&shape]);
        let x = &case.values[0];
        let axes: Vec<i64> = (0..1 + random.below(2)).map(|_| random.within(-(ndim as i64), ndim as i64)).collect();
        let built = apply_over_axes(|x, axis| x.sum(&Over::axis(axis)), &x.array, axes.clone());
        let python = format!("np.apply_over_axes(np.sum, {}, {axes:?})", x.python);
        checked(built, &python, &case)?;
    }

    #[test]
    fn arrays_are_made_of_places(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let shape: Vec<u64> = (0..2).map(|_| random.len() as u64).collect();
        let cuts: Vec<_> = shape.iter().map(|&len| chunks(&mut random, len)).collect();
        let built = fromfunction(&function("add"), &shape, &cuts, DType::Int64, DType::Int64);
        let python = format!("np.fromfunction(lambda i, j: i + j, {shape:?}, dtype='int64')");
        let case = integers(&mut random, &[]);
        let (built, python) = sliced(&mut random, built, python);
        checked(built, &python, &case)?;
    }
}

fn numbers(len: u64, chunk: u64) -> Array {
    let data: Vec<i64> = (0..len as i64).collect();
    Array::from_slice(&[len], &[graticule_array::Chunks::Size(chunk)], &data).unwrap()
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let x = numbers(8, 2);
    let message = |built: Result<Array, ArrayError>| built.unwrap_err().to_string();
    let lengths = MapBlocks::new(DType::Int64).chunks([BlockLen::Lengths(vec![1, 2])]);
    assert_eq!(
        message(x.map_blocks(&function("copy"), &lengths)),
        "map_blocks by \"copy\": 2 lengths for 4 blocks along axis 0 of the result"
    );
    assert!(
        message(map_blocks(&function("copy"), &[], &MapBlocks::new(DType::Int64)))
            .contains("needs the chunks")
    );
    let gufunc = |signature: &str, options: &Gufunc| {
        message(apply_gufunc(&function("line"), signature, &[&x], options).map(|mut made| made.remove(0)))
    };
    let plain = Gufunc::new([DType::Int64]);
    assert!(gufunc("(i)->(i)", &plain).contains("has 4 chunks: rechunk it to one, or allow_rechunk"));
    assert!(gufunc("(i)->(k)", &plain.clone().allow_rechunk()).contains("say its size"));
    assert!(gufunc("(i),(j)->()", &plain).contains("1 arrays for a signature of 2"));
    assert!(gufunc("i->()", &plain).contains("no list in parentheses"));
    let label = blockwise(
        &function("copy"),
        "ij",
        &[(&x, "i")],
        &Blockwise::new(DType::Int64),
    );
    assert!(
        message(label).contains("'j' is in no array"),
        "a label from nowhere"
    );
    let functions = BlockReduction::new(function("sums"), function("mean"), DType::Float64)
        .partials([DType::Int64, DType::Int64]);
    let tree = reduction(
        &x,
        &functions,
        &Over {
            split_every: Some(2),
            ..Over::all()
        },
    );
    assert!(message(tree).contains("a function that combines them is needed"));
}

#[test]
fn a_result_of_another_shape_is_named_with_its_block() {
    let x = numbers(8, 2);
    let wrong = x
        .map_blocks(&function("copy"), &MapBlocks::new(DType::Float64))
        .unwrap();
    let failed = result(&wrong, Rewrites::All).unwrap_err();
    assert!(matches!(failed, KernelError::FunctionResult { .. }));
    assert_eq!(
        failed.to_string(),
        "function \"copy\" made int64 of shape [2] for block [0] (elements [0..2]); the operation says float64 of \
         shape [2]"
    );
    let absent = x
        .map_blocks(&function("nobody"), &MapBlocks::new(DType::Int64))
        .unwrap();
    let failed = result(&absent, Rewrites::All).unwrap_err().to_string();
    assert!(
        failed.contains("no function on blocks is called \"nobody\""),
        "{failed}"
    );
}

/// Work before and after a function is done by the same task, and blocks that nobody needs are not made.
#[test]
fn functions_are_fused_and_called_for_needed_blocks_alone() {
    use graticule_array::{Index, LowerOptions, Wanted, lower};

    let x = numbers(8, 2).add(1).unwrap();
    let made = x
        .map_blocks(&function("copy"), &MapBlocks::new(DType::Int64))
        .unwrap();
    let part = made.multiply(3).unwrap().slice(&[Index::range(4, 8)]).unwrap();
    let lowered = lower(&[(&part, Wanted::Deliver)], &LowerOptions::default()).unwrap();
    assert_eq!(lowered.plan.task_count(), 2, "{}", lowered.explain());
    let layer = &lowered.plan.layers()[0];
    assert_eq!(layer.functions, ["copy".into()]);
    assert_eq!(
        layer.scratch_bytes,
        2 * 2 * 8 + 2 * 8 + 2 * 8,
        "a copy of all, and what lies between"
    );
    let said = function("copy").scratch_bytes(1 << 20);
    let made = numbers(8, 2)
        .map_blocks(&said, &MapBlocks::new(DType::Int64))
        .unwrap();
    let lowered = lower(&[(&made, Wanted::Deliver)], &LowerOptions::default()).unwrap();
    assert!(lowered.plan.layers()[0].scratch_bytes >= 1 << 20);
}
