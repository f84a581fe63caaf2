//! Each rewrite alone, and all of them, leave every value as plain evaluation makes it.

use graticule_array::rewrite::{REWRITES, Rewrites};
use proptest::prelude::*;

use crate::{
    compare::{results, same},
    compose::{Case, Value, config},
    inputs::{Random, Values},
};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn each_rewrite_changes_no_value(seed in any::<u64>(), steps in prop::collection::vec(any::<u64>(), 1..14)) {
        let mut case = Case::start(&mut Random::new(seed), Values::Wild);
        steps.into_iter().for_each(|step| case.step(&mut Random::new(step)));
        // Several results share parts of one expression.
        let wanted: Vec<&Value> = case.values.iter().rev().take(3).collect();
        let arrays: Vec<_> = wanted.iter().map(|value| &value.array).collect();
        let plain = results(&arrays, Rewrites::None);
        let one_by_one = REWRITES.iter().map(|rewrite| (rewrite.name, Rewrites::Only(vec![rewrite.name])));
        for (name, rewrites) in one_by_one.chain([("all of them", Rewrites::All)]) {
            let explained = || format!("{name}: {}", wanted.iter().map(|v| &v.python[..]).collect::<Vec<_>>().join("; "));
            match (&plain, results(&arrays, rewrites)) {
                (Ok(plain), Ok(rewritten)) => {
                    for (a, b) in plain.iter().zip(&rewritten) {
                        same(a, b).map_err(|why| TestCaseError::fail(format!("{}: {why}", explained())))?;
                    }
                }
                (Err(_), Err(_)) => {}
                (plain, rewritten) => {
                    return Err(TestCaseError::fail(format!("{}: {plain:?} but {rewritten:?}", explained())));
                }
            }
        }
    }
}
