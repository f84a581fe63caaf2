use graticule_plan::DType;

/// Why an operation cannot be described or decoded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OpsError {
    /// Bytes are not an encoded program or table of this version.
    #[error("not a valid encoded {what}: {why}")]
    Decode {
        /// What the bytes should have been.
        what: &'static str,
        /// The decoder's reason.
        why: String,
    },
    /// A node names one that does not stand before it.
    #[error("node {node} takes node {operand} as its operand, which does not stand before it")]
    Order {
        /// The node.
        node: usize,
        /// Its operand.
        operand: usize,
    },
    /// A Python scalar does not fit the array's dtype.
    #[error("Python integer {value} out of bounds for {dtype}")]
    OutOfBounds {
        /// The scalar.
        value: i128,
        /// The array's dtype.
        dtype: DType,
    },
    /// Two dtypes have no dtype in common.
    #[error("{a} and {b} have no dtype in common: convert one of them first")]
    Promotion {
        /// One dtype.
        a: DType,
        /// The other one.
        b: DType,
    },
    /// The operation has no meaning for the dtype.
    #[error("{operation} is not supported for {dtype}{hint}")]
    DType {
        /// NumPy's name of the operation.
        operation: &'static str,
        /// The operand's dtype.
        dtype: DType,
        /// What to do instead; may be empty.
        hint: &'static str,
    },
}
