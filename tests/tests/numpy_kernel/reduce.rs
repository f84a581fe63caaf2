use graticule_kernel::{Chunk, InlineReader, KernelError, Tensor, Window, run};
use graticule_ops::{BlockAxis, Node, NodeId, Program, ReduceKind, Reduction, Stage, encode_codes};
use graticule_plan::{AxisChunks, DType, Digest, Kind};
use graticule_tests::numpy::Numpy;
use proptest::{prelude::*, sample::select};

use crate::{
    TableMap, Tolerance, difference, evaluate, floats,
    random::{Floats, any_computed, config, some_axes},
};

fn kinds() -> impl Strategy<Value = ReduceKind> {
    let simple = select(vec![
        ReduceKind::Sum,
        ReduceKind::Prod,
        ReduceKind::Mean,
        ReduceKind::Min,
        ReduceKind::Max,
        ReduceKind::Count,
        ReduceKind::Any,
        ReduceKind::All,
        ReduceKind::Median,
        ReduceKind::ArgMin,
        ReduceKind::ArgMax,
        ReduceKind::First,
        ReduceKind::Last,
    ]);
    prop_oneof![
        10 => simple,
        1 => (0u32..3).prop_map(|ddof| ReduceKind::Var { ddof }),
        1 => (0u32..3).prop_map(|ddof| ReduceKind::Std { ddof }),
        2 => proptest::collection::vec(prop_oneof![0.0..=1.0, Just(0.0), Just(1.0), Just(0.5), Just(0.25)], 1..4)
            .prop_map(|qs| ReduceKind::Quantile { qs }),
    ]
}

/// NumPy's expression for a reduction of `x` over its last axis; `R` elements each.
fn expression(reduction: &Reduction) -> (String, Tolerance) {
    let skip = reduction.skipna && reduction.dtype.is_float();
    let nan = if skip { "nan" } else { "" };
    let single = reduction.dtype == DType::Float32;
    // float32 is judged against float64 rounded once.
    let wide = if single { "x.astype('f8')" } else { "x" };
    let back = if single { ".astype('f4')" } else { "" };
    let sums = if single {
        Tolerance::Ulps(1)
    } else {
        Tolerance::Relative(1e-12, 1e-9)
    };
    let exact = |text: String| (text, Tolerance::Exact);
    match &reduction.kind {
        ReduceKind::Sum => (format!("np.{nan}sum({wide}, axis=-1){back}"), sums),
        ReduceKind::Prod => (
            format!("np.{nan}prod({wide}, axis=-1){back}"),
            Tolerance::Relative(1e-6, 0.0),
        ),
        ReduceKind::Mean => (format!("np.{nan}mean({wide}, axis=-1){back}"), sums),
        ReduceKind::Var { ddof } => (format!("np.{nan}var({wide}, axis=-1, ddof={ddof}){back}"), sums),
        ReduceKind::Std { ddof } => (format!("np.{nan}std({wide}, axis=-1, ddof={ddof}){back}"), sums),
        ReduceKind::Min => exact(format!("np.{nan}min(x, axis=-1)")),
        ReduceKind::Max => exact(format!("np.{nan}max(x, axis=-1)")),
        ReduceKind::Count => exact("np.sum(~np.isnan(x), axis=-1, dtype='i8')".into()),
        ReduceKind::Any if skip => exact("np.any((x != 0) & ~np.isnan(x), axis=-1)".into()),
        ReduceKind::Any => exact("np.any(x, axis=-1)".into()),
        ReduceKind::All => exact("np.all(x, axis=-1)".into()),
        ReduceKind::Median => exact(format!("np.{nan}median(x, axis=-1)")),
        // NumPy gives float32 for float32 that is all NaN, and no axis of quantiles for nothing.
        ReduceKind::Quantile { qs } if skip => exact(format!(
            "np.nanquantile(x, np.array({qs:?}), axis=-1).astype('f8') if x.size else \
             np.full(({},) + x.shape[:-1], np.nan)",
            qs.len()
        )),
        // NumPy's difference of two small integers wraps.
        ReduceKind::Quantile { qs } if reduction.dtype.kind() == Kind::Signed => {
            exact(format!("np.quantile(x.astype('i8'), np.array({qs:?}), axis=-1)"))
        }
        ReduceKind::Quantile { qs } => exact(format!("np.quantile(x, np.array({qs:?}), axis=-1)")),
        ReduceKind::Mode => {
            let valid = if skip { "c[c == c]" } else { "c" };
            let most = "(lambda u, n: u[n.argmax()])(*np.unique(v, return_counts=True))";
            let one = format!("np.nan if len(v) == 0 or (v != v).any() else {most}");
            exact(format!(
                "(lambda x: np.array([{one} for c in x.reshape(int(np.prod(x.shape[:-1])), x.shape[-1]) \
                 for v in [{valid}]], dtype=x.dtype).reshape(x.shape[:-1]))(x)"
            ))
        }
        ReduceKind::ArgMin => exact(format!("np.{nan}argmin(x, axis=-1)")),
        ReduceKind::ArgMax => exact(format!("np.{nan}argmax(x, axis=-1)")),
        ReduceKind::First | ReduceKind::Last => {
            let ok = if skip {
                "~np.isnan(x)"
            } else {
                "np.ones(x.shape, bool)"
            };
            let position = if reduction.kind == ReduceKind::First {
                format!("np.argmax({ok}, axis=-1)")
            } else {
                format!("x.shape[-1] - 1 - np.argmax(({ok})[..., ::-1], axis=-1)")
            };
            exact(format!(
                "np.take_along_axis(x, np.expand_dims({position}, -1), axis=-1)[..., 0]"
            ))
        }
    }
}

/// `x` with the reduced axes flattened into the last one, as a Python expression.
fn moved(shape: &[usize], axes: &[usize]) -> String {
    let kept: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).collect();
    let len: usize = axes.iter().map(|&axis| shape[axis]).product();
    let mut lens: Vec<usize> = kept.iter().map(|&axis| shape[axis]).collect();
    lens.push(len);
    let order: Vec<usize> = kept.iter().chain(axes).copied().collect();
    format!("np.transpose(x, {order:?}).reshape({lens:?})")
}

fn kept_shape(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    let len = |axis: usize| if axes.contains(&axis) { 1 } else { shape[axis] };
    (0..shape.len()).map(len).collect()
}

/// The greatest absolute value that is finite.
fn magnitude(x: &Tensor) -> f64 {
    let nodes = vec![
        Node::Input {
            input: 0,
            parts: vec![x.dtype()],
        },
        Node::Cast {
            x: NodeId(0),
            dtype: DType::Float64,
        },
    ];
    let wide = single(evaluate(nodes, &[x.clone().into()], &TableMap::new()).unwrap());
    let values = wide.as_slice::<f64>().unwrap().iter();
    values
        .filter(|x| x.is_finite())
        .fold(0.0, |most: f64, x| most.max(x.abs()))
}

/// NumPy's answer, or `None` where it raises for want of elements.
fn numpys(x: &Tensor, reduction: &Reduction, axes: &[usize]) -> (Option<Tensor>, Tolerance) {
    let (expression, mut tolerance) = expression(reduction);
    if let Tolerance::Relative(relative, _) = tolerance {
        // What cancels leaves an error of the size of what was added up.
        let size = magnitude(x);
        let power = if matches!(reduction.kind, ReduceKind::Var { .. }) {
            2
        } else {
            1
        };
        tolerance = Tolerance::Relative(relative, relative * size.powi(power) * x.len() as f64);
    }
    let whole = format!("(lambda x: {expression})({})", moved(x.shape(), axes));
    let result = Numpy::shared().eval(&whole, &[("x", x)]);
    if let Err(raised) = &result {
        assert!(
            ["ValueError", "IndexError"].contains(&raised.kind.as_str()),
            "{whole}: {raised:?}"
        );
    }
    (result.ok(), tolerance)
}

fn check(ours: Result<Tensor, KernelError>, theirs: (Option<Tensor>, Tolerance), about: &str) {
    let why = match (&ours, &theirs.0) {
        (Ok(ours), Some(theirs_)) => difference(ours, theirs_, theirs.1),
        // NumPy refuses to reduce an axis of no elements even where no result needs one.
        (Ok(ours), None) if ours.is_empty() => None,
        (Err(KernelError::Empty { .. } | KernelError::AllNan { .. }), None) => None,
        _ => Some(format!("ours is {ours:?}, NumPy's {:?}", theirs.0)),
    };
    if let Some(why) = why {
        panic!("{about}: {why}");
    }
}

fn positions(kind: &ReduceKind, axes: Vec<BlockAxis>) -> Vec<BlockAxis> {
    match kind {
        ReduceKind::ArgMin | ReduceKind::ArgMax | ReduceKind::First | ReduceKind::Last => axes,
        _ => vec![],
    }
}

/// Whether the reduction exists, NumPy's does not wrap where ours does not, and no order of factors overflows.
fn is_comparable(x: &Tensor, reduction: &Reduction) -> bool {
    let wraps = matches!(reduction.kind, ReduceKind::Quantile { .. })
        && x.as_slice::<i64>()
            .is_some_and(|values| values.iter().any(|x| x.unsigned_abs() > 1 << 61));
    let overflows = reduction.kind == ReduceKind::Prod && x.dtype().is_float() && x.len() > 90;
    reduction.result_dtype().is_ok() && !wraps && !overflows
}

fn single(chunk: Chunk) -> Tensor {
    chunk.single().expect("one part").clone()
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn whole_reductions_are_numpys(
        kind in kinds(),
        skipna in any::<bool>(),
        keepdims in any::<bool>(),
        (x, axes) in any_computed(Floats::Tame).prop_flat_map(|x| {
            let axes = some_axes(x.ndim());
            (Just(x), axes)
        }),
    ) {
        let reduction = Reduction { kind, skipna, dtype: x.dtype() };
        if !is_comparable(&x, &reduction) {
            return Ok(());
        }
        let extents = axes.iter().map(|&axis| BlockAxis::Whole { len: x.shape()[axis] as u64 }).collect();
        let nodes = vec![
            Node::Input { input: 0, parts: vec![x.dtype()] },
            Node::Reduce {
                x: NodeId(0),
                reduction: reduction.clone(),
                axes: axes.clone(),
                keepdims,
                stage: Stage::Whole,
                positions: positions(&reduction.kind, extents),
            },
        ];
        let ours = evaluate(nodes, &[x.clone().into()], &TableMap::new()).map(single);
        let mut theirs = numpys(&x, &reduction, &axes);
        if keepdims {
            let leading = match &reduction.kind {
                ReduceKind::Quantile { qs } => vec![qs.len()],
                _ => vec![],
            };
            let shape = [leading, kept_shape(x.shape(), &axes)].concat();
            theirs.0 = theirs.0.map(|theirs| theirs.reshape(&shape).unwrap());
        }
        check(ours, theirs, &format!("{reduction:?} over {axes:?} of {x:?}"));
    }

    #[test]
    fn trees_of_partials_are_numpys(
        kind in kinds(),
        skipna in any::<bool>(),
        (x, axes) in any_computed(Floats::Tame)
            .prop_filter("axes to cut", |x| x.ndim() > 0)
            .prop_flat_map(|x| {
                let axes = some_axes(x.ndim());
                (Just(x), axes)
            }),
        chunk in 1u64..9,
        fan_in in 2usize..4,
    ) {
        let reduction = Reduction { kind, skipna, dtype: x.dtype() };
        if !is_comparable(&x, &reduction) || reduction.partial().is_none() {
            return Ok(());
        }
        let ours = by_tree(&x, &reduction, &axes, chunk, fan_in);
        // Of partials nobody can tell whether there was nothing or only NaN.
        let is_empty = axes.iter().any(|&axis| x.shape()[axis] == 0);
        let is_moment = matches!(
            reduction.kind,
            ReduceKind::Mean | ReduceKind::Var { .. } | ReduceKind::Std { .. }
        );
        if let (Ok(ours), true) = (&ours, is_empty && skipna && !is_moment) {
            let is_nothing = |x: &f64| x.is_nan() || *x == 0.0 || *x == 1.0;
            prop_assert!(floats(ours).is_none_or(|values| values.iter().all(is_nothing)));
            return Ok(());
        }
        check(ours, numpys(&x, &reduction, &axes), &format!("{reduction:?} over {axes:?} of {x:?}"));
    }

    #[test]
    fn group_reductions_are_numpys_of_each_group(
        kind in kinds(),
        skipna in any::<bool>(),
        (x, axis, codes) in any_computed(Floats::Tame)
            .prop_filter("an axis", |x| x.ndim() > 0)
            .prop_flat_map(|x| {
                let axis = 0..x.ndim();
                (Just(x), axis).prop_flat_map(|(x, axis)| {
                    let codes = proptest::collection::vec(-1i32..4, x.shape()[axis]);
                    (Just(x), Just(axis), codes)
                })
            }),
        cut in 0u64..6,
    ) {
        let reduction = Reduction { kind, skipna, dtype: x.dtype() };
        if !is_comparable(&x, &reduction) {
            return Ok(());
        }
        // Group 4 is always empty, others may be.
        let ours = grouped(&x, &reduction, axis, &codes, 5, None);
        let by_parts = reduction.partial().map(|_| grouped(&x, &reduction, axis, &codes, 5, Some(cut)));
        let (mut parts, mut tolerance, mut is_refused) = (Vec::new(), Tolerance::Exact, false);
        for group in 0..5 {
            let picks: Vec<usize> = (0..codes.len()).filter(|&row| codes[row] == group).collect();
            let part = Numpy::shared()
                .eval(&format!("np.take(x, np.array({picks:?}, dtype='i8'), axis={axis})"), &[("x", &x)])
                .unwrap();
            let theirs = numpys(&part, &reduction, &[axis]);
            // The widest of all groups': an empty one has none to speak of.
            tolerance = match (tolerance, theirs.1) {
                (Tolerance::Relative(_, before), Tolerance::Relative(relative, here)) => {
                    Tolerance::Relative(relative, before.max(here))
                }
                (_, here) => here,
            };
            match theirs.0 {
                Some(result) => parts.push((result, picks)),
                None => is_refused = true,
            }
        }
        let results = [Some(ours), by_parts];
        for ours in results.into_iter().flatten() {
            compare_groups(ours, &reduction, axis, &parts, is_refused, tolerance, x.dtype().is_float());
        }
    }
}

fn compare_groups(
    ours: Result<Tensor, KernelError>,
    reduction: &Reduction,
    axis: usize,
    parts: &[(Tensor, Vec<usize>)],
    is_refused: bool,
    tolerance: Tolerance,
    is_float: bool,
) {
    let ours = match ours {
        Ok(ours) => ours,
        Err(KernelError::Empty { .. } | KernelError::AllNan { .. }) if is_refused => return,
        Err(error) => panic!("{error}"),
    };
    let leading = usize::from(matches!(reduction.kind, ReduceKind::Quantile { .. }));
    for (group, (theirs, picks)) in parts.iter().enumerate().filter(|_| !is_refused) {
        let mut region: Vec<_> = ours.shape().iter().map(|&len| 0..len as u64).collect();
        region[leading + axis] = group as u64..group as u64 + 1;
        let part = ours.region(&region).unwrap();
        let part = part.reshape(theirs.shape()).unwrap();
        let mut theirs = theirs.clone();
        if matches!(reduction.kind, ReduceKind::ArgMin | ReduceKind::ArgMax) {
            let along: Vec<i64> = theirs
                .as_slice::<i64>()
                .unwrap()
                .iter()
                .map(|&at| picks[at as usize] as i64)
                .collect();
            theirs = Tensor::from_vec(theirs.shape(), along).unwrap();
        }
        if let Some(why) = difference(&part, &theirs, tolerance) {
            panic!("group {group} of {reduction:?} ({is_float}): {why}");
        }
    }
}

/// Cuts every reduced axis, makes partials, combines them level by level, and finishes.
fn by_tree(
    x: &Tensor,
    reduction: &Reduction,
    axes: &[usize],
    chunk: u64,
    fan_in: usize,
) -> Result<Tensor, KernelError> {
    let cuts: Vec<AxisChunks> = axes
        .iter()
        .map(|&axis| AxisChunks::regular(x.shape()[axis] as u64, chunk).unwrap())
        .collect();
    let counts: Vec<usize> = cuts.iter().map(|cut| cut.count() as usize).collect();
    let extents = (0..axes.len())
        .map(|k| BlockAxis::Cut {
            out_axis: k,
            chunks: cuts[k].clone(),
        })
        .collect();
    let node = |stage, positions| Node::Reduce {
        x: NodeId(0),
        reduction: reduction.clone(),
        axes: axes.to_vec(),
        keepdims: false,
        stage,
        positions,
    };
    let tables = TableMap::new();
    let run_one = |node: Node, index: &[u64], chunk: Chunk| {
        let parts = chunk.dtypes();
        let program = Program::new(vec![Node::Input { input: 0, parts }, node]);
        run(
            &program,
            index,
            &[Window::whole(chunk)],
            &InlineReader::new(&tables),
            &tables,
        )
    };
    let mut partials = Vec::new();
    for block in 0..counts.iter().product::<usize>() {
        let (mut rest, mut index) = (block, vec![0u64; axes.len()]);
        for k in (0..axes.len()).rev() {
            index[k] = (rest % counts[k]) as u64;
            rest /= counts[k];
        }
        let mut region: Vec<_> = x.shape().iter().map(|&len| 0..len as u64).collect();
        axes.iter()
            .enumerate()
            .for_each(|(k, &axis)| region[axis] = cuts[k].extent(index[k]));
        let part = x.region(&region).unwrap();
        let extents: Vec<BlockAxis> = positions(&reduction.kind, Vec::clone(&extents));
        partials.push(run_one(node(Stage::Partial, extents), &index, part.into())?);
    }
    // Groups of neighbours along the first reduced axis, in C order of blocks.
    while partials.len() > 1 {
        let mut next = Vec::new();
        for group in partials.chunks(fan_in) {
            next.push(run_one(
                node(Stage::Combine, vec![]),
                &[],
                stacked(group, axes[0]),
            )?);
        }
        partials = next;
    }
    run_one(node(Stage::Final, vec![]), &[], partials.remove(0)).map(single)
}

/// Partials one after another along an axis, as a window shows them.
fn stacked(chunks: &[Chunk], axis: usize) -> Chunk {
    let parts = (0..chunks[0].parts().len()).map(|part| {
        let nodes: Vec<Node> = chunks
            .iter()
            .enumerate()
            .map(|(input, chunk)| Node::Input {
                input,
                parts: vec![chunk.parts()[part].dtype()],
            })
            .chain([Node::Concatenate {
                xs: (0..chunks.len()).map(|k| NodeId(k as u32)).collect(),
                axis,
            }])
            .collect();
        let inputs: Vec<Chunk> = chunks
            .iter()
            .map(|chunk| chunk.parts()[part].clone().into())
            .collect();
        single(evaluate(nodes, &inputs, &TableMap::new()).unwrap())
    });
    Chunk::new(parts.collect()).unwrap()
}

/// A reduction by groups: whole, or as partials of chunks of two lengths.
fn grouped(
    x: &Tensor,
    reduction: &Reduction,
    axis: usize,
    codes: &[i32],
    group_count: u64,
    cut: Option<u64>,
) -> Result<Tensor, KernelError> {
    let table = encode_codes(codes);
    let digest = Digest::of(&table);
    let tables: TableMap = [(digest, table.into())].into();
    let len = x.shape()[axis] as u64;
    let node = |stage, extent: Option<BlockAxis>| Node::GroupReduce {
        x: NodeId(0),
        reduction: reduction.clone(),
        axes: vec![axis],
        codes: digest,
        groups: BlockAxis::Whole { len: group_count },
        extents: extent.into_iter().collect(),
        stage,
    };
    let run_one = |node: Node, index: &[u64], chunk: Chunk| {
        let parts = chunk.dtypes();
        let program = Program::new(vec![Node::Input { input: 0, parts }, node]);
        run(
            &program,
            index,
            &[Window::whole(chunk)],
            &InlineReader::new(&tables),
            &tables,
        )
    };
    let Some(cut) = cut else {
        return run_one(
            node(Stage::Whole, Some(BlockAxis::Whole { len })),
            &[],
            x.clone().into(),
        )
        .map(single);
    };
    let chunks = AxisChunks::from_lengths(&[cut.min(len), len - cut.min(len)]).unwrap();
    let mut partials = Vec::new();
    for block in 0..chunks.count() {
        let mut region: Vec<_> = x.shape().iter().map(|&len| 0..len as u64).collect();
        region[axis] = chunks.extent(block);
        let extent = BlockAxis::Cut {
            out_axis: 0,
            chunks: chunks.clone(),
        };
        partials.push(run_one(
            node(Stage::Partial, Some(extent)),
            &[block],
            x.region(&region).unwrap().into(),
        )?);
    }
    let both = stacked(&partials, axis);
    let one = run_one(node(Stage::Combine, None), &[], both)?;
    run_one(node(Stage::Final, None), &[], one).map(single)
}
