//! Matrices in several chunks, factorised by blocks: products of factors are the matrix, and no task has all of it.

use graticule_array::{Array, Chunks, Compression, LowerOptions, NormOrder, Over, Wanted, lower};
use graticule_kernel::{KernelError, MatrixProblem, Tensor};
use graticule_plan::DType;
use graticule_tests::numpy::Numpy;
use proptest::prelude::*;

use crate::{
    compare::{Near, check, result},
    compose::config,
    inputs::{Random, Values, tensor},
};
use graticule_array::rewrite::Rewrites;

fn few() -> ProptestConfig {
    let config = config();
    ProptestConfig {
        cases: config.cases.div_ceil(40),
        ..config
    }
}

/// Chunks of an axis, several of them.
fn cuts(random: &mut Random, len: usize) -> Chunks {
    let (mut left, mut lengths) = (len as u64, Vec::new());
    while left > 0 {
        let part = (1 + random.below(len / 2)).min(left as usize) as u64;
        lengths.push(part);
        left -= part;
    }
    Chunks::Lengths(lengths)
}

struct Matrix {
    x: Array,
    input: Tensor,
    /// Names and tensors, this one's and those that were added.
    inputs: Vec<(String, Tensor)>,
}

impl Matrix {
    /// What NumPy makes of whole numbers `x`, cut as is said.
    fn new(random: &mut Random, dtype: DType, shape: &[usize], chunks: &[Chunks], python: &str) -> Self {
        let whole = tensor(random, dtype, shape, Values::Tame);
        let input = Numpy::shared().eval(python, &[("x", &whole)]).unwrap();
        let lens: Vec<u64> = input.shape().iter().map(|&len| len as u64).collect();
        let x = Array::from_bytes(input.dtype(), &lens, chunks, input.bytes().to_vec()).unwrap();
        let inputs = vec![("a".to_owned(), input.clone())];
        Self { x, input, inputs }
    }

    fn add(&mut self, name: &str, other: &Matrix) {
        self.inputs.push((name.to_owned(), other.input.clone()));
    }

    /// Compares with NumPy within a part of the greatest magnitude of `scale`.
    fn check(&self, array: &Array, python: &str, scale: &str) -> Result<(), TestCaseError> {
        let part = match array.dtype() {
            DType::Float32 | DType::Complex64 => 1e-3,
            _ => 1e-10,
        };
        let near = Near::Part(
            part,
            format!("np.max(np.abs({scale})) + np.zeros(np.shape({python}))"),
        );
        check(array, python, &self.inputs, &near).map_err(TestCaseError::fail)
    }
}

fn adjoint(x: &Array) -> Array {
    let turned = x.matrix_transpose().unwrap();
    match x.dtype().is_complex() {
        true => turned.conjugate().unwrap(),
        false => turned,
    }
}

fn dtype(random: &mut Random) -> DType {
    *random.pick(&[DType::Float64, DType::Float32, DType::Complex128, DType::Float64])
}

const REGULAR: &str = "((x - 50) / 10 + 60 * np.eye(x.shape[-1])[::-1]).astype(x.dtype)";
const POSITIVE: &str = "(lambda y: y @ np.swapaxes(y, -1, -2).conj() / y.shape[-1] + np.eye(y.shape[-1]))((x - 50) / 20).astype(x.dtype)";

/// Asserts that no task makes as many elements as the matrix has, and that it is not rechunked to one chunk.
fn assert_goes_by_blocks(array: &Array, elements: u64) {
    for rewrites in [Rewrites::All, Rewrites::None] {
        let options = LowerOptions {
            rewrites,
            ..LowerOptions::default()
        };
        let lowered = lower(&[(array, Wanted::Deliver)], &options).unwrap();
        for layer in lowered.plan.layers() {
            let most = layer.grid.block_len_max();
            assert!(
                most * 2 <= elements,
                "{most} of {elements} elements\n{}",
                lowered.explain()
            );
        }
    }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn tall_and_flat_matrices(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let (long, short, dtype) = (30 + random.below(200), 1 + random.below(6), dtype(&mut random));
        let chunks = [cuts(&mut random, long), Chunks::Whole];
        let m = Matrix::new(&mut random, dtype, &[long, short], &chunks, "(x - 50) / 7");
        let flat = Matrix::new(&mut random, dtype, &[short, long], &[chunks[1].clone(), chunks[0].clone()], "(x - 50) / 7");
        for (m, (q, r), across) in [
            (&m, m.x.tsqr().unwrap(), short),
            (&m, m.x.qr(false).unwrap(), short),
            (&flat, flat.x.sfqr().unwrap(), short),
            (&flat, flat.x.qr(false).unwrap(), short),
        ] {
            m.check(&q.matmul(&r).unwrap(), "a", "a")?;
            let eye = format!("np.eye({across}).astype(a.dtype)");
            m.check(&adjoint(&q).matmul(&q).unwrap(), &eye, "1.0")?;
            m.check(&r.tril(-1).unwrap(), "np.zeros_like(np.linalg.qr(a).R)", "a")?;
        }
        for m in [&m, &flat] {
            let (u, values, vh) = m.x.svd(false).unwrap();
            m.check(&values, "np.linalg.svdvals(a)", "np.linalg.svdvals(a)")?;
            m.check(&m.x.svdvals().unwrap(), "np.linalg.svdvals(a)", "np.linalg.svdvals(a)")?;
            let made = u.multiply(values.expand_dims(0).unwrap()).unwrap().matmul(&vh).unwrap();
            m.check(&made, "a", "a")?;
            let eye = format!("np.eye({short}).astype(a.dtype)");
            m.check(&adjoint(&u).matmul(&u).unwrap(), &eye, "1.0")?;
            m.check(&vh.matmul(&adjoint(&vh)).unwrap(), &eye, "1.0")?;
            m.check(&m.x.pinv(None).unwrap(), "np.linalg.pinv(a)", "np.linalg.pinv(a)")?;
        }
    }

    #[test]
    fn compressed_singular_values(seed in any::<u64>(), power_iterations in 0..3u32) {
        let mut random = Random::new(seed);
        let (rows, across, rank) = (30 + random.below(60), 30 + random.below(60), 1 + random.below(4));
        let chunks = [cuts(&mut random, rows), cuts(&mut random, across)];
        let dtype = *random.pick(&[DType::Float64, DType::Complex128]);
        let low = format!("(lambda y, z: y[:, :{rank}] @ (np.arange({rank} * z).reshape({rank}, z) ** 2 % 7 + 20 * np.eye({rank}, z)))(x - 50, x.shape[-1])");
        let m = Matrix::new(&mut random, dtype, &[rows, across], &chunks, &low);
        let compression = Compression { power_iterations, seed, ..Compression::of_rank(rank as u64) };
        let (u, values, vh) = m.x.svd_compressed(compression).unwrap();
        m.check(&values, &format!("np.linalg.svdvals(a)[:{rank}]"), "np.linalg.svdvals(a)")?;
        let made = u.multiply(values.expand_dims(0).unwrap()).unwrap().matmul(&vh).unwrap();
        m.check(&made, "a", "a")?;
        let eye = format!("np.eye({rank}).astype(a.dtype)");
        m.check(&adjoint(&u).matmul(&u).unwrap(), &eye, "1.0")?;
        m.check(&vh.matmul(&adjoint(&vh)).unwrap(), &eye, "1.0")?;
    }

    #[test]
    fn square_matrices(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let (len, dtype) = (130 + random.below(150), dtype(&mut random));
        let chunks = [cuts(&mut random, len), cuts(&mut random, len)];
        let positive = Matrix::new(&mut random, dtype, &[len, len], &chunks, POSITIVE);
        for upper in [false, true] {
            let made = positive.x.cholesky(upper).unwrap();
            let text = if upper { "True" } else { "False" };
            positive.check(&made, &format!("np.linalg.cholesky(a, upper={text})"), "a")?;
        }
        let mut m = Matrix::new(&mut random, dtype, &[len, len], &chunks, REGULAR);
        let across = 1 + random.below(90);
        let right_chunks = [cuts(&mut random, len), Chunks::Size(40)];
        let right = Matrix::new(&mut random, dtype, &[len, across], &right_chunks, "x");
        m.add("b", &right);
        for (b, name) in [(right.x.clone(), "b"), (right.x.take(&[0], 1).unwrap().squeeze(Some(&[1])).unwrap(), "b[:, 0]")] {
            let python = format!("np.linalg.solve(a, {name})");
            m.check(&m.x.solve(&b).unwrap(), &python, &python)?;
            for lower in [false, true] {
                let flipped = m.x.flip(-1).unwrap();
                let triangle = if lower { "tril" } else { "triu" };
                let python = format!("np.linalg.solve(np.{triangle}(a[..., ::-1]), {name})");
                m.check(&flipped.solve_triangular(&b, lower).unwrap(), &python, &python)?;
            }
        }
        m.check(&m.x.inv().unwrap(), "np.linalg.inv(a)", "np.linalg.inv(a)")?;
        m.check(&m.x.norm(None, [0, 1], false).unwrap(), "np.asarray(np.linalg.norm(a))", "np.linalg.norm(a)")?;
        let one = m.x.matrix_norm(NormOrder::Number(1.0), false).unwrap();
        m.check(&one, "np.asarray(np.linalg.norm(a, 1))", "np.linalg.norm(a, 1)")?;
    }

    #[test]
    fn triangles_of_matrices_in_panels(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let (rows, across, dtype) = (70 + random.below(150), 130 + random.below(150), dtype(&mut random));
        let (rows, across) = if random.one_in(2) { (rows, across) } else { (across, rows) };
        let chunks = [Chunks::Size(2), cuts(&mut random, rows), cuts(&mut random, across)];
        let m = Matrix::new(&mut random, dtype, &[3, rows, across], &chunks, "(x - 50) / 7");
        let (p, l, u) = m.x.lu().unwrap();
        m.check(&p.matmul(&l).unwrap().matmul(&u).unwrap(), "a", "a")?;
        let short = rows.min(across);
        let ones = format!("np.broadcast_to(np.eye({rows}, {short}), (3, {rows}, {short})).astype(a.dtype)");
        m.check(&l.triu(0).unwrap(), &ones, "0.0")?;
        m.check(&u.tril(-1).unwrap(), &format!("np.zeros((3, {short}, {across}), a.dtype)"), "0.0")?;
        let eye = format!("np.broadcast_to(np.eye({rows}), (3, {rows}, {rows})).astype(np.abs(a).dtype)");
        m.check(&p.matmul(&p.matrix_transpose().unwrap()).unwrap(), &eye, "0.0")?;
        // Each pivot is the greatest of all rows.
        let greatest = l.absolute().unwrap().max(&Over::all()).unwrap();
        let most = result(&greatest, Rewrites::All).unwrap().item(0).as_f64();
        prop_assert!(most <= 2f64.sqrt() * 1.0001, "{most}");
    }

    #[test]
    fn stacks_of_square_matrices(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let (len, dtype) = (130 + random.below(60), dtype(&mut random));
        let chunks = [Chunks::Size(2), cuts(&mut random, len), cuts(&mut random, len)];
        let positive = Matrix::new(&mut random, dtype, &[3, len, len], &chunks, POSITIVE);
        positive.check(&positive.x.cholesky(false).unwrap(), "np.linalg.cholesky(a)", "a")?;
        let mut m = Matrix::new(&mut random, dtype, &[3, len, len], &chunks, REGULAR);
        let right_chunks = [cuts(&mut random, len), Chunks::Size(2)];
        let right = Matrix::new(&mut random, dtype, &[len, 3], &right_chunks, "x");
        m.add("b", &right);
        let python = "np.linalg.solve(a, b)";
        m.check(&m.x.solve(&right.x).unwrap(), python, python)?;
        m.check(&m.x.inv().unwrap(), "np.linalg.inv(a)", "np.linalg.inv(a)")?;
    }
}

#[test]
fn pivots_are_found_in_all_chunks() {
    // Of blocks along the diagonal none has an inverse.
    let (len, chunk) = (200u64, Chunks::Size(70));
    let mut random = Random::new(5);
    let python = "np.eye(200)[np.r_[100:200, 0:100]] * np.arange(1, 201) + 0 * x";
    let m = Matrix::new(
        &mut random,
        DType::Float64,
        &[200, 200],
        &[chunk.clone(), chunk],
        python,
    );
    assert_eq!(m.x.shape(), [len, len]);
    m.check(&m.x.inv().unwrap(), "np.linalg.inv(a)", "1.0").unwrap();
    let (p, l, u) = m.x.lu().unwrap();
    m.check(&p.matmul(&l).unwrap().matmul(&u).unwrap(), "a", "a")
        .unwrap();
}

#[test]
fn large_matrices_without_a_result_fail() {
    let chunks = [Chunks::Size(70), Chunks::Size(90)];
    let ones = Array::ones(&[200, 200], &chunks, DType::Float64).unwrap();
    let singular = |array: &Array| match result(array, Rewrites::All).unwrap_err() {
        KernelError::Matrix { problem, .. } => problem,
        other => panic!("{other}"),
    };
    assert_eq!(singular(&ones.inv().unwrap()), MatrixProblem::Singular);
    assert_eq!(singular(&ones.solve(&ones).unwrap()), MatrixProblem::Singular);
    assert_eq!(
        singular(&ones.cholesky(false).unwrap()),
        MatrixProblem::NotPositiveDefinite
    );
}

#[test]
fn no_task_has_the_whole_matrix() {
    let chunks = [Chunks::Size(64), Chunks::Size(64)];
    let x = Array::ones(&[512, 512], &chunks, DType::Float64).unwrap();
    let b = Array::ones(&[512, 100], &[Chunks::Size(64), Chunks::Size(50)], DType::Float64).unwrap();
    let (p, l, u) = x.lu().unwrap();
    for array in [
        p,
        l,
        u,
        x.cholesky(false).unwrap(),
        x.solve(&b).unwrap(),
        x.solve_triangular(&b, true).unwrap(),
        x.inv().unwrap(),
        x.norm(None, [0, 1], false).unwrap(),
        x.matrix_norm(NormOrder::Number(f64::INFINITY), false).unwrap(),
        x.svd_compressed(Compression::of_rank(5)).unwrap().0,
    ] {
        assert_goes_by_blocks(&array, 512 * 512);
    }
    let tall = Array::ones(&[4000, 16], &[Chunks::Size(100), Chunks::Whole], DType::Float64).unwrap();
    let (q, r) = tall.qr(false).unwrap();
    let (u, values, vh) = tall.svd(false).unwrap();
    let flat = tall.matrix_transpose().unwrap();
    let (turned, beside) = flat.qr(false).unwrap();
    for array in [
        q,
        r,
        u,
        values,
        vh,
        tall.svdvals().unwrap(),
        turned,
        beside,
        flat.svd(false).unwrap().2,
    ] {
        assert_goes_by_blocks(&array, 4000 * 16);
    }
}

#[test]
fn plans_grow_with_the_blocks_along_an_axis_not_with_their_products() {
    let chunks = [Chunks::Size(64), Chunks::Size(64)];
    let (count, len) = (24, 64 * 24);
    let x = Array::ones(&[len, len], &chunks, DType::Float64).unwrap();
    for array in [
        x.cholesky(false).unwrap(),
        x.solve_triangular(&x, true).unwrap(),
        x.inv().unwrap(),
        x.lu().unwrap().1,
    ] {
        let lowered = lower(&[(&array, Wanted::Deliver)], &LowerOptions::default()).unwrap();
        let layers = lowered.plan.layers().len();
        assert!(layers < 40 * count, "{layers} layers for {count} blocks");
        assert!(lowered.plan.task_count() > count as u64 * count as u64);
    }
}
