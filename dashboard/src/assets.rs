use std::{io::Write, sync::OnceLock};

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
    pub(crate) content: &'static [u8],
    compressed: OnceLock<Option<Bytes>>,
}

macro_rules! assets {
    ($($path:literal: $content_type:literal),+ $(,)?) => {
        [$(Asset {
            path: $path,
            content_type: $content_type,
            content: include_bytes!(concat!("../web/dist/", $path)),
            compressed: OnceLock::new(),
        }),+]
    };
}

/// All files. Their names are stable, so this list changes only when a file is added.
pub(crate) static ASSETS: [Asset; 7] = assets! {
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
    /// The content as gzip, if that is shorter. It is made when it is asked for the first time.
    pub(crate) fn compressed(&self) -> Option<Bytes> {
        let made = self.compressed.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(self.content).ok()?;
            let made = encoder.finish().ok()?;
            (made.len() < self.content.len()).then(|| made.into())
        });
        made.clone()
    }

    /// The entity tag of the content.
    pub(crate) fn etag(&self) -> String {
        format!("\"{}\"", Digest::of(self.content))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_built_file_is_embedded_and_the_page_stays_small() {
        let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("web/dist");
        let names = |folder: &str| -> Vec<String> {
            fs::read_dir(dist.join(folder))
                .expect("the page is built")
                .map(|entry| entry.expect("readable").path())
                .filter(|path| path.is_file())
                .map(|path| format!("{folder}{}", path.file_name().expect("a file").to_string_lossy()))
                .collect()
        };
        let built: BTreeSet<String> = names("").into_iter().chain(names("assets/")).collect();
        let embedded: BTreeSet<String> = ASSETS.iter().map(|asset| asset.path.to_owned()).collect();
        assert_eq!(built, embedded);
        let travelling = |asset: &Asset| asset.compressed().map_or(asset.content.len(), |made| made.len());
        let bytes: usize = ASSETS.iter().map(travelling).sum();
        assert!(bytes <= 150_000, "{bytes}");
    }
}
