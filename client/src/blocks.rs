use std::ops::Range;

/// A set of block positions: a bit each, as far as the largest that is in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct BlockSet {
    words: Vec<u64>,
}

impl BlockSet {
    pub(crate) fn insert(&mut self, block: u64) {
        let (word, bit) = place(block);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= bit;
    }

    pub(crate) fn contains(&self, block: u64) -> bool {
        let (word, bit) = place(block);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// The blocks, as ranges that neither overlap nor touch.
    pub(crate) fn ranges(&self) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for (first, &word) in (0_u64..).step_by(64).zip(&self.words) {
            let mut bits = word;
            while bits != 0 {
                let start = u64::from(bits.trailing_zeros());
                let len = u64::from((!(bits >> start)).trailing_zeros());
                bits &= u64::MAX.checked_shl((start + len) as u32).unwrap_or(0);
                let (start, end) = (first + start, first + start + len);
                match ranges.last_mut() {
                    Some(last) if last.end == start => last.end = end,
                    _ => ranges.push(start..end),
                }
            }
        }
        ranges
    }
}

fn place(block: u64) -> (usize, u64) {
    let word = usize::try_from(block / 64).expect("blocks of a result that fits here are indexed in memory");
    (word, 1 << (block % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        let mut set = BlockSet::default();
        [0, 63, 64, 1000].into_iter().for_each(|block| set.insert(block));
        let found: Vec<u64> = (0..2000).filter(|&block| set.contains(block)).collect();
        assert_eq!(found, [0, 63, 64, 1000]);
    }

    #[test]
    fn ranges_name_every_block_once_also_across_words() {
        for blocks in [
            vec![],
            vec![0],
            vec![63, 64],
            (0..64).collect(),
            (0..200).collect(),
            (60..70).chain(127..129).chain([500, 502]).collect::<Vec<u64>>(),
        ] {
            let mut set = BlockSet::default();
            blocks.iter().for_each(|&block| set.insert(block));
            let ranges = set.ranges();
            assert!(
                ranges.windows(2).all(|pair| pair[0].end < pair[1].start),
                "{ranges:?}"
            );
            assert_eq!(ranges.into_iter().flatten().collect::<Vec<u64>>(), blocks);
        }
    }
}
