use graticule_plan::Digest;

/// A file of the page, built from `web/` and part of the binary.
#[derive(Debug)]
pub(crate) struct Asset {
    /// Its path below the page's address.
    pub(crate) path: &'static str,
    /// Its media type.
    pub(crate) content_type: &'static str,
    /// Its content.
    pub(crate) content: &'static [u8],
}

macro_rules! assets {
    ($($path:literal: $content_type:literal),+ $(,)?) => {
        &[$(Asset {
            path: $path,
            content_type: $content_type,
            content: include_bytes!(concat!("../web/dist/", $path)),
        }),+]
    };
}

/// All files. Their names are stable, so this list changes only when a file is added.
pub(crate) const ASSETS: &[Asset] = assets! {
    "index.html": "text/html; charset=utf-8",
    "assets/app.js": "text/javascript; charset=utf-8",
    "assets/app.css": "text/css; charset=utf-8",
    "assets/ibm-plex-sans-latin-400-normal.woff2": "font/woff2",
    "assets/ibm-plex-sans-latin-600-normal.woff2": "font/woff2",
    "assets/mark.svg": "image/svg+xml",
    "assets/plex-licence.txt": "text/plain; charset=utf-8",
};

/// The asset at `path`.
pub(crate) fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

impl Asset {
    /// The entity tag of the content.
    pub(crate) fn etag(&self) -> String {
        format!("\"{}\"", Digest::of(self.content))
    }
}
