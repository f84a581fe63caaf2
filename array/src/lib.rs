//! Lazy chunked arrays: expressions, rewriting, lowering to a plan.
