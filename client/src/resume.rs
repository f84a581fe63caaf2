//! Coming back after the connection broke: what this client has and wants, and the way to its scheduler.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use graticule_plan::{ChunkId, LayerId};
use graticule_proto::ClientToken;
use tonic::transport::Endpoint;
use tracing::{info, warn};

use crate::{
    ClientError, ConnectOptions,
    blocks::BlockSet,
    key,
    link::{self, Link},
};

/// Pauses between attempts to connect, doubled each time up to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(25), Duration::from_secs(1));

/// The way to a scheduler in another process, and what this client is to it.
#[derive(Debug)]
pub(crate) struct Home {
    url: String,
    endpoint: Endpoint,
    options: ConnectOptions,
    token: ClientToken,
}

impl Home {
    pub(crate) fn new(url: &str, endpoint: Endpoint, options: &ConnectOptions) -> Self {
        Self {
            url: url.into(),
            endpoint,
            options: options.clone(),
            token: ClientToken(key::draw().0),
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Connects for the first time; the second value is the dashboard's address, if there is one.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::Version`].
    pub(crate) async fn connect(&self) -> Result<(Link, Option<String>), ClientError> {
        let opened =
            link::connect(&self.url, self.endpoint.clone(), &self.options, self.token, false).await?;
        Ok((opened.link, opened.dashboard))
    }

    /// Connects again, and tries for as long as the options say and `is_wanted` holds.
    ///
    /// # Errors
    /// [`ClientError`]: why the jobs of this client are gone.
    pub(crate) async fn come_back(
        &self,
        why: String,
        is_wanted: impl Fn() -> bool,
    ) -> Result<Link, ClientError> {
        let limit = self.options.reconnect_timeout;
        let lost = |why: String| ClientError::ConnectionLost { why };
        if limit.is_zero() {
            return Err(lost(why));
        }
        warn!(
            why,
            "connection to the scheduler lost; trying for {} s",
            limit.as_secs()
        );
        let deadline = tokio::time::Instant::now() + limit;
        let mut pause = PAUSES.0;
        let mut failure = why;
        while is_wanted() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
            let opening = link::connect(&self.url, self.endpoint.clone(), &self.options, self.token, true);
            match tokio::time::timeout_at(deadline, opening).await {
                Ok(Ok(opened)) if opened.is_known => {
                    info!("connected to the scheduler again");
                    return Ok(opened.link);
                }
                Ok(Ok(_)) => {
                    return Err(lost(
                        "the scheduler at its address does not know this client: it was started anew without its \
                         journal, or this client was away for too long"
                            .into(),
                    ));
                }
                Ok(Err(error @ ClientError::Version { .. })) => return Err(error),
                Ok(Err(error)) => failure = error.to_string(),
                Err(_) => break,
            }
        }
        Err(lost(format!("{failure} (for {} s)", limit.as_secs())))
    }
}

/// The chunks of one job that have arrived.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    layers: BTreeMap<LayerId, BlockSet>,
}

impl Arrived {
    pub(crate) fn add(&mut self, chunk: ChunkId) {
        self.layers.entry(chunk.layer).or_default().insert(chunk.block);
    }

    pub(crate) fn ranges(&self) -> Vec<(LayerId, Vec<Range<u64>>)> {
        let layers = self.layers.iter();
        layers.map(|(&layer, blocks)| (layer, blocks.ranges())).collect()
    }
}
