//! Links that are cut while a job runs.

use std::{path::Path, process::Stdio};

use crate::support::{graticule, text};

const SMALL: &str = "stress cut --tasks 1000 --chunk 16 --workers 3 --cuts 3 --for 1s --every 300ms --links";

#[test]
fn a_job_ends_with_the_same_bytes_though_relays_hold_back_or_end_connections() {
    let output = graticule(&[])
        .args(SMALL.split(' '))
        .arg("relays")
        .output()
        .expect("the command starts");
    let (said, noted) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}\n{noted}");
    assert!(said.contains("runs with other bytes: 0"), "{said}");
}

/// Where namespaces cannot be made, the command says so and takes relays: this then tests them once more.
#[test]
fn a_job_ends_with_the_same_bytes_though_cables_between_network_namespaces_are_pulled() {
    let child = graticule(&[])
        .args(SMALL.split(' '))
        .arg("auto")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let hub = format!("/run/netns/graticule-{}-hub", child.id());
    let output = child.wait_with_output().expect("the command ends");
    let (said, noted) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}\n{noted}");
    assert!(said.contains("runs with other bytes: 0"), "{said}");
    let is_instead = noted.contains("no network namespaces, relays instead: ");
    assert_ne!(
        is_instead,
        said.contains("network namespaces: "),
        "{said}\n{noted}"
    );
    assert!(!Path::new(&hub).exists(), "{hub} is left");
    println!("{noted}");
}
