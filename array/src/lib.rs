//! Lazy chunked arrays: expressions, inference, rewriting, lowering to a plan.
//!
//! An [`Array`] knows its shape, dtype and chunks and computes nothing. Methods are named as NumPy, the Array API
//! standard and Dask name them, and mean what they mean there; mistakes are found as the expression is built. [`lower`]
//! rewrites the expression by a list of small, named [`rewrites`](rewrite::REWRITES) and makes a symbolic
//! [`Plan`](graticule_plan::Plan) of it: one layer for each group of fused operations, whatever the number of chunks.
//!
//! This crate knows nothing of how an operation is computed, of files, of where a plan runs, or of time.
//!
//! ```
//! use graticule_array::{Array, Chunks, LowerOptions, Over, Wanted, lower, where_};
//! use graticule_plan::DType;
//!
//! // Eight scenes of two bands, one chunk each.
//! let chunks = [Chunks::Size(1), Chunks::Size(1), Chunks::Whole, Chunks::Whole];
//! let stack = Array::from_slice(&[8, 2, 16, 16], &chunks, &[7_u16; 8 * 2 * 16 * 16])?;
//! let (red, cloud) = (stack.slice(&[(..).into(), 0.into()])?, stack.slice(&[(..).into(), 1.into()])?);
//! let clear = where_(cloud.bitwise_and(4)?.equal(0)?, red.astype(DType::Float32)?, f64::NAN)?;
//! let mosaic = clear.median(&Over::axis(0).skipna())?;
//! assert_eq!(mosaic.shape(), [16, 16]);
//!
//! let lowered = lower(&[(&mosaic, Wanted::Deliver)], &LowerOptions::default())?;
//! // One task reads all dates, masks them and takes the median.
//! assert_eq!(lowered.plan.task_count(), 1);
//! # Ok::<(), graticule_array::ArrayError>(())
//! ```

mod annotate;
mod assign;
mod axes;
mod bands;
mod blocks;
mod chunking;
mod coarsen;
mod cohorts;
mod complex;
mod contraction_order;
mod covariance;
mod creation;
mod differences;
mod distinct;
mod dtypes;
mod einsum;
mod elementwise;
mod error;
mod explain;
mod expression;
mod fit;
mod fourier;
mod graph;
mod group;
mod half;
mod infer;
mod interpolate;
mod linalg;
mod lower;
mod numbers;
mod operand;
mod order;
mod origin;
mod overlap;
mod pad;
mod pieces;
mod positions;
mod products;
mod random;
mod ranges;
mod rearrange;
mod reduce;
mod regrid;
mod reshape;
pub mod rewrite;
mod rolling;
mod scan;
mod selected;
mod selection;
mod shape;
mod statistics;
mod table;
mod times;
mod write;

pub use annotate::annotate;
pub use axes::Axes;
pub use blocks::{
    BlockFunction, BlockLen, BlockReduction, Blockwise, Gufunc, MapBlocks, apply_gufunc, apply_over_axes,
    blockwise, fromfunction, map_blocks, map_overlap, reduction, unify_chunks,
};
pub use chunking::{AUTO_CHUNK_BYTES, Chunks};
pub use cohorts::Strategy;
pub use covariance::Variables;
pub use creation::Element;
pub use differences::Spacing;
pub use distinct::{DistinctBlocks, Found, Wishes, joined_elements};
pub use dtypes::{Casting, DTypeSet, FloatInfo, IntInfo, can_cast, finfo, iinfo, isdtype};
pub use einsum::einsum;
pub use elementwise::{binary, broadcast_arrays, where_};
pub use error::ArrayError;
pub use explain::explain;
pub use expression::Array;
pub use fourier::{fftfreq, rfftfreq};
pub use graticule_ops::{Complex, FourierNorm, Variate};
pub use graticule_plan::Annotations;
pub use group::{Grouping, Groups};
pub use interpolate::Interpolation;
pub use linalg::{Compression, LeastSquares, NormOrder};
pub use lower::{HeldMeta, LowerOptions, Lowered, OutputMeta, Wanted, lower};
pub use numbers::{allclose, isclose, select};
pub use operand::Operand;
pub use overlap::Boundary;
pub use pad::Pad;
pub use positions::{Bounds, Nested, block, ravel_multi_index, tril_indices, triu_indices};
pub use random::Generator;
pub use rearrange::{dstack, hstack, meshgrid, open_grid, result_type, vstack};
pub use reduce::{Over, SPLIT_EVERY, WORKING_SET_BYTES};
pub use regrid::SparseWeights;
pub use rolling::Rolling;
pub use scan::Along;
pub use selected::Selected;
pub use selection::Index;
pub use shape::{broadcast_shapes, concatenate, stack};
