//! Why tasks are where they are: asked while somebody looks, and no more often than once a second for each task.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use graticule_dashboard::{
    Dashboard, DashboardHandle, DashboardOptions, EXPLAINED_COUNT_MAX, Explainer, Explanation,
    ExplanationLine, Feed, LayerInfo, Record,
};
use graticule_plan::{JobId, LayerId, TaskId, WorkerId};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

const DEADLINE: Duration = Duration::from_secs(20);

/// A name that would be a picture if it were taken for markup.
const HOSTILE: &str = "<img src=x onerror=alert(1)>";

/// Counts what it is asked, and has no answer for the last block.
#[derive(Debug, Default)]
struct Counting {
    asked: Mutex<BTreeMap<u64, u64>>,
}

const BLOCK_COUNT: u64 = 100;

impl Counting {
    fn count(&self, block: u64) -> u64 {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.get(&block).copied().unwrap_or(0)
    }
}

impl Explainer for Counting {
    fn explain(&self, task: TaskId) -> BoxFuture<'static, Option<Explanation>> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        *asked.entry(task.block).or_default() += 1;
        let line = |depth, task, text: &str| ExplanationLine {
            depth,
            task,
            text: text.into(),
        };
        let other = TaskId {
            layer: LayerId(1),
            ..task
        };
        let unknown = TaskId {
            job: JobId(77),
            ..task
        };
        let explanation = Explanation {
            lines: vec![
                line(0, Some(task), "waits for 2 inputs"),
                line(1, Some(other), HOSTILE),
                line(1, Some(unknown), "ready"),
                line(1, None, "and 9 more"),
            ],
            ran: Some((WorkerId(1), "ran on worker 1".into())),
        };
        let is_last = task.block + 1 == BLOCK_COUNT;
        async move { (!is_last).then_some(explanation) }.boxed()
    }
}

/// Never answers.
#[derive(Debug)]
struct Silent;

impl Explainer for Silent {
    fn explain(&self, _: TaskId) -> BoxFuture<'static, Option<Explanation>> {
        std::future::pending().boxed()
    }
}

async fn start() -> DashboardHandle {
    let (feed, receiver) = Feed::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
    let options = DashboardOptions::default();
    let handle = Dashboard::start(listener, receiver, options).expect("it starts");
    let layer = |name: &str| LayerInfo {
        name: name.into(),
        task_count: BLOCK_COUNT,
        chunk_bytes: 8,
        origin: None,
        plan: None,
    };
    let started = Record::JobStarted {
        job: JobId(1),
        name: "mosaic".into(),
        layers: Arc::new([layer("mean"), layer("read")]),
    };
    feed.record(1, started);
    let joined = Record::WorkerJoined {
        worker: WorkerId(1),
        name: "worker-1".into(),
        address: "127.0.0.1:1".into(),
        slots: 1,
        budget_bytes: 1,
    };
    feed.record(1, joined);
    // Until the tables know of it.
    while !look_at(&handle, "/api/blocks/0/0").await.0.contains("200") {
        tokio::task::yield_now().await;
    }
    handle
}

/// The head and the body of an answer.
async fn look_at(handle: &DashboardHandle, path: &str) -> (String, String) {
    let mut socket = TcpStream::connect(handle.address()).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    timeout(DEADLINE, socket.read_to_string(&mut answer))
        .await
        .expect("in time")
        .expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    (head.into(), body.into())
}

async fn status(handle: &DashboardHandle, block: u64) -> u16 {
    let (head, _) = look_at(handle, &format!("/api/reasons/0/{block}")).await;
    head.split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .expect("a status")
}

#[tokio::test]
async fn an_explanation_names_what_viewers_know_and_its_texts_are_text() {
    let handle = start().await;
    handle.ask_of(Arc::new(Counting::default()));
    let (_, body) = look_at(&handle, "/api/reasons/0/3").await;
    let told: Value = serde_json::from_str(&body).expect("JSON");
    let lines: Vec<_> = told["lines"]
        .as_array()
        .expect("lines")
        .iter()
        .map(|line| {
            (
                line["depth"].as_u64(),
                line["task"].to_string(),
                line["text"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            (Some(0), "[0,3]".into(), Some("waits for 2 inputs")),
            (Some(1), "[1,3]".into(), Some(HOSTILE)),
            (Some(1), "null".into(), Some("ready")),
            (Some(1), "null".into(), Some("and 9 more")),
        ]
    );
    assert_eq!(told["ran"]["worker"], 0);
    assert_eq!(told["ran"]["text"], "ran on worker 1");
    handle.shutdown().await;
}

#[tokio::test]
async fn nobody_is_asked_while_nobody_looks_and_once_a_second_for_all_who_do() {
    let handle = start().await;
    let counting = Arc::new(Counting::default());
    handle.ask_of(counting.clone());
    assert_eq!(counting.count(3), 0, "pages of other things ask nothing");
    let begun = Instant::now();
    let mut looks = 0;
    while begun.elapsed() < Duration::from_millis(2_500) {
        let all = (0..6).map(|_| status(&handle, 3));
        assert_eq!(futures::future::join_all(all).await, [200; 6]);
        looks += 6;
    }
    // At the beginning, and after each second.
    let asked = counting.count(3);
    assert!((2..=3).contains(&asked), "asked {asked} times for {looks} looks");
    assert!(looks > 60, "{looks}");
    assert_eq!(counting.count(4), 0, "nobody looks at another task");
    handle.shutdown().await;
}

#[tokio::test]
async fn so_many_tasks_are_asked_about_and_no_more_until_somebody_looks_away() {
    let handle = start().await;
    let counting = Arc::new(Counting::default());
    handle.ask_of(counting.clone());
    let most = EXPLAINED_COUNT_MAX as u64;
    for block in 0..most {
        assert_eq!(status(&handle, block).await, 200);
    }
    assert_eq!(status(&handle, most).await, 503);
    assert_eq!((status(&handle, 0).await, counting.count(most)), (200, 0));
    let begun = Instant::now();
    while status(&handle, most).await != 200 {
        assert!(
            begun.elapsed() < DEADLINE,
            "the others are not looked at any more"
        );
        tokio::task::yield_now().await;
    }
    handle.shutdown().await;
}

#[tokio::test]
async fn what_is_not_known_is_not_asked_and_what_has_no_answer_is_none() {
    let handle = start().await;
    assert_eq!(status(&handle, 0).await, 204, "there is nobody to ask");
    let counting = Arc::new(Counting::default());
    handle.ask_of(counting.clone());
    assert_eq!(status(&handle, BLOCK_COUNT).await, 204);
    assert_eq!(counting.count(BLOCK_COUNT), 0);
    assert_eq!(status(&handle, BLOCK_COUNT - 1).await, 204);
    assert_eq!(counting.count(BLOCK_COUNT - 1), 1);
    handle.shutdown().await;
}

#[tokio::test]
async fn one_who_never_answers_keeps_nobody_waiting_for_long() {
    let handle = start().await;
    handle.ask_of(Arc::new(Silent));
    let begun = Instant::now();
    let (silent, block) = tokio::join!(status(&handle, 0), look_at(&handle, "/api/blocks/0/0"));
    assert_eq!(silent, 204);
    assert!(block.0.contains("200") && begun.elapsed() < DEADLINE);
    // The dashboard ends though an answer is still awaited.
    let mut socket = TcpStream::connect(handle.address()).await.expect("it listens");
    let request = "GET /api/reasons/0/1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    socket.write_all(request.as_bytes()).await.expect("it reads");
    timeout(DEADLINE, handle.shutdown()).await.expect("in time");
}
