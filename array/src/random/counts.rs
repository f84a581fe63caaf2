//! Counts of what is drawn: without putting back, and of several kinds.

use graticule_ops::POISSON_MEAN_MAX;
use graticule_plan::DType;

use super::{Generator, check};
use crate::{Array, ArrayError, Chunks, Over, stack};

/// Chances below this part of the greatest are none: numbers are chosen in steps of 2^-53.
const CHANCE_MIN: f64 = 1e-19;
/// The most kinds that numbers of the multinomial distribution are drawn of.
const KINDS_MAX: usize = 1024;

impl Generator {
    /// How many of `drawn`, taken without putting back out of `good` and `bad` ones, are good, int64.
    ///
    /// # Errors
    /// [`ArrayError::Random`] if more are drawn than there are, and for more than 1e9 of either; as [`Array::rechunk`] for
    /// `chunks`.
    pub fn hypergeometric(
        &mut self,
        good: u64,
        bad: u64,
        drawn: u64,
        shape: &[u64],
        chunks: &[Chunks],
    ) -> Result<Array, ArrayError> {
        let name = "hypergeometric";
        check(name, good.max(bad) <= POISSON_MEAN_MAX as u64, || {
            format!("{good} good and {bad} bad ones; there may be {POISSON_MEAN_MAX:e} of either")
        })?;
        check(name, drawn <= good + bad, || {
            format!("{drawn} cannot be drawn from {good} good and {bad} bad ones")
        })?;
        let (least, chances) = hypergeometric_chances(good as f64, bad as f64, drawn as f64);
        let ends = ends_of(&chances);
        let ends = Array::from_slice(&[ends.len() as u64], &[Chunks::Whole], &ends)?;
        let place = ends.searchsorted(&self.random(shape, chunks, DType::Float64)?, true)?;
        place.add(least as i64)
    }

    /// How many of `trials` come out as each of several kinds, int64, the kinds along a last axis of one chunk; the chance
    /// of the last kind is what the others leave. Each trial is drawn, so many of them take their time.
    ///
    /// # Errors
    /// [`ArrayError::Random`] for no kinds, or more than 1,024; for chances that are not within 0 and 1, or are more than 1
    /// together; for more than 1e9 trials; as [`Array::rechunk`] for `chunks`, which are those of `shape`.
    pub fn multinomial(
        &mut self,
        trials: u64,
        chances: &[f64],
        shape: &[u64],
        chunks: &[Chunks],
    ) -> Result<Array, ArrayError> {
        let name = "multinomial";
        check(name, (1..=KINDS_MAX).contains(&chances.len()), || {
            format!("{} kinds; there must be 1 to {KINDS_MAX}", chances.len())
        })?;
        check(name, trials <= POISSON_MEAN_MAX as u64, || {
            format!("{trials} trials; there may be {POISSON_MEAN_MAX:e}")
        })?;
        let is_chance = |p: &f64| (0.0..=1.0).contains(p);
        check(name, chances.iter().all(is_chance), || {
            "chances must be within 0 and 1".into()
        })?;
        let (_, others) = chances.split_last().expect("there is a kind");
        let sum: f64 = others.iter().sum();
        check(name, sum <= 1.0 + 1e-12, || {
            format!("chances of all kinds but the last add up to {sum}, which is more than 1")
        })?;
        let mut ends: Vec<f64> = others.to_vec();
        ends.push((1.0 - sum).max(0.0));
        let ends = Array::from_slice(&[ends.len() as u64], &[Chunks::Whole], &ends_of(&ends))?;
        let each = [shape, &[trials]].concat();
        let cut: Vec<Chunks> = chunks.iter().cloned().chain([Chunks::Auto]).collect();
        let kinds = ends.searchsorted(&self.random(&each, &cut, DType::Float64)?, true)?;
        let last = Over::axis(shape.len() as i64);
        let counts = (0..chances.len() as i64).map(|kind| kinds.equal(kind)?.sum(&last));
        let counts = stack(&counts.collect::<Result<Vec<_>, ArrayError>>()?, -1)?;
        let mut whole = vec![Chunks::Keep; shape.len()];
        whole.push(Chunks::Whole);
        counts.rechunk(&whole)
    }
}

/// The least number that has a chance worth a step of a float64, and the chances from it on, as parts of the greatest.
fn hypergeometric_chances(good: f64, bad: f64, drawn: f64) -> (f64, Vec<f64>) {
    let (least, most) = ((drawn - bad).max(0.0), drawn.min(good));
    let mode = ((drawn + 1.0) * (good + 1.0) / (good + bad + 2.0))
        .floor()
        .clamp(least, most);
    // How the chance of a number is to that of the one below it.
    let rise = |k: f64| (good - k + 1.0) * (drawn - k + 1.0) / (k * (bad - drawn + k));
    let mut chances = Vec::new();
    let (mut number, mut chance) = (mode, 1.0);
    while number > least && chance > CHANCE_MIN {
        chance /= rise(number);
        number -= 1.0;
        chances.push(chance);
    }
    chances.reverse();
    let first = number;
    chances.push(1.0);
    (number, chance) = (mode, 1.0);
    while number < most && chance > CHANCE_MIN {
        number += 1.0;
        chance *= rise(number);
        chances.push(chance);
    }
    (first, chances)
}

/// Where in `[0, 1]` each chance ends, all of them laid one after the other.
fn ends_of(chances: &[f64]) -> Vec<f64> {
    let sum: f64 = chances.iter().sum();
    let mut end = 0.0;
    let mut ends: Vec<f64> = chances
        .iter()
        .map(|chance| {
            end += chance;
            end / sum
        })
        .collect();
    if let Some(last) = ends.last_mut() {
        *last = 1.0;
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_are_those_of_counting() {
        // Of 5 good and 3 bad ones 4 are drawn: 1 to 4 good ones, in 5, 30, 30 and 5 of 70 ways.
        let (least, chances) = hypergeometric_chances(5.0, 3.0, 4.0);
        let sum: f64 = chances.iter().sum();
        let ways: Vec<f64> = chances.iter().map(|chance| chance / sum * 70.0).collect();
        assert_eq!(least, 1.0);
        assert!(
            ways.iter()
                .zip([5.0, 30.0, 30.0, 5.0])
                .all(|(a, b)| (a - b).abs() < 1e-9),
            "{ways:?}"
        );
    }

    #[test]
    fn what_is_certain_has_one_chance() {
        for (good, bad, drawn, want) in [
            (0.0, 5.0, 3.0, 0.0),
            (5.0, 0.0, 3.0, 3.0),
            (4.0, 4.0, 8.0, 4.0),
            (0.0, 0.0, 0.0, 0.0),
        ] {
            assert_eq!(hypergeometric_chances(good, bad, drawn), (want, vec![1.0]));
        }
    }

    #[test]
    fn large_ones_take_little_room() {
        let (_, chances) = hypergeometric_chances(1e9, 1e9, 1e9);
        assert!(chances.len() < 1 << 19, "{}", chances.len());
        assert!(chances.iter().all(|chance| chance.is_finite()));
    }
}
