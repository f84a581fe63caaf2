//! Selection networks: fixed sequences of comparisons that bring wanted ranks to their places, without a branch.

use super::key::Key;
use crate::simd::{Kernel, dispatch};

/// One comparison of a network: afterwards the lesser value stands in row `low`, the greater in row `high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Comparison {
    low: usize,
    high: usize,
    writes: Writes,
}

/// Which of its two results later comparisons, or the wanted ranks, need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writes {
    Both,
    Low,
    High,
}

/// A network over some number of rows that brings certain ranks to their rows.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    comparisons: Vec<Comparison>,
}

impl Network {
    /// Batcher's odd-even merge sort (Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M) of `rows` rows,
    /// without what the wanted ranks do not need.
    pub(crate) fn new(rows: usize, is_wanted: impl Fn(usize) -> bool) -> Self {
        let mut pairs = Vec::new();
        let mut merged = 1;
        while merged < rows {
            let mut distance = merged;
            while distance > 0 {
                let starts = (distance % merged..rows - distance.min(rows)).step_by(2 * distance);
                for start in starts {
                    let run = start..start + distance.min(rows - distance - start);
                    let same = |&i: &usize| i / (2 * merged) == (i + distance) / (2 * merged);
                    pairs.extend(run.filter(same).map(|i| (i, i + distance)));
                }
                distance /= 2;
            }
            merged *= 2;
        }
        Self {
            comparisons: prune(rows, &pairs, is_wanted),
        }
    }

    /// Runs the network over rows of `LANES` columns each.
    pub(crate) fn run<K: Key, const LANES: usize>(&self, rows: &mut [[K; LANES]]) {
        dispatch(Sort {
            comparisons: &self.comparisons,
            rows,
        });
    }
}

/// Walks backwards and keeps what is needed.
fn prune(rows: usize, pairs: &[(usize, usize)], is_wanted: impl Fn(usize) -> bool) -> Vec<Comparison> {
    let mut is_needed: Vec<bool> = (0..rows).map(is_wanted).collect();
    let mut kept = Vec::new();
    for &(low, high) in pairs.iter().rev() {
        let writes = match (is_needed[low], is_needed[high]) {
            (true, true) => Writes::Both,
            (true, false) => Writes::Low,
            (false, true) => Writes::High,
            (false, false) => continue,
        };
        (is_needed[low], is_needed[high]) = (true, true);
        kept.push(Comparison { low, high, writes });
    }
    kept.reverse();
    kept
}

struct Sort<'a, K, const LANES: usize> {
    comparisons: &'a [Comparison],
    rows: &'a mut [[K; LANES]],
}

impl<K: Key, const LANES: usize> Kernel for Sort<'_, K, LANES> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for comparison in self.comparisons {
            let (below, above) = self.rows.split_at_mut(comparison.high);
            let (low, high) = (&mut below[comparison.low], &mut above[0]);
            match comparison.writes {
                Writes::Both => {
                    for lane in 0..LANES {
                        (low[lane], high[lane]) = K::in_order(low[lane], high[lane]);
                    }
                }
                Writes::Low => {
                    for lane in 0..LANES {
                        low[lane] = K::in_order(low[lane], high[lane]).0;
                    }
                }
                Writes::High => {
                    for lane in 0..LANES {
                        high[lane] = K::in_order(low[lane], high[lane]).1;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The zero-one principle: a network that sorts all sequences of 0 and 1 sorts everything.
    #[test]
    fn full_networks_sort_every_sequence_of_zeros_and_ones() {
        for rows in 0..=14 {
            let network = Network::new(rows, |_| true);
            for bits in 0..1u32 << rows {
                let mut values: Vec<[u8; 1]> = (0..rows).map(|k| [(bits >> k & 1) as u8]).collect();
                network.run(&mut values);
                assert!(values.is_sorted(), "{rows} rows, bits {bits:b}");
            }
        }
    }

    #[test]
    fn pruned_networks_bring_the_wanted_ranks_to_their_rows() {
        for rows in 1..=13usize {
            let middle = [(rows - 1) / 2, rows / 2];
            let network = Network::new(rows, |rank| middle.contains(&rank));
            for bits in 0..1u32 << rows {
                let mut values: Vec<[u8; 1]> = (0..rows).map(|k| [(bits >> k & 1) as u8]).collect();
                let zeros = rows - bits.count_ones() as usize;
                network.run(&mut values);
                for rank in middle {
                    assert_eq!(
                        values[rank][0],
                        u8::from(rank >= zeros),
                        "{rows} rows, bits {bits:b}"
                    );
                }
            }
        }
    }

    #[test]
    fn pruning_saves_comparisons() {
        let (all, middle) = (
            Network::new(24, |_| true),
            Network::new(24, |rank| rank == 11 || rank == 12),
        );
        assert!(middle.comparisons.len() < all.comparisons.len());
    }
}
