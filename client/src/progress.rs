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
