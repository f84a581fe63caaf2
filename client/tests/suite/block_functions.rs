//! Users' functions on the blocks of arrays, on an embedded cluster.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use graticule_array::{
    Annotations, Array, BlockFunction, BlockReduction, Chunks, Gufunc, MapBlocks, Over, annotate,
    apply_gufunc, reduction,
};
use graticule_client::{Chunk, Client, LocalOptions, Registry, Tensor};
use graticule_plan::DType;

const PATIENCE: Duration = Duration::from_secs(60);

async fn in_time<T>(what: impl std::future::Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.unwrap()
}

async fn local(functions: Registry) -> Client {
    let options = LocalOptions {
        functions,
        worker_count: 2,
        ..LocalOptions::default()
    };
    Client::local_with(&options).await.unwrap()
}

fn numbers(len: u64, chunk: u64) -> Array {
    Array::arange(0.0, len as f64, 1.0, DType::Float64, Chunks::Size(chunk)).unwrap()
}

async fn failure(client: &Client, array: &Array) -> String {
    in_time(client.compute(array)).await.unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_is_called_once_for_each_block_with_its_payload_and_place() {
    let called = Arc::new(AtomicU64::new(0));
    let mut functions = Registry::new();
    let count = called.clone();
    functions.block_function("shift", move |call| {
        count.fetch_add(1, Ordering::Relaxed);
        let shift = f64::from_le_bytes(call.payload().try_into()?);
        let place = &call.place().axes()[0];
        let block = call.block(0);
        let made = block
            .elements::<f64>()?
            .iter()
            .map(|x| x + shift + 1000.0 * place.block as f64);
        Ok(Tensor::from_vec(block.shape(), made.collect::<Vec<f64>>())?.into())
    });
    let client = local(functions).await;
    let shift = BlockFunction::new("shift").payload(0.5_f64.to_le_bytes());
    let x = numbers(100, 10).multiply(2.0).unwrap();
    let shifted = x.map_blocks(&shift, &MapBlocks::new(DType::Float64)).unwrap();
    let made = in_time(client.compute(&shifted.add(1.0).unwrap())).await.unwrap();
    let want: Vec<f64> = (0..100)
        .map(|i| f64::from(2 * i) + 1.5 + 1000.0 * f64::from(i / 10))
        .collect();
    assert_eq!(made.as_slice::<f64>().unwrap(), want);
    assert_eq!(called.load(Ordering::Relaxed), 10);
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_names_the_function_the_block_and_the_layer() {
    let mut functions = Registry::new();
    functions.block_function("choosy", |call| match call.place().index()[..] {
        [3] => Err("threes are bad luck".into()),
        _ => Ok(call.block(0).tensor().clone().into()),
    });
    functions.block_function("wrong", |call| {
        Ok(call.block(0).tensor().reshape(&[1, 10])?.into())
    });
    functions.block_function("panic", |_| panic!("out of cheese"));
    functions.function("of_values", |inputs| Ok(inputs[0].clone()));
    let client = local(functions).await;
    let x = numbers(50, 10);
    let by = |name: &str| {
        x.map_blocks(&BlockFunction::new(name), &MapBlocks::new(DType::Float64))
            .unwrap()
    };
    let told = failure(&client, &by("choosy").negative().unwrap()).await;
    for part in [
        "choosy+negative",
        "block [3]",
        "elements [30..40]",
        "threes are bad luck",
    ] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
    let told = failure(&client, &by("wrong")).await;
    assert!(
        told.contains("made float64 of shape [1, 10] for block ["),
        "{told}"
    );
    assert!(told.contains("says float64 of shape [10]"), "{told}");
    assert!(
        failure(&client, &by("panic"))
            .await
            .contains("the function panicked: out of cheese")
    );
    assert!(
        failure(&client, &by("of_values"))
            .await
            .contains("works on values")
    );
    let told = failure(&client, &by("nobody")).await;
    assert!(
        told.contains("no worker knows the function \"nobody\"; they know choosy"),
        "{told}"
    );
    let called = client.submit("choosy", [1_u64]).unwrap();
    let told = in_time(called.result()).await.unwrap_err().to_string();
    assert!(told.contains("use it with map_blocks"), "{told}");
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_fails_now_and_then_is_tried_again() {
    let tried = AtomicU64::new(0);
    let mut functions = Registry::new();
    functions.block_function("flaky", move |call| match tried.fetch_add(1, Ordering::Relaxed) {
        0 => Err("not today".into()),
        _ => Ok(call.block(0).tensor().clone().into()),
    });
    let client = local(functions).await;
    let x = numbers(50, 10);
    let flaky = || x.map_blocks(&BlockFunction::new("flaky"), &MapBlocks::new(DType::Float64));
    let made = annotate(&Annotations::new().retries(1), flaky).unwrap();
    let made = in_time(client.compute(&made)).await.unwrap();
    assert_eq!(made.as_slice::<f64>().unwrap()[49], 49.0);
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tuples_travel_between_workers() {
    let part = |shape: &[usize], x: f64| Tensor::from_vec(shape, vec![x]);
    let mut functions = Registry::new();
    functions.block_function("sum_and_count", move |call| {
        let x = call.block(0).elements::<f64>()?;
        let count = x.len() as f64;
        Ok(Chunk::new(vec![
            part(call.shape(), x.iter().sum())?,
            part(call.shape(), count)?,
        ])?)
    });
    functions.block_function("both", move |call| {
        let sum = |block: usize| {
            Ok::<f64, graticule_client::FunctionError>(call.block(block).elements::<f64>()?.iter().sum())
        };
        Ok(Chunk::new(vec![
            part(call.shape(), sum(0)?)?,
            part(call.shape(), sum(1)?)?,
        ])?)
    });
    functions.block_function("mean", move |call| {
        let sum = |block: usize| {
            Ok::<f64, graticule_client::FunctionError>(call.block(block).elements::<f64>()?.iter().sum())
        };
        Ok(part(call.shape(), sum(0)? / sum(1)?)?.into())
    });
    functions.block_function("sin_cos", |call| {
        let x = call.block(0).elements::<f64>()?;
        let part = |made: Vec<f64>| Tensor::from_vec(call.shape(), made);
        let (sin, cos) = (x.iter().map(|x| x.sin()), x.iter().map(|x| x.cos()));
        Ok(Chunk::new(vec![part(sin.collect())?, part(cos.collect())?])?)
    });
    let client = local(functions).await;
    let [chunk, both, mean] = ["sum_and_count", "both", "mean"].map(BlockFunction::new);
    let functions = BlockReduction::new(chunk, mean, DType::Float64)
        .combine(both)
        .partials([DType::Float64, DType::Float64]);
    let x = numbers(1000, 10);
    let made = reduction(&x, &functions, &Over::all()).unwrap();
    let made = in_time(client.compute(&made)).await.unwrap();
    assert_eq!(made.as_slice::<f64>().unwrap(), [499.5]);
    let options = Gufunc::new([DType::Float64; 2]);
    let made = apply_gufunc(&BlockFunction::new("sin_cos"), "()->(),()", &[&x], &options).unwrap();
    let [sin, cos] = &made[..] else {
        panic!("two results")
    };
    let kept = client
        .persist_many(&[sin, cos], &graticule_client::RunOptions::default())
        .await
        .unwrap();
    let one = kept[0]
        .array()
        .square()
        .unwrap()
        .add(kept[1].array().square().unwrap())
        .unwrap();
    let made = in_time(client.compute(&one.sum(&Over::all()).unwrap()))
        .await
        .unwrap();
    assert!((made.as_slice::<f64>().unwrap()[0] - 1000.0).abs() < 1e-9);
    client.close().await;
}
