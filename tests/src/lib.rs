//! Graticule's integration tests.

pub mod evaluate;
pub mod numpy;
