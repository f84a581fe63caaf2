//! Where a TIFF's bytes come from.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;

use bytes::Bytes;

use super::error::SourceError;

/// The future that a [`RangeSource`] returns.
pub type ReadFuture<'a> = Pin<Box<dyn Future<Output = Result<Bytes, SourceError>> + Send + 'a>>;

/// A file of which ranges of bytes can be read: an object in a store, a local file, bytes in memory.
pub trait RangeSource: Send + Sync {
    /// Reads the bytes of `range`.
    ///
    /// A range that reaches beyond the end of the file is clipped there; one that begins at or beyond the end gives
    /// no bytes (or an error, at the source's choice). The reader takes fewer bytes than asked for as the file's end.
    fn read(&self, range: Range<u64>) -> ReadFuture<'_>;
}

impl RangeSource for Bytes {
    fn read(&self, range: Range<u64>) -> ReadFuture<'_> {
        let size = self.len() as u64;
        let start = range.start.min(size);
        let end = range.end.clamp(start, size);
        // Both are at most the slice's length, which is a usize.
        let part = self.slice(start as usize..end as usize);
        Box::pin(std::future::ready(Ok(part)))
    }
}

impl<S: RangeSource + ?Sized> RangeSource for &S {
    fn read(&self, range: Range<u64>) -> ReadFuture<'_> {
        (**self).read(range)
    }
}

/// The beginning of a file and whatever else was read of it so far.
///
/// Reads ahead, so that directories and arrays that lie close to each other cost one request.
pub(crate) struct HeaderBytes<'s, S: ?Sized> {
    source: &'s S,
    chunks: Vec<(u64, Bytes)>,
    read_ahead: u64,
    held_bytes: u64,
    held_bytes_max: u64,
}

impl<'s, S: RangeSource + ?Sized> HeaderBytes<'s, S> {
    pub(crate) fn new(source: &'s S, read_ahead: u64, held_bytes_max: u64) -> Self {
        HeaderBytes {
            source,
            chunks: Vec::new(),
            read_ahead: read_ahead.max(1024),
            held_bytes: 0,
            held_bytes_max,
        }
    }

    /// The `len` bytes at `offset`, or as many of them as the file has.
    pub(crate) async fn up_to(&mut self, offset: u64, len: u64) -> Result<Bytes, super::TiffError> {
        use super::TiffError;
        if let Some(found) = self.held(offset, len) {
            return Ok(found);
        }
        let ask = len.max(self.read_ahead);
        let want = self.held_bytes.saturating_add(len);
        if want > self.held_bytes_max {
            return Err(TiffError::LimitExceeded {
                what: "the size of the header in bytes",
                got: want,
                limit: self.held_bytes_max,
            });
        }
        let end = offset.saturating_add(ask);
        let got = self
            .source
            .read(offset..end)
            .await
            .map_err(|source| TiffError::Source {
                offset,
                len: end - offset,
                source,
            })?;
        self.held_bytes = self.held_bytes.saturating_add(got.len() as u64);
        self.chunks.push((offset, got.clone()));
        let have = (got.len() as u64).min(len);
        Ok(got.slice(..have as usize))
    }

    /// The `len` bytes at `offset`, all of them.
    pub(crate) async fn exact(
        &mut self,
        what: &'static str,
        offset: u64,
        len: u64,
    ) -> Result<Bytes, super::TiffError> {
        let found = self.up_to(offset, len).await?;
        let got = found.len() as u64;
        if got < len {
            return Err(super::TiffError::Truncated {
                what,
                offset,
                want: len,
                got,
            });
        }
        Ok(found)
    }

    fn held(&self, offset: u64, len: u64) -> Option<Bytes> {
        self.chunks.iter().find_map(|(start, bytes)| {
            let skip = usize::try_from(offset.checked_sub(*start)?).ok()?;
            let end = skip.checked_add(usize::try_from(len).ok()?)?;
            (end <= bytes.len()).then(|| bytes.slice(skip..end))
        })
    }
}
