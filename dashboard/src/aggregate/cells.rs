//! The frames of a job's arrays, cell by cell, in binary: what changes is a few bytes, and what is alike takes none.
//!
//! A frame says of each array which runs of cells changed, and for each byte of a cell, plane by plane, how: by the bits that differ
//! from what viewers have. So a byte that did not change is 0, and runs of equal bytes take two bytes. A snapshot is a
//! frame whose cells were all 0 before.
//!
//! ```text
//! frame  = version u8, kind u8 (0 snapshot, 1 delta), seq, array count, arrays
//! array  = layer's key, cell count, flags u8, run count, runs, planes
//! run    = cells that did not change before it, cells
//! plane  = tokens until all cells of the runs are told
//! token  = length * 2, byte: so many times that byte; or length * 2 + 1, bytes
//! ```
//! Numbers are LEB128 varints.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    frame::{FORMAT_VERSION, RowKey},
    tasks::{Standing, TaskFacts},
};

/// What a cell is drawn from: its state with marks, its worker in two bytes, bytes and time on the scale of `scale.rs`.
pub const CELL_BYTES: usize = 5;

/// One cell.
pub type Cell = [u8; CELL_BYTES];

/// The state of a cell: the low half of its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CellState {
    /// Not begun.
    Waiting = 0,
    /// A worker has the task, which waits for its inputs or for a slot.
    Given = 1,
    /// It is being computed.
    Running = 2,
    /// The chunk is in a worker's memory.
    Held = 3,
    /// The chunk was made, and is dropped since nobody needs it.
    Released = 4,
    /// The latest attempt failed.
    Failed = 5,
    /// The chunk is on a worker's disk.
    Spilled = 6,
}

/// The state of a task's cell.
pub(super) fn state(facts: &TaskFacts, runs: bool, job_is_over: bool) -> CellState {
    match facts.standing {
        Standing::Active if runs => CellState::Running,
        // A task that had been given out when its job ended will not be done.
        Standing::Active if !job_is_over => CellState::Given,
        Standing::Active | Standing::Waiting => CellState::Waiting,
        Standing::Failed => CellState::Failed,
        Standing::Done if facts.is_released => CellState::Released,
        Standing::Done if facts.is_spilled => CellState::Spilled,
        Standing::Done => CellState::Held,
    }
}

/// In the first byte: an attempt before this one was lost, let go, or failed.
pub const CELL_AGAIN: u8 = 0x10;

/// In a frame's flags: single tasks of this job were forgotten to make room, so cells say less than happened.
pub const FLAG_FORGOTTEN: u8 = 1;

/// Kinds of frames.
pub(super) const SNAPSHOT: u8 = 0;
pub(super) const DELTA: u8 = 1;

/// Cells that changed, and how.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// First cell and length of each run.
    runs: Vec<(u64, u64)>,
    /// Bits that differ, cell by cell.
    bits: Vec<Cell>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.bits.is_empty()
    }

    /// How many bytes a further change takes at most.
    pub(super) fn cost(&self, block: u64, bits: Cell) -> usize {
        let follows = self.runs.last().is_some_and(|(first, len)| first + len == block);
        let run = if follows { 0 } else { 6 };
        let same = |plane: usize| follows && self.bits.last().is_some_and(|last| last[plane] == bits[plane]);
        run + (0..CELL_BYTES)
            .map(|plane| if same(plane) { 0 } else { 3 })
            .sum::<usize>()
    }

    /// Adds the change of a cell past all the others.
    pub(super) fn push(&mut self, block: u64, bits: Cell) {
        match self.runs.last_mut() {
            Some((first, len)) if *first + *len == block => *len += 1,
            _ => self.runs.push((block, 1)),
        }
        self.bits.push(bits);
    }

    /// All cells of a snapshot.
    pub(super) fn whole(cells: &[Cell]) -> Self {
        Self {
            runs: vec![(0, cells.len() as u64)],
            bits: cells.to_vec(),
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>, layer: RowKey, cell_count: usize, flags: u8) {
        varint(out, u64::from(layer));
        varint(out, cell_count as u64);
        out.push(flags);
        varint(out, self.runs.len() as u64);
        let mut end = 0;
        for (first, len) in &self.runs {
            varint(out, first - end);
            varint(out, *len);
            end = first + len;
        }
        for plane in 0..CELL_BYTES {
            encode_plane(out, &self.bits, plane);
        }
    }
}

/// The beginning of a frame of so many arrays.
pub(super) fn head(kind: u8, seq: u64, array_count: usize) -> Vec<u8> {
    let mut out = vec![FORMAT_VERSION as u8, kind];
    varint(&mut out, seq);
    varint(&mut out, array_count as u64);
    out
}

/// Equal bytes that are worth a token of their own.
const RUN_LEN_MIN: usize = 4;

fn encode_plane(out: &mut Vec<u8>, bits: &[Cell], plane: usize) {
    let run_at = |at: usize| {
        let byte = bits[at][plane];
        bits[at..].iter().take_while(|cell| cell[plane] == byte).count()
    };
    let (mut at, mut literal) = (0, 0);
    let flush = |out: &mut Vec<u8>, from: usize, to: usize| {
        if to > from {
            varint(out, ((to - from) as u64) << 1 | 1);
            out.extend(bits[from..to].iter().map(|cell| cell[plane]));
        }
    };
    while at < bits.len() {
        let len = run_at(at);
        if len >= RUN_LEN_MIN || (literal == at && at + len == bits.len()) {
            flush(out, literal, at);
            varint(out, (len as u64) << 1);
            out.push(bits[at][plane]);
            literal = at + len;
        }
        at += len;
    }
    flush(out, literal, at);
}

pub(crate) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The cells of a job's arrays as a viewer has them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct CellView {
    /// The number of the latest frame.
    pub seq: u64,
    /// The arrays by the keys of their layers: flags, and cells by block.
    pub arrays: BTreeMap<RowKey, (u8, Vec<Cell>)>,
}

impl CellView {
    /// Takes in a frame as a viewer does. `None`, and the view is worth nothing, if it is no frame that can follow.
    pub fn apply(&mut self, frame: &[u8]) -> Option<()> {
        let (&[version, kind], mut rest) = frame.split_first_chunk::<2>()?;
        let seq = take_varint(&mut rest)?;
        let is_next = kind == SNAPSHOT || (kind == DELTA && seq == self.seq + 1);
        if u32::from(version) != FORMAT_VERSION || !is_next {
            return None;
        }
        if kind == SNAPSHOT {
            self.arrays.clear();
        }
        self.seq = seq;
        for _ in 0..take_varint(&mut rest)? {
            self.apply_array(&mut rest)?;
        }
        rest.is_empty().then_some(())
    }

    fn apply_array(&mut self, rest: &mut &[u8]) -> Option<()> {
        let layer = RowKey::try_from(take_varint(rest)?).ok()?;
        let count = usize::try_from(take_varint(rest)?).ok()?;
        let (flags, cells) = self.arrays.entry(layer).or_default();
        cells.resize(count, Cell::default());
        *flags = *rest.split_off_first()?;
        let mut changed = Vec::new();
        let mut end = 0;
        for _ in 0..take_varint(rest)? {
            let first = end + usize::try_from(take_varint(rest)?).ok()?;
            end = first + usize::try_from(take_varint(rest)?).ok()?;
            changed.extend(first..end);
        }
        for plane in 0..CELL_BYTES {
            let mut blocks = changed.iter();
            while blocks.len() > 0 {
                let token = take_varint(rest)?;
                let mut byte = 0;
                for at in 0..token >> 1 {
                    if at == 0 || token & 1 == 1 {
                        byte = *rest.split_off_first()?;
                    }
                    cells.get_mut(*blocks.next()?)?[plane] ^= byte;
                }
            }
        }
        Some(())
    }
}

pub(crate) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cells() -> impl Strategy<Value = Vec<Cell>> {
        // Few values, so that there are runs.
        prop::collection::vec(
            (0u8..3, 0u8..2).prop_map(|(a, b)| [a, b, 0, b * 40, 255 - a]),
            0..200,
        )
    }

    proptest! {
        #[test]
        fn a_viewer_has_the_cells_that_were_encoded(before in cells(), to in cells()) {
            let mut view = CellView::default();
            let count = before.len().min(to.len());
            let mut snapshot = head(SNAPSHOT, 7, 1);
            Changes::whole(&before[..count]).encode(&mut snapshot, 3, count, 0);
            view.apply(&snapshot).expect("a snapshot");
            prop_assert_eq!(&view.arrays[&3].1[..], &before[..count]);
            let mut changes = Changes::default();
            let mut cost = 0;
            for (block, (old, new)) in before.iter().zip(&to).enumerate() {
                if old != new {
                    let bits = std::array::from_fn(|at| old[at] ^ new[at]);
                    cost += changes.cost(block as u64, bits);
                    changes.push(block as u64, bits);
                }
            }
            let mut delta = head(DELTA, 8, 1);
            changes.encode(&mut delta, 3, count, FLAG_FORGOTTEN);
            prop_assert!(delta.len() <= cost + 40, "{} of {cost}", delta.len());
            view.apply(&delta).expect("the next frame");
            prop_assert_eq!(&view.arrays[&3].1[..], &to[..count]);
            prop_assert_eq!((view.seq, view.arrays[&3].0), (8, FLAG_FORGOTTEN));
            prop_assert!(view.apply(&delta).is_none(), "a frame that comes twice");
        }

        #[test]
        fn what_is_no_frame_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            // Sizes in random bytes could ask for any memory, so they are kept small.
            let bytes: Vec<u8> = bytes.into_iter().map(|byte| byte & 0x3f).collect();
            let _ = CellView::default().apply(&bytes);
        }
    }

    #[test]
    fn a_million_equal_cells_take_a_few_bytes() {
        let cells = vec![[3, 1, 0, 80, 60]; 1 << 20];
        let mut out = head(SNAPSHOT, 1, 1);
        Changes::whole(&cells).encode(&mut out, 0, cells.len(), 0);
        assert!(out.len() < 48);
    }
}
