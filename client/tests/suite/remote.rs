//! Clients of schedulers behind sockets; the processes themselves are tested elsewhere.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::{net::SocketAddr, pin::Pin, time::Duration};

use futures::Stream;
use graticule_array::{Array, Chunks, Over};
use graticule_client::{Client, ClientError, ConnectOptions, RunOptions, ScatterOptions};
use graticule_kernel::Tensor;
use graticule_plan::DType;
use graticule_proto::v1;
use graticule_scheduler::ServeOptions;
use graticule_worker::{ServeOptions as WorkerServeOptions, WorkerOptions};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, Streaming};

const PATIENCE: Duration = Duration::from_secs(30);
const ANYWHERE: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

async fn scheduler() -> (graticule_scheduler::Served, String) {
    let options = ServeOptions {
        listen: ANYWHERE.into(),
        dashboard: None,
        ..ServeOptions::default()
    };
    let served = graticule_scheduler::serve(options).await.unwrap();
    let url = format!("grpc://{}", served.address);
    (served, url)
}

async fn worker(url: &str) -> graticule_worker::Served {
    let options = WorkerServeOptions {
        scheduler: url.into(),
        listen: ANYWHERE.into(),
        worker: WorkerOptions {
            slots: 2,
            ..WorkerOptions::default()
        },
    };
    graticule_worker::serve(options).await.unwrap()
}

fn numbers(len: f64, chunk: u64) -> Array {
    Array::arange(0.0, len, 0.5, DType::Float64, Chunks::Size(chunk)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_behind_sockets_gives_the_same_bytes_as_an_embedded_one() {
    let (scheduler, url) = scheduler().await;
    let workers = [worker(&url).await, worker(&url).await];
    let remote = Client::connect(&url).await.unwrap();
    let embedded = Client::local().await.unwrap();
    // Chunks of 80 kB do not ride inline.
    let x = numbers(50_000.0, 10_000);
    let arrays = [x.sqrt().unwrap(), x.sin().unwrap().std(0, &Over::all()).unwrap()];
    let arrays: Vec<&Array> = arrays.iter().collect();
    let far = tokio::time::timeout(PATIENCE, remote.compute_many(&arrays))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(far, embedded.compute_many(&arrays).await.unwrap());
    assert_eq!(remote.info().await.unwrap().workers.len(), 2);
    for worker in workers {
        worker.stop(PATIENCE).await;
    }
    scheduler.shutdown().await;
}

/// Arrays of pieces along the first axis, along others, and of one.
#[tokio::test(flavor = "multi_thread")]
async fn arrays_go_to_the_workers_in_pieces_and_are_those_of_expressions() {
    let (scheduler, url) = scheduler().await;
    let workers = [worker(&url).await, worker(&url).await];
    let client = Client::connect(&url).await.unwrap();
    let element = |at: usize| (at % 1013) as f64;
    for shape in [
        &[300, 50, 1000][..],
        &[1, 2, 4_500_000],
        &[2, 5_000_000],
        &[7, 3],
        &[],
    ] {
        let elements: Vec<f64> = (0..shape.iter().product()).map(element).collect();
        let want: f64 = elements.iter().sum();
        let tensor = Tensor::from_vec(shape, elements).unwrap();
        let options = ScatterOptions::new();
        let scattered = client.scatter_array(&tensor, 10, &options);
        let array = tokio::time::timeout(PATIENCE, scattered).await.unwrap().unwrap();
        drop(tensor);
        let lens: Vec<u64> = shape.iter().map(|&len| len as u64).collect();
        assert_eq!((array.shape(), array.dtype()), (lens, DType::Float64));
        let mut wanted = vec![array.sum(&Over::all()).unwrap()];
        if let [_, _, last] = *shape {
            // Elements of the second row of the first.
            let part = array
                .slice(&[(..1).into(), (1..2).into(), (3..9).into()])
                .unwrap();
            wanted.push(part.subtract(element(last + 3)).unwrap());
        }
        let wanted: Vec<&Array> = wanted.iter().collect();
        let got = client.compute_many(&wanted);
        let got = tokio::time::timeout(PATIENCE, got).await.unwrap().unwrap();
        assert_eq!(got[0].as_slice::<f64>().unwrap(), [want]);
        if let Some(part) = got.get(1) {
            assert_eq!(part.as_slice::<f64>().unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        }
    }
    let held = async || {
        let workers = client.info().await.unwrap().workers;
        workers
            .iter()
            .map(|worker| worker.status.memory_bytes)
            .sum::<u64>()
    };
    let emptied = async {
        while held().await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, emptied).await.unwrap();
    client.close().await;
    for worker in workers {
        worker.stop(PATIENCE).await;
    }
    scheduler.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_closed_holds_nothing_in_the_cluster_though_its_results_are_held() {
    let (scheduler, url) = scheduler().await;
    let worker = worker(&url).await;
    let (client, watcher) = (
        Client::connect(&url).await.unwrap(),
        Client::connect(&url).await.unwrap(),
    );
    let held = async || {
        let workers = watcher.info().await.unwrap().workers;
        workers
            .iter()
            .map(|worker| worker.status.memory_bytes)
            .sum::<u64>()
    };
    let kept = client.persist(&numbers(50_000.0, 10_000)).await.unwrap();
    kept.wait().await.unwrap();
    let clone = client.clone();
    client.close().await;
    let emptied = async {
        while held().await > 0 || !watcher.info().await.unwrap().jobs.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, emptied).await.unwrap();
    let refused = clone.compute(kept.array()).await.unwrap_err();
    assert!(refused.to_string().contains("closed"), "{refused}");
    worker.stop(PATIENCE).await;
    scheduler.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_worker_the_wait_ends_as_asked_and_says_how_to_start_one() {
    let (scheduler, url) = scheduler().await;
    let client = Client::connect(&url).await.unwrap();
    let options = RunOptions {
        no_worker_timeout: Some(Duration::from_millis(50)),
        ..RunOptions::default()
    };
    let x = numbers(10.0, 100);
    let waited = tokio::time::timeout(PATIENCE, client.compute_with(&[&x], &options))
        .await
        .unwrap();
    let error = waited.unwrap_err();
    assert!(matches!(error, ClientError::NoWorkers { .. }), "{error}");
    assert!(
        error.to_string().contains("graticule worker") && error.to_string().contains(&url),
        "{error}"
    );
    let kept = client.persist_many(&[&x], &options).await.unwrap();
    let waited = tokio::time::timeout(PATIENCE, kept[0].wait()).await.unwrap();
    assert!(matches!(waited, Err(ClientError::NoWorkers { .. })));
    scheduler.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_comes_late_is_waited_for() {
    let (scheduler, url) = scheduler().await;
    let client = Client::connect(&url).await.unwrap();
    let x = numbers(10.0, 100);
    let job = client.start(&[&x], &RunOptions::default()).await.unwrap();
    let worker = worker(&url).await;
    let results = tokio::time::timeout(PATIENCE, job.gather())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(results.tensors[0].len(), 20);
    worker.stop(PATIENCE).await;
    scheduler.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connections_loss_fails_every_job_and_what_is_asked_later() {
    // A runtime of its own, whose end cuts the scheduler's connections as the end of a process does.
    let process = tokio::runtime::Runtime::new().unwrap();
    let (scheduler, url) = process.spawn(scheduler()).await.unwrap();
    let options = ConnectOptions {
        reconnect_timeout: Duration::ZERO,
        ..ConnectOptions::default()
    };
    let client = Client::connect_with(&url, &options).await.unwrap();
    let x = numbers(10.0, 100);
    let job = client.start(&[&x], &RunOptions::default()).await.unwrap();
    let kept = client.persist(&x).await.unwrap();
    process.shutdown_background();
    drop(scheduler);
    let lost = tokio::time::timeout(PATIENCE, job.gather()).await.unwrap();
    assert!(
        matches!(lost, Err(ClientError::ConnectionLost { .. })),
        "{lost:?}"
    );
    let lost = tokio::time::timeout(PATIENCE, kept.wait()).await.unwrap();
    assert!(
        matches!(lost, Err(ClientError::ConnectionLost { .. })),
        "{lost:?}"
    );
    let lost = tokio::time::timeout(PATIENCE, client.compute(&x)).await.unwrap();
    assert!(
        matches!(lost, Err(ClientError::ConnectionLost { .. })),
        "{lost:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_is_not_there_is_named_in_time() {
    // A port that was free a moment ago.
    let listener = TcpListener::bind(SocketAddr::from(ANYWHERE)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = tokio::time::timeout(PATIENCE, Client::connect(&format!("grpc://{address}")))
        .await
        .unwrap();
    let error = error.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(error.to_string().contains("graticule scheduler"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_accepts_and_says_nothing_is_given_up() {
    let silent = TcpListener::bind(SocketAddr::from(ANYWHERE)).await.unwrap();
    let url = format!("grpc://{}", silent.local_addr().unwrap());
    let options = ConnectOptions {
        connect_timeout: Duration::from_millis(200),
        ..ConnectOptions::default()
    };
    let error = tokio::time::timeout(PATIENCE, Client::connect_with(&url, &options))
        .await
        .unwrap()
        .unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_side_table_that_fits_no_message_is_refused_here() {
    let (scheduler, url) = scheduler().await;
    let client = Client::connect(&url).await.unwrap();
    let x = Array::from_slice(&[65 << 20], &[Chunks::Whole], &vec![0_u8; 65 << 20]).unwrap();
    let error = client.start(&[&x], &RunOptions::default()).await.unwrap_err();
    assert!(matches!(error, ClientError::TableTooLarge { .. }), "{error}");
    scheduler.shutdown().await;
}

/// A scheduler of a release to come.
struct Future;

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl v1::cluster_server::Cluster for Future {
    type WorkStream = Messages<v1::SchedulerMessage>;
    type ConnectStream = Messages<v1::ClientEvent>;

    async fn work(
        &self,
        _: Request<Streaming<v1::WorkerMessage>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        Err(Status::unimplemented("not asked for here"))
    }

    async fn connect(
        &self,
        _: Request<Streaming<v1::ClientMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let version = v1::Version {
            protocol: 99,
            release: "9.9.9".into(),
            ..graticule_proto::version()
        };
        let welcome = v1::ClientWelcome {
            version: Some(version),
            dashboard: String::new(),
            is_known: false,
        };
        let event = v1::client_event::Event::Welcome(welcome);
        let events = futures::stream::iter([Ok(v1::ClientEvent { event: Some(event) })]);
        Ok(Response::new(Box::pin(events)))
    }

    async fn info(&self, _: Request<v1::InfoRequest>) -> Result<Response<v1::InfoReply>, Status> {
        Err(Status::failed_precondition("install the same release"))
    }

    async fn why(&self, _: Request<v1::WhyRequest>) -> Result<Response<v1::WhyReply>, Status> {
        Err(Status::failed_precondition("install the same release"))
    }

    async fn dataset(&self, _: Request<v1::DatasetRequest>) -> Result<Response<v1::DatasetReply>, Status> {
        Err(Status::failed_precondition("install the same release"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_of_another_version_is_refused_with_both_versions() {
    let listener = TcpListener::bind(SocketAddr::from(ANYWHERE)).await.unwrap();
    let url = format!("grpc://{}", listener.local_addr().unwrap());
    let service = v1::cluster_server::ClusterServer::new(Future);
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(incoming),
    );
    let error = Client::connect(&url).await.unwrap_err();
    assert!(matches!(error, ClientError::Version { .. }), "{error}");
    for part in ["9.9.9", env!("CARGO_PKG_VERSION"), &url] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let error = Client::info_of(&url, &ConnectOptions::default())
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Version { .. }), "{error}");
}
