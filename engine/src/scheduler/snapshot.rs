//! What others want to know of the cluster: the policy that scales it, and those who publish results.

use std::collections::BTreeMap;

use graticule_plan::{JobId, Key, WorkerId};

use super::{ClientId, Scheduler, record::JobState};
use crate::{
    Time,
    autoscale::{Cluster, LayerWork, WorkerView},
};

impl Scheduler {
    /// The work that is left and the workers that are there, as of `now`. Looks at every chunk: for now and then.
    pub fn snapshot(&self, now: Time) -> Cluster {
        let running = self.jobs.iter().filter(|(_, job)| job.state == JobState::Running);
        let layers = running.flat_map(|(&job, record)| {
            let layers = record.layers.iter().map(move |layer| LayerWork {
                job,
                layer: layer.spec.id,
                tasks_left: layer.spec.layer.grid.block_count() - layer.finished.len(),
                leased: layer.leased_count,
                mean_us: layer.measured.mean_us(layer.spec.layer.cost_ns),
            });
            layers.filter(|layer| layer.tasks_left > 0)
        });
        let mut sole_bytes = self.sole_bytes();
        let workers = self.workers.iter().map(|(&worker, record)| WorkerView {
            worker,
            joined: record.joined,
            slots: record.slots,
            budget_bytes: record.budget_bytes,
            memory_bytes: record
                .status
                .memory_bytes
                .saturating_add(record.status.reserved_bytes),
            spilled_bytes: record.status.spilled_bytes,
            tasks_at_hand: record.leased_count,
            sole_bytes: sole_bytes.remove(&worker).unwrap_or(0),
            retires: record.retiring,
        });
        Cluster {
            now: now.max(self.now),
            layers: layers.collect(),
            workers: workers.collect(),
        }
    }

    /// The client that keeps a result under a name, if it is kept.
    pub fn keeper_of(&self, key: Key) -> Option<ClientId> {
        let (job, _) = self.keys.get(&key)?;
        Some(self.jobs[job].client)
    }

    /// The jobs of a client, each with the names under which its results are kept.
    pub fn kept_of(&self, client: ClientId) -> Vec<(JobId, Vec<Key>)> {
        let of_client = self.jobs.iter().filter(|(_, job)| job.client == client);
        of_client
            .map(|(&job, _)| (job, self.kept_by(job).collect()))
            .collect()
    }

    /// The results of a job that are kept, made or not.
    pub fn kept_by(&self, job: JobId) -> impl Iterator<Item = Key> {
        let layers = self.jobs.get(&job).into_iter().flat_map(|job| &job.layers);
        layers.flat_map(|layer| &layer.pins).copied()
    }

    /// By worker the bytes of chunks that no other one holds.
    fn sole_bytes(&self) -> BTreeMap<WorkerId, u64> {
        let mut sums: BTreeMap<WorkerId, u64> = BTreeMap::new();
        let layers = self.jobs.values().flat_map(|job| &job.layers);
        for (_, chunk) in layers.flat_map(|layer| layer.chunks.iter()) {
            let mut holders = chunk.holders.iter();
            if let (Some(holder), None) = (holders.next(), holders.next()) {
                let sum = sums.entry(holder).or_default();
                *sum = sum.saturating_add(chunk.bytes);
            }
        }
        sums
    }
}
