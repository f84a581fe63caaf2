//! Links that are cut while a job runs.

mod support;

use support::{graticule, text};

#[test]
fn a_job_ends_with_the_same_bytes_though_links_are_cut() {
    let arguments = "stress cut --tasks 3000 --chunk 16 --workers 3 --cuts 4 --for 1s --every 400ms";
    let output = graticule(&[])
        .args(arguments.split(' '))
        .output()
        .expect("the command starts");
    let (said, noted) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}\n{noted}");
    assert!(said.contains("runs with other bytes: 0"), "{said}");
}
