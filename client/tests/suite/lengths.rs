//! Arrays whose lengths depend on what is in them, on an embedded cluster and on workers behind sockets.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::{collections::BTreeMap, time::Duration};

use graticule_array::{Array, Chunks, Over, Wishes};
use graticule_client::Client;
use graticule_plan::DType;
use graticule_scheduler::ServeOptions;
use graticule_worker::{ServeOptions as WorkerServeOptions, WorkerOptions};

const PATIENCE: Duration = Duration::from_secs(30);
const ANYWHERE: ([u8; 4], u16) = ([127, 0, 0, 1], 0);
const LEN: i64 = 20_000;

/// Numbers that recur, in 200 chunks.
fn number(place: i64) -> i64 {
    place * place % 977
}

fn numbers() -> Array {
    let places = Array::arange(0.0, LEN as f64, 1.0, DType::Int64, Chunks::Size(100)).unwrap();
    places.multiply(&places).unwrap().remainder(977).unwrap()
}

async fn check(client: &Client) {
    let x = numbers();
    // Most blocks have nothing left.
    let places = Array::arange(0.0, LEN as f64, 1.0, DType::Int64, Chunks::Size(100)).unwrap();
    let late = places
        .greater(15_050)
        .unwrap()
        .logical_and(x.less(500).unwrap())
        .unwrap();
    let chosen = x.take_mask(&late).unwrap();
    let found = late.nonzero().unwrap().remove(0);
    let sized = client.sized(&[&chosen, &found]).await.unwrap();
    let want: Vec<i64> = (15_051..LEN).filter(|&place| number(place) < 500).collect();
    assert_eq!(sized[0].shape(), [want.len() as u64]);
    assert_eq!(sized[0].chunks().block_count(), 50);
    let last = sized[0].slice(&[(-3..).into()]).unwrap();
    let made = client.compute_many(&[&sized[0], &sized[1], &last]).await.unwrap();
    let values: Vec<i64> = want.iter().map(|&place| number(place)).collect();
    assert_eq!(made[0].as_slice::<i64>().unwrap(), values);
    assert_eq!(made[1].as_slice::<i64>().unwrap(), want);
    assert_eq!(made[2].as_slice::<i64>().unwrap(), &values[values.len() - 3..]);

    let wishes = Wishes {
        positions: true,
        counts: true,
        equal_nan: true,
    };
    let unique = client.unique(&x, wishes).await.unwrap();
    let mut want: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    (0..LEN).for_each(|place| want.entry(number(place)).or_insert((place, 0)).1 += 1);
    let arrays = [
        unique.values(),
        unique.positions().unwrap(),
        unique.counts().unwrap(),
    ];
    let made = client.compute_many(&arrays).await.unwrap();
    let columns: Vec<&[i64]> = made.iter().map(|tensor| tensor.as_slice().unwrap()).collect();
    assert!(columns[0].iter().eq(want.keys()));
    assert!(columns[1].iter().eq(want.values().map(|(first, _)| first)));
    assert!(columns[2].iter().eq(want.values().map(|(_, count)| count)));
    // What is kept may be worked on like any other array.
    let inverse = unique.inverse().unwrap();
    let greatest = unique.values().slice(&[(-1).into()]).unwrap();
    let made = client.compute_many(&[&inverse, &greatest]).await.unwrap();
    let put_back = made[0]
        .as_slice::<i64>()
        .unwrap()
        .iter()
        .map(|&place| columns[0][place as usize]);
    assert!(put_back.eq((0..LEN).map(number)));
    assert_eq!(made[1].as_slice::<i64>().unwrap(), [*want.keys().last().unwrap()]);

    let both = client.union1d(&x, &x.add(1).unwrap()).await.unwrap();
    let count = client
        .compute(&both.values().count_nonzero(&Over::all()).unwrap())
        .await
        .unwrap();
    let wanted: std::collections::BTreeSet<i64> = want.keys().flat_map(|&x| [x, x + 1]).collect();
    assert_eq!(both.values().size(), wanted.len() as u64);
    assert_eq!(count.as_slice::<i64>().unwrap(), [wanted.len() as i64 - 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_cluster_counts_selects_and_finds_distinct_elements() {
    let client = Client::local().await.unwrap();
    tokio::time::timeout(PATIENCE, check(&client)).await.unwrap();
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_behind_sockets_do_so_too() {
    let options = ServeOptions {
        listen: ANYWHERE.into(),
        dashboard: None,
        ..ServeOptions::default()
    };
    let scheduler = graticule_scheduler::serve(options).await.unwrap();
    let url = format!("grpc://{}", scheduler.address);
    let mut workers = Vec::new();
    for _ in 0..2 {
        let options = WorkerServeOptions {
            scheduler: url.clone(),
            listen: ANYWHERE.into(),
            worker: WorkerOptions {
                slots: 2,
                ..WorkerOptions::default()
            },
        };
        workers.push(graticule_worker::serve(options).await.unwrap());
    }
    let client = Client::connect(&url).await.unwrap();
    tokio::time::timeout(PATIENCE, check(&client)).await.unwrap();
    for worker in workers {
        worker.stop(PATIENCE).await;
    }
    scheduler.shutdown().await;
}
