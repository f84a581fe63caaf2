//! Connect to a cluster or embed one, submit arrays, gather results.
