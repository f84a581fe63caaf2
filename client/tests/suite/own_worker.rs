//! A user's own worker binary, as processes of their own that a client calls over gRPC.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use graticule_array::{Array, BlockFunction, Chunks, MapBlocks, Over};
use graticule_client::{CallOptions, Client, ClientError, Future, Value};
use graticule_plan::DType;
use graticule_scheduler::{ServeOptions, Served};

const PATIENCE: Duration = Duration::from_secs(60);

async fn in_time<T>(what: impl std::future::Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.unwrap()
}

/// The example, which Cargo builds beside the tests.
fn own_worker() -> Command {
    let test = std::env::current_exe().unwrap();
    let built: PathBuf = test.parent().unwrap().join("../examples/own_worker");
    let mut command = Command::new(&built);
    let ours = std::env::vars_os().map(|(name, _)| name);
    for name in ours.filter(|name| name.to_string_lossy().starts_with("GRATICULE_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// A worker's process; it ends with the test.
struct Process(Child);

impl Process {
    fn start(url: &str, name: &str) -> Self {
        let arguments = [
            "--scheduler",
            url,
            "--name",
            name,
            "--slots",
            "2",
            "--memory",
            "256MiB",
        ];
        let mut command = own_worker();
        Self(command.args(arguments).stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and need not be.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn scheduler() -> (Served, String) {
    let options = ServeOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        dashboard: None,
        ..ServeOptions::default()
    };
    let served = graticule_scheduler::serve(options).await.unwrap();
    let url = format!("grpc://{}", served.address);
    (served, url)
}

async fn wait_for_workers(client: &Client, count: usize) {
    let begun = Instant::now();
    while client.info().await.unwrap().workers.len() < count {
        assert!(begun.elapsed() < PATIENCE, "{count} workers do not come");
        tokio::task::yield_now().await;
    }
}

fn number(value: &Value) -> u64 {
    value.number::<u64>().unwrap()
}

#[test]
fn it_lists_its_functions() {
    let listed = own_worker().arg("--functions").output().unwrap();
    assert!(listed.status.success(), "{listed:?}");
    assert_eq!(
        String::from_utf8_lossy(&listed.stdout),
        "process\nscale\nsum\nword_count\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn its_functions_are_called_and_a_name_that_it_lacks_is_told() {
    let (scheduler, url) = scheduler().await;
    let worker = Process::start(&url, "own");
    let client = Client::connect(&url).await.unwrap();
    wait_for_workers(&client, 1).await;
    let counts = client
        .map("word_count", ["one", "one two", "", "a b c d"])
        .unwrap();
    let sum = client.submit("sum", &counts).unwrap();
    assert_eq!(number(&in_time(sum.result()).await.unwrap()), 7);
    let process = client.submit("process", [0_u64]).unwrap();
    assert_eq!(
        number(&in_time(process.result()).await.unwrap()),
        u64::from(worker.0.id()),
        "it ran in the worker's process"
    );
    let wrong = client.submit("word_count", [1_u64]).unwrap();
    let told = in_time(wrong.result()).await.unwrap_err().to_string();
    assert!(told.contains("must be text") && told.contains("own"), "{told}");
    let unknown = match client.submit("nothing", [0_u64]) {
        Err(error @ ClientError::UnknownFunction { .. }) => error.to_string(),
        // The names may not have come yet; the scheduler tells them too.
        other => in_time(other.unwrap().result()).await.unwrap_err().to_string(),
    };
    assert!(
        unknown.contains("nothing") && unknown.contains("process, scale, sum, word_count"),
        "{unknown}"
    );
    scheduler.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_functions_make_blocks_of_arrays_and_other_workers_do_not() {
    let (scheduler, url) = scheduler().await;
    let options = graticule_worker::ServeOptions {
        scheduler: url.clone(),
        listen: ([127, 0, 0, 1], 0).into(),
        worker: graticule_worker::WorkerOptions::default(),
    };
    let plain = graticule_worker::serve(options).await.unwrap();
    let client = Client::connect(&url).await.unwrap();
    wait_for_workers(&client, 1).await;
    let x = Array::arange(0.0, 100.0, 1.0, DType::Float64, Chunks::Size(5)).unwrap();
    let scale = BlockFunction::new("scale").payload(2.5_f64.to_le_bytes());
    let scaled = x.map_blocks(&scale, &MapBlocks::new(DType::Float64)).unwrap();
    let told = in_time(client.compute(&scaled)).await.unwrap_err().to_string();
    assert!(told.contains("no worker knows the function \"scale\""), "{told}");
    let _own = Process::start(&url, "own");
    wait_for_workers(&client, 2).await;
    let sum = scaled.sum(&Over::all()).unwrap();
    let made = in_time(client.compute(&sum)).await.unwrap();
    assert_eq!(made.as_slice::<f64>().unwrap(), [2.5 * 4950.0]);
    scheduler.shutdown().await;
    plain.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_killed_while_a_graph_grows_changes_no_result() {
    let (scheduler, url) = scheduler().await;
    let _stays = Process::start(&url, "stays");
    let mut goes = Process::start(&url, "goes");
    let client = Client::connect(&url).await.unwrap();
    wait_for_workers(&client, 2).await;
    // Both have results before one is killed.
    let mut ran = BTreeSet::new();
    for name in ["stays", "goes"] {
        let call = client.submit_with("process", [0_u64], &CallOptions::new().worker(name));
        ran.insert(number(&in_time(call.unwrap().result()).await.unwrap()));
    }
    assert_eq!(ran.len(), 2);
    let mut level: Vec<Future> = client.map("sum", 0..512_u64).unwrap();
    let mut is_killed = false;
    while level.len() > 1 {
        let pairs = level.chunks(2).map(|pair| client.submit("sum", pair).unwrap());
        level = pairs.collect();
        if !is_killed && level.len() <= 64 {
            in_time(level[0].wait()).await.unwrap();
            goes.0.kill().unwrap();
            is_killed = true;
        }
    }
    assert_eq!(number(&in_time(level[0].result()).await.unwrap()), 511 * 512 / 2);
    scheduler.shutdown().await;
}
