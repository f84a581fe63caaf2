//! What a plan has in memory at a time, before it runs: the bound that the scheduler keeps.

use graticule_plan::{ChunkGrid, Key, Plan, Source};

/// Bytes that tasks of one worker may have in hand together, however small they are, so that many of them can wait in
/// line.
pub const IN_HAND_BYTES_MIN: u64 = 4 << 20;
/// Tasks that may be in hand for each slot: one computes, the next is fetched.
const IN_HAND_PER_SLOT: u128 = 2;

/// What a plan's tasks have in memory, as far as it can be known before they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlanMemory {
    /// The most bytes when tasks run one by one, or more; `None` if nobody has asked the plan.
    pub depth_first_bytes: Option<u64>,
    /// The most bytes that one task has in hand: windows on its inputs, what it reads, scratch and result.
    pub task_bytes_max: u64,
    /// The most bytes that one task leaves behind.
    pub output_bytes_max: u64,
    /// What a task has in hand on average.
    pub task_bytes_mean: u64,
    /// Bytes that are kept when the plan has run.
    pub kept_bytes: u64,
}

impl PlanMemory {
    /// Asks a plan. `held` gives grid and bytes of an element of results that are kept already.
    pub fn of<'a>(plan: &'a Plan, held: impl Fn(Key) -> Option<(&'a ChunkGrid, u64)>) -> Self {
        let (mut largest, mut sum, mut count) = (0, 0_u128, 0_u128);
        let nothing = ChunkGrid::new(Vec::new()).expect("no axes are few");
        for layer in plan.layers() {
            let sources = layer.inputs.iter().map(|input| match input.source {
                Source::Layer(source) => {
                    let source = plan.layer(source);
                    (&source.grid, source.item_bytes)
                }
                Source::Held(key) => held(key).unwrap_or((&nothing, 0)),
            });
            let bytes = layer.task_bytes_max(sources);
            let tasks = u128::from(layer.grid.block_count());
            largest = largest.max(bytes);
            sum += u128::from(bytes) * tasks;
            count += tasks;
        }
        let outputs = plan.layers().iter().map(|layer| layer.output_bytes_max());
        let kept = plan.outputs().iter().filter(|output| output.keep.is_some());
        let kept_bytes = kept.map(|output| {
            let layer = plan.layer(output.layer);
            layer.grid.element_count().saturating_mul(layer.item_bytes)
        });
        Self {
            depth_first_bytes: plan.depth_first_hint(),
            task_bytes_max: largest,
            output_bytes_max: outputs.max().unwrap_or(0),
            task_bytes_mean: u64::try_from(sum / count.max(1)).unwrap_or(u64::MAX),
            kept_bytes: kept_bytes.fold(0, u64::saturating_add),
        }
    }

    /// The most bytes that the plan has in the memory of so many workers with so many slots together, kept results
    /// not counted: what a run one by one needs, and what may be in hand beside it. `None` if nobody has walked
    /// through the plan; then the workers' memory alone is the limit. Small tasks may have `in_hand_bytes_min` in hand on
    /// each worker, usually [`IN_HAND_BYTES_MIN`].
    ///
    /// The scheduler starts no task beyond it unless none of the plan's tasks runs.
    pub fn limit_bytes(&self, worker_count: u64, slots: u64, in_hand_bytes_min: u64) -> Option<u128> {
        let alone = u128::from(self.depth_first_bytes?.max(self.task_bytes_max));
        let others =
            (u128::from(slots) * IN_HAND_PER_SLOT).saturating_sub(1) * u128::from(self.task_bytes_mean);
        Some(alone + others.max(u128::from(in_hand_bytes_min) * u128::from(worker_count)))
    }
}
