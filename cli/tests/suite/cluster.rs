//! Clusters of real processes: the same bytes as the embedded cluster, also when a worker is killed.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Instant,
};

use crate::support::{PATIENCE, Process, graticule, sample, text};
use serde_json::Value;

/// A scheduler and workers, each a process.
struct Cluster {
    url: String,
    workers: Vec<Process>,
    _scheduler: Process,
}

impl Cluster {
    fn start(worker_count: usize) -> Self {
        let addresses = ["--listen", "127.0.0.1:0", "--dashboard", "127.0.0.1:0"];
        let mut scheduler = Process::spawn(graticule(&["scheduler"]).args(addresses));
        let url = scheduler.scheduler_url();
        let mut cluster = Self {
            url,
            workers: Vec::new(),
            _scheduler: scheduler,
        };
        (0..worker_count).for_each(|_| cluster.add_worker());
        cluster.wait_for(|info| info["workers"].as_array().unwrap().len() == worker_count);
        cluster
    }

    fn add_worker(&mut self) {
        let arguments = ["worker", "--scheduler", &self.url, "--slots", "1"];
        self.workers.push(Process::start(&arguments));
    }

    fn info(&self) -> Value {
        let output = graticule(&["info", "--cluster", &self.url, "--json"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Asks until `holds`; each question is a process of its own, so this does not spin.
    fn wait_for(&self, holds: impl Fn(&Value) -> bool) {
        let begin = Instant::now();
        while !holds(&self.info()) {
            assert!(begin.elapsed() < PATIENCE, "{}", self.info());
        }
    }
}

/// `graticule mosaic` of the sample scenes in small tiles, so that there is something to interrupt.
fn mosaic(out: &Path, more: &[&str]) -> Command {
    let items = sample("landsat8-ny/items.json");
    let mut command = graticule(&[
        "mosaic",
        items.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
        "--quiet",
    ]);
    let what = "--assets red,green,blue --mask qa:bits=0,4 --resolution 3000 --groupby solar_day --by month --tile 16";
    command.args(what.split(' ')).args(more);
    command
}

fn finish(process: Child) -> Output {
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    output
}

/// All files of a folder by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            (
                path.file_name().unwrap().to_str().unwrap().into(),
                std::fs::read(&path).unwrap(),
            )
        })
        .collect()
}

fn embedded(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let out = folder.join("embedded");
    let output = mosaic(&out, &[]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    files(&out)
}

/// Tasks of the running job that are finished, and all of them.
fn tasks(info: &Value) -> Option<(u64, u64)> {
    let layers = info["jobs"].as_array()?.first()?["layers"].as_array()?.clone();
    let sum = |name: &str| layers.iter().map(|layer| layer[name].as_u64().unwrap()).sum();
    Some((sum("finished_count"), sum("task_count")))
}

#[test]
fn a_picture_of_the_cluster_is_printed_where_no_terminal_is_and_one_that_is_none_is_told() {
    let cluster = Cluster::start(2);
    let output = graticule(&["top", "--cluster", &cluster.url]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let picture = text(&output.stdout);
    assert!(picture.contains("2 workers, 0 of 2 slots busy"), "{picture}");
    assert_eq!(picture.matches(" ready ").count(), 2, "{picture}");
    assert!(!picture.contains("q ends"), "{picture}");
    let output = graticule(&["top", "--dashboard", "http://127.0.0.1:9"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let told = text(&output.stderr);
    assert!(
        told.contains("no dashboard to be read at http://127.0.0.1:9"),
        "{told}"
    );
}

#[test]
fn three_workers_give_the_same_bytes_as_the_embedded_cluster_though_one_is_killed_midway() {
    let folder = tempfile::tempdir().unwrap();
    let want = embedded(folder.path());
    assert!(want.contains_key("median.tif") && want.contains_key("month-01.tif"));
    let mut cluster = Cluster::start(3);
    let out = folder.path().join("cluster");
    let mut command = mosaic(&out, &["--cluster", &cluster.url]);
    let client = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    // Killed as soon as the job is seen to be under way; a child's `kill` is SIGKILL.
    while tasks(&cluster.info()).is_none_or(|(finished, _)| finished == 0) {
        assert!(begin.elapsed() < PATIENCE, "the job does not begin");
    }
    drop(cluster.workers.remove(1));
    finish(client);
    cluster.wait_for(|info| info["workers"].as_array().unwrap().len() == 2);
    let got = files(&out);
    assert_eq!(got.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>());
    for (name, bytes) in &want {
        assert!(got[name] == *bytes, "{name} differs");
    }
}

#[test]
fn a_job_waits_for_the_first_worker_and_a_worker_that_joins_mid_run_gets_work() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(0);
    let out = folder.path().join("cluster");
    let mut command = mosaic(&out, &["--cluster", &cluster.url]);
    let client = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    cluster.wait_for(|info| !info["jobs"].as_array().unwrap().is_empty());
    cluster.add_worker();
    cluster.wait_for(|info| tasks(info).is_none_or(|(finished, _)| finished > 0));
    cluster.add_worker();
    finish(client);
    assert_eq!(files(&out), embedded(folder.path()));
}

#[test]
fn without_workers_the_deadline_says_how_to_start_one() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(0);
    let out = folder.path().join("cluster");
    let output = mosaic(&out, &["--cluster", &cluster.url, "--no-worker-timeout", "1s"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = text(&output.stderr);
    assert!(
        said.contains("no worker") && said.contains("graticule worker"),
        "{said}"
    );
    assert!(!out.join("median.tif").exists());
}

#[test]
fn a_scheduler_that_nobody_runs_is_unreachable_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("grpc://{}", listener.local_addr().unwrap());
    drop(listener);
    let output = mosaic(folder.path(), &["--cluster", &url]).output().unwrap();
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains(&url), "{}", text(&output.stderr));
}

#[test]
fn a_bind_off_loopback_is_refused() {
    for command in [
        ["scheduler", "--listen", "0.0.0.0:0"],
        ["worker", "--listen", "0.0.0.0:0"],
    ] {
        let output = graticule(&command).output().unwrap();
        assert!(!output.status.success());
        assert!(text(&output.stderr).contains("TLS"), "{}", text(&output.stderr));
    }
}
