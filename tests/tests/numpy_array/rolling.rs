//! Reductions of moving windows: what they are made of, block by block, shows in no bit of the result.

use graticule_array::{Array, Chunks, Index, Rolling, rewrite::Rewrites};
use graticule_kernel::Tensor;
use graticule_ops::ReduceKind;
use graticule_plan::DType;
use proptest::prelude::*;

use crate::{
    compare::{Near, check, result, same},
    compose::config,
    inputs::{Random, Values, array, tensor},
};

/// An array with an axis of windows, which may be longer than all its chunks, and as long as the axis.
struct Case {
    input: Tensor,
    axis: usize,
    kind: ReduceKind,
    rolling: Rolling,
    needed: u64,
    before: u64,
}

impl Case {
    fn new(random: &mut Random, dtypes: &[DType]) -> Self {
        use ReduceKind::{Count, Max, Mean, Min, Prod, Std, Sum, Var};
        let len = 1 + random.below(40);
        let axis = random.below(3);
        let mut shape: Vec<usize> = (0..2).map(|_| 1 + random.below(4)).collect();
        shape.insert(axis, len);
        let window = match random.below(6) {
            0 => 1,
            1 => len as u64,
            2 => len as u64 + 1,
            _ => 1 + random.below(len.min(20)) as u64,
        };
        let needed = match random.below(3) {
            0 => 1 + random.below(window as usize) as u64,
            1 => 1,
            _ => window,
        };
        let rolling = Rolling::new(window).min_periods(needed);
        let (rolling, before) = match random.one_in(2) {
            true => (rolling.centered(), window / 2),
            false => (rolling, window - 1),
        };
        let kinds = [Sum, Mean, Prod, Min, Max, Count, Std { ddof: 0 }, Var { ddof: 1 }];
        let dtype = *random.pick(dtypes);
        Self {
            input: tensor(random, dtype, &shape, Values::Wild),
            axis,
            kind: random.pick(&kinds).clone(),
            rolling,
            needed,
            before,
        }
    }

    /// Of thirds, whose sums are rounded.
    fn of_thirds(&self, x: &Array) -> Array {
        self.of(&x.multiply(1.0 / 3.0).unwrap())
    }

    fn of(&self, x: &Array) -> Array {
        x.rolling(self.kind.clone(), self.axis as i64, &self.rolling)
            .unwrap()
    }

    fn whole(&self) -> Array {
        let shape: Vec<u64> = self.input.shape().iter().map(|&len| len as u64).collect();
        let (chunks, bytes) = ([const { Chunks::Whole }; 3], self.input.bytes().to_vec());
        Array::from_bytes(self.input.dtype(), &shape, &chunks, bytes).unwrap()
    }

    fn name(&self) -> String {
        let (dtype, shape) = (self.input.dtype(), self.input.shape());
        format!(
            "{:?} along {} of {dtype} {shape:?}, {:?}",
            self.kind, self.axis, self.rolling
        )
    }
}

/// Complex numbers have no order of their own that a window of none of them could show.
const DTYPES: [DType; 8] = [
    DType::Float64,
    DType::Float64,
    DType::Float32,
    DType::Float32,
    DType::Complex128,
    DType::Complex64,
    DType::Int32,
    DType::UInt8,
];

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_chunks_give_the_same_bits(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let case = Case::new(&mut random, &DTYPES);
        let want = result(&case.of_thirds(&case.whole()), Rewrites::All);
        for rewrites in [Rewrites::All, Rewrites::None] {
            let cut = case.of_thirds(&array(&mut random, &case.input));
            match (&want, result(&cut, rewrites)) {
                (Ok(want), Ok(made)) => same(want, &made)
                    .map_err(|why| TestCaseError::fail(format!("{}: {why}, cut {:?}", case.name(), cut.chunks())))?,
                (Err(_), Err(_)) => {}
                (want, made) => return Err(TestCaseError::fail(format!("{}: {want:?}, {made:?}", case.name()))),
            }
        }
    }

    /// A slice leaves blocks out, and those that are left count from where they were.
    #[test]
    fn a_part_has_the_bits_of_the_whole(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let case = Case::new(&mut random, &DTYPES[..4]);
        let rolled = case.of_thirds(&array(&mut random, &case.input));
        let len = case.input.shape()[case.axis];
        let start = random.below(len);
        let stop = start + 1 + random.below(len - start);
        let mut index = vec![Index::Full; 3];
        index[case.axis] = Index::range(start as i64, stop as i64);
        let part = rolled.slice(&index).unwrap();
        let mut extents: Vec<_> = case.input.shape().iter().map(|&len| 0..len as u64).collect();
        extents[case.axis] = start as u64..stop as u64;
        let (Ok(whole), Ok(made)) = (result(&rolled, Rewrites::None), result(&part, Rewrites::All)) else {
            return Ok(());
        };
        let want = whole.region(&extents).unwrap();
        same(&want, &made)
            .map_err(|why| TestCaseError::fail(format!("{}: {why}, {start}..{stop}\n{}", case.name(), part.explain().unwrap())))?;
    }

    /// What is infinite, or huge, shows in its windows alone.
    #[test]
    fn infinities_end_with_their_windows(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let case = Case::new(&mut random, &DTYPES[..4]);
        if matches!(case.kind, ReduceKind::Var { .. } | ReduceKind::Std { .. }) {
            return Ok(());
        }
        let x = array(&mut random, &case.input);
        let (low, high) = (Some((-4.0).into()), Some(4.0.into()));
        let clipped = x.clip(low, high).unwrap();
        let mixed = graticule_array::where_(x.isinf().unwrap(), &x, clipped).unwrap();
        let (window, axis) = (case.rolling.window, case.axis);
        let mut widths = vec![(0, 0); 3];
        widths[axis] = (case.before, window - 1 - case.before);
        let dtype = case.input.dtype();
        let padded = format!(
            "np.pad(np.where(np.isinf(x), x, np.clip(x, -4, 4)).astype('{dtype}'), {widths:?}, constant_values=np.nan)"
        );
        let windows = format!("np.lib.stride_tricks.sliding_window_view({padded}, {window}, axis={axis})");
        let count = format!("np.sum(~np.isnan({windows}), axis=-1)");
        let call = match &case.kind {
            ReduceKind::Count => format!("{count}.astype('float64')"),
            kind => format!("np.nan{}({windows}.astype('float64'), axis=-1)", kind.name()),
        };
        let narrow = if case.kind == ReduceKind::Count { "float64".into() } else { dtype.to_string() };
        let python = format!("np.where({count} >= {}, {call}, np.nan).astype('{narrow}')", case.needed);
        let near = match case.kind {
            ReduceKind::Min | ReduceKind::Max | ReduceKind::Count => Near::Same,
            ReduceKind::Prod => Near::Relative(1e-6),
            _ => Near::Part(1e-13, format!("np.nansum(np.clip(np.abs({windows}), 0, 4), axis=-1) + 1")),
        };
        let inputs = [("x".to_owned(), case.input.clone())];
        check(&case.of(&mixed), &python, &inputs, &near)
            .map_err(|why| TestCaseError::fail(format!("{}: {why}", case.name())))?;
    }
}
