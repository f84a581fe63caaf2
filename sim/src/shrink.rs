//! Makes a case that fails smaller, as long as it fails in the same way.

use std::collections::BTreeSet;

use crate::{
    case::Case,
    phase::{Ending, run},
    profile::Nuisance,
};

/// Cases that are tried at most.
const TRIES_MAX: u64 = 2_000;

/// A failing case that was made smaller.
#[derive(Debug, Clone)]
pub struct Shrunken {
    /// The case.
    pub case: Case,
    /// What does not hold in it.
    pub why: String,
    /// What happens in it, in order.
    pub story: Vec<String>,
    /// Faults that strike in it, and in the case that it was made of.
    pub fault_counts: (usize, usize),
    /// Jobs of both.
    pub job_counts: (usize, usize),
    /// Cases that were tried.
    pub tries: u64,
}

/// Leaves out of a failing case what it fails without: faults, what goes wrong all the time, jobs, layers, blocks,
/// workers; each by bisection, and again until nothing more can be left out.
///
/// `None` if the case does not fail.
pub fn shrink(case: &Case) -> Option<Shrunken> {
    let whole = run(case, false);
    let why = whole.failure.clone()?;
    let mut search = Search {
        kind: kind_of(&why),
        best: case.clone(),
        ending: whole,
        tries: 0,
    };
    let before = (search.faults().len(), search.ending.jobs.len());
    loop {
        let at_first = search.best.clone();
        search.fewer_jobs();
        search.fewer_faults();
        search.calmer();
        search.smaller();
        if search.best == at_first || search.tries >= TRIES_MAX {
            break;
        }
    }
    let told = run(&search.best, true);
    Some(Shrunken {
        fault_counts: (search.faults().len(), before.0),
        job_counts: (search.ending.jobs.len(), before.1),
        case: search.best,
        why: told.failure.unwrap_or(why),
        story: told.story,
        tries: search.tries,
    })
}

struct Search {
    /// What kind of failure is looked for.
    kind: String,
    best: Case,
    ending: Ending,
    tries: u64,
}

impl Search {
    fn faults(&self) -> Vec<u32> {
        let all = self.ending.faults.iter().copied();
        all.filter(|fault| !self.best.without.contains(fault)).collect()
    }

    /// Takes a case if it still fails in the same way.
    fn try_case(&mut self, case: Case) -> bool {
        if case == self.best || self.tries >= TRIES_MAX {
            return false;
        }
        self.tries += 1;
        let ending = run(&case, false);
        let same = ending.failure.as_deref().map(kind_of).as_ref() == Some(&self.kind);
        if same {
            (self.best, self.ending) = (case, ending);
        }
        same
    }

    fn fewer_jobs(&mut self) {
        let jobs = self.ending.jobs.clone();
        leave_out(&jobs, |left| {
            let mut case = self.best.clone();
            case.only_jobs = Some(left.iter().copied().collect());
            self.try_case(case)
        });
    }

    fn fewer_faults(&mut self) {
        let (faults, all) = (self.faults(), self.ending.faults.clone());
        leave_out(&faults, |left| {
            let mut case = self.best.clone();
            let left: BTreeSet<u32> = left.iter().copied().collect();
            case.without = all.iter().copied().filter(|f| !left.contains(f)).collect();
            self.try_case(case)
        });
    }

    fn calmer(&mut self) {
        for nuisance in Nuisance::ALL {
            let mut case = self.best.clone();
            if case.calm.insert(nuisance) {
                self.try_case(case);
            }
        }
    }

    fn smaller(&mut self) {
        for layers in 1..9 {
            let mut case = self.best.clone();
            case.layers_max = Some(layers);
            if case.layers_max == self.best.layers_max || self.try_case(case) {
                break;
            }
        }
        for blocks in [1, 2, 3, 4, 6, 8, 12, 20, 40] {
            let mut case = self.best.clone();
            case.blocks_max = Some(blocks);
            if case.blocks_max == self.best.blocks_max || self.try_case(case) {
                break;
            }
        }
        for workers in 1..self.ending.workers {
            let mut case = self.best.clone();
            case.workers = Some(workers);
            if self.try_case(case) {
                break;
            }
        }
    }
}

/// Tries to leave parts of a list out, halves first, single ones at last; `fails` tells whether what is left will do.
fn leave_out<T: Copy>(all: &[T], mut fails: impl FnMut(&[T]) -> bool) {
    let mut left = all.to_vec();
    let mut size = left.len();
    while size > 0 {
        let mut at = 0;
        while at < left.len() {
            let mut fewer = left.clone();
            fewer.drain(at..(at + size).min(left.len()));
            if fails(&fewer) {
                left = fewer;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
}

/// The first words of a failure without what differs from case to case.
fn kind_of(why: &str) -> String {
    let names = |word: &&str| !word.contains(|c: char| c.is_ascii_digit());
    let words: Vec<&str> = why.split_whitespace().filter(names).take(8).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::leave_out;

    #[test]
    fn only_what_is_needed_is_left() {
        let all: Vec<u32> = (0..100).collect();
        let (mut left, mut tries) = (all.clone(), 0);
        leave_out(&all, |fewer| {
            tries += 1;
            let fails = fewer.contains(&17) && fewer.contains(&60);
            if fails {
                left = fewer.to_vec();
            }
            fails
        });
        assert_eq!(left, [17, 60]);
        assert!(tries < 60, "{tries}");
    }
}
