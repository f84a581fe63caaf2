//! The scheduler and worker state machines of Graticule, without I/O.
