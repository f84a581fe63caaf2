use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Range,
    pin::Pin,
    sync::Arc,
    time::Instant,
};

use futures::Stream;
use graticule_array::{Array, OutputMeta};
use graticule_kernel::{Chunk, Tensor};
use graticule_plan::{ChunkId, JobId, LayerId, WorkerId};
use graticule_proto::ToCluster;
use tokio::{sync::watch, task::JoinSet};
use tokio_stream::wrappers::WatchStream;
use tracing::{debug, warn};

use crate::{
    ClientError, Progress, RunOptions,
    blocks::BlockSet,
    feed::{Choice, JobFeed, Ready},
    session::{JobGuard, Session, Submitted},
};

/// Chunks that are fetched at once.
const FETCH_COUNT_MAX: usize = 16;
/// Chunks whose values came along that are unpacked before the first of them is handed over.
const UNPACKED_COUNT_MAX: usize = 256;
/// How often the fetch of one chunk may fail before the job does.
const FETCH_ATTEMPT_COUNT_MAX: u32 = 8;

/// Blocks of a running job as they arrive.
pub type BlockStream = Pin<Box<dyn Stream<Item = Result<Block, ClientError>> + Send>>;

/// One chunk of a result.
#[derive(Debug, Clone)]
pub struct Block {
    /// Which of the arrays that were asked for.
    pub output: usize,
    /// The block's position in the array's chunk grid, in C order.
    pub block: u64,
    /// The block's index along each axis.
    pub index: Vec<u64>,
    /// The elements that it covers along each axis.
    pub extents: Vec<Range<u64>>,
    /// The elements.
    pub tensor: Tensor,
}

/// Arrays that a cluster computes, whose chunks come to this client. Dropping it cancels the job.
#[derive(Debug)]
pub struct Job {
    session: Session,
    feed: Arc<JobFeed>,
    guard: JobGuard,
    progress: watch::Receiver<Progress>,
    pub(crate) options: RunOptions,
    outputs: Arc<[OutputMeta]>,
    task_count: u64,
    by_layer: BTreeMap<LayerId, usize>,
    delivered: Vec<BlockSet>,
    left: u64,
    fetches: JoinSet<Fetched>,
    in_flight: BTreeSet<(LayerId, u64)>,
    in_flight_bytes: u64,
    failures: BTreeMap<(LayerId, u64), u32>,
    /// Chunks that are here and not yet handed over.
    here: VecDeque<Here>,
    /// Chunks that were handed over and of which the cluster was not told.
    untold: Vec<ChunkId>,
}

/// A chunk that is here.
#[derive(Debug)]
struct Here {
    layer: LayerId,
    block: u64,
    chunk: Chunk,
    /// Its value came along: it is small.
    is_small: bool,
}

/// What became of a fetch.
#[derive(Debug)]
struct Fetched {
    layer: LayerId,
    block: u64,
    bytes: u64,
    /// The chunk, or which workers failed, and why the last one did.
    chunk: Result<Chunk, (Vec<WorkerId>, String)>,
}

impl Job {
    pub(crate) fn new(
        session: Session,
        submitted: Submitted,
        outputs: Vec<OutputMeta>,
        task_count: u64,
        options: RunOptions,
    ) -> Self {
        let by_layer = outputs
            .iter()
            .enumerate()
            .map(|(i, output)| (output.layer, i))
            .collect();
        Self {
            session,
            feed: submitted.feed,
            guard: submitted.guard,
            progress: submitted.progress,
            options,
            by_layer,
            delivered: outputs.iter().map(|_| BlockSet::default()).collect(),
            left: outputs.iter().map(|output| output.grid.block_count()).sum(),
            outputs: outputs.into(),
            task_count,
            fetches: JoinSet::new(),
            in_flight: BTreeSet::new(),
            in_flight_bytes: 0,
            failures: BTreeMap::new(),
            here: VecDeque::new(),
            untold: Vec::new(),
        }
    }

    /// Has arrays live as long as the job runs.
    pub(crate) fn keep(&self, arrays: &[&Array]) {
        self.feed.keep(arrays);
    }

    /// The job's number in its cluster.
    pub fn id(&self) -> JobId {
        self.guard.id
    }

    /// What comes of the job, in the order of the arrays that were asked for: dtype and chunks of each.
    pub fn outputs(&self) -> &[OutputMeta] {
        &self.outputs
    }

    /// Tasks of the whole plan.
    pub fn task_count(&self) -> u64 {
        self.task_count
    }

    /// How far the job is, now and whenever that changes (several times a second at most). Ends with the job.
    pub fn progress(&self) -> impl Stream<Item = Progress> + Send + Unpin + use<> {
        WatchStream::new(self.progress.clone())
    }

    /// How far the job was when it last said so.
    pub fn latest_progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// What reads left out so far (`on_error` other than `raise`), a sentence each.
    pub fn problems(&self) -> Vec<Arc<str>> {
        self.feed.problems()
    }

    /// The next block, in whatever order they are ready; `None` after the last.
    ///
    /// Chunks that nobody takes stay in the cluster, which then does not run ahead: at most
    /// [`RunOptions::prefetch_bytes`] are fetched in advance. May be dropped at any time and called again.
    ///
    /// # Errors
    /// [`ClientError`], if the job cannot be finished.
    pub async fn next_block(&mut self) -> Result<Option<Block>, ClientError> {
        self.next_block_where(|_, _| true).await
    }

    /// The next block for which `wanted` holds, by output and block; others stay in the cluster until it does.
    ///
    /// For results that are written in order: with a window that moves, what waits here is bounded. The block that is
    /// next in the writer's order must be wanted, or this waits for ever.
    ///
    /// # Errors
    /// [`ClientError`], if the job cannot be finished.
    pub async fn next_block_where(
        &mut self,
        mut wanted: impl FnMut(usize, u64) -> bool,
    ) -> Result<Option<Block>, ClientError> {
        let feed = self.feed.clone();
        while self.left > 0 {
            if !self.here.is_empty() {
                return self.hand_over().await.map(Some);
            }
            let changed = feed.changed();
            tokio::pin!(changed);
            // From here on no change goes unseen.
            changed.as_mut().enable();
            if let Some(Err(error)) = feed.outcome() {
                return Err(error);
            }
            self.fetch_ready(&mut wanted);
            if !self.here.is_empty() {
                return self.hand_over().await.map(Some);
            }
            let deadline = self.workers_due();
            tokio::select! {
                Some(fetched) = self.fetches.join_next() => self.arrived(fetched).await?,
                () = changed => {}
                () = tokio::time::sleep_until(deadline.unwrap_or_else(far_future).into()), if deadline.is_some() => {
                    return Err(self.no_workers());
                }
            }
        }
        Ok(None)
    }

    /// The blocks as a stream.
    pub fn into_stream(self) -> BlockStream {
        Box::pin(futures::stream::try_unfold(self, |mut job| async move {
            Ok(job.next_block().await?.map(|block| (block, job)))
        }))
    }

    /// Asks the cluster to stop and waits until it has, or the connection is lost. The cluster lives on.
    pub async fn cancel(self) {
        self.guard.cancel();
        loop {
            let changed = self.feed.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.feed.outcome().is_some() {
                return;
            }
            changed.await;
        }
    }

    /// Starts to fetch what can be had and is wanted, within the limits.
    fn fetch_ready(&mut self, wanted: &mut impl FnMut(usize, u64) -> bool) {
        while self.fetches.len() < FETCH_COUNT_MAX && self.here.len() < UNPACKED_COUNT_MAX {
            let (busy, limit) = (self.in_flight_bytes, self.options.prefetch_bytes);
            let choose = |layer: LayerId, block: u64, ready: &Ready| {
                let Some(&output) = self.by_layer.get(&layer) else {
                    return Choice::Forget;
                };
                if self.delivered[output].contains(block) {
                    return Choice::Forget;
                }
                let is_free = !self.in_flight.contains(&(layer, block));
                let fits = busy == 0 || busy.saturating_add(ready.bytes) <= limit;
                if is_free && fits && wanted(output, block) {
                    Choice::Take
                } else {
                    Choice::Leave
                }
            };
            let Some((layer, block, ready)) = self.feed.take(choose) else {
                return;
            };
            self.in_flight.insert((layer, block));
            self.in_flight_bytes += ready.bytes;
            match ready.inline.as_ref().map(Chunk::decode) {
                Some(Ok(chunk)) => {
                    self.in_flight_bytes -= ready.bytes;
                    self.here.push_back(Here {
                        layer,
                        block,
                        chunk,
                        is_small: true,
                    });
                }
                Some(Err(_)) | None => self.fetch(layer, block, ready),
            }
        }
    }

    fn fetch(&mut self, layer: LayerId, block: u64, ready: Ready) {
        let chunk_id = self.chunk_id(layer, block);
        let about = self.session.about.clone();
        self.fetches.spawn(async move {
            let mut failed = (Vec::new(), "no worker holds it".to_owned());
            for peer in ready.peers.iter() {
                match about.fetcher.fetch(peer, chunk_id, ready.bytes).await {
                    Ok(chunk) => {
                        let (bytes, chunk) = (ready.bytes, Ok(chunk));
                        return Fetched {
                            layer,
                            block,
                            bytes,
                            chunk,
                        };
                    }
                    Err(why) => {
                        failed.0.push(peer.worker);
                        failed.1 = why;
                    }
                }
            }
            let (bytes, chunk) = (ready.bytes, Err(failed));
            Fetched {
                layer,
                block,
                bytes,
                chunk,
            }
        });
    }

    async fn arrived(&mut self, fetched: Result<Fetched, tokio::task::JoinError>) -> Result<(), ClientError> {
        let Fetched {
            layer,
            block,
            bytes,
            chunk,
        } = fetched.expect("fetches are neither aborted nor do they panic");
        self.in_flight_bytes -= bytes;
        let (failed, why) = match chunk {
            Ok(chunk) => {
                self.here.push_back(Here {
                    layer,
                    block,
                    chunk,
                    is_small: false,
                });
                return Ok(());
            }
            Err(failed) => failed,
        };
        self.in_flight.remove(&(layer, block));
        let chunk = self.chunk_id(layer, block);
        debug!(%chunk, why, "chunk of the result could not be fetched");
        let attempts = self.failures.entry((layer, block)).or_default();
        *attempts += 1;
        if *attempts >= FETCH_ATTEMPT_COUNT_MAX {
            let attempts = *attempts;
            return Err(ClientError::ChunkUnreachable { chunk, attempts, why });
        }
        for worker in failed {
            let room = self.session.reserve().await?;
            room.say(ToCluster::DeliveryFailed { chunk, worker });
        }
        Ok(())
    }

    /// Gives the caller the first chunk that is here, and tells the cluster; of small ones it tells together.
    async fn hand_over(&mut self) -> Result<Block, ClientError> {
        let waits = self.here.len() > 1 && self.here[0].is_small && self.untold.len() < UNPACKED_COUNT_MAX;
        let room = if waits {
            None
        } else {
            Some(self.session.reserve().await?)
        };
        // Nothing is awaited from here on, so no chunk is lost if the caller drops the future.
        let Here {
            layer, block, chunk, ..
        } = self.here.pop_front().expect("the caller looked");
        let chunk_id = ChunkId {
            job: self.guard.id,
            layer,
            block,
        };
        let output = self.by_layer[&layer];
        let meta = &self.outputs[output];
        let tensor = checked(chunk_id, chunk, meta)?;
        self.untold.push(chunk_id);
        if let Some(room) = room {
            let chunks = std::mem::take(&mut self.untold);
            room.say(ToCluster::Delivered { chunks });
        }
        self.in_flight.remove(&(layer, block));
        self.failures.remove(&(layer, block));
        self.delivered[output].insert(block);
        self.left -= 1;
        if self.left == 0 {
            self.guard.done();
        }
        Ok(Block {
            output,
            block,
            index: meta.grid.unravel(block),
            extents: meta.grid.extents(block),
            tensor,
        })
    }

    fn chunk_id(&self, layer: LayerId, block: u64) -> ChunkId {
        let job = self.guard.id;
        ChunkId { job, layer, block }
    }

    /// When the wait for a worker ends, if one is awaited and there is an end to it.
    fn workers_due(&self) -> Option<Instant> {
        Some(self.feed.without_workers_since()? + self.options.no_worker_timeout?)
    }

    fn no_workers(&self) -> ClientError {
        no_workers(&self.session, &self.options)
    }
}

/// What to say when the wait for a worker is over.
pub(crate) fn no_workers(session: &Session, options: &RunOptions) -> ClientError {
    let waited_s = options.no_worker_timeout.unwrap_or_default().as_secs();
    let url = session.about.url.clone();
    ClientError::NoWorkers { waited_s, url }
}

fn far_future() -> Instant {
    Instant::now() + std::time::Duration::from_secs(1 << 30)
}

/// The tensor of a chunk, if it is what the plan says.
fn checked(id: ChunkId, chunk: Chunk, meta: &OutputMeta) -> Result<Tensor, ClientError> {
    let want = meta.grid.block_shape(id.block);
    if let [tensor] = chunk.parts() {
        let fits = tensor
            .shape()
            .iter()
            .map(|&len| len as u64)
            .eq(want.iter().copied());
        if fits && tensor.dtype() == meta.dtype {
            return Ok(tensor.clone());
        }
    }
    if chunk.parts().is_empty() && want.contains(&0) {
        let shape: Vec<usize> = want
            .iter()
            .map(|&len| usize::try_from(len).unwrap_or(usize::MAX))
            .collect();
        return Ok(Tensor::zeros(meta.dtype, &shape)?);
    }
    warn!(chunk = %id, "a worker gave a chunk of the wrong kind");
    Err(ClientError::ChunkMismatch {
        chunk: id,
        got: format!("{:?} {:?}", chunk.dtypes(), chunk.shape()),
        want: format!("{} {want:?}", meta.dtype),
    })
}
