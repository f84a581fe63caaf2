//! A child process, as its worker sees it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use graticule_client::Value;
use graticule_kernel::Tensor;
use graticule_transfer::Line;

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
#[derive(Debug)]
pub(super) struct Function {
    pub(super) digest: [u8; 32],
    /// The digest and the pickle.
    pub(super) whole: Tensor,
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
            done: Done::default(),
        })
    }

    /// Whether it has not ended since it was asked last.
    pub(super) fn is_there(&mut self) -> bool {
        self.watched.wait(&mut self.process, false).is_none()
    }

    /// Has it run a function: what it makes, or what the task says of its failure.
    ///
    /// # Errors
    /// If it is there no more, or says what makes no sense.
    pub(super) fn ask(
        &mut self,
        ask: &Ask,
        function: &Function,
        tensors: &[Tensor],
    ) -> io::Result<Result<Vec<Tensor>, String>> {
        self.output.begin();
        let words = write(ask)?;
        let is_long = function.whole.bytes().len() > SENT_ONCE_BYTES_MIN;
        let mut is_known = is_long && self.known.contains(&function.digest);
        loop {
            let function_sent = if is_known {
                Value::from(function.digest.to_vec()).into_tensor()
            } else {
                function.whole.clone()
            };
            let mut sent = vec![function_sent];
            sent.extend_from_slice(tensors);
            let lent: usize = sent.iter().map(|tensor| tensor.bytes().len()).sum();
            self.watched.maps(lent + self.line.borrowed_bytes());
            self.line.say(&words, &sent)?;
            drop(sent);
            let answer = self.answer();
            self.watched.maps(self.line.borrowed_bytes());
            match answer? {
                (What::Made, made) => {
                    self.known.insert(function.digest);
                    return Ok(Ok(made));
                }
                (What::Failed(message), _) => return Ok(Err(message)),
                (What::Unknown, _) if is_known => is_known = false,
                (what, _) => return Err(io::Error::other(format!("it said {what:?}"))),
            }
        }
    }

    /// What ends its call; what it asks and tells meanwhile is seen to.
    fn answer(&mut self) -> io::Result<(What, Vec<Tensor>)> {
        loop {
            let Some((words, mut tensors)) = self.line.hear()? else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            let answer: Answer = read(&words)?;
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
                    self.output.end();
                    return Ok((what, tensors));
                }
            }
        }
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
