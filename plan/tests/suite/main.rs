//! What plans say of themselves: bounds, order and maps.

mod bound;
mod depth_first;
mod maps;
