//! Lazy arrays against NumPy on the whole array: dtype, shape and values, with and without rewriting.

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

mod assign;
mod blocks;
mod blocks_of_matrices;
mod compare;
mod complex;
mod compose;
mod composed;
mod covariance;
mod dtypes;
mod errors;
mod fits;
mod fourier;
mod groups;
mod held;
mod inputs;
mod lengths;
mod linalg;
mod moves;
mod operations;
mod order;
mod pads;
mod positions;
mod products;
mod provoked;
mod random;
mod reductions;
mod rewrites;
mod rolling;
mod scans;
mod times;
mod windows;
