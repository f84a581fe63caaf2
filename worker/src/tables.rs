use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use dashmap::DashMap;
use graticule_kernel::{KernelError, Tables};
use graticule_ops::{Calls, Program};
use graticule_plan::{Body, Digest};

use crate::mixed::Mixed;

/// Programs that are kept decoded; more than these are decoded again when they are needed.
const PROGRAM_COUNT_MAX: usize = 1024;
/// Bytes of bodies of calls that are kept decoded.
const CALLS_BYTES_MAX: usize = 16 << 20;

/// Side tables and decoded programs, by digest. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct TableStore {
    tables: Arc<DashMap<Digest, Arc<[u8]>, Mixed>>,
    programs: Arc<DashMap<Digest, Arc<Program>, Mixed>>,
    calls: Arc<DashMap<Digest, Arc<Calls>, Mixed>>,
    /// Bytes of the bodies of those.
    calls_bytes: Arc<AtomicUsize>,
}

impl TableStore {
    pub(crate) fn insert(&self, digest: Digest, content: Arc<[u8]>) {
        self.tables.insert(digest, content);
    }

    pub(crate) fn remove(&self, digests: &[Digest]) {
        for digest in digests {
            self.tables.remove(digest);
        }
    }

    /// The program that a layer's body encodes.
    pub(crate) fn program(&self, body: &Body) -> Result<Arc<Program>, KernelError> {
        if let Some(program) = self.programs.get(&body.digest) {
            return Ok(program.clone());
        }
        let program = Arc::new(Program::decode(&body.bytes)?);
        if self.programs.len() >= PROGRAM_COUNT_MAX {
            self.programs.clear();
        }
        self.programs.insert(body.digest, program.clone());
        Ok(program)
    }

    /// The calls that a layer's body encodes.
    pub(crate) fn calls(&self, body: &Body) -> Result<Arc<Calls>, KernelError> {
        if let Some(calls) = self.calls.get(&body.digest) {
            return Ok(calls.clone());
        }
        let calls = Arc::new(Calls::decode(&body.bytes)?);
        let bytes = self.calls_bytes.fetch_add(body.bytes.len(), Ordering::Relaxed);
        if bytes > CALLS_BYTES_MAX || self.calls.len() >= PROGRAM_COUNT_MAX {
            self.calls.clear();
            self.calls_bytes.store(body.bytes.len(), Ordering::Relaxed);
        }
        self.calls.insert(body.digest, calls.clone());
        Ok(calls)
    }
}

impl Tables for TableStore {
    fn table(&self, digest: Digest) -> Option<Arc<[u8]>> {
        self.tables.get(&digest).map(|content| content.clone())
    }
}
