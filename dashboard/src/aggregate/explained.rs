//! Explanations of tasks, by the keys that viewers know.

use std::sync::Arc;

use graticule_plan::TaskId;
use serde::Serialize;

use super::{Aggregator, clip_message, frame::RowKey};
use crate::reasons::Explanation;

/// Sentences of one explanation that are told.
pub const EXPLANATION_LINE_COUNT_MAX: usize = 64;

/// Why a task is where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Explained {
    lines: Vec<ExplainedLine>,
    ran: Option<RanWhere>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ExplainedLine {
    depth: u32,
    /// The task that it is about, by its layer's key and its block, if that is known here.
    task: Option<(RowKey, u64)>,
    text: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct RanWhere {
    worker: Option<RowKey>,
    text: Arc<str>,
}

impl Aggregator {
    /// The task that viewers know by its layer's key and its block.
    pub(crate) fn task_named(&self, layer: RowKey, block: u64) -> Option<TaskId> {
        let (job, id) = self.layer_of_key(layer)?;
        let known = self.jobs.get(&job)?.layers.get(&id)?;
        let layer = id;
        (block < known.block_end()).then_some(TaskId { job, layer, block })
    }

    /// An explanation by the keys that viewers know. Texts are cut as messages of errors are.
    pub(crate) fn explained(&self, explanation: &Explanation) -> Explained {
        let lines = explanation.lines.iter().take(EXPLANATION_LINE_COUNT_MAX);
        let lines = lines.map(|line| ExplainedLine {
            depth: line.depth,
            task: line
                .task
                .and_then(|task| Some((self.layer_key(task)?, task.block))),
            text: clip_message(&line.text),
        });
        Explained {
            lines: lines.collect(),
            ran: explanation.ran.as_ref().map(|(worker, text)| RanWhere {
                worker: self.workers.get(worker).map(|table| table.key),
                text: clip_message(text),
            }),
        }
    }
}
