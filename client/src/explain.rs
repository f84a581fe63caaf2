//! What a plan will take on a cluster, before it runs.

use std::fmt;

use graticule_array::{Array, LowerOptions, Lowered, Wanted, lower};
use graticule_proto::engine::{IN_HAND_BYTES_MIN, PlanMemory, scheduler::WorkerInfo};

use crate::{Client, ClientError, memory::text};

/// Tasks of a plan that are walked through to learn its memory, which takes about half a microsecond each. A larger plan's
/// bound is told from its layers, and not as near.
const WALKED_TASKS_MAX: u64 = 200_000;

/// What a plan takes on the workers that a cluster has.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The plan, as [`Client::explain`] describes it.
    pub plan: String,
    /// Workers that are connected.
    pub worker_count: u64,
    /// Slots of all workers together.
    pub slots: u64,
    /// Memory of all workers together.
    pub budget_bytes: u64,
    /// Memory of the largest worker.
    pub worker_budget_bytes: u64,
    /// The most that one task has in hand.
    pub task_bytes_max: u64,
    /// What is kept when the plan has run, if it is persisted; else 0.
    pub kept_bytes: u64,
    /// The most that chunks and running tasks take at a time: no run in which nothing is lost takes more, results that
    /// wait for their client apart. `None` where it cannot be told (results with more than 65,536 chunks along one axis);
    /// the workers' memory alone bounds such a plan.
    pub bound_bytes: Option<u64>,
}

impl Explanation {
    /// Bytes that will not fit the workers' memory and go to disk, at most; 0 if all fits.
    pub fn spilled_bytes_max(&self) -> Option<u64> {
        self.bound_bytes
            .map(|bound| bound.saturating_sub(self.budget_bytes))
    }

    /// Whether some task fits no worker: such a plan is refused.
    pub fn is_too_large(&self) -> bool {
        self.worker_count > 0 && self.task_bytes_max > self.worker_budget_bytes
    }

    fn of(lowered: &Lowered, workers: &[WorkerInfo]) -> Self {
        let held = |key| {
            let held = lowered.held.get(&key)?;
            Some((&held.grid, held.dtype.size_bytes()))
        };
        let memory = PlanMemory::of(&lowered.plan, held);
        let slots = workers.iter().map(|worker| u64::from(worker.slots)).sum();
        let worker_count = workers.len() as u64;
        let limit = memory.limit_bytes(worker_count, slots, IN_HAND_BYTES_MIN);
        let bound = limit.map(|bytes| bytes + u128::from(memory.kept_bytes));
        Self {
            plan: lowered.explain(),
            worker_count,
            slots,
            budget_bytes: workers
                .iter()
                .map(|worker| worker.budget_bytes)
                .fold(0, u64::saturating_add),
            worker_budget_bytes: workers
                .iter()
                .map(|worker| worker.budget_bytes)
                .max()
                .unwrap_or(0),
            task_bytes_max: memory.task_bytes_max,
            kept_bytes: memory.kept_bytes,
            bound_bytes: bound.map(|bytes| u64::try_from(bytes).unwrap_or(u64::MAX)),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plan)?;
        let budget = text(self.budget_bytes);
        let (workers, slots) = (self.worker_count, self.slots);
        writeln!(
            f,
            "On {workers} workers with {slots} slots and {budget} of memory"
        )?;
        if workers == 0 {
            return writeln!(f, "  no worker is connected; start one to learn what fits");
        }
        if self.is_too_large() {
            let (task, worker) = (text(self.task_bytes_max), text(self.worker_budget_bytes));
            writeln!(
                f,
                "  one task may need {task}, the largest worker has {worker}: use smaller chunks or larger workers"
            )?;
        }
        match self.bound_bytes {
            None => writeln!(
                f,
                "  too large to tell beforehand; workers spill what exceeds their memory"
            ),
            Some(bound) if bound <= self.budget_bytes => {
                writeln!(f, "  takes at most {} at a time: fits", text(bound))
            }
            Some(bound) => writeln!(
                f,
                "  takes at most {} at a time: up to {} go to disk",
                text(bound),
                text(bound.saturating_sub(self.budget_bytes))
            ),
        }
    }
}

impl Client {
    /// Describes the plan for arrays and what it takes on the workers that are connected now: the most memory at a
    /// time, and whether that fits. Nothing runs. `persist` tells whether the results would stay in the cluster.
    ///
    /// ```
    /// use graticule_array::{Array, Chunks, LowerOptions, Over};
    /// use graticule_client::{Client, ClientError};
    /// use graticule_plan::DType;
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let client = Client::local().await?;
    /// let ones = Array::ones(&[4096, 4096], &[Chunks::Size(512), Chunks::Size(512)], DType::Float64)?;
    /// let explained = client.explain_on_cluster(&[&ones.sum(&Over::all())?], &LowerOptions::default(), false).await?;
    /// assert!(explained.bound_bytes < Some(explained.budget_bytes), "{explained}");
    /// # Ok::<(), ClientError>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ClientError::Array`]; as [`Client::info`].
    pub async fn explain_on_cluster(
        &self,
        arrays: &[&Array],
        options: &LowerOptions,
        persist: bool,
    ) -> Result<Explanation, ClientError> {
        let kind = |number: usize| {
            if persist {
                Wanted::Keep(graticule_plan::Key(number as u128))
            } else {
                Wanted::Deliver
            }
        };
        let wanted: Vec<_> = arrays
            .iter()
            .enumerate()
            .map(|(n, array)| (*array, kind(n)))
            .collect();
        let mut lowered = lower(&wanted, options)?;
        walk(&mut lowered);
        let info = self.info().await?;
        Ok(Explanation::of(&lowered, &info.workers))
    }
}

/// Has a plan say how much memory it needs, where that is quickly told.
pub(crate) fn walk(lowered: &mut Lowered) {
    let bytes = lowered.depth_first_bytes(WALKED_TASKS_MAX);
    let bytes = bytes.or_else(|| lowered.depth_first_bytes_max());
    lowered.plan = std::mem::take(&mut lowered.plan).with_depth_first_hint(bytes);
}
