//! Files that are complete or absent.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file that is written under another name in its directory and gets its own name when it is complete.
///
/// Dropped before that, it is removed.
#[derive(Debug)]
pub(crate) struct AsideFile {
    file: Option<File>,
    aside: PathBuf,
    target: PathBuf,
}

/// Tells apart files that one process writes to the same target.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl AsideFile {
    /// Creates the file beside `target`; the directory must exist.
    pub(crate) fn create(target: &Path) -> io::Result<Self> {
        let name = target
            .file_name()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path ends in no file name"))?;
        if target.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::IsADirectory,
                "there is a directory of that name",
            ));
        }
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(
            ".{}-{}.part",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        let aside = target.with_file_name(hidden);
        let file = OpenOptions::new().write(true).create_new(true).open(&aside)?;
        Ok(AsideFile {
            file: Some(file),
            aside,
            target: target.to_owned(),
        })
    }

    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    pub(crate) fn file(&mut self) -> &mut File {
        self.file.as_mut().expect("only finish and drop take the file")
    }

    /// Brings the bytes to the disk and gives the file its name, replacing a file that has it.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        let file = self.file.take().expect("only finish and drop take the file");
        let done = file.sync_all().and_then(|()| {
            drop(file);
            std::fs::rename(&self.aside, &self.target)
        });
        if done.is_err() {
            let _ = std::fs::remove_file(&self.aside);
        }
        done
    }
}

impl Drop for AsideFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Nobody is left to tell; the name shows what the file is.
            let _ = std::fs::remove_file(&self.aside);
        }
    }
}
