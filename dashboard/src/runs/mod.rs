//! Runs that ended: what is kept of them, as a file, and as a film that the page shows.
//!
//! A run is a job. While it runs its records are packed into a [`Tape`](tape), about six bytes a task; an
//! [`Archive`] is one or more of them with the workers that were there.

mod archive;
mod columns;
#[cfg(test)]
mod disk_tests;
mod disks;
mod film;
mod folder;
mod lines;
mod moves;
mod recorder;
mod recording;
mod report;
#[cfg(test)]
mod scaling_tests;
mod serve;
mod tape;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod topic_tests;
mod topics;

pub use self::{
    archive::{ARCHIVE_BYTES_MAX, ARCHIVE_VERSION, Archive, ArchiveError},
    film::{FILM_STEP_COUNT, FILM_VERSION},
    folder::{FOLDER_BYTES_MAX, FOLDER_RUN_COUNT_MAX},
    lines::{RUN_LINE_BYTES_MAX, RUN_LINE_COUNT_MAX},
    recorder::{RUN_BYTES_MAX, RUN_COUNT_MAX, RUNNING_BYTES_MAX, RunKey, RunRow},
    recording::Recording,
};
pub(crate) use self::{
    recorder::{History, Recorder},
    serve::{RunWriter, Shelf, open_folder},
};
