//! The embedded cluster, as a user meets it.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::StreamExt;
use graticule_array::{Array, Chunks, Over};
use graticule_client::{
    About, AdaptOptions, AdaptRules, Client, ClientError, Happening, LocalOptions, RunOptions, Standing,
    Subject,
};
use graticule_ops::{ArraySource, Grid, OnError, RasterAsset, RasterStack, Resampling};
use graticule_plan::{ChunkGrid, DType};

const PATIENCE: Duration = Duration::from_secs(30);

fn numbers(len: u64, chunk: u64) -> Array {
    Array::arange(0.0, len as f64, 1.0, DType::Int64, Chunks::Size(chunk)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn several_arrays_of_one_plan_come_back_in_the_order_they_were_asked_for() {
    let client = Client::local().await.unwrap();
    let x = numbers(1000, 7);
    let (sum, twice) = (x.sum(&Over::all()).unwrap(), x.multiply(2).unwrap());
    let results = client.compute_many(&[&sum, &twice, &sum]).await.unwrap();
    assert_eq!(results[0].as_slice::<i64>().unwrap(), [499_500]);
    assert_eq!(
        results[1].as_slice::<i64>().unwrap(),
        (0..1000).map(|i| 2 * i).collect::<Vec<_>>()
    );
    assert_eq!(results[2], results[0]);
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_result_tells_where_it_was_made_and_a_worker_what_it_did() {
    let client = Client::local().await.unwrap();
    let kept = client.persist(&numbers(100, 10)).await.unwrap();
    kept.wait().await.unwrap();
    let answer = client.why("1/0/3".parse().unwrap()).await.unwrap();
    let About::Task(why) = &answer.about else {
        panic!("{answer}");
    };
    let Standing::Held { holders, bytes, .. } = &why.standing else {
        panic!("{answer}");
    };
    assert_eq!((holders.len(), *bytes), (1, 80));
    let (worker, _) = answer.ran.expect("it was made a moment ago");
    assert_eq!(holders[0], worker);
    let told: Vec<_> = answer.story.iter().map(|(_, happening)| happening).collect();
    assert!(
        matches!(told[..], [Happening::Leased { .. }, Happening::Finished { .. }]),
        "{answer}"
    );
    let of_worker = client.why(Subject::Worker(worker)).await.unwrap();
    let About::Worker(why) = &of_worker.about else {
        panic!("{of_worker}");
    };
    assert_eq!(why.held_count, 10);
    assert_eq!(
        of_worker.story.len(),
        1 + 2 * 10,
        "it joined, and each task was leased and finished"
    );
    assert_eq!(
        client.why("local-0".parse().unwrap()).await.unwrap().story,
        of_worker.story
    );
    let unknown = client.why("job-1".parse().unwrap()).await.unwrap_err();
    assert!(unknown.to_string().contains("lacks nothing"), "{unknown}");
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_workers_give_the_same_bytes_as_one() {
    let x = Array::arange(0.0, 10_000.0, 0.3, DType::Float64, Chunks::Size(100)).unwrap();
    let mean = x.sin().unwrap().mean(&Over::all()).unwrap();
    let mut bytes = BTreeSet::new();
    for worker_count in 1..=3 {
        let options = LocalOptions {
            worker_count,
            slots: Some(2),
            ..LocalOptions::default()
        };
        let client = Client::local_with(&options).await.unwrap();
        bytes.insert(client.compute(&mean).await.unwrap().bytes().to_vec());
        client.close().await;
    }
    assert_eq!(bytes.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_gives_each_block_once() {
    let client = Client::local().await.unwrap();
    let x = Array::ones(&[50, 40], &[Chunks::Size(9), Chunks::Size(11)], DType::Float32).unwrap();
    let mut stream = client.stream(&x.add(1.0).unwrap()).await.unwrap();
    let (mut seen, mut elements) = (BTreeSet::new(), 0);
    while let Some(block) = stream.next().await {
        let block = block.unwrap();
        assert!(seen.insert(block.block), "block {} came twice", block.block);
        assert_eq!(x.chunks().extents(block.block), block.extents);
        elements += block.tensor.len();
        assert!(block.tensor.as_slice::<f32>().unwrap().iter().all(|&v| v == 2.0));
    }
    assert_eq!((seen.len() as u64, elements), (x.chunks().block_count(), 2000));
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_are_not_wanted_yet_come_later() {
    let client = Client::local().await.unwrap();
    let x = numbers(100, 10);
    let mut job = client.start(&[&x], &RunOptions::default()).await.unwrap();
    let mut order = Vec::new();
    while let Some(block) = job
        .next_block_where(|_, block| block == order.len() as u64)
        .await
        .unwrap()
    {
        order.push(block.block);
    }
    assert_eq!(order, (0..10).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_array_is_used_again_and_gone_with_its_last_handle() {
    let client = Client::local().await.unwrap();
    let kept = client.persist(&numbers(100, 10)).await.unwrap();
    let array = kept.array().clone();
    let early = client.compute(&array.sum(&Over::all()).unwrap()).await.unwrap();
    assert_eq!(early.as_slice::<i64>().unwrap(), [4950]);
    let clone = kept.clone();
    drop(kept);
    clone.wait().await.unwrap();
    let max = client.compute(&array.max(&Over::all()).unwrap()).await.unwrap();
    assert_eq!(max.as_slice::<i64>().unwrap(), [99]);
    drop(clone);
    let error = client
        .compute(&array.min(&Over::all()).unwrap())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ClientError::Failed { .. } | ClientError::Refused { .. }),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_dropped_is_cancelled_and_the_cluster_lives() {
    let client = Client::local().await.unwrap();
    let x = Array::ones(&[1 << 20], &[Chunks::Size(1 << 10)], DType::Float64).unwrap();
    // Nobody reads, so the job cannot end by itself.
    let job = client.start(&[&x], &RunOptions::default()).await.unwrap();
    assert_eq!(client.info().await.unwrap().jobs.len(), 1);
    drop(job);
    let gone = async {
        while !client.info().await.unwrap().jobs.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    assert_eq!(client.compute(&numbers(3, 3)).await.unwrap().len(), 3);
    let job = client.start(&[&x], &RunOptions::default()).await.unwrap();
    tokio::time::timeout(PATIENCE, job.cancel()).await.unwrap();
    assert!(client.info().await.unwrap().jobs.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_ends_with_all_tasks_finished() {
    let client = Client::local().await.unwrap();
    let job = client
        .start(&[&numbers(100, 10)], &RunOptions::default())
        .await
        .unwrap();
    let (tasks, progress) = (job.task_count(), job.progress());
    job.gather().await.unwrap();
    let all = tokio::time::timeout(PATIENCE, progress.collect::<Vec<_>>())
        .await
        .unwrap();
    let last = all.last().unwrap();
    assert_eq!((last.task_count(), last.finished_count()), (tasks, tasks));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_does_not_fit_is_refused_before_anything_runs() {
    let client = Client::local().await.unwrap();
    let huge = Array::zeros(&[1 << 44], &[Chunks::Size(1 << 30)], DType::Float64).unwrap();
    let error = client.compute(&huge).await.unwrap_err();
    assert!(matches!(error, ClientError::ResultTooLarge { .. }), "{error}");
    assert!(client.info().await.unwrap().jobs.is_empty());
}

/// One scene of one band, in a file that is not there.
fn missing_file(on_error: OnError) -> Array {
    let grid = Grid {
        transform: [10.0, 0.0, 0.0, 0.0, -10.0, 0.0],
        height: 4,
        width: 4,
        epsg: Some(32633),
    };
    let asset = RasterAsset {
        href: "file:///nowhere/scene.tif".into(),
        item: "the-item".into(),
        asset: "red".into(),
        band: 0,
        grid: grid.clone(),
        nodata: None,
        scale: 1.0,
        offset: 0.0,
    };
    let source = ArraySource::Raster(RasterStack {
        grid,
        band_count: 1,
        slots: vec![vec![asset]],
        fill: vec![f64::NAN],
        resampling: Resampling::Nearest,
        on_error,
    });
    Array::from_source(&source, DType::Float32, &ChunkGrid::whole(&[1, 1, 4, 4]).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_missing_fails_the_job_by_name() {
    let client = Client::local().await.unwrap();
    let missing = missing_file(OnError::Raise);
    let computed = tokio::time::timeout(PATIENCE, client.compute(&missing));
    let message = computed.await.unwrap().unwrap_err().to_string();
    for part in ["the-item", "red", "/nowhere/scene.tif"] {
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_reads_leave_out_comes_with_the_result() {
    let client = Client::local().await.unwrap();
    let results = client
        .compute_with(&[&missing_file(OnError::Nodata)], &RunOptions::default())
        .await
        .unwrap();
    assert!(
        results.tensors[0]
            .as_slice::<f32>()
            .unwrap()
            .iter()
            .all(|v| v.is_nan())
    );
    assert_eq!(results.problems.len(), 1);
    assert!(results.problems[0].contains("the-item"), "{:?}", results.problems);
}

/// What an array keeps is there until what is made of it is, though the array itself is gone, and no longer.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_kept_array_is_made_of_lives_until_it_is_made() {
    let client = Client::local_with(&LocalOptions {
        worker_count: 0,
        ..LocalOptions::default()
    })
    .await
    .unwrap();
    let source = Arc::new("what tasks read");
    let read = numbers(100, 10).keeping(source.clone());
    let kept = client.persist(&read.add(1).unwrap()).await.unwrap();
    let job = client.start(&[&read], &RunOptions::default()).await.unwrap();
    drop(read);
    assert_eq!(
        Arc::strong_count(&source),
        2,
        "of this test, and of the array that jobs have"
    );
    drop((kept, job));
    let begun = std::time::Instant::now();
    while Arc::strong_count(&source) > 1 {
        assert!(
            begun.elapsed() < PATIENCE,
            "jobs that are over keep what they read"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    client.close().await;
}

#[test]
fn the_blocking_client_does_the_same() {
    let client = graticule_client::blocking::Client::local().unwrap();
    let x = numbers(20, 6);
    let blocks: Vec<_> = client.stream(&x).unwrap().map(Result::unwrap).collect();
    assert_eq!(blocks.iter().map(|b| b.tensor.len()).sum::<usize>(), 20);
    let kept = client.persist(&x).unwrap();
    kept.wait().unwrap();
    assert_eq!(client.compute(kept.array()).unwrap(), client.compute(&x).unwrap());
    client.close();
}

/// Asks until as many workers are there as `holds` says; each question lets others run.
async fn wait_for_workers(client: &Client, holds: impl Fn(usize) -> bool) {
    let begun = std::time::Instant::now();
    loop {
        let info = client.info().await.unwrap();
        if holds(info.workers.len()) {
            return;
        }
        assert!(begun.elapsed() < 2 * PATIENCE, "{info:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedded_cluster_grows_under_load_shrinks_after_it_and_loses_nothing() {
    let millis = Duration::from_millis;
    let adapt = AdaptOptions {
        interval: millis(10),
        rules: AdaptRules {
            finish_us: 50_000,
            idle_us: 50_000,
            surplus_us: 100_000,
            after_start_us: 100_000,
            ..AdaptRules::default()
        },
        start: millis(5),
        ..AdaptOptions::new(1..=3)
    };
    let options = LocalOptions {
        slots: Some(1),
        budget_bytes: Some(256 << 20),
        adapt: Some(adapt),
        ..LocalOptions::default()
    };
    let client = Client::local_with(&options).await.unwrap();
    wait_for_workers(&client, |count| count == 1).await;
    let x = Array::arange(0.0, 4e6, 1.0, DType::Float64, Chunks::Size(20_000)).unwrap();
    let sines = x.sin().unwrap();
    let kept = client.persist(&sines.sin().unwrap()).await.unwrap();
    wait_for_workers(&client, |count| count == 3).await;
    kept.wait().await.unwrap();
    wait_for_workers(&client, |count| count == 1).await;
    // What the two that left held is here, and was not made again.
    let sum = client
        .compute(&kept.array().sum(&Over::all()).unwrap())
        .await
        .unwrap();
    let plain = Client::local().await.unwrap();
    let want = plain
        .compute(&sines.sin().unwrap().sum(&Over::all()).unwrap())
        .await
        .unwrap();
    assert_eq!(sum.as_slice::<f64>(), want.as_slice::<f64>());
    assert_eq!(client.info().await.unwrap().remade_count, 0);
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_client_keeps_is_refused_with_the_names_of_both() {
    let (here, there) = (Client::local().await.unwrap(), Client::local().await.unwrap());
    let kept = there.persist(&numbers(10, 5)).await.unwrap();
    let next = kept.array().add(1).unwrap();
    let refused = here.compute(&next).await.unwrap_err();
    assert!(matches!(refused, ClientError::OtherClient { .. }), "{refused}");
    assert!(refused.to_string().contains("by the client that persisted it"));
    assert_eq!(
        there.compute(&next).await.unwrap().as_slice::<i64>().unwrap()[0],
        1
    );
    here.close().await;
    there.close().await;
}
