//! What `Client.run` has had done on a worker: it is done in each of its children, before the next call there, and in those that are
//! started later.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use graticule_kernel::Tensor;

use super::{
    child::{Asked, Function},
    words::Ask,
};

/// What is remembered: beyond, the oldest goes.
const RUN_COUNT_MAX: usize = 256;
const RUN_BYTES_MAX: usize = 64 << 20;

/// What was run, oldest first.
#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: Mutex<VecDeque<Arc<Run>>>,
    /// The number of the latest; 0 before the first.
    latest: AtomicU64,
}

/// A call that is made in each child.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) number: u64,
    pub(super) asked: Asked,
}

/// What of it a child has done.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// All up to this number.
    upto: u64,
    /// And these.
    further: BTreeSet<u64>,
}

impl Runs {
    /// Whether a child has nothing of it to do.
    pub(super) fn are_done(&self, done: &Done) -> bool {
        self.latest.load(Ordering::Acquire) == done.upto
    }

    /// What a child has not done yet, oldest first.
    pub(super) fn missing(&self, done: &mut Done) -> Vec<Arc<Run>> {
        if self.are_done(done) {
            return Vec::new();
        }
        let runs = self.lock();
        let mut missing: Vec<Arc<Run>> = runs
            .iter()
            .filter(|run| run.number > done.upto)
            .cloned()
            .collect();
        missing.retain(|run| !done.further.contains(&run.number));
        done.upto = self.latest.load(Ordering::Acquire);
        done.further.clear();
        missing
    }

    /// A child has run it first, and all others are to. The same call, made before, was for what this one is for.
    pub(super) fn add(&self, function: Function, tensors: Vec<Tensor>, done: &mut Done) {
        let mut runs = self.lock();
        runs.retain(|run| !run.is_of(&function, &tensors));
        let number = self.latest.load(Ordering::Acquire) + 1;
        let asked = Asked {
            ask: Ask::Call,
            function,
            tensors,
            is_everywhere: false,
        };
        runs.push_back(Arc::new(Run { number, asked }));
        while runs.len() > RUN_COUNT_MAX || runs.iter().map(|run| run.size()).sum::<usize>() > RUN_BYTES_MAX {
            tracing::warn!(
                runs = RUN_COUNT_MAX,
                bytes = RUN_BYTES_MAX,
                "of what Client.run had done, the oldest is not done in processes that start from now on"
            );
            runs.pop_front();
        }
        self.latest.store(number, Ordering::Release);
        done.further.insert(number);
    }

    /// Nobody is to do it any more.
    pub(super) fn forget(&self, run: &Run) {
        self.lock().retain(|one| one.number != run.number);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Run>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    fn is_of(&self, function: &Function, tensors: &[Tensor]) -> bool {
        let is_same = |(one, other): (&Tensor, &Tensor)| {
            one.dtype() == other.dtype() && one.shape() == other.shape() && one.bytes() == other.bytes()
        };
        self.asked.function.digest == function.digest
            && self.asked.tensors.len() == tensors.len()
            && self.asked.tensors.iter().zip(tensors).all(is_same)
    }

    fn size(&self) -> usize {
        let tensors = std::iter::once(&self.asked.function.whole).chain(&self.asked.tensors);
        tensors.map(|tensor| tensor.bytes().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use graticule_client::Value;

    use super::*;

    fn function(name: u8) -> Function {
        Function {
            digest: [name; 32],
            whole: Value::from(vec![name; 40]).into_tensor(),
        }
    }

    fn names(runs: &[Arc<Run>]) -> Vec<u8> {
        runs.iter().map(|run| run.asked.function.digest[0]).collect()
    }

    #[test]
    fn each_child_does_what_it_has_not_done_in_order_and_once() {
        let runs = Runs::default();
        let (mut first, mut second) = (Done::default(), Done::default());
        runs.add(function(1), Vec::new(), &mut first);
        runs.add(function(2), Vec::new(), &mut second);
        assert_eq!(names(&runs.missing(&mut first)), [2]);
        assert_eq!(names(&runs.missing(&mut second)), [1]);
        runs.add(function(3), Vec::new(), &mut first);
        // Made again, it is done again, behind the others.
        runs.add(function(1), Vec::new(), &mut second);
        assert_eq!(names(&runs.missing(&mut second)), [3]);
        assert_eq!(names(&runs.missing(&mut first)), [1]);
        assert!(runs.missing(&mut first).is_empty() && runs.missing(&mut second).is_empty());
        assert_eq!(names(&runs.missing(&mut Done::default())), [2, 3, 1]);
        let all = runs.missing(&mut Done::default());
        runs.forget(&all[1]);
        assert_eq!(names(&runs.missing(&mut Done::default())), [2, 1]);
    }

    #[test]
    fn what_is_too_much_goes_oldest_first() {
        let runs = Runs::default();
        let mut done = Done::default();
        for number in 0..=u8::MAX {
            runs.add(function(number), Vec::new(), &mut done);
        }
        let large = Value::from(vec![0_u8; RUN_BYTES_MAX / 2]).into_tensor();
        runs.add(function(0), vec![large.clone()], &mut done);
        let kept = runs.missing(&mut Done::default());
        assert_eq!((kept.len(), kept[0].asked.function.digest[0]), (RUN_COUNT_MAX, 1));
        runs.add(function(1), vec![large], &mut done);
        assert_eq!(names(&runs.missing(&mut Done::default())), [1]);
    }
}
