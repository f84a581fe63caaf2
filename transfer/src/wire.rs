//! Raw frames: the messages `Frame { bytes data = 1 }` of the protocol, written around bytes that are not copied, and
//! taken off them.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Body, Frame};
use tokio::sync::oneshot;
use tonic::{
    Code, Status,
    codegen::http::{HeaderMap, HeaderValue},
};

use crate::credit::Taken;

/// Bytes of chunk data in one message.
pub(crate) const MESSAGE_DATA_BYTES_MAX: usize = 2 << 20;
/// gRPC's own head of a message: a flag for compression, and the length.
const PREFIX_BYTES: usize = 5;
/// Protobuf's head of field 1, bytes.
const FIELD_TAG: u8 = 0x0a;
/// The longest length of a field in protobuf.
const VARINT_BYTES_MAX: usize = 10;

/// A response or a request of frames whose bytes are handles on the chunk's own memory.
pub(crate) struct FrameBody {
    pieces: VecDeque<Bytes>,
    is_ended: bool,
    has_status: bool,
}

/// Data on its way. When all of a chunk has gone, or nobody wants it any more, its credits are given back.
struct OnItsWay {
    data: Bytes,
    _credits: Arc<Taken>,
}

impl AsRef<[u8]> for OnItsWay {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl FrameBody {
    pub(crate) fn new(frames: impl IntoIterator<Item = Bytes>, credits: Taken) -> Self {
        let mut pieces = VecDeque::new();
        let credits = Arc::new(credits);
        for mut frame in frames {
            while !frame.is_empty() {
                let data = frame.split_to(frame.len().min(MESSAGE_DATA_BYTES_MAX));
                pieces.push_back(message_head(data.len()));
                pieces.push_back(Bytes::from_owner(OnItsWay {
                    data,
                    _credits: credits.clone(),
                }));
            }
        }
        Self {
            pieces,
            is_ended: false,
            has_status: true,
        }
    }

    /// The same as a request, which has no status behind it.
    pub(crate) fn into_request(self) -> Self {
        Self {
            is_ended: self.pieces.is_empty(),
            has_status: false,
            ..self
        }
    }

    /// Nothing more.
    fn ended() -> Self {
        Self {
            pieces: VecDeque::new(),
            is_ended: true,
            has_status: false,
        }
    }

    /// An answer of one empty message.
    pub(crate) fn empty_answer() -> Self {
        Self {
            pieces: VecDeque::from([enveloped(&[])]),
            is_ended: false,
            has_status: true,
        }
    }
}

/// What stands before the data of a message.
fn message_head(data_len: usize) -> Bytes {
    let mut field = [0; 1 + VARINT_BYTES_MAX];
    field[0] = FIELD_TAG;
    let mut field_len = 1;
    let mut rest = data_len;
    loop {
        let low = (rest & 0x7f) as u8;
        rest >>= 7;
        field[field_len] = if rest > 0 { low | 0x80 } else { low };
        field_len += 1;
        if rest == 0 {
            break;
        }
    }
    let mut head = BytesMut::with_capacity(PREFIX_BYTES + field_len);
    head.put_u8(0);
    head.put_u32((field_len + data_len) as u32);
    head.put_slice(&field[..field_len]);
    head.freeze()
}

impl Body for FrameBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(piece) = self.pieces.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if std::mem::replace(&mut self.is_ended, true) || !self.has_status {
            return Poll::Ready(None);
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

/// Takes frames off a response, and gives their data on without a copy.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    /// A message's head as far as it has come.
    head: Vec<u8>,
    /// Bytes of data still to come of this message.
    data_left: usize,
}

impl FrameReader {
    /// Reads what came; `take` gets each stretch of data.
    ///
    /// # Errors
    /// What is wrong with the bytes, or what `take` says.
    pub(crate) fn read(
        &mut self,
        mut bytes: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        while !bytes.is_empty() {
            if self.data_left > 0 {
                let (data, rest) = bytes.split_at(bytes.len().min(self.data_left));
                self.data_left -= data.len();
                bytes = rest;
                take(data)?;
                continue;
            }
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            if let Some(data_len) = parse_head(&self.head)? {
                self.head.clear();
                self.data_left = data_len;
            }
        }
        Ok(())
    }

    /// Whether what was read ends with a whole message.
    pub(crate) fn is_whole(&self) -> bool {
        self.head.is_empty() && self.data_left == 0
    }
}

/// The length of the data that a message's head announces; `None` if the head is not whole yet.
fn parse_head(head: &[u8]) -> Result<Option<usize>, String> {
    let Some((prefix, field)) = head.split_at_checked(PREFIX_BYTES) else {
        return Ok(None);
    };
    if prefix[0] != 0 {
        return Err("a compressed frame".into());
    }
    let message_len = u32::from_be_bytes(prefix[1..].try_into().expect("four bytes")) as usize;
    if message_len == 0 {
        return Ok(Some(0));
    }
    let Some((&tag, varint)) = field.split_first() else {
        return Ok(None);
    };
    if tag != FIELD_TAG {
        return Err(format!("a frame with field {tag:#x}"));
    }
    match varint.last() {
        None => return Ok(None),
        Some(last) if last & 0x80 != 0 && varint.len() < VARINT_BYTES_MAX => return Ok(None),
        Some(_) => {}
    }
    let len = varint.iter().rev().try_fold(0usize, |all, byte| {
        all.checked_mul(128)?.checked_add(usize::from(byte & 0x7f))
    });
    match len {
        Some(len) if len.checked_add(field.len()) == Some(message_len) => Ok(Some(len)),
        _ => Err("a frame of which lengths contradict each other".into()),
    }
}

/// The one message of a request.
///
/// # Errors
/// [`Code::InvalidArgument`].
pub(crate) fn request_message(body: &[u8]) -> Result<&[u8], Status> {
    let refused = |why: &str| Status::new(Code::InvalidArgument, why);
    let (prefix, message) = body
        .split_at_checked(PREFIX_BYTES)
        .ok_or_else(|| refused("no request"))?;
    let len = u32::from_be_bytes(prefix[1..].try_into().expect("four bytes"));
    if prefix[0] != 0 || len as usize != message.len() {
        return Err(refused("not one request without compression"));
    }
    Ok(message)
}

/// A message with gRPC's head.
pub(crate) fn enveloped(message: &[u8]) -> Bytes {
    let mut all = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    all.put_u8(0);
    all.put_u32(message.len() as u32);
    all.put_slice(message);
    all.freeze()
}

/// A request of frames that are sent when the store says that it takes them. Until then nothing of it lies in what the
/// connection may have under way, which those need that are taken.
pub(crate) struct HeldBack {
    opened: oneshot::Receiver<FrameBody>,
    frames: Option<FrameBody>,
}

impl HeldBack {
    /// A request without frames, and who gives them. It ends without any when that is dropped.
    pub(crate) fn new() -> (oneshot::Sender<FrameBody>, Self) {
        let (open, opened) = oneshot::channel();
        let frames = None;
        (open, Self { opened, frames })
    }
}

impl Body for HeldBack {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.frames.is_none() {
            match ready!(Pin::new(&mut self.opened).poll(context)) {
                Ok(frames) => self.frames = Some(frames.into_request()),
                Err(_) => return Poll::Ready(None),
            }
        }
        let frames = self.frames.as_mut().expect("they have just come");
        Pin::new(frames).poll_frame(context)
    }
}

/// What an answer waits for.
type Done = Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>;

/// An answer of one empty message whose head goes out at once, and the rest when something is done: what it says is the
/// status.
pub(crate) struct AnswerWhenDone {
    done: Option<Done>,
    answer: FrameBody,
}

impl AnswerWhenDone {
    pub(crate) fn new(done: impl Future<Output = Result<(), Status>> + Send + 'static) -> Self {
        Self {
            done: Some(Box::pin(done)),
            answer: FrameBody::empty_answer(),
        }
    }
}

impl Body for AnswerWhenDone {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(done) = &mut self.done {
            let done = ready!(done.as_mut().poll(context));
            self.done = None;
            if let Err(status) = done {
                self.answer = FrameBody::ended();
                let mut trailers = HeaderMap::new();
                status.add_header(&mut trailers)?;
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
        }
        Pin::new(&mut self.answer).poll_frame(context)
    }
}

/// A request's body: one piece.
pub(crate) struct OneMessage(pub(crate) Option<Bytes>);

impl Body for OneMessage {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(self.0.take().map(|piece| Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wire: &[u8], cut: usize) -> Result<(Vec<u8>, bool), String> {
        let (mut reader, mut data) = (FrameReader::default(), Vec::new());
        for piece in wire.chunks(cut) {
            reader.read(piece, |stretch| {
                data.extend_from_slice(stretch);
                Ok(())
            })?;
        }
        Ok((data, reader.is_whole()))
    }

    #[test]
    fn frames_cut_anywhere_give_their_data_back() {
        let mut wire = Vec::new();
        let mut sent = Vec::new();
        for len in [0usize, 1, 127, 128, 20_000] {
            let data: Vec<u8> = (0..len).map(|i| i as u8).collect();
            wire.extend_from_slice(&message_head(len));
            wire.extend_from_slice(&data);
            sent.extend_from_slice(&data);
        }
        // An empty message has no field at all.
        wire.extend_from_slice(&[0; 5]);
        for cut in [1, 2, 7, 4096, wire.len()] {
            assert_eq!(read(&wire, cut), Ok((sent.clone(), true)));
        }
        assert_eq!(
            read(&wire[..wire.len() - 6], 100).map(|(_, whole)| whole),
            Ok(false)
        );
    }

    #[test]
    fn other_messages_are_refused() {
        for wire in [
            &[1, 0, 0, 0, 2, 0x0a, 0][..],
            &[0, 0, 0, 0, 2, 0x12, 0],
            &[0, 0, 0, 0, 9, 0x0a, 1, 5],
            &[
                0, 0, 0, 0, 12, 0x0a, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
            ],
        ] {
            assert!(read(wire, 3).is_err(), "{wire:?}");
        }
    }
}
