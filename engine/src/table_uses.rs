//! Which layers use which side tables on a worker. Scheduler and worker each keep these books from the same messages
//! in the same order, so both know at each moment which tables the worker has.

use std::collections::BTreeMap;

use graticule_plan::{Digest, JobId, LayerId};

/// The tables of a worker, each with the number of layers that refer to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TableUses {
    by_layer: BTreeMap<(JobId, LayerId), Vec<Digest>>,
    counts: BTreeMap<Digest, u32>,
}

impl TableUses {
    /// A table has come, ahead of the layer that refers to it.
    pub(crate) fn expect(&mut self, digest: Digest) {
        self.counts.entry(digest).or_insert(0);
    }

    /// A layer that refers to `tables` is there. Returns those that no layer referred to before.
    pub(crate) fn add(&mut self, job: JobId, layer: LayerId, tables: &[Digest]) -> Vec<Digest> {
        if tables.is_empty() || self.by_layer.contains_key(&(job, layer)) {
            return Vec::new();
        }
        let mut new = Vec::new();
        for &digest in tables {
            let count = self.counts.entry(digest).or_insert(0);
            if *count == 0 {
                new.push(digest);
            }
            *count += 1;
        }
        self.by_layer.insert((job, layer), tables.to_vec());
        new
    }

    /// The layers of a job are gone. Returns the tables that no layer refers to any more.
    pub(crate) fn forget(&mut self, job: JobId) -> Vec<Digest> {
        let layers = self.by_layer.range((job, LayerId(0))..=(job, LayerId(u32::MAX)));
        let layers: Vec<_> = layers.map(|(&at, _)| at).collect();
        let mut gone = Vec::new();
        for digest in layers.iter().flat_map(|at| self.by_layer.remove(at)).flatten() {
            let count = self.counts.get_mut(&digest).expect("counted when it was added");
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&digest);
                gone.push(digest);
            }
        }
        gone
    }

    /// All tables, which are there no more.
    pub(crate) fn clear(&mut self) -> Vec<Digest> {
        self.by_layer.clear();
        std::mem::take(&mut self.counts).into_keys().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.counts.len()
    }
}

#[cfg(test)]
mod tests {
    use graticule_plan::{Digest, JobId, LayerId};

    use super::TableUses;

    #[test]
    fn a_table_is_there_from_its_first_layer_to_the_end_of_its_last_job() {
        let [a, b] = [b"a", b"b"].map(|content| Digest::of(content));
        let mut uses = TableUses::default();
        assert_eq!(uses.add(JobId(1), LayerId(0), &[a, b]), [a, b]);
        assert_eq!(uses.add(JobId(1), LayerId(1), &[a]), []);
        assert_eq!(uses.add(JobId(2), LayerId(0), &[a]), []);
        assert_eq!(
            uses.add(JobId(2), LayerId(0), &[a]),
            [],
            "a layer that is known counts once"
        );
        assert_eq!(uses.forget(JobId(1)), [b]);
        assert_eq!(uses.forget(JobId(1)), []);
        assert_eq!(
            uses.add(JobId(3), LayerId(4), &[b]),
            [b],
            "it is to be sent again"
        );
        assert_eq!(uses.forget(JobId(2)), [a]);
        uses.expect(a);
        assert_eq!(
            uses.forget(JobId(3)),
            [b],
            "a table whose layer is still to come stays"
        );
        assert_eq!(uses.clear(), [a]);
        assert_eq!(uses, TableUses::default());
    }
}
