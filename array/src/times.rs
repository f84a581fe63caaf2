//! Points in time and lengths of time: NumPy's datetime64 and timedelta64.
//!
//! What the dtypes share with numbers goes the way of numbers; here is what their units and their meaning ask for.

use graticule_ops::{BinaryOp, OpsError, Scalar, UnaryOp, promote};
use graticule_plan::{DType, Kind, TimeUnit};

use crate::{
    Array, ArrayError, Chunks, Operand, Over, binary, creation::grid_of_chunks, expression::Op, infer::unify,
    operand::common_dtype, where_,
};

/// The kind of an operand, weak or not.
fn kind(operand: &Operand) -> Kind {
    match operand {
        Operand::Int(_) => Kind::Signed,
        Operand::Float(_) => Kind::Float,
        Operand::Complex(_) => Kind::Complex,
        Operand::Bool(_) => Kind::Bool,
        Operand::Array(_) | Operand::Typed(_) => operand.dtype().expect("it is strong").kind(),
    }
}

fn is_whole(kind: Kind) -> bool {
    matches!(kind, Kind::Bool | Kind::Signed | Kind::Unsigned)
}

/// An operand as an array of a dtype.
fn as_dtype(operand: Operand, dtype: DType) -> Result<Array, ArrayError> {
    operand.into_array(dtype)?.astype(dtype)
}

/// An integer or float operand as an array, weak ones in the dtype of their kind.
fn as_number(operand: Operand) -> Result<Array, ArrayError> {
    let dtype = common_dtype([&operand])?;
    as_dtype(operand, dtype)
}

/// An operation of two operands of which one is of times; `None` if neither is.
///
/// What units have in common is the finer one; a number beside a time counts its units.
pub(crate) fn times_binary(op: BinaryOp, x: &Operand, y: &Operand) -> Option<Result<Array, ArrayError>> {
    let is_time = |operand: &Operand| operand.dtype().is_some_and(DType::is_time);
    if !is_time(x) && !is_time(y) {
        return None;
    }
    let (x, y) = (x.clone(), y.clone());
    use BinaryOp::*;
    Some(match op {
        Add | Subtract => sum(op, x, y),
        Multiply => match (kind(&x), kind(&y)) {
            (Kind::TimeDelta, _) => multiple(x, y),
            (_, Kind::TimeDelta) => multiple(y, x),
            _ => refused(op, &x, &y),
        },
        Divide | FloorDivide | Remainder => match (kind(&x), kind(&y)) {
            (Kind::TimeDelta, Kind::TimeDelta) => plain(op, x, y),
            (Kind::TimeDelta, _) if op != Remainder => part(op, x, y),
            _ => refused(op, &x, &y),
        },
        LogicalAnd | LogicalOr | LogicalXor => truths(op, x, y),
        _ => plain(op, x, y),
    })
}

fn refused<T>(op: BinaryOp, x: &Operand, y: &Operand) -> Result<T, ArrayError> {
    let dtype = [x, y]
        .into_iter()
        .filter_map(Operand::dtype)
        .find(|dtype| dtype.is_time());
    Err(OpsError::DType {
        operation: op.name(),
        dtype: dtype.expect("one of them is of times"),
        hint: " with what stands beside it",
    }
    .into())
}

/// Two operands of the dtype that both have in common.
fn plain(op: BinaryOp, x: Operand, y: Operand) -> Result<Array, ArrayError> {
    let (operand, result) = op.dtypes(common_dtype([&x, &y])?)?;
    let (operands, grid) = unify(vec![as_dtype(x, operand)?, as_dtype(y, operand)?])?;
    Ok(Array::new(Op::Binary(op), operands, result, grid))
}

/// Whether elements are true: what is not 0, NaT too.
fn truths(op: BinaryOp, x: Operand, y: Operand) -> Result<Array, ArrayError> {
    let truth = |operand| as_number(operand)?.astype(DType::Bool);
    binary(op, truth(x)?, truth(y)?)
}

/// A sum or a difference of lengths, or of a point and a length; or the length between two points.
fn sum(op: BinaryOp, x: Operand, y: Operand) -> Result<Array, ArrayError> {
    let (left, right) = (kind(&x), kind(&y));
    let is_length = |kind| kind == Kind::TimeDelta || is_whole(kind);
    match (left, right) {
        (Kind::DateTime, Kind::DateTime) if op == BinaryOp::Subtract => plain(op, x, y),
        (Kind::DateTime, other) if is_length(other) => moved(op, x, y),
        (other, Kind::DateTime) if op == BinaryOp::Add && is_length(other) => moved(op, y, x),
        (one, other) if is_length(one) && is_length(other) => {
            let dtypes = [&x, &y].into_iter().filter_map(Operand::dtype);
            let common = dtypes
                .filter(|dtype| dtype.is_time())
                .map(Ok)
                .reduce(|a: Result<_, OpsError>, b| promote(a?, b?))
                .expect("one of them is of times")?;
            plain(op, as_dtype(x, common)?.into(), as_dtype(y, common)?.into())
        }
        _ => refused(op, &x, &y),
    }
}

/// A point in time so much later, or earlier. The length is given to the kernel as the point as far from 1970.
fn moved(op: BinaryOp, point: Operand, length: Operand) -> Result<Array, ArrayError> {
    let at = point.dtype().expect("points are never weak");
    let unit = at.unit().expect("points have units");
    let common = match length.dtype().and_then(DType::unit) {
        // Days are added to months, as the first ones of these; but months to days are of no fixed number.
        Some(of_length) if of_length.is_of_calendar() && !unit.is_of_calendar() => {
            return refused(op, &length, &point);
        }
        Some(of_length) => unit.max(of_length),
        None => unit,
    };
    let mut length = as_dtype(length, DType::TimeDelta64(common))?;
    if op == BinaryOp::Subtract {
        length = length.negative()?;
    }
    let dtype = DType::DateTime64(common);
    let (operands, grid) = unify(vec![as_dtype(point, dtype)?, length.astype(dtype)?])?;
    Ok(Array::new(Op::Binary(BinaryOp::Add), operands, dtype, grid))
}

/// A length times a number; a product with a float is cut off.
fn multiple(length: Operand, number: Operand) -> Result<Array, ArrayError> {
    let by = kind(&number);
    if !is_whole(by) && by != Kind::Float {
        return refused(BinaryOp::Multiply, &length, &number);
    }
    let length = as_number(length)?;
    let counted = if by == Kind::Float {
        DType::Float64
    } else {
        DType::Int64
    };
    let number = as_number(number)?.astype(counted)?;
    let product = length.astype(counted)?.multiply(number)?;
    valid(&length, length.notnull()?, product)
}

/// A length divided by a number and cut off, by whichever division; by 0 it is NaT.
fn part(op: BinaryOp, length: Operand, number: Operand) -> Result<Array, ArrayError> {
    match kind(&number) {
        Kind::Float => {
            let length = as_number(length)?;
            let number = as_number(number)?.astype(DType::Float64)?;
            let quotient = length.astype(DType::Float64)?.divide(number)?;
            valid(&length, length.notnull()?, quotient)
        }
        Kind::Signed | Kind::Unsigned => {
            let length = as_number(length)?;
            let (count, number) = (
                length.astype(DType::Int64)?,
                as_number(number)?.astype(DType::Int64)?,
            );
            // Without the rest, which has the sign of the length, the division goes up.
            let even = count.subtract(count.fmod(&number)?)?;
            let is_valid = length.notnull()?.bitwise_and(number.not_equal(0)?)?;
            valid(&length, is_valid, even.floor_divide(number)?)
        }
        _ => refused(op, &length, &number),
    }
}

/// Counts as lengths where something holds, and NaT elsewhere.
fn valid(length: &Array, is_valid: Array, counts: Array) -> Result<Array, ArrayError> {
    let dtype = length.dtype();
    where_(is_valid, counts.astype(dtype)?, Operand::Typed(nat(dtype)))
}

/// NaT of a dtype of times.
pub(crate) fn nat(dtype: DType) -> Scalar {
    Scalar::time(i64::MIN, dtype).expect("a dtype of times")
}

/// The mean of points in time, as xarray takes it: of the lengths from the first one, as floats of microseconds.
pub(crate) fn mean_of_points(x: &Array, over: &Over) -> Result<Array, ArrayError> {
    let whole = Over {
        keepdims: true,
        skipna: true,
        ..over.clone()
    };
    let first = x.min(&whole)?;
    let of_first = match over.keepdims {
        true => first.clone(),
        false => x.min(&Over {
            skipna: true,
            ..over.clone()
        })?,
    };
    let lengths = x.subtract(&first)?;
    let micros = DType::TimeDelta64(TimeUnit::Microsecond);
    let one = Operand::Typed(Scalar::time(1, micros).expect("a dtype of times"));
    // NaT divides to NaN.
    let mean = lengths.divide(one)?.mean(over)?;
    let length = mean.rint()?.astype(micros)?.astype(lengths.dtype())?;
    of_first.add(length)
}

impl Array {
    /// An array of times, each a count of the dtype's units; `i64::MIN` is NaT. Its elements travel with the plan.
    ///
    /// ```
    /// use graticule_array::{Array, Chunks};
    /// use graticule_plan::{DType, TimeUnit};
    ///
    /// let days = Array::from_times(DType::DateTime64(TimeUnit::Day), &[3], &[Chunks::Whole], &[0, 59, i64::MIN])?;
    /// assert_eq!(days.month()?.dtype(), DType::Int64);
    /// # Ok::<(), graticule_array::ArrayError>(())
    /// ```
    ///
    /// # Errors
    /// [`ArrayError::Ops`] if the dtype is not of times; as [`Array::from_slice`].
    pub fn from_times(
        dtype: DType,
        shape: &[u64],
        chunks: &[Chunks],
        counts: &[i64],
    ) -> Result<Array, ArrayError> {
        check_times("from_times", dtype)?;
        let bytes = counts.iter().flat_map(|count| count.to_le_bytes()).collect();
        Self::from_bytes(dtype, shape, chunks, bytes)
    }

    /// Times in a row: `start`, `start + step`, and so on before `stop`, in the dtype's unit.
    ///
    /// NumPy's `arange` of datetime64 or timedelta64.
    ///
    /// # Errors
    /// [`ArrayError::Ops`] if the dtype is not of times, [`ArrayError::Arange`] for a step of 0 or NaT; as
    /// [`Array::rechunk`] for `chunks`.
    pub fn arange_times(
        start: i64,
        stop: i64,
        step: i64,
        dtype: DType,
        chunks: Chunks,
    ) -> Result<Array, ArrayError> {
        check_times("arange", dtype)?;
        let wide = i128::from;
        let count = (wide(stop) - wide(start) + wide(step) - wide(step.signum())).checked_div(wide(step));
        let is_time = [start, stop, step].iter().all(|time| *time != i64::MIN);
        let len = count
            .filter(|_| is_time)
            .and_then(|count| u64::try_from(count.max(0)).ok());
        let (start_f, stop_f, step_f) = (start as f64, stop as f64, step as f64);
        let len = len.ok_or(ArrayError::Arange {
            start: start_f,
            stop: stop_f,
            step: step_f,
        })?;
        let grid = grid_of_chunks(&[len], &[chunks], DType::Int64)?;
        Array::new(Op::Arange { start, step }, vec![], DType::Int64, grid).astype(dtype)
    }

    /// Tells of each time whether it is NaT.
    ///
    /// # Errors
    /// [`ArrayError::Ops`] of what is not of times.
    pub fn isnat(&self) -> Result<Array, ArrayError> {
        check_times("isnat", self.dtype())?;
        self.unary(UnaryOp::IsNan)
    }

    /// The whole `inner` units of each point in time since the beginning of its `outer` unit, and `first` more, as int64.
    fn field(
        &self,
        operation: &'static str,
        outer: TimeUnit,
        inner: TimeUnit,
        first: i64,
    ) -> Result<Array, ArrayError> {
        let dtype = self.dtype();
        if dtype.kind() != Kind::DateTime {
            let hint = ": only datetime64 has a calendar";
            return Err(OpsError::DType {
                operation,
                dtype,
                hint,
            }
            .into());
        }
        let inner = DType::DateTime64(inner);
        let begin = self.astype(DType::DateTime64(outer))?.astype(inner)?;
        self.astype(inner)?
            .subtract(begin)?
            .add(first)?
            .astype(DType::Int64)
    }

    /// The day of the week, Monday as 0. NaT gives the least integer.
    ///
    /// # Errors
    /// [`ArrayError::Ops`] of what is not datetime64.
    pub fn weekday(&self) -> Result<Array, ArrayError> {
        // The 1st of January 1970 was a Thursday, and NumPy's weeks begin with one.
        let since_thursday = self.field("weekday", TimeUnit::Week, TimeUnit::Day, 3)?;
        self.or_nat(since_thursday.remainder(7)?)
    }

    /// The year, of the proleptic Gregorian calendar with a year 0. NaT gives the least integer.
    ///
    /// # Errors
    /// [`ArrayError::Ops`] of what is not datetime64.
    pub fn year(&self) -> Result<Array, ArrayError> {
        // There is no longer unit than the year, so this one is counted from 1970.
        if self.dtype().kind() != Kind::DateTime {
            return self.field("year", TimeUnit::Year, TimeUnit::Year, 0);
        }
        let years = self.astype(DType::DateTime64(TimeUnit::Year))?;
        years.add(1970)?.astype(DType::Int64)
    }

    /// The quarter of the year, from 1. NaT gives the least integer.
    ///
    /// # Errors
    /// [`ArrayError::Ops`] of what is not datetime64.
    pub fn quarter(&self) -> Result<Array, ArrayError> {
        let quarter = self
            .field("quarter", TimeUnit::Year, TimeUnit::Month, 0)?
            .floor_divide(3)?
            .add(1)?;
        self.or_nat(quarter)
    }

    /// The number of days of the month. NaT gives the least integer.
    ///
    /// # Errors
    /// [`ArrayError::Ops`] of what is not datetime64.
    pub fn days_in_month(&self) -> Result<Array, ArrayError> {
        let (dtype, operation, hint) = (self.dtype(), "days_in_month", ": only datetime64 has a calendar");
        if dtype.kind() != Kind::DateTime {
            return Err(OpsError::DType {
                operation,
                dtype,
                hint,
            }
            .into());
        }
        let month = self.astype(DType::DateTime64(TimeUnit::Month))?;
        let days = DType::DateTime64(TimeUnit::Day);
        let len = month.add(1)?.astype(days)?.subtract(month.astype(days)?)?;
        len.astype(DType::Int64)
    }

    /// Tells of each point in time whether its year is a leap year.
    ///
    /// # Errors
    /// [`ArrayError::Ops`] of what is not datetime64.
    pub fn is_leap_year(&self) -> Result<Array, ArrayError> {
        let year = self.year()?;
        let divides = |by: i64| year.remainder(by)?.equal(0);
        let is_leap = divides(4)?
            .bitwise_and(divides(100)?.logical_not()?)?
            .bitwise_or(divides(400)?)?;
        is_leap.bitwise_and(self.notnull()?)
    }

    /// Numbers where this array is not NaT, the least integer elsewhere.
    fn or_nat(&self, numbers: Array) -> Result<Array, ArrayError> {
        where_(self.notnull()?, numbers, i64::MIN)
    }
}

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident => $outer:ident, $inner:ident, $first:literal;)*) => {
        impl Array {$(
            $(#[$doc])*
            ///
            /// NaT gives the least integer, which it is converted to.
            /// xarray's `dt` accessor of the same name.
            ///
            /// # Errors
            /// [`ArrayError::Ops`] of what is not datetime64.
            pub fn $name(&self) -> Result<Array, ArrayError> {
                self.field(stringify!($name), TimeUnit::$outer, TimeUnit::$inner, $first)
            }
        )*}
    };
}

fields! {
    /// The month of the year, from 1.
    month => Year, Month, 1;
    /// The day of the month, from 1.
    day => Month, Day, 1;
    /// The day of the year, from 1.
    dayofyear => Year, Day, 1;
    /// The hour of the day.
    hour => Day, Hour, 0;
    /// The minute of the hour.
    minute => Hour, Minute, 0;
    /// The second of the minute.
    second => Minute, Second, 0;
    /// The microsecond of the second.
    microsecond => Second, Microsecond, 0;
    /// The nanosecond of the microsecond.
    nanosecond => Microsecond, Nanosecond, 0;
}

fn check_times(operation: &'static str, dtype: DType) -> Result<(), ArrayError> {
    if dtype.is_time() {
        return Ok(());
    }
    let hint = ": it is of datetime64 and timedelta64";
    Err(OpsError::DType {
        operation,
        dtype,
        hint,
    }
    .into())
}
