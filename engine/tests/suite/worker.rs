//! The worker's rules, one by one.

use std::sync::Arc;

use crate::cluster::{CHUNK_BYTES, Plans, finished, task};
use graticule_engine::{
    ChunkHeld, ChunkToCopy, CopyFailure, CopyId, CopyReport, Failure, FailureKind, Finished, Incarnation,
    InputSource, LayerSpec, Lease, Report, SessionId, TaskRun, Time, ToScheduler, ToWorker,
    worker::{Command, Config, Event, RunId, Worker},
};
use graticule_plan::{JobId, LayerId, Plan, Source, TaskId, WorkerId};

const SESSION: SessionId = SessionId(1);
const JOB: JobId = JobId(1);

/// A worker under test, connected and welcome.
struct Station {
    worker: Worker,
    now: Time,
    /// The scheduler has nothing to let go, and says so at once.
    answers: bool,
}

impl Station {
    fn new(slots: u32, budget_bytes: u64) -> Self {
        let worker = Worker::new(Config::new("worker", "here", slots, budget_bytes));
        let mut station = Self {
            worker,
            now: Time::ZERO,
            answers: true,
        };
        station.tell(Event::Connected { session: SESSION });
        station.welcome(SESSION, 0);
        station
    }

    fn welcome(&mut self, session: SessionId, incarnation: u64) -> Vec<Command> {
        let message = ToWorker::Welcome {
            worker: WorkerId(5),
            session: SessionId(77),
            incarnation: Incarnation(incarnation),
        };
        self.tell(Event::Message { session, message })
    }

    fn tell(&mut self, event: Event) -> Vec<Command> {
        let mut commands = Vec::new();
        self.worker.handle(self.now, event, &mut commands);
        self.worker.check_invariants().expect("the books agree");
        if self.answers && asks(&commands) {
            commands.extend(self.hear(ToWorker::Relief { chunks: Vec::new() }));
        }
        commands
    }

    fn hear(&mut self, message: ToWorker) -> Vec<Command> {
        self.tell(Event::Message {
            session: SESSION,
            message,
        })
    }

    /// Tells the worker of a plan's layers.
    fn learn(&mut self, plan: &Plan) {
        for (id, layer) in plan.iter() {
            let sources = layer.inputs.iter().map(|input| match input.source {
                Source::Layer(source) => InputSource {
                    job: JOB,
                    layer: source,
                    grid: plan.layer(source).grid.clone(),
                    item_bytes: CHUNK_BYTES,
                },
                Source::Held(_) => unreachable!("no plan here builds on another"),
            });
            let spec = LayerSpec {
                job: JOB,
                id,
                layer: layer.clone(),
                sources: sources.collect(),
                deliver: false,
            };
            self.hear(ToWorker::Layer(Arc::new(spec)));
        }
    }

    fn lease(&mut self, layer: u32, blocks: &[u64], attempt: u32) -> Vec<Command> {
        self.hear(ToWorker::Lease(Lease {
            job: JOB,
            layer: LayerId(layer),
            tasks: blocks
                .iter()
                .map(|&first| TaskRun {
                    first,
                    count: 1,
                    attempt,
                })
                .collect(),
            holders: Vec::new(),
        }))
    }

    fn fetched(&mut self, run: RunId) -> Vec<Command> {
        self.tell(Event::Fetched {
            run,
            fetched_bytes: 10,
        })
    }

    fn computed(&mut self, run: RunId) -> Vec<Command> {
        let outcome = Ok(finished());
        self.tell(Event::Computed { run, outcome })
    }
}

/// Whether the scheduler is asked what may be let go.
fn asks(commands: &[Command]) -> bool {
    let is_question = |command: &Command| {
        let Command::Send { message, .. } = command else {
            return false;
        };
        matches!(message, ToScheduler::ShortOfMemory { .. })
    };
    commands.iter().any(is_question)
}

fn spills(commands: &[Command]) -> bool {
    commands.iter().any(|c| matches!(c, Command::Spill { .. }))
}

fn fetches(commands: &[Command]) -> Vec<RunId> {
    let runs = commands.iter().filter_map(|command| match command {
        Command::Fetch { run, .. } => Some(*run),
        _ => None,
    });
    runs.collect()
}

fn computes(commands: &[Command]) -> Vec<RunId> {
    let runs = commands.iter().filter_map(|command| match command {
        Command::Compute { run, .. } => Some(*run),
        _ => None,
    });
    runs.collect()
}

fn reports(commands: &[Command]) -> Vec<Report> {
    let lists = commands.iter().filter_map(|command| match command {
        Command::Send {
            message: ToScheduler::Reports(reports),
            ..
        } => Some(reports.clone()),
        _ => None,
    });
    lists.flatten().collect()
}

fn source(count: u64) -> Plan {
    Plans::default().source(count).plan()
}

fn held(chunk: TaskId) -> ChunkHeld {
    let bytes = CHUNK_BYTES;
    ChunkHeld { chunk, bytes }
}

#[test]
fn a_result_is_stored_before_it_is_reported() {
    let mut station = Station::new(1, 1 << 30);
    station.learn(&source(1));
    let run = fetches(&station.lease(0, &[0], 3))[0];
    assert_eq!(computes(&station.fetched(run)), [run]);
    let commands = station.computed(run);
    let chunk = task(JOB, 0, 0);
    assert_eq!(commands[0], Command::Store { run, chunk });
    let report = &reports(&commands[1..])[0];
    assert_eq!(
        (report.task, report.attempt, report.outcome.is_ok()),
        (chunk, 3, true)
    );
    assert_eq!(station.worker.inventory(), [held(chunk)]);
}

#[test]
fn a_task_that_is_leased_again_is_fetched_for_that_attempt() {
    let mut station = Station::new(1, 1 << 30);
    station.learn(&source(1));
    let attempts = |commands: &[Command]| {
        let fetched = commands.iter().filter_map(|command| match command {
            Command::Fetch { task, attempt, .. } => Some((*task, *attempt)),
            _ => None,
        });
        fetched.collect::<Vec<_>>()
    };
    for attempt in [3, 5] {
        let commands = station.lease(0, &[0], attempt);
        assert_eq!(attempts(&commands), [(task(JOB, 0, 0), attempt)]);
    }
}

#[test]
fn neighbours_that_went_well_alike_are_reported_together() {
    let mut station = Station::new(5, 1 << 30);
    station.learn(&source(9));
    let runs = fetches(&station.lease(0, &[3, 4, 5, 6, 8], 1));
    for &run in &runs {
        station.fetched(run);
    }
    // The one in the middle is smaller, and they end in another order.
    let small = Finished {
        bytes: 1,
        ..finished()
    };
    let mut said = Vec::new();
    for (at, outcome) in [
        (3, finished()),
        (1, finished()),
        (2, small),
        (0, finished()),
        (4, finished()),
    ] {
        let (run, outcome) = (runs[at], Ok(outcome));
        said.extend(reports(&station.tell(Event::Computed { run, outcome })));
    }
    let blocks: Vec<(u64, u64)> = said.iter().map(|r| (r.task.block, r.tasks().count)).collect();
    assert_eq!(blocks, [(3, 2), (5, 1), (6, 1), (8, 1)]);
}

#[test]
fn no_more_tasks_compute_than_there_are_slots() {
    let mut station = Station::new(2, 1 << 30);
    station.learn(&source(4));
    let runs = fetches(&station.lease(0, &[0, 1, 2, 3], 1));
    assert_eq!(runs.len(), 4);
    let started: Vec<RunId> = runs
        .iter()
        .flat_map(|&run| computes(&station.fetched(run)))
        .collect();
    assert_eq!(started, runs[..2]);
    assert_eq!(computes(&station.computed(runs[1])), [runs[2]]);
}

#[test]
fn memory_is_reserved_before_anything_is_fetched() {
    let mut station = Station::new(4, 2 * CHUNK_BYTES + CHUNK_BYTES / 2);
    station.learn(&source(4));
    let runs = fetches(&station.lease(0, &[0, 1, 2, 3], 1));
    assert_eq!(runs.len(), 2);
    assert_eq!(station.worker.status().reserved_bytes, 2 * CHUNK_BYTES);
    station.fetched(runs[0]);
    let commands = station.computed(runs[0]);
    assert_eq!(fetches(&commands), []);
    let spill = Command::Spill {
        target_bytes: CHUNK_BYTES / 2,
    };
    assert!(commands.contains(&spill), "{commands:?}");
    let commands = station.tell(Event::StoreChanged {
        memory_bytes: 0,
        spilled_bytes: CHUNK_BYTES,
    });
    assert_eq!(fetches(&commands).len(), 1);
}

#[test]
fn a_disk_that_takes_nothing_is_asked_again_after_a_pause() {
    let mut station = Station::new(4, 2 * CHUNK_BYTES + CHUNK_BYTES / 2);
    station.learn(&source(4));
    let runs = fetches(&station.lease(0, &[0, 1, 2, 3], 1));
    station.fetched(runs[0]);
    assert!(spills(&station.computed(runs[0])));
    let unchanged = Event::StoreChanged {
        memory_bytes: CHUNK_BYTES,
        spilled_bytes: 0,
    };
    assert!(!spills(&station.tell(Event::SpillFailed)));
    assert!(!spills(&station.tell(unchanged.clone())));
    station.now = station.now + 1_000_000;
    assert!(spills(&station.tell(unchanged)));
}

#[test]
fn what_may_be_let_go_is_asked_before_anything_is_spilled() {
    let mut station = Station::new(1, CHUNK_BYTES + CHUNK_BYTES / 2);
    station.answers = false;
    station.learn(&source(4));
    station.tell(Event::DiskMeasured { bytes_per_s: 12_345 });
    let runs = fetches(&station.lease(0, &[0, 1], 1));
    station.fetched(runs[0]);
    let commands = station.computed(runs[0]);
    let question = ToScheduler::ShortOfMemory {
        short_bytes: CHUNK_BYTES / 2,
        disk_bytes_per_s: 12_345,
    };
    let message = |c: &Command| matches!(c, Command::Send { message, .. } if *message == question);
    let asked = commands.iter().position(message).expect("the scheduler is asked");
    let reported = commands
        .iter()
        .position(|c| !reports(std::slice::from_ref(c)).is_empty());
    assert!(
        reported.is_some_and(|at| at < asked),
        "it knows of the chunk before"
    );
    assert!(!spills(&commands) && fetches(&commands).is_empty());
    // It lets the chunk go.
    let commands = station.hear(ToWorker::Relief {
        chunks: vec![task(JOB, 0, 0).into()],
    });
    let chunks = vec![task(JOB, 0, 0)];
    assert!(commands.contains(&Command::Drop { chunks }), "{commands:?}");
    assert!(!asks(&commands) && !spills(&commands) && fetches(&commands).is_empty());
    assert_eq!(station.worker.inventory(), []);
    let dropped = Event::StoreChanged {
        memory_bytes: 0,
        spilled_bytes: 0,
    };
    assert_eq!(fetches(&station.tell(dropped)).len(), 1);
}

#[test]
fn where_nothing_may_be_let_go_the_disk_is_used_and_nobody_asked_for_a_while() {
    let mut station = Station::new(1, CHUNK_BYTES + CHUNK_BYTES / 2);
    station.answers = false;
    station.learn(&source(4));
    let runs = fetches(&station.lease(0, &[0, 1], 1));
    station.fetched(runs[0]);
    assert!(asks(&station.computed(runs[0])));
    let nothing = ToWorker::Relief { chunks: Vec::new() };
    assert!(spills(&station.hear(nothing)));
    let held = Event::StoreChanged {
        memory_bytes: CHUNK_BYTES,
        spilled_bytes: 0,
    };
    let commands = station.tell(held.clone());
    assert!(spills(&commands) && !asks(&commands));
    station.now = station.now + 10_000;
    assert!(asks(&station.tell(held)));
}

#[test]
fn an_answer_that_was_lost_with_its_connection_is_not_waited_for() {
    let mut station = Station::new(1, CHUNK_BYTES + CHUNK_BYTES / 2);
    station.answers = false;
    station.learn(&source(4));
    let runs = fetches(&station.lease(0, &[0, 1], 1));
    station.fetched(runs[0]);
    assert!(asks(&station.computed(runs[0])));
    station.tell(Event::Disconnected { session: SESSION });
    let session = SessionId(2);
    station.tell(Event::Connected { session });
    station.welcome(session, 0);
    let layer = source(4);
    let spec = LayerSpec {
        job: JOB,
        id: LayerId(0),
        layer: layer.layer(LayerId(0)).clone(),
        sources: Vec::new(),
        deliver: false,
    };
    let message = ToWorker::Layer(Arc::new(spec));
    station.tell(Event::Message { session, message });
    let lease = Lease {
        job: JOB,
        layer: LayerId(0),
        tasks: vec![TaskRun {
            first: 1,
            count: 1,
            attempt: 2,
        }],
        holders: Vec::new(),
    };
    let message = ToWorker::Lease(lease);
    assert!(asks(&station.tell(Event::Message { session, message })));
}

#[test]
fn what_does_not_fit_waits_for_the_disk_though_nothing_runs() {
    let mut station = Station::new(1, CHUNK_BYTES + CHUNK_BYTES / 2);
    station.learn(&source(4));
    let runs = fetches(&station.lease(0, &[0, 1], 1));
    station.fetched(runs[0]);
    let commands = station.computed(runs[0]);
    assert!(commands.contains(&Command::Spill {
        target_bytes: CHUNK_BYTES / 2
    }));
    assert_eq!(fetches(&commands), [], "a chunk is on its way to the disk");
    let spilled = Event::StoreChanged {
        memory_bytes: 0,
        spilled_bytes: CHUNK_BYTES,
    };
    assert_eq!(fetches(&station.tell(spilled)).len(), 1);
}

#[test]
fn a_disk_that_takes_nothing_lets_one_task_begin_each_time_it_was_tried() {
    let mut station = Station::new(1, CHUNK_BYTES + CHUNK_BYTES / 2);
    station.learn(&source(4));
    let first = fetches(&station.lease(0, &[0, 1, 2], 1));
    station.fetched(first[0]);
    station.computed(first[0]);
    station.tell(Event::SpillFailed);
    let held = |count| Event::StoreChanged {
        memory_bytes: count * CHUNK_BYTES,
        spilled_bytes: 0,
    };
    let second = fetches(&station.tell(held(1)));
    assert_eq!(second.len(), 1, "something must run");
    station.fetched(second[0]);
    assert_eq!(fetches(&station.computed(second[0])), []);
    assert_eq!(fetches(&station.tell(held(2))), []);
    station.now = station.now + 1_000_000;
    assert_eq!(fetches(&station.tell(held(2))), [], "the disk is tried first");
    station.tell(Event::SpillFailed);
    assert_eq!(fetches(&station.tell(held(2))).len(), 1);
}

#[test]
fn one_task_always_runs_whatever_it_needs() {
    let mut station = Station::new(1, CHUNK_BYTES / 2);
    station.learn(&source(2));
    assert_eq!(fetches(&station.lease(0, &[0, 1], 1)).len(), 1);
}

#[test]
fn a_revoked_computation_is_dropped_when_it_ends() {
    let mut station = Station::new(1, 1 << 30);
    station.learn(&source(2));
    let runs = fetches(&station.lease(0, &[0, 1], 1));
    station.fetched(runs[0]);
    station.fetched(runs[1]);
    let tasks = vec![task(JOB, 0, 0), task(JOB, 0, 1)];
    let commands = station.hear(ToWorker::Revoke { tasks });
    assert_eq!(
        commands,
        [Command::Discard { run: runs[1] }],
        "a kernel cannot be stopped"
    );
    let commands = station.computed(runs[0]);
    assert_eq!(commands, [Command::Discard { run: runs[0] }]);
    assert!(station.worker.inventory().is_empty());
}

#[test]
fn a_computation_that_ends_after_its_job_is_forgotten_is_dropped() {
    let mut station = Station::new(1, 1 << 30);
    station.learn(&source(2));
    let runs = fetches(&station.lease(0, &[0, 1], 1));
    station.fetched(runs[0]);
    station.computed(runs[0]);
    station.fetched(runs[1]);
    let chunks = vec![task(JOB, 0, 0)];
    assert_eq!(
        station.hear(ToWorker::Forget { job: JOB }),
        [Command::Drop { chunks }]
    );
    assert_eq!(station.computed(runs[1]), [Command::Discard { run: runs[1] }]);
}

#[test]
fn a_task_leased_again_while_it_runs_runs_anew() {
    let mut station = Station::new(1, 1 << 30);
    station.learn(&source(1));
    let first = fetches(&station.lease(0, &[0], 1))[0];
    station.fetched(first);
    let second = fetches(&station.lease(0, &[0], 2))[0];
    assert_eq!(computes(&station.fetched(second)), [], "the slot is still taken");
    let commands = station.computed(first);
    assert_eq!(reports(&commands), []);
    assert_eq!(computes(&commands), [second]);
    assert_eq!(reports(&station.computed(second))[0].attempt, 2);
}

#[test]
fn a_result_of_an_older_lease_is_dropped_when_its_task_is_leased_again() {
    let mut station = Station::new(1, 1 << 30);
    station.learn(&source(1));
    let run = fetches(&station.lease(0, &[0], 1))[0];
    station.fetched(run);
    station.computed(run);
    let chunks = vec![task(JOB, 0, 0)];
    let commands = station.lease(0, &[0], 2);
    assert_eq!(commands[0], Command::Drop { chunks });
    assert_eq!(fetches(&commands).len(), 1);
}

#[test]
fn a_broken_connection_ends_runs_and_keeps_chunks() {
    let mut station = Station::new(2, 1 << 30);
    station.learn(&source(2));
    let runs = fetches(&station.lease(0, &[0, 1], 1));
    station.fetched(runs[0]);
    station.computed(runs[0]);
    assert_eq!(
        station.tell(Event::Disconnected { session: SESSION }),
        [Command::Discard { run: runs[1] }]
    );
    let session = SessionId(2);
    let commands = station.tell(Event::Connected { session });
    let [
        Command::Send {
            message: ToScheduler::Announce(announce),
            ..
        },
    ] = commands.as_slice()
    else {
        panic!("{commands:?}");
    };
    assert_eq!(announce.inventory, [held(task(JOB, 0, 0))]);
    assert_eq!(
        (announce.worker, announce.incarnation),
        (Some(WorkerId(5)), Some(Incarnation(0)))
    );
    assert_eq!(station.welcome(session, 0), []);
}

#[test]
fn a_worker_that_meets_another_scheduler_drops_what_it_holds() {
    let mut station = Station::new(1, 1 << 30);
    station.learn(&source(1));
    let run = fetches(&station.lease(0, &[0], 1))[0];
    station.fetched(run);
    station.computed(run);
    station.tell(Event::Disconnected { session: SESSION });
    let session = SessionId(2);
    station.tell(Event::Connected { session });
    let chunks = vec![task(JOB, 0, 0)];
    assert_eq!(station.welcome(session, 9), [Command::Drop { chunks }]);
    assert!(station.worker.inventory().is_empty());
}

#[test]
fn a_chunk_lost_before_the_welcome_is_told_all_the_same() {
    let mut station = Station::new(1, 1 << 30);
    station.learn(&source(1));
    let run = fetches(&station.lease(0, &[0], 1))[0];
    station.fetched(run);
    station.computed(run);
    station.tell(Event::Disconnected { session: SESSION });
    let session = SessionId(2);
    station.tell(Event::Connected { session });
    let chunks = vec![task(JOB, 0, 0)];
    let commands = station.tell(Event::ChunksLost {
        chunks: chunks.clone(),
    });
    let message = ToScheduler::ChunksLost { chunks };
    assert_eq!(commands, [Command::Send { session, message }]);
}

#[test]
fn what_comes_on_an_older_connection_is_dropped() {
    let mut station = Station::new(1, 1 << 30);
    station.learn(&source(1));
    station.tell(Event::Disconnected { session: SESSION });
    station.tell(Event::Connected {
        session: SessionId(2),
    });
    station.welcome(SessionId(2), 0);
    assert_eq!(station.lease(0, &[0], 1), []);
}

#[test]
fn a_failed_fetch_is_reported_and_forgotten() {
    let mut station = Station::new(1, 1 << 30);
    station.learn(&source(1));
    let run = fetches(&station.lease(0, &[0], 1))[0];
    let failure = Failure {
        kind: FailureKind::Transient,
        message: "no".into(),
    };
    let event = |failure| Event::FetchFailed { run, failure };
    let commands = station.tell(event(failure.clone()));
    assert_eq!(reports(&commands)[0].outcome, Err(failure.clone()));
    assert_eq!(station.tell(event(failure)), []);
    assert_eq!(station.worker.status().reserved_bytes, 0);
}

#[test]
fn a_result_rides_along_only_where_a_client_wants_it() {
    let mut station = Station::new(1, 1 << 30);
    station.learn(&source(1));
    let run = fetches(&station.lease(0, &[0], 1))[0];
    station.fetched(run);
    let outcome = Ok(Finished {
        inline: Some(bytes::Bytes::from_static(b"value")),
        ..finished()
    });
    let commands = station.tell(Event::Computed { run, outcome });
    let report = &reports(&commands)[0];
    assert_eq!(report.outcome.as_ref().map(|f| f.inline.clone()), Ok(None));
}

#[test]
fn a_retiring_worker_hands_back_its_queue_finishes_what_runs_and_leaves_when_it_is_told() {
    let mut station = Station::new(1, 1 << 30);
    station.learn(&source(9));
    let runs = fetches(&station.lease(0, &[0, 1, 2, 3, 4, 5, 6, 7, 8], 1));
    let commands = station.tell(Event::Retire { deadline_us: 5000 });
    let message = ToScheduler::Retire { deadline_us: 5000 };
    let session = SESSION;
    assert_eq!(commands[0], Command::Send { session, message });
    let handed_back = reports(&commands);
    assert_eq!(handed_back.len(), 9 - runs.len());
    for report in handed_back {
        let failure = report.outcome.expect_err("it did not run");
        assert_eq!(failure.kind, FailureKind::HandedBack);
    }
    for &run in &runs {
        station.fetched(run);
    }
    for &run in &runs {
        let commands = station.computed(run);
        assert_eq!(reports(&commands).len(), 1);
        assert!(!commands.contains(&Command::Leave));
    }
    assert_eq!(station.hear(ToWorker::Leave), [Command::Leave]);
    assert!(!station.tell(Event::Tick).contains(&Command::Leave));
}

#[test]
fn a_worker_that_stops_leaves_when_it_has_finished_what_runs() {
    let mut station = Station::new(1, 1 << 30);
    station.learn(&source(1));
    let run = fetches(&station.lease(0, &[0], 1))[0];
    station.tell(Event::Stop { deadline_us: 5000 });
    station.fetched(run);
    assert_eq!(station.computed(run).last(), Some(&Command::Leave));
}

#[test]
fn a_retiring_worker_leaves_at_its_deadline_whatever_it_holds() {
    let mut station = Station::new(1, 1 << 30);
    station.learn(&source(1));
    let run = fetches(&station.lease(0, &[0], 1))[0];
    station.fetched(run);
    station.computed(run);
    station.tell(Event::Retire { deadline_us: 5000 });
    assert_eq!(station.worker.next_timeout(), Some(Time(5000)));
    station.now = Time(4999);
    assert_eq!(station.tell(Event::Tick), []);
    station.now = Time(5000);
    assert_eq!(station.tell(Event::Tick), [Command::Leave]);
}

#[test]
fn a_worker_that_the_scheduler_lets_stay_takes_work_again() {
    let mut station = Station::new(1, 1 << 30);
    station.learn(&source(2));
    station.hear(ToWorker::Retire { deadline_us: 5000 });
    let refused = station.lease(0, &[0], 1);
    assert_eq!(fetches(&refused), []);
    assert_eq!(reports(&refused).len(), 1);
    station.hear(ToWorker::Stay);
    assert_eq!(fetches(&station.lease(0, &[0], 2)).len(), 1);
    station.now = Time(5000);
    assert!(!station.tell(Event::Tick).contains(&Command::Leave));
}

#[test]
fn copies_are_reserved_before_they_are_fetched_and_refused_when_they_do_not_fit() {
    let mut station = Station::new(1, 2500);
    let copies = |commands: &[Command]| {
        let run = |command: &Command| match command {
            Command::FetchCopy { run, .. } => Some(*run),
            _ => None,
        };
        commands.iter().filter_map(run).collect::<Vec<_>>()
    };
    let answers = |commands: &[Command]| {
        let of_one = |command: &Command| match command {
            Command::Send {
                message: ToScheduler::Copied(reports),
                ..
            } => reports.clone(),
            _ => Vec::new(),
        };
        commands.iter().flat_map(of_one).collect::<Vec<_>>()
    };
    let chunk = |block| TaskId {
        job: JobId(7),
        layer: LayerId(0),
        block,
    };
    let wanted = (0..3).map(|block| ChunkToCopy {
        copy: CopyId(block),
        chunk: chunk(block),
        bytes: 1000,
        peers: Vec::new(),
    });
    let commands = station.hear(ToWorker::Copy {
        chunks: wanted.collect(),
    });
    let runs = copies(&commands);
    assert_eq!(runs.len(), 2);
    let (copy, outcome) = (CopyId(2), Err(CopyFailure::NoRoom));
    assert_eq!(
        answers(&commands),
        [CopyReport {
            copy,
            chunk: chunk(2),
            outcome
        }]
    );
    assert_eq!(station.worker.status().reserved_bytes, 2000);
    let (run, bytes) = (runs[0], 1000);
    let commands = station.tell(Event::CopyFetched { run, bytes });
    let stored = Command::Store { run, chunk: chunk(0) };
    assert_eq!(commands[0], stored);
    assert_eq!(answers(&commands)[0].outcome, Ok(1000));
    let commands = station.tell(Event::CopyFailed { run: runs[1] });
    assert_eq!(commands[0], Command::Discard { run: runs[1] });
    assert_eq!(answers(&commands)[0].outcome, Err(CopyFailure::NotFetched));
    assert_eq!(station.worker.status().reserved_bytes, 0);
    assert_eq!(station.worker.inventory().len(), 1);
}

#[test]
fn a_silent_scheduler_is_given_up() {
    let mut station = Station::new(1, 1 << 30);
    let mut commands = Vec::new();
    for _ in 0..1000 {
        station.now = station.worker.next_timeout().expect("it is connected");
        commands = station.tell(Event::Tick);
        if commands.contains(&Command::Reconnect { session: SESSION }) {
            break;
        }
    }
    assert_eq!(commands, [Command::Reconnect { session: SESSION }]);
    assert!(station.now >= Time(30_000_000));
    assert_eq!(station.worker.next_timeout(), None);
}

#[test]
fn a_task_that_computes_for_a_while_is_mentioned_and_a_short_one_is_not() {
    let mut station = Station::new(1, 1 << 30);
    station.learn(&source(2));
    let mentioned = |commands: &[Command]| -> Vec<TaskId> {
        let said = commands.iter().find_map(|command| match command {
            Command::Send {
                message: ToScheduler::Computing { tasks },
                ..
            } => Some(tasks.clone()),
            _ => None,
        });
        said.unwrap_or_default()
    };
    let run = fetches(&station.lease(0, &[0], 1))[0];
    station.fetched(run);
    station.computed(run);
    station.now = Time(900);
    let run = fetches(&station.lease(0, &[1], 1))[0];
    station.fetched(run);
    station.now = Time(1899);
    assert_eq!(mentioned(&station.tell(Event::Tick)), []);
    assert_eq!(station.worker.next_timeout(), Some(Time(1900)));
    station.now = Time(1900);
    assert_eq!(mentioned(&station.tell(Event::Tick)).len(), 1);
    station.now = Time(5000);
    assert_eq!(mentioned(&station.tell(Event::Tick)), [], "it is known");
}
