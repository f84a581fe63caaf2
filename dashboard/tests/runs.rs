//! The history of runs as it is served: real sockets on loopback.

use std::{sync::Arc, time::Duration};

use graticule_dashboard::{
    Archive, Dashboard, DashboardHandle, DashboardOptions, Feed, JobOutcome, LayerInfo, Record, RunRow,
    TaskFinished,
};
use graticule_plan::{JobId, LayerId, TaskId, WorkerId};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

const DEADLINE: Duration = Duration::from_secs(20);

async fn start() -> (Feed, DashboardHandle) {
    let (feed, receiver) = Feed::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
    let handle = Dashboard::start(listener, receiver, DashboardOptions::default()).expect("it starts");
    (feed, handle)
}

fn tell(feed: &Feed, job: u64, name: &str, at_us: u64) {
    let layer = LayerInfo {
        name: "read".into(),
        task_count: 3,
        chunk_bytes: 8,
        origin: None,
        plan: None,
    };
    let job = JobId(job);
    let layers = Arc::new([layer]);
    feed.record(
        at_us,
        Record::JobStarted {
            job,
            name: name.into(),
            layers,
        },
    );
    for block in 0..3 {
        let finished = TaskFinished {
            task: TaskId {
                job,
                layer: LayerId(0),
                block,
            },
            worker: WorkerId(1),
            attempt: 0,
            slot: 0,
            started_us: at_us + block * 10,
            duration_us: 9,
            fetch_us: 0,
            bytes: 8,
            spilled: false,
        };
        feed.record(at_us + block * 10 + 9, Record::TaskFinished(finished));
    }
    feed.record(
        at_us + 40,
        Record::JobEnded {
            job,
            outcome: JobOutcome::Succeeded,
            finished: None,
        },
    );
}

/// The head of the answer, and its body.
async fn ask(handle: &DashboardHandle, path: &str) -> (String, Vec<u8>) {
    let mut socket = TcpStream::connect(handle.address()).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = Vec::new();
    timeout(DEADLINE, socket.read_to_end(&mut answer))
        .await
        .expect("in time")
        .expect("it answers");
    let at = answer
        .windows(4)
        .position(|it| it == b"\r\n\r\n")
        .expect("it has a head");
    let body = answer.split_off(at + 4);
    (String::from_utf8_lossy(&answer).into_owned(), body)
}

async fn runs(handle: &DashboardHandle) -> (Vec<RunRow>, serde_json::Value) {
    let (_, body) = ask(handle, "/api/runs").await;
    let told: serde_json::Value = serde_json::from_slice(&body).expect("it is JSON");
    (
        serde_json::from_value(told["runs"].clone()).expect("of runs"),
        told,
    )
}

#[tokio::test]
async fn a_run_is_listed_and_comes_as_film_report_and_file() {
    let (feed, handle) = start().await;
    let (none, told) = runs(&handle).await;
    assert!(none.is_empty());
    assert_eq!((&told["forgotten"], &told["on_disk"]), (&0.into(), &false.into()));
    tell(&feed, 1, "Cloud-free <mosaic>\r\nX: y", 1_000);
    let (listed, _) = runs(&handle).await;
    assert_eq!((listed[0].tasks, listed[0].total, listed[0].k), (3, 3, 1));

    let (head, report) = ask(&handle, "/api/runs/1/report.html").await;
    assert!(
        head.contains("attachment; filename=\"run-cloud-free-mosaic-x-y.html\""),
        "{head}"
    );
    assert!(report.starts_with(b"<!doctype html>"));
    let (_, file) = ask(&handle, "/api/runs/1/run.graticule").await;
    let archive = Archive::decode(&file).expect("it is an archive");
    let (head, film) = ask(&handle, "/api/runs/1/film").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(archive.task_count(), 3);
    assert_eq!(film[..2], [0x1f, 0x8b]);

    let (head, body) = ask(&handle, "/api/runs/2/film").await;
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    assert_eq!(body, b"no such run, or it is no longer kept\n");
    handle.shutdown().await;
}

#[tokio::test]
async fn a_report_has_what_ran_since_a_moment() {
    let (feed, handle) = start().await;
    let recording = handle.recording();
    let (_, body) = ask(&handle, "/api/now").await;
    let now_us: u64 = serde_json::from_slice(&body).expect("it is a number");
    tell(&feed, 1, "before", now_us + 1);
    tell(&feed, 2, "within", now_us + 1_000_000);
    let (head, report) = ask(&handle, &format!("/api/reports/{}", now_us + 500_000)).await;
    assert!(head.contains("run-within.html"), "{head}");
    assert!(report.starts_with(b"<!doctype html>"));
    assert!(recording.mark().await.is_some_and(|us| us >= now_us));
    let same = recording.report_since(now_us).await.expect("it runs");
    assert!(same.starts_with(b"<!doctype html>"));
    handle.shutdown().await;
    assert_eq!(recording.report_since(now_us).await, None);
}

#[tokio::test]
async fn runs_that_ended_are_on_disk_after_a_restart() {
    let folder = std::env::temp_dir().join(format!("graticule-served-runs-{}", std::process::id()));
    let started = || async {
        let (feed, receiver) = Feed::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        let options = DashboardOptions {
            runs: Some(folder.clone()),
            ..Default::default()
        };
        let handle = Dashboard::start(listener, receiver, options).expect("it starts");
        (feed, handle)
    };
    let (feed, handle) = started().await;
    tell(&feed, 1, "mosaic", 1_000);
    let is_written = || {
        std::fs::read_dir(&folder).is_ok_and(|entries| {
            let mut names = entries.flatten().map(|entry| entry.file_name());
            names.any(|name| name.to_string_lossy().ends_with(".graticule"))
        })
    };
    timeout(DEADLINE, async {
        while !is_written() {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("it is written when it has ended");
    handle.shutdown().await;

    let (feed, handle) = started().await;
    tell(&feed, 1, "another", 2_000);
    let (listed, told) = runs(&handle).await;
    let mut names: Vec<(u32, &str)> = listed.iter().map(|run| (run.k, &*run.name)).collect();
    names.sort_unstable();
    assert_eq!(names, [(1, "mosaic"), (2, "another")]);
    assert_eq!(told["on_disk"], true);
    let (head, _) = ask(&handle, "/api/runs/1/film").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    handle.shutdown().await;
    std::fs::remove_dir_all(&folder).expect("it is ours");
}

#[tokio::test]
async fn a_report_waits_a_moment_for_the_end_of_what_is_done() {
    let (feed, handle) = start().await;
    let (at_us, job) = (1_000, JobId(1));
    let recording = handle.recording();
    feed.record(
        at_us,
        Record::JobStarted {
            job,
            name: "empty".into(),
            layers: Arc::new([]),
        },
    );
    let late = async {
        sleep(Duration::from_millis(60)).await;
        let outcome = JobOutcome::Succeeded;
        feed.record(
            at_us + 1,
            Record::JobEnded {
                job,
                outcome,
                finished: None,
            },
        );
    };
    let (file, ()) = tokio::join!(recording.archive_since(0), late);
    let archive = Archive::decode(&file.expect("it runs")).expect("it is an archive");
    assert!(archive.has_ended());
    handle.shutdown().await;
}
