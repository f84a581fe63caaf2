//! Kernels on what is odd, hostile or cut in other places.

mod adversarial;
mod chunks;
mod fusion;
mod misfits;
mod moving;
