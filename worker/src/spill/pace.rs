//! How quickly something went of late.

use std::time::Duration;

/// Bytes after which half of what was measured before is forgotten.
const FORGOTTEN_BYTES: f64 = 256e6;
/// Bytes below which nothing is said.
const KNOWN_BYTES_MIN: f64 = 4e6;

/// Bytes, and how long they took; what is long ago counts less and less.
#[derive(Debug, Default)]
pub(super) struct Pace {
    bytes: f64,
    time: Duration,
}

impl Pace {
    pub(super) fn note(&mut self, bytes: u64, took: Duration) {
        self.bytes += bytes as f64;
        self.time += took;
        if self.bytes > FORGOTTEN_BYTES {
            (self.bytes, self.time) = (self.bytes / 2.0, self.time / 2);
        }
    }

    /// `None` before there is enough to tell.
    pub(super) fn bytes_per_s(&self) -> Option<f64> {
        let is_known = self.bytes >= KNOWN_BYTES_MIN;
        is_known.then(|| self.bytes / self.time.as_secs_f64().max(1e-6))
    }
}
