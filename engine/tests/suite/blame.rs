//! Which task is held to have ended a worker.

use crate::cluster::{self, Cluster, Leased, Plans};
use graticule_engine::{
    ToScheduler,
    scheduler::{Event, JobEvent},
};
use graticule_plan::{JobId, WorkerId};

impl Cluster {
    fn says_that_it_computes(&mut self, worker: WorkerId, leased: &[Leased]) {
        let tasks = leased.iter().map(|leased| leased.task).collect();
        let message = ToScheduler::Computing { tasks };
        let session = self.session(worker);
        self.tell(Event::WorkerMessage { session, message });
    }

    /// Has workers come until the killer's job has failed. Each is leased all that it takes, runs the killer if it has
    /// it, and ends then. Returns how many tasks beside it each of those had.
    fn run_beside_a_killer(&mut self, killer: JobId, ends: impl Fn(&mut Self, WorkerId)) -> Vec<usize> {
        let mut beside = Vec::new();
        while self.failure(killer).is_none() {
            let worker = self.join(1, 1 << 30);
            loop {
                let leased = self.leased(worker);
                if leased.is_empty() {
                    break;
                }
                let (of_killer, others): (Vec<Leased>, Vec<Leased>) =
                    leased.into_iter().partition(|leased| leased.task.job == killer);
                if !of_killer.is_empty() {
                    beside.push(others.len());
                    self.says_that_it_computes(worker, &of_killer);
                    ends(self, worker);
                    break;
                }
                others.into_iter().for_each(|other| self.finish(worker, other));
            }
        }
        beside
    }
}

#[test]
fn innocent_tasks_of_a_worker_that_dies_are_neither_blamed_nor_run_alone() {
    let mut cluster = Cluster::default();
    // They come first, so that they would be suspected first.
    let innocent = cluster.submit(Plans::default().source(100).deliver().plan());
    let killer = cluster.submit(Plans::default().source(1).deliver().plan());
    let beside = cluster.run_beside_a_killer(killer, |cluster, worker| cluster.lose(worker));
    assert_eq!(beside.len(), 4);
    assert!(beside[0] > 0 && beside[1] > 0, "{beside:?}");
    assert_eq!(beside[2..], [0, 0], "a suspect is tried alone before it fails");
    assert!(cluster.failure(innocent).is_none());
    let worker = cluster.join(1, 1 << 30);
    let rest = cluster.leased(worker);
    assert!(rest.len() > 1, "none of them is a suspect: {rest:?}");
    for leased in rest {
        cluster.finish(worker, leased);
    }
    cluster.run_all(&[worker]);
    (0..100).for_each(|block| cluster.deliver(cluster::task(innocent, 0, block)));
    assert!(cluster.is_told(innocent, &JobEvent::Finished));
}

#[test]
fn the_failure_of_a_task_that_ends_workers_tells_how_they_ended() {
    let mut cluster = Cluster::default();
    let killer = cluster.submit(Plans::default().source(1).deliver().plan());
    let ended = |how: &str| Event::WorkerEnded {
        name: "worker".into(),
        how: how.into(),
    };
    // The news comes after the connection's end, or before it.
    let mut first = true;
    while cluster.failure(killer).is_none() {
        let worker = cluster.join(1, 1 << 30);
        assert_eq!(cluster.leased(worker).len(), 1);
        if first {
            cluster.lose(worker);
            cluster.tell(ended("was killed by signal 11"));
        } else {
            cluster.tell(ended("ended with exit code 3"));
            cluster.lose(worker);
        }
        first = false;
    }
    let why = cluster.failure(killer).expect("it has failed");
    assert!(why.contains("worker was killed by signal 11"), "{why}");
    assert_eq!(why.matches("ended with exit code 3").count(), 3, "{why}");
}
