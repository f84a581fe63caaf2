//! `graticule why` against real processes.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::{process::Output, time::Instant};

use crate::support::{PATIENCE, Process, graticule, text};
use graticule_array::{Array, Chunks};
use graticule_client::{Client, RunOptions};
use graticule_plan::DType;
use serde_json::Value;

fn why(url: &str, subject: &str, more: &[&str]) -> Output {
    graticule(&["why", subject, "--cluster", url])
        .args(more)
        .output()
        .unwrap()
}

/// Asks until the answer is as wanted; each question is a process of its own, so this does not spin.
fn ask_until(url: &str, subject: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let output = why(url, subject, &["--json"]);
        assert!(
            begun.elapsed() < PATIENCE,
            "{} {}",
            text(&output.stdout),
            text(&output.stderr)
        );
        if let Ok(answer) = serde_json::from_slice(&output.stdout)
            && holds(&answer)
        {
            return answer;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_workers_says_so_and_a_worker_tells_what_it_did_later() {
    let (_scheduler, url) = Process::scheduler();
    let client = Client::connect(&url).await.unwrap();
    let x = Array::ones(&[8], &[Chunks::Size(1)], DType::Float32).unwrap();
    let kept = client.persist(&x).await.unwrap();
    let output = why(&url, "job-1", &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).contains("no worker is connected"),
        "{}",
        text(&output.stdout)
    );
    let _worker = Process::start(&["worker", "--scheduler", &url, "--name", "alice", "--slots", "1"]);
    kept.wait().await.unwrap();
    let answer = ask_until(&url, "job-1/layer-0/block-3", |answer| {
        answer["task"]["standing"]["state"] == "held"
    });
    assert_eq!(answer["ran"]["worker"], 1);
    assert_eq!(answer["story"].as_array().unwrap().len(), 2, "{answer}");
    for name in ["worker-1", "alice"] {
        let output = why(&url, name, &[]);
        let said = text(&output.stdout);
        assert!(
            said.contains("has nothing to do") && said.contains("holds 8 chunks"),
            "{said}"
        );
        assert!(
            said.contains("connected as alice") && said.contains("1/0/3: finished"),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_larger_than_memory_names_what_is_in_use() {
    let (_scheduler, url) = Process::scheduler();
    let _worker = Process::start(&["worker", "--scheduler", &url, "--slots", "1", "--memory", "72MiB"]);
    let client = Client::connect(&url).await.unwrap();
    let x = Array::ones(&[64 << 17], &[Chunks::Size(1 << 17)], DType::Float64).unwrap();
    // Nobody fetches what is there.
    let job = client.start(&[&x], &RunOptions::default()).await.unwrap();
    let answer = ask_until(&url, "1/0/63", |answer| {
        answer["task"]["standing"]["bound"] == "clients"
    });
    let standing = &answer["task"]["standing"];
    assert!(
        standing["in_use_bytes"].as_u64() >= standing["budget_bytes"].as_u64(),
        "{standing}"
    );
    let said = text(&why(&url, "1/0/63", &[]).stdout);
    assert!(said.contains("clients have not fetched"), "{said}");
    job.cancel().await;
}

#[test]
fn what_names_nothing_or_does_not_exist_says_what_would() {
    let (_scheduler, url) = Process::scheduler();
    let output = why(&url, "17", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("JOB/LAYER/BLOCK"),
        "{}",
        text(&output.stderr)
    );
    for (subject, part) in [
        ("9/0/0", "no job runs"),
        ("worker-5", "no worker is"),
        ("bob", "worker bob is not connected"),
    ] {
        let output = why(&url, subject, &[]);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(part), "{}", text(&output.stderr));
    }
}
