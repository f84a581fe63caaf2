//! Clusters: one in this process, or a connection to one elsewhere.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use graticule_array::{Array, Wishes};
use graticule_client::{Client, ConnectOptions, Job, LocalOptions, Persisted, RunOptions};
use graticule_kernel::TensorMut;
use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict},
};

use crate::{
    buffer::Buffer,
    calls, convert,
    error::Failure,
    expression::Expression,
    functions,
    process::{dashboard_hosts, traces},
    selected::{self, Selected},
    wait::{handle, wait},
};

/// A client. Closed ones stay objects that say so.
#[pyclass(frozen, module = "graticule._graticule")]
pub(crate) struct Cluster {
    client: Mutex<Option<Client>>,
}

impl Cluster {
    fn new(client: Client) -> Self {
        let client = Mutex::new(Some(client));
        Self { client }
    }

    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        client.clone().ok_or_else(|| {
            Failure::new(
                "ClusterError",
                "this client is closed; make another one with graticule.Client()",
            )
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // What the client owns may want the runtime when it goes.
        if let (Ok(handle), Ok(client)) = (handle(), self.client.get_mut()) {
            let _entered = handle.enter();
            drop(client.take());
        }
    }
}

type Expressions<'py> = Vec<PyRef<'py, Expression>>;

#[pymethods]
impl Cluster {
    /// Starts a scheduler and workers in this process.
    #[staticmethod]
    #[pyo3(signature = (worker_count = 1, slots = None, budget_bytes = None, dashboard = None, spill_dir = None))]
    fn local(
        py: Python<'_>,
        worker_count: u32,
        slots: Option<u32>,
        budget_bytes: Option<u64>,
        dashboard: Option<String>,
        spill_dir: Option<std::path::PathBuf>,
    ) -> Result<Self, Failure> {
        let dashboard = dashboard.map(|address| {
            let parsed = address.parse::<SocketAddr>();
            parsed.map_err(|error| {
                Failure::value(format!(
                    "dashboard address {address:?}: {error}; write 127.0.0.1:0"
                ))
            })
        });
        let has_dashboard = dashboard.is_some();
        let options = LocalOptions {
            worker_count,
            slots,
            budget_bytes,
            functions: functions::registry(py, calls::Place::Embedded, None),
            dashboard: dashboard.transpose()?,
            dashboard_hosts: dashboard_hosts(),
            traces: traces(has_dashboard)?,
            spill_dir,
            ..LocalOptions::default()
        };
        wait(py, async move { Client::local_with(&options).await }).map(Self::new)
    }

    /// Connects to a scheduler.
    #[staticmethod]
    #[pyo3(signature = (url, reconnect_s = None))]
    fn connect(py: Python<'_>, url: String, reconnect_s: Option<f64>) -> Result<Self, Failure> {
        let mut options = ConnectOptions::default();
        if let Some(seconds) = reconnect_s {
            options.reconnect_timeout = Duration::try_from_secs_f64(seconds)
                .map_err(|_| Failure::value("a time to reconnect is a number of seconds, 0 or more"))?;
        }
        wait(py, async move { Client::connect_with(&url, &options).await }).map(Self::new)
    }

    /// Computes arrays in one plan, each to a buffer of its own.
    #[pyo3(signature = (arrays, allow_large = false, name = None))]
    fn compute(
        &self,
        py: Python<'_>,
        arrays: Expressions<'_>,
        allow_large: bool,
        name: Option<String>,
    ) -> Result<Vec<Buffer>, Failure> {
        let (client, arrays) = (self.client()?, convert::arrays(&arrays));
        let options = RunOptions {
            allow_large,
            name: name.map(Into::into),
            ..RunOptions::default()
        };
        let gathered = wait(py, gather(client, arrays, options))?;
        for problem in gathered.problems {
            py.import("warnings")?.call_method1("warn", (&*problem,))?;
        }
        Ok(gathered.tensors.into_iter().map(Buffer::own).collect())
    }

    /// Computes arrays and keeps them in the cluster; returns when the job has begun.
    fn persist(&self, py: Python<'_>, arrays: Expressions<'_>) -> Result<Vec<Kept>, Failure> {
        let (client, arrays) = (self.client()?, convert::arrays(&arrays));
        let kept = wait(py, async move {
            let arrays: Vec<&Array> = arrays.iter().collect();
            client.persist_many(&arrays, &RunOptions::default()).await
        })?;
        Ok(kept.into_iter().map(|persisted| Kept { persisted }).collect())
    }

    /// Computes an array block by block, as blocks are ready.
    fn stream(&self, py: Python<'_>, array: &Expression) -> Result<Blocks, Failure> {
        let (client, array) = (self.client()?, array.array.clone());
        let job = wait(py, async move {
            client.start(&[&array], &RunOptions::default()).await
        })?;
        let job = Mutex::new(Some(job));
        Ok(Blocks { job })
    }

    /// Counts the elements of selections, and gives arrays of these lengths.
    fn sized(
        &self,
        py: Python<'_>,
        selections: Vec<PyRef<'_, Selected>>,
    ) -> Result<Vec<Expression>, Failure> {
        selected::sized(py, self, &selections)
    }

    /// Distinct elements; where each stands first, how often it occurs, and of each element its place.
    fn unique(
        &self,
        py: Python<'_>,
        x: &Expression,
        positions: bool,
        counts: bool,
        equal_nan: bool,
    ) -> Result<[Option<Expression>; 4], Failure> {
        let wishes = Wishes {
            positions,
            counts,
            equal_nan,
        };
        selected::unique(py, self, x, wishes)
    }

    /// Numbers about the cluster.
    fn info<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>, Failure> {
        let client = self.client()?;
        let info = wait(py, async move { client.info().await })?;
        let told = PyDict::new(py);
        let workers = info.workers.iter().map(|worker| {
            let about = PyDict::new(py);
            about.set_item("id", worker.id.0)?;
            about.set_item("name", &*worker.name)?;
            about.set_item("memory", worker.status.memory_bytes)?;
            about.set_item("is_leaving", worker.retiring.is_some())?;
            about.set_item("slots", worker.slots)?;
            about.set_item("memory_limit", worker.budget_bytes)?;
            Ok(about)
        });
        told.set_item("workers", workers.collect::<PyResult<Vec<_>>>()?)?;
        told.set_item("jobs", info.jobs.len())?;
        let running = info.jobs.iter().map(|(job, name, layers)| {
            let about = PyDict::new(py);
            about.set_item("id", job.0)?;
            about.set_item("name", &**name)?;
            about.set_item("tasks", layers.iter().map(|layer| layer.task_count).sum::<u64>())?;
            about.set_item(
                "finished",
                layers.iter().map(|layer| layer.finished_count).sum::<u64>(),
            )?;
            Ok(about)
        });
        told.set_item("running", running.collect::<PyResult<Vec<_>>>()?)?;
        told.set_item("tasks_finished", info.finished_count)?;
        told.set_item("tasks_remade", info.remade_count)?;
        told.set_item("peak_bytes", info.peak_bytes)?;
        told.set_item("dashboard", info.dashboard)?;
        Ok(told)
    }

    /// What would run on the workers that there are, in words.
    fn explain(&self, py: Python<'_>, arrays: Expressions<'_>) -> Result<String, Failure> {
        let (client, arrays) = (self.client()?, convert::arrays(&arrays));
        let told = wait(py, async move {
            let arrays: Vec<&Array> = arrays.iter().collect();
            let options = RunOptions::default().lower;
            client.explain_on_cluster(&arrays, &options, false).await
        })?;
        Ok(told.to_string())
    }

    #[getter]
    fn dashboard(&self) -> Result<Option<String>, Failure> {
        Ok(self.client()?.dashboard_url().map(str::to_owned))
    }

    /// This moment, for `report`; from the first time on what jobs do is kept.
    fn report_mark(&self, py: Python<'_>) -> Result<u64, Failure> {
        let client = self.client()?;
        wait(py, async move { client.report_mark().await })
    }

    /// The report of what jobs did since then, as HTML.
    fn report<'py>(&self, py: Python<'py>, mark_us: u64) -> Result<Bound<'py, PyBytes>, Failure> {
        let client = self.client()?;
        let report = wait(py, async move { client.report_since(mark_us).await })?;
        Ok(PyBytes::new(py, &report))
    }

    #[getter]
    fn url(&self) -> Result<String, Failure> {
        Ok(self.client()?.url().to_owned())
    }

    /// Whether the workers are in this process.
    #[getter]
    fn is_embedded(&self) -> Result<bool, Failure> {
        Ok(self.client()?.is_embedded())
    }

    #[getter]
    fn is_closed(&self) -> bool {
        self.client
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none()
    }

    /// Ends an embedded cluster in order, or leaves another one. The second time nothing happens.
    fn close(&self, py: Python<'_>) -> Result<(), Failure> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner).take();
        match client {
            None => Ok(()),
            Some(client) => wait(py, async move {
                client.close().await;
                Ok::<(), Failure>(())
            }),
        }
    }
}

struct Gathered {
    tensors: Vec<TensorMut>,
    problems: Vec<Arc<str>>,
}

/// Puts the blocks of each array into memory of its own, which then belongs to the caller alone and can be written.
async fn gather(client: Client, arrays: Vec<Array>, options: RunOptions) -> Result<Gathered, Failure> {
    if !options.allow_large {
        client.check_size(&arrays.iter().collect::<Vec<_>>())?;
    }
    let mut tensors = Vec::with_capacity(arrays.len());
    for array in &arrays {
        let lens = array
            .shape()
            .into_iter()
            .map(usize::try_from)
            .collect::<Result<Vec<_>, _>>();
        let shape =
            lens.map_err(|_| Failure::value("the result is larger than this machine's memory can be"))?;
        tensors.push(TensorMut::for_overwrite(array.dtype(), &shape)?);
    }
    let mut job = client.start(&arrays.iter().collect::<Vec<_>>(), &options).await?;
    while let Some(block) = job.next_block().await? {
        let at: Vec<usize> = block.extents.iter().map(|extent| extent.start as usize).collect();
        let whole = block.tensor.shape().to_vec();
        let from = vec![0; at.len()];
        tensors[block.output].copy_box(&at, &block.tensor, &from, &whole)?;
    }
    let problems = job.problems();
    Ok(Gathered { tensors, problems })
}

/// An array that the cluster keeps as long as this, or an expression made of it, lives.
#[pyclass(frozen, weakref, module = "graticule._graticule")]
pub(crate) struct Kept {
    pub(crate) persisted: Persisted,
}

#[pymethods]
impl Kept {
    /// The array, for further expressions.
    fn expression(&self) -> Expression {
        let array = self.persisted.array();
        array.keeping(Arc::new(self.persisted.clone())).into()
    }

    /// The name under which the cluster keeps it.
    #[getter]
    fn key(&self) -> u128 {
        self.persisted.key().0
    }

    /// The number of the job that makes it.
    #[getter]
    fn id(&self) -> u64 {
        self.persisted.id().0
    }

    /// Tasks that are finished, and all tasks; as many when the job has ended, however it did.
    fn progress(&self) -> (u64, u64) {
        let progress = self.persisted.latest_progress();
        let all = progress.task_count();
        let is_over = self.persisted.is_over();
        (if is_over { all } else { progress.finished_count() }, all)
    }

    /// Waits until all chunks are there.
    fn wait(&self, py: Python<'_>) -> Result<(), Failure> {
        let persisted = self.persisted.clone();
        wait(py, async move { persisted.wait().await })
    }
}

/// Blocks of a running job. Dropping it cancels the job.
#[pyclass(frozen, module = "graticule._graticule")]
pub(crate) struct Blocks {
    job: Mutex<Option<Job>>,
}

type Extents = Vec<(u64, u64)>;

#[pymethods]
impl Blocks {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    /// The block's index, the first and the last element along each axis, and its elements.
    fn __next__(&self, py: Python<'_>) -> Result<Option<(Vec<u64>, Extents, Buffer)>, Failure> {
        let taken = self.job.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut job) = taken else { return Ok(None) };
        let (job, block) = wait(py, async move {
            let block = job.next_block().await?;
            Ok::<_, Failure>((job, block))
        })?;
        let Some(block) = block else { return Ok(None) };
        *self.job.lock().unwrap_or_else(PoisonError::into_inner) = Some(job);
        let extents = block
            .extents
            .iter()
            .map(|extent| (extent.start, extent.end))
            .collect();
        Ok(Some((block.index, extents, Buffer::lent(&block.tensor))))
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        if let (Ok(handle), Ok(job)) = (handle(), self.job.get_mut()) {
            let _entered = handle.enter();
            drop(job.take());
        }
    }
}
