//! What ends a command from outside.

use std::process::ExitCode;

/// The exit code of a command that was interrupted, as shells have it.
const INTERRUPTED: u8 = 130;

/// Waits until somebody wants the process to end: Ctrl-C, or the signal that service managers send.
///
/// From then on a second Ctrl-C ends the process at once.
pub(crate) async fn interrupted() {
    tokio::select! {
        () = ctrl_c() => {}
        () = terminated() => {}
    }
    tokio::spawn(async {
        ctrl_c().await;
        std::process::exit(i32::from(INTERRUPTED));
    });
}

/// The exit code of a command that was interrupted.
pub(crate) fn exit_code() -> ExitCode {
    ExitCode::from(INTERRUPTED)
}

async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without the signal the system's own way of ending the process is left.
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending::<()>().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending::<()>().await;
}
