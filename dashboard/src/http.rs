use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{
        Path, State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use futures::{SinkExt, StreamExt, stream};
use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch},
    task::JoinHandle,
    time::timeout,
};
use tracing::{info, warn};

use crate::{
    DashboardError, FeedReceiver,
    aggregate::{FORMAT_VERSION, RowKey},
    answers, assets,
    encoded::Frame,
    guard::{self, Guard},
    hub::{Hub, Question, Topic},
    panels,
    reasons::{Explainer, Reasons},
    runs::{Recording, Shelf, open_folder},
};

/// Viewers that may follow at once; more are asked to come back later.
pub const VIEWER_COUNT_MAX: usize = 1_024;

/// A viewer whose connection takes no byte for this long is let go.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);

/// A viewer that fell behind gets fresh snapshots no more often than this.
const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(2);

/// Bytes that a viewer may send: it has nothing to say beyond control frames.
const VIEWER_MESSAGE_BYTES_MAX: usize = 1_024;

/// How long a shutdown waits for viewers to let go.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// What the dashboard needs to know.
#[derive(Debug, Clone)]
pub struct DashboardOptions {
    /// The cluster's name, shown on top of the page.
    pub cluster: Arc<str>,
    /// The cluster's start: the records' times count from here.
    pub started: Instant,
    /// Host names beside the loopback ones by which the page may be asked for, such as that of a proxy.
    pub host_names: Vec<String>,
    /// Whether to listen where other machines reach it, although there is neither TLS nor a login yet. For
    /// containers whose network is closed.
    pub allow_off_loopback: bool,
    /// The folder to which runs are written when they end; without one the last ones stay in memory alone.
    pub runs: Option<PathBuf>,
}

impl Default for DashboardOptions {
    fn default() -> Self {
        Self {
            cluster: "local".into(),
            started: Instant::now(),
            host_names: Vec::new(),
            allow_off_loopback: false,
            runs: None,
        }
    }
}

/// The dashboard's parts, before they serve.
#[derive(Debug)]
pub struct Dashboard {
    watch: Watch,
    shelf: Shelf,
    thread: thread::JoinHandle<()>,
}

/// A dashboard that serves. Dropping it stops serving without waiting for anything; prefer
/// [`shutdown`](Self::shutdown).
#[derive(Debug)]
pub struct DashboardHandle {
    address: SocketAddr,
    hub: Hub,
    reasons: Reasons,
    viewers: Arc<Semaphore>,
    stop: watch::Sender<bool>,
    server: JoinHandle<io::Result<()>>,
    /// Who asks why tasks are where they are.
    desk: JoinHandle<()>,
    thread: Option<thread::JoinHandle<()>>,
}

/// What handlers share.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    pub(crate) hub: Hub,
    pub(crate) reasons: Reasons,
    viewers: Arc<Semaphore>,
    started: Instant,
    guard: Guard,
}

impl Dashboard {
    /// Serves the page on `listener` until the handle is shut down. Call within a tokio runtime.
    ///
    /// Records are taken in on a thread of their own, whether or not anybody watches.
    ///
    /// # Errors
    /// [`DashboardError::OffLoopback`] if other machines would reach it and the options do not say that they may;
    /// [`DashboardError::Io`] if the listener or a thread cannot be had.
    pub fn start(
        listener: TcpListener,
        receiver: FeedReceiver,
        options: DashboardOptions,
    ) -> Result<DashboardHandle, DashboardError> {
        let address = listener.local_addr().map_err(|source| DashboardError::Io {
            what: "read the dashboard's address",
            source,
        })?;
        if !address.ip().is_loopback() && !options.allow_off_loopback {
            return Err(DashboardError::OffLoopback { address });
        }
        let (dashboard, desk) = Self::new(receiver, options, address.ip())?;
        let desk = tokio::spawn(desk);
        let router = dashboard.router();
        let (stop, mut stopping) = watch::channel(false);
        let server = tokio::spawn(async move {
            let stopped = async move {
                // An error means that the handle was dropped, which is the same wish.
                let _ = stopping.wait_for(|stop| *stop).await;
            };
            axum::serve(listener, router)
                .with_graceful_shutdown(stopped)
                .await
        });
        info!(%address, "dashboard listens");
        let Watch {
            hub,
            reasons,
            viewers,
            ..
        } = dashboard.watch;
        Ok(DashboardHandle {
            address,
            hub,
            reasons,
            viewers,
            stop,
            server,
            desk,
            thread: Some(dashboard.thread),
        })
    }

    /// Starts to take records in; the second value is to be run beside it. `bound` is the address the page will be asked for
    /// at: it becomes one of the host names by which it may be.
    fn new(
        receiver: FeedReceiver,
        options: DashboardOptions,
        bound: IpAddr,
    ) -> Result<(Self, impl Future<Output = ()> + Send), DashboardError> {
        let (folder, writer) = match options.runs {
            Some(path) => open_folder(path).map(|(folder, writer)| (Some(folder), Some(writer)))?,
            None => (None, None),
        };
        let first_key = folder.as_ref().map_or(1, |folder| folder.next_key());
        let writer = writer.map(|writer| (first_key, writer));
        let (hub, thread) = Hub::start(receiver, &options.cluster, options.started, writer)?;
        let shelf = Shelf::new(hub.clone(), folder);
        let mut host_names: Vec<String> = options
            .host_names
            .iter()
            .map(|name| name.to_ascii_lowercase())
            .collect();
        if !bound.is_unspecified() {
            host_names.push(bound.to_string());
        }
        let (reasons, desk) = Reasons::new(hub.clone());
        let watch = Watch {
            hub,
            reasons,
            viewers: Arc::new(Semaphore::new(VIEWER_COUNT_MAX)),
            started: options.started,
            guard: Guard::new(host_names),
        };
        let dashboard = Self { watch, shelf, thread };
        Ok((dashboard, desk))
    }

    /// The routes of the page.
    fn router(&self) -> Router {
        Router::new()
            .route("/api/snapshot", get(snapshot))
            .route("/api/live", get(live))
            .route("/api/live/arrays/{job}", get(live_arrays))
            .route("/api/events", get(events))
            .route("/api/events/arrays/{job}", get(events_arrays))
            .merge(assets::routes())
            .merge(answers::routes())
            .merge(panels::routes())
            .route("/metrics", get(metrics))
            .route("/api/health", get(health))
            .with_state(self.watch.clone())
            .merge(self.shelf.clone().router())
            .layer(middleware::from_fn_with_state(
                self.watch.guard.clone(),
                guard::check,
            ))
    }
}

impl DashboardHandle {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to open in a browser.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Has pages ask `explainer` why tasks are where they are; without one they say what follows from the tables. The first
    /// one stays.
    pub fn ask_of(&self, explainer: Arc<dyn Explainer>) {
        self.reasons.ask_of(explainer);
    }

    /// Reaches what it keeps of runs.
    pub fn recording(&self) -> Recording {
        Recording::of(self.hub.clone())
    }

    /// Says good-bye to viewers, stops listening and joins the aggregator's thread.
    pub async fn shutdown(mut self) {
        self.hub.stop();
        self.stop.send_replace(true);
        let everyone = self.viewers.acquire_many(VIEWER_COUNT_MAX as u32);
        if timeout(SHUTDOWN_GRACE, everyone).await.is_err() {
            warn!("dashboard viewers did not let go in time");
        }
        if timeout(SHUTDOWN_GRACE, &mut self.server).await.is_err() {
            self.server.abort();
        }
        self.desk.abort();
        // It owns nothing that is still to be done, and was told to end.
        let _ = (&mut self.desk).await;
        if let Some(thread) = self.thread.take() {
            // The thread was told to stop; it ends within one tick. A panic there was reported by its hook.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for DashboardHandle {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.desk.abort();
        if self.thread.is_some() {
            self.hub.stop();
        }
    }
}

pub(crate) const FRESH_JSON: [(header::HeaderName, &str); 2] = [
    (header::CONTENT_TYPE, "application/json"),
    (header::CACHE_CONTROL, "no-store"),
];

async fn snapshot(State(watch): State<Watch>) -> Response {
    match watch.hub.snapshot(Topic::Cluster).await {
        Some(frame) => (FRESH_JSON, frame.into_text()).into_response(),
        None => busy(),
    }
}

/// Prometheus' text format.
async fn metrics(State(watch): State<Watch>) -> Response {
    let viewers = VIEWER_COUNT_MAX - watch.viewers.available_permits();
    let headers = [
        (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    match watch.hub.ask(Question::Metrics { viewers }).await {
        Some(text) => (headers, text).into_response(),
        None => busy(),
    }
}

async fn health(State(watch): State<Watch>) -> Response {
    let is_serving = watch.hub.is_serving();
    let status = if is_serving {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = json!({
        "status": if is_serving { "ok" } else { "stopping" },
        "format": FORMAT_VERSION,
        "version": env!("CARGO_PKG_VERSION"),
        "viewers": VIEWER_COUNT_MAX - watch.viewers.available_permits(),
        "uptime_s": watch.started.elapsed().as_secs(),
    });
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

pub(crate) fn busy() -> Response {
    let retry = [(header::RETRY_AFTER, HeaderValue::from_static("2"))];
    (
        StatusCode::SERVICE_UNAVAILABLE,
        retry,
        "too many viewers, or the dashboard is stopping\n",
    )
        .into_response()
}

async fn live(State(watch): State<Watch>, upgrade: WebSocketUpgrade) -> Response {
    follow_live(&watch, Topic::Cluster, upgrade).await
}

async fn live_arrays(
    Path(job): Path<RowKey>,
    State(watch): State<Watch>,
    upgrade: WebSocketUpgrade,
) -> Response {
    follow_live(&watch, Topic::Arrays(job), upgrade).await
}

async fn follow_live(watch: &Watch, topic: Topic, upgrade: WebSocketUpgrade) -> Response {
    let viewer = match Viewer::enter(watch, topic).await {
        Ok(viewer) => viewer,
        Err(refusal) => return refusal.into_response(),
    };
    upgrade
        .max_message_size(VIEWER_MESSAGE_BYTES_MAX)
        .max_frame_size(VIEWER_MESSAGE_BYTES_MAX)
        .on_upgrade(move |socket| follow_by_socket(viewer, socket))
}

/// Sends frames until the viewer or the dashboard ends.
async fn follow_by_socket(mut viewer: Viewer, socket: WebSocket) {
    let (mut sink, mut source) = socket.split();
    loop {
        let frame = tokio::select! {
            frame = viewer.next() => frame,
            said = source.next() => match said {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => continue,
            },
        };
        let Some(frame) = frame else {
            // The viewer may be gone already: then there is nobody to say it to.
            let _ = timeout(SEND_TIMEOUT, sink.send(Message::Close(None))).await;
            return;
        };
        match timeout(SEND_TIMEOUT, sink.send(frame.into_message())).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

/// The same frames as server-sent events, for proxies that pass no WebSocket.
async fn events(State(watch): State<Watch>) -> Response {
    follow_events(&watch, Topic::Cluster).await
}

async fn events_arrays(Path(job): Path<RowKey>, State(watch): State<Watch>) -> Response {
    follow_events(&watch, Topic::Arrays(job)).await
}

async fn follow_events(watch: &Watch, topic: Topic) -> Response {
    let viewer = match Viewer::enter(watch, topic).await {
        Ok(viewer) => viewer,
        Err(refusal) => return refusal.into_response(),
    };
    let frames = stream::unfold(viewer, |mut viewer| async move {
        let frame = viewer.next().await?;
        Some((frame, viewer))
    });
    // Three pieces, so that the frame itself is never copied. JSON as written has no line break.
    let pieces = frames.flat_map(|frame| {
        let event = [
            Bytes::from_static(b"data: "),
            frame.into_text(),
            Bytes::from_static(b"\n\n"),
        ];
        stream::iter(event.map(Ok::<_, io::Error>))
    });
    let headers = [
        (header::CONTENT_TYPE.as_str(), "text/event-stream"),
        (header::CACHE_CONTROL.as_str(), "no-store"),
        ("x-accel-buffering", "no"),
    ];
    (headers, Body::from_stream(pieces)).into_response()
}

/// Why somebody cannot follow.
enum Refusal {
    Busy,
    NoSuchTopic,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Busy => busy(),
            Self::NoSuchTopic => (StatusCode::NOT_FOUND, "no such job\n").into_response(),
        }
    }
}

/// One who follows: first a snapshot, then each frame, and a fresh snapshot after falling behind.
struct Viewer {
    hub: Hub,
    topic: Topic,
    frames: broadcast::Receiver<Frame>,
    /// The number of the last frame sent; `None` when a snapshot is due.
    seq: Option<u64>,
    snapshot_at: Option<Instant>,
    _place: OwnedSemaphorePermit,
}

impl Viewer {
    async fn enter(watch: &Watch, topic: Topic) -> Result<Self, Refusal> {
        let place = watch.viewers.clone().try_acquire_owned();
        let place = place.map_err(|_| Refusal::Busy)?;
        // Followed before the snapshot is asked for, so that no frame between the two is missed.
        let frames = watch.hub.follow(topic).await.ok_or(match topic {
            Topic::Cluster => Refusal::Busy,
            Topic::Arrays(_) => Refusal::NoSuchTopic,
        })?;
        Ok(Self {
            hub: watch.hub.clone(),
            topic,
            frames,
            seq: None,
            snapshot_at: None,
            _place: place,
        })
    }

    /// The frame to send next; `None` once the dashboard stops. Cancel-safe: a frame that is not handed out is not
    /// counted as sent.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            let Some(seq) = self.seq else {
                return self.fresh().await;
            };
            match self.frames.recv().await {
                Ok(frame) if frame.seq <= seq => {}
                Ok(frame) if frame.seq == seq + 1 => {
                    self.seq = Some(frame.seq);
                    return Some(frame);
                }
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => self.seq = None,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    async fn fresh(&mut self) -> Option<Frame> {
        if let Some(last) = self.snapshot_at {
            tokio::time::sleep(SNAPSHOT_INTERVAL.saturating_sub(last.elapsed())).await;
        }
        let frame = self.hub.snapshot(self.topic).await?;
        // What is in the ring by now is older, or follows and is still to come.
        self.seq = Some(frame.seq);
        self.snapshot_at = Some(Instant::now());
        Some(frame)
    }
}
