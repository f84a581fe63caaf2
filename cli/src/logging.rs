use anyhow::Context;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// Sends what is logged to standard error, and what a person should see to the dashboard, whatever the filter.
///
/// # Errors
/// If the filter cannot be understood.
pub(crate) fn start(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("--log {filter:?} is no filter"))?;
    let text = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false);
    tracing_subscriber::registry()
        .with(text.with_filter(filter))
        .with(graticule_logs::layer())
        .init();
    Ok(())
}
