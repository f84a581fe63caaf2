//! All workers, part by part, in the order that somebody chose.

use std::{cmp::Ordering, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use super::{
    Aggregator,
    activity::Activity,
    frame::{WorkerRow, WorkerState},
    workers::WorkerTable,
};

/// Workers of one part of the roster.
pub const ROSTER_ROW_COUNT_MAX: usize = 200;

/// By what workers are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RosterOrder {
    /// Numbers within names by their value.
    Name,
    /// Those that are there, are about to leave, have left, were lost.
    State,
    /// Slots that are busy, of all it has.
    Busy,
    /// Bytes of chunks in memory, of the limit.
    Managed,
    /// Other bytes of the process.
    Other,
    /// Bytes on disk.
    Spilled,
    /// Bytes set aside for what is on its way.
    Transit,
    /// Tasks that were done.
    Done,
    /// Bytes fetched a second.
    Rate,
    /// When it last reported.
    Seen,
}

/// Which end of an order comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The least.
    Up,
    /// The most.
    Down,
}

/// A part of all workers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Roster {
    /// When it was so.
    pub now_us: u64,
    /// How many workers are known.
    pub total: u64,
    /// How many were known once, and are forgotten.
    pub forgotten: u64,
    /// Those that are there and stay.
    pub ready: u64,
    /// Those that are there and about to leave.
    pub retiring: u64,
    /// Those that left in order.
    pub retired: u64,
    /// Those that were lost.
    pub lost: u64,
    /// What those add up to that are there.
    pub sums: WorkerSums,
    /// Slots of theirs that are busy.
    pub busy: u64,
    /// The place of the first row among all.
    pub from: u64,
    /// At most [`ROSTER_ROW_COUNT_MAX`] rows.
    pub rows: Vec<WorkerRow>,
}

/// What workers that are there add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerSums {
    /// How many they are.
    pub workers: u64,
    /// Their slots.
    pub slots: u64,
    /// Bytes that they may hold in memory.
    pub budget: u64,
    /// Bytes that they hold in memory.
    pub memory: u64,
    /// Bytes on their disks.
    pub spilled: u64,
    /// Bytes on their way.
    pub transit: u64,
    /// Bytes that they fetch a second.
    pub fetch_rate: f64,
}

impl Aggregator {
    /// The workers from the place `from` on. Those that are gone come last, however they are sorted.
    pub fn roster(&self, now_us: u64, order: RosterOrder, direction: Direction, from: u64) -> Roster {
        let activity = Activity::of(self);
        let mut rows: Vec<WorkerRow> = self
            .workers
            .iter()
            .map(|(id, table)| table.row(activity.of_worker(*id)))
            .collect();
        let standings = count_standings(&rows);
        let counted = |standing| standings.get(&standing).copied().unwrap_or(0);
        let mut sums = WorkerSums::default();
        self.workers.values().for_each(|table| table.add_to(&mut sums));
        let busy = rows.iter().filter(|row| row.left_us.is_none());
        let busy = busy.map(|row| u64::from(row.running)).sum();
        rows.sort_by(|one, other| {
            let by = compare(order, one, other);
            let by = match direction {
                Direction::Up => by,
                Direction::Down => by.reverse(),
            };
            let is_gone = |row: &WorkerRow| row.state != WorkerState::Ready;
            is_gone(one)
                .cmp(&is_gone(other))
                .then(by)
                .then_with(|| one.k.cmp(&other.k))
        });
        let first = usize::try_from(from).unwrap_or(usize::MAX).min(rows.len());
        Roster {
            now_us,
            total: rows.len() as u64,
            forgotten: self.forgotten.worker_count,
            ready: counted(Standing::Ready),
            retiring: counted(Standing::Retiring),
            retired: counted(Standing::Retired),
            lost: counted(Standing::Lost),
            sums,
            busy,
            from: first as u64,
            rows: rows.into_iter().skip(first).take(ROSTER_ROW_COUNT_MAX).collect(),
        }
    }

    /// The worker that has a row of this key.
    pub(super) fn worker_of_key(
        &self,
        key: super::RowKey,
    ) -> Option<(graticule_plan::WorkerId, &WorkerTable)> {
        let found = self.workers.iter().find(|(_, table)| table.key == key);
        found.map(|(id, table)| (*id, table))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Ready,
    Retiring,
    Retired,
    Lost,
}

fn standing(row: &WorkerRow) -> Standing {
    match row.state {
        WorkerState::Ready if row.retiring.is_some() => Standing::Retiring,
        WorkerState::Ready => Standing::Ready,
        WorkerState::Retired => Standing::Retired,
        WorkerState::Lost => Standing::Lost,
    }
}

fn count_standings(rows: &[WorkerRow]) -> BTreeMap<Standing, u64> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(standing(row)).or_default() += 1;
    }
    counts
}

fn compare(order: RosterOrder, one: &WorkerRow, other: &WorkerRow) -> Ordering {
    let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
    let by = |of: &dyn Fn(&WorkerRow) -> f64| of(one).total_cmp(&of(other));
    match order {
        RosterOrder::Name => by_name(&one.name, &other.name),
        RosterOrder::State => standing(one).cmp(&standing(other)),
        RosterOrder::Busy => by(&|row| share(row.running.into(), row.slots.into())),
        RosterOrder::Managed => by(&|row| share(row.memory, row.budget)),
        RosterOrder::Other => by(&|row| row.resident.saturating_sub(row.memory + row.transit) as f64),
        RosterOrder::Spilled => one.spilled.cmp(&other.spilled),
        RosterOrder::Transit => one.transit.cmp(&other.transit),
        RosterOrder::Done => one.done.cmp(&other.done),
        RosterOrder::Rate => by(&|row| row.fetch_rate),
        RosterOrder::Seen => one.status_us.cmp(&other.status_us),
    }
}

/// Digits in a row are compared as a number, so that `worker-9` comes before `worker-10`.
pub(super) fn by_name(one: &str, other: &str) -> Ordering {
    let (mut one_left, mut other_left) = (one, other);
    loop {
        let ((a, one_rest), (b, other_rest)) = (piece(one_left), piece(other_left));
        let digits = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let order = if digits(a) && digits(b) {
            let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
            a.len().cmp(&b.len()).then_with(|| a.cmp(b))
        } else {
            a.cmp(b)
        };
        if order != Ordering::Equal || (one_rest.is_empty() && other_rest.is_empty()) {
            return order.then_with(|| one.cmp(other));
        }
        (one_left, other_left) = (one_rest, other_rest);
    }
}

/// The first digits in a row, or what comes before them, and the rest.
fn piece(text: &str) -> (&str, &str) {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != is_number);
    text.split_at(end.unwrap_or(text.len()))
}
