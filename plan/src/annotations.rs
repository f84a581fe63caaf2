use std::{collections::BTreeMap, sync::Arc};

use crate::{Layer, Resource};

/// How tasks shall run, beside what they do. Dask's `annotate` has the same names.
///
/// ```
/// use graticule_plan::Annotations;
///
/// let on_gpu = Annotations::new().priority(10).retries(3).resource("GPU", 1).worker("big-one");
/// assert_eq!(on_gpu.resources.get("GPU"), Some(&1));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotations {
    /// Tasks of higher priority run first within a job; 0 unless said otherwise.
    pub priority: Option<i32>,
    /// How often a task may fail before its job does.
    pub retries: Option<u32>,
    /// Countable things that a task occupies while it runs, by name: `GPU`, `licence`.
    pub resources: BTreeMap<Arc<str>, u32>,
    /// The names of the workers that may run the tasks; none means all.
    pub workers: Vec<Arc<str>>,
}

impl Annotations {
    /// Nothing said.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a priority.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = Some(priority);
        self
    }

    /// With a number of failures that each task may have.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// With so many of a countable thing for each task.
    #[must_use]
    pub fn resource(mut self, name: &str, count: u32) -> Self {
        self.resources.insert(name.into(), count);
        self
    }

    /// With one more worker that may run the tasks.
    #[must_use]
    pub fn worker(mut self, name: &str) -> Self {
        if !self.workers.iter().any(|known| **known == *name) {
            self.workers.push(name.into());
        }
        self
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what is said of an operation that becomes one with this one: the higher priority, the more retries, the
    /// most of each resource. Where both name workers, these remain that both name; if there are none, this one's.
    pub fn join(&mut self, other: &Self) {
        self.priority = self.priority.max(other.priority);
        self.retries = self.retries.max(other.retries);
        for (name, &count) in &other.resources {
            let own = self.resources.entry(name.clone()).or_default();
            *own = count.max(*own);
        }
        let common: Vec<Arc<str>> = self
            .workers
            .iter()
            .filter(|name| other.workers.contains(name))
            .cloned()
            .collect();
        if self.workers.is_empty() {
            self.workers.clone_from(&other.workers);
        } else if !common.is_empty() {
            self.workers = common;
        }
    }

    /// Has a layer's tasks run like this.
    pub fn apply(&self, layer: &mut Layer) {
        layer.priority = self.priority.unwrap_or(layer.priority);
        layer.retries = self.retries.unwrap_or(layer.retries);
        layer.resources = self
            .resources
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(name, &count)| Resource {
                name: name.clone(),
                count,
            })
            .collect();
        layer.workers.clone_from(&self.workers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_say_is_joined() {
        let mut left = Annotations::new()
            .priority(1)
            .resource("GPU", 1)
            .worker("a")
            .worker("b");
        left.join(
            &Annotations::new()
                .retries(2)
                .resource("GPU", 2)
                .worker("b")
                .worker("c"),
        );
        let want = Annotations::new()
            .priority(1)
            .retries(2)
            .resource("GPU", 2)
            .worker("b");
        assert_eq!(left, want);
        left.join(&Annotations::new().worker("d"));
        assert_eq!(
            left.workers,
            ["b".into()],
            "one's own go before others that contradict"
        );
        let mut none = Annotations::new();
        none.join(&want);
        assert_eq!(none, want);
    }
}
