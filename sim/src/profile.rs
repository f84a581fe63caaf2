//! Which faults a seed suffers, drawn before anything happens.

use crate::{
    case::Case,
    rng::{Rng, Stream},
};

/// Which faults a seed suffers, and how often. Drawn anew for each seed, most kinds absent: a seed with few kinds goes
/// deeper into each than one that has them all.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub(crate) temper: Temper,
    /// Microseconds during which faults strike.
    pub(crate) chaos_us: u64,
    /// Mean microseconds between two faults.
    fault_gap_us: u64,
    /// Relative weights of the faults that strike now and then.
    weights: Vec<(Strike, u64)>,
    /// So many times in a thousand, by [`Nuisance`].
    rates: [u64; Nuisance::COUNT],
    /// The scheduler's books are checked after every so many events: that takes longer than all the rest.
    pub(crate) check_every: u64,
    /// The longest delay of a message.
    pub(crate) delay_us_max: u64,
    /// Bytes of a worker's memory, as a multiple of the largest task's.
    pub(crate) budget_factor: u64,
    /// The ends of the scheduler's process.
    pub(crate) crashes: Vec<Crash>,
    /// The longest write to its journal.
    pub(crate) write_us_max: u64,
}

/// The numbers of the ends of the scheduler's process begin here.
const CRASH_FIRST: u32 = 100_000;

/// An end of the scheduler's process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crash {
    /// Its number among the faults of the seed's story.
    pub(crate) number: u32,
    /// When.
    pub(crate) at: u64,
    pub(crate) moment: CrashMoment,
}

/// When the scheduler's process ends, once it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CrashMoment {
    AnyTime,
    /// When the next write to the journal would be on the disk.
    BeforeWrite,
    /// When it is on the disk, and nobody was told.
    AfterWrite,
}

/// What kind of a story it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Temper {
    /// Anything may happen.
    Wild,
    /// Nothing goes wrong: then nothing may be made twice, and no message be late.
    Calm,
    /// Workers end by a task's fault alone: then no other task may be blamed.
    Blaming,
}

/// A fault that strikes at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strike {
    /// A worker process ends and loses all; another one takes its place.
    Crash,
    /// A worker's machine is gone: nobody is told that its connection ended.
    PowerLoss,
    /// A connection between scheduler and worker breaks.
    Cut,
    /// A connection breaks again and again, as soon as it is there.
    Flicker,
    /// Some workers and the scheduler hear each other no more, or one hears the other.
    Partition,
    /// Some workers cannot reach some others, while the scheduler reaches all.
    PeerCut,
    /// A worker does nothing for a while.
    Hang,
    /// A worker does nothing for longer than anybody waits for it, and then goes on.
    Freeze,
    /// A process's clock jumps ahead: a worker's or the scheduler's.
    ClockJump,
    /// A worker joins.
    Join,
    /// Workers join while tasks that read many chunks run.
    LateJoin,
    /// Workers come and are retired, quickly and several times.
    Flap,
    /// Some workers are asked to leave by their own processes.
    Retire,
    /// The scheduler is told to retire a worker, and perhaps to let it stay after all.
    Dismiss,
    /// A worker that retires ends, or one that copies from such a one; another one takes its place.
    CrashInHandover,
    /// A chunk on a worker's disk is damaged.
    Damage,
    /// A worker moves much of its memory to disk.
    Squeeze,
    /// A worker's disk is slow for a while.
    SlowDisk,
    /// A worker's disk takes nothing for a while.
    FullDisk,
    /// A client cancels a job.
    Cancel,
    /// A client releases a kept result.
    Release,
    /// A client leaves.
    Leave,
    /// A client is gone without a word, which the scheduler's shell learns much later.
    Vanish,
}

impl Strike {
    pub(crate) const ALL: [Strike; 23] = {
        use Strike::*;
        [
            Crash,
            PowerLoss,
            Cut,
            Flicker,
            Partition,
            PeerCut,
            Hang,
            Freeze,
            ClockJump,
            Join,
            LateJoin,
            Flap,
            Retire,
            Dismiss,
            CrashInHandover,
            Damage,
            Squeeze,
            SlowDisk,
            FullDisk,
            Cancel,
            Release,
            Leave,
            Vanish,
        ]
    };

    fn weight(self) -> u64 {
        use Strike::*;
        match self {
            Crash | Cut => 10,
            Damage => 8,
            Dismiss | Retire => 6,
            Hang | Join | Squeeze | PowerLoss | Partition | PeerCut | FullDisk => 5,
            Freeze | SlowDisk | Flicker => 4,
            Release | CrashInHandover | LateJoin => 3,
            Cancel | ClockJump | Flap => 2,
            Leave | Vanish => 1,
        }
    }

    /// Whether it may end a worker's process, or make the scheduler believe so.
    fn ends_workers(self) -> bool {
        use Strike::*;
        match self {
            Crash | PowerLoss | Cut | Flicker | Partition | Hang | Freeze | ClockJump | Flap | Retire
            | Dismiss | CrashInHandover | Cancel | Leave | Vanish => true,
            PeerCut | Join | LateJoin | Damage | Squeeze | SlowDisk | FullDisk | Release => false,
        }
    }
}

/// Something that goes wrong all the time, as often as a seed's profile says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nuisance {
    /// A fetch from a peer fails for no reason.
    PeerFailures,
    /// A computation fails and might succeed another time.
    TransientFailures,
    /// A task fails and might succeed another time, but never does.
    StubbornFailures,
    /// A task fails for good.
    PermanentFailures,
    /// A task ends its worker, or hangs until somebody ends the worker.
    Culprits,
    /// A task's result is larger or smaller than its plan says.
    WrongSizes,
    /// A result that a client fetches does not arrive.
    DeliveryFailures,
    /// A delivery is acknowledged very late.
    LateAcknowledgements,
    /// A message is delayed ten times as long.
    SlowMessages,
}

impl Nuisance {
    pub(crate) const COUNT: usize = 9;
    pub(crate) const ALL: [Nuisance; Self::COUNT] = [
        Nuisance::PeerFailures,
        Nuisance::TransientFailures,
        Nuisance::StubbornFailures,
        Nuisance::PermanentFailures,
        Nuisance::Culprits,
        Nuisance::WrongSizes,
        Nuisance::DeliveryFailures,
        Nuisance::LateAcknowledgements,
        Nuisance::SlowMessages,
    ];

    /// How it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Nuisance::PeerFailures => "peer-failures",
            Nuisance::TransientFailures => "transient-failures",
            Nuisance::StubbornFailures => "stubborn-failures",
            Nuisance::PermanentFailures => "permanent-failures",
            Nuisance::Culprits => "culprits",
            Nuisance::WrongSizes => "wrong-sizes",
            Nuisance::DeliveryFailures => "delivery-failures",
            Nuisance::LateAcknowledgements => "late-acknowledgements",
            Nuisance::SlowMessages => "slow-messages",
        }
    }
}

/// A fault that will strike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    /// Its number in the seed's story.
    pub(crate) number: u32,
    /// When.
    pub(crate) at: u64,
    /// What.
    pub(crate) strike: Strike,
}

impl Profile {
    pub(crate) fn draw(case: &Case) -> Self {
        let rng = &mut Rng::of(case.seed, Stream::Profile, 0);
        let temper = match rng.below(100) {
            0..8 => Temper::Calm,
            8..18 => Temper::Blaming,
            _ => Temper::Wild,
        };
        let chaos_us = *rng.pick(&[40_000, 100_000, 300_000]);
        let fault_gap_us = chaos_us / *rng.pick(&[10, 30, 100]);
        let weights = Strike::ALL.map(|strike| (strike, strike.weight() * *rng.pick(&[0, 0, 0, 1, 1, 4])));
        let mut profile = Self {
            temper,
            chaos_us,
            fault_gap_us,
            weights: weights.to_vec(),
            rates: Nuisance::ALL.map(|nuisance| rate(rng, nuisance)),
            check_every: *rng.pick(&[1, 8, 8, 8, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32]),
            delay_us_max: *rng.pick(&[100, 1_000, 5_000]),
            budget_factor: *rng.pick(&[1, 2, 4, 16]),
            crashes: Vec::new(),
            write_us_max: 0,
        };
        profile.draw_crashes(case);
        match temper {
            Temper::Wild => {}
            Temper::Calm => profile.heal(),
            Temper::Blaming => {
                profile.weights.retain(|(strike, _)| !strike.ends_workers());
                profile.rates[Nuisance::Culprits as usize] = rng.within(5..40);
            }
        }
        for &nuisance in &case.calm {
            profile.rates[nuisance as usize] = 0;
        }
        profile
    }

    /// Draws apart from all else, so that stories without them are what they would be.
    fn draw_crashes(&mut self, case: &Case) {
        let rng = &mut Rng::of(case.seed, Stream::Restart, 0);
        self.write_us_max = *rng.pick(&[100, 1_000, 10_000]);
        let per_mille = match self.temper {
            Temper::Wild => 250,
            Temper::Calm => 500,
            // What was counted against a task is not in the journal.
            Temper::Blaming => 0,
        };
        if !rng.chance(per_mille) {
            return;
        }
        for nth in 0..u32::try_from(rng.within(1..5)).expect("few") {
            let moments = [
                CrashMoment::AnyTime,
                CrashMoment::BeforeWrite,
                CrashMoment::AfterWrite,
            ];
            self.crashes.push(Crash {
                number: CRASH_FIRST + nth,
                at: rng.below(self.chaos_us),
                moment: *rng.pick(&moments),
            });
        }
    }

    /// The same without anything that goes wrong.
    pub(crate) fn heal(&mut self) {
        self.weights.clear();
        self.rates = [0; Nuisance::COUNT];
    }

    pub(crate) fn rate(&self, nuisance: Nuisance) -> u64 {
        self.rates[nuisance as usize]
    }

    /// How long a message takes, and whether it is one of the slow ones.
    pub(crate) fn delay(&self, rng: &mut Rng) -> (u64, bool) {
        let delay = rng.within(20..self.delay_us_max.max(21));
        if rng.chance(self.rate(Nuisance::SlowMessages)) {
            (delay * 10, true)
        } else {
            (delay, false)
        }
    }

    /// The faults that will strike, in the order of time.
    pub(crate) fn faults(&self, seed: u64) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut at = 0;
        for number in 0.. {
            let mut rng = Rng::of(seed, Stream::Fault, number);
            at += rng.within(self.fault_gap_us / 4..self.fault_gap_us * 2);
            let Some(strike) = self.strike(&mut rng).filter(|_| at < self.chaos_us) else {
                break;
            };
            let number = u32::try_from(number).expect("few faults");
            faults.push(Fault { number, at, strike });
        }
        faults
    }

    fn strike(&self, rng: &mut Rng) -> Option<Strike> {
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

fn rate(rng: &mut Rng, nuisance: Nuisance) -> u64 {
    let (absent, high) = match nuisance {
        Nuisance::PeerFailures | Nuisance::DeliveryFailures => (500, 100),
        Nuisance::TransientFailures => (500, 60),
        Nuisance::StubbornFailures => (850, 5),
        Nuisance::PermanentFailures => (800, 8),
        Nuisance::Culprits => (850, 10),
        Nuisance::WrongSizes => (700, 300),
        Nuisance::LateAcknowledgements => (500, 300),
        Nuisance::SlowMessages => (500, 50),
    };
    let rate = rng.below(high);
    if rng.chance(absent) { 0 } else { rate }
}
