use std::{
    fmt,
    path::{Path, PathBuf},
};

use url::Url;

use crate::redact::{has_secret, redact, redact_url};

use super::StoreError;

/// Where a file or a folder lies: a local path or a URL.
///
/// Shows itself without secrets; [`href`](Self::href) has the whole address.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// An absolute path of this machine (or of storage that is mounted everywhere at the same place).
    Local(PathBuf),
    /// `http`, `https`, `s3`, `gs` or `az`.
    Remote(Url),
}

/// Schemes that can be read, given the cargo feature.
const REMOTE_SCHEMES: [&str; 7] = ["http", "https", "s3", "gs", "az", "abfs", "abfss"];

impl Address {
    /// Parses a path, a `file://` URL or another URL. A relative path is taken from the current directory.
    ///
    /// # Errors
    /// [`StoreError::Address`] if it is neither, [`StoreError::Scheme`] if nothing here reads its scheme.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let bad = |why: &str| StoreError::Address {
            address: redact(text),
            why: why.to_owned(),
        };
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        // "C:\data" parses as a URL of scheme "c": only what has "//" is one.
        if !text.contains("://") {
            let path = std::path::absolute(text).map_err(|e| bad(&e.to_string()))?;
            return Ok(Address::Local(without_parents(path)));
        }
        let url = Url::parse(text).map_err(|e| bad(&e.to_string()))?;
        match url.scheme() {
            "file" => {
                let path = url
                    .to_file_path()
                    .map_err(|()| bad("a file URL needs an absolute path and no host"))?;
                Ok(Address::Local(path))
            }
            scheme if REMOTE_SCHEMES.contains(&scheme) => Ok(Address::Remote(url)),
            scheme => Err(StoreError::Scheme {
                scheme: scheme.to_owned(),
                address: redact(text),
            }),
        }
    }

    /// Resolves a link found in the document at this address.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn resolve(&self, href: &str) -> Result<Self, StoreError> {
        let bad = |why: String| StoreError::Address {
            address: redact(href),
            why,
        };
        if href.contains("://") {
            return Self::parse(href);
        }
        match self {
            Address::Local(document) => {
                let folder = document.parent().unwrap_or(Path::new("/"));
                Ok(Address::Local(clean(&folder.join(href))))
            }
            Address::Remote(document) => {
                let mut url = document.join(href).map_err(|e| bad(e.to_string()))?;
                // A token of the document is not one of its neighbours.
                if !href.contains('?') {
                    url.set_query(None);
                }
                Ok(Address::Remote(url))
            }
        }
    }

    /// The entry at `path` (parts joined by `/`) of the folder at this address.
    pub fn child(&self, path: &str) -> Self {
        match self {
            Address::Local(folder) => Address::Local(folder.join(path)),
            Address::Remote(folder) => {
                let mut url = folder.clone();
                if let Ok(mut segments) = url.path_segments_mut() {
                    segments
                        .pop_if_empty()
                        .extend(path.split('/').filter(|part| !part.is_empty()));
                }
                Address::Remote(url)
            }
        }
    }

    /// The folder that holds the file or folder at this address; `None` at the root.
    pub fn parent(&self) -> Option<Self> {
        match self {
            Address::Local(path) => path.parent().map(|p| Address::Local(p.to_owned())),
            Address::Remote(url) => {
                let mut url = url.clone();
                let is_root = url.path_segments()?.all(str::is_empty);
                if is_root {
                    return None;
                }
                url.path_segments_mut().ok()?.pop_if_empty().pop();
                Some(Address::Remote(url))
            }
        }
    }

    /// The last part of the path.
    pub fn name(&self) -> String {
        match self {
            Address::Local(path) => path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            Address::Remote(url) => url
                .path_segments()
                .and_then(|mut s| s.rfind(|p| !p.is_empty()))
                .unwrap_or_default()
                .to_owned(),
        }
    }

    /// The whole address as a URL, with what secrets it has.
    ///
    /// # Errors
    /// [`StoreError::Address`] if a local path cannot be written as a URL.
    pub fn href(&self) -> Result<String, StoreError> {
        match self {
            Address::Local(path) => {
                Url::from_file_path(path)
                    .map(String::from)
                    .map_err(|()| StoreError::Address {
                        address: path.display().to_string(),
                        why: "it is no absolute path".to_owned(),
                    })
            }
            Address::Remote(url) => Ok(url.to_string()),
        }
    }

    /// Whether the address holds a password, a signature or a token.
    pub fn has_secret(&self) -> bool {
        matches!(self, Address::Remote(url) if has_secret(url))
    }

    /// Whether the address is a path of the local machine.
    pub fn is_local(&self) -> bool {
        matches!(self, Address::Local(_))
    }
}

/// A path without `..`: as the file system sees it, which knows where links lead, or by its text where nothing is there.
fn without_parents(path: PathBuf) -> PathBuf {
    if !path
        .components()
        .any(|part| part == std::path::Component::ParentDir)
    {
        return path;
    }
    path.canonicalize().unwrap_or_else(|_| clean(&path))
}

/// Takes `.` and `..` out of a path without asking the file system.
fn clean(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if cleaned.parent().is_some() => {
                cleaned.pop();
            }
            other => cleaned.push(other),
        }
    }
    cleaned
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Local(path) => write!(f, "{}", path.display()),
            Address::Remote(url) => f.write_str(&redact_url(url)),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_resolve_against_their_document() {
        let local = Address::parse("/data/cat/items.json").unwrap();
        assert_eq!(
            local.resolve("./a/red.tif").unwrap(),
            Address::parse("/data/cat/a/red.tif").unwrap()
        );
        assert_eq!(
            local.resolve("../b.tif").unwrap(),
            Address::parse("/data/b.tif").unwrap()
        );
        assert_eq!(
            local.resolve("https://h/x.tif").unwrap(),
            Address::parse("https://h/x.tif").unwrap()
        );
        let remote = Address::parse("https://h/cat/items.json?token=t").unwrap();
        assert_eq!(
            remote.resolve("./a/red.tif").unwrap().href().unwrap(),
            "https://h/cat/a/red.tif"
        );
        assert_eq!(
            remote.resolve("/x.tif").unwrap().href().unwrap(),
            "https://h/x.tif"
        );
    }

    #[test]
    fn file_urls_and_paths_are_the_same_place() {
        let path = Address::parse("/data/with space/é.tif").unwrap();
        let href = path.href().unwrap();
        assert!(href.starts_with("file:///data/with%20space/"), "{href}");
        assert_eq!(Address::parse(&href).unwrap(), path);
    }

    #[test]
    fn children_and_parents() {
        let cube = Address::parse("https://h/a.zarr/?v=2").unwrap();
        assert_eq!(cube.child("c/0/1").href().unwrap(), "https://h/a.zarr/c/0/1?v=2");
        assert_eq!(
            Address::parse("https://h/a/b").unwrap().parent(),
            Some(Address::parse("https://h/a").unwrap())
        );
        assert_eq!(Address::parse("https://h/").unwrap().parent(), None);
        assert_eq!(Address::parse("/a/b.zarr").unwrap().name(), "b.zarr");
    }

    #[test]
    fn parents_in_paths_are_resolved() {
        assert_eq!(
            Address::parse("/nowhere/a/../b.tif").unwrap(),
            Address::Local(PathBuf::from("/nowhere/b.tif"))
        );
    }

    #[test]
    fn other_schemes_are_refused_by_name() {
        let error = Address::parse("ftp://host/a").unwrap_err();
        assert!(
            matches!(&error, StoreError::Scheme { scheme, .. } if scheme == "ftp"),
            "{error}"
        );
    }

    #[test]
    fn debug_and_display_hide_tokens() {
        let address = Address::parse("https://h/a.tif?sig=SECRET").unwrap();
        assert!(!format!("{address} {address:?}").contains("SECRET"));
        assert!(address.has_secret());
    }
}
