//! Graticule's gRPC protocol: the generated code, and conversions to and from the domain types.
//!
//! Nobody but this crate and the shells' service implementations names a generated type. What arrives is checked
//! while it is converted: a plan that exists is valid.
//!
//! ```
//! use graticule_plan::AxisChunks;
//!
//! let chunks = AxisChunks::regular(10, 4)?;
//! let wire = graticule_proto::v1::AxisChunks::from(&chunks);
//! assert_eq!(AxisChunks::try_from(wire)?, chunks);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod client;
mod dataset;
mod disk;
mod error;
mod journal;
mod lines;
mod moves;
mod plan;
mod ready;
mod reports;
mod resume;
mod story;
mod story_text;
mod subject;
mod transfer;
mod version;
mod why;
mod worker;

/// The generated code of the package `graticule.v1`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::unwrap_used)]
pub mod v1 {
    include!("gen/graticule.v1.rs");
}

pub use client::{Assembled, FromCluster, PlanAssembler, ToCluster, submission, submission_bytes};
pub use dataset::{Dataset, DatasetAnswer, DatasetError, DatasetRequest};
pub use error::ProtoError;
pub use graticule_engine as engine;
pub use journal::{JobEnd, Record, RecordDecoder, RecordEncoder};
pub use ready::ReadyChunk;
pub use resume::{ClientToken, Resume, ResumedJob};
pub use story::{About, Answer, Happening};
pub use subject::{Subject, SubjectError, worker_number};
pub use transfer::{
    FETCH_PATH, PUT_CHUNK, PUT_PATH, Region, STORE_SERVICE, decode_fetch, decode_put, encode_fetch,
    encode_put,
};
pub use version::{check_version, version};

/// The largest message that either end accepts. Side tables must fit in one.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;
