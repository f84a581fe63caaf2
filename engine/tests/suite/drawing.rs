//! ARCHITECTURE.md draws both state machines: as they are.
#![cfg(debug_assertions)]

use std::{collections::BTreeSet, sync::Arc};

use crate::cluster::{self, Cluster, Plans, finished};
use graticule_engine::{
    Failure, FailureKind, Incarnation, LayerSpec, Lease, SessionId, TaskRun, Time, ToWorker,
    edges::{Edges, SCHEDULER_TASK, WORKER_RUN, edges_taken},
    scheduler::Event,
    worker::{self, Config, RunId, Worker},
};
use graticule_plan::{JobId, LayerId, TaskId, WorkerId};

type Edge = (String, String);

fn listed(edges: Edges) -> BTreeSet<Edge> {
    edges
        .0
        .iter()
        .map(|(from, to)| ((*from).into(), (*to).into()))
        .collect()
}

/// The edges of the drawings, in their order.
fn drawn() -> Vec<BTreeSet<Edge>> {
    let text = include_str!("../../../ARCHITECTURE.md");
    let drawings = text.split("stateDiagram-v2").skip(1);
    let edges = drawings.map(|drawing| {
        let drawing = drawing.split("```").next().expect("a split gives something");
        let ways = drawing.lines().filter_map(|line| line.split_once(" --> "));
        ways.map(|(from, rest)| {
            let to = rest.split(" : ").next().expect("a split gives something");
            (from.trim().to_owned(), to.trim().to_owned())
        })
        .collect()
    });
    edges.collect()
}

fn taken() -> BTreeSet<Edge> {
    edges_taken()
        .into_iter()
        .map(|(from, to)| (from.into(), to.into()))
        .collect()
}

#[test]
fn the_drawings_show_the_edges_of_the_code() {
    assert_eq!(drawn(), [listed(SCHEDULER_TASK), listed(WORKER_RUN)]);
}

#[test]
fn a_task_of_the_scheduler_takes_every_edge_that_is_drawn() {
    let (mut cluster, workers) = Cluster::of(2);
    // A worker is lost with what it made, and a job is cancelled while some of its tasks are ready.
    let job = cluster.submit(Plans::default().source(40).each().all().deliver().plan());
    for leased in cluster.leased(workers[0]) {
        cluster.finish(workers[0], leased);
    }
    cluster.lose(workers[0]);
    cluster.run_all(&workers[1..]);
    cluster.deliver(cluster::task(job, 2, 0));
    let dropped = cluster.submit(Plans::default().source(400).all().deliver().plan());
    cluster.tell(Event::JobCancelled { job: dropped });
    assert_eq!(taken(), listed(SCHEDULER_TASK));
}

struct Station {
    worker: Worker,
    commands: Vec<worker::Command>,
}

impl Station {
    fn tell(&mut self, event: worker::Event) {
        self.worker.handle(Time::ZERO, event, &mut self.commands);
    }

    fn hear(&mut self, message: ToWorker) {
        let session = SessionId(1);
        self.tell(worker::Event::Message { session, message });
    }

    /// Leases a block; returns its run if that was begun.
    fn lease(&mut self, block: u64) -> Option<RunId> {
        self.commands.clear();
        self.hear(ToWorker::Lease(Lease {
            job: JobId(1),
            layer: LayerId(0),
            tasks: vec![TaskRun {
                first: block,
                count: 1,
                attempt: 1,
            }],
            holders: Vec::new(),
        }));
        self.commands.iter().find_map(|command| match command {
            worker::Command::Fetch { run, .. } => Some(*run),
            _ => None,
        })
    }

    fn revoke(&mut self, block: u64) {
        let (job, layer) = (JobId(1), LayerId(0));
        let tasks = vec![TaskId { job, layer, block }];
        self.hear(ToWorker::Revoke { tasks });
    }

    fn fetched(&mut self, run: RunId) {
        self.tell(worker::Event::Fetched {
            run,
            fetched_bytes: 0,
        });
    }
}

#[test]
fn a_run_on_a_worker_takes_every_edge_that_is_drawn() {
    let mut config = Config::new("worker", "host", 1, 1 << 30);
    config.prefetch_count_max = 1;
    let mut station = Station {
        worker: Worker::new(config),
        commands: Vec::new(),
    };
    station.tell(worker::Event::Connected {
        session: SessionId(1),
    });
    station.hear(ToWorker::Welcome {
        worker: WorkerId(1),
        session: SessionId(1),
        incarnation: Incarnation(0),
    });
    let layer = Plans::default().source(9).plan().layers()[0].clone();
    station.hear(ToWorker::Layer(Arc::new(LayerSpec {
        job: JobId(1),
        id: LayerId(0),
        layer,
        sources: Vec::new(),
        deliver: false,
    })));
    // The first computes, the second is fetched, the third waits in line; two are given up.
    let first = station.lease(0).expect("a slot is free");
    station.fetched(first);
    let second = station.lease(1).expect("one may be fetched ahead");
    station.fetched(second);
    assert_eq!(station.lease(2), None);
    station.revoke(2);
    station.revoke(1);
    station.revoke(0);
    let outcome = Ok(finished());
    station.tell(worker::Event::Computed { run: first, outcome });
    // One fails to be fetched, one is given up before it is, one is done.
    let failing = station.lease(3).expect("a slot is free");
    let failure = Failure {
        kind: FailureKind::Transient,
        message: "it broke".into(),
    };
    station.tell(worker::Event::FetchFailed {
        run: failing,
        failure,
    });
    station.lease(4).expect("a slot is free");
    station.revoke(4);
    let last = station.lease(5).expect("a slot is free");
    station.fetched(last);
    let outcome = Ok(finished());
    station.tell(worker::Event::Computed { run: last, outcome });
    assert_eq!(taken(), listed(WORKER_RUN));
}
