//! Chunks of results that can be had, gathered while the engine's commands are carried out, so that a client hears of
//! many in one message.

use std::sync::Arc;

use graticule_engine::{
    Peer,
    scheduler::{ClientId, JobEvent},
};
use graticule_plan::{JobId, LayerId};
use graticule_proto::{FromCluster, ReadyChunk};

/// Chunks of one message.
const CHUNK_COUNT_MAX: usize = 1024;
/// Bytes of the values that come along in one message, unless one alone is larger.
const INLINE_BYTES_MAX: usize = 1 << 20;

/// Chunks of one layer that their client was not told of yet.
#[derive(Debug, Default)]
pub(crate) struct ReadyChunks {
    of: Option<(ClientId, JobId, LayerId)>,
    chunks: Vec<ReadyChunk>,
    inline_bytes: usize,
}

/// A message, and to whom.
pub(crate) type Told = (ClientId, FromCluster);

impl ReadyChunks {
    /// Takes in something that a client is to hear of; gives what is to be told before the next thing is taken in.
    pub(crate) fn add(
        &mut self,
        client: ClientId,
        job: JobId,
        event: JobEvent,
    ) -> (Option<Told>, Option<JobEvent>) {
        let JobEvent::ChunkReady {
            layer,
            block,
            bytes,
            peers,
            inline,
        } = event
        else {
            return (self.take(), Some(event));
        };
        let size = inline.as_ref().map_or(0, |value| value.len());
        let is_full = self.chunks.len() >= CHUNK_COUNT_MAX || self.inline_bytes + size > INLINE_BYTES_MAX;
        let before = if is_full || self.of != Some((client, job, layer)) {
            self.take()
        } else {
            None
        };
        self.of = Some((client, job, layer));
        self.inline_bytes += size;
        let peers = self.shared(peers);
        self.chunks.push(ReadyChunk {
            block,
            bytes,
            peers,
            inline,
        });
        (before, None)
    }

    /// What was gathered.
    pub(crate) fn take(&mut self) -> Option<Told> {
        let (client, job, layer) = self.of.take()?;
        self.inline_bytes = 0;
        let chunks = std::mem::take(&mut self.chunks);
        Some((client, FromCluster::Chunks { job, layer, chunks }))
    }

    /// The list of the chunk before, if it is the same.
    fn shared(&self, peers: Vec<Peer>) -> Arc<[Peer]> {
        match self.chunks.last() {
            Some(last) if *last.peers == *peers => last.peers.clone(),
            Some(_) | None => peers.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use graticule_plan::WorkerId;

    use super::*;

    const CLIENT: ClientId = ClientId(1);
    const JOB: JobId = JobId(1);

    fn ready(layer: u32, block: u64, inline: usize) -> JobEvent {
        JobEvent::ChunkReady {
            layer: LayerId(layer),
            block,
            bytes: 8,
            peers: vec![Peer {
                worker: WorkerId(3),
                address: "here:1".into(),
            }],
            inline: (inline > 0).then(|| Bytes::from(vec![0; inline])),
        }
    }

    /// The blocks of each message that is told, in order.
    fn told(events: impl IntoIterator<Item = (ClientId, JobEvent)>) -> Vec<(ClientId, LayerId, Vec<u64>)> {
        let mut gathered = ReadyChunks::default();
        let mut told = Vec::new();
        for (client, event) in events {
            told.extend(gathered.add(client, JOB, event).0);
        }
        told.extend(gathered.take());
        assert!(gathered.take().is_none());
        let blocks = |chunks: Vec<ReadyChunk>| chunks.iter().map(|chunk| chunk.block).collect();
        let lists = told.into_iter().map(|(client, event)| match event {
            FromCluster::Chunks { layer, chunks, .. } => (client, layer, blocks(chunks)),
            other => panic!("{other:?} was told"),
        });
        lists.collect()
    }

    #[test]
    fn chunks_of_one_layer_are_told_together_and_in_their_order() {
        let events = [(0, 1), (0, 2), (1, 3), (0, 4)].map(|(layer, block)| (CLIENT, ready(layer, block, 5)));
        let other = (ClientId(2), ready(0, 5, 5));
        let layer = LayerId;
        let want = [
            (CLIENT, layer(0), vec![1, 2]),
            (CLIENT, layer(1), vec![3]),
            (CLIENT, layer(0), vec![4]),
            (ClientId(2), layer(0), vec![5]),
        ];
        assert_eq!(told(events.into_iter().chain([other])), want);
    }

    #[test]
    fn a_message_has_limits_in_chunks_and_in_bytes() {
        let many = told((0..CHUNK_COUNT_MAX as u64 + 1).map(|block| (CLIENT, ready(0, block, 0))));
        assert_eq!(many.len(), 2);
        assert_eq!(many[1].2, [CHUNK_COUNT_MAX as u64]);
        let large = told((0..3).map(|block| (CLIENT, ready(0, block, INLINE_BYTES_MAX / 2))));
        assert_eq!(large.len(), 2);
    }

    #[test]
    fn something_else_goes_behind_the_chunks_before_it() {
        let mut gathered = ReadyChunks::default();
        assert_eq!(gathered.add(CLIENT, JOB, ready(0, 1, 0)), (None, None));
        let (before, after) = gathered.add(CLIENT, JOB, JobEvent::Finished);
        assert!(matches!(before, Some((CLIENT, FromCluster::Chunks { .. }))));
        assert_eq!(after, Some(JobEvent::Finished));
    }

    #[test]
    fn chunks_of_the_same_workers_share_their_list() {
        let mut gathered = ReadyChunks::default();
        for block in 0..2 {
            gathered.add(CLIENT, JOB, ready(0, block, 0));
        }
        assert!(Arc::ptr_eq(&gathered.chunks[0].peers, &gathered.chunks[1].peers));
    }
}
