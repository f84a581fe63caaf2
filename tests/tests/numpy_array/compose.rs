//! Random compositions of operations, as arrays and as NumPy expressions side by side.

use graticule_array::{
    Along, Array, ArrayError, Chunks, Index, Operand, Over, binary, concatenate, stack, where_,
};
use graticule_kernel::Tensor;
use graticule_ops::{BinaryOp, ReduceKind, UnaryOp, promote};
use graticule_plan::DType;
use proptest::prelude::*;

use crate::{
    assign::assigned,
    blocks::called,
    compare::{Near, check},
    composed::composed,
    inputs::{Random, Values, array, chunks, shape, tensor},
    lengths::selected,
    moves::rearrange,
    pads::pad,
    provoked::provoked,
    windows::windowed,
};

/// An array and the Python expression that means the same.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) array: Array,
    pub(crate) python: String,
}

/// Values made so far, and the tensors that they are made of.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) inputs: Vec<(String, Tensor)>,
    pub(crate) values: Vec<Value>,
}

impl Case {
    /// Two or three related inputs.
    pub(crate) fn start(random: &mut Random, values: Values) -> Self {
        let mut case = Self {
            inputs: Vec::new(),
            values: Vec::new(),
        };
        let first = shape(random);
        for number in 0..2 + random.below(2) {
            // The others broadcast with the first: some axes of length 1, some leading ones missing.
            let mut shape = first.clone();
            if number > 0 {
                shape
                    .iter_mut()
                    .filter(|_| random.one_in(3))
                    .for_each(|len| *len = 1);
                shape.drain(
                    ..if shape.is_empty() || !random.one_in(4) {
                        0
                    } else {
                        1
                    },
                );
            }
            let dtype = random.dtype();
            case.input(random, dtype, &shape, values);
        }
        case
    }

    pub(crate) fn input(&mut self, random: &mut Random, dtype: DType, shape: &[usize], values: Values) {
        let name = format!("a{}", self.inputs.len());
        let tensor = tensor(random, dtype, shape, values);
        self.values.push(Value {
            array: array(random, &tensor),
            python: name.clone(),
        });
        self.inputs.push((name, tensor));
    }

    /// Applies an operation chosen by `random`; one that does not apply is left out.
    pub(crate) fn step(&mut self, random: &mut Random) {
        let x = random
            .pick(&self.values[self.values.len().saturating_sub(3)..])
            .clone();
        let y = random.pick(&self.values).clone();
        let made = match random.below(29) {
            0 => cast(random, &x),
            1 => unary(random, &x),
            2 | 3 => pair(random, &x, &y),
            4 => with_number(random, &x),
            5 => choose(random, &x, &y),
            6 | 7 => slice(random, &x),
            8 => take(random, &x),
            9 => view(random, &x),
            10 => join(random, &x, &y),
            11 | 12 => rechunk(random, &x),
            13 => reduce(random, &x),
            14 => scan(random, &x),
            15 => product(random, &x, &y),
            16 => sort(random, &x),
            17 | 18 => rearrange(random, &x, &y),
            19 => composed(random, &x, &y),
            20 => pad(random, &x),
            21 => windowed(random, &x),
            22 => assigned(random, &x, &y),
            23 => called(random, &x),
            24 => selected(random, &x),
            25..=27 => provoked(random, &x, &y),
            _ => groups(random, &x),
        };
        // Shapes that do not fit and dtypes that have no such operation are tested elsewhere.
        if let Ok(Some(value)) = made
            && value.array.size() < 5_000
        {
            self.values.push(value);
        }
    }

    pub(crate) fn last(&self) -> &Value {
        self.values.last().expect("a case starts with inputs")
    }
}

/// What a step made, and nothing where it makes no sense.
pub(crate) type Made = Result<Option<Value>, ArrayError>;

pub(crate) fn value(array: Array, python: String) -> Made {
    Ok(Some(Value { array, python }))
}

fn cast(random: &mut Random, x: &Value) -> Made {
    let dtype = random.dtype();
    // What floats outside an integer's range become is not defined in NumPy.
    if x.array.dtype().is_float() && !dtype.is_float() && dtype != DType::Bool {
        return Ok(None);
    }
    value(
        x.array.astype(dtype)?,
        format!("({}).astype('{dtype}')", x.python),
    )
}

fn unary(random: &mut Random, x: &Value) -> Made {
    use UnaryOp::*;
    let op = *random.pick(&[
        Negative, Absolute, Sign, Square, LogicalNot, Invert, IsNan, IsFinite, IsInf, Floor, Ceil, Trunc,
        Rint, Sqrt,
    ]);
    value(x.array.unary(op)?, format!("np.{}({})", op.name(), x.python))
}

fn pair(random: &mut Random, x: &Value, y: &Value) -> Made {
    use BinaryOp::*;
    let op = *random.pick(&[
        Add,
        Subtract,
        Multiply,
        Minimum,
        Maximum,
        Fmin,
        Fmax,
        LogicalAnd,
        LogicalOr,
        LogicalXor,
        BitwiseAnd,
        BitwiseOr,
        BitwiseXor,
        Equal,
        NotEqual,
        Less,
        LessEqual,
        Greater,
        GreaterEqual,
    ]);
    value(
        binary(op, &x.array, &y.array)?,
        format!("np.{}({}, {})", op.name(), x.python, y.python),
    )
}

fn with_number(random: &mut Random, x: &Value) -> Made {
    use BinaryOp::*;
    let op = *random.pick(&[
        Add,
        Subtract,
        Multiply,
        Minimum,
        Maximum,
        Equal,
        Less,
        GreaterEqual,
    ]);
    let (number, text): (Operand, String) = match random.below(4) {
        0 => (2.5.into(), "2.5".into()),
        1 => (true.into(), "True".into()),
        2 => (Operand::typed(3_i16), "np.int16(3)".into()),
        _ => {
            let number = random.within(-3, 300);
            (number.into(), number.to_string())
        }
    };
    if random.one_in(4) {
        return value(
            binary(op, number, &x.array)?,
            format!("np.{}({text}, {})", op.name(), x.python),
        );
    }
    value(
        binary(op, &x.array, number)?,
        format!("np.{}({}, {text})", op.name(), x.python),
    )
}

fn choose(random: &mut Random, x: &Value, y: &Value) -> Made {
    let condition = x.array.greater(0)?;
    let python = format!("np.greater({}, 0)", x.python);
    if random.one_in(2) {
        return value(
            where_(&condition, &y.array, 0)?,
            format!("np.where({python}, {}, 0)", y.python),
        );
    }
    value(
        where_(condition, &x.array, &y.array)?,
        format!("np.where({python}, {}, {})", x.python, y.python),
    )
}

fn slice(random: &mut Random, x: &Value) -> Made {
    let (index, text) = random_index(random, &x.array);
    if text.is_empty() {
        return Ok(None);
    }
    value(
        x.array.slice(&index)?,
        format!("({})[{}]", x.python, text.join(", ")),
    )
}

/// An index, and the texts of its parts.
pub(crate) fn random_index(random: &mut Random, x: &Array) -> (Vec<Index>, Vec<String>) {
    let (mut index, mut text): (Vec<Index>, Vec<String>) = (Vec::new(), Vec::new());
    for len in x.shape() {
        let len = len as i64;
        let bound = |random: &mut Random| (!random.one_in(3)).then(|| random.within(-len - 1, len + 1));
        match random.below(6) {
            0 if len > 0 && random.one_in(2) => {
                let at = random.within(-len, len - 1);
                index.push(Index::At(at));
                text.push(at.to_string());
            }
            1 | 2 => {
                let (start, stop) = (bound(random), bound(random));
                let step = *random.pick(&[1, 1, 2, 3, -1, -2, 7]);
                index.push(Index::Slice { start, stop, step });
                let show = |bound: Option<i64>| bound.map_or(String::new(), |bound| bound.to_string());
                text.push(format!("{}:{}:{step}", show(start), show(stop)));
            }
            3 if random.one_in(4) => {
                index.extend([Index::NewAxis, Index::Full]);
                text.extend(["None".into(), ":".into()]);
            }
            4 if random.one_in(4) => {
                index.push(Index::Ellipsis);
                text.push("...".into());
                break;
            }
            _ => {
                index.push(Index::Full);
                text.push(":".into());
            }
        }
    }
    (index, text)
}

fn take(random: &mut Random, x: &Value) -> Made {
    let Some((axis, len)) = some_axis(random, x) else {
        return Ok(None);
    };
    if len == 0 {
        return Ok(None);
    }
    let is_long = random.one_in(4);
    let count = random.below(if is_long { 50 } else { 6 });
    let mut positions: Vec<i64> = (0..count).map(|_| random.within(-len, len - 1)).collect();
    if random.one_in(2) {
        positions.iter_mut().for_each(|p| *p = p.rem_euclid(len));
        positions.sort_unstable();
    }
    let python = format!(
        "np.take({}, np.array({positions:?}, dtype=int), axis={axis})",
        x.python
    );
    value(x.array.take(&positions, axis)?, python)
}

/// An axis as the user may name it, and its length.
pub(crate) fn some_axis(random: &mut Random, x: &Value) -> Option<(i64, i64)> {
    let shape = x.array.shape();
    if shape.is_empty() {
        return None;
    }
    let axis = random.below(shape.len());
    let named = if random.one_in(2) {
        axis as i64
    } else {
        axis as i64 - shape.len() as i64
    };
    Some((named, shape[axis] as i64))
}

fn view(random: &mut Random, x: &Value) -> Made {
    let Value { array, python } = x;
    let Some((axis, _)) = some_axis(random, x) else {
        return value(array.expand_dims(0)?, format!("np.expand_dims({python}, 0)"));
    };
    let other = some_axis(random, x).expect("it has axes").0;
    match random.below(7) {
        0 => value(array.transpose(), format!("np.transpose({python})")),
        1 => value(
            array.moveaxis(axis, other)?,
            format!("np.moveaxis({python}, {axis}, {other})"),
        ),
        2 => value(
            array.swapaxes(axis, other)?,
            format!("np.swapaxes({python}, {axis}, {other})"),
        ),
        3 => value(
            array.expand_dims(axis)?,
            format!("np.expand_dims({python}, {axis})"),
        ),
        4 => value(array.squeeze(None)?, format!("np.squeeze({python})")),
        5 => value(array.flip(axis)?, format!("np.flip({python}, {axis})")),
        _ => {
            let shape: Vec<u64> = [2]
                .into_iter()
                .chain(array.shape().iter().map(|&len| if len == 1 { 3 } else { len }))
                .collect();
            value(
                array.broadcast_to(&shape)?,
                format!("np.broadcast_to({python}, {shape:?})"),
            )
        }
    }
}

fn join(random: &mut Random, x: &Value, y: &Value) -> Made {
    let Some((axis, _)) = some_axis(random, x) else {
        return Ok(None);
    };
    if random.one_in(3) {
        let joined = stack(&[x.array.clone(), x.array.clone()], axis)?;
        return value(joined, format!("np.stack([{0}, {0}], axis={axis})", x.python));
    }
    let parts = if concatenate(&[x.array.clone(), y.array.clone()], axis).is_ok() {
        [x, y, x]
    } else {
        [x, x, x]
    };
    let parts = &parts[..2 + random.below(2)];
    let arrays: Vec<Array> = parts.iter().map(|part| part.array.clone()).collect();
    let texts: Vec<&str> = parts.iter().map(|part| &part.python[..]).collect();
    value(
        concatenate(&arrays, axis)?,
        format!("np.concatenate([{}], axis={axis})", texts.join(", ")),
    )
}

fn rechunk(random: &mut Random, x: &Value) -> Made {
    let cut = |len| {
        if random.one_in(4) {
            Chunks::Auto
        } else {
            chunks(random, len)
        }
    };
    let cuts: Vec<Chunks> = x.array.shape().into_iter().map(cut).collect();
    value(x.array.rechunk(&cuts)?, x.python.clone())
}

/// Axes of a reduction, and how NumPy's call names them.
pub(crate) fn over(random: &mut Random, x: &Value, single: bool) -> (Over, String) {
    let ndim = x.array.ndim() as i64;
    let mut axes: Vec<i64> = (0..ndim).filter(|_| random.one_in(2)).collect();
    axes.iter_mut()
        .filter(|_| random.one_in(2))
        .for_each(|axis| *axis -= ndim);
    if single {
        axes.truncate(1);
    }
    let mut over = if axes.is_empty() {
        Over::all()
    } else {
        Over::axes(axes.clone())
    };
    let mut text = match axes[..] {
        [] => "axis=None".into(),
        [axis] => format!("axis={axis}"),
        _ => format!(
            "axis=({})",
            axes.iter().map(|axis| format!("{axis},")).collect::<String>()
        ),
    };
    if random.one_in(3) {
        over = over.keepdims();
        text.push_str(", keepdims=True");
    }
    over = over.split_every(2 + random.below(4) as u64);
    (over, text)
}

/// A reduction without rounding, with the NumPy call.
fn reduce(random: &mut Random, x: &Value) -> Made {
    use ReduceKind::*;
    let Value { array, python } = x;
    let is_float = array.dtype().is_float();
    let kind = random
        .pick(&[Sum, Prod, Min, Max, Count, Any, All, Median, ArgMin, ArgMax])
        .clone();
    if matches!(kind, Sum | Prod) && is_float {
        return Ok(None);
    }
    let (mut over, text) = over(random, x, matches!(kind, ArgMin | ArgMax));
    let nan = if is_float && random.one_in(2) { "nan" } else { "" };
    if nan == "nan" {
        over = over.skipna();
    }
    let call = match kind {
        Any | All => format!("np.{}({python}, {text})", kind.name()),
        Count if is_float => format!("np.sum(~np.isnan({python}), {text})"),
        Count => format!("np.sum(np.ones_like({python}, dtype=bool), {text})"),
        ArgMin | ArgMax if nan == "nan" => format!("nan{}({python}, {text})", kind.name()),
        _ => format!("np.{nan}{}({python}, {text})", kind.name()),
    };
    value(array.reduce(kind, &over)?, call)
}

/// A scan without rounding.
fn scan(random: &mut Random, x: &Value) -> Made {
    let Value { array, python } = x;
    let Some((axis, _)) = some_axis(random, x) else {
        return Ok(None);
    };
    let (is_float, skipna) = (array.dtype().is_float(), random.one_in(2));
    let (least, greatest) = match skipna {
        true => ("fmin", "fmax"),
        false => ("minimum", "maximum"),
    };
    match random.below(4) {
        0 => value(
            array.cumulative_min(axis, skipna)?,
            format!("np.{least}.accumulate({python}, axis={axis})"),
        ),
        1 => value(
            array.cumulative_max(axis, skipna)?,
            format!("np.{greatest}.accumulate({python}, axis={axis})"),
        ),
        2 if is_float => value(array.ffill(axis, None)?, crate::scans::filled(python, axis, None)),
        _ if is_float => Ok(None),
        2 => value(
            array.cumulative_prod(&Along::axis(axis))?,
            format!("np.cumprod({python}, axis={axis})"),
        ),
        _ => value(
            array.cumulative_sum(&Along::axis(axis))?,
            format!("np.cumsum({python}, axis={axis})"),
        ),
    }
}

/// A sum of products of integers over an axis; with itself where the lengths differ.
fn product(random: &mut Random, x: &Value, y: &Value) -> Made {
    let (Some((axis, len)), Some((other, other_len))) = (some_axis(random, x), some_axis(random, y)) else {
        return Ok(None);
    };
    // Of int64 and uint64 NumPy makes floats.
    let is_float = promote(x.array.dtype(), y.array.dtype()).is_ok_and(DType::is_float);
    if is_float || x.array.ndim() + y.array.ndim() > 5 {
        return Ok(None);
    }
    if len != other_len {
        let (array, python) = (&x.array, &x.python);
        return value(
            array.tensordot(array, &[axis], &[axis])?,
            format!("np.tensordot({python}, {python}, axes=([{axis}], [{axis}]))"),
        );
    }
    value(
        x.array.tensordot(&y.array, &[axis], &[other])?,
        format!(
            "np.tensordot({}, {}, axes=([{axis}], [{other}]))",
            x.python, y.python
        ),
    )
}

/// Sorted lines, positions that sort them, or the place of each element among others.
fn sort(random: &mut Random, x: &Value) -> Made {
    let Value { array, python } = x;
    let Some((axis, _)) = some_axis(random, x) else {
        return Ok(None);
    };
    match random.below(3) {
        0 => value(
            array.sort(axis, false)?,
            format!("np.sort({python}, axis={axis})"),
        ),
        1 => value(
            array.argsort(axis, false)?,
            format!("np.argsort({python}, axis={axis}, stable=True)"),
        ),
        _ => value(
            array.topk(2, axis)?,
            format!(
                "np.flip(np.sort({python}, axis={axis}), {axis}).take(range(min(2, np.shape({python})[{axis}])), {axis})"
            ),
        ),
    }
}

/// A reduction by groups, with each group spelled out for NumPy.
fn groups(random: &mut Random, x: &Value) -> Made {
    use ReduceKind::*;
    let Value { array, python } = x;
    let Some((axis, len)) = some_axis(random, x) else {
        return Ok(None);
    };
    let labels: Vec<Option<char>> = (0..len)
        .map(|_| (!random.one_in(5)).then(|| *random.pick(&['b', 'c', 'a'])))
        .collect();
    let kind = random.pick(&[Min, Max, Any, All, Median, Sum]).clone();
    if labels.iter().all(Option::is_none) || (kind == Sum && array.dtype().is_float()) {
        return Ok(None);
    }
    let (array, groups) = array.groupby_reduce(axis, &labels, kind.clone(), false)?;
    let call = |group: &char| {
        let positions: Vec<usize> = (0..labels.len())
            .filter(|&i| labels[i].as_ref() == Some(group))
            .collect();
        format!(
            "np.{}(np.take({python}, {positions:?}, axis={axis}), axis={axis}, keepdims=True)",
            kind.name()
        )
    };
    let calls: Vec<String> = groups.iter().map(call).collect();
    value(
        array,
        format!("np.concatenate([{}], axis={axis})", calls.join(", ")),
    )
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn compositions_give_what_numpy_gives(seed in any::<u64>(), steps in prop::collection::vec(any::<u64>(), 1..12)) {
        let mut case = Case::start(&mut Random::new(seed), Values::Wild);
        steps.into_iter().for_each(|step| case.step(&mut Random::new(step)));
        let Value { array, python } = case.last();
        check(array, python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
    }
}

/// Random cases of each property; `GRATICULE_CASES` asks for more.
pub(crate) fn config() -> ProptestConfig {
    let cases = std::env::var("GRATICULE_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(400);
    ProptestConfig {
        cases,
        max_shrink_iters: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
