use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use graticule_dashboard::Feed;
use graticule_engine::{
    Incarnation, SessionId, Time, ToWorker,
    scheduler::{ClientId, Command, Config, Event, JobEvent, LayerProgress, Observation, Scheduler},
};
use graticule_plan::JobId;
use graticule_proto::{FromCluster, ToCluster};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    task::JoinHandle,
    time::sleep_until,
};
use tracing::{debug, info, warn};

use crate::{
    INBOX_COUNT_MAX, Info, PROGRESS_INTERVAL_US, SchedulerHandle, Snapshot,
    handle::Input,
    observe::{observe, record},
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
}

impl Default for SchedulerOptions {
    fn default() -> Self {
        let worker_timeout_us = Config::default().worker_timeout_us;
        Self {
            worker_timeout_us,
            feed: Feed::disabled(),
            started: Instant::now(),
        }
    }
}

/// Starts a scheduler's actor on the current runtime. It ends when the last handle is dropped; the second value is
/// what to wait for then.
pub fn start(options: SchedulerOptions) -> (SchedulerHandle, impl Future<Output = ()> + Send) {
    let (inbox, inputs) = mpsc::channel(INBOX_COUNT_MAX);
    // Two runs must differ, and two runs within a microsecond on one host do not happen.
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let incarnation = Incarnation(since_epoch.as_micros() as u64 ^ (u64::from(std::process::id()) << 48));
    let config = Config {
        incarnation,
        worker_timeout_us: options.worker_timeout_us,
        ..Config::default()
    };
    let actor = Actor {
        engine: Scheduler::new(config),
        started: options.started,
        feed: options.feed,
        workers: HashMap::new(),
        clients: HashMap::new(),
        jobs: HashMap::new(),
        next_session: 1,
        next_client: 1,
        next_job: 1,
        remade_count: 0,
        commands: Vec::new(),
        story: Story::default(),
    };
    let task: JoinHandle<()> = tokio::spawn(actor.run(inputs));
    let ended = async move {
        if let Err(error) = task.await {
            warn!(%error, "the scheduler ended abnormally");
        }
    };
    (SchedulerHandle { inbox }, ended)
}

struct Actor {
    engine: Scheduler,
    started: Instant,
    feed: Feed,
    workers: HashMap<SessionId, mpsc::Sender<ToWorker>>,
    clients: HashMap<ClientId, mpsc::Sender<FromCluster>>,
    /// Running jobs: whose, and what the client was last told of their progress.
    jobs: HashMap<JobId, (ClientId, Vec<LayerProgress>)>,
    next_session: u64,
    next_client: u64,
    next_job: u64,
    /// Tasks whose chunks were lost and made again.
    remade_count: u64,
    commands: Vec<Command>,
    story: Story,
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
                    let events: Vec<Event> = batch.drain(..).filter_map(|input| self.take(input)).collect();
                    self.handle(events);
                }
                () = sleep_until(wake.into()) => self.handle(vec![Event::Tick]),
            }
            if !self.jobs.is_empty() && Instant::now() >= next_progress {
                next_progress = Instant::now() + Duration::from_micros(PROGRESS_INTERVAL_US);
                self.tell_progress();
            }
        }
        info!("scheduler stopped");
    }

    fn now(&self) -> Time {
        Time(self.started.elapsed().as_micros() as u64)
    }

    fn handle(&mut self, events: Vec<Event>) {
        let now = self.now();
        let mut commands = std::mem::take(&mut self.commands);
        self.engine.handle_all(now, events, &mut commands);
        for command in commands.drain(..) {
            self.execute(now, command);
        }
        self.commands = commands;
    }

    /// Turns an input into the engine's event; questions are answered at once.
    fn take(&mut self, input: Input) -> Option<Event> {
        Some(match input {
            Input::WorkerOpened {
                announce,
                outbox,
                reply,
            } => {
                let session = SessionId(self.next_session);
                self.next_session += 1;
                if reply.send(session).is_err() {
                    return None;
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
            Input::ClientOpened { outbox, reply } => {
                let client = ClientId(self.next_client);
                self.next_client += 1;
                if reply.send(client).is_err() {
                    return None;
                }
                self.clients.insert(client, outbox);
                return None;
            }
            Input::ClientSaid { client, message } => return self.take_from_client(client, message),
            Input::ClientClosed { client } => {
                self.clients.remove(&client);
                self.jobs.retain(|_, (owner, _)| *owner != client);
                Event::ClientLeft { client }
            }
            Input::Info { reply } => {
                let jobs = self.engine.running_jobs();
                let jobs = jobs
                    .map(|(job, name)| (job, name, self.engine.progress(job)))
                    .collect();
                // Whoever asked may be gone.
                let workers = self.engine.worker_names();
                let retiring = workers.iter().filter_map(|(id, _)| self.engine.retirement(*id));
                let _ = reply.send(Info {
                    retiring: retiring.collect(),
                    workers,
                    jobs,
                    remade_count: self.remade_count,
                });
                return None;
            }
            Input::Snapshot { reply } => {
                let now = Time(self.started.elapsed().as_micros() as u64);
                // Whoever asked may be gone.
                let _ = reply.send(Snapshot {
                    cluster: self.engine.snapshot(now),
                    names: self.engine.worker_names(),
                });
                return None;
            }
            Input::Retire { worker, deadline_us } => Event::RetireWorker { worker, deadline_us },
            Input::Stay { worker } => Event::RetireCancelled { worker },
            Input::Why { subject, reply } => {
                let answer = self.story.answer(&self.engine, self.now(), &subject);
                // Whoever asked may be gone.
                let _ = reply.send(answer);
                return None;
            }
        })
    }

    fn take_from_client(&mut self, client: ClientId, message: ToCluster) -> Option<Event> {
        Some(match message {
            ToCluster::Submit {
                submission,
                name,
                plan,
            } => {
                let job = JobId(self.next_job);
                self.next_job += 1;
                self.jobs.insert(job, (client, Vec::new()));
                self.tell(
                    client,
                    FromCluster::Submitted {
                        submission,
                        job: Ok(job),
                    },
                );
                debug!(%job, %name, tasks = plan.task_count(), "job submitted");
                Event::JobSubmitted {
                    job,
                    client,
                    name,
                    plan,
                }
            }
            ToCluster::Cancel { job } => Event::JobCancelled { job },
            ToCluster::Delivered { chunk } => Event::ChunkDelivered { chunk },
            ToCluster::DeliveryFailed { chunk, worker } => Event::DeliveryFailed { chunk, worker },
            ToCluster::ReleaseKey { key } => Event::KeyReleased { key },
        })
    }

    fn execute(&mut self, now: Time, command: Command) {
        match command {
            Command::Send { session, message } => self.send(session, message),
            Command::Close { session, why } => {
                warn!(session = session.0, why, "worker disconnected");
                // Its stream ends with the outbox.
                self.workers.remove(&session);
            }
            Command::Notify { client, job, event } => {
                let over = matches!(
                    event,
                    JobEvent::Finished | JobEvent::Failed { .. } | JobEvent::Cancelled
                );
                if over && self.jobs.remove(&job).is_some() {
                    self.tell_last_progress(client, job);
                }
                self.tell(client, FromCluster::Job { job, event });
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
                self.story.take(now, &observation);
                if self.feed.is_enabled()
                    && let Some(record) = record(now.0, observation, |job| self.engine.progress(job))
                {
                    self.feed.record(now.0, record);
                }
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

    fn tell(&mut self, client: ClientId, event: FromCluster) {
        let Some(outbox) = self.clients.get(&client) else {
            return;
        };
        if let Err(TrySendError::Full(_)) = outbox.try_send(event) {
            warn!(
                client = client.0,
                "client does not take its messages; disconnected"
            );
            self.clients.remove(&client);
        }
    }

    /// Tells each client how far its running jobs are, where that has changed and it listens.
    fn tell_progress(&mut self) {
        let workers = u32::try_from(self.engine.worker_count()).unwrap_or(u32::MAX);
        for (&job, (client, told)) in &mut self.jobs {
            let layers = self.engine.progress(job);
            let Some(outbox) = self.clients.get(client) else {
                continue;
            };
            if *told != layers && outbox.capacity() > outbox.max_capacity() / 2 {
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
