//! What the command says to arguments that make no sense: at once, and before anything is written.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use crate::support::{Process, graticule, sample};

/// Checks that a command fails and says why.
fn assert_refused(arguments: &[&str], code: i32, parts: &[&str]) {
    let output = graticule(arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    for part in parts {
        assert!(said.contains(part), "{arguments:?} should say {part:?}: {said}");
    }
    assert!(output.stdout.is_empty());
}

fn items() -> String {
    sample("s2-slovenia/items.json").to_str().unwrap().to_owned()
}

#[test]
fn values_that_are_none_name_their_flag_and_an_example() {
    let mosaic = |flag: &str, value: &str, part: &str| {
        let arguments = [
            "mosaic",
            "items.json",
            "--assets",
            "red",
            "--out",
            "x",
            flag,
            value,
        ];
        assert_refused(&arguments, 2, &[flag, part]);
    };
    mosaic("--mask", "qa", "ASSET:bits=0,4");
    mosaic("--bbox", "1,2,3", "W,S,E,N");
    mosaic("--bbox", "-74,42,-73,41", "southern edge");
    mosaic("--datetime", "yesterday", "RFC 3339");
    mosaic("--query", "cloudy", "eo:cloud_cover<40");
    mosaic("--groupby", "week", "solar_day");
    mosaic("--reduce", "mode", "median");
    mosaic("--by", "week", "year-month");
    mosaic("--on-error", "ignore", "skip-item");
    mosaic("--no-worker-timeout", "soon", "90s");
    mosaic("--memory", "lots", "4GiB");
    assert_refused(&["worker", "--slots", "0"], 2, &["--slots"]);
    assert_refused(&["scheduler", "--listen", "here"], 2, &["--listen"]);
    assert_refused(&["mosaic", "items.json", "--out", "x"], 2, &["--assets"]);
}

#[test]
fn addresses_off_this_machine_are_refused() {
    let loopback = "no TLS and no tokens";
    assert_refused(
        &["scheduler", "--listen", "0.0.0.0:0", "--no-dashboard"],
        1,
        &["0.0.0.0", loopback],
    );
    assert_refused(&["worker", "--listen", "0.0.0.0:0"], 1, &["0.0.0.0", loopback]);
}

#[test]
fn a_worker_refuses_what_is_no_schedulers_address() {
    assert_refused(
        &["worker", "--scheduler", "localhost"],
        1,
        &["localhost", "grpc://host:port"],
    );
}

#[test]
fn a_scheduler_that_does_not_answer_is_named() {
    let arguments = ["info", "--cluster", "grpc://127.0.0.1:9"];
    assert_refused(&arguments, 1, &["grpc://127.0.0.1:9", "graticule scheduler"]);
}

#[test]
fn a_mosaic_finds_its_faults_before_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let out = out.to_str().unwrap();
    let items = items();
    let refused = |more: &[&str], parts: &[&str]| {
        let mut arguments = vec!["mosaic", &items, "--out", out];
        arguments.extend(more);
        assert_refused(&arguments, 1, parts);
        assert_eq!(std::fs::read_dir(out).unwrap().count(), 0, "nothing is written");
    };
    refused(&["--assets", "red"], &["red", "ndvi", "cloud_mask"]);
    refused(
        &["--assets", "ndvi", "--mask", "qa:bits=1"],
        &["--mask qa", "cloud_mask"],
    );
    refused(
        &["--assets", "ndvi", "--mask", "cloud_mask:bits=9"],
        &["bit 9", "uint8"],
    );
    refused(
        &["--assets", "ndvi", "--mask", "cloud_mask:values=300"],
        &["300", "uint8"],
    );
    refused(&["--assets", "ndvi", "--datetime", "1999"], &["datetime"]);
    refused(&["--assets", "ndvi", "--bbox", "0,0,1,1"], &["bbox"]);
    let nowhere = ["--assets", "ndvi", "--cluster", "grpc://127.0.0.1:9"];
    refused(&nowhere, &["grpc://127.0.0.1:9"]);
}

#[test]
fn an_output_folder_that_cannot_be_is_found_first() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let out = file.join("out");
    let out = out.to_str().unwrap();
    // The items are not there either: the folder is looked at before.
    assert_refused(
        &["mosaic", "nowhere.json", "--assets", "a", "--out", out],
        1,
        &["output folder", out],
    );
}

#[test]
fn items_that_are_not_there_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (items, out) = (folder.path().join("items.json"), folder.path().join("out"));
    let (items, out) = (items.to_str().unwrap(), out.to_str().unwrap());
    assert_refused(
        &["mosaic", items, "--assets", "a", "--out", out],
        1,
        &["items.json"],
    );
    std::fs::write(items, b"{").unwrap();
    assert_refused(
        &["mosaic", items, "--assets", "a", "--out", out],
        1,
        &["items.json", "JSON"],
    );
}

#[test]
fn the_demonstration_says_where_it_looked_for_its_data() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let arguments = ["demo", "--no-dashboard", "--out", data, "--data", data];
    assert_refused(&arguments, 1, &["items.json"]);
}

#[test]
fn a_worker_of_hardly_any_memory_says_how_much_it_should_have() {
    let arguments = ["worker", "--scheduler", "grpc://127.0.0.1:9", "--memory", "40MiB"];
    let mut worker = Process::spawn(graticule(&arguments).stderr(Stdio::piped()));
    let said = BufReader::new(worker.0.stderr.take().unwrap()).lines();
    let note = said.map(Result::unwrap).find(|line| line.contains("--memory"));
    assert!(note.unwrap().contains("give it --memory 85.3 MiB or more"));
}
