use std::ops::Range;

/// What a stream of numbers decides. Each concern has streams of its own, so that taking one thing out of a story, a
/// fault or a job, leaves what is drawn for the others as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Which kinds of faults a seed has, and how often.
    Profile = 1,
    /// A fault: when, what, where. By its number.
    Fault,
    /// When a job is submitted, by whom, on top of what. By its number.
    Submission,
    /// A job's plan. By its number.
    Plan,
    /// What a client does. By its id.
    Client,
    /// A worker process: its sizes, its pace. By its origin.
    Node,
    /// The delays of a connection's messages to the scheduler. By its origin.
    ToScheduler,
    /// The delays of a connection's messages to the worker. By its origin.
    ToWorker,
    /// One execution of a task: how long it takes, and whether it fails.
    Execution,
    /// What a task does whenever it runs.
    Task,
    /// When the scheduler's process ends and how it goes on, and the pace of its disk.
    Restart,
    /// What the layers of a job ask of workers, and what a worker process offers.
    Wish,
    /// What a worker process believes of its disk. By its origin.
    Disk,
    /// Which jobs need an array twice. By their number.
    Twice,
    /// Which jobs are values that their client hands over. By their number.
    Scatter,
}

/// A seeded source of numbers (SplitMix64): the same seed gives the same story.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    /// The stream of one concern, such as that of the fault with a number.
    pub(crate) fn of(seed: u64, stream: Stream, number: u64) -> Self {
        Self(mix(
            mix(mix(seed ^ 0x5EED_CA5E_0F61_A55E) ^ stream as u64) ^ number
        ))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number below `n`, which must not be 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.below(range.end - range.start)
    }

    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("below a usize")
    }

    /// Whether something that happens `per_mille` times in a thousand happens.
    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.index(of.len())]
    }

    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for i in (1..list.len()).rev() {
            list.swap(i, self.index(i + 1));
        }
    }
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood 2014): every bit of the input moves half of the output's.
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// One number of several, in their order.
pub(crate) fn mix_all(numbers: &[u64]) -> u64 {
    numbers.iter().fold(0, |state, &n| mix(state ^ n).wrapping_add(n))
}
