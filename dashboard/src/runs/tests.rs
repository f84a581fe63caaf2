use std::{collections::BTreeMap, io::Read, sync::Arc, time::Instant};

use flate2::read::GzDecoder;
use graticule_plan::{AxisWindow, ChunkGrid, Input, InputMap, JobId, LayerId, Source, TaskId, WorkerId};
use proptest::prelude::*;

use super::{recorder::RUN_COUNT_MAX, tape::TAPE_BYTES_MAX, *};
use crate::{
    JobOutcome, LayerInfo, LayerPlan, LeaveReason, Record, TaskFinished, WorkerStatus,
    aggregate::{Aggregator, Delta, JobState, Publisher, Snapshot},
};

pub(super) const WORKER_COUNT: u64 = 4;
pub(super) const SLOT_COUNT: u32 = 4;

/// Numbers that look like chance, the same for each seed.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Reads, and medians that each take four of them.
fn layers(read_count: u64, name: &str) -> Arc<[LayerInfo]> {
    let grid = |chunk: u64| ChunkGrid::regular(&[read_count * 100], &[chunk]).expect("it is cut");
    let info = |name: &str, grid: ChunkGrid, inputs| LayerInfo {
        name: name.into(),
        task_count: grid.block_count(),
        chunk_bytes: 800,
        origin: Some("study.py:12".into()),
        plan: Some(Arc::new(LayerPlan {
            grid,
            item_bytes: 8,
            inputs,
            keys: Vec::new(),
            is_output: false,
        })),
    };
    let of_reads = Input {
        source: Source::Layer(LayerId(0)),
        map: InputMap::Product(vec![AxisWindow::Group {
            out_axis: 0,
            fan_in: 4,
        }]),
    };
    Arc::new([
        info(name, grid(100), Vec::new()),
        info("median", grid(400), vec![of_reads]),
    ])
}

fn released(job: u64, block: u64, count: u64) -> Record {
    let first = TaskId {
        job: JobId(job),
        layer: LayerId(0),
        block,
    };
    Record::ChunksReleased {
        first,
        count,
        attempt: 0,
    }
}

/// What a cluster tells of a job that begins at `begin_us`: tasks of 20 ms or so on all slots, with what they waited, and
/// told a little after they ended.
pub(super) fn story(job: u64, read_count: u64, begin_us: u64, name: &str) -> Vec<(u64, Record)> {
    let mut chance = Chance(job * 7_919 + 1);
    let mut told = Vec::new();
    let layers = layers(read_count, name);
    let counts: Vec<u64> = layers.iter().map(|layer| layer.task_count).collect();
    let start = Record::JobStarted {
        job: JobId(job),
        name: name.into(),
        layers,
    };
    told.push((begin_us, start));
    let mut free_us = vec![begin_us; (WORKER_COUNT * u64::from(SLOT_COUNT)) as usize];
    for (layer, count) in (0..).zip(counts) {
        for block in 0..count {
            let (lane, start_us) = free_us
                .iter()
                .copied()
                .enumerate()
                .min_by_key(|(_, us)| *us)
                .expect("there are slots");
            let fetch_us = 1_000 + chance.below(4_000);
            let finished = TaskFinished {
                task: TaskId {
                    job: JobId(job),
                    layer: LayerId(layer),
                    block,
                },
                worker: WorkerId(1 + lane as u64 % WORKER_COUNT),
                attempt: 0,
                slot: (lane as u64 / WORKER_COUNT) as u32,
                started_us: start_us + chance.below(300) + if layer == 0 { fetch_us } else { 0 },
                duration_us: 15_000 + chance.below(10_000),
                fetch_us: if layer == 0 { fetch_us } else { 0 },
                bytes: 800,
                spilled: false,
            };
            let end_us = finished.started_us + finished.duration_us;
            free_us[lane] = end_us;
            told.push((end_us + 200 + chance.below(800), Record::TaskFinished(finished)));
            if layer == 1 {
                told.push((end_us + 1_000, released(job, block * 4, 4)));
            }
        }
    }
    let last_us = told.iter().map(|(at_us, _)| *at_us).max().unwrap_or(begin_us);
    let end = Record::JobEnded {
        job: JobId(job),
        outcome: JobOutcome::Succeeded,
        finished: None,
    };
    told.push((last_us + 100, end));
    told.sort_by_key(|(at_us, _)| *at_us);
    told
}

pub(super) fn joined() -> Vec<(u64, Record)> {
    let worker = |worker| {
        let record = Record::WorkerJoined {
            worker: WorkerId(worker),
            name: format!("worker-{worker}").into(),
            address: "127.0.0.1:1".into(),
            slots: SLOT_COUNT,
            budget_bytes: 1 << 30,
        };
        (0, record)
    };
    (1..=WORKER_COUNT).map(worker).collect()
}

pub(super) fn recorded(records: &[(u64, Record)]) -> Recorder {
    let mut recorder = Recorder::new("test", 1_700_000_000_000, 1);
    for (at_us, record) in joined().iter().chain(records) {
        recorder.take(*at_us, record);
    }
    recorder.settle();
    recorder.close(u64::MAX);
    recorder
}

pub(super) fn archive_of(records: &[(u64, Record)]) -> Archive {
    recorded(records)
        .archive(1, u64::MAX)
        .expect("the first run is kept")
}

/// A film's head, and its blobs.
pub(super) fn unpacked(film: &[u8]) -> (serde_json::Value, Vec<u8>) {
    let mut bytes = Vec::new();
    GzDecoder::new(film)
        .read_to_end(&mut bytes)
        .expect("it is packed");
    let (len, rest) = bytes.split_first_chunk::<4>().expect("it has a head");
    let (head, blobs) = rest.split_at(u32::from_le_bytes(*len) as usize);
    (
        serde_json::from_slice(head).expect("its head is JSON"),
        blobs.to_vec(),
    )
}

/// A film taken apart: its head, and the tables at its end.
fn watched(film: &[u8]) -> (serde_json::Value, Snapshot) {
    let (head, _) = unpacked(film);
    let mut frames = head["frames"]
        .as_array()
        .expect("it has frames")
        .iter()
        .flat_map(|step| step.as_array().expect("of each step"));
    let first = frames.next().expect("it begins").clone();
    let mut shown: Snapshot = serde_json::from_value(first).expect("it begins with all");
    for frame in frames {
        let delta: Delta = serde_json::from_value(frame.clone()).expect("then comes what changed");
        shown.apply(&delta).expect("each follows the one before");
    }
    (head, shown)
}

#[test]
fn an_archive_comes_back_as_it_was() {
    let mut records = story(1, 200, 5_000, "mosaic");
    let at_us = records.last().expect("there are records").0;
    records.insert(
        records.len() - 1,
        (
            at_us - 50,
            Record::TaskFailed {
                task: TaskId {
                    job: JobId(1),
                    layer: LayerId(0),
                    block: 3,
                },
                worker: WorkerId(1),
                attempt: 0,
                message: "HTTP 503".into(),
            },
        ),
    );
    records.extend(reports(at_us));
    let archive = archive_of(&records);
    let bytes = archive.encode();
    let back = Archive::decode(&bytes).expect("it was just written");
    assert_eq!(back.encode(), bytes);
    assert_eq!(back.task_count(), 250);
    assert_eq!(back.row(1), archive.row(1));
    assert_eq!(
        (back.row(1).state, &*back.row(1).name),
        (JobState::Succeeded, "mosaic")
    );
    assert_eq!(back.film(), archive.film());
}

#[test]
fn an_archive_that_was_cut_anywhere_says_so() {
    let bytes = archive_of(&story(1, 24, 0, "mosaic")).encode();
    for len in 0..bytes.len() {
        let why = Archive::decode(&bytes[..len]).expect_err("it was cut");
        let is_clear = match why {
            ArchiveError::NotAnArchive => len == 0,
            ArchiveError::Length { found, .. } => found == len as u64,
            ArchiveError::Version { .. } | ArchiveError::Damaged { .. } => false,
        };
        assert!(is_clear, "cut at {len}: {why}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(matches!(
        Archive::decode(&longer),
        Err(ArchiveError::Length { .. })
    ));
}

#[test]
fn a_bit_that_flipped_anywhere_is_noticed() {
    let bytes = archive_of(&story(1, 24, 0, "mosaic")).encode();
    for at in 0..bytes.len() {
        let mut other = bytes.clone();
        other[at] ^= 1 << (at % 8);
        assert!(Archive::decode(&other).is_err(), "byte {at}");
    }
}

#[test]
fn what_is_no_archive_is_told_what_to_do() {
    let told = |bytes: &[u8]| Archive::decode(bytes).expect_err("it is none").to_string();
    assert_eq!(
        told(b"\x89PNG\r\n\x1a\n and so on"),
        "this is not a Graticule run: it does not begin as one; give it a file that was saved as .graticule"
    );
    let mut newer = archive_of(&story(1, 4, 0, "mosaic")).encode();
    newer[8] = 9;
    assert_eq!(
        told(&newer),
        "this run is of format 9, and this release reads formats up to 4: open it with the release that wrote it"
    );
}

proptest! {
    /// Whoever made the checksum right meant harm: that may be refused or read, and never panics, nor does the film of it.
    #[test]
    fn an_archive_that_was_forged_never_panics(flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = archive_of(&story(1, 8, 0, "mosaic")).encode();
        for (at, value) in flips {
            let body = &mut bytes[24..];
            let at = at.index(body.len());
            body[at] ^= value;
        }
        let mut sum = flate2::Crc::new();
        sum.update(&bytes[24..]);
        bytes[20..24].copy_from_slice(&sum.sum().to_le_bytes());
        if let Ok(archive) = Archive::decode(&bytes) {
            archive.film();
        }
    }
}

#[test]
fn a_task_takes_at_most_eight_bytes() {
    let records = story(1, 80_000, 0, "mosaic");
    let begun = Instant::now();
    let archive = archive_of(&records);
    let recording = begun.elapsed();
    let bytes = archive.encode().len();
    let tasks = archive.task_count();
    let each = bytes as f64 / tasks as f64;
    println!(
        "{each:.2} bytes a task of {tasks}; recording took {:.0} ns a task",
        recording.as_nanos() as f64 / tasks as f64
    );
    assert_eq!(tasks, 100_000);
    assert!(each <= 8.0, "{each:.2} bytes a task");
}

#[test]
fn the_oldest_runs_make_room_and_are_counted() {
    let mut recorder = recorded(&[]);
    for job in 1..=RUN_COUNT_MAX as u64 + 5 {
        for (at_us, record) in story(job, 4, job * 1_000_000, "mosaic") {
            recorder.take(at_us, &record);
        }
        recorder.settle();
        recorder.close(u64::MAX);
    }
    let history = recorder.history(u64::MAX);
    assert_eq!((history.runs.len(), history.forgotten), (RUN_COUNT_MAX, 5));
    assert_eq!(history.runs[0].k, RUN_COUNT_MAX as u32 + 5);
    assert_eq!(recorder.archive(5, u64::MAX), None);
    assert!(recorder.archive(6, u64::MAX).is_some());
}

#[test]
fn runs_that_go_on_for_long_leave_out_what_has_no_room() {
    let mut chance = Chance(5);
    let mut recorder = recorded(&story(1, 4, 0, "short")[..2]);
    let mut told = 0u64;
    let is_full = |recorder: &Recorder| recorder.history(0).runs[0].left_out > 1_000;
    // Nothing about these can be packed, so that the limit is reached soon.
    while !is_full(&recorder) {
        for _ in 0..40_000 {
            let finished = TaskFinished {
                task: TaskId {
                    job: JobId(1),
                    layer: LayerId(0),
                    block: chance.below(u64::MAX),
                },
                worker: WorkerId(chance.below(u64::MAX)),
                attempt: 0,
                slot: 0,
                started_us: chance.below(u64::MAX),
                duration_us: chance.below(u64::MAX),
                fetch_us: chance.below(u64::MAX),
                bytes: chance.below(u64::MAX),
                spilled: false,
            };
            recorder.take(chance.below(u64::MAX), &Record::TaskFinished(finished));
            told += 1;
        }
        recorder.settle();
    }
    let row = &recorder.history(0).runs[0];
    assert_eq!(row.tasks + row.left_out, told + 1);
    assert!(row.bytes as usize <= TAPE_BYTES_MAX + (4 << 20), "{}", row.bytes);
}

/// A worker is lost after `at_us`: what it made of the first blocks is made again by another, after one error.
pub(super) fn mishap(at_us: u64) -> Vec<(u64, Record)> {
    let mut told = vec![(
        at_us,
        Record::WorkerLeft {
            worker: WorkerId(2),
            why: LeaveReason::Lost {
                message: "reset".into(),
            },
        },
    )];
    for block in 0..6 {
        let task = TaskId {
            job: JobId(1),
            layer: LayerId(0),
            block,
        };
        let again = TaskFinished {
            task,
            worker: WorkerId(1),
            attempt: 2,
            slot: 1,
            started_us: at_us + 100,
            duration_us: 900,
            fetch_us: 50,
            bytes: 800,
            spilled: block == 3,
        };
        told.push((at_us + 1, Record::TaskReset { task, attempt: 0 }));
        let failed = Record::TaskFailed {
            task,
            worker: WorkerId(3),
            attempt: 1,
            message: "HTTP 503".into(),
        };
        told.push((at_us + 50, failed));
        told.push((at_us + 1_200, Record::TaskFinished(again)));
    }
    told
}

pub(super) fn reports(until_us: u64) -> Vec<(u64, Record)> {
    let report = |at_us: u64| {
        let status = WorkerStatus {
            memory_bytes: at_us,
            fetched_bytes_total: at_us * 9,
            cpu_percent: 180.5,
            ..WorkerStatus::default()
        };
        let worker = WorkerId(1 + at_us / 1_000 % 3);
        (at_us, Record::WorkerStatus { worker, status })
    };
    (0..until_us).step_by(101_000).map(report).collect()
}

#[test]
fn a_film_ends_as_the_cluster_did() {
    let mut records = story(1, 400, 0, "mosaic");
    let end_us = records.last().expect("there are records").0;
    records.extend(mishap(end_us * 2 / 3));
    records.extend(reports(end_us));
    records.sort_by_key(|(at_us, _)| *at_us);
    let mut aggregator = Aggregator::new();
    let mut publisher = Publisher::new("test");
    for (at_us, record) in joined().into_iter().chain(records.clone()) {
        aggregator.apply(at_us, record);
    }
    publisher.catch_up(&mut aggregator, end_us, 0);
    let live = publisher.snapshot(&aggregator);

    let archive = recorded(&records).archive(1, end_us).expect("it is kept");
    let (head, film) = watched(&archive.film());
    assert_eq!(film.jobs, live.jobs);
    assert_eq!(film.layers, live.layers);
    assert_eq!(film.workers, live.workers);
    assert_eq!(
        (film.head.total, film.head.done),
        (live.head.total, live.head.done)
    );
    assert_eq!(film.failures, live.failures);
    let sums = |of: &Snapshot| (of.head.failed, of.head.recomputed, of.head.running);
    assert_eq!(sums(&film), sums(&live));
    assert!(live.head.recomputed > 0 && live.failures.len() > 1);
    // Attempts that failed are counted, and have no bar.
    assert_eq!(head["tasks"], 506);
    assert_eq!(head["span_us"], end_us);
}

#[test]
fn a_film_is_of_what_ran_since_then_and_begins_at_zero() {
    let mut records = story(1, 8, 0, "before");
    records.extend(story(2, 8, 50_000_000, "within"));
    let archive = recorded(&records).since(40_000_000, 60_000_000);
    assert_eq!(archive.task_count(), 10);
    let (head, film) = watched(&archive.film());
    let names: Vec<&str> = film.jobs.iter().map(|job| &*job.name).collect();
    assert_eq!(names, ["within"]);
    assert_eq!(film.jobs[0].started_us, Some(10_000_000));
    assert_eq!(head["span_us"], 20_000_000);
    assert_eq!(head["began_unix_ms"], 1_700_000_040_000u64);
    assert_eq!(film.workers.len(), WORKER_COUNT as usize);
}

#[test]
fn a_report_asks_nobody_for_anything_and_no_name_is_markup() {
    let hostile = "</script><img src=x onerror=alert(1)>\"'&<!--";
    let report = archive_of(&story(1, 8, 0, hostile)).report();
    let html = String::from_utf8(report).expect("it is text");
    assert!(!html.contains("<img src=x"));
    assert_eq!(html.matches("</script>").count(), 2);
    assert_eq!(html.matches("</style>").count(), 1);
    assert!(html.contains("default-src 'none'; script-src 'sha256-"));
    // Addresses within the script are names of XML, or in a text for people; no attribute leads anywhere.
    let elements: BTreeMap<&str, usize> = ["<link ", "<script ", "<style>", "<meta "]
        .into_iter()
        .map(|element| (element, html.matches(element).count()))
        .collect();
    assert_eq!(
        elements,
        BTreeMap::from([("<link ", 1), ("<meta ", 4), ("<script ", 2), ("<style>", 1)])
    );
    assert!(!html.contains("url(http") && !html.contains("url(./") && !html.contains("src=\"http"));
}

fn folder(name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("graticule-runs-{name}-{}", std::process::id()));
    // It is there only if a test of that process's number was ended before.
    let _ = std::fs::remove_dir_all(&path);
    path
}

#[test]
fn runs_on_disk_are_there_after_a_restart_and_what_is_broken_is_left_alone() {
    let path = folder("restart");
    let shelf = folder::Folder::open(&path).expect("it can be made");
    let archive = archive_of(&story(1, 8, 0, "mosaic"));
    shelf.write(7, &archive).expect("it can be written");
    std::fs::write(path.join("cut.graticule"), &archive.encode()[..90]).expect("it can be written");
    let again = folder::Folder::open(&path).expect("it is there");
    let rows = again.rows();
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (&*rows[0].name, rows[0].tasks, again.next_key()),
        ("mosaic", 10, 2)
    );
    assert_eq!(again.read(1).map(|it| it.film()), Some(archive.film()));
    assert_eq!(again.read(2), None);
    assert!(path.join("cut.graticule").exists());
    std::fs::remove_dir_all(&path).expect("it is ours");
}

#[test]
fn the_oldest_runs_on_disk_make_room() {
    let path = folder("room");
    let shelf = folder::Folder::open(&path).expect("it can be made");
    for key in 1..=FOLDER_RUN_COUNT_MAX as u32 + 2 {
        let archive = archive_of(&story(u64::from(key), 4, u64::from(key) * 2_000, "mosaic"));
        shelf.write(key, &archive).expect("it can be written");
    }
    assert_eq!((shelf.rows().len(), shelf.forgotten()), (FOLDER_RUN_COUNT_MAX, 2));
    let files = std::fs::read_dir(&path).expect("it is there").count();
    assert_eq!(files, FOLDER_RUN_COUNT_MAX);
    std::fs::remove_dir_all(&path).expect("it is ours");
}
