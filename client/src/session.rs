//! One task owns the connection; everybody else holds a [`Session`].

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    iter,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use graticule_plan::{JobId, Key, Layer, Plan};
use graticule_proto::{FromCluster, Resume, ResumedJob, ToCluster, engine::scheduler::JobEvent};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, warn};

use crate::{
    ClientError, Progress,
    calls::{self, Call, CallJobs, CallSubmission, Releases, Shared},
    feed::JobFeed,
    fetch::Fetcher,
    link::Link,
    resume::{Arrived, Home},
};

/// Requests that may wait for the session's task; who asks for more waits.
const REQUEST_COUNT_MAX: usize = 1024;
/// How long taking leave may take, with what is to be said before.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A way to the session's task. Clones are cheap; the session ends with the last one.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    requests: mpsc::Sender<Request>,
    farewells: mpsc::UnboundedSender<ToCluster>,
    calls: mpsc::UnboundedSender<Call>,
    shared: Arc<Shared>,
    /// Set once the client is closed: a scheduler that is away is not waited for any more.
    closing: Arc<watch::Sender<bool>>,
    pub(crate) about: Arc<About>,
}

/// What does not change during a session.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) fetcher: Fetcher,
    /// The scheduler's address, for messages.
    pub(crate) url: String,
    pub(crate) dashboard: Option<String>,
    /// What others have published and this client may read.
    pub(crate) published: Mutex<HashSet<Key>>,
    #[cfg(feature = "local")]
    pub(crate) cluster: Option<crate::local::LocalCluster>,
}

impl About {
    /// A result of another client was published, and found by this one.
    pub(crate) fn may_read(&self, key: Key) {
        self.published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key);
    }

    pub(crate) fn reads(&self, key: Key) -> bool {
        self.published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&key)
    }
}

/// What the session's task is asked for.
#[derive(Debug)]
pub(crate) enum Request {
    Submit(Submission),
    Call(CallSubmission),
    Say(ToCluster),
    /// Take leave, whoever still holds results.
    Leave {
        /// Told once the scheduler has heard it.
        left: oneshot::Sender<()>,
    },
}

#[derive(Debug)]
pub(crate) struct Submission {
    name: Arc<str>,
    plan: Arc<Plan>,
    route: Route,
    reply: oneshot::Sender<Result<JobGuard, ClientError>>,
}

/// Where a job's events go.
#[derive(Debug)]
struct Route {
    feed: Arc<JobFeed>,
    progress: watch::Sender<Progress>,
    arrived: Arrived,
    is_cancelled: bool,
}

/// A submitted job: cancels it when dropped, unless it is over by then.
#[derive(Debug)]
pub(crate) struct JobGuard {
    pub(crate) id: JobId,
    feed: Arc<JobFeed>,
    farewells: mpsc::UnboundedSender<ToCluster>,
    is_done: bool,
}

impl JobGuard {
    /// Says that nothing of the job is awaited any more.
    pub(crate) fn done(&mut self) {
        self.is_done = true;
    }

    /// Asks for the job's end.
    pub(crate) fn cancel(&self) {
        // The session's end cancels its jobs too.
        let _ = self.farewells.send(ToCluster::Cancel { job: self.id });
    }
}

impl Drop for JobGuard {
    fn drop(&mut self) {
        if !self.is_done && self.feed.outcome().is_none() {
            self.cancel();
        }
    }
}

/// A job as whoever submitted it sees it.
#[derive(Debug)]
pub(crate) struct Submitted {
    pub(crate) guard: JobGuard,
    pub(crate) feed: Arc<JobFeed>,
    pub(crate) progress: watch::Receiver<Progress>,
}

impl Session {
    /// Starts the session's task on the current runtime.
    pub(crate) fn start(link: Link, about: About, home: Option<Home>) -> Self {
        let (requests, inbox) = mpsc::channel(REQUEST_COUNT_MAX);
        // Each handle says one last word at most, from a destructor, which cannot wait for room.
        let (farewells, last_words) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::default());
        let (closing, is_closing) = watch::channel(false);
        let dispatcher = Dispatcher {
            home,
            is_closing,
            link,
            farewells: farewells.clone(),
            shared: shared.clone(),
            submissions: HashMap::new(),
            call_submissions: BTreeMap::new(),
            jobs: HashMap::new(),
            calls: CallJobs::default(),
            keys: BTreeSet::new(),
            next_submission: 1,
        };
        tokio::spawn(dispatcher.run(inbox, last_words));
        Self {
            calls: calls::start(shared.clone(), requests.clone()),
            requests,
            farewells,
            shared,
            closing: Arc::new(closing),
            about: Arc::new(about),
        }
    }

    /// What all calls have in common.
    pub(crate) fn calls(&self) -> &Shared {
        &self.shared
    }

    /// Has a call made with the next batch.
    ///
    /// # Errors
    /// [`ClientError::ConnectionLost`].
    pub(crate) fn call(&self, call: Call) -> Result<(), ClientError> {
        self.calls.send(call).map_err(|_| closed())
    }

    /// Hands in a plan of values.
    ///
    /// # Errors
    /// [`ClientError::ConnectionLost`].
    pub(crate) async fn submit_values(&self, submission: CallSubmission) -> Result<(), ClientError> {
        self.request(Request::Call(submission)).await
    }

    /// Lets go of a result of a call.
    pub(crate) fn let_go(&self, key: Key, block: u64) {
        let blocks = iter::once(block..block + 1).collect();
        // The session's end lets go of all.
        let _ = self.farewells.send(ToCluster::ReleaseBlocks { key, blocks });
    }

    /// Has a call not made.
    pub(crate) fn cancel_block(&self, key: Key, block: u64) {
        let blocks = iter::once(block..block + 1).collect();
        // The session's end cancels all.
        let _ = self.farewells.send(ToCluster::CancelBlocks { key, blocks });
    }

    /// Hands in a plan.
    ///
    /// # Errors
    /// [`ClientError::Refused`], [`ClientError::ConnectionLost`].
    pub(crate) async fn submit(&self, name: Arc<str>, plan: Arc<Plan>) -> Result<Submitted, ClientError> {
        let (reply, answer) = oneshot::channel();
        let feed = Arc::new(JobFeed::default());
        let (sender, progress) = watch::channel(Progress::of(&plan));
        let route = Route {
            feed: feed.clone(),
            progress: sender,
            arrived: Arrived::default(),
            is_cancelled: false,
        };
        let submission = Submission {
            name,
            plan,
            route,
            reply,
        };
        self.request(Request::Submit(submission)).await?;
        let guard = answer.await.map_err(|_| closed())??;
        Ok(Submitted {
            guard,
            feed,
            progress,
        })
    }

    /// Room for one thing to say.
    ///
    /// # Errors
    /// [`ClientError::ConnectionLost`].
    pub(crate) async fn reserve(&self) -> Result<Permit<'_>, ClientError> {
        self.requests.reserve().await.map(Permit).map_err(|_| closed())
    }

    /// Releases a kept result.
    pub(crate) fn release(&self, key: Key) {
        // The session's end releases its keys too.
        let _ = self.farewells.send(ToCluster::ReleaseKey { key });
    }

    /// Takes leave of the scheduler: it lets go of all that this session has there, though its results may still be held here.
    /// One that does not hear it in time is left all the same.
    pub(crate) async fn leave(&self) {
        self.closing.send_replace(true);
        let (left, heard) = oneshot::channel();
        let taken = async {
            // Where the session has ended there is nobody to take leave of.
            if self.request(Request::Leave { left }).await.is_ok() {
                let _ = heard.await;
            }
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, taken).await;
    }

    async fn request(&self, request: Request) -> Result<(), ClientError> {
        self.requests.send(request).await.map_err(|_| closed())
    }
}

/// Room for one thing to say.
pub(crate) struct Permit<'a>(mpsc::Permit<'a, Request>);

impl Permit<'_> {
    pub(crate) fn say(self, message: ToCluster) {
        self.0.send(Request::Say(message));
    }
}

fn closed() -> ClientError {
    ClientError::ConnectionLost {
        why: "the client is closed".into(),
    }
}

/// The session's task.
struct Dispatcher {
    link: Link,
    /// The way to a scheduler in another process.
    home: Option<Home>,
    /// Nobody needs the scheduler any more.
    is_closing: watch::Receiver<bool>,
    farewells: mpsc::UnboundedSender<ToCluster>,
    shared: Arc<Shared>,
    submissions: HashMap<u64, Submission>,
    call_submissions: BTreeMap<u64, CallSubmission>,
    /// Jobs whose end was not heard of.
    jobs: HashMap<JobId, Route>,
    /// Jobs of calls of which something is held.
    calls: CallJobs,
    /// Kept results that were not released.
    keys: BTreeSet<Key>,
    next_submission: u64,
}

impl Dispatcher {
    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Request>,
        mut last_words: mpsc::UnboundedReceiver<ToCluster>,
    ) {
        let lost = loop {
            let said = tokio::select! {
                request = inbox.recv(), if !self.link.is_full() => {
                    // What was dropped before this was asked goes before it.
                    let said = self.say_all(&mut last_words).await;
                    match request {
                        _ if said.is_err() => said,
                        Some(Request::Submit(submission)) => self.submit(submission).await,
                        Some(Request::Call(submission)) => self.submit_calls(submission).await,
                        Some(Request::Say(message)) => self.say(message).await,
                        Some(Request::Leave { left }) => {
                            self.link.leave().await;
                            // Who asked may be gone.
                            let _ = left.send(());
                            break Some(closed());
                        }
                        None => break None,
                    }
                }
                Some(message) = last_words.recv() => self.say_last(message, &mut last_words).await,
                event = self.link.next() => event.map(|event| self.take(event)),
            };
            if let Err(why) = said
                && let Err(error) = self.come_back(why, || !inbox.is_closed()).await
            {
                debug!(%error, "connection to the scheduler lost");
                break Some(error);
            }
        };
        let Some(error) = lost else {
            if self.say_all(&mut last_words).await.is_ok() {
                self.link.leave().await;
            }
            return;
        };
        self.fail_all(&error);
        drop(last_words);
        while let Some(request) = inbox.recv().await {
            match request {
                // Who asked may be gone.
                Request::Submit(submission) => drop(submission.reply.send(Err(error.clone()))),
                Request::Call(submission) => submission.fail(&error),
                Request::Say(_) => {}
                Request::Leave { left } => drop(left.send(())),
            }
        }
    }

    async fn say_all(&mut self, last_words: &mut mpsc::UnboundedReceiver<ToCluster>) -> Result<(), String> {
        match last_words.try_recv() {
            Ok(message) => self.say_last(message, last_words).await,
            Err(_) => Ok(()),
        }
    }

    /// Says a last word and those that wait behind it; releases of single blocks come in great numbers, and go together.
    async fn say_last(
        &mut self,
        first: ToCluster,
        last_words: &mut mpsc::UnboundedReceiver<ToCluster>,
    ) -> Result<(), String> {
        let mut releases = Releases::default();
        let mut next = Some(first);
        while let Some(message) = next {
            if let Some(message) = releases.take(message) {
                self.say(message).await?;
            }
            next = last_words.try_recv().ok();
        }
        for message in releases.into_messages() {
            self.say(message).await?;
        }
        Ok(())
    }

    /// Says something, and remembers what must be said again should the connection break.
    async fn say(&mut self, message: ToCluster) -> Result<(), String> {
        match &message {
            ToCluster::Delivered { chunks } => {
                for chunk in chunks {
                    if let Some(route) = self.jobs.get_mut(&chunk.job) {
                        route.arrived.add(*chunk);
                    }
                }
            }
            ToCluster::Cancel { job } => {
                if let Some(route) = self.jobs.get_mut(job) {
                    route.is_cancelled = true;
                }
            }
            ToCluster::ReleaseKey { key } => drop(self.keys.remove(key)),
            ToCluster::Submit { plan, .. } if !plan.layers().iter().any(Layer::is_apart) => {
                self.keys
                    .extend(plan.outputs().iter().filter_map(|output| output.keep));
            }
            ToCluster::Submit { .. } => {}
            ToCluster::ReleaseBlocks { key, blocks } => self.calls.let_go(*key, blocks),
            ToCluster::DeliveryFailed { .. }
            | ToCluster::CancelBlocks { .. }
            | ToCluster::Resume(_)
            | ToCluster::Leave => {}
        }
        self.link.say(message).await
    }

    /// Connects again after the connection broke, and says what this client has and wants.
    async fn come_back(&mut self, why: String, is_wanted: impl Fn() -> bool) -> Result<(), ClientError> {
        let Some(home) = &self.home else {
            return Err(ClientError::ConnectionLost { why });
        };
        let mut is_closing = self.is_closing.clone();
        self.link = tokio::select! {
            link = home.come_back(why, is_wanted) => link?,
            Ok(_) = is_closing.wait_for(|closing| *closing) => return Err(closed()),
        };
        let jobs = self.jobs.iter().map(|(&job, route)| ResumedJob {
            job,
            delivered: route.arrived.ranges(),
        });
        let of_arrays = self.submissions.iter().map(|(&n, s)| (n, (&s.name, &s.plan)));
        let of_calls = self
            .call_submissions
            .iter()
            .map(|(&n, s)| (n, (&s.name, &s.plan)));
        // Later ones may name what earlier ones keep.
        let submissions: BTreeMap<u64, _> = of_arrays.chain(of_calls).collect();
        let resume = Resume {
            jobs: jobs.chain(self.calls.resumed_jobs()).collect(),
            submissions: submissions.keys().copied().collect(),
            keys: self.keys.iter().copied().chain(self.calls.keys()).collect(),
            released: self.calls.let_go_so_far().collect(),
        };
        let mut words = vec![ToCluster::Resume(resume)];
        let again = submissions
            .into_iter()
            .map(|(submission, (name, plan))| ToCluster::Submit {
                submission,
                name: name.clone(),
                plan: plan.clone(),
            });
        words.extend(again);
        let cancelled = self.jobs.iter().filter(|(_, route)| route.is_cancelled);
        words.extend(cancelled.map(|(&job, _)| ToCluster::Cancel { job }));
        words.extend(self.call_submissions.values().flat_map(CallSubmission::cancelled));
        words.extend(self.calls.cancelled());
        for word in words {
            // The next look at the link finds what is wrong with it.
            if self.link.say(word).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn submit(&mut self, submission: Submission) -> Result<(), String> {
        let number = self.next_submission;
        self.next_submission += 1;
        let message = ToCluster::Submit {
            submission: number,
            name: submission.name.clone(),
            plan: submission.plan.clone(),
        };
        self.submissions.insert(number, submission);
        self.say(message).await
    }

    async fn submit_calls(&mut self, submission: CallSubmission) -> Result<(), String> {
        let number = self.next_submission;
        self.next_submission += 1;
        let message = ToCluster::Submit {
            submission: number,
            name: submission.name.clone(),
            plan: submission.plan.clone(),
        };
        self.calls.said(&submission);
        self.call_submissions.insert(number, submission);
        self.say(message).await?;
        // Those whose end was asked for while the plan was made and on its way here; later ones say so behind it.
        let cancelled = self.call_submissions[&number].cancelled();
        for word in cancelled {
            self.say(word).await?;
        }
        Ok(())
    }

    fn take(&mut self, event: FromCluster) {
        match event {
            FromCluster::Submitted { submission, job } => {
                if let Some(calls) = self.call_submissions.remove(&submission) {
                    self.calls.answered(calls, job);
                } else if let Some(submission) = self.submissions.remove(&submission) {
                    self.submitted(submission, job);
                }
            }
            FromCluster::Chunks { job, layer, chunks } => {
                if self.calls.take_in_chunks(job, layer, &chunks) {
                    return;
                }
                if let Some(route) = self.jobs.get(&job) {
                    route.feed.take_in_chunks(layer, chunks);
                }
            }
            FromCluster::Functions { names, workers } => self.shared.note_functions(names, workers),
            FromCluster::Job { job, event } => {
                if self.calls.take_in(job, &event) {
                    return;
                }
                let Some(route) = self.jobs.get(&job) else { return };
                // The workers of an embedded cluster are on their way while the first job is submitted.
                if let (JobEvent::NoWorkers, Some(home)) = (&event, &self.home) {
                    let url = home.url();
                    warn!(%job, "no worker is connected: the job waits for `graticule worker --scheduler {url}`");
                }
                if event == JobEvent::Finished {
                    route.progress.send_modify(Progress::finish);
                }
                if route.feed.take_in(event) {
                    self.jobs.remove(&job);
                }
            }
            FromCluster::Progress { job, layers, workers } => {
                let Some(route) = self.jobs.get(&job) else { return };
                let progress = Progress {
                    layers,
                    worker_count: workers,
                };
                route.feed.progressed(&progress);
                route.progress.send_replace(progress);
            }
        }
    }

    fn submitted(&mut self, submission: Submission, job: Result<JobId, Arc<str>>) {
        let Submission { route, reply, .. } = submission;
        let answer = match job {
            Ok(id) => Ok(JobGuard {
                id,
                feed: route.feed.clone(),
                farewells: self.farewells.clone(),
                is_done: false,
            }),
            Err(why) => Err(ClientError::Refused { why: why.to_string() }),
        };
        if let Ok(guard) = &answer {
            self.jobs.insert(guard.id, route);
        }
        // If nobody waits for the answer any more, the guard is dropped here and cancels the job.
        let _ = reply.send(answer);
    }

    fn fail_all(&mut self, error: &ClientError) {
        for (_, submission) in self.submissions.drain() {
            // Who asked may be gone.
            let _ = submission.reply.send(Err(error.clone()));
        }
        for (_, route) in self.jobs.drain() {
            route.feed.end(error.clone());
        }
        for submission in std::mem::take(&mut self.call_submissions).into_values() {
            submission.fail(error);
        }
        self.calls.fail_all(error);
    }
}

impl Drop for Dispatcher {
    /// However the task ends, nobody waits for ever.
    fn drop(&mut self) {
        self.fail_all(&closed());
    }
}
