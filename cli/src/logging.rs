use anyhow::Context;
use tracing_subscriber::EnvFilter;

/// Sends what is logged to standard error.
///
/// # Errors
/// If the filter cannot be understood.
pub(crate) fn start(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("--log {filter:?} is no filter"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
    Ok(())
}
