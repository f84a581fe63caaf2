//! The journal's folder: one file that is written, and a lock.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use graticule_proto::{Record, RecordDecoder, RecordEncoder};
use tracing::{info, warn};

use super::{
    FRAME_BYTES_MAX, JournalError, frame,
    standing::{Standing, next_run},
};

const LOCK_NAME: &str = "lock";
const FILE_PREFIX: &str = "journal-";
/// What a file is called until it is whole.
const ASIDE_NAME: &str = "journal.aside";

/// The folder, for as long as this process has it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Holds the lock, and in it the first number of the latest run.
    lock: File,
}

/// The file that is written.
#[derive(Debug)]
pub(super) struct JournalFile {
    file: File,
    path: PathBuf,
    number: u64,
    /// Frames in it.
    frame_count: u64,
}

impl Folder {
    /// Takes the folder, and makes it if it is not there.
    ///
    /// # Errors
    /// [`JournalError::Locked`], [`JournalError::Io`].
    pub(super) fn take(path: &Path) -> Result<Self, JournalError> {
        let cannot = |why| JournalError::io(path, why);
        let mut make = fs::DirBuilder::new();
        make.recursive(true);
        // The tokens in it are the clients' own.
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut make, 0o700);
        make.create(path).map_err(cannot)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path.join(LOCK_NAME))
            .map_err(cannot)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::Locked { folder: path.into() }),
            Err(TryLockError::Error(why)) => return Err(cannot(why)),
        }
        Ok(Self {
            path: path.into(),
            lock,
        })
    }

    /// Begins a run that counts from a number on that no run in this folder has begun with, whatever the journal says:
    /// it may be an older copy that was put back, and workers may hold chunks of jobs that it does not know.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub(super) fn count_from(&mut self, of_journal: u64) -> Result<u64, JournalError> {
        let first = self.write_number(of_journal);
        first.map_err(|why| JournalError::io(&self.path, why))
    }

    fn write_number(&mut self, of_journal: u64) -> io::Result<u64> {
        let mut text = String::new();
        self.lock.seek(SeekFrom::Start(0))?;
        // What is no text is no number.
        let _ = (&self.lock).take(32).read_to_string(&mut text);
        let latest = text.trim().parse().map_or(0, next_run);
        if latest > of_journal {
            warn!(folder = %self.path.display(), "the journal is older than the latest run in its folder");
        }
        let first = of_journal.max(latest);
        self.lock.seek(SeekFrom::Start(0))?;
        self.lock.set_len(0)?;
        writeln!(self.lock, "{first}")?;
        self.lock.sync_data()?;
        Ok(first)
    }

    /// What earlier runs left, and the number of the file that it stands in: 0 if there is none.
    ///
    /// # Errors
    /// [`JournalError::Damaged`], [`JournalError::Foreign`], [`JournalError::Io`].
    pub(super) fn read(&self) -> Result<(Standing, u64), JournalError> {
        let mut standing = Standing::default();
        let Some((number, path)) = self.files()?.pop() else {
            return Ok((standing, 0));
        };
        let bytes = fs::read(&path).map_err(|why| JournalError::io(&path, why))?;
        let frames = frame::read(&bytes).map_err(|damage| JournalError::Damaged {
            file: path.clone(),
            offset: damage.offset as u64,
            why: damage.why,
        })?;
        if frames.torn_bytes > 0 {
            let bytes = frames.torn_bytes;
            warn!(file = %path.display(), bytes, "the journal's last write is not whole and is cut off");
        }
        let mut decoder = RecordDecoder::default();
        for content in &frames.contents {
            let records = decoder.decode(&bytes[content.clone()]);
            let records = records.map_err(|why| JournalError::Foreign {
                file: path.clone(),
                offset: content.start as u64,
                why: Box::new(why),
            })?;
            records.into_iter().for_each(|record| standing.take(record));
        }
        info!(file = %path.display(), frames = frames.contents.len(), "journal read");
        Ok((standing, number))
    }

    /// Files of the journal, the latest last.
    fn files(&self) -> Result<Vec<(u64, PathBuf)>, JournalError> {
        let cannot = |why| JournalError::io(&self.path, why);
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(FILE_PREFIX));
            if let Some(number) = number.and_then(|number| number.parse().ok()) {
                files.push((number, entry.path()));
            }
        }
        files.sort();
        Ok(files)
    }

    /// Begins a file with all that stands. When this returns it is on the disk, and older files are gone.
    ///
    /// # Errors
    /// The system's reason; what was there before is untouched then.
    pub(super) fn begin(&self, number: u64, contents: &[Vec<u8>]) -> io::Result<JournalFile> {
        let aside = self.path.join(ASIDE_NAME);
        let mut file = File::create(&aside)?;
        let mut bytes = frame::MAGIC.to_vec();
        for (number, content) in (0..).zip(contents) {
            check_len(content)?;
            frame::append(number, content, &mut bytes);
            file.write_all(&bytes)?;
            bytes.clear();
        }
        file.write_all(&bytes)?;
        file.sync_all()?;
        let path = self.path.join(format!("{FILE_PREFIX}{number:08}"));
        fs::rename(&aside, &path)?;
        self.sync()?;
        let older = self.files().unwrap_or_default().into_iter();
        for (_, older) in older.filter(|(older, _)| *older < number) {
            // One that stays is found to be older by its name.
            if let Err(why) = fs::remove_file(&older) {
                warn!(file = %older.display(), %why, "an older journal file cannot be removed");
            }
        }
        Ok(JournalFile {
            file,
            path,
            number,
            frame_count: contents.len() as u64,
        })
    }

    /// Makes the names in the folder last.
    fn sync(&self) -> io::Result<()> {
        #[cfg(unix)]
        File::open(&self.path)?.sync_all()?;
        Ok(())
    }
}

impl JournalFile {
    /// Appends one frame. When this returns it is on the disk.
    ///
    /// # Errors
    /// The system's reason; nothing may be appended to this file any more then.
    pub(super) fn append(&mut self, content: &[u8]) -> io::Result<()> {
        check_len(content)?;
        let mut bytes = Vec::with_capacity(frame::FRAME_HEAD_BYTES + content.len());
        frame::append(self.frame_count, content, &mut bytes);
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        self.frame_count += 1;
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

/// What a frame cannot hold is no plan that a scheduler could hold either.
fn check_len(content: &[u8]) -> io::Result<()> {
    match u32::try_from(content.len()) {
        Ok(_) => Ok(()),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "one record takes 4 GiB or more",
        )),
    }
}

/// The contents of the frames that say all that stands.
pub(super) fn contents(standing: impl Iterator<Item = Record>, encoder: &mut RecordEncoder) -> Vec<Vec<u8>> {
    let mut contents = vec![Vec::new()];
    for record in standing {
        let last = contents.last_mut().expect("there is always one");
        encoder.encode(&record, last);
        if last.len() >= FRAME_BYTES_MAX {
            contents.push(Vec::new());
        }
    }
    contents.retain(|content| !content.is_empty());
    contents
}
