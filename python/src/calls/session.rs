//! Calls of one client: made, gathered, and known again by what they compute.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicU64, Ordering},
};

use futures::StreamExt;
use graticule_client::{Client, ScatterOptions, Value};
use graticule_plan::Digest;
use pyo3::{
    prelude::*,
    types::{PyBytes, PyList, PyTuple},
};

use super::{
    entry::{Call, Entry, Key, Spec, Table, learn_size, limited, locked, within},
    nested::{self, help},
    run,
    settings::{CallFunction, CallSettings},
    value::{Home, Reader, decode, encode, pickled},
};
use crate::{cluster::Cluster, error::Failure, wait::wait_anywhere as wait};

/// Results that are fetched at a time.
const GATHER_COUNT_MAX: usize = 64;

/// The calls of a client.
#[pyclass(frozen, module = "graticule._graticule")]
pub(crate) struct Calls {
    cluster: Py<Cluster>,
    table: Arc<Table>,
    /// The name by which workers with this Python know calls.
    function: Arc<str>,
    /// The name of those that a worker makes in each of its processes.
    everywhere: Arc<str>,
    home: Home,
}

/// A call that is to be made.
struct Wanted<'a> {
    function: &'a CallFunction,
    args: Value,
    needs: Vec<Arc<Entry>>,
    key: Option<String>,
    is_pure: bool,
    is_everywhere: bool,
}

#[pymethods]
impl Calls {
    #[new]
    fn new(py: Python<'_>, cluster: Py<Cluster>, is_embedded: bool) -> Self {
        let function = run::name(py);
        Self {
            cluster,
            table: Arc::default(),
            everywhere: run::everywhere(&function).into(),
            function: function.into(),
            home: if is_embedded { Home::Lent } else { Home::Own },
        }
    }

    /// Makes a call. `args` is what `graticule._pickle.dumps` made of the arguments, `needs` the calls whose results they name. One that is
    /// made `everywhere` is repeated in each process of its worker that runs functions.
    #[pyo3(signature = (function, args, needs, settings, key, pure, everywhere = false))]
    #[allow(clippy::too_many_arguments)] // Python gives them in this order, in two places.
    fn submit(
        &self,
        function: &CallFunction,
        args: &Bound<'_, PyAny>,
        needs: Vec<PyRef<'_, Call>>,
        settings: &CallSettings,
        key: Option<String>,
        pure: bool,
        everywhere: bool,
    ) -> PyResult<Call> {
        let client = self.ready()?;
        let options = function.options(&settings.options);
        let wanted = Wanted {
            function,
            args: pickled(args)?,
            needs: needs.iter().map(|call| call.entry.clone()).collect(),
            key,
            is_pure: pure,
            is_everywhere: everywhere,
        };
        Ok(self.call(&client, wanted, &options)?)
    }

    /// Makes calls of one function, none of which needs another one. Each of `args` is a tuple of arguments, pickled.
    fn map(
        &self,
        function: &CallFunction,
        args: &Bound<'_, PyList>,
        keys: Option<Vec<String>>,
        settings: &CallSettings,
        pure: bool,
    ) -> PyResult<Vec<Call>> {
        let client = self.ready()?;
        let options = function.options(&settings.options);
        let mut keys = keys.map(Vec::into_iter);
        let mut calls = Vec::with_capacity(args.len());
        for args in args.iter() {
            let args = match args.cast::<PyBytes>() {
                Ok(pickle) => super::value::plain(pickle.as_bytes()),
                Err(_) => pickled(&args)?,
            };
            let wanted = Wanted {
                function,
                args,
                needs: Vec::new(),
                key: keys.as_mut().and_then(Iterator::next),
                is_pure: pure,
                is_everywhere: false,
            };
            calls.push(self.call(&client, wanted, &options)?);
        }
        Ok(calls)
    }

    /// Puts objects into the memory of workers.
    fn scatter(
        &self,
        py: Python<'_>,
        objects: &Bound<'_, PyList>,
        replicas: u32,
        workers: Vec<String>,
        hashes: bool,
    ) -> PyResult<Vec<Call>> {
        let client = self.cluster.get().client()?;
        let values = objects.iter().map(|object| encode(&object, self.home));
        let values: Vec<Value> = values.collect::<PyResult<_>>()?;
        let digests: Vec<Digest> = values
            .iter()
            .map(|value| if hashes { digest_of(value) } else { unique() })
            .collect();
        let known: Vec<Option<Arc<Entry>>> = digests.iter().map(|digest| self.known(*digest)).collect();
        let new = values
            .into_iter()
            .zip(&known)
            .filter(|(_, known)| known.is_none());
        let new: Vec<Value> = new.map(|(value, _)| value).collect();
        let mut options = ScatterOptions::new().replicas(replicas);
        for worker in &workers {
            options = options.worker(worker);
        }
        let is_usual = replicas <= 1 && workers.is_empty();
        let put = wait(py, async move {
            if is_usual {
                client.scatter(new).await
            } else {
                client.scatter_with(new, &options).await
            }
        })?;
        let mut put = put.into_iter();
        let entries = known.into_iter().zip(digests).map(|(known, digest)| {
            known.unwrap_or_else(|| {
                let future = put.next().expect("one for each that was not known");
                Entry::new(digest, Key::Content("scatter".into()), future, None, &self.table)
            })
        });
        Ok(entries.map(|entry| Call { entry }).collect())
    }

    /// Waits for the results of calls and brings them here; of those that failed, `None` stands for the result if they are to be
    /// skipped. Gives the results, and which of them are there.
    #[pyo3(signature = (calls, skips_errors, timeout = None))]
    fn gather<'py>(
        &self,
        py: Python<'py>,
        calls: Vec<PyRef<'py, Call>>,
        skips_errors: bool,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let entries: Vec<Arc<Entry>> = calls.iter().map(|call| call.entry.clone()).collect();
        drop(calls);
        let timeout = limited(timeout)?;
        entries.iter().try_for_each(|entry| help(py, entry))?;
        let asked = entries.clone();
        let outcomes = wait(py, async move {
            let fetch = futures::stream::iter(asked)
                .map(Entry::result)
                .buffered(GATHER_COUNT_MAX);
            let all = async {
                let mut fetch = std::pin::pin!(fetch);
                let mut outcomes = Vec::new();
                while let Some(outcome) = fetch.next().await {
                    let stops = outcome.is_err() && !skips_errors;
                    outcomes.push(outcome);
                    if stops {
                        break;
                    }
                }
                outcomes
            };
            within(timeout, all).await
        })?;
        let (results, there) = (PyList::empty(py), PyList::empty(py));
        for (entry, outcome) in entries.iter().zip(outcomes) {
            match outcome {
                Ok(value) => {
                    results.append(decode(py, &value, Reader::Client)?)?;
                    there.append(true)?;
                }
                Err(error) if !skips_errors => return Err(entry.failure(py, error)),
                Err(_) => {
                    results.append(py.None())?;
                    there.append(false)?;
                }
            }
        }
        PyTuple::new(py, [results, there])
    }

    /// Makes calls again that failed.
    fn retry(&self, calls: Vec<PyRef<'_, Call>>) -> Result<(), Failure> {
        let client = self.ready()?;
        calls
            .iter()
            .try_for_each(|call| call.entry.retry(&client).map_err(Failure::from))
    }

    /// The call of this key, if somebody holds it.
    fn find(&self, key: &str) -> Option<Call> {
        let given = self.known(given(key));
        let entry = given.or_else(|| {
            let entries: Vec<Arc<Entry>> = locked(&self.table).values().filter_map(Weak::upgrade).collect();
            entries.into_iter().find(|entry| entry.key_text() == key)
        });
        entry.map(|entry| Call { entry })
    }

    /// Takes back what has not ended: nobody will tell of it any more.
    fn end(&self) {
        let entries: Vec<Arc<Entry>> = locked(&self.table).values().filter_map(Weak::upgrade).collect();
        entries
            .iter()
            .filter(|entry| !entry.is_done())
            .for_each(|entry| entry.cancel());
    }

    /// All calls that somebody holds.
    fn all(&self) -> Vec<Call> {
        let entries: Vec<Arc<Entry>> = locked(&self.table).values().filter_map(Weak::upgrade).collect();
        entries.into_iter().map(|entry| Call { entry }).collect()
    }
}

impl Calls {
    /// The client, if workers run calls of this Python.
    fn ready(&self) -> Result<Client, Failure> {
        let client = self.cluster.get().client()?;
        match client.check_function(&self.function) {
            Ok(()) => Ok(client),
            Err(_) => Err(self.mismatch(&client)),
        }
    }

    fn mismatch(&self, client: &Client) -> Failure {
        let version = |name: &str| name.strip_prefix(run::PREFIX).unwrap_or("none").to_owned();
        let known = client.known_functions();
        let there = known.iter().filter(|name| name.starts_with(run::PREFIX));
        let there: Vec<String> = there.map(|name| version(name)).collect();
        let (here, url) = (version(&self.function), client.url());
        let there = if there.is_empty() {
            "no Python".to_owned()
        } else {
            format!("Python {}", there.join(", "))
        };
        Failure::new(
            "VersionMismatch",
            format!(
                "the workers of this cluster have {there}, this client Python {here}: functions are pickled, and pickles of another \
                 minor version cannot be trusted to run; use the same one here and there, and start workers by \
                 `python -m graticule.worker {url}`"
            ),
        )
    }

    fn known(&self, digest: Digest) -> Option<Arc<Entry>> {
        locked(&self.table).get(&digest)?.upgrade()
    }

    fn call(
        &self,
        client: &Client,
        wanted: Wanted<'_>,
        options: &Arc<graticule_client::CallOptions>,
    ) -> Result<Call, Failure> {
        let Wanted {
            function,
            args,
            needs,
            key,
            is_pure,
            is_everywhere,
        } = wanted;
        let digest = match &key {
            Some(key) => given(key),
            None if is_pure => content(function, &args, &needs),
            None => unique(),
        };
        if let Some(entry) = self.known(digest) {
            return Ok(Call { entry });
        }
        let spec = Arc::new(Spec {
            function: if is_everywhere {
                &self.everywhere
            } else {
                &self.function
            }
            .clone(),
            values: [function.value(), args.clone()],
            token: nested::token(),
            args: vec![function.arg(client)?, args.into()],
            needs,
            options: options.clone(),
        });
        let future = spec.send(client)?;
        if function.largest_bytes.load(Ordering::Relaxed) == 0 {
            let (largest, watched) = (function.largest_bytes.clone(), future.clone());
            future.when_done(move || learn_size(&watched, &largest));
        }
        let key = match key {
            Some(key) => Key::Given(key.into()),
            None => Key::Content(function.name.clone()),
        };
        let entry = Entry::new(digest, key, future, Some(spec), &self.table);
        Ok(Call { entry })
    }
}

/// The digest of a key that the user gave.
fn given(key: &str) -> Digest {
    Digest::of(format!("key {key}").as_bytes())
}

/// The digest of what a call computes.
fn content(function: &CallFunction, args: &Value, needs: &[Arc<Entry>]) -> Digest {
    let mut bytes = Vec::with_capacity(32 + args.tensor().bytes().len() + 32 * needs.len());
    bytes.extend_from_slice(&function.digest.0);
    bytes.extend_from_slice(args.tensor().bytes());
    needs
        .iter()
        .for_each(|need| bytes.extend_from_slice(&need.digest.0));
    Digest::of(&bytes)
}

fn digest_of(value: &Value) -> Digest {
    let tensor = value.tensor();
    let of_bytes = Digest::of(tensor.bytes());
    Digest::of(format!("value {} {:?} {of_bytes}", tensor.dtype(), tensor.shape()).as_bytes())
}

/// A digest that no other call has.
fn unique() -> Digest {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Digest::of(format!("call {number} of {}", super::raised::process()).as_bytes())
}
