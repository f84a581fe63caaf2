//! What functions print. A child's standard output and standard error are pipes: what comes is passed on to the worker's own, as it is,
//! and kept as lines of the task for which the child works. Nothing of it goes through the child, so what a C library writes and
//! what a crash leaves behind comes too.

use std::{
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    process::{ChildStderr, ChildStdout},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use graticule_logs::{LogScope, OutputLines};
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::OFlags,
};

/// What a pipe holds, if the system lets it: so much a function can print without waiting.
const PIPE_BYTES: usize = 1 << 20;
/// What is read at once.
const PIECE_BYTES: usize = 16 << 10;
/// Pieces that are taken in one go: a thread of the child's that writes on and on holds nobody up.
const PIECE_COUNT_MAX: usize = PIPE_BYTES / PIECE_BYTES;

/// The output of a child.
#[derive(Debug)]
pub(super) struct Output {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Whose lines they are.
    scope: Option<LogScope>,
    streams: Vec<Stream>,
}

#[derive(Debug)]
struct Stream {
    /// `None` once all who could write are gone.
    pipe: Option<Arc<OwnedFd>>,
    lines: OutputLines,
    /// Something came since lines were ended the last time.
    has_come: bool,
    /// The last line that was passed on had no end yet.
    is_open: bool,
    /// Room for what is read.
    piece: Box<[u8]>,
}

impl Output {
    /// That of a child which has just been started. Until its first call it is of no task.
    pub(super) fn of(stdout: Option<ChildStdout>, stderr: Option<ChildStderr>) -> io::Result<Arc<Self>> {
        let pipes = [stdout.map(OwnedFd::from), stderr.map(OwnedFd::from)];
        let mut streams = Vec::new();
        for (pipe, is_error) in pipes.into_iter().zip([false, true]) {
            let Some(pipe) = pipe else { continue };
            rustix::fs::fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
            // A smaller one is as good, only slower.
            let _ = rustix::pipe::fcntl_setpipe_size(&pipe, PIPE_BYTES);
            streams.push(Stream {
                pipe: Some(Arc::new(pipe)),
                lines: OutputLines::of(is_error),
                has_come: false,
                is_open: false,
                piece: vec![0; PIECE_BYTES].into(),
            });
        }
        let scope = LogScope::here().map(|scope| scope.of_no_task());
        let output = Arc::new(Self {
            state: Mutex::new(State { scope, streams }),
        });
        let read = output.clone();
        let builder = std::thread::Builder::new().name("graticule-output".into());
        builder.spawn(move || read.follow())?;
        Ok(output)
    }

    /// Takes what comes until nobody is left who could write: the child, and what it started.
    fn follow(&self) {
        loop {
            let pipes: Vec<Arc<OwnedFd>> = self
                .lock()
                .streams
                .iter()
                .filter_map(|s| s.pipe.clone())
                .collect();
            let mut looks: Vec<PollFd<'_>> = pipes
                .iter()
                .map(|pipe| PollFd::new(pipe, PollFlags::IN))
                .collect();
            if looks.is_empty() || rustix::io::retry_on_intr(|| poll(&mut looks, None)).is_err() {
                return;
            }
            self.lock().take();
        }
    }

    /// From now on lines are of the task whose thread this is.
    pub(super) fn begin(&self) {
        self.lock().scope = LogScope::here();
    }

    /// As [`Self::begin`], unless what was printed before is just being passed on, which may have to wait.
    pub(super) fn begin_now(&self) -> bool {
        let state = self.state.try_lock();
        state.is_ok_and(|mut state| {
            state.scope = LogScope::here();
            true
        })
    }

    /// What was printed up to now is the task's; what comes from now on is of no task.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.take();
        state.end_lines();
        state.scope = state.scope.as_ref().map(LogScope::of_no_task);
    }

    /// As [`Self::end`] where nothing was printed since the task began; else nothing is done, as it may have to wait for those who
    /// read the worker's own output.
    pub(super) fn end_if_silent(&self) -> bool {
        // Who has the lock has something to take.
        let Ok(mut state) = self.state.try_lock() else {
            return false;
        };
        let is_silent = state.streams.iter().all(Stream::is_silent);
        if is_silent {
            state.scope = state.scope.as_ref().map(LogScope::of_no_task);
        }
        is_silent
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes what is there, and passes it on so that lines do not stand within each other: of a line that was begun the end goes
    /// first, and is looked for last, since it was written before what others have said since; a new beginning goes last.
    fn take(&mut self) {
        self.streams.sort_by_key(|stream| stream.is_open);
        let came = self.streams.iter_mut().map(|stream| {
            let was_open = stream.is_open;
            let (lines, on) = stream.take();
            let is_begun = on.last().is_some_and(|last| *last != b'\n');
            (!was_open, is_begun, lines, on, stream)
        });
        let mut came: Vec<_> = came.collect();
        came.sort_by_key(|&(is_new, is_begun, ..)| (is_new, is_begun));
        for (_, _, lines, on, stream) in came {
            stream.pass_on(&on);
            stream.lines.keep(&lines, self.scope.as_ref());
        }
    }

    /// What has no end is a line too.
    fn end_lines(&mut self) {
        for stream in &mut self.streams {
            let mut on = Vec::new();
            let line = stream.lines.end(&mut on);
            stream.has_come = false;
            stream.pass_on(&on);
            stream.lines.keep(line.as_slice(), self.scope.as_ref());
        }
    }
}

impl Stream {
    /// What has come: the lines that were not told yet, and what is to be passed on.
    fn take(&mut self) -> (Vec<String>, Vec<u8>) {
        let (mut lines, mut on) = (Vec::new(), Vec::new());
        let mut piece = std::mem::take(&mut self.piece);
        for _ in 0..PIECE_COUNT_MAX {
            let Some(pipe) = &self.pipe else { break };
            match rustix::io::retry_on_intr(|| rustix::io::read(pipe.as_fd(), &mut piece[..])) {
                Ok(len @ 1..) => {
                    self.has_come = true;
                    self.lines.come(&piece[..len], &mut lines, &mut on);
                }
                Err(rustix::io::Errno::AGAIN) => break,
                Ok(0) | Err(_) => self.pipe = None,
            }
        }
        self.piece = piece;
        (lines, on)
    }

    /// Whether nothing has come that was not told, and nothing is to come.
    fn is_silent(&self) -> bool {
        let is_empty = |pipe: &Arc<OwnedFd>| rustix::io::ioctl_fionread(pipe) == Ok(0);
        !self.has_come && self.pipe.as_ref().is_none_or(is_empty)
    }

    fn pass_on(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        self.is_open = *last != b'\n';
        // Where the worker's own output has no reader, the lines are kept all the same.
        let _ = if self.lines.is_error() {
            io::stderr().lock().write_all(bytes)
        } else {
            let mut out = io::stdout().lock();
            out.write_all(bytes).and_then(|()| out.flush())
        };
    }
}
