//! The history of runs over HTTP.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use tokio::sync::Semaphore;
use tracing::warn;

use super::{
    Archive, FOLDER_BYTES_MAX, FOLDER_RUN_COUNT_MAX, RUN_BYTES_MAX, RUN_COUNT_MAX, RunKey, folder::Folder,
};
use crate::{DashboardError, hub::Hub};

/// Films and reports that are made at a time: each takes a core, and memory for all its tasks.
const MAKER_COUNT_MAX: usize = 1;

/// Letters of a job's name in the name of its file.
const NAME_LEN_MAX: usize = 60;

/// Runs that may wait to be written.
const WRITE_COUNT_MAX: usize = 4;

/// The runs of a cluster: in memory, and on disk if there is a folder.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    hub: Hub,
    folder: Option<Arc<Folder>>,
    makers: Arc<Semaphore>,
}

/// Writes the runs that end, on a thread of its own.
#[derive(Debug)]
pub(crate) struct RunWriter {
    ended: SyncSender<(RunKey, Archive)>,
    thread: thread::JoinHandle<()>,
}

impl RunWriter {
    /// Hands a run over and never waits: where the disk does not keep up, the run stays in memory alone.
    pub(crate) fn write(&self, key: RunKey, archive: Archive) {
        if self.ended.try_send((key, archive)).is_err() {
            warn!(run = key, "a run is not written: the disk does not keep up");
        }
    }

    /// Waits until all are written.
    pub(crate) fn finish(self) {
        drop(self.ended);
        // A panic there was reported by its hook.
        let _ = self.thread.join();
    }
}

/// Opens the folder and starts the thread that writes to it.
pub(crate) fn open_folder(path: PathBuf) -> Result<(Arc<Folder>, RunWriter), DashboardError> {
    let failed = |source| DashboardError::Runs {
        path: path.clone(),
        source,
    };
    let folder = Arc::new(Folder::open(&path).map_err(failed)?);
    let (sender, ended) = sync_channel::<(RunKey, Archive)>(WRITE_COUNT_MAX);
    let of_thread = folder.clone();
    let thread = thread::Builder::new()
        .name("graticule-runs".into())
        .spawn(move || {
            for (key, archive) in ended {
                if let Err(error) = of_thread.write(key, &archive) {
                    warn!(%error, "a run could not be written");
                }
            }
        })
        .map_err(failed)?;
    let writer = RunWriter {
        ended: sender,
        thread,
    };
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
            .route("/api/now", get(now))
            .route("/api/reports/{since_us}", get(report_since))
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

    /// What `make` makes of an archive and a name for it, a few at a time; `None` if there is no such archive.
    async fn made(
        &self,
        archive: impl Future<Output = Option<Archive>>,
        make: fn(&Archive) -> Vec<u8>,
    ) -> Option<(String, Vec<u8>)> {
        let _turn = self.makers.acquire().await.ok()?;
        let archive = archive.await?;
        let made = move || (slug(&archive.row(0).name), make(&archive));
        tokio::task::spawn_blocking(made).await.ok()
    }
}

/// A name for a file: lower-case letters, digits and hyphens.
fn slug(name: &str) -> String {
    let mut slug = String::from("run-");
    for letter in name.chars().take(NAME_LEN_MAX) {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter.to_ascii_lowercase());
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

async fn list(State(shelf): State<Shelf>) -> Response {
    let Some(history) = shelf.hub.runs().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let mut runs = history.runs;
    if let Some(folder) = &shelf.folder {
        let kept = folder.rows().into_iter();
        let others: Vec<_> = kept
            .filter(|row| !runs.iter().any(|run| run.k == row.k))
            .collect();
        runs.extend(others);
    }
    runs.sort_by_key(|run| std::cmp::Reverse((run.began_unix_ms, run.k)));
    let folder = shelf.folder.as_ref();
    let body = json!({
        "runs": runs,
        "on_disk": folder.is_some(),
        "forgotten": folder.map_or(history.forgotten, |folder| folder.forgotten()),
        "count_max": folder.map_or(RUN_COUNT_MAX, |_| FOLDER_RUN_COUNT_MAX),
        "bytes_max": folder.map_or(RUN_BYTES_MAX as u64, |_| FOLDER_BYTES_MAX),
    });
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
    match shelf.made(shelf.archive(key), Archive::film).await {
        Some((_, film)) => (headers, film).into_response(),
        None => no_such_run(),
    }
}

/// The time by which [`report_since`] knows this moment, in microseconds.
async fn now(State(shelf): State<Shelf>) -> Response {
    match shelf.hub.now().await {
        Some(now_us) => ([(header::CACHE_CONTROL, "no-store")], Json(now_us)).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// The report of all jobs that ran since then.
async fn report_since(Path(since_us): Path<u64>, State(shelf): State<Shelf>) -> Response {
    let report = shelf.made(shelf.hub.since(since_us), Archive::report).await;
    download(report, "text/html; charset=utf-8", "html")
}

async fn report(Path(key): Path<RunKey>, State(shelf): State<Shelf>) -> Response {
    let report = shelf.made(shelf.archive(key), Archive::report).await;
    download(report, "text/html; charset=utf-8", "html")
}

async fn file(Path(key): Path<RunKey>, State(shelf): State<Shelf>) -> Response {
    let file = shelf.made(shelf.archive(key), Archive::encode).await;
    download(file, "application/octet-stream", "graticule")
}

fn download(made: Option<(String, Vec<u8>)>, kind: &'static str, ending: &str) -> Response {
    let Some((name, content)) = made else {
        return no_such_run();
    };
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}.{ending}\""),
        ),
    ];
    (headers, content).into_response()
}
