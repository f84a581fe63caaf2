use crate::rng::Rng;

/// Which faults a seed suffers, and how often. Drawn anew for each seed, most kinds absent: a seed with few kinds goes
/// deeper into each than one that has them all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Profile {
    /// Microseconds during which faults strike.
    pub(crate) chaos_us: u64,
    /// Mean microseconds between two faults.
    pub(crate) fault_gap_us: u64,
    /// Relative weights of the faults that strike now and then.
    pub(crate) weights: [(Strike, u64); Strike::COUNT],
    /// In a thousand fetches from a peer, so many fail for no reason.
    pub(crate) peer_failures: u64,
    /// In a thousand computations, so many fail and might succeed another time.
    pub(crate) transient_failures: u64,
    /// In a thousand computations, so many fail for good.
    pub(crate) permanent_failures: u64,
    /// In a thousand results that a client fetches, so many do not arrive.
    pub(crate) delivery_failures: u64,
    /// In a thousand deliveries, so many are acknowledged very late.
    pub(crate) late_acknowledgements: u64,
    /// The longest delay of a message.
    pub(crate) delay_us_max: u64,
    /// In a thousand messages, so many are delayed ten times as long.
    pub(crate) slow_messages: u64,
    /// Bytes of a worker's memory, as a multiple of the largest task's.
    pub(crate) budget_factor: u64,
}

/// A fault that strikes at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strike {
    /// A worker process ends and loses all; another one takes its place.
    Crash,
    /// A connection between scheduler and worker breaks.
    Cut,
    /// A worker does nothing for a while.
    Hang,
    /// A worker joins.
    Join,
    /// A worker is asked to leave by its own process.
    Retire,
    /// The scheduler is told to retire a worker, and perhaps to let it stay after all.
    Dismiss,
    /// A worker that retires ends, or one that copies from such a one; another one takes its place.
    CrashInHandover,
    /// A chunk on a worker's disk is damaged.
    Damage,
    /// A worker moves much of its memory to disk.
    Squeeze,
    /// A client cancels a job.
    Cancel,
    /// A client releases a kept result.
    Release,
    /// A client leaves.
    Leave,
}

impl Strike {
    const COUNT: usize = 12;
}

impl Profile {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        use Strike::{
            Cancel, Crash, CrashInHandover, Cut, Damage, Dismiss, Hang, Join, Leave, Release, Retire, Squeeze,
        };
        let mut weights = [
            (Crash, 10),
            (Cut, 10),
            (Hang, 5),
            (Join, 5),
            (Retire, 4),
            (Damage, 8),
            (Squeeze, 5),
            (Cancel, 2),
            (Release, 3),
            (Leave, 1),
            (Dismiss, 6),
            (CrashInHandover, 3),
        ];
        for (_, weight) in &mut weights {
            *weight *= *rng.pick(&[0, 0, 1, 1, 4]);
        }
        let chaos_us = *rng.pick(&[40_000, 100_000, 300_000]);
        let rate = |rng: &mut Rng, high: u64| if rng.chance(500) { 0 } else { rng.below(high) };
        Self {
            chaos_us,
            fault_gap_us: chaos_us / *rng.pick(&[10, 30, 100]),
            weights,
            peer_failures: rate(rng, 100),
            transient_failures: rate(rng, 60),
            permanent_failures: if rng.chance(850) { 0 } else { rng.within(1..5) },
            delivery_failures: rate(rng, 100),
            late_acknowledgements: rate(rng, 300),
            delay_us_max: *rng.pick(&[100, 1_000, 5_000]),
            slow_messages: rate(rng, 50),
            budget_factor: *rng.pick(&[1, 2, 4, 16]),
        }
    }

    /// The same without anything that goes wrong.
    pub(crate) fn heal(&mut self) {
        self.weights.iter_mut().for_each(|(_, weight)| *weight = 0);
        self.peer_failures = 0;
        self.transient_failures = 0;
        self.permanent_failures = 0;
        self.delivery_failures = 0;
        self.late_acknowledgements = 0;
    }

    /// The next fault, if there are any.
    pub(crate) fn strike(&self, rng: &mut Rng) -> Option<Strike> {
        let total: u64 = self.weights.iter().map(|(_, weight)| weight).sum();
        if total == 0 {
            return None;
        }
        let mut at = rng.below(total);
        for &(strike, weight) in &self.weights {
            if at < weight {
                return Some(strike);
            }
            at -= weight;
        }
        None
    }
}
