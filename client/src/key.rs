use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
};

use graticule_plan::Key;

/// Draws the name of a kept result: 128 bits that nobody else draws.
///
/// The standard library seeds each process' hashers from the system's entropy; time and process go in so that a
/// process that was cloned with its memory draws other names than its twin.
pub(crate) fn draw() -> Key {
    let time = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    let half = || {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u128(time);
        hasher.write_u32(std::process::id());
        u128::from(hasher.finish())
    };
    Key(half() << 64 | half())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_are_never_drawn_twice() {
        let keys: BTreeSet<Key> = (0..10_000).map(|_| draw()).collect();
        assert_eq!(keys.len(), 10_000);
        // Both halves vary.
        assert!(keys.iter().map(|key| key.0 >> 64).collect::<BTreeSet<_>>().len() > 9_990);
        assert!(keys.iter().map(|key| key.0 as u64).collect::<BTreeSet<_>>().len() > 9_990);
    }
}
