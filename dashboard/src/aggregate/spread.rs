use super::scale::{quantised, value_of};

/// How times are spread: counts on the scale of `scale.rs`, so quantiles are off by a tenth at most. What is counted may
/// come in any order.
#[derive(Debug, Clone)]
pub(super) struct Spread {
    counts: Box<[u32; 256]>,
    total: u64,
    most: u64,
}

impl Default for Spread {
    fn default() -> Self {
        Self {
            counts: Box::new([0; 256]),
            total: 0,
            most: 0,
        }
    }
}

impl Spread {
    pub(super) fn count(&mut self, value: u64) {
        let step = usize::from(quantised(value));
        self.counts[step] = self.counts[step].saturating_add(1);
        self.total += 1;
        self.most = self.most.max(value);
    }

    /// The value that `share` of all stay at or below; 0 if there are none.
    pub(super) fn quantile(&self, share: f64) -> u64 {
        let wanted = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (step, count) in (0..=255).zip(self.counts.iter()) {
            seen += u64::from(*count);
            if seen >= wanted && *count > 0 {
                return value_of(step).min(self.most);
            }
        }
        self.most
    }

    /// The largest value.
    pub(super) fn most(&self) -> u64 {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_off_by_a_tenth_at_most() {
        let mut spread = Spread::default();
        assert_eq!((spread.quantile(0.5), spread.most()), (0, 0));
        (1..=10_000).rev().for_each(|value| spread.count(value * 13));
        for (share, exact) in [(0.05, 6_500.0), (0.5, 65_000.0), (0.95, 123_500.0)] {
            let ratio = spread.quantile(share) as f64 / exact;
            assert!((0.88..1.12).contains(&ratio), "{share}: {ratio}");
        }
        assert_eq!((spread.quantile(1.0), spread.most()), (spread.most(), 130_000));
        let mut one = Spread::default();
        one.count(1_000);
        assert!(one.quantile(0.5) <= 1_000 && one.quantile(0.5) > 890);
    }
}
