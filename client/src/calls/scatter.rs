//! Values that go from the client straight into the memory of workers.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use graticule_kernel::{Chunk, Value};
use graticule_ops::VALUE_FUNCTION;
use graticule_plan::{
    AxisChunks, Body, ChunkGrid, ChunkId, Layer, LayerKind, Output, PlanBuilder, PlanError,
};
use graticule_proto::engine::Peer;
use tracing::debug;

use super::{Arg, CallOptions, CallSubmission, Future, Promise, draft::Drafted, future::Place};
use crate::{Client, ClientError, key, session::Session};

/// Values of at most so many bytes go through the scheduler, which keeps them.
const SMALL_BYTES_MAX: u64 = 64 << 10;
/// The number of batches that are not of calls: none of those is it.
const NO_BATCH: u64 = u64::MAX;
/// Pauses between attempts to reach a worker, and how many there are before a value is given up: longer than a worker
/// may be silent.
const PUT_PAUSES: (Duration, u32) = (Duration::from_millis(500), 120);
const NAME: &str = "scatter";

/// How values shall be scattered.
///
/// ```
/// use graticule_client::ScatterOptions;
///
/// let safe = ScatterOptions::new().replicas(2).worker("large-0").worker("large-1");
/// # let _ = safe;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScatterOptions {
    /// Workers that shall hold each value, as far as there are so many with room; 0 is taken as 1.
    pub replicas: u32,
    /// The names of the workers that may hold it; if empty, all may.
    pub workers: Vec<Arc<str>>,
}

impl ScatterOptions {
    /// One worker, any.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a number of workers that shall hold each value.
    #[must_use]
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.replicas = replicas;
        self
    }

    /// With one more worker that may hold the values.
    #[must_use]
    pub fn worker(mut self, name: &str) -> Self {
        self.workers.push(name.into());
        self
    }
}

impl Client {
    /// Puts values into the memory of the workers, for calls to share, and returns when they are there.
    ///
    /// Small values, up to 64 KiB, go through the scheduler, which keeps them until the last clone of the future is
    /// dropped, so they are never lost. Larger ones go straight to a worker: each may take as much as a worker has. One that
    /// is lost with its worker fails, and calls that need it do; see [`Client::scatter_with`] for more copies.
    ///
    /// # Errors
    /// As [`Client::submit`] and [`Future::wait`]; [`ClientError::Failed`] for a value that no worker has room for.
    pub async fn scatter<V: Into<Value>>(
        &self,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Vec<Future>, ClientError> {
        let function = VALUE_FUNCTION.into();
        let options = Arc::new(CallOptions::default());
        let (mut futures, mut large) = (Vec::new(), Vec::new());
        for value in values {
            let value = value.into();
            if value.nbytes() <= SMALL_BYTES_MAX {
                futures.push(Some(self.call(&function, vec![Arg::Value(value)], &options)?));
            } else {
                futures.push(None);
                large.push(value);
            }
        }
        let large = self.scatter_with(large, &ScatterOptions::default()).await?;
        let mut large = large.into_iter();
        let futures: Vec<Future> = futures
            .into_iter()
            .map(|small| small.or_else(|| large.next()).expect("one for each value"))
            .collect();
        for future in &futures {
            future.wait().await?;
        }
        Ok(futures)
    }

    /// As [`Client::scatter`], but all values go straight to workers, as many of them as said, and returns when all
    /// copies are there that find room.
    ///
    /// A value is lost when all workers are that hold it. When one of several is, another copy is made.
    ///
    /// # Errors
    /// As [`Client::scatter`].
    pub async fn scatter_with<V: Into<Value>>(
        &self,
        values: impl IntoIterator<Item = V>,
        options: &ScatterOptions,
    ) -> Result<Vec<Future>, ClientError> {
        let whole = |value: V| {
            let value: Value = value.into();
            let item_bytes = value.nbytes().max(1);
            let grid = ChunkGrid::new(vec![AxisChunks::regular(1, 1)?])?;
            Ok(Handed {
                chunk: value.into(),
                grid,
                item_bytes,
            })
        };
        let values: Result<Vec<Handed>, PlanError> = values.into_iter().map(whole).collect();
        self.hand_over(values.expect("one element is a grid"), options)
            .await
    }

    /// Has workers take values, and returns when all copies are there that find room.
    pub(super) async fn hand_over(
        &self,
        values: Vec<Handed>,
        options: &ScatterOptions,
    ) -> Result<Vec<Future>, ClientError> {
        if values.is_empty() {
            return Ok(Vec::new());
        }
        let (drafted, promises) =
            draft(&self.session, values, options).expect("a layer for each value is a plan");
        let futures: Vec<Future> = promises.iter().cloned().map(Future::new).collect();
        self.session
            .submit_values(CallSubmission::new(drafted, Vec::new(), None))
            .await?;
        for future in &futures {
            future.wait().await?;
        }
        // From now on the workers alone have them.
        promises.iter().for_each(|promise| promise.forget_value());
        Ok(futures)
    }
}

/// A value, and the array of one block that it is in the plan.
pub(super) struct Handed {
    pub(super) chunk: Chunk,
    pub(super) grid: ChunkGrid,
    pub(super) item_bytes: u64,
}

/// A plan of values, a layer for each, since they differ in size.
fn draft(
    session: &Session,
    values: Vec<Handed>,
    options: &ScatterOptions,
) -> Result<(Drafted, Vec<Arc<Promise>>), PlanError> {
    let mut builder = PlanBuilder::new();
    let (mut layers, mut promises) = (Vec::new(), Vec::new());
    for Handed {
        chunk,
        grid,
        item_bytes,
    } in values
    {
        let mut layer = Layer::new(NAME, grid, item_bytes, Body::new(Vec::new()), Vec::new());
        layer.workers.clone_from(&options.workers);
        layer.kind = LayerKind::Values {
            replicas: options.replicas.max(1),
        };
        let (layer, key) = (builder.layer(layer)?, key::draw());
        builder.output(Output {
            layer,
            keep: Some(key),
        })?;
        let promise = Arc::new(Promise::new(NAME.into(), session.clone()).with_value(chunk));
        promise.put(Place {
            batch: NO_BATCH,
            key,
            layer,
            block: 0,
        });
        layers.push((key, vec![promise.clone()]));
        promises.push(promise);
    }
    let plan = builder.finish();
    Ok((Drafted { plan, layers }, promises))
}

impl Promise {
    /// An attempt waits for the value on a worker: it is put there, or said to be gone.
    pub(super) fn value_awaited(self: Arc<Self>, awaited: (ChunkId, u32), peer: Peer) {
        let news = self.news_count.fetch_add(1, Ordering::SeqCst) + 1;
        match self.value() {
            Some(value) => drop(tokio::spawn(self.hand_over(value, awaited, peer, news))),
            // With it goes what needs it; the scheduler says why.
            None => self.give_up(),
        }
    }

    fn give_up(&self) {
        if let Some(place) = self.place() {
            self.session.cancel_block(place.key, place.block);
        }
    }

    async fn hand_over(self: Arc<Self>, value: Chunk, awaited: (ChunkId, u32), peer: Peer, news: u64) {
        let (chunk, _) = awaited;
        let (pause, tries) = PUT_PAUSES;
        let mut last = String::new();
        for try_count in 1..=tries {
            match self.session.about.fetcher.put(&peer, awaited, &value).await {
                Ok(()) => return,
                Err(why) => last = why,
            }
            debug!(%chunk, address = %peer.address, try_count, why = last, "a value was not taken");
            tokio::time::sleep(pause).await;
            // Another worker waits for it now, or it is there, or nobody wants it. It may have been there before, and be lost.
            if self.news_count.load(Ordering::SeqCst) != news {
                return;
            }
        }
        self.fail(ClientError::ChunkUnreachable {
            chunk,
            attempts: tries,
            why: last,
        });
        self.give_up();
    }
}
