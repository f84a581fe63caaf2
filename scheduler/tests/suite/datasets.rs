//! Results with names: what a scheduler holds on to in the stead of clients that are gone.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::{sync::Arc, time::Duration};

use graticule_engine::scheduler::JobEvent;
use graticule_plan::{
    AxisChunks, AxisWindow, Body, ChunkGrid, Input, InputMap, JobId, Key, Layer, Output, Plan, PlanBuilder,
    Source,
};
use graticule_proto::{
    ClientToken, Dataset, DatasetAnswer, DatasetError, DatasetRequest, FromCluster, Resume, ToCluster,
};
use graticule_scheduler::{
    ClientSession, DATASET_BYTES_MAX, SchedulerHandle, SchedulerOptions, ServeOptions, serve, start,
};

const KEY: Key = Key(5);
const OTHER: Key = Key(6);

/// A plan that keeps its one layer, which is made of nothing or of a kept result.
fn plan(source: Option<Key>, keep: Key) -> Arc<Plan> {
    let mut plan = PlanBuilder::new();
    let grid = ChunkGrid::new(vec![AxisChunks::regular(3, 1).unwrap()]).unwrap();
    let input = |key| Input {
        source: Source::Held(key),
        map: InputMap::Product(vec![AxisWindow::Aligned { out_axis: 0 }]),
    };
    let body = Body::new(b"body".to_vec());
    let layer = Layer::new("layer", grid, 8, body, source.map(input).into_iter().collect());
    let layer = plan.layer(layer).unwrap();
    let keep = Some(keep);
    plan.output(Output { layer, keep }).unwrap();
    Arc::new(plan.finish())
}

async fn submit(session: &mut ClientSession, submission: u64, plan: Arc<Plan>) -> JobId {
    let name = "job".into();
    let message = ToCluster::Submit {
        submission,
        name,
        plan,
    };
    session.say(message).await.unwrap();
    loop {
        let next = tokio::time::timeout(Duration::from_secs(30), session.events.recv());
        if let FromCluster::Submitted { job, .. } = next.await.unwrap().unwrap() {
            return job.unwrap();
        }
    }
}

/// Whether a job that was just submitted was refused.
async fn is_refused(session: &mut ClientSession, job: JobId) -> bool {
    loop {
        let next = tokio::time::timeout(Duration::from_secs(30), session.events.recv());
        match next.await.unwrap().unwrap() {
            FromCluster::Job { job: of, event } if of == job => match event {
                JobEvent::Accepted => return false,
                JobEvent::Failed { message } => {
                    assert!(message.contains("no result is kept"), "{message}");
                    return true;
                }
                _ => {}
            },
            _ => {}
        }
    }
}

fn publish(name: &str, keys: &[Key]) -> DatasetRequest {
    let (name, content, keys) = (name.into(), b"what it is".as_slice().into(), keys.to_vec());
    DatasetRequest::Publish {
        dataset: Dataset { name, content, keys },
        replaces: false,
    }
}

async fn ask(scheduler: &SchedulerHandle, request: DatasetRequest) -> Result<DatasetAnswer, DatasetError> {
    scheduler.dataset(request).await.unwrap()
}

async fn unpublish(scheduler: &SchedulerHandle, name: &str) {
    let name = name.into();
    ask(scheduler, DatasetRequest::Unpublish { name }).await.unwrap();
}

/// The jobs that run, once all that was said before has had its effect.
async fn jobs(scheduler: &SchedulerHandle) -> Vec<JobId> {
    ask(scheduler, DatasetRequest::Names).await.unwrap();
    scheduler.info().await.unwrap();
    let info = scheduler.info().await.unwrap();
    info.jobs.into_iter().map(|(job, ..)| job).collect()
}

#[tokio::test]
async fn what_is_published_outlives_its_client_and_all_else_of_it_ends() {
    let (scheduler, _) = start(SchedulerOptions::default());
    let mut publisher = scheduler.open_client_with(ClientToken(1), false).await.unwrap();
    let job = submit(&mut publisher, 1, plan(None, KEY)).await;
    submit(&mut publisher, 2, plan(None, OTHER)).await;
    ask(&scheduler, publish("sst", &[KEY])).await.unwrap();
    publisher.say(ToCluster::Leave).await.unwrap();
    assert_eq!(jobs(&scheduler).await, [job], "it is still being made");
    let mut reader = scheduler.open_client_with(ClientToken(2), false).await.unwrap();
    let known = ask(&scheduler, DatasetRequest::Content { name: "sst".into() }).await;
    assert_eq!(known.unwrap().content, "what it is");
    let reading = submit(&mut reader, 1, plan(Some(KEY), Key(7))).await;
    assert!(!is_refused(&mut reader, reading).await);
    reader.say(ToCluster::ReleaseKey { key: Key(7) }).await.unwrap();
    unpublish(&scheduler, "sst").await;
    assert!(jobs(&scheduler).await.is_empty(), "nobody keeps it any more");
    let late = submit(&mut reader, 2, plan(Some(KEY), Key(8))).await;
    assert!(is_refused(&mut reader, late).await);
}

#[tokio::test]
async fn a_published_result_that_its_client_lets_go_is_kept_until_its_last_name_is_gone() {
    let (scheduler, _) = start(SchedulerOptions::default());
    let mut publisher = scheduler.open_client_with(ClientToken(1), false).await.unwrap();
    let job = submit(&mut publisher, 1, plan(None, KEY)).await;
    ask(&scheduler, publish("a", &[KEY])).await.unwrap();
    ask(&scheduler, publish("b", &[KEY])).await.unwrap();
    publisher.say(ToCluster::ReleaseKey { key: KEY }).await.unwrap();
    // What a client says of a job that it has let go of before it was done.
    publisher.say(ToCluster::Cancel { job }).await.unwrap();
    assert_eq!(jobs(&scheduler).await, [job]);
    unpublish(&scheduler, "a").await;
    assert_eq!(jobs(&scheduler).await, [job], "the other name is left");
    unpublish(&scheduler, "b").await;
    assert!(jobs(&scheduler).await.is_empty());
    // One that its client still has stays its client's.
    let job = submit(&mut publisher, 2, plan(None, OTHER)).await;
    ask(&scheduler, publish("c", &[OTHER])).await.unwrap();
    unpublish(&scheduler, "c").await;
    assert_eq!(jobs(&scheduler).await, [job]);
}

#[tokio::test]
async fn names_that_cannot_be_are_refused_and_say_why() {
    let (scheduler, _) = start(SchedulerOptions::default());
    let mut publisher = scheduler.open_client_with(ClientToken(1), false).await.unwrap();
    submit(&mut publisher, 1, plan(None, KEY)).await;
    ask(&scheduler, publish("sst", &[KEY])).await.unwrap();
    let why = |request| {
        let scheduler = &scheduler;
        async move { ask(scheduler, request).await.unwrap_err().to_string() }
    };
    assert!(why(publish("sst", &[KEY])).await.contains("override=True"));
    assert!(why(publish("t", &[Key(9)])).await.contains("persist it"));
    assert!(why(publish("", &[])).await.contains("1 to"));
    assert!(why(publish(&"n".repeat(300), &[])).await.contains("300"));
    let name = "sts".into();
    assert!(
        why(DatasetRequest::Content { name })
            .await
            .ends_with("there are sst")
    );
    let mut large = publish("large", &[]);
    if let DatasetRequest::Publish { dataset, .. } = &mut large {
        dataset.content = vec![0; DATASET_BYTES_MAX + 1].into();
    }
    assert!(why(large).await.contains("persist its arrays"));
    let names = ask(&scheduler, DatasetRequest::Names).await.unwrap().names;
    assert_eq!(names, ["sst".into()], "none of them was published");
}

#[tokio::test]
async fn published_results_outlive_the_scheduler_if_it_has_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let options = ServeOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        dashboard: None,
        journal: Some(folder.path().into()),
        client_grace_us: 0,
        worker_return_us: 0,
        ..ServeOptions::default()
    };
    let served = serve(options.clone()).await.unwrap();
    let scheduler = served.scheduler.clone();
    let mut publisher = scheduler.open_client_with(ClientToken(1), false).await.unwrap();
    let job = submit(&mut publisher, 1, plan(None, KEY)).await;
    ask(&scheduler, publish("sst", &[KEY])).await.unwrap();
    ask(&scheduler, publish("gone", &[])).await.unwrap();
    unpublish(&scheduler, "gone").await;
    drop((publisher, scheduler));
    served.shutdown().await;
    let served = serve(options).await.unwrap();
    let scheduler = served.scheduler.clone();
    let names = ask(&scheduler, DatasetRequest::Names).await.unwrap().names;
    assert_eq!(names, ["sst".into()]);
    // Its client is given up at once, as it does not come back.
    let back = scheduler.open_client_with(ClientToken(2), false).await.unwrap();
    back.say(ToCluster::Resume(Resume::default())).await.unwrap();
    assert_eq!(jobs(&scheduler).await, [job]);
    unpublish(&scheduler, "sst").await;
    while !jobs(&scheduler).await.is_empty() {
        tokio::task::yield_now().await;
    }
    served.shutdown().await;
}
