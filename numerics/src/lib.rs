//! What is made of one matrix or one line by the algorithms of others: factorizations by `faer`, products by `faer` and
//! `matrixmultiply`, Fourier transforms by `rustfft` and `realfft`. What is here gives them NumPy's answers.
//!
//! It is a crate of its own because these take long to compile, and kernels change more often: no function that it offers
//! has a type parameter, so all of it is compiled here. It knows elements in memory and nothing of tensors, blocks and
//! tasks.
//!
//! ```
//! use graticule_numerics::linalg::{Item, Matrices};
//! use graticule_ops::LinalgKind;
//!
//! let matrix = Matrices { x: &[2.0, 0.0, 0.0, 4.0], rows: 2, columns: 2, right: &[], width: 2 };
//! let mut inverse = [0.0; 4];
//! f64::make(&matrix, LinalgKind::Inverse, &mut inverse)?;
//! assert_eq!(inverse, [0.5, 0.0, 0.0, 0.25]);
//! # Ok::<(), graticule_numerics::linalg::MatrixProblem>(())
//! ```

pub mod fourier;
pub mod linalg;
pub mod product;
