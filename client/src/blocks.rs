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
}
