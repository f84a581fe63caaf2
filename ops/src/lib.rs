//! What a Graticule task does, as data.
//!
//! A layer's body is an encoded [`Program`]: a list of [`Node`]s in which each names earlier ones, so that operations
//! fuse by concatenating lists. Dtypes are explicit: a binary node takes two operands of one dtype, and whoever writes
//! the program inserts [`Node::Cast`]; so the promotion rules ([`promote`]) live in one place, and kernels stay simple.
//!
//! Shapes are *not* written down where they follow from the operands. Where they do not (a read, a constant array), a
//! [`BlockAxis`] says which elements a block covers along each axis.
//!
//! This crate computes nothing and knows nothing of where a program runs.
//!
//! ```
//! use graticule_ops::{BinaryOp, Node, NodeId, Program, Scalar};
//! use graticule_plan::DType;
//!
//! let program = Program::new(vec![
//!     Node::Input { input: 0, parts: vec![DType::Float64] },
//!     Node::Constant { value: Scalar::Float64(0.5) },
//!     Node::Binary { op: BinaryOp::Multiply, x: NodeId(0), y: NodeId(1) },
//! ]);
//! let bytes = program.encode();
//! assert_eq!(Program::decode(&bytes)?, program);
//! # Ok::<(), graticule_ops::OpsError>(())
//! ```

mod apply;
mod calls;
mod codes;
mod contract;
mod elementwise;
mod error;
mod fourier;
pub mod half;
mod linalg;
mod order;
mod program;
mod promotion;
mod random;
mod reduce;
mod scalar;
mod scan;
mod selected;
mod sliding;
mod source;
mod target;
mod variate;

pub use apply::{Apply, ApplyAxis, ApplyOperand, WholeAxis};
pub use calls::{Argument, Calls, InlineValue, VALUE_FUNCTION};
pub use codes::{GroupCodes, encode_codes};
pub use contract::{Contract, Contraction, Side};
pub use elementwise::{BinaryOp, UnaryOp};
pub use error::OpsError;
pub use fourier::{Fourier, FourierKind, FourierNorm, Transform};
pub use linalg::{Linalg, LinalgKind};
pub use num_complex::Complex;
pub use order::{Binning, Count, Search, SearchKind, Sort, Sorting};
pub use program::{BlockAxis, Node, NodeId, Program};
pub use promotion::{can_hold, promote, promote_weak};
pub use random::{Distribution, POISSON_MEAN_MAX, Random};
pub use reduce::{PartKind, ReduceKind, Reduction, Stage};
pub use scalar::Scalar;
pub use scan::{Scan, ScanKind, ScanStep};
pub use selected::{Compress, Distinct, DistinctPart};
pub use sliding::Sliding;
pub use source::{
    ArraySource, AxisSelection, Grid, InlineArray, OnError, RasterAsset, RasterStack, Read, Resampling,
    ZarrArray, decode_table, encode_table,
};
pub use target::{ZARR_WRITER, ZarrTarget};
pub use variate::Variate;
