//! Runs one Graticule task on chunks: what a [`Program`](graticule_ops::Program) means on data.
//!
//! A [`Tensor`] is typed, aligned, shared memory; a [`Chunk`] is a block's data, one tensor or a tuple of them; a
//! [`Window`] is what a task sees of an input, put together from regions of chunks. [`run`] evaluates a program. Values
//! are NumPy's, in C order, and the same bytes on every instruction set: sums use a fixed number of lanes, transcendental
//! functions are this build's own, nothing is contracted to a fused multiply-add.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use graticule_kernel::{InlineReader, Tensor, Window, run};
//! use graticule_ops::{Node, NodeId, Program, ReduceKind, Reduction, Stage};
//! use graticule_plan::DType;
//!
//! let dates = Tensor::from_vec(&[3, 2], vec![7u16, 1, 5, 9, 6, 4])?;
//! let reduction = Reduction { kind: ReduceKind::Median, skipna: false, dtype: DType::UInt16 };
//! let (axes, positions) = (vec![0], vec![]);
//! let program = Program::new(vec![
//!     Node::Input { input: 0, parts: vec![DType::UInt16] },
//!     Node::Reduce { x: NodeId(0), reduction, axes, keepdims: false, stage: Stage::Whole, positions },
//! ]);
//! let tables = BTreeMap::new();
//! let median = run(&program, &[0, 0], &[Window::whole(dates.into())], &InlineReader::new(&tables), &tables)?;
//! assert_eq!(median.parts()[0].as_slice(), Some(&[6.0f64, 4.0][..]));
//! # Ok::<(), graticule_kernel::KernelError>(())
//! ```
//!
//! This crate knows nothing of files, networks, other tasks or expressions: a [`Reader`] decodes what was fetched.

mod apply;
mod arrival;
mod buffer;
mod chunk;
mod contract;
mod count;
mod element;
mod elementwise;
mod error;
mod fourier;
mod fused;
mod lazy;
mod leaving;
mod linalg;
mod lookup;
mod movement;
mod nodes;
mod order;
mod program;
mod random;
mod reader;
mod reduce;
mod scan;
mod selected;
mod shape;
mod simd;
mod tensor;
mod time;
mod value;
mod variate;
mod view;
mod window;

pub use apply::{AxisPlace, Block, BlockCall, BlockFunction, BlockFunctions, BlockPlace, NoFunctions};
pub use arrival::ChunkArrival;
pub use buffer::{
    ALIGN_BYTES, LARGE_BYTES_MIN, LargeMemory, SPARE_BYTES_MAX, TENSOR_BYTES_MAX, as_scratch,
    limit_spare_bytes, set_large_memory, set_result_memory,
};
pub use chunk::{Chunk, PART_COUNT_MAX, PartHeads, split_header};
pub use element::Element;
pub use error::{BoxError, KernelError};
pub use graticule_numerics::linalg::MatrixProblem;
pub use leaving::inputs_that_leave;
pub use program::{NODE_COUNT_MAX, run, run_unfused, run_with_functions};
pub use reader::{InlineReader, Reader, Tables, read_inline};
pub use tensor::{Tensor, TensorMut};
pub use time::Time;
pub use value::Value;
pub use window::{Window, WindowBuilder};
