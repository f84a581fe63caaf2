//! Runs one Graticule operation on chunks.
