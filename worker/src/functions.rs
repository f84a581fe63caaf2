//! The functions that a worker can call, by name.

use std::{
    collections::BTreeMap,
    error::Error,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use graticule_data::zarr::write_zarr_block;
use graticule_kernel::{BlockCall, BlockFunction, BlockFunctions, Chunk, Value};

use crate::{call::panic_text, underway::Underway};

/// Why a function failed. Its causes are told too.
pub type FunctionError = Box<dyn Error + Send + Sync>;

type Call = dyn Fn(&[Value]) -> Result<Value, FunctionError> + Send + Sync;
type Begin = dyn Fn(&[Value]) -> Option<Box<dyn Underway>> + Send + Sync;

/// The functions of a worker, by the names by which clients call them. Clones share the functions.
///
/// ```
/// use graticule_worker::{Registry, Value};
///
/// let mut registry = Registry::new();
/// registry.function("word_count", |inputs: &[Value]| {
///     let text = inputs[0].text().ok_or("the first argument must be text")?;
///     Ok(Value::from(text.split_whitespace().count() as u64))
/// });
/// assert_eq!(registry.names().collect::<Vec<_>>(), ["word_count"]);
/// ```
#[derive(Clone, Default)]
pub struct Registry {
    functions: Arc<BTreeMap<Arc<str>, Function>>,
}

/// One function, as the worker calls it.
#[derive(Clone)]
enum Function {
    /// With values.
    Values(ValueFunction),
    /// With blocks of arrays.
    Blocks(Arc<BlockFunction>),
}

/// A function that is called with values.
#[derive(Clone)]
pub(crate) struct ValueFunction {
    call: Arc<Call>,
    begin: Option<Arc<Begin>>,
    pub(crate) is_quick: bool,
}

/// Gives its argument back: a value that a client scatters.
const VALUE: &str = graticule_ops::VALUE_FUNCTION;

impl Registry {
    /// With what every worker knows by itself.
    pub(crate) fn with_own(&self) -> Self {
        let mut whole = self.clone();
        whole.quick_function(VALUE, |inputs| match inputs {
            [value] => Ok(value.clone()),
            others => Err(format!("one value is expected, there are {}", others.len()).into()),
        });
        // Written where it is made: it holds its slot, and so at most as many chunks are being written as there are slots.
        whole.block_function(graticule_ops::ZARR_WRITER, |call| Ok(write_zarr_block(call)?));
        whole
    }

    /// No functions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a function that runs on one of the worker's slots; one of the same name is replaced.
    ///
    /// An error fails the call, and a panic does; both are tried again as often as the call's retries allow.
    pub fn function<F>(&mut self, name: &str, function: F) -> &mut Self
    where
        F: Fn(&[Value]) -> Result<Value, FunctionError> + Send + Sync + 'static,
    {
        self.add(name, Arc::new(function), false)
    }

    /// As [`Registry::function`], for one that takes microseconds and never waits: it is called where tasks arrive, since
    /// handing it to a slot's thread would take longer. While it runs, the worker does nothing else.
    pub fn quick_function<F>(&mut self, name: &str, function: F) -> &mut Self
    where
        F: Fn(&[Value]) -> Result<Value, FunctionError> + Send + Sync + 'static,
    {
        self.add(name, Arc::new(function), true)
    }

    /// As [`Registry::function`], for one that runs in another process: `begin` has a call begin there and does not wait for it,
    /// where that can be done at once; the others are `function`'s, on a slot's thread. So the thread to which tasks come speaks
    /// with the other process itself, and a call switches between threads half as often.
    pub fn far_function<F, B>(&mut self, name: &str, function: F, begin: B) -> &mut Self
    where
        F: Fn(&[Value]) -> Result<Value, FunctionError> + Send + Sync + 'static,
        B: Fn(&[Value]) -> Option<Box<dyn Underway>> + Send + Sync + 'static,
    {
        let function = ValueFunction {
            call: Arc::new(function),
            begin: Some(Arc::new(begin)),
            is_quick: false,
        };
        self.put(name, Function::Values(function))
    }

    fn add(&mut self, name: &str, call: Arc<Call>, is_quick: bool) -> &mut Self {
        let begin = None;
        self.put(
            name,
            Function::Values(ValueFunction {
                call,
                begin,
                is_quick,
            }),
        )
    }

    fn put(&mut self, name: &str, function: Function) -> &mut Self {
        Arc::make_mut(&mut self.functions).insert(name.into(), function);
        self
    }

    /// Adds a function that array operations (`map_blocks`, `blockwise`, `apply_gufunc` and others) call with blocks of
    /// arrays; one of the same name is replaced.
    ///
    /// It gets the elements as they lie in the worker's memory, and gives a block of the shape and the dtype that the
    /// operation says, a [`Tensor`](graticule_kernel::Tensor) by `into`. The same blocks must give the same result: a task
    /// may run again after a loss, and equal operations are one. Errors and panics are as with [`Registry::function`].
    ///
    /// ```
    /// use graticule_worker::{Registry, Tensor};
    ///
    /// let mut registry = Registry::new();
    /// registry.block_function("double", |call| {
    ///     let block = call.block(0);
    ///     let doubled: Vec<f64> = block.elements::<f64>()?.iter().map(|x| 2.0 * x).collect();
    ///     Ok(Tensor::from_vec(block.shape(), doubled)?.into())
    /// });
    /// assert!(registry.contains("double"));
    /// ```
    pub fn block_function<F>(&mut self, name: &str, function: F) -> &mut Self
    where
        F: Fn(&BlockCall<'_>) -> Result<Chunk, FunctionError> + Send + Sync + 'static,
    {
        self.put(name, Function::Blocks(Arc::new(function)))
    }

    /// The names, in the order of the alphabet.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(|name| &**name)
    }

    /// Whether there is a function of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.functions.contains_key(name)
    }

    /// The function that calls name so; a sentence if there is none.
    pub(crate) fn find(&self, name: &str) -> Result<ValueFunction, String> {
        match self.functions.get(name) {
            Some(Function::Values(function)) => Ok(function.clone()),
            Some(Function::Blocks(_)) => Err(format!(
                "the function {name:?} works on blocks of arrays: use it with map_blocks, not with submit"
            )),
            None => {
                let known: Vec<&str> = self.names().collect();
                Err(format!(
                    "this worker does not know the function {name:?}; it knows {}",
                    known.join(", ")
                ))
            }
        }
    }
}

impl BlockFunctions for Registry {
    fn call(&self, function: &str, call: &BlockCall<'_>) -> Option<Result<Chunk, FunctionError>> {
        let made = match self.functions.get(function)? {
            Function::Blocks(function) => catch_unwind(AssertUnwindSafe(|| function(call))),
            Function::Values(_) => Ok(Err(
                "it works on values, not on blocks of arrays: use it with submit".into(),
            )),
        };
        Some(made.unwrap_or_else(|panic| Err(panic_text(&*panic).into())))
    }
}

impl ValueFunction {
    pub(crate) fn call(&self, arguments: &[Value]) -> Result<Value, FunctionError> {
        (self.call)(arguments)
    }

    /// Has a call begin elsewhere, if it can at once.
    pub(crate) fn begin(&self, arguments: &[Value]) -> Option<Box<dyn Underway>> {
        self.begin.as_ref().and_then(|begin| begin(arguments))
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry")
            .field(&self.names().collect::<Vec<_>>())
            .finish()
    }
}
