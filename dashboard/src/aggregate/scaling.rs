//! How many workers were wanted and why, and those that were started and never joined.

use std::{collections::BTreeMap, sync::Arc};

use super::{clip, clip_message};
use crate::ScaleDecision;

/// Decisions that are kept.
pub const DECISION_COUNT_MAX: usize = 200;

/// Starts of workers that are kept.
pub const START_COUNT_MAX: usize = 512;

/// What was told of the number of workers.
///
/// Sets by time and by name, so it is the same in whatever order, and however often, the records come.
#[derive(Debug, Default)]
pub(super) struct Scaling {
    /// By time, those that did something or wanted another number than the one before.
    decisions: BTreeMap<u64, ScaleDecision>,
    /// The latest that was told, whether it is among them or not.
    latest: Option<(u64, ScaleDecision)>,
    starts: BTreeMap<Arc<str>, Start>,
}

/// A worker that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Start {
    /// When; `None` if only its end was told.
    pub(super) at_us: Option<u64>,
    /// When and why it ended before it joined.
    pub(super) failed: Option<(u64, Arc<str>)>,
}

impl Scaling {
    pub(super) fn decide(&mut self, at_us: u64, decision: ScaleDecision) {
        let decision = ScaleDecision {
            reason: clip_message(&decision.reason),
            ..decision
        };
        if self
            .latest
            .as_ref()
            .is_none_or(|(latest_us, known)| (*latest_us, known) < (at_us, &decision))
        {
            self.latest = Some((at_us, decision.clone()));
        }
        let known = self.decisions.entry(at_us).or_insert_with(|| decision.clone());
        if *known < decision {
            *known = decision;
        }
        self.thin();
    }

    /// Of neighbours that want the same and do nothing, the first tells since when; beyond the limit the oldest go.
    fn thin(&mut self) {
        if self.decisions.len() <= DECISION_COUNT_MAX {
            return;
        }
        let mut before: Option<ScaleDecision> = None;
        self.decisions.retain(|_, it| {
            let is_kept = before.as_ref().is_none_or(|before| it.is_news_after(before));
            before = Some(it.clone());
            is_kept
        });
        while self.decisions.len() > DECISION_COUNT_MAX {
            self.decisions.pop_first();
        }
    }

    pub(super) fn starting(&mut self, at_us: u64, name: &str) {
        let start = self.start_of(name);
        start.at_us = Some(start.at_us.map_or(at_us, |known| known.min(at_us)));
    }

    pub(super) fn start_failed(&mut self, at_us: u64, name: &str, why: &str) {
        let told = (at_us, clip_message(why));
        let start = self.start_of(name);
        if start.failed.as_ref().is_none_or(|known| told < *known) {
            start.failed = Some(told);
        }
    }

    fn start_of(&mut self, name: &str) -> &mut Start {
        let name = clip(name);
        if !self.starts.contains_key(&name) && self.starts.len() >= START_COUNT_MAX {
            let oldest = self.starts.iter().min_by_key(|(name, it)| (it.at_us, *name));
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                self.starts.remove(&oldest);
            }
        }
        let unheard = Start {
            at_us: None,
            failed: None,
        };
        self.starts.entry(name).or_insert(unheard)
    }

    /// The decisions that did something or wanted another number than the one before, oldest first.
    pub(super) fn decisions(&self) -> impl Iterator<Item = (u64, &ScaleDecision)> {
        let mut before: Option<&ScaleDecision> = None;
        self.decisions.iter().filter_map(move |(at_us, it)| {
            let is_kept = before.is_none_or(|before| it.is_news_after(before));
            before = Some(it);
            is_kept.then_some((*at_us, it))
        })
    }

    pub(super) fn latest(&self) -> Option<&(u64, ScaleDecision)> {
        self.latest.as_ref()
    }

    pub(super) fn starts(&self) -> impl Iterator<Item = (&Arc<str>, &Start)> {
        self.starts.iter()
    }

    pub(super) fn started_us(&self, name: &str) -> Option<u64> {
        self.starts.get(name)?.at_us
    }
}

impl ScaleDecision {
    /// Whether it does something, or wants another number than the one before it.
    pub(crate) fn is_news_after(&self, before: &Self) -> bool {
        let acts = self.start > 0 || self.stay > 0 || self.retire > 0;
        acts || (self.wanted, self.min, self.max) != (before.wanted, before.min, before.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(wanted: u32, start: u32) -> ScaleDecision {
        ScaleDecision {
            wanted,
            min: 1,
            max: 9,
            start,
            stay: 0,
            retire: 0,
            reason: format!("{wanted} needed").into(),
        }
    }

    #[test]
    fn of_decisions_that_change_nothing_the_first_is_kept() {
        let mut scaling = Scaling::default();
        for second in 0..2_000 {
            let wanted = if second < 1_500 { 2 } else { 3 };
            scaling.decide(second, decision(wanted, u32::from(second == 1_500)));
        }
        scaling.decide(5, decision(2, 0));
        let kept: Vec<_> = scaling
            .decisions()
            .map(|(at_us, it)| (at_us, it.wanted))
            .collect();
        assert_eq!(kept[0].1, 2);
        assert!(kept.contains(&(1_500, 3)), "{kept:?}");
        assert!(kept.len() <= 3, "{kept:?}");
        assert_eq!(scaling.latest().expect("told").0, 1_999);
        assert!(scaling.decisions.len() <= DECISION_COUNT_MAX);
    }

    #[test]
    fn starts_are_bounded_and_tell_how_they_failed() {
        let mut scaling = Scaling::default();
        scaling.start_failed(9, "a", "exit code 1");
        scaling.starting(3, "a");
        scaling.starting(4, "a");
        assert_eq!(scaling.started_us("a"), Some(3));
        assert_eq!(
            scaling.starts().next().expect("one").1.failed,
            Some((9, "exit code 1".into()))
        );
        for n in 0..2_000u64 {
            scaling.starting(10 + n, &format!("w-{n}"));
        }
        assert_eq!(scaling.starts().count(), START_COUNT_MAX);
        assert_eq!(scaling.started_us("w-1999"), Some(2_009));
    }
}
