//! Sums of products over axes that two arrays share: stacks of matrix products.

use graticule_numerics::product;
use graticule_ops::{Contract, Contraction, Side};
use graticule_plan::DType;
use num_complex::Complex;

use crate::{
    Chunk, Element, KernelError, Tensor, TensorMut,
    element::with_number,
    elementwise::Number,
    lazy,
    movement::transpose,
    program::{Task, Values, check_ndim, single},
    tensor::{advance, strides},
};

/// The value of a `Contract` node.
pub(crate) fn node(
    task: &Task<'_>,
    node: usize,
    step: &Contract,
    values: &mut Values,
) -> Result<Chunk, KernelError> {
    for operand in [step.x, step.y] {
        lazy::force(task, values, operand.0 as usize)?;
    }
    let tensor = |x: graticule_ops::NodeId| single(values.ready(x.0 as usize).expect("just forced"));
    let (x, y) = (tensor(step.x)?, tensor(step.y)?);
    check(step, x, y).map_err(|why| task.misfit(node, why))?;
    let contraction = &step.contraction;
    let (left, right) = (
        Matrices::new(x, contraction, Side::Left)?,
        Matrices::new(y, contraction, Side::Right)?,
    );
    let of =
        |tensor: &Tensor, axes: &[usize]| axes.iter().map(|&axis| tensor.shape()[axis]).collect::<Vec<_>>();
    let batch = of(x, &contraction.batch_of(Side::Left));
    let mut shape = batch.clone();
    shape.extend(of(x, &contraction.free_of(Side::Left, x.ndim())));
    shape.extend(of(y, &contraction.free_of(Side::Right, y.ndim())));
    let ndim = shape.len().saturating_add(contraction.parts);
    check_ndim(ndim).map_err(|why| task.misfit(node, why))?;
    shape.resize(ndim, 1);
    if x.dtype().is_time() {
        return Err(task.misfit(node, format!("a product of {}", x.dtype())));
    }
    let mut out = TensorMut::zeros(x.dtype(), &shape)?;
    let sizes = Sizes {
        m: left.free,
        k: left.summed,
        n: right.free,
    };
    if [sizes.m, sizes.k, sizes.n].contains(&0) || batch.contains(&0) {
        return Ok(out.freeze().into());
    }
    match x.dtype() {
        DType::Bool => multiply::<bool>(&left, &right, &batch, sizes, &mut out),
        DType::Complex64 => multiply::<Complex<f32>>(&left, &right, &batch, sizes, &mut out),
        DType::Complex128 => multiply::<Complex<f64>>(&left, &right, &batch, sizes, &mut out),
        dtype => {
            with_number!(dtype, T => multiply::<T>(&left, &right, &batch, sizes, &mut out), unreachable!("looked at above"))
        }
    }
    Ok(out.freeze().into())
}

/// Checks axes and operands; a sentence if they do not fit.
fn check(step: &Contract, x: &Tensor, y: &Tensor) -> Result<(), String> {
    let Contraction { batch, summed, .. } = &step.contraction;
    if x.dtype() != y.dtype() {
        return Err(format!("operands are {} and {}", x.dtype(), y.dtype()));
    }
    if step.ndims != (x.ndim(), y.ndim()) {
        return Err(format!(
            "operands have {} and {} axes, want {:?}",
            x.ndim(),
            y.ndim(),
            step.ndims
        ));
    }
    let pairs = || batch.iter().chain(summed);
    let is_repeated = |axes: Vec<usize>| (1..axes.len()).any(|i| axes[..i].contains(&axes[i]));
    if is_repeated(pairs().map(|pair| pair.0).collect()) || is_repeated(pairs().map(|pair| pair.1).collect())
    {
        return Err("an axis is named twice".into());
    }
    let differs = |&&(a, b): &&(usize, usize)| x.shape().get(a) != y.shape().get(b) || a >= x.ndim();
    match pairs().find(differs) {
        Some((a, b)) => Err(format!(
            "axis {a} of shape {:?} with axis {b} of shape {:?}",
            x.shape(),
            y.shape()
        )),
        None => Ok(()),
    }
}

/// An operand as a stack of matrices in memory.
struct Matrices {
    tensor: Tensor,
    /// Elements along all free, and along all summed axes.
    free: usize,
    summed: usize,
    /// From one to the next along free and summed axes.
    free_stride: usize,
    summed_stride: usize,
    /// From one to the next along each batch axis.
    batch_strides: Vec<usize>,
}

impl Matrices {
    fn new(x: &Tensor, contraction: &Contraction, side: Side) -> Result<Self, KernelError> {
        let (mut batch, mut summed) = (contraction.batch_of(side), contraction.summed_of(side));
        let mut free = contraction.free_of(side, x.ndim());
        let mut tensor = x.clone();
        if contraction.must_transpose(side, x.ndim()) {
            let order = [&batch[..], &free, &summed].concat();
            tensor = transpose(x, &order)?;
            let (from, to) = (batch.len(), batch.len() + free.len());
            (batch, free, summed) = (
                (0..from).collect(),
                (from..to).collect(),
                (to..order.len()).collect(),
            );
        }
        let own = strides(tensor.shape());
        let count = |axes: &[usize]| axes.iter().map(|&axis| tensor.shape()[axis]).product();
        // A run of neighbours is walked in the steps of its last axis.
        let stride = |axes: &[usize]| axes.last().map_or(1, |&axis| own[axis]);
        Ok(Self {
            free: count(&free),
            summed: count(&summed),
            free_stride: stride(&free),
            summed_stride: stride(&summed),
            batch_strides: batch.iter().map(|&axis| own[axis]).collect(),
            tensor,
        })
    }

    fn matrix<T: Element>(&self, index: &[usize]) -> Matrix<'_, T> {
        let start: usize = index
            .iter()
            .zip(&self.batch_strides)
            .map(|(i, stride)| i * stride)
            .sum();
        Matrix {
            data: &T::slice(self.tensor.bytes())[start..],
            free: self.free_stride,
            summed: self.summed_stride,
        }
    }
}

/// One matrix: its elements, and the steps along its free and its summed axis.
#[derive(Clone, Copy)]
struct Matrix<'a, T> {
    data: &'a [T],
    free: usize,
    summed: usize,
}

/// Rows, summed elements and columns.
#[derive(Clone, Copy)]
struct Sizes {
    m: usize,
    k: usize,
    n: usize,
}

/// An element type whose matrices can be multiplied.
trait Product: Element {
    /// Writes `x` times `y` over `out`, which holds zeros in C order.
    fn product(x: Matrix<'_, Self>, y: Matrix<'_, Self>, sizes: Sizes, out: &mut [Self]);
}

fn multiply<T: Product>(
    left: &Matrices,
    right: &Matrices,
    batch: &[usize],
    sizes: Sizes,
    out: &mut TensorMut,
) {
    let mut index = vec![0; batch.len()];
    for out in out.slice_mut::<T>().chunks_exact_mut(sizes.m * sizes.n) {
        T::product(left.matrix(&index), right.matrix(&index), sizes, out);
        advance(&mut index, batch);
    }
}

/// Row by row: each row of the result gathers the rows of `y`.
fn by_rows<T: Copy>(
    x: Matrix<'_, T>,
    y: Matrix<'_, T>,
    Sizes { m, k, n }: Sizes,
    out: &mut [T],
    add: impl Fn(T, T, T) -> T,
) {
    for (i, row) in out.chunks_exact_mut(n).enumerate().take(m) {
        for p in 0..k {
            let a = x.data[i * x.free + p * x.summed];
            if y.free == 1 {
                let elements = &y.data[p * y.summed..][..n];
                row.iter_mut()
                    .zip(elements)
                    .for_each(|(sum, &b)| *sum = add(*sum, a, b));
            } else {
                let at = |j: usize| y.data[j * y.free + p * y.summed];
                row.iter_mut()
                    .enumerate()
                    .for_each(|(j, sum)| *sum = add(*sum, a, at(j)));
            }
        }
    }
}

impl Product for bool {
    fn product(x: Matrix<'_, bool>, y: Matrix<'_, bool>, sizes: Sizes, out: &mut [bool]) {
        by_rows(x, y, sizes, out, |sum, a, b| sum | (a & b));
    }
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Product for $type {
            fn product(x: Matrix<'_, $type>, y: Matrix<'_, $type>, sizes: Sizes, out: &mut [$type]) {
                by_rows(x, y, sizes, out, |sum, a, b| sum.add(a.multiply(b)));
            }
        }
    )*};
}

integers!(i8, i16, i32, i64, u8, u16, u32, u64);

/// Sums that run side by side in a product of two vectors.
const LANES: usize = 8;

macro_rules! floats {
    ($($type:ty),*) => {$(
        impl Product for $type {
            fn product(x: Matrix<'_, $type>, y: Matrix<'_, $type>, sizes: Sizes, out: &mut [$type]) {
                let Sizes { m, k, n } = sizes;
                if (m == 1 || n == 1) && x.summed == 1 && y.summed == 1 {
                    for (i, row) in out.chunks_exact_mut(n).enumerate() {
                        for (j, place) in row.iter_mut().enumerate() {
                            let (a, b) = (&x.data[i * x.free..][..k], &y.data[j * y.free..][..k]);
                            let mut sums = [0.0; LANES];
                            let (heads, tails) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
                            let rest: $type = heads.remainder().iter().zip(tails.remainder()).map(|(a, b)| a * b).sum();
                            for (a, b) in heads.zip(tails) {
                                sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
                            }
                            *place = sums.iter().sum::<$type>() + rest;
                        }
                    }
                    return;
                }
                multiply_by(x, y, sizes, out);
            }
        }
    )*};
}

floats!(f32, f64);

macro_rules! complex {
    ($($real:ty),*) => {$(
        impl Product for Complex<$real> {
            fn product(x: Matrix<'_, Self>, y: Matrix<'_, Self>, sizes: Sizes, out: &mut [Self]) {
                multiply_by(x, y, sizes, out);
            }
        }
    )*};
}

complex!(f32, f64);

/// The product as numerics make it.
fn multiply_by<T: product::Multiply>(
    x: Matrix<'_, T>,
    y: Matrix<'_, T>,
    Sizes { m, k, n }: Sizes,
    out: &mut [T],
) {
    fn operand<T>(Matrix { data, free, summed }: Matrix<'_, T>) -> product::Operand<'_, T> {
        product::Operand { data, free, summed }
    }
    T::multiply(operand(x), operand(y), [m, k, n], out);
}
