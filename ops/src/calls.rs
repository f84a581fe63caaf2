//! The body of a layer whose tasks call a function: its name and, for each task, the arguments.

use graticule_plan::DType;
use serde::{Deserialize, Serialize};

use crate::OpsError;

/// The function that gives its only argument back. Every worker knows it.
pub const VALUE_FUNCTION: &str = "graticule.value";

/// Calls of one function.
///
/// Values that several of the calls have in common are written once.
///
/// ```
/// use graticule_ops::{Argument, Calls, InlineValue};
/// use graticule_plan::DType;
///
/// let three = InlineValue { dtype: DType::Int64, shape: vec![], bytes: 3_i64.to_le_bytes().to_vec() };
/// let calls = Calls {
///     function: "square".into(),
///     values: vec![three],
///     arguments: vec![vec![Argument::Value(0)], vec![Argument::Result { input: 0, place: 0 }]],
/// };
/// assert_eq!(Calls::decode(&calls.encode())?, calls);
/// # Ok::<(), graticule_ops::OpsError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// The name by which workers know the function.
    pub function: String,
    /// Values that arguments refer to.
    pub values: Vec<InlineValue>,
    /// The arguments of each call, by block.
    pub arguments: Vec<Vec<Argument>>,
}

/// One argument of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Argument {
    /// The value at a position of [`Calls::values`].
    Value(u32),
    /// The result of another call: a chunk of the layer's input.
    Result {
        /// Position of the input.
        input: u32,
        /// Position in the input's row of the call's block.
        place: u32,
    },
}

/// A value within the plan: a tensor's elements, native endian, in C order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InlineValue {
    /// Their dtype.
    pub dtype: DType,
    /// The shape.
    pub shape: Vec<u64>,
    /// The elements.
    pub bytes: Vec<u8>,
}

impl Calls {
    /// The body of a layer.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("calls encode into memory")
    }

    /// Reads a layer's body.
    ///
    /// # Errors
    /// [`OpsError::Decode`], also where an argument names a value that is not there.
    pub fn decode(bytes: &[u8]) -> Result<Self, OpsError> {
        let failed = |why: String| OpsError::Decode { what: "calls", why };
        let calls: Self = postcard::from_bytes(bytes).map_err(|error| failed(error.to_string()))?;
        let count = calls.values.len();
        let is_there = |argument: &Argument| match argument {
            Argument::Value(at) => (*at as usize) < count,
            Argument::Result { .. } => true,
        };
        if calls.arguments.iter().flatten().all(is_there) {
            Ok(calls)
        } else {
            Err(failed(format!("an argument is none of its {count} values")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_calls_are_refused() {
        let calls = Calls {
            function: "f".into(),
            values: Vec::new(),
            arguments: vec![vec![Argument::Value(0)]],
        };
        let why = Calls::decode(&calls.encode()).unwrap_err().to_string();
        assert!(why.contains("none of its 0 values"), "{why}");
        assert!(Calls::decode(&[255; 5]).is_err());
    }
}
