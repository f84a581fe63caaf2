//! Reductions by groups of labels over one or several axes, by every strategy, in random chunks.

use graticule_array::{Array, ArrayError, Chunks, Grouping, Operand, Over, Strategy, rewrite::Rewrites};
use graticule_kernel::Tensor;
use graticule_ops::ReduceKind;
use graticule_plan::DType;
use graticule_tests::numpy::Numpy;
use proptest::prelude::*;

use crate::{
    compare::{Near, check, result, results, same},
    compose::{config, random_index},
    inputs::{Random, Values, array, tensor},
    operations::check_built,
};

/// An array, its groups and what NumPy makes of them.
struct Case {
    x: Array,
    inputs: Vec<(String, Tensor)>,
    grouping: Grouping,
    kind: ReduceKind,
    python: String,
    near: Near,
}

const STRATEGIES: [Strategy; 3] = [Strategy::Cheapest, Strategy::MapReduce, Strategy::Cohorts];

/// Whole numbers, and NaN among floats.
fn input(random: &mut Random, dtype: DType, shape: &[usize]) -> Tensor {
    let whole = tensor(random, dtype, shape, Values::Tame);
    if !dtype.is_float() {
        return whole;
    }
    let python = format!("np.where(x % 5 == 0, np.nan, x).astype('{dtype}')");
    Numpy::shared().eval(&python, &[("x", &whole)]).unwrap()
}

/// Codes that rise at times, so that blocks have groups of their own.
fn codes(random: &mut Random, len: usize, group_count: usize) -> Vec<i32> {
    let mut codes: Vec<i32> = (0..len)
        .map(|_| random.below(group_count + 1) as i32 - 1)
        .collect();
    match random.below(4) {
        0 | 1 => codes.sort_unstable(),
        2 => codes.sort_unstable_by_key(|code| code * 7 % 5),
        _ => {}
    }
    if random.one_in(2) {
        codes.iter_mut().for_each(|code| *code = (*code).max(0));
    }
    codes
}

/// NumPy's expression for the elements `s` of a group, whose places among all are `at`.
fn of_group(kind: &ReduceKind, skipna: bool, dtype: DType) -> String {
    let nan = if skipna && dtype.is_float() { "nan" } else { "" };
    let float = if dtype.is_float() { dtype.name() } else { "float64" };
    let valid = if nan.is_empty() {
        "np.ones(s.shape, bool)"
    } else {
        "~np.isnan(s)"
    };
    let end = |order: &str| {
        format!("(lambda v: np.take_along_axis(s{order}, v{order}.argmax(0)[None], 0)[0])({valid})")
    };
    match kind {
        ReduceKind::Mean => format!("np.{nan}mean(s.astype('f8'), axis=0).astype('{float}')"),
        ReduceKind::Var { ddof } => {
            format!("np.{nan}var(s.astype('f8'), axis=0, ddof={ddof}).astype('{float}')")
        }
        ReduceKind::Std { ddof } => {
            format!("np.{nan}std(s.astype('f8'), axis=0, ddof={ddof}).astype('{float}')")
        }
        ReduceKind::Count => "np.sum(s == s, axis=0)".into(),
        ReduceKind::Any | ReduceKind::All => format!("np.{}(s, axis=0)", kind.name()),
        ReduceKind::Median => format!("np.{nan}median(s.astype('f8'), axis=0).astype('{float}')"),
        ReduceKind::Quantile { qs } => format!("np.{nan}quantile(s, {qs:?}, axis=0).astype('f8')"),
        ReduceKind::Mode => mode(nan),
        ReduceKind::ArgMin | ReduceKind::ArgMax => format!("at[np.{nan}{}(s, axis=0)]", kind.name()),
        ReduceKind::First => end(""),
        ReduceKind::Last => end("[::-1]"),
        _ => format!("np.{nan}{}(s, axis=0)", kind.name()),
    }
}

/// The most frequent element of each column, the least of several; NaN counts as none, or makes the result NaN.
fn mode(nan: &str) -> String {
    let valid = if nan.is_empty() { "c" } else { "c[c == c]" };
    let most = "(lambda u, n: u[n.argmax()])(*np.unique(v, return_counts=True))";
    let column = format!("c[0] * np.nan if len(v) == 0 else v[v != v][0] if (v != v).any() else {most}");
    format!(
        "np.array([{column} for c in s.reshape(s.shape[0], -1).T for v in [{valid}]], \
         dtype=s.dtype).reshape(s.shape[1:])"
    )
}

fn kind(random: &mut Random, dtype: DType) -> ReduceKind {
    use ReduceKind::*;
    let ddof = random.below(2) as u32;
    let qs = vec![0.25, 0.5, 1.0];
    let kinds = [
        Sum,
        Prod,
        Mean,
        Var { ddof },
        Std { ddof },
        Min,
        Max,
        Count,
        Any,
        All,
        Median,
        Mode,
        ArgMin,
        ArgMax,
        First,
        Last,
        Quantile { qs },
    ];
    let count = if dtype == DType::Bool {
        kinds.len() - 1
    } else {
        kinds.len()
    };
    kinds[random.below(count)].clone()
}

fn case(seed: u64) -> (Case, Random) {
    let mut random = Random::new(seed);
    let dtype = random.dtype();
    let ndim = 1 + random.below(3);
    let shape: Vec<usize> = (0..ndim).map(|_| 1 + random.below(6)).collect();
    let mut axes: Vec<usize> = (0..ndim).filter(|_| random.one_in(2)).collect();
    if axes.is_empty() {
        axes.push(random.below(ndim));
    }
    let len = axes.iter().map(|&axis| shape[axis]).product();
    let group_count = 1 + random.below(5);
    let codes = codes(&mut random, len, group_count);
    let kind = kind(&mut random, dtype);
    // Of groups of NaN alone NumPy finds no place, nor of the stand-ins for groups without elements.
    let is_placed = matches!(kind, ReduceKind::ArgMin | ReduceKind::ArgMax);
    let skipna = !is_placed && random.one_in(2);
    let data = input(&mut random, dtype, &shape);
    let x = array(&mut random, &data);

    let named = axes
        .iter()
        .map(|&axis| axis as i64 - if random.one_in(3) { ndim as i64 } else { 0 });
    let mut grouping = Grouping::new(named.collect::<Vec<_>>(), codes.clone(), group_count as u64);
    grouping.skipna = skipna;
    let needs_some = !matches!(
        kind,
        ReduceKind::Sum | ReduceKind::Prod | ReduceKind::Count | ReduceKind::Any | ReduceKind::All
    );
    let has_fill = needs_some || random.one_in(2);
    let rest: Vec<usize> = (0..ndim)
        .filter(|axis| !axes.contains(axis))
        .map(|axis| shape[axis])
        .collect();
    let lead = usize::from(matches!(kind, ReduceKind::Quantile { .. }));
    let group = of_group(&kind, skipna, dtype);
    // Of a group without elements any will do: the fill takes their place.
    let stack = |group: &str, place: usize| {
        format!(
            "(lambda m, c: np.stack([(lambda s: {group})(m[at if len(at) or not {}  else [0]]) \
             for g in range({group_count}) for at in [np.flatnonzero(c == g)]], axis={place}))\
             (np.moveaxis(a0, {axes:?}, range({})).reshape([{len}] + {rest:?}), np.array({codes:?}))",
            if has_fill { "True" } else { "False" },
            axes.len()
        )
    };
    let at_of_nothing = group.replace("at[", "(at if len(at) else np.array([0]))[");
    let mut python = stack(&at_of_nothing, axes[0] + lead);
    if has_fill {
        let (fill, text): (Operand, String) = match random.below(3) {
            0 => (7_i64.into(), "7".into()),
            1 => (f64::NAN.into(), "np.nan".into()),
            _ => ((-1.5).into(), "-1.5".into()),
        };
        grouping.fill = Some(fill);
        let ones = vec![1; rest.len() - axes[0]];
        let mask = format!("np.reshape([g in {codes:?} for g in range({group_count})], [-1] + {ones:?})");
        let counts = stack("np.sum(s == s, axis=0)", axes[0]);
        let enough = match random.below(3) {
            0 => {
                grouping.min_count = 1 + random.below(4) as u64;
                format!("{mask} & ({counts} >= {})", grouping.min_count)
            }
            _ => mask,
        };
        python = format!("np.where({enough}, {python}, {text})");
    }
    let near = match kind {
        ReduceKind::Prod | ReduceKind::Mean => Near::Ulps(16),
        ReduceKind::Var { .. } | ReduceKind::Std { .. } => {
            Near::Part(1e-12, format!("np.full_like({python}, 1e4, dtype=float)"))
        }
        ReduceKind::Median | ReduceKind::Quantile { .. } => Near::Ulps(4),
        _ => Near::Same,
    };
    let inputs = vec![("a0".to_owned(), data)];
    let case = Case {
        x,
        inputs,
        grouping,
        kind,
        python,
        near,
    };
    (case, random)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn groups_give_what_numpy_gives_of_each(seed in any::<u64>()) {
        let (case, mut random) = case(seed);
        for strategy in STRATEGIES {
            let grouping = case.grouping.clone().strategy(strategy);
            let built = case.x.group_reduce(&grouping, case.kind.clone());
            check_built(built, &case.python, &case.inputs, &case.near).map_err(TestCaseError::fail)?;
        }
        let Ok(reduced) = case.x.group_reduce(&case.grouping, case.kind.clone()) else { return Ok(()) };
        // What fails on a part of the groups need not fail on the others.
        if matches!(case.kind, ReduceKind::ArgMin | ReduceKind::ArgMax) {
            return Ok(());
        }
        let (index, text) = random_index(&mut random, &reduced);
        let python = format!("np.asarray(({})[{}])", case.python, text.join(", "));
        let near = match &case.near {
            Near::Part(part, scale) => Near::Part(*part, format!("np.asarray(({scale})[{}])", text.join(", "))),
            near => near.clone(),
        };
        if !text.is_empty() {
            check_built(reduced.slice(&index), &python, &case.inputs, &near).map_err(TestCaseError::fail)?;
        }
    }

    #[test]
    fn series_that_are_put_together_anyway_give_the_same_bits(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let dtype = random.dtype();
        let shape = [1 + random.below(300), 1 + random.below(4), 1 + random.below(4)];
        let data = tensor(&mut random, dtype, &shape, Values::Wild);
        // Something that is not read in other chunks.
        let x = array(&mut random, &data).sort(1, false).unwrap();
        let group_count = 1 + random.below(9);
        let codes: Vec<i32> = (0..shape[0]).map(|at| (at % group_count) as i32).collect();
        let positions: Vec<i64> = codes.iter().map(|&code| i64::from(code)).collect();
        let kind = kind(&mut random, dtype);
        let lead = usize::from(matches!(kind, ReduceKind::Quantile { .. }));
        let mut whole = [Chunks::Whole, Chunks::Keep, Chunks::Keep];
        let (of, strategy) = match random.one_in(2) {
            true => (x.clone(), Strategy::Cohorts),
            false => (x.rechunk(&whole).unwrap(), Strategy::MapReduce),
        };
        let grouping = Grouping::new([0], codes, group_count as u64).fill(0.5).strategy(strategy);
        let Ok(reduced) = of.group_reduce(&grouping, kind) else { return Ok(()) };
        let own = reduced.take(&positions, lead as i64).unwrap();
        let Ok(both) = x.equal(own) else { return Ok(()) };
        whole[1] = Chunks::Size(1 + random.below(3) as u64);
        whole[2] = Chunks::Size(1 + random.below(3) as u64);
        let mut series = vec![Chunks::Keep; lead];
        series.extend(whole);
        let series = both.rechunk(&series).unwrap();
        for arrays in [vec![&series], vec![&series, &reduced]] {
            match (results(&arrays, Rewrites::None), results(&arrays, Rewrites::All)) {
                (Ok(plain), Ok(rewritten)) => for (a, b) in plain.iter().zip(&rewritten) {
                    same(a, b).map_err(TestCaseError::fail)?;
                },
                (plain, rewritten) => prop_assert!(plain.is_err() && rewritten.is_err()),
            }
        }
    }

    #[test]
    fn blocks_with_groups_of_their_own_are_reduced_alone(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let dtype = random.dtype();
        let lengths: Vec<u64> = (0..1 + random.below(4)).map(|_| 1 + random.below(4) as u64).collect();
        let len: u64 = lengths.iter().sum();
        let width = 1 + random.below(4);
        let data = input(&mut random, dtype, &[len as usize, width]);
        // Blocks have their groups in any order.
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        (0..order.len()).for_each(|place| { let other = random.below(order.len()); order.swap(place, other) });
        let codes = lengths.iter().zip(&order).flat_map(|(&len, block)| {
            (0..len).map(|_| 2 * *block as i32 + random.below(2) as i32).collect::<Vec<_>>()
        });
        let codes: Vec<i32> = codes.collect();
        let x = array(&mut random, &data).rechunk(&[Chunks::Lengths(lengths.clone()), Chunks::Size(2)]).unwrap();
        let kind = kind(&mut random, dtype);
        let grouping = Grouping::new([0], codes, 2 * lengths.len() as u64).skipna().fill(0.5);
        let is_placed = matches!(kind, ReduceKind::ArgMin | ReduceKind::ArgMax);
        let of = |strategy| x.group_reduce(&grouping.clone().strategy(strategy), kind.clone());
        let made = |strategy| of(strategy).map(|array| result(&array, Rewrites::All));
        match (made(Strategy::Blockwise).unwrap(), made(Strategy::MapReduce).unwrap()) {
            (Ok(blockwise), Ok(tree)) => same(&blockwise, &tree).map_err(TestCaseError::fail)?,
            (blockwise, tree) => prop_assert!(blockwise.is_err() && tree.is_err()),
        }
        if lengths.len() > 1 && !is_placed {
            let explained = of(Strategy::Blockwise).unwrap().explain().unwrap();
            prop_assert!(explained.contains("-blockwise"), "{explained}");
        }
    }
}

#[test]
fn the_most_frequent_element_is_found_over_any_axes() {
    let mut random = Random::new(3);
    for dtype in DType::REAL {
        let data = input(&mut random, dtype, &[70, 3, 4]);
        let few = if dtype.is_float() {
            "x // 30 * np.sign(x - 40)"
        } else {
            "x // 30"
        };
        let few = format!("({few}).astype('{dtype}')");
        let data = Numpy::shared().eval(&few, &[("x", &data)]).unwrap();
        let x = array(&mut random, &data);
        let inputs = [("x".to_owned(), data)];
        for (axes, rows, rest) in [
            (vec![0], 70, "[3, 4]"),
            (vec![0, 2], 280, "[3]"),
            (vec![1, 2], 12, "[70]"),
        ] {
            for skipna in [false, true] {
                let over = Over {
                    skipna,
                    ..Over::axes(axes.clone())
                };
                let nan = if skipna && dtype.is_float() { "nan" } else { "" };
                let python = format!(
                    "(lambda s: {})(np.moveaxis(x, {axes:?}, range({})).reshape([{rows}] + {rest}))",
                    mode(nan),
                    axes.len()
                );
                check_built(x.mode(&over), &python, &inputs, &Near::Same).unwrap();
            }
        }
    }
}

/// Twelve times of three pixels, two times a chunk.
fn seasons() -> (Array, Vec<(String, Tensor)>) {
    let values: Vec<f64> = (0..36).map(f64::from).collect();
    let x = Array::from_slice(&[12, 3], &[Chunks::Size(2), Chunks::Whole], &values).unwrap();
    let tensor = result(&x, Rewrites::All).unwrap();
    (x, vec![("x".to_owned(), tensor)])
}

#[test]
fn the_strategy_follows_where_labels_lie_and_is_explained() {
    let (x, inputs) = seasons();
    use Strategy::{Cheapest, Cohorts};
    for (strategy, codes, said) in [
        (
            Cheapest,
            [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5],
            "groupby-mean-blockwise",
        ),
        (
            Cheapest,
            [5, 5, 3, 3, 2, 2, 1, 1, 4, 4, 0, 0],
            "groupby-mean-blockwise",
        ),
        (
            Cheapest,
            [0, 1, 2, 2, 0, 1, 3, 3, 0, 1, 2, 2],
            "groupby-mean-partial",
        ),
        (
            Cohorts,
            [0, 1, 2, 2, 0, 1, 3, 3, 0, 1, 2, 2],
            "groupby-mean-blockwise",
        ),
        (
            Cohorts,
            [0, 1, 2, 2, 0, 1, 3, 3, 0, 1, 2, 2],
            "groupby-sum-cohorts-partial",
        ),
        (
            Cohorts,
            [0, 1, 2, 3, 4, 5, 5, 4, 3, 2, 1, 0],
            "groupby-mean-blockwise",
        ),
        (
            Cohorts,
            [0, 1, 2, 3, 4, 5, 5, 4, 3, 2, 1, 0],
            "groupby-sum-cohorts-partial",
        ),
        (
            Cohorts,
            [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 0],
            "groupby-mean-blockwise",
        ),
    ] {
        let count = u64::try_from(codes.iter().max().unwrap() + 1).unwrap();
        let grouping = Grouping::new([0], codes, count).strategy(strategy);
        let (kind, method) = match said.contains("sum") {
            true => (ReduceKind::Sum, "sum"),
            false => (ReduceKind::Mean, "mean"),
        };
        let built = x.group_reduce(&grouping, kind).unwrap();
        let explained = built.explain().unwrap();
        assert!(explained.contains(said), "{codes:?}: {explained}");
        let groups = format!("np.stack([x[np.array(c) == g].{method}(0) for g in range(max(c) + 1)])");
        let python = format!("(lambda x, c: {groups})(x, {codes:?})");
        check(&built, &python, &inputs, &Near::Ulps(2)).unwrap();
        // Whatever the strategy, nothing is rechunked but what comes out.
        let as_run = explained.split("As run").nth(1).unwrap();
        let before = as_run.split(said).next().unwrap();
        assert!(!before.contains("rechunk"), "{explained}");
    }
}

#[test]
fn large_partials_of_few_groups_each_go_by_cohorts() {
    // Ten years of months: a chunk for each, one for each three months, one for each year.
    let chunks = |times| [Chunks::Size(times), Chunks::Size(1000), Chunks::Whole];
    let months: Vec<i32> = (0..120).map(|time| time % 12).collect();
    let grouping = Grouping::new([0], months, 12);
    let (sum, mean) = (ReduceKind::Sum, ReduceKind::Mean);
    for (kind, times, said) in [
        (&sum, 1, "groupby-sum-cohorts"),
        (&sum, 3, "groupby-sum-cohorts"),
        (&sum, 12, "groupby-sum-partial"),
        // A count and a sum for each element are more than the element.
        (&mean, 1, "groupby-mean-blockwise"),
        (&mean, 3, "groupby-mean-blockwise"),
        (&mean, 12, "groupby-mean-partial"),
    ] {
        let x = Array::zeros(&[120, 4000, 4000], &chunks(times), DType::Float64).unwrap();
        let built = x.group_reduce(&grouping, kind.clone()).unwrap();
        let explained = built.explain().unwrap();
        assert!(explained.contains(said), "{explained}");
    }
}

#[test]
fn medians_of_cohorts_bring_their_elements_together() {
    let (x, inputs) = seasons();
    let x = x.cumulative_max(0, false).unwrap();
    let codes = vec![0, 1, 2, 2, 0, 1, 3, 3, 0, 1, 2, 2];
    let grouping = Grouping::new([0], codes.clone(), 4).strategy(Strategy::Cohorts);
    let built = x.group_reduce(&grouping, ReduceKind::Median).unwrap();
    assert!(built.explain().unwrap().contains("groupby-median-blockwise"));
    let python = format!(
        "(lambda x: np.stack([np.median(x[np.array({codes:?}) == g], axis=0) for g in range(4)]))(x)"
    );
    check(&built, &python, &inputs, &Near::Same).unwrap();
}

#[test]
fn groups_that_cannot_be_are_refused() {
    let (x, _) = seasons();
    let of = |grouping: Grouping| x.group_reduce(&grouping, ReduceKind::Sum).unwrap_err();
    let codes: Vec<i32> = vec![0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 0];
    let blockwise = Grouping::new([0], codes.clone(), 6).strategy(Strategy::Blockwise);
    assert!(matches!(of(blockwise), ArrayError::Blockwise { axis: 0 }));
    assert!(matches!(
        of(Grouping::new([0], codes.clone(), 5)),
        ArrayError::GroupCode { code: 5, .. }
    ));
    assert!(matches!(
        of(Grouping::new([0, 1], codes.clone(), 6)),
        ArrayError::LabelCount { want: 36, .. }
    ));
    assert!(matches!(
        of(Grouping::new([0, 0], codes.clone(), 6)),
        ArrayError::RepeatedAxis { axis: 0 }
    ));
    assert!(matches!(
        of(Grouping::new([], [], 6)),
        ArrayError::AxisCount { .. }
    ));
    assert!(matches!(
        of(Grouping::new([2], codes, 6)),
        ArrayError::AxisOutOfRange { .. }
    ));
    assert!(x.sum(&Over::all()).is_ok());
}
