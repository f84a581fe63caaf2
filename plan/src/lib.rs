//! The vocabulary of Graticule and its symbolic task graph.
//!
//! A [`Plan`] is a directed acyclic graph of [`Layer`]s. A layer stands for one operation over a whole
//! array, whatever its number of chunks: it has a [`ChunkGrid`], an opaque body, and [`Input`]s whose
//! [`InputMap`] says which part of which source chunks each block needs. A task is a layer and a block
//! index; it is computed when somebody asks for it and stored nowhere.
//!
//! This crate knows nothing of what an operation does, of where a task runs, or of any I/O.
//!
//! ```
//! use graticule_plan::{AxisChunks, ChunkGrid};
//!
//! let grid = ChunkGrid::new(vec![AxisChunks::regular(10, 4)?, AxisChunks::regular(6, 6)?])?;
//! assert_eq!(grid.shape(), [10, 6]);
//! assert_eq!(grid.block_counts(), [3, 1]);
//! assert_eq!(grid.extents(2), vec![8..10, 0..6]);
//! # Ok::<(), graticule_plan::PlanError>(())
//! ```

mod annotations;
mod bound;
mod depth_first;
mod dtype;
mod error;
mod footprint;
mod grid;
mod ids;
mod inverse;
mod layer;
mod map;
mod turns;
mod unit;
mod window;

pub use annotations::Annotations;
pub use dtype::{DType, Kind};
pub use error::PlanError;
pub use grid::{AxisChunks, BLOCK_COUNT_MAX, ChunkGrid, NDIM_MAX};
pub use ids::{ChunkId, Digest, JobId, Key, LayerId, TaskId, WorkerId};
pub use inverse::Inverse;
pub use layer::{Body, Layer, LayerKind, Output, Plan, PlanBuilder, Resource};
pub use map::{BlockMap, Piece};
pub use turns::{Place, Turns};
pub use unit::TimeUnit;
pub use window::{AxisWindow, Input, InputMap, Rows, Source};
