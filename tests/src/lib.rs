//! Graticule's integration tests.

pub mod numpy;
