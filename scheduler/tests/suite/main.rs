//! The scheduler's shell: adaptive scaling and jobs taken up again.

mod adapt;
mod resume;
