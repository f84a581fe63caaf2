//! The functions that a worker can call, by name.

use std::{collections::BTreeMap, error::Error, fmt, sync::Arc};

use graticule_kernel::Value;

/// Why a function failed. Its causes are told too.
pub type FunctionError = Box<dyn Error + Send + Sync>;

type Call = dyn Fn(&[Value]) -> Result<Value, FunctionError> + Send + Sync;

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
    functions: BTreeMap<Arc<str>, Function>,
}

/// One function, as the worker calls it.
#[derive(Clone)]
pub(crate) struct Function {
    call: Arc<Call>,
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

    fn add(&mut self, name: &str, call: Arc<Call>, is_quick: bool) -> &mut Self {
        self.functions.insert(name.into(), Function { call, is_quick });
        self
    }

    /// The names, in the order of the alphabet.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(|name| &**name)
    }

    /// Whether there is a function of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.functions.contains_key(name)
    }

    pub(crate) fn find(&self, name: &str) -> Option<Function> {
        self.functions.get(name).cloned()
    }
}

impl Function {
    pub(crate) fn call(&self, arguments: &[Value]) -> Result<Value, FunctionError> {
        (self.call)(arguments)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry")
            .field(&self.names().collect::<Vec<_>>())
            .finish()
    }
}
