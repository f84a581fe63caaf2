//! The real scheduler, which tells a real dashboard, and workers that do nothing but report.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use graticule_dashboard::{Dashboard, DashboardHandle, DashboardOptions, Feed};
use graticule_engine::{BlockRun, ToScheduler, ToWorker, scheduler::JobEvent};
use graticule_plan::{ChunkId, Plan};
use graticule_proto::{FromCluster, ToCluster};
use graticule_scheduler::{ClientSession, SchedulerHandle, SchedulerOptions, WorkerSession, start};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::bench::scheduler::{
    drive::{announce, report},
    shapes::Shape,
};

const BUDGET_BYTES: u64 = 1 << 40;
/// Microseconds that each task says it took.
const TASK_US: u64 = 10;
/// Between two small jobs that are timed while the large one runs.
const PAUSE: Duration = Duration::from_millis(5);
/// Tasks of a small job, of which one needs the other.
const SMALL: u64 = 2;

/// What the cluster has to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) tasks: u64,
    pub(super) workers: u64,
    pub(super) slots: u32,
}

/// What one run took.
#[derive(Debug)]
pub(super) struct Measured {
    /// From the plan to its end.
    pub(super) seconds: f64,
    /// Microseconds that each small job took meanwhile, from its plan to its end.
    pub(super) single_us: Vec<f64>,
    /// Records that the dashboard was not told.
    pub(super) dropped: u64,
}

/// A cluster whose workers cost nothing, with or without a dashboard.
pub(super) struct Watchable {
    load: Load,
    scheduler: SchedulerHandle,
    running: JoinHandle<()>,
    workers: Vec<JoinHandle<()>>,
    feed: Feed,
    dashboard: Option<DashboardHandle>,
}

impl Watchable {
    pub(super) async fn start(load: Load, has_dashboard: bool) -> anyhow::Result<Self> {
        let started = Instant::now();
        let (feed, dashboard) = if has_dashboard {
            let (feed, receiver) = Feed::new();
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let options = DashboardOptions {
                started,
                ..DashboardOptions::default()
            };
            (feed, Some(Dashboard::start(listener, receiver, options)?))
        } else {
            (Feed::disabled(), None)
        };
        let options = SchedulerOptions {
            feed: feed.clone(),
            started,
            ..SchedulerOptions::default()
        };
        let (scheduler, running) = start(options);
        let running = tokio::spawn(running);
        let mut workers = Vec::new();
        for number in 0..load.workers {
            let session = scheduler
                .open_worker(announce(number, load.slots, BUDGET_BYTES))
                .await?;
            workers.push(tokio::spawn(work(session)));
        }
        Ok(Self {
            load,
            scheduler,
            running,
            workers,
            feed,
            dashboard,
        })
    }

    /// Where the dashboard is, if there is one.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.dashboard.as_ref().map(DashboardHandle::address)
    }

    /// Runs the large job, and small ones one after another meanwhile.
    pub(super) async fn run(&self) -> anyhow::Result<Measured> {
        let dropped = self.feed.dropped_count();
        let plan = Arc::new(Shape::Tree.plan(self.load.tasks)?);
        let small = Arc::new(Shape::Merge.plan(SMALL)?);
        let mut client = self.scheduler.open_client().await?;
        let mut other = self.scheduler.open_client().await?;
        let begin = Instant::now();
        let mut single_us = Vec::new();
        {
            let mut large = std::pin::pin!(finish(&mut client, plan));
            loop {
                tokio::select! {
                    ended = &mut large => break ended?,
                    took = time_one(&mut other, &small) => single_us.push(took?),
                }
            }
        }
        Ok(Measured {
            seconds: begin.elapsed().as_secs_f64(),
            single_us,
            dropped: self.feed.dropped_count() - dropped,
        })
    }

    /// Ends all that runs.
    pub(super) async fn end(self) {
        if let Some(dashboard) = self.dashboard {
            dashboard.shutdown().await;
        }
        for worker in self.workers {
            worker.abort();
            // An error says that it was aborted.
            let _ = worker.await;
        }
        drop(self.scheduler);
        // A panic there was told by its hook.
        let _ = self.running.await;
    }
}

/// Reports each task as soon as it is leased.
async fn work(mut session: WorkerSession) {
    let speaker = session.speaker();
    let mut messages = Vec::new();
    while session.messages.recv_many(&mut messages, 256).await > 0 {
        let leases = messages.drain(..).filter_map(|message| match message {
            ToWorker::Lease(lease) => Some(lease),
            _ => None,
        });
        let mut reports = Vec::new();
        for lease in leases {
            let run = |first, count| BlockRun {
                job: lease.job,
                layer: lease.layer,
                first,
                count,
            };
            reports.extend(
                lease
                    .tasks
                    .iter()
                    .map(|it| report(run(it.first, it.count), it.attempt, TASK_US)),
            );
        }
        if !reports.is_empty() && speaker.say(ToScheduler::Reports(reports)).await.is_err() {
            return;
        }
    }
}

/// Microseconds from a small plan to its end, after a pause.
async fn time_one(client: &mut ClientSession, plan: &Arc<Plan>) -> anyhow::Result<f64> {
    tokio::time::sleep(PAUSE).await;
    let begin = Instant::now();
    finish(client, plan.clone()).await?;
    Ok(begin.elapsed().as_secs_f64() * 1e6)
}

/// Submits a plan and takes what is made, until the job ends.
async fn finish(client: &mut ClientSession, plan: Arc<Plan>) -> anyhow::Result<()> {
    let submit = ToCluster::Submit {
        submission: 1,
        name: "bench".into(),
        plan,
    };
    client.say(submit).await?;
    loop {
        match client.events.recv().await.context("the scheduler has stopped")? {
            FromCluster::Submitted { job: Err(why), .. } => bail!("the plan was refused: {why}"),
            FromCluster::Chunks { job, layer, chunks } => {
                let chunks = chunks
                    .iter()
                    .map(|it| ChunkId {
                        job,
                        layer,
                        block: it.block,
                    })
                    .collect();
                client.say(ToCluster::Delivered { chunks }).await?;
            }
            FromCluster::Job {
                event: JobEvent::Finished,
                ..
            } => return Ok(()),
            FromCluster::Job {
                event: JobEvent::Failed { message },
                ..
            } => bail!("the job failed: {message}"),
            FromCluster::Job { .. }
            | FromCluster::Submitted { .. }
            | FromCluster::Functions { .. }
            | FromCluster::Progress { .. } => {}
        }
    }
}
