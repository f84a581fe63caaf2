//! The live dashboard: aggregation, HTTP and the page.
//!
//! The scheduler tells a [`Feed`] what happens and never waits for anybody who watches. One thread takes the
//! records in ([`aggregate`], which is pure), and ten times a second encodes what changed, once for all viewers.
//! The page itself is part of the binary.
//!
//! The crate knows jobs, layers, tasks and workers by their ids. It knows nothing of arrays, and nothing of how
//! the scheduler decides: what it shows is what it was told.
//!
//! ```
//! use std::{sync::Arc, time::Instant};
//!
//! use graticule_dashboard::{Dashboard, DashboardOptions, Feed, LayerInfo, Record};
//! use graticule_plan::JobId;
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let (feed, receiver) = Feed::new();
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
//! let dashboard = Dashboard::start(listener, receiver, DashboardOptions::default()).unwrap();
//!
//! let layer = LayerInfo { name: "read+where".into(), task_count: 64, chunk_bytes: 1 << 20, origin: None, plan: None };
//! feed.record(0, Record::JobStarted { job: JobId(1), name: "mosaic".into(), layers: Arc::new([layer]) });
//! println!("open {}", dashboard.url());
//! dashboard.shutdown().await;
//! # });
//! ```

pub mod aggregate;
mod answers;
mod assets;
mod disk;
mod encoded;
mod error;
mod feed;
mod guard;
mod http;
mod hub;
mod logline;
mod moved;
mod panels;
mod reasons;
mod record;
mod runs;

pub use self::{
    disk::{ChunkRun, DiskChecked, DiskTold},
    error::DashboardError,
    feed::{BULK_RECORD_COUNT_MAX, Feed, FeedReceiver, Observer, STRUCTURAL_RECORD_COUNT_MAX},
    http::{Dashboard, DashboardHandle, DashboardOptions, VIEWER_COUNT_MAX},
    logline::{LogLevel, LogLine, LogSource},
    moved::{Moved, MovedKind},
    reasons::{EXPLAINED_COUNT_MAX, Explainer, Explanation, ExplanationLine},
    record::{
        JobOutcome, LayerInfo, LayerPlan, LeaveReason, Record, ScaleDecision, TaskFinished, WorkerStatus,
    },
    runs::{
        ARCHIVE_BYTES_MAX, ARCHIVE_VERSION, Archive, ArchiveError, FILM_STEP_COUNT, FILM_VERSION,
        FOLDER_BYTES_MAX, FOLDER_RUN_COUNT_MAX, RUN_BYTES_MAX, RUN_COUNT_MAX, RUN_LINE_BYTES_MAX,
        RUN_LINE_COUNT_MAX, RUNNING_BYTES_MAX, Recording, RunKey, RunRow,
    },
};
