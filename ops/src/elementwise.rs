use graticule_plan::DType;
use serde::{Deserialize, Serialize};

use crate::OpsError;

/// An operation on each element, named as NumPy's function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)] // Each variant is the NumPy function of the same name in CamelCase.
pub enum UnaryOp {
    Negative,
    Positive,
    Absolute,
    Sign,
    Square,
    Reciprocal,
    LogicalNot,
    Invert,
    IsNan,
    IsFinite,
    IsInf,
    Sqrt,
    Cbrt,
    Exp,
    Exp2,
    Expm1,
    Log,
    Log2,
    Log10,
    Log1p,
    Sin,
    Cos,
    Tan,
    Arcsin,
    Arccos,
    Arctan,
    Sinh,
    Cosh,
    Tanh,
    Arcsinh,
    Arccosh,
    Arctanh,
    Floor,
    Ceil,
    Trunc,
    Rint,
    Deg2rad,
    Rad2deg,
    Conjugate,
    Real,
    Imag,
    /// The distance to the next float away from 0.
    Spacing,
    /// The modified Bessel function of the first kind, of order 0.
    I0,
    /// The first of `frexp`: a fraction within 0.5..1, with the element's sign.
    Mantissa,
    /// The second of `frexp`: the power of 2 that the fraction is multiplied by.
    Exponent,
}

/// An operation on pairs of elements, named as NumPy's function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)] // Each variant is the NumPy function of the same name in CamelCase.
pub enum BinaryOp {
    Add,
    Subtract,
    Multiply,
    /// True division; operands are floats or complex.
    Divide,
    FloorDivide,
    /// NumPy's `remainder`: the sign of the divisor.
    Remainder,
    /// C's `fmod`: the sign of the dividend.
    Fmod,
    Power,
    Minimum,
    Maximum,
    Fmin,
    Fmax,
    Arctan2,
    Hypot,
    Copysign,
    LogicalAnd,
    LogicalOr,
    LogicalXor,
    BitwiseAnd,
    BitwiseOr,
    BitwiseXor,
    LeftShift,
    RightShift,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Nextafter,
    /// The first operand times 2 to the power of the second, which is a whole number in the same float dtype.
    Ldexp,
}

impl UnaryOp {
    /// NumPy's name.
    pub const fn name(self) -> &'static str {
        match self {
            UnaryOp::Negative => "negative",
            UnaryOp::Positive => "positive",
            UnaryOp::Absolute => "absolute",
            UnaryOp::Sign => "sign",
            UnaryOp::Square => "square",
            UnaryOp::Reciprocal => "reciprocal",
            UnaryOp::LogicalNot => "logical_not",
            UnaryOp::Invert => "invert",
            UnaryOp::IsNan => "isnan",
            UnaryOp::IsFinite => "isfinite",
            UnaryOp::IsInf => "isinf",
            UnaryOp::Sqrt => "sqrt",
            UnaryOp::Cbrt => "cbrt",
            UnaryOp::Exp => "exp",
            UnaryOp::Exp2 => "exp2",
            UnaryOp::Expm1 => "expm1",
            UnaryOp::Log => "log",
            UnaryOp::Log2 => "log2",
            UnaryOp::Log10 => "log10",
            UnaryOp::Log1p => "log1p",
            UnaryOp::Sin => "sin",
            UnaryOp::Cos => "cos",
            UnaryOp::Tan => "tan",
            UnaryOp::Arcsin => "arcsin",
            UnaryOp::Arccos => "arccos",
            UnaryOp::Arctan => "arctan",
            UnaryOp::Sinh => "sinh",
            UnaryOp::Cosh => "cosh",
            UnaryOp::Tanh => "tanh",
            UnaryOp::Arcsinh => "arcsinh",
            UnaryOp::Arccosh => "arccosh",
            UnaryOp::Arctanh => "arctanh",
            UnaryOp::Floor => "floor",
            UnaryOp::Ceil => "ceil",
            UnaryOp::Trunc => "trunc",
            UnaryOp::Rint => "rint",
            UnaryOp::Deg2rad => "deg2rad",
            UnaryOp::Rad2deg => "rad2deg",
            UnaryOp::Conjugate => "conjugate",
            UnaryOp::Real => "real",
            UnaryOp::Imag => "imag",
            UnaryOp::Spacing => "spacing",
            UnaryOp::I0 => "i0",
            UnaryOp::Mantissa | UnaryOp::Exponent => "frexp",
        }
    }

    /// The dtypes to cast the operand to first, and of the result, for an operand of `dtype`.
    ///
    /// Booleans and integers of 8 bits become float16 for the functions that need floats, those of 16 bits float32, wider
    /// ones float64.
    ///
    /// # Errors
    /// [`OpsError::DType`] where NumPy raises too.
    pub fn dtypes(self, dtype: DType) -> Result<(DType, DType), OpsError> {
        use UnaryOp::*;
        let refuse = |hint| {
            Err(OpsError::DType {
                operation: self.name(),
                dtype,
                hint,
            })
        };
        let is_bool = dtype == DType::Bool;
        if dtype.is_time() {
            let is_length = matches!(dtype, DType::TimeDelta64(_));
            return match self {
                IsNan | IsFinite | IsInf => Ok((dtype, DType::Bool)),
                Real | Imag => Ok((dtype, dtype)),
                Negative | Positive | Absolute | Sign if is_length => Ok((dtype, dtype)),
                _ => refuse(": convert to a number of units first"),
            };
        }
        match self {
            Negative if is_bool => refuse(": use logical_not"),
            Positive | Sign if is_bool => refuse(": cast to an integer first"),
            // NumPy computes these on booleans as int8.
            Square | Reciprocal | Conjugate if is_bool => Ok((DType::Int8, DType::Int8)),
            Real | Imag => Ok((dtype, dtype.real())),
            Absolute if dtype.is_complex() => Ok((dtype, dtype.real())),
            Floor | Ceil | Trunc | Cbrt | Deg2rad | Rad2deg | Spacing | I0 | Mantissa | Exponent
                if dtype.is_complex() =>
            {
                refuse(": take the real and the imaginary part apart")
            }
            Conjugate | Negative | Positive | Absolute | Sign | Square | Reciprocal => Ok((dtype, dtype)),
            Floor | Ceil | Trunc => Ok((dtype, dtype)),
            LogicalNot | IsNan | IsFinite | IsInf => Ok((dtype, DType::Bool)),
            Invert if dtype.is_inexact() => refuse(": cast to an integer first"),
            Invert => Ok((dtype, dtype)),
            I0 if !dtype.is_float() => Ok((DType::Float64, DType::Float64)),
            Exponent => Ok((float_of(dtype), DType::Int32)),
            _ => {
                let float = float_of(dtype);
                Ok((float, float))
            }
        }
    }
}

/// The float or complex dtype in which mathematics on `dtype` is done.
fn float_of(dtype: DType) -> DType {
    match dtype {
        _ if dtype.is_inexact() => dtype,
        _ if dtype.size_bytes() == 1 => DType::Float16,
        _ if dtype.size_bytes() == 2 => DType::Float32,
        _ => DType::Float64,
    }
}

impl BinaryOp {
    /// NumPy's name.
    pub const fn name(self) -> &'static str {
        match self {
            BinaryOp::Add => "add",
            BinaryOp::Subtract => "subtract",
            BinaryOp::Multiply => "multiply",
            BinaryOp::Divide => "divide",
            BinaryOp::FloorDivide => "floor_divide",
            BinaryOp::Remainder => "remainder",
            BinaryOp::Fmod => "fmod",
            BinaryOp::Power => "power",
            BinaryOp::Minimum => "minimum",
            BinaryOp::Maximum => "maximum",
            BinaryOp::Fmin => "fmin",
            BinaryOp::Fmax => "fmax",
            BinaryOp::Arctan2 => "arctan2",
            BinaryOp::Hypot => "hypot",
            BinaryOp::Copysign => "copysign",
            BinaryOp::LogicalAnd => "logical_and",
            BinaryOp::LogicalOr => "logical_or",
            BinaryOp::LogicalXor => "logical_xor",
            BinaryOp::BitwiseAnd => "bitwise_and",
            BinaryOp::BitwiseOr => "bitwise_or",
            BinaryOp::BitwiseXor => "bitwise_xor",
            BinaryOp::LeftShift => "left_shift",
            BinaryOp::RightShift => "right_shift",
            BinaryOp::Equal => "equal",
            BinaryOp::NotEqual => "not_equal",
            BinaryOp::Less => "less",
            BinaryOp::LessEqual => "less_equal",
            BinaryOp::Greater => "greater",
            BinaryOp::GreaterEqual => "greater_equal",
            BinaryOp::Nextafter => "nextafter",
            BinaryOp::Ldexp => "ldexp",
        }
    }

    /// The dtypes to cast both operands to first, and of the result, for operands whose promoted dtype is `common`.
    ///
    /// # Errors
    /// [`OpsError::DType`] where NumPy raises too.
    pub fn dtypes(self, common: DType) -> Result<(DType, DType), OpsError> {
        use BinaryOp::*;
        let refuse = |hint| {
            Err(OpsError::DType {
                operation: self.name(),
                dtype: common,
                hint,
            })
        };
        let is_bool = common == DType::Bool;
        if let Some(unit) = common.unit() {
            let is_length = matches!(common, DType::TimeDelta64(_));
            return match self {
                // A point in time less another one is a length; a length is added to it as the point as far from 1970.
                Subtract if !is_length => Ok((common, DType::TimeDelta64(unit))),
                Add | Subtract | Minimum | Maximum | Fmin | Fmax => Ok((common, common)),
                Divide if is_length => Ok((common, DType::Float64)),
                FloorDivide if is_length => Ok((common, DType::Int64)),
                Remainder if is_length => Ok((common, common)),
                Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual => Ok((common, DType::Bool)),
                _ => refuse(": convert to a number of units first"),
            };
        }
        match self {
            Subtract if is_bool => refuse(": use logical_xor"),
            FloorDivide | Remainder | Fmod | Arctan2 | Hypot | Copysign | Nextafter | Ldexp
                if common.is_complex() =>
            {
                refuse(": take the real and the imaginary part apart")
            }
            Add | Multiply | Subtract | Minimum | Maximum | Fmin | Fmax => Ok((common, common)),
            // NumPy computes these on booleans as int8.
            FloorDivide | Remainder | Fmod | Power | LeftShift | RightShift if is_bool => {
                Ok((DType::Int8, DType::Int8))
            }
            FloorDivide | Remainder | Fmod | Power => Ok((common, common)),
            Divide if !common.is_inexact() => Ok((DType::Float64, DType::Float64)),
            Divide => Ok((common, common)),
            Arctan2 | Hypot | Copysign | Nextafter | Ldexp => Ok((float_of(common), float_of(common))),
            BitwiseAnd | BitwiseOr | BitwiseXor | LeftShift | RightShift if common.is_inexact() => {
                refuse(": cast to an integer first")
            }
            BitwiseAnd | BitwiseOr | BitwiseXor | LeftShift | RightShift => Ok((common, common)),
            LogicalAnd | LogicalOr | LogicalXor => Ok((common, DType::Bool)),
            Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual => Ok((common, DType::Bool)),
        }
    }
}
