//! Graticule's integration tests.
