//! How a job's layers are cut and hang together: what does not change while it runs.

use std::sync::Arc;

use graticule_plan::{AxisChunks, JobId, Key, LayerId, Source};
use serde::{Deserialize, Serialize};

use super::{Aggregator, frame::RowKey, jobs::JobTable};

/// Cuts of an irregular axis that are told; of more, only how many there are.
const CUT_COUNT_MAX: usize = 4_096;

/// A job's layers as its plan has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outline {
    /// The job's key.
    pub job: RowKey,
    /// Those of its layers that have rows.
    pub layers: Vec<LayerOutline>,
}

/// A layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerOutline {
    /// The key of its row.
    pub k: RowKey,
    /// How it is cut, slowest axis first; `None` if that was not told.
    pub axes: Option<Vec<AxisOutline>>,
    /// Bytes of one element.
    pub item_bytes: u64,
    /// What it reads.
    pub inputs: Vec<InputOutline>,
    /// Whether somebody asked for it.
    pub output: bool,
    /// Whether the cluster keeps its chunks until they are released by name.
    pub kept: bool,
}

/// How one axis is cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AxisOutline {
    /// Elements.
    pub len: u64,
    /// Blocks.
    pub count: u64,
    /// Elements of a block, the last one may be shorter; `None` if blocks differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk: Option<u64>,
    /// Where blocks begin, and the end, if they differ and are not too many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cuts: Option<Arc<[u64]>>,
}

/// An array that a layer reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputOutline {
    /// The key of its layer; `None` if that is no longer, or not yet, known.
    pub layer: Option<RowKey>,
    /// Whether another job had made it.
    pub held: bool,
}

impl Aggregator {
    /// How the layers of the job with this key hang together; `None` if it is not known.
    pub fn outline(&self, job: RowKey) -> Option<Outline> {
        let (id, table) = self.jobs.iter().find(|(_, table)| table.key == job)?;
        Some(Outline {
            job,
            layers: self.layer_outlines(*id, table),
        })
    }

    fn layer_outlines(&self, job: JobId, table: &JobTable) -> Vec<LayerOutline> {
        let outlines = table.shown_layers().map(|(_, layer)| {
            let Some(plan) = layer.plan() else {
                return LayerOutline {
                    k: layer.key,
                    axes: None,
                    item_bytes: 0,
                    inputs: Vec::new(),
                    output: false,
                    kept: false,
                };
            };
            let inputs = plan.inputs.iter().map(|input| InputOutline {
                layer: self.source(job, input.source).and_then(|(job, layer)| {
                    let table = self.jobs.get(&job)?;
                    Some(table.layers.get(&layer)?.key)
                }),
                held: matches!(input.source, Source::Held(_)),
            });
            LayerOutline {
                k: layer.key,
                axes: Some(plan.grid.axes().iter().map(AxisOutline::of).collect()),
                item_bytes: plan.item_bytes,
                inputs: inputs.collect(),
                output: plan.is_output,
                kept: !plan.keys.is_empty(),
            }
        });
        outlines.collect()
    }

    /// The layer that an input of `job` names.
    pub(super) fn source(&self, job: JobId, source: Source) -> Option<(JobId, LayerId)> {
        match source {
            Source::Layer(layer) => Some((job, layer)),
            Source::Held(key) => self.holder(key),
        }
    }

    /// The layer whose chunks are kept under `key`: the one of the latest job that said so.
    fn holder(&self, key: Key) -> Option<(JobId, LayerId)> {
        self.jobs.iter().rev().find_map(|(job, table)| {
            let keeps = |(id, layer): (&LayerId, &super::jobs::LayerTable)| {
                layer.plan()?.keys.contains(&key).then_some((*job, *id))
            };
            table.layers.iter().find_map(keeps)
        })
    }
}

impl AxisOutline {
    fn of(axis: &AxisChunks) -> Self {
        let (chunk, cuts) = match axis {
            AxisChunks::Regular { chunk, .. } => (Some(*chunk), None),
            AxisChunks::Irregular { offsets } if offsets.len() <= CUT_COUNT_MAX => {
                (None, Some(offsets.clone()))
            }
            AxisChunks::Irregular { .. } => (None, None),
        };
        Self {
            len: axis.len(),
            count: axis.count(),
            chunk,
            cuts,
        }
    }
}
