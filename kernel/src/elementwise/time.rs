//! Arithmetic, comparison and conversion of times as NumPy does them.

use graticule_ops::{BinaryOp, UnaryOp};
use graticule_plan::{DType, TimeUnit};

use super::{BinaryFn, Number, UnaryFn, calendar, map, map_each, zip, zip_each};
use crate::time::{Time, floor_divided};

/// The function of `op` on times, if there is one.
pub(super) fn unary(op: UnaryOp) -> Option<UnaryFn> {
    Some(match op {
        UnaryOp::Positive | UnaryOp::Real => |x, out| out.copy_from_slice(x),
        UnaryOp::Imag => |_, out| out.fill(0),
        // Of NaT the negative wraps to itself.
        UnaryOp::Negative => |x, out| map::<i64, i64>(x, out, Number::negative),
        UnaryOp::Absolute => |x, out| map::<i64, i64>(x, out, Number::absolute),
        UnaryOp::Sign => |x, out| map::<i64, i64>(x, out, Number::sign),
        UnaryOp::IsNan => |x, out| map::<Time, bool>(x, out, Time::is_nat),
        UnaryOp::IsFinite => |x, out| map::<Time, bool>(x, out, |x| !x.is_nat()),
        UnaryOp::IsInf => |_, out| out.fill(0),
        _ => return None,
    })
}

/// A `BinaryFn` of a function of two times.
macro_rules! zipped {
    ($zip:ident, $U:ty, $f:expr) => {
        |x, y, out| {
            $zip::<Time, $U>(x, y, out, $f);
            Ok(())
        }
    };
}

#[inline(always)]
fn both(x: Time, y: Time) -> bool {
    !(x.is_nat() | y.is_nat())
}

#[inline(always)]
fn choose(is_first: bool, x: Time, y: Time) -> Time {
    if is_first { x } else { y }
}

/// The function of `op` on two times of one dtype, if there is one.
pub(super) fn binary(op: BinaryOp) -> Option<BinaryFn> {
    Some(match op {
        BinaryOp::Add => zipped!(zip, Time, |x: Time, y| x.with(y, i64::wrapping_add)),
        BinaryOp::Subtract => zipped!(zip, Time, |x: Time, y| x.with(y, i64::wrapping_sub)),
        BinaryOp::Divide => zipped!(zip, f64, |x: Time, y: Time| match both(x, y) {
            true => x.0 as f64 / y.0 as f64,
            false => f64::NAN,
        }),
        BinaryOp::FloorDivide => zipped!(zip_each, i64, floor_divided),
        BinaryOp::Remainder => zipped!(zip_each, Time, |x: Time, y: Time| match y.0 {
            0 => Time::NAT,
            _ => x.with(y, Number::remainder),
        }),
        BinaryOp::Minimum => zipped!(zip, Time, |x: Time, y: Time| choose(
            x.is_nat() | (x.0 < y.0) & !y.is_nat(),
            x,
            y
        )),
        BinaryOp::Maximum => zipped!(zip, Time, |x: Time, y: Time| choose(
            x.is_nat() | (x.0 > y.0) & !y.is_nat(),
            x,
            y
        )),
        BinaryOp::Fmin => zipped!(zip, Time, |x: Time, y: Time| choose(
            y.is_nat() | (x.0 <= y.0) & !x.is_nat(),
            x,
            y
        )),
        // NaT is the least integer.
        BinaryOp::Fmax => zipped!(zip, Time, |x: Time, y: Time| choose(x.0 >= y.0, x, y)),
        BinaryOp::Equal => zipped!(zip, bool, |x: Time, y: Time| (x.0 == y.0) & both(x, y)),
        BinaryOp::NotEqual => zipped!(zip, bool, |x: Time, y: Time| (x.0 != y.0) | !both(x, y)),
        BinaryOp::Less => zipped!(zip, bool, |x: Time, y: Time| (x.0 < y.0) & both(x, y)),
        BinaryOp::LessEqual => zipped!(zip, bool, |x: Time, y: Time| (x.0 <= y.0) & both(x, y)),
        BinaryOp::Greater => zipped!(zip, bool, |x: Time, y: Time| (x.0 > y.0) & both(x, y)),
        BinaryOp::GreaterEqual => zipped!(zip, bool, |x: Time, y: Time| (x.0 >= y.0) & both(x, y)),
        _ => return None,
    })
}

/// The function that converts between dtypes of which at least one is of times; `between` gives that between numbers.
///
/// As in NumPy a number becomes so many units and back, NaN and what is out of range NaT; and a point in time becomes the
/// length of as many units, and back, whatever both units are.
pub(super) fn cast(from: DType, to: DType, between: fn(DType, DType) -> UnaryFn) -> UnaryFn {
    match (from, to) {
        (DType::DateTime64(from), DType::DateTime64(to)) => convert::<true>(from, to),
        (DType::TimeDelta64(from), DType::TimeDelta64(to)) => convert::<false>(from, to),
        (from, to) if from.is_time() && to.is_time() => |x, out| out.copy_from_slice(x),
        (from, to) if from.is_time() => between(DType::Int64, to),
        (DType::Float32, _) => |x, out| map::<f32, Time>(x, out, |x| Time::from_float(x.into())),
        (DType::Float64, _) => |x, out| map::<f64, Time>(x, out, Time::from_float),
        (DType::Complex64, _) => {
            |x, out| map::<num_complex::Complex<f32>, Time>(x, out, |x| Time::from_float(x.re.into()))
        }
        (DType::Complex128, _) => {
            |x, out| map::<num_complex::Complex<f64>, Time>(x, out, |x| Time::from_float(x.re))
        }
        _ => between(from, DType::Int64),
    }
}

const UNITS: usize = TimeUnit::ALL.len();

/// The function that converts from one unit to another, of points in time or of lengths; it rounds down and wraps.
fn convert<const IS_POINT: bool>(from: TimeUnit, to: TimeUnit) -> UnaryFn {
    macro_rules! to {
        ($from:literal: $($to:literal),*) => {
            [$(converted::<IS_POINT, $from, $to> as UnaryFn),*]
        };
    }
    macro_rules! from {
        ($($from:literal),*) => {
            [$(to!($from: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)),*]
        };
    }
    let table: [[UnaryFn; UNITS]; UNITS] = from!(0, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    table[from as usize][to as usize]
}

fn converted<const IS_POINT: bool, const FROM: usize, const TO: usize>(x: &[u8], out: &mut [u8]) {
    let (from, to) = const { (TimeUnit::ALL[FROM], TimeUnit::ALL[TO]) };
    map_each::<Time, Time>(x, out, |x| match x.is_nat() {
        true => x,
        false if IS_POINT => Time(calendar::point(x.0, from, to)),
        false => Time(calendar::scaled(x.0, from, to)),
    });
}
