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

/// The value of a task, and the attempt that waits for it. Another attempt's value is not taken: what an earlier one gets
/// is dropped with it, and its client would take it to be there.
pub(crate) type AwaitedId = (ChunkId, u32);

/// The values that are awaited. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Uploads {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    awaited: Mutex<BTreeMap<AwaitedId, oneshot::Sender<Chunk>>>,
    changed: Notify,
}

/// A value is awaited for as long as this is there.
struct Awaited<'a> {
    uploads: &'a Uploads,
    id: AwaitedId,
    come: oneshot::Receiver<Chunk>,
}

impl Uploads {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<AwaitedId, oneshot::Sender<Chunk>>> {
        // No code that holds the lock can panic halfway through a change.
        self.shared.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a value. One who waits for the same gives up.
    pub(crate) async fn wait_for(&self, id: AwaitedId) -> Option<Chunk> {
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
    pub(crate) async fn is_awaited(&self, id: AwaitedId) -> bool {
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
    pub(crate) fn give(&self, id: AwaitedId, value: Chunk) -> bool {
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

#[cfg(test)]
mod tests {
    use graticule_kernel::Tensor;
    use graticule_plan::{JobId, LayerId};

    use super::*;

    const CHUNK: ChunkId = ChunkId {
        job: JobId(1),
        layer: LayerId(0),
        block: 0,
    };

    fn value() -> Chunk {
        Chunk::new(vec![Tensor::from_vec(&[1], vec![7_u64]).unwrap()]).unwrap()
    }

    #[tokio::test]
    async fn a_value_goes_to_the_attempt_that_it_is_for_though_an_earlier_one_still_waits() {
        let uploads = Uploads::default();
        let mut earlier = Box::pin(uploads.wait_for((CHUNK, 1)));
        assert!(futures::poll!(&mut earlier).is_pending());
        assert!(!uploads.give((CHUNK, 2), value()));
        {
            let mut ahead = Box::pin(uploads.is_awaited((CHUNK, 2)));
            assert!(futures::poll!(&mut ahead).is_pending());
        }
        let mut later = Box::pin(uploads.wait_for((CHUNK, 2)));
        assert!(futures::poll!(&mut later).is_pending());
        assert!(uploads.is_awaited((CHUNK, 2)).await);
        assert!(uploads.give((CHUNK, 2), value()));
        assert_eq!(later.await, Some(value()));
        drop(earlier);
        assert!(!uploads.give((CHUNK, 1), value()), "nobody waits any more");
    }
}
