//! In which order the arrays of a sum of products are taken together, two at a time.

use std::collections::BTreeMap;

use crate::einsum::Label;

/// Of so many arrays at most all orders are compared; of more the cheapest pair goes first each time.
const COMPARED_MAX: usize = 8;

/// How arrays come together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Together {
    /// One of the arrays.
    One(usize),
    /// Two products of others.
    Two(Box<Together>, Box<Together>),
}

impl Together {
    fn two(first: Self, second: Self) -> Self {
        Self::Two(Box::new(first), Box::new(second))
    }

    /// The arrays in it.
    pub(crate) fn members(&self) -> Vec<usize> {
        match self {
            Self::One(array) => vec![*array],
            Self::Two(first, second) => [first.members(), second.members()].concat(),
        }
    }
}

/// The labels of arrays, how long their axes are, and which of them the result has.
pub(crate) struct Terms<'a> {
    pub(crate) labels: Vec<&'a [Label]>,
    pub(crate) lens: &'a BTreeMap<Label, u64>,
    pub(crate) wanted: &'a [Label],
}

impl Terms<'_> {
    /// The order with the fewest products of elements; from left to right where none has fewer.
    pub(crate) fn order(&self) -> Together {
        let left_to_right = (1..self.labels.len()).fold(Together::One(0), |before, next| {
            Together::two(before, Together::One(next))
        });
        let best = match self.labels.len() {
            0..=2 => return left_to_right,
            count if count <= COMPARED_MAX => self.cheapest(count),
            _ => self.cheapest_pairs(),
        };
        match self.products(&best) < self.products(&left_to_right) {
            true => best,
            false => left_to_right,
        }
    }

    /// Compares all orders, set by set.
    fn cheapest(&self, count: usize) -> Together {
        let mut best: Vec<Option<(f64, Together)>> = vec![None; 1 << count];
        for set in 1_usize..1 << count {
            if set.is_power_of_two() {
                best[set] = Some((0.0, Together::One(set.trailing_zeros() as usize)));
                continue;
            }
            // Each split once: the part that has the set's first array comes first.
            let first_bit = set & set.wrapping_neg();
            let mut part = (set - 1) & set;
            while part > 0 {
                if part & first_bit != 0 {
                    let rest = set ^ part;
                    let ((a, first), (b, second)) = (found(&best, part), found(&best, rest));
                    let cost = a + b + self.of_pair(part, rest);
                    if best[set].as_ref().is_none_or(|(known, _)| cost < *known) {
                        best[set] = Some((cost, Together::two(first.clone(), second.clone())));
                    }
                }
                part = (part - 1) & set;
            }
        }
        found(&best, (1 << count) - 1).1.clone()
    }

    fn cheapest_pairs(&self) -> Together {
        let mut left: Vec<Together> = (0..self.labels.len()).map(Together::One).collect();
        while left.len() > 1 {
            let mut best = (f64::INFINITY, 0, 1);
            for second in 1..left.len() {
                for first in 0..second {
                    let cost = self.products_of(&left[first], &left[second]);
                    if cost < best.0 {
                        best = (cost, first, second);
                    }
                }
            }
            let second = left.remove(best.2);
            let first = left.remove(best.1);
            left.insert(best.1, Together::two(first, second));
        }
        left.remove(0)
    }

    /// Products of elements in all.
    fn products(&self, order: &Together) -> f64 {
        match order {
            Together::One(_) => 0.0,
            Together::Two(first, second) => {
                self.products(first) + self.products(second) + self.products_of(first, second)
            }
        }
    }

    fn products_of(&self, first: &Together, second: &Together) -> f64 {
        let labels = [
            self.left(|array| first.members().contains(&array)),
            self.left(|array| second.members().contains(&array)),
        ];
        self.elements(labels)
    }

    fn of_pair(&self, first: usize, second: usize) -> f64 {
        self.elements([first, second].map(|set| self.left(|array| set >> array & 1 == 1)))
    }

    /// The labels that a product of some arrays has left: those that others, or the result, have too.
    fn left(&self, is_in: impl Fn(usize) -> bool) -> Vec<Label> {
        let arrays = self.labels.iter().enumerate();
        let (inside, outside): (Vec<_>, Vec<_>) = arrays.partition(|(array, _)| is_in(*array));
        let has = |label: &Label| outside.iter().any(|(_, labels)| labels.contains(label));
        let inside = inside.iter().flat_map(|(_, labels)| labels.iter().copied());
        inside
            .filter(|label| self.wanted.contains(label) || has(label))
            .collect()
    }

    fn elements(&self, labels: [Vec<Label>; 2]) -> f64 {
        let mut all = labels.concat();
        all.sort_unstable();
        all.dedup();
        all.iter().map(|label| self.lens[label] as f64).product()
    }
}

/// What is known of a set of arrays that was looked at before.
fn found(best: &[Option<(f64, Together)>], set: usize) -> (f64, &Together) {
    let (cost, order) = best[set].as_ref().expect("smaller sets come first");
    (*cost, order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(terms: &[&[Label]], wanted: &[Label], lens: &[u64]) -> String {
        let lens = (0..).zip(lens.iter().copied()).collect();
        let labels = terms.to_vec();
        let terms = Terms {
            labels,
            lens: &lens,
            wanted,
        };
        shown(&terms.order())
    }

    fn shown(order: &Together) -> String {
        match order {
            Together::One(array) => array.to_string(),
            Together::Two(first, second) => format!("({} {})", shown(first), shown(second)),
        }
    }

    #[test]
    fn a_chain_of_matrices_begins_where_it_is_narrow() {
        let chain: [&[Label]; 3] = [&[0, 1], &[1, 2], &[2, 3]];
        assert_eq!(order(&chain, &[0, 3], &[1000, 1000, 1000, 1]), "(0 (1 2))");
        assert_eq!(order(&chain, &[0, 3], &[1, 1000, 1000, 1000]), "((0 1) 2)");
        assert_eq!(order(&chain, &[0, 3], &[10, 10, 10, 10]), "((0 1) 2)");
    }

    #[test]
    fn many_arrays_go_by_the_cheapest_pair() {
        let chain: Vec<Vec<Label>> = (0..10).map(|at| vec![at, at + 1]).collect();
        let chain: Vec<&[Label]> = chain.iter().map(Vec::as_slice).collect();
        let mut lens = vec![50; 11];
        lens[10] = 1;
        let found = order(&chain, &[0, 10], &lens);
        assert_eq!(found, "(0 (1 (2 (3 (4 (5 (6 (7 (8 9)))))))))");
    }

    #[test]
    fn arrays_with_nothing_in_common_wait_until_they_are_needed() {
        // An outer product of the first two would have a million elements for each of the third.
        let terms: [&[Label]; 3] = [&[0], &[1], &[0, 1]];
        assert_eq!(order(&terms, &[], &[1000, 1000]), "((0 2) 1)");
    }
}
