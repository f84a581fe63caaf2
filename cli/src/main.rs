//! The graticule command.
fn main() {}
