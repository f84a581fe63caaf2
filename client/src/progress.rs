use graticule_plan::Plan;
use graticule_proto::engine::scheduler::LayerProgress;

/// How far a job is, layer by layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// The layers of the plan.
    pub layers: Vec<LayerProgress>,
    /// Workers connected.
    pub worker_count: u32,
}

impl Progress {
    /// Before anything has run.
    pub(crate) fn of(plan: &Plan) -> Self {
        let layers = plan.iter().map(|(layer, described)| LayerProgress {
            layer,
            name: described.name.clone(),
            task_count: described.grid.block_count(),
            finished_count: 0,
            leased_count: 0,
            failed_count: 0,
            reset_count: 0,
        });
        Self {
            layers: layers.collect(),
            worker_count: 0,
        }
    }

    /// All is done: the cluster forgets a finished job sooner than it would report on it.
    pub(crate) fn finish(&mut self) {
        for layer in &mut self.layers {
            layer.finished_count = layer.task_count;
            layer.leased_count = 0;
        }
    }

    /// Tasks of all layers.
    pub fn task_count(&self) -> u64 {
        self.layers.iter().map(|layer| layer.task_count).sum()
    }

    /// Tasks that are finished.
    pub fn finished_count(&self) -> u64 {
        self.layers.iter().map(|layer| layer.finished_count).sum()
    }

    /// Tasks that had to run again because a worker or a chunk was lost.
    pub fn reset_count(&self) -> u64 {
        self.layers.iter().map(|layer| layer.reset_count).sum()
    }
}
