//! What functions print. A child's standard output and standard error are pipes: what comes is passed on to the worker's own, as it is,
//! and kept as lines of the task for which the child works. Nothing of it goes through the child, so what a C library writes and
//! what a crash leaves behind comes too.

use std::{
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    process::{ChildStderr, ChildStdout},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use graticule_logs::{LogLevel, LogLine, LogScope, note};
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
/// A line that is longer is cut.
const LINE_BYTES_MAX: usize = 16 << 10;

/// `graticule._logs` has these around what a handler of `logging` writes, which was told as a record already. Terminals leave them out.
const TOLD: &[u8] = b"\x1b]graticule;told\x07";
const NOT_TOLD: &[u8] = b"\x1b]graticule;new\x07";
const ESCAPE: u8 = 0x1b;

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
    is_error: bool,
    /// The line that has begun.
    line: Vec<u8>,
    /// How much of it was passed on.
    passed: usize,
    /// It was so long that it was told already.
    is_long: bool,
    /// What comes now was told as a record of `logging`.
    is_told: bool,
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
                is_error,
                line: Vec::new(),
                passed: 0,
                is_long: false,
                is_told: false,
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

    /// What was printed up to now is the task's; what comes from now on is of no task.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.take();
        state.end_lines();
        state.scope = state.scope.as_ref().map(LogScope::of_no_task);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes what is there, and passes it on.
    fn take(&mut self) {
        for stream in &mut self.streams {
            let lines = stream.take();
            stream.keep(&lines, self.scope.as_ref());
        }
    }

    /// What has no end is a line too.
    fn end_lines(&mut self) {
        for stream in &mut self.streams {
            let line = stream.end_line().filter(|_| !stream.is_long);
            let lines: Vec<String> = line.into_iter().collect();
            stream.keep(&lines, self.scope.as_ref());
            (stream.is_told, stream.is_long) = (false, false);
        }
    }
}

impl Stream {
    /// Passes on what has come: the lines that were not told yet.
    fn take(&mut self) -> Vec<String> {
        let (mut lines, mut on) = (Vec::new(), Vec::new());
        let mut piece = std::mem::take(&mut self.piece);
        for _ in 0..PIECE_COUNT_MAX {
            let Some(pipe) = &self.pipe else { break };
            match rustix::io::retry_on_intr(|| rustix::io::read(pipe.as_fd(), &mut piece[..])) {
                Ok(len @ 1..) => self.come(&piece[..len], &mut lines, &mut on),
                Err(rustix::io::Errno::AGAIN) => break,
                Ok(0) | Err(_) => self.pipe = None,
            }
        }
        self.piece = piece;
        if !on.is_empty() {
            // Where the worker's own output has no reader, the lines are kept all the same.
            let _ = self.pass_on(&on);
        }
        lines
    }

    /// Bytes have come: `on` gets those that are to be passed on, `lines` what they complete.
    fn come(&mut self, bytes: &[u8], lines: &mut Vec<String>, on: &mut Vec<u8>) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.passed == 0 && self.line.starts_with(NOT_TOLD) {
                self.line.drain(..NOT_TOLD.len());
                self.is_told = false;
            }
            let is_whole = part.ends_with(b"\n");
            if is_whole || self.line.len() > LINE_BYTES_MAX {
                on.extend_from_slice(&without_marks(&self.line[self.passed..]).0);
                self.passed = self.line.len();
                // What will be written over says nothing yet.
                let written_over = self
                    .line
                    .iter()
                    .rposition(|&byte| byte == b'\r')
                    .map_or(0, |at| at + 1);
                if is_whole || self.line.len() - written_over > LINE_BYTES_MAX {
                    let was_long = std::mem::replace(&mut self.is_long, !is_whole);
                    lines.extend(self.end_line().filter(|_| !was_long));
                } else {
                    self.line.drain(..written_over);
                    self.passed -= written_over;
                }
            }
        }
        // A progress bar goes on in its line.
        let rest = &self.line[self.passed..];
        let len = before_mark(rest);
        on.extend_from_slice(&rest[..len]);
        self.passed += len;
    }

    /// The line that has begun, if it says something that was not told already.
    fn end_line(&mut self) -> Option<String> {
        if self.line.is_empty() {
            return None;
        }
        let line = std::mem::take(&mut self.line);
        if self.passed < line.len() {
            // As in `take`.
            let _ = self.pass_on(&without_marks(&line[self.passed..]).0);
        }
        self.passed = 0;
        let (text, marks) = without_marks(&line);
        let was_told = self.is_told || marks.contains(&true);
        self.is_told = marks.last().copied().unwrap_or(self.is_told);
        if was_told {
            return None;
        }
        let text = String::from_utf8_lossy(&text);
        // Of a line that was written over and over what stands there at last.
        let text = text.trim_end().rsplit('\r').next().unwrap_or_default();
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn pass_on(&self, bytes: &[u8]) -> io::Result<()> {
        if self.is_error {
            return io::stderr().lock().write_all(bytes);
        }
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    /// Keeps lines; of errors, those that are indented go on with the one before, as in tracebacks and warnings.
    fn keep(&self, lines: &[String], scope: Option<&LogScope>) {
        let goes_on = |line: &str| self.is_error && line.starts_with([' ', '\t']);
        let (level, target) = match self.is_error {
            false => (LogLevel::Info, "stdout"),
            true => (LogLevel::Warn, "stderr"),
        };
        for lines in lines.chunk_by(|_, next| goes_on(next)) {
            let line = LogLine::new(level, target, &lines.join("\n"));
            match scope {
                Some(scope) => scope.run(|| note(line)),
                None => note(line),
            }
        }
    }
}

/// How many bytes stand before the first mark, or what may become one.
fn before_mark(bytes: &[u8]) -> usize {
    let is_mark = |at: usize| {
        let rest = &bytes[at..];
        [TOLD, NOT_TOLD]
            .iter()
            .any(|mark| rest.starts_with(mark) || mark.starts_with(rest))
    };
    let escapes = bytes.iter().enumerate().filter(|(_, byte)| **byte == ESCAPE);
    let mut marks = escapes.map(|(at, _)| at).filter(|&at| is_mark(at));
    marks.next().unwrap_or(bytes.len())
}

/// The bytes without marks, and of each mark whether it says that what follows was told.
fn without_marks(bytes: &[u8]) -> (Vec<u8>, Vec<bool>) {
    let (mut text, mut rest, mut marks) = (Vec::with_capacity(bytes.len()), bytes, Vec::new());
    while let Some(at) = rest.iter().position(|&byte| byte == ESCAPE) {
        let (before, behind) = rest.split_at(at);
        text.extend_from_slice(before);
        rest = if let Some(behind) = behind.strip_prefix(TOLD) {
            marks.push(true);
            behind
        } else if let Some(behind) = behind.strip_prefix(NOT_TOLD) {
            marks.push(false);
            behind
        } else {
            text.push(ESCAPE);
            &behind[1..]
        };
    }
    text.extend_from_slice(rest);
    (text, marks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(is_error: bool) -> Stream {
        Stream {
            pipe: None,
            is_error,
            line: Vec::new(),
            passed: 0,
            is_long: false,
            is_told: false,
            piece: Box::default(),
        }
    }

    /// What is passed on, and the lines, of bytes that come in pieces of so many.
    fn come(bytes: &[u8], piece: usize) -> (String, Vec<String>) {
        let (mut stream, mut lines, mut on) = (stream(true), Vec::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            stream.come(piece, &mut lines, &mut on);
        }
        lines.extend(stream.end_line());
        (String::from_utf8(on).unwrap(), lines)
    }

    #[test]
    fn however_output_is_cut_into_pieces_it_is_passed_on_and_told_line_by_line() {
        let told = [TOLD, b"warm\nand more", NOT_TOLD, b"\n"].concat();
        let one = [TOLD, b"w\n", NOT_TOLD].concat();
        let parts = [
            &b"a\xc3\xa4\n\n"[..],
            &told,
            b"b\n",
            &told,
            &one,
            &told,
            b" 10%\r\x1b[1m100%\n",
            &one,
            b"c",
        ];
        let all = parts.concat();
        for piece in 1..all.len() {
            let (on, lines) = come(&all, piece);
            assert_eq!(
                on,
                "a\u{e4}\n\nwarm\nand more\nb\nwarm\nand more\nw\nwarm\nand more\n 10%\r\x1b[1m100%\nw\nc",
                "pieces of {piece}"
            );
            assert_eq!(lines, ["a\u{e4}", "b", "\x1b[1m100%", "c"], "pieces of {piece}");
        }
    }

    #[test]
    fn of_a_line_that_is_too_long_the_beginning_is_told() {
        for piece in [1000, 7, 1 << 20] {
            let long = vec![b'x'; LINE_BYTES_MAX * 3 + 5];
            let (on, lines) = come(&[&long[..], b"\nshort\n", &long, b"\nlast"].concat(), piece);
            assert_eq!(on.len(), 2 * long.len() + 12);
            let short: Vec<&str> = lines.iter().map(|line| &line[..line.len().min(5)]).collect();
            assert_eq!(short, ["xxxxx", "short", "xxxxx", "last"]);
        }
    }

    #[test]
    fn a_line_that_is_written_over_for_long_is_what_stands_there_at_last() {
        let bar: String = (0..10_000).map(|step| format!("\r{step} of 9999")).collect();
        for piece in [1000, 7] {
            let (on, lines) = come(bar.as_bytes(), piece);
            assert_eq!(
                (on.len(), &lines[..]),
                (bar.len(), &["9999 of 9999".to_owned()][..])
            );
        }
    }
}
