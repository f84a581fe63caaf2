//! The connected workers, found by their number at once however many they are.

use std::ops::Index;

use graticule_plan::WorkerId;

use super::record::WorkerRecord;

/// Workers of one page.
const PAGE_WORKERS: usize = 64;
/// Empty pages that a span may take in before a worker behind it begins a span of its own.
const GAP_PAGES_MAX: usize = 64;

/// Records by worker, by rising id.
///
/// Within one run of the scheduler ids are given one after the other, so the pages of a span are full and those of
/// workers that are gone take a few bytes. Runs number their workers far apart: each has a span of its own as long as
/// workers of it are there.
#[derive(Debug)]
pub(super) struct Roster<R = WorkerRecord> {
    /// By rising numbers of their pages, which do not overlap.
    spans: Vec<Span<R>>,
    len: usize,
}

/// Pages with numbers that follow each other.
#[derive(Debug)]
struct Span<R> {
    first_page: usize,
    /// The last one has a worker.
    pages: Vec<Vec<Entry<R>>>,
}

type Entry<R> = Option<(WorkerId, R)>;

impl<R> Default for Roster<R> {
    fn default() -> Self {
        Self {
            spans: Vec::new(),
            len: 0,
        }
    }
}

impl<R> Roster<R> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(super) fn get(&self, worker: &WorkerId) -> Option<&R> {
        let (page, at) = place(*worker);
        let span = &self.spans[self.span_of(page)?];
        let (_, record) = span.pages.get(page - span.first_page)?.get(at)?.as_ref()?;
        Some(record)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, worker: &WorkerId) -> Option<&mut R> {
        let (page, at) = place(*worker);
        let span = self.span_of(page)?;
        let span = &mut self.spans[span];
        let page = span.pages.get_mut(page - span.first_page)?;
        let (_, record) = page.get_mut(at)?.as_mut()?;
        Some(record)
    }

    #[inline]
    pub(super) fn contains_key(&self, worker: &WorkerId) -> bool {
        self.get(worker).is_some()
    }

    /// The last span that begins at or before a page. The newest run has most workers, and the last span.
    #[inline]
    fn span_of(&self, page: usize) -> Option<usize> {
        self.spans.iter().rposition(|span| span.first_page <= page)
    }

    /// Puts a worker in, in the place of its former record if there is one.
    pub(super) fn insert(&mut self, worker: WorkerId, record: R) {
        let (page, at) = place(worker);
        let span = self.span_to_extend(page);
        let span = &mut self.spans[span];
        let within = page - span.first_page;
        if span.pages.len() <= within {
            span.pages.resize_with(within + 1, Vec::new);
        }
        let page = &mut span.pages[within];
        if page.is_empty() {
            page.resize_with(PAGE_WORKERS, || None);
        }
        let before = page[at].replace((worker, record));
        self.len += usize::from(before.is_none());
    }

    /// The span that has a page, or is near enough before it; a new one if there is none.
    fn span_to_extend(&mut self, page: usize) -> usize {
        let before = self.span_of(page);
        let is_near = |&at: &usize| {
            let span = &self.spans[at];
            page - span.first_page < span.pages.len() + GAP_PAGES_MAX
        };
        before.filter(is_near).unwrap_or_else(|| {
            let at = before.map_or(0, |before| before + 1);
            let (first_page, pages) = (page, Vec::new());
            self.spans.insert(at, Span { first_page, pages });
            at
        })
    }

    pub(super) fn remove(&mut self, worker: &WorkerId) -> Option<R> {
        let (page, at) = place(*worker);
        let number = self.span_of(page)?;
        let span = &mut self.spans[number];
        let page = span.pages.get_mut(page - span.first_page)?;
        let (_, record) = page.get_mut(at)?.take()?;
        self.len -= 1;
        if page.iter().all(Option::is_none) {
            *page = Vec::new();
            while span.pages.last().is_some_and(Vec::is_empty) {
                span.pages.pop();
            }
            if span.pages.is_empty() {
                self.spans.remove(number);
            }
        }
        Some(record)
    }

    /// All workers, by rising id.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&WorkerId, &R)> {
        let pages = self.spans.iter().flat_map(|span| &span.pages);
        let entries = pages.flatten().flatten();
        entries.map(|(worker, record)| (worker, record))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &WorkerId> {
        self.iter().map(|(worker, _)| worker)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &R> {
        self.iter().map(|(_, record)| record)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut R> {
        let pages = self.spans.iter_mut().flat_map(|span| &mut span.pages);
        let entries = pages.flatten().flatten();
        entries.map(|(_, record)| record)
    }
}

impl<R> Index<&WorkerId> for Roster<R> {
    type Output = R;

    fn index(&self, worker: &WorkerId) -> &R {
        self.get(worker).expect("the worker is connected")
    }
}

fn place(worker: WorkerId) -> (usize, usize) {
    let number = worker.0 as usize;
    (number / PAGE_WORKERS, number % PAGE_WORKERS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use graticule_plan::WorkerId;

    use super::Roster;

    #[test]
    fn a_roster_is_an_ordered_map_and_small_however_far_apart_the_numbers_are() {
        let (mut roster, mut map) = (Roster::default(), BTreeMap::new());
        let mut state = 7_u64;
        for step in 0..20_000_u64 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            // Runs are numbered from high numbers on; the later ones have more workers.
            let run = (state >> 33) % 5;
            let worker = WorkerId((run << 40) + (state >> 40) % (200 * (run + 1)));
            if state >> 61 < 4 {
                roster.insert(worker, step);
                map.insert(worker, step);
            } else {
                assert_eq!(roster.remove(&worker), map.remove(&worker));
            }
            assert_eq!(roster.get(&worker), map.get(&worker));
            assert_eq!(roster.len(), map.len());
        }
        assert!(roster.iter().eq(map.iter()));
        let pages: usize = roster.spans.iter().map(|span| span.pages.len()).sum();
        assert!(pages < 100, "{pages} pages for {} workers", roster.len());
        for &worker in map.keys() {
            roster.remove(&worker);
        }
        assert!(roster.is_empty() && roster.spans.is_empty());
    }

    #[test]
    fn a_worker_of_an_earlier_run_stands_before_those_of_later_ones() {
        let mut roster = Roster::default();
        for worker in [1 << 40, 5, (1 << 40) + 70, 4_000].map(WorkerId) {
            roster.insert(worker, worker.0);
        }
        let found: Vec<u64> = roster.values().copied().collect();
        assert_eq!(found, [5, 4_000, 1 << 40, (1 << 40) + 70]);
    }
}
