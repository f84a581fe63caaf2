//! Chunks of a result that can be had, and chunks that arrived: many in one message, a column for each fact, since small
//! results come by the hundred thousand.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use graticule_engine::Peer;
use graticule_plan::{ChunkId, JobId, LayerId};

use crate::{ProtoError, reports::split_value, v1};

use ProtoError::Malformed;

/// A chunk of a result that can be had.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadyChunk {
    /// Its block.
    pub block: u64,
    /// Its size.
    pub bytes: u64,
    /// Who holds it; chunks that follow each other share the list.
    pub peers: Arc<[Peer]>,
    /// The encoded chunk, if it is small.
    pub inline: Option<Bytes>,
}

/// The message that says which chunks of a layer can be had.
pub(crate) fn chunks_ready(job: JobId, layer: LayerId, chunks: &[ReadyChunk]) -> v1::ChunksReady {
    let mut message = v1::ChunksReady {
        job: job.0,
        layer: layer.0,
        ..v1::ChunksReady::default()
    };
    let inline_bytes = chunks
        .iter()
        .map(|chunk| chunk.inline.as_ref().map_or(0, Bytes::len));
    let mut inline = BytesMut::with_capacity(inline_bytes.sum());
    let mut latest: Option<&Arc<[Peer]>> = None;
    for chunk in chunks {
        if !latest.is_some_and(|peers| Arc::ptr_eq(peers, &chunk.peers) || *peers == chunk.peers) {
            latest = Some(&chunk.peers);
            message.holders.push(v1::Holders {
                peers: chunk.peers.iter().map(Into::into).collect(),
                chunk_count: 0,
            });
        }
        if let Some(holders) = message.holders.last_mut() {
            holders.chunk_count += 1;
        }
        message.blocks.push(chunk.block);
        message.bytes.push(chunk.bytes);
        let size = chunk.inline.as_ref().map_or(0, |value| value.len() as u64 + 1);
        message.inline_sizes.push(size);
        inline.extend_from_slice(chunk.inline.as_deref().unwrap_or_default());
    }
    message.inline = inline.freeze();
    message
}

/// The chunks that a message names.
pub(crate) fn ready_chunks(message: v1::ChunksReady) -> Result<Vec<ReadyChunk>, ProtoError> {
    let v1::ChunksReady {
        holders,
        blocks,
        bytes,
        inline_sizes,
        mut inline,
        ..
    } = message;
    let mut left = holders.into_iter();
    let (mut peers, mut sharing): (Arc<[Peer]>, u64) = (Arc::default(), 0);
    if bytes.len() != blocks.len() || inline_sizes.len() != blocks.len() {
        return Err(Malformed("columns of different lengths"));
    }
    let mut chunks = Vec::with_capacity(blocks.len());
    for ((block, bytes), size) in blocks.into_iter().zip(bytes).zip(inline_sizes) {
        while sharing == 0 {
            let next = left
                .next()
                .ok_or(Malformed("a chunk of which nobody is said to hold it"))?;
            (peers, sharing) = (next.peers.into_iter().map(Into::into).collect(), next.chunk_count);
        }
        sharing -= 1;
        let value = split_value(&mut inline, size)?;
        chunks.push(ReadyChunk {
            block,
            bytes,
            peers: peers.clone(),
            inline: value,
        });
    }
    Ok(chunks)
}

/// The messages that say which chunks arrived: one for each run of chunks of one job.
pub(crate) fn delivered(chunks: &[ChunkId]) -> Vec<v1::Delivered> {
    chunks
        .chunk_by(|a, b| a.job == b.job)
        .map(|of_job| v1::Delivered {
            job: of_job[0].job.0,
            chunks: of_job
                .chunk_by(|a, b| a.layer == b.layer)
                .map(|of_layer| v1::DeliveredChunks {
                    layer: of_layer[0].layer.0,
                    blocks: of_layer.iter().map(|chunk| chunk.block).collect(),
                })
                .collect(),
        })
        .collect()
}

/// The chunks that arrived, as a message names them.
pub(crate) fn delivered_chunks(message: &v1::Delivered) -> Vec<ChunkId> {
    let job = JobId(message.job);
    let of_layer = |of: &v1::DeliveredChunks| {
        let layer = LayerId(of.layer);
        let blocks = of.blocks.clone().into_iter();
        blocks.map(move |block| ChunkId { job, layer, block })
    };
    message.chunks.iter().flat_map(of_layer).collect()
}

#[cfg(test)]
mod tests {
    use graticule_plan::WorkerId;
    use prost::Message;

    use super::*;

    fn peer(worker: u64) -> Peer {
        Peer {
            worker: WorkerId(worker),
            address: format!("host:{worker}").into(),
        }
    }

    fn chunk(block: u64, peers: &[Peer], inline: Option<&'static [u8]>) -> ReadyChunk {
        ReadyChunk {
            block,
            bytes: block * 3,
            peers: peers.into(),
            inline: inline.map(Bytes::from_static),
        }
    }

    #[test]
    fn ready_chunks_come_back_as_they_were_with_holders_said_once() {
        let (one, both) = ([peer(1)], [peer(1), peer(2)]);
        let chunks = [
            chunk(7, &one, Some(b"value")),
            chunk(3, &one, Some(b"")),
            chunk(4, &both, None),
            chunk(9, &[], Some(b"x")),
        ];
        let message = chunks_ready(JobId(5), LayerId(2), &chunks);
        assert_eq!(message.holders.len(), 3);
        let bytes = message.encode_to_vec();
        let message = v1::ChunksReady::decode(Bytes::from(bytes)).unwrap();
        assert_eq!((message.job, message.layer), (5, 2));
        assert_eq!(ready_chunks(message).unwrap(), chunks);
    }

    #[test]
    fn columns_that_do_not_fit_together_are_refused() {
        let whole = chunks_ready(JobId(1), LayerId(0), &[chunk(1, &[peer(1)], Some(b"value"))]);
        let broken: [fn(&mut v1::ChunksReady); 4] = [
            |message| message.bytes.clear(),
            |message| message.inline_sizes.push(1),
            |message| message.inline_sizes[0] = 99,
            |message| message.holders.clear(),
        ];
        for damage in broken {
            let mut message = whole.clone();
            damage(&mut message);
            assert!(ready_chunks(message).is_err());
        }
    }

    #[test]
    fn delivered_chunks_come_back_in_runs_of_a_job() {
        let id = |job, layer, block| ChunkId {
            job: JobId(job),
            layer: LayerId(layer),
            block,
        };
        let chunks = [id(1, 0, 5), id(1, 0, 2), id(1, 3, 2), id(2, 0, 0), id(1, 0, 9)];
        let messages = delivered(&chunks);
        assert_eq!(messages.len(), 3);
        let back: Vec<ChunkId> = messages.iter().flat_map(delivered_chunks).collect();
        assert_eq!(back, chunks);
    }
}
