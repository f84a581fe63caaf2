//! Runs on disk: one file each, oldest dropped.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tracing::warn;

use super::{
    archive::{ARCHIVE_BYTES_MAX, Archive},
    recorder::{RunKey, RunRow},
};

/// Runs that are kept on disk; beyond that the oldest are dropped.
pub const FOLDER_RUN_COUNT_MAX: usize = 200;

/// Bytes that runs may take on disk; beyond that the oldest are dropped, but for the latest.
pub const FOLDER_BYTES_MAX: u64 = 1 << 30;

const ENDING: &str = "graticule";

/// A folder of runs.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    entries: Mutex<Vec<Entry>>,
    /// Runs that had to make room since it was opened.
    forgotten: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    row: RunRow,
    path: PathBuf,
    bytes: u64,
}

impl Folder {
    /// Opens a folder, which is made if it is not there, and looks at the runs in it. What cannot be read is left alone.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(path)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == ENDING) {
                match read(&path) {
                    Ok((archive, bytes)) => found.push((archive.row(0), path, bytes)),
                    Err(why) => warn!(path = %path.display(), %why, "a run is left out"),
                }
            }
        }
        found.sort_by_key(|(row, ..)| row.began_unix_ms);
        let entries = (1..).zip(found).map(|(k, (row, path, bytes))| Entry {
            row: RunRow { k, ..row },
            path,
            bytes,
        });
        Ok(Self {
            path: path.into(),
            entries: Mutex::new(entries.collect()),
            forgotten: AtomicU64::new(0),
        })
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first key that none of them has.
    pub(crate) fn next_key(&self) -> RunKey {
        self.entries().iter().map(|entry| entry.row.k).max().unwrap_or(0) + 1
    }

    /// The runs, the latest first.
    pub(crate) fn rows(&self) -> Vec<RunRow> {
        self.entries()
            .iter()
            .rev()
            .map(|entry| entry.row.clone())
            .collect()
    }

    /// Runs that had to make room since it was opened.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten.load(Relaxed)
    }

    /// Writes a run, whole or not at all, and drops the oldest ones if there are too many.
    pub(crate) fn write(&self, key: RunKey, archive: &Archive) -> io::Result<()> {
        let row = archive.row(key);
        let bytes = archive.encode();
        let name = format!("{}-{key}", row.began_unix_ms);
        let path = self.path.join(&name).with_extension(ENDING);
        let partial = self.path.join(format!("{name}.partial"));
        let written = fs::write(&partial, &bytes).and_then(|()| fs::rename(&partial, &path));
        if written.is_err() {
            // It may not even have been made.
            let _ = fs::remove_file(&partial);
            return written;
        }
        let mut entries = self.entries();
        entries.push(Entry {
            row,
            path,
            bytes: bytes.len() as u64,
        });
        while entries.len() > FOLDER_RUN_COUNT_MAX
            || (entries.len() > 1 && entries.iter().map(|it| it.bytes).sum::<u64>() > FOLDER_BYTES_MAX)
        {
            let oldest = entries.remove(0);
            self.forgotten.fetch_add(1, Relaxed);
            fs::remove_file(&oldest.path)?;
        }
        Ok(())
    }

    /// Reads a run; `None` if there is none of that key, or it cannot be read any more.
    pub(crate) fn read(&self, key: RunKey) -> Option<Archive> {
        let entries = self.entries();
        let path = entries.iter().find(|entry| entry.row.k == key)?.path.clone();
        drop(entries);
        match read(&path) {
            Ok((archive, _)) => Some(archive),
            Err(why) => {
                warn!(path = %path.display(), %why, "a run cannot be read");
                None
            }
        }
    }
}

fn read(path: &Path) -> Result<(Archive, u64), String> {
    let len = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if len > ARCHIVE_BYTES_MAX as u64 {
        return Err(format!(
            "it has {len} bytes, and {ARCHIVE_BYTES_MAX} at most are read"
        ));
    }
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let archive = Archive::decode(&bytes).map_err(|error| error.to_string())?;
    Ok((archive, len))
}
