use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use graticule_dashboard::Feed;
use graticule_engine::{
    SessionId, Time, ToWorker,
    scheduler::{ClientId, Command, Config, Event, JobEvent, LayerProgress, Observation, Scheduler},
};
use graticule_plan::JobId;
use graticule_proto::FromCluster;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    task::JoinHandle,
    time::sleep_until,
};
use tracing::{info, warn};

use crate::{
    INBOX_COUNT_MAX, Info, PROGRESS_INTERVAL_US, SchedulerHandle, Snapshot,
    clients::Clients,
    datasets::Datasets,
    handle::Input,
    journal::{self, Journal, Standing},
    lasting::disk,
    lines::Telling,
    observe::{observe, record},
    ready::ReadyChunks,
    story::Story,
};

/// Messages taken in before anything is leased.
const BATCH_COUNT_MAX: usize = 1024;

/// How a scheduler runs.
#[derive(Debug, Clone)]
pub struct SchedulerOptions {
    /// Microseconds after which a silent worker is given up.
    pub worker_timeout_us: u64,
    /// Who hears what happens.
    pub feed: Feed,
    /// The zero of the feed's times.
    pub started: Instant,
    /// Microseconds for which a client whose connection broke keeps its jobs and kept results.
    pub client_grace_us: u64,
    /// Microseconds for which workers are awaited after a restart, before what they held is made again.
    pub worker_return_us: u64,
}

impl Default for SchedulerOptions {
    fn default() -> Self {
        let worker_timeout_us = Config::default().worker_timeout_us;
        Self {
            worker_timeout_us,
            feed: Feed::disabled(),
            started: Instant::now(),
            client_grace_us: 30_000_000,
            worker_return_us: 10_000_000,
        }
    }
}

/// Starts a scheduler's actor on the current runtime. It ends when the last handle is dropped; the second value is
/// what to wait for then.
pub fn start(options: SchedulerOptions) -> (SchedulerHandle, impl Future<Output = ()> + Send) {
    start_with(options, None)
}

/// As [`start`], going on where an earlier run ended if there is a journal.
pub(crate) fn start_with(
    options: SchedulerOptions,
    opened: Option<journal::Opened>,
) -> (SchedulerHandle, impl Future<Output = ()> + Send) {
    let (inbox, inputs) = mpsc::channel(INBOX_COUNT_MAX);
    let (journal, standing) = match opened {
        Some(journal::Opened { journal, standing }) => (Some(journal), standing),
        None => (None, Standing::default()),
    };
    let incarnation = standing.incarnation().unwrap_or_else(journal::new_incarnation);
    let first_number = standing.first_number();
    let config = Config {
        incarnation,
        worker_timeout_us: options.worker_timeout_us,
        ..Config::default()
    };
    let mut actor = Actor {
        engine: Scheduler::new(config),
        started: options.started,
        feed: options.feed,
        workers: HashMap::new(),
        clients: Clients::default(),
        left: HashSet::new(),
        client_grace: Duration::from_micros(options.client_grace_us),
        jobs: HashMap::new(),
        standing,
        journal,
        next_rewrite: options.started,
        is_restoring: true,
        next_session: first_number,
        next_client: first_number,
        next_job: first_number,
        remade_count: 0,
        finished_count: 0,
        commands: Vec::new(),
        ready: ReadyChunks::default(),
        story: Story::default(),
        datasets: Datasets::default(),
        functions_told: None,
        workers_changed: true,
    };
    let telling = Telling::start(actor.feed.clone(), options.started);
    let logs = telling.scope.clone();
    logs.run(|| actor.restore(first_number, options.worker_return_us));
    let task: JoinHandle<()> = tokio::spawn(logs.future(async move {
        let _telling = telling;
        actor.run(inputs).await;
    }));
    let ended = async move {
        if let Err(error) = task.await {
            warn!(%error, "the scheduler ended abnormally");
        }
    };
    (SchedulerHandle { inbox }, ended)
}

pub(crate) struct Actor {
    pub(crate) engine: Scheduler,
    started: Instant,
    feed: Feed,
    workers: HashMap<SessionId, mpsc::Sender<ToWorker>>,
    pub(crate) clients: Clients,
    /// Clients that took their leave and whose connection is still there.
    pub(crate) left: HashSet<ClientId>,
    /// How long a client may be away.
    pub(crate) client_grace: Duration,
    /// Running jobs: whose, and what the client was last told of their progress.
    pub(crate) jobs: HashMap<JobId, (ClientId, Vec<LayerProgress>)>,
    /// What clients that may come back have here; with a journal, all that it says.
    pub(crate) standing: Standing,
    pub(crate) journal: Option<Journal>,
    /// When a journal that failed is tried again.
    pub(crate) next_rewrite: Instant,
    /// Workers of an earlier run were awaited when this was last looked at.
    pub(crate) is_restoring: bool,
    next_session: u64,
    pub(crate) next_client: u64,
    pub(crate) next_job: u64,
    /// Tasks whose chunks were lost and made again.
    remade_count: u64,
    finished_count: u64,
    commands: Vec<Command>,
    ready: ReadyChunks,
    story: Story,
    pub(crate) datasets: Datasets,
    /// What clients were told of functions last.
    pub(crate) functions_told: Option<FromCluster>,
    /// A worker came or went since.
    workers_changed: bool,
}

impl Actor {
    async fn run(mut self, mut inputs: mpsc::Receiver<Input>) {
        let mut batch = Vec::with_capacity(BATCH_COUNT_MAX);
        let mut next_progress = Instant::now();
        loop {
            let timeout = self
                .engine
                .next_timeout()
                .map(|t| self.started + Duration::from_micros(t.0));
            let timeout = timeout.into_iter().chain(self.other_timeout()).min();
            let wake = match timeout {
                Some(timeout) if self.jobs.is_empty() => timeout,
                Some(timeout) => timeout.min(next_progress),
                None if self.jobs.is_empty() => Instant::now() + Duration::from_secs(3600),
                None => next_progress,
            };
            tokio::select! {
                count = inputs.recv_many(&mut batch, BATCH_COUNT_MAX) => {
                    if count == 0 {
                        break;
                    }
                    if self.take_all(&mut batch) {
                        break;
                    }
                }
                () = disk(&mut self.journal) => self.look_at_disk(),
                () = sleep_until(wake.into()) => self.tick(),
            }
            if !self.jobs.is_empty() && Instant::now() >= next_progress {
                next_progress = Instant::now() + Duration::from_micros(PROGRESS_INTERVAL_US);
                self.tell_progress();
            }
        }
        if let Some(journal) = self.journal.take() {
            journal.close().await;
        }
        info!("scheduler stopped");
    }

    pub(crate) fn now(&self) -> Time {
        Time(self.started.elapsed().as_micros() as u64)
    }

    /// Takes inputs in; `true` if the last of them ends the actor.
    fn take_all(&mut self, batch: &mut Vec<Input>) -> bool {
        let mut events = Vec::with_capacity(batch.len());
        for input in batch.drain(..) {
            if matches!(input, Input::Suspend) {
                return true;
            }
            if input.looks_at_jobs() {
                // What came before it must have had its effect.
                self.handle(std::mem::take(&mut events));
            }
            self.take(input, &mut events);
        }
        self.handle(events);
        false
    }

    pub(crate) fn handle(&mut self, events: Vec<Event>) {
        let now = self.now();
        let mut commands = std::mem::take(&mut self.commands);
        self.engine.handle_all(now, events, &mut commands);
        for command in commands.drain(..) {
            self.execute(now, command);
        }
        self.commands = commands;
        if let Some((client, chunks)) = self.ready.take() {
            self.tell(client, chunks);
        }
        if std::mem::take(&mut self.workers_changed) {
            self.tell_functions();
        }
        self.forget_jobs();
        self.workers_are_back();
        self.tell_despite_failure();
    }

    /// Turns an input into the engine's event; questions are answered at once.
    fn take(&mut self, input: Input, events: &mut Vec<Event>) {
        let event = match input {
            Input::WorkerOpened {
                announce,
                outbox,
                reply,
            } => {
                let session = SessionId(self.next_session);
                self.next_session += 1;
                if reply.send(session).is_err() {
                    return;
                }
                info!(worker = %announce.name, address = %announce.address, slots = announce.slots, "worker connected");
                self.workers.insert(session, outbox);
                Event::WorkerConnected { session, announce }
            }
            Input::WorkerSaid { session, message } => Event::WorkerMessage { session, message },
            Input::WorkerClosed { session } => {
                self.workers.remove(&session);
                Event::WorkerDisconnected { session }
            }
            Input::ClientOpened {
                token,
                returns,
                outbox,
                reply,
            } => {
                let opened = self.open_client(token, returns, outbox);
                if reply.send(opened).is_err() {
                    self.close_client(opened.client, opened.connection, events);
                }
                return;
            }
            Input::ClientSaid {
                client,
                connection,
                message,
            } => return self.take_from_client(client, connection, message, events),
            Input::ClientClosed { client, connection } => {
                return self.close_client(client, connection, events);
            }
            Input::Info { reply } => {
                let jobs = self.engine.running_jobs();
                let jobs = jobs
                    .map(|(job, name)| (job, name, self.engine.progress(job)))
                    .collect();
                // Whoever asked may be gone.
                let _ = reply.send(Info {
                    workers: self.engine.workers(),
                    jobs,
                    remade_count: self.remade_count,
                    peak_bytes: u64::try_from(self.engine.peak_bytes()).unwrap_or(u64::MAX),
                    finished_count: self.finished_count,
                    late_count: self.engine.late_count(),
                    let_go_count: self.engine.let_go_count(),
                });
                return;
            }
            Input::Snapshot { reply } => {
                let now = Time(self.started.elapsed().as_micros() as u64);
                // Whoever asked may be gone.
                let _ = reply.send(Snapshot {
                    cluster: self.engine.snapshot(now),
                    names: self.engine.worker_names(),
                });
                return;
            }
            Input::WorkerEnded { name, how } => Event::WorkerEnded { name, how },
            Input::Watched(record) => {
                if self.feed.is_enabled() {
                    self.feed.record(self.now().0, record);
                }
                return;
            }
            Input::Retire { worker, deadline_us } => Event::RetireWorker { worker, deadline_us },
            Input::Stay { worker } => Event::RetireCancelled { worker },
            Input::Why { subject, reply } => {
                let answer = self.story.answer(&self.engine, self.now(), &subject);
                // Whoever asked may be gone.
                let _ = reply.send(answer);
                return;
            }
            Input::Dataset { request, reply } => return self.take_dataset(request, reply, events),
            Input::Suspend => return,
        };
        events.push(event);
    }

    pub(crate) fn execute(&mut self, now: Time, command: Command) {
        match command {
            Command::Send { session, message } => self.send(session, message),
            Command::Close { session, why } => {
                warn!(session = session.0, why, "worker disconnected");
                // Its stream ends with the outbox.
                self.workers.remove(&session);
            }
            Command::Notify { client, job, event } => {
                let (before, event) = self.ready.add(client, job, event);
                if let Some((client, chunks)) = before {
                    self.tell(client, chunks);
                }
                let Some(event) = event else { return };
                let over = matches!(
                    event,
                    JobEvent::Finished | JobEvent::Failed { .. } | JobEvent::Cancelled
                );
                if matches!(event, JobEvent::BlockFailed { .. }) {
                    self.note_failed_block(job, &event);
                    return self.tell_durably(client, FromCluster::Job { job, event });
                }
                if !over {
                    return self.tell(client, FromCluster::Job { job, event });
                }
                if self.jobs.remove(&job).is_some() {
                    self.tell_last_progress(client, job);
                }
                self.note_end(client, job, &event);
                self.tell_durably(client, FromCluster::Job { job, event });
            }
            Command::Observe(observation) => {
                observe(&observation);
                let is_remade = matches!(
                    observation,
                    Observation::TaskReset {
                        was_finished: true,
                        ..
                    }
                );
                self.remade_count += u64::from(is_remade);
                if let Observation::TasksFinished { tasks, .. } = &observation {
                    self.finished_count += tasks.count;
                }
                self.workers_changed |= matches!(
                    observation,
                    Observation::WorkerJoined { .. } | Observation::WorkerLeft { .. }
                );
                self.note_worker(&observation);
                observation.each(|observation| {
                    self.story.take(now, &observation);
                    let is_told = match &observation {
                        Observation::WorkerJoined { .. } | Observation::WorkerLeft { .. } => {
                            self.feed.tells_of_workers()
                        }
                        _ => self.feed.is_enabled(),
                    };
                    if is_told
                        && let Some(record) = record(now.0, observation, |job| self.engine.progress(job))
                    {
                        self.feed.record(now.0, record);
                    }
                });
            }
        }
    }

    fn send(&mut self, session: SessionId, message: ToWorker) {
        let Some(outbox) = self.workers.get(&session) else {
            return;
        };
        if let Err(TrySendError::Full(_)) = outbox.try_send(message) {
            warn!(
                session = session.0,
                "worker does not take its messages; disconnected"
            );
            self.workers.remove(&session);
        }
    }

    /// Tells each client how far its running jobs are, where that has changed and it listens.
    fn tell_progress(&mut self) {
        let workers = u32::try_from(self.engine.worker_count()).unwrap_or(u32::MAX);
        for (&job, (client, told)) in &mut self.jobs {
            let layers = self.engine.progress(job);
            let Some(outbox) = self.clients.idle_outbox(*client) else {
                continue;
            };
            if *told != layers {
                told.clone_from(&layers);
                // There is room; a client that has gone is told nothing.
                let _ = outbox.try_send(FromCluster::Progress { job, layers, workers });
            }
        }
    }

    fn tell_last_progress(&mut self, client: ClientId, job: JobId) {
        let layers = self.engine.progress(job);
        if !layers.is_empty() {
            let workers = u32::try_from(self.engine.worker_count()).unwrap_or(u32::MAX);
            self.tell(client, FromCluster::Progress { job, layers, workers });
        }
    }
}
