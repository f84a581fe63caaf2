mod work;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use graticule_data::sources::Sources;
use graticule_engine::{
    Failure, Finished, SessionId, Time, ToScheduler, ToWorker,
    worker::{Command, Config, Event, RunId, Worker as Engine},
};
use graticule_kernel::Chunk;
use graticule_plan::{JobId, LayerId};
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinHandle, JoinSet},
    time::sleep_until,
};
use tracing::{info, warn};

use self::work::Ready;
use crate::{
    ChunkStore, Connector, LinkError, Peers, Session, WorkerError, WorkerOptions,
    cpu::CpuPool,
    fetch::Fetcher,
    limit::{resident_bytes, transit_bytes},
    lines::Lines,
    pace::Paces,
    tables::TableStore,
    underway,
};

/// Results and other news that may wait for the actor. More tasks than that are never under way.
const INBOX_COUNT_MAX: usize = 16_384;
/// What the actor does at a time before it lets others on its thread have their turn.
const TURN: Duration = Duration::from_micros(500);
/// Between tellings of what was moved, while tasks are reported. Each sign of life tells it too.
const MOVES_PAUSE: Duration = Duration::from_millis(100);
/// Pauses between attempts to connect, doubled each time up to the second.
const RECONNECT_PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What the actor may take beyond the patience that it was told of.
const LEAVE_GRACE: Duration = Duration::from_millis(500);

/// Starts workers.
#[derive(Debug)]
pub struct Worker;

/// A running worker. It leaves when this is dropped; see [`WorkerHandle::retire`] for an orderly end.
#[derive(Debug)]
pub struct WorkerHandle {
    store: Arc<ChunkStore>,
    inbox: mpsc::Sender<Input>,
    ended: watch::Receiver<Option<Result<(), String>>>,
    actor: JoinHandle<()>,
}

/// What the actor's inbox takes.
enum Input {
    Connected(Session),
    Fetched {
        run: RunId,
        outcome: Result<Ready, Failure>,
    },
    Computed {
        run: RunId,
        layer: (JobId, LayerId),
        chunk: Option<Chunk>,
        outcome: Result<Finished, Failure>,
        took: Duration,
    },
    Copied {
        run: RunId,
        chunk: Option<Chunk>,
    },
    /// Chunks were moved to disk, all that were to be or not; and what the disk does in a second, if it was measured.
    Spilled {
        took_all: bool,
        bytes_per_s: Option<u64>,
    },
    Refused(String),
    Leave {
        patience: Duration,
        hands_over: bool,
    },
}

impl Worker {
    /// Starts a worker on the current runtime. `address` is where peers and clients find its store.
    ///
    /// # Errors
    /// [`WorkerError::System`] if its threads cannot be had.
    pub fn start(
        options: WorkerOptions,
        connector: Arc<dyn Connector>,
        peers: Arc<dyn Peers>,
        sources: Sources,
        address: &str,
        store: Arc<ChunkStore>,
    ) -> Result<WorkerHandle, WorkerError> {
        // Freed buffers are memory too: a small part of what the worker may use.
        let budget_bytes = options.bounded_budget_bytes();
        let spare_bytes = usize::try_from(transit_bytes(budget_bytes)).unwrap_or(usize::MAX);
        graticule_kernel::limit_spare_bytes(spare_bytes);
        #[cfg(target_os = "linux")]
        graticule_transfer::map_large_buffers();
        let mut config = Config::new(&options.name, address, options.slots, budget_bytes);
        config.heartbeat_us = options.heartbeat_us;
        config.resources.clone_from(&options.resources);
        let functions = options.functions.with_own();
        config.functions = functions.names().map(Into::into).collect();
        let (inbox, inputs) = mpsc::channel(INBOX_COUNT_MAX);
        let (end, ended) = watch::channel(None);
        let tables = TableStore::default();
        let fetcher = Fetcher {
            store: store.clone(),
            peers,
            sources,
            tables,
            functions: functions.clone(),
        };
        let lines = Lines::new();
        let logs = lines.scope.clone();
        let actor = Actor {
            engine: Engine::new(config),
            started: Instant::now(),
            cpu: CpuPool::new(&options.name, options.slots.max(1))?,
            fetcher,
            connector,
            inbox: inbox.clone(),
            link: None,
            next_session: 1,
            pause: RECONNECT_PAUSES.0,
            fetches: BTreeMap::new(),
            prepared: BTreeMap::new(),
            underway: Vec::new(),
            paces: Paces::default(),
            sizes_changed: false,
            moves_told: Instant::now(),
            lines,
            results: BTreeMap::new(),
            tasks: JoinSet::new(),
            is_spilling: false,
            events: VecDeque::new(),
            commands: Vec::new(),
            end: None,
        };
        let actor = tokio::spawn(logs.future(async move {
            let _ = end.send(Some(actor.run(inputs).await));
        }));
        Ok(WorkerHandle {
            store,
            inbox,
            ended,
            actor,
        })
    }
}

impl WorkerHandle {
    /// The chunks that the worker holds.
    pub fn store(&self) -> &Arc<ChunkStore> {
        &self.store
    }

    /// Whether the worker has left, or was refused.
    pub fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    /// Waits until the worker has ended by itself: it has left, or the scheduler refused it.
    ///
    /// # Errors
    /// [`WorkerError::Refused`].
    pub async fn ended(&mut self) -> Result<(), WorkerError> {
        match self.ended.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Err(why))) => Err(WorkerError::Refused(why.clone())),
            Ok(Some(Ok(())) | None) | Err(_) => Ok(()),
        }
    }

    /// Takes no new tasks, finishes and reports those that run, has others copy what only it holds, and leaves; at the
    /// latest after `patience`.
    pub async fn retire(self, patience: Duration) {
        self.leave(patience, true).await;
    }

    /// Takes no new tasks, finishes and reports those that run, and leaves with all that it holds; at the latest after
    /// `patience`.
    pub async fn stop(self, patience: Duration) {
        self.leave(patience, false).await;
    }

    async fn leave(mut self, patience: Duration, hands_over: bool) {
        let word = Input::Leave { patience, hands_over };
        // An actor that has ended already has left.
        let _ = self.inbox.send(word).await;
        if tokio::time::timeout(patience + LEAVE_GRACE, self.ended())
            .await
            .is_err()
        {
            warn!("tasks did not end in time; leaving without them");
        }
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.actor.abort();
    }
}

struct Actor {
    engine: Engine,
    started: Instant,
    cpu: CpuPool,
    fetcher: Fetcher,
    connector: Arc<dyn Connector>,
    inbox: mpsc::Sender<Input>,
    link: Option<(SessionId, Session)>,
    next_session: u64,
    pause: Duration,
    /// Of these there are about as many as slots: maps by order are quicker than by hash then.
    fetches: BTreeMap<RunId, AbortHandle>,
    prepared: BTreeMap<RunId, Ready>,
    /// At most one for each slot.
    underway: Vec<underway::Run>,
    paces: Paces,
    /// The store's sizes changed, and the engine was not told yet.
    sizes_changed: bool,
    /// When the scheduler was told what was moved.
    moves_told: Instant,
    /// What is logged within is the worker's.
    lines: Lines,
    results: BTreeMap<RunId, Chunk>,
    tasks: JoinSet<()>,
    is_spilling: bool,
    events: VecDeque<Event>,
    /// Room for what the engine says, kept.
    commands: Vec<Command>,
    end: Option<Result<(), String>>,
}

impl Actor {
    async fn run(mut self, mut inputs: mpsc::Receiver<Input>) -> Result<(), String> {
        self.connect(Duration::ZERO);
        let mut batch = Vec::new();
        while self.end.is_none() {
            let timeout = self
                .engine
                .next_timeout()
                .map(|t| self.started + Duration::from_micros(t.0));
            let wake = timeout.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                count = inputs.recv_many(&mut batch, 256) => {
                    if count == 0 {
                        break;
                    }
                    batch.drain(..).for_each(|input| self.take(input));
                }
                message = hear(&mut self.link) => self.heard(message),
                ended = underway::ended(&mut self.underway) => {
                    ended.into_iter().for_each(|(run, end)| self.ended(run, end));
                }
                Some(_) = self.tasks.join_next() => {}
                () = tokio::task::yield_now(), if self.sizes_changed || !self.events.is_empty() => {}
                () = sleep_until(wake.into()) => self.events.push_back(Event::Tick),
            }
            self.settle();
        }
        self.tasks.abort_all();
        // What was said last must still go out.
        if let Some((_, session)) = self.link.take() {
            let flushed = async {
                while session.outgoing.capacity() < session.outgoing.max_capacity() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let _ = tokio::time::timeout(Duration::from_secs(1), flushed).await;
        }
        self.end.unwrap_or(Ok(()))
    }

    /// Lets the engine handle what has happened, and does what it says; what its turn is too short for stays.
    fn settle(&mut self) {
        let mut commands = std::mem::take(&mut self.commands);
        let mut clock = Instant::now();
        let end = clock + TURN;
        while clock < end
            && let Some(event) = self.next_event()
        {
            let now = Time(clock.duration_since(self.started).as_micros() as u64);
            self.engine.handle(now, event, &mut commands);
            for command in commands.drain(..) {
                self.execute(command);
            }
            clock = Instant::now();
        }
        self.commands = commands;
    }

    /// What the engine is told next; the store's sizes when all else is told.
    fn next_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        event.or_else(|| std::mem::take(&mut self.sizes_changed).then(|| self.sizes()))
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Connected(session) => {
                let id = SessionId(self.next_session);
                self.next_session += 1;
                self.link = Some((id, session));
                self.paces.clear();
                self.fetcher.store.ledger.renew();
                self.events.push_back(Event::Connected { session: id });
            }
            Input::Fetched { run, outcome } => {
                self.fetches.remove(&run);
                match outcome {
                    Ok(ready) => {
                        let fetched_bytes = ready.prepared.fetched_bytes;
                        self.prepared.insert(run, ready);
                        self.events.push_back(Event::Fetched { run, fetched_bytes });
                    }
                    Err(failure) => self.events.push_back(Event::FetchFailed { run, failure }),
                }
            }
            Input::Computed {
                run,
                layer,
                chunk,
                outcome,
                took,
            } => {
                self.paces.add(layer, took);
                if let Some(chunk) = chunk {
                    self.results.insert(run, chunk);
                }
                self.events.push_back(Event::Computed { run, outcome });
            }
            Input::Spilled {
                took_all,
                bytes_per_s,
            } => {
                self.is_spilling = false;
                if let Some(bytes_per_s) = bytes_per_s {
                    self.events.push_back(Event::DiskMeasured { bytes_per_s });
                }
                if !took_all {
                    self.events.push_back(Event::SpillFailed);
                }
                self.sizes_changed = true;
            }
            Input::Refused(why) => self.end = Some(Err(why)),
            Input::Copied { run, chunk } => self.copied(run, chunk),
            Input::Leave { patience, hands_over } => {
                info!("leaving");
                let deadline_us = u64::try_from(patience.as_micros()).unwrap_or(u64::MAX);
                self.events.push_back(if hands_over {
                    Event::Retire { deadline_us }
                } else {
                    Event::Stop { deadline_us }
                });
            }
        }
    }

    fn sizes(&self) -> Event {
        let (memory_bytes, spilled_bytes) = self.fetcher.store.sizes();
        Event::StoreChanged {
            memory_bytes,
            spilled_bytes,
        }
    }

    fn heard(&mut self, message: Result<ToWorker, LinkError>) {
        let Some(session) = self.link.as_ref().map(|(id, _)| *id) else {
            return;
        };
        match message {
            Ok(message) => {
                if matches!(message, ToWorker::Welcome { .. }) {
                    self.pause = RECONNECT_PAUSES.0;
                }
                self.events.push_back(Event::Message { session, message });
            }
            Err(LinkError::Refused(why)) => self.end = Some(Err(why)),
            Err(LinkError::Lost(why)) => {
                warn!(%why, "connection to the scheduler lost");
                self.disconnect(session);
            }
        }
    }

    fn disconnect(&mut self, session: SessionId) {
        if self.link.as_ref().is_some_and(|(id, _)| *id == session) {
            self.link = None;
            self.events.push_back(Event::Disconnected { session });
            let pause = self.pause;
            self.pause = (self.pause * 2).min(RECONNECT_PAUSES.1);
            self.connect(pause);
        }
    }

    /// Connects after a pause, and tries until it succeeds.
    fn connect(&mut self, first_pause: Duration) {
        let (connector, inbox) = (self.connector.clone(), self.inbox.clone());
        self.tasks.spawn(self.lines.scope.clone().future(async move {
            tokio::time::sleep(first_pause).await;
            let mut pause = RECONNECT_PAUSES.0;
            let input = loop {
                match connector.connect().await {
                    Ok(session) => break Input::Connected(session),
                    Err(LinkError::Refused(why)) => break Input::Refused(why),
                    Err(LinkError::Lost(why)) => {
                        warn!(%why, retry_ms = pause.as_millis() as u64, "cannot reach the scheduler");
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(RECONNECT_PAUSES.1);
                    }
                }
            };
            // The actor may have ended meanwhile.
            let _ = inbox.send(input).await;
        }));
    }

    fn execute(&mut self, command: Command) {
        match command {
            Command::Send { session, mut message } => {
                if let ToScheduler::Status(status) = &mut message
                    && self.connector.has_own_process()
                {
                    status.resident_bytes = resident_bytes();
                }
                let is_status = matches!(message, ToScheduler::Status(_));
                let tells_more = match &message {
                    ToScheduler::Status(_) => true,
                    ToScheduler::Reports(_) => self.moves_told.elapsed() >= MOVES_PAUSE,
                    _ => false,
                };
                self.say(session, message);
                if tells_more {
                    self.tell_moves(session);
                    self.tell_disk(session, is_status);
                }
                if is_status {
                    self.tell_lines(session);
                }
            }
            Command::Reconnect { session } => {
                warn!("the scheduler is silent; connecting again");
                self.disconnect(session);
            }
            Command::KeepTable { digest, content } => self.fetcher.tables.insert(digest, content),
            Command::DropTables { digests } => self.fetcher.tables.remove(&digests),
            Command::Fetch {
                run,
                task,
                attempt,
                layer,
                holders,
            } => self.fetch(run, (task, attempt), layer, holders),
            Command::FetchCopy { run, chunk, peers } => self.copy(run, chunk, peers),
            Command::Compute { run, slot } => self.compute(run, slot),
            Command::Store { run, chunk } => self.keep(run, chunk),
            Command::Discard { run } => {
                if let Some(fetch) = self.fetches.remove(&run) {
                    fetch.abort();
                }
                self.prepared.remove(&run);
                self.results.remove(&run);
            }
            Command::Drop { chunks } => {
                chunks
                    .into_iter()
                    .for_each(|chunk| self.fetcher.store.remove(chunk));
                self.sizes_changed = true;
            }
            Command::Spill { target_bytes } => self.spill(target_bytes),
            Command::Leave => {
                let lines = self.lines.take_all();
                if let Some((session, report)) = self.link.as_ref().map(|link| link.0).zip(lines) {
                    self.say(session, ToScheduler::Logs(report));
                }
                self.end = Some(Ok(()));
            }
        }
    }

    /// Says what was moved since it was told the last time.
    fn tell_moves(&mut self, session: SessionId) {
        self.moves_told = Instant::now();
        if let Some(moved) = self.fetcher.store.moves.take() {
            self.say(session, ToScheduler::Moved(moved));
        }
    }

    /// Says which chunks went to disk and left it since it was told the last time; `checks` if there is time to say what is
    /// there once more.
    fn tell_disk(&mut self, session: SessionId, checks: bool) {
        if let Some(report) = self.fetcher.store.ledger.take(Instant::now(), checks) {
            self.say(session, ToScheduler::Disk(report));
        }
    }

    /// Says what was logged since it was told the last time.
    fn tell_lines(&mut self, session: SessionId) {
        if let Some(report) = self.lines.take() {
            self.say(session, ToScheduler::Logs(report));
        }
    }

    fn say(&mut self, session: SessionId, message: ToScheduler) {
        let Some((id, link)) = &self.link else { return };
        if *id == session && link.outgoing.try_send(message).is_err() {
            warn!("the scheduler takes no messages; connecting again");
            self.disconnect(session);
        }
    }
}

/// The next message of the connection; never, if there is none.
async fn hear(link: &mut Option<(SessionId, Session)>) -> Result<ToWorker, LinkError> {
    match link {
        None => std::future::pending().await,
        Some((_, session)) => {
            let ended = || Err(LinkError::Lost("the connection ended".into()));
            session.incoming.recv().await.unwrap_or_else(ended)
        }
    }
}
