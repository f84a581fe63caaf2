//! `graticule scheduler`.

mod config;

use std::process::ExitCode;

use graticule_scheduler::Served;

use crate::{signals::Interrupt, terminal};

pub(crate) use config::Config;

/// Serves until it is told to end.
pub(crate) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::watch()?;
    let served = graticule_scheduler::serve(config.options()?).await?;
    announce(&served)?;
    interrupt.wait().await;
    terminal::note("shutting down; Ctrl-C again ends at once");
    served.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

/// Says where the scheduler is; programs that start one read these lines.
pub(crate) fn announce(served: &Served) -> std::io::Result<()> {
    terminal::say(&format!("scheduler at grpc://{}", served.address))?;
    match &served.dashboard_url {
        Some(url) => terminal::say(&format!("dashboard at {url}")),
        None => Ok(()),
    }
}
