//! Chunks that are let go instead of spilled: what costs less to make again than the disk would take.
//!
//! A worker that is short of memory asks the scheduler first, which alone knows what a chunk costs to make and who
//! needs it when; what the answer does not make room for goes to disk.

use graticule_plan::ChunkId;

use super::{Command, LayerEntry, Link, Worker};
use crate::{BlockRun, Time, ToScheduler};

/// Microseconds for which the scheduler is not asked again after it had nothing to let go.
const PAUSE_US: u64 = 10_000;

/// What the worker knows of letting chunks go.
#[derive(Debug, Default)]
pub(super) struct Relief {
    /// The scheduler was asked, and has not answered: what the store is to shrink to.
    asked: Option<u64>,
    /// Chunks were let go, and the store has not said yet what that left.
    is_dropping: bool,
    /// The scheduler had nothing: it is not asked before this time.
    not_before: Time,
    /// What the disk takes and gives in a second.
    disk_bytes_per_s: Option<u64>,
}

impl Relief {
    /// The store has said what it holds.
    pub(super) fn store_changed(&mut self) {
        self.is_dropping = false;
    }
}

impl Worker {
    /// Whether an answer is awaited, or what it left.
    pub(super) fn awaits_relief(&self) -> bool {
        self.relief.asked.is_some() || self.relief.is_dropping
    }

    /// Asks the scheduler what may be let go, if it may know something. Returns `false` if it is of no use to ask.
    pub(super) fn ask_for_relief(&mut self, target_bytes: u64) -> bool {
        if let Some(asked) = &mut self.relief.asked {
            *asked = (*asked).min(target_bytes);
            return true;
        }
        if self.relief.is_dropping {
            return true;
        }
        let Link::Up { session, .. } = self.link else {
            return false;
        };
        if self.now < self.relief.not_before || !self.holds_sources() {
            return false;
        }
        // The scheduler shall know all of the chunks that it may let go.
        self.flush_reports();
        self.relief.asked = Some(target_bytes);
        let short_bytes = self.memory_bytes.saturating_sub(target_bytes);
        let disk_bytes_per_s = self
            .relief
            .disk_bytes_per_s
            .unwrap_or(self.config.disk_bytes_per_s);
        self.out.push(Command::Send {
            session,
            message: ToScheduler::ShortOfMemory {
                short_bytes,
                disk_bytes_per_s,
            },
        });
        true
    }

    /// Whether a layer is known that could be made again from nothing: others are not let go.
    fn holds_sources(&self) -> bool {
        let could_be_let_go = |layer: &LayerEntry| layer.spec.sources.is_empty() && !layer.spec.deliver;
        self.layers.values().any(|layer| could_be_let_go(layer))
    }

    /// The scheduler lets chunks go; the rest of what is missing goes to disk.
    pub(super) fn on_relief(&mut self, runs: &[BlockRun]) {
        let target_bytes = self.relief.asked.take();
        let chunks: Vec<ChunkId> = runs.iter().flat_map(BlockRun::each).collect();
        if chunks.is_empty() {
            self.relief.not_before = self.now + PAUSE_US;
            if let Some(target_bytes) = target_bytes {
                self.order_spill(target_bytes);
            }
            return;
        }
        for chunk in &chunks {
            self.held.remove(chunk);
        }
        self.relief.is_dropping = true;
        self.out.push(Command::Drop { chunks });
    }

    /// The connection is gone, and the answer with it.
    pub(super) fn forget_relief(&mut self) {
        (self.relief.asked, self.relief.is_dropping) = (None, false);
    }

    /// What the disk took, measured.
    pub(super) fn on_disk_measured(&mut self, bytes_per_s: u64) {
        self.relief.disk_bytes_per_s = Some(bytes_per_s.max(1));
    }
}
