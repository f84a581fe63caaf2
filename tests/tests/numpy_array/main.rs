//! Lazy arrays against NumPy on the whole array: dtype, shape and values, with and without rewriting.

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

mod compare;
mod compose;
mod errors;
mod held;
mod inputs;
mod operations;
mod order;
mod products;
mod random;
mod reductions;
mod rewrites;
mod scans;
