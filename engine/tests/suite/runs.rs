//! Neighbouring blocks that go together.

use std::collections::BTreeSet;

use crate::cluster::{Cluster, Plans, finished, task};
use graticule_engine::{
    BlockRun, RUN_BLOCKS_MAX, Report, TaskTimes, ToScheduler, ToWorker,
    scheduler::{Config, Event, JobEvent, Observation},
};
use graticule_plan::{JobId, Plan, TaskId, WorkerId};

const JOB: JobId = JobId(1);

/// A run that was leased, with its attempt.
type Run = (BlockRun, u32);

fn plan() -> Plan {
    Plans::default().source(500).each().group(8).deliver().plan()
}

fn runs(cluster: &mut Cluster, worker: WorkerId) -> Vec<Run> {
    let lists = cluster.heard(worker).into_iter().map(|message| match message {
        ToWorker::Lease(lease) => {
            let run = |run: &graticule_engine::TaskRun| {
                let tasks = BlockRun {
                    job: lease.job,
                    layer: lease.layer,
                    first: run.first,
                    count: run.count,
                };
                (tasks, run.attempt)
            };
            lease.tasks.iter().map(run).collect()
        }
        _ => Vec::new(),
    });
    lists.collect::<Vec<_>>().concat()
}

/// A worker says that tasks of 10 us went well.
fn report(cluster: &mut Cluster, worker: WorkerId, (tasks, attempt): Run) {
    let times = TaskTimes {
        compute_us: 10,
        ..TaskTimes::default()
    };
    let report = Report {
        task: tasks.head(),
        attempt,
        outcome: Ok(finished()),
        times,
        others: vec![times; tasks.count as usize - 1],
    };
    cluster.tell(Event::WorkerMessage {
        session: cluster.session(worker),
        message: ToScheduler::Reports(vec![report]),
    });
}

/// The next run of more than one block that is leased to a worker, after all before it went well.
fn long_run(cluster: &mut Cluster, workers: &[WorkerId]) -> (WorkerId, Run) {
    for _ in 0..1000 {
        for &worker in workers {
            let mut found = None;
            for run in runs(cluster, worker) {
                if run.0.count > 8 && found.is_none() {
                    found = Some((worker, run));
                } else {
                    report(cluster, worker, run);
                }
            }
            if let Some(found) = found {
                return found;
            }
        }
    }
    panic!("no long run is leased");
}

/// Lets all go well until nothing is leased any more.
fn run_all(cluster: &mut Cluster, workers: &[WorkerId]) {
    loop {
        let mut leased = Vec::new();
        for &worker in workers {
            leased.extend(runs(cluster, worker).into_iter().map(|run| (worker, run)));
        }
        if leased.is_empty() {
            return;
        }
        for (worker, run) in leased {
            report(cluster, worker, run);
        }
    }
}

/// The tasks that counted as finished, in order.
fn done(cluster: &Cluster) -> Vec<TaskId> {
    let done = cluster
        .observed
        .iter()
        .filter_map(|observation| match observation {
            Observation::TasksFinished { tasks, .. } => Some(tasks.each()),
            _ => None,
        });
    done.flatten().collect()
}

fn ends_well(cluster: &mut Cluster) {
    for block in 0..63 {
        cluster.deliver(task(JOB, 2, block));
    }
    assert!(cluster.is_told(JOB, &JobEvent::Finished));
    assert!(cluster.scheduler.is_clean());
}

#[test]
fn neighbours_of_little_work_go_together_and_each_counts_once() {
    let (mut cluster, workers) = Cluster::of(2);
    cluster.submit(plan());
    run_all(&mut cluster, &workers);
    let done = done(&cluster);
    assert_eq!(done.len(), 500 + 500 + 63);
    assert_eq!(done.iter().collect::<BTreeSet<_>>().len(), done.len());
    let leased = cluster
        .observed
        .iter()
        .filter_map(|observation| match observation {
            Observation::TasksLeased { tasks, .. } => Some(tasks.count),
            _ => None,
        });
    let leased: Vec<u64> = leased.collect();
    assert_eq!(leased.iter().max(), Some(&RUN_BLOCKS_MAX));
    // The first pages go in parts, before any task of their layer was measured.
    let whole = leased.iter().filter(|&&count| count == RUN_BLOCKS_MAX).count();
    assert!(whole >= 8 && leased.len() < 500, "{leased:?}");
    ends_well(&mut cluster);
}

#[test]
fn every_block_is_leased_alone_where_the_settings_say_so() {
    let mut cluster = Cluster::new(Config {
        lease_blocks_max: 1,
        ..Config::default()
    });
    let workers = [cluster.join(1, 1 << 30)];
    cluster.submit(plan());
    run_all(&mut cluster, &workers);
    let is_alone = |observation: &Observation| match observation {
        Observation::TasksLeased { tasks, .. } => tasks.count == 1,
        _ => true,
    };
    assert!(cluster.observed.iter().all(is_alone));
    ends_well(&mut cluster);
}

#[test]
fn long_tasks_go_one_by_one_to_workers_that_have_nothing_to_do() {
    let (mut cluster, workers) = Cluster::of(4);
    cluster.submit(Plans::default().source(4).deliver().plan());
    for worker in workers {
        assert_eq!(cluster.leased(worker).len(), 1);
    }
}

#[test]
fn a_report_counts_only_for_those_of_its_tasks_that_the_worker_has() {
    let (mut cluster, workers) = Cluster::of(1);
    cluster.submit(plan());
    let (worker, (tasks, attempt)) = long_run(&mut cluster, &workers);
    let before = done(&cluster).len() as u64;
    let half = tasks.part(tasks.first + 3, 4);
    report(&mut cluster, worker, (half, attempt + 1));
    assert_eq!(done(&cluster).len() as u64, before, "of another attempt");
    report(&mut cluster, worker, (half, attempt));
    assert_eq!(done(&cluster).len() as u64, before + 4);
    report(&mut cluster, worker, (tasks, attempt));
    assert_eq!(
        done(&cluster).len() as u64,
        before + tasks.count,
        "the four count once"
    );
    run_all(&mut cluster, &workers);
    ends_well(&mut cluster);
}

#[test]
fn a_lost_worker_gives_up_what_of_a_run_it_had_not_done_and_what_it_held() {
    let (mut cluster, mut workers) = Cluster::of(2);
    cluster.submit(plan());
    let (lost, (tasks, attempt)) = long_run(&mut cluster, &workers);
    report(&mut cluster, lost, (tasks.part(tasks.first, 5), attempt));
    cluster.observed.clear();
    cluster.lose(lost);
    let reset = cluster
        .observed
        .iter()
        .filter_map(|observation| match observation {
            Observation::TaskReset {
                task, was_finished, ..
            } if task.layer == tasks.layer => Some((task.block, *was_finished)),
            _ => None,
        });
    let reset: BTreeSet<(u64, bool)> = reset.collect();
    for block in tasks.first..tasks.end() {
        let was_finished = block < tasks.first + 5;
        assert!(reset.contains(&(block, was_finished)), "{block} of {reset:?}");
    }
    workers.retain(|&worker| worker != lost);
    run_all(&mut cluster, &workers);
    ends_well(&mut cluster);
}

#[test]
fn what_is_observed_of_neighbours_can_be_told_one_by_one() {
    let times = |us| TaskTimes {
        compute_us: us,
        ..TaskTimes::default()
    };
    let tasks = BlockRun {
        count: 3,
        ..task(JOB, 0, 7).into()
    };
    let together = Observation::TasksFinished {
        tasks,
        worker: WorkerId(1),
        attempt: 0,
        bytes: 8,
        times: times(1),
        others: vec![times(2), times(3)],
    };
    let mut told = Vec::new();
    together.each(|observation| told.push(observation));
    let one = |block, us| Observation::TasksFinished {
        tasks: task(JOB, 0, block).into(),
        worker: WorkerId(1),
        attempt: 0,
        bytes: 8,
        times: times(us),
        others: Vec::new(),
    };
    assert_eq!(told, [one(7, 1), one(8, 2), one(9, 3)]);
}
