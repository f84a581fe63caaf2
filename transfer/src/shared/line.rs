//! A line between two processes of one host, of which one started the other: messages are words and tensors. Tensors that lie in
//! memory with a descriptor are handed over where they lie, others are copied through the socket.
//!
//! A message is the length of its head, the number of its descriptors, the length of what is copied, the head, and the bytes of the
//! tensors that have no descriptor. The descriptors come along with the first bytes.
//!
//! An end that [lends](Line::lend) its memory gets it back with a later message, when the other end does not use it any more, and
//! can use it again: memory that is there already is filled much faster than the system gives new one.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::{Arc, atomic::Ordering},
};

use graticule_kernel::{Chunk, Tensor, TensorMut, split_header};
use rustix::{
    event::{PollFd, PollFlags, poll},
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, recvmsg, sendmsg,
    },
};

use super::memory::{self, Lender, Returns, Shareable};

/// What stands before a head: its length, the number of descriptors, and the length of what is copied.
const PREFIX_BYTES: usize = 16;
/// Descriptors that go with one byte of the prefix; Linux takes up to 253.
const FILES_AT_ONCE: usize = 128;
/// Descriptors of a message. Tensors beyond are copied.
const FILE_COUNT_MAX: usize = FILES_AT_ONCE * 8;
/// Tensors below this are copied: that is faster than to map them.
const HANDED_BYTES_MIN: usize = 64 << 10;
/// The longest head.
const HEAD_BYTES_MAX: usize = 64 << 20;
/// Descriptors of a message that is heard without waiting.
const SMALL_FILE_COUNT_MAX: usize = 8;
/// What is read at once, or written.
const PIECE_BYTES: usize = 16 << 10;

/// What is said: words, and tensors with them.
pub type Message = (Vec<u8>, Vec<Tensor>);

/// What is there of the next message.
#[derive(Debug)]
pub enum Heard {
    /// Not all of it yet, if anything.
    Nothing,
    /// All of it.
    Message(Message),
    /// The beginning of a large one, which [`Line::hear`] is to wait for.
    Part,
    /// The other end has gone.
    End,
}

/// One end of a line.
#[derive(Debug)]
pub struct Line {
    stream: UnixStream,
    /// What has come and was not read yet, from `begin` on.
    came: Vec<u8>,
    begin: usize,
    /// Room for what is read at once.
    piece: Box<[u8]>,
    files: VecDeque<OwnedFd>,
    lent: Lent,
    returns: Arc<Returns>,
}

/// What this end has lent, by number, and is to have back.
#[derive(Debug, Default)]
struct Lent {
    tensors: BTreeMap<u64, Tensor>,
    bytes: usize,
    bytes_max: usize,
    next: u64,
}

/// Tensors as a message has them.
#[derive(Default)]
struct Written<'a> {
    head: Vec<u8>,
    files: Vec<Arc<Shareable>>,
    copied: Vec<&'a [u8]>,
}

impl Line {
    /// A line's two ends: one for this process, and one as a descriptor for another, which makes it [a line](Self::of) there.
    ///
    /// # Errors
    /// If the system gives no socket.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self::new(ours), theirs.into()))
    }

    /// The end that this process was given.
    pub fn of(file: OwnedFd) -> Self {
        Self::new(file.into())
    }

    fn new(stream: UnixStream) -> Self {
        let (came, files) = (Vec::new(), VecDeque::new());
        Self {
            stream,
            came,
            begin: 0,
            piece: vec![0; PIECE_BYTES].into(),
            files,
            lent: Lent::default(),
            returns: Arc::default(),
        }
    }

    /// From now on memory that goes along is lent, up to so many bytes; the rest is given away.
    pub fn lend(&mut self, bytes_max: usize) {
        self.lent.bytes_max = bytes_max;
    }

    /// Bytes that the other end has lent, and that are used here.
    pub fn borrowed_bytes(&self) -> usize {
        self.returns.bytes.load(Ordering::Relaxed)
    }

    /// Sends a message. Memory that goes along is never used again for anything else, unless it was lent and comes back.
    ///
    /// # Errors
    /// If the other end has gone; if the words are longer than 64 MiB.
    pub fn say(&mut self, words: &[u8], tensors: &[Tensor]) -> io::Result<()> {
        let mut written = Written::default();
        put(&mut written.head, words.len() as u64);
        written.head.extend_from_slice(words);
        let returned = self.returns.take();
        put(&mut written.head, returned.len() as u64);
        for (number, is_handed_on) in returned {
            put(&mut written.head, number << 1 | u64::from(is_handed_on));
        }
        put(&mut written.head, tensors.len() as u64);
        for tensor in tensors {
            written.put(tensor, &mut self.lent)?;
        }
        if written.head.len() > HEAD_BYTES_MAX {
            return Err(invalid("a message of so many words"));
        }
        let count = |len: usize| u32::try_from(len).map_err(io::Error::other);
        let copied_len: usize = written.copied.iter().map(|bytes| bytes.len()).sum();
        let prefix = [
            &count(written.head.len())?.to_le_bytes()[..],
            &count(written.files.len())?.to_le_bytes(),
            &(copied_len as u64).to_le_bytes(),
        ]
        .concat();
        let files: Vec<BorrowedFd<'_>> = written.files.iter().map(|file| file.file.as_fd()).collect();
        let sent = files.chunks(FILES_AT_ONCE).enumerate();
        let mut at = 0;
        for (index, files) in sent {
            send_byte(&self.stream, prefix[index], files)?;
            at = index + 1;
        }
        let mut head = prefix[at..].to_vec();
        head.append(&mut written.head);
        let mut copied = written.copied.into_iter().peekable();
        // Small ones go at once: a call to the system takes longer than to copy them.
        while let Some(bytes) = copied.next_if(|bytes| head.len() + bytes.len() <= PIECE_BYTES) {
            head.extend_from_slice(bytes);
        }
        self.stream.write_all(&head)?;
        copied.try_for_each(|bytes| self.stream.write_all(bytes))
    }

    /// The next message; `None` if the other end has gone.
    ///
    /// # Errors
    /// If what comes is none, or the other end went in the middle of one.
    pub fn hear(&mut self) -> io::Result<Option<Message>> {
        if self.came.len() == self.begin && !self.read_some()? {
            return Ok(None);
        }
        let prefix = Prefix::of(&self.take(PREFIX_BYTES)?)?;
        let head = self.take(prefix.head_len)?;
        let mut rest = &head[..];
        let words_len = usize::try_from(number_of(&mut rest)?).map_err(io::Error::other)?;
        let words = part_of(&mut rest, words_len)?.to_vec();
        for _ in 0..number_of(&mut rest)? {
            let returned = number_of(&mut rest)?;
            self.lent.back(returned >> 1, returned & 1 == 1);
        }
        let count = number_of(&mut rest)?;
        let mut tensors = Vec::new();
        for _ in 0..count {
            tensors.push(self.tensor(&mut rest)?);
        }
        Ok(Some((words, tensors)))
    }

    /// The next message, if all of it is there already: nothing is waited for.
    ///
    /// # Errors
    /// As [`Self::hear`].
    pub fn hear_now(&mut self) -> io::Result<Heard> {
        loop {
            let came = &self.came[self.begin..];
            let prefix = came.get(..PREFIX_BYTES).map(Prefix::of).transpose()?;
            let is_begun = !came.is_empty();
            if prefix.as_ref().is_some_and(|prefix| !prefix.is_small()) {
                return Ok(Heard::Part);
            }
            if prefix.is_some_and(|prefix| prefix.is_whole(came.len())) {
                return Ok(self.hear()?.map_or(Heard::End, Heard::Message));
            }
            match self.receive(RecvFlags::DONTWAIT) {
                Ok(0) if is_begun => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(0) => return Ok(Heard::End),
                Ok(_) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(Heard::Nothing),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// How many bytes of a tensor go through the socket when it is said: none of one that is handed over where it lies.
    pub fn copied_len(tensor: &Tensor) -> usize {
        let bytes = tensor.bytes();
        let is_handed = bytes.len() >= HANDED_BYTES_MIN && memory::is_shareable(bytes);
        if is_handed { 0 } else { bytes.len() }
    }

    fn tensor(&mut self, rest: &mut &[u8]) -> io::Result<Tensor> {
        let (place, number) = (number_of(rest)?, number_of(rest)?);
        let (parts, behind) = split_header(rest).map_err(io::Error::other)?;
        *rest = behind;
        let [(dtype, shape)] = &parts[..] else {
            return Err(invalid("a tensor of several parts"));
        };
        let (dtype, shape) = (*dtype, &shape[..]);
        if let Some(offset) = place.checked_sub(1) {
            let file = self.files.pop_front();
            let file = file.ok_or_else(|| invalid("fewer descriptors than tensors"))?;
            let len = Tensor::bytes_of(dtype, shape).map_err(io::Error::other)?;
            let lender = (number > 0).then(|| Lender {
                number,
                returns: self.returns.clone(),
            });
            let bytes = memory::adopt(file, offset, len, lender)?;
            return Tensor::from_bytes(dtype, shape, bytes).map_err(io::Error::other);
        }
        let mut made = TensorMut::for_overwrite(dtype, shape).map_err(io::Error::other)?;
        let bytes = made.bytes_mut();
        let here = bytes.len().min(self.came.len() - self.begin);
        bytes[..here].copy_from_slice(&self.came[self.begin..self.begin + here]);
        self.begin += here;
        self.stream.read_exact(&mut bytes[here..])?;
        Ok(made.freeze())
    }

    /// The next bytes, so many.
    fn take(&mut self, len: usize) -> io::Result<Vec<u8>> {
        while self.came.len() - self.begin < len {
            if !self.read_some()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let taken = self.came[self.begin..self.begin + len].to_vec();
        self.begin += len;
        Ok(taken)
    }

    /// Waits for more; `false` if the other end has gone.
    fn read_some(&mut self) -> io::Result<bool> {
        // One who sleeps in `recvmsg` is woken when the other end reads, too: there is room to write again. One who polls is not.
        let mut look = [PollFd::new(&self.stream, PollFlags::IN)];
        rustix::io::retry_on_intr(|| poll(&mut look, None))?;
        Ok(self.receive(RecvFlags::empty())? > 0)
    }

    /// Takes what is there, or else waits if the flags do not say otherwise: so many bytes, none if the other end has gone.
    fn receive(&mut self, flags: RecvFlags) -> rustix::io::Result<usize> {
        self.came.drain(..self.begin);
        self.begin = 0;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_AT_ONCE))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            let mut piece = [IoSliceMut::new(&mut self.piece)];
            recvmsg(
                &self.stream,
                &mut piece,
                &mut control,
                flags | RecvFlags::CMSG_CLOEXEC,
            )
        });
        let bytes = received.as_ref().map_or(0, |received| received.bytes);
        self.came.extend_from_slice(&self.piece[..bytes]);
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(more) = message {
                self.files.extend(more);
            }
        }
        received.map(|received| received.bytes)
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// What stands before a head.
struct Prefix {
    head_len: usize,
    file_count: usize,
    copied_len: usize,
}

impl Prefix {
    fn of(bytes: &[u8]) -> io::Result<Self> {
        let number =
            |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
        let copied_len = u64::from_le_bytes(bytes[8..16].try_into().expect("eight bytes"));
        let prefix = Self {
            head_len: number(0),
            file_count: number(4),
            copied_len: usize::try_from(copied_len).map_err(io::Error::other)?,
        };
        if prefix.head_len > HEAD_BYTES_MAX || prefix.file_count > FILE_COUNT_MAX {
            return Err(invalid("not the beginning of a message"));
        }
        Ok(prefix)
    }

    /// Whether it takes next to no time to hear all.
    fn is_small(&self) -> bool {
        self.file_count <= SMALL_FILE_COUNT_MAX
            && self.head_len <= PIECE_BYTES
            && self.copied_len <= PIECE_BYTES
    }

    /// Whether so many bytes, from the prefix on, are all of a message.
    fn is_whole(&self, len: usize) -> bool {
        len >= PREFIX_BYTES + self.head_len + self.copied_len
    }
}

impl Lent {
    /// Lends a tensor, if that is not too much; its number, or 0.
    fn lend(&mut self, tensor: &Tensor) -> u64 {
        let len = tensor.bytes().len();
        if self.bytes + len > self.bytes_max {
            return 0;
        }
        self.bytes += len;
        self.next += 1;
        self.tensors.insert(self.next, tensor.clone());
        self.next
    }

    fn back(&mut self, number: u64, is_handed_on: bool) {
        let Some(tensor) = self.tensors.remove(&number) else {
            return;
        };
        self.bytes -= tensor.bytes().len();
        if !is_handed_on {
            memory::unshare(tensor.bytes());
        }
    }
}

impl<'a> Written<'a> {
    fn put(&mut self, tensor: &'a Tensor, lent: &mut Lent) -> io::Result<()> {
        let is_large = tensor.bytes().len() >= HANDED_BYTES_MIN;
        let shared = if is_large && self.files.len() < FILE_COUNT_MAX {
            memory::share(tensor.bytes())
        } else {
            None
        };
        // Where it lies in its memory, one more: none means that it is copied.
        put(
            &mut self.head,
            shared.as_ref().map_or(0, |(_, offset)| offset + 1),
        );
        put(&mut self.head, shared.as_ref().map_or(0, |_| lent.lend(tensor)));
        let alone = Chunk::new(vec![tensor.clone()]).map_err(io::Error::other)?;
        self.head.extend_from_slice(&alone.encode_header());
        match shared {
            Some((file, _)) => self.files.push(file),
            None => self.copied.push(tensor.bytes()),
        }
        Ok(())
    }
}

fn send_byte(stream: &UnixStream, byte: u8, files: &[BorrowedFd<'_>]) -> io::Result<()> {
    rustix::io::retry_on_intr(|| {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_AT_ONCE))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(files));
        sendmsg(
            stream,
            &[IoSlice::new(&[byte])],
            &mut control,
            SendFlags::NOSIGNAL,
        )
    })?;
    Ok(())
}

fn put(head: &mut Vec<u8>, number: u64) {
    head.extend_from_slice(&number.to_le_bytes());
}

fn part_of<'a>(rest: &mut &'a [u8], len: usize) -> io::Result<&'a [u8]> {
    let (part, behind) = rest
        .split_at_checked(len)
        .ok_or_else(|| invalid("a message that ends too early"))?;
    *rest = behind;
    Ok(part)
}

fn number_of(rest: &mut &[u8]) -> io::Result<u64> {
    let bytes = part_of(rest, 8)?.try_into().map_err(io::Error::other)?;
    Ok(u64::from_le_bytes(bytes))
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

#[cfg(test)]
mod tests {
    use graticule_plan::DType;

    use super::*;

    fn lines() -> (Line, Line) {
        let (one, other) = Line::pair().unwrap();
        (one, Line::of(other))
    }

    fn tensor(len: usize, byte: u8) -> Tensor {
        let mut made = TensorMut::for_overwrite(DType::UInt8, &[len]).unwrap();
        made.bytes_mut().fill(byte);
        made.freeze()
    }

    #[test]
    fn words_and_tensors_arrive_in_order_with_their_dtypes_and_shapes() {
        let (mut one, mut other) = lines();
        let numbers = Tensor::from_bytes(
            DType::Float64,
            &[2, 1],
            [1.5_f64, -2.0]
                .iter()
                .flat_map(|n| n.to_le_bytes())
                .collect::<Vec<u8>>()
                .into(),
        );
        let said = [tensor(3, 7), numbers.unwrap(), tensor(0, 0)];
        one.say(b"first", &said).unwrap();
        one.say(b"", &[]).unwrap();
        one.say(b"last", &[tensor(200_000, 9)]).unwrap();
        drop(one);
        let (words, tensors) = other.hear().unwrap().unwrap();
        assert_eq!(words, b"first");
        for (came, went) in tensors.iter().zip(&said) {
            assert_eq!(
                (came.dtype(), came.shape(), came.bytes()),
                (went.dtype(), went.shape(), went.bytes())
            );
        }
        assert_eq!(other.hear().unwrap().unwrap().0, b"");
        let (words, tensors) = other.hear().unwrap().unwrap();
        assert_eq!((&words[..], tensors[0].bytes().len()), (&b"last"[..], 200_000));
        assert!(tensors[0].bytes().iter().all(|&byte| byte == 9));
        assert!(other.hear().unwrap().is_none(), "the other end has gone");
    }

    #[test]
    fn large_tensors_are_handed_over_where_they_lie_and_on_from_there() {
        memory::share_large_buffers();
        let (mut one, other) = lines();
        let many: Vec<Tensor> = (0..150).map(|byte| tensor(1 << 20, byte)).collect();
        // A socket takes far less than these bytes at once, so nothing would arrive if they were copied before anybody reads.
        one.say(b"all", &many).unwrap();
        let mut other = other;
        let (_, came) = other.hear().unwrap().unwrap();
        assert_eq!(came.len(), many.len());
        let is_same =
            |(index, tensor): (usize, &Tensor)| tensor.bytes().iter().all(|&byte| usize::from(byte) == index);
        assert!(came.iter().enumerate().all(is_same));
        drop((many, one));
        let (mut third, fourth) = lines();
        third.say(b"on", &came[..2]).unwrap();
        let mut fourth = fourth;
        assert_eq!(fourth.hear().unwrap().unwrap().1[1].bytes()[9], 1);
    }

    #[test]
    fn lent_memory_comes_back_when_it_is_not_used_any_more_and_is_lent_up_to_a_limit() {
        memory::share_large_buffers();
        let (mut one, mut other) = lines();
        one.lend(7 << 20);
        let (kept, dropped) = (tensor(2 << 20, 1), tensor(2 << 20, 2));
        let place = dropped.bytes().as_ptr().addr();
        one.say(b"", &[kept, dropped, tensor(4 << 20, 3)]).unwrap();
        let (_, mut came) = other.hear().unwrap().unwrap();
        assert_eq!(
            (one.lent.tensors.len(), one.lent.bytes, other.borrowed_bytes()),
            (2, 4 << 20, 4 << 20)
        );
        came.remove(1);
        other.say(b"", &[]).unwrap();
        one.hear().unwrap().unwrap();
        assert_eq!((one.lent.tensors.len(), other.borrowed_bytes()), (1, 2 << 20));
        // The memory of the one that came back is used for the next of its size.
        assert_eq!(tensor(2 << 20, 4).bytes().as_ptr().addr(), place);
        assert!(
            came[0].bytes().iter().all(|&byte| byte == 1) && came[1].bytes().iter().all(|&byte| byte == 3)
        );
        // What was lent twice has to come back twice.
        let twice = tensor(2 << 20, 5);
        let place = twice.bytes().as_ptr().addr();
        let (mut early, mut late) = (Vec::new(), Vec::new());
        for came in [&mut early, &mut late] {
            one.say(b"", std::slice::from_ref(&twice)).unwrap();
            *came = other.hear().unwrap().unwrap().1;
        }
        drop((early, twice));
        other.say(b"", &[]).unwrap();
        one.hear().unwrap().unwrap();
        assert_ne!(tensor(2 << 20, 6).bytes().as_ptr().addr(), place);
        assert!(late[0].bytes().iter().all(|&byte| byte == 5));
        drop(late);
        // What was handed on may be looked at by others when it is not used here any more.
        let (mut third, mut fourth) = lines();
        third.say(b"", &came[..1]).unwrap();
        drop(came);
        let (_, far) = fourth.hear().unwrap().unwrap();
        other.say(b"", &[]).unwrap();
        one.hear().unwrap().unwrap();
        assert!(one.lent.tensors.is_empty());
        let newer: Vec<Tensor> = (0..3).map(|_| tensor(2 << 20, 9)).collect();
        assert!(far[0].bytes().iter().all(|&byte| byte == 1), "{}", newer.len());
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let nonsense = [&[4, 0, 0, 0][..], &[0; 12], &[9; 4]].concat();
        for bytes in [&[1_u8][..], &[255; 40], &nonsense] {
            let (one, mut other) = lines();
            (&one.stream).write_all(bytes).unwrap();
            drop(one);
            other.hear().unwrap_err();
        }
    }

    #[test]
    fn who_does_not_wait_hears_whole_messages_alone() {
        memory::share_large_buffers();
        let (mut one, mut other) = lines();
        assert!(matches!(other.hear_now(), Ok(Heard::Nothing)));
        for word in [b"a", b"b"] {
            one.say(word, &[tensor(5, 1)]).unwrap();
        }
        for word in [b"a", b"b"] {
            let Ok(Heard::Message((words, tensors))) = other.hear_now() else {
                panic!("it was said");
            };
            assert_eq!((&words[..], tensors[0].bytes()), (&word[..], &[1; 5][..]));
        }
        assert!(matches!(other.hear_now(), Ok(Heard::Nothing)));
        // What is long is for who waits.
        one.say(b"large", &[tensor(40_000, 2)]).unwrap();
        for _ in 0..2 {
            assert!(matches!(other.hear_now(), Ok(Heard::Part)));
        }
        let (_, tensors) = other.hear().unwrap().unwrap();
        assert!(tensors[0].bytes().len() == 40_000 && tensors[0].bytes().iter().all(|&byte| byte == 2));
        // What is handed over is not.
        let large = tensor(2 << 20, 3);
        assert_eq!(
            (Line::copied_len(&large), Line::copied_len(&tensor(9, 0))),
            (0, 9)
        );
        one.say(b"mapped", &[large]).unwrap();
        let Ok(Heard::Message((_, tensors))) = other.hear_now() else {
            panic!("it was said");
        };
        assert!(tensors[0].bytes().len() == 2 << 20 && tensors[0].bytes().iter().all(|&byte| byte == 3));
        one.say(b"many", &vec![tensor(1 << 20, 4); 9]).unwrap();
        assert!(matches!(other.hear_now(), Ok(Heard::Part)));
        assert_eq!(other.hear().unwrap().unwrap().1.len(), 9);
        one.say(b"last", &[]).unwrap();
        drop(one);
        assert!(matches!(other.hear_now(), Ok(Heard::Message((words, _))) if words == b"last"));
        assert!(matches!(other.hear_now(), Ok(Heard::End)));
        let (one, mut other) = lines();
        for bytes in [&4_u64.to_le_bytes()[..], &0_u64.to_le_bytes(), &[0; 2]] {
            (&one.stream).write_all(bytes).unwrap();
            assert!(matches!(other.hear_now(), Ok(Heard::Nothing)));
        }
        drop(one);
        other.hear_now().unwrap_err();
    }
}
