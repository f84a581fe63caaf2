//! Graticule's gRPC protocol: generated code and conversions.
