use std::ops::Range;

/// Why bytes at an address cannot be had. Addresses in it hold no secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The address is none.
    #[error("{address:?} is not an address: {why}")]
    Address {
        /// The text.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing reads the address' scheme.
    #[error(
        "{address}: addresses of scheme {scheme:?} are not supported; use a path, file://, http:// or https://"
    )]
    Scheme {
        /// The scheme.
        scheme: String,
        /// The address.
        address: String,
    },
    /// The scheme is known, but this program was built without it.
    #[error("{address}: this program was built without the cargo feature {feature:?}")]
    Feature {
        /// The missing cargo feature.
        feature: &'static str,
        /// The address.
        address: String,
    },
    /// There is nothing at the address.
    #[error("{address} does not exist{hint}")]
    NotFound {
        /// The address.
        address: String,
        /// Where it was looked for, if that helps; may be empty.
        hint: &'static str,
    },
    /// The server or the file system refuses.
    #[error("{address}: access denied ({why})")]
    Denied {
        /// The address.
        address: String,
        /// What the store says.
        why: String,
    },
    /// The server did not answer well in as many attempts as are allowed.
    #[error("{address}: {why}; gave up after {attempts} attempts in {seconds} s")]
    Unavailable {
        /// The address.
        address: String,
        /// The last failure.
        why: String,
        /// Requests sent.
        attempts: u32,
        /// Time since the first.
        seconds: u64,
    },
    /// A range begins behind the end of the file.
    #[error("{address}: bytes {}..{} are behind the end of the file", range.start, range.end)]
    PastEnd {
        /// The address.
        address: String,
        /// The bytes.
        range: Range<u64>,
    },
    /// One read asks for more than is allowed: most likely a damaged index.
    #[error("{address}: a read of {got} bytes is above the limit of {limit}")]
    TooLarge {
        /// The address.
        address: String,
        /// Bytes asked for.
        got: u64,
        /// The most allowed.
        limit: u64,
    },
    /// Another failure.
    #[error("{address}: {why}")]
    Failed {
        /// The address.
        address: String,
        /// What the store says.
        why: String,
    },
}

/// What a missing local file may mean: the plan was made on another machine.
pub(crate) const LOCAL_HINT: &str = " on this machine; if it exists where the program was started, put it on storage \
     that all workers reach at the same path, or serve it over http";

impl StoreError {
    /// Whether there is simply nothing at the address.
    pub fn is_not_found(&self) -> bool {
        matches!(self, StoreError::NotFound { .. })
    }

    /// Whether another try later, or from another machine, may succeed.
    pub fn is_transient(&self) -> bool {
        matches!(self, StoreError::Unavailable { .. })
    }
}
