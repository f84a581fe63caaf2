//! Why a task is where it is, for the dashboard: the words of `graticule why`.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use graticule_dashboard::{Explainer, Explanation, ExplanationLine};
use graticule_plan::TaskId;
use graticule_proto::{About, Answer, Subject};
use tokio::sync::{mpsc, oneshot};

use crate::{SchedulerHandle, handle::Input};

/// Asks a scheduler's actor as long as there is one; it keeps none alive.
#[derive(Debug, Clone)]
struct Asking {
    inbox: mpsc::WeakSender<Input>,
}

impl SchedulerHandle {
    /// Who explains to the dashboard why tasks are where they are, as long as the scheduler runs.
    pub fn explainer(&self) -> Arc<dyn Explainer> {
        Arc::new(Asking {
            inbox: self.inbox.downgrade(),
        })
    }
}

impl Explainer for Asking {
    fn explain(&self, task: TaskId) -> BoxFuture<'static, Option<Explanation>> {
        let (reply, answer) = oneshot::channel();
        let subject = Subject::Task(task);
        let input = Input::Why { subject, reply };
        // A scheduler that has too much to do is not asked; those who look ask again.
        let is_asked = self
            .inbox
            .upgrade()
            .is_some_and(|inbox| inbox.try_send(input).is_ok());
        async move {
            if !is_asked {
                return None;
            }
            let answer = answer.await.ok()?.ok()?;
            Some(explanation(&answer))
        }
        .boxed()
    }
}

/// An answer in sentences, without what was: that the dashboard knows.
fn explanation(answer: &Answer) -> Explanation {
    let About::Task(why) = &answer.about else {
        return Explanation::default();
    };
    let lines = why.lines().into_iter().map(|line| ExplanationLine {
        depth: u32::try_from(line.depth).unwrap_or(u32::MAX),
        task: line.of.map(|(task, _)| task),
        text: line.text.into(),
    });
    let ran = answer.ran.as_ref().zip(answer.ran_text());
    Explanation {
        lines: lines.collect(),
        ran: ran.map(|((worker, _), text)| (*worker, text.into())),
    }
}
