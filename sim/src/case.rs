//! What is to be simulated: a seed, and what is left out of its story.

use std::{collections::BTreeSet, fmt};

use graticule_engine::scheduler::Sabotage;

use crate::profile::Nuisance;

/// A seed's story, whole or with parts left out.
///
/// Whatever is left out, the rest draws the same numbers as before: so a story that fails can be made smaller piece by
/// piece. Its text is the arguments that replay it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The seed.
    pub seed: u64,
    /// The defect that is built in.
    pub sabotage: Sabotage,
    /// Numbers of the faults that do not strike.
    pub without: BTreeSet<u32>,
    /// What does not go wrong all the time.
    pub calm: BTreeSet<Nuisance>,
    /// The numbers of the jobs that are submitted, if not all; then no job is added to make the story long enough.
    pub only_jobs: Option<BTreeSet<u64>>,
    /// The most layers of a plan.
    pub layers_max: Option<u64>,
    /// The most blocks of a layer.
    pub blocks_max: Option<u64>,
    /// Worker processes at the beginning.
    pub workers: Option<u64>,
}

impl Case {
    /// The whole story of a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            sabotage: Sabotage::None,
            without: BTreeSet::new(),
            calm: BTreeSet::new(),
            only_jobs: None,
            layers_max: None,
            blocks_max: None,
            workers: None,
        }
    }

    /// The same with a defect built in.
    #[must_use]
    pub fn with_sabotage(mut self, sabotage: Sabotage) -> Self {
        self.sabotage = sabotage;
        self
    }

    /// Leaves something out: the number of a fault, a range such as `3-7`, or the name of what goes wrong all the time.
    ///
    /// # Errors
    /// A sentence, if it is neither.
    pub fn leave_out(&mut self, what: &str) -> Result<(), String> {
        let numbers = what.split_once('-').unwrap_or((what, what));
        if let (Ok(first), Ok(last)) = (numbers.0.parse::<u32>(), numbers.1.parse::<u32>()) {
            self.without.extend(first..=last);
        } else {
            let named = Nuisance::ALL.into_iter().find(|n| n.name() == what);
            let known = || Nuisance::ALL.map(Nuisance::name).join(", ");
            let nuisance =
                named.ok_or_else(|| format!("{what} is neither a fault's number nor one of {}", known()))?;
            self.calm.insert(nuisance);
        }
        Ok(())
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--seed {}", self.seed)?;
        if self.sabotage != Sabotage::None {
            write!(f, " --sabotage {:?}", self.sabotage)?;
        }
        let numbers = ranges(&self.without).into_iter();
        let names = self.calm.iter().map(|nuisance| nuisance.name().to_owned());
        let without: Vec<String> = numbers.chain(names).collect();
        if !without.is_empty() {
            write!(f, " --without {}", without.join(","))?;
        }
        if let Some(jobs) = &self.only_jobs {
            let jobs: Vec<String> = jobs.iter().map(u64::to_string).collect();
            // Jobs are numbered from 1.
            let none = if jobs.is_empty() { "0" } else { "" };
            write!(f, " --only-jobs {none}{}", jobs.join(","))?;
        }
        let limits = [
            ("layers", self.layers_max),
            ("blocks", self.blocks_max),
            ("workers", self.workers),
        ];
        for (name, limit) in limits {
            if let Some(limit) = limit {
                write!(f, " --{name} {limit}")?;
            }
        }
        Ok(())
    }
}

/// Numbers as people write them: `1,4-6`.
fn ranges(numbers: &BTreeSet<u32>) -> Vec<String> {
    let mut found: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => found.push((number, number)),
        }
    }
    let shown = |(first, last): (u32, u32)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    };
    found.into_iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::{Case, Sabotage};

    #[test]
    fn a_case_reads_as_the_arguments_that_replay_it() {
        let mut case = Case::new(7).with_sabotage(Sabotage::ForgetLostChunks);
        case.leave_out("3").unwrap();
        case.leave_out("7-9").unwrap();
        case.leave_out("wrong-sizes").unwrap();
        case.only_jobs = Some([1, 4].into());
        case.workers = Some(2);
        assert_eq!(
            case.to_string(),
            "--seed 7 --sabotage ForgetLostChunks --without 3,7-9,wrong-sizes --only-jobs 1,4 --workers 2"
        );
        assert!(case.leave_out("bad-mood").unwrap_err().contains("wrong-sizes"));
    }
}
