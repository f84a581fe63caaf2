//! What calls have in common: their function, and how they shall run.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use graticule_client::{Arg, CallOptions, Client, ClientError, Value};
use graticule_ops::VALUE_FUNCTION;
use graticule_plan::{Annotations, Digest};
use pyo3::prelude::*;

/// Bytes before a function's pickle: the digest of the pickle.
pub(super) const DIGEST_BYTES: usize = 32;
/// Pickles of functions that go along with calls.
const ALONG_BYTES_MAX: u64 = 64 << 10;
/// What a result is counted with until one of the same function is known.
const RESULT_BYTES_GUESS: u64 = 16 << 10;

/// A function, pickled: calls of equal bytes are calls of one function.
#[pyclass(frozen, module = "graticule._graticule")]
pub(crate) struct CallFunction {
    pub(super) name: Arc<str>,
    pub(super) digest: Digest,
    value: Value,
    arg: OnceLock<Arg>,
    /// The largest result so far.
    pub(super) largest_bytes: Arc<AtomicU64>,
    /// The settings that were used last, with the size of results that they were used with.
    latest: Mutex<Option<(Arc<CallOptions>, Arc<CallOptions>)>>,
}

#[pymethods]
impl CallFunction {
    #[new]
    fn new(name: &str, payload: &[u8], salt: &[u8]) -> Self {
        let digest = Digest::of(&[payload, salt].concat());
        let mut bytes = digest.0.to_vec();
        bytes.extend_from_slice(payload);
        Self {
            name: name.into(),
            digest,
            value: Value::from(bytes),
            arg: OnceLock::new(),
            largest_bytes: Arc::default(),
            latest: Mutex::new(None),
        }
    }

    /// The function's name.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// Its pickle.
    #[getter]
    fn payload(&self) -> &[u8] {
        &self.value.tensor().bytes()[DIGEST_BYTES..]
    }

    /// The digest of its bytes.
    #[getter]
    fn digest(&self) -> String {
        self.digest.to_string()
    }
}

impl CallFunction {
    /// The function as a worker gets it.
    pub(super) fn value(&self) -> Value {
        self.value.clone()
    }

    /// The function as an argument: a small one goes along with each batch of calls, a larger one is kept by the scheduler.
    pub(super) fn arg(&self, client: &Client) -> Result<Arg, ClientError> {
        if self.value.nbytes() <= ALONG_BYTES_MAX {
            return Ok(self.arg.get_or_init(|| Arg::shared(&self.value)).clone());
        }
        let options = Arc::new(CallOptions::default());
        let kept = client.call(&VALUE_FUNCTION.into(), vec![self.value.clone().into()], &options)?;
        Ok(kept.into())
    }

    /// The settings with the size that results of this function are to be counted with.
    pub(super) fn options(&self, settings: &Arc<CallOptions>) -> Arc<CallOptions> {
        if settings.output_bytes.is_some() {
            return settings.clone();
        }
        let largest = self.largest_bytes.load(Ordering::Relaxed);
        let bytes = Some(largest.saturating_add(largest / 2).max(RESULT_BYTES_GUESS));
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((from, made)) = &*latest
            && Arc::ptr_eq(from, settings)
            && made.output_bytes == bytes
        {
            return made.clone();
        }
        let mut made = CallOptions::clone(settings);
        made.output_bytes = bytes;
        let made = Arc::new(made);
        *latest = Some((settings.clone(), made.clone()));
        made
    }
}

/// How calls shall run.
#[pyclass(frozen, module = "graticule._graticule")]
pub(crate) struct CallSettings {
    pub(super) options: Arc<CallOptions>,
}

#[pymethods]
impl CallSettings {
    #[new]
    #[pyo3(signature = (priority = 0, retries = 0, resources = None, workers = None, output_bytes = None))]
    fn new(
        priority: i32,
        retries: u32,
        resources: Option<BTreeMap<String, u32>>,
        workers: Option<Vec<String>>,
        output_bytes: Option<u64>,
    ) -> Self {
        let mut annotations = Annotations::new().retries(retries);
        if priority != 0 {
            annotations = annotations.priority(priority);
        }
        for (name, count) in resources.unwrap_or_default() {
            annotations = annotations.resource(&name, count);
        }
        for worker in workers.unwrap_or_default() {
            annotations = annotations.worker(&worker);
        }
        let options = CallOptions {
            annotations,
            output_bytes,
            scratch_bytes: 0,
        };
        Self {
            options: Arc::new(options),
        }
    }
}
