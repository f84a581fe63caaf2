//! Which reports were heard already: one that comes twice counts once.

use std::collections::{BTreeMap, VecDeque};

/// Reports of one sender that are remembered.
const REPORT_COUNT_MAX: usize = 64;

/// The times of the latest reports of each sender.
#[derive(Debug)]
pub(crate) struct Reports<K> {
    heard: BTreeMap<K, VecDeque<u64>>,
}

impl<K> Default for Reports<K> {
    fn default() -> Self {
        Self {
            heard: BTreeMap::new(),
        }
    }
}

impl<K: Ord> Reports<K> {
    /// Whether what `sender` reports for this time is new.
    pub(crate) fn is_new(&mut self, sender: K, at_us: u64) -> bool {
        let times = self.heard.entry(sender).or_default();
        if times.contains(&at_us) {
            return false;
        }
        times.push_back(at_us);
        if times.len() > REPORT_COUNT_MAX {
            times.pop_front();
        }
        true
    }

    /// Forgets a sender.
    pub(crate) fn forget(&mut self, sender: &K) {
        self.heard.remove(sender);
    }
}
