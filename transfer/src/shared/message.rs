//! What is said at a door. A question is a length and the message that gRPC's fetch takes, for a whole chunk. The answer
//! is a length and nothing, or the chunk's encoded header and the offset of each part, with the parts' descriptors.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{BorrowedFd, OwnedFd},
};

use graticule_kernel::PART_COUNT_MAX;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use tokio::{io::Interest, net::UnixStream};

/// The longest message: a header of as many parts and axes as there may be.
const MESSAGE_BYTES_MAX: usize = 16 << 10;
const LEN_BYTES: usize = 4;

/// Sends a message with descriptors.
///
/// # Errors
/// If the other end is gone or does not take it.
pub(super) async fn send(stream: &UnixStream, message: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<()> {
    let len = u32::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let all = [&len.to_le_bytes()[..], message].concat();
    let sent = stream.async_io(Interest::WRITABLE, || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PART_COUNT_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !files.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(files));
        }
        Ok(sendmsg(
            stream,
            &[IoSlice::new(&all)],
            &mut control,
            SendFlags::NOSIGNAL,
        )?)
    });
    // A socket takes a message this short in one piece, or the other end has not read for long.
    if sent.await? == all.len() {
        return Ok(());
    }
    Err(io::ErrorKind::WriteZero.into())
}

/// The next message with its descriptors; `None` if the other end has gone.
///
/// # Errors
/// If what comes is none.
pub(super) async fn receive(stream: &UnixStream) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let (mut all, mut files) = (Vec::new(), Vec::new());
    let mut piece = vec![0; MESSAGE_BYTES_MAX];
    loop {
        let count = stream.async_io(Interest::READABLE, || read_some(stream, &mut piece, &mut files));
        let count = count.await?;
        if count == 0 {
            let is_between = all.is_empty();
            return if is_between {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
        all.extend_from_slice(&piece[..count]);
        let Some((len, rest)) = all.split_at_checked(LEN_BYTES) else {
            continue;
        };
        let len = u32::from_le_bytes(len.try_into().expect("four bytes")) as usize;
        if len > MESSAGE_BYTES_MAX || rest.len() > len {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if rest.len() == len {
            return Ok(Some((all.split_off(LEN_BYTES), files)));
        }
    }
}

fn read_some(stream: &UnixStream, piece: &mut [u8], files: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PART_COUNT_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        stream,
        &mut [IoSliceMut::new(piece)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(more) = message {
            files.extend(more);
        }
    }
    Ok(received.bytes)
}
