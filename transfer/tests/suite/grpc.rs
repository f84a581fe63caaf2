//! A store and those who fetch from it, over loopback sockets.
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use graticule_kernel::{ALIGN_BYTES, Chunk, Tensor};
use graticule_plan::{ChunkId, JobId, LayerId};
use graticule_proto::v1;
use graticule_transfer::{ChunkSource, Credits, Fetch, FetchError, Refusal, StorePool, StoreService, server};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};
use tonic::transport::{Channel, Endpoint, server::TcpIncoming};

/// Chunks behind a gate: each read takes a permit off it.
struct Gated {
    chunks: BTreeMap<u64, Chunk>,
    gate: Semaphore,
    reading: AtomicUsize,
    reading_max: AtomicUsize,
    /// What each read copies.
    copied_bytes: u64,
    /// Blocks and attempts whose values are waited for, and those that came.
    awaited: Mutex<BTreeMap<(u64, u32), Option<Chunk>>>,
    /// Those that will be waited for later: who asks is answered then.
    late: Mutex<BTreeSet<(u64, u32)>>,
}

#[async_trait::async_trait]
impl ChunkSource for Gated {
    async fn read(&self, chunk: ChunkId, region: Option<&[Range<u64>]>) -> Result<Chunk, Refusal> {
        let reading = self.reading.fetch_add(1, Ordering::SeqCst) + 1;
        self.reading_max.fetch_max(reading, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        self.reading.fetch_sub(1, Ordering::SeqCst);
        let found = self.chunks.get(&chunk.block);
        let found = found.ok_or_else(|| Refusal::NotHeld("not here".into()))?;
        match region {
            None => Ok(found.clone()),
            Some(region) => found
                .region(region)
                .map_err(|error| Refusal::Region(error.to_string())),
        }
    }

    fn copied_bytes(&self, _: ChunkId, _: Option<&[Range<u64>]>) -> u64 {
        self.copied_bytes
    }

    async fn awaits(&self, chunk: ChunkId, attempt: u32) -> bool {
        while self.late.lock().unwrap().contains(&(chunk.block, attempt)) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.awaited.lock().unwrap().contains_key(&(chunk.block, attempt))
    }

    fn give(&self, chunk: ChunkId, attempt: u32, value: Chunk) -> bool {
        let mut awaited = self.awaited.lock().unwrap();
        let place = awaited
            .get_mut(&(chunk.block, attempt))
            .filter(|place| place.is_none());
        place.map(|place| *place = Some(value)).is_some()
    }

    fn in_memory(&self, chunk: ChunkId) -> Option<Chunk> {
        self.chunks.get(&chunk.block).cloned()
    }
}

fn chunk(block: u64) -> Chunk {
    let values = (0..1u64 << 17).map(|i| (i * 3 + block) as f64).collect();
    let flags = (0..1u64 << 17).map(|i| i % 5 == block % 5).collect();
    let parts = vec![
        Tensor::from_vec(&[1 << 7, 1 << 10], values).unwrap(),
        Tensor::from_vec::<bool>(&[1 << 7, 1 << 10], flags).unwrap(),
    ];
    Chunk::new(parts).unwrap()
}

fn id(block: u64) -> ChunkId {
    ChunkId {
        job: JobId(1),
        layer: LayerId(0),
        block,
    }
}

fn gated(count: u64, permits: usize) -> Arc<Gated> {
    copied(count, permits, 0)
}

fn copied(count: u64, permits: usize, copied_bytes: u64) -> Arc<Gated> {
    Arc::new(Gated {
        copied_bytes,
        chunks: (0..count).map(|block| (block, chunk(block))).collect(),
        gate: Semaphore::new(permits),
        reading: AtomicUsize::new(0),
        reading_max: AtomicUsize::new(0),
        awaited: Mutex::default(),
        late: Mutex::default(),
    })
}

/// Serves in the background; ends with the test's runtime.
async fn serve(service: StoreService<Gated>) -> Arc<str> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(
        server()
            .add_service(service)
            .serve_with_incoming(TcpIncoming::from(listener)),
    );
    address.into()
}

/// What a program of another kind would use.
async fn ordinary_client(address: &str) -> v1::store_client::StoreClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .initial_stream_window_size(1 << 16);
    v1::store_client::StoreClient::new(endpoint.connect().await.unwrap())
}

fn fetch<'a>(address: &'a Arc<str>, block: u64, region: Option<&'a [Range<u64>]>) -> Fetch<'a> {
    Fetch {
        address,
        chunk: id(block),
        region,
        bytes: Some(chunk(0).nbytes()),
    }
}

#[tokio::test]
async fn chunks_and_regions_arrive_whole_and_aligned() {
    let address = serve(StoreService::new(gated(3, 100))).await;
    let pool = StorePool::new();
    for block in 0..3 {
        let came = pool.fetch(fetch(&address, block, None)).await.unwrap();
        assert_eq!(came, chunk(block));
        for part in came.parts() {
            assert!(part.bytes().as_ptr().addr().is_multiple_of(ALIGN_BYTES));
        }
    }
    let region = [3..90, 7..1000];
    let came = pool.fetch(fetch(&address, 2, Some(&region))).await.unwrap();
    assert_eq!(came, chunk(2).region(&region).unwrap());
}

#[tokio::test]
async fn what_is_not_held_and_what_is_not_there_differ() {
    let address = serve(StoreService::new(gated(1, 100))).await;
    let pool = StorePool::new();
    let missing = pool.fetch(fetch(&address, 9, None)).await;
    assert!(matches!(missing, Err(FetchError::NotHeld { .. })), "{missing:?}");
    let outside = pool.fetch(fetch(&address, 0, Some(&[0..1, 0..5000]))).await;
    assert!(matches!(outside, Err(FetchError::Broken { .. })), "{outside:?}");
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let nobody = pool.fetch(fetch(&closed.to_string().into(), 0, None)).await;
    assert!(matches!(nobody, Err(FetchError::Broken { .. })), "{nobody:?}");
    // A refusal costs the others nothing.
    assert!(pool.fetch(fetch(&address, 0, None)).await.is_ok());
}

#[tokio::test]
async fn any_grpc_client_can_read_the_frames() {
    let address = serve(StoreService::new(gated(1, 100))).await;
    let mut client = ordinary_client(&address).await;
    let request = v1::FetchRequest {
        chunk: Some(id(0).into()),
        starts: Vec::new(),
        ends: Vec::new(),
    };
    let mut frames = client.fetch(request).await.unwrap().into_inner();
    let mut data = Vec::new();
    while let Some(frame) = frames.message().await.unwrap() {
        data.extend_from_slice(&frame.data);
    }
    assert_eq!(Chunk::decode(&data.into()).unwrap(), chunk(0));
}

#[tokio::test]
async fn no_more_bytes_are_asked_for_than_the_receiver_has_credits() {
    let source = gated(10, 0);
    let address = serve(StoreService::new(source.clone())).await;
    let credits = Credits::new(2 * chunk(0).nbytes());
    let pool = StorePool::with_credits(credits.clone());
    let mut fetches = JoinSet::new();
    for block in 0..10 {
        let (pool, address) = (pool.clone(), address.clone());
        fetches.spawn(async move { pool.fetch(fetch(&address, block, None)).await });
    }
    while source.reading.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(credits.taken_bytes(), 2 * chunk(0).nbytes());
    source.gate.add_permits(10);
    while let Some(came) = fetches.join_next().await {
        assert!(came.unwrap().is_ok());
    }
    assert_eq!(source.reading_max.load(Ordering::SeqCst), 2);
    assert_eq!(credits.taken_bytes(), 0);
}

#[tokio::test]
async fn what_is_copied_to_be_sent_has_its_credits_before_it_is_read() {
    let bytes = chunk(0).nbytes();
    let source = copied(6, 0, bytes);
    let copies = Credits::new(2 * bytes);
    let address = serve(StoreService::new(source.clone()).copying_within(copies.clone())).await;
    let pool = StorePool::new();
    let mut fetches = JoinSet::new();
    for block in 0..6 {
        let (pool, address) = (pool.clone(), address.clone());
        fetches.spawn(async move { pool.fetch(fetch(&address, block, None)).await });
    }
    while source.reading.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    source.gate.add_permits(10);
    while let Some(came) = fetches.join_next().await {
        assert!(came.unwrap().is_ok());
    }
    assert_eq!(source.reading_max.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_store_sends_no_more_than_it_has_credits_and_a_reader_that_goes_gives_them_back() {
    let credits = Credits::new(chunk(0).nbytes());
    let address = serve(StoreService::with_credits(gated(2, 100), credits.clone())).await;
    let mut client = ordinary_client(&address).await;
    let request = v1::FetchRequest {
        chunk: Some(id(0).into()),
        starts: Vec::new(),
        ends: Vec::new(),
    };
    let slow = client.fetch(request).await.unwrap();
    assert_eq!(credits.taken_bytes(), chunk(0).nbytes());
    let (pool, next) = (StorePool::new(), address.clone());
    let next = tokio::spawn(async move { pool.fetch(fetch(&next, 1, None)).await });
    tokio::task::yield_now().await;
    assert!(!next.is_finished());
    drop(slow);
    assert_eq!(next.await.unwrap().unwrap(), chunk(1));
}

#[tokio::test]
async fn a_value_is_put_where_it_is_awaited_once_and_nowhere_else() {
    let source = gated(0, 0);
    source
        .awaited
        .lock()
        .unwrap()
        .extend([((1, 7), None), ((2, 0), None)]);
    let address = serve(StoreService::new(source.clone())).await;
    let pool = StorePool::new();
    // An earlier attempt, and a later one, are others.
    for attempt in [6, 8] {
        let refused = pool.put(&address, (id(1), attempt), &chunk(1)).await.unwrap_err();
        assert!(matches!(refused, FetchError::NotHeld { .. }), "{refused}");
    }
    pool.put(&address, (id(1), 7), &chunk(1)).await.unwrap();
    assert_eq!(source.awaited.lock().unwrap()[&(1, 7)], Some(chunk(1)));
    for block in [1, 3] {
        let refused = pool
            .put(&address, (id(block), 7), &chunk(block))
            .await
            .unwrap_err();
        assert!(matches!(refused, FetchError::NotHeld { .. }), "{refused}");
    }
    // A program of another kind may put one too, cut as it likes.
    let encoded = chunk(2).encode();
    let frames: Vec<v1::Frame> = encoded
        .chunks(300_000)
        .map(|data| v1::Frame {
            data: data.to_vec().into(),
        })
        .collect();
    let mut request = tonic::Request::new(tokio_stream::iter(frames.clone()));
    request
        .metadata_mut()
        .insert(graticule_proto::PUT_CHUNK, "1.0.2.0".parse().unwrap());
    let mut client = ordinary_client(&address).await;
    client.put(request).await.unwrap();
    assert_eq!(source.awaited.lock().unwrap()[&(2, 0)], Some(chunk(2)));
    let unnamed = client.put(tokio_stream::iter(frames)).await.unwrap_err();
    assert_eq!(unnamed.code(), tonic::Code::InvalidArgument);
}

/// Values come to a worker in whatever order, and it has room for one at a time: those that wait must not take what the
/// connection may have under way, nor the client's credits.
#[tokio::test]
async fn values_that_nobody_has_room_for_yet_hold_none_up_that_is_awaited() {
    const LEN: usize = 3 << 20;
    const LATE: u64 = 6;
    let source = gated(0, 0);
    let address = serve(StoreService::new(source.clone())).await;
    let value = Chunk::from(Tensor::from_vec(&[LEN], vec![1u8; LEN]).unwrap());
    let pool = StorePool::with_credits(Credits::new(4 << 20));
    // Nobody waits for these so far.
    source
        .late
        .lock()
        .unwrap()
        .extend((1..=LATE).map(|block| (block, 0)));
    let late: Vec<_> = (1..=LATE)
        .map(|block| {
            let (pool, address, value) = (pool.clone(), address.clone(), value.clone());
            tokio::spawn(async move { pool.put(&address, (id(block), 0), &value).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    source.awaited.lock().unwrap().insert((0, 0), None);
    let put = pool.put(&address, (id(0), 0), &value);
    tokio::time::timeout(Duration::from_secs(20), put)
        .await
        .expect("others hold it up")
        .unwrap();
    // Their turn comes.
    source
        .awaited
        .lock()
        .unwrap()
        .extend((1..=LATE).map(|block| ((block, 0), None)));
    source.late.lock().unwrap().clear();
    for one in late {
        one.await.unwrap().unwrap();
    }
    assert!(
        source
            .awaited
            .lock()
            .unwrap()
            .values()
            .all(|got| got.as_ref() == Some(&value))
    );
}
