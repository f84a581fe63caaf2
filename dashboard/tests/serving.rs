//! The served dashboard: real sockets on loopback, spoken to without a browser.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use graticule_dashboard::{
    Dashboard, DashboardError, DashboardHandle, DashboardOptions, Feed, JobOutcome, LayerInfo, Record,
    TaskFinished,
    aggregate::{Delta, FrameKind, Snapshot},
};
use graticule_plan::{JobId, LayerId, TaskId, WorkerId};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    time::timeout,
};

const DEADLINE: Duration = Duration::from_secs(20);

async fn start() -> (Feed, DashboardHandle) {
    let (feed, receiver) = Feed::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
    let options = DashboardOptions {
        cluster: "test".into(),
        ..Default::default()
    };
    (
        feed,
        Dashboard::start(listener, receiver, options).expect("it starts"),
    )
}

fn tell_job(feed: &Feed, tasks: u64) {
    let layer = LayerInfo {
        name: "read".into(),
        task_count: tasks,
        chunk_bytes: 8,
        origin: None,
        plan: None,
    };
    feed.record(
        1,
        Record::JobStarted {
            job: JobId(1),
            name: "mosaic".into(),
            layers: Arc::new([layer]),
        },
    );
}

fn tell_finished(feed: &Feed, block: u64) {
    let task = TaskId {
        job: JobId(1),
        layer: LayerId(0),
        block,
    };
    let finished = TaskFinished {
        task,
        worker: WorkerId(1),
        attempt: 0,
        slot: 0,
        started_us: block,
        duration_us: 1,
        fetch_us: 0,
        bytes: 8,
        spilled: false,
    };
    feed.record(block + 1, Record::TaskFinished(finished));
}

/// Sends one request and reads the whole answer.
async fn ask(handle: &DashboardHandle, request: &str) -> String {
    let mut socket = TcpStream::connect(handle.address()).await.expect("it listens");
    socket.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = Vec::new();
    timeout(DEADLINE, socket.read_to_end(&mut answer))
        .await
        .expect("in time")
        .expect("it answers");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn fetch(handle: &DashboardHandle, path: &str, headers: &str) -> String {
    ask(
        handle,
        &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"),
    )
    .await
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// Reads server-sent events, each one a frame.
struct Events(BufReader<TcpStream>);

impl Events {
    async fn open(handle: &DashboardHandle) -> Self {
        let mut socket = TcpStream::connect(handle.address()).await.expect("it listens");
        let request = "GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
        socket.write_all(request.as_bytes()).await.expect("it reads");
        Self(BufReader::new(socket))
    }

    /// The next frame's JSON; `None` at the end of the stream.
    async fn next(&mut self) -> Option<String> {
        let mut line = String::new();
        loop {
            line.clear();
            let read = timeout(DEADLINE, self.0.read_line(&mut line))
                .await
                .expect("in time")
                .expect("it answers");
            if read == 0 {
                return None;
            }
            if let Some(start) = line.find("data: ") {
                return Some(Self::whole(&mut self.0, line[start + 6..].to_owned()).await);
            }
            // The pieces of an event may come in chunks of their own.
            if line.starts_with('{') {
                return Some(line.trim().to_owned());
            }
        }
    }

    async fn whole(reader: &mut BufReader<TcpStream>, mut data: String) -> String {
        while !data.trim_start().starts_with('{') || !data.trim_end().ends_with('}') {
            data.clear();
            timeout(DEADLINE, reader.read_line(&mut data))
                .await
                .expect("in time")
                .expect("it answers");
        }
        data.trim().to_owned()
    }
}

#[tokio::test]
async fn files_travel_compressed_to_who_takes_them_so() {
    let (_feed, handle) = start().await;
    let whole = fetch(&handle, "/assets/app.js", "").await;
    for refusing in ["", "Accept-Encoding: br\r\n", "Accept-Encoding: gzip;q=0, br\r\n"] {
        let plain = fetch(&handle, "/assets/app.js", refusing).await;
        assert!(!plain.contains("content-encoding"), "{refusing}");
        assert!(plain.contains("vary: Accept-Encoding"));
    }
    let gzip = fetch(&handle, "/assets/app.js", "Accept-Encoding: br, gzip\r\n").await;
    assert!(gzip.contains("content-encoding: gzip"));
    let told = |answer: &str, name: &str| {
        let value = answer.lines().find_map(|line| line.strip_prefix(name));
        value.expect("a header").to_owned()
    };
    let bytes = |answer: &str| {
        told(answer, "content-length: ")
            .parse::<usize>()
            .expect("a number")
    };
    assert!(
        bytes(&gzip) * 2 < bytes(&whole),
        "{} of {}",
        bytes(&gzip),
        bytes(&whole)
    );
    let tag = |answer: &str| told(answer, "etag: ");
    assert_ne!(tag(&gzip), tag(&whole));
    let again = format!("Accept-Encoding: gzip\r\nIf-None-Match: {}\r\n", tag(&gzip));
    assert!(
        fetch(&handle, "/assets/app.js", &again)
            .await
            .starts_with("HTTP/1.1 304")
    );
    // Fonts are compressed as they are.
    let font = "/assets/ibm-plex-sans-latin-400-normal.woff2";
    let font = fetch(&handle, font, "Accept-Encoding: gzip\r\n").await;
    assert!(font.starts_with("HTTP/1.1 200") && !font.contains("content-encoding"));
}

#[tokio::test]
async fn the_page_comes_with_its_type_its_policy_and_a_tag_that_saves_the_second_trip() {
    let (_feed, handle) = start().await;
    let page = fetch(&handle, "/", "").await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(page.contains("content-type: text/html; charset=utf-8"));
    assert!(page.contains("script-src 'self'"));
    assert!(!page.contains("<script>"), "no inline script");
    let tag = page
        .lines()
        .find_map(|line| line.strip_prefix("etag: "))
        .expect("a tag");
    let again = fetch(&handle, "/", &format!("If-None-Match: {tag}\r\n")).await;
    assert!(again.starts_with("HTTP/1.1 304"), "{again}");
    for (path, content_type) in [("app.js", "text/javascript"), ("app.css", "text/css")] {
        let asset = fetch(&handle, &format!("/assets/{path}"), "").await;
        assert!(
            asset.starts_with("HTTP/1.1 200") && asset.contains(content_type),
            "{path}"
        );
    }
    assert!(
        fetch(&handle, "/assets/../Cargo.toml", "")
            .await
            .starts_with("HTTP/1.1 404")
    );
    assert!(
        fetch(&handle, "/assets/nothing.js", "")
            .await
            .starts_with("HTTP/1.1 404")
    );
    handle.shutdown().await;
}

#[tokio::test]
async fn files_of_this_build_are_kept_and_those_of_another_are_refused() {
    let (_feed, handle) = start().await;
    let page = fetch(&handle, "/", "").await;
    assert!(
        page.contains("cache-control: no-cache"),
        "the page is asked for anew"
    );
    let (_, rest) = page.split_once("src=\"./assets/").expect("a script");
    let (build, _) = rest.split_once("/app.js\"").expect("the build before its name");
    for part in [
        "app.js",
        "app.css",
        "Timeline.js",
        "ibm-plex-sans-latin-400-normal.woff2",
    ] {
        let kept = fetch(&handle, &format!("/assets/{build}/{part}"), "").await;
        assert!(
            kept.starts_with("HTTP/1.1 200") && kept.contains("immutable"),
            "{part}: {kept}"
        );
    }
    let other = fetch(&handle, "/assets/0123456789abcdef/Timeline.js", "").await;
    assert!(
        other.starts_with("HTTP/1.1 404") && other.contains("reload the page"),
        "{other}"
    );
    assert!(!other.contains("immutable"), "{other}");
    let report = fetch(&handle, &format!("/assets/{build}/report.js"), "").await;
    assert!(report.starts_with("HTTP/1.1 404"), "it is for reports alone");
    handle.shutdown().await;
}

#[tokio::test]
async fn a_name_that_points_at_loopback_is_turned_away() {
    let (_feed, handle) = start().await;
    let request = "GET /api/snapshot HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert!(ask(&handle, request).await.starts_with("HTTP/1.1 403"));
    let foreign = fetch(&handle, "/api/events", "Origin: http://evil.example\r\n").await;
    assert!(foreign.starts_with("HTTP/1.1 403"));
    let post = "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    assert!(ask(&handle, post).await.starts_with("HTTP/1.1 405"));
    handle.shutdown().await;
}

#[tokio::test]
async fn off_loopback_it_refuses_to_start() {
    let (_feed, receiver) = Feed::new();
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("an address");
    let refused = Dashboard::start(listener, receiver, DashboardOptions::default());
    assert!(matches!(refused, Err(DashboardError::OffLoopback { .. })));
}

#[tokio::test]
async fn a_snapshot_shows_what_was_told_before() {
    let (feed, handle) = start().await;
    tell_job(&feed, 4);
    (0..3).for_each(|block| tell_finished(&feed, block));
    let answer = fetch(&handle, "/api/snapshot", "").await;
    let snapshot: Snapshot = serde_json::from_str(body(&answer)).expect("a snapshot");
    assert_eq!((snapshot.kind, &*snapshot.cluster), (FrameKind::Snapshot, "test"));
    assert_eq!(
        (snapshot.head.done, snapshot.head.total, snapshot.stream.len()),
        (3, 4, 3)
    );
    let health = fetch(&handle, "/api/health", "").await;
    assert!(health.contains("\"status\":\"ok\""), "{health}");
    handle.shutdown().await;
}

#[tokio::test]
async fn a_viewer_follows_to_the_end_and_is_let_go_at_shutdown() {
    let (feed, handle) = start().await;
    let mut events = Events::open(&handle).await;
    let first = events.next().await.expect("a snapshot");
    let mut view: Snapshot = serde_json::from_str(&first).expect("a snapshot");
    assert_eq!(view.head.total, 0);
    tell_job(&feed, 200);
    for block in 0..200 {
        tell_finished(&feed, block);
        tokio::task::yield_now().await;
    }
    feed.record(
        900,
        Record::JobEnded {
            job: JobId(1),
            outcome: JobOutcome::Succeeded,
            finished: None,
        },
    );
    while view.jobs.first().is_none_or(|job| job.ended_us.is_none()) {
        let frame = events.next().await.expect("a delta");
        let delta: Delta = serde_json::from_str(&frame).expect("a delta");
        view.apply(&delta).expect("no gap");
    }
    assert_eq!((view.head.done, view.stream.len()), (200, 200));
    handle.shutdown().await;
    while events.next().await.is_some() {}
}

#[tokio::test]
async fn a_socket_is_upgraded_and_gets_a_snapshot_first() {
    let (_feed, handle) = start().await;
    let mut socket = TcpStream::connect(handle.address()).await.expect("it listens");
    let upgrade = "GET /api/live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(upgrade.as_bytes()).await.expect("it reads");
    let mut seen = Vec::new();
    let needle = b"\"kind\":\"snapshot\"";
    while !seen.windows(needle.len()).any(|window| window == needle) {
        let read = timeout(DEADLINE, socket.read_buf(&mut seen))
            .await
            .expect("in time")
            .expect("it answers");
        assert_ne!(read, 0, "{}", String::from_utf8_lossy(&seen));
    }
    assert!(seen.starts_with(b"HTTP/1.1 101"));
    timeout(DEADLINE, handle.shutdown())
        .await
        .expect("a viewer does not hold the shutdown up");
}

#[tokio::test]
async fn viewers_that_never_read_hold_nobody_up() {
    let (feed, handle) = start().await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(Events::open(&handle).await);
    }
    let mut events = Events::open(&handle).await;
    let first = events.next().await.expect("a snapshot");
    let mut view: Snapshot = serde_json::from_str(&first).expect("a snapshot");
    tell_job(&feed, 60_000);
    (0..60_000).for_each(|block| tell_finished(&feed, block));
    while view.head.done < 60_000 {
        let frame = events.next().await.expect("a frame");
        match serde_json::from_str::<Delta>(&frame) {
            Ok(delta) => view.apply(&delta).expect("no gap"),
            Err(_) => view = serde_json::from_str(&frame).expect("a fresh snapshot"),
        }
    }
    assert_eq!((feed.dropped_count(), view.head.dropped), (0, 0));
    handle.shutdown().await;
}

/// Reads until `needle` was seen.
async fn read_until(socket: &mut TcpStream, needle: &[u8]) -> Vec<u8> {
    let mut seen = Vec::new();
    while !seen.windows(needle.len()).any(|window| window == needle) {
        let read = timeout(DEADLINE, socket.read_buf(&mut seen))
            .await
            .expect("in time")
            .expect("it answers");
        assert_ne!(read, 0, "{}", String::from_utf8_lossy(&seen));
    }
    seen
}

#[tokio::test]
async fn topics_and_questions_about_what_is_not_there_are_no() {
    let (_feed, handle) = start().await;
    for path in [
        "/api/plans/0",
        "/api/blocks/0/0",
        "/api/events/arrays/3",
        "/api/timeline/tiles/99/0",
        "/api/worker/0/0",
    ] {
        assert!(
            fetch(&handle, path, "").await.starts_with("HTTP/1.1 404"),
            "{path}"
        );
    }
    for path in [
        "/api/plans/-1",
        "/api/blocks/x/0",
        "/api/timeline/tiles/1/1e9",
        "/api/workers/height/up/0",
        "/api/workers/name/sideways/0",
        "/api/memory/-1",
    ] {
        assert!(
            fetch(&handle, path, "").await.starts_with("HTTP/1.1 400"),
            "{path}"
        );
    }
    let nothing = fetch(&handle, "/api/timeline", "").await;
    assert!(body(&nothing).contains("\"tasks\":0"), "{nothing}");
    for (path, empty) in [
        ("/api/workers/managed/down/0", "\"rows\":[]"),
        ("/api/memory/9", "\"holders\":[]"),
        ("/api/scaling", "\"lives\":[]"),
    ] {
        let answer = fetch(&handle, path, "").await;
        assert!(body(&answer).contains(empty), "{answer}");
    }
    handle.shutdown().await;
}

#[tokio::test]
async fn the_arrays_of_a_job_are_followed_by_events_in_base64() {
    let (feed, handle) = start().await;
    tell_job(&feed, 3);
    let mut socket = TcpStream::connect(handle.address()).await.expect("it listens");
    let request = "GET /api/events/arrays/0 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    socket.write_all(request.as_bytes()).await.expect("it reads");
    // A snapshot of format 2: seq 0, one array, layer 0, three cells, all of them 0.
    read_until(&mut socket, b"AgAAAQADAAEAAwYABgAGAAYABgA=").await;
    tell_finished(&feed, 1);
    read_until(&mut socket, b"data: ").await;
    let block = fetch(&handle, "/api/blocks/0/1", "").await;
    assert!(body(&block).contains("\"state\":\"held\""), "{block}");
    let tasks = fetch(&handle, "/api/timeline/tasks/0/100", "").await;
    assert!(body(&tasks).starts_with("{\"tasks\":[[0,1,"), "{tasks}");
    let sums = fetch(&handle, "/api/timeline/sums/0/100/0/0/9/9", "").await;
    assert!(body(&sums).contains("\"tasks\":1"), "{sums}");
    timeout(DEADLINE, handle.shutdown())
        .await
        .expect("a viewer does not hold the shutdown up");
}

#[tokio::test]
async fn its_panels_are_listed_as_dasks_extension_for_jupyterlab_asks_for_them() {
    let (_feed, handle) = start().await;
    let answer = fetch(&handle, "/individual-plots.json", "").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let panels: BTreeMap<String, String> = serde_json::from_str(body(&answer)).expect("titles and addresses");
    assert_eq!(panels["Timeline"], "#/timeline?embedded");
    // Relative, since the extension puts the address that it was given before them.
    assert!(
        panels
            .values()
            .all(|path| path.starts_with("#/") && path.ends_with("?embedded"))
    );
    handle.shutdown().await;
}
