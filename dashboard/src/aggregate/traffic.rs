//! What was moved: from worker to worker, from operation to operation, to disks and back.

use std::collections::{BTreeMap, VecDeque};

use graticule_plan::{BlockMap, JobId, LayerId, WorkerId};
use serde::{Deserialize, Serialize};

use super::{Aggregator, frame::RowKey, jobs::LayerTable, reports::Reports};
use crate::{Moved, MovedKind};

/// Pairs of workers that are told apart; what others move is counted together.
pub const PAIR_COUNT_MAX: usize = 4_096;

/// Pairs of operations that are told apart, likewise.
pub const FLOW_COUNT_MAX: usize = 4_096;

/// Spans of movements that are kept for the timeline; then the oldest are forgotten, and counted.
pub const MOVE_SPAN_COUNT_MAX: usize = 65_536;

/// Spans that are told of a part of the timeline; of more, neighbours are told as one.
pub const MOVE_SPAN_TOLD_MAX: usize = 4_096;

/// The key of operations of runs that a film does not have.
pub(crate) const ANOTHER_RUN: RowKey = RowKey::MAX;

/// Tasks of a layer that are looked at for what it needs, evenly spread; what they need stands for the others.
const NEED_TASK_COUNT_MAX: u64 = 2_048;

/// Movements, summed up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveSums {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long each took, added up.
    pub busy_us: u64,
}

impl MoveSums {
    fn add(&mut self, moved: &Moved) {
        self.count = self.count.saturating_add(moved.count);
        self.bytes = self.bytes.saturating_add(moved.bytes);
        self.busy_us = self.busy_us.saturating_add(moved.busy_us);
    }
}

/// The kinds that are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveClass {
    /// From other workers.
    Peer,
    /// From outside the cluster.
    Source,
    /// To the disk.
    Spill,
    /// From the disk.
    ReadBack,
}

/// Movements of a kind at a worker, one or a few close together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveSpan {
    /// The key of the worker.
    pub worker: RowKey,
    /// The kind.
    pub class: MoveClass,
    /// When the first began.
    pub began_us: u64,
    /// When the last ended.
    pub ended_us: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What calls of users' functions took at one worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CallSums {
    pub(super) count: u64,
    pub(super) wall_us: u64,
    pub(super) cpu_us: u64,
    /// Time in which any was under way, as reports tell it.
    pub(super) span_us: u64,
}

/// The tables.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// From worker to worker.
    pairs: BTreeMap<(RowKey, RowKey), MoveSums>,
    /// From sources, to disk and from disk, by worker.
    pub(super) own: BTreeMap<(RowKey, MoveClass), MoveSums>,
    /// From operation to operation; the first is `None` for sources, the second where no single task needed it.
    flows: BTreeMap<(Option<RowKey>, Option<RowKey>), MoveSums>,
    /// To disk and from disk, by operation.
    disk: BTreeMap<(RowKey, MoveClass), MoveSums>,
    pub(super) calls: BTreeMap<(RowKey, RowKey), CallSums>,
    spans: VecDeque<MoveSpan>,
    reports: Reports<RowKey>,
    /// What the tasks of layers that are looked at need together, once it was looked up, by layer and number of tasks.
    needs: BTreeMap<(RowKey, u64), u64>,
    left_out: MoveSums,
    forgotten_spans: u64,
    pub(super) lost: u64,
}

/// An operation on the page of communication.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MovedLayer {
    /// The key of the layer.
    pub layer: RowKey,
    /// Bytes that its tasks fetched from other workers.
    pub moved: u64,
    /// How many fetches that were.
    pub fetches: u64,
    /// How long they took, added up.
    pub fetch_us: u64,
    /// Bytes that its finished tasks need of chunks other than the largest one of each; `None` if its plan is not known.
    pub needed: Option<u64>,
    /// Bytes that its tasks read from outside the cluster.
    pub source: u64,
    /// Bytes of its chunks that went to disks.
    pub spilled: u64,
    /// Bytes of its chunks that came back from disks.
    pub read_back: u64,
    /// Bytes moved beyond what is needed, and over disks: the worst come first.
    pub excess: u64,
}

/// What was moved, all of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Communication {
    /// From a worker's key to another's.
    pub pairs: Vec<(RowKey, RowKey, MoveSums)>,
    /// By worker and kind, what no other worker gave.
    pub own: Vec<(RowKey, MoveClass, MoveSums)>,
    /// From a layer's key to another's.
    pub flows: Vec<(Option<RowKey>, Option<RowKey>, MoveSums)>,
    /// Operations, the worst first.
    pub layers: Vec<MovedLayer>,
    /// What has no row, because there are too many.
    pub left_out: MoveSums,
    /// Movements that workers could not keep.
    pub lost: u64,
}

/// Movements in a part of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineMoves {
    /// Them.
    pub spans: Vec<MoveSpan>,
    /// Older ones that are no longer kept.
    pub forgotten: u64,
}

impl Traffic {
    fn add_pair(&mut self, pair: (RowKey, RowKey), moved: &Moved) {
        if self.pairs.len() < PAIR_COUNT_MAX || self.pairs.contains_key(&pair) {
            self.pairs.entry(pair).or_default().add(moved);
        } else {
            self.left_out.add(moved);
        }
    }

    fn add_flow(&mut self, flow: (Option<RowKey>, Option<RowKey>), moved: &Moved) {
        if self.flows.len() < FLOW_COUNT_MAX || self.flows.contains_key(&flow) {
            self.flows.entry(flow).or_default().add(moved);
        } else {
            self.left_out.add(moved);
        }
    }

    fn add_span(&mut self, span: MoveSpan) {
        self.spans.push_back(span);
        if self.spans.len() > MOVE_SPAN_COUNT_MAX {
            self.spans.pop_front();
            self.forgotten_spans += 1;
        }
    }

    fn add_disk(&mut self, layer: Option<RowKey>, class: MoveClass, moved: &Moved) {
        let Some(layer) = layer else { return };
        if self.disk.len() < FLOW_COUNT_MAX || self.disk.contains_key(&(layer, class)) {
            self.disk.entry((layer, class)).or_default().add(moved);
        } else {
            self.left_out.add(moved);
        }
    }

    fn add_call(&mut self, by: Option<RowKey>, worker: RowKey, moved: &Moved) {
        let Some(layer) = by else { return };
        if self.calls.len() < FLOW_COUNT_MAX || self.calls.contains_key(&(layer, worker)) {
            let sums = self.calls.entry((layer, worker)).or_default();
            sums.count += moved.count;
            sums.wall_us = sums.wall_us.saturating_add(moved.busy_us);
            sums.cpu_us = sums.cpu_us.saturating_add(moved.cpu_us);
            sums.span_us += moved.ended_us.saturating_sub(moved.began_us);
        }
    }

    /// Bytes that went to, or came from, the disks of all workers.
    pub(super) fn disk_bytes(&self, worker: RowKey) -> u64 {
        let of = |class| self.own.get(&(worker, class)).map_or(0, |sums| sums.bytes);
        of(MoveClass::Spill).saturating_add(of(MoveClass::ReadBack))
    }

    /// What a layer's tasks fetched from other workers, and the bytes of its chunks that went over disks.
    pub(super) fn of_layer(&self, layer: RowKey) -> (MoveSums, u64) {
        let mut fetched = MoveSums::default();
        for ((from, to), sums) in &self.flows {
            if *to == Some(layer) && from.is_some() {
                fetched.count += sums.count;
                fetched.bytes += sums.bytes;
                fetched.busy_us += sums.busy_us;
            }
        }
        let disk = [MoveClass::Spill, MoveClass::ReadBack];
        let disk = disk.map(|class| self.disk.get(&(layer, class)).map_or(0, |sums| sums.bytes));
        (fetched, disk[0].saturating_add(disk[1]))
    }

    /// Forgets a worker.
    pub(super) fn forget_worker(&mut self, worker: RowKey) {
        self.pairs
            .retain(|(from, to), _| *from != worker && *to != worker);
        self.own.retain(|(key, _), _| *key != worker);
        self.calls.retain(|(_, key), _| *key != worker);
        self.reports.forget(&worker);
    }

    /// Forgets a layer.
    pub(super) fn forget_layer(&mut self, layer: RowKey) {
        self.flows
            .retain(|(from, to), _| *from != Some(layer) && *to != Some(layer));
        self.disk.retain(|(key, _), _| *key != layer);
        self.calls.retain(|(key, _), _| *key != layer);
        self.needs.retain(|(key, _), _| *key != layer);
    }
}

impl Aggregator {
    /// Takes in what a worker moved. Returns whether it agrees with what is known.
    pub(super) fn moved(&mut self, at_us: u64, worker: WorkerId, moves: &[Moved], lost: u64) -> bool {
        let Some(to) = self.worker_key(worker) else {
            return false;
        };
        if !self.traffic.reports.is_new(to, at_us) {
            return true;
        }
        self.traffic.lost += lost;
        let mut is_sound = true;
        for moved in moves {
            is_sound &= self.moved_row(to, moved);
        }
        is_sound
    }

    pub(super) fn worker_key(&mut self, worker: WorkerId) -> Option<RowKey> {
        self.with_worker(worker, |_| ()).then_some(())?;
        Some(self.workers.get(&worker)?.key)
    }

    fn named_layer(&mut self, name: Option<(JobId, LayerId)>) -> Result<Option<RowKey>, ()> {
        let Some((job, layer)) = name else { return Ok(None) };
        if self.is_film && !self.jobs.contains_key(&job) {
            return Ok(Some(ANOTHER_RUN));
        }
        if !self.with_job(job, |_, _| ()) {
            return Err(());
        }
        let table = self.jobs.get_mut(&job).ok_or(())?;
        let layer = table.layer(layer, &mut self.next_layer_key).ok_or(())?;
        Ok(Some(layer.key))
    }

    fn moved_row(&mut self, to: RowKey, moved: &Moved) -> bool {
        let (Ok(of), Ok(by)) = (self.named_layer(moved.of), self.named_layer(moved.by)) else {
            return false;
        };
        let span = (moved.began_us, moved.ended_us);
        let class = match moved.kind {
            MovedKind::Peer(peer) => {
                let Some(from) = self.worker_key(peer) else {
                    return false;
                };
                self.traffic.add_pair((from, to), moved);
                self.traffic.add_flow((of, by), moved);
                self.account.add_net(to, span, moved.busy_us);
                MoveClass::Peer
            }
            MovedKind::Source => {
                self.traffic.add_flow((None, by), moved);
                self.account.add_net(to, span, moved.busy_us);
                MoveClass::Source
            }
            MovedKind::Spill => {
                self.traffic.add_disk(of, MoveClass::Spill, moved);
                self.account.add_spill(to, span, moved.busy_us);
                MoveClass::Spill
            }
            MovedKind::ReadBack => {
                self.traffic.add_disk(of, MoveClass::ReadBack, moved);
                self.account.add_read_back(to, span, moved.busy_us);
                MoveClass::ReadBack
            }
            MovedKind::Call => {
                self.traffic.add_call(by, to, moved);
                self.account.add_call(to, span, moved.busy_us);
                return true;
            }
        };
        if class != MoveClass::Peer {
            self.traffic.own.entry((to, class)).or_default().add(moved);
        }
        self.traffic.add_span(MoveSpan {
            worker: to,
            class,
            began_us: moved.began_us,
            ended_us: moved.ended_us.max(moved.began_us),
            bytes: moved.bytes,
        });
        true
    }

    /// What was moved, from where to where, and what for.
    pub fn communication(&mut self) -> Communication {
        let layers = self.moved_layers();
        let traffic = &self.traffic;
        Communication {
            pairs: traffic
                .pairs
                .iter()
                .map(|((from, to), sums)| (*from, *to, *sums))
                .collect(),
            own: traffic
                .own
                .iter()
                .map(|((key, class), sums)| (*key, *class, *sums))
                .collect(),
            flows: traffic
                .flows
                .iter()
                .map(|((from, to), sums)| (*from, *to, *sums))
                .collect(),
            layers,
            left_out: traffic.left_out,
            lost: traffic.lost,
        }
    }

    fn moved_layers(&mut self) -> Vec<MovedLayer> {
        let mut rows: BTreeMap<RowKey, MovedLayer> = BTreeMap::new();
        let empty = |layer| MovedLayer {
            layer,
            moved: 0,
            fetches: 0,
            fetch_us: 0,
            needed: None,
            source: 0,
            spilled: 0,
            read_back: 0,
            excess: 0,
        };
        for ((from, to), sums) in &self.traffic.flows {
            let Some(layer) = *to else { continue };
            let row = rows.entry(layer).or_insert_with(|| empty(layer));
            if from.is_some() {
                row.moved += sums.bytes;
                row.fetches += sums.count;
                row.fetch_us += sums.busy_us;
            } else {
                row.source += sums.bytes;
            }
        }
        for ((layer, class), sums) in &self.traffic.disk {
            let row = rows.entry(*layer).or_insert_with(|| empty(*layer));
            match class {
                MoveClass::Spill => row.spilled += sums.bytes,
                MoveClass::ReadBack => row.read_back += sums.bytes,
                MoveClass::Peer | MoveClass::Source => {}
            }
        }
        let mut rows: Vec<MovedLayer> = rows.into_values().collect();
        for row in &mut rows {
            row.needed = self.needed_bytes(row.layer);
            let beyond = row.moved.saturating_sub(row.needed.unwrap_or(row.moved));
            row.excess = beyond + row.spilled + row.read_back;
        }
        rows.sort_by_key(|row| (std::cmp::Reverse((row.excess, row.moved, row.source)), row.layer));
        rows
    }

    /// The bytes that the finished tasks of a layer need of chunks other than the largest one of each.
    ///
    /// That is what has to travel if each chunk lies on a worker of its own and each task runs where most of its input is.
    /// Up to [`NEED_TASK_COUNT_MAX`] tasks are looked at.
    pub(super) fn needed_bytes(&mut self, layer: RowKey) -> Option<u64> {
        let (job, id) = self.layer_of_key(layer)?;
        let table = self.layer(job, id)?;
        let total = table.block_end();
        let done = table.words.tally().done.min(total);
        let looked_at = total.min(NEED_TASK_COUNT_MAX);
        let bytes = match self.traffic.needs.get(&(layer, total)) {
            Some(known) => *known,
            None => {
                let bytes = self.look_up_needs(job, id, looked_at)?;
                self.traffic.needs.retain(|(key, _), _| *key != layer);
                self.traffic.needs.insert((layer, total), bytes);
                bytes
            }
        };
        let all = u128::from(bytes) * u128::from(done) / u128::from(looked_at.max(1));
        Some(u64::try_from(all).unwrap_or(u64::MAX))
    }

    pub(super) fn layer(&self, job: JobId, layer: LayerId) -> Option<&LayerTable> {
        self.jobs.get(&job)?.layers.get(&layer)
    }

    fn look_up_needs(&self, job: JobId, id: LayerId, looked_at: u64) -> Option<u64> {
        let table = self.layer(job, id)?;
        let plan = table.plan()?;
        let mut maps = Vec::with_capacity(plan.inputs.len());
        for input in &plan.inputs {
            let (job, layer) = self.source(job, input.source)?;
            let source = self.layer(job, layer)?.plan()?;
            let map = BlockMap::new(&input.map, &plan.grid, &source.grid).ok()?;
            maps.push((map, source.item_bytes));
        }
        let total = table.block_end();
        let mut bytes = 0u64;
        for at in 0..looked_at {
            // Evenly spread; the product of two numbers below 2^64 does not fit one.
            let block = (u128::from(at) * u128::from(total) / u128::from(looked_at)) as u64;
            bytes = bytes.saturating_add(needed_by(&maps, block));
        }
        Some(bytes)
    }

    /// Movements in a span of time, those that lie close together as one.
    pub fn timeline_moves(&self, from_us: u64, to_us: u64) -> TimelineMoves {
        let spans = self.traffic.spans.iter();
        let shown = spans.filter(|span| span.began_us < to_us && span.ended_us >= from_us);
        let mut shown: Vec<MoveSpan> = shown.copied().collect();
        shown.sort_by_key(|span| (span.worker, span.class, span.began_us));
        let mut gap_us = 0;
        while shown.len() > MOVE_SPAN_TOLD_MAX {
            gap_us = (gap_us * 2).max(to_us.saturating_sub(from_us) / 2_048).max(1);
            shown = joined(shown, gap_us);
        }
        TimelineMoves {
            spans: shown,
            forgotten: self.traffic.forgotten_spans,
        }
    }

    /// Bytes moved within a box of the timeline, by kind; what lies partly within counts by its share of time.
    pub(super) fn moved_within(
        &self,
        (from_us, to_us): (u64, u64),
        (first, last): (RowKey, RowKey),
    ) -> Vec<(MoveClass, u64)> {
        let mut sums: BTreeMap<MoveClass, u64> = BTreeMap::new();
        for span in &self.traffic.spans {
            let (begin, end) = (span.began_us.max(from_us), span.ended_us.min(to_us));
            if begin > end || span.worker < first || span.worker > last {
                continue;
            }
            let whole = (span.ended_us - span.began_us).max(1);
            let part = (end - begin).max(u64::from(span.began_us == span.ended_us));
            let bytes = u128::from(span.bytes) * u128::from(part) / u128::from(whole);
            let sum = sums.entry(span.class).or_default();
            *sum = sum.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        }
        sums.into_iter().collect()
    }
}

fn joined(spans: Vec<MoveSpan>, gap_us: u64) -> Vec<MoveSpan> {
    let mut told: Vec<MoveSpan> = Vec::new();
    for span in spans {
        match told.last_mut() {
            Some(last)
                if (last.worker, last.class) == (span.worker, span.class)
                    && span.began_us <= last.ended_us.saturating_add(gap_us) =>
            {
                last.ended_us = last.ended_us.max(span.ended_us);
                last.bytes = last.bytes.saturating_add(span.bytes);
            }
            _ => told.push(span),
        }
    }
    told
}

/// What one block needs of other chunks than its largest.
fn needed_by(maps: &[(BlockMap, u64)], block: u64) -> u64 {
    let (mut sum, mut most) = (0u64, 0u64);
    for (map, item_bytes) in maps {
        map.each_source(block, |source| {
            let region = map.region(block, source);
            let lens = region.iter().map(|range| range.end - range.start);
            let bytes = lens.fold(*item_bytes, u64::saturating_mul);
            sum = sum.saturating_add(bytes);
            most = most.max(bytes);
        });
    }
    sum - most.min(sum)
}
