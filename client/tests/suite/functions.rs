//! Users' functions: submit, map, futures, graphs that grow while they run.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
        mpsc,
    },
    task::Poll,
    time::Duration,
};

use graticule_client::{
    Arg, CallOptions, Client, ClientError, Future, LocalOptions, Registry, ScatterOptions, Value,
};
use graticule_plan::Resource;
use graticule_worker::{ServeOptions as WorkerServeOptions, WorkerOptions};

const PATIENCE: Duration = Duration::from_secs(120);
const ANYWHERE: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

async fn in_time<T>(work: impl std::future::Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work)
        .await
        .expect("within the patience")
}

fn number(value: &Value) -> i64 {
    value.number::<i64>().unwrap()
}

fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.quick_function("square", |inputs| Ok(Value::from(number(&inputs[0]).pow(2))));
    registry.function("add_one", |inputs| Ok(Value::from(number(&inputs[0]) + 1)));
    registry.function("sum", |inputs| {
        Ok(Value::from(inputs.iter().map(number).sum::<i64>()))
    });
    registry.function("word_count", |inputs| {
        let text = inputs[0].text().ok_or("the first argument must be text")?;
        Ok(Value::from(text.split_whitespace().count() as i64))
    });
    registry.function("zeros", |inputs| {
        Ok(Value::from(vec![0_u8; number(&inputs[0]) as usize]))
    });
    registry.function("len", |inputs| {
        Ok(Value::from(inputs.iter().map(|v| v.nbytes() as i64).sum::<i64>()))
    });
    registry.function("fail", |_| {
        let why = std::io::Error::other("the disk is on fire");
        Err(Box::new(graticule_worker::WorkerError::System {
            what: "read the sensor",
            why,
        }))
    });
    registry.function("panic", |_| panic!("out of cheese"));
    registry
}

async fn local(functions: Registry) -> Client {
    local_with(LocalOptions {
        functions,
        ..LocalOptions::default()
    })
    .await
}

async fn local_with(options: LocalOptions) -> Client {
    Client::local_with(&options).await.unwrap()
}

async fn wait_until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(tokio::time::Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Bytes that the workers hold, as they said last.
async fn held_bytes(client: &Client) -> u64 {
    let workers = client.info().await.unwrap().workers;
    let held = workers
        .iter()
        .map(|worker| worker.status.memory_bytes + worker.status.spilled_bytes);
    held.sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_take_values_and_futures_and_give_values() {
    let client = local(registry()).await;
    let words = client.submit("word_count", ["one two three"]).unwrap();
    let more = client
        .submit("sum", [Arg::from(&words), Arg::from(4_i64), Arg::from(&words)])
        .unwrap();
    assert_eq!(number(&in_time(more.result()).await.unwrap()), 10);
    assert_eq!(number(&in_time(words.result()).await.unwrap()), 3);
    let squares = client.map("square", 0..1000_i64).unwrap();
    let sum = client.submit("sum", &squares).unwrap();
    let want: i64 = (0..1000).map(|n: i64| n * n).sum();
    assert_eq!(number(&in_time(sum.result()).await.unwrap()), want);
    let gathered = in_time(client.gather(&squares)).await.unwrap();
    assert!(gathered.iter().map(number).eq((0..1000).map(|n| n * n)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_grows_while_its_first_call_runs() {
    let (go, gone) = mpsc::channel::<()>();
    let (began, begun) = mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let mut functions = registry();
    functions.function("wait", move |inputs| {
        began.send(()).unwrap();
        gone.lock().unwrap().recv().unwrap();
        Ok(inputs[0].clone())
    });
    let client = local(functions).await;
    let first = client.submit("wait", [1_i64]).unwrap();
    tokio::task::spawn_blocking(move || begun.recv_timeout(PATIENCE).unwrap())
        .await
        .unwrap();
    assert!(!first.is_done());
    let mut last = first.clone();
    for _ in 0..50 {
        last = client.submit("add_one", [&last]).unwrap();
    }
    go.send(()).unwrap();
    assert_eq!(number(&in_time(last.result()).await.unwrap()), 51);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_of_twenty_thousand_calls_adds_up() {
    let client = local(registry()).await;
    let mut level = client.map("add_one", 0..10_000_i64).unwrap();
    let mut calls = level.len();
    while level.len() > 1 {
        let pairs = level.chunks(2).map(|pair| client.submit("sum", pair).unwrap());
        level = pairs.collect();
        calls += level.len();
    }
    assert!(calls >= 20_000, "{calls}");
    let want: i64 = (1..=10_000).sum();
    assert_eq!(number(&in_time(level[0].result()).await.unwrap()), want);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_may_be_made_of_what_the_one_before_gave() {
    let client = local(registry()).await;
    let mut value = 0_i64;
    for _ in 0..300 {
        let call = client.submit("add_one", [value]).unwrap();
        value = number(&in_time(call.result()).await.unwrap());
    }
    assert_eq!(value, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_told_with_its_causes_and_where_it_happened() {
    let client = local(registry()).await;
    let bad = client.submit("fail", [1_i64]).unwrap();
    let good = client.submit("square", [3_i64]).unwrap();
    let after = client.submit("sum", [&bad, &good]).unwrap();
    let last = client.submit("add_one", [&after]).unwrap();
    let told = in_time(bad.result()).await.unwrap_err().to_string();
    for part in ["fail (call", "read the sensor", "the disk is on fire", "local-0"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    for (call, name) in [(after, "sum"), (last, "add_one")] {
        let told = in_time(call.result()).await.unwrap_err().to_string();
        assert!(told.starts_with(name) && told.contains("in fail (call"), "{told}");
    }
    assert_eq!(
        number(&in_time(good.result()).await.unwrap()),
        9,
        "others are none the worse"
    );
    let panicked = client.submit("panic", [0_i64]).unwrap();
    let told = in_time(panicked.result()).await.unwrap_err().to_string();
    assert!(told.contains("out of cheese"), "{told}");
    // What failed before is found to have failed by calls that come later.
    let late = client.submit("sum", [&bad]).unwrap();
    let told = in_time(late.result()).await.unwrap_err().to_string();
    assert!(told.contains("the disk is on fire"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_tried_again_as_often_as_it_was_said() {
    let tries = Arc::new(AtomicU32::new(0));
    let mut functions = registry();
    let counted = tries.clone();
    functions.function("flaky", move |_| match counted.fetch_add(1, Ordering::Relaxed) {
        0..2 => Err("not yet".into()),
        _ => Ok(Value::from("at last")),
    });
    let client = local(functions).await;
    let once = client.submit("flaky", [0_i64]).unwrap();
    assert!(
        in_time(once.result())
            .await
            .unwrap_err()
            .to_string()
            .contains("not yet")
    );
    tries.store(0, Ordering::Relaxed);
    let options = CallOptions::new().retries(2);
    let thrice = client.submit_with("flaky", [0_i64], &options).unwrap();
    assert_eq!(in_time(thrice.result()).await.unwrap().text(), Some("at last"));
    assert_eq!(tries.load(Ordering::Relaxed), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_nobody_knows_is_an_error_at_once() {
    let client = local(registry()).await;
    let error = client.submit("cube", [1_i64]).unwrap_err();
    assert!(matches!(error, ClientError::UnknownFunction { .. }));
    let told = error.to_string();
    assert!(
        told.contains("\"cube\"") && told.contains("square") && told.contains("word_count"),
        "{told}"
    );
    let large = client.submit("len", [vec![0_u8; 9 << 20]]).unwrap_err();
    assert!(large.to_string().contains("scatter"), "{large}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_calls_and_those_that_need_them_end() {
    let client = local_with(LocalOptions {
        functions: registry(),
        resources: Vec::new(),
        ..LocalOptions::default()
    })
    .await;
    // It waits for ever for what no worker has.
    let options = CallOptions::new().resource("GPU", 1);
    let first = client.submit_with("add_one", [1_i64], &options).unwrap();
    let second = client.submit("add_one", [&first]).unwrap();
    let sent = client.submit("square", [2_i64]).unwrap();
    in_time(sent.wait()).await.unwrap();
    first.cancel();
    assert!(matches!(
        in_time(first.result()).await,
        Err(ClientError::Cancelled)
    ));
    let told = in_time(second.result()).await.unwrap_err().to_string();
    assert!(told.contains("cancelled"), "{told}");
    // One that most likely never went out.
    let third = client.submit_with("square", [1_i64], &options).unwrap();
    third.cancel();
    let fourth = client.submit("square", [&third]).unwrap();
    assert!(in_time(fourth.result()).await.is_err());
}

/// Lets the tasks go on that are to run by now, and no others.
async fn let_others_run() {
    let mut has_waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_cancelled_at_any_step_on_its_way_out_ends_with_those_that_need_it() {
    let client = local_with(LocalOptions {
        functions: registry(),
        resources: Vec::new(),
        ..LocalOptions::default()
    })
    .await;
    // On a single thread the tasks that make the plan and send it take a step each time that this one lets them.
    let calls = tokio::spawn(async move {
        // It would wait for ever for what no worker has.
        let options = CallOptions::new().resource("GPU", 1);
        for steps in 0..24 {
            let never = client.submit_with("square", [1_i64], &options).unwrap();
            for _ in 0..steps {
                let_others_run().await;
            }
            never.cancel();
            let needs_it = client.submit("square", [&never]).unwrap();
            assert!(in_time(needs_it.result()).await.is_err(), "after {steps} steps");
        }
    });
    calls.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_clone_that_is_dropped_releases_the_result() {
    let client = local(registry()).await;
    let large = client.submit("zeros", [1_i64 << 20]).unwrap();
    let clone = large.clone();
    assert_eq!(in_time(large.result()).await.unwrap().nbytes(), 1 << 20);
    drop(large);
    let len = client.submit("len", [&clone, &clone]).unwrap();
    assert_eq!(number(&in_time(len.result()).await.unwrap()), 2 << 20);
    wait_until("held", async || held_bytes(&client).await >= 1 << 20).await;
    drop(clone);
    wait_until("released", async || held_bytes(&client).await < 1 << 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_larger_than_anybody_said_go_to_disk_and_none_is_lost() {
    let client = local_with(LocalOptions {
        functions: registry(),
        budget_bytes: Some(16 << 20),
        ..LocalOptions::default()
    })
    .await;
    let large = client.map("zeros", vec![2_i64 << 20; 24]).unwrap();
    for future in &large {
        in_time(future.wait()).await.unwrap();
    }
    wait_until("something is on disk", async || {
        let workers = client.info().await.unwrap().workers;
        workers[0].status.spilled_bytes > 0 && workers[0].status.memory_bytes <= 16 << 20
    })
    .await;
    let lens = large.iter().map(|future| client.submit("len", [future]).unwrap());
    let lens: Vec<Future> = lens.collect();
    let lens = in_time(client.gather(&lens)).await.unwrap();
    assert!(lens.iter().all(|len| number(len) == 2 << 20));
}

/// Bytes that calls make at this moment, the most that they made together, and how many calls there were by then.
#[derive(Debug, Default)]
struct Making {
    now: AtomicU64,
    most: AtomicU64,
    begun: AtomicU64,
    done: AtomicU64,
    /// Calls that began while no other had ended.
    first: AtomicU64,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_whose_results_are_large_is_tried_alone_and_stays_within_the_budget() {
    const BUDGET: u64 = 48 << 20;
    const LARGE: u64 = 12 << 20;
    let making = Arc::new(Making::default());
    let mut functions = registry();
    let inside = making.clone();
    functions.function("large", move |inputs| {
        if inside.done.load(Ordering::SeqCst) == 0 {
            inside.first.fetch_add(1, Ordering::SeqCst);
        }
        inside.begun.fetch_add(1, Ordering::SeqCst);
        let now = inside.now.fetch_add(LARGE, Ordering::SeqCst) + LARGE;
        inside.most.fetch_max(now, Ordering::SeqCst);
        let value = vec![number(&inputs[0]) as u8; LARGE as usize];
        inside.now.fetch_sub(LARGE, Ordering::SeqCst);
        inside.done.fetch_add(1, Ordering::SeqCst);
        Ok(Value::from(value))
    });
    let client = local_with(LocalOptions {
        functions,
        slots: Some(8),
        budget_bytes: Some(BUDGET),
        ..LocalOptions::default()
    })
    .await;
    // In many batches, so that most are on their way before the first result is there.
    let calls: Vec<Future> = (0..40_i64)
        .map(|n| client.submit("large", [n]).unwrap())
        .collect();
    for call in &calls {
        in_time(call.wait()).await.unwrap();
    }
    assert_eq!(making.first.load(Ordering::SeqCst), 1, "{making:?}");
    assert_eq!(making.begun.load(Ordering::SeqCst), 40);
    assert!(making.most.load(Ordering::SeqCst) <= BUDGET, "{making:?}");
    wait_until("the worker says how it was", async || {
        let status = client.info().await.unwrap().workers[0].status;
        status.peak_bytes > 0 && status.reserved_bytes == 0
    })
    .await;
    let peak = client.info().await.unwrap().workers[0].status.peak_bytes;
    assert!(peak <= BUDGET, "{peak} of {BUDGET}");
    let lens = calls.iter().map(|call| client.submit("len", [call]).unwrap());
    let lens: Vec<Future> = lens.collect();
    let lens = in_time(client.gather(&lens)).await.unwrap();
    assert!(lens.iter().all(|len| number(len) == LARGE as i64));
}

#[tokio::test(flavor = "multi_thread")]
async fn countable_things_are_taken_by_no_more_calls_than_there_are() {
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let mut functions = registry();
    let (inside, peak) = (now.clone(), most.clone());
    functions.function("use_licence", move |inputs| {
        peak.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::yield_now();
        inside.fetch_sub(1, Ordering::SeqCst);
        Ok(inputs[0].clone())
    });
    let client = local_with(LocalOptions {
        functions,
        slots: Some(4),
        resources: vec![Resource {
            name: "licence".into(),
            count: 1,
        }],
        ..LocalOptions::default()
    })
    .await;
    let options = CallOptions::new().resource("licence", 1);
    let calls = client.map_with("use_licence", 0..200_i64, &options).unwrap();
    in_time(client.gather(&calls)).await.unwrap();
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

/// Resident memory of this process.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = status.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_as_it_is_while_calls_come_and_go() {
    let client = local(registry()).await;
    let mut at_first = 0;
    for round in 0..50 {
        let mut waiting: Vec<Future> = Vec::new();
        for n in 0..1000_i64 {
            waiting.push(client.submit("square", [n]).unwrap());
            if waiting.len() == 20 {
                in_time(client.gather(&waiting)).await.unwrap();
                waiting.clear();
            }
        }
        if round == 9 {
            at_first = resident_bytes();
        }
    }
    let grown = resident_bytes().saturating_sub(at_first);
    assert!(grown < 24 << 20, "{grown} bytes more after 40,000 calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn scattered_values_are_shared_by_calls() {
    let client = local(registry()).await;
    let tensor = graticule_kernel::Tensor::from_vec(&[300, 1000], vec![1.5_f64; 300_000]).unwrap();
    let values = [Value::from(tensor.clone()), Value::from("abc")];
    let scattered = in_time(client.scatter(values)).await.unwrap();
    let lens: Vec<Future> = (0..20)
        .map(|_| client.submit("len", [&scattered[0], &scattered[1]]).unwrap())
        .collect();
    let lens = in_time(client.gather(&lens)).await.unwrap();
    assert!(lens.iter().all(|len| number(len) == 2_400_003));
    let back = in_time(client.gather(&scattered)).await.unwrap();
    assert_eq!(*back[0].tensor(), tensor);
    assert_eq!(back[1].text(), Some("abc"));
}

async fn scheduler() -> (graticule_scheduler::Served, String) {
    let options = graticule_scheduler::ServeOptions {
        listen: ANYWHERE.into(),
        dashboard: None,
        ..graticule_scheduler::ServeOptions::default()
    };
    let served = graticule_scheduler::serve(options).await.unwrap();
    let url = format!("grpc://{}", served.address);
    (served, url)
}

async fn worker(url: &str, name: &str, functions: Registry) -> graticule_worker::Served {
    let options = WorkerServeOptions {
        scheduler: url.into(),
        listen: ANYWHERE.into(),
        worker: WorkerOptions {
            name: name.into(),
            slots: 2,
            functions,
            ..WorkerOptions::default()
        },
    };
    graticule_worker::serve(options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_lost_while_a_graph_grows_changes_no_result() {
    let (scheduler, url) = scheduler().await;
    let stays = worker(&url, "stays", registry()).await;
    let goes = worker(&url, "goes", registry()).await;
    let client = Client::connect(&url).await.unwrap();
    let mut rows: Vec<Future> = client.map("square", 0..400_i64).unwrap();
    let mut want: Vec<i64> = (0..400).map(|n| n * n).collect();
    let mut goes = Some(goes);
    for step in 0..20 {
        rows = rows
            .iter()
            .map(|row| client.submit("add_one", [row]).unwrap())
            .collect();
        want.iter_mut().for_each(|n| *n += 1);
        if step == 10 {
            in_time(rows[0].wait()).await.unwrap();
            // It is gone as if it were killed: nothing is handed over.
            drop(goes.take());
        }
    }
    let got = in_time(client.gather(&rows)).await.unwrap();
    assert!(got.iter().map(number).eq(want));
    stays.stop(PATIENCE).await;
    scheduler.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_where_they_may_and_unknown_names_are_told_by_the_scheduler() {
    let (scheduler, url) = scheduler().await;
    let client = Client::connect(&url).await.unwrap();
    // Nobody is there yet who could say what is known.
    let early = client.submit("where", [0_i64]).unwrap();
    let tells = |name: &'static str| {
        let mut functions = registry();
        functions.function("where", move |_| Ok(Value::from(name)));
        functions
    };
    let one = worker(&url, "one", tells("one")).await;
    let two = worker(&url, "two", tells("two")).await;
    in_time(early.result()).await.unwrap();
    wait_until("two workers", async || {
        client.info().await.unwrap().workers.len() == 2
    })
    .await;
    let on_two = CallOptions::new().worker("two");
    let calls = client.map_with("where", 0..50_i64, &on_two).unwrap();
    let told = in_time(client.gather(&calls)).await.unwrap();
    assert!(told.iter().all(|name| name.text() == Some("two")));
    wait_until("the names", async || client.submit("nothing", [0_i64]).is_err()).await;
    one.stop(PATIENCE).await;
    two.stop(PATIENCE).await;
    scheduler.shutdown().await;
}

/// So much that no message takes it, and more than goes at a time.
fn large_value(seed: u8) -> Value {
    let bytes: Vec<u8> = (0..20_u64 << 20)
        .map(|n| (n.wrapping_mul(0x9e37_79b9) >> 13) as u8 ^ seed)
        .collect();
    Value::from(bytes)
}

fn check_sum(value: &Value) -> i64 {
    let bytes = value.bytes().unwrap();
    bytes.iter().fold(7, |sum: i64, &byte| {
        sum.wrapping_mul(31).wrapping_add(i64::from(byte))
    })
}

fn summing() -> Registry {
    let mut functions = registry();
    functions.function("check_sum", |inputs| Ok(Value::from(check_sum(&inputs[0]))));
    functions
}

#[tokio::test(flavor = "multi_thread")]
async fn large_values_go_straight_to_the_embedded_worker_and_none_of_them_is_kept_by_the_client() {
    let client = local(summing()).await;
    let value = large_value(1);
    let scattered = in_time(client.scatter([value.clone(), Value::from("small"), value.clone()]))
        .await
        .unwrap();
    wait_until("held", async || held_bytes(&client).await >= 40 << 20).await;
    let sums = [0, 2].map(|at: usize| client.submit("check_sum", [&scattered[at]]).unwrap());
    for sum in sums {
        assert_eq!(number(&in_time(sum.result()).await.unwrap()), check_sum(&value));
    }
    let back = in_time(client.gather(&scattered)).await.unwrap();
    assert!(back[0] == value && back[2] == value && back[1].text() == Some("small"));
    drop((scattered, back));
    wait_until("released", async || held_bytes(&client).await < 20 << 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_lost_with_its_worker_fails_by_name_and_one_with_replicas_stays() {
    let (scheduler, url) = scheduler().await;
    let stays = worker(&url, "stays", summing()).await;
    let goes = worker(&url, "goes", summing()).await;
    let client = Client::connect(&url).await.unwrap();
    wait_until("two workers", async || {
        client.info().await.unwrap().workers.len() == 2
    })
    .await;
    let value = large_value(2);
    let twice = ScatterOptions::new().replicas(2);
    let safe = in_time(client.scatter_with([value.clone()], &twice))
        .await
        .unwrap();
    wait_until("both hold it", async || {
        let workers = client.info().await.unwrap().workers;
        workers
            .iter()
            .all(|worker| worker.status.memory_bytes >= 20 << 20)
    })
    .await;
    let there = ScatterOptions::new().worker("goes");
    let single = in_time(client.scatter_with([large_value(3)], &there))
        .await
        .unwrap();
    let sum = client.submit("check_sum", &single).unwrap();
    assert_eq!(
        number(&in_time(sum.result()).await.unwrap()),
        check_sum(&large_value(3))
    );
    // It is gone as if it were killed: nothing is handed over.
    drop(goes);
    wait_until("one worker", async || {
        client.info().await.unwrap().workers.len() == 1
    })
    .await;
    // Only workers of its name may hold the value, so its loss is told when one is there.
    let goes = worker(&url, "goes", summing()).await;
    let sum = client.submit("check_sum", &single).unwrap();
    let told = in_time(sum.result()).await.unwrap_err().to_string();
    assert!(
        told.contains("scatter")
            && told.contains("lost with all workers that held it")
            && told.contains("replicas"),
        "{told}"
    );
    let sum = client.submit("check_sum", &safe).unwrap();
    assert_eq!(number(&in_time(sum.result()).await.unwrap()), check_sum(&value));
    assert!(in_time(client.gather(&safe)).await.unwrap()[0] == value);
    // The second copy is made again, on the worker that came.
    wait_until("two copies again", async || {
        let workers = client.info().await.unwrap().workers;
        workers.len() == 2
            && workers
                .iter()
                .all(|worker| worker.status.memory_bytes >= 20 << 20)
    })
    .await;
    goes.stop(PATIENCE).await;
    stays.stop(PATIENCE).await;
    scheduler.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_larger_than_all_memory_is_refused_and_many_that_fit_one_by_one_are_spilled() {
    let client = local_with(LocalOptions {
        functions: summing(),
        budget_bytes: Some(48 << 20),
        ..LocalOptions::default()
    })
    .await;
    let huge = Value::from(vec![1_u8; 64 << 20]);
    let told = in_time(client.scatter([huge])).await.unwrap_err().to_string();
    assert!(told.contains("64 MiB") && told.contains("--memory"), "{told}");
    let scattered = in_time(client.scatter((0..5).map(large_value))).await.unwrap();
    for (seed, future) in (0..).zip(&scattered) {
        let sum = client.submit("check_sum", [future]).unwrap();
        assert_eq!(
            number(&in_time(sum.result()).await.unwrap()),
            check_sum(&large_value(seed))
        );
    }
    let status = client.info().await.unwrap().workers[0].status;
    assert!(status.peak_bytes <= 48 << 20, "{}", status.peak_bytes);
}
