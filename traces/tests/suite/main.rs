//! Spans as a collector gets them.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

mod collector;
mod embedded;
mod feed;
