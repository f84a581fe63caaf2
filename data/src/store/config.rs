use std::time::Duration;

/// How patient reads from object stores are, and how many run at once.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreConfig {
    /// Requests in flight at once, over all hosts.
    pub request_count_max: usize,
    /// Attempts of one request, the first one counted.
    pub attempt_count_max: u32,
    /// From a request's first attempt to its last.
    pub deadline: Duration,
    /// Time for one attempt, from sending to the last byte.
    pub attempt_timeout: Duration,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// The mean pause before the second attempt; it doubles with each further one.
    pub backoff_first: Duration,
    /// The longest pause that is our own choice.
    pub backoff_max: Duration,
    /// The longest pause that a server may ask for by `Retry-After`.
    pub retry_after_max: Duration,
    /// Retries that a host may cause in a row of failures, before requests to it fail at their first attempt. Each
    /// request that succeeds gives back a tenth of a retry.
    pub retry_budget: u32,
    /// Ranges with a gap below this many bytes between them come in one request.
    pub coalesce_gap_bytes: u64,
    /// The most bytes of one coalesced request; a single range may be longer.
    pub coalesce_bytes_max: u64,
    /// The most bytes of one read: above it an index must be damaged.
    pub read_bytes_max: u64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            request_count_max: 64,
            attempt_count_max: 6,
            deadline: Duration::from_secs(120),
            attempt_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            backoff_first: Duration::from_millis(200),
            backoff_max: Duration::from_secs(15),
            retry_after_max: Duration::from_secs(60),
            retry_budget: 200,
            coalesce_gap_bytes: 64 * 1024,
            coalesce_bytes_max: 8 * 1024 * 1024,
            read_bytes_max: 2 * 1024 * 1024 * 1024,
        }
    }
}
