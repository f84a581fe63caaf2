//! The scheduler process: gRPC services around the scheduler engine.
