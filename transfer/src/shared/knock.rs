use std::{
    collections::BTreeMap,
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use graticule_kernel::{Chunk, Tensor, split_header};
use graticule_proto::encode_fetch;
use tokio::net::UnixStream;

use super::{SHARED_BYTES_MIN, door_name, is_of_this_user, kept::KeptMappings, message};
use crate::Fetch;

/// How long a store of this host may take to answer at its door.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Cuts above this size are not made on the runtime's threads.
const INLINE_COPY_BYTES_MAX: u64 = 1 << 20;

type Place = Arc<tokio::sync::Mutex<Option<UnixStream>>>;

/// Connections to the doors of this host's stores.
#[derive(Debug, Default)]
pub(crate) struct Knockers {
    places: Mutex<BTreeMap<Arc<str>, Place>>,
    mapped_count: AtomicU64,
    kept: KeptMappings,
}

impl Knockers {
    /// A region of a chunk that is mapped, or cut out of one; `None` if it has to come over gRPC.
    pub(crate) async fn fetch(&self, fetch: Fetch<'_>) -> Option<Chunk> {
        if fetch.bytes.is_some_and(|bytes| bytes < SHARED_BYTES_MIN) {
            return None;
        }
        let (head, files) = match tokio::time::timeout(ANSWER_TIMEOUT, self.ask(fetch)).await {
            Ok(answer) => answer?,
            Err(_) => {
                tracing::debug!(address = %fetch.address, "a store of this host does not answer at its door");
                self.places
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(fetch.address);
                return None;
            }
        };
        let mapped = map(&head, files, &self.kept);
        let chunk = mapped
            .inspect_err(|error| tracing::debug!(%error, "what a door gave cannot be mapped"))
            .ok()?;
        self.mapped_count.fetch_add(1, Ordering::Relaxed);
        let Some(region) = fetch.region else {
            return Some(chunk);
        };
        if fetch.bytes.is_some_and(|bytes| bytes <= INLINE_COPY_BYTES_MAX) {
            return chunk.region(region).ok();
        }
        let region = region.to_vec();
        let cut = tokio::task::spawn_blocking(move || chunk.region(&region)).await;
        cut.ok()?.ok()
    }

    pub(crate) fn mapped_count(&self) -> u64 {
        self.mapped_count.load(Ordering::Relaxed)
    }

    /// Asks at a door; `None` if there is none, or the chunk is not shared.
    async fn ask(&self, fetch: Fetch<'_>) -> Option<(Vec<u8>, Vec<OwnedFd>)> {
        let place = {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            places.entry(fetch.address.clone()).or_default().clone()
        };
        let mut place = place.lock().await;
        let stream = match place.take() {
            Some(stream) => stream,
            None => connect(fetch.address).ok()?,
        };
        let question = encode_fetch(fetch.chunk, None);
        message::send(&stream, &question, &[]).await.ok()?;
        let answer = message::receive(&stream).await.ok()??;
        // A connection with half an answer in it is never used again.
        *place = Some(stream);
        (!answer.0.is_empty()).then_some(answer)
    }
}

fn connect(address: &str) -> io::Result<UnixStream> {
    let stream = StdStream::connect_addr(&door_name(address)?)?;
    stream.set_nonblocking(true)?;
    let stream = UnixStream::from_std(stream)?;
    if !is_of_this_user(&stream) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(stream)
}

/// The chunk that an answer describes, in the memory of its sender.
fn map(head: &[u8], files: Vec<OwnedFd>, kept: &KeptMappings) -> io::Result<Chunk> {
    let invalid =
        |error: &dyn std::fmt::Display| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
    let (parts, offsets) = split_header(head).map_err(|error| invalid(&error))?;
    let (offsets, rest) = offsets.as_chunks::<8>();
    if offsets.len() != parts.len() || files.len() != parts.len() || !rest.is_empty() {
        return Err(invalid(&"parts, offsets and descriptors differ in number"));
    }
    let mut tensors = Vec::with_capacity(parts.len());
    for (((dtype, shape), offset), file) in parts.into_iter().zip(offsets).zip(files) {
        let len = Tensor::bytes_of(dtype, &shape).map_err(|error| invalid(&error))?;
        let bytes = kept.open(file, u64::from_le_bytes(*offset), len)?;
        let tensor = Tensor::from_bytes(dtype, &shape, bytes);
        tensors.push(tensor.map_err(|error| invalid(&error))?);
    }
    Chunk::new(tensors).map_err(|error| invalid(&error))
}
