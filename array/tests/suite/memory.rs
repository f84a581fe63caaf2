//! What plans of arrays take in memory, before they run.
#![allow(clippy::unwrap_used)]

use graticule_array::{Along, Array, Chunks, Index, LowerOptions, Lowered, Over, Wanted, lower};
use graticule_plan::DType;

/// A square of so many chunks along each side, of 64 x 64 numbers each. It is its own transpose.
fn square(side: u64) -> Array {
    let axis = Array::arange(0.0, (side * 64) as f64, 1.0, DType::Float64, Chunks::Size(64)).unwrap();
    let rows = axis.slice(&[Index::Full, Index::NewAxis]).unwrap();
    let columns = axis.slice(&[Index::NewAxis, Index::Full]).unwrap();
    rows.multiply(columns).unwrap()
}

fn lowered(array: &Array) -> Lowered {
    lower(&[(array, Wanted::Deliver)], &LowerOptions::default()).unwrap()
}

/// Programs whose memory does not grow with the data, or by its side alone.
fn programs(x: &Array) -> Vec<(&'static str, Array)> {
    let after = x.slice(&[Index::range(1, i64::MAX), Index::Full]).unwrap();
    let before = x.slice(&[Index::range(0, -1), Index::Full]).unwrap();
    vec![
        ("mean", x.mean(&Over::all()).unwrap()),
        ("difference", after.subtract(before).unwrap()),
    ]
}

#[test]
fn plans_too_large_to_walk_have_a_bound_that_is_not_far_from_the_walk() {
    for (name, program) in programs(&square(24)) {
        let plan = lowered(&program);
        let walked = plan.depth_first_bytes(1 << 20).unwrap();
        let bound = plan.depth_first_bytes_max().unwrap();
        assert!(walked <= bound && bound <= 3 * walked, "{name}: {walked} {bound}");
    }
    for (name, program) in programs(&square(10_000)) {
        let plan = lowered(&program);
        assert_eq!(plan.depth_first_bytes(200_000), None, "{name}");
        let bound = plan.depth_first_bytes_max().unwrap();
        let data = 10_000 * 10_000 * 64 * 64 * 8;
        assert!(bound < data / 500, "{name}: {bound} bytes of {data}");
    }
}

#[test]
fn of_a_running_sum_little_more_is_held_than_the_states_of_a_row_of_chunks() {
    let side = 24;
    for axis in [0, 1] {
        let sum = square(side).cumulative_sum(&Along::axis(axis)).unwrap();
        let walked = lowered(&sum).depth_first_bytes(1 << 20).unwrap();
        let data = side * side * 64 * 64 * 8;
        assert!(walked < data / 10, "axis {axis}: {walked} bytes of {data}");
    }
}
