use std::fmt;

use crate::profile::{Nuisance, Strike};

const KINDS: usize = Strike::ALL.len() + Nuisance::COUNT;

/// What a run of the simulation went through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that reached an engine or a client.
    pub events: u64,
    /// Tasks that finished.
    pub tasks: u64,
    /// Jobs submitted.
    pub jobs: u64,
    /// Chunks copied from workers that retired.
    pub copies: u64,
    /// Workers that retired without loss.
    pub retired: u64,
    /// Finished tasks that had to run again.
    pub remade: u64,
    /// Chunks that were let go instead of spilled.
    pub let_go: u64,
    /// Reports that came too late to count.
    pub late: u64,
    /// Connections that the scheduler ended.
    pub closed: u64,
    /// Events that reached the scheduler, signs of life aside.
    pub(crate) heard: u64,
    /// Ends of the scheduler's process.
    pub restarts: u64,
    /// Virtual microseconds.
    pub virtual_us: u64,
    faults: [u64; KINDS],
}

impl Counts {
    pub(crate) fn strike(&mut self, strike: Strike) {
        self.faults[strike as usize] += 1;
    }

    pub(crate) fn nuisance(&mut self, nuisance: Nuisance) {
        self.faults[Strike::ALL.len() + nuisance as usize] += 1;
    }

    pub(crate) fn slow_messages(&mut self, is_slow: bool) {
        if is_slow {
            self.nuisance(Nuisance::SlowMessages);
        }
    }

    /// How often each kind of fault struck, by its name.
    pub fn faults(&self) -> impl Iterator<Item = (String, u64)> {
        let strikes = Strike::ALL.iter().map(|strike| kebab(&format!("{strike:?}")));
        let nuisances = Nuisance::ALL.iter().map(|nuisance| nuisance.name().to_owned());
        let restarts = ("restart".to_owned(), self.restarts);
        strikes.chain(nuisances).zip(self.faults).chain([restarts])
    }

    /// Things that went wrong: crashes, cuts, failures and so on.
    pub fn fault_count(&self) -> u64 {
        self.faults.iter().sum::<u64>() + self.restarts
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Counts) {
        self.events += other.events;
        self.tasks += other.tasks;
        self.jobs += other.jobs;
        self.copies += other.copies;
        self.retired += other.retired;
        self.remade += other.remade;
        self.let_go += other.let_go;
        self.late += other.late;
        self.closed += other.closed;
        self.restarts += other.restarts;
        self.virtual_us += other.virtual_us;
        for (sum, count) in self.faults.iter_mut().zip(other.faults) {
            *sum += count;
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} events, {} tasks of {} jobs, {} workers retired without loss, {} chunks copied, {} made again, {} let go, \
             {} late reports, {} faults",
            self.events,
            self.tasks,
            self.jobs,
            self.retired,
            self.copies,
            self.remade,
            self.let_go,
            self.late,
            self.fault_count()
        )
    }
}

/// `PeerCut` as `peer-cut`.
fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    kebab
}
