//! Chunks between two real processes.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use crate::support::graticule;

/// The benchmark compares what came with what was sent, over gRPC and mapped, and fails if nothing was mapped.
#[test]
fn chunks_come_over_grpc_and_are_mapped_on_one_host() {
    let words = "bench transfer --bytes 2097152 --total 4194304 --rounds 1 --at-once 2 --json";
    let output = graticule(&words.split(' ').collect::<Vec<_>>()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for way in [
        "tcp_gb_per_s",
        "grpc_gb_per_s",
        "shared_gb_per_s",
        "memcpy_gb_per_s",
    ] {
        assert!(
            figures["2097152"][way].as_f64().unwrap() > 0.0,
            "{way}: {figures}"
        );
    }
}
