use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures::future::try_join_all;
#[cfg(unix)]
use object_store::GetResultPayload;
use object_store::{ObjectStore, ObjectStoreExt, local::LocalFileSystem, path::Path};
use tokio::sync::Semaphore;
use url::Url;

use crate::{
    redact::redact_text,
    tiff::{RangeSource, ReadFuture},
};

#[cfg(unix)]
use super::local;
use super::{Address, LOCAL_HINT, StoreConfig, StoreError};

/// The clients of all stores that a process reads from. Cloning is cheap; clones share connections and limits.
#[derive(Clone)]
pub struct Stores {
    shared: Arc<Shared>,
}

struct Shared {
    config: StoreConfig,
    permits: Semaphore,
    local: Arc<LocalFileSystem>,
    #[cfg(feature = "http")]
    http: super::retry::HttpClients,
    /// Cloud stores by scheme and bucket.
    cloud: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
}

/// One file in a store, ready to be read.
#[derive(Clone)]
pub struct Object {
    stores: Stores,
    address: Address,
    store: Arc<dyn ObjectStore>,
    path: Path,
}

impl Default for Stores {
    fn default() -> Self {
        Self::new(StoreConfig::default())
    }
}

impl Stores {
    /// Makes clients that share the limits of `config`.
    pub fn new(config: StoreConfig) -> Self {
        let shared = Shared {
            permits: Semaphore::new(config.request_count_max.max(1)),
            local: Arc::new(LocalFileSystem::new()),
            #[cfg(feature = "http")]
            http: super::retry::HttpClients::new(config.clone()),
            cloud: Mutex::new(HashMap::new()),
            config,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The limits.
    pub fn config(&self) -> &StoreConfig {
        &self.shared.config
    }

    /// The file at an address. Nothing is asked of the store yet.
    ///
    /// # Errors
    /// [`StoreError::Address`], [`StoreError::Scheme`], [`StoreError::Feature`].
    pub fn object(&self, address: &Address) -> Result<Object, StoreError> {
        let (store, path) = match address {
            Address::Local(path) => {
                let path = Path::from_absolute_path(path).map_err(|e| StoreError::Address {
                    address: address.to_string(),
                    why: e.to_string(),
                })?;
                (self.shared.local.clone() as Arc<dyn ObjectStore>, path)
            }
            Address::Remote(url) => match url.scheme() {
                "http" | "https" => (self.http(url)?, Path::default()),
                _ => self.cloud(url)?,
            },
        };
        Ok(Object {
            stores: self.clone(),
            address: address.clone(),
            store,
            path,
        })
    }

    #[cfg(feature = "http")]
    fn http(&self, url: &Url) -> Result<Arc<dyn ObjectStore>, StoreError> {
        self.shared.http.store(url)
    }

    #[cfg(not(feature = "http"))]
    fn http(&self, url: &Url) -> Result<Arc<dyn ObjectStore>, StoreError> {
        Err(StoreError::Feature {
            feature: "http",
            address: crate::redact::redact_url(url),
        })
    }

    fn cloud(&self, url: &Url) -> Result<(Arc<dyn ObjectStore>, Path), StoreError> {
        let address = crate::redact::redact_url(url);
        let path = Path::from_url_path(url.path()).map_err(|e| StoreError::Address {
            address: address.clone(),
            why: e.to_string(),
        })?;
        let host = format!("{}://{}", url.scheme(), url.authority());
        let mut cloud = self.shared.cloud.lock().expect("no panic while the map is held");
        let store = match cloud.get(&host) {
            Some(store) => store.clone(),
            None => {
                #[cfg(feature = "http")]
                let store = super::cloud::open(url, &self.shared.http)?;
                #[cfg(not(feature = "http"))]
                let store = super::cloud::open(url)?;
                cloud.insert(host, store.clone());
                store
            }
        };
        Ok((store, path))
    }
}

impl Object {
    /// The file's address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The whole file.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn whole(&self) -> Result<Bytes, StoreError> {
        let _permit = self.permit().await;
        let result = self
            .store
            .get(&self.path)
            .await
            .map_err(|e| self.error(e, None))?;
        let limit = self.stores.shared.config.read_bytes_max;
        if result.meta.size > limit {
            return Err(StoreError::TooLarge {
                address: self.address.to_string(),
                got: result.meta.size,
                limit,
            });
        }
        #[cfg(unix)]
        if let (GetResultPayload::File(file, _), true) = (&result.payload, local::is_long(&result.range)) {
            let file = file.try_clone().map_err(|e| self.broken(&e))?;
            let read = local::read(file, vec![result.range.clone()]).await;
            let whole = read.map_err(|e| self.broken(&e))?.remove(0);
            return match whole.len() as u64 == result.meta.size {
                true => Ok(whole),
                false => Err(self.broken(&"it became shorter while it was read")),
            };
        }
        result.bytes().await.map_err(|e| self.error(e, None))
    }

    /// The file's size.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn size(&self) -> Result<u64, StoreError> {
        let _permit = self.permit().await;
        self.store
            .head(&self.path)
            .await
            .map(|meta| meta.size)
            .map_err(|e| self.error(e, None))
    }

    /// Bytes of a range, fewer if the file ends within it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn range(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.check(&range)?;
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        #[cfg(unix)]
        if self.address.is_local() && local::is_long(&range) {
            return self.long(&[range]).await.map(|mut read| read.remove(0));
        }
        let _permit = self.permit().await;
        self.store
            .get_range(&self.path, range.clone())
            .await
            .map_err(|e| self.error(e, Some(range)))
    }

    /// Bytes of several ranges, in their order. Ranges that lie close to each other come in one request.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        ranges.iter().try_for_each(|range| self.check(range))?;
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        if self.address.is_local() {
            // One open file for all of them; nothing is gained from reading over gaps.
            #[cfg(unix)]
            if ranges.iter().all(local::is_long) {
                return self.long(ranges).await;
            }
            let _permit = self.permit().await;
            return self
                .store
                .get_ranges(&self.path, ranges)
                .await
                .map_err(|e| self.error(e, None));
        }
        let config = &self.stores.shared.config;
        let spans = coalesce(ranges, config.coalesce_gap_bytes, config.coalesce_bytes_max);
        let read = try_join_all(spans.iter().map(|span| self.range(span.clone()))).await?;
        let part = |range: &Range<u64>| {
            let span = spans
                .partition_point(|span| span.start <= range.start)
                .saturating_sub(1);
            let (base, bytes) = (spans[span].start, &read[span]);
            let at =
                |offset: u64| usize::try_from(offset - base).map_or(bytes.len(), |at| at.min(bytes.len()));
            bytes.slice(at(range.start)..at(range.end))
        };
        Ok(ranges.iter().map(part).collect())
    }

    /// Long ranges of a local file.
    #[cfg(unix)]
    async fn long(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        let _permit = self.permit().await;
        let opened = self.store.get(&self.path).await;
        let opened = opened.map_err(|e| self.error(e, None))?;
        if let Some(past) = ranges.iter().find(|range| range.start >= opened.meta.size) {
            let address = self.address.to_string();
            let range = past.clone();
            return Err(StoreError::PastEnd { address, range });
        }
        let GetResultPayload::File(file, _) = opened.payload else {
            return Err(self.broken(&"it is no file"));
        };
        let read = local::read(file, ranges.to_vec()).await;
        read.map_err(|e| self.broken(&e))
    }

    #[cfg(unix)]
    fn broken(&self, why: &dyn std::fmt::Display) -> StoreError {
        StoreError::Failed {
            address: self.address.to_string(),
            why: why.to_string(),
        }
    }

    /// The last `len` bytes of the file, fewer if it is shorter.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn suffix(&self, len: u64) -> Result<Bytes, StoreError> {
        use object_store::{GetOptions, GetRange};
        self.check(&(0..len))?;
        let _permit = self.permit().await;
        let options = GetOptions {
            range: Some(GetRange::Suffix(len)),
            ..GetOptions::default()
        };
        let result = self
            .store
            .get_opts(&self.path, options)
            .await
            .map_err(|e| self.error(e, None))?;
        result.bytes().await.map_err(|e| self.error(e, None))
    }

    async fn permit(&self) -> tokio::sync::SemaphorePermit<'_> {
        self.stores
            .shared
            .permits
            .acquire()
            .await
            .expect("the semaphore is never closed")
    }

    fn check(&self, range: &Range<u64>) -> Result<(), StoreError> {
        let (got, limit) = (
            range.end.saturating_sub(range.start),
            self.stores.shared.config.read_bytes_max,
        );
        if got > limit {
            return Err(StoreError::TooLarge {
                address: self.address.to_string(),
                got,
                limit,
            });
        }
        Ok(())
    }

    fn error(&self, error: object_store::Error, range: Option<Range<u64>>) -> StoreError {
        use object_store::Error as E;
        let address = self.address.to_string();
        #[cfg(feature = "http")]
        if let Some(unavailable) = super::retry::gave_up(&error, &address) {
            return unavailable;
        }
        let why = redact_text(&innermost(&error));
        match error {
            E::NotFound { .. } => {
                let hint = if self.address.is_local() { LOCAL_HINT } else { "" };
                StoreError::NotFound { address, hint }
            }
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => StoreError::Denied { address, why },
            _ => match range {
                Some(range) if is_past_end(&why) => StoreError::PastEnd { address, range },
                _ => StoreError::Failed { address, why },
            },
        }
    }
}

impl RangeSource for Object {
    fn read(&self, range: Range<u64>) -> ReadFuture<'_> {
        Box::pin(async move {
            match self.range(range).await {
                // The reader takes fewer bytes than asked for as the file's end.
                Err(StoreError::PastEnd { .. }) => Ok(Bytes::new()),
                other => other.map_err(Into::into),
            }
        })
    }
}

/// The message of the error at the end of the chain, which says what happened; the ones before say where.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// The store has no error kind of its own for this, neither for files nor for http status 416.
fn is_past_end(why: &str) -> bool {
    why.contains("status code: 416") || why.starts_with("Wanted range starting at")
}

/// Spans that cover all ranges: rising, apart by more than `gap` or made to stay below `max` bytes.
fn coalesce(ranges: &[Range<u64>], gap: u64, max: u64) -> Vec<Range<u64>> {
    let mut sorted: Vec<_> = ranges.to_vec();
    sorted.sort_unstable_by_key(|range| (range.start, range.end));
    let mut spans: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match spans.last_mut() {
            // A range that begins within the last span must end in it, or slices could not be cut out of one span.
            Some(last)
                if range.start < last.end
                    || (range.start - last.end <= gap && range.end.saturating_sub(last.start) <= max) =>
            {
                last.end = last.end.max(range.end);
            }
            _ => spans.push(range),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[tokio::test]
    async fn a_missing_file_says_where_it_was_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("none.tif");
        let address = Address::parse(missing.to_str().unwrap()).unwrap();
        let error = Stores::default()
            .object(&address)
            .unwrap()
            .whole()
            .await
            .unwrap_err();
        assert!(error.is_not_found());
        let text = error.to_string();
        assert!(text.contains("none.tif does not exist on this machine"), "{text}");
        assert!(text.contains("storage that all workers reach"), "{text}");
    }

    #[tokio::test]
    async fn local_ranges_come_in_order_and_end_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b.bin");
        std::fs::write(&path, (0..=99u8).collect::<Vec<_>>()).unwrap();
        let object = Stores::default()
            .object(&Address::parse(path.to_str().unwrap()).unwrap())
            .unwrap();
        let got = object.ranges(&[90..95, 0..2, 1..3]).await.unwrap();
        assert_eq!(got, [&[90u8, 91, 92, 93, 94][..], &[0, 1], &[1, 2]]);
        assert_eq!(object.range(98..200).await.unwrap(), [98u8, 99][..]);
        assert_eq!(object.suffix(2).await.unwrap(), [98u8, 99][..]);
        assert_eq!(object.size().await.unwrap(), 100);
        assert!(matches!(
            object.range(200..300).await,
            Err(StoreError::PastEnd { .. })
        ));
    }

    proptest! {
        #[test]
        fn every_range_lies_within_one_span(
            ranges in prop::collection::vec((0u64..500, 0u64..60), 1..20),
            gap in 0u64..50,
            max in 1u64..200,
        ) {
            let ranges: Vec<_> = ranges.into_iter().map(|(start, len)| start..start + len).collect();
            let spans = coalesce(&ranges, gap, max);
            for range in &ranges {
                let span = spans.partition_point(|span| span.start <= range.start) - 1;
                prop_assert!(spans[span].start <= range.start && range.end <= spans[span].end);
            }
            prop_assert!(spans.windows(2).all(|pair| pair[0].end <= pair[1].start));
        }
    }
}
