//! The thread that waits for the disk.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use tokio::sync::watch;
use tracing::{error, info};

use super::{
    FRAME_BYTES_MAX, Progress,
    folder::{Folder, JournalFile},
};

/// What the thread is to do, in order.
#[derive(Debug)]
pub(super) enum Work {
    /// Write records; the last one has this number.
    Append { upto: u64, bytes: Vec<u8> },
    /// Begin a file anew. It covers all records up to this number.
    Rewrite { upto: u64, contents: Vec<Vec<u8>> },
}

impl Work {
    fn bytes(&self) -> u64 {
        match self {
            Work::Append { bytes, .. } => bytes.len() as u64,
            Work::Rewrite { contents, .. } => super::bytes_of(contents),
        }
    }
}

/// A way to the thread. Dropping it waits until all is written.
#[derive(Debug)]
pub(super) struct Writer {
    inbox: Arc<Inbox>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Inbox {
    state: Mutex<InboxState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct InboxState {
    work: Vec<Work>,
    bytes: u64,
    is_closed: bool,
}

impl Inbox {
    fn state(&self) -> MutexGuard<'_, InboxState> {
        // No code that holds the lock can panic halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that has come together; `None` when nothing will come any more.
    fn next(&self) -> Option<Vec<Work>> {
        let mut state = self.state();
        while state.work.is_empty() && !state.is_closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let work = std::mem::take(&mut state.work);
        state.bytes = 0;
        (!work.is_empty()).then_some(work)
    }
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub(super) fn start(folder: Folder, file: JournalFile) -> io::Result<(Self, watch::Receiver<Progress>)> {
        let inbox = Arc::new(Inbox::default());
        let (tell, progress) = watch::channel(Progress::default());
        let disk = Disk { folder, file, tell };
        let of_thread = inbox.clone();
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || disk.run(&of_thread))?;
        let thread = Some(thread);
        Ok((Self { inbox, thread }, progress))
    }

    /// Bytes that wait, without those that are being written.
    pub(super) fn pending_bytes(&self) -> u64 {
        self.inbox.state().bytes
    }

    pub(super) fn add(&self, work: Work) {
        let mut state = self.inbox.state();
        state.bytes += work.bytes();
        state.work.push(work);
        drop(state);
        self.inbox.changed.notify_one();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.inbox.state().is_closed = true;
        self.inbox.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It does not panic; if it did, the process would have said so.
            let _ = thread.join();
        }
    }
}

struct Disk {
    folder: Folder,
    file: JournalFile,
    tell: watch::Sender<Progress>,
}

impl Disk {
    fn run(mut self, inbox: &Inbox) {
        while let Some(work) = inbox.next() {
            let mut together = Vec::new();
            let mut last = None;
            for work in work {
                match work {
                    Work::Append { upto, bytes } => {
                        together.extend(bytes);
                        last = Some(upto);
                        if together.len() >= FRAME_BYTES_MAX {
                            self.append(upto, &std::mem::take(&mut together));
                            last = None;
                        }
                    }
                    // It covers what came before.
                    Work::Rewrite { upto, contents } => {
                        together.clear();
                        last = None;
                        self.rewrite(upto, &contents);
                    }
                }
            }
            if let Some(upto) = last {
                self.append(upto, &together);
            }
        }
    }

    fn append(&mut self, upto: u64, content: &[u8]) {
        // After a failure nobody knows what of this file is on the disk; a new one will cover what is left out here.
        if self.tell.borrow().failure.is_some() {
            return;
        }
        match self.file.append(content) {
            Ok(()) => drop(self.tell.send_replace(Progress {
                durable: upto,
                failure: None,
            })),
            Err(why) => self.failed(&why),
        }
    }

    fn rewrite(&mut self, upto: u64, contents: &[Vec<u8>]) {
        match self.folder.begin(self.file.number() + 1, contents) {
            Ok(file) => {
                self.file = file;
                let before = self.tell.send_replace(Progress {
                    durable: upto,
                    failure: None,
                });
                if before.failure.is_some() {
                    info!(file = %self.file.path().display(), "the journal can be written again");
                }
            }
            Err(why) => self.failed(&why),
        }
    }

    fn failed(&self, why: &io::Error) {
        let file = self.file.path().display();
        let is_news = self.tell.borrow().failure.is_none();
        if is_news {
            error!(%file, %why, "the journal cannot be written: no new jobs are taken until it can");
        }
        self.tell
            .send_modify(|progress| progress.failure = Some(format!("{file}: {why}").into()));
    }
}
