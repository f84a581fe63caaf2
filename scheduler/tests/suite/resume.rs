//! Clients that come back to a scheduler's actor: nothing is lost, nothing is done twice.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::{ops::Range, sync::Arc, time::Duration};

use graticule_engine::scheduler::JobEvent;
use graticule_plan::{
    AxisChunks, AxisWindow, Body, ChunkGrid, Input, InputMap, JobId, Key, Layer, Output, Plan, PlanBuilder,
    Source,
};
use graticule_proto::{ClientToken, FromCluster, Resume, ResumedJob, ToCluster};
use graticule_scheduler::{ClientSession, SchedulerHandle, SchedulerOptions, start};

const TOKEN: ClientToken = ClientToken(77);
const KEY: Key = Key(5);

fn plan(source: Option<Source>, keep: Option<Key>) -> Arc<Plan> {
    let mut plan = PlanBuilder::new();
    let grid = ChunkGrid::new(vec![AxisChunks::regular(3, 1).unwrap()]).unwrap();
    let map = InputMap::Product(vec![AxisWindow::Aligned { out_axis: 0 }]);
    let inputs = source.map(|source| Input { source, map });
    let body = Body::new(b"body".to_vec());
    let layer = Layer::new("layer", grid, 8, body, inputs.into_iter().collect());
    let layer = plan.layer(layer).unwrap();
    plan.output(Output { layer, keep }).unwrap();
    Arc::new(plan.finish())
}

fn submit(submission: u64, plan: &Arc<Plan>) -> ToCluster {
    ToCluster::Submit {
        submission,
        name: "job".into(),
        plan: plan.clone(),
    }
}

async fn heard(session: &mut ClientSession) -> FromCluster {
    let next = tokio::time::timeout(Duration::from_secs(30), session.events.recv());
    next.await.unwrap().unwrap()
}

/// The next answer to a submission.
async fn answered(session: &mut ClientSession) -> JobId {
    loop {
        if let FromCluster::Submitted { job, .. } = heard(session).await {
            return job.unwrap();
        }
    }
}

/// How a job ends.
async fn end_of(session: &mut ClientSession, job: JobId) -> JobEvent {
    loop {
        match heard(session).await {
            FromCluster::Job { job: of, event } if of == job => match event {
                JobEvent::Finished | JobEvent::Failed { .. } | JobEvent::Cancelled => return event,
                _ => {}
            },
            _ => {}
        }
    }
}

async fn come_back(scheduler: &SchedulerHandle, resume: Resume) -> ClientSession {
    let session = scheduler.open_client_with(TOKEN, true).await.unwrap();
    assert!(session.is_known);
    session.say(ToCluster::Resume(resume)).await.unwrap();
    session
}

async fn job_ids(scheduler: &SchedulerHandle) -> Vec<JobId> {
    // Questions are answered before what was said with them has its effect; the second one comes after that.
    scheduler.info().await.unwrap();
    let info = scheduler.info().await.unwrap();
    info.jobs.into_iter().map(|(job, ..)| job).collect()
}

fn resumed(job: JobId, delivered: Range<u64>) -> ResumedJob {
    let delivered = vec![(graticule_plan::LayerId(0), vec![delivered])];
    ResumedJob { job, delivered }
}

#[tokio::test]
async fn a_submission_that_is_said_again_is_the_same_job() {
    let (scheduler, _) = start(SchedulerOptions::default());
    let first = scheduler.open_client_with(TOKEN, false).await.unwrap();
    assert!(!first.is_known);
    first.say(submit(1, &plan(None, None))).await.unwrap();
    // Its answer is not heard.
    drop(first);
    let mut session = come_back(
        &scheduler,
        Resume {
            submissions: vec![1, 2],
            ..Resume::default()
        },
    )
    .await;
    for submission in [1, 2] {
        session.say(submit(submission, &plan(None, None))).await.unwrap();
    }
    let jobs = [answered(&mut session).await, answered(&mut session).await];
    assert_eq!(job_ids(&scheduler).await, jobs, "one for each number");
}

#[tokio::test]
async fn an_end_that_was_not_heard_is_told_again() {
    let (scheduler, _) = start(SchedulerOptions::default());
    let mut first = scheduler.open_client_with(TOKEN, false).await.unwrap();
    let unknown = plan(Some(Source::Held(Key(1))), None);
    first.say(submit(1, &unknown)).await.unwrap();
    let job = answered(&mut first).await;
    drop(first);
    for _ in 0..2 {
        let jobs = vec![resumed(job, 0..0), resumed(JobId(1000), 0..u64::MAX)];
        let resume = Resume {
            jobs,
            ..Resume::default()
        };
        let mut session = come_back(&scheduler, resume).await;
        let JobEvent::Failed { message } = end_of(&mut session, job).await else {
            panic!("it failed");
        };
        assert!(message.contains("no result is kept"), "{message}");
        // A job that never was does not leave its client waiting.
        let JobEvent::Failed { message } = end_of(&mut session, JobId(1000)).await else {
            panic!("it is not there");
        };
        assert!(message.contains("does not know this job"), "{message}");
    }
}

#[tokio::test]
async fn chunks_that_arrived_before_need_no_second_delivery() {
    let (scheduler, _) = start(SchedulerOptions::default());
    let mut first = scheduler.open_client_with(TOKEN, false).await.unwrap();
    first.say(submit(1, &plan(None, None))).await.unwrap();
    let job = answered(&mut first).await;
    drop(first);
    let resume = Resume {
        jobs: vec![resumed(job, 0..u64::MAX)],
        ..Resume::default()
    };
    let mut session = come_back(&scheduler, resume).await;
    assert_eq!(end_of(&mut session, job).await, JobEvent::Finished);
}

#[tokio::test]
async fn what_a_client_that_comes_back_does_not_name_ends() {
    let (scheduler, _) = start(SchedulerOptions::default());
    let mut first = scheduler.open_client_with(TOKEN, false).await.unwrap();
    for (submission, plan) in [
        (1, plan(None, None)),
        (2, plan(None, Some(KEY))),
        (3, plan(None, None)),
    ] {
        first.say(submit(submission, &plan)).await.unwrap();
    }
    let mut jobs = Vec::new();
    for _ in 0..3 {
        jobs.push(answered(&mut first).await);
    }
    let resume = Resume {
        jobs: vec![resumed(jobs[2], 0..0)],
        keys: vec![KEY],
        ..Resume::default()
    };
    let session = come_back(&scheduler, resume).await;
    assert_eq!(
        job_ids(&scheduler).await,
        jobs[1..],
        "one is named, one keeps what is named"
    );
    // The connection before is not closed yet, and what comes of it is late.
    first.say(ToCluster::Cancel { job: jobs[2] }).await.unwrap();
    first.say(ToCluster::Leave).await.unwrap();
    drop(first);
    assert_eq!(job_ids(&scheduler).await, jobs[1..]);
    session.say(ToCluster::Leave).await.unwrap();
    assert_eq!(job_ids(&scheduler).await, []);
}
