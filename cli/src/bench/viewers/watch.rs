//! The process of those who watch.

use std::{net::SocketAddr, process::ExitCode};

use anyhow::ensure;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::terminal;

/// What is said once all follow.
pub(super) const FOLLOWING: &str = "following";
/// What a viewer that never reads lets come before it takes no more.
const SILENT_BYTES_MAX: u32 = 4_096;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct WatchArgs {
    /// The dashboard's address.
    #[arg(long, value_name = "ADDRESS")]
    dashboard: SocketAddr,
    /// Viewers that follow.
    #[arg(long, value_name = "COUNT")]
    viewers: u64,
    /// How many of them never read.
    #[arg(long, value_name = "COUNT")]
    silent: u64,
}

/// Follows a cluster as so many pages do, until it is killed. Frames are read and not looked at: what pages do with them is
/// their browsers' time.
pub(crate) async fn watch(args: &WatchArgs) -> anyhow::Result<ExitCode> {
    let mut silent = Vec::new();
    for viewer in 0..args.viewers {
        let is_silent = viewer < args.silent;
        let stream = follow(args.dashboard, is_silent).await?;
        if is_silent {
            silent.push(stream);
        } else {
            tokio::spawn(read(stream));
        }
    }
    terminal::say(FOLLOWING)?;
    std::future::pending().await
}

/// A WebSocket that has been opened.
async fn follow(address: SocketAddr, is_silent: bool) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if is_silent {
        socket.set_recv_buffer_size(SILENT_BYTES_MAX)?;
    }
    let mut stream = socket.connect(address).await?;
    let request = format!(
        "GET /api/live HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    ensure!(
        &head == b"HTTP/1.1 101",
        "the dashboard takes no more viewers: {}",
        head.escape_ascii()
    );
    Ok(stream)
}

async fn read(mut stream: TcpStream) {
    let mut piece = vec![0; 1 << 16];
    while matches!(stream.read(&mut piece).await, Ok(1..)) {}
}
