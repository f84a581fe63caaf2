//! Calls that run in other processes while the actor does other things: it hears of their ends itself, so that no thread of the
//! worker waits for them.

use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::Instant,
};

use graticule_engine::worker::RunId;
use graticule_kernel::Value;
use graticule_logs::LogScope;
use graticule_plan::{JobId, LayerId};

use crate::functions::FunctionError;

/// A call that has begun in another process.
pub trait Underway: Send {
    /// Looks whether it has ended, without waiting. Until it has, the task is woken when there is something new.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<End>;

    /// Waits for its end, on a slot's thread.
    ///
    /// # Errors
    /// As the function's.
    fn finish(self: Box<Self>) -> Result<Value, FunctionError>;
}

/// How a call that began in another process goes on.
#[derive(Debug)]
pub enum End {
    /// It has ended with this.
    Made(Result<Value, FunctionError>),
    /// What is left to do may take a while: [`Underway::finish`] is to do it.
    Waits,
}

/// A run whose call is underway.
pub(crate) struct Run {
    pub(crate) run: RunId,
    pub(crate) slot: u32,
    pub(crate) layer: (JobId, LayerId),
    pub(crate) logs: LogScope,
    pub(crate) began: Instant,
    pub(crate) call: Box<dyn Underway>,
}

/// Takes out those that have ended, once there are some. Dropped before, it has taken none.
pub(crate) async fn ended(runs: &mut Vec<Run>) -> Vec<(Run, End)> {
    poll_fn(|context| {
        let mut ended = Vec::new();
        let mut index = 0;
        while let Some(run) = runs.get_mut(index) {
            match run.call.poll_end(context) {
                Poll::Ready(end) => ended.push((runs.swap_remove(index), end)),
                Poll::Pending => index += 1,
            }
        }
        if ended.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(ended)
        }
    })
    .await
}
