//! `graticule cluster`: scheduler and worker in one process, for one machine; or as many worker processes as the work
//! asks for.

mod config;
mod processes;

use std::process::ExitCode;

use graticule_worker::ServeOptions;

use crate::{scheduler, signals::Interrupt, terminal};

pub(crate) use config::Config;

/// Serves until it is told to end.
pub(crate) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::watch()?;
    // Its workers end with it, so none of an earlier run will come back.
    let options = graticule_scheduler::ServeOptions {
        worker_return_us: 0,
        ..config.scheduler.options()?
    };
    let served = graticule_scheduler::serve(options).await?;
    if let Some(range) = config.adapt.clone() {
        scheduler::announce(&served)?;
        return processes::run(&config, range, served, interrupt).await;
    }
    let worker = ServeOptions {
        scheduler: format!("grpc://{}", served.address),
        listen: config.worker_listen,
        worker: config.resources.options(),
    };
    let worker = match graticule_worker::serve(worker).await {
        Ok(worker) => worker,
        Err(error) => {
            served.shutdown().await;
            return Err(error.into());
        }
    };
    scheduler::announce(&served)?;
    terminal::say(&format!("worker at {}", worker.address))?;
    interrupt.wait().await;
    terminal::note("shutting down; Ctrl-C again ends at once");
    worker.stop(config.patience).await;
    served.shutdown().await;
    Ok(ExitCode::SUCCESS)
}
