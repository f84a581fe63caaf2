//! What the scheduler answers when somebody asks why.

use crate::cluster::{CHUNK_BYTES, Cluster, Plans, task};
use graticule_engine::{
    Time, ToScheduler,
    scheduler::{Bound, Event, Placement, Standing, Unknown, Why},
};
use graticule_plan::{Annotations, JobId, Key, Layer, Resource, TaskId, WorkerId};

const KEY: Key = Key(7);

fn why(cluster: &Cluster, task: TaskId) -> Why {
    cluster.scheduler.why(task).expect("the task is known")
}

/// The last of a chain of causes.
fn root(why: &Why) -> &Why {
    match &why.standing {
        Standing::Waiting { causes, .. } => root(&causes[0]),
        _ => why,
    }
}

#[test]
fn what_does_not_exist_is_told_apart_and_the_text_says_what_does() {
    let mut cluster = Cluster::default();
    let job = cluster.submit(Plans::default().source(2).each().deliver().plan());
    let unknown = |task| cluster.scheduler.why(task).expect_err("it does not exist");
    let text = unknown(task(JobId(9), 0, 0)).to_string();
    assert!(
        text.contains("job 9 is not known") && text.contains("1 (job)"),
        "{text}"
    );
    assert!(matches!(
        unknown(task(job, 2, 0)),
        Unknown::Layer { layer_count: 2, .. }
    ));
    let text = unknown(task(job, 1, 2)).to_string();
    assert!(text.contains("blocks 0 to 1"), "{text}");
    let text = cluster
        .scheduler
        .why_worker(cluster.now, WorkerId(5))
        .expect_err("none is there");
    assert!(text.to_string().contains("no worker is"), "{text}");
}

#[test]
fn without_workers_nothing_is_demanded_and_the_answer_says_so() {
    let mut cluster = Cluster::default();
    let job = cluster.submit(Plans::default().source(40).each().deliver().plan());
    let answer = why(&cluster, task(job, 0, 20));
    let Standing::NotDemanded {
        needed_for,
        walk_at,
        admission,
    } = &answer.standing
    else {
        panic!("{answer}");
    };
    assert_eq!(*needed_for, task(job, 1, 20));
    assert_ne!(*walk_at, Some(task(job, 1, 20)), "others come first");
    assert_eq!(admission.bound, Bound::NoWorkers);
    let first = cluster.scheduler.first_missing(job).expect("the job is known");
    let chain = why(&cluster, first);
    assert!(chain.to_string().contains("no worker is connected"), "{chain}");
}

#[test]
fn what_comes_later_says_which_output_comes_first_and_what_bounds_the_walk() {
    let mut cluster = Cluster::default();
    let worker = cluster.join(1, 1 << 30);
    let slow = |layer: &mut graticule_plan::Layer| layer.cost_ns = 1_000_000_000;
    let job = cluster.submit(Plans::default().source_with(100, slow).each().deliver().plan());
    let answer = why(&cluster, task(job, 0, 99));
    let Standing::NotDemanded {
        walk_at, admission, ..
    } = answer.standing
    else {
        panic!("{answer}");
    };
    assert_eq!(admission.bound, Bound::Ready);
    assert!(admission.ready_count > admission.ready_count_max);
    let at = walk_at.expect("the walk is under way");
    assert!(at.layer.0 == 1 && at.block < 99, "{at}");
    assert_eq!(cluster.leased(worker).len(), 1);
}

#[test]
fn memory_in_use_bounds_the_walk_and_so_do_results_that_nobody_fetches() {
    let all = Plans::default().source(100).all().deliver().plan();
    let each = Plans::default().source(100).deliver().plan();
    for (plan, want, budget_count) in [(all, Bound::Memory, 102), (each, Bound::Clients, 10)] {
        let mut cluster = Cluster::default();
        let workers = [cluster.join(2, budget_count * CHUNK_BYTES)];
        let job = cluster.submit(plan);
        // One more than fits is always under way.
        let mut finished_count = 0;
        while finished_count < 8 * budget_count / 10 {
            for leased in cluster.leased(workers[0]) {
                cluster.finish(workers[0], leased);
                finished_count += 1;
            }
        }
        let answer = why(&cluster, task(job, 0, 99));
        let Standing::NotDemanded { admission, .. } = answer.standing else {
            panic!("{answer}");
        };
        assert_eq!(admission.bound, want);
        assert!(admission.in_use_bytes >= admission.budget_bytes);
    }
}

#[test]
fn a_waiting_task_leads_down_to_the_cause() {
    let (mut cluster, workers) = Cluster::of(1);
    let job = cluster.submit(Plans::default().source(5).each().all().each().deliver().plan());
    let answer = why(&cluster, task(job, 3, 0));
    let Standing::Waiting { missing, causes } = &answer.standing else {
        panic!("{answer}");
    };
    assert_eq!((*missing, causes.len()), (1, 1));
    let Standing::Waiting { missing, .. } = causes[0].standing else {
        panic!("{answer}");
    };
    assert_eq!((causes[0].task, missing), (task(job, 2, 0), 5));
    let root = root(&answer);
    assert_eq!(root.task, task(job, 0, 0));
    assert!(matches!(&root.standing, Standing::Leased { worker, .. } if *worker == workers[0]));
    let text = answer.to_string();
    assert!(
        text.lines().count() == 4 && text.contains("waits for 5 inputs"),
        "{text}"
    );
}

#[test]
fn a_ready_task_counts_the_workers_that_do_not_take_it_by_reason() {
    let mut cluster = Cluster::default();
    let (busy, leaving) = (cluster.join(1, 1 << 30), cluster.join(1, 1 << 30));
    let session = cluster.session(leaving);
    let message = ToScheduler::Retire {
        deadline_us: 1_000_000,
    };
    cluster.tell(Event::WorkerMessage { session, message });
    let slow = |layer: &mut graticule_plan::Layer| layer.cost_ns = 1_000_000_000;
    let job = cluster.submit(Plans::default().source_with(4, slow).deliver().plan());
    assert_eq!(cluster.leased(busy).len(), 1);
    let answer = why(&cluster, task(job, 0, 2));
    let Standing::Ready { ahead, workers } = answer.standing else {
        panic!("{answer}");
    };
    assert_eq!(ahead, 1, "block 1 is ready too");
    assert_eq!((workers.connected, workers.full, workers.retiring), (2, 1, 1));
    assert_eq!((workers.isolated, workers.not_empty), (0, 0));
    let text = answer.to_string();
    assert!(
        text.contains("of 2 workers 1 has its queue full, 1 leaves"),
        "{text}"
    );
}

#[test]
fn a_leased_task_is_where_its_inputs_are() {
    let (mut cluster, workers) = Cluster::of(2);
    let job = cluster.submit(Plans::default().source(2).each().deliver().plan());
    let sources: Vec<_> = workers.iter().map(|&w| (w, cluster.leased(w))).collect();
    let standing = why(&cluster, sources[0].1[0].task).standing;
    assert!(
        matches!(
            standing,
            Standing::Leased {
                placement: Placement::Idlest,
                ..
            }
        ),
        "{standing}"
    );
    for (worker, leased) in sources {
        for leased in leased {
            cluster.finish(worker, leased);
            let next = task(job, 1, leased.task.block);
            let answer = why(&cluster, next);
            let Standing::Leased {
                worker: at,
                placement,
                ..
            } = answer.standing
            else {
                panic!("{answer}");
            };
            let all = Placement::MostInputs {
                held_bytes: CHUNK_BYTES,
                of_bytes: CHUNK_BYTES,
            };
            assert_eq!((at, placement), (worker, all));
            let source = why(&cluster, leased.task).standing;
            assert!(
                matches!(&source, Standing::Held { holders, needed: 1, .. } if *holders == [worker]),
                "{source}"
            );
        }
    }
}

#[test]
fn a_task_whose_workers_vanish_runs_alone_and_its_losses_are_told() {
    let mut cluster = Cluster::default();
    let first = [cluster.join(1, 1 << 30), cluster.join(1, 1 << 30)];
    let job = cluster.submit(Plans::default().source(1).keep(KEY).plan());
    for worker in first {
        let at = why(&cluster, task(job, 0, 0));
        assert!(matches!(at.standing, Standing::Leased { .. }), "{at}");
        cluster.lose(worker);
    }
    let answer = why(&cluster, task(job, 0, 0));
    assert_eq!((answer.losses, answer.attempts), (2, 2));
    let Standing::Ready { workers, .. } = answer.standing else {
        panic!("{answer}");
    };
    assert_eq!(workers.connected, 0);
    assert!(answer.to_string().contains("lost its worker 2 times"), "{answer}");
    let third = cluster.join(1, 1 << 30);
    let answer = why(&cluster, task(job, 0, 0));
    let alone = matches!(&answer.standing, Standing::Leased { worker, placement: Placement::Alone, .. } if *worker == third);
    assert!(alone, "{answer}");
    let worker = cluster
        .scheduler
        .why_worker(cluster.now, third)
        .expect("it is connected");
    assert!(
        worker.is_isolated && worker.leased == [task(job, 0, 0)],
        "{worker}"
    );
}

#[test]
fn what_is_done_is_held_or_was_dropped_or_is_forgotten_with_its_job() {
    let (mut cluster, workers) = Cluster::of(1);
    let job = cluster.submit(Plans::default().source(2).each().deliver().plan());
    cluster.run_all(&workers);
    let held = why(&cluster, task(job, 1, 0));
    assert!(
        held.is_wanted && matches!(held.standing, Standing::Held { needed: 0, .. }),
        "{held}"
    );
    assert_eq!(why(&cluster, task(job, 0, 0)).standing, Standing::Released);
    cluster.deliver(task(job, 1, 0));
    cluster.deliver(task(job, 1, 1));
    assert!(
        cluster.scheduler.why(task(job, 1, 0)).is_err(),
        "the job is forgotten"
    );
    let kept = cluster.submit(Plans::default().source(1).each().keep(KEY).plan());
    cluster.run_all(&workers);
    assert!(matches!(
        why(&cluster, task(kept, 1, 0)).standing,
        Standing::Held { .. }
    ));
    assert_eq!(why(&cluster, task(kept, 0, 0)).standing, Standing::NotNeeded);
    assert_eq!(
        cluster.scheduler.first_missing(kept),
        Err(Unknown::Complete { job: kept })
    );
}

#[test]
fn a_worker_tells_what_it_has_at_hand_and_how_long_it_was_silent() {
    let (mut cluster, workers) = Cluster::of(1);
    cluster.submit(Plans::default().source(2).all().deliver().plan());
    let leased = cluster.leased(workers[0]);
    cluster.finish(workers[0], leased[0]);
    let later = Time(cluster.now.0 + 5_000_000);
    let answer = cluster
        .scheduler
        .why_worker(later, workers[0])
        .expect("it is connected");
    assert_eq!(
        (answer.leased_count, answer.held_count, answer.held_bytes),
        (1, 1, CHUNK_BYTES)
    );
    assert_eq!(
        (answer.leased.as_slice(), answer.silent_us),
        (&[leased[1].task][..], 5_000_000)
    );
    assert_eq!(cluster.scheduler.worker_named("worker"), Ok(workers[0]));
    cluster.join(1, 1 << 30);
    assert!(
        cluster.scheduler.worker_named("worker").is_err(),
        "two have the name"
    );
}

#[test]
fn the_only_worker_that_has_what_a_task_asks_for_is_named_as_such() {
    let mut cluster = Cluster::default();
    let gpu = Resource {
        name: "GPU".into(),
        count: 1,
    };
    let with_gpu = cluster.join_offering(2, vec![gpu.clone()]);
    let wants = |layer: &mut Layer| Annotations::new().resource("GPU", 1).apply(layer);
    let job = cluster.submit(Plans::default().source_with(2, wants).deliver().plan());
    // Alone it is no choice; beside others it is the only one, until another one has what is asked for.
    let expected = [Placement::Idlest, Placement::OnlyFit, Placement::Idlest];
    for want in expected {
        let answer = why(&cluster, task(job, 0, 0));
        let Standing::Leased {
            worker, placement, ..
        } = answer.standing
        else {
            panic!("{answer}");
        };
        assert_eq!((worker, placement), (with_gpu, want));
        let resources = match want {
            Placement::OnlyFit => vec![gpu.clone()],
            _ => Vec::new(),
        };
        cluster.join_offering(1, resources);
    }
}

#[test]
fn the_lines_of_an_answer_are_those_of_its_text() {
    let mut cluster = Cluster::default();
    let worker = cluster.join(1, 1 << 30);
    let job = cluster.submit(Plans::default().source(8).all().deliver().plan());
    let answer = why(&cluster, task(job, 1, 0));
    let lines = answer.lines();
    let text = answer.to_string();
    assert_eq!(lines.len(), text.lines().count());
    assert!(lines.len() > 3, "{text}");
    for (line, of_text) in lines.iter().zip(text.lines()) {
        assert!(of_text.ends_with(&line.text), "{of_text}");
        assert!(of_text.starts_with(&"  ".repeat(line.depth)), "{of_text}");
        match line.of {
            Some((task, _)) => assert!(of_text.contains(&task.to_string()), "{of_text}"),
            None => assert_eq!(line.text, "and 5 more"),
        }
    }
    assert_eq!(lines[0].of.map(|(task, _)| task), Some(task(job, 1, 0)));
    assert!(!cluster.leased(worker).is_empty());
}
