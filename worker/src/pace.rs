//! Where a task computes: on its slot's thread, or with the actor if handing it over would take longer than to do it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use graticule_plan::{JobId, LayerId};

/// What it costs to hand a task to a thread and its result back: tasks of at most so long stay with the actor.
const HAND_OVER: Duration = Duration::from_micros(10);
/// Tasks of a layer that are measured on threads before any of them stays.
const MEASURED_COUNT_MIN: u32 = 8;
/// Of so many tasks the mean is kept: later ones count as much as this many before them.
const MEASURED_COUNT_MAX: u32 = 64;
/// Layers that are remembered; beyond, all are measured anew.
const LAYER_COUNT_MAX: usize = 1024;

/// How long the tasks of each layer compute.
#[derive(Debug, Default)]
pub(crate) struct Paces {
    layers: BTreeMap<(JobId, LayerId), Pace>,
}

#[derive(Debug, Default)]
struct Pace {
    count: u32,
    mean: Duration,
}

impl Paces {
    /// Whether a task of the layer computes in less time than it takes to hand it over.
    pub(crate) fn stays(&self, layer: (JobId, LayerId)) -> bool {
        let pace = self.layers.get(&layer);
        pace.is_some_and(|pace| pace.count >= MEASURED_COUNT_MIN && pace.mean <= HAND_OVER)
    }

    /// Takes note of how long a task computed.
    pub(crate) fn add(&mut self, layer: (JobId, LayerId), took: Duration) {
        if self.layers.len() >= LAYER_COUNT_MAX && !self.layers.contains_key(&layer) {
            self.layers.clear();
        }
        let pace = self.layers.entry(layer).or_default();
        pace.count = (pace.count + 1).min(MEASURED_COUNT_MAX);
        pace.mean = (pace.mean * (pace.count - 1) + took) / pace.count;
    }

    /// Forgets all layers: those of another scheduler have the same names.
    pub(crate) fn clear(&mut self) {
        self.layers.clear();
    }
}

/// A value, and how long it took to make it.
pub(crate) fn timed<T>(make: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let made = make();
    (made, begin.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYER: (JobId, LayerId) = (JobId(1), LayerId(2));

    fn measured(us: &[u64]) -> Paces {
        let mut paces = Paces::default();
        us.iter()
            .for_each(|&us| paces.add(LAYER, Duration::from_micros(us)));
        paces
    }

    #[test]
    fn tasks_stay_once_several_of_their_layer_were_shorter_than_a_hand_over() {
        assert!(!measured(&[]).stays(LAYER));
        assert!(!measured(&[1; 7]).stays(LAYER));
        assert!(measured(&[1; 8]).stays(LAYER));
        assert!(!measured(&[1; 8]).stays((JobId(1), LayerId(3))));
        assert!(!measured(&[50; 8]).stays(LAYER));
    }

    #[test]
    fn a_layer_whose_tasks_become_long_goes_to_the_threads() {
        let mut paces = measured(&[1; 1000]);
        paces.add(LAYER, Duration::from_millis(1));
        assert!(!paces.stays(LAYER));
    }
}
