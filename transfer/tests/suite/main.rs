//! Chunks between processes: by gRPC and by shared memory.

mod grpc;
