//! The client for code without async: it brings its own runtime.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use graticule_array::{Array, LowerOptions, Selected, Wishes};
use graticule_kernel::Tensor;
use tokio::runtime::Runtime;

use crate::{
    Answer, Block, ClientError, ClusterInfo, ConnectOptions, Explanation, Results, RunOptions, Subject,
    Unique,
};

/// As [`crate::Client`], but each call waits for its end. Clones share the connection.
///
/// Not for use inside of async code: waiting there panics, as tokio's `block_on` does.
#[derive(Debug, Clone)]
pub struct Client {
    // The client goes before the runtime on which it lives.
    client: crate::Client,
    runtime: Arc<Owned>,
}

/// A runtime that does not make whoever drops it wait.
#[derive(Debug)]
struct Owned(Option<Runtime>);

impl Owned {
    fn new() -> Result<Self, ClientError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("graticule-client")
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| ClientError::Start {
            why: format!("no thread for the client: {error}"),
        })?;
        Ok(Self(Some(runtime)))
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.as_ref().expect("taken by drop alone").block_on(future)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// An array whose chunks the cluster keeps; see [`crate::Persisted`].
#[derive(Debug, Clone)]
pub struct Persisted {
    persisted: crate::Persisted,
    runtime: Arc<Owned>,
}

/// Blocks of a running job as they arrive. Dropping it cancels the job.
pub struct Blocks {
    stream: crate::BlockStream,
    runtime: Arc<Owned>,
}

impl Client {
    /// Starts an embedded cluster.
    ///
    /// ```
    /// use graticule_array::{Array, Chunks, Over};
    /// use graticule_client::blocking::Client;
    ///
    /// let client = Client::local()?;
    /// let x = Array::from_slice(&[3], &[Chunks::Size(2)], &[1.0_f32, 2.0, 6.0])?;
    /// assert_eq!(client.compute(&x.max(&Over::all())?)?.as_slice::<f32>(), Some(&[6.0][..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`crate::Client::local`].
    #[cfg(feature = "local")]
    pub fn local() -> Result<Self, ClientError> {
        Self::local_with(&crate::LocalOptions::default())
    }

    /// As [`Client::local`], with options.
    ///
    /// # Errors
    /// As [`crate::Client::local`].
    #[cfg(feature = "local")]
    pub fn local_with(options: &crate::LocalOptions) -> Result<Self, ClientError> {
        let runtime = Owned::new()?;
        let client = runtime.block_on(crate::Client::local_with(options))?;
        let runtime = Arc::new(runtime);
        Ok(Self { client, runtime })
    }

    /// Connects to the scheduler at `grpc://host:port`.
    ///
    /// # Errors
    /// As [`crate::Client::connect`].
    pub fn connect(url: &str) -> Result<Self, ClientError> {
        Self::connect_with(url, &ConnectOptions::default())
    }

    /// As [`Client::connect`], with options.
    ///
    /// # Errors
    /// As [`crate::Client::connect`].
    pub fn connect_with(url: &str, options: &ConnectOptions) -> Result<Self, ClientError> {
        let runtime = Owned::new()?;
        let client = runtime.block_on(crate::Client::connect_with(url, options))?;
        let runtime = Arc::new(runtime);
        Ok(Self { client, runtime })
    }

    /// The async client beneath, for what this one lacks; it lives as long as this one.
    pub fn inner(&self) -> &crate::Client {
        &self.client
    }

    /// The state of the cluster.
    ///
    /// # Errors
    /// As [`crate::Client::info`].
    pub fn info(&self) -> Result<ClusterInfo, ClientError> {
        self.runtime.block_on(self.client.info())
    }

    /// Describes the plan for arrays and what it takes on the workers that are connected now; nothing runs.
    ///
    /// # Errors
    /// As [`crate::Client::explain_on_cluster`].
    pub fn explain_on_cluster(
        &self,
        arrays: &[&Array],
        options: &LowerOptions,
        persist: bool,
    ) -> Result<Explanation, ClientError> {
        self.runtime
            .block_on(self.client.explain_on_cluster(arrays, options, persist))
    }

    /// Why a task is not running or ran where it ran, or how a worker is.
    ///
    /// # Errors
    /// As [`crate::Client::why`].
    pub fn why(&self, subject: Subject) -> Result<Answer, ClientError> {
        self.runtime.block_on(self.client.why(subject))
    }

    /// Computes an array and brings it here.
    ///
    /// # Errors
    /// As [`crate::Client::compute`].
    pub fn compute(&self, array: &Array) -> Result<Tensor, ClientError> {
        self.runtime.block_on(self.client.compute(array))
    }

    /// Computes several arrays in one plan.
    ///
    /// # Errors
    /// As [`crate::Client::compute`].
    pub fn compute_many(&self, arrays: &[&Array]) -> Result<Vec<Tensor>, ClientError> {
        self.runtime.block_on(self.client.compute_many(arrays))
    }

    /// As [`Client::compute_many`], with options and a report.
    ///
    /// # Errors
    /// As [`crate::Client::compute`].
    pub fn compute_with(&self, arrays: &[&Array], options: &RunOptions) -> Result<Results, ClientError> {
        self.runtime.block_on(self.client.compute_with(arrays, options))
    }

    /// Computes an array of any size, chunk by chunk.
    ///
    /// # Errors
    /// As [`crate::Client::stream`]; later ones come from the iterator.
    pub fn stream(&self, array: &Array) -> Result<Blocks, ClientError> {
        let stream = self.runtime.block_on(self.client.stream(array))?;
        let runtime = self.runtime.clone();
        Ok(Blocks { stream, runtime })
    }

    /// Computes an array and keeps its chunks in the cluster's memory.
    ///
    /// # Errors
    /// As [`crate::Client::persist`].
    pub fn persist(&self, array: &Array) -> Result<Persisted, ClientError> {
        let persisted = self.runtime.block_on(self.client.persist(array))?;
        let runtime = self.runtime.clone();
        Ok(Persisted { persisted, runtime })
    }

    /// Counts the elements of selections, and gives arrays of these lengths.
    ///
    /// # Errors
    /// As [`crate::Client::sized`].
    pub fn sized(&self, selections: &[&Selected]) -> Result<Vec<Array>, ClientError> {
        self.runtime.block_on(self.client.sized(selections))
    }

    /// Finds the distinct elements of an array. What it gives is to be dropped before this client.
    ///
    /// # Errors
    /// As [`crate::Client::unique`].
    pub fn unique(&self, array: &Array, wishes: Wishes) -> Result<Unique, ClientError> {
        self.runtime.block_on(self.client.unique(array, wishes))
    }

    /// Finds the elements that occur in either of two arrays; as [`Client::unique`].
    ///
    /// # Errors
    /// As [`crate::Client::union1d`].
    pub fn union1d(&self, first: &Array, second: &Array) -> Result<Unique, ClientError> {
        self.runtime.block_on(self.client.union1d(first, second))
    }

    /// Ends what this client and its clones have: see [`crate::Client::close`].
    pub fn close(self) {
        self.runtime.block_on(self.client.close());
    }
}

impl Persisted {
    /// The array, for further expressions.
    pub fn array(&self) -> &Array {
        self.persisted.array()
    }

    /// Waits until all chunks are in the cluster's memory.
    ///
    /// # Errors
    /// As [`crate::Persisted::wait`].
    pub fn wait(&self) -> Result<(), ClientError> {
        self.runtime.block_on(self.persisted.wait())
    }

    /// As [`Persisted::wait`], but for so long at most; `false` if the time is over and the job goes on.
    ///
    /// # Errors
    /// As [`crate::Persisted::wait`].
    pub fn wait_for(&self, timeout: Duration) -> Result<bool, ClientError> {
        let waited = async { tokio::time::timeout(timeout, self.persisted.wait()).await };
        match self.runtime.block_on(waited) {
            Ok(outcome) => outcome.map(|()| true),
            Err(_) => Ok(false),
        }
    }
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Blocks")
    }
}

impl Iterator for Blocks {
    type Item = Result<Block, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.runtime.block_on(self.stream.next())
    }
}
