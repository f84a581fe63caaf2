//! Random numbers: the same in any chunks, and spread as they shall be.

use graticule_array::{
    Array, ArrayError, Chunks, Generator, Index, LowerOptions, Over, Variate, Wanted, lower,
    rewrite::Rewrites,
};
use graticule_kernel::Tensor;
use graticule_plan::DType;
use graticule_tests::numpy::Numpy;
use proptest::prelude::*;

use crate::{
    compare::{result, same},
    compose::config,
    inputs::{Random, chunks, shape},
};

/// Those that are drawn by rejection, but for the binomial one.
const VARIATES: [Variate; 8] = {
    use Variate::*;
    [
        Gamma,
        Beta,
        NegativeBinomial,
        VonMises,
        Zipf,
        LogSeries,
        Wald,
        NoncentralChisquare,
    ]
};

/// One of the generator's arrays.
fn numbers(which: usize, random: &mut Generator, shape: &[u64], chunks: &[Chunks]) -> Array {
    match which {
        0 => random.random(shape, chunks, DType::Float64),
        1 => random.random(shape, chunks, DType::Float32),
        2 => random.normal(3.0, 0.5, shape, chunks),
        3 => random.standard_normal(shape, chunks, DType::Float32),
        4 => random.exponential(2.0, shape, chunks),
        5 => random.integers(-5, 300, shape, chunks, DType::Int16),
        6 => random.integers(0, 1 << 64, shape, chunks, DType::UInt64),
        7 => random.poisson(2.5, shape, chunks),
        8 => random.triangular((0.0, 1.0, 2.0), shape, chunks),
        9 => random.poisson(1000.0, shape, chunks),
        10 => random.variate(Variate::Binomial, 40.0, 0.3, shape, chunks),
        _ => {
            let kind = VARIATES[which - 11];
            let a = if kind == Variate::LogSeries { 0.9 } else { 1.5 };
            random.variate(kind, a, 0.5, shape, chunks)
        }
    }
    .unwrap()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn numbers_are_the_same_in_any_chunks_and_slices(seed in any::<u64>(), which in 0..19usize) {
        let mut random = Random::new(seed);
        let shape: Vec<u64> = shape(&mut random).into_iter().map(|len| len as u64).collect();
        let whole = numbers(which, &mut Generator::new(seed), &shape, &vec![Chunks::Whole; shape.len()]);
        let cuts: Vec<Chunks> = shape.iter().map(|&len| chunks(&mut random, len)).collect();
        let cut = numbers(which, &mut Generator::new(seed), &shape, &cuts);
        let want = result(&whole, Rewrites::None).unwrap();
        for rewrites in [Rewrites::None, Rewrites::All] {
            same(&want, &result(&cut, rewrites).unwrap()).map_err(TestCaseError::fail)?;
        }
        let index: Vec<Index> = shape.iter().map(|_| {
            let bound = |random: &mut Random| (!random.one_in(3)).then(|| random.within(-8, 8));
            let (start, stop) = (bound(&mut random), bound(&mut random));
            Index::Slice { start, stop, step: *random.pick(&[1, 2, -1, -3]) }
        }).collect();
        let sliced = cut.slice(&index).unwrap();
        let plain = result(&sliced, Rewrites::None).unwrap();
        same(&plain, &result(&sliced, Rewrites::All).unwrap()).map_err(TestCaseError::fail)?;
        // What is left of one row is what stands in that row of all.
        if !shape.contains(&0) && !shape.is_empty() {
            let row = random.within(0, shape[0] as i64 - 1);
            let of_whole = want.region(
                &shape.iter().enumerate().map(|(axis, &len)| match axis {
                    0 => row as u64..row as u64 + 1,
                    _ => 0..len,
                }).collect::<Vec<_>>(),
            ).unwrap();
            let row = cut.slice(&[Index::range(row, row + 1), Index::Ellipsis]).unwrap();
            same(&of_whole, &result(&row, Rewrites::All).unwrap()).map_err(TestCaseError::fail)?;
        }
    }
}

/// Forty thousand numbers in several chunks.
fn many(make: impl FnOnce(&mut Generator, &[u64], &[Chunks]) -> Result<Array, ArrayError>) -> Tensor {
    let array = make(
        &mut Generator::new(7),
        &[200, 200],
        &[Chunks::Size(64), Chunks::Size(150)],
    )
    .unwrap();
    result(&array, Rewrites::All).unwrap()
}

/// The largest distance between the numbers' own distribution and the one that `python` says of sorted `x`.
fn distance(numbers: &Tensor, python: &str) -> f64 {
    let expression = format!(
        "(lambda x: np.max(np.abs(({python}) - (np.arange(x.size) + 0.5) / x.size)))(np.sort(x, axis=None).astype('float64'))"
    );
    Numpy::shared()
        .eval(&expression, &[("x", numbers)])
        .unwrap()
        .item(0)
        .as_f64()
}

#[test]
fn numbers_drawn_by_rejection_are_spread_as_they_shall_be() {
    use Variate::*;
    let stats = "__import__('scipy.stats').stats";
    let far = 2.2 / 200.0;
    for (kind, a, b, cdf) in [
        (Gamma, 0.3, 0.0, "gamma(0.3)"),
        (Gamma, 1.0, 0.0, "gamma(1)"),
        (Gamma, 7.5, 0.0, "gamma(7.5)"),
        (Beta, 0.2, 0.6, "beta(0.2, 0.6)"),
        (Beta, 2.0, 5.0, "beta(2, 5)"),
        (VonMises, 0.0, 0.0, "uniform(-np.pi, 2 * np.pi)"),
        (VonMises, 0.7, 0.0, "vonmises(0.7)"),
        (VonMises, 40.0, 0.0, "vonmises(40)"),
        (Wald, 2.0, 3.0, "invgauss(2 / 3, scale=3)"),
        (NoncentralChisquare, 3.0, 2.0, "ncx2(3, 2)"),
        (NoncentralChisquare, 0.5, 2.0, "ncx2(0.5, 2)"),
    ] {
        let numbers = many(|r, shape, chunks| r.variate(kind, a, b, shape, chunks));
        let distance = distance(&numbers, &format!("{stats}.{cdf}.cdf(x)"));
        assert!(distance < far, "{cdf}: {distance}");
    }
    // Where numbers repeat, as many must be at or below each as shall be.
    for (kind, a, b, cdf) in [
        (Binomial, 9.0, 0.25, "binom(9, 0.25)"),
        (Binomial, 300.0, 0.2, "binom(300, 0.2)"),
        (Binomial, 1e6, 0.9, "binom(10**6, 0.9)"),
        (NegativeBinomial, 2.5, 0.3, "nbinom(2.5, 0.3)"),
        (NegativeBinomial, 50.0, 0.1, "nbinom(50, 0.1)"),
        (Zipf, 2.5, 0.0, "zipf(2.5)"),
        (LogSeries, 0.8, 0.0, "logser(0.8)"),
    ] {
        let numbers = many(|r, shape, chunks| r.variate(kind, a, b, shape, chunks));
        let python = format!(
            "(lambda x: np.max(np.abs({stats}.{cdf}.cdf(np.unique(x)) - np.cumsum(np.unique(x, return_counts=True)[1]) / x.size)))(x)"
        );
        let distance = Numpy::shared()
            .eval(&python, &[("x", &numbers)])
            .unwrap()
            .item(0)
            .as_f64();
        assert!(distance < far, "{cdf}: {distance}");
    }
    for (numbers, cdf) in [
        (
            many(|r, shape, chunks| r.chisquare(3.0, shape, chunks)),
            "chi2(3)",
        ),
        (
            many(|r, shape, chunks| r.gamma(2.0, 3.0, shape, chunks)),
            "gamma(2, scale=3)",
        ),
        (many(|r, shape, chunks| r.f(4.0, 9.0, shape, chunks)), "f(4, 9)"),
        (
            many(|r, shape, chunks| r.standard_t(3.5, shape, chunks)),
            "t(3.5)",
        ),
        (
            many(|r, shape, chunks| r.noncentral_f((4.0, 9.0), 2.0, shape, chunks)),
            "ncf(4, 9, 2)",
        ),
    ] {
        let distance = distance(&numbers, &format!("{stats}.{cdf}.cdf(x)"));
        assert!(distance < far, "{cdf}: {distance}");
    }
}

#[test]
fn numbers_are_spread_as_they_shall_be() {
    let normal = "np.vectorize(lambda v: 0.5 * (1 + __import__('math').erf(v / 2 ** 0.5)))";
    // Kolmogorov's distance of as many numbers is above this once in ten thousand seeds.
    let far = 2.2 / 200.0;
    for (numbers, python) in [
        (
            many(|r, shape, chunks| r.random(shape, chunks, DType::Float64)),
            "x".to_owned(),
        ),
        (
            many(|r, shape, chunks| r.random(shape, chunks, DType::Float32)),
            "x".to_owned(),
        ),
        (
            many(|r, shape, chunks| r.uniform(-2.0, 3.0, shape, chunks)),
            "(x + 2) / 5".to_owned(),
        ),
        (
            many(|r, shape, chunks| r.normal(1.0, 4.0, shape, chunks)),
            format!("{normal}((x - 1) / 4)"),
        ),
        (
            many(|r, shape, chunks| r.standard_normal(shape, chunks, DType::Float32)),
            format!("{normal}(x)"),
        ),
        (
            many(|r, shape, chunks| r.exponential(3.0, shape, chunks)),
            "1 - np.exp(-x / 3)".to_owned(),
        ),
        (
            many(|r, shape, chunks| r.lognormal(1.0, 0.5, shape, chunks)),
            format!("{normal}((np.log(x) - 1) / 0.5)"),
        ),
        (
            many(|r, shape, chunks| r.laplace(1.0, 2.0, shape, chunks)),
            "np.where(x < 1, np.exp((x - 1) / 2) / 2, 1 - np.exp((1 - x) / 2) / 2)".to_owned(),
        ),
        (
            many(|r, shape, chunks| r.logistic(1.0, 2.0, shape, chunks)),
            "1 / (1 + np.exp((1 - x) / 2))".to_owned(),
        ),
        (
            many(|r, shape, chunks| r.gumbel(1.0, 2.0, shape, chunks)),
            "np.exp(-np.exp((1 - x) / 2))".to_owned(),
        ),
        (
            many(|r, shape, chunks| r.weibull(1.5, shape, chunks)),
            "1 - np.exp(-x ** 1.5)".to_owned(),
        ),
        (
            many(|r, shape, chunks| r.pareto(3.0, shape, chunks)),
            "1 - (1 + x) ** -3.0".to_owned(),
        ),
        (
            many(|r, shape, chunks| r.power(3.0, shape, chunks)),
            "x ** 3".to_owned(),
        ),
        (
            many(|r, shape, chunks| r.rayleigh(2.0, shape, chunks)),
            "1 - np.exp(-(x / 2) ** 2 / 2)".to_owned(),
        ),
        (
            many(|r, shape, chunks| r.standard_cauchy(shape, chunks)),
            "0.5 + np.arctan(x) / np.pi".to_owned(),
        ),
        (
            many(|r, shape, chunks| r.triangular((-1.0, 1.0, 4.0), shape, chunks)),
            "np.where(x < 1, (x + 1) ** 2 / 10, 1 - (4 - x) ** 2 / 15)".to_owned(),
        ),
        (
            many(|r, shape, chunks| r.integers(0, 1 << 40, shape, chunks, DType::Int64)),
            "x / 2 ** 40".to_owned(),
        ),
    ] {
        let got = distance(&numbers, &python);
        assert!(got < far, "{python}: {got}");
    }
}

#[test]
fn whole_numbers_are_as_often_as_they_shall_be() {
    for p in [0.02, 0.5, 1.0] {
        let trials = many(|r, shape, chunks| r.geometric(p, shape, chunks));
        let python = format!(
            "(lambda x: np.max(np.abs(np.cumsum(np.bincount(x.ravel())) / x.size - (1 - (1 - {p}) ** np.arange(x.max() + 1)))))(x)"
        );
        let got = Numpy::shared().eval(&python, &[("x", &trials)]).unwrap();
        assert!(got.item(0).as_f64() < 2.2 / 200.0, "p {p}");
    }
    let weights = [0.1, 0.0, 0.6, 0.3];
    let drawn = many(|r, shape, chunks| r.choice(4, shape, chunks, true, Some(&weights)));
    let shares =
        "np.max(np.abs(np.bincount(x.ravel(), minlength=4) / x.size - np.array([0.1, 0, 0.6, 0.3])))";
    let got = Numpy::shared().eval(shares, &[("x", &drawn)]).unwrap();
    assert!(got.item(0).as_f64() < 0.012);
    let drawn = many(|r, shape, chunks| r.choice(7, shape, chunks, true, None));
    let shares = "np.max(np.abs(np.bincount(x.ravel(), minlength=7) / x.size - 1 / 7))";
    let got = Numpy::shared().eval(shares, &[("x", &drawn)]).unwrap();
    assert!(got.item(0).as_f64() < 0.012);
}

#[test]
fn a_permutation_has_each_number_once() {
    let mut random = Generator::new(3);
    let whole = result(&random.permutation(5000).unwrap(), Rewrites::All).unwrap();
    let all = "(np.sort(x) == np.arange(5000)).all() and (x != np.arange(5000)).mean() > 0.99";
    let is_true = |python: &str, x: &Tensor| {
        Numpy::shared()
            .eval(python, &[("x", x)])
            .unwrap()
            .item(0)
            .as_f64()
            == 1.0
    };
    assert!(is_true(all, &whole));
    let some = random.choice(5000, &[30, 40], &[Chunks::Size(7), Chunks::Whole], false, None);
    let some = result(&some.unwrap(), Rewrites::All).unwrap();
    let once = "x.shape == (30, 40) and np.unique(x).size == 1200 and x.min() >= 0 and x.max() < 5000";
    assert!(is_true(once, &some));
}

#[test]
fn rare_events_are_as_often_as_poisson_says() {
    for mean in [0.0, 0.3, 3.7, 9.99, 10.0, 45.0, 1e4] {
        let numbers = many(|r, shape, chunks| r.poisson(mean, shape, chunks));
        let logarithms = format!(
            "(lambda k: k * np.log(max({mean}, 1e-300)) - {mean} - np.vectorize(__import__('math').lgamma)(k + 1.0))"
        );
        let cumulative = format!(
            "(lambda x, p: np.max(np.abs(np.cumsum(np.bincount(x.ravel())) / x.size - np.cumsum(np.exp(p)))))\
             (x, {logarithms}(np.arange(x.max() + 1)))"
        );
        let got = Numpy::shared().eval(&cumulative, &[("x", &numbers)]).unwrap();
        let got = got.item(0).as_f64();
        assert!(got < 2.2 / 200.0, "mean {mean}: {got}");
    }
}

#[test]
fn what_is_not_put_back_is_as_often_as_counting_says() {
    for (good, bad, taken) in [
        (5, 3, 4),
        (0, 4, 3),
        (40, 60, 30),
        (3000, 5000, 2000),
        (1, 999, 500),
    ] {
        let numbers = many(|r, shape, chunks| r.hypergeometric(good, bad, taken, shape, chunks));
        let cumulative = format!(
            "(lambda ways, x: np.max(np.abs(np.cumsum(np.bincount(x.ravel())) / x.size - np.cumsum(\
             [ways({good}, i) * ways({bad}, {taken} - i) / ways({good} + {bad}, {taken}) if i <= {taken} else 0 \
             for i in range(int(x.max()) + 1)]))))(__import__('math').comb, x)"
        );
        let got = Numpy::shared().eval(&cumulative, &[("x", &numbers)]).unwrap();
        let got = got.item(0).as_f64();
        assert!(got < 2.2 / 200.0, "{good} {bad} {taken}: {got}");
    }
}

#[test]
fn trials_are_of_all_kinds_together() {
    let mut random = Generator::new(9);
    let chances = [0.2, 0.0, 0.5, 0.3];
    let counts = random
        .multinomial(12, &chances, &[60, 80], &[Chunks::Size(17), Chunks::Whole])
        .unwrap();
    assert_eq!((counts.shape(), counts.dtype()), (vec![60, 80, 4], DType::Int64));
    let x = result(&counts, Rewrites::All).unwrap();
    let python = "bool((x.sum(-1) == 12).all() and (x[..., 1] == 0).all() and np.abs(x.mean((0, 1)) - [2.4, 0, 6, 3.6]).max() < 0.15\
                  and np.abs(x.var((0, 1)) - [1.92, 0, 3, 2.52]).max() < 0.2)";
    let got = Numpy::shared().eval(python, &[("x", &x)]).unwrap();
    assert_eq!(got.item(0).as_f64(), 1.0);
}

#[test]
fn arrays_of_one_generator_differ_and_of_one_seed_are_the_same() {
    let make = |random: &mut Generator| random.random(&[100], &[Chunks::Whole], DType::Float64).unwrap();
    let mut random = Generator::new(1);
    let [first, second] = [make(&mut random), make(&mut random)].map(|x| result(&x, Rewrites::All).unwrap());
    assert!(same(&first, &second).is_err());
    let again = result(&make(&mut Generator::new(1)), Rewrites::All).unwrap();
    same(&first, &again).unwrap();
    let other = result(&make(&mut Generator::new(2)), Rewrites::All).unwrap();
    assert!(same(&first, &other).is_err());
}

#[test]
fn numbers_are_made_by_the_tasks_that_take_them_in() {
    let noise = Generator::new(1)
        .normal(0.0, 1.0, &[100, 100], &[Chunks::Size(10), Chunks::Whole])
        .unwrap();
    let lowered = lower(
        &[(&noise.mean(&Over::axis(1)).unwrap(), Wanted::Deliver)],
        &LowerOptions::default(),
    )
    .unwrap();
    assert_eq!(
        (lowered.plan.layers().len(), lowered.plan.task_count()),
        (1, 10),
        "{}",
        lowered.explain()
    );
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    let mut random = Generator::new(0);
    let (shape, chunks) = (&[3][..], &[Chunks::Whole][..]);
    for (built, python) in [
        (
            random.integers(3, 3, shape, chunks, DType::Int8),
            "integers(3, 3, 3)",
        ),
        (
            random.integers(0, 300, shape, chunks, DType::Int8),
            "integers(0, 300, 3, dtype='int8')",
        ),
        (
            random.integers(0, 3, shape, chunks, DType::Float64),
            "integers(0, 3, 3, dtype='float64')",
        ),
        (
            random.random(shape, chunks, DType::Int8),
            "random(3, dtype='int8')",
        ),
        (random.normal(0.0, -1.0, shape, chunks), "normal(0, -1, 3)"),
        (random.exponential(-1.0, shape, chunks), "exponential(-1, 3)"),
        (random.poisson(-1.0, shape, chunks), "poisson(-1, 3)"),
        (random.lognormal(0.0, -1.0, shape, chunks), "lognormal(0, -1, 3)"),
        (random.weibull(-1.0, shape, chunks), "weibull(-1, 3)"),
        (random.pareto(0.0, shape, chunks), "pareto(0, 3)"),
        (random.power(-1.0, shape, chunks), "power(-1, 3)"),
        (random.geometric(0.0, shape, chunks), "geometric(0, 3)"),
        (
            random.triangular((1.0, 0.0, 2.0), shape, chunks),
            "triangular(1, 0, 2, 3)",
        ),
        (
            random.choice(2, shape, chunks, false, None),
            "choice(2, 3, replace=False)",
        ),
        (
            random.choice(2, shape, chunks, true, Some(&[0.5, 0.6])),
            "choice(2, 3, p=[0.5, 0.6])",
        ),
        (random.choice(0, shape, chunks, true, None), "choice(0, 3)"),
        (
            random.hypergeometric(2, 3, 6, shape, chunks),
            "hypergeometric(2, 3, 6, 3)",
        ),
        (
            random.multinomial(3, &[0.6, 0.6, 0.1], shape, chunks),
            "multinomial(3, [0.6, 0.6, 0.1], 3)",
        ),
        (
            random.uniform(0.0, f64::INFINITY, shape, chunks),
            "uniform(0, np.inf, 3)",
        ),
    ] {
        assert!(matches!(built, Err(ArrayError::Random { .. })), "{python}");
        let python = format!("np.random.default_rng(0).{python}");
        assert!(
            Numpy::shared().eval(&python, &[]).is_err(),
            "NumPy allows {python}"
        );
    }
}
