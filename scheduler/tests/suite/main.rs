//! The scheduler's shell: adaptive scaling and jobs taken up again, published results.

mod adapt;
mod datasets;
mod resume;
