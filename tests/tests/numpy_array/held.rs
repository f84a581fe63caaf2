//! Expressions over results that the cluster holds.

use std::collections::BTreeMap;

use graticule_array::{Array, LowerOptions, Wanted, lower};
use graticule_plan::Key;
use graticule_tests::evaluate::{HeldArray, evaluate_with_functions};
use proptest::prelude::*;

use crate::{
    blocks::functions,
    compare::{result, same},
    compose::{Case, Value, config},
    inputs::{Random, Values},
};
use graticule_array::rewrite::Rewrites;

proptest! {
    #![proptest_config(config())]

    /// Whether an expression starts from a persisted array or from what that is made of makes no difference.
    #[test]
    fn held_arrays_take_the_place_of_what_they_are(
        seed in any::<u64>(),
        before in prop::collection::vec(any::<u64>(), 0..4),
        after in prop::collection::vec(any::<u64>(), 1..8),
    ) {
        let mut case = Case::start(&mut Random::new(seed), Values::Wild);
        before.into_iter().for_each(|step| case.step(&mut Random::new(step)));
        let kept = case.last().array.clone();
        let Ok(tensor) = result(&kept, Rewrites::All) else { return Ok(()) };
        let lowered = lower(&[(&kept, Wanted::Keep(Key(1)))], &LowerOptions::default()).unwrap();
        let grid = &lowered.outputs[0].grid;
        let held = BTreeMap::from([(Key(1), HeldArray::cut(&tensor, grid))]);

        let from = |array: Array, steps: &[u64]| {
            let mut case = Case { inputs: Vec::new(), values: vec![Value { array, python: "x".into() }] };
            steps.iter().for_each(|step| case.step(&mut Random::new(*step)));
            case.last().array.clone()
        };
        let direct = from(kept.clone(), &after);
        let indirect = from(Array::held(Key(1), grid, kept.dtype()), &after);
        prop_assert_eq!(direct.chunks(), indirect.chunks());
        let lowered = lower(&[(&indirect, Wanted::Deliver)], &LowerOptions::default()).unwrap();
        match (result(&direct, Rewrites::All), evaluate_with_functions(&lowered.plan, &held, &functions())) {
            (Ok(a), Ok(b)) => same(&a, &b[0])
                .map_err(|why| TestCaseError::fail(format!("{why}\n{}", lowered.explain())))?,
            (Err(_), Err(_)) => {}
            (a, b) => return Err(TestCaseError::fail(format!("{a:?} but {b:?}\n{}", lowered.explain()))),
        }
    }
}
