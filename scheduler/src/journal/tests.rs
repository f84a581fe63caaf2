use std::{collections::BTreeSet, sync::Arc};

use graticule_engine::{
    Incarnation,
    scheduler::{ClientId, Fact},
};
use graticule_plan::{AxisChunks, Body, ChunkGrid, JobId, Key, Layer, Output, Plan, PlanBuilder, WorkerId};
use graticule_proto::{ClientToken, Dataset, JobEnd, Record, RecordDecoder, RecordEncoder};
use proptest::prelude::*;

use super::{Journal, JournalError, Standing, folder::Folder};

const OPENED: Record = Record::Opened {
    incarnation: Incarnation(42),
    first_number: 1,
};

/// A plan that keeps one layer under a name and needs a side table.
fn plan(key: Option<Key>, table: &[u8]) -> Arc<Plan> {
    let mut plan = PlanBuilder::new();
    let grid = ChunkGrid::new(vec![AxisChunks::regular(4, 1).unwrap()]).unwrap();
    let mut layer = Layer::new("source", grid, 8, Body::new(b"body".to_vec()), Vec::new());
    layer.tables = vec![plan.table(table)];
    let layer = plan.layer(layer).unwrap();
    plan.output(Output { layer, keep: key }).unwrap();
    Arc::new(plan.finish())
}

fn submitted(number: u64, client: u64, key: Option<Key>) -> Record {
    Record::JobSubmitted {
        job: JobId(number),
        client: ClientId(client),
        submission: number,
        name: "job".into(),
        plan: plan(key, b"a table"),
    }
}

fn ended(number: u64, client: u64, end: JobEnd) -> Record {
    Record::JobEnded {
        job: JobId(number),
        client: ClientId(client),
        submission: number,
        end,
    }
}

fn opened(client: u64) -> Record {
    Record::ClientOpened {
        client: ClientId(client),
        token: ClientToken(u128::from(client)),
    }
}

fn standing<'a>(records: impl IntoIterator<Item = &'a Record>) -> Standing {
    let mut standing = Standing::default();
    records
        .into_iter()
        .for_each(|record| standing.take(record.clone()));
    standing
}

fn said(standing: &Standing) -> Vec<Record> {
    standing.records().collect()
}

/// A history such as a scheduler writes: jobs of clients that come and go, in any order that can be.
fn some_history() -> impl Strategy<Value = Vec<Record>> {
    prop::collection::vec((0..11_u8, 1..4_u64, 0..8_usize), 0..60).prop_map(|steps| {
        let (mut history, mut next) = (vec![OPENED], 1);
        // Numbers are never given twice.
        let (mut clients, mut gone) = (BTreeSet::new(), BTreeSet::new());
        let mut jobs: Vec<(u64, u64, Key)> = Vec::new();
        for (what, client, which) in steps {
            let job = jobs.get(which % jobs.len().max(1)).copied();
            match (what, job) {
                (0, _) if !gone.contains(&client) && clients.insert(client) => history.push(opened(client)),
                (1 | 2, _) if clients.contains(&client) => {
                    let key = Key(u128::from(next));
                    jobs.push((next, client, key));
                    history.push(submitted(next, client, Some(key)));
                    next += 1;
                }
                (3, Some((job, client, _))) => history.push(ended(job, client, JobEnd::Finished)),
                (4, Some((job, client, _))) => {
                    let message = "it broke".into();
                    history.push(ended(job, client, JobEnd::Failed { message }));
                }
                (5, Some((.., key))) => history.push(Record::KeyReleased { key }),
                (6, Some((job, ..))) => history.push(Record::JobForgotten { job: JobId(job) }),
                (7, _) if clients.remove(&client) => {
                    gone.insert(client);
                    let client = ClientId(client);
                    history.push(Record::ClientLeft { client });
                }
                (8, _) => history.push(Record::WorkerJoined {
                    worker: WorkerId(client),
                }),
                (9, Some((.., key))) => history.push(Record::DatasetPublished(Dataset {
                    name: format!("name {client}").into(),
                    content: vec![client as u8; 3].into(),
                    keys: vec![key; which],
                })),
                (10, _) => history.push(Record::DatasetForgotten {
                    name: format!("name {client}").into(),
                }),
                _ => {}
            }
        }
        history
    })
}

proptest! {
    /// A journal that was begun anew at any time, and went on, tells the same as one that never was.
    #[test]
    fn what_stands_is_as_good_as_the_whole_history(history in some_history(), cut in 0..60_usize) {
        let whole = standing(&history);
        let (before, after) = history.split_at(cut.min(history.len()));
        let anew = said(&standing(before));
        let went_on = standing(anew.iter().chain(after));
        prop_assert_eq!(said(&went_on), said(&whole));
        prop_assert_eq!(went_on.facts(), whole.facts());
        prop_assert_eq!(went_on.first_number(), whole.first_number());
        prop_assert!(went_on.datasets().eq(whole.datasets()));
        let is_named = |key: Key| whole.datasets().any(|dataset| dataset.keys.contains(&key));
        for key in (1..60).map(Key) {
            prop_assert_eq!(went_on.is_published(key), is_named(key));
        }
        for (job, client) in (1..60).flat_map(|job| (1..4).map(move |client| (job, ClientId(client)))) {
            prop_assert_eq!(went_on.job_of(client, job), whole.job_of(client, job));
            prop_assert_eq!(went_on.end_of(JobId(job)), whole.end_of(JobId(job)));
        }
    }

    #[test]
    fn records_read_as_they_were_written(history in some_history(), batch in 1..5_usize) {
        let (mut encoder, mut decoder) = (RecordEncoder::default(), RecordDecoder::default());
        let mut read = Vec::new();
        for records in history.chunks(batch) {
            let mut bytes = Vec::new();
            records.iter().for_each(|record| encoder.encode(record, &mut bytes));
            read.extend(decoder.decode(&bytes).unwrap());
        }
        prop_assert_eq!(read, history);
    }
}

#[test]
fn a_forgotten_job_leaves_its_end_alone_and_a_client_that_left_nothing() {
    let key = Key(9);
    let mut at = standing(&[OPENED, opened(1), submitted(1, 1, Some(key))]);
    assert!(matches!(at.facts()[..], [Fact::JobSubmitted { .. }]));
    at.take(ended(1, 1, JobEnd::Cancelled));
    assert!(at.is_lineage(JobId(1)));
    at.take(Record::JobForgotten { job: JobId(1) });
    assert!(at.facts().is_empty());
    assert_eq!(at.end_of(JobId(1)), Some(&JobEnd::Cancelled));
    assert_eq!(at.job_of(ClientId(1), 1), Some(JobId(1)));
    at.take(Record::ClientLeft { client: ClientId(1) });
    assert_eq!(said(&at).len(), 1, "{:?}", said(&at));
    assert_eq!(at.first_number(), 2, "its numbers are given");
}

#[test]
fn ends_that_are_remembered_have_a_limit() {
    let mut at = standing(&[OPENED, opened(1)]);
    for job in 1..3000 {
        at.take(submitted(job, 1, None));
        at.take(ended(job, 1, JobEnd::Finished));
        at.take(Record::JobForgotten { job: JobId(job) });
    }
    assert_eq!(said(&at).len(), 2 + 1024);
    assert!(at.end_of(JobId(2999)).is_some() && at.end_of(JobId(1)).is_none());
}

#[test]
fn a_table_is_written_once_however_many_jobs_need_it() {
    let mut encoder = RecordEncoder::default();
    let record = |job| Record::JobSubmitted {
        job: JobId(job),
        client: ClientId(1),
        submission: job,
        name: "job".into(),
        plan: plan(None, &[7; 10_000]),
    };
    let (mut first, mut second) = (Vec::new(), Vec::new());
    encoder.encode(&record(1), &mut first);
    encoder.encode(&record(2), &mut second);
    assert!(first.len() > 10_000 && second.len() < 1000, "{}", second.len());
}

/// A journal of one record a write, and those records.
async fn written(folder: &std::path::Path) -> Vec<Record> {
    let mut journal = Journal::open(folder).unwrap().journal;
    let records = vec![
        opened(1),
        submitted(1, 1, Some(Key(5))),
        Record::WorkerJoined { worker: WorkerId(3) },
        submitted(2, 1, None),
        ended(2, 1, JobEnd::Finished),
        Record::KeyReleased { key: Key(5) },
    ];
    for record in &records {
        journal.append(record);
        while journal.progress().durable < journal.appended() {
            journal.changed().await;
        }
    }
    journal.close().await;
    records
}

fn file(folder: &std::path::Path) -> std::path::PathBuf {
    let names = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files = names.filter(|path| path.to_str().unwrap().contains("journal-"));
    let found = files.next().unwrap();
    assert!(files.next().is_none(), "older files are removed");
    found
}

#[tokio::test]
async fn a_journal_cut_at_any_byte_gives_the_exact_prefix_and_a_flipped_bit_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let records = written(folder.path()).await;
    let path = file(folder.path());
    let bytes = std::fs::read(&path).unwrap();
    let taken = Folder::take(folder.path()).unwrap();
    let (whole, _) = taken.read().unwrap();
    let first = said(&whole)[0].clone();
    let prefixes: Vec<Vec<Record>> = (0..=records.len())
        .map(|count| said(&standing([&first].into_iter().chain(&records[..count]))))
        .collect();
    assert_eq!(said(&whole), prefixes[records.len()]);
    let mut seen = BTreeSet::new();
    for cut in 0..bytes.len() {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let (cut_off, _) = taken.read().unwrap();
        let found = said(&cut_off);
        match prefixes
            .iter()
            .position(|prefix| prefix[1..] == found[found.len().min(1)..])
        {
            Some(count) => drop(seen.insert(count)),
            None => panic!("cut at {cut}: {found:?}"),
        }
    }
    assert_eq!(seen.len(), records.len(), "each prefix but the whole");
    // Every bit has its turn where the form alone is tested; here each byte has one flipped.
    for bit in (0..bytes.len()).map(|byte| byte * 8 + byte % 8) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &flipped).unwrap();
        match taken.read() {
            Err(JournalError::Damaged { file, offset, .. }) => {
                assert_eq!(file, path);
                assert!(offset <= (bit / 8) as u64);
            }
            // The last write looks torn, and is cut off.
            Ok((cut_off, _)) => assert_eq!(said(&cut_off), prefixes[records.len() - 1]),
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_folder_belongs_to_one_scheduler_and_runs_share_their_lineage_but_no_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let first = Journal::open(folder.path()).unwrap();
    assert!(matches!(
        Journal::open(folder.path()),
        Err(JournalError::Locked { .. })
    ));
    let (incarnation, number) = (first.standing.incarnation(), first.standing.first_number());
    first.journal.close().await;
    let second = Journal::open(folder.path()).unwrap();
    assert_eq!(second.standing.incarnation(), incarnation);
    assert!(second.standing.first_number() > number + 100_000);
    second.journal.close().await;
}

#[tokio::test]
async fn numbers_are_not_given_again_after_an_older_copy_was_put_back() {
    let folder = tempfile::tempdir().unwrap();
    Journal::open(folder.path()).unwrap().journal.close().await;
    let copy = file(folder.path());
    let bytes = std::fs::read(&copy).unwrap();
    let mut latest = 0;
    for _ in 0..3 {
        let opened_now = Journal::open(folder.path()).unwrap();
        assert!(opened_now.standing.first_number() > latest);
        latest = opened_now.standing.first_number();
        opened_now.journal.close().await;
    }
    std::fs::remove_file(file(folder.path())).unwrap();
    std::fs::write(&copy, bytes).unwrap();
    let opened_now = Journal::open(folder.path()).unwrap();
    assert!(opened_now.standing.first_number() > latest);
    opened_now.journal.close().await;
}

#[tokio::test]
async fn a_journal_that_failed_is_whole_again_when_it_could_be_begun_anew() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("journal");
    let opened_now = Journal::open(&folder).unwrap();
    let (mut journal, mut at) = (opened_now.journal, opened_now.standing);
    std::fs::remove_dir_all(&folder).unwrap();
    journal.rewrite(&at);
    while journal.progress().failure.is_none() {
        journal.changed().await;
    }
    journal.append(&opened(1));
    at.take(opened(1));
    std::fs::create_dir(&folder).unwrap();
    journal.rewrite(&at);
    while journal.progress().failure.is_some() {
        journal.changed().await;
    }
    assert_eq!(journal.progress().durable, journal.appended());
    journal.append(&opened(2));
    at.take(opened(2));
    let want = said(&at);
    journal.close().await;
    let (read, _) = Folder::take(&folder).unwrap().read().unwrap();
    assert_eq!(said(&read), want);
}
