//! The command line and its processes, run as their users run them.

mod adapt;
mod arguments;
mod cluster;
mod full_disk;
mod interrupt;
mod mosaic;
mod report;
mod restart;
mod retire;
mod stress;
mod stress_cut;
mod stress_memory;
mod stress_restart;
mod support;
mod transfer;
mod why;
