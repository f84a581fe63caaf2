use std::{
    borrow::Cow,
    io::Write,
    sync::{LazyLock, OnceLock},
};

use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use graticule_plan::Digest;

/// A file of the page, built from `web/` and part of the binary.
#[derive(Debug)]
pub(crate) struct Asset {
    /// Its path below the page's address.
    pub(crate) path: &'static str,
    /// Its media type.
    pub(crate) content_type: &'static str,
    /// Its content.
    pub(crate) content: Cow<'static, [u8]>,
    compressed: OnceLock<Option<Bytes>>,
}

macro_rules! assets {
    ($($path:literal: $content_type:literal),+ $(,)?) => {
        [$(Asset {
            path: $path,
            content_type: $content_type,
            content: Cow::Borrowed(include_bytes!(concat!("../web/dist/", $path))),
            compressed: OnceLock::new(),
        }),+]
    };
}

/// All files. Their names are stable, so this list changes only when a file is added.
pub(crate) static ASSETS: [Asset; 21] = assets! {
    "index.html": "text/html; charset=utf-8",
    "assets/app.js": "text/javascript; charset=utf-8",
    "assets/Arrays.js": "text/javascript; charset=utf-8",
    "assets/Communication.js": "text/javascript; charset=utf-8",
    "assets/Expression.js": "text/javascript; charset=utf-8",
    "assets/Insights.js": "text/javascript; charset=utf-8",
    "assets/Logs.js": "text/javascript; charset=utf-8",
    "assets/Memory.js": "text/javascript; charset=utf-8",
    "assets/Runs.js": "text/javascript; charset=utf-8",
    "assets/Scaling.js": "text/javascript; charset=utf-8",
    "assets/Task.js": "text/javascript; charset=utf-8",
    "assets/Timeline.js": "text/javascript; charset=utf-8",
    "assets/Worker.js": "text/javascript; charset=utf-8",
    "assets/Workers.js": "text/javascript; charset=utf-8",
    "assets/replaying.js": "text/javascript; charset=utf-8",
    "assets/shared.js": "text/javascript; charset=utf-8",
    "assets/app.css": "text/css; charset=utf-8",
    "assets/ibm-plex-sans-latin-400-normal.woff2": "font/woff2",
    "assets/ibm-plex-sans-latin-600-normal.woff2": "font/woff2",
    "assets/mark.svg": "image/svg+xml",
    "assets/plex-licence.txt": "text/plain; charset=utf-8",
};

/// The script of reports, which has all parts of the page in one. It is not served.
pub(crate) const REPORT_SCRIPT: &str = include_str!("../web/dist/assets/report.js");

/// Digits of a build's name.
const BUILD_LEN: usize = 16;

/// What the files of this build are called together: it stands in their addresses, so that a page which is open never
/// gets a part of another build, and browsers keep what they have.
static BUILD: LazyLock<String> = LazyLock::new(|| {
    let digests: String = ASSETS.iter().map(Asset::etag).collect();
    let mut name = Digest::of(digests.as_bytes()).to_string();
    name.truncate(BUILD_LEN);
    name
});

/// The page itself, which names the files of this build.
static PAGE: LazyLock<Option<Asset>> = LazyLock::new(|| {
    let page = find("index.html")?;
    let text = String::from_utf8_lossy(&page.content).replace("./assets/", &format!("./assets/{}/", *BUILD));
    Some(Asset {
        path: page.path,
        content_type: page.content_type,
        content: Cow::Owned(text.into_bytes()),
        compressed: OnceLock::new(),
    })
});

/// The asset at `path`.
pub(crate) fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

/// The routes of the page's files.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(page))
        .route("/assets/{*path}", get(asset))
}

async fn page(headers: HeaderMap) -> Response {
    match &*PAGE {
        Some(asset) => serve_asset(asset, ASKED_ANEW, &headers),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    let (name, caching) = match path.split_once('/') {
        Some((build, name)) if build == *BUILD => (name, KEPT),
        Some(_) => return gone(),
        None => (&*path, ASKED_ANEW),
    };
    match find(&format!("assets/{name}")) {
        Some(asset) => serve_asset(asset, caching, &headers),
        None => (StatusCode::NOT_FOUND, ASKED_ANEW_HEADER, "no such file\n").into_response(),
    }
}

/// A file of another build, for a page that was opened before the scheduler was replaced.
fn gone() -> Response {
    let told = "this file belongs to another release than the one that runs: reload the page\n";
    (StatusCode::NOT_FOUND, ASKED_ANEW_HEADER, told).into_response()
}

/// A browser asks each time, and is told by the tag that it has the file already.
const ASKED_ANEW: &str = "no-cache";

const ASKED_ANEW_HEADER: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, ASKED_ANEW)];

/// What is at an address that names its build never changes.
const KEPT: &str = "public, max-age=31536000, immutable";

fn serve_asset(asset: &'static Asset, caching: &str, headers: &HeaderMap) -> Response {
    let text_of = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let takes_gzip = text_of(header::ACCEPT_ENCODING).is_some_and(accepts_gzip);
    let compressed = asset.compressed().filter(|_| takes_gzip);
    let etag = match compressed {
        Some(_) => asset.etag().replacen('"', "\"gzip-", 1),
        None => asset.etag(),
    };
    let caching = [
        (header::ETAG, etag.clone()),
        (header::CACHE_CONTROL, caching.to_owned()),
        (header::VARY, "Accept-Encoding".to_owned()),
    ];
    if text_of(header::IF_NONE_MATCH).is_some_and(|tags| {
        tags.split(',')
            .any(|tag| tag.trim().trim_start_matches("W/") == etag)
    }) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    let kind = [(header::CONTENT_TYPE, asset.content_type)];
    match compressed {
        Some(content) => (caching, kind, [(header::CONTENT_ENCODING, "gzip")], content).into_response(),
        None => (caching, kind, &*asset.content).into_response(),
    }
}

/// Whether gzip is among the encodings, and not with the weight 0.
fn accepts_gzip(encodings: &str) -> bool {
    encodings.split(',').any(|encoding| {
        let mut parts = encoding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let is_refused = parts.any(|part| {
            part.strip_prefix("q=")
                .is_some_and(|weight| weight.parse() == Ok(0.0))
        });
        is_gzip && !is_refused
    })
}

impl Asset {
    /// The content as gzip, if that is shorter. It is made when it is asked for the first time.
    pub(crate) fn compressed(&self) -> Option<Bytes> {
        let made = self.compressed.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&self.content).ok()?;
            let made = encoder.finish().ok()?;
            (made.len() < self.content.len()).then(|| made.into())
        });
        made.clone()
    }

    /// The entity tag of the content.
    pub(crate) fn etag(&self) -> String {
        format!("\"{}\"", Digest::of(&self.content))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path as FilePath};

    use super::*;

    #[test]
    fn every_built_file_is_embedded_and_what_comes_at_once_stays_small() {
        let dist = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("web/dist");
        let names = |folder: &str| -> Vec<String> {
            fs::read_dir(dist.join(folder))
                .expect("the page is built")
                .map(|entry| entry.expect("readable").path())
                .filter(|path| path.is_file())
                .map(|path| format!("{folder}{}", path.file_name().expect("a file").to_string_lossy()))
                .collect()
        };
        let built: BTreeSet<String> = names("").into_iter().chain(names("assets/")).collect();
        let served = ASSETS.iter().map(|asset| asset.path.to_owned());
        let embedded: BTreeSet<String> = served.chain(["assets/report.js".to_owned()]).collect();
        assert_eq!(built, embedded);
        let travelling = |asset: &Asset| asset.compressed().map_or(asset.content.len(), |made| made.len());
        let is_part = |asset: &&Asset| asset.path.ends_with(".js") && !asset.path.ends_with("app.js");
        let (parts, first): (Vec<&Asset>, Vec<&Asset>) = ASSETS.iter().partition(is_part);
        let bytes: usize = first.into_iter().map(travelling).sum();
        assert!(bytes <= 110_000, "{bytes}");
        for part in &parts {
            let bytes = travelling(part);
            assert!(bytes <= 15_000, "{} has {bytes}", part.path);
        }
        // So that a script which needs none of them at once is not held back by them.
        let app = String::from_utf8_lossy(&find("assets/app.js").expect("it is there").content).into_owned();
        assert!(!app.contains("from\"./") && parts.len() > 2);
    }
}
