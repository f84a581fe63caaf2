//! A scheduler with a journal is killed and started again: jobs go on, and their clients and workers with them.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use futures::StreamExt;
use graticule_array::{Array, Chunks, Index, Over};
use graticule_client::{Client, ConnectOptions, RunOptions};
use graticule_plan::DType;

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(90);

/// A process of this test; it is killed with it.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_graticule"));
        command.args(arguments).args(["--log", "error"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// A scheduler, and where it listens.
    fn scheduler(listen: &str, journal: &Path) -> (Self, String) {
        let journal = journal.to_str().unwrap();
        let arguments = [
            "scheduler",
            "--listen",
            listen,
            "--no-dashboard",
            "--journal",
            journal,
        ];
        let mut process = Self::start(&arguments);
        let address = process.url().strip_prefix("grpc://").unwrap().to_owned();
        (process, address)
    }

    /// Where a scheduler or cluster listens; it says so first.
    fn url(&mut self) -> String {
        let mut line = String::new();
        let mut output = BufReader::new(self.0.stdout.as_mut().unwrap());
        output.read_line(&mut line).unwrap();
        line.trim().strip_prefix("scheduler at ").unwrap().to_owned()
    }

    fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    fn worker(url: &str) -> Self {
        Self::start(&["worker", "--scheduler", url, "--slots", "1", "--memory", "256MiB"])
    }
}

async fn finished_count(url: &str) -> u64 {
    let info = Client::info_of(url, &ConnectOptions::default()).await;
    info.unwrap().finished_count
}

async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "{what} does not come to be");
        tokio::task::yield_now().await;
    }
}

async fn worker_count(url: &str) -> usize {
    let info = Client::info_of(url, &ConnectOptions::default()).await;
    info.map_or(0, |info| info.workers.len())
}

/// Some thousand tasks of three layers, the last of which are delivered chunk by chunk.
fn waves() -> Array {
    let rows = Array::arange(0.0, 1500.0, 1.0, DType::Float64, Chunks::Size(20)).unwrap();
    let columns = Array::arange(0.0, 1500.0, 1.0, DType::Float64, Chunks::Size(10)).unwrap();
    let rows = rows.slice(&[Index::Full, Index::NewAxis]).unwrap();
    let product = rows.multiply(columns).unwrap().sin().unwrap();
    let cut = product.rechunk(&[Chunks::Size(30), Chunks::Size(30)]).unwrap();
    cut.add(cut.swapaxes(0, 1).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_outlives_schedulers_that_are_killed_and_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (mut scheduler, address) = Process::scheduler("127.0.0.1:0", folder.path());
    let url = format!("grpc://{address}");
    let workers = [Process::worker(&url), Process::worker(&url)];
    wait_until("two workers", async || worker_count(&url).await == 2).await;
    let array = waves();
    let want = Client::local().await.unwrap().compute(&array).await.unwrap();
    let client = Client::connect(&url).await.unwrap();
    let job = client.start(&[&array], &RunOptions::default()).await.unwrap();
    let task_count = job.task_count();
    let mut progress = job.progress();
    let gathered = tokio::spawn(async move { job.gather().await });
    let mut ran = 0;
    for part in [4, 2] {
        while let Some(now) = progress.next().await {
            if now.finished_count() >= task_count / part {
                break;
            }
        }
        // What the workers have reported is all that they have done, as long as they are stopped.
        workers.iter().for_each(|worker| worker.signal("-STOP"));
        ran += finished_count(&url).await;
        scheduler.0.kill().unwrap();
        scheduler.0.wait().unwrap();
        workers.iter().for_each(|worker| worker.signal("-CONT"));
        (scheduler, _) = Process::scheduler(&address, folder.path());
    }
    let results = tokio::time::timeout(PATIENCE, gathered)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(results.tensors, [want]);
    ran += finished_count(&url).await;
    assert!(
        ran < task_count + task_count / 10,
        "{ran} tasks were run of a job of {task_count}"
    );
    drop(workers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_keeps_is_there_after_the_scheduler_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut scheduler, address) = Process::scheduler("127.0.0.1:0", folder.path());
    let url = format!("grpc://{address}");
    let worker = Process::worker(&url);
    let client = Client::connect(&url).await.unwrap();
    let kept = client.persist(&waves()).await.unwrap();
    tokio::time::timeout(PATIENCE, kept.wait())
        .await
        .unwrap()
        .unwrap();
    let sum = kept.array().sum(&Over::all()).unwrap();
    let want = client.compute(&sum).await.unwrap();
    scheduler.0.kill().unwrap();
    scheduler.0.wait().unwrap();
    (scheduler, _) = Process::scheduler(&address, folder.path());
    let again = tokio::time::timeout(PATIENCE, client.compute(&sum))
        .await
        .unwrap();
    assert_eq!(again.unwrap(), want);
    assert_eq!(client.info().await.unwrap().remade_count, 0);
    drop((scheduler, worker));
}

#[test]
fn two_schedulers_on_one_journal_are_one_too_many() {
    let folder = tempfile::tempdir().unwrap();
    let (scheduler, _) = Process::scheduler("127.0.0.1:0", folder.path());
    let second = Command::new(env!("CARGO_BIN_EXE_graticule"))
        .args([
            "scheduler",
            "--listen",
            "127.0.0.1:0",
            "--no-dashboard",
            "--journal",
        ])
        .arg(folder.path())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("another scheduler uses the journal"), "{said}");
    drop(scheduler);
}

/// A scheduler whose files may grow to 4 KiB and no further, as on a disk that is full.
fn cramped_scheduler(folder: &Path) -> (Process, String) {
    let program = env!("CARGO_BIN_EXE_graticule");
    let journal = folder.display();
    let script = format!(
        "trap '' XFSZ; ulimit -f 4; exec {program} scheduler --listen 127.0.0.1:0 --no-dashboard --log off --journal {journal}"
    );
    let mut command = Command::new("bash");
    command.args(["-c", &script]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut process = Process(command.spawn().unwrap());
    let url = process.url();
    (process, url)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_cannot_be_written_refuses_jobs_ends_the_running_ones_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let (scheduler, url) = cramped_scheduler(folder.path());
    let client = Client::connect(&url).await.unwrap();
    let small = Array::arange(0.0, 100.0, 1.0, DType::Float64, Chunks::Size(10)).unwrap();
    let running = client.start(&[&small], &RunOptions::default()).await.unwrap();
    let values: Vec<f64> = (0..1000).map(f64::from).collect();
    let large = Array::from_slice(&[1000], &[Chunks::Whole], &values).unwrap();
    let refused = tokio::time::timeout(PATIENCE, client.compute(&large))
        .await
        .unwrap();
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("journal cannot be written"), "{refused}");
    let worker = Process::worker(&url);
    let ended = tokio::time::timeout(PATIENCE, running.gather()).await.unwrap();
    assert_eq!(ended.unwrap().tensors[0].len(), 100);
    // What stands is little, and is written anew as soon as it fits.
    wait_until("a journal that takes jobs", async || {
        client.compute(&small).await.is_ok()
    })
    .await;
    drop((scheduler, worker));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_job_that_was_acknowledged_is_there_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let (mut scheduler, address) = Process::scheduler("127.0.0.1:0", folder.path());
    let url = format!("grpc://{address}");
    let client = Client::connect(&url).await.unwrap();
    let array = Array::arange(0.0, 10.0, 1.0, DType::Float64, Chunks::Size(1)).unwrap();
    let mut jobs = Vec::new();
    for _ in 0..5 {
        // Without a worker none of them ends.
        let job = client.start(&[&array], &RunOptions::default()).await.unwrap();
        scheduler.0.kill().unwrap();
        scheduler.0.wait().unwrap();
        (scheduler, _) = Process::scheduler(&address, folder.path());
        jobs.push(job);
        let info = Client::info_of(&url, &ConnectOptions::default()).await.unwrap();
        let there: Vec<_> = info.jobs.iter().map(|(job, ..)| *job).collect();
        let want: Vec<_> = jobs.iter().map(graticule_client::Job::id).collect();
        assert_eq!(there, want);
    }
    let worker = Process::worker(&url);
    for job in jobs {
        let results = tokio::time::timeout(PATIENCE, job.gather())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(results.tensors[0].len(), 10);
    }
    drop((scheduler, worker));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_one_process_goes_on_with_its_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let start = |listen: &str| {
        let journal = folder.path().to_str().unwrap().to_owned();
        let memory = ["--slots", "1", "--memory", "256MiB", "--journal", &journal];
        let arguments = ["cluster", "--listen", listen, "--no-dashboard"];
        let arguments: Vec<&str> = arguments.into_iter().chain(memory).collect();
        let mut process = Process::start(&arguments);
        let url = process.url();
        (process, url)
    };
    let (mut cluster, url) = start("127.0.0.1:0");
    let array = waves();
    let want = Client::local().await.unwrap().compute(&array).await.unwrap();
    let client = Client::connect(&url).await.unwrap();
    let job = client.start(&[&array], &RunOptions::default()).await.unwrap();
    let mut progress = job.progress();
    let gathered = tokio::spawn(async move { job.gather().await });
    while progress.next().await.is_some_and(|now| now.finished_count() == 0) {}
    cluster.0.kill().unwrap();
    cluster.0.wait().unwrap();
    (cluster, _) = start(url.strip_prefix("grpc://").unwrap());
    let results = tokio::time::timeout(PATIENCE, gathered)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(results.tensors, [want]);
    drop(cluster);
}
