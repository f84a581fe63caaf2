//! A hasher for names that the scheduler gives: short rows of numbers that nobody chooses to collide.

use std::hash::{BuildHasherDefault, Hasher};

/// Makes hash maps use [`Mixer`].
pub(crate) type Mixed = BuildHasherDefault<Mixer>;

/// An odd number without a pattern in its bits: the golden ratio's.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Folds each number in by a product whose halves are put together, which a processor does in a few cycles.
#[derive(Debug, Default)]
pub(crate) struct Mixer(u64);

impl Mixer {
    fn fold(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number ^ FACTOR) * u128::from(FACTOR);
        self.0 = (product as u64) ^ ((product >> 64) as u64).rotate_left(23);
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.fold(u64::from_le_bytes(word));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.fold(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.fold(number);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, hash::BuildHasher};

    use graticule_plan::{ChunkId, JobId, LayerId};

    use super::*;

    #[test]
    fn names_that_follow_each_other_fall_evenly_into_both_ends_of_the_hash() {
        let hash = |block| {
            Mixed::default().hash_one(ChunkId {
                job: JobId(1_000_000),
                layer: LayerId(3),
                block,
            })
        };
        let hashes: Vec<u64> = (0..4096).map(hash).collect();
        assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), hashes.len());
        // Shards are chosen by the upper bits, buckets by the lower ones.
        for shift in [0, 50, 56] {
            let mut counts = [0; 256];
            hashes
                .iter()
                .for_each(|hash| counts[(hash >> shift) as usize % 256] += 1);
            let (least, most) = (counts.iter().min(), counts.iter().max());
            assert!(
                most < Some(&48) && least > Some(&1),
                "shift {shift}: {least:?} to {most:?} of 16"
            );
        }
    }
}
