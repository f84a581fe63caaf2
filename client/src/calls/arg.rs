use std::sync::Arc;

use graticule_kernel::{Tensor, Value};
use graticule_ops::InlineValue;

use super::Future;

/// An argument of a call: a value, or the result of another call.
#[derive(Debug, Clone)]
pub enum Arg {
    /// The value goes along with the call. Large ones, and those that many calls need, are better scattered.
    Value(Value),
    /// The value goes along once with all calls of a batch that have it: clones of one handle are one value.
    Shared(Arc<InlineValue>),
    /// The call waits for the result.
    Future(Future),
}

impl Arg {
    /// Bytes that go along with the call.
    pub(crate) fn nbytes(&self) -> u64 {
        match self {
            Arg::Value(value) => value.nbytes(),
            Arg::Shared(_) | Arg::Future(_) => 0,
        }
    }
}

impl Arg {
    /// A value for many calls, see [`Arg::Shared`].
    pub fn shared(value: &Value) -> Self {
        Arg::Shared(Arc::new(value.inline()))
    }
}

impl From<Future> for Arg {
    fn from(future: Future) -> Self {
        Arg::Future(future)
    }
}

impl From<&Future> for Arg {
    fn from(future: &Future) -> Self {
        Arg::Future(future.clone())
    }
}

impl From<&Value> for Arg {
    fn from(value: &Value) -> Self {
        Arg::Value(value.clone())
    }
}

macro_rules! values {
    ($($type:ty),*) => {$(
        impl From<$type> for Arg {
            fn from(value: $type) -> Self {
                Arg::Value(value.into())
            }
        }
    )*};
}

values!(
    Value,
    Tensor,
    bytes::Bytes,
    Vec<u8>,
    &[u8],
    &str,
    String,
    bool,
    i8,
    i16,
    i32,
    i64,
    u8,
    u16,
    u32,
    u64,
    f32,
    f64
);
