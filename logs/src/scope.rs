use std::{
    cell::RefCell,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use graticule_plan::TaskId;

use crate::LogBuffer;

thread_local! {
    static CURRENT: RefCell<Option<LogScope>> = const { RefCell::new(None) };
}

/// Whose lines those are that are logged within it, and what task they concern.
///
/// In one process there may be several workers and a scheduler; a scope tells them apart. It is a value of the thread,
/// not a span: entering one takes nanoseconds, so each task has its own.
#[derive(Debug, Clone)]
pub struct LogScope {
    buffer: Arc<LogBuffer>,
    task: Option<TaskId>,
}

impl LogScope {
    /// The scope of whoever tells of `buffer`.
    pub fn new(buffer: Arc<LogBuffer>) -> Self {
        Self { buffer, task: None }
    }

    /// The same, of one task.
    #[must_use]
    pub fn of_task(&self, task: TaskId) -> Self {
        Self {
            buffer: self.buffer.clone(),
            task: Some(task),
        }
    }

    /// The same, of no task.
    #[must_use]
    pub fn of_no_task(&self) -> Self {
        Self::new(self.buffer.clone())
    }

    /// The scope that the thread is in.
    pub fn here() -> Option<Self> {
        Self::current(|scope| scope.cloned())
    }

    /// The lines that nobody has been told of yet.
    pub fn buffer(&self) -> &LogBuffer {
        &self.buffer
    }

    /// The task.
    pub fn task(&self) -> Option<TaskId> {
        self.task
    }

    /// Runs `work` within the scope.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        let _entered = Entered::new(self.clone());
        work()
    }

    /// Runs `work` within the scope, on whichever threads.
    pub fn future<F: Future>(self, work: F) -> Scoped<F> {
        Scoped {
            scope: self,
            work: Box::pin(work),
        }
    }

    /// Looks at the scope that the thread is in.
    pub(crate) fn current<T>(look: impl FnOnce(Option<&LogScope>) -> T) -> T {
        // While a thread ends it is in none.
        let mut look = Some(look);
        let looked = CURRENT.try_with(|current| look.take().map(|look| look(current.borrow().as_ref())));
        match (looked, look) {
            (Ok(Some(told)), _) => told,
            (_, Some(look)) => look(None),
            (_, None) => unreachable!("who took it has told"),
        }
    }
}

/// Leaves the scope when dropped, also by a panic.
struct Entered {
    before: Option<LogScope>,
}

impl Entered {
    fn new(scope: LogScope) -> Self {
        Self {
            before: CURRENT.replace(Some(scope)),
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.before.take());
    }
}

/// A future within a [`LogScope`].
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Scoped<F> {
    scope: LogScope,
    work: Pin<Box<F>>,
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _entered = Entered::new(self.scope.clone());
        self.work.as_mut().poll(context)
    }
}
