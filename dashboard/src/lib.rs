//! The live dashboard: aggregation, HTTP and the page.
