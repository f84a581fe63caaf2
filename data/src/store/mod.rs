//! Addresses and the bytes behind them: local files, http(s), and cloud stores by cargo feature.

mod address;
mod cloud;
mod config;
mod error;
#[cfg(unix)]
mod local;
mod object;
#[cfg(feature = "http")]
mod retry;

pub use address::Address;
pub use config::StoreConfig;
pub(crate) use error::LOCAL_HINT;
pub use error::StoreError;
pub use object::{Object, Stores};
