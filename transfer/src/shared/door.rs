use std::{
    io,
    os::{fd::AsFd, unix::net::UnixListener as StdListener},
    sync::Arc,
    time::Duration,
};

use graticule_kernel::Chunk;
use graticule_proto::decode_fetch;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinHandle,
};

use super::{door_name, is_of_this_user, memory, message};
use crate::ChunkSource;

/// Processes of this host that are served at a time. Others fetch over gRPC.
const VISITOR_COUNT_MAX: usize = 256;
/// How long nobody is let in when the process has as many files open as it may.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where processes of this host and user get a store's chunks to map. It closes when this is dropped.
#[derive(Debug)]
pub struct Door {
    serving: JoinHandle<()>,
}

impl Door {
    /// Opens the door of the store that is served at `address`. Needs a tokio runtime.
    ///
    /// # Errors
    /// If the system does not let it; then chunks are fetched over gRPC.
    pub fn open<S: ChunkSource>(address: &str, source: Arc<S>) -> io::Result<Self> {
        let listener = StdListener::bind_addr(&door_name(address)?)?;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        Ok(Self {
            serving: tokio::spawn(serve(listener, source)),
        })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve<S: ChunkSource>(listener: UnixListener, source: Arc<S>) {
    let places = Arc::new(Semaphore::new(VISITOR_COUNT_MAX));
    let mut visitors = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                };
                let Ok(place) = places.clone().try_acquire_owned() else { continue };
                let source = source.clone();
                visitors.spawn(async move {
                    let _place = place;
                    // Whoever breaks the rules or goes is not served on.
                    let _ = attend(&stream, &*source).await;
                });
            }
            Some(_) = visitors.join_next() => {}
        }
    }
}

async fn attend<S: ChunkSource>(stream: &UnixStream, source: &S) -> io::Result<()> {
    if !is_of_this_user(stream) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    while let Some((question, _)) = message::receive(stream).await? {
        let (chunk, _) = decode_fetch(&question).map_err(io::Error::other)?;
        // It must not go before its memory is marked as shared.
        let chunk = source.in_memory(chunk);
        match chunk.as_ref().and_then(answer) {
            None => message::send(stream, &[], &[]).await?,
            Some((head, files)) => {
                let files: Vec<_> = files.iter().map(|file| file.file.as_fd()).collect();
                message::send(stream, &head, &files).await?;
            }
        }
    }
    Ok(())
}

/// A chunk's header and offsets, with the memory of each part; `None` if one cannot be shared.
fn answer(chunk: &Chunk) -> Option<(Vec<u8>, Vec<Arc<memory::Shareable>>)> {
    if chunk.parts().is_empty() {
        return None;
    }
    let mut head = chunk.encode_header().to_vec();
    let mut files = Vec::with_capacity(chunk.parts().len());
    for part in chunk.parts() {
        let (file, offset) = memory::share(part.bytes())?;
        head.extend_from_slice(&offset.to_le_bytes());
        files.push(file);
    }
    Some((head, files))
}
