//! An archive: all that is kept of one or more jobs, in one file.
//!
//! ```text
//! archive = "GRATRUN\n", version u32, length of the body u64, CRC-32 of the body u32, body
//! body    = head as deflated JSON, status columns, log lines as deflated JSON, then for each job its segments of tasks, of
//!           drops and of chunks that went to disks and left them, and what was moved for it
//! ```
//!
//! The first version has neither lines nor what was moved, the second no decisions on the number of workers in its head and no
//! beginnings of attempts that failed among a job's records, the third nothing of disks.

use std::sync::Arc;

use flate2::Crc;
use graticule_plan::{AxisChunks, ChunkGrid, JobId, WorkerId};
use serde::{Deserialize, Serialize};

use super::{
    columns::{self, deflated, inflated},
    disks::{DiskRow, Disks},
    lines::RunLines,
    moves::{Moves, Told},
    tape::{Dropped, Ended, Tape},
};
use crate::{
    LayerInfo, Record, WorkerStatus,
    aggregate::{JobState, take_varint, unzigzag, varint, zigzag},
};

/// The version of the archive's format; those before it are read too.
pub const ARCHIVE_VERSION: u32 = 4;

/// The first version that has log lines, and what was moved.
const TOPICS_VERSION: u32 = 2;

/// The first version that has decisions on the number of workers, and when attempts began that failed.
const SCALING_VERSION: u32 = 3;

/// The first version that has chunks which went to disks and left them.
const DISKS_VERSION: u32 = 4;

/// Decisions on the number of workers, and what was done about it, that are kept; the oldest make room.
pub(super) const SCALING_RECORD_COUNT_MAX: usize = 2_048;

/// Bytes that an archive's file may have.
pub const ARCHIVE_BYTES_MAX: usize = 1 << 30;

const MAGIC: &[u8; 8] = b"GRATRUN\n";
const HEAD_LEN: usize = 24;

/// Bytes of the head as JSON.
const HEAD_JSON_BYTES_MAX: usize = 64 << 20;

/// Bytes of log lines as JSON: six for a byte that has to be escaped, and what stands around them.
const LINES_JSON_BYTES_MAX: usize = 16 << 20;

/// What slots' time, bytes and the like of all of an archive add up to at most: percents of it fit a number, too.
const TOTAL_MAX: u64 = 1 << 56;

/// Reports of workers that an archive holds at most.
pub(super) const STATUS_COUNT_MAX: usize = 1 << 17;

/// Why bytes are no archive that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// They are something else.
    #[error(
        "this is not a Graticule run: it does not begin as one; give it a file that was saved as .graticule"
    )]
    NotAnArchive,
    /// Another release wrote it.
    #[error(
        "this run is of format {found}, and this release reads formats up to {ARCHIVE_VERSION}: open it with the release that wrote it"
    )]
    Version {
        /// The format that it says it has.
        found: u32,
    },
    /// Bytes are missing, or there are too many.
    #[error(
        "this run is cut short or was added to: it has {found} bytes and should have {expected}; copy it again"
    )]
    Length {
        /// Bytes that are there.
        found: u64,
        /// Bytes that it says it has.
        expected: u64,
    },
    /// What it says does not fit together.
    #[error("this run is damaged ({what}); copy it again")]
    Damaged {
        /// Which part.
        what: &'static str,
    },
}

/// What a worker reported, and when.
pub(super) type Status = (u64, WorkerId, WorkerStatus);

/// Jobs with the workers that were there: what is written to a file, and shown again.
#[derive(Debug, Clone, PartialEq)]
pub struct Archive {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// When the archive's zero was, in milliseconds since 1970.
    pub began_unix_ms: u64,
    /// The span of time that it covers, in microseconds since the cluster's start.
    pub span_us: (u64, u64),
    pub(super) workers: Vec<(u64, Record)>,
    /// Decisions on the number of workers and what was done about it; `None` if a release recorded it that did not keep them.
    pub(super) scaling: Option<Vec<(u64, Record)>>,
    pub(super) statuses: Vec<Status>,
    /// `None` if it was recorded by a release that kept neither them nor what was moved.
    pub(super) lines: Option<Arc<RunLines>>,
    pub(super) jobs: Vec<Tape>,
}

#[derive(Serialize, Deserialize)]
struct HeadJson {
    cluster: Arc<str>,
    began_unix_ms: u64,
    span_us: (u64, u64),
    workers: Vec<(u64, Record)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scaling: Option<Vec<(u64, Record)>>,
    jobs: Vec<JobJson>,
}

#[derive(Serialize, Deserialize)]
struct JobJson {
    job: JobId,
    rare: Vec<(u64, Record)>,
    tasks: u64,
    left_out: u64,
    #[serde(default)]
    moves_lost: u64,
    task_segments: usize,
    drop_segments: usize,
    #[serde(default)]
    disk_segments: usize,
}

impl Archive {
    /// How many tasks it tells of.
    pub fn task_count(&self) -> u64 {
        self.jobs.iter().map(|tape| tape.task_count).sum()
    }

    /// Tasks and other records that had no room in it.
    pub fn left_out_count(&self) -> u64 {
        self.jobs.iter().map(|tape| tape.left_out).sum()
    }

    /// Whether each of its jobs was over when it was made.
    pub fn has_ended(&self) -> bool {
        let is_over = |tape: &Tape| {
            let mut records = tape.rare.iter();
            records.any(|(_, record)| matches!(record, Record::JobEnded { .. }))
        };
        self.jobs.iter().all(is_over)
    }

    /// Whether all tasks of one of its jobs are done, and its end was not told.
    pub(crate) fn is_ending(&self) -> bool {
        self.jobs.iter().any(Tape::is_ending)
    }

    /// The archive as the bytes of a file.
    pub fn encode(&self) -> Vec<u8> {
        let mut tapes = self.jobs.clone();
        for tape in &mut tapes {
            tape.close();
            tape.moves.close();
        }
        let head = HeadJson {
            cluster: self.cluster.clone(),
            began_unix_ms: self.began_unix_ms,
            span_us: self.span_us,
            workers: self.workers.clone(),
            // Files of the first version have neither.
            scaling: self.scaling.clone().filter(|_| self.lines.is_some()),
            jobs: tapes.iter().map(JobJson::of).collect(),
        };
        let head = serde_json::to_vec(&head).expect("records are plain JSON");
        let mut body = Vec::new();
        columns::put(&mut body, &deflated(&head));
        write_statuses(&mut body, &self.statuses);
        // What was recorded without them is written in the form of old, since they are not known.
        let version = if let Some(lines) = &self.lines {
            let lines = serde_json::to_vec(&**lines).expect("lines are plain JSON");
            columns::put(&mut body, &deflated(&lines));
            match self.scaling {
                Some(_) => ARCHIVE_VERSION,
                None => SCALING_VERSION - 1,
            }
        } else {
            TOPICS_VERSION - 1
        };
        for tape in &tapes {
            for segment in tape.tasks.iter().chain(&tape.drops).chain(&tape.disks.segments) {
                columns::put(&mut body, segment);
            }
            if self.lines.is_some() {
                columns::put(&mut body, tape.moves.packed());
            }
        }
        let mut out = Vec::with_capacity(HEAD_LEN + body.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&version.to_le_bytes());
        out.extend_from_slice(&(body.len() as u64).to_le_bytes());
        out.extend_from_slice(&checksum(&body).to_le_bytes());
        out.extend_from_slice(&body);
        out
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// [`ArchiveError`] says what is wrong with them.
    pub fn decode(bytes: &[u8]) -> Result<Self, ArchiveError> {
        let (version, body) = body(bytes)?;
        let damaged = |what| ArchiveError::Damaged { what };
        let mut rest = body;
        let head = columns::take(&mut rest).ok_or(damaged("its head"))?;
        let head = inflated(head, HEAD_JSON_BYTES_MAX).ok_or(damaged("its head"))?;
        let head: HeadJson = serde_json::from_slice(&head).map_err(|_| damaged("its head"))?;
        let statuses = read_statuses(&mut rest).ok_or(damaged("the workers' reports"))?;
        let has_topics = version >= TOPICS_VERSION;
        let lines = match has_topics {
            true => Some(read_lines(&mut rest).ok_or(damaged("the log lines"))?),
            false => None,
        };
        let mut jobs = Vec::new();
        let mut work_us = 0u64;
        for job in head.jobs {
            if !job.is_sound() || (job.disk_segments > 0 && version < DISKS_VERSION) {
                return Err(damaged("the plan of a job"));
            }
            let tape = job
                .read(&mut rest, has_topics)
                .ok_or(damaged("the tasks of a job"))?;
            // Read once, so that whoever has an archive has a sound one.
            let tasks = tape.read_tasks().ok_or(damaged("the tasks of a job"))?;
            if tasks.len() as u64 != tape.task_count || !tasks.iter().all(is_sound_task) {
                return Err(damaged("the tasks of a job"));
            }
            let spans = tasks
                .iter()
                .flat_map(|(_, task)| [task.duration_us, task.fetch_us]);
            work_us = spans.fold(work_us, u64::saturating_add);
            let drops = tape.read_drops().ok_or(damaged("the dropped chunks of a job"))?;
            if !drops.iter().all(is_sound_drop) {
                return Err(damaged("the dropped chunks of a job"));
            }
            let disks = tape.disks.read(tape.job).ok_or(damaged("the disks of a job"))?;
            if !disks.iter().all(is_sound_disk) {
                return Err(damaged("the disks of a job"));
            }
            tape.moves.read().ok_or(damaged("what was moved for a job"))?;
            jobs.push(tape);
        }
        if head.scaling.is_some() != (version >= SCALING_VERSION)
            || !head.scaling.iter().all(|told| is_sound_scaling(told))
        {
            return Err(damaged("the decisions on the number of workers"));
        }
        let times = head.workers.iter().map(|(at_us, _)| *at_us);
        let mut times = times.chain([head.began_unix_ms, head.span_us.0, head.span_us.1]);
        if !times.all(is_sound) || !statuses.iter().all(is_sound_status) {
            return Err(damaged("its times"));
        }
        if !rest.is_empty() {
            return Err(damaged("its end"));
        }
        let archive = Self {
            cluster: head.cluster,
            began_unix_ms: head.began_unix_ms,
            span_us: head.span_us,
            workers: head.workers,
            scaling: head.scaling,
            statuses,
            lines,
            jobs,
        };
        if !archive.adds_up(work_us) {
            return Err(damaged("its sums"));
        }
        Ok(archive)
    }

    /// Whether all of it adds up to what a cluster could have done; its tasks took and waited `work_us`.
    fn adds_up(&self, work_us: u64) -> bool {
        let mut moved = 0u64;
        for tape in &self.jobs {
            for (_, _, told) in tape.moves.read().unwrap_or_default() {
                let told = match told {
                    Told::Moved(it) => [it.count, it.bytes, it.busy_us, it.cpu_us, it.ended_us],
                    Told::Queued { waited_us, .. } => [waited_us, 0, 0, 0, 0],
                };
                moved = told.into_iter().fold(moved, u64::saturating_add);
            }
        }
        let (mut slots, mut memory) = (0u64, 0u64);
        for (_, record) in &self.workers {
            if let Record::WorkerJoined {
                slots: of,
                budget_bytes,
                ..
            } = record
            {
                slots = slots.saturating_add(u64::from(*of));
                memory = memory.saturating_add(*budget_bytes);
            }
        }
        let slots_us = self.span_us.1.saturating_mul(slots);
        [work_us, moved, slots_us, memory]
            .iter()
            .all(|it| *it < TOTAL_MAX)
    }
}

fn read_lines(bytes: &mut &[u8]) -> Option<Arc<RunLines>> {
    let lines = inflated(columns::take(bytes)?, LINES_JSON_BYTES_MAX)?;
    let lines: RunLines = serde_json::from_slice(&lines).ok()?;
    lines.is_sound().then(|| Arc::new(lines))
}

/// The version and the body of a file whose frame is sound.
fn body(bytes: &[u8]) -> Result<(u32, &[u8]), ArchiveError> {
    let (magic, rest) = bytes.split_at_checked(MAGIC.len()).unwrap_or((bytes, &[]));
    if magic.is_empty() || !MAGIC.starts_with(magic) {
        return Err(ArchiveError::NotAnArchive);
    }
    let short = ArchiveError::Length {
        found: bytes.len() as u64,
        expected: HEAD_LEN as u64,
    };
    let (version, rest) = rest.split_first_chunk::<4>().ok_or(short.clone())?;
    let version = u32::from_le_bytes(*version);
    if version == 0 || version > ARCHIVE_VERSION {
        return Err(ArchiveError::Version { found: version });
    }
    let (len, rest) = rest.split_first_chunk::<8>().ok_or(short.clone())?;
    let (sum, body) = rest.split_first_chunk::<4>().ok_or(short)?;
    let len = u64::from_le_bytes(*len);
    if body.len() as u64 != len {
        return Err(ArchiveError::Length {
            found: bytes.len() as u64,
            expected: len.saturating_add(HEAD_LEN as u64),
        });
    }
    if checksum(body) != u32::from_le_bytes(*sum) {
        return Err(ArchiveError::Damaged {
            what: "its checksum is another",
        });
    }
    Ok((version, body))
}

fn checksum(body: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(body);
    crc.sum()
}

impl JobJson {
    fn of(tape: &Tape) -> Self {
        Self {
            job: tape.job,
            rare: tape.rare.clone(),
            tasks: tape.task_count,
            left_out: tape.left_out,
            moves_lost: tape.moves.lost,
            task_segments: tape.tasks.len(),
            drop_segments: tape.drops.len(),
            disk_segments: tape.disks.segments.len(),
        }
    }

    fn read(self, bytes: &mut &[u8], has_topics: bool) -> Option<Tape> {
        let mut segments = |count: usize| -> Option<Vec<Arc<[u8]>>> {
            let mut taken = Vec::new();
            for _ in 0..count {
                taken.push(columns::take(bytes)?.into());
            }
            Some(taken)
        };
        let tasks = segments(self.task_segments)?;
        let drops = segments(self.drop_segments)?;
        let disks = Disks::of_segments(segments(self.disk_segments)?);
        let moves: Arc<[u8]> = match has_topics {
            true => columns::take(bytes)?.into(),
            false => [0].into(),
        };
        Some(Tape::of_segments(
            self.job,
            self.rare,
            tasks,
            drops,
            disks,
            Moves::of_packed(moves, self.moves_lost),
            (self.tasks, self.left_out),
        ))
    }

    /// Whether its layers are cut as a plan's can be: what is told of a grid is trusted from here on.
    fn is_sound(&self) -> bool {
        let are_sound = self.rare.iter().all(|(at_us, record)| match record {
            Record::JobStarted { layers, .. } => is_sound(*at_us) && layers.iter().all(is_sound_layer),
            Record::TaskFinished(finished) => is_sound_task(&(*at_us, *finished)),
            _ => is_sound(*at_us),
        });
        are_sound && is_sound(self.moves_lost)
    }
}

/// Whether a number is one that a cluster could have told, of times (285 years in microseconds) and of bytes; it is
/// also one that a browser can add to others of its kind.
pub(super) fn is_sound(value: u64) -> bool {
    value < 1 << 52
}

fn is_sound_task((at_us, task): &Ended) -> bool {
    [
        *at_us,
        task.started_us,
        task.duration_us,
        task.fetch_us,
        task.bytes,
    ]
    .into_iter()
    .all(is_sound)
}

fn is_sound_drop(dropped: &Dropped) -> bool {
    is_sound(dropped.at_ms) && is_sound(dropped.first.block) && is_sound(dropped.count)
}

fn is_sound_disk(row: &DiskRow) -> bool {
    is_sound(row.at_ms) && is_sound(row.chunks.first.block) && is_sound(row.chunks.count)
}

fn is_sound_scaling(told: &[(u64, Record)]) -> bool {
    let is_of_it = |record: &Record| {
        matches!(
            record,
            Record::WorkerRetiring { .. }
                | Record::WorkerStays { .. }
                | Record::WorkerStarting { .. }
                | Record::WorkerStartFailed { .. }
                | Record::ScaleDecided(_)
        )
    };
    told.len() <= SCALING_RECORD_COUNT_MAX && told.iter().all(|(at_us, it)| is_sound(*at_us) && is_of_it(it))
}

fn is_sound_status((at_us, _, status): &Status) -> bool {
    let told = [
        *at_us,
        status.memory_bytes,
        status.spilled_bytes,
        status.transit_bytes,
        status.fetched_bytes_total,
    ];
    told.into_iter().all(is_sound)
}

fn is_sound_layer(layer: &LayerInfo) -> bool {
    let Some(plan) = &layer.plan else { return true };
    let axes = plan.grid.axes();
    let are_cut = axes.iter().all(|axis| match axis {
        AxisChunks::Regular { chunk, .. } => *chunk > 0,
        AxisChunks::Irregular { offsets } => offsets.len() > 1 && offsets[0] == 0 && offsets.is_sorted(),
    });
    are_cut && ChunkGrid::new(axes.to_vec()).is_ok() && plan.grid.block_count() == layer.task_count
}

const STATUS_COLUMN_COUNT: usize = 10;

fn status_row((at_us, worker, status): &Status) -> [u64; STATUS_COLUMN_COUNT] {
    [
        *at_us,
        worker.0,
        status.memory_bytes,
        status.spilled_bytes,
        status.transit_bytes,
        u64::from(status.running),
        u64::from(status.queued),
        status.fetched_bytes_total,
        u64::from(status.cpu_percent.to_bits()),
        status.resident_bytes,
    ]
}

/// Sorted by worker, since each worker's reports resemble each other.
fn write_statuses(out: &mut Vec<u8>, statuses: &[Status]) {
    let mut rows: Vec<_> = statuses.iter().map(status_row).collect();
    rows.sort_by_key(|row| (row[1], row[0]));
    varint(out, rows.len() as u64);
    for column in 0..STATUS_COLUMN_COUNT {
        let mut before = 0;
        let steps = rows.iter().map(|row| {
            let step = zigzag(row[column], before);
            before = row[column];
            step
        });
        columns::write(out, &steps.collect::<Vec<_>>());
    }
}

fn read_statuses(bytes: &mut &[u8]) -> Option<Vec<Status>> {
    let count = usize::try_from(take_varint(bytes)?).ok()?;
    if count > STATUS_COUNT_MAX {
        return None;
    }
    let mut rows = columns::read_rows::<STATUS_COLUMN_COUNT>(bytes, count)?;
    let mut before = [0; STATUS_COLUMN_COUNT];
    for row in &mut rows {
        for (cell, last) in row.iter_mut().zip(&mut before) {
            *last = unzigzag(*cell, *last);
            *cell = *last;
        }
    }
    rows.sort_by_key(|row| (row[0], row[1]));
    let statuses = rows.into_iter().map(|row| {
        let status = WorkerStatus {
            memory_bytes: row[2],
            spilled_bytes: row[3],
            transit_bytes: row[4],
            running: u32::try_from(row[5]).ok()?,
            queued: u32::try_from(row[6]).ok()?,
            fetched_bytes_total: row[7],
            cpu_percent: f32::from_bits(u32::try_from(row[8]).ok()?),
            resident_bytes: row[9],
        };
        Some((row[0], WorkerId(row[1]), status))
    });
    statuses.collect()
}

impl Archive {
    /// Its row in a history; of several jobs the first one names it.
    pub(crate) fn row(&self, key: super::RunKey) -> super::RunRow {
        let mut row = super::RunRow {
            k: key,
            name: self.cluster.clone(),
            state: JobState::Running,
            message: None,
            began_unix_ms: self.began_unix_ms + self.span_us.0 / 1_000,
            took_us: self.span_us.1.saturating_sub(self.span_us.0),
            total: 0,
            tasks: self.task_count(),
            bytes: self.jobs.iter().map(|tape| tape.bytes() as u64).sum(),
            left_out: self.left_out_count(),
        };
        let records = self.jobs.first().map(|tape| &tape.rare[..]).unwrap_or_default();
        for (_, record) in records {
            match record {
                Record::JobStarted { name, layers, .. } => {
                    row.name = name.clone();
                    let counts = layers.iter().map(|layer| layer.task_count);
                    row.total = counts.fold(0, u64::saturating_add);
                }
                Record::JobEnded { outcome, .. } => (row.state, row.message) = outcome.state(),
                _ => {}
            }
        }
        row
    }
}
