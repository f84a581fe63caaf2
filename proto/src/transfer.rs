//! What is asked of a worker's store, to and from the wire. The answer is read and written by `graticule-transfer`.

use std::ops::Range;

use graticule_plan::{ChunkId, NDIM_MAX};
use prost::Message;

use crate::{ProtoError, v1};

/// The name of the service that a worker's store is.
pub const STORE_SERVICE: &str = "graticule.v1.Store";
/// The path of its method that gives regions of chunks.
pub const FETCH_PATH: &str = "/graticule.v1.Store/Fetch";

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
    use graticule_plan::{JobId, LayerId};

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
        assert!(decode_fetch(&[0xff]).is_err());
        assert!(decode_fetch(&[]).is_err());
    }
}
