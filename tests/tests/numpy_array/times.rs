//! Points in time and lengths of time against NumPy, in random chunks.

use graticule_array::{
    Along, Array, ArrayError, Chunks, Grouping, Index, Operand, Over, binary, concatenate, result_type,
    where_,
};
use graticule_kernel::Tensor;
use graticule_ops::{BinaryOp, ReduceKind, Scalar, UnaryOp};
use graticule_plan::{DType, Kind, TimeUnit};
use graticule_tests::numpy::Numpy;
use proptest::prelude::*;

use crate::{
    compare::{Near, check},
    compose::{Case, config, over},
    inputs::{Random, Values, array, shape},
    operations::check_built,
};

const UNITS: usize = TimeUnit::ALL.len();

/// A dtype of times by number.
fn dtype_of(number: usize) -> DType {
    DType::ALL[DType::NUMBERS.len() + number]
}

/// Counts that every unit holds, with some NaT. `far` lets them go to the years 1700 to 2200, of any unit.
fn counts(random: &mut Random, dtype: DType, shape: &[usize], far: bool) -> Tensor {
    let unit = dtype.unit().unwrap();
    let most = if far {
        (i128::from(i64::MAX) / 2 / unit.nanoseconds()) as i64
    } else {
        40
    };
    let mut count = || match random.below(8) {
        0 => i64::MIN,
        1 => random.within(-3, 3),
        2 => random.within(-30, 30),
        _ => random.within(-most, most),
    };
    let bytes: Vec<u8> = (0..shape.iter().product())
        .flat_map(|_| count().to_le_bytes())
        .collect();
    Tensor::from_bytes(dtype, shape, bytes.into()).unwrap()
}

fn single(seed: u64, dtype: DType, far: bool) -> (Case, Random) {
    let mut random = Random::new(seed);
    let mut case = Case {
        inputs: Vec::new(),
        values: Vec::new(),
    };
    let shape = shape(&mut random);
    add(&mut case, &mut random, dtype, &shape, far);
    (case, random)
}

/// Adds an array of any dtype to a case.
fn add(case: &mut Case, random: &mut Random, dtype: DType, shape: &[usize], far: bool) {
    if !dtype.is_time() {
        case.input(random, dtype, shape, Values::Tame);
        return;
    }
    let (name, tensor) = (
        format!("a{}", case.inputs.len()),
        counts(random, dtype, shape, far),
    );
    case.values.push(crate::compose::Value {
        array: array(random, &tensor),
        python: name.clone(),
    });
    case.inputs.push((name, tensor));
}

fn checked(built: Result<Array, ArrayError>, python: &str, case: &Case) -> Result<(), TestCaseError> {
    check_built(built, python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)
}

const BINARY: [BinaryOp; 24] = {
    use BinaryOp::*;
    [
        Add,
        Add,
        Subtract,
        Subtract,
        Multiply,
        Divide,
        FloorDivide,
        Remainder,
        Fmod,
        Power,
        Minimum,
        Maximum,
        Fmin,
        Fmax,
        LogicalAnd,
        LogicalOr,
        LogicalXor,
        BitwiseAnd,
        Equal,
        NotEqual,
        Less,
        LessEqual,
        Greater,
        GreaterEqual,
    ]
};

const UNARY: [UnaryOp; 15] = {
    use UnaryOp::*;
    [
        Negative, Positive, Absolute, Sign, Real, Imag, IsNan, IsFinite, IsInf, Square, LogicalNot, Invert,
        Sqrt, Floor, Conjugate,
    ]
};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn units_convert_as_numpys(seed in any::<u64>(), from in 0..2 * UNITS, to in 0..2 * UNITS) {
        let (case, _) = single(seed, dtype_of(from), true);
        let to = dtype_of(to);
        checked(case.last().array.astype(to), &format!("a0.astype('{to}')"), &case)?;
    }

    #[test]
    fn numbers_and_times_convert_as_numpys(seed in any::<u64>(), time in 0..2 * UNITS,
            number in 0..DType::NUMBERS.len(), is_back in any::<bool>()) {
        let (time, number) = (dtype_of(time), DType::NUMBERS[number]);
        let (from, to) = if is_back { (number, time) } else { (time, number) };
        let (case, _) = single(seed, from, false);
        checked(case.last().array.astype(to), &format!("a0.astype('{to}')"), &case)?;
        // NaN and what is out of range are NaT.
        let wild = Array::from_slice(&[4], &[Chunks::Size(3)], &[f64::NAN, 1e30, -7.9, f64::NEG_INFINITY]).unwrap();
        checked(wild.astype(time), &format!("np.array(['NaT', 'NaT', -7, 'NaT'], '{time}')"), &case)?;
    }

    #[test]
    fn pairs_are_numpys(seed in any::<u64>(), op in 0..BINARY.len(), time in 0..2 * UNITS,
            other in 0..DType::ALL.len(), same_kind in any::<bool>(), turned in any::<bool>()) {
        let (op, mut random) = (BINARY[op], Random::new(seed));
        // Half of them are times with others, of which the most go together.
        let other = if same_kind { dtype_of(other % (2 * UNITS)) } else { DType::ALL[other] };
        let mut dtypes = [dtype_of(time), other];
        if turned {
            dtypes.reverse();
        }
        let mut case = Case { inputs: Vec::new(), values: Vec::new() };
        let first = shape(&mut random);
        add(&mut case, &mut random, dtypes[0], &first, false);
        let second: Vec<usize> = first.iter().map(|&len| if random.one_in(3) { 1 } else { len }).collect();
        add(&mut case, &mut random, dtypes[1], &second, false);
        let python = format!("np.{}(a0, a1)", op.name());
        checked(binary(op, &case.values[0].array, &case.values[1].array), &python, &case)?;
    }

    #[test]
    fn single_operands_are_numpys(seed in any::<u64>(), op in 0..UNARY.len(), time in 0..2 * UNITS) {
        let (case, _) = single(seed, dtype_of(time), true);
        let op = UNARY[op];
        checked(case.last().array.unary(op), &format!("np.{}(a0)", op.name()), &case)?;
    }

    #[test]
    fn weak_numbers_count_units_as_numpys(seed in any::<u64>(), op in 0..BINARY.len(), time in 0..2 * UNITS,
            number in 0..6usize, is_left in any::<bool>()) {
        let (case, _) = single(seed, dtype_of(time), false);
        let numbers: [(Operand, &str); 6] = [
            (3.into(), "3"), ((-2).into(), "-2"), (0.into(), "0"), (2.5.into(), "2.5"), (true.into(), "True"),
            (Operand::typed(-3_i8), "np.int8(-3)"),
        ];
        let ((number, text), op, x) = (numbers[number].clone(), BINARY[op], &case.last().array);
        let (built, python) = match is_left {
            true => (binary(op, number, x), format!("np.{}({text}, a0)", op.name())),
            false => (binary(op, x, number), format!("np.{}(a0, {text})", op.name())),
        };
        checked(built, &python, &case)?;
    }

    #[test]
    fn reductions_are_numpys(seed in any::<u64>(), time in 0..2 * UNITS, kind in 0..12usize) {
        use ReduceKind::*;
        let dtype = dtype_of(time);
        let (case, mut random) = single(seed, dtype, true);
        let kind = [Sum, Prod, Min, Max, Any, All, Median, Var { ddof: 0 }, ArgMin, ArgMax, Mean, Count][kind].clone();
        let is_place = matches!(kind, ArgMin | ArgMax);
        let (over, text) = over(&mut random, case.last(), is_place);
        let python = match kind {
            Count => format!("np.sum(~np.isnat(a0), {text})"),
            // This is another one than NumPy's, which has none.
            Mean if dtype.kind() == Kind::DateTime => return Ok(()),
            // Sums wrap to NaT, and halves of what has wrapped are cut off otherwise, only far from here.
            _ => format!("np.{}(a0, {text})", kind.name()),
        };
        checked(case.last().array.reduce(kind, &over), &python, &case)?;
    }

    #[test]
    fn reductions_that_leave_nat_out_are_numpys(seed in any::<u64>(), time in 0..2 * UNITS, kind in 0..5usize) {
        use ReduceKind::*;
        let dtype = dtype_of(time);
        let (case, mut random) = single(seed, dtype, kind != 4);
        let kind = [Min, Max, Sum, Mean, Median][kind].clone();
        let (over, text) = over(&mut random, case.last(), false);
        // NumPy leaves NaT out of these only.
        let zeros = "np.where(np.isnat(a0), np.zeros((), a0.dtype), a0)";
        let python = match kind {
            Sum => format!("np.sum({zeros}, {text})"),
            Mean if dtype.kind() == Kind::DateTime => return Ok(()),
            Mean => format!("np.sum({zeros}, {text}) / np.sum(~np.isnat(a0), {text})"),
            // Of points it has one where all of them are NaT.
            Median if dtype.kind() == Kind::DateTime => {
                prop_assert!(case.last().array.median(&over).is_err());
                return Ok(());
            }
            // Of few elements it takes it by way of floats; and it refuses an array without any.
            Median if case.last().array.size() == 0 => return Ok(()),
            _ => format!("np.nan{}(a0, {text})", kind.name()),
        };
        checked(case.last().array.reduce(kind, &over.skipna()), &python, &case)?;
    }

    #[test]
    fn means_of_points_are_those_of_their_microseconds(seed in any::<u64>(), unit in 0..UNITS, skipna in any::<bool>()) {
        let dtype = DType::DateTime64(TimeUnit::ALL[unit]);
        let (case, mut random) = single(seed, dtype, false);
        let (mut over, text) = over(&mut random, case.last(), false);
        if case.last().array.size() == 0 {
            return Ok(());
        }
        let first = format!("np.nanmin(a0, {})", text.replace(", keepdims=True", "") + ", keepdims=True");
        let nan = if skipna { "nan" } else { "" };
        if skipna {
            over = over.skipna();
        }
        let mean = format!("np.{nan}mean((a0 - {first}) / np.timedelta64(1, 'us'), {text})");
        let python = format!(
            "(np.nanmin(a0, {text}) + np.rint({mean}).astype('m8[us]').astype((a0 - a0).dtype)).astype(a0.dtype)"
        );
        if unit < 2 {
            // Microseconds of months are of no fixed number.
            prop_assert!(case.last().array.mean(&over).is_err());
            return Ok(());
        }
        checked(case.last().array.mean(&over), &python, &case)?;
    }

    #[test]
    fn scans_are_numpys(seed in any::<u64>(), time in 0..2 * UNITS, kind in 0..4usize) {
        let (case, mut random) = single(seed, dtype_of(time), false);
        let x = &case.last().array;
        if x.ndim() == 0 {
            return Ok(());
        }
        let axis = random.below(x.ndim()) as i64;
        let (built, python) = match kind {
            0 => (x.cumulative_sum(&Along::axis(axis)), format!("np.cumsum(a0, axis={axis})")),
            1 => (x.cumulative_prod(&Along::axis(axis)), format!("np.cumprod(a0, axis={axis})")),
            2 => (x.cumulative_min(axis, false), format!("np.minimum.accumulate(a0, axis={axis})")),
            _ => (x.cumulative_max(axis, true), format!("np.fmax.accumulate(a0, axis={axis})")),
        };
        checked(built, &python, &case)?;
    }

    #[test]
    fn order_is_numpys(seed in any::<u64>(), time in 0..2 * UNITS, kind in 0..6usize) {
        let (mut case, mut random) = single(seed, dtype_of(time), true);
        let unit = dtype_of(time).unit().unwrap();
        let other = match dtype_of(time).kind() {
            Kind::DateTime => DType::DateTime64(unit),
            _ => DType::TimeDelta64(unit),
        };
        add(&mut case, &mut random, other, &[5], true);
        let (x, line) = (&case.values[0].array, &case.values[1].array);
        if x.ndim() == 0 {
            return Ok(());
        }
        let axis = random.below(x.ndim()) as i64;
        let (built, python) = match kind {
            0 => (x.sort(axis, false), format!("np.sort(a0, axis={axis})")),
            1 => (x.argsort(axis, false), format!("np.argsort(a0, axis={axis}, stable=True)")),
            2 => (line.sort(0, false).and_then(|line| line.searchsorted(x, false)), "np.searchsorted(np.sort(a1), a0)".into()),
            3 => (line.sort(0, false).and_then(|line| line.searchsorted(x, true)), "np.searchsorted(np.sort(a1), a0, side='right')".into()),
            4 => (x.isin(line, false), "np.isin(a0, a1)".into()),
            _ => (x.sort(axis, true), format!("np.flip(np.sort(a0, axis={axis}), {axis})")),
        };
        checked(built, &python, &case)?;
    }

    #[test]
    fn what_moves_elements_is_numpys(seed in any::<u64>(), time in 0..2 * UNITS, unit in 0..UNITS, kind in 0..9usize) {
        let dtype = dtype_of(time);
        let other = match dtype.kind() {
            Kind::DateTime => DType::DateTime64(TimeUnit::ALL[unit]),
            _ => DType::TimeDelta64(TimeUnit::ALL[unit]),
        };
        let (mut case, mut random) = single(seed, dtype, false);
        let shape: Vec<usize> = case.inputs[0].1.shape().to_vec();
        add(&mut case, &mut random, other, &shape, false);
        case.input(&mut random, DType::Bool, &shape, Values::Wild);
        let [x, y, condition] = [0, 1, 2].map(|number| case.values[number].array.clone());
        if x.ndim() == 0 {
            return Ok(());
        }
        let nat = Operand::Typed(Scalar::time(i64::MIN, dtype).unwrap());
        let (built, python) = match kind {
            0 => (where_(&condition, &x, &y), "np.where(a2, a0, a1)"),
            1 => (x.where_valid(&condition), "np.where(a2, a0, np.array('NaT', a0.dtype))"),
            2 => (concatenate(&[x, y], 0), "np.concatenate([a0, a1])"),
            3 => (x.slice(&[Index::Slice { start: None, stop: None, step: -2 }]), "a0[::-2]"),
            4 => (x.diff(1, 0, None, None), "np.diff(a0, axis=0)"),
            5 => (x.ediff1d(None, None), "np.ediff1d(a0)"),
            6 => (x.clip(Some(y.into()), Some(nat)), "np.clip(a0, a1, np.array('NaT', a0.dtype))"),
            7 => (x.roll(&[1], Some(&[0])), "np.roll(a0, 1, axis=0)"),
            _ => (x.put_mask(&condition, nat), "np.where(a2, np.array('NaT', a0.dtype), a0)"),
        };
        checked(built, python, &case)?;
    }

    #[test]
    fn fields_are_those_of_the_calendar(seed in any::<u64>(), unit in 0..UNITS, field in 0..12usize) {
        let mut random = Random::new(seed);
        let unit = TimeUnit::ALL[unit];
        // Python's own calendar knows the years from 1 on; of nanoseconds it has none.
        let most = i128::from(i64::MAX / 4).min(1_900 * TimeUnit::Year.nanoseconds()) / unit.nanoseconds();
        let counts: Vec<u8> = (0..24).flat_map(|_| random.within(-most as i64, most as i64).to_le_bytes()).collect();
        let x = Tensor::from_bytes(DType::DateTime64(unit), &[6, 4], counts.into()).unwrap();
        let lazy = array(&mut random, &x);
        let (built, python) = match field {
            0 => (lazy.year(), "d.year"),
            1 => (lazy.month(), "d.month"),
            2 => (lazy.day(), "d.day"),
            3 => (lazy.dayofyear(), "d.timetuple().tm_yday"),
            4 => (lazy.hour(), "d.hour"),
            5 => (lazy.minute(), "d.minute"),
            6 => (lazy.second(), "d.second"),
            7 => (lazy.microsecond(), "d.microsecond"),
            8 => (lazy.weekday(), "d.weekday()"),
            9 => (lazy.quarter(), "(d.month + 2) // 3"),
            10 => (lazy.is_leap_year(), "(d.replace(month=3, day=1) - d.replace(month=2, day=28)).days == 2"),
            _ => (lazy.days_in_month(), "((d.replace(day=28) - d.replace(day=1)).days + 1 + \
                sum((d.replace(day=28) + (d.replace(month=1, day=2) - d.replace(month=1, day=1)) * k).month == d.month for k in (1, 2, 3)))"),
        };
        let python = format!("np.array([{python} for d in x.astype('M8[us]').astype(object).ravel()]).reshape(x.shape)");
        check_built(built, &python, &[("x".to_owned(), x)], &Near::Same).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn dtypes_promote_as_numpys_or_not_at_all() {
    for a in DType::ALL {
        for b in DType::ALL {
            let kinds = [a.kind(), b.kind()];
            // NumPy takes a length for a point here, and nowhere else.
            if kinds.contains(&Kind::DateTime) && kinds.contains(&Kind::TimeDelta) {
                continue;
            }
            let python = format!("np.zeros(0, np.result_type('{a}', '{b}'))");
            let want = Numpy::shared().eval(&python, &[]).ok().map(|made| made.dtype());
            let of = |dtype| Array::zeros(&[0], &[Chunks::Whole], dtype).unwrap();
            assert_eq!(result_type(&[of(a), of(b)]).ok(), want, "{a} and {b}");
        }
    }
}

#[test]
fn rows_of_times_are_numpys() {
    for (start, stop, step) in [(0, 10, 3), (5, -7, -2), (3, 3, 1), (9, 0, 4), (-4, 5, 9)] {
        for dtype in [
            DType::DateTime64(TimeUnit::Month),
            DType::TimeDelta64(TimeUnit::Nanosecond),
        ] {
            let row = Array::arange_times(start, stop, step, dtype, Chunks::Size(2)).unwrap();
            let python = format!("np.arange({start}, {stop}, {step}).astype('{dtype}')");
            check(&row, &python, &[], &Near::Same).unwrap();
        }
    }
    let refused = |start, step, dtype| Array::arange_times(start, 9, step, dtype, Chunks::Whole).is_err();
    assert!(refused(0, 0, DType::DateTime64(TimeUnit::Day)));
    assert!(refused(i64::MIN, 1, DType::DateTime64(TimeUnit::Day)));
    assert!(refused(0, 1, DType::Int64));
}

#[test]
fn nat_has_no_field_and_no_place() {
    let days = DType::DateTime64(TimeUnit::Day);
    let x = Array::from_times(days, &[3], &[Chunks::Size(2)], &[i64::MIN, 0, 18_321]).unwrap();
    let fields = [
        x.year(),
        x.month(),
        x.dayofyear(),
        x.hour(),
        x.weekday(),
        x.quarter(),
        x.days_in_month(),
    ];
    for field in fields {
        check(
            &field.unwrap().slice(&[Index::At(0)]).unwrap(),
            "np.asarray(-2**63)",
            &[],
            &Near::Same,
        )
        .unwrap();
    }
    check(
        &x.is_leap_year().unwrap(),
        "np.array([False, False, True])",
        &[],
        &Near::Same,
    )
    .unwrap();
    let first = x.argmin(&Over::all().skipna()).unwrap();
    check(&first, "np.asarray(1)", &[], &Near::Same).unwrap();
    let filled = x.bfill(0, None).unwrap();
    check(&filled, "np.array([0, 0, 18321], 'M8[D]')", &[], &Near::Same).unwrap();
    let numbers = Array::ones(&[3], &[Chunks::Whole], DType::Int64).unwrap();
    assert!(numbers.year().is_err() && numbers.hour().is_err() && numbers.isnat().is_err());
    assert!(x.isnat().is_ok());
}

/// What takes numbers alone says so, and never takes the number of units for one by itself.
#[test]
fn what_is_of_numbers_is_refused_by_name() {
    let x = Array::from_times(
        DType::TimeDelta64(TimeUnit::Second),
        &[4],
        &[Chunks::Size(2)],
        &[1, 2, 3, 4],
    )
    .unwrap();
    let whole = Over::all();
    let refused: Vec<(&str, Result<Array, ArrayError>)> = vec![
        ("sqrt", x.sqrt()),
        ("square", x.square()),
        ("power", x.power(2)),
        ("prod", x.prod(&whole)),
        ("var", x.var(0, &whole)),
        ("quantile", x.quantile(&[0.5], &whole)),
        ("round", x.round(1)),
        (
            "average",
            x.average(None, &whole).and(x.average(Some(&x), &whole)),
        ),
        ("sinc", x.sinc()),
        ("histogram", x.histogram(&[0.0, 1.0], None, false)),
        ("digitize", x.digitize(&[0.0, 1.0], false)),
        ("bincount", x.bincount(5, None)),
        ("signbit", x.signbit()),
        ("angle", x.angle(false)),
        ("products", x.dot(&x)),
        ("cumprod", x.cumprod(Some(0))),
        (
            "gradient",
            x.gradient(&[], graticule_array::Axes::all(), 1)
                .map(|mut all| all.remove(0)),
        ),
        ("float_power", x.float_power(2)),
    ];
    for (name, built) in refused {
        let message = built.expect_err(name).to_string();
        assert!(
            message.contains(name) && message.contains("timedelta64[s]"),
            "{name}: {message}"
        );
    }
}

#[test]
fn groups_of_times_have_their_extremes() {
    let days = DType::DateTime64(TimeUnit::Day);
    let x = Array::from_times(days, &[5], &[Chunks::Size(2)], &[4, i64::MIN, 9, 1, 7]).unwrap();
    for (kind, want) in [
        (ReduceKind::Max, "[9, 7, 'NaT']"),
        (ReduceKind::First, "[4, 1, 'NaT']"),
    ] {
        let made = x.reduce_groups(0, &[0, 1, 0, 1, 1], 3, kind, true).unwrap();
        check(&made, &format!("np.array({want}, 'M8[D]')"), &[], &Near::Same).unwrap();
    }
    let few = Grouping::new([0], [0, 1, 0, 1, 1], 3).skipna().min_count(2);
    let made = x.group_reduce(&few, ReduceKind::Min).unwrap();
    check(&made, "np.array([4, 1, 'NaT'], 'M8[D]')", &[], &Near::Same).unwrap();
    let few = few.min_count(3);
    let made = x.group_reduce(&few, ReduceKind::Max).unwrap();
    check(
        &made,
        "np.array(['NaT', 'NaT', 'NaT'], 'M8[D]')",
        &[],
        &Near::Same,
    )
    .unwrap();
    let lengths = x
        .subtract(Operand::Typed(Scalar::DateTime64(0, TimeUnit::Day)))
        .unwrap();
    let medians = lengths
        .reduce_groups(0, &[0, 1, 0, 1, 1], 2, ReduceKind::Median, true)
        .unwrap();
    check(&medians, "np.array([6, 4], 'm8[D]')", &[], &Near::Same).unwrap();
}
