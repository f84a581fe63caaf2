//! Calls go out in batches: the first at once, others while an answer is awaited, none older than a millisecond.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use graticule_plan::Annotations;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout_at,
};

use super::{Arg, CallOptions, Promise, Shared, draft::Draft, route::CallSubmission};
use crate::{ClientError, session::Request};

/// The most time that a call waits for others.
const BATCH_AGE_MAX: Duration = Duration::from_millis(1);
/// The most calls of one plan.
const BATCH_COUNT_MAX: usize = 4096;
/// Bytes of values after which a plan is full.
const BATCH_BYTES_MAX: u64 = 1 << 20;

/// A call that is to be sent.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) args: Vec<Arg>,
    /// Bytes of values among those.
    pub(crate) bytes: u64,
    pub(crate) options: Arc<CallOptions>,
    /// Nobody may want the result any more.
    pub(crate) promise: Weak<Promise>,
    pub(crate) asked: Instant,
}

/// Sends calls for as long as somebody may make any.
pub(crate) fn start(shared: Arc<Shared>, requests: mpsc::Sender<Request>) -> mpsc::UnboundedSender<Call> {
    // Bounded by the count of those that wait.
    let (calls, inbox) = mpsc::unbounded_channel();
    let batcher = Batcher {
        shared,
        requests,
        inbox,
        next: None,
        next_batch: 0,
        awaited: None,
    };
    tokio::spawn(batcher.run());
    calls
}

struct Batcher {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
    inbox: mpsc::UnboundedReceiver<Call>,
    /// A call that did not fit the batch before.
    next: Option<Call>,
    next_batch: u64,
    /// The answer to the batch before.
    awaited: Option<oneshot::Receiver<()>>,
}

impl Batcher {
    async fn run(mut self) {
        loop {
            let first = match self.next.take() {
                Some(call) => call,
                None => match self.inbox.recv().await {
                    Some(call) => call,
                    None => return,
                },
            };
            let calls = self.collect(first).await;
            self.send(calls).await;
        }
    }

    /// The calls of the next batch: those that are there, and while an answer is awaited those that come.
    async fn collect(&mut self, first: Call) -> Vec<Call> {
        let due = first.asked + BATCH_AGE_MAX;
        let priority = priority_of(&first.options.annotations);
        let (mut calls, mut bytes) = (Vec::new(), 0);
        let mut next = Some(first);
        loop {
            while let Some(call) = next.take().or_else(|| self.inbox.try_recv().ok()) {
                let fits = calls.len() < BATCH_COUNT_MAX
                    && (calls.is_empty() || bytes + call.bytes <= BATCH_BYTES_MAX)
                    && priority_of(&call.options.annotations) == priority;
                if !fits {
                    self.next = Some(call);
                    return calls;
                }
                bytes += call.bytes;
                calls.push(call);
            }
            let Some(awaited) = &mut self.awaited else { break };
            tokio::select! {
                biased;
                _ = awaited => self.awaited = None,
                call = timeout_at(due.into(), self.inbox.recv()) => match call {
                    Ok(Some(call)) => next = Some(call),
                    Ok(None) | Err(_) => break,
                },
            }
        }
        calls
    }

    async fn send(&mut self, calls: Vec<Call>) {
        self.shared.leave(calls.len() as u64);
        let mut draft = Draft::new(self.next_batch);
        self.next_batch += 1;
        let mut args = Vec::new();
        for call in calls {
            let Some(promise) = call.promise.upgrade().filter(|promise| promise.error().is_none()) else {
                continue;
            };
            draft.add(promise, &call.args, call.bytes, &call.options);
            args.extend(call.args);
        }
        if draft.is_empty() {
            return;
        }
        let drafted = draft.finish().expect("a batch is a small plan");
        let (answered, answer) = oneshot::channel();
        let submission = CallSubmission::new(drafted, args, Some(answered));
        self.awaited = Some(answer);
        if let Err(mpsc::error::SendError(Request::Call(submission))) =
            self.requests.send(Request::Call(submission)).await
        {
            submission.fail(&ClientError::ConnectionLost {
                why: "the client is closed".into(),
            });
        }
    }
}

fn priority_of(annotations: &Annotations) -> i32 {
    annotations.priority.unwrap_or(0)
}
