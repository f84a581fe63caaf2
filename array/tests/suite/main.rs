//! Plans of arrays: what they are, what they cost, and that rewriting keeps them right.

mod annotations;
mod each_rewrite;
mod explain_page;
mod memory;
mod plans;
mod rewrites;
mod shapes;
