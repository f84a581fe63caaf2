//! The story of a cluster whose number of workers follows the work.

use std::time::{Duration, Instant};

use graticule_dashboard::{LeaveReason, Record, ScaleDecision};
use tokio::time::sleep;

use super::{Cluster, STEP};

const MIN: u32 = 2;
const MAX: u32 = 6;

impl Cluster {
    /// Three workers are wanted, started, and join one by one.
    pub(crate) async fn assemble_by_decision(&mut self) {
        self.scales = true;
        self.decide(
            3,
            3,
            0,
            "640 tasks are 52 s of work for 2 workers, and shall be done within 40 s",
        );
        for number in 1..=3 {
            self.tell(Record::WorkerStarting {
                name: format!("worker-{number}").into(),
            });
        }
        for _ in 0..3 {
            self.wait(0.8).await;
            self.join();
        }
    }

    /// A worker was lost, another one is started.
    pub(super) fn replace(&self) {
        if self.scales {
            self.decide(3, 1, 0, "worker-2 was lost: 3 are wanted, 2 are there");
            self.tell(Record::WorkerStarting {
                name: "worker-4".into(),
            });
        }
    }

    /// A fourth worker is wanted and does not come; later the third one is not needed any more, and leaves.
    pub(crate) async fn scale_down(&mut self) {
        self.decide(
            4,
            1,
            0,
            "another job waits: 120 tasks are 31 s of work for 3 workers",
        );
        self.tell(Record::WorkerStarting {
            name: "spare-1".into(),
        });
        self.wait(2.0).await;
        self.tell(Record::WorkerStartFailed {
            name: "spare-1".into(),
            why: "ended with exit code 1 before it joined: no route to the scheduler at 10.0.0.9:8786".into(),
        });
        self.decide(2, 0, 1, "no task waits, and 2 workers have room for what is held");
        let worker = self.workers[1].id;
        for chunks in [14, 6, 1] {
            self.tell(Record::WorkerRetiring {
                worker,
                waits_for: format!("{chunks} chunks that nobody else holds").into(),
            });
            self.wait(0.8).await;
        }
        self.workers.remove(1);
        self.tell(Record::WorkerLeft {
            worker,
            why: LeaveReason::Retired,
        });
    }

    fn decide(&self, wanted: u32, start: u32, retire: u32, reason: &str) {
        self.tell(Record::ScaleDecided(ScaleDecision {
            wanted,
            min: MIN,
            max: MAX,
            start,
            stay: 0,
            retire,
            reason: reason.into(),
        }));
    }

    async fn wait(&mut self, seconds: f64) {
        let until = Instant::now() + Duration::from_secs_f64(seconds / self.speed);
        while Instant::now() < until {
            self.report();
            sleep(STEP).await;
        }
    }
}
