//! The loop that starts workers: with sources whose workers never connect, or end at once.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::time::Duration;

use graticule_dashboard::{Feed, Record};
use graticule_scheduler::{
    AdaptOptions, Decision, Ended, SchedulerOptions, WorkerSize, WorkerSource, adapt, start,
};
use tokio::sync::{mpsc, oneshot};

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Start(String),
    GiveUp(String),
}

/// Workers of this source never connect; with `end_at_once` they end before they could.
struct Broken {
    asked: mpsc::UnboundedSender<Asked>,
    end_at_once: bool,
    ended: Vec<Ended>,
}

impl WorkerSource for Broken {
    fn size(&self) -> WorkerSize {
        WorkerSize {
            slots: 1,
            budget_bytes: 1 << 20,
        }
    }

    fn start(&mut self, name: &str) -> Result<(), String> {
        if self.end_at_once {
            let how = Some("ended with exit code 1".to_owned());
            self.ended.push(Ended {
                name: name.into(),
                how,
            });
        }
        self.asked.send(Asked::Start(name.into())).unwrap();
        Ok(())
    }

    fn give_up(&mut self, name: &str) {
        self.asked.send(Asked::GiveUp(name.into())).unwrap();
    }

    fn ended(&mut self) -> Vec<Ended> {
        std::mem::take(&mut self.ended)
    }

    fn decided(&mut self, _: &Decision) {}
}

/// What a broken source is asked for, first to last, and what ends the asking.
fn asked_of(
    end_at_once: bool,
    start_timeout: Duration,
) -> (mpsc::UnboundedReceiver<Asked>, oneshot::Sender<()>) {
    let (scheduler, running) = start(SchedulerOptions::default());
    let (asked, heard) = mpsc::unbounded_channel();
    let source = Broken {
        asked,
        end_at_once,
        ended: Vec::new(),
    };
    let options = AdaptOptions {
        interval: Duration::from_millis(5),
        start_timeout,
        ..AdaptOptions::new(1..=3)
    };
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(async move {
        adapt(scheduler, source, options, stopped).await;
        running.await;
    });
    (heard, stop)
}

async fn next(heard: &mut mpsc::UnboundedReceiver<Asked>) -> Asked {
    let next = tokio::time::timeout(PATIENCE, heard.recv());
    next.await.unwrap().unwrap()
}

#[tokio::test]
async fn a_worker_that_never_connects_is_given_up_and_another_one_started() {
    let (mut heard, _stop) = asked_of(false, Duration::from_millis(50));
    assert_eq!(next(&mut heard).await, Asked::Start("adapt-0".into()));
    assert_eq!(next(&mut heard).await, Asked::GiveUp("adapt-0".into()));
    assert_eq!(next(&mut heard).await, Asked::Start("adapt-1".into()));
}

#[tokio::test]
async fn workers_that_end_at_once_are_not_started_again_and_again_without_a_pause() {
    let begun = std::time::Instant::now();
    let (mut heard, _stop) = asked_of(true, PATIENCE);
    assert_eq!(next(&mut heard).await, Asked::Start("adapt-0".into()));
    assert_eq!(next(&mut heard).await, Asked::Start("adapt-1".into()));
    assert_eq!(next(&mut heard).await, Asked::Start("adapt-2".into()));
    let elapsed = begun.elapsed();
    assert!(
        elapsed >= Duration::from_secs(3),
        "a pause of one and one of two seconds: {elapsed:?}"
    );
}

#[tokio::test]
async fn those_who_watch_see_what_is_decided_and_how_starts_fail() {
    let (feed, mut receiver) = Feed::new();
    let (scheduler, running) = start(SchedulerOptions {
        feed,
        ..SchedulerOptions::default()
    });
    let (asked, mut heard) = mpsc::unbounded_channel();
    let source = Broken {
        asked,
        end_at_once: true,
        ended: Vec::new(),
    };
    let options = AdaptOptions {
        interval: Duration::from_millis(5),
        ..AdaptOptions::new(1..=3)
    };
    let (stop, stopped) = oneshot::channel();
    let adapting = tokio::spawn(adapt(scheduler.clone(), source, options, stopped));
    // The second start comes after the first is known to have failed.
    next(&mut heard).await;
    next(&mut heard).await;
    drop(stop);
    adapting.await.unwrap();
    drop(scheduler);
    running.await;
    let mut told = Vec::new();
    receiver.drain(0, |_, record| told.push(record));
    let Record::ScaleDecided(first) = &told[0] else {
        panic!("the decision comes first: {told:?}");
    };
    assert_eq!((first.wanted, first.start, first.min, first.max), (1, 1, 1, 3));
    assert!(!first.reason.is_empty());
    assert_eq!(
        told[1],
        Record::WorkerStarting {
            name: "adapt-0".into()
        }
    );
    let failed = Record::WorkerStartFailed {
        name: "adapt-0".into(),
        why: "ended with exit code 1, before it had connected".into(),
    };
    assert!(told.contains(&failed), "{told:?}");
}
