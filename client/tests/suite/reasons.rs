//! The dashboard's answer to why a task is where it is, against that of the scheduler itself.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::time::Duration;

use graticule_array::{Array, Chunks, Over};
use graticule_client::{CallOptions, Client, LocalOptions, Registry, Value};
use serde_json::Value as Json;

use super::moved::get;

const HOSTILE: &str = "<img src=x onerror=alert(1)>";

async fn json(client: &Client, path: &str) -> Json {
    serde_json::from_slice(&get(client, path).await).unwrap()
}

/// Looks until the dashboard says what is expected.
async fn until(client: &Client, path: &str, is_so: impl Fn(&Json) -> bool) -> Json {
    let mut turn = tokio::time::interval(Duration::from_millis(50));
    let mut last = Json::Null;
    for _ in 0..400 {
        turn.tick().await;
        last = json(client, path).await;
        if is_so(&last) {
            return last;
        }
    }
    panic!("the dashboard never said it: {last}");
}

/// The key of the layer of a name, and the task's name for the scheduler.
async fn layer(client: &Client, name: &str) -> (u64, String) {
    let named = |told: &Json| {
        let layers = told["layers"].as_array().unwrap().clone();
        layers.into_iter().find(|it| it["name"] == name)
    };
    let told = until(client, "api/snapshot", |told| named(told).is_some()).await;
    let layer = named(&told).unwrap();
    let jobs = told["jobs"].as_array().unwrap();
    let job = jobs.iter().find(|it| it["k"] == layer["job"]).unwrap();
    let task = format!("{}/{}/0", job["id"].as_str().unwrap(), layer["layer"]);
    (layer["k"].as_u64().unwrap(), task)
}

fn options() -> LocalOptions {
    let mut functions = Registry::new();
    functions.function(HOSTILE, |inputs| Ok(inputs[0].clone()));
    LocalOptions {
        slots: Some(1),
        functions,
        dashboard: Some(([127, 0, 0, 1], 0).into()),
        ..LocalOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_asks_for_what_no_worker_has_says_so_in_the_words_of_the_scheduler() {
    let client = Client::local_with(&options()).await.unwrap();
    let wants = CallOptions::new().resource("GPU", 1);
    let waits = client.submit_with(HOSTILE, [1_i64], &wants).unwrap();
    let (key, task) = layer(&client, HOSTILE).await;
    let path = format!("api/reasons/{key}/0");
    let told = until(&client, &path, |told| told["lines"][0]["text"].is_string()).await;
    let text = told["lines"][0]["text"].as_str().unwrap();
    let why = client.why(task.parse().unwrap()).await.unwrap();
    assert_eq!(
        why.to_string().lines().next().unwrap(),
        format!("{task} ({HOSTILE}): {text}")
    );
    assert!(text.contains("of 1 worker 1 lacks what it asks for"), "{text}");
    assert_eq!(told["ran"], Json::Null);
    waits.cancel();
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_waits_for_another_names_it_and_one_that_is_done_says_where_it_ran() {
    let client = Client::local_with(&options()).await.unwrap();
    let wants = CallOptions::new().resource("GPU", 1);
    let first = client.submit_with(HOSTILE, [1_i64], &wants).unwrap();
    let second = client.submit(HOSTILE, [&first]).unwrap();
    let (key, _) = layer(&client, HOSTILE).await;
    let told = until(&client, "api/snapshot", |told| {
        told["layers"].as_array().unwrap().len() > 1
    })
    .await;
    let layers = told["layers"].as_array().unwrap();
    let other = layers.iter().find(|it| it["k"] != key).unwrap();
    let other = other["k"].as_u64().unwrap();
    let lines = |told: &Json| told["lines"].as_array().map_or(0, Vec::len);
    let told = until(&client, &format!("api/reasons/{other}/0"), |told| lines(told) > 1).await;
    assert_eq!(told["lines"][0]["text"], "waits for an input");
    assert_eq!(
        (told["lines"][1]["depth"].as_u64(), &told["lines"][1]["task"]),
        (Some(1), &serde_json::json!([key, 0]))
    );
    first.cancel();
    drop((first, second));

    let ones = Array::from_slice(&[4], &[Chunks::Size(2)], &[1.0, 1.0, 1.0, 1.0]).unwrap();
    let kept = client.persist(&ones.sum(&Over::all()).unwrap()).await.unwrap();
    kept.wait().await.unwrap();
    let told = until(&client, "api/snapshot", |told| {
        let layers = told["layers"].as_array().unwrap();
        layers
            .iter()
            .any(|it| it["name"].as_str().unwrap().contains("sum") && it["done"] == it["total"])
    })
    .await;
    let layers = told["layers"].as_array().unwrap();
    let sum = layers
        .iter()
        .rfind(|it| it["name"].as_str().unwrap().contains("sum"))
        .unwrap();
    let path = format!("api/reasons/{}/0", sum["k"]);
    let told = until(&client, &path, |told| told["ran"]["text"].is_string()).await;
    let ran = told["ran"]["text"].as_str().unwrap();
    assert!(ran.contains("no other holds more of its inputs"), "{ran}");
    let (_, task) = layer(&client, sum["name"].as_str().unwrap()).await;
    let why = client.why(task.parse().unwrap()).await.unwrap();
    assert!(why.to_string().contains(ran), "{why}");
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_ends_though_its_dashboard_is_asked() {
    let client = Client::local_with(&options()).await.unwrap();
    let done = client.submit(HOSTILE, [Value::from(1_i64)]).unwrap();
    done.wait().await.unwrap();
    let (key, _) = layer(&client, HOSTILE).await;
    get(&client, &format!("api/blocks/{key}/0")).await;
    tokio::time::timeout(Duration::from_secs(30), client.close())
        .await
        .unwrap();
}
