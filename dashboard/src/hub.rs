use std::{
    collections::BTreeMap,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use graticule_plan::TaskId;
use tokio::sync::{broadcast, oneshot};

use crate::{
    DashboardError, FeedReceiver,
    aggregate::{
        Activity, Aggregator, ArrayPublisher, Direction, LineQuery, Publisher, RosterOrder, RowKey,
        ServerFigures,
    },
    encoded::{Frame, json},
    reasons::Explanation,
    runs::{Archive, History, Recorder, RunKey, RunWriter},
};

/// Time between two frames.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// Time between two times that records are taken in while they come in numbers: the queue holds an eighth of a second of half
/// a million a second, so a thread that has to wait for its core loses none.
const TAKE_IN: Duration = Duration::from_millis(20);

/// From so many records at a time on, they come in numbers.
const MANY_RECORD_COUNT: usize = 1 << 10;

/// While nothing changes, a frame says that the dashboard is alive this often.
const HEARTBEAT: Duration = Duration::from_millis(1_000);

/// How long a job whose tasks are all done may take to end before a report tells of it as it is,
const ENDING_GRACE: Duration = Duration::from_millis(500);
/// and how long workers may take to tell of what they moved and logged until then.
const TELLING_GRACE: Duration = Duration::from_millis(1_200);
const ENDING_POLL: Duration = Duration::from_millis(20);

/// Frames that a viewer may lag behind before it skips to a fresh snapshot. They are shared by all viewers.
const FRAME_LAG_MAX: usize = 16;

/// Requests that may wait for the aggregator.
const REQUEST_COUNT_MAX: usize = 2_048;

/// Jobs whose arrays may be watched at once.
const ARRAYS_COUNT_MAX: usize = 16;

/// What a viewer follows. Each topic is a stream of its own: first a snapshot, then what changed. It is encoded once a
/// tick, however many follow, and not at all while nobody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// The tables of jobs, layers and workers, and the task stream: what each page needs.
    Cluster,
    /// The cells of the arrays of the job with this key.
    Arrays(RowKey),
}

/// What is asked once, and answered from the tables as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// How the layers of a job hang together.
    Outline { job: RowKey },
    /// What is known of one task.
    Block { layer: RowKey, block: u64 },
    /// What there is on the timeline.
    Timeline,
    /// One of its tiles, in binary.
    Tile { level: u32, index: u64 },
    /// Its single tasks in a span of time.
    Tasks { from_us: u64, to_us: u64 },
    /// What was moved in a span of time.
    Moves { from_us: u64, to_us: u64 },
    /// What was moved, by worker and by operation.
    Communication,
    /// Where the slots' time went, and what to do about it.
    Insights,
    /// All workers, sorted, from a place on.
    Workers {
        order: RosterOrder,
        direction: Direction,
        from: u64,
    },
    /// One worker, its memory at a level of its history.
    Worker { worker: RowKey, level: usize },
    /// Who holds what, and how that was at a level of the histories.
    Memory { level: usize },
    /// How the number of workers followed what was wanted.
    Scaling,
    /// What was logged.
    Lines(LineQuery),
    /// Figures for a monitoring system, as text.
    Metrics { viewers: usize },
    /// Sums over a span of time and the lanes from one to another, each a worker's key and a slot.
    Sums {
        from_us: u64,
        to_us: u64,
        lanes: ((RowKey, u32), (RowKey, u32)),
    },
}

#[derive(Debug)]
enum Request {
    Follow(Topic, oneshot::Sender<broadcast::Receiver<Frame>>),
    Snapshot(Topic, oneshot::Sender<Frame>),
    Ask(Question, oneshot::Sender<Bytes>),
    Runs(oneshot::Sender<History>),
    Archive(RunKey, oneshot::Sender<Archive>),
    /// With whether more may still be told of it.
    Since(u64, oneshot::Sender<(Archive, bool)>),
    Now(oneshot::Sender<u64>),
    /// The task of a layer's key and a block.
    Task(RowKey, u64, oneshot::Sender<TaskId>),
    /// An explanation by the keys that viewers know.
    Keyed(Explanation, oneshot::Sender<Bytes>),
    Stop,
}

/// Reaches the aggregator's thread. A cheap handle.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    requests: mpsc::SyncSender<Request>,
    frames: broadcast::WeakSender<Frame>,
}

impl Hub {
    /// Starts the aggregator's thread. `started` is the cluster's start, from which records count their time. `shelf` is
    /// who writes runs that end, and the key of the first one.
    pub(crate) fn start(
        receiver: FeedReceiver,
        cluster: &str,
        started: Instant,
        shelf: Option<(RunKey, RunWriter)>,
    ) -> Result<(Self, thread::JoinHandle<()>), DashboardError> {
        let (requests, inbox) = mpsc::sync_channel(REQUEST_COUNT_MAX);
        let (frames, _) = broadcast::channel(FRAME_LAG_MAX);
        let weak = frames.downgrade();
        let (first_key, writer) = match shelf {
            Some((first_key, writer)) => (first_key, Some(writer)),
            None => (1, None),
        };
        let began = SystemTime::now().checked_sub(started.elapsed());
        let began = began.and_then(|began| began.duration_since(UNIX_EPOCH).ok());
        let began_unix_ms = began.map_or(0, |began| u64::try_from(began.as_millis()).unwrap_or(u64::MAX));
        let state = HubState {
            recorder: Recorder::new(cluster, began_unix_ms, first_key),
            writer,
            news: 0,
            latest: 0,
            receiver,
            aggregator: Aggregator::new(),
            publisher: Publisher::new(cluster),
            started,
            frames,
            snapshot: None,
            is_followed: false,
            arrays: BTreeMap::new(),
        };
        let thread = thread::Builder::new()
            .name("graticule-watch".into())
            .spawn(move || state.run(&inbox))
            .map_err(|source| DashboardError::Io {
                what: "start the dashboard's thread",
                source,
            })?;
        Ok((
            Self {
                requests,
                frames: weak,
            },
            thread,
        ))
    }

    /// Whether the aggregator's thread runs.
    pub(crate) fn is_serving(&self) -> bool {
        self.frames.upgrade().is_some()
    }

    /// The topic's frames from now on; `None` if there is no such topic, too many are followed, or the dashboard stops.
    pub(crate) async fn follow(&self, topic: Topic) -> Option<broadcast::Receiver<Frame>> {
        self.request(|reply| Request::Follow(topic, reply)).await
    }

    /// A snapshot of a topic that is followed; the delta that follows has the next number. `None` once the topic or the
    /// dashboard ends, or if too many ask at once.
    pub(crate) async fn snapshot(&self, topic: Topic) -> Option<Frame> {
        self.request(|reply| Request::Snapshot(topic, reply)).await
    }

    /// The answer, as JSON unless the question says otherwise; `None` if what is asked about is not known.
    pub(crate) async fn ask(&self, question: Question) -> Option<Bytes> {
        self.request(|reply| Request::Ask(question, reply)).await
    }

    /// The history of runs.
    pub(crate) async fn runs(&self) -> Option<History> {
        self.request(Request::Runs).await
    }

    /// What is kept of a run in memory.
    pub(crate) async fn archive(&self, key: RunKey) -> Option<Archive> {
        self.request(|reply| Request::Archive(key, reply)).await
    }

    /// What is kept of all jobs that ran since then. Jobs whose tasks are all done get a moment to end, and workers one to
    /// tell of what they moved: who has a result asks before the scheduler has told of that.
    pub(crate) async fn since(&self, from_us: u64) -> Option<Archive> {
        let begun = Instant::now();
        loop {
            let (archive, is_awaited) = self.request(|reply| Request::Since(from_us, reply)).await?;
            let is_ending = archive.is_ending() && begun.elapsed() < ENDING_GRACE;
            let is_awaited = is_awaited && begun.elapsed() < TELLING_GRACE;
            if !is_ending && !is_awaited {
                return Some(archive);
            }
            tokio::time::sleep(ENDING_POLL).await;
        }
    }

    /// The time by which records are told.
    pub(crate) async fn now(&self) -> Option<u64> {
        self.request(Request::Now).await
    }

    /// The task that viewers know by its layer's key and its block.
    pub(crate) async fn task_named(&self, layer: RowKey, block: u64) -> Option<TaskId> {
        self.request(|reply| Request::Task(layer, block, reply)).await
    }

    /// An explanation by the keys that viewers know, as JSON.
    pub(crate) async fn keyed(&self, explanation: Explanation) -> Option<Bytes> {
        self.request(|reply| Request::Keyed(explanation, reply)).await
    }

    async fn request<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.requests.try_send(request(reply)).ok()?;
        answer.await.ok()
    }

    /// Asks the thread to end; viewers then see the end of frames. Waits if many requests are before it.
    pub(crate) fn stop(&self) {
        // An error means that the thread has ended already.
        let _ = self.requests.send(Request::Stop);
    }
}

struct HubState {
    receiver: FeedReceiver,
    recorder: Recorder,
    /// Who writes runs that end.
    writer: Option<RunWriter>,
    /// Records that were taken in since the last tick, and the last time.
    news: usize,
    latest: usize,
    aggregator: Aggregator,
    publisher: Publisher,
    started: Instant,
    frames: broadcast::Sender<Frame>,
    /// The encoded snapshot of the publisher's latest frame.
    snapshot: Option<Frame>,
    /// Whether somebody may hold a snapshot, so that each change must be told.
    is_followed: bool,
    /// The jobs whose arrays somebody watches.
    arrays: BTreeMap<RowKey, WatchedArrays>,
}

struct WatchedArrays {
    publisher: ArrayPublisher,
    frames: broadcast::Sender<Frame>,
    snapshot: Option<Frame>,
}

impl HubState {
    fn run(mut self, inbox: &mpsc::Receiver<Request>) {
        let mut next_tick = Instant::now() + TICK;
        loop {
            match inbox.recv_timeout(self.pause_until(next_tick)) {
                // Where a reply cannot be sent, whoever asked went away; where it is dropped, the answer is no.
                Ok(Request::Follow(topic, reply)) => {
                    if let Some(frames) = self.follow(topic) {
                        let _ = reply.send(frames);
                    }
                }
                Ok(Request::Snapshot(topic, reply)) => {
                    if let Some(frame) = self.snapshot(topic) {
                        let _ = reply.send(frame);
                    }
                }
                Ok(Request::Ask(question, reply)) => {
                    if let Some(answer) = self.answer(question) {
                        let _ = reply.send(answer);
                    }
                }
                Ok(Request::Runs(reply)) => {
                    self.take_in();
                    let _ = reply.send(self.recorder.history(self.now_us()));
                }
                Ok(Request::Archive(key, reply)) => {
                    self.take_in();
                    if let Some(archive) = self.recorder.archive(key, self.now_us()) {
                        let _ = reply.send(archive);
                    }
                }
                Ok(Request::Since(from_us, reply)) => {
                    self.take_in();
                    let now_us = self.now_us();
                    let is_awaited = self.recorder.is_awaited(from_us, now_us);
                    let _ = reply.send((self.recorder.since(from_us, now_us), is_awaited));
                }
                Ok(Request::Now(reply)) => {
                    let _ = reply.send(self.now_us());
                }
                Ok(Request::Task(layer, block, reply)) => {
                    if let Some(task) = self.aggregator.task_named(layer, block) {
                        let _ = reply.send(task);
                    }
                }
                Ok(Request::Keyed(explanation, reply)) => {
                    let _ = reply.send(json(&self.aggregator.explained(&explanation)).into());
                }
                Ok(Request::Stop) | Err(RecvTimeoutError::Disconnected) => return self.finish(),
                Err(RecvTimeoutError::Timeout) => self.take_in(),
            }
            // Also after a request, so that a flood of them delays no tick.
            if Instant::now() >= next_tick {
                self.tick();
                next_tick = (next_tick + TICK).max(Instant::now());
            }
        }
    }

    fn pause_until(&self, next_tick: Instant) -> Duration {
        let left = next_tick.saturating_duration_since(Instant::now());
        if self.latest < MANY_RECORD_COUNT {
            left
        } else {
            left.min(TAKE_IN)
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn take_in(&mut self) {
        let now_us = self.now_us();
        self.recorder.settle();
        self.hand_over(now_us);
        let (aggregator, recorder) = (&mut self.aggregator, &mut self.recorder);
        self.latest = self.receiver.drain(now_us, |at_us, record| {
            recorder.take_with(aggregator, at_us, record);
        });
        self.news += self.latest;
    }

    /// Closes the runs of which all should have been told by `now_us` and hands them to who writes them; never waits for
    /// that.
    fn hand_over(&mut self, now_us: u64) {
        for key in self.recorder.close(now_us) {
            if let Some(writer) = &self.writer
                && let Some(archive) = self.recorder.archive(key, now_us)
            {
                writer.write(key, archive);
            }
        }
    }

    /// Takes in what was told, and waits until the runs that have ended are written.
    fn finish(mut self) {
        self.take_in();
        self.take_in();
        self.recorder.settle();
        self.hand_over(u64::MAX);
        if let Some(writer) = self.writer {
            writer.finish();
        }
    }

    fn tick(&mut self) {
        self.take_in();
        let news = std::mem::take(&mut self.news);
        self.aggregator.sample(self.now_us());
        self.tick_cluster(news);
        self.tick_arrays();
    }

    fn tick_cluster(&mut self, news: usize) {
        if self.frames.receiver_count() == 0 {
            self.is_followed = false;
            return;
        }
        let now_us = self.now_us();
        let silent_us = now_us.saturating_sub(self.publisher.published_us());
        let is_due = news > 0 || self.publisher.has_more() || u128::from(silent_us) >= HEARTBEAT.as_micros();
        if !self.is_followed || !is_due {
            return;
        }
        let delta = self
            .publisher
            .delta(&mut self.aggregator, now_us, self.receiver.dropped_count());
        let frame = Frame::json(delta.seq, &delta);
        self.snapshot = None;
        // An error means that the last viewer went away meanwhile.
        let _ = self.frames.send(frame);
    }

    fn tick_arrays(&mut self) {
        if self.arrays.is_empty() {
            return;
        }
        let aggregator = &mut self.aggregator;
        let is_left = |array: &WatchedArrays, of: &Aggregator| {
            array.frames.receiver_count() == 0 || array.publisher.is_over(of)
        };
        let left: Vec<RowKey> = self
            .arrays
            .iter()
            .filter(|(_, array)| is_left(array, aggregator))
            .map(|(key, _)| *key)
            .collect();
        for array in left.iter().filter_map(|key| self.arrays.remove(key)) {
            array.publisher.close(aggregator);
        }
        let activity = Activity::of(aggregator);
        for array in self.arrays.values_mut() {
            if let Some(delta) = array.publisher.delta(aggregator, &activity) {
                array.snapshot = None;
                // As above.
                let _ = array.frames.send(Frame::binary(array.publisher.seq(), delta));
            }
        }
    }

    fn follow(&mut self, topic: Topic) -> Option<broadcast::Receiver<Frame>> {
        match topic {
            Topic::Cluster => Some(self.frames.subscribe()),
            Topic::Arrays(key) => {
                if let Some(array) = self.arrays.get(&key) {
                    return Some(array.frames.subscribe());
                }
                if self.arrays.len() >= ARRAYS_COUNT_MAX {
                    return None;
                }
                self.take_in();
                let publisher = ArrayPublisher::new(&mut self.aggregator, key)?;
                let (frames, receiver) = broadcast::channel(FRAME_LAG_MAX);
                let array = WatchedArrays {
                    publisher,
                    frames,
                    snapshot: None,
                };
                self.arrays.insert(key, array);
                Some(receiver)
            }
        }
    }

    fn snapshot(&mut self, topic: Topic) -> Option<Frame> {
        match topic {
            Topic::Cluster => Some(self.cluster_snapshot()),
            Topic::Arrays(key) => {
                let WatchedArrays {
                    publisher, snapshot, ..
                } = self.arrays.get_mut(&key)?;
                let frame =
                    snapshot.get_or_insert_with(|| Frame::binary(publisher.seq(), publisher.snapshot()));
                Some(frame.clone())
            }
        }
    }

    fn cluster_snapshot(&mut self) -> Frame {
        if !self.is_followed {
            self.take_in();
            let now_us = self.now_us();
            self.publisher
                .catch_up(&mut self.aggregator, now_us, self.receiver.dropped_count());
            self.is_followed = true;
            self.snapshot = None;
        }
        let (publisher, aggregator) = (&self.publisher, &self.aggregator);
        self.snapshot
            .get_or_insert_with(|| Frame::json(publisher.seq(), &publisher.snapshot(aggregator)))
            .clone()
    }

    fn answer(&mut self, question: Question) -> Option<Bytes> {
        self.take_in();
        let now_us = self.now_us();
        let aggregator = &mut self.aggregator;
        let answer = match question {
            Question::Outline { job } => json(&aggregator.outline(job)?),
            Question::Block { layer, block } => json(&aggregator.block(layer, block)?),
            Question::Timeline => json(&aggregator.timeline()),
            Question::Tile { level, index } => return Some(aggregator.tile(level, index, now_us)?.into()),
            Question::Tasks { from_us, to_us } => json(&aggregator.timeline_tasks(from_us, to_us)),
            Question::Moves { from_us, to_us } => json(&aggregator.timeline_moves(from_us, to_us)),
            Question::Communication => json(&aggregator.communication()),
            Question::Metrics { viewers } => {
                let dropped = self.receiver.dropped_count();
                aggregator.metrics(now_us, ServerFigures { dropped, viewers })
            }
            Question::Workers {
                order,
                direction,
                from,
            } => json(&aggregator.roster(now_us, order, direction, from)),
            Question::Worker { worker, level } => json(&aggregator.worker_story(now_us, worker, level)?),
            Question::Memory { level } => json(&aggregator.memory_story(now_us, level)),
            Question::Scaling => json(&aggregator.scaling_story(now_us)),
            Question::Lines(query) => json(&aggregator.lines(now_us, &query)?),
            Question::Insights => json(&aggregator.insights(now_us)),
            Question::Sums {
                from_us,
                to_us,
                lanes,
            } => json(&aggregator.timeline_sums(from_us, to_us, lanes)),
        };
        Some(answer.into())
    }
}
