/// Which blocks of a layer changed since somebody looked: one bit each.
#[derive(Debug)]
pub(super) struct Watch {
    words: Vec<u64>,
    block_count: u64,
}

impl Watch {
    /// Blocks that have all changed.
    pub(super) fn new(block_count: u64) -> Self {
        let words = usize::try_from(block_count.div_ceil(64)).expect("few enough blocks to look at each");
        let mut watch = Self {
            words: vec![0; words],
            block_count,
        };
        watch.all_changed();
        watch
    }

    pub(super) fn changed(&mut self, block: u64) {
        if block < self.block_count {
            self.words[(block / 64) as usize] |= 1 << (block % 64);
        }
    }

    pub(super) fn all_changed(&mut self) {
        self.words.fill(u64::MAX);
        let rest = self.block_count % 64;
        if rest > 0
            && let Some(last) = self.words.last_mut()
        {
            *last = (1 << rest) - 1;
        }
    }

    /// Takes changed blocks in order, from `from` on and round to it again, until `take` has enough. Returns the block
    /// that it had no room for.
    pub(super) fn drain(&mut self, from: u64, mut take: impl FnMut(u64) -> bool) -> Option<u64> {
        let count = self.words.len();
        let first = (from / 64) as usize;
        for at in (first..count).chain(0..first.min(count)) {
            while self.words[at] != 0 {
                let bit = self.words[at].trailing_zeros();
                let block = at as u64 * 64 + u64::from(bit);
                if !take(block) {
                    return Some(block);
                }
                self.words[at] &= self.words[at] - 1;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(watch: &mut Watch, from: u64, room: usize) -> (Vec<u64>, Option<u64>) {
        let mut seen = Vec::new();
        let rest = watch.drain(from, |block| {
            let has_room = seen.len() < room;
            if has_room {
                seen.push(block);
            }
            has_room
        });
        (seen, rest)
    }

    #[test]
    fn each_changed_block_is_taken_once() {
        let mut watch = Watch::new(70);
        assert_eq!(drained(&mut watch, 0, 100).0.len(), 70);
        for block in [3, 69, 64, 3, 70, 900] {
            watch.changed(block);
        }
        assert_eq!(drained(&mut watch, 0, 100), (vec![3, 64, 69], None));
        assert_eq!(drained(&mut watch, 0, 100), (vec![], None));
    }

    #[test]
    fn what_has_no_room_waits_for_its_turn() {
        let mut watch = Watch::new(200);
        let (first, rest) = drained(&mut watch, 0, 90);
        assert_eq!((first.len(), rest), (90, Some(90)));
        watch.changed(0);
        let (second, _) = drained(&mut watch, 90, 200);
        assert_eq!((second[0], second.len()), (90, 111));
        assert_eq!(*second.last().unwrap(), 0, "the blocks before come last");
    }
}
