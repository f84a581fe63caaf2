//! The journal: what must outlive the scheduler's process, on disk before anybody is told of it.
//!
//! The actor appends records and goes on; a thread of its own writes what has come together meanwhile, one frame at a
//! time, and says how far the disk is. What is left of an earlier run is read when the journal is opened, and written
//! anew at once, so that a file holds what stands and what came after, never more than one run's worth.

mod folder;
mod frame;
mod standing;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use graticule_engine::Incarnation;
use graticule_proto::{ProtoError, Record, RecordEncoder};
use tokio::sync::watch;

use folder::Folder;
use writer::{Work, Writer};

pub(crate) use standing::Standing;

/// Bytes of records after which a frame is full.
const FRAME_BYTES_MAX: usize = 64 << 20;
/// Appended bytes before the journal is written anew with what stands...
const REWRITE_BYTES_MIN: u64 = 64 << 20;
/// ...and how many times what stood then they must be.
const REWRITE_PART: u64 = 4;

/// Bytes that may wait for the disk before no more jobs are taken.
const PENDING_BYTES_MAX: u64 = 256 << 20;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another scheduler uses the folder.
    #[error(
        "another scheduler uses the journal in {}; stop it first, or give this one a folder of its own",
        .folder.display()
    )]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// Bytes that were on the disk once are not what they were.
    #[error(
        "the journal {} is damaged at byte {offset}: {why}. What comes after is whole, so this is no torn write. \
         Put a copy of the file in its place; or move the folder away and start without its jobs: clients are told \
         that they are gone, and workers drop what they hold",
        .file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// The bytes are what was written, but not by this release.
    #[error(
        "the journal {} holds what this release does not understand, at byte {offset}: {why}; use the release that \
         wrote it, or a new folder",
        .file.display()
    )]
    Foreign {
        /// The file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is not understood.
        why: Box<ProtoError>,
    },
    /// The system refused.
    #[error("the journal {} cannot be used: {why}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        why: io::Error,
    },
}

impl JournalError {
    fn io(path: &Path, why: io::Error) -> Self {
        Self::Io {
            path: path.into(),
            why,
        }
    }
}

/// How far the disk is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The number of the last record that is on it.
    pub(crate) durable: u64,
    /// Why nothing can be written at present.
    pub(crate) failure: Option<Arc<str>>,
}

/// The way to an open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    writer: Writer,
    progress: watch::Receiver<Progress>,
    encoder: RecordEncoder,
    appended: u64,
    /// Bytes appended since the file was begun, and what it began with.
    since_bytes: u64,
    begun_bytes: u64,
}

/// A journal with what earlier runs left in it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) journal: Journal,
    pub(crate) standing: Standing,
}

impl Journal {
    /// Takes a folder, reads what is there, and begins a new run.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) fn open(path: &Path) -> Result<Opened, JournalError> {
        let mut folder = Folder::take(path)?;
        let (mut standing, number) = folder.read()?;
        let first_number = folder.count_from(standing.next_run())?;
        standing.take(Record::Opened {
            incarnation: standing.incarnation().unwrap_or_else(new_incarnation),
            first_number,
        });
        let mut encoder = RecordEncoder::default();
        let contents = folder::contents(standing.records(), &mut encoder);
        let begun = folder.begin(number + 1, &contents);
        let file = begun.map_err(|why| JournalError::io(path, why))?;
        let (writer, progress) = Writer::start(folder, file).map_err(|why| JournalError::io(path, why))?;
        let journal = Self {
            writer,
            progress,
            encoder,
            appended: 0,
            since_bytes: 0,
            begun_bytes: bytes_of(&contents),
        };
        Ok(Opened { journal, standing })
    }

    /// Has a record written with the next frame.
    pub(crate) fn append(&mut self, record: &Record) {
        let mut bytes = Vec::new();
        self.encoder.encode(record, &mut bytes);
        self.appended += 1;
        self.since_bytes += bytes.len() as u64;
        let upto = self.appended;
        self.writer.add(Work::Append { upto, bytes });
    }

    /// Has the journal begun anew if what was appended outweighs what stands.
    pub(crate) fn rewrite_if_large(&mut self, standing: &Standing) {
        if self.since_bytes >= REWRITE_BYTES_MIN.max(self.begun_bytes.saturating_mul(REWRITE_PART)) {
            self.rewrite(standing);
        }
    }

    /// Has the journal begun anew with what stands; all that was appended before is in it.
    pub(crate) fn rewrite(&mut self, standing: &Standing) {
        self.encoder = RecordEncoder::default();
        let contents = folder::contents(standing.records(), &mut self.encoder);
        (self.since_bytes, self.begun_bytes) = (0, bytes_of(&contents));
        let upto = self.appended;
        self.writer.add(Work::Rewrite { upto, contents });
    }

    /// The number of the record that was appended last.
    pub(crate) fn appended(&self) -> u64 {
        self.appended
    }

    /// How far the disk is.
    pub(crate) fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Why no jobs are taken at present, if so.
    pub(crate) fn refuses(&self) -> Option<Arc<str>> {
        let slow = self.writer.pending_bytes() > PENDING_BYTES_MAX;
        let slow = slow.then(|| "its disk does not keep up".into());
        self.progress().failure.or(slow)
    }

    /// Waits until the disk has got further, or failed. May be dropped at any time.
    pub(crate) async fn changed(&mut self) {
        if self.progress.changed().await.is_err() {
            // The thread ends with this value alone.
            std::future::pending::<()>().await;
        }
    }

    /// Writes what is left, and gives the folder back.
    pub(crate) async fn close(self) {
        let Self { writer, .. } = self;
        // It has nothing to say beyond what it has said.
        let _ = tokio::task::spawn_blocking(move || drop(writer)).await;
    }
}

fn bytes_of(contents: &[Vec<u8>]) -> u64 {
    contents.iter().map(|content| content.len() as u64).sum()
}

/// A name for the runs of one scheduler. Two must differ, and two that begin within a microsecond on one host do not
/// happen.
pub(crate) fn new_incarnation() -> Incarnation {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Incarnation(since_epoch.as_micros() as u64 ^ (u64::from(std::process::id()) << 48))
}
