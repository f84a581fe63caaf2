//! What is asked of a worker's store, to and from the wire. The answer is read and written by `graticule-transfer`.

use std::ops::Range;

use graticule_plan::{ChunkId, JobId, LayerId, NDIM_MAX};
use prost::Message;

use crate::{ProtoError, v1};

/// The name of the service that a worker's store is.
pub const STORE_SERVICE: &str = "graticule.v1.Store";
/// The path of its method that gives regions of chunks.
pub const FETCH_PATH: &str = "/graticule.v1.Store/Fetch";

/// The path of its method that takes values in.
pub const PUT_PATH: &str = "/graticule.v1.Store/Put";
/// The metadata that names the chunk that a value is, and the attempt that waits for it.
pub const PUT_CHUNK: &str = "graticule-chunk";

/// The name of a chunk in metadata, with the attempt that waits for it.
pub fn encode_put(chunk: ChunkId, attempt: u32) -> String {
    format!("{}.{}.{}.{attempt}", chunk.job.0, chunk.layer.0, chunk.block)
}

/// The chunk of a name in metadata, and the attempt that waits for it.
pub fn decode_put(name: &str) -> Option<(ChunkId, u32)> {
    let mut parts = name.split('.');
    let chunk = ChunkId {
        job: JobId(parts.next()?.parse().ok()?),
        layer: LayerId(parts.next()?.parse().ok()?),
        block: parts.next()?.parse().ok()?,
    };
    let attempt = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some((chunk, attempt))
}

/// A box of elements: a range along each axis.
pub type Region = Vec<Range<u64>>;

/// The message that asks for a region of a chunk, or the whole of it.
pub fn encode_fetch(chunk: ChunkId, region: Option<&[Range<u64>]>) -> Vec<u8> {
    let region = region.unwrap_or_default();
    let request = v1::FetchRequest {
        chunk: Some(chunk.into()),
        starts: region.iter().map(|range| range.start).collect(),
        ends: region.iter().map(|range| range.end).collect(),
    };
    request.encode_to_vec()
}

/// The chunk that is asked for, and what of it: everything, if no region is named.
///
/// # Errors
/// [`ProtoError::Malformed`].
pub fn decode_fetch(message: &[u8]) -> Result<(ChunkId, Option<Region>), ProtoError> {
    let request = v1::FetchRequest::decode(message);
    let request = request.map_err(|_| ProtoError::Malformed("this asks for no chunk"))?;
    let chunk = request.chunk.ok_or(ProtoError::Malformed("no chunk named"))?;
    if request.starts.len() != request.ends.len() || request.starts.len() > NDIM_MAX {
        return Err(ProtoError::Malformed(
            "a region's starts and ends differ in number",
        ));
    }
    let region: Region = request
        .starts
        .into_iter()
        .zip(request.ends)
        .map(|(start, end)| start..end)
        .collect();
    Ok((chunk.into(), (!region.is_empty()).then_some(region)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_arrives() {
        let chunk = ChunkId {
            job: JobId(7),
            layer: LayerId(2),
            block: 300,
        };
        let region = vec![0..4, 8..8, 1..u64::MAX];
        for asked in [None, Some(region)] {
            let message = encode_fetch(chunk, asked.as_deref());
            assert_eq!(decode_fetch(&message).ok(), Some((chunk, asked)));
        }
        assert_eq!(decode_put(&encode_put(chunk, 3)), Some((chunk, 3)));
        for wrong in ["", "1.2", "1.2.3", "1.2.3.4.5", "1.x.3.4", "1.2.-3.4"] {
            assert_eq!(decode_put(wrong), None);
        }
        assert!(decode_fetch(&[0xff]).is_err());
        assert!(decode_fetch(&[]).is_err());
    }
}
