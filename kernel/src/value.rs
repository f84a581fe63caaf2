//! What functions of users take and give.

use bytes::Bytes;
use graticule_ops::{Complex, InlineValue, Scalar};

use crate::{Chunk, Element, KernelError, Tensor};

/// An argument or result of a user's function: a tensor, of which bytes and text are those of one axis of `uint8`.
///
/// Cloning is cheap.
///
/// ```
/// use graticule_kernel::Value;
///
/// assert_eq!(Value::from("word").text(), Some("word"));
/// assert_eq!(Value::from(3_i64).number::<i64>(), Some(3));
/// assert_eq!(Value::from(3_i64).number::<f32>(), None);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Value(Tensor);

impl Value {
    /// The tensor.
    pub fn tensor(&self) -> &Tensor {
        &self.0
    }

    /// The tensor, handed over.
    pub fn into_tensor(self) -> Tensor {
        self.0
    }

    /// The bytes, if it is one axis of `uint8`.
    pub fn bytes(&self) -> Option<&[u8]> {
        (self.0.ndim() == 1).then(|| self.0.as_slice::<u8>()).flatten()
    }

    /// The text, if it is bytes that are UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// The number, if it is a single one of this type.
    pub fn number<T: Element + Copy>(&self) -> Option<T> {
        match self.0.as_slice::<T>()? {
            [number] => Some(*number),
            _ => None,
        }
    }

    /// Bytes of its elements.
    pub fn nbytes(&self) -> u64 {
        self.0.nbytes()
    }

    /// The form in which it stands in a plan.
    pub fn inline(&self) -> InlineValue {
        InlineValue {
            dtype: self.0.dtype(),
            shape: self.0.shape().iter().map(|&len| len as u64).collect(),
            bytes: self.0.bytes().to_vec(),
        }
    }

    /// The value that stands in a plan.
    ///
    /// # Errors
    /// [`KernelError`] if its bytes do not fit its shape.
    pub fn from_inline(inline: &InlineValue) -> Result<Self, KernelError> {
        let lens = inline
            .shape
            .iter()
            .map(|&len| usize::try_from(len).unwrap_or(usize::MAX));
        let shape: Vec<usize> = lens.collect();
        let bytes = Bytes::copy_from_slice(&inline.bytes);
        Ok(Self(Tensor::from_bytes(inline.dtype, &shape, bytes)?))
    }

    /// The value that a chunk is.
    ///
    /// # Errors
    /// [`KernelError::Window`] if it is a tuple.
    pub fn from_chunk(chunk: Chunk) -> Result<Self, KernelError> {
        match <[Tensor; 1]>::try_from(chunk.into_parts()) {
            Ok([tensor]) => Ok(Self(tensor)),
            Err(parts) => {
                let count = parts.len();
                Err(KernelError::Window(format!(
                    "a chunk of {count} parts is no value"
                )))
            }
        }
    }
}

impl From<Tensor> for Value {
    fn from(tensor: Tensor) -> Self {
        Self(tensor)
    }
}

impl From<Value> for Chunk {
    fn from(value: Value) -> Self {
        Chunk::from(value.0)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        let len = bytes.len();
        Self(Tensor::from_vec(&[len], bytes).expect("as many elements as bytes"))
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::from(bytes.to_vec())
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        let len = bytes.len();
        Self(
            Tensor::from_bytes(graticule_plan::DType::UInt8, &[len], bytes)
                .expect("as many elements as bytes"),
        )
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::from(text.into_bytes())
    }
}

macro_rules! numbers {
    ($($type:ty => $variant:ident),*) => {$(
        impl From<$type> for Value {
            fn from(number: $type) -> Self {
                Self(Tensor::scalar(Scalar::$variant(number)))
            }
        }
    )*};
}

numbers!(bool => Bool, i8 => Int8, i16 => Int16, i32 => Int32, i64 => Int64, u8 => UInt8, u16 => UInt16,
    u32 => UInt32, u64 => UInt64, f32 => Float32, f64 => Float64, Complex<f32> => Complex64,
    Complex<f64> => Complex128);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_same_in_a_plan_and_as_a_chunk() {
        let tensor = Tensor::from_vec(&[2, 3], vec![1.5_f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        for value in [
            Value::from(tensor),
            Value::from(""),
            Value::from(vec![1, 2]),
            Value::from(7_u16),
        ] {
            assert_eq!(Value::from_inline(&value.inline()).unwrap(), value);
            assert_eq!(Value::from_chunk(Chunk::from(value.clone())).unwrap(), value);
        }
        let pair = Chunk::new(vec![Tensor::scalar(Scalar::Bool(true)); 2]).unwrap();
        assert!(Value::from_chunk(pair).is_err());
    }

    #[test]
    fn a_value_is_only_what_it_is() {
        assert_eq!(Value::from(vec![255_u8]).text(), None);
        assert_eq!(Value::from(1.0_f64).bytes(), None);
        assert_eq!(Value::from(7_u8).bytes(), None, "a number, no bytes");
        assert_eq!(Value::from("ab").number::<u8>(), None);
    }
}
