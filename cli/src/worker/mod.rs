//! `graticule worker`.

mod config;

use std::{process::ExitCode, time::Duration};

use graticule_worker::memory_bytes_for;

use crate::{signals::Interrupt, terminal};

/// How long running tasks may take to end when nobody wants their results any more.
const STOP_PATIENCE: Duration = Duration::from_secs(2);
/// Bytes for chunks and tasks below which few tasks fit, and the process takes more than it was given.
const LEDGER_BYTES_FEW: u64 = 16 << 20;

pub(crate) use config::{Config, Resources};

/// Works until it is told to end, or the scheduler refuses it.
pub(crate) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::watch()?;
    let mut served = graticule_worker::serve(config.options()).await?;
    terminal::say(&format!(
        "worker at {} for {}, {} for chunks and tasks",
        served.address,
        config.scheduler,
        terminal::bytes(served.budget_bytes)
    ))?;
    if served.budget_bytes < LEDGER_BYTES_FEW {
        terminal::note(&format!(
            "so little memory is hardly enough for the process itself: give it --memory {} or more",
            terminal::bytes(memory_bytes_for(LEDGER_BYTES_FEW))
        ));
    }
    tokio::select! {
        ended = served.ended() => {
            ended?;
            // It was told to leave; whoever still reads from it may finish.
            served.stop(Duration::ZERO).await;
            return Ok(ExitCode::SUCCESS);
        }
        () = stdin_ends(config.ends_with_stdin) => {
            served.stop(STOP_PATIENCE).await;
            return Ok(ExitCode::SUCCESS);
        }
        () = interrupt.wait() => {}
    }
    terminal::note("finishing what runs, handing over what is held; Ctrl-C again ends at once");
    served.retire(config.patience).await;
    Ok(ExitCode::SUCCESS)
}

/// Waits until whoever started this process closes its standard input; for ever if nobody minds that.
async fn stdin_ends(minds: bool) {
    if minds {
        let (ended, end) = tokio::sync::oneshot::channel();
        // A thread of its own, since a read of standard input cannot be given up.
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            let _ = ended.send(());
        });
        let _ = end.await;
    } else {
        std::future::pending::<()>().await;
    }
}
