//! Chunks that are mapped instead of sent. Only the door is there: nothing listens for gRPC. In a process of their own, in which all
//! large buffers can be mapped from the first on.
#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

use graticule_kernel::{Chunk, Tensor, TensorMut};
use graticule_plan::{ChunkId, DType, JobId, LayerId};
use graticule_transfer::{ChunkSource, Door, Fetch, Refusal, StorePool, share_large_buffers};

const LEN: usize = 1 << 20;
const ID: ChunkId = ChunkId {
    job: JobId(1),
    layer: LayerId(0),
    block: 0,
};

/// A store of one chunk.
#[derive(Default)]
struct One(Mutex<Option<Chunk>>);

#[async_trait::async_trait]
impl ChunkSource for One {
    async fn read(&self, _: ChunkId, _: Option<&[Range<u64>]>) -> Result<Chunk, Refusal> {
        unreachable!("nothing is served over gRPC here")
    }

    fn copied_bytes(&self, _: ChunkId, _: Option<&[Range<u64>]>) -> u64 {
        0
    }

    fn in_memory(&self, _: ChunkId) -> Option<Chunk> {
        self.0.lock().unwrap().clone()
    }
}

fn tensor(value: u16) -> Tensor {
    let mut tensor = TensorMut::for_overwrite(DType::UInt16, &[1 << 10, LEN >> 10]).unwrap();
    let values = tensor.as_mut_slice::<u16>().unwrap();
    (0..)
        .zip(values)
        .for_each(|(i, to)| *to = (i as u16).wrapping_mul(value));
    tensor.freeze()
}

/// An address at which nobody listens for gRPC; each test has its own.
fn open(port: u16) -> (Arc<str>, Arc<One>, Door) {
    share_large_buffers();
    let address: Arc<str> = format!("127.0.0.1:{port}-{}", std::process::id()).into();
    let store = Arc::new(One::default());
    let door = Door::open(&address, store.clone()).unwrap();
    (address, store, door)
}

fn fetch<'a>(address: &'a Arc<str>, region: Option<&'a [Range<u64>]>) -> Fetch<'a> {
    Fetch {
        address,
        chunk: ID,
        region,
        bytes: None,
    }
}

#[tokio::test]
async fn a_mapped_chunk_stays_what_it_was_when_its_store_drops_it() {
    let (address, store, _door) = open(1);
    *store.0.lock().unwrap() = Some(tensor(3).into());
    let pool = StorePool::new();
    let mapped = pool.fetch(fetch(&address, None)).await.unwrap();
    assert_eq!(mapped.single(), Some(&tensor(3)));
    let at_the_store = store.0.lock().unwrap().take().unwrap();
    let (ours, theirs) = (mapped.parts()[0].bytes(), at_the_store.parts()[0].bytes());
    assert_ne!(ours.as_ptr(), theirs.as_ptr());
    drop(at_the_store);
    // Memory that was freed would be taken by the next buffers of its size.
    let others: Vec<Tensor> = (5..9).map(tensor).collect();
    assert_eq!(mapped.single(), Some(&tensor(3)));
    drop(others);
}

#[tokio::test]
async fn regions_are_cut_and_tuples_come_whole() {
    let (address, store, _door) = open(2);
    let flags = TensorMut::zeros(DType::Bool, &[1 << 10, LEN >> 10])
        .unwrap()
        .freeze();
    let whole = Chunk::new(vec![tensor(7), flags, tensor(9)]).unwrap();
    *store.0.lock().unwrap() = Some(whole.clone());
    let pool = StorePool::new();
    assert_eq!(pool.fetch(fetch(&address, None)).await.unwrap(), whole);
    let region = [5..1000, 3..800];
    let cut = pool.fetch(fetch(&address, Some(&region))).await.unwrap();
    assert_eq!(cut, whole.region(&region).unwrap());
}

#[tokio::test]
async fn what_cannot_be_mapped_is_asked_for_over_grpc() {
    let (address, store, door) = open(3);
    let pool = StorePool::new();
    // Of its own memory, and so not to be mapped; and then not there at all.
    let foreign = Tensor::from_vec(&[LEN], vec![1u16; LEN]).unwrap();
    for chunk in [Some(foreign.into()), None] {
        *store.0.lock().unwrap() = chunk;
        let error = pool.fetch(fetch(&address, None)).await.unwrap_err().to_string();
        assert!(error.contains(&*address), "{error}");
    }
    *store.0.lock().unwrap() = Some(tensor(3).into());
    assert!(pool.fetch(fetch(&address, None)).await.is_ok());
    assert!(
        pool.clone()
            .without_sharing()
            .fetch(fetch(&address, None))
            .await
            .is_err()
    );
    drop(door);
    while pool.fetch(fetch(&address, None)).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
