//! Chunks that overlap, moving windows, and neighbours made one.

use graticule_array::{Array, ArrayError, Boundary, Chunks, Over, Rolling};
use graticule_ops::{ReduceKind, Scalar};
use graticule_plan::DType;
use proptest::prelude::*;

use crate::{
    compare::Near,
    compose::{Made, Value, config, some_axis, value},
    inputs::{Random, Values, array, tensor},
    moves::pair,
    operations::check_built,
};

/// A step of a composition.
pub(crate) fn windowed(random: &mut Random, x: &Value) -> Made {
    let (built, python) = match random.below(3) {
        0 => overlapped(random, x),
        1 => coarsened(random, x),
        _ => sliding(random, x),
    };
    value(built?, python)
}

type Built = (Result<Array, ArrayError>, String);

fn sliding(random: &mut Random, x: &Value) -> Built {
    let ndim = x.array.ndim() as i64;
    let count = 1 + random.below(2);
    let axes: Vec<i64> = (0..count).map(|_| random.within(-ndim, ndim)).collect();
    let windows: Vec<u64> = (0..count).map(|_| 1 + random.below(5) as u64).collect();
    let python = format!(
        "np.lib.stride_tricks.sliding_window_view({}, {windows:?}, axis={axes:?})",
        x.python
    );
    (x.array.sliding_window_view(&windows, axes), python)
}

fn boundary(random: &mut Random) -> (Boundary, &'static str) {
    match random.below(5) {
        0 => (Boundary::None, ""),
        1 => (Boundary::Periodic, "mode='wrap'"),
        2 => (Boundary::Reflect, "mode='symmetric'"),
        3 => (Boundary::Nearest, "mode='edge'"),
        _ => (
            Boundary::Constant(Scalar::Int8(7)),
            "mode='constant', constant_values=7",
        ),
    }
}

/// An overlap along each axis, as NumPy's pads and joins of slices.
fn overlapped(random: &mut Random, x: &Value) -> Built {
    let ndim = x.array.ndim();
    let depth: Vec<(u64, u64)> = (0..ndim)
        .map(|_| (random.below(4) as u64, random.below(4) as u64))
        .collect();
    let boundaries: Vec<(Boundary, &str)> = (0..ndim).map(|_| boundary(random)).collect();
    let kinds: Vec<Boundary> = boundaries.iter().map(|(kind, _)| *kind).collect();
    let made = x.array.overlap(&depth, &kinds);
    let mut python = x.python.clone();
    for (axis, ((before, after), (kind, mode))) in depth.iter().zip(&boundaries).enumerate() {
        if (*before, *after) == (0, 0) {
            continue;
        }
        let widths: Vec<(u64, u64)> = (0..ndim)
            .map(|k| if k == axis { (*before, *after) } else { (0, 0) })
            .collect();
        let is_open = *kind == Boundary::None;
        if !is_open {
            python = format!("np.pad({python}, {widths:?}, {mode})");
        }
        // Chunks of the array before the overlap, from those of the result.
        let lengths = made
            .as_ref()
            .map_or(vec![], |made| made.chunks().axes()[axis].lengths());
        let count = lengths.len();
        let (mut start, mut parts) = (0, Vec::new());
        for (block, len) in lengths.iter().enumerate() {
            let low = if is_open && block == 0 { 0 } else { *before };
            let high = if is_open && block + 1 == count { 0 } else { *after };
            let own = len.saturating_sub(low + high);
            let from = if is_open { start - low as i64 } else { start };
            parts.push(format!("range({from}, {})", from + *len as i64));
            start += own as i64;
        }
        let lists: Vec<String> = parts.iter().map(|part| format!("*{part}")).collect();
        python = format!(
            "np.take({python}, np.array([{}], dtype=int), axis={axis})",
            lists.join(", ")
        );
    }
    (made, python)
}

fn coarsened(random: &mut Random, x: &Value) -> Built {
    use ReduceKind::{All, Any, Max, Min, Sum};
    let kind = random.pick(&[Min, Max, Any, All, Sum]).clone();
    let Some((axis, len)) = some_axis(random, x) else {
        return (x.array.positive(), format!("np.positive({})", x.python));
    };
    let kind = if kind == Sum && x.array.dtype().is_float() {
        Max
    } else {
        kind
    };
    let factor = 1 + random.below(4) as i64;
    let trims = random.one_in(2);
    let kept = if trims { len - len % factor } else { len };
    let shape = x.array.shape();
    let at = axis.rem_euclid(shape.len() as i64) as usize;
    let mut wanted: Vec<i64> = shape.iter().map(|&len| len as i64).collect();
    wanted[at] = kept / factor;
    wanted.insert(at + 1, factor);
    if kept % factor != 0 {
        let python = "np.reshape(np.zeros(3), [2])".into();
        return (x.array.coarsen(kind, &[(axis, factor as u64)], trims), python);
    }
    let part = format!("np.take({}, np.arange({kept}), axis={at})", x.python);
    let python = format!(
        "np.{}(np.reshape({part}, {wanted:?}), axis={})",
        kind.name(),
        at + 1
    );
    (x.array.coarsen(kind, &[(axis, factor as u64)], trims), python)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn windows_are_numpys(seed in any::<u64>()) {
        let (mut random, case) = pair(seed, Values::Wild);
        let x = &case.values[0];
        let (built, python) = match random.below(3) {
            0 => overlapped(&mut random, x),
            1 => coarsened(&mut random, x),
            _ => sliding(&mut random, x),
        };
        check_built(built, &python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn what_overlaps_is_trimmed_to_what_it_was(seed in any::<u64>()) {
        let (mut random, case) = pair(seed, Values::Wild);
        let x = &case.values[0];
        let ndim = x.array.ndim();
        let depth: Vec<(u64, u64)> =
            (0..ndim).map(|_| (random.below(4) as u64, random.below(4) as u64)).collect();
        let kinds: Vec<Boundary> = (0..ndim).map(|_| boundary(&mut random).0).collect();
        let Ok(overlapping) = x.array.overlap(&depth, &kinds) else { return Ok(()) };
        if x.array.size() > 0 {
            check_built(overlapping.trim_overlap(&depth, &kinds), &x.python, &case.inputs, &Near::Same)
                .map_err(TestCaseError::fail)?;
        }
    }

    #[test]
    fn rolling_reductions_are_those_of_windows(seed in any::<u64>()) {
        use ReduceKind::{Count, Max, Mean, Median, Min, Std, Sum, Var};
        let (mut random, case) = pair(seed, Values::Wild);
        let x = &case.values[0];
        let Some((axis, _)) = some_axis(&mut random, x) else { return Ok(()) };
        let kinds = [Sum, Mean, Min, Max, Median, Count, Std { ddof: 0 }, Var { ddof: 1 }];
        let kind = random.pick(&kinds).clone();
        let longest = if random.one_in(4) { 24 } else { 5 };
        let window = 1 + random.below(longest) as u64;
        let needed = if random.one_in(2) { window } else { 1 + random.below(window as usize) as u64 };
        let mut rolling = Rolling::new(window).min_periods(needed);
        let mut before = window - 1;
        if random.one_in(2) {
            rolling = rolling.centered();
            before = window / 2;
        }
        let ndim = x.array.ndim();
        let at = axis.rem_euclid(ndim as i64) as usize;
        let mut widths = vec![(0, 0); ndim];
        widths[at] = (before, window - 1 - before);
        // Infinities give NaN by way of differences: that is tested where reductions are.
        let finite = x.array.clip(Some((-1e6).into(), ), Some(1e6.into())).unwrap();
        let float = if finite.dtype().is_float() { finite.dtype() } else { DType::Float64 };
        let padded = format!(
            "np.pad(np.clip({}, -1e6, 1e6).astype('{float}'), {widths:?}, constant_values=np.nan)",
            x.python
        );
        // Float16 is taken as float64, since NumPy rounds its sums at each step.
        let wide = if float == DType::Float16 { ".astype('float64')" } else { "" };
        let windows = format!("np.lib.stride_tricks.sliding_window_view({padded}{wide}, {window}, axis={at})");
        let count = format!("np.sum(~np.isnan({windows}), axis=-1)");
        let call = match &kind {
            Count => format!("{count}.astype('float64')"),
            Var { .. } => format!("np.nanvar({windows}, axis=-1, ddof=1)"),
            kind => format!("np.nan{}({windows}, axis=-1)", kind.name()),
        };
        if x.array.size() == 0 {
            return Ok(());
        }
        let narrow = if float == DType::Float16 && kind != Count { ".astype('float16')" } else { "" };
        let python = format!("np.where({count} >= {needed}, {call}, np.nan){narrow}");
        let part = match float {
            DType::Float16 => 1e-3,
            DType::Float32 => 1e-5,
            _ => 1e-12,
        };
        let scale = match kind {
            Var { .. } => format!("np.nansum(np.abs({windows}), axis=-1) ** 2 + 1"),
            // The root of a difference that may be nothing but rounding.
            Std { .. } => format!("(np.nansum(np.abs({windows}), axis=-1) + 1) * 1e3"),
            _ => format!("np.nansum(np.abs({windows}), axis=-1) + 1"),
        };
        let near = match kind {
            Min | Max | Count => Near::Same,
            _ => Near::Part(part, scale),
        };
        check_built(finite.rolling(kind, axis, &rolling), &python, &case.inputs, &near)
            .map_err(TestCaseError::fail)?;
    }
}

/// Windows stand along the last axis, but are not laid out there to be reduced.
#[test]
fn windows_along_any_axis_are_reduced_where_they_lie() {
    use ReduceKind::{ArgMax, Max, Median, Sum};
    let mut random = Random::new(3);
    let input = tensor(&mut random, DType::Int32, &[7, 5, 6], Values::Tame);
    let x = array(&mut random, &input);
    let inputs = [("x".to_owned(), input)];
    for (axis, kind, keepdims) in (0..3).flat_map(|axis| {
        let kinds = [ArgMax, Max, Median, Sum];
        kinds
            .into_iter()
            .flat_map(move |kind| [(axis, kind.clone(), false), (axis, kind, true)])
    }) {
        let over = Over {
            keepdims,
            ..Over::axis(-1)
        };
        let reduced = x
            .sliding_window_view(&[3], axis)
            .and_then(|windows| windows.reduce(kind.clone(), &over));
        let (name, keeps) = (kind.name(), if keepdims { "True" } else { "False" });
        let python = format!(
            "np.{name}(np.lib.stride_tricks.sliding_window_view(x, 3, axis={axis}), axis=-1, keepdims={keeps})"
        );
        if !keepdims {
            let text = reduced
                .as_ref()
                .expect("it fits")
                .explain()
                .expect("it is planned")
                .to_string();
            assert!(!text.contains("transpose"), "{text}");
        }
        check_built(reduced, &python, &inputs, &Near::Same).expect("NumPy's windows");
    }
    let quantiles = x
        .sliding_window_view(&[3], 0_i64)
        .and_then(|windows| windows.quantile(&[0.5], &Over::axis(-1)));
    let python = "np.quantile(np.lib.stride_tricks.sliding_window_view(x, 3, axis=0), [0.5], axis=-1)";
    check_built(quantiles, python, &inputs, &Near::Same).expect("NumPy's quantiles");
}

#[test]
fn windows_that_cannot_be_are_refused() {
    let x = Array::zeros(&[5, 4], &[Chunks::Size(2), Chunks::Whole], DType::Float32).unwrap();
    let message = |built: Result<Array, ArrayError>| built.unwrap_err().to_string();
    assert_eq!(
        message(x.sliding_window_view(&[6], 0)),
        "windows of 6 elements along axis 0, whose length is 5"
    );
    assert_eq!(
        message(x.rolling(ReduceKind::First, 0, &Rolling::new(2))),
        "first is not there over moving windows"
    );
    assert_eq!(
        message(x.rolling(ReduceKind::Sum, 0, &Rolling::new(2).min_periods(3))),
        "min_periods must be within 1..=2, not 3"
    );
    assert_eq!(
        message(x.coarsen(ReduceKind::Sum, &[(0, 2)], false)),
        "axis 0 has 5 elements, no multiple of 2: leave the rest out with trim_excess"
    );
    let none = [Boundary::None, Boundary::None];
    assert_eq!(
        message(x.trim_overlap(&[(1, 1), (0, 0)], &none)),
        "chunk 1 of axis 0 has 2 elements, of which 2 are said to overlap"
    );
    assert_eq!(
        message(x.overlap(&[(1, 1)], &none)),
        "1 depths and 2 boundaries for an array of dimension 2: give one of each for each axis"
    );
}

/// Neighbours alone travel, and what is reduced is never stored.
#[test]
fn a_rolling_mean_is_one_task_for_each_chunk() {
    use graticule_array::{LowerOptions, Wanted, lower};

    let data: Vec<f64> = (0..400).map(f64::from).collect();
    let x = Array::from_slice(&[100, 4], &[Chunks::Size(20), Chunks::Whole], &data).unwrap();
    let mean = x.rolling(ReduceKind::Mean, 0, &Rolling::new(7)).unwrap();
    assert_eq!(mean.chunks(), x.chunks());
    let lowered = lower(&[(&mean, Wanted::Deliver)], &LowerOptions::default()).unwrap();
    let last = lowered.plan.layers().last().unwrap();
    assert_eq!(last.grid.block_count(), 5, "{}", lowered.explain());
    // The read, what is put before it, the array with that in front, and the means.
    assert_eq!(lowered.plan.task_count(), 5 + 1 + 5 + 5, "{}", lowered.explain());
    let sum = x.coarsen(ReduceKind::Sum, &[(0, 10)], false).unwrap();
    assert_eq!(sum.sum(&Over::all()).unwrap().shape(), [0u64; 0]);
}
