//! Factors of matrices and what is made of them, on stacks in random chunks.
//!
//! Factors are unique only up to signs, so products of them are compared, within a part of the norms that went in.

use graticule_array::{Array, ArrayError, Axes, Chunks, NormOrder, Over, rewrite::Rewrites};
use graticule_kernel::{KernelError, MatrixProblem, Tensor};
use graticule_plan::DType;
use graticule_tests::numpy::Numpy;
use proptest::prelude::*;

use crate::{
    compare::{Near, check, result, results},
    compose::config,
    inputs::{Random, Values, array, tensor},
    operations::check_built,
};

/// Inputs with their names, and the arrays made of them, cut at random.
struct Stacks {
    inputs: Vec<(String, Tensor)>,
    arrays: Vec<Array>,
}

impl Stacks {
    fn new() -> Self {
        Self {
            inputs: Vec::new(),
            arrays: Vec::new(),
        }
    }

    /// Adds what NumPy makes of whole numbers `x` of the given dtype and shape.
    fn add(&mut self, random: &mut Random, dtype: DType, shape: &[usize], python: &str) {
        let whole = tensor(random, dtype, shape, Values::Tame);
        let made = Numpy::shared().eval(python, &[("x", &whole)]).unwrap();
        self.arrays.push(array(random, &made));
        self.inputs.push((format!("a{}", self.inputs.len()), made));
    }

    fn check(
        &self,
        built: Result<Array, ArrayError>,
        python: &str,
        scale: &str,
    ) -> Result<(), TestCaseError> {
        let part = match built.as_ref().map(Array::dtype) {
            Ok(DType::Float32 | DType::Complex64) => 2e-4,
            _ => 1e-11,
        };
        let near = Near::Part(part, format!("np.asarray({scale})"));
        check_built(built, &format!("np.asarray({python})"), &self.inputs, &near).map_err(TestCaseError::fail)
    }

    fn same(&self, built: Result<Array, ArrayError>, python: &str) -> Result<(), TestCaseError> {
        check_built(built, &format!("np.asarray({python})"), &self.inputs, &Near::Same)
            .map_err(TestCaseError::fail)
    }
}

/// The norm of each matrix, and 1, in the shape of the matrices.
const NORMS: &str =
    "1 + np.linalg.norm(a0.astype(complex), axis=(-2, -1), keepdims=True) + np.zeros(a0.shape)";

fn batch(random: &mut Random) -> Vec<usize> {
    (0..random.below(3)).map(|_| random.len().min(4)).collect()
}

/// An integer now and then, else a float.
fn dtype(random: &mut Random) -> DType {
    match random.below(5) {
        0 => *random.pick(&[DType::Bool, DType::Int16, DType::UInt8, DType::Int64]),
        _ => inexact(random),
    }
}

fn inexact(random: &mut Random) -> DType {
    match random.below(3) {
        0 => *random.pick(&[DType::Complex64, DType::Complex128]),
        _ => *random.pick(&[DType::Float32, DType::Float64]),
    }
}

/// Matrices of one stack: whole numbers, at times of a low rank or of extreme size.
fn matrices(random: &mut Random, rows: usize, columns: usize) -> Stacks {
    let (mut stacks, dtype) = (Stacks::new(), dtype(random));
    let shape = [batch(random), vec![rows, columns]].concat();
    let python = match random.below(6) {
        0 => "np.sign(x) if x.dtype != bool else x",
        1 => "x * 0",
        2 if dtype.is_inexact() => "(x - 50) / 7 * np.asarray(1e-25, x.dtype)",
        3 if dtype.is_inexact() => "(x - 50) / 7 * np.asarray(1e25, x.dtype)",
        4 | 5 if dtype.is_inexact() => "(x - 50) / 7",
        _ => "x",
    };
    stacks.add(random, dtype, &shape, python);
    stacks
}

/// Square matrices far from singular.
fn regular(random: &mut Random, dtype: DType, len: usize) -> Stacks {
    let mut stacks = Stacks::new();
    let shape = [batch(random), vec![len, len]].concat();
    let python =
        "((x.astype(np.result_type(x, float)) - 50) / 10 + 60 * np.eye(x.shape[-1])[::-1]).astype(x.dtype)";
    stacks.add(random, dtype, &shape, python);
    stacks
}

/// The matrices transposed and conjugated.
fn columns(x: &Array) -> Array {
    let turned = x.matrix_transpose().unwrap();
    match x.dtype().is_complex() {
        true => turned.conjugate().unwrap(),
        false => turned,
    }
}

fn identity_of(len: usize) -> String {
    format!("np.broadcast_to(np.eye({len}), a0.shape[:-2] + ({len}, {len})).astype(np.linalg.qr(a0).Q.dtype)")
}

/// Ones in the shape of square matrices of so many rows.
fn ones_of(len: usize) -> String {
    format!("np.ones(a0.shape[:-2] + ({len}, {len}))")
}

/// A vector for each matrix to be multiplied by.
fn rows_times(x: &Array, factors: &Array) -> Result<Array, ArrayError> {
    x.multiply(&factors.expand_dims(-2)?)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn orthonormal_columns_times_a_triangle_give_the_matrix(seed in any::<u64>(), complete in any::<bool>()) {
        let mut random = Random::new(seed);
        let (rows, across) = (random.len(), random.len());
        let stacks = matrices(&mut random, rows, across);
        let (q, r) = stacks.arrays[0].qr(complete).unwrap();
        let inner = if complete { rows } else { rows.min(across) };
        stacks.check(q.matmul(&r), "a0.astype(np.linalg.qr(a0).Q.dtype)", NORMS)?;
        stacks.check(columns(&q).matmul(&q), &identity_of(inner), &ones_of(inner))?;
        let mode = if complete { "complete" } else { "reduced" };
        stacks.same(r.tril(-1), &format!("np.zeros_like(np.linalg.qr(a0, mode='{mode}').R)"))?;
    }

    #[test]
    fn singular_values_and_vectors_give_the_matrix(seed in any::<u64>(), full_matrices in any::<bool>()) {
        let mut random = Random::new(seed);
        let (rows, across) = (random.len(), random.len());
        let stacks = matrices(&mut random, rows, across);
        let x = &stacks.arrays[0];
        let (u, values, vh) = x.svd(full_matrices).unwrap();
        let short = rows.min(across) as u64;
        let (left, right) = (u.shape()[u.ndim() - 1] as usize, vh.shape()[vh.ndim() - 2] as usize);
        prop_assert_eq!((left, right), if full_matrices { (rows, across) } else { (short as usize, short as usize) });
        stacks.check(columns(&u).matmul(&u), &identity_of(left), &ones_of(left))?;
        stacks.check(vh.matmul(&columns(&vh)), &identity_of(right), &ones_of(right))?;
        let scale = "np.linalg.svdvals(a0.astype(complex)).max(-1, keepdims=True, initial=0) + np.zeros(np.linalg.svdvals(a0).shape)";
        stacks.check(Ok(values.clone()), "np.linalg.svdvals(a0)", scale)?;
        stacks.check(x.svdvals(), "np.linalg.svdvals(a0)", scale)?;
        let (first, last) = (u.ndim() - 1, vh.ndim() - 2);
        let thin = rows_times(&u.take(&(0..short as i64).collect::<Vec<_>>(), first as i64).unwrap(), &values).unwrap();
        let made = thin.matmul(&vh.take(&(0..short as i64).collect::<Vec<_>>(), last as i64).unwrap());
        stacks.check(made, "a0.astype(np.linalg.qr(a0).Q.dtype)", NORMS)?;
    }

    #[test]
    fn eigenvalues_and_vectors_give_the_lower_triangle_mirrored(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let len = random.len();
        let stacks = matrices(&mut random, len, len);
        let x = &stacks.arrays[0];
        let (values, vectors) = x.eigh().unwrap();
        stacks.check(columns(&vectors).matmul(&vectors), &identity_of(len), &ones_of(len))?;
        let scale = "1e-30 + np.abs(np.linalg.eigvalsh(a0.astype(complex))).max(-1, keepdims=True, initial=0) + np.zeros(a0.shape[:-1])";
        stacks.check(Ok(values.clone()), "np.linalg.eigvalsh(a0)", scale)?;
        stacks.check(x.eigvalsh(), "np.linalg.eigvalsh(a0)", scale)?;
        let made = rows_times(&vectors, &values).unwrap().matmul(&columns(&vectors));
        let mirrored = "(lambda x: np.tril(x, -1) + np.swapaxes(np.tril(x, -1), -1, -2).conj() + np.tril(np.triu(x)).real)(a0.astype(np.linalg.qr(a0).Q.dtype))";
        stacks.check(made, mirrored, NORMS)?;
    }

    #[test]
    fn triangles_times_themselves_give_the_matrix(seed in any::<u64>(), upper in any::<bool>()) {
        let mut random = Random::new(seed);
        let (len, dtype) = (random.len(), inexact(&mut random));
        let mut stacks = Stacks::new();
        let shape = [batch(&mut random), vec![len, len]].concat();
        stacks.add(&mut random, dtype, &shape, "(lambda y: y @ np.swapaxes(y, -1, -2).conj() + np.eye(y.shape[-1]))((x - 50) / 20).astype(x.dtype)");
        let made = stacks.arrays[0].cholesky(upper).unwrap();
        let text = if upper { "True" } else { "False" };
        stacks.check(Ok(made.clone()), &format!("np.linalg.cholesky(a0, upper={text})"), NORMS)?;
        let product = if upper { columns(&made).matmul(&made) } else { made.matmul(&columns(&made)) };
        stacks.check(product, "a0", NORMS)?;
    }

    #[test]
    fn determinants_are_numpys(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let len = random.len();
        let any = matrices(&mut random, len, len);
        let hadamard = "np.prod(np.linalg.norm(a0.astype(complex), axis=-1), axis=-1)";
        any.check(any.arrays[0].det(), "np.linalg.det(a0)", hadamard)?;
        let dtype = inexact(&mut random);
        let regular = regular(&mut random, dtype, len);
        let (sign, logarithm) = regular.arrays[0].slogdet().unwrap();
        regular.check(Ok(sign), "np.linalg.slogdet(a0)[0]", "np.abs(np.linalg.slogdet(a0)[0])")?;
        regular.check(Ok(logarithm), "np.linalg.slogdet(a0)[1]", "10.0 + np.abs(np.linalg.slogdet(a0)[1])")?;
    }

    #[test]
    fn equations_are_solved(seed in any::<u64>(), is_vector in any::<bool>(), lower in any::<bool>()) {
        let mut random = Random::new(seed);
        let (len, dtype, other) = (random.len(), inexact(&mut random), dtype(&mut random));
        let mut stacks = regular(&mut random, dtype, len);
        let own = stacks.inputs[0].1.shape().to_vec();
        let mut shape = own[..own.len() - 2].to_vec();
        shape.iter_mut().filter(|_| random.one_in(3)).for_each(|place| *place = 1);
        shape.drain(..random.below(shape.len() + 1));
        shape.extend([len, random.len()]);
        let shape = if is_vector { vec![len] } else { shape };
        stacks.add(&mut random, other, &shape, "x");
        let (x, b) = (&stacks.arrays[0], &stacks.arrays[1]);
        let scale = |python: &str| format!("1 + np.max(np.abs({python}), initial=0) + np.zeros(np.shape({python}))");
        let solved = "np.linalg.solve(a0, a1)";
        stacks.check(x.solve(b), solved, &scale(solved))?;
        let inverse = "np.linalg.inv(a0)";
        stacks.check(x.inv(), inverse, &scale(inverse))?;
        // With a diagonal that is far from 0.
        let flipped = x.flip(-1).unwrap();
        let triangle = if lower { "tril" } else { "triu" };
        let solved = format!("np.linalg.solve(np.{triangle}(a0[..., ::-1]), a1)");
        stacks.check(flipped.solve_triangular(b, lower), &solved, &scale(&solved))?;
    }

    #[test]
    fn pseudo_inverses_and_ranks_leave_out_what_is_small(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let (rows, across, rank) = (random.len(), random.len(), random.below(3));
        let mut stacks = Stacks::new();
        let shape = [batch(&mut random), vec![rows, across]].concat();
        let low = format!(
            "(lambda y, z: y[..., :{rank}] @ (np.arange({rank} * z).reshape({rank}, z) ** 2 % 7 + np.eye({rank}, z))[:z])(x - 50, x.shape[-1])"
        );
        let dtype = DType::Float64;
        stacks.add(&mut random, dtype, &shape, &low);
        let x = &stacks.arrays[0];
        stacks.same(x.matrix_rank(Some(1e-8)), "np.linalg.matrix_rank(a0, rtol=1e-8)")?;
        let python = "np.linalg.pinv(a0, rtol=1e-8)";
        let scale = format!("1e3 * (1 + np.max(np.abs({python}), initial=0)) + np.zeros(np.shape({python}))");
        stacks.check(x.pinv(Some(1e-8)), python, &scale)?;
        let regular = regular(&mut random, DType::Float32, rows);
        regular.same(regular.arrays[0].matrix_rank(None), "np.linalg.matrix_rank(a0)")?;
        let python = "np.linalg.pinv(a0, rtol=None)";
        regular.check(regular.arrays[0].pinv(None), python, &format!("np.ones(np.shape({python}))"))?;
    }

    #[test]
    fn least_squares_are_numpys(seed in any::<u64>(), is_vector in any::<bool>()) {
        let mut random = Random::new(seed);
        let (rows, across, dtype) = (random.len().max(1), random.len().max(1), inexact(&mut random));
        let mut stacks = Stacks::new();
        stacks.add(&mut random, dtype, &[rows, across], "((x - 50) / 50 + 4 * np.eye(*x.shape)).astype(x.dtype)");
        let shape = if is_vector { vec![rows] } else { vec![rows, random.len().max(1)] };
        stacks.add(&mut random, dtype, &shape, "x / 100");
        let made = stacks.arrays[0].lstsq(&stacks.arrays[1], None).unwrap();
        let ones = |python: &str| format!("10 * np.ones(np.shape({python}))");
        let python = "np.linalg.lstsq(a0, a1)[0]";
        stacks.check(Ok(made.solution), python, &ones(python))?;
        stacks.same(Ok(made.rank), "np.int64(np.linalg.lstsq(a0, a1)[2])")?;
        let python = "np.linalg.lstsq(a0, a1)[3]";
        stacks.check(Ok(made.singular_values), python, &ones(python))?;
        let keepdims = if is_vector { "True" } else { "False" };
        let python = format!("(np.abs(a1 - a0 @ np.linalg.lstsq(a0, a1)[0]) ** 2).sum(0, keepdims={keepdims})");
        stacks.check(Ok(made.residuals), &python, &ones(&python))?;
    }

    #[test]
    fn powers_are_numpys(seed in any::<u64>(), power in -3..6i64) {
        let mut random = Random::new(seed);
        let (len, dtype) = (random.len(), inexact(&mut random));
        let regular = regular(&mut random, dtype, len);
        let python = format!("np.linalg.matrix_power(a0, {power})");
        let scale = format!("np.max(np.abs({python}), initial=0) + np.zeros(np.shape({python}))");
        regular.check(regular.arrays[0].matrix_power(power), &python, &scale)?;
        let (mut whole, power, shape) = (Stacks::new(), power.abs(), [batch(&mut random), vec![len, len]].concat());
        let dtype = *random.pick(&[DType::Bool, DType::Int8, DType::UInt16, DType::Int64]);
        whole.add(&mut random, dtype, &shape, "x");
        whole.same(whole.arrays[0].matrix_power(power), &format!("np.linalg.matrix_power(a0, {power})"))?;
    }

    #[test]
    fn norms_of_vectors_are_numpys(seed in any::<u64>(), keepdims in any::<bool>()) {
        let mut random = Random::new(seed);
        let (mut stacks, dtype) = (Stacks::new(), dtype(&mut random));
        let shape: Vec<usize> = (0..1 + random.below(3)).map(|_| random.len()).collect();
        stacks.add(&mut random, dtype, &shape, if dtype.is_inexact() { "x - 50" } else { "x" });
        let x = &stacks.arrays[0];
        let order = *random.pick(&[2.0, 1.0, 0.0, 3.0, 0.5, -1.0, f64::INFINITY, f64::NEG_INFINITY]);
        let axes: Vec<i64> = (0..shape.len() as i64).filter(|_| random.one_in(2)).collect();
        let is_all = axes.is_empty();
        let over = if is_all { Over::all() } else { Over::axes(axes.clone()) };
        let over = if keepdims { over.keepdims() } else { over };
        let axis = if is_all { "None".to_owned() } else { format!("tuple({axes:?})") };
        let number = format!("float('{order}')");
        let keep = if keepdims { "True" } else { "False" };
        let python = format!("np.linalg.vector_norm(a0, axis={axis}, keepdims={keep}, ord={number})");
        let scale = format!("np.abs({python})");
        stacks.check(x.vector_norm(order, &over), &python, &scale)?;
        let (order, ord) = match random.below(2) {
            0 => (None, "None".to_owned()),
            _ => (Some(NormOrder::Number(order)), number),
        };
        let (axes, axis) = match random.below(3) {
            0 => (Axes::all(), "None".to_owned()),
            1 => (Axes::from(-1), "-1".to_owned()),
            _ if axes.len() == 2 => (Axes::from(axes.clone()), axis),
            _ => (Axes::from(0), "0".to_owned()),
        };
        let python = format!("np.linalg.norm(a0, axis={axis}, keepdims={keep}, ord={ord})");
        stacks.check(x.norm(order, axes, keepdims), &python, &format!("1e-3 + np.abs({python})"))?;
    }

    #[test]
    fn norms_of_matrices_are_numpys(seed in any::<u64>(), keepdims in any::<bool>()) {
        let mut random = Random::new(seed);
        let (rows, across) = (random.len(), random.len());
        let stacks = matrices(&mut random, rows, across);
        let x = &stacks.arrays[0];
        let (order, text) = match random.below(9) {
            0 => (NormOrder::Frobenius, "'fro'".to_owned()),
            1 => (NormOrder::Nuclear, "'nuc'".to_owned()),
            _ => {
                let number = *random.pick(&[1.0, -1.0, 2.0, -2.0, f64::INFINITY, f64::NEG_INFINITY, 3.0, 0.0]);
                (NormOrder::Number(number), format!("float('{number}')"))
            }
        };
        let keep = if keepdims { "True" } else { "False" };
        let python = format!("np.linalg.matrix_norm(a0, keepdims={keep}, ord={text})");
        let scale = format!("1 + np.linalg.matrix_norm(a0.astype(complex), keepdims={keep})");
        stacks.check(x.matrix_norm(order, keepdims), &python, &scale)?;
        let ndim = x.ndim() as i64;
        let axes = [random.within(-ndim, ndim - 1), random.within(-ndim, ndim - 1)];
        let python = format!("np.linalg.norm(a0, axis=tuple({axes:?}), keepdims={keep}, ord={text})");
        let scale = format!("1 + np.linalg.norm(a0.astype(complex), axis=tuple({axes:?}), keepdims={keep})");
        stacks.check(x.norm(Some(order), axes, keepdims), &python, &scale)?;
        if !matches!(order, NormOrder::Number(number) if ![2.0, -2.0, 1.0].contains(&number)) && rows == across {
            let regular = regular(&mut random, DType::Float64, rows);
            let python = format!("np.linalg.cond(a0, {text})");
            regular.check(regular.arrays[0].cond(order), &python, &format!("np.abs({python})"))?;
        }
    }

    #[test]
    fn eigenvalues_of_any_matrix_are_its_own(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let len = random.len();
        let stacks = matrices(&mut random, len, len);
        let x = &stacks.arrays[0];
        let (values, vectors) = x.eig().unwrap();
        let complex = "np.result_type(np.linalg.qr(a0).Q.dtype, np.complex64)";
        prop_assert!(values.dtype().is_complex() && vectors.dtype() == values.dtype());
        let zeros = format!("np.zeros_like(a0, dtype={complex})");
        let error = x.matmul(&vectors).and_then(|made| made.subtract(&rows_times(&vectors, &values)?));
        stacks.check(error, &zeros, NORMS)?;
        let over = Over::axis(-2);
        let lengths = vectors.vector_norm(2.0, &over);
        stacks.check(lengths, "np.ones_like(np.linalg.svdvals(a0))", "np.ones(np.linalg.svdvals(a0).shape)")?;
        // Sums of powers tell which numbers they are sums of.
        for power in 1..=len.min(4) as i64 {
            // Where powers leave the range of float32, NumPy's and ours are as many infinities or zeros.
            let scale = format!("(lambda n: np.where((n == 0) | (n > 1e-6) & (n < 1e6), n ** {power} * 100, np.nan))(np.linalg.norm(a0.astype(complex), axis=(-2, -1)))");
            let python = format!("np.trace(np.linalg.matrix_power(a0.astype(np.linalg.qr(a0).Q.dtype), {power}), axis1=-2, axis2=-1).astype({complex})");
            for values in [values.clone(), x.eigvals().unwrap()] {
                let powers = (1..power).try_fold(values.clone(), |made, _| made.multiply(&values)).unwrap();
                stacks.check(powers.sum(&Over::axis(-1)), &python, &scale)?;
            }
        }
    }

    #[test]
    fn a_permutation_and_triangles_give_the_matrix(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let (rows, across) = (random.len(), random.len());
        let stacks = matrices(&mut random, rows, across);
        let (p, l, u) = stacks.arrays[0].lu().unwrap();
        check_triangles(&stacks, &p, &l, &u)?;
    }

    #[test]
    fn cross_products_are_numpys(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let mut stacks = Stacks::new();
        let (first, second) = (random.dtype(), random.dtype());
        let mut shape = batch(&mut random);
        let axis = random.below(shape.len() + 1);
        shape.insert(axis, if random.one_in(9) { random.len() } else { 3 });
        let mut other = shape.clone();
        other.iter_mut().enumerate().filter(|(place, _)| *place != axis).for_each(|(_, len)| if random.one_in(3) { *len = 1 });
        stacks.add(&mut random, first, &shape, "x");
        stacks.add(&mut random, second, &other, "x");
        stacks.same(stacks.arrays[0].cross(&stacks.arrays[1], axis as i64), &format!("np.linalg.cross(a0, a1, axis={axis})"))?;
    }
}

/// Checks what `lu` made of the first matrices.
fn check_triangles(stacks: &Stacks, p: &Array, l: &Array, u: &Array) -> Result<(), TestCaseError> {
    let shape = stacks.arrays[0].shape();
    let (rows, short) = (
        shape[shape.len() - 2],
        shape[shape.len() - 2].min(shape[shape.len() - 1]),
    );
    stacks.check(
        p.matmul(l).and_then(|made| made.matmul(u)),
        "a0.astype(np.linalg.qr(a0).Q.dtype)",
        NORMS,
    )?;
    let real = "np.linalg.svdvals(a0).dtype";
    let eye = format!("np.broadcast_to(np.eye({rows}), a0.shape[:-2] + ({rows}, {rows})).astype({real})");
    stacks.same(p.matmul(&p.matrix_transpose().unwrap()), &eye)?;
    let ones = format!(
        "np.broadcast_to(np.eye({rows}, {short}), a0.shape[:-2] + ({rows}, {short})).astype(np.linalg.qr(a0).Q.dtype)"
    );
    stacks.same(l.triu(0), &ones)?;
    let below = format!("np.zeros(a0.shape[:-2] + ({short}, a0.shape[-1]), np.linalg.qr(a0).Q.dtype)");
    stacks.same(u.tril(-1), &below)?;
    // Each pivot is the greatest of its column.
    let greatest = l.absolute().unwrap().less_equal(2f64.sqrt() * 1.0001).unwrap();
    stacks.same(greatest.all(&Over::all()), "True")
}

/// An array in chunks of one element.
fn finely(shape: &[u64], elements: &[f64]) -> Array {
    Array::from_slice(shape, &vec![Chunks::Size(1); shape.len()], elements).unwrap()
}

fn problem(array: &Array) -> (MatrixProblem, usize, Vec<u64>) {
    match result(array, Rewrites::All).unwrap_err() {
        KernelError::Matrix {
            problem,
            matrix,
            block,
            ..
        } => (problem, matrix, block),
        other => panic!("{other}"),
    }
}

#[test]
fn matrices_without_a_result_fail_and_are_named() {
    let singular = [1.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 4.0];
    let stack = finely(&[2, 2, 2], &singular);
    let b = finely(&[2], &[1.0, 1.0]);
    for array in [
        stack.inv().unwrap(),
        stack.solve(&b).unwrap(),
        stack.matrix_power(-2).unwrap(),
    ] {
        assert_eq!(problem(&array).0, MatrixProblem::Singular);
    }
    let (what, matrix, block) = problem(&stack.inv().unwrap());
    assert_eq!((what, matrix, block), (MatrixProblem::Singular, 0, vec![1, 0, 0]));
    let whole = stack.rechunk(&vec![Chunks::Whole; 3]).unwrap();
    let why = result(&whole.cholesky(false).unwrap(), Rewrites::All)
        .unwrap_err()
        .to_string();
    assert!(
        why.contains("not positive definite") && why.contains("matrix 1"),
        "{why}"
    );
    let nan = finely(&[2, 2], &[f64::NAN, 1.0, 1.0, 2.0]);
    for array in [
        nan.svdvals().unwrap(),
        nan.svd(true).unwrap().0,
        nan.pinv(None).unwrap(),
        nan.matrix_rank(None).unwrap(),
    ] {
        assert_eq!(problem(&array).0, MatrixProblem::NotConverged);
    }
    let zero = finely(&[2, 2], &[1.0, 0.0, 3.0, 0.0]);
    assert_eq!(
        problem(&zero.solve_triangular(&b, true).unwrap()).0,
        MatrixProblem::Singular
    );
    let name = "np.linalg.inv(np.array([[[1., 0], [0, 1]], [[1, 2], [2, 4]]]))";
    let raised = Numpy::shared().eval(name, &[]).unwrap_err();
    assert!(raised.message.to_lowercase().contains("singular matrix"));
}

#[test]
fn what_is_not_finite_passes_where_numpy_lets_it() {
    for elements in [[f64::NAN, 1.0, 1.0, 2.0], [2.0, f64::NAN, f64::NAN, 2.0]] {
        let (x, input) = (
            finely(&[2, 2], &elements),
            Tensor::from_vec(&[2, 2], elements.to_vec()).unwrap(),
        );
        let inputs = vec![("a0".to_owned(), input)];
        check(
            &x.det().unwrap(),
            "np.asarray(np.linalg.det(a0))",
            &inputs,
            &Near::Same,
        )
        .unwrap();
        let (q, r) = x.qr(false).unwrap();
        for array in [
            q,
            x.cholesky(false).unwrap(),
            x.inv().unwrap(),
            r,
            x.eigvalsh().unwrap(),
        ] {
            let made = result(&array, Rewrites::All).unwrap();
            assert!((0..made.len()).any(|i| made.item(i).is_nan()), "{made:?}");
        }
    }
    let infinite = finely(&[2, 2], &[f64::INFINITY, 1.0, 1.0, 2.0]);
    let made = result(&infinite.svdvals().unwrap(), Rewrites::All).unwrap();
    assert!((0..2).all(|i| made.item(i).is_nan()), "{made:?}");
}

#[test]
fn what_are_no_matrices_is_refused() {
    let (x, line) = (finely(&[2, 3], &[0.0; 6]), finely(&[3], &[0.0; 3]));
    let square = finely(&[2, 2], &[1.0, 0.0, 0.0, 1.0]);
    let (a, v, s) = ("np.zeros((2, 3))", "np.zeros(3)", "np.eye(2)");
    let cases: Vec<(Result<Array, ArrayError>, String)> = vec![
        (x.cholesky(false), format!("np.linalg.cholesky({a})")),
        (x.inv(), format!("np.linalg.inv({a})")),
        (x.det(), format!("np.linalg.det({a})")),
        (x.eigvalsh(), format!("np.linalg.eigvalsh({a})")),
        (x.solve(&line), format!("np.linalg.solve({a}, {v})")),
        (square.solve(&line), format!("np.linalg.solve({s}, {v})")),
        (x.matrix_power(2), format!("np.linalg.matrix_power({a}, 2)")),
        (x.matrix_power(0), format!("np.linalg.matrix_power({a}, 0)")),
        (line.inv(), format!("np.linalg.inv({v})")),
        (line.svdvals(), format!("np.linalg.svdvals({v})")),
        (line.qr(false).map(|made| made.0), format!("np.linalg.qr({v})")),
        (line.pinv(None), format!("np.linalg.pinv({v})")),
        (x.matrix_norm(3.0, false), format!("np.linalg.norm({a}, 3)")),
        (
            x.norm(Some(NormOrder::Number(3.0)), Axes::all(), false),
            format!("np.linalg.norm({a}, 3)"),
        ),
        (
            line.norm(Some(NormOrder::Nuclear), Axes::all(), false),
            format!("np.linalg.norm({v}, 'nuc')"),
        ),
        (
            x.lstsq(&line, None).map(|made| made.solution),
            format!("np.linalg.lstsq({a}, {v})"),
        ),
        (x.cross(&line, 0), format!("np.linalg.cross({a}, {v}, axis=0)")),
        (
            finely(&[0, 0], &[]).cond(2.0),
            "np.linalg.cond(np.zeros((0, 0)))".to_owned(),
        ),
    ];
    for (built, python) in cases {
        let why = built.expect_err(&python);
        assert!(!why.to_string().is_empty());
        assert!(
            Numpy::shared().eval(&python, &[]).is_err(),
            "NumPy allows {python}"
        );
    }
}

/// The array of a tensor, in chunks of the given lengths.
fn cut(tensor: &Tensor, chunks: &[u64]) -> Array {
    let shape: Vec<u64> = tensor.shape().iter().map(|&len| len as u64).collect();
    let chunks: Vec<Chunks> = chunks.iter().map(|&len| Chunks::Size(len)).collect();
    Array::from_bytes(tensor.dtype(), &shape, &chunks, tensor.bytes().to_vec()).unwrap()
}

/// Sizes at which factorizations go by blocks and by halves.
#[test]
fn large_matrices_are_factorised() {
    let mut random = Random::new(1);
    for (dtype, rows, across) in [
        (DType::Float64, 211, 211),
        (DType::Float32, 150, 150),
        (DType::Float64, 300, 70),
        (DType::Float64, 60, 200),
    ] {
        let mut stacks = Stacks::new();
        let python = "((x - 50) / 30 + 9 * np.eye(*x.shape[-2:])).astype(x.dtype)";
        stacks.add(&mut random, dtype, &[2, rows, across], python);
        let x = &cut(&stacks.inputs[0].1, &[1, 100, 100]);
        let (q, r) = x.qr(false).unwrap();
        let (u, values, vh) = x.svd(false).unwrap();
        let short = rows.min(across);
        let checks = || -> Result<(), TestCaseError> {
            stacks.check(q.matmul(&r), "a0", NORMS)?;
            stacks.check(columns(&q).matmul(&q), &identity_of(short), &ones_of(short))?;
            stacks.check(rows_times(&u, &values).unwrap().matmul(&vh), "a0", NORMS)?;
            stacks.check(
                Ok(values),
                "np.linalg.svdvals(a0)",
                "np.linalg.svdvals(a0)[..., :1] + 0 * np.linalg.svdvals(a0)",
            )?;
            if rows != across {
                return Ok(());
            }
            let (values, vectors) = x.eigh().unwrap();
            let made = rows_times(&vectors, &values).unwrap().matmul(&columns(&vectors));
            let mirrored = "np.tril(a0) + np.swapaxes(np.tril(a0, -1), -1, -2)";
            stacks.check(made, mirrored, NORMS)?;
            let (sign, logarithm) = x.slogdet().unwrap();
            stacks.same(Ok(sign), "np.linalg.slogdet(a0)[0]")?;
            stacks.check(
                Ok(logarithm),
                "np.linalg.slogdet(a0)[1]",
                "np.linalg.slogdet(a0)[1]",
            )?;
            let condition = "1e-2 * np.linalg.cond(a0)[:, None, None] * np.ones(a0.shape)";
            stacks.check(x.inv().unwrap().matmul(x), &identity_of(rows), condition)?;
            stacks.check(x.solve(x), &identity_of(rows), condition)?;
            let chunks = [Chunks::Size(64), Chunks::Whole];
            let more = Array::identity(rows as u64, &chunks, dtype)
                .unwrap()
                .multiply(100.0)
                .unwrap();
            let square = x.matmul(&columns(x)).unwrap().add(more).unwrap();
            let lower = square.cholesky(false).unwrap();
            stacks.check(
                lower.matmul(&columns(&lower)),
                "(a0 @ np.swapaxes(a0, -1, -2) + 100 * np.eye(a0.shape[-1])).astype(a0.dtype)",
                &format!("({NORMS}) ** 2"),
            )
        };
        checks().unwrap();
    }
}

#[test]
fn a_stack_is_factorised_once_and_by_its_own_chunks() {
    let chunks = [Chunks::Size(1), Chunks::Whole, Chunks::Whole];
    let x = Array::ones(&[6, 3, 3], &chunks, DType::Float64)
        .unwrap()
        .astype(DType::Float32)
        .unwrap();
    let (q, r) = x.qr(false).unwrap();
    assert_eq!((q.chunks().block_count(), r.chunks().block_count()), (6, 6));
    let text = q.matmul(&r).unwrap().explain().unwrap();
    // One layer as written, and one as run, in whose tasks the factors are multiplied too.
    assert_eq!(text.matches("qr").count(), 2, "{text}");
}

/// Every matrix of four rows of zeros and ones: most have an eigenvalue several times, many too few vectors for it.
#[test]
fn eigenvectors_of_eigenvalues_that_recur_are_vectors() {
    let bits = Array::arange(0.0, 65_536.0, 1.0, DType::Int64, Chunks::Size(16_384)).unwrap();
    let places = Array::arange(0.0, 16.0, 1.0, DType::Int64, Chunks::Whole).unwrap();
    let x = bits.expand_dims(-1).unwrap().right_shift(&places).unwrap();
    let x = x
        .bitwise_and(1)
        .unwrap()
        .reshape(&[-1, 4, 4])
        .unwrap()
        .astype(DType::Float64)
        .unwrap();
    let (values, vectors) = x.eig().unwrap();
    let error = x
        .matmul(&vectors)
        .unwrap()
        .subtract(rows_times(&vectors, &values).unwrap())
        .unwrap();
    let wrong = error.absolute().unwrap().max(&Over::all()).unwrap();
    let lengths = vectors
        .vector_norm(2.0, &Over::axis(-2))
        .unwrap()
        .subtract(1.0)
        .unwrap();
    let wrong_length = lengths.absolute().unwrap().max(&Over::all()).unwrap();
    for wrong in results(&[&wrong, &wrong_length], Rewrites::All).unwrap() {
        let wrong = wrong.as_slice::<f64>().unwrap()[0];
        assert!(wrong < 1e-6, "off by {wrong}");
    }
}
