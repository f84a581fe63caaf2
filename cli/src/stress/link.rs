//! A connection that can be cut: a relay on the loopback interface.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// Bytes that the relay takes at a time.
const PIECE_BYTES: usize = 64 << 10;

/// What happens to what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It goes on.
    Whole,
    /// It is held back, and nobody hears of it: as when a cable is pulled.
    Cut,
}

/// Relays connections to one address. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Link {
    /// Where to connect in place of the address behind it.
    pub(super) address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    /// Counts up when all connections are to end.
    severed: Arc<watch::Sender<u64>>,
    relaying: JoinHandle<()>,
}

impl Link {
    /// Relays to `target`.
    ///
    /// # Errors
    /// If no port can be had.
    pub(super) async fn to(target: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (state, severed) = (
            Arc::new(watch::Sender::new(State::Whole)),
            Arc::new(watch::Sender::new(0)),
        );
        let relaying = tokio::spawn(accept(listener, target, state.clone(), severed.clone()));
        Ok(Self {
            address,
            state,
            severed,
            relaying,
        })
    }

    /// Holds everything back, in both directions, for a while; `ends` ends the connections at once instead, and new ones
    /// wait for as long.
    pub(super) fn strike(&self, ends: bool, silence: Duration) {
        self.state.send_replace(State::Cut);
        if ends {
            self.severed.send_modify(|count| *count += 1);
        }
        let state = self.state.clone();
        tokio::spawn(async move {
            tokio::time::sleep(silence).await;
            state.send_replace(State::Whole);
        });
    }

    /// Lets go on what was held back.
    pub(super) fn mend(&self) {
        self.state.send_replace(State::Whole);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.relaying.abort();
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    state: Arc<watch::Sender<State>>,
    severed: Arc<watch::Sender<u64>>,
) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((near, _)) = accepted else { continue };
                connections.spawn(relay(near, target, state.subscribe(), severed.subscribe()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Carries bytes both ways until a side ends or the connection is severed.
async fn relay(
    near: TcpStream,
    target: SocketAddr,
    mut state: watch::Receiver<State>,
    mut severed: watch::Receiver<u64>,
) {
    severed.mark_unchanged();
    // A connection that begins while the link is cut waits like everything else.
    if state.wait_for(|state| *state == State::Whole).await.is_err() {
        return;
    }
    let Ok(far) = TcpStream::connect(target).await else {
        return;
    };
    for stream in [&near, &far] {
        // Without it, small messages wait; that changes no result.
        let _ = stream.set_nodelay(true);
    }
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = carry(near_in, far_out, state.clone()) => {}
        () = carry(far_in, near_out, state) => {}
        _ = severed.changed() => {}
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let Ok(len @ 1..) = from.read(&mut piece).await else {
            return;
        };
        if state.wait_for(|state| *state == State::Whole).await.is_err() {
            return;
        }
        if to.write_all(&piece[..len]).await.is_err() {
            return;
        }
    }
}
