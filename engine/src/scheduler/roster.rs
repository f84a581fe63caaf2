//! The connected workers, found by their number at once however many they are.

use std::ops::Index;

use graticule_plan::WorkerId;

use super::record::WorkerRecord;

/// Workers of one page.
const PAGE_WORKERS: usize = 64;

/// Records by worker, by rising id. Ids are given one after the other, so pages of them are full, and those of workers
/// that are gone take a few bytes.
#[derive(Debug, Default)]
pub(super) struct Roster {
    pages: Vec<Vec<Entry>>,
    len: usize,
}

type Entry = Option<(WorkerId, WorkerRecord)>;

impl Roster {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(super) fn get(&self, worker: &WorkerId) -> Option<&WorkerRecord> {
        let (page, at) = place(*worker);
        let (_, record) = self.pages.get(page)?.get(at)?.as_ref()?;
        Some(record)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, worker: &WorkerId) -> Option<&mut WorkerRecord> {
        let (page, at) = place(*worker);
        let (_, record) = self.pages.get_mut(page)?.get_mut(at)?.as_mut()?;
        Some(record)
    }

    #[inline]
    pub(super) fn contains_key(&self, worker: &WorkerId) -> bool {
        self.get(worker).is_some()
    }

    /// Puts a worker in, in the place of its former record if there is one.
    pub(super) fn insert(&mut self, worker: WorkerId, record: WorkerRecord) {
        let (page, at) = place(worker);
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, Vec::new);
        }
        let page = &mut self.pages[page];
        if page.is_empty() {
            page.resize_with(PAGE_WORKERS, || None);
        }
        let before = page[at].replace((worker, record));
        self.len += usize::from(before.is_none());
    }

    pub(super) fn remove(&mut self, worker: &WorkerId) -> Option<WorkerRecord> {
        let (page, at) = place(*worker);
        let page = self.pages.get_mut(page)?;
        let (_, record) = page.get_mut(at)?.take()?;
        self.len -= 1;
        if page.iter().all(Option::is_none) {
            *page = Vec::new();
        }
        Some(record)
    }

    /// All workers, by rising id.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&WorkerId, &WorkerRecord)> {
        let entries = self.pages.iter().flatten().flatten();
        entries.map(|(worker, record)| (worker, record))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &WorkerId> {
        self.iter().map(|(worker, _)| worker)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &WorkerRecord> {
        self.iter().map(|(_, record)| record)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut WorkerRecord> {
        let entries = self.pages.iter_mut().flatten().flatten();
        entries.map(|(_, record)| record)
    }
}

impl Index<&WorkerId> for Roster {
    type Output = WorkerRecord;

    fn index(&self, worker: &WorkerId) -> &WorkerRecord {
        self.get(worker).expect("the worker is connected")
    }
}

fn place(worker: WorkerId) -> (usize, usize) {
    let number = worker.0 as usize;
    (number / PAGE_WORKERS, number % PAGE_WORKERS)
}
