//! The history of runs over HTTP, and a single run of a file.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, thread};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use tokio::{net::TcpListener, sync::Semaphore};
use tracing::warn;

use super::{Archive, RunKey, folder::Folder};
use crate::{
    DashboardError,
    guard::{self, Guard},
    hub::Hub,
};

/// Films and reports that are made at a time: each takes a core, and memory for all its tasks.
const MAKER_COUNT_MAX: usize = 2;

/// Runs that may wait to be written.
const WRITE_COUNT_MAX: usize = 4;

/// The runs of a cluster: in memory, and on disk if there is a folder.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    hub: Hub,
    folder: Option<Arc<Folder>>,
    makers: Arc<Semaphore>,
}

/// Takes the runs that end. Full or gone, the run stays in memory alone.
pub(crate) type RunWriter = std::sync::mpsc::SyncSender<(RunKey, Archive)>;

/// Opens the folder and starts the thread that writes to it.
pub(crate) fn open_folder(path: PathBuf) -> Result<(Arc<Folder>, RunWriter), DashboardError> {
    let failed = |source| DashboardError::Runs {
        path: path.clone(),
        source,
    };
    let folder = Arc::new(Folder::open(&path).map_err(failed)?);
    let (writer, ended) = std::sync::mpsc::sync_channel::<(RunKey, Archive)>(WRITE_COUNT_MAX);
    let of_thread = folder.clone();
    thread::Builder::new()
        .name("graticule-runs".into())
        .spawn(move || {
            for (key, archive) in ended {
                if let Err(error) = of_thread.write(key, &archive) {
                    warn!(%error, "a run could not be written");
                }
            }
        })
        .map_err(failed)?;
    Ok((folder, writer))
}

impl Shelf {
    pub(crate) fn new(hub: Hub, folder: Option<Arc<Folder>>) -> Self {
        Self {
            hub,
            folder,
            makers: Arc::new(Semaphore::new(MAKER_COUNT_MAX)),
        }
    }

    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/api/runs", get(list))
            .route("/api/runs/{key}/film", get(film))
            .route("/api/runs/{key}/report.html", get(report))
            .route("/api/runs/{key}/run.graticule", get(file))
            .with_state(self)
    }

    async fn archive(&self, key: RunKey) -> Option<Archive> {
        if let Some(archive) = self.hub.archive(key).await {
            return Some(archive);
        }
        let folder = self.folder.clone()?;
        tokio::task::spawn_blocking(move || folder.read(key)).await.ok()?
    }

    /// What `make` makes of a run, a few at a time; `None` if there is no such run.
    async fn made(&self, key: RunKey, make: fn(&Archive) -> Vec<u8>) -> Option<Vec<u8>> {
        let _turn = self.makers.acquire().await.ok()?;
        let archive = self.archive(key).await?;
        tokio::task::spawn_blocking(move || make(&archive)).await.ok()
    }
}

async fn list(State(shelf): State<Shelf>) -> Response {
    let Some(mut runs) = shelf.hub.runs().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    if let Some(folder) = &shelf.folder {
        let kept = folder.rows().into_iter();
        let others: Vec<_> = kept
            .filter(|row| !runs.iter().any(|run| run.k == row.k))
            .collect();
        runs.extend(others);
    }
    runs.sort_by_key(|run| std::cmp::Reverse((run.began_unix_ms, run.k)));
    let body = json!({ "runs": runs, "on_disk": shelf.folder.is_some() });
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

fn no_such_run() -> Response {
    (StatusCode::NOT_FOUND, "no such run, or it is no longer kept\n").into_response()
}

async fn film(Path(key): Path<RunKey>, State(shelf): State<Shelf>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    match shelf.made(key, Archive::film).await {
        Some(film) => (headers, film).into_response(),
        None => no_such_run(),
    }
}

async fn report(Path(key): Path<RunKey>, State(shelf): State<Shelf>) -> Response {
    let report = shelf.made(key, Archive::report).await;
    download(report, "text/html; charset=utf-8", &format!("run-{key}.html"))
}

async fn file(Path(key): Path<RunKey>, State(shelf): State<Shelf>) -> Response {
    let file = shelf.made(key, Archive::encode).await;
    download(file, "application/octet-stream", &format!("run-{key}.graticule"))
}

fn download(content: Option<Vec<u8>>, kind: &'static str, name: &str) -> Response {
    let Some(content) = content else {
        return no_such_run();
    };
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
    ];
    (headers, content).into_response()
}

/// Serves the report of one archive until `stop` resolves.
///
/// # Errors
/// [`DashboardError::OffLoopback`] if other machines would reach it, [`DashboardError::Io`].
pub async fn serve_report(
    listener: TcpListener,
    report: Vec<u8>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), DashboardError> {
    let failed = |what| move |source| DashboardError::Io { what, source };
    let address: SocketAddr = listener
        .local_addr()
        .map_err(failed("read the listener's address"))?;
    if !address.ip().is_loopback() {
        return Err(DashboardError::OffLoopback { address });
    }
    let report = bytes::Bytes::from(report);
    // The report says itself what it may do, and that is less than what the header of other pages allows.
    let policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; font-src data:; img-src data:";
    let page = move || async move {
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, policy),
        ];
        (headers, report.clone()).into_response()
    };
    let guard = Guard {
        host_names: Arc::new([address.ip().to_string()]),
    };
    let router = Router::new()
        .route("/", get(page))
        .layer(middleware::from_fn_with_state(guard, guard::check));
    axum::serve(listener, router)
        .with_graceful_shutdown(stop)
        .await
        .map_err(failed("serve the report"))
}
