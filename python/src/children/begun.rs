//! A call that runs in a child while no thread of the worker waits for it: the worker's actor has it begin, and hears of its end
//! when the child speaks. What may take a while there (output to pass on, many or long values, a crash) is left to the slot's thread.

use std::{
    io,
    os::fd::OwnedFd,
    sync::Arc,
    task::{Context, Poll, ready},
};

use graticule_client::{FunctionError, Value};
use graticule_kernel::Tensor;
use graticule_logs::LogScope;
use graticule_worker::{End, Underway};
use tokio::io::unix::AsyncFd;

use super::{
    Children,
    child::{Asked, Child, Looked},
    single,
    turns::Turn,
    words::What,
};

/// What is said to a child that does nothing finds room in the line, so nobody waits.
const BYTES_MAX: usize = 16 << 10;
/// Values that a call has in all, to be written down in next to no time.
const TENSOR_COUNT_MAX: usize = 64;

struct Begun {
    children: Arc<Children>,
    asked: Asked,
    turn: Turn,
    /// Gone once the call has ended.
    child: Option<Child>,
    news: Arc<AsyncFd<OwnedFd>>,
    /// Whose lines are those that the child tells.
    scope: Option<LogScope>,
    left: Left,
}

/// What is left for who may wait.
enum Left {
    /// To hear the end.
    Hear,
    /// To see to the last word.
    End(What, Vec<Tensor>),
    /// To say why the child is there no more.
    Mourn(io::Error),
}

/// Has a call begin, if it is small and may begin at once: a child is there with nothing to do, and it is the function's turn.
pub(super) fn begin(children: &Arc<Children>, asked: Asked) -> Option<Box<dyn Underway>> {
    if asked.tensors.len() > TENSOR_COUNT_MAX {
        return None;
    }
    let turn = children.turns.take_now(&asked.function.digest)?;
    let mut child = children.idle_child()?;
    let is_ready = children.runs.are_done(&child.done) && child.copied_len(&asked) <= BYTES_MAX;
    let Some(news) = is_ready.then(|| child.news().ok()).flatten() else {
        children.keep(child);
        return None;
    };
    // One that ends just now has not begun; the call's thread finds another one.
    if !child.begin_now(&asked).ok()? {
        children.keep(child);
        return None;
    }
    Some(Box::new(Begun {
        children: children.clone(),
        asked,
        turn,
        child: Some(child),
        news,
        scope: LogScope::here(),
        left: Left::Hear,
    }))
}

impl Begun {
    fn waits(&mut self, left: Left) -> Poll<End> {
        self.left = left;
        Poll::Ready(End::Waits)
    }

    fn ended(&mut self, what: What, made: Vec<Tensor>) -> Poll<End> {
        let Some(mut child) = self.child.take() else {
            return Poll::Pending;
        };
        match child.end_now(&self.asked, (what, made)) {
            Ok(Ok(made)) => {
                self.children.keep(child);
                Poll::Ready(End::Made(made.map_err(FunctionError::from).and_then(single)))
            }
            Ok(Err(error)) => {
                self.child = Some(child);
                self.waits(Left::Mourn(error))
            }
            Err((what, made)) => {
                self.child = Some(child);
                self.waits(Left::End(what, made))
            }
        }
    }
}

impl Underway for Begun {
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<End> {
        loop {
            let mut news = match ready!(self.news.poll_read_ready(context)) {
                Ok(news) => news,
                Err(error) => return self.waits(Left::Mourn(error)),
            };
            let Some(child) = &mut self.child else {
                return Poll::Pending;
            };
            let looked = match &self.scope {
                Some(scope) => scope.run(|| child.look()),
                None => child.look(),
            };
            match looked {
                Ok(Looked::Nothing) => news.clear_ready(),
                Ok(Looked::Said) => {}
                Ok(Looked::Part) => return self.waits(Left::Hear),
                Ok(Looked::Ended(what, made)) => {
                    // It says nothing more until it is asked again.
                    news.clear_ready();
                    drop(news);
                    return self.ended(what, made);
                }
                Err(error) => return self.waits(Left::Mourn(error)),
            }
        }
    }

    fn finish(self: Box<Self>) -> Result<Value, FunctionError> {
        let begun = *self;
        let mut child = begun.child.ok_or("the call has ended already")?;
        let outcome = match begun.left {
            Left::Hear => child.end(&begun.asked, None),
            Left::End(what, made) => child.end(&begun.asked, Some((what, made))),
            Left::Mourn(error) => Err(error),
        };
        let outcome = begun.children.judged(child, &begun.asked, outcome)?;
        single(begun.children.settled(begun.turn, &begun.asked, outcome)?)
    }
}
