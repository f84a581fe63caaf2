use std::{
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use dashmap::{DashMap, Entry as MapEntry};
use graticule_engine::{MoveKind, MoveName};
use graticule_kernel::{Chunk, KernelError};
use graticule_plan::ChunkId;
use graticule_transfer::{ChunkSource, Refusal};
use tokio::sync::Semaphore;
use tracing::warn;

use crate::{
    disk::DiskLedger,
    mixed::Mixed,
    moves::{Moves, layer_of},
    spill::{SpillLog, SpilledChunk},
    uploads::Uploads,
};

/// Copies above this size are not made on the runtime's threads.
const INLINE_COPY_BYTES_MAX: u64 = 1 << 20;
/// Reads from disk at a time; each has its region in memory.
const DISK_READS_MAX: usize = 4;

/// Why a chunk cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store does not hold it.
    #[error("chunk {0} is not held here")]
    NotHeld(ChunkId),
    /// Its file is damaged or gone. The chunk is dropped from the store.
    #[error("chunk {chunk} could not be read back from disk: {why}")]
    Damaged {
        /// The chunk.
        chunk: ChunkId,
        /// What is wrong.
        why: String,
    },
    /// The region does not lie within the chunk.
    #[error(transparent)]
    Region(#[from] KernelError),
}

/// The chunks that a worker holds, in memory or on disk.
#[derive(Debug)]
pub struct ChunkStore {
    chunks: DashMap<ChunkId, Entry, Mixed>,
    pub(crate) uploads: Uploads,
    pub(crate) moves: Moves,
    /// Who is told of what goes to disk and leaves it.
    pub(crate) ledger: DiskLedger,
    disk: SpillLog,
    disk_reads: Semaphore,
    clock: AtomicU64,
    memory_bytes: AtomicU64,
    spilled_bytes: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    place: Place,
    bytes: u64,
    /// When it was last used, by the store's own count.
    used: AtomicU64,
}

#[derive(Debug, Clone)]
enum Place {
    Memory(Chunk),
    Disk(Arc<SpilledChunk>),
}

impl ChunkStore {
    /// An empty store that spills below `parent`.
    pub fn new(parent: &Path, name: &str) -> Self {
        Self {
            chunks: DashMap::with_hasher(Mixed::default()),
            uploads: Uploads::default(),
            moves: Moves::default(),
            ledger: DiskLedger::default(),
            disk: SpillLog::new(parent, name),
            disk_reads: Semaphore::new(DISK_READS_MAX),
            clock: AtomicU64::new(0),
            memory_bytes: AtomicU64::new(0),
            spilled_bytes: AtomicU64::new(0),
        }
    }

    /// Bytes of chunks in memory and on disk.
    pub fn sizes(&self) -> (u64, u64) {
        (
            self.memory_bytes.load(Ordering::Relaxed),
            self.spilled_bytes.load(Ordering::Relaxed),
        )
    }

    /// Takes a chunk in; one of the same name gives way.
    pub fn insert(&self, id: ChunkId, chunk: Chunk) {
        let bytes = chunk.nbytes();
        self.memory_bytes.fetch_add(bytes, Ordering::Relaxed);
        let entry = Entry {
            place: Place::Memory(chunk),
            bytes,
            used: AtomicU64::new(self.tick()),
        };
        let before = match self.chunks.entry(id) {
            MapEntry::Vacant(vacant) => {
                vacant.insert(entry);
                None
            }
            MapEntry::Occupied(mut occupied) => {
                let before = occupied.insert(entry);
                self.leaves_disk(id, &before);
                Some(before)
            }
        };
        if let Some(before) = before {
            self.count_out(&before);
        }
    }

    /// Drops a chunk, if it is there.
    pub fn remove(&self, id: ChunkId) {
        if let MapEntry::Occupied(occupied) = self.chunks.entry(id) {
            self.leaves_disk(id, occupied.get());
            self.count_out(&occupied.remove());
        }
    }

    /// Enters in the books that a chunk is not on disk any more, if it was. The caller has its entry in hand, so that books
    /// and chunks change in the same order.
    fn leaves_disk(&self, id: ChunkId, before: &Entry) {
        if let Place::Disk(_) = &before.place {
            self.ledger.enter(id, false);
        }
    }

    /// A region of a chunk, or the whole of it: that without a copy if it is in memory.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read(&self, id: ChunkId, region: Option<&[Range<u64>]>) -> Result<Chunk, StoreError> {
        let place = {
            let entry = self.chunks.get(&id).ok_or(StoreError::NotHeld(id))?;
            entry.used.store(self.tick(), Ordering::Relaxed);
            entry.place.clone()
        };
        let chunk = match place {
            Place::Memory(chunk) => chunk,
            Place::Disk(spilled) => return self.read_from_disk(id, spilled, region).await,
        };
        let Some(region) = region else { return Ok(chunk) };
        if chunk.nbytes() <= INLINE_COPY_BYTES_MAX {
            return Ok(chunk.region(region)?);
        }
        let region = region.to_vec();
        let cut = tokio::task::spawn_blocking(move || chunk.region(&region)).await;
        Ok(cut.map_err(|error| StoreError::Damaged {
            chunk: id,
            why: error.to_string(),
        })??)
    }

    async fn read_from_disk(
        &self,
        id: ChunkId,
        spilled: Arc<SpilledChunk>,
        region: Option<&[Range<u64>]>,
    ) -> Result<Chunk, StoreError> {
        let _permit = self.disk_reads.acquire().await.expect("it is never closed");
        let region = region.map(<[_]>::to_vec);
        let began = Instant::now();
        let read = tokio::task::spawn_blocking(move || spilled.read(region.as_deref())).await;
        let read = read.map_err(std::io::Error::other).and_then(|read| read);
        if let Ok(chunk) = &read {
            self.note_disk(MoveKind::ReadBack, id, chunk.nbytes(), began);
        }
        read.map_err(|error| {
            let why = error.to_string();
            if error.kind() == std::io::ErrorKind::InvalidInput {
                return StoreError::Region(KernelError::Window(why));
            }
            warn!(chunk = %id, %error, "spilled chunk is lost");
            self.remove(id);
            StoreError::Damaged { chunk: id, why }
        })
    }

    /// Moves the chunks that were not used for longest to disk until those in memory take at most `target_bytes`.
    /// Blocks on the disk. A chunk that cannot be written stays in memory. Returns whether the disk took all it was given.
    pub fn spill_to(&self, target_bytes: u64) -> bool {
        let in_memory = self.chunks.iter().filter(|e| matches!(e.place, Place::Memory(_)));
        let mut oldest: Vec<(u64, ChunkId)> = in_memory
            .map(|e| (e.used.load(Ordering::Relaxed), *e.key()))
            .collect();
        oldest.sort_unstable();
        for (_, id) in oldest {
            if self.memory_bytes.load(Ordering::Relaxed) <= target_bytes {
                return true;
            }
            let chunk = match self.chunks.get(&id).map(|entry| entry.place.clone()) {
                Some(Place::Memory(chunk)) => chunk,
                Some(Place::Disk(_)) | None => continue,
            };
            // What cannot be written stays; the log has said so.
            let began = Instant::now();
            let Ok(spilled) = self.disk.write(&chunk) else {
                return false;
            };
            self.note_disk(MoveKind::Spill, id, chunk.nbytes(), began);
            self.memory_to_disk(id, spilled);
        }
        true
    }

    /// What the disk takes of chunks in a second, as far as it was measured.
    pub(crate) fn disk_bytes_per_s(&self) -> Option<u64> {
        self.disk.bytes_per_s()
    }

    fn note_disk(&self, kind: MoveKind, chunk: ChunkId, bytes: u64, began: Instant) {
        let name = MoveName {
            kind,
            of: layer_of(chunk),
            by: None,
        };
        self.moves.note(name, bytes, began);
    }

    fn memory_to_disk(&self, id: ChunkId, spilled: SpilledChunk) {
        // It may have been dropped while it was written; then its place is given back.
        let Some(mut entry) = self.chunks.get_mut(&id) else {
            return;
        };
        if matches!(entry.place, Place::Memory(_)) {
            entry.place = Place::Disk(Arc::new(spilled));
            self.memory_bytes.fetch_sub(entry.bytes, Ordering::Relaxed);
            self.spilled_bytes.fetch_add(entry.bytes, Ordering::Relaxed);
            // Within the entry's lock, as above.
            self.ledger.enter(id, true);
        }
    }

    fn count_out(&self, entry: &Entry) {
        let counter = match entry.place {
            Place::Memory(_) => &self.memory_bytes,
            Place::Disk(_) => &self.spilled_bytes,
        };
        counter.fetch_sub(entry.bytes, Ordering::Relaxed);
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }
}

#[async_trait::async_trait]
impl ChunkSource for ChunkStore {
    async fn read(&self, chunk: ChunkId, region: Option<&[Range<u64>]>) -> Result<Chunk, Refusal> {
        let found = ChunkStore::read(self, chunk, region).await;
        found.map_err(|error| match error {
            StoreError::NotHeld(_) | StoreError::Damaged { .. } => Refusal::NotHeld(error.to_string()),
            StoreError::Region(_) => Refusal::Region(error.to_string()),
        })
    }

    fn copied_bytes(&self, chunk: ChunkId, region: Option<&[Range<u64>]>) -> u64 {
        let Some(entry) = self.chunks.get(&chunk) else {
            return 0;
        };
        let region_bytes = |shape: &[usize], item_bytes: u64| {
            let region = region?;
            let is_whole = region.len() == shape.len()
                && (region.iter().zip(shape)).all(|(range, &len)| *range == (0..len as u64));
            let lens = region.iter().map(|range| range.end.saturating_sub(range.start));
            (!is_whole).then(|| lens.fold(item_bytes, u64::saturating_mul))
        };
        match &entry.place {
            Place::Memory(chunk) => {
                let items = chunk.parts().iter().map(|part| part.dtype().size_bytes());
                region_bytes(chunk.shape(), items.sum()).unwrap_or(0)
            }
            Place::Disk(spilled) => {
                let part = region_bytes(spilled.shape(), spilled.item_bytes());
                part.unwrap_or(entry.bytes)
            }
        }
    }

    async fn awaits(&self, chunk: ChunkId, attempt: u32) -> bool {
        self.uploads.is_awaited((chunk, attempt)).await
    }

    fn give(&self, chunk: ChunkId, attempt: u32, value: Chunk) -> bool {
        self.uploads.give((chunk, attempt), value)
    }

    fn in_memory(&self, chunk: ChunkId) -> Option<Chunk> {
        let entry = self.chunks.get(&chunk)?;
        entry.used.store(self.tick(), Ordering::Relaxed);
        match &entry.place {
            Place::Memory(chunk) => Some(chunk.clone()),
            Place::Disk(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use graticule_engine::BlockRun;
    use graticule_kernel::Tensor;
    use graticule_plan::{JobId, LayerId};

    use super::*;

    fn id(block: u64) -> ChunkId {
        ChunkId {
            job: JobId(1),
            layer: LayerId(0),
            block,
        }
    }

    fn chunk(value: i32) -> Chunk {
        Chunk::new(vec![Tensor::from_vec(&[256], vec![value; 256]).unwrap()]).unwrap()
    }

    fn store(parent: &Path) -> ChunkStore {
        let store = ChunkStore::new(parent, "store");
        (0..3).for_each(|block| store.insert(id(block), chunk(block as i32)));
        store
    }

    #[tokio::test]
    async fn spilling_takes_the_longest_unused_chunks_and_gives_the_same_bytes_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        store.read(id(0), None).await.unwrap();
        store.spill_to(2048);
        assert_eq!(store.sizes(), (2048, 1024));
        let on_disk = std::fs::read_dir(folder.path().join("store")).unwrap().count();
        assert_eq!(on_disk, 1);
        for block in 0..3 {
            let back = store.read(id(block), None).await.unwrap();
            assert_eq!(
                back.single().unwrap().as_slice::<i32>().unwrap(),
                [block as i32; 256]
            );
        }
    }

    #[tokio::test]
    async fn a_damaged_file_is_a_lost_chunk_and_no_wrong_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        store.spill_to(0);
        let files = std::fs::read_dir(folder.path().join("store")).unwrap();
        for file in files {
            let path = file.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            bytes.iter_mut().for_each(|byte| *byte ^= 1);
            std::fs::write(path, bytes).unwrap();
        }
        assert!(matches!(
            store.read(id(1), None).await,
            Err(StoreError::Damaged { .. })
        ));
        assert!(matches!(
            store.read(id(1), None).await,
            Err(StoreError::NotHeld(_))
        ));
    }

    #[test]
    fn chunks_that_the_disk_does_not_take_stay_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("no folder");
        std::fs::write(&file, []).unwrap();
        let store = store(&file);
        let before = store.sizes();
        assert!(!store.spill_to(0), "nothing can be written there");
        assert_eq!(store.sizes(), before);
        assert!(store.spill_to(before.0), "nothing had to be written");
    }

    #[tokio::test]
    async fn what_a_read_copies_is_known_before_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let (part, whole) = (3..10, 0..256);
        let cases = [
            (None, 0, 1024),
            (Some(std::slice::from_ref(&part)), 28, 28),
            (Some(std::slice::from_ref(&whole)), 0, 1024),
        ];
        for (region, in_memory, _) in cases {
            assert_eq!(store.copied_bytes(id(0), region), in_memory, "{region:?}");
        }
        store.spill_to(0);
        for (region, _, on_disk) in cases {
            assert_eq!(store.copied_bytes(id(0), region), on_disk, "{region:?}");
            let read = store.read(id(0), region).await.unwrap();
            assert_eq!(read.nbytes(), on_disk);
        }
        assert_eq!(store.copied_bytes(id(9), None), 0);
    }

    #[tokio::test]
    async fn what_goes_to_disk_and_what_leaves_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let now = Instant::now();
        assert_eq!(store.ledger.take(now, true), None, "all of it is in memory");
        store.spill_to(0);
        let heads = |runs: &[BlockRun]| runs.iter().map(|run| (run.first, run.count)).collect::<Vec<_>>();
        let report = store.ledger.take(now, false).unwrap();
        assert_eq!((heads(&report.to_disk), report.off_disk.len()), (vec![(0, 3)], 0));
        // A chunk that is read stays where it is; one that is made again is in memory.
        store.read(id(0), None).await.unwrap();
        store.insert(id(1), chunk(1));
        store.remove(id(2));
        let report = store.ledger.take(now, false).unwrap();
        assert_eq!((report.to_disk.len(), heads(&report.off_disk)), (0, vec![(1, 2)]));
    }

    #[tokio::test]
    async fn removed_chunks_leave_no_bytes_and_the_store_no_files() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        store.spill_to(1024);
        (0..3).for_each(|block| store.remove(id(block)));
        assert_eq!(store.sizes(), (0, 0));
        drop(store);
        assert!(!folder.path().join("store").exists());
    }
}
