//! Values that clients hand over, for the tasks that wait for them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use graticule_kernel::Chunk;
use graticule_plan::ChunkId;
use tokio::sync::{Notify, oneshot};

/// How long a client may be ahead of the scheduler's word that a value will come.
const AHEAD_MAX: Duration = Duration::from_secs(10);

/// The values that are awaited. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Uploads {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    awaited: Mutex<BTreeMap<ChunkId, oneshot::Sender<Chunk>>>,
    changed: Notify,
}

/// A value is awaited for as long as this is there.
struct Awaited<'a> {
    uploads: &'a Uploads,
    id: ChunkId,
    come: oneshot::Receiver<Chunk>,
}

impl Uploads {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ChunkId, oneshot::Sender<Chunk>>> {
        // No code that holds the lock can panic halfway through a change.
        self.shared.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a value. One who waits for the same gives up.
    pub(crate) async fn wait_for(&self, id: ChunkId) -> Option<Chunk> {
        let (give, come) = oneshot::channel();
        self.lock().insert(id, give);
        self.shared.changed.notify_waiters();
        let mut awaited = Awaited {
            uploads: self,
            id,
            come,
        };
        (&mut awaited.come).await.ok()
    }

    /// Whether somebody waits for a value, or does so soon.
    pub(crate) async fn is_awaited(&self, id: ChunkId) -> bool {
        let begins = async {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                // From here on no change goes unseen.
                changed.as_mut().enable();
                if self.lock().contains_key(&id) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(AHEAD_MAX, begins).await.is_ok()
    }

    /// Gives a value to who waits for it; `false` if nobody does.
    pub(crate) fn give(&self, id: ChunkId, value: Chunk) -> bool {
        let waiting = self.lock().remove(&id);
        waiting.is_some_and(|waiting| waiting.send(value).is_ok())
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.come.close();
        let mut awaited = self.uploads.lock();
        // Another one may wait for the same by now.
        if awaited.get(&self.id).is_some_and(oneshot::Sender::is_closed) {
            awaited.remove(&self.id);
        }
    }
}
