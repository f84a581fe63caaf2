//! The process that has the chunks.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::ExitCode,
    sync::Arc,
    thread,
};

use graticule_kernel::{Chunk, Tensor, TensorMut};
use graticule_plan::{ChunkId, DType, JobId, LayerId};
use graticule_transfer::StoreService;
use graticule_worker::ChunkStore;
use tonic::transport::server::TcpIncoming;

use crate::terminal;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct StoreArgs {
    /// Bytes of a chunk, several sizes with commas between.
    #[arg(long, value_delimiter = ',', required = true, value_name = "BYTES")]
    bytes: Vec<u64>,
    /// Chunks of each size.
    #[arg(long, value_name = "COUNT")]
    count: u64,
}

/// The chunk of a size's place and a number.
pub(super) fn chunk_id(place: usize, block: u64) -> ChunkId {
    ChunkId {
        job: JobId(1),
        layer: LayerId(place as u32),
        block,
    }
}

/// Bytes that differ from chunk to chunk and along it.
pub(super) fn chunk(bytes: u64, block: u64) -> anyhow::Result<Tensor> {
    let mut tensor = TensorMut::for_overwrite(DType::UInt8, &[bytes as usize])?;
    for (place, byte) in tensor.bytes_mut().iter_mut().enumerate() {
        *byte = (place as u64 / 3 + block * 7) as u8;
    }
    Ok(tensor.freeze())
}

/// Serves chunks over gRPC as a worker does, and the same memory over a raw socket, until it is killed.
pub(crate) async fn serve(args: &StoreArgs) -> anyhow::Result<ExitCode> {
    #[cfg(target_os = "linux")]
    graticule_transfer::share_large_buffers();
    let store = Arc::new(ChunkStore::new(&std::env::temp_dir(), "graticule-bench-transfer"));
    let mut tensors = Vec::new();
    for (place, &bytes) in args.bytes.iter().enumerate() {
        let made = (0..args.count).map(|block| chunk(bytes, block));
        let made: Vec<Tensor> = made.collect::<Result<_, _>>()?;
        for (block, tensor) in made.iter().enumerate() {
            store.insert(chunk_id(place, block as u64), Chunk::from(tensor.clone()));
        }
        tensors.push(made);
    }
    let raw = TcpListener::bind("127.0.0.1:0")?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    #[cfg(target_os = "linux")]
    let _door = graticule_transfer::Door::open(&address.to_string(), store.clone())?;
    terminal::say(&format!("{address} {}", raw.local_addr()?))?;
    thread::spawn(move || {
        for connection in raw.incoming().flatten() {
            let tensors = tensors.clone();
            // A peer that has gone asks for nothing more.
            thread::spawn(move || answer(connection, &tensors));
        }
    });
    graticule_transfer::server()
        .add_service(StoreService::new(store))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await?;
    Ok(ExitCode::SUCCESS)
}

/// Sends each tensor that is asked for by its size's place and its number.
fn answer(mut connection: TcpStream, tensors: &[Vec<Tensor>]) -> std::io::Result<()> {
    connection.set_nodelay(true)?;
    let mut request = [0; 16];
    loop {
        connection.read_exact(&mut request)?;
        let (place, block) = request.split_at(8);
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes")) as usize;
        let tensor = tensors
            .get(number(place))
            .and_then(|made| made.get(number(block)));
        let tensor = tensor.ok_or(std::io::ErrorKind::InvalidInput)?;
        connection.write_all(tensor.bytes())?;
    }
}
