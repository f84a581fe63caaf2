//! Connects to a cluster or embeds one, submits arrays, brings results back.
//!
//! A [`Client`] is async and cheap to clone; [`blocking::Client`] wraps it for code without async. Expressions are
//! lowered here and sent as a symbolic plan. Results come back chunk by chunk, straight from the workers that hold them:
//! gathered to a [`Tensor`], or as a stream of any size ([`Client::stream`]), or they stay in
//! the cluster's memory ([`Client::persist`]).
//!
//! This crate knows nothing of how tasks are placed or run. With the feature `local` (on by default) it starts the
//! scheduler and the workers of the embedded cluster; without it it only talks to ones that run elsewhere.
//!
//! ```
//! use graticule_array::{Array, Chunks, Over};
//! use graticule_client::Client;
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let client = Client::local().await?; // or Client::connect("grpc://127.0.0.1:8786")
//! let scenes = Array::ones(&[8, 64, 64], &[Chunks::Size(1), Chunks::Whole, Chunks::Whole], graticule_plan::DType::Float32)?;
//! let median = client.compute(&scenes.median(&Over::axis(0).skipna())?).await?;
//! assert_eq!(median.shape(), [64, 64]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "local")]
mod adapt;
mod address;
mod arrays;
#[cfg(feature = "bars")]
mod bars;
pub mod blocking;
mod blocks;
mod calls;
mod client;
mod datasets;
mod error;
mod explain;
mod feed;
mod fetch;
mod gather;
mod job;
mod key;
mod lengths;
mod link;
#[cfg(feature = "local")]
mod local;
mod memory;
mod options;
mod persist;
mod progress;
#[cfg(feature = "local")]
mod report;
mod resume;
mod session;
mod why;

pub use arrays::{open_zarr, stack_array, to_zarr, write_zarr_region, zarr_array};
#[cfg(feature = "bars")]
pub use bars::Bars;
pub use calls::{Arg, CallOptions, Future, ScatterOptions};
pub use client::{Client, ClusterInfo};
pub use error::ClientError;
pub use explain::Explanation;
pub use gather::Results;
pub use graticule_kernel::{Tensor, Value};
pub use graticule_proto::{
    About, Answer, Happening, Subject, SubjectError,
    engine::scheduler::{
        Admission, Bound, LayerProgress, Openings, Placement, Standing, Why, WorkerInfo, WorkerWhy,
    },
};
#[cfg(feature = "local")]
pub use graticule_scheduler::{AdaptOptions, Rules as AdaptRules};
#[cfg(feature = "local")]
pub use graticule_worker::{BlockCall, Chunk, FunctionError, Registry};
pub use job::{Block, BlockStream, Job};
pub use lengths::Unique;
#[cfg(feature = "local")]
pub use local::LocalOptions;
pub use options::{ConnectOptions, RunOptions};
pub use persist::Persisted;
pub use progress::Progress;
