//! A child process, as its worker sees it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::{AsFd, OwnedFd},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use graticule_client::{FunctionError, Value};
use graticule_kernel::Tensor;
use graticule_transfer::{Heard, Line};
use tokio::io::{Interest, unix::AsyncFd};

use super::{
    output::Output,
    runs::Done,
    watch::{Watch, Watched},
    words::{Answer, Ask, What, read, write},
};
use crate::{
    calls::nested::{self, Held},
    logged::Told,
    process::how_ended,
};

/// Functions whose pickle is shorter go along with each call.
const SENT_ONCE_BYTES_MIN: usize = 1 << 10;
/// How long a child that does not speak any more may take to end.
const END_PATIENCE: Duration = Duration::from_secs(1);
const END_POLL: Duration = Duration::from_millis(1);

/// A function on its way to a child.
#[derive(Debug, Clone)]
pub(super) struct Function {
    pub(super) digest: [u8; 32],
    /// The digest and the pickle.
    pub(super) whole: Tensor,
}

/// What a child is to run.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) ask: Ask,
    pub(super) function: Function,
    pub(super) tensors: Vec<Tensor>,
    /// All other children are to run it too.
    pub(super) is_everywhere: bool,
}

impl Asked {
    /// A call: its first value is its function, with its digest before it.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn call(inputs: &[Value]) -> Result<Self, FunctionError> {
        let (function, rest) = inputs.split_first().ok_or("a call without a function")?;
        let bytes = function.bytes().unwrap_or_default();
        let (digest, _) = bytes.split_first_chunk().ok_or("a call without a function")?;
        Ok(Self {
            ask: Ask::Call,
            function: Function {
                digest: *digest,
                whole: function.tensor().clone(),
            },
            tensors: rest.iter().map(|value| value.tensor().clone()).collect(),
            is_everywhere: false,
        })
    }
}

/// What a function makes, or what the task says of its failure.
pub(super) type Made = Result<Vec<Tensor>, String>;

/// What there is of a call without waiting.
pub(super) enum Looked {
    /// Nothing new.
    Nothing,
    /// Something was said in its middle.
    Said,
    /// Something large is being said.
    Part,
    /// Its last word.
    Ended(What, Vec<Tensor>),
}

/// How a child ended in the middle of a call.
pub(super) struct End {
    /// What the task says of it.
    pub(super) told: String,
    /// It was ended since there was not enough memory for all.
    pub(super) is_for_memory: bool,
}

#[derive(Debug)]
pub(super) struct Child {
    process: std::process::Child,
    line: Line,
    /// Functions that it has, unless it has let go of them.
    known: BTreeSet<[u8; 32]>,
    /// Calls within its call that it runs itself.
    claims: BTreeMap<u64, Held>,
    watched: Arc<Watched>,
    output: Arc<Output>,
    /// Tells a task when there is something to hear, once one has asked for it.
    news: Option<Arc<AsyncFd<OwnedFd>>>,
    /// What of `Client.run`'s it has done.
    pub(super) done: Done,
}

impl Child {
    pub(super) fn start(
        program: &[String],
        worker: &str,
        number: u64,
        watch: &Arc<Watch>,
    ) -> io::Result<Self> {
        let [interpreter, arguments @ ..] = program else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let (line, theirs) = Line::pair()?;
        let mut process = Command::new(interpreter)
            .args(arguments)
            .args([worker, &number.to_string()])
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let watched = watch.add(process.id());
        let output = Output::of(process.stdout.take(), process.stderr.take())?;
        Ok(Self {
            process,
            line,
            known: BTreeSet::new(),
            claims: BTreeMap::new(),
            watched,
            output,
            news: None,
            done: Done::default(),
        })
    }

    /// Whether it has not ended since it was asked last.
    pub(super) fn is_there(&mut self) -> bool {
        self.watched.wait(&mut self.process, false).is_none()
    }

    /// What tells the current task when there is something to hear.
    pub(super) fn news(&mut self) -> io::Result<Arc<AsyncFd<OwnedFd>>> {
        if let Some(news) = &self.news {
            return Ok(news.clone());
        }
        let file = self.line.as_fd().try_clone_to_owned()?;
        // Nobody waits to write, and whoever heard of the room for it would be woken at each word that the child hears.
        #[allow(unsafe_code)]
        // SAFETY: the descriptor is open as long as what owns it, which the registration owns.
        let news = unsafe { AsyncFd::register_with_interest(file, Interest::READABLE) }?;
        let news = Arc::new(news);
        self.news = Some(news.clone());
        Ok(news)
    }

    /// Bytes that are written to it to have it run something.
    pub(super) fn copied_len(&self, asked: &Asked) -> usize {
        let tensors = asked.tensors.iter().map(Line::copied_len);
        let function = if self.knows(&asked.function) {
            asked.function.digest.len()
        } else {
            asked.function.whole.bytes().len()
        };
        function + tensors.sum::<usize>()
    }

    /// Has it run a function, and waits for what it makes.
    ///
    /// # Errors
    /// If it is there no more, or says what makes no sense.
    pub(super) fn ask(&mut self, asked: &Asked) -> io::Result<Made> {
        // Whoever waits on a thread need not have others woken.
        self.news = None;
        self.begin(asked)?;
        self.end(asked, None)
    }

    /// Has it begin with a function.
    ///
    /// # Errors
    /// If it is there no more.
    pub(super) fn begin(&mut self, asked: &Asked) -> io::Result<()> {
        self.output.begin();
        self.say(asked)
    }

    /// As [`Self::begin`], if that can be done without waiting; `false` if not.
    ///
    /// # Errors
    /// As there.
    pub(super) fn begin_now(&mut self, asked: &Asked) -> io::Result<bool> {
        Ok(self.output.begin_now() && self.say(asked).map(|()| true)?)
    }

    /// Waits for the end of a call, whose last word may have been heard already.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(super) fn end(&mut self, asked: &Asked, heard: Option<(What, Vec<Tensor>)>) -> io::Result<Made> {
        let mut heard = heard;
        loop {
            let last = match heard.take() {
                Some(last) => Ok(last),
                None => self.last_word(),
            };
            self.watched.maps(self.line.borrowed_bytes());
            let (what, made) = last?;
            self.output.end();
            match what {
                What::Unknown if self.known.remove(&asked.function.digest) => self.begin(asked)?,
                what => return self.made(asked, what, made),
            }
        }
    }

    /// What a call has made, if its end needs nothing that could take a while; its last word otherwise.
    pub(super) fn end_now(
        &mut self,
        asked: &Asked,
        heard: (What, Vec<Tensor>),
    ) -> Result<io::Result<Made>, (What, Vec<Tensor>)> {
        let (what, made) = heard;
        if matches!(what, What::Unknown) || !self.output.end_if_silent() {
            return Err((what, made));
        }
        self.watched.maps(self.line.borrowed_bytes());
        Ok(self.made(asked, what, made))
    }

    /// What there is of its call, without waiting.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(super) fn look(&mut self) -> io::Result<Looked> {
        match self.line.hear_now()? {
            Heard::Nothing => Ok(Looked::Nothing),
            Heard::Part => Ok(Looked::Part),
            Heard::End => Err(io::ErrorKind::UnexpectedEof.into()),
            Heard::Message((words, tensors)) => Ok(match self.take(&words, tensors)? {
                Some((what, made)) => Looked::Ended(what, made),
                None => Looked::Said,
            }),
        }
    }

    fn knows(&self, function: &Function) -> bool {
        function.whole.bytes().len() > SENT_ONCE_BYTES_MIN && self.known.contains(&function.digest)
    }

    fn say(&mut self, asked: &Asked) -> io::Result<()> {
        let function = if self.knows(&asked.function) {
            Value::from(asked.function.digest.to_vec()).into_tensor()
        } else {
            asked.function.whole.clone()
        };
        let mut sent = vec![function];
        sent.extend_from_slice(&asked.tensors);
        let lent: usize = sent.iter().map(|tensor| tensor.bytes().len()).sum();
        self.watched.maps(lent + self.line.borrowed_bytes());
        self.line.say(&write(&asked.ask)?, &sent)
    }

    fn made(&mut self, asked: &Asked, what: What, made: Vec<Tensor>) -> io::Result<Made> {
        match what {
            What::Made => {
                self.known.insert(asked.function.digest);
                Ok(Ok(made))
            }
            What::Failed(message) => Ok(Err(message)),
            what => Err(io::Error::other(format!("it said {what:?}"))),
        }
    }

    /// What ends its call; what it asks and tells meanwhile is seen to.
    fn last_word(&mut self) -> io::Result<(What, Vec<Tensor>)> {
        loop {
            let Some((words, tensors)) = self.line.hear()? else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            if let Some(last) = self.take(&words, tensors)? {
                return Ok(last);
            }
        }
    }

    /// Sees to what it said in the middle of a call; gives back what ends it.
    fn take(&mut self, words: &[u8], mut tensors: Vec<Tensor>) -> io::Result<Option<(What, Vec<Tensor>)>> {
        let answer: Answer = read(words)?;
        answer.forgot.into_iter().for_each(nested::forget);
        answer.logged.into_iter().for_each(Told::keep);
        match answer.what {
            What::Claim(token) => {
                let held = Held::take(token);
                self.line.say(&write(&Ask::Claimed(held.is_some()))?, &[])?;
                self.claims.extend(held.map(|held| (token, held)));
            }
            What::Settled { token, failed } => {
                let value = tensors.pop().map(Value::from);
                let outcome = match (failed, value) {
                    (Some(message), _) => Err(message.into()),
                    (None, value) => value.ok_or_else(|| "a call made nothing".into()),
                };
                if let Some(held) = self.claims.remove(&token) {
                    held.made(outcome);
                }
            }
            What::GaveUp(token) => drop(self.claims.remove(&token)),
            What::Noted => {}
            what @ (What::Made | What::Failed(_) | What::Unknown) => {
                self.claims.clear();
                return Ok(Some((what, tensors)));
            }
        }
        Ok(None)
    }

    /// How it ended, with what it ran.
    pub(super) fn obituary(mut self, error: &io::Error) -> End {
        let begun = Instant::now();
        let mut status = self.watched.wait(&mut self.process, false);
        while status.is_none() && begun.elapsed() < END_PATIENCE {
            std::thread::sleep(END_POLL);
            status = self.watched.wait(&mut self.process, false);
        }
        // What it said last belongs to its task too.
        self.output.end();
        if let Some(told) = self.watched.verdict() {
            let is_for_memory = true;
            return End { told, is_for_memory };
        }
        let told = match status {
            Some(status) => {
                let how = how_ended(status).unwrap_or_else(|| "ended by itself, with exit code 0".into());
                format!(
                    "the process that ran the function {how}; the worker goes on, and the task is not tried again unless retries= says so"
                )
            }
            None => format!("the process that ran the function cannot be understood any more: {error}"),
        };
        let is_for_memory = false;
        End { told, is_for_memory }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and need not be.
        let _ = self.process.kill();
        self.watched.wait(&mut self.process, true);
    }
}
