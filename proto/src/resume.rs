//! What a client says of itself when it comes back after its connection broke.

use std::{fmt, ops::Range};

use graticule_plan::{JobId, Key, LayerId};

use crate::{
    ProtoError,
    plan::{from_kept_blocks, kept_blocks, key, key_bytes},
    v1,
};

use ProtoError::Malformed;

/// What a client proves itself with when it comes back. Nobody else has it, and it is never printed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientToken(pub u128);

impl fmt::Debug for ClientToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientToken")
    }
}

impl ClientToken {
    /// The token as it stands in a message.
    pub fn bytes(self) -> bytes::Bytes {
        bytes::Bytes::copy_from_slice(&self.0.to_be_bytes())
    }
}

impl TryFrom<&[u8]> for ClientToken {
    type Error = ProtoError;

    fn try_from(bytes: &[u8]) -> Result<Self, ProtoError> {
        let bytes = bytes
            .try_into()
            .map_err(|_| Malformed("a client's token is not 16 bytes long"))?;
        Ok(Self(u128::from_be_bytes(bytes)))
    }
}

/// What a client that comes back has and wants. What it does not name it wants no more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resume {
    /// Jobs whose end it has not heard of.
    pub jobs: Vec<ResumedJob>,
    /// Submissions that were not answered; they are said again.
    pub submissions: Vec<u64>,
    /// Kept results that it still needs.
    pub keys: Vec<Key>,
    /// Blocks of those that it has let go.
    pub released: Vec<(Key, Vec<Range<u64>>)>,
}

/// A job that a client that comes back still wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumedJob {
    /// The job.
    pub job: JobId,
    /// Chunks that have arrived, as ranges of a layer's blocks.
    pub delivered: Vec<(LayerId, Vec<Range<u64>>)>,
}

impl From<Resume> for v1::Resume {
    fn from(resume: Resume) -> Self {
        let blocks = |(layer, ranges): (LayerId, Vec<Range<u64>>)| v1::DeliveredBlocks {
            layer: layer.0,
            starts: ranges.iter().map(|range| range.start).collect(),
            ends: ranges.iter().map(|range| range.end).collect(),
        };
        let job = |job: ResumedJob| v1::ResumedJob {
            job: job.job.0,
            delivered: job.delivered.into_iter().map(blocks).collect(),
        };
        Self {
            jobs: resume.jobs.into_iter().map(job).collect(),
            submissions: resume.submissions,
            keys: resume.keys.into_iter().map(key_bytes).collect(),
            released: resume
                .released
                .iter()
                .map(|(key, blocks)| kept_blocks(*key, blocks))
                .collect(),
        }
    }
}

impl TryFrom<v1::Resume> for Resume {
    type Error = ProtoError;

    fn try_from(resume: v1::Resume) -> Result<Self, ProtoError> {
        let blocks = |blocks: v1::DeliveredBlocks| {
            if blocks.starts.len() != blocks.ends.len() {
                return Err(Malformed("ranges without an end"));
            }
            let ranges = blocks.starts.into_iter().zip(blocks.ends);
            let ranges = ranges.map(|(start, end)| start..end).collect();
            Ok((LayerId(blocks.layer), ranges))
        };
        let job = |job: v1::ResumedJob| {
            Ok(ResumedJob {
                job: JobId(job.job),
                delivered: job.delivered.into_iter().map(blocks).collect::<Result<_, _>>()?,
            })
        };
        let keys = resume.keys.iter().map(|bytes| key(bytes));
        let released = resume.released.into_iter().map(from_kept_blocks);
        Ok(Self {
            jobs: resume
                .jobs
                .into_iter()
                .map(job)
                .collect::<Result<_, ProtoError>>()?,
            submissions: resume.submissions,
            keys: keys.collect::<Result<_, _>>()?,
            released: released.collect::<Result<_, _>>()?,
        })
    }
}
