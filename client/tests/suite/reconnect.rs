//! Clients whose connection breaks, and that come back.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::StreamExt;
use graticule_array::{Array, Chunks, Index, Over};
use graticule_client::{CallOptions, Client, ClientError, ConnectOptions, Registry, RunOptions, Value};
use graticule_plan::DType;
use graticule_scheduler::{ServeOptions, Served};
use graticule_worker::{ServeOptions as WorkerServeOptions, WorkerOptions};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::broadcast,
};

const PATIENCE: Duration = Duration::from_secs(60);
const ANYWHERE: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.unwrap()
}

fn options() -> ServeOptions {
    ServeOptions {
        listen: ANYWHERE.into(),
        dashboard: None,
        ..ServeOptions::default()
    }
}

async fn serve(options: ServeOptions) -> (Served, String) {
    let begun = Instant::now();
    loop {
        match graticule_scheduler::serve(options.clone()).await {
            Ok(served) => {
                let url = format!("grpc://{}", served.address);
                return (served, url);
            }
            // Connections of the one before may hold the port for a moment.
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
        tokio::task::yield_now().await;
    }
}

fn lasting(folder: &Path) -> ServeOptions {
    ServeOptions {
        journal: Some(folder.into()),
        ..options()
    }
}

async fn worker(url: &str) -> graticule_worker::Served {
    worker_with(url, Registry::new()).await
}

async fn worker_with(url: &str, functions: Registry) -> graticule_worker::Served {
    let options = WorkerServeOptions {
        scheduler: url.into(),
        listen: ANYWHERE.into(),
        worker: WorkerOptions {
            slots: 2,
            functions,
            ..WorkerOptions::default()
        },
    };
    graticule_worker::serve(options).await.unwrap()
}

/// Hundreds of chunks too large to ride in messages.
fn table() -> Array {
    let axis = || Array::arange(0.0, 800.0, 1.0, DType::Float64, Chunks::Size(40)).unwrap();
    let rows = axis().slice(&[Index::Full, Index::NewAxis]).unwrap();
    rows.multiply(axis()).unwrap().sin().unwrap()
}

async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "{what} does not come to be");
        tokio::task::yield_now().await;
    }
}

async fn job_count(url: &str) -> usize {
    let info = Client::info_of(url, &ConnectOptions::default()).await;
    info.unwrap().jobs.len()
}

/// A way to a scheduler that can be cut.
struct Wire {
    url: String,
    cut: broadcast::Sender<()>,
    connected: Arc<AtomicU64>,
}

impl Wire {
    async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(ANYWHERE)).await.unwrap();
        let url = format!("grpc://{}", listener.local_addr().unwrap());
        let (cut, _) = broadcast::channel(1);
        let connected = Arc::new(AtomicU64::new(0));
        let wire = Self {
            url,
            cut: cut.clone(),
            connected: connected.clone(),
        };
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                // Before it is counted: who counts on it may cut it at once.
                let mut cut = cut.subscribe();
                connected.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(target).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.recv() => {}
                    }
                });
            }
        });
        wire
    }

    fn cut(&self) {
        // A wire that nobody uses needs no cut.
        let _ = self.cut.send(());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_costs_a_client_neither_jobs_nor_kept_results() {
    let (scheduler, url) = serve(options()).await;
    let worker = worker(&url).await;
    let wire = Wire::to(scheduler.address).await;
    let client = Client::connect(&wire.url).await.unwrap();
    let want = Client::local().await.unwrap().compute(&table()).await.unwrap();
    let kept = client.persist(&table()).await.unwrap();
    in_time(kept.wait()).await.unwrap();
    let again = kept.array().add(0.0).unwrap();
    let job = client.start(&[&again], &RunOptions::default()).await.unwrap();
    let mut job = job.into_stream();
    for cut in 1..4 {
        in_time(job.next()).await.unwrap().unwrap();
        wire.cut();
        let at_least = cut + 1;
        wait_until("another connection", async || {
            wire.connected.load(Ordering::Relaxed) >= at_least
        })
        .await;
    }
    let rest = in_time(job.collect::<Vec<_>>()).await;
    assert_eq!(rest.len(), 400 - 3);
    assert!(rest.iter().all(Result::is_ok));
    assert_eq!(in_time(client.compute(kept.array())).await.unwrap(), want);
    wait_until("no job left", async || job_count(&url).await == 0).await;
    assert_eq!(client.info().await.unwrap().remade_count, 0);
    worker.stop(PATIENCE).await;
    scheduler.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_while_the_scheduler_is_away_is_done_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (scheduler, url) = serve(lasting(folder.path())).await;
    let worker = worker(&url).await;
    let client = Client::connect(&url).await.unwrap();
    let kept = client.persist(&table()).await.unwrap();
    in_time(kept.wait()).await.unwrap();
    let address = scheduler.address;
    scheduler.shutdown().await;
    let sum = kept.array().sum(&Over::all()).unwrap();
    let asked = tokio::spawn({
        let client = client.clone();
        async move { client.compute(&sum).await }
    });
    let (scheduler, _) = serve(ServeOptions {
        listen: address,
        ..lasting(folder.path())
    })
    .await;
    let sum = in_time(asked).await.unwrap().unwrap();
    let want = Client::local().await.unwrap();
    let want = want.compute(&table().sum(&Over::all()).unwrap()).await.unwrap();
    assert_eq!(sum, want);
    drop(kept);
    wait_until("no job left", async || job_count(&url).await == 0).await;
    worker.stop(PATIENCE).await;
    scheduler.shutdown().await;
}

/// A gate that calls wait at until it is opened, and how many have come to it.
#[derive(Debug, Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
    come: AtomicU64,
}

impl Gate {
    fn pass(&self) {
        self.come.fetch_add(1, Ordering::SeqCst);
        let is_open = self.is_open.lock().unwrap();
        drop(self.opened.wait_while(is_open, |is_open| !*is_open).unwrap());
    }

    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

/// Opens a gate when a test ends, however: workers wait for what their threads compute.
struct OpenedAtLast(Arc<Gate>);

impl Drop for OpenedAtLast {
    fn drop(&mut self) {
        self.0.open();
    }
}

fn number(value: &Value) -> i64 {
    value.number::<i64>().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_flight_outlive_cut_connections_and_a_restart_of_the_scheduler() {
    let folder = tempfile::tempdir().unwrap();
    let (scheduler, url) = serve(lasting(folder.path())).await;
    let gate = Arc::new(Gate::default());
    let _opened = OpenedAtLast(gate.clone());
    let mut functions = Registry::new();
    let passed = gate.clone();
    functions.function("gate", move |inputs| {
        passed.pass();
        Ok(inputs[0].clone())
    });
    functions.function("square", |inputs| Ok(Value::from(number(&inputs[0]).pow(2))));
    functions.function("sum", |inputs| {
        Ok(Value::from(inputs.iter().map(number).sum::<i64>()))
    });
    let worker = worker_with(&url, functions).await;
    let wire = Wire::to(scheduler.address).await;
    let client = Client::connect(&wire.url).await.unwrap();
    let options = CallOptions::new().output_bytes(8);
    let mut results = client.map_with("square", 0..100_i64, &options).unwrap();
    let held = client.map_with("gate", 0..2_i64, &options).unwrap();
    let last = results[99].clone();
    let sums = held
        .iter()
        .map(|held| client.submit_with("sum", [held, &last], &options).unwrap());
    results.extend(sums);
    drop(last);
    // Both are in flight, and what waits for them is known to the scheduler.
    wait_until("calls at the gate", async || {
        gate.come.load(Ordering::SeqCst) >= 2
    })
    .await;
    for cut in 1..4 {
        wire.cut();
        // Said while nobody listens.
        results.extend(client.map_with("square", 0..50_i64, &options).unwrap());
        wait_until("another connection", async || {
            wire.connected.load(Ordering::Relaxed) > cut
        })
        .await;
    }
    let address = scheduler.address;
    scheduler.shutdown().await;
    results.extend(client.map_with("square", 0..50_i64, &options).unwrap());
    let (scheduler, _) = serve(ServeOptions {
        listen: address,
        ..lasting(folder.path())
    })
    .await;
    results.push(client.submit_with("sum", &held, &options).unwrap());
    gate.open();
    let got = in_time(client.gather(&results)).await.unwrap();
    let squares = |count: i64| (0..count).map(|n| n * n);
    let mut want: Vec<i64> = squares(100).chain([99 * 99, 1 + 99 * 99]).collect();
    (0..4).for_each(|_| want.extend(squares(50)));
    want.push(1);
    assert!(got.iter().map(number).eq(want));
    drop((results, held));
    wait_until("no job left", async || job_count(&url).await == 0).await;
    worker.stop(PATIENCE).await;
    scheduler.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_cancelled_while_the_scheduler_was_away_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let (scheduler, url) = serve(lasting(folder.path())).await;
    let client = Client::connect(&url).await.unwrap();
    // Without a worker it would wait for ever.
    let job = client.start(&[&table()], &RunOptions::default()).await.unwrap();
    assert_eq!(job_count(&url).await, 1);
    let address = scheduler.address;
    scheduler.shutdown().await;
    drop(job);
    let (scheduler, _) = serve(ServeOptions {
        listen: address,
        ..lasting(folder.path())
    })
    .await;
    wait_until("no job left", async || job_count(&url).await == 0).await;
    drop(client);
    scheduler.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_ends_its_jobs_at_once_and_one_that_vanishes_after_a_while() {
    let (scheduler, url) = serve(ServeOptions {
        client_grace_us: u64::MAX / 4,
        ..options()
    })
    .await;
    let client = Client::connect(&url).await.unwrap();
    let job = client.start(&[&table()], &RunOptions::default()).await.unwrap();
    drop((job, client));
    wait_until("no job left", async || job_count(&url).await == 0).await;
    scheduler.shutdown().await;

    let (scheduler, url) = serve(ServeOptions {
        client_grace_us: 500_000,
        ..options()
    })
    .await;
    let process = tokio::runtime::Runtime::new().unwrap();
    let at = url.clone();
    let vanishing = process.spawn(async move {
        let client = Client::connect(&at).await.unwrap();
        let job = client.start(&[&table()], &RunOptions::default()).await.unwrap();
        std::mem::forget((client, job));
    });
    vanishing.await.unwrap();
    let begun = Instant::now();
    process.shutdown_background();
    assert_eq!(job_count(&url).await, 1);
    wait_until("no job left", async || job_count(&url).await == 0).await;
    assert!(
        begun.elapsed() >= Duration::from_millis(450),
        "{:?}",
        begun.elapsed()
    );
    scheduler.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_was_started_anew_without_a_journal_says_that_the_jobs_are_gone() {
    // A runtime of its own, whose end cuts the scheduler's connections as the end of a process does.
    let process = tokio::runtime::Runtime::new().unwrap();
    let (scheduler, url) = process.spawn(serve(options())).await.unwrap();
    let client = Client::connect(&url).await.unwrap();
    let job = client.start(&[&table()], &RunOptions::default()).await.unwrap();
    let address = scheduler.address;
    process.shutdown_background();
    drop(scheduler);
    let (scheduler, _) = serve(ServeOptions {
        listen: address,
        ..options()
    })
    .await;
    let error = in_time(job.gather()).await.unwrap_err();
    assert!(matches!(error, ClientError::ConnectionLost { .. }), "{error}");
    assert!(error.to_string().contains("journal"), "{error}");
    scheduler.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_scheduler_is_away_is_closed_at_once() {
    let process = tokio::runtime::Runtime::new().unwrap();
    let (scheduler, url) = process.spawn(serve(options())).await.unwrap();
    let client = Client::connect(&url).await.unwrap();
    // What still waits for the scheduler must not keep the client.
    let job = client.start(&[&table()], &RunOptions::default()).await.unwrap();
    process.shutdown_background();
    drop(scheduler);
    let begun = Instant::now();
    client.close().await;
    let error = in_time(job.gather()).await.unwrap_err();
    assert!(matches!(error, ClientError::ConnectionLost { .. }), "{error}");
    // It would try to come back for a minute.
    assert!(begun.elapsed() < PATIENCE / 4, "{:?}", begun.elapsed());
}
