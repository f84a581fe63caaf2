use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that may be under way to one process. A larger chunk travels alone.
pub const RECEIVE_BYTES_MAX: u64 = 256 << 20;
/// Bytes that may be under way from one store. A larger chunk travels alone.
pub const SEND_BYTES_MAX: u64 = 256 << 20;
/// Bytes that may be copied at one store to be sent: regions of chunks, and what has to be read from disk.
pub const COPY_BYTES_MAX: u64 = 64 << 20;

/// What a credit stands for: bounds are rounded to it, so that they fit the numbers of a semaphore on any machine.
const UNIT_BYTES: u64 = 1 << 10;

/// Bounds the bytes that are under way at a time.
///
/// Who comes first is served first, also before those who want less, so nobody waits for ever. All credits of a transfer
/// are taken at once, those of the receiver before those of the sender, so transfers never wait for each other in a ring.
/// Clones share the credits.
#[derive(Debug, Clone)]
pub struct Credits {
    free: Arc<Semaphore>,
    units_max: u32,
}

/// Credits that are taken. They are given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    _permit: Option<OwnedSemaphorePermit>,
    _other: Option<OwnedSemaphorePermit>,
}

impl Taken {
    /// With something else that is given back with it.
    pub(crate) fn with(self, other: Option<Taken>) -> Self {
        Self {
            _other: other.and_then(|other| other._permit),
            ..self
        }
    }
}

impl Credits {
    /// So many bytes may be under way.
    pub fn new(bytes_max: u64) -> Self {
        let units_max = u32::try_from(bytes_max / UNIT_BYTES).unwrap_or(u32::MAX);
        let units_max = units_max.clamp(1, u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        Self {
            free: Arc::new(Semaphore::new(units_max as usize)),
            units_max,
        }
    }

    /// Waits until so many bytes may go; all that there are, if it is more.
    pub(crate) async fn take(&self, bytes: u64) -> Taken {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        let permit = self
            .free
            .clone()
            .acquire_many_owned(units.min(self.units_max))
            .await;
        // The semaphore is never closed.
        Taken {
            _permit: permit.ok(),
            _other: None,
        }
    }

    /// Bytes under way.
    pub fn taken_bytes(&self) -> u64 {
        (self.units_max as usize - self.free.available_permits()) as u64 * UNIT_BYTES
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task::Poll};

    use super::*;

    async fn is_ready(future: &mut (impl Future<Output = Taken> + Unpin)) -> Option<Taken> {
        std::future::poll_fn(|context| match std::pin::Pin::new(&mut *future).poll(context) {
            Poll::Ready(taken) => Poll::Ready(Some(taken)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    #[tokio::test]
    async fn who_wants_much_is_not_overtaken_by_those_who_want_little() {
        let credits = Credits::new(100 << 10);
        let first = credits.take(60 << 10).await;
        let (large, small) = (credits.take(80 << 10), credits.take(1 << 10));
        let (mut large, mut small) = (pin!(large), pin!(small));
        assert!(is_ready(&mut large).await.is_none());
        assert!(is_ready(&mut small).await.is_none());
        assert_eq!(
            credits.taken_bytes(),
            100 << 10,
            "what is free is set aside for the first in the row"
        );
        drop(first);
        let large = is_ready(&mut large).await;
        assert!(large.is_some() && is_ready(&mut small).await.is_some());
    }

    #[tokio::test]
    async fn what_is_larger_than_all_credits_goes_alone() {
        let credits = Credits::new(1 << 20);
        let whole = credits.take(1 << 40).await;
        let mut next = pin!(credits.take(1));
        assert!(is_ready(&mut next).await.is_none());
        drop(whole);
        let next = is_ready(&mut next).await;
        assert!(next.is_some());
        assert_eq!(credits.taken_bytes(), 1 << 10);
    }
}
