//! Plans of large geospatial programs: soon made, within their clusters' memory, and of few tasks.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // A test's helpers fail as tests do; the example prints its table.

#[path = "../../examples/shapes.rs"]
mod example;

use example::SHAPES;

/// Programs that give as many arrays as Dask has stored chunks, or more: fewer tasks would be larger ones.
const MANY_RESULTS: [&str; 2] = ["regridding", "cloud-optimize"];

#[test]
fn large_programs_are_planned_within_a_second_and_fit_their_workers() {
    for shape in SHAPES {
        let planned = shape.plan().unwrap();
        let limit = if cfg!(debug_assertions) { 20.0 } else { 1.0 };
        assert!(
            planned.seconds < limit,
            "{} takes {} s",
            shape.name,
            planned.seconds
        );
        // Four slots of a worker of 16 GiB, each with the widest task.
        assert!(
            planned.task_bytes < 4 << 30,
            "{}: {} bytes",
            shape.name,
            planned.task_bytes
        );
    }
}

#[test]
fn large_programs_have_a_tenth_of_the_tasks_that_dask_has() {
    for shape in SHAPES.iter().filter(|shape| !MANY_RESULTS.contains(&shape.name)) {
        let tasks = shape.plan().unwrap().lowered.plan.task_count();
        assert!(10 * tasks <= shape.dask_tasks, "{}: {tasks} tasks", shape.name);
    }
}

#[test]
fn an_eulerian_mean_reads_each_variable_once_and_does_all_with_it_in_that_task() {
    let shape = SHAPES.iter().find(|shape| shape.name == "circulation").unwrap();
    let plan = shape.plan().unwrap().lowered.plan;
    let reads = plan
        .layers()
        .iter()
        .filter(|layer| layer.source_bytes > 0)
        .count();
    assert_eq!(reads, 1);
}
