//! Hash tables that are the same in every run.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, DefaultHasher},
};

/// A hash table whose hasher draws no entropy. Not to be iterated where order matters.
pub(crate) type Table<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;
