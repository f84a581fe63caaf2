use std::sync::{Arc, Mutex};

use graticule_array::{Array, LowerOptions, Lowered, OutputMeta, Wanted, lower};
use graticule_kernel::Tensor;
use graticule_plan::{JobId, Plan};
use graticule_proto::{
    MESSAGE_BYTES_MAX,
    engine::scheduler::{LayerProgress, WorkerInfo},
};
use graticule_transfer::StorePool;
use tracing::warn;

use crate::{
    BlockStream, ClientError, ConnectOptions, Job, Persisted, Results, RunOptions, address, explain,
    fetch::Fetcher,
    gather, key, link,
    persist::{KeepingJob, check_held},
    resume::Home,
    session::{About, Session},
};

/// What a message takes beside the side table that it carries.
const TABLE_MARGIN_BYTES: usize = 1 << 10;

/// A connection to a cluster, in this process or another. Clones share it; it ends with the last of them and of the
/// jobs and kept results that came from it.
///
/// Needs a tokio runtime; [`blocking::Client`](crate::blocking::Client) brings its own.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) session: Session,
}

/// The state of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterInfo {
    /// The dashboard's address, if there is one.
    pub dashboard: Option<String>,
    /// Connected workers.
    pub workers: Vec<WorkerInfo>,
    /// Running jobs with their names and how far they are.
    pub jobs: Vec<(JobId, Arc<str>, Vec<LayerProgress>)>,
    /// Tasks whose chunks were lost and made again, since the scheduler began.
    pub remade_count: u64,
    /// The most bytes that chunks in passing and running tasks took at a time in the scheduler's books, since it began:
    /// what is kept is not among them.
    pub peak_bytes: u64,
    /// Tasks that workers finished, since the scheduler began.
    pub finished_count: u64,
    /// What workers said too late for it to have a meaning, since the scheduler began: reports of tasks that were taken back
    /// meanwhile, and what came on connections that were over. It was dropped.
    pub late_count: u64,
    /// Chunks that workers short of memory dropped, since they cost less to make again than to spill; since the scheduler
    /// began.
    pub let_go_count: u64,
}

impl Client {
    /// Connects to the scheduler at `grpc://host:port`.
    ///
    /// # Errors
    /// [`ClientError::Address`], [`ClientError::Unreachable`], [`ClientError::Version`].
    pub async fn connect(url: &str) -> Result<Self, ClientError> {
        Self::connect_with(url, &ConnectOptions::default()).await
    }

    /// As [`Client::connect`], with options.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_with(url: &str, options: &ConnectOptions) -> Result<Self, ClientError> {
        let endpoint = address::endpoint(url)?;
        let home = Home::new(url, endpoint, options);
        let (link, dashboard) = home.connect().await?;
        let about = About {
            fetcher: Fetcher::Remote(StorePool::new()),
            url: url.into(),
            dashboard,
            published: Mutex::default(),
            #[cfg(feature = "local")]
            cluster: None,
        };
        Ok(Self {
            session: Session::start(link, about, Some(home)),
        })
    }

    /// The dashboard's address, if the cluster has one.
    pub fn dashboard_url(&self) -> Option<&str> {
        self.session.about.dashboard.as_deref()
    }

    /// Ends what this client and its clones have. An embedded cluster ends in order: workers end what they run, spilled
    /// chunks are removed. Another cluster lets go of all that it has for them, also of results that are still held here,
    /// as it does when the last of clones and results is dropped; what is waited for fails.
    pub async fn close(self) {
        #[cfg(feature = "local")]
        if let Some(cluster) = &self.session.about.cluster {
            return cluster.shutdown().await;
        }
        self.session.leave().await;
    }

    /// Whether scheduler and workers are in this process.
    pub fn is_embedded(&self) -> bool {
        !matches!(self.session.about.fetcher, Fetcher::Remote(_))
    }

    /// The scheduler's address, as it was given.
    pub fn url(&self) -> &str {
        &self.session.about.url
    }

    /// Asks a scheduler for the state of its cluster, without a session.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn info_of(url: &str, options: &ConnectOptions) -> Result<ClusterInfo, ClientError> {
        let endpoint = address::endpoint(url)?;
        let reply = link::info(url, endpoint, options.connect_timeout).await?;
        let jobs = reply.jobs.into_iter().map(|job| {
            let layers = job.layers.into_iter().map(Into::into).collect();
            (JobId(job.job), job.name.into(), layers)
        });
        Ok(ClusterInfo {
            remade_count: reply.remade_count,
            peak_bytes: reply.peak_bytes,
            finished_count: reply.finished_count,
            late_count: reply.late_count,
            let_go_count: reply.let_go_count,
            dashboard: Some(reply.dashboard).filter(|url| !url.is_empty()),
            workers: reply.workers.into_iter().map(Into::into).collect(),
            jobs: jobs.collect(),
        })
    }

    /// The state of the cluster.
    ///
    /// # Errors
    /// [`ClientError::ConnectionLost`], [`ClientError::Unreachable`].
    pub async fn info(&self) -> Result<ClusterInfo, ClientError> {
        #[cfg(feature = "local")]
        if let Some(cluster) = &self.session.about.cluster {
            return cluster.info().await;
        }
        Self::info_of(self.url(), &ConnectOptions::default()).await
    }

    /// Computes an array and brings it here.
    ///
    /// What reads left out is logged; [`Client::compute_with`] returns it.
    ///
    /// # Errors
    /// [`ClientError`]: found before anything runs if the expression or the result's size is at fault.
    pub async fn compute(&self, array: &Array) -> Result<Tensor, ClientError> {
        let mut tensors = self.compute_many(&[array]).await?;
        Ok(tensors.pop().expect("one array gives one tensor"))
    }

    /// Computes several arrays in one plan: what they share is computed once.
    ///
    /// # Errors
    /// As [`Client::compute`].
    pub async fn compute_many(&self, arrays: &[&Array]) -> Result<Vec<Tensor>, ClientError> {
        let results = self.compute_with(arrays, &RunOptions::default()).await?;
        for problem in &results.problems {
            warn!("{problem}");
        }
        Ok(results.tensors)
    }

    /// As [`Client::compute_many`], with options and with a report of what reads left out.
    ///
    /// # Errors
    /// As [`Client::compute`].
    pub async fn compute_with(
        &self,
        arrays: &[&Array],
        options: &RunOptions,
    ) -> Result<Results, ClientError> {
        if !options.allow_large {
            self.check_size(arrays)?;
        }
        self.start(arrays, options).await?.gather().await
    }

    /// Checks that whole results may be gathered here, for who puts their blocks together otherwise than
    /// [`Client::compute_with`].
    ///
    /// # Errors
    /// [`ClientError::ResultTooLarge`].
    pub fn check_size(&self, arrays: &[&Array]) -> Result<(), ClientError> {
        let bytes = arrays.iter().map(|array| array.nbytes());
        gather::check_free(bytes.fold(0, u64::saturating_add))
    }

    /// Computes an array of any size, chunk by chunk in the order in which they are ready.
    ///
    /// A reader that pauses makes the cluster pause: see [`Job::next_block`].
    ///
    /// # Errors
    /// As [`Client::compute`]; later ones come in the stream.
    pub async fn stream(&self, array: &Array) -> Result<BlockStream, ClientError> {
        Ok(self.start(&[array], &RunOptions::default()).await?.into_stream())
    }

    /// Starts a job whose results come here.
    ///
    /// # Errors
    /// [`ClientError`]: the expression is at fault, or the scheduler refused the plan.
    pub async fn start(&self, arrays: &[&Array], options: &RunOptions) -> Result<Job, ClientError> {
        let wanted: Vec<_> = arrays.iter().map(|array| (*array, Wanted::Deliver)).collect();
        let Lowered { plan, outputs, .. } = self.lower(&wanted, options)?;
        let job = self.submit_plan(plan, outputs, options).await?;
        job.keep(arrays);
        Ok(job)
    }

    /// Starts a job of a plan that did not come from arrays. `outputs` says of each of its outputs what it is; what has
    /// another dtype or another shape is an error when it arrives.
    ///
    /// # Errors
    /// [`ClientError`]: the scheduler refused the plan.
    pub async fn submit_plan(
        &self,
        plan: Plan,
        outputs: Vec<OutputMeta>,
        options: &RunOptions,
    ) -> Result<Job, ClientError> {
        let (name, task_count) = (name_of(&plan, options), plan.task_count());
        let submitted = self.send(name, plan).await?;
        Ok(Job::new(
            self.session.clone(),
            submitted,
            outputs,
            task_count,
            options.clone(),
        ))
    }

    /// Computes an array and keeps its chunks in the cluster's memory, for later expressions.
    ///
    /// Returns when the job has begun; [`Persisted::wait`] waits for its end.
    ///
    /// # Errors
    /// As [`Client::start`].
    pub async fn persist(&self, array: &Array) -> Result<Persisted, ClientError> {
        let mut kept = self.persist_many(&[array], &RunOptions::default()).await?;
        Ok(kept.pop().expect("one array gives one handle"))
    }

    /// Keeps several arrays, computed in one plan.
    ///
    /// # Errors
    /// As [`Client::start`].
    pub async fn persist_many(
        &self,
        arrays: &[&Array],
        options: &RunOptions,
    ) -> Result<Vec<Persisted>, ClientError> {
        let keys: Vec<_> = arrays.iter().map(|_| key::draw()).collect();
        let wanted: Vec<_> = arrays
            .iter()
            .zip(&keys)
            .map(|(array, key)| (*array, Wanted::Keep(*key)))
            .collect();
        let Lowered { plan, outputs, .. } = self.lower(&wanted, options)?;
        let name = name_of(&plan, options);
        let submitted = self.send(name, plan).await?;
        submitted.feed.keep(arrays);
        let job = KeepingJob::new(self.session.clone(), submitted, options.clone());
        let handles = keys.into_iter().zip(&outputs);
        Ok(handles
            .map(|(key, meta)| Persisted::new(job.clone(), key, meta))
            .collect())
    }

    /// Describes the plan for arrays, before and after rewriting, without running anything.
    ///
    /// # Errors
    /// [`ClientError::Array`].
    pub fn explain(&self, arrays: &[&Array], options: &LowerOptions) -> Result<String, ClientError> {
        Ok(graticule_array::explain(arrays, options)?)
    }

    fn lower(&self, wanted: &[(&Array, Wanted)], options: &RunOptions) -> Result<Lowered, ClientError> {
        let mut lowered = lower(wanted, &options.lower)?;
        explain::walk(&mut lowered);
        Ok(lowered)
    }

    async fn send(&self, name: Arc<str>, plan: Plan) -> Result<crate::session::Submitted, ClientError> {
        if matches!(self.session.about.fetcher, Fetcher::Remote(_)) {
            check_tables(&plan)?;
        }
        check_held(&self.session, &plan)?;
        self.session.submit(name, Arc::new(plan)).await
    }
}

fn check_tables(plan: &Plan) -> Result<(), ClientError> {
    let largest = plan.tables().values().map(|table| table.len()).max().unwrap_or(0);
    let limit = MESSAGE_BYTES_MAX - TABLE_MARGIN_BYTES;
    if largest > limit {
        return Err(ClientError::TableTooLarge {
            got_bytes: largest as u64,
            limit_bytes: limit as u64,
        });
    }
    Ok(())
}

fn name_of(plan: &Plan, options: &RunOptions) -> Arc<str> {
    let last = || {
        plan.outputs()
            .last()
            .map(|output| plan.layer(output.layer).name.clone())
    };
    options
        .name
        .clone()
        .or_else(last)
        .unwrap_or_else(|| "nothing".into())
}
