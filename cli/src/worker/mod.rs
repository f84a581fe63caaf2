//! `graticule worker`.

mod config;

use std::{process::ExitCode, time::Duration};

use crate::{signals::Interrupt, terminal};

pub(crate) use config::{Config, Resources};

/// Works until it is told to end, or the scheduler refuses it.
pub(crate) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::watch()?;
    let mut served = graticule_worker::serve(config.options()).await?;
    terminal::say(&format!("worker at {} for {}", served.address, config.scheduler))?;
    tokio::select! {
        ended = served.ended() => {
            ended?;
            // It was told to leave; whoever still reads from it may finish.
            served.stop(Duration::ZERO).await;
            return Ok(ExitCode::SUCCESS);
        }
        () = interrupt.wait() => {}
    }
    terminal::note("finishing what runs, handing over what is held; Ctrl-C again ends at once");
    served.retire(config.patience).await;
    Ok(ExitCode::SUCCESS)
}
