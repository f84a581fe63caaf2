use std::collections::BTreeSet;

use graticule_plan::{JobId, LayerId};

use super::{
    Aggregator, LAYERS_OF_JOB_MAX,
    activity::Activity,
    cells::{CELL_AGAIN, CELL_BYTES, Cell, Changes, DELTA, FLAG_FORGOTTEN, SNAPSHOT, head, state},
    frame::RowKey,
    jobs::LayerTable,
    publish::DELTA_BYTES_MAX,
    tasks::TaskFacts,
    watch::Watch,
};

/// Cells that are shown of one job: its arrays come in the plan's order while they have no more together.
pub const CELL_COUNT_MAX: u64 = 1 << 20;

/// Bytes around the changes of one array.
const HEAD_BYTES: usize = 32;

/// What those who watch the arrays of one job have seen so far.
///
/// As with [`Publisher`](super::Publisher), a snapshot is of what was published, so that it and the deltas that follow
/// give the later snapshot. What does not fit in a delta goes with the next.
#[derive(Debug)]
pub struct ArrayPublisher {
    job: JobId,
    seq: u64,
    arrays: Vec<Published>,
    /// Which array the next delta begins with, so that none waits for ever.
    turn: usize,
    was_ended: bool,
}

/// The cells of one array as viewers have them.
#[derive(Debug)]
struct Published {
    layer: LayerId,
    key: RowKey,
    cells: Vec<Cell>,
    flags: u8,
    running: BTreeSet<u64>,
    /// Where the next delta begins.
    turn: u64,
}

impl ArrayPublisher {
    /// Begins to watch the arrays of a job; `None` if there is no such job, or its start was not told yet.
    pub fn new(aggregator: &mut Aggregator, job: RowKey) -> Option<Self> {
        let (&id, table) = aggregator.jobs.iter_mut().find(|(_, table)| table.key == job)?;
        let mut room = CELL_COUNT_MAX;
        let mut arrays = Vec::new();
        for (layer, of_layer) in table.layers.iter_mut().take(LAYERS_OF_JOB_MAX) {
            let count = of_layer.block_end();
            if !of_layer.is_described() {
                return None;
            }
            if count > room {
                continue;
            }
            room -= count;
            of_layer.words.watch = Some(Watch::new(count));
            arrays.push(Published {
                layer: *layer,
                key: of_layer.key,
                cells: vec![Cell::default(); usize::try_from(count).ok()?],
                flags: 0,
                running: BTreeSet::new(),
                turn: 0,
            });
        }
        let mut publisher = Self {
            job: id,
            seq: 0,
            arrays,
            turn: 0,
            was_ended: false,
        };
        let activity = Activity::of(aggregator);
        // Nobody has seen anything, so it may all change at once.
        publisher.publish(aggregator, &activity, usize::MAX);
        Some(publisher)
    }

    /// Ends the watch.
    pub fn close(self, aggregator: &mut Aggregator) {
        if let Some(table) = aggregator.jobs.get_mut(&self.job) {
            table
                .layers
                .values_mut()
                .for_each(|layer| layer.words.watch = None);
        }
    }

    /// The number of the latest frame.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Whether the job is no longer kept.
    pub fn is_over(&self, aggregator: &Aggregator) -> bool {
        !aggregator.jobs.contains_key(&self.job)
    }

    /// What changed since the frame before, as much as fits in [`DELTA_BYTES_MAX`]; `None` if nothing did.
    pub fn delta(&mut self, aggregator: &mut Aggregator, activity: &Activity) -> Option<Vec<u8>> {
        let changed = self.publish(aggregator, activity, DELTA_BYTES_MAX - HEAD_BYTES);
        if changed.is_empty() {
            return None;
        }
        self.seq += 1;
        let mut frame = head(DELTA, self.seq, changed.len());
        for (at, changes) in changed {
            let array = &self.arrays[at];
            changes.encode(&mut frame, array.key, array.cells.len(), array.flags);
        }
        Some(frame)
    }

    /// What a viewer needs to begin with the delta that follows.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut frame = head(SNAPSHOT, self.seq, self.arrays.len());
        for array in &self.arrays {
            let cells = Changes::whole(&array.cells);
            cells.encode(&mut frame, array.key, array.cells.len(), array.flags);
        }
        frame
    }

    /// Publishes changes that fit in `room`, array by array: its position, and what changed.
    fn publish(
        &mut self,
        aggregator: &mut Aggregator,
        activity: &Activity,
        mut room: usize,
    ) -> Vec<(usize, Changes)> {
        let Some(table) = aggregator.jobs.get_mut(&self.job) else {
            return Vec::new();
        };
        let is_ended = table.is_ended();
        let (just_ended, count) = (is_ended != self.was_ended, self.arrays.len());
        self.was_ended = is_ended;
        let mut changed = Vec::new();
        let mut first_left = None;
        for at in (0..count).map(|at| (self.turn + at) % count) {
            let array = &mut self.arrays[at];
            let Some(layer) = table.layers.get_mut(&array.layer) else {
                continue;
            };
            let Some(mut watch) = layer.words.watch.take() else {
                continue;
            };
            array.note_running(layer, activity, &mut watch);
            if just_ended {
                watch.all_changed();
            }
            let flags = array.flags;
            array.flags = if layer.words.is_forgotten() {
                FLAG_FORGOTTEN
            } else {
                0
            };
            let changes = array.publish(layer, &mut watch, is_ended, &mut room);
            layer.words.watch = Some(watch);
            if array.turn > 0 && first_left.is_none() {
                first_left = Some(at);
            }
            if !changes.is_empty() || flags != array.flags {
                room = room.saturating_sub(HEAD_BYTES);
                changed.push((at, changes));
            }
        }
        self.turn = first_left.unwrap_or(0);
        changed
    }
}

impl Published {
    /// Marks what began or ceased to run.
    fn note_running(&mut self, layer: &LayerTable, activity: &Activity, watch: &mut Watch) {
        let running: BTreeSet<u64> = activity
            .running
            .iter()
            .filter(|task| task.layer == layer.key)
            .map(|task| task.block)
            .collect();
        running
            .symmetric_difference(&self.running)
            .for_each(|block| watch.changed(*block));
        self.running = running;
    }

    fn publish(
        &mut self,
        layer: &LayerTable,
        watch: &mut Watch,
        job_is_over: bool,
        room: &mut usize,
    ) -> Changes {
        let mut changes = Changes::default();
        let mut least = self.turn / 64 * 64;
        let left = watch.drain(self.turn, |block| {
            // Runs of a frame rise, so a frame ends where the turn begins anew.
            if block < least {
                return false;
            }
            let new = cell(
                &layer.words.facts(block),
                self.running.contains(&block),
                job_is_over,
            );
            let old = &mut self.cells[block as usize];
            let bits: Cell = std::array::from_fn(|at| old[at] ^ new[at]);
            if bits != [0; CELL_BYTES] {
                let cost = changes.cost(block, bits);
                if cost > *room {
                    return false;
                }
                *room -= cost;
                changes.push(block, bits);
                *old = new;
            }
            least = block;
            true
        });
        self.turn = left.unwrap_or(0);
        changes
    }
}

fn cell(facts: &TaskFacts, runs: bool, job_is_over: bool) -> Cell {
    let is_again = facts.is_again || facts.is_void;
    let again = if is_again { CELL_AGAIN } else { 0 };
    let worker = facts
        .worker
        .map_or(0, |worker| u16::try_from(worker + 1).unwrap_or(u16::MAX));
    let [low, high] = worker.to_le_bytes();
    let state = state(facts, runs, job_is_over) as u8;
    [state | again, low, high, facts.bytes, facts.time]
}
